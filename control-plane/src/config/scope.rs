//! Which groups a listener serves: those of one pool, of all orgs or of its own alone.

use std::sync::Arc;

use hookplane_proto::v1;

/// The pool of a group that names none.
pub(crate) const DEFAULT_POOL: &str = "default";

/// The pool that serves a group.
pub(crate) fn pool_of(group: &v1::WebhookGroup) -> &str {
    match group.spec.as_ref().map(|s| s.pool.as_str()) {
        None | Some("") => DEFAULT_POOL,
        Some(pool) => pool,
    }
}

/// The listeners that a group is for: those of all orgs in its pool, and its own org's there.
pub(crate) fn scopes_of(org: &str, pool: &str) -> Vec<ListenerScope> {
    vec![
        ListenerScope::new(None, pool),
        ListenerScope::new(Some(org), pool),
    ]
}

/// What a listener may be given and may speak for. Told from its credential and its hello, never from what it reports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerScope {
    /// None: of all orgs, as the operator's own listeners are.
    pub(crate) org: Option<Arc<str>>,
    /// The pool.
    pub(crate) pool: Arc<str>,
}

impl ListenerScope {
    /// A hello that names no pool means [`DEFAULT_POOL`].
    pub fn new(org: Option<&str>, pool: &str) -> Self {
        let pool = if pool.is_empty() { DEFAULT_POOL } else { pool };
        Self {
            org: org.map(Arc::from),
            pool: pool.into(),
        }
    }

    /// Promise 8: nothing is sent to a listener, or taken from it, but for these groups.
    pub(crate) fn covers(&self, group: &v1::WebhookGroup) -> bool {
        let org = group.metadata.as_ref().map_or("", |m| &m.org);
        self.serves(org, pool_of(group))
    }

    /// The same, of a group known by its org and its pool.
    pub(crate) fn serves(&self, org: &str, pool: &str) -> bool {
        pool == &*self.pool && self.org.as_deref().is_none_or(|own| own == org)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(org: &str, pool: &str) -> v1::WebhookGroup {
        v1::WebhookGroup {
            metadata: Some(v1::Metadata {
                org: org.to_owned(),
                ..Default::default()
            }),
            spec: Some(v1::WebhookGroupSpec {
                pool: pool.to_owned(),
                ..Default::default()
            }),
            status: None,
        }
    }

    #[test]
    fn an_orgs_own_listener_serves_that_org_in_its_pool_and_no_other() {
        let own = ListenerScope::new(Some("acme"), "edge");
        assert!(own.covers(&group("acme", "edge")));
        assert!(!own.covers(&group("acme", "")));
        assert!(!own.covers(&group("other", "edge")));
    }

    #[test]
    fn an_operators_listener_serves_its_pool_for_all_orgs() {
        let all = ListenerScope::new(None, "");
        assert!(all.covers(&group("acme", "")));
        assert!(all.covers(&group("other", "default")));
        assert!(!all.covers(&group("acme", "edge")));
    }
}

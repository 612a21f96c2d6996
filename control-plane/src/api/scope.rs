//! Which events are meant: `orgs/acme/groups/shop-prod/webhooks/order-paid` as far as it goes, `-` for any.

use std::time::Duration;

use hookplane_rules::Timestamp;
use tokio::time::Instant;

use super::names;
use super::status::Problem;
use crate::access::Caller;
use crate::config::GroupRecord;
use crate::context::Context;
use crate::keys;
use crate::log::Selection;

/// For the view to come to what the caller wrote last.
const READ_OWN_WRITE: Duration = Duration::from_secs(2);

/// A path as far as it goes. None means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) org: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) webhook: Option<String>,
    /// What is older was of another org that had this one's name.
    pub(crate) since: Option<Timestamp>,
}

impl Scope {
    /// Reads a parent, which is the caller's to see. Empty means all that is.
    pub(crate) fn parse(caller: &Caller, field: &str, path: &str) -> Result<Self, Problem> {
        let mut scope = Self::read(field, path)?;
        scope.org = caller.narrow(scope.org)?;
        scope.since = caller.since();
        Ok(scope)
    }

    /// Reads a path, and nothing more.
    pub(crate) fn read(field: &str, path: &str) -> Result<Self, Problem> {
        let mut scope = Self::default();
        if path.is_empty() {
            return Ok(scope);
        }
        let parts: Vec<&str> = path.split('/').collect();
        let wrong = || {
            Problem::field(
                field,
                "expected orgs/ORG/groups/GROUP/webhooks/WEBHOOK as far as it goes, `-` for any",
            )
        };
        if !parts.len().is_multiple_of(2) || parts.len() > 6 {
            return Err(wrong());
        }
        for (pair, kind) in parts.chunks(2).zip(["orgs", "groups", "webhooks"]) {
            let [collection, name] = pair else {
                return Err(wrong());
            };
            if *collection != kind {
                return Err(wrong());
            }
            if *name != names::ANY {
                names::check(field, name)?;
            }
            let named = (*name != names::ANY).then(|| (*name).to_owned());
            match kind {
                "orgs" => scope.org = named,
                "groups" => scope.group = named,
                _ => scope.webhook = named,
            }
        }
        let gap = (scope.group.is_some() && scope.org.is_none())
            || (scope.webhook.is_some() && scope.group.is_none());
        if gap {
            return Err(Problem::field(field, "`-` can't stand before a name"));
        }
        Ok(scope)
    }

    /// The group that this names, as the view has it; what was written just now included.
    pub(crate) async fn record(
        &self,
        context: &Context,
        path: &str,
    ) -> Result<Option<GroupRecord>, Problem> {
        let Some(org) = &self.org else {
            return Ok(None);
        };
        let Some(group) = &self.group else {
            // A name mistyped is not an org without events.
            return match context.store.get(&keys::org(org)).await? {
                Some(_) => Ok(None),
                None => Err(Problem::NotFound(super::names::org(org))),
            };
        };
        let find = || {
            context
                .view
                .group_named(org, group)
                .filter(|record| match &self.webhook {
                    None => true,
                    Some(webhook) => webhook_uid(record, webhook).is_some(),
                })
        };
        if let Some(record) = find() {
            return Ok(Some(record));
        }
        // What the store has of it decides how far the view has to come: its own revision grows with what is not in the view, too.
        let group_key = keys::group(org, group);
        let webhook_key = self
            .webhook
            .as_ref()
            .map(|webhook| keys::webhook(org, group, webhook));
        for key in std::iter::once(group_key).chain(webhook_key) {
            let Some(entry) = context.store.get(&key).await? else {
                return Err(Problem::NotFound(path.to_owned()));
            };
            let deadline = Instant::now() + READ_OWN_WRITE;
            context.view.reached(entry.revision, deadline).await;
        }
        find()
            .map(Some)
            .ok_or_else(|| Problem::NotFound(path.to_owned()))
    }

    /// What the log is asked for.
    pub(crate) async fn selection(
        &self,
        context: &Context,
        path: &str,
    ) -> Result<Selection, Problem> {
        let record = self.record(context, path).await?;
        let uid = record
            .as_ref()
            .and_then(|r| r.group.metadata.as_ref())
            .map(|m| m.uid.clone());
        let webhook_uid = match (&record, &self.webhook) {
            (Some(record), Some(webhook)) => webhook_uid(record, webhook),
            _ => None,
        };
        Ok(Selection {
            org: self.org.clone(),
            group_uid: uid,
            webhook_uid,
            since: self.since,
            ..Selection::default()
        })
    }
}

/// A webhook's uid by its name.
pub(crate) fn webhook_uid(record: &GroupRecord, name: &str) -> Option<String> {
    record
        .webhooks
        .iter()
        .filter_map(|w| w.metadata.as_ref())
        .find(|m| m.name == name)
        .map(|m| m.uid.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_far_as_it_goes() {
        let some = |s: &str| Some(s.to_owned());
        let all = Scope::read("parent", "orgs/a/groups/g/webhooks/w").unwrap();
        assert_eq!(
            (all.org, all.group, all.webhook),
            (some("a"), some("g"), some("w"))
        );
        let group = Scope::read("parent", "orgs/a/groups/g").unwrap();
        assert_eq!(group.webhook, None);
        assert_eq!(Scope::read("parent", "").unwrap(), Scope::default());
        let any = Scope::read("parent", "orgs/-/groups/-/webhooks/-").unwrap();
        assert_eq!(any, Scope::default());
    }

    #[test]
    fn a_path_of_another_shape_is_refused_and_names_the_field() {
        for path in [
            "orgs",
            "orgs/",
            "groups/g",
            "orgs/a/webhooks/w",
            "orgs/-/groups/g",
            "orgs/a/groups/-/webhooks/w",
            "orgs/a/groups/g/webhooks/w/x/y",
        ] {
            let status = tonic::Status::from(Scope::read("parent", path).unwrap_err());
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{path}");
            assert!(status.message().starts_with("parent: "));
        }
    }
}

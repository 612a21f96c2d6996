//! The caller as services see it, and the one function that decides what is within their reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hookplane_proto::v1::TokenRole;
use hookplane_rules::Timestamp;
use tonic::{Request, Status};

use super::Needs;
use super::grant::Grant;
use super::quiet::Quiet;
use crate::api::status::Problem;
use crate::config::ListenerScope;
use crate::keys;

/// Who calls, for the length of one call.
#[derive(Clone)]
pub struct Caller {
    pub(super) grant: Arc<Grant>,
    pub(super) method: &'static str,
    /// When the caller's org was made.
    pub(super) since: Option<Timestamp>,
    /// Of the call. Until a service has asked, its answer is withheld.
    pub(super) checked: Arc<AtomicBool>,
    pub(super) refusals: Arc<Quiet>,
    pub(super) now: Timestamp,
}

/// What a call is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    /// What belongs to no org and is anybody's to know: a built-in connector. Also for what checks each of its parts by itself.
    Public,
    /// Of the whole installation.
    Installation,
    /// An org, or anything of it.
    Org(&'a str),
    /// One webhook, `orgs/…/groups/…/webhooks/…`, for those who see it or take its deliveries.
    Webhook { org: &'a str, path: &'a str },
    /// The same with its uid, once it is found: a name used again is another webhook.
    FoundWebhook {
        org: &'a str,
        path: &'a str,
        uid: &'a str,
    },
    /// A pool that a listener serves.
    Pool(&'a str),
}

/// Takes a request apart. Without a caller, which only a server without a door brings, nothing is done.
pub(crate) fn opened<T>(request: Request<T>) -> Result<(Caller, T), Status> {
    let caller = request.extensions().get::<Caller>().cloned();
    let caller = caller.ok_or_else(|| Status::unauthenticated("nobody has checked who calls"))?;
    Ok((caller, request.into_inner()))
}

impl Caller {
    /// Whether this is within the caller's reach. Every service asks here, and nowhere else.
    pub(crate) fn check(&self, target: Target<'_>) -> Result<(), Problem> {
        self.checked.store(true, Ordering::Release);
        self.reaches(target).map_err(|why| self.refused(why))
    }

    /// Whether the role is enough for a part of what a method does.
    pub(crate) fn needs(&self, needs: Needs) -> Result<(), Problem> {
        if needs.met_by(&self.grant) {
            return Ok(());
        }
        let what = format!("{} may not: it takes {}", self.who(), needs.who());
        Err(self.refused(what))
    }

    /// Whether the role is enough to be shown a part of what a method tells.
    pub(crate) fn is_enough_for(&self, needs: Needs) -> bool {
        needs.met_by(&self.grant)
    }

    /// The org that a list is of: the one that is asked for, else the caller's own; none for all.
    pub(crate) fn narrow(&self, asked: Option<String>) -> Result<Option<String>, Problem> {
        let org = asked.or_else(|| self.grant.org.as_deref().map(str::to_owned));
        match &org {
            Some(org) => self.check(Target::Org(org))?,
            None => self.check(Target::Installation)?,
        }
        Ok(org)
    }

    /// Whether what was found by its id is the caller's to see. What isn't is not found, for ids are nobody's to try. What is older than
    /// the caller's org was another's of that name.
    pub(crate) fn sees(&self, org: &str, made: Timestamp) -> bool {
        self.checked.store(true, Ordering::Release);
        self.reaches(Target::Org(org)).is_ok() && self.since.is_none_or(|since| made >= since)
    }

    /// The org that the token is of; empty: the installation's.
    pub(crate) fn own_org(&self) -> &str {
        self.grant.org.as_deref().unwrap_or_default()
    }

    /// From when on what an org's name stands for is the caller's org. None: always.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// What a listener of this pool may be given and may speak for.
    pub(crate) fn listener_scope(&self, pool: &str) -> Result<ListenerScope, Problem> {
        let scope = ListenerScope::new(self.grant.org.as_deref(), pool);
        self.check(Target::Pool(&scope.pool))?;
        Ok(scope)
    }

    /// Whether a key of the store may be touched: the last line, for what a service forgot.
    pub(crate) fn covers_key(&self, key: &str) -> bool {
        match (keys::org_of(key), &self.grant.org) {
            (None, _) | (_, None) => true,
            (Some(of), Some(own)) => of == &**own,
        }
    }

    /// For messages and the audit.
    pub(crate) fn who(&self) -> String {
        let role = self
            .grant
            .role
            .as_str_name()
            .trim_start_matches("TOKEN_ROLE_");
        let role = role.to_ascii_lowercase();
        let means = self.grant.means.name();
        match &self.grant.org {
            None => format!("a {means} of role {role} of the whole installation"),
            Some(org) => format!("a {means} of role {role} of org `{org}`"),
        }
    }

    pub(crate) fn role(&self) -> TokenRole {
        self.grant.role
    }

    /// The only one within reach; none for the whole installation.
    pub(crate) fn org(&self) -> Option<&str> {
        self.grant.org.as_deref()
    }

    /// The token's id, or `certificate` and its serial number, for the audit.
    pub(crate) fn id(&self) -> &str {
        &self.grant.id
    }

    fn reaches(&self, target: Target<'_>) -> Result<(), String> {
        let grant = &*self.grant;
        let org = match target {
            Target::Public => return Ok(()),
            Target::Pool(pool) => return self.reaches_pool(pool),
            Target::Installation => None,
            Target::Org(org) | Target::Webhook { org, .. } | Target::FoundWebhook { org, .. } => {
                Some(org)
            }
        };
        match grant.role {
            TokenRole::Admin | TokenRole::Editor | TokenRole::Viewer => {}
            TokenRole::Consumer => return self.reaches_webhook(target),
            TokenRole::Listener | TokenRole::Unspecified => {
                return Err(format!("{} reads nothing by name", self.who()));
            }
        }
        match (&grant.org, org) {
            (None, _) => Ok(()),
            (Some(own), Some(org)) if **own == *org => Ok(()),
            (Some(_), Some(org)) => Err(format!(
                "{} reaches nothing of org `{org}`: use a token of that org",
                self.who()
            )),
            (Some(_), None) => Err(format!(
                "{} reaches its own org only: use a token of the whole installation",
                self.who()
            )),
        }
    }

    fn reaches_webhook(&self, target: Target<'_>) -> Result<(), String> {
        let (path, uid) = match target {
            Target::Webhook { path, .. } => (path, None),
            Target::FoundWebhook { path, uid, .. } => (path, Some(uid)),
            _ => {
                return Err(format!(
                    "{} reaches the webhooks it names, and nothing else",
                    self.who()
                ));
            }
        };
        let Some((_, of)) = self.grant.webhooks.iter().find(|(named, _)| named == path) else {
            return Err(format!(
                "{} doesn't name `{path}`: create one that does",
                self.who()
            ));
        };
        if uid.is_some_and(|uid| uid != of) {
            return Err(format!(
                "{} was made for an earlier `{path}`, which was deleted: create one for this",
                self.who()
            ));
        }
        Ok(())
    }

    fn reaches_pool(&self, pool: &str) -> Result<(), String> {
        let grant = &*self.grant;
        let named = grant.role == TokenRole::Listener && grant.pools.iter().any(|own| own == pool);
        if named || (grant.role == TokenRole::Admin && grant.org.is_none()) {
            return Ok(());
        }
        Err(format!(
            "{} doesn't name the pool `{pool}`: create one that does",
            self.who()
        ))
    }

    /// The audit's line.
    fn refused(&self, why: String) -> Problem {
        if let Some(left_out) = self.refusals.line(self.now) {
            tracing::warn!(
                token = self.id(),
                method = self.method,
                org = self.grant.org.as_deref().unwrap_or(keys::INSTALLATION_WIDE),
                why,
                left_out,
                "a call was refused"
            );
        }
        Problem::Denied(why)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// With the token that the server was started with.
    pub(crate) fn operator() -> Caller {
        caller(Grant::bootstrap(), None)
    }

    pub(in crate::access) fn caller(grant: Grant, since: Option<Timestamp>) -> Caller {
        Caller {
            grant: Arc::new(grant),
            method: "test",
            since,
            checked: Arc::default(),
            refusals: Arc::default(),
            now: Timestamp(0),
        }
    }

    fn of(role: TokenRole, org: Option<&str>) -> Caller {
        let grant = Grant {
            role,
            org: org.map(Arc::from),
            webhooks: vec![("orgs/acme/groups/g/webhooks/w".to_owned(), "u".to_owned())],
            pools: vec!["edge".to_owned()],
            ..Grant::bootstrap()
        };
        caller(grant, None)
    }

    fn webhook(uid: &str) -> Target<'_> {
        Target::FoundWebhook {
            org: "acme",
            path: "orgs/acme/groups/g/webhooks/w",
            uid,
        }
    }

    #[test]
    fn a_token_of_one_org_reaches_that_org_and_nothing_else() {
        for role in [TokenRole::Viewer, TokenRole::Editor, TokenRole::Admin] {
            let own = of(role, Some("acme"));
            assert!(own.check(Target::Org("acme")).is_ok());
            assert!(own.check(webhook("any")).is_ok());
            for foreign in [
                Target::Org("other"),
                Target::Org(""),
                Target::Org("-"),
                Target::Installation,
                Target::Pool("edge"),
            ] {
                assert!(own.check(foreign).is_err(), "{foreign:?}");
            }
            assert_eq!(own.narrow(None).unwrap().as_deref(), Some("acme"));
            assert!(own.narrow(Some("other".to_owned())).is_err());
        }
        let all = of(TokenRole::Viewer, None);
        assert!(all.check(Target::Org("other")).is_ok());
        assert_eq!(all.narrow(None).unwrap(), None);
    }

    #[test]
    fn a_consumer_reaches_its_webhooks_and_not_one_that_has_their_name() {
        let own = of(TokenRole::Consumer, Some("acme"));
        assert!(own.check(webhook("u")).is_ok());
        assert!(own.check(webhook("made later")).is_err());
        let another = Target::Webhook {
            org: "acme",
            path: "orgs/acme/groups/g/webhooks/v",
        };
        for target in [
            another,
            Target::Org("acme"),
            Target::Installation,
            Target::Pool("edge"),
        ] {
            assert!(own.check(target).is_err(), "{target:?}");
        }
        assert!(own.narrow(None).is_err());
    }

    #[test]
    fn a_listener_serves_its_pools_for_its_org() {
        let own = of(TokenRole::Listener, Some("acme"));
        let scope = own.listener_scope("edge").unwrap();
        assert_eq!(scope, ListenerScope::new(Some("acme"), "edge"));
        assert!(own.listener_scope("").is_err(), "that is `default`");
        assert!(own.check(Target::Org("acme")).is_err());
        assert!(own.check(webhook("u")).is_err());
        let scope = of(TokenRole::Listener, None).listener_scope("edge");
        assert_eq!(scope.unwrap(), ListenerScope::new(None, "edge"));
        assert!(of(TokenRole::Admin, None).listener_scope("any").is_ok());
        assert!(
            of(TokenRole::Admin, Some("acme"))
                .listener_scope("edge")
                .is_err()
        );
    }

    #[test]
    fn what_is_older_than_the_org_is_not_its_own() {
        let grant = of(TokenRole::Viewer, Some("acme")).grant;
        let young = caller((*grant).clone(), Some(Timestamp(10)));
        assert!(young.sees("acme", Timestamp(10)));
        assert!(!young.sees("acme", Timestamp(9)));
        assert!(!young.sees("other", Timestamp(10)));
    }

    #[test]
    fn a_key_of_another_org_is_not_covered() {
        let own = of(TokenRole::Admin, Some("acme"));
        assert!(own.covers_key(&keys::group("acme", "g")));
        assert!(own.covers_key(&keys::pin("digest")));
        assert!(!own.covers_key(&keys::group("acme-2", "g")));
        assert!(!own.covers_key(&keys::token(keys::INSTALLATION_WIDE, "t")));
    }
}

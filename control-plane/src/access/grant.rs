//! What a caller may do: a stored token, read, and what other credentials come to.

use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::Timestamp;
use prost::Message;
use v1::TokenRole;

use crate::keys;

/// Role and scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    /// For the audit: the token's id, or where it is from.
    pub(super) id: String,
    pub(super) means: Means,
    pub(super) role: TokenRole,
    /// None: of the whole installation.
    pub(super) org: Option<Arc<str>>,
    /// A consumer's: path and uid.
    pub(super) webhooks: Vec<(String, String)>,
    /// A listener's.
    pub(super) pools: Vec<String>,
}

/// What was shown for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    Token,
    Certificate,
}

impl Means {
    /// For messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Certificate => "certificate",
        }
    }
}

impl Grant {
    /// Of the token that the server was started with.
    pub(super) fn bootstrap() -> Self {
        Self {
            id: "bootstrap".to_owned(),
            means: Means::Token,
            role: TokenRole::Admin,
            org: None,
            webhooks: Vec::new(),
            pools: Vec::new(),
        }
    }
}

/// A stored token, as far as it has to be known to let somebody in.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) key: String,
    /// Of the store.
    pub(super) revision: u64,
    pub(super) stored: v1::StoredToken,
    pub(super) grant: Arc<Grant>,
    pub(super) secret_sha256: [u8; 32],
    pub(super) expires: Option<Timestamp>,
}

impl Record {
    /// The error says what is wrong with it. A token that can't be read whole lets nobody in.
    pub(super) fn read(key: &str, revision: u64, value: bytes::Bytes) -> Result<Self, String> {
        let stored = v1::StoredToken::decode(value).map_err(|error| error.to_string())?;
        let token = stored.token.clone().unwrap_or_default();
        let metadata = token.metadata.unwrap_or_default();
        let org = match metadata.org.as_str() {
            "" => keys::INSTALLATION_WIDE,
            org => org,
        };
        if keys::token(org, &metadata.name) != key {
            return Err("it is not what its key says".to_owned());
        }
        let spec = token.spec.unwrap_or_default();
        let role = spec.role();
        if role == TokenRole::Unspecified {
            return Err(format!("this version knows no role {}", spec.role));
        }
        if spec.webhooks.len() != stored.webhook_uids.len() {
            return Err("its webhooks have no uids".to_owned());
        }
        let secret_sha256 = stored.secret_sha256.as_ref();
        let secret_sha256 = secret_sha256
            .try_into()
            .map_err(|_| "its hash is of another length".to_owned())?;
        let grant = Grant {
            id: metadata.name,
            means: Means::Token,
            role,
            org: (org != keys::INSTALLATION_WIDE).then(|| Arc::from(org)),
            webhooks: spec
                .webhooks
                .into_iter()
                .zip(stored.webhook_uids.iter().cloned())
                .collect(),
            pools: spec.pools,
        };
        let expires = token.status.unwrap_or_default().expire_time;
        Ok(Self {
            key: key.to_owned(),
            revision,
            grant: Arc::new(grant),
            secret_sha256,
            expires: expires.as_ref().map(hookplane_rules::time::from_wire),
            stored,
        })
    }

    /// What the store knows of its last use.
    pub(super) fn last_use(&self) -> Option<Timestamp> {
        let token = self.stored.token.as_ref()?;
        let time = token.status.as_ref()?.last_use_time.as_ref()?;
        Some(hookplane_rules::time::from_wire(time))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As the service writes one.
    pub(in crate::access) fn stored(
        org: &str,
        id: &str,
        org_uid: &str,
        spec: v1::TokenSpec,
    ) -> v1::StoredToken {
        v1::StoredToken {
            webhook_uids: spec
                .webhooks
                .iter()
                .map(|w| format!("uid of {w}"))
                .collect(),
            token: Some(v1::Token {
                metadata: Some(v1::Metadata {
                    org: org.to_owned(),
                    name: id.to_owned(),
                    uid: format!("uid of {id}"),
                    ..Default::default()
                }),
                spec: Some(spec),
                status: None,
            }),
            secret_sha256: vec![7; 32].into(),
            org_uid: org_uid.to_owned(),
        }
    }

    fn viewer() -> v1::TokenSpec {
        v1::TokenSpec {
            role: TokenRole::Viewer.into(),
            ..Default::default()
        }
    }

    fn read(key: &str, stored: &v1::StoredToken) -> Result<Record, String> {
        Record::read(key, 1, stored.encode_to_vec().into())
    }

    #[test]
    fn what_is_not_whole_lets_nobody_in() {
        let whole = stored("acme", "id", "u", viewer());
        assert!(read("v1/tokens/acme/id", &whole).is_ok());
        // Moved below another org, or the whole installation, by whoever can write the store.
        assert!(read("v1/tokens/other/id", &whole).is_err());
        assert!(read("v1/tokens/-/id", &whole).is_err());
        let mut short = whole.clone();
        short.secret_sha256.truncate(31);
        assert!(read("v1/tokens/acme/id", &short).is_err());
        let of_role = |role: i32| {
            let spec = v1::TokenSpec { role, ..viewer() };
            read("v1/tokens/acme/id", &stored("acme", "id", "u", spec))
        };
        assert!(of_role(0).is_err());
        assert!(of_role(99).is_err(), "a role of a later version");
        assert!(Record::read("v1/tokens/acme/id", 1, "x".into()).is_err());
    }
}

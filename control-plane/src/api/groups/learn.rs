//! Secrets that a provider hands over when its URL is set up: kept on first use, and never replaced that way.

use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_rules::Connector;
use subtle::ConstantTimeEq;
use tonic::{Request, Response, Status};

use super::find;
use crate::access::{Caller, opened};
use crate::admission::{self, Lacking};
use crate::api::desk::{Desk, compile, put};
use crate::api::status::Problem;
use crate::config::GroupRecord;
use crate::context::Context;
use crate::keys;
use crate::seal::secret_field;
use crate::store::{Precondition, Transaction};

/// The name under which it is kept.
const LEARNED: &str = "learned";
/// What no provider's secret is shorter or longer than, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 8..=512;
/// For compiling the group's connector, its turn among what is saved counted. A provider waits meanwhile, and another replica may have it compiled.
const COMPILE_TIME: Duration = Duration::from_secs(2);

/// Serves `HandshakeService`.
pub struct HandshakeApi {
    /// The seams.
    pub context: Context,
}

impl HandshakeApi {
    async fn learn(&self, caller: &Caller, request: v1::LearnSecretRequest) -> Result<(), Problem> {
        let scope = caller.listener_scope(&request.pool)?;
        let secret = request.secret;
        if !SECRET_BYTES.contains(&secret.len()) || !secret.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Problem::field(
                "secret",
                format!(
                    "is {} to {} printable ASCII characters",
                    SECRET_BYTES.start(),
                    SECRET_BYTES.end()
                ),
            ));
        }
        // Promise 8. The same words as for a group that isn't there.
        let gone = || Problem::NotFound("the group".to_owned());
        let record = self.context.view.group(&request.group_uid);
        let record = record.filter(|record| scope.covers(&record.group));
        let record = record.ok_or_else(gone)?;
        let known = record.group.metadata.clone().unwrap_or_default();

        let desk = Desk::new(&self.context, caller);
        let (mut group, revision) = find(&desk, &known.org, &known.name).await?;
        // The view may be old: a name used again is another group, and a pool may have changed.
        let is_same = group.metadata.as_ref().is_some_and(|m| m.uid == known.uid);
        if !is_same || !scope.covers(&group) {
            return Err(gone());
        }
        let spec = group.spec.get_or_insert_default();
        if !spec.learn_secret {
            return Err(Problem::Refused(
                "the group doesn't say learnSecret: true".to_owned(),
            ));
        }
        let seal = &self.context.seal;
        let field = secret_field(LEARNED);
        if let Some(stored) = spec.signature_secrets.iter().find(|s| s.name == LEARNED) {
            // A provider that didn't hear our answer says it again.
            let stored = seal.open(&known.uid, field, &stored.sealed)?;
            return match bool::from(stored.as_slice().ct_eq(secret.as_bytes())) {
                true => Ok(()),
                false => Err(Problem::Refused(
                    "the group has learned another secret already".to_owned(),
                )),
            };
        }
        if !spec.signature_secrets.is_empty() {
            return Err(Problem::Refused(
                "the group has a secret already".to_owned(),
            ));
        }
        spec.signature_secrets.push(v1::SignatureSecret {
            name: LEARNED.to_owned(),
            value: String::new(),
            sealed: seal.seal(&known.uid, field, secret.as_bytes())?,
        });
        group.metadata.get_or_insert_default().update_time = Some(desk.now());
        let connector = match compiled(&record, &group) {
            Some(connector) => connector,
            None => {
                let pinned = desk.pinned(&group).await?;
                let compiled = compile(&known.org, pinned);
                let compiled = tokio::time::timeout(COMPILE_TIME, compiled).await;
                let busy = |_| Problem::Busy("too much is saved just now: try again".to_owned());
                compiled.map_err(busy)??
            }
        };
        admission::compile_group(seal, &group, &connector, Lacking::Refused)?;
        let key = keys::group(&known.org, &known.name);
        let transaction = Transaction {
            checks: vec![(key.clone(), Precondition::At(revision))],
            writes: vec![put(key, &group)],
        };
        desk.commit(transaction).await?;
        // The audit's line.
        tracing::info!(
            token = caller.id(),
            group = format!("{}/{}", known.org, known.name),
            "a group learned its signature secret from its provider"
        );
        Ok(())
    }
}

/// The group's connector as the view has it, where the view is of the group's version of it: who hands over a secret waits for nobody's saves.
fn compiled(record: &GroupRecord, group: &v1::WebhookGroup) -> Option<Arc<Connector>> {
    let judge = &record.judge;
    let version = |of: &v1::WebhookGroup| of.status.clone().unwrap_or_default().connector_version;
    (version(&judge.group) == version(group)).then(|| Arc::clone(&judge.connector))
}

#[tonic::async_trait]
impl v1::handshake_service_server::HandshakeService for HandshakeApi {
    async fn learn_secret(
        &self,
        request: Request<v1::LearnSecretRequest>,
    ) -> Result<Response<v1::LearnSecretResponse>, Status> {
        let (caller, request) = opened(request)?;
        self.learn(&caller, request).await?;
        Ok(Response::new(v1::LearnSecretResponse {}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector() -> Arc<Connector> {
        let unsigned = v1::Scheme {
            name: "none".to_owned(),
            unsigned: Some(v1::Unsigned {}),
            ..Default::default()
        };
        let function = v1::ConnectorFunction {
            name: "events".to_owned(),
            open_events: true,
            ..Default::default()
        };
        let protocol = v1::Protocol {
            schemes: vec![unsigned],
            ..Default::default()
        };
        let definition = v1::Connector {
            metadata: Some(v1::Metadata {
                name: "plain".to_owned(),
                ..Default::default()
            }),
            spec: Some(v1::ConnectorSpec {
                functions: vec![function],
                protocol: Some(protocol),
                ..Default::default()
            }),
        };
        Connector::compile(&definition).unwrap()
    }

    // Promise 8: else whoever saves much keeps a provider waiting.
    #[test]
    fn a_connector_that_the_view_has_compiled_is_taken_as_it_is_but_no_other_version() {
        let group = |version: &str| v1::WebhookGroup {
            status: Some(v1::WebhookGroupStatus {
                connector_version: version.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let connector = connector();
        let record = GroupRecord::unsaved(group("one"), Arc::clone(&connector));
        let taken = compiled(&record, &group("one")).unwrap();
        assert!(Arc::ptr_eq(&taken, &connector));
        assert!(compiled(&record, &group("two")).is_none());
    }
}

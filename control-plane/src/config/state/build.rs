//! One group made anew: offered to its pools, and what reports of it are judged by.

use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_proto::v1::config_resource::Body;
use hookplane_rules::{Connector, Group};

use super::{GroupState, State, WebhookState, not_compiled};
use crate::config::compiled::{Judge, JudgedWebhook};
use crate::config::encoded::{Encoded, Encoder};
use crate::config::scope::{pool_of, scopes_of};
use crate::config::tombstone::pin_of;
use crate::config::view::GroupRecord;
use crate::keys;

impl State {
    /// Offers what changed of a group, and says what reports of it are judged by from now on.
    pub(super) fn rebuild(&mut self, uid: &str, at: u64) {
        let Some(mut group) = self.groups.remove(uid) else {
            return;
        };
        self.build(uid, &mut group, at);
        self.groups.insert(uid.to_owned(), group);
    }

    /// What lacks a part keeps its last version.
    fn build(&mut self, uid: &str, group: &mut GroupState, at: u64) {
        let Some(encoded) = group.encoded.clone() else {
            return;
        };
        let digest = pin_of(&group.stored);
        let Some(pin) = self.pins.get(digest) else {
            tracing::error!(
                group = uid,
                connector = digest,
                "a group's connector is not stored; its last version stays"
            );
            return;
        };
        let (connector, pinned) = (pin.compiled.clone(), pin.encoded.clone());

        let metadata = group.stored.metadata.clone().unwrap_or_default();
        let prefix = keys::webhook(&metadata.org, &metadata.name, "");
        let mut offered = vec![encoded];
        let mut stored = Vec::new();
        let mut judged = Vec::new();
        for (key, webhook) in self.webhooks.range_mut(prefix.clone()..) {
            if !key.starts_with(&prefix) {
                break;
            }
            offered.push(webhook.encoded(uid, &self.encoder));
            stored.push(webhook.stored.clone());
            if let Some(connector) = &connector {
                webhook.judge(key, group, connector, self.lists);
            }
            judged.extend(webhook.judged.clone());
        }
        if let Some(connector) = connector {
            let judge = Judge {
                group: group.stored.clone(),
                connector,
                webhooks: judged,
            };
            // Of a list there is no earlier version that could stay.
            if self.lists || self.compiles(uid, group.written, &judge) {
                group.record = Some(GroupRecord {
                    group: group.stored.clone(),
                    revision: group.revision,
                    judge: Arc::new(judge),
                    webhooks: Arc::new(stored),
                });
            }
        }
        let scopes = scopes_of(&metadata.org, pool_of(&group.stored));
        group
            .offered
            .replace(&mut self.pools, scopes, offered, pinned, at);
    }

    /// Whether the group itself does; each of its webhooks was tried when it came.
    fn compiles(&self, uid: &str, written: u64, judge: &Judge) -> bool {
        // It could be opened when it was encoded. What is opened is not kept: it is needed now and then, and there are many.
        let Ok(opened) = self.seal.open_group(&judge.group) else {
            return false;
        };
        Group::compile(&opened, judge.connector.clone(), Vec::new())
            .map_err(|errors| not_compiled(uid, written, &errors))
            .is_ok()
    }
}

/// What a listener matches with. Mappings, destinations and their secrets, and orders are none of its business.
fn for_listeners(stored: &v1::Webhook) -> v1::Webhook {
    let spec = stored.spec.as_ref().map(|spec| v1::WebhookSpec {
        label: spec.label.clone(),
        active: spec.active,
        events: spec.events.clone(),
        filter: spec.filter.clone(),
        ..Default::default()
    });
    v1::Webhook {
        metadata: stored.metadata.clone(),
        spec,
        status: None,
    }
}

impl WebhookState {
    /// Encoded when its group is known, and again only when a group of the same name takes the place of that one.
    fn encoded(&mut self, group_uid: &str, encoder: &Encoder) -> Arc<Encoded> {
        if let Some((of, encoded)) = &self.encoded
            && **of == *group_uid
        {
            return encoded.clone();
        }
        let encoded = encoder.encode(&v1::ConfigResource {
            uid: self.uid.clone(),
            revision: self.revision,
            group_uid: group_uid.to_owned(),
            body: Some(Body::Webhook(for_listeners(&self.stored))),
        });
        self.encoded = Some((group_uid.into(), encoded.clone()));
        encoded
    }

    /// Tried, unless it is of a list or this very version was. What doesn't compile keeps its last version.
    fn judge(&mut self, key: &str, group: &GroupState, connector: &Arc<Connector>, lists: bool) {
        let judged = JudgedWebhook {
            webhook: self.stored.clone(),
            group: group.stored.clone(),
            connector: connector.clone(),
        };
        if self.judged.as_ref().is_some_and(|last| last.is(&judged)) {
            return;
        }
        let tried = if lists {
            Ok(())
        } else {
            judged.try_after(self.judged.as_ref())
        };
        match tried {
            Ok(()) => self.judged = Some(judged),
            Err(errors) => not_compiled(key, self.revision, &errors),
        }
    }
}

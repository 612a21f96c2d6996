//! One group made anew: compiled for this control plane's own use, and offered to its pools.

use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_proto::v1::config_resource::Body;
use hookplane_rules::{Connector, Group, Webhook};

use super::{GroupState, State, WebhookState, not_compiled};
use crate::config::encoded::{Encoded, Encoder};
use crate::config::scope::{pool_of, scopes_of};
use crate::config::tombstone::pin_of;
use crate::config::view::GroupRecord;
use crate::keys;

impl State {
    /// Compiles a group anew and offers what changed.
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
        // It could be opened when it was encoded. What is opened is not kept: it is needed now and then, and there are many.
        let Ok(opened) = self.seal.open_group(&group.stored) else {
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
        let mut compiled = Vec::new();
        for (key, webhook) in self.webhooks.range_mut(prefix.clone()..) {
            if !key.starts_with(&prefix) {
                break;
            }
            offered.push(webhook.encoded(uid, &self.encoder));
            stored.push(webhook.stored.clone());
            if let Some(connector) = &connector {
                webhook.compile(key, &opened, group.written, connector);
            }
            compiled.extend(webhook.compiled.as_ref().map(|(_, _, c)| c.clone()));
        }
        if let Some(connector) = connector {
            match Group::compile(&opened, connector, compiled) {
                Ok(compiled) => {
                    group.record = Some(GroupRecord {
                        group: group.stored.clone(),
                        revision: group.revision,
                        compiled,
                        webhooks: Arc::new(stored),
                    });
                }
                Err(errors) => not_compiled(uid, group.written, &errors),
            }
        }
        let scopes = scopes_of(&metadata.org, pool_of(&group.stored));
        group
            .offered
            .replace(&mut self.pools, scopes, offered, pinned, at);
    }
}

impl WebhookState {
    /// Encoded when its group is known, and again only when a group of the same name takes the place of that one.
    fn encoded(&mut self, group_uid: &str, encoder: &Encoder) -> Arc<Encoded> {
        if let Some((of, encoded)) = &self.encoded
            && of == group_uid
        {
            return encoded.clone();
        }
        let encoded = encoder.encode(&v1::ConfigResource {
            uid: self.uid.clone(),
            revision: self.revision,
            group_uid: group_uid.to_owned(),
            body: Some(Body::Webhook((*self.stored).clone())),
        });
        self.encoded = Some((group_uid.to_owned(), encoded.clone()));
        encoded
    }

    /// Unless this very version is compiled already. What doesn't compile keeps its last version.
    fn compile(
        &mut self,
        key: &str,
        group: &v1::WebhookGroup,
        written: u64,
        connector: &Connector,
    ) {
        let revision = self.revision;
        if self
            .compiled
            .as_ref()
            .is_some_and(|(own, of, _)| (*own, *of) == (revision, written))
        {
            return;
        }
        match Webhook::compile(&self.stored, group, connector) {
            Ok(compiled) => self.compiled = Some((revision, written, compiled)),
            Err(errors) => not_compiled(key, revision, &errors),
        }
    }
}

//! Groups compiled, when somebody needs them so: a report that was matched with an older plan, a sample to be signed. Most never are, and
//! there may be a hundred thousand: compiling all of them would be most of what a start costs, and keeping them most of its memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hookplane_proto::v1;
use hookplane_rules::{Connector, FieldError, Group, Webhook};

use crate::seal::SealKey;

/// Groups kept compiled, those needed longest ago thrown out first. Only groups that just changed are needed often.
const KEPT: usize = 256;

/// What reports of a group are judged by.
#[derive(Debug)]
pub(crate) struct Judge {
    /// As stored, secrets sealed.
    pub(crate) group: Arc<v1::WebhookGroup>,
    pub(crate) connector: Arc<Connector>,
    pub(crate) webhooks: Vec<JudgedWebhook>,
}

/// A webhook's last version that compiled, and what it was compiled with: its group may have changed since so that it no longer would.
#[derive(Debug, Clone)]
pub(crate) struct JudgedWebhook {
    pub(crate) webhook: Arc<v1::Webhook>,
    pub(crate) group: Arc<v1::WebhookGroup>,
    pub(crate) connector: Arc<Connector>,
}

impl JudgedWebhook {
    pub(crate) fn compile(&self) -> Result<Arc<Webhook>, Vec<FieldError>> {
        // Of the group it looks at names of events alone, and those aren't sealed.
        Webhook::compile(&self.webhook, &self.group, &self.connector)
    }

    /// Whether it compiles, where `last` did or came with a list: who changes a group has none of its filters compiled again, as every reader of the
    /// view waits meanwhile.
    pub(crate) fn try_after(&self, last: Option<&Self>) -> Result<(), Vec<FieldError>> {
        match last {
            Some(last) if Arc::ptr_eq(&last.webhook, &self.webhook) => {
                Webhook::compiles_still(&self.webhook, &self.group, &self.connector)
            }
            _ => self.compile().map(drop),
        }
    }

    /// True when both are made of the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.webhook, &other.webhook)
            && Arc::ptr_eq(&self.group, &other.group)
            && Arc::ptr_eq(&self.connector, &other.connector)
    }
}

impl Judge {
    fn compile(&self, seal: &SealKey) -> Result<Arc<Group>, String> {
        let opened = seal
            .open_group(&self.group)
            .map_err(|error| error.to_string())?;
        // A webhook that doesn't compile takes nothing from its group.
        let webhooks = self.webhooks.iter().filter_map(|webhook| {
            webhook
                .compile()
                .inspect_err(|errors| {
                    let uid = webhook.webhook.metadata.as_ref().map_or("", |m| &m.uid);
                    tracing::error!(
                        uid,
                        reason = joined(errors),
                        "a stored webhook doesn't compile"
                    );
                })
                .ok()
        });
        Group::compile(&opened, self.connector.clone(), webhooks.collect())
            .map_err(|errors| joined(&errors))
    }
}

/// The groups that were needed last.
#[derive(Default)]
pub(super) struct Compiled {
    /// The newest last. What the view has no longer is not kept alive here, nor are its secrets once another is compiled.
    kept: Mutex<VecDeque<(Weak<Judge>, Arc<Group>)>>,
}

impl Compiled {
    /// Compiled now, unless it is kept. The error says why it can't be.
    pub(super) fn get(&self, judge: &Arc<Judge>, seal: &SealKey) -> Result<Arc<Group>, String> {
        let wanted = Arc::downgrade(judge);
        let mut kept = self.lock();
        let place = kept.iter().rposition(|(of, _)| Weak::ptr_eq(of, &wanted));
        if let Some(entry) = place.and_then(|place| kept.remove(place)) {
            let group = entry.1.clone();
            kept.push_back(entry);
            return Ok(group);
        }
        drop(kept);
        // Aside: two who need the same at once both compile it, and nobody waits.
        let group = judge.compile(seal)?;
        let mut kept = self.lock();
        kept.retain(|(of, _)| of.strong_count() > 0);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((wanted, group.clone()));
        Ok(group)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Weak<Judge>, Arc<Group>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn joined(errors: &[FieldError]) -> String {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    errors.join("; ")
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
        let definition = v1::Connector {
            metadata: Some(v1::Metadata {
                name: "plain".to_owned(),
                ..Default::default()
            }),
            spec: Some(v1::ConnectorSpec {
                functions: vec![v1::ConnectorFunction {
                    name: "events".to_owned(),
                    open_events: true,
                    ..Default::default()
                }],
                protocol: Some(v1::Protocol {
                    schemes: vec![unsigned],
                    ..Default::default()
                }),
                ..Default::default()
            }),
        };
        Connector::compile(&definition).unwrap()
    }

    fn judge(connector: &Arc<Connector>, name: &str) -> Arc<Judge> {
        Arc::new(Judge {
            group: Arc::new(v1::WebhookGroup {
                metadata: Some(v1::Metadata {
                    org: "acme".to_owned(),
                    name: name.to_owned(),
                    ..Default::default()
                }),
                spec: Some(v1::WebhookGroupSpec {
                    accept_unsigned: true,
                    ..Default::default()
                }),
                status: None,
            }),
            connector: connector.clone(),
            webhooks: Vec::new(),
        })
    }

    #[test]
    fn what_changes_in_a_group_tries_the_events_of_its_webhooks_and_no_filter_again() {
        let connector = connector();
        let of = |webhook: &Arc<v1::Webhook>, registered: &str| {
            let spec = v1::WebhookGroupSpec {
                registered_events: vec![registered.to_owned()],
                ..Default::default()
            };
            let group = v1::WebhookGroup {
                spec: Some(spec),
                ..Default::default()
            };
            JudgedWebhook {
                webhook: Arc::clone(webhook),
                group: Arc::new(group),
                connector: Arc::clone(&connector),
            }
        };
        let webhook = |filter: &str| {
            let spec = v1::WebhookSpec {
                events: vec!["order.paid".to_owned()],
                filter: filter.to_owned(),
                ..Default::default()
            };
            let metadata = v1::Metadata {
                name: "paid".to_owned(),
                ..Default::default()
            };
            Arc::new(v1::Webhook {
                metadata: Some(metadata),
                spec: Some(spec),
                status: None,
            })
        };
        // As a list may bring it: that it is not compiled is seen by its being taken.
        let broken = webhook("payload.");
        let last = of(&broken, "*");
        assert!(last.try_after(None).is_err());
        assert!(of(&broken, "order").try_after(Some(&last)).is_ok());
        let gone = of(&broken, "refund").try_after(Some(&last));
        assert_eq!(gone.unwrap_err()[0].field, "spec.events[0]");
        // A webhook that was written anew is tried whole.
        let anew = of(&webhook("payload."), "order").try_after(Some(&last));
        assert_eq!(anew.unwrap_err()[0].field, "spec.filter");
    }

    #[test]
    fn a_group_is_compiled_once_while_it_is_needed_and_few_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let seal = SealKey::load_or_create(&folder.path().join("seal.key")).unwrap();
        let (compiled, connector) = (Compiled::default(), connector());
        let first = judge(&connector, "first");
        let once = compiled.get(&first, &seal).unwrap();
        let others: Vec<_> = (0..KEPT)
            .map(|n| judge(&connector, &format!("g{n}")))
            .collect();
        for other in &others {
            compiled.get(other, &seal).unwrap();
            // Needed all the time, it is never the oldest.
            assert!(Arc::ptr_eq(&once, &compiled.get(&first, &seal).unwrap()));
        }
        assert_eq!(compiled.lock().len(), KEPT);
        // What the view has no longer goes with the next one that is compiled.
        drop((first, others));
        compiled.get(&judge(&connector, "last"), &seal).unwrap();
        assert_eq!(compiled.lock().len(), 1);

        let error = compiled.get(&judge(&connector, "No Name"), &seal);
        assert!(error.unwrap_err().contains("metadata.name"));
    }
}

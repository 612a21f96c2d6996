//! One group of a plan: what was offered, what serves, and the step from one to the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookplane_proto::v1;

use super::last_segment;
use crate::{Connector, FieldError, Group, Timestamp, Webhook};

/// A group's uid, or a webhook's; its offered revision; what is wrong with it.
pub(super) type Problem = (Arc<str>, u64, String);

/// A token, and when it ends; None for a group's own.
pub(super) type Claim = (Box<str>, Option<Timestamp>);

/// A group, its webhooks, and what serves.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    /// None while only webhooks of it are here.
    offered: Option<Arc<OfferedGroup>>,
    /// True from when the group or its connector changed until it is built: its webhooks are then compiled again too.
    group_changed: bool,
    webhooks: BTreeMap<Arc<str>, OfferedWebhook>,
    /// The last version that compiled, also while a later one is refused.
    pub(super) state: State,
    /// Those that lead here.
    pub(super) tokens: Vec<Box<str>>,
}

#[derive(Debug)]
struct OfferedGroup {
    revision: u64,
    group: v1::WebhookGroup,
}

#[derive(Debug, Clone)]
struct OfferedWebhook {
    revision: u64,
    offered: Arc<v1::Webhook>,
    /// The last version that compiled.
    compiled: Option<Arc<Webhook>>,
    /// True until it is compiled, or refused.
    changed: bool,
}

/// What a group's tokens lead to.
#[derive(Debug, Clone, Default)]
pub(super) enum State {
    /// Only webhooks of it are here.
    #[default]
    Absent,
    Serving(Arc<Good>),
    Disabled,
    Unloadable,
}

/// A version that compiled, and what it was made of: a webhook may change while a later version of the group is refused.
#[derive(Debug)]
pub(super) struct Good {
    group: Arc<OfferedGroup>,
    connector: Arc<Connector>,
    pub(super) compiled: Arc<Group>,
}

/// A version ready to serve, if its tokens are free.
pub(super) struct Built {
    state: State,
    pub(super) tokens: Vec<Claim>,
}

impl Entry {
    pub(super) fn offer_group(&mut self, group: v1::WebhookGroup, revision: u64) {
        self.offered = Some(Arc::new(OfferedGroup { revision, group }));
        self.group_changed = true;
    }

    pub(super) fn forget_group(&mut self) {
        self.offered = None;
        self.state = State::Absent;
    }

    pub(super) fn offer_webhook(&mut self, uid: Arc<str>, webhook: v1::Webhook, revision: u64) {
        let compiled = self
            .webhooks
            .remove(&uid)
            .and_then(|before| before.compiled);
        let webhook = OfferedWebhook {
            revision,
            offered: Arc::new(webhook),
            compiled,
            changed: true,
        };
        self.webhooks.insert(uid, webhook);
    }

    /// Their uids.
    pub(super) fn webhooks(&self) -> impl Iterator<Item = Arc<str>> {
        self.webhooks.keys().cloned()
    }

    pub(super) fn forget_webhook(&mut self, uid: &str) {
        self.webhooks.remove(uid);
    }

    /// A connector arrived that this group may have waited for.
    pub(super) fn look_again(&mut self) {
        self.group_changed = true;
    }

    pub(super) fn pins(&self, connector: &str) -> bool {
        self.offered
            .as_ref()
            .is_some_and(|offered| offered.version() == connector)
    }

    pub(super) fn is_absent(&self) -> bool {
        self.offered.is_none()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.offered.is_none() && self.webhooks.is_empty()
    }

    /// The offered one.
    pub(super) fn revision(&self) -> u64 {
        self.offered.as_ref().map_or(0, |offered| offered.revision)
    }

    /// Compiles what was offered. Webhooks that don't compile are problems, and their last versions stay in.
    pub(super) fn build(
        &mut self,
        connectors: &imbl::HashMap<Arc<str>, Arc<Connector>>,
        problems: &mut Vec<Problem>,
    ) -> Result<Built, String> {
        let Some(offered) = self.offered.clone() else {
            // Nothing of them may outlive the group: they are compiled again with the next one.
            for webhook in self.webhooks.values_mut() {
                webhook.compiled = None;
            }
            return Ok(Built {
                state: State::Absent,
                tokens: Vec::new(),
            });
        };
        let tokens = offered.tokens()?;
        if offered.is_disabled() {
            return Ok(Built {
                state: State::Disabled,
                tokens,
            });
        }
        let connector = self.connector(&offered, connectors)?;
        let state = self.compile(offered, connector, problems)?;
        Ok(Built { state, tokens })
    }

    /// What `build` made serves from now on.
    pub(super) fn take(&mut self, built: Built) {
        self.state = built.state;
        self.tokens = built.tokens.into_iter().map(|(token, _)| token).collect();
        self.group_changed = matches!(self.state, State::Absent | State::Disabled);
    }

    /// What was offered is refused: what there was goes on, with its tokens, and with the webhooks as they are now. Without an older
    /// version the group is unloadable, and these are the tokens that should lead to it.
    pub(super) fn fall_back(&mut self, former: &[Box<str>]) -> Option<Vec<Claim>> {
        match self.state.clone() {
            State::Serving(good) => {
                self.tokens = former.to_vec();
                let (group, connector) = (Arc::clone(&good.group), Arc::clone(&good.connector));
                // Problems of webhooks were told when the offered version was tried.
                if let Ok(state) = self.compile(group, connector, &mut Vec::new()) {
                    self.state = state;
                }
                None
            }
            // It was off, and what would have turned it on is refused: it stays off.
            State::Disabled => {
                self.tokens = former.to_vec();
                None
            }
            State::Absent | State::Unloadable => {
                self.state = State::Unloadable;
                let tokens = self.offered.as_ref().map(|offered| offered.tokens());
                Some(tokens.and_then(Result::ok).unwrap_or_default())
            }
        }
    }

    fn connector(
        &self,
        offered: &OfferedGroup,
        connectors: &imbl::HashMap<Arc<str>, Arc<Connector>>,
    ) -> Result<Arc<Connector>, String> {
        let version = offered.version();
        if let Some(connector) = connectors.get(version) {
            return Ok(Arc::clone(connector));
        }
        match &self.state {
            State::Serving(good) if good.group.version() == version => {
                Ok(Arc::clone(&good.connector))
            }
            _ => Err(format!(
                "the definition `{version}` of its connector is not here, or was refused"
            )),
        }
    }

    fn compile(
        &mut self,
        offered: Arc<OfferedGroup>,
        connector: Arc<Connector>,
        problems: &mut Vec<Problem>,
    ) -> Result<State, String> {
        for (uid, webhook) in &mut self.webhooks {
            if !(self.group_changed || webhook.changed) {
                continue;
            }
            webhook.changed = false;
            match Webhook::compile(&webhook.offered, &offered.group, &connector) {
                Ok(compiled) => webhook.compiled = Some(compiled),
                Err(errors) => problems.push((Arc::clone(uid), webhook.revision, joined(&errors))),
            }
        }
        let webhooks = self
            .webhooks
            .values()
            .filter_map(|webhook| webhook.compiled.clone());
        let compiled = Group::compile(&offered.group, Arc::clone(&connector), webhooks.collect())
            .map_err(|errors| joined(&errors))?;
        Ok(State::Serving(Arc::new(Good {
            group: offered,
            connector,
            compiled,
        })))
    }
}

impl OfferedGroup {
    fn version(&self) -> &str {
        self.group
            .status
            .as_ref()
            .map_or("", |status| status.connector_version.as_str())
    }

    fn is_disabled(&self) -> bool {
        self.group.spec.as_ref().is_some_and(|spec| spec.disabled)
    }

    /// The group's own token first, then those being retired.
    fn tokens(&self) -> Result<Vec<Claim>, String> {
        let status = self.group.status.clone().unwrap_or_default();
        let own = last_segment(&status.callback_url).ok_or("the group has no callback URL")?;
        let mut tokens = vec![(own.into(), None)];
        for retiring in &status.retiring_urls {
            // Without a time it has ended.
            if let (Some(token), Some(time)) = (last_segment(&retiring.url), &retiring.expire_time)
                && token != own
            {
                let expires = time
                    .seconds
                    .saturating_mul(1000)
                    .saturating_add(i64::from(time.nanos) / 1_000_000);
                tokens.push((token.into(), Some(Timestamp(expires))));
            }
        }
        Ok(tokens)
    }
}

/// As one reason.
pub(super) fn joined(errors: &[FieldError]) -> String {
    let errors: Vec<String> = errors.iter().map(FieldError::to_string).collect();
    errors.join("; ")
}

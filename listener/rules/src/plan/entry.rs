//! One group of a plan: what was offered, what serves, and the step from one to the other.

use std::sync::Arc;

use hookplane_proto::v1;
use prost::Message;

use super::last_segment;
use crate::group::Shared;
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
    /// In order of their uids.
    webhooks: Vec<OfferedWebhook>,
    /// The last version that compiled, also while a later one is refused.
    pub(super) state: State,
    /// Those that lead here.
    pub(super) tokens: Vec<Box<str>>,
}

/// Needed again only when something of the group changes, and kept for that as it came: decoded it would take several times the room.
#[derive(Debug)]
struct OfferedGroup {
    revision: u64,
    encoded: Box<[u8]>,
}

#[derive(Debug, Clone)]
struct OfferedWebhook {
    uid: Arc<str>,
    revision: u64,
    encoded: Arc<[u8]>,
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
    pub(super) compiled: Arc<Group>,
}

/// A version ready to serve, if its tokens are free.
pub(super) struct Built {
    state: State,
    pub(super) tokens: Vec<Claim>,
}

impl Entry {
    pub(super) fn offer_group(&mut self, group: v1::WebhookGroup, revision: u64) {
        let encoded = group.encode_to_vec().into();
        self.offered = Some(Arc::new(OfferedGroup { revision, encoded }));
        self.group_changed = true;
    }

    pub(super) fn forget_group(&mut self) {
        self.offered = None;
        self.state = State::Absent;
    }

    pub(super) fn offer_webhook(&mut self, uid: Arc<str>, webhook: &v1::Webhook, revision: u64) {
        let mut webhook = OfferedWebhook {
            uid,
            revision,
            encoded: webhook.encode_to_vec().into(),
            compiled: None,
            changed: true,
        };
        match self.place(&webhook.uid) {
            Ok(place) => {
                webhook.compiled = self.webhooks[place].compiled.take();
                self.webhooks[place] = webhook;
            }
            Err(place) => self.webhooks.insert(place, webhook),
        }
    }

    /// Their uids.
    pub(super) fn webhooks(&self) -> impl Iterator<Item = Arc<str>> {
        self.webhooks.iter().map(|webhook| Arc::clone(&webhook.uid))
    }

    pub(super) fn forget_webhook(&mut self, uid: &str) {
        if let Ok(place) = self.place(uid) {
            self.webhooks.remove(place);
        }
    }

    /// Where a webhook is, or would be.
    fn place(&self, uid: &str) -> Result<usize, usize> {
        self.webhooks
            .binary_search_by(|webhook| (*webhook.uid).cmp(uid))
    }

    /// A connector arrived that this group may have waited for.
    pub(super) fn look_again(&mut self) {
        self.group_changed = true;
    }

    pub(super) fn pins(&self, connector: &str) -> bool {
        self.offered
            .as_ref()
            .is_some_and(|offered| version(&offered.group()) == connector)
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
        shared: &mut Shared,
        problems: &mut Vec<Problem>,
    ) -> Result<Built, String> {
        let Some(offered) = self.offered.clone() else {
            // Nothing of them may outlive the group: they are compiled again with the next one.
            for webhook in &mut self.webhooks {
                webhook.compiled = None;
            }
            return Ok(Built {
                state: State::Absent,
                tokens: Vec::new(),
            });
        };
        let group = offered.group();
        let tokens = tokens(&group)?;
        if group.spec.as_ref().is_some_and(|spec| spec.disabled) {
            return Ok(Built {
                state: State::Disabled,
                tokens,
            });
        }
        let connector = self.connector(version(&group), connectors)?;
        let state = self.compile(offered, &group, connector, shared, problems)?;
        Ok(Built { state, tokens })
    }

    /// What `build` made serves from now on.
    pub(super) fn take(&mut self, built: Built) {
        self.state = built.state;
        self.tokens = built.tokens.into_iter().map(|(token, _)| token).collect();
        self.webhooks.shrink_to_fit();
        self.group_changed = matches!(self.state, State::Absent | State::Disabled);
    }

    /// What was offered is refused: what there was goes on, with its tokens, and with the webhooks as they are now. Without an older
    /// version the group is unloadable, and these are the tokens that should lead to it.
    pub(super) fn fall_back(
        &mut self,
        former: &[Box<str>],
        shared: &mut Shared,
    ) -> Option<Vec<Claim>> {
        match self.state.clone() {
            State::Serving(good) => {
                self.tokens = former.to_vec();
                let (offered, connector) = (
                    Arc::clone(&good.group),
                    Arc::clone(good.compiled.connector()),
                );
                let group = offered.group();
                // Problems of webhooks were told when the offered version was tried.
                let compiled = self.compile(offered, &group, connector, shared, &mut Vec::new());
                if let Ok(state) = compiled {
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
                let offered = self.offered.as_ref();
                let tokens = offered.map(|offered| tokens(&offered.group()));
                Some(tokens.and_then(Result::ok).unwrap_or_default())
            }
        }
    }

    fn connector(
        &self,
        wanted: &str,
        connectors: &imbl::HashMap<Arc<str>, Arc<Connector>>,
    ) -> Result<Arc<Connector>, String> {
        if let Some(connector) = connectors.get(wanted) {
            return Ok(Arc::clone(connector));
        }
        match &self.state {
            State::Serving(good) if version(&good.group.group()) == wanted => {
                Ok(Arc::clone(good.compiled.connector()))
            }
            _ => Err(format!(
                "the definition `{wanted}` of its connector is not here, or was refused"
            )),
        }
    }

    /// `group`: what was offered, decoded.
    fn compile(
        &mut self,
        offered: Arc<OfferedGroup>,
        group: &v1::WebhookGroup,
        connector: Arc<Connector>,
        shared: &mut Shared,
        problems: &mut Vec<Problem>,
    ) -> Result<State, String> {
        for webhook in &mut self.webhooks {
            if !(self.group_changed || webhook.changed) {
                continue;
            }
            webhook.changed = false;
            let offered = decoded(&webhook.encoded);
            match Webhook::compile_sharing(&offered, group, &connector, shared) {
                Ok(compiled) => webhook.compiled = Some(compiled),
                Err(errors) => {
                    problems.push((Arc::clone(&webhook.uid), webhook.revision, joined(&errors)));
                }
            }
        }
        let webhooks = self
            .webhooks
            .iter()
            .filter_map(|webhook| webhook.compiled.clone());
        let compiled = Group::compile(group, connector, webhooks.collect())
            .map_err(|errors| joined(&errors))?;
        Ok(State::Serving(Arc::new(Good {
            group: offered,
            compiled,
        })))
    }
}

impl OfferedGroup {
    fn group(&self) -> v1::WebhookGroup {
        decoded(&self.encoded)
    }
}

fn decoded<M: Message + Default>(encoded: &[u8]) -> M {
    // These bytes were encoded here from such a message; a default one would not compile, and so not serve.
    M::decode(encoded).unwrap_or_default()
}

/// The definition that a group pins.
fn version(group: &v1::WebhookGroup) -> &str {
    let status = group.status.as_ref();
    status.map_or("", |status| status.connector_version.as_str())
}

/// The group's own token first, then those being retired.
fn tokens(group: &v1::WebhookGroup) -> Result<Vec<Claim>, String> {
    let nothing = v1::WebhookGroupStatus::default();
    let status = group.status.as_ref().unwrap_or(&nothing);
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

/// As one reason.
pub(super) fn joined(errors: &[FieldError]) -> String {
    let errors: Vec<String> = errors.iter().map(FieldError::to_string).collect();
    errors.join("; ")
}

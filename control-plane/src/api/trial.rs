//! One webhook, saved or not, tried on an event: whether it takes it, and what it makes of it. Nothing is kept, nothing is sent.
//!
//! ```text
//!   webhook ─ Trial::of ─▶ Trial ─ verdict(event) ─▶ the same rules as at arrival
//!                                └ map(event) ─────▶ the same mapping as at delivery
//! ```
//!
//! All of it is users' expressions, and so it is done aside.

use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::{Group, SampleError, TEMPLATE, Webhook};

use super::desk::{Desk, compile};
use super::scope::Scope;
use super::status::Problem;
use super::{groups, names};
use crate::aside::Here;
use crate::config::GroupRecord;
use crate::context::Context;
use crate::keys;
use crate::mapping::{Mapping, Record, Tried};

/// The group of a trial: as a plan has it, or else as the view has.
pub(super) async fn group_of(
    desk: &Desk<'_>,
    metadata: &v1::Metadata,
) -> Result<GroupRecord, Problem> {
    let path = names::group(&metadata.org, &metadata.group);
    let scope = Scope::parse(desk.caller, "webhook.metadata", &path)?;
    if desk.has_planned(&keys::group(&metadata.org, &metadata.group)) {
        let (group, _) = groups::find(desk, &metadata.org, &metadata.group).await?;
        let connector = compile(&metadata.org, desk.pinned(&group).await?).await?;
        return Ok(GroupRecord::unsaved(group, connector));
    }
    let record = scope.record(desk.context, &path).await?;
    record.ok_or(Problem::NotFound(path))
}

/// A compiled webhook with its group.
pub(super) struct Trial {
    group: Arc<Group>,
    uid: String,
    is_template: bool,
    mapping: Option<Mapping>,
}

/// Whether an event is for the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Matched,
    /// The clause that decided.
    Unmatched(String),
    /// It is, and waits for an operator: the filter erred.
    Held(String),
}

impl Trial {
    /// Of a webhook as it is stored, or as it would be.
    pub(super) fn of(
        _: &Here,
        context: &Context,
        record: &GroupRecord,
        webhook: &v1::Webhook,
    ) -> Result<Self, Problem> {
        let (connector, group) = (&record.judge.connector, &record.judge.group);
        let compiled = Webhook::compile(webhook, group, connector).map_err(Problem::Fields)?;
        let opened = context.seal.open_group(group)?;
        let group = Group::compile_for_trial(&opened, Arc::clone(connector), vec![compiled])
            .map_err(Problem::Fields)?;
        let mapping = webhook
            .spec
            .as_ref()
            .and_then(|spec| spec.mapping.as_ref())
            .filter(|mapping| mapping.active)
            .map(|mapping| Mapping::compile(mapping).map_err(Problem::Fields))
            .transpose()?;
        let metadata = webhook.metadata.clone().unwrap_or_default();
        Ok(Self {
            group,
            is_template: metadata.name == TEMPLATE,
            uid: metadata.uid,
            mapping,
        })
    }

    /// One of the connector's samples as an event that was kept. Its filter is asked, too.
    pub(super) fn sample(
        &self,
        _: &Here,
        context: &Context,
        record: &GroupRecord,
        sample: &str,
        id: uuid::Uuid,
    ) -> Result<v1::Event, Problem> {
        let now = context.clock.now();
        let reported = self.group.report_sample(sample, now, &id.to_string());
        let reported = reported.map_err(|error| match error {
            SampleError::NoSample { .. } => Problem::field("sample", error.to_string()),
            SampleError::CannotSign(why) => Problem::Refused(why),
        })?;
        let mut events = crate::report::as_kept(context, record, *id.as_bytes(), reported);
        let at = events.iter().position(|event| event.r#type == sample);
        if events.is_empty() {
            return Err(Problem::Internal("a sample has no event".to_owned()));
        }
        Ok(events.swap_remove(at.unwrap_or(0)))
    }

    /// Events with a sample, those first that it asks for.
    pub(super) fn samples(&self) -> Vec<&str> {
        self.group.samples()
    }

    /// By registered events, events, filter.
    pub(super) fn verdict(&self, _: &Here, event: &v1::Event) -> Verdict {
        if self.is_template {
            return Verdict::Unmatched("the template never matches: clone it".to_owned());
        }
        let matches = self.group.match_kept(event);
        match matches.into_iter().find(|of| of.webhook_uid == self.uid) {
            Some(of) if of.matched && of.hold.is_empty() => Verdict::Matched,
            Some(of) if of.matched => Verdict::Held(of.hold),
            Some(of) => Verdict::Unmatched(of.reason),
            None => Verdict::Unmatched("its group doesn't know the webhook".to_owned()),
        }
    }

    /// What its mapping makes of an event, whether it takes it or not. None without an active one.
    pub(super) fn map(
        &self,
        _: &Here,
        event: &v1::Event,
    ) -> Result<Option<Record>, Vec<v1::FieldProblem>> {
        let mapping = self.mapping.as_ref();
        mapping.map(|mapping| mapping.apply(event)).transpose()
    }

    /// The same, with all that can be told of it.
    pub(super) fn attempt(&self, _: &Here, event: &v1::Event) -> Tried {
        let mapping = self.mapping.as_ref();
        mapping
            .map(|mapping| mapping.attempt(event))
            .unwrap_or_default()
    }
}

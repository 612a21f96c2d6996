//! One callback from its head to its answer.
//!
//! ```text
//!  rate by address ▸ route ▸ admit ▸ read body ▸ verify ▸ handshake | extract ▸ match ▸ rate by group ▸ report ▸ answer
//!       429          404 503  405 413  408 413     401     2xx         400 403   2xx        429           2xx 503
//!                             415 431  400 503  503
//! ```
//!
//! The group's answer budget starts when the head is complete and bounds all of it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::text::cut;
use hookplane_rules::{
    Callback, Group, Head, Matched, Outcome, RefusalKind, Refused, Reply, Route, Timestamp,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;

use crate::body::{self, BodyError, Share};
use crate::decide::{ASIDE_ABOVE_BYTES, Asked, Decided};
use crate::doctor::Patient;
use crate::handshake;
use crate::limit::Source;
use crate::metrics::Outcome as Counted;
use crate::refusals::{Count, Turned};
use crate::report::{Answer, Unanswered};
use crate::respond::{self, Body, Receipt, Why};
use crate::state::State;

/// The control plane's mark on a test, bounded like everything else that comes in.
const TEST_HEADER: &str = "hookplane-test";
const MAX_TEST_MARK_BYTES: usize = 128;
/// Methods a group may take, for the answer to one that it doesn't.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// Why a callback was turned away, and whose it was.
pub(crate) struct Turn {
    why: Why,
    reason: Cow<'static, str>,
    group: Option<Arc<Group>>,
    /// Of a group that doesn't serve.
    uid: Box<str>,
    /// What the provider wants to hear instead of the reason's own status.
    status: Option<StatusCode>,
    allow: Option<HeaderValue>,
    /// What a scheme refused, for the doctor.
    looked_at: Option<(Callback, Share)>,
}

impl Turn {
    fn new(why: Why, reason: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self {
            why,
            reason: reason.into(),
            group: None,
            uid: Box::default(),
            status: None,
            allow: None,
            looked_at: None,
        })
    }

    pub(crate) fn of(
        why: Why,
        reason: impl Into<Cow<'static, str>>,
        group: &Arc<Group>,
    ) -> Box<Self> {
        let mut turn = Self::new(why, reason);
        turn.group = Some(group.clone());
        turn
    }

    fn of_uid(why: Why, reason: impl Into<Cow<'static, str>>, uid: &str) -> Box<Self> {
        let mut turn = Self::new(why, reason);
        turn.uid = uid.into();
        turn
    }
}

/// What a refusal shows of a request that the rules have taken over by then.
struct Facts {
    method: Method,
    header_names: Vec<HeaderName>,
    body_bytes: u64,
}

/// Answers one request. Nothing it is sent makes this fail or wait beyond the group's budget.
pub(crate) async fn callback(
    state: &Arc<State>,
    remote: SocketAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    let started = Instant::now();
    let received = state.clock.now();
    let _under_way = state.metrics.request();
    let (parts, body) = request.into_parts();
    let mut facts = Facts {
        method: parts.method.clone(),
        header_names: parts.headers.keys().cloned().collect(),
        body_bytes: body.size_hint().lower(),
    };
    let processed = process(state, remote, parts, body, started, received, &mut facts).await;
    state.metrics.took(started.elapsed());
    match processed {
        Ok((outcome, response)) => {
            state.metrics.answered(outcome);
            response
        }
        Err(turn) => {
            state.metrics.refused(turn.why);
            let shown = state.refusals.turned_away(&Turned {
                time: received,
                group: turn.group.as_deref(),
                group_uid: turn.group.as_deref().map_or(&*turn.uid, Group::uid),
                status: turn.status.unwrap_or(turn.why.status()).as_u16(),
                clause: turn.why.clause(),
                reason: &turn.reason,
                method: &facts.method,
                header_names: &facts.header_names,
                body_bytes: facts.body_bytes,
                listener: &state.name,
                remote,
            });
            let answer = respond::refused(turn.why, turn.status, turn.allow);
            if let Some(shown) = shown {
                show_refusal(state, shown, turn.why, turn.group, turn.looked_at);
            }
            answer
        }
    }
}

/// With its likely cause, if the doctor has time for it.
fn show_refusal(
    state: &State,
    refusal: v1::Refusal,
    why: Why,
    group: Option<Arc<Group>>,
    looked_at: Option<(Callback, Share)>,
) {
    let refusal = match (looked_at, group, why) {
        (Some((callback, share)), Some(group), Why::Rule(clause)) => {
            let now = state.clock.now();
            let patient = Patient {
                group,
                callback,
                clause,
                now,
                refusal,
                share,
            };
            match state.doctor.admit(patient, Instant::now()) {
                None => return,
                Some(refusal) => refusal,
            }
        }
        _ => refusal,
    };
    state.refusals.show(refusal);
}

async fn process(
    state: &Arc<State>,
    remote: SocketAddr,
    parts: Parts,
    mut body: Incoming,
    started: Instant,
    received: Timestamp,
    facts: &mut Facts,
) -> Result<(Counted, Response<Body>), Box<Turn>> {
    let rate = state.limits.rate_per_address;
    if rate > 0 && !state.sources.take(&Source::of(remote.ip()), rate, started) {
        return Err(Turn::new(
            Why::AddressRate,
            format!("more than {rate} requests a second from this address"),
        ));
    }
    let (group, plan_revision) = route(state, &parts, started, received)?;
    // hyper counts HTTP/1 headers itself; HTTP/2 has only a bound on their size.
    if parts.headers.len() > state.limits.max_headers {
        let reason = format!("{} headers", parts.headers.len());
        return Err(Turn::of(Why::TooManyHeaders, reason, &group));
    }
    let max_body_bytes = admit(&group, &parts, body.size_hint().exact())?;

    let deadline = started + group.answer_budget();
    let body_deadline = deadline.min(started + state.limits.body_timeout);
    let (body, mut share) = body::read(&mut body, max_body_bytes, body_deadline, &state.buffers)
        .await
        .map_err(|error| {
            let (why, reason) = match error {
                BodyError::TooLarge => (
                    Why::Rule(RefusalKind::BodyTooLarge),
                    format!("body is larger than {max_body_bytes} bytes").into(),
                ),
                BodyError::Timeout => (Why::BodyTimeout, Cow::from("body did not come in time")),
                BodyError::Broken => (Why::BodyBroken, Cow::from("body was cut off or is no HTTP")),
                BodyError::NoRoom => (Why::Overload, Cow::from("bodies hold all they may")),
            };
            Turn::of(why, reason, &group)
        })?;
    facts.body_bytes = body.len() as u64;

    let test_mark = test_mark(&parts);
    let callback = Callback {
        method: parts.method,
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
    };
    let unpacks = group.unpacks(&callback);
    if unpacks {
        // Whoever sends it hasn't proven anything yet.
        let most = usize::try_from(max_body_bytes).unwrap_or(usize::MAX);
        share
            .grow(most)
            .map_err(|_| Turn::of(Why::Overload, "bodies hold all they may", &group))?;
    }
    let asked = Asked {
        state,
        group: &group,
        received,
        deadline,
    };
    let decided = asked.decide(callback, unpacks).await?;
    let (matched, reply) = match decided {
        Ok(Decided::Handshake(mut shaken)) => {
            let done = handshake::finish(state, &group, &mut shaken, received, deadline).await;
            done.map_err(|(why, status, reason)| {
                let mut turn = Turn::of(why, reason, &group);
                turn.status = status;
                turn
            })?;
            return Ok((Counted::Handshake, respond::as_is(&shaken.reply)));
        }
        Ok(Decided::Unregistered(verified, reply)) => {
            if let Some(secret) = verified.secret_name() {
                state.refusals.secret_used(group.uid(), secret);
            }
            // A few go the whole way, to be shown with each webhook's clause; not a large one, behind which others wait.
            if state.refusals.not_kept(group.uid(), Count::NotRegistered)
                && facts.body_bytes <= ASIDE_ABOVE_BYTES as u64
                && let Ok(extracted) = group.extract(verified)
            {
                let matched = group.match_events(extracted);
                show(state, &group, &matched, received, remote, facts);
            }
            let reply = reply.as_ref().unwrap_or(group.success());
            return Ok(not_kept(reply, Count::NotRegistered));
        }
        Ok(Decided::Matched(matched, reply)) => (matched, reply),
        // Risk 44: our own clock is off, so that what is genuine looks stale.
        Err(refused)
            if refused.refusal.kind == RefusalKind::Timestamp && state.link.clock_off() =>
        {
            return Err(Turn::of(Why::ClockOff, refused.refusal.reason, &group));
        }
        Err(refused) => {
            let Refused { refusal, callback } = *refused;
            let mut turn = Turn::of(Why::Rule(refusal.kind), refusal.reason, &group);
            turn.looked_at = callback.map(|callback| (callback, share));
            turn.status = refusal
                .status
                .and_then(|status| StatusCode::from_u16(status).ok());
            return Err(turn);
        }
    };
    let reply = reply.as_ref().unwrap_or(group.success());
    if let Some(secret) = matched.secret_name() {
        state.refusals.secret_used(group.uid(), secret);
    }
    if let Outcome::NotKept { clause, .. } = matched.outcome() {
        let unregistered = *clause == "not-registered";
        // We may not know of a webhook that wants it: the control plane does (risk 45).
        if unregistered || state.is_current(plan_revision) {
            let count = if unregistered {
                Count::NotRegistered
            } else {
                Count::NotMatched
            };
            if state.refusals.not_kept(group.uid(), count) {
                show(state, &group, &matched, received, remote, facts);
            }
            return Ok(not_kept(reply, count));
        }
    }
    if let Some(rate) = group.rate_limit()
        && rate > 0
        && !state.groups.take(group.uid(), rate, Instant::now())
    {
        let reason = format!("more than {rate} kept callbacks a second");
        return Err(Turn::of(Why::GroupRate, reason, &group));
    }

    let request_id = request_id(received).ok_or_else(|| {
        Turn::of(
            Why::Internal,
            "the system gives no random bytes for an event id",
            &group,
        )
    })?;
    let mut report = matched.into_report(request_id, plan_revision, received);
    report.test_mark = test_mark;
    // Risk 45: another replica may lag, and would take its own old view for the newest.
    report.known_revision = state.link.later_than(plan_revision);
    let held = report
        .events
        .iter()
        .any(|event| event.matches.iter().any(|one| !one.hold.is_empty()));
    let waiting = state.metrics.report();
    // On the heap, as what is aside is: else each request, kept or not, would be moved about with room for them.
    let said = Box::pin(state.reporter.report(report, deadline, share)).await;
    drop(waiting);
    if let Ok(Answer::Kept { receipt, .. }) = &said
        && *receipt == Receipt::Duplicate
    {
        state.refusals.repeated(group.uid());
    }
    let answered = answer(&group, reply, said)?;
    if held && answered.0 == Counted::Kept {
        state.metrics.held();
    }
    Ok(answered)
}

/// Genuine, and left out by the group's own configuration.
fn not_kept(reply: &Reply, count: Count) -> (Counted, Response<Body>) {
    let counted = match count {
        Count::NotRegistered => Counted::NotRegistered,
        Count::NotMatched => Counted::NotMatched,
    };
    let response = respond::success(reply, Receipt::NotKept, "");
    (counted, response)
}

/// Shows an operator one that was left out.
fn show(
    state: &State,
    group: &Group,
    matched: &Matched,
    received: Timestamp,
    remote: SocketAddr,
    facts: &Facts,
) {
    let Outcome::NotKept { clause, reason } = matched.outcome() else {
        return;
    };
    let turned = Turned {
        time: received,
        group: Some(group),
        group_uid: group.uid(),
        status: group.success().status,
        clause,
        reason,
        method: &facts.method,
        header_names: &facts.header_names,
        body_bytes: facts.body_bytes,
        listener: &state.name,
        remote,
    };
    state.refusals.example(&turned, matched.example());
}

/// What the control plane said, as an answer to the provider.
fn answer(
    group: &Arc<Group>,
    reply: &Reply,
    answer: Result<Answer, Unanswered>,
) -> Result<(Counted, Response<Body>), Box<Turn>> {
    let success = |counted, receipt, event_id: &str| {
        Ok((counted, respond::success(reply, receipt, event_id)))
    };
    match answer {
        Ok(Answer::Kept {
            receipt: Receipt::Duplicate,
            event_id,
        }) => success(Counted::Duplicate, Receipt::Duplicate, &event_id),
        Ok(Answer::Kept { receipt, event_id }) => success(Counted::Kept, receipt, &event_id),
        Ok(Answer::NotKept) => success(Counted::NotMatched, Receipt::NotKept, ""),
        Ok(Answer::GroupGone(reason)) => Err(Turn::of(Why::GroupGone, reason, group)),
        Ok(Answer::ReplayRefused(reason)) => Err(Turn::of(Why::Replay, reason, group)),
        Err(Unanswered::Full) => Err(Turn::of(
            Why::Overload,
            "too many callbacks wait to be kept",
            group,
        )),
        Err(Unanswered::TooLate) => Err(Turn::of(
            Why::NotDurable,
            "the control plane did not say in time that it is kept",
            group,
        )),
    }
}

fn route(
    state: &State,
    parts: &Parts,
    started: Instant,
    received: Timestamp,
) -> Result<(Arc<Group>, u64), Box<Turn>> {
    let plan = state.plan.load();
    let in_doubt = state.link.in_doubt(started);
    Err(match plan.route(parts.uri.path(), received) {
        Route::Group(group) => return Ok((group.clone(), plan.revision())),
        Route::Unloadable(uid) => Turn::of_uid(
            Why::Unloadable,
            "this listener refused the group's configuration and has no older one",
            uid,
        ),
        Route::Disabled(uid) if in_doubt => Turn::of_uid(
            Why::InDoubt,
            "the group was disabled, and no word from the control plane since",
            uid,
        ),
        Route::Disabled(uid) => Turn::of_uid(Why::Disabled, "the group is disabled", uid),
        Route::Unknown if in_doubt => Turn::new(
            Why::InDoubt,
            "unknown callback URL, and no word from the control plane",
        ),
        // Never the path: it may hold a token that is nearly right, or right on another listener.
        Route::Unknown => Turn::new(Why::UnknownUrl, "unknown callback URL"),
    })
}

fn admit(group: &Arc<Group>, parts: &Parts, content_length: Option<u64>) -> Result<u64, Box<Turn>> {
    let head = Head {
        method: &parts.method,
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
    };
    group.admit(head, content_length).map_err(|refusal| {
        let allow = (refusal.kind == RefusalKind::Method).then(|| allowed(group, head));
        let mut turn = Turn::of(Why::Rule(refusal.kind), refusal.reason, group);
        turn.allow = allow;
        turn
    })
}

/// The methods that the group would have taken.
fn allowed(group: &Group, head: Head<'_>) -> HeaderValue {
    let takes = |method: &&Method| {
        let refused = group.admit(Head { method, ..head }, None).err();
        refused.is_none_or(|refusal| refusal.kind != RefusalKind::Method)
    };
    let methods: Vec<&str> = METHODS.iter().filter(takes).map(Method::as_str).collect();
    HeaderValue::from_str(&methods.join(", ")).unwrap_or(HeaderValue::from_static("POST"))
}

fn test_mark(parts: &Parts) -> String {
    match parts.headers.get(TEST_HEADER).map(HeaderValue::to_str) {
        Some(Ok(mark)) => cut(mark, MAX_TEST_MARK_BYTES).to_owned(),
        _ => String::new(),
    }
}

/// A UUIDv7, one per request.
fn request_id(received: Timestamp) -> Option<[u8; 16]> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).ok()?;
    let millis = u64::try_from(received.0).unwrap_or_default();
    let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
    Some(uuid.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_uuid_v7_of_the_time_received_and_differ() -> Result<(), &'static str> {
        let id = |millis| request_id(Timestamp(millis)).ok_or("no random bytes");
        let first = uuid::Uuid::from_bytes(id(1_700_000_000_000)?);
        assert_eq!(first.get_version_num(), 7);
        assert_eq!(
            u64::from_be_bytes([
                0,
                0,
                first.as_bytes()[0],
                first.as_bytes()[1],
                first.as_bytes()[2],
                first.as_bytes()[3],
                first.as_bytes()[4],
                first.as_bytes()[5]
            ]),
            1_700_000_000_000
        );
        assert_ne!(id(1_700_000_000_000)?, id(1_700_000_000_000)?);
        Ok(())
    }

    #[test]
    fn a_test_mark_is_bounded() {
        let mark = |value: &str| {
            let request = Request::builder().header(TEST_HEADER, value).body(());
            request.map(|request| test_mark(&request.into_parts().0))
        };
        assert_eq!(mark("abc").ok().as_deref(), Some("abc"));
        assert_eq!(mark(&"x".repeat(5000)).map(|m| m.len()).ok(), Some(128));
    }
}

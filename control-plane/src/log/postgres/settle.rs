//! Ends attempts.
//!
//! A batch is one statement. It locks its rows in the order of their keys, so that two replicas never wait for each other both ways.

use std::collections::HashSet;

use super::Shared;
use super::attempts::{Told, recorded};
use super::fault::Fault;
use super::leases::{Limits, MAX_DELAY_MS, NOW, UNSYNCED, back_off, millis, noted};
use super::pool::Session;
use super::statement::text;
use super::token::Token;
use crate::log::{LogError, Settle, Settlement};
use hookplane_proto::v1;

/// What a settlement is, in the statement.
mod kind {
    pub(super) const ACK: i16 = 1;
    pub(super) const NACK: i16 = 2;
    pub(super) const GIVE_UP: i16 = 3;
    pub(super) const EXTEND: i16 = 4;
    pub(super) const RETURN: i16 = 5;
    pub(super) const HOLD: i16 = 6;
}

/// One settlement with the lease it is about, as columns.
struct Said {
    /// Among those that were asked for.
    place: usize,
    token: Token,
    kind: i16,
    /// In milliseconds; none is the usual back-off.
    delay: Option<i64>,
    reason: String,
    attempt: Option<v1::Attempt>,
}

impl Said {
    fn new(place: usize, token: Token, settle: Settle) -> Self {
        let (kind, delay, reason) = match settle.settlement {
            Settlement::Ack => (kind::ACK, None, String::new()),
            Settlement::Nack {
                reason,
                give_up: true,
                ..
            } => (kind::GIVE_UP, None, reason),
            Settlement::Nack { delay, reason, .. } => {
                let delay = delay.map(|delay| millis(delay).min(MAX_DELAY_MS));
                (kind::NACK, delay, reason)
            }
            Settlement::Extend(duration) => {
                let duration = millis(duration).clamp(1, MAX_DELAY_MS);
                (kind::EXTEND, Some(duration), String::new())
            }
            Settlement::Return => (kind::RETURN, None, String::new()),
            Settlement::Hold { reason } => (kind::HOLD, None, reason),
        };
        // It ends in these.
        let attempt = settle
            .attempt
            .filter(|_| kind != kind::EXTEND && kind != kind::RETURN);
        Self {
            place,
            token,
            kind,
            delay,
            reason: text(&reason),
            attempt,
        }
    }

    fn delivery(&self) -> (&str, &str, i32) {
        (&self.token.group_uid, &self.token.event_id, self.token.n)
    }
}

/// Settles a batch. Says of each whether it changed anything.
pub(super) async fn settle(
    shared: &Shared,
    settlements: Vec<Settle>,
) -> Result<Vec<bool>, LogError> {
    let mut changed = vec![false; settlements.len()];
    let mut left: Vec<Said> = settlements
        .into_iter()
        .enumerate()
        .filter_map(|(place, settle)| {
            let token = Token::parse(&shared.token_key, &settle.token)?;
            Some(Said::new(place, token, settle))
        })
        .collect();
    if left.is_empty() {
        return Ok(changed);
    }
    let mut session = shared.pool.call().await?;
    while !left.is_empty() {
        // What is said of a delivery a second time is about what the first time made of it.
        let mut seen = HashSet::new();
        let again: Vec<bool> = left
            .iter()
            .map(|said| !seen.insert(said.delivery()))
            .collect();
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for (said, again) in left.into_iter().zip(again) {
            if again { &mut later } else { &mut now }.push(said);
        }
        for place in once(shared, &mut session, &now).await? {
            changed[place] = true;
        }
        left = later;
    }
    Ok(changed)
}

/// Settles deliveries of which each is there once. Says which settlements changed something.
async fn once(
    shared: &Shared,
    session: &mut Session<'_>,
    said: &[Said],
) -> Result<Vec<usize>, Fault> {
    let sql = format!(
        "WITH {UNSYNCED}, {NOW}, said AS MATERIALIZED (
             SELECT * FROM unnest($4::text[], $5::text[], $6::int[], $7::bigint[], $8::smallint[], $9::bigint[], $10::text[],
                     $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::text[], $16::bigint[])
                 WITH ORDINALITY AS s (group_uid, event_id, n, lease, kind, delay, reason, started, latency, answer, tried, excerpt, mapping, place)
         ), found AS MATERIALIZED (
             SELECT d.group_uid, d.event_id, d.n, d.status, d.attempts, s.kind, s.delay, s.reason AS said, s.place,
                 s.started, s.latency, s.answer, s.tried, s.excerpt, s.mapping,
                 d.status = 2 AND d.lease = s.lease AND d.due > (SELECT ms FROM now) AS held
             FROM said s JOIN deliveries d ON d.group_uid = s.group_uid AND d.event_id = s.event_id AND d.n = s.n
             ORDER BY d.group_uid, d.event_id, d.n FOR UPDATE OF d
         ), d AS (
             UPDATE deliveries SET
                 status = CASE WHEN kind = {ack} THEN 3 WHEN kind = {extend} THEN 2 WHEN kind = {hold} THEN 4
                     WHEN kind = {give_up} OR (kind = {nack} AND found.attempts >= $1 AND destination = '') THEN 5 ELSE 1 END,
                 attempts = CASE WHEN kind IN ({returned}, {hold}) THEN greatest(found.attempts - 1, 0) ELSE found.attempts END,
                 due = CASE WHEN kind = {extend} THEN now.ms + delay WHEN kind = {returned} THEN created
                     WHEN kind = {nack} THEN now.ms + coalesce(delay, {back_off}) ELSE due END,
                 lease = CASE WHEN kind = {extend} THEN lease ELSE 0 END,
                 updated = CASE WHEN kind = {extend} THEN updated ELSE now.ms END,
                 reason = CASE WHEN kind = {extend} THEN reason ELSE said END,
                 recorded = recorded + CASE WHEN started IS NULL THEN 0 ELSE 1 END
             FROM found, now
             WHERE deliveries.group_uid = found.group_uid AND deliveries.event_id = found.event_id AND deliveries.n = found.n
                 AND (held OR (kind = {ack} AND found.status IN (1, 2, 4)))
             RETURNING deliveries.*, found.kind, found.place, found.attempts AS number, found.started, found.latency, found.answer, found.tried,
                 found.excerpt, found.mapping
         ), {noted}, {recorded}
         SELECT place, kind, status, webhook_uid, order_hash <> 0 FROM d LEFT JOIN mode ON true",
        hold = kind::HOLD,
        ack = kind::ACK,
        nack = kind::NACK,
        give_up = kind::GIVE_UP,
        extend = kind::EXTEND,
        returned = kind::RETURN,
        back_off = back_off("found.attempts", "$2", "$3"),
        noted = noted(&format!("d WHERE kind <> {}", kind::EXTEND)),
        recorded = recorded(&format!(
            "(SELECT group_uid, event_id, n, recorded, number, started, latency, answer AS status, tried AS reason, excerpt, mapping AS mapping_version,
                 CASE WHEN kind = {} THEN 1 WHEN status = 5 THEN 3 WHEN status = 4 THEN 4 ELSE 2 END AS outcome
              FROM d WHERE started IS NOT NULL) AS tried",
            kind::ACK
        )),
    );
    let limits = Limits::of(shared);
    let groups: Vec<&str> = said.iter().map(|said| &*said.token.group_uid).collect();
    let events: Vec<&str> = said.iter().map(|said| &*said.token.event_id).collect();
    let numbers: Vec<i32> = said.iter().map(|said| said.token.n).collect();
    let leases: Vec<i64> = said.iter().map(|said| said.token.lease).collect();
    let kinds: Vec<i16> = said.iter().map(|said| said.kind).collect();
    let delays: Vec<Option<i64>> = said.iter().map(|said| said.delay).collect();
    let reasons: Vec<&str> = said.iter().map(|said| &*said.reason).collect();
    let mut told = Told::default();
    said.iter()
        .for_each(|said| told.push(said.attempt.as_ref()));
    let rows = session
        .query(
            &sql,
            &[
                &limits.attempts,
                &limits.first,
                &limits.longest,
                &groups,
                &events,
                &numbers,
                &leases,
                &kinds,
                &delays,
                &reasons,
                &told.started,
                &told.latency,
                &told.status,
                &told.reason,
                &told.excerpt,
                &told.mapping_version,
            ],
        )
        .await?;
    let mut changed = Vec::with_capacity(rows.len());
    let mut webhooks = Vec::new();
    let mut counted = shared.counted();
    for row in &rows {
        let (place, kind, status): (i64, i16, i16) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        // The turn of an order key may have been given on.
        if status == 1 || (row.try_get(4)? && status != 2) {
            webhooks.push(row.try_get(3)?);
        }
        match kind {
            kind::ACK => counted.acked += 1,
            kind::NACK | kind::GIVE_UP => {
                counted.nacked += 1;
                counted.dead += u64::from(status == 5);
            }
            kind::RETURN => counted.returned += 1,
            _ => {}
        }
        let place = usize::try_from(place - 1).ok();
        changed.extend(
            place
                .and_then(|place| said.get(place))
                .map(|said| said.place),
        );
    }
    drop(counted);
    if webhooks.is_empty() {
        shared.wake.changed();
    } else {
        shared.wake.kept(webhooks);
    }
    Ok(changed)
}

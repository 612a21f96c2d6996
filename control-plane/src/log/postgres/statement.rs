//! Callbacks as the arrays that `append.sql` takes, and its rows as what became of them.

use std::collections::{BTreeSet, HashSet};

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::append::{Prepared, PreparedEvent, order_hash, status, version};
use crate::log::Appended;

/// Calls the function.
pub(super) const APPEND: &str = "SELECT event, verdict, of FROM append_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39)";

/// Columns of rows to be. Borrowed from the callbacks, which are kept for another try.
#[derive(Default)]
pub(super) struct Arrays<'a> {
    alike: Vec<i32>,
    c_refuse: Vec<bool>,
    c_window: Vec<i64>,
    k_group: Vec<&'a str>,
    k_key: Vec<&'a [u8]>,
    k_callback: Vec<i32>,
    k_id: Vec<&'a str>,
    k_body: Vec<&'a [u8]>,
    e_callback: Vec<i32>,
    e_order: Vec<i32>,
    e_group: Vec<&'a str>,
    e_id: Vec<&'a str>,
    e_org: Vec<&'a str>,
    e_group_name: Vec<&'a str>,
    e_type: Vec<&'a str>,
    e_received: Vec<i64>,
    e_place: Vec<i32>,
    e_deliveries: Vec<i32>,
    e_record: Vec<&'a [u8]>,
    e_name: Vec<Option<&'a [u8]>>,
    e_body: Vec<Option<&'a [u8]>>,
    e_other: Vec<Option<&'a [u8]>>,
    e_content: Vec<Option<&'a [u8]>>,
    d_event: Vec<i32>,
    d_group: Vec<&'a str>,
    d_event_id: Vec<&'a str>,
    d_n: Vec<i32>,
    d_place: Vec<i32>,
    d_org: Vec<&'a str>,
    d_webhook_uid: Vec<&'a str>,
    d_webhook: Vec<&'a str>,
    d_status: Vec<i16>,
    d_reason: Vec<&'a str>,
    d_idempotency: Vec<&'a str>,
    d_destination: Vec<&'a str>,
    d_order_key: Vec<&'a str>,
    d_order_hash: Vec<i64>,
    d_mapping: Vec<i32>,
    /// Of each event its callback and which of that one's it is, from 0.
    from: Vec<(usize, usize)>,
}

/// What became of the callbacks of one transaction.
#[derive(Default)]
pub(super) struct Outcome {
    /// Of each callback.
    pub(super) appended: Vec<Appended>,
    /// Webhooks with new deliveries that are pending.
    pub(super) webhooks: BTreeSet<String>,
    /// New deliveries that are held.
    pub(super) held: u64,
    /// What of the server is weaker than promised; it was told to keep them nonetheless.
    pub(super) weaker: String,
}

/// What the function says of an event, as numbers.
#[derive(Clone)]
enum Verdict {
    New,
    Duplicate(String),
    Replay(String),
    Resent,
}

/// An event with where it is.
struct Placed<'a> {
    /// From 1, as arrays are counted there.
    callback: usize,
    order: usize,
    place: usize,
    of: &'a Prepared,
    event: &'a PreparedEvent,
}

/// What the type text can hold: every character but one.
pub(super) fn text(text: &str) -> String {
    text.replace('\0', "")
}

/// Counts that fit: a transaction has at most 2^20 rows.
fn int(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

impl<'a> Arrays<'a> {
    pub(super) fn new(callbacks: &[&'a Prepared]) -> Self {
        let mut arrays = Self::default();
        let mut events = Vec::new();
        let mut keys = Vec::new();
        let mut place = 0;
        for (number, of) in callbacks.iter().enumerate() {
            let callback = number + 1;
            arrays.c_refuse.push(of.refuse_suspected_replays);
            arrays.c_window.push(of.dedup_window_ms);
            let mut met = HashSet::new();
            let mut alike = false;
            for (order, event) in of.events.iter().enumerate() {
                let claims = [
                    (&event.keys.name, event.keys.body.as_deref().unwrap_or(&[])),
                    (&event.keys.content, &[][..]),
                ];
                for (key, body) in claims {
                    let Some(key) = key else { continue };
                    // Its second event with the same key claims nothing in advance.
                    if met.insert(key.as_slice()) {
                        keys.push((
                            of.group_uid.as_str(),
                            key.as_slice(),
                            callback,
                            event.id.as_str(),
                            body,
                        ));
                    } else {
                        alike = true;
                    }
                }
                events.push(Placed {
                    callback,
                    order,
                    place,
                    of,
                    event,
                });
                place += 1 + event.deliveries.len();
            }
            if alike {
                arrays.alike.push(int(callback));
            }
        }
        // Risk 43: everybody takes them in this order.
        keys.sort_unstable();
        events.sort_unstable_by_key(|placed| {
            (
                &placed.of.group_uid,
                &placed.event.id,
                placed.callback,
                placed.order,
            )
        });
        for (group, key, callback, id, body) in keys {
            arrays.k_group.push(group);
            arrays.k_key.push(key);
            arrays.k_callback.push(int(callback));
            arrays.k_id.push(id);
            arrays.k_body.push(body);
        }
        for (number, placed) in events.iter().enumerate() {
            arrays.from.push((placed.callback - 1, placed.order));
            arrays.push(number + 1, placed);
        }
        arrays
    }

    fn push(&mut self, number: usize, placed: &Placed<'a>) {
        let Placed {
            callback,
            order,
            place,
            of,
            event,
        } = *placed;
        self.e_callback.push(int(callback));
        self.e_order.push(int(order));
        self.e_group.push(&of.group_uid);
        self.e_id.push(&event.id);
        self.e_org.push(&of.org);
        self.e_group_name.push(&event.group);
        self.e_type.push(&event.event_type);
        self.e_received.push(event.received);
        self.e_place.push(int(place));
        self.e_deliveries.push(int(event.deliveries.len()));
        self.e_record.push(&event.record);
        self.e_name.push(event.keys.name.as_deref());
        self.e_body.push(event.keys.body.as_deref());
        self.e_other.push(event.keys.other.as_deref());
        self.e_content.push(event.keys.content.as_deref());
        for (n, delivery) in (1..).zip(&event.deliveries) {
            self.d_event.push(int(number));
            self.d_group.push(&of.group_uid);
            self.d_event_id.push(&event.id);
            self.d_n.push(int(n));
            self.d_place.push(int(place + n));
            self.d_org.push(&of.org);
            self.d_webhook_uid.push(&delivery.webhook_uid);
            self.d_webhook.push(&delivery.webhook);
            self.d_status.push(status(delivery));
            self.d_reason.push(delivery.hold.as_deref().unwrap_or(""));
            self.d_idempotency.push(&delivery.idempotency_key);
            self.d_destination.push(&delivery.destination);
            self.d_order_key.push(&delivery.order_key);
            self.d_order_hash.push(order_hash(&delivery.order_key));
            self.d_mapping.push(version(delivery.mapping_version));
        }
    }

    /// As [`APPEND`] takes them.
    pub(super) fn params<'b>(&'b self, strict: &'b bool) -> [&'b (dyn ToSql + Sync); 39] {
        let all = self;
        [
            strict,
            &all.alike,
            &all.c_refuse,
            &all.c_window,
            &all.k_group,
            &all.k_key,
            &all.k_callback,
            &all.k_id,
            &all.k_body,
            &all.e_callback,
            &all.e_order,
            &all.e_group,
            &all.e_id,
            &all.e_org,
            &all.e_group_name,
            &all.e_type,
            &all.e_received,
            &all.e_place,
            &all.e_deliveries,
            &all.e_record,
            &all.e_name,
            &all.e_body,
            &all.e_other,
            &all.e_content,
            &all.d_event,
            &all.d_group,
            &all.d_event_id,
            &all.d_n,
            &all.d_place,
            &all.d_org,
            &all.d_webhook_uid,
            &all.d_webhook,
            &all.d_status,
            &all.d_reason,
            &all.d_idempotency,
            &all.d_destination,
            &all.d_order_key,
            &all.d_order_hash,
            &all.d_mapping,
        ]
    }
}

impl Outcome {
    /// From the function's rows; None when they are none of its.
    pub(super) fn new(callbacks: &[&Prepared], arrays: &Arrays<'_>, rows: &[Row]) -> Option<Self> {
        let mut outcome = Self::default();
        let mut verdicts: Vec<Vec<Verdict>> = callbacks
            .iter()
            .map(|callback| vec![Verdict::New; callback.events.len()])
            .collect();
        for row in rows {
            let event: i32 = row.try_get(0).ok()?;
            let of: Option<String> = row.try_get(2).ok()?;
            let verdict = match (row.try_get::<_, i32>(1).ok()?, of) {
                (1, Some(of)) => Verdict::Duplicate(of),
                (2, Some(of)) => Verdict::Replay(of),
                (3, _) => Verdict::Resent,
                (4, Some(weaker)) => {
                    outcome.weaker = weaker;
                    continue;
                }
                _ => return None,
            };
            let number = usize::try_from(event).ok()?.checked_sub(1)?;
            let (callback, order) = *arrays.from.get(number)?;
            *verdicts.get_mut(callback)?.get_mut(order)? = verdict;
        }
        for (callback, verdicts) in callbacks.iter().zip(verdicts) {
            outcome.add(callback, verdicts);
        }
        Some(outcome)
    }

    fn add(&mut self, callback: &Prepared, verdicts: Vec<Verdict>) {
        let mut event_ids = Vec::new();
        let mut duplicate_of = None;
        for (event, verdict) in callback.events.iter().zip(verdicts) {
            match verdict {
                Verdict::Replay(of) => {
                    self.appended.push(Appended::Replay { of });
                    return;
                }
                Verdict::Duplicate(of) => {
                    duplicate_of.get_or_insert(of);
                    continue;
                }
                Verdict::Resent => {}
                Verdict::New => {
                    for delivery in &event.deliveries {
                        match delivery.hold {
                            Some(_) => self.held += 1,
                            None => {
                                self.webhooks.insert(delivery.webhook_uid.clone());
                            }
                        }
                    }
                }
            }
            event_ids.push(event.id.clone());
        }
        self.appended.push(match duplicate_of {
            Some(of) if event_ids.is_empty() => Appended::Duplicate { of },
            _ => Appended::Kept { event_ids },
        });
    }
}

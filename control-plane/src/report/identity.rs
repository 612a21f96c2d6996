//! Who an event is: its id, what tells its repeats, what a sink is handed. Three different things, never one hash for all.
//!
//! Every key is an HMAC-SHA256 under the installation's key over a tag and its fields, each with its length before it, so that no two
//! lists of fields read the same. What goes in is written down here once and never changes: a key that changed would tell no repeat.
//!
//! | key | fields |
//! | --- | --- |
//! | `delivery` | group uid, delivery id, body digest unless the id decides alone, which of several alike in one callback |
//! | `id` | group uid, delivery id |
//! | `signed` | group uid, digest of the request's body, index in it |
//! | `repeat` | group uid, digest of the request's body, query, index in it |
//! | `idempotency` | delivery key, or event id; webhook uid |
//! | `redacted` | digest of the body as it came: kept in its place |
//! | `test` | group uid, digest of the request's body |
//! | `plan` | epoch, revision: see `config/proof.rs` |

use hmac::{Hmac, KeyInit, Mac};
use hookplane_proto::v1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::log::Dedup;

/// The installation's key, made ready once for all that one callback needs.
pub struct Key(Hmac<Sha256>);

impl Key {
    /// Of these bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        // HMAC takes a key of any length.
        Self(Hmac::new_from_slice(key).expect("a key of any length"))
    }
}

/// The event's id: the request's, with an index where it carried several.
pub fn event_id(request_id: [u8; 16], event: &v1::ReportedEvent) -> String {
    let id = uuid::Uuid::from_bytes(request_id);
    if event.in_batch {
        format!("{id}.{}", event.index)
    } else {
        id.to_string()
    }
}

/// SHA-256.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The digest of the body or item as it came: a listener tells it where it took something out.
pub fn as_it_came(told: &[u8], bytes: &[u8]) -> [u8; 32] {
    <[u8; 32]>::try_from(told).unwrap_or_else(|_| digest(bytes))
}

/// A body's digest in a form that nobody can try bodies on.
pub fn hidden(key: &Key, body_digest: &[u8; 32]) -> [u8; 32] {
    mac(key, "redacted", &[body_digest])
}

/// What the events of one request have in common.
pub struct Request<'a> {
    /// The installation's.
    pub key: &'a Key,
    /// The group's.
    pub group_uid: &'a str,
    /// SHA-256 of the whole body.
    pub body: [u8; 32],
    /// As it came.
    pub query: &'a str,
    /// False when nothing proved it genuine but the URL.
    pub signed: bool,
}

/// What tells an event's repeats. `shared`: another event of the same request has the same delivery id. `alike`: how many events before
/// it in the request have the same id and body.
pub fn dedup(
    request: &Request<'_>,
    event: &v1::ReportedEvent,
    body_digest: [u8; 32],
    shared: bool,
    alike: u32,
) -> Dedup {
    let (key, group) = (request.key, request.group_uid.as_bytes());
    let id = event.delivery_id.as_bytes();
    let index = event.index.to_be_bytes();
    if id.is_empty() {
        let repeat = mac(
            key,
            "repeat",
            &[group, &request.body, request.query.as_bytes(), &index],
        );
        return Dedup {
            delivery_key: None,
            id_key: None,
            content_key: Some(repeat),
            body_digest,
        };
    }
    // An id that several events of one request share tells none of them alone.
    let alone = event.delivery_id_is_unique && !shared;
    let alike = alike.to_be_bytes();
    let delivery_key = if alone {
        mac(key, "delivery", &[group, id])
    } else {
        mac(key, "delivery", &[group, id, &body_digest, &alike])
    };
    let id_covered = !event.unsigned_values.iter().any(|v| v == "delivery_id");
    Dedup {
        delivery_key: Some(delivery_key),
        id_key: (!alone && !shared).then(|| mac(key, "id", &[group, id])),
        content_key: (request.signed && !id_covered)
            .then(|| mac(key, "signed", &[group, &request.body, &index])),
        body_digest,
    }
}

/// Handed to every sink: the same on every attempt, every replay, and for a repeat after the dedup window.
pub fn idempotency_key(key: &Key, dedup: &Dedup, event_id: &str, webhook_uid: &str) -> String {
    let identity = dedup.delivery_key.as_ref().map(|delivery| &delivery[..]);
    key_of(key, identity, event_id, webhook_uid)
}

/// The same for an event that is kept, and a webhook that it wasn't kept for.
pub fn later_idempotency_key(key: &Key, event: &v1::Event, webhook_uid: &str) -> String {
    let identity = Some(&event.identity[..]).filter(|identity| !identity.is_empty());
    key_of(key, identity, &event.id, webhook_uid)
}

fn key_of(key: &Key, identity: Option<&[u8]>, event_id: &str, webhook_uid: &str) -> String {
    let webhook = webhook_uid.as_bytes();
    hex::encode(match identity {
        Some(delivery) => mac(key, "idempotency", &[b"delivery", delivery, webhook]),
        None => mac(
            key,
            "idempotency",
            &[b"event", event_id.as_bytes(), webhook],
        ),
    })
}

/// The mark on a request that was signed here as a test. `body`: its digest.
pub fn test_mark(key: &Key, group_uid: &str, body: &[u8; 32]) -> String {
    hex::encode(mac(key, "test", &[group_uid.as_bytes(), body]))
}

/// Whether a request carries that mark. Constant time.
pub fn is_test(key: &Key, group_uid: &str, body: &[u8; 32], mark: &str) -> bool {
    !mark.is_empty()
        && test_mark(key, group_uid, body)
            .as_bytes()
            .ct_eq(mark.as_bytes())
            .into()
}

/// Over a tag and fields, as above.
pub(crate) fn mac(key: &Key, tag: &str, fields: &[&[u8]]) -> [u8; 32] {
    let mut mac = key.0.clone();
    for field in std::iter::once(tag.as_bytes()).chain(fields.iter().copied()) {
        mac.update(&(field.len() as u64).to_be_bytes());
        mac.update(field);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static KEY: LazyLock<Key> = LazyLock::new(|| Key::new(&[7; 32]));

    fn request(group: &str) -> Request<'_> {
        Request {
            key: &KEY,
            group_uid: group,
            body: digest(b"{}"),
            query: "",
            signed: true,
        }
    }

    fn event(id: &str) -> v1::ReportedEvent {
        v1::ReportedEvent {
            delivery_id: id.to_owned(),
            ..Default::default()
        }
    }

    // Risk 7: colliding or unstable ids.
    #[test]
    fn the_same_callback_through_two_listeners_has_one_delivery_key() {
        let a = dedup(&request("g"), &event("d"), digest(b"{}"), false, 0);
        let b = dedup(&request("g"), &event("d"), digest(b"{}"), false, 0);
        assert_eq!(a, b);
    }

    // Risk 7: the same object id with another state is another event, unless the id decides alone.
    #[test]
    fn the_same_id_with_another_body_is_told_apart_unless_the_id_is_unique() {
        let one = dedup(&request("g"), &event("d"), digest(b"1"), false, 0);
        let two = dedup(&request("g"), &event("d"), digest(b"2"), false, 0);
        assert_ne!(one.delivery_key, two.delivery_key);
        assert_eq!(one.id_key, two.id_key);
        assert!(one.id_key.is_some());

        let mut unique = event("d");
        unique.delivery_id_is_unique = true;
        let one = dedup(&request("g"), &unique, digest(b"1"), false, 0);
        let two = dedup(&request("g"), &unique, digest(b"2"), false, 0);
        assert_eq!(one.delivery_key, two.delivery_key);
        assert_eq!(one.id_key, None);
        assert_ne!(one.body_digest, two.body_digest);
    }

    #[test]
    fn groups_share_no_key() {
        let a = dedup(&request("g1"), &event("d"), digest(b""), false, 0);
        let b = dedup(&request("g2"), &event("d"), digest(b""), false, 0);
        assert_ne!(a.delivery_key, b.delivery_key);
        assert_ne!(a.id_key, b.id_key);
    }

    // Risk 7: fields are told apart by their lengths, not by what is in them.
    #[test]
    fn bytes_moved_from_one_field_to_the_next_make_another_key() {
        assert_ne!(
            mac(&KEY, "id", &[b"ab", b"c"]),
            mac(&KEY, "id", &[b"a", b"bc"])
        );
        assert_ne!(mac(&KEY, "id", &[b"ab"]), mac(&KEY, "id", &[b"ab", b""]));
        assert_ne!(mac(&KEY, "id", &[b"a"]), mac(&KEY, "ida", &[]));
    }

    // Risk 7: one hash used for three things.
    #[test]
    fn event_id_dedup_key_and_idempotency_key_are_three_things() {
        let dedup = dedup(&request("g"), &event("d"), digest(b""), false, 0);
        let id = event_id([1; 16], &event("d"));
        let key = idempotency_key(&KEY, &dedup, &id, "w");
        assert_ne!(key, hex::encode(dedup.delivery_key.unwrap()));
        assert_ne!(key, id);
        assert_ne!(key, idempotency_key(&KEY, &dedup, &id, "w2"));
        // A resend of the provider's is another request.
        let resend = event_id([2; 16], &event("d"));
        assert_eq!(key, idempotency_key(&KEY, &dedup, &resend, "w"));
    }

    #[test]
    fn without_a_delivery_id_only_our_own_resends_are_told() {
        let none = dedup(&request("g"), &event(""), digest(b""), false, 0);
        assert_eq!(none.delivery_key, None);
        assert!(none.content_key.is_some());
        assert_ne!(
            idempotency_key(&KEY, &none, "e1", "w"),
            idempotency_key(&KEY, &none, "e2", "w")
        );
    }

    #[test]
    fn signed_bytes_are_remembered_only_where_the_id_is_unsigned() {
        let covered = dedup(&request("g"), &event("d"), digest(b""), false, 0);
        assert_eq!(covered.content_key, None);
        let mut uncovered = event("d");
        uncovered.unsigned_values = vec!["delivery_id".to_owned()];
        let one = dedup(&request("g"), &uncovered, digest(b""), false, 0);
        uncovered.delivery_id = "e".to_owned();
        let two = dedup(&request("g"), &uncovered, digest(b""), false, 0);
        assert!(one.content_key.is_some());
        assert_eq!(one.content_key, two.content_key);
    }

    #[test]
    fn events_that_share_an_id_in_one_request_are_all_kept_and_not_flagged() {
        let mut shared = event("d");
        shared.delivery_id_is_unique = true;
        let first = dedup(&request("g"), &shared, digest(b"1"), true, 0);
        let again = dedup(&request("g"), &shared, digest(b"1"), true, 1);
        let other = dedup(&request("g"), &shared, digest(b"2"), true, 0);
        assert_ne!(first.delivery_key, again.delivery_key);
        assert_ne!(first.delivery_key, other.delivery_key);
        assert_eq!(first.id_key, None);
    }

    #[test]
    fn an_index_is_in_the_id_only_of_a_batch() {
        let mut item = event("");
        item.index = 3;
        assert!(!event_id([0; 16], &item).contains('.'));
        item.in_batch = true;
        assert!(event_id([0; 16], &item).ends_with(".3"));
    }

    #[test]
    fn a_test_mark_is_of_one_group_and_one_body() {
        let (body, other) = (digest(b"body"), digest(b"bodY"));
        let mark = test_mark(&KEY, "g", &body);
        assert!(is_test(&KEY, "g", &body, &mark));
        assert!(!is_test(&KEY, "g", &other, &mark));
        assert!(!is_test(&KEY, "h", &body, &mark));
        assert!(!is_test(&Key::new(&[8; 32]), "g", &body, &mark));
        assert!(!is_test(&KEY, "g", &body, ""));
    }
}

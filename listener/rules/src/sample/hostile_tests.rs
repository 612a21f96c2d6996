use hookplane_proto::v1::SampleVariant;

use super::write::{remove, tamper, write};
use super::*;
use crate::Connector;
use crate::testing::*;

const HMAC: &str = "contentTypes: [application/json]\nschemes:\n  - name: one\n    hmac: {hash: sha256, content: \"{timestamp}.{body}\", signature: \"header:X-Sig\", encoding: hex, key: {decode: raw}}\n    timestamp: {location: \"header:X-Time\", unit: seconds, toleranceSeconds: 300, window: both}\n";
const RANDOM: [u8; 32] = [7; 32];

fn one(group: &Group, kind: SampleVariant) -> Variant {
    let all = group.sample_variants("", NOW, &RANDOM).unwrap();
    let found = all.into_iter().find(|one| one.kind == kind);
    found.unwrap_or_else(|| panic!("{kind:?} is missing"))
}

fn why_not(group: &Group, kind: SampleVariant) -> String {
    one(group, kind).request.err().unwrap_or_default()
}

// A read that returns a secret: who may have a sample signed may not see what it is signed with.
#[test]
fn a_variant_with_a_secret_in_it_says_so_and_the_others_are_made() {
    use SampleVariant::{
        BodyChanged, Good, Handshake, HandshakeNotAsRequired, OtherKey, Oversized, Replayed,
        SignatureChanged, Unsigned, WrongMethod,
    };
    let shows = |group: &Group, kind| one(group, kind).request.unwrap().shows;
    for proof in [
        "token: {location: \"header:X-Token\"}",
        "token: {location: \"query:token\", prefix: \"Bearer \"}",
        "token: {location: \"json:/token\"}",
        "basic: {}",
    ] {
        let group = group(&format!("schemes: [{{name: t, {proof}}}]"));
        for kind in [Good, Replayed, BodyChanged, SignatureChanged] {
            let why = shows(&group, kind).unwrap_or_else(|| panic!("{proof}: {kind:?}"));
            assert!(why.contains("--secret-file"), "{why}");
        }
        for kind in [OtherKey, Unsigned, Oversized, WrongMethod] {
            assert_eq!(shows(&group, kind), None, "{proof}: {kind:?}");
        }
        let sample = group.sign_sample("made", NOW, "an-id").unwrap();
        assert!(sample.shows.is_some(), "{proof}");
    }
    let signs = group(HMAC);
    for kind in [Good, BodyChanged, SignatureChanged, OtherKey] {
        assert_eq!(shows(&signs, kind), None, "{kind:?}");
    }

    // What a definition writes beside the signature may be a secret, too.
    let written = |protocol: &str, is_secret: bool| {
        let mut definition = definition(protocol);
        let spec = definition.spec.as_mut().unwrap();
        spec.parameters.push(v1::ConnectorParameter {
            name: "verify".into(),
            display_name: "Verify token".into(),
            description: "A text of your own.".into(),
            secret: is_secret,
            ..Default::default()
        });
        let mut group = group_spec();
        let spec = group.spec.as_mut().unwrap();
        spec.parameters = [("verify".into(), "synthetic-verify-token".into())].into();
        let connector = Connector::compile(&definition).unwrap();
        Group::compile(&group, connector, Vec::new()).unwrap()
    };
    let handshake = format!(
        "{HMAC}handshakes: [{{name: h, when: {{method: POST, present: \"query:c\"}}, unverified: true, require: [{{location: \"query:v\", equals: \"{{param:verify}}\"}}], challenge: {{location: \"query:c\", maxLength: 32}}, reply: {{contentType: text/plain, body: \"{{challenge}}\"}}}}]\n"
    );
    let also = format!(
        "{HMAC}    also: [{{location: \"header:X-Also\", equals: \"{{param:verify}}\"}}]\n"
    );
    for (protocol, kinds) in [
        (&handshake, &[Handshake, HandshakeNotAsRequired][..]),
        (&also, &[Good, OtherKey]),
    ] {
        for &kind in kinds {
            let why = shows(&written(protocol, true), kind);
            let why = why.unwrap_or_else(|| panic!("{protocol}: {kind:?}"));
            assert!(
                why.contains("`verify`") && !why.contains("synthetic"),
                "{why}"
            );
            assert_eq!(shows(&written(protocol, false), kind), None, "{protocol}");
        }
    }
}

// Risk 35: what a caller could have signed is one of the definition's samples.
#[test]
fn nothing_of_a_callers_is_signed() {
    let group = group(HMAC);
    let asked = "{\"type\":\"forged\"}";
    let error = group.sample_variants(asked, NOW, &RANDOM).unwrap_err();
    assert!(matches!(error, SampleError::NoSample { .. }));
    for one in group.sample_variants("made", NOW, &RANDOM).unwrap() {
        let body = one.request.unwrap().body;
        let body = String::from_utf8_lossy(&body).into_owned();
        let uuid = body.split('"').find(|piece| piece.len() == 36).unwrap();
        let rest = body
            .replace(uuid, "")
            .replace("\"tampered\":\"tampered\",", "");
        assert_eq!(rest, r#"{"type": "made", "id": "", "account": "acc-1"}"#);
    }
}

#[test]
fn a_stale_sample_is_signed_and_refused_for_its_time_alone() {
    let group = group(HMAC);
    for (kind, seconds) in [
        (SampleVariant::TooOld, -360),
        (SampleVariant::TooFarAhead, 360),
    ] {
        let stale = one(&group, kind);
        assert_eq!(
            (stale.expected.status, stale.expected.clause),
            (401, "timestamp")
        );
        let sample = stale.request.unwrap();
        let headers: Vec<(&str, &str)> = sample
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let sent = callback(&headers, sample.body.clone());
        assert_eq!(refusal(&group, sent.clone()).kind.clause(), "timestamp");
        let then = Timestamp(NOW.0 + seconds * 1000);
        assert!(group.verify(sent, then).is_ok(), "{kind:?}");
    }
    let untimed = HMAC.replace("{timestamp}.", "");
    let untimed = untimed.split("    timestamp:").next().unwrap().to_owned();
    let group = group_with(&untimed, |_| {}).unwrap();
    assert!(why_not(&group, SampleVariant::TooOld).contains("no time"));
}

#[test]
fn where_only_age_is_checked_that_is_said_of_a_time_ahead() {
    let one_sided = group(&HMAC.replace("window: both", "window: age"));
    assert_eq!(one(&one_sided, SampleVariant::TooOld).expected.status, 401);
    assert_eq!(
        why_not(&one_sided, SampleVariant::TooFarAhead),
        "only age is checked"
    );
}

#[test]
fn a_body_that_nothing_covers_may_be_changed_and_that_is_said() {
    let group = group("schemes: [{name: t, token: {location: \"header:X-Token\"}}]");
    let changed = one(&group, SampleVariant::BodyChanged);
    assert_eq!(
        (changed.expected.status, changed.expected.clause),
        (200, "")
    );
    assert!(changed.about.contains("no signature covers it"));
}

#[test]
fn a_group_that_takes_what_is_unsigned_is_sent_that() {
    let group = group_with(HMAC, |spec| {
        spec.signature_secrets.clear();
        spec.accept_unsigned = true;
    });
    let group = group.unwrap();
    let unsigned = one(&group, SampleVariant::Unsigned);
    assert_eq!(unsigned.expected.status, 200);
    let all = group.sample_variants("", NOW, &RANDOM).unwrap();
    assert!(all.iter().all(|one| one.kind != SampleVariant::OtherKey));
}

#[test]
fn what_is_expected_to_be_kept_depends_on_the_webhooks() {
    let wants = webhook("all", &["*"], "");
    let kept = group_of(HMAC, &[wants], |_| {});
    assert_eq!(
        one(&kept, SampleVariant::Good).expected.receipts[0],
        "synced"
    );
    let unwanted = group(HMAC);
    for kind in [SampleVariant::Good, SampleVariant::Replayed] {
        assert_eq!(one(&unwanted, kind).expected.receipts, ["not-kept"]);
    }
}

#[test]
fn the_sample_is_one_that_a_webhook_takes_if_there_is_any() {
    let mut definition = definition(&format!(
        "{HMAC}extract: {{eventType: [{{from: json:/type}}]}}\n"
    ));
    let events = &mut definition.spec.as_mut().unwrap().functions[0].events;
    for name in ["second", "third"] {
        let mut other = events[0].clone();
        name.clone_into(&mut other.name);
        let sample = other.sample.as_mut().unwrap();
        sample.body = sample.body.replace("made", name);
        events.push(other);
    }
    let connector = crate::Connector::compile(&definition).unwrap();
    let chosen = |webhooks: &[v1::Webhook]| {
        let group = group_spec();
        let compile = |one| crate::Webhook::compile(one, &group, &connector).unwrap();
        let webhooks = webhooks.iter().map(compile).collect();
        let group = Group::compile(&group, connector.clone(), webhooks).unwrap();
        one(&group, SampleVariant::Good)
    };
    let none = chosen(&[]);
    assert_eq!(none.event, "made");
    assert!(none.about.contains("no active webhook"), "{}", none.about);
    let mut idle = webhook("idle", &["second"], "");
    idle.spec.as_mut().unwrap().active = false;
    let taken = chosen(&[idle, webhook("thirds", &["third"], "")]);
    assert_eq!(taken.event, "third");
    assert_eq!(taken.expected.receipts[0], "synced");
    assert!(!taken.about.contains("webhook"), "{}", taken.about);
}

#[test]
fn a_signature_under_a_key_that_is_fetched_may_be_told_by_nobody() {
    let pasted = "schemes: [{name: k, publicKey: {algorithm: ed25519, content: \"{body}\", signature: \"header:X-Sig\", encoding: hex, key: KEY}}]";
    let remote =
        "{format: pem, remote: {url: \"https://keys.example.com/key.pem\", maxAgeSeconds: 3600}}";
    let protocol = pasted.replace("KEY", remote);
    let keyless = |protocol: &str| {
        let group = group_with(protocol, |spec| spec.signature_secrets.clear());
        group.unwrap()
    };
    let group = keyless(&protocol);
    let garbage = one(&group, SampleVariant::SignatureChanged).expected;
    assert_eq!((garbage.status, garbage.or_key_unavailable), (401, true));
    // Without a signature there is nothing to fetch a key for.
    let unsigned = one(&group, SampleVariant::Unsigned).expected;
    assert_eq!((unsigned.status, unsigned.or_key_unavailable), (401, false));
    // In a body an empty one is left.
    let within = protocol
        .replace("header:X-Sig", "json:/account")
        .replace("{body}", "{json:/id}");
    let unsigned = one(&keyless(&within), SampleVariant::Unsigned).expected;
    assert_eq!((unsigned.status, unsigned.or_key_unavailable), (401, true));
}

#[test]
fn a_handshake_that_would_leave_a_made_up_secret_behind_is_not_posted() {
    let learns = format!(
        "{HMAC}handshakes:\n  - name: setup\n    when: {{present: \"header:X-Hook-Secret\"}}\n    unverified: true\n    learn: \"header:X-Hook-Secret\"\n    challenge: {{location: \"header:X-Hook-Secret\", maxLength: 64, also: \"-\"}}\n    reply: {{headers: {{X-Hook-Secret: \"{{challenge}}\"}}}}\n"
    );
    let learning = group_with(&learns, |spec| {
        spec.signature_secrets.clear();
        spec.learn_secret = true;
    });
    let why = why_not(&learning.unwrap(), SampleVariant::Handshake);
    assert!(why.contains("made-up secret"), "{why}");
    // One that takes none refuses it, and that can be tried.
    let other = one(&group(&learns), SampleVariant::Handshake);
    assert_eq!(
        (other.expected.status, other.expected.clause),
        (403, "handshake")
    );
    assert!(other.request.is_ok());
}

fn body(content_type: &str, text: &str) -> Callback {
    callback(&[("content-type", content_type)], text.to_owned())
}

fn text(callback: &Callback) -> &str {
    std::str::from_utf8(&callback.body).unwrap()
}

#[test]
fn values_are_written_into_parts_elements_and_json_within_a_field() {
    let at = |text: &str| Location::parse(text).unwrap();
    let multipart = "multipart/form-data; boundary=b";
    let part = "--b\r\nContent-Disposition: form-data; name=\"sig\"\r\n\r\nold\r\n--b--\r\n";
    let mut form = body(multipart, part);
    write(&mut form, &at("form:sig"), "new").unwrap();
    assert_eq!(text(&form), part.replace("old", "new"));
    assert!(write(&mut form, &at("form:other"), "new").is_err());

    let mut xml = body("text/xml", "<a><b>1</b><c>2</c></a>");
    write(&mut xml, &at("json:/a/b"), "x<y").unwrap();
    assert_eq!(text(&xml), "<a><b>x&lt;y</b><c>2</c></a>");
    assert!(write(&mut xml, &at("json:/a/d"), "x").is_err());

    let mut field = body(
        "application/x-www-form-urlencoded",
        "data=%7B%22token%22%3A%22old%22%7D",
    );
    write(&mut field, &at("form:data->json:/token"), "new").unwrap();
    assert_eq!(text(&field), "data=%7B%22token%22%3A%22new%22%7D");
    remove(&mut field, &at("form:data")).unwrap();
    assert_eq!(text(&field), "");
}

#[test]
fn a_tampered_body_can_still_be_read_and_an_empty_one_cant_be_tampered_with() {
    let mut json = body("application/json", r#"{"n":1}"#);
    tamper(&mut json, &[]).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(text(&json)).is_ok());
    assert_ne!(text(&json), r#"{"n":1}"#);
    let place = [Location::parse("json:/n").unwrap()];
    let mut partly = body("application/json", r#"{"n":1,"m":2}"#);
    tamper(&mut partly, &place).unwrap();
    assert_eq!(text(&partly), r#"{"n":"tampered","m":2}"#);
    assert!(tamper(&mut body("application/json", ""), &[]).is_err());
}

use super::*;
use crate::testing::*;

const PROTOCOL: &str = r#"
schemes: [{name: token, token: {location: "header:X-Token"}}]
extract:
  eventType: [{join: ["item:/type", "item:/action"], separator: .}, {from: "header:X-Type"}]
  deliveryId: [{from: "item:/id"}]
  externalId: [{from: "item:/account"}]
  payload: "form:payload"
batch: {items: "json:", maxItems: 3}
"#;

const HMAC: &str = r#"
schemes: [{name: one, hmac: {hash: sha256, content: "{body}", signature: "header:X-Sig", encoding: hex, key: {decode: raw}}}]
extract:
  eventType: [{join: ["header:X-Type", "json:/action"], separator: .}]
  deliveryId: [{from: "header:X-Id"}]
  externalId: [{from: "json:/account"}]
"#;

fn read(group: &Group, headers: &[(&str, &str)], body: &str) -> Result<Extracted, Refusal> {
    let mut all = vec![("x-token", SECRET)];
    all.extend_from_slice(headers);
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        all.push(("content-type", "application/json"));
    }
    group.extract(genuine(group, callback(&all, body.to_owned())))
}

fn signed(body: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

// Some sign for all their customers with one key: then an account that anybody can write in a header is nobody's.
#[test]
fn an_account_in_a_header_counts_only_where_the_signature_proves_none() {
    let places = "externalId: [{from: \"header:X-Account\"}, {from: \"json:/account\"}]";
    let protocol = HMAC.replace("externalId: [{from: \"json:/account\"}]", places);
    let group = group_with(&protocol, |spec| spec.external_id = "acc-1".to_owned()).unwrap();
    let taken = |body: &str, account: &str| {
        let mac = signed(body);
        let headers = [
            ("x-sig", mac.as_str()),
            ("x-account", account),
            ("content-type", "application/json"),
        ];
        group
            .extract(genuine(&group, callback(&headers, body.to_owned())))
            .map(|_| ())
            .map_err(|refusal| refusal.kind)
    };
    assert_eq!(taken(r#"{"account":"acc-1"}"#, "acc-2"), Ok(()));
    let others = taken(r#"{"account":"acc-2"}"#, "acc-1");
    assert_eq!(others, Err(RefusalKind::ExternalId));
    assert_eq!(taken("{}", "acc-1"), Ok(()));
}

// What one callback can cost is bounded, and past the bound it is kept whole and flagged, not lost.
#[test]
fn a_batch_for_more_webhooks_than_one_append_can_serve_is_kept_whole() {
    let protocol = PROTOCOL.replace("maxItems: 3", "maxItems: 10000");
    let body = format!("[{}]", vec![r#"{"type":"a"}"#; 1_000].join(","));
    let events_for = |webhooks: usize| {
        let webhooks: Vec<_> = (0..webhooks)
            .map(|number| webhook(&format!("w{number}"), &["*"], ""))
            .collect();
        let group = group_of(&protocol, &webhooks, |_| {});
        let extracted = read(&group, &[], &body).unwrap();
        let flagged = extracted.flags == [EventFlag::Undecodable];
        (extracted.events().len(), flagged)
    };
    assert_eq!(events_for(MAX_VERDICTS / 1_000), (1_000, false));
    assert_eq!(events_for(MAX_VERDICTS / 1_000 + 1), (1, true));
}

#[test]
fn a_batch_is_split_into_slices_of_the_body() {
    let group = group(PROTOCOL);
    let body = r#"[{"type": "a", "id": 1, "price": 12.50}, {"type": "b", "action": "c"}]"#;
    let extracted = read(&group, &[], body).unwrap();
    assert!(extracted.in_batch);
    assert!(extracted.flags.is_empty());
    let [one, two] = extracted.events() else {
        panic!("not two events")
    };
    assert_eq!(
        (one.event_type.as_str(), one.delivery_id.as_str()),
        ("a", "1")
    );
    assert_eq!(one.item, r#"{"type": "a", "id": 1, "price": 12.50}"#);
    assert_eq!(
        (two.event_type.as_str(), two.delivery_id.as_str()),
        ("b.c", "")
    );
    // Without copying: the item's bytes lie within the body's.
    let whole = extracted.verified.request().callback.body.as_ptr_range();
    assert!(whole.contains(&one.item.as_ptr()));
}

#[test]
fn a_body_without_an_array_is_one_event() {
    let group = group(PROTOCOL);
    for body in [r#"{"type": "a"}"#, "[]"] {
        let extracted = read(&group, &[], body).unwrap();
        assert!(!extracted.in_batch);
        assert_eq!(extracted.events().len(), 1);
        assert!(extracted.events()[0].item.is_empty());
    }
}

#[test]
fn too_many_items_are_kept_as_one_undecodable_body() {
    let extracted = read(&group(PROTOCOL), &[("x-type", "many")], "[1, 2, 3, 4]").unwrap();
    assert_eq!(extracted.flags, [EventFlag::Undecodable]);
    assert_eq!(extracted.events()[0].format, PayloadFormat::Opaque);
    assert_eq!(extracted.events()[0].event_type, "many");
}

// Risk 41: two parsers disagree.
#[test]
fn what_parsers_read_differently_is_undecodable_and_kept() {
    let group = group(PROTOCOL);
    for body in [
        r#"{"type": "a", "type": "b"}"#,
        r#"{"type": "a"} x"#,
        "not json",
        "",
    ] {
        let extracted = read(&group, &[("x-type", "told")], body).unwrap();
        assert_eq!(extracted.flags, [EventFlag::Undecodable], "{body}");
        assert_eq!(extracted.events()[0].format, PayloadFormat::Opaque);
        assert_eq!(extracted.events()[0].event_type, "told");
    }
}

#[test]
fn json_in_a_form_field_is_read_as_json() {
    let form = ("content-type", "application/x-www-form-urlencoded");
    let extracted = read(
        &group(PROTOCOL),
        &[form],
        "payload=%7B%22type%22%3A%22a%22%7D&x=1",
    )
    .unwrap();
    assert_eq!(extracted.events()[0].event_type, "a");
    assert_eq!(extracted.events()[0].format, PayloadFormat::Form);
    assert_eq!(extracted.events()[0].payload, "form:payload");
}

#[test]
fn another_account_or_none_is_refused_and_one_of_a_batch_refuses_it_all() {
    let group = group_with(PROTOCOL, |spec| spec.external_id = "acc-1".to_owned()).unwrap();
    read(&group, &[], r#"[{"account": "acc-1"}]"#).unwrap();
    for body in [
        r#"{"account": "acc-2"}"#,
        r#"{"type": "a"}"#,
        r#"[{"account": "acc-1"}, {"account": "acc-2"}]"#,
        "not json",
    ] {
        let refused = read(&group, &[], body).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::ExternalId, "{body}");
    }
}

#[test]
fn a_value_that_is_too_long_or_there_twice_counts_as_missing() {
    let group = group(PROTOCOL);
    let long = "x".repeat(MAX_VALUE_BYTES + 1);
    let extracted = read(
        &group,
        &[],
        &format!(r#"{{"type": "{long}", "id": "{long}"}}"#),
    )
    .unwrap();
    assert_eq!(extracted.events()[0].event_type, "");
    assert_eq!(extracted.events()[0].delivery_id, "");
    let extracted = read(&group, &[("x-type", "a"), ("x-type", "b")], "{}").unwrap();
    assert_eq!(extracted.events()[0].event_type, "");
}

#[test]
fn what_the_signature_does_not_cover_is_named() {
    let group = group(HMAC);
    let body = r#"{"action": "opened", "account": "acc-1"}"#;
    let signature = signed(body);
    let headers = [
        ("x-sig", signature.as_str()),
        ("x-type", "issue"),
        ("x-id", "1"),
        ("content-type", "application/json"),
    ];
    let extracted = group
        .extract(genuine(&group, callback(&headers, body)))
        .unwrap();
    assert_eq!(extracted.events()[0].event_type, "issue.opened");
    assert_eq!(
        extracted.events()[0].unsigned_values,
        ["type", "delivery_id"]
    );
    let token = read(
        &crate::testing::group(PROTOCOL),
        &[],
        r#"{"type": "a", "id": "1", "account": "x"}"#,
    )
    .unwrap();
    assert_eq!(
        token.events()[0].unsigned_values,
        ["type", "delivery_id", "external_id"]
    );
}

// Ten thousand items, each with a value that stands once, at the end of a large body: scanned anew for each it would take minutes.
#[test]
fn what_all_items_share_is_read_once() {
    let protocol = r#"
maxBodyBytes: 26214400
schemes: [{name: token, token: {location: "header:X-Token"}}]
extract:
  eventType: [{from: "item:/type"}]
  externalId: [{from: "json:/account", when: {present: "json:/account"}}]
batch: {items: "json:/items", maxItems: 10000}
"#;
    let item = format!(r#"{{"type":"made","pad":"{}"}}"#, "x".repeat(500));
    let body = format!(
        r#"{{"items":[{}],"account":"acc-1"}}"#,
        vec![item; 10_000].join(",")
    );
    let group = group(protocol);
    let started = std::time::Instant::now();
    let callback = callback(&[("x-token", SECRET)], body);
    let extracted = group.extract(genuine(&group, callback)).unwrap();
    assert_eq!(extracted.events.len(), 10_000);
    assert!(
        extracted
            .events
            .iter()
            .all(|event| event.external_id == "acc-1")
    );
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
}

const TYPED: &str = r#"
schemes: [{name: token, token: {location: "header:X-Token"}}]
extract:
  eventType: [{join: ["header:X-Type", "json:/action"], separator: .}, {from: "json:/kind"}]
"#;

/// What a look ahead says, and what the whole way says.
fn left_out(group: &Group, headers: &[(&str, &str)], body: &str) -> (bool, bool) {
    let mut all = vec![("x-token", SECRET)];
    all.extend_from_slice(headers);
    let mut verified = genuine(group, callback(&all, body.to_owned()));
    let told = verified.is_unregistered(group);
    let matched = group.match_events(group.extract(verified).unwrap());
    let is_unregistered = matches!(
        matched.outcome(),
        crate::Outcome::NotKept { clause, .. } if *clause == "not-registered"
    );
    (told, is_unregistered)
}

fn registering(names: &[&str]) -> std::sync::Arc<Group> {
    group_with(TYPED, |spec| {
        spec.registered_events = names.iter().map(|name| (*name).to_owned()).collect();
    })
    .unwrap()
}

#[test]
fn what_is_not_registered_is_told_without_decoding() {
    let json = ("content-type", "application/json");
    let group = registering(&["issue.opened", "order"]);
    let opened = r#"{"action": "opened"}"#;
    assert_eq!(
        left_out(&group, &[json, ("x-type", "push")], opened),
        (true, true)
    );
    assert_eq!(
        left_out(&group, &[json, ("x-type", "issue")], opened),
        (false, false)
    );
    assert_eq!(
        left_out(&group, &[json], r#"{"kind": "order.paid"}"#),
        (false, false)
    );
    // Whatever the rest of it is.
    let torn = r#"{"action": "opened", "x": tr"#;
    assert_eq!(
        left_out(&group, &[json, ("x-type", "push")], torn),
        (true, true)
    );
    // Undecodable it is of the type that its header names, which is registered.
    let group = registering(&["issue"]);
    let twice = r#"{"action": "opened", "action": "closed"}"#;
    assert_eq!(
        left_out(&group, &[json, ("x-type", "issue")], twice),
        (false, false)
    );
    // What isn't plain JSON goes the whole way.
    for header in [("content-type", "text/plain"), ("content-encoding", "gzip")] {
        let (told, _) = left_out(&group, &[header, ("x-type", "push")], opened);
        assert!(!told, "{header:?}");
    }
}

// What an HMAC proves needs no decoding, so verifying must leave the body alone.
#[test]
fn a_signed_callback_is_left_out_undecoded() {
    use hmac::{Hmac, KeyInit, Mac};
    let group = group_with(HMAC, |spec| {
        spec.registered_events = vec!["order".to_owned()]
    });
    let group = group.unwrap();
    let body = r#"{"action": "opened"}"#;
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    let headers = [("x-sig", signature.as_str()), ("x-type", "issue")];
    let mut verified = genuine(&group, callback(&headers, body));
    assert!(verified.is_unregistered(&group));
}

#[test]
fn another_accounts_callback_is_refused_before_it_is_left_out() {
    let group = group_with(TYPED, |spec| spec.external_id = "acc-1".to_owned()).unwrap();
    let mut verified = genuine(
        &group,
        callback(&[("x-token", SECRET), ("x-type", "none")], "{}"),
    );
    assert!(!verified.is_unregistered(&group));
}

proptest::proptest! {
    // Risk 45: nothing that would be kept may be left out by looking ahead, decodable or not.
    #[test]
    fn what_is_told_ahead_is_what_the_whole_way_says(
        names in proptest::collection::vec("(a|b)([.](a|b))?", 1..3),
        header in proptest::option::of("a|b|c"),
        body in "[{](\"(action|kind)\":(\"(a|b|c)\"|1|null|tru),?){0,3}[}]?",
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let group = registering(&names);
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(header.as_deref().map(|text| ("x-type", text)));
        let (told, is_unregistered) = left_out(&group, &headers, &body);
        proptest::prop_assert!(!told || is_unregistered, "{body}");
    }
}

#[test]
fn the_claims_of_a_verified_token_are_the_payload() {
    use base64::Engine as _;
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let encoded = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let token = |claims: &str| {
        let signed = format!(
            "{}.{}",
            encoded(br#"{"alg":"HS256"}"#),
            encoded(claims.as_bytes())
        );
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", encoded(&mac.finalize().into_bytes()))
    };
    let group = group_of(
        r#"
schemes: [{name: token, jwt: {location: "json:/token", algorithms: [HS256]}}]
extract: {eventType: [{from: "json:/type"}], payload: "jwt:"}
"#,
        &[webhook("one", &["told"], "payload.total > 5")],
        |_| {},
    );
    let claims = r#"{"type":"told","total":7}"#;
    let sent = |text: String| callback(&[("content-type", "application/json")], text);
    let body = format!(r#"{{"token":"{}","type":"other"}}"#, token(claims));
    let extracted = group.extract(genuine(&group, sent(body.clone()))).unwrap();
    assert_eq!(extracted.events()[0].event_type, "told");
    let report = group.match_events(extracted).into_report([0; 16], 1, NOW);
    assert!(group.keeps(&report));
    // The body as it came, and what it says for who reads it again.
    assert_eq!(report.body, body);
    assert_eq!(report.events[0].item, claims);
    assert_eq!(report.events[0].format(), PayloadFormat::Json);
    let forged = sent(body.replace("\"type\"", "\"x\"").replacen("ey", "ex", 1));
    assert!(group.verify(forged, NOW).is_err());
    // Without a token there would be no claims.
    let found = errors(
        "schemes: [{name: t, token: {location: \"header:X\"}}]\nextract: {payload: \"jwt:\"}",
    );
    assert_eq!(found[0].field, "spec.protocol.extract.payload");
}

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use hookplane_proto::v1;
use http::Method;
use sha2::{Digest, Sha256};

use super::*;
use crate::testing::*;
use crate::{Callback, Connector, FieldError, Proven};

/// Signs the body alone, and names its signature as X does.
const BODY: &str = r#"
methods: [GET, POST, OPTIONS]
schemes:
  - name: body
    hmac: {hash: sha256, content: "{body}", signature: "header:x-sig", encoding: hex}
extract: {eventType: [{from: "json:/type"}]}
"#;

fn shaking(handshake: &str) -> String {
    format!("{BODY}handshakes:\n  - name: shake\n{handshake}")
}

fn mac(content: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    Mac::update(&mut mac, content.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn get(query: &str) -> Callback {
    Callback {
        method: Method::GET,
        query: query.to_owned(),
        ..callback(&[], "")
    }
}

fn shaken(group: &Group, callback: Callback) -> Shaken {
    match group.verify(callback, NOW).unwrap() {
        Proven::Handshake(shaken) => shaken,
        Proven::Genuine(_) => panic!("it was taken for an event"),
    }
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    let found = reply.headers.iter().find(|(known, _)| known == name);
    found.and_then(|(_, value)| value.to_str().ok())
}

/// Facebook's kind: a token that must be right, and a challenge that is echoed.
const HUB: &str = r#"
    when: {method: GET, present: "query:hub.challenge"}
    unverified: true
    require:
      - {location: "query:hub.mode", equals: subscribe}
      - {location: "query:hub.verify_token", equals: "{param:verify_token}"}
    refusalStatus: 403
    challenge: {location: "query:hub.challenge", maxLength: 32}
    reply: {contentType: text/plain, body: "{challenge}"}
"#;

/// With a parameter, secret or not, of this value in the group.
fn with_parameter(protocol: &str, name: &str, secret: bool, value: &str) -> Arc<Group> {
    let mut definition = definition(protocol);
    let spec = definition.spec.as_mut().unwrap();
    spec.parameters = vec![v1::ConnectorParameter {
        name: name.to_owned(),
        secret,
        ..Default::default()
    }];
    let connector = Connector::compile(&definition).unwrap();
    let mut group = group_spec();
    let parameters = &mut group.spec.as_mut().unwrap().parameters;
    parameters.insert(name.to_owned(), value.to_owned());
    Group::compile(&group, connector, Vec::new()).unwrap()
}

#[test]
fn a_challenge_is_echoed_to_who_knows_the_verify_token_alone() {
    let group = with_parameter(&shaking(HUB), "verify_token", true, "t0p");
    let asked = |token: &str| {
        get(&format!(
            "hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1158201444"
        ))
    };
    let Shaken {
        reply, learn, code, ..
    } = shaken(&group, asked("t0p"));
    assert_eq!(
        (reply.status, reply.body.as_ref()),
        (200, b"1158201444".as_slice())
    );
    assert_eq!(reply.content_type.as_deref(), Some("text/plain"));
    assert_eq!(header(&reply, "x-content-type-options"), Some("nosniff"));
    assert_eq!((learn, code), (None, None));
    for wrong in ["t0", "t0pp", "", "T0P"] {
        let refused = refusal(&group, asked(wrong));
        assert_eq!(refused.kind, RefusalKind::Handshake);
        assert_eq!(refused.status, Some(403), "{wrong}");
        assert!(!refused.reason.contains("t0p"), "{}", refused.reason);
    }
    let unsubscribed = refusal(
        &group,
        get("hub.mode=x&hub.verify_token=t0p&hub.challenge=1"),
    );
    assert_eq!(unsubscribed.status, Some(403));
    // A challenge that isn't of the shape is another matter.
    let shapeless = refusal(
        &group,
        get("hub.mode=subscribe&hub.verify_token=t0p&hub.challenge=%3Cb%3E"),
    );
    assert_eq!(
        (shapeless.kind, shapeless.status),
        (RefusalKind::Handshake, None)
    );
}

#[test]
fn a_code_is_right_or_answered_as_its_provider_expects() {
    let group = with_parameter(
        &shaking(
            r#"
    when: {method: GET, present: "query:verify"}
    unverified: true
    require: [{location: "query:verify", equals: "{param:code}"}]
    refusalStatus: 404
    reply: {status: 204}
"#,
        ),
        "code",
        true,
        "abc",
    );
    let right = shaken(&group, get("verify=abc")).reply;
    assert_eq!(
        (right.status, right.content_type, right.body.len()),
        (204, None, 0)
    );
    assert_eq!(refusal(&group, get("verify=abd")).status, Some(404));
}

#[test]
fn a_header_comes_back_as_a_header() {
    let group = group(&shaking(
        r#"
    when: {method: OPTIONS, present: "header:WebHook-Request-Origin"}
    unverified: true
    challenge: {location: "header:WebHook-Request-Origin", also: ".-", maxLength: 128}
    reply: {headers: {WebHook-Allowed-Origin: "{header:WebHook-Request-Origin}", WebHook-Allowed-Rate: "*"}}
"#,
    ));
    let mut asked = callback(&[("webhook-request-origin", "events.example.com")], "");
    asked.method = Method::OPTIONS;
    let reply = shaken(&group, asked.clone()).reply;
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert_eq!(
        header(&reply, "webhook-allowed-origin"),
        Some("events.example.com")
    );
    assert_eq!(header(&reply, "webhook-allowed-rate"), Some("*"));
    let long = "a".repeat(129);
    for bad in ["a b", "a,b", long.as_str()] {
        asked
            .headers
            .insert("webhook-request-origin", bad.parse().unwrap());
        assert_eq!(
            refusal(&group, asked.clone()).kind,
            RefusalKind::Handshake,
            "{bad}"
        );
    }
}

#[test]
fn a_digest_is_over_the_challenge_the_parameter_and_the_groups_url() {
    let group = with_parameter(
        &shaking(
            r#"
    when: {method: GET, present: "query:challenge_code"}
    unverified: true
    challenge: {location: "query:challenge_code", maxLength: 64}
    digest: {hash: sha256, encoding: hex, content: "{challenge}{param:token}{url_without_query}"}
    reply: {contentType: application/json, body: '{{"challengeResponse":{mac|json}}}'}
"#,
        ),
        "token",
        true,
        "verification-token",
    );
    let reply = shaken(&group, get("challenge_code=a1b2")).reply;
    let expected = hex::encode(Sha256::digest(format!("a1b2verification-token{URL}")));
    assert_eq!(
        reply.body,
        format!(r#"{{"challengeResponse":"{expected}"}}"#)
    );
}

/// X's kind: nobody signs the request, and its challenge is hashed under the key of all callbacks.
const CRC: &str = r#"
    when: {method: GET, present: "query:crc_token"}
    unverified: true
    challenge: {location: "query:crc_token", also: "-_", maxLength: 64}
    mac: {hash: sha256, encoding: hex}
    reply: {contentType: application/json, body: '{{"response_token":"sha256={mac}"}}'}
"#;

// Risk 35: whoever knows the URL can have texts of the shape signed, so a callback whose signed content is of that shape proves nothing.
#[test]
fn what_anybody_can_have_signed_is_no_callback() {
    let group = group(&shaking(CRC));
    for forged in ["123", "true", "null", "a-b_c"] {
        let reply = shaken(&group, get(&format!("crc_token={forged}"))).reply;
        let told = String::from_utf8(reply.body.to_vec()).unwrap();
        assert!(told.contains(&mac(forged)), "it is answered: {told}");
        let forgery = callback(&[("x-sig", &mac(forged))], forged.to_owned());
        let refused = refusal(&group, forgery);
        assert_eq!(refused.kind, RefusalKind::Signature);
        assert!(
            refused.reason.contains("challenge of handshake"),
            "{}",
            refused.reason
        );
    }
    // A callback as the provider posts it has what no challenge can hold, or is longer than any.
    for real in [r#"{"type":"a"}"#, "[]", &"1".repeat(65)] {
        genuine(&group, callback(&[("x-sig", &mac(real))], real.to_owned()));
    }
    for text in [r#"{"a":1}"#, "a b", "a=b", &"a".repeat(65), ""] {
        let asked = get(&form_urlencoded::Serializer::new(String::new())
            .append_pair("crc_token", text)
            .finish());
        assert_eq!(
            refusal(&group, asked).kind,
            RefusalKind::Handshake,
            "{text}"
        );
    }
}

// Risk 35: the same with fixed texts around the challenge.
#[test]
fn fixed_texts_around_a_challenge_are_part_of_what_is_refused() {
    let around = CRC.replace(
        "encoding: hex}",
        "encoding: hex, content: \"a{challenge}b\"}",
    );
    let group = group(&shaking(&around));
    let sent = |body: &str| group.verify(callback(&[("x-sig", &mac(body))], body.to_owned()), NOW);
    assert!(sent("aXb").is_err());
    assert!(sent("ab").is_ok() && sent("aX").is_ok() && sent("Xb").is_ok());
}

const LEARN: &str = r#"
    when: {present: "header:X-Hook-Secret"}
    unverified: true
    challenge: {location: "header:X-Hook-Secret", also: "-", maxLength: 128}
    learn: "header:X-Hook-Secret"
    reply: {headers: {X-Hook-Secret: "{challenge}"}}
"#;

#[test]
fn a_secret_is_learned_once_and_only_where_the_group_says_so() {
    let learning = |secrets: Vec<v1::SignatureSecret>| {
        group_with(&shaking(LEARN), |spec| {
            spec.signature_secrets = secrets;
            spec.learn_secret = true;
        })
        .unwrap()
    };
    let offer = |secret: &str| callback(&[("x-hook-secret", secret)], "{}");
    let none = learning(Vec::new());
    let first = shaken(&none, offer("abcdef-0123456789"));
    assert_eq!(
        first.learn.clone().map(Learned::into_text).as_deref(),
        Some("abcdef-0123456789")
    );
    assert_eq!(
        header(&first.reply, "x-hook-secret"),
        Some("abcdef-0123456789")
    );
    assert!(!format!("{:?}", first.learn).contains("abcdef"));
    // Until it is learned, nothing is genuine.
    let early = callback(&[("x-sig", &mac("{}"))], "{}");
    assert_eq!(refusal(&none, early).kind, RefusalKind::Signature);
    for bad in ["short", &"a".repeat(129)] {
        assert_eq!(
            refusal(&none, offer(bad)).kind,
            RefusalKind::Handshake,
            "{bad}"
        );
    }
    // The same again is a provider that didn't hear the answer; another one is somebody else.
    let has = learning(vec![secret("learned", "abcdef-0123456789")]);
    assert_eq!(shaken(&has, offer("abcdef-0123456789")).learn, None);
    assert_eq!(refusal(&has, offer("another-0123456789")).status, Some(403));
    let own = learning(vec![secret("", SECRET)]);
    assert_eq!(refusal(&own, offer(SECRET)).status, Some(403));
    let says_nothing = group(&shaking(LEARN));
    assert_eq!(
        refusal(&says_nothing, offer("abcdef-0123456789")).status,
        Some(403)
    );
}

#[test]
fn a_group_learns_only_where_its_provider_hands_over_a_secret() {
    let compile = |protocol: &str, edit: fn(&mut v1::WebhookGroupSpec)| {
        let errors = group_with(protocol, edit).unwrap_err();
        errors
            .into_iter()
            .map(|error| error.field)
            .collect::<Vec<_>>()
    };
    let learn = |spec: &mut v1::WebhookGroupSpec| spec.learn_secret = true;
    assert_eq!(compile(BODY, learn), ["spec.learnSecret"]);
    let both = |spec: &mut v1::WebhookGroupSpec| {
        spec.learn_secret = true;
        spec.accept_unsigned = true;
    };
    assert_eq!(compile(&shaking(LEARN), both), ["spec.learnSecret"]);
}

#[test]
fn a_code_for_a_person_is_handed_on_within_its_bound() {
    let group = group(&shaking(
        "    when: {present: \"json:/verificationCode\"}\n    unverified: true\n    show: \"json:/verificationCode\"\n",
    ));
    let sent = |code: &str| {
        let body = serde_json::json!({ "verificationCode": code }).to_string();
        callback(&[("content-type", "application/json")], body)
    };
    let shown = shaken(&group, sent("ab-12 cd"));
    assert_eq!(shown.code.as_deref(), Some("ab-12 cd"));
    // Without a reply of its own it is answered like any success.
    assert_eq!((shown.reply.status, shown.reply.body.len()), (200, 0));
    for bad in ["", "é", "a\nb", &"a".repeat(257)] {
        assert_eq!(refusal(&group, sent(bad)).kind, RefusalKind::Handshake);
    }
}

// Never at a host but the provider's own, and never for who has no signature.
#[test]
fn a_url_to_confirm_is_fetched_from_the_pinned_hosts_alone() {
    let confirming = r#"
    when: {location: "json:/type", equals: confirm}
    confirm: {url: "json:/url", hosts: ["sns.*.amazonaws.com"]}
"#;
    let group = group(&shaking(confirming));
    let sent = |url: &str| {
        let body = serde_json::json!({ "type": "confirm", "url": url }).to_string();
        callback(
            &[("x-sig", &mac(&body)), ("content-type", "application/json")],
            body.clone(),
        )
    };
    let confirm = shaken(
        &group,
        sent("https://sns.eu-west-1.amazonaws.com/?Action=Confirm&Token=a"),
    );
    let confirm = confirm.confirm.unwrap();
    assert_eq!(confirm.host(), "sns.eu-west-1.amazonaws.com");
    assert_eq!(confirm.path_and_query(), "/?Action=Confirm&Token=a");
    for bad in [
        "http://sns.eu-west-1.amazonaws.com/",
        "https://sns.eu-west-1.amazonaws.com.example.com/",
        "https://sns.a.b.amazonaws.com/",
        "https://user@sns.eu-west-1.amazonaws.com/",
        "https://sns.eu-west-1.amazonaws.com:8443/",
        "https://127.0.0.1/",
        "//sns.eu-west-1.amazonaws.com/",
        "",
    ] {
        assert_eq!(
            refusal(&group, sent(bad)).kind,
            RefusalKind::Handshake,
            "{bad}"
        );
    }
    let mut unsigned = sent("https://sns.eu-west-1.amazonaws.com/");
    unsigned.headers.remove("x-sig");
    assert_eq!(refusal(&group, unsigned).kind, RefusalKind::Signature);
    let hostless = wrong(&confirming.replace("[\"sns.*.amazonaws.com\"]", "[]"));
    assert_eq!(
        hostless[0].field,
        "spec.protocol.handshakes[0].confirm.hosts"
    );
}

// Risk 35: Braintree's library signs 20 to 32 hex digits and nothing else.
#[test]
fn a_challenge_of_hex_digits_is_nothing_else() {
    let group = group(&shaking(
        r#"
    when: {present: "query:c"}
    unverified: true
    challenge: {location: "query:c", hex: true, maxLength: 8}
    reply: {contentType: text/plain, body: "{challenge}"}
"#,
    ));
    let sent = |text: &str| get(&format!("c={text}"));
    assert_eq!(shaken(&group, sent("09afAF")).reply.body, "09afAF");
    for bad in ["09ag", "", "012345678", "0-1"] {
        let refused = refusal(&group, sent(bad)).kind;
        assert_eq!(refused, RefusalKind::Handshake, "{bad}");
    }
}

fn wrong(handshake: &str) -> Vec<FieldError> {
    errors(&shaking(handshake))
}

// Risk 35, when the connector is compiled: nothing of a request is hashed or answered but the checked challenge.
#[test]
fn a_handshake_that_would_answer_or_sign_more_than_its_challenge_does_not_compile() {
    let at = "spec.protocol.handshakes[0]";
    for (from, to, field) in [
        ("{challenge}", "{query:other}", "reply.body"),
        ("{challenge}", "{body}", "reply.body"),
        ("{challenge}", "{secret}", "reply.body"),
        ("{challenge}", "{query:hub.challenge?}", "reply.body"),
        ("{challenge}", "{url}", "reply.body"),
        ("text/plain", "text/html", "reply.contentType"),
        ("contentType: text/plain, ", "", "reply.contentType"),
        ("body: \"{challenge}\"", "body: \"ok\"", "challenge"),
        ("body: \"{challenge}\"", "status: 302", "reply.status"),
        (
            "body: \"{challenge}\"",
            "headers: {Set-Cookie: \"{challenge}\"}",
            "reply.headers.Set-Cookie",
        ),
        (
            "body: \"{challenge}\"",
            "headers: {Location: \"{challenge}\"}",
            "reply.headers.Location",
        ),
        (
            "body: \"{challenge}\"",
            "headers: {Hookplane-Receipt: synced}",
            "reply.headers.Hookplane-Receipt",
        ),
        (
            "maxLength: 32",
            "also: \"<\", maxLength: 32",
            "challenge.also",
        ),
        (
            "maxLength: 32",
            "also: \"\\\\\", maxLength: 32",
            "challenge.also",
        ),
        ("maxLength: 32", "maxLength: 1025", "challenge.maxLength"),
        ("refusalStatus: 403", "refusalStatus: 200", "refusalStatus"),
        (
            "refusalStatus: 403",
            "learn: \"json:/s\"\n    confirm: {url: \"json:/u\", hosts: [a.example.com]}",
            "unverified",
        ),
    ] {
        let plain = HUB.replace("equals: \"{param:verify_token}\"", "equals: \"t0p\"");
        assert!(plain.contains(from), "{from}");
        let found = wrong(&plain.replace(from, to));
        let field = format!("{at}.{field}");
        assert!(
            found.iter().any(|error| error.field == field),
            "{from} -> {to}: {found:?}"
        );
    }
    for (from, to, field) in [
        ("encoding: hex", "encoding: raw", "mac.encoding"),
        (
            "encoding: hex",
            "encoding: hex, content: \"{challenge}{query:a}\"",
            "mac.content",
        ),
        (
            "encoding: hex",
            "encoding: hex, content: \"{secret}{challenge}\"",
            "mac.content",
        ),
        (
            "encoding: hex",
            "encoding: hex, content: \"fixed\"",
            "mac.content",
        ),
        (
            "encoding: hex",
            "encoding: hex, content: \"{challenge|lower}\"",
            "mac.content",
        ),
        ("also: \"-_\"", "also: \"=\"", "challenge.also"),
        ("\"sha256={mac}\"", "1", "reply"),
        (
            "mac: {hash",
            "digest: {content: \"{secret}{challenge}\", hash",
            "digest.content",
        ),
    ] {
        assert!(CRC.contains(from), "{from}");
        let found = wrong(&CRC.replace(from, to));
        let field = format!("{at}.{field}");
        assert!(
            found.iter().any(|error| error.field == field),
            "{to}: {found:?}"
        );
    }
    // Unless a scheme has keys of its own, a secret that isn't there yet verifies nothing.
    let signed = LEARN.replace("    unverified: true\n", "");
    assert_eq!(wrong(&signed)[0].field, format!("{at}.unverified"));
}

#[test]
fn an_answer_says_back_what_it_may() {
    let group = group(&format!(
        "{BODY}answer: {{contentType: application/json, body: '{{{{\"id\":{{json:/id|json}}}}}}', headers: {{X-Seen: \"{{header:X-Id?}}\"}}}}"
    ));
    let answered = |id: &str, headers: &[(&str, &str)]| {
        let body = serde_json::json!({ "type": "a", "id": id }).to_string();
        let signature = mac(&body);
        let mut all = vec![
            ("x-sig", signature.as_str()),
            ("content-type", "application/json"),
        ];
        all.extend_from_slice(headers);
        group.answer_to(&genuine(&group, callback(&all, body)))
    };
    let reply = answered("a\"b", &[("x-id", "7")]).unwrap();
    assert_eq!(reply.body, r#"{"id":"a\"b"}"#);
    assert_eq!(header(&reply, "x-seen"), Some("7"));
    assert_eq!(header(&reply, "x-content-type-options"), Some("nosniff"));
    assert_eq!(header(&answered("a", &[]).unwrap(), "x-seen"), Some(""));
    // What doesn't fit is left out: the event is kept all the same.
    for unfit in ["é", "a\nb", &"a".repeat(513)] {
        assert_eq!(answered(unfit, &[]), None);
    }
    let bare = group.success();
    assert_eq!((bare.status, bare.body.len()), (200, 0));
}

#[test]
fn an_answer_that_would_say_more_does_not_compile() {
    for (answer, field) in [
        (
            "{contentType: text/html, body: \"{json:/id}\"}",
            "contentType",
        ),
        (
            "{contentType: application/json, body: \"{json:/id}\"}",
            "body",
        ),
        ("{contentType: text/plain, body: \"{body}\"}", "body"),
        ("{contentType: text/plain, body: \"{secret}\"}", "body"),
        ("{contentType: text/plain, body: \"{challenge}\"}", "body"),
        ("{headers: {Connection: close}}", "headers.Connection"),
        (
            "{patienceSeconds: 1, patienceMilliseconds: 500}",
            "patienceMilliseconds",
        ),
        ("{patienceMilliseconds: 99}", "patienceMilliseconds"),
        ("{status: 204, body: x}", "body"),
    ] {
        let found = errors(&format!("{BODY}answer: {answer}"));
        let field = format!("spec.protocol.answer.{field}");
        assert!(
            found.iter().any(|error| error.field == field),
            "{answer}: {found:?}"
        );
    }
    let quick = group(&format!("{BODY}answer: {{patienceMilliseconds: 1000}}"));
    assert_eq!(quick.answer_budget(), std::time::Duration::from_millis(800));
    // Nothing of a request: any type, and the same answer for all.
    let fixed = group(&format!(
        "{BODY}answer: {{contentType: text/xml, body: \"<Response/>\"}}"
    ));
    assert_eq!(fixed.success().body, "<Response/>");
    assert!(fixed.function.protocol.answer.is_none());
}

#[test]
fn an_object_or_a_list_is_present_and_a_null_is_not() {
    let group = group(&shaking("    when: {absent: \"json:/events/0\"}\n"));
    let proven = |body: &str| {
        let headers = [("x-sig", &*mac(body)), ("content-type", "application/json")];
        group.verify(callback(&headers, body.to_owned()), NOW)
    };
    for body in [r#"{"events":[]}"#, r#"{"events":[null]}"#, "{}"] {
        assert!(matches!(proven(body), Ok(Proven::Handshake(_))), "{body}");
    }
    for body in [
        r#"{"events":[{"a":1}]}"#,
        r#"{"events":[[]]}"#,
        r#"{"events":[1]}"#,
    ] {
        assert!(matches!(proven(body), Ok(Proven::Genuine(_))), "{body}");
    }
}

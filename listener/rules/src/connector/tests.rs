use proptest::prelude::*;

use super::*;
use crate::Group;
use crate::location::{Location, Step};
use crate::template::{Template, Use};
use crate::testing::{connector, definition, errors, group_spec};

const HMAC: &str = r#"schemes:
  - name: one
    hmac: {hash: sha256, content: "{timestamp}.{body}", signature: "header:X-Sig", encoding: hex, key: {decode: raw}}
    timestamp: {location: "header:X-Time", unit: seconds, toleranceSeconds: 300, window: both}
"#;

/// The fields that are wrong once `from` is `to`.
fn wrong(from: &str, to: &str) -> Vec<String> {
    assert!(HMAC.contains(from), "{from}");
    errors(&HMAC.replace(from, to))
        .into_iter()
        .map(|error| error.field)
        .collect()
}

// Risk 33: every scheme with its part missing.
#[test]
fn every_missing_part_is_an_error_at_its_field() {
    connector(HMAC);
    let at = |field: &str| vec![format!("spec.protocol.schemes[0].{field}")];
    assert_eq!(wrong("hash: sha256, ", ""), at("hmac.hash"));
    assert_eq!(wrong("encoding: hex, ", ""), at("hmac.encoding"));
    assert_eq!(wrong("encoding: hex", "encoding: raw"), at("hmac.encoding"));
    assert_eq!(
        wrong("content: \"{timestamp}.{body}\", ", ""),
        at("hmac.content")
    );
    assert_eq!(wrong("{timestamp}.{body}", "{body"), at("hmac.content"));
    assert_eq!(
        wrong("{timestamp}.{body}", "{nonsense}"),
        at("hmac.content")
    );
    assert_eq!(
        wrong("signature: \"header:X-Sig\", ", ""),
        at("hmac.signature")
    );
    assert_eq!(wrong("header:X-Sig", "sig:v1"), at("hmac.signature"));
    assert_eq!(wrong("unit: seconds, ", ""), at("timestamp.unit"));
    assert_eq!(wrong(", window: both", ""), at("timestamp.window"));
    assert_eq!(
        wrong("toleranceSeconds: 300, ", ""),
        at("timestamp.toleranceSeconds")
    );
    assert_eq!(wrong("header:X-Time", "header:"), at("timestamp.location"));
    // A time that the signature doesn't cover could be anybody's.
    assert_eq!(
        wrong("{timestamp}.{body}", "{body}"),
        at("timestamp.location")
    );
    assert_eq!(
        wrong("{timestamp}.{body}", "{secret}{timestamp}{body}"),
        at("hmac.content")
    );
    assert_eq!(
        wrong("key: {decode: raw}", "key: {decode: raw, parameter: other}"),
        at("hmac.key.parameter")
    );
    assert_eq!(
        wrong(
            "    timestamp: {",
            "    token: {location: \"header:X\"}\n    timestamp: {"
        ),
        vec!["spec.protocol.schemes[0]"]
    );
    assert_eq!(
        wrong(
            "    timestamp: {",
            "    covers: [\"header:X-Other\", body]\n    timestamp: {"
        ),
        at("covers[0]")
    );
}

#[test]
fn a_plain_hash_without_its_secret_is_refused() {
    let text = HMAC.replace("hmac:", "digest:");
    let found = errors(&text);
    assert_eq!(found[0].field, "spec.protocol.schemes[0].digest.content");
    connector(&text.replace("\"{timestamp}.{body}\"", "\"{secret}{timestamp}{body}\""));
}

#[test]
fn a_content_that_fits_every_request_is_refused() {
    let found = errors(
        "schemes:\n  - hmac: {hash: sha256, content: hello, signature: \"header:X\", encoding: hex, key: {decode: raw}}",
    );
    assert!(found[0].message.contains("signs nothing"), "{found:?}");
}

#[test]
fn a_function_without_any_scheme_is_refused() {
    let found = errors("methods: [POST]");
    assert_eq!(found[0].field, "spec.functions[0].protocol.schemes");
}

#[test]
fn a_scheme_that_is_never_reached_is_refused() {
    let found = errors(&format!(
        "{HMAC}  - {{name: two, token: {{location: \"header:X-Token\"}}}}\n"
    ));
    assert_eq!(found[0].field, "spec.protocol.schemes[0].when");
}

#[test]
fn what_is_inherited_is_said_once_and_where_it_was_written() {
    let mut definition = definition(&HMAC.replace("hash: sha256, ", ""));
    let spec = definition.spec.as_mut().unwrap();
    let mut second = spec.functions[0].clone();
    second.name = "second".to_owned();
    spec.functions.push(second);
    let found = Connector::compile(&definition).unwrap_err();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].field, "spec.protocol.schemes[0].hmac.hash");
}

#[test]
fn a_functions_own_field_wins_and_the_rest_is_the_connectors() {
    let mut definition = definition(&format!(
        "{HMAC}answer: {{status: 204, patienceSeconds: 10}}"
    ));
    let spec = definition.spec.as_mut().unwrap();
    spec.functions[0].protocol = Some(v1::Protocol {
        methods: vec!["PUT".to_owned()],
        max_body_bytes: Some(10),
        ..Default::default()
    });
    let connector = Connector::compile(&definition).unwrap();
    let protocol = &connector.function("").unwrap().protocol;
    assert_eq!(protocol.methods, ["PUT"]);
    assert_eq!(protocol.max_body_bytes, 10);
    assert_eq!(protocol.success.status, 204);
    assert_eq!(protocol.answer_budget, std::time::Duration::from_secs(8));
    assert_eq!(protocol.schemes.len(), 1);
}

#[test]
fn the_budget_is_four_seconds_where_the_patience_is_unknown() {
    let connector = connector(HMAC);
    assert_eq!(
        connector.function("").unwrap().protocol.answer_budget,
        std::time::Duration::from_secs(4)
    );
}

// Risk 35: handshakes used as signing oracles.
#[test]
fn a_handshake_that_could_sign_a_callback_is_refused() {
    let shake = |also: &str, more: &str| {
        format!(
            "{HMAC}handshakes:\n  - name: crc\n    when: {{present: \"query:crc\"}}\n    challenge: {{location: \"query:crc\", also: \"{also}\", maxLength: 64}}\n    mac: {{hash: sha256, encoding: hex}}\n    reply: {{contentType: text/plain, body: \"{{mac}}\"}}\n{more}"
        )
    };
    connector(&shake("-_", ""));
    // The content is `time.body`: a challenge with a point could be one.
    let found = errors(&shake("-_.", ""));
    assert_eq!(found[0].field, "spec.protocol.handshakes[0].challenge.also");
    let found = errors(&shake("<", ""));
    assert_eq!(found[0].field, "spec.protocol.handshakes[0].challenge.also");
    let bare = shake("=", "").replace("{timestamp}.{body}", "{timestamp}{body}");
    assert_eq!(
        errors(&bare)[0].field,
        "spec.protocol.handshakes[0].challenge.also"
    );
    // A hash is letters and digits, as a challenge may be; what is optional tells them apart only where it is.
    for content in [
        "{timestamp}{body|sha256|hex}",
        "{timestamp}[[.{query:x}]]{body|sha256|hex}",
    ] {
        let hashed = shake("", "").replace("{timestamp}.{body}", content);
        assert_eq!(
            errors(&hashed)[0].field,
            "spec.protocol.handshakes[0].challenge.also"
        );
    }
    // Nor may it be another content that would do.
    let other = shake("-_", "").replace(
        "signature:",
        "orContent: [\"{timestamp}-{body}\"], signature:",
    );
    assert_eq!(
        errors(&other)[0].field,
        "spec.protocol.handshakes[0].challenge.also"
    );
    let shapeless = shake("", "").replace(
        "    challenge: {location: \"query:crc\", also: \"\", maxLength: 64}\n",
        "",
    );
    assert_eq!(
        errors(&shapeless)[0].field,
        "spec.protocol.handshakes[0].challenge"
    );
}

// Risk 35, of tokens: what they sign has a dot in it. Look at those under the signature secret alone, and whoever knows the URL has one signed under a
// parameter.
#[test]
fn a_challenge_can_not_be_what_a_token_under_the_same_key_signs() {
    let wrong = |of_token: &str, of_handshake: &str, also: &str| {
        let mut definition = definition(&format!(
            "schemes: [{{name: t, jwt: {{location: \"header:X-Token\", algorithms: [HS256], key: {{{of_token}}}}}}}]\nhandshakes: [{{name: crc, when: {{method: GET, present: \"query:crc\"}}, unverified: true, challenge: {{location: \"query:crc\", also: \"{also}\", maxLength: 64}}, mac: {{hash: sha256, encoding: hex, key: {{{of_handshake}}}}}, reply: {{contentType: text/plain, body: \"{{mac}}\"}}}}]\n"
        ));
        let parameters = &mut definition.spec.as_mut().unwrap().parameters;
        parameters.extend(["a", "b"].map(|name| v1::ConnectorParameter {
            name: name.to_owned(),
            secret: true,
            ..Default::default()
        }));
        Connector::compile(&definition).err().unwrap_or_default()
    };
    for same in ["", "parameter: a"] {
        let found = wrong(same, same, ".");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].field, "spec.protocol.handshakes[0].challenge.also");
        assert_eq!(wrong(same, same, "-"), []);
    }
    for (of_token, of_handshake) in [
        ("parameter: a", "parameter: b"),
        ("parameter: a", ""),
        ("", "parameter: a"),
    ] {
        assert_eq!(
            wrong(of_token, of_handshake, "."),
            [],
            "{of_token}, {of_handshake}"
        );
    }
}

#[test]
fn extraction_and_batch_are_checked() {
    for (text, field) in [
        (
            "extract: {eventType: [{}]}",
            "spec.protocol.extract.eventType[0]",
        ),
        (
            "extract: {eventType: [{from: \"json:x\"}]}",
            "spec.protocol.extract.eventType[0].from",
        ),
        (
            "extract: {deliveryId: [{join: [\"json:/a\", \"nope\"]}]}",
            "spec.protocol.extract.deliveryId[0].join[1]",
        ),
        (
            "extract: {externalId: [{from: \"json:/a\", when: {}}]}",
            "spec.protocol.extract.externalId[0].when",
        ),
        ("batch: {items: \"item:/x\"}", "spec.protocol.batch.items"),
        (
            "batch: {items: \"json:\", maxItems: 10001}",
            "spec.protocol.batch.maxItems",
        ),
        ("answer: {status: 302}", "spec.protocol.answer.status"),
        ("methods: [post]", "spec.protocol.methods[0]"),
        (
            "contentTypes: [\"application/json; charset=utf-8\"]",
            "spec.protocol.contentTypes[0]",
        ),
        ("maxBodyBytes: 26214401", "spec.protocol.maxBodyBytes"),
    ] {
        let found = errors(&format!("{HMAC}{text}"));
        assert_eq!(found[0].field, field, "{found:?}");
    }
}

#[test]
fn an_unsupported_function_is_listed_and_no_group_can_be_made_of_it() {
    let mut definition = definition(HMAC);
    let spec = definition.spec.as_mut().unwrap();
    let mut other = spec.functions[0].clone();
    other.name = "sealed".to_owned();
    other.unsupported = "its payload stays encrypted".to_owned();
    other.protocol = Some(v1::Protocol {
        schemes: vec![v1::Scheme::default()],
        ..Default::default()
    });
    spec.functions.push(other);
    let connector = Connector::compile(&definition).unwrap();
    assert!(connector.function("main").is_ok() && connector.function("").is_ok());
    let mut group = group_spec();
    group.spec.as_mut().unwrap().function = "sealed".to_owned();
    let refused = Group::compile(&group, connector, Vec::new()).unwrap_err();
    assert_eq!(refused[0].field, "spec.function");
    assert!(
        refused[0].message.contains("its payload stays encrypted"),
        "{refused:?}"
    );
    // Where it is the first, a group that names none is one of it.
    definition.spec.as_mut().unwrap().functions.reverse();
    let connector = Connector::compile(&definition).unwrap();
    assert!(connector.function("").is_err() && connector.function("main").is_ok());
    assert!(
        connector
            .function("gone")
            .unwrap_err()
            .contains("sealed, main")
    );
}

#[test]
fn equal_definitions_have_one_version_and_others_another() {
    let one = definition(HMAC).spec.unwrap();
    let mut other = one.clone();
    assert_eq!(Connector::version_of(&one), Connector::version_of(&other));
    assert_eq!(Connector::version_of(&one).len(), 64);
    other.functions[0].open_events = false;
    assert_ne!(Connector::version_of(&one), Connector::version_of(&other));
}

#[test]
fn a_name_takes_itself_and_what_is_below_it_at_a_dot() {
    for (asked, actual, expected) in [
        ("pull_request", "pull_request", true),
        ("pull_request", "pull_request.opened", true),
        ("pull_request", "pull_request_review", false),
        ("pull_request.opened", "pull_request", false),
        ("*", "anything", true),
        ("*", "", true),
    ] {
        assert_eq!(takes(asked, actual), expected, "{asked} {actual}");
    }
}

#[test]
fn locations_and_templates_read_as_written() {
    assert_eq!(
        Location::parse("form:payload->json:/a~1b/0").unwrap(),
        Location::Form("payload".to_owned())
            .stepped(vec![Step::Json(vec!["a/b".to_owned(), "0".to_owned()])])
    );
    let template = Template::parse("v0:{timestamp}\\n{{{body}}}", Use::Signed).unwrap();
    assert_eq!(template.literals().collect::<String>(), "v0:\n{}");
    for bad in [
        "",
        "nope",
        "header:",
        "header:a b",
        "json:x",
        "json:/~2",
        "item:x",
        "form:->json:/a",
    ] {
        assert!(Location::parse(bad).is_err(), "{bad}");
    }
    for bad in ["", "{", "}", "{item:/x}", "{fixed:x}", "{}"] {
        assert!(Template::parse(bad, Use::Signed).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_location_or_template_panics(text in "(header|query|form|json|item|parent|raw|param|sig|fixed)?:?[{}\\[\\]|?*~/\\\\n>a-z\\PC]{0,40}") {
        let _ = Location::parse(&text);
        let _ = Template::parse(&text, Use::Signed);
    }

    #[test]
    fn no_definition_panics(a in "\\PC{0,20}", b in "\\PC{0,20}", number in any::<u32>(), kind in any::<i32>(), which in 0u8..12) {
        let mut definition = definition(HMAC);
        let protocol = definition.spec.as_mut().unwrap().protocol.as_mut().unwrap();
        let scheme = &mut protocol.schemes[0];
        let hash = scheme.hmac.as_mut().unwrap();
        match which {
            0 => hash.content = a,
            1 => hash.signature = a,
            2 => hash.hash = kind,
            3 => hash.encoding = kind,
            4 => hash.format = Some(v1::SignatureFormat { prefix: a, versioned: Some(v1::VersionedFormat { item_separator: b, ..Default::default() }), ..Default::default() }),
            5 => scheme.timestamp = Some(v1::SignedTime { location: a, unit: kind, tolerance_seconds: number, window: kind }),
            6 => scheme.also = vec![v1::Equality { location: a, equals: b }],
            7 => scheme.covers = vec![a, b],
            8 => protocol.batch = Some(v1::Batch { items: a, max_items: number , ..Default::default() }),
            9 => protocol.answer = Some(v1::Answer { status: number, body: a, content_type: b, patience_seconds: number , ..Default::default() }),
            10 => scheme.when = Some(v1::Condition { present: a, absent: b, ..Default::default() }),
            _ => protocol.handshakes = vec![v1::Handshake { name: a, challenge: Some(v1::ChallengeShape { location: b, also: String::new(), max_length: number, hex: true }), ..Default::default() }],
        }
        let _ = Connector::compile(&definition);
    }
}

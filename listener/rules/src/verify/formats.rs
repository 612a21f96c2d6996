//! The ways a signature, a key and a token are written: each once right, and once for each way to have it wrong.

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256};
use sha3::Keccak256;

use crate::encoding::BASE64;
use crate::testing::*;
use crate::{Callback, Group, Proven, RefusalKind};

const BODY: &str = r#"{"type":"made"}"#;

fn mac(content: &str) -> Vec<u8> {
    mac_with(SECRET.as_bytes(), content)
}

fn mac_with(key: &[u8], content: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(content.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// One HMAC scheme whose rest is `fields`.
fn hmac(fields: &str) -> String {
    format!(
        "schemes:\n  - name: one\n    hmac: {{hash: sha256, signature: \"header:X-Sig\", {fields}}}\n"
    )
}

fn takes(group: &Group, callback: Callback) -> bool {
    matches!(group.verify(callback, NOW), Ok(Proven::Genuine(_)))
}

fn sent(signature: &str) -> Callback {
    callback(
        &[("content-type", "application/json"), ("x-sig", signature)],
        BODY,
    )
}

/// A group with these parameters.
fn with(protocol: &str, parameters: &[(&str, &str)]) -> std::sync::Arc<Group> {
    let mut definition = definition(protocol);
    let spec = definition.spec.as_mut().unwrap();
    for (name, _) in parameters {
        spec.parameters
            .push(hookplane_proto::v1::ConnectorParameter {
                name: (*name).to_owned(),
                ..Default::default()
            });
    }
    let connector = crate::Connector::compile(&definition).unwrap();
    let mut group = group_spec();
    group.spec.as_mut().unwrap().parameters = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Group::compile(&group, connector, Vec::new()).unwrap()
}

#[test]
fn of_a_list_one_item_that_verifies_is_enough() {
    let group = group(&hmac(
        r#"content: "{sig:0}.{body}", encoding: hex, format: {list: {itemSeparator: ",", itemPrefix: "v1=", skip: 1}}"#,
    ));
    let right = hex::encode(mac(&format!("17.{BODY}")));
    let other = hex::encode(mac("other"));
    assert!(takes(&group, sent(&format!("17,v1={right}"))));
    assert!(takes(&group, sent(&format!("17, v1={other}, v1={right}"))));
    for value in [
        format!("18,v1={right}"),
        format!("17,v0={right}"),
        format!("17,{right}"),
        format!("v1={right},17"),
        "17".to_owned(),
        format!("17,{}v1={right}", "v1=00,".repeat(40)),
    ] {
        assert!(!takes(&group, sent(&value)), "{value}");
    }
}

#[test]
fn pairs_are_trimmed_and_their_quotes_taken_off() {
    let group = group(&hmac(
        r#"content: "{sig:ts}.{body}", encoding: base64, format: {prefix: "Signature ", pairs: {pairSeparator: ",", keySeparator: "=", signatureKey: sig}}"#,
    ));
    let right = BASE64.encode(mac(&format!("17.{BODY}")));
    for value in [
        format!("Signature ts=17,sig={right}"),
        format!("Signature ts=\"17\", sig=\"{right}\""),
    ] {
        assert!(takes(&group, sent(&value)), "{value}");
    }
    // Two times: two readers could see two.
    assert!(!takes(
        &group,
        sent(&format!("Signature ts=17,ts=18,sig={right}"))
    ));
    assert!(!takes(&group, sent(&format!("ts=17,sig={right}"))));
}

#[test]
fn a_parameter_can_be_the_key_of_the_pairs() {
    let protocol = hmac(
        r#"content: "{body}", encoding: hex, format: {pairs: {pairSeparator: "&", keySeparator: "|", signatureKeyParameter: public-key}}"#,
    );
    let group = with(&protocol, &[("public-key", "pk_1")]);
    let right = hex::encode(mac(BODY));
    assert!(takes(&group, sent(&format!("pk_0|00&pk_1|{right}"))));
    assert!(!takes(&group, sent(&format!("pk_0|{right}"))));
    // A parameter that nobody declared is none.
    assert_eq!(
        errors(&protocol)[0].field,
        "spec.protocol.schemes[0].hmac.format.pairs.signatureKeyParameter"
    );
}

#[test]
fn a_signature_in_a_json_object_is_read_with_its_fields() {
    let group = group(&hmac(
        r#"content: "{sig:nonce}.{body}", encoding: hex, format: {base64Json: {signatureField: signature}}"#,
    ));
    let right = hex::encode(mac(&format!("n1.{BODY}")));
    let value = |json: &str| BASE64.encode(json);
    let good = format!(r#"{{"signature": "{right}", "nonce": "n1", "more": {{"a": 1}}}}"#);
    assert!(takes(&group, sent(&value(&good))));
    for json in [
        good.replace("n1", "n2"),
        // Risk 41: twice the same name.
        good.replace("\"more\": {\"a\": 1}", "\"nonce\": \"n1\""),
        format!("[\"{right}\"]"),
        good.replace("signature", "sig"),
        "not json".to_owned(),
    ] {
        assert!(!takes(&group, sent(&value(&json))), "{json}");
    }
    assert!(!takes(&group, sent(&good)));
}

#[test]
fn hex_in_base64_is_read_as_such_and_nothing_else() {
    let group = group(&hmac(r#"content: "{body}", encoding: base64_of_hex"#));
    let right = mac(BODY);
    assert!(takes(&group, sent(&BASE64.encode(hex::encode(&right)))));
    // Risk 38: the wrong encoding.
    assert!(!takes(&group, sent(&BASE64.encode(&right))));
    assert!(!takes(&group, sent(&hex::encode(&right))));
}

#[test]
fn a_signature_may_be_in_another_place_and_over_another_content() {
    let protocol = hmac(
        r#"content: "{body}", orContent: ["{body}{header:X-Extra}"], encoding: hex, orSignature: ["header:X-Sig-2"]"#,
    );
    let group = group(&protocol);
    let at = |name: &str, content: &str| {
        let signature = hex::encode(mac(content));
        callback(
            &[
                ("content-type", "application/json"),
                ("x-extra", "x"),
                (name, &signature),
            ],
            BODY,
        )
    };
    assert!(takes(&group, at("x-sig", BODY)));
    assert!(takes(&group, at("x-sig-2", BODY)));
    assert!(takes(&group, at("x-sig-2", &format!("{BODY}x"))));
    assert!(!takes(&group, at("x-sig-3", BODY)));
    assert!(!takes(&group, at("x-sig", &format!("{BODY}y"))));
    // One of them is garbage, the other right: a provider sends both while it changes keys.
    let mut both = at("x-sig-2", BODY);
    both.headers.insert("x-sig", "00".parse().unwrap());
    assert!(takes(&group, both));
    // But one that is there twice could be read as either.
    let mut twice = at("x-sig-2", BODY);
    twice.headers.append("x-sig", "00".parse().unwrap());
    twice.headers.append("x-sig", "01".parse().unwrap());
    assert!(!takes(&group, twice));
    // What is in one content alone isn't covered: the sender chooses.
    let covers = |location: &str| {
        errors(&format!("{protocol}    covers: [\"{location}\"]\n"))
            .iter()
            .any(|error| error.message.contains("not covered"))
    };
    assert!(covers("header:X-Extra"));
}

// Risk 33: what isn't done is refused, not ignored.
#[test]
fn formats_that_contradict_themselves_are_refused() {
    let at = |fields: &str| errors(&hmac(fields))[0].field.clone();
    let field = |name: &str| format!("spec.protocol.schemes[0].hmac.{name}");
    let versioned = "versioned: {itemSeparator: a, versionSeparator: b, version: c}";
    assert_eq!(
        at(&format!(
            r#"content: "{{body}}", encoding: hex, format: {{list: {{itemSeparator: ","}}, {versioned}}}"#
        )),
        field("format")
    );
    assert_eq!(
        at(
            r#"content: "{sig:1}{body}", encoding: hex, format: {list: {itemSeparator: ",", skip: 1}}"#
        ),
        field("format")
    );
    assert_eq!(
        at(r#"content: "{body}", encoding: hex, format: {list: {skip: 1}}"#),
        field("format.list.itemSeparator")
    );
    assert_eq!(
        at(r#"content: "{body}", encoding: hex, key: {template: "{param:id}"}"#),
        field("key.template")
    );
    assert_eq!(
        at(r#"content: "{body}", encoding: hex, orSignature: ["method"]"#),
        field("orSignature[0]")
    );
    assert_eq!(
        at(r#"content: "{body}", encoding: hex, orContent: ["{secret}"]"#),
        field("orContent[0]")
    );
}

#[test]
fn a_checksum_and_a_lowered_text_prove_less_than_they_hash() {
    let covers = |content: &str, location: &str| {
        let text = hmac(&format!("content: \"{content}\", encoding: hex"))
            + &format!("    covers: [\"{location}\"]\n");
        crate::Connector::compile(&definition(&text)).is_ok()
    };
    assert!(covers("{header:a}{body|sha256|hex}", "body"));
    assert!(covers("{header:a}{body|md5|base64}", "body"));
    assert!(covers("{body|sha256|hex|upper}", "body"));
    assert!(covers("{header:a}.{body->json:/x}", "body->json:/x"));
    assert!(covers("{header:a}[[{query:b}]]", "query:b"));
    assert!(covers("{header:a}.{json:/b?}", "json:/b"));
    assert!(covers("{header:a}.{raw:/b}", "json:/b/c"));
    assert!(covers("{form:a}", "form:a->base64->json:/b"));
    // Nothing tells where one of two neighbours ends, and a part with several values is left out with either of them.
    assert!(!covers("{header:a}{json:/b}.{body}", "header:a"));
    assert!(!covers("[[{header:a}.{query:b}]].{body}", "header:a"));
    assert!(!covers("{header:a}{body|crc32}", "body"));
    assert!(!covers("{header:a}{body|lower}", "body"));
    assert!(!covers("{header:a}{query:b|lower}", "query:b"));
    assert!(covers("{header:a}{query:b|lower}", "query:b->lower"));
    assert!(!covers("{body|base64|lower}", "body"));
    assert!(covers("{method|lower}{body}", "method"));
    assert!(!covers("{header:a->lower}", "header:a"));
    assert!(!covers("{form:a->base64}", "form:a"));
    assert!(!covers("{header:a}{raw:/b}", "json:/bc"));
    // Nothing but what the group says is signed.
    assert!(!covers("{param:x}", "param:x"));
}

#[test]
fn md5_and_keccak_are_hashes_of_their_own() {
    let protocol = |hash: &str| {
        format!(
            "schemes: [{{name: one, digest: {{hash: {hash}, content: \"{{body}}{{secret}}\", signature: \"header:X-Sig\", encoding: hex}}}}]"
        )
    };
    let content = format!("{BODY}{SECRET}");
    let md5 = hex::encode(Md5::digest(&content));
    let keccak = hex::encode(Keccak256::digest(&content));
    assert!(takes(&group(&protocol("md5")), sent(&md5)));
    assert!(takes(&group(&protocol("keccak256")), sent(&keccak)));
    // Risk 36: the sender can't choose another.
    assert!(!takes(&group(&protocol("keccak256")), sent(&md5)));
    assert!(!takes(
        &group(&protocol("keccak256")),
        sent(&hex::encode(Sha256::digest(&content)))
    ));
    // RFC 2202, test case 2 of HMAC-MD5.
    let mut state = super::hash::MacState::new(crate::connector::HashKind::Md5, b"Jefe");
    state.update(b"what do ya want for nothing?");
    assert_eq!(
        hex::encode(state.finish()),
        "750c783e6ab0b503eaa86e310a5db738"
    );
    // Keccak-256 of nothing, as every Ethereum library has it; SHA3-256's is another.
    let empty = crate::connector::HashKind::Keccak256.of_bytes(b"");
    assert_eq!(
        hex::encode(empty),
        "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    );
}

#[test]
fn a_key_is_made_of_its_template_and_its_digest() {
    let templated = with(
        &hmac(r#"content: "{body}", encoding: hex, key: {template: "{param:user}:{secret}"}"#),
        &[("user", "ada")],
    );
    let key = format!("ada:{SECRET}");
    assert!(takes(
        &templated,
        sent(&hex::encode(mac_with(key.as_bytes(), BODY)))
    ));
    assert!(!takes(&templated, sent(&hex::encode(mac(BODY)))));
    let hashed = group(&hmac(
        r#"content: "{body}", encoding: hex, key: {digest: sha256}"#,
    ));
    let key = Sha256::digest(SECRET);
    assert!(takes(&hashed, sent(&hex::encode(mac_with(&key, BODY)))));
    assert!(!takes(&hashed, sent(&hex::encode(mac(BODY)))));
}

#[test]
fn a_group_without_a_part_of_its_key_is_refused() {
    let mut definition = definition(&hmac(
        r#"content: "{body}", encoding: hex, key: {template: "{param:user}{secret}"}"#,
    ));
    definition.spec.as_mut().unwrap().parameters = vec![hookplane_proto::v1::ConnectorParameter {
        name: "user".to_owned(),
        ..Default::default()
    }];
    let connector = crate::Connector::compile(&definition).unwrap();
    let found = Group::compile(&group_spec(), connector, Vec::new()).unwrap_err();
    assert_eq!(found[0].field, "spec.parameters.user");
}

#[test]
fn a_group_can_name_the_header_of_its_token() {
    let protocol =
        "schemes: [{name: t, token: {location: \"header:X-Token\", nameParameter: header}}]";
    let named = with(protocol, &[("header", "X-Own")]);
    let holds = |name: &str| callback(&[(name, SECRET)], BODY);
    assert!(takes(&named, holds("x-own")));
    assert!(!takes(&named, holds("x-token")));
    let unnamed = with(protocol, &[("header", "")]);
    assert!(takes(&unnamed, holds("x-token")));
    // It isn't handed on with the event either, however short the secret.
    let headers = holds("x-own").headers;
    assert!(
        !named
            .credentials
            .clean_headers(&headers)
            .contains_key("x-own")
    );
    let elsewhere = "schemes: [{name: t, token: {location: \"json:\", nameParameter: header}}]";
    assert!(
        errors(elsewhere)
            .iter()
            .any(|error| error.field.ends_with("token.nameParameter"))
    );
}

#[test]
fn a_token_in_each_element_must_be_right_in_all_of_them() {
    let group = group("schemes: [{name: t, token: {location: \"json:/value/*/clientState\"}}]");
    let body = |states: &[&str]| {
        let elements: Vec<String> = states
            .iter()
            .map(|state| format!("{{\"id\": 1{state}}}"))
            .collect();
        callback(
            &[("content-type", "application/json")],
            format!("{{\"value\": [{}]}}", elements.join(",")),
        )
    };
    let right = format!(", \"clientState\": \"{SECRET}\"");
    assert!(takes(&group, body(&[&right])));
    assert!(takes(&group, body(&[&right, &right])));
    for states in [
        vec![],
        vec![""],
        vec![right.as_str(), ""],
        vec![right.as_str(), ", \"clientState\": \"other\""],
        vec![right.as_str(), ", \"clientState\": null"],
    ] {
        let refusal = refusal(&group, body(&states));
        assert_eq!(refusal.kind, RefusalKind::Signature, "{states:?}");
    }
    assert!(!takes(&group, callback(&[], "{\"value\": {}}")));
    assert_eq!(
        refusal(&group, callback(&[], "nonsense")).kind,
        RefusalKind::Undecodable
    );
}

#[test]
fn conditions_look_at_beginnings_and_at_empty_bodies() {
    let protocol = format!(
        "{}  - {{name: empty, when: {{emptyBody: true}}, token: {{location: \"header:X-Token\"}}}}\n",
        hmac(r#"content: "{body}", encoding: hex"#).replace(
            "name: one\n",
            "name: one\n    when: {location: \"header:X-Kind\", startsWith: \"signed.\"}\n"
        )
    );
    let group = group(&protocol);
    let signature = hex::encode(mac(BODY));
    let of_kind = |kind: &str| callback(&[("x-kind", kind), ("x-sig", &signature)], BODY);
    assert!(takes(&group, of_kind("signed.v1")));
    assert!(!takes(&group, of_kind("unsigned.signed.")));
    assert!(takes(&group, callback(&[("x-token", SECRET)], "")));
    assert!(!takes(&group, callback(&[("x-token", SECRET)], BODY)));
    let both = protocol.replace("startsWith: \"signed.\"", "startsWith: a, equals: b");
    assert_eq!(
        errors(&both)[0].field,
        "spec.protocol.schemes[0].when.startsWith"
    );
}

#[test]
fn an_object_or_an_array_is_present_and_null_is_not() {
    let group = group(
        "schemes:\n  - {name: a, when: {present: \"json:/a\", absent: \"json:/b/0\"}, token: {location: \"header:X-Token\"}}\n",
    );
    let taken = |body: &str| takes(&group, callback(&[("x-token", SECRET)], body.to_owned()));
    for body in ["{\"a\": 1}", "{\"a\": {}}", "{\"a\": [], \"b\": []}"] {
        assert!(taken(body), "{body}");
    }
    for body in ["{\"a\": null}", "{}", "{\"a\": 1, \"b\": [{}]}", "nonsense"] {
        assert!(!taken(body), "{body}");
    }
}

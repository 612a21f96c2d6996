//! Handshakes made to sign for somebody else.

use super::*;

pub(super) const HANDSHAKE: &str = r#"
schemes:
  - name: h
    hmac: {hash: sha256, content: "v0:{body}", signature: "header:x-sig", encoding: hex}
handshakes:
  - name: c
    when: {location: "json:/event", equals: check}
    challenge: {location: "json:/token", also: "-_", maxLength: 16}
    mac: {hash: sha256, encoding: hex}
    reply: {contentType: application/json, body: '{{"plain":{challenge|json},"mac":{mac|json}}}'}
"#;

// Risk 35: a MAC is given to who has shown a signature, for a text of the provider's shape, and never for what it signs.
#[test]
fn a_handshake_is_no_signing_oracle() {
    let group = group(HANDSHAKE);
    let ask = |token: &str, signed: bool| {
        let body = serde_json::json!({"event": "check", "token": token}).to_string();
        let sig = mac(SECRET, &format!("v0:{body}"));
        post(
            if signed {
                vec![("x-sig", &*sig)]
            } else {
                vec![]
            }
            .as_slice(),
            &body,
        )
    };
    let reply = group.verify(ask("abc-1", true), NOW);
    let Ok(Proven::Handshake(Shaken { reply, .. })) = reply else {
        panic!("{reply:?}");
    };
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(text.contains(&mac(SECRET, "abc-1")), "{text}");
    refused(&group, ask("abc-1", false), RefusalKind::Signature);
    for token in ["", "v0:{}", "a b", "a\"b", "a\nb", "ä", "seventeen-letters"] {
        let refusal = refused(&group, ask(token, true), RefusalKind::Handshake);
        assert!(
            token.is_empty() || !refusal.reason.contains(token),
            "{}",
            refusal.reason
        );
    }
    // Without a secret there is nothing to answer with.
    let unsigned = group_with(HANDSHAKE, |spec| {
        spec.signature_secrets.clear();
        spec.accept_unsigned = true;
    })
    .expect("it compiles");
    refused(&unsigned, ask("abc-1", false), RefusalKind::Handshake);
}

// Risk 35: while a secret is rotated, the provider knows only the one it signed with.
#[test]
fn a_handshake_is_answered_under_the_secret_that_it_was_signed_with() {
    let group = group_with(HANDSHAKE, |spec| {
        spec.signature_secrets.push(v1::SignatureSecret {
            value: "the next".to_owned(),
            ..Default::default()
        });
    })
    .expect("it compiles");
    for secret in [SECRET, "the next"] {
        let body = r#"{"event":"check","token":"abc"}"#;
        let sig = mac(secret, &format!("v0:{body}"));
        let Ok(Proven::Handshake(Shaken { reply, .. })) =
            group.verify(post(&[("x-sig", &sig)], body), NOW)
        else {
            panic!("it is a handshake");
        };
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(text.contains(&mac(secret, "abc")), "{text}");
    }
}

#[track_caller]
#[test]
fn a_handshake_of_one_function_never_signs_for_another() {
    let text = r#"
functions:
  - name: a
    openEvents: true
    protocol:
      schemes: [{name: h, hmac: {hash: sha256, content: "v0:{body}", signature: "header:x", encoding: hex}}]
      handshakes:
        - {name: c, when: {location: "json:/e", equals: c}, challenge: {location: "json:/t", also: ".", maxLength: 9}, mac: {hash: sha256, encoding: hex}, reply: {contentType: text/plain, body: "{mac}"}}
  - name: b
    openEvents: true
    protocol:
      schemes: [{name: dotted, hmac: {hash: sha256, content: "1.{body}", signature: "header:x", encoding: hex}}]
"#;
    let errors = Connector::compile(&v1::Connector {
        metadata: Some(v1::Metadata {
            name: "forge".to_owned(),
            org: "acme".to_owned(),
            ..Default::default()
        }),
        spec: Some(saphyr_serde::from_str(text).expect("it is YAML of its shape")),
    })
    .expect_err("b's callbacks could be forged");
    assert_eq!(errors[0].field, "spec.functions[0]", "{errors:?}");
}

// A sender chooses no weaker scheme by sending the header of the better one twice, empty, or garbled.

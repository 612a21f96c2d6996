//! What needs a definition of its own. Mistakes with the catalogue's connectors are tried on vectors, where those are.

use hookplane_proto::v1;

use super::{Cause, Diagnosis, Effort, Visit};
use crate::connector::HashKind;
use crate::testing::{NOW, SECRET, callback, definition, group, group_spec, group_with, secret};
use crate::verify::hash::MacState;
use crate::{Callback, Connector, Group, NoKeys, RefusalKind};

const HMAC: &str = "schemes: [{name: mac, hmac: {hash: sha256, content: '{body}', signature: 'header:X-Sig', encoding: hex}}]";
const BODY: &str = r#"{"type": "made"}"#;

fn mac(key: &str, content: &[u8]) -> String {
    let mut mac = MacState::new(HashKind::Sha256, key.as_bytes());
    mac.update(content);
    hex::encode(mac.finish())
}

fn cause(group: &Group, callback: &Callback) -> Cause {
    diagnosis(group, callback).cause
}

fn diagnosis(group: &Group, callback: &Callback) -> Diagnosis {
    let refusal = group.verify(callback.clone(), NOW).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Signature, "{}", refusal.reason);
    let visit = Visit {
        callback,
        clause: refusal.kind,
        keys: &NoKeys,
        now: NOW,
        effort: Effort::Brief,
        go_on: &mut || true,
    };
    group.diagnose(visit)
}

#[test]
fn a_secret_that_fits_without_its_beginning_is_not_said_to_be_pasted_wrongly() {
    let whole = format!("whsec_{SECRET}");
    let group = group_with(HMAC, |spec| {
        spec.signature_secrets = vec![secret("", &whole)];
    });
    let sent = callback(&[("X-Sig", &mac(SECRET, BODY.as_bytes()))], BODY);
    let found = diagnosis(&group.unwrap(), &sent);
    assert_eq!(found.cause, Cause::SecretPrefix);
    for part in [
        "fits when its `whsec_` is left out",
        "a script of yours, sign with the whole secret",
        "copy the secret again from the provider",
    ] {
        assert!(found.advice.contains(part), "{}", found.advice);
    }
}

fn compiled(
    definition: &v1::Connector,
    edit: impl FnOnce(&mut v1::WebhookGroupSpec),
) -> std::sync::Arc<Group> {
    let mut group = group_spec();
    edit(group.spec.as_mut().unwrap());
    Group::compile(&group, Connector::compile(definition).unwrap(), Vec::new()).unwrap()
}

#[test]
fn another_function_that_fits_is_named() {
    let mut definition = definition(HMAC);
    let functions = &mut definition.spec.as_mut().unwrap().functions;
    let mut other = functions[0].clone();
    other.name = "other".to_owned();
    let protocol = HMAC
        .replace("X-Sig", "X-Other")
        .replace("'{body}'", "'v9:{body}'");
    other.protocol = Some(saphyr_serde::from_str(&protocol).unwrap());
    functions.push(other);
    let group = compiled(&definition, |_| {});
    let signed = mac(SECRET, format!("v9:{BODY}").as_bytes());
    let sent = callback(&[("X-Other", &signed)], BODY);
    assert_eq!(cause(&group, &sent), Cause::AnotherFunction);
}

#[test]
fn values_in_each_others_places_are_found() {
    let mut definition = definition(&HMAC.replace(
        "encoding: hex",
        "encoding: hex, key: {parameter: signingKey}",
    ));
    let spec = definition.spec.as_mut().unwrap();
    let parameter = |name: &str| v1::ConnectorParameter {
        name: name.to_owned(),
        secret: true,
        ..Default::default()
    };
    spec.parameters = vec![parameter("signingKey"), parameter("apiKey")];
    let group = compiled(&definition, |spec| {
        spec.signature_secrets.clear();
        spec.parameters = [("signingKey", "an-api-key"), ("apiKey", "the-signing-key")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    });
    let sent = callback(&[("X-Sig", &mac("the-signing-key", BODY.as_bytes()))], BODY);
    assert_eq!(cause(&group, &sent), Cause::SecretSwapped);
}

#[test]
fn a_scheme_without_a_key_is_told() {
    let protocol = "schemes:\n- {name: mac, when: {present: 'header:X-Sig'}, hmac: {hash: sha256, content: '{body}', signature: 'header:X-Sig', encoding: hex, key: {decode: hex}}}\n- {name: token, token: {location: 'header:X-Token'}}";
    let group = group(protocol);
    let sent = callback(&[("X-Sig", &mac("x", BODY.as_bytes()))], BODY);
    assert_eq!(cause(&group, &sent), Cause::NoSecret);
}

#[test]
fn a_body_that_was_packed_after_it_was_signed_is_found() {
    use std::io::Write as _;

    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(BODY.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let unpacked = mac(SECRET, BODY.as_bytes());
    let headers = [("X-Sig", unpacked.as_str()), ("Content-Encoding", "gzip")];
    assert_eq!(
        cause(&group(HMAC), &callback(&headers, packed.clone())),
        Cause::BodyPacked
    );
    let as_came = mac(SECRET, &packed);
    let headers = [("X-Sig", as_came.as_str()), ("Content-Encoding", "gzip")];
    let unpacks = group(&format!("{HMAC}\nsignsUnpackedBody: true"));
    assert_eq!(
        cause(&unpacks, &callback(&headers, packed)),
        Cause::BodyPacked
    );
}

#[test]
fn each_of_several_secrets_is_looked_at() {
    let group = group_with(HMAC, |spec| {
        spec.signature_secrets = vec![secret("old", "another"), secret("new", " right ")];
    });
    let sent = callback(&[("X-Sig", &mac("right", BODY.as_bytes()))], BODY);
    assert_eq!(cause(&group.unwrap(), &sent), Cause::SecretWhitespace);
}

// Nothing that the doctor tries makes a request genuine, or leaves the group another one.
#[test]
fn what_was_diagnosed_is_refused_as_before() {
    let group = group(HMAC);
    let sent = callback(
        &[("X-Sig", &mac(&format!("{SECRET}\n"), BODY.as_bytes()))],
        BODY,
    );
    let before = group.verify(sent.clone(), NOW).unwrap_err();
    assert_eq!(cause(&group, &sent), Cause::SecretWhitespace);
    assert_eq!(group.verify(sent, NOW).unwrap_err(), before);
}

#[test]
fn names_of_causes_differ() {
    let names: std::collections::BTreeSet<&str> =
        Cause::ALL.iter().map(|cause| cause.name()).collect();
    assert_eq!(names.len(), Cause::ALL.len());
}

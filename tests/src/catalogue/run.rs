//! One vector through the stages that a listener runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::{
    Callback, Connector, FieldError, Group, Head, KeySet, KeySource, Keys, Proven, Refusal,
    RefusalKind, Reply, Timestamp, Unproven,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{Case, connector};

/// Among what a vector finds at URLs, the certificate that chains have to end in.
const ROOT: &str = "root";

/// A group of a built-in connector's function, compiled.
pub fn group(
    spec: v1::WebhookGroupSpec,
    callback_url: &str,
) -> Result<Arc<Group>, Vec<FieldError>> {
    let compiled = Connector::compile(&connector(&spec.connector))?;
    let group = v1::WebhookGroup {
        metadata: Some(v1::Metadata {
            org: "acme".into(),
            name: "vectors".into(),
            uid: "uid-1".into(),
            ..Default::default()
        }),
        spec: Some(v1::WebhookGroupSpec {
            registered_events: vec!["*".into()],
            ..spec
        }),
        status: Some(v1::WebhookGroupStatus {
            callback_url: callback_url.into(),
            ..Default::default()
        }),
    };
    Group::compile(&group, compiled, Vec::new())
}

/// Secrets without names.
pub fn secrets(values: &[String]) -> Vec<v1::SignatureSecret> {
    let secret = |value: &String| v1::SignatureSecret {
        value: value.clone(),
        ..Default::default()
    };
    values.iter().map(secret).collect()
}

fn group_of(case: &Case) -> Result<Arc<Group>, Vec<FieldError>> {
    let spec = v1::WebhookGroupSpec {
        connector: case.connector.clone(),
        function: case.function.clone(),
        signature_secrets: secrets(&case.secrets),
        parameters: case.parameters.clone().into_iter().collect(),
        accept_unsigned: case.accept_unsigned,
        learn_secret: case.secrets.is_empty() && learns(&connector(&case.connector)),
        ..Default::default()
    };
    group(spec, &case.callback_url)
}

/// Whether the provider hands over the secret.
fn learns(connector: &v1::Connector) -> bool {
    let spec = connector.spec.iter();
    let protocols = spec.flat_map(|spec| {
        let own = spec.functions.iter().map(|function| &function.protocol);
        own.chain([&spec.protocol])
    });
    protocols
        .flatten()
        .flat_map(|protocol| &protocol.handshakes)
        .any(|handshake| !handshake.learn.is_empty())
}

/// As the listener gets it.
pub fn callback(
    method: &str,
    query: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> Callback {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).expect("a header's name"),
            HeaderValue::from_str(value).expect("a header's value"),
        );
    }
    Callback {
        method: method.parse().expect("a method"),
        query: query.into(),
        headers: map,
        body: body.into(),
    }
}

fn prove(group: &Group, callback: Callback, case: &Case) -> Result<Proven, Refusal> {
    let head = Head {
        method: &callback.method,
        path: "/c/t",
        query: &callback.query,
        headers: &callback.headers,
    };
    let most = group.admit(head, Some(callback.body.len() as u64))?;
    if callback.body.len() as u64 > most {
        return Err(Refusal::new(
            RefusalKind::BodyTooLarge,
            "more than announced",
        ));
    }
    match group.verify_with(callback, &Found(case), Timestamp(case.now)) {
        Ok(proven) => Ok(proven),
        Err(Unproven::Refused(refused)) => Err(refused.refusal),
        Err(Unproven::NeedsKey(needed)) => Err(Refusal::new(
            RefusalKind::Signature,
            format!("nothing is found at {}", needed.source),
        )),
    }
}

/// What the vector says is found at URLs, as the listener would have fetched it.
pub struct Found<'a>(pub &'a Case);

impl Keys for Found<'_> {
    fn get(&self, source: &KeySource) -> Option<Arc<KeySet>> {
        let Self(case) = self;
        let text = case.keys.get(&source.to_string())?;
        let mut roots = RootCertStore::empty();
        if let Some(root) = case.keys.get(ROOT) {
            let root = CertificateDer::from_pem_slice(root.as_bytes()).expect("a certificate");
            roots.add(root).expect("a root");
        }
        let set = source.read(text.as_bytes(), &roots.roots.into(), Timestamp(case.now));
        set.ok().map(Arc::new)
    }
}

/// Says what came of it instead, if it isn't what must.
pub fn check(case: &Case) -> Result<(), String> {
    let group = match group_of(case) {
        Ok(group) => group,
        // A group without a secret may be refused before it takes anything.
        Err(_) if case.secrets.is_empty() && !case.is_good() => return Ok(()),
        Err(errors) => return Err(format!("doesn't compile: {errors:?}")),
    };
    let request = callback(&case.method, &case.query, &case.headers, case.body());
    let (got, reply) = match prove(&group, request, case) {
        Ok(Proven::Genuine(verified)) => {
            let extracted = group
                .extract(verified)
                .map_err(|r| format!("extract: {}: {}", r.kind.clause(), r.reason))?;
            let events = group
                .match_events(extracted)
                .into_report([0; 16], 1, Timestamp(case.now))
                .events;
            read_as_expected(case, &events)?;
            ("genuine".to_owned(), None)
        }
        Ok(Proven::Handshake(shaken)) => ("handshake".to_owned(), Some(shaken.reply)),
        Err(refusal) => {
            let clause = match refusal.kind {
                RefusalKind::Handshake => "handshake-refused",
                kind => kind.clause(),
            };
            if case.expect.as_deref().is_some_and(|it| it != clause) {
                return Err(format!("{clause}: {}", refusal.reason));
            }
            (clause.to_owned(), None)
        }
    };
    match &case.expect {
        None if got == "genuine" || got == "handshake" => {
            return Err(format!("{got}, not refused"));
        }
        Some(expect) if *expect != got => return Err(format!("{got}, not {expect}")),
        _ => {}
    }
    match reply {
        Some(reply) => answered_as_expected(case, &reply),
        None => Ok(()),
    }
}

fn read_as_expected(case: &Case, events: &[v1::ReportedEvent]) -> Result<(), String> {
    if case.expect_events.is_some_and(|n| n != events.len()) {
        return Err(format!("{} events", events.len()));
    }
    let first = events.first().ok_or("no event")?;
    for (what, expected, got) in [
        ("type", &case.expect_type, &first.r#type),
        ("delivery id", &case.expect_delivery_id, &first.delivery_id),
        ("external id", &case.expect_external_id, &first.external_id),
    ] {
        if let Some(expected) = expected
            && expected != got
        {
            return Err(format!("{what} is `{got}`, not `{expected}`"));
        }
    }
    Ok(())
}

fn answered_as_expected(case: &Case, reply: &Reply) -> Result<(), String> {
    let shown = || String::from_utf8_lossy(&reply.body);
    if let Some(expected) = &case.expect_reply
        && reply.body != expected.as_bytes()
    {
        return Err(format!("answered `{}`, not `{expected}`", shown()));
    }
    if let Some(expected) = &case.expect_reply_json
        && serde_json::from_slice::<serde_json::Value>(&reply.body)
            .ok()
            .as_ref()
            != Some(expected)
    {
        return Err(format!("answered `{}`, not `{expected}`", shown()));
    }
    if let Some(expected) = case.expect_status
        && reply.status != expected
    {
        return Err(format!("answered {}, not {expected}", reply.status));
    }
    let headers: BTreeMap<String, String> = reply
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into(),
            )
        })
        .collect();
    for (name, expected) in &case.expect_headers {
        let got = headers.get(&name.to_ascii_lowercase());
        if got != Some(expected) {
            return Err(format!("header {name} is {got:?}, not `{expected}`"));
        }
    }
    Ok(())
}

//! One vector through the stages that a listener runs, as the rules run a connector's own tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::trial::{self, Came, Expected};
use hookplane_rules::{
    Callback, Connector, FieldError, Group, KeySet, KeySource, Keys, Reply, Timestamp,
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
    trial::group(&compiled, spec, callback_url)
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
    group(spec_of(case), &case.callback_url)
}

/// The group that a vector is posted to.
pub fn spec_of(case: &Case) -> v1::WebhookGroupSpec {
    v1::WebhookGroupSpec {
        connector: case.connector.clone(),
        function: case.function.clone(),
        signature_secrets: secrets(&case.secrets),
        parameters: case.parameters.clone().into_iter().collect(),
        accept_unsigned: case.accept_unsigned,
        ..Default::default()
    }
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
    let came = trial::run(&group, request, &Found(case), Timestamp(case.now));
    let expected = Expected {
        outcome: case.expect.as_deref(),
        event_type: case.expect_type.as_deref(),
        delivery_id: case.expect_delivery_id.as_deref(),
        external_id: case.expect_external_id.as_deref(),
        events: case.expect_events,
    };
    match (expected.differs(&came), came) {
        (Some(difference), _) => Err(difference.message),
        (None, Came::Handshake(shaken)) => answered_as_expected(case, &shaken.reply),
        (None, _) => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use hookplane_rules::{Proven, RefusalKind, Unproven};

    use super::super::cases;
    use super::*;

    // One key signs for all of Atlassian's customers, and for all of Amazon's: an installation on another site would hand over that site's secret, and
    // another's topic would be subscribed to.
    #[test]
    fn a_signed_handshake_is_taken_from_the_groups_own_account_alone() {
        for (connector, name, own) in [
            ("jira-connect", "installed, signed by Atlassian", "site-1"),
            (
                "aws-sns",
                "subscription",
                "arn:aws:sns:eu-central-1:123456789012:gate",
            ),
        ] {
            let cases = cases(connector).expect("has vectors");
            let found = cases.iter().find(|case| case.name == name);
            let case = found.unwrap_or_else(|| panic!("{connector}: {name} is missing"));
            let verify = |account: &str| {
                let mut spec = spec_of(case);
                spec.learn_secret = connector == "jira-connect";
                spec.external_id = account.into();
                let group = group(spec, &case.callback_url).expect("compiles");
                let request = callback(&case.method, &case.query, &case.headers, case.body());
                group.verify_with(request, &Found(case), Timestamp(case.now))
            };
            for account in ["", own] {
                let proven = verify(account);
                assert!(matches!(proven, Ok(Proven::Handshake(_))), "{proven:?}");
            }
            let Err(Unproven::Refused(refused)) = verify("another") else {
                panic!("{connector}: it is taken");
            };
            assert_eq!(refused.refusal.kind, RefusalKind::ExternalId);
        }
    }
}

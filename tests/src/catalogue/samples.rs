//! The catalogue's samples, each signed in a group that is made up for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::{Connector, Group, Head, Proven, Timestamp, Variant};

use super::name;

/// A callback URL of no group.
pub const URL: &str = "https://hooks.example.com/c/0123456789abcdefghijkl";

/// A group of this function with made-up secrets and parameters, of whatever form its rules can read. Or why there is none.
pub fn made_up(connector: &v1::Connector, function: &str) -> Result<Arc<Group>, String> {
    let compiled = Connector::compile(connector).map_err(|errors| format!("{errors:?}"))?;
    let mut why = String::new();
    for unsigned in [false, true] {
        for secret in secrets() {
            for parameter in parameters() {
                let spec = v1::WebhookGroupSpec {
                    connector: name(connector).into(),
                    function: function.into(),
                    signature_secrets: match unsigned {
                        true => Vec::new(),
                        false => super::secrets(std::slice::from_ref(&secret)),
                    },
                    parameters: filled(connector, &parameter),
                    accept_unsigned: unsigned,
                    registered_events: vec!["*".into()],
                    ..Default::default()
                };
                match group(spec, compiled.clone()) {
                    Ok(group) => return Ok(group),
                    Err(error) if why.is_empty() => why = error,
                    Err(_) => {}
                }
            }
        }
    }
    Err(why)
}

fn group(spec: v1::WebhookGroupSpec, connector: Arc<Connector>) -> Result<Arc<Group>, String> {
    let group = v1::WebhookGroup {
        metadata: Some(v1::Metadata {
            org: "acme".into(),
            name: "samples".into(),
            uid: "uid-1".into(),
            ..Default::default()
        }),
        spec: Some(spec),
        status: Some(v1::WebhookGroupStatus {
            callback_url: URL.into(),
            ..Default::default()
        }),
    };
    Group::compile(&group, connector, Vec::new()).map_err(|errors| format!("{errors:?}"))
}

/// Raw, hex and base64, and with the prefixes that some are pasted with. Public keys of each format last.
fn secrets() -> Vec<String> {
    let hex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let base64 = "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=";
    let made = ["a-made-up-secret-of-forty-characters-1234", hex, base64];
    let public = [
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n-----END PUBLIC KEY-----\n",
        "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    ];
    made.into_iter().chain(public).map(str::to_owned).collect()
}

fn parameters() -> Vec<String> {
    secrets().into_iter().take(3).collect()
}

fn filled(connector: &v1::Connector, secret: &str) -> BTreeMap<String, String> {
    let spec = connector.spec.as_ref();
    let all = spec.map_or(&[][..], |spec| &spec.parameters);
    all.iter()
        .filter(|one| one.default_value.is_empty())
        .map(|one| {
            let value = if one.secret { secret } else { "made-up" };
            (one.name.clone(), value.to_owned())
        })
        .collect()
}

/// A variant through the stages that a listener runs: says what came of it instead, if it isn't what must.
pub fn judge(group: &Group, variant: &Variant, now: Timestamp) -> Result<(), String> {
    let Ok(sample) = &variant.request else {
        return Ok(());
    };
    let query = sample.url.split_once('?').map_or("", |(_, query)| query);
    let request = super::callback(&sample.method, query, &sample.headers, sample.body.to_vec());
    let head = Head {
        method: &request.method,
        path: "/c/t",
        query,
        headers: &request.headers,
    };
    let length = variant.padded_to.max(request.body.len() as u64);
    let proven = group.admit(head, Some(length)).and_then(|_| group.verify(request, now));
    let expected = &variant.expected;
    let (status, clause) = match proven {
        Err(refusal) => {
            let status = refusal.status.unwrap_or(refusal.kind.status());
            (status, format!("{}: {}", refusal.kind.clause(), refusal.reason))
        }
        Ok(Proven::Handshake(shaken)) => {
            if expected.reply.as_ref() != Some(&shaken.reply) {
                return Err(format!("answered {:?}", shaken.reply));
            }
            (shaken.reply.status, String::new())
        }
        Ok(Proven::Genuine(verified)) => {
            if expected.reply.is_some() {
                return Err("genuine".to_owned());
            }
            let answer = group.answer_to(&verified);
            let status = answer.as_ref().unwrap_or(group.success()).status;
            match group.extract(verified) {
                Ok(_) => (status, String::new()),
                Err(refusal) => (refusal.kind.status(), refusal.kind.clause().to_owned()),
            }
        }
    };
    let decided = clause.split(':').next().unwrap_or_default();
    match (status, decided) == (expected.status, expected.clause) {
        true => Ok(()),
        false => Err(format!("{status} {clause}, not {} {}", expected.status, expected.clause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    

    #[test]
    fn probe() {
        let now = Timestamp(1_796_000_000_000);
        for connector in super::super::connectors() {
            let spec = connector.spec.clone().unwrap_or_default();
            for function in &spec.functions {
                let label = format!("{}/{}", name(&connector), function.name);
                if !function.unsupported.is_empty() {
                    println!("UNSUPPORTED {label}");
                    continue;
                }
                let Some(event) = function.events.iter().find(|e| e.sample.is_some()) else {
                    println!("NOSAMPLE {label}");
                    continue;
                };
                let group = match made_up(&connector, &function.name) {
                    Ok(group) => group,
                    Err(why) => {
                        println!("NOGROUP {label}: {}", &why[..why.len().min(300)]);
                        continue;
                    }
                };
                let sign = |uuid: &str| -> Result<(String, String), String> {
                    let sample = group.sign_sample(&event.name, now, uuid).map_err(|e| e.to_string())?;
                    let query = sample.url.split_once('?').map_or("", |(_, q)| q);
                    let callback = super::super::callback(&sample.method, query, &sample.headers, sample.body.to_vec());
                    match group.verify(callback, now) {
                        Ok(Proven::Genuine(verified)) => {
                            let x = group.extract(verified).map_err(|r| format!("extract {}", r.reason))?;
                            let f = x.events().first().ok_or("no event")?;
                            Ok((f.event_type.clone(), f.delivery_id.clone()))
                        }
                        Ok(Proven::Handshake(_)) => Err("handshake".into()),
                        Err(r) => Err(r.reason),
                    }
                };
                match group.sample_variants("", now, &[7; 32]) {
                    Err(why) => println!("VARIANTS {label}: {why}"),
                    Ok(all) => for variant in &all {
                        if let Err(why) = &variant.request { println!("NOTMADE {label}: {:?}: {}: {why}", variant.kind, variant.about); }
                        if let Err(why) = judge(&group, variant, now) { println!("WRONG {label}: {:?}: {}: {why}", variant.kind, variant.about); }
                        else if variant.request.is_ok() { println!("MADE {label} {:?}", variant.kind); }
                    },
                }
                match (sign("01930000-0000-7000-8000-000000000000"), sign("01930000-0000-7000-8000-000000000001")) {
                    (Err(why), _) | (_, Err(why)) => println!("FAIL {label}: {why}"),
                    (Ok((t, d)), Ok((_, e))) => {
                        if t != event.name { println!("TYPE {label}: {t} not {}", event.name); }
                        if !d.is_empty() && d == e { println!("SAMEID {label}: {d}"); }
                    }
                }
            }
        }
    }
}

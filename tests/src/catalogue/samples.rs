//! The catalogue's samples, each signed in a group that is made up for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::{Connector, Group, Head, Proven, Timestamp, Variant};

use super::name;

/// A callback URL of no group.
pub const URL: &str = "https://hooks.example.com/c/0123456789abcdefghijkl";

/// An RSA key that signed nothing.
const RSA: &str = include_str!("../../fixtures/samples.pub");
/// The same as a set of JSON Web Keys.
const RSA_SET: &str = include_str!("../../fixtures/samples.rsa.jwks");

/// A group of this function with made-up secrets and parameters, of whatever form its rules can read. Or why there is none.
pub fn made_up(connector: &v1::Connector, function: &str) -> Result<Arc<Group>, String> {
    let compiled = Connector::compile(connector).map_err(|errors| format!("{errors:?}"))?;
    let mut why = String::new();
    let secrets = shared().into_iter().chain(public());
    // Without one where none is needed: the public key is fetched, or nothing is signed.
    let some = secrets.map(|secret| (vec![secret], false));
    let none = [(Vec::new(), false), (Vec::new(), true)];
    for (secrets, accept_unsigned) in some.chain(none) {
        for parameter in shared() {
            let spec = v1::WebhookGroupSpec {
                connector: name(connector).into(),
                function: function.into(),
                signature_secrets: super::secrets(&secrets),
                parameters: filled(connector, &parameter),
                accept_unsigned,
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

/// Raw, hex and base64.
fn shared() -> Vec<String> {
    let raw = "a-made-up-secret-of-forty-characters-1234";
    let hex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let base64 = "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=";
    [raw, hex, base64].map(str::to_owned).to_vec()
}

/// Ed25519, P-256 and RSA, as they are pasted.
fn public() -> Vec<String> {
    let p256 = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n-----END PUBLIC KEY-----\n";
    let p256_set = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"made-up","x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}]}"#;
    let ed25519_hex = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let ed25519_base64 = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    [ed25519_hex, ed25519_base64, p256, RSA, p256_set, RSA_SET]
        .map(str::to_owned)
        .to_vec()
}

fn filled(connector: &v1::Connector, secret: &str) -> BTreeMap<String, String> {
    let spec = connector.spec.as_ref();
    let all = spec.map_or(&[][..], |spec| &spec.parameters);
    all.iter()
        .filter(|one| one.default_value.is_empty())
        .map(|one| {
            let value = match one.name.as_str() {
                _ if one.secret => secret,
                // Its keys are fetched from there.
                "authUrl" => "https://made-up.neonauth.eu.aws.neon.tech",
                _ => "made-up",
            };
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
    let proven = group
        .admit(head, Some(length))
        .and_then(|_| group.verify(request, now));
    let expected = &variant.expected;
    let (status, clause) = match proven {
        Err(refusal) => {
            let status = refusal.status.unwrap_or(refusal.kind.status());
            (
                status,
                format!("{}: {}", refusal.kind.clause(), refusal.reason),
            )
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
        false => Err(format!(
            "{status} {clause}, not {} {}",
            expected.status, expected.clause
        )),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD;

    use super::*;

    const NOW: Timestamp = Timestamp(1_796_000_000_000);
    const UUIDS: [&str; 2] = [
        "01930000-0000-7000-8000-000000000000",
        "01930000-0000-7000-8000-000000000001",
    ];

    /// Connectors all of whose functions are signed with a private key, which only the provider has.
    const PRIVATE_KEY: &[&str] = &[
        "adobe-io-events",
        "alipay-cn",
        "antom-alipay-plus",
        "apple-app-store",
        "aws-sns",
        "bot-framework",
        "bridge-xyz",
        "circle",
        "constant-contact",
        "discord",
        "ebay",
        "fal-ai",
        "fireblocks",
        "green-dot",
        "google-chat",
        "google-play-rtdn",
        "google-pubsub-push",
        "keygen",
        "kick",
        "kinde",
        "neon-auth",
        "paypal",
        "plaid",
        "postal",
        "shipengine",
        "telnyx",
        "token-io",
        "travis-ci",
        "truelayer",
        "utila",
        "wechat-pay",
        "wise",
        "wix",
    ];
    /// Single functions of which that is true.
    const PRIVATE_KEY_FUNCTIONS: &[&str] = &[
        "fusionauth/ec-key",
        "fusionauth/rsa-key",
        "gemini-api/dynamic-webhooks",
        "sendgrid/event-webhook",
    ];

    fn proven(group: &Group, event: &str, uuid: &str) -> Result<String, String> {
        let sample = group
            .sign_sample(event, NOW, uuid)
            .map_err(|error| error.to_string())?;
        let query = sample.url.split_once('?').map_or("", |(_, query)| query);
        let body = sample.body.to_vec();
        let callback = super::super::callback(&sample.method, query, &sample.headers, body);
        match group.verify(callback, NOW) {
            Ok(Proven::Genuine(verified)) => {
                let extracted = group.extract(verified).map_err(|refusal| refusal.reason)?;
                let first = extracted.events().first().ok_or("no event")?;
                Ok(first.event_type.clone())
            }
            Ok(Proven::Handshake(_)) => Err("it is taken for a handshake".into()),
            Err(refusal) => Err(refusal.reason),
        }
    }

    /// Each function of each connector with a group that is made up for it. Those that don't compile are another test's.
    fn each(mut look: impl FnMut(&str, &v1::ConnectorFunction, &Group) -> Result<(), String>) {
        let mut wrong = Vec::new();
        for connector in super::super::connectors() {
            if Connector::compile(&connector).is_err() {
                continue;
            }
            let spec = connector.spec.clone().unwrap_or_default();
            for function in &spec.functions {
                let label = format!("{}/{}", name(&connector), function.name);
                if !function.unsupported.is_empty() {
                    continue;
                }
                let seen = made_up(&connector, &function.name)
                    .and_then(|group| look(&label, function, &group));
                if let Err(why) = seen {
                    wrong.push(format!("{label}: {why}"));
                }
            }
        }
        assert!(
            wrong.is_empty(),
            "{} wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }

    #[test]
    fn every_sample_that_can_be_signed_is_taken_for_the_event_it_is_of() {
        let mut signed = 0;
        each(|label, function, group| {
            let connector = label.split('/').next().unwrap_or_default();
            let is_private =
                PRIVATE_KEY.contains(&connector) || PRIVATE_KEY_FUNCTIONS.contains(&label);
            let first = function.events.iter().find(|one| one.sample.is_some());
            let event = &first.ok_or("it has no sample")?.name;
            match proven(group, event, UUIDS[0]) {
                Err(why) if is_private && why.contains("private key") => Ok(()),
                _ if is_private => Err("it can be signed, and is listed as one that can't".into()),
                // Of what users name themselves the sample has one of theirs.
                Ok(found) if found == *event || found.starts_with(&format!("{event}.")) => {
                    signed += 1;
                    Ok(())
                }
                Ok(found) => Err(format!("the sample of {event} is of type `{found}`")),
                Err(why) => Err(why),
            }
        });
        assert!(signed > 400, "{signed}");
    }

    /// Everything that whoever is handed it can read, what is packed in base64 unpacked: Basic's password, a token's claims.
    fn legible(sample: &hookplane_rules::SignedSample) -> String {
        let mut all = format!("{} {}", sample.url, String::from_utf8_lossy(&sample.body));
        for (_, value) in &sample.headers {
            all.push_str(&format!(" {value}"));
        }
        // As far as our secrets are escaped in a URL.
        let mut all = all
            .replace("%2B", "+")
            .replace("%2F", "/")
            .replace("%3D", "=");
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_=".contains(c);
        for word in all.clone().split(|c| !is_base64(c)) {
            let word = word
                .trim_end_matches('=')
                .replace('-', "+")
                .replace('_', "/");
            if let Ok(bytes) = STANDARD_NO_PAD.decode(word) {
                all.push_str(&format!(" {}", String::from_utf8_lossy(&bytes)));
            }
        }
        all
    }

    // A read that returns a secret. All but the end of one is as good as all of it.
    #[test]
    fn whatever_shows_a_secret_says_so() {
        let mut shown = 0;
        each(|_, _, group| {
            let variants = group.sample_variants("", NOW, &[7; 32]);
            for one in variants.map_err(|error| error.to_string())? {
                let Ok(sample) = &one.request else { continue };
                let reply = one.expected.reply.map(|reply| reply.body.to_vec());
                let reply = String::from_utf8_lossy(&reply.unwrap_or_default()).into_owned();
                let text = format!("{} {reply}", legible(sample));
                let mut secrets = shared().into_iter();
                let is_there = secrets.any(|secret| text.contains(&secret[..secret.len() - 1]));
                if is_there != sample.shows.is_some() {
                    return Err(format!(
                        "{}: it is there: {is_there}, and it says {:?}",
                        one.about, sample.shows
                    ));
                }
                shown += usize::from(is_there);
            }
            Ok(())
        });
        assert!(shown > 100, "{shown}");
    }

    #[test]
    fn every_variant_of_every_connectors_sample_comes_to_what_is_said_of_it() {
        each(|_, _, group| {
            let variants = group.sample_variants("", NOW, &[7; 32]);
            let variants = variants.map_err(|error| error.to_string())?;
            let wrong: Vec<String> = variants
                .iter()
                .filter_map(|one| Some((one, judge(group, one, NOW).err()?)))
                .map(|(one, why)| format!("{}: {why}", one.about))
                .collect();
            if wrong.is_empty() {
                Ok(())
            } else {
                Err(wrong.join("; "))
            }
        });
    }
}

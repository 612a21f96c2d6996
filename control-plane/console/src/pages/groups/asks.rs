//! What a function asks for when a group of it is set up: told from its definition, so that the form shows that and nothing else. What is required
//! is decided by the API all the same.

use hookplane_proto::v1;

use crate::weight;

/// A function, as a form needs it.
pub(in crate::pages) struct Asks {
    pub(in crate::pages) connector: String,
    pub(in crate::pages) connector_name: String,
    pub(in crate::pages) function: String,
    pub(in crate::pages) function_name: String,
    pub(in crate::pages) description: String,
    /// Why no group can be made of it; empty: one can.
    pub(in crate::pages) unsupported: String,
    /// The Signature Secret proves callbacks genuine.
    pub(in crate::pages) secret: bool,
    /// Something proves callbacks genuine.
    pub(in crate::pages) signs: bool,
    /// The provider hands over the secret when the URL is set up.
    pub(in crate::pages) learns: bool,
    pub(in crate::pages) secret_help: String,
    pub(in crate::pages) steps: Vec<String>,
    pub(in crate::pages) retries: String,
    /// Each with its description, as many as fit in a form.
    pub(in crate::pages) events: Vec<(String, String)>,
    /// How many more there are: those are typed.
    pub(in crate::pages) unlisted: usize,
    pub(in crate::pages) open_events: bool,
    pub(in crate::pages) parameters: Vec<v1::ConnectorParameter>,
    pub(in crate::pages) max_body_bytes: u64,
}

/// Of the list of events, in a page, and of one without its texts.
const LISTED: usize = 100 * 1024;
const LINE: usize = 140;
/// Of the texts that say how it is set up.
const STEPS: usize = 24 * 1024;

/// Where neither the connector nor its function says.
const MAX_BODY_BYTES: u64 = 1024 * 1024;

impl Asks {
    /// None: the connector has no such function. Empty means the first.
    pub(in crate::pages) fn of(connector: &v1::Connector, function: &str) -> Option<Self> {
        let spec = connector.spec.clone().unwrap_or_default();
        let mut functions = spec.functions.into_iter();
        let function = functions.find(|f| function.is_empty() || f.name == function)?;
        let (own, shared) = (
            function.protocol.unwrap_or_default(),
            spec.protocol.unwrap_or_default(),
        );
        // A function's own fields win, one by one.
        let schemes = match own.schemes.is_empty() {
            true => shared.schemes,
            false => own.schemes,
        };
        let handshakes = match own.handshakes.is_empty() {
            true => shared.handshakes,
            false => own.handshakes,
        };
        let retries = match own.retries.is_empty() {
            true => shared.retries,
            false => own.retries,
        };
        let events = function.events.into_iter();
        let events = events.map(|event| (event.name, event.description));
        let (events, unlisted) = weight::first(events.collect(), LISTED, |(name, description)| {
            LINE + 2 * weight::of(name) + weight::of(description)
        });
        let (steps, _) = weight::first(steps(&function.setup), STEPS, |step| weight::of(step));
        Some(Self {
            connector: connector.metadata.clone().unwrap_or_default().name,
            connector_name: spec.display_name,
            function: function.name,
            function_name: function.display_name,
            description: function.description,
            unsupported: function.unsupported,
            secret: schemes.iter().any(uses_secret),
            signs: schemes.iter().any(|scheme| scheme.unsigned.is_none()),
            learns: handshakes.iter().any(|shake| !shake.learn.is_empty()),
            secret_help: spec.secret_help,
            steps,
            retries,
            events,
            unlisted,
            open_events: function.open_events,
            parameters: spec.parameters,
            max_body_bytes: own
                .max_body_bytes
                .or(shared.max_body_bytes)
                .unwrap_or(MAX_BODY_BYTES),
        })
    }
}

/// Whether the group's Signature Secret is what it is checked with, and not a parameter or the provider's own keys.
fn uses_secret(scheme: &v1::Scheme) -> bool {
    let is_secret = |key: &Option<v1::Key>| key.as_ref().is_none_or(|key| key.parameter.is_empty());
    let is_pasted =
        |key: &Option<v1::PublicKey>| key.as_ref().is_none_or(|key| key.remote.is_none());
    let keyed = scheme.hmac.iter().chain(&scheme.digest);
    let mut keyed = keyed.map(|hash| &hash.key);
    let by_token = scheme.jwt.as_ref().is_some_and(|token| {
        let public = token.public_key.is_some() && is_pasted(&token.public_key);
        let shared = token.public_key.is_none() && is_secret(&token.key);
        token.certificate_root.is_empty() && (public || shared)
    });
    keyed.any(is_secret)
        || scheme.token.is_some()
        || scheme.basic.is_some()
        || scheme
            .public_key
            .as_ref()
            .is_some_and(|s| is_pasted(&s.key))
        || by_token
}

/// `1. …` and so on, each step without its number; a text without numbers is one step.
fn steps(setup: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    for line in setup.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let numbered = line.split_once(". ").filter(|(number, _)| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        match (numbered, steps.last_mut()) {
            (Some((_, step)), _) => steps.push(step.to_owned()),
            (None, Some(last)) => {
                last.push(' ');
                last.push_str(line);
            }
            (None, None) => steps.push(line.to_owned()),
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_up_is_a_list_of_steps() {
        assert_eq!(
            steps("1. Open it.\n2. Type\n   the URL.\n\n10. Save 3.5 times."),
            ["Open it.", "Type the URL.", "Save 3.5 times."]
        );
        assert_eq!(steps("Just save it."), ["Just save it."]);
        assert!(steps("").is_empty());
    }

    fn of(scheme: v1::Scheme) -> (bool, bool) {
        let connector = v1::Connector {
            spec: Some(v1::ConnectorSpec {
                functions: vec![v1::ConnectorFunction::default()],
                protocol: Some(v1::Protocol {
                    schemes: vec![scheme],
                    ..Default::default()
                }),
                ..Default::default()
            }),
            metadata: None,
        };
        let asks = Asks::of(&connector, "").unwrap();
        (asks.signs, asks.secret)
    }

    #[test]
    fn a_secret_is_asked_for_where_one_is_checked() {
        let hmac = |parameter: &str| v1::Scheme {
            hmac: Some(v1::KeyedHash {
                key: Some(v1::Key {
                    parameter: parameter.to_owned(),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(of(hmac("")), (true, true));
        assert_eq!(of(hmac("client_secret")), (true, false));
        let fetched = v1::Scheme {
            jwt: Some(v1::JsonWebToken {
                public_key: Some(v1::PublicKey {
                    remote: Some(v1::RemoteKeys::default()),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(of(fetched), (true, false));
        let basic = v1::Scheme {
            basic: Some(v1::BasicAuth::default()),
            ..Default::default()
        };
        assert_eq!(of(basic), (true, true));
        let unsigned = v1::Scheme {
            unsigned: Some(v1::Unsigned {}),
            ..Default::default()
        };
        assert_eq!(of(unsigned), (false, false));
    }

    #[test]
    fn a_function_that_the_connector_has_not_is_none() {
        let connector = v1::Connector {
            spec: Some(v1::ConnectorSpec {
                functions: vec![v1::ConnectorFunction {
                    name: "a".into(),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            metadata: None,
        };
        assert_eq!(Asks::of(&connector, "a").unwrap().function, "a");
        assert!(Asks::of(&connector, "b").is_none());
    }

    #[test]
    fn a_list_of_events_has_as_many_as_fit_and_says_how_many_do_not() {
        let event = |n: usize| v1::ConnectorEvent {
            name: format!("{n}-{}", "<".repeat(190)),
            description: "what it is".into(),
            ..Default::default()
        };
        let connector = v1::Connector {
            spec: Some(v1::ConnectorSpec {
                functions: vec![v1::ConnectorFunction {
                    events: (0..1_000).map(event).collect(),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            metadata: None,
        };
        let asks = Asks::of(&connector, "").unwrap();
        assert!(asks.unlisted > 0);
        assert_eq!(asks.events.len() + asks.unlisted, 1_000);
        let weight = asks.events.iter().map(|(name, _)| 2 * weight::of(name));
        assert!(weight.sum::<usize>() < LISTED);
    }
}

//! The tests that stand in a connector's own definition.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use hookplane_proto::v1;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::{Expected, HANDSHAKE_REFUSED, group, run};
use crate::connector::{Function, Proof, Scheme};
use crate::encoding::BASE64;
use crate::{Callback, Connector, FieldError, NoKeys, RefusalKind, Timestamp};

/// Tests of one connector.
const MAX_TESTS: usize = 100;
/// The longest name of a test, in bytes.
const MAX_NAME_BYTES: usize = 200;
/// The longest body, in bytes.
const MAX_BODY_BYTES: usize = 65_536;
/// What it may unpack to, in bytes: a hundred of them are run while somebody waits.
const MAX_UNPACKED_BYTES: u64 = 1_048_576;
/// The longest URL, query and header, in bytes.
const MAX_TEXT_BYTES: usize = 8_192;
const MAX_HEADERS: usize = 100;

/// Where requests go when a test doesn't say.
const URL: &str = "https://hooks.example.com/c/test";

/// What may be expected.
const OUTCOMES: [&str; 10] = [
    "genuine",
    "handshake",
    HANDSHAKE_REFUSED,
    "signature",
    "timestamp",
    "undecodable",
    "method",
    "media-type",
    "body-too-large",
    "external-id",
];

/// Runs a definition's tests. `now` is the time for those that name none. Errors name fields as the manifest has them.
pub fn check(
    spec: &v1::ConnectorSpec,
    connector: &Arc<Connector>,
    now: Timestamp,
) -> Vec<FieldError> {
    let tests = &spec.tests;
    if tests.len() > MAX_TESTS {
        let message = format!("has {} tests, at most {MAX_TESTS} are taken", tests.len());
        return vec![FieldError::new("spec.tests", message)];
    }
    let mut names = BTreeSet::new();
    let mut errors = Vec::new();
    for (index, test) in tests.iter().enumerate() {
        let mut problems = name_problem(&test.name, &mut names)
            .map(|problem| Problem::new("name", problem))
            .into_iter()
            .collect::<Vec<_>>();
        match tried(test, connector, now) {
            Ok(()) => {}
            Err(more) => problems.extend(more),
        }
        errors.extend(problems.into_iter().map(|problem| {
            let field = format!("spec.tests[{index}]{}", problem.below);
            let message = match (problem.is_outcome, test.name.as_str()) {
                (true, name) if !name.is_empty() => format!("test `{name}`: {}", problem.message),
                _ => problem.message,
            };
            FieldError::new(field, message)
        }));
    }
    errors
}

/// What is wrong with one test.
struct Problem {
    /// The path below the test: `.expect`.
    below: String,
    message: String,
    /// It was run, and something else came of it.
    is_outcome: bool,
}

impl Problem {
    fn new(field: &str, message: impl Into<String>) -> Self {
        Self {
            below: format!(".{field}"),
            message: message.into(),
            is_outcome: false,
        }
    }
}

fn name_problem<'a>(name: &'a str, seen: &mut BTreeSet<&'a str>) -> Option<String> {
    if name.is_empty() {
        Some("is missing; it says what the test is about".to_owned())
    } else if name.len() > MAX_NAME_BYTES {
        Some(format!(
            "is {} bytes long, at most {MAX_NAME_BYTES} are taken",
            name.len()
        ))
    } else if !seen.insert(name) {
        Some(format!("`{name}` is there twice"))
    } else {
        None
    }
}

fn tried(
    test: &v1::ConnectorTest,
    connector: &Arc<Connector>,
    now: Timestamp,
) -> Result<(), Vec<Problem>> {
    let function = connector
        .function(&test.function)
        .map_err(|why| vec![Problem::new("function", why)])?;
    let expected = expected(test).map_err(|problem| vec![problem])?;
    let (callback, now) = match (callback(test), time(test, now)) {
        (Ok(callback), Ok(now)) => (callback, now),
        (callback, now) => {
            let callback = callback.err().unwrap_or_default();
            return Err(callback.into_iter().chain(now.err()).collect());
        }
    };
    let url = url(test, function).map_err(|problem| vec![problem])?;
    let group = group(connector, group_spec(test, function), url).map_err(|errors| {
        errors
            .into_iter()
            .map(|error| Problem {
                below: field_of_group(&error.field),
                message: error.message,
                is_outcome: false,
            })
            .collect::<Vec<_>>()
    })?;
    let came = run(&group, callback, &NoKeys, now);
    match expected.differs(&came) {
        None => Ok(()),
        Some(difference) => Err(vec![Problem {
            is_outcome: true,
            ..Problem::new(difference.field, difference.message)
        }]),
    }
}

fn expected(test: &v1::ConnectorTest) -> Result<Expected<'_>, Problem> {
    let outcome = test.expect.as_str();
    if !OUTCOMES.contains(&outcome) {
        let given = match outcome {
            "" => "is missing".to_owned(),
            _ => format!("`{outcome}` is nothing that comes of a request"),
        };
        let message = format!("{given}; it is one of {}", OUTCOMES.join(", "));
        return Err(Problem::new("expect", message));
    }
    let text = |text| Some(text).filter(|text: &&str| !text.is_empty());
    let expected = Expected {
        outcome: Some(outcome),
        event_type: text(&test.expect_type),
        delivery_id: text(&test.expect_delivery_id),
        external_id: text(&test.expect_external_id),
        events: usize::try_from(test.expect_events)
            .ok()
            .filter(|events| *events > 0),
    };
    let of_an_event = [
        ("expectType", expected.event_type.is_some()),
        ("expectDeliveryId", expected.delivery_id.is_some()),
        ("expectExternalId", expected.external_id.is_some()),
        ("expectEvents", expected.events.is_some()),
    ];
    let is_kept = outcome == "genuine" || outcome == RefusalKind::Undecodable.clause();
    if let Some((field, _)) = of_an_event
        .into_iter()
        .find(|(_, given)| *given && !is_kept)
    {
        let message = format!("goes with `expect: genuine`; nothing is read where it is {outcome}");
        return Err(Problem::new(field, message));
    }
    Ok(expected)
}

fn callback(test: &v1::ConnectorTest) -> Result<Callback, Vec<Problem>> {
    let mut problems = Vec::new();
    let method = match test.method.as_str() {
        "" => Some(Method::POST),
        method => Method::from_bytes(method.as_bytes()).ok(),
    };
    if method.is_none() {
        problems.push(Problem::new("method", "is no HTTP method"));
    }
    if test.query.len() > MAX_TEXT_BYTES || !test.query.bytes().all(|b| b.is_ascii_graphic()) {
        let message = format!(
            "is at most {MAX_TEXT_BYTES} printable ASCII characters without spaces, as after the question mark of a URL"
        );
        problems.push(Problem::new("query", message));
    }
    let mut headers = HeaderMap::new();
    if test.headers.len() > MAX_HEADERS {
        let message = format!("are at most {MAX_HEADERS}");
        problems.push(Problem::new("headers", message));
    }
    for (name, value) in test.headers.iter().take(MAX_HEADERS) {
        let parsed = HeaderName::from_bytes(name.as_bytes());
        match (parsed, HeaderValue::from_str(value)) {
            (Ok(parsed), Ok(value)) if value.len() <= MAX_TEXT_BYTES => {
                headers.append(parsed, value);
            }
            (Err(_), _) => problems.push(Problem::new(
                &format!("headers.{name}"),
                "can't be a header's name",
            )),
            _ => {
                let message = format!(
                    "can't be a header's value: one is at most {MAX_TEXT_BYTES} bytes, without line breaks"
                );
                problems.push(Problem::new(&format!("headers.{name}"), message));
            }
        }
    }
    let body = match body(test) {
        Ok(body) => body,
        Err(problem) => {
            problems.push(problem);
            Vec::new()
        }
    };
    match (method, problems.is_empty()) {
        (Some(method), true) => Ok(Callback {
            method,
            query: test.query.clone(),
            headers,
            body: body.into(),
        }),
        _ => Err(problems),
    }
}

fn body(test: &v1::ConnectorTest) -> Result<Vec<u8>, Problem> {
    let (field, body) = match (test.body.as_str(), test.body_base64.as_str()) {
        (body, "") => ("body", body.as_bytes().to_vec()),
        ("", encoded) if encoded.len() <= 2 * MAX_BODY_BYTES => {
            let decoded = BASE64.decode(encoded);
            let decoded = decoded.map_err(|_| {
                Problem::new(
                    "bodyBase64",
                    "is not base64 of this alphabet: A-Z a-z 0-9 + /",
                )
            })?;
            ("bodyBase64", decoded)
        }
        ("", _) => ("bodyBase64", vec![0; MAX_BODY_BYTES + 1]),
        _ => {
            return Err(Problem::new(
                "bodyBase64",
                "is there beside `body`; a request has one of them",
            ));
        }
    };
    if body.len() > MAX_BODY_BYTES {
        let message = format!("is longer than {MAX_BODY_BYTES} bytes");
        return Err(Problem::new(field, message));
    }
    Ok(body)
}

fn time(test: &v1::ConnectorTest, now: Timestamp) -> Result<Timestamp, Problem> {
    if test.now.is_empty() {
        return Ok(now);
    }
    let parsed = test.now.parse::<prost_types::Timestamp>();
    parsed
        .map(|time| crate::time::from_wire(&time))
        .map_err(|_| {
            Problem::new(
                "now",
                "is no time as RFC 3339 writes it: 2026-01-01T00:00:00Z",
            )
        })
}

fn url<'a>(test: &'a v1::ConnectorTest, function: &Function) -> Result<&'a str, Problem> {
    if test.url.is_empty() {
        if function.protocol.schemes.iter().any(Scheme::is_url_bound) {
            let message = "is missing: the scheme signs the URL, so the test has to say which one the provider was given";
            return Err(Problem::new("url", message));
        }
        return Ok(URL);
    }
    let parsed = test.url.parse::<Uri>().ok();
    let is_whole = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none()
    });
    if !is_whole || test.url.len() > MAX_TEXT_BYTES {
        let message = "is no URL as https://hooks.example.com/c/test; what follows a question mark is the `query`";
        return Err(Problem::new("url", message));
    }
    Ok(&test.url)
}

fn group_spec(test: &v1::ConnectorTest, function: &Function) -> v1::WebhookGroupSpec {
    let secret = |value: &String| v1::SignatureSecret {
        value: value.clone(),
        ..Default::default()
    };
    let mut schemes = function.protocol.schemes.iter();
    v1::WebhookGroupSpec {
        function: test.function.clone(),
        signature_secrets: test.secrets.iter().map(secret).collect(),
        parameters: test.parameters.clone(),
        accept_unsigned: schemes.any(|scheme| matches!(scheme.proof, Proof::Unsigned)),
        max_body_bytes: Some(function.protocol.max_body_bytes.min(MAX_UNPACKED_BYTES)),
        ..Default::default()
    }
}

/// The test's field that a group's field was made of, as a path below the test.
fn field_of_group(field: &str) -> String {
    let field = field.strip_prefix("spec.").unwrap_or(field);
    let secret = field.strip_prefix("signatureSecrets");
    if let Some(rest) = secret {
        let index = rest.split('.').next().unwrap_or_default();
        return format!(".secrets{index}");
    }
    match field {
        "function" => ".function".to_owned(),
        _ if field.starts_with("parameters") => format!(".{field}"),
        _ => String::new(),
    }
}

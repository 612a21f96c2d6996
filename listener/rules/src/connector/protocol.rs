//! How one function's provider speaks: the connector's protocol with the function's own fields in place of it.

use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;

use super::reply::{ReplyTemplate, Said};
use super::{Batch, Errors, Extraction, Handshake, Scheme};
use crate::Reply;
use crate::group::Places;
use crate::payload::PayloadAt;
use crate::template::Use;

/// The body when neither connector nor group says otherwise: 1 MiB.
pub(crate) const DEFAULT_MAX_BODY_BYTES: u64 = 1 << 20;
/// What a connector or a group may allow: 25 MiB.
pub(crate) const MOST_BODY_BYTES: u64 = 26_214_400;
/// How long a provider waits when nobody knows.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(5);
/// The longest patience a definition may state, in seconds.
const MOST_PATIENCE_SECONDS: u32 = 120;
/// What a definition may state in milliseconds. Below it nothing would be kept in time.
const PATIENCE_MILLISECONDS: std::ops::RangeInclusive<u32> = 100..=10_000;
/// The share of the provider's patience that we use, as a fraction.
const BUDGET: (u32, u32) = (4, 5);
const MAX_SCHEMES: usize = 8;
const MAX_HANDSHAKES: usize = 8;
const MAX_METHODS: usize = 8;
const MAX_CONTENT_TYPES: usize = 16;

/// One function's protocol, compiled.
#[derive(Debug)]
pub(crate) struct Protocol {
    pub(crate) methods: Vec<String>,
    /// Lower case.
    pub(crate) content_types: Vec<String>,
    pub(crate) max_body_bytes: u64,
    pub(crate) schemes: Vec<Scheme>,
    /// What must not be handed on with an event.
    pub(crate) credentials: Places,
    pub(crate) handshakes: Vec<Handshake>,
    pub(crate) extraction: Extraction,
    pub(crate) batch: Option<Batch>,
    /// Told from the content type when nothing is said here.
    pub(crate) body: Option<v1::PayloadFormat>,
    pub(crate) signs_unpacked_body: bool,
    /// What success is answered with, or where there is more to say, what there is to say without it.
    pub(crate) success: Reply,
    /// What success is answered with where that is made of the request.
    pub(crate) answer: Option<ReplyTemplate>,
    pub(crate) answer_budget: Duration,
}

impl Protocol {
    /// Errors are stated where the field was written.
    pub(crate) fn compile(
        spec: &v1::ConnectorSpec,
        function: &v1::ConnectorFunction,
        at: &str,
        errors: &mut Errors,
    ) -> Option<Self> {
        let before = errors.list.len();
        let nothing = v1::Protocol::default();
        let shared = spec.protocol.as_ref().unwrap_or(&nothing);
        let own = function.protocol.as_ref().unwrap_or(&nothing);
        let own_at = format!("{at}.protocol");
        let shared_at = "spec.protocol".to_owned();
        macro_rules! winner {
            ($field:ident, $is_set:expr) => {
                if $is_set(&own.$field) {
                    (&own.$field, &own_at)
                } else {
                    (&shared.$field, &shared_at)
                }
            };
        }

        let (methods, place) = winner!(methods, |v: &Vec<String>| !v.is_empty());
        let methods = check_methods(methods, &format!("{place}.methods"), errors);
        let (types, place) = winner!(content_types, |v: &Vec<String>| !v.is_empty());
        let content_types = check_types(types, &format!("{place}.contentTypes"), errors);
        let (limit, place) = winner!(max_body_bytes, Option::is_some);
        let max_body_bytes = check_limit(*limit, &format!("{place}.maxBodyBytes"), errors);

        let (list, place) = winner!(schemes, |v: &Vec<v1::Scheme>| !v.is_empty());
        let mut schemes = compile_schemes(list, place, at, errors);
        let (list, place) = winner!(handshakes, |v: &Vec<v1::Handshake>| !v.is_empty());
        errors.at_most(
            &format!("{place}.handshakes"),
            list.len(),
            MAX_HANDSHAKES,
            "handshakes",
        );
        let handshakes = (0..MAX_HANDSHAKES)
            .zip(list)
            .filter_map(|(index, handshake)| {
                Handshake::compile(
                    handshake,
                    &schemes,
                    &format!("{place}.handshakes[{index}]"),
                    errors,
                )
            })
            .collect();

        let (extract, place) = winner!(extract, Option::is_some);
        let extraction = extract
            .as_ref()
            .map_or_else(Extraction::default, |extract| {
                Extraction::compile(extract, &format!("{place}.extract"), errors)
            });
        if let Some(PayloadAt::Form { name, .. }) = &extraction.payload {
            for scheme in &mut schemes {
                scheme.coverage = Arc::new(scheme.coverage.with_payload_in(name));
            }
        }
        if extraction.payload == Some(PayloadAt::Token) {
            if !schemes.iter().all(Scheme::tells_claims) {
                errors.add(
                    format!("{place}.extract.payload"),
                    "are a token's claims, so that every scheme must be a `jwt` with claims",
                );
            }
            for scheme in &mut schemes {
                scheme.coverage = Arc::new(scheme.coverage.with_token_as_payload());
            }
        }
        let (batch, place) = winner!(batch, Option::is_some);
        let batch = batch
            .as_ref()
            .and_then(|batch| Batch::compile(batch, &format!("{place}.batch"), errors));
        let (answer, place) = winner!(answer, Option::is_some);
        let answer = answer.clone().unwrap_or_default();
        let answer_budget = budget(&answer, &format!("{place}.answer"), errors);
        let said = Said {
            status: answer.status,
            content_type: &answer.content_type,
            body: &answer.body,
            headers: &answer.headers,
        };
        let answer = ReplyTemplate::compile(&said, Use::Text, &format!("{place}.answer"), errors)?;

        let (format, place) = winner!(body, |v: &i32| *v != 0);
        let body = body_format(*format, &format!("{place}.body"), errors);
        (errors.list.len() == before).then(|| Self {
            body,
            signs_unpacked_body: own.signs_unpacked_body || shared.signs_unpacked_body,
            methods,
            content_types,
            max_body_bytes,
            credentials: Places::of(&schemes),
            schemes,
            handshakes,
            extraction,
            batch,
            success: answer.constant().unwrap_or_else(|| answer.bare()),
            answer: Some(answer).filter(|answer| answer.constant().is_none()),
            answer_budget,
        })
    }
}

fn compile_schemes(
    list: &[v1::Scheme],
    place: &str,
    function_at: &str,
    errors: &mut Errors,
) -> Vec<Scheme> {
    if list.is_empty() {
        errors.add(
            format!("{function_at}.protocol.schemes"),
            "is empty here and in spec.protocol; say how a callback is proven genuine, or `unsigned: {}`",
        );
    }
    errors.at_most(
        &format!("{place}.schemes"),
        list.len(),
        MAX_SCHEMES,
        "schemes",
    );
    let mut schemes = Vec::new();
    for (index, scheme) in list.iter().take(MAX_SCHEMES).enumerate() {
        let at = format!("{place}.schemes[{index}]");
        if scheme.when.is_none() && index + 1 < list.len() {
            errors.add(
                format!("{at}.when"),
                "is missing, so that the schemes after it are never used; give it a condition or put it last",
            );
        }
        schemes.extend(Scheme::compile(scheme, &at, errors));
    }
    schemes
}

fn check_methods(methods: &[String], at: &str, errors: &mut Errors) -> Vec<String> {
    errors.at_most(at, methods.len(), MAX_METHODS, "methods");
    for (index, method) in methods.iter().enumerate() {
        if !matches!(
            method.as_str(),
            "POST" | "GET" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS"
        ) {
            errors.add(
                format!("{at}[{index}]"),
                format!("`{method}` is none of POST, GET, PUT, PATCH, DELETE, HEAD and OPTIONS"),
            );
        }
    }
    if methods.is_empty() {
        vec!["POST".to_owned()]
    } else {
        methods.to_vec()
    }
}

/// None where nothing is said.
fn body_format(format: i32, at: &str, errors: &mut Errors) -> Option<v1::PayloadFormat> {
    use v1::{BodyFormat, PayloadFormat};
    match BodyFormat::try_from(format) {
        Ok(BodyFormat::Unspecified) => None,
        Ok(BodyFormat::Json) => Some(PayloadFormat::Json),
        Ok(BodyFormat::Form) => Some(PayloadFormat::Form),
        Ok(BodyFormat::Multipart) => Some(PayloadFormat::Multipart),
        Ok(BodyFormat::Xml) => Some(PayloadFormat::Xml),
        Ok(BodyFormat::Ndjson) => Some(PayloadFormat::Ndjson),
        Ok(BodyFormat::Opaque) => Some(PayloadFormat::Opaque),
        Err(_) => {
            errors.add(
                at,
                "is none of json, form, multipart, xml, ndjson and opaque",
            );
            None
        }
    }
}

fn check_types(types: &[String], at: &str, errors: &mut Errors) -> Vec<String> {
    errors.at_most(at, types.len(), MAX_CONTENT_TYPES, "content types");
    for (index, name) in types.iter().enumerate() {
        let plain = name.len() <= 128
            && name
                .split_once('/')
                .is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty())
            && name
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b';' && b != b',');
        if !plain {
            errors.add(
                format!("{at}[{index}]"),
                format!("`{name}` is no media type; write one without parameters, such as application/json"),
            );
        }
    }
    types.iter().map(|name| name.to_ascii_lowercase()).collect()
}

/// A limit of a connector or a group.
pub(crate) fn check_limit(limit: Option<u64>, at: &str, errors: &mut Errors) -> u64 {
    match limit {
        None => DEFAULT_MAX_BODY_BYTES,
        Some(limit) => {
            if limit == 0 || limit > MOST_BODY_BYTES {
                errors.add(at, format!("must be from 1 to {MOST_BODY_BYTES}"));
            }
            limit
        }
    }
}

/// How long an answer may take.
fn budget(answer: &v1::Answer, at: &str, errors: &mut Errors) -> Duration {
    let (seconds, milliseconds) = (answer.patience_seconds, answer.patience_milliseconds);
    if seconds > MOST_PATIENCE_SECONDS {
        errors.add(
            format!("{at}.patienceSeconds"),
            format!("is {seconds}, at most {MOST_PATIENCE_SECONDS} are taken"),
        );
    }
    if milliseconds != 0 && !PATIENCE_MILLISECONDS.contains(&milliseconds) {
        errors.add(
            format!("{at}.patienceMilliseconds"),
            format!(
                "is {milliseconds}; it is from {} to {}, and what is longer is said in seconds",
                PATIENCE_MILLISECONDS.start(),
                PATIENCE_MILLISECONDS.end()
            ),
        );
    }
    if seconds != 0 && milliseconds != 0 {
        errors.add(
            format!("{at}.patienceMilliseconds"),
            "is there beside patienceSeconds; say one of them",
        );
    }
    let patience = match (seconds, milliseconds) {
        (0, 0) => DEFAULT_PATIENCE,
        (0, milliseconds) => Duration::from_millis(milliseconds.into()),
        (seconds, _) => Duration::from_secs(seconds.into()),
    };
    patience * BUDGET.0 / BUDGET.1
}

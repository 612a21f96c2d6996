//! Samples of the catalogue, signed with a group's secret, for tests.
//!
//! A request in which a secret of the group's stands as it is, as where the provider posts a token, is not made here: see [`without_secrets`].
//!
//! Risk 35: this signs what stands in a connector's definition, with times, ids and challenges made here; nothing of it is the caller's text. An editor's call,
//! with a line in the audit. Each request carries the mark of a test, which is bound to its group and body: the event is flagged wherever it shows.

use std::collections::BTreeMap;

use hookplane_proto::v1;
use hookplane_rules::{SampleError, SignedSample};

use super::desk::random;
use super::scope::Scope;
use super::status::Problem;
use crate::access::Caller;
use crate::context::Context;
use crate::report::identity;

/// Nobody is told a secret, not by a request that has it in it either.
fn without_secrets(sample: SignedSample) -> Result<SignedSample, String> {
    match sample.shows {
        None => Ok(sample),
        Some(why) => Err(why),
    }
}

/// Carries the mark of a test.
const TEST_HEADER: &str = "Hookplane-Test";

pub(super) async fn sign(
    context: &Context,
    caller: &Caller,
    request: v1::SignSampleRequest,
) -> Result<v1::SignSampleResponse, Problem> {
    let scope = Scope::parse(caller, "name", &request.name)?;
    if scope.webhook.is_some() {
        return Err(Problem::field("name", "expected orgs/ORG/groups/GROUP"));
    }
    let record = scope
        .record(context, &request.name)
        .await?
        .ok_or_else(|| Problem::NotFound(request.name.clone()))?;
    let group = context.view.compiled(&record).map_err(Problem::Refused)?;
    let metadata = record.group.metadata.as_ref();
    let uid = metadata.map_or("", |metadata| metadata.uid.as_str());
    let key = identity::Key::new(&context.mac_key);
    let mark = |headers: &mut BTreeMap<String, String>, body: &[u8]| {
        let mark = identity::test_mark(&key, uid, &identity::digest(body));
        headers.insert(TEST_HEADER.to_owned(), mark);
    };
    let refused = |error: SampleError| match error {
        SampleError::NoSample { .. } => Problem::field("event", error.to_string()),
        SampleError::CannotSign(reason) => Problem::Refused(reason),
    };
    let now = context.clock.now();
    let mut response = v1::SignSampleResponse::default();
    if request.all_variants {
        let made = group.sample_variants(&request.event, now, &random()?);
        for mut variant in made.map_err(refused)? {
            variant.request = variant.request.and_then(without_secrets);
            let mut variant = v1::SampleRequest::from(variant);
            if variant.not_made.is_empty() {
                mark(&mut variant.headers, &variant.body);
            }
            response.variants.push(variant);
        }
    } else {
        let uuid = uuid::Builder::from_random_bytes(random()?).into_uuid();
        let sample = group
            .sign_sample(&request.event, now, &uuid.to_string())
            .map_err(refused)?;
        let sample = without_secrets(sample).map_err(|why| {
            let event = &request.event;
            Problem::Refused(format!("the sample of `{event}` is not signed here: {why}"))
        })?;
        response.headers = sample.headers.into_iter().collect();
        mark(&mut response.headers, &sample.body);
        response.method = sample.method;
        response.url = sample.url;
        response.body = sample.body;
    }
    // The audit's line.
    tracing::info!(
        token = caller.id(),
        group = request.name,
        event = request.event,
        all_variants = request.all_variants,
        "a sample was signed"
    );
    Ok(response)
}

//! Signed samples: by the control plane with the group's secret, or here with the caller's.

use std::path::Path;
use std::sync::Arc;

use hookplane_console::trial::Sample;
use hookplane_proto::v1;
use hookplane_rules::{Clock as _, Connector, FieldError, Group, Webhook};
use tonic::Code;

use super::super::{apply, get};
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::Name;
use crate::servers::clock::SystemClock;

pub(super) async fn sign_there(api: &Api, group: &Name, event: &str) -> Result<Sample, Failure> {
    let request = v1::SignSampleRequest {
        name: group.group(),
        event: event.to_owned(),
        all_variants: false,
    };
    let signed = api.events().sign_sample(request).await?.into_inner();
    Ok(Sample {
        method: signed.method,
        url: signed.url,
        headers: signed.headers.into_iter().collect(),
        body: signed.body,
        padded_to: 0,
    })
}

/// The control plane's rules, run here.
pub(super) async fn sign_here(
    api: &Api,
    name: &Name,
    event: &str,
    path: &Path,
) -> Result<Sample, Failure> {
    let group = group_here(api, name, path, Vec::new()).await?;
    let signed = group
        .sign_sample(event, SystemClock.now(), &random_uuid()?)
        .map_err(|error| Failure::new(error.to_string()))?;
    Ok(Sample {
        method: signed.method,
        url: signed.url,
        headers: signed.headers,
        body: signed.body,
        padded_to: 0,
    })
}

/// All variants, by the control plane.
pub(super) async fn variants_there(
    api: &Api,
    group: &Name,
    event: &str,
) -> Result<Vec<v1::SampleRequest>, Failure> {
    let request = v1::SignSampleRequest {
        name: group.group(),
        event: event.to_owned(),
        all_variants: true,
    };
    Ok(api
        .events()
        .sign_sample(request)
        .await?
        .into_inner()
        .variants)
}

/// The same with the caller's secret. What would be kept depends on the webhooks.
pub(super) async fn variants_here(
    api: &Api,
    name: &Name,
    event: &str,
    path: &Path,
) -> Result<Vec<v1::SampleRequest>, Failure> {
    let webhooks = get::webhooks(api, name).await?;
    let group = group_here(api, name, path, webhooks).await?;
    let variants = group
        .sample_variants(event, SystemClock.now(), &random()?)
        .map_err(|error| Failure::new(error.to_string()))?;
    Ok(variants.into_iter().map(v1::SampleRequest::from).collect())
}

/// The group with the caller's secret instead of its own.
async fn group_here(
    api: &Api,
    name: &Name,
    path: &Path,
    webhooks: Vec<v1::Webhook>,
) -> Result<Arc<Group>, Failure> {
    let secret = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("read {}: {error}", path.display())))?;
    let request = v1::GetWebhookGroupRequest { name: name.group() };
    let mut group = api.groups().get_webhook_group(request).await?.into_inner();
    let spec = group.spec.get_or_insert_default();
    spec.signature_secrets = vec![v1::SignatureSecret {
        value: apply::without_line_break(&secret).to_owned(),
        ..Default::default()
    }];
    let connector = connector_of(api, name, &spec.connector).await?;
    let connector = Connector::compile(&connector).map_err(said)?;
    let webhooks = webhooks
        .iter()
        .map(|webhook| Webhook::compile(webhook, &group, &connector))
        .collect::<Result<_, _>>()
        .map_err(said)?;
    Group::compile(&group, connector, webhooks).map_err(said)
}

fn said(errors: Vec<FieldError>) -> Failure {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Failure::new(errors.join("\n"))
}

async fn connector_of(api: &Api, group: &Name, connector: &str) -> Result<v1::Connector, Failure> {
    let get = |name: String| async {
        let request = v1::GetConnectorRequest { name };
        api.connectors().get_connector(request).await
    };
    match get(format!("connectors/{connector}")).await {
        Err(status) if status.code() == Code::NotFound => {
            Ok(get(format!("{}/connectors/{connector}", group.org()))
                .await?
                .into_inner())
        }
        answer => Ok(answer?.into_inner()),
    }
}

fn random_uuid() -> Result<String, Failure> {
    let mut bytes: [u8; 16] = random()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    Ok(parts.join("-"))
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(|error| Failure::new(format!("no randomness: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_uuid_has_the_form_of_one() {
        let uuid = random_uuid().unwrap();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert_ne!(uuid, random_uuid().unwrap());
    }
}

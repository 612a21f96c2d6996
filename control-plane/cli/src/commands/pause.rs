//! `pause` and `resume`: whether deliveries to a destination wait.

use std::future::Future;

use hookplane_control_plane::dispatch::name_of;
use hookplane_proto::v1;

use crate::connect::Api;
use crate::failure::Failure;
use crate::names::Name;
use crate::output;

/// An org's destination has a name of two parts, a webhook's own one of four.
pub(crate) async fn run<R>(
    name: &str,
    paused: bool,
    connect: impl FnOnce() -> R,
) -> Result<(), Failure>
where
    R: Future<Output = Result<Api, Failure>>,
{
    const SHAPE: &str = "ORG/NAME, or ORG/GROUP/WEBHOOK/NAME";
    let path = Name::parse(Some(name), 4, SHAPE)?;
    match path.len() {
        2 => of_org(&connect().await?, &path, paused).await?,
        4 => of_webhook(&connect().await?, &path, paused).await?,
        _ => {
            return Err(Failure::Usage(format!(
                "`{name}` is no name of the form {SHAPE}"
            )));
        }
    }
    let done = if paused { "paused" } else { "resumed" };
    output::line(&format!("{done} destination {name}"))
}

async fn of_org(api: &Api, path: &Name, paused: bool) -> Result<(), Failure> {
    let destination = v1::Destination {
        metadata: Some(v1::Metadata {
            org: path.part(0).to_owned(),
            name: path.part(1).to_owned(),
            ..Default::default()
        }),
        spec: Some(v1::DestinationSpec {
            paused,
            ..Default::default()
        }),
        status: None,
    };
    let request = v1::UpdateDestinationRequest {
        destination: Some(destination),
        update_mask: Some(mask("paused")),
        validate_only: false,
    };
    api.destinations().update_destination(request).await?;
    Ok(())
}

/// Its webhook is written back as it was read, or not at all.
async fn of_webhook(api: &Api, path: &Name, paused: bool) -> Result<(), Failure> {
    let name = path.webhook();
    let request = v1::GetWebhookRequest { name };
    let mut webhook = api.webhooks().get_webhook(request).await?.into_inner();
    let destinations = &mut webhook.spec.get_or_insert_default().destinations;
    let names: Vec<&str> = destinations.iter().map(name_of).collect();
    let Some(at) = names.iter().position(|name| *name == path.last()) else {
        let known = match names.is_empty() {
            true => "subscribers alone".to_owned(),
            false => names.join(", "),
        };
        return Err(Failure::new(format!(
            "the webhook has no destination `{}`; it has {known}",
            path.last()
        )));
    };
    destinations[at].paused = paused;
    let request = v1::UpdateWebhookRequest {
        webhook: Some(webhook),
        update_mask: Some(mask("destinations")),
        validate_only: false,
    };
    api.webhooks().update_webhook(request).await?;
    Ok(())
}

fn mask(field: &str) -> prost_types::FieldMask {
    prost_types::FieldMask {
        paths: vec![field.to_owned()],
    }
}

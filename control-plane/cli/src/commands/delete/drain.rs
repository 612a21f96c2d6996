//! Before a deletion: nothing more comes, and what waits is delivered, to subscribers and destinations.

use std::time::Duration;

use hookplane_proto::v1;
use prost_types::FieldMask;

use crate::args::Resource;
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::typed;
use crate::output::note;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Makes a webhook inactive, or a group answer 404, and waits. Interrupted, it stays so, which is said before it waits.
pub(super) async fn run(api: &Api, resource: Resource, name: &str) -> Result<(), Failure> {
    let (parent, undone_by) = match resource {
        Resource::Groups => {
            disable(api, name).await?;
            (format!("{name}/webhooks/-"), "disabled: false")
        }
        _ => {
            deactivate(api, name).await?;
            (name.to_owned(), "active: true")
        }
    };
    note(&format!(
        "{} takes nothing more; waiting until what waits is delivered. If this ends before that, it stays so: apply it with `{undone_by}` to have it take events again",
        typed(name)
    ));
    loop {
        let held = wait(api, &parent, v1::DeliveryStatus::Held).await?;
        let pending = wait(api, &parent, v1::DeliveryStatus::Pending).await?;
        let leased = wait(api, &parent, v1::DeliveryStatus::Leased).await?;
        if !pending && !leased {
            if held {
                return Err(
                    Failure::new("some of its deliveries are held, and those go nowhere").hint(format!(
                        "`hookplane get deliveries --status held` shows why: replay them once that is mended, or delete with --discard; until then it takes nothing, unless it is applied with `{undone_by}`"
                    )),
                );
            }
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether there is one with that status.
async fn wait(api: &Api, parent: &str, status: v1::DeliveryStatus) -> Result<bool, Failure> {
    let request = v1::ListDeliveriesRequest {
        parent: parent.to_owned(),
        page_size: 1,
        status: status.into(),
        ..Default::default()
    };
    let page = api.events().list_deliveries(request).await?.into_inner();
    Ok(!page.deliveries.is_empty())
}

fn mask(path: &str) -> Option<FieldMask> {
    Some(FieldMask {
        paths: vec![path.to_owned()],
    })
}

async fn deactivate(api: &Api, name: &str) -> Result<(), Failure> {
    let request = v1::GetWebhookRequest {
        name: name.to_owned(),
    };
    let mut webhook = api.webhooks().get_webhook(request).await?.into_inner();
    webhook.spec.get_or_insert_default().active = false;
    let request = v1::UpdateWebhookRequest {
        webhook: Some(webhook),
        update_mask: mask("active"),
        validate_only: false,
    };
    api.webhooks().update_webhook(request).await?;
    Ok(())
}

async fn disable(api: &Api, name: &str) -> Result<(), Failure> {
    let request = v1::GetWebhookGroupRequest {
        name: name.to_owned(),
    };
    let mut group = api.groups().get_webhook_group(request).await?.into_inner();
    group.spec.get_or_insert_default().disabled = true;
    let request = v1::UpdateWebhookGroupRequest {
        webhook_group: Some(group),
        update_mask: mask("disabled"),
        validate_only: false,
    };
    api.groups().update_webhook_group(request).await?;
    Ok(())
}

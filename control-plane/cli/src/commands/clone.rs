//! `clone webhook`.

use std::future::Future;

use hookplane_proto::v1;

use crate::args::CloneWebhook;
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::Name;
use crate::output;

/// Copies a webhook within its group.
pub(crate) async fn run<R>(clone: &CloneWebhook, connect: impl Fn() -> R) -> Result<(), Failure>
where
    R: Future<Output = Result<Api, Failure>>,
{
    let from = Name::exact(&clone.from, 3, "ORG/GROUP/WEBHOOK")?;
    // The copy lies in the same group: its whole name is taken if it says so, and refused if it doesn't.
    let new = match clone.new.split('/').collect::<Vec<_>>().as_slice() {
        [name] => (*name).to_owned(),
        [org, group, name] if *org == from.part(0) && *group == from.part(1) => (*name).to_owned(),
        _ => {
            return Err(Failure::Usage(format!(
                "`{}`: a copy stays in its group; give its name alone",
                clone.new
            )));
        }
    };
    let webhook = connect()
        .await?
        .webhooks()
        .clone_webhook(v1::CloneWebhookRequest {
            name: from.webhook(),
            new_name: new.clone(),
            label: clone.label.clone().unwrap_or_default(),
            events: clone.events.clone(),
            active: clone.active,
            filter: None,
        })
        .await?
        .into_inner();
    let active = webhook.spec.unwrap_or_default().active;
    output::line(&format!(
        "created webhook {}/{}/{new}{}",
        from.part(0),
        from.part(1),
        if active { "" } else { ", not active yet" }
    ))
}

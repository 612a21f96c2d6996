//! `get`: lists and single resources.

mod about;
mod connectors;
pub(super) mod fetch;
mod functions;
mod history;
mod listeners;
mod troubles;
mod waiting;
mod why;

use hookplane_proto::v1;
use serde::Serialize;

pub(crate) use why::status as wire_status;

use super::items;
use crate::args::{Format, Get, Resource};
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::Name;
use crate::output::table::Table;
use crate::output::{self, Item};

/// All webhooks of a group.
pub(crate) async fn webhooks(api: &Api, group: &Name) -> Result<Vec<v1::Webhook>, Failure> {
    fetch::webhooks(api, group).await
}

/// What can be told without a server.
pub(crate) fn check(get: &Get) -> Result<(), Failure> {
    if get.not_kept && get.resource != Resource::Refusals {
        return Err(Failure::Usage(
            "--not-kept goes with `get refusals`".to_owned(),
        ));
    }
    if get.status.is_some() && get.resource != Resource::Deliveries {
        return Err(Failure::Usage(
            "--status goes with `get deliveries`".to_owned(),
        ));
    }
    let of_events = get.resource == Resource::Events;
    let of_deliveries = get.resource == Resource::Deliveries;
    if get.unmatched && !of_events {
        return Err(Failure::Usage(
            "--unmatched goes with `get events`".to_owned(),
        ));
    }
    if get.mapping_version.is_some() {
        let of_one = get.resource == Resource::Webhooks && name(get)?.len() == 3;
        if !of_one || get.output == Format::Table {
            return Err(Failure::Usage(
                "--mapping-version goes with `get webhook ORG/GROUP/WEBHOOK -o yaml`, or -o json"
                    .to_owned(),
            ));
        }
    }
    if get.narrow.destination.is_some() && !of_deliveries {
        return Err(Failure::Usage(
            "--destination goes with `get deliveries`".to_owned(),
        ));
    }
    let flag = get.narrow.given().or(get.max.map(|_| "--max"));
    if let Some(flag) = flag.filter(|_| !of_events && !of_deliveries) {
        return Err(Failure::Usage(format!(
            "{flag} goes with `get events` and `get deliveries`"
        )));
    }
    if get.max == Some(0) {
        return Err(Failure::Usage("--max is 1 or more".to_owned()));
    }
    fetch::Which::of(get)?;
    name(get).map(|_| ())
}

fn name(get: &Get) -> Result<Name, Failure> {
    let (most, shape) = match get.resource {
        Resource::Orgs | Resource::Troubles => (1, "ORG"),
        Resource::Connectors => (2, "CONNECTOR or ORG/CONNECTOR"),
        Resource::Functions => (3, "CONNECTOR/FUNCTION or ORG/CONNECTOR/FUNCTION"),
        Resource::Groups | Resource::Refusals => (2, "ORG/GROUP"),
        Resource::Tokens => (2, "ORG or ORG/ID"),
        Resource::Webhooks => (3, "ORG/GROUP/WEBHOOK"),
        Resource::Destinations => (
            2,
            "ORG/DESTINATION (a webhook's own are shown by `get webhook ORG/GROUP/WEBHOOK`)",
        ),
        Resource::Events => (3, "ORG/GROUP, or an event's id"),
        Resource::Deliveries => (4, "ORG/GROUP/WEBHOOK, or a delivery's id"),
        _ => (1, "LISTENER"),
    };
    Name::parse(get.name.as_deref(), most, shape)
}

/// Shows it.
pub(crate) async fn run(get: Get, api: &Api) -> Result<(), Failure> {
    let name = name(&get)?;
    let format = get.output;
    match get.resource {
        Resource::Orgs => show(
            format,
            fetch::orgs(api, &name).await?,
            items::org,
            Table::new(&["NAME", "DISPLAY NAME", "CREATED"]),
            |org| {
                vec![
                    org.metadata.name.clone(),
                    org.spec.display_name.clone(),
                    created(&org.metadata),
                ]
            },
        ),
        Resource::Connectors => connectors::run(format, api, &name).await,
        Resource::Functions => {
            functions::show_functions(format, fetch::connectors_of(api, &name).await?, &name)
        }
        Resource::Groups => show(
            format,
            fetch::groups(api, &name).await?,
            items::group,
            Table::new(&[
                "NAME",
                "CONNECTOR",
                "EVENTS",
                "LIVE",
                "KEPT",
                "CALLBACK URL",
            ]),
            |group| {
                vec![
                    path(&[&group.metadata.org, &group.metadata.name]),
                    format!(
                        "{} ({})",
                        path(&[&group.spec.connector, &group.spec.function]),
                        group.status["connectorConfidence"]
                            .as_str()
                            .unwrap_or_default()
                    ),
                    group.spec.registered_events.join(", "),
                    if group.spec.disabled {
                        "disabled".to_owned()
                    } else {
                        live(&group.status)
                    },
                    kept(&group.status["durability"]),
                    group.status["callbackUrl"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned(),
                ]
            },
        ),
        Resource::Webhooks => {
            let mut found = fetch::webhooks(api, &name).await?;
            if let Some(version) = get.mapping_version {
                fetch::map_as_then(api, &name, &mut found, version).await?;
            }
            let mut table = Table::new(&[
                "NAME", "LABEL", "ACTIVE", "EVENTS", "LIVE", "WARNINGS", "FILTER",
            ]);
            if name.len() == 3 {
                let mut text = about::Text::default();
                text.list("Destinations", found.iter().flat_map(items::destinations));
                text.list("Warnings", found.iter().flat_map(items::warnings));
                table.after(&text.into_string());
            }
            show(format, found, items::webhook, table, |webhook| {
                vec![
                    path(&[
                        &webhook.metadata.org,
                        &webhook.metadata.group,
                        &webhook.metadata.name,
                    ]),
                    webhook.spec.label.clone(),
                    if webhook.spec.active { "yes" } else { "no" }.to_owned(),
                    webhook.spec.events.join(", "),
                    live(&webhook.status),
                    match webhook.status["warnings"].as_array().map_or(0, Vec::len) {
                        0 => String::new(),
                        count => count.to_string(),
                    },
                    webhook.spec.filter.clone(),
                ]
            })
        }
        Resource::Events => events(format, api, &name, &fetch::Which::of(&get)?).await,
        Resource::Deliveries => {
            let found = fetch::deliveries(api, &name, &fetch::Which::of(&get)?).await?;
            let mut below = String::new();
            if let ([delivery], true) = (found.as_slice(), fetch::is_one_delivery(&name)) {
                below = history::about(delivery, &waiting::reasons(api, delivery).await?);
            }
            history::deliveries(format, found, &below)
        }
        Resource::Refusals if get.not_kept => {
            why::not_kept(format, fetch::refusals(api, &name, true).await?)
        }
        Resource::Refusals => show(
            format,
            fetch::refusals(api, &name, false).await?,
            |refusal| (items::refusal(refusal.clone()), refusal),
            Table::new(&[
                "TIME", "GROUP", "STATUS", "CLAUSE", "CAUSE", "FROM", "REASON",
            ]),
            |(_, refusal)| {
                vec![
                    items::time(&refusal.time).unwrap_or_default(),
                    path(&[&refusal.org, &refusal.group]),
                    refusal.status.to_string(),
                    refusal.clause.clone(),
                    refusal.cause.clone(),
                    refusal.remote_address.clone(),
                    refusal.reason.clone(),
                ]
            },
        ),
        Resource::Listeners => show(
            format,
            fetch::listeners(api, &name).await?,
            |listener| (items::listener(listener.clone()), listener),
            Table::new(&listeners::COLUMNS),
            |(_, listener)| listeners::row(listener),
        ),
        Resource::Troubles => troubles::run(format, api, &name).await,
        Resource::Tokens => tokens(format, fetch::tokens(api, &name).await?),
        Resource::Destinations => show(
            format,
            fetch::destinations(api, &name).await?,
            items::destination,
            Table::new(&["NAME", "TO", "STATE", "DELIVERED", "FAILED", "REASON"]),
            |destination| {
                let (spec, status) = (&destination.spec, &destination.status);
                let http = spec.http.as_ref().map(|http| http.url.clone());
                let salesforce = spec.salesforce.as_ref().map(|target| target.url.clone());
                vec![
                    path(&[&destination.metadata.org, &destination.metadata.name]),
                    http.or(salesforce).unwrap_or_default(),
                    status["state"].as_str().unwrap_or_default().to_owned(),
                    status["delivered"].to_string(),
                    status["failed"].to_string(),
                    status["reason"].as_str().unwrap_or_default().to_owned(),
                ]
            },
        ),
    }
}

/// Shows tokens: never what lets in.
pub(crate) fn tokens(format: Format, tokens: Vec<v1::Token>) -> Result<(), Failure> {
    show(
        format,
        tokens,
        |token| (items::token(token.clone()), token),
        Table::new(&[
            "ID",
            "ORG",
            "ROLE",
            "FOR",
            "CREATED",
            "EXPIRES",
            "LAST USED",
        ]),
        |(_, token)| {
            let metadata = token.metadata.clone().unwrap_or_default();
            let spec = token.spec.clone().unwrap_or_default();
            let status = token.status.unwrap_or_default();
            let named = spec.webhooks.iter().map(|path| crate::names::typed(path));
            let named: Vec<String> = named
                .chain(spec.pools.iter().map(|p| format!("pool {p}")))
                .collect();
            vec![
                metadata.name.clone(),
                if metadata.org.is_empty() {
                    "(all)".to_owned()
                } else {
                    metadata.org.clone()
                },
                items::role(&spec),
                named.join(", "),
                created(&metadata),
                items::time(&status.expire_time).unwrap_or_else(|| "never".to_owned()),
                items::time(&status.last_use_time).unwrap_or_else(|| "never".to_owned()),
            ]
        },
    )
}

/// Something with an item to print, and perhaps more for the table.
trait Printed {
    type Metadata: Serialize;
    type Spec: Serialize;
    fn item(self) -> Item<Self::Metadata, Self::Spec>;
}

impl<M: Serialize, S: Serialize> Printed for Item<M, S> {
    type Metadata = M;
    type Spec = S;
    fn item(self) -> Self {
        self
    }
}

impl<M: Serialize, S: Serialize, T> Printed for (Item<M, S>, T) {
    type Metadata = M;
    type Spec = S;
    fn item(self) -> Item<M, S> {
        self.0
    }
}

fn show<T, P: Printed>(
    format: Format,
    resources: Vec<T>,
    of: impl Fn(T) -> P,
    mut table: Table,
    row: impl Fn(&P) -> Vec<String>,
) -> Result<(), Failure> {
    let printed: Vec<P> = resources.into_iter().map(of).collect();
    for one in &printed {
        table.row(row(one));
    }
    let items: Vec<Item<P::Metadata, P::Spec>> = printed.into_iter().map(Printed::item).collect();
    output::list(format, &items, table)
}

/// A path without its empty parts.
fn path(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts
        .iter()
        .copied()
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("/")
}

fn created(metadata: &v1::Metadata) -> String {
    items::time(&metadata.create_time).unwrap_or_default()
}

/// How safe, and what makes it less so than promised.
fn kept(durability: &serde_json::Value) -> String {
    let receipt = durability["receipt"].as_str().unwrap_or_default();
    let reasons = durability["reasons"].as_array().into_iter().flatten();
    let reasons: Vec<_> = reasons.filter_map(|reason| reason.as_str()).collect();
    if reasons.is_empty() {
        return receipt.to_owned();
    }
    format!("{receipt}: {}", reasons.join("; "))
}

fn live(status: &serde_json::Value) -> String {
    let live = &status["live"];
    let problems: Vec<&str> = live["problems"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|problem| problem.as_str())
        .collect();
    match (live["applied"].as_bool(), live["connected"].as_u64()) {
        _ if !problems.is_empty() => format!("no: {}", problems.join("; ")),
        (Some(true), _) => "yes".to_owned(),
        (_, None | Some(0)) => "no listener".to_owned(),
        _ => "not yet".to_owned(),
    }
}

async fn events(
    format: Format,
    api: &Api,
    name: &Name,
    which: &fetch::Which,
) -> Result<(), Failure> {
    let events = fetch::events(api, name, which).await?;
    let mut headings = Table::new(&[
        "ID",
        "GROUP",
        "TYPE",
        "RECEIVED",
        "DELIVERY ID",
        "DUPLICATES",
        "FLAGS",
    ]);
    let mut verdicts = Vec::new();
    if let ([event], true) = (events.as_slice(), fetch::is_one_event(name)) {
        verdicts = why::of(event, fetch::deliveries_of(api, event).await?);
        headings.after(&why::table(event, &verdicts));
    }
    show(
        format,
        events,
        |event| {
            // A table shows no payload, so none is decoded for it.
            let payload = (format != Format::Table)
                .then(|| hookplane_rules::payload::to_json(&event))
                .flatten();
            let mut item = items::event(event.clone(), payload.as_deref());
            why::add(&mut item.status, &verdicts);
            (item, event)
        },
        headings,
        |(_, event)| {
            vec![
                event.id.clone(),
                path(&[&event.org, &event.group]),
                event.r#type.clone(),
                items::time(&event.receive_time).unwrap_or_default(),
                event.delivery_id.clone(),
                event.duplicates.to_string(),
                items::flags(event).join(", "),
            ]
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_says_why_it_is_not() {
        let of = |live: v1::Live| {
            super::live(
                &items::webhook(v1::Webhook {
                    status: Some(v1::WebhookStatus {
                        live: Some(live),
                        ..Default::default()
                    }),
                    ..Default::default()
                })
                .status,
            )
        };
        assert_eq!(
            of(v1::Live {
                applied: true,
                connected: 1,
                problems: vec![]
            }),
            "yes"
        );
        assert_eq!(
            of(v1::Live {
                applied: false,
                connected: 0,
                problems: vec![]
            }),
            "no listener"
        );
        assert_eq!(
            of(v1::Live {
                applied: false,
                connected: 2,
                problems: vec!["bad".into()]
            }),
            "no: bad"
        );
    }
}

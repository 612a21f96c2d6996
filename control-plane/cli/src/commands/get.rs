//! `get`: lists and single resources.

use std::future::Future;

use hookplane_proto::v1;
use serde::Serialize;

use super::{items, pages};
use crate::args::{Format, Get, Resource};
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::{self, Name};
use crate::output::table::Table;
use crate::output::{self, Item};

/// Resources asked for at a time.
const PAGE: u32 = 500;
/// Events carry their bodies: at most this many at a time.
const EVENTS_PAGE: u32 = 50;
/// A refusal is remembered in a bounded ring: all of it fits.
const REFUSALS: u32 = 1000;

/// What can be told without a server.
pub(crate) fn check(get: &Get) -> Result<(), Failure> {
    match get.resource {
        Resource::Destinations | Resource::Tokens => Err(Failure::Usage(format!(
            "{} are not in this version",
            if get.resource == Resource::Tokens {
                "tokens"
            } else {
                "destinations"
            }
        ))),
        _ => name(get).map(|_| ()),
    }
}

fn name(get: &Get) -> Result<Name, Failure> {
    let (most, shape) = match get.resource {
        Resource::Orgs => (1, "ORG"),
        Resource::Connectors => (2, "CONNECTOR or ORG/CONNECTOR"),
        Resource::Functions => (3, "CONNECTOR/FUNCTION or ORG/CONNECTOR/FUNCTION"),
        Resource::Groups | Resource::Refusals => (2, "ORG/GROUP"),
        Resource::Webhooks => (3, "ORG/GROUP/WEBHOOK"),
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
            orgs(api, &name).await?,
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
        Resource::Connectors => show(
            format,
            connectors(api, &name).await?,
            items::connector,
            Table::new(&["NAME", "DISPLAY NAME", "FUNCTIONS", "CONFIDENCE"]),
            |connector| {
                let functions: Vec<&str> = connector
                    .spec
                    .functions
                    .iter()
                    .map(|function| function.name.as_str())
                    .collect();
                vec![
                    path(&[&connector.metadata.org, &connector.metadata.name]),
                    connector.spec.display_name.clone(),
                    functions.join(", "),
                    output::word(connector.spec.confidence().as_str_name(), "CONFIDENCE_"),
                ]
            },
        ),
        Resource::Functions => functions(format, connectors(api, &Name::default()).await?, &name),
        Resource::Groups => show(
            format,
            groups(api, &name).await?,
            items::group,
            Table::new(&["NAME", "CONNECTOR", "EVENTS", "LIVE", "CALLBACK URL"]),
            |group| {
                vec![
                    path(&[&group.metadata.org, &group.metadata.name]),
                    path(&[&group.spec.connector, &group.spec.function]),
                    group.spec.registered_events.join(", "),
                    if group.spec.disabled {
                        "disabled".to_owned()
                    } else {
                        live(&group.status)
                    },
                    group.status["callbackUrl"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned(),
                ]
            },
        ),
        Resource::Webhooks => show(
            format,
            webhooks(api, &name).await?,
            items::webhook,
            Table::new(&["NAME", "LABEL", "ACTIVE", "EVENTS", "LIVE", "FILTER"]),
            |webhook| {
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
                    webhook.spec.filter.clone(),
                ]
            },
        ),
        Resource::Events => events(format, api, &name).await,
        Resource::Deliveries => show(
            format,
            deliveries(api, &name).await?,
            |delivery| (items::delivery(delivery.clone()), delivery),
            Table::new(&[
                "ID", "WEBHOOK", "TYPE", "STATUS", "ATTEMPTS", "EVENT", "REASON",
            ]),
            |(_, delivery)| {
                vec![
                    delivery.id.clone(),
                    path(&[&delivery.org, &delivery.group, &delivery.webhook]),
                    delivery.event_type.clone(),
                    items::delivery_status(delivery),
                    delivery.attempts.to_string(),
                    delivery.event_id.clone(),
                    delivery.reason.clone(),
                ]
            },
        ),
        Resource::Refusals => show(
            format,
            refusals(api, &name).await?,
            |refusal| (items::refusal(refusal.clone()), refusal),
            Table::new(&["TIME", "GROUP", "STATUS", "CLAUSE", "FROM", "REASON"]),
            |(_, refusal)| {
                vec![
                    items::time(&refusal.time).unwrap_or_default(),
                    path(&[&refusal.org, &refusal.group]),
                    refusal.status.to_string(),
                    refusal.clause.clone(),
                    refusal.remote_address.clone(),
                    refusal.reason.clone(),
                ]
            },
        ),
        Resource::Listeners => show(
            format,
            listeners(api, &name).await?,
            |listener| (items::listener(listener.clone()), listener),
            Table::new(&["NAME", "POOL", "VERSION", "READY", "REVISION", "PROBLEMS"]),
            |(_, listener)| {
                let problems: Vec<&str> = listener
                    .problems
                    .iter()
                    .map(|problem| problem.reason.as_str())
                    .collect();
                vec![
                    listener.name.clone(),
                    listener.pool.clone(),
                    listener.software_version.clone(),
                    if listener.ready { "yes" } else { "no" }.to_owned(),
                    format!("{} of {}", listener.revision, listener.store_revision),
                    problems.join("; "),
                ]
            },
        ),
        Resource::Destinations | Resource::Tokens => check(&get),
    }
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

async fn one<T>(
    response: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<Vec<T>, Failure> {
    Ok(vec![response.await?.into_inner()])
}

async fn orgs(api: &Api, name: &Name) -> Result<Vec<v1::Org>, Failure> {
    if name.len() == 1 {
        return one(api.orgs().get_org(v1::GetOrgRequest { name: name.org() })).await;
    }
    pages(|page_token| async {
        let request = v1::ListOrgsRequest {
            page_size: PAGE,
            page_token,
        };
        let page = api.orgs().list_orgs(request).await?.into_inner();
        Ok((page.orgs, page.next_page_token))
    })
    .await
}

async fn connectors(api: &Api, name: &Name) -> Result<Vec<v1::Connector>, Failure> {
    if name.len() > 0 {
        return one(api.connectors().get_connector(v1::GetConnectorRequest {
            name: name.connector(),
        }))
        .await;
    }
    pages(|page_token| async {
        let request = v1::ListConnectorsRequest {
            parent: "orgs/-".to_owned(),
            page_size: PAGE,
            page_token,
        };
        let page = api
            .connectors()
            .list_connectors(request)
            .await?
            .into_inner();
        Ok((page.connectors, page.next_page_token))
    })
    .await
}

async fn groups(api: &Api, name: &Name) -> Result<Vec<v1::WebhookGroup>, Failure> {
    if name.len() == 2 {
        return one(api
            .groups()
            .get_webhook_group(v1::GetWebhookGroupRequest { name: name.group() }))
        .await;
    }
    pages(|page_token| async {
        let request = v1::ListWebhookGroupsRequest {
            parent: name.org(),
            page_size: PAGE,
            page_token,
        };
        let page = api
            .groups()
            .list_webhook_groups(request)
            .await?
            .into_inner();
        Ok((page.webhook_groups, page.next_page_token))
    })
    .await
}

async fn webhooks(api: &Api, name: &Name) -> Result<Vec<v1::Webhook>, Failure> {
    if name.len() == 3 {
        return one(api.webhooks().get_webhook(v1::GetWebhookRequest {
            name: name.webhook(),
        }))
        .await;
    }
    pages(|page_token| async {
        let request = v1::ListWebhooksRequest {
            parent: name.group(),
            page_size: PAGE,
            page_token,
        };
        let page = api.webhooks().list_webhooks(request).await?.into_inner();
        Ok((page.webhooks, page.next_page_token))
    })
    .await
}

async fn events(format: Format, api: &Api, name: &Name) -> Result<(), Failure> {
    let events = if name.len() == 3 || names::is_id(name.last()) {
        let name = format!("events/{}", name.last());
        one(api.events().get_event(v1::GetEventRequest { name })).await?
    } else {
        pages(|page_token| async {
            let request = v1::ListEventsRequest {
                parent: name.group(),
                page_size: EVENTS_PAGE,
                page_token,
                ..Default::default()
            };
            let page = api.events().list_events(request).await?.into_inner();
            Ok((page.events, page.next_page_token))
        })
        .await?
    };
    let headings = Table::new(&[
        "ID",
        "GROUP",
        "TYPE",
        "RECEIVED",
        "DELIVERY ID",
        "DUPLICATES",
        "FLAGS",
    ]);
    show(
        format,
        events,
        |event| {
            // A table shows no payload, so none is decoded for it.
            let payload = (format != Format::Table)
                .then(|| hookplane_rules::payload::to_json(&event))
                .flatten();
            (items::event(event.clone(), payload.as_deref()), event)
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

async fn deliveries(api: &Api, name: &Name) -> Result<Vec<v1::Delivery>, Failure> {
    if name.len() == 4 || names::is_id(name.last()) {
        let name = format!("deliveries/{}", name.last());
        return one(api.events().get_delivery(v1::GetDeliveryRequest { name })).await;
    }
    pages(|page_token| async {
        let request = v1::ListDeliveriesRequest {
            parent: name.webhook(),
            page_size: PAGE,
            page_token,
            ..Default::default()
        };
        let page = api.events().list_deliveries(request).await?.into_inner();
        Ok((page.deliveries, page.next_page_token))
    })
    .await
}

async fn refusals(api: &Api, name: &Name) -> Result<Vec<v1::Refusal>, Failure> {
    let request = v1::ListRefusalsRequest {
        parent: name.group(),
        page_size: REFUSALS,
    };
    Ok(api
        .events()
        .list_refusals(request)
        .await?
        .into_inner()
        .refusals)
}

async fn listeners(api: &Api, name: &Name) -> Result<Vec<v1::Listener>, Failure> {
    let mut all = api
        .config()
        .list_listeners(v1::ListListenersRequest {})
        .await?
        .into_inner()
        .listeners;
    if name.len() > 0 {
        all.retain(|listener| listener.name == name.last());
        if all.is_empty() {
            return Err(Failure::new(format!(
                "no listener `{}` is connected",
                name.last()
            )));
        }
    }
    Ok(all)
}

fn functions(format: Format, connectors: Vec<v1::Connector>, name: &Name) -> Result<(), Failure> {
    let mut found = Vec::new();
    for connector in connectors {
        let metadata = connector.metadata.unwrap_or_default();
        for function in connector.spec.unwrap_or_default().functions {
            if wanted(name, &metadata, &function.name) {
                found.push((metadata.clone(), function));
            }
        }
    }
    if found.is_empty() && name.len() > 0 {
        return Err(
            Failure::new("no such function").hint("`hookplane get functions` lists them all")
        );
    }
    let mut table = Table::new(&["NAME", "DISPLAY NAME", "EVENTS", "DESCRIPTION"]);
    if let [(_, function)] = found.as_slice() {
        table.after(&about(function));
    }
    show(
        format,
        found,
        |(metadata, function)| (items::function(&metadata, function), metadata),
        table,
        |(item, metadata)| {
            vec![
                path(&[&metadata.org, &metadata.name, &item.spec.name]),
                item.spec.display_name.clone(),
                format!(
                    "{}{}",
                    item.spec.events.len(),
                    if item.spec.open_events {
                        " and others"
                    } else {
                        ""
                    }
                ),
                item.spec.description.clone(),
            ]
        },
    )
}

fn wanted(name: &Name, connector: &v1::Metadata, function: &str) -> bool {
    match name.len() {
        0 => true,
        1 => connector.name == name.part(0),
        2 => {
            (connector.org.is_empty() && connector.name == name.part(0) && function == name.part(1))
                || (connector.org == name.part(0) && connector.name == name.part(1))
        }
        _ => {
            connector.org == name.part(0)
                && connector.name == name.part(1)
                && function == name.part(2)
        }
    }
}

/// The events and the set-up of one function. `*` marks events with a sample.
fn about(function: &v1::ConnectorFunction) -> String {
    let mut text = String::from("\nEvents (those with * have a sample for `hookplane send`):\n");
    for event in &function.events {
        let mark = if event.sample.is_some() { "*" } else { " " };
        text.push_str(format!("  {mark} {:32} {}", event.name, event.description).trim_end());
        text.push('\n');
    }
    if !function.setup.is_empty() {
        text.push_str(&format!("\nSet-up:\n{}\n", function.setup.trim_end()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_wanted_by_its_path() -> Result<(), Failure> {
        let built_in = v1::Metadata {
            name: "github".into(),
            ..Default::default()
        };
        let own = v1::Metadata {
            org: "acme".into(),
            name: "erp".into(),
            ..Default::default()
        };
        for (name, connector, yes) in [
            ("github", &built_in, true),
            ("github/webhooks", &built_in, true),
            ("github/apps", &built_in, false),
            ("acme/erp", &own, true),
            ("acme/erp/webhooks", &own, true),
            ("github", &own, false),
        ] {
            let name = Name::parse(Some(name), 3, "")?;
            assert_eq!(wanted(&name, connector, "webhooks"), yes, "{name:?}");
        }
        Ok(())
    }

    #[test]
    fn live_says_why_it_is_not() {
        let of = |live: v1::Live| {
            super::live(
                &items::webhook(v1::Webhook {
                    status: Some(v1::WebhookStatus { live: Some(live) }),
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

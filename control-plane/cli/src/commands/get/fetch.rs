//! Reading what `get` shows: one resource by its whole name, or all pages of a scope.

use std::future::Future;

use hookplane_proto::v1;

use crate::args::Get;
use crate::commands::narrow::Narrowed;
use crate::commands::{first, pages};
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::{self, Name};

/// Resources asked for at a time.
const PAGE: u32 = 500;
/// Events carry their bodies: at most this many at a time.
const EVENTS_PAGE: u32 = 50;
/// Deliveries of one event whose attempts are asked for, one by one.
const HISTORIES: usize = 20;
/// A refusal is remembered in a bounded ring: all of it fits.
const REFUSALS: u32 = 1000;

async fn one<T>(
    response: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<Vec<T>, Failure> {
    Ok(vec![response.await?.into_inner()])
}

pub(super) async fn orgs(api: &Api, name: &Name) -> Result<Vec<v1::Org>, Failure> {
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

/// One by its request's name.
pub(super) async fn connector(api: &Api, name: String) -> Result<v1::Connector, tonic::Status> {
    let request = v1::GetConnectorRequest { name };
    let found = api.connectors().get_connector(request).await?;
    Ok(found.into_inner())
}

/// Those that a function's name may be of: `a/b` is a function of the built-in `a`, or a connector of the org `a`. All without a name.
pub(super) async fn connectors_of(api: &Api, name: &Name) -> Result<Vec<v1::Connector>, Failure> {
    let (built_in, own) = (
        format!("connectors/{}", name.part(0)),
        format!("orgs/{}/connectors/{}", name.part(0), name.part(1)),
    );
    let names = match name.len() {
        0 => return connectors(api).await,
        1 => vec![built_in],
        2 => vec![built_in, own],
        _ => vec![own],
    };
    let mut found = Vec::new();
    for name in names {
        match connector(api, name).await {
            Ok(connector) => found.push(connector),
            // A mistyped connector's name looks like an org's, which may be another's.
            Err(status) if status.code() == tonic::Code::PermissionDenied => {}
            Err(status) if super::connectors::is_no_name(&status) => {}
            Err(status) => return Err(status.into()),
        }
    }
    Ok(found)
}

/// All that may be seen.
pub(super) async fn connectors(api: &Api) -> Result<Vec<v1::Connector>, Failure> {
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

pub(super) async fn groups(api: &Api, name: &Name) -> Result<Vec<v1::WebhookGroup>, Failure> {
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
            ..Default::default()
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

pub(super) async fn webhooks(api: &Api, name: &Name) -> Result<Vec<v1::Webhook>, Failure> {
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

/// Puts a version of its mapping in place of the newest. Whether it is active stays.
pub(super) async fn map_as_then(
    api: &Api,
    name: &Name,
    found: &mut [v1::Webhook],
    version: u32,
) -> Result<(), Failure> {
    let name = name.webhook();
    for webhook in found {
        let request = v1::GetMappingVersionRequest {
            name: name.clone(),
            version,
        };
        let answer = api.webhooks().get_mapping_version(request).await?;
        let spec = webhook.spec.get_or_insert_default();
        let active = spec.mapping.as_ref().is_none_or(|mapping| mapping.active);
        let then = answer.into_inner().mapping;
        spec.mapping = then.map(|then| v1::Mapping { active, ..then });
    }
    Ok(())
}

/// Which events or deliveries of a scope are shown.
pub(super) struct Which {
    pub(super) narrowed: Narrowed,
    pub(super) status: v1::DeliveryStatus,
    pub(super) unmatched: bool,
    pub(super) max: usize,
}

impl Which {
    pub(super) fn of(get: &Get) -> Result<Self, Failure> {
        let max = get
            .max
            .map(|max| usize::try_from(max).unwrap_or(usize::MAX));
        Ok(Self {
            narrowed: Narrowed::of(&get.narrow)?,
            status: super::wire_status(get.status),
            unmatched: get.unmatched,
            max: max.unwrap_or(usize::MAX),
        })
    }

    fn page(&self, most: u32) -> u32 {
        u32::try_from(self.max).map_or(most, |max| max.min(most))
    }
}

pub(super) fn is_one_delivery(name: &Name) -> bool {
    name.len() == 4 || names::is_id(name.last())
}

pub(super) async fn destinations(api: &Api, name: &Name) -> Result<Vec<v1::Destination>, Failure> {
    if name.len() == 2 {
        let name = name.destination();
        let request = v1::GetDestinationRequest { name };
        return one(api.destinations().get_destination(request)).await;
    }
    pages(|page_token| async {
        let request = v1::ListDestinationsRequest {
            parent: name.org(),
            page_size: PAGE,
            page_token,
        };
        let page = api
            .destinations()
            .list_destinations(request)
            .await?
            .into_inner();
        Ok((page.destinations, page.next_page_token))
    })
    .await
}

pub(super) async fn deliveries(
    api: &Api,
    name: &Name,
    which: &Which,
) -> Result<Vec<v1::Delivery>, Failure> {
    if is_one_delivery(name) {
        let name = format!("deliveries/{}", name.last());
        return one(api.events().get_delivery(v1::GetDeliveryRequest { name })).await;
    }
    first(which.max, |page_token| async {
        let narrowed = which.narrowed.clone();
        let request = v1::ListDeliveriesRequest {
            parent: name.webhook(),
            page_size: which.page(PAGE),
            page_token,
            status: which.status.into(),
            event_id: String::new(),
            r#type: narrowed.event_type,
            since: narrowed.since,
            until: narrowed.until,
            text: narrowed.text,
            destination: narrowed.destination,
        };
        let page = api.events().list_deliveries(request).await?.into_inner();
        Ok((page.deliveries, page.next_page_token))
    })
    .await
}

/// What became of one event, for each webhook that it was kept for and each destination; with the attempts, as long as they are few.
pub(super) async fn deliveries_of(
    api: &Api,
    event: &v1::Event,
) -> Result<Vec<v1::Delivery>, Failure> {
    let mut all = pages(|page_token| async {
        let request = v1::ListDeliveriesRequest {
            // Its group may be gone, and another may have its name.
            parent: format!("orgs/{}/groups/-/webhooks/-", event.org),
            page_size: PAGE,
            page_token,
            event_id: event.id.clone(),
            ..Default::default()
        };
        let page = api.events().list_deliveries(request).await?.into_inner();
        Ok((page.deliveries, page.next_page_token))
    })
    .await?;
    for delivery in all.iter_mut().take(HISTORIES) {
        let name = format!("deliveries/{}", delivery.id);
        let request = v1::GetDeliveryRequest { name };
        *delivery = api.events().get_delivery(request).await?.into_inner();
    }
    Ok(all)
}

pub(super) async fn refusals(
    api: &Api,
    name: &Name,
    not_kept: bool,
) -> Result<Vec<v1::Refusal>, Failure> {
    let request = v1::ListRefusalsRequest {
        parent: name.group(),
        page_size: REFUSALS,
        not_kept,
    };
    Ok(api
        .events()
        .list_refusals(request)
        .await?
        .into_inner()
        .refusals)
}

pub(super) async fn listeners(api: &Api, name: &Name) -> Result<Vec<v1::Listener>, Failure> {
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

pub(super) fn is_one_event(name: &Name) -> bool {
    name.len() == 3 || names::is_id(name.last())
}

pub(crate) async fn tokens(api: &Api, name: &Name) -> Result<Vec<v1::Token>, Failure> {
    if name.len() == 2 {
        let name = format!("{}/tokens/{}", name.org(), name.part(1));
        return one(api.tokens().get_token(v1::GetTokenRequest { name })).await;
    }
    pages(|page_token| async {
        let request = v1::ListTokensRequest {
            parent: name.org(),
            page_size: PAGE,
            page_token,
        };
        let page = api.tokens().list_tokens(request).await?.into_inner();
        Ok((page.tokens, page.next_page_token))
    })
    .await
}

pub(super) async fn events(
    api: &Api,
    name: &Name,
    which: &Which,
) -> Result<Vec<v1::Event>, Failure> {
    if is_one_event(name) {
        let name = format!("events/{}", name.last());
        one(api.events().get_event(v1::GetEventRequest {
            name,
            ..Default::default()
        }))
        .await
    } else {
        first(which.max, |page_token| async {
            let narrowed = which.narrowed.clone();
            let request = v1::ListEventsRequest {
                parent: name.group(),
                page_size: which.page(EVENTS_PAGE),
                page_token,
                r#type: narrowed.event_type,
                since: narrowed.since,
                until: narrowed.until,
                text: narrowed.text,
                unmatched: which.unmatched,
            };
            let page = api.events().list_events(request).await?.into_inner();
            Ok((page.events, page.next_page_token))
        })
        .await
    }
}

//! What a delivery is sent to: a target, which stands in a webhook or in a destination that several webhooks share.
//!
//! ```text
//!   webhook uid, destination's name ─ resolve ─▶ Resolved: whose it is, target (sealed), limits ─ open ─▶ Target with its secrets
//! ```
//!
//! Secrets are sealed for the uid of the resource they stand in, and for their field: `http.headers.authorization` of a destination,
//! `destinations.crm.http.headers.authorization` of a webhook. None opens for another.

use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;

use crate::config::View;
use crate::seal::{SealError, SealKey};

/// What the deliveries of subscribers are shown under, and what no other destination may be called.
pub const SUBSCRIBE: &str = "subscribe";
const CONCURRENCY: u32 = 8;
const TIMEOUT_SECONDS: u32 = 15;
const MAX_ATTEMPTS: u32 = 15;

const STAND_IN: &str = "***";
/// Of as many bytes as a signing secret has to have.
const SIGNING_STAND_IN: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn stand_in(value: &str) -> v1::Secret {
    v1::Secret {
        value: value.to_owned(),
        ..Default::default()
    }
}

/// One of the kinds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target {
    Http(v1::HttpTarget),
    Salesforce(v1::SalesforceTarget),
}

impl Target {
    /// None where there is not exactly one.
    pub(crate) fn of(
        http: Option<v1::HttpTarget>,
        salesforce: Option<v1::SalesforceTarget>,
    ) -> Option<Self> {
        match (http, salesforce) {
            (Some(http), None) => Some(Self::Http(http)),
            (None, Some(salesforce)) => Some(Self::Salesforce(salesforce)),
            _ => None,
        }
    }

    /// Back into the two fields of a message.
    pub(crate) fn into_fields(self) -> (Option<v1::HttpTarget>, Option<v1::SalesforceTarget>) {
        match self {
            Self::Http(http) => (Some(http), None),
            Self::Salesforce(salesforce) => (None, Some(salesforce)),
        }
    }

    /// Its secrets, by their fields as a manifest writes them.
    pub(crate) fn secrets_mut(&mut self) -> Vec<(String, &mut v1::Secret)> {
        let mut found = Vec::new();
        match self {
            Self::Http(http) => {
                if let Some(secret) = &mut http.signing_secret {
                    found.push(("http.signingSecret".to_owned(), secret));
                }
                for (name, secret) in &mut http.headers {
                    found.push((format!("http.headers.{name}"), secret));
                }
            }
            Self::Salesforce(salesforce) => {
                if let Some(secret) = &mut salesforce.client_secret {
                    found.push(("salesforce.clientSecret".to_owned(), secret));
                }
                if let Some(secret) = &mut salesforce.private_key {
                    found.push(("salesforce.privateKey".to_owned(), secret));
                }
            }
        }
        found
    }

    /// What its secrets were trusted to: where they are sent, and for whom they speak.
    pub(crate) fn leads_to(&self) -> Vec<&str> {
        match self {
            Self::Http(http) => vec![&http.url],
            Self::Salesforce(target) => {
                vec![
                    &target.url,
                    &target.client_id,
                    &target.username,
                    &target.audience,
                ]
            }
        }
    }

    /// Opens what was sealed for this uid.
    pub(crate) fn open(
        mut self,
        seal: &SealKey,
        uid: &str,
        prefix: &str,
    ) -> Result<Self, SealError> {
        for (field, secret) in self.secrets_mut() {
            if !secret.sealed.is_empty() {
                let field = format!("{prefix}{field}");
                secret.value = seal.open_text(uid, &field, &secret.sealed)?;
                secret.sealed.clear();
            }
        }
        Ok(self)
    }

    /// With something else in the place of each secret, to show what would be sent: none of them is in that.
    pub(crate) fn with_stand_ins(mut self) -> Self {
        match &mut self {
            Self::Http(http) => {
                if let Some(secret) = &mut http.signing_secret {
                    *secret = stand_in(SIGNING_STAND_IN);
                }
                for secret in http.headers.values_mut() {
                    *secret = stand_in(STAND_IN);
                }
            }
            Self::Salesforce(target) => {
                target.private_key = None;
                target.client_secret = Some(stand_in(STAND_IN));
            }
        }
        self
    }

    /// Secrets, opened, that have no value: they were left out, and are not stored.
    pub(crate) fn lacks(&mut self) -> Vec<String> {
        let secrets = self.secrets_mut().into_iter();
        let lacking = secrets.filter(|(_, secret)| secret.value.is_empty());
        lacking.map(|(field, _)| field).collect()
    }

    /// Without any secret, sealed or not: that there is one is all that is told.
    pub(crate) fn hide(&mut self) {
        for (_, secret) in self.secrets_mut() {
            *secret = v1::Secret::default();
        }
    }
}

/// What a webhook's destination is called in deliveries, on the command line and in paths.
pub fn name_of(destination: &v1::WebhookDestination) -> &str {
    if !destination.name.is_empty() {
        &destination.name
    } else if !destination.r#ref.is_empty() {
        &destination.r#ref
    } else if destination.http.is_some() {
        "http"
    } else if destination.salesforce.is_some() {
        "salesforce"
    } else {
        SUBSCRIBE
    }
}

/// What the fields of a webhook's own target begin with.
pub(crate) fn prefix_of(name: &str) -> String {
    format!("destinations.{name}.")
}

/// What is throttled, paused and given up together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum EndpointKey {
    /// A destination of the org's, by its uid: all webhooks that name it.
    Named(String),
    /// A webhook's own: the webhook's uid, and its name there.
    Own(String, String),
}

/// Whether a webhook has a target of its own under this name.
pub(crate) fn has_own(webhook: &v1::Webhook, name: &str) -> bool {
    let mut all = webhook.spec.iter().flat_map(|spec| &spec.destinations);
    all.any(|one| one.r#ref.is_empty() && one.subscribe.is_none() && name_of(one) == name)
}

/// How much at a time, with the defaults in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) concurrency: usize,
    /// Requests a second. None: as many as there are.
    pub(crate) rate: Option<u32>,
    pub(crate) timeout: Duration,
    pub(crate) max_attempts: u32,
}

impl From<Option<&v1::DeliveryLimits>> for Limits {
    fn from(given: Option<&v1::DeliveryLimits>) -> Self {
        let given = given.copied().unwrap_or_default();
        let or = |value: u32, default: u32| if value == 0 { default } else { value };
        Self {
            concurrency: or(given.concurrency, CONCURRENCY) as usize,
            rate: (given.rate_per_second > 0).then_some(given.rate_per_second),
            timeout: Duration::from_secs(or(given.timeout_seconds, TIMEOUT_SECONDS).into()),
            max_attempts: or(given.max_attempts, MAX_ATTEMPTS),
        }
    }
}

/// Where the deliveries of one webhook to one of its destinations go, as it is configured now.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub(crate) endpoint: EndpointKey,
    pub(crate) org: String,
    /// As the API has it.
    pub(crate) webhook: String,
    /// For an operator's log.
    pub(crate) shown: String,
    /// Whom the secrets are sealed for.
    uid: String,
    prefix: String,
    target: Target,
    pub(crate) limits: Limits,
    /// All of the endpoint.
    pub(crate) endpoint_paused: bool,
    /// This webhook's deliveries alone.
    pub(crate) queue_paused: bool,
}

impl Resolved {
    /// The target, sealed.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The target with its secrets.
    pub(crate) fn open(&self, seal: &SealKey) -> Result<Target, SealError> {
        self.target.clone().open(seal, &self.uid, &self.prefix)
    }
}

/// Looks a queue up in the view. The error says what to mend.
pub(crate) fn resolve(
    view: &View,
    webhook: &v1::Webhook,
    destination: &str,
) -> Result<Resolved, String> {
    let org = webhook.metadata.as_ref().map_or("", |of| &of.org);
    resolve_with(|name| view.destination(org, name), webhook, destination)
}

/// The same where `named` knows the org's destinations.
pub(crate) fn resolve_with(
    named: impl FnOnce(&str) -> Option<Arc<v1::Destination>>,
    webhook: &v1::Webhook,
    destination: &str,
) -> Result<Resolved, String> {
    let none = v1::Metadata::default();
    let of = webhook.metadata.as_ref().unwrap_or(&none);
    let configured = webhook.spec.as_ref().map_or(&[][..], |s| &s.destinations);
    let found = configured.iter().find(|d| name_of(d) == destination);
    let Some(found) = found.filter(|found| found.subscribe.is_none()) else {
        return Err(format!(
            "the webhook has no destination `{destination}` any more: add it again, and replay"
        ));
    };
    let webhook_name = format!("orgs/{}/groups/{}/webhooks/{}", of.org, of.group, of.name);
    if found.r#ref.is_empty() {
        let target = Target::of(found.http.clone(), found.salesforce.clone())
            .ok_or_else(|| format!("the webhook's destination `{destination}` says nothing"))?;
        return Ok(Resolved {
            endpoint: EndpointKey::Own(of.uid.clone(), destination.to_owned()),
            org: of.org.clone(),
            shown: format!("{webhook_name}, {destination}"),
            webhook: webhook_name,
            uid: of.uid.clone(),
            prefix: prefix_of(destination),
            target,
            limits: Limits::from(found.limits.as_ref()),
            endpoint_paused: found.paused,
            queue_paused: false,
        });
    }
    let named = named(&found.r#ref).ok_or_else(|| {
        format!(
            "there is no destination `{}` any more: make it again, and replay",
            found.r#ref
        )
    })?;
    let mut resolved = of_named(&named)?;
    resolved.webhook = webhook_name;
    resolved.queue_paused = found.paused;
    Ok(resolved)
}

/// A destination that has a name of its own, whoever uses it.
pub(crate) fn of_named(named: &v1::Destination) -> Result<Resolved, String> {
    let none = v1::Metadata::default();
    let metadata = named.metadata.as_ref().unwrap_or(&none);
    let spec = named.spec.clone().unwrap_or_default();
    let limits = Limits::from(spec.limits.as_ref());
    let target = Target::of(spec.http, spec.salesforce)
        .ok_or_else(|| format!("the destination `{}` says nothing", metadata.name))?;
    Ok(Resolved {
        endpoint: EndpointKey::Named(metadata.uid.clone()),
        org: metadata.org.clone(),
        webhook: String::new(),
        shown: format!("orgs/{}/destinations/{}", metadata.org, metadata.name),
        uid: metadata.uid.clone(),
        prefix: String::new(),
        target,
        limits,
        endpoint_paused: spec.paused,
        queue_paused: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_without_a_name_is_called_by_its_kind() {
        let one = |set: fn(&mut v1::WebhookDestination)| {
            let mut destination = v1::WebhookDestination::default();
            set(&mut destination);
            name_of(&destination).to_owned()
        };
        assert_eq!(one(|d| d.http = Some(v1::HttpTarget::default())), "http");
        assert_eq!(one(|d| d.r#ref = "crm".to_owned()), "crm");
        assert_eq!(one(|_| {}), "subscribe");
        let named = |d: &mut v1::WebhookDestination| {
            d.http = Some(v1::HttpTarget::default());
            d.name = "erp".to_owned();
        };
        assert_eq!(one(named), "erp");
    }
}

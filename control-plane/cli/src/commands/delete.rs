//! `delete`, which drops no delivery unasked.

mod drain;

use std::io::IsTerminal as _;

use hookplane_proto::v1;
use tonic_types::StatusExt as _;

use crate::args::{Delete, Resource};
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::{Name, typed};
use crate::output::{self, note, visible};

/// What to do with deliveries that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Drain,
    Discard,
}

/// What is to be deleted.
pub(crate) struct Request {
    resource: Resource,
    name: String,
    /// None: not said.
    waiting: Option<Waiting>,
    /// That much goes with it.
    confirmed: bool,
}

impl Request {
    /// Checks what can be checked without a server.
    pub(crate) fn new(delete: &Delete) -> Result<Self, Failure> {
        let name = &delete.name;
        let name = match delete.resource {
            Resource::Orgs => Name::exact(name, 1, "ORG")?.org(),
            Resource::Connectors => {
                Name::exact(name, 2, "ORG/CONNECTOR (built-in ones stay)")?.connector()
            }
            Resource::Groups => Name::exact(name, 2, "ORG/GROUP")?.group(),
            Resource::Webhooks => Name::exact(name, 3, "ORG/GROUP/WEBHOOK")?.webhook(),
            Resource::Destinations => Name::exact(name, 2, "ORG/DESTINATION")?.destination(),
            _ => {
                return Err(Failure::Usage(
                    "only orgs, connectors, groups, webhooks and destinations can be deleted"
                        .to_owned(),
                ));
            }
        };
        let waiting = match (delete.drain, delete.discard) {
            (true, _) => Some(Waiting::Drain),
            (_, true) => Some(Waiting::Discard),
            _ => None,
        };
        if waiting.is_some() && ![Resource::Groups, Resource::Webhooks].contains(&delete.resource) {
            return Err(Failure::Usage(
                "only groups and webhooks have deliveries to drain or discard".to_owned(),
            ));
        }
        Ok(Self {
            resource: delete.resource,
            name,
            waiting,
            confirmed: delete.confirm,
        })
    }

    /// Deletes it. Asks what to do with deliveries that wait, where there is somebody to ask.
    pub(crate) async fn run(mut self, api: &Api) -> Result<(), Failure> {
        if self.waiting == Some(Waiting::Drain) {
            drain::run(api, self.resource, &self.name).await?;
        }
        if let Err(status) = self.delete(api).await {
            let reason = status.get_details_error_info().map(|info| info.reason);
            if reason.as_deref() == Some("LARGE_REMOVAL") {
                return Err(Failure::from(status).hint("--confirm deletes all of them"));
            }
            if self.waiting.is_some() || reason.as_deref() != Some("DELIVERIES_WAIT") {
                return Err(status.into());
            }
            match ask(status.message())? {
                Some(Waiting::Drain) => drain::run(api, self.resource, &self.name).await?,
                Some(Waiting::Discard) => self.waiting = Some(Waiting::Discard),
                None => {
                    return Err(Failure::from(status)
                        .hint("--drain waits until they are delivered, --discard drops them"));
                }
            }
            self.delete(api).await?;
        }
        output::line(&format!("deleted {}", typed(&self.name)))
    }

    async fn delete(&self, api: &Api) -> Result<(), tonic::Status> {
        let (name, etag) = (self.name.clone(), String::new());
        let discard_pending = self.waiting == Some(Waiting::Discard);
        match self.resource {
            Resource::Orgs => {
                let request = v1::DeleteOrgRequest { name, etag };
                api.orgs().delete_org(request).await?;
            }
            Resource::Connectors => {
                let request = v1::DeleteConnectorRequest { name, etag };
                api.connectors().delete_connector(request).await?;
            }
            Resource::Destinations => {
                let request = v1::DeleteDestinationRequest { name, etag };
                api.destinations().delete_destination(request).await?;
            }
            Resource::Groups => {
                let request = v1::DeleteWebhookGroupRequest {
                    name,
                    etag,
                    discard_pending,
                    confirm_large: self.confirmed,
                };
                api.groups().delete_webhook_group(request).await?;
            }
            _ => {
                let request = v1::DeleteWebhookRequest {
                    name,
                    etag,
                    discard_pending,
                };
                api.webhooks().delete_webhook(request).await?;
            }
        }
        Ok(())
    }
}

/// None without a terminal, or when neither is wanted.
fn ask(message: &str) -> Result<Option<Waiting>, Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(None);
    }
    note(&visible(message));
    note("drain, discard, or keep it? [keep]");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(match answer.trim() {
        "drain" => Some(Waiting::Drain),
        "discard" => Some(Waiting::Discard),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Client;

    fn request(resource: Resource, name: &str) -> Result<Request, Failure> {
        Request::new(&Delete {
            resource,
            name: name.to_owned(),
            drain: false,
            discard: false,
            confirm: false,
            client: Client::default(),
        })
    }

    #[test]
    fn only_a_whole_name_deletes() {
        assert!(matches!(
            request(Resource::Webhooks, "acme/shop"),
            Err(Failure::Usage(_))
        ));
        assert!(matches!(
            request(Resource::Connectors, "github"),
            Err(Failure::Usage(_))
        ));
        assert!(matches!(
            request(Resource::Events, "x"),
            Err(Failure::Usage(_))
        ));
        let webhook = request(Resource::Webhooks, "acme/shop/paid").map(|request| request.name);
        assert_eq!(
            webhook.ok().as_deref(),
            Some("orgs/acme/groups/shop/webhooks/paid")
        );
    }
}

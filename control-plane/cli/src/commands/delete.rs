//! `delete`.

use hookplane_proto::v1;

use crate::args::{Delete, Resource};
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::{Name, typed};
use crate::output;

/// What is to be deleted.
pub(crate) struct Request {
    resource: Resource,
    name: String,
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
            _ => {
                return Err(Failure::Usage(
                    "only orgs, connectors, groups and webhooks can be deleted".to_owned(),
                ));
            }
        };
        Ok(Self {
            resource: delete.resource,
            name,
        })
    }

    /// Deletes it.
    pub(crate) async fn run(self, api: &Api) -> Result<(), Failure> {
        let (name, etag) = (self.name.clone(), String::new());
        match self.resource {
            Resource::Orgs => {
                api.orgs()
                    .delete_org(v1::DeleteOrgRequest { name, etag })
                    .await?
            }
            Resource::Connectors => {
                api.connectors()
                    .delete_connector(v1::DeleteConnectorRequest { name, etag })
                    .await?
            }
            Resource::Groups => {
                api.groups()
                    .delete_webhook_group(v1::DeleteWebhookGroupRequest { name, etag })
                    .await?
            }
            _ => {
                api.webhooks()
                    .delete_webhook(v1::DeleteWebhookRequest { name, etag })
                    .await?
            }
        };
        output::line(&format!("deleted {}", typed(&self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Client;

    fn request(resource: Resource, name: &str) -> Result<Request, Failure> {
        Request::new(&Delete {
            resource,
            name: name.to_owned(),
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

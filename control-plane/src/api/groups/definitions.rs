//! What groups' connectors say of themselves, looked up once for each connector that a list has and not once for each of its groups: a definition
//! may have hundreds of events, and its version is a digest of all of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::Connector;

use crate::api::desk::Desk;
use crate::api::status::Problem;

/// As much of a definition as a group's status shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    pub(super) confidence: i32,
    pub(super) sources: Vec<String>,
    pub(super) limitations: Vec<String>,
}

impl About {
    fn of(spec: Option<&v1::ConnectorSpec>) -> Self {
        spec.map_or_else(Self::default, |spec| Self {
            confidence: spec.confidence,
            sources: spec.sources.clone(),
            limitations: spec.limitations.clone(),
        })
    }
}

/// What a group is told of its connector.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) update_available: bool,
    pub(super) pinned: Arc<About>,
}

#[derive(Clone)]
struct Current {
    version: String,
    about: Arc<About>,
}

/// Those that one call has looked up so far.
#[derive(Default)]
pub(in crate::api) struct Definitions {
    /// By org and connector. None: there is none any more.
    current: HashMap<(String, String), Option<Current>>,
    /// By version: what groups pin and is not current.
    pinned: HashMap<String, Arc<About>>,
}

impl Definitions {
    /// Of a group as it is stored.
    pub(super) async fn of(
        &mut self,
        desk: &Desk<'_>,
        group: &v1::WebhookGroup,
    ) -> Result<Told, Problem> {
        let org = group.metadata.as_ref().map_or("", |of| &of.org);
        let connector = group.spec.as_ref().map_or("", |spec| &spec.connector);
        let version = group.status.as_ref().map_or("", |s| &s.connector_version);
        let current = self.current(desk, org, connector).await?;
        let update_available = current.as_ref().is_some_and(|c| c.version != version);
        let pinned = match current.filter(|current| current.version == version) {
            Some(current) => current.about,
            None => self.pinned(desk, group, version).await,
        };
        Ok(Told {
            update_available,
            pinned,
        })
    }

    async fn current(
        &mut self,
        desk: &Desk<'_>,
        org: &str,
        connector: &str,
    ) -> Result<Option<Current>, Problem> {
        let key = (org.to_owned(), connector.to_owned());
        let place = match self.current.entry(key) {
            Entry::Occupied(known) => return Ok(known.get().clone()),
            Entry::Vacant(place) => place,
        };
        let current = match desk.own_definition(org, connector).await? {
            Some(own) => own.spec.map(|spec| Current {
                version: Connector::version_of(&spec),
                about: Arc::new(About::of(Some(&spec))),
            }),
            None => {
                let catalogue = &desk.context.catalogue;
                let built_in = catalogue.get(connector).zip(catalogue.version(connector));
                built_in.map(|(built_in, version)| Current {
                    version: version.to_owned(),
                    about: Arc::new(About::of(built_in.spec.as_ref())),
                })
            }
        };
        Ok(place.insert(current).clone())
    }

    async fn pinned(
        &mut self,
        desk: &Desk<'_>,
        group: &v1::WebhookGroup,
        version: &str,
    ) -> Arc<About> {
        if let Some(about) = self.pinned.get(version) {
            return Arc::clone(about);
        }
        // It may have been saved with a newer one since it was read, and who reads a group is told the rest all the same.
        let pinned = desk.pinned(group).await.unwrap_or_else(|problem| {
            tracing::debug!(
                ?problem,
                "a group is shown without what its connector says of itself"
            );
            v1::Connector::default()
        });
        let about = Arc::new(About::of(pinned.spec.as_ref()));
        self.pinned.insert(version.to_owned(), Arc::clone(&about));
        about
    }
}

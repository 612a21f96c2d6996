//! The API, in process: the generated clients, with the person's token.

use std::convert::Infallible;
use std::task::{Context, Poll};

use hookplane_proto::v1;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderValue, Request, Response};
use tonic::body::Body;
use tower::Service;
use tower::util::BoxCloneSyncService;
use v1::config_service_client::ConfigServiceClient;
use v1::connector_service_client::ConnectorServiceClient;
use v1::destination_service_client::DestinationServiceClient;
use v1::event_service_client::EventServiceClient;
use v1::org_service_client::OrgServiceClient;
use v1::preview_service_client::PreviewServiceClient;
use v1::token_service_client::TokenServiceClient;
use v1::webhook_group_service_client::WebhookGroupServiceClient;
use v1::webhook_service_client::WebhookServiceClient;

/// The API's own router, its door included.
pub type Local = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// What an answer may have: a page of events with their bodies.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Calls for one person, on one request of theirs.
#[derive(Clone)]
pub(crate) struct Api {
    local: Local,
    bearer: HeaderValue,
    /// Of the request that the calls are for: what is known of its connection.
    extensions: Extensions,
}

impl Api {
    /// None: no token has such characters.
    pub(crate) fn new(local: Local, token: &str, extensions: Extensions) -> Option<Self> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        bearer.set_sensitive(true);
        Some(Self {
            local,
            bearer,
            extensions,
        })
    }
}

impl Service<Request<Body>> for Api {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <Local as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.local.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let bearer = self.bearer.clone();
        request.headers_mut().insert(AUTHORIZATION, bearer);
        request.extensions_mut().extend(self.extensions.clone());
        self.local.call(request)
    }
}

macro_rules! clients {
    ($($name:ident: $client:ident;)*) => {
        impl Api {
            $(pub(crate) fn $name(&self) -> $client<Self> {
                $client::new(self.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
            })*
        }
    };
}

clients! {
    orgs: OrgServiceClient;
    connectors: ConnectorServiceClient;
    groups: WebhookGroupServiceClient;
    webhooks: WebhookServiceClient;
    destinations: DestinationServiceClient;
    previews: PreviewServiceClient;
    events: EventServiceClient;
    config: ConfigServiceClient;
    tokens: TokenServiceClient;
}

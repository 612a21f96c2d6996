//! Where the API is and which token goes there, told independently: flag, environment, data directory.
//!
//! A token goes to loopback, over TLS, or where the user says that it may be read on the way. The data directory's token administers everything, so it goes to loopback addresses only.

pub(crate) mod tls;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hookplane_proto::v1::config_service_client::ConfigServiceClient;
use hookplane_proto::v1::connector_service_client::ConnectorServiceClient;
use hookplane_proto::v1::destination_service_client::DestinationServiceClient;
use hookplane_proto::v1::event_service_client::EventServiceClient;
use hookplane_proto::v1::manifest_service_client::ManifestServiceClient;
use hookplane_proto::v1::org_service_client::OrgServiceClient;
use hookplane_proto::v1::preview_service_client::PreviewServiceClient;
use hookplane_proto::v1::subscription_service_client::SubscriptionServiceClient;
use hookplane_proto::v1::token_service_client::TokenServiceClient;
use hookplane_proto::v1::webhook_group_service_client::WebhookGroupServiceClient;
use hookplane_proto::v1::webhook_service_client::WebhookServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::args::{Args, Client};
use crate::failure::Failure;

/// Without a word from the user.
const DEFAULT_DATA_DIR: &str = "hookplane-data";
/// In the data directory: the address of the API.
pub(crate) const API_FILE: &str = "api";
/// In the data directory: the token.
pub(crate) const TOKEN_FILE: &str = "token";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An event carries its body (at most 25 MiB), and a page carries several.
const MAX_MESSAGE_BYTES: usize = 256 * 1024 * 1024;

/// What flags and environment say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    api: Option<String>,
    token: Option<String>,
    data_dir: PathBuf,
    ca_file: Option<PathBuf>,
    insecure_plaintext: bool,
}

impl Options {
    /// The command's own flags first, then what stands before it or in the environment.
    pub(crate) fn new(top: &Top, client: &Client) -> Self {
        let given = |own: &Option<String>, top: &Option<String>| {
            own.clone()
                .or_else(|| top.clone())
                .filter(|text| !text.is_empty())
        };
        Self {
            api: given(&client.api, &top.api),
            token: given(&client.token, &top.token),
            data_dir: data_dir(client.data_dir.as_deref().or(top.data_dir.as_deref())),
            ca_file: client.tls_ca.clone().or_else(|| top.tls_ca.clone()),
            insecure_plaintext: client.insecure_plaintext || top.insecure_plaintext,
        }
    }
}

/// The connection flags that stand before the command.
#[derive(Debug, Clone, Default)]
pub(crate) struct Top {
    api: Option<String>,
    /// The token.
    pub(crate) token: Option<String>,
    /// The data directory.
    pub(crate) data_dir: Option<PathBuf>,
    /// Whom to believe.
    pub(crate) tls_ca: Option<PathBuf>,
    insecure_plaintext: bool,
}

impl From<&Args> for Top {
    fn from(args: &Args) -> Self {
        Self {
            api: args.api.clone(),
            token: args.token.clone(),
            data_dir: args.data_dir.clone(),
            tls_ca: args.tls_ca.clone(),
            insecure_plaintext: args.insecure_plaintext,
        }
    }
}

/// The data directory meant.
pub(crate) fn data_dir(given: Option<&Path>) -> PathBuf {
    match given {
        Some(path) if !path.as_os_str().is_empty() => path.to_owned(),
        _ => PathBuf::from(DEFAULT_DATA_DIR),
    }
}

/// An address and what is sent there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// A URL.
    pub(crate) url: String,
    /// None when there is none, or none that may go there.
    token: Option<String>,
    /// True when the data directory's token was kept back.
    kept_back: bool,
    ca_file: Option<PathBuf>,
    insecure_plaintext: bool,
}

impl Target {
    /// Resolves address and token, each by itself.
    pub(crate) fn resolve(options: &Options) -> Result<Self, Failure> {
        let api = match &options.api {
            Some(api) => api.clone(),
            None => read(&options.data_dir, API_FILE)?.ok_or_else(|| {
                Failure::new(format!(
                    "no address of an API: there is none in {}",
                    options.data_dir.display()
                ))
                .hint("start `hookplane dev`, or say where it is with --api or --data-dir")
            })?,
        };
        let url = if api.contains("://") {
            api
        } else {
            format!("http://{api}")
        };
        let uri: hyper::Uri = url.parse().map_err(|_| {
            Failure::Usage(format!(
                "`{url}` is no address of an API: write http://HOST:PORT"
            ))
        })?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(Failure::Usage(format!(
                "`{url}` is no address of an API: write https://HOST:PORT or http://HOST:PORT"
            )));
        }
        let (token, kept_back) = match &options.token {
            Some(token) => (Some(token.clone()), false),
            None => {
                let token = read(&options.data_dir, TOKEN_FILE)?;
                let loopback = is_loopback(uri.host().unwrap_or_default());
                let kept_back = token.is_some() && !loopback;
                (token.filter(|_| loopback), kept_back)
            }
        };
        Ok(Self {
            url,
            token,
            kept_back,
            ca_file: options.ca_file.clone(),
            insecure_plaintext: options.insecure_plaintext,
        })
    }

    /// This address with this token.
    pub(crate) fn with_token(url: String, token: String) -> Self {
        Self {
            url,
            token: Some(token),
            kept_back: false,
            ca_file: None,
            insecure_plaintext: false,
        }
    }

    /// Connects.
    pub(crate) async fn connect(&self) -> Result<Api, Failure> {
        if self.kept_back {
            return Err(Failure::new(format!(
                "no token for {}: the data directory's goes to loopback addresses only",
                self.url
            ))
            .hint("give one with --token or HOOKPLANE_TOKEN"));
        }
        if self.token.is_some() {
            refuse_plaintext(&self.url, self.insecure_plaintext)?;
        }
        let bearer = match &self.token {
            None => None,
            Some(token) => {
                let mut value: MetadataValue<Ascii> =
                    format!("Bearer {token}").parse().map_err(|_| {
                        Failure::Usage("the token has characters that no token has".to_owned())
                    })?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let mut endpoint = Endpoint::from_shared(self.url.clone())
            .map_err(|error| Failure::Usage(format!("`{}`: {error}", self.url)))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(10));
        if endpoint.uri().scheme_str() == Some("https") {
            endpoint = endpoint
                .tls_config(tls::grpc(self.ca_file.as_deref())?)
                .map_err(|error| Failure::new(format!("TLS for {}: {error}", self.url)))?;
        }
        let channel = endpoint.connect().await.map_err(|error| {
            let mut reason = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(inner) = source {
                reason = inner.to_string();
                source = inner.source();
            }
            // What rustls says of an answer that is no TLS.
            let hint = if reason.contains("InvalidContentType") {
                "it doesn't speak TLS: write http://"
            } else {
                "is it running? `hookplane dev` starts one here; --api names another"
            };
            Failure::new(format!("can't reach the API at {}: {reason}", self.url)).hint(hint)
        })?;
        Ok(Api {
            channel,
            bearer: Bearer(bearer),
            ca_file: self.ca_file.clone(),
        })
    }
}

fn read(directory: &Path, file: &str) -> Result<Option<String>, Failure> {
    let path = directory.join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(format!("read {}: {error}", path.display()))),
    }
}

/// A token is worth as much as what it opens: it doesn't go where others can read it.
pub(crate) fn refuse_plaintext(url: &str, insecure: bool) -> Result<(), Failure> {
    let uri: hyper::Uri = url.parse().map_err(|_| {
        Failure::Usage(format!(
            "`{url}` is no address of an API: write https://HOST:PORT or http://HOST:PORT"
        ))
    })?;
    let host = uri.host().unwrap_or_default();
    if uri.scheme_str() == Some("http") && !is_loopback(host) && !insecure {
        return Err(Failure::new(format!(
            "the token would go over plain http to {host}, where whoever is on the way can read it"
        ))
        .hint("use https://, or say --insecure-plaintext if something else keeps it safe"));
    }
    Ok(())
}

/// Whether what is said to this host stays on this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Adds the token to each request.
#[derive(Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}

type Authorised = InterceptedService<Channel, Bearer>;

/// A connection to the API.
#[derive(Clone)]
pub(crate) struct Api {
    channel: Channel,
    bearer: Bearer,
    /// Whom to believe.
    pub(crate) ca_file: Option<PathBuf>,
}

macro_rules! clients {
    ($($method:ident: $client:ident, $what:literal;)*) => {
        impl Api {$(
            #[doc = $what]
            pub(crate) fn $method(&self) -> $client<Authorised> {
                $client::with_interceptor(self.channel.clone(), self.bearer.clone())
                    .max_decoding_message_size(MAX_MESSAGE_BYTES)
            }
        )*}
    };
}

clients! {
    orgs: OrgServiceClient, "Orgs.";
    connectors: ConnectorServiceClient, "Connectors.";
    groups: WebhookGroupServiceClient, "Webhook groups.";
    webhooks: WebhookServiceClient, "Webhooks.";
    events: EventServiceClient, "Events, deliveries, refusals, samples.";
    destinations: DestinationServiceClient, "Destinations.";
    previews: PreviewServiceClient, "Previews and comparisons.";
    manifests: ManifestServiceClient, "Whole files.";
    config: ConfigServiceClient, "Listeners.";
    tokens: TokenServiceClient, "Tokens.";
    subscriptions: SubscriptionServiceClient, "Deliveries to be taken.";
}

#[cfg(test)]
mod tests;

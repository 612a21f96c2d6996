//! What can be typed after `serve` and `listen`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use hookplane_control_plane::dispatch::client::Network;

use super::Backends;
use crate::servers::tls::Files;

/// Below this the parts of a drain have no time of their own.
const MIN_GRACE_SECONDS: u64 = 5;
const MAX_GRACE_SECONDS: u64 = 3600;

#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    /// Address of the API and the console; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) api: String,
    #[command(flatten)]
    pub(crate) backends: Backends,
    /// File with the key that seals secrets; made (mode 0600) when there is none and the store is new. Replicas need the same: copy it from the first
    #[arg(long, value_name = "FILE")]
    pub(crate) seal_key: PathBuf,
    /// File with a token that administers everything as long as this server runs; made (random, mode 0600) when there is none. May be left out
    /// once `token create --org - --role admin` has made a lasting one. It lets in at this replica: others have files of their own, or a copy
    #[arg(long, value_name = "FILE")]
    pub(crate) bootstrap_token: Option<PathBuf>,
    /// Let listeners in that show a certificate signed by one of those in this file (PEM), beside those with a token. Read again when it
    /// changes. The certificate names its pool by the URI hookplane://listener/ORG_UID/POOL, with - for ORG_UID where it is for every org
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) client_ca: Option<PathBuf>,
    /// What callback URLs begin with: where providers reach the listeners. The same for every replica
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = url)]
    pub(crate) public_url: String,
    /// Let deliveries go to addresses in these ranges, which are not public, also over http://: 10.20.0.0/16,fd00::/8. Without it
    /// destinations are reached at public addresses and over https:// alone
    #[arg(long, value_name = "CIDR[,CIDR…]", value_delimiter = ',')]
    pub(crate) allow_destinations: Vec<Network>,
    /// File with certificates (PEM) that a destination's is checked against beside the public roots, read anew for every connection
    #[arg(long, value_name = "FILE")]
    pub(crate) destination_ca: Option<PathBuf>,
    /// Serve an address that is not loopback without TLS, or keep things at one: whoever is on the way can read tokens, secrets, events
    #[arg(long)]
    pub(crate) insecure_plaintext: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Listen {
    /// The API's address, as in https://hooks.internal:8081; of each replica, with commas between
    #[arg(
        long,
        value_name = "URL[,URL…]",
        value_delimiter = ',',
        required = true,
        value_parser = url
    )]
    pub(crate) control_plane: Vec<String>,
    /// Address that takes callbacks; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: String,
    /// The pool of groups it serves
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) pool: String,
    /// Its name in `get listeners` [default: HOSTNAME, or the machine's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// File with its token, read anew for every connection [default: the token in HOOKPLANE_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificate (PEM) to show the control plane instead of a token, read anew for every connection. See serve --client-ca
    #[arg(
        long,
        value_name = "FILE",
        requires = "client_key",
        conflicts_with = "token_file"
    )]
    pub(crate) client_cert: Option<PathBuf>,
    /// The private key of --client-cert (PEM)
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,
    /// File with the certificates (PEM) that an https:// control plane's is checked against, read anew for every connection
    /// [default: HOOKPLANE_TLS_CA, or the public roots]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Send the token over plain http:// to an address that is not loopback: whoever is on the way can read it
    #[arg(long)]
    pub(crate) insecure_plaintext: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What both servers take.
#[derive(Debug, ClapArgs)]
pub(crate) struct Common {
    /// Serve TLS with the certificates in this file (PEM, the server's own first). Read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Address for /livez, /readyz and /metrics over plain HTTP, without a token; none unless given
    #[arg(long, value_name = "ADDR")]
    pub(crate) status: Option<String>,
    /// After SIGTERM or Ctrl-C, seconds until it has ended, whatever clients do; 5 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "25", value_parser = clap::value_parser!(u64).range(MIN_GRACE_SECONDS..=MAX_GRACE_SECONDS))]
    grace: u64,
}

impl Common {
    /// From the first signal to the end.
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(self.grace)
    }

    /// The certificate's files, if it serves TLS.
    pub(crate) fn tls(&self) -> Option<Files> {
        Some(Files {
            cert: self.tls_cert.clone()?,
            key: self.tls_key.clone()?,
        })
    }
}

/// What can't be reached as it stands would be found out by the first callback only.
fn url(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(host) if !host.trim_start_matches('/').is_empty() => Ok(text.to_owned()),
        _ => Err("write it as https://HOST:PORT or http://HOST:PORT".to_owned()),
    }
}

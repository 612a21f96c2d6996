//! The outermost place: the one that names concrete backends.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use hookplane_control_plane::log::DeliveryLog;
use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_control_plane::outgoing::OutgoingTls;
use hookplane_control_plane::store::etcd::{EtcdOptions, EtcdStore};
use hookplane_control_plane::store::{EmbeddedStore, Store};
use hookplane_rules::Clock;

use super::{files, tls};
use crate::args::Backends as Args;
use crate::connect::{is_loopback, tls as client_tls};
use crate::failure::Failure;

const EMBEDDED: &str = "embedded:";
const ETCD: &str = "etcd://";
const POSTGRES: [&str; 2] = ["postgres://", "postgresql://"];

/// Where configuration is kept, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreAt {
    /// `embedded:DIR`.
    Embedded(PathBuf),
    /// `etcd://HOST:PORT,…`: the members.
    Etcd(Vec<String>),
}

/// Where events are kept, as typed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum LogAt {
    /// `embedded:DIR`.
    Embedded(PathBuf),
    /// `postgres://…`, which may hold a password.
    Postgres(String),
}

impl std::fmt::Debug for LogAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embedded(dir) => f.debug_tuple("Embedded").field(dir).finish(),
            Self::Postgres(_) => f.write_str("Postgres(…)"),
        }
    }
}

impl FromStr for StoreAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(members) = text.strip_prefix(ETCD) {
            let members: Vec<_> = members
                .trim_end_matches('/')
                .split(',')
                .map(|member| member.trim().to_owned())
                .collect();
            if members.iter().any(String::is_empty) {
                return Err(format!(
                    "name the members, as in {ETCD}etcd-0:2379,etcd-1:2379,etcd-2:2379"
                ));
            }
            // Whatever it is, it may be a secret: it is not repeated.
            if members.iter().any(|member| member.contains('@')) {
                return Err(
                    "members have no user in front: give --store-user and --store-password-file"
                        .to_owned(),
                );
            }
            if !members.iter().all(|member| is_address(member)) {
                return Err(format!(
                    "write each member as HOST:PORT, as in {ETCD}etcd-0:2379,etcd-1:2379,etcd-2:2379"
                ));
            }
            return Ok(Self::Etcd(members));
        }
        directory(text, ETCD).map(Self::Embedded)
    }
}

impl FromStr for LogAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if POSTGRES.iter().any(|scheme| text.starts_with(scheme)) {
            return Ok(Self::Postgres(text.to_owned()));
        }
        directory(text, POSTGRES[0]).map(Self::Embedded)
    }
}

fn directory(text: &str, other: &str) -> Result<PathBuf, String> {
    match text.strip_prefix(EMBEDDED) {
        Some("") => Err(format!(
            "name a directory, as in {EMBEDDED}/var/lib/hookplane"
        )),
        Some(directory) => Ok(PathBuf::from(directory)),
        None => Err(format!("say {EMBEDDED}DIR or {other}…")),
    }
}

/// Refuses what makes no sense together, and what would be read on the way. Nothing is touched.
pub(crate) fn check(backends: &Args, insecure_plaintext: bool) -> Result<(), Failure> {
    if let Some(flag) = backends.out_of_place() {
        return Err(Failure::Usage(format!(
            "{flag} is for etcd or PostgreSQL, and what it is about is embedded here"
        )));
    }
    let plain = |flag: &str, host: &str| {
        Failure::new(format!(
            "{flag}: {host} is not loopback, and without TLS whoever is on the way can read what is kept"
        ))
        .hint(format!(
            "give {flag}-tls-ca, or say --insecure-plaintext if something else keeps it safe"
        ))
    };
    if insecure_plaintext {
        return Ok(());
    }
    if let StoreAt::Etcd(members) = &backends.store
        && backends.store_tls().is_none()
        && let Some(host) = members.iter().map(|member| host_of(member)).find(far)
    {
        return Err(plain("--store", host));
    }
    if let LogAt::Postgres(url) = &backends.log
        && backends.log_tls().is_none()
        && let Some(host) = hosts(url).into_iter().find(far)
    {
        return Err(plain("--log", host));
    }
    Ok(())
}

/// Not on this machine. A path is a socket here.
fn far(host: &&str) -> bool {
    !is_loopback(host) && !host.starts_with('/') && !host.to_ascii_lowercase().starts_with("%2f")
}

/// `HOST:PORT`.
fn is_address(member: &str) -> bool {
    let port = member.rsplit_once(':').map(|(_, port)| port);
    !member.contains('/') && port.is_some_and(|port| port.parse::<u16>().is_ok())
}

fn host_of(address: &str) -> &str {
    match address.rsplit_once(':') {
        // Of `[::1]`, the colons are the address's own.
        Some((host, port)) if !port.contains(']') => host,
        _ => address,
    }
}

/// All that a PostgreSQL URL connects to, as far as TLS is concerned: those in front, and those that its parameters name.
fn hosts(url: &str) -> Vec<&str> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (front, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = front.split('/').next().unwrap_or_default();
    let addresses = authority.rsplit('@').next().unwrap_or_default();
    let named = parameters.split('&').filter_map(|parameter| {
        parameter
            .strip_prefix("host=")
            .or_else(|| parameter.strip_prefix("hostaddr="))
    });
    let front = addresses.split(',').map(host_of);
    let named = named.flat_map(|hosts| hosts.split(','));
    front.chain(named).filter(|host| !host.is_empty()).collect()
}

/// Opens the store. If it is embedded, another process that has it open is an error of its own.
pub(crate) async fn open_store(backends: &Args) -> Result<Arc<dyn Store>, Failure> {
    let members = match &backends.store {
        StoreAt::Embedded(dir) => {
            let dir = dir.clone();
            return blocking(dir.clone(), move || {
                EmbeddedStore::open(&dir).map(|store| store as Arc<dyn Store>)
            })
            .await;
        }
        StoreAt::Etcd(members) => members.clone(),
    };
    let user = match (&backends.store_user, &backends.store_password_file) {
        (Some(user), Some(file)) => Some((user.clone(), files::password(file)?)),
        _ => None,
    };
    let options = EtcdOptions {
        endpoints: members,
        tls: outgoing(backends.store_tls())?,
        user,
        ..EtcdOptions::default()
    };
    let store = EtcdStore::open(options).await;
    let store = store.map_err(|error| unopened("--store", error, backends.store_tls()))?;
    Ok(store as Arc<dyn Store>)
}

/// Opens the log, likewise.
pub(crate) async fn open_log(
    backends: &Args,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn DeliveryLog>, Failure> {
    let url = match &backends.log {
        LogAt::Embedded(dir) => {
            let dir = dir.clone();
            return blocking(dir.clone(), move || {
                EmbeddedLog::open(&dir, clock, Options::default())
                    .map(|log| log as Arc<dyn DeliveryLog>)
            })
            .await;
        }
        LogAt::Postgres(url) => url.clone(),
    };
    let options = PostgresOptions {
        url: match &backends.log_password_file {
            None => url,
            Some(file) => with_password(url, &files::password(file)?)?,
        },
        tls: outgoing(backends.log_tls())?,
        accept_weaker_durability: backends.accept_weaker_durability,
        ..PostgresOptions::default()
    };
    let log = PostgresLog::open(options, clock).await;
    let log = log.map_err(|error| unopened("--log", error, backends.log_tls()))?;
    Ok(log as Arc<dyn DeliveryLog>)
}

/// A server that wants more of TLS than it is given often says no more than that it hangs up.
fn unopened(
    flag: &str,
    error: impl std::fmt::Display,
    tls: Option<(PathBuf, Option<tls::Files>)>,
) -> Failure {
    let error = error.to_string();
    let failure = Failure::new(format!("{flag}: {error}"));
    match tls {
        // It says itself what to give.
        _ if error.contains("--") => failure,
        _ if error.contains("password missing") => failure.hint(format!(
            "PostgreSQL asks for one: give {flag}-password-file"
        )),
        _ if error.contains("password authentication failed") => failure.hint(format!(
            "look at the user in {flag}, and at {flag}-password-file"
        )),
        None => failure.hint(format!(
            "is it running? If it speaks TLS, give {flag}-tls-ca"
        )),
        Some((_, None)) => failure.hint(format!(
            "is it running? If it wants a certificate, give {flag}-tls-cert and {flag}-tls-key"
        )),
        Some((_, Some(_))) => failure,
    }
}

fn outgoing(files: Option<(PathBuf, Option<tls::Files>)>) -> Result<Option<OutgoingTls>, Failure> {
    files
        .map(|(ca, shown)| client_tls::outgoing(ca, shown))
        .transpose()
}

/// As a parameter, so that the URL's other parts stay as they are.
fn with_password(url: String, password: &str) -> Result<String, Failure> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let front = rest.split(['/', '?']).next().unwrap_or_default();
    let user = front.rsplit_once('@').map_or("", |(user, _)| user);
    if user.contains(':') || rest.contains("password=") {
        return Err(Failure::Usage(
            "--log has a password in its URL and another in --log-password-file: leave out the first".to_owned(),
        ));
    }
    let mark = if rest.contains('?') { '&' } else { '?' };
    let password: String = password
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect();
    Ok(format!("{url}{mark}password={password}"))
}

/// Opening reads and syncs files, and mends what a crash left.
async fn blocking<T: Send + 'static, E: std::fmt::Display + Send + 'static>(
    dir: PathBuf,
    open: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(open)
        .await
        .map_err(|error| Failure::new(format!("open {}: {error}", dir.display())))?
        .map_err(|error| Failure::new(format!("{}: {error}", dir.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_of_a_url_is_looked_at() {
        assert_eq!(
            hosts("postgres://u:p@a:1,[::1]:2,c/db?x=y&host=d,e&hostaddr=10.0.0.1"),
            ["a", "[::1]", "c", "d", "e", "10.0.0.1"]
        );
        let far: Vec<_> = ["127.0.0.1", "localhost", "[::1]", "/run/pg", "%2Frun", "db"]
            .into_iter()
            .filter(far)
            .collect();
        assert_eq!(far, ["db"]);
        assert_eq!(host_of("etcd-0:2379"), "etcd-0");
        assert_eq!(host_of("[::1]"), "[::1]");
    }

    #[test]
    fn a_password_from_a_file_takes_its_place_in_the_url() {
        let with = |url: &str| with_password(url.to_owned(), "p&ö").ok();
        let url = with("postgres://u@a,b/d");
        assert_eq!(url.unwrap(), "postgres://u@a,b/d?password=%70%26%C3%B6");
        let url = with("postgres://u@a/d?x=y");
        assert_eq!(url.unwrap(), "postgres://u@a/d?x=y&password=%70%26%C3%B6");
        assert_eq!(with("postgres://u:other@a/d"), None);
        assert_eq!(with("postgres://u@a/d?password=other"), None);
    }

    #[test]
    fn where_things_are_kept_is_told_by_the_scheme() {
        let store = |text: &str| text.parse::<StoreAt>();
        let log = |text: &str| text.parse::<LogAt>();
        assert_eq!(
            store("embedded:data/config"),
            Ok(StoreAt::Embedded("data/config".into()))
        );
        assert_eq!(log("embedded:/e"), Ok(LogAt::Embedded("/e".into())));
        assert_eq!(
            store("etcd://a:2379,b:2379"),
            Ok(StoreAt::Etcd(vec!["a:2379".into(), "b:2379".into()]))
        );
        let url = "postgres://u:hidden@a,b/db?target_session_attrs=read-write";
        assert_eq!(log(url), Ok(LogAt::Postgres(url.to_owned())));
        assert!(!format!("{:?}", log(url)).contains("hidden"));
        for text in ["etcd://", "etcd://a,,b"] {
            assert!(store(text).is_err_and(|error| error.contains("name the members")));
        }
        for text in [
            "etcd://a",
            "etcd://a:2379,b",
            "etcd://a:2379/b",
            "etcd://[::1]",
        ] {
            assert!(store(text).is_err_and(|error| error.contains("HOST:PORT")));
        }
        assert!(store("etcd://[::1]:2379").is_ok());
        for text in ["", "embedded:", "redis://x", "data"] {
            assert!(store(text).is_err_and(|error| error.contains("embedded:")));
            assert!(log(text).is_err_and(|error| error.contains("embedded:")));
        }
    }
}

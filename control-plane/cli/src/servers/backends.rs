//! The outermost place: the one that names concrete backends.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use hookplane_control_plane::log::DeliveryLog;
use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};

use hookplane_control_plane::store::{EmbeddedStore, Store};
use hookplane_rules::Clock;

use crate::failure::Failure;

/// Store and log.
pub(crate) type Backends = (Arc<dyn Store>, Arc<dyn DeliveryLog>);

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

/// Opens both. Of the embedded ones, another process that has them open is an error of theirs.
pub(crate) async fn open(
    store: StoreAt,
    log: LogAt,
    clock: Arc<dyn Clock>,
) -> Result<Backends, Failure> {
    let store = match store {
        StoreAt::Embedded(dir) => {
            blocking(dir.clone(), move || {
                EmbeddedStore::open(&dir).map(|store| store as Arc<dyn Store>)
            })
            .await?
        }
        StoreAt::Etcd(_) => return Err(Failure::new("etcd:// is not built yet")),
    };
    let log = match log {
        LogAt::Embedded(dir) => {
            blocking(dir.clone(), move || {
                EmbeddedLog::open(&dir, clock, Options::default())
                    .map(|log| log as Arc<dyn DeliveryLog>)
            })
            .await?
        }
        LogAt::Postgres(_) => return Err(Failure::new("postgres:// is not built yet")),
    };
    Ok((store, log))
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
        for text in ["", "embedded:", "redis://x", "data"] {
            assert!(store(text).is_err_and(|error| error.contains("embedded:")));
            assert!(log(text).is_err_and(|error| error.contains("embedded:")));
        }
    }
}

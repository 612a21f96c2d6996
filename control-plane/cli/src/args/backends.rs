//! Where `serve` keeps things, and how it gets there.

use std::ffi::OsStr;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args as ClapArgs;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;

use crate::servers::backends::{LogAt, StoreAt};
use crate::servers::tls::Files;

/// Each replica takes the same.
#[derive(Debug, ClapArgs)]
pub(crate) struct Backends {
    /// Where configuration is kept: embedded:DIR, or etcd://HOST:PORT,HOST:PORT,… with the members of an etcd cluster
    #[arg(long, value_name = "embedded:DIR|etcd://…", value_parser = KeptAt::<StoreAt>::of("--store"))]
    pub(crate) store: StoreAt,
    /// Where events are kept: embedded:DIR, the same DIR if you like, or postgres://USER@HOST:PORT,HOST:PORT/DATABASE with the primary and its
    /// standbys, of which the one that takes writes is found
    #[arg(long, value_name = "embedded:DIR|postgres://…", value_parser = KeptAt::<LogAt>::of("--log"))]
    pub(crate) log: LogAt,
    /// Speak TLS to etcd, and believe certificates that are signed by one of those in this file (PEM). These files, like those of --log-tls-…, are
    /// read anew for every connection
    #[arg(long, value_name = "FILE")]
    store_tls_ca: Option<PathBuf>,
    /// Certificate (PEM) to show etcd
    #[arg(
        long,
        value_name = "FILE",
        requires = "store_tls_key",
        requires = "store_tls_ca"
    )]
    store_tls_cert: Option<PathBuf>,
    /// The private key of --store-tls-cert (PEM)
    #[arg(long, value_name = "FILE", requires = "store_tls_cert")]
    store_tls_key: Option<PathBuf>,
    /// etcd's user, where it checks users
    #[arg(long, value_name = "NAME", requires = "store_password_file")]
    pub(crate) store_user: Option<String>,
    /// File with the password of --store-user
    #[arg(long, value_name = "FILE", requires = "store_user")]
    pub(crate) store_password_file: Option<PathBuf>,
    /// Speak TLS to PostgreSQL, and believe certificates that are signed by one of those in this file (PEM); names are checked (verify-full)
    #[arg(long, value_name = "FILE")]
    log_tls_ca: Option<PathBuf>,
    /// Certificate (PEM) to show PostgreSQL
    #[arg(
        long,
        value_name = "FILE",
        requires = "log_tls_key",
        requires = "log_tls_ca"
    )]
    log_tls_cert: Option<PathBuf>,
    /// The private key of --log-tls-cert (PEM)
    #[arg(long, value_name = "FILE", requires = "log_tls_cert")]
    log_tls_key: Option<PathBuf>,
    /// File with the password of --log's user. One in the URL can be read by whoever sees this machine's processes
    #[arg(long, value_name = "FILE")]
    pub(crate) log_password_file: Option<PathBuf>,
    /// Serve although PostgreSQL could lose what it acknowledged (no synchronous standby; synchronous_commit or fsync off): every receipt says
    /// `degraded` then; `get groups` and a metric say why
    #[arg(long)]
    pub(crate) accept_weaker_durability: bool,
}

impl Backends {
    /// Both embedded, and nothing else.
    pub(crate) fn embedded(dir: &std::path::Path) -> Self {
        Self {
            store: StoreAt::Embedded(dir.to_owned()),
            log: LogAt::Embedded(dir.to_owned()),
            store_tls_ca: None,
            store_tls_cert: None,
            store_tls_key: None,
            store_user: None,
            store_password_file: None,
            log_tls_ca: None,
            log_tls_cert: None,
            log_tls_key: None,
            log_password_file: None,
            accept_weaker_durability: false,
        }
    }

    /// Of the connections to etcd: whom to believe and what to show. None: they are plain.
    pub(crate) fn store_tls(&self) -> Option<(PathBuf, Option<Files>)> {
        tls(
            &self.store_tls_ca,
            &self.store_tls_cert,
            &self.store_tls_key,
        )
    }

    /// Likewise to PostgreSQL.
    pub(crate) fn log_tls(&self) -> Option<(PathBuf, Option<Files>)> {
        tls(&self.log_tls_ca, &self.log_tls_cert, &self.log_tls_key)
    }

    /// A flag that says nothing about what is used here, which is a slip of whoever typed it.
    pub(crate) fn out_of_place(&self) -> Option<&'static str> {
        let store = [
            ("--store-tls-ca", self.store_tls_ca.is_some()),
            ("--store-user", self.store_user.is_some()),
        ];
        let log = [
            ("--log-tls-ca", self.log_tls_ca.is_some()),
            ("--log-password-file", self.log_password_file.is_some()),
            ("--accept-weaker-durability", self.accept_weaker_durability),
        ];
        let store = store
            .into_iter()
            .filter(|_| matches!(self.store, StoreAt::Embedded(_)));
        let log = log
            .into_iter()
            .filter(|_| matches!(self.log, LogAt::Embedded(_)));
        let mut given = store.chain(log).filter(|(_, given)| *given);
        given.next().map(|(flag, _)| flag)
    }
}

fn tls(
    ca: &Option<PathBuf>,
    cert: &Option<PathBuf>,
    key: &Option<PathBuf>,
) -> Option<(PathBuf, Option<Files>)> {
    let shown = cert.clone().zip(key.clone());
    Some((ca.clone()?, shown.map(|(cert, key)| Files { cert, key })))
}

/// clap shows a value that it doesn't take, and these may hold a password.
struct KeptAt<T> {
    flag: &'static str,
    kind: PhantomData<fn() -> T>,
}

impl<T> KeptAt<T> {
    const fn of(flag: &'static str) -> Self {
        Self {
            flag,
            kind: PhantomData,
        }
    }
}

impl<T> Clone for KeptAt<T> {
    fn clone(&self) -> Self {
        Self::of(self.flag)
    }
}

impl<T> TypedValueParser for KeptAt<T>
where
    T: FromStr<Err = String> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        let refused = |why: &str| {
            let text = format!("{}: {why}\n", self.flag);
            clap::Error::raw(ErrorKind::ValueValidation, text).with_cmd(command)
        };
        let text = value.to_str().ok_or_else(|| refused("it is no text"))?;
        text.parse().map_err(|why: String| refused(&why))
    }
}

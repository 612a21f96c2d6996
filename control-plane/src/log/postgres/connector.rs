//! Makes connections to the host that takes writes, of those that a URL names.
//!
//! ```text
//!   URL with hosts ─▶ each in turn, from the last good one ─▶ takes writes? ─▶ settings of ours ─▶ in use
//!                                         ▲ or from the next, once a commit there came to nothing
//! ```
//!
//! - A host gets its share of the wait: one that is frozen takes connections and says nothing.
//! - A primary that another one has taken over from, and that nobody has ended, takes writes and never commits them. So after a commit that wasn't
//!   vouched for the others are asked first, and once one of them takes writes, connections to the old one are left.
//! - With TLS given it is required and the server's name is checked, whatever the URL's `sslmode` says; without, a URL that asks for it is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection::Connection;
use super::durability;
use super::fault::Fault;
use crate::log::LogError;
use crate::outgoing::OutgoingTls;

/// One host gets so long at first, and then twice as long each time.
pub(super) const CONNECT_TIME: Duration = Duration::from_secs(2);
/// The most, where tries keep ending early.
const LONGEST_CONNECT_TIME: Duration = Duration::from_secs(60);
/// Before all are tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Makes connections.
pub(super) struct Connector {
    hosts: Vec<Config>,
    tls: Option<OutgoingTls>,
    /// Which host is asked first.
    first: AtomicUsize,
    /// Which host took writes last.
    last: AtomicUsize,
    durability: Arc<durability::State>,
}

impl Connector {
    pub(super) fn new(
        url: &str,
        tls: Option<OutgoingTls>,
        durability: Arc<durability::State>,
    ) -> Result<Self, LogError> {
        // Whoever gives certificates to check against has them checked.
        let url = ["verify-full", "verify-ca"]
            .iter()
            .fold(url.to_owned(), |url, mode| {
                url.replace(&format!("sslmode={mode}"), "sslmode=require")
            });
        let given: Config = url.parse().map_err(|error| {
            // The error names the option, never its value.
            LogError::Failed(format!(
                "--log: {error}; write postgres://USER@HOST:PORT/DATABASE"
            ))
        })?;
        if tls.is_none() && given.get_ssl_mode() == SslMode::Require {
            return Err(LogError::Failed(
                "--log asks for TLS (sslmode): give the certificates to check against as well (--log-tls-ca)".into(),
            ));
        }
        if given.get_hosts().is_empty() {
            return Err(LogError::Failed(
                "--log names no host: write postgres://USER@HOST:PORT/DATABASE".into(),
            ));
        }
        // A password's own `@` ends it, and the rest of it would be shown as a host's name.
        if given
            .get_hosts()
            .iter()
            .any(|host| matches!(host, Host::Tcp(name) if name.contains('@')))
        {
            return Err(LogError::Failed(
                "--log has an `@` in its password: write it as %40, or give --log-password-file"
                    .into(),
            ));
        }
        let ports = given.get_ports();
        let port = |number: usize| match ports {
            [] => 5432,
            [one] => *one,
            all => all.get(number).copied().unwrap_or(5432),
        };
        let hosts = given.get_hosts().iter().enumerate();
        let hosts = hosts
            .map(|(number, host)| one_host(&given, host, port(number), tls.is_some()))
            .collect();
        Ok(Self {
            hosts,
            tls,
            first: AtomicUsize::new(0),
            last: AtomicUsize::new(0),
            durability,
        })
    }

    /// Whether it is with the host that would be asked first: nothing that was written there came to nothing since.
    pub(super) fn is_trusted(&self, connection: &Connection) -> bool {
        self.first.load(Ordering::Relaxed) == connection.host
    }

    /// Whether no other host has taken writes since this connection was made.
    pub(super) fn is_newest(&self, connection: &Connection) -> bool {
        self.last.load(Ordering::Relaxed) == connection.host
    }

    /// What was written at this host came to nothing, or it doesn't answer: the next connection is looked for at another one first.
    pub(super) fn doubt(&self, host: usize) {
        let next = (host + 1) % self.hosts.len();
        // Unless another one did so already.
        let _ = self
            .first
            .compare_exchange(host, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Connects to the host that takes writes, and waits for one to do so as long as that may still happen.
    pub(super) async fn connect(&self, deadline: Instant) -> Result<Connection, Fault> {
        let mut patience = CONNECT_TIME;
        loop {
            let fault = match self.connect_to_any(deadline, patience).await {
                Ok(connection) => return Ok(connection),
                Err(fault) => fault,
            };
            // A user that is refused is refused again; a server that starts or takes over needs a moment.
            if fault.code.is_some() || fault.is_of_tls || Instant::now() + PAUSE >= deadline {
                return Err(fault);
            }
            tokio::time::sleep(PAUSE).await;
            patience = (patience * 2).min(LONGEST_CONNECT_TIME);
        }
    }

    /// Tries each host once.
    async fn connect_to_any(
        &self,
        deadline: Instant,
        patience: Duration,
    ) -> Result<Connection, Fault> {
        let first = self.first.load(Ordering::Relaxed);
        let mut faults = Vec::new();
        let (mut code, mut is_of_tls) = (None, true);
        for number in 0..self.hosts.len() {
            if number > 0 && Instant::now() >= deadline {
                break;
            }
            let number = (first + number) % self.hosts.len();
            let until = deadline.min(Instant::now() + patience);
            let fault = match tokio::time::timeout_at(until, self.open(number)).await {
                Ok(Ok(connection)) => {
                    self.first.store(number, Ordering::Relaxed);
                    self.last.store(number, Ordering::Relaxed);
                    return Ok(connection);
                }
                Ok(Err(fault)) => fault,
                Err(_) => {
                    // Whoever comes with less time than this took gets to the others.
                    self.doubt(number);
                    Fault::unavailable("it doesn't answer")
                }
            };
            faults.push(format!("{}: {}", named(&self.hosts[number]), fault.message));
            is_of_tls &= fault.is_of_tls;
            if !fault.is_of_the_server() {
                code = code.or(fault.code);
            }
        }
        Err(Fault {
            code,
            message: format!("no PostgreSQL server takes writes ({})", faults.join("; ")),
            is_of_tls,
        })
    }

    async fn open(&self, number: usize) -> Result<Connection, Fault> {
        let host = &self.hosts[number];
        let Some(tls) = &self.tls else {
            let (client, connection) = host.connect(NoTls).await.map_err(Fault::from)?;
            return self
                .set_up(Connection::new(number, client, connection, None))
                .await;
        };
        let config = tls().map_err(Fault::unavailable)?;
        let (client, connection) = host
            .connect(MakeRustlsConnect::new((*config).clone()))
            .await
            .map_err(Fault::from)?;
        let tls = self.tls.clone();
        self.set_up(Connection::new(number, client, connection, tls))
            .await
    }

    async fn set_up(&self, connection: Connection) -> Result<Connection, Fault> {
        let weaker = connection.set_up().await?;
        self.durability.saw(&weaker);
        Ok(connection)
    }
}

/// The same for one host: the client library asks several one after the other, and waits for a frozen one without end.
fn one_host(given: &Config, host: &Host, port: u16, tls: bool) -> Config {
    let mut config = Config::new();
    match host {
        Host::Tcp(name) => config.host(name),
        #[cfg(unix)]
        Host::Unix(path) => config.host_path(path),
    };
    config.port(port);
    if let Some(user) = given.get_user() {
        config.user(user);
    }
    if let Some(password) = given.get_password() {
        config.password(password);
    }
    if let Some(name) = given.get_dbname() {
        config.dbname(name);
    }
    if let Some(options) = given.get_options() {
        config.options(options);
    }
    config
        .application_name(given.get_application_name().unwrap_or("hookplane"))
        .channel_binding(given.get_channel_binding())
        .ssl_negotiation(given.get_ssl_negotiation())
        .ssl_mode(if tls {
            SslMode::Require
        } else {
            SslMode::Disable
        })
        .connect_timeout(CONNECT_TIME)
        .tcp_user_timeout(Duration::from_secs(10))
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3);
    config
}

fn named(host: &Config) -> String {
    let port = host.get_ports().first().copied().unwrap_or_default();
    match host.get_hosts().first() {
        Some(Host::Tcp(name)) => format!("{name}:{port}"),
        _ => format!("port {port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Risk 9: a host that takes connections and says nothing has its share of the wait, and no more; then the next one is asked.
    #[tokio::test]
    async fn a_host_that_says_nothing_is_passed_over() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let [first, second] = [&silent, &other].map(|host| host.local_addr().unwrap());
        let url = format!("postgres://u@{first},{second}/d");
        let connector = || {
            let durability = Arc::new(durability::State::new(false));
            Connector::new(&url, None, durability).unwrap()
        };
        let short = Duration::from_millis(300);
        let asked = async {
            let patient = connector();
            let deadline = Instant::now() + CONNECT_TIME + short;
            let (connected, asked) = tokio::join!(patient.connect(deadline), other.accept());
            assert!(connected.is_err());
            asked.unwrap();
            // Less time than its share: the next call gets further.
            let hasty = connector();
            assert!(hasty.connect(Instant::now() + short).await.is_err());
            let deadline = Instant::now() + short;
            let (connected, asked) = tokio::join!(hasty.connect(deadline), other.accept());
            assert!(connected.is_err());
            asked.unwrap();
        };
        let asked = tokio::time::timeout(CONNECT_TIME * 5, asked).await;
        asked.expect("each is asked in time");
    }

    #[test]
    fn a_password_that_ends_early_is_not_shown_as_a_host() {
        let durability = Arc::new(durability::State::new(false));
        let made = Connector::new("postgres://u:one@two@127.0.0.1/d", None, durability);
        let Err(LogError::Failed(why)) = made else {
            panic!("it was taken");
        };
        assert!(why.contains("%40") && !why.contains("two"), "{why}");
    }
}

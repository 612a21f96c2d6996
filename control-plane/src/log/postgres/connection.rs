//! One connection to PostgreSQL: what it is told before it is used, and what it hears beside its answers.
//!
//! It is driven by a task of its own, which counts warnings before it hands on what came after them. So a warning about a commit is known when
//! its answer is.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_postgres::error::Severity;
use tokio_postgres::{AsyncMessage, Client, NoTls, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connector::CONNECT_TIME;
use super::durability::WEAKER;
use super::fault::Fault;
use super::wake::EVERYTHING;
use crate::outgoing::OutgoingTls;

/// What a statement may take: below the shortest time within which a provider wants its answer.
const STATEMENT_TIME_MS: u32 = 10_000;
/// What it may wait for a row that another one holds (risk 43).
pub(super) const LOCK_TIME_MS: u32 = 1_000;
/// After which a transaction that nobody goes on with is undone (risk 43).
const IDLE_TIME_MS: u32 = 1_000;
/// After this silence the server asks this machine whether it is there, and ends what it does for it when it isn't twice (risk 43). A machine that is
/// cut off between a statement and the message that ends its transaction, which are sent as one, holds its rows for three times as long.
const KEEPALIVE_S: u32 = 2;
/// Statements remembered on one connection.
const STATEMENTS: usize = 256;

/// Names the server's side of an event that is not an answer.
#[derive(Default)]
struct Heard {
    warnings: AtomicU64,
    last: Mutex<String>,
    /// The server's process that this connection speaks with, once it listens.
    own: AtomicI32,
    /// Another connection notified this one, or this one ended.
    told: Notify,
    /// What it said, as long as nobody took it.
    news: Mutex<Vec<String>>,
}

/// Notifications that wait for whoever listens. It takes them every few milliseconds; the last stands for all that are more.
const NEWS: usize = 1_024;

/// A connection that is set up.
pub(super) struct Connection {
    pub(super) client: Client,
    /// Which of the hosts it is with.
    pub(super) host: usize,
    statements: HashMap<String, Statement>,
    heard: Arc<Heard>,
    driver: AbortHandle,
    cancel: Cancel,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Its socket is closed with it.
        self.driver.abort();
    }
}

/// Asks the server to end what a connection is at.
#[derive(Clone)]
pub(super) struct Cancel {
    token: tokio_postgres::CancelToken,
    tls: Option<OutgoingTls>,
}

impl Cancel {
    /// Sends the request. That it is heeded is not known from its answer.
    pub(super) async fn send(&self) {
        let sent = async {
            match self.tls.as_ref().map(|tls| tls()) {
                None => self.token.cancel_query(NoTls).await.is_ok(),
                Some(Ok(config)) => {
                    let tls = MakeRustlsConnect::new((*config).clone());
                    self.token.cancel_query(tls).await.is_ok()
                }
                Some(Err(_)) => false,
            }
        };
        if !matches!(tokio::time::timeout(CONNECT_TIME, sent).await, Ok(true)) {
            tracing::debug!("PostgreSQL could not be asked to end a statement");
        }
    }
}

impl Connection {
    pub(super) fn new<S, T>(
        host: usize,
        client: Client,
        connection: tokio_postgres::Connection<S, T>,
        tls: Option<OutgoingTls>,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let heard = Arc::new(Heard::default());
        let driver = tokio::spawn(drive(connection, heard.clone())).abort_handle();
        Self {
            cancel: Cancel {
                token: client.cancel_token(),
                tls,
            },
            client,
            host,
            statements: HashMap::new(),
            heard,
            driver,
        }
    }

    /// Says what of the server is weaker than promised.
    pub(super) async fn set_up(&self) -> Result<String, Fault> {
        self
            .client
            .batch_execute(&format!(
                "SET statement_timeout = {STATEMENT_TIME_MS}; SET lock_timeout = {LOCK_TIME_MS};
                 SET idle_in_transaction_session_timeout = {IDLE_TIME_MS};
                 SET tcp_keepalives_idle = {KEEPALIVE_S}; SET tcp_keepalives_interval = {KEEPALIVE_S}; SET tcp_keepalives_count = 2;
                 SET client_min_messages = warning; SET max_parallel_workers_per_gather = 0; SET search_path = hookplane, pg_catalog;
                 SET default_transaction_isolation = 'read committed'"
            ))
            .await
            .map_err(Fault::from)?;
        let asked = format!(
            "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off', ({WEAKER})"
        );
        let asked = self.client.query_one(&asked, &[]);
        let row = asked.await.map_err(Fault::from)?;
        if !row.get::<_, bool>(0) {
            return Err(Fault::unavailable("it takes no writes"));
        }
        Ok(row.get(1))
    }

    /// A statement, prepared once.
    pub(super) async fn statement(&mut self, sql: &str) -> Result<Statement, Fault> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await.map_err(Fault::from)?;
        if self.statements.len() >= STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// How many warnings came so far.
    pub(super) fn warnings(&self) -> u64 {
        self.heard.warnings.load(Ordering::Acquire)
    }

    /// What the last one said.
    pub(super) fn last_warning(&self) -> String {
        let last = self.heard.last.lock();
        last.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on what it notifies itself of is not told.
    pub(super) async fn listens(&self) -> Result<(), Fault> {
        let row = self
            .client
            .query_one("SELECT pg_backend_pid()", &[])
            .await?;
        self.heard.own.store(row.try_get(0)?, Ordering::Release);
        Ok(())
    }

    /// Until another connection notifies this one, or this one ends. What came before is not forgotten.
    pub(super) async fn told(&self) {
        self.heard.told.notified().await;
    }

    /// What the others said since it was asked last.
    pub(super) fn news(&self) -> Vec<String> {
        std::mem::take(
            &mut *self
                .heard
                .news
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    pub(super) fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }
}

/// Moves a connection's bytes until it ends.
async fn drive<S, T>(mut connection: tokio_postgres::Connection<S, T>, heard: Arc<Heard>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notice(notice))) => {
                if notice.parsed_severity() == Some(Severity::Warning)
                    || notice.code().code().starts_with("01")
                {
                    let mut last = heard.last.lock().unwrap_or_else(PoisonError::into_inner);
                    *last = notice.message().to_owned();
                    heard.warnings.fetch_add(1, Ordering::Release);
                    tracing::warn!(
                        code = notice.code().code(),
                        "PostgreSQL: {}",
                        notice.message()
                    );
                }
            }
            Some(Ok(AsyncMessage::Notification(notification))) => {
                if notification.process_id() != heard.own.load(Ordering::Acquire) {
                    let mut news = heard.news.lock().unwrap_or_else(PoisonError::into_inner);
                    if news.len() < NEWS {
                        news.push(notification.payload().to_owned());
                    } else if let Some(last) = news.last_mut() {
                        *last = EVERYTHING.to_owned();
                    }
                    drop(news);
                    heard.told.notify_one();
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "a connection to PostgreSQL ended");
                break heard.told.notify_one();
            }
            None => break heard.told.notify_one(),
        }
    }
}

//! Connections that are used in turn, so many at a time.
//!
//! Every wait has the deadline of whoever asked: for a turn, for a connection, for an answer. A connection is kept for the next one only when it was
//! at rest and nothing said about it that it may not be (a server that fails, recovers or takes no writes any more).
//!
//! Lists and tails, which whoever may read asks for and which can take long, have at most half of them: leases and settlements go on meanwhile.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connection::Connection;
use super::connector::Connector;
use super::fault::Fault;

/// Reads, leases and settlements are answered within this.
pub(super) const CALL_TIME: Duration = Duration::from_secs(10);

/// What a statement is given.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

pub(super) struct Pool {
    pub(super) connector: Arc<Connector>,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
    /// Of those, for reading.
    reads: Semaphore,
}

/// A connection for one piece of work. It goes back by itself.
pub(super) struct Session<'a> {
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
    /// Held until it ends.
    _read: Option<SemaphorePermit<'a>>,
    connection: Option<Connection>,
    deadline: Instant,
    open_transaction: bool,
}

impl Pool {
    pub(super) fn new(connector: Arc<Connector>, size: usize) -> Self {
        Self {
            connector,
            idle: Mutex::default(),
            permits: Semaphore::new(size),
            reads: Semaphore::new((size / 2).max(1)),
        }
    }

    /// Waits for its turn and a connection, at most until the deadline, which then bounds all that is done with it.
    pub(super) async fn session(&self, deadline: Instant) -> Result<Session<'_>, Fault> {
        let permit = turn(&self.permits, deadline).await?;
        let pooled = self.idle().pop();
        let connection = match pooled {
            Some(connection)
                if !connection.client.is_closed() && self.connector.is_newest(&connection) =>
            {
                connection
            }
            _ => self.connector.connect(deadline).await?,
        };
        Ok(Session {
            pool: self,
            _permit: permit,
            _read: None,
            connection: Some(connection),
            deadline,
            open_transaction: false,
        })
    }

    /// The same within [`CALL_TIME`].
    pub(super) async fn call(&self) -> Result<Session<'_>, Fault> {
        self.session(Instant::now() + CALL_TIME).await
    }

    /// The same for what a reader asked for.
    pub(super) async fn read(&self) -> Result<Session<'_>, Fault> {
        let deadline = Instant::now() + CALL_TIME;
        let read = turn(&self.reads, deadline).await?;
        let mut session = self.session(deadline).await?;
        session._read = Some(read);
        Ok(session)
    }

    pub(super) fn close(&self) {
        self.reads.close();
        self.permits.close();
        self.idle().clear();
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn turn(permits: &Semaphore, deadline: Instant) -> Result<SemaphorePermit<'_>, Fault> {
    match tokio::time::timeout_at(deadline, permits.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) => Err(Fault::unavailable("it is closed")),
        Err(_) => Err(Fault::unavailable("all connections to PostgreSQL are busy")),
    }
}

impl Session<'_> {
    /// One statement, prepared once for each connection.
    pub(super) async fn query(&mut self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let Some(mut connection) = self.connection.take() else {
            return Err(Fault::unavailable("the connection to PostgreSQL ended"));
        };
        // While it is awaited the connection is nobody's: given up half-way, it is closed.
        let asked = async {
            let statement = connection.statement(sql).await?;
            Ok(connection.client.query(&statement, params).await?)
        };
        let answer = match tokio::time::timeout_at(self.deadline, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(Fault::unavailable("PostgreSQL didn't answer in time")),
        };
        if answer.as_ref().err().is_none_or(Fault::keeps_connection) {
            self.connection = Some(connection);
        }
        answer
    }

    /// The first row, if there is one.
    pub(super) async fn query_opt(
        &mut self,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Option<Row>, Fault> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Statements without values or answers.
    pub(super) async fn batch(&mut self, sql: &str) -> Result<(), Fault> {
        let Some(connection) = self.connection.take() else {
            return Err(Fault::unavailable("the connection to PostgreSQL ended"));
        };
        let asked = async { Ok(connection.client.batch_execute(sql).await?) };
        let answer = match tokio::time::timeout_at(self.deadline, asked).await {
            Ok(answer) => answer,
            Err(_) => {
                // It may have been a commit.
                self.pool.connector.doubt(connection.host);
                Err(Fault::unavailable("PostgreSQL didn't answer in time"))
            }
        };
        if answer.as_ref().err().is_none_or(Fault::keeps_connection) {
            self.connection = Some(connection);
        }
        answer
    }

    /// Begins a transaction of several statements. Unless it is committed, the connection is closed with it, and so it is undone.
    pub(super) async fn begin(&mut self, kind: &str) -> Result<(), Fault> {
        self.open_transaction = true;
        self.batch(&format!("BEGIN {kind}")).await
    }

    /// Commits it. A warning means that it isn't kept as promised (risk 42).
    pub(super) async fn commit(&mut self) -> Result<(), Fault> {
        let before = self.warnings();
        self.batch("COMMIT").await?;
        self.open_transaction = false;
        self.check_warnings(before)
    }

    /// How many warnings this connection had so far.
    pub(super) fn warnings(&self) -> u64 {
        self.connection.as_ref().map_or(0, Connection::warnings)
    }

    /// Fails when there are more by now: what was committed may be on this server only (risk 42).
    pub(super) fn check_warnings(&self, before: u64) -> Result<(), Fault> {
        match &self.connection {
            Some(connection) if connection.warnings() != before => {
                self.pool.connector.doubt(connection.host);
                Err(Fault::unavailable(format!(
                    "PostgreSQL warns: {}",
                    connection.last_warning()
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && !self.open_transaction
            && !connection.client.is_closed()
            && !self.pool.permits.is_closed()
        {
            self.pool.idle().push(connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::durability;
    use super::*;

    #[tokio::test]
    async fn readers_leave_half_of_the_connections_to_the_work() {
        // It takes connections and says nothing.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://u@{}/d", silent.local_addr().unwrap());
        let durability = Arc::new(durability::State::new(false));
        let connector = Connector::new(&url, None, durability).unwrap();
        let pool = Arc::new(Pool::new(Arc::new(connector), 4));
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let pool = pool.clone();
            readers.spawn(async move { drop(pool.read().await) });
        }
        // One thread: each has run as far as it gets.
        tokio::task::yield_now().await;
        assert_eq!(pool.permits.available_permits(), 2);
        readers.shutdown().await;
        assert_eq!(pool.permits.available_permits(), 4);
    }
}

//! What `dev` shows while it runs: deliveries taken by its small subscriber, and what was turned away.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_proto::v1::subscribe_request::Kind;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::starter::WEBHOOK;
use crate::commands::items;
use crate::connect::Api;
use crate::failure::Failure;
use crate::output::{self, note, visible};

/// Before the first new attempt, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Between two looks at the refusals.
const REFUSALS_INTERVAL: Duration = Duration::from_millis(500);
/// Refusals shown at a look: a flood is shown in part.
const REFUSALS_SHOWN: u32 = 20;
/// Refusals remembered as shown.
const REFUSALS_REMEMBERED: usize = 1000;

/// Takes what the starter's webhook is due, through the API that any team would use. Never ends.
pub(crate) async fn deliveries(api: &Api) {
    let mut backoff = BACKOFF.0;
    loop {
        match subscribe(api, &mut backoff).await {
            Err(Ended::Output) => {
                tracing::debug!("nobody reads our output: nothing more is taken");
                std::future::pending::<()>().await;
            }
            Err(Ended::Stream(status)) if status.code() == Code::NotFound => {
                tracing::debug!("the starter's webhook is gone: nothing to take");
                std::future::pending::<()>().await;
            }
            Err(Ended::Stream(status)) => {
                tracing::debug!(
                    reason = status.message(),
                    "subscription ended; subscribing again"
                );
            }
            Ok(()) => {}
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF.1);
    }
}

enum Ended {
    Output,
    Stream(Status),
}

async fn subscribe(api: &Api, backoff: &mut Duration) -> Result<(), Ended> {
    let (requests, receiver) = mpsc::channel(16);
    let send = |kind: Kind| {
        let requests = requests.clone();
        async move {
            let request = v1::SubscribeRequest { kind: Some(kind) };
            let sent = requests.send(request).await;
            sent.map_err(|_| Ended::Stream(Status::unavailable("the stream is closed")))
        }
    };
    send(Kind::Start(v1::SubscribeStart {
        webhook: WEBHOOK.to_owned(),
        ..Default::default()
    }))
    .await?;
    let mut leases = api
        .subscriptions()
        .subscribe(ReceiverStream::new(receiver))
        .await
        .map_err(Ended::Stream)?
        .into_inner();
    while let Some(lease) = leases.message().await.map_err(Ended::Stream)? {
        *backoff = BACKOFF.0;
        let line = delivered(&lease);
        send(Kind::Ack(v1::Ack {
            lease_token: lease.lease_token,
        }))
        .await?;
        match output::line(&line) {
            Ok(()) => {}
            Err(Failure::PipeClosed) => return Err(Ended::Output),
            Err(_) => tracing::debug!("a line could not be printed"),
        }
    }
    Ok(())
}

fn delivered(lease: &v1::SubscribeResponse) -> String {
    let event = lease.event.clone().unwrap_or_default();
    visible(&format!(
        "delivered  {}/{}/{}  {}  {}",
        event.org,
        event.group,
        lease.delivery.clone().unwrap_or_default().webhook,
        event.r#type,
        event.id
    ))
}

/// Shows what is turned away, a line each, on stderr. Never ends.
pub(crate) async fn refusals(api: &Api) {
    let mut shown = Shown::default();
    loop {
        let request = v1::ListRefusalsRequest {
            parent: "orgs/-/groups/-".to_owned(),
            page_size: REFUSALS_SHOWN,
            not_kept: false,
        };
        match api.events().list_refusals(request).await {
            Ok(answer) => {
                for refusal in answer.into_inner().refusals.iter().rev() {
                    let line = refused(refusal);
                    if shown.is_new(&line) {
                        note(&line);
                    }
                }
            }
            Err(status) => tracing::debug!(reason = status.message(), "refusals can't be read"),
        }
        tokio::time::sleep(REFUSALS_INTERVAL).await;
    }
}

fn refused(refusal: &v1::Refusal) -> String {
    let cause = match refusal.cause.as_str() {
        "" => String::new(),
        cause => format!("  likely cause: {cause}"),
    };
    visible(&format!(
        "refused    {}  {}/{}  {}  {}: {}{cause}  (from {})",
        items::time(&refusal.time).unwrap_or_default(),
        refusal.org,
        refusal.group,
        refusal.status,
        refusal.clause,
        refusal.reason,
        refusal.remote_address,
    ))
}

#[derive(Default)]
struct Shown {
    lines: HashSet<String>,
    order: VecDeque<String>,
}

impl Shown {
    fn is_new(&mut self, line: &str) -> bool {
        if !self.lines.insert(line.to_owned()) {
            return false;
        }
        self.order.push_back(line.to_owned());
        if self.order.len() > REFUSALS_REMEMBERED
            && let Some(old) = self.order.pop_front()
        {
            self.lines.remove(&old);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_shown_once_with_its_reason() {
        let refusal = v1::Refusal {
            org: "demo".into(),
            group: "github".into(),
            status: 401,
            clause: "signature".into(),
            reason: "no secret of the group\u{1b}[2J made it".into(),
            ..Default::default()
        };
        let line = refused(&refusal);
        assert!(
            line.contains("401")
                && line.contains("signature: no secret")
                && !line.contains('\u{1b}')
        );
        let mut shown = Shown::default();
        assert!(shown.is_new(&line));
        assert!(!shown.is_new(&line));
    }
}

//! Secrets that providers hand over when a URL is set up: stored by the control plane before the provider hears that all is well.
//!
//! It happens once in a group's life, so each is a call and a connection of its own, a few at a time, at one replica after the other until one
//! answers or the time is up.

use std::sync::OnceLock;

use hookplane_proto::v1;
use hookplane_proto::v1::handshake_service_client::HandshakeServiceClient;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tonic::Code;

use crate::connect::Peer;

/// At a time. Whoever knows a URL that still learns may send as many as he likes.
const MOST_AT_ONCE: usize = 8;

/// Why a secret isn't stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotLearned {
    /// The group has another one, or takes none.
    Refused(String),
    /// The group is gone.
    Gone,
    /// Nobody said in time that it is.
    Unanswered,
}

/// See the module.
pub(crate) struct Learner {
    /// Known from the start on; none in tests of other things.
    control_plane: OnceLock<Peer>,
    places: Semaphore,
}

impl Default for Learner {
    fn default() -> Self {
        Self {
            control_plane: OnceLock::new(),
            places: Semaphore::new(MOST_AT_ONCE),
        }
    }
}

impl Learner {
    pub(crate) fn ask(&self, control_plane: Peer) {
        // Set once, by `run`.
        let _ = self.control_plane.set(control_plane);
    }

    /// Returns once it is stored.
    pub(crate) async fn learn(
        &self,
        request: v1::LearnSecretRequest,
        deadline: Instant,
    ) -> Result<(), NotLearned> {
        let (Some(peer), Ok(_place)) = (self.control_plane.get(), self.places.try_acquire()) else {
            return Err(NotLearned::Unanswered);
        };
        for attempt in 0..peer.replicas() {
            let call = async {
                let mut client = HandshakeServiceClient::new(peer.connect(attempt).await?);
                client.learn_secret(peer.request(request.clone())).await
            };
            let status = match timeout_at(deadline, call).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(status)) => status,
                Err(_) => return Err(NotLearned::Unanswered),
            };
            match status.code() {
                Code::FailedPrecondition | Code::InvalidArgument => {
                    return Err(NotLearned::Refused(status.message().to_owned()));
                }
                Code::NotFound => return Err(NotLearned::Gone),
                code => {
                    let group = request.group_uid.as_str();
                    tracing::warn!(group, ?code, "a provider's secret could not be stored");
                }
            }
        }
        Err(NotLearned::Unanswered)
    }
}

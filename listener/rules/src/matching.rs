//! Registered events, active webhooks, filters: who wants an event, and why not.

use hookplane_proto::v1;

use crate::Timestamp;

/// A callback with every webhook's verdict.
#[derive(Debug)]
pub struct Matched {}

/// What is to be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Report it; it must be durable before the provider hears 2xx.
    Keep,
    /// Genuine, and by the group's configuration not kept.
    NotKept {
        /// `not-registered` or `not-matched`.
        clause: &'static str,
        /// For an operator.
        reason: String,
    },
}

impl Matched {
    /// What the group's configuration says.
    pub fn outcome(&self) -> Outcome {
        todo!()
    }

    /// The name of the secret that proved it genuine, if one did.
    pub fn secret_name(&self) -> Option<&str> {
        todo!()
    }

    /// The wire message, without copying the body. Credentials are taken out of the headers.
    pub fn into_report(
        self,
        _request_id: [u8; 16],
        _plan_revision: u64,
        _received: Timestamp,
    ) -> v1::ReportedCallback {
        todo!()
    }
}

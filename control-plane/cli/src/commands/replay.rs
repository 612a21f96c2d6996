//! `replay`: deliveries back to pending.

use std::future::Future;

use hookplane_proto::v1;

use super::get::deliveries_of_status;
use crate::args::{Replay, Status};
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::{self, Name};
use crate::output;

/// Deliveries of one request.
const AT_ONCE: usize = 1_000;

/// By their ids, or all of a scope with one status.
pub(crate) async fn run<R>(replay: &Replay, connect: impl Fn() -> R) -> Result<(), Failure>
where
    R: Future<Output = Result<Api, Failure>>,
{
    let wanted = &replay.what;
    let by_id = wanted.iter().all(|text| names::is_id(text));
    let (api, ids) = match (replay.status, wanted.as_slice()) {
        (None, ids) if by_id => (connect().await?, ids.to_vec()),
        (Some(status), [scope]) if !by_id => {
            if ![Status::Held, Status::Dead, Status::Dropped].contains(&status) {
                return Err(Failure::Usage(
                    "a scope is replayed with --status held, dead or dropped; others by their ids"
                        .to_owned(),
                ));
            }
            let scope = Name::parse(Some(scope), 3, "ORG/GROUP/WEBHOOK")?;
            let api = connect().await?;
            let found = deliveries_of_status(&api, &scope, status).await?;
            (api, found.into_iter().map(|delivery| delivery.id).collect())
        }
        _ => {
            return Err(Failure::Usage(
                "give ids of deliveries, or one ORG/GROUP/WEBHOOK as far as it goes with --status"
                    .to_owned(),
            ));
        }
    };
    let mut replayed = 0;
    for ids in ids.chunks(AT_ONCE) {
        let request = v1::ReplayDeliveriesRequest {
            delivery_ids: ids.to_vec(),
            ..Default::default()
        };
        let answer = api.events().replay_deliveries(request).await?;
        replayed += answer.into_inner().replayed;
    }
    output::line(&format!("replayed {replayed}"))
}

//! Deleting what has deliveries that wait: they are discarded only when the caller says so.

use hookplane_proto::v1::DeliveryStatus;

use super::status::Problem;
use crate::context::Context;
use crate::log::Selection;

/// Counted so far; what matters is that there are some.
const COUNTED: usize = 100;

/// Refuses while deliveries of `selection` wait. One that comes after this look was matched before the deletion: it is dropped, and says so.
pub(super) async fn none(
    context: &Context,
    name: &str,
    selection: Selection,
) -> Result<(), Problem> {
    let mut found = Vec::new();
    for (status, word) in [
        (DeliveryStatus::Pending, "pending"),
        (DeliveryStatus::Leased, "leased"),
        (DeliveryStatus::Held, "held"),
    ] {
        let of = Selection {
            status: Some(status),
            ..selection.clone()
        };
        match context.log.deliveries(&of, None, COUNTED).await?.len() {
            0 => {}
            COUNTED => found.push(format!("{COUNTED} or more {word}")),
            count => found.push(format!("{count} {word}")),
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Problem::Waiting(format!(
        "`{name}` has deliveries that wait: {}. Drain it first (stop what comes, and let its subscribers finish), or discard them",
        found.join(", ")
    )))
}

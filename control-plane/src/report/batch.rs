//! One batch: its callbacks decided and kept at the same time, so that they share a commit; one answer for each, in their order.

use std::sync::atomic::AtomicBool;

use futures_util::future::join_all;
use hookplane_proto::v1::{self, AnswerKind};
use tokio::time::Instant;

use super::append;
use super::credit::Credit;
use crate::config::{ListenerScope, Sum};
use crate::context::Context;

/// What a callback takes besides its bodies, about: counted once more exactly it would cost as much as reading it.
const HEAD_BYTES: usize = 2 * 1024;

/// Bytes that a batch takes here.
pub(super) fn size(batch: &v1::ReportBatch) -> usize {
    let of = |callback: &v1::ReportedCallback| {
        let items: usize = callback.events.iter().map(|event| event.item.len()).sum();
        HEAD_BYTES + callback.body.len() + items
    };
    batch.callbacks.iter().map(of).sum()
}

/// What was taken of a batch. What is to come again is counted when it does; what is refused is among the listener's own counters.
pub(super) fn taken(answer: &v1::ReportBatchAnswer) -> Sum {
    let mut sum = Sum::default();
    for callback in &answer.callbacks {
        let taken = [AnswerKind::Kept, AnswerKind::Duplicate, AnswerKind::NotKept];
        sum.accepted += u64::from(taken.contains(&callback.kind()));
    }
    sum
}

/// Answers a batch.
pub(super) async fn answers(
    context: &Context,
    scope: &ListenerScope,
    credit: &Credit,
    batch: v1::ReportBatch,
) -> v1::ReportBatchAnswer {
    let began = Instant::now();
    let turned_back = AtomicBool::new(false);
    let callbacks = batch.callbacks.into_iter();
    let answers =
        join_all(callbacks.map(|one| append::answer(context, scope, &turned_back, one))).await;
    for answer in &answers {
        context.metrics.answered(answer.kind());
    }
    context.metrics.batch(began.elapsed());
    if turned_back.into_inner() {
        credit.overloaded(Instant::now());
    } else {
        credit.well(Instant::now());
    }
    v1::ReportBatchAnswer {
        batch_id: batch.batch_id,
        callbacks: answers,
    }
}

//! Type, ids and events, read out of what is genuine.

use bytes::Bytes;
use hookplane_proto::v1::PayloadFormat;

/// What was read out of a genuine callback.
#[derive(Debug)]
pub struct Extracted {}

/// One event of it.
#[derive(Debug)]
pub struct ExtractedEvent {
    /// Empty when the provider gives none.
    pub event_type: String,
    /// Empty when the provider gives none.
    pub delivery_id: String,
    /// Empty when the provider gives none.
    pub external_id: String,
    /// How the payload is read.
    pub format: PayloadFormat,
    /// This item of a batch; empty means the whole body.
    pub item: Bytes,
}

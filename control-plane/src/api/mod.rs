//! The API's services.

pub mod errors;
pub mod events;
pub mod scope;
mod tail;

//! Is it genuine? The stage that says so, and the type that proves it was asked.

use crate::{Callback, Reply};

/// A genuine request.
#[derive(Debug)]
pub enum Proven {
    /// It only wants to know that the URL is ours: answer, and don't match.
    Handshake(Reply),
    /// It carries events.
    Genuine(Verified),
}

/// A callback that was proven genuine. Only this module makes one.
#[derive(Debug)]
pub struct Verified {
    #[allow(dead_code)]
    callback: Callback,
}

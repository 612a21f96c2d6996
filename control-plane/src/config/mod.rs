//! Configuration on its way to the listeners: a view of the store kept by one watch, one stream per listener, and who runs what.

mod canary;
mod compiled;
mod encoded;
pub(crate) mod epoch;
mod fleet;
mod list;
mod offer;
mod pool;
mod proof;
mod scope;
mod state;
pub mod stream;
pub(crate) mod tombstone;
mod view;
mod watch;

pub use fleet::{Connected, Fleet};
pub(crate) use fleet::{RunId, Sum};
pub use scope::ListenerScope;
pub use view::{GroupRecord, View};

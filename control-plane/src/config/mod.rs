//! Configuration on its way to the listeners: a view of the store kept by one watch, one stream per listener, and who runs what.

mod fleet;
mod offer;
mod pool;
mod scope;
mod state;
pub mod stream;
mod view;
mod watch;

pub use fleet::{Connected, Fleet};
pub use scope::ListenerScope;
pub use view::{GroupRecord, View};

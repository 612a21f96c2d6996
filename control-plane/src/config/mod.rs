//! Configuration on its way to the listeners: a view of the store kept by one watch, one stream per listener, and who runs what.

mod fleet;
mod view;

pub use fleet::Fleet;
pub use view::{GroupRecord, View};

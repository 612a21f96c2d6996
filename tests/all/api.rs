//! The API as a client sees it: the real server on a loopback socket, with the embedded store and log.

mod charts;
mod doors;
mod groups;
mod mappings;
mod names;
mod pages;
mod plans;
mod races;
mod rig;
mod webhooks;

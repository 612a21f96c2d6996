//! The streams between listeners, the control plane and subscribers: the real servers in one process, over loopback, with scripted
//! clients on the wire where a test needs one that misbehaves.

mod answers;
mod config;
mod failover;
mod gated;
mod identity;
mod large;
mod plain;
mod replicas;
mod report;
mod resume;
mod rig;
mod subscribe;
mod tail;

//! The streams between listeners, the control plane and subscribers: the real servers in one process, over loopback, with scripted
//! clients on the wire where a test needs one that misbehaves.

mod answers;
mod backends;
mod charts;
mod comparisons;
mod config;
mod consumers;
mod drift;
mod failover;
mod gated;
mod identity;
mod large;
mod many;
mod mapped;
mod metrics;
mod model;
mod oneview;
mod plain;
mod postgres;
mod previews;
mod property;
mod push;
mod redacted;
mod replays;
mod replica;
mod replicas;
mod report;
mod resume;
mod retention;
mod rig;
mod rollback;
mod skew;
mod subscribe;
mod tail;
mod unread;

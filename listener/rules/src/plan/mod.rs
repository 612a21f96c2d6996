//! The listener's whole configuration, compiled: one value, swapped as one.

use std::sync::Arc;

use hookplane_proto::v1::{ConfigError, ConfigResource};

use crate::{Group, Timestamp};

/// Every group of a pool by its callback tokens. Cloning it and changing one group costs the change, not the total.
#[derive(Debug, Clone, Default)]
pub struct Plan {}

/// A new plan, and what of the change was refused. A refused resource keeps its last version.
#[derive(Debug)]
pub struct Applied {
    /// To be swapped in.
    pub plan: Plan,
    /// Each with its reason.
    pub refused: Vec<ConfigError>,
}

/// Where a path leads.
#[derive(Debug)]
pub enum Route<'a> {
    /// To a group that serves.
    Group(&'a Arc<Group>),
    /// To a group that is disabled.
    Disabled,
    /// To a group that didn't compile and has no older version here.
    Unloadable,
    /// Nowhere.
    Unknown,
}

impl Plan {
    /// A plan from a full list. What is refused keeps the version that `self` has of it; what isn't in the list is gone.
    pub fn replace(&self, _list: Vec<ConfigResource>, _revision: u64) -> Applied {
        todo!()
    }

    /// A plan with some resources changed and some removed, as one.
    pub fn change(&self, _removes: &[String], _upserts: Vec<ConfigResource>, _to: u64) -> Applied {
        todo!()
    }

    /// The group whose callback token is the path's last segment.
    pub fn route(&self, _path: &str, _now: Timestamp) -> Route<'_> {
        todo!()
    }

    /// The group with this uid.
    pub fn group(&self, _uid: &str) -> Option<&Arc<Group>> {
        todo!()
    }

    /// The revision it was made for.
    pub fn revision(&self) -> u64 {
        todo!()
    }

    /// The sum of [`digest_of`] over the resources as offered.
    pub fn digest(&self) -> u64 {
        todo!()
    }
}

/// One resource's share of a digest. Shares are added with wrap-around, so that a digest is kept up to date by adding and subtracting.
pub fn digest_of(_uid: &str, _revision: u64) -> u64 {
    todo!()
}

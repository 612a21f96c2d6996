//! The store's configuration in memory, kept by one watch: what streams send, and what reports are matched against again.

use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::Group;

/// The store in memory.
pub struct View {}

/// One group as the view has it.
#[derive(Clone)]
pub struct GroupRecord {
    /// As stored, secrets sealed.
    pub group: Arc<v1::WebhookGroup>,
    /// The last revision of the group or of any of its webhooks.
    pub revision: u64,
    /// Compiled, with its webhooks.
    pub compiled: Arc<Group>,
    /// Its webhooks by uid, with the template.
    pub webhooks: Arc<Vec<Arc<v1::Webhook>>>,
}

impl View {
    /// A group by its uid.
    pub fn group(&self, _uid: &str) -> Option<GroupRecord> {
        todo!()
    }

    /// A group by org and name.
    pub fn group_named(&self, _org: &str, _name: &str) -> Option<GroupRecord> {
        todo!()
    }

    /// The store's revision as far as the watch has come.
    pub fn revision(&self) -> u64 {
        todo!()
    }

    /// Waits until the view has come to `revision`, so that a caller reads its own write. False after `deadline`.
    pub async fn reached(&self, _revision: u64, _deadline: tokio::time::Instant) -> bool {
        todo!()
    }
}

//! Whether a resource is live, from what each replica says of its own listeners: at least one of them ready, all of the ready on it, and nothing in
//! doubt.

use hookplane_proto::v1;

use super::record::Summary;

/// What several replicas say of one resource, added up.
pub(super) struct Tally<'a> {
    uid: &'a str,
    revision: u64,
    live: v1::Live,
    behind: bool,
}

impl<'a> Tally<'a> {
    pub(super) fn new(uid: &'a str, revision: u64) -> Self {
        Self {
            uid,
            revision,
            live: v1::Live::default(),
            behind: false,
        }
    }

    pub(super) fn add(&mut self, summary: &Summary) {
        if summary.ready == 0 {
            return;
        }
        self.live.connected = self.live.connected.saturating_add(summary.ready);
        self.behind |= summary.lowest < self.revision;
        for problem in &summary.problems {
            if problem.uid == self.uid {
                let more = match problem.others {
                    0 => String::new(),
                    others => format!(" and {others} more"),
                };
                let text = format!("{}{more}: {}", problem.listener, problem.reason);
                self.live.problems.push(text);
            }
        }
        if summary.more {
            self.doubt(
                "listeners refused more resources than can be told apart here; `get listeners` shows what"
                    .to_owned(),
            );
        }
    }

    pub(super) fn doubt(&mut self, why: String) {
        self.live.problems.push(why);
    }

    pub(super) fn live(mut self) -> v1::Live {
        self.live.applied =
            self.live.connected > 0 && !self.behind && self.live.problems.is_empty();
        self.live
    }
}

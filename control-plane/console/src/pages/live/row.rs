//! A line of the tail, as the page shows it.

use askama::Template;
use hookplane_proto::v1;

use crate::moment::Moment;
use crate::words::{self, Standing};

#[derive(Template)]
#[template(path = "live_row.html")]
struct Row<'a> {
    org: &'a str,
    time: Option<Moment>,
    event_id: String,
    event_type: String,
    group: String,
    flags: Vec<&'static str>,
    delivery: Option<(v1::Delivery, Standing)>,
}

pub(super) fn row(org: &str, line: v1::TailResponse) -> String {
    let event = line.event.unwrap_or_default();
    let changed = line.delivery.as_ref();
    let changed = changed.and_then(|one| one.update_time.as_ref().or(one.create_time.as_ref()));
    let row = Row {
        org,
        time: Moment::of(changed.or(event.receive_time.as_ref())),
        flags: event
            .flags()
            .filter_map(|flag| words::flag(flag).map(|(name, _)| name))
            .collect(),
        delivery: line.delivery.map(|delivery| {
            let standing = Standing(delivery.status());
            (delivery, standing)
        }),
        event_id: event.id,
        event_type: event.r#type,
        group: event.group,
    };
    // A row that can't be written is left out; the page's own would be an error.
    row.render().unwrap_or_default()
}

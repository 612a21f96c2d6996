//! A line of the tail, as the page shows it.

use askama::Template;
use hookplane_proto::v1;

use super::super::selection::Selection;
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

#[derive(Template)]
#[template(path = "live_left_out.html")]
struct LeftOut<'a> {
    org: &'a str,
    selection: &'a Selection,
}

pub(super) fn row(org: &str, selection: &Selection, line: v1::TailResponse) -> String {
    if line.left_out {
        return LeftOut { org, selection }.render().unwrap_or_default();
    }
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

//! A listener in a row: what it runs, and what it answered for in the last minute.

use hookplane_proto::v1;

pub(super) const COLUMNS: [&str; 8] = [
    "NAME",
    "POOL",
    "VERSION",
    "READY",
    "REVISION",
    "ACCEPTED/S",
    "REFUSED/S",
    "PROBLEMS",
];

pub(super) fn row(listener: &v1::Listener) -> Vec<String> {
    let problems = listener.problems.iter();
    let problems: Vec<&str> = problems.map(|problem| problem.reason.as_str()).collect();
    let flow = listener.last_minute;
    vec![
        listener.name.clone(),
        listener.pool.clone(),
        listener.software_version.clone(),
        if listener.ready { "yes" } else { "no" }.to_owned(),
        format!("{} of {}", listener.revision, listener.store_revision),
        a_second(flow.map(|sum| sum.accepted)),
        a_second(flow.map(|sum| sum.refused)),
        problems.join("; "),
    ]
}

/// Of so many in a minute. What isn't known isn't nothing.
fn a_second(in_a_minute: Option<u64>) -> String {
    match in_a_minute {
        None => "unknown".to_owned(),
        Some(0) => "0".to_owned(),
        Some(count @ ..6) => format!("{:.2}", count as f64 / 60.0),
        Some(count @ ..600) => format!("{:.1}", count as f64 / 60.0),
        Some(count) => (count / 60).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_as_exact_as_it_is_small_and_what_is_not_known_says_so() {
        for (count, text) in [
            (None, "unknown"),
            (Some(0), "0"),
            (Some(1), "0.02"),
            (Some(90), "1.5"),
            (Some(60_059), "1000"),
        ] {
            assert_eq!(a_second(count), text);
        }
    }
}

//! For how long, and how much: what a group says, else its org, else these.

use std::time::Duration;

use hookplane_proto::v1;

use crate::log::Retention;

const DEFAULT_DAYS: u32 = 30;
const DEFAULT_CAPTURE_DAYS: u32 = 7;
/// A group's window for repeats when it says nothing: for what is kept, and for what is forgotten.
pub(crate) const DEFAULT_DEDUP_DAYS: u32 = 7;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Of one group. `spec` is none for one that is gone.
pub(super) fn of(
    group_uid: &str,
    spec: Option<&v1::WebhookGroupSpec>,
    of_org: Option<v1::Retention>,
) -> Retention {
    let said = spec
        .and_then(|spec| spec.retention)
        .or(of_org)
        .unwrap_or_default();
    let max_age = days(said.max_days, DEFAULT_DAYS);
    Retention {
        group_uid: group_uid.to_owned(),
        max_age,
        unmatched_age: match spec {
            None => max_age,
            Some(spec) if spec.capture_days > 0 => days(spec.capture_days, 0),
            Some(_) => days(DEFAULT_CAPTURE_DAYS, 0).min(max_age),
        },
        max_bytes: (said.max_bytes > 0).then_some(said.max_bytes),
    }
}

/// How long any group may want to know repeats.
pub(super) fn window(longest_days: u32) -> Duration {
    days(longest_days.max(DEFAULT_DEDUP_DAYS), DEFAULT_DEDUP_DAYS)
}

fn days(said: u32, default: u32) -> Duration {
    DAY * if said == 0 { default } else { said }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retention(max_days: u32, max_bytes: u64) -> v1::Retention {
        v1::Retention {
            max_days,
            max_bytes,
        }
    }

    #[test]
    fn a_group_decides_before_its_org_and_that_before_the_default() {
        let mut spec = v1::WebhookGroupSpec::default();
        let default = of("g", Some(&spec), None);
        assert_eq!((default.max_age, default.max_bytes), (DAY * 30, None));
        assert_eq!(default.unmatched_age, DAY * 7);
        let org = of("g", Some(&spec), Some(retention(5, 100)));
        assert_eq!((org.max_age, org.max_bytes), (DAY * 5, Some(100)));
        assert_eq!(
            org.unmatched_age,
            DAY * 5,
            "unless said, no longer than the rest"
        );
        spec.retention = Some(retention(0, 7));
        spec.capture_days = 2;
        let own = of("g", Some(&spec), Some(retention(5, 100)));
        assert_eq!((own.max_age, own.max_bytes), (DAY * 30, Some(7)));
        assert_eq!(own.unmatched_age, DAY * 2);
    }

    #[test]
    fn what_a_deleted_group_left_stays_as_long_as_its_org_says() {
        let gone = of("g", None, Some(retention(90, 0)));
        assert_eq!((gone.max_age, gone.unmatched_age), (DAY * 90, DAY * 90));
        assert_eq!(of("g", None, None).max_age, DAY * 30);
    }

    #[test]
    fn repeats_are_known_for_the_longest_window_and_never_less_than_the_usual() {
        assert_eq!(window(0), DAY * 7);
        assert_eq!(window(90), DAY * 90);
        assert_eq!(window(2), DAY * 7);
    }
}

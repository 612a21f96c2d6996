//! Which events or deliveries a page shows: what the address has behind the `?`, so that a link shows a colleague the same.

use hookplane_proto::v1;
use prost_types::Timestamp;

use crate::form::Form;
use crate::page::Visitor;
use crate::problem::{Faults, Problem};
use crate::words::Standing;

/// Groups that the search suggests.
const SUGGESTED: u32 = 100;

/// As it was typed. What is empty means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) group: String,
    pub(super) webhook: String,
    pub(super) status: String,
    pub(super) event_type: String,
    pub(super) destination: String,
    pub(super) since: String,
    pub(super) until: String,
    pub(super) text: String,
    pub(super) unmatched: bool,
}

/// When, as the API takes it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Span {
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

impl Selection {
    pub(super) fn of(form: &Form) -> Self {
        let text = |name| form.text(name).to_owned();
        Self {
            group: text("group"),
            webhook: text("webhook"),
            status: text("status"),
            event_type: text("type"),
            destination: text("destination"),
            since: text("since"),
            until: text("until"),
            text: text("text"),
            unmatched: form.ticked("unmatched"),
        }
    }

    /// What an address has of it, and hidden fields: without what is empty.
    pub(super) fn fields(&self) -> Vec<(&'static str, &str)> {
        let unmatched = if self.unmatched { "on" } else { "" };
        let all = [
            ("group", self.group.as_str()),
            ("webhook", &self.webhook),
            ("status", &self.status),
            ("type", &self.event_type),
            ("destination", &self.destination),
            ("since", &self.since),
            ("until", &self.until),
            ("text", &self.text),
            ("unmatched", unmatched),
        ];
        all.into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }

    /// For behind the `?`.
    pub(super) fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.fields());
        query.finish()
    }

    /// The same with more, of what isn't in it.
    pub(super) fn query_with(&self, name: &str, value: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.fields());
        query.append_pair(name, value);
        query.finish()
    }

    /// What a list's search keeps folded away has something in it.
    pub(super) fn has_more(&self) -> bool {
        let more = [&self.destination, &self.since, &self.until];
        more.into_iter().any(|field| !field.is_empty())
    }

    pub(super) fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// The API's name of where it is looked for. Its own checks find a name that can't be.
    pub(super) fn webhooks(&self, org: &str) -> String {
        let webhook = or_any(&self.webhook);
        format!("{}/webhooks/{webhook}", self.groups(org))
    }

    pub(super) fn groups(&self, org: &str) -> String {
        format!("orgs/{org}/groups/{}", or_any(&self.group))
    }

    /// When, or what is wrong with it.
    pub(super) fn span(&self, now: i64, faults: &mut Faults) -> Span {
        let mut read = |field: &str, text: &str| match time(text, now) {
            Ok(time) => time,
            Err(()) => {
                faults.add(
                    field,
                    "Write how long ago, as in 90m, 2h or 3d, or a time in UTC, as in 2026-11-27 14:00.",
                );
                None
            }
        };
        Span {
            since: read("since", &self.since),
            until: read("until", &self.until),
        }
    }

    /// What can be told to be wrong before anybody is asked.
    pub(super) fn check(&self, faults: &mut Faults) {
        if self.group.is_empty() && !self.webhook.is_empty() {
            faults.add("group", "Name the webhook's group, too.");
        }
        for (field, name) in [("group", &self.group), ("webhook", &self.webhook)] {
            if name.contains('/') {
                faults.add(field, "Write the name alone.");
            }
        }
        if !self.status.is_empty() && Standing::named(&self.status).is_none() {
            faults.add("status", "There is no such status.");
        }
    }

    pub(super) fn status(&self) -> v1::DeliveryStatus {
        Standing::named(&self.status).map_or(v1::DeliveryStatus::Unspecified, |one| one.0)
    }
}

/// What the person can mend in the search; a name that isn't there among it.
pub(super) fn faults_of(status: tonic::Status) -> Result<Faults, Problem> {
    if status.code() == tonic::Code::NotFound {
        let mut faults = Faults::default();
        faults.add("group", "There is no such group or webhook in this org.");
        return Ok(faults);
    }
    let faults = Faults::of(status.clone())?;
    // All that was typed is in the address: the page is loaded again.
    match faults.is_passing() {
        true => Err(status.into()),
        false => Ok(faults),
    }
}

/// Names of groups, for the search to suggest. Without them it works as well.
pub(super) async fn groups(visitor: &Visitor, org: &str) -> Result<Vec<String>, Problem> {
    let request = v1::ListWebhookGroupsRequest {
        parent: format!("orgs/{org}"),
        page_size: SUGGESTED,
        ..Default::default()
    };
    let answer = visitor.api.groups().list_webhook_groups(request).await?;
    let groups = answer.into_inner().webhook_groups.into_iter();
    Ok(groups
        .filter_map(|group| group.metadata)
        .map(|metadata| metadata.name)
        .collect())
}

fn or_any(name: &str) -> &str {
    if name.is_empty() { "-" } else { name }
}

/// `2h`, which is so long ago; a day; a time in UTC, with or without the letters that RFC 3339 wants.
fn time(text: &str, now: i64) -> Result<Option<Timestamp>, ()> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(seconds) = ago(text) {
        return Ok(Some(Timestamp {
            seconds: now.saturating_sub(seconds),
            nanos: 0,
        }));
    }
    let text = text.replacen(' ', "T", 1);
    let whole = match text.len() {
        // 2026-11-27
        10 => format!("{text}T00:00:00Z"),
        // 2026-11-27T14:00
        16 => format!("{text}:00Z"),
        // 2026-11-27T14:00:00
        19 => format!("{text}Z"),
        _ => text,
    };
    whole.parse().map(Some).map_err(|_| ())
}

fn ago(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let number = text.strip_suffix(unit)?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<i64>().ok()?.checked_mul(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_the_whole_selection_and_gives_it_back() {
        let selection = Selection {
            group: "shop".into(),
            webhook: "paid".into(),
            status: "dead".into(),
            event_type: "orders/paid".into(),
            destination: "crm".into(),
            since: "2h".into(),
            until: "2026-11-27 14:00".into(),
            text: "a & b=c".into(),
            unmatched: true,
        };
        let form = Form::of_query(Some(&selection.query())).unwrap();
        assert_eq!(Selection::of(&form), selection);
        let form = Form::of_query(Some(&selection.query_with("page", "ff"))).unwrap();
        assert_eq!(Selection::of(&form), selection);
        assert_eq!(form.text("page"), "ff");
        assert_eq!(Selection::default().query(), "");
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let at = |text: &str| time(text, 1_000_000).map(|time| time.map(|time| time.seconds));
        assert_eq!(at(""), Ok(None));
        assert_eq!(at("2h"), Ok(Some(1_000_000 - 7_200)));
        let day = 1_795_737_600;
        for (text, seconds) in [
            ("2026-11-27", day),
            ("2026-11-27 14:00", day + 14 * 3_600),
            ("2026-11-27T14:00", day + 14 * 3_600),
            ("2026-11-27T14:00:05", day + 14 * 3_600 + 5),
            ("2026-11-27T14:00:05Z", day + 14 * 3_600 + 5),
            ("2026-11-27T14:00:05+01:00", day + 13 * 3_600 + 5),
        ] {
            assert_eq!(at(text), Ok(Some(seconds)), "{text}");
        }
        for text in [
            "yesterday",
            "h",
            "-2h",
            "2026-13-01",
            "99999999999999999999d",
            "ä",
        ] {
            assert_eq!(at(text), Err(()), "{text}");
        }
    }

    #[test]
    fn a_webhook_is_looked_for_in_its_group() {
        let mut selection = Selection {
            webhook: "paid".into(),
            ..Default::default()
        };
        let mut faults = Faults::default();
        selection.check(&mut faults);
        assert!(!faults.at("group").is_empty());
        selection.group = "shop".into();
        let mut faults = Faults::default();
        selection.check(&mut faults);
        assert!(faults.is_empty());
        assert_eq!(
            selection.webhooks("acme"),
            "orgs/acme/groups/shop/webhooks/paid"
        );
        assert_eq!(
            Selection::default().webhooks("acme"),
            "orgs/acme/groups/-/webhooks/-"
        );
    }
}

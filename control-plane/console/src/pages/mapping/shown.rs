//! What a preview found, to look at: the verdict, the records, the exact requests; and its problems, at the rows that they are of.

use hookplane_proto::v1;

use super::form::SPEC;
use super::json::{Json, Members};
use crate::pages::webhooks::cut;
use crate::problem::Faults;

/// Records that are shown; of thousands of children nobody reads the last.
const MAX_RECORDS: usize = 60;
/// Fields of all of them.
const MAX_FIELDS: usize = 600;
const SHOWN_CHARS: usize = 200;
/// Of a request's body.
const SHOWN_BODY_CHARS: usize = 8 * 1024;

/// For `mapping_preview.html`, under the name `preview`.
#[derive(Default)]
pub(super) struct Preview {
    pub(super) verdict: &'static str,
    pub(super) class: &'static str,
    pub(super) reason: String,
    pub(super) order_key: String,
    pub(super) problems: Vec<Problem>,
    pub(super) records: Vec<Record>,
    pub(super) cut: bool,
    pub(super) requests: Vec<Request>,
    pub(super) checks: Vec<v1::DestinationCheck>,
}

/// Of a row; also for the script that marks the row.
pub(super) struct Problem {
    /// `base.children[0].fields.Sku__c`
    pub(super) at: String,
    pub(super) reason: String,
}

pub(super) struct Record {
    pub(super) level: usize,
    pub(super) title: String,
    pub(super) fields: Vec<(String, String)>,
}

pub(super) struct Request {
    pub(super) destination: String,
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) not_made: String,
}

impl Preview {
    pub(super) fn of(answer: v1::PreviewResponse) -> Self {
        let (verdict, class) = match (answer.matched, answer.held) {
            (true, true) => ("matched, and would be held", "warn"),
            (true, false) => ("matched", "good"),
            (false, _) => ("not matched", "plain"),
        };
        let problems = answer.problems.iter().map(|problem| {
            let (at, item) = place(&problem.field);
            let reason = match item {
                Some(item) => format!("item {item}: {}", problem.reason),
                None => problem.reason.clone(),
            };
            Problem { at, reason }
        });
        let mut walk = Walk::default();
        if let Ok(records) = serde_json::from_str::<Vec<Made>>(&answer.records_json) {
            records.iter().for_each(|record| walk.record(record, 0));
        }
        let requests = answer.requests.iter().map(|request| Request {
            destination: request.destination.clone(),
            line: format!("{} {}", request.method, request.url),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            body: cut(&request.body, SHOWN_BODY_CHARS),
            not_made: request.not_made.clone(),
        });
        Self {
            verdict,
            class,
            problems: problems.collect(),
            requests: requests.collect(),
            records: walk.records,
            cut: walk.cut,
            reason: answer.reason,
            order_key: answer.order_key,
            checks: answer.checks,
        }
    }

    /// There is none: what was typed can't be taken.
    pub(super) fn refused(faults: &Faults) -> Self {
        let problems = faults.all().map(|(field, reason)| Problem {
            at: field
                .strip_prefix(SPEC)
                .map_or(field, |rest| rest.trim_start_matches('.'))
                .to_owned(),
            reason: reason.to_owned(),
        });
        Self {
            verdict: "can't be shown",
            class: "bad",
            problems: problems.collect(),
            ..Self::default()
        }
    }

    /// At the rows, as faults of a form are.
    pub(super) fn mark(&self, faults: &mut Faults) {
        for problem in &self.problems {
            faults.add(&format!("{SPEC}.{}", problem.at), &problem.reason);
        }
        for problem in self.checks.iter().flat_map(|check| &check.problems) {
            faults.add(
                &format!("{SPEC}.{}", place(&problem.field).0),
                &problem.reason,
            );
        }
    }
}

/// The row of a problem, and which item of a list: `base.children[0][3].fields.Sku__c` is the fourth's.
fn place(field: &str) -> (String, Option<String>) {
    let mut items = Vec::new();
    let parts = field.split('.').map(|part| {
        let mut pieces = part.splitn(3, '[');
        match (pieces.next(), pieces.next(), pieces.next()) {
            (Some("children"), Some(index), Some(item)) => {
                let item = item.trim_end_matches(']');
                items.push(
                    item.parse::<usize>()
                        .map_or_else(|_| item.to_owned(), |n| (n + 1).to_string()),
                );
                format!("children[{index}")
            }
            _ => part.to_owned(),
        }
    });
    let at: Vec<String> = parts.collect();
    (
        at.join("."),
        Some(items.join(".")).filter(|items| !items.is_empty()),
    )
}

/// As the API writes it.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    object: String,
    operation: String,
    key: Option<String>,
    field: Option<String>,
    parent_field: Option<String>,
    #[serde(default)]
    fields: Members,
    #[serde(default)]
    parents: Vec<Made>,
    #[serde(default)]
    children: Vec<Made>,
}

#[derive(Default)]
struct Walk {
    records: Vec<Record>,
    fields: usize,
    cut: bool,
}

impl Walk {
    fn record(&mut self, made: &Made, level: usize) {
        if self.records.len() >= MAX_RECORDS || self.fields >= MAX_FIELDS {
            self.cut = true;
            return;
        }
        let by = match &made.key {
            Some(key) => format!(" by {key}"),
            None => String::new(),
        };
        let link = match (&made.field, &made.parent_field) {
            (Some(field), _) => format!("{field} → "),
            (None, Some(field)) => format!("{field} ← "),
            (None, None) => String::new(),
        };
        let fields: Vec<_> = made
            .fields
            .0
            .iter()
            .map(|(name, raw)| {
                let text = match Json::of(raw) {
                    Json::Leaf(text) if raw.get().starts_with('"') => format!("“{text}”"),
                    Json::Leaf(text) => text,
                    _ => raw.get().to_owned(),
                };
                (name.clone(), cut(&text, SHOWN_CHARS))
            })
            .collect();
        self.fields += fields.len();
        self.records.push(Record {
            level: level.min(5),
            title: format!("{link}{} {}{by}", made.object, made.operation),
            fields,
        });
        for record in made.parents.iter().chain(&made.children) {
            self.record(record, level + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_of_an_item_is_its_rows() {
        for (field, at, item) in [
            ("base.fields.A__c", "base.fields.A__c", None),
            ("base.parents[0].fields.A", "base.parents[0].fields.A", None),
            (
                "base.children[0][3].fields.A",
                "base.children[0].fields.A",
                Some("4"),
            ),
            (
                "base.children[1][0].children[2][9]",
                "base.children[1].children[2]",
                Some("1.10"),
            ),
            ("base.children[0]", "base.children[0]", None),
            ("payload", "payload", None),
        ] {
            assert_eq!(place(field), (at.to_owned(), item.map(str::to_owned)));
        }
    }

    #[test]
    fn records_are_shown_with_their_links_and_digits() {
        let answer = v1::PreviewResponse {
            matched: true,
            records_json: r#"[{"object":"O","operation":"upsert","key":"Id","fields":{"Z":1.50,"A":"x"},
                "parents":[{"field":"A__r","object":"A","operation":"upsert","fields":{}}],
                "children":[{"parentField":"O__r","object":"L","operation":"insert","fields":{}}]}]"#
                .to_owned(),
            ..Default::default()
        };
        let shown = Preview::of(answer);
        let titles: Vec<_> = shown.records.iter().map(|r| r.title.as_str()).collect();
        assert_eq!(
            titles,
            ["O upsert by Id", "A__r → A upsert", "O__r ← L insert"]
        );
        let fields = &shown.records[0].fields;
        assert_eq!(fields[0], ("Z".to_owned(), "1.50".to_owned()));
        assert_eq!(fields[1], ("A".to_owned(), "“x”".to_owned()));
    }
}

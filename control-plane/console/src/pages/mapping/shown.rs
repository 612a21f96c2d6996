//! What a preview found, to look at: the verdict, the records, the exact requests; and its problems, at the rows that they are of.

use hookplane_proto::v1;

use super::form::SPEC;
use super::json::{Json, Members};
use crate::problem::Faults;
use crate::weight::{self, Room};

/// Of the records that are shown: of thousands of children nobody reads the last.
const RECORDS: usize = 20 * 1024;
const SHOWN_CHARS: usize = 200;
/// Of all requests, in a page, and of one's body.
const REQUESTS: usize = 16 * 1024;
const BODY: usize = 8 * 1024;
/// Of all problems.
const PROBLEMS: usize = 8 * 1024;

/// For `mapping_preview.html`, under the name `preview`.
#[derive(Default)]
pub(super) struct Preview {
    pub(super) verdict: &'static str,
    pub(super) class: &'static str,
    pub(super) reason: String,
    pub(super) order_key: String,
    pub(super) problems: Vec<Problem>,
    pub(super) more_problems: usize,
    /// What goes without a value, which is no problem.
    pub(super) without: Vec<Problem>,
    pub(super) more_without: usize,
    pub(super) records: Vec<Record>,
    pub(super) cut: bool,
    pub(super) requests: Vec<Request>,
    pub(super) more_requests: usize,
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
        let at_rows = |problem: &v1::FieldProblem| {
            let (at, item) = place(&problem.field);
            let reason = match item {
                Some(item) => format!("item {item}: {}", problem.reason),
                None => problem.reason.clone(),
            };
            Problem { at, reason }
        };
        let problems = answer.problems.iter().map(at_rows);
        let without = answer.without_value.iter().map(at_rows);
        let mut walk = Walk {
            records: Vec::new(),
            room: Room::of(RECORDS),
            cut: false,
        };
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
            body: weight::cut(&request.body, BODY),
            not_made: request.not_made.clone(),
        });
        let weight_of = |request: &Request| {
            let headers = request.headers.iter();
            let headers: usize = headers
                .map(|(name, value)| 3 + weight::of(name) + weight::of(value))
                .sum();
            300 + headers + weight::of(&request.body) + 3 * request.destination.len()
        };
        let (requests, more_requests) = weight::first(requests.collect(), REQUESTS, weight_of);
        let (problems, more_problems) = weight::first(problems.collect(), PROBLEMS, of_problem);
        let (without, more_without) = weight::first(without.collect(), PROBLEMS, of_problem);
        Self {
            verdict,
            class,
            problems,
            more_problems,
            without,
            more_without,
            requests,
            more_requests,
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
        let (problems, more_problems) = weight::first(problems.collect(), PROBLEMS, of_problem);
        Self {
            verdict: "can't be shown",
            class: "bad",
            problems,
            more_problems,
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

fn of_problem(one: &Problem) -> usize {
    80 + 2 * weight::of(&one.at) + weight::of(&one.reason)
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
struct Made<'a> {
    object: String,
    operation: String,
    key: Option<String>,
    field: Option<String>,
    parent_field: Option<String>,
    #[serde(default, borrow)]
    fields: Members<'a>,
    #[serde(default, borrow)]
    parents: Vec<Made<'a>>,
    #[serde(default, borrow)]
    children: Vec<Made<'a>>,
}

struct Walk {
    records: Vec<Record>,
    room: Room,
    cut: bool,
}

impl Walk {
    fn record(&mut self, made: &Made<'_>, level: usize) {
        if self.cut {
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
                (name.clone(), weight::cut(&text, SHOWN_CHARS))
            })
            .collect();
        // What there is of a record that doesn't fit is shown.
        let (fields, more) = weight::first(fields, self.room.left(), |(name, value)| {
            20 + weight::of(name) + weight::of(value)
        });
        let texts = fields.iter();
        let texts: usize = texts
            .map(|(name, value)| 20 + weight::of(name) + weight::of(value))
            .sum();
        self.cut = !self.room.takes(200 + texts) || more > 0;
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
    fn of_many_faults_the_first_are_shown_and_the_others_counted() {
        let mut faults = Faults::default();
        for row in 0..1_000 {
            faults.add(&format!("{SPEC}.base.fields[{row}]"), "has no field");
        }
        let shown = Preview::refused(&faults);
        assert_eq!(shown.problems.len() + shown.more_problems, 1_000);
        assert!((1..200).contains(&shown.problems.len()));
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

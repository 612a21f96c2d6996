//! Whatever is saved and whatever comes: nothing panics, and what is made is valid and bounded.

use proptest::prelude::*;

use super::*;

const PATHS: [&str; 12] = [
    "payload.a",
    "payload.b.a",
    "payload[0]",
    "payload.a[1].b",
    "item",
    "item.a",
    "parent.b",
    "parent.parent",
    "query.a",
    "headers.a",
    "event.type",
    "payload['é'].a",
];
const CELS: [&str; 8] = [
    "payload.a",
    "payload.a + payload.b",
    "payload.b.map(x, x.a)",
    "item.a == parent.a",
    "has(payload.a) ? payload.a : payload.b",
    "size(payload.b)",
    "{'a': payload.a}",
    "payload.a.exists(x, payload.b.exists(y, x == y))",
];
const CONVERTERS: [&str; 13] = [
    "trim",
    "lower",
    "upper",
    "unix-seconds",
    "unix-milliseconds",
    "cents",
    "first",
    "last",
    "join-semicolon",
    "join-comma",
    "phone",
    "before-separator",
    "after-separator",
];
const LISTS: [&str; 6] = [
    "",
    "payload.a",
    "payload.b[*].a",
    "item.b",
    "payload[*]",
    "item[*]",
];

fn json_text() -> impl Strategy<Value = Json> {
    let text = prop_oneof![
        Just("2026-11-27T10:00:00+01:00".to_owned()),
        Just("12.50".to_owned()),
        Just("é@b:c/d".to_owned()),
        Just("-1e-9".to_owned()),
        ".{0,12}",
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        text.prop_map(Json::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::btree_map("[abéx]", inner, 0..5)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

fn row() -> impl Strategy<Value = v1::FieldMapping> {
    (
        prop_oneof![
            prop::sample::select(&PATHS[..]).prop_map(|p| (p, "")),
            prop::sample::select(&CELS[..]).prop_map(|c| ("", c)),
            Just(("", ""))
        ],
        -1..11i32,
        prop::option::of(prop_oneof![
            Just("1"),
            Just(""),
            Just("true"),
            Just("2026-11-27"),
            Just("x")
        ]),
        -1..6i32,
        prop::collection::vec(prop::sample::select(&CONVERTERS[..]), 0..3),
        prop::collection::btree_map(
            prop_oneof![Just("1"), Just("*"), Just("true"), Just("")],
            prop_oneof![Just("1"), Just("x")],
            0..2,
        ),
    )
        .prop_map(
            |((from, cel), kind, default, on_missing, convert, values)| v1::FieldMapping {
                from: from.to_owned(),
                cel: cel.to_owned(),
                r#type: kind,
                default: default.map(str::to_owned),
                on_missing,
                convert: convert.into_iter().map(str::to_owned).collect(),
                values: values
                    .into_iter()
                    .map(|(a, b)| (a.to_owned(), b.to_owned()))
                    .collect(),
                picklist: Vec::new(),
            },
        )
}

fn rows() -> impl Strategy<Value = std::collections::BTreeMap<String, v1::FieldMapping>> {
    prop::collection::btree_map("[KXYz]", row(), 0..4)
}

fn parents() -> impl Strategy<Value = Vec<v1::ParentMapping>> {
    let one = |rest: BoxedStrategy<Vec<v1::ParentMapping>>| {
        (rows(), rest).prop_map(|(fields, parents)| v1::ParentMapping {
            object: "P".to_owned(),
            field: "P__r".to_owned(),
            key: "K".to_owned(),
            fields,
            parents,
        })
    };
    let above = prop::collection::vec(one(Just(Vec::new()).boxed()), 0..2).boxed();
    prop::collection::vec(one(above), 0..2)
}

fn children() -> impl Strategy<Value = Vec<v1::ChildMapping>> {
    let one = |rest: BoxedStrategy<Vec<v1::ChildMapping>>| {
        (
            prop::sample::select(&LISTS[..]),
            -1..6i32,
            prop_oneof![Just(""), Just("K")],
            rows(),
            parents(),
            rest,
        )
            .prop_map(|(list, operation, key, fields, parents, children)| {
                v1::ChildMapping {
                    object: "C".to_owned(),
                    operation,
                    key: key.to_owned(),
                    for_each: list.to_owned(),
                    parent_field: "C__r".to_owned(),
                    fields,
                    parents,
                    children,
                }
            })
    };
    let below = prop::collection::vec(one(Just(Vec::new()).boxed()), 0..2).boxed();
    prop::collection::vec(one(below), 0..2)
}

fn mappings() -> impl Strategy<Value = v1::Mapping> {
    (
        -1..6i32,
        prop_oneof![Just(""), Just("K")],
        rows(),
        parents(),
        children(),
    )
        .prop_map(|(operation, key, fields, parents, children)| v1::Mapping {
            active: true,
            base: Some(v1::RecordMapping {
                object: "B".to_owned(),
                operation,
                key: key.to_owned(),
                fields,
                parents,
                children,
            }),
        })
}

/// What compiles of a mapping that may not: rows with an error are left out, so that most cases go on to be applied.
fn mended(mut mapping: v1::Mapping) -> Option<Mapping> {
    for _ in 0..12 {
        let errors = match Mapping::compile(&mapping) {
            Ok(compiled) => return Some(compiled),
            Err(errors) => errors,
        };
        assert!(
            errors
                .iter()
                .all(|error| error.field.starts_with("spec.mapping.base")),
            "{errors:?}"
        );
        let base = mapping.base.as_mut()?;
        for error in errors {
            let rest = error.field.trim_start_matches("spec.mapping.base");
            mend(
                rest,
                &mut base.fields,
                &mut base.parents,
                &mut base.children,
            );
            if rest == ".key" || rest == ".operation" {
                (base.key, base.operation) = (String::new(), 1);
            }
        }
    }
    None
}

fn mend(
    at: &str,
    fields: &mut std::collections::BTreeMap<String, v1::FieldMapping>,
    parents: &mut Vec<v1::ParentMapping>,
    children: &mut Vec<v1::ChildMapping>,
) {
    if let Some(name) = at.strip_prefix(".fields.") {
        fields.remove(name.split('.').next().unwrap_or_default());
    } else if at == ".fields" {
        fields.insert(
            "X".to_owned(),
            v1::FieldMapping {
                default: Some("1".to_owned()),
                ..Default::default()
            },
        );
    } else if at.starts_with(".parents") {
        parents.clear();
    } else if at.starts_with(".children") {
        children.clear();
    }
}

fn check(record: &Record, depth: usize) -> usize {
    assert!(depth <= 12);
    assert_ne!(record.operation, v1::RecordOperation::Unspecified);
    if record.key.is_some() {
        let key = record.key_value().expect("a key has a value");
        assert!(!matches!(key, Value::Null | Value::Json(_)), "{key:?}");
    }
    assert!(record.fields.is_sorted_by(|(a, _), (b, _)| a < b));
    let above: usize = record
        .parents
        .iter()
        .map(|parent| check(&parent.record, depth + 1))
        .sum();
    let below: usize = record
        .children
        .iter()
        .map(|child| check(&child.record, depth + 1))
        .sum();
    1 + above + below
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_mapping_of_any_payload_makes_valid_records_or_says_why(mapping in mappings(), payload in json_text()) {
        let _ = Mapping::compile(&mapping);
        if let Some(compiled) = mended(mapping) {
            let event = event(&payload.to_string());
            match compiled.apply(&event) {
                Ok(record) => {
                    prop_assert!(check(&record, 0) <= MAX_RECORDS);
                    let text = record.to_json();
                    prop_assert!(serde_json::from_str::<Json>(&text).is_ok(), "{}", text);
                    prop_assert_eq!(Ok(record), compiled.apply(&event));
                }
                Err(problems) => {
                    prop_assert!(!problems.is_empty() && problems.len() <= MAX_PROBLEMS);
                    prop_assert!(problems.iter().all(|problem| !problem.field.is_empty() && !problem.reason.is_empty()));
                }
            }
            compiled.paths();
        }
    }

    #[test]
    fn any_bytes_are_mapped_or_refused(body in prop::collection::vec(any::<u8>(), 0..200), format in 0..9i32, query in ".{0,20}") {
        let event = v1::Event { format, body: body.into(), query, ..event("") };
        let base = json!({"object": "O", "fields": {"A": {"from": "payload.a"}, "B": {"from": "query.a"}, "C": {"cel": "payload.b"}}});
        let _ = compiled(base).apply(&event);
    }

    #[test]
    fn any_text_is_a_path_or_is_none(text in ".{0,40}", tail in "[a-z.\\[\\]'\"*0-9]{0,20}", items in 0..4usize) {
        for text in [text.clone(), format!("payload{text}"), format!("parent{tail}"), format!("item{tail}"), format!("payload{tail}")] {
            if let Ok(path) = crate::mapping::path::Path::parse(&text, items, true) {
                let again = path.absolute(&["payload.l".to_owned(), "payload.m".to_owned(), "payload.n".to_owned(), "payload.o".to_owned()]);
                let again = crate::mapping::path::Path::parse(&again, 4, true).expect("is a path");
                prop_assert_eq!(again.absolute(&[]), path.absolute(&["payload.l".to_owned(), "payload.m".to_owned(), "payload.n".to_owned(), "payload.o".to_owned()]));
            }
        }
    }

    #[test]
    fn any_number_keeps_its_value(mantissa in any::<i64>(), places in 0..20i64, exponent in -30..30i64) {
        let text = format!("{mantissa}e{exponent}");
        let written = crate::mapping::number::scaled(&text, -places).expect("a number");
        prop_assert!(!written.contains(['e', 'E']));
        prop_assert_eq!(written.parse::<f64>().unwrap(), format!("{mantissa}e{}", exponent - places).parse::<f64>().unwrap());
        prop_assert!(serde_json::from_str::<Box<serde_json::value::RawValue>>(&written).is_ok());
    }

    #[test]
    fn any_text_is_a_time_or_is_none(text in "[0-9T:Z+., -]{0,30}", millis in any::<i64>()) {
        let _ = crate::mapping::time::date(&text);
        let _ = crate::mapping::time::date_time(&text);
        if let Some(written) = crate::mapping::time::from_millis(millis % 253_402_300_799_999) {
            prop_assert_eq!(crate::mapping::time::date_time(&written), Ok(written.clone()));
        }
    }
}

#[test]
fn the_deepest_payload_is_read() {
    let deep = format!("{}{}{}", r#"{"a":"#.repeat(63), "[1.50]", "}".repeat(63));
    let from = format!("payload{}", ".a".repeat(63));
    let base = json!({"object": "O", "fields": {"A": {"from": from, "type": "json"}, "B": {"from": "payload", "type": "json"}}});
    let record = compiled(base.clone()).apply(&event(&deep)).unwrap();
    assert_eq!(record.fields[0].1, Value::Json("[1.50]".to_owned()));
    assert_eq!(record.fields[1].1, Value::Json(deep));
    let deeper = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(
        compiled(base).apply(&event(&deeper)).unwrap_err()[0].field,
        "payload"
    );
}

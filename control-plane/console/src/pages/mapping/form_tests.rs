//! That a mapping goes to the form and back unchanged, and what is typed stays.

use hookplane_proto::v1;

use super::*;

/// The form as a browser sends it, of what the template writes.
pub(crate) fn written(object: &Object, at: &str, into: &mut Vec<(String, String)>) {
    let mut put = |name: &str, value: &str| into.push((format!("{at}.{name}"), value.to_owned()));
    put("object", &object.object);
    put("key", &object.key);
    if object.kind != Kind::Parent {
        put("operation", &object.operation);
    }
    if object.kind != Kind::Base {
        put(link_name(object.kind), &object.link);
    }
    if object.kind == Kind::Child {
        put("forEach", &object.for_each);
    }
    for (index, row) in object.rows.iter().enumerate() {
        let at = format!("{at}.fields[{index}]");
        let more = [
            ("convert", &row.convert),
            ("values", &row.values),
            ("picklist", &row.picklist),
        ];
        let always = [
            ("name", &row.name),
            ("how", &row.how),
            ("from", &row.from),
            ("type", &row.kind),
            ("missing", &row.missing),
            ("default", &row.default),
        ];
        for (name, value) in always.into_iter().chain(more) {
            // A textarea's line ends.
            into.push((format!("{at}.{name}"), value.replace('\n', "\r\n")));
        }
    }
    for (part, objects) in [("parents", &object.parents), ("children", &object.children)] {
        for (index, object) in objects.iter().enumerate() {
            written(object, &format!("{at}.{part}[{index}]"), into);
        }
    }
}

fn sent(object: &Object) -> (usize, Form) {
    let mut fields = Vec::new();
    written(object, BASE, &mut fields);
    let mut encoded = form_urlencoded::Serializer::new(String::new());
    encoded.extend_pairs(fields);
    let encoded = encoded.finish();
    (encoded.len(), Form::read(encoded.as_bytes()).unwrap())
}

fn there_and_back(base: &v1::RecordMapping) -> v1::RecordMapping {
    let (_, form) = sent(&Object::of(base));
    let mut faults = Faults::default();
    let read = Object::read(&form).unwrap().base(&mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    read
}

fn field(from: &str) -> v1::FieldMapping {
    v1::FieldMapping {
        from: from.to_owned(),
        ..Default::default()
    }
}

fn everything() -> v1::RecordMapping {
    let odd = [
        "",
        " x ",
        "a=b",
        "\"",
        "\"q\" = 1",
        "two\nlines",
        "é",
        "*",
        "\\",
    ];
    let values: BTreeMap<_, _> = odd
        .iter()
        .flat_map(|&from| {
            odd.iter()
                .map(move |&to| (format!("{from}{to}"), to.to_owned()))
        })
        .collect();
    let fields = [
        ("Path__c", field("payload['a.b'].c[0]")),
        (
            "Cel__c",
            v1::FieldMapping {
                cel: "payload.a\n  in ['x', \"y\"]".to_owned(),
                r#type: v1::FieldType::Boolean.into(),
                ..Default::default()
            },
        ),
        (
            "Fixed__c",
            v1::FieldMapping {
                default: Some(" spaces, \"quotes\"\nand lines ".to_owned()),
                ..Default::default()
            },
        ),
        (
            "Nothing__c",
            v1::FieldMapping {
                default: Some(String::new()),
                on_missing: v1::OnMissing::Default.into(),
                ..Default::default()
            },
        ),
        (
            "EmptyByDefault__c",
            v1::FieldMapping {
                default: Some(String::new()),
                ..field("payload.note")
            },
        ),
        (
            "EmptySaid__c",
            v1::FieldMapping {
                default: Some(String::new()),
                on_missing: v1::OnMissing::Default.into(),
                ..field("payload.note")
            },
        ),
        (
            "Values__c",
            v1::FieldMapping {
                values,
                convert: vec!["trim".into(), "join-comma".into()],
                on_missing: v1::OnMissing::Fail.into(),
                ..field("payload.status")
            },
        ),
        (
            "Pick__c",
            v1::FieldMapping {
                picklist: odd.iter().map(|&text| text.to_owned()).collect(),
                r#type: v1::FieldType::Picklist.into(),
                on_missing: v1::OnMissing::Null.into(),
                ..field("payload.status")
            },
        ),
    ];
    let fields: BTreeMap<_, _> = fields
        .into_iter()
        .map(|(name, field)| (name.to_owned(), field))
        .collect();
    let parent = v1::ParentMapping {
        object: "Account".to_owned(),
        field: "Account__r".to_owned(),
        key: "Email__c".to_owned(),
        fields: fields.clone(),
        parents: vec![v1::ParentMapping {
            object: "Region__c".to_owned(),
            fields: fields.clone(),
            ..Default::default()
        }],
    };
    let child = v1::ChildMapping {
        object: "Line__c".to_owned(),
        operation: v1::RecordOperation::Insert.into(),
        for_each: "payload.lines[*].parts".to_owned(),
        parent_field: "Order__r".to_owned(),
        fields: fields.clone(),
        parents: vec![parent.clone()],
        children: vec![v1::ChildMapping {
            object: "Tax__c".to_owned(),
            fields: fields.clone(),
            ..Default::default()
        }],
        ..Default::default()
    };
    v1::RecordMapping {
        object: "Order__c".to_owned(),
        operation: v1::RecordOperation::Upsert.into(),
        key: "Path__c".to_owned(),
        fields,
        parents: vec![parent.clone(), parent],
        children: vec![child.clone(), v1::ChildMapping::default(), child],
    }
}

#[test]
fn a_mapping_goes_to_the_form_and_back_unchanged() {
    let base = everything();
    assert_eq!(there_and_back(&base), base);
}

#[test]
fn what_makes_no_sense_stays_as_typed_with_an_error_at_its_place() {
    let mut object = Object::blank(Kind::Base);
    let row = |name: &str, values: &str| Row {
        name: name.to_owned(),
        from: "payload.a".to_owned(),
        values: values.to_owned(),
        ..Row::blank()
    };
    object.rows = vec![
        row("A__c", ""),
        row("", ""),
        row("A__c", ""),
        row("B__c", "paid"),
        row("C__c", "\"a\" = b\na = c"),
        Row::blank(),
    ];
    let (_, form) = sent(&object);
    let read = Object::read(&form).unwrap();
    assert_eq!(read.rows, object.rows);
    let mut faults = Faults::default();
    let base = read.base(&mut faults);
    assert_eq!(base.fields.len(), 1);
    for (index, wrong) in [
        (1, "no field"),
        (2, "twice"),
        (3, "`paid`"),
        (4, "`a` twice"),
    ] {
        let at = format!("spec.mapping.base.fields[{index}]");
        assert!(faults.at(&at).contains(wrong), "{at}: {}", faults.at(&at));
    }
    assert_eq!(faults.all().count(), 4);
}

#[test]
fn words_that_are_none_reach_the_api_as_such() {
    let row = Row {
        kind: "strange".to_owned(),
        missing: "perhaps".to_owned(),
        ..Row::blank()
    };
    let field = row.field().unwrap();
    assert!(v1::FieldType::try_from(field.r#type).is_err());
    assert!(v1::OnMissing::try_from(field.on_missing).is_err());
    assert!(v1::RecordOperation::try_from(operation("merge")).is_err());
}

#[test]
fn a_form_nested_deeper_than_ours_is_not_read() {
    let nested = |levels: usize| {
        let mut fields = Vec::new();
        for level in 0..=levels {
            let at = format!("{BASE}{}", ".parents[0]".repeat(level));
            fields.push((format!("{at}.object"), "O".to_owned()));
        }
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(fields);
        Object::read(&Form::read(encoded.finish().as_bytes()).unwrap())
    };
    assert!(nested(MAX_LEVELS).is_some());
    assert!(nested(MAX_LEVELS + 1).is_none());
}

/// The form of these rows, as they go along packed, and what else it has.
fn packed(base: &serde_json::Value, more: &[(&str, &str)]) -> Option<Object> {
    let rest = open::packed_for_tests(base.to_string().as_bytes());
    let mut encoded = form_urlencoded::Serializer::new(String::new());
    encoded.append_pair(open::REST, &rest).extend_pairs(more);
    Object::read(&Form::read(encoded.finish().as_bytes()).unwrap())
}

fn json(rows: usize, children: usize) -> serde_json::Value {
    let mut base = Object::blank(Kind::Base);
    base.rows = vec![Row::blank(); rows];
    base.children = vec![Object::blank(Kind::Child); children];
    base.children
        .iter_mut()
        .for_each(|child| child.rows.clear());
    serde_json::to_value(&base).unwrap()
}

#[test]
fn what_goes_along_is_read_up_to_a_number_of_rows_and_objects() {
    assert!(packed(&json(MAX_ROWS, 0), &[]).is_some());
    assert!(packed(&json(MAX_ROWS + 1, 0), &[]).is_none());
    assert!(packed(&json(1, MAX_OBJECTS - 1), &[]).is_some());
    assert!(packed(&json(1, MAX_OBJECTS), &[]).is_none());
    // One more is typed behind the last that went along.
    let more = [("base.fields[2500].name", "One_more__c")];
    let from = [&more[..], &[("from", "2500")]].concat();
    assert!(packed(&json(MAX_ROWS, 0), &from).is_none());
}

// In few bytes there are few rows: what is unpacked can't grow in memory without a like size.
#[test]
fn a_row_without_its_texts_is_none_of_ours() {
    for row in [r#"{}"#, r#"{"name":"a"}"#] {
        let mut base = json(0, 0);
        base["rows"] = serde_json::json!([serde_json::from_str::<serde_json::Value>(row).unwrap()]);
        assert!(packed(&base, &[]).is_none(), "{row}");
    }
}

#[test]
fn rows_that_are_typed_are_read_up_to_a_number() {
    let read = |rows: usize| {
        let row = |row: usize| (format!("{BASE}.fields[{row}].name"), "a".to_owned());
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs((0..rows).map(row));
        Object::read(&Form::read(encoded.finish().as_bytes()).unwrap())
    };
    assert_eq!(read(MAX_ROWS).unwrap().count(), MAX_ROWS);
    assert!(read(MAX_ROWS + 1).is_none());
}

#[test]
fn a_stretch_that_begins_behind_all_rows_is_laid_behind_the_last() {
    let last = usize::MAX.to_string();
    let name = format!("base.fields[{last}].name");
    let more = [("from", last.as_str()), (name.as_str(), "a")];
    assert_eq!(packed(&json(3, 0), &more).unwrap().count(), 3);
    let more = [("from", last.as_str()), ("base.fields[3].name", "a")];
    assert_eq!(packed(&json(3, 0), &more).unwrap().rows[3].name, "a");
}

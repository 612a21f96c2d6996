//! What can't be applied is refused when it is saved.

use super::*;

fn errors(base: Json) -> Vec<String> {
    let errors = Mapping::compile(&mapping(json!({"base": base}))).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn refused(base: Json, expected: &[&str]) {
    let errors = errors(base);
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(
            error.starts_with(&format!("spec.mapping.{expected}")),
            "{error}\n  expected {expected}"
        );
    }
}

/// A record with these rows.
fn rows(fields: Json) -> Json {
    json!({"object": "Order", "fields": fields})
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_each_at_its_field() {
    refused(
        json!({
            "object": "", "operation": "update", "fields": {"A": {"from": "payload..x"}, "B": {}},
            "parents": [{"object": "Account", "field": "a", "key": "Nope", "fields": {"E": {"from": "item.x"}}}],
            "children": [{
                "object": "Line", "forEach": "payload.lines", "parentField": "", "operation": "upsert",
                "fields": {"Sku__c": {"from": "item[x]", "convert": ["trim", "shout"]}},
            }],
        }),
        &[
            "base.object: is missing",
            "base.key: is missing; update needs",
            "base.parents[0].field: is there twice, or is a field as well",
            "base.fields.A.from: `payload..x` is no path at `..x`",
            "base.fields.B: says nothing",
            "base.parents[0].key: `Nope` is none of the fields",
            "base.parents[0].fields.E.from: `item` is there in the records of a list alone",
            "base.children[0].parentField: is missing",
            "base.children[0].key: is missing; upsert needs",
            "base.children[0].fields.Sku__c.from: `item[x]` is no path at `[x]`",
            "base.children[0].fields.Sku__c.convert[1]: `shout` is no converter; there are trim, lower",
        ],
    );
    let none = Mapping::compile(&v1::Mapping::default()).unwrap_err();
    assert!(
        none[0]
            .to_string()
            .starts_with("spec.mapping.base: is missing")
    );
}

#[test]
fn rows_that_contradict_themselves_are_refused() {
    refused(
        rows(json!({"X": {"from": "payload.a", "cel": "payload.b"}})),
        &["base.fields.X.cel: is there beside `from`"],
    );
    refused(
        rows(json!({"X": {"from": "payload.a", "onMissing": "default"}})),
        &["base.fields.X.onMissing: is default, and there is no"],
    );
    refused(
        rows(json!({"X": {"from": "payload.a", "default": "1", "onMissing": "fail"}})),
        &["base.fields.X.default: is never taken with onMissing: fail"],
    );
    refused(
        rows(json!({"X": {"from": "payload.a", "default": "x", "type": "integer"}})),
        &["base.fields.X.default: `x` is no whole number"],
    );
    refused(
        rows(json!({"X": {"from": "payload.a", "default": "", "type": "date"}})),
        &["base.fields.X.default: is empty"],
    );
    refused(
        rows(json!({"X": {"from": "payload.a", "default": "c", "picklist": ["a"]}})),
        &["base.fields.X.default: `c` is no value of the picklist"],
    );
    refused(
        rows(json!({"X": {"from": "payload.a", "values": {"a": "x"}, "type": "decimal"}})),
        &["base.fields.X.values: of `a`: `x` is no number"],
    );
    refused(
        rows(json!({"X": {"from": "payload.a", "picklist": ["a"], "type": "date"}})),
        &["base.fields.X.picklist: is for the type picklist"],
    );
    refused(
        rows(json!({"X": {"from": "payload.a[*].b"}})),
        &["base.fields.X.from: `[*]` is for the forEach"],
    );
    refused(
        rows(json!({"X": {"from": "event.kind"}})),
        &["base.fields.X.from: event.kind is unknown"],
    );
    refused(
        rows(json!({"X": {"from": "body.a"}})),
        &["base.fields.X.from: `body.a` is no path; one begins with payload"],
    );
    refused(
        rows(json!({"X": {"cel": "item.a"}})),
        &["base.fields.X.cel: `item` is unknown; there are payload, headers, query, event"],
    );
    refused(
        rows(json!({"X": {"cel": "payload.a +"}})),
        &["base.fields.X.cel: "],
    );
    refused(
        rows(json!({"a b": {"default": "x"}})),
        &["base.fields.a b: `a b` is no name"],
    );
    refused(
        rows(json!({"X": {"default": "x"}, "x": {"default": "y"}})),
        &["base.fields.x: is there twice"],
    );
}

#[test]
fn keys_have_a_value_and_a_type_that_tells_records_apart() {
    let keyed = |key: Json| json!({"object": "Order", "key": "K", "fields": {"K": key}});
    refused(
        keyed(json!({"from": "payload.a", "onMissing": "omit"})),
        &["base.fields.K.onMissing: a key can't go without a value"],
    );
    refused(
        keyed(json!({"from": "payload.a", "onMissing": "null"})),
        &["base.fields.K.onMissing: a key can't go without a value"],
    );
    refused(
        keyed(json!({"from": "payload.a", "type": "json"})),
        &["base.fields.K.type: a key is text or a number"],
    );
    refused(
        json!({"object": "O", "fields": {"X": {"default": "x"}}, "parents": [{"object": "A", "field": "A__r", "fields": {"E": {"default": "e"}}}]}),
        &["base.parents[0].key: is missing; it is the field that the parent is found by"],
    );
}

#[test]
fn a_record_that_is_deleted_points_nowhere() {
    let mut base = json!({"object": "Order", "operation": "delete", "key": "K", "fields": {"K": {"from": "payload.k"}}});
    assert!(Mapping::compile(&mapping(json!({"base": base}))).is_ok());
    base["parents"] =
        json!([{"object": "A", "field": "A__r", "key": "E", "fields": {"E": {"default": "e"}}}]);
    base["children"] =
        json!([{"object": "L", "parentField": "O__r", "fields": {"E": {"default": "e"}}}]);
    refused(
        base,
        &[
            "base.parents: has no meaning",
            "base.children: would point to a record that is deleted",
        ],
    );
}

#[test]
fn names_of_lists_around_are_known() {
    let child = |from: &str| json!({"object": "O", "fields": {"X": {"default": "x"}}, "children": [{"object": "L", "forEach": "payload.l", "parentField": "O__r", "fields": {"F": {"from": from}}}]});
    refused(
        child("parent.id"),
        &["base.children[0].fields.F.from: `parent` is the item of the list around"],
    );
    refused(
        child("item.a["),
        &["base.children[0].fields.F.from: `item.a[` is no path at `[`"],
    );
    let clash = json!({"object": "O", "fields": {"X": {"default": "x"}}, "children": [{"object": "L", "parentField": "O__r", "fields": {"o__R": {"default": "x"}}}]});
    refused(
        clash,
        &["base.children[0].fields.o__R: is there twice, or points to a record as well"],
    );
}

#[test]
fn levels_widths_and_sizes_are_bounded() {
    fn deep(levels: usize) -> Json {
        let mut child = json!([]);
        for _ in 0..levels {
            child = json!([{"object": "L", "parentField": "P__r", "fields": {"X": {"default": "x"}}, "children": child}]);
        }
        json!({"object": "O", "fields": {"X": {"default": "x"}}, "children": child})
    }
    assert!(Mapping::compile(&mapping(json!({"base": deep(5)}))).is_ok());
    let place = ".children[0]".repeat(5);
    refused(
        deep(6),
        &[&format!("base{place}.children: more than 5 levels down")],
    );

    fn high(levels: usize) -> Json {
        let mut parent = json!([]);
        for _ in 0..levels {
            parent = json!([{"object": "A", "field": "P__r", "key": "X", "fields": {"X": {"default": "x"}}, "parents": parent}]);
        }
        json!({"object": "O", "fields": {"X": {"default": "x"}}, "parents": parent})
    }
    assert!(Mapping::compile(&mapping(json!({"base": high(5)}))).is_ok());
    refused(
        high(6),
        &[&format!(
            "base{}.parents: more than 5 levels up",
            ".parents[0]".repeat(5)
        )],
    );

    let many = |count: usize| -> Json {
        (0..count)
            .map(|n| (format!("F{n}"), json!({"default": "x"})))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    assert!(Mapping::compile(&mapping(json!({"base": rows(many(500))}))).is_ok());
    refused(
        rows(many(501)),
        &["base.fields: has 501 fields, at most 500"],
    );
    let children: Vec<Json> = (0..5)
        .map(|_| json!({"object": "L", "parentField": "P__r", "fields": many(500)}))
        .collect();
    let wide = json!({"object": "O", "fields": {"X": {"default": "x"}}, "children": children});
    assert_eq!(
        errors(wide),
        ["spec.mapping: has 2501 rows in all, at most 2000 are taken"]
    );
    let patterns = |count: usize| -> Json {
        (0..count)
            .map(|n| {
                let cel = format!("payload.a.matches('^a{n}$')");
                (format!("F{n:02}"), json!({"cel": cel}))
            })
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    assert!(Mapping::compile(&mapping(json!({"base": rows(patterns(50))}))).is_ok());
    refused(
        rows(patterns(60)),
        &["base.fields.F50.cel: has one pattern too many: a mapping has 50 at most"],
    );
    let large = rows(json!({"X": {"from": format!("payload.{}", "a".repeat(300_000))}}));
    assert!(errors(large)[0].contains("at most 262144 are taken"));
    let long = rows(json!({"X": {"from": format!("payload.{}", "a".repeat(600))}}));
    refused(
        long,
        &["base.fields.X.from: is 608 bytes long, at most 512"],
    );
    refused(
        rows(json!({"X": {"cel": format!("payload.{}", "a".repeat(1_100))}})),
        &["base.fields.X.cel: is 1108 bytes long; 1024 are allowed"],
    );
    let convert = vec!["trim"; 9];
    refused(
        rows(json!({"X": {"from": "payload.a", "convert": convert}})),
        &["base.fields.X.convert: has 9 converters, at most 8"],
    );
    let unknown = v1::Mapping {
        base: Some(v1::RecordMapping {
            object: "O".into(),
            operation: 9,
            fields: [(
                "X".to_owned(),
                v1::FieldMapping {
                    default: Some("x".into()),
                    r#type: 99,
                    on_missing: 99,
                    ..Default::default()
                },
            )]
            .into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(Mapping::compile(&unknown).unwrap_err().len(), 3);
}

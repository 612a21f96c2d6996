use hookplane_proto::v1::RecordOperation::{self, Delete, Insert, Unspecified, Update, Upsert};

use super::super::plan::{Action, Plan};
use super::super::requests::{graph_of, not_a_graph};
use super::super::write::preview;
use crate::mapping::{Child, Parent, Record, Value};

fn record(
    operation: RecordOperation,
    object: &str,
    key: Option<&str>,
    fields: &[(&str, &str)],
) -> Record {
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::Text((*value).to_owned())));
    Record {
        object: object.to_owned(),
        operation,
        key: key.map(str::to_owned),
        fields: fields.collect(),
        parents: Vec::new(),
        children: Vec::new(),
    }
}

fn parent(field: &str, record: Record) -> Parent {
    Parent {
        field: field.to_owned(),
        record,
    }
}

fn child(parent_field: &str, record: Record) -> Child {
    Child {
        parent_field: parent_field.to_owned(),
        record,
    }
}

fn order() -> Record {
    record(
        Upsert,
        "Order__c",
        Some("Id__c"),
        &[("Id__c", "1"), ("Note__c", "n")],
    )
}

#[test]
fn a_graph_goes_from_parents_over_the_base_to_children() {
    let mut base = order();
    base.fields
        .push(("Total__c".to_owned(), Value::Number("12.50".to_owned())));
    base.parents.push(parent(
        "Account",
        record(
            Upsert,
            "Account",
            Some("Mail__c"),
            &[("Mail__c", "a@b.c"), ("Name", "A")],
        ),
    ));
    base.parents.push(parent(
        "Shop__r",
        record(Upsert, "Shop__c", Some("Code__c"), &[("Code__c", "x")]),
    ));
    base.children.push(child(
        "Order__r",
        record(Insert, "Line__c", None, &[("Sku__c", "TEA")]),
    ));
    let plan = Plan::of(&base).unwrap();
    assert_eq!(
        graph_of(&plan, "/services/data/v65.0/"),
        concat!(
            r#"{"method":"PATCH","url":"/services/data/v65.0/sobjects/Account/Mail__c/a%40b%2Ec","referenceId":"r0","body":{"Name":"A"}},"#,
            r#"{"method":"PATCH","url":"/services/data/v65.0/sobjects/Order__c/Id__c/1","referenceId":"r1","body":{"Note__c":"n","Total__c":12.50,"#,
            r#""Shop__r":{"Code__c":"x"},"AccountId":"@{r0.id}"}},"#,
            r#"{"method":"POST","url":"/services/data/v65.0/sobjects/Line__c","referenceId":"r2","body":{"Sku__c":"TEA","Order__c":"@{r1.id}"}}"#
        )
    );
    assert_eq!(
        plan.rows.iter().map(|row| row.wave).collect::<Vec<_>>(),
        [0, 1, 2]
    );
}

#[test]
fn a_lookup_through_a_standard_relationship_says_which_object_it_means() {
    let mut base = order();
    base.parents.push(parent(
        "Account",
        record(Upsert, "Account", Some("Mail__c"), &[("Mail__c", "a")]),
    ));
    let calls = preview(&Plan::of(&base).unwrap(), "");
    assert_eq!(
        calls[0].body.as_deref(),
        Some(
            r#"{"allOrNone":false,"records":[{"attributes":{"type":"Order__c"},"Id__c":"1","Note__c":"n","Account":{"attributes":{"type":"Account"},"Mail__c":"a"}}]}"#
        )
    );
}

#[test]
fn a_parent_that_many_children_share_is_written_once() {
    let mut base = order();
    for sku in ["a", "b", "c"] {
        let mut line = record(Insert, "Line__c", None, &[("Sku__c", sku)]);
        line.parents.push(parent(
            "Product__r",
            record(
                Upsert,
                "Product__c",
                Some("Code__c"),
                &[("Code__c", "TEA"), ("Name", "Tea")],
            ),
        ));
        base.children.push(child("Order__r", line));
    }
    let plan = Plan::of(&base).unwrap();
    assert_eq!(
        plan.rows
            .iter()
            .filter(|row| row.object == "Product__c")
            .count(),
        1
    );
    assert_eq!(plan.rows.len(), 5);
}

#[test]
fn the_operation_decides_the_call() {
    let fields = &[("Id", "a01"), ("Id__c", "1")];
    for (operation, object, key, action, method, path) in [
        (
            Unspecified,
            "Order__c",
            None,
            Action::Insert,
            "POST",
            "composite/sobjects",
        ),
        (
            Unspecified,
            "Order__c",
            Some("Id__c"),
            Action::Upsert,
            "PATCH",
            "composite/sobjects/Order__c/Id__c",
        ),
        (
            Upsert,
            "Order__c",
            Some("Id"),
            Action::Update,
            "PATCH",
            "sobjects/Order__c/a01",
        ),
        (
            Update,
            "Order__c",
            Some("Id__c"),
            Action::Update,
            "PATCH",
            "sobjects/Order__c/Id__c/1?updateOnly=true",
        ),
        (
            Delete,
            "Order__c",
            Some("Id"),
            Action::Delete,
            "DELETE",
            "sobjects/Order__c/a01",
        ),
        (
            Insert,
            "Paid__e",
            None,
            Action::Publish,
            "POST",
            "sobjects/Paid__e",
        ),
    ] {
        let plan = Plan::of(&record(operation, object, key, fields)).unwrap();
        assert_eq!(plan.rows[0].action, action);
        let call = &preview(&plan, "")[0];
        assert_eq!((call.method.as_str(), call.path.as_str()), (method, path));
        assert_eq!(call.body.is_none(), method == "DELETE");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_change() {
    let with_child = |mut base: Record, line: Record| {
        base.children.push(child("Order__r", line));
        base
    };
    let mut twice = order();
    twice
        .fields
        .push(("Account__c".to_owned(), Value::Text("001".to_owned())));
    twice.parents.push(parent(
        "Account__r",
        record(
            Upsert,
            "Account",
            Some("Mail__c"),
            &[("Mail__c", "a"), ("Name", "A")],
        ),
    ));
    let gone = record(Delete, "Order__c", Some("Id__c"), &[("Id__c", "1")]);
    let line = record(Insert, "Line__c", None, &[]);
    let mut attributes = order();
    attributes
        .fields
        .push(("attributes".to_owned(), Value::Null));
    for (record, why) in [
        (twice, "Account__c is filled twice"),
        (with_child(gone, line.clone()), "only be deleted with it"),
        (
            with_child(record(Insert, "Paid__e", None, &[]), line),
            "is a platform event",
        ),
        (attributes, "`attributes` is no field's name"),
        (record(Upsert, "a b", None, &[]), "is no object's name"),
    ] {
        let told = Plan::of(&record).unwrap_err();
        assert!(told.contains(why), "{told} isn't {why}");
    }
}

#[test]
fn what_a_graph_cannot_do_is_said() {
    let mut base = order();
    base.children
        .extend((0..500).map(|_| child("Order__r", record(Insert, "Line__c", None, &[]))));
    let plan = |base: &Record| Plan::of(base).unwrap();
    assert!(not_a_graph(&plan(&base)).unwrap().contains("501 records"));
    base.children.pop();
    assert_eq!(not_a_graph(&plan(&base)), None);
    base.fields.push((
        "Text__c".to_owned(),
        Value::Text("mail me @{r1.id}".to_owned()),
    ));
    assert!(not_a_graph(&plan(&base)).unwrap().contains("a reference"));
    let deep = (0..15).fold(record(Insert, "Line__c", None, &[]), |below, _| {
        let mut above = record(Insert, "Line__c", None, &[]);
        above.children.push(child("Line__r", below));
        above
    });
    assert!(not_a_graph(&plan(&deep)).unwrap().contains("16 levels"));
}

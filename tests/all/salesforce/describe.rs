//! What the org says that it has, and mappings that don't fit.

use hookplane_control_plane::dispatch::sink::Sink as _;
use hookplane_control_plane::dispatch::sink::salesforce::{check, check_against, objects};
use hookplane_proto::v1;
use hookplane_tests::salesforce::Fault;

use super::rig::*;

async fn described(rig: &Rig, object: &str) -> Result<Vec<v1::ObjectDescription>, String> {
    rig.sink.describe(object).await.unwrap()
}

#[tokio::test]
async fn a_description_is_asked_for_again_only_if_it_changed() {
    let rig = Rig::start().await;
    let names: Vec<String> = described(&rig, "")
        .await
        .unwrap()
        .into_iter()
        .map(|object| object.name)
        .collect();
    assert_eq!(
        names,
        ["Account", "OrderLine__c", "Order_Paid__e", "Order__c"]
    );
    let first = described(&rig, "Order__c").await.unwrap();
    assert_eq!(described(&rig, "Order__c").await.unwrap(), first);
    let asked = rig.stub.seen("/Order__c/describe");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].headers.get("if-modified-since"), None);
    assert_eq!(
        asked[1].headers["if-modified-since"],
        "Fri, 27 Nov 2026 10:00:00 GMT"
    );

    let field = |name: &str| {
        first[0]
            .fields
            .iter()
            .find(|field| field.name == name)
            .unwrap()
    };
    assert!(field("Shop_Id__c").key && !field("Note__c").key);
    assert_eq!(field("Stage__c").picklist, ["Open", "Paid", "Closed"]);
    assert_eq!(
        (
            field("Account__c").relationship.as_str(),
            &field("Account__c").references[..]
        ),
        ("Account__r", &["Account".to_owned()][..])
    );
    assert!(!field("Number__c").createable);
    assert_eq!(
        (field("Note__c").length, field("Total__c").r#type.as_str()),
        (40, "currency")
    );

    // A field that is new is seen.
    {
        let mut org = rig.stub.org();
        let object = org.objects.get_mut("Order__c").unwrap();
        object.changed = "Fri, 27 Nov 2026 11:00:00 GMT".to_owned();
        object.fields.pop();
    }
    assert_eq!(
        described(&rig, "Order__c").await.unwrap()[0].fields.len(),
        first[0].fields.len() - 1
    );
}

#[tokio::test]
async fn what_cannot_be_described_says_why() {
    let rig = Rig::start().await;
    assert!(
        described(&rig, "Nothing__c")
            .await
            .unwrap_err()
            .contains("there is no object Nothing__c")
    );
    assert!(
        described(&rig, "../limits")
            .await
            .unwrap_err()
            .contains("is no object's name")
    );
    rig.stub
        .fail("/describe", Fault::Answer(200, "<html>".to_owned()));
    assert!(
        described(&rig, "Order__c")
            .await
            .unwrap_err()
            .contains("can't be read")
    );
    rig.stub.fail("/describe", Fault::Reset);
    assert!(described(&rig, "Order__c").await.is_err());
    described(&rig, "Order__c").await.unwrap();
}

fn row(kind: v1::FieldType) -> v1::FieldMapping {
    v1::FieldMapping {
        from: "payload.x".to_owned(),
        r#type: kind.into(),
        ..Default::default()
    }
}

fn fields<const N: usize>(
    rows: [(&str, v1::FieldMapping); N],
) -> std::collections::BTreeMap<String, v1::FieldMapping> {
    rows.into_iter()
        .map(|(name, row)| (name.to_owned(), row))
        .collect()
}

#[tokio::test]
async fn a_mapping_is_checked_against_what_the_org_has() {
    use v1::FieldType as Type;
    let rig = Rig::start().await;
    let good = v1::RecordMapping {
        object: "Order__c".to_owned(),
        key: "Shop_Id__c".to_owned(),
        fields: fields([
            ("Shop_Id__c", row(Type::String)),
            ("Total__c", row(Type::Decimal)),
            (
                "Stage__c",
                v1::FieldMapping {
                    default: Some("Paid".to_owned()),
                    ..row(Type::Picklist)
                },
            ),
            ("Note__c", row(Type::Unspecified)),
        ]),
        parents: vec![v1::ParentMapping {
            object: "Account".to_owned(),
            field: "Account__r".to_owned(),
            key: "Email__c".to_owned(),
            fields: fields([("Email__c", row(Type::String))]),
            ..v1::ParentMapping::default()
        }],
        children: vec![v1::ChildMapping {
            object: "OrderLine__c".to_owned(),
            key: "Line_Id__c".to_owned(),
            parent_field: "Order__r".to_owned(),
            fields: fields([("Line_Id__c", row(Type::String))]),
            ..v1::ChildMapping::default()
        }],
        ..v1::RecordMapping::default()
    };
    let mapping = |base: &v1::RecordMapping| v1::Mapping {
        active: true,
        base: Some(base.clone()),
    };
    assert_eq!(
        objects(&mapping(&good)).into_iter().collect::<Vec<_>>(),
        ["Account", "OrderLine__c", "Order__c"]
    );
    let mut org = Vec::new();
    for object in objects(&mapping(&good)) {
        org.extend(described(&rig, &object).await.unwrap());
    }
    assert_eq!(check(&mapping(&good), &org), []);

    let mut bad = good.clone();
    bad.key = "Note__c".to_owned();
    bad.fields.insert("Totl__c".to_owned(), row(Type::Decimal));
    bad.fields.insert("Total__c".to_owned(), row(Type::String));
    bad.fields.insert("Number__c".to_owned(), row(Type::String));
    bad.fields.insert(
        "Note__c".to_owned(),
        v1::FieldMapping {
            default: Some("x".repeat(41)),
            ..row(Type::String)
        },
    );
    bad.fields.insert(
        "Stage__c".to_owned(),
        v1::FieldMapping {
            default: Some("Lost".to_owned()),
            ..row(Type::Picklist)
        },
    );
    bad.parents[0].field = "Buyer__r".to_owned();
    // With more than its key it is written, and can't be without a name.
    bad.parents[0]
        .fields
        .insert("Phone".to_owned(), row(Type::String));
    bad.children[0].parent_field = "Sku__c".to_owned();
    bad.children.push(v1::ChildMapping {
        object: "Nothing__c".to_owned(),
        ..v1::ChildMapping::default()
    });
    let problems = check(&mapping(&bad), &org);
    assert_eq!(
        check_against(&rig.sink, &mapping(&bad)).await.unwrap(),
        problems
    );
    let found: Vec<(&str, &str)> = problems
        .iter()
        .map(|problem| (&*problem.field, &*problem.reason))
        .collect();
    for (field, reason) in [
        ("base.key", "can't be a key"),
        ("base.fields.Totl__c", "has no such field"),
        ("base.fields.Total__c", "has to be decimal or integer"),
        ("base.fields.Number__c", "can't be set"),
        ("base.fields.Note__c", "longer than the 40 characters"),
        ("base.fields.Stage__c", "`Lost` isn't among"),
        ("base.parents[0].field", "has no field Buyer__c"),
        ("base.parents[0].fields.Name", "can't be created without it"),
        ("base.children[0].parentField", "points to nothing"),
        (
            "base.children[0].fields.Order__c",
            "can't be created without it",
        ),
        ("base.children[1].object", "there is no object Nothing__c"),
    ] {
        assert!(
            found
                .iter()
                .any(|(at, why)| *at == field && why.contains(reason)),
            "{field}: {reason} is not in {found:#?}"
        );
    }
    assert_eq!(found.len(), 11, "{found:#?}");
}

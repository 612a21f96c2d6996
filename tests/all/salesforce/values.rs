//! Values arrive exactly as they are, and as values only.

use hookplane_control_plane::dispatch::sink::Verdict;
use hookplane_control_plane::mapping::Value;
use hookplane_proto::v1::RecordOperation::{Delete, Update, Upsert};

use super::rig::*;

#[tokio::test]
async fn numbers_keep_their_digits_and_dates_their_text() {
    let rig = Rig::start().await;
    let exact = order(
        "1",
        [
            ("Total__c", number("1234567890123456789.10")),
            ("Items__c", number("9007199254740993")),
            ("Late__c", Value::Boolean(true)),
            ("Paid_On__c", text("2026-11-27")),
            ("Paid_At__c", text("2026-11-27T10:00:00.000+01:00")),
            ("Note__c", Value::Json(r#"{"a":[1.0]}"#.to_owned())),
        ],
    );
    rig.done([exact, order("2", [("Total__c", number("0.10"))])])
        .await;
    assert_eq!(
        rig.order("1", "Total__c").unwrap(),
        "1234567890123456789.10"
    );
    assert_eq!(rig.order("1", "Items__c").unwrap(), "9007199254740993");
    assert_eq!(rig.order("1", "Late__c").unwrap(), "true");
    assert_eq!(rig.order("1", "Paid_On__c").unwrap(), r#""2026-11-27""#);
    assert_eq!(
        rig.order("1", "Paid_At__c").unwrap(),
        r#""2026-11-27T10:00:00.000+01:00""#
    );
    assert_eq!(rig.order("1", "Note__c").unwrap(), r#""{\"a\":[1.0]}""#);
    assert_eq!(rig.order("2", "Total__c").unwrap(), "0.10");
}

#[tokio::test]
async fn null_empties_a_field_and_what_is_left_out_stays() {
    let rig = Rig::start().await;
    rig.done([order(
        "1",
        [("Note__c", text("a note")), ("Stage__c", text("Open"))],
    )])
    .await;
    rig.done([order("1", [("Note__c", Value::Null)])]).await;
    assert_eq!(rig.order("1", "Note__c").unwrap(), "null");
    assert_eq!(rig.order("1", "Stage__c").unwrap(), r#""Open""#);
}

/// Values that break paths, headers or JSON where they aren't encoded.
const ODD: [&str; 9] = [
    "a/b",
    "a?b=c&d#e",
    "..",
    "100%",
    "%2F",
    "grüße 東京",
    "a b+c",
    "a\r\nX-Evil: yes",
    "\"},{\"Shop_Id__c\":\"2\"}",
];

#[tokio::test]
async fn keys_with_odd_characters_name_their_own_record_and_no_other() {
    let rig = Rig::start().await;
    rig.done(ODD.map(|id| order(id, [("Note__c", text("made"))])))
        .await;
    assert_eq!(rig.count("Order__c"), ODD.len());
    for id in ODD {
        let update = record(
            Update,
            "Order__c",
            Some("Shop_Id__c"),
            [("Shop_Id__c", text(id)), ("Note__c", text("changed"))],
        );
        rig.done([update]).await;
        assert_eq!(rig.order(id, "Note__c").unwrap(), r#""changed""#, "{id:?}");
        // In a graph, where the path is part of the body.
        rig.done([over(
            order(id, [("Note__c", text("again"))]),
            [line(id, [])],
        )])
        .await;
        assert_eq!(rig.order(id, "Note__c").unwrap(), r#""again""#, "{id:?}");
        let delete = record(
            Delete,
            "Order__c",
            Some("Shop_Id__c"),
            [("Shop_Id__c", text(id))],
        );
        rig.done([delete]).await;
        assert!(rig.order(id, "Note__c").is_none(), "{id:?}");
    }
    assert_eq!(
        (rig.count("Order__c"), rig.count("OrderLine__c")),
        (0, ODD.len())
    );
    assert!(
        rig.stub
            .org()
            .seen
            .iter()
            .all(|seen| !seen.headers.contains_key("x-evil"))
    );
}

#[tokio::test]
async fn what_cannot_be_addressed_is_given_up_before_anything_is_sent() {
    let rig = Rig::start().await;
    let keyed = |value: Value| {
        record(
            Upsert,
            "Order__c",
            Some("Shop_Id__c"),
            [("Shop_Id__c", value)],
        )
    };
    let mut named_oddly = order("1", []);
    named_oddly
        .fields
        .push(("Note__c\r\nX-Evil".to_owned(), text("x")));
    let mut elsewhere = order("1", []);
    elsewhere.object = "Order__c/../User".to_owned();
    let cases = [
        (keyed(text("")), "Order__c: its key Shop_Id__c has no value"),
        (
            keyed(text("  ")),
            "Order__c: its key Shop_Id__c has no value",
        ),
        (
            keyed(Value::Null),
            "Order__c: its key Shop_Id__c has no value",
        ),
        (
            record(Upsert, "Order__c", Some("Shop_Id__c"), []),
            "Order__c: its key Shop_Id__c has no value",
        ),
        (keyed(Value::Boolean(true)), "has to be text or a number"),
        (
            keyed(text(&"x".repeat(256))),
            "has 256 characters, 255 are allowed",
        ),
        (record(Delete, "Order__c", None, []), "Order__c has no key"),
        (named_oddly, "is no field's name"),
        (elsewhere, "is no object's name"),
        (
            over(order("1", []), [line("", [])]),
            "OrderLine__c: its key Line_Id__c has no value",
        ),
    ];
    for (record, why) in cases {
        let outcomes = rig.deliver([record]).await;
        assert_eq!(outcomes[0].verdict, Verdict::GiveUp);
        assert!(
            outcomes[0].reason.contains(why),
            "{} is not {why}",
            outcomes[0].reason
        );
    }
    assert!(rig.stub.org().seen.is_empty());
}

#[tokio::test]
async fn an_event_without_a_record_is_told_that_a_mapping_is_missing() {
    let rig = Rig::start().await;
    let mut job = job(order("1", []));
    job.record = None;
    let outcomes = hookplane_control_plane::dispatch::sink::Sink::deliver(&rig.sink, &[job]).await;
    assert_eq!(outcomes[0].verdict, Verdict::GiveUp);
    assert!(
        outcomes[0].reason.contains("mapping"),
        "{}",
        outcomes[0].reason
    );
}

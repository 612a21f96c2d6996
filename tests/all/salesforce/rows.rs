//! Events of one record each.

use hookplane_control_plane::dispatch::sink::Verdict;
use hookplane_proto::v1::RecordOperation::{Delete, Insert, Update};

use super::rig::*;

#[tokio::test]
async fn upserts_of_one_object_go_in_one_request_and_a_replay_makes_no_second_record() {
    let rig = Rig::start().await;
    let orders = || (0..200).map(|n| order(&format!("o{n}"), [("Note__c", text("first"))]));
    rig.done(orders()).await;
    assert_eq!(rig.count("Order__c"), 200);
    assert_eq!(
        rig.stub
            .seen("/composite/sobjects/Order__c/Shop_Id__c")
            .len(),
        1
    );
    rig.done(orders()).await;
    assert_eq!(rig.count("Order__c"), 200);
}

#[tokio::test]
async fn of_equal_keys_in_one_batch_the_last_one_stands() {
    let rig = Rig::start().await;
    let first = order(
        "1",
        [("Note__c", text("first")), ("Stage__c", text("Open"))],
    );
    let other = order("2", [("Note__c", text("other"))]);
    let last = order("1", [("Note__c", text("last")), ("Stage__c", text("Paid"))]);
    let outcomes = rig.deliver([first, other, last]).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.verdict == Verdict::Done),
        "{outcomes:?}"
    );
    assert!(
        outcomes[0].reason.contains("overwritten by a newer record"),
        "{:?}",
        outcomes[0]
    );
    assert_eq!(rig.order("1", "Note__c").unwrap(), r#""last""#);
    assert_eq!(rig.stub.seen("/composite/").len(), 1);
}

#[tokio::test]
async fn an_earlier_record_whose_fields_the_later_one_lacks_is_written_before_it() {
    let rig = Rig::start().await;
    rig.done([
        order(
            "1",
            [("Note__c", text("first")), ("Stage__c", text("Open"))],
        ),
        order("1", [("Stage__c", text("Paid"))]),
    ])
    .await;
    assert_eq!(rig.order("1", "Note__c").unwrap(), r#""first""#);
    assert_eq!(rig.order("1", "Stage__c").unwrap(), r#""Paid""#);
    assert_eq!(rig.stub.seen("/composite/").len(), 2);
}

#[tokio::test]
async fn keys_that_differ_only_by_case_are_no_duplicates_of_one_request() {
    let rig = Rig::start().await;
    rig.done([
        order("AB", [("Note__c", text("upper"))]),
        order("ab", [("Note__c", text("lower"))]),
    ])
    .await;
    // One record, as Salesforce finds keys whatever their case; the later one stands.
    assert_eq!(rig.count("Order__c"), 1);
    assert_eq!(rig.order("ab", "Note__c").unwrap(), r#""lower""#);
}

#[tokio::test]
async fn an_earlier_record_comes_again_when_the_one_sent_instead_is_refused() {
    let rig = Rig::start().await;
    let outcomes = rig
        .deliver([
            order("1", [("Stage__c", text("Open"))]),
            order("1", [("Stage__c", text("no such stage"))]),
        ])
        .await;
    assert_eq!(
        outcomes[0].verdict,
        Verdict::Retry { after: None },
        "{outcomes:?}"
    );
    assert_eq!(outcomes[1].verdict, Verdict::GiveUp);
}

#[tokio::test]
async fn inserts_share_a_request_and_each_makes_a_record() {
    let rig = Rig::start().await;
    let insert = |note: &'static str| record(Insert, "Order__c", None, [("Note__c", text(note))]);
    rig.done([insert("a"), insert("b"), insert("b")]).await;
    assert_eq!(rig.count("Order__c"), 3);
    let seen = rig.stub.seen("/composite/sobjects");
    assert_eq!((seen.len(), seen[0].method.as_str()), (1, "POST"));
}

#[tokio::test]
async fn an_update_changes_what_is_there_and_makes_nothing() {
    let rig = Rig::start().await;
    rig.done([order("1", []), order("2", [])]).await;
    let update = |id: &str, note| {
        record(
            Update,
            "Order__c",
            Some("Shop_Id__c"),
            [("Shop_Id__c", text(id)), ("Note__c", text(note))],
        )
    };
    // Alone, and with others.
    rig.done([update("1", "alone")]).await;
    assert_eq!(
        rig.stub
            .seen("/sobjects/Order__c/Shop_Id__c/1?updateOnly=true")
            .len(),
        1
    );
    let outcomes = rig
        .deliver([
            update("1", "again"),
            update("2", "two"),
            update("3", "three"),
        ])
        .await;
    let verdicts: Vec<&Verdict> = outcomes.iter().map(|outcome| &outcome.verdict).collect();
    assert_eq!(
        verdicts,
        [&Verdict::Done, &Verdict::Done, &Verdict::GiveUp],
        "{outcomes:?}"
    );
    assert_eq!(rig.order("2", "Note__c").unwrap(), r#""two""#);
    assert!(
        outcomes[2]
            .reason
            .starts_with("Order__c Shop_Id__c=3: HTTP 404"),
        "{}",
        outcomes[2].reason
    );
    assert_eq!(rig.count("Order__c"), 2);
    assert_eq!(rig.stub.seen("/composite/graph").len(), 1);
}

// In a graph a value with `@{` is a reference: an outsider would have the id of another's record filled in.
#[tokio::test]
async fn of_a_batch_of_updates_those_that_look_like_references_go_alone() {
    let rig = Rig::start().await;
    rig.done(["1", "2", "3", "4"].map(|id| order(id, []))).await;
    let update = |id: &str, note: &str| {
        record(
            Update,
            "Order__c",
            Some("Shop_Id__c"),
            [("Shop_Id__c", text(id)), ("Note__c", text(note))],
        )
    };
    let sly = "@{r0.id}";
    rig.done([
        update("1", "one"),
        update("2", sly),
        update("3", "three"),
        update("4", "four"),
    ])
    .await;
    for (id, note) in [("1", "one"), ("2", sly), ("3", "three"), ("4", "four")] {
        assert_eq!(rig.order(id, "Note__c"), Some(format!("\"{note}\"")));
    }
    let alone = rig.stub.seen("/Order__c/Shop_Id__c/2?updateOnly=true");
    assert_eq!(alone.len(), 1);
    let graphs = rig.stub.seen("/composite/graph");
    assert!(!graphs.is_empty());
    assert!(graphs.iter().all(|call| !call.body.contains("@{")));
}

#[tokio::test]
async fn a_delete_of_what_is_gone_already_is_done() {
    let rig = Rig::start().await;
    rig.done([order("1", []), order("2", []), order("3", [])])
        .await;
    let delete = |id: &str| {
        record(
            Delete,
            "Order__c",
            Some("Shop_Id__c"),
            [("Shop_Id__c", text(id))],
        )
    };
    rig.done([delete("1")]).await;
    rig.done([delete("1"), delete("2")]).await;
    assert_eq!(rig.count("Order__c"), 1);
}

#[tokio::test]
async fn a_platform_event_that_is_enqueued_is_delivered() {
    let rig = Rig::start().await;
    let event = |id: &str| record(Insert, "Order_Paid__e", None, [("Shop_Id__c", text(id))]);
    let outcomes = rig
        .deliver([
            event("1"),
            event("2"),
            record(Insert, "Order_Paid__e", None, []),
        ])
        .await;
    assert_eq!(outcomes[0].verdict, Verdict::Done);
    assert_eq!(outcomes[0].status, Some(201));
    assert!(
        outcomes[0].excerpt.contains("OPERATION_ENQUEUED"),
        "{:?}",
        outcomes[0]
    );
    assert_eq!(outcomes[1].verdict, Verdict::Done);
    assert_eq!(outcomes[2].verdict, Verdict::GiveUp);
    assert_eq!(rig.stub.seen("/sobjects/Order_Paid__e").len(), 3);
}

#[tokio::test]
async fn assignment_rules_run_only_when_asked_and_duplicate_rules_are_passed_only_when_asked() {
    let rig = Rig::start().await;
    rig.done([order("1", [])]).await;
    let seen = &rig.stub.seen("/composite/")[0];
    assert_eq!(seen.headers.get("sforce-auto-assign").unwrap(), "FALSE");
    assert_eq!(seen.headers.get("sforce-duplicate-rule-header"), None);

    let rig = Rig::with(|target| {
        target.auto_assign = true;
        target.allow_duplicates = true;
        target.api_version = "v68.0".to_owned();
    })
    .await;
    rig.done([order("1", [])]).await;
    let seen = &rig.stub.seen("/services/data/v68.0/composite/")[0];
    assert_eq!(seen.headers.get("sforce-auto-assign").unwrap(), "TRUE");
    assert_eq!(
        seen.headers.get("sforce-duplicate-rule-header").unwrap(),
        "allowSave=true"
    );
}

//! Records with parents and children.

use hookplane_control_plane::dispatch::sink::{Sink as _, Verdict};
use hookplane_control_plane::mapping::{Child, Record};
use hookplane_proto::v1::RecordOperation::Delete;
use hookplane_tests::salesforce::{Fields, plain};

use super::rig::*;

/// An order of ann's with two lines.
fn whole_order(id: &str) -> Record {
    let ann = account(
        "ann@example.com",
        [("Name", text("Ann")), ("Phone", text("+41441234567"))],
    );
    let lines = [
        line(&format!("{id}-1"), [("Sku__c", text("TEA"))]),
        line(
            &format!("{id}-2"),
            [("Sku__c", text("CUP")), ("Quantity__c", number("3"))],
        ),
    ];
    over(
        under(order(id, [("Total__c", number("12.50"))]), ann),
        lines,
    )
}

fn id_of(rig: &Rig, object: &str, field: &str, value: &str) -> String {
    let org = rig.stub.org();
    org.objects[object].found(field, value).pop().unwrap()
}

fn reference(fields: &Fields, field: &str) -> String {
    plain(&fields[field])
}

#[tokio::test]
async fn an_order_goes_with_its_account_and_lines_in_one_request_and_a_replay_makes_nothing_new() {
    let rig = Rig::start().await;
    rig.done([whole_order("1")]).await;
    rig.done([whole_order("1")]).await;
    assert_eq!(rig.stub.seen("/composite/graph").len(), 2);
    assert_eq!(
        (
            rig.count("Account"),
            rig.count("Order__c"),
            rig.count("OrderLine__c")
        ),
        (1, 1, 2)
    );
    let account = id_of(&rig, "Account", "Email__c", "ann@example.com");
    let order = id_of(&rig, "Order__c", "Shop_Id__c", "1");
    let org = rig.stub.org();
    let stored = org.one("Order__c", "Shop_Id__c", "1").unwrap();
    assert_eq!(reference(&stored, "Account__c"), account);
    assert_eq!(stored["Total__c"], "12.50");
    for stored in org.records("OrderLine__c") {
        assert_eq!(reference(&stored, "Order__c"), order);
    }
}

#[tokio::test]
async fn the_graphs_of_several_events_share_a_request() {
    let rig = Rig::start().await;
    let small = |n: usize| over(order(&format!("o{n}"), []), [line(&format!("l{n}"), [])]);
    rig.done((0..100).map(small)).await;
    assert_eq!(
        (rig.count("Order__c"), rig.count("OrderLine__c")),
        (100, 100)
    );
    // At most 75 graphs in one.
    assert_eq!(rig.stub.seen("/composite/graph").len(), 2);
}

#[tokio::test]
async fn a_parent_with_its_key_alone_is_looked_up_and_has_to_be_there() {
    let rig = Rig::start().await;
    let with = |email: &str| under(order("1", []), account(email, []));
    let outcomes = rig.deliver([with("ann@example.com")]).await;
    assert_eq!(outcomes[0].verdict, Verdict::GiveUp);
    assert!(
        outcomes[0].reason.contains("ann@example.com not found"),
        "{}",
        outcomes[0].reason
    );
    rig.done([account("ann@example.com", [("Name", text("Ann"))])])
        .await;
    rig.done([with("ann@example.com")]).await;
    let account = id_of(&rig, "Account", "Email__c", "ann@example.com");
    let stored = rig.stub.org().one("Order__c", "Shop_Id__c", "1").unwrap();
    assert_eq!(reference(&stored, "Account__c"), account);
    assert!(rig.stub.seen("/composite/graph").is_empty());
}

#[tokio::test]
async fn all_or_none_leaves_nothing_of_an_event_with_a_record_that_is_refused() {
    let rig = Rig::with(|target| target.all_or_none = true).await;
    let bad = over(
        whole_order("1"),
        [line("1-3", [("Quantity__c", text("many"))])],
    );
    let outcomes = rig.deliver([bad, whole_order("2")]).await;
    assert_eq!(outcomes[0].verdict, Verdict::GiveUp);
    assert!(
        outcomes[0]
            .reason
            .starts_with("0 of 5 records written; OrderLine__c Line_Id__c=1-3: "),
        "{}",
        outcomes[0].reason
    );
    assert!(rig.order("1", "Total__c").is_none());
    // The other event is another graph.
    assert_eq!(outcomes[1].verdict, Verdict::Done, "{:?}", outcomes[1]);
    assert_eq!(rig.count("OrderLine__c"), 2);
}

#[tokio::test]
async fn without_all_or_none_what_can_be_written_is_and_the_rest_is_named() {
    let rig = Rig::start().await;
    let bad = over(
        whole_order("1"),
        [line("1-3", [("Sku__c", text(&"x".repeat(21)))])],
    );
    let outcomes = rig.deliver([bad]).await;
    assert_eq!(outcomes[0].verdict, Verdict::GiveUp);
    let reason = &outcomes[0].reason;
    assert!(
        reason.starts_with("4 of 5 records written; OrderLine__c Line_Id__c=1-3: STRING_TOO_LONG"),
        "{reason}"
    );
    assert_eq!(
        (
            rig.count("Account"),
            rig.count("Order__c"),
            rig.count("OrderLine__c")
        ),
        (1, 1, 2)
    );
}

#[tokio::test]
async fn children_of_a_base_that_is_refused_are_not_tried() {
    let rig = Rig::start().await;
    let bad = over(
        order("1", [("Stage__c", text("Lost"))]),
        [line("1", []), line("2", [])],
    );
    let outcomes = rig.deliver([bad]).await;
    let reason = &outcomes[0].reason;
    assert!(
        reason.contains("Order__c Shop_Id__c=1: INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        "{reason}"
    );
    assert!(
        reason.ends_with("2 not written because of others"),
        "{reason}"
    );
    assert_eq!((rig.count("Order__c"), rig.count("OrderLine__c")), (0, 0));
}

#[tokio::test]
async fn more_children_than_a_graph_takes_follow_once_their_base_is_there() {
    let rig = Rig::start().await;
    let many = || over(order("1", []), (0..650).map(|n| line(&format!("l{n}"), [])));
    rig.done([many()]).await;
    rig.done([many()]).await;
    assert_eq!(rig.count("OrderLine__c"), 650);
    let order = id_of(&rig, "Order__c", "Shop_Id__c", "1");
    assert!(
        rig.stub
            .org()
            .records("OrderLine__c")
            .iter()
            .all(|line| reference(line, "Order__c") == order)
    );
    assert!(rig.stub.seen("/composite/graph").is_empty());

    let rig = Rig::with(|target| target.all_or_none = true).await;
    let outcomes = rig.deliver([many()]).await;
    assert_eq!(outcomes[0].verdict, Verdict::GiveUp);
    assert!(
        outcomes[0]
            .reason
            .contains("it makes 651 records, and at most 500"),
        "{}",
        outcomes[0].reason
    );
    assert_eq!(rig.count("Order__c"), 0);
}

#[tokio::test]
async fn a_value_that_looks_like_a_reference_stays_a_value() {
    let rig = Rig::start().await;
    let sly = over(
        order("1", [("Note__c", text("@{r0.id}"))]),
        [line("1", [("Sku__c", text("@{r0.id}"))])],
    );
    rig.done([sly.clone()]).await;
    assert_eq!(rig.order("1", "Note__c").unwrap(), r#""@{r0.id}""#);
    assert_eq!(
        plain(&rig.stub.org().records("OrderLine__c")[0]["Sku__c"]),
        "@{r0.id}"
    );

    let rig = Rig::with(|target| target.all_or_none = true).await;
    let outcomes = rig.deliver([sly]).await;
    assert_eq!(outcomes[0].verdict, Verdict::GiveUp);
    assert!(rig.stub.seen("/composite").is_empty());
}

#[tokio::test]
async fn records_that_point_to_one_that_is_deleted_are_deleted_before_it() {
    let rig = Rig::start().await;
    rig.done([whole_order("1")]).await;
    let gone = |object: &str, key: &'static str, value: &str| {
        record(Delete, object, Some(key), [(key, text(value))])
    };
    let mut delete = gone("Order__c", "Shop_Id__c", "1");
    delete.children.push(Child {
        parent_field: "Order__r".to_owned(),
        record: gone("OrderLine__c", "Line_Id__c", "1-1"),
    });
    rig.done([delete]).await;
    assert_eq!((rig.count("Order__c"), rig.count("OrderLine__c")), (0, 1));
    let deletes: Vec<String> = rig
        .stub
        .org()
        .seen
        .iter()
        .filter(|seen| seen.method == "DELETE")
        .map(|seen| seen.path.clone())
        .collect();
    assert!(
        deletes[0].contains("OrderLine__c") && deletes[1].contains("/Order__c/"),
        "{deletes:?}"
    );
}

fn delete_line(id: &str) -> Record {
    let fields = [("Line_Id__c", text(id))];
    record(Delete, "OrderLine__c", Some("Line_Id__c"), fields)
}

#[tokio::test]
async fn a_record_to_delete_that_is_gone_takes_nothing_of_its_event_back() {
    for all_or_none in [false, true] {
        let rig = Rig::with(|target| target.all_or_none = all_or_none).await;
        rig.done([over(order("1", []), [line("there", [])])]).await;
        let event = || {
            let base = order("1", [("Note__c", text("changed"))]);
            let children = [
                delete_line("gone-1"),
                line("new-1", []),
                delete_line("there"),
                delete_line("gone-2"),
                line("new-2", [("Sku__c", text("TEA"))]),
            ];
            over(base, children)
        };
        let outcomes = rig.deliver([event(), whole_order("2")]).await;
        for outcome in &outcomes {
            assert_eq!(outcome.verdict, Verdict::Done, "{all_or_none} {outcome:?}");
        }
        assert!(
            outcomes[0].reason.contains("nothing to delete"),
            "{outcomes:?}"
        );
        // It happens once more, as after a kill or with a replay: of what is deleted nothing is there.
        rig.done([event()]).await;
        assert_eq!(rig.order("1", "Note__c").unwrap(), r#""changed""#);
        let order = id_of(&rig, "Order__c", "Shop_Id__c", "1");
        let org = rig.stub.org();
        assert!(org.one("OrderLine__c", "Line_Id__c", "there").is_none());
        for new in ["new-1", "new-2"] {
            let line = org.one("OrderLine__c", "Line_Id__c", new).unwrap();
            assert_eq!(reference(&line, "Order__c"), order);
        }
    }
}

#[tokio::test]
async fn all_or_none_stays_so_whatever_of_what_is_deleted_is_gone() {
    let rig = Rig::with(|target| target.all_or_none = true).await;
    let bad = line("bad", [("Quantity__c", text("many"))]);
    let event = over(order("1", []), [delete_line("gone"), bad, line("new", [])]);
    let outcomes = rig.deliver([event]).await;
    assert_eq!(outcomes[0].verdict, Verdict::GiveUp);
    let reason = &outcomes[0].reason;
    assert!(
        reason.starts_with("0 of 4 records written; OrderLine__c Line_Id__c=bad: "),
        "{reason}"
    );
    // Each that is gone costs a call.
    let many = (0..80).map(|n| delete_line(&format!("gone-{n}")));
    let outcomes = rig.deliver([over(order("1", []), many)]).await;
    assert_eq!(outcomes[0].verdict, Verdict::GiveUp);
    let reason = &outcomes[0].reason;
    assert!(
        reason.starts_with("0 of 81 records written; more than 50 of the records that it deletes"),
        "{reason}"
    );
    assert!(rig.stub.seen("/composite/graph").len() < 60);
    assert_eq!((rig.count("Order__c"), rig.count("OrderLine__c")), (0, 0));
}

#[tokio::test]
async fn a_preview_is_what_is_sent_without_the_token() {
    let rig = Rig::with(|target| target.all_or_none = true).await;
    for record in [
        whole_order("1"),
        order("2", [("Total__c", number("1.10"))]),
        record(
            Delete,
            "Order__c",
            Some("Shop_Id__c"),
            [("Shop_Id__c", text("a/b"))],
        ),
    ] {
        let job = job(record);
        let shown = rig.sink.preview(&job);
        assert!(rig.stub.seen("/services/data").is_empty());
        rig.sink.deliver(std::slice::from_ref(&job)).await;
        let sent = std::mem::take(&mut rig.stub.org().seen);
        let sent: Vec<_> = sent
            .iter()
            .filter(|seen| !seen.path.contains("oauth2"))
            .collect();
        assert_eq!(shown.len(), 1);
        let (shown, sent) = (&shown[0], sent[0]);
        assert_eq!((&shown.method, &shown.body), (&sent.method, &sent.body));
        assert_eq!(shown.url, format!("{}{}", rig.stub.url(), sent.path));
        for (name, value) in &shown.headers {
            let hidden = name == "authorization";
            assert!(
                hidden && value == "Bearer ***" || sent.headers[name] == *value,
                "{name}"
            );
        }
    }
}

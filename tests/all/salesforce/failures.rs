//! What goes wrong, and whom it concerns.

use std::time::Duration;

use futures_util::future::join_all;
use hookplane_control_plane::dispatch::sink::{Outcome, Verdict};
use hookplane_proto::v1::RecordOperation::{Delete, Update};
use hookplane_tests::salesforce::Fault;

use super::rig::*;

fn verdicts(outcomes: &[Outcome]) -> Vec<Verdict> {
    outcomes
        .iter()
        .map(|outcome| outcome.verdict.clone())
        .collect()
}

const RETRY: Verdict = Verdict::Retry { after: None };

#[tokio::test]
async fn of_an_answer_of_200_only_the_row_with_an_error_is_dead() {
    let rig = Rig::start().await;
    let outcomes = rig
        .deliver([
            order("1", []),
            order("2", [("Stage__c", text("Lost"))]),
            order("3", [("Nothing__c", text("x"))]),
            order("4", [("Note__c", text(&"x".repeat(41)))]),
            account("ann@example.com", []),
            order("5", []),
        ])
        .await;
    use Verdict::{Done, GiveUp};
    assert_eq!(
        verdicts(&outcomes),
        [Done, GiveUp, GiveUp, GiveUp, GiveUp, Done],
        "{outcomes:?}"
    );
    let reason = |place: usize| &*outcomes[place].reason;
    assert_eq!(
        reason(1),
        "Order__c Shop_Id__c=2: INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST: Stage__c: bad value for restricted picklist field: Lost (Stage__c)"
    );
    assert!(
        reason(2).contains("INVALID_FIELD: No such column 'Nothing__c'"),
        "{}",
        reason(2)
    );
    assert!(reason(3).contains("STRING_TOO_LONG"), "{}", reason(3));
    assert!(
        reason(4).starts_with("Account Email__c=ann@example.com: REQUIRED_FIELD_MISSING"),
        "{}",
        reason(4)
    );
    assert_eq!(outcomes[1].status, Some(200));
    // Each has its own part of the answer.
    assert!(outcomes[0].excerpt.contains("created") && !outcomes[0].excerpt.contains("Lost"));
    assert_eq!(rig.count("Order__c"), 2);
}

#[tokio::test]
async fn a_row_that_makes_a_request_unreadable_takes_no_other_down() {
    let rig = Rig::start().await;
    let mut orders: Vec<_> = (0..199).map(|n| order(&format!("o{n}"), [])).collect();
    orders.insert(77, order("bad", [("Total__c", text("twelve"))]));
    let outcomes = rig.deliver(orders).await;
    for (place, outcome) in outcomes.iter().enumerate() {
        let expected = if place == 77 {
            Verdict::GiveUp
        } else {
            Verdict::Done
        };
        assert_eq!(outcome.verdict, expected, "{place}: {outcome:?}");
    }
    assert!(
        outcomes[77].reason.contains("JSON_PARSER_ERROR"),
        "{}",
        outcomes[77].reason
    );
    assert_eq!(rig.count("Order__c"), 199);
    assert!(rig.stub.seen("/composite/").len() < 20);
}

#[tokio::test]
async fn a_batch_of_unreadable_rows_costs_few_calls() {
    let rig = Rig::start().await;
    let outcomes = rig
        .deliver((0..200).map(|n| order(&format!("o{n}"), [("Total__c", text("x"))])))
        .await;
    assert!(
        outcomes
            .iter()
            .any(|outcome| outcome.verdict == Verdict::GiveUp)
    );
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.verdict != Verdict::Done)
    );
    assert!(rig.stub.seen("/composite/").len() <= 34);
}

#[tokio::test]
async fn a_locked_row_comes_again_and_the_others_are_done() {
    let rig = Rig::start().await;
    rig.stub.org().locks.insert("2".to_owned(), 1);
    let orders = || [order("1", []), order("2", []), order("3", [])];
    let outcomes = rig.deliver(orders()).await;
    assert_eq!(
        verdicts(&outcomes),
        [Verdict::Done, RETRY, Verdict::Done],
        "{outcomes:?}"
    );
    assert!(
        outcomes[1].reason.contains("UNABLE_TO_LOCK_ROW"),
        "{}",
        outcomes[1].reason
    );
    rig.done(orders()).await;
    // In a graph as well.
    rig.stub.org().locks.insert("l1".to_owned(), 1);
    let tree = || over(order("4", []), [line("l1", [])]);
    let outcomes = rig.deliver([tree()]).await;
    assert_eq!(verdicts(&outcomes), [RETRY], "{outcomes:?}");
    rig.done([tree()]).await;
}

#[tokio::test]
async fn what_something_else_than_salesforce_answers_comes_again() {
    let rig = Rig::start().await;
    let gone = || {
        record(
            Delete,
            "Order__c",
            Some("Shop_Id__c"),
            [("Shop_Id__c", text("1"))],
        )
    };
    for (status, body) in [(302, ""), (307, "<html>"), (403, "<html>"), (404, "<html>")] {
        for (path, of) in [("/composite/", order("1", [])), ("/sobjects/", gone())] {
            rig.stub.fail(path, Fault::Answer(status, body.to_owned()));
            let outcomes = rig.deliver([of.clone()]).await;
            assert_eq!(verdicts(&outcomes), [RETRY], "{outcomes:?}");
            let reason = &outcomes[0].reason;
            assert!(reason.contains("check the destination's url"), "{reason}");
            rig.done([of]).await;
        }
    }
    assert_eq!(rig.count("Order__c"), 0);
}

#[tokio::test]
async fn two_requests_with_one_parent_never_lock_each_other_out() {
    let rig = Rig::start().await;
    rig.done([account("ann@example.com", [("Name", text("Ann"))])])
        .await;
    // Requests hold what they write, and its parents, for this long: without the sink's own order they would meet.
    rig.stub.set_pace(Duration::from_millis(20));
    let deliveries = (0..8).map(|n| {
        let looked_up = under(order(&format!("o{n}"), []), account("ann@example.com", []));
        let written = under(
            order(&format!("p{n}"), []),
            account("Ann@example.com", [("Name", text("Ann"))]),
        );
        rig.deliver([looked_up, written])
    });
    for outcomes in join_all(deliveries).await {
        assert_eq!(
            verdicts(&outcomes),
            [Verdict::Done, Verdict::Done],
            "{outcomes:?}"
        );
    }
    assert_eq!(rig.count("Order__c"), 16);
}

#[tokio::test]
async fn the_days_limit_pauses_the_destination_and_the_rest_of_the_batch_is_not_sent() {
    let rig = Rig::start().await;
    rig.stub.org().calls = (1, 2);
    let outcomes = rig
        .deliver([
            order("1", []),
            account("a@example.com", [("Name", text("A"))]),
        ])
        .await;
    assert_eq!(outcomes[0].verdict, Verdict::Done, "{outcomes:?}");
    assert!(
        outcomes[0].reason.contains("2 of the 2 API calls"),
        "{}",
        outcomes[0].reason
    );
    assert_eq!(
        outcomes[1].verdict,
        Verdict::Pause {
            time: Duration::from_secs(900)
        }
    );
    assert_eq!(outcomes[1].status, Some(403));
    assert!(
        outcomes[1].reason.contains("REQUEST_LIMIT_EXCEEDED"),
        "{}",
        outcomes[1].reason
    );
    let before = rig.stub.seen("/composite").len();
    let trees = (0..160).map(|n| over(order(&format!("o{n}"), []), [line(&format!("l{n}"), [])]));
    let outcomes = rig.deliver(trees).await;
    assert!(outcomes.iter().all(|outcome| outcome.verdict
        == Verdict::Pause {
            time: Duration::from_secs(900)
        }));
    assert_eq!(rig.stub.seen("/composite").len() - before, 1);
}

#[tokio::test]
async fn a_used_up_days_limit_is_told_only_when_it_is_near() {
    let rig = Rig::start().await;
    rig.stub.org().calls = (898, 1000);
    assert_eq!(rig.deliver([order("1", [])]).await[0].reason, "");
    assert_eq!(
        rig.deliver([order("1", [])]).await[0].reason,
        "900 of the 1000 API calls of 24 hours are used"
    );
}

#[tokio::test]
async fn too_many_calls_at_a_time_pause_for_less() {
    let rig = Rig::start().await;
    let body = r#"[{"message":"ConcurrentPerOrgLongTxn Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]"#;
    rig.stub
        .fail("/composite", Fault::Answer(403, body.to_owned()));
    let outcomes = rig.deliver([order("1", [])]).await;
    assert_eq!(
        outcomes[0].verdict,
        Verdict::Pause {
            time: Duration::from_secs(30)
        }
    );
}

#[tokio::test]
async fn what_has_no_answer_is_sent_again_and_upserts_make_nothing_twice() {
    let rig = Rig::timed(|_| {}, Duration::from_secs(2)).await;
    for fault in [Fault::Reset, Fault::ResetAfterwards, Fault::Silence] {
        let tree = || over(order("1", []), [line("l1", [])]);
        rig.stub.fail("/composite/graph", fault);
        let outcomes = rig.deliver([tree()]).await;
        assert_eq!(verdicts(&outcomes), [RETRY], "{outcomes:?}");
        assert_eq!(outcomes[0].status, None);
        rig.done([tree()]).await;
    }
    assert_eq!((rig.count("Order__c"), rig.count("OrderLine__c")), (1, 1));
}

#[tokio::test]
async fn a_server_in_trouble_is_tried_again_no_sooner_than_it_says() {
    let rig = Rig::start().await;
    for (status, after) in [(500, None), (503, Some(7)), (429, Some(30)), (408, None)] {
        let fault = match after {
            Some(seconds) => Fault::AnswerWith(
                status,
                ("retry-after", if seconds == 7 { "7" } else { "30" }),
                "busy".to_owned(),
            ),
            None => Fault::Answer(status, "trouble".to_owned()),
        };
        rig.stub.fail("/composite", fault);
        let outcomes = rig
            .deliver([order("1", []), account("a@example.com", [])])
            .await;
        let retry = Verdict::Retry {
            after: after.map(Duration::from_secs),
        };
        assert_eq!(verdicts(&outcomes), [retry.clone(), retry], "{status}");
        assert_eq!(outcomes[0].status, Some(status));
    }
    // The second group of each was left alone.
    assert_eq!(rig.stub.seen("/composite").len(), 4);
}

#[tokio::test]
async fn answers_that_make_no_sense_are_no_success() {
    let rig = Rig::start().await;
    for body in [
        "",
        "[]",
        "{}",
        "[{\"success\":true},{\"success\":true}]",
        "<html>",
        "[{}]",
        "[null]",
    ] {
        rig.stub
            .fail("/composite", Fault::Answer(200, body.to_owned()));
        let outcomes = rig.deliver([order("1", [])]).await;
        assert_eq!(verdicts(&outcomes), [RETRY], "{body:?}: {outcomes:?}");
    }
    for body in [
        "",
        "[]",
        r#"{"graphs":[]}"#,
        r#"{"graphs":[{"graphId":"g0","isSuccessful":true,"graphResponse":{"compositeResponse":[]}}]}"#,
    ] {
        rig.stub
            .fail("/composite/graph", Fault::Answer(200, body.to_owned()));
        let outcomes = rig.deliver([over(order("1", []), [line("l1", [])])]).await;
        assert_eq!(verdicts(&outcomes), [RETRY], "{body:?}: {outcomes:?}");
    }
}

#[tokio::test]
async fn a_key_that_several_records_have_is_given_up_with_nothing_written() {
    let rig = Rig::start().await;
    rig.done([
        order("1", [("Batch__c", text("b"))]),
        order("2", [("Batch__c", text("b"))]),
    ])
    .await;
    let update = record(
        Update,
        "Order__c",
        Some("Batch__c"),
        [("Batch__c", text("b")), ("Note__c", text("x"))],
    );
    let outcomes = rig.deliver([update]).await;
    assert_eq!(outcomes[0].verdict, Verdict::GiveUp);
    assert_eq!(outcomes[0].status, Some(300));
    assert!(
        outcomes[0].reason.contains("several records have this key"),
        "{}",
        outcomes[0].reason
    );
    let upsert = record(
        hookplane_proto::v1::RecordOperation::Upsert,
        "Order__c",
        Some("Batch__c"),
        [("Batch__c", text("b"))],
    );
    let outcomes = rig.deliver([upsert]).await;
    assert_eq!(outcomes[0].verdict, Verdict::GiveUp);
    assert!(
        outcomes[0].reason.contains("DUPLICATE_EXTERNAL_ID"),
        "{}",
        outcomes[0].reason
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_comes_again() {
    let rig = Rig::start().await;
    rig.stub.fail(
        "/composite",
        Fault::AnswerWith(
            302,
            ("location", "http://127.0.0.1:1/elsewhere"),
            String::new(),
        ),
    );
    let outcomes = rig.deliver([order("1", [])]).await;
    assert_eq!(verdicts(&outcomes), [RETRY]);
    assert!(
        outcomes[0]
            .reason
            .contains("a redirect, which isn't followed"),
        "{}",
        outcomes[0].reason
    );
    rig.done([order("1", [])]).await;
}

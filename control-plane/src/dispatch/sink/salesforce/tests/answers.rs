use std::time::Duration;

use super::super::answers::{Fate, collection, failure, graphs, single, usage};

const AGAIN: Fate = Fate::Again { after: None };

#[test]
fn a_failed_call_is_told_by_its_code_before_its_status() {
    let error =
        |code: &str, message: &str| format!(r#"[{{"message":"{message}","errorCode":"{code}"}}]"#);
    let pause = |seconds| Fate::Pause {
        time: Duration::from_secs(seconds),
    };
    for (status, body, fate) in [
        (
            403,
            error("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
            pause(900),
        ),
        (
            503,
            error(
                "REQUEST_LIMIT_EXCEEDED",
                "ConcurrentRequests Limit exceeded.",
            ),
            pause(30),
        ),
        (403, error("INSUFFICIENT_ACCESS", ""), Fate::Refused),
        (400, error("UNABLE_TO_LOCK_ROW", ""), AGAIN),
        (
            400,
            error(
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
                "Orders: execution of AfterInsert caused by: System.DmlException: first error: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access",
            ),
            AGAIN,
        ),
        (
            400,
            error("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "Orders: null"),
            Fate::Refused,
        ),
        (400, error("PROCESSING_HALTED", ""), Fate::NotTried),
        (400, error("INVALID_FIELD", ""), Fate::Refused),
        (404, error("NOT_FOUND", ""), Fate::Refused),
        (
            300,
            r#"["/services/data/v65.0/sobjects/Order__c/1"]"#.to_owned(),
            Fate::Refused,
        ),
        (302, String::new(), AGAIN),
        (308, "<html>".to_owned(), AGAIN),
        (403, "<html>".to_owned(), AGAIN),
        (404, String::new(), AGAIN),
        (500, "<html>".to_owned(), AGAIN),
        (599, String::new(), AGAIN),
        (408, String::new(), AGAIN),
        (413, String::new(), Fate::Refused),
    ] {
        let told = failure(status, None, &body).unwrap();
        assert_eq!(
            (told.fate, told.status),
            (fate, Some(status)),
            "{status} {body}"
        );
    }
    let after = Some(Duration::from_secs(9));
    assert_eq!(failure(429, after, "").unwrap().fate, Fate::Again { after });
    assert_eq!(failure(200, None, ""), None);
}

#[test]
fn every_row_of_a_collection_is_told_by_its_own_result() {
    let body = r#"[
        {"id":"a1","success":true,"errors":[],"created":true},
        {"success":false,"errors":[{"statusCode":"UNABLE_TO_LOCK_ROW","message":"busy","fields":[]}]},
        {"success":false,"errors":[{"statusCode":"STRING_TOO_LONG","message":"too long","fields":["Name"]},{"statusCode":"X","message":"y"}]}
    ]"#;
    let told = collection(200, body, 3);
    let fates: Vec<&Fate> = told.iter().map(|told| &told.fate).collect();
    let written = Fate::Written {
        id: Some("a1".to_owned()),
    };
    assert_eq!(fates, [&written, &AGAIN, &Fate::Refused]);
    assert_eq!(told[2].said, "STRING_TOO_LONG: too long (Name); X: y");
    // A result too few says nothing of any row.
    assert!(
        collection(200, body, 4)
            .iter()
            .all(|told| told.fate == AGAIN)
    );
}

#[test]
fn an_enqueued_event_is_written_and_an_update_answers_nothing() {
    let body = r#"{"id":"e1","success":true,"errors":[{"statusCode":"OPERATION_ENQUEUED","message":"uuid","fields":[]}]}"#;
    assert!(single(201, body).written());
    assert_eq!(single(204, "").fate, Fate::Written { id: None });
    assert_eq!(single(201, "<html>").fate, AGAIN);
}

#[test]
fn a_graph_that_was_taken_back_has_no_row_that_was_written() {
    let body = r#"{"graphs":[
        {"graphId":"g1","isSuccessful":false,"graphResponse":{"compositeResponse":[
            {"referenceId":"r0","httpStatusCode":201,"body":{"id":"a1","success":true,"errors":[]}},
            {"referenceId":"r1","httpStatusCode":400,"body":[{"errorCode":"X","message":"wrong"}]},
            {"referenceId":"r2","httpStatusCode":400,"body":[{"errorCode":"PROCESSING_HALTED","message":"rolled back"}]}]}},
        {"graphId":"g0","isSuccessful":true,"graphResponse":{"compositeResponse":[
            {"referenceId":"r0","httpStatusCode":204,"body":null}]}}
    ]}"#;
    let told = graphs(200, body, &[1, 3, 2]);
    assert!(told[0][0].written());
    let fates: Vec<&Fate> = told[1].iter().map(|told| &told.fate).collect();
    assert_eq!(fates, [&Fate::NotTried, &Fate::Refused, &Fate::NotTried]);
    assert!(told[2].iter().all(|told| told.fate == AGAIN));
}

#[test]
fn what_an_operator_reads_is_bounded() {
    let errors: Vec<String> = (0..100)
        .map(|_| format!(r#"{{"errorCode":"X","message":"{}"}}"#, "ä".repeat(5_000)))
        .collect();
    let told = failure(400, None, &format!("[{}]", errors.join(","))).unwrap();
    assert!(told.said.len() < 700 && told.excerpt.len() <= 2_048);
}

#[test]
fn the_days_calls_are_read_among_others() {
    assert_eq!(usage("api-usage=25/5000"), Some((25, 5000)));
    assert_eq!(
        usage("per-app-api-usage=1/2(appName=x); api-usage=25/5000"),
        Some((25, 5000))
    );
    for odd in [
        "",
        "api-usage=",
        "api-usage=1",
        "api-usage=a/b",
        "api-usage=-1/2",
        "api-usage=99999999999/1",
    ] {
        assert_eq!(usage(odd), None, "{odd}");
    }
}

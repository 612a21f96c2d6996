//! The same of a report: from a listener that knew of less, and from one that took everything out.

use super::*;

/// As it came, from a listener for which a token in the body is no secret.
fn older(protocol: &str, content_type: &str, body: &str) -> v1::ReportedCallback {
    let public = protocol.replace("\"}}]", "\", public: true}}]");
    assert_ne!(public, protocol);
    let report = reported(&redacting(&public, &[], ""), content_type, body.to_owned());
    assert!(report.redacted.is_empty());
    report
}

/// What the control plane may do with a report: look once more, or match it again.
fn looked_at(group: &Group, report: &v1::ReportedCallback) -> [v1::ReportedCallback; 2] {
    [Group::redact, Group::rematch].map(|look| {
        let mut report = report.clone();
        look(group, &mut report);
        report
    })
}

#[test]
fn what_was_reported_before_a_redaction_was_known_is_redacted_when_it_is_matched_again() {
    let old = redacting(HEADER, &[], "");
    let new = redacting(HEADER, &[("payload.email", false)], "");
    for (content_type, body) in [
        (JSON, r#"{"type": "t", "email": "a@b.c", "n": 1.0}"#),
        (FORM, "type=t&email=a@b.c&n=1.0"),
        ("text/xml", "<email>a@b.c</email>"),
        (JSON, "a@b.c"),
    ] {
        let came = reported(&old, content_type, body);
        let mut late = came.clone();
        new.rematch(&mut late);
        let mut fresh = reported(&new, content_type, body);
        if content_type == "text/xml" {
            fresh = late.clone();
        }
        assert_eq!(late.body, fresh.body);
        assert_eq!(late.body_digest, fresh.body_digest);
        assert_eq!(late.flags, fresh.flags);
    }
    let old = redacting(BATCH, &[], "");
    let new = redacting(BATCH, &[("payload.email", false)], "");
    let body = format!(r#"{{"value": [{{"type": "a", "email": "a@b.c", "state": "{SECRET}"}}]}}"#);
    let mut late = reported(&old, JSON, body.clone());
    let digest = late.events[0].item_digest.clone();
    new.rematch(&mut late);
    assert_eq!(late.events[0].item, r#"{"type": "a", "state": "***"}"#);
    assert_eq!(late.events[0].item_digest, digest, "of what came");
}

// A secret that a provider sends in the body, reported by a listener that didn't mask it.
#[test]
fn a_secret_in_a_body_is_masked_whoever_reports_it() {
    let at = |location: &str, more: &str| {
        format!(
            "schemes: [{{name: token, token: {{location: \"{location}\"}}}}]\nextract: {{eventType: [{{from: \"json:/type\"}}]{more}}}\n"
        )
    };
    let batch = |location: &str, items: &str| {
        at(location, "") + &format!("batch: {{items: \"{items}\"}}\n")
    };
    for (protocol, content_type, body) in [
        (
            at("json:/auth/key", ""),
            JSON,
            r#"{"auth": {"key": "SECRET"}, "n": 1.0}"#,
        ),
        (at("form:key", ""), FORM, "key=SECRET&n=1.0"),
        (
            at("form:data->json:/key", ", payload: \"form:data\""),
            FORM,
            "data=%7B%22key%22%3A%22SECRET%22%2C%22n%22%3A1.0%7D",
        ),
        (
            batch("json:/value/*/state", "json:/value"),
            JSON,
            r#"{"value": [{"n": 1.0, "state": "SECRET"}, {"n": 2.0, "state": "SECRET"}]}"#,
        ),
        (
            batch("json:/*/*/auth/key", "json:/*"),
            JSON,
            r#"{"a": [{"n": 1.0, "auth": {"key": "SECRET"}}]}"#,
        ),
        (
            batch("json:/*/key", "json:"),
            JSON,
            r#"[{"n": 1.0, "key": "SECRET"}]"#,
        ),
    ] {
        let report = older(&protocol, content_type, &body.replace("SECRET", SECRET));
        let group = redacting(&protocol, &[], "");
        for report in looked_at(&group, &report) {
            let text = String::from_utf8_lossy(&report.encode_to_vec()).into_owned();
            assert!(!text.contains(SECRET), "{protocol}: {text}");
            assert!(text.contains("***") && text.contains("1.0"), "{text}");
            assert_eq!(report.redacted.len(), 1, "{protocol}");
        }
    }
}

// What a filter said of the payload while all of it was there may quote it.
#[test]
fn what_is_taken_out_late_is_in_no_verdict_either() {
    let filter = "payload.email - 1 == 2";
    let body = format!(r#"{{"email": "{PLANTED}", "n": 1.0}}"#);
    let report = reported(&redacting(HEADER, &[], filter), JSON, body);
    assert!(report.events[0].matches[0].hold.contains(PLANTED));
    let group = redacting(HEADER, &[("payload.email", false)], filter);
    for report in looked_at(&group, &report) {
        let text = String::from_utf8_lossy(&report.encode_to_vec()).into_owned();
        assert!(!text.contains(PLANTED), "{text}");
    }
}

#[test]
fn what_is_taken_out_of_items_late_is_told() {
    let body = format!(
        r#"{{"value": [{{"type": "a", "email": "{PLANTED}", "phone": "1", "state": "{SECRET}"}}]}}"#
    );
    let some = [("payload.phone", false)];
    let report = reported(&redacting(BATCH, &some, ""), JSON, body);
    let group = redacting(BATCH, &[some[0], ("payload.email", false)], "");
    for report in looked_at(&group, &report) {
        assert_eq!(report.events[0].item, r#"{"type": "a", "state": "***"}"#);
        let told = ["payload.phone", "payload.value[*].state", "payload.email"];
        assert_eq!(report.redacted, told);
    }
}

// The control plane looks at each report again. An item that is named by its place is another one then, if the first has left its place.
#[test]
fn nothing_more_is_taken_by_who_looks_again() {
    let paths = [
        ("payload.tags[0]", false),
        ("payload.tags[2]", false),
        ("payload.lines[*].notes[1]", false),
        ("payload.lines[0]", true),
        ("payload.email", false),
    ];
    let group = redacting(HEADER, &paths, "");
    for (content_type, body, left) in [
        (
            JSON,
            r#"{"tags": [1, 2, 3, 4], "lines": [{"a": 1}, {"notes": ["x", "y", "z"]}]}"#,
            r#"{"tags": [null, 2, null, 4], "lines": [{"a": "***"}, {"notes": ["x", null, "z"]}]}"#,
        ),
        (
            FORM,
            "tags=1&tags=2&tags=3&tags=4&email=x&n=1",
            "tags=&tags=2&tags=&tags=4&n=1",
        ),
        ("text/xml", "<email>x</email>", "{}"),
        (JSON, "no json", ""),
    ] {
        let report = reported(&group, content_type, body);
        assert_eq!(body_of(&report), left);
        for again in looked_at(&group, &report) {
            assert_eq!(again, report);
        }
    }
}

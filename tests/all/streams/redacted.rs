//! What a group never writes, whoever reported it: in no event, no verdict, and no byte of the log's files.

use std::path::PathBuf;
use std::process::Command;

use hookplane_proto::v1;
use hookplane_tests::log_suite::backends::InPostgres;
use tonic::Code;
use v1::AnswerKind;

use super::backends::{Backends, on_cluster};
use super::previews::{field, mapping, preview, stored};
use super::report::{Reporting, callback};
use super::rig::{Rig, revision, uid};
use crate::fake_control_plane::{Failure, eventually};

/// Words, as a search's index would have them.
const PLANTED: &str = "planted4f61b2c7";
const KEPT: &str = "kept9d3e07a8";

fn email(mask: bool) -> Vec<v1::Redaction> {
    vec![v1::Redaction {
        path: "payload.email".to_owned(),
        mask,
    }]
}

/// Every file that the log writes.
fn files(rig: &Rig) -> Vec<PathBuf> {
    if rig.backends == Backends::Cluster {
        return InPostgres::shared().files(rig.folder.path());
    }
    let mut found = Vec::new();
    let mut folders = vec![rig.folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    found
}

/// Those that have a word in them.
fn holding(files: &[PathBuf], word: &str) -> String {
    let mut grep = Command::new("grep");
    // A journal may be gone since it was listed.
    grep.args(["-s", "-l", "-a", "-F", "-e", word]).args(files);
    let found = grep.output().expect("grep runs");
    String::from_utf8_lossy(&found.stdout).into_owned()
}

// What must never be written. A listener may go on with an older version of its group, or be older itself: its control plane looks again.
#[tokio::test]
async fn what_a_listener_did_not_redact_is_written_nowhere() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let code = rig
        .group("code", |spec| {
            (spec.redact, spec.capture_unmatched) = (email(false), true);
        })
        .await?;
    let all = rig.webhook("code", "all", "payload.email - 1 == 2").await?;
    let design = rig
        .group("design", |spec| {
            "figma".clone_into(&mut spec.connector);
            PLANTED.clone_into(&mut spec.signature_secrets[0].value);
            spec.capture_unmatched = true;
        })
        .await?;
    let mut reporting = Reporting::connect(&rig, "default").await?;
    let body = format!(r#"{{"email": "{PLANTED}", "n": "{KEPT}"}}"#);
    let mut newest = callback(&code, "d-1", body.as_bytes());
    newest.plan_revision = revision(&all.metadata);
    newest.events[0].matches = vec![v1::ReportedMatch {
        webhook_uid: uid(&all.metadata),
        matched: true,
        hold: format!("it can't be told of {PLANTED}"),
        ..Default::default()
    }];
    let oldest = callback(&code, "d-2", body.as_bytes());
    let broken = callback(&code, "d-3", &body.as_bytes()[..body.len() - 1]);
    let passcode = format!(r#"{{"event_type": "PING", "passcode": "{PLANTED}", "n": "{KEPT}"}}"#);
    let in_body = callback(&design, "d-4", passcode.as_bytes());
    for reported in [newest, oldest, broken, in_body] {
        let answer = reporting.report(reported).await?;
        assert_eq!(answer.kind(), AnswerKind::Kept, "{answer:?}");
    }
    let events = [rig.events_of("code").await?, rig.events_of("design").await?].concat();
    let bodies: Vec<_> = events.iter().map(|event| event.body.clone()).collect();
    let left = format!(r#"{{"n": "{KEPT}"}}"#);
    let masked = passcode.replace(PLANTED, "***");
    assert_eq!(bodies, ["", &left, &left, &masked]);
    let told: Vec<_> = events.iter().map(|event| &event.redacted[0][..]).collect();
    let paths = [
        "payload",
        "payload.email",
        "payload.email",
        "payload.passcode",
    ];
    assert_eq!(told, paths);
    assert!(!format!("{events:?}").contains(PLANTED));
    let deliveries = rig.deliveries("code/all").await?;
    assert!(!format!("{deliveries:?}").contains(PLANTED));

    // Until searches find them, for which words are written once more.
    eventually(async || {
        let mut client = rig.events();
        let found = client.list_events(v1::ListEventsRequest {
            parent: "orgs/acme".to_owned(),
            text: KEPT.to_owned(),
            ..Default::default()
        });
        // A server that has much to do may need more time than a search is given.
        let found = match found.await {
            Err(status) if status.code() == Code::Unavailable => return Ok(None),
            found => found?.into_inner().events.len(),
        };
        Ok((found == 3).then_some(()))
    })
    .await?;
    let files = files(&rig);
    assert_ne!(holding(&files, KEPT), "", "they are looked through");
    assert_eq!(holding(&files, PLANTED), "");
    Ok(())
}

// Risk 6, 7: a resend is told by what came, whatever is taken out of it today.
#[tokio::test]
async fn a_resend_is_known_over_a_change_of_what_is_redacted() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let mut reporting = Reporting::connect(&rig, "default").await?;
    let mut report = async |redact: Vec<v1::Redaction>, body: &str| -> Result<_, Failure> {
        let changed = rig
            .update_group("code", |spec| spec.redact = redact)
            .await?;
        let mut reported = callback(&group, "d-1", body.as_bytes());
        reported.known_revision = revision(&changed.metadata);
        // The id decides alone: of the body there is only a digest.
        reported.events[0].delivery_id_is_unique = true;
        reported.events[0].unsigned_values.clear();
        let answer = reporting.report(reported).await?;
        Ok((answer.kind(), answer.event_id))
    };
    let body = r#"{"email": "a@b.c", "n": 1.0}"#;
    let (kind, id) = report(Vec::new(), body).await?;
    assert_eq!(kind, AnswerKind::Kept);
    for redact in [email(false), email(true), Vec::new()] {
        let again = report(redact, body).await?;
        assert_eq!(again, (AnswerKind::Duplicate, id.clone()));
    }
    // While another body is another event, also where they differ only in what is taken out.
    let (kind, _) = report(email(false), &body.replace("a@b.c", "other")).await?;
    assert_eq!(kind, AnswerKind::Kept);
    let events = rig.events_of("code").await?;
    assert_eq!(events.len(), 2);
    let reused = i32::from(v1::EventFlag::IdReused);
    assert!(events[0].flags.contains(&reused));
    Ok(())
}

// XML becomes JSON when something is redacted in it, and still doesn't say whether it has a list of one: else the delivery is held for good, as it
// is kept so.
#[tokio::test]
async fn what_is_left_of_xml_makes_the_records_that_all_of_it_makes() -> Result<(), Failure> {
    /// Written where it isn't redacted, into files that other tests look through for theirs.
    const NOTE: &str = "note7c2e55d0";
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    rig.update_webhook("code", "all", |spec| {
        let mut mapping = mapping();
        let base = mapping.base.get_or_insert_default();
        base.fields = [("Id__c".to_owned(), field("payload.order.id"))].into();
        base.children[0].for_each = "payload.order.line".to_owned();
        spec.mapping = Some(mapping);
    })
    .await?;
    let mut reporting = Reporting::connect(&rig, "default").await?;
    for lines in 1..3 {
        let line = "<line><sku>a</sku></line>".repeat(lines);
        let body = format!("<order><id>o-1</id>{line}<note>{NOTE}</note></order>");
        let mut records = Vec::new();
        for redact in ["payload.order.none", "payload.order.note"] {
            let changed = rig.update_group("code", |spec| {
                spec.redact = vec![v1::Redaction {
                    path: redact.to_owned(),
                    mask: false,
                }];
            });
            let revision = revision(&changed.await?.metadata);
            let mut reported = callback(&group, &format!("{redact} {lines}"), body.as_bytes());
            reported.known_revision = revision;
            reported.content_type = "text/xml".to_owned();
            reported.events[0].format = v1::PayloadFormat::Xml.into();
            let event_id = reporting.report(reported).await?.event_id;
            let request = v1::PreviewRequest {
                webhook: stored(),
                event_id,
                ..Default::default()
            };
            let made = preview(&rig, request).await?;
            assert!(made.problems.is_empty(), "{redact}, {lines}: {made:?}");
            assert_eq!(made.records_json.matches("Sku__c").count(), lines);
            records.push(made.records_json);
        }
        assert_eq!(records[0], records[1], "{lines}");
    }
    let events = rig.events_of("code").await?;
    let left = events.iter().filter(|event| !event.redacted.is_empty());
    assert!(!format!("{:?}", left.clone().collect::<Vec<_>>()).contains(NOTE));
    let left: Vec<_> = left
        .map(|event| (event.format(), event.came_as()))
        .collect();
    let xml = (v1::PayloadFormat::Json, v1::PayloadFormat::Xml);
    assert_eq!(left, [xml, xml]);
    Ok(())
}

on_cluster!(
    what_a_listener_did_not_redact_is_written_nowhere,
    a_resend_is_known_over_a_change_of_what_is_redacted,
    what_is_left_of_xml_makes_the_records_that_all_of_it_makes,
);

//! Every row of the status table.

use hookplane_listener::Limits;
use hookplane_proto::v1;
use v1::stream_config_response::Kind as Push;

use super::rig::{
    ACCOUNT_TOKEN, Answer, DISABLED_TOKEN, INSIDE_TOKEN, LIMITED_TOKEN, NOW_MS, Rig, SECRET,
    TIMED_TOKEN, TOKEN, UNLOADABLE_TOKEN, answer, bare, headers, request, sign,
};
use crate::fake_control_plane::{Failure, soon};

const BODY: &[u8] = br#"{"repository":"acme/shop","n":12.50}"#;

fn replace<'a>(headers: &mut [(&'a str, &'a str)], name: &str, value: &'a str) {
    for header in headers.iter_mut().filter(|(found, _)| *found == name) {
        header.1 = value;
    }
}

fn no_success_headers(answer: &Answer) {
    assert_eq!(answer.header("hookplane-receipt"), None);
    assert_eq!(answer.header("hookplane-event-id"), None);
}

#[tokio::test]
async fn kept_is_the_providers_success_with_receipt_and_event_id() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    let answer = rig.push(BODY).await?;
    assert_eq!((answer.status, &*answer.body), (202, "thanks"));
    assert_eq!(answer.header("hookplane-receipt"), Some("synced"));
    assert_eq!(answer.header("hookplane-event-id"), Some("event-1"));
    let seen = rig.seen();
    assert_eq!(&seen[0].body[..], BODY);
    assert_eq!(seen[0].request_id.len(), 16);
    assert_eq!(seen[0].plan_revision, 10);
    assert!((1..=1600).contains(&seen[0].budget_milliseconds));
    Ok(())
}

#[tokio::test]
async fn what_the_control_plane_says_decides() -> Result<(), Failure> {
    let table = [
        (v1::AnswerKind::Duplicate, 202, Some("duplicate")),
        (v1::AnswerKind::NotKept, 202, Some("not-kept")),
        (v1::AnswerKind::Refused, 404, None),
        (v1::AnswerKind::ReplayRefused, 401, None),
        (v1::AnswerKind::RetryLater, 503, None),
    ];
    for (kind, status, receipt) in table {
        let (rig, report) = Rig::start_silent(Limits::default()).await?;
        rig.keep(report, answer(kind));
        let answer = rig.push(BODY).await?;
        assert_eq!(answer.status, status, "{kind:?}");
        assert_eq!(answer.header("hookplane-receipt"), receipt, "{kind:?}");
        assert!(!answer.body.contains("operator"), "{}", answer.body);
    }
    Ok(())
}

#[tokio::test]
async fn genuine_but_unregistered_or_unmatched_is_not_kept_and_says_so() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    for event in ["star", "ping"] {
        let signature = sign(BODY);
        let mut headers = headers(&signature);
        replace(&mut headers, "x-event", event);
        let answer = rig.post(TOKEN, &headers, BODY).await?;
        assert_eq!(answer.status, 202, "{event}");
        assert_eq!(answer.header("hookplane-receipt"), Some("not-kept"));
        assert_eq!(answer.header("hookplane-event-id"), None);
    }
    assert!(rig.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_handshake_is_answered_as_the_provider_specifies() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    let body = br#"{"type":"url_verification","challenge":"abc123"}"#;
    let answer = rig.push(body).await?;
    assert_eq!((answer.status, &*answer.body), (200, "abc123"));
    assert!(rig.seen().is_empty());
    // Risk 35: a challenge that is a text of the caller's choice.
    let body = br#"{"type":"url_verification","challenge":"<script>"}"#;
    assert_eq!(rig.push(body).await?.status, 400);
    Ok(())
}

#[tokio::test]
async fn unknown_and_disabled_are_404_and_unloadable_503() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    let signature = sign(BODY);
    for (token, status) in [
        ("ffffffffffffffffffffffffffffffff", 404),
        (DISABLED_TOKEN, 404),
        (UNLOADABLE_TOKEN, 503),
    ] {
        let answer = rig.post(token, &headers(&signature), BODY).await?;
        assert_eq!(answer.status, status, "{token}");
        no_success_headers(&answer);
    }
    Ok(())
}

// Risk 27: ready before the first list.
#[tokio::test]
async fn before_the_first_plan_everything_is_503() -> Result<(), Failure> {
    let (_control_plane, address, shutdown, task) = bare(Limits::default()).await?;
    let answer = request(address, "POST", &format!("/c/{TOKEN}"), &[], b"{}").await?;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    shutdown.cancel();
    soon(task).await???;
    Ok(())
}

#[tokio::test]
async fn a_wrong_or_missing_signature_is_401_and_tells_nothing() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    let wrong = sign(b"something else");
    let answer = rig.post(TOKEN, &headers(&wrong), BODY).await?;
    assert_eq!(answer.status, 401);
    no_success_headers(&answer);
    assert_eq!(answer.body, "Unauthorized");
    let without = &headers(&wrong)[..3];
    assert_eq!(rig.post(TOKEN, without, BODY).await?.status, 401);
    assert!(rig.seen().is_empty());
    Ok(())
}

// Risk 44: our own clock is off.
#[tokio::test]
async fn an_old_timestamp_is_401_and_503_while_our_clock_is_off() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    let post = async |seconds: i64| {
        let timestamp = (NOW_MS / 1000 + seconds).to_string();
        let signature = sign(&[timestamp.as_bytes(), b".", BODY].concat());
        let mut headers = headers(&signature);
        headers.push(("x-timestamp", &timestamp));
        rig.post(TIMED_TOKEN, &headers, BODY).await
    };
    assert_eq!(post(-10).await?.status, 202);
    assert_eq!(post(-400).await?.status, 401);
    rig.config
        .push(Push::Heartbeat(v1::ConfigHeartbeat {
            revision: 10,
            time: Some(prost_types::Timestamp {
                seconds: NOW_MS / 1000 - 400,
                nanos: 0,
            }),
        }))
        .await?;
    soon(async {
        loop {
            if post(-400).await?.status == 503 {
                return Ok::<_, Failure>(());
            }
        }
    })
    .await??;
    // A wrong signature stays what it is.
    let wrong = sign(b"something else");
    assert_eq!(rig.post(TOKEN, &headers(&wrong), BODY).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn another_accounts_callback_is_403() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    for (body, status) in [(&br#"{"repository":"other/shop"}"#[..], 403), (BODY, 202)] {
        let signature = sign(body);
        let answer = rig.post(ACCOUNT_TOKEN, &headers(&signature), body).await?;
        assert_eq!(answer.status, status);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_undecodable_with_its_credential_inside_is_400() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    let post = async |body: &[u8]| rig.post(INSIDE_TOKEN, &headers("none"), body).await;
    assert_eq!(post(b"{\"token\":").await?.status, 400);
    assert_eq!(post(b"{\"token\":\"guess\"}").await?.status, 401);
    let genuine = format!("{{\"token\":\"{SECRET}\"}}");
    assert_eq!(post(genuine.as_bytes()).await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn method_size_and_media_type_are_checked_before_anything_else() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    let path = format!("/c/{TOKEN}");
    for method in ["GET", "HEAD", "PUT", "OPTIONS"] {
        let answer = request(rig.address, method, &path, &[], b"").await?;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("post"), "{method}");
    }
    let signature = sign(BODY);
    let mut headers = headers(&signature);
    replace(&mut headers, "content-type", "text/html");
    assert_eq!(rig.post(TOKEN, &headers, BODY).await?.status, 415);
    let many: Vec<(String, String)> = (0..150)
        .map(|n| (format!("x-{n}"), n.to_string()))
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(a, b)| (&**a, &**b)).collect();
    assert_eq!(rig.post(TOKEN, &many, b"{}").await?.status, 431);
    Ok(())
}

#[tokio::test]
async fn one_source_address_is_limited_before_verification() -> Result<(), Failure> {
    let limits = Limits {
        rate_per_address: 2,
        ..Limits::default()
    };
    let rig = Rig::start(limits).await?;
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let answer = rig.post(TOKEN, &[], b"").await?;
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        statuses.push(answer.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_ne!(statuses[0], 429);
    Ok(())
}

#[tokio::test]
async fn a_forged_flood_never_spends_a_groups_quota() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    let wrong = sign(b"something else");
    for _ in 0..20 {
        let answer = rig.post(LIMITED_TOKEN, &headers(&wrong), BODY).await?;
        assert_eq!(answer.status, 401);
    }
    let right = sign(BODY);
    let first = rig.post(LIMITED_TOKEN, &headers(&right), BODY).await?;
    assert_eq!(first.status, 202);
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(
            rig.post(LIMITED_TOKEN, &headers(&right), BODY)
                .await?
                .status,
        );
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_genuine_and_undecodable_is_kept_and_flagged() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    // Risk 41: garbage after the document; invalid UTF-8; a key twice.
    for body in [&b"{} {}"[..], b"{\"a\":\"\xff\"}", br#"{"a":1,"a":2}"#] {
        let answer = rig.push(body).await?;
        assert_eq!(answer.status, 202);
        let seen = rig.seen();
        let last = seen.last().ok_or("reported")?;
        assert_eq!(&last.body[..], body);
        assert!(
            last.flags.contains(&v1::EventFlag::Undecodable.into()),
            "{:?}",
            last.flags
        );
    }
    Ok(())
}

//! What a repeat is taken for: a resend, a duplicate, a suspected replay, a test.

use std::collections::BTreeMap;

use bytes::Bytes;
use hookplane_proto::v1;
use prost::Message as _;
use v1::{AnswerKind, EventFlag};

use super::report::{Reporting, callback, has, split};
use super::rig::Rig;
use crate::fake_control_plane::Failure;

#[tokio::test]
async fn a_callback_is_kept_and_its_repeat_is_a_duplicate() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    assert!(stream.welcome.credit_callbacks > 0 && stream.welcome.credit_bytes > 0);
    let first = callback(&group, "d-1", b"{}");
    let kept = stream.report(first.clone()).await?;
    assert_eq!(kept.kind(), AnswerKind::Kept, "{}", kept.reason);
    assert_eq!(kept.receipt(), rig.log.receipt());

    // Our own resend is answered like the first time, on any stream.
    let mut another = Reporting::connect(&rig, "default").await?;
    let resent = another.report(first).await?;
    assert_eq!(resent.event_id, kept.event_id);
    assert!([AnswerKind::Kept, AnswerKind::Duplicate].contains(&resent.kind()));

    // The provider's is another request with the same delivery.
    let again = stream.report(callback(&group, "d-1", b"{}")).await?;
    assert_eq!(again.kind(), AnswerKind::Duplicate);
    assert_eq!(again.event_id, kept.event_id);
    let events = rig.events_of("code").await?;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].id, kept.event_id);
    assert_eq!(events[0].duplicates, 1, "our own resend is none");
    assert_eq!(rig.deliveries("code/all").await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_callback_of_several_events_is_kept_whole_or_not_at_all() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig
        .group("code", |spec| spec.refuse_suspected_replays = true)
        .await?;
    rig.webhook("code", "all", "").await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    let items: [(&str, &[u8]); 3] = [
        ("a", b"{\"n\":1}"),
        ("b", b"{\"n\":2}"),
        ("c", b"{\"n\":3}"),
    ];
    let body = br#"[{"n":1},{"n":2},{"n":3}]"#;
    let kept = stream
        .report(split(callback(&group, "", body), &items))
        .await?;
    assert_eq!(kept.kind(), AnswerKind::Kept, "{}", kept.reason);
    assert!(kept.event_id.ends_with(".0"), "{}", kept.event_id);
    let bodies: BTreeMap<String, Bytes> = rig
        .events_of("code")
        .await?
        .into_iter()
        .map(|event| (event.delivery_id, event.body))
        .collect();
    let expected: BTreeMap<String, Bytes> = items
        .iter()
        .map(|(id, body)| ((*id).to_owned(), Bytes::copy_from_slice(body)))
        .collect();
    assert_eq!(bodies, expected);

    // The same bytes: the first and the third are known, the second has an id that nobody signed.
    let mixed: [(&str, &[u8]); 3] = [items[0], ("new", items[1].1), items[2]];
    let answer = stream
        .report(split(callback(&group, "", body), &mixed))
        .await?;
    assert_eq!(
        answer.kind(),
        AnswerKind::ReplayRefused,
        "{}",
        answer.reason
    );
    assert_eq!(rig.events_of("code").await?.len(), 3);
    Ok(())
}

// Risk 7 and promise 4: the same signed bytes under another id that the signature doesn't cover.
#[tokio::test]
async fn the_same_signed_bytes_under_another_id_are_flagged_or_refused() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    let first = stream.report(callback(&group, "d-1", b"{\"n\":1}")).await?;
    let second = stream.report(callback(&group, "d-2", b"{\"n\":1}")).await?;
    assert_eq!(second.kind(), AnswerKind::Kept, "when in doubt, both");
    let event = &rig.events_of("code").await?[0];
    assert!(has(event, EventFlag::SuspectedReplay), "{:?}", event.flags);
    assert_eq!(event.duplicate_of, first.event_id);

    rig.update_group("code", |spec| spec.refuse_suspected_replays = true)
        .await?;
    let third = stream.report(callback(&group, "d-3", b"{\"n\":1}")).await?;
    assert_eq!(third.kind(), AnswerKind::ReplayRefused);
    assert!(third.reason.contains("replay"), "{}", third.reason);
    assert_eq!(rig.events_of("code").await?.len(), 2);
    // The same id with another body isn't that: it is flagged as what it is.
    let other = stream.report(callback(&group, "d-1", b"{\"n\":2}")).await?;
    assert_eq!(other.kind(), AnswerKind::Kept);
    assert!(has(&rig.events_of("code").await?[0], EventFlag::IdReused));
    Ok(())
}

#[tokio::test]
async fn only_our_own_mark_makes_a_callback_a_test() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let sample = rig
        .events()
        .sign_sample(v1::SignSampleRequest {
            name: "orgs/acme/groups/code".to_owned(),
            event: "order.paid".to_owned(),
            ..Default::default()
        })
        .await?
        .into_inner();
    let mark = sample.headers.get("Hookplane-Test").ok_or("a mark")?;
    let mut stream = Reporting::connect(&rig, "").await?;
    let mut marked = callback(&group, "d-1", &sample.body);
    marked.test_mark = mark.clone();
    let mut stolen = callback(&group, "d-2", b"{\"real\":true}");
    stolen.test_mark = mark.clone();
    let mut claimed = callback(&group, "d-3", b"{\"real\":3}");
    claimed.flags = vec![EventFlag::Test.into()];
    for callback in [marked, stolen, claimed] {
        assert_eq!(stream.report(callback).await?.kind(), AnswerKind::Kept);
    }
    let mut tests: Vec<(String, bool)> = rig
        .events_of("code")
        .await?
        .iter()
        .map(|event| (event.delivery_id.clone(), has(event, EventFlag::Test)))
        .collect();
    tests.sort();
    let expected = [("d-1", true), ("d-2", false), ("d-3", false)];
    assert_eq!(tests, expected.map(|(id, test)| (id.to_owned(), test)));
    Ok(())
}

// Promise 6: whoever may have a sample signed may not see what it is signed with, so where the provider posts the secret itself there is none.
#[tokio::test]
async fn no_sample_that_the_server_signs_has_a_secret_in_it() -> Result<(), Failure> {
    const SECRET: &str = "planted-secret-of-a-sample";
    const HANDED: &str = "planted-verify-token-of-a-sample";
    let rig = Rig::start().await?;
    let sign = async |group: &str, event: &str, all_variants| {
        let request = v1::SignSampleRequest {
            name: format!("orgs/acme/groups/{group}"),
            event: event.to_owned(),
            all_variants,
        };
        rig.events().sign_sample(request).await
    };
    rig.group("lab", |spec| {
        spec.connector = "gitlab".to_owned();
        spec.signature_secrets[0].value = SECRET.to_owned();
    })
    .await?;
    let refused = sign("lab", "push", false).await.err().ok_or("signed")?;
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
    let message = refused.message();
    assert!(
        message.contains("--secret-file") && !message.contains(SECRET),
        "{message}"
    );
    // What Meta sends back when the URL is set up is a secret parameter of the group's.
    rig.group("chat", |spec| {
        spec.connector = "whatsapp-cloud".to_owned();
        spec.signature_secrets[0].value = SECRET.to_owned();
        spec.parameters = [("verifyToken".to_owned(), HANDED.to_owned())].into();
    })
    .await?;
    use v1::SampleVariant::{Good, Handshake, OtherKey, Unsigned, WrongMethod};
    for (group, made, not_made) in [
        ("lab", [Unsigned, OtherKey, WrongMethod], Good),
        ("chat", [Unsigned, OtherKey, Good], Handshake),
    ] {
        let signed = sign(group, "", true).await?.into_inner();
        let of = |kind| {
            signed
                .variants
                .iter()
                .filter(move |one| one.variant() == kind)
        };
        for kind in made {
            assert!(
                of(kind).any(|one| one.not_made.is_empty()),
                "{group}: {kind:?}"
            );
        }
        for one in of(not_made) {
            assert!(one.not_made.contains("told to nobody"), "{one:?}");
        }
        assert!(of(not_made).next().is_some());
        let bytes = signed.encode_to_vec();
        for secret in [SECRET, HANDED] {
            // One that is wrong in its last character alone tells all the rest.
            let secret = &secret.as_bytes()[..secret.len() - 1];
            assert!(!bytes.windows(secret.len()).any(|part| part == secret));
        }
    }
    Ok(())
}

super::backends::on_cluster!(
    a_callback_is_kept_and_its_repeat_is_a_duplicate,
    a_callback_of_several_events_is_kept_whole_or_not_at_all,
    the_same_signed_bytes_under_another_id_are_flagged_or_refused,
    only_our_own_mark_makes_a_callback_a_test,
);

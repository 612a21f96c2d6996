//! Tokens: asked for once, renewed once, and never shown to anybody else.

use std::time::Duration;

use futures_util::future::join_all;
use hookplane_control_plane::dispatch::sink::salesforce::SalesforceSink;
use hookplane_control_plane::dispatch::sink::{Sink as _, Verdict};
use hookplane_tests::clock::TestClock;
use hookplane_tests::destinations::client;
use hookplane_tests::salesforce::{App, Fault, Org, Stub};

use super::rig::*;

const PAUSE: Verdict = Verdict::Pause {
    time: Duration::from_secs(600),
};

#[tokio::test]
async fn deliveries_at_a_time_share_one_token() {
    let rig = Rig::start().await;
    let all = (0..8).map(|n| rig.deliver([order(&n.to_string(), [])]));
    for outcomes in join_all(all).await {
        assert_eq!(outcomes[0].verdict, Verdict::Done, "{outcomes:?}");
    }
    assert_eq!(rig.stub.org().app.asked, 1);
}

#[tokio::test]
async fn another_timeout_asks_for_no_other_token() {
    let rig = Rig::start().await;
    rig.done([order("1", [])]).await;
    let other = rig.sink.with_timeout(Duration::from_secs(7));
    let outcomes = other.deliver(&[job(order("2", []))]).await;
    assert_eq!(outcomes[0].verdict, Verdict::Done, "{outcomes:?}");
    assert_eq!(rig.stub.org().app.asked, 1);
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_for_all_and_nothing_is_lost() {
    let rig = Rig::start().await;
    rig.done([order("0", [])]).await;
    rig.stub.org().app.tokens.clear();
    let all = (0..8).map(|n| rig.deliver([order(&n.to_string(), [])]));
    for outcomes in join_all(all).await {
        assert_eq!(outcomes[0].verdict, Verdict::Done, "{outcomes:?}");
    }
    assert_eq!(rig.stub.org().app.asked, 2);
    assert_eq!(rig.count("Order__c"), 8);
}

#[tokio::test]
async fn a_new_token_that_is_refused_pauses_the_destination() {
    let rig = Rig::start().await;
    rig.stub.org().app.token_calls = 0;
    let outcomes = rig.deliver([order("1", [])]).await;
    assert_eq!(
        outcomes[0].verdict,
        Verdict::Pause {
            time: Duration::from_secs(300)
        }
    );
    assert!(
        outcomes[0]
            .reason
            .contains("a new token is refused as well"),
        "{}",
        outcomes[0].reason
    );
    assert_eq!(rig.stub.org().app.asked, 2);
}

#[tokio::test]
async fn refused_credentials_are_tried_once_and_the_secret_is_not_told() {
    let rig = Rig::with(|target| target.client_secret = Some(secret("wrong-secret"))).await;
    let all = (0..8).map(|n| rig.deliver([order(&n.to_string(), [])]));
    for outcomes in join_all(all).await {
        assert_eq!(outcomes[0].verdict, PAUSE);
        assert!(
            outcomes[0].reason.contains("invalid_client"),
            "{}",
            outcomes[0].reason
        );
        assert!(!format!("{outcomes:?}").contains("wrong-secret"));
    }
    // Trying harder would lock the user out.
    assert_eq!(rig.stub.org().app.asked, 1);
}

#[tokio::test]
async fn a_refusal_that_repeats_the_secret_is_told_without_it() {
    let rig = Rig::with(|target| target.client_secret = Some(secret("s3cret/with+odd"))).await;
    let body = r#"{"error":"invalid_client","error_description":"`s3cret/with+odd` is wrong"}"#;
    rig.stub.fail("oauth2", Fault::Answer(400, body.to_owned()));
    let outcomes = rig.deliver([order("1", [])]).await;
    assert_eq!(outcomes[0].verdict, PAUSE);
    assert!(
        outcomes[0].reason.contains("`***` is wrong"),
        "{}",
        outcomes[0].reason
    );
}

#[tokio::test]
async fn a_token_endpoint_in_trouble_is_asked_again() {
    let rig = Rig::timed(|_| {}, Duration::from_secs(2)).await;
    for fault in [
        Fault::Answer(500, String::new()),
        Fault::Reset,
        Fault::Silence,
        Fault::Answer(429, String::new()),
    ] {
        rig.stub.fail("oauth2", fault);
        let outcomes = rig.deliver([order("1", [])]).await;
        assert_eq!(
            outcomes[0].verdict,
            Verdict::Retry { after: None },
            "{outcomes:?}"
        );
    }
    rig.done([order("1", [])]).await;
}

#[tokio::test]
async fn a_signed_assertion_gets_a_token() {
    let stub = Stub::start(Org::shop(App::new(NOW))).await.unwrap();
    let key = stub.org().app.private_key().to_owned();
    let mut target = target(&stub);
    target.client_secret = None;
    target.private_key = Some(secret(&key));
    target.username = stub.org().app.username.clone();
    let rig = Rig {
        sink: sink(&target, Duration::from_secs(20)),
        stub,
    };
    rig.done([order("1", [])]).await;
    let asked = rig.stub.seen("oauth2");
    assert!(
        asked[0]
            .body
            .contains("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"),
        "{}",
        asked[0].body
    );

    // For another audience, or as of another time, it is refused, and the destination waits.
    target.audience = "https://test.salesforce.com".to_owned();
    let outcomes = Rig {
        sink: sink(&target, Duration::from_secs(20)),
        stub: rig.stub,
    }
    .deliver([order("1", [])])
    .await;
    assert_eq!(outcomes[0].verdict, PAUSE);
    assert!(
        outcomes[0].reason.contains("audience is invalid"),
        "{}",
        outcomes[0].reason
    );
}

#[tokio::test]
async fn a_token_goes_to_no_host_but_the_configured_one() {
    let other = Stub::start(Org::shop(App::new(NOW))).await.unwrap();
    for elsewhere in [
        other.url(),
        "https://evil-salesforce.com",
        "https://acme.my.salesforce.com",
        "nonsense",
        "http://127.0.0.1:1/x",
    ] {
        let rig = Rig::start().await;
        rig.stub.org().app.instance_url = Some(elsewhere.to_owned());
        let outcomes = rig.deliver([order("1", [])]).await;
        assert_eq!(outcomes[0].verdict, PAUSE, "{elsewhere}");
        assert!(rig.stub.seen("/services/data").is_empty());
    }
    assert!(other.org().seen.is_empty());
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_is_refused() {
    let rig = Rig::start().await;
    let body = format!(
        r#"{{"access_token":"a\r\nX-Evil: yes","instance_url":"{}"}}"#,
        rig.stub.url()
    );
    rig.stub.fail("oauth2", Fault::Answer(200, body));
    let outcomes = rig.deliver([order("1", [])]).await;
    assert_eq!(outcomes[0].verdict, PAUSE);
    assert!(rig.stub.seen("/services/data").is_empty());
}

#[tokio::test]
async fn a_target_that_cannot_work_is_refused_when_it_is_opened() {
    let stub = Stub::start(Org::shop(App::new(NOW))).await.unwrap();
    let refused = |set: fn(&mut hookplane_proto::v1::SalesforceTarget)| {
        let mut target = target(&stub);
        set(&mut target);
        let clock = std::sync::Arc::new(TestClock::default());
        SalesforceSink::new(&target, Duration::from_secs(1), client(), clock)
            .err()
            .unwrap_or_default()
    };
    assert!(
        refused(|target| target.client_secret = None)
            .contains("needs a clientSecret, or a privateKey")
    );
    assert!(refused(|target| target.private_key = Some(secret("x"))).contains("one of them"));
    assert!(refused(|target| target.api_version = "v65.0/../x".to_owned()).contains("apiVersion"));
    assert!(
        refused(|target| target.url = "https://a@b.example".to_owned())
            .contains("scheme and host alone")
    );
    assert!(refused(|target| target.url = "ftp://x".to_owned()).contains("https://"));
    let wrong = refused(|target| {
        target.client_secret = None;
        target.private_key = Some(secret(
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        ));
    });
    assert!(wrong.contains("openssl pkcs8"), "{wrong}");
}

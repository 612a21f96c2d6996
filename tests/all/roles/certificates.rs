//! What a listener's certificate lets in, and when it stops. What it lets do is in the table, beside tokens.

use std::time::Duration;

use hookplane_proto::v1;
use hookplane_tests::pki::Pki;
use prost::Message;
use tonic::Code;
use v1::TokenRole;
use v1::org_service_client::OrgServiceClient;

use super::ends::end;
use super::rig::{BOOTSTRAP, POOL, Rig, all_of, role};
use super::wire::Call;
use crate::fake_control_plane::Failure;

const DAY: Duration = Duration::from_secs(86_400);

/// A listener's config stream.
async fn stream(rig: &Rig, certificate: &str) -> Result<Call, tonic::Status> {
    let hello = v1::stream_config_request::Kind::Hello(v1::ConfigHello {
        listener: "l".to_owned(),
        pool: POOL.to_owned(),
        ..Default::default()
    });
    let hello = v1::StreamConfigRequest { kind: Some(hello) };
    let path = "/hookplane.v1.ConfigService/StreamConfig";
    let message = hello.encode_to_vec();
    let mut call = rig.call(Some(certificate), path, message, true).await?;
    call.next().await?;
    Ok(call)
}

#[tokio::test]
async fn a_certificate_lets_in_by_its_uris_and_by_nothing_else() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let acme = rig.uid_of("acme").await?;
    let own = format!("hookplane://listener/{acme}/{POOL}");
    let other = format!("hookplane://listener/{}/{POOL}", rig.uid_of("other").await?);
    // A second pool of the same org, and another program's name, change nothing.
    let second = format!("hookplane://listener/{acme}/another");
    let good = [own.as_str(), &second, "spiffe://cluster/ns/hooks"];
    let good = rig.certificate(&good, DAY).await?;
    stream(&rig, &good).await?;
    for (uris, said) in [
        // An address is a name, and says nothing.
        (vec![], "names no pool"),
        (vec!["spiffe://listener/-/edge"], "names no pool"),
        (vec![&*own, &other], "two orgs"),
        (vec![&*own, "hookplane://listener/-/edge"], "two orgs"),
        // By its name an org is not meant: another one may have it one day.
        (vec!["hookplane://listener/acme/edge"], "org is not known"),
        (vec!["hookplane://listener/-"], "is none"),
        (vec!["hookplane://listener/-/"], "is none"),
        (vec!["hookplane://listener//edge"], "is none"),
        (vec!["hookplane://listener/-/edge/x"], "is none"),
        (vec!["hookplane://listener/-/*"], "is none"),
        (vec!["hookplane://admin/-/edge"], "is none"),
        // One that can't be read spoils the others.
        (vec![&*own, "HOOKPLANE://listener/-/edge"], "is none"),
    ] {
        let certificate = rig.certificate(&uris, DAY).await?;
        let refused = stream(&rig, &certificate).await.err().ok_or("refused")?;
        assert_eq!(refused.code(), Code::Unauthenticated, "{uris:?}");
        assert!(refused.message().contains(said), "{uris:?}: {refused}");
    }
    // Of another pool it is known, and turned away.
    let certificate = rig.certificate(&[&second], DAY).await?;
    let refused = stream(&rig, &certificate).await.err().ok_or("refused")?;
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("a certificate of role listener"));
    Ok(())
}

#[tokio::test]
async fn a_token_beside_a_certificate_decides_alone() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let certificate = rig.listener_certificate(Some("acme")).await?;
    let (viewer, id) = rig.token("acme", role(TokenRole::Viewer), 0).await?;
    let code = async |token: Option<&str>| {
        let mut orgs = OrgServiceClient::new(rig.beside(&certificate, token));
        let listed = orgs.list_orgs(v1::ListOrgsRequest::default()).await;
        listed.err().map(|status| status.code())
    };
    assert_eq!(code(None).await, Some(Code::PermissionDenied));
    assert_eq!(code(Some(&viewer)).await, None);
    assert_eq!(code(Some(BOOTSTRAP)).await, None);
    rig.revoke(&id).await?;
    for wrong in [&*viewer, "", "wrong"] {
        assert_eq!(code(Some(wrong)).await, Some(Code::Unauthenticated));
    }
    Ok(())
}

#[tokio::test]
async fn what_a_certificate_opened_ends_when_it_expires() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let uri = format!("hookplane://listener/-/{POOL}");
    let short = rig.certificate(&[&uri], Duration::from_secs(60)).await?;
    let long = rig.certificate(&[&uri], DAY).await?;
    let (ending, mut lasting) = (stream(&rig, &short).await?, stream(&rig, &long).await?);
    rig.clock.advance(Duration::from_secs(59));
    stream(&rig, &short).await?;
    rig.clock.advance(Duration::from_secs(2));
    assert_eq!(end(ending).await, Some(Code::Unauthenticated));
    let again = stream(&rig, &short).await.err().ok_or("refused")?;
    assert_eq!(again.code(), Code::Unauthenticated);
    stream(&rig, &long).await?;
    // Its second stream took the first one's place, which ended well or brings something still.
    if let Err(status) = lasting.next().await {
        assert_ne!(status.code(), Code::Unauthenticated);
    }
    Ok(())
}

// Risk 30: whom the server believes is replaced while it runs.
#[tokio::test]
async fn what_a_certificate_opened_ends_when_its_authority_goes() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let certificate = rig.listener_certificate(None).await?;
    let open = stream(&rig, &certificate).await?;
    // Renewed, and the same: nothing ends.
    rig.authorities.replace(rig.pki.verifier());
    stream(&rig, &certificate).await?;
    let elsewhere = tempfile::tempdir()?;
    rig.authorities
        .replace(Pki::new(elsewhere.path()).verifier());
    assert_eq!(end(open).await, Some(Code::Unauthenticated));
    // Nor does the connection that is open still help.
    let again = stream(&rig, &certificate).await.err().ok_or("refused")?;
    assert_eq!(again.code(), Code::Unauthenticated);
    assert!(again.message().contains("trusts now"), "{again}");
    Ok(())
}

#[tokio::test]
async fn what_a_certificate_opened_ends_with_its_org() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    rig.apply(BOOTSTRAP, &all_of("gone")).await?;
    let certificate = rig.listener_certificate(Some("gone")).await?;
    let open = stream(&rig, &certificate).await?;
    rig.delete_org("gone").await?;
    assert_eq!(end(open).await, Some(Code::Unauthenticated));
    // One that has its name is another.
    rig.apply(BOOTSTRAP, &all_of("gone")).await?;
    let again = stream(&rig, &certificate).await.err().ok_or("refused")?;
    assert_eq!(again.code(), Code::Unauthenticated);
    Ok(())
}

//! A configuration that no control plane would admit.

use bytes::Bytes;
use hookplane_listener::Limits;
use hookplane_proto::v1;

use super::resources::resources;
use super::rig::Rig;
use crate::fake_control_plane::Failure;

const BODY: &[u8] = b"{}";

// Risk 24: poison in the configuration takes nothing down, and is refused alone.
#[tokio::test]
async fn poison_is_refused_alone_and_what_served_goes_on() -> Result<(), Failure> {
    let mut rig = Rig::start(Limits::default()).await?;
    let good = |name: &str| {
        let all = resources();
        let found = all.iter().find(|r| r.uid == format!("{name}-pushes-uid"));
        found.cloned().ok_or("no such webhook")
    };
    let with = |uid: &str, filter: String| {
        let mut resource = good("main")?;
        resource.uid = uid.to_owned();
        if let Some(v1::config_resource::Body::Webhook(webhook)) = &mut resource.body {
            webhook.metadata.get_or_insert_default().uid = uid.to_owned();
            webhook.spec.get_or_insert_default().filter = filter;
        }
        Ok::<_, Failure>(resource)
    };
    let nothing = v1::ConfigResource {
        uid: "of-a-later-version".to_owned(),
        revision: 11,
        group_uid: "main-uid".to_owned(),
        body: None,
    };
    let mut again = good("main")?;
    again.revision = 11;
    let upserts = vec![
        with(
            "deep",
            format!("{}true{}", "(".repeat(100_000), ")".repeat(100_000)),
        )?,
        with("nots", format!("{}true", "!".repeat(200_000)))?,
        with(
            "lists",
            format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        )?,
        with(
            "long",
            format!("payload.x == \"{}\"", "x".repeat(1_000_000)),
        )?,
        with(
            "pattern",
            "payload.x.matches(\"(((((a+)+)+)+)+)+$\")".to_owned() + &" || true".repeat(50_000),
        )?,
        nothing,
        again.clone(),
        again,
    ];
    let poison = [
        "deep",
        "lists",
        "long",
        "nots",
        "of-a-later-version",
        "pattern",
    ];
    rig.config
        .push(v1::stream_config_response::Kind::Delta(v1::ConfigDelta {
            nonce: 2,
            from: 10,
            to: 11,
            digest: 0,
            removes: Vec::new(),
            upserts,
            proof: Bytes::new(),
        }))
        .await?;
    let nack = loop {
        if let Some(v1::stream_config_request::Kind::Nack(nack)) = rig.config.next().await?.kind
            && nack.nonce == 2
        {
            break nack;
        }
    };
    assert_eq!(nack.revision, 11);
    let mut refused: Vec<&str> = nack.errors.iter().map(|e| e.uid.as_str()).collect();
    refused.sort_unstable();
    assert_eq!(refused, poison);
    assert!(
        nack.errors.iter().all(|e| e.reason.len() < 2_000),
        "reasons are for people"
    );
    assert_eq!(rig.push(BODY).await?.status, 202);
    Ok(())
}

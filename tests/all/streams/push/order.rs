//! One key, one after the other.

use hookplane_proto::v1::DeliveryStatus;
use hookplane_tests::destinations::{Receiver, Reply};

use super::{Shop, http, own};
use crate::fake_control_plane::Failure;

#[tokio::test]
async fn a_key_keeps_its_order_and_holds_up_no_other() -> Result<(), Failure> {
    let mut shop = Shop::open().await?;
    let mut last_of_b_came = false;
    let receiver = Receiver::start(move |received| {
        let body = received.text();
        last_of_b_came |= body.contains(r#""k": "b", "n": 3"#);
        // The first of `a` fails until all of `b` is there.
        if body.contains(r#""k": "a", "n": 0"#) && !last_of_b_came {
            Reply::Status(500)
        } else {
            Reply::Status(200)
        }
    })
    .await?;
    let ordered = shop
        .rig
        .pushed("orders", vec![own("", http(&receiver.url))], |spec| {
            spec.order_by = "payload.k".to_owned();
        });
    ordered.await?;
    for n in 0..4 {
        for k in ["a", "b"] {
            let body = format!(r#"{{"k": "{k}", "n": {n}}}"#);
            shop.event(&format!("{k}-{n}"), &body).await?;
        }
    }
    shop.event("none", r#"{"n": 9}"#).await?;
    let all = shop
        .rig
        .all_are("shop/orders", 9, DeliveryStatus::Delivered)
        .await?;
    let keys: Vec<&str> = all.iter().map(|one| &*one.order_key).collect();
    assert_eq!(keys, ["a", "b", "a", "b", "a", "b", "a", "b", ""]);
    let texts: Vec<String> = receiver.received().iter().map(|one| one.text()).collect();
    let of = |k: &str| -> Vec<&String> {
        texts
            .iter()
            .filter(|text| text.contains(&format!(r#""k": "{k}""#)))
            .collect()
    };
    let expected = |k: &str, ns: &[u32]| -> Vec<String> {
        ns.iter()
            .map(|n| format!(r#"{{"k": "{k}", "n": {n}}}"#))
            .collect()
    };
    let mut of_a = of("a");
    assert!(of_a.len() > 4, "the first was tried again: {texts:?}");
    of_a.dedup();
    assert_eq!(
        of_a,
        expected("a", &[0, 1, 2, 3]).iter().collect::<Vec<_>>()
    );
    assert_eq!(
        of("b"),
        expected("b", &[0, 1, 2, 3]).iter().collect::<Vec<_>>()
    );
    // All of `b` was there before `a` could go on.
    let last_of_b = texts.iter().rposition(|text| text.contains(r#""k": "b""#));
    let second_of_a = texts
        .iter()
        .position(|text| text.contains(r#""k": "a", "n": 1"#));
    assert!(last_of_b < second_of_a, "{texts:?}");
    let event = shop.rig.events_of("shop").await?.remove(0);
    let reason = &event.verdicts[0].reason;
    assert!(reason.contains("without order"), "{reason}");
    Ok(())
}

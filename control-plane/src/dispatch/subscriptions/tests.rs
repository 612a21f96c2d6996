use super::*;
use crate::dispatch::engine::tests::rig::Rig;
use crate::keys;

const PATH: &str = "orgs/acme/groups/shop/webhooks/orders";

/// A rig with these deliveries for subscribers, by versions of their mapping, and a session that holds them all until then.
async fn session<'r>(rig: &'r Rig, versions: &[u32], until: Instant) -> (Session<'r>, Vec<Lease>) {
    rig.webhook("orders", &[]).await;
    for version in versions {
        let set = |one: &mut crate::log::NewDelivery| {
            one.destination = String::new();
            one.mapping_version = *version;
        };
        rig.event("orders", set).await;
    }
    let mut session = Session {
        context: &rig.context,
        name: PATH.to_owned(),
        scope: Scope::read("start.webhook", PATH).ok().unwrap(),
        group_uid: "shop".to_owned(),
        webhook_uid: "orders".to_owned(),
        max: 16,
        lease: Duration::from_secs(600),
        leases: Leases::default(),
        waiting: VecDeque::new(),
        turns: &DELIVERIES,
    };
    let queue = Queue::of_subscribers("orders");
    let log = &rig.context.log;
    let leased = log.lease(&queue, 16, session.lease).await.unwrap();
    assert_eq!(leased.len(), versions.len());
    for lease in &leased {
        session.leases.take(lease.token.clone(), until);
    }
    (session, leased)
}

#[tokio::test]
async fn a_delivery_whose_mapping_breaks_off_comes_again_later_and_the_stream_goes_on() {
    let rig = Rig::new().await;
    rig.break_off_at(keys::mapping("orders", 2));
    let until = Instant::now() + Duration::from_secs(600);
    let (mut session, leased) = session(&rig, &[2, 0], until).await;
    let (mut poison, mut good) = (None, None);
    for lease in leased {
        match lease.delivery.mapping_version {
            2 => poison = Some(lease),
            _ => good = Some(lease),
        }
    }
    let poison = poison.unwrap();
    let (out, _reads) = mpsc::channel(1);
    let (token, id) = (poison.token.clone(), poison.delivery.id.clone());
    assert!(session.response(poison, &out).await.unwrap().is_none());
    assert_eq!(session.leases.token(&token), Token::Past);
    let again = rig.delivery(&id).await;
    assert_eq!(again.status(), v1::DeliveryStatus::Pending);
    assert!(again.reason.contains("broke off"), "{}", again.reason);
    assert!(
        session
            .response(good.unwrap(), &out)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_lease_that_ran_out_while_it_was_mapped_is_not_handed_out() {
    let rig = Rig::new().await;
    let (mut session, leased) = session(&rig, &[0], Instant::now()).await;
    let (out, _reads) = mpsc::channel(1);
    for lease in leased {
        assert_eq!(session.leases.token(&lease.token), Token::Held);
        assert!(session.response(lease, &out).await.unwrap().is_none());
    }
    assert_eq!(session.leases.len(), 0);
}

/// A session in which nothing large has a turn until what is returned with it is dropped; with the one delivery it holds, of a large event.
async fn large<'r>(rig: &'r Rig, turns: &'static Aside) -> (Session<'r>, Lease, Box<dyn Send>) {
    let until = Instant::now() + Duration::from_secs(600);
    let (mut session, mut leased) = session(rig, &[0], until).await;
    session.turns = turns;
    let mut lease = leased.pop().unwrap();
    lease.event = crate::told::tests::event("acme", 100_000);
    (session, lease, turns.all_turns("acme").await)
}

#[tokio::test]
async fn a_large_event_is_decoded_in_its_orgs_turn() {
    static OWN: Aside = Aside::new();
    let rig = Rig::new().await;
    let (mut session, lease, held) = large(&rig, &OWN).await;
    let (out, _reads) = mpsc::channel(1);
    let mut response = Box::pin(session.response(lease, &out));
    assert!((&mut response).now_or_never().is_none());
    drop(held);
    let response = response.await.unwrap().unwrap();
    assert_eq!(response.payload_json.len(), 100_000);
}

#[tokio::test]
async fn a_subscriber_that_leaves_while_it_waits_for_a_turn_gives_its_deliveries_back() {
    static OWN: Aside = Aside::new();
    let rig = Rig::new().await;
    let (mut session, lease, _held) = large(&rig, &OWN).await;
    let (out, reads) = mpsc::channel(1);
    let mut response = Box::pin(session.response(lease, &out));
    assert!((&mut response).now_or_never().is_none());
    drop(reads);
    let left = response.now_or_never().expect("it waits no longer");
    assert!(left.unwrap().is_none());
    assert_eq!(session.leases.into_held().len(), 1);
}

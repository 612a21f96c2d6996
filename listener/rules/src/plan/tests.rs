use hookplane_proto::v1;
use proptest::prelude::*;

use super::*;

const CONNECTOR: &str = r#"
displayName: Forge
functions:
  - name: repository
    events:
      - name: push
      - name: issues
protocol:
  schemes:
    - name: sha256
      hmac:
        hash: sha256
        content: "{body}"
        signature: header:X-Hub-Signature-256
        format: {prefix: "sha256="}
        encoding: hex
  extract:
    eventType: [{from: "header:X-GitHub-Event"}]
    deliveryId: [{from: "header:X-GitHub-Delivery"}]
"#;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn connector(uid: &str, revision: u64, good: bool) -> ConfigResource {
    let mut spec: v1::ConnectorSpec = saphyr_serde::from_str(CONNECTOR).unwrap();
    if !good {
        let protocol = spec.protocol.as_mut().unwrap();
        protocol.schemes[0].hmac.as_mut().unwrap().content = "{nonsense}".to_owned();
    }
    ConfigResource {
        uid: uid.to_owned(),
        revision,
        group_uid: String::new(),
        body: Some(Body::Connector(v1::Connector {
            metadata: Some(v1::Metadata {
                name: "forge".to_owned(),
                ..Default::default()
            }),
            spec: Some(spec),
        })),
    }
}

/// A group `g1` has the token `token-g1`. Its rate limit is its revision, to tell its versions apart.
fn group(uid: &str, revision: u64) -> ConfigResource {
    let group = v1::WebhookGroup {
        metadata: Some(v1::Metadata {
            org: "acme".to_owned(),
            name: format!("name-{uid}"),
            uid: uid.to_owned(),
            revision,
            ..Default::default()
        }),
        spec: Some(v1::WebhookGroupSpec {
            connector: "forge".to_owned(),
            signature_secrets: vec![v1::SignatureSecret {
                name: "one".to_owned(),
                value: "s3cret".to_owned(),
                ..Default::default()
            }],
            registered_events: vec!["*".to_owned()],
            rate_limit_per_second: revision as u32,
            ..Default::default()
        }),
        status: Some(v1::WebhookGroupStatus {
            callback_url: format!("https://hooks.example/acme/forge/repository/token-{uid}"),
            connector_version: "forge-1".to_owned(),
            ..Default::default()
        }),
    };
    ConfigResource {
        uid: uid.to_owned(),
        revision,
        group_uid: uid.to_owned(),
        body: Some(Body::Group(group)),
    }
}

fn edit_group(
    mut resource: ConfigResource,
    edit: impl FnOnce(&mut v1::WebhookGroup),
) -> ConfigResource {
    if let Some(Body::Group(group)) = &mut resource.body {
        edit(group);
    }
    resource
}

fn bad_group(uid: &str, revision: u64) -> ConfigResource {
    edit_group(group(uid, revision), |group| {
        group.spec.as_mut().unwrap().function = "nonsense".to_owned();
    })
}

fn disabled_group(uid: &str, revision: u64) -> ConfigResource {
    edit_group(group(uid, revision), |group| {
        group.spec.as_mut().unwrap().disabled = true;
    })
}

fn webhook(uid: &str, group: &str, revision: u64, filter: &str) -> ConfigResource {
    let webhook = v1::Webhook {
        metadata: Some(v1::Metadata {
            org: "acme".to_owned(),
            group: format!("name-{group}"),
            name: format!("name-{uid}"),
            uid: uid.to_owned(),
            revision,
            ..Default::default()
        }),
        spec: Some(v1::WebhookSpec {
            label: uid.to_owned(),
            active: true,
            events: vec!["push".to_owned()],
            filter: filter.to_owned(),
            ..Default::default()
        }),
        status: None,
    };
    ConfigResource {
        uid: uid.to_owned(),
        revision,
        group_uid: group.to_owned(),
        body: Some(Body::Webhook(webhook)),
    }
}

const BAD_FILTER: &str = "nonsense == 1";

fn path(uid: &str) -> String {
    format!("/acme/forge/repository/token-{uid}")
}

/// Where a group's URL leads: the rate limit that tells its version, or what else.
fn leads(plan: &Plan, uid: &str) -> String {
    match plan.route(&path(uid), NOW) {
        Route::Group(group) => {
            format!("{} {}", group.uid(), group.rate_limit().unwrap_or_default())
        }
        Route::Disabled(of) | Route::Unloadable(of) if of != uid => panic!("{of} for {uid}"),
        Route::Disabled(_) => "Disabled".to_owned(),
        Route::Unloadable(_) => "Unloadable".to_owned(),
        Route::Unknown => "Unknown".to_owned(),
    }
}

/// The webhooks of a group that want a push.
fn wanted_by(plan: &Plan, uid: &str) -> Vec<String> {
    let mut callback = v1::ReportedCallback {
        group_uid: uid.to_owned(),
        content_type: "application/json".to_owned(),
        body: "{}".into(),
        events: vec![v1::ReportedEvent {
            r#type: "push".to_owned(),
            format: v1::PayloadFormat::Json.into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    plan.group(uid).expect("it serves").rematch(&mut callback);
    let mut uids: Vec<String> = callback.events[0]
        .matches
        .iter()
        .filter(|m| m.matched)
        .map(|m| m.webhook_uid.clone())
        .collect();
    uids.sort();
    uids
}

fn digest(parts: &[(&str, u64)]) -> u64 {
    parts.iter().fold(0, |sum: u64, (uid, revision)| {
        sum.wrapping_add(digest_of(uid, *revision))
    })
}

fn refused(applied: &Applied) -> Vec<(&str, u64)> {
    applied
        .refused
        .iter()
        .map(|error| (error.uid.as_str(), error.revision))
        .collect()
}

/// A plan with a connector, `g1` with `w1`, and `g2`.
fn plan() -> Plan {
    let applied = Plan::default().replace(
        vec![
            webhook("w1", "g1", 4, ""),
            group("g1", 2),
            group("g2", 3),
            connector("forge-1", 1, true),
        ],
        4,
    );
    assert_eq!(applied.refused, []);
    applied.plan
}

#[test]
fn a_digest_share_is_stable() {
    // On the wire, and compared by other processes: it may never change. `printf '\0\0\0\0\0\0\0\0' | sha256sum`
    assert_eq!(
        digest_of("", 0).to_le_bytes(),
        [0xaf, 0x55, 0x70, 0xf5, 0xa1, 0x81, 0x0b, 0x7a]
    );
    assert_ne!(digest_of("abc", 1), digest_of("abc", 2));
}

#[test]
fn an_empty_plan_knows_nothing() {
    let plan = Plan::default();
    assert_eq!((plan.revision(), plan.digest()), (0, 0));
    for path in ["", "/", "//", "/token", "/a/b/c/"] {
        assert!(matches!(plan.route(path, NOW), Route::Unknown));
    }
}

// Risk 24: what doesn't depend on another isn't touched by it, whatever the order of arrival.
#[test]
fn a_list_works_in_any_order() {
    let plan = plan();
    assert_eq!(leads(&plan, "g1"), "g1 2");
    assert_eq!(leads(&plan, "g2"), "g2 3");
    assert_eq!(leads(&plan, "g3"), "Unknown");
    assert_eq!(wanted_by(&plan, "g1"), ["w1"]);
    assert_eq!(plan.revision(), 4);
    assert_eq!(
        plan.digest(),
        digest(&[("w1", 4), ("g1", 2), ("g2", 3), ("forge-1", 1)])
    );
}

#[test]
fn a_change_leaves_the_plan_it_was_made_from_and_other_groups_alone() {
    let before = plan();
    let after = before.change(&[], vec![group("g1", 5)], 5).plan;
    assert_eq!(leads(&before, "g1"), "g1 2");
    assert_eq!(leads(&after, "g1"), "g1 5");
    // The very same compiled group: nothing was compiled again.
    let (old, new) = (before.group("g2").unwrap(), after.group("g2").unwrap());
    assert!(Arc::ptr_eq(old, new));
}

#[test]
fn a_bad_group_keeps_its_last_version() {
    let applied = plan().change(&[], vec![bad_group("g1", 5), group("g2", 6)], 6);
    assert_eq!(refused(&applied), [("g1", 5)]);
    assert!(!applied.refused[0].reason.is_empty());
    assert_eq!(leads(&applied.plan, "g1"), "g1 2");
    assert_eq!(leads(&applied.plan, "g2"), "g2 6");
    // Counted at the offered revision, so that the refusal is no mismatch.
    assert_eq!(
        applied.plan.digest(),
        digest(&[("w1", 4), ("g1", 5), ("g2", 6), ("forge-1", 1)])
    );
    // Its webhooks change all the same.
    let applied = applied
        .plan
        .change(&[], vec![webhook("w2", "g1", 7, "")], 7);
    assert_eq!(leads(&applied.plan, "g1"), "g1 2");
    assert_eq!(wanted_by(&applied.plan, "g1"), ["w1", "w2"]);
    // And it is mended by a good version.
    let applied = applied.plan.change(&[], vec![group("g1", 8)], 8);
    assert_eq!(applied.refused, []);
    assert_eq!(leads(&applied.plan, "g1"), "g1 8");
}

#[test]
fn a_bad_group_keeps_its_last_version_over_a_full_list() {
    let applied = plan().replace(vec![connector("forge-1", 1, true), bad_group("g1", 5)], 9);
    assert_eq!(refused(&applied), [("g1", 5)]);
    assert_eq!(leads(&applied.plan, "g1"), "g1 2");
    assert_eq!(wanted_by(&applied.plan, "g1"), Vec::<String>::new());
    assert_eq!(leads(&applied.plan, "g2"), "Unknown");
    assert_eq!(applied.plan.digest(), digest(&[("g1", 5), ("forge-1", 1)]));
}

#[test]
fn a_bad_group_without_a_last_version_is_unloadable() {
    let applied = plan().change(&[], vec![bad_group("g3", 5)], 5);
    assert_eq!(refused(&applied), [("g3", 5)]);
    assert_eq!(leads(&applied.plan, "g3"), "Unloadable");
    assert!(applied.plan.group("g3").is_none());
    let applied = applied.plan.change(&[], vec![group("g3", 6)], 6);
    assert_eq!(leads(&applied.plan, "g3"), "g3 6");
}

#[test]
fn a_bad_webhook_takes_nothing_from_its_group_and_keeps_its_last_version() {
    let applied = plan().change(
        &[],
        vec![
            webhook("w1", "g1", 5, BAD_FILTER),
            webhook("w2", "g1", 6, ""),
            webhook("w3", "g1", 7, BAD_FILTER),
        ],
        7,
    );
    assert_eq!(refused(&applied), [("w1", 5), ("w3", 7)]);
    assert!(applied.refused[0].reason.contains("nonsense"));
    assert_eq!(wanted_by(&applied.plan, "g1"), ["w1", "w2"]);
}

#[test]
fn a_removed_webhook_is_gone_and_so_is_a_removed_group() {
    let applied = plan().change(&["w1".to_owned()], vec![], 5);
    assert_eq!(wanted_by(&applied.plan, "g1"), Vec::<String>::new());
    let applied = applied
        .plan
        .change(&["g1".to_owned(), "never".to_owned()], vec![], 6);
    assert_eq!(leads(&applied.plan, "g1"), "Unknown");
    assert_eq!(applied.plan.digest(), digest(&[("g2", 3), ("forge-1", 1)]));
    // Its token is free again, and a group of that uid starts afresh.
    let applied = applied.plan.change(&[], vec![group("g1", 7)], 7);
    assert_eq!(leads(&applied.plan, "g1"), "g1 7");
}

#[test]
fn a_disabled_group_is_told_from_an_unknown_one() {
    let applied = plan().change(&[], vec![disabled_group("g1", 5)], 5);
    assert_eq!(applied.refused, []);
    assert_eq!(leads(&applied.plan, "g1"), "Disabled");
    let applied = applied.plan.change(&[], vec![group("g1", 6)], 6);
    assert_eq!(leads(&applied.plan, "g1"), "g1 6");
    assert_eq!(wanted_by(&applied.plan, "g1"), ["w1"]);
}

#[test]
fn a_connector_may_go_while_a_group_pins_it() {
    let applied = plan().change(&["forge-1".to_owned()], vec![], 5);
    assert_eq!(leads(&applied.plan, "g1"), "g1 2");
    let applied = applied
        .plan
        .change(&[], vec![webhook("w2", "g1", 6, "")], 6);
    assert_eq!(applied.refused, []);
    assert_eq!(wanted_by(&applied.plan, "g1"), ["w1", "w2"]);
}

#[test]
fn a_group_whose_connector_comes_later_serves_then() {
    let applied = Plan::default().change(&[], vec![group("g1", 2), webhook("w1", "g1", 3, "")], 3);
    assert_eq!(refused(&applied), [("g1", 2)]);
    assert!(applied.refused[0].reason.contains("forge-1"));
    assert_eq!(leads(&applied.plan, "g1"), "Unloadable");
    let applied = applied
        .plan
        .change(&[], vec![connector("forge-1", 1, true)], 4);
    assert_eq!(applied.refused, []);
    assert_eq!(leads(&applied.plan, "g1"), "g1 2");
    assert_eq!(wanted_by(&applied.plan, "g1"), ["w1"]);
}

#[test]
fn a_bad_connector_is_refused_and_so_are_the_groups_that_pin_it() {
    let pinning = edit_group(group("g1", 5), |group| {
        group.status.as_mut().unwrap().connector_version = "forge-2".to_owned();
    });
    let applied = plan().change(&[], vec![connector("forge-2", 6, false), pinning], 6);
    assert_eq!(refused(&applied), [("forge-2", 6), ("g1", 5)]);
    assert_eq!(leads(&applied.plan, "g1"), "g1 2");
}

#[test]
fn a_resource_of_an_unknown_kind_is_refused_and_counted() {
    let unknown = ConfigResource {
        uid: "x".to_owned(),
        revision: 9,
        ..Default::default()
    };
    let applied = Plan::default().change(&[], vec![unknown], 9);
    assert_eq!(refused(&applied), [("x", 9)]);
    assert_eq!(applied.plan.digest(), digest(&[("x", 9)]));
}

#[test]
fn of_two_groups_with_one_token_the_first_keeps_it() {
    let thief = edit_group(group("g3", 5), |group| {
        group.status.as_mut().unwrap().callback_url = "https://hooks.example/token-g1".to_owned();
    });
    let applied = plan().change(&[], vec![thief], 5);
    assert_eq!(refused(&applied), [("g3", 5)]);
    assert_eq!(leads(&applied.plan, "g1"), "g1 2");
    assert!(applied.plan.group("g3").is_none());
}

#[test]
fn a_rotated_url_goes_on_until_it_expires() {
    let rotated = edit_group(group("g1", 5), |group| {
        let status = group.status.as_mut().unwrap();
        let old = std::mem::replace(
            &mut status.callback_url,
            "https://hooks.example/token-new".to_owned(),
        );
        let mut retiring = v1::RetiringUrl {
            url: old,
            expire_time: Some(Default::default()),
        };
        retiring.expire_time.as_mut().unwrap().seconds = NOW.seconds() + 60;
        status.retiring_urls = vec![retiring];
    });
    let applied = plan().change(&[], vec![rotated], 5);
    assert_eq!(leads(&applied.plan, "new"), "g1 5");
    assert_eq!(leads(&applied.plan, "g1"), "g1 5");
    let last = Timestamp(NOW.0 + 59_999);
    assert!(matches!(
        applied.plan.route(&path("g1"), last),
        Route::Group(_)
    ));
    let after = Timestamp(NOW.0 + 60_000);
    assert!(matches!(
        applied.plan.route(&path("g1"), after),
        Route::Unknown
    ));
    assert!(matches!(
        applied.plan.route(&path("new"), after),
        Route::Group(_)
    ));
    // Once it isn't listed, it is free.
    let applied = applied.plan.change(&[], vec![group("g1", 6)], 6);
    assert_eq!(leads(&applied.plan, "g1"), "g1 6");
    assert_eq!(leads(&applied.plan, "new"), "Unknown");
}

/// One step of a configuration's life.
#[derive(Debug, Clone)]
enum Step {
    Group(u8),
    Disabled(u8),
    Webhook(u8, u8),
    RemoveGroup(u8),
    RemoveWebhook(u8, u8),
    Connector,
}

fn step() -> impl Strategy<Value = Step> {
    let (group, webhook) = (0..3_u8, 0..2_u8);
    prop_oneof![
        3 => group.clone().prop_map(Step::Group),
        1 => group.clone().prop_map(Step::Disabled),
        3 => (group.clone(), webhook.clone()).prop_map(|(g, w)| Step::Webhook(g, w)),
        2 => group.clone().prop_map(Step::RemoveGroup),
        2 => (group, webhook).prop_map(|(g, w)| Step::RemoveWebhook(g, w)),
        1 => Just(Step::Connector),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // Risk 17: lost removals, and risk 24.
    #[test]
    fn any_way_to_a_configuration_makes_the_plan_that_one_list_makes(
        changes in prop::collection::vec(prop::collection::vec(step(), 1..5), 1..8),
    ) {
        // With their connector nothing is refused: what a refused one keeps depends on what was before, and should.
        let first = connector("forge-1", 1, true);
        let mut stored = std::collections::BTreeMap::from([("forge-1".to_owned(), first.clone())]);
        let mut plan = Plan::default().replace(vec![first], 1).plan;
        let mut revision = 1;
        for change in changes {
            let mut removes = std::collections::BTreeSet::new();
            let mut upserts: std::collections::BTreeMap<String, ConfigResource> = Default::default();
            for step in change {
                revision += 1;
                let (uid, resource) = match step {
                    Step::Group(g) => (format!("g{g}"), Some(group(&format!("g{g}"), revision))),
                    Step::Disabled(g) => (format!("g{g}"), Some(disabled_group(&format!("g{g}"), revision))),
                    Step::Webhook(g, w) => {
                        let uid = format!("w{g}{w}");
                        (uid.clone(), Some(webhook(&uid, &format!("g{g}"), revision, "")))
                    }
                    Step::RemoveGroup(g) => (format!("g{g}"), None),
                    Step::RemoveWebhook(g, w) => (format!("w{g}{w}"), None),
                    Step::Connector => ("forge-1".to_owned(), Some(connector("forge-1", revision, true))),
                };
                // As the stream has it: the newest of each resource, removed or there.
                match resource {
                    Some(resource) => {
                        removes.remove(&uid);
                        stored.insert(uid.clone(), resource.clone());
                        upserts.insert(uid, resource);
                    }
                    None => {
                        // What is in a group goes with it.
                        let gone = |r: &ConfigResource| r.uid == uid || r.group_uid == uid;
                        removes.extend(stored.values().filter(|r| gone(r)).map(|r| r.uid.clone()));
                        stored.retain(|_, r| !gone(r));
                        upserts.retain(|_, r| !gone(r));
                    }
                }
            }
            // Whoever takes a group away need not name its webhooks.
            let groups = removes.clone();
            removes.retain(|uid| uid.starts_with('g') || !groups.contains(&uid.replace('w', "g")[..2]));
            let removes: Vec<String> = removes.into_iter().collect();
            plan = plan.change(&removes, upserts.into_values().collect(), revision).plan;
        }
        let list: Vec<ConfigResource> = stored.into_values().collect();
        let fresh = Plan::default().replace(list.clone(), revision).plan;
        let again = plan.replace(list, revision).plan;
        for uid in ["g0", "g1", "g2"] {
            prop_assert_eq!(leads(&plan, uid), leads(&fresh, uid));
            prop_assert_eq!(leads(&again, uid), leads(&fresh, uid));
            if fresh.group(uid).is_some() {
                prop_assert_eq!(wanted_by(&plan, uid), wanted_by(&fresh, uid));
            }
        }
        prop_assert_eq!(plan.digest(), fresh.digest());
        prop_assert_eq!(again.digest(), fresh.digest());
        prop_assert_eq!(plan.tokens.len(), fresh.tokens.len());
    }

    #[test]
    fn no_path_panics(path in ".{0,40}") {
        let _ = Plan::default().route(&path, NOW);
    }
}

//! What both servers count, scraped after traffic that is known, and read as strictly as Prometheus would.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hookplane_proto::v1;
use tonic::Code;

use super::plain::signed;
use super::rig::{Rig, callback_url, post};
use super::subscribe::Subscriber;
use crate::fake_control_plane::{Failure, eventually};

/// Every series of an exposition with its value. Anything that the format doesn't allow fails the test.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    fn of(text: &str) -> Self {
        let mut series = BTreeMap::new();
        let mut kinds: BTreeMap<String, String> = BTreeMap::new();
        let mut family = String::new();
        let lines = text.strip_suffix("# EOF\n").expect("it ends with EOF");
        for line in lines.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let words: Vec<&str> = comment.splitn(3, ' ').collect();
                match words[..] {
                    ["HELP", name, text] => {
                        assert!(!kinds.contains_key(name), "{name} comes twice");
                        assert!(text.ends_with('.') && !text.is_empty(), "{line}");
                        family = name.to_owned();
                    }
                    ["TYPE", name, kind] => {
                        assert_eq!(name, family, "{line}");
                        kinds.insert(family.clone(), kind.to_owned());
                    }
                    ["UNIT", name, unit] => assert!(name.ends_with(&format!("_{unit}")), "{line}"),
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
            let bare = name.split('{').next().unwrap_or_default();
            let suffixes: &[&str] = match kinds[&family].as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                "histogram" => &["_bucket", "_sum", "_count"],
                other => panic!("{family} is a {other}"),
            };
            let is_of_family = suffixes.iter().any(|end| bare == format!("{family}{end}"));
            assert!(is_of_family, "{bare} is under {family}");
            check_labels(name);
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            let before = series.insert(name.to_owned(), value);
            assert_eq!(before, None, "{name} comes twice");
        }
        let scrape = Self(series);
        scrape.check_histograms(&kinds);
        scrape
    }

    /// Buckets only grow, and the last one is the count.
    fn check_histograms(&self, kinds: &BTreeMap<String, String>) {
        for (name, _) in kinds.iter().filter(|(_, kind)| *kind == "histogram") {
            let prefix = format!("{name}_bucket{{le=\"");
            let mut buckets: Vec<(f64, f64)> = self
                .0
                .range(prefix.clone()..)
                .take_while(|(series, _)| series.starts_with(&prefix))
                .map(|(series, count)| {
                    let bound = &series[prefix.len()..series.len() - 2];
                    (bound.parse().expect("a bound"), *count)
                })
                .collect();
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{buckets:?}");
            let (last, count) = buckets[buckets.len() - 1];
            assert_eq!(
                (last, count),
                (f64::INFINITY, self.get(&format!("{name}_count")))
            );
        }
    }

    fn get(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no {series}"))
    }

    /// These series have these values.
    fn has(&self, prefix: &str, expected: &[(&str, f64)]) {
        for (series, value) in expected {
            assert_eq!(self.get(&format!("{prefix}_{series}")), *value, "{series}");
        }
    }
}

/// Labels are of a fixed list, so what an org or an outsider names can't make series.
fn check_labels(series: &str) {
    let Some((_, labels)) = series.split_once('{') else {
        return;
    };
    let labels = labels.strip_suffix('}').expect("labels end");
    for label in labels.split(',') {
        let (name, value) = label.split_once('=').expect("a label has a value");
        let known = [
            "outcome", "clause", "status", "le", "stream", "pool", "state", "kind", "code",
            "receipt", "cause",
        ];
        assert!(known.contains(&name), "{series}");
        let value = value.trim_matches('"');
        assert!(!["acme", "code", "order.paid"].contains(&value), "{series}");
    }
}

#[tokio::test]
async fn what_happened_is_what_is_counted() -> Result<(), Failure> {
    let mut rig = Rig::start().await?;
    rig.patience(60).await?;
    let code = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let narrow = |spec: &mut v1::WebhookGroupSpec| {
        spec.registered_events = vec!["order".to_owned()];
    };
    let picky = rig.group("picky", narrow).await?;
    rig.webhook("picky", "none", "payload.n < 0").await?;
    rig.webhook("picky", "broken", "payload.s.contains(1)")
        .await?;
    let other = rig
        .group("other", |spec| {
            spec.registered_events = vec!["x".to_owned()]
        })
        .await?;
    let listening = rig.listen().await?;
    let send = async |group: &v1::WebhookGroup, id: &str, body: &'static [u8]| {
        Ok::<_, Failure>(
            post(
                &callback_url(group),
                signed(id, body),
                Bytes::from_static(body),
            )
            .await?
            .status,
        )
    };

    for id in ["a", "b", "c", "a"] {
        assert_eq!(send(&code, id, b"{}").await?, 200);
    }
    // One webhook doesn't want it; of the other the filter can't be told.
    assert_eq!(send(&picky, "d", br#"{"n": 1, "s": 2}"#).await?, 200);
    assert_eq!(send(&picky, "e", br#"{"n": 1}"#).await?, 200);
    assert_eq!(send(&other, "f", b"{}").await?, 200);
    let forged = signed("g", b"another body");
    let refused = post(&callback_url(&code), forged, Bytes::from_static(b"{}")).await?;
    assert_eq!(refused.status, 401);
    let nowhere = format!("{}x", callback_url(&code));
    assert_eq!(
        post(&nowhere, signed("h", b"{}"), Bytes::from_static(b"{}"))
            .await?
            .status,
        404
    );

    let mut subscriber = Subscriber::start(&rig, "code/all", 1, 0).await?;
    let first = subscriber.next().await?;
    subscriber.ack(&first).await?;
    let second = subscriber.next().await?;
    subscriber.nack(&second, |nack| nack.give_up = true).await?;
    let _third = subscriber.next().await?;
    let mut stranger = super::rig::api_with(&rig.url, "no token of this place");
    let denied = stranger_asks(&mut stranger).await;
    assert_eq!(denied, Code::Unauthenticated);

    let at_listener = Scrape::of(&listening.metrics.render());
    at_listener.has(
        "hookplane_listener",
        &[
            ("callbacks_total{outcome=\"kept\"}", 4.0),
            ("callbacks_total{outcome=\"duplicate\"}", 1.0),
            ("callbacks_total{outcome=\"not-matched\"}", 1.0),
            ("callbacks_total{outcome=\"not-registered\"}", 1.0),
            ("callbacks_total{outcome=\"handshake\"}", 0.0),
            ("callbacks_total{outcome=\"refused\"}", 2.0),
            ("callbacks_total{outcome=\"unavailable\"}", 0.0),
            ("refused_total{clause=\"signature\",status=\"401\"}", 1.0),
            ("refused_total{clause=\"unknown-url\",status=\"404\"}", 1.0),
            ("refused_total{clause=\"not-durable\",status=\"503\"}", 0.0),
            ("held_total", 1.0),
            ("answer_seconds_count", 9.0),
            ("in_flight", 0.0),
            ("reports_in_flight", 0.0),
            ("resources_refused_total", 0.0),
            ("config_stream_up", 1.0),
            ("config_stream_lost_total", 0.0),
            ("connects_total{stream=\"config\"}", 1.0),
            ("clock_off", 0.0),
        ],
    );
    assert!(at_listener.get("hookplane_listener_plan_revision") > 0.0);
    let applied = at_listener.get("hookplane_listener_plan_applied_timestamp_seconds");
    assert_eq!(applied, 1_700_000_000.0, "by the rig's clock");

    // The log has counted once it has answered; a settlement isn't waited for by its subscriber.
    eventually(async || {
        let scrape = Scrape::of(&rig.metrics.render());
        let dead = scrape.get("hookplane_control_plane_deliveries_total{outcome=\"dead\"}");
        let leases = scrape.get("hookplane_control_plane_leases");
        Ok(((dead, leases) == (1.0, 1.0)).then_some(()))
    })
    .await?;
    let scrape = Scrape::of(&rig.metrics.render());
    scrape.has(
        "hookplane_control_plane",
        &[
            ("callbacks_total{outcome=\"kept\"}", 4.0),
            ("callbacks_total{outcome=\"duplicate\"}", 1.0),
            ("callbacks_total{outcome=\"not-kept\"}", 0.0),
            ("callbacks_total{outcome=\"retry-later\"}", 0.0),
            ("batch_seconds_count", 5.0),
            ("deliveries_total{outcome=\"acked\"}", 1.0),
            ("deliveries_total{outcome=\"nacked\"}", 1.0),
            ("deliveries_total{outcome=\"expired\"}", 0.0),
            ("deliveries_total{outcome=\"held\"}", 1.0),
            ("deliveries_total{outcome=\"dropped\"}", 0.0),
            ("log_queue", 0.0),
            ("log_receipt{receipt=\"synced\"}", 1.0),
            ("log_receipt{receipt=\"degraded\"}", 0.0),
            ("subscribers", 1.0),
            ("listeners{pool=\"default\",state=\"connected\"}", 1.0),
            ("listeners{pool=\"default\",state=\"ready\"}", 1.0),
            ("config_pushes_total{kind=\"list\"}", 1.0),
            ("config_nacks_total", 0.0),
            ("refused_calls_total{code=\"unauthenticated\"}", 1.0),
        ],
    );
    for series in [
        "log_commits_total",
        "log_commit_seconds_total",
        "log_pieces_total",
        "store_revision",
    ] {
        assert!(
            scrape.get(&format!("hookplane_control_plane_{series}")) > 0.0,
            "{series}"
        );
    }

    // Every name is in the one table that documents it, and the table names nothing else.
    for (text, table) in [
        (
            listening.metrics.render(),
            include_str!("../../../listener/src/metrics.rs"),
        ),
        (
            rig.metrics.render(),
            include_str!("../../../control-plane/src/metrics.rs"),
        ),
    ] {
        let mut documented = documented(table);
        // Has a series for each reason alone, and an embedded log that syncs has none; `replicas` sees one.
        documented.remove("hookplane_control_plane_log_weakness");
        assert_eq!(documented, exposed(&text));
    }
    drop(subscriber);
    eventually(async || {
        let scrape = Scrape::of(&rig.metrics.render());
        let returned = scrape.get("hookplane_control_plane_deliveries_total{outcome=\"returned\"}");
        let open = scrape.get("hookplane_control_plane_subscribers");
        Ok(((returned, open) == (1.0, 0.0)).then_some(()))
    })
    .await
}

async fn stranger_asks(api: &mut super::rig::Api) -> Code {
    let mut client = v1::org_service_client::OrgServiceClient::new(api.clone());
    let answer = client.list_orgs(v1::ListOrgsRequest::default()).await;
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

fn documented(source: &str) -> BTreeSet<String> {
    let rows = source
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `"));
    rows.filter_map(|row| row.split('`').next().map(str::to_owned))
        .collect()
}

/// The names as a query writes them.
fn exposed(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| match kind {
            "counter" => format!("{name}_total"),
            _ => name.to_owned(),
        })
        .collect()
}

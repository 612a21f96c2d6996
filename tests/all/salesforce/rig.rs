//! A sink, the org that it writes to, and records to write.

use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::dispatch::sink::salesforce::SalesforceSink;
use hookplane_control_plane::dispatch::sink::{Job, Outcome, Sink, Verdict};
use hookplane_control_plane::log::Lease;
use hookplane_control_plane::mapping::{Child, Parent, Record, Value};
use hookplane_proto::v1;
use hookplane_rules::Timestamp;
use hookplane_tests::clock::TestClock;
use hookplane_tests::destinations::client;
use hookplane_tests::salesforce::{App, Org, Stub};

pub(super) const NOW: i64 = 1_700_000_000;
/// Of one request, where nothing is meant to take long.
const TIMEOUT: Duration = Duration::from_secs(20);

pub(super) struct Rig {
    pub(super) stub: Stub,
    pub(super) sink: SalesforceSink,
}

/// Client credentials for a stub at this URL.
pub(super) fn target(stub: &Stub) -> v1::SalesforceTarget {
    let org = stub.org();
    v1::SalesforceTarget {
        url: stub.url().to_owned(),
        client_id: org.app.client_id.clone(),
        client_secret: Some(secret(&org.app.client_secret)),
        ..v1::SalesforceTarget::default()
    }
}

pub(super) fn secret(value: &str) -> v1::Secret {
    v1::Secret {
        value: value.to_owned(),
        ..v1::Secret::default()
    }
}

pub(super) fn sink(target: &v1::SalesforceTarget, timeout: Duration) -> SalesforceSink {
    let clock = Arc::new(TestClock::at(NOW * 1000));
    SalesforceSink::new(target, timeout, client(), clock).unwrap()
}

impl Rig {
    pub(super) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With these settings.
    pub(super) async fn with(set: impl FnOnce(&mut v1::SalesforceTarget)) -> Self {
        Self::timed(set, TIMEOUT).await
    }

    pub(super) async fn timed(
        set: impl FnOnce(&mut v1::SalesforceTarget),
        timeout: Duration,
    ) -> Self {
        let stub = Stub::start(Org::shop(App::new(NOW))).await.unwrap();
        let mut target = target(&stub);
        set(&mut target);
        let sink = sink(&target, timeout);
        Self { stub, sink }
    }

    pub(super) async fn deliver(&self, records: impl IntoIterator<Item = Record>) -> Vec<Outcome> {
        let jobs: Vec<Job> = records.into_iter().map(job).collect();
        let outcomes = self.sink.deliver(&jobs).await;
        assert_eq!(outcomes.len(), jobs.len());
        outcomes
    }

    /// All done, or the test ends.
    pub(super) async fn done(&self, records: impl IntoIterator<Item = Record>) {
        for outcome in self.deliver(records).await {
            assert_eq!(outcome.verdict, Verdict::Done, "{outcome:?}");
        }
    }

    /// What is stored of the order with this id: JSON text by field.
    pub(super) fn order(&self, id: &str, field: &str) -> Option<String> {
        let order = self.stub.org().one("Order__c", "Shop_Id__c", id)?;
        Some(
            order
                .get(field)
                .cloned()
                .unwrap_or_else(|| "null".to_owned()),
        )
    }

    pub(super) fn count(&self, object: &str) -> usize {
        self.stub.org().records(object).len()
    }
}

pub(super) fn job(record: Record) -> Job {
    Job {
        lease: Lease {
            token: "lease".to_owned(),
            delivery: v1::Delivery::default(),
            event: v1::Event::default(),
            expires: Timestamp(0),
        },
        record: Some(record),
        webhook: "orgs/acme/groups/shop-prod/webhooks/order-paid".to_owned(),
    }
}

pub(super) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

pub(super) fn number(digits: &str) -> Value {
    Value::Number(digits.to_owned())
}

pub(super) fn record(
    operation: v1::RecordOperation,
    object: &str,
    key: Option<&str>,
    fields: impl IntoIterator<Item = (&'static str, Value)>,
) -> Record {
    Record {
        object: object.to_owned(),
        operation,
        key: key.map(str::to_owned),
        fields: fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        parents: Vec::new(),
        children: Vec::new(),
    }
}

/// An upsert of an order by the shop's id for it.
pub(super) fn order(id: &str, more: impl IntoIterator<Item = (&'static str, Value)>) -> Record {
    let fields = std::iter::once(("Shop_Id__c", text(id))).chain(more);
    record(
        v1::RecordOperation::Upsert,
        "Order__c",
        Some("Shop_Id__c"),
        fields,
    )
}

pub(super) fn account(
    email: &str,
    more: impl IntoIterator<Item = (&'static str, Value)>,
) -> Record {
    let fields = std::iter::once(("Email__c", text(email))).chain(more);
    record(
        v1::RecordOperation::Upsert,
        "Account",
        Some("Email__c"),
        fields,
    )
}

pub(super) fn line(id: &str, more: impl IntoIterator<Item = (&'static str, Value)>) -> Record {
    let fields = std::iter::once(("Line_Id__c", text(id))).chain(more);
    record(
        v1::RecordOperation::Upsert,
        "OrderLine__c",
        Some("Line_Id__c"),
        fields,
    )
}

pub(super) fn under(mut record: Record, parent: Record) -> Record {
    record.parents.push(Parent {
        field: format!("{}__r", parent.object.trim_end_matches("__c")),
        record: parent,
    });
    record
}

pub(super) fn over(mut record: Record, children: impl IntoIterator<Item = Record>) -> Record {
    let parent_field = format!("{}__r", record.object.trim_end_matches("__c"));
    record
        .children
        .extend(children.into_iter().map(|record| Child {
            parent_field: parent_field.clone(),
            record,
        }));
    record
}

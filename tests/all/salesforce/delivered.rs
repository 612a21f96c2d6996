//! From a signed callback to the records in the org, through the built binary.

use hookplane_tests::http::post;
use hookplane_tests::product::{Dev, eventually};
use hookplane_tests::salesforce::{App, Org, Stub, plain};
use hookplane_tests::signers;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const SECRET: &str = "s3cret";

struct Shop {
    dev: Dev,
    stub: Stub,
    url: String,
    /// Of ann.
    account: String,
    _runtime: Runtime,
    _folder: TempDir,
}

impl Shop {
    /// A webhook for paid orders that writes to a stubbed org with ann's account.
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let mut org = Org::shop(App::new(0));
        let account = org.put(
            "Account",
            [("Name", "Ann"), ("Email__c", "ann@example.com")],
        );
        let stub = runtime.block_on(Stub::start(org)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev::start(&folder.path().join("data"));
        dev.apply(&manifest(&stub));
        let url = dev.callback_url("acme/shop-prod");
        Self {
            dev,
            stub,
            url,
            account,
            _runtime: runtime,
            _folder: folder,
        }
    }

    fn post(&self, delivery: &str, body: &str) {
        let headers = signers::shopify(
            SECRET,
            "orders/paid",
            delivery,
            "acme.myshopify.com",
            body.as_bytes(),
        );
        let answer = post(&self.url, &headers, body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200);
    }

    /// The delivery of the only or newest event in this state.
    fn delivery(&self, status: &str) -> Value {
        eventually(&format!("a delivery is {status}"), || {
            let all = self.dev.items(&["deliveries", "acme/shop-prod/order-paid"]);
            all.into_iter()
                .find(|delivery| delivery["status"]["status"] == status)
        })
    }

    fn delivered(&self, count: usize) {
        eventually("all are delivered", || {
            let all = self.dev.items(&["deliveries", "acme/shop-prod/order-paid"]);
            let done = all
                .iter()
                .filter(|delivery| delivery["status"]["status"] == "delivered")
                .count();
            (done == count).then_some(())
        });
    }
}

fn manifest(stub: &Stub) -> String {
    let (id, secret) = {
        let org = stub.org();
        (org.app.client_id.clone(), org.app.client_secret.clone())
    };
    format!(
        r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {{org: acme, name: shop-prod}}
spec:
  connector: shopify
  function: admin-webhooks
  externalId: acme.myshopify.com
  signatureSecrets: [{{value: {SECRET}}}]
  registeredEvents: ["*"]
---
apiVersion: hookplane.dev/v1
kind: Destination
metadata: {{org: acme, name: crm}}
spec:
  salesforce: {{url: "{}", clientId: "{id}", clientSecret: {{value: "{secret}"}}}}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {{org: acme, group: shop-prod, name: order-paid}}
spec:
  label: Order paid
  active: true
  events: [orders/paid]
  filter: payload.test == false
  mapping:
    active: true
    base:
      object: Order__c
      operation: upsert
      key: Shop_Id__c
      fields:
        Shop_Id__c: {{from: payload.id, type: string}}
        Total__c: {{from: payload.total_price, type: decimal, onMissing: fail}}
        Note__c: {{from: payload.note, default: none}}
        Late__c: {{cel: "payload.tags.exists(t, t == 'late')", type: boolean}}
      parents:
        - {{object: Account, field: Account__r, key: Email__c, fields: {{Email__c: {{from: payload.email}}}}}}
      children:
        - object: OrderLine__c
          forEach: payload.line_items
          parentField: Order__r
          key: Line_Id__c
          fields: {{Line_Id__c: {{from: item.id, type: string}}, Sku__c: {{from: item.sku}}}}
  destinations:
    - ref: crm
"#,
        stub.url()
    )
}

fn paid(id: u64, sku: &str) -> String {
    format!(
        r#"{{"id":{id},"test":false,"email":"ann@example.com","total_price":"1234567890123456.10","tags":["late"],
        "line_items":[{{"id":{id}1,"sku":"TEA"}},{{"id":{id}2,"sku":"{sku}"}}]}}"#
    )
}

#[test]
fn a_signed_callback_becomes_an_order_with_its_account_and_lines_and_repeats_make_no_second_one() {
    let shop = Shop::start();
    shop.post("d-1", &paid(450, "CUP"));
    shop.delivered(1);
    // Sent again by the provider, as itself and as another delivery.
    shop.post("d-1", &paid(450, "CUP"));
    shop.post("d-2", &paid(450, "POT"));
    shop.delivered(2);
    let org = shop.stub.org();
    let (orders, lines) = (org.records("Order__c"), org.records("OrderLine__c"));
    assert_eq!(
        (org.records("Account").len(), orders.len(), lines.len()),
        (1, 1, 2)
    );
    let order = &orders[0];
    assert_eq!(plain(&order["Shop_Id__c"]), "450");
    assert_eq!(order["Total__c"], "1234567890123456.10");
    assert_eq!(
        (plain(&order["Note__c"]).as_str(), order["Late__c"].as_str()),
        ("none", "true")
    );
    assert_eq!(plain(&order["Account__c"]), shop.account);
    let id = org.objects["Order__c"]
        .found("Shop_Id__c", "450")
        .pop()
        .unwrap();
    assert!(lines.iter().all(|line| plain(&line["Order__c"]) == id));
    assert_eq!(plain(&lines[1]["Sku__c"]), "POT");
}

#[test]
fn a_row_that_is_refused_is_named_in_a_dead_delivery_that_a_replay_mends() {
    let shop = Shop::start();
    shop.post("d-1", &paid(1, "TOO-LONG-FOR-THE-FIELD"));
    let dead = shop.delivery("dead").to_string();
    assert!(
        dead.contains("2 of 3 records written; OrderLine__c Line_Id__c=12: STRING_TOO_LONG"),
        "{dead}"
    );
    assert_eq!(shop.stub.org().records("OrderLine__c").len(), 1);
    // The field is widened, and the delivery replayed.
    for field in &mut shop
        .stub
        .org()
        .objects
        .get_mut("OrderLine__c")
        .unwrap()
        .fields
    {
        if field.name == "Sku__c" {
            field.kind = hookplane_tests::salesforce::Kind::Text(40);
        }
    }
    shop.dev
        .ok(&["replay", "acme/shop-prod/order-paid", "--status", "dead"]);
    shop.delivered(1);
    let org = shop.stub.org();
    assert_eq!(org.records("Order__c").len(), 1);
    assert_eq!(org.records("OrderLine__c").len(), 2);
}

#[test]
fn a_locked_record_is_written_by_a_later_attempt() {
    let shop = Shop::start();
    shop.stub.org().locks.insert("450".to_owned(), 1);
    shop.post("d-1", &paid(450, "CUP"));
    shop.delivered(1);
    let delivery = shop.delivery("delivered");
    assert_eq!(delivery["status"]["attempts"], 2, "{delivery}");
    assert_eq!(shop.stub.org().records("Order__c").len(), 1);
}

#[test]
fn the_days_limit_pauses_the_destination_and_counts_no_attempt() {
    let shop = Shop::start();
    shop.stub.org().calls = (5, 5);
    shop.post("d-1", &paid(1, "CUP"));
    let waiting = eventually("the destination waits", || {
        let all = shop.dev.items(&["destinations", "acme/crm"]);
        all.into_iter()
            .find(|destination| destination["status"]["state"] == "waiting")
    });
    assert!(
        waiting.to_string().contains("REQUEST_LIMIT_EXCEEDED"),
        "{waiting}"
    );
    shop.post("d-2", &paid(2, "CUP"));
    let delivery = shop.delivery("pending");
    assert!(
        delivery["status"]["attempts"].as_u64().unwrap_or(0) == 0,
        "{delivery}"
    );
    assert_eq!(shop.stub.seen("/composite").len(), 1);
}

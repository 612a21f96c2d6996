//! What the API takes, an edit in the console keeps: also what its form doesn't show.
//!
//! The specs here name every field there is, so that a new one has to be thought of.

use std::collections::BTreeMap;

use hookplane_proto::v1;
use hookplane_tests::product::Dev;
use hookplane_tests::salesforce::App;
use tokio::runtime::Runtime;
use tonic::Request;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use v1::destination_service_client::DestinationServiceClient;
use v1::webhook_group_service_client::WebhookGroupServiceClient;
use v1::webhook_service_client::WebhookServiceClient;

use super::form::untouched;
use super::{Visitor, text};

const SIGNING: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

struct Rig {
    dev: Dev,
    visitor: Visitor,
    runtime: Runtime,
    channel: Channel,
    _folder: tempfile::TempDir,
}

fn rig() -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let runtime = Runtime::new().unwrap();
    let endpoint = Endpoint::from_shared(dev.api_url()).unwrap();
    Rig {
        visitor: Visitor::signed_in(&dev, &dev.token()),
        channel: runtime.block_on(endpoint.connect()).unwrap(),
        dev,
        runtime,
        _folder: folder,
    }
}

/// With the token.
macro_rules! api {
    ($rig:expr, $client:ident) => {{
        let bearer = format!("Bearer {}", $rig.dev.token());
        let add = move |mut request: Request<()>| {
            let value = bearer.parse().expect("a header");
            request.metadata_mut().insert("authorization", value);
            Ok(request)
        };
        $client::new(InterceptedService::new($rig.channel.clone(), add))
    }};
}

impl Rig {
    /// Opens the form, changes that field of it, and sends it.
    fn save(&self, path: &str, change: Option<(&str, &str)>) {
        let mut fields = untouched(&self.visitor.page(path), "etag");
        for (name, value) in &mut fields {
            if change.is_some_and(|(changed, _)| changed == name) {
                *value = change.unwrap().1.to_owned();
            }
        }
        let fields: Vec<_> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
        let answer = self.visitor.send(path, &fields, &super::same_origin());
        assert_eq!(answer.status, 303, "{path}: {}", text(&answer));
    }
}

fn secret(value: &str) -> Option<v1::Secret> {
    Some(v1::Secret {
        value: value.to_owned(),
        sealed: Vec::new().into(),
    })
}

fn limits() -> Option<v1::DeliveryLimits> {
    Some(v1::DeliveryLimits {
        concurrency: 3,
        rate_per_second: 7,
        timeout_seconds: 11,
        max_attempts: 13,
    })
}

fn http() -> v1::HttpTarget {
    v1::HttpTarget {
        url: "https://erp.example.com/hooks?a=1&b=2".to_owned(),
        signing_secret: secret(SIGNING),
        headers: BTreeMap::from([
            ("authorization".to_owned(), secret("Bearer mine").unwrap()),
            ("x-tenant".to_owned(), secret("seven").unwrap()),
        ]),
    }
}

/// By a client secret, or by a user's key.
fn salesforce(user: bool) -> v1::SalesforceTarget {
    v1::SalesforceTarget {
        url: "https://acme.my.salesforce.com".to_owned(),
        client_id: "3MVG9".to_owned(),
        client_secret: secret("of-the-app").filter(|_| !user),
        private_key: secret(App::new(0).private_key()).filter(|_| user),
        username: if user { "ada@acme.example" } else { "" }.to_owned(),
        audience: if user {
            "https://test.salesforce.com"
        } else {
            ""
        }
        .to_owned(),
        api_version: "v64.0".to_owned(),
        auto_assign: true,
        allow_duplicates: true,
        all_or_none: true,
    }
}

fn mapping() -> v1::Mapping {
    let field = |from: &str| v1::FieldMapping {
        from: from.to_owned(),
        cel: String::new(),
        r#type: v1::FieldType::String.into(),
        default: Some("none".to_owned()),
        on_missing: v1::OnMissing::Default.into(),
        convert: vec!["trim".to_owned(), "lower".to_owned()],
        values: BTreeMap::from([("*".to_owned(), "a = b".to_owned())]),
        picklist: Vec::new(),
    };
    let fields = |name: &str, from: &str| BTreeMap::from([(name.to_owned(), field(from))]);
    v1::Mapping {
        active: true,
        base: Some(v1::RecordMapping {
            object: "Push__c".to_owned(),
            operation: v1::RecordOperation::Upsert.into(),
            key: "Ref__c".to_owned(),
            fields: fields("Ref__c", "payload.ref"),
            parents: vec![v1::ParentMapping {
                object: "Account".to_owned(),
                field: "Account__r".to_owned(),
                key: "Name__c".to_owned(),
                fields: fields("Name__c", "payload.repository.name"),
                parents: Vec::new(),
            }],
            children: vec![v1::ChildMapping {
                object: "Commit__c".to_owned(),
                operation: v1::RecordOperation::Upsert.into(),
                key: "Sha__c".to_owned(),
                for_each: "payload.commits".to_owned(),
                parent_field: "Push__r".to_owned(),
                fields: fields("Sha__c", "item.id"),
                parents: Vec::new(),
                children: Vec::new(),
            }],
        }),
    }
}

fn to(name: &str) -> v1::WebhookDestination {
    v1::WebhookDestination {
        subscribe: None,
        http: None,
        salesforce: None,
        r#ref: String::new(),
        name: name.to_owned(),
        limits: None,
        paused: false,
    }
}

fn webhook() -> v1::WebhookSpec {
    v1::WebhookSpec {
        label: "Pushes & \"others\"".to_owned(),
        active: true,
        events: vec!["push".to_owned(), "pull_request.opened".to_owned()],
        filter: "payload.n < 1 &&\n  payload.m == '\"'".to_owned(),
        mapping: Some(mapping()),
        destinations: vec![
            v1::WebhookDestination {
                http: Some(http()),
                limits: limits(),
                paused: true,
                ..to("mine")
            },
            v1::WebhookDestination {
                salesforce: Some(salesforce(false)),
                limits: limits(),
                ..to("own-crm")
            },
            v1::WebhookDestination {
                r#ref: "crm".to_owned(),
                paused: true,
                ..to("second")
            },
            v1::WebhookDestination {
                subscribe: Some(v1::SubscribeDestination {}),
                ..to("")
            },
        ],
        order_by: "payload.customer.id".to_owned(),
    }
}

fn group() -> v1::WebhookGroupSpec {
    v1::WebhookGroupSpec {
        connector: "github".to_owned(),
        function: "repository".to_owned(),
        display_name: "Code, <all>".to_owned(),
        pool: "edge".to_owned(),
        external_id: "octo/shop".to_owned(),
        signature_secrets: ["first", "second"]
            .map(|name| v1::SignatureSecret {
                name: name.to_owned(),
                value: format!("s3cret-{name}"),
                sealed: Vec::new().into(),
            })
            .into(),
        parameters: BTreeMap::new(),
        accept_unsigned: false,
        registered_events: vec!["push".to_owned(), "pull_request".to_owned()],
        disabled: true,
        max_body_bytes: Some(4_096),
        capture_unmatched: true,
        refuse_suspected_replays: true,
        dedup_window_days: 9,
        rate_limit_per_second: 50,
        sealed_parameters: BTreeMap::new(),
        learn_secret: false,
        redact: vec![
            v1::Redaction {
                path: "payload.a['b c']".to_owned(),
                mask: true,
            },
            v1::Redaction {
                path: "payload.lines[*].note".to_owned(),
                mask: false,
            },
        ],
        retention: Some(v1::Retention {
            max_days: 30,
            max_bytes: 5_000_000,
        }),
        capture_days: 3,
    }
}

fn destination(name: &str) -> v1::DestinationSpec {
    v1::DestinationSpec {
        display_name: format!("Of {name}"),
        http: (name == "erp").then(http),
        salesforce: (name != "erp").then(|| salesforce(name == "crm")),
        limits: limits(),
        paused: true,
    }
}

fn named(name: &str) -> Option<v1::Metadata> {
    Some(v1::Metadata {
        name: name.to_owned(),
        ..Default::default()
    })
}

/// Makes all of it.
fn make(rig: &Rig) {
    rig.runtime.block_on(async {
        let mut destinations = api!(rig, DestinationServiceClient);
        for name in ["erp", "crm", "crm-by-secret"] {
            let request = v1::CreateDestinationRequest {
                parent: "orgs/demo".to_owned(),
                destination: Some(v1::Destination {
                    metadata: named(name),
                    spec: Some(destination(name)),
                    status: None,
                }),
                validate_only: false,
            };
            destinations.create_destination(request).await.unwrap();
        }
        let mut groups = api!(rig, WebhookGroupServiceClient);
        for (name, spec) in all_groups() {
            let request = v1::CreateWebhookGroupRequest {
                parent: "orgs/demo".to_owned(),
                webhook_group: Some(v1::WebhookGroup {
                    metadata: named(name),
                    spec: Some(spec),
                    status: None,
                }),
                validate_only: false,
            };
            groups.create_webhook_group(request).await.expect(name);
        }
        let request = v1::CreateWebhookRequest {
            parent: "orgs/demo/groups/code".to_owned(),
            webhook: Some(v1::Webhook {
                metadata: named("pushes"),
                spec: Some(webhook()),
                status: None,
            }),
            validate_only: false,
        };
        let mut webhooks = api!(rig, WebhookServiceClient);
        webhooks.create_webhook(request).await.unwrap();
    });
}

/// One with everything that goes together, and what doesn't go with that.
fn all_groups() -> [(&'static str, v1::WebhookGroupSpec); 4] {
    let other = |connector: &str| v1::WebhookGroupSpec {
        connector: connector.to_owned(),
        function: String::new(),
        signature_secrets: Vec::new(),
        registered_events: vec!["*".to_owned()],
        refuse_suspected_replays: false,
        external_id: String::new(),
        ..group()
    };
    [
        ("code", group()),
        (
            "unsigned",
            v1::WebhookGroupSpec {
                accept_unsigned: true,
                ..other("docker-hub")
            },
        ),
        (
            "learns",
            v1::WebhookGroupSpec {
                learn_secret: true,
                ..other("asana")
            },
        ),
        (
            "parameters",
            v1::WebhookGroupSpec {
                parameters: BTreeMap::from([("verifyToken".to_owned(), "s3cret".to_owned())]),
                signature_secrets: group().signature_secrets,
                ..other("facebook")
            },
        ),
    ]
}

#[test]
fn a_webhook_keeps_all_that_the_api_gave_it() {
    let rig = rig();
    make(&rig);
    let get = || {
        let name = "orgs/demo/groups/code/webhooks/pushes".to_owned();
        let mut api = api!(rig, WebhookServiceClient);
        let request = v1::GetWebhookRequest { name };
        let got = rig.runtime.block_on(api.get_webhook(request)).unwrap();
        let got = got.into_inner();
        (got.spec.unwrap(), got.metadata.unwrap().etag)
    };
    let path = "/orgs/demo/groups/code/webhooks/pushes";
    let (before, etag) = get();
    assert_eq!(before.destinations.len(), webhook().destinations.len());
    let page = rig.visitor.page(path);
    for seen in [
        "mine",
        "headers authorization, x-tenant",
        "3 requests at a time",
        "own-crm",
        "crm",
    ] {
        assert!(page.contains(seen), "{seen}: {page}");
    }
    // Not a word of it is another one: it isn't even written again.
    rig.save(&format!("{path}/edit"), None);
    assert_eq!(get(), (before.clone(), etag));
    rig.save(&format!("{path}/edit"), Some(("label", "Other")));
    let mut other = before;
    other.label = "Other".to_owned();
    assert_eq!(get().0, other);
    // The same by way of the mapping's form.
    let etag = get().1;
    let mapping = format!("{path}/mapping");
    let mut fields = untouched(&rig.visitor.page(&mapping), "base.object");
    fields.push(("do".to_owned(), "save".to_owned()));
    let fields: Vec<_> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    let answer = rig.visitor.send(&mapping, &fields, &super::same_origin());
    assert_eq!(answer.status, 303, "{}", text(&answer));
    assert_eq!(get(), (other, etag));
}

#[test]
fn a_group_keeps_all_that_the_api_gave_it() {
    let rig = rig();
    make(&rig);
    for (group, _) in all_groups() {
        let get = || {
            let name = format!("orgs/demo/groups/{group}");
            let mut api = api!(rig, WebhookGroupServiceClient);
            let request = v1::GetWebhookGroupRequest { name };
            let got = rig.runtime.block_on(api.get_webhook_group(request));
            let got = got.unwrap().into_inner();
            (got.spec.unwrap(), got.metadata.unwrap().etag)
        };
        let (before, etag) = get();
        let path = format!("/orgs/demo/groups/{group}/edit");
        rig.save(&path, None);
        assert_eq!(get(), (before.clone(), etag), "{group}");
        rig.save(&path, Some(("display_name", "Other")));
        let mut other = before;
        other.display_name = "Other".to_owned();
        assert_eq!(get().0, other, "{group}");
    }
}

#[test]
fn a_destination_keeps_all_that_the_api_gave_it() {
    let rig = rig();
    make(&rig);
    for name in ["erp", "crm", "crm-by-secret"] {
        let get = || {
            let name = format!("orgs/demo/destinations/{name}");
            let mut api = api!(rig, DestinationServiceClient);
            let request = v1::GetDestinationRequest { name };
            let got = rig.runtime.block_on(api.get_destination(request));
            let got = got.unwrap().into_inner();
            (got.spec.unwrap(), got.metadata.unwrap().etag)
        };
        let (before, etag) = get();
        let path = format!("/orgs/demo/destinations/{name}/edit");
        rig.save(&path, None);
        assert_eq!(get(), (before.clone(), etag), "{name}");
        rig.save(&path, Some(("display_name", "Other")));
        let mut other = before;
        other.display_name = "Other".to_owned();
        assert_eq!(get().0, other, "{name}");
    }
}

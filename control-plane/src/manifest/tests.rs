use super::*;

const GROUP: &str = "\
# what we take from our shop
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: shop-prod}
spec:
  connector: shopify
  signatureSecrets: [{value: s3cret}]
  registeredEvents:
    - orders/create
    - \"*\"
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: shop-prod, name: order-paid}
spec:
  active: true
  events: [orders/paid]
  destinations:
    - subscribe: {}
";

fn error_of(text: &str) -> ManifestError {
    parse(text).expect_err("should be refused")
}

fn group_of(document: &Document) -> &v1::WebhookGroupSpec {
    match &document.manifest.resource {
        Some(Resource::WebhookGroup(group)) => group.spec.as_ref().expect("spec"),
        other => panic!("{other:?}"),
    }
}

fn group_with(spec: &str) -> String {
    format!(
        "apiVersion: hookplane.dev/v1\nkind: WebhookGroup\nmetadata: {{org: a, name: b}}\nspec:\n{spec}"
    )
}

#[test]
fn documents_become_messages_in_order() {
    let documents = parse(GROUP).expect("valid");
    assert_eq!(documents.len(), 2);
    let group = group_of(&documents[0]);
    assert_eq!(group.connector, "shopify");
    assert_eq!(group.signature_secrets[0].value, "s3cret");
    assert_eq!(group.registered_events, ["orders/create", "*"]);
    let Some(Resource::Webhook(webhook)) = &documents[1].manifest.resource else {
        panic!("a webhook");
    };
    let spec = webhook.spec.as_ref().expect("spec");
    assert!(spec.active);
    assert!(spec.destinations[0].subscribe.is_some());
}

#[test]
fn a_field_is_found_where_it_stands() {
    let documents = parse(GROUP).expect("valid");
    assert_eq!(documents[0].locate("spec.registeredEvents[1]"), (10, 7));
    assert_eq!(documents[0].locate("spec.registeredEvents"), (8, 3));
    assert_eq!(
        documents[0].locate("spec.signatureSecrets[0].value"),
        (7, 23)
    );
    assert_eq!(documents[1].locate("metadata.group"), (14, 23));
    assert_eq!(
        documents[1].locate("spec.destinations[0].subscribe"),
        (19, 7)
    );
}

#[test]
fn a_field_that_is_not_there_is_found_at_its_nearest_parent() {
    let documents = parse(GROUP).expect("valid");
    assert_eq!(documents[0].locate("spec.externalId"), (5, 1));
    assert_eq!(documents[0].locate("spec.registeredEvents[9]"), (8, 3));
    assert_eq!(documents[1].locate(""), (12, 1));
}

#[test]
fn unknown_field_names_itself_its_place_and_the_known_ones() {
    let error = error_of(&group_with("  connector: github\n  registeredEvnts: []\n"));
    assert_eq!((error.line, error.column), (6, 3));
    assert!(
        error
            .message
            .starts_with("spec.registeredEvnts: unknown field; known are")
    );
    assert!(error.message.contains("`registeredEvents`"));
    let error = error_of(&group_with("  signatureSecrets: [{valeu: x}]\n"));
    assert!(
        error
            .message
            .starts_with("spec.signatureSecrets[0].valeu: unknown field"),
        "{error}"
    );
    assert_eq!((error.line, error.column), (5, 23));
}

#[test]
fn unknown_kind_version_and_top_field_are_refused() {
    let error = error_of("apiVersion: hookplane.dev/v1\nkind: Hook\nmetadata: {name: a}\n");
    assert!(
        error.message.contains("`WebhookGroup`") && error.line == 2,
        "{error}"
    );
    assert_eq!(error_of("apiVersion: v1\nkind: Org\n").line, 1);
    let error =
        error_of("apiVersion: hookplane.dev/v1\nkind: Org\nmetadata: {name: a}\nspce: {}\n");
    assert!(
        error.message.starts_with("spce: unknown field") && error.line == 4,
        "{error}"
    );
    assert!(
        error_of("kind: Org\n")
            .message
            .starts_with("apiVersion: missing")
    );
    assert!(
        error_of("just text\n")
            .message
            .contains("expected a document")
    );
}

#[test]
fn text_is_taken_as_it_is_written() {
    let documents = parse(&group_with(
        "  externalId: no\n  displayName: 1.10\n  pool: 012\n  parameters: {on: true}\n",
    ))
    .expect("valid");
    let group = group_of(&documents[0]);
    assert_eq!(group.external_id, "no");
    assert_eq!(group.display_name, "1.10");
    assert_eq!(group.pool, "012");
    assert_eq!(group.parameters["on"], "true");
}

#[test]
fn a_value_of_another_type_is_refused_at_its_place() {
    let error = error_of(&group_with("  acceptUnsigned: yes\n"));
    assert_eq!((error.line, error.column), (5, 19));
    assert_eq!(
        error.message,
        "spec.acceptUnsigned: expected `true` or `false`, found a plain value"
    );
    let error = error_of(&group_with("  rateLimitPerSecond: -1\n"));
    assert!(error.message.contains("a whole number"), "{error}");
    let error = error_of(&group_with("  displayName:\n"));
    assert!(error.message.contains("has no value"), "{error}");
    let error = error_of(&group_with("  registeredEvents: push\n"));
    assert!(error.message.contains("expected a list"), "{error}");
}

#[test]
fn a_key_twice_is_refused() {
    let error = error_of(&group_with("  connector: github\n  connector: stripe\n"));
    assert_eq!((error.line, error.column), (6, 3));
    assert!(error.message.contains("twice"), "{error}");
}

#[test]
fn merge_keys_and_tags_are_refused() {
    for (text, what) in [
        ("<<: {a: 1}\n", "`<<`"),
        ("a: &x {b: 1}\nc: {<<: *x}\n", "`<<`"),
        ("a: !!binary aGk=\n", "tags"),
    ] {
        assert!(error_of(text).message.contains(what), "{text}");
    }
}

#[test]
fn an_alias_is_a_copy_that_stands_where_the_alias_does() {
    let text = "one: &x\n  - deep: {a: yes}\n  - two\nother: [*x]\n";
    let roots = tree::read(text).unwrap();
    let copy = roots[0].get("other").unwrap();
    assert_eq!(
        copy.locate("[0][0].deep.a"),
        tree::Place { line: 4, column: 9 }
    );
    let tree::Value::List(list) = &copy.value else {
        panic!("no list")
    };
    let tree::Value::List(inner) = &list[0].value else {
        panic!("no copied list")
    };
    assert!(matches!(&inner[1].value, tree::Value::Scalar { text, plain: true } if text == "two"));
    let original = roots[0].get("one").unwrap();
    assert_eq!(original.locate("[1]"), tree::Place { line: 3, column: 5 });
}

#[test]
fn a_repeated_anchor_names_what_was_read_last() {
    let roots = tree::read("a: &x 1\nb: *x\nc: &x 2\nd: *x\n").unwrap();
    let text = |key: &str| match &roots[0].get(key).unwrap().value {
        tree::Value::Scalar { text, .. } => text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((text("b"), text("d")), ("1".into(), "2".into()));
}

// A file of a few hundred bytes that stands for billions of values, or for gigabytes of one text.
#[test]
fn a_bomb_of_aliases_is_refused_where_it_grows_too_large() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let below = format!("*a{}, ", n - 1).repeat(10);
        bomb.push_str(&format!("a{n}: &a{n} [{}]\n", below.trim_end_matches(", ")));
    }
    let error = error_of(&bomb);
    assert!(error.message.contains("aliases"), "{error}");
    assert!((4..=6).contains(&error.line) && error.column > 1, "{error}");
    let long = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(1 << 20),
        "*a, ".repeat(100)
    );
    let error = error_of(&long);
    assert!(error.message.contains("bytes of text"), "{error}");
    assert_eq!(error.line, 2);
    let many = format!(
        "{}\n---\n",
        bomb.lines().take(4).collect::<Vec<_>>().join("\n")
    );
    assert!(
        error_of(&many.repeat(20)).message.contains("aliases"),
        "documents add up"
    );
}

#[test]
fn an_alias_inside_what_it_names_is_refused() {
    let error = error_of("a: &x\n  - b: *x\n");
    assert!(error.message.contains("inside what it names"), "{error}");
    assert_eq!((error.line, error.column), (2, 8));
    assert!(error_of("a: *nobody\n").message.contains("not valid YAML"));
    assert!(
        error_of("a: &x 1\n---\na: *x\n")
            .message
            .contains("not valid YAML")
    );
}

#[test]
fn copies_count_as_levels() {
    let nested = |inner: &str| format!("{}{inner}{}", "[".repeat(30), "]".repeat(30));
    let error = error_of(&format!("a: &x {}\nb: {}\n", nested("1"), nested("*x")));
    assert!(error.message.contains("levels"), "{error}");
    assert_eq!(error.line, 2);
}

#[test]
fn depth_and_size_are_bounded() {
    assert!(
        error_of(&format!("{}{}", "[".repeat(60), "]".repeat(60)))
            .message
            .contains("levels")
    );
    assert!(
        error_of(&format!("a: {}", "x".repeat(MAX_BYTES)))
            .message
            .contains("bytes")
    );
    let keys: String = (0..=tree::MAX_KEYS).map(|n| format!("k{n}: 1\n")).collect();
    assert!(error_of(&keys).message.contains("keys"));
    let many = "apiVersion: hookplane.dev/v1\nkind: Org\nmetadata: {name: a}\n---\n"
        .repeat(MAX_DOCUMENTS + 1);
    assert!(error_of(&many).message.contains("documents"));
}

#[test]
fn broken_yaml_says_where() {
    let error = error_of("apiVersion: hookplane.dev/v1\nkind: [Org\n");
    assert!(error.message.contains("not valid YAML"), "{error}");
    assert!(error.line >= 2, "{error}");
}

#[test]
fn json_and_its_lists_are_taken() {
    let text = r#"{"items": [{"apiVersion": "hookplane.dev/v1", "kind": "Org", "metadata": {"name": "acme", "uid": "u", "revision": 3},
        "spec": {"displayName": "Acme"}, "status": {"anything": [1]}}]}"#;
    let documents = parse(text).expect("valid");
    assert_eq!(documents.len(), 1);
    let metadata = documents[0].metadata();
    assert_eq!(metadata.name, "acme");
    assert_eq!(
        (metadata.uid.as_str(), metadata.revision),
        ("", 0),
        "output only"
    );
}

#[test]
fn status_and_output_only_metadata_are_ignored() {
    let documents = parse(
        "apiVersion: hookplane.dev/v1\nkind: Org\nmetadata:\n  name: acme\n  etag: e\n  createTime: 2026-01-02T03:04:05Z\nstatus: {live: {applied: true}}\n",
    )
    .expect("valid");
    assert_eq!(
        documents[0].metadata(),
        v1::Metadata {
            name: "acme".into(),
            ..Default::default()
        }
    );
}

#[test]
fn env_and_file_are_brought_in_and_lines_survive() {
    let text = group_with(
        "  signatureSecrets:\n    - {name: new, env: SECRET}\n    - file: secret.txt\n    - {name: kept}\n  parameters:\n    verifyToken: {env: TOKEN}\n    plain: text\n  registeredEvents: [push]\n",
    );
    let mut asked = Vec::new();
    let documents = parse_with(&text, &mut |reference| {
        asked.push(reference.clone());
        Ok(match reference {
            Reference::Env(name) => format!("of {name}"),
            Reference::File(path) => format!("in {path}"),
        })
    })
    .expect("valid");
    let group = group_of(&documents[0]);
    let secrets: Vec<(&str, &str)> = group
        .signature_secrets
        .iter()
        .map(|secret| (secret.name.as_str(), secret.value.as_str()))
        .collect();
    assert_eq!(
        secrets,
        [("new", "of SECRET"), ("", "in secret.txt"), ("kept", "")]
    );
    assert_eq!(group.parameters["verifyToken"], "of TOKEN");
    assert_eq!(group.parameters["plain"], "text");
    assert_eq!(asked.len(), 3);
    assert_eq!(documents[0].locate("spec.registeredEvents[0]").0, 12);
    assert_eq!(documents[0].locate("spec.signatureSecrets[1].value").0, 7);
}

#[test]
fn the_secrets_of_destinations_may_stand_elsewhere_too() {
    let text = "apiVersion: hookplane.dev/v1\nkind: Destination\nmetadata: {org: acme, name: crm}\nspec:\n  http: {url: 'https://a.example/', signingSecret: {env: KEY}, headers: {X-A: {file: a.txt}, X-B: {}}}\n\
---\napiVersion: hookplane.dev/v1\nkind: Webhook\nmetadata: {org: acme, group: g, name: w}\nspec:\n  destinations: [{subscribe: {}}, {salesforce: {url: 'https://a.example', clientSecret: {env: SF}, privateKey: {value: pem}}}]\n";
    let documents = parse_with(text, &mut |reference| {
        Ok(match reference {
            Reference::Env(name) => format!("of {name}"),
            Reference::File(path) => format!("in {path}"),
        })
    })
    .expect("valid");
    let value = |secret: &Option<v1::Secret>| secret.as_ref().map(|s| s.value.clone());
    let Some(Resource::Destination(destination)) = &documents[0].manifest.resource else {
        panic!("a destination");
    };
    let http = destination
        .spec
        .clone()
        .and_then(|spec| spec.http)
        .expect("http");
    assert_eq!(value(&http.signing_secret).as_deref(), Some("of KEY"));
    assert_eq!(http.headers["X-A"].value, "in a.txt");
    assert_eq!(http.headers["X-B"], v1::Secret::default());
    let Some(Resource::Webhook(webhook)) = &documents[1].manifest.resource else {
        panic!("a webhook");
    };
    let spec = webhook.spec.clone().expect("a spec");
    let target = spec.destinations[1].salesforce.clone().expect("salesforce");
    assert_eq!(value(&target.client_secret).as_deref(), Some("of SF"));
    assert_eq!(value(&target.private_key).as_deref(), Some("pem"));
    let wrong = text.replace("{env: KEY}", "plain-text");
    let error = parse_with(&wrong, &mut |_| Ok("x".to_owned())).expect_err("no secret");
    assert!(error.message.contains("spec.http.signingSecret"), "{error}");
}

#[test]
fn a_reference_that_fails_or_is_empty_is_an_error_at_its_place() {
    let text = group_with("  signatureSecrets:\n    - env: GONE\n");
    let error = parse_with(&text, &mut |_| Err("is not set".to_owned())).expect_err("refused");
    assert_eq!(error.message, "spec.signatureSecrets[0].env: is not set");
    assert_eq!(error.line, 6);
    assert!(
        parse_with(&text, &mut |_| Ok(String::new())).is_err(),
        "empty would keep the stored one"
    );
    // Where nothing is saved, that is what is meant.
    for nothing in [Err("is not set".to_owned()), Ok(String::new())] {
        let documents = parse_to_try(&text, &mut |_| nothing.clone()).expect("to try");
        let Some(Resource::WebhookGroup(group)) = &documents[0].manifest.resource else {
            panic!("a group");
        };
        let secrets = group.spec.clone().expect("a spec").signature_secrets;
        assert_eq!((secrets.len(), secrets[0].value.as_str()), (1, ""));
    }
    assert!(parse(&text).is_err(), "without the command line");
    let both = group_with("  signatureSecrets: [{value: a, env: B}]\n");
    assert!(
        parse(&both)
            .expect_err("refused")
            .message
            .contains("not several")
    );
}

#[test]
fn a_key_with_dots_and_brackets_in_it_is_found() {
    let text = "apiVersion: hookplane.dev/v1\nkind: Connector\nmetadata: {org: a, name: b}\nspec:\n  functions: []\n  protocol:\n    extract:\n      eventType:\n        - from: json:/a\n          values:\n            order: x\n            order.paid: y\n            a[0]: z\n  tests:\n    - headers:\n        X.Sig: s\n";
    let documents = parse(text).expect("valid");
    let line = |field: &str| documents[0].locate(field).0;
    let values = "spec.protocol.extract.eventType[0].values";
    assert_eq!(line(&format!("{values}.order.paid")), 12);
    assert_eq!(line(&format!("{values}.order")), 11);
    assert_eq!(line(&format!("{values}.a[0]")), 13);
    assert_eq!(line(&format!("{values}.none")), 10);
    assert_eq!(line("spec.tests[0].headers.X.Sig"), 16);
    assert_eq!(line("spec.tests[0].expect"), 15);
    assert_eq!(line("spec.tests[1].expect"), 14);
}

#[test]
fn secrets_are_in_no_debug_output_of_the_tree() {
    let documents = parse(GROUP).expect("valid");
    assert!(!format!("{:?}", documents[0].root).contains("s3cret"));
}

/// As in the contract.
const MAPPED: &str = r#"apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: shop-prod, name: order-paid}
spec:
  label: Order paid
  active: true
  events: [orders/paid]
  filter: payload.test == false                 # optional, CEL
  mapping:                                      # optional
    active: true
    base:
      object: Order__c
      operation: upsert                         # insert | update | upsert | delete
      key: Shop_Id__c
      fields:
        Shop_Id__c: {from: payload.id, type: string}
        Total__c: {from: payload.total_price, type: decimal, onMissing: fail}     # omit | null | default | fail
        Note__c: {from: payload.note, default: none}
        Late__c: {cel: "payload.tags.exists(t, t == 'late')", type: boolean}
        Gone__c: {from: payload.gone, onMissing: null}
        Kept__c: {from: payload.kept, default: ""}
        Stage__c: {from: payload.stage, values: {paid: Closed Won, 1: yes, "*": no}}
      parents:
        - {object: Account, field: Account__r, key: Email__c, fields: {Email__c: {from: payload.email}}}
      children:
        - object: OrderLine__c
          forEach: payload.line_items
          parentField: Order__r
          key: Line_Id__c
          fields: {Line_Id__c: {from: item.id, type: string}, Sku__c: {from: item.sku}}
  destinations:
    - subscribe: {}                             # or http: {...}, salesforce: {...}
"#;

fn mapping_of(document: &Document) -> v1::Mapping {
    match &document.manifest.resource {
        Some(Resource::Webhook(webhook)) => webhook.spec.clone().unwrap().mapping.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_mapping_is_read_as_it_is_written() {
    let documents = parse(MAPPED).unwrap_or_else(|error| panic!("{error}"));
    let mapping = mapping_of(&documents[0]);
    let base = mapping.base.clone().unwrap();
    let field = |name: &str| base.fields.get(name).unwrap().clone();
    assert!(mapping.active);
    assert_eq!(base.operation(), v1::RecordOperation::Upsert);
    assert_eq!(field("Note__c").default.as_deref(), Some("none"));
    assert_eq!(field("Kept__c").default.as_deref(), Some(""));
    assert_eq!(field("Gone__c").on_missing(), v1::OnMissing::Null);
    assert_eq!(field("Gone__c").default, None);
    assert_eq!(field("Total__c").r#type(), v1::FieldType::Decimal);
    assert_eq!(
        field("Stage__c").values.get("1").map(String::as_str),
        Some("yes")
    );
    assert_eq!(base.children[0].for_each, "payload.line_items");
    assert!(crate::mapping::Mapping::compile(&mapping).is_ok());
    for quoted in ["\"null\"", "~", "''"] {
        let text = MAPPED.replace("onMissing: null", &format!("onMissing: {quoted}"));
        assert_eq!(parse(&text).is_ok(), quoted == "\"null\"", "{quoted}");
    }
    let json = serde_json::from_str::<v1::FieldMapping>(r#"{"onMissing": null}"#).unwrap();
    assert_eq!(json.on_missing(), v1::OnMissing::Null);
}

#[test]
fn what_is_wrong_with_a_mapping_points_at_its_line() {
    let place = |text: &str, what: &str| {
        let before = &text[..text.find(what).unwrap()];
        let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1);
        (before.matches('\n').count() + 1, column + 1)
    };
    for (right, wrong, at) in [
        ("from: item.sku}", "from: line.sku}", "from: line.sku}"),
        ("forEach: payload", "forEach: body", "forEach: body"),
        ("from: payload.email", "from: email", "from: email"),
        ("key: Shop_Id__c", "key: Other__c", "key: Other__c"),
        (
            "default: none",
            "default: none, onMissing: fail",
            "default: none",
        ),
        ("exists(t, t ==", "exists(t, x ==", "cel: "),
    ] {
        let text = MAPPED.replace(right, wrong);
        let documents = parse(&text).unwrap_or_else(|error| panic!("{error}"));
        let errors = crate::mapping::Mapping::compile(&mapping_of(&documents[0])).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        let found = documents[0].locate(&errors[0].field);
        assert_eq!(found, place(&text, at), "{}", errors[0]);
    }
    let text = MAPPED.replace("onMissing: fail", "onMissing: never");
    let error = error_of(&text);
    assert_eq!(error.line, place(&text, "onMissing: never").0, "{error}");
    assert!(
        error.message.contains(
            "spec.mapping.base.fields.Total__c.onMissing: `never` is none of omit, null, default, fail"
        ),
        "{error}"
    );
}

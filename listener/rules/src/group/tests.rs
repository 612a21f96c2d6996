use http::{HeaderMap, Method};

use super::*;
use crate::testing::*;

const TOKEN: &str = "schemes: [{name: token, token: {location: \"header:X-Token\"}}]\n";
const QUERY_TOKEN: &str = "schemes: [{name: token, token: {location: \"query:key\"}}]\n";

fn fields(result: Result<Arc<Group>, Vec<FieldError>>) -> Vec<String> {
    result
        .unwrap_err()
        .into_iter()
        .map(|error| error.field)
        .collect()
}

#[test]
fn an_unknown_event_is_answered_with_the_command_that_lists_them() {
    let mut definition = definition(TOKEN);
    definition.spec.as_mut().unwrap().functions[0].open_events = false;
    let mut group = group_spec();
    let mut check = |org: &str, command: &str| {
        org.clone_into(&mut definition.metadata.as_mut().unwrap().org);
        let connector = Connector::compile(&definition).unwrap();
        let hook = webhook("all", &["unknown"], "");
        let of_webhook = Webhook::compile(&hook, &group, &connector).unwrap_err();
        let registered = std::mem::replace(
            &mut group.spec.as_mut().unwrap().registered_events,
            vec!["unknown".to_owned()],
        );
        let of_group = Group::compile(&group, connector, Vec::new()).unwrap_err();
        group.spec.as_mut().unwrap().registered_events = registered;
        for error in of_webhook.iter().chain(&of_group) {
            assert!(error.to_string().contains(command), "{error}");
        }
    };
    check("", "`hookplane get functions forge/main` lists them");
    check(
        "acme",
        "`hookplane get functions acme/forge/main` lists them",
    );
}

// Risk 33: no scheme, no secret, an error: refused.
#[test]
fn a_group_without_its_secret_does_not_compile() {
    assert_eq!(
        fields(group_with(TOKEN, |spec| spec.signature_secrets.clear())),
        ["spec.signatureSecrets"]
    );
    assert_eq!(
        fields(group_with(TOKEN, |spec| spec.signature_secrets[0]
            .value
            .clear())),
        ["spec.signatureSecrets[0].value"]
    );
}

// Risk 33: what is only tried goes without its secrets, and proves nothing by that.
#[test]
fn a_group_compiled_for_a_trial_lacks_secrets_matches_and_proves_nothing() {
    let keyed = "schemes: [{name: mac, hmac: {hash: sha256, content: '{body}', signature: 'header:X-Mac', encoding: hex, key: {parameter: mac_key}}}]\n";
    for protocol in [TOKEN, keyed] {
        let mut definition = definition(protocol);
        let parameter = v1::ConnectorParameter {
            name: "mac_key".to_owned(),
            required: true,
            secret: true,
            ..Default::default()
        };
        if protocol == keyed {
            definition.spec.as_mut().unwrap().parameters = vec![parameter];
        }
        let connector = Connector::compile(&definition).unwrap();
        let mut group = group_spec();
        let spec = group.spec.as_mut().unwrap();
        match protocol == keyed {
            true => spec.signature_secrets.clear(),
            false => spec.signature_secrets[0].value.clear(),
        }
        Group::compile(&group, Arc::clone(&connector), Vec::new()).unwrap_err();
        let hook = webhook("all", &["made"], "");
        let hook = Webhook::compile(&hook, &group, &connector).unwrap();
        let group = Group::compile_for_trial(&group, connector, vec![hook]).unwrap();
        for headers in [&[][..], &[("X-Token", "")], &[("X-Mac", "")]] {
            refusal(&group, callback(headers, "{}"));
        }
        let sample = group.report_sample("made", NOW, "u-1").unwrap();
        assert!(sample.events[0].matches[0].matched, "{sample:?}");
    }
}

#[test]
fn a_provider_that_signs_nothing_must_be_accepted_in_so_many_words() {
    let protocol = "schemes: [{name: none, unsigned: {}}]\n";
    let bare = |accept: bool| {
        group_with(protocol, |spec| {
            spec.signature_secrets.clear();
            spec.accept_unsigned = accept;
        })
    };
    assert_eq!(fields(bare(false)), ["spec.acceptUnsigned"]);
    assert!(genuine(&bare(true).unwrap(), callback(&[], "{}")).is_unsigned());
}

#[test]
fn bounds_and_names_are_kept() {
    assert_eq!(
        fields(group_with(TOKEN, |spec| spec.signature_secrets =
            vec![secret("", "x"); 9])),
        ["spec.signatureSecrets"]
    );
    assert_eq!(
        fields(group_with(TOKEN, |spec| spec.signature_secrets =
            vec![secret("a", "x"), secret("a", "y")])),
        ["spec.signatureSecrets[1].name"]
    );
    assert_eq!(
        fields(group_with(TOKEN, |spec| spec.function = "nope".to_owned())),
        ["spec.function"]
    );
    assert_eq!(
        fields(group_with(TOKEN, |spec| spec.pool = "Not A Pool".to_owned())),
        ["spec.pool"]
    );
    let errors = group_with(TOKEN, |spec| spec.pool = "Pool".repeat(1_000)).unwrap_err();
    assert!(errors[0].message.len() < 300, "{errors:?}");
    assert_eq!(
        fields(group_with(TOKEN, |spec| spec.display_name = "x".repeat(257))),
        ["spec.displayName"]
    );
    assert_eq!(
        fields(group_with(TOKEN, |spec| spec.external_id = "x".repeat(257))),
        ["spec.externalId"]
    );
    assert_eq!(
        fields(group_with(TOKEN, |spec| spec.signature_secrets =
            vec![secret("Not_A_Name", "x")])),
        ["spec.signatureSecrets[0].name"]
    );
    assert_eq!(
        fields(group_with(TOKEN, |spec| spec.dedup_window_days = 91)),
        ["spec.dedupWindowDays"]
    );
    assert_eq!(
        fields(group_with(TOKEN, |spec| spec.max_body_bytes = Some(26_214_401))),
        ["spec.maxBodyBytes"]
    );
    assert_eq!(
        fields(group_with(TOKEN, |spec| {
            spec.parameters.insert("nope".to_owned(), "x".to_owned());
        })),
        ["spec.parameters.nope"]
    );
}

#[test]
fn a_required_parameter_must_be_there_and_a_default_is_taken() {
    let mut definition = definition("schemes: [{name: basic, basic: {userParameter: user}}]");
    let mut parameter = v1::ConnectorParameter {
        name: "user".to_owned(),
        required: true,
        ..Default::default()
    };
    definition.spec.as_mut().unwrap().parameters = vec![parameter.clone()];
    let compiled = Connector::compile(&definition).unwrap();
    let errors = Group::compile(&group_spec(), compiled, Vec::new()).unwrap_err();
    assert_eq!(errors[0].field, "spec.parameters.user");
    parameter.default_value = "hook".to_owned();
    definition.spec.as_mut().unwrap().parameters = vec![parameter];
    let group = Group::compile(
        &group_spec(),
        Connector::compile(&definition).unwrap(),
        Vec::new(),
    )
    .unwrap();
    let send = |user: &str| {
        let pair =
            crate::encoding::TextEncoding::Base64.encode(format!("{user}:{SECRET}").as_bytes());
        callback(&[("authorization", &format!("Basic {pair}"))], "{}")
    };
    genuine(&group, send("hook"));
    assert_eq!(refusal(&group, send("other")).kind, RefusalKind::Signature);
}

#[test]
fn an_event_that_the_function_does_not_have_cannot_be_registered() {
    let mut definition = definition(TOKEN);
    definition.spec.as_mut().unwrap().functions[0].open_events = false;
    let connector = Connector::compile(&definition).unwrap();
    let mut group = group_spec();
    group.spec.as_mut().unwrap().registered_events =
        vec!["made.twice".to_owned(), "nope".to_owned()];
    let errors = Group::compile(&group, connector, Vec::new()).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].field, "spec.registeredEvents[1]");
}

#[test]
fn a_webhook_asks_only_for_what_the_group_registers() {
    let connector = connector(TOKEN);
    let mut group = group_spec();
    group.spec.as_mut().unwrap().registered_events = vec!["orders.paid".to_owned()];
    let compile = |webhook: &v1::Webhook| Webhook::compile(webhook, &group, &connector);
    for good in ["orders", "orders.paid", "orders.paid.late", "*"] {
        compile(&webhook("one", &[good], "")).unwrap();
    }
    let errors = compile(&webhook("one", &["orders.paid", "refunds"], "")).unwrap_err();
    assert_eq!(errors[0].field, "spec.events[1]");
    assert!(
        errors[0].message.contains("orders.paid"),
        "{}",
        errors[0].message
    );
    assert_eq!(
        compile(&webhook("one", &[], "")).unwrap_err()[0].field,
        "spec.events"
    );
    assert_eq!(
        compile(&webhook("one", &["*"], "payload.")).unwrap_err()[0].field,
        "spec.filter"
    );
    compile(&webhook("template", &[], "")).unwrap();
}

fn head<'a>(method: &'a Method, headers: &'a HeaderMap) -> Head<'a> {
    Head {
        method,
        path: "/acme/t0ken",
        query: "",
        headers,
    }
}

#[test]
fn the_head_alone_refuses_method_type_and_length() {
    let group = group(&format!("{TOKEN}contentTypes: [application/json]\n"));
    let json = callback(&[("content-type", "Application/JSON; charset=utf-8")], "").headers;
    let text = callback(&[("content-type", "text/plain")], "").headers;
    let none = HeaderMap::new();
    let admit = |method: &Method, headers: &HeaderMap, length| {
        group
            .admit(head(method, headers), length)
            .map_err(|refusal| refusal.kind)
    };
    assert_eq!(admit(&Method::POST, &json, Some(10)), Ok(1 << 20));
    assert_eq!(admit(&Method::POST, &json, None), Ok(1 << 20));
    assert_eq!(
        admit(&Method::GET, &json, Some(10)),
        Err(RefusalKind::Method)
    );
    assert_eq!(
        admit(&Method::POST, &text, Some(10)),
        Err(RefusalKind::MediaType)
    );
    assert_eq!(
        admit(&Method::POST, &none, Some(10)),
        Err(RefusalKind::MediaType)
    );
    assert_eq!(admit(&Method::POST, &none, Some(0)), Ok(1 << 20));
    assert_eq!(
        admit(&Method::POST, &json, Some((1 << 20) + 1)),
        Err(RefusalKind::BodyTooLarge)
    );
    let small = group_with(TOKEN, |spec| spec.max_body_bytes = Some(5)).unwrap();
    assert_eq!(small.admit(head(&Method::POST, &none), Some(5)).unwrap(), 5);
    assert!(small.admit(head(&Method::POST, &none), Some(6)).is_err());
}

#[test]
fn credentials_are_taken_out_of_headers_and_query() {
    let group = group(QUERY_TOKEN);
    let headers = callback(
        &[
            ("Authorization", "Bearer x"),
            ("Cookie", "a=b"),
            ("X-Copy", SECRET),
            ("X-Inside", "key synthetic-key-for-tests-only."),
            ("X-Twice", "a"),
            ("X-Twice", "b"),
            ("Hookplane-Test", "mark"),
        ],
        "",
    )
    .headers;
    let clean = group.credentials.clean_headers(&headers);
    assert_eq!(
        clean.into_iter().collect::<Vec<_>>(),
        [("x-twice".to_owned(), "a, b".to_owned())]
    );
    let clean = |query: &str| group.credentials.clean_query(query.to_owned());
    assert_eq!(clean("a=1&key=anything&b=%20"), "a=1&b=%20");
    assert_eq!(clean(&format!("a=1&other={SECRET}")), "a=1");
    assert_eq!(clean("%6Bey=x&a=1"), "a=1");
    assert_eq!(clean("a=1&&b"), "a=1&&b");
}

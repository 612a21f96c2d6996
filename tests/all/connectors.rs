//! What a user needs of a connector: that each built-in file has it, that it is shown, and that an org's own can be written, tested and mended.

use hookplane_tests::catalogue::{connectors, name, path};
use hookplane_tests::product::Dev;

#[test]
fn every_connector_tells_its_user_what_to_do_and_has_a_sample() {
    let mut wrong = Vec::new();
    for connector in connectors() {
        let id = name(&connector).to_owned();
        let spec = connector.spec.unwrap_or_default();
        let protocol = spec.protocol.clone().unwrap_or_default();
        let mut say = |what: &str| wrong.push(format!("{id}: {what}"));
        for (what, text) in [
            ("displayName", &spec.display_name),
            ("description", &spec.description),
            ("protocol.retries", &protocol.retries),
        ] {
            if text.is_empty() {
                say(&format!("{what} is missing"));
            }
        }
        if spec.sources.is_empty() {
            say("it has no source");
        }
        if spec.confidence == 0 {
            say("its confidence is missing");
        }
        if !spec.tests.is_empty() {
            say("its vectors belong into tests/vectors");
        }
        for function in &spec.functions {
            let at = &function.name;
            if function.setup.is_empty()
                || function.display_name.is_empty()
                || function.description.is_empty()
            {
                say(&format!(
                    "function {at} lacks displayName, description or setup"
                ));
            }
            if function
                .events
                .iter()
                .any(|event| event.description.is_empty())
            {
                say(&format!("an event of function {at} lacks its description"));
            }
            let has_sample = function.events.iter().any(|event| event.sample.is_some());
            if !has_sample && function.unsupported.is_empty() {
                say(&format!("function {at} has no sample"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn dev() -> (tempfile::TempDir, Dev) {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    (folder, dev)
}

/// The page's blocks of this language that have this text in them.
fn blocks(language: &str, with: &str) -> Vec<String> {
    let page = std::fs::read_to_string(path("../control-plane/connectors/README.md")).unwrap();
    let mut found = Vec::new();
    // The language and text of the block that is open.
    let mut open: Option<(&str, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(language), None) => open = Some((language, String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    found
        .into_iter()
        .filter(|(of, text)| *of == language && text.contains(with))
        .map(|(_, text)| text)
        .collect()
}

/// The page's connector.
fn parcel() -> String {
    let found = blocks("yaml", "kind: Connector");
    assert_eq!(found.len(), 1, "the page teaches by one example");
    found[0].clone()
}

/// Lines that the page says the command prints.
fn said_by_the_page(with: &str) -> Vec<String> {
    let found = blocks("", with);
    assert_eq!(found.len(), 1, "{with}");
    found[0].lines().map(str::to_owned).collect()
}

#[test]
fn the_pages_example_can_be_checked_applied_sent_and_printed() {
    let (_folder, dev) = dev();
    let file = dev.manifest_file(&parcel());
    let said = dev.ok(&["apply", "-f", &file, "--dry-run"]);
    for line in &said_by_the_page("4 tests passed")[..2] {
        assert!(said.contains(line.as_str()), "{line}: {said}");
    }
    dev.ok(&["apply", "-f", &file]);
    let groups = blocks("yaml", "kind: WebhookGroup");
    assert_eq!(groups.len(), 1);
    let key = "value: c3ludGhldGljLWtleS1vZi10aGUtYWNtZS1wYXJjZWw=";
    dev.apply(&groups[0].replace("env: PARCEL_KEY", key));
    let sent = dev.ok(&["send", "acme/parcels", "parcel.delivered"]);
    assert!(sent.contains("200"), "{sent}");
    // What is printed can be applied and changes nothing, its tests among it.
    let printed = dev.ok(&["get", "connector", "acme/acme-parcel", "-o", "yaml"]);
    assert!(printed.contains("expectDeliveryId: evt_1"), "{printed}");
    let said = dev.ok(&["apply", "-f", &dev.manifest_file(&printed)]);
    assert!(
        said.contains("unchanged  connector acme/acme-parcel"),
        "{said}"
    );
}

#[test]
fn each_mistake_in_the_pages_example_is_shown_at_its_line() {
    let (_folder, dev) = dev();
    let good = parcel();
    let refused = |text: &str| {
        let file = dev.manifest_file(text);
        let said = dev.refused(&["apply", "-f", &file, "--dry-run"], 1);
        said.replace(&file, "parcel.yaml")
    };
    // What the page says comes of it.
    let said = refused(&good.replace("{timestamp}.{body}", "{timestamp}.{bodi}"));
    let shown = said_by_the_page("`{bodi}`")[0].clone();
    let (begins, _) = shown.split_once('…').unwrap();
    assert!(said.contains(begins), "{begins}: {said}");
    let said = refused(&good.replace("          key: {decode: base64}\n", ""));
    for line in said_by_the_page("expected handshake, got signature") {
        assert!(said.contains(&line), "{line}: {said}");
    }
    // What the rules find anywhere in it has its place.
    for (right, wrong) in [
        ("toleranceSeconds: 300", "toleranceSeconds: 0"),
        ("maxLength: 64", "maxLength: 9999"),
        ("from: \"json:/shipper\"", "from: \"jsn:/shipper\""),
        ("patienceSeconds: 10", "patienceSeconds: 1000"),
        ("name: parcel.lost", "name: parcel.created"),
        (
            "contentType: application/json, body",
            "contentType: text/html, body",
        ),
        ("expectType: parcel.delivered", "expectType: parcel.lost"),
        ("now: 2026-01-01T00:10:00Z", "now: yesterday"),
    ] {
        let spoilt = good.replacen(right, wrong, 1);
        assert_ne!(spoilt, good, "{right}");
        let line = 1 + good.lines().position(|line| line.contains(right)).unwrap();
        let said = refused(&spoilt);
        assert!(
            said.contains(&format!("parcel.yaml:{line}:")),
            "{line}: {said}"
        );
    }
    dev.refused(&["get", "connector", "acme/acme-parcel"], 1);
}

#[test]
fn groups_and_listeners_get_no_tests_and_a_changed_test_changes_no_group() {
    let (_folder, dev) = dev();
    let group = "apiVersion: hookplane.dev/v1\nkind: WebhookGroup\nmetadata: {org: acme, name: parcels}\nspec:\n  connector: acme-parcel\n  signatureSecrets: [{value: c3ludGhldGljLWtleS1vZi10aGUtYWNtZS1wYXJjZWw=}]\n";
    dev.apply(&format!("{}---\n{group}", parcel()));
    let version = |dev: &Dev| {
        let item = &dev.items(&["group", "acme/parcels"])[0];
        assert_eq!(item["status"]["connectorConfidence"], "documented");
        (
            item["status"]["connectorVersion"].clone(),
            item["status"]["connectorUpdateAvailable"].clone(),
        )
    };
    let before = version(&dev);
    assert_eq!(before.1, false);
    dev.apply(&parcel().replace("name: another weight", "name: the weight was changed"));
    assert_eq!(
        version(&dev),
        before,
        "a test is no part of what a group pins"
    );
    // What is part of it waits until the group is saved, and the plan shows it.
    dev.apply(&parcel().replace("toleranceSeconds: 300", "toleranceSeconds: 240"));
    let after = version(&dev);
    assert_eq!((after.0, after.1), (before.0, true.into()));
    let said = dev.ok(&["apply", "-f", &dev.manifest_file(group), "--dry-run"]);
    assert!(said.contains("toleranceSeconds: 300 -> 240"), "{said}");
    assert!(!said.contains("tests"), "{said}");
}

#[test]
fn confidence_sources_and_limitations_are_shown_wherever_a_connector_is() {
    let (_folder, dev) = dev();
    let connector = parcel()
        .replace("confidence: documented", "confidence: unverified\n  limitations: [Only in Europe.]")
        .replace("  tests:\n", "    - name: labels\n      openEvents: true\n      unsupported: They are encrypted.\n  tests:\n");
    dev.apply(&connector);
    for command in [
        &["get", "connector", "acme/acme-parcel"][..],
        &["get", "functions", "acme/acme-parcel/parcels"],
    ] {
        let said = dev.ok(command);
        for text in [
            "unverified",
            "docs.acme-parcel.example/webhooks",
            "Only in Europe.",
            "Base64; paste all of it",
            "Eight times",
        ] {
            assert!(said.contains(text), "{text}: {said}");
        }
    }
    let said = dev.ok(&["get", "connector", "acme/acme-parcel"]);
    assert!(
        said.contains("not supported: They are encrypted."),
        "{said}"
    );
    let said = dev.ok(&["get", "functions", "acme/acme-parcel"]);
    for text in [
        "not supported: They are encrypted.",
        "`hookplane get functions acme/acme-parcel/parcels` has events and set-up.",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    // Part of a name finds it, also among the built-in ones.
    let said = dev.ok(&["get", "connectors", "PARCEL"]);
    assert!(
        said.contains("acme/acme-parcel") && !said.contains("github"),
        "{said}"
    );
    dev.refused(&["get", "connectors", "no-such-thing"], 1);
    // Who makes a group is told before anything is written.
    let group = "apiVersion: hookplane.dev/v1\nkind: WebhookGroup\nmetadata: {org: acme, name: parcels}\nspec:\n  connector: acme-parcel\n  function: parcels\n  signatureSecrets: [{value: c3ludGhldGljLWtleS1vZi10aGUtYWNtZS1wYXJjZWw=}]\n";
    let file = dev.manifest_file(group);
    let said = dev.ok(&["apply", "-f", &file, "--dry-run"]);
    assert!(
        said.contains("`acme-parcel` is unverified") && said.contains("Only in Europe."),
        "{said}"
    );
    dev.apply(group);
    let said = dev.ok(&["get", "groups", "acme"]);
    assert!(said.contains("acme-parcel/parcels (unverified)"), "{said}");
    let status = &dev.items(&["group", "acme/parcels"])[0]["status"];
    assert_eq!(status["connectorConfidence"], "unverified");
    assert_eq!(status["connectorLimitations"][0], "Only in Europe.");
    assert_eq!(
        status["connectorSources"][0],
        "docs.acme-parcel.example/webhooks"
    );
    let labels = dev.manifest_file(
        &group
            .replace("function: parcels", "function: labels")
            .replace("name: parcels", "name: labels"),
    );
    let said = dev.refused(&["apply", "-f", &labels], 1);
    assert!(
        said.contains(":6:") && said.contains("They are encrypted."),
        "{said}"
    );
}

use super::*;
use clap::CommandFactory as _;

fn parse(line: &str) -> Result<Args, clap::Error> {
    Args::try_parse_from(line.split(' '))
}

#[test]
fn the_definition_is_consistent() {
    Args::command().debug_assert();
}

#[test]
fn connection_flags_stand_before_or_after_the_command() {
    let before = parse("hookplane --api http://a get orgs").unwrap();
    assert_eq!(before.api.as_deref(), Some("http://a"));
    let after = parse("hookplane get orgs --api http://b --token t").unwrap();
    let Command::Get(get) = after.command else {
        panic!("get")
    };
    assert_eq!(get.client.api.as_deref(), Some("http://b"));
}

#[test]
fn dev_binds_where_it_is_told() {
    let Command::Dev(dev) = parse("hookplane dev").unwrap().command else {
        panic!("dev")
    };
    assert_eq!(
        (dev.listen.as_str(), dev.api.as_str()),
        ("127.0.0.1:8080", "127.0.0.1:8081")
    );
}

#[test]
fn singular_and_plural_are_the_same() {
    for (one, many) in [
        ("org", "orgs"),
        ("connector", "connectors"),
        ("function", "functions"),
        ("group", "groups"),
        ("webhook", "webhooks"),
        ("event", "events"),
        ("delivery", "deliveries"),
        ("refusal", "refusals"),
        ("listener", "listeners"),
        ("destination", "destinations"),
        ("token", "tokens"),
        ("trouble", "troubles"),
    ] {
        let of = |word: &str| match parse(&format!("hookplane get {word}")).unwrap().command {
            Command::Get(get) => get.resource,
            other => panic!("{other:?}"),
        };
        assert_eq!(of(one), of(many));
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    for line in [
        "hookplane get nonsense",
        "hookplane apply",
        "hookplane frobnicate",
        "hookplane tail --max x",
        "hookplane rotate acme/shop",
        "hookplane token create --org acme",
        "hookplane token create --org acme --role owner",
        "hookplane token create --org acme --role consumer --webhook a/b --pool c",
        "hookplane serve",
        "hookplane serve --api 127.0.0.1:0 --store embedded:d --log embedded:d --seal-key k --public-url hooks.example.com",
        "hookplane listen --listen 127.0.0.1:0 --control-plane http://a,b:8081",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn every_flag_of_the_contract_is_taken() {
    for line in [
        "hookplane apply -f - --dry-run --no-wait",
        "hookplane get groups acme/shop -o yaml",
        "hookplane get refusals acme/shop --not-kept",
        "hookplane get deliveries --status dead",
        "hookplane delete webhook acme/shop/paid",
        "hookplane delete group acme/shop --discard",
        "hookplane delete destination acme/crm",
        "hookplane get destinations acme -o yaml",
        "hookplane preview acme/shop/paid --sample orders/paid -o json",
        "hookplane preview -f f.yaml --payload p.json --type orders/paid --check",
        "hookplane compare -f f.yaml --last 10000 -o json",
        "hookplane apply -f f.yaml --compare=10",
        "hookplane replay --all-dead --rate 5",
        "hookplane replay a/b/c --feed --since 3d --dry-run",
        "hookplane pause destination a/b/c/http",
        "hookplane resume destination a/b",
        "hookplane describe destination a/b Account",
        "hookplane clone webhook acme/shop/template paid --label L --event a --event b --active",
        "hookplane rotate url acme/shop --overlap 30d --no-wait",
        "hookplane tail acme/shop/paid -o json --from-start --max 3 --no-follow --events --changes",
        "hookplane send acme/shop push --secret-file s",
        "hookplane replay acme/shop/paid --status dead",
        "hookplane token create --org acme --role consumer --webhook shop/paid --expires 90d",
        "hookplane token create --org - --role listener --pool default --pool edge",
        "hookplane token list --org acme -o json",
        "hookplane token revoke 3f9a --org acme",
        "hookplane completions zsh",
        "hookplane dev --data-dir d --listen 127.0.0.1:0 --api 127.0.0.1:0",
        "hookplane serve --api 127.0.0.1:0 --store embedded:d --log embedded:d --seal-key k --bootstrap-token t --public-url https://h",
        "hookplane listen --control-plane http://a,http://b --listen 127.0.0.1:0 --pool p --token-file t --name n --grace 30",
    ] {
        assert!(parse(line).is_ok(), "{line}");
    }
}

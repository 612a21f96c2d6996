use super::super::auth::Origin;

#[test]
fn a_token_goes_to_its_own_host_or_between_hosts_of_salesforces_own() {
    let origin = |url: &str| Origin::parse(url).unwrap();
    for (configured, instance, may) in [
        (
            "https://acme.my.salesforce.com",
            "https://ACME.my.salesforce.com:443/",
            true,
        ),
        (
            "https://login.salesforce.com",
            "https://acme.my.salesforce.com",
            true,
        ),
        (
            "https://login.salesforce.com",
            "https://acme.my.salesforce.com.evil.example",
            false,
        ),
        (
            "https://login.salesforce.com",
            "https://evilsalesforce.com",
            false,
        ),
        (
            "https://login.salesforce.com",
            "http://acme.my.salesforce.com",
            false,
        ),
        (
            "https://login.salesforce.com",
            "https://acme.my.salesforce.com:8443",
            false,
        ),
        (
            "https://proxy.example",
            "https://acme.my.salesforce.com",
            false,
        ),
        ("http://127.0.0.1:8090", "http://127.0.0.1:8091", false),
        ("http://127.0.0.1:8090", "http://127.0.0.1:8090", true),
    ] {
        assert_eq!(
            origin(configured).trusts(&origin(instance)),
            may,
            "{configured} to {instance}"
        );
    }
    for wrong in [
        "",
        "salesforce.com",
        "https://",
        "https://a/b",
        "https://a?b",
        "https://u:p@a",
        "file:///etc",
        "https://a b",
    ] {
        assert!(Origin::parse(wrong).is_err(), "{wrong}");
    }
}

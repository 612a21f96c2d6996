//! Expected texts are what the providers' own libraries hashed, read out of them while they signed or judged; where there is none,
//! what the program in the provider's documentation makes.

use std::sync::Arc;

use http::Method;

use super::Canonical;
use crate::Callback;
use crate::payload::Reading;
use crate::request::{Around, Decoding, Missing, Request};
use crate::template::{Template, Use};
use crate::testing::{URL, callback, definition};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");

/// What a form makes of a request to this URL.
fn write_at(name: &str, callback: Callback, url: &str) -> Result<String, Missing> {
    let decoding = Decoding {
        reading: Reading {
            max_bytes: 1 << 20,
            ..Reading::default()
        },
        ..Decoding::default()
    };
    let request = Request::new(callback, Arc::new(decoding));
    let around = Around {
        url: Some(url),
        secret: Some(b"token"),
        ..Around::default()
    };
    let mut made = Vec::new();
    Canonical::parse(name)
        .unwrap()
        .write(&request, around, &mut |bytes| made.extend_from_slice(bytes))
        .map_err(|(missing, _)| missing)?;
    Ok(String::from_utf8(made).unwrap())
}

fn write(name: &str, headers: &[(&str, &str)], query: &str, body: &str) -> Result<String, Missing> {
    let mut callback = callback(headers, body.to_owned());
    callback.query = query.to_owned();
    write_at(name, callback, URL)
}

fn made(name: &str, headers: &[(&str, &str)], query: &str, body: &str) -> String {
    write(name, headers, query, body).unwrap()
}

#[test]
fn plivo_joins_what_there_is() {
    let get = |query: &str| {
        let mut callback = callback(&[], "");
        callback.method = Method::GET;
        callback.query = query.to_owned();
        write_at("plivo-v3", callback, URL).unwrap()
    };
    assert_eq!(get(""), "https://hooks.example.com/acme/t0ken");
    assert_eq!(
        get("b=2&a=x%20y&a=1+1"),
        "https://hooks.example.com/acme/t0ken?a=1 1&a=x y&b=2"
    );
    let post = |query: &str, body: &str| made("plivo-v3", &[FORM], query, body);
    assert_eq!(
        post("", "To=15005550006&From=b&From=a&Text=%C3%A9+%2F"),
        "https://hooks.example.com/acme/t0ken?FromaFrombTexté /To15005550006"
    );
    assert_eq!(
        post("z=1", "To=1"),
        "https://hooks.example.com/acme/t0ken?z=1.To1"
    );
    assert_eq!(post("z=1", ""), "https://hooks.example.com/acme/t0ken?z=1");
    // A body that isn't in what is signed could be anything.
    assert!(write("plivo-v3", &[JSON], "", "{}").is_err());
    let mut with_body = callback(&[FORM], "a=1");
    with_body.method = Method::GET;
    assert!(write_at("plivo-v3", with_body, URL).is_err());
    let many = "a=1&".repeat(1_001);
    assert!(write("plivo-v3", &[FORM], &many, "").is_err());
}

#[test]
fn box_escapes_what_its_other_form_leaves() {
    let body =
        "{\"name\":\"café 😀\",\"url\":\"https:\\/\\/x\\/y\",\"p\":\"a/b\",\"d\":\"\u{7f}\"}";
    assert_eq!(
        made("box-escaped", &[JSON], "", body),
        r#"{"name":"caf\u00e9 \ud83d\ude00","url":"https:\/\/x\/y","p":"a\/b","d":"\u007f"}"#
    );
    let callback = callback(&[JSON], vec![0xff]);
    assert_eq!(
        write_at("box-escaped", callback, URL).unwrap_err(),
        Missing::Unreadable
    );
}

#[test]
fn alipay_sorts_its_fields_without_the_signature() {
    let body = "gmt_create=2026-01-01+00%3A00%3A00&charset=utf-8&subject=a%26b%3Dc+%C3%A9&sign_type=RSA2&sign=eA%3D%3D&app_id=1&empty=";
    assert_eq!(
        made("alipay-with-sign-type", &[FORM], "", body),
        "app_id=1&charset=utf-8&gmt_create=2026-01-01 00:00:00&sign_type=RSA2&subject=a&b=c é"
    );
    assert_eq!(
        made("alipay", &[FORM], "", body),
        "app_id=1&charset=utf-8&gmt_create=2026-01-01 00:00:00&subject=a&b=c é"
    );
    // Risk 41: of two values two readers could take two.
    assert!(write("alipay", &[FORM], "", "a=1&a=2").is_err());
    assert!(write("alipay", &[JSON], "", "{}").is_err());
}

const SNS: &str = r#"{"Type": "Notification", "MessageId": "m-1", "Message": "Hello\n\"w\"", "Timestamp": "2026-01-01T00:00:00.000Z", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Signature": "eA=="}"#;

#[test]
fn sns_signs_the_names_that_are_there() {
    let lines = |body: &str| made("sns", &[JSON], "", body);
    let plain = "Message\nHello\n\"w\"\nMessageId\nm-1\nTimestamp\n2026-01-01T00:00:00.000Z\nTopicArn\narn:aws:sns:eu-west-1:1:t\nType\nNotification\n";
    assert_eq!(lines(SNS), plain);
    assert_eq!(
        lines(&SNS.replace("{\"Type\"", "{\"Subject\": null, \"Type\"")),
        plain
    );
    assert_eq!(
        lines(&SNS.replace("{\"Type\"", "{\"Subject\": \"S\", \"Type\"")),
        plain.replace("Timestamp\n", "Subject\nS\nTimestamp\n")
    );
    let confirmation = SNS
        .replace(
            "{\"Type\"",
            "{\"Token\": \"t\", \"SubscribeURL\": \"https://s\", \"Type\"",
        )
        .replace("\"Notification\"", "\"SubscriptionConfirmation\"");
    assert_eq!(
        lines(&confirmation),
        "Message\nHello\n\"w\"\nMessageId\nm-1\nSubscribeURL\nhttps://s\nTimestamp\n2026-01-01T00:00:00.000Z\nToken\nt\nTopicArn\narn:aws:sns:eu-west-1:1:t\nType\nSubscriptionConfirmation\n"
    );
    for body in [
        SNS.replace("\"m-1\"", "1"),
        SNS.replace("\"m-1\"", "null"),
        SNS.replace("{\"Type\"", "{\"Subject\": {\"a\": 1}, \"Type\""),
        SNS.replace("MessageId", "messageId"),
        "[]".to_owned(),
        "nonsense".to_owned(),
    ] {
        assert!(write("sns", &[JSON], "", &body).is_err(), "{body}");
    }
}

#[test]
fn qsh_is_the_method_the_path_and_the_query() {
    let of = |method: Method, url: &str, query: &str| {
        let mut callback = callback(&[], "");
        callback.method = method;
        callback.query = query.to_owned();
        write_at("jira-qsh", callback, url).unwrap()
    };
    let base = "https://hooks.example.com";
    assert_eq!(
        of(
            Method::POST,
            &format!("{base}/acme/t0ken/"),
            "b=2&a=x%20y&jwt=t&b=1&c=%26%2C*~%C3%A9"
        ),
        "POST&/acme/t0ken&a=x%20y&b=1,2&c=%26%2C%2A~%C3%A9"
    );
    assert_eq!(
        of(Method::GET, &format!("{base}/a%26b&c"), ""),
        "GET&/a%26b%26c&"
    );
    assert_eq!(of(Method::GET, &format!("{base}/"), "jwt=t"), "GET&/&");
    assert_eq!(of(Method::GET, base, ""), "GET&/&");
}

#[test]
fn truelayer_signs_the_headers_that_its_token_lists() {
    let token = "eyJhbGciOiJFUzUxMiIsImtpZCI6ImsiLCJ0bF92ZXJzaW9uIjoiMiIsInRsX2hlYWRlcnMiOiJYLVRMLVdlYmhvb2stVGltZXN0YW1wLFRsLUlkIn0..sig";
    let headers = [
        ("tl-signature", token),
        ("x-tl-webhook-timestamp", "2026-01-01T00:00:00Z"),
        ("tl-id", "7"),
    ];
    assert_eq!(
        made("truelayer", &headers, "", "{\"a\": 1}"),
        "POST /acme/t0ken\nX-TL-Webhook-Timestamp: 2026-01-01T00:00:00Z\nTl-Id: 7\n{\"a\": 1}"
    );
    // A header that is signed and not there, or there twice.
    assert!(write("truelayer", &headers[..2], "", "").is_err());
    let twice = [headers[0], headers[1], headers[2], headers[2]];
    assert_eq!(
        write("truelayer", &twice, "", "").unwrap_err(),
        Missing::Repeated
    );
    // {"tl_version":"1"} in base64.
    for token in ["eyJ0bF92ZXJzaW9uIjoiMSJ9..sig", "nonsense", "%..sig"] {
        assert!(write("truelayer", &[("tl-signature", token)], "", "").is_err());
    }
}

#[test]
fn contentful_signs_the_headers_of_its_list_sorted() {
    let headers = [
        ("content-type", " application/json "),
        (
            "x-contentful-signed-headers",
            "x-contentful-topic,X-Contentful-Timestamp, content-type,x-contentful-signed-headers",
        ),
        ("x-contentful-timestamp", "1767225600000"),
        ("x-contentful-topic", "ContentManagement.Entry.publish"),
        ("x-contentful-other", "left out"),
    ];
    assert_eq!(
        made("contentful", &headers, "", "{\"sys\": 1}"),
        "POST\n/acme/t0ken\ncontent-type:application/json;x-contentful-signed-headers:content-type,x-contentful-signed-headers,x-contentful-timestamp,x-contentful-topic;x-contentful-timestamp:1767225600000;x-contentful-topic:ContentManagement.Entry.publish\n{\"sys\": 1}"
    );
    let mut with_query = callback(
        &[
            (
                "x-contentful-signed-headers",
                "x-contentful-signed-headers,x-contentful-timestamp",
            ),
            ("x-contentful-timestamp", "1767225600000"),
        ],
        "",
    );
    with_query.query = "x=1&y=a b".to_owned();
    assert_eq!(
        write_at("contentful", with_query, "https://hooks.example.com/a%20b").unwrap(),
        "POST\n/a%2520b?x%253D1%2526y%253Da%2520b\nx-contentful-signed-headers:x-contentful-signed-headers,x-contentful-timestamp;x-contentful-timestamp:1767225600000\n"
    );
    // Their code would leave what follows out of what is signed.
    assert!(write("contentful", &headers, "a=1?b=2", "").is_err());
    for list in [
        "x-contentful-signed-headers,x-contentful-topic",
        "x-contentful-timestamp,x-contentful-topic",
        "x-contentful-signed-headers,x-contentful-timestamp,x-contentful-timestamp",
        "x-contentful-signed-headers,x-contentful-timestamp,x-absent",
        "x-contentful-signed-headers,x-contentful-timestamp,",
    ] {
        let mut headers = headers;
        headers[1].1 = list;
        assert!(write("contentful", &headers, "", "").is_err(), "{list}");
    }
}

#[test]
fn freshbooks_signs_its_form_as_json() {
    let body =
        "name=invoice.create&object_id=12&note=a+%22q%22+%5C+%C3%A9%F0%9F%98%80%0A%09%7F+%2F";
    assert_eq!(
        made("freshbooks", &[FORM], "", body),
        r#"{"name": "invoice.create", "object_id": "12", "note": "a \"q\" \\ \u00e9\ud83d\ude00\n\t\u007f /"}"#
    );
    assert_eq!(made("freshbooks", &[FORM], "", "&"), "{}");
    assert!(write("freshbooks", &[FORM], "", "a=1&a=2").is_err());
    assert!(write("freshbooks", &[JSON], "", "{}").is_err());
}

#[test]
fn json_is_written_anew_without_spaces() {
    let body = r#"{"b": "caf\u00e9 \/ \u0001\n\"", "a": {"d": [3, {"y": null}], "c": 1.50}, "B": true, "ab": ""}"#;
    assert_eq!(
        made("sorted-json", &[JSON], "", body),
        r#"{"B":true,"a":{"c":1.50,"d":[3,{"y":null}]},"ab":"","b":"café / \u0001\n\""}"#
    );
    let body =
        "{\"p\": {\"b\": \"a/b é\\n\u{7f}\", \"a\": [1, {\"c\": null}], \"n\" : 12.50}, \"s\": 1}";
    assert_eq!(
        made("php-json:/p", &[JSON], "", body),
        "{\"b\":\"a\\/b \\u00e9\\n\u{7f}\",\"a\":[1,{\"c\":null}],\"n\":12.50}"
    );
    assert_eq!(
        write("php-json:/q", &[JSON], "", body).unwrap_err(),
        Missing::Absent
    );
    // Risk 41: what two parsers read differently isn't read at all.
    for body in [r#"{"a": 1, "a": 2}"#, "{} {}", "nonsense"] {
        assert!(write("sorted-json", &[JSON], "", body).is_err(), "{body}");
    }
    assert!(write("sorted-json", &[FORM], "", "a=1").is_err());
}

#[test]
fn wechat_sorts_the_token_among_the_others() {
    let of = |query: &str| write("wechat", &[], query, "");
    assert_eq!(
        of("timestamp=1767225600&nonce=zz&signature=x").unwrap(),
        "1767225600tokenzz"
    );
    assert_eq!(of("timestamp=17&nonce=10").unwrap(), "1017token");
    let encrypted = |body: &str| {
        write(
            "wechat:/xml/Encrypt",
            &[JSON],
            "timestamp=17&nonce=10",
            body,
        )
    };
    assert_eq!(
        encrypted(r#"{"xml": {"Encrypt": "13=="}}"#).unwrap(),
        "1013==17token"
    );
    assert_eq!(encrypted("{}").unwrap_err(), Missing::Absent);
    assert!(of("timestamp=17").is_err());
    assert!(of("timestamp=17&nonce=1&nonce=2").is_err());
}

// Risk 33: what isn't done is refused, not ignored.
#[test]
fn a_form_that_there_is_not_is_refused() {
    for name in [
        "praxis",
        "",
        "php-json",
        "php-json:x",
        "sns:/Message",
        "sorted-json:",
    ] {
        assert!(Canonical::parse(name).is_err(), "{name}");
    }
    for purpose in [Use::Key, Use::Challenge, Use::Reply, Use::Text] {
        assert!(
            Template::parse("{canonical:wechat}", purpose).is_err(),
            "{purpose:?}"
        );
    }
}

#[test]
fn a_form_covers_what_it_writes_and_no_more() {
    let covers = |content: &str, location: &str| {
        let kind = if content.contains("wechat") {
            "digest"
        } else {
            "hmac"
        };
        let text = format!(
            "schemes:\n  - name: one\n    {kind}: {{hash: sha1, content: \"{content}\", signature: \"header:X-Sig\", encoding: hex}}\n    covers: [\"{location}\"]\n"
        );
        crate::Connector::compile(&definition(&text)).is_ok()
    };
    for (form, location, is_covered) in [
        ("alipay", "form:app_id", true),
        ("alipay", "form:sign_type", false),
        ("alipay-with-sign-type", "form:sign_type", true),
        ("alipay", "form:sign", false),
        ("box-escaped", "json:/a", true),
        ("bridge-xyz", "sig:t", true),
        ("bridge-xyz", "body", true),
        ("contentful", "header:x-contentful-timestamp", true),
        ("contentful", "header:x-contentful-topic", false),
        ("contentful", "url", true),
        ("freshbooks", "form:name", true),
        ("jira-qsh", "query:a", true),
        ("jira-qsh", "query:jwt", false),
        ("jira-qsh", "body", false),
        ("php-json:/p", "json:/p/a", true),
        ("php-json:/p", "json:/q", false),
        ("plivo-v3", "form:a", true),
        ("plivo-v3", "method", false),
        ("sns", "json:/SubscribeURL", true),
        ("sns", "json:/UnsubscribeURL", false),
        ("sorted-json", "body", true),
        ("truelayer", "body", true),
        ("truelayer", "query:a", false),
        ("wechat", "query:timestamp", true),
        ("wechat", "body", false),
        ("wechat:/xml/Encrypt", "json:/xml/Encrypt", true),
    ] {
        assert_eq!(
            covers(&format!("{{canonical:{form}}}"), location),
            is_covered,
            "{form} {location}"
        );
    }
}

#[test]
fn bridge_signs_the_hash_of_time_and_body() {
    let request = Request::new(callback(&[JSON], "{}"), Arc::default());
    let fields = [("t".to_owned(), "1767225600500".to_owned())];
    let around = Around {
        sig: &fields,
        ..Around::default()
    };
    let mut made = Vec::new();
    let form = Canonical::parse("bridge-xyz").unwrap();
    form.write(&request, around, &mut |bytes| made.extend_from_slice(bytes))
        .unwrap();
    // printf '1767225600500.{}' | sha256sum
    assert_eq!(
        hex::encode(made),
        "99e3a1df0cd8ee58cb6dfbf9ae789475de5a50d22cff348780e0081e4cd5cd52"
    );
    assert!(
        form.write(&request, Around::default(), &mut |_| {})
            .is_err()
    );
}

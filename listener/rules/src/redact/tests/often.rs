//! Once, or several times: XML and forms don't say whether it is a list, and a path is written by who has seen one of both.

use super::*;

/// An order with so many lines, each with so many addresses in elements, one in an attribute, and what stays.
fn order(lines: usize, emails: usize, has_attribute: bool) -> String {
    let attribute = if has_attribute { " kind='private'" } else { "" };
    let email = format!("<email{attribute}>{PLANTED}</email>").repeat(emails);
    let line = format!("<line mail='{PLANTED}'><sku>kept</sku>{email}</line>");
    format!("<order>{}</order>", line.repeat(lines))
}

fn holds(report: &v1::ReportedCallback) -> bool {
    let bytes = report.encode_to_vec();
    let mut parts = bytes.windows(PLANTED.len());
    parts.any(|part| part == PLANTED.as_bytes())
}

// What must never be written: with one of something its path is another one than with two.
#[test]
fn a_path_of_xml_leads_to_its_values_however_often_each_element_came() {
    let attributes = [
        "payload.e.order.line[*][\"@mail\"]",
        "payload.e.order[0].line.@mail",
    ];
    for path in [
        "payload.e.order.line.email",
        "payload.e.order.line[*].email",
        "payload.e.order[*].line.email[*]",
        "payload.e.order[*].line[*].email[*]",
        "payload[*].e[*].order[*].line[*].email[\"#text\"]",
        "payload.e.order.line.email[*][\"#text\"]",
    ] {
        for (orders, lines, emails) in [
            (1, 1, 1),
            (1, 1, 2),
            (1, 2, 1),
            (2, 1, 1),
            (1, 2, 2),
            (2, 1, 2),
            (2, 2, 1),
            (2, 2, 2),
        ] {
            for (mask, has_attribute) in [(false, false), (false, true), (true, true)] {
                let body = format!(
                    "<e>{}</e>",
                    order(lines, emails, has_attribute).repeat(orders)
                );
                let which = format!("{path} {mask} {body}");
                // Of the first order alone there is one.
                let attribute = attributes[usize::from(orders == 1)];
                let group = redacting(HEADER, &[(path, mask), (attribute, mask)], "");
                let report = reported(&group, "text/xml", body.clone());
                assert!(!holds(&report), "{which}: {}", body_of(&report));
                let kept = body_of(&report).matches("kept").count();
                assert_eq!(kept, orders * lines, "{which}: all else stays");
                assert_eq!(report.redacted.len(), 2, "{which}");
                // The control plane looks again: at this, and at what a listener reported that had not heard of it.
                let unheard = reported(&redacting(HEADER, &[], ""), "text/xml", body);
                assert!(holds(&unheard));
                for look in [Group::redact, Group::rematch] {
                    let mut again = report.clone();
                    look(&group, &mut again);
                    assert_eq!(again, report, "{which}");
                    let mut late = unheard.clone();
                    look(&group, &mut late);
                    assert_eq!(late.body, report.body, "{which}");
                    assert!(!holds(&late), "{which}");
                }
            }
        }
    }
}

#[test]
fn the_first_of_a_list_is_the_only_one_and_no_other_is() {
    for (path, body, left) in [
        (
            "payload.e.a[0]",
            "<e><a>1</a><b>2</b></e>",
            r#"{"e":{"a":null,"b":"2"}}"#,
        ),
        (
            "payload.e.a[0]",
            "<e><a>1</a><a>2</a></e>",
            r#"{"e":{"a":[null,"2"]}}"#,
        ),
        (
            "payload.e.a[1]",
            "<e><a>1</a><a>2</a></e>",
            r#"{"e":{"a":["1",null]}}"#,
        ),
        ("payload.e.a[1]", "<e><a>1</a></e>", "<e><a>1</a></e>"),
        (
            "payload.e.a[0].b",
            "<e><a><b>1</b><c>2</c></a></e>",
            r#"{"e":{"a":{"c":"2"}}}"#,
        ),
    ] {
        let report = reported(&redacting(HEADER, &[(path, false)], ""), "text/xml", body);
        assert_eq!(body_of(&report), left, "{path}");
    }
}

#[test]
fn json_that_is_a_list_where_a_path_has_none_is_no_way_around_it() {
    for (path, body, left) in [
        (
            "payload.a.s",
            r#"{"a": [{"s": 1, "t": 2}, [{"s": 3}]]}"#,
            r#"{"a": [{"t": 2}, [{}]]}"#,
        ),
        (
            "payload.a[*].s",
            r#"{"a": {"s": 1, "t": 2}}"#,
            r#"{"a": {"t": 2}}"#,
        ),
        (
            "payload.a[*][*].s",
            r#"{"a": [{"s": 1}], "b": 1}"#,
            r#"{"a": [{}], "b": 1}"#,
        ),
        ("payload.s", r#"[{"s": 1}, {"t": 1}]"#, r#"[{}, {"t": 1}]"#),
        ("payload[*].s", r#"{"s": 1, "t": 2}"#, r#"{"t": 2}"#),
        ("payload.a[*]", r#"{"a": "x", "b": 1}"#, r#"{"b": 1}"#),
        // There is nothing that the whole could be taken out of.
        ("payload[*]", r#" {"s": 1} "#, " null "),
        ("payload[*]", "[1, 2]", "[]"),
        // A list that is null has no items, and a name that is a number is a place where there is one.
        ("payload.a[*]", r#"{"a": null}"#, r#"{"a": null}"#),
        (
            "payload.a.1.s",
            r#"{"a": [{"s": 1}, {"s": 2}]}"#,
            r#"{"a": [{"s": 1}, {}]}"#,
        ),
    ] {
        let group = redacting(HEADER, &[(path, false)], "");
        let report = reported(&group, JSON, body);
        assert_eq!(body_of(&report), left, "{path}");
        let mut again = report.clone();
        group.redact(&mut again);
        assert_eq!(again, report, "{path}");
    }
}

#[test]
fn a_field_of_a_form_is_found_as_a_list_and_as_a_text() {
    let part = |value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\n{value}\r\n")
    };
    for path in [
        "payload.email",
        "payload.email[*]",
        "payload[*].email",
        "payload[0].email[*][*]",
        "payload.email[\"#text\"]",
    ] {
        for (count, mask) in [(1, false), (2, false), (1, true), (2, true)] {
            let group = redacting(HEADER, &[(path, mask)], "");
            let form = format!("n=1{}", format!("&email={PLANTED}").repeat(count));
            let parts = part(PLANTED).repeat(count) + "--b--";
            for (content_type, body) in [(FORM, form), ("multipart/form-data; boundary=b", parts)] {
                let report = reported(&group, content_type, body);
                assert!(!holds(&report), "{path} {count}: {}", body_of(&report));
                assert_eq!(report.redacted.len(), 1, "{path}");
                let mut again = report.clone();
                group.redact(&mut again);
                assert_eq!(again, report, "{path}");
            }
        }
    }
}

// A path may have a part for each three of its bytes, and a body a value for each two of its own.
#[test]
fn a_path_of_many_lists_of_one_is_followed_at_once() {
    let path = format!("payload.a{}.b", "[*]".repeat(160));
    let group = redacting(HEADER, &[(path.as_str(), false); 50], "");
    let body = format!(r#"{{"a": [{}{{"b": 1}}]}}"#, "1,".repeat(200_000));
    let report = reported(&group, JSON, body.clone());
    assert!(body_of(&report) == body.replace(r#""b": 1"#, ""));
}

//! XML, multipart, NDJSON and packed bodies.

use super::*;

pub(super) const MULTIPART: &str = "multipart/form-data; boundary=X-7";

/// Name, file name and content of each part.
pub(super) fn multipart(parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        let file = file.map_or(String::new(), |file| format!("; filename=\"{file}\""));
        let head =
            format!("--X-7\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--X-7--\r\n");
    body
}

fn xml_json(text: &str) -> String {
    match xml(text) {
        Ok(json) => json.text().to_owned(),
        Err(reason) => panic!("{text}: {reason}"),
    }
}

fn refused(text: &str, part: &str) {
    match xml(text) {
        Ok(json) => panic!("{text} was read as {}", json.text()),
        Err(reason) => assert!(reason.contains(part), "{text}: {reason}"),
    }
}

#[test]
fn xml_reads_as_the_json_that_it_stands_for() {
    for (text, json) in [
        ("<a/>", r#"{"a":""}"#),
        ("<a>1</a>", r#"{"a":"1"}"#),
        ("<a> 1\n</a>", r#"{"a":" 1\n"}"#),
        ("<a><b>1</b><c/></a>", r#"{"a":{"b":"1","c":""}}"#),
        (
            "<a><b>1</b><c>x</c><b>2</b></a>",
            r#"{"a":{"b":["1","2"],"c":"x"}}"#,
        ),
        (r#"<a x="1" y='2'/>"#, r#"{"a":{"@x":"1","@y":"2"}}"#),
        (r#"<a x="1">t</a>"#, r##"{"a":{"@x":"1","#text":"t"}}"##),
        ("<a>t<b/>u</a>", r##"{"a":{"b":"","#text":"tu"}}"##),
        (
            "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c --><a><?p i?></a>\n",
            r#"{"a":""}"#,
        ),
        (
            r#"<s:Envelope xmlns:s="urn:x" xmlns="urn:y"><s:Body>é</s:Body></s:Envelope>"#,
            r#"{"Envelope":{"Body":"é"}}"#,
        ),
        (
            "<a>&lt;&#65;&#x42;&amp;amp;<![CDATA[<x>&amp;]]>&quot;</a>",
            r#"{"a":"<AB&amp;<x>&amp;\""}"#,
        ),
        ("<a>1\r\n2\r3&#13;</a>", r#"{"a":"1\n2\n3\r"}"#),
        ("<a b=\"1\t2&#9;\"/>", r#"{"a":{"@b":"1 2\t"}}"#),
        ("<a>b<!-- c -->d</a>", r#"{"a":"bd"}"#),
    ] {
        assert_eq!(xml_json(text), json, "{text}");
    }
}

// Risk 41: what parsers are known to read differently is undecodable.
#[test]
fn xml_that_parsers_could_differ_on_is_refused() {
    for (text, part) in [
        ("", "no element"),
        ("x", "text outside"),
        ("<a/>x", "text outside"),
        ("<a/>&amp;", "text outside"),
        ("<a/><![CDATA[ ]]>", "text outside"),
        ("<a/><b/>", "a second root"),
        ("<a>", "isn't closed"),
        ("<a></b>", "b"),
        ("</a>", "a"),
        ("<a", ""),
        (
            r#"<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>"#,
            "a document type",
        ),
        ("<a>&e;</a>", "stands for nothing"),
        ("<a>&#0;</a>", "stands for nothing"),
        ("<a>&#xd800;</a>", "stands for nothing"),
        ("<a>&#+65;</a>", "stands for nothing"),
        ("<a>&#;</a>", "stands for nothing"),
        ("<a>1 & 2</a>", ""),
        ("<a b=\"1 & 2\"/>", "begins no reference"),
        ("<a b=\"&e;\"/>", "stands for nothing"),
        ("<a>]]></a>", "`]]>`"),
        ("<a b=\"<\"/>", ""),
        (r#"<a x="1" x="2"/>"#, "attributes"),
        (r#"<a p:x="1" q:x="2"/>"#, "twice"),
        (r#"<a x=1/>"#, "attributes"),
        ("<a x/>", "attributes"),
        ("<1/>", "is no name"),
        ("<a:/>", "is no name"),
        ("<a:b:c/>", "is no name"),
        ("<a\u{1}/>", "a character that XML doesn't have"),
        ("<a>\u{0}</a>", "a character that XML doesn't have"),
        ("<?xml version=\"1.1\"?><a/>", "version"),
        (
            "<?xml version=\"1.0\" encoding=\"utf-16\"?><a/>",
            "encoding",
        ),
        (" <?xml version=\"1.0\"?><a/>", "isn't at the beginning"),
        ("<a><!-- -- --></a>", ""),
    ] {
        refused(text, part);
    }
}

#[test]
fn xml_is_bounded_in_depth_and_elements() {
    let nested = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
    assert!(xml(&nested(MAX_DEPTH)).is_ok());
    refused(&nested(MAX_DEPTH + 1), "levels deep");
    refused(&"<a>".repeat(1_000_000), "levels deep");
    let many = |count: usize| format!("<r>{}</r>", "<a/>".repeat(count - 1));
    assert!(xml(&many(super::super::xml::MAX_XML_NODES)).is_ok());
    refused(
        &many(super::super::xml::MAX_XML_NODES + 1),
        "elements and attributes",
    );
}

#[test]
fn xml_is_told_by_its_content_type_or_by_the_connector() {
    let body = b"<a><b>1</b></a>";
    for content_type in [
        "application/xml",
        "text/xml; charset=UTF-8",
        "application/soap+xml",
    ] {
        let read = decoded(&reading(), Some(content_type), None, body);
        assert_eq!(read.format, PayloadFormat::Xml);
        assert!(matches!(read.payload, Payload::Json(json) if json.text() == r#"{"a":{"b":"1"}}"#));
    }
    let told = Reading {
        format: Some(PayloadFormat::Xml),
        ..reading()
    };
    let read = decoded(&told, Some("text/plain"), None, body);
    assert!(matches!(read.payload, Payload::Json(_)));
    is_opaque(of(Some("text/plain"), None, body), "`text/plain`");
    is_opaque(of(Some("text/xml"), None, b"<a>\xff</a>"), "not UTF-8");
    is_opaque(of(Some("text/xml"), None, b"{}"), "not XML");
}

#[test]
fn what_a_connector_calls_opaque_is_not_decoded() {
    let told = Reading {
        format: Some(PayloadFormat::Opaque),
        ..reading()
    };
    let read = decoded(&told, Some("application/json; charset=latin1"), None, b"{}");
    assert_eq!(read.format, PayloadFormat::Opaque);
    is_opaque(read.payload, "handed on as they came");
}

#[test]
fn ndjson_is_the_list_of_its_lines() {
    let read = |body: &str| of(Some("application/x-ndjson"), None, body.as_bytes());
    let text = |body: &str| match read(body) {
        Payload::Json(json) => json.text().to_owned(),
        other => panic!("{body}: {other:?}"),
    };
    assert_eq!(text("{\"a\":1}\n{\"a\":2}\n"), r#"[{"a":1},{"a":2}]"#);
    assert_eq!(text("{\"a\":1}\r\n\n  [2] \r\n"), r#"[{"a":1},[2]]"#);
    assert_eq!(text("\n"), "[]");
    // Two lines are not one value, and one line not two.
    is_opaque(read("{\"a\":\n1}"), "line 1");
    is_opaque(read("1,2"), "line 1");
    is_opaque(read("{}\n1],[2"), "line 2");
    is_opaque(read("{}\n{\"a\":1,\"a\":2}"), "twice");
    let deep = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
    is_opaque(read(&deep), "levels deep");
}

#[test]
fn parts_without_a_file_name_are_form_fields() {
    let body = multipart(&[
        ("a", None, b"1"),
        ("a", None, "é\r\n--X\r\n".as_bytes()),
        ("photo", Some("p.png"), b"\xff\x00{}"),
        ("payload", None, br#"{"b": 2}"#),
        ("empty", None, b""),
    ]);
    let read = decoded(&reading(), Some(MULTIPART), None, &body);
    assert_eq!(read.format, PayloadFormat::Multipart);
    match read.payload {
        Payload::FormJson(fields, json) => {
            assert_eq!(fields["a"], ["1", "é\r\n--X\r\n"]);
            assert_eq!(fields["empty"], [""]);
            assert!(!fields.contains_key("photo"));
            assert_eq!(json.text(), r#"{"b": 2}"#);
        }
        other => panic!("{other:?}"),
    }
}

// Risk 41: the boundary is in a header that nobody signs.
#[test]
fn another_boundary_never_reads_a_parts_content_as_parts() {
    let inner =
        b"x\r\n--evil\r\nContent-Disposition: form-data; name=\"admin\"\r\n\r\n1\r\n--evil--";
    let body = multipart(&[("a", None, inner)]);
    let with = |boundary: &str| {
        let content_type = format!("multipart/form-data; boundary={boundary}");
        of(Some(&content_type), None, &body)
    };
    assert!(matches!(with("X-7"), Payload::Form(fields) if fields.len() == 1));
    for boundary in ["evil", "X", "X-", "-X-7", "\"\"", "X-7--"] {
        match with(boundary) {
            Payload::Opaque(_) => {}
            other => panic!("{boundary}: {other:?}"),
        }
    }
}

#[test]
fn multipart_that_readers_could_differ_on_is_refused() {
    let good = String::from_utf8(multipart(&[("a", None, b"1")])).unwrap();
    let refused = |content_type: &str, body: &str, part: &str| {
        is_opaque(of(Some(content_type), None, body.as_bytes()), part);
    };
    assert!(matches!(
        of(Some(MULTIPART), None, format!("\r\n{good}").as_bytes()),
        Payload::Form(_)
    ));
    refused("multipart/form-data", &good, "names no boundary");
    refused(
        "multipart/form-data; boundary=X-7; boundary=Y",
        &good,
        "twice",
    );
    refused(
        "multipart/form-data; boundary=X{7",
        &good,
        "boundary is not",
    );
    refused(
        MULTIPART,
        &format!("preamble\r\n{good}"),
        "begin with the boundary",
    );
    refused(
        MULTIPART,
        &format!("{good}epilogue"),
        "after the last boundary",
    );
    refused(MULTIPART, &good.replace("--X-7--", ""), "no end");
    refused(
        MULTIPART,
        &good.replace("\r\n1", "\r\n1\r\n--X-77\r\n"),
        "is none",
    );
    for (from, to, part) in [
        ("form-data; name=\"a\"", "form-data", "without a name"),
        ("form-data", "attachment", "no form-data"),
        (
            "Content-Disposition",
            "X-Other",
            "without Content-Disposition",
        ),
        ("name=\"a\"", "name=\"a\"; name=\"b\"", "twice"),
        ("name=\"a\"", "name=\"a\\\"b\"", "backslash"),
        ("name=\"a\"", "name=\"a\"x", "after a quoted value"),
        ("name=\"a\"", "name=\"a", "without its end"),
        (
            "\r\n\r\n1",
            "\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n1",
            "twice",
        ),
        (
            "\r\n\r\n1",
            "\r\nContent-Transfer-Encoding: base64\r\n\r\n1",
            "transfer encoding",
        ),
        (
            "\r\n\r\n1",
            "\r\nContent-Type: text/plain; charset=latin1\r\n\r\n1",
            "charset",
        ),
        ("\r\n\r\n1", "\r\nno header\r\n\r\n1", "header that is none"),
        ("\r\n\r\n1", "\r\n1", ""),
    ] {
        refused(MULTIPART, &good.replace(from, to), part);
    }
    is_opaque(
        of(Some(MULTIPART), None, &multipart(&[("a", None, b"\xff")])),
        "not UTF-8",
    );
}

#[test]
fn multipart_is_bounded_in_parts_and_headers() {
    let most = super::super::multipart::MAX_PARTS;
    let large = Reading {
        max_bytes: usize::MAX,
        ..reading()
    };
    let read = |count: usize| {
        let parts = vec![("a", None, b"1".as_slice()); count];
        decoded(&large, Some(MULTIPART), None, &multipart(&parts)).payload
    };
    assert!(matches!(read(most), Payload::Form(fields) if fields["a"].len() == most));
    is_opaque(read(most + 1), "parts");
    let head = |header: String| {
        let body = format!("--X-7\r\n{header}\r\n\r\n1\r\n--X-7--");
        decoded(&large, Some(MULTIPART), None, body.as_bytes()).payload
    };
    is_opaque(head("a: b\r\n".repeat(17) + "c: d"), "headers");
    is_opaque(head(format!("a: {}", "b".repeat(5000))), "too long");
}

#[test]
fn a_payload_inside_a_form_field_is_json_or_xml_in_base64_or_not() {
    let form = Some("application/x-www-form-urlencoded");
    let at = |place: &str, body: &str| {
        let reading = Reading {
            payload: PayloadAt::parse(place).ok(),
            max_bytes: 1000,
            ..Reading::default()
        };
        decoded(&reading, form, None, body.as_bytes()).payload
    };
    let text = |payload: Payload| match payload {
        Payload::FormJson(_, json) => json.text().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(text(at("form:p", "p=%7B%7D")), "{}");
    assert_eq!(text(at("form:p", "p=%3Ca%3E1%3C%2Fa%3E")), r#"{"a":"1"}"#);
    // {"a":"??>"} in both alphabets, padded and not, with a line break.
    for encoded in [
        "eyJhIjoiPz8%2BIn0%3D",
        "eyJhIjoiPz8-In0",
        "eyJhIjoi%0APz8%2BIn0",
    ] {
        assert_eq!(
            text(at("form:p->base64", &format!("p={encoded}"))),
            r#"{"a":"??>"}"#
        );
    }
    is_opaque(at("form:p->base64", "p=%21"), "not base64");
    is_opaque(at("form:p->base64", "p=AAAA"), "not valid JSON");
    is_opaque(at("form:p", "p=%3Ca%3E"), "not XML");
    assert!(matches!(at("form:p", "q=1"), Payload::Form(_)));
    for wrong in [
        "",
        "form:",
        "p",
        "header:X",
        "form:p->hex",
        "form:->base64",
        "jwt:/a",
    ] {
        assert!(PayloadAt::parse(wrong).is_err(), "{wrong}");
    }
    for place in ["form:p", "form:p->base64", "jwt:"] {
        assert_eq!(PayloadAt::parse(place).unwrap().written(), place);
    }
}

#[test]
fn bytes_after_packed_ones_are_refused() {
    let json = Some("application/json");
    let body = b"{}";
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(body).unwrap();
    let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    bare.write_all(body).unwrap();
    for (encoding, packed) in [
        ("gzip", gzip(body)),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", bare.finish().unwrap()),
    ] {
        assert!(matches!(
            of(json, Some(encoding), &packed),
            Payload::Json(_)
        ));
        let more = [packed.as_slice(), b"x"].concat();
        assert!(
            matches!(of(json, Some(encoding), &more), Payload::Opaque(_)),
            "{encoding}"
        );
    }
}

#[test]
fn gzip_without_a_name_is_unpacked_only_where_the_connector_expects_it() {
    let json = Some("application/json");
    let packed = gzip(b"{}");
    is_opaque(of(json, None, &packed), "not valid JSON");
    let expects = Reading {
        signs_unpacked: true,
        ..reading()
    };
    let read = |body: &[u8]| decoded(&expects, json, None, body).payload;
    assert!(matches!(read(&packed), Payload::Json(_)));
    is_opaque(read(&gzip(&[b' '; 10_000])), "more than 1000 bytes");
}

proptest! {
    // Risk 41: whatever is taken for XML gives the JSON that any reader of JSON reads, and a text comes out as it was written.
    #[test]
    fn a_text_in_xml_comes_out_as_it_went_in(text in "\\PC{0,40}", name in "[a-z_][a-z0-9._-]{0,8}") {
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let quoted = escaped.replace('"', "&quot;");
        let document = format!("<{name} q=\"{quoted}\"><v>{escaped}</v></{name}>");
        let json = xml(&document).map_err(TestCaseError::fail)?;
        let tree: serde_json::Value = serde_json::from_str(json.text()).unwrap();
        prop_assert_eq!(tree[&name]["v"].as_str(), Some(text.as_str()));
        prop_assert_eq!(tree[&name]["@q"].as_str(), Some(text.as_str()));
    }

    #[test]
    fn no_xml_panics_and_what_is_read_is_json(text in "[<>/a!?\\[\\]\"'=&;:# \\-x\u{e9}\r\n]{0,60}") {
        if let Ok(json) = xml(&text) {
            let tree: serde_json::Value = serde_json::from_str(json.text()).unwrap();
            prop_assert_eq!(tree.as_object().map(serde_json::Map::len), Some(1));
        }
    }

    #[test]
    fn a_field_in_multipart_comes_out_as_it_went_in(value in "[ -~\r\n\u{e9}-]{0,40}", file in any::<Vec<u8>>()) {
        prop_assume!(!value.contains("--X-7"));
        let body = multipart(&[("f", Some("f.bin"), b"x"), ("v", None, value.as_bytes()), ("w", None, b"")]);
        match of(Some(MULTIPART), None, &body) {
            Payload::Form(fields) => prop_assert_eq!(&fields["v"], &[value]),
            other => prop_assert!(false, "{:?}", other),
        }
        // Whatever is in a file, there is a reading or a reason.
        let _ = of(Some(MULTIPART), None, &multipart(&[("f", Some("f.bin"), &file)]));
    }

    #[test]
    fn no_multipart_panics(body in prop::collection::vec(prop::sample::select(vec![
        "--X-7", "--", "\r\n", "\n", "Content-Disposition: form-data; name=\"a\"", ";", "\"", "\\", "filename=", "x",
    ]), 0..20)) {
        let _ = of(Some(MULTIPART), None, body.concat().as_bytes());
    }
}

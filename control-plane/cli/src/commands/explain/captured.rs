//! A captured request, read from a file: raw HTTP/1.1, what `curl -v` shows of one, or JSON.

use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hookplane_rules::{Callback, Timestamp};
use hyper::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::{HeaderMap, Method};
use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::times::rfc3339;

/// The largest file: the largest body in base64, and a head.
const MAX_FILE_BYTES: u64 = 36 * 1024 * 1024;
const MAX_HEADERS: usize = 1_000;

/// What is known of it.
#[derive(Debug)]
pub(super) struct Captured {
    pub(super) callback: Callback,
    /// What the request says that it was posted to.
    pub(super) url: Option<String>,
    /// When it came.
    pub(super) now: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct Json {
    #[serde(default = "post")]
    method: String,
    #[serde(default)]
    query: String,
    headers: Value,
    body: Option<String>,
    body_base64: Option<String>,
    callback_url: Option<String>,
    now: Option<Value>,
}

fn post() -> String {
    "POST".to_owned()
}

pub(super) fn read(path: &Path) -> Result<Captured, Failure> {
    let named = |error: String| Failure::new(format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| Failure::new(format!("read {}: {error}", path.display())))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(named(format!(
            "is larger than {MAX_FILE_BYTES} bytes, which no request that is taken is"
        )));
    }
    parse(&bytes).map_err(named)
}

fn parse(bytes: &[u8]) -> Result<Captured, String> {
    match bytes.trim_ascii_start().first() {
        Some(b'{') => json(bytes),
        Some(b'[') => Err("is a list; one request is a JSON object".to_owned()),
        Some(_) => raw(bytes),
        None => Err("is empty".to_owned()),
    }
}

fn json(bytes: &[u8]) -> Result<Captured, String> {
    let json: Json = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut headers = HeaderMap::new();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let pairs: Option<Vec<(String, String)>> = match &json.headers {
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| Some((name.clone(), text(value)?)))
            .collect(),
        Value::Array(list) => list
            .iter()
            .map(|pair| Some((text(pair.get(0)?)?, text(pair.get(1)?)?)))
            .collect(),
        _ => None,
    };
    let pairs = pairs.ok_or("headers: is an object of texts, or a list of pairs")?;
    for (name, value) in pairs.iter().take(MAX_HEADERS) {
        add(&mut headers, name, value)?;
    }
    let body = match (json.body, json.body_base64) {
        (Some(_), Some(_)) => return Err("has both body and body_base64".to_owned()),
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => STANDARD
            .decode(text)
            .map_err(|_| "body_base64: is no base64")?,
        (None, None) => Vec::new(),
    };
    let now = match json.now {
        None => None,
        Some(Value::Number(millis)) => {
            Some(Timestamp(millis.as_i64().ok_or(
                "now: is a whole number of milliseconds since 1970, or RFC 3339",
            )?))
        }
        Some(Value::String(text)) => Some(rfc3339(&text)?),
        Some(_) => {
            return Err("now: is milliseconds since 1970, or RFC 3339".to_owned());
        }
    };
    Ok(Captured {
        callback: Callback {
            method: method(&json.method)?,
            query: json.query.trim_start_matches('?').to_owned(),
            headers,
            body: body.into(),
        },
        url: json.callback_url,
        now,
    })
}

fn method(text: &str) -> Result<Method, String> {
    text.parse().map_err(|_| format!("`{text}` is no method"))
}

fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let name: hyper::header::HeaderName = name
        .trim()
        .parse()
        .map_err(|_| format!("`{name}` is no header's name"))?;
    let value = hyper::header::HeaderValue::from_bytes(value.trim().as_bytes())
        .map_err(|_| format!("the value of header {name} can't be sent"))?;
    headers.append(name, value);
    Ok(())
}

fn raw(bytes: &[u8]) -> Result<Captured, String> {
    let unmarked = without_marks(bytes);
    let (head, body) = split(unmarked.as_deref().unwrap_or(bytes));
    let head = std::str::from_utf8(head).map_err(|_| "has a head that is not UTF-8".to_owned())?;
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let mut words = first.split_ascii_whitespace();
    let (Some(verb), Some(target)) = (words.next(), words.next()) else {
        return Err("doesn't begin with a request line, as in `POST /path HTTP/1.1`".to_owned());
    };
    let mut headers = HeaderMap::new();
    for line in lines.take(MAX_HEADERS) {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| "has a line in its head that is no header".to_owned())?;
        add(&mut headers, name, value)?;
    }
    let target = match target.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/').unwrap_or(rest.len())..],
        None => target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let url = host.map(|host| format!("https://{host}{path}"));
    if unmarked.is_some()
        && body.trim_ascii().is_empty()
        && let Some(stated @ 1..) = stated_length(&headers)
    {
        return Err(format!(
            "has no body, and its head states one of {stated} bytes: `curl -v` doesn't show what it sends; put the body, byte for byte, after the \
             line of `>` alone that ends the head"
        ));
    }
    let body = body_of(&headers, body);
    Ok(Captured {
        callback: Callback {
            method: method(verb)?,
            query: query.to_owned(),
            headers,
            body,
        },
        url,
        now: None,
    })
}

/// `curl -v` marks the head's lines with `> `, its own with `* `, the answer's with `< `, and says `} [9 bytes data]` for a body. None: there are no
/// such marks.
fn without_marks(bytes: &[u8]) -> Option<Vec<u8>> {
    let is_marked = bytes.starts_with(b"> ") || bytes.windows(3).any(|at| at == b"\n> ");
    if !is_marked {
        return None;
    }
    let mut out = Vec::new();
    let mut body = false;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line {
            [b'>', rest @ ..] if !body => {
                let rest = rest.strip_prefix(b" ").unwrap_or(rest);
                body = rest.trim_ascii().is_empty();
                out.extend_from_slice(rest);
            }
            // Past here it is the answer's head and body.
            [b'<', b' ', rest @ ..] if rest.starts_with(b"HTTP/") => break,
            [b'*' | b'<', b' ', ..] => {}
            line if is_in_place_of_data(line) => {}
            line if body => out.extend_from_slice(line),
            _ => {}
        }
    }
    Some(out)
}

/// `{ [9 bytes data]` of what curl got, `} [9 bytes data]` of what it sent.
fn is_in_place_of_data(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let rest = line.strip_prefix(b"{ [").or(line.strip_prefix(b"} ["));
    let count = rest.and_then(|rest| rest.strip_suffix(b" bytes data]"));
    count.is_some_and(|count| !count.is_empty() && count.iter().all(u8::is_ascii_digit))
}

/// At the empty line.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let end = at + line.len();
        if line.trim_ascii().is_empty() && at > 0 {
            return (&bytes[..at], &bytes[end..]);
        }
        at = end;
    }
    (bytes, &[])
}

/// Unchunked, and without the line break that an editor put after it.
fn body_of(headers: &HeaderMap, body: &[u8]) -> Bytes {
    let is_chunked = headers
        .get(TRANSFER_ENCODING)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if is_chunked && let Some(whole) = unchunked(body) {
        return whole.into();
    }
    match stated_length(headers).and_then(|stated| body.split_at_checked(stated)) {
        Some((body, surplus)) if surplus.trim_ascii().is_empty() => Bytes::copy_from_slice(body),
        _ => Bytes::copy_from_slice(body),
    }
}

fn stated_length(headers: &HeaderMap) -> Option<usize> {
    let length = headers.get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// None where it isn't in chunks.
fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = body.iter().position(|byte| *byte == b'\n')?;
        let size = std::str::from_utf8(&body[..end]).ok()?;
        let size = size.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        body = &body[end + 1..];
        if size == 0 {
            return Some(whole);
        }
        let (chunk, rest) = body.split_at_checked(size)?;
        whole.extend_from_slice(chunk);
        body = rest
            .strip_prefix(b"\r\n")
            .or_else(|| rest.strip_prefix(b"\n"))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Captured {
        parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_raw_request_keeps_its_bytes() {
        let captured = of(
            "POST /c/t?a=1&b HTTP/1.1\r\nHost: hooks.example.com\r\nX-Sig: a: b \r\n\r\n{\"a\":\r\n1}\n",
        );
        assert_eq!(captured.callback.method, Method::POST);
        assert_eq!(captured.callback.query, "a=1&b");
        assert_eq!(captured.callback.headers["x-sig"], "a: b");
        assert_eq!(&captured.callback.body[..], b"{\"a\":\r\n1}\n");
        assert_eq!(
            captured.url.as_deref(),
            Some("https://hooks.example.com/c/t")
        );
    }

    #[test]
    fn an_editors_last_line_break_is_no_body_where_the_length_is_stated() {
        let head = "POST / HTTP/1.1\nContent-Length: 2\n\n";
        assert_eq!(&of(&format!("{head}{{}}\n")).callback.body[..], b"{}");
        // Anything else is the body, and a matter for the doctor.
        assert_eq!(&of(&format!("{head}{{}} x")).callback.body[..], b"{} x");
    }

    #[test]
    fn chunks_are_put_together() {
        let head = "POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n";
        let captured = of(&format!("{head}2\r\n{{}}\r\n1;x=y\r\n\n\r\n0\r\n\r\n"));
        assert_eq!(&captured.callback.body[..], b"{}\n");
    }

    #[test]
    fn what_curl_shows_is_read() {
        let captured = of(
            "* Connected to x\n> POST /c/t HTTP/1.1\n> Host: x\n> X-A: 1\n>\n{\"a\": 1}\n* done\n< HTTP/1.1 401 Unauthorized\n",
        );
        assert_eq!(captured.callback.headers["x-a"], "1");
        assert_eq!(captured.callback.body.trim_ascii(), b"{\"a\": 1}");
    }

    #[test]
    fn what_curl_shows_in_place_of_a_body_is_none() {
        let head = "* Connected to x\n> POST /c/t HTTP/1.1\r\n> Content-Length: 8\r\n> \r\n";
        let tail = "} [8 bytes data]\n* done\n< HTTP/1.1 401 Unauthorized\r\n< \r\n{ [7 bytes data]\nrefused";
        let error = parse(format!("{head}{tail}").as_bytes()).unwrap_err();
        for part in ["8 bytes", "doesn't show", "after the line of `>`"] {
            assert!(error.contains(part), "{error}");
        }
        for body in ["{\"a\": 1}", "{ [1\n} ]\n}", "} [x bytes data]"] {
            let captured = of(&format!("{head}{body}\n{tail}"));
            assert_eq!(captured.callback.body.trim_ascii(), body.as_bytes());
        }
        // Without a body to show there is nothing to say.
        let captured = of("> GET /c/t HTTP/1.1\n> Host: x\n>\n< HTTP/1.1 200 OK\n");
        assert!(captured.callback.body.is_empty());
    }

    #[test]
    fn json_is_read_with_headers_of_either_form() {
        let captured = of(
            r#"{"headers": {"X-A": "1"}, "body_base64": "e30=", "now": 1767225600000, "callback_url": "https://x/c"}"#,
        );
        assert_eq!(&captured.callback.body[..], b"{}");
        assert_eq!(captured.now, Some(Timestamp(1_767_225_600_000)));
        let captured = of(
            r#"{"method": "GET", "headers": [["X-A", "1"], ["X-A", "2"]], "now": "2026-01-01T00:00:00Z"}"#,
        );
        assert_eq!(captured.callback.headers.get_all("x-a").iter().count(), 2);
        assert_eq!(captured.now, Some(Timestamp(1_767_225_600_000)));
    }

    #[test]
    fn what_is_no_request_says_why() {
        for (text, why) in [
            ("", "empty"),
            ("[{}]", "list"),
            ("{}", "headers"),
            ("hello", "request line"),
            ("POST / HTTP/1.1\nnonsense\n\n", "no header"),
            (r#"{"headers": {}, "now": true}"#, "now"),
            (r#"{"headers": {}, "body": "", "body_base64": ""}"#, "both"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}

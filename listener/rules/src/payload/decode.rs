//! Which rule decodes a body: told by what its sender says about it.

use std::io::Read;

use bytes::Bytes;
use hookplane_proto::v1::{self, PayloadFormat};

use super::form::{decode_form, form_json};
use super::{Json, MAX_FORM_FIELDS, Payload};

/// A kept event's body was within its group's limit when it came. This only bounds what it may inflate to when it is read again:
/// the largest body a group can take.
const MAX_KEPT_BYTES: usize = 26_214_400;

/// Decodes a body by its content type and content encoding (identity, gzip, deflate; decompressed to at most `max_bytes`).
/// `json_form_field` is the form field that holds JSON, where the connector has one.
pub fn decode(
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    body: &Bytes,
    json_form_field: Option<&str>,
    max_bytes: usize,
) -> Payload {
    if body.is_empty() {
        return Payload::Opaque("the body is empty".to_owned());
    }
    let decoded = inflate(content_encoding, body, max_bytes)
        .and_then(|body| by_content_type(content_type, body, json_form_field));
    decoded.unwrap_or_else(Payload::Opaque)
}

/// The payload of a kept event as JSON text: JSON as it came, a form as an object of strings and lists, JSON in a form field as it
/// stood there. None when it can't be decoded.
pub fn to_json(event: &v1::Event) -> Option<String> {
    if event.format() == PayloadFormat::Opaque {
        return None;
    }
    let content_encoding = event.headers.get("content-encoding").map(String::as_str);
    let content_type = Some(event.content_type.as_str()).filter(|text| !text.is_empty());
    let json_form_field = Some(event.json_form_field.as_str()).filter(|name| !name.is_empty());
    let payload = match inflate(content_encoding, &event.body, MAX_KEPT_BYTES) {
        // An item of a batch was cut out of the inflated body, so it stands for itself whatever the headers say.
        Err(_) => json_or_opaque(event.body.clone()),
        Ok(body) if event.format() == PayloadFormat::Json => json_or_opaque(body),
        Ok(body) => match by_content_type(content_type, body.clone(), json_form_field) {
            // It has no such field, so it is an item that was cut out of that field.
            Ok(Payload::Form(_)) | Err(_) if event.format() == PayloadFormat::FormJson => {
                json_or_opaque(body)
            }
            decoded => decoded.ok()?,
        },
    };
    match payload {
        Payload::Json(json) | Payload::FormJson(_, json) => Some(json.text().to_owned()),
        Payload::Form(fields) => Some(form_json(&fields)),
        Payload::Opaque(_) => None,
    }
}

fn json_or_opaque(body: Bytes) -> Payload {
    Json::validate(body).map_or_else(Payload::Opaque, Payload::Json)
}

fn by_content_type(
    content_type: Option<&str>,
    body: Bytes,
    json_form_field: Option<&str>,
) -> Result<Payload, String> {
    let Some(content_type) = content_type else {
        return Json::validate(body)
            .map(Payload::Json)
            .map_err(|reason| format!("no content type, and it isn't JSON: {reason}"));
    };
    let (media_type, charset) = split(content_type);
    if let Some(charset) = charset.filter(|name| !matches!(name.as_str(), "utf-8" | "utf8")) {
        return Err(format!("charset `{charset}`; only utf-8 is decoded"));
    }
    match media_type.as_str() {
        "application/x-www-form-urlencoded" => form(&body, json_form_field),
        "application/json" | "text/json" => json(body),
        other if other.contains('/') && other.ends_with("+json") => json(body),
        other => Err(format!("content type `{other}` is not decoded")),
    }
}

fn json(body: Bytes) -> Result<Payload, String> {
    Json::validate(body)
        .map(Payload::Json)
        .map_err(|reason| format!("not valid JSON: {reason}"))
}

fn form(body: &[u8], json_form_field: Option<&str>) -> Result<Payload, String> {
    // Risk 41: signed JSON that is sent again as a form would have fields that its texts' authors chose. No form begins like this: its
    // braces are escaped.
    if let Some(b'{' | b'[') = body.trim_ascii_start().first() {
        return Err("it is called a form and begins like JSON".to_owned());
    }
    let fields = decode_form(body).ok_or_else(|| {
        format!("not a valid form: bad percent escapes, not UTF-8, or more than {MAX_FORM_FIELDS} fields")
    })?;
    let Some((name, values)) = json_form_field.and_then(|name| fields.get_key_value(name)) else {
        return Ok(Payload::Form(fields));
    };
    let [text] = values.as_slice() else {
        return Err(format!(
            "form field `{name}` is there {} times",
            values.len()
        ));
    };
    let json = Json::validate(Bytes::copy_from_slice(text.as_bytes()))
        .map_err(|reason| format!("form field `{name}` is not valid JSON: {reason}"))?;
    Ok(Payload::FormJson(fields, json))
}

/// The media type in lower case, and its charset in lower case without quotes.
fn split(content_type: &str) -> (String, Option<String>) {
    let mut parts = content_type.split(';');
    let media_type = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    (media_type, charset)
}

/// Undoes the content encoding. Several, one upon the other, are nobody's habit and a way to make us work.
fn inflate(
    content_encoding: Option<&str>,
    body: &Bytes,
    max_bytes: usize,
) -> Result<Bytes, String> {
    let encoding = content_encoding
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match encoding.as_str() {
        "" | "identity" => Ok(body.clone()),
        "gzip" | "x-gzip" => bounded(
            flate2::read::MultiGzDecoder::new(body.as_ref()),
            "gzip",
            max_bytes,
        ),
        // The standard means zlib; some send the bare stream. A zlib header can't be taken for one: its method and check bits differ.
        "deflate" if is_zlib(body) => bounded(
            flate2::read::ZlibDecoder::new(body.as_ref()),
            "deflate",
            max_bytes,
        ),
        "deflate" => bounded(
            flate2::read::DeflateDecoder::new(body.as_ref()),
            "deflate",
            max_bytes,
        ),
        other => Err(format!(
            "content encoding `{other}` is not decoded; gzip, deflate and identity are"
        )),
    }
}

fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0)
}

fn bounded(inflated: impl Read, name: &str, max_bytes: usize) -> Result<Bytes, String> {
    let mut out = Vec::new();
    let read = inflated
        .take(max_bytes as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|e| format!("not valid {name}: {e}"))?;
    if read > max_bytes {
        return Err(format!("more than {max_bytes} bytes when decompressed"));
    }
    if read == 0 {
        return Err("the body is empty".to_owned());
    }
    Ok(Bytes::from(out))
}

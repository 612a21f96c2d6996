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
    let is_told = content_type.is_some();
    match Rule::of(content_type)? {
        Rule::Form => form(&body, json_form_field),
        Rule::Json => Json::validate(body)
            .map(Payload::Json)
            .map_err(|reason| match is_told {
                true => format!("not valid JSON: {reason}"),
                false => format!("no content type, and it isn't JSON: {reason}"),
            }),
    }
}

/// A body as the JSON that it is if it is valid. None where the rule is another one, or the body is compressed.
pub(crate) fn if_valid(
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    body: &Bytes,
) -> Option<Json> {
    let is_plain = content_encoding.is_none_or(|name| name.trim().eq_ignore_ascii_case("identity"));
    let is_json = is_plain && matches!(Rule::of(content_type), Ok(Rule::Json));
    is_json.then(|| Json::unvalidated(body.clone()))
}

enum Rule {
    Json,
    Form,
}

impl Rule {
    /// What isn't told is taken for JSON.
    fn of(content_type: Option<&str>) -> Result<Self, String> {
        let Some(content_type) = content_type else {
            return Ok(Self::Json);
        };
        let (media_type, charset) = split(content_type);
        let is = |name: &str| media_type.eq_ignore_ascii_case(name);
        if let Some(charset) = charset
            && !["utf-8", "utf8"]
                .iter()
                .any(|name| charset.eq_ignore_ascii_case(name))
        {
            let charset = charset.to_ascii_lowercase();
            return Err(format!("charset `{charset}`; only utf-8 is decoded"));
        }
        if is("application/json") || is("text/json") || has_json_suffix(media_type) {
            return Ok(Self::Json);
        }
        if is("application/x-www-form-urlencoded") {
            return Ok(Self::Form);
        }
        let media_type = media_type.to_ascii_lowercase();
        Err(format!("content type `{media_type}` is not decoded"))
    }
}

fn has_json_suffix(media_type: &str) -> bool {
    const SUFFIX: &[u8] = b"+json";
    let bytes = media_type.as_bytes();
    media_type.contains('/')
        && bytes.len() >= SUFFIX.len()
        && bytes[bytes.len() - SUFFIX.len()..].eq_ignore_ascii_case(SUFFIX)
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

/// The media type, and its charset without quotes.
fn split(content_type: &str) -> (&str, Option<&str>) {
    let mut parts = content_type.split(';');
    let media_type = parts.next().unwrap_or_default().trim();
    let charset = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches('"'))
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

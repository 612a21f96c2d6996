//! Which rule decodes a body: told by its connector, or by what its sender says about it.

use bytes::Bytes;
use hookplane_proto::v1::PayloadFormat;

use super::form::decode_form;
use super::unpack::{is_packed, unpack, unpack_any};
use super::{Json, MAX_FORM_FIELDS, Payload, multipart, xml};
use crate::encoding::any_base64;

/// The longest place of a payload, as it is written, in bytes.
const MAX_PLACE_BYTES: usize = 512;

/// How bodies are decoded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reading {
    /// Told from the content type when nothing is said here.
    pub(crate) format: Option<PayloadFormat>,
    /// Where the payload is when it isn't the body.
    pub(crate) payload: Option<PayloadAt>,
    /// What a body may unpack to, at most.
    pub(crate) max_bytes: usize,
    /// The signature is over what a packed body unpacks to, and gzip may go without a name.
    pub(crate) signs_unpacked: bool,
}

/// A place in a body, or the token that says what the request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PayloadAt {
    /// A field of a form. A body that is no form is the payload itself, and so is a form without that field.
    Form { name: String, base64: bool },
    /// The claims of a verified token.
    Token,
}

impl PayloadAt {
    /// Reads one, or says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_PLACE_BYTES {
            return Err(format!(
                "is {} bytes long, at most {MAX_PLACE_BYTES} are taken",
                text.len()
            ));
        }
        let wrong = || {
            format!(
                "`{text}` is no place of a payload; one is form:name, form:name->base64 or jwt:"
            )
        };
        if text == "jwt:" {
            return Ok(Self::Token);
        }
        let field = text.strip_prefix("form:").ok_or_else(wrong)?;
        let (name, base64) = match field.split_once("->") {
            None => (field, false),
            Some((name, "base64")) => (name, true),
            Some(_) => return Err(wrong()),
        };
        match name.is_empty() {
            true => Err(wrong()),
            false => Ok(Self::Form {
                name: name.to_owned(),
                base64,
            }),
        }
    }

    /// As it is written in a definition, and kept with an event.
    pub(crate) fn written(&self) -> String {
        match self {
            Self::Form { name, base64: true } => format!("form:{name}->base64"),
            Self::Form { name, .. } => format!("form:{name}"),
            Self::Token => "jwt:".to_owned(),
        }
    }
}

/// A body, and the rule that decoded it.
#[derive(Debug, Clone)]
pub(crate) struct Decoded {
    pub(crate) payload: Payload,
    pub(crate) format: PayloadFormat,
}

impl Decoded {
    fn opaque(reason: String) -> Self {
        Self {
            payload: Payload::Opaque(reason),
            format: PayloadFormat::Opaque,
        }
    }
}

/// Decodes a body by its content type and content encoding (identity, gzip, deflate).
pub(crate) fn decode(
    reading: &Reading,
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    body: &Bytes,
) -> Decoded {
    if body.is_empty() {
        return Decoded::opaque("the body is empty".to_owned());
    }
    let unpack = match reading.signs_unpacked {
        true => unpack_any,
        false => unpack,
    };
    let decoded = unpack(content_encoding, body, reading.max_bytes).and_then(|body| {
        let format = format_of(reading.format, content_type)?;
        let payload = read(format, content_type, body, reading.payload.as_ref())?;
        Ok(Decoded { payload, format })
    });
    decoded.unwrap_or_else(Decoded::opaque)
}

/// A body as the JSON that it is if it is valid. None where the rule is another one, or the body is packed.
pub(crate) fn if_valid(
    reading: &Reading,
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    body: &Bytes,
) -> Option<Json> {
    let is_json = !is_packed(content_encoding, body)
        && format_of(reading.format, content_type) == Ok(PayloadFormat::Json)
        && reading.payload != Some(PayloadAt::Token);
    is_json.then(|| Json::unvalidated(body.clone()))
}

/// By one rule. `payload` is where the payload is, if it isn't the body.
pub(crate) fn read(
    format: PayloadFormat,
    content_type: Option<&str>,
    body: Bytes,
    payload: Option<&PayloadAt>,
) -> Result<Payload, String> {
    match format {
        PayloadFormat::Json => {
            Json::validate(body)
                .map(Payload::Json)
                .map_err(|reason| match content_type.is_some() {
                    true => format!("not valid JSON: {reason}"),
                    false => format!("no content type, and it isn't JSON: {reason}"),
                })
        }
        PayloadFormat::Xml => text_of(&body)
            .and_then(xml)
            .map(Payload::Json)
            .map_err(|reason| format!("not XML as it is read here: {reason}")),
        PayloadFormat::Ndjson => lines(&body).map(Payload::Json),
        PayloadFormat::Form => form(&body, payload),
        PayloadFormat::Multipart => {
            let fields = multipart::fields(content_type.unwrap_or_default(), &body)
                .map_err(|reason| format!("not multipart as it is read here: {reason}"))?;
            inside(fields, payload)
        }
        PayloadFormat::Opaque | PayloadFormat::Unspecified => {
            Err("this provider's bodies are handed on as they came".to_owned())
        }
    }
}

/// What a connector says, else the content type. What isn't told is taken for JSON.
fn format_of(
    said: Option<PayloadFormat>,
    content_type: Option<&str>,
) -> Result<PayloadFormat, String> {
    let Some(content_type) = content_type else {
        return Ok(said.unwrap_or(PayloadFormat::Json));
    };
    let (media_type, charset) = split(content_type);
    let is = |names: &[&str]| {
        names
            .iter()
            .any(|name| media_type.eq_ignore_ascii_case(name))
    };
    if said == Some(PayloadFormat::Opaque) {
        return Ok(PayloadFormat::Opaque);
    }
    if let Some(charset) = charset
        && !["utf-8", "utf8"]
            .iter()
            .any(|name| charset.eq_ignore_ascii_case(name))
    {
        let charset = charset.to_ascii_lowercase();
        return Err(format!("charset `{charset}`; only utf-8 is decoded"));
    }
    if let Some(said) = said {
        return Ok(said);
    }
    if is(&["application/json", "text/json"]) || has_suffix(media_type, b"+json") {
        return Ok(PayloadFormat::Json);
    }
    if is(&["application/x-www-form-urlencoded"]) {
        return Ok(PayloadFormat::Form);
    }
    if is(&["multipart/form-data"]) {
        return Ok(PayloadFormat::Multipart);
    }
    if is(&["application/xml", "text/xml"]) || has_suffix(media_type, b"+xml") {
        return Ok(PayloadFormat::Xml);
    }
    if is(&[
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
    ]) {
        return Ok(PayloadFormat::Ndjson);
    }
    let media_type = media_type.to_ascii_lowercase();
    Err(format!("content type `{media_type}` is not decoded"))
}

fn has_suffix(media_type: &str, suffix: &[u8]) -> bool {
    let bytes = media_type.as_bytes();
    media_type.contains('/')
        && bytes.len() >= suffix.len()
        && bytes[bytes.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
}

fn text_of(body: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(body).map_err(|e| format!("not UTF-8 at byte {}", e.valid_up_to()))
}

/// NDJSON: the list of its lines. Each is looked at by itself first: two halves of a line are no lines.
fn lines(body: &[u8]) -> Result<Json, String> {
    let text = text_of(body).map_err(|reason| format!("not valid NDJSON: {reason}"))?;
    let mut list = String::with_capacity(body.len() + 2);
    list.push('[');
    for (index, line) in text.split('\n').enumerate() {
        let line = line.trim_matches([' ', '\t', '\r']);
        if line.is_empty() {
            continue;
        }
        Json::validate(Bytes::copy_from_slice(line.as_bytes()))
            .map_err(|reason| format!("line {} is not valid JSON: {reason}", index + 1))?;
        if list.len() > 1 {
            list.push(',');
        }
        list.push_str(line);
    }
    list.push(']');
    Json::validate(list.into()).map_err(|reason| format!("not valid NDJSON: {reason}"))
}

fn form(body: &[u8], payload: Option<&PayloadAt>) -> Result<Payload, String> {
    // Risk 41: signed JSON that is sent again as a form would have fields that its texts' authors chose. No form begins like this: its
    // braces are escaped.
    if let Some(b'{' | b'[') = body.trim_ascii_start().first() {
        return Err("it is called a form and begins like JSON".to_owned());
    }
    let fields = decode_form(body).ok_or_else(|| {
        format!("not a valid form: bad percent escapes, not UTF-8, or more than {MAX_FORM_FIELDS} fields")
    })?;
    inside(fields, payload)
}

/// With the payload that is in one of the fields.
fn inside(fields: super::Fields, payload: Option<&PayloadAt>) -> Result<Payload, String> {
    let Some(PayloadAt::Form { name, base64 }) = payload else {
        return Ok(Payload::Form(fields));
    };
    let Some(values) = fields.get(name) else {
        return Ok(Payload::Form(fields));
    };
    let [text] = values.as_slice() else {
        return Err(format!(
            "form field `{name}` is there {} times",
            values.len()
        ));
    };
    let bytes = match base64 {
        true => any_base64(text).ok_or_else(|| format!("form field `{name}` is not base64"))?,
        false => text.clone().into_bytes(),
    };
    let json =
        json_or_xml(bytes.into()).map_err(|reason| format!("form field `{name}`: {reason}"))?;
    Ok(Payload::FormJson(fields, json))
}

/// No JSON begins like XML.
fn json_or_xml(text: Bytes) -> Result<Json, String> {
    match text.trim_ascii_start().first() {
        Some(b'<') => text_of(&text)
            .and_then(xml)
            .map_err(|reason| format!("not XML as it is read here: {reason}")),
        _ => Json::validate(text).map_err(|reason| format!("not valid JSON: {reason}")),
    }
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

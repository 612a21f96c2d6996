//! Writing a value where a location would read it.

use base64::Engine;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Callback;
use crate::encoding::{BASE64, percent_encode};
use crate::location::{Location, Pattern, Step};
use crate::payload::{Json, Kind, decode_form, kind};

pub(super) fn put(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` can't be a header's name"))?;
    let value = HeaderValue::from_str(value)
        .map_err(|_| format!("header {name} would have a value that can't be sent"))?;
    headers.insert(name, value);
    Ok(())
}

/// A value in a JSON or form body replaces what the sample has in its place.
pub(super) fn write(
    callback: &mut Callback,
    location: &Location,
    value: &str,
) -> Result<(), String> {
    match location {
        Location::Header(name) => put(&mut callback.headers, name.as_str(), value),
        Location::Query(name) => {
            append_pair(&mut callback.query, name, value);
            Ok(())
        }
        Location::Form(name) => write_form(callback, name, value),
        Location::Json(at) => write_json(callback, at, value),
        Location::Stepped(stepped) => {
            let text = undone(&stepped.steps, value)?;
            write(callback, &stepped.base, &text)
        }
        other => Err(format!(
            "{} can't be filled in; write it into the sample",
            other.describe()
        )),
    }
}

/// Writes a value everywhere that a pattern leads to in a JSON body.
pub(super) fn everywhere(
    callback: &mut Callback,
    pattern: &Pattern,
    value: &str,
) -> Result<(), String> {
    let json = body_json(callback)?;
    let quoted = quoted(value);
    let text = json.text();
    let mut made = String::with_capacity(text.len());
    let mut end = 0;
    let mut lacks_one = false;
    pattern.visit(&json, &mut |_, found| {
        match found {
            Some(raw) => {
                let start = raw.as_ptr() as usize - text.as_ptr() as usize;
                made.push_str(&text[end..start]);
                made.push_str(&quoted);
                end = start + raw.len();
            }
            None => lacks_one = true,
        }
        true
    });
    if end == 0 || lacks_one {
        return Err("the sample's body lacks the token; write any text in its place".to_owned());
    }
    made.push_str(&text[end..]);
    callback.body = made.into();
    Ok(())
}

/// The text of which these steps make the value.
fn undone(steps: &[Step], value: &str) -> Result<String, String> {
    steps
        .iter()
        .rev()
        .try_fold(value.to_owned(), |text, step| match step {
            Step::Base64 => Ok(BASE64.encode(text)),
            Step::Url => {
                let mut escaped = Vec::new();
                percent_encode(text.as_bytes(), &mut escaped);
                Ok(String::from_utf8_lossy(&escaped).into_owned())
            }
            Step::Lower => Ok(text),
            step => Err(format!(
                "a value under `->{step}` can't be filled in; write it into the sample"
            )),
        })
}

fn append_pair(pairs: &mut String, name: &str, value: &str) {
    let pair: String = form_urlencoded::Serializer::new(String::new())
        .append_pair(name, value)
        .finish();
    if !pairs.is_empty() {
        pairs.push('&');
    }
    pairs.push_str(&pair);
}

fn write_form(callback: &mut Callback, name: &str, value: &str) -> Result<(), String> {
    if decode_form(&callback.body).is_none() {
        return Err(format!("the sample's body is no form to write {name} into"));
    }
    let text = String::from_utf8_lossy(&callback.body);
    let is_other = |pair: &&str| {
        form_urlencoded::parse(pair.as_bytes()).all(|(known, _)| known != name) && !pair.is_empty()
    };
    let mut pairs = text
        .split('&')
        .filter(is_other)
        .collect::<Vec<_>>()
        .join("&");
    append_pair(&mut pairs, name, value);
    callback.body = pairs.into();
    Ok(())
}

/// In the text itself: a rewritten document could spell its numbers otherwise.
fn write_json(callback: &mut Callback, at: &[String], value: &str) -> Result<(), String> {
    let json = body_json(callback)?;
    let text = json.text();
    let place = |raw: &str| raw.as_ptr() as usize - text.as_ptr() as usize;
    let made = match (json.at(at), at.split_last()) {
        (Some(raw), _) => {
            let (start, end) = (place(raw), place(raw) + raw.len());
            format!("{}{}{}", &text[..start], quoted(value), &text[end..])
        }
        (None, Some((name, above))) => {
            let Some(raw) = json.at(above).filter(|raw| kind(raw) == Kind::Object) else {
                return Err(format!(
                    "the sample's body has no object to write `{name}` into"
                ));
            };
            let inside = place(raw.trim_start()) + 1;
            let is_empty = text[inside..].trim_start().starts_with('}');
            let comma = if is_empty { "" } else { "," };
            format!(
                "{}{}:{}{comma}{}",
                &text[..inside],
                quoted(name),
                quoted(value),
                &text[inside..]
            )
        }
        (None, None) => return Err("the sample's body is no place for one text".to_owned()),
    };
    callback.body = made.into();
    Ok(())
}

fn body_json(callback: &Callback) -> Result<Json, String> {
    Json::validate(callback.body.clone())
        .map_err(|why| format!("the sample's body is not valid JSON: {why}"))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

//! Writing a value where a location would read it.

use base64::Engine;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Callback;
use crate::encoding::{BASE64, percent_encode};
use crate::location::{Location, Pattern, Step};
use crate::payload::{Json, Kind, decode_form, kind};
use crate::request::{Around, Request, media_type, single};

/// What a changed body says.
const TAMPERED: &str = "tampered";

pub(super) fn put(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` can't be a header's name"))?;
    let value = HeaderValue::from_str(value)
        .map_err(|_| format!("header {name} would have a value that can't be sent"))?;
    headers.insert(name, value);
    Ok(())
}

/// A value in a JSON, XML or form body replaces what the sample has in its place.
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
        Location::Stepped(stepped) => match stepped.steps.split_first() {
            Some((Step::Json(at), rest)) => {
                let value = undone(rest, value)?;
                write_inside(callback, &stepped.base, at, &value)
            }
            _ => {
                let text = undone(&stepped.steps, value)?;
                write(callback, &stepped.base, &text)
            }
        },
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

/// Takes a value out of its place, or empties it where the place can't go.
pub(super) fn remove(callback: &mut Callback, location: &Location) -> Result<(), String> {
    match location {
        Location::Header(name) => {
            callback.headers.remove(name);
        }
        Location::Query(name) => callback.query = without(&callback.query, name),
        Location::Form(name) if is_multipart(content_type(callback)) => {
            // Where there is no such part, nothing is to be emptied.
            let _ = write_part(callback, name, "");
        }
        Location::Form(name) => {
            let text = String::from_utf8_lossy(&callback.body).into_owned();
            callback.body = without(&text, name).into();
        }
        Location::Json(at) => {
            let is_there = Request::new(callback.clone(), Default::default())
                .read(location, Around::default())
                .is_ok();
            if is_there {
                write_json(callback, at, "")?;
            }
        }
        // A token that is the body: what is left is no token.
        Location::Body => {}
        Location::Stepped(stepped) => match stepped.steps.first() {
            Some(Step::Json(at)) => write_inside(callback, &stepped.base, at, "")?,
            _ => remove(callback, &stepped.base)?,
        },
        other => return Err(format!("{} can't be left out", other.describe())),
    }
    Ok(())
}

/// Changes a body that was signed, so that it can still be read. `places` are those that are signed, where not all of it is.
pub(super) fn tamper(callback: &mut Callback, places: &[Location]) -> Result<(), String> {
    if callback.body.is_empty() {
        return Err("the sample has no body".to_owned());
    }
    if !places.is_empty() {
        let is_there = |place: &&Location| {
            let request = Request::new(callback.clone(), Default::default());
            request.read(place, Around::default()).is_ok()
                || request.has_structure(place, Around::default())
        };
        let place = places.iter().find(is_there);
        let place = place.ok_or("the sample's body has nothing of what is signed")?;
        return match place.clone() {
            Location::Raw(at) => write_json(callback, &at, TAMPERED),
            place => write(callback, &place, TAMPERED),
        };
    }
    let content_type = content_type(callback).to_owned();
    if callback.body.trim_ascii_start().starts_with(b"<") {
        callback.body = [&callback.body[..], b"\n"].concat().into();
        return Ok(());
    }
    if is_multipart(&content_type) {
        return swap_letter(callback);
    }
    let is_object = body_json(callback).is_ok_and(|json| kind(json.text().trim()) == Kind::Object);
    if is_object {
        return write_json(callback, &[TAMPERED.to_owned()], TAMPERED);
    }
    if media_type(&content_type).eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return write_form(callback, TAMPERED, TAMPERED);
    }
    swap_letter(callback)
}

/// The last small letter becomes another.
fn swap_letter(callback: &mut Callback) -> Result<(), String> {
    let mut bytes = callback.body.to_vec();
    let last = bytes.iter_mut().rev().find(|b| b.is_ascii_lowercase());
    let last = last.ok_or("the sample's body has no letter to change")?;
    *last = if *last == b'x' { b'y' } else { b'x' };
    callback.body = bytes.into();
    Ok(())
}

fn without(pairs: &str, name: &str) -> String {
    let is_other = |pair: &&str| {
        form_urlencoded::parse(pair.as_bytes()).all(|(known, _)| known != name) && !pair.is_empty()
    };
    pairs
        .split('&')
        .filter(is_other)
        .collect::<Vec<_>>()
        .join("&")
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

pub(super) fn is_multipart(content_type: &str) -> bool {
    media_type(content_type).eq_ignore_ascii_case("multipart/form-data")
}

fn content_type(callback: &Callback) -> &str {
    single(&callback.headers, &CONTENT_TYPE).unwrap_or_default()
}

/// Writes into the JSON text that a header, a query parameter or a form field holds.
fn write_inside(
    callback: &mut Callback,
    base: &Location,
    at: &[String],
    value: &str,
) -> Result<(), String> {
    let text = Request::new(callback.clone(), Default::default())
        .read(base, Around::default())
        .map_err(|missing| missing.explain(base))?
        .into_owned();
    let mut inside = Callback {
        body: text.into(),
        ..Callback::default()
    };
    write_json(&mut inside, at, value)?;
    let text = String::from_utf8_lossy(&inside.body).into_owned();
    write(callback, base, &text)
}

/// In the part of that name, which the sample must have: where another one would go nobody knows.
fn write_part(callback: &mut Callback, name: &str, value: &str) -> Result<(), String> {
    let lacks = || format!("the sample has no part `{name}` to write into");
    let text = String::from_utf8_lossy(&callback.body).into_owned();
    let head = format!("name=\"{name}\"\r\n\r\n");
    let start = text.find(&head).ok_or_else(lacks)? + head.len();
    // What ends a part begins with the line that the body begins with.
    let boundary = text.split("\r\n").next().unwrap_or_default();
    let end = text[start..]
        .find(&format!("\r\n{boundary}"))
        .ok_or_else(lacks)?;
    callback.body = format!("{}{value}{}", &text[..start], &text[start + end..]).into();
    Ok(())
}

/// In the text of the element of that name, of which there must be one.
fn write_xml(callback: &mut Callback, at: &[String], value: &str) -> Result<(), String> {
    let name = at.last().map_or("", String::as_str);
    let lacks = || format!("the sample has not one element `{name}` with a text to write into");
    let text = String::from_utf8_lossy(&callback.body).into_owned();
    let opening = format!("<{name}>");
    let mut found = text.match_indices(&opening);
    let (Some((start, _)), None) = (found.next(), found.next()) else {
        return Err(lacks());
    };
    let start = start + opening.len();
    let end = text[start..].find('<').ok_or_else(lacks)? + start;
    let escaped = value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    callback.body = format!("{}{escaped}{}", &text[..start], &text[end..]).into();
    Ok(())
}

fn write_form(callback: &mut Callback, name: &str, value: &str) -> Result<(), String> {
    if is_multipart(content_type(callback)) {
        return write_part(callback, name, value);
    }
    if decode_form(&callback.body).is_none() {
        return Err(format!("the sample's body is no form to write {name} into"));
    }
    let text = String::from_utf8_lossy(&callback.body);
    let mut pairs = without(&text, name);
    append_pair(&mut pairs, name, value);
    callback.body = pairs.into();
    Ok(())
}

/// In the text itself: a rewritten document could spell its numbers otherwise.
fn write_json(callback: &mut Callback, at: &[String], value: &str) -> Result<(), String> {
    if callback.body.trim_ascii_start().starts_with(b"<") {
        return write_xml(callback, at, value);
    }
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

//! XML, read as the JSON that it stands for.
//!
//! An element is an object of its children and its attributes, those with an `@` before their names; several children of one name are a list.
//! One that has neither is its text. The text of one that has, where it is more than white space, is the member `#text`. Prefixes of
//! namespaces are dropped, and so are their declarations. The document is an object of its root.
//!
//! Risk 41: what parsers are known to read differently is refused, not guessed at: document types and entities of one's own, more than one
//! root, text outside it, an attribute twice, other versions and encodings. Elements are bounded in number and depth before anything is
//! kept of them.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Json, MAX_DEPTH};

/// Elements and attributes of one document. Each takes some 100 bytes here, and four in the document.
pub(crate) const MAX_XML_NODES: usize = 100_000;

/// What a text is read as, through the same validating pass as any JSON. The reason says what is wrong.
pub(crate) fn xml(text: &str) -> Result<Json, String> {
    let root = document(text)?;
    let mut out = String::with_capacity(text.len());
    out.push('{');
    push_text(&mut out, &root.name);
    out.push(':');
    root.write(&mut out);
    out.push('}');
    Json::validate(out.into())
}

#[derive(Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    fn write(&self, out: &mut String) {
        if self.attributes.is_empty() && self.children.is_empty() {
            return push_text(out, &self.text);
        }
        out.push('{');
        for (name, value) in &self.attributes {
            push_text(out, name);
            out.push(':');
            push_text(out, value);
            out.push(',');
        }
        // In the order of their first ones.
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut named: Vec<Vec<&Element>> = Vec::new();
        for child in &self.children {
            let place = *places.entry(&child.name).or_insert(named.len());
            match named.get_mut(place) {
                Some(others) => others.push(child),
                None => named.push(vec![child]),
            }
        }
        for group in &named {
            if let [first, rest @ ..] = group.as_slice() {
                push_text(out, &first.name);
                out.push(':');
                if rest.is_empty() {
                    first.write(out);
                } else {
                    out.push('[');
                    for child in group {
                        child.write(out);
                        out.push(',');
                    }
                    out.pop();
                    out.push(']');
                }
                out.push(',');
            }
        }
        if self.text.chars().any(|c| !is_space(c)) {
            push_text(out, "#text");
            out.push(':');
            push_text(out, &self.text);
            out.push(',');
        }
        // Of the last member: there is one at least.
        out.pop();
        out.push('}');
    }
}

fn push_text(out: &mut String, text: &str) {
    // A string always serializes.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// The root of a document, and all below it.
fn document(text: &str) -> Result<Element, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some((place, _)) = text.char_indices().find(|(_, c)| !is_allowed(*c)) {
        return Err(format!("a character that XML doesn't have at byte {place}"));
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let mut pass = Pass::default();
    let mut is_first = true;
    loop {
        let event = reader
            .read_event()
            .map_err(|error| format!("{error} at byte {}", reader.error_position()))?;
        let place = reader.buffer_position();
        let at = |why: String| format!("{why} before byte {place}");
        match event {
            Event::Start(start) => pass.open(&start).map_err(at)?,
            Event::Empty(start) => {
                pass.open(&start).map_err(at)?;
                pass.close().map_err(at)?;
            }
            // That its name is its element's, the reader has looked.
            Event::End(_) => pass.close().map_err(at)?,
            Event::Text(text) => pass.text(&text).map_err(at)?,
            Event::CData(text) => {
                let text = utf8(&text).map_err(at)?;
                pass.inside()
                    .map_err(at)?
                    .text
                    .push_str(&normal_lines(text));
            }
            Event::GeneralRef(name) => {
                let c = reference(utf8(&name).map_err(at)?).map_err(at)?;
                pass.inside().map_err(at)?.text.push(c);
            }
            Event::Decl(declaration) if is_first => {
                check_declaration(utf8(&declaration).map_err(at)?).map_err(at)?
            }
            Event::Decl(_) => return Err(at("a declaration that isn't at the beginning".into())),
            Event::DocType(_) => return Err(at("a document type; none is taken".into())),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
        is_first = false;
    }
    if let Some(open) = pass.open.last() {
        return Err(format!("the element `{}` isn't closed", open.name));
    }
    pass.root.ok_or_else(|| "it has no element".to_owned())
}

/// XML 1.0, `Char`.
fn is_allowed(c: char) -> bool {
    !matches!(c, '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

#[derive(Default)]
struct Pass {
    open: Vec<Element>,
    root: Option<Element>,
    nodes: usize,
}

impl Pass {
    fn count(&mut self) -> Result<(), String> {
        self.nodes += 1;
        match self.nodes > MAX_XML_NODES {
            true => Err(format!("more than {MAX_XML_NODES} elements and attributes")),
            false => Ok(()),
        }
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        if self.root.is_some() {
            return Err("a second root".to_owned());
        }
        if self.open.len() == MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} levels deep"));
        }
        self.count()?;
        let mut element = Element {
            name: local_name(start.name().as_ref())?.to_owned(),
            ..Element::default()
        };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| format!("attributes: {error}"))?;
            self.count()?;
            let key = attribute.key.as_ref();
            if key == b"xmlns" || key.starts_with(b"xmlns:") {
                continue;
            }
            let name = format!("@{}", local_name(key)?);
            element
                .attributes
                .push((name, attribute_text(utf8(&attribute.value)?)?));
        }
        // That each is there once the reader has looked; that this is so without prefixes, the validating pass does.
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let element = self
            .open
            .pop()
            .ok_or("an element's end without its begin")?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    /// The element that a text belongs to.
    fn inside(&mut self) -> Result<&mut Element, String> {
        self.open
            .last_mut()
            .ok_or_else(|| "text outside the root".to_owned())
    }

    fn text(&mut self, raw: &[u8]) -> Result<(), String> {
        let text = utf8(raw)?;
        if self.open.is_empty() && text.chars().all(is_space) {
            return Ok(());
        }
        if text.contains("]]>") {
            return Err("`]]>` in a text".to_owned());
        }
        let text = unescape(&normal_lines(text))?;
        self.inside()?.text.push_str(&text);
        Ok(())
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    // It was a text as a whole; the reader cuts at ASCII characters.
    std::str::from_utf8(bytes).map_err(|error| error.to_string())
}

/// A name without its prefix.
fn local_name(name: &[u8]) -> Result<&str, String> {
    let name = utf8(name)?;
    let local = match name.split_once(':') {
        Some((prefix, local)) if is_name(prefix) => local,
        Some(_) => "",
        None => name,
    };
    match is_name(local) {
        true => Ok(local),
        false => Err(format!("`{}` is no name", name.escape_debug())),
    }
}

/// Without a colon.
fn is_name(name: &str) -> bool {
    let starts =
        |c: char| c.is_ascii_alphabetic() || c == '_' || (!c.is_ascii() && !c.is_control());
    name.starts_with(starts)
        && name
            .chars()
            .all(|c| starts(c) || c.is_ascii_digit() || c == '-' || c == '.')
}

/// Ends of lines are line feeds to every parser.
fn normal_lines(text: &str) -> std::borrow::Cow<'_, str> {
    match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n").into(),
        false => text.into(),
    }
}

fn attribute_text(raw: &str) -> Result<String, String> {
    if raw.contains('<') {
        return Err("`<` in an attribute".to_owned());
    }
    let spaced: String = normal_lines(raw)
        .chars()
        .map(|c| if is_space(c) { ' ' } else { c })
        .collect();
    unescape(&spaced)
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (name, after) = after
            .split_once(';')
            .ok_or("`&` that begins no reference; it is written `&amp;`")?;
        out.push(reference(name)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// One of the five that there are without a document type, or a character's number.
fn reference(name: &str) -> Result<char, String> {
    let number = |digits: &str, radix| {
        // `from_str_radix` takes a sign.
        let is_plain = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        let code = is_plain.then(|| u32::from_str_radix(digits, radix).ok());
        code.flatten()
            .and_then(char::from_u32)
            .filter(|c| is_allowed(*c))
    };
    let found = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match (name.strip_prefix("#x"), name.strip_prefix('#')) {
            (Some(digits), _) => number(digits, 16),
            (None, Some(digits)) => number(digits, 10),
            (None, None) => None,
        },
    };
    found.ok_or_else(|| {
        let name: String = name.chars().take(32).collect();
        format!("`&{};` stands for nothing here", name.escape_debug())
    })
}

/// `xml version="1.0" encoding="utf-8"`: what is said there may not be other than what is so.
fn check_declaration(text: &str) -> Result<(), String> {
    let inside = text.strip_prefix("xml").unwrap_or(text);
    let declared = BytesStart::from_content(format!("xml{inside}"), 3);
    for attribute in declared.attributes() {
        let attribute = attribute.map_err(|error| format!("the declaration: {error}"))?;
        let value = utf8(&attribute.value)?;
        match attribute.key.as_ref() {
            b"version" if value == "1.0" => {}
            b"encoding" if value.eq_ignore_ascii_case("utf-8") => {}
            b"encoding" if value.eq_ignore_ascii_case("us-ascii") => {}
            b"standalone" => {}
            key => {
                return Err(format!(
                    "the declaration says {} `{}`; only version 1.0 in utf-8 is decoded",
                    utf8(key)?.escape_debug(),
                    value.escape_debug()
                ));
            }
        }
    }
    Ok(())
}

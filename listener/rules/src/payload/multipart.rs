//! `multipart/form-data` (RFC 7578), read by the strictest reading of it.
//!
//! ```text
//!  --boundary CRLF  headers CRLF CRLF  content  CRLF --boundary CRLF  …  CRLF --boundary--
//! ```
//!
//! Parts without a file name are form fields. Files are left out of the fields; the body as it came has them.
//!
//! Risk 41: the boundary is in a header that hardly anybody signs, so whoever sends signed bytes again could choose another one and have a
//! part's content read as parts. So nothing may stand before the first boundary nor after the last, every line that begins like a
//! boundary has to be one, and what a part says of itself is said once, in a way that has one reading.

use std::collections::BTreeMap;

/// Parts of one body, files among them.
pub(crate) const MAX_PARTS: usize = 1_000;
const MAX_PART_HEADERS: usize = 16;
const MAX_HEADER_BYTES: usize = 4_096;
/// RFC 2046.
const MAX_BOUNDARY_BYTES: usize = 70;

/// The fields of a body.
pub(super) fn fields(
    content_type: &str,
    body: &[u8],
) -> Result<BTreeMap<String, Vec<String>>, String> {
    let delimiter = format!("\r\n--{}", boundary(content_type)?);
    let delimiter = delimiter.as_bytes();
    // The first one needs no line before it.
    let first = &delimiter[2..];
    let mut rest = body
        .strip_prefix(delimiter)
        .or_else(|| body.strip_prefix(first))
        .ok_or("it doesn't begin with the boundary that its content type names")?;
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for count in 0.. {
        rest = match after_boundary(rest)? {
            Some(part) => part,
            None => break,
        };
        if count == MAX_PARTS {
            return Err(format!("more than {MAX_PARTS} parts"));
        }
        let end = find(rest, delimiter).ok_or("its last part has no end")?;
        let part = Part::read(&rest[..end])?;
        rest = &rest[end + delimiter.len()..];
        if let Some((name, value)) = part.field()? {
            fields.entry(name).or_default().push(value);
        }
    }
    Ok(fields)
}

/// What follows a boundary; None after the last one.
fn after_boundary(rest: &[u8]) -> Result<Option<&[u8]>, String> {
    if let Some(after) = rest.strip_prefix(b"--") {
        return match after
            .iter()
            .all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
        {
            true => Ok(None),
            false => Err("more text after the last boundary".to_owned()),
        };
    }
    rest.strip_prefix(b"\r\n")
        .map(Some)
        .ok_or_else(|| "a line that begins like the boundary and is none".to_owned())
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|at| at == wanted)
}

fn boundary(content_type: &str) -> Result<String, String> {
    let (_, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let found =
        parameter_of(parameters, "boundary")?.ok_or("its content type names no boundary")?;
    let fits = !found.is_empty()
        && found.len() <= MAX_BOUNDARY_BYTES
        && found
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b))
        && !found.ends_with(' ');
    match fits {
        true => Ok(found),
        false => Err(format!(
            "its boundary is not one of 1 to {MAX_BOUNDARY_BYTES} letters, digits and marks"
        )),
    }
}

struct Part<'a> {
    disposition: Option<&'a str>,
    content_type: Option<&'a str>,
    transfer: Option<&'a str>,
    content: &'a [u8],
}

impl<'a> Part<'a> {
    fn read(part: &'a [u8]) -> Result<Self, String> {
        let mut read = Self {
            disposition: None,
            content_type: None,
            transfer: None,
            content: &[],
        };
        let mut rest = part;
        for count in 0.. {
            let end = find(&rest[..rest.len().min(MAX_HEADER_BYTES)], b"\r\n")
                .ok_or("a part whose headers don't end, or are too long")?;
            let line = std::str::from_utf8(&rest[..end])
                .map_err(|_| "a part's header that is not UTF-8")?;
            rest = &rest[end + 2..];
            if line.is_empty() {
                break;
            }
            if count == MAX_PART_HEADERS {
                return Err(format!("more than {MAX_PART_HEADERS} headers of one part"));
            }
            let (name, value) = line
                .split_once(':')
                .filter(|(name, _)| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()))
                .ok_or("a part's header that is none")?;
            let place = match name.to_ascii_lowercase().as_str() {
                "content-disposition" => &mut read.disposition,
                "content-type" => &mut read.content_type,
                "content-transfer-encoding" => &mut read.transfer,
                _ => continue,
            };
            if place.replace(value.trim()).is_some() {
                return Err(format!("a part's header `{}` twice", name.escape_debug()));
            }
        }
        read.content = rest;
        Ok(read)
    }

    /// Its name and text; None for a file.
    fn field(&self) -> Result<Option<(String, String)>, String> {
        let disposition = self
            .disposition
            .ok_or("a part without Content-Disposition")?;
        let (kind, parameters) = disposition.split_once(';').unwrap_or((disposition, ""));
        if !kind.trim().eq_ignore_ascii_case("form-data") {
            return Err("a part that is no form-data".to_owned());
        }
        let name = parameter_of(parameters, "name")?.ok_or("a part without a name")?;
        let is_file = parameter_of(parameters, "filename")?.is_some()
            || parameter_of(parameters, "filename*")?.is_some();
        if is_file {
            return Ok(None);
        }
        let shown = name.escape_debug();
        if let Some(transfer) = self.transfer
            && !["7bit", "8bit", "binary"]
                .iter()
                .any(|known| transfer.eq_ignore_ascii_case(known))
        {
            return Err(format!("field `{shown}` is in another transfer encoding"));
        }
        let (_, parameters) = self
            .content_type
            .and_then(|sent| sent.split_once(';'))
            .unwrap_or_default();
        if let Some(charset) = parameter_of(parameters, "charset")?
            && !["utf-8", "utf8", "us-ascii"]
                .iter()
                .any(|known| charset.eq_ignore_ascii_case(known))
        {
            return Err(format!(
                "field `{shown}` is in charset `{}`; only utf-8 is decoded",
                charset.escape_debug()
            ));
        }
        match std::str::from_utf8(self.content) {
            Ok(text) => Ok(Some((name, text.to_owned()))),
            Err(_) => Err(format!("field `{shown}` is not UTF-8")),
        }
    }
}

/// The value of `; name=value` or `; name="value"`. Twice, or with a backslash in it, has two readings.
fn parameter_of(parameters: &str, wanted: &str) -> Result<Option<String>, String> {
    let mut found = None;
    let mut rest = parameters;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() {
            return Ok(found);
        }
        let (name, after) = rest
            .split_once('=')
            .ok_or("a parameter without its value")?;
        let value;
        (value, rest) = match after.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted)?,
            None => {
                let (value, rest) = after.split_once(';').unwrap_or((after, ""));
                (value.trim(), rest)
            }
        };
        if !name.trim().eq_ignore_ascii_case(wanted) {
            continue;
        }
        if value.contains('\\') && wanted == "name" {
            return Err("a backslash in a part's name".to_owned());
        }
        if found.replace(value.to_owned()).is_some() {
            return Err(format!("`{wanted}` twice"));
        }
    }
}

/// Up to the quote that isn't escaped, and what follows it.
fn quoted_value(text: &str) -> Result<(&str, &str), String> {
    let mut is_escaped = false;
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => {
                let rest = &text[place + 1..];
                let after = rest.trim_start_matches([' ', '\t']);
                return match after.is_empty() || after.starts_with(';') {
                    true => Ok((&text[..place], after)),
                    false => Err("text after a quoted value".to_owned()),
                };
            }
            _ => {}
        }
    }
    Err("a quoted value without its end".to_owned())
}

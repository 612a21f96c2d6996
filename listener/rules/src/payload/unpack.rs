//! Content encodings undone, within a bound that holds whatever the packed bytes say of themselves.

use std::io::Read;

use bytes::Bytes;

/// Whether a body is packed, by what its sender says, or by what it begins with where nobody says.
pub(crate) fn is_packed(content_encoding: Option<&str>, body: &[u8]) -> bool {
    match content_encoding.map(str::trim) {
        None | Some("") => is_gzip(body),
        Some(encoding) => !encoding.eq_ignore_ascii_case("identity"),
    }
}

/// No text begins like this.
fn is_gzip(body: &[u8]) -> bool {
    body.starts_with(&[0x1f, 0x8b])
}

/// Undoes the content encoding, or gzip that nobody named.
pub(crate) fn unpack_any(
    content_encoding: Option<&str>,
    body: &Bytes,
    max_bytes: usize,
) -> Result<Bytes, String> {
    match content_encoding.map(str::trim) {
        None | Some("") if is_gzip(body) => unpack(Some("gzip"), body, max_bytes),
        encoding => unpack(encoding, body, max_bytes),
    }
}

/// Undoes the content encoding. Several, one upon the other, are nobody's habit and a way to make us work.
pub(super) fn unpack(
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
        "gzip" | "x-gzip" => {
            let mut packed = flate2::read::MultiGzDecoder::new(body.as_ref());
            bounded(&mut packed, "gzip", max_bytes)
        }
        // The standard means zlib; some send the bare stream. A zlib header can't be taken for one: its method and check bits differ.
        "deflate" if is_zlib(body) => {
            let mut packed = flate2::read::ZlibDecoder::new(body.as_ref());
            let unpacked = bounded(&mut packed, "deflate", max_bytes)?;
            whole(unpacked, packed.total_in(), body)
        }
        "deflate" => {
            let mut packed = flate2::read::DeflateDecoder::new(body.as_ref());
            let unpacked = bounded(&mut packed, "deflate", max_bytes)?;
            whole(unpacked, packed.total_in(), body)
        }
        other => Err(format!(
            "content encoding `{other}` is not decoded; gzip, deflate and identity are"
        )),
    }
}

fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0)
}

fn bounded(packed: &mut impl Read, name: &str, max_bytes: usize) -> Result<Bytes, String> {
    let mut out = Vec::new();
    let read = packed
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

/// Bytes after the packed ones would be seen by some readers and not by others; gzip's decoder looks itself.
fn whole(unpacked: Bytes, used: u64, body: &[u8]) -> Result<Bytes, String> {
    match used == body.len() as u64 {
        true => Ok(unpacked),
        false => Err(format!("more bytes after the packed ones at byte {used}")),
    }
}

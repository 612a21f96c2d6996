//! Alipay's notifications: all form fields with a value, by name, `name=value` joined by `&`, values decoded.
//!
//! `sign` is never among them. `sign_type` was signed by some versions and left out by others, so that both are to be tried (npm
//! alipay-sdk 4.14, `checkNotifySignV2`).

use super::{Covered, Unwritten, unlike};
use crate::location::Location;
use crate::request::Request;

/// Whether `sign_type` is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignType {
    Signed,
    LeftOut,
}

pub(super) fn write(
    sign_type: SignType,
    request: &Request,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<(), Unwritten> {
    let mut separator: &[u8] = b"";
    for (name, values) in request.form_fields()? {
        let is_left_out = name == "sign" || (name == "sign_type" && sign_type == SignType::LeftOut);
        if is_left_out {
            continue;
        }
        let [value] = values.as_slice() else {
            return Err(unlike(format!("form field {name} is there more than once")));
        };
        if value.is_empty() {
            continue;
        }
        for piece in [separator, name.as_bytes(), b"=", value.as_bytes()] {
            sink(piece);
        }
        separator = b"&";
    }
    Ok(())
}

pub(super) fn covered(sign_type: SignType) -> Covered {
    let field = |name: &str| Location::Form(name.to_owned());
    let mut but_not = vec![field("sign")];
    if sign_type == SignType::LeftOut {
        but_not.push(field("sign_type"));
    }
    Covered {
        form: true,
        but_not,
        ..Covered::default()
    }
}

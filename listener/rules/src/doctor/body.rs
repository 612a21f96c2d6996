//! Mistakes with the body: what came is not what was signed.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

use super::json;
use super::trial::{Altered, Patient, Trials};
use super::{Cause, Diagnosis};
use crate::payload;
use crate::request::{Decoding, single};

const WHAT_TO_DO: &str = "something between the provider and the listener changes bodies: have it pass them on as they come";

/// The length tells without a trial.
pub(super) fn length(patient: Patient<'_>) -> Option<Diagnosis> {
    let stated = single(&patient.callback.headers, &CONTENT_LENGTH)?;
    let stated: usize = stated.parse().ok()?;
    let came = patient.callback.body.len();
    (stated != came).then(|| {
        Diagnosis::new(
            Cause::BodyLength,
            format!("header content-length says {stated} bytes, and {came} came: {WHAT_TO_DO}"),
        )
    })
}

pub(super) fn examine(patient: Patient<'_>, trials: &mut Trials<'_>) -> Option<Diagnosis> {
    let covers_body = patient.scheme.coverage.body || !patient.scheme.also.is_empty();
    if !covers_body || patient.callback.body.is_empty() {
        return None;
    }
    line_breaks(patient, trials)
        .or_else(|| unsigned(patient, trials))
        .or_else(|| packed(patient, trials))
        .or_else(|| reencoded(patient, trials))
}

fn fits(patient: Patient<'_>, body: impl Into<Bytes>, trials: &mut Trials<'_>) -> bool {
    let mut callback = patient.callback.clone();
    callback.body = body.into();
    let altered = Altered {
        callback: Some(callback),
        ..Altered::default()
    };
    trials.fits(patient, altered).is_some()
}

fn line_breaks(patient: Patient<'_>, trials: &mut Trials<'_>) -> Option<Diagnosis> {
    let body = &patient.callback.body;
    let with = |end: &str| [body, end.as_bytes()].concat();
    let trimmed = body.trim_ascii();
    let lf = replaced(body, b"\r\n", b"\n");
    let mut forms: Vec<(&str, Vec<u8>)> = Vec::new();
    if trimmed.len() != body.len() {
        forms.push((
            "without the space or line break at its beginning or end",
            trimmed.to_vec(),
        ));
    }
    forms.push(("with a line feed at its end", with("\n")));
    forms.push(("with CR LF at its end", with("\r\n")));
    if lf != **body {
        forms.push(("with LF where CR LF came", lf));
    } else if body.contains(&b'\n') {
        forms.push(("with CR LF where LF came", replaced(body, b"\n", b"\r\n")));
    }
    let (what, _) = forms
        .into_iter()
        .find(|(_, form)| fits(patient, form.clone(), trials))?;
    Some(Diagnosis::new(
        Cause::BodyLineBreak,
        format!("the body was signed {what}: {WHAT_TO_DO}"),
    ))
}

fn replaced(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(from) {
            out.extend_from_slice(to);
            rest = after;
        } else {
            out.push(rest[0]);
            rest = &rest[1..];
        }
    }
    out
}

fn unsigned(patient: Patient<'_>, trials: &mut Trials<'_>) -> Option<Diagnosis> {
    fits(patient, Bytes::new(), trials).then(|| {
        Diagnosis::new(
            Cause::BodyUnsigned,
            "an empty body was signed, and one came: the sender signs before it has the body, or a framework gave its signing code none",
        )
    })
}

fn packed(patient: Patient<'_>, trials: &mut Trials<'_>) -> Option<Diagnosis> {
    let callback = patient.callback;
    let encoding = single(&callback.headers, &CONTENT_ENCODING);
    if !payload::is_packed(encoding, &callback.body) {
        return None;
    }
    let reading = &patient.group.decoding.reading;
    let what = if reading.signs_unpacked {
        let mut decoding = Decoding::clone(&patient.group.decoding);
        decoding.reading.signs_unpacked = false;
        let altered = Altered {
            decoding: Some(decoding.into()),
            ..Altered::default()
        };
        trials
            .fits(patient, altered)
            .map(|_| "as it came, compressed, and this connector expects that what it unpacks to is signed")
    } else {
        // No larger than what is looked at otherwise.
        let most = trials.body_bytes();
        let unpacked = payload::unpack_any(encoding, &callback.body, most).ok()?;
        fits(patient, unpacked, trials).then_some("before it was compressed")
    }?;
    Some(Diagnosis::new(
        Cause::BodyPacked,
        format!(
            "the body was signed {what}: if the provider compresses, the connector's `signsUnpackedBody` is wrong; if a proxy does, \
             switch that off"
        ),
    ))
}

fn reencoded(patient: Patient<'_>, trials: &mut Trials<'_>) -> Option<Diagnosis> {
    let text = std::str::from_utf8(&patient.callback.body).ok()?;
    let what = match payload::Json::validate(patient.callback.body.clone()) {
        Ok(json) => {
            let forms = json::STYLES.iter().filter_map(|(what, style)| {
                let written = style.write(json.text());
                (written != text).then_some((*what, written))
            });
            find(patient, forms, trials)?
        }
        Err(_) => {
            let forms = [
                ("with `+` for spaces", text.replace("%20", "+")),
                ("with `%20` for spaces", text.replace('+', "%20")),
            ];
            let forms = forms.into_iter().filter(|(_, form)| form != text);
            find(patient, forms, trials)?
        }
    };
    Some(Diagnosis::new(
        Cause::BodyReencoded,
        format!("the body was signed {what}, and came written anew: {WHAT_TO_DO}"),
    ))
}

/// One form is in memory at a time.
fn find(
    patient: Patient<'_>,
    mut forms: impl Iterator<Item = (&'static str, String)>,
    trials: &mut Trials<'_>,
) -> Option<&'static str> {
    forms.find_map(|(what, form)| (!trials.ended && fits(patient, form, trials)).then_some(what))
}

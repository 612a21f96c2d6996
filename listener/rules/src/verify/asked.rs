//! A request before the scheme that it must verify under: what all schemes that sign something ask of it.

use std::borrow::Cow;

use super::keys::{fingerprint, same};
use super::signature::refuse;
use super::{signature_refusal, window};
use crate::connector::Scheme;
use crate::group::KeyedScheme;
use crate::request::{Around, Request};
use crate::{Group, Keys, Refusal, Timestamp};

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Everything. Nothing less makes a request genuine.
    All,
    /// By the doctor: not the time.
    Timeless,
    /// By the doctor: neither the time nor what the signed values must be.
    SignatureAlone,
}

pub(crate) struct Asked<'g, 'r> {
    pub(crate) group: &'g Group,
    pub(crate) scheme: &'g Scheme,
    pub(crate) keyed: &'g KeyedScheme,
    pub(crate) request: &'r Request,
    /// What a scheme that is bound to the URL may have signed, without a query.
    pub(crate) urls: &'r [String],
    /// Public keys that were fetched.
    pub(crate) keys: &'r dyn Keys,
    pub(crate) now: Timestamp,
    pub(crate) depth: Depth,
}

impl Asked<'_, '_> {
    /// The text at the timestamp's location, where the scheme has one.
    pub(crate) fn time_text<'s>(
        &'s self,
        around: Around<'s>,
    ) -> Result<Option<Cow<'s, str>>, Refusal> {
        let Some(time) = &self.scheme.timestamp else {
            return Ok(None);
        };
        self.request
            .read(&time.location, around)
            .map(Some)
            .map_err(|missing| refuse(&missing, missing.explain(&time.location)))
    }

    /// A stale forgery is a forgery, so this is asked when the signature matched.
    pub(crate) fn check_time(&self, text: Option<&str>) -> Result<(), Refusal> {
        match (&self.scheme.timestamp, text) {
            _ if self.depth != Depth::All => Ok(()),
            (Some(time), Some(text)) => window::check(time, text, self.now),
            _ => Ok(()),
        }
    }

    /// A GET's body isn't expected, so what doesn't cover it must not let it through.
    pub(crate) fn refuse_uncovered_body(&self) -> Result<(), Refusal> {
        let callback = &self.request.callback;
        if [http::Method::GET, http::Method::HEAD].contains(&callback.method)
            && !callback.body.is_empty()
            && !self.scheme.coverage.body
        {
            return Err(signature_refusal(
                "a GET has a body, and the signature doesn't cover it",
            ));
        }
        Ok(())
    }

    /// The same with each form of the URL that may have been signed.
    pub(crate) fn places<'s>(&'s self, around: Around<'s>) -> Result<Vec<Around<'s>>, Refusal> {
        if !self.scheme.is_url_bound() {
            return Ok(vec![around]);
        }
        if self.urls.is_empty() {
            return Err(signature_refusal(
                "the scheme signs the URL, and the group has no callback URL yet",
            ));
        }
        let urls = self.urls.iter();
        Ok(urls
            .map(|base| Around {
                url: Some(base),
                ..around
            })
            .collect())
    }

    pub(crate) fn no_match(&self, what: &str, tried: usize) -> Refusal {
        let hint = if self.scheme.is_url_bound() {
            "; the scheme signs the URL, so the provider must have been given exactly this group's callback URL"
        } else {
            ""
        };
        signature_refusal(format!("no {what} matched ({tried} tried){hint}"))
    }

    /// Further equalities, with values that are signed by now.
    pub(crate) fn check_equalities(&self, place: Around<'_>) -> Result<(), Refusal> {
        if self.depth == Depth::SignatureAlone {
            return Ok(());
        }
        for (location, template) in &self.scheme.also {
            let sent = self
                .request
                .read(location, place)
                .map_err(|missing| refuse(&missing, missing.explain(location)))?;
            let expected = self
                .request
                .rendered(template, place)
                .map_err(|(missing, why)| refuse(&missing, why))?;
            if !same(&fingerprint(sent.as_bytes()), &fingerprint(&expected)) {
                return Err(signature_refusal(format!(
                    "the signature matched, but {} is not what it must be",
                    location.describe()
                )));
            }
        }
        Ok(())
    }
}

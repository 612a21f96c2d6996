//! Handshakes as the provider would make them, told from what the definition says of them, and as it never would.

use hookplane_proto::v1::SampleVariant;
use http::Method;
use serde_json::{Map, Value};

use super::variants::{Expected, Made, Making, Variant, head};
use super::write::{put, remove, write};
use super::{clear, shown, signed, token};
use crate::connector::{Handshake, Proof};
use crate::location::Location;
use crate::request::{Around, Request};
use crate::{Callback, Proven, RefusalKind};

/// What no challenge may hold, whatever the definition.
const OUT_OF_SHAPE: &str = "<script>";
const LONGEST_CHALLENGE: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Right,
    OutOfShape,
    NotAsRequired,
}

/// A handshake, and which secret of the group's stands in it as it is.
type Asked = (Callback, Option<String>);

/// One that must be refused.
fn refused(status: Option<u16>) -> impl FnOnce(Asked) -> Made {
    move |(callback, shows)| Made {
        callback,
        expected: Expected::handshake_refused(status),
        shows,
    }
}

impl Making<'_> {
    pub(super) fn handshakes(&self) -> Vec<Variant> {
        let all = &self.group.function.protocol.handshakes;
        all.iter().flat_map(|shake| self.of(shake)).collect()
    }

    fn of(&self, shake: &Handshake) -> Vec<Variant> {
        let name = &shake.name;
        let right = self.asked(shake, How::Right).and_then(|(callback, shows)| {
            let expected = self.answer(shake, &callback)?;
            Ok(Made {
                callback,
                expected,
                shows,
            })
        });
        // Where it can't be made rightly, nobody knows what is wrong with it.
        let is_answered = right
            .as_ref()
            .is_ok_and(|made| made.expected.reply.is_some());
        let about = match &right {
            Ok(made) if made.expected.reply.is_none() => {
                format!("handshake `{name}`: a secret is handed over to a group that takes none")
            }
            _ => format!("handshake `{name}`"),
        };
        let mut made = vec![self.variant(SampleVariant::Handshake, about, right)];
        let asked = self.asked(shake, How::OutOfShape);
        if is_answered && self.is_out_of_shape(shake, &asked) {
            made.push(self.variant(
                SampleVariant::HandshakeOutOfShape,
                format!("handshake `{name}`, its challenge out of shape"),
                asked.map(refused(None)),
            ));
        }
        if is_answered && !shake.require.is_empty() {
            let asked = self.asked(shake, How::NotAsRequired);
            made.push(self.variant(
                SampleVariant::HandshakeNotAsRequired,
                format!("handshake `{name}`, not as it is required"),
                asked.map(refused(Some(shake.refusal_status))),
            ));
        }
        made
    }

    /// Not where the challenge is what proves the request, as Adobe Sign's client id is: signing it has put that right.
    fn is_out_of_shape(&self, shake: &Handshake, asked: &Result<Asked, String>) -> bool {
        let (Some(challenge), Ok((callback, _))) = (&shake.challenge, asked) else {
            return shake.challenge.is_some();
        };
        let request = Request::new(callback.clone(), self.group.decoding.clone());
        let read = request.read(&challenge.location, Around::default());
        !read.is_ok_and(|text| challenge.fits(&text))
    }

    /// What the rules answer. Nothing is posted that would leave something made up behind.
    fn answer(&self, shake: &Handshake, callback: &Callback) -> Result<Expected, String> {
        let length = callback.body.len() as u64;
        self.group
            .admit(head(callback), Some(length))
            .map_err(|refusal| refusal.reason)?;
        match self.group.verify(callback.clone(), self.now) {
            Ok(Proven::Handshake(shaken)) if shaken.learn.is_some() => {
                Err("the group would take a made-up secret for its own".to_owned())
            }
            Ok(Proven::Handshake(shaken)) if shaken.code.is_some() => {
                Err("the group would show a made-up code".to_owned())
            }
            Ok(Proven::Handshake(shaken)) if shaken.confirm.is_some() => {
                Err("the listener would fetch a made-up URL from the provider".to_owned())
            }
            Ok(Proven::Handshake(shaken)) => Ok(Expected::answered(shaken.reply)),
            Ok(Proven::Genuine(_)) => Err("the rules take it for an event".to_owned()),
            Err(refusal) if shake.learn.is_some() && refusal.kind == RefusalKind::Handshake => {
                Ok(Expected::handshake_refused(refusal.status))
            }
            Err(refusal) => Err(refusal.reason),
        }
    }

    fn asked(&self, shake: &Handshake, how: How) -> Result<Asked, String> {
        let of = format!("handshake {}", shake.name);
        let callback = self.unsigned_handshake(shake, how, &of)?;
        let shows = clear::handshake(self.group, shake);
        if shake.unverified {
            return Ok((callback, shows));
        }
        let uuid = self.uuid(&of);
        let (index, callback) = match how {
            How::Right => signed(self.group, callback, self.now, &uuid)?,
            // What is refused as a handshake is signed all the same; the rules can't say so.
            _ => self.signed_unseen(callback, &uuid)?,
        };
        Ok((callback, shows.or_else(|| shown(self.group, index))))
    }

    fn signed_unseen(&self, callback: Callback, uuid: &str) -> Result<(usize, Callback), String> {
        let mut why = token::PROVIDERS_ALONE.to_owned();
        for (index, (scheme, keyed)) in super::schemes(self.group).enumerate() {
            if matches!(scheme.proof, Proof::PublicKey(_)) {
                continue;
            }
            let signing = super::Signing {
                group: self.group,
                scheme,
                keyed,
                now: self.now,
                uuid,
                spoils: false,
            };
            match signing.sign(callback.clone()) {
                Ok(made) => return Ok((index, made)),
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }

    fn unsigned_handshake(
        &self,
        shake: &Handshake,
        how: How,
        of: &str,
    ) -> Result<Callback, String> {
        let challenge = shake.challenge.as_ref().map(|shape| match how {
            How::OutOfShape => OUT_OF_SHAPE.to_owned(),
            _ => self.text(of)[..shape.max_length().min(LONGEST_CHALLENGE)].to_owned(),
        });
        let values = values(shake, challenge.as_deref());
        let mut callback = self.envelope(shake, &values)?;
        for (location, value) in &values {
            if !is_member(location) {
                write(&mut callback, location, value)?;
            }
        }
        for (location, template) in &shake.require {
            let around = Around {
                url: Some(&self.group.callback_url),
                challenge: challenge.as_deref(),
                ..Around::default()
            };
            let request = Request::new(callback.clone(), self.group.decoding.clone());
            let value = request.rendered(template, around).map_err(|(_, why)| why)?;
            let mut value = String::from_utf8_lossy(&value).into_owned();
            if how == How::NotAsRequired {
                value.push('x');
            }
            // Something may stand there that `when` looks for.
            if matches!(location.base(), Location::Query(_)) {
                remove(&mut callback, location)?;
            }
            write(&mut callback, location, &value)?;
        }
        Ok(callback)
    }

    /// Method, content type, and a body with its members.
    fn envelope(
        &self,
        shake: &Handshake,
        values: &[(Location, String)],
    ) -> Result<Callback, String> {
        let protocol = &self.group.function.protocol;
        let required = shake.require.iter().map(|(location, _)| location);
        let mut places = values.iter().map(|(location, _)| location).chain(required);
        let is_form = places.any(|one| matches!(one.base(), Location::Form(_)));
        let method = shake
            .when
            .method
            .as_deref()
            .or(protocol.methods.first().map(String::as_str));
        let method = Method::from_bytes(method.unwrap_or("POST").as_bytes())
            .map_err(|_| "the handshake's method is none".to_owned())?;
        let has_body = !shake.when.empty_body
            && (is_form || values.iter().any(|(one, _)| is_member(one)) || method == Method::POST);
        let mut callback = Callback {
            method,
            ..Callback::default()
        };
        if !has_body && shake.when.content_type.is_none() {
            return Ok(callback);
        }
        let usual = match is_form {
            true => "application/x-www-form-urlencoded",
            false => "application/json",
        };
        let taken = &protocol.content_types;
        let content_type = match &shake.when.content_type {
            Some(content_type) => content_type.as_str(),
            None if taken.is_empty() || taken.iter().any(|one| one == usual) => usual,
            None => taken[0].as_str(),
        };
        put(&mut callback.headers, "content-type", content_type)?;
        if has_body && content_type.ends_with("json") {
            let mut body = Value::Object(Map::new());
            for (location, value) in values {
                if let Location::Json(at) | Location::Raw(at) = location {
                    plant(&mut body, at, value)?;
                }
            }
            callback.body = body.to_string().into();
        }
        Ok(callback)
    }
}

/// A member of the body, which can be put where nothing is yet.
fn is_member(location: &Location) -> bool {
    matches!(location, Location::Json(_) | Location::Raw(_))
}

/// What the handshake wants to see, and where. The challenge last: what is said of its place besides is said of any text.
fn values(shake: &Handshake, challenge: Option<&str>) -> Vec<(Location, String)> {
    let mut values: Vec<(Location, String)> = Vec::new();
    let mut add = |location: &Location, value: &str| {
        values.retain(|(known, _)| known != location);
        values.push((location.clone(), value.to_owned()));
    };
    if let Some(location) = &shake.when.present {
        add(location, "made-up");
    }
    if let Some((location, text)) = shake.when.compared() {
        add(location, text);
    }
    if let Some(location) = &shake.learn {
        add(location, "made-up-secret-of-a-sample");
    }
    if let Some(location) = &shake.show {
        add(location, "made-up");
    }
    if let (Some(shape), Some(challenge)) = (&shake.challenge, challenge) {
        add(&shape.location, challenge);
    }
    values
}

/// Puts a text at a pointer, and what is needed above it.
fn plant(body: &mut Value, at: &[String], text: &str) -> Result<(), String> {
    let Some((name, rest)) = at.split_first() else {
        *body = Value::from(text);
        return Ok(());
    };
    if body.is_string() || body.is_null() {
        *body = Value::Object(Map::new());
    }
    if name == "0" && body.as_object().is_some_and(Map::is_empty) {
        *body = Value::Array(vec![Value::Null]);
    }
    match body {
        Value::Object(members) => plant(
            members.entry(name.clone()).or_insert(Value::Null),
            rest,
            text,
        ),
        Value::Array(items) if name == "0" => plant(&mut items[0], rest, text),
        _ => Err(format!("`{name}` of the handshake can't be made up")),
    }
}

//! The token endpoint: client credentials, and JWT bearer whose signature is checked with the app's public key.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A connected app and the tokens that it was given.
#[derive(Debug)]
pub struct App {
    /// Of both flows.
    pub client_id: String,
    /// Of client credentials.
    pub client_secret: String,
    /// Of JWT bearer: who may be acted as.
    pub username: String,
    /// What assertions have to be for.
    pub audience: String,
    /// Assertions may end so many seconds from now. The time now is the org's.
    pub now_seconds: i64,
    /// None: the one that is asked.
    pub instance_url: Option<String>,
    /// Tokens that were given, and how many calls each is still good for.
    pub tokens: BTreeMap<String, u32>,
    /// Calls that a new one is good for.
    pub token_calls: u32,
    /// Times that a token was asked for.
    pub asked: u32,
}

/// Of all apps, since making one takes a while: the public key, and the private one as PEM.
static KEY: LazyLock<(Vec<u8>, String)> = LazyLock::new(|| {
    let key = KeyPair::generate(KeySize::Rsa2048).expect("an RSA key");
    let pkcs8: Pkcs8V1Der<'_> = key.as_der().expect("its PKCS #8 form");
    let base64 = STANDARD.encode(pkcs8.as_ref());
    let lines = base64
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("ASCII"));
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.collect::<Vec<_>>().join("\n")
    );
    (key.public_key().as_ref().to_vec(), pem)
});

impl App {
    /// As of that time.
    pub fn new(now_seconds: i64) -> Self {
        Self {
            client_id: "3MVG9-hookplane".to_owned(),
            client_secret: "the-app's-secret".to_owned(),
            username: "integration@acme.example".to_owned(),
            audience: "https://login.salesforce.com".to_owned(),
            now_seconds,
            instance_url: None,
            tokens: BTreeMap::new(),
            token_calls: u32::MAX,
            asked: 0,
        }
    }

    /// PEM, PKCS #8.
    pub fn private_key(&self) -> &str {
        &KEY.1
    }

    /// Takes a call off a token. False: it isn't good, or not any more.
    pub(super) fn admits(&mut self, authorization: Option<&String>) -> bool {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        match token.and_then(|token| self.tokens.get_mut(token)) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    /// Answers a token request.
    pub(super) fn grant(&mut self, url: &str, form: &BTreeMap<String, String>) -> (u16, Value) {
        self.asked += 1;
        let denied = |error: &str, description: &str| {
            (
                400,
                json!({"error": error, "error_description": description}),
            )
        };
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        match field("grant_type") {
            "client_credentials" => {
                if field("client_id") != self.client_id {
                    return denied("invalid_client_id", "client identifier invalid");
                }
                if field("client_secret") != self.client_secret {
                    return denied("invalid_client", "invalid client credentials");
                }
            }
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
                if let Err(why) = self.check(field("assertion")) {
                    return denied("invalid_grant", why);
                }
            }
            _ => return denied("unsupported_grant_type", "grant type not supported"),
        }
        let token = format!("00D000000000001!token.{}", self.asked);
        self.tokens.insert(token.clone(), self.token_calls);
        let instance = self.instance_url.clone().unwrap_or_else(|| url.to_owned());
        let granted = json!({
            "access_token": token,
            "instance_url": instance,
            "id": format!("{instance}/id/00D000000000001EAA/005000000000001AAA"),
            "token_type": "Bearer",
            "scope": "api",
        });
        (200, granted)
    }

    fn check(&self, assertion: &str) -> Result<(), &'static str> {
        let (signed, signature) = assertion.rsplit_once('.').ok_or("invalid assertion")?;
        let decode = |part: &str| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| "invalid assertion")
        };
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &KEY.0)
            .verify(signed.as_bytes(), &decode(signature)?)
            .map_err(|_| "invalid assertion")?;
        let (header, claims) = signed.split_once('.').ok_or("invalid assertion")?;
        let json = |part: &str| {
            serde_json::from_slice::<Value>(&decode(part)?).map_err(|_| "invalid assertion")
        };
        let (header, claims) = (json(header)?, json(claims)?);
        if header["alg"] != "RS256" {
            return Err("invalid assertion");
        }
        if claims["iss"] != self.client_id.as_str() {
            return Err("client identifier invalid");
        }
        if claims["sub"] != self.username.as_str() {
            return Err("user hasn't approved this consumer");
        }
        if claims["aud"] != self.audience.as_str() {
            return Err("audience is invalid");
        }
        let ends = claims["exp"].as_i64().ok_or("invalid assertion")?;
        if ends <= self.now_seconds || ends > self.now_seconds + 180 {
            return Err("expired authorization code");
        }
        Ok(())
    }
}

//! The access token: asked for with client credentials or a signed JWT, kept until it is refused, asked for by one at a time.
//!
//! - A refusal is kept for a while as well. Asking again would change nothing, and too many refusals lock the user out.
//! - The answer names the instance that the token is for. It has to be the configured one, or both have to be Salesforce's own; the token goes
//!   nowhere else.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hookplane_proto::v1;
use hookplane_rules::Clock;
use hookplane_rules::text::clip;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Uri, header};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::answers::{Fate, Told};
use crate::dispatch::client::{HttpClient, Wanted};

/// Salesforce takes three minutes; its clock may be ahead of ours.
const ASSERTION_SECONDS: i64 = 150;
/// What credentials that were refused wait.
const DENIED_PAUSE: Duration = Duration::from_secs(10 * 60);
/// Deliveries that were under way when they were refused are told so without asking again; so is whoever resumes too soon.
const REFUSAL_KEPT: Duration = Duration::from_secs(30);
const MAX_ANSWER_BYTES: usize = 64 * 1024;
const DEFAULT_AUDIENCE: &str = "https://login.salesforce.com";

/// Scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: &'static str,
    authority: String,
}

impl Origin {
    /// A path, a query or a user in it is an error, as is any scheme but http and https.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{}`: {why}", clip(url, 200));
        let parsed: Uri = url.trim().parse().map_err(|_| wrong("is no URL"))?;
        let (scheme, port) = match parsed.scheme_str() {
            Some("https") => ("https", 443),
            Some("http") => ("http", 80),
            _ => return Err(wrong("has to begin with https://")),
        };
        let authority = parsed
            .authority()
            .map(Authority::as_str)
            .unwrap_or_default();
        if authority.contains('@') || !matches!(parsed.path(), "" | "/") || parsed.query().is_some()
        {
            return Err(wrong(
                "has to be scheme and host alone: https://acme.my.salesforce.com",
            ));
        }
        let host = parsed
            .host()
            .unwrap_or_default()
            .trim_end_matches('.')
            .to_ascii_lowercase();
        if host.is_empty() {
            return Err(wrong("has no host"));
        }
        let authority = match parsed.port_u16() {
            Some(other) if other != port => format!("{host}:{other}"),
            _ => host,
        };
        Ok(Self { scheme, authority })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.authority)
    }

    fn is_salesforce(&self) -> bool {
        self.scheme == "https"
            && [".salesforce.com", ".salesforce.mil"]
                .iter()
                .any(|domain| self.authority.ends_with(domain))
    }

    /// Whether a token of this one may be sent there.
    pub(super) fn trusts(&self, other: &Self) -> bool {
        self == other || (self.is_salesforce() && other.is_salesforce())
    }
}

/// A token and what it opens.
#[derive(Debug)]
pub(super) struct Token {
    /// `Bearer …`, never logged.
    pub(super) authorization: HeaderValue,
    pub(super) instance: Origin,
}

enum Grant {
    ClientCredentials {
        secret: String,
    },
    JwtBearer {
        key: KeyPair,
        username: String,
        audience: String,
    },
}

/// See the module.
pub(super) struct Tokens {
    client: HttpClient,
    clock: Arc<dyn Clock>,
    origin: Origin,
    client_id: String,
    grant: Grant,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    token: Option<Arc<Token>>,
    refused: Option<(Instant, Told)>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    instance_url: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Denied {
    error: String,
    error_description: String,
}

/// What is wrong with a private key, if something is.
pub(super) fn private_key(pem: &str) -> Result<KeyPair, String> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
        "is no PKCS #8 key in PEM (`-----BEGIN PRIVATE KEY-----`): `openssl pkcs8 -topk8 -nocrypt -in key.pem` makes one of another form".to_owned()
    })?;
    KeyPair::from_pkcs8(der.secret_pkcs8_der())
        .map_err(|_| "is no RSA key of 2,048 to 8,192 bits".to_owned())
}

impl Tokens {
    /// Of a target whose secrets are opened. The error names the field.
    pub(super) fn new(
        target: &v1::SalesforceTarget,
        client: HttpClient,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let opened = |secret: &Option<v1::Secret>| {
            secret
                .as_ref()
                .map(|secret| secret.value.clone())
                .filter(|value| !value.is_empty())
        };
        let grant = match (opened(&target.client_secret), opened(&target.private_key)) {
            (Some(secret), None) => Grant::ClientCredentials { secret },
            (None, Some(pem)) => Grant::JwtBearer {
                key: private_key(&pem).map_err(|why| format!("privateKey {why}"))?,
                username: target.username.clone(),
                audience: if target.audience.is_empty() {
                    DEFAULT_AUDIENCE.to_owned()
                } else {
                    target.audience.clone()
                },
            },
            (None, None) => {
                return Err("needs a clientSecret, or a privateKey and a username".to_owned());
            }
            (Some(_), Some(_)) => {
                return Err("has a clientSecret and a privateKey: one of them".to_owned());
            }
        };
        Ok(Self {
            client,
            clock,
            origin: Origin::parse(&target.url).map_err(|why| format!("url {why}"))?,
            client_id: target.client_id.clone(),
            grant,
            held: Mutex::default(),
        })
    }

    /// Where calls go until a token says otherwise.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The token, unless it is the one that was just refused. `timeout` is of the request for a new one.
    pub(super) async fn get(
        &self,
        refused: Option<&Arc<Token>>,
        timeout: Duration,
    ) -> Result<Arc<Token>, Told> {
        // Held while asking: whoever comes meanwhile waits for what this one gets.
        let mut held = self.held.lock().await;
        if let Some(token) = &held.token
            && !refused.is_some_and(|refused| Arc::ptr_eq(refused, token))
        {
            return Ok(Arc::clone(token));
        }
        if let Some((since, told)) = &held.refused
            && since.elapsed() < REFUSAL_KEPT
        {
            return Err(told.clone());
        }
        held.token = None;
        match self.ask(timeout).await {
            Ok(token) => {
                let token = Arc::new(token);
                *held = Held {
                    token: Some(Arc::clone(&token)),
                    refused: None,
                };
                Ok(token)
            }
            Err(told) => {
                // What lasts less than it is remembered isn't the credentials'.
                if matches!(told.fate, Fate::Pause { time } if time >= REFUSAL_KEPT) {
                    held.refused = Some((Instant::now(), told.clone()));
                }
                Err(told)
            }
        }
    }

    async fn ask(&self, timeout: Duration) -> Result<Token, Told> {
        let pause = |said: String| Told::new(Fate::Pause { time: DENIED_PAUSE }, said);
        let (form, sent) = self.form().map_err(pause)?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.origin.url("/services/oauth2/token"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(Bytes::from(form))
            .map_err(|error| pause(format!("token: {error}")))?;
        let answer = match self
            .client
            .send(request, timeout, Wanted::Body(MAX_ANSWER_BYTES))
            .await
        {
            Ok(answer) => answer,
            Err(error) => return Err(Told::unanswered(&error, "token: ")),
        };
        let status = answer.status.as_u16();
        if status != 200 {
            let denied: Denied = serde_json::from_slice(&answer.body).unwrap_or_default();
            let why = format!("{} {}", denied.error, denied.error_description);
            let why = clip(&why.trim().replace(&*sent, "***"), 300);
            let mut told = match status {
                408 | 429 | 500.. => Told::new(
                    Fate::Again { after: None },
                    format!("no token: HTTP {status} {why}"),
                ),
                _ => pause(format!(
                    "no token: HTTP {status} {why}: check the destination's url and credentials, and the connected app's policies"
                )),
            };
            told.status = Some(status);
            return Err(told);
        }
        let granted: Granted = serde_json::from_slice(&answer.body).map_err(|_| {
            pause(
                "no token: what the url answers is no OAuth answer of Salesforce's: check it"
                    .to_owned(),
            )
        })?;
        let instance = Origin::parse(&granted.instance_url)
            .map_err(|why| pause(format!("no token: instance_url {why}")))?;
        if !self.origin.trusts(&instance) {
            return Err(pause(format!(
                "the token is for {}, and the destination's url leads to {}: make that its url, if it is right",
                instance.url(""),
                self.origin.url("")
            )));
        }
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", granted.access_token))
            .map_err(|_| {
            pause("no token: it has characters that no header can carry".to_owned())
        })?;
        authorization.set_sensitive(true);
        Ok(Token {
            authorization,
            instance,
        })
    }

    /// And the secret in it, in case that it comes back.
    fn form(&self) -> Result<(String, String), String> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let sent = match &self.grant {
            Grant::ClientCredentials { secret } => {
                form.append_pair("grant_type", "client_credentials")
                    .append_pair("client_id", &self.client_id)
                    .append_pair("client_secret", secret);
                secret.clone()
            }
            Grant::JwtBearer {
                key,
                username,
                audience,
            } => {
                let assertion = self.assertion(key, username, audience)?;
                form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
                    .append_pair("assertion", &assertion);
                assertion
            }
        };
        Ok((form.finish(), sent))
    }

    fn assertion(&self, key: &KeyPair, username: &str, audience: &str) -> Result<String, String> {
        let claims = serde_json::json!({
            "iss": self.client_id,
            "sub": username,
            "aud": audience,
            "exp": self.clock.now().seconds() + ASSERTION_SECONDS,
        });
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )
        .map_err(|_| "the assertion can't be signed".to_owned())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

use std::sync::atomic::{AtomicI64, Ordering};

use hookplane_proto::v1;
use prost::Message;
use tonic::Code;

use super::super::bearer::Bearer;
use super::super::grant::tests::stored;
use super::*;

struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

struct Rig {
    clock: Arc<Hand>,
    tokens: Arc<Tokens>,
    door: Door,
    bearer: Bearer,
}

const READ: &str = "/hookplane.v1.OrgService/ListOrgs";

fn change(tokens: &Tokens, key: &str, value: Option<Vec<u8>>) {
    let change = (key.to_owned(), value.map(|value| (1, value.into())));
    tokens.apply(false, [change].iter().map(|(key, value)| (key, value)));
}

fn org(uid: &str) -> Option<Vec<u8>> {
    let org = v1::Org {
        metadata: Some(v1::Metadata {
            name: "acme".to_owned(),
            uid: uid.to_owned(),
            ..Default::default()
        }),
        spec: None,
    };
    Some(org.encode_to_vec())
}

impl Rig {
    /// With one viewer of `acme`, until 1,000.
    fn new(bootstrap: Option<&str>) -> Self {
        let clock = Arc::new(Hand(AtomicI64::new(0)));
        let tokens = Arc::new(Tokens::default());
        let bearer = Bearer::mint().unwrap();
        let spec = v1::TokenSpec {
            role: v1::TokenRole::Viewer.into(),
            ..Default::default()
        };
        let mut viewer = stored("acme", &bearer.id, "org-1", spec);
        viewer.secret_sha256 = bearer.hash().to_vec().into();
        viewer.token.get_or_insert_default().status = Some(v1::TokenStatus {
            expire_time: Some(hookplane_rules::time::to_wire(Timestamp(1_000))),
            last_use_time: None,
        });
        let rig = Self {
            door: Door::new(bootstrap, tokens.clone(), clock.clone()),
            clock,
            tokens,
            bearer,
        };
        change(&rig.tokens, "v1/orgs/acme", org("org-1"));
        change(&rig.tokens, &rig.key(), Some(viewer.encode_to_vec()));
        rig
    }

    fn key(&self) -> String {
        crate::keys::token("acme", &self.bearer.id)
    }

    fn ask(&self, path: &str, values: &[&str]) -> Result<Caller, Status> {
        let mut headers = http::HeaderMap::new();
        for value in values {
            headers.append(http::header::AUTHORIZATION, value.parse().unwrap());
        }
        self.door
            .admit(path, &headers, None)
            .map(|admitted| admitted.caller)
    }

    fn own(&self) -> Result<Caller, Status> {
        self.ask(READ, &[&format!("Bearer {}", *self.bearer.text())])
    }
}

#[test]
fn only_the_whole_token_lets_in() {
    let rig = Rig::new(Some("tok-123"));
    assert_eq!(
        rig.ask(READ, &["Bearer tok-123"]).unwrap().id(),
        "bootstrap"
    );
    assert!(rig.ask(READ, &["bearer tok-123"]).is_ok());
    assert_eq!(rig.own().unwrap().id(), rig.bearer.id);
    let text = rig.bearer.text().to_string();
    let (rest, last) = text.split_at(text.len() - 1);
    let another = if last == "0" { "1" } else { "0" };
    for wrong in [
        "Bearer tok-12",
        "Bearer tok-1234",
        "Bearer ",
        "Bearer",
        "tok-123",
        "Basic tok-123",
        "",
        &text,
        &format!("Bearer {rest}{another}"),
        &format!("Bearer {text}0"),
        &format!("Bearer {}", *Bearer::mint().unwrap().text()),
        &format!("Bearer {}", "x".repeat(100_000)),
    ] {
        let status = rig.ask(READ, &[wrong]).err().unwrap();
        assert_eq!(status.code(), Code::Unauthenticated, "{wrong}");
        assert!(!status.message().contains("tok-1"));
        assert!(!status.message().contains("hkp_"));
    }
    assert!(rig.ask(READ, &[]).is_err());
    assert!(rig.ask(READ, &["Bearer tok-123", "Bearer x"]).is_err());
}

#[derive(Clone)]
struct Anything;

impl Service<http::Request<Body>> for Anything {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        std::future::ready(Ok(http::Response::default()))
    }
}

// What keeps a connection is a valid token, and neither a wrong one nor a health check.
#[tokio::test]
async fn a_valid_token_alone_makes_its_connection_known() {
    let rig = Rig::new(None);
    let health = format!("{OPEN_PREFIX}Check");
    let (own, wrong) = (rig.bearer.text().to_string(), "wrong".to_owned());
    for (path, token, known) in [
        (READ, &wrong, false),
        (&*health, &own, false),
        (READ, &own, true),
    ] {
        let connection = Known::default();
        let request = http::Request::builder()
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .extension(connection.clone())
            .body(Body::empty())
            .unwrap();
        rig.door.layer(Anything).call(request).await.unwrap();
        assert_eq!(connection.is_marked(), known, "{path}");
    }
}

#[test]
fn without_a_bootstrap_token_only_stored_ones_let_in() {
    for bootstrap in [None, Some("")] {
        let rig = Rig::new(bootstrap);
        assert!(rig.ask(READ, &["Bearer "]).is_err());
        assert!(rig.own().is_ok());
    }
}

#[test]
fn a_token_lets_in_until_it_expires_is_revoked_or_its_org_is_another() {
    let rig = Rig::new(None);
    assert!(rig.own().is_ok());
    rig.clock.0.store(999, Ordering::Relaxed);
    assert!(rig.own().is_ok());
    rig.clock.0.store(1_000, Ordering::Relaxed);
    assert_eq!(rig.own().err().unwrap().code(), Code::Unauthenticated);
    rig.clock.0.store(0, Ordering::Relaxed);
    change(&rig.tokens, "v1/orgs/acme", None);
    assert!(rig.own().is_err());
    change(&rig.tokens, "v1/orgs/acme", org("org-2"));
    assert!(rig.own().is_err(), "a name used again is another org");
    change(&rig.tokens, "v1/orgs/acme", org("org-1"));
    assert!(rig.own().is_ok());
    change(&rig.tokens, &rig.key(), Some(b"damaged".to_vec()));
    assert!(rig.own().is_err(), "what can't be read lets nobody in");
    let rig = Rig::new(None);
    change(&rig.tokens, &rig.key(), None);
    assert!(rig.own().is_err());
}

#[test]
fn a_method_without_a_row_or_above_the_role_is_refused() {
    let rig = Rig::new(None);
    let bearer = format!("Bearer {}", *rig.bearer.text());
    let code = |path| rig.ask(path, &[&bearer]).err().map(|status| status.code());
    assert_eq!(code(READ), None);
    let unknown = code("/hookplane.v1.OrgService/DropOrgs");
    assert_eq!(unknown, Some(Code::Unimplemented));
    let above = code("/hookplane.v1.OrgService/CreateOrg");
    assert_eq!(above, Some(Code::PermissionDenied));
}

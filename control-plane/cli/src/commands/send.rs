//! `send`: a signed sample, posted as the provider would, and what became of it.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use hookplane_proto::v1;
use hookplane_proto::v1::DeliveryStatus;
use hookplane_rules::time::from_wire;
use hookplane_rules::{Clock as _, Connector, Group, Timestamp};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;
use tonic::Code;

use super::{apply, items};
use crate::args::Send;
use crate::connect::{Api, tls};
use crate::failure::Failure;
use crate::names::Name;
use crate::output::{self, note, visible};
use crate::servers::clock::SystemClock;

/// For the listener's whole answer.
const POST_TIMEOUT: Duration = Duration::from_secs(30);
/// What a listener answers is short.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How long a delivery is waited for.
const DELIVERY_DEADLINE: Duration = Duration::from_secs(5);
/// How long a refusal is waited for: listeners tell theirs once a second.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(3);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(50);

struct Sample {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// Signs, posts, and looks after it.
pub(crate) async fn run<R>(send: &Send, connect: impl Fn() -> R) -> Result<(), Failure>
where
    R: Future<Output = Result<Api, Failure>>,
{
    let group = Name::exact(&send.group, 2, "ORG/GROUP")?;
    let api = connect().await?;
    let sample = match &send.secret_file {
        Some(path) => sign_here(&api, &group, &send.event, path).await?,
        None => sign_there(&api, &group, &send.event).await?,
    };
    let url = sample.url.clone();
    let sent = SystemClock.now();
    let answer = tokio::time::timeout(POST_TIMEOUT, post(sample, api.ca_file.as_deref()))
        .await
        .map_err(|_| {
            Failure::new(format!(
                "{url} did not answer in {} s",
                POST_TIMEOUT.as_secs()
            ))
        })??;
    let header = |name: &str| {
        let value = answer.headers().get(name)?;
        value.to_str().ok().map(visible)
    };
    let event = header("hookplane-event-id");
    output::line(&format!(
        "{}  receipt: {}  event: {}",
        answer.status(),
        header("hookplane-receipt").as_deref().unwrap_or("none"),
        event.as_deref().unwrap_or("none"),
    ))?;
    if !answer.status().is_success() {
        explain_refusal(&api, &group, sent).await;
        return Err(
            Failure::new(format!("the listener answered {}", answer.status()))
                .hint(format!("`hookplane get refusals {}` says why", send.group)),
        );
    }
    match event {
        Some(event) => show_deliveries(&api, &group, &event).await,
        None => output::line(&format!(
            "not kept: no active webhook of the group wants this event, or it is not registered; `hookplane get refusals {} --not-kept` says why in a moment",
            send.group
        )),
    }
}

async fn sign_there(api: &Api, group: &Name, event: &str) -> Result<Sample, Failure> {
    let request = v1::SignSampleRequest {
        name: group.group(),
        event: event.to_owned(),
    };
    let signed = api.events().sign_sample(request).await?.into_inner();
    Ok(Sample {
        method: signed.method,
        url: signed.url,
        headers: signed.headers.into_iter().collect(),
        body: signed.body,
    })
}

/// Signs with the caller's secret: the control plane's rules, run here.
async fn sign_here(api: &Api, name: &Name, event: &str, path: &Path) -> Result<Sample, Failure> {
    let secret = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("read {}: {error}", path.display())))?;
    let request = v1::GetWebhookGroupRequest { name: name.group() };
    let mut group = api.groups().get_webhook_group(request).await?.into_inner();
    let spec = group.spec.get_or_insert_default();
    spec.signature_secrets = vec![v1::SignatureSecret {
        value: apply::without_line_break(&secret).to_owned(),
        ..Default::default()
    }];
    let connector = connector_of(api, name, &spec.connector).await?;
    let said = |errors: Vec<hookplane_rules::FieldError>| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(errors.join("\n"))
    };
    let connector = Connector::compile(&connector).map_err(said)?;
    let group = Group::compile(&group, connector, Vec::new()).map_err(said)?;
    let signed = group
        .sign_sample(event, SystemClock.now(), &random_uuid()?)
        .map_err(|error| Failure::new(error.to_string()))?;
    Ok(Sample {
        method: signed.method,
        url: signed.url,
        headers: signed.headers,
        body: signed.body,
    })
}

async fn connector_of(api: &Api, group: &Name, connector: &str) -> Result<v1::Connector, Failure> {
    let get = |name: String| async {
        let request = v1::GetConnectorRequest { name };
        api.connectors().get_connector(request).await
    };
    match get(format!("connectors/{connector}")).await {
        Err(status) if status.code() == Code::NotFound => {
            Ok(get(format!("{}/connectors/{connector}", group.org()))
                .await?
                .into_inner())
        }
        answer => Ok(answer?.into_inner()),
    }
}

fn random_uuid() -> Result<String, Failure> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::new(format!("no randomness: {error}")))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    Ok(parts.join("-"))
}

async fn post(sample: Sample, ca_file: Option<&Path>) -> Result<Response<Bytes>, Failure> {
    let url = sample.url;
    let failed = |what: String| Failure::new(format!("post to {url}: {what}"));
    let uri: Uri = url.parse().map_err(|_| failed("not a URL".to_owned()))?;
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned();
    let tls = match uri.scheme_str() {
        Some("http") => None,
        Some("https") => Some(TlsConnector::from(
            tls::client(ca_file, None).map_err(Failure::new)?,
        )),
        _ => {
            return Err(failed(
                "it begins with neither https:// nor http://".to_owned(),
            ));
        }
    };
    let port = uri
        .port_u16()
        .unwrap_or(if tls.is_some() { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port))
        .await
        .map_err(|error| {
            failed(error.to_string()).hint("is the listener running? `hookplane get listeners`")
        })?;
    let stream = match tls {
        None => Either::Left(stream),
        Some(tls) => {
            let name = ServerName::try_from(host).map_err(|error| failed(error.to_string()))?;
            let stream = tls.connect(name, stream).await;
            Either::Right(stream.map_err(|error| failed(error.to_string()))?)
        }
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(error.to_string()))?;
    // Ends when the sender is dropped; what goes wrong shows in the answer.
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder()
        .method(sample.method.as_str())
        .uri(path)
        .header("host", authority);
    for (name, value) in &sample.headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Full::new(sample.body))
        .map_err(|error| failed(error.to_string()))?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES)
        .collect()
        .await
        .map_err(|error| failed(error.to_string()))?
        .to_bytes();
    Ok(Response::from_parts(head, body))
}

/// Why the group refused what was sent then, if it is told in time. An older refusal is another callback's.
async fn explain_refusal(api: &Api, group: &Name, sent: Timestamp) {
    let deadline = Instant::now() + REFUSAL_DEADLINE;
    loop {
        let request = v1::ListRefusalsRequest {
            parent: group.group(),
            page_size: 1,
            not_kept: false,
        };
        let refusals = match api.events().list_refusals(request).await {
            Ok(answer) => answer.into_inner().refusals,
            Err(status) => {
                note(&format!("the reason can't be read: {}", status.message()));
                return;
            }
        };
        let is_its = |refusal: &&v1::Refusal| {
            let time = refusal.time.as_ref().map(from_wire);
            time.is_some_and(|time| time >= sent)
        };
        if let Some(refusal) = refusals.iter().find(is_its) {
            note(&visible(&format!(
                "refused by {}: {}",
                refusal.clause, refusal.reason
            )));
            return;
        }
        if Instant::now() >= deadline {
            return;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn show_deliveries(api: &Api, group: &Name, event: &str) -> Result<(), Failure> {
    let deadline = Instant::now() + DELIVERY_DEADLINE;
    let deliveries = loop {
        let request = v1::ListDeliveriesRequest {
            parent: format!("{}/webhooks/-", group.group()),
            event_id: event.to_owned(),
            page_size: 100,
            ..Default::default()
        };
        let deliveries = api
            .events()
            .list_deliveries(request)
            .await?
            .into_inner()
            .deliveries;
        let open = deliveries.iter().any(|delivery| {
            matches!(
                delivery.status(),
                DeliveryStatus::Pending | DeliveryStatus::Leased
            )
        });
        if !open || Instant::now() >= deadline {
            break deliveries;
        }
        tokio::time::sleep(INTERVAL).await;
    };
    if deliveries.is_empty() {
        return output::line("no webhook matched it");
    }
    for delivery in &deliveries {
        let mut text = format!(
            "matched {}/{}/{}: {}",
            delivery.org,
            delivery.group,
            delivery.webhook,
            items::delivery_status(delivery)
        );
        if !delivery.reason.is_empty() {
            text.push_str(&format!(" ({})", delivery.reason));
        } else if delivery.status() == DeliveryStatus::Pending {
            text.push_str(" (kept until a subscriber takes it)");
        }
        output::line(&visible(&text))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_uuid_has_the_form_of_one() {
        let uuid = random_uuid().unwrap();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert_ne!(uuid, random_uuid().unwrap());
    }

    #[tokio::test]
    async fn only_http_and_https_are_posted_to() {
        for url in ["ftp://hooks.example.com/x", "nonsense"] {
            let sample = Sample {
                method: "POST".into(),
                url: url.into(),
                headers: vec![],
                body: Bytes::new(),
            };
            assert!(post(sample, None).await.is_err(), "{url}");
        }
    }
}

//! What a first run finds: an org, a group for GitHub, a webhook that takes everything, and lines to paste.
//!
//! It is made through the public API, with a random secret that is printed nowhere: it signs the one body shown, and is forgotten.

use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use hookplane_proto::v1;
use sha2::Sha256;
use tonic::Code;

use crate::commands::apply::wait_until_live;
use crate::connect::Api;
use crate::failure::Failure;
use crate::servers::files::random_hex;

/// The starter's group, and its webhook.
pub(crate) const GROUP: &str = "orgs/demo/groups/github";
/// The webhook that takes everything.
pub(crate) const WEBHOOK: &str = "orgs/demo/groups/github/webhooks/everything";

/// Of the starter's signature secret.
const SECRET_BYTES: usize = 32;
const BODY: &str = r#"{"ref":"refs/heads/main","commits":[],"pusher":{"name":"first-callback"}}"#;

/// What was made in this run.
pub(crate) struct Made {
    /// A command that posts a signed body without our help.
    pub(crate) curl: String,
}

/// Makes it if there is no org at all.
pub(crate) async fn make(api: &Api) -> Result<Option<Made>, Failure> {
    let request = v1::ListOrgsRequest {
        page_size: 1,
        ..Default::default()
    };
    if !api
        .orgs()
        .list_orgs(request)
        .await?
        .into_inner()
        .orgs
        .is_empty()
    {
        return Ok(None);
    }
    let secret = random_hex(SECRET_BYTES)?;
    api.orgs()
        .create_org(v1::CreateOrgRequest {
            org: Some(org()),
            validate_only: false,
        })
        .await?;
    let group = api
        .groups()
        .create_webhook_group(v1::CreateWebhookGroupRequest {
            parent: "orgs/demo".to_owned(),
            webhook_group: Some(group(&secret)),
            validate_only: false,
        })
        .await?
        .into_inner();
    api.webhooks()
        .create_webhook(v1::CreateWebhookRequest {
            parent: GROUP.to_owned(),
            webhook: Some(webhook()),
            validate_only: false,
        })
        .await?;
    wait_until_live(api, &[GROUP.to_owned(), WEBHOOK.to_owned()]).await?;
    let url = group.status.unwrap_or_default().callback_url;
    let delivery = random_hex(16)?;
    Ok(Some(Made {
        curl: curl(&url, &signature(&secret, BODY), &delivery),
    }))
}

/// Whether the starter's webhook is there: a user may have deleted it.
pub(crate) async fn exists(api: &Api) -> Result<bool, Failure> {
    let request = v1::GetWebhookRequest {
        name: WEBHOOK.to_owned(),
    };
    match api.webhooks().get_webhook(request).await {
        Ok(_) => Ok(true),
        Err(status) if status.code() == Code::NotFound => Ok(false),
        Err(status) => Err(status.into()),
    }
}

fn metadata(org: &str, group: &str, name: &str) -> Option<v1::Metadata> {
    Some(v1::Metadata {
        org: org.to_owned(),
        group: group.to_owned(),
        name: name.to_owned(),
        ..Default::default()
    })
}

fn org() -> v1::Org {
    v1::Org {
        metadata: metadata("", "", "demo"),
        spec: Some(v1::OrgSpec {
            display_name: "A starter, to try things".to_owned(),
            ..Default::default()
        }),
    }
}

fn group(secret: &str) -> v1::WebhookGroup {
    v1::WebhookGroup {
        metadata: metadata("demo", "", "github"),
        spec: Some(v1::WebhookGroupSpec {
            connector: "github".to_owned(),
            display_name: "GitHub, to try things".to_owned(),
            signature_secrets: vec![v1::SignatureSecret {
                value: secret.to_owned(),
                ..Default::default()
            }],
            registered_events: vec!["*".to_owned()],
            ..Default::default()
        }),
        status: None,
    }
}

fn webhook() -> v1::Webhook {
    v1::Webhook {
        metadata: metadata("demo", "github", "everything"),
        spec: Some(v1::WebhookSpec {
            label: "Everything".to_owned(),
            active: true,
            events: vec!["*".to_owned()],
            destinations: vec![v1::WebhookDestination {
                subscribe: Some(v1::SubscribeDestination {}),
                ..Default::default()
            }],
            ..Default::default()
        }),
        status: None,
    }
}

fn signature(secret: &str, body: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body.as_bytes());
    mac.finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn curl(url: &str, signature: &str, delivery: &str) -> String {
    format!(
        "  curl -i {} \\\n    -H 'Content-Type: application/json' -H 'X-GitHub-Event: push' \\\n    -H 'X-GitHub-Delivery: {delivery}' \\\n    -H 'X-Hub-Signature-256: sha256={signature}' \\\n    --data-binary {}",
        quoted(url),
        quoted(BODY)
    )
}

/// The line that sends a first callback, for a shell in any folder: the program as it was started, if a shell would find that.
pub(crate) fn send_line(data: &Path) -> Result<String, Failure> {
    let typed = std::env::args_os().next().unwrap_or_default();
    let program = if Path::new(&typed).components().count() == 1 {
        Path::new(&typed).display().to_string()
    } else {
        std::env::current_exe()?.display().to_string()
    };
    Ok(format!(
        "{} --data-dir {} send demo/github push",
        quoted(&program),
        quoted(&data.display().to_string())
    ))
}

/// For a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_githubs() {
        // The example of GitHub's own documentation.
        assert_eq!(
            signature("It's a Secret to Everybody", "Hello, World!"),
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }

    #[test]
    fn what_is_pasted_is_one_word_to_the_shell() {
        assert_eq!(quoted("/tmp/data-1"), "/tmp/data-1");
        assert_eq!(quoted("/my data/it's"), r"'/my data/it'\''s'");
        assert_eq!(quoted("$(x)"), "'$(x)'");
    }

    #[test]
    fn the_line_says_which_program_and_which_data() -> Result<(), Failure> {
        let line = send_line(Path::new("/tmp/data"))?;
        assert!(
            line.ends_with(" --data-dir /tmp/data send demo/github push"),
            "{line}"
        );
        Ok(())
    }
}

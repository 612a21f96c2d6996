//! `apply`: check the whole file, show the plan, apply in order, wait until the listeners run it.

mod ahead;

use std::future::Future;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hookplane_control_plane::manifest::{self, Document, MAX_BYTES, Reference};
use hookplane_proto::v1;
use hookplane_proto::v1::ChangeAction;
use hookplane_proto::v1::manifest::Resource;
use tokio::time::Instant;

use super::plan;
use crate::args::Apply;
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::typed;
use crate::output::{self, note};

/// How long a change may take to be live.
const LIVE_DEADLINE: Duration = Duration::from_secs(10);
/// A value from a file of its own: more than any field takes.
const MAX_VALUE_BYTES: u64 = 64 * 1024;
/// Between two looks.
const LIVE_INTERVAL: Duration = Duration::from_millis(50);

/// Applies a file.
pub(crate) async fn run<R>(apply: Apply, connect: impl FnOnce() -> R) -> Result<(), Failure>
where
    R: Future<Output = Result<Api, Failure>>,
{
    let (file, documents) = read(&apply.file, &Instead::Refused)?;
    if documents.is_empty() {
        return Err(Failure::new(format!("{file}: there is no document in it")));
    }
    let api = connect().await?;
    let manifests = documents
        .iter()
        .map(|document| document.manifest.clone())
        .collect();
    let changes = api
        .manifests()
        .plan_manifests(v1::PlanManifestsRequest { manifests })
        .await?
        .into_inner()
        .changes;
    let errors = plan::errors(&file, &documents, &changes);
    if !errors.is_empty() {
        for error in errors {
            note(&error);
        }
        return Err(Failure::new(format!(
            "{file} is not applied; nothing was written"
        )));
    }
    output::text(&plan::render(&documents, &changes))?;
    if !ahead::show(&api, &apply, &documents, &changes).await? {
        return Err(Failure::new("nothing was written"));
    }
    if apply.dry_run {
        note("dry run: nothing was written");
        return Ok(());
    }
    let touched = write(&api, &file, &documents, &changes).await?;
    if apply.no_wait {
        return Ok(());
    }
    wait_until_live(&api, &touched).await
}

/// What stands for values that can't be brought in.
pub(crate) enum Instead<'a> {
    /// Nothing: they have to be there.
    Refused,
    /// What is stored, if anything is: where nothing is saved.
    Stored,
    /// This.
    Text(&'a str),
}

/// The file's name for messages, and its documents.
pub(crate) fn read(path: &Path, instead: &Instead<'_>) -> Result<(String, Vec<Document>), Failure> {
    let mut bytes = Vec::new();
    // One byte more than is taken tells that there is more.
    let limit = MAX_BYTES as u64 + 1;
    let (name, folder) = if path == Path::new("-") {
        std::io::stdin().take(limit).read_to_end(&mut bytes)?;
        ("stdin".to_owned(), PathBuf::new())
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(limit).read_to_end(&mut bytes))
            .map_err(|error| Failure::new(format!("read {}: {error}", path.display())))?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        (path.display().to_string(), folder)
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        Failure::new(format!(
            "{name}: not UTF-8 from byte {} on",
            error.utf8_error().valid_up_to()
        ))
    })?;
    let mut resolved = |reference: &Reference| match (resolve(&folder, reference), instead) {
        (Err(_), Instead::Text(text)) => Ok((*text).to_owned()),
        (resolved, _) => resolved,
    };
    let documents = match instead {
        Instead::Stored => manifest::parse_to_try(&text, &mut resolved),
        Instead::Refused | Instead::Text(_) => manifest::parse_with(&text, &mut resolved),
    };
    let documents = documents.map_err(|error| {
        Failure::new(format!(
            "{name}:{}:{}: {}",
            error.line, error.column, error.message
        ))
    })?;
    Ok((name, documents))
}

fn resolve(folder: &Path, reference: &Reference) -> Result<String, String> {
    match reference {
        Reference::Env(name) => std::env::var(name).map_err(|error| match error {
            std::env::VarError::NotPresent => {
                format!("the environment variable `{name}` is not set")
            }
            std::env::VarError::NotUnicode(_) => {
                format!("the environment variable `{name}` is not UTF-8")
            }
        }),
        Reference::File(file) => {
            let path = folder.join(file);
            let text =
                value_in(&path).map_err(|error| format!("read {}: {error}", path.display()))?;
            Ok(without_line_break(&text).to_owned())
        }
    }
}

/// A pipe or a device might never end.
fn value_in(path: &Path) -> std::io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    let mut text = String::new();
    let most = MAX_VALUE_BYTES + 1;
    let read = std::fs::File::open(path)?
        .take(most)
        .read_to_string(&mut text)?;
    if read as u64 == most {
        let message = format!("it is larger than {MAX_VALUE_BYTES} bytes, and no value is");
        return Err(std::io::Error::other(message));
    }
    Ok(text)
}

/// Editors end a file with a line break, which is not part of a secret.
pub(crate) fn without_line_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Writes what the plan changes, and says which groups and webhooks that were.
async fn write(
    api: &Api,
    file: &str,
    documents: &[Document],
    changes: &[v1::PlannedChange],
) -> Result<Vec<String>, Failure> {
    let mut ordered: Vec<(&v1::PlannedChange, v1::Manifest)> = changes
        .iter()
        .filter(|change| change.action() != ChangeAction::Unchanged)
        .filter_map(|change| Some((change, manifest_of(change, documents)?)))
        .collect();
    // What others refer to comes first; a file in that order already is applied as it stands.
    ordered.sort_by_key(|(_, manifest)| rank(manifest));
    let mut touched: Vec<String> = Vec::new();
    for (change, manifest) in ordered {
        let answer = api
            .manifests()
            .apply_manifest(v1::ApplyManifestRequest {
                manifest: Some(manifest),
            })
            .await;
        let answer = match answer {
            Ok(answer) => answer.into_inner(),
            Err(status) => {
                for name in &touched {
                    note(&format!("applied before that: {}", typed(name)));
                }
                note(&format!("{file}: {} was not applied", typed(&change.name)));
                return Err(status.into());
            }
        };
        if let Some(Resource::WebhookGroup(group)) =
            answer.manifest.and_then(|manifest| manifest.resource)
            && change.action() == ChangeAction::Create
        {
            let url = group.status.unwrap_or_default().callback_url;
            output::line(&format!("callback URL of {}: {url}", typed(&change.name)))?;
        }
        touched.push(change.name.clone());
    }
    Ok(touched)
}

fn manifest_of(change: &v1::PlannedChange, documents: &[Document]) -> Option<v1::Manifest> {
    if let Ok(index) = usize::try_from(change.manifest_index) {
        return documents
            .get(index)
            .map(|document| document.manifest.clone());
    }
    // What a plan adds by itself is an org.
    let name = change.name.strip_prefix("orgs/")?.to_owned();
    Some(v1::Manifest {
        resource: Some(Resource::Org(v1::Org {
            metadata: Some(v1::Metadata {
                name,
                ..Default::default()
            }),
            spec: Some(v1::OrgSpec::default()),
        })),
    })
}

pub(super) fn rank(manifest: &v1::Manifest) -> u8 {
    match &manifest.resource {
        Some(Resource::Org(_)) | None => 0,
        Some(Resource::Connector(_)) => 1,
        Some(Resource::WebhookGroup(_)) => 2,
        Some(Resource::Destination(_)) => 3,
        Some(Resource::Webhook(_)) => 4,
    }
}

/// Waits until every listener runs these groups and webhooks. The others of `names` have nothing that runs.
pub(crate) async fn wait_until_live(api: &Api, names: &[String]) -> Result<(), Failure> {
    let deadline = Instant::now() + LIVE_DEADLINE;
    let mut waiting: Vec<&String> = names
        .iter()
        .filter(|name| name.contains("/groups/"))
        .collect();
    loop {
        let mut left = Vec::new();
        let mut last = v1::Live::default();
        for name in waiting {
            let live = live_of(api, name).await?;
            if !live.applied {
                left.push(name);
                last = live;
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            for name in &left {
                note(&format!("not live: {}", typed(name)));
            }
            for problem in &last.problems {
                note(&format!("  {problem}"));
            }
            let failure = Failure::new(format!(
                "written, but not live after {} s",
                LIVE_DEADLINE.as_secs()
            ));
            return Err(failure.hint(if last.connected == 0 {
                "no ready listener of the group's pool is connected; `hookplane get listeners` shows which pools have one, --no-wait doesn't wait"
            } else {
                "`hookplane get listeners` shows which one is behind"
            }));
        }
        waiting = left;
        tokio::time::sleep(LIVE_INTERVAL).await;
    }
}

async fn live_of(api: &Api, name: &str) -> Result<v1::Live, Failure> {
    let name = name.to_owned();
    let live = if name.contains("/webhooks/") {
        let webhook = api
            .webhooks()
            .get_webhook(v1::GetWebhookRequest { name })
            .await?
            .into_inner();
        webhook.status.and_then(|status| status.live)
    } else {
        let group = api
            .groups()
            .get_webhook_group(v1::GetWebhookGroupRequest { name })
            .await?
            .into_inner();
        group.status.and_then(|status| status.live)
    };
    Ok(live.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_of_a_secret_file_is_not_part_of_it() {
        assert_eq!(without_line_break("a\n"), "a");
        assert_eq!(without_line_break("a\r\n"), "a");
        assert_eq!(without_line_break("a\n\n"), "a\n");
        assert_eq!(without_line_break(" a "), " a ");
    }

    #[test]
    fn an_unset_variable_and_a_missing_file_are_named() {
        let error = resolve(
            Path::new(""),
            &Reference::Env("HOOKPLANE_NO_SUCH_VARIABLE".into()),
        );
        assert!(error.unwrap_err().contains("HOOKPLANE_NO_SUCH_VARIABLE"));
        let error = resolve(Path::new("/nowhere"), &Reference::File("secret".into()));
        assert!(error.unwrap_err().contains("/nowhere/secret"));
    }

    #[test]
    fn an_org_that_the_plan_adds_is_made_first() {
        let change = v1::PlannedChange {
            name: "orgs/acme".into(),
            manifest_index: -1,
            ..Default::default()
        };
        let manifest = manifest_of(&change, &[]).unwrap();
        assert_eq!(rank(&manifest), 0);
        let Some(Resource::Org(org)) = manifest.resource else {
            panic!("an org")
        };
        assert_eq!(org.metadata.unwrap().name, "acme");
    }
}

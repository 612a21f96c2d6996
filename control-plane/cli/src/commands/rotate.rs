//! `rotate url`: a new callback URL, printed once, alone, so that `URL=$(hookplane rotate url …)` holds it and nothing else.

use std::future::Future;

use hookplane_control_plane::api::MAX_OVERLAP_SECONDS;
use hookplane_proto::v1;
use tonic::Code;

use super::{apply, items};
use crate::args::RotateUrl;
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::Name;
use crate::output::{self, note};
use crate::times;

/// Rotates it, and waits until the listeners take what is new.
pub(crate) async fn run<R>(rotate: &RotateUrl, connect: impl FnOnce() -> R) -> Result<(), Failure>
where
    R: Future<Output = Result<Api, Failure>>,
{
    let name = Name::exact(&rotate.group, 2, "ORG/GROUP")?.group();
    let overlap_seconds = overlap(&rotate.overlap)?;
    let api = connect().await?;
    let request = v1::GetWebhookGroupRequest { name: name.clone() };
    let group = api.groups().get_webhook_group(request).await?.into_inner();
    let request = v1::RotateCallbackUrlRequest {
        name: name.clone(),
        // Of two who rotate at once, one would end what the other was just told.
        etag: group.metadata.unwrap_or_default().etag,
        overlap_seconds,
    };
    let rotated = match api.groups().rotate_callback_url(request).await {
        Ok(rotated) => rotated.into_inner(),
        Err(status) => {
            let is_full = status.code() == Code::FailedPrecondition;
            let failure = Failure::from(status);
            return Err(match is_full {
                true => failure.hint(format!(
                    "`hookplane get group {} -o yaml` shows until when each is taken; --overlap 0 ends the one of now instead of keeping it",
                    rotate.group
                )),
                false => failure,
            });
        }
    };
    let status = rotated.status.unwrap_or_default();
    for old in &status.retiring_urls {
        let until = items::time(&old.expire_time).unwrap_or_default();
        note(&format!("taken too, until {until}: {}", old.url));
    }
    note(match overlap_seconds {
        0 => "the URL of before ends now: what is still posted there is answered 404",
        _ => "give the provider the new one before that",
    });
    if rotated.spec.unwrap_or_default().disabled {
        note("the group is disabled: each of its URLs is answered 404 until it is enabled");
    }
    output::line(&status.callback_url)?;
    if rotate.no_wait {
        return Ok(());
    }
    apply::wait_until_live(&api, &[name]).await
}

/// In seconds; unlike other lengths of time it may be none.
fn overlap(text: &str) -> Result<u32, Failure> {
    if text == "0" {
        return Ok(0);
    }
    match times::length(text)? {
        seconds if seconds <= MAX_OVERLAP_SECONDS => Ok(seconds),
        _ => Err(Failure::Usage(format!(
            "`{text}` is too long: an old URL is taken for {}d at most, and 0 ends it now",
            MAX_OVERLAP_SECONDS / 86_400
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_none_or_at_most_90_days() -> Result<(), Failure> {
        assert_eq!(overlap("0")?, 0);
        assert_eq!(overlap("7d")?, 7 * 86_400);
        assert_eq!(overlap("90d")?, MAX_OVERLAP_SECONDS);
        for wrong in ["91d", "2161h", "-1d", "0 d", "soon", ""] {
            assert!(matches!(overlap(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
        Ok(())
    }
}

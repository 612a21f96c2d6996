//! `replay`: deliveries back to pending, by their ids or a selection; or recorded events to a webhook made later.

use std::future::Future;
use std::io::IsTerminal as _;
use std::time::Duration;

use hookplane_proto::v1;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::get::wire_status;
use super::narrow::Narrowed;
use crate::args::{Replay, ReplayMapping, Status};
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::{self, Name};
use crate::output::{self, note};

/// Deliveries of one request.
const AT_ONCE: usize = 1_000;
/// Between two lines of progress where nobody looks on. On a terminal one line is written anew.
const LINE_EVERY: Duration = Duration::from_secs(5);
const SCOPE: &str = "ORG/GROUP/WEBHOOK";

/// What was put back goes to stdout, also when a signal ends it.
pub(crate) async fn run<R>(
    replay: &Replay,
    connect: impl FnOnce() -> R,
    shutdown: CancellationToken,
) -> Result<(), Failure>
where
    R: Future<Output = Result<Api, Failure>>,
{
    let wanted = Wanted::of(replay)?;
    let mut so_far = v1::ReplayResponse::default();
    let work = async {
        let api = connect().await?;
        match wanted {
            Wanted::Ids(ids) => by_ids(&api, ids, replay, &mut so_far).await,
            Wanted::Selection(request) => selection(&api, *request, &mut so_far).await,
        }
    };
    let ended = tokio::select! {
        ended = work => ended,
        () = shutdown.cancelled() => {
            Err(Failure::new("interrupted").hint("begun again, it does the rest"))
        }
    };
    // What was done is said, however it ended; with nothing begun there is nothing to say.
    if ended.is_ok() || so_far.replayed > 0 {
        if so_far.skipped > 0 {
            note(&format!("skipped {}{}", so_far.skipped, why(replay)));
        }
        let verb = match replay.dry_run {
            true => "would replay",
            false => "replayed",
        };
        output::line(&format!("{verb} {}", so_far.replayed))?;
    }
    ended
}

/// What skipped means.
fn why(replay: &Replay) -> &'static str {
    if replay.feed {
        ": not for the webhook, or delivered to it already"
    } else {
        ": changed meanwhile, or their webhook is gone"
    }
}

enum Wanted {
    Ids(Vec<String>),
    Selection(Box<v1::ReplayRequest>),
}

impl Wanted {
    fn of(replay: &Replay) -> Result<Self, Failure> {
        let what = replay.what.as_slice();
        let chooses = replay.status.is_some() || replay.all_dead || replay.feed;
        if !chooses && !what.is_empty() && what.iter().all(|text| names::is_id(text)) {
            let flag = replay.narrow.given();
            let flag = flag.or(replay.dry_run.then_some("--dry-run"));
            let flag = flag.or(replay.max.map(|_| "--max"));
            let flag = flag.or(replay.rate.map(|_| "--rate"));
            return match flag {
                Some(flag) => Err(Failure::Usage(format!(
                    "{flag} goes with a selection, not with ids"
                ))),
                None => Ok(Self::Ids(what.to_vec())),
            };
        }
        let scope = match what {
            [] => Name::default(),
            [scope] if !names::is_id(scope) => Name::parse(Some(scope), 3, SCOPE)?,
            _ => {
                return Err(Failure::Usage(format!(
                    "give ids of deliveries, or one {SCOPE} as far as it goes with --status, --all-dead or --feed"
                )));
            }
        };
        if !chooses {
            return Err(Failure::Usage(
                "say which of them: --status STATUS, --all-dead, or --feed".to_owned(),
            ));
        }
        if replay.feed && scope.len() != 3 {
            return Err(Failure::Usage(format!("--feed takes one {SCOPE}")));
        }
        if matches!(replay.status, Some(Status::Pending | Status::Leased)) {
            return Err(Failure::Usage(
                "what is pending or leased is on its way: --status takes dead, held, dropped or delivered"
                    .to_owned(),
            ));
        }
        let narrowed = Narrowed::of(&replay.narrow)?;
        Ok(Self::Selection(Box::new(v1::ReplayRequest {
            parent: scope.webhook(),
            status: wire_status(replay.status).into(),
            r#type: narrowed.event_type,
            since: narrowed.since,
            until: narrowed.until,
            text: narrowed.text,
            destination: narrowed.destination,
            mapping: mapping(replay).into(),
            // None is the control plane's own.
            rate_per_second: replay.rate.unwrap_or(0),
            feed: replay.feed,
            dry_run: replay.dry_run,
            max: replay.max.unwrap_or(0),
        })))
    }
}

fn mapping(replay: &Replay) -> v1::ReplayMapping {
    match replay.mapping {
        ReplayMapping::Now => v1::ReplayMapping::Now,
        ReplayMapping::Then => v1::ReplayMapping::Then,
    }
}

async fn by_ids(
    api: &Api,
    ids: Vec<String>,
    replay: &Replay,
    so_far: &mut v1::ReplayResponse,
) -> Result<(), Failure> {
    for ids in ids.chunks(AT_ONCE) {
        let request = v1::ReplayDeliveriesRequest {
            delivery_ids: ids.to_vec(),
            mapping: mapping(replay).into(),
        };
        let answer = api.events().replay_deliveries(request).await?.into_inner();
        let replayed = u64::from(answer.replayed);
        so_far.replayed += replayed;
        so_far.skipped += (ids.len() as u64).saturating_sub(replayed);
    }
    Ok(())
}

async fn selection(
    api: &Api,
    request: v1::ReplayRequest,
    so_far: &mut v1::ReplayResponse,
) -> Result<(), Failure> {
    let mut progress = Progress::new();
    let mut answers = api.events().replay(request).await?.into_inner();
    loop {
        match answers.message().await {
            Ok(Some(answer)) => {
                let done = answer.done;
                *so_far = answer;
                progress.show(so_far);
                if done {
                    progress.end();
                    return Ok(());
                }
            }
            Ok(None) => {
                progress.end();
                return Err(
                    Failure::new("the replay ended early").hint("begun again, it does the rest")
                );
            }
            Err(status) => {
                progress.end();
                return Err(status.into());
            }
        }
    }
}

/// How far it is, on stderr.
struct Progress {
    on_terminal: bool,
    begun: bool,
    shown: Instant,
}

impl Progress {
    fn new() -> Self {
        Self {
            on_terminal: std::io::stderr().is_terminal(),
            begun: false,
            shown: Instant::now(),
        }
    }

    fn show(&mut self, so_far: &v1::ReplayResponse) {
        let line = line(so_far);
        if self.on_terminal {
            // Over the one before.
            output::note_part(&format!("\r\x1b[2K{line}"));
            self.begun = true;
        } else if self.shown.elapsed() >= LINE_EVERY {
            note(&line);
            self.shown = Instant::now();
        }
    }

    fn end(&mut self) {
        if self.begun {
            note("");
        }
    }
}

fn line(so_far: &v1::ReplayResponse) -> String {
    let of = match so_far.total {
        0 => String::new(),
        total => format!(" of {total}"),
    };
    format!(
        "looked at {}{of}, replayed {}, skipped {}",
        so_far.looked_at, so_far.replayed, so_far.skipped
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Args, Command};

    fn wanted(line: &str) -> Result<Wanted, Failure> {
        let args = Args::try_parse_from(line.split(' '));
        match args.map(|args| args.command) {
            Ok(Command::Replay(replay)) => Wanted::of(&replay),
            other => panic!("{other:?}"),
        }
    }

    fn request(line: &str) -> v1::ReplayRequest {
        match wanted(line) {
            Ok(Wanted::Selection(request)) => *request,
            Ok(Wanted::Ids(ids)) => panic!("{ids:?}"),
            Err(failure) => panic!("{failure:?}"),
        }
    }

    #[test]
    fn a_selection_is_one_scope_and_says_which() {
        let dead = request("hookplane replay --all-dead --rate 5");
        assert_eq!(dead.parent, "orgs/-/groups/-/webhooks/-");
        assert_eq!(
            (dead.status(), dead.rate_per_second),
            (v1::DeliveryStatus::Unspecified, 5)
        );
        let held = request("hookplane replay acme/shop --status held --mapping then --max 3");
        assert_eq!(held.parent, "orgs/acme/groups/shop/webhooks/-");
        assert_eq!(held.status(), v1::DeliveryStatus::Held);
        assert_eq!((held.mapping(), held.max), (v1::ReplayMapping::Then, 3));
        assert!(request("hookplane replay acme/shop/paid --feed").feed);
        for line in [
            "hookplane replay acme/shop",
            "hookplane replay acme/shop --feed",
            "hookplane replay acme/shop acme/other --all-dead",
            "hookplane replay acme/shop --status leased",
            "hookplane replay acme/shop --status dead --since yesterday",
        ] {
            assert!(matches!(wanted(line), Err(Failure::Usage(_))), "{line}");
        }
    }

    #[test]
    fn ids_are_replayed_as_they_are_given() {
        let id = "0192f1d2-0000-7000-8000-000000000000-1";
        let line = format!("hookplane replay {id} {id}");
        assert!(matches!(wanted(&line), Ok(Wanted::Ids(ids)) if ids == [id, id]));
        for more in ["--since 2h", "--dry-run", "--max 1", "--rate 5"] {
            let found = wanted(&format!("{line} {more}"));
            assert!(matches!(found, Err(Failure::Usage(_))), "{more}");
        }
    }
}

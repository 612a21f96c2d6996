//! Kills servers under load, again and again, and then compares: every callback whose poster saw 2xx must be there, and none twice.
//!
//! One process (`dev`), a `serve` and its three `listen` (`--apart`), or a cluster with everything that belongs to it (`--cluster`), of which
//! any process and any connection is hurt. The same seed gives the same victims, moments and bodies.

use hookplane_tests::campaign::cluster::{ClusterCampaign, Fault, Pace};
use hookplane_tests::campaign::{Campaign, Outcome};

const HELP: &str = "\
Blows at random moments under load: every callback answered 2xx must be there afterwards, and none twice.

  --rounds N    blows (50)
  --seed N      decides moments and bodies (1)
  --posters N   connections that post at the same time (32); apart and in a cluster each sends twice a second
  --apart       instead of one `dev`: a `serve` and three `listen`, each killed and frozen, and what connects them cut, or made to swallow
                what is sent
  --cluster     the same with two `serve`, three etcd members, and PostgreSQL with a synchronous standby, which is promoted when its primary
                is gone
  --only F,F…   only these faults
  --short       short freezes and outages, as in the test suite

Exit code 1 if anything is lost or kept twice; of a cluster also for an answer that its fault doesn't excuse: what hurts a replica, or a
listener's streams, excuses nothing but 2xx.

Faults: ";

/// Of a long list.
const SHOWN: usize = 20;

fn main() {
    let mut campaign = Campaign {
        rounds: 50,
        seed: 1,
        posters: 32,
    };
    let (mut many, mut only, mut pace) = (None, None, Pace::LONG);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut number = || arguments.next().and_then(|value| value.parse::<u64>().ok());
        let taken = match name.as_str() {
            "--apart" => {
                many = Some(false);
                Some(())
            }
            "--cluster" => {
                many = Some(true);
                Some(())
            }
            "--short" => {
                pace = Pace::SHORT;
                Some(())
            }
            "--only" => arguments
                .next()
                .and_then(|names| names.split(',').map(Fault::of_name).collect())
                .map(|faults: Vec<Fault>| only = Some(faults)),
            "--rounds" => number().map(|n| campaign.rounds = n),
            "--seed" => number().map(|n| campaign.seed = n),
            "--posters" => number().map(|n| campaign.posters = n),
            _ => None,
        };
        if taken.is_none() {
            let names: Vec<_> = Fault::all(true).into_iter().map(Fault::name).collect();
            eprint(&format!("{HELP}{}", names.join(", ")));
            std::process::exit(if name == "--help" { 0 } else { 2 });
        }
    }
    let good = match many {
        None => run(&campaign),
        Some(is_cluster) => run_many(&ClusterCampaign {
            is_cluster,
            rounds: campaign.rounds,
            seed: campaign.seed,
            posters: usize::try_from(campaign.posters).expect("few"),
            faults: only.unwrap_or_else(|| Fault::all(is_cluster)),
            pace,
        }),
    };
    std::process::exit(i32::from(!good));
}

fn run(campaign: &Campaign) -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Outcome {
        acknowledged,
        kept,
        resent,
        lost,
        twice,
    } = campaign.run(folder.path());
    print(&format!(
        "seed {}: {} blows, {acknowledged} answered 2xx, {kept} kept, {resent} resent; {} lost, {} twice",
        campaign.seed,
        campaign.rounds,
        lost.len(),
        twice.len()
    ));
    for id in lost.iter().chain(&twice) {
        print(&format!("  {id}"));
    }
    lost.is_empty() && twice.is_empty()
}

fn run_many(campaign: &ClusterCampaign) -> bool {
    // Kept unless all is well: the servers' logs are what explains a failure.
    let folder = tempfile::tempdir().expect("a temporary folder").keep();
    eprint(&format!("the servers' logs are in {}", folder.display()));
    let outcome = campaign.run(&folder, &|line| {
        let now = time::OffsetDateTime::now_utc().time();
        eprint(&format!("{now} {line}"));
    });
    let verdict = outcome.evidence.verdict();
    print(&outcome.table.to_string());
    print(&format!(
        "seed {}: {} blows, {} answered 2xx, {} kept, {} delivered ({} of them more than once); {} lost, {} undelivered, {} twice; {} answers \
         that nothing excuses",
        campaign.seed,
        campaign.rounds,
        outcome.evidence.answered.len(),
        outcome.evidence.kept.len(),
        outcome.evidence.delivered.len(),
        verdict.again,
        verdict.lost.len(),
        verdict.undelivered.len(),
        verdict.twice.len(),
        outcome.table.wrong.len()
    ));
    for (end, times) in &outcome.ends {
        eprint(&format!(
            "the subscriber's stream ended {times} times: {end}"
        ));
    }
    for (what, ids) in [
        ("lost", &verdict.lost),
        ("undelivered", &verdict.undelivered),
        ("twice", &verdict.twice),
    ] {
        if !ids.is_empty() {
            let some: Vec<_> = ids.iter().take(SHOWN).map(String::as_str).collect();
            print(&format!("  {what}: {}", some.join(" ")));
        }
    }
    for wrong in &outcome.table.wrong {
        print(&format!("  {wrong}"));
    }
    let good = verdict.is_good() && outcome.table.wrong.is_empty();
    if good {
        // It is a temporary folder; what is left of it harms nobody.
        let _ = std::fs::remove_dir_all(folder);
    }
    good
}

#[expect(clippy::print_stdout, reason = "a command: this is what it is for")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a command: this is what it says")]
fn eprint(text: &str) {
    eprintln!("{text}");
}

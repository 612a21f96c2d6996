//! Kills `hookplane dev`, or with `--apart` a `hookplane serve` and its two `hookplane listen` in turn, with SIGKILL at random moments under
//! load, again and again, and then compares: every callback whose poster saw 2xx must be there, and none twice.
//!
//! `kill-campaign [--rounds 50] [--seed 1] [--posters 8] [--apart | --freeze]`. The same seed gives the same moments and bodies. `--freeze`: as
//! `--apart`, but with SIGSTOP for up to 14 s each.

use hookplane_tests::campaign::{Campaign, Outcome};

const HELP: &str = "\
Blows at random moments under load: every callback answered 2xx must be there afterwards, and none twice.

  --rounds N    blows (50)
  --seed N      decides moments and bodies (1)
  --posters N   connections that post at the same time (8)
  --apart       SIGKILL to a `serve` and its two `listen` in turn, instead of one `dev`
  --freeze      the same with SIGSTOP, up to 14 s each

Exit code 1 if anything is lost or kept twice.";

#[expect(clippy::print_stderr, reason = "a command: this is what it says")]
fn main() {
    let mut campaign = Campaign {
        rounds: 50,
        seed: 1,
        posters: 8,
        apart: false,
        freeze: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut number = || arguments.next().and_then(|value| value.parse::<u64>().ok());
        let taken = match name.as_str() {
            "--apart" => {
                campaign.apart = true;
                Some(())
            }
            "--freeze" => {
                (campaign.apart, campaign.freeze) = (true, true);
                Some(())
            }
            "--rounds" => number().map(|n| campaign.rounds = n),
            "--seed" => number().map(|n| campaign.seed = n),
            "--posters" => number().map(|n| campaign.posters = n),
            _ => None,
        };
        if taken.is_none() {
            eprintln!("{HELP}");
            std::process::exit(if name == "--help" { 0 } else { 2 });
        }
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Outcome {
        acknowledged,
        kept,
        resent,
        lost,
        twice,
    } = campaign.run(folder.path());
    #[expect(clippy::print_stdout, reason = "a command: this is what it is for")]
    {
        println!(
            "seed {}: {} blows, {acknowledged} answered 2xx, {kept} kept, {resent} resent; {} lost, {} twice",
            campaign.seed,
            campaign.rounds,
            lost.len(),
            twice.len()
        );
        for id in lost.iter().chain(&twice) {
            println!("  {id}");
        }
    }
    std::process::exit(i32::from(!lost.is_empty() || !twice.is_empty()));
}

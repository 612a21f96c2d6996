//! Kills `hookplane dev`, or with `--apart` a `hookplane serve` and its two `hookplane listen` in turn, with SIGKILL at random moments under
//! load, again and again, and then compares: every callback whose poster saw 2xx must be there, and none twice.
//!
//! `kill-campaign [--rounds 50] [--seed 1] [--posters 8] [--apart]`. The same seed gives the same moments and bodies.

use hookplane_tests::campaign::{Campaign, Outcome};

fn main() {
    let mut campaign = Campaign {
        rounds: 50,
        seed: 1,
        posters: 8,
        apart: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--apart" {
            campaign.apart = true;
            continue;
        }
        let value: u64 = arguments
            .next()
            .and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("{name} takes a number"));
        match name.as_str() {
            "--rounds" => campaign.rounds = value,
            "--seed" => campaign.seed = value,
            "--posters" => campaign.posters = value,
            _ => panic!("unknown {name}; there are --rounds, --seed, --posters and --apart"),
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
            "seed {}: {} kills, {acknowledged} answered 2xx, {kept} kept, {resent} resent after a kill; {} lost, {} twice",
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

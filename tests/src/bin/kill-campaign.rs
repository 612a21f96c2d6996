//! Kills `hookplane dev`, or with `--apart` a `hookplane serve` and its two `hookplane listen` in turn, with SIGKILL at random moments under
//! load, again and again, and then compares: every callback whose poster saw 2xx must be there, and none twice.
//!
//! `kill-campaign [--rounds 50] [--seed 1] [--posters 8] [--apart | --freeze]`. The same seed gives the same moments and bodies. `--freeze`: as
//! `--apart`, but with SIGSTOP for up to 14 s each.

use hookplane_tests::campaign::{Campaign, Outcome};

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
        match name.as_str() {
            "--apart" => campaign.apart = true,
            "--freeze" => (campaign.apart, campaign.freeze) = (true, true),
            _ => {}
        }
        if ["--apart", "--freeze"].contains(&name.as_str()) {
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
            _ => panic!(
                "unknown {name}; there are --rounds, --seed, --posters, --apart and --freeze"
            ),
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

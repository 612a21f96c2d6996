//! What a callback costs, as ratios to hyper with nothing but the HMAC. See `hookplane_tests::bench`.

use std::process::ExitCode;
use std::time::Duration;

use hookplane_tests::bench::{Case, Failure, Load, Options, config, deliver, run, serve};

const HELP: &str = "\
Measures the CPU time per request of listener and control plane against hyper with nothing but the HMAC, in one run.
Build it with --release; it takes about two minutes, two cores, and a GiB of temporary disk.

  --seconds S        of one window (0.5)
  --rounds N         windows of each case; their median counts (5)
  --bytes N,…        sizes of bodies (256,1024,7168,25600); open and cold take the one next to 7168
  --connections N    at a time (32)
  --rate N           callbacks a second of the open loop (2000)
  --loads NAME,…     of closed, open, cold (all)
  --cases NAME,…     of hyper, refused, unregistered, filtered, kept (all), beside the yardstick hyper+hmac
  -o json            figures for programs

bench config … measures changes of configuration instead, with many listeners and many groups; `bench config --help` has its options.
bench deliver … measures deliveries instead; `bench deliver --help` has its options.
";

const CONFIG_HELP: &str = "\
Measures the time from an edit until thousands of config streams have acked it, beside etcd watched directly in the same run; first full
lists; and a restart of the replica under all streams. Build it with --release; it takes some six minutes, two cores that do nothing else,
4 GiB of memory, and etcd on the PATH.

  --cases GxS,…      groups and streams, those with the fewest groups first (3000x1000,3000x5000,100000x1000)
  --edits N          in each case (200)
  --pause S          between edits (0.05)
  --idle S           to see what streams cost idle (5)
  --stores NAME,…    of embedded, etcd (etcd)
  -o json            figures for programs
";

const DELIVER_HELP: &str = "\
Measures deliveries a second to an HTTP destination and to a subscriber, and the control plane's CPU time for each, in one run over the embedded
log. Build it with --release; it takes about half a minute, two cores, and a GiB of temporary disk.

  --events N         of each round (10000)
  --rounds N         their medians count (3)
  --bytes N          of a body (1024)
  -o json            figures for programs
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ended = match arguments.split_first() {
        Some((first, rest)) if first == "--serve" => serve(rest),
        Some((first, rest)) if first == "config" => bench_config(rest),
        Some((first, rest)) if first == "deliver" => bench_deliver(rest),
        _ => bench(&arguments),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a command says why it failed")]
            {
                eprintln!("bench: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a command: this is what it is for")]
fn bench(arguments: &[String]) -> Result<(), Failure> {
    let mut options = Options {
        length: Duration::from_millis(500),
        rounds: 5,
        bytes: vec![256, 1024, 7168, 25_600],
        connections: 32,
        rate: 2000,
        loads: Load::ALL.to_vec(),
        cases: Case::ALL.to_vec(),
    };
    let mut as_json = false;
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        if name == "--help" || name == "-h" {
            print!("{HELP}");
            return Ok(());
        }
        let value = arguments
            .next()
            .ok_or_else(|| format!("{name} takes a value; --help has all"))?;
        let wrong = || format!("{name} {value}: no such value; --help has all");
        match name.as_str() {
            "--seconds" => options.length = Duration::try_from_secs_f64(value.parse()?)?,
            "--rounds" => options.rounds = value.parse()?,
            "--bytes" => {
                options.bytes = value.split(',').map(str::parse).collect::<Result<_, _>>()?
            }
            "--connections" => options.connections = value.parse()?,
            "--rate" => options.rate = value.parse()?,
            "--loads" => options.loads = named(value, &Load::ALL, Load::name).ok_or_else(wrong)?,
            "--cases" => options.cases = named(value, &Case::ALL, Case::name).ok_or_else(wrong)?,
            "-o" if value == "json" => as_json = true,
            _ => return Err(wrong().into()),
        }
    }
    options.check()?;
    let report = run(options)?;
    if as_json {
        println!("{:#}", report.json());
    } else {
        print!("{report}");
    }
    Ok(())
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command: this is what it is for"
)]
fn bench_config(arguments: &[String]) -> Result<(), Failure> {
    let mut options = config::Options {
        cases: vec![(3_000, 1_000), (3_000, 5_000), (100_000, 1_000)],
        edits: 200,
        pause: Duration::from_millis(50),
        idle: Duration::from_secs(5),
        stores: vec![config::StoreKind::Etcd],
    };
    let mut as_json = false;
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        if name == "--help" || name == "-h" {
            print!("{CONFIG_HELP}");
            return Ok(());
        }
        let value = arguments
            .next()
            .ok_or_else(|| format!("{name} takes a value; config --help has all"))?;
        let wrong = || format!("{name} {value}: no such value; config --help has all");
        let case = |case: &str| {
            let (groups, streams) = case.split_once('x')?;
            Some((groups.parse().ok()?, streams.parse().ok()?))
        };
        let seconds = || Ok::<_, Failure>(Duration::try_from_secs_f64(value.parse()?)?);
        match name.as_str() {
            "--cases" => {
                let cases: Option<_> = value.split(',').map(case).collect();
                options.cases = cases.ok_or_else(wrong)?;
            }
            "--edits" => options.edits = value.parse()?,
            "--pause" => options.pause = seconds()?,
            "--idle" => options.idle = seconds()?,
            "--stores" => {
                let all = &config::StoreKind::ALL;
                options.stores = named(value, all, config::StoreKind::name).ok_or_else(wrong)?;
            }
            "-o" if value == "json" => as_json = true,
            _ => return Err(wrong().into()),
        }
    }
    options.check()?;
    let report = config::run(&options, |what| eprintln!("{what}"))?;
    if as_json {
        println!("{:#}", report.json());
    } else {
        print!("{report}");
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a command: this is what it is for")]
fn bench_deliver(arguments: &[String]) -> Result<(), Failure> {
    let mut options = deliver::Options {
        events: 10_000,
        rounds: 3,
        bytes: 1024,
    };
    let mut as_json = false;
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        if name == "--help" || name == "-h" {
            print!("{DELIVER_HELP}");
            return Ok(());
        }
        let value = arguments
            .next()
            .ok_or_else(|| format!("{name} takes a value; deliver --help has all"))?;
        match name.as_str() {
            "--events" => options.events = value.parse()?,
            "--rounds" => options.rounds = value.parse()?,
            "--bytes" => options.bytes = value.parse()?,
            "-o" if value == "json" => as_json = true,
            _ => {
                return Err(
                    format!("{name} {value}: no such value; deliver --help has all").into(),
                );
            }
        }
    }
    let report = deliver::run(options)?;
    if as_json {
        println!("{:#}", report.json());
    } else {
        print!("{report}");
    }
    Ok(())
}

/// Those of `all` that a list names; None when one isn't there.
fn named<T: Copy>(list: &str, all: &[T], name: fn(T) -> &'static str) -> Option<Vec<T>> {
    let find = |wanted: &str| all.iter().copied().find(|one| name(*one) == wanted);
    list.split(',').map(find).collect()
}

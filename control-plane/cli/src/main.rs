//! The `hookplane` command: both servers, apart or for a laptop in one process, and every client command.
//!
//! Client commands speak gRPC and nothing else; only `serve` and `dev` open the stores. Data goes to stdout, everything else to stderr.
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage.

mod args;
mod commands;
mod connect;
mod failure;
mod names;
mod output;
mod post;
mod servers;
mod signals;
mod times;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let args = args::Args::parse();
    install_telemetry();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failure::Failure::from(error).report(),
    };
    let code = runtime.block_on(async {
        let shutdown = match signals::install() {
            Ok(shutdown) => shutdown,
            Err(error) => return failure::Failure::from(error).report(),
        };
        match commands::run(args, shutdown).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        }
    });
    // Risk 22: work on a blocking thread (a read of stdin, a slow disk) can't be called off, and nothing waits for it any more.
    runtime.shutdown_background();
    code
}

fn install_telemetry() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        // What h2 warns of is what peers do, a line for each connection, and anybody may be a peer.
        EnvFilter::new(
            "warn,h2=error,hookplane=info,hookplane_control_plane=info,hookplane_listener=info",
        )
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}

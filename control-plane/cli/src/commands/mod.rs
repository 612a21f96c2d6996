//! One command, one file.

mod apply;
mod clone;
mod compare;
mod delete;
mod describe;
mod dev;
mod explain;
mod get;
pub(crate) mod items;
mod listen;
mod narrow;
mod pause;
mod plan;
mod preview;
mod replay;
mod rotate;
mod send;
mod serve;
mod tail;
mod token;

use std::future::Future;

use clap::CommandFactory as _;
use tokio_util::sync::CancellationToken;

use crate::args::{Args, Client, Clone, Command, Describe, Pausing, Rotate};
use crate::connect::{Api, Options, Target, Top};
use crate::failure::Failure;
use crate::output;

/// Does what was typed.
pub(crate) async fn run(args: Args, shutdown: CancellationToken) -> Result<(), Failure> {
    let top = Top::from(&args);
    match args.command {
        Command::Dev(dev) => dev::run(dev, &top, shutdown).await,
        Command::Serve(serve) => serve::run(*serve, shutdown).await,
        Command::Listen(listen) => listen::run(listen, &top, shutdown).await,
        Command::Tail(tail) => tail::run(&tail, &top, shutdown).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "hookplane", &mut script);
            output::text(&String::from_utf8_lossy(&script))
        }
        Command::Apply(apply) => {
            let client = apply.client.clone();
            until(shutdown, async {
                apply::run(apply, || connect(&top, &client)).await
            })
            .await
        }
        Command::Get(get) => {
            get::check(&get)?;
            until(shutdown, async {
                let api = connect(&top, &get.client).await?;
                get::run(get, &api).await
            })
            .await
        }
        Command::Explain(explain) => {
            until(shutdown, async {
                explain::run(&explain, || connect(&top, &explain.client)).await
            })
            .await
        }
        Command::Delete(delete) => {
            until(shutdown, async {
                let request = delete::Request::new(&delete)?;
                request.run(&connect(&top, &delete.client).await?).await
            })
            .await
        }
        Command::Clone(Clone::Webhook(clone)) => {
            until(shutdown, async {
                clone::run(&clone, || connect(&top, &clone.client)).await
            })
            .await
        }
        Command::Preview(preview) => {
            until(shutdown, async {
                preview::run(&preview, || connect(&top, &preview.client)).await
            })
            .await
        }
        Command::Compare(compare) => {
            until(shutdown, async {
                compare::run(&compare, || connect(&top, &compare.client)).await
            })
            .await
        }
        Command::Replay(replay) => {
            replay::run(&replay, || connect(&top, &replay.client), shutdown).await
        }
        Command::Pause(Pausing::Destination { name, client }) => {
            until(shutdown, async {
                pause::run(&name, true, || connect(&top, &client)).await
            })
            .await
        }
        Command::Resume(Pausing::Destination { name, client }) => {
            until(shutdown, async {
                pause::run(&name, false, || connect(&top, &client)).await
            })
            .await
        }
        Command::Rotate(Rotate::Url(rotate)) => {
            until(shutdown, async {
                rotate::run(&rotate, || connect(&top, &rotate.client)).await
            })
            .await
        }
        Command::Describe(Describe::Destination(describe)) => {
            until(shutdown, async {
                describe::run(&describe, || connect(&top, &describe.client)).await
            })
            .await
        }
        Command::Token(token) => {
            until(shutdown, async {
                token::run(&token, |client| connect(&top, client)).await
            })
            .await
        }
        Command::Send(send) => {
            until(shutdown, async {
                send::run(&send, || connect(&top, &send.client)).await
            })
            .await
        }
    }
}

async fn connect(top: &Top, client: &Client) -> Result<Api, Failure> {
    Target::resolve(&Options::new(top, client))?.connect().await
}

/// A command that a signal ends.
async fn until(
    shutdown: CancellationToken,
    command: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    tokio::select! {
        result = command => result,
        () = shutdown.cancelled() => Err(Failure::new("interrupted")),
    }
}

/// All pages of a list. `fetch` takes a page token and gives a page with the token of the next.
pub(crate) async fn pages<T, F, R>(fetch: F) -> Result<Vec<T>, Failure>
where
    F: FnMut(String) -> R,
    R: Future<Output = Result<(Vec<T>, String), tonic::Status>>,
{
    first(usize::MAX, fetch).await
}

/// The first so many of a list.
pub(crate) async fn first<T, F, R>(max: usize, mut fetch: F) -> Result<Vec<T>, Failure>
where
    F: FnMut(String) -> R,
    R: Future<Output = Result<(Vec<T>, String), tonic::Status>>,
{
    let mut all = Vec::new();
    let mut token = String::new();
    loop {
        let (page, next) = fetch(token).await?;
        all.extend(page);
        all.truncate(max);
        if next.is_empty() || all.len() == max {
            return Ok(all);
        }
        token = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn page(token: String) -> Result<(Vec<usize>, String), tonic::Status> {
        let page: usize = token.parse().unwrap_or(0);
        let next = if page < 2 {
            (page + 1).to_string()
        } else {
            String::new()
        };
        Ok((vec![page * 2, page * 2 + 1], next))
    }

    #[tokio::test]
    async fn all_pages_are_read_in_order() {
        assert_eq!(pages(page).await.unwrap(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(first(3, page).await.unwrap(), [0, 1, 2]);
    }
}

//! `explain`: why callbacks are refused or not kept, and what to do. Of a group as its listeners saw it, or of one captured request, here.

mod captured;
mod offline;
mod recent;

use std::future::Future;

use crate::args::Explain;
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::Name;

/// Explains what was asked for.
pub(crate) async fn run<R>(explain: &Explain, connect: impl FnOnce() -> R) -> Result<(), Failure>
where
    R: Future<Output = Result<Api, Failure>>,
{
    let group = explain.group.as_deref();
    let group = group.map(|text| Name::exact(text, 2, "ORG/GROUP"));
    let group = group.transpose()?;
    match (&explain.request, &explain.file, group) {
        (Some(request), Some(file), group) => {
            offline::explain(request, file, group.as_ref(), explain)
        }
        (None, _, Some(group)) => recent::explain(&connect().await?, &group).await,
        _ => Err(Failure::Usage(
            "name a group, ORG/GROUP, or a captured request with --request and its manifest with -f"
                .to_owned(),
        )),
    }
}

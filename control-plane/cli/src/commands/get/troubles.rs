//! `get troubles`: destinations that nothing gets through to now. Their names are those that `pause` and `resume` take.

use hookplane_proto::v1;

use super::{fetch, show};
use crate::args::Format;
use crate::commands::items;
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::Name;
use crate::output::note;
use crate::output::table::Table;

/// Those of one org, or of each that the caller may see.
pub(super) async fn run(format: Format, api: &Api, name: &Name) -> Result<(), Failure> {
    let mut found = Vec::new();
    for org in fetch::orgs(api, name).await? {
        let org = org.metadata.unwrap_or_default().name;
        let parent = format!("orgs/{org}");
        let request = v1::ListTroublesRequest { parent };
        let answer = api.destinations().list_troubles(request).await?;
        let answer = answer.into_inner();
        let shown = u32::try_from(answer.troubles.len()).unwrap_or(u32::MAX);
        if answer.total > shown {
            let more = answer.total - shown;
            note(&format!(
                "{more} more of {org} are not shown: `hookplane get destinations {org}` has each of the org's own"
            ));
        }
        found.extend(answer.troubles);
    }
    show(
        format,
        found,
        items::trouble,
        Table::new(&["NAME", "STATE", "SINCE", "NEXT TRY", "REASON"]),
        |trouble| {
            let text = |field: &str| trouble.status[field].as_str().unwrap_or_default();
            let name = trouble.metadata["name"].as_str().unwrap_or_default();
            let fields = ["state", "since", "retryTime", "reason"];
            let mut row = vec![name.to_owned()];
            row.extend(fields.map(|field| text(field).to_owned()));
            row
        },
    )
}

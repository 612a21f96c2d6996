//! Connectors: all of them, those whose name has a text in it, or one with what a user has to know of it.

use hookplane_proto::v1;
use tonic::Code;

use super::about::Text;
use super::{fetch, path, show};
use crate::args::Format;
use crate::commands::items::{self, confidence};
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::Name;
use crate::output::table::Table;

/// Shows them.
pub(super) async fn run(format: Format, api: &Api, name: &Name) -> Result<(), Failure> {
    let (found, is_one) = find(api, name).await?;
    let mut table = Table::new(&["NAME", "DISPLAY NAME", "FUNCTIONS", "CONFIDENCE"]);
    if let ([connector], true) = (found.as_slice(), is_one) {
        table.after(&about(connector));
    }
    show(format, found, items::connector, table, |connector| {
        let functions = connector.spec.functions.iter();
        let functions: Vec<&str> = functions.map(|function| function.name.as_str()).collect();
        vec![
            path(&[&connector.metadata.org, &connector.metadata.name]),
            connector.spec.display_name.clone(),
            functions.join(", "),
            confidence(connector.spec.confidence()).to_owned(),
        ]
    })
}

/// Those of this name, and whether that was the whole name of one.
async fn find(api: &Api, name: &Name) -> Result<(Vec<v1::Connector>, bool), Failure> {
    if name.len() == 0 {
        return Ok((fetch::connectors(api).await?, false));
    }
    match fetch::connector(api, name.connector()).await {
        Ok(connector) => Ok((vec![connector], true)),
        Err(status) if name.len() == 1 && is_no_name(&status) => {
            let mut all = fetch::connectors(api).await?;
            all.retain(|connector| has(connector, name.last()));
            if all.is_empty() {
                return Err(Failure::new(format!(
                    "no connector is named `{0}` or has `{0}` in its name",
                    name.last()
                ))
                .hint("`hookplane get connectors` lists them all; control-plane/connectors/README.md says how to write one"));
            }
            Ok((all, false))
        }
        Err(status) => Err(status.into()),
    }
}

/// True when it only says that there is none of this whole name.
pub(super) fn is_no_name(status: &tonic::Status) -> bool {
    matches!(status.code(), Code::NotFound | Code::InvalidArgument)
}

/// True when a connector has this text in its name, in any case.
fn has(connector: &v1::Connector, text: &str) -> bool {
    let text = text.to_lowercase();
    let id = connector.metadata.as_ref().map_or("", |m| &m.name);
    let shown = connector.spec.as_ref().map_or("", |s| &s.display_name);
    id.contains(&text) || shown.to_lowercase().contains(&text)
}

fn about(connector: &v1::Connector) -> String {
    let metadata = connector.metadata.clone().unwrap_or_default();
    let spec = connector.spec.clone().unwrap_or_default();
    let id = path(&[&metadata.org, &metadata.name]);
    let mut text = Text::default();
    text.say("", &spec.description);
    text.standing(&spec);
    text.asks(&spec);
    let functions = spec.functions.iter().map(|function| {
        let about = match function.unsupported.as_str() {
            "" => function.description.clone(),
            why => format!("not supported: {why}"),
        };
        format!("{id}/{}  {}", function.name, about.trim())
    });
    text.list("Functions", functions);
    text.limitations(&spec);
    text.say(
        "Retries",
        spec.protocol
            .as_ref()
            .map_or("", |protocol| &protocol.retries),
    );
    if let Some(function) = spec.functions.first() {
        text.more(&format!("{id}/{}", function.name));
    }
    text.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_looked_for_in_id_and_display_name() {
        let connector = v1::Connector {
            metadata: Some(v1::Metadata {
                name: "paypal".into(),
                ..Default::default()
            }),
            spec: Some(v1::ConnectorSpec {
                display_name: "PayPal REST".into(),
                ..Default::default()
            }),
        };
        for (text, yes) in [
            ("pay", true),
            ("PAY", true),
            ("rest", true),
            ("stripe", false),
        ] {
            assert_eq!(has(&connector, text), yes, "{text}");
        }
    }

    #[test]
    fn a_connector_says_how_sure_it_is_and_what_is_not_supported() {
        let connector = v1::Connector {
            metadata: Some(v1::Metadata {
                org: "acme".into(),
                name: "erp".into(),
                ..Default::default()
            }),
            spec: Some(v1::ConnectorSpec {
                confidence: v1::Confidence::Unverified.into(),
                sources: vec!["their page".into()],
                limitations: vec!["No batches.".into()],
                functions: vec![
                    v1::ConnectorFunction {
                        name: "orders".into(),
                        description: "Orders.".into(),
                        ..Default::default()
                    },
                    v1::ConnectorFunction {
                        name: "files".into(),
                        unsupported: "They are encrypted.".into(),
                        ..Default::default()
                    },
                ],
                ..Default::default()
            }),
        };
        assert_eq!(
            about(&connector),
            "\nConfidence: unverified; see a callback of the provider's own come through before you rely on it\n\
             \nIt rests on:\n  their page\n\
             \nFunctions:\n  acme/erp/orders  Orders.\n  acme/erp/files  not supported: They are encrypted.\n\
             \nLimitations:\n  No batches.\n\
             \n`hookplane get functions acme/erp/orders` has events and set-up.\n"
        );
    }
}

//! `describe destination`: its objects and their fields, for a mapping.

use std::future::Future;

use hookplane_proto::v1;
use serde_json::json;

use crate::args::{DescribeDestination, ShortFormat};
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::Name;
use crate::output::table::Table;
use crate::output::{self, note};

/// Values of a picklist that a table shows.
const SHOWN_VALUES: usize = 10;

pub(crate) async fn run<R>(
    describe: &DescribeDestination,
    connect: impl FnOnce() -> R,
) -> Result<(), Failure>
where
    R: Future<Output = Result<Api, Failure>>,
{
    let name = Name::exact(&describe.name, 2, "ORG/NAME")?;
    let request = v1::DescribeDestinationRequest {
        name: format!("{}/destinations/{}", name.org(), name.part(1)),
        object: describe.object.clone().unwrap_or_default(),
    };
    let api = connect().await?;
    let answer = api.destinations().describe_destination(request).await?;
    let objects = answer.into_inner().objects;
    match describe.output {
        ShortFormat::Json => {
            let items: Vec<_> = objects.iter().map(as_json).collect();
            let text = serde_json::to_string_pretty(&json!({"items": items}))
                .map_err(|error| Failure::new(format!("write JSON: {error}")))?;
            output::line(&text)
        }
        ShortFormat::Table if objects.is_empty() => {
            note("none");
            Ok(())
        }
        ShortFormat::Table => match (&describe.object, objects.as_slice()) {
            (Some(_), [object]) => output::text(&fields(object).render()),
            _ => output::text(&list(&objects).render()),
        },
    }
}

fn list(objects: &[v1::ObjectDescription]) -> Table {
    let mut table = Table::new(&["OBJECT", "LABEL"]);
    for object in objects {
        table.row([object.name.clone(), object.label.clone()]);
    }
    table
}

fn fields(object: &v1::ObjectDescription) -> Table {
    let mut table = Table::new(&["FIELD", "TYPE", "LABEL", "MAY BE", "VALUES"]);
    for field in &object.fields {
        let may = [
            (field.key, "key"),
            (field.required, "required"),
            (field.createable, "created"),
            (field.updateable, "updated"),
        ];
        let may: Vec<&str> = may
            .into_iter()
            .filter_map(|(is, word)| is.then_some(word))
            .collect();
        table.row([
            field.name.clone(),
            type_of(field),
            field.label.clone(),
            may.join(", "),
            values(field),
        ]);
    }
    table
}

fn type_of(field: &v1::FieldDescription) -> String {
    match field.length {
        0 => field.r#type.clone(),
        length => format!("{}({length})", field.r#type),
    }
}

/// Of a picklist, or what a reference points to and by which name.
fn values(field: &v1::FieldDescription) -> String {
    if !field.references.is_empty() {
        let to = field.references.join(", ");
        return match field.relationship.as_str() {
            "" => to,
            relationship => format!("{to} by {relationship}"),
        };
    }
    let mut shown = field.picklist.iter().take(SHOWN_VALUES).cloned();
    let mut text = shown.by_ref().collect::<Vec<_>>().join(", ");
    if field.picklist.len() > SHOWN_VALUES {
        text.push_str(&format!(
            ", and {} more",
            field.picklist.len() - SHOWN_VALUES
        ));
    }
    text
}

fn as_json(object: &v1::ObjectDescription) -> serde_json::Value {
    let fields = object.fields.iter().map(|field| {
        json!({
            "name": field.name,
            "label": field.label,
            "type": field.r#type,
            "length": field.length,
            "key": field.key,
            "required": field.required,
            "createable": field.createable,
            "updateable": field.updateable,
            "picklist": field.picklist,
            "references": field.references,
            "relationship": field.relationship,
        })
    });
    json!({
        "name": object.name,
        "label": object.label,
        "fields": fields.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_says_what_it_takes_and_what_it_may_be() {
        let object = v1::ObjectDescription {
            name: "Order__c".to_owned(),
            fields: vec![
                v1::FieldDescription {
                    name: "Account__c".to_owned(),
                    r#type: "reference".to_owned(),
                    references: vec!["Account".to_owned()],
                    relationship: "Account__r".to_owned(),
                    createable: true,
                    ..Default::default()
                },
                v1::FieldDescription {
                    name: "Size__c".to_owned(),
                    r#type: "picklist".to_owned(),
                    length: 255,
                    picklist: (0..12).map(|n| format!("v{n}")).collect(),
                    ..Default::default()
                },
            ],
            ..Default::default()
        };
        let text = fields(&object).render();
        assert!(text.contains("Account by Account__r"), "{text}");
        assert!(text.contains("picklist(255)"), "{text}");
        assert!(text.contains("v9, and 2 more"), "{text}");
    }
}

//! What the org has: its objects, and the fields of one. Kept, and asked for again only if it changed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hookplane_proto::v1;
use http::{HeaderValue, Method, header};
use serde::Deserialize;

use super::call::Caller;
use super::names::{clip, is_name};
use super::requests::Call;

/// Descriptions that are kept. One has up to some hundred kilobytes.
const MAX_KEPT: usize = 64;
/// Of one field.
const MAX_PICKLIST: usize = 1_000;

/// By object; the list of all under the empty name.
#[derive(Default)]
pub(super) struct Descriptions {
    kept: Mutex<BTreeMap<String, (HeaderValue, Vec<v1::ObjectDescription>)>>,
}

#[derive(Deserialize)]
struct Global {
    sobjects: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    #[serde(default)]
    label: String,
}

#[derive(Deserialize)]
struct Described {
    name: String,
    #[serde(default)]
    label: String,
    fields: Vec<Field>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Field {
    name: String,
    label: String,
    #[serde(rename = "type")]
    kind: String,
    external_id: bool,
    id_lookup: bool,
    nillable: bool,
    defaulted_on_create: bool,
    createable: bool,
    updateable: bool,
    picklist_values: Vec<Picked>,
    reference_to: Vec<String>,
    relationship_name: Option<String>,
    length: u32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Picked {
    value: String,
    active: bool,
}

impl From<Field> for v1::FieldDescription {
    fn from(field: Field) -> Self {
        let picks = field.picklist_values.into_iter().filter(|pick| pick.active);
        Self {
            required: field.createable && !field.nillable && !field.defaulted_on_create,
            key: field.external_id || field.id_lookup,
            picklist: picks.map(|pick| pick.value).take(MAX_PICKLIST).collect(),
            name: field.name,
            label: field.label,
            r#type: field.kind,
            createable: field.createable,
            updateable: field.updateable,
            references: field.reference_to,
            relationship: field.relationship_name.unwrap_or_default(),
            length: field.length,
        }
    }
}

impl Descriptions {
    /// Of one object, or all objects without their fields. The error is for an operator.
    pub(super) async fn get(
        &self,
        caller: &Caller,
        object: &str,
    ) -> Result<Vec<v1::ObjectDescription>, String> {
        let path = match object {
            "" => "sobjects".to_owned(),
            name if is_name(name) => format!("sobjects/{name}/describe"),
            odd => return Err(format!("`{}` is no object's name", clip(odd, 80))),
        };
        let known = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(object)
            .cloned();
        let call = Call {
            method: Method::GET,
            path,
            body: None,
        };
        let answer = caller
            .send_with(&call, known.as_ref().map(|(changed, _)| changed))
            .await;
        let answer = answer.map_err(|told| match told.status {
            Some(404) => {
                format!("there is no object {object}, or the destination's user can't see it")
            }
            _ => told.said,
        })?;
        if let (304, Some((_, objects))) = (answer.status, known) {
            return Ok(objects);
        }
        let objects = read(object, &answer.body)
            .map_err(|error| format!("the description can't be read: {error}"))?;
        if let Some(changed) = answer.headers.get(header::LAST_MODIFIED) {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= MAX_KEPT {
                kept.pop_first();
            }
            kept.insert(object.to_owned(), (changed.clone(), objects.clone()));
        }
        Ok(objects)
    }
}

fn read(object: &str, body: &str) -> Result<Vec<v1::ObjectDescription>, serde_json::Error> {
    if object.is_empty() {
        let global: Global = serde_json::from_str(body)?;
        let named = global
            .sobjects
            .into_iter()
            .map(|object| v1::ObjectDescription {
                name: object.name,
                label: object.label,
                fields: Vec::new(),
            });
        return Ok(named.collect());
    }
    let described: Described = serde_json::from_str(body)?;
    Ok(vec![v1::ObjectDescription {
        name: described.name,
        label: described.label,
        fields: described
            .fields
            .into_iter()
            .map(v1::FieldDescription::from)
            .collect(),
    }])
}

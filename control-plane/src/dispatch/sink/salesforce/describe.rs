//! What the org has: its objects, and the fields of one. Kept, and asked for again only if it changed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hookplane_proto::v1;
use hookplane_rules::text::clip;
use http::{HeaderValue, Method, header};
use prost::Message as _;
use serde::Deserialize;

use super::bounded;
use super::call::{Caller, MAX_DESCRIPTION_BYTES};
use super::names::is_name;
use super::requests::Call;

/// Descriptions that are kept. One has up to some hundred kilobytes.
const MAX_KEPT: usize = 64;
/// Of all that are kept, near enough.
const MAX_KEPT_BYTES: usize = 16 * 1024 * 1024;
/// Of an org.
const MAX_OBJECTS: usize = 10_000;
/// Of an object. Salesforce allows fewer.
const MAX_FIELDS: usize = 2_000;
/// Of one field, with those that are no longer active.
const MAX_PICKED: usize = 5_000;
const MAX_PICKLIST: usize = 1_000;
const MAX_REFERENCES: usize = 500;

/// By object; the list of all under the empty name.
#[derive(Default)]
pub(super) struct Descriptions {
    kept: Mutex<BTreeMap<String, Kept>>,
}

#[derive(Clone)]
struct Kept {
    changed: HeaderValue,
    objects: Vec<v1::ObjectDescription>,
    bytes: usize,
}

#[derive(Deserialize)]
struct Global {
    #[serde(deserialize_with = "bounded::list::<_, _, MAX_OBJECTS>")]
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
    #[serde(deserialize_with = "bounded::list::<_, _, MAX_FIELDS>")]
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
    #[serde(deserialize_with = "bounded::list::<_, _, MAX_PICKED>")]
    picklist_values: Vec<Picked>,
    #[serde(deserialize_with = "bounded::list::<_, _, MAX_REFERENCES>")]
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
            .send_with(
                &call,
                known.as_ref().map(|known| &known.changed),
                MAX_DESCRIPTION_BYTES,
            )
            .await;
        let answer = answer.map_err(|told| match told.status {
            Some(404) => {
                format!("there is no object {object}, or the destination's user can't see it")
            }
            _ => told.said,
        })?;
        if let (304, Some(Kept { objects, .. })) = (answer.status, known) {
            return Ok(objects);
        }
        let objects = read(object, &answer.body)
            .map_err(|error| format!("the description can't be read: {error}"))?;
        if let Some(changed) = answer.headers.get(header::LAST_MODIFIED) {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes: usize = objects.iter().map(v1::ObjectDescription::encoded_len).sum();
            kept.remove(object);
            let sum =
                |kept: &BTreeMap<String, Kept>| kept.values().map(|one| one.bytes).sum::<usize>();
            while kept.len() >= MAX_KEPT
                || (sum(&kept) + bytes > MAX_KEPT_BYTES && !kept.is_empty())
            {
                kept.pop_first();
            }
            if bytes <= MAX_KEPT_BYTES {
                let one = Kept {
                    changed: changed.clone(),
                    objects: objects.clone(),
                    bytes,
                };
                kept.insert(object.to_owned(), one);
            }
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

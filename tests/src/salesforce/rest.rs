//! The REST resources, below `/services/data/vXX.0/`.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::org::{Field, Kind, Org};
use super::save::{Refused, Saved, Sent, Target};

/// Status and body; no body is null.
pub(super) type Reply = (u16, Value);

/// A path's segments, decoded, and its query.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) segments: Vec<String>,
    pub(super) query: String,
}

impl Path {
    /// Of what follows the version.
    pub(super) fn parse(text: &str) -> Self {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let segments = path.trim_matches('/').split('/').map(decoded).collect();
        Self {
            segments,
            query: query.to_owned(),
        }
    }
}

/// Percent-decoded.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|pair| hex::decode(pair).ok());
        match hex {
            Some(byte) => {
                bytes.extend(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Collection {
    #[serde(default)]
    all_or_none: bool,
    records: Vec<Box<RawValue>>,
}

/// `[{message, errorCode, fields}]`
pub(super) fn errors(code: &str, message: &str) -> Value {
    json!([{"message": message, "errorCode": code}])
}

fn not_found() -> Reply {
    (
        404,
        errors("NOT_FOUND", "The requested resource does not exist"),
    )
}

fn bad_json(message: &str) -> Reply {
    (400, errors("JSON_PARSER_ERROR", message))
}

impl Org {
    /// Everything but the graphs.
    pub(super) fn answer(&mut self, method: &str, path: &Path, body: &str) -> Reply {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        match (method, &segments[..]) {
            ("GET", ["sobjects"]) => (200, self.list()),
            ("GET", ["sobjects", object, "describe"]) => self
                .describe(object)
                .map_or_else(not_found, |found| (200, found)),
            ("PATCH", ["composite", "sobjects", object, field]) => {
                self.collection(Some((object, field)), body)
            }
            ("POST", ["composite", "sobjects"]) => self.collection(None, body),
            (_, ["sobjects", ..]) => self.row(method, path, body),
            _ => not_found(),
        }
    }

    /// One row: `sobjects/{object}`, `sobjects/{object}/{id}`, `sobjects/{object}/{field}/{value}`.
    pub(super) fn row(&mut self, method: &str, path: &Path, body: &str) -> Reply {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        let (object, target) = match segments[..] {
            ["sobjects", object] => (object, Target::New),
            ["sobjects", object, id] => (object, Target::Id(id.to_owned())),
            ["sobjects", object, field, value] => {
                let update_only = method == "DELETE"
                    || path.query.split('&').any(|pair| pair == "updateOnly=true");
                (
                    object,
                    Target::Key {
                        field: field.to_owned(),
                        value: value.to_owned(),
                        update_only,
                    },
                )
            }
            _ => return not_found(),
        };
        match (method, &target) {
            ("POST", Target::New) | ("PATCH", Target::Id(_) | Target::Key { .. }) => {}
            ("DELETE", Target::Id(_) | Target::Key { .. }) => {
                return match self.delete(object, &target) {
                    Ok(_) => (204, Value::Null),
                    Err(refused) => self.refusal(object, refused),
                };
            }
            _ => return (405, errors("METHOD_NOT_ALLOWED", "HTTP Method not allowed")),
        }
        let sent: Sent = match serde_json::from_str(body) {
            Ok(sent) => sent,
            Err(error) => return bad_json(&error.to_string()),
        };
        if let Target::Key { field, .. } = &target
            && sent.contains_key(field)
        {
            let message = format!("The {field} field should not be specified in the sobject data");
            return (400, errors("INVALID_FIELD", &message));
        }
        match self.save(object, &target, sent) {
            Ok(saved) => self.saved(object, &target, &saved),
            Err(refused) => self.refusal(object, refused),
        }
    }

    fn saved(&self, object: &str, target: &Target, saved: &Saved) -> Reply {
        match target {
            Target::Id(_) => (204, Value::Null),
            Target::New if object.ends_with("__e") => {
                let enqueued = json!({"statusCode": "OPERATION_ENQUEUED", "message": "232fd30e-0a71-42bd-a97b-be0e329b2ded", "fields": []});
                (
                    201,
                    json!({"id": saved.id, "success": true, "errors": [enqueued]}),
                )
            }
            Target::New => (201, json!({"id": saved.id, "success": true, "errors": []})),
            Target::Key { .. } => {
                let status = if saved.created { 201 } else { 200 };
                (
                    status,
                    json!({"id": saved.id, "success": true, "errors": [], "created": saved.created}),
                )
            }
        }
    }

    fn refusal(&self, object: &str, refused: Refused) -> Reply {
        match refused {
            Refused::Row {
                code,
                message,
                fields,
            } => {
                let mut error = json!({"message": message, "errorCode": code});
                if !fields.is_empty() {
                    error["fields"] = json!(fields);
                }
                (400, json!([error]))
            }
            Refused::Request { message } => bad_json(&message),
            Refused::NotFound => not_found(),
            Refused::Several(ids) => {
                let urls: Vec<String> = ids
                    .iter()
                    .map(|id| format!("/services/data/v65.0/sobjects/{object}/{id}"))
                    .collect();
                (300, json!(urls))
            }
        }
    }

    /// Upserts by a key, or inserts.
    fn collection(&mut self, by: Option<(&str, &str)>, body: &str) -> Reply {
        let read: Collection = match serde_json::from_str(body) {
            Ok(read) => read,
            Err(error) => return bad_json(&error.to_string()),
        };
        if read.records.len() > 200 {
            return (
                400,
                errors(
                    "EXCEEDED_MAX_SIZE_REQUEST",
                    "record limit reached. cannot submit more than 200 records into this call",
                ),
            );
        }
        if let Some((object, field)) = by
            && !self
                .objects
                .get(object)
                .is_some_and(|object| object.field(field).is_some_and(|field| field.external_id))
        {
            return not_found();
        }
        let before = self.objects.clone();
        let keys: Vec<Option<String>> = read
            .records
            .iter()
            .map(|record| key_of(record.get(), by))
            .collect();
        let mut results = Vec::new();
        for (record, key) in read.records.iter().zip(&keys) {
            match self.element(by, record.get(), key.as_deref(), &keys) {
                Ok(result) => results.push(result),
                Err(message) => {
                    // Nothing of a request that can't be read is done.
                    self.objects = before;
                    return bad_json(&message);
                }
            }
        }
        if read.all_or_none && results.iter().any(|result| result["success"] == false) {
            self.objects = before;
            for result in results
                .iter_mut()
                .filter(|result| result["success"] == true)
            {
                *result = failed(
                    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
                    "Record rolled back because not all records were valid and the request was using AllOrNone header",
                    &[],
                );
            }
        }
        (200, Value::Array(results))
    }

    fn element(
        &mut self,
        by: Option<(&str, &str)>,
        record: &str,
        key: Option<&str>,
        keys: &[Option<String>],
    ) -> Result<Value, String> {
        let mut sent: Sent = serde_json::from_str(record).map_err(|error| error.to_string())?;
        let attributes: Value = sent
            .get("attributes")
            .and_then(|json| serde_json::from_str(json.get()).ok())
            .unwrap_or_default();
        let Some(object) = attributes["type"].as_str().map(str::to_owned) else {
            return Ok(failed(
                "INVALID_TYPE",
                "Required attribute type is missing",
                &[],
            ));
        };
        let target = match by {
            None => Target::New,
            Some((named, _)) if named != object => {
                return Ok(failed(
                    "INVALID_TYPE",
                    "the type is another than the URL's",
                    &[],
                ));
            }
            Some((_, field)) => {
                let Some(key) = key else {
                    return Ok(failed(
                        "MISSING_ARGUMENT",
                        &format!("{field} not specified"),
                        &[],
                    ));
                };
                let same = |other: &&Option<String>| {
                    other
                        .as_ref()
                        .is_some_and(|other| other.to_lowercase() == key.to_lowercase())
                };
                if keys.iter().filter(same).count() > 1 {
                    return Ok(failed(
                        "DUPLICATE_VALUE",
                        &format!("Duplicate external id specified: {key}"),
                        &[field.to_owned()],
                    ));
                }
                sent.remove(field);
                Target::Key {
                    field: field.to_owned(),
                    value: key.to_owned(),
                    update_only: false,
                }
            }
        };
        match self.save(&object, &target, sent) {
            Ok(saved) if object.ends_with("__e") || by.is_none() => {
                Ok(self.saved(&object, &Target::New, &saved).1)
            }
            Ok(saved) => {
                Ok(json!({"id": saved.id, "success": true, "errors": [], "created": saved.created}))
            }
            Err(Refused::Row {
                code,
                message,
                fields,
            }) => Ok(failed(code, &message, &fields)),
            Err(Refused::Request { message }) => Err(message),
            Err(Refused::NotFound) => Ok(failed(
                "INVALID_TYPE",
                &format!("sObject type '{object}' is not supported."),
                &[],
            )),
            Err(Refused::Several(ids)) => {
                let message = format!(
                    "more than one record found for external id field: [{}]",
                    ids.join(", ")
                );
                Ok(failed("DUPLICATE_EXTERNAL_ID", &message, &[]))
            }
        }
    }

    fn list(&self) -> Value {
        let each = |(name, _): (&String, _)| json!({"name": name, "label": label(name), "createable": true, "updateable": !name.ends_with("__e")});
        json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": self.objects.iter().map(each).collect::<Vec<_>>()})
    }

    fn describe(&self, name: &str) -> Option<Value> {
        let object = self.objects.get(name)?;
        let mut fields = vec![json!({
            "name": "Id", "label": "Record ID", "type": "id", "length": 18, "idLookup": true, "externalId": false, "nillable": false,
            "defaultedOnCreate": true, "createable": false, "updateable": false, "picklistValues": [], "referenceTo": [], "relationshipName": null,
        })];
        fields.extend(object.fields.iter().map(described));
        Some(json!({"name": name, "label": label(name), "createable": true, "fields": fields}))
    }
}

/// What a record says that its key is.
fn key_of(record: &str, by: Option<(&str, &str)>) -> Option<String> {
    let sent: Sent = serde_json::from_str(record).ok()?;
    let json = sent.get(by?.1)?.get();
    let text = super::org::plain(json);
    (json != "null" && !text.is_empty()).then_some(text)
}

fn failed(code: &str, message: &str, fields: &[String]) -> Value {
    json!({"success": false, "errors": [{"statusCode": code, "message": message, "fields": fields}]})
}

fn label(name: &str) -> String {
    name.trim_end_matches("__c")
        .trim_end_matches("__e")
        .replace('_', " ")
}

fn described(field: &Field) -> Value {
    let (kind, length, picks, reference) = match &field.kind {
        Kind::Text(length) => ("string", *length, Vec::new(), None),
        Kind::Number => ("currency", 0, Vec::new(), None),
        Kind::Integer => ("int", 0, Vec::new(), None),
        Kind::Boolean => ("boolean", 0, Vec::new(), None),
        Kind::Date => ("date", 0, Vec::new(), None),
        Kind::DateTime => ("datetime", 0, Vec::new(), None),
        Kind::Picklist(values) => ("picklist", 255, values.clone(), None),
        Kind::Reference(object, relationship) => {
            ("reference", 18, Vec::new(), Some((*object, *relationship)))
        }
    };
    let picks: Vec<Value> = picks
        .iter()
        .map(|value| json!({"value": value, "label": value, "active": true, "defaultValue": false}))
        .collect();
    json!({
        "name": field.name, "label": label(field.name), "type": kind, "length": length,
        "externalId": field.external_id, "idLookup": field.external_id, "unique": field.unique,
        "nillable": !field.required && kind != "boolean", "defaultedOnCreate": kind == "boolean",
        "createable": field.writable, "updateable": field.writable,
        "restrictedPicklist": !picks.is_empty(), "picklistValues": picks,
        "referenceTo": reference.map(|(object, _)| vec![object]).unwrap_or_default(),
        "relationshipName": reference.map(|(_, name)| name),
    })
}

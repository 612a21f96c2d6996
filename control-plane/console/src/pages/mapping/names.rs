//! Objects and fields as the destination tells them, to be offered while somebody types. It is another company's server that is asked: a page
//! never waits for it, but for those who want the names.

use futures_util::future::join_all;
use hookplane_proto::v1;

use super::form::Object;
use crate::page::Visitor;
use crate::spoken::in_words;
use crate::weight;

/// Destinations that are tried.
const MAX_ASKED: usize = 3;
/// The org's, among which those that take records are looked for.
const LOOKED_AT: u32 = 100;
/// Objects of a mapping whose fields are asked for.
const MAX_OBJECTS: usize = 12;
/// Offered in all, in the page: an org may have a thousand objects, and each some hundred fields.
const OFFERED: usize = 20 * 1024;
const OFFERED_FIELDS: usize = 40 * 1024;

/// For `mapping_names.html`, under the name `names`.
#[derive(Default)]
pub(super) struct Names {
    /// There is a destination that may have a description.
    pub(super) there: bool,
    /// Who was asked.
    pub(super) destination: String,
    pub(super) objects: Vec<v1::ObjectDescription>,
    pub(super) described: Vec<v1::ObjectDescription>,
    /// Why nothing is offered.
    pub(super) problem: String,
}

impl Names {
    /// Before anybody is asked.
    pub(super) async fn unasked(visitor: &Visitor, org: &str, webhook: &v1::Webhook) -> Self {
        Self {
            there: !destinations(visitor, org, webhook).await.is_empty(),
            ..Self::default()
        }
    }

    pub(super) fn asked(&self) -> bool {
        !self.destination.is_empty() || !self.problem.is_empty()
    }
}

/// Those of the webhook. While it has none, the org's that take records: an active webhook gets one of them only once it is mapped.
async fn destinations(visitor: &Visitor, org: &str, webhook: &v1::Webhook) -> Vec<String> {
    let own = webhook.spec.iter().flat_map(|spec| &spec.destinations);
    let own = own.map(|one| one.r#ref.clone());
    let mut all: Vec<_> = own.filter(|name| !name.is_empty()).collect();
    if all.is_empty() {
        let request = v1::ListDestinationsRequest {
            parent: format!("orgs/{org}"),
            page_size: LOOKED_AT,
            page_token: String::new(),
        };
        // Without them the rows can be written all the same.
        let listed = visitor.api.destinations().list_destinations(request).await;
        let listed = listed.map_or_else(|_| Vec::new(), |answer| answer.into_inner().destinations);
        all.extend(listed.into_iter().filter_map(|one| {
            let takes_records = one.spec.is_some_and(|spec| spec.salesforce.is_some());
            takes_records.then(|| one.metadata.unwrap_or_default().name)
        }));
    }
    all.truncate(MAX_ASKED);
    all
}

pub(super) async fn of(
    visitor: &Visitor,
    org: &str,
    webhook: &v1::Webhook,
    base: &Object,
) -> Names {
    let destinations = destinations(visitor, org, webhook).await;
    let mut names = Names {
        there: !destinations.is_empty(),
        ..Names::default()
    };
    let describe = async |destination: &str, object: &str| {
        let request = v1::DescribeDestinationRequest {
            name: format!("orgs/{org}/destinations/{destination}"),
            object: object.to_owned(),
        };
        let mut api = visitor.api.destinations();
        let answer = api.describe_destination(request).await?;
        Ok::<_, tonic::Status>(answer.into_inner().objects)
    };
    for destination in destinations {
        match describe(&destination, "").await {
            Ok(objects) => {
                names.destination = destination;
                names.objects = objects;
                break;
            }
            Err(status) => names.problem = in_words(status.message()),
        }
    }
    if names.destination.is_empty() {
        return names;
    }
    names.problem.clear();
    let objects_told = std::mem::take(&mut names.objects);
    (names.objects, _) = weight::first(objects_told, OFFERED, |one| {
        20 + weight::of(&one.name) + weight::of(&one.label)
    });
    let mut wanted = Vec::new();
    objects(base, &mut wanted);
    let asked = wanted
        .iter()
        .map(|object| describe(&names.destination, object));
    // One that isn't there has no fields to offer: the preview says so when it is asked to check.
    let described = join_all(asked).await.into_iter().filter_map(Result::ok);
    names.described = described.flatten().collect();
    let each = OFFERED_FIELDS / names.described.len().max(1);
    for object in &mut names.described {
        let fields = std::mem::take(&mut object.fields);
        (object.fields, _) = weight::first(fields, each, |field| {
            60 + weight::of(&field.name) + weight::of(&field.label) + weight::of(&field.r#type)
        });
    }
    names
}

/// The first that there are.
fn objects(object: &Object, into: &mut Vec<String>) {
    if into.len() >= MAX_OBJECTS {
        return;
    }
    if !object.object.is_empty() && !into.contains(&object.object) {
        into.push(object.object.clone());
    }
    for object in object.parents.iter().chain(&object.children) {
        objects(object, into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::mapping::form::Kind;

    #[test]
    fn the_first_objects_are_asked_for_each_once() {
        let mut base = Object::blank(Kind::Base);
        for index in 0..60 {
            let mut child = Object::blank(Kind::Child);
            child.object = format!("Object_{}__c", index / 2);
            base.children.push(child);
        }
        let mut wanted = Vec::new();
        objects(&base, &mut wanted);
        let first: Vec<_> = (0..MAX_OBJECTS).map(|n| format!("Object_{n}__c")).collect();
        assert_eq!(wanted, first);
    }
}

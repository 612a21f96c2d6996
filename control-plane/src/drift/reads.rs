//! What a webhook reads of a payload: the paths of its mapping, its filter and its order, worked out once for each version of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::filter::{Expression, Filter};

use super::walk;
use crate::mapping::Mapping;

/// Webhooks whose paths are remembered. Past it all are worked out anew.
const MAX_WEBHOOKS: usize = 5_000;
/// What an order's expression may name.
const VARIABLES: [&str; 4] = ["payload", "headers", "query", "event"];

/// Each path as it is written, and as it is found.
pub(super) type Paths = Arc<[(String, String)]>;

#[derive(Default)]
pub(super) struct Reads {
    /// By uid, with the version of the webhook that they are of.
    of: HashMap<String, (v1::WebhookSpec, Paths)>,
}

impl Reads {
    pub(super) fn of(&mut self, webhook: &v1::Webhook) -> Paths {
        let Some((spec, metadata)) = webhook.spec.as_ref().zip(webhook.metadata.as_ref()) else {
            return Arc::default();
        };
        if let Some((of, paths)) = self.of.get(&metadata.uid)
            && of.mapping == spec.mapping
            && of.filter == spec.filter
            && of.order_by == spec.order_by
        {
            return Arc::clone(paths);
        }
        if self.of.len() >= MAX_WEBHOOKS {
            self.of.clear();
        }
        let paths = paths(spec);
        let key = v1::WebhookSpec {
            mapping: spec.mapping.clone(),
            filter: spec.filter.clone(),
            order_by: spec.order_by.clone(),
            ..Default::default()
        };
        self.of
            .insert(metadata.uid.clone(), (key, Arc::clone(&paths)));
        paths
    }
}

/// What doesn't compile was admitted by another version, and reads nothing here.
fn paths(spec: &v1::WebhookSpec) -> Paths {
    let mut all = BTreeSet::new();
    if let Some(mapping) = spec.mapping.as_ref().filter(|mapping| mapping.active)
        && let Ok(mapping) = Mapping::compile(mapping)
    {
        all.extend(mapping.paths());
    }
    if !spec.filter.trim().is_empty()
        && let Ok(filter) = Filter::compile(&spec.filter)
    {
        all.extend(filter.paths());
    }
    if !spec.order_by.trim().is_empty()
        && let Ok(order) = Expression::compile(&spec.order_by, &VARIABLES)
    {
        all.extend(order.paths());
    }
    let found = all.into_iter().filter_map(|path| {
        let found = walk::as_found(&path)?;
        Some((path, found))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_reads_what_its_filter_and_its_order_name() {
        let webhook = v1::Webhook {
            metadata: Some(v1::Metadata {
                uid: "w".to_owned(),
                ..Default::default()
            }),
            spec: Some(v1::WebhookSpec {
                filter: "payload.lines.exists(l, l.sku == 'x') && headers['a'] == 'b'".to_owned(),
                order_by: "payload.customer.id".to_owned(),
                ..Default::default()
            }),
            status: None,
        };
        let mut reads = Reads::default();
        let found = |paths: Paths| {
            paths
                .iter()
                .map(|(_, found)| found.clone())
                .collect::<Vec<_>>()
        };
        let first = reads.of(&webhook);
        assert!(Arc::ptr_eq(&first, &reads.of(&webhook)), "worked out once");
        assert_eq!(
            found(first),
            [
                "payload.customer.id",
                "payload.lines",
                "payload.lines[*].sku"
            ]
        );
        let mut other = webhook;
        other.spec.as_mut().unwrap().filter.clear();
        assert_eq!(found(reads.of(&other)), ["payload.customer.id"]);
    }
}

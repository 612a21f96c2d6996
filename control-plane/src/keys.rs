//! The store's keys, all of them. Values are protobuf bytes of the resource, without what is told from the key's revision
//! (`metadata.revision`, `metadata.etag`) and without status that is computed (`status.live`).
//!
//! | key | value |
//! | --- | --- |
//! | `v1/installation` | the installation's MAC key, sealed |
//! | `v1/orgs/ORG` | `Org` |
//! | `v1/connectors/ORG/NAME` | `Connector` of an org's own |
//! | `v1/pins/DIGEST` | `Connector`: a definition that a group was saved with; never changed |
//! | `v1/groups/ORG/GROUP` | `WebhookGroup`, secrets sealed |
//! | `v1/webhooks/ORG/GROUP/WEBHOOK` | `Webhook` |
//! | `v1/destinations/ORG/NAME` | `Destination`, secrets sealed |
//! | `v1/tokens/ORG/ID` | `StoredToken`, its secret hashed; `-` for ORG where it is for the whole installation |
//! | `v1/guards/orgs/ORG` | written with each new group, connector and token of the org: its revision is what counts |
//! | `v1/guards/groups/ORG/GROUP` | likewise with each webhook that is saved |
//! | `v1/guards/destinations/ORG/NAME` | likewise with each webhook that names it |
//! | `v1/guards/pins/DIGEST` | likewise with each group that pins it |
//! | `v1/dropping/WEBHOOK_UID` | why the deliveries of a deleted webhook are to be dropped; removed when they are |
//! | `v1/epoch` | a random id, hex: revisions compare only within one. Written anew when the store turns out to have been rolled back |
//! | `v1/canary` | who wrote it last; each control plane does, every few seconds, to see its own watch bring it |
//! | `v1/tombstones/groups/POOL/GROUP_UID` | a group left that pool: deleted, or moved to another. See `config::tombstone` |
//! | `v1/tombstones/webhooks/WEBHOOK_UID` | webhooks, this one first, were deleted from a group that stays |
//! | `v1/tombstones/pins/ORG/POOL/DIGEST` | a group of that org in that pool no longer pins that definition |
//! | `v1/horizon` | a revision in decimal: every tombstone after it is still there |
//! | `flights/CANARY` | how often one control plane's canary flew: one that finds another number than it left knows that the store was put back |
//! | `unsubscribed/WEBHOOK_UID` | the key of a webhook that was saved without subscribers and had some; removed when nothing waits for them. See `dispatch::unsubscribed` |
//! | `mappings/WEBHOOK_UID/VERSION` | `Mapping`: a version of a webhook's, ten digits; never changed |
//! | `fleet/REPLICA/…` | what each running control plane says of its listeners, gone with it. See `config::fleet::record` |
//!
//! `fleet/`, `flights/`, `unsubscribed/` and `mappings/` are beside `v1/`, not in it: what is said there costs neither the watch nor a listener anything. A
//! webhook may have 200 versions of its mapping, each is read when something is delivered with it, and none has a place in a view of everything.
//!
//! Names have no slash, so a prefix that ends in one holds exactly what is below it.

/// Every key of the configuration begins with this.
pub const ROOT: &str = "v1/";
/// The installation's MAC key.
pub const INSTALLATION: &str = "v1/installation";
/// All orgs.
pub const ORGS: &str = "v1/orgs/";
/// All orgs' own connectors.
pub const CONNECTORS: &str = "v1/connectors/";
/// All pinned definitions.
pub const PINS: &str = "v1/pins/";
/// All groups.
pub const GROUPS: &str = "v1/groups/";
/// All webhooks.
pub const WEBHOOKS: &str = "v1/webhooks/";
/// All destinations.
pub const DESTINATIONS: &str = "v1/destinations/";
/// All versions of mappings.
pub const MAPPINGS: &str = "mappings/";
/// All tokens.
pub const TOKENS: &str = "v1/tokens/";
/// Stands for the org of a token that is for the whole installation. No org can have this name.
pub const INSTALLATION_WIDE: &str = "-";

/// All guards of orgs.
const ORG_GUARDS: &str = "v1/guards/orgs/";
/// All guards of groups.
const GROUP_GUARDS: &str = "v1/guards/groups/";
/// All guards of destinations.
const DESTINATION_GUARDS: &str = "v1/guards/destinations/";
/// All guards of pins.
pub const PIN_GUARDS: &str = "v1/guards/pins/";
/// All deleted webhooks whose deliveries are to be dropped.
pub const DROPPING: &str = "v1/dropping/";

/// The store's epoch.
pub const EPOCH: &str = "v1/epoch";
/// The canary.
pub const CANARY: &str = "v1/canary";
/// All tombstones.
pub const TOMBSTONES: &str = "v1/tombstones/";
/// From when on tombstones are whole.
pub const HORIZON: &str = "v1/horizon";

/// All webhooks that lost their subscribers.
pub const UNSUBSCRIBED: &str = "unsubscribed/";

/// What each canary left.
pub const FLIGHTS: &str = "flights/";

/// What replicas say of their listeners.
pub const FLEET: &str = "fleet/";

/// Something that a replica says.
pub fn of_replica(id: &str, what: &str) -> String {
    format!("{FLEET}{id}/{what}")
}

/// A group left a pool.
pub fn tombstone_of_group(pool: &str, group_uid: &str) -> String {
    format!("{TOMBSTONES}groups/{pool}/{group_uid}")
}

/// Webhooks were deleted, this one first.
pub fn tombstone_of_webhooks(first_uid: &str) -> String {
    format!("{TOMBSTONES}webhooks/{first_uid}")
}

/// A definition lost a group that pinned it.
pub fn tombstone_of_pin(org: &str, pool: &str, digest: &str) -> String {
    format!("{TOMBSTONES}pins/{org}/{pool}/{digest}")
}

/// Guards what is in an org.
pub fn org_guard(org: &str) -> String {
    format!("{ORG_GUARDS}{org}")
}

/// Guards a group's webhooks.
pub fn group_guard(org: &str, group: &str) -> String {
    format!("{GROUP_GUARDS}{org}/{group}")
}

/// Guards who names a destination.
pub fn destination_guard(org: &str, name: &str) -> String {
    format!("{DESTINATION_GUARDS}{org}/{name}")
}

/// Guards who pins a definition.
pub fn pin_guard(digest: &str) -> String {
    format!("{PIN_GUARDS}{digest}")
}

/// A deleted webhook whose deliveries are to be dropped.
pub fn dropping(webhook_uid: &str) -> String {
    format!("{DROPPING}{webhook_uid}")
}

/// A webhook that lost its subscribers.
pub fn unsubscribed(webhook_uid: &str) -> String {
    format!("{UNSUBSCRIBED}{webhook_uid}")
}

/// An org.
pub fn org(org: &str) -> String {
    format!("{ORGS}{org}")
}

/// An org's own connector.
pub fn connector(org: &str, name: &str) -> String {
    format!("{CONNECTORS}{org}/{name}")
}

/// A pinned definition.
pub fn pin(digest: &str) -> String {
    format!("{PINS}{digest}")
}

/// A group.
pub fn group(org: &str, group: &str) -> String {
    format!("{GROUPS}{org}/{group}")
}

/// A webhook.
pub fn webhook(org: &str, group: &str, webhook: &str) -> String {
    format!("{WEBHOOKS}{org}/{group}/{webhook}")
}

/// An org's destination.
pub fn destination(org: &str, name: &str) -> String {
    format!("{DESTINATIONS}{org}/{name}")
}

/// A version of a webhook's mapping.
pub fn mapping(webhook_uid: &str, version: u32) -> String {
    format!("{}{version:010}", mappings_of(webhook_uid))
}

/// All versions of a webhook's mapping.
pub fn mappings_of(webhook_uid: &str) -> String {
    format!("{MAPPINGS}{webhook_uid}/")
}

/// A token. `org` may be [`INSTALLATION_WIDE`].
pub fn token(org: &str, id: &str) -> String {
    format!("{TOKENS}{org}/{id}")
}

/// Whose key this is: the org's name, or [`INSTALLATION_WIDE`]. None for what belongs to no org.
pub fn org_of(key: &str) -> Option<&str> {
    [
        ORGS,
        CONNECTORS,
        GROUPS,
        WEBHOOKS,
        DESTINATIONS,
        TOKENS,
        ORG_GUARDS,
        GROUP_GUARDS,
        DESTINATION_GUARDS,
    ]
    .iter()
    .find_map(|prefix| key.strip_prefix(prefix))
    .and_then(|rest| rest.split('/').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_an_org_says_whose_it_is() {
        for key in [
            org("acme"),
            connector("acme", "x"),
            group("acme", "x"),
            webhook("acme", "x", "y"),
            destination("acme", "x"),
            token("acme", "x"),
            org_guard("acme"),
            group_guard("acme", "x"),
            destination_guard("acme", "x"),
        ] {
            assert_eq!(org_of(&key), Some("acme"), "{key}");
        }
        assert_eq!(org_of(&token(INSTALLATION_WIDE, "x")), Some("-"));
        for key in [
            INSTALLATION.to_owned(),
            pin("x"),
            pin_guard("x"),
            dropping("x"),
        ] {
            assert_eq!(org_of(&key), None, "{key}");
        }
    }
}

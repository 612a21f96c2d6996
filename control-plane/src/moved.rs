//! Callback URLs after the public URL has changed: `dev` on another port, a new host name.
//!
//! A group keeps its callback URL whole, because that is what some providers sign. So when the server starts under another public URL, the
//! groups are written anew with it, each a change like any other: listeners hear of it, and `get groups` shows what works. The token stays, so
//! that callbacks to the old host, where it still leads here, are taken; only signatures over the old URL no longer verify.
//!
//! While another replica runs under another public URL nothing is rewritten: the two would take turns with every restart. The last one
//! of them to be given the new URL finds no other, and moves the groups.

use hookplane_proto::v1;
use prost::Message as _;

use crate::config::{Fleet, View};
use crate::store::{Precondition, Store, StoreError, Transaction, Write};

/// What follows the public URL: org, connector, function, token.
const OWN_SEGMENTS: usize = 4;

/// Has the groups follow, and says so. False while another replica differs.
pub(crate) async fn unless_others_differ(
    store: &dyn Store,
    view: &View,
    fleet: &Fleet,
    public_url: &str,
) -> Result<bool, StoreError> {
    if let Some((replica, other)) = fleet.other_url(public_url) {
        tracing::warn!(
            public_url,
            replica,
            other,
            "another replica has another --public-url; callback URLs stay as they are until it has ended"
        );
        return Ok(false);
    }
    let groups = follow(store, view, public_url).await?;
    if groups > 0 {
        tracing::info!(
            groups,
            public_url,
            "callback URLs follow the new public URL; providers need them"
        );
    }
    Ok(true)
}

/// Makes every group's callback URLs begin with `public_url`. Says how many groups had to change. The view knows which: mostly none, and
/// then a start with many groups reads none of them.
async fn follow(store: &dyn Store, view: &View, public_url: &str) -> Result<u64, StoreError> {
    let mut changed = 0;
    for key in view.groups_where(|status| move_all(&mut status.clone(), public_url)) {
        let Some(entry) = store.get(&key).await? else {
            continue;
        };
        let mut group = v1::WebhookGroup::decode(entry.value.clone())
            .map_err(|error| StoreError::Damaged(format!("`{key}`: {error}")))?;
        let status = group.status.get_or_insert_default();
        if !move_all(status, public_url) {
            continue;
        }
        let transaction = Transaction {
            checks: vec![(key.clone(), Precondition::At(entry.revision))],
            writes: vec![Write::Put(key, group.encode_to_vec().into())],
        };
        match store.commit(transaction).await {
            Ok(_) => changed += 1,
            // Somebody saved it just now; another replica that starts does the same as we do.
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(changed)
}

/// Puts a group's URLs under another public URL. False when they are there already.
fn move_all(status: &mut v1::WebhookGroupStatus, public_url: &str) -> bool {
    let mut differs = moved(&mut status.callback_url, public_url);
    for retiring in &mut status.retiring_urls {
        differs |= moved(&mut retiring.url, public_url);
    }
    differs
}

/// Puts a URL under another public URL. False when it is there already.
fn moved(url: &mut String, public_url: &str) -> bool {
    let Some((start, _)) = url.rmatch_indices('/').nth(OWN_SEGMENTS - 1) else {
        return false;
    };
    if url[..start] == *public_url {
        return false;
    }
    url.replace_range(..start, public_url);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_what_is_its_own_under_another_public_url() {
        let mut url = "http://127.0.0.1:8080/acme/github/repository/token".to_owned();
        assert!(!moved(&mut url, "http://127.0.0.1:8080"));
        assert!(moved(&mut url, "https://hooks.example.com/in"));
        assert_eq!(
            url,
            "https://hooks.example.com/in/acme/github/repository/token"
        );
        assert!(moved(&mut url, "http://127.0.0.1:9"));
        assert_eq!(url, "http://127.0.0.1:9/acme/github/repository/token");
    }
}

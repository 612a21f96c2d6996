//! Lists page by page, all pages at the revision of the first. A token names that revision, the last key, and which list it is of.

use prost::Message;
use sha2::{Digest, Sha256};

use super::status::Problem;
use crate::store::{Entry, Revision, Store};

const DEFAULT_PAGE: usize = 100;
const MAX_PAGE: usize = 1000;
/// Values are up to 1 MiB, an answer is at most 4 MiB by gRPC's default: stop a page early rather than fail.
const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;
const MAX_TOKEN_BYTES: usize = 1024;
/// Read from the store at once.
const READ_AT_ONCE: usize = 200;

/// Where a list goes on.
struct Token {
    revision: Revision,
    after: String,
}

fn list_id(list: &str) -> String {
    hex::encode(&Sha256::digest(list.as_bytes())[..4])
}

fn write(list: &str, revision: Revision, after: &str) -> String {
    hex::encode(format!("1 {} {revision} {after}", list_id(list)))
}

fn read(list: &str, token: &str) -> Result<Option<Token>, Problem> {
    if token.is_empty() {
        return Ok(None);
    }
    let wrong = || {
        Problem::field(
            "page_token",
            "is not one that this list answered: leave it out to start again",
        )
    };
    if token.len() > MAX_TOKEN_BYTES {
        return Err(wrong());
    }
    let text = hex::decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(wrong)?;
    let mut parts = text.splitn(4, ' ');
    let mut next = || parts.next().ok_or_else(wrong);
    if next()? != "1" || next()? != list_id(list) {
        return Err(wrong());
    }
    let revision = next()?.parse().map_err(|_| wrong())?;
    let after = next()?.to_owned();
    Ok(Some(Token { revision, after }))
}

fn size_of(asked: u32) -> usize {
    match usize::try_from(asked).unwrap_or(MAX_PAGE) {
        0 => DEFAULT_PAGE,
        size => size.min(MAX_PAGE),
    }
}

/// True for a token that goes on with this list.
pub(super) fn is_of(list: &str, token: &str) -> bool {
    matches!(read(list, token), Ok(Some(_)))
}

/// One page of what is in memory, in order of names, and the next page's token: that of the end where `goes_on`, since another list follows.
pub(super) fn page_in_memory<'a, M: Message + 'a>(
    list: &str,
    all: impl Iterator<Item = (&'a str, &'a M)>,
    size: u32,
    token: &str,
    goes_on: bool,
) -> Result<(Vec<&'a M>, String), Problem> {
    let after = read(list, token)?.map(|token| token.after);
    let is_next = |name: &str| after.as_deref().is_none_or(|after| name > after);
    let mut found = Vec::new();
    let (mut bytes, mut last) = (0, "");
    for (name, message) in all.filter(|(name, _)| is_next(name)) {
        bytes += message.encoded_len();
        if found.len() == size_of(size) || (!found.is_empty() && bytes > MAX_PAGE_BYTES) {
            return Ok((found, write(list, 0, last)));
        }
        last = name;
        found.push(message);
    }
    let next = match goes_on && !found.is_empty() {
        true => write(list, 0, last),
        false => String::new(),
    };
    Ok((found, next))
}

/// One page of the keys that begin with `prefix` and are `wanted`, and the next page's token. `list` names the list.
pub(super) async fn page(
    store: &dyn Store,
    list: &str,
    prefix: &str,
    size: u32,
    token: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<(Vec<Entry>, String), Problem> {
    let size = size_of(size);
    let (mut at, mut after) = match read(list, token)? {
        Some(token) => (Some(token.revision), Some(token.after)),
        None => (None, None),
    };
    let mut found: Vec<Entry> = Vec::new();
    let mut bytes = 0;
    loop {
        let listing = store
            .list(prefix, after.as_deref(), READ_AT_ONCE, at)
            .await?;
        at = Some(listing.revision);
        let last = listing.entries.len() < READ_AT_ONCE;
        for entry in listing.entries {
            if !wanted(&entry.key) {
                after = Some(entry.key);
                continue;
            }
            let full = found.len() == size
                || (!found.is_empty() && bytes + entry.value.len() > MAX_PAGE_BYTES);
            if full {
                let end = found.last().map_or("", |e| &e.key);
                let next = write(list, listing.revision, end);
                return Ok((found, next));
            }
            bytes += entry.value.len();
            after = Some(entry.key.clone());
            found.push(entry);
        }
        if last {
            return Ok((found, String::new()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{EmbeddedStore, Transaction, Write};

    #[tokio::test]
    async fn pages_are_of_one_revision_and_hold_everything_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path()).unwrap();
        for chunk in 0..5 {
            let writes = (0..100)
                .map(|i| Write::Put(format!("v1/orgs/o{chunk}{i:02}"), "x".into()))
                .collect();
            store
                .commit(Transaction {
                    checks: Vec::new(),
                    writes,
                })
                .await
                .unwrap();
        }
        let mut seen = Vec::new();
        let mut token = String::new();
        loop {
            let (entries, next) = page(&*store, "orgs", "v1/orgs/", 70, &token, |_| true)
                .await
                .unwrap();
            assert!(entries.len() <= 70);
            seen.extend(entries.into_iter().map(|e| e.key));
            // What comes later is not in this list.
            let late = Write::Put(format!("v1/orgs/z{}", seen.len()), "x".into());
            store
                .commit(Transaction {
                    checks: Vec::new(),
                    writes: vec![late],
                })
                .await
                .unwrap();
            if next.is_empty() {
                break;
            }
            token = next;
        }
        let count = seen.len();
        seen.dedup();
        assert_eq!((count, seen.len()), (500, 500));
        // A token of one list is not taken by another.
        assert!(
            page(&*store, "others", "v1/orgs/", 70, &token, |_| true)
                .await
                .is_err()
        );
    }

    #[test]
    fn a_token_that_was_made_up_is_refused() {
        for wrong in [
            "x",
            "00",
            "zz",
            &"ab".repeat(600),
            &hex::encode("1 00000000 5 k"),
        ] {
            assert!(read("orgs", wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            read("orgs", &write("orgs", 7, "v1/orgs/a"))
                .unwrap()
                .unwrap()
                .revision,
            7
        );
    }
}

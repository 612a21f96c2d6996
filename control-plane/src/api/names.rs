//! Resource names: `orgs/acme/groups/shop-prod/webhooks/order-paid`, `connectors/github`, `orgs/acme/connectors/erp`.

use hookplane_rules::FieldError;

use super::status::Problem;

/// Below the 63 that a DNS label takes.
const MAX_NAME: usize = 63;

/// Stands for all in a list's parent.
pub(super) const ANY: &str = "-";

/// What a name may be. The message says what would be right.
pub(super) fn check(field: &str, name: &str) -> Result<(), FieldError> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edges = !name.starts_with('-') && !name.ends_with('-');
    if !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(inner) && edges {
        return Ok(());
    }
    if name.is_empty() {
        return Err(FieldError::new(field, "is missing"));
    }
    Err(FieldError::new(
        field,
        format!(
            "`{}` is no name: 1 to {MAX_NAME} lower-case letters, digits and dashes, no dash at either end",
            name.chars().take(MAX_NAME + 1).collect::<String>()
        ),
    ))
}

/// A part of a parent: none for any.
pub(super) fn named(part: &str) -> Option<String> {
    (part != ANY).then(|| part.to_owned())
}

/// Takes a path of this pattern apart. In the pattern `*` stands for a name: `orgs/*/groups/*`.
pub(super) fn parse<'a, const N: usize>(
    field: &str,
    path: &'a str,
    pattern: &str,
    wildcards: bool,
) -> Result<[&'a str; N], Problem> {
    let wrong = || {
        Problem::field(
            field,
            format!(
                "must be of the form `{pattern}`, with a name for each `*`{}",
                if wildcards { " (`-` for any)" } else { "" }
            ),
        )
    };
    let mut names = [""; N];
    let mut found = 0;
    let mut parts = path.split('/');
    for expected in pattern.split('/') {
        let part = parts.next().ok_or_else(wrong)?;
        if expected != "*" {
            if part != expected {
                return Err(wrong());
            }
            continue;
        }
        if !(wildcards && part == ANY) {
            check(field, part)?;
        }
        *names.get_mut(found).ok_or_else(wrong)? = part;
        found += 1;
    }
    if parts.next().is_some() || found != N {
        return Err(wrong());
    }
    Ok(names)
}

pub(super) fn org(org: &str) -> String {
    format!("orgs/{org}")
}

/// An empty org means a built-in one.
pub(super) fn connector(org: &str, name: &str) -> String {
    if org.is_empty() {
        format!("connectors/{name}")
    } else {
        format!("orgs/{org}/connectors/{name}")
    }
}

pub(super) fn destination(org: &str, name: &str) -> String {
    format!("orgs/{org}/destinations/{name}")
}

pub(super) fn group(org: &str, group: &str) -> String {
    format!("orgs/{org}/groups/{group}")
}

pub(super) fn webhook(org: &str, group: &str, webhook: &str) -> String {
    format!("orgs/{org}/groups/{group}/webhooks/{webhook}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_gives_its_names_and_nothing_else_is_taken() {
        let parse = |path| parse::<2>("name", path, "orgs/*/groups/*", false);
        assert_eq!(
            parse("orgs/acme/groups/shop-1").unwrap(),
            ["acme", "shop-1"]
        );
        for wrong in [
            "",
            "orgs",
            "orgs/acme",
            "orgs/acme/groups/",
            "orgs//groups/a",
            "orgs/acme/groups/a/",
            "orgs/acme/groups/a/webhooks/b",
            "/orgs/acme/groups/a",
            "orgs/acme/webhooks/a",
            "orgs/Acme/groups/a",
            "orgs/-/groups/a",
            "orgs/a_b/groups/a",
            "orgs/é/groups/a",
            "orgs/../groups/a",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_dash_stands_for_any_only_where_it_may() {
        assert_eq!(
            parse::<2>("parent", "orgs/-/groups/-", "orgs/*/groups/*", true).unwrap(),
            ["-", "-"]
        );
        assert!(parse::<1>("parent", "orgs/-", "orgs/*", false).is_err());
    }

    #[test]
    fn a_name_is_a_dns_label() {
        assert!(check("metadata.name", &"a".repeat(63)).is_ok());
        for wrong in ["", "-a", "a-", "a.b", "A", "a/b", "a b", &"a".repeat(64)] {
            let error = check("metadata.name", wrong).unwrap_err();
            assert_eq!(error.field, "metadata.name");
        }
    }
}

//! What the API says, as people here call things: it quotes resources by the names that requests carry.

/// `orgs/acme/groups/shop/webhooks/paid` is `webhook shop/paid`. The page says which org it is of. None: it is no such name.
fn spoken(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('/').collect();
    let kind = match *parts.get(parts.len().checked_sub(2)?)? {
        "orgs" => "org",
        "groups" => "group",
        "webhooks" => "webhook",
        "connectors" => "connector",
        "tokens" => "token",
        "destinations" => "destination",
        "events" => "event",
        "deliveries" => "delivery",
        _ => return None,
    };
    let names = parts.iter().skip(1).step_by(2).copied();
    let of_an_org = parts.first() == Some(&"orgs") && parts.len() > 2;
    let path: Vec<&str> = names.skip(usize::from(of_an_org)).collect();
    Some(format!("{kind} {}", path.join("/")))
}

/// A message, with its quoted names in words.
pub(crate) fn in_words(message: &str) -> String {
    let mut text = String::new();
    let mut rest = message;
    while let Some((before, quoted)) = rest.split_once('`') {
        text.push_str(before);
        // Without its end it is no quotation.
        let Some((name, after)) = quoted.split_once('`') else {
            rest = &rest[before.len()..];
            break;
        };
        match spoken(name) {
            Some(words) => text.push_str(&words),
            None => text.push_str(&rest[before.len()..rest.len() - after.len()]),
        }
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_called_as_its_page_is() {
        for (said, shown) in [
            (
                "`orgs/acme/groups/code/webhooks/to-main` has deliveries that wait",
                "webhook code/to-main has deliveries that wait",
            ),
            (
                "there is no `orgs/walk/destinations/new`",
                "there is no destination new",
            ),
            ("there is no `orgs/walk`", "there is no org walk"),
            (
                "`connectors/erp` and `orgs/a/groups/b`",
                "connector erp and group b",
            ),
            ("`payload.a/b` is missing", "`payload.a/b` is missing"),
            ("set `active`, or `hookplane", "set `active`, or `hookplane"),
            ("", ""),
        ] {
            assert_eq!(in_words(said), shown);
        }
    }
}

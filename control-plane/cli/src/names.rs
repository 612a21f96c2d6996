//! Names as people type them, `ORG/GROUP/WEBHOOK` as far as it goes, and as requests carry them.

use crate::failure::Failure;

/// A typed name, split.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Name(Vec<String>);

impl Name {
    /// Splits a name of at most `most` parts. `shape` is what the user is told.
    pub(crate) fn parse(text: Option<&str>, most: usize, shape: &str) -> Result<Self, Failure> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        let parts: Vec<String> = text.split('/').map(str::to_owned).collect();
        if parts.len() > most || parts.iter().any(|part| part.is_empty() || part == "-") {
            return Err(Failure::Usage(format!(
                "`{text}` is no name of the form {shape}"
            )));
        }
        Ok(Self(parts))
    }

    /// Splits a name that has to have exactly `count` parts.
    pub(crate) fn exact(text: &str, count: usize, shape: &str) -> Result<Self, Failure> {
        let name = Self::parse(Some(text), count, shape)?;
        if name.len() == count {
            Ok(name)
        } else {
            Err(Failure::Usage(format!(
                "`{text}` is no name of the form {shape}"
            )))
        }
    }

    /// How many parts it has.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// A part, or `-` for any.
    pub(crate) fn part(&self, index: usize) -> &str {
        self.0.get(index).map_or("-", String::as_str)
    }

    /// The last part.
    pub(crate) fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// `orgs/ORG`
    pub(crate) fn org(&self) -> String {
        format!("orgs/{}", self.part(0))
    }

    /// `orgs/ORG/groups/GROUP`
    pub(crate) fn group(&self) -> String {
        format!("{}/groups/{}", self.org(), self.part(1))
    }

    /// `orgs/ORG/groups/GROUP/webhooks/WEBHOOK`
    pub(crate) fn webhook(&self) -> String {
        format!("{}/webhooks/{}", self.group(), self.part(2))
    }

    /// `orgs/ORG/destinations/NAME`
    pub(crate) fn destination(&self) -> String {
        format!("{}/destinations/{}", self.org(), self.part(1))
    }

    /// `connectors/NAME`, or `orgs/ORG/connectors/NAME`
    pub(crate) fn connector(&self) -> String {
        if self.len() == 1 {
            format!("connectors/{}", self.part(0))
        } else {
            format!("{}/connectors/{}", self.org(), self.part(1))
        }
    }
}

/// A request's name as people type it: `orgs/acme/groups/shop` is `group acme/shop`.
pub(crate) fn typed(name: &str) -> String {
    let mut parts: Vec<&str> = name.split('/').collect();
    // Any of something: it is the something that is meant.
    while let [.., _, _, _, "-"] = parts.as_slice() {
        parts.truncate(parts.len() - 2);
    }
    let kind = match parts
        .len()
        .checked_sub(2)
        .and_then(|index| parts.get(index))
    {
        Some(&"orgs") => "org",
        Some(&"groups") => "group",
        Some(&"webhooks") => "webhook",
        Some(&"connectors") => "connector",
        Some(&"tokens") => "token",
        Some(&"destinations") => "destination",
        _ => return name.to_owned(),
    };
    let path = parts.iter().skip(1).step_by(2).copied();
    let path: Vec<&str> = path.filter(|part| *part != "-").collect();
    format!("{kind} {}", path.join("/"))
}

/// What the API says, with names as people type them: it quotes them as requests carry them.
pub(crate) fn in_words(message: &str) -> String {
    // What is quoted is each second piece.
    let mut pieces = message.split('`').peekable();
    let mut text = String::new();
    while let Some(piece) = pieces.next() {
        text.push_str(piece);
        let Some(quoted) = pieces.next() else { break };
        // Without its end it is no quotation.
        let is_name = ["orgs/", "connectors/"]
            .iter()
            .any(|beginning| quoted.starts_with(beginning));
        if is_name && pieces.peek().is_some() {
            text.push_str(&typed(quoted));
            continue;
        }
        text.push('`');
        text.push_str(quoted);
        if pieces.peek().is_some() {
            text.push('`');
        }
    }
    text
}

/// Whether this is an id of an event or a delivery rather than an org's name: a UUID, with an index where a callback held several, and
/// the number of the delivery.
pub(crate) fn is_id(text: &str) -> bool {
    let Some((uuid, numbers)) = text.split_at_checked(36) else {
        return false;
    };
    let is_hex = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    uuid.bytes().all(is_hex)
        && numbers
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_means_any() -> Result<(), Failure> {
        assert_eq!(
            Name::parse(None, 3, "ORG")?.webhook(),
            "orgs/-/groups/-/webhooks/-"
        );
        assert_eq!(
            Name::parse(Some("acme/shop"), 3, "ORG")?.webhook(),
            "orgs/acme/groups/shop/webhooks/-"
        );
        assert_eq!(
            Name::parse(Some("github"), 2, "NAME")?.connector(),
            "connectors/github"
        );
        assert_eq!(
            Name::parse(Some("acme/erp"), 2, "NAME")?.connector(),
            "orgs/acme/connectors/erp"
        );
        Ok(())
    }

    #[test]
    fn a_name_of_another_form_is_wrong_usage() {
        for text in ["", "a//b", "a/b/c/d", "/a", "-/b"] {
            assert!(
                matches!(
                    Name::parse(Some(text), 3, "ORG/GROUP"),
                    Err(Failure::Usage(_))
                ),
                "{text}"
            );
        }
        assert!(Name::exact("acme", 2, "ORG/GROUP").is_err());
    }

    #[test]
    fn request_names_are_shown_as_people_type_them() {
        assert_eq!(typed("orgs/acme"), "org acme");
        assert_eq!(
            typed("orgs/acme/groups/shop/webhooks/paid"),
            "webhook acme/shop/paid"
        );
        assert_eq!(typed("orgs/acme/connectors/erp"), "connector acme/erp");
        assert_eq!(typed("orgs/acme/groups/x/webhooks/-"), "group acme/x");
        assert_eq!(typed("orgs/-/tokens/3f9a"), "token 3f9a");
    }

    #[test]
    fn ids_are_told_from_names() {
        for id in ["", ".3", "-1", ".3-12"] {
            assert!(is_id(&format!("0192f1d2-0000-7000-8000-000000000000{id}")));
        }
        assert!(!is_id("acme"));
    }

    #[test]
    fn what_the_api_says_names_things_as_they_are_typed() {
        for (said, shown) in [
            (
                "there is no `orgs/acme/groups/shop`",
                "there is no group acme/shop",
            ),
            (
                "`orgs/acme/groups/shop/webhooks/paid` exists already: update it",
                "webhook acme/shop/paid exists already: update it",
            ),
            (
                "`connectors/erp` or `orgs/acme`",
                "connector erp or org acme",
            ),
            ("name: `Acme` is no name", "name: `Acme` is no name"),
            (
                "`json:/webhooks/0` and `orgs/acme",
                "`json:/webhooks/0` and `orgs/acme",
            ),
            ("nothing quoted", "nothing quoted"),
            ("``", "``"),
            ("", ""),
        ] {
            assert_eq!(in_words(said), shown);
        }
    }
}

//! What a person typed: the fields of a form, in their order, bounded in number. The guard bounds their size.

use axum::body::Bytes;

/// A mapping of 2,000 rows, with seven fields each, as the editor sends it.
const MAX_FIELDS: usize = 16_000;

/// A posted form, or a query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// None: too many fields.
    pub(crate) fn read(encoded: &[u8]) -> Option<Self> {
        let fields: Vec<_> = form_urlencoded::parse(encoded)
            .take(MAX_FIELDS + 1)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        (fields.len() <= MAX_FIELDS).then_some(Self(fields))
    }

    pub(crate) fn of_body(body: &Bytes) -> Option<Self> {
        Self::read(body)
    }

    pub(crate) fn of_query(query: Option<&str>) -> Option<Self> {
        Self::read(query.unwrap_or_default().as_bytes())
    }

    /// The first of that name, without the spaces around it; empty where there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The same as it was typed: a secret may end in a space.
    pub(crate) fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// A box that is ticked.
    pub(crate) fn ticked(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// All of that name, in their order, without empty ones.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let all = self.0.iter().filter(move |(key, _)| key == name);
        all.map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// Every field, as it was typed.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name_and_in_their_order() {
        let form = Form::read(b"a=1&event=x&event=&event=+y&secret=+s+&on").unwrap();
        assert_eq!(form.text("a"), "1");
        assert_eq!(form.text("none"), "");
        assert_eq!(form.raw("secret"), " s ");
        assert_eq!(form.all("event").collect::<Vec<_>>(), ["x", "y"]);
        assert!(form.ticked("on") && !form.ticked("off"));
    }

    #[test]
    fn a_form_of_too_many_fields_is_refused() {
        assert!(Form::read("a&".repeat(MAX_FIELDS).as_bytes()).is_some());
        assert!(Form::read("a&".repeat(MAX_FIELDS + 1).as_bytes()).is_none());
    }
}

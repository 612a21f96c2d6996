//! Lists of a bounded length: a host that isn't what it should be may answer with millions of anything.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

/// The first of them. The rest is read over, and kept nowhere.
pub(super) fn list<'de, D, T, const MAX: usize>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct First<T, const MAX: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for First<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut kept = Vec::new();
            while kept.len() < MAX {
                match list.next_element()? {
                    Some(one) => kept.push(one),
                    None => return Ok(kept),
                }
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(kept)
        }
    }
    from.deserialize_seq(First::<T, MAX>(PhantomData))
}

#[cfg(test)]
mod tests {
    #[derive(serde::Deserialize)]
    struct Two(#[serde(deserialize_with = "super::list::<_, _, 2>")] Vec<u8>);

    #[test]
    fn what_is_beyond_the_bound_is_read_over() {
        for (text, kept) in [("[]", 0), ("[1,2]", 2), (r#"[1,2,{"a":[3]},"x"]"#, 2)] {
            let Two(list) = serde_json::from_str(text).unwrap();
            assert_eq!(list.len(), kept, "{text}");
        }
        assert!(serde_json::from_str::<Two>("[1,2,").is_err());
    }
}

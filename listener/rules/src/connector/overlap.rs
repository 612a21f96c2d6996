//! Names of events against names of events. There may be a thousand of each, and what changes in a group has it done for each of its webhooks: so
//! both are walked once, in an order in which a name is followed by all that it takes.

/// For each of `asked`, in their order: whether there can be an event that it and one of `known` take.
pub(crate) fn overlapping<'n>(
    asked: impl Iterator<Item = &'n str>,
    known: impl Iterator<Item = &'n str>,
) -> Vec<bool> {
    let asked: Vec<&str> = asked.collect();
    let known: Vec<&str> = known.collect();
    if known.contains(&"*") {
        return vec![true; asked.len()];
    }
    let mut found: Vec<bool> = asked
        .iter()
        .map(|name| *name == "*" && !known.is_empty())
        .collect();
    let of_asked = asked.iter().enumerate();
    let of_asked = of_asked.map(|(index, name)| (place(name), Some(index)));
    let of_known = known.iter().map(|name| (place(name), None));
    let mut all: Vec<(Vec<u8>, Option<usize>)> = of_asked.chain(of_known).collect();
    all.sort_unstable();
    // Those that take the one we are at, and how many of them are known.
    let mut above: Vec<&(Vec<u8>, Option<usize>)> = Vec::new();
    let mut known_above = 0;
    for one in &all {
        while let Some((_, index)) = above.pop_if(|top| !takes(&top.0, &one.0)) {
            known_above -= usize::from(index.is_none());
        }
        above.push(one);
        match one.1 {
            Some(index) => found[index] |= known_above > 0,
            None => {
                known_above += 1;
                // Below one that was found all have been.
                let unfound = above.iter().rev().filter_map(|(_, index)| *index);
                for index in unfound {
                    if std::mem::replace(&mut found[index], true) {
                        break;
                    }
                }
            }
        }
    }
    found
}

/// By bytes, but for the dot, which comes before all others: so nothing comes between a name and those below it.
fn place(name: &str) -> Vec<u8> {
    let place = |byte| match byte {
        b'.' => 0,
        0..b'.' => byte + 1,
        _ => byte,
    };
    name.bytes().map(place).collect()
}

/// [`super::takes`], of places.
fn takes(asked: &[u8], actual: &[u8]) -> bool {
    let rest = actual.strip_prefix(asked);
    rest.is_some_and(|rest| rest.first().is_none_or(|next| *next == 0))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::connector::takes;

    proptest! {
        #[test]
        fn names_overlap_where_one_takes_the_other(
            asked in vec("[*.a!\\x00]{0,4}", 0..12),
            known in vec("[*.a!\\x00]{0,4}", 0..6),
        ) {
            let overlap = |one: &str, other: &str| takes(one, other) || takes(other, one);
            let one_by_one = asked.iter().map(|name| known.iter().any(|one| overlap(one, name)));
            let one_by_one: Vec<bool> = one_by_one.collect();
            let (asked, known) = (asked.iter().map(|s| &**s), known.iter().map(|s| &**s));
            prop_assert_eq!(overlapping(asked, known), one_by_one);
        }
    }
}

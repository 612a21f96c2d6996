//! What a text weighs in a page. No page is over 200 KB: whatever grows with what people or providers wrote is cut at some weight, and says so.

/// Of one character, as a template writes it: what HTML would read is escaped.
pub(crate) fn of_char(c: char) -> usize {
    match c {
        '"' | '\'' | '&' | '<' | '>' => 5,
        c => c.len_utf8(),
    }
}

pub(crate) fn of(text: &str) -> usize {
    text.chars().map(of_char).sum()
}

/// The beginning of a text, cut between characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let mut weight = 0;
    let end = text.char_indices().find(|(_, c)| {
        weight += of_char(*c);
        weight > most
    });
    match end {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// What of a page is left for something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room(usize);

impl Room {
    pub(crate) fn of(bytes: usize) -> Self {
        Self(bytes)
    }

    pub(crate) fn left(&self) -> usize {
        self.0
    }

    /// Whether it fits, and then it is taken. Once something doesn't fit there is no room for anything: a list ends there.
    pub(crate) fn takes(&mut self, weight: usize) -> bool {
        let fits = weight <= self.0;
        self.0 = if fits { self.0 - weight } else { 0 };
        fits
    }
}

/// The first of a list that fit, each with so much around it, and how many don't.
pub(crate) fn first<T>(
    mut list: Vec<T>,
    room: usize,
    weight: impl Fn(&T) -> usize,
) -> (Vec<T>, usize) {
    let mut room = Room::of(room);
    let fit = list
        .iter()
        .take_while(|one| room.takes(weight(one)))
        .count();
    let more = list.len() - fit;
    list.truncate(fit);
    (list, more)
}

/// Of no page is there more.
#[cfg(test)]
pub(crate) fn assert_light(page: &impl askama::Template) {
    let bytes = page.render().map_or(usize::MAX, |text| text.len());
    assert!(bytes < 200_000, "{bytes}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_at_what_it_weighs_when_it_is_escaped() {
        assert_eq!(of("a<ä"), 8);
        assert_eq!(cut("a<ä", 8), "a<ä");
        assert_eq!(cut("a<ä", 7), "a<…");
        assert_eq!(cut("<<<<", 12), "<<…");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn a_list_ends_where_the_first_does_not_fit() {
        let list = vec!["aaaa", "bbbb", "cccccccccc", "d"];
        let (fit, more) = first(list, 12, |text| of(text) + 1);
        assert_eq!((fit, more), (vec!["aaaa", "bbbb"], 2));
    }
}

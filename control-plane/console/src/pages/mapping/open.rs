//! A mapping that is too large for one page: one object of it is open, with a stretch of its rows. All of it goes along in one field of the form,
//! packed, and what is typed is laid over that. So the draft is in the form alone, however large it is.
//!
//! ```text
//!   rest   all of the tree, as it was when the page was written
//!   at     the object that is open, from   the first of its rows that is
//! ```

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::form::{BASE, Object};
use super::tree;
use super::view::Shown;
use crate::form::Form;
use crate::weight::Room;

/// The field that has all of it.
pub(super) const REST: &str = "rest";
/// Of a row's fields, and of an object's, without what is typed in them.
const ROW: usize = 1_400;
const OBJECT: usize = 2_500;
/// A mapping of no more is open as a whole.
const WHOLE: usize = 110 * 1024;
/// Rows that are open at once of a larger one, and their texts.
const ROWS: usize = 24;
const TEXTS: usize = 16 * 1024;
/// Of what a form may hold, unpacked: a mapping is 256 KiB at most, and what is typed may be none yet.
const MAX_UNPACKED: u64 = 2 * 1024 * 1024;
/// Of what goes along, packed. Names and paths pack to a fifth or less.
const MAX_PACKED: usize = 64 * 1024;

/// Which part of a large mapping is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: String,
    pub(super) from: usize,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            at: BASE.to_owned(),
            from: 0,
        }
    }
}

impl Place {
    pub(super) fn read(form: &Form) -> Self {
        let at = match form.text("at") {
            "" => BASE,
            at => at,
        };
        Self {
            at: at.to_owned(),
            from: form.text("from").parse().unwrap_or(0),
        }
    }

    /// Of a button `go:base.children[0]:80`; or to where a button changed something, such as `add-row:base`.
    pub(super) fn follow(&mut self, what: &str, base: &mut Object) {
        let Some((verb, rest)) = what.split_once(':') else {
            return;
        };
        let mut hangs = |part: &str, list: fn(&Object) -> usize| {
            let object = tree::at_mut(base, rest);
            let last = object.map_or(0, |object| list(object).saturating_sub(1));
            (format!("{rest}.{part}[{last}]"), 0)
        };
        let (at, from) = match verb {
            "go" => match rest.rsplit_once(':') {
                Some((at, from)) => (at.to_owned(), from.parse().unwrap_or(0)),
                None => return,
            },
            // At its end.
            "add-row" => (rest.to_owned(), usize::MAX),
            "add-parent" => hangs("parents", |object| object.parents.len()),
            "add-child" => hangs("children", |object| object.children.len()),
            // Where an object hung that is gone. A row's is open already.
            "remove" => match rest.rsplit_once('.') {
                Some((above, last)) if !last.starts_with("fields[") => (above.to_owned(), 0),
                _ => return,
            },
            _ => return,
        };
        *self = Self { at, from };
    }

    /// Somewhere that is there.
    fn within(&mut self, all: &[Shown<'_>]) {
        if !all.iter().any(|one| one.at == self.at) {
            *self = Self::default();
        }
        let open = all.iter().find(|one| one.at == self.at);
        let rows = open.map_or(0, |open| open.rows.len());
        if self.from >= rows {
            self.from = rows.saturating_sub(ROWS);
        }
    }

    /// How many rows are open: as many as fit.
    fn stretch(&self, all: &[Shown<'_>]) -> usize {
        let open = all.iter().find(|one| one.at == self.at);
        let mut room = Room::of(TEXTS);
        let rows = open.into_iter().flat_map(|open| &open.rows);
        rows.skip(self.from)
            .take(ROWS)
            .take_while(|line| room.takes(line.row.weight()))
            .count()
    }
}

/// What a page has besides the part that is open.
pub(super) struct Rest {
    pub(super) packed: String,
    pub(super) place: Place,
    /// From the base down to what hangs at the open object.
    pub(super) objects: Vec<Near>,
    /// Rows of the open object.
    pub(super) rows: usize,
    /// Those of them that are open.
    pub(super) shown: usize,
}

/// An object that can be opened from here.
pub(super) struct Near {
    pub(super) at: String,
    pub(super) title: String,
    pub(super) rows: usize,
    pub(super) wrong: bool,
    pub(super) open: bool,
}

impl Rest {
    /// Behind the last open row.
    pub(super) fn to(&self) -> usize {
        self.place.from + self.shown
    }

    pub(super) fn before(&self) -> Option<usize> {
        (self.place.from > 0).then(|| self.place.from.saturating_sub(ROWS))
    }

    pub(super) fn behind(&self) -> Option<usize> {
        (self.to() < self.rows).then(|| self.to())
    }
}

/// Keeps of what is shown what fits on a page. None of it is left out where it all fits, and then there is no rest. An error: it doesn't fit packed
/// either.
pub(super) fn cut<'d>(
    base: &'d Object,
    mut place: Place,
    all: Vec<Shown<'d>>,
) -> Result<(Vec<Shown<'d>>, Option<Rest>), TooLarge> {
    if !is_large(base) {
        return Ok((all, None));
    }
    place.within(&all);
    // What is wrong is to be mended: it is opened, unless something wrong is open already.
    let wrong = all.iter().flat_map(|one| {
        let head = one.is_wrong().then_some((one.at.as_str(), None));
        let rows = one.rows.iter().enumerate();
        let rows = rows.filter(|(_, line)| !line.error.is_empty());
        head.into_iter()
            .chain(rows.map(|(row, _)| (one.at.as_str(), Some(row))))
    });
    let wrong: Vec<_> = wrong.collect();
    let open = place.from..place.from + place.stretch(&all);
    let is_open = |at: &str, row: &Option<usize>| {
        at == place.at && row.as_ref().is_none_or(|row| open.contains(row))
    };
    if let Some((at, row)) = wrong.first()
        && !wrong.iter().any(|(at, row)| is_open(at, row))
    {
        place = Place {
            at: (*at).to_owned(),
            from: row.unwrap_or(0),
        };
    }
    let shown = place.stretch(&all);
    let near = all.iter().filter(|one| is_near(&one.at, &place.at));
    let objects = near.map(|one| Near {
        at: one.at.clone(),
        title: match one.object.object.as_str() {
            "" => one.title.clone(),
            name => name.to_owned(),
        },
        rows: one.rows.len(),
        wrong: one.is_wrong() || one.rows.iter().any(|line| !line.error.is_empty()),
        open: one.at == place.at,
    });
    let objects = objects.collect();
    let packed = pack(base).ok_or(TooLarge)?;
    let mut rows = 0;
    let mut open: Vec<_> = all.into_iter().filter(|one| one.at == place.at).collect();
    for one in &mut open {
        rows = one.rows.len();
        one.rows = std::mem::take(&mut one.rows)
            .into_iter()
            .skip(place.from)
            .take(shown)
            .collect();
        one.closes = 1;
    }
    // One row that is too large by itself.
    if shown == 0 && rows > 0 {
        return Err(TooLarge);
    }
    let rest = Rest {
        packed,
        place,
        objects,
        rows,
        shown,
    };
    Ok((open, Some(rest)))
}

/// It doesn't fit on a page, however it is shown.
pub(super) struct TooLarge;

fn is_large(base: &Object) -> bool {
    base.count() * ROW + base.objects() * OBJECT + base.weight() > WHOLE
}

/// It is the open one, above it, or hangs at it.
fn is_near(at: &str, open: &str) -> bool {
    let below = |one: &str, of: &str| {
        let rest = one.strip_prefix(of).and_then(|rest| rest.strip_prefix('.'));
        rest.map(|rest| !rest.contains('.'))
    };
    at == open || below(open, at).is_some() || below(at, open) == Some(true)
}

/// The tree in one field. None: it is too large for that.
fn pack(base: &Object) -> Option<String> {
    let packed = deflated(&serde_json::to_vec(base).ok()?)?;
    (packed.len() <= MAX_PACKED).then_some(packed)
}

fn deflated(json: &[u8]) -> Option<String> {
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::best());
    packer.write_all(json).ok()?;
    Some(BASE64_STANDARD_NO_PAD.encode(packer.finish().ok()?))
}

/// As somebody sends it who wrote it themselves.
#[cfg(test)]
pub(super) fn packed_for_tests(json: &[u8]) -> String {
    deflated(json).unwrap()
}

/// Back from that. None: it is none of ours.
pub(super) fn unpack(packed: &str) -> Option<Object> {
    let packed = BASE64_STANDARD_NO_PAD.decode(packed).ok()?;
    let mut json = Vec::new();
    let mut unpacked = DeflateDecoder::new(packed.as_slice()).take(MAX_UNPACKED + 1);
    unpacked.read_to_end(&mut json).ok()?;
    if json.len() as u64 > MAX_UNPACKED {
        return None;
    }
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::mapping::view;
    use crate::problem::Faults;
    use hookplane_proto::v1;

    fn field(from: String) -> v1::FieldMapping {
        v1::FieldMapping {
            from,
            ..Default::default()
        }
    }

    /// Of as many rows as there may be, in the base and four children.
    fn largest() -> Object {
        let rows = |object: usize| {
            let row = move |row: usize| {
                let name = format!("Shipping_{}_Line_{row}__c", row * 7_919 % 1_000 + object);
                (
                    name,
                    field(format!("payload.orders[{object}].line_{row}.value")),
                )
            };
            (0..400).map(row).collect()
        };
        let child = |index: usize| v1::ChildMapping {
            object: format!("Object_{index}__c"),
            fields: rows(index),
            ..Default::default()
        };
        Object::of(&v1::RecordMapping {
            object: "Order__c".to_owned(),
            fields: rows(9),
            children: (0..4).map(child).collect(),
            ..Default::default()
        })
    }

    fn at(at: &str, from: usize) -> Place {
        Place {
            at: at.to_owned(),
            from,
        }
    }

    fn shown(base: &Object, place: Place, faults: &Faults) -> (Vec<(usize, String)>, Rest) {
        let cut = cut(base, place, view::of(base, faults));
        let (open, rest) = cut.unwrap_or_else(|TooLarge| panic!("doesn't fit"));
        let open = open.iter().map(|one| (one.rows.len(), one.at.clone()));
        (open.collect(), rest.unwrap())
    }

    #[test]
    fn a_small_mapping_is_open_as_a_whole() {
        let base = Object::of(&v1::RecordMapping {
            fields: (0..60)
                .map(|row| (row.to_string(), field("payload.a".into())))
                .collect(),
            ..Default::default()
        });
        let all = view::of(&base, &Faults::default());
        assert!(matches!(cut(&base, Place::default(), all), Ok((_, None))));
    }

    #[test]
    fn of_the_largest_mapping_a_stretch_is_open_and_the_rest_goes_along() {
        let base = largest();
        assert_eq!(base.count(), 2_000);
        let (open, rest) = shown(&base, at("base.children[2]", 390), &Faults::default());
        assert_eq!(open, [(10, "base.children[2]".to_owned())]);
        assert_eq!(
            (rest.to(), rest.before(), rest.behind()),
            (400, Some(366), None)
        );
        let near: Vec<_> = rest.objects.iter().map(|one| one.title.as_str()).collect();
        assert_eq!(near, ["Order__c", "Object_2__c"]);
        assert!(rest.packed.len() <= MAX_PACKED);
        assert_eq!(unpack(&rest.packed).unwrap(), base);
    }

    #[test]
    fn what_is_typed_is_laid_over_what_goes_along() {
        let base = largest();
        let (_, rest) = shown(&base, at("base.children[1]", 30), &Faults::default());
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair(REST, &rest.packed)
            .append_pair("at", "base.children[1]")
            .append_pair("from", "30")
            .append_pair("base.children[1].object", "Renamed__c")
            .append_pair("base.children[1].fields[30].name", "First__c")
            .append_pair("base.children[1].fields[31].name", "Second__c");
        let read = Object::read(&Form::read(form.finish().as_bytes()).unwrap()).unwrap();
        let mut expected = base;
        expected.children[1].object = "Renamed__c".to_owned();
        for (row, name) in [(30, "First__c"), (31, "Second__c")] {
            let row = &mut expected.children[1].rows[row];
            *row = super::super::row::Row {
                name: name.to_owned(),
                ..Default::default()
            };
        }
        assert_eq!(read, expected);
        // Else what goes along would be lost in silence.
        for none in ["x", "####", "AAAA"] {
            let form = Form::read(format!("{REST}={none}&base.object=O").as_bytes()).unwrap();
            assert!(Object::read(&form).is_none(), "{none}");
        }
    }

    #[test]
    fn what_is_wrong_is_opened_unless_something_wrong_is_open() {
        let base = largest();
        let mut faults = Faults::default();
        let name = &base.children[3].rows[123].name;
        faults.add(
            &format!("spec.mapping.base.children[3].fields.{name}.from"),
            "is no path",
        );
        let (_, rest) = shown(&base, at("base", 0), &faults);
        assert_eq!(rest.place, at("base.children[3]", 123));
        let (_, rest) = shown(&base, at("base.children[3]", 120), &faults);
        assert_eq!(rest.place, at("base.children[3]", 120));
    }

    #[test]
    fn a_stretch_of_heavy_rows_is_shorter_and_a_row_that_never_fits_is_said() {
        let heavy = |bytes: usize| {
            let row = |row: usize| (row.to_string(), field("<".repeat(bytes)));
            Object::of(&v1::RecordMapping {
                fields: (0..100).map(row).collect(),
                ..Default::default()
            })
        };
        let base = heavy(1_000);
        let (open, rest) = shown(&base, Place::default(), &Faults::default());
        assert_eq!((open[0].0, rest.behind()), (3, Some(3)));
        let base = heavy(10_000);
        let all = view::of(&base, &Faults::default());
        assert!(matches!(cut(&base, Place::default(), all), Err(TooLarge)));
    }

    #[test]
    fn a_place_follows_what_a_button_did() {
        let mut base = largest();
        let mut place = at("base.children[3]", 30);
        let mut follow = |what: &str| {
            place.follow(what, &mut base);
            (place.at.clone(), place.from)
        };
        let there = |at: &str, from| (at.to_owned(), from);
        assert_eq!(follow("go:base:60"), there("base", 60));
        assert_eq!(follow("remove:base.fields[61]"), there("base", 60));
        assert_eq!(follow("add-child:base"), there("base.children[3]", 0));
        assert_eq!(follow("add-row:base.children[0]").1, usize::MAX);
        assert_eq!(follow("remove:base.children[0]"), there("base", 0));
        assert_eq!(follow("go:nonsense"), there("base", 0));
        let (_, rest) = shown(&largest(), at("base", usize::MAX), &Faults::default());
        assert_eq!((rest.place.from, rest.to()), (376, 400));
    }
}

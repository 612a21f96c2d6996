//! Paths of a table's rows: split once, at admission, and followed along the event's text.
//!
//! ```text
//!   payload.customer.id     payload.lines[0].sku     payload['a.b']     item.sku     parent.id     forEach: payload.orders[*].lines
//! ```

use std::fmt;

use hookplane_rules::payload::{Kind, elements, kind, member};

use super::seen::Seen;

/// As it is written.
const MAX_BYTES: usize = 512;

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Payload,
    Headers,
    Query,
    Event,
    /// The item of a list; of the list around with 1, and so on.
    Item(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Boxed in a list of one, as a pointer has it.
    Name([String; 1]),
    Index(usize),
    /// Only of a list's path.
    Each,
}

/// A path that may be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) root: Root,
    steps: Vec<Step>,
}

/// What following a path is paid with, 16 bytes that are read for each.
pub(super) type Units = u64;

const BYTES_PER_UNIT: u64 = 16;

/// Takes what reading a text costs; false when that is more than is left.
pub(super) fn pay(units: &mut Units, bytes: usize) -> bool {
    *units = units.saturating_sub(1 + bytes as u64 / BYTES_PER_UNIT);
    *units > 0
}

/// Why a path isn't followed to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// There were too few units.
    Spent,
    /// What `[*]` stands for is a value.
    NoList,
}

/// The text of an XML element that has more than its text.
const TEXT: &str = "#text";

impl Path {
    /// Reads one. `items` is how many lists there are around it; `wild` takes `[*]`.
    pub(super) fn parse(text: &str, items: usize, wild: bool) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!(
                "is {} bytes long, at most {MAX_BYTES} are taken",
                text.len()
            ));
        }
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (name, mut rest) = text.split_at(end);
        let root = match name {
            "payload" => Root::Payload,
            "headers" => Root::Headers,
            "query" => Root::Query,
            "event" => Root::Event,
            "item" | "parent" if items == 0 => {
                return Err(format!(
                    "`{name}` is there in the records of a list alone, see forEach"
                ));
            }
            "item" => Root::Item(0),
            "parent" => {
                let mut up = 1;
                while let Some(more) = rest.strip_prefix(".parent")
                    && (more.is_empty() || more.starts_with(['.', '[']))
                    && up + 1 < items
                {
                    (up, rest) = (up + 1, more);
                }
                if up >= items {
                    return Err(
                        "`parent` is the item of the list around this one, and there is none"
                            .to_owned(),
                    );
                }
                Root::Item(up)
            }
            _ => {
                return Err(format!(
                    "`{text}` is no path; one begins with payload, headers, query, event or, in the records of a list, item or parent"
                ));
            }
        };
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, left) = step(rest).ok_or_else(|| {
                format!(
                    "`{text}` is no path at `{rest}`; one goes on with .name, [0] or ['any name']"
                )
            })?;
            if step == Step::Each && !wild {
                return Err("`[*]` is for the forEach of a child alone; a row takes one value, with a converter such as first or join-comma".to_owned());
            }
            steps.push(step);
            rest = left;
        }
        if let (Root::Event, Some(Step::Name([field]))) = (root, steps.first())
            && !super::seen::EVENT_FIELDS.contains(&field.as_str())
        {
            return Err(format!(
                "event.{field} is unknown; an event has {}",
                super::seen::EVENT_FIELDS.join(", ")
            ));
        }
        Ok(Self { root, steps })
    }

    /// What it stands for are items, not lists.
    pub(super) fn ends_with_each(&self) -> bool {
        self.steps.last() == Some(&Step::Each)
    }

    /// The text of the value there. None where it is missing.
    pub(super) fn read<'e>(
        &self,
        seen: &'e Seen,
        items: &[&'e str],
        units: &mut Units,
    ) -> Result<Option<&'e str>, Stopped> {
        let Some((start, steps)) = self.start(seen, items, units)? else {
            return Ok(None);
        };
        let mut raw = start;
        for step in steps {
            if !pay(units, raw.len()) {
                return Err(Stopped::Spent);
            }
            let Some(next) = follow(raw, step, self.one_is_a_list(seen)) else {
                return Ok(None);
            };
            raw = next;
        }
        Ok(Some(raw))
    }

    /// Whether what it leads to can't tell a list of one from a value: of forms and XML, and what is in a URL is a form.
    pub(super) fn one_is_a_list(&self, seen: &Seen) -> bool {
        seen.one_is_a_list || self.root == Root::Query
    }

    /// All that its wildcards stand for, in order, at most `max` and one more. What isn't there is left out.
    pub(super) fn each<'e>(
        &self,
        seen: &'e Seen,
        items: &[&'e str],
        max: usize,
        units: &mut Units,
    ) -> Result<Vec<&'e str>, Stopped> {
        let Some((start, steps)) = self.start(seen, items, units)? else {
            return Ok(Vec::new());
        };
        let mut walk = Walk {
            one_is_a_list: self.one_is_a_list(seen),
            max,
            units,
            found: Vec::new(),
        };
        walk.value(start, steps)?;
        Ok(walk.found)
    }

    /// The first step into the payload is looked up, where its members are known, instead of read along.
    fn start<'e, 'p>(
        &'p self,
        seen: &'e Seen,
        items: &[&'e str],
        units: &mut Units,
    ) -> Result<Option<(&'e str, &'p [Step])>, Stopped> {
        if !pay(units, 0) {
            return Err(Stopped::Spent);
        }
        let text = match self.root {
            Root::Payload => {
                if let Some((Step::Name(name), rest)) = self.steps.split_first()
                    && kind(seen.payload.text()) == Kind::Object
                {
                    return Ok(seen.payload.at(name).map(|raw| (raw, rest)));
                }
                seen.payload.text()
            }
            Root::Headers => &seen.headers,
            Root::Query => &seen.query,
            Root::Event => &seen.event,
            Root::Item(up) => match items.iter().rev().nth(up) {
                Some(item) => item,
                None => return Ok(None),
            },
        };
        Ok(Some((text.trim(), &self.steps)))
    }

    /// From the event on, given what the lists around it are: `payload.lines[*].sku`.
    pub(super) fn absolute(&self, lists: &[String]) -> String {
        let mut out = match self.root {
            Root::Item(up) => match lists.iter().rev().nth(up) {
                Some(list) => list.clone(),
                None => "item".to_owned(),
            },
            root => root.name().to_owned(),
        };
        for step in &self.steps {
            out.push_str(&step.to_string());
        }
        out
    }
}

impl Root {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::Headers => "headers",
            Self::Query => "query",
            Self::Event => "event",
            Self::Item(0) => "item",
            Self::Item(_) => "parent",
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.root.name())?;
        if let Root::Item(up) = self.root {
            (1..up).try_for_each(|_| f.write_str(".parent"))?;
        }
        self.steps.iter().try_for_each(|step| step.fmt(f))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name([name]) if name.contains(['.', '[', ']', '\'', '"']) => {
                write!(f, "['{name}']")
            }
            Self::Name([name]) => write!(f, ".{name}"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Each => f.write_str("[*]"),
        }
    }
}

/// All that a list's path leads to.
struct Walk<'e, 'u> {
    one_is_a_list: bool,
    max: usize,
    units: &'u mut Units,
    found: Vec<&'e str>,
}

impl<'e> Walk<'e, '_> {
    /// As deep as the path has steps, which its text bounds, and as lists are in lists, which decoding has bounded.
    fn value(&mut self, raw: &'e str, steps: &[Step]) -> Result<(), Stopped> {
        if self.found.len() > self.max {
            return Ok(());
        }
        let Some((step, rest)) = steps.split_first() else {
            self.found.push(raw);
            return Ok(());
        };
        if !pay(self.units, raw.len()) {
            return Err(Stopped::Spent);
        }
        match (step, kind(raw)) {
            (Step::Each, Kind::Array) => self.items(raw, rest),
            // A list that is null has no items.
            (Step::Each, Kind::Null) => Ok(()),
            (Step::Each, _) if self.one_is_a_list => self.value(raw, rest),
            (Step::Each, _) => Err(Stopped::NoList),
            // Whoever wrote it may have seen one.
            (Step::Name(_), Kind::Array) if self.one_is_a_list => self.items(raw, steps),
            _ => match follow(raw, step, self.one_is_a_list) {
                Some(next) => self.value(next, rest),
                None => Ok(()),
            },
        }
    }

    fn items(&mut self, list: &'e str, steps: &[Step]) -> Result<(), Stopped> {
        elements(list).try_for_each(|item| self.value(item, steps))
    }
}

fn follow<'e>(raw: &'e str, step: &Step, one_is_a_list: bool) -> Option<&'e str> {
    match (step, kind(raw)) {
        (Step::Name([name]), Kind::Object) => member(raw, name),
        (Step::Index(index), Kind::Array) => elements(raw).nth(*index),
        (_, Kind::Null | Kind::Array) => None,
        (Step::Index(0), _) if one_is_a_list => Some(raw),
        // Without an attribute the text has no name.
        (Step::Name([name]), _) if one_is_a_list && name == TEXT => Some(raw),
        _ => None,
    }
}

/// The step that a text begins with, and what is left.
fn step(text: &str) -> Option<(Step, &str)> {
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(['.', '[', ']', '\'', '"']).unwrap_or(rest.len());
        let (name, left) = rest.split_at(end);
        let is_name =
            !name.is_empty() && name.trim() == name && !left.starts_with([']', '\'', '"']);
        return is_name.then(|| (Step::Name([name.to_owned()]), left));
    }
    let rest = text.strip_prefix('[')?;
    if let Some(left) = rest.strip_prefix("*]") {
        return Some((Step::Each, left));
    }
    for quote in ['\'', '"'] {
        if let Some(rest) = rest.strip_prefix(quote) {
            let (name, left) = rest.split_once(quote)?;
            return Some((Step::Name([name.to_owned()]), left.strip_prefix(']')?));
        }
    }
    let (digits, left) = rest.split_once(']')?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    Some((Step::Index(plain.then(|| digits.parse().ok())??), left))
}

//! What a button of the editor does to the tree: a row, a parent or a child more or less. It names its place as the form's fields do.

use super::form::{Kind, Object};
use super::row::Row;

/// Does `add-row:base.children[0]`, `remove:base.fields[3]` and the like. False: there is no such place any more, or no such thing to do.
pub(super) fn change(base: &mut Object, what: &str) -> bool {
    let Some((verb, at)) = what.split_once(':') else {
        return false;
    };
    match verb {
        "add-row" => with(base, at, |object| {
            object.rows.push(Row {
                new: true,
                ..Row::blank()
            });
        }),
        "add-parent" => with(base, at, |object| object.parents.push(fresh(Kind::Parent))),
        "add-child" => with(base, at, |object| object.children.push(fresh(Kind::Child))),
        "remove" => {
            let Some((at, (part, index))) = split(at) else {
                return false;
            };
            let mut removed = false;
            with(base, at, |object| {
                removed = match part {
                    "fields" => take(&mut object.rows, index),
                    "parents" => take(&mut object.parents, index),
                    "children" => take(&mut object.children, index),
                    _ => false,
                };
            }) && removed
        }
        _ => false,
    }
}

fn fresh(kind: Kind) -> Object {
    let mut object = Object::blank(kind);
    object.rows.iter_mut().for_each(|row| row.new = true);
    object
}

fn take<T>(list: &mut Vec<T>, index: usize) -> bool {
    let there = index < list.len();
    if there {
        list.remove(index);
    }
    there
}

/// `base.parents[0].fields[3]`: in `base.parents[0]`, the third of `fields`.
fn split(at: &str) -> Option<(&str, (&str, usize))> {
    let (object, last) = at.rsplit_once('.')?;
    Some((object, part(last)?))
}

/// `fields[3]`
fn part(text: &str) -> Option<(&str, usize)> {
    let (name, index) = text.strip_suffix(']')?.split_once('[')?;
    Some((name, index.parse().ok()?))
}

fn with(base: &mut Object, at: &str, act: impl FnOnce(&mut Object)) -> bool {
    at_mut(base, at).map(act).is_some()
}

/// The object at a place; None: there is none any more.
pub(super) fn at_mut<'o>(base: &'o mut Object, at: &str) -> Option<&'o mut Object> {
    let mut parts = at.split('.');
    if parts.next() != Some(super::form::BASE) {
        return None;
    }
    let mut object = base;
    for step in parts {
        object = match part(step)? {
            ("parents", index) => object.parents.get_mut(index)?,
            ("children", index) => object.children.get_mut(index)?,
            _ => return None,
        };
    }
    Some(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_parents_and_children_come_and_go_at_their_places() {
        let mut base = Object::blank(Kind::Base);
        for what in [
            "add-child:base",
            "add-parent:base.children[0]",
            "add-row:base.children[0].parents[0]",
            "add-row:base",
        ] {
            assert!(change(&mut base, what), "{what}");
        }
        assert_eq!(base.rows.len(), 2);
        assert_eq!(base.children[0].parents[0].rows.len(), 2);
        assert!(base.children[0].parents[0].rows[1].new);
        assert!(change(
            &mut base,
            "remove:base.children[0].parents[0].fields[0]"
        ));
        assert_eq!(base.children[0].parents[0].rows.len(), 1);
        assert!(change(&mut base, "remove:base.children[0]"));
        assert!(base.children.is_empty());
    }

    #[test]
    fn a_place_that_is_not_there_changes_nothing() {
        let mut base = Object::blank(Kind::Base);
        let before = base.clone();
        for what in [
            "add-row:base.children[0]",
            "remove:base.fields[1]",
            "remove:base",
            "open:base.parents[0]",
            "remove:base.fields[99999999999999999999]",
            "add-row:other",
            "drop-all:base",
            "",
        ] {
            assert!(!change(&mut base, what), "{what}");
        }
        assert_eq!(base, before);
    }
}

//! The records around one: parents that it points to, and children that point to it.

use hookplane_proto::v1::{self, OnMissing, RecordOperation};

use super::{Compiler, Down, Given, MAX_CHILDREN, MAX_LEVELS, MAX_PARENTS, Place, Up};
use crate::mapping::path::Path;

impl Compiler {
    pub(super) fn parents(
        &mut self,
        parents: &[v1::ParentMapping],
        operation: RecordOperation,
        place: Place<'_>,
    ) -> Vec<Up> {
        let at = place.field("parents");
        self.at_most(at.clone(), parents.len(), MAX_PARENTS, "parents");
        if parents.is_empty() {
            return Vec::new();
        }
        if operation == RecordOperation::Delete {
            self.error(at, "has no meaning: the record is deleted");
            return Vec::new();
        }
        if place.up == MAX_LEVELS {
            self.error(at, format!("more than {MAX_LEVELS} levels up"));
            return Vec::new();
        }
        let mut ups = Vec::new();
        for (index, parent) in parents.iter().enumerate().take(MAX_PARENTS) {
            let at = format!("{at}[{index}]");
            let table = self.table(
                Given {
                    object: &parent.object,
                    operation: RecordOperation::Upsert,
                    key: &parent.key,
                    fields: &parent.fields,
                    parents: &parent.parents,
                    children: &[],
                    may_be_missing: true,
                    link: "",
                },
                Place {
                    at: &at,
                    up: place.up + 1,
                    ..place
                },
            );
            let key = parent.fields.get(&parent.key);
            ups.push(Up {
                field: parent.field.clone(),
                table,
                optional: key.is_some_and(|key| key.on_missing() == OnMissing::Omit),
            });
        }
        ups
    }

    pub(super) fn children(
        &mut self,
        children: &[v1::ChildMapping],
        operation: RecordOperation,
        place: Place<'_>,
    ) -> Vec<Down> {
        let at = place.field("children");
        self.at_most(at.clone(), children.len(), MAX_CHILDREN, "children");
        if children.is_empty() {
            return Vec::new();
        }
        if operation == RecordOperation::Delete {
            self.error(at, "would point to a record that is deleted");
            return Vec::new();
        }
        if place.down == MAX_LEVELS {
            self.error(at, format!("more than {MAX_LEVELS} levels down"));
            return Vec::new();
        }
        let mut downs = Vec::new();
        for (index, child) in children.iter().enumerate().take(MAX_CHILDREN) {
            let at = format!("{at}[{index}]");
            self.operation(child.operation, &format!("{at}.operation"));
            self.name(
                format!("{at}.parentField"),
                &child.parent_field,
                "it is the relationship's name in the child, such as Order__r",
            );
            let list = match child.for_each.as_str() {
                "" => None,
                text => {
                    let list = self.take(
                        || format!("{at}.forEach"),
                        Path::parse(text, place.items, true),
                    );
                    if let Some(list) = &list {
                        self.reads.note(list.root.name());
                    }
                    list
                }
            };
            let table = self.table(
                Given {
                    object: &child.object,
                    operation: child.operation(),
                    key: &child.key,
                    fields: &child.fields,
                    parents: &child.parents,
                    children: &child.children,
                    may_be_missing: false,
                    link: &child.parent_field,
                },
                Place {
                    at: &at,
                    items: place.items + usize::from(!child.for_each.is_empty()),
                    up: 0,
                    down: place.down + 1,
                },
            );
            downs.push(Down {
                parent_field: child.parent_field.clone(),
                list,
                table,
            });
        }
        downs
    }
}

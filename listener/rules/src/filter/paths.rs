//! Which paths of an event an expression reads.

use std::collections::BTreeSet;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};

/// In order of the alphabet; a loop's variable stands for each of what it goes over: `payload.lines[*].sku`.
pub(super) fn of<'e>(expressions: impl Iterator<Item = &'e IdedExpr>) -> Vec<String> {
    let mut found = BTreeSet::new();
    for expression in expressions {
        walk(expression, &mut Vec::new(), &mut found);
    }
    found.into_iter().collect()
}

/// What a loop's variable stands for.
type Scope = Vec<(String, Option<String>)>;

fn walk(node: &IdedExpr, scope: &mut Scope, found: &mut BTreeSet<String>) {
    if let Some(path) = path(node, scope) {
        found.insert(path);
        indexes(node, scope, found);
        return;
    }
    match &node.expr {
        Expr::Select(select) => walk(&select.operand, scope, found),
        Expr::Call(call) => {
            let all = call.target.as_deref().into_iter().chain(&call.args);
            all.for_each(|part| walk(part, scope, found));
        }
        Expr::List(list) => list.elements.iter().for_each(|e| walk(e, scope, found)),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    walk(&entry.key, scope, found);
                    walk(&entry.value, scope, found);
                }
            }
        }
        Expr::Comprehension(comprehension) => {
            walk(&comprehension.iter_range, scope, found);
            let each = path(&comprehension.iter_range, scope).map(|list| format!("{list}[*]"));
            let outer = scope.len();
            scope.push((comprehension.iter_var.clone(), each));
            scope.push((comprehension.accu_var.clone(), None));
            for part in [
                &comprehension.accu_init,
                &comprehension.loop_cond,
                &comprehension.loop_step,
                &comprehension.result,
            ] {
                walk(part, scope, found);
            }
            scope.truncate(outer);
        }
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) => {}
    }
}

/// What stands within the brackets of a path.
fn indexes(node: &IdedExpr, scope: &mut Scope, found: &mut BTreeSet<String>) {
    match &node.expr {
        Expr::Select(select) => indexes(&select.operand, scope, found),
        Expr::Call(call) => {
            if let [container, index] = call.args.as_slice() {
                indexes(container, scope, found);
                walk(index, scope, found);
            }
        }
        _ => {}
    }
}

/// A path as it is written, from the event on. None for what isn't one.
fn path(node: &IdedExpr, scope: &Scope) -> Option<String> {
    match &node.expr {
        Expr::Ident(name) => match scope.iter().rev().find(|(known, _)| known == name) {
            Some((_, each)) => each.clone(),
            // A pattern and the name of a type are no paths.
            None => matches!(
                name.as_str(),
                "payload" | "headers" | "query" | "event" | "item" | "parent"
            )
            .then(|| name.clone()),
        },
        Expr::Select(select) => Some(format!(
            "{}.{}",
            path(&select.operand, scope)?,
            select.field
        )),
        Expr::Call(call) if call.func_name == operators::INDEX => {
            let [container, index] = call.args.as_slice() else {
                return None;
            };
            let container = path(container, scope)?;
            Some(match &index.expr {
                Expr::Literal(LiteralValue::String(key)) if is_plain(key.inner()) => {
                    format!("{container}.{}", key.inner())
                }
                Expr::Literal(LiteralValue::String(key)) => {
                    format!("{container}['{}']", key.inner())
                }
                Expr::Literal(LiteralValue::Int(int)) => format!("{container}[{}]", int.inner()),
                _ => format!("{container}[*]"),
            })
        }
        _ => None,
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains(['.', '[', ']', '\'', '"'])
}

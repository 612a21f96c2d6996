//! Which parts of a false term decided, as they were written.
//!
//! Of `a && b` the first that is false; of `a || b` all of them, each taken apart in turn. The engine's tree has no text, so the source is
//! taken apart beside it; where the two don't fit, the term as a whole is the answer.

use cel::common::ast::{Expr, IdedExpr, operators};

use super::source::{Shape, bare, shape};

/// What has to be looked at once a term is false. Known when it is compiled, so that most terms cost nothing then.
#[derive(Debug)]
pub(super) enum Decided {
    /// All of it: it has no parts.
    Whole,
    /// It has parts, and not all of them decide.
    Parts,
}

impl Decided {
    pub(super) fn of(source: &str) -> Self {
        match shape(source) {
            Shape::One => Self::Whole,
            Shape::All(_) | Shape::Any(_) => Self::Parts,
        }
    }

    /// The parts of a false term. `is_false` runs one of them.
    pub(super) fn parts<'s>(
        &self,
        source: &'s str,
        expression: &IdedExpr,
        is_false: &dyn Fn(&IdedExpr) -> bool,
    ) -> Vec<&'s str> {
        match self {
            Self::Whole => vec![source],
            Self::Parts => deciding(source, expression, is_false),
        }
    }
}

fn deciding<'s>(
    source: &'s str,
    expression: &IdedExpr,
    is_false: &dyn Fn(&IdedExpr) -> bool,
) -> Vec<&'s str> {
    match shape(source) {
        Shape::Any(_) => {
            let Some(parts) = pairs(source, expression, operators::LOGICAL_OR) else {
                return vec![source];
            };
            parts
                .into_iter()
                .flat_map(|(source, part)| deciding(source, part, is_false))
                .collect()
        }
        Shape::All(_) => pairs(source, expression, operators::LOGICAL_AND)
            .into_iter()
            .flatten()
            .find(|(_, part)| is_false(part))
            .map_or_else(
                || vec![source],
                |(source, part)| deciding(source, part, is_false),
            ),
        Shape::One => vec![bare(source)],
    }
}

/// What an operator joins, in order: the texts with their expressions.
fn pairs<'s, 'e>(
    source: &'s str,
    expression: &'e IdedExpr,
    operator: &str,
) -> Option<Vec<(&'s str, &'e IdedExpr)>> {
    let (mut texts, mut parts) = (Vec::new(), Vec::new());
    flat_source(source, operator, &mut texts);
    flat(expression, operator, &mut parts);
    (texts.len() == parts.len()).then(|| texts.into_iter().zip(parts).collect())
}

/// The parser balances chains, so what one operator joins is taken together, however it is nested.
fn flat<'e>(expression: &'e IdedExpr, operator: &str, into: &mut Vec<&'e IdedExpr>) {
    match &expression.expr {
        Expr::Call(call) if call.func_name == operator => {
            call.args.iter().for_each(|arg| flat(arg, operator, into));
        }
        _ => into.push(expression),
    }
}

fn flat_source<'s>(source: &'s str, operator: &str, into: &mut Vec<&'s str>) {
    match (shape(source), operator) {
        (Shape::All(parts), operators::LOGICAL_AND)
        | (Shape::Any(parts), operators::LOGICAL_OR) => {
            parts
                .into_iter()
                .for_each(|part| flat_source(part, operator, into));
        }
        _ => into.push(source),
    }
}

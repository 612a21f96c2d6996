//! Expressions for a value: the same language, engine and bounds as filters, with the value itself as the answer.
//!
//! A number of the event keeps its digits wherever the answer is a path, also behind `?:`, or a list or an object as it is written. What the
//! engine computed with a point or an exponent is a binary fraction, and refused: that is never what an amount of money should go through.

use std::sync::Arc;

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelNull, CelString, CelUInt, LIST_TYPE, MAP_TYPE,
};
use cel::common::value::Val;
use cel::{Context, ExecutionError, Value};

use super::value::{AsWritten, Budget, MAX_ITEMS};
use super::{ENV, Pattern, compile, paths, shorten, source, value};
use crate::payload::{Kind, elements, kind, member};

/// Making ready to evaluate, besides the nodes.
pub(super) const UNITS_PER_EVALUATION: u64 = 100;
const UNITS_PER_NODE: u64 = 4;
const BYTES_PER_UNIT: u64 = 16;
/// Lists and objects that the engine made, inside each other.
const MAX_DEPTH: usize = 64;
/// A text that the engine made doubles with each addition; an answer is no larger than this.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// An expression that compiled and is within bounds.
#[derive(Debug)]
pub struct Expression {
    source: Box<str>,
    expression: IdedExpr,
    nodes: u64,
    patterns: Vec<Pattern>,
    variables: Vec<&'static str>,
}

/// Why there is no value.
enum Why {
    Missing,
    Wrong(String),
}

impl Expression {
    /// Compiles a source of at most 1,024 bytes that may name these variables. The error says what is wrong, at which place, or which bound
    /// it passes.
    pub fn compile(source: &str, variables: &[&'static str]) -> Result<Self, String> {
        if source.trim().is_empty() {
            return Err("is empty".to_owned());
        }
        source::within_bounds(source)?;
        let (mut expressions, parts) = compile::compile(&[source.trim()], variables)?;
        let expression = expressions.pop().ok_or("is empty")?;
        Ok(Self {
            source: source.trim().into(),
            expression,
            nodes: parts.nodes as u64,
            patterns: parts
                .patterns
                .into_iter()
                .map(|regex| Pattern(Arc::new(regex)))
                .collect(),
            variables: parts.variables,
        })
    }

    /// What it names.
    pub fn variables(&self) -> &[&'static str] {
        &self.variables
    }

    /// How many patterns it has, of 256 KiB at most each.
    pub fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// The paths that it reads: `payload.customer.id`, `payload.lines[*].sku`.
    pub fn paths(&self) -> Vec<String> {
        paths::of(std::iter::once(&self.expression))
    }

    /// The value, as JSON text. None where a path is missing. `texts` are its variables' values, as valid JSON; `units` is what may be
    /// done, some 10 ns each: what was done is taken from it, and nothing more is done at 0.
    pub fn evaluate(
        &self,
        texts: &[(&'static str, &str)],
        units: &mut u64,
    ) -> Result<Option<String>, String> {
        *units = units.saturating_sub(UNITS_PER_EVALUATION + self.nodes * UNITS_PER_NODE);
        let budget = Budget::new(*units, self.nodes);
        let mut context = Context::with_env(Arc::clone(&ENV));
        for (name, text) in texts {
            // A string is unescaped whole; lists and objects pay for what is read of them.
            if kind(text) == Kind::String {
                budget.spend(text.len() as u64 / BYTES_PER_UNIT);
            }
            context.add_variable_as_val(*name, value::value(text, &budget));
        }
        for (number, pattern) in self.patterns.iter().enumerate() {
            context.add_variable_as_val(compile::pattern_name(number), Box::new(pattern.clone()));
        }
        let run = Run {
            texts,
            budget: &budget,
            context: &context,
        };
        let said = run.value(&self.expression);
        *units = budget.left();
        if budget.is_spent() {
            return Err(spent());
        }
        match said {
            Ok(text) => Ok(Some(text)),
            Err(Why::Missing) => Ok(None),
            Err(Why::Wrong(reason)) => Err(format!("{reason} (in `{}`)", self.source)),
        }
    }
}

fn spent() -> String {
    "it does more work on this event than is allowed: loops over long lists, or many looks at a large payload"
        .to_owned()
}

struct Run<'r> {
    texts: &'r [(&'static str, &'r str)],
    budget: &'r Budget,
    context: &'r Context<'r, 'r>,
}

impl Run<'_> {
    fn value(&self, node: &IdedExpr) -> Result<String, Why> {
        if let Expr::Call(call) = &node.expr
            && call.func_name == operators::CONDITIONAL
            && let [condition, yes, no] = call.args.as_slice()
        {
            let said = Value::resolve_val(condition, self.context).map_err(why)?;
            return match said.downcast_ref::<CelBool>().map(|b| *b.inner()) {
                Some(true) => self.value(yes),
                Some(false) => self.value(no),
                None => Err(Why::Wrong(
                    "what stands before `?` is no boolean".to_owned(),
                )),
            };
        }
        match self.as_written(node)? {
            Some(text) => Ok(text.to_owned()),
            None => {
                let value = Value::resolve_val(node, self.context).map_err(why)?;
                let mut out = String::new();
                self.write(value.as_ref(), MAX_DEPTH, &mut out)?;
                Ok(out)
            }
        }
    }

    /// The text at a path that is written out. None: it is something else, and the engine's.
    fn as_written(&self, node: &IdedExpr) -> Result<Option<&str>, Why> {
        let (container, step) = match &node.expr {
            Expr::Ident(name) => {
                let text = self.texts.iter().find(|(known, _)| known == name);
                return Ok(text.map(|(_, text)| text.trim()));
            }
            Expr::Select(select) if !select.test => (&*select.operand, Step::Name(&select.field)),
            Expr::Call(call) if call.func_name == operators::INDEX => {
                let [container, index] = call.args.as_slice() else {
                    return Ok(None);
                };
                let step = match &index.expr {
                    Expr::Literal(LiteralValue::String(key)) => Step::Name(key.inner()),
                    Expr::Literal(LiteralValue::Int(int)) => Step::Index(*int.inner()),
                    _ => return Ok(None),
                };
                (container, step)
            }
            _ => return Ok(None),
        };
        let Some(raw) = self.as_written(container)? else {
            return Ok(None);
        };
        if !self.budget.spend(1 + raw.len() as u64 / BYTES_PER_UNIT) {
            return Err(Why::Wrong(spent()));
        }
        let found = match (kind(raw), step) {
            (Kind::Object, Step::Name(name)) => member(raw, name),
            (Kind::Array, Step::Index(index)) => usize::try_from(index)
                .ok()
                .and_then(|at| elements(raw).nth(at)),
            (Kind::Null, _) => None,
            // Not of this kind: the engine says so.
            _ => return Ok(None),
        };
        found.map(Some).ok_or(Why::Missing)
    }

    fn write(&self, value: &dyn Val, depth: usize, out: &mut String) -> Result<(), Why> {
        if depth == 0 {
            return Err(Why::Wrong(format!("is more than {MAX_DEPTH} levels deep")));
        }
        if !self.budget.spend(1) {
            return Err(Why::Wrong(spent()));
        }
        room(out, 0)?;
        if let Some(text) = value.downcast_ref::<CelString>() {
            if !self
                .budget
                .spend(text.inner().len() as u64 / BYTES_PER_UNIT)
            {
                return Err(Why::Wrong(spent()));
            }
            room(out, text.inner().len())?;
            // Strings always serialize.
            out.push_str(&serde_json::to_string(text.inner()).unwrap_or_default());
        } else if let Some(int) = value.downcast_ref::<CelInt>() {
            out.push_str(&int.inner().to_string());
        } else if let Some(int) = value.downcast_ref::<CelUInt>() {
            out.push_str(&int.inner().to_string());
        } else if let Some(boolean) = value.downcast_ref::<CelBool>() {
            out.push_str(if *boolean.inner() { "true" } else { "false" });
        } else if value.downcast_ref::<CelNull>().is_some() {
            out.push_str("null");
        } else if value.downcast_ref::<CelDouble>().is_some() {
            return Err(Why::Wrong(
                "a number with a point was computed, and that isn't exact: take it by its path, with a converter where it has to be changed"
                    .to_owned(),
            ));
        } else if value.get_type() == &LIST_TYPE || value.get_type() == &MAP_TYPE {
            return self.container(value, depth, out);
        } else {
            return Err(Why::Wrong(format!(
                "is of type {}, which is no value of a field",
                value.get_type().name()
            )));
        }
        Ok(())
    }

    fn container(&self, value: &dyn Val, depth: usize, out: &mut String) -> Result<(), Why> {
        if let Some(indexer) = value.as_indexer()
            && let Ok(text) = indexer.get(&AsWritten)
            && let Some(text) = text.downcast_ref::<CelString>()
        {
            if !self
                .budget
                .spend(text.inner().len() as u64 / BYTES_PER_UNIT)
            {
                return Err(Why::Wrong(spent()));
            }
            room(out, text.inner().len())?;
            out.push_str(text.inner());
            return Ok(());
        }
        let Some(iterable) = value.as_iterable() else {
            return Err(Why::Wrong("can't be gone through".to_owned()));
        };
        let mut steps = iterable.iter();
        let mut items = Vec::new();
        while let Some(item) = steps.next() {
            if items.len() == MAX_ITEMS {
                return Err(Why::Wrong(format!("has more than {MAX_ITEMS} items")));
            }
            items.push(item);
        }
        let Some(indexer) = value.as_indexer().filter(|_| value.get_type() == &MAP_TYPE) else {
            out.push('[');
            for (at, item) in items.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                self.write(item, depth - 1, out)?;
            }
            out.push(']');
            return Ok(());
        };
        // The engine's order of keys is another each time.
        let mut members = Vec::with_capacity(items.len());
        for key in items {
            let Some(name) = key.downcast_ref::<CelString>() else {
                return Err(Why::Wrong("an object's keys are strings".to_owned()));
            };
            members.push((name.inner().to_owned(), indexer.get(key).map_err(why)?));
        }
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        out.push('{');
        for (at, (name, member)) in members.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            room(out, name.len())?;
            out.push_str(&serde_json::to_string(name).unwrap_or_default());
            out.push(':');
            self.write(member.as_ref(), depth - 1, out)?;
        }
        out.push('}');
        Ok(())
    }
}

/// For so many bytes more.
fn room(out: &str, more: usize) -> Result<(), Why> {
    if out.len() + more > MAX_ANSWER_BYTES {
        return Err(Why::Wrong(format!(
            "is too large: more than {} MiB",
            MAX_ANSWER_BYTES >> 20
        )));
    }
    Ok(())
}

enum Step<'s> {
    Name(&'s str),
    Index(i64),
}

/// A path that leads nowhere is no value, as in filters; everything else can't be told.
fn why(error: ExecutionError) -> Why {
    match &error {
        ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_) => Why::Missing,
        ExecutionError::NoSuchOverload(overload)
            if matches!(overload.function(), "_._" | "_[_]")
                && overload
                    .argument_types()
                    .first()
                    .is_some_and(|name| name == "null_type") =>
        {
            Why::Missing
        }
        other => Why::Wrong(shorten(&other.to_string())),
    }
}

#[cfg(test)]
mod tests;

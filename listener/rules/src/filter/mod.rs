//! Filters: CEL within bounds, over borrowed data.
//!
//! ```text
//!  source ─ source: length, depth, terms ─▶ compile: parse, names, bounds, patterns ─▶ Filter
//!                                                                                        │ evaluate
//!  payload, headers, query, event ─ value: lazy views of JSON text, each look paid ──────▶ Verdict
//! ```
//!
//! Guarantees:
//! - A source is compiled once. Unknown names and functions, and what could cost too much, are refused then.
//! - The payload is never copied into the engine, and no tree is made of it: `cel` evaluates over values of any type that implement
//!   its `Val`, so each value is the JSON text it was written as, and a path reads along it. Only lists and keys that a loop goes
//!   through become vectors, of bounded length. Headers and the query become JSON texts too where a filter names them.
//! - Work is bounded: what reads text or goes round a loop pays from a budget; when it is spent, the delivery is held. So is what all filters
//!   of one callback do together, whatever the number of its events and webhooks.
//! - Nothing an event holds makes it panic.
//!
//! What differs from CEL elsewhere, for the sake of people who write filters:
//! - A path that is missing, also below a null, is no match instead of an error; `has()` asks first. An index past a list's end is one too.
//! - Numbers written without point and exponent are ints, as far as 64 bits go; all others doubles. They compare across: `12.5 > 12`
//!   and `12.0 == 12` hold. A number and a string never equal.
//! - A loop goes over a path or a list of literals; a pattern is a literal.

mod compile;
mod expression;
mod paths;
mod source;
mod value;
mod why;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::common::types::{CelBool, CelString, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Context, Env, ExecutionError, Value};
use regex::Regex;

use crate::payload::{Payload, decode_form, form_json};
use crate::text::clip;
use value::{BYTES_PER_UNIT, Budget};
use why::Decided;

pub use expression::Expression;
use expression::UNITS_PER_EVALUATION;

/// What a source can name.
pub const VARIABLES: [&str; 4] = ["payload", "headers", "query", "event"];

/// Work one evaluation may do besides reading its payload a few times: some 40 ms.
pub const BASE_UNITS: u64 = 4_000_000;

/// Work that all evaluations for one callback may do together: some second.
pub const CALLBACK_UNITS: u64 = 25 * BASE_UNITS;

/// A filter that compiled and is within bounds.
#[derive(Debug)]
pub struct Filter {
    /// All must hold.
    terms: Vec<Term>,
    nodes: u64,
    patterns: Vec<Pattern>,
    variables: Vec<&'static str>,
}

/// One of `a && b && c`.
#[derive(Debug)]
struct Term {
    source: Box<str>,
    expression: IdedExpr,
    /// Which of its parts decided when it is false.
    decided: Decided,
}

/// What a filter sees.
#[derive(Debug, Clone, Copy)]
pub struct FilterInput<'a> {
    /// `payload`
    pub payload: &'a Payload,
    /// `headers`: lower-case names, credentials removed.
    pub headers: &'a BTreeMap<String, String>,
    /// `query`: as received, decoded here.
    pub query: &'a str,
    /// `event.type`
    pub event_type: &'a str,
    /// `event.deliveryId`
    pub delivery_id: &'a str,
    /// `event.externalId`
    pub external_id: &'a str,
}

/// What a filter said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Match,
    /// It doesn't, or a path is missing. The reason says at which term.
    NoMatch(String),
    /// It can't be told: the delivery is held.
    Error(String),
}

impl Filter {
    /// Compiles a source of at most 1,024 bytes. The error says what is wrong, at which place, or which bound it passes.
    pub fn compile(source: &str) -> Result<Self, String> {
        let terms = source::terms(source)?;
        let (expressions, parts) = compile::compile(&terms, &VARIABLES)?;
        Ok(Self {
            terms: terms
                .into_iter()
                .zip(expressions)
                .map(|(source, expression)| Term {
                    decided: Decided::of(source),
                    source: source.into(),
                    expression,
                })
                .collect(),
            nodes: parts.nodes as u64,
            patterns: parts
                .patterns
                .into_iter()
                .map(|regex| Pattern(Arc::new(regex)))
                .collect(),
            variables: parts.variables,
        })
    }

    /// The paths that it reads: `payload.customer.id`, `payload.lines[*].sku`.
    pub fn paths(&self) -> Vec<String> {
        paths::of(self.terms.iter().map(|term| &term.expression))
    }

    /// True when it looks at headers or the query, which have to be rid of credentials first.
    pub(crate) fn reads_head(&self) -> bool {
        self.variables
            .iter()
            .any(|name| matches!(*name, "headers" | "query"))
    }

    /// Runs it. What it does is taken from `left`, which it shares with all filters of the callback.
    pub fn evaluate(&self, input: FilterInput<'_>, left: &mut u64) -> Verdict {
        if *left == 0 {
            return callback_spent();
        }
        let texts = match Texts::of(&input, &self.variables) {
            Ok(texts) => texts,
            Err(reason) => return Verdict::Error(reason),
        };
        let own = texts.units();
        let given = own.min(*left);
        let budget = Budget::new(given, self.nodes);
        budget.spend(UNITS_PER_EVALUATION + texts.made() / BYTES_PER_UNIT);
        budget.step();
        let verdict = self.within(&texts, &budget);
        *left -= given - budget.left();
        match verdict {
            Some(verdict) => verdict,
            None if given < own => callback_spent(),
            None => Verdict::Error(
                "the filter does more work on this event than is allowed: loops over long lists, or many looks at a large payload"
                    .to_owned(),
            ),
        }
    }

    /// None when the budget was spent before it was told.
    fn within(&self, texts: &Texts<'_>, budget: &Budget) -> Option<Verdict> {
        let mut context = Context::with_env(Arc::clone(&ENV));
        for (name, text) in texts.each() {
            context.add_variable_as_val(name, value::value(text, budget));
        }
        for (number, pattern) in self.patterns.iter().enumerate() {
            context.add_variable_as_val(compile::pattern_name(number), Box::new(pattern.clone()));
        }
        let verdict = self.all(&context);
        if budget.is_spent() {
            return None;
        }
        Some(match verdict {
            Ok(verdict) => verdict,
            Err(term) => Verdict::NoMatch(term.false_at(&context)),
        })
    }

    /// As CEL has it, a false term, which is the error here, decides whatever the others say; else the first that can't be told.
    fn all(&self, context: &Context<'_, '_>) -> Result<Verdict, &Term> {
        let mut verdict = Verdict::Match;
        for term in &self.terms {
            match term.evaluate(context) {
                None => return Err(term),
                Some(other) if verdict == Verdict::Match => verdict = other,
                Some(_) => {}
            }
        }
        Ok(verdict)
    }
}

fn callback_spent() -> Verdict {
    Verdict::Error(
        "the group's filters did as much work on this callback as is allowed before this one was through: simplify those with loops over long lists, and replay what is wanted of the held"
            .to_owned(),
    )
}

impl Term {
    /// None when it is false.
    fn evaluate(&self, context: &Context<'_, '_>) -> Option<Verdict> {
        let result = match Value::resolve_val(&self.expression, context) {
            Ok(result) => result,
            Err(error) => return Some(self.explain(&error, context)),
        };
        match result.downcast_ref::<CelBool>().map(|b| *b.inner()) {
            Some(true) => Some(Verdict::Match),
            Some(false) => None,
            None => Some(Verdict::Error(format!(
                "`{}` is of type {}; a filter says true or false",
                self.source,
                result.get_type().name()
            ))),
        }
    }

    /// The parts of it that decided. Asked of a term that is false.
    fn false_at(&self, context: &Context<'_, '_>) -> String {
        let is_false = |part: &IdedExpr| {
            Value::resolve_val(part, context)
                .is_ok_and(|said| said.downcast_ref::<CelBool>().is_some_and(|b| !*b.inner()))
        };
        let parts = self
            .decided
            .parts(&self.source, &self.expression, &is_false);
        format!("false at: {}", parts.join(", and at: "))
    }

    /// A missing path is no match, everything else can't be told.
    fn explain(&self, error: &ExecutionError, context: &Context<'_, '_>) -> Verdict {
        match error {
            ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_) => {
                let path = missing(&self.expression, context).unwrap_or_else(|| match error {
                    ExecutionError::NoSuchKey(key) => format!("`{key}`"),
                    _ => "an index".to_owned(),
                });
                Verdict::NoMatch(format!(
                    "{path} is missing; has() tells (in `{}`)",
                    self.source
                ))
            }
            ExecutionError::NoSuchOverload(overload)
                if matches!(overload.function(), "_._" | "_[_]")
                    && overload
                        .argument_types()
                        .first()
                        .is_some_and(|name| name == "null_type") =>
            {
                Verdict::NoMatch(format!("a path leads below a null in `{}`", self.source))
            }
            // The engine's errors print the values they are about. Those are the payload's: cut them.
            other => Verdict::Error(format!(
                "{} (in `{}`)",
                shorten(&other.to_string()),
                self.source
            )),
        }
    }
}

/// The first path of an expression that leads nowhere, as it is written.
fn missing(node: &IdedExpr, context: &Context<'_, '_>) -> Option<String> {
    let children: Vec<&IdedExpr> = match &node.expr {
        Expr::Select(select) => vec![&select.operand],
        Expr::Call(call) => call
            .target
            .as_deref()
            .into_iter()
            .chain(&call.args)
            .collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map
            .entries
            .iter()
            .filter_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => Some([&entry.key, &entry.value]),
                EntryExpr::StructField(_) => None,
            })
            .flatten()
            .collect(),
        // Inside a loop the path depends on the step: the term itself says enough.
        Expr::Comprehension(comprehension) => vec![&comprehension.iter_range],
        _ => Vec::new(),
    };
    if let Some(path) = children
        .into_iter()
        .find_map(|child| missing(child, context))
    {
        return Some(path);
    }
    let path = written(node)?;
    matches!(
        Value::resolve_val(node, context),
        Err(ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_))
    )
    .then_some(path)
}

/// A path as it is written; None for what isn't one.
fn written(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", written(&select.operand)?, select.field))
        }
        Expr::Call(call) if call.func_name == cel::common::ast::operators::INDEX => {
            let [container, index] = call.args.as_slice() else {
                return None;
            };
            let index = match &index.expr {
                Expr::Literal(cel::common::ast::LiteralValue::String(key)) => {
                    format!("'{}'", key.inner())
                }
                Expr::Literal(cel::common::ast::LiteralValue::Int(int)) => int.inner().to_string(),
                _ => "…".to_owned(),
            };
            Some(format!("{}[{index}]", written(container)?))
        }
        _ => None,
    }
}

fn shorten(message: &str) -> String {
    const MAX_BYTES: usize = 200;
    clip(message, MAX_BYTES)
}

/// What the variables read: texts of JSON, made only where a filter names the variable and the text isn't there already.
#[derive(Default)]
struct Texts<'a> {
    payload: std::borrow::Cow<'a, str>,
    headers: String,
    query: String,
    event: String,
}

impl<'a> Texts<'a> {
    fn of(input: &FilterInput<'a>, variables: &[&str]) -> Result<Self, String> {
        // An undecodable body holds every delivery with a filter, whatever the filter looks at.
        let payload = match input.payload {
            Payload::Json(json) | Payload::FormJson(_, json) => json.text().into(),
            Payload::Form(fields) => form_json(fields).into(),
            Payload::Opaque(reason) => return Err(format!("the body can't be decoded: {reason}")),
        };
        let mut texts = Self {
            payload,
            ..Self::default()
        };
        // Strings always serialize.
        if variables.contains(&"headers") {
            texts.headers = serde_json::to_string(input.headers).unwrap_or_default();
        }
        if variables.contains(&"query") {
            let fields = decode_form(input.query.as_bytes()).ok_or("the query can't be decoded")?;
            texts.query = form_json(&fields);
        }
        if variables.contains(&"event") {
            texts.event = serde_json::json!({
                "type": input.event_type,
                "deliveryId": input.delivery_id,
                "externalId": input.external_id,
            })
            .to_string();
        }
        Ok(texts)
    }

    /// Bytes that were written for it.
    fn made(&self) -> u64 {
        let payload = match &self.payload {
            std::borrow::Cow::Owned(made) => made.len(),
            std::borrow::Cow::Borrowed(_) => 0,
        };
        (payload + self.headers.len() + self.query.len() + self.event.len()) as u64
    }

    /// Enough to read the payload once for each of a few dozen paths, whatever its size.
    fn units(&self) -> u64 {
        BASE_UNITS + 2 * self.payload.len() as u64
    }

    fn each(&self) -> impl Iterator<Item = (&'static str, &str)> {
        VARIABLES.into_iter().zip([
            self.payload.as_ref(),
            &self.headers,
            &self.query,
            &self.event,
        ])
    }
}

static PATTERN_TYPE: Type = Type::new_unspecified_type("hookplane.pattern");

/// A compiled pattern, as a value.
#[derive(Debug, Clone)]
struct Pattern(Arc<Regex>);

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &PATTERN_TYPE
    }

    fn cel_type() -> &'static Type {
        &PATTERN_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn std::any::Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

/// The standard functions, with `matches` over compiled patterns.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    let types = || vec![STRING_TYPE, PATTERN_TYPE.to_owned()];
    // The names are free in a standard environment without the engine's own `matches`, which its feature `regex` would bring.
    env.add_overload("matches", "matches_pattern", types(), matches_pattern)
        .expect("declared once, in an environment of our own");
    env.add_member_overload(
        "matches",
        "matches_pattern_member",
        STRING_TYPE,
        vec![PATTERN_TYPE.to_owned()],
        matches_pattern,
    )
    .expect("declared once, in an environment of our own");
    Arc::new(env)
});

fn matches_pattern<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    match args.as_slice() {
        [text, pattern] => match (
            text.downcast_ref::<CelString>(),
            pattern.downcast_ref::<Pattern>(),
        ) {
            (Some(text), Some(pattern)) => Ok(CowVal::owned(CelBool::from(
                pattern.0.is_match(text.inner()),
            ))),
            _ => Err(ExecutionError::missing_argument_or_target()),
        },
        _ => Err(ExecutionError::missing_argument_or_target()),
    }
}

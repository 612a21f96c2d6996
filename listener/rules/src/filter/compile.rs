//! From a term's source to an expression within bounds.
//!
//! The walk over the expression is where everything is refused that could fail, or cost without limit, when an event is there:
//! unknown names, functions of no use in a filter, patterns made of data, loops over anything but a path or literals.

use cel::common::ast::LiteralValue;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, operators};
use cel::parser::Parser;
use regex::{Regex, RegexBuilder};

/// Levels of an expression.
const MAX_DEPTH: usize = 64;
/// Nodes of a whole filter.
pub(super) const MAX_NODES: usize = 500;
/// Loops inside each other.
const MAX_LOOPS: usize = 2;
/// Each may double a text or a list.
const MAX_ADDITIONS: usize = 4;
/// Patterns of a filter.
const MAX_PATTERNS: usize = 4;
/// Bytes of one compiled pattern, and of its cache while it runs.
const MAX_PATTERN_BYTES: usize = 256 * 1024;
/// The engine's parser recurses. It gets a stack that 1,024 bytes of source can't fill, whoever calls.
const PARSER_STACK_BYTES: usize = 32 * 1024 * 1024;

const EVENT_FIELDS: [&str; 3] = ["type", "deliveryId", "externalId"];

const FUNCTIONS: [&str; 12] = [
    "bool",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];

const MACROS: &str = "has, all, exists, exists_one, filter, map";

const TYPE_NAMES: [&str; 8] = [
    "bool",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "uint",
];

const OPERATORS: [&str; 16] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::IN,
];

/// What the macros leave behind: nobody can write it.
const ACCUMULATOR: &str = "@result";

/// What a filter's terms share.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) nodes: usize,
    pub(super) patterns: Vec<Regex>,
    pub(super) variables: Vec<&'static str>,
    additions: usize,
}

/// The name under which a pattern is handed to the engine. It can't be written in a source.
pub(super) fn pattern_name(number: usize) -> String {
    format!("@pattern{number}")
}

/// Parses the terms and checks all bounds, on a stack of its own.
pub(super) fn compile(
    terms: &[&str],
    variables: &[&'static str],
) -> Result<(Vec<IdedExpr>, Parts), String> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("filter-parser".to_owned())
            .stack_size(PARSER_STACK_BYTES)
            .spawn_scoped(scope, || {
                let mut parts = Parts::default();
                let mut expressions = Vec::with_capacity(terms.len());
                for term in terms {
                    expressions.push(one(term, &mut parts, variables)?);
                }
                Ok((expressions, parts))
            })
            .map_err(|e| format!("no thread to parse it on: {e}"))?
            .join()
            .unwrap_or_else(|_| Err("it can't be parsed".to_owned()))
    })
}

fn one(term: &str, parts: &mut Parts, variables: &[&'static str]) -> Result<IdedExpr, String> {
    let mut expression = Parser::new().parse(term).map_err(|errors| {
        errors.errors.first().map_or_else(
            || "it can't be parsed".to_owned(),
            |e| {
                format!(
                    "{} (at line {}, column {} of `{term}`)",
                    e.msg, e.pos.0, e.pos.1
                )
            },
        )
    })?;
    Walk {
        parts,
        variables,
        scope: Vec::new(),
        loops: 0,
    }
    .node(&mut expression, 1)?;
    Ok(expression)
}

struct Walk<'p> {
    parts: &'p mut Parts,
    /// What may be named.
    variables: &'p [&'static str],
    /// The variables of the loops around.
    scope: Vec<String>,
    loops: usize,
}

impl Walk<'_> {
    fn node(&mut self, node: &mut IdedExpr, depth: usize) -> Result<(), String> {
        self.parts.nodes += 1;
        if self.parts.nodes > MAX_NODES {
            return Err(format!("has more than {MAX_NODES} nodes"));
        }
        if depth > MAX_DEPTH {
            return Err(format!("is more than {MAX_DEPTH} levels deep"));
        }
        let below = depth + 1;
        match &mut node.expr {
            Expr::Literal(LiteralValue::Bytes(_)) => {
                Err("bytes have no place here; write a string without `b`".to_owned())
            }
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => {
                if matches!(&select.operand.expr, Expr::Ident(name) if name == "event")
                    && !self.scope.iter().any(|name| name == "event")
                    && !EVENT_FIELDS.contains(&select.field.as_str())
                {
                    return Err(format!(
                        "event.{} is unknown; an event has {}",
                        select.field,
                        EVENT_FIELDS.join(", ")
                    ));
                }
                self.node(&mut select.operand, below)
            }
            Expr::Call(call) => self.call(call, below),
            Expr::List(list) => list
                .elements
                .iter_mut()
                .try_for_each(|e| self.node(e, below)),
            Expr::Map(map) => map
                .entries
                .iter_mut()
                .try_for_each(|entry| match &mut entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        self.node(&mut entry.key, below)?;
                        self.node(&mut entry.value, below)
                    }
                    EntryExpr::StructField(_) => Err("messages have no place here".to_owned()),
                }),
            Expr::Comprehension(comprehension) => {
                if !is_range(&comprehension.iter_range.expr) {
                    return Err(
                        "a loop goes over a path, such as payload.items, or a list of literals; \
                         instead of chaining loops join their conditions with &&"
                            .to_owned(),
                    );
                }
                self.node(&mut comprehension.iter_range, below)?;
                self.loops += 1;
                if self.loops > MAX_LOOPS {
                    return Err(format!("more than {MAX_LOOPS} loops inside each other"));
                }
                if self.variables.contains(&comprehension.iter_var.as_str()) {
                    return Err(format!(
                        "a loop's variable can't be named `{}`",
                        comprehension.iter_var
                    ));
                }
                let outer = self.scope.len();
                self.scope.push(comprehension.iter_var.clone());
                self.scope.push(ACCUMULATOR.to_owned());
                for part in [
                    &mut comprehension.accu_init,
                    &mut comprehension.loop_cond,
                    &mut comprehension.loop_step,
                    &mut comprehension.result,
                ] {
                    self.node(part, below)?;
                }
                self.scope.truncate(outer);
                self.loops -= 1;
                Ok(())
            }
            Expr::Struct(_) => Err("messages have no place here".to_owned()),
            Expr::Unspecified => Err("it can't be parsed".to_owned()),
        }
    }

    fn name(&mut self, name: &str) -> Result<(), String> {
        if self.scope.iter().any(|known| known == name) || TYPE_NAMES.contains(&name) {
            return Ok(());
        }
        let Some(variable) = self.variables.iter().find(|known| **known == name) else {
            return Err(format!(
                "`{name}` is unknown; there are {}",
                self.variables.join(", ")
            ));
        };
        if !self.parts.variables.contains(variable) {
            self.parts.variables.push(variable);
        }
        Ok(())
    }

    fn call(&mut self, call: &mut CallExpr, below: usize) -> Result<(), String> {
        let name = call.func_name.as_str();
        match name {
            operators::EQUALS | operators::NOT_EQUALS => {
                // The engine asks the left side; its own lists and maps don't know ours, ours know its.
                if let [left, right] = call.args.as_mut_slice()
                    && rank(&left.expr) > rank(&right.expr)
                {
                    std::mem::swap(left, right);
                }
            }
            operators::ADD if !matches!(call.args.first(), Some(IdedExpr { expr: Expr::Ident(name), .. }) if name == ACCUMULATOR) =>
            {
                self.parts.additions += 1;
                if self.parts.additions > MAX_ADDITIONS {
                    return Err(format!("more than {MAX_ADDITIONS} additions"));
                }
            }
            operators::NOT_STRICTLY_FALSE => {}
            "matches" => return self.pattern(call, below),
            _ if OPERATORS.contains(&name) || FUNCTIONS.contains(&name) => {}
            _ => {
                return Err(format!(
                    "function `{name}` is unknown; there are {}, and {MACROS}",
                    FUNCTIONS.join(", ")
                ));
            }
        }
        if let Some(target) = &mut call.target {
            self.node(target, below)?;
        }
        call.args
            .iter_mut()
            .try_for_each(|arg| self.node(arg, below))
    }

    /// A pattern is compiled here, once, and only a literal one: compiled on the way it would cost without limit.
    fn pattern(&mut self, call: &mut CallExpr, below: usize) -> Result<(), String> {
        match (&mut call.target, call.args.as_mut_slice()) {
            (Some(text), [_]) => self.node(text, below)?,
            (None, [text, _]) => self.node(text, below)?,
            _ => return Err("matches takes one pattern, as in text.matches('^a+$')".to_owned()),
        }
        let Some(IdedExpr { expr, .. }) = call.args.last_mut() else {
            return Err("matches takes one pattern".to_owned());
        };
        let Expr::Literal(LiteralValue::String(pattern)) = &*expr else {
            return Err("the pattern of matches has to be written out as a string".to_owned());
        };
        if self.parts.patterns.len() == MAX_PATTERNS {
            return Err(format!("more than {MAX_PATTERNS} patterns"));
        }
        let regex = RegexBuilder::new(pattern.inner())
            .size_limit(MAX_PATTERN_BYTES)
            .dfa_size_limit(MAX_PATTERN_BYTES)
            .nest_limit(MAX_DEPTH as u32)
            .build()
            .map_err(|e| format!("the pattern `{}` can't be used: {e}", pattern.inner()))?;
        *expr = Expr::Ident(pattern_name(self.parts.patterns.len()));
        self.parts.patterns.push(regex);
        self.parts.nodes += 1;
        Ok(())
    }
}

/// What a loop may go over: what comes straight from the event, so that its steps are counted, or a few literals.
fn is_range(expr: &Expr) -> bool {
    match expr {
        Expr::List(list) => list
            .elements
            .iter()
            .all(|element| matches!(element.expr, Expr::Literal(_))),
        _ => is_path(expr),
    }
}

pub(super) fn is_path(expr: &Expr) -> bool {
    match expr {
        Expr::Ident(_) => true,
        Expr::Select(select) => !select.test && is_path(&select.operand.expr),
        Expr::Call(call) if call.func_name == operators::INDEX => {
            call.args.first().is_some_and(|arg| is_path(&arg.expr))
        }
        _ => false,
    }
}

/// Paths first, then what is made of them, then literals.
fn rank(expr: &Expr) -> u8 {
    match expr {
        Expr::List(_) | Expr::Map(_) | Expr::Literal(_) => 2,
        _ if is_path(expr) => 0,
        _ => 1,
    }
}

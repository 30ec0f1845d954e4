//! A condition on an object: a CEL expression over the variable `object`, with the functions Kubernetes offers.
//!
//! In: text · Out: `Expression` · Touches: nothing

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use kube_cel::KubeCelExt;
use kube_cel::cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use kube_cel::cel::{Context, ExecutionError, Program, Value};

use super::object::{Json, Manifest};

/// A compiled expression. It can be tested from many threads at once.
///
/// Missing fields follow CEL: `object.spec.x` is an error where there is no `x`, `has(object.spec.x)` asks first, and
/// an error on one side of `&&` or `||` does not count when the other side decides.
#[derive(Clone)]
pub struct Expression {
    text: String,
    program: Arc<Program>,
    needs: Needs,
}

/// Why a text is not a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadExpression {
    /// Longer than [`MAX_LENGTH`].
    #[error("a CEL expression may have {MAX_LENGTH} characters at most, this one has {0}")]
    TooLong(usize),
    /// Not CEL.
    #[error("not a CEL expression: {message} (line {line}, column {column})")]
    Syntax {
        /// What the parser says.
        message: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A variable other than `object`.
    #[error("unknown variable {0:?} in a CEL expression; the object is called `object`")]
    UnknownVariable(String),
    /// A function that neither CEL nor Kubernetes knows.
    #[error("unknown function {0:?} in a CEL expression")]
    UnknownFunction(String),
    /// CEL this program does not evaluate.
    #[error("{0} cannot be used in a CEL expression")]
    Unsupported(&'static str),
}

/// Why an expression has no answer for an object. No value of the object is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The expression reads a field that the object does not have.
    #[error("the object has no field {0:?}; ask with has() first")]
    MissingField(String),
    /// The result is not true or false.
    #[error("the result is {0}, not true or false")]
    NotABool(&'static str),
    /// Values of types that do not go together, a failing function, an overflow.
    #[error("{0}")]
    Failed(&'static str),
}

/// The longest text an expression may have.
pub const MAX_LENGTH: usize = 4096;

/// Which fields of the object an expression can reach: all, or those under these names.
#[derive(Clone, Debug, PartialEq)]
enum Needs {
    All,
    Fields(BTreeMap<String, Needs>),
}

/// The functions, set up once. An evaluation puts its variable into a scope of its own.
static FUNCTIONS: LazyLock<Context<'static>> = LazyLock::new(|| Context::default().with_all());

impl Expression {
    /// Compiles a text.
    ///
    /// # Errors
    /// [`BadExpression`]; unknown variables and functions are found here, not at the first object.
    pub fn parse(text: &str) -> Result<Self, BadExpression> {
        if text.len() > MAX_LENGTH {
            return Err(BadExpression::TooLong(text.len()));
        }
        // The parser and the evaluator have branches that panic on CEL they do not support.
        let compiled = catch_unwind(|| Program::compile(text));
        let program = compiled.map_err(|_| BadExpression::Unsupported("this syntax"))?.map_err(|errors| {
            let (message, at) = errors.errors.first().map_or(("unreadable", (1, 1)), |e| (&*e.msg, e.pos));
            BadExpression::Syntax { message: message.into(), line: whole(at.0), column: whole(at.1) }
        })?;
        let mut needs = Needs::Fields(BTreeMap::new());
        walk(program.expression(), &mut Vec::new(), &mut needs)?;
        Ok(Self { text: text.into(), program: Arc::new(program), needs })
    }

    /// Whether the object fulfils the condition.
    ///
    /// # Errors
    /// [`EvalError::MissingField`] where the object lacks a field that the expression reads without asking.
    pub fn test(&self, object: &Manifest) -> Result<bool, EvalError> {
        let mut scope = FUNCTIONS.new_inner_scope();
        scope.add_variable_from_value("object", value(object.as_json(), &self.needs));
        let result = catch_unwind(AssertUnwindSafe(|| self.program.execute(&scope)));
        match result.map_err(|_| EvalError::Failed("an operation is not supported"))? {
            Ok(Value::Bool(answer)) => Ok(answer),
            Ok(other) => Err(EvalError::NotABool(type_name(&other))),
            Err(error) => Err(self.told(error)),
        }
    }

    /// The text it was made of.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Says what went wrong without the values, which may be secret; a key is named only if the text names it.
    fn told(&self, error: ExecutionError) -> EvalError {
        match error {
            ExecutionError::NoSuchKey(key) if self.text.contains(key.as_str()) => {
                EvalError::MissingField(key.to_string())
            }
            ExecutionError::NoSuchKey(_) => EvalError::MissingField("(computed)".into()),
            ExecutionError::IndexOutOfBounds(_) => EvalError::Failed("a list has no such element"),
            ExecutionError::Overflow(..) => EvalError::Failed("a number is too large"),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                EvalError::Failed("a division by zero")
            }
            ExecutionError::FunctionError { .. } => EvalError::Failed("a function does not take this value"),
            _ => EvalError::Failed("types do not go together"),
        }
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expression({})", self.text)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Checks names and collects the fields of `object` that are read; `own` holds the variables of macros.
fn walk<'e>(node: &'e IdedExpr, own: &mut Vec<&'e str>, needs: &mut Needs) -> Result<(), BadExpression> {
    if let Some(path) = object_path(node) {
        needs.add(&path);
        return Ok(());
    }
    match &node.expr {
        Expr::Unspecified => Err(BadExpression::Unsupported("an empty expression")),
        Expr::Struct(_) => Err(BadExpression::Unsupported("a message literal")),
        Expr::Literal(_) => Ok(()),
        Expr::Ident(name) if name == "object" || own.contains(&name.as_str()) => Ok(()),
        Expr::Ident(name) => Err(BadExpression::UnknownVariable(name.clone())),
        Expr::Select(select) => walk(&select.operand, own, needs),
        Expr::List(list) => list.elements.iter().try_for_each(|e| walk(e, own, needs)),
        Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
            EntryExpr::StructField(_) => Err(BadExpression::Unsupported("a message literal")),
            EntryExpr::MapEntry(e) => walk(&e.key, own, needs).and_then(|()| walk(&e.value, own, needs)),
        }),
        Expr::Call(call) => walk_call(call, own, needs),
        Expr::Comprehension(c) => {
            walk(&c.iter_range, own, needs)?;
            walk(&c.accu_init, own, needs)?;
            let outer = own.len();
            own.extend([c.iter_var.as_str(), c.accu_var.as_str()]);
            own.extend(c.iter_var2.as_deref());
            let inside = [&c.loop_cond, &c.loop_step, &c.result];
            let result = inside.iter().try_for_each(|e| walk(e, own, needs));
            own.truncate(outer);
            result
        }
    }
}

fn walk_call<'e>(call: &'e CallExpr, own: &mut Vec<&'e str>, needs: &mut Needs) -> Result<(), BadExpression> {
    let mut namespace = None;
    if let Some(target) = &call.target {
        match &target.expr {
            // `sets.contains(..)`: the name before the dot is no variable.
            Expr::Ident(name) if name != "object" && !own.contains(&name.as_str()) => namespace = Some(name),
            _ => walk(target, own, needs)?,
        }
    }
    let name = namespace.map_or_else(|| call.func_name.clone(), |n| format!("{n}.{}", call.func_name));
    if !is_known(&name) {
        return Err(match namespace {
            Some(variable) if is_known(&call.func_name) => BadExpression::UnknownVariable(variable.clone()),
            _ => BadExpression::UnknownFunction(name),
        });
    }
    call.args.iter().try_for_each(|arg| walk(arg, own, needs))
}

/// Whether the evaluator has an operator or function of this name: it is called without arguments to find out.
fn is_known(name: &str) -> bool {
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return true; // operators are named `_+_`, `!_`, `@in`
    }
    let call = CallExpr { func_name: name.into(), target: None, args: Vec::new() };
    let probe = IdedExpr { id: 0, expr: Expr::Call(call) };
    let result = catch_unwind(AssertUnwindSafe(|| FUNCTIONS.resolve(&probe)));
    !matches!(result, Ok(Err(ExecutionError::UndeclaredReference(_))))
}

/// The names behind `object` when the node is `object`, `object.a.b` or `object.a['b']`.
fn object_path(node: &IdedExpr) -> Option<Vec<&str>> {
    match &node.expr {
        Expr::Ident(name) if name == "object" => Some(Vec::new()),
        Expr::Select(select) => {
            let mut path = object_path(&select.operand)?;
            path.push(&select.field);
            Some(path)
        }
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [of, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }] => {
                let mut path = object_path(of)?;
                path.push(name.inner());
                Some(path)
            }
            _ => None,
        },
        _ => None,
    }
}

impl Needs {
    fn add(&mut self, path: &[&str]) {
        match (self, path.split_first()) {
            (Self::All, _) => {}
            (all, None) => *all = Self::All,
            (Self::Fields(fields), Some((first, rest))) => {
                let below = fields.entry((*first).into()).or_insert_with(|| Self::Fields(BTreeMap::new()));
                below.add(rest);
            }
        }
    }
}

/// The part of a JSON tree that is needed, as CEL sees it.
fn value(json: &Json, needs: &Needs) -> Value {
    match (json, needs) {
        (Json::Object(map), Needs::Fields(fields)) => {
            let some =
                fields.iter().filter_map(|(key, below)| Some((key.clone(), value(map.get(key)?, below))));
            Value::Map(some.collect::<HashMap<String, Value>>().into())
        }
        (Json::Object(map), Needs::All) => {
            let all = map.iter().map(|(key, child)| (key.clone(), value(child, needs)));
            Value::Map(all.collect::<HashMap<String, Value>>().into())
        }
        (Json::Array(list), _) => {
            Value::List(Arc::new(list.iter().map(|child| value(child, &Needs::All)).collect()))
        }
        (Json::String(text), _) => Value::String(Arc::new(text.clone())),
        (Json::Bool(truth), _) => Value::Bool(*truth),
        (Json::Null, _) => Value::Null,
        (Json::Number(number), _) => match (number.as_i64(), number.as_u64()) {
            (Some(signed), _) => Value::Int(signed),
            (None, Some(large)) => Value::UInt(large),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
        Value::String(_) => "a text",
        Value::Null => "null",
        _ => "of another type",
    }
}

/// A position of the parser, from 1.
fn whole(number: isize) -> usize {
    usize::try_from(number).unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests;

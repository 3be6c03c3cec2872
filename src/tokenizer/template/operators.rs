//! The operators of a compiled template that read or make values of any size, done within the budget.

use std::sync::Arc;

use minijinja::machinery::{Instruction, Instructions};
use minijinja::value::{Rest, Tuple, ValueKind};
use minijinja::{Environment, Error, State, Value};

use super::budget::{Budget, ELEMENT_BYTES, refused};
use super::slice::slice;

/// Lets the filter lookup of minijinja search by name each time; its cache is numbered by the compiler.
const UNCACHED: u8 = !0;

type Operator = fn(&Budget, &State, &[Value]) -> Result<Value, Error>;

/// The names cannot be written in a template.
const OPERATORS: [(&str, Operator); 14] = [
    ("op:+", add_values),
    ("op:*", multiply),
    ("op:~", concat),
    ("op:slice", |b, _, v| slice(b, v)),
    ("op:==", |b, _, v| compare(b, v, |x, y| x == y)),
    ("op:!=", |b, _, v| compare(b, v, |x, y| x != y)),
    ("op:<", |b, _, v| compare(b, v, |x, y| x < y)),
    ("op:<=", |b, _, v| compare(b, v, |x, y| x <= y)),
    ("op:>", |b, _, v| compare(b, v, |x, y| x > y)),
    ("op:>=", |b, _, v| compare(b, v, |x, y| x >= y)),
    ("op:in", contains),
    ("op:list", |b, _, v| {
        Ok(Value::from(nestable(b, v)?.to_vec()))
    }),
    ("op:tuple", |b, _, v| {
        Ok(Value::from(Tuple::from(nestable(b, v)?.to_vec())))
    }),
    ("op:map", build_map),
];

/// Replaces the operators in compiled code; each takes from the stack what the original does.
pub(super) fn replace(instructions: &mut Instructions) {
    let mut index = 0;
    while let Some(instruction) = instructions.get_mut(index) {
        index += 1;
        let count = |n: usize| u16::try_from(n).ok();
        let (name, args) = match instruction {
            Instruction::Add => ("op:+", Some(2)),
            Instruction::Mul => ("op:*", Some(2)),
            Instruction::StringConcat => ("op:~", Some(2)),
            Instruction::Slice => ("op:slice", Some(4)),
            Instruction::Eq => ("op:==", Some(2)),
            Instruction::Ne => ("op:!=", Some(2)),
            Instruction::Lt => ("op:<", Some(2)),
            Instruction::Lte => ("op:<=", Some(2)),
            Instruction::Gt => ("op:>", Some(2)),
            Instruction::Gte => ("op:>=", Some(2)),
            Instruction::In => ("op:in", Some(2)),
            // No count, here as in a call, means that the number of elements is on the stack.
            Instruction::BuildList(None) => ("op:list", None),
            Instruction::BuildTuple(None) => ("op:tuple", None),
            Instruction::BuildList(Some(n)) => ("op:list", count(*n)),
            Instruction::BuildTuple(Some(n)) => ("op:tuple", count(*n)),
            Instruction::BuildMap(pairs) => ("op:map", count(pairs.saturating_mul(2))),
            _ => continue,
        };
        *instruction = Instruction::ApplyFilter(name, args, UNCACHED);
    }
}

/// Makes the replacements known.
pub(super) fn add(env: &mut Environment<'static>, budget: &Arc<Budget>) {
    for (name, operator) in OPERATORS {
        let budget = Arc::clone(budget);
        env.add_filter(name, move |state: &State, values: Rest<Value>| {
            operator(&budget, state, &values)
        });
    }
}

fn pair(values: &[Value]) -> Result<(&Value, &Value), Error> {
    match values {
        [a, b] => Ok((a, b)),
        _ => Err(refused(format!(
            "an operator with {} operands",
            values.len()
        ))),
    }
}

fn add_values(budget: &Budget, _: &State, values: &[Value]) -> Result<Value, Error> {
    let (a, b) = pair(values)?;
    if let (Some(left), Some(right)) = (a.as_str(), b.as_str()) {
        return joined(budget, left, right);
    }
    if !is_sequence(a) || !is_sequence(b) {
        return numeric(a, b, "+", i128::checked_add, |x, y| x + y);
    }
    if a.is_tuple() != b.is_tuple() {
        return Err(refused("a tuple and a list cannot be added"));
    }
    let items: Result<Vec<Value>, Error> = [a, b]
        .into_iter()
        .map(|list| budget.charge_shallow(list).and_then(|()| list.try_iter()))
        .collect::<Result<Vec<_>, Error>>()?
        .into_iter()
        .flat_map(|list| list.checked())
        .collect();
    Ok(if a.is_tuple() {
        Value::from(Tuple::from(items?))
    } else {
        Value::from(items?)
    })
}

fn multiply(budget: &Budget, _: &State, values: &[Value]) -> Result<Value, Error> {
    let (a, b) = pair(values)?;
    let repeats = |value: &Value| value.as_str().is_some() || is_sequence(value);
    let (what, count) = if repeats(a) { (a, b) } else { (b, a) };
    if !repeats(what) {
        return numeric(a, b, "*", i128::checked_mul, |x, y| x * y);
    }
    let count = i64::try_from(count.clone())?.max(0);
    let times = usize::try_from(count).map_err(|_| refused(format!("repeated {count} times")))?;
    if let Some(text) = what.as_str() {
        budget.charge((text.len() as u64).saturating_mul(times as u64))?;
        return Ok(Value::from(text.repeat(times)));
    }
    let items: Result<Vec<Value>, Error> = what.try_iter()?.checked().collect();
    let items = items?;
    budget.charge(
        (items.len() as u64)
            .saturating_mul(times as u64)
            .saturating_mul(ELEMENT_BYTES),
    )?;
    let repeated: Vec<Value> = std::iter::repeat_n(&items, times)
        .flatten()
        .cloned()
        .collect();
    Ok(if what.is_tuple() {
        Value::from(Tuple::from(repeated))
    } else {
        Value::from(repeated)
    })
}

fn concat(budget: &Budget, _: &State, values: &[Value]) -> Result<Value, Error> {
    let (a, b) = pair(values)?;
    for value in [a, b] {
        if value.as_str().is_none() {
            budget.charge_deep(value)?;
        }
    }
    match (a.as_str(), b.as_str()) {
        (Some(left), Some(right)) => joined(budget, left, right),
        _ => joined(budget, &a.to_string(), &b.to_string()),
    }
}

fn joined(budget: &Budget, left: &str, right: &str) -> Result<Value, Error> {
    budget.charge(left.len() as u64 + right.len() as u64)?;
    Ok(Value::from([left, right].concat()))
}

fn compare(
    budget: &Budget,
    values: &[Value],
    op: fn(&Value, &Value) -> bool,
) -> Result<Value, Error> {
    let (a, b) = pair(values)?;
    if a.as_object().is_some() && b.as_object().is_some() {
        budget.charge_deep(a)?;
        budget.charge_deep(b)?;
    } else if let (Some(left), Some(right)) = (a.as_str(), b.as_str()) {
        budget.charge(left.len().min(right.len()) as u64)?;
    }
    Ok(Value::from(op(a, b)))
}

fn contains(budget: &Budget, state: &State, values: &[Value]) -> Result<Value, Error> {
    let (item, container) = pair(values)?;
    if container.kind() != ValueKind::Map {
        budget.charge_shallow(container)?;
        if item.as_object().is_some() {
            budget.charge_deep(container)?;
        }
    }
    minijinja::tests::is_in(state, item, container).map(Value::from)
}

fn build_map(budget: &Budget, _: &State, values: &[Value]) -> Result<Value, Error> {
    let (pairs, _) = nestable(budget, values)?.as_chunks::<2>();
    Ok(Value::from_pairs(
        pairs
            .iter()
            .map(|[key, value]| (key.clone(), value.clone())),
    ))
}

/// Values that are about to be elements. Walking them bounds how deep values nest, and what a value that holds
/// another one twice, and so on, costs to walk later.
pub(super) fn nestable<'a>(budget: &Budget, values: &'a [Value]) -> Result<&'a [Value], Error> {
    for value in values {
        budget.charge_deep(value)?;
    }
    Ok(values)
}

pub(super) fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

/// Arithmetic on two numbers, in integers as long as both are.
fn numeric(
    a: &Value,
    b: &Value,
    name: &str,
    integers: fn(i128, i128) -> Option<i128>,
    floats: fn(f64, f64) -> f64,
) -> Result<Value, Error> {
    let is_number = |value: &Value| value.is_number() || value.kind() == ValueKind::Bool;
    if !is_number(a) || !is_number(b) {
        return Err(refused(format!(
            "operator {name} on {} and {}",
            a.kind(),
            b.kind()
        )));
    }
    if let (Ok(x), Ok(y)) = (i128::try_from(a.clone()), i128::try_from(b.clone()))
        && !is_float(a)
        && !is_float(b)
    {
        let result = integers(x, y).ok_or_else(|| refused(format!("{x} {name} {y} overflows")))?;
        return Ok(i64::try_from(result).map_or_else(|_| Value::from(result), Value::from));
    }
    Ok(Value::from(floats(
        f64::try_from(a.clone())?,
        f64::try_from(b.clone())?,
    )))
}

fn is_float(value: &Value) -> bool {
    value.is_number() && !value.is_integer()
}

//! Python's methods on texts, lists and maps, and what `{{ }}` prints, within the budget.

use std::sync::Arc;

use minijinja::value::from_args;
use minijinja::{Environment, Error, ErrorKind, Output, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::budget::{Budget, ELEMENT_BYTES};
use super::filters::{charge_join, replaced};

/// Makes methods known and sets the printer.
pub(super) fn add(env: &mut Environment<'static>, budget: &Arc<Budget>) {
    let for_methods = Arc::clone(budget);
    env.set_unknown_method_callback(move |state, value, method, args| {
        call(&for_methods, state, value, method, args)
    });
    let for_output = Arc::clone(budget);
    env.set_formatter(move |output, _, value| print(&for_output, output, value));
}

fn print(budget: &Budget, output: &mut Output, value: &Value) -> Result<(), Error> {
    let text = match value.as_str() {
        Some(text) => {
            budget.charge(text.len() as u64)?;
            return Ok(output.write_str(text)?);
        }
        None if value.is_undefined() => return Ok(()),
        None => {
            budget.charge_deep(value)?;
            value.to_string()
        }
    };
    Ok(output.write_str(&text)?)
}

fn call(
    budget: &Budget,
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        if method == "count" {
            budget.charge_deep(value)?;
        }
        return unknown_method_callback(state, value, method, args);
    };
    budget.charge(text.len() as u64)?;
    for arg in args {
        budget.charge_shallow(arg)?;
    }
    match method {
        "replace" => {
            let (old, new, count): (&str, &str, Option<i64>) = from_args(args)?;
            return replaced(budget, text, old, new, count);
        }
        "split" => {
            let separator = args
                .first()
                .and_then(Value::as_str)
                .filter(|separator| !separator.is_empty());
            let pieces = match separator {
                Some(separator) => text.matches(separator).count(),
                None => text.split_whitespace().count(),
            };
            budget.charge((pieces as u64 + 1).saturating_mul(ELEMENT_BYTES))?;
        }
        "splitlines" => budget.charge((text.matches('\n').count() as u64 + 1) * ELEMENT_BYTES)?,
        "join" => charge_join(budget, args.first(), Some(value))?,
        // Its width is part of the text: a few characters could ask for any amount of memory.
        "format" => return Err(Error::from(ErrorKind::UnknownMethod)),
        _ => {}
    }
    let result = unknown_method_callback(state, value, method, args)?;
    budget.charge_shallow(&result)?;
    Ok(result)
}

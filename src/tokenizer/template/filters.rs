//! The filters and tests that chat templates may use, within the budget. Others are unknown, by name.

use std::sync::Arc;

use minijinja::value::{Kwargs, Rest, from_args};
use minijinja::{Environment, Error, State, Value, filters, tests};

use super::budget::{Budget, ELEMENT_BYTES, arguments, length, refused};
use super::json;

/// A filter written here, with what it takes from the budget.
type OwnFilter = fn(&Budget, &[Value]) -> Result<Value, Error>;

/// What a filter costs beyond reading its arguments and making its result.
#[derive(Clone, Copy)]
enum Cost {
    /// No more than that.
    Shallow,
    /// It goes through its first argument, element by element; a text is a list of characters.
    Elements,
    /// It reads all that its first argument holds.
    Deep,
}

/// Makes filters and tests known.
pub(super) fn add(env: &mut Environment<'static>, budget: &Arc<Budget>) {
    for (name, cost, filter) in builtin_filters() {
        let budget = Arc::clone(budget);
        env.add_filter(
            name,
            move |state: &mut State, args: Rest<Value>, named: Kwargs| {
                call(&budget, cost, &filter, state, &arguments(args, named))
            },
        );
    }
    for (name, test) in builtin_tests() {
        let budget = Arc::clone(budget);
        env.add_test(
            name,
            move |state: &mut State, args: Rest<Value>, named: Kwargs| {
                call(
                    &budget,
                    Cost::Shallow,
                    &test,
                    state,
                    &arguments(args, named),
                )
            },
        );
    }
    let own: [(&str, OwnFilter); 3] = [
        ("tojson", json::tojson),
        ("replace", replace),
        ("indent", indent),
    ];
    for (name, filter) in own {
        let budget = Arc::clone(budget);
        env.add_filter(name, move |args: Rest<Value>, named: Kwargs| {
            filter(&budget, &arguments(args, named))
        });
    }
    let (join, for_join) = (Value::from_function(filters::join), Arc::clone(budget));
    env.add_filter(
        "join",
        move |state: &mut State, args: Rest<Value>, named: Kwargs| {
            let args = arguments(args, named);
            charge_join(&for_join, args.first(), args.get(1))?;
            join.call(state, &args)
        },
    );
}

fn call(
    budget: &Budget,
    cost: Cost,
    function: &Value,
    state: &mut State,
    args: &[Value],
) -> Result<Value, Error> {
    for arg in args {
        budget.charge_shallow(arg)?;
    }
    if let Some(first) = args.first() {
        match cost {
            Cost::Shallow => {}
            Cost::Elements => budget.charge(length(first).saturating_mul(ELEMENT_BYTES))?,
            Cost::Deep => budget.charge_deep(first)?,
        }
    }
    let result = function.call(state, args)?;
    budget.charge_shallow(&result)?;
    Ok(result)
}

fn builtin_filters() -> Vec<(&'static str, Cost, Value)> {
    use Cost::{Deep, Elements, Shallow};
    let length = Value::from_function(filters::length);
    let escape = Value::from_function(filters::escape);
    let default = Value::from_function(filters::default);
    vec![
        ("abs", Shallow, Value::from_function(filters::abs)),
        ("attr", Shallow, Value::from_function(filters::attr)),
        ("bool", Shallow, Value::from_function(filters::bool)),
        (
            "capitalize",
            Shallow,
            Value::from_function(filters::capitalize),
        ),
        ("count", Shallow, length.clone()),
        ("d", Shallow, default.clone()),
        ("default", Shallow, default),
        ("dictsort", Deep, Value::from_function(filters::dictsort)),
        ("e", Deep, escape.clone()),
        ("escape", Deep, escape),
        ("first", Shallow, Value::from_function(filters::first)),
        ("float", Shallow, Value::from_function(filters::float)),
        ("groupby", Deep, Value::from_function(filters::groupby)),
        ("int", Shallow, Value::from_function(filters::int)),
        ("items", Elements, Value::from_function(filters::items)),
        ("last", Elements, Value::from_function(filters::last)),
        ("length", Shallow, length),
        ("list", Elements, Value::from_function(filters::list)),
        ("lower", Shallow, Value::from_function(filters::lower)),
        ("map", Elements, Value::from_function(filters::map)),
        ("max", Deep, Value::from_function(filters::max)),
        ("min", Deep, Value::from_function(filters::min)),
        ("reject", Elements, Value::from_function(filters::reject)),
        (
            "rejectattr",
            Elements,
            Value::from_function(filters::rejectattr),
        ),
        ("reverse", Elements, Value::from_function(filters::reverse)),
        ("round", Shallow, Value::from_function(filters::round)),
        ("safe", Deep, Value::from_function(filters::safe)),
        ("select", Elements, Value::from_function(filters::select)),
        (
            "selectattr",
            Elements,
            Value::from_function(filters::selectattr),
        ),
        ("sort", Deep, Value::from_function(filters::sort)),
        ("string", Deep, Value::from_function(filters::string)),
        ("sum", Deep, Value::from_function(filters::sum)),
        ("title", Shallow, Value::from_function(filters::title)),
        ("trim", Shallow, Value::from_function(filters::trim)),
        ("unique", Deep, Value::from_function(filters::unique)),
        ("upper", Shallow, Value::from_function(filters::upper)),
    ]
}

fn builtin_tests() -> Vec<(&'static str, Value)> {
    let equal = Value::from_function(tests::is_eq);
    vec![
        ("==", equal.clone()),
        ("boolean", Value::from_function(tests::is_boolean)),
        ("defined", Value::from_function(tests::is_defined)),
        ("divisibleby", Value::from_function(tests::is_divisibleby)),
        ("eq", equal.clone()),
        ("equalto", equal),
        ("even", Value::from_function(tests::is_even)),
        ("false", Value::from_function(tests::is_false)),
        ("float", Value::from_function(tests::is_float)),
        ("ge", Value::from_function(tests::is_ge)),
        ("gt", Value::from_function(tests::is_gt)),
        ("in", Value::from_function(tests::is_in)),
        ("integer", Value::from_function(tests::is_integer)),
        ("iterable", Value::from_function(tests::is_iterable)),
        ("le", Value::from_function(tests::is_le)),
        ("lower", Value::from_function(tests::is_lower)),
        ("lt", Value::from_function(tests::is_lt)),
        ("mapping", Value::from_function(tests::is_mapping)),
        ("ne", Value::from_function(tests::is_ne)),
        ("none", Value::from_function(tests::is_none)),
        ("number", Value::from_function(tests::is_number)),
        ("odd", Value::from_function(tests::is_odd)),
        ("sameas", Value::from_function(tests::is_sameas)),
        ("sequence", Value::from_function(tests::is_sequence)),
        ("string", Value::from_function(tests::is_string)),
        ("true", Value::from_function(tests::is_true)),
        ("undefined", Value::from_function(tests::is_undefined)),
        ("upper", Value::from_function(tests::is_upper)),
    ]
}

/// A separator stands between all elements, and one text may be an element many times.
pub(super) fn charge_join(
    budget: &Budget,
    list: Option<&Value>,
    separator: Option<&Value>,
) -> Result<(), Error> {
    let Some(list) = list else { return Ok(()) };
    budget.charge_deep(list)?;
    let separator = separator.and_then(Value::as_str).map_or(0, str::len) as u64;
    budget.charge(length(list).saturating_mul(separator))
}

fn replace(budget: &Budget, args: &[Value]) -> Result<Value, Error> {
    let (text, old, new, count): (&Value, &Value, &Value, Option<i64>) = from_args(args)?;
    budget.charge_deep(text)?;
    let texts = (text.to_string(), old.to_string(), new.to_string());
    replaced(budget, &texts.0, &texts.1, &texts.2, count)
}

/// Python's `str.replace`.
pub(super) fn replaced(
    budget: &Budget,
    text: &str,
    old: &str,
    new: &str,
    count: Option<i64>,
) -> Result<Value, Error> {
    budget.charge(text.len() as u64)?;
    let most = count
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(usize::MAX);
    let found = text.matches(old).take(most).count() as u64;
    budget.charge(found.saturating_mul(new.len() as u64))?;
    Ok(Value::from(text.replacen(old, new, most)))
}

/// `indent(width=4, first=false, blank=false)`; the width may be a text that is put before each line.
fn indent(budget: &Budget, args: &[Value]) -> Result<Value, Error> {
    let (text, width, first, blank, named): (
        &str,
        Option<Value>,
        Option<bool>,
        Option<bool>,
        Kwargs,
    ) = from_args(args)?;
    let width = width
        .or(named.get("width")?)
        .unwrap_or_else(|| Value::from(4));
    let first = first.or(named.get("first")?).unwrap_or(false);
    let blank = blank.or(named.get("blank")?).unwrap_or(false);
    named.assert_all_used()?;
    budget.charge(text.len() as u64)?;
    let lines = text.matches('\n').count() as u64 + 1;
    let prefix = match (width.as_str(), width.as_usize()) {
        (Some(prefix), _) => prefix.to_string(),
        (None, Some(spaces)) => {
            budget.charge(spaces as u64)?;
            " ".repeat(spaces)
        }
        (None, None) => return Err(refused(format!("indent by {}", width.kind()))),
    };
    budget.charge(lines.saturating_mul(prefix.len() as u64))?;
    let mut out = String::new();
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        if if index == 0 {
            first
        } else {
            blank || !line.is_empty()
        } {
            out.push_str(&prefix);
        }
        out.push_str(line);
    }
    Ok(Value::from(out))
}

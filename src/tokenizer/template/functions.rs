//! The functions that a chat template may call, as transformers gives them.

use std::sync::Arc;

use minijinja::value::{Kwargs, Rest};
use minijinja::{Environment, Error, State, Value, functions};

use super::budget::{Budget, ELEMENT_BYTES, arguments, refused};
use super::clock::CivilTime;

/// Makes the functions known.
pub(super) fn add(env: &mut Environment<'static>, budget: &Arc<Budget>, now: CivilTime) {
    env.add_function(
        "raise_exception",
        |message: String| -> Result<Value, Error> { Err(refused(message)) },
    );
    env.add_function("strftime_now", move |format: String| {
        now.strftime(&format).map_err(refused)
    });
    let for_range = Arc::clone(budget);
    env.add_function(
        "range",
        move |first: i64, stop: Option<i64>, step: Option<i64>| {
            range(&for_range, first, stop, step)
        },
    );
    for (name, function) in [
        ("dict", Value::from_function(functions::dict)),
        ("namespace", Value::from_function(functions::namespace)),
    ] {
        let budget = Arc::clone(budget);
        env.add_function(
            name,
            move |state: &mut State, args: Rest<Value>, named: Kwargs| {
                for arg in args.iter() {
                    budget.charge_deep(arg)?;
                }
                for key in named.args() {
                    budget.charge_deep(&named.peek::<Value>(key)?)?;
                }
                function.call(state, &arguments(args, named))
            },
        );
    }
}

/// Python's `range` as a list; minijinja's own subtracts without looking.
fn range(
    budget: &Budget,
    first: i64,
    stop: Option<i64>,
    step: Option<i64>,
) -> Result<Vec<i64>, Error> {
    let (start, stop) = stop.map_or((0, first), |stop| (first, stop));
    let step = i128::from(step.unwrap_or(1));
    let span = i128::from(stop) - i128::from(start);
    if step == 0 {
        return Err(refused("range: a step of 0"));
    }
    let steps = if (span > 0) == (step > 0) {
        (span.abs() + step.abs() - 1) / step.abs()
    } else {
        0
    };
    let steps = u64::try_from(steps).unwrap_or(u64::MAX);
    budget.charge(steps.saturating_mul(ELEMENT_BYTES))?;
    let value = |index: u64| i64::try_from(i128::from(start) + i128::from(index) * step).ok();
    Ok((0..steps).filter_map(value).collect())
}

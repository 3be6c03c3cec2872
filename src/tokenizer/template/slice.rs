//! Slices of texts and lists as Python makes them; minijinja's own can subtract below zero.

use minijinja::value::Tuple;
use minijinja::{Error, Value};

use super::budget::{Budget, refused};
use super::operators::is_sequence;
use crate::limits::LIMITS;

/// `value[start:stop:step]`; a text is sliced by characters.
pub(super) fn slice(budget: &Budget, values: &[Value]) -> Result<Value, Error> {
    let [value, start, stop, step] = values else {
        return Err(refused(format!("a slice of {} operands", values.len())));
    };
    let bound = |value: &Value| {
        if value.is_none() {
            Ok(None)
        } else {
            i64::try_from(value.clone()).map(Some)
        }
    };
    let bounds = (bound(start)?, bound(stop)?, bound(step)?.unwrap_or(1));
    budget.charge_shallow(value)?;
    if let Some(text) = value.as_str() {
        budget.charge((text.len() as u64).saturating_mul(4))?;
        let chars: Vec<char> = text.chars().collect();
        return Ok(Value::from(
            sliced(&chars, bounds)?.into_iter().collect::<String>(),
        ));
    }
    if value.is_undefined() || !is_sequence(value) {
        return Err(refused(format!("a {} cannot be sliced", value.kind())));
    }
    let items: Result<Vec<Value>, Error> = value
        .try_iter()?
        .checked()
        .take(LIMITS.template_fuel as usize)
        .collect();
    let items = sliced(&items?, bounds)?;
    Ok(if value.is_tuple() {
        Value::from(Tuple::from(items))
    } else {
        Value::from(items)
    })
}

/// Python's `items[start:stop:step]`.
fn sliced<T: Clone>(
    items: &[T],
    (start, stop, step): (Option<i64>, Option<i64>, i64),
) -> Result<Vec<T>, Error> {
    if step == 0 {
        return Err(refused("a slice with step 0"));
    }
    let len = i64::try_from(items.len()).map_err(|_| refused("a slice of a very long value"))?;
    // Where a bound may lie: one before the first element too when going down.
    let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let clamp = |bound: i64| {
        if bound < 0 {
            bound.saturating_add(len)
        } else {
            bound
        }
        .clamp(low, high)
    };
    let (first, last) = if step > 0 { (low, high) } else { (high, low) };
    let (mut at, end) = (start.map_or(first, clamp), stop.map_or(last, clamp));
    let mut out = Vec::new();
    while (step > 0 && at < end) || (step < 0 && at > end) {
        out.extend(
            usize::try_from(at)
                .ok()
                .and_then(|at| items.get(at))
                .cloned(),
        );
        at = at.saturating_add(step);
    }
    Ok(out)
}

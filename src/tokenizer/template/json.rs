//! `tojson` as transformers defines it: Python's `json.dumps` without the HTML escapes of Jinja.

use minijinja::value::{Kwargs, Rest, ValueKind, from_args};
use minijinja::{Error, Value};

use super::budget::{Budget, refused};
use super::operators::is_sequence;

/// How `json.dumps` was asked to write.
struct Style {
    ensure_ascii: bool,
    /// One level of indentation; none means all on one line.
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    sort_keys: bool,
}

struct Writer<'a> {
    budget: &'a Budget,
    style: Style,
    out: String,
}

/// `tojson(value, ensure_ascii=false, indent=none, separators=none, sort_keys=false)`.
pub(super) fn tojson(budget: &Budget, args: &[Value]) -> Result<Value, Error> {
    let (named, args) = match args.split_last() {
        Some((last, before)) if last.is_kwargs() => (Kwargs::try_from(last.clone())?, before),
        _ => (Kwargs::from_iter([] as [(&str, Value); 0]), args),
    };
    let (value, positional): (&Value, Rest<Value>) = from_args(args)?;
    let option = |position: usize, name: &str| -> Result<Value, Error> {
        let given = positional.get(position).cloned();
        Ok(given
            .or(named.get(name)?)
            .unwrap_or_else(|| Value::from(())))
    };
    let indent = indentation(budget, &option(1, "indent")?)?;
    let separators = option(2, "separators")?;
    let [item_separator, key_separator] = if separators.is_none() {
        [
            if indent.is_some() { "," } else { ", " }.to_string(),
            ": ".to_string(),
        ]
    } else {
        [text_at(&separators, 0)?, text_at(&separators, 1)?]
    };
    let style = Style {
        ensure_ascii: option(0, "ensure_ascii")?.is_true(),
        indent,
        item_separator,
        key_separator,
        sort_keys: option(3, "sort_keys")?.is_true(),
    };
    named.assert_all_used()?;
    // Walked once before: a value in itself, or nested without end, is refused here.
    budget.charge_deep(value)?;
    let mut writer = Writer {
        budget,
        style,
        out: String::new(),
    };
    writer.value(value, 0)?;
    Ok(Value::from(writer.out))
}

fn indentation(budget: &Budget, value: &Value) -> Result<Option<String>, Error> {
    if value.is_none() {
        return Ok(None);
    }
    if let Some(text) = value.as_str() {
        return Ok(Some(text.to_string()));
    }
    let width = value
        .as_usize()
        .ok_or_else(|| refused(format!("tojson: indent of kind {}", value.kind())))?;
    budget.charge(width as u64)?;
    Ok(Some(" ".repeat(width)))
}

fn text_at(value: &Value, index: usize) -> Result<String, Error> {
    let item = value.get_item_by_index(index)?;
    item.as_str()
        .map(str::to_string)
        .ok_or_else(|| refused("tojson: separators are two texts"))
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        match value.kind() {
            ValueKind::String => self.string(value.as_str().unwrap_or_default())?,
            ValueKind::Map => self.map(value, depth)?,
            _ if is_sequence(value) => {
                let items: Result<Vec<Value>, Error> = value.try_iter()?.checked().collect();
                self.container(['[', ']'], &items?, depth, |writer, item, depth| {
                    writer.value(item, depth)
                })?;
            }
            _ => self.out.push_str(&scalar(value)?),
        }
        Ok(())
    }

    fn map(&mut self, map: &Value, depth: usize) -> Result<(), Error> {
        let mut entries = Vec::new();
        for key in map.try_iter()?.checked() {
            let key = key?;
            let name = match key.as_str() {
                Some(name) => name.to_string(),
                None => scalar(&key)?,
            };
            entries.push((name, map.get_item(&key)?));
        }
        if self.style.sort_keys {
            entries.sort_by(|a, b| a.0.cmp(&b.0));
        }
        self.container(
            ['{', '}'],
            &entries,
            depth,
            |writer, (name, item), depth| {
                writer.string(name)?;
                writer.out.push_str(&writer.style.key_separator);
                writer.value(item, depth)
            },
        )
    }

    fn container<T>(
        &mut self,
        [open, close]: [char; 2],
        items: &[T],
        depth: usize,
        write: impl Fn(&mut Self, &T, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.out.push(open);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.budget.charge(self.style.item_separator.len() as u64)?;
                self.out.push_str(&self.style.item_separator);
            }
            self.line(depth + 1)?;
            write(self, item, depth + 1)?;
        }
        if !items.is_empty() {
            self.line(depth)?;
        }
        self.out.push(close);
        Ok(())
    }

    /// Starts a line at `depth`, where lines are asked for.
    fn line(&mut self, depth: usize) -> Result<(), Error> {
        if let Some(indent) = &self.style.indent {
            self.budget
                .charge((indent.len() as u64).saturating_mul(depth as u64))?;
            self.out.push('\n');
            self.out.push_str(&indent.repeat(depth));
        }
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        // An escape takes six characters for one byte at most.
        self.budget.charge((text.len() as u64).saturating_mul(6))?;
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '\0'..='\u{1f}' => self.escape(c),
                '\u{7f}'.. if self.style.ensure_ascii => self.escape(c),
                _ => self.out.push(c),
            }
        }
        self.out.push('"');
        Ok(())
    }

    fn escape(&mut self, c: char) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            self.out.push_str(&format!("\\u{unit:04x}"));
        }
    }
}

fn scalar(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::None => Ok("null".to_string()),
        ValueKind::Bool => Ok(if value.is_true() { "true" } else { "false" }.to_string()),
        ValueKind::Number if value.is_integer() => Ok(value.to_string()),
        ValueKind::Number => Ok(float(f64::try_from(value.clone())?)),
        kind => Err(refused(format!("tojson: a value of kind {kind}"))),
    }
}

/// Python's `repr` of a float: the shortest digits, with an exponent outside 1e-4 to 1e16.
fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_string();
    }
    if number.is_infinite() {
        return if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_string();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(power) if number != 0.0 && !(-4..16).contains(&power) => {
            let sign = if power < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", power.abs())
        }
        _ => format!("{number:?}"),
    }
}

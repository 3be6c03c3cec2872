//! Holds outputs against an expect file.

use std::fmt::Write;

use super::{Output, PtxCase};

/// Elements a line.
const COLUMNS: usize = 8;
/// Differences that a message lists.
const SHOWN: usize = 8;

/// The text of an expect file: a buffer a paragraph, elements in hex.
pub fn render(outputs: &[Output]) -> String {
    let mut text = String::new();
    for output in outputs {
        let each = output.values.iter();
        let words: Vec<_> = each
            .map(|x| format!("{x:0digits$x}", digits = 2 * output.width))
            .collect();
        let lines: Vec<_> = words.chunks(COLUMNS).map(|line| line.join(" ")).collect();
        let _ = writeln!(text, "{}: {}", output.name, lines.join("\n    "));
    }
    text
}

impl PtxCase {
    /// Holds outputs against the text of the expect file: bit for bit, or within a buffer's bound.
    pub fn compare(&self, outputs: &[Output], expect: &str) -> Result<(), String> {
        let expected = read(expect)?;
        if outputs.len() != expected.len() {
            let (found, wanted) = (outputs.len(), expected.len());
            return Err(format!("{found} outputs, {wanted} expected"));
        }
        for (output, (name, wanted)) in outputs.iter().zip(&expected) {
            if output.name != *name || output.values.len() != wanted.len() {
                let (found, count) = (output.values.len(), wanted.len());
                return Err(format!(
                    "{} of {found} elements, expected {name} of {count}",
                    output.name
                ));
            }
            self.elements(output, wanted)?;
        }
        Ok(())
    }

    fn elements(&self, output: &Output, wanted: &[u64]) -> Result<(), String> {
        let slot = self.slots.iter().find(|slot| slot.name == output.name);
        let bound = slot.and_then(|slot| slot.bound);
        let pairs = output.values.iter().zip(wanted).enumerate();
        let wrong: Vec<_> = pairs
            .filter(|(_, (found, wanted))| match bound {
                Some(bound) => !bound.holds(**found, **wanted),
                None => found != wanted,
            })
            .collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let (name, digits) = (&output.name, 2 * output.width);
        let mut text = format!("{} of {} elements differ:", wrong.len(), wanted.len());
        for (i, (found, wanted)) in wrong.iter().take(SHOWN) {
            let inputs = self.inputs_at(*i, output.values.len());
            let _ = write!(
                text,
                "\n  {name}[{i}] = {found:0digits$x}, expected {wanted:0digits$x}{inputs}"
            );
        }
        Err(text)
    }

    /// The inputs of an element, where each buffer has one for it.
    fn inputs_at(&self, index: usize, count: usize) -> String {
        let inputs = self.slots.iter().filter(|slot| slot.values.len() == count);
        let inputs = inputs.filter(|slot| slot.role == super::Role::In);
        inputs
            .filter_map(|slot| Some(format!(", {} {:x}", slot.name, slot.values.get(index)?)))
            .collect()
    }
}

/// Names and elements of an expect file.
fn read(text: &str) -> Result<Vec<(String, Vec<u64>)>, String> {
    let mut all: Vec<(String, Vec<u64>)> = Vec::new();
    for line in text.lines() {
        let words = match line.split_once(": ") {
            Some((name, words)) => {
                all.push((name.into(), Vec::new()));
                words
            }
            None => line,
        };
        let (_, elements) = all.last_mut().ok_or("an expect file starts with a name")?;
        for word in words.split_whitespace() {
            let value = u64::from_str_radix(word, 16);
            elements.push(value.map_err(|error| format!("expected element {word}: {error}"))?);
        }
    }
    Ok(all)
}

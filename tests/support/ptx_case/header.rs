//! Reads a case's header.

use qwarp::driver::Target;

use super::{Bound, Expect, PtxCase, Role, Slot};

impl PtxCase {
    /// From the text of a `.ptx` file; an error names the line.
    pub fn parse(name: &str, text: &str) -> Result<PtxCase, String> {
        let mut case = PtxCase {
            name: name.into(),
            about: String::new(),
            grid: [1; 3],
            block: [1; 3],
            shared: 0,
            only: None,
            slab: false,
            slots: Vec::new(),
            expect: None,
            refuse: None,
            target: target_of(text).ok_or(format!("{name}: no .target of ours"))?,
            ptx: text.into(),
        };
        for (number, line) in text.lines().enumerate() {
            let Some(line) = line.strip_prefix("//!") else {
                break;
            };
            let done = if number == 0 {
                case.about = line.trim().into();
                Ok(())
            } else {
                case.line(line.trim())
            };
            done.map_err(|what| format!("{name}.ptx:{}: {what}", number + 1))?;
        }
        Ok(case)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "grid" => self.grid = dimensions(rest)?,
            "block" => self.block = dimensions(rest)?,
            "shared" => self.shared = small(rest)?,
            "only" => self.only = Some(target_named(rest).ok_or(format!("target {rest}"))?),
            "slab" => self.slab = true,
            "bound" => self.bound(rest)?,
            "refuse" => self.refuse = Some(rest.into()),
            "expect" => self.expect = Some(expect(rest)?),
            "source" => {
                let found = self.expect.as_mut().ok_or("source without expect")?;
                found.sources = rest.split(" and ").map(str::to_owned).collect();
            }
            _ => {
                let role = role(word).ok_or(format!("unknown word {word}"))?;
                self.slot(role, rest)?;
            }
        }
        Ok(())
    }

    fn slot(&mut self, role: Role, rest: &str) -> Result<(), String> {
        let mut words = rest.split_whitespace();
        let name = words.next().ok_or("no name")?;
        let width = width(words.next().ok_or("no type")?)?;
        let values = if matches!(role, Role::Out | Role::Freed) {
            vec![0; small(words.next().ok_or("no count")?)? as usize]
        } else {
            let runs = words.map(run).collect::<Result<Vec<_>, _>>()?;
            runs.concat()
        };
        let taken = self.slots.iter().any(|slot| slot.name == name);
        match self.slots.last_mut() {
            Some(slot) if slot.name == name && slot.role == role => slot.values.extend(values),
            _ if taken => return Err(format!("{name} is there already")),
            _ => self.slots.push(Slot {
                name: name.into(),
                role,
                width,
                values,
                bound: None,
            }),
        }
        Ok(())
    }

    fn bound(&mut self, rest: &str) -> Result<(), String> {
        let (name, rest) = rest.split_once(' ').ok_or("no bound")?;
        let slot = self.slots.iter_mut().find(|slot| slot.name == name);
        slot.ok_or(format!("no buffer {name}"))?.bound = Some(Bound::parse(rest)?);
        Ok(())
    }
}

fn role(word: &str) -> Option<Role> {
    Some(match word {
        "in" => Role::In,
        "out" => Role::Out,
        "inout" => Role::InOut,
        "scalar" => Role::Scalar,
        "beside" => Role::Beside,
        "freed" => Role::Freed,
        _ => return None,
    })
}

fn width(name: &str) -> Result<usize, String> {
    match name {
        "u8" => Ok(1),
        "u16" => Ok(2),
        "u32" => Ok(4),
        "u64" => Ok(8),
        _ => Err(format!("type {name} (u8, u16, u32 or u64)")),
    }
}

/// `5`, `0x1f`, or either with `*COUNT`.
fn run(text: &str) -> Result<Vec<u64>, String> {
    let (value, count) = text.split_once('*').unwrap_or((text, "1"));
    Ok(vec![integer(value)?; small(count)? as usize])
}

fn integer(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| format!("number {text}: {error}"))
}

fn small(text: &str) -> Result<u32, String> {
    let value = integer(text)?;
    u32::try_from(value).map_err(|_| format!("{value} is too large"))
}

fn dimensions(text: &str) -> Result<[u32; 3], String> {
    let mut all = [1; 3];
    for (i, word) in text.split_whitespace().enumerate() {
        *all.get_mut(i).ok_or("more than three dimensions")? = small(word)?;
    }
    Ok(all)
}

/// `<kind>`, `<kind> line N [and line M]`, `<kind> line N-M`.
fn expect(text: &str) -> Result<Expect, String> {
    let Some((kind, lines)) = text.split_once(" line ") else {
        return Ok(Expect {
            kind: text.into(),
            lines: Vec::new(),
            sources: Vec::new(),
        });
    };
    let lines = lines.split(" and line ").map(|line| {
        let (first, last) = line.split_once('-').unwrap_or((line, line));
        Ok::<_, String>(small(first)?..=small(last)?)
    });
    Ok(Expect {
        kind: kind.into(),
        lines: lines.collect::<Result<_, _>>()?,
        sources: Vec::new(),
    })
}

fn target_named(name: &str) -> Option<Target> {
    Target::ALL
        .into_iter()
        .find(|target| target.to_string() == name)
}

/// From the `.target` line.
fn target_of(text: &str) -> Option<Target> {
    let line = text.lines().find(|line| line.starts_with(".target "))?;
    target_named(line.trim_start_matches(".target ").trim())
}

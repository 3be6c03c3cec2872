//! A place in PTX text where a defect can be planted: one instruction that has its line to itself.

use std::collections::HashMap;

use qwarp::emu::ptx::{Entry, Instruction, Operand};

/// An instruction and what a mutator has to know of its surroundings.
pub struct Site<'a> {
    pub instruction: &'a Instruction,
    /// Its index in the entry's body.
    pub index: usize,
    /// The instruction's text in pieces.
    pub statement: Statement,
    /// Registers that only one instruction writes, a `mov` of an integer.
    pub constants: &'a HashMap<String, u64>,
    /// A predicate that an instruction before this one wrote.
    pub predicate: Option<String>,
    /// Whether a constant that is set here is read: see [`lives`].
    pub lives: bool,
    /// Whether this reads the thread's number, and all that is read of the result is its lowest five bits at most.
    pub lane_alone: bool,
}

/// The instructions that write a register, in the order of the text.
type Writers<'a> = HashMap<&'a str, Vec<&'a Instruction>>;

fn writers(entry: &Entry) -> Writers<'_> {
    let mut writers = Writers::new();
    for instruction in &entry.body {
        if let Some(Operand::Name(name)) = instruction.operands.first() {
            writers.entry(name).or_default().push(instruction);
        }
    }
    writers
}

/// Whether a `mov` of a constant matters: nothing else writes the register, or something adds to what stands there, and the
/// `mov` does not repeat one before it. nvcc sets a register in both arms of a branch, and sets what a guarded load may leave
/// unset to a zero that nothing reads; without such a `mov` a kernel is as right as before.
fn lives(instruction: &Instruction, writers: &Writers<'_>) -> bool {
    let Some(register @ Operand::Name(name)) = instruction.operands.first() else {
        return true;
    };
    let others = writers.get(name.as_str()).map_or(&[][..], Vec::as_slice);
    let others: Vec<_> = others
        .iter()
        .filter(|other| other.line != instruction.line)
        .collect();
    let repeats = others
        .iter()
        .any(|other| other.line < instruction.line && other.text == instruction.text);
    let continued = others
        .iter()
        .any(|other| other.operands[1..].contains(register));
    !repeats && (others.is_empty() || continued)
}

/// Whether every instruction that names the register takes its lowest five bits at most, shifted or not: a warp has 32
/// threads.
fn lane_alone(instruction: &Instruction, entry: &Entry, shift: u64) -> bool {
    let Some(Operand::Name(register)) = instruction.operands.first() else {
        return false;
    };
    let names = |text: &str| {
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '%');
        words.any(|word| word == register)
    };
    let low_bits = |other: &Instruction| match (other.parts[0].as_str(), &other.operands[..]) {
        ("and", [_, _, Operand::Integer(mask)]) => *mask < 32 << shift,
        ("shl", [_, _, Operand::Integer(by)]) => {
            shift == 0 && (1..8).contains(by) && lane_alone(other, entry, *by)
        }
        _ => false,
    };
    let others = entry.body.iter();
    let mut others = others.filter(|other| other.line != instruction.line);
    others.all(|other| !names(&other.text) || low_bits(other))
}

/// The text of an instruction in pieces, ready to be changed and put together again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// `@%p1` or `@!%p1`.
    pub guard: Option<String>,
    pub opcode: String,
    pub operands: Vec<String>,
}

impl Statement {
    /// Takes a text such as `@%p1 st.global.u32 [%rd1], %r2` apart.
    pub fn new(text: &str) -> Statement {
        let (guard, rest) = match text.split_once(' ') {
            Some((guard, rest)) if guard.starts_with('@') => (Some(guard.to_string()), rest),
            _ => (None, text),
        };
        let (opcode, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let mut depth = 0;
        let mut operands = vec![String::new()];
        for c in rest.chars() {
            match c {
                '[' | '{' => depth += 1,
                ']' | '}' => depth -= 1,
                _ => {}
            }
            match operands.last_mut() {
                Some(last) if c != ',' || depth > 0 => last.push(c),
                _ => operands.push(String::new()),
            }
        }
        let trimmed = operands.iter().map(|o| o.trim().to_string());
        Statement {
            guard,
            opcode: opcode.to_string(),
            operands: trimmed.filter(|o| !o.is_empty()).collect(),
        }
    }

    /// The text again.
    pub fn text(&self) -> String {
        let guard = self.guard.iter().map(|guard| format!("{guard} "));
        let operands = self.operands.join(", ");
        format!("{}{} {operands};", guard.collect::<String>(), self.opcode)
    }
}

/// Every site of an entry. `lines` is the whole text by lines.
pub fn sites<'a>(
    entry: &'a Entry,
    lines: &[&str],
    constants: &'a HashMap<String, u64>,
) -> Vec<Site<'a>> {
    let mut predicate = None;
    let mut sites = Vec::new();
    let writers = writers(entry);
    for (index, instruction) in entry.body.iter().enumerate() {
        let line = lines.get(instruction.line as usize - 1).unwrap_or(&"");
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.join(" ") == format!("{};", instruction.text) {
            let reads_thread = instruction.text.contains("%tid");
            sites.push(Site {
                instruction,
                index,
                statement: Statement::new(&instruction.text),
                constants,
                predicate: predicate.clone(),
                lives: lives(instruction, &writers),
                lane_alone: reads_thread && lane_alone(instruction, entry, 0),
            });
        }
        // A name with `#` belongs to a scope of inline assembly and is known only there.
        if let ("setp", Some(Operand::Name(name))) =
            (instruction.parts[0].as_str(), instruction.operands.first())
            && !name.contains('#')
        {
            predicate = Some(name.clone());
        }
    }
    sites
}

/// Registers that only one instruction of the entry writes, a `mov` of an integer.
pub fn constants(entry: &Entry) -> HashMap<String, u64> {
    let mut found = HashMap::new();
    for (name, writers) in writers(entry) {
        if let [writer] = writers[..]
            && let ("mov", Some(Operand::Integer(value))) =
                (writer.parts[0].as_str(), writer.operands.get(1))
        {
            found.insert(name.to_string(), *value);
        }
    }
    found
}

//! What is done to nvcc's PTX before it is embedded, and what is read from it.

use super::signature::{Pass, Signature};

/// States the PTX ISA version `floor` where the text states a newer one. nvcc writes its own newest version, which older
/// drivers reject at load, whatever the instructions need.
pub fn lower_version(text: &str, floor: (u32, u32)) -> Result<String, String> {
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    let line = lines
        .iter_mut()
        .find(|line| line.starts_with(".version "))
        .ok_or("the PTX has no `.version` line")?;
    let stated = line.trim_start_matches(".version ").trim();
    let version = stated
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)))
        .ok_or_else(|| format!("the PTX states `.version {stated}`, expected two numbers"))?;
    let (major, minor) = version.min(floor);
    *line = format!(".version {major}.{minor}");
    Ok(lines.join("\n") + "\n")
}

/// Makes the paths of `.file` lines relative to `root`; of headers outside it, what follows the last `include/`.
pub fn relative_files(text: &str, root: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        match line.trim_start().strip_prefix(".file") {
            Some(rest) if rest.contains('"') => {
                let mut parts = rest.splitn(3, '"');
                let number = parts.next().unwrap_or_default();
                let path = relative(parts.next().unwrap_or_default(), root);
                let tail = parts.next().unwrap_or_default();
                out.push_str(&format!("\t.file{number}\"{path}\"{tail}"));
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

fn relative<'a>(path: &'a str, root: &str) -> &'a str {
    let inside = path
        .strip_prefix(root)
        .and_then(|rest| rest.strip_prefix('/'));
    // The toolkit may be inside the repository too, and its headers have one name wherever it is.
    let name = inside.unwrap_or(path);
    match name.rsplit_once("/include/") {
        Some((_, header)) => header,
        None if name.starts_with('/') => name.rsplit('/').next().unwrap_or(name),
        None => name,
    }
}

/// Writes `.rn` where an addition, subtraction or multiplication of floats names no rounding. Without it, PTX lets the
/// assembler fuse a product into a later sum, each version as it likes; with it, the text alone decides the bits. nvcc does
/// so for what it compiles, but not in the inline assembly of its own headers.
pub fn pin_rounding(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 64);
    let mut rest = text;
    while let Some(start) = rest.find(is_name) {
        let (between, word) = rest.split_at(start);
        out.push_str(between);
        let end = word.find(|c| !is_name(c)).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        match unrounded(word) {
            Some((op, modifiers)) => out.push_str(&format!("{op}.rn{modifiers}")),
            None => out.push_str(word),
        }
        rest = after;
    }
    out + rest
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._%$".contains(c)
}

/// Splits an instruction that names no rounding behind its operation.
fn unrounded(word: &str) -> Option<(&str, &str)> {
    const FLOATS: [&str; 7] = ["f16", "f16x2", "bf16", "bf16x2", "f32", "f32x2", "f64"];
    const ROUNDINGS: [&str; 4] = ["rn", "rz", "rm", "rp"];
    let (op, modifiers) = word.split_at(word.find('.')?);
    let mut names = modifiers.split('.');
    let float = FLOATS.contains(&modifiers.rsplit('.').next()?);
    let rounded = names.any(|name| ROUNDINGS.contains(&name));
    (matches!(op, "add" | "sub" | "mul") && float && !rounded).then_some((op, modifiers))
}

/// A kernel as PTX declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PtxEntry {
    /// Its name.
    pub name: String,
    /// Size and alignment of each parameter in bytes.
    pub params: Vec<(u32, u32)>,
}

/// Every kernel of a PTX text.
pub fn entries(text: &str) -> Result<Vec<PtxEntry>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(".entry ") {
        rest = &rest[start + ".entry ".len()..];
        let head = rest.split('{').next().unwrap_or_default();
        let (name, list) = head.split_once('(').unwrap_or((head, ""));
        let name = name.split_whitespace().next().unwrap_or_default();
        let list = list.split(')').next().unwrap_or_default().trim();
        let params = list.split(',').filter(|text| !text.trim().is_empty());
        let params: Result<Vec<_>, String> = params
            .map(|text| {
                param(text).ok_or_else(|| format!("PTX of {name}: `{}` is no parameter", text))
            })
            .collect();
        found.push(PtxEntry {
            name: name.to_string(),
            params: params?,
        });
    }
    Ok(found)
}

/// Size and alignment of `.param [.align n] .type [.ptr ...] name[count]`.
fn param(text: &str) -> Option<(u32, u32)> {
    let mut words = text.split_whitespace();
    if words.next()? != ".param" {
        return None;
    }
    let mut word = words.next()?;
    let mut align = None;
    if word == ".align" {
        align = Some(words.next()?.parse().ok()?);
        word = words.next()?;
    }
    let bits: u32 = word.strip_prefix(['.'])?.get(1..)?.parse().ok()?;
    let bytes = bits / 8;
    let count = match words.next_back()?.split_once('[') {
        Some((_, count)) => count.strip_suffix(']')?.parse().ok()?,
        None => 1,
    };
    Some((bytes.checked_mul(count)?, align.unwrap_or(bytes)))
}

/// Refuses a parameter list that is not what the signature says.
pub fn check(file: &str, signature: &Signature, entry: &PtxEntry) -> Result<(), String> {
    let place = format!("{file}:{}: {}", signature.line, signature.name);
    let (count, expected) = (entry.params.len(), signature.params.len());
    if count != expected {
        return Err(format!(
            "{place}: the PTX has {count} parameters, the signature {expected}"
        ));
    }
    for (param, (bytes, align)) in signature.params.iter().zip(&entry.params) {
        let size = match param.pass {
            Pass::Scalar => param.of.bytes,
            Pass::In | Pass::Out | Pass::InOut => 8,
        };
        if (*bytes, *align) != (size, size) {
            return Err(format!(
                "{place}: parameter `{}` has {bytes} bytes at a multiple of {align} in the PTX, {size} at a multiple of \
                 {size} in the signature",
                param.name
            ));
        }
    }
    Ok(())
}

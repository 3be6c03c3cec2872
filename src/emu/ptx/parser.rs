//! A module: header, variables, entries, line tables.

use super::body::body;
use super::cursor::{Cursor, Parsed};
use super::data::{declared_space, param, variables};
use super::lexer::{Kind, Token};
use super::{Entry, Module, ParseError, Space};

/// The most parameters of one entry.
const MAX_PARAMS: usize = 1024;

/// Reads a PTX module.
///
/// Only what is modelled is read: `.func`, `call` and everything unknown is refused where it stands. Skipped are
/// comments, `.pragma` and the sections of debug data.
pub fn parse(text: &str) -> Result<Module, ParseError> {
    let mut cursor = Cursor::new(text)?;
    let mut module = header(&mut cursor)?;
    while cursor.peek().kind != Kind::End {
        item(&mut cursor, &mut module)?;
    }
    Ok(module)
}

/// `.version`, `.target` and `.address_size`, in this order.
fn header(cursor: &mut Cursor<'_>) -> Parsed<Module> {
    directive(cursor, ".version")?;
    let version = version(cursor)?;
    directive(cursor, ".target")?;
    let target = target(cursor)?;
    directive(cursor, ".address_size")?;
    let at = cursor.peek();
    let bits = cursor.number("64")?;
    if bits != 64 {
        return Err(at.refuse(format!("addresses of {bits} bits, expected 64")));
    }
    Ok(Module {
        version,
        target,
        files: Vec::new(),
        variables: Vec::new(),
        entries: Vec::new(),
    })
}

fn directive(cursor: &mut Cursor<'_>, word: &str) -> Parsed<()> {
    if cursor.accept_dotted(word)? {
        return Ok(());
    }
    Err(cursor.unexpected(&format!("`{word}`")))
}

fn version(cursor: &mut Cursor<'_>) -> Parsed<(u32, u32)> {
    let token = cursor.expect_kind(Kind::Number, "a version such as 7.4")?;
    let parts = token.text.split_once('.');
    parts
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
        .ok_or_else(|| token.refuse(format!("{} is no version such as 7.4", token.name())))
}

fn target(cursor: &mut Cursor<'_>) -> Parsed<u32> {
    let token = cursor.word("a target such as sm_80")?;
    let number = token.text.strip_prefix("sm_").and_then(|n| n.parse().ok());
    let number = number
        .ok_or_else(|| token.refuse(format!("{} is no target such as sm_80", token.name())))?;
    if cursor.at_mark(b',') {
        return Err(cursor.unexpected("one target and no options"));
    }
    Ok(number)
}

fn item(cursor: &mut Cursor<'_>, module: &mut Module) -> Parsed<()> {
    let mut token = cursor.take()?;
    let mut external = false;
    while matches!(token.text, ".visible" | ".weak" | ".extern") {
        external |= token.text == ".extern";
        token = cursor.take()?;
    }
    match (token.text, declared_space(&token)) {
        (".entry", _) if !external => {
            let entry = entry(cursor, &token)?;
            if module.entries.iter().any(|other| other.name == entry.name) {
                return Err(token.refuse(format!("entry `{}` is defined twice", entry.name)));
            }
            module.entries.push(entry);
            Ok(())
        }
        (".file", _) => file(cursor, module),
        (".section", _) => debug_section(cursor),
        (".pragma", _) => pragma(cursor),
        (".func", _) => {
            let name = function_name(cursor)?;
            Err(token.refuse(format!(
                "function `{name}`: .func is not modelled: kernels are inlined whole"
            )))
        }
        (_, Some(space)) => module_variables(cursor, module, &token, space, external),
        _ => Err(token.refuse(format!(
            "found {}, expected .entry, a variable, .file, .pragma or a section of debug data",
            token.name()
        ))),
    }
}

/// The name of a `.func`, past its return parameters.
fn function_name(cursor: &mut Cursor<'_>) -> Parsed<String> {
    while !matches!(cursor.peek().kind, Kind::End | Kind::Mark(b'{' | b';')) {
        if cursor.accept(b'(')? {
            while !matches!(cursor.peek().kind, Kind::End | Kind::Mark(b')')) {
                cursor.take()?;
            }
        }
        let token = cursor.take()?;
        if token.kind == Kind::Word {
            return Ok(token.text.to_string());
        }
    }
    Ok("?".into())
}

fn module_variables(
    cursor: &mut Cursor<'_>,
    module: &mut Module,
    directive: &Token<'_>,
    space: Space,
    external: bool,
) -> Parsed<()> {
    if space == Space::Local || (external && space != Space::Shared) {
        let extern_ = if external { ".extern " } else { "" };
        let what = format!(
            "{extern_}{} outside of an entry is not modelled",
            directive.text
        );
        return Err(directive.refuse(what));
    }
    for variable in variables(cursor, space, external)? {
        if module.variables.iter().any(|v| v.name == variable.name) {
            let what = format!("variable `{}` is declared twice", variable.name);
            return Err(directive.refuse(what));
        }
        if space == Space::Shared && !variable.init.is_empty() {
            let what = format!("`{}` has initial values in .shared", variable.name);
            return Err(directive.refuse(what));
        }
        module.variables.push(variable);
    }
    Ok(())
}

/// `.file 1 "rms_norm.cu"`, with or without time and size.
fn file(cursor: &mut Cursor<'_>, module: &mut Module) -> Parsed<()> {
    let number = cursor.number("a file number")?;
    let name = cursor
        .expect_kind(Kind::Text, "a file name")?
        .text
        .to_string();
    while cursor.accept(b',')? {
        cursor.expect_kind(Kind::Number, "a time or a size")?;
    }
    module.files.push((number, name));
    Ok(())
}

/// `.pragma "nounroll";`: advice to a compiler.
pub fn pragma(cursor: &mut Cursor<'_>) -> Parsed<()> {
    cursor.expect_kind(Kind::Text, "a pragma's text")?;
    cursor.expect(b';', "after a pragma")?;
    Ok(())
}

/// `.section .debug_str { ... }`, whose content nothing here needs.
fn debug_section(cursor: &mut Cursor<'_>) -> Parsed<()> {
    let name = cursor.expect_kind(Kind::Dotted, "a section's name")?;
    if !name.text.starts_with(".debug_") {
        let what = format!("section {} is not modelled, expected .debug_*", name.name());
        return Err(name.refuse(what));
    }
    cursor.expect(b'{', "after a section's name")?;
    while !cursor.at_mark(b'}') {
        if matches!(cursor.peek().kind, Kind::End | Kind::Mark(b'{')) {
            return Err(cursor.unexpected("data of a section or `}`"));
        }
        cursor.take()?;
    }
    cursor.take()?;
    Ok(())
}

/// An entry from behind the word.
fn entry(cursor: &mut Cursor<'_>, word: &Token<'_>) -> Parsed<Entry> {
    let mut entry = Entry {
        name: cursor.word("the entry's name")?.text.to_string(),
        params: Vec::new(),
        registers: Vec::new(),
        variables: Vec::new(),
        body: Vec::new(),
        labels: Vec::new(),
        max_threads: None,
        required_threads: None,
        line: word.line,
    };
    if cursor.accept(b'(')? && !cursor.accept(b')')? {
        params(cursor, &mut entry)?;
    }
    while cursor.peek().kind == Kind::Dotted {
        limit(cursor, &mut entry)?;
    }
    cursor.expect(b'{', "before the entry's body")?;
    body(cursor, &mut entry)?;
    Ok(entry)
}

fn params(cursor: &mut Cursor<'_>, entry: &mut Entry) -> Parsed<()> {
    loop {
        let at = cursor.peek();
        directive(cursor, ".param")?;
        let param = param(cursor)?;
        let twice = entry.params.iter().any(|other| other.name == param.name);
        if twice || entry.params.len() == MAX_PARAMS {
            let what = format!(
                "parameter `{}` is one of two or of {MAX_PARAMS}",
                param.name
            );
            return Err(at.refuse(what));
        }
        entry.params.push(param);
        if !cursor.accept(b',')? {
            cursor.expect(b')', "after the parameters")?;
            return Ok(());
        }
    }
}

/// `.maxntid 256, 1, 1` and its like.
fn limit(cursor: &mut Cursor<'_>, entry: &mut Entry) -> Parsed<()> {
    let token = cursor.take()?;
    match token.text {
        ".maxntid" => {
            entry.max_threads = Some(extent(cursor)?.1);
        }
        ".reqntid" => {
            let (threads, product) = extent(cursor)?;
            entry.required_threads = Some(threads);
            entry.max_threads = Some(product);
        }
        // Advice on registers: nothing depends on it.
        ".minnctapersm" | ".maxnreg" => {
            cursor.number("a number")?;
        }
        ".pragma" => pragma(cursor)?,
        _ => {
            return Err(token.refuse(format!(
                "{} is not modelled, expected .maxntid, .reqntid, .minnctapersm, .maxnreg, .pragma or `{{`",
                token.name()
            )));
        }
    }
    Ok(())
}

/// Up to three dimensions and their product.
fn extent(cursor: &mut Cursor<'_>) -> Parsed<([u32; 3], u32)> {
    let at = cursor.peek();
    let mut threads = [1; 3];
    for (i, dimension) in threads.iter_mut().enumerate() {
        if i == 0 || cursor.accept(b',')? {
            *dimension = cursor.number("a number of threads")?;
        }
    }
    let product = threads.iter().try_fold(1u32, |p, n| p.checked_mul(*n));
    match product {
        Some(product) if (1..=1024).contains(&product) => Ok((threads, product)),
        _ => Err(at.refuse(format!("{threads:?} threads, expected 1 to 1024 in all"))),
    }
}

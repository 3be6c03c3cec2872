//! The PTX parser on what nvcc writes, on hand-written syntax, on texts it must refuse, and on mutated ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeSet, HashSet};

use qwarp::emu::ptx::{Entry, Instruction, Operand, Space, Type, parse};

const SAMPLE: &str = include_str!("data/ptx/sample_sm80.ptx");
const HEADER: &str = ".version 7.4\n.target sm_80\n.address_size 64\n";
/// Every construct of the grammar once.
const SYNTAX: &str = include_str!("data/ptx/syntax.ptx");

fn find<'a>(entry: &'a Entry, text: &str) -> &'a Instruction {
    let mut found = entry.body.iter().filter(|i| i.text.contains(text));
    let first = found.next();
    first.unwrap_or_else(|| panic!("no instruction `{text}`"))
}

#[test]
fn nvcc_output_is_read_whole() {
    let module = parse(SAMPLE).unwrap();
    assert_eq!((module.version, module.target), ((9, 0), 80));
    let names: Vec<_> = module.entries.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["reduce", "product", "various"]);
    assert_eq!(module.files[0], (1, "sample.cu".into()));
    let [reduce, product, various] = &module.entries[..] else {
        panic!()
    };
    assert_eq!(reduce.max_threads, Some(256));
    let types: Vec<_> = reduce.params.iter().map(|p| (p.ty, p.count)).collect();
    assert_eq!(
        types,
        [
            (Type::U64, 1),
            (Type::U64, 1),
            (Type::U32, 1),
            (Type::F32, 1)
        ]
    );
    let bias = &product.params[2];
    assert_eq!((bias.ty, bias.count, bias.align), (Type::B8, 16, 4));
    let sums = &reduce.variables[0];
    assert_eq!(
        (sums.space, sums.bytes, sums.align),
        (Space::Shared, 128, 4)
    );
    assert_eq!(various.variables[0].space, Space::Local);
    let table = module.variables.iter().find(|v| v.name == "table").unwrap();
    let values = [1.0f32, 2.0, 3.0, -0.5].map(f32::to_le_bytes).concat();
    assert_eq!((table.space, &table.init), (Space::Const, &values));
    let tile = module.variables.iter().find(|v| v.bytes == 0).unwrap();
    assert_eq!((tile.space, tile.align), (Space::Shared, 16));
}

/// Counted from the text alone: lines in bodies that begin with a letter or a guard and hold a `;`.
#[test]
fn no_instruction_of_the_text_is_lost() {
    let module = parse(SAMPLE).unwrap();
    let entries = module.entries.iter();
    let lines: BTreeSet<_> = entries
        .flat_map(|e| e.body.iter().map(|i| i.line))
        .collect();
    let mut checked = 0;
    for (number, line) in (1u32..).zip(SAMPLE.lines()) {
        let line = line.trim_start().trim_start_matches(['{', ' ']);
        let opens = line.starts_with(|c: char| c.is_ascii_lowercase() || c == '@');
        if opens && line.contains(';') {
            assert!(lines.contains(&number), "line {number}: {line}");
            checked += 1;
        }
    }
    assert!(checked > 300, "{checked} lines");
    let body = module.entries.iter().flat_map(|e| &e.body);
    for instruction in body.clone() {
        let line = SAMPLE.lines().nth(instruction.line as usize - 1).unwrap();
        assert!(line.contains(&instruction.opcode()), "{}", instruction.text);
    }
    // Statements that end in `;`, counted by a regular expression.
    assert_eq!(body.count(), 513);
}

#[test]
fn names_of_inline_assembly_are_unique() {
    let module = parse(SAMPLE).unwrap();
    for entry in &module.entries {
        let mut names = HashSet::new();
        for decl in &entry.registers {
            assert!(names.insert(&decl.name), "{} twice", decl.name);
        }
        for label in &entry.labels {
            assert!(names.insert(&label.name), "{} twice", label.name);
        }
    }
    let product = &module.entries[1];
    let pair = find(product, "setp.eq.s32 p|q").operands[0].clone();
    let Operand::Pair(p, q) = pair else { panic!() };
    assert!(p.ends_with("#p") && q.ends_with("#q"), "{p} {q}");
    let jump = find(product, "bra DONE");
    assert_eq!(jump.guard.as_ref().unwrap().register, q);
    let label = product.labels.iter().find(|l| l.name.ends_with("#DONE"));
    assert_eq!(jump.operands, [Operand::Name(label.unwrap().name.clone())]);
    let from = find(product, "selp.u32 %r").operands[1].clone();
    let Operand::Name(x1) = from else { panic!() };
    let scope = x1.strip_suffix("x1").unwrap();
    let decl = |d: &&qwarp::emu::ptx::RegisterDecl| d.name == format!("{scope}x");
    let decl = product.registers.iter().find(decl).unwrap();
    assert_eq!((decl.count, decl.ty), (Some(3), Type::B32));
}

#[test]
fn an_inlined_instruction_names_its_own_line_and_its_callers() {
    let module = parse(SAMPLE).unwrap();
    let line_of = |text: &str| {
        let source = include_str!("data/ptx/sample.cu");
        source.lines().position(|l| l.contains(text)).unwrap() as u32 + 1
    };
    let shuffle = find(&module.entries[0], "shfl.sync.bfly");
    // nvcc places the shuffle in a header of the toolkit; the report names the line of our own that called it.
    assert_eq!(shuffle.loc.unwrap().0, 2);
    let inner = line_of("v += __shfl_xor_sync");
    assert_eq!(module.source(shuffle), Some(("sample.cu", inner)));
    let sites: Vec<_> = shuffle.call_sites.iter().map(|s| s.1).collect();
    let expected = [inner, line_of("v = warp_sum(v);"), line_of("cta_sum(sum)")];
    assert_eq!(sites, expected);
    let fma = find(&module.entries[0], "fma.rn.f32");
    assert_eq!(fma.loc, Some((1, line_of("fmaf(x[i]"))));
    assert!(fma.call_sites.is_empty());
}

#[test]
fn every_construct_is_read() {
    let module = parse(SYNTAX).unwrap();
    assert_eq!((module.version, module.target), ((7, 8), 90));
    let [all, other] = &module.entries[..] else {
        panic!()
    };
    assert_eq!((all.name.as_str(), all.line), ("all", 14));
    assert_eq!(
        (all.max_threads, all.required_threads),
        (Some(64), Some([32, 2, 1]))
    );
    assert_eq!((other.params.len(), other.max_threads), (0, None));
    let sizes: Vec<_> = module
        .variables
        .iter()
        .map(|v| (v.name.as_str(), v.bytes, v.align, v.init.len()))
        .collect();
    assert_eq!(
        sizes,
        [
            ("words", 16, 4, 16),
            ("half", 8, 8, 8),
            ("open", 3, 1, 3),
            ("grid", 24, 2, 0),
            ("quad", 32, 16, 0),
            ("dynamic", 0, 16, 0),
        ]
    );
    assert_eq!(
        module.variables[0].init[..8],
        [1, 0, 0, 0, 254, 255, 255, 255]
    );
    assert_eq!(module.variables[0].init[8..], [0; 8]);
    assert_eq!(module.variables[1].init, 0.5f64.to_le_bytes());
    let operands = |text: &str| find(all, text).operands.clone();
    let integer = |value: i64| Operand::Integer(value as u64);
    assert_eq!(operands("mov.u32 %a, 0x1F79U")[1], integer(0x1F79));
    assert_eq!(operands("mov.u32 %a, 017")[1], integer(15));
    assert_eq!(operands("mov.u32 %a, 0b101")[1], integer(5));
    assert_eq!(operands("mov.s64 %d0, -9223")[1], integer(i64::MIN));
    assert_eq!(
        operands("mov.f32 %f, 0f3F8")[1],
        Operand::Float32(0x3F80_0000)
    );
    assert_eq!(
        operands("mov.f32 %f, 1.5e-3")[1],
        Operand::Float64(1.5e-3f64.to_bits())
    );
    assert_eq!(
        operands("mov.f32 %f, -0d3FF")[1],
        Operand::Float64((-1.0f64).to_bits())
    );
    let address = |text: &str| match &operands(text)[1] {
        Operand::Address(a) => (a.base.clone(), a.offset),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        address("ld.global.u32 %a, [%d0+-4]"),
        (Some("%d0".into()), -4)
    );
    assert_eq!(
        address("ld.global.u32 %a, [%d0-8]"),
        (Some("%d0".into()), -8)
    );
    assert_eq!(
        address("ld.shared.u32 %a, [dynamic+0x10]"),
        (Some("dynamic".into()), 16)
    );
    assert_eq!(address("ld.shared.u32 %a, [64]"), (None, 64));
    let hint = &find(all, "no_allocate").parts;
    assert_eq!(hint[2..4], ["L1::no_allocate", "v4"]);
    assert_eq!(
        find(all, "mov.u32 %a, %tid.x").operands[1],
        Operand::Name("%tid.x".into())
    );
    let thrown = &find(all, "ld.global.L1::no_allocate.v4").operands[0];
    let Operand::Vector(thrown) = thrown else {
        panic!()
    };
    assert_eq!(thrown[3], Operand::Name("_".into()));
    assert_eq!(find(all, "selp").operands[3], Operand::Not("%p".into()));
    let guard = find(all, "@!%p").guard.clone().unwrap();
    assert!(guard.negated && guard.register == "%p");
}

/// The text, the line and column of what is wrong, and words of the refusal.
const REFUSED: &[(&str, (u32, u32), &str)] = &[
    ("", (1, 1), "the end of the text"),
    (".version 7\n", (1, 10), "`7` is no version"),
    (".version 7.4 .target sm_80a", (1, 22), "no target"),
    (".version 7.4 .target sm_80, debug", (1, 27), "found `,`"),
    (
        ".version 7.4 .target sm_80 .address_size 32",
        (1, 42),
        "32 bits",
    ),
    (
        ".version 7.4 .target sm_80 .address_size 64 /* ",
        (1, 45),
        "`*/`",
    ),
    (
        "H.func (.param .b32 r) helper(.param .b32 x) { ret; }",
        (4, 1),
        "`helper`",
    ),
    ("H.entry f() { call helper; }", (4, 14), "`call`"),
    ("H.entry f() { .param .b32 x; }", (4, 14), "`.param`"),
    (
        "H.entry f() { .branchtargets a; }",
        (4, 14),
        "`.branchtargets`",
    ),
    ("H.entry f() { add.s32 %r1, %r2, %r3 }", (4, 36), "`;`"),
    (
        "H.entry f() { mov.u32 %r1, x+4; }",
        (4, 28),
        "only inside `[ ]`",
    ),
    (
        "H.entry f() { mov.u32 %r1, 0x10000000000000000; }",
        (4, 27),
        "64 bits",
    ),
    (
        "H.entry f() { mov.u32 %r1, 0f3F8; }",
        (4, 27),
        "8 hexadecimal digits",
    ),
    ("H.entry f() { mov.u32 %r1, 08; }", (4, 27), "no number"),
    (
        "H.entry f() { ld.u32 %r1, [%r2+1.5]; }",
        (4, 31),
        "bytes as an integer",
    ),
    (
        "H.entry f() { ld.u32 %r1, [%r2+%r3]; }",
        (4, 31),
        "expected a number",
    ),
    ("H.entry f() { mov.u32 %r1, (%r2); }", (4, 27), "an operand"),
    (
        "H.entry f() { .reg .b32 r; .reg .b32 r; }",
        (4, 37),
        "declared twice",
    ),
    (
        "H.entry f() { .reg .b32 r1; .reg .b32 r<4>; }",
        (4, 38),
        "declared twice",
    ),
    (
        "H.entry f() { .reg .b32 r<4>; .reg .b32 r2; }",
        (4, 40),
        "declared twice",
    ),
    ("H.entry f() { A: A: }", (4, 17), "declared twice"),
    (
        "H.entry f() { .reg .b32 r<200000>; }",
        (4, 24),
        "200000 registers",
    ),
    ("H.entry f() { .reg .v2 .b32 r; }", (4, 19), "a type"),
    (
        "H.entry f() { .shared .b32 x = 5; }",
        (4, 14),
        "initial values in .shared",
    ),
    (
        "H.entry f() { .global .b32 x; }",
        (4, 14),
        "`.global` in a body",
    ),
    ("H.entry f()", (4, 11), "`{`"),
    ("H.entry f() {", (4, 13), "the end of the text"),
    ("H.entry f() { ret; } }", (4, 21), "found `}`"),
    ("H.entry f() { } .entry f() { }", (4, 16), "defined twice"),
    (
        "H.entry f(.param .u32 a, .param .u32 a) { }",
        (4, 25),
        "`a`",
    ),
    ("H.entry f(.param .b8 a[99999]) { }", (4, 21), "99999"),
    ("H.entry f(.param .pred a) { }", (4, 23), ".pred"),
    ("H.entry f() .maxntid 64, 64 { }", (4, 21), "1 to 1024"),
    (
        "H.entry f() .blocksareclusters { }",
        (4, 12),
        "`.blocksareclusters`",
    ),
    ("H.alias f, g;", (4, 1), "`.alias`"),
    ("H.extern .global .u32 x;", (4, 9), ".extern .global"),
    ("H.extern .shared .u32 x[4];", (4, 22), "`.extern .shared`"),
    ("H.extern .entry f();", (4, 9), "found `.entry`"),
    (
        "H.global .u64 p = generic(x);",
        (4, 18),
        "an address as an initial value",
    ),
    ("H.global .u8 p = 256;", (4, 17), "no value of .u8"),
    (
        "H.global .u8 p[2] = {1, 2, 3};",
        (4, 13),
        "2 bytes and 3 initial",
    ),
    ("H.global .f32 p[2] = {1};", (4, 22), "no value of .f32"),
    (
        "H.global .u32 p[4294967295][4294967295][4];",
        (4, 14),
        "expected 1 to",
    ),
    ("H.global .u32 p[0];", (4, 14), "0 bytes"),
    ("H.global .u32 p; .const .u32 p;", (4, 17), "declared twice"),
    ("H.global .align 3 .u32 p;", (4, 16), "power of two"),
    ("H.local .u32 p;", (4, 1), ".local outside"),
    ("H.section .text { }", (4, 10), "`.text`"),
    (
        "H.section .debug_str { .b8 1",
        (4, 28),
        "the end of the text",
    ),
    ("H.file 1 \"a.cu\n\"", (4, 9), "does not end"),
    ("H.entry f() { ~ }", (4, 14), "`~`"),
    ("H.entry f() { mov.u32 %r1, é; }", (4, 27), "no meaning"),
    (
        "H.entry f() { add. s32 a, b, c; }",
        (4, 17),
        "a dot without a name",
    ),
];

#[test]
fn what_is_not_modelled_is_refused_where_it_stands() {
    for (text, (line, column), words) in REFUSED {
        let text = text.replacen('H', HEADER, 1);
        let error = parse(&text).expect_err(&text);
        assert_eq!(
            (error.line, error.column),
            (*line, *column),
            "{text}\n{error}"
        );
        assert!(error.what.contains(words), "{text}\n{error}");
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn nesting_and_counts_are_bounded() {
    let nested = |depth| {
        format!(
            "{HEADER}.entry f() {}{}",
            "{".repeat(depth),
            "}".repeat(depth)
        )
    };
    assert!(parse(&nested(32)).is_ok());
    let error = parse(&nested(33)).unwrap_err();
    assert!(error.what.contains("32 nested scopes"), "{error}");
    assert!(parse(&nested(1_000_000)).is_err());
    for (open, what) in [
        ("{", "operand: a name"),
        ("{a,{", "operand: a name"),
        ("a,", "at most 16 operands"),
        ("[", "after `[`"),
    ] {
        let text = format!("{HEADER}.entry f() {{ mov.b32 {}", open.repeat(100_000));
        let error = parse(&text).unwrap_err();
        assert!(error.what.contains(what), "{open}: {error}");
    }
    let wide = format!("{HEADER}.entry f() {{ mov.b32 {{{}", "a,".repeat(100_000));
    let error = parse(&wide).unwrap_err();
    assert!(error.what.contains("at most 64 elements"), "{error}");
}

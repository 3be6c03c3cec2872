//! Lane arithmetic is compiled twice, for any machine and for AVX2 with FMA: both give the same bits, for every
//! operation, type and modifier, and leave the lanes alone that take no part.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::HashSet;

use qwarp::driver::Target;
use qwarp::emu::exec::alu::{Alu, LaneState};
use qwarp::emu::op::Op;
use qwarp::emu::program::{Inst, Program, decode_module};
use qwarp::emu::{LANES, Row, Rows, ptx};

/// The register that an operand of a type stands in: `h` 16 bits, `r` 32, `d` 64.
fn class(ty: &str) -> char {
    match ty {
        "b16" | "u16" | "s16" | "f16" | "bf16" => 'h',
        "b64" | "u64" | "s64" | "f64" => 'd',
        _ => 'r',
    }
}

/// `opcode d, a, b, ...` with registers of the types' classes, the destination first.
fn plain(opcode: &str, types: &[&str]) -> String {
    let operand = |(index, ty): (usize, &&str)| format!("%{}{index}", class(ty));
    let operands: Vec<String> = types.iter().enumerate().map(operand).collect();
    format!("{opcode} {};", operands.join(", "))
}

fn integers(out: &mut Vec<String>) {
    for ty in ["u16", "s16", "u32", "s32", "u64", "s64"] {
        for op in ["add", "sub", "mul.lo", "mul.hi", "div", "rem", "min", "max"] {
            out.push(plain(&format!("{op}.{ty}"), &[ty; 3]));
        }
        for op in ["mad.lo", "mad.hi", "sad"] {
            out.push(plain(&format!("{op}.{ty}"), &[ty; 4]));
        }
        out.push(plain(&format!("shr.{ty}"), &[ty, ty, "u32"]));
        for cmp in ["eq", "ne", "lt", "le", "gt", "ge"] {
            let (a, b) = (class(ty), class(ty));
            out.push(format!("setp.{cmp}.{ty} %p0|%p1, %{a}1, %{b}2;"));
            out.push(format!("setp.{cmp}.xor.{ty} %p0|%p1, %{a}1, %{b}2, !%p2;"));
            out.push(plain(&format!("set.{cmp}.u32.{ty}"), &["u32", ty, ty]));
        }
    }
    for ty in ["s16", "s32", "s64"] {
        out.push(plain(&format!("neg.{ty}"), &[ty; 2]));
        out.push(plain(&format!("abs.{ty}"), &[ty; 2]));
    }
    for (ty, wide) in [
        ("u16", "u32"),
        ("s16", "s32"),
        ("u32", "u64"),
        ("s32", "s64"),
    ] {
        out.push(plain(&format!("mul.wide.{ty}"), &[wide, ty, ty]));
        out.push(plain(&format!("mad.wide.{ty}"), &[wide, ty, ty, wide]));
    }
    for ty in ["u32", "s32", "u64", "s64"] {
        for op in ["add.cc", "addc", "addc.cc", "sub.cc", "subc", "subc.cc"] {
            out.push(plain(&format!("{op}.{ty}"), &[ty; 3]));
        }
        for op in ["mad.lo.cc", "madc.lo.cc", "mad.hi.cc", "madc.hi"] {
            out.push(plain(&format!("{op}.{ty}"), &[ty; 4]));
        }
        out.push(plain(&format!("bfe.{ty}"), &[ty, ty, "u32", "u32"]));
        out.push(plain(&format!("bfind.{ty}"), &["u32", ty]));
        out.push(plain(&format!("bfind.shiftamt.{ty}"), &["u32", ty]));
    }
    out.push(plain("add.sat.s32", &["s32"; 3]));
    out.push(plain("sub.sat.s32", &["s32"; 3]));
    for signs in ["u32.u32", "u32.s32", "s32.u32", "s32.s32"] {
        for op in ["dp4a", "dp2a.lo", "dp2a.hi"] {
            out.push(plain(&format!("{op}.{signs}"), &["s32"; 4]));
        }
    }
}

fn bits(out: &mut Vec<String>) {
    for ty in ["b16", "b32", "b64"] {
        for op in ["and", "or", "xor"] {
            out.push(plain(&format!("{op}.{ty}"), &[ty; 3]));
        }
        for op in ["not", "cnot", "mov"] {
            out.push(plain(&format!("{op}.{ty}"), &[ty; 2]));
        }
        out.push(plain(&format!("shl.{ty}"), &[ty, ty, "u32"]));
        let c = class(ty);
        out.push(format!("selp.{ty} %{c}0, %{c}1, %{c}2, !%p2;"));
        out.push(plain(&format!("slct.{ty}.s32"), &[ty, ty, ty, "s32"]));
        out.push(plain(&format!("slct.ftz.{ty}.f32"), &[ty, ty, ty, "f32"]));
        out.push(plain(&format!("slct.{ty}.f32"), &[ty, ty, ty, "f32"]));
    }
    for ty in ["b32", "b64"] {
        out.push(plain(&format!("bfi.{ty}"), &[ty, ty, ty, "u32", "u32"]));
        out.push(plain(&format!("brev.{ty}"), &[ty; 2]));
        out.push(plain(&format!("clz.{ty}"), &["u32", ty]));
        out.push(plain(&format!("popc.{ty}"), &["u32", ty]));
    }
    for table in (0..256).step_by(5) {
        out.push(format!("lop3.b32 %r0, %r1, %r2, %r3, {table};"));
    }
    for mode in ["", ".f4e", ".b4e", ".rc8", ".ecl", ".ecr", ".rc16"] {
        out.push(plain(&format!("prmt.b32{mode}"), &["b32"; 4]));
    }
    for form in ["shf.l.wrap", "shf.l.clamp", "shf.r.wrap", "shf.r.clamp"] {
        out.push(plain(&format!("{form}.b32"), &["b32"; 4]));
    }
    out.push(plain("bmsk.clamp.b32", &["b32"; 3]));
    out.push(plain("bmsk.wrap.b32", &["b32"; 3]));
    for line in [
        "mov.b32 %r0, {%h1, %h2};",
        "mov.b32 {%h0, %h1}, %r1;",
        "mov.b64 %d0, {%r1, %r2};",
        "mov.b64 {%r0, %r2}, %d1;",
        "mov.b64 %d0, {%h1, %h2, %h3, %h4};",
        "mov.b64 {%h0, _, %h2, %h3}, %d1;",
        "and.pred %p0, %p1, !%p2;",
        "or.pred %p0, %p1, %p2;",
        "xor.pred %p0, %p1, %p2;",
        "not.pred %p0, %p1;",
        "mov.pred %p0, %p1;",
        "mov.pred %p0, 1;",
        "cvta.shared.u64 %d0, %d1;",
        "cvta.to.local.u64 %d0, %d1;",
        "isspacep.global %p0, %d1;",
    ] {
        out.push(line.into());
    }
}

fn floats(out: &mut Vec<String>) {
    for round in ["rn", "rz", "rm", "rp"] {
        for ftz in ["", ".ftz"] {
            for sat in ["", ".sat"] {
                for op in ["add", "sub", "mul"] {
                    out.push(plain(&format!("{op}.{round}{ftz}{sat}.f32"), &["f32"; 3]));
                }
                out.push(plain(&format!("fma.{round}{ftz}{sat}.f32"), &["f32"; 4]));
            }
            out.push(plain(&format!("div.{round}{ftz}.f32"), &["f32"; 3]));
            out.push(plain(&format!("sqrt.{round}{ftz}.f32"), &["f32"; 2]));
            out.push(plain(&format!("rcp.{round}{ftz}.f32"), &["f32"; 2]));
        }
    }
    for ftz in ["", ".ftz"] {
        for op in ["min", "max", "min.NaN", "max.NaN", "div.approx", "div.full"] {
            let (op, rest) = op.split_once('.').unwrap_or((op, ""));
            let parts = match rest {
                "NaN" => format!("{op}{ftz}.NaN"),
                "" => format!("{op}{ftz}"),
                rest => format!("{op}.{rest}{ftz}"),
            };
            out.push(plain(&format!("{parts}.f32"), &["f32"; 3]));
        }
        for op in [
            "neg",
            "abs",
            "ex2.approx",
            "lg2.approx",
            "rcp.approx",
            "sqrt.approx",
        ] {
            out.push(plain(&format!("{op}{ftz}.f32"), &["f32"; 2]));
        }
        for op in ["rsqrt.approx", "sin.approx", "cos.approx"] {
            out.push(plain(&format!("{op}{ftz}.f32"), &["f32"; 2]));
        }
        out.push(plain(&format!("ex2.approx{ftz}.f16x2"), &["f16x2"; 2]));
    }
    out.push(plain("tanh.approx.f32", &["f32"; 2]));
    out.push(plain("tanh.approx.f16", &["f16"; 2]));
    out.push(plain("tanh.approx.bf16x2", &["bf16x2"; 2]));
    out.push(plain("ex2.approx.ftz.bf16", &["bf16"; 2]));
    out.push(plain("copysign.f32", &["f32"; 3]));
    for op in ["add", "sub", "mul", "min", "max", "div.rn", "copysign"] {
        out.push(plain(&format!("{op}.f64"), &["f64"; 3]));
    }
    for op in ["neg", "abs", "sqrt.rn", "rcp.rn"] {
        out.push(plain(&format!("{op}.f64"), &["f64"; 2]));
    }
    out.push(plain("fma.rn.f64", &["f64"; 4]));
    for test in [
        "finite",
        "infinite",
        "number",
        "notanumber",
        "normal",
        "subnormal",
    ] {
        out.push(format!("testp.{test}.f32 %p0, %r1;"));
        out.push(format!("testp.{test}.f64 %p0, %d1;"));
    }
}

fn halves(out: &mut Vec<String>) {
    for ty in ["f16", "f16x2", "bf16", "bf16x2"] {
        let flushes: &[&str] = if ty.starts_with('b') {
            &[""]
        } else {
            &["", ".ftz"]
        };
        for ftz in flushes {
            let clamps: &[&str] = if ty.starts_with('b') {
                &[""]
            } else {
                &["", ".sat"]
            };
            for sat in clamps {
                for op in ["add", "sub", "mul"] {
                    out.push(plain(&format!("{op}{ftz}{sat}.{ty}"), &[ty; 3]));
                }
                out.push(plain(&format!("fma.rn{ftz}{sat}.{ty}"), &[ty; 4]));
            }
            out.push(plain(&format!("fma.rn{ftz}.relu.{ty}"), &[ty; 4]));
            for op in ["min", "max"] {
                out.push(plain(&format!("{op}{ftz}.{ty}"), &[ty; 3]));
                out.push(plain(&format!("{op}{ftz}.NaN.{ty}"), &[ty; 3]));
            }
            out.push(plain(&format!("neg{ftz}.{ty}"), &[ty; 2]));
            out.push(plain(&format!("abs{ftz}.{ty}"), &[ty; 2]));
        }
    }
    let unordered = ["equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"];
    for cmp in ["eq", "ne", "lt", "le", "gt", "ge"]
        .into_iter()
        .chain(unordered)
    {
        for ty in ["f16", "f16x2", "bf16", "bf16x2", "f32", "ftz.f32", "f64"] {
            let c = class(ty.trim_start_matches("ftz."));
            out.push(format!("setp.{cmp}.and.{ty} %p0|%p1, %{c}1, %{c}2, %p2;"));
        }
        out.push(plain(&format!("set.{cmp}.f16x2.f16x2"), &["f16x2"; 3]));
        out.push(plain(
            &format!("set.{cmp}.u32.bf16x2"),
            &["u32", "bf16x2", "bf16x2"],
        ));
        out.push(plain(&format!("set.{cmp}.f32.f32"), &["f32"; 3]));
        out.push(plain(&format!("set.{cmp}.f16.f16"), &["f16"; 3]));
        out.push(plain(
            &format!("set.{cmp}.u16.bf16"),
            &["u16", "bf16", "bf16"],
        ));
    }
}

const INTEGERS: [&str; 8] = ["u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"];

fn conversions(out: &mut Vec<String>) {
    // An 8-bit value stands in a 16-bit register.
    let reg = |ty: &str| if ty.ends_with('8') { 'h' } else { class(ty) };
    let mut cvt = |form: &str, to: &str, from: &str| {
        let (d, a) = (reg(to), reg(from));
        out.push(format!("cvt{form}.{to}.{from} %{d}0, %{a}1;"));
    };
    for to in INTEGERS {
        for from in INTEGERS {
            cvt("", to, from);
            cvt(".sat", to, from);
        }
        for from in ["f16", "bf16", "f32", "f64"] {
            for round in [".rni", ".rzi", ".rmi", ".rpi"] {
                cvt(round, to, from);
            }
        }
        for from in ["f16", "bf16", "f32"] {
            for round in [".rn", ".rz", ".rm", ".rp"] {
                cvt(round, from, to);
            }
        }
        cvt(".rn", "f64", to);
        cvt(".rzi.ftz", to, "f32");
    }
    for round in [".rn", ".rz", ".rm", ".rp"] {
        for (to, from) in [
            ("f16", "f32"),
            ("bf16", "f32"),
            ("f32", "f64"),
            ("f16", "f64"),
        ] {
            cvt(round, to, from);
            cvt(&format!("{round}.sat"), to, from);
        }
    }
    for ty in ["f16", "bf16", "f32", "f64"] {
        for round in [".rni", ".rzi", ".rmi", ".rpi"] {
            cvt(round, ty, ty);
        }
    }
    for (to, from) in [
        ("f32", "f16"),
        ("f32", "bf16"),
        ("f64", "f16"),
        ("f64", "f32"),
    ] {
        cvt("", to, from);
        cvt(".sat", to, from);
    }
    cvt(".ftz.sat", "f32", "f32");
    cvt(".rn.relu", "f16", "f32");
    cvt(".rz.relu", "bf16", "f32");
    for form in ["rn", "rz", "rn.relu", "rz.relu"] {
        for ty in ["f16x2", "bf16x2"] {
            out.push(plain(&format!("cvt.{form}.{ty}.f32"), &[ty, "f32", "f32"]));
        }
    }
    // Registers wider than the types.
    for to in ["u8", "s8", "u16", "s16", "u32", "s32"] {
        out.push(format!("cvt.{to}.s64 %d0, %d1;"));
        out.push(format!("cvt.{to}.s8 %d0, %r1;"));
        out.push(format!("cvt.sat.{to}.u8 %d0, %d1;"));
    }
}

fn program(lines: &[String]) -> Program {
    let text = format!(
        ".version 7.8\n.target sm_90\n.address_size 64\n.visible .entry all()\n{{\n\
         .reg .b16 %h<5>;\n.reg .b32 %r<5>;\n.reg .b64 %d<5>;\n.reg .pred %p<3>;\n{}\nret;\n}}\n",
        lines.join("\n")
    );
    let module = ptx::parse(&text).unwrap();
    decode_module(&module, Target::Sm90).unwrap().remove(0)
}

/// Numbers that corners are made of, and some at random.
fn value(state: &mut u64) -> u32 {
    const CORNERS: [u32; 24] = [
        0,
        1,
        2,
        31,
        32,
        33,
        0xff,
        0x7fff_ffff,
        0x8000_0000,
        0x8000_0001,
        0xffff_ffff,
        0x7f80_0000,
        0xff80_0000,
        0x7fc1_2345,
        0x0080_0000,
        0x007f_ffff,
        0x8000_03ff,
        0x3f80_0000,
        0xbf80_0000,
        0x7c00_fc00,
        0x7c01_7bff,
        0x0400_03ff,
        0x7f7f_ffff,
        0x4f00_0000,
    ];
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    let random = (*state >> 32) as u32;
    match random % 4 {
        0 => CORNERS[(*state >> 20) as usize % CORNERS.len()],
        1 => 0x3f00_0000 | (random >> 7),
        _ => random,
    }
}

/// A warp's registers, predicates and carries.
type Warp = (Vec<Row>, Vec<u32>, u32);

fn run(alu: Alu, program: &Program, inst: &Inst, mask: u32, before: &Warp) -> Warp {
    let (mut registers, mut preds, mut carry) = before.clone();
    let Op::Alu(op) = inst.op else {
        panic!("{:?} is no lane arithmetic", inst.op)
    };
    let mut state = LaneState {
        rows: Rows {
            registers: &mut registers,
            constants: &program.constants,
        },
        preds: &mut preds,
        carry: &mut carry,
        mask,
    };
    alu.code(&op)(inst, &program.lists, &mut state);
    (registers, preds, carry)
}

/// Whether the lanes outside `mask` are as they were. A 64-bit register is two rows in which a lane has two words side by
/// side; `wide` is the first row of one that was written.
fn others_kept(before: &Warp, after: &Warp, mask: u32, wide: Option<usize>) -> bool {
    let lane_of = |row: usize, word: usize| match wide {
        Some(first) if row == first => word / 2,
        Some(first) if row == first + 1 => (LANES + word) / 2,
        _ => word,
    };
    let words = (0..before.0.len()).flat_map(|row| (0..LANES).map(move |word| (row, word)));
    let kept = |(row, word): (usize, usize)| {
        mask >> lane_of(row, word) & 1 == 1 || before.0[row].0[word] == after.0[row].0[word]
    };
    let mut preds = before.1.iter().zip(&after.1);
    words.into_iter().all(kept)
        && preds.all(|(b, a)| a & !mask == b & !mask)
        && after.2 & !mask == before.2 & !mask
}

#[test]
fn both_builds_give_the_same_bits_and_write_only_their_lanes() {
    let mut lines = Vec::new();
    integers(&mut lines);
    bits(&mut lines);
    floats(&mut lines);
    halves(&mut lines);
    conversions(&mut lines);
    let program = program(&lines);
    let (fast, portable) = (Alu::detect(), Alu::portable());
    if fast == portable {
        println!("this machine runs the portable build only; the two are not compared");
    }
    let mut seed = 1;
    let mut kinds = HashSet::new();
    let mut changed = 0;
    for (inst, line) in program.code.iter().zip(&lines) {
        kinds.insert(format!("{:?}", inst.op));
        let mut wrote = false;
        let is_wide = line
            .split_whitespace()
            .nth(1)
            .is_some_and(|d| d.starts_with("%d"));
        let wide = is_wide.then_some(usize::from(inst.d.0));
        for round in 0..40 {
            let row = |_| Row(std::array::from_fn(|_| value(&mut seed)));
            let rows = (0..program.rows).map(row).collect();
            let preds = (0..program.preds).map(|_| value(&mut seed)).collect();
            let before: Warp = (rows, preds, value(&mut seed));
            let mask = if round % 2 == 0 {
                u32::MAX
            } else {
                value(&mut seed)
            };
            let one = run(fast, &program, inst, mask, &before);
            let other = run(portable, &program, inst, mask, &before);
            assert!(one == other, "{line}: {round}");
            assert!(others_kept(&before, &one, mask, wide), "{line}: {mask:x}");
            wrote |= one != before;
        }
        changed += usize::from(wrote);
    }
    assert_eq!(changed, lines.len(), "some instruction wrote nothing");
    assert!(kinds.len() > 450, "only {} operations", kinds.len());
}

//! The emulator's approximate functions against the nearest results by mpmath (tools/make_approx_golden.py), and their
//! special operands against the manual's tables.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use qwarp::emu::exec::approx::{
    cos, ex2, ex2_bf16, ex2_f16, lg2, pair, rcp, rsqrt, sin, sqrt, tanh, tanh_bf16, tanh_f16,
};
use serde_json::Value;

type Function = fn(f32, bool) -> f32;

const FUNCTIONS: [(&str, Function); 8] = [
    ("ex2", ex2),
    ("lg2", lg2),
    ("rcp", rcp),
    ("rsqrt", rsqrt),
    ("sqrt", sqrt),
    ("sin", sin),
    ("cos", cos),
    ("tanh", |x, _| tanh(x)),
];

/// The smallest subnormal f32, and a larger one.
const TINY: [f32; 2] = [f32::from_bits(1), f32::from_bits(0x0040_0001)];

fn function(name: &str) -> Function {
    FUNCTIONS.iter().find(|(n, _)| *n == name).unwrap().1
}

/// Name, type, and the bits of arguments and results.
type Stored = (String, String, Vec<(u32, u32)>);

/// The stored functions.
fn golden() -> Vec<Stored> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/approx.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let lines = &file.as_array().unwrap()[1..];
    let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_string();
    lines
        .iter()
        .map(|line| {
            let digits = if line["type"] == "f32" { 8 } else { 4 };
            let bits = |key: &str| -> Vec<u32> {
                let hex = text(line, key);
                let words = (0..hex.len()).step_by(digits);
                words
                    .map(|at| u32::from_str_radix(&hex[at..at + digits], 16).unwrap())
                    .collect()
            };
            let pairs = bits("x").into_iter().zip(bits("y")).collect();
            (text(line, "function"), text(line, "type"), pairs)
        })
        .collect()
}

fn is_subnormal(bits: u32) -> bool {
    f32::from_bits(bits).is_subnormal()
}

#[test]
fn f32_results_are_the_nearest() {
    let mut functions = 0;
    let mut subnormal = 0;
    for (name, _, pairs) in golden().into_iter().filter(|(_, ty, _)| ty == "f32") {
        let f = function(&name);
        assert!(pairs.len() > 500, "{name}: {}", pairs.len());
        for (x, y) in pairs {
            let (found, flushed) = (f(f32::from_bits(x), false), f(f32::from_bits(x), true));
            assert_eq!(found.to_bits(), y, "{name} of {x:#010x}: {found:e}");
            if name == "tanh" {
                // It has no `.ftz` form.
                continue;
            }
            if is_subnormal(y) {
                assert_eq!(flushed.to_bits(), y & 0x8000_0000, "{name} of {x:#010x}");
                subnormal += 1;
            } else if !is_subnormal(x) {
                assert_eq!(flushed.to_bits(), y, "{name} of {x:#010x}");
            }
        }
        functions += 1;
    }
    assert_eq!(functions, FUNCTIONS.len());
    assert!(subnormal > 20, "{subnormal} subnormal results");
}

#[test]
fn results_of_16_bits_are_the_nearest() {
    let mut functions = 0;
    for (name, ty, pairs) in golden().into_iter().filter(|(_, ty, _)| ty != "f32") {
        let (f, is_bf16): (fn(u16) -> u16, bool) = match (name.as_str(), ty.as_str()) {
            ("ex2", "f16") => (ex2_f16, false),
            ("tanh", "f16") => (tanh_f16, false),
            ("ex2", "bf16") => (ex2_bf16, true),
            ("tanh", "bf16") => (tanh_bf16, true),
            other => panic!("{other:?}"),
        };
        assert!(pairs.len() > 350, "{name}.{ty}: {}", pairs.len());
        for (x, y) in pairs {
            let flushed = is_bf16 && name == "ex2" && y < 0x80;
            let expect = if flushed { 0 } else { y };
            assert_eq!(u32::from(f(x as u16)), expect, "{name}.{ty} of {x:#06x}");
            let both = pair(f, x << 16 | 0x3c00);
            assert_eq!(both >> 16, expect);
            assert_eq!(both & 0xffff, u32::from(f(0x3c00)));
        }
        for nan in [0x7fff, 0xffc1] {
            assert_eq!(f(nan), 0x7fff, "{name}.{ty}");
        }
        functions += 1;
    }
    assert_eq!(functions, 4);
}

#[test]
fn infinities_of_16_bits() {
    assert_eq!(
        [ex2_f16(0x7c00), ex2_f16(0xfc00), ex2_f16(0x8000)],
        [0x7c00, 0, 0x3c00]
    );
    assert_eq!(
        [ex2_bf16(0x7f80), ex2_bf16(0xff80), ex2_bf16(0x8000)],
        [0x7f80, 0, 0x3f80]
    );
    assert_eq!(
        [tanh_f16(0x7c00), tanh_f16(0xfc00), tanh_f16(0x8000)],
        [0x3c00, 0xbc00, 0x8000]
    );
    assert_eq!(
        [tanh_bf16(0x7f80), tanh_bf16(0xff80), tanh_bf16(0x8000)],
        [0x3f80, 0xbf80, 0x8000]
    );
}

/// What the manual's tables give for -infinity, -1 where it is special, -0, 0 and infinity.
#[test]
fn special_operands_are_those_of_the_manual() {
    let (inf, nan) = (f32::INFINITY, f32::from_bits(0x7fff_ffff));
    let tables: [(&str, [f32; 4]); 8] = [
        ("ex2", [0.0, 1.0, 1.0, inf]),
        ("lg2", [nan, -inf, -inf, inf]),
        ("rcp", [-0.0, -inf, inf, 0.0]),
        ("rsqrt", [nan, -inf, inf, 0.0]),
        ("sqrt", [nan, -0.0, 0.0, inf]),
        ("sin", [nan, -0.0, 0.0, nan]),
        ("cos", [nan, 1.0, 1.0, nan]),
        ("tanh", [-1.0, -0.0, 0.0, 1.0]),
    ];
    for (name, results) in tables {
        let f = function(name);
        for ftz in [false, true] {
            for (x, result) in [-inf, -0.0, 0.0, inf].into_iter().zip(results) {
                assert_eq!(
                    f(x, ftz).to_bits(),
                    result.to_bits(),
                    "{name}({x}), ftz {ftz}"
                );
            }
            for bits in [0x7f80_0001, 0x7fc0_0000, 0xffff_ffff] {
                let found = f(f32::from_bits(bits), ftz).to_bits();
                assert_eq!(found, nan.to_bits(), "{name} of a NaN, ftz {ftz}");
            }
        }
        // `tanh` has no `.ftz` form.
        for x in TINY.into_iter().filter(|_| name != "tanh") {
            for x in [x, -x] {
                let zero = 0.0_f32.copysign(x);
                let (found, expect) = (f(x, true).to_bits(), f(zero, true).to_bits());
                assert_eq!(found, expect, "{name}({x:e}) with ftz");
            }
        }
    }
    for name in ["lg2", "rsqrt", "sqrt"] {
        for x in [-1.0, -f32::MAX, -TINY[0]] {
            assert_eq!(
                function(name)(x, false).to_bits(),
                nan.to_bits(),
                "{name}({x:e})"
            );
        }
    }
}

#[test]
fn subnormal_operands_stay_without_ftz() {
    let [least, other] = TINY;
    assert_eq!([sin(least, false), sin(-other, false)], [least, -other]);
    assert_eq!([tanh(-least), tanh(other)], [-least, other]);
    assert_eq!(lg2(least, false), -149.0);
    // 2^-148 and 2^-127.
    let (even, half) = (f32::from_bits(2), f32::from_bits(1 << 22));
    assert_eq!(sqrt(even, false), 2.0_f32.powi(-74));
    assert_eq!(rsqrt(even, false), 2.0_f32.powi(74));
    assert_eq!(
        [rcp(-half, false), rcp(least, false)],
        [-(2.0_f32.powi(127)), f32::INFINITY]
    );
}

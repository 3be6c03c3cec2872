"""f64 arithmetic to nearest, minima, comparisons and conversions. What a NaN's payload becomes is open, so no result is one."""

import math
import struct
from fractions import Fraction

from . import floats, values
from .case import each
from .convert import RANGE
from .float32 import COMPARE
from .floats import F32, F64


def bits_of(x):
    """The bits of a Python float."""
    return struct.unpack("<Q", struct.pack("<d", x))[0]


def float_of(bits):
    """A Python float of the bits."""
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


# Zeros, subnormals, the least normal, around one, plain values, the greatest, infinities, and what a sampler has.
PLAIN = [0.0, 5e-324, 2.225073858507201e-308, 2.2250738585072014e-308, 1.0, 1.0000000000000002, 0.9999999999999999, 1.5,
         2.0**-53, 2.0**-54, 6755399441055744.0, 2.0**62, 2.0**63, 1.4426950408889634, 6.931471803691238e-1,
         1.9082149292705877e-10, -700.0, -1009.8, math.pi, 1e300, 1.7976931348623157e308, math.inf]  # fmt: skip
EDGES = [bits_of(s * x) for x in PLAIN for s in (1.0, -1.0)]
FINITE = [x for x in EDGES if not floats.is_infinite(F64, x)]
NAN = [0x7FF8000000000001, 0x7FF0000000000001, 0xFFF8123456789ABC]
# Two factors that Python multiplies, adds and divides as well: another author for each result.
PYTHON = {"add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y, "div": lambda x, y: x / y}


def spread(name, count):
    """Pairs of plain numbers whose exponents are near, so that results round, some of them at a tie."""
    rng = values.generator(name)
    rows = []
    for i in range(count):
        exponent = rng.randrange(900, 1150)
        gap = rng.choice([0, 1, 52, 53, 53, 54, 55])
        x = exponent << 52 | rng.getrandbits(52) | (rng.getrandbits(1) << 63)
        y = (exponent - gap) << 52 | rng.choice([0, 1, 1 << 51, (1 << 52) - 1, rng.getrandbits(52)]) | (i % 2 << 63)
        rows.append((x, y))
    return rows


def arithmetic():
    """add, sub, mul, div and fma, each rounded once."""
    for op, compute in (("add", floats.add), ("sub", floats.sub), ("mul", floats.mul), ("div", floats.div)):
        name = f"f64_{op}_rn"
        rows = list(zip(*values.pairs(EDGES[::3]))) + spread(name, 120)
        rows = [row for row in rows if not floats.is_nan(F64, compute(F64, *row))]
        expect = [compute(F64, *row) for row in rows]
        for (x, y), bits in zip(rows, expect):
            assert op == "div" and floats.is_zero(F64, y) or bits == bits_of(PYTHON[op](float_of(x), float_of(y))), name
        a, b = values.columns(rows)
        yield each(
            name,
            f"{op}.rn.f64 rounds once, keeps subnormals",
            f"{op}.rn.f64 %r, %a, %b;",
            [("a", "u64", a), ("b", "u64", b)],
            [("r", "u64", expect)],
        )
    rows = list(zip(*values.triples("f64_fma_rn", FINITE, 150)))
    for i, (x, y) in enumerate(spread("f64_fma_rn products", 90)):
        product = floats.mul(F64, x, y)
        rows.append((x, y, [product ^ F64.sign, (product ^ F64.sign) + 1][i % 2]))
    rows = [row for row in rows if not floats.is_nan(F64, floats.fma(F64, *row))]
    expect = [floats.fma(F64, *row) for row in rows]
    twice = [floats.add(F64, floats.mul(F64, x, y), z) for x, y, z in rows]
    assert sum(x != y for x, y in zip(expect, twice)) > 20
    a, b, c = values.columns(rows)
    yield each(
        "f64_fma_rn",
        "fma.rn.f64 rounds once: what two roundings would lose is in the case",
        "fma.rn.f64 %r, %a, %b, %c;",
        [("a", "u64", a), ("b", "u64", b), ("c", "u64", c)],
        [("r", "u64", expect)],
    )


def extremes():
    """min and max: a NaN loses, -0 is less than +0."""
    for op, compute in (("min", floats.minimum), ("max", floats.maximum)):
        rows = list(zip(*values.pairs(EDGES[:4] + EDGES[8:12] + EDGES[32:36] + EDGES[-2:] + NAN)))
        rows = [row for row in rows if not all(floats.is_nan(F64, x) for x in row)]
        a, b = values.columns(rows)
        yield each(
            f"f64_{op}",
            f"{op}.f64 takes the number beside a NaN, -0 is less than +0",
            f"{op}.f64 %r, %a, %b;",
            [("a", "u64", a), ("b", "u64", b)],
            [("r", "u64", [compute(F64, *row) for row in rows])],
        )


def comparisons():
    """setp: ordered operators are false beside a NaN, the others true."""
    a, b = values.pairs(EDGES[:4] + EDGES[8:13] + EDGES[-3:] + NAN[:2])
    body, expect = "mov.u32 %r, 0;\n", [0] * len(a)
    for i, op in enumerate(COMPARE):
        body += f"setp.{op}.f64 %p, %a, %b;\n@%p or.b32 %r, %r, {1 << i:#x};\n"
        expect = [e | int(floats.compare(F64, op, x, y)) << i for e, x, y in zip(expect, a, b)]
    yield each(
        "setp_f64",
        f"setp on f64: bit i of the result is operator i of {' '.join(COMPARE)}",
        body,
        [("a", "u64", a), ("b", "u64", b)],
        [("r", "u32", expect)],
        registers=".reg .pred %p;",
    )


def conversions():
    """f64 from f32 and back, from integers and to them."""
    a = [x for x in values.F32 if not floats.is_nan(F32, x)] + values.bits("cvt f64", 30, 40)
    yield each(
        "cvt_f32_to_f64",
        "cvt.f64.f32 is exact, subnormals and infinities too",
        "cvt.f64.f32 %r, %a;",
        [("a", "u32", a)],
        [("r", "u64", [floats.convert(F32, F64, x) for x in a])],
    )
    ties = [floats.convert(F32, F64, x) + low for x in a[:16] for low in (0x0FFFFFFF, 0x10000000, 0x10000001)]
    near = [x for x in EDGES + ties if not floats.is_nan(F64, x)]
    yield each(
        "cvt_f64_to_f32",
        "cvt.rn.f32.f64: ties, subnormals, overflow",
        "cvt.rn.f32.f64 %r, %a;",
        [("a", "u64", near)],
        [("r", "u32", [floats.convert(F64, F32, x) for x in near])],
    )
    rng = values.generator("cvt f64 to integers")
    numbers = EDGES + [rng.randrange(1023 - 2, 1023 + 65) << 52 | rng.getrandbits(52) for _ in range(80)]
    body, outs = "", []
    for kind in ("s64", "u64", "s32", "u32"):
        body += f"cvt.rzi.{kind}.f64 %{kind}, %a;\n"
        low, high = RANGE[kind]
        width = int(kind[1:])
        expect = [floats.to_integer(F64, x, "rz", low, high) % (1 << width) for x in numbers]
        outs.append((kind, f"u{width}", expect))
    about = "cvt.rzi from f64 cuts off, the ends clamp"
    yield each("cvt_f64_to_int_rzi", about, body, [("a", "u64", numbers)], outs)
    wide = values.U64 + [(1 << 53) + 1, (1 << 53) + 3, (1 << 62) + 1] + values.bits("cvt int to f64", 64, 40)
    signed = [x - (x >> 63 << 64) for x in wide]
    yield each(
        "cvt_int_to_f64_rn",
        "cvt.rn.f64 from 64-bit integers that need rounding",
        "cvt.rn.f64.u64 %u, %a;\ncvt.rn.f64.s64 %s, %a;",
        [("a", "u64", wide)],
        [
            ("u", "u64", [floats.encode(F64, Fraction(x)) for x in wide]),
            ("s", "u64", [floats.encode(F64, Fraction(x)) for x in signed]),
        ],
    )


def cases():
    """All of them."""
    for part in (arithmetic, extremes, comparisons, conversions):
        yield from part()

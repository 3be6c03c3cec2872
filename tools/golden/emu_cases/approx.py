"""Approximations: the exact value from mpmath, and the error that the manual allows. Special operands are exact."""

import math
from fractions import Fraction

import mpmath

from . import floats, values
from .case import each
from .floats import BF16, F16, F32

mpmath.mp.prec = 200


def exact(x, function):
    """The f32 bits nearest to a function of f32 bits that are finite."""
    return nearest(F32, function(real(F32, x)))


def real(fmt, bits):
    """A finite number for mpmath."""
    fraction = floats.value(fmt, bits)
    return mpmath.mpf(fraction.numerator) / fraction.denominator


def nearest(fmt, y):
    """The bits nearest to a number of mpmath."""
    if y == 0:
        return 0
    sign, mantissa, exponent, _ = y._mpf_
    return floats.encode(fmt, (-1) ** sign * Fraction(int(mantissa)) * Fraction(2) ** exponent)


def spread(name, low, high, count=100, both=False):
    """f32 numbers from `low` to `high`, even in their logarithm."""
    rng = values.generator(name)
    a = []
    for i in range(count):
        x = floats.from_float(math.exp(rng.uniform(math.log(low), math.log(high))))
        a.append(x | (0x80000000 if both and i % 2 else 0))
    return a


def one(name, about, op, bound, function, ordinary, special):
    """A case of `op d, a`: ordinary operands by the function, special ones by a table of bits."""
    a = list(ordinary) + list(special)
    expect = [exact(x, function) for x in ordinary] + list(special.values())
    return each(name, about, f"{op} %r, %a;", [("a", "u32", a)], [("r", "u32", expect)], bound=bound)


ZERO, NEG_ZERO, ONE, INF, NEG_INF, NAN = 0, 0x80000000, 0x3F800000, 0x7F800000, 0xFF800000, 0x7FFFFFFF
TINY, NEG_TINY = 0x00000001, 0x80400000


def reciprocals():
    """rcp, rsqrt, sqrt."""
    one_over = lambda x: 1 / x  # noqa: E731
    a = spread("rcp", 2.0**-126, 2.0**125, both=True) + [ONE, 0x00800000, 0x3FFFFFFF, 0x3F800001]
    flushed = {TINY: INF, NEG_TINY: NEG_INF}
    special = {ZERO: INF, NEG_ZERO: NEG_INF, INF: ZERO, NEG_INF: NEG_ZERO, 0x7FC00001: NAN}
    yield one("approx_rcp", "rcp.approx.f32", "rcp.approx.f32", "f32 ulp 1", one_over, a, special)
    yield one(
        "approx_rcp_ftz",
        "rcp.approx.ftz.f32: a subnormal is a zero",
        "rcp.approx.ftz.f32",
        "f32 ulp 1",
        one_over,
        a,
        special | flushed,
    )
    inverse_root = lambda x: 1 / mpmath.sqrt(x)  # noqa: E731
    a = spread("rsqrt", 2.0**-126, 2.0**127) + [ONE, 0x40800000, 0x7F7FFFFF]
    special = {ZERO: INF, NEG_ZERO: NEG_INF, INF: ZERO, NEG_INF: NAN, 0xBF800000: NAN, 0xFFC00000: NAN}
    yield one("approx_rsqrt", "rsqrt.approx.f32", "rsqrt.approx.f32", "f32 rel 0x1.125fp-23", inverse_root, a, special)
    yield one(
        "approx_rsqrt_ftz",
        "rsqrt.approx.ftz.f32: a subnormal is a zero",
        "rsqrt.approx.ftz.f32",
        "f32 rel 0x1.125fp-23",
        inverse_root,
        a,
        special | flushed,
    )
    special = {ZERO: ZERO, NEG_ZERO: NEG_ZERO, INF: INF, NEG_INF: NAN, 0xBF800000: NAN, 0x7FC00001: NAN}
    yield one("approx_sqrt", "sqrt.approx.f32", "sqrt.approx.f32", "f32 rel 0x1p-23", mpmath.sqrt, a, special)
    yield one(
        "approx_sqrt_ftz",
        "sqrt.approx.ftz.f32: a subnormal is a zero",
        "sqrt.approx.ftz.f32",
        "f32 rel 0x1p-23",
        mpmath.sqrt,
        a,
        special | {TINY: ZERO, NEG_TINY: NEG_ZERO},
    )


def exponentials():
    """ex2 and lg2."""
    power = lambda x: mpmath.mpf(2) ** x  # noqa: E731
    a = spread("ex2", 1e-6, 125.0, both=True) + [ONE, 0xBF800000, 0x42FE0000, 0xC2FC0000, 0x3F000000]
    special = {
        ZERO: ONE,
        NEG_ZERO: ONE,
        TINY: ONE,
        NEG_TINY: ONE,
        INF: INF,
        NEG_INF: ZERO,
        0x43000000: INF,
        0x7FC00001: NAN,
    }
    yield one(
        "approx_ex2_ftz",
        "ex2.approx.ftz.f32: subnormal results are zero",
        "ex2.approx.ftz.f32",
        "f32 ulp 2",
        power,
        a,
        special | {0xC2FF0000: ZERO, 0xC3160000: ZERO},
    )
    yield one(
        "approx_ex2",
        "ex2.approx.f32 keeps subnormal results",
        "ex2.approx.f32",
        "f32 ulp 2",
        power,
        a + [0xC2FF0000, 0xC3060000, 0xC3140000],
        special,
    )
    logarithm = lambda x: mpmath.log(x, 2)  # noqa: E731
    special = {ZERO: NEG_INF, NEG_ZERO: NEG_INF, INF: INF, NEG_INF: NAN, 0xBF800000: NAN, 0x7FC00001: NAN}
    far = spread("lg2 low", 2.0**-126, 0.5, 60) + spread("lg2 high", 2.0, 2.0**127, 60) + [0x00800000, 0x7F7FFFFF]
    yield one(
        "approx_lg2", "lg2.approx.f32 outside (0.5, 2)", "lg2.approx.f32", "f32 rel 0x1p-22", logarithm, far, special
    )
    near = spread("lg2 near", 0.5001, 1.9999, 120) + [0x3F7FFFFF, 0x3F800001]
    yield one(
        "approx_lg2_near_one",
        "lg2.approx.f32 inside (0.5, 2)",
        "lg2.approx.f32",
        "f32 abs 0x1p-22",
        logarithm,
        near + [ONE],
        {},
    )
    yield one(
        "approx_lg2_ftz",
        "lg2.approx.ftz.f32: a subnormal is a zero",
        "lg2.approx.ftz.f32",
        "f32 rel 0x1p-22",
        logarithm,
        far,
        special | {TINY: NEG_INF, NEG_TINY: NEG_INF},
    )


def circular():
    """sin, cos, tanh."""
    a = spread("sin", 1e-3, 6.28, 120, both=True)
    for op, function, at_zero in (("sin", mpmath.sin, (ZERO, NEG_ZERO)), ("cos", mpmath.cos, (ONE, ONE))):
        special = {ZERO: at_zero[0], NEG_ZERO: at_zero[1], INF: NAN, NEG_INF: NAN, 0x7FC00001: NAN}
        for ftz in ("", ".ftz"):
            extra = {TINY: at_zero[0], 0x80000001: at_zero[1]} if ftz else {}
            yield one(
                f"approx_{op}{ftz.replace('.', '_')}",
                f"{op}.approx{ftz}.f32 in [-2 pi, 2 pi]",
                f"{op}.approx{ftz}.f32",
                "f32 abs 0x1.6a09p-21",
                function,
                a,
                special | extra,
            )
    a = spread("tanh", 1e-6, 30.0, both=True)
    special = {ZERO: ZERO, NEG_ZERO: NEG_ZERO, INF: ONE, NEG_INF: 0xBF800000, 0x7FC00001: NAN}
    yield one("approx_tanh", "tanh.approx.f32", "tanh.approx.f32", "f32 rel 0x1p-11", mpmath.tanh, a, special)


# Divisors above 2^126 whose quotient is no zero: (a, b, a / b).
LARGE = [
    (0x7F000000, 0x7F000000, ONE),
    (0x7F7FFFFF, 0x7E800001, floats.div(F32, 0x7F7FFFFF, 0x7E800001)),
    (0x7F7FFFFF, 0xFF7FFFFF, 0xBF800000),
    (0x7E000000, 0x7F400000, floats.div(F32, 0x7E000000, 0x7F400000)),
]


def quotients():
    """div.approx and div.full."""
    rows = list(zip(spread("div a", 2.0**-60, 2.0**60, both=True), spread("div b", 2.0**-60, 2.0**60), strict=True))
    a, b = values.columns(rows)
    expect = [floats.div(F32, *row) for row in rows]
    special = [
        (ONE, ZERO, INF),
        (0xBF800000, ZERO, NEG_INF),
        (ONE, INF, ZERO),
        (ZERO, ZERO, NAN),
        (INF, INF, NAN),
        (INF, ONE, INF),
        (0x7FC00001, ONE, NAN),
        (ZERO, ONE, ZERO),
    ]
    for op, ftz in (("div.approx", ""), ("div.approx", ".ftz"), ("div.full", ""), ("div.full", ".ftz")):
        # A divisor between 2^126 and 2^128 gives 0 in div.approx; div.full scales.
        extra = special + ([(ONE, 0x7F000001, ZERO)] if op == "div.approx" else [])
        extra += LARGE if op == "div.full" else []
        extra += [(ONE, TINY, INF), (TINY, ONE, ZERO)] if ftz else []
        name = f"approx_{op.replace('.', '_')}{ftz.replace('.', '_')}"
        yield each(
            name,
            f"{op}{ftz}.f32",
            f"{op}{ftz}.f32 %r, %a, %b;",
            [("a", "u32", a + [x for x, _, _ in extra]), ("b", "u32", b + [y for _, y, _ in extra])],
            [("r", "u32", expect + [z for _, _, z in extra])],
            bound="f32 ulp 2",
        )


def halves():
    """ex2 and tanh of f16 and bf16."""
    f16 = [x for x in values.F16_FINITE if x & 0x7FFF < 0x4800] + [
        0x4000,
        0xC000,
        0x4A80,
        0xCA00,
        0x3555,
        0xB800,
        0x2E66,
    ]
    bf16 = [x for x in values.BF16_FINITE if x & 0x7FFF < 0x4300 and not floats.is_subnormal(BF16, x)] + [
        0x4120,
        0xC120,
        0x3EAB,
    ]
    power = lambda x: mpmath.mpf(2) ** x  # noqa: E731
    for fmt, ftz, a, target, bounds in (
        (F16, "", f16, 75, ("rel 0x1.125fp-10", "abs 0x1.025p-11")),
        (BF16, ".ftz", bf16, 90, ("rel 0x1p-7", "abs 0x1p-8")),
    ):
        for op, function, bound in (("ex2", power, bounds[0]), ("tanh", mpmath.tanh, bounds[1])):
            flag = ftz if op == "ex2" else ""
            expect = [nearest(fmt, function(real(fmt, x))) for x in a]
            special = {
                fmt.infinity: fmt.infinity if op == "ex2" else fmt.bias << fmt.fraction_bits,
                fmt.infinity | 1: fmt.nan,
                fmt.infinity | 0x8000: 0 if op == "ex2" else 0x8000 | fmt.bias << fmt.fraction_bits,
            }
            every = a + list(special)
            results = expect + list(special.values())
            yield each(
                f"approx_{op}_{fmt.name}",
                f"{op}.approx{flag}.{fmt.name}",
                f"{op}.approx{flag}.{fmt.name} %r, %a;",
                [("a", "u16", every)],
                [("r", "u16", results)],
                target,
                bound=f"{fmt.name} {bound}",
            )
            pairs = lambda v: [x | y << 16 for x, y in zip(v, v[1:] + v[:1])]  # noqa: E731
            yield each(
                f"approx_{op}_{fmt.name}x2",
                f"{op}.approx{flag}.{fmt.name}x2 does both halves",
                f"{op}.approx{flag}.{fmt.name}x2 %r, %a;",
                [("a", "u32", pairs(every))],
                [("r", "u32", pairs(results))],
                target,
                bound=f"{fmt.name}x2 {bound}",
            )


def cases():
    """All of them."""
    for part in (reciprocals, exponentials, circular, quotients, halves):
        yield from part()

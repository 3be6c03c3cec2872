"""cvt in every direction: widths, saturation, rounding, and the halves that share a word."""

from . import floats, values
from .case import each
from .floats import BF16, F16, F32
from .integer import number, storage

RANGE = {
    f"{s}{w}": (-(1 << (w - 1)), (1 << (w - 1)) - 1) if s == "s" else (0, (1 << w) - 1)
    for s in "us"
    for w in (8, 16, 32, 64)
}
# Around every rounding decision and every end of an integer type.
NUMBERS = [
    0.25,
    0.5,
    0.75,
    1.0,
    1.5,
    2.5,
    3.5,
    126.5,
    127.0,
    127.5,
    128.0,
    128.5,
    254.5,
    255.5,
    256.0,
    32766.5,
    32767.5,
    32768.0,
    65534.5,
    65535.5,
    65536.0,
    8388607.5,
    2147483520.0,
    2147483648.0,
    4294967040.0,
    4294967296.0,
    9.223371487e18,
    9.223372037e18,
    1.8446742974e19,
    1.8446744074e19,
    1e30,
]
ROUNDED = [floats.from_float(s * x) for x in NUMBERS for s in (1.0, -1.0)] + values.F32
ORDERED = [x for x in ROUNDED if not floats.is_nan(F32, x)]


def saturated():
    """`.sat` between integers clamps to the target's range."""
    for source, targets in (
        ("s32", ["s8", "u8", "s16", "u16", "u32"]),
        ("u32", ["s8", "u8", "s16", "u16", "s32"]),
        ("s64", ["s32", "u32", "s16"]),
    ):
        kind = storage(source)
        a = values.EDGES[kind] + [0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0x10000, (1 << int(source[1:])) - 129]
        body, outs = "", []
        for target in targets:
            low, high = RANGE[target]
            width = max(16, int(target[1:]))
            body += f"cvt.sat.{target}.{source} %{target}, %a;\n"
            outs.append((target, f"u{width}", [min(max(number(x, source), low), high) % (1 << width) for x in a]))
        yield each(
            f"cvt_sat_{source}", f"cvt.sat from {source} clamps to {' '.join(targets)}", body, [("a", kind, a)], outs
        )


def float_to_integer():
    """Rounding in four directions; NaN gives 0 and what is out of range the nearest end."""
    for mode in ("rn", "rz", "rm", "rp"):
        # A NaN to 64 bits is left out: the manual says 0, CUDA's own intrinsics 2^63.
        for suffix, targets, a in (("", ("s32", "u32", "s16", "u16", "u8"), ROUNDED), ("_64", ("s64", "u64"), ORDERED)):
            body, outs = "", []
            for target in targets:
                low, high = RANGE[target]
                width = max(16, int(target[1:]))
                body += f"cvt.{mode}i.{target}.f32 %{target}, %a;\n"
                expect = [floats.to_integer(F32, x, mode, low, high) % (1 << width) for x in a]
                outs.append((target, f"u{width}", expect))
            about = f"cvt.{mode}i from f32 to {' '.join(targets)}: NaN is 0, the ends clamp"
            yield each(f"cvt_f32_to_int{suffix}_{mode}i", about, body, [("a", "u32", a)], outs)
    a = values.F32_FINITE
    body = "cvt.rpi.ftz.s32.f32 %p, %a;\ncvt.rpi.s32.f32 %q, %a;\ncvt.rmi.ftz.s32.f32 %m, %a;"
    bounds = RANGE["s32"]
    outs = [
        ("p", "u32", [floats.to_integer(F32, x, "rp", *bounds, ftz=True) for x in a]),
        ("q", "u32", [floats.to_integer(F32, x, "rp", *bounds) for x in a]),
        ("m", "u32", [floats.to_integer(F32, x, "rm", *bounds, ftz=True) for x in a]),
    ]
    yield each("cvt_f32_to_int_ftz", "cvt.rpi.ftz takes a subnormal for zero", body, [("a", "u32", a)], outs)
    halves = values.F16 + [
        floats.encode(F16, floats.Fraction(n, 4)) | s for n in (1, 2, 3, 6, 10, 514, 4000) for s in (0, 0x8000)
    ]
    body = "cvt.rni.s32.f16 %n, %a;\ncvt.rzi.u16.f16 %z, %a;\ncvt.rmi.s16.f16 %m, %a;\ncvt.rpi.u32.f16 %p, %a;"
    outs = [
        ("n", "u32", [floats.to_integer(F16, x, "rn", *RANGE["s32"]) for x in halves]),
        ("z", "u16", [floats.to_integer(F16, x, "rz", *RANGE["u16"]) for x in halves]),
        ("m", "u16", [floats.to_integer(F16, x, "rm", *RANGE["s16"]) for x in halves]),
        ("p", "u32", [floats.to_integer(F16, x, "rp", *RANGE["u32"]) for x in halves]),
    ]
    yield each("cvt_f16_to_int", "cvt from f16 to integers in four directions", body, [("a", "u16", halves)], outs)


def integer_to_float():
    """Integers to f32 and f16 in every direction."""
    for mode in ("rn", "rz", "rm", "rp"):
        near = [(1 << 24) + 1, (1 << 24) + 3, 0x7FFFFFBF, 0x7FFFFFC0, 0xFFFFFF7F, 0xFFFFFF80, 0x01000002, 16777215]
        a = values.U32 + near + values.bits(f"cvt {mode}", 32, 20)
        wide = values.U64 + [(1 << 53) + 1, (1 << 40) + (1 << 16), (1 << 40) + 3 * (1 << 15)]
        wide += values.bits(f"cvt wide {mode}", 64, len(a) - len(wide))
        forms = (("u32", "%u, %a"), ("s32", "%s, %a"), ("u64", "%x, %w"), ("s64", "%y, %w"))
        body = "\n".join(f"cvt.{mode}.f32.{kind} {operands};" for kind, operands in forms)
        outs = [
            ("u", "u32", [floats.encode(F32, floats.Fraction(x), mode) for x in a]),
            ("s", "u32", [floats.encode(F32, floats.Fraction(number(x, "s32")), mode) for x in a]),
            ("x", "u32", [floats.encode(F32, floats.Fraction(x), mode) for x in wide]),
            ("y", "u32", [floats.encode(F32, floats.Fraction(number(x, "s64")), mode) for x in wide]),
        ]
        yield each(
            f"cvt_int_to_f32_{mode}",
            f"cvt.{mode}.f32 from integers that need rounding",
            body,
            [("a", "u32", a), ("w", "u64", wide)],
            outs,
        )
    a = values.U32 + [2049, 2051, 4098, 65504, 65519, 65520, 65536, 2**32 - 2049, 2**32 - 65520]
    small = [x & 0xFFFF for x in a]
    body = """
        cvt.rn.f16.s32 %s, %a;
        cvt.rn.f16.u32 %u, %a;
        cvt.rz.f16.u16 %h, %b;
        cvt.rn.f16.s16 %i, %b;
        cvt.rn.f32.u16 %f, %b;
        cvt.rn.f32.s8 %g, %b;"""
    encode = lambda x, mode="rn", fmt=F16: floats.encode(fmt, floats.Fraction(x), mode)  # noqa: E731
    outs = [
        ("s", "u16", [encode(number(x, "s32")) for x in a]),
        ("u", "u16", [encode(x) for x in a]),
        ("h", "u16", [encode(x, "rz") for x in small]),
        ("i", "u16", [encode(number(x, "s16")) for x in small]),
        ("f", "u32", [encode(x, fmt=F32) for x in small]),
        ("g", "u32", [encode((x & 0xFF) - (x & 0x80) * 2, fmt=F32) for x in small]),
    ]
    yield each(
        "cvt_int_to_f16",
        "cvt from integers to f16 past its greatest number is infinity or, cut, the greatest",
        body,
        [("a", "u32", a), ("b", "u16", small)],
        outs,
    )


def integral():
    """f32 to an integral f32, and `.sat`."""
    a = ORDERED + [0x7FC00000]
    body, outs = "", []
    for mode in ("rn", "rz", "rm", "rp"):
        body += f"cvt.{mode}i.f32.f32 %{mode}, %a;\n"
        expect = []
        for x in a:
            special = floats.is_nan(F32, x) or floats.is_infinite(F32, x)
            rounded = 0 if special else floats.to_integral(floats.value(F32, x), mode)
            plain = F32.nan if floats.is_nan(F32, x) else x
            expect.append(
                plain if special else floats.encode(F32, floats.Fraction(rounded), zero_sign=floats.negative(F32, x))
            )
        outs.append((mode, "u32", expect))
    yield each(
        "cvt_f32_integral", "cvt.rni .rzi .rmi .rpi.f32.f32 keep the sign of a zero", body, [("a", "u32", a)], outs
    )
    body = "cvt.sat.f32.f32 %r, %a;\ncvt.ftz.f32.f32 %z, %a;"
    a = [x for x in ORDERED if x != F32.sign]
    yield each(
        "cvt_f32_sat",
        "cvt.sat.f32.f32 clamps to [+0, 1]; cvt.ftz.f32.f32 flushes",
        body,
        [("a", "u32", a)],
        [("r", "u32", [floats.saturate(F32, x) for x in a]), ("z", "u32", [floats.flush(F32, x) for x in a])],
    )


def narrowing_sources(fmt):
    """f32 numbers at, beside and between the numbers of a narrower format, overflow and its subnormals included."""
    rng = values.generator(f"narrow {fmt.name}")
    a = list(values.F32)
    drop = 23 - fmt.fraction_bits
    for bits in [
        0,
        1,
        2,
        3,
        fmt.least_normal - 1,
        fmt.least_normal,
        fmt.infinity - 2,
        fmt.infinity - 1,
        0x3C00,
        0x3C01,
    ]:
        exact = floats.encode(F32, floats.value(fmt, bits))
        ulp = 1 << drop
        a += [
            exact,
            exact + 1,
            exact + ulp // 2,
            exact + ulp // 2 + 1,
            (exact + ulp // 2 - 1) | 0x80000000,
            exact + ulp - 1,
        ]
    a += [rng.randrange(fmt.least_normal << drop, 0x477FF000) | rng.getrandbits(1) << 31 for _ in range(40)]
    return [x for x in a if x & 0x7FFFFFFF <= F32.infinity or floats.is_nan(F32, x)]


def narrowing():
    """f32 to f16 and bf16, alone and in pairs."""
    for mode in ("rn", "rz", "rm", "rp"):
        a = narrowing_sources(F16)
        yield each(
            f"cvt_f32_to_f16_{mode}",
            f"cvt.{mode}.f16.f32: ties, subnormals, overflow, NaN",
            f"cvt.{mode}.f16.f32 %r, %a;",
            [("a", "u32", a)],
            [("r", "u16", [floats.convert(F32, F16, x, mode) for x in a])],
        )
    for mode in ("rn", "rz"):
        a = narrowing_sources(BF16)
        yield each(
            f"cvt_f32_to_bf16_{mode}",
            f"cvt.{mode}.bf16.f32: ties, subnormals, overflow, NaN",
            f"cvt.{mode}.bf16.f32 %r, %a;",
            [("a", "u32", a)],
            [("r", "u16", [floats.convert(F32, BF16, x, mode) for x in a])],
            80,
        )
        for fmt in (F16, BF16):
            a = narrowing_sources(fmt)
            b = a[::-1]
            expect = [floats.convert(F32, fmt, y, mode) | floats.convert(F32, fmt, x, mode) << 16 for x, y in zip(a, b)]
            yield each(
                f"cvt_f32_to_{fmt.name}x2_{mode}",
                f"cvt.{mode}.{fmt.name}x2.f32 puts a into the high half, b into the low",
                f"cvt.{mode}.{fmt.name}x2.f32 %r, %a, %b;",
                [("a", "u32", a), ("b", "u32", b)],
                [("r", "u32", expect)],
                80,
            )
    a = values.F32_FINITE + values.bits("ftz f16", 30, 30)
    body = "cvt.rp.ftz.f16.f32 %r, %a;\ncvt.rp.f16.f32 %s, %a;"
    yield each(
        "cvt_f32_to_f16_ftz",
        "cvt.ftz.f16.f32 takes a subnormal f32 for zero, and keeps subnormal f16",
        body,
        [("a", "u32", a)],
        [
            ("r", "u16", [floats.convert(F32, F16, x, "rp", ftz=True) for x in a]),
            ("s", "u16", [floats.convert(F32, F16, x, "rp") for x in a]),
        ],
    )


def widening():
    """f16 and bf16 to f32 are exact. A NaN stays a NaN; which one is open."""
    a = [x for x in values.F16 if not floats.is_nan(F16, x)] + [0x0002, 0x0200, 0x83F0, 0x3555, 0xC2B1]
    yield each(
        "cvt_f16_to_f32",
        "cvt.f32.f16 is exact, subnormals too",
        "cvt.f32.f16 %r, %a;",
        [("a", "u16", a)],
        [("r", "u32", [floats.convert(F16, F32, x) for x in a])],
    )
    a.remove(0x8000)
    yield each(
        "cvt_f16_to_f32_sat",
        "cvt.sat.f32.f16 clamps to [+0, 1]",
        "cvt.sat.f32.f16 %r, %a;",
        [("a", "u16", a)],
        [("r", "u32", [floats.convert(F16, F32, x, sat=True) for x in a])],
    )
    a = [x for x in values.BF16 if not floats.is_nan(BF16, x)] + [0x0002, 0x0040, 0x8070, 0x3EAB, 0xC149]
    yield each(
        "cvt_bf16_to_f32",
        "cvt.f32.bf16 is exact, subnormals too",
        "cvt.f32.bf16 %r, %a;",
        [("a", "u16", a)],
        [("r", "u32", [floats.convert(BF16, F32, x) for x in a])],
        90,
    )
    body = "mov.u16 %z, 0;\nmov.b32 %r, {%z, %a};"
    yield each(
        "cvt_bf16_to_f32_by_mov",
        "mov.b32 {0, x}: the way from bf16 to f32 before sm_90",
        body,
        [("a", "u16", a)],
        [("r", "u32", [x << 16 for x in a])],
        80,
        registers=".reg .b16 %z;",
    )
    nan16 = [0x7E00, 0x7C01, 0xFE55, 0x7FFF, 0x7BFF, 0x7C00]
    body = "cvt.f32.f16 %f, %a;\nsetp.nan.f32 %p, %f, %f;\nselp.u32 %r, 1, 0, %p;"
    yield each(
        "cvt_f16_nan",
        "cvt.f32.f16 of a NaN is a NaN",
        body,
        [("a", "u16", nan16)],
        [("r", "u32", [1, 1, 1, 1, 0, 0])],
        registers=".reg .pred %p;\n.reg .b32 %f;",
    )


def cases():
    """All of them."""
    for part in (saturated, float_to_integer, integer_to_float, integral, narrowing, widening):
        yield from part()

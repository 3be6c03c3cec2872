"""f16, bf16 and their pairs: one rounding, flushing, saturation, NaN, minima, comparisons."""

from . import floats, values
from .case import each
from .float32 import COMPARE, usable
from .floats import BF16, F16

EDGES = {F16: values.F16, BF16: values.BF16}
FINITE = {F16: values.F16_FINITE, BF16: values.BF16_FINITE}
# bf16: fma, min, max, neg and abs from sm_80, the rest from sm_90.
OLDEST = {F16: 75, BF16: 80}


def random_pairs(fmt, name, count=120):
    """Pairs of normal numbers whose exponents lie near each other, so that sums and products round."""
    rng = values.generator(f"{name} {fmt.name}")
    rows = []
    for _ in range(count):
        exponent = rng.randrange(fmt.bias - 6, fmt.bias + 6)
        other = exponent - rng.choice([0, 1, 3, fmt.fraction_bits, fmt.fraction_bits + 1, fmt.fraction_bits + 2])
        rows.append(
            tuple(
                max(e, 0) << fmt.fraction_bits | rng.getrandbits(fmt.fraction_bits) | rng.getrandbits(1) << 15
                for e in (exponent, other)
            )
        )
    return rows


def pack(lanes):
    """Halves as words, two by two."""
    assert len(lanes) % 2 == 0
    return [low | high << 16 for low, high in zip(lanes[::2], lanes[1::2])]


def both(name, about, op, fmt, rows, compute, target, scalar_too=True):
    """The scalar instruction, and its pair form on the same rows taken two by two."""
    rows = usable(compute, rows)
    rows = rows[: len(rows) // 2 * 2]
    expect = [compute(*row) for row in rows]
    names = "abc"[: len(rows[0])]
    operands = ", ".join(f"%{n}" for n in names)
    columns = values.columns(rows)
    suffix = op.replace(".", "_")
    if scalar_too:
        yield each(
            f"{fmt.name}_{suffix}",
            f"{op}.{fmt.name} {about}",
            f"{op}.{fmt.name} %r, {operands};",
            [(n, "u16", c) for n, c in zip(names, columns)],
            [("r", "u16", expect)],
            target,
        )
    yield each(
        f"{fmt.name}x2_{suffix}",
        f"{op}.{fmt.name}x2 does both halves: {about}",
        f"{op}.{fmt.name}x2 %r, {operands};",
        [(n, "u32", pack(c)) for n, c in zip(names, columns)],
        [("r", "u32", pack(expect))],
        target,
    )


def arithmetic():
    """add, sub and mul."""
    for fmt, target in ((F16, 75), (BF16, 90)):
        for op, compute in (("add", floats.add), ("sub", floats.sub), ("mul", floats.mul)):
            rows = list(zip(*values.pairs(EDGES[fmt][::2]))) + random_pairs(fmt, op)
            yield from both(
                op,
                "rounds once to nearest even and keeps subnormals",
                op + ".rn",
                fmt,
                rows,
                lambda x, y, c=compute, f=fmt: c(f, x, y),
                target,
            )
    for op, compute in (("add", floats.add), ("sub", floats.sub), ("mul", floats.mul)):
        rows = list(zip(*values.pairs(F16_SMALL))) + random_pairs(F16, op + " ftz", 60)
        yield from both(
            op,
            "flushes subnormal operands and results",
            op + ".rn.ftz",
            F16,
            rows,
            lambda x, y, c=compute: c(F16, x, y, ftz=True),
            75,
        )
        yield from both(
            op,
            "clamps to [+0, 1], NaN to +0",
            op + ".rn.sat",
            F16,
            rows,
            lambda x, y, c=compute: c(F16, x, y, sat=True),
            75,
            scalar_too=False,
        )


F16_SMALL = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x8401, 0x3C00, 0xBC00, 0x3801, 0x0C00, 0x7BFF, 0x7C00, 0x7E01]


def fused():
    """fma, where one rounding and two differ."""
    for fmt in (F16, BF16):
        rows = [(a, b, c) for (a, b), (c, _) in zip(random_pairs(fmt, "fma", 150), random_pairs(fmt, "fma c", 150))]
        near = [(a, b, floats.mul(fmt, a, b) ^ 0x8000) for a, b in random_pairs(fmt, "fma near", 50)]
        rows = list(zip(*values.triples(f"{fmt.name} fma", EDGES[fmt], 150))) + rows + near
        expect = [floats.fma(fmt, *row) for row in rows]
        twice = [floats.add(fmt, floats.mul(fmt, a, b), c) for a, b, c in rows]
        assert sum(x != y for x, y in zip(expect, twice)) > 20
        yield from both(
            "fma", "rounds once", "fma.rn", fmt, rows, lambda x, y, z, f=fmt: floats.fma(f, x, y, z), OLDEST[fmt]
        )
    rows = list(zip(*values.triples("f16 fma ftz", F16_SMALL, 160)))
    yield from both(
        "fma",
        "flushes subnormal operands and results",
        "fma.rn.ftz",
        F16,
        rows,
        lambda x, y, z: floats.fma(F16, x, y, z, ftz=True),
        75,
    )
    yield from both(
        "fma",
        "clamps to [+0, 1], NaN to +0",
        "fma.rn.sat",
        F16,
        rows,
        lambda x, y, z: floats.fma(F16, x, y, z, sat=True),
        75,
        scalar_too=False,
    )


def extremes():
    """min and max."""
    for fmt in (F16, BF16):
        rows = list(zip(*values.pairs(EDGES[fmt][:4] + EDGES[fmt][8:10] + EDGES[fmt][16:])))
        rows = rows[: len(rows) // 2 * 2]
        for op, compute in (("min", floats.minimum), ("max", floats.maximum)):
            yield from both(
                op,
                "takes the number beside a NaN; -0 is less than +0",
                op,
                fmt,
                rows,
                lambda x, y, c=compute, f=fmt: c(f, x, y),
                80,
            )
            yield from both(
                op,
                "gives the canonical NaN beside any NaN",
                op + ".NaN",
                fmt,
                rows,
                lambda x, y, c=compute, f=fmt: c(f, x, y, nan=True),
                80,
                scalar_too=False,
            )


def signs():
    """neg and abs; NaN is left out where its payload is open."""
    for fmt in (F16, BF16):
        a = [x for x in EDGES[fmt] if not floats.is_nan(fmt, x)]
        target = 75 if fmt is F16 else 80
        body = f"abs.{fmt.name} %m, %a;\nneg.{fmt.name} %n, %a;"
        yield each(
            f"{fmt.name}_abs_neg",
            f"abs.{fmt.name} and neg.{fmt.name} change the sign alone",
            body,
            [("a", "u16", a)],
            [("m", "u16", [x & 0x7FFF for x in a]), ("n", "u16", [x ^ 0x8000 for x in a])],
            target,
        )
        words = pack(a)
        body = f"abs.{fmt.name}x2 %m, %a;\nneg.{fmt.name}x2 %n, %a;"
        yield each(
            f"{fmt.name}x2_abs_neg",
            f"abs.{fmt.name}x2 and neg.{fmt.name}x2 change both signs alone",
            body,
            [("a", "u32", words)],
            [("m", "u32", [x & 0x7FFF7FFF for x in words]), ("n", "u32", [x ^ 0x80008000 for x in words])],
            target,
        )


def comparisons():
    """setp on halves and on pairs, set."""
    for fmt, target in ((F16, 75), (BF16, 90)):
        a, b = values.pairs(EDGES[fmt][:4] + EDGES[fmt][8:9] + EDGES[fmt][16:])
        body, expect = "mov.u32 %r, 0;\n", [0] * len(a)
        for i, op in enumerate(COMPARE):
            body += f"setp.{op}.{fmt.name} %p, %a, %b;\n@%p or.b32 %r, %r, {1 << i:#x};\n"
            expect = [e | int(floats.compare(fmt, op, x, y)) << i for e, x, y in zip(expect, a, b)]
        yield each(
            f"setp_{fmt.name}",
            f"setp on {fmt.name}: bit i of the result is operator i of {' '.join(COMPARE)}",
            body,
            [("a", "u16", a), ("b", "u16", b)],
            [("r", "u32", expect)],
            target,
            registers=".reg .pred %p;",
        )
        a, b = a[: len(a) // 2 * 2], b[: len(b) // 2 * 2]
        body, expect = "mov.u32 %r, 0;\n", [0] * (len(a) // 2)
        for i, op in enumerate(("eq", "ltu", "ge", "nan")):
            body += f"setp.{op}.{fmt.name}x2 %p|%q, %a, %b;\n"
            body += f"@%p or.b32 %r, %r, {1 << (2 * i)};\n@%q or.b32 %r, %r, {2 << (2 * i)};\n"
            for j in range(len(a)):
                expect[j // 2] |= int(floats.compare(fmt, op, a[j], b[j])) << (2 * i + j % 2)
        yield each(
            f"setp_{fmt.name}x2",
            f"setp.{fmt.name}x2 p|q: the low halves into p, the high ones into q",
            body,
            [("a", "u32", pack(a)), ("b", "u32", pack(b))],
            [("r", "u32", expect)],
            target,
            registers=".reg .pred %p, %q;",
        )
    a, b = values.pairs(values.F16[:4] + values.F16[8:9] + values.F16[16:22])
    a, b = a[:120], b[:120]
    one = [0x3C00 * floats.compare(F16, "le", x, y) for x, y in zip(a, b)]
    ones = [0xFFFF * floats.compare(F16, "gtu", x, y) for x, y in zip(a, b)]
    body = "set.le.f16x2.f16x2 %f, %a, %b;\nset.gtu.u32.f16x2 %u, %a, %b;"
    yield each(
        "set_f16x2",
        "set on f16x2: 1.0 or all ones in each half",
        body,
        [("a", "u32", pack(a)), ("b", "u32", pack(b))],
        [("f", "u32", pack(one)), ("u", "u32", pack(ones))],
    )


def cases():
    """All of them."""
    for part in (arithmetic, fused, extremes, signs, comparisons):
        yield from part()

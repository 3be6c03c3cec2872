"""f32 arithmetic: one rounding in each direction, flushing, saturation, NaN, minima, comparisons."""

from . import floats, values
from .case import each
from .floats import F32

MODES = ("rn", "rz", "rm", "rp")


def usable(compute, rows):
    """The rows whose result PTX fixes."""
    kept = []
    for row in rows:
        try:
            compute(*row)
        except floats.Unstated:
            continue
        kept.append(row)
    assert len(kept) * 5 > len(rows) * 4
    return kept


def ties(name, count=60):
    """Pairs whose sums and products need rounding, many of them ties or next to one."""
    rng = values.generator(name)
    rows = []
    for i in range(count):
        exponent = rng.randrange(60, 190)
        x = (exponent << 23 | rng.getrandbits(23)) | (rng.getrandbits(1) << 31)
        gap = rng.choice([1, 23, 24, 24, 25, 26])
        y = ((exponent - gap) << 23 | rng.choice([0, 1, 0x400000, 0x7FFFFF, rng.getrandbits(23)])) | (i % 2 << 31)
        rows.append((x, y))
    return rows


def two(name, about, op, compute, rows=None):
    """A case of `op d, a, b`."""
    if rows is None:
        rows = list(zip(*values.pairs(values.F32[::2] + values.F32[17:20]))) + ties(name)
    rows = usable(compute, rows)
    a, b = values.columns(rows)
    return each(
        name,
        about,
        f"{op} %r, %a, %b;",
        [("a", "u32", a), ("b", "u32", b)],
        [("r", "u32", [compute(*row) for row in rows])],
    )


def sums_and_products():
    """add, sub and mul in every direction, flushed, and clamped."""
    for op, compute in (("add", floats.add), ("sub", floats.sub), ("mul", floats.mul)):
        for mode in MODES:
            yield two(
                f"f32_{op}_{mode}",
                f"{op}.{mode}.f32 keeps subnormals",
                f"{op}.{mode}.f32",
                lambda x, y, c=compute, m=mode: c(F32, x, y, m),
            )
        for mode in ("rn", "rz"):
            yield two(
                f"f32_{op}_{mode}_ftz",
                f"{op}.{mode}.ftz.f32 flushes subnormal operands and results",
                f"{op}.{mode}.ftz.f32",
                lambda x, y, c=compute, m=mode: c(F32, x, y, m, ftz=True),
            )
        yield two(
            f"f32_{op}_sat",
            f"{op}.sat.f32 clamps to [+0, 1], NaN to +0",
            f"{op}.sat.f32",
            lambda x, y, c=compute: c(F32, x, y, sat=True),
        )
    yield two(
        "f32_mul_ftz_sat",
        "mul.ftz.sat.f32 flushes and clamps",
        "mul.ftz.sat.f32",
        lambda x, y: floats.mul(F32, x, y, ftz=True, sat=True),
    )


def fma_rows(name):
    """Triples of edges, products that an addend nearly cancels, and addends far below the product."""
    rng = values.generator(name)
    rows = list(zip(*values.triples(name, values.F32, 150)))
    for i in range(90):
        a, b = (rng.randrange(90, 160) << 23 | rng.getrandbits(23) for _ in range(2))
        product = floats.mul(F32, a, b)
        c = [product ^ 0x80000000, product - (rng.randrange(20, 50) << 23), (product ^ 0x80000000) + 1][i % 3]
        rows.append((a, b, c))
    return rows


def fused():
    """fma rounds once: what two roundings would lose is in the cases."""
    for suffix, ftz, sat in [(m, False, False) for m in MODES] + [
        ("rn.ftz", True, False),
        ("rz.ftz", True, False),
        ("rn.sat", False, True),
        ("rn.ftz.sat", True, True),
    ]:
        name = "f32_fma_" + suffix.replace(".", "_")
        mode = suffix[:2]
        compute = lambda x, y, z, m=mode, f=ftz, s=sat: floats.fma(F32, x, y, z, m, f, s)  # noqa: E731
        rows = usable(compute, fma_rows(name))
        expect = [compute(*row) for row in rows]
        if suffix == "rn":
            twice = [floats.add(F32, floats.mul(F32, x, y), z) for x, y, z in rows]
            assert sum(x != y for x, y in zip(expect, twice)) > 20
        a, b, c = values.columns(rows)
        yield each(
            name,
            f"fma.{suffix}.f32 rounds once",
            f"fma.{suffix}.f32 %r, %a, %b, %c;",
            [("a", "u32", a), ("b", "u32", b), ("c", "u32", c)],
            [("r", "u32", expect)],
        )
    rows = fma_rows("f32_mad_rn")
    a, b, c = values.columns(rows)
    yield each(
        "f32_mad_rn",
        "mad.rn.f32 is fma.rn.f32",
        "mad.rn.f32 %r, %a, %b, %c;",
        [("a", "u32", a), ("b", "u32", b), ("c", "u32", c)],
        [("r", "u32", [floats.fma(F32, *row) for row in rows])],
    )


def quotients():
    """div, rcp and sqrt as IEEE has them, in every direction."""
    rng = values.generator("f32 quotients")
    plain = [(rng.getrandbits(31), rng.getrandbits(31)) for _ in range(60)]
    rows = list(zip(*values.pairs(values.F32[::2] + values.F32[17:20]))) + [p for p in plain if max(p) < 0x7F800000]
    for mode in MODES:
        yield two(
            f"f32_div_{mode}",
            f"div.{mode}.f32 is IEEE division",
            f"div.{mode}.f32",
            lambda x, y, m=mode: floats.div(F32, x, y, m),
            rows=rows,
        )
        ones = values.F32 + values.bits(f"f32 {mode}", 31, 60)
        yield each(
            f"f32_rcp_{mode}",
            f"rcp.{mode}.f32 is 1/x rounded once",
            f"rcp.{mode}.f32 %r, %a;",
            [("a", "u32", ones)],
            [("r", "u32", [floats.div(F32, 0x3F800000, x, mode) for x in ones])],
        )
        yield each(
            f"f32_sqrt_{mode}",
            f"sqrt.{mode}.f32: -0 stays, negative is NaN",
            f"sqrt.{mode}.f32 %r, %a;",
            [("a", "u32", ones)],
            [("r", "u32", [floats.sqrt(F32, x, mode) for x in ones])],
        )
    yield two(
        "f32_div_rn_ftz",
        "div.rn.ftz.f32 flushes subnormal operands and results",
        "div.rn.ftz.f32",
        lambda x, y: floats.div(F32, x, y, ftz=True),
        rows=rows,
    )
    ones = values.F32 + values.bits("f32 ftz", 31, 60)
    reciprocal = lambda x: floats.div(F32, 0x3F800000, x, ftz=True)  # noqa: E731
    ones = [x for (x,) in usable(reciprocal, [(x,) for x in ones])]
    body = "rcp.rn.ftz.f32 %r, %a;\nsqrt.rn.ftz.f32 %s, %a;"
    yield each(
        "f32_rcp_sqrt_ftz",
        "rcp.rn.ftz.f32 and sqrt.rn.ftz.f32 flush",
        body,
        [("a", "u32", ones)],
        [("r", "u32", list(map(reciprocal, ones))), ("s", "u32", [floats.sqrt(F32, x, ftz=True) for x in ones])],
    )


def extremes():
    """min and max: a NaN loses, -0 is less than +0."""
    for op, compute in (("min", floats.minimum), ("max", floats.maximum)):
        rows = list(zip(*values.pairs(values.F32[:4] + values.F32[8:12] + values.F32[16:])))
        what = "takes the number beside a NaN, two NaN give the canonical one, -0 is less than +0"
        yield two(f"f32_{op}", f"{op}.f32 {what}", f"{op}.f32", lambda x, y, c=compute: c(F32, x, y), rows=rows)
        yield two(
            f"f32_{op}_ftz",
            f"{op}.ftz.f32 flushes subnormal operands",
            f"{op}.ftz.f32",
            lambda x, y, c=compute: c(F32, x, y, ftz=True),
            rows=rows,
        )
        case = two(
            f"f32_{op}_nan",
            f"{op}.NaN.f32 gives the canonical NaN beside any NaN",
            f"{op}.NaN.f32",
            lambda x, y, c=compute: c(F32, x, y, nan=True),
            rows=rows,
        )
        case.target = 80
        yield case


def signs():
    """abs, neg, copysign. NaN is left out where the manual leaves its payload open."""
    a = [x for x in values.F32 if not floats.is_nan(F32, x)] + values.bits("f32 signs", 30, 20)
    body = "abs.f32 %m, %a;\nneg.f32 %n, %a;\nabs.ftz.f32 %mf, %a;\nneg.ftz.f32 %nf, %a;"
    outs = [
        ("m", "u32", [x & 0x7FFFFFFF for x in a]),
        ("n", "u32", [x ^ 0x80000000 for x in a]),
        ("mf", "u32", [floats.flush(F32, x) & 0x7FFFFFFF for x in a]),
        ("nf", "u32", [floats.flush(F32, x) ^ 0x80000000 for x in a]),
    ]
    yield each("f32_abs_neg", "abs.f32 and neg.f32 change the sign alone; .ftz flushes", body, [("a", "u32", a)], outs)
    a, b = values.pairs(values.F32[:18])
    yield each(
        "f32_copysign",
        "copysign.f32 puts the sign of a on b",
        "copysign.f32 %r, %a, %b;",
        [("a", "u32", a), ("b", "u32", b)],
        [("r", "u32", [x & 0x80000000 | y & 0x7FFFFFFF for x, y in zip(a, b)])],
    )


COMPARE = ["eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"]


def comparisons():
    """setp on f32: ordered operators are false beside a NaN, the others true."""
    a, b = values.pairs(values.F32[:4] + values.F32[8:9] + values.F32[16:])
    for ftz in (False, True):
        body, expect = "mov.u32 %r, 0;\n", [0] * len(a)
        for i, op in enumerate(COMPARE):
            body += f"setp.{op}{'.ftz' * ftz}.f32 %p, %a, %b;\n@%p or.b32 %r, %r, {1 << i:#x};\n"
            expect = [e | int(floats.compare(F32, op, x, y, ftz)) << i for e, x, y in zip(expect, a, b)]
        about = f"setp{'.ftz' * ftz} on f32: bit i of the result is operator i of {' '.join(COMPARE)}"
        yield each(
            f"setp_f32{'_ftz' * ftz}",
            about,
            body,
            [("a", "u32", a), ("b", "u32", b)],
            [("r", "u32", expect)],
            registers=".reg .pred %p;",
        )
    body = "set.gtu.u32.f32 %u, %a, %b;\nset.le.f32.f32 %f, %a, %b;\nset.lt.ftz.u32.f32 %z, %a, %b;"
    outs = [
        ("u", "u32", [-int(floats.compare(F32, "gtu", *row)) for row in zip(a, b)]),
        ("f", "u32", [0x3F800000 * floats.compare(F32, "le", *row) for row in zip(a, b)]),
        ("z", "u32", [-int(floats.compare(F32, "lt", *row, ftz=True)) for row in zip(a, b)]),
    ]
    yield each("set_f32", "set compares f32 into all ones or 1.0", body, [("a", "u32", a), ("b", "u32", b)], outs)


def selection():
    """slct by the sign of a float, testp."""
    c = values.F32
    a, b = values.words(len(c), 3), values.words(len(c), 4)
    body = "slct.u32.f32 %r, %a, %b, %c;\nslct.ftz.u32.f32 %z, %a, %b, %c;"
    take = [floats.compare(F32, "ge", z, 0) for z in c]
    flushed = [floats.compare(F32, "ge", z, 0, ftz=True) for z in c]
    outs = [
        ("r", "u32", [x if t else y for x, y, t in zip(a, b, take)]),
        ("z", "u32", [x if t else y for x, y, t in zip(a, b, flushed)]),
    ]
    yield each(
        "slct_f32",
        "slct.f32: -0 selects a, NaN selects b, .ftz makes a negative subnormal -0",
        body,
        [("a", "u32", a), ("b", "u32", b), ("c", "u32", c)],
        outs,
    )
    tests = {
        "finite": lambda x: x & 0x7FFFFFFF < F32.infinity,
        "infinite": lambda x: floats.is_infinite(F32, x),
        "number": lambda x: not floats.is_nan(F32, x),
        "notanumber": lambda x: floats.is_nan(F32, x),
        # A zero counts as normal.
        "normal": lambda x: x & 0x7FFFFFFF < F32.infinity and not floats.is_subnormal(F32, x),
        "subnormal": lambda x: floats.is_subnormal(F32, x),
    }
    a = values.F32
    body = "mov.u32 %r, 0;\n"
    body += "".join(f"testp.{t}.f32 %p, %a;\n@%p or.b32 %r, %r, {1 << i};\n" for i, t in enumerate(tests))
    expect = [sum(int(test(x)) << i for i, test in enumerate(tests.values())) for x in a]
    yield each(
        "testp_f32",
        f"testp.f32: bit i of the result is test i of {' '.join(tests)}",
        body,
        [("a", "u32", a)],
        [("r", "u32", expect)],
        registers=".reg .pred %p;",
    )


def cases():
    """All of them."""
    for part in (sums_and_products, fused, quotients, extremes, signs, comparisons, selection):
        yield from part()

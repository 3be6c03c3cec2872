"""Integer arithmetic: wrapping, high halves, wide products, carries, counts, dot products' pieces."""

from . import values
from .case import each

WIDTHS = {"u16": 16, "s16": 16, "u32": 32, "s32": 32, "u64": 64, "s64": 64}


def signed(x, width):
    """Two's complement."""
    return x - (1 << width) if x >> (width - 1) else x


def number(x, kind):
    """The number that bits are in a type."""
    return signed(x, WIDTHS[kind]) if kind[0] == "s" else x


def storage(kind):
    """The unsigned type that is loaded and stored for a type."""
    return f"u{WIDTHS[kind]}"


def two(name, about, op, kind, compute, wide=False):
    """A case of `op d, a, b` over all pairs of edges."""
    a, b = values.pairs(values.EDGES[storage(kind)])
    width = WIDTHS[kind] * (2 if wide else 1)
    expect = [compute(number(x, kind), number(y, kind)) % (1 << width) for x, y in zip(a, b)]
    ins = [("a", storage(kind), a), ("b", storage(kind), b)]
    return each(name, about, f"{op} %r, %a, %b;", ins, [("r", f"u{width}", expect)])


def add_sub_mul():
    """Sums, differences and products of every width."""
    yield two("int_add_u16", "add.u16 wraps", "add.u16", "u16", lambda x, y: x + y)
    yield two("int_add_s32", "add.s32 wraps at both ends", "add.s32", "s32", lambda x, y: x + y)
    yield two("int_add_s64", "add.s64 wraps at both ends", "add.s64", "s64", lambda x, y: x + y)
    yield two("int_sub_s16", "sub.s16 wraps", "sub.s16", "s16", lambda x, y: x - y)
    yield two("int_sub_u32", "sub.u32 wraps below zero", "sub.u32", "u32", lambda x, y: x - y)
    yield two("int_sub_s64", "sub.s64 wraps", "sub.s64", "s64", lambda x, y: x - y)
    yield two("int_mul_lo_u16", "mul.lo.u16 keeps the low half", "mul.lo.u16", "u16", lambda x, y: x * y)
    yield two("int_mul_lo_s32", "mul.lo.s32 keeps the low half", "mul.lo.s32", "s32", lambda x, y: x * y)
    yield two("int_mul_lo_s64", "mul.lo.s64 keeps the low half", "mul.lo.s64", "s64", lambda x, y: x * y)
    yield two("int_mul_hi_u32", "mul.hi.u32 is the high half of 64 bits", "mul.hi.u32", "u32", lambda x, y: x * y >> 32)
    yield two("int_mul_hi_s32", "mul.hi.s32 is signed", "mul.hi.s32", "s32", lambda x, y: x * y >> 32)
    yield two(
        "int_mul_hi_u64", "mul.hi.u64 is the high half of 128 bits", "mul.hi.u64", "u64", lambda x, y: x * y >> 64
    )
    yield two("int_mul_hi_s64", "mul.hi.s64 is signed", "mul.hi.s64", "s64", lambda x, y: x * y >> 64)
    yield two("int_mul_hi_s16", "mul.hi.s16 is signed", "mul.hi.s16", "s16", lambda x, y: x * y >> 16)
    yield two("int_mul_wide_u16", "mul.wide.u16 gives 32 bits", "mul.wide.u16", "u16", lambda x, y: x * y, wide=True)
    yield two("int_mul_wide_s16", "mul.wide.s16 extends the sign", "mul.wide.s16", "s16", lambda x, y: x * y, wide=True)
    yield two("int_mul_wide_u32", "mul.wide.u32 gives 64 bits", "mul.wide.u32", "u32", lambda x, y: x * y, wide=True)
    yield two("int_mul_wide_s32", "mul.wide.s32 extends the sign", "mul.wide.s32", "s32", lambda x, y: x * y, wide=True)


def saturating():
    """`.sat` of signed 32 bits."""
    low, high = -(1 << 31), (1 << 31) - 1
    clamp = lambda x: min(max(x, low), high)  # noqa: E731
    yield two("int_add_sat_s32", "add.sat.s32 stops at both ends", "add.sat.s32", "s32", lambda x, y: clamp(x + y))
    yield two("int_sub_sat_s32", "sub.sat.s32 stops at both ends", "sub.sat.s32", "s32", lambda x, y: clamp(x - y))


def extremes():
    """`min` and `max` by type: the same bits are another order when signed."""
    for kind in ("u16", "s16", "u32", "s32", "u64", "s64"):
        order = "signed" if kind[0] == "s" else "unsigned"
        yield two(f"int_min_{kind}", f"min.{kind} compares {order}", f"min.{kind}", kind, min)
        yield two(f"int_max_{kind}", f"max.{kind} compares {order}", f"max.{kind}", kind, max)


def mad():
    """Multiply and add."""
    forms = [
        ("mad.lo.s32", "s32", 32, lambda x, y, z: x * y + z, "keeps the low half of the product"),
        ("mad.lo.u32", "u32", 32, lambda x, y, z: x * y + z, "keeps the low half of the product"),
        ("mad.hi.u32", "u32", 32, lambda x, y, z: (x * y >> 32) + z, "adds to the high half"),
        ("mad.hi.s32", "s32", 32, lambda x, y, z: (x * y >> 32) + z, "adds to the signed high half"),
        ("mad.lo.s64", "s64", 64, lambda x, y, z: x * y + z, "wraps at 64 bits"),
        ("mad.lo.u16", "u16", 16, lambda x, y, z: x * y + z, "wraps at 16 bits"),
    ]
    for op, kind, width, compute, what in forms:
        name = "int_" + op.replace(".", "_")
        a, b, c = values.triples(name, values.EDGES[storage(kind)])
        expect = [compute(*(number(x, kind) for x in row)) % (1 << width) for row in zip(a, b, c)]
        ins = [(buffer, storage(kind), column) for buffer, column in zip("abc", (a, b, c))]
        yield each(name, f"{op} {what}", f"{op} %r, %a, %b, %c;", ins, [("r", storage(kind), expect)])


def mad_wide():
    """A 64-bit sum with a 32-bit product, as address arithmetic uses it."""
    for kind in ("u32", "s32", "u16", "s16"):
        name, width = f"int_mad_wide_{kind}", 2 * WIDTHS[kind]
        a, b, _ = values.triples(name, values.EDGES[storage(kind)])
        c = values.bits(name, width, len(a))
        expect = [(number(x, kind) * number(y, kind) + z) % (1 << width) for x, y, z in zip(a, b, c)]
        ins = [("a", storage(kind), a), ("b", storage(kind), b), ("c", f"u{width}", c)]
        about = f"mad.wide.{kind}: the product is whole, the sum wraps"
        yield each(name, about, f"mad.wide.{kind} %r, %a, %b, %c;", ins, [("r", f"u{width}", expect)])


def division():
    """Quotients and remainders by anything but zero, where PTX leaves the result open."""
    for kind in ("u32", "s32", "u64", "s64", "u16", "s16"):
        width = WIDTHS[kind]
        least = -(1 << (width - 1))
        edges = values.EDGES[storage(kind)]
        rows = [(x, y) for x in edges for y in edges if y and (number(x, kind), number(y, kind)) != (least, -1)]
        a, b = values.columns(rows)
        quotient, remainder = [], []
        for x, y in zip(a, b):
            x, y = number(x, kind), number(y, kind)
            q = abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
            quotient.append(q % (1 << width))
            remainder.append((x - q * y) % (1 << width))
        ins = [("a", storage(kind), a), ("b", storage(kind), b)]
        outs = [("q", storage(kind), quotient), ("r", storage(kind), remainder)]
        body = f"div.{kind} %q, %a, %b;\nrem.{kind} %r, %a, %b;"
        yield each(
            f"int_div_rem_{kind}", f"div.{kind} cuts towards zero; rem.{kind} takes the sign of a", body, ins, outs
        )


def one(name, about, op, kind, result, compute, extra=()):
    """A case of `op d, a` over edges and random bits."""
    width = WIDTHS[kind]
    a = values.EDGES[storage(kind)] + [1 << i for i in range(0, width, 5)] + values.bits(name, width, 20) + list(extra)
    expect = [compute(x) % (1 << int(result[1:])) for x in a]
    return each(name, about, f"{op} %r, %a;", [("a", storage(kind), a)], [("r", result, expect)])


def find(x, width, is_signed, shift):
    """`bfind`: the highest bit that is not a sign bit."""
    if is_signed and x >> (width - 1):
        x = ~x % (1 << width)
    if x == 0:
        return -1
    return width - x.bit_length() if shift else x.bit_length() - 1


def single():
    """Instructions of one operand."""
    for width in (16, 32, 64):
        kind = f"s{width}"
        yield one(
            f"int_abs_{kind}",
            f"abs.{kind} leaves the least value as it is",
            f"abs.{kind}",
            kind,
            f"u{width}",
            lambda x, w=width: abs(signed(x, w)),
        )
        yield one(
            f"int_neg_{kind}",
            f"neg.{kind} leaves the least value as it is",
            f"neg.{kind}",
            kind,
            f"u{width}",
            lambda x: -x,
        )
    for width in (32, 64):
        u = f"u{width}"
        yield one(
            f"int_clz_b{width}",
            f"clz.b{width} of zero is {width}",
            f"clz.b{width}",
            u,
            "u32",
            lambda x, w=width: w - x.bit_length(),
        )
        yield one(
            f"int_popc_b{width}", f"popc.b{width} counts ones", f"popc.b{width}", u, "u32", lambda x: x.bit_count()
        )
        yield one(
            f"int_brev_b{width}",
            f"brev.b{width} turns the bits round",
            f"brev.b{width}",
            u,
            u,
            lambda x, w=width: int(f"{x:0{w}b}"[::-1], 2),
        )
        for kind in (f"u{width}", f"s{width}"):
            sign = kind[0] == "s"
            yield one(
                f"int_bfind_{kind}",
                f"bfind.{kind}: the highest bit that is not a sign; all ones where there is none",
                f"bfind.{kind}",
                kind,
                "u32",
                lambda x, w=width, s=sign: find(x, w, s, False),
            )
        yield one(
            f"int_bfind_shiftamt_u{width}",
            f"bfind.shiftamt.u{width}: how far to shift that bit to the top",
            f"bfind.shiftamt.u{width}",
            u,
            "u32",
            lambda x, w=width: find(x, w, False, True),
        )


def carries():
    """Carry and borrow chains."""
    a, b = values.pairs(values.U64)
    low, high = (lambda x: x % (1 << 32)), (lambda x: x >> 32)
    ins = [
        ("al", "u32", list(map(low, a))),
        ("ah", "u32", list(map(high, a))),
        ("bl", "u32", list(map(low, b))),
        ("bh", "u32", list(map(high, b))),
    ]
    sums = [x + y for x, y in zip(a, b)]
    body = "add.cc.u32 %rl, %al, %bl;\naddc.cc.u32 %rh, %ah, %bh;\naddc.u32 %rc, 0, 0;"
    outs = [
        ("rl", "u32", [s % (1 << 32) for s in sums]),
        ("rh", "u32", [s >> 32 & 0xFFFFFFFF for s in sums]),
        ("rc", "u32", [s >> 64 for s in sums]),
    ]
    yield each("int_add_carry", "add.cc, addc.cc and addc carry a 64-bit sum into a third word", body, ins, outs)
    differences = [(x - y) % (1 << 96) for x, y in zip(a, b)]
    body = "sub.cc.u32 %rl, %al, %bl;\nsubc.cc.u32 %rh, %ah, %bh;\nsubc.u32 %rc, 0, 0;"
    outs = [
        ("rl", "u32", [d % (1 << 32) for d in differences]),
        ("rh", "u32", [d >> 32 & 0xFFFFFFFF for d in differences]),
        ("rc", "u32", [d >> 64 for d in differences]),
    ]
    yield each("int_sub_borrow", "sub.cc, subc.cc and subc borrow through a third word", body, ins, outs)
    products = [x * y % (1 << 64) for x, y in zip(a, b)]
    body = """
        mul.lo.u32 %rl, %al, %bl;
        mul.hi.u32 %rh, %al, %bl;
        mad.lo.cc.u32 %rh, %al, %bh, %rh;
        madc.hi.u32 %s, %al, %bh, 0;
        mad.lo.cc.u32 %rh, %ah, %bl, %rh;
        madc.hi.u32 %s, %ah, %bl, %s;"""
    third = []
    for x, y in zip(a, b):
        xl, xh, yl, yh = x % (1 << 32), x >> 32, y % (1 << 32), y >> 32
        first = (xl * yl >> 32) + (xl * yh % (1 << 32))
        second = first % (1 << 32) + xh * yl % (1 << 32)
        third.append((xl * yh >> 32) + (first >> 32) + (xh * yl >> 32) + (second >> 32) & 0xFFFFFFFF)
    outs = [
        ("rl", "u32", [p % (1 << 32) for p in products]),
        ("rh", "u32", [p >> 32 for p in products]),
        ("s", "u32", third),
    ]
    yield each("int_mad_carry", "mad.lo.cc and madc.hi carry between the words of a product", body, ins, outs)


def wide_carries():
    """Carry and borrow between 64-bit words, as compilers write 128-bit integers."""
    al, ah = values.pairs(values.U64)
    bl, bh = al[7:] + al[:7], values.bits("wide carries", 64, len(al))
    bh[: len(values.U64)] = [~x for x in ah[: len(values.U64)]]
    for op, about, compute in (("add", "carry", lambda x, y: x + y), ("sub", "borrow", lambda x, y: x - y)):
        body = f"{op}.cc.s64 %rl, %al, %bl;\n{op}c.cc.s64 %rh, %ah, %bh;\n{op}c.s64 %rc, 0, 0;"
        results = [compute(xl | xh << 64, yl | (yh % (1 << 64)) << 64) for xl, xh, yl, yh in zip(al, ah, bl, bh)]
        yield each(
            f"int_{op}_{about}_64",
            f"{op}.cc.s64, {op}c.cc.s64 and {op}c.s64 {about} through three words",
            body,
            [("al", "u64", al), ("ah", "u64", ah), ("bl", "u64", bl), ("bh", "u64", bh)],
            [
                ("rl", "u64", [r % (1 << 64) for r in results]),
                ("rh", "u64", [r >> 64 & (1 << 64) - 1 for r in results]),
                ("rc", "u64", [r >> 128 for r in results]),
            ],
        )


def cases():
    """All of them."""
    for part in (add_sub_mul, saturating, extremes, mad, mad_wide, division, single, carries, wide_carries):
        yield from part()

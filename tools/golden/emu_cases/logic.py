"""Bits: logic, shifts past the width, fields, bytes, selection, comparison of integers, predicates, moves."""

from . import values
from .case import each, out
from .integer import number, signed, storage

COMPARE = {
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    "lo": lambda x, y: x < y,
    "ls": lambda x, y: x <= y,
    "hi": lambda x, y: x > y,
    "hs": lambda x, y: x >= y,
}


def bitwise():
    """and, or, xor, not, cnot."""
    for width in (16, 32, 64):
        kind, full = f"u{width}", (1 << width) - 1
        a, b = values.pairs(values.EDGES[kind])
        body = "\n".join(f"{op}.b{width} %{out}, %a, %b;" for op, out in (("and", "n"), ("or", "o"), ("xor", "x")))
        body += f"\nnot.b{width} %i, %a;\ncnot.b{width} %c, %a;"
        outs = [
            ("n", kind, [x & y for x, y in zip(a, b)]),
            ("o", kind, [x | y for x, y in zip(a, b)]),
            ("x", kind, [x ^ y for x, y in zip(a, b)]),
            ("i", kind, [x ^ full for x in a]),
            ("c", kind, [int(x == 0) for x in a]),
        ]
        yield each(
            f"bit_logic_b{width}",
            f"and, or, xor, not and cnot of b{width}",
            body,
            [("a", kind, a), ("b", kind, b)],
            outs,
        )


def lop3_of(lut, a, b, c):
    """Each result bit is the table's bit at (a, b, c)."""
    return sum((lut >> ((a >> i & 1) << 2 | (b >> i & 1) << 1 | (c >> i & 1)) & 1) << i for i in range(32))


def lop3():
    """All of 256 tables in four files."""
    a, b, c = 0xF0F1A5C3, 0xCC3355F0, 0xAA0FC396
    for first in range(0, 256, 64):
        luts = range(first, first + 64)
        body = "\n".join(
            f"lop3.b32 %v, %a, %b, %c, {lut:#x};\nst.global.b32 [%to+{4 * i}], %v;" for i, lut in enumerate(luts)
        )
        body = "ld.param.u64 %to, [v];\ncvta.to.global.u64 %to, %to;\nmad.wide.u32 %to, %t, 256, %to;\n" + body
        rows = [(a, b, c), (~a % (1 << 32), c, b)]
        case = each(
            f"bit_lop3_{first:02x}",
            f"lop3.b32 with every table from {first:#04x} to {first + 63:#04x}",
            body,
            [(n, "u32", list(column)) for n, column in zip("abc", zip(*rows))],
            [],
            registers=".reg .b32 %v;\n.reg .b64 %to;",
        )
        case.buffers.append(out("v", "u32", [lop3_of(lut, *row) for row in rows for lut in luts]))
        yield case


SHIFTS = [0, 1, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 0x80000000, 0xFFFFFFFF]


def shifts():
    """Shifts clamp at the width: the amount is unsigned and never wraps."""
    for op, kind in (
        ("shl.b16", "u16"),
        ("shl.b32", "u32"),
        ("shl.b64", "u64"),
        ("shr.u16", "u16"),
        ("shr.s16", "s16"),
        ("shr.u32", "u32"),
        ("shr.s32", "s32"),
        ("shr.u64", "u64"),
        ("shr.s64", "s64"),
    ):
        width = int(kind[1:])
        a, b = values.columns((x, s) for x in values.EDGES[storage(kind)] for s in SHIFTS)
        if op.startswith("shl"):
            expect = [(x << min(s, width)) % (1 << width) for x, s in zip(a, b)]
        else:
            expect = [(number(x, kind) >> min(s, width)) % (1 << width) for x, s in zip(a, b)]
        fill = "signs" if kind[0] == "s" else "zeros"
        yield each(
            "bit_" + op.replace(".", "_"),
            f"{op} past the width gives {fill}",
            f"{op} %r, %a, %b;",
            [("a", storage(kind), a), ("b", "u32", b)],
            [("r", storage(kind), expect)],
        )


def funnel():
    """shf: a window of 64 bits, the amount wrapped or clamped."""
    rows = [(x, y, s) for x in values.U32[4::5] for y in values.U32[2::5] for s in SHIFTS]
    a, b, c = values.columns(rows)
    for side in "lr":
        for mode in ("wrap", "clamp"):
            expect = []
            for low, high, amount in rows:
                n = amount & 31 if mode == "wrap" else min(amount, 32)
                wide = high << 32 | low
                expect.append((wide << n >> 32 if side == "l" else wide >> n) % (1 << 32))
            yield each(
                f"bit_shf_{side}_{mode}",
                f"shf.{side}.{mode}.b32: amounts from 0 past 32",
                f"shf.{side}.{mode}.b32 %r, %a, %b, %c;",
                [("a", "u32", a), ("b", "u32", b), ("c", "u32", c)],
                [("r", "u32", expect)],
            )


PLACES = [
    (0, 0),
    (0, 1),
    (0, 8),
    (3, 5),
    (8, 8),
    (16, 16),
    (24, 8),
    (28, 8),
    (31, 1),
    (31, 4),
    (32, 1),
    (40, 4),
    (0, 32),
    (0, 40),
    (4, 255),
    (255, 255),
    (60, 8),
    (63, 1),
    (0, 64),
    (0x100, 0x108),
    (0x1FF, 4),
]


def extract(x, position, length, width, is_signed):
    """bfe, as the manual's loop writes it. Position and length are bytes."""
    position, length, top = position & 0xFF, length & 0xFF, width - 1
    fill = x >> min(position + length - 1, top) & 1 if is_signed and length else 0
    return sum((x >> (position + i) & 1 if i < length and position + i <= top else fill) << i for i in range(width))


def insert(a, b, position, length, width):
    """bfi, as the manual's loop writes it."""
    position, length = position & 0xFF, length & 0xFF
    for i in range(length):
        if position + i < width:
            b = b & ~(1 << (position + i)) | (a >> i & 1 if i < width else 0) << (position + i)
    return b


def fields():
    """Bit fields that lie inside, reach past, and start past the top."""
    for kind in ("u32", "s32", "u64", "s64"):
        width = int(kind[1:])
        xs = (
            [0x89ABCDEF, 0x76543210, 0xFFFFFFFF, 0x80000000]
            if width == 32
            else values.U64[-2:] + [1 << 63, (1 << 64) - 1]
        )
        a, b, c = values.columns((x, p, n) for x in xs for p, n in PLACES)
        expect = [extract(*row, width, kind[0] == "s") for row in zip(a, b, c)]
        yield each(
            f"bit_bfe_{kind}",
            f"bfe.{kind} past the top fills with {'the sign' if kind[0] == 's' else 'zeros'}",
            f"bfe.{kind} %r, %a, %b, %c;",
            [("a", storage(kind), a), ("b", "u32", b), ("c", "u32", c)],
            [("r", storage(kind), expect)],
        )
    for width in (32, 64):
        kind = f"u{width}"
        full = (1 << width) - 1
        rows = [
            (x & full, y & full, p, n)
            for x, y in ((0x0123456789ABCDEF, 0), (full, 0x5555555555555555), (0, full))
            for p, n in PLACES
        ]
        a, b, c, d = values.columns(rows)
        yield each(
            f"bit_bfi_b{width}",
            f"bfi.b{width} drops what reaches past the top",
            f"bfi.b{width} %r, %a, %b, %c, %d;",
            [("a", kind, a), ("b", kind, b), ("c", "u32", c), ("d", "u32", d)],
            [("r", kind, [insert(*row, width) for row in rows])],
        )


# Result bytes 3, 2, 1, 0 by the two low bits of the selector.
PRMT = {
    "f4e": [(3, 2, 1, 0), (4, 3, 2, 1), (5, 4, 3, 2), (6, 5, 4, 3)],
    "b4e": [(5, 6, 7, 0), (6, 7, 0, 1), (7, 0, 1, 2), (0, 1, 2, 3)],
    "rc8": [(0, 0, 0, 0), (1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3)],
    "ecl": [(3, 2, 1, 0), (3, 2, 1, 1), (3, 2, 2, 2), (3, 3, 3, 3)],
    "ecr": [(0, 0, 0, 0), (1, 1, 1, 0), (2, 2, 1, 0), (3, 2, 1, 0)],
    "rc16": [(1, 0, 1, 0), (3, 2, 3, 2), (1, 0, 1, 0), (3, 2, 3, 2)],
}


def prmt_byte(a, b, selector):
    """A byte of {b, a}, or its sign eight times."""
    byte = (b << 32 | a) >> (8 * (selector & 7)) & 0xFF
    return (0xFF if byte & 0x80 else 0) if selector & 8 else byte


def prmt():
    """Any bytes, their signs, and the six fixed patterns."""
    a, b = 0x8367F1A5, 0x04D2B97E
    selectors = [
        0x3210,
        0x7654,
        0x5410,
        0x7632,
        0x0123,
        0x4567,
        0x0000,
        0x7777,
        0xBA98,
        0xFEDC,
        0x8888,
        0xF1C3,
        0x9182,
        0xFFFF3210,
        0x00019999,
        0x0821,
    ]
    expect = [sum(prmt_byte(a, b, s >> (4 * i) & 15) << (8 * i) for i in range(4)) for s in selectors]
    count = len(selectors)
    ins = [("a", "u32", [a] * count), ("b", "u32", [b] * count), ("c", "u32", selectors)]
    yield each(
        "bit_prmt",
        "prmt.b32 picks bytes; bit 3 of a selector spreads the byte's sign",
        "prmt.b32 %r, %a, %b, %c;",
        ins,
        [("r", "u32", expect)],
    )
    selectors = [0, 1, 2, 3, 4, 7, 0xFFFFFFFE]
    ins = [("a", "u32", [a] * 7), ("b", "u32", [b] * 7), ("c", "u32", selectors)]
    body, outs = "", []
    for mode, table in PRMT.items():
        body += f"prmt.b32.{mode} %{mode}, %a, %b, %c;\n"
        picked = [table[s & 3] for s in selectors]
        outs.append(
            (mode, "u32", [sum(prmt_byte(a, b, s) << (8 * (3 - i)) for i, s in enumerate(row)) for row in picked])
        )
    yield each(
        "bit_prmt_modes", "prmt.b32 .f4e .b4e .rc8 .ecl .ecr .rc16 use two bits of the selector", body, ins, outs
    )


def comparisons():
    """setp on integers, every operator."""
    for kind in ("u16", "s16", "u32", "s32", "u64", "s64"):
        ops = ["eq", "ne", "lt", "le", "gt", "ge"] + (["lo", "ls", "hi", "hs"] if kind[0] == "u" else [])
        a, b = values.pairs(values.EDGES[storage(kind)])
        body, expect = "mov.u32 %r, 0;\n", [0] * len(a)
        for i, op in enumerate(ops):
            body += f"setp.{op}.{kind} %p, %a, %b;\n@%p or.b32 %r, %r, {1 << i:#x};\n"
            truth = [COMPARE[op](number(x, kind), number(y, kind)) for x, y in zip(a, b)]
            expect = [e | int(t) << i for e, t in zip(expect, truth)]
        yield each(
            f"setp_{kind}",
            f"setp on {kind}: bit i of the result is operator i of {' '.join(ops)}",
            body,
            [("a", storage(kind), a), ("b", storage(kind), b)],
            [("r", "u32", expect)],
            registers=".reg .pred %p;",
        )
    yield from combined()


def combined():
    """setp with two results and a third predicate."""
    a, b = values.pairs(values.U32[:12])
    third = [(x ^ y) & 1 for x, y in zip(a, b)]
    body, expect = "setp.ne.b32 %c0, %c, 0;\nmov.u32 %r, 0;\n", [0] * len(a)
    at = 0
    for op in ("and", "or", "xor"):
        for negated in (False, True):
            body += f"setp.lt.{op}.s32 %p|%q, %a, %b, {'!' if negated else ''}%c0;\n"
            body += f"@%p or.b32 %r, %r, {1 << at:#x};\n@%q or.b32 %r, %r, {2 << at:#x};\n"
            for i, (x, y, z) in enumerate(zip(a, b, third)):
                t, z = signed(x, 32) < signed(y, 32), bool(z) != negated
                join = {"and": lambda u, v: u and v, "or": lambda u, v: u or v, "xor": lambda u, v: u != v}[op]
                expect[i] |= int(join(t, z)) << at | int(join(not t, z)) << (at + 1)
            at += 2
    yield each(
        "setp_two_results",
        "setp p|q with and, or, xor of a third: q joins the negated comparison",
        body,
        [("a", "u32", a), ("b", "u32", b), ("c", "u32", third)],
        [("r", "u32", expect)],
        registers=".reg .pred %p, %q, %c0;",
    )


def predicates():
    """Logic on predicates and instructions under a guard."""
    a = list(range(8))
    body = """
        and.b32 %x, %a, 1;
        setp.ne.u32 %p, %x, 0;
        and.b32 %x, %a, 2;
        setp.ne.u32 %q, %x, 0;
        and.b32 %x, %a, 4;
        setp.ne.u32 %s, %x, 0;
        mov.u32 %r, 0;
        and.pred %d, %p, %q;
        @%d or.b32 %r, %r, 1;
        or.pred %d, %p, %s;
        @%d or.b32 %r, %r, 2;
        xor.pred %d, %q, %s;
        @%d or.b32 %r, %r, 4;
        not.pred %d, %p;
        @%d or.b32 %r, %r, 8;
        mov.pred %d, %q;
        @!%d or.b32 %r, %r, 16;
        setp.eq.u32 %d, 1, 1;
        @!%d or.b32 %r, %r, 32;
        @%d or.b32 %r, %r, 64;"""
    expect = []
    for x in a:
        p, q, s = bool(x & 1), bool(x & 2), bool(x & 4)
        truth = [p and q, p or s, q != s, not p, not q, False, True]
        expect.append(sum(int(t) << i for i, t in enumerate(truth)))
    yield each(
        "pred_logic",
        "and, or, xor, not and mov of predicates, and guards",
        body,
        [("a", "u32", a)],
        [("r", "u32", expect)],
        registers=".reg .pred %p, %q, %s, %d;\n.reg .b32 %x;",
    )


def selection():
    """selp, slct, set."""
    for width in (16, 32, 64):
        kind = f"u{width}"
        a, b = values.bits(f"selp a {width}", width, 40), values.bits(f"selp b {width}", width, 40)
        c = [i * 7 % 3 % 2 for i in range(40)]
        body = f"setp.eq.u32 %p, %c, 1;\nselp.b{width} %r, %a, %b, %p;"
        yield each(
            f"bit_selp_b{width}",
            f"selp.b{width} takes a where the predicate holds",
            body,
            [("a", kind, a), ("b", kind, b), ("c", "u32", c)],
            [("r", kind, [x if z else y for x, y, z in zip(a, b, c)])],
            registers=".reg .pred %p;",
        )
    a, b, c = values.words(15, 1), values.words(15, 2), values.U32
    yield each(
        "bit_slct_s32",
        "slct.u32.s32 takes a where c is not negative",
        "slct.u32.s32 %r, %a, %b, %c;",
        [("a", "u32", a), ("b", "u32", b), ("c", "u32", c)],
        [("r", "u32", [x if signed(z, 32) >= 0 else y for x, y, z in zip(a, b, c)])],
    )
    a, b = values.pairs(values.U32[:13])
    body = "set.lt.u32.s32 %u, %a, %b;\nset.hi.u32.u32 %s, %a, %b;\nset.ne.f32.u32 %f, %a, %b;"
    outs = [
        ("u", "u32", [-int(signed(x, 32) < signed(y, 32)) for x, y in zip(a, b)]),
        ("s", "u32", [-int(x > y) for x, y in zip(a, b)]),
        ("f", "u32", [0x3F800000 * (x != y) for x, y in zip(a, b)]),
    ]
    yield each(
        "bit_set",
        "set gives all ones for an integer result, 1.0 for a float",
        body,
        [("a", "u32", a), ("b", "u32", b)],
        outs,
    )


def moves():
    """mov that packs and takes apart."""
    lo, hi = values.bits("pack lo", 16, 33), values.bits("pack hi", 16, 33)
    yield each(
        "mov_pack_b32",
        "mov.b32 packs two halves, the first lowest",
        "mov.b32 %r, {%l, %h};",
        [("l", "u16", lo), ("h", "u16", hi)],
        [("r", "u32", [x | y << 16 for x, y in zip(lo, hi)])],
    )
    a = values.bits("unpack", 32, 33)
    body = "mov.b32 {%l, %h}, %a;\nmov.b32 {_, %k}, %a;"
    yield each(
        "mov_unpack_b32",
        "mov.b32 takes two halves apart; `_` throws one away",
        body,
        [("a", "u32", a)],
        [("l", "u16", [x & 0xFFFF for x in a]), ("h", "u16", [x >> 16 for x in a]), ("k", "u16", [x >> 16 for x in a])],
    )
    lo, hi = values.bits("pack64 lo", 32, 33), values.bits("pack64 hi", 32, 33)
    yield each(
        "mov_pack_b64",
        "mov.b64 packs two words, and four halves",
        "mov.b64 %r, {%l, %h};\nmov.b32 {%e, %f}, %l;\nmov.b64 %q, {%f, %e, %e, %f};",
        [("l", "u32", lo), ("h", "u32", hi)],
        [
            ("r", "u64", [x | y << 32 for x, y in zip(lo, hi)]),
            ("q", "u64", [(x >> 16) * 0x1000000000001 | (x & 0xFFFF) * 0x100010000 for x in lo]),
        ],
        registers=".reg .b16 %e, %f;",
    )
    a = values.bits("unpack64", 64, 33)
    body = "mov.b64 {%l, %h}, %a;\nmov.b64 {%e, _, _, %f}, %a;"
    yield each(
        "mov_unpack_b64",
        "mov.b64 takes two words or four halves apart",
        body,
        [("a", "u64", a)],
        [
            ("l", "u32", [x & 0xFFFFFFFF for x in a]),
            ("h", "u32", [x >> 32 for x in a]),
            ("e", "u16", [x & 0xFFFF for x in a]),
            ("f", "u16", [x >> 48 for x in a]),
        ],
    )
    body = """
        mov.u32 %d, 4294967295;
        add.s32 %d, %d, %a;
        mov.b32 %o, -2147483648;
        xor.b32 %o, %o, %a;
        mov.b32 %f, 0fC0490FDB;
        add.u32 %f, %f, %a;
        mov.u64 %x, 0xFEDCBA9876543210;
        mov.b32 %n, 0b101;
        add.u32 %n, %n, 017;"""
    a = [1, 2, 40]
    outs = [
        ("d", "u32", [x - 1 for x in a]),
        ("o", "u32", [0x80000000 ^ x for x in a]),
        ("f", "u32", [0xC0490FDB + x for x in a]),
        ("x", "u64", [0xFEDCBA9876543210] * 3),
        ("n", "u32", [5 + 15] * 3),
    ]
    yield each(
        "mov_literals", "decimal, negative, hexadecimal, binary, octal and 0f literals", body, [("a", "u32", a)], outs
    )


def cases():
    """All of them."""
    for part in (bitwise, lop3, shifts, funnel, fields, prmt, comparisons, predicates, selection, moves):
        yield from part()

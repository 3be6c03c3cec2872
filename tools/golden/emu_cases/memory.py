"""Loads and stores: every width, vectors, sign extension, cache hints."""

from . import values
from .case import Case, address, each, given, out
from .integer import signed

THREAD = "mov.u32 %t, %tid.x;"
AT = ".reg .b32 %t;\n.reg .b64 %p, %q;"


def extended():
    """Narrow loads fill wider registers, narrow stores take their low bits."""
    a = [0, 1, 0x7F, 0x80, 0x81, 0xFF, 0xFE, 0x5A]
    body = (
        address("%p", "a", "%t", 1)
        + """
        ld.global.s8 %s, [%p];
        ld.global.u8 %u, [%p];
        ld.global.s8 %w, [%p];
        ld.global.b8 %h, [%p];
        cvt.u32.u16 %b, %h;
        ld.global.s8 %i, [%p];"""
    )
    case = each(
        "ld_8",
        "ld.s8 fills 16, 32 and 64 bits with the sign; ld.u8 and ld.b8 with zeros",
        body,
        [("a", "u8", a)],
        [
            ("s", "u32", [signed(x, 8) for x in a]),
            ("u", "u32", a),
            ("w", "u64", [signed(x, 8) for x in a]),
            ("b", "u32", a),
            ("i", "u16", [signed(x, 8) for x in a]),
        ],
        registers=".reg .b64 %p;\n.reg .b16 %h;",
    )
    yield case
    a = values.U16
    body = (
        address("%p", "a", "%t", 2)
        + """
        ld.global.s16 %s, [%p];
        ld.global.u16 %u, [%p];
        ld.global.s16 %w, [%p];"""
    )
    yield each(
        "ld_16",
        "ld.s16 fills 32 and 64 bits with the sign; ld.u16 with zeros",
        body,
        [("a", "u16", a)],
        [("s", "u32", [signed(x, 16) for x in a]), ("u", "u32", a), ("w", "u64", [signed(x, 16) for x in a])],
        registers=".reg .b64 %p;",
    )
    a = values.U32
    body = address("%p", "a", "%t", 4) + "\nld.global.s32 %s, [%p];\nld.global.u32 %u, [%p];"
    yield each(
        "ld_32",
        "ld.s32 fills 64 bits with the sign; ld.u32 with zeros",
        body,
        [("a", "u32", a)],
        [("s", "u64", [signed(x, 32) for x in a]), ("u", "u64", a)],
        registers=".reg .b64 %p;",
    )
    a = values.U64
    body = THREAD
    for name, kind, width in (("x", "u8", 1), ("y", "u16", 2), ("z", "u32", 4)):
        source = "%h" if width == 1 else "%v"
        body += address("%p", "a", "%t", 8) + "\nld.global.u64 %v, [%p];\ncvt.u16.u64 %h, %v;"
        body += address("%p", name, "%t", width) + f"\nst.global.{kind} [%p], {source};"
    buffers = [
        given("a", "u64", a),
        out("x", "u8", [x & 0xFF for x in a]),
        out("y", "u16", [x & 0xFFFF for x in a]),
        out("z", "u32", [x & 0xFFFFFFFF for x in a]),
    ]
    yield Case(
        "st_narrow",
        "st.u8, st.u16 and st.u32 take the low bits of wider registers",
        buffers,
        body,
        block=(len(a),),
        registers=".reg .b32 %t;\n.reg .b64 %p, %v;\n.reg .b16 %h;",
    )


def vectors():
    """v2 and v4 of every width that fits in 16 bytes."""
    for kind, count in (("u8", 2), ("u8", 4), ("u16", 2), ("u16", 4), ("u32", 2), ("u32", 4), ("u64", 2)):
        width = int(kind[1:])
        threads = 33
        a = values.bits(f"vector {kind} {count}", width, threads * count)
        names = ["%x", "%y", "%z", "%w"][:count]
        reg = max(16, width)
        load = kind if width < 32 else f"b{width}"
        body = (
            THREAD
            + address("%p", "a", "%t", width // 8 * count)
            + f"\nld.global.v{count}.{load} {{{', '.join(names)}}}, [%p];"
        )
        body += address("%q", "r", "%t", width // 8 * count)
        body += f"\nst.global.v{count}.{load} [%q], {{{', '.join(names[::-1])}}};"
        expect = [x for i in range(threads) for x in a[i * count : (i + 1) * count][::-1]]
        yield Case(
            f"ld_st_v{count}_{kind}",
            f"ld and st of v{count} of {kind}: the first is lowest",
            [given("a", kind, a), out("r", kind, expect)],
            body,
            block=(threads,),
            registers=AT + f"\n.reg .b{reg} {', '.join(names)};",
        )
    a = values.bits("vector f32", 32, 4 * 20)
    body = THREAD + address("%p", "a", "%t", 16) + "\nld.global.nc.v4.f32 {%x, %y, %z, %w}, [%p];"
    body += address("%q", "r", "%t", 16) + "\nst.global.v2.f32 [%q+8], {%x, %y};\nst.global.v2.f32 [%q], {%z, %w};"
    expect = [a[4 * i + j] for i in range(20) for j in (2, 3, 0, 1)]
    yield Case(
        "ld_nc_v4_f32",
        "ld.global.nc.v4.f32, st.v2 with an offset; bits of NaN pass through",
        [given("a", "u32", a), out("r", "u32", expect)],
        body,
        block=(20,),
        registers=AT + "\n.reg .f32 %x, %y, %z, %w;",
    )
    a = values.bits("vector s8", 8, 4 * 9)
    body = THREAD + address("%p", "a", "%t", 4) + "\nld.global.v4.s8 {%x, %y, %z, %w}, [%p];"
    body += address("%q", "r", "%t", 16) + "\nst.global.v4.b32 [%q], {%x, %y, %z, %w};"
    yield Case(
        "ld_v4_s8",
        "ld.v4.s8 extends each sign",
        [given("a", "u8", a), out("r", "u32", [signed(x, 8) for x in a])],
        body,
        block=(9,),
        registers=AT + "\n.reg .b32 %x, %y, %z, %w;",
    )


HINTS = [
    "ld.global.ca.u32",
    "ld.global.cg.u32",
    "ld.global.cs.u32",
    "ld.global.lu.u32",
    "ld.global.cv.u32",
    "ld.global.nc.u32",
    "ld.volatile.global.u32",
    "ld.relaxed.gpu.global.u32",
    "ld.acquire.gpu.global.u32",
    "ld.relaxed.sys.global.u32",
    "ld.acquire.cta.global.u32",
    "ld.weak.global.u32",
]
NEWER = [
    "ld.global.L1::no_allocate.u32",
    "ld.global.nc.L1::no_allocate.u32",
    "ld.global.L2::128B.u32",
    "ld.global.nc.L1::evict_first.u32",
    "ld.global.L1::evict_last.u32",
    "ld.global.nc.L1::no_allocate.L2::256B.u32",
]
STORES = [
    "st.global.wb.u32",
    "st.global.cg.u32",
    "st.global.cs.u32",
    "st.global.wt.u32",
    "st.volatile.global.u32",
    "st.relaxed.gpu.global.u32",
    "st.release.gpu.global.u32",
    "st.weak.global.u32",
]


def hints():
    """Cache operators and memory order change no value."""
    for name, loads, target in (("ld_cache_hints", HINTS, 75), ("ld_cache_hints_l1_l2", NEWER, 80)):
        a = values.words(len(loads) * 8)
        body = THREAD + address("%p", "a", "%t", 4 * len(loads)) + address("%q", "r", "%t", 4 * len(loads))
        for i, op in enumerate(loads):
            body += f"\n{op} %v, [%p+{4 * i}];\nst.global.u32 [%q+{4 * i}], %v;"
        yield Case(
            name,
            "cache hints and memory order of loads change no value",
            [given("a", "u32", a), out("r", "u32", a)],
            body,
            target,
            block=(8,),
            registers=AT + "\n.reg .b32 %v;",
        )
    a = values.words(4 * 9, 7)
    body = THREAD + address("%p", "a", "%t", 16)
    body += "\nld.global.nc.L1::no_allocate.v4.u32 {%x, %y, %z, %w}, [%p];"
    body += address("%q", "r", "%t", 16) + "\nst.global.v4.u32 [%q], {%w, %x, %y, %z};"
    yield Case(
        "ld_nc_no_allocate_v4",
        "ld.global.nc.L1::no_allocate.v4.u32: the hint changes no value",
        [given("a", "u32", a), out("r", "u32", [a[4 * i + j] for i in range(9) for j in (3, 0, 1, 2)])],
        body,
        80,
        block=(9,),
        registers=AT + "\n.reg .b32 %x, %y, %z, %w;",
    )
    a = values.words(len(STORES) * 8, 5)
    body = THREAD + address("%p", "a", "%t", 4 * len(STORES)) + address("%q", "r", "%t", 4 * len(STORES))
    for i, op in enumerate(STORES):
        body += f"\nld.global.u32 %v, [%p+{4 * i}];\n{op} [%q+{4 * i}], %v;"
    body += "\nprefetch.global.L2 [%p];\nprefetch.global.L1 [%p];"
    yield Case(
        "st_cache_hints",
        "cache hints and memory order of stores change no value; prefetch does nothing",
        [given("a", "u32", a), out("r", "u32", a)],
        body,
        block=(8,),
        registers=AT + "\n.reg .b32 %v;",
    )


def cases():
    """All of them."""
    for part in (extended, vectors, hints):
        yield from part()

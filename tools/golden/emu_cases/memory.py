"""Loads and stores: every width, vectors, sign extension, every space, cache hints."""

from . import values
from .case import Case, address, each, given, inout, out, scalar
from .integer import signed

THREAD = "mov.u32 %t, %tid.x;"
AT = ".reg .b32 %t;\n.reg .b64 %p, %q;"


def extended():
    """Narrow loads fill wider registers, narrow stores take their low bits."""
    a = [0, 1, 0x7F, 0x80, 0x81, 0xFF, 0xFE, 0x5A]
    body = address("%p", "a", "%t", 1) + """
        ld.global.s8 %s, [%p];
        ld.global.u8 %u, [%p];
        ld.global.s8 %w, [%p];
        ld.global.b8 %h, [%p];
        cvt.u32.u16 %b, %h;
        ld.global.s8 %i, [%p];"""
    case = each("ld_8", "ld.s8 fills 16, 32 and 64 bits with the sign; ld.u8 and ld.b8 with zeros", body, [("a", "u8", a)],
                [("s", "u32", [signed(x, 8) for x in a]), ("u", "u32", a), ("w", "u64", [signed(x, 8) for x in a]),
                 ("b", "u32", a), ("i", "u16", [signed(x, 8) for x in a])],
                registers=".reg .b64 %p;\n.reg .b16 %h;")  # fmt: skip
    yield case
    a = values.U16
    body = address("%p", "a", "%t", 2) + """
        ld.global.s16 %s, [%p];
        ld.global.u16 %u, [%p];
        ld.global.s16 %w, [%p];"""
    yield each("ld_16", "ld.s16 fills 32 and 64 bits with the sign; ld.u16 with zeros", body, [("a", "u16", a)],
               [("s", "u32", [signed(x, 16) for x in a]), ("u", "u32", a), ("w", "u64", [signed(x, 16) for x in a])],
               registers=".reg .b64 %p;")  # fmt: skip
    a = values.U32
    body = address("%p", "a", "%t", 4) + "\nld.global.s32 %s, [%p];\nld.global.u32 %u, [%p];"
    yield each("ld_32", "ld.s32 fills 64 bits with the sign; ld.u32 with zeros", body, [("a", "u32", a)],
               [("s", "u64", [signed(x, 32) for x in a]), ("u", "u64", a)], registers=".reg .b64 %p;")  # fmt: skip
    a = values.U64
    body = THREAD
    for name, kind, width in (("x", "u8", 1), ("y", "u16", 2), ("z", "u32", 4)):
        source = "%h" if width == 1 else "%v"
        body += address("%p", "a", "%t", 8) + "\nld.global.u64 %v, [%p];\ncvt.u16.u64 %h, %v;"
        body += address("%p", name, "%t", width) + f"\nst.global.{kind} [%p], {source};"
    buffers = [given("a", "u64", a), out("x", "u8", [x & 0xFF for x in a]), out("y", "u16", [x & 0xFFFF for x in a]),
               out("z", "u32", [x & 0xFFFFFFFF for x in a])]  # fmt: skip
    yield Case("st_narrow", "st.u8, st.u16 and st.u32 take the low bits of wider registers", buffers, body, block=(len(a),),
               registers=".reg .b32 %t;\n.reg .b64 %p, %v;\n.reg .b16 %h;")  # fmt: skip


def vectors():
    """v2 and v4 of every width that fits in 16 bytes."""
    for kind, count in (("u8", 2), ("u8", 4), ("u16", 2), ("u16", 4), ("u32", 2), ("u32", 4), ("u64", 2)):
        width = int(kind[1:])
        threads = 33
        a = values.bits(f"vector {kind} {count}", width, threads * count)
        names = ["%x", "%y", "%z", "%w"][:count]
        reg = max(16, width)
        load = kind if width < 32 else f"b{width}"
        body = THREAD + address("%p", "a", "%t", width // 8 * count) + f"\nld.global.v{count}.{load} {{{', '.join(names)}}}, [%p];"
        body += address("%q", "r", "%t", width // 8 * count)
        body += f"\nst.global.v{count}.{load} [%q], {{{', '.join(names[::-1])}}};"
        expect = [x for i in range(threads) for x in a[i * count : (i + 1) * count][::-1]]
        yield Case(f"ld_st_v{count}_{kind}", f"ld and st of v{count} of {kind}: the first is lowest", [given("a", kind, a), out("r", kind, expect)],
                   body, block=(threads,), registers=AT + f"\n.reg .b{reg} {', '.join(names)};")  # fmt: skip
    a = values.bits("vector f32", 32, 4 * 20)
    body = THREAD + address("%p", "a", "%t", 16) + "\nld.global.nc.v4.f32 {%x, %y, %z, %w}, [%p];"
    body += address("%q", "r", "%t", 16) + "\nst.global.v2.f32 [%q+8], {%x, %y};\nst.global.v2.f32 [%q], {%z, %w};"
    expect = [a[4 * i + j] for i in range(20) for j in (2, 3, 0, 1)]
    yield Case("ld_nc_v4_f32", "ld.global.nc.v4.f32, st.v2 with an offset; bits of NaN pass through", [given("a", "u32", a), out("r", "u32", expect)],
               body, block=(20,), registers=AT + "\n.reg .f32 %x, %y, %z, %w;")  # fmt: skip
    a = values.bits("vector s8", 8, 4 * 9)
    body = THREAD + address("%p", "a", "%t", 4) + "\nld.global.v4.s8 {%x, %y, %z, %w}, [%p];"
    body += address("%q", "r", "%t", 16) + "\nst.global.v4.b32 [%q], {%x, %y, %z, %w};"
    yield Case("ld_v4_s8", "ld.v4.s8 extends each sign", [given("a", "u8", a), out("r", "u32", [signed(x, 8) for x in a])],
               body, block=(9,), registers=AT + "\n.reg .b32 %x, %y, %z, %w;")  # fmt: skip


HINTS = ["ld.global.ca.u32", "ld.global.cg.u32", "ld.global.cs.u32", "ld.global.lu.u32", "ld.global.cv.u32", "ld.global.nc.u32",
         "ld.volatile.global.u32", "ld.relaxed.gpu.global.u32", "ld.acquire.gpu.global.u32", "ld.relaxed.sys.global.u32",
         "ld.acquire.cta.global.u32", "ld.weak.global.u32"]  # fmt: skip
NEWER = ["ld.global.L1::no_allocate.u32", "ld.global.nc.L1::no_allocate.u32", "ld.global.L2::128B.u32", "ld.global.nc.L1::evict_first.u32",
         "ld.global.L1::evict_last.u32", "ld.global.nc.L1::no_allocate.L2::256B.u32"]  # fmt: skip
STORES = ["st.global.wb.u32", "st.global.cg.u32", "st.global.cs.u32", "st.global.wt.u32", "st.volatile.global.u32",
          "st.relaxed.gpu.global.u32", "st.release.gpu.global.u32", "st.weak.global.u32"]  # fmt: skip


def hints():
    """Cache operators and memory order change no value."""
    for name, loads, target in (("ld_cache_hints", HINTS, 75), ("ld_cache_hints_l1_l2", NEWER, 80)):
        a = values.words(len(loads) * 8)
        body = THREAD + address("%p", "a", "%t", 4 * len(loads)) + address("%q", "r", "%t", 4 * len(loads))
        for i, op in enumerate(loads):
            body += f"\n{op} %v, [%p+{4 * i}];\nst.global.u32 [%q+{4 * i}], %v;"
        yield Case(name, "cache hints and memory order of loads change no value", [given("a", "u32", a), out("r", "u32", a)], body,
                   target, block=(8,), registers=AT + "\n.reg .b32 %v;")  # fmt: skip
    a = values.words(len(STORES) * 8, 5)
    body = THREAD + address("%p", "a", "%t", 4 * len(STORES)) + address("%q", "r", "%t", 4 * len(STORES))
    for i, op in enumerate(STORES):
        body += f"\nld.global.u32 %v, [%p+{4 * i}];\n{op} [%q+{4 * i}], %v;"
    body += "\nprefetch.global.L2 [%p];\nprefetch.global.L1 [%p];"
    yield Case("st_cache_hints", "cache hints and memory order of stores change no value; prefetch does nothing",
               [given("a", "u32", a), out("r", "u32", a)], body, block=(8,), registers=AT + "\n.reg .b32 %v;")  # fmt: skip


def shared():
    """Static and dynamic shared memory, byte by byte and in vectors."""
    a = values.words(64)
    body = THREAD + address("%p", "a", "%t", 4) + """
        ld.global.u32 %v, [%p];
        mov.u32 %s, tile;
        shl.b32 %o, %t, 2;
        add.u32 %s, %s, %o;
        st.shared.u32 [%s], %v;
        bar.sync 0;
        mov.u32 %s, tile;
        sub.u32 %o, 252, %o;
        add.u32 %s, %s, %o;
        ld.shared.u32 %v, [%s];""" + address("%q", "r", "%t", 4) + "\nst.global.u32 [%q], %v;"
    yield Case("shared_static", "a static shared array carries values between threads", [given("a", "u32", a), out("r", "u32", a[::-1])],
               body, block=(64,), registers=AT + "\n.reg .b32 %v, %s, %o;", module=".shared .align 4 .b8 tile[256];")  # fmt: skip
    body = THREAD + address("%p", "a", "%t", 4) + """
        ld.global.u32 %v, [%p];
        mov.u32 %s, fixed;
        mov.u32 %d, dynamic;
        shl.b32 %o, %t, 2;
        add.u32 %s, %s, %o;
        add.u32 %d, %d, %o;
        st.shared.u32 [%s], %v;
        not.b32 %w, %v;
        st.shared.u32 [%d], %w;
        st.shared.u32 [%d+128], %t;
        bar.sync 0;
        xor.b32 %o, %o, 4;
        mov.u32 %s, fixed;
        mov.u32 %d, dynamic;
        add.u32 %s, %s, %o;
        add.u32 %d, %d, %o;
        ld.shared.u32 %v, [%s];
        ld.shared.u32 %w, [%d];
        ld.shared.u32 %u, [%d+128];""" + address("%q", "r", "%t", 12) + """
        st.global.u32 [%q], %v;
        st.global.u32 [%q+4], %w;
        st.global.u32 [%q+8], %u;"""
    a = values.words(32, 7)
    expect = [x for i in range(32) for x in (a[i ^ 1], ~a[i ^ 1], i ^ 1)]
    yield Case("shared_dynamic", "extern shared memory lies beside a static array and does not overlap it",
               [given("a", "u32", a), out("r", "u32", expect)], body, block=(32,), shared=256,
               registers=AT + "\n.reg .b32 %v, %w, %u, %s, %d, %o;",
               module=".extern .shared .align 16 .b8 dynamic[];\n.shared .align 16 .b8 fixed[128];")  # fmt: skip
    body = THREAD + address("%p", "a", "%t", 16) + """
        ld.global.v4.u32 {%x, %y, %z, %w}, [%p];
        mov.u32 %s, tile;
        mad.lo.u32 %s, %t, 16, %s;
        st.shared.v4.u32 [%s], {%x, %y, %z, %w};
        bar.sync 0;
        xor.b32 %o, %t, 1;
        mov.u32 %s, tile;
        mad.lo.u32 %s, %o, 16, %s;
        ld.shared.v2.u32 {%x, %y}, [%s+8];
        ld.shared.u16 %h, [%s+2];
        ld.shared.s8 %z, [%s+7];
        cvt.u32.u16 %w, %h;""" + address("%q", "r", "%t", 16) + "\nst.global.v4.u32 [%q], {%x, %y, %z, %w};"
    a = values.words(4 * 16, 9)
    expect = []
    for i in range(16):
        x = a[4 * (i ^ 1) : 4 * (i ^ 1) + 4]
        expect += [x[2], x[3], signed(x[1] >> 24, 8), x[0] >> 16]
    yield Case("shared_widths", "vectors, halves and bytes of shared memory are little endian", [given("a", "u32", a), out("r", "u32", expect)],
               body, block=(16,), registers=AT + "\n.reg .b32 %x, %y, %z, %w, %s, %o;\n.reg .b16 %h;",
               module=".shared .align 16 .b8 tile[256];")  # fmt: skip


def local():
    """Memory of a thread's own."""
    body = """
        .local .align 16 .b8 stack[64];
        mov.u32 %t, %tid.x;
        mov.u64 %l, stack;
        st.local.u32 [stack], %t;
        mul.lo.u32 %v, %t, 3;
        st.local.u32 [%l+4], %v;
        st.local.v2.u32 [stack+8], {%v, %t};
        and.b32 %o, %t, 3;
        mul.wide.u32 %p, %o, 4;
        add.u64 %p, %l, %p;
        ld.local.u32 %v, [%p];
        cvta.local.u64 %q, %l;
        ld.u32 %w, [%q+4];
        add.u32 %v, %v, %w;""" + address("%q", "r", "%t", 4) + "\nst.global.u32 [%q], %v;"
    expect = [[i, 3 * i, 3 * i, i][i & 3] + 3 * i for i in range(70)]
    yield Case("local_array", "local memory is each thread's own, by name, by pointer and by generic address", [out("r", "u32", expect)],
               body, block=(70,), registers=AT + "\n.reg .b32 %v, %w, %o;\n.reg .b64 %l;")  # fmt: skip


def constants():
    """Module variables with initial values."""
    table = [0x11111111, 0xFFFFFFFE, 0x80000000, 7]
    module = """
        .const .align 8 .u32 table[4] = {0x11111111, 4294967294, 0x80000000, 7};
        .const .align 4 .f32 factors[2] = {0f3F800000, 0fC0490FDB};
        .const .align 8 .b8 bytes[8] = {1, 2, 0xFE, 255, 5};"""
    body = THREAD + """
        and.b32 %o, %t, 3;
        mul.wide.u32 %p, %o, 4;
        mov.u64 %q, table;
        add.u64 %q, %q, %p;
        ld.const.u32 %v, [%q];
        ld.const.f32 %w, [factors+4];
        and.b32 %o, %t, 7;
        cvt.u64.u32 %p, %o;
        mov.u64 %q, bytes;
        add.u64 %q, %q, %p;
        ld.const.s8 %x, [%q];
        ld.const.v2.u32 {%y, %z}, [table+8];""" + address("%q", "r", "%t", 20) + """
        st.global.u32 [%q], %v;
        st.global.u32 [%q+4], %w;
        st.global.u32 [%q+8], %x;
        st.global.u32 [%q+12], %y;
        st.global.u32 [%q+16], %z;"""
    small = [1, 2, -2, -1, 5, 0, 0, 0]
    expect = [x for i in range(11) for x in (table[i & 3], 0xC0490FDB, small[i & 7], table[2], table[3])]
    yield Case("const_variables", "const variables hold their initial values, zeros after the last", [out("r", "u32", expect)],
               body, block=(11,), registers=AT + "\n.reg .b32 %o, %v, %w, %x, %y, %z;", module=module)  # fmt: skip


def parameters():
    """By value, of every width, and in two halves."""
    body = """
        ld.param.u32 %a, [n];
        ld.param.u64 %v, [wide];
        ld.param.u32 %b, [wide];
        ld.param.u32 %c, [wide+4];
        ld.param.f32 %f, [scale];
        ld.param.u8 %h, [n+1];
        mov.b64 {%d, %e}, %v;
        cvt.u32.u16 %g, %h;
        ld.param.u64 %p, [r];
        st.global.v4.u32 [%p], {%a, %b, %c, %d};
        st.global.v2.u32 [%p+16], {%e, %f};
        st.global.u32 [%p+24], %g;"""
    buffers = [scalar("n", "u32", 0x89ABCDEF), scalar("wide", "u64", 0xFEDCBA9876543210), scalar("scale", "u32", 0x40490FDB),
               out("r", "u32", [0x89ABCDEF, 0x76543210, 0xFEDCBA98, 0x76543210, 0xFEDCBA98, 0x40490FDB, 0xCD])]  # fmt: skip
    yield Case("param_by_value", "ld.param of scalars, whole and in parts, each at its own alignment", buffers, body, block=(1,),
               registers=".reg .b32 %a, %b, %c, %d, %e, %f, %g;\n.reg .b64 %p, %v;\n.reg .b16 %h;")  # fmt: skip


def generic():
    """Generic addresses reach every space."""
    body = """
        mov.u32 %t, %tid.x;
        mov.u64 %s, tile;
        cvta.shared.u64 %g, %s;
        mad.wide.u32 %p, %t, 4, %g;
        st.u32 [%p], %t;
        bar.sync 0;
        sub.u32 %o, 31, %t;
        mad.wide.u32 %p, %o, 4, %g;
        ld.u32 %v, [%p];
        cvta.to.shared.u64 %q, %p;
        cvt.u32.u64 %o, %q;
        ld.shared.u32 %w, [%o];
        add.u32 %v, %v, %w;
        isspacep.shared %k, %p;
        selp.u32 %x, 1, 0, %k;
        ld.param.u64 %q, [r];
        isspacep.shared %k, %q;
        selp.u32 %y, 2, 0, %k;
        isspacep.global %k, %q;
        @%k add.u32 %y, %y, 4;
        mad.wide.u32 %q, %t, 8, %q;
        add.u32 %x, %x, %y;
        st.v2.u32 [%q], {%v, %x};"""
    expect = [x for i in range(32) for x in (2 * (31 - i), 5)]
    yield Case("generic_addresses", "cvta, isspacep and generic ld and st on shared and global memory", [out("r", "u32", expect)], body,
               registers=AT + "\n.reg .b32 %o, %v, %w, %x, %y;\n.reg .b64 %s, %g;\n.reg .pred %k;",
               module=".shared .align 4 .b8 tile[128];")  # fmt: skip
    a = values.words(24, 11)
    body = THREAD + address("%p", "x", "%t", 4) + """
        ld.global.u32 %v, [%p];
        add.u32 %v, %v, 1;
        st.global.u32 [%p], %v;
        ld.global.u32 %v, [%p];
        add.u32 %v, %v, 1;
        st.global.u32 [%p], %v;"""
    yield Case("inout_buffer", "a buffer that is read, written and read again by the same thread", [inout("x", "u32", a, [x + 2 for x in a])],
               body, block=(24,), registers=AT + "\n.reg .b32 %v;")  # fmt: skip
    body = "mov.u32 %t, 5;" + address("%p", "x", "%t", 4) + """
        ld.global.u32 %v, [%p+-20];
        ld.global.u32 %w, [%p+8];
        add.u32 %v, %v, %w;
        st.global.u32 [%p+-8], %v;"""
    a = values.words(9, 12)
    expect = list(a)
    expect[3] = a[0] + a[7]
    yield Case("negative_offset", "addresses with negative and positive offsets", [inout("x", "u32", a, expect)], body, block=(1,),
               registers=AT + "\n.reg .b32 %v, %w;")  # fmt: skip


def unwritten():
    """What clean code may do with registers and memory that nobody wrote."""
    body = THREAD + """
        setp.lt.u32 %k, %t, 20;
        @%k mul.lo.u32 %v, %t, 3;
        add.u32 %w, %v, 5;
        shl.b32 %w, %w, 1;
        selp.b32 %x, %w, 77, %k;""" + address("%p", "r", "%t", 4) + "\nst.global.u32 [%p], %x;"
    expect = [(3 * i + 5) * 2 if i < 20 else 77 for i in range(32)]
    yield Case("unwritten_register_discarded", "arithmetic on an unwritten register whose result selp discards is no finding",
               [out("r", "u32", expect)], body, registers=AT + "\n.reg .b32 %v, %w, %x;\n.reg .pred %k;")  # fmt: skip
    body = THREAD + """
        mov.u32 %s, tile;
        mad.lo.u32 %s, %t, 8, %s;
        st.shared.u32 [%s], %t;
        ld.shared.u32 %v, [%s];""" + address("%p", "r", "%t", 4) + "\nst.global.u32 [%p], %v;"
    yield Case("unwritten_shared_untouched", "shared memory that nobody wrote is no finding while nobody reads it",
               [out("r", "u32", list(range(32)))], body, registers=AT + "\n.reg .b32 %v, %s;", module=".shared .align 8 .b8 tile[256];")  # fmt: skip


def cases():
    """All of them."""
    for part in (extended, vectors, hints, shared, local, constants, parameters, generic, unwritten):
        yield from part()

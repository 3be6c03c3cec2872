"""Shared, local, const and parameter memory, generic addresses, and what may stay unwritten."""

from . import values
from .case import Case, address, given, inout, out, scalar
from .integer import signed
from .memory import AT, THREAD


def shared():
    """Static and dynamic shared memory, byte by byte and in vectors."""
    a = values.words(64)
    body = (
        THREAD
        + address("%p", "a", "%t", 4)
        + """
        ld.global.u32 %v, [%p];
        mov.u32 %s, tile;
        shl.b32 %o, %t, 2;
        add.u32 %s, %s, %o;
        st.shared.u32 [%s], %v;
        bar.sync 0;
        mov.u32 %s, tile;
        sub.u32 %o, 252, %o;
        add.u32 %s, %s, %o;
        ld.shared.u32 %v, [%s];"""
        + address("%q", "r", "%t", 4)
        + "\nst.global.u32 [%q], %v;"
    )
    yield Case(
        "shared_static",
        "a static shared array carries values between threads",
        [given("a", "u32", a), out("r", "u32", a[::-1])],
        body,
        block=(64,),
        registers=AT + "\n.reg .b32 %v, %s, %o;",
        module=".shared .align 4 .b8 tile[256];",
    )
    body = (
        THREAD
        + address("%p", "a", "%t", 4)
        + """
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
        ld.shared.u32 %u, [%d+128];"""
        + address("%q", "r", "%t", 12)
        + """
        st.global.u32 [%q], %v;
        st.global.u32 [%q+4], %w;
        st.global.u32 [%q+8], %u;"""
    )
    a = values.words(32, 7)
    expect = [x for i in range(32) for x in (a[i ^ 1], ~a[i ^ 1], i ^ 1)]
    yield Case(
        "shared_dynamic",
        "extern shared memory lies beside a static array and does not overlap it",
        [given("a", "u32", a), out("r", "u32", expect)],
        body,
        block=(32,),
        shared=256,
        registers=AT + "\n.reg .b32 %v, %w, %u, %s, %d, %o;",
        module=".extern .shared .align 16 .b8 dynamic[];\n.shared .align 16 .b8 fixed[128];",
    )
    body = (
        THREAD
        + address("%p", "a", "%t", 16)
        + """
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
        cvt.u32.u16 %w, %h;"""
        + address("%q", "r", "%t", 16)
        + "\nst.global.v4.u32 [%q], {%x, %y, %z, %w};"
    )
    a = values.words(4 * 16, 9)
    expect = []
    for i in range(16):
        x = a[4 * (i ^ 1) : 4 * (i ^ 1) + 4]
        expect += [x[2], x[3], signed(x[1] >> 24, 8), x[0] >> 16]
    yield Case(
        "shared_widths",
        "vectors, halves and bytes of shared memory are little endian",
        [given("a", "u32", a), out("r", "u32", expect)],
        body,
        block=(16,),
        registers=AT + "\n.reg .b32 %x, %y, %z, %w, %s, %o;\n.reg .b16 %h;",
        module=".shared .align 16 .b8 tile[256];",
    )


def local():
    """Memory of a thread's own."""
    body = (
        """
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
        add.u32 %v, %v, %w;"""
        + address("%q", "r", "%t", 4)
        + "\nst.global.u32 [%q], %v;"
    )
    expect = [[i, 3 * i, 3 * i, i][i & 3] + 3 * i for i in range(70)]
    yield Case(
        "local_array",
        "local memory is each thread's own, by name, by pointer and by generic address",
        [out("r", "u32", expect)],
        body,
        block=(70,),
        registers=AT + "\n.reg .b32 %v, %w, %o;\n.reg .b64 %l;",
    )


def constants():
    """Module variables with initial values."""
    table = [0x11111111, 0xFFFFFFFE, 0x80000000, 7]
    module = """
        .const .align 8 .u32 table[4] = {0x11111111, 4294967294, 0x80000000, 7};
        .const .align 4 .f32 factors[2] = {0f3F800000, 0fC0490FDB};
        .const .align 8 .b8 bytes[8] = {1, 2, 0xFE, 255, 5};"""
    body = (
        THREAD
        + """
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
        ld.const.v2.u32 {%y, %z}, [table+8];"""
        + address("%q", "r", "%t", 20)
        + """
        st.global.u32 [%q], %v;
        st.global.u32 [%q+4], %w;
        st.global.u32 [%q+8], %x;
        st.global.u32 [%q+12], %y;
        st.global.u32 [%q+16], %z;"""
    )
    small = [1, 2, -2, -1, 5, 0, 0, 0]
    expect = [x for i in range(11) for x in (table[i & 3], 0xC0490FDB, small[i & 7], table[2], table[3])]
    yield Case(
        "const_variables",
        "const variables hold their initial values, zeros after the last",
        [out("r", "u32", expect)],
        body,
        block=(11,),
        registers=AT + "\n.reg .b32 %o, %v, %w, %x, %y, %z;",
        module=module,
    )


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
    buffers = [
        scalar("n", "u32", 0x89ABCDEF),
        scalar("wide", "u64", 0xFEDCBA9876543210),
        scalar("scale", "u32", 0x40490FDB),
        out("r", "u32", [0x89ABCDEF, 0x76543210, 0xFEDCBA98, 0x76543210, 0xFEDCBA98, 0x40490FDB, 0xCD]),
    ]
    yield Case(
        "param_by_value",
        "ld.param of scalars, whole and in parts, each at its own alignment",
        buffers,
        body,
        block=(1,),
        registers=".reg .b32 %a, %b, %c, %d, %e, %f, %g;\n.reg .b64 %p, %v;\n.reg .b16 %h;",
    )


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
    yield Case(
        "generic_addresses",
        "cvta, isspacep and generic ld and st on shared and global memory",
        [out("r", "u32", expect)],
        body,
        registers=AT + "\n.reg .b32 %o, %v, %w, %x, %y;\n.reg .b64 %s, %g;\n.reg .pred %k;",
        module=".shared .align 4 .b8 tile[128];",
    )
    a = values.words(24, 11)
    body = (
        THREAD
        + address("%p", "x", "%t", 4)
        + """
        ld.global.u32 %v, [%p];
        add.u32 %v, %v, 1;
        st.global.u32 [%p], %v;
        ld.global.u32 %v, [%p];
        add.u32 %v, %v, 1;
        st.global.u32 [%p], %v;"""
    )
    yield Case(
        "inout_buffer",
        "a buffer that is read, written and read again by the same thread",
        [inout("x", "u32", a, [x + 2 for x in a])],
        body,
        block=(24,),
        registers=AT + "\n.reg .b32 %v;",
    )
    body = (
        "mov.u32 %t, 5;"
        + address("%p", "x", "%t", 4)
        + """
        ld.global.u32 %v, [%p+-20];
        ld.global.u32 %w, [%p+8];
        add.u32 %v, %v, %w;
        st.global.u32 [%p+-8], %v;"""
    )
    a = values.words(9, 12)
    expect = list(a)
    expect[3] = a[0] + a[7]
    yield Case(
        "negative_offset",
        "addresses with negative and positive offsets",
        [inout("x", "u32", a, expect)],
        body,
        block=(1,),
        registers=AT + "\n.reg .b32 %v, %w;",
    )


def windows():
    """Accesses of one instruction in several buffers, and of several kinds in one."""
    body = (
        THREAD
        + """
        ld.param.u64 %p, [a];
        ld.param.u64 %q, [b];
        setp.lt.u32 %k, %t, 31;
        selp.b64 %p, %p, %q, %k;
        cvta.to.global.u64 %p, %p;
        mov.u32 %v, 0x1234;
        st.global.u32 [%p], %v;"""
    )
    yield Case(
        "one_store_two_buffers",
        "lanes of one store that write one value to one place are no race, though another lane goes elsewhere",
        [out("a", "u32", [0x1234]), out("b", "u32", [0x1234])],
        body,
        registers=AT + "\n.reg .b32 %v;\n.reg .pred %k;",
    )
    body = THREAD + address("%p", "x", "%t", 4) + "\nld.global.nc.u32 %v, [%p];\nst.global.u32 [%p+128], %v;"
    a = values.words(32, 13)
    yield Case(
        "ld_nc_beside_writes",
        "ld.global.nc of the part of a buffer that the launch does not write",
        [inout("x", "u32", a + [0] * 32, a + a)],
        body,
        registers=AT + "\n.reg .b32 %v;",
    )
    body = (
        THREAD
        + """
        mov.u32 %s, tile;
        and.b32 %v, %s, 1023;
        add.u32 %s, %s, %v;
        st.shared.u32 [%s], %v;"""
        + address("%p", "r", "%t", 4)
        + "\nst.global.u32 [%p], %v;"
    )
    yield Case(
        "shared_dynamic_align",
        "dynamic shared memory behind static keeps its own alignment",
        [out("r", "u32", [0])],
        body,
        block=(1,),
        shared=64,
        registers=AT + "\n.reg .b32 %v, %s;",
        module=".shared .align 4 .b8 small[4];\n.extern .shared .align 1024 .b8 tile[];",
    )


def unwritten():
    """What clean code may do with registers and memory that nobody wrote."""
    body = (
        THREAD
        + """
        setp.lt.u32 %k, %t, 20;
        @%k mul.lo.u32 %v, %t, 3;
        add.u32 %w, %v, 5;
        shl.b32 %w, %w, 1;
        selp.b32 %x, %w, 77, %k;"""
        + address("%p", "r", "%t", 4)
        + "\nst.global.u32 [%p], %x;"
    )
    expect = [(3 * i + 5) * 2 if i < 20 else 77 for i in range(32)]
    yield Case(
        "unwritten_register_discarded",
        "arithmetic on an unwritten register whose result selp discards is no finding",
        [out("r", "u32", expect)],
        body,
        registers=AT + "\n.reg .b32 %v, %w, %x;\n.reg .pred %k;",
    )
    body = (
        THREAD
        + """
        mov.u32 %s, tile;
        mad.lo.u32 %s, %t, 8, %s;
        st.shared.u32 [%s], %t;
        ld.shared.u32 %v, [%s];"""
        + address("%p", "r", "%t", 4)
        + "\nst.global.u32 [%p], %v;"
    )
    yield Case(
        "unwritten_shared_untouched",
        "shared memory that nobody wrote is no finding while nobody reads it",
        [out("r", "u32", list(range(32)))],
        body,
        registers=AT + "\n.reg .b32 %v, %s;",
        module=".shared .align 8 .b8 tile[256];",
    )


def cases():
    """All of them."""
    for part in (shared, local, constants, parameters, generic, windows, unwritten):
        yield from part()

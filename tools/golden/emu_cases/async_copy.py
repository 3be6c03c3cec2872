"""cp.async: sizes, zero fill, groups, and the two ways to wait."""

from . import values
from .case import Case, address, given, inout, out

WORDS = ".reg .b32 %t, %s, %o, %x, %y, %z, %w, %n;\n.reg .b64 %p, %q;\n.reg .pred %k;"
TILE = ".shared .align 16 .b8 tile[2048];"
SLOT = "\nmov.u32 %s, tile;\nmad.lo.u32 %s, %t, 16, %s;"
READ = "\nld.shared.v4.u32 {%x, %y, %z, %w}, [%s];"


def result(width=16):
    """PTX that stores four words of each thread."""
    return address("%q", "r", "%t", width) + "\nst.global.v4.u32 [%q], {%x, %y, %z, %w};"


def copies():
    """4, 8 and 16 bytes, by .ca and .cg."""
    a = values.words(4 * 40, 20)
    for size, ways in ((4, ("ca",)), (8, ("ca",)), (16, ("ca", "cg"))):
        for way in ways:
            body = "mov.u32 %t, %tid.x;" + SLOT + address("%p", "a", "%t", 16)
            for at in range(0, 16, size):
                body += f"\ncp.async.{way}.shared.global [%s+{at}], [%p+{at}], {size};"
            body += "\ncp.async.commit_group;\ncp.async.wait_group 0;" + READ + result()
            yield Case(
                f"cp_async_{way}_{size}",
                f"cp.async.{way} of {size} bytes, read by the thread that copied",
                [given("a", "u32", a), out("r", "u32", a)],
                body,
                80,
                block=(40,),
                registers=WORDS,
                module=TILE,
            )


def source_reused():
    """The source may be written once its copy has been waited for."""
    a = values.words(4 * 32, 21)
    body = (
        "mov.u32 %t, %tid.x;"
        + SLOT
        + address("%p", "x", "%t", 16)
        + """
        cp.async.cg.shared.global [%s], [%p], 16;
        cp.async.wait_all;
        st.global.u32 [%p+4], %t;"""
        + READ
        + result()
    )
    after = [i // 4 if i % 4 == 1 else x for i, x in enumerate(a)]
    yield Case(
        "cp_async_source_reused",
        "the source of a cp.async may be written behind its wait",
        [inout("x", "u32", a, after), out("r", "u32", a)],
        body,
        80,
        registers=WORDS,
        module=TILE,
    )


def zero_fill():
    """A source size below the copy size fills the rest with zeros; a source size of 0 reads nothing."""
    for size, parts in ((16, (0, 1, 2, 4, 7, 8, 12, 15, 16)), (8, (0, 3, 4, 5, 8)), (4, (0, 1, 2, 3, 4))):
        way = "cg" if size == 16 else "ca"
        count = len(parts)
        a = values.bits(f"zero fill {size}", 8, 16 * count)
        sizes = list(parts)
        body = (
            "mov.u32 %t, %tid.x;"
            + SLOT
            + address("%p", "n", "%t", 4)
            + "\nld.global.u32 %n, [%p];"
            + address("%p", "a", "%t", 16)
            + f"""
            mov.u32 %x, -1;
            st.shared.v4.u32 [%s], {{%x, %x, %x, %x}};
            cp.async.{way}.shared.global [%s], [%p], {size}, %n;
            cp.async.wait_all;"""
            + READ
            + result()
        )
        expect = []
        for i, part in enumerate(sizes):
            expect += a[16 * i : 16 * i + part] + [0] * (size - part) + [0xFF] * (16 - size)
        yield Case(
            f"cp_async_zero_fill_{size}",
            f"cp.async of {size} bytes from fewer: zeros fill the rest",
            [given("a", "u8", a), given("n", "u32", sizes), out("r", "u8", expect)],
            body,
            80,
            block=(count,),
            registers=WORDS,
            module=TILE,
        )
    a = values.words(4, 21)
    body = (
        "mov.u32 %t, %tid.x;"
        + SLOT
        + """
        ld.param.u64 %p, [a];
        setp.lt.u32 %k, %t, 1;
        selp.u32 %n, 16, 0, %k;
        mad.wide.u32 %p, %t, 1048576, %p;
        cp.async.cg.shared.global [%s], [%p], 16, %n;
        cp.async.commit_group;
        cp.async.wait_group 0;"""
        + READ
        + result()
    )
    yield Case(
        "cp_async_zero_fill_outside",
        "cp.async with a source size of 0 may point anywhere",
        [given("a", "u32", a), out("r", "u32", a + [0] * 12)],
        body,
        80,
        block=(4,),
        registers=WORDS,
        module=TILE,
    )


def groups():
    """Groups complete in order; wait_group leaves the newest ones open."""
    a = values.words(4 * 32 * 3, 22)
    body = "mov.u32 %t, %tid.x;\nmov.u32 %s, tile;\nmad.lo.u32 %s, %t, 48, %s;" + address("%p", "a", "%t", 48)
    for i in range(3):
        body += f"\ncp.async.ca.shared.global [%s+{16 * i}], [%p+{16 * i}], 16;\ncp.async.commit_group;"
    for i in range(3):
        body += f"\ncp.async.wait_group {2 - i};\nld.shared.v4.u32 {{%x, %y, %z, %w}}, [%s+{16 * i}];"
        body += address("%q", "r", "%t", 48) + f"\nst.global.v4.u32 [%q+{16 * i}], {{%x, %y, %z, %w}};"
    yield Case(
        "cp_async_groups",
        "each group is read as soon as wait_group lets it",
        [given("a", "u32", a), out("r", "u32", a)],
        body,
        80,
        block=(32,),
        registers=WORDS,
        module=TILE,
    )
    a = values.words(4 * 64, 23)
    body = (
        "mov.u32 %t, %tid.x;"
        + SLOT
        + address("%p", "a", "%t", 16)
        + """
        cp.async.cg.shared.global [%s], [%p], 16;
        cp.async.commit_group;
        cp.async.wait_group 0;
        bar.sync 0;
        xor.b32 %o, %t, 63;
        mov.u32 %s, tile;
        mad.lo.u32 %s, %o, 16, %s;"""
        + READ
        + result()
    )
    yield Case(
        "cp_async_then_barrier",
        "after wait_group and a barrier every thread reads what others copied",
        [given("a", "u32", a), out("r", "u32", [a[4 * (i ^ 63) + j] for i in range(64) for j in range(4)])],
        body,
        80,
        block=(64,),
        registers=WORDS,
        module=TILE,
    )
    stages, steps = 2, 5
    a = values.words(32 * steps, 24)
    body = (
        "mov.u32 %t, %tid.x;\nmov.u32 %w, 0;\nmov.u32 %o, 0;"
        + address("%p", "a", "%t", 4)
        + """
        mov.u32 %s, tile;
        mad.lo.u32 %s, %t, 4, %s;
        cp.async.ca.shared.global [%s], [%p], 4;
        cp.async.commit_group;
        LOOP:
        add.u32 %n, %o, 1;
        setp.ge.u32 %k, %n, 5;
        @%k bra LAST;
        and.b32 %x, %n, 1;
        mad.lo.u32 %x, %x, 128, %s;
        mul.wide.u32 %q, %n, 128;
        add.u64 %q, %q, %p;
        cp.async.ca.shared.global [%x], [%q], 4;
        LAST:
        cp.async.commit_group;
        cp.async.wait_group 1;
        bar.sync 0;
        and.b32 %x, %o, 1;
        mov.u32 %y, tile;
        mad.lo.u32 %x, %x, 128, %y;
        xor.b32 %y, %t, 31;
        mad.lo.u32 %x, %y, 4, %x;
        ld.shared.u32 %z, [%x];
        mad.lo.u32 %w, %w, 3, %z;
        bar.sync 0;
        mov.u32 %o, %n;
        setp.lt.u32 %k, %o, 5;
        @%k bra LOOP;"""
        + address("%q", "r", "%t", 4)
        + "\nst.global.u32 [%q], %w;"
    )
    expect = [0] * 32
    for step in range(steps):
        expect = [e * 3 + a[32 * step + (i ^ 31)] & 0xFFFFFFFF for i, e in enumerate(expect)]
    yield Case(
        "cp_async_pipeline",
        f"a pipeline of {stages} buffers; the last round commits an empty group",
        [given("a", "u32", a), out("r", "u32", expect)],
        body,
        80,
        block=(32,),
        registers=WORDS,
        module=TILE,
    )


def hints():
    """L2 prefetch sizes and wait_all."""
    a = values.words(4 * 20, 25)
    for name, op, target in (
        ("cp_async_l2_hint", "cp.async.cg.shared.global.L2::128B", 80),
        ("cp_async_l2_hint_ca", "cp.async.ca.shared.global.L2::256B", 80),
    ):
        body = (
            "mov.u32 %t, %tid.x;"
            + SLOT
            + address("%p", "a", "%t", 16)
            + f"\n{op} [%s], [%p], 16;\ncp.async.wait_all;"
            + READ
            + result()
        )
        yield Case(
            name,
            f"{op} copies like any other; wait_all needs no commit",
            [given("a", "u32", a), out("r", "u32", a)],
            body,
            target,
            block=(20,),
            registers=WORDS,
            module=TILE,
        )


def cases():
    """All of them."""
    for part in (copies, source_reused, zero_fill, groups, hints):
        yield from part()

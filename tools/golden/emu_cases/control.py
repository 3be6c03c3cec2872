"""Branches, loops, exits, grids: what runs, how often, and that lanes meet again."""

from . import values
from .case import Case, address, each, given, inout, out, scalar

WORDS = ".reg .b32 %t, %v, %w, %n, %i, %j, %x;\n.reg .b64 %p;\n.reg .pred %k, %q;"


def threads(name, about, body, expect, block=None, **more):
    """A case that stores `%v` of each thread of one CTA."""
    code = "mov.u32 %t, %tid.x;\n" + body + address("%p", "r", "%t", 4) + "\nst.global.u32 [%p], %v;"
    return Case(name, about, [out("r", "u32", expect)], code, block=block or (len(expect),), registers=WORDS, **more)


def branches():
    """if, else, nested, and guards instead."""
    body = """
        setp.lt.u32 %k, %t, 11;
        @%k bra LOW;
        mul.lo.u32 %v, %t, 10;
        bra.uni JOIN;
        LOW:
        add.u32 %v, %t, 1000;
        JOIN:
        add.u32 %v, %v, 1;"""
    yield threads(
        "branch_if_else",
        "both sides of a branch run for their own lanes",
        body,
        [i + 1001 if i < 11 else 10 * i + 1 for i in range(50)],
    )
    body = """
        mov.u32 %v, 1;
        and.b32 %x, %t, 1;
        setp.eq.u32 %k, %x, 0;
        @!%k bra ODD;
        and.b32 %x, %t, 2;
        setp.eq.u32 %k, %x, 0;
        @%k bra FOURTH;
        add.u32 %v, %v, 10;
        bra.uni EVEN;
        FOURTH:
        add.u32 %v, %v, 20;
        and.b32 %x, %t, 4;
        setp.eq.u32 %k, %x, 0;
        @!%k bra EVEN;
        add.u32 %v, %v, 400;
        EVEN:
        add.u32 %v, %v, 1000;
        ODD:
        shl.b32 %v, %v, 1;"""
    expect = []
    for i in range(37):
        x = 1
        if i % 2 == 0:
            x += 10 if i & 2 else 20 + (0 if i & 4 else 400)
            x += 1000
        expect.append(2 * x)
    yield threads("branch_nested", "three branches deep, lanes meet again at each end", body, expect)
    body = """
        mov.u32 %v, 5;
        setp.gt.u32 %k, %t, 7;
        @%k mul.lo.u32 %v, %t, 3;
        @!%k sub.u32 %v, %v, %t;
        setp.eq.u32 %q, %t, 9;
        @%q mov.u32 %v, 12345;"""
    yield threads(
        "guarded_instructions",
        "a guard or its negation lets single instructions through",
        body,
        [12345 if i == 9 else 3 * i if i > 7 else (5 - i) & 0xFFFFFFFF for i in range(20)],
    )
    body = """
        setp.lt.u32 %k, %t, 40;
        mov.u32 %v, 3;
        @%k bra.uni SKIP;
        mov.u32 %v, 4;
        SKIP:
        add.u32 %v, %v, %t;"""
    yield threads("branch_uniform", "a branch that all lanes take", body, [3 + i for i in range(40)])


def loops():
    """Trip counts by lane, break, continue, nests."""
    body = """
        mov.u32 %v, 0;
        mov.u32 %i, 0;
        LOOP:
        setp.ge.u32 %k, %i, %t;
        @%k bra DONE;
        add.u32 %v, %v, %i;
        add.u32 %i, %i, 1;
        bra.uni LOOP;
        DONE:
        add.u32 %v, %v, 7;"""
    yield threads(
        "loop_by_lane", "each lane loops as often as its number", body, [i * (i - 1) // 2 + 7 for i in range(45)]
    )
    body = """
        add.u32 %n, %t, 1;
        mov.u32 %v, 0;
        LOOP:
        add.u32 %v, %v, 1;
        setp.eq.u32 %k, %n, 1;
        @%k bra DONE;
        and.b32 %x, %n, 1;
        shr.u32 %w, %n, 1;
        mad.lo.u32 %i, %n, 3, 1;
        setp.ne.u32 %q, %x, 0;
        selp.b32 %n, %i, %w, %q;
        bra LOOP;
        DONE:"""
    expect = []
    for i in range(64):
        n, steps = i + 1, 1
        while n != 1:
            n = 3 * n + 1 if n & 1 else n // 2
            steps += 1
        expect.append(steps)
    yield threads("loop_collatz", "lanes leave a loop after 1 to 119 rounds", body, expect)
    body = """
        mov.u32 %v, 0;
        mov.u32 %i, 0;
        OUTER:
        mov.u32 %j, 0;
        INNER:
        add.u32 %x, %i, %j;
        and.b32 %w, %x, 3;
        setp.eq.u32 %k, %w, 3;
        @%k bra CONTINUE;
        mul.lo.u32 %w, %x, %t;
        setp.gt.u32 %k, %w, 60;
        @%k bra BREAK;
        add.u32 %v, %v, %w;
        CONTINUE:
        add.u32 %j, %j, 1;
        setp.lt.u32 %k, %j, 6;
        @%k bra INNER;
        BREAK:
        add.u32 %v, %v, 10000;
        add.u32 %i, %i, 1;
        setp.lt.u32 %k, %i, 5;
        @%k bra OUTER;"""
    expect = []
    for t in range(35):
        v = 0
        for i in range(5):
            for j in range(6):
                if (i + j) & 3 == 3:
                    continue
                if (i + j) * t > 60:
                    break
                v += (i + j) * t
            v += 10000
        expect.append(v)
    yield threads("loop_nested_break_continue", "break and continue of an inner loop by lane", body, expect)
    body = """
        mov.u32 %v, 0;
        mov.u32 %i, 1;
        LOOP:
        shfl.sync.bfly.b32 %w, %t, %i, 31, -1;
        mad.lo.u32 %v, %v, 5, %w;
        shl.b32 %i, %i, 1;
        setp.lt.u32 %k, %i, 32;
        @%k bra LOOP;"""
    expect = []
    for t in range(64):
        v = 0
        for step in (1, 2, 4, 8, 16):
            v = v * 5 + (t ^ step)
        expect.append(v)
    yield threads("loop_with_shuffle", "a whole warp shuffles in a loop", body, expect)
    body = """
        mov.u32 %v, 0;
        and.b32 %n, %t, 3;
        LOOP:
        setp.eq.u32 %k, %n, 0;
        @%k bra DONE;
        sub.u32 %n, %n, 1;
        add.u32 %v, %v, 1;
        bra LOOP;
        DONE:
        shfl.sync.idx.b32 %w, %v, 3, 31, -1;
        mad.lo.u32 %v, %v, 10, %w;"""
    yield threads(
        "reconverge_after_loop",
        "lanes that left a loop at different rounds shuffle after it",
        body,
        [(i & 3) * 10 + 3 for i in range(32)],
    )


def exits():
    """Threads that leave early."""
    body = (
        """
        mov.u32 %t, %tid.x;
        setp.ge.u32 %k, %t, 13;
        @%k exit;
        mul.lo.u32 %v, %t, %t;"""
        + address("%p", "r", "%t", 4)
        + """
        st.global.u32 [%p], %v;
        setp.lt.u32 %k, %t, 5;
        @%k ret;
        add.u32 %v, %v, 1000;
        st.global.u32 [%p], %v;"""
    )
    yield Case(
        "exit_and_ret",
        "exit and ret under a guard end their lanes alone",
        [out("r", "u32", [i * i if i < 5 else i * i + 1000 for i in range(13)])],
        body,
        block=(40,),
        registers=WORDS,
    )
    body = (
        """
        mov.u32 %t, %tid.x;
        setp.lt.u32 %k, %t, 32;
        @!%k bra SECOND;
        mov.u32 %v, %t;
        bra.uni STORE;
        SECOND:
        and.b32 %x, %t, 1;
        setp.ne.u32 %q, %x, 0;
        @%q exit;
        add.u32 %v, %t, 100;
        STORE:"""
        + address("%p", "r", "%t", 4)
        + """
        st.global.u32 [%p], %v;
        @!%k exit;
        shfl.sync.down.b32 %w, %v, 1, 31, -1;
        st.global.u32 [%p+512], %w;"""
    )
    first = list(range(32)) + [x for i in range(32, 64, 2) for x in (i + 100, None)]
    case = Case(
        "exit_of_other_warp",
        "a warp whose lanes left does not hold up another one's shuffle",
        [],
        body,
        block=(64,),
        registers=WORDS,
    )
    expect = [7 if x is None else x for x in first] + [7] * 64 + [min(i + 1, 31) for i in range(32)]
    case.buffers = [inout("r", "u32", [7] * len(expect), expect)]
    yield case


def grids():
    """Several CTAs, three dimensions, partial warps."""
    body = (
        """
        mov.u32 %x, %tid.x;
        mov.u32 %y, %tid.y;
        mov.u32 %z, %tid.z;
        mov.u32 %a, %ntid.x;
        mov.u32 %b, %ntid.y;
        mov.u32 %c, %ntid.z;
        mov.u32 %d, %ctaid.x;
        mov.u32 %e, %ctaid.y;
        mov.u32 %f, %ctaid.z;
        mov.u32 %g, %nctaid.x;
        mov.u32 %h, %nctaid.y;
        mov.u32 %i, %nctaid.z;
        mad.lo.u32 %n, %f, %h, %e;
        mad.lo.u32 %n, %n, %g, %d;
        mad.lo.u32 %n, %n, %c, %z;
        mad.lo.u32 %n, %n, %b, %y;
        mad.lo.u32 %n, %n, %a, %x;"""
        + address("%p", "r", "%n", 48)
        + """
        st.global.v4.u32 [%p], {%x, %y, %z, %a};
        st.global.v4.u32 [%p+16], {%b, %c, %d, %e};
        st.global.v4.u32 [%p+32], {%f, %g, %h, %i};"""
    )
    grid, block = (2, 3, 2), (5, 3, 2)
    expect = []
    for f in range(2):
        for e in range(3):
            for d in range(2):
                for z in range(2):
                    for y in range(3):
                        for x in range(5):
                            expect += [x, y, z, *block, d, e, f, *grid]
    yield Case(
        "grid_special_registers",
        "%tid, %ntid, %ctaid and %nctaid in three dimensions",
        [out("r", "u32", expect)],
        body,
        grid=grid,
        block=block,
        registers=".reg .b32 %x, %y, %z, %a, %b, %c, %d, %e, %f, %g, %h, %i, %n;\n.reg .b64 %p;",
    )
    a = values.words(200, 3)
    body = (
        """
        mov.u32 %c, %ctaid.x;
        mov.u32 %b, %ntid.x;
        mov.u32 %t, %tid.x;
        mad.lo.u32 %n, %c, %b, %t;
        ld.param.u32 %m, [n];
        setp.ge.u32 %k, %n, %m;
        @%k bra DONE;"""
        + address("%p", "a", "%n", 4)
        + "\nld.global.u32 %v, [%p];\nxor.b32 %v, %v, %n;"
        + address("%p", "r", "%n", 4)
        + """
        st.global.u32 [%p], %v;
        DONE:"""
    )
    yield Case(
        "grid_partial_last_cta",
        "a grid of CTAs whose last one is partly past the end",
        [given("a", "u32", a), out("r", "u32", [x ^ i for i, x in enumerate(a)]), scalar("n", "u32", 200)],
        body,
        grid=(7,),
        block=(33,),
        registers=".reg .b32 %c, %b, %t, %n, %m, %v;\n.reg .b64 %p;\n.reg .pred %k;",
    )
    body = (
        """
        mov.u32 %t, %tid.x;
        mov.u32 %b, %ctaid.x;
        mov.u32 %s, tile;
        mad.lo.u32 %s, %t, 4, %s;
        mad.lo.u32 %v, %b, 1000, %t;
        st.shared.u32 [%s], %v;
        bar.sync 0;
        xor.b32 %o, %t, 63;
        mov.u32 %s, tile;
        mad.lo.u32 %s, %o, 4, %s;
        ld.shared.u32 %v, [%s];
        mad.lo.u32 %n, %b, 64, %t;"""
        + address("%p", "r", "%n", 4)
        + "\nst.global.u32 [%p], %v;"
    )
    yield Case(
        "grid_shared_per_cta",
        "each CTA has shared memory of its own",
        [out("r", "u32", [1000 * c + (i ^ 63) for c in range(9) for i in range(64)])],
        body,
        grid=(9,),
        block=(64,),
        registers=".reg .b32 %t, %b, %s, %v, %o, %n;\n.reg .b64 %p;",
        module=".shared .align 4 .b8 tile[256];",
    )


def pdl():
    """Programmatic dependent launch around a kernel that depends on nothing."""
    body = """
        griddepcontrol.wait;
        mul.lo.u32 %r, %a, 3;
        griddepcontrol.launch_dependents;"""
    a = values.words(20, 4)
    yield each(
        "griddepcontrol",
        "griddepcontrol waits for nothing where nothing is before",
        body,
        [("a", "u32", a)],
        [("r", "u32", [3 * x & 0xFFFFFFFF for x in a])],
        90,
    )
    body = """
        {
        .reg .b32 %x;
        mul.lo.u32 %x, %a, 3;
        {
        .reg .b32 %x;
        add.u32 %x, %a, 1;
        mov.b32 %r, %x;
        }
        add.u32 %r, %r, %x;
        }"""
    yield each(
        "nested_scopes",
        "a register of an inner scope hides one of the same name",
        body,
        [("a", "u32", a)],
        [("r", "u32", [4 * x + 1 & 0xFFFFFFFF for x in a])],
    )


def cases():
    """All of them."""
    for part in (branches, loops, exits, grids, pdl):
        yield from part()

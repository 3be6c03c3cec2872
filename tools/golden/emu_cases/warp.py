"""What the lanes of a warp do together: shuffles, votes, matches, reductions, masks."""

from . import values
from .case import Case, address, each, out
from .floats import F32, add

FULL = 0xFFFFFFFF


def shuffled(mode, lane, by, control):
    """Source lane and predicate of a shuffle, as the manual's code writes it."""
    by, clamp, segment = by & 31, control & 31, control >> 8 & 31
    last = lane & segment | clamp & ~segment
    if mode == "up":
        j = lane - by
        inside = j >= last
    elif mode == "down":
        j = lane + by
        inside = j <= last
    elif mode == "bfly":
        j = lane ^ by
        inside = j <= last
    else:
        j = lane & segment | by & ~segment & 31
        inside = j <= last
    return (j if inside else lane), inside


def shuffles():
    """Every mode by several distances and widths; the predicate too."""
    a = values.words(32)
    for mode in ("up", "down", "bfly", "idx"):
        clamp = 0 if mode == "up" else 31
        settings = [(by, (32 - width) << 8 | clamp) for width in (32, 16, 8, 4) for by in (0, 1, 2, 3, 7, 16, 31)]
        settings += [(33, clamp), (5, 10), (1, 0x1805)]
        body, lanes, inside = "mov.u32 %r, 0;\nmov.u32 %f, 0;\n", [0] * 32, [0] * 32
        for i, (by, control) in enumerate(settings):
            body += f"shfl.sync.{mode}.b32 %v|%p, %a, {by}, {control:#x}, -1;\nmad.lo.u32 %r, %r, 31, %v;\n"
            body += f"@%p add.u32 %f, %f, {1 << i:#x};\n"
            for lane in range(32):
                j, ok = shuffled(mode, lane, by, control)
                lanes[lane] = (lanes[lane] * 31 + a[j]) & FULL
                inside[lane] += ok << i
        yield each(
            f"shfl_{mode}",
            f"shfl.sync.{mode}: distances, widths and the predicate; the results are hashed",
            body,
            [("a", "u32", a)],
            [("r", "u32", lanes), ("f", "u32", inside)],
            registers=".reg .pred %p;\n.reg .b32 %v;",
        )
    by = [(7 * i + 3) % 40 for i in range(32)]
    expect = [a[shuffled("idx", i, by[i], 0x1F)[0]] for i in range(32)]
    butterfly = [a[shuffled("bfly", i, by[i], 0x1F)[0]] for i in range(32)]
    body = "shfl.sync.idx.b32 %r, %a, %b, 31, -1;\nshfl.sync.bfly.b32 %s, %a, %b, 31, -1;"
    yield each(
        "shfl_per_lane",
        "each lane may name another source; a source past 31 wraps to five bits",
        body,
        [("a", "u32", a), ("b", "u32", by)],
        [("r", "u32", expect), ("s", "u32", butterfly)],
    )
    body = "mov.b32 %v, %a;\n"
    for step in (16, 8, 4, 2, 1):
        body += f"shfl.sync.bfly.b32 %w, %v, {step}, 31, -1;\nadd.f32 %v, %v, %w;\n"
    total = [0x3F800000 + (i << 18) for i in range(32)]
    tree = list(total)
    for step in (16, 8, 4, 2, 1):
        tree = [add(F32, tree[i], tree[i ^ step]) for i in range(32)]
    yield each(
        "shfl_sum",
        "a butterfly sum of f32 gives every lane the same bits",
        body + "mov.b32 %r, %v;",
        [("a", "u32", total)],
        [("r", "u32", tree)],
        registers=".reg .f32 %v, %w;",
    )


def divergent_shuffle():
    """Halves of a warp with masks of their own."""
    a = values.words(32, 2)
    body = """
        and.b32 %o, %t, 1;
        setp.eq.u32 %p, %o, 0;
        @%p bra EVEN;
        shfl.sync.idx.b32 %r, %a, 5, 31, 0xAAAAAAAA;
        bra.uni DONE;
        EVEN:
        shfl.sync.idx.b32 %r, %a, 8, 31, 0x55555555;
        DONE:
        bar.warp.sync -1;"""
    yield each(
        "shfl_in_both_branches",
        "lanes of each side of a branch shuffle under their own mask",
        body,
        [("a", "u32", a)],
        [("r", "u32", [a[8] if i % 2 == 0 else a[5] for i in range(32)])],
        registers=".reg .pred %p;\n.reg .b32 %o;",
    )


def teams():
    """Shuffles whose lanes have several member masks, or come one after the other."""
    a = values.words(32, 7)
    body = """
        setp.lt.u32 %p, %t, 16;
        selp.b32 %m, 0xFFFF, 0xFFFF0000, %p;
        shfl.sync.bfly.b32 %r, %a, 8, 31, %m;
        or.b32 %i, %t, 5;
        shfl.sync.idx.b32 %s, %a, %i, 31, %m;"""
    yield each(
        "shfl_two_masks",
        "the halves of a warp shuffle in one instruction, each under its own mask",
        body,
        [("a", "u32", a)],
        [("r", "u32", [a[i ^ 8] for i in range(32)]), ("s", "u32", [a[i | 5] for i in range(32)])],
        registers=".reg .pred %p;\n.reg .b32 %m, %i;",
    )
    body = """
        setp.lt.u32 %p, %t, 64;
        @%p mov.u32 %r, %a;
        and.b32 %c, %t, 1;
        mov.u32 %n, 0;
        bra.uni LOOP;
        MEET:
        shfl.sync.bfly.b32 %r, %r, 1, 31, -1;
        bra.uni DONE;
        LOOP:
        add.u32 %n, %n, 1;
        setp.gt.u32 %q, %n, %c;
        @%q bra MEET;
        bra.uni LOOP;
        DONE:"""
    yield each(
        "shfl_lanes_come_apart",
        "lanes that come to a shuffle one after the other, with a register that one path leaves unwritten",
        body,
        [("a", "u32", a)],
        [("r", "u32", [a[i ^ 1] for i in range(32)])],
        registers=".reg .pred %p, %q;\n.reg .b32 %c, %n;",
    )


def votes():
    """all, any, uni and ballot."""
    rows = {
        "n": lambda i: False,
        "y": lambda i: True,
        "o": lambda i: i == 17,
        "h": lambda i: i >= 16,
        "m": lambda i: i % 3 == 0,
    }
    body = "mov.u32 %r, 0;\n"
    bit, expect = 0, 0
    code = {
        "n": "setp.ne.u32 %p, %t, %t;",
        "y": "setp.eq.u32 %p, %t, %t;",
        "o": "setp.eq.u32 %p, %t, 17;",
        "h": "setp.ge.u32 %p, %t, 16;",
        "m": "rem.u32 %z, %t, 3;\nsetp.eq.u32 %p, %z, 0;",
    }
    outs = []
    for name, truth in rows.items():
        held = [truth(i) for i in range(32)]
        body += code[name] + "\n"
        for op, result in (("all", all(held)), ("any", any(held)), ("uni", all(held) or not any(held))):
            body += f"vote.sync.{op}.pred %q, %p, -1;\n@%q or.b32 %r, %r, {1 << bit:#x};\n"
            expect |= int(result) << bit
            bit += 1
        body += f"vote.sync.all.pred %q, !%p, -1;\n@%q or.b32 %r, %r, {1 << bit:#x};\n"
        body += f"vote.sync.ballot.b32 %{name}, %p, -1;\n"
        expect |= int(not any(held)) << bit
        bit += 1
        outs.append((name, "u32", [sum(int(h) << i for i, h in enumerate(held))] * 32))
    yield each(
        "vote_sync",
        "vote.sync all, any, uni and ballot",
        body,
        [("a", "u32", list(range(32)))],
        [("r", "u32", [expect] * 32), *outs],
        registers=".reg .pred %p, %q;\n.reg .b32 %z;",
    )
    body = """
        setp.lt.u32 %p, %t, 12;
        @!%p bra DONE;
        setp.gt.u32 %q, %t, 9;
        vote.sync.ballot.b32 %v, %q, 0xFFF;
        vote.sync.any.pred %q, %q, 0xFFF;
        @%q or.b32 %v, %v, 0x80000000;
        DONE:
        selp.u32 %r, %v, %t, %p;"""
    yield each(
        "vote_part_of_warp",
        "a vote under a mask counts its lanes alone",
        body,
        [("a", "u32", list(range(32)))],
        [("r", "u32", [0x80000C00 if i < 12 else i for i in range(32)])],
        registers=".reg .pred %p, %q;\n.reg .b32 %v;",
    )


def matches():
    """Lanes that hold the same value."""
    a = [(i * 5 % 7) * 0x01010101 for i in range(32)]
    same = [sum(1 << j for j in range(32) if a[j] == a[i]) for i in range(32)]
    yield each(
        "match_any",
        "match.any.sync gives the lanes with the same value",
        "match.any.sync.b32 %r, %a, -1;",
        [("a", "u32", a)],
        [("r", "u32", same)],
    )
    wide = [(i % 3) << 32 | 5 for i in range(32)]
    body = """
        match.any.sync.b64 %r, %a, -1;
        match.all.sync.b64 %v|%p, %a, -1;
        selp.u32 %x, %v, 7, %p;
        @%p or.b32 %x, %x, 8;
        mov.u32 %w, 99;
        match.all.sync.b32 %v|%p, %w, -1;
        selp.u32 %y, %v, 7, %p;"""
    yield each(
        "match_all",
        "match.all.sync gives the mask and true where all agree, 0 and false where not",
        body,
        [("a", "u64", wide)],
        [
            ("r", "u32", [sum(1 << j for j in range(32) if wide[j] == wide[i]) for i in range(32)]),
            ("x", "u32", [7] * 32),
            ("y", "u32", [FULL] * 32),
        ],
        registers=".reg .pred %p;\n.reg .b32 %v, %w;",
    )


def reductions():
    """redux.sync."""
    a = [x ^ (0x80000000 if i % 2 else 0) for i, x in enumerate(values.words(32, 6))]
    as_signed = [x - (1 << 32) if x >> 31 else x for x in a]
    low = [x | 0x00F0 for x in a]
    both, either, odd = FULL, 0, 0
    for x in low:
        both, either, odd = both & x, either | x, odd ^ x
    body = """
        redux.sync.add.u32 %u, %a, -1;
        redux.sync.add.s32 %s, %a, -1;
        redux.sync.min.u32 %l, %a, -1;
        redux.sync.max.u32 %h, %a, -1;
        redux.sync.min.s32 %m, %a, -1;
        redux.sync.max.s32 %x, %a, -1;
        or.b32 %v, %a, 0xF0;
        redux.sync.and.b32 %n, %v, -1;
        redux.sync.or.b32 %o, %v, -1;
        redux.sync.xor.b32 %e, %v, -1;"""
    results = [
        ("u", sum(a)),
        ("s", sum(a)),
        ("l", min(a)),
        ("h", max(a)),
        ("m", min(as_signed)),
        ("x", max(as_signed)),
        ("n", both),
        ("o", either),
        ("e", odd),
    ]
    yield each(
        "redux_sync",
        "redux.sync add, min, max, and, or, xor of a whole warp",
        body,
        [("a", "u32", a)],
        [(name, "u32", [x & FULL] * 32) for name, x in results],
        80,
        registers=".reg .b32 %v;",
    )
    body = """
        setp.lt.u32 %p, %t, 5;
        @%p bra LOW;
        redux.sync.add.u32 %r, %a, 0xFFFFFFE0;
        bra.uni DONE;
        LOW:
        redux.sync.max.u32 %r, %a, 0x1F;
        DONE:"""
    yield each(
        "redux_sync_masks",
        "redux.sync under the masks of two branches",
        body,
        [("a", "u32", a)],
        [("r", "u32", [max(a[:5]) if i < 5 else sum(a[5:]) & FULL for i in range(32)])],
        80,
        registers=".reg .pred %p;",
    )


def masks():
    """activemask and the lane registers."""
    body = (
        """
        mov.u32 %t, %tid.x;
        activemask.b32 %m;
        mov.u32 %l, %laneid;
        mov.u32 %e, %lanemask_eq;
        mov.u32 %b, %lanemask_lt;
        mov.u32 %c, %lanemask_le;
        mov.u32 %g, %lanemask_gt;
        mov.u32 %h, %lanemask_ge;
        mov.u32 %w, %warpid;
        shfl.sync.idx.b32 %x, %w, 0, 31, %m;
        setp.eq.u32 %p, %x, %w;
        selp.u32 %w, 1, 0, %p;"""
        + address("%q", "r", "%t", 32)
        + """
        st.global.v4.u32 [%q], {%m, %l, %e, %b};
        st.global.v4.u32 [%q+16], {%c, %g, %h, %w};"""
    )
    expect = []
    for i in range(45):
        lane = i % 32
        mask = FULL if i < 32 else (1 << 13) - 1
        equal, below = 1 << lane, (1 << lane) - 1
        expect += [mask, lane, equal, below, below | equal, FULL ^ below ^ equal, FULL ^ below, 1]
    yield Case(
        "lane_registers",
        "%laneid, %lanemask_*, activemask and %warpid in a whole and a partial warp",
        [out("r", "u32", expect)],
        body,
        block=(45,),
        registers=".reg .b32 %t, %m, %l, %e, %b, %c, %g, %h, %w, %x;\n.reg .b64 %q;\n.reg .pred %p;",
    )


def cases():
    """All of them."""
    for part in (shuffles, divergent_shuffle, teams, votes, matches, reductions, masks):
        yield from part()

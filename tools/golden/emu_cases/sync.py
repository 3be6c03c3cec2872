"""Barriers, named and counted, reductions over a CTA, fences, flags between CTAs."""

from . import values
from .case import Case, address, given, inout, out

WORDS = ".reg .b32 %t, %v, %w, %s, %o, %x, %c, %n;\n.reg .b64 %p, %q;\n.reg .pred %k, %j;"
TILE = ".shared .align 16 .b8 tile[1024];"


def slot(register, index):
    """PTX for the address of a word of `tile`."""
    return f"\nmov.u32 {register}, tile;\nmad.lo.u32 {register}, {index}, 4, {register};"


def store(expression="%v", index="%t"):
    """PTX that stores a word of `r`."""
    return address("%q", "r", index, 4) + f"\nst.global.u32 [%q], {expression};"


def barriers():
    """bar.sync in each spelling, twice round."""
    for name, op in (
        ("bar_sync", "bar.sync 0;"),
        ("barrier_sync_aligned", "barrier.sync.aligned 3;"),
        ("bar_sync_count", "bar.sync 1, 96;"),
        ("barrier_cta_sync", "barrier.cta.sync.aligned 0;"),
    ):
        body = (
            "mov.u32 %t, %tid.x;\nmul.lo.u32 %v, %t, 7;"
            + slot("%s", "%t")
            + f"""
            st.shared.u32 [%s], %v;
            {op}
            sub.u32 %o, 95, %t;"""
            + slot("%x", "%o")
            + f"""
            ld.shared.u32 %w, [%x];
            {op}
            st.shared.u32 [%s], %w;
            {op}
            add.u32 %o, %t, 1;
            rem.u32 %o, %o, 96;"""
            + slot("%x", "%o")
            + "\nld.shared.u32 %v, [%x];"
            + store()
        )
        yield Case(
            name,
            f"{op.strip(';')} orders shared memory between three warps",
            [out("r", "u32", [7 * (95 - (i + 1) % 96) for i in range(96)])],
            body,
            90 if "cta" in op else 75,
            block=(96,),
            registers=WORDS,
            module=TILE,
        )
    body = (
        "mov.u32 %t, %tid.x;"
        + slot("%s", "%t")
        + """
        st.shared.u32 [%s], %t;
        mov.u32 %n, 32;
        LOOP:
        bar.sync 0;
        setp.ge.u32 %k, %t, %n;
        @%k bra SKIP;
        ld.shared.u32 %v, [%s];
        mad.lo.u32 %x, %n, 4, %s;
        ld.shared.u32 %w, [%x];
        add.u32 %v, %v, %w;
        st.shared.u32 [%s], %v;
        SKIP:
        shr.u32 %n, %n, 1;
        setp.ne.u32 %k, %n, 0;
        @%k bra LOOP;
        bar.sync 0;
        mov.u32 %s, tile;
        ld.shared.u32 %v, [%s];"""
        + store()
    )
    yield Case(
        "bar_sync_tree_sum",
        "a tree sum over shared memory with a barrier a step",
        [out("r", "u32", [64 * 63 // 2] * 64)],
        body,
        block=(64,),
        registers=WORDS,
        module=TILE,
    )


def reductions():
    """bar.red."""
    body = """
        mov.u32 %t, %tid.x;
        and.b32 %o, %t, 3;
        setp.eq.u32 %k, %o, 1;
        bar.red.popc.u32 %v, 0, %k;
        bar.red.popc.u32 %w, 0, !%k;
        mad.lo.u32 %v, %w, 1000, %v;
        bar.red.or.pred %j, 0, %k;
        @%j add.u32 %v, %v, 1000000;
        bar.red.and.pred %j, 0, %k;
        @%j add.u32 %v, %v, 2000000;
        setp.lt.u32 %k, %t, 500;
        bar.red.and.pred %j, 2, 96, %k;
        @%j add.u32 %v, %v, 4000000;""" + store()
    held = sum(1 for i in range(70) if i & 3 == 1)
    yield Case(
        "bar_red",
        "bar.red.popc counts every thread of the CTA, .and and .or join them",
        [out("r", "u32", [held + 1000 * (70 - held) + 5000000] * 70)],
        body,
        block=(70,),
        registers=WORDS,
    )


def producer_consumer():
    """bar.arrive beside bar.sync: half of the warps write, the other half read."""
    body = (
        """
        mov.u32 %t, %tid.x;
        setp.ge.u32 %k, %t, 64;
        @%k bra CONSUMER;
        mul.lo.u32 %v, %t, 9;"""
        + slot("%s", "%t")
        + """
        st.shared.u32 [%s], %v;
        bar.arrive 1, 128;
        bar.sync 2, 64;
        xor.b32 %o, %t, 32;"""
        + slot("%x", "%o")
        + """
        ld.shared.u32 %v, [%x];
        bra.uni DONE;
        CONSUMER:
        bar.sync 1, 128;
        sub.u32 %o, %t, 64;"""
        + slot("%x", "%o")
        + """
        ld.shared.u32 %v, [%x];
        add.u32 %v, %v, 1;
        DONE:"""
        + store()
    )
    yield Case(
        "bar_arrive",
        "warps that arrive go on, warps that sync wait for them; two named barriers at once",
        [out("r", "u32", [9 * (i ^ 32) for i in range(64)] + [9 * i + 1 for i in range(64)])],
        body,
        block=(128,),
        registers=WORDS,
        module=TILE,
    )
    body = (
        "mov.u32 %t, %tid.x;"
        + slot("%s", "%t")
        + """
        mul.lo.u32 %v, %t, 5;
        st.shared.u32 [%s], %v;
        bar.warp.sync -1;
        xor.b32 %o, %t, 1;"""
        + slot("%x", "%o")
        + "\nld.shared.u32 %v, [%x];"
        + store()
    )
    yield Case(
        "bar_warp_sync",
        "bar.warp.sync orders shared memory between the lanes of a warp",
        [out("r", "u32", [5 * (i ^ 1) for i in range(64)])],
        body,
        block=(64,),
        registers=WORDS,
        module=TILE,
    )
    body = (
        """
        mov.u32 %t, %tid.x;
        setp.ge.u32 %k, %t, 64;
        @%k exit;"""
        + slot("%s", "%t")
        + """
        st.shared.u32 [%s], %t;
        bar.sync 0, 64;
        xor.b32 %o, %t, 32;"""
        + slot("%x", "%o")
        + "\nld.shared.u32 %v, [%x];"
        + store()
    )
    yield Case(
        "bar_sync_after_warps_left",
        "a barrier that counts 64 threads does not wait for warps that have left",
        [out("r", "u32", [i ^ 32 for i in range(64)])],
        body,
        block=(128,),
        registers=WORDS,
        module=TILE,
    )


def left():
    """Threads that have ended are waited for by nobody."""
    body = (
        """
        mov.u32 %t, %tid.x;
        setp.ge.u32 %k, %t, 75;
        @%k exit;"""
        + slot("%s", "%t")
        + """
        st.shared.u32 [%s], %t;
        bar.sync 0;
        sub.u32 %o, 74, %t;"""
        + slot("%x", "%o")
        + "\nld.shared.u32 %v, [%x];"
        + store()
    )
    yield Case(
        "bar_sync_of_remaining_threads",
        "a barrier without a count waits for the threads that have not ended: part of a warp, a whole one",
        [out("r", "u32", [74 - i for i in range(75)])],
        body,
        block=(128,),
        registers=WORDS,
        module=TILE,
    )
    body = """
        mov.u32 %t, %tid.x;
        setp.ge.u32 %k, %t, 21;
        @%k exit;
        setp.gt.u32 %k, %t, 3;
        vote.sync.ballot.b32 %v, %k, -1;
        shfl.sync.up.b32 %w, %t, 1, 0, -1;
        mad.lo.u32 %v, %w, 16777216, %v;
        and.b32 %n, %t, 1;
        match.any.sync.b32 %o, %n, -1;
        add.u32 %v, %v, %o;""" + store()
    even = sum(1 << i for i in range(0, 21, 2))
    odd = sum(1 << i for i in range(1, 21, 2))
    expect = [((1 << 21) - 16) + (max(i - 1, 0) << 24) + (odd if i & 1 else even) for i in range(21)]
    yield Case(
        "lanes_that_left_in_masks",
        "a mask may name lanes that have ended",
        [out("r", "u32", expect)],
        body,
        block=(32,),
        registers=WORDS,
    )
    body = """
        mov.u32 %t, %tid.x;
        cvt.u16.u32 %h, %t;
        mov.u32 %s, tile;
        add.u32 %s, %s, %t;
        st.shared.u8 [%s], %h;
        ld.shared.u8 %h, [%s];
        cvt.u32.u16 %v, %h;""" + store()
    yield Case(
        "neighbouring_bytes",
        "threads of two warps may write neighbouring bytes of a word",
        [out("r", "u32", list(range(70)))],
        body,
        block=(70,),
        registers=WORDS + "\n.reg .b16 %h;",
        module=TILE,
    )
    body = (
        "mov.u32 %t, %tid.x;\nmov.u32 %v, 77;\nst.shared.u32 [tile], %v;\nbar.sync 0;\nld.shared.u32 %v, [tile];"
        + store()
    )
    yield Case(
        "same_value_by_all_lanes",
        "all lanes of one store may write the same value to one word",
        [out("r", "u32", [77] * 32)],
        body,
        block=(32,),
        registers=WORDS,
        module=TILE,
    )


def fences():
    """The last CTA sums what the others wrote."""
    for name, fence, target in (
        ("fence_last_block_membar", "membar.gl;", 75),
        ("fence_last_block_acq_rel", "fence.acq_rel.gpu;", 75),
        ("fence_last_block_sc", "fence.sc.gpu;", 75),
    ):
        body = (
            """
            mov.u32 %t, %tid.x;
            setp.ne.u32 %k, %t, 0;
            @%k exit;
            mov.u32 %c, %ctaid.x;
            mad.lo.u32 %v, %c, 10, 3;"""
            + address("%p", "part", "%c", 4)
            + f"""
            st.global.u32 [%p], %v;
            {fence}
            ld.param.u64 %p, [count];
            atom.global.add.u32 %v, [%p], 1;
            setp.ne.u32 %k, %v, 6;
            @%k exit;
            {fence}
            mov.u32 %v, 0;
            mov.u32 %n, 0;
            LOOP:"""
            + address("%p", "part", "%n", 4)
            + """
            ld.global.u32 %w, [%p];
            add.u32 %v, %v, %w;
            add.u32 %n, %n, 1;
            setp.lt.u32 %k, %n, 7;
            @%k bra LOOP;
            mov.u32 %n, 0;"""
            + store(index="%n")
        )
        parts = [10 * i + 3 for i in range(7)]
        yield Case(
            name,
            f"the last of seven CTAs sums the others' parts behind {fence.strip(';')}",
            [out("part", "u32", parts), inout("count", "u32", [0], [7]), out("r", "u32", [sum(parts)])],
            body,
            target,
            grid=(7,),
            registers=WORDS,
        )
    a = values.words(64, 8)
    body = (
        """
        mov.u32 %t, %tid.x;"""
        + address("%p", "a", "%t", 4)
        + "\nld.global.u32 %v, [%p];"
        + slot("%s", "%t")
        + """
        st.shared.u32 [%s], %v;
        membar.cta;
        fence.acq_rel.cta;
        membar.sys;
        bar.sync 0;
        xor.b32 %o, %t, 63;"""
        + slot("%x", "%o")
        + "\nld.shared.u32 %v, [%x];"
        + store()
    )
    yield Case(
        "fence_in_cta",
        "fences of every scope beside a barrier",
        [given("a", "u32", a), out("r", "u32", a[::-1])],
        body,
        block=(64,),
        registers=WORDS,
        module=TILE,
    )
    body = (
        """
        mov.u32 %t, %tid.x;"""
        + address("%p", "part", "%t", 4)
        + """
        mul.lo.u32 %v, %t, 11;
        st.global.u32 [%p], %v;
        bar.sync 0;
        sub.u32 %o, 63, %t;"""
        + address("%p", "part", "%o", 4)
        + "\nld.global.u32 %v, [%p];"
        + store()
    )
    yield Case(
        "bar_sync_global",
        "bar.sync orders global memory too within a CTA",
        [out("part", "u32", [11 * i for i in range(64)]), out("r", "u32", [11 * (63 - i) for i in range(64)])],
        body,
        block=(64,),
        registers=WORDS,
    )
    body = """
        mov.u32 %t, %tid.x;
        ld.param.u64 %p, [flag];
        ld.param.u64 %q, [part];
        setp.lt.u32 %k, %t, 32;
        @!%k bra READER;
        setp.ne.u32 %k, %t, 0;
        @%k exit;
        mov.u32 %v, 4321;
        st.global.u32 [%q], %v;
        st.release.gpu.global.u32 [%p], 1;
        exit;
        READER:
        setp.ne.u32 %k, %t, 32;
        @%k exit;
        WAIT:
        ld.acquire.gpu.global.u32 %v, [%p];
        setp.eq.u32 %k, %v, 0;
        @%k bra WAIT;
        ld.global.u32 %v, [%q];
        add.u32 %v, %v, 1;
        ld.param.u64 %q, [r];
        st.global.u32 [%q], %v;"""
    yield Case(
        "acquire_release_flag",
        "a warp waits for a flag that another one releases",
        [inout("flag", "u32", [0], [1]), out("part", "u32", [4321]), out("r", "u32", [4322])],
        body,
        block=(64,),
        registers=WORDS,
    )


def cases():
    """All of them."""
    for part in (barriers, reductions, producer_consumer, left, fences):
        yield from part()

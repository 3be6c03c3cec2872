"""atom and red: every operation and type, by thread alone and under contention where the result is one."""

from . import floats, values
from .case import Case, address, given, inout, out
from .floats import F16, F32
from .integer import signed

WORDS = ".reg .b32 %t, %v, %o, %n, %s;\n.reg .b64 %p, %w, %x, %y;"


def increment(old, limit):
    """inc."""
    return 0 if old >= limit else old + 1


def decrement(old, limit):
    """dec."""
    return limit if old == 0 or old > limit else old - 1


OPERATIONS = {
    "add.u32": lambda x, y: x + y,
    "add.s32": lambda x, y: x + y,
    "add.u64": lambda x, y: x + y,
    "min.u32": min,
    "max.u32": max,
    "min.s32": lambda x, y: min(signed(x, 32), signed(y, 32)),
    "max.s32": lambda x, y: max(signed(x, 32), signed(y, 32)),
    "min.u64": min,
    "max.u64": max,
    "max.s64": lambda x, y: max(signed(x, 64), signed(y, 64)),
    "and.b32": lambda x, y: x & y,
    "or.b32": lambda x, y: x | y,
    "xor.b32": lambda x, y: x ^ y,
    "xor.b64": lambda x, y: x ^ y,
    "exch.b32": lambda x, y: y,
    "exch.b64": lambda x, y: y,
    "inc.u32": increment,
    "dec.u32": decrement,
}


def alone():
    """Each thread on a word of its own: the old value and the new one."""
    for op, compute in OPERATIONS.items():
        width = int(op[-2:])
        kind = f"u{width}"
        x, b = values.pairs(values.EDGES[kind])
        register, old = ("%v", "%o") if width == 32 else ("%w", "%x")
        after = [compute(*row) for row in zip(x, b)]
        load = f"mov.u32 %t, %tid.x;{address('%p', 'b', '%t', width // 8)}\nld.global.{kind} {register}, [%p];"
        load += address("%p", "x", "%t", width // 8)
        keep = address("%p", "old", "%t", width // 8) + f"\nst.global.{kind} [%p], {old};"
        name = "_" + op.replace(".", "_")
        yield Case(
            "atom_global" + name,
            f"atom.global.{op} gives the old value and leaves the new one",
            [given("b", kind, b), inout("x", kind, x, after), out("old", kind, x)],
            load + f"\natom.global.{op} {old}, [%p], {register};" + keep,
            block=(len(x),),
            registers=WORDS,
        )
        share = f"""
            mov.u32 %s, tile;
            mad.lo.u32 %s, %t, {width // 8}, %s;
            ld.global.{kind} {old}, [%p];
            st.shared.{kind} [%s], {old};
            mov.u{width} {old}, 0;
            atom.shared.{op} {old}, [%s], {register};
            ld.shared.{kind} {register}, [%s];
            st.global.{kind} [%p], {register};"""
        yield Case(
            "atom_shared" + name,
            f"atom.shared.{op} gives the old value and leaves the new one",
            [given("b", kind, b), inout("x", kind, x, after), out("old", kind, x)],
            load + share + keep,
            block=(len(x),),
            registers=WORDS,
            module=".shared .align 8 .b8 tile[2048];",
        )


def discarded():
    """red of every operation: atom without the old value."""
    reductions = {op: f for op, f in OPERATIONS.items() if "exch" not in op}
    x = [values.EDGES[f"u{op[-2:]}"][2 + i % 8] for i, op in enumerate(reductions)]
    b = [values.EDGES[f"u{op[-2:]}"][11 - i % 8] for i, op in enumerate(reductions)]
    body = "ld.param.u64 %p, [x];\nld.param.u64 %y, [b];"
    for i, op in enumerate(reductions):
        register = "%v" if op.endswith("32") else "%w"
        body += f"\nld.global.u{op[-2:]} {register}, [%y+{8 * i}];\nred.global.{op} [%p+{8 * i}], {register};"
    after = [compute(u, v) % (1 << int(op[-2:])) for (op, compute), u, v in zip(reductions.items(), x, b)]
    yield Case(
        "red_global",
        "red.global of " + ", ".join(reductions),
        [given("b", "u64", b), inout("x", "u64", x, after)],
        body,
        block=(1,),
        registers=WORDS,
    )


def compare_and_swap():
    """cas of 16, 32 and 64 bits."""
    for width, target in ((16, 75), (32, 75), (64, 75)):
        kind = f"u{width}"
        x = values.bits(f"cas x {width}", width, 40)
        b = [v if i % 3 else v ^ 1 << (i % width) for i, v in enumerate(x)]
        c = values.bits(f"cas c {width}", width, 40)
        regs = ["%a", "%b", "%c"]
        code = "mov.u32 %t, %tid.x;"
        for register, name in zip(regs[1:], ("b", "c")):
            code += address("%p", name, "%t", width // 8) + f"\nld.global.{kind} {register}, [%p];"
        code += address("%p", "x", "%t", width // 8) + f"\natom.global.cas.b{width} %a, [%p], %b, %c;"
        code += address("%p", "old", "%t", width // 8) + f"\nst.global.{kind} [%p], %a;"
        yield Case(
            f"atom_cas_b{width}",
            f"atom.cas.b{width} stores c where the old value is b",
            [
                given("b", kind, b),
                given("c", kind, c),
                inout("x", kind, x, [w if u == v else u for u, v, w in zip(x, b, c)]),
                out("old", kind, x),
            ],
            code,
            target,
            block=(40,),
            registers=f".reg .b32 %t;\n.reg .b64 %p;\n.reg .b{width} %a, %b, %c;",
        )


def floating():
    """add of f32 and of halves."""
    a, b = values.pairs(values.F32[:20])
    flushed = [floats.add(F32, x, y, ftz=True) if not unstated(x, y) else None for x, y in zip(a, b)]
    rows = [(x, y, z) for x, y, z in zip(a, b, flushed) if z is not None]
    x, v, expect = values.columns(rows)
    code = "mov.u32 %t, %tid.x;" + address("%p", "b", "%t", 4) + "\nld.global.u32 %v, [%p];"
    code += (
        address("%p", "x", "%t", 4)
        + "\natom.global.add.f32 %o, [%p], %v;"
        + address("%p", "old", "%t", 4)
        + "\nst.global.u32 [%p], %o;"
    )
    yield Case(
        "atom_add_f32_global",
        "atom.global.add.f32 rounds to nearest even and flushes subnormals",
        [given("b", "u32", v), inout("x", "u32", x, expect), out("old", "u32", x)],
        code,
        block=(len(x),),
        registers=WORDS,
    )
    code = (
        "mov.u32 %t, %tid.x;"
        + address("%p", "x", "%t", 4)
        + """
        ld.global.u32 %v, [%p];
        mov.u32 %s, tile;
        mad.lo.u32 %s, %t, 4, %s;
        st.shared.u32 [%s], %v;"""
        + address("%p", "b", "%t", 4)
        + """
        ld.global.u32 %v, [%p];
        atom.shared.add.f32 %o, [%s], %v;
        ld.shared.u32 %v, [%s];"""
        + address("%p", "r", "%t", 4)
        + "\nst.global.u32 [%p], %v;"
    )
    yield Case(
        "atom_add_f32_shared",
        "atom.shared.add.f32 keeps subnormals",
        [given("x", "u32", a), given("b", "u32", b), out("r", "u32", [floats.add(F32, *row) for row in zip(a, b)])],
        code,
        block=(len(a),),
        registers=WORDS,
        module=".shared .align 4 .b8 tile[2048];",
    )
    a, b = values.pairs(values.F16_FINITE)
    pack = lambda u: [low | high << 16 for low, high in zip(u[::2], u[1::2])]  # noqa: E731
    total = pack([floats.add(F16, *row) for row in zip(a, b)])
    x, v = pack(a), pack(b)
    code = "mov.u32 %t, %tid.x;" + address("%p", "b", "%t", 4) + "\nld.global.u32 %v, [%p];"
    code += address("%p", "x", "%t", 4) + "\natom.global.add.noftz.f16x2 %o, [%p], %v;" + address("%p", "old", "%t", 4)
    yield Case(
        "atom_add_f16x2",
        "atom.add.noftz.f16x2 adds both halves and keeps subnormals",
        [given("b", "u32", v), inout("x", "u32", x, total), out("old", "u32", x)],
        code + "\nst.global.u32 [%p], %o;",
        block=(len(x),),
        registers=WORDS,
    )


def unstated(x, y):
    """Whether the manual leaves a flushed sum open."""
    try:
        floats.add(F32, x, y, ftz=True)
    except floats.Unstated:
        return True
    return False


def contended():
    """Many threads on one word, where any order gives the same."""
    body = """
        mov.u32 %t, %tid.x;
        mov.u32 %n, %ctaid.x;
        mad.lo.u32 %n, %n, 50, %t;
        add.u32 %v, %n, 1;
        ld.param.u64 %p, [x];
        red.global.add.u32 [%p], %v;
        red.global.max.u32 [%p+4], %v;
        red.global.min.s32 [%p+8], %v;
        red.global.or.b32 [%p+12], %v;
        red.relaxed.gpu.global.xor.b32 [%p+16], %v;
        cvt.rn.f32.u32 %v, %v;
        red.global.add.f32 [%p+20], %v;
        atom.global.inc.u32 %o, [%p+24], 99;
        red.global.and.b32 [%p+28], -2;"""
    n = range(1, 151)
    odd = 0
    for i in n:
        odd ^= i
    expect = [sum(n), 150, 1, 255, odd, floats.from_float(float(sum(n))), 50, 0xFFFFFFFE]
    yield Case(
        "red_contended",
        "red from 150 threads of three CTAs on the same words",
        [inout("x", "u32", [0, 0, 1000, 0, 0, 0, 0, 0xFFFFFFFF], expect)],
        body,
        grid=(3,),
        block=(50,),
        registers=WORDS,
    )
    body = (
        """
        mov.u32 %t, %tid.x;
        setp.ne.u32 %k, %t, 0;
        @%k bra CLEARED;
        st.shared.u32 [cell], 0;
        CLEARED:
        bar.sync 0;
        atom.shared.add.u32 %o, [cell], 1;"""
        + address("%p", "seen", "%o", 4)
        + """
        atom.global.add.u32 %v, [%p], 1;
        bar.sync 0;
        ld.shared.u32 %v, [cell];"""
        + address("%p", "r", "%t", 4)
        + "\nst.global.u32 [%p], %v;"
    )
    yield Case(
        "atom_shared_tickets",
        "an atomic counter gives each thread a ticket of its own",
        [inout("seen", "u32", [0] * 70, [1] * 70), out("r", "u32", [70] * 70)],
        body,
        block=(70,),
        registers=WORDS + "\n.reg .pred %k;",
        module=".shared .align 4 .b8 cell[4];",
    )
    body = """
        mov.u32 %t, %tid.x;
        ld.param.u64 %p, [lock];
        LOOP:
        atom.acquire.gpu.global.cas.b32 %o, [%p], 0, 1;
        setp.ne.u32 %k, %o, 0;
        @%k bra LOOP;
        ld.param.u64 %w, [x];
        ld.relaxed.gpu.global.u32 %v, [%w];
        mad.lo.u32 %v, %v, 2, 1;
        st.relaxed.gpu.global.u32 [%w], %v;
        atom.release.gpu.global.exch.b32 %o, [%p], 0;"""
    yield Case(
        "atom_lock",
        "a lock by cas and exch lets one thread at a time through",
        [inout("lock", "u32", [0], [0]), inout("x", "u32", [0], [31])],
        body,
        grid=(5,),
        block=(1,),
        registers=WORDS + "\n.reg .pred %k;",
    )
    ops = [
        "atom.relaxed.cta.global.add.u32",
        "atom.relaxed.gpu.global.add.u32",
        "atom.acq_rel.gpu.global.add.u32",
        "atom.release.sys.global.add.u32",
        "atom.acquire.gpu.global.add.u32",
        "atom.add.u32",
        "atom.sys.global.add.u32",
    ]
    a = values.words(20, 14)
    body = "mov.u32 %t, %tid.x;" + address("%p", "x", "%t", 4) + "\nmov.u32 %n, 0;"
    for i, op in enumerate(ops):
        body += f"\n{op} %o, [%p], {3**i};\nadd.u32 %n, %n, %o;"
    body += address("%p", "r", "%t", 4) + "\nst.global.u32 [%p], %n;"
    steps = [sum(3**j for j in range(i)) for i in range(len(ops))]
    yield Case(
        "atom_scopes",
        "scopes and orders of atom change no value, nor does a generic address",
        [
            inout("x", "u32", a, [x + sum(3**i for i in range(len(ops))) for x in a]),
            out("r", "u32", [sum(x + s for s in steps) for x in a]),
        ],
        body,
        block=(20,),
        registers=WORDS,
    )


def cases():
    """All of them."""
    for part in (alone, discarded, compare_and_swap, floating, contended):
        yield from part()

"""Every type that an instruction may be written with, where the type alone changes nothing or only the width."""

from . import floats, values
from .case import Case, address, each, given, out
from .integer import number, signed

LOADED = {
    "b8": 1,
    "u8": 1,
    "s8": 1,
    "b16": 2,
    "u16": 2,
    "s16": 2,
    "b32": 4,
    "u32": 4,
    "s32": 4,
    "f32": 4,
    "b64": 8,
    "u64": 8,
    "s64": 8,
    "f64": 8,
}


def copied(name, about, load, store, place="", module="", target=75):
    """A case that copies 16 bytes a thread and a form by every type, alone and in vectors, through `place`."""
    forms = [(kind, count) for kind, width in LOADED.items() for count in (1, 2, 4) if width * count <= 16]
    threads, row = 3, 16 * len(forms)
    a = values.bits(name, 8, threads * row)
    body = "mov.u32 %t, %tid.x;" + address("%p", "a", "%t", row) + address("%q", "r", "%t", row) + place
    for i, (kind, count) in enumerate(forms):
        width = LOADED[kind]
        registers = [f"%{'h' if width < 4 else 'w' if width == 4 else 'd'}{j}" for j in range(count)]
        vector = f".v{count}" if count > 1 else ""
        operand = f"{{{', '.join(registers)}}}" if count > 1 else registers[0]
        for at in range(0, 16, width * count):
            body += load.format(form=f"{vector}.{kind}", value=operand, at=16 * i + at)
            body += store.format(form=f"{vector}.{kind}", value=operand, at=16 * i + at)
    return Case(
        name,
        about,
        [given("a", "u8", a), out("r", "u8", a)],
        body,
        target,
        block=(threads,),
        module=module,
        registers=".reg .b32 %t, %s;\n.reg .b64 %p, %q, %l;\n.reg .b16 %h<4>;\n.reg .b32 %w<4>;\n.reg .b64 %d<2>;",
    )


def memory():
    """ld and st of every type in every space."""
    plain = "\nst.global{form} [%q+{at}], {value};"
    yield copied(
        "ld_st_global_types",
        "ld.global and st.global of every type and vector",
        "\nld.global{form} {value}, [%p+{at}];",
        plain,
    )
    yield copied(
        "ld_nc_types", "ld.global.nc of every type and vector", "\nld.global.nc{form} {value}, [%p+{at}];", plain
    )
    yield copied(
        "ld_st_generic_types",
        "generic ld and st of every type and vector",
        "\nld{form} {value}, [%p+{at}];",
        "\nst{form} [%q+{at}], {value};",
    )
    shared = "\nst.shared{form} [%s], {value};\nld.shared{form} {value}, [%s];" + plain
    yield copied(
        "ld_st_shared_types",
        "ld.shared and st.shared of every type and vector",
        "\nld.global{form} {value}, [%p+{at}];",
        shared,
        "\nmov.u32 %s, tile;\nmad.lo.u32 %s, %t, 16, %s;",
        ".shared .align 16 .b8 tile[48];",
    )
    local = "\nst.local{form} [%l], {value};\nld.local{form} {value}, [%l];" + plain
    case = copied(
        "ld_st_local_types",
        "ld.local and st.local of every type and vector",
        "\nld.global{form} {value}, [%p+{at}];",
        local,
        "\nmov.u64 %l, stack;",
    )
    case.registers = ".local .align 16 .b8 stack[16];\n" + case.registers
    yield case
    table = values.words(8, 40)
    body = "mov.u32 %t, %tid.x;\nmov.u64 %l, table;" + address("%q", "r", "%t", 64)
    body += "\nld.const.v4.f32 {%w0, %w1, %w2, %w3}, [%l];\nst.global.v4.f32 [%q], {%w0, %w1, %w2, %w3};"
    body += "\nld.const.u64 %d0, [%l+16];\nld.const.b64 %d1, [table+24];\nst.global.v2.u64 [%q+16], {%d0, %d1};"
    body += "\nld.const.u16 %h0, [%l+2];\nld.const.b16 %h1, [%l+4];\nst.global.v2.u16 [%q+32], {%h0, %h1};"
    body += "\nld.const.u8 %w0, [table+7];\nld.const.s16 %w1, [table+6];"
    body += "\nst.global.u32 [%q+36], %w0;\nst.global.u32 [%q+40], %w1;"
    body += "\nld.const.s32 %d0, [table+8];\nst.global.u64 [%q+48], %d0;"
    body += "\nld.const.b32 %w2, [%l+28];\nst.global.b32 [%q+56], %w2;"
    body += "\nst.global.u32 [%q+44], 0;\nst.global.u32 [%q+60], 0;"
    halves = table[0] >> 16 | (table[1] & 0xFFFF) << 16
    wide = signed(table[2], 32)
    expect = [*table, halves, table[1] >> 24, signed(table[1] >> 16, 16), 0, wide, wide >> 32, table[7], 0]
    module = f".const .align 16 .u32 table[8] = {{{', '.join(map(hex, table))}}};"
    yield Case(
        "ld_const_types",
        "ld.const of every width, and vectors",
        [out("r", "u32", expect)],
        body,
        block=(1,),
        module=module,
        registers=".reg .b32 %t;\n.reg .b64 %q, %l;\n.reg .b16 %h<2>;\n.reg .b32 %w<4>;\n.reg .b64 %d<2>;",
    )


def names():
    """WARP_SZ in registers of each width; prefetches of every form."""
    body = """
        mov.u64 %d, -1;
        add.u64 %d, %d, %a;
        mov.u64 %d, WARP_SZ;
        mov.u32 %w, WARP_SZ;
        mov.u16 %h, WARP_SZ;
        prefetch.global.L1 [%at];
        prefetch.global.L2::evict_last [%at];
        prefetch.global.L2::evict_normal [%at];
        prefetch.L2 [%at];
        prefetchu.L1 [%at];"""
    yield each(
        "warp_sz_prefetch",
        "WARP_SZ as a number of 16, 32 and 64 bits; prefetches do nothing",
        body,
        [("a", "u64", values.U64[:4])],
        [("d", "u64", [32] * 4), ("w", "u32", [32] * 4), ("h", "u16", [32] * 4)],
        80,
    )


def arithmetic():
    """add, sub and mul.lo of every integer type; what is signed makes no difference."""
    for width in (16, 32, 64):
        kind = f"u{width}"
        a, b = values.pairs(values.EDGES[kind])
        body, outs = "", []
        for op, compute in (("add", lambda x, y: x + y), ("sub", lambda x, y: x - y), ("mul.lo", lambda x, y: x * y)):
            for sign in "us":
                result = f"{op[:3]}{sign}"
                body += f"{op}.{sign}{width} %{result}, %a, %b;\n"
                outs.append((result, kind, [compute(x, y) % (1 << width) for x, y in zip(a, b)]))
        yield each(
            f"int_ring_{width}",
            f"add, sub and mul.lo of u{width} and s{width} give the same bits",
            body,
            [("a", kind, a), ("b", kind, b)],
            outs,
        )


def moves():
    """mov and selp of every type, comparison of untyped bits."""
    for width, kinds in ((16, "b16 u16 s16"), (32, "b32 u32 s32 f32"), (64, "b64 u64 s64 f64")):
        kind = f"u{width}"
        a, b = values.bits(f"mov a {width}", width, 33), values.bits(f"mov b {width}", width, 33)
        body, outs = "and.b32 %i, %t, 1;\nsetp.ne.u32 %p, %i, 0;\n", []
        for name in kinds.split():
            body += f"mov.{name} %m{name}, %a;\nselp.{name} %s{name}, %a, %b, %p;\n"
            outs += [
                (f"m{name}", kind, a),
                (f"s{name}", kind, [x if i & 1 else y for i, (x, y) in enumerate(zip(a, b))]),
            ]
        yield each(
            f"mov_selp_{width}",
            f"mov and selp of {kinds} carry any bits",
            body,
            [("a", kind, a), ("b", kind, b)],
            outs,
            registers=".reg .pred %p;\n.reg .b32 %i;",
        )
        a = values.EDGES[kind]
        b = a[:3] + a[:-3]
        body = (
            f"setp.eq.b{width} %p, %a, %b;\nselp.u32 %r, 1, 0, %p;\nsetp.ne.b{width} %p, %a, %b;\n@%p or.b32 %r, %r, 2;"
        )
        yield each(
            f"setp_b{width}",
            f"setp.eq and setp.ne of b{width}",
            body,
            [("a", kind, a), ("b", kind, b)],
            [("r", "u32", [1 if x == y else 2 for x, y in zip(a, b)])],
            registers=".reg .pred %p;",
        )


def conversions():
    """cvt from every integer type to every other, and to and from f32."""
    kinds = [f"{sign}{width}" for width in (8, 16, 32, 64) for sign in "us"]
    a = values.U64 + values.U32 + [0x80, 0x7F, 0xFF, 0x8000, 0x7FFF, 0x80FF7F80]
    loads = "cvt.u32.u64 %w, %a;\ncvt.u16.u64 %h, %a;\n"
    source = {8: "%h", 16: "%h", 32: "%w", 64: "%a"}
    for target in kinds:
        width = int(target[1:])
        body, outs = loads, []
        for other in kinds:
            bits = int(other[1:])
            low = [x & (1 << bits) - 1 for x in a]
            exact = [signed(x, bits) if other[0] == "s" else x for x in low]
            # An 8-bit result fills its 16-bit register by its own sign.
            if width == 8:
                exact = [signed(x & 0xFF, 8) if target[0] == "s" else x & 0xFF for x in exact]
            name = f"{target}_{other}"
            body += f"cvt.{target}.{other} %{name}, {source[bits]};\n"
            outs.append((name, f"u{max(16, width)}", exact))
        yield each(
            f"cvt_int_to_{target}",
            f"cvt.{target} from every integer type: the low bits, then the source's sign",
            body,
            [("a", "u64", a)],
            outs,
            registers=".reg .b32 %w;\n.reg .b16 %h;",
        )


def compares():
    """setp with a constant, both ways round."""
    body = """
        setp.gt.s32 %p, %a, -5;
        selp.u32 %r, 1, 0, %p;
        setp.lt.u32 %p, %a, 4294967291;
        @%p or.b32 %r, %r, 2;
        setp.ge.s64 %p, %b, -1;
        @%p or.b32 %r, %r, 4;
        setp.leu.f32 %p, %a, 0f3F800000;
        @%p or.b32 %r, %r, 8;"""
    a = values.U32 + values.F32
    b = [(x << 32 | y) for x, y in zip(a, a[::-1])]
    expect = [
        int(number(x, "s32") > -5)
        | int(x < 4294967291) << 1
        | int(number(y, "s64") >= -1) << 2
        | int(floats.compare(floats.F32, "leu", x, 0x3F800000)) << 3
        for x, y in zip(a, b)
    ]
    yield each(
        "setp_immediates",
        "setp against constants of every kind",
        body,
        [("a", "u32", a), ("b", "u64", b)],
        [("r", "u32", expect)],
        registers=".reg .pred %p;",
    )


def cases():
    """All of them."""
    for part in (memory, names, arithmetic, moves, conversions, compares):
        yield from part()

"""ldmatrix and mma.sync. Tensor-core sums are mmasim's, for the generation that a case's target names."""

import numpy as np
import torch
from mmasim.nv_ptx.sim import MMA

from . import floats, values
from .case import Case, address, given, out
from .floats import BF16, F16, F32

GENERATIONS = {75: "Turing", 80: "Ampere", 90: "Hopper"}
TORCH = {F16: torch.float16, BF16: torch.bfloat16}


def load_matrices():
    """ldmatrix by count, straight and transposed, and with rows in any order."""
    halves = [(0x1000 + 5 * i) & 0xFFFF for i in range(4 * 64)]
    for count in (1, 2, 4):
        for trans in ("", ".trans"):
            names = ["%x", "%y", "%z", "%w"][:count]
            body = (
                "mov.u32 %t, %tid.x;"
                + address("%p", "a", "%t", 16)
                + """
                ld.global.v4.u32 {%x, %y, %z, %w}, [%p];
                mov.u32 %s, tile;
                xor.b32 %o, %t, 5;
                mad.lo.u32 %o, %o, 16, %s;
                st.shared.v4.u32 [%o], {%x, %y, %z, %w};
                bar.warp.sync -1;
                xor.b32 %o, %t, 5;
                mad.lo.u32 %o, %o, 16, %s;"""
                + f"\nldmatrix.sync.aligned.m8n8.x{count}{trans}.shared.b16 {{{', '.join(names)}}}, [%o];"
            )
            body += address("%p", "r", "%t", 4 * count) + "".join(
                f"\nst.global.u32 [%p+{4 * i}], {n};" for i, n in enumerate(names)
            )
            expect = []
            for lane in range(32):
                for m in range(count):
                    row, column = lane // 4, 2 * (lane % 4)
                    pair = [(column, row), (column + 1, row)] if trans else [(row, column), (row, column + 1)]
                    low, high = (halves[64 * m + 8 * r + c] for r, c in pair)
                    expect.append(low | high << 16)
            words = [low | high << 16 for low, high in zip(halves[::2], halves[1::2])]
            yield Case(
                f"ldmatrix_x{count}{trans.replace('.', '_')}",
                f"ldmatrix.x{count}{trans}: rows come from the addresses of lanes 0 to {8 * count - 1}",
                [given("a", "u32", words), out("r", "u32", expect)],
                body,
                registers=".reg .b32 %t, %s, %o, %x, %y, %z, %w;\n.reg .b64 %p;",
                module=".shared .align 16 .b8 tile[512];",
            )


def numbers(fmt, kind, rng, count):
    """Operands of one sort, as bits."""
    top, fraction = (1 << fmt.exponent_bits) - 1, 1 << fmt.fraction_bits

    def one(low, high):
        return rng.randrange(2) << 15 | rng.randrange(low, high) << fmt.fraction_bits | rng.randrange(fraction)

    near, small = (fmt.bias - 3, fmt.bias + 3), (fmt.bias - 13, fmt.bias + 13)
    if kind == "wide":
        return [one(*small) for _ in range(count)]
    if kind == "denormal":
        return [one(0, 1) if rng.randrange(3) else one(max(fmt.bias - 14, 1), fmt.bias + 14) for _ in range(count)]
    if kind == "special":
        rare = [0x0000, 0x8000, fmt.infinity, fmt.infinity | 0x8000, fmt.infinity | 1, (top << fmt.fraction_bits) - 1]
        return [rare[rng.randrange(len(rare))] if rng.randrange(24) == 0 else one(*near) for _ in range(count)]
    return [one(*near) for _ in range(count)]


def accumulator(kind, rng, count):
    """f32 bits of the third operand."""
    if kind == "denormal":
        return [rng.getrandbits(23) | rng.getrandbits(1) << 31 for _ in range(count)]
    if kind == "special":
        rare = [0x7F800000, 0xFF800000, 0x7FC00000, 0x80000000, 0x7F7FFFFF]
        return [rare[i % 5] if rng.randrange(6) == 0 else floats.from_float(rng.gauss(0, 1)) for i in range(count)]
    scale = 2.0**12 if kind == "wide" else 1.0
    return [floats.from_float(rng.gauss(0, 1) * scale) for _ in range(count)]


KINDS = ("normal", "cancel", "wide", "denormal", "special")


def operands(fmt, k, name):
    """A (16 x k), B (k x 8), C (16 x 8) of each kind; in `cancel` the second half of K takes the first half away."""
    rng = values.generator(name)
    for kind in KINDS:
        a = np.array(numbers(fmt, kind, rng, 16 * k), np.uint16).reshape(16, k)
        b = np.array(numbers(fmt, kind, rng, k * 8), np.uint16).reshape(k, 8)
        c = np.array(accumulator(kind, rng, 128), np.uint32).reshape(16, 8)
        if kind == "cancel":
            a[:, k // 2 :] = a[:, : k // 2] ^ 0x8000
            b[k // 2 :] = b[: k // 2]
            b[-1] += 1
            tiny = [0x2F000000 + 0x7003 * i | (i & 1) << 31 for i in range(128)]
            c = np.array(tiny, np.uint32).reshape(16, 8)
        yield a, b, c


def product(fmt, target, shape, a, b, c, d_fmt):
    """What the tensor core of a target gives, as bits."""
    tensor = lambda bits, kind: torch.from_numpy(np.ascontiguousarray(bits)).view(kind)  # noqa: E731
    d_kind = torch.float32 if d_fmt is F32 else torch.float16
    model = MMA(GENERATIONS[target], f"{shape}.{d_fmt.name}.{fmt.name}.{fmt.name}.{d_fmt.name}")
    result = model(tensor(a, TORCH[fmt]), tensor(b, TORCH[fmt]), tensor(c, d_kind))
    return result.contiguous().view(torch.int32 if d_fmt is F32 else torch.int16).numpy().astype(np.int64)


def a_places(lane, k, width):
    """(row, column) of the elements of A that a lane holds, in order: four bytes a register."""
    group, in_group = lane // 4, lane % 4
    per = 4 // width
    for half in range(k // (4 * per)):
        for row in (group, group + 8):
            for i in range(per):
                yield row, half * 4 * per + in_group * per + i


def b_places(lane, k, width):
    """(row, column) of the elements of B that a lane holds."""
    group, in_group = lane // 4, lane % 4
    per = 4 // width
    for half in range(k // (4 * per)):
        for i in range(per):
            yield half * 4 * per + in_group * per + i, group


def c_places(lane):
    """(row, column) of the elements of C and D that a lane holds."""
    group, in_group = lane // 4, lane % 4
    for row in (group, group + 8):
        yield row, 2 * in_group
        yield row, 2 * in_group + 1


def words(matrix, places, width):
    """The 32-bit registers of 32 lanes, lane by lane, of a matrix of elements."""
    per, packed = 4 // width, []
    for lane in range(32):
        elements = [int(matrix[place]) & (1 << 8 * width) - 1 for place in places(lane)]
        for at in range(0, len(elements), per):
            packed.append(sum(x << (8 * width * i) for i, x in enumerate(elements[at : at + per])))
    return packed


def fragments(name, count):
    """PTX that loads `count` registers of a lane, and the list of their names."""
    names = [f"%{name}{i}" for i in range(count)]
    code = address("%p", name, "%n", 4 * count) + "".join(
        f"\nld.global.u32 {r}, [%p+{4 * i}];" for i, r in enumerate(names)
    )
    return code, names


def multiply(name, about, op, target, sets, registers, only=False):
    """A case of one mma a CTA. `sets` are the words (a, b, c, d) of each; `registers` their counts in a lane."""
    body = "mov.u32 %t, %tid.x;\nmov.u32 %n, %ctaid.x;\nmad.lo.u32 %n, %n, 32, %t;"
    lists, declared = [], []
    for buffer, count in zip("abc", registers):
        code, names = fragments(buffer, count)
        body += code
        lists.append("{" + ", ".join(names) + "}")
        declared += names
    result = [f"%d{i}" for i in range(registers[3])]
    body += f"\n{op} {{{', '.join(result)}}}, {', '.join(lists)};" + address("%p", "d", "%n", 4 * registers[3])
    body += "".join(f"\nst.global.u32 [%p+{4 * i}], {r};" for i, r in enumerate(result))
    a, b, c, d = ([x for part in sets for x in part[i]] for i in range(4))
    buffers = [given("a", "u32", a), given("b", "u32", b), given("c", "u32", c), out("d", "u32", d)]
    return Case(
        name,
        about,
        buffers,
        body,
        target,
        grid=(len(sets),),
        only=only,
        registers=f".reg .b32 %t, %n, {', '.join(declared + result)};\n.reg .b64 %p;",
    )


FLOATS = [
    (75, 8, F16, F32),
    (80, 8, F16, F32),
    (80, 16, F16, F32),
    (80, 8, BF16, F32),
    (80, 16, BF16, F32),
    (90, 8, F16, F32),
    (90, 16, F16, F32),
    (90, 8, BF16, F32),
    (90, 16, BF16, F32),
    (75, 8, F16, F16),
    (80, 16, F16, F16),
    (90, 16, F16, F16),
]


def row_addresses():
    """The lanes behind those that give rows need no address from sm_80 on."""
    body = (
        """mov.u32 %t, %tid.x;
        mov.u32 %z, tile;
        mad.lo.u32 %z, %t, 4, %z;
        st.shared.u32 [%z], %t;
        setp.lt.u32 %k, %t, 8;
        @%k mov.u32 %s, tile;
        @%k mad.lo.u32 %s, %t, 16, %s;
        bar.warp.sync -1;
        ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%v}, [%s];"""
        + address("%p", "r", "%t", 4)
        + "\nst.global.u32 [%p], %v;"
    )
    yield Case(
        "ldmatrix_x1_few_addresses",
        "ldmatrix.x1 takes addresses of eight lanes; those of the others hold nothing",
        [out("r", "u32", list(range(32)))],
        body,
        80,
        registers=".reg .b32 %t, %s, %v, %z;\n.reg .b64 %p;\n.reg .pred %k;",
        module=".shared .align 16 .b8 tile[128];",
    )


def float_products():
    """f16 and bf16 with f32 accumulators, and f16 with f16 ones, on each generation."""
    for target, k, fmt, d_fmt in FLOATS:
        shape = f"m16n8k{k}"
        sets = []
        for a, b, c in operands(fmt, k, f"{shape} {fmt.name}"):
            if d_fmt is F16:
                c = np.array([[floats.convert(F32, F16, int(x)) for x in row] for row in c], np.uint16)
            d = product(fmt, target, shape, a, b, c, d_fmt)
            width = d_fmt.bits // 8
            sets.append(
                (
                    words(a, lambda lane, k=k: a_places(lane, k, 2), 2),
                    words(b, lambda lane, k=k: b_places(lane, k, 2), 2),
                    words(c, c_places, width),
                    words(d, c_places, width),
                )
            )
        op = f"mma.sync.aligned.{shape}.row.col.{d_fmt.name}.{fmt.name}.{fmt.name}.{d_fmt.name}"
        about = f"{op} as {GENERATIONS[target]} sums: CTAs with {', '.join(KINDS)} operands"
        name = f"mma_{shape}_{fmt.name}{'_f16' * (d_fmt is F16)}_sm{target}"
        yield multiply(name, about, op, target, sets, (k // 4, k // 8, width, width), only=True)


def integer_products():
    """s8 and u8 with s32 accumulators: exact, wrapping or clamped."""
    low, high = -(1 << 31), (1 << 31) - 1
    for k, a_kind, b_kind, saturate in (
        (16, "s8", "s8", False),
        (32, "s8", "s8", False),
        (16, "u8", "s8", False),
        (32, "s8", "u8", False),
        (32, "u8", "u8", False),
        (16, "s8", "s8", True),
        (32, "s8", "s8", True),
    ):
        suffix = ".satfinite" if saturate else ""
        op = f"mma.sync.aligned.m16n8k{k}.row.col{suffix}.s32.{a_kind}.{b_kind}.s32"
        name = f"mma_m16n8k{k}_{a_kind}_{b_kind}{'_satfinite' * saturate}"
        rng = values.generator(name)
        sets = []
        for extreme in (False, True):
            pick = lambda: rng.choice([0x80, 0x7F, 0xFF]) if extreme else rng.getrandbits(8)  # noqa: E731, B023
            a = np.array([pick() for _ in range(16 * k)], np.uint8).reshape(16, k)
            b = np.array([pick() for _ in range(8 * k)], np.uint8).reshape(k, 8)
            ends = [high, high - 1000, low, low + 1000, 0, -1, 123456]
            c = np.array([ends[i % 7] if extreme else rng.randrange(-(10**6), 10**6) for i in range(128)]).reshape(
                16, 8
            )
            number = {"s8": np.int8, "u8": np.uint8}
            d = a.view(number[a_kind]).astype(np.int64) @ b.view(number[b_kind]).astype(np.int64) + c
            assert not extreme or ((d < low) | (d > high)).any()
            d = np.clip(d, low, high) if saturate else d
            sets.append(
                (
                    words(a, lambda lane, k=k: a_places(lane, k, 1), 1),
                    words(b, lambda lane, k=k: b_places(lane, k, 1), 1),
                    words(c, c_places, 4),
                    words(d, c_places, 4),
                )
            )
        ends = "clamps at both ends" if saturate else "wraps"
        yield multiply(name, f"{op} is exact and {ends}", op, 80, sets, (k // 8, k // 16, 4, 4))


def cases():
    """All of them."""
    for part in (load_matrices, row_addresses, float_products, integer_products):
        yield from part()

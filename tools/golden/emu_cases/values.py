"""Operands: the edges of each type, crossed with each other, and a few plain values between them."""

import itertools
import random

SEED = 20250611

U16 = [0, 1, 2, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0xFFFE, 0x00FF, 0xFF00, 0x5A5A, 0x1234]
U32 = [0, 1, 2, 3, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF, 0xFFFFFFFE, 0x0000FFFF, 0xFFFF0000, 0x00010000,
       0x55555555, 0x89ABCDEF, 0x12345678]  # fmt: skip
U64 = [0, 1, 2, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0x8000000000000001, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF, 0x100000000,
       0xFFFFFFFF00000000, 0x80000000, 0x5555555555555555, 0x0123456789ABCDEF, 0xFEDCBA9876543210]  # fmt: skip
EDGES = {"u16": U16, "u32": U32, "u64": U64}

# Zeros, subnormals, the least normal, around one, ties and plain values, the greatest, infinities.
F32_FINITE = [0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x807FFFFF, 0x00800000, 0x80800000, 0x3F800000,
              0xBF800000, 0x3F800001, 0x3F7FFFFF, 0xBF800001, 0x34000000, 0xB3800000, 0x40490FDB, 0x7F7FFFFF,
              0xFF7FFFFF]  # fmt: skip
F32_INFINITE = [0x7F800000, 0xFF800000]
# Quiet and signalling, with payloads and both signs.
F32_NAN = [0x7FC00001, 0x7F800001, 0xFFC12345]
F32 = F32_FINITE + F32_INFINITE + F32_NAN

F16_FINITE = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x3C00, 0xBC00, 0x3C01, 0x3BFF, 0xBC01,
              0x1400, 0x9000, 0x4248, 0x7BFF, 0xFBFF]  # fmt: skip
F16 = F16_FINITE + [0x7C00, 0xFC00, 0x7E01, 0x7C01, 0xFE55]
BF16_FINITE = [0x0000, 0x8000, 0x0001, 0x8001, 0x007F, 0x807F, 0x0080, 0x8080, 0x3F80, 0xBF80, 0x3F81, 0x3F7F, 0xBF81,
               0x3C00, 0xBB80, 0x4049, 0x7F7F, 0xFF7F]  # fmt: skip
BF16 = BF16_FINITE + [0x7F80, 0xFF80, 0x7FC1, 0x7F81, 0xFFD5]


def generator(name):
    """Random numbers of a case, the same in every run and whatever other cases there are."""
    return random.Random(f"{SEED} {name}")


def pairs(values):
    """Every value with every value, as two columns."""
    return columns(itertools.product(values, values))


def columns(rows):
    """Rows to columns."""
    return [list(column) for column in zip(*rows, strict=True)]


def triples(name, values, count=240):
    """A spread of triples: each value in each place, then random ones."""
    rng = generator(name)
    plain = values[len(values) // 2]
    rows = [(x, plain, values[1]) for x in values] + [(plain, x, values[2]) for x in values]
    rows += [(plain, values[3], x) for x in values]
    while len(rows) < count:
        rows.append(tuple(rng.choice(values) for _ in range(3)))
    return columns(rows)


def bits(name, width, count):
    """Random bit patterns."""
    rng = generator(name)
    return [rng.getrandbits(width) for _ in range(count)]


def words(count, salt=0):
    """Distinct recognisable 32-bit values."""
    return [(0x9E3779B1 * (i + 1 + 131 * salt)) & 0xFFFFFFFF for i in range(count)]

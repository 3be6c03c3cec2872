"""Holds the exact arithmetic against numpy's IEEE operations, so that no case rests on one author's rounding."""

import numpy as np

from . import floats, values
from .floats import F16, F32

TYPES = {F16: (np.uint16, np.float16), F32: (np.uint32, np.float32)}


def same(fmt, got, want):
    """Equal bits, or both NaN."""
    return got == int(want) or (floats.is_nan(fmt, got) and floats.is_nan(fmt, int(want)))


def check():
    """Random bits and all edges, by add, sub, mul, div and sqrt of both formats, and one conversion."""
    for fmt, (unsigned, real) in TYPES.items():
        edges = values.F32 if fmt is F32 else values.F16
        a, b = values.pairs(edges)
        a += values.bits(f"check a {fmt.name}", fmt.bits, 4000)
        b += values.bits(f"check b {fmt.name}", fmt.bits, 4000)
        x, y = (np.array(v, unsigned).view(real) for v in (a, b))
        with np.errstate(all="ignore"):
            theirs = {
                floats.add: x + y,
                floats.sub: x - y,
                floats.mul: x * y,
                floats.div: x / y,
                (lambda f, u, _: floats.sqrt(f, u)): np.sqrt(x),
            }
            narrow = x.astype(np.float16).view(np.uint16)
        for ours, result in theirs.items():
            for u, v, want in zip(a, b, result.view(unsigned)):
                assert same(fmt, ours(fmt, u, v), want), (fmt.name, hex(u), hex(v), hex(int(want)))
        for u, want in zip(a, narrow):
            assert same(F16, floats.convert(fmt, F16, u), want), (fmt.name, hex(u), hex(int(want)))

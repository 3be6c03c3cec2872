#!/usr/bin/env python3
"""Writes tests/golden/approx.json: the nearest f32, f16 or bf16 to PTX's approximate functions, by mpmath.

    pip install mpmath==1.3.0
    python3 tools/make_approx_golden.py

A line a function: `x` and `y` are the bits of arguments and results, 8 hexadecimal digits each (4 for 16-bit types).
"""

import json
import pathlib
import random
from importlib.metadata import version

import mpmath

SEED = 20251122
OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "approx.json"
# Bits of fraction and of exponent.
TYPES = {"f32": (23, 8), "f16": (10, 5), "bf16": (7, 8)}

mpmath.mp.prec = 400
FUNCTIONS = {
    "ex2": lambda x: mpmath.mpf(2) ** x,
    "lg2": lambda x: mpmath.log(x, 2),
    "rcp": lambda x: 1 / x,
    "rsqrt": lambda x: 1 / mpmath.sqrt(x),
    "sqrt": mpmath.sqrt,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tanh": mpmath.tanh,
}
POSITIVE = ("lg2", "rsqrt", "sqrt")


def decode(bits, kind):
    """A finite number."""
    fraction, exponent = TYPES[kind]
    field = bits >> fraction & ((1 << exponent) - 1)
    mantissa = bits & ((1 << fraction) - 1) | (field > 0) << fraction
    x = mpmath.ldexp(mpmath.mpf(mantissa), max(field, 1) - (1 << (exponent - 1)) + 1 - fraction)
    return -x if bits >> (fraction + exponent) else x


def nearest(y, kind):
    """The bits of the nearest number, ties to even; beyond the range, infinity."""
    fraction, exponent = TYPES[kind]
    sign = int(y < 0) << (fraction + exponent)
    bias = (1 << (exponent - 1)) - 1
    power = max(int(mpmath.floor(mpmath.log(abs(y), 2))) if y else 1 - bias, 1 - bias)
    power += 1 if abs(y) >= mpmath.ldexp(1, power + 1) else 0
    count = int(mpmath.nint(mpmath.ldexp(abs(y), fraction - power)))
    bits = count + ((power + bias - 1) << fraction)
    return sign | min(bits, ((1 << exponent) - 1) << fraction)


def wanted(function, kind, bits):
    """Whether the bits are a finite number that the function is defined for, and the result needs no huge precision."""
    fraction, exponent = TYPES[kind]
    magnitude = bits & ((1 << (fraction + exponent)) - 1)
    if magnitude == 0 or magnitude >> fraction == (1 << exponent) - 1:
        return False
    if bits != magnitude and function in POSITIVE:
        return False
    return function != "ex2" or abs(decode(bits, kind)) < 300


def arguments(rng, function, kind):
    """Every exponent alike, then numbers of the sizes that kernels have, then the edges of what is interesting."""
    fraction, exponent = TYPES[kind]
    width = 1 + fraction + exponent
    drawn = [rng.getrandbits(width) for _ in range(500 if kind == "f32" else 700)]
    if kind == "f32":
        drawn += [nearest(mpmath.mpf(rng.uniform(-1, 1)) * scale, kind) for scale in (1, 2, 8, 30, 150, 3000) for _ in range(120)]
        edges = ["0.5", "1", "1.5", "2", "88.7", "126", "127.99999", "128", "149.5", "150.5", "1e-30", "1e-42", "0.17328", "0.34657"]
        edges += ["0.999999940395", "1.00000011920929", "0.785398163", "1.57079632679", "3.14159265359", "6.28318530718", "16777216"]
        edges += ["1.40999", "1.41001", "9.01", "20", "1e30", "3.4028234e38", "1.1754944e-38", "314.159265"]
        drawn += [nearest(sign * mpmath.mpf(edge), kind) for edge in edges for sign in (1, -1)]
    return [bits for bits in dict.fromkeys(drawn) if wanted(function, kind, bits)]


def main():
    """The file: provenance, then a line a function."""
    rng = random.Random(SEED)
    lines = [{"made_by": "tools/make_approx_golden.py", "mpmath": version("mpmath"), "seed": SEED}]
    for kind in TYPES:
        for function in FUNCTIONS if kind == "f32" else ("ex2", "tanh"):
            x = arguments(rng, function, kind)
            y = [nearest(FUNCTIONS[function](decode(bits, kind)), kind) for bits in x]
            digits = (1 + sum(TYPES[kind])) // 4
            hexadecimal = ["".join(f"{bits:0{digits}x}" for bits in column) for column in (x, y)]
            lines.append({"function": function, "type": kind, "x": hexadecimal[0], "y": hexadecimal[1]})
    OUT.write_text("[\n" + ",\n".join(json.dumps(line) for line in lines) + "\n]\n")


if __name__ == "__main__":
    main()

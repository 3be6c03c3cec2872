#!/usr/bin/env python3
"""Writes the tensor-core vectors of tests/golden/mma: what mmasim, by the authors of arXiv 2511.10909, makes of hard inputs.

    pip install mmasim==2.1.1 torch==2.15.0 numpy==2.4.6 ml_dtypes==0.6.0 ninja==1.13.2
    python3 tools/make_mma_golden.py     (with ninja on the PATH: mmasim builds an extension when it is imported)

One file a form: `a` [tiles, m, k], `b` [tiles, k, n] and `c` [tiles, m, n] as bits, `cases` [cases, 3] naming one tile of
each, and `d_sm75`, `d_sm80`, `d_sm90` [cases, m, n], the result's bits on every target that has the form.
"""

import json
import pathlib
import struct
from importlib.metadata import version

import ml_dtypes  # noqa: F401  numpy learns bfloat16
import numpy as np
import torch
from mmasim.nv_ptx import MMA

SEED = 20251110
OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "mma"
GENERATIONS = {"sm75": "Turing", "sm80": "Ampere", "sm90": "Hopper"}
FORMS = {
    "m16n8k8.f32.f16.f16.f32": ["sm75", "sm80", "sm90"],
    "m16n8k16.f32.f16.f16.f32": ["sm80", "sm90"],
    "m16n8k8.f16.f16.f16.f16": ["sm75", "sm80", "sm90"],
    "m16n8k16.f16.f16.f16.f16": ["sm80", "sm90"],
    "m16n8k8.f32.bf16.bf16.f32": ["sm80", "sm90"],
    "m16n8k16.f32.bf16.bf16.f32": ["sm80", "sm90"],
}
TYPES = {"f16": np.float16, "bf16": np.dtype("bfloat16"), "f32": np.float32}
TORCH = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32}
M, N, CASES = 16, 8, 84


class Draw:
    """Tiles of one type, each kind hard in its own way."""

    def __init__(self, rng, name):
        self.rng = rng
        self.type = np.dtype(TYPES[name])
        self.info = ml_dtypes.finfo(self.type)
        self.word = np.dtype(f"u{self.type.itemsize}")

    def as_bits(self, values):
        """Rounds to the type and gives bits; what is too large becomes infinite."""
        with np.errstate(over="ignore"):
            return np.asarray(values, np.float64).astype(self.type).view(self.word)

    def signs(self, shape):
        return self.rng.choice([-1.0, 1.0], shape)

    def normal(self, shape):
        return self.as_bits(self.rng.standard_normal(shape))

    def any_finite(self, shape):
        """Random bits: every exponent alike."""
        return self.finite(self.rng.integers(0, 1 << (8 * self.word.itemsize), shape, dtype=np.uint64).astype(self.word))

    def finite(self, bits):
        exponent = self.as_bits(np.inf)
        least = exponent & -exponent.astype(np.int64).astype(self.word)
        return np.where(bits & exponent == exponent, bits ^ least, bits).astype(self.word)

    def denormals(self, shape):
        """Denormals, and normals close to them."""
        return self.as_bits(float(self.info.tiny) * self.rng.uniform(-1, 1, shape) * self.rng.choice([1.0, 4.0, 64.0], shape))

    def zeros(self, shape):
        """Zeros of both signs among numbers of few bits."""
        return self.as_bits(self.signs(shape) * self.rng.choice([0.0, 0.0, 0.0, 1.0, 1.5, 2.0**-7], shape))

    def nothing(self, shape):
        """Zeros of both signs: what C holds comes out."""
        return self.as_bits(self.signs(shape) * 0.0)

    def greatest(self, shape):
        """The greatest number and ones near it."""
        return self.as_bits(self.signs(shape) * float(self.info.max) * self.rng.choice([1.0, 0.5, 0.25], shape))

    def specials(self, shape):
        """Now and then an infinity or a NaN of any payload."""
        bits = self.normal(shape)
        infinity = self.as_bits(np.inf)
        payload = infinity | self.rng.integers(1, 8, shape).astype(self.word)
        choice = self.rng.random(shape)
        bits = np.where(choice < 0.02, infinity, bits)
        bits = np.where((choice > 0.02) & (choice < 0.03), payload, bits)
        bits = np.where((choice > 0.03) & (choice < 0.05), self.as_bits(0.0), bits)
        sign = self.rng.integers(0, 2, shape).astype(self.word) << (8 * self.word.itemsize - 1)
        return (bits ^ sign).astype(self.word)

    def full_mantissas(self, shape):
        """Just below powers of two: products whose exponent is one less than their value's."""
        last = float(self.info.eps)
        return self.as_bits(self.signs(shape) * (2 - last * self.rng.integers(1, 4, shape)) * 2.0 ** self.rng.integers(-3, 4, shape))

    def spread(self, shape):
        """Exponents far apart: most bits of most terms are cut."""
        reach = min(14, -int(self.info.minexp))
        return self.as_bits(self.signs(shape) * self.rng.uniform(1, 2, shape) * 2.0 ** -self.rng.integers(0, reach, shape))

    def near(self, exponent):
        """Numbers around one power of two."""
        return lambda shape: self.as_bits(self.signs(shape) * self.rng.uniform(1, 2, shape) * 2.0 ** (exponent + self.rng.integers(-3, 4, shape)))


def factor_tiles(draw, shape, k_axis):
    """A's or B's tiles; in the one for cancellation, neighbours along k give opposite products but for the last pair."""
    low, high = (-72, 63) if draw.info.minexp < -100 else (-12, 7)
    kinds = [draw.normal, draw.any_finite, draw.denormals, draw.zeros, draw.greatest, draw.specials, draw.full_mantissas]
    kinds += [draw.spread, draw.near(low), draw.near(high), draw.nothing]
    tiles = [kind(shape) for kind in kinds]
    pairs = np.moveaxis(draw.spread(shape), k_axis, 0)
    pairs[1::2] = pairs[::2]
    if k_axis == 0:
        pairs[1::2] ^= np.array(1 << (8 * draw.word.itemsize - 1), draw.word)
    pairs[-2:] = np.moveaxis(draw.near(-9 if low > -50 else -15)(shape), k_axis, 0)[-2:]
    return np.stack([*tiles, np.moveaxis(pairs, 0, k_axis)]).astype(draw.word)


def addend_tiles(draw, products):
    """C's tiles: for each pair of factor tiles what nearly cancels their product, then kinds of its own."""
    shape = (M, N)
    kinds = [draw.zeros, draw.normal, draw.any_finite, draw.any_finite, draw.denormals, draw.greatest, draw.specials]
    kinds += [draw.near(20 if draw.info.maxexp > 100 else 11), draw.near(-20 if draw.info.minexp < -100 else -12)]
    kinds += [draw.spread, draw.full_mantissas, draw.near(-125 if draw.info.minexp < -100 else -14)]
    with np.errstate(invalid="ignore"):
        cancel = [draw.as_bits(-product) for product in products]
    cancel = [np.where(np.isnan(bits.view(draw.type)), draw.zeros(shape), bits) for bits in cancel]
    return np.stack(cancel + [kind(shape) for kind in kinds]).astype(draw.word)


def choose(rng, tiles):
    """Which tiles meet: every factor pair with its own C and with three others, then any; specials are rare among those."""
    cases = [(i, i, c) for i in range(tiles) for c in (i, *(tiles + (i + s) % tiles for s in (0, 3, 6)))]
    plain = [i for i in range(tiles) if i != 5]
    while len(cases) < CASES:
        cases.append((rng.choice(plain), rng.choice(plain), rng.choice([c for c in range(2 * tiles) if c != tiles + 6])))
    return np.array(cases, np.uint8)


def tensor(bits, name):
    """Bits as a torch tensor of the type."""
    signed = torch.from_numpy(bits.view(f"i{bits.itemsize}").copy())
    return signed.view(TORCH[name])


def save(path, arrays, provenance):
    """A safetensors file with its header in a fixed order, so that another run writes the same bytes."""
    header, data = {"__metadata__": provenance}, b""
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array).tobytes()
        place = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": f"U{8 * array.itemsize}", "shape": list(array.shape), "data_offsets": place}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def make(form, targets, rng):
    """One form's file."""
    shape, d_type, a_type, _, _ = form.split(".")
    k = int(shape.split("k")[1])
    draw, out = Draw(rng, a_type), Draw(rng, d_type)
    a, b = factor_tiles(draw, (M, k), 1), factor_tiles(draw, (k, N), 0)
    with np.errstate(all="ignore"):
        products = [x.view(draw.type).astype(np.float64) @ y.view(draw.type).astype(np.float64) for x, y in zip(a, b)]
    c = addend_tiles(out, products)
    cases = choose(rng, len(a))
    arrays = {"a": a, "b": b, "c": c, "cases": cases}
    for target in targets:
        simulated = MMA(GENERATIONS[target], form)
        results = [simulated(tensor(a[i], a_type), tensor(b[j], a_type), tensor(c[l], d_type)) for i, j, l in cases]
        bits = torch.stack(results).view(torch.int32 if d_type == "f32" else torch.int16).numpy()
        arrays[f"d_{target}"] = bits.view(out.word)
    provenance = {"form": form, "seed": str(SEED), "made_by": "tools/make_mma_golden.py"}
    provenance |= {package: version(package) for package in ("mmasim", "torch", "numpy", "ml_dtypes")}
    save(OUT / f"{form}.safetensors", arrays, provenance)
    print(json.dumps({"form": form, "outputs": {t: int(arrays[f"d_{t}"].size) for t in targets}}))


def main():
    """Every form, each from its own seed, so that one more form changes no other file."""
    OUT.mkdir(parents=True, exist_ok=True)
    for form, targets in FORMS.items():
        make(form, targets, np.random.default_rng([SEED, *form.encode()]))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes the reference vectors of tests/data/gguf: dequantised blocks and a tiny Qwen2 GGUF.

The values come from the `gguf` package's own dequantiser, never from ours.

    pip install gguf==0.19.0 numpy
    python3 tools/make_gguf_vectors.py
"""

import json
import pathlib
from importlib.metadata import version

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

SEED = 20250117
OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "gguf"

# Byte offsets of the f16 scales in one block.
SCALES = {
    T.F32: [], T.F16: [], T.BF16: [],
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
    T.IQ4_NL: [0], T.IQ4_XS: [0],
}  # fmt: skip
# Zero and minus zero, the least and greatest denormal, the least normal, the greatest, and a plain pair.
EDGES = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x2E66, 0xB1A3]


def finite_blocks(rng, kind):
    """Random blocks whose scales are finite: ordinary ones, then one block for every edge of every scale."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    if not SCALES[kind]:
        return finite_floats(rng, kind)
    blocks = rng.integers(0, 256, (4 + len(EDGES), size), dtype=np.uint8)
    for row, block in enumerate(blocks):
        for place, at in enumerate(SCALES[kind]):
            ordinary = (rng.random() * 0.1 - 0.05) or 0.01
            bits = int(np.float16(ordinary).view(np.uint16)) if row < 4 else EDGES[(row + 2 * place) % len(EDGES)]
            block[at : at + 2] = bits & 0xFF, bits >> 8
    return blocks


def finite_floats(rng, kind):
    """Every class of float: zeros, denormals, the extremes, and random bit patterns that are finite."""
    word = np.uint32 if kind == T.F32 else np.uint16
    exponent = {T.F32: 0x7F800000, T.F16: 0x7C00, T.BF16: 0x7F80}[kind]
    sign = 1 << (word(0).itemsize * 8 - 1)
    bits = rng.integers(0, np.iinfo(word).max, 64, dtype=word, endpoint=True)
    bits[(bits & exponent) == exponent] ^= word(exponent & -exponent)
    least_normal = exponent & -exponent
    bits[:6] = 0, sign, 1, sign | (least_normal - 1), exponent - 1, sign | (exponent - 1)
    return bits.view(np.uint8).reshape(64, -1)


def vectors(rng):
    """One line a type: the blocks and the f32 bits that the reference makes of them."""
    lines = []
    for kind in SCALES:
        blocks = finite_blocks(rng, kind)
        values = gguf.quants.dequantize(blocks, kind).astype(np.float32)
        assert np.isfinite(values).all(), kind.name
        bits = np.ascontiguousarray(values.reshape(-1)).view("<u4")
        lines.append({"type": kind.name, "blocks": blocks.tobytes().hex(), "f32": bits.astype("<u4").tobytes().hex()})
    return lines


HIDDEN, LAYERS, HEADS, KV_HEADS, FFN = 32, 2, 4, 2, 64
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "[PAD261]"]
SPECIAL_TYPES = [3, 3, 3, 4, 5]


def byte_alphabet():
    """One printable character a byte, as byte-level BPE vocabularies write them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


# Every byte, one merge, and the specials of the family.
TOKENS = [*byte_alphabet(), "ab", *SPECIALS]
TYPES = [1] * 257 + SPECIAL_TYPES


def tiny_shapes(tied):
    """Names and shapes (row-major) of a Qwen2 model."""
    kv = HIDDEN // HEADS * KV_HEADS
    yield "token_embd.weight", (len(TOKENS), HIDDEN)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", (HIDDEN,)
        yield block + "ffn_norm.weight", (HIDDEN,)
        for part, rows in [("q", HIDDEN), ("k", kv), ("v", kv)]:
            yield f"{block}attn_{part}.weight", (rows, HIDDEN)
            yield f"{block}attn_{part}.bias", (rows,)
        yield block + "attn_output.weight", (HIDDEN, HIDDEN)
        yield block + "ffn_gate.weight", (FFN, HIDDEN)
        yield block + "ffn_up.weight", (FFN, HIDDEN)
        yield block + "ffn_down.weight", (HIDDEN, FFN)
    yield "output_norm.weight", (HIDDEN,)
    if not tied:
        yield "output.weight", (len(TOKENS), HIDDEN)


def write_tiny(path, tied):
    """A whole Qwen2 GGUF of a few KB whose matrices go round the 32-element types."""
    rng = np.random.default_rng(SEED)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_block_count(LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1000000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(TOKENS)
    writer.add_token_types(TYPES)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(TOKENS.index("<|im_end|>"))
    writer.add_pad_token_id(TOKENS.index("<|endoftext|>"))
    writer.add_bos_token_id(TOKENS.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}")
    cycle = [T.Q8_0, T.Q5_0, T.F16, T.Q4_1, T.Q4_0, T.Q5_1, T.BF16]
    expected = {}
    for index, (name, shape) in enumerate(tiny_shapes(tied)):
        kind = T.F32 if len(shape) == 1 else cycle[index % len(cycle)]
        data = gguf.quants.quantize(rng.normal(0, 0.15, shape).astype(np.float32), kind)
        writer.add_tensor(name, data, raw_dtype=kind)
        values = gguf.quants.dequantize(data, kind).astype(np.float32)
        expected[name] = gguf.quants.quantize(np.ascontiguousarray(values), T.BF16).tobytes()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    provenance = {
        "made_by": "tools/make_gguf_vectors.py",
        "gguf": version("gguf"),
        "numpy": np.__version__,
        "seed": SEED,
        "reference": "gguf.quants.dequantize",
    }
    with open(OUT / "dequant.json", "w", encoding="utf-8") as file:
        json.dump({"provenance": provenance, "types": vectors(rng)}, file, indent=0)
        file.write("\n")
    tied = write_tiny(OUT / "tiny-tied.gguf", tied=True)
    untied = write_tiny(OUT / "tiny-untied.gguf", tied=False)
    assert all(untied[name] == tied[name] for name in tied)
    with open(OUT / "tiny-untied.bf16", "wb") as file:
        for tensor in sorted(untied):
            file.write(untied[tensor])
    with open(OUT / "tiny.provenance.json", "w", encoding="utf-8") as file:
        note = (
            "tiny-untied.bf16 holds the tensors of tiny-untied.gguf, dequantised and rounded to bf16 by gguf, "
            "sorted by name; tiny-tied.gguf is the same model without its output.weight"
        )
        json.dump({**provenance, "note": note}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()

"""A Qwen2 GGUF as an HF folder of plain bf16 weights, through the gguf package's dequantiser.

transformers' own GGUF loader is not used: the reference must run on weights whose every value is known.
"""

import hashlib
import re

import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors import safe_open
from safetensors.torch import save_file

from golden import provenance

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OTHER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def hf_name(name):
    """blk.3.attn_q.bias -> model.layers.3.self_attn.q_proj.bias"""
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    if layer:
        return f"model.layers.{layer[1]}.{LAYER_NAMES[layer[2]]}.{layer[3]}"
    stem, kind = name.rsplit(".", 1)
    return f"{OTHER_NAMES[stem]}.{kind}"


def config_json(reader, tied):
    """config.json from the GGUF's metadata."""

    def value(key):
        return reader.fields[key].contents()

    return {
        "architectures": ["Qwen2ForCausalLM"],
        "hidden_act": "silu",
        "hidden_size": value("qwen2.embedding_length"),
        "intermediate_size": value("qwen2.feed_forward_length"),
        "max_position_embeddings": value("qwen2.context_length"),
        "model_type": "qwen2",
        "num_attention_heads": value("qwen2.attention.head_count"),
        "num_hidden_layers": value("qwen2.block_count"),
        "num_key_value_heads": value("qwen2.attention.head_count_kv"),
        # The metadata holds the nearest f32; six digits give back the decimal that was meant.
        "rms_norm_eps": float(f"{value('qwen2.attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_theta": float(value("qwen2.rope.freq_base")),
        "sliding_window": None,
        "tie_word_embeddings": tied,
        "torch_dtype": "bfloat16",
        "use_sliding_window": False,
        "vocab_size": len(reader.fields["tokenizer.ggml.tokens"].data),
    }


def write(gguf, folder):
    """Writes config.json and model.safetensors; values are rounded to the nearest bf16, ties to even."""
    reader = GGUFReader(gguf)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {}
    for tensor in reader.tensors:
        shape = [int(size) for size in reversed(tensor.shape)]
        plain = np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32).reshape(shape)
        weights[hf_name(tensor.name)] = torch.from_numpy(plain).to(torch.bfloat16)
    provenance.write_json(folder / "config.json", config_json(reader, "lm_head.weight" not in weights))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def content_hash(folder):
    """SHA-256 over every tensor in the order of their names: the name, a zero byte, the stored bytes.

    Unlike the file's own hash it does not depend on who wrote the file, so a test can tell that its weights are these.
    """
    digest = hashlib.sha256()
    with safe_open(folder / "model.safetensors", "pt") as file:
        for name in sorted(file.keys()):
            digest.update(name.encode() + b"\0")
            digest.update(file.get_tensor(name).contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

"""Tiny seeded Qwen2 checkpoints and their logits.

The default initialisation of transformers hides errors: its logits hardly depend on attention at all. Here matrices
have std 0.15, embeddings and biases std 1, norms 1 +- 0.3, and one K channel of layer 0 has a bias of 200, as trained
Qwen2 models do. `planted` measures that an error shows.
"""

import shutil

import numpy as np
import torch
from safetensors.torch import save_file

from golden import hf, metrics, planted, provenance
from golden.tiny_cases import CASES, DTYPES, config_json, generation_config_json

PROMPT_TOKENS = 333
SEED = 20250607
K_BIAS = 200.0


def tensor_shapes(case):
    """Every tensor of the checkpoint in layer order: name -> shape."""
    hidden, inner, head_dim = case["hidden"], case["intermediate"], case["head_dim"]
    q, kv = case["heads"] * head_dim, case["kv_heads"] * head_dim
    shapes = {"model.embed_tokens.weight": (case["vocab"], hidden)}
    for layer in range(case["layers"]):
        at = f"model.layers.{layer}"
        shapes |= {
            f"{at}.input_layernorm.weight": (hidden,),
            f"{at}.self_attn.q_proj.weight": (q, hidden),
            f"{at}.self_attn.q_proj.bias": (q,),
            f"{at}.self_attn.k_proj.weight": (kv, hidden),
            f"{at}.self_attn.k_proj.bias": (kv,),
            f"{at}.self_attn.v_proj.weight": (kv, hidden),
            f"{at}.self_attn.v_proj.bias": (kv,),
            f"{at}.self_attn.o_proj.weight": (hidden, q),
            f"{at}.post_attention_layernorm.weight": (hidden,),
            f"{at}.mlp.gate_proj.weight": (inner, hidden),
            f"{at}.mlp.up_proj.weight": (inner, hidden),
            f"{at}.mlp.down_proj.weight": (hidden, inner),
        }
    shapes["model.norm.weight"] = (hidden,)
    if not case["tied"]:
        shapes["lm_head.weight"] = (case["vocab"], hidden)
    return shapes


def tensors(case, case_index):
    """The weights, each from a stream of its own, rounded to the stored type."""
    result = {}
    for index, (name, shape) in enumerate(tensor_shapes(case).items()):
        stream = np.random.Generator(np.random.PCG64([SEED, case_index, index]))
        value = stream.standard_normal(shape)
        if name.endswith("norm.weight"):
            value = 1 + 0.3 * value
        elif name == "model.embed_tokens.weight":
            value = value * case["embed_std"]
        elif name.endswith("weight"):
            value = value * 0.15
        elif name == "model.layers.0.self_attn.k_proj.bias":
            value[case["loud_k_channel"]] = K_BIAS
        result[name] = torch.from_numpy(value).to(DTYPES[case["dtype"]])
    return result


def prompt(case, case_index):
    """Random token ids."""
    stream = np.random.Generator(np.random.PCG64([SEED, case_index, 1 << 20]))
    return torch.from_numpy(stream.integers(0, case["vocab"], PROMPT_TOKENS, dtype=np.int64))


def write_weights(folder, weights, shards):
    """One file, or shards of about equal byte size with their index."""
    if shards == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return
    total = sum(value.nbytes for value in weights.values())
    parts, written = [{} for _ in range(shards)], 0
    for name, value in weights.items():
        parts[written * shards // total][name] = value
        written += value.nbytes
    weight_map = {}
    for index, part in enumerate(parts):
        file = f"model-{index + 1:05}-of-{shards:05}.safetensors"
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map |= {name: file for name in part}
    index_json = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    provenance.write_json(folder / "model.safetensors.index.json", index_json)


def low_precision(folder, dtype, token_ids, reference):
    """How far transformers' own 16-bit run is from the reference."""
    logits, f32_head = hf.logits_and_f32_head(hf.load(folder, dtype, "sdpa"), token_ids)
    return {
        "finite": bool(torch.isfinite(logits).all()),
        "kl": metrics.mean_max(metrics.kl(reference, logits)),
        "kl_with_f32_head": metrics.mean_max(metrics.kl(reference, f32_head)),
        "max_abs": metrics.max_abs(logits, reference),
        "other_top1": metrics.other_top1(reference, logits),
    }


def measure(folder, token_ids):
    """The reference logits, and what the provenance says about them."""
    reference = hf.logits(hf.load(folder, torch.float64, "sdpa"), token_ids)
    eager = hf.logits(hf.load(folder, torch.float32, "eager"), token_ids)
    sdpa = hf.logits(hf.load(folder, torch.float32, "sdpa"), token_ids)
    gap = metrics.top2_gap(reference)
    facts = {
        "logit_std": reference.std().item(),
        "smallest_top2_gap": gap.min().item(),
        "positions_with_top2_gap_below_1e-3": int((gap < 1e-3).sum()),
        "noise": {
            "f32_eager_vs_f32_sdpa_max_abs": metrics.max_abs(eager, sdpa),
            "f32_eager_vs_reference_max_abs": metrics.max_abs(eager, reference),
            "f32_sdpa_vs_reference_max_abs": metrics.max_abs(sdpa, reference),
            "f32_sdpa_kl": metrics.mean_max(metrics.kl(reference, sdpa)),
        },
        "hf_bf16_sdpa": low_precision(folder, torch.bfloat16, token_ids, reference),
        "hf_f16_sdpa": low_precision(folder, torch.float16, token_ids, reference),
        "planted_error_max_abs": planted.measure(folder, token_ids, reference),
    }
    return reference.float(), facts


def make_case(case, case_index, folder, command):
    """Writes one checkpoint folder with its reference and provenance."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    provenance.write_json(folder / "config.json", config_json(case))
    provenance.write_json(folder / "generation_config.json", generation_config_json(case))
    write_weights(folder, tensors(case, case_index), case["shards"])
    checkpoint_files = [path for path in folder.iterdir()]
    token_ids = prompt(case, case_index)
    logits, facts = measure(folder, token_ids)
    save_file({"token_ids": token_ids, "logits": logits}, folder / "reference.safetensors")
    provenance.write_json(
        folder / "provenance.json",
        {
            "reference": "HF Qwen2ForCausalLM, unmodified; stored weights cast to f64, logits rounded to f32",
            "dtype": "float64; transformers itself computes RMSNorm and the RoPE angles in float32",
            "attention": "sdpa",
            "seed": [SEED, case_index],
            **provenance.environment(command),
            "sha256": provenance.hashes([*checkpoint_files, folder / "reference.safetensors"]),
            **facts,
        },
    )
    return facts


def make(out, command):
    """Makes every case under `out`."""
    for index, case in enumerate(CASES):
        facts = make_case(case, index, out / case["name"], command)
        size = sum(path.stat().st_size for path in (out / case["name"]).iterdir())
        print(case["name"], size, "bytes")
        print("  noise", facts["noise"])
        print("  bf16", facts["hf_bf16_sdpa"])
        print("  f16", facts["hf_f16_sdpa"])
        print("  planted", {name: round(value, 5) for name, value in facts["planted_error_max_abs"].items()})

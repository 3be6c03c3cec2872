"""The tiny checkpoints: which shapes, types and spellings of Qwen2 they cover."""

import json

import torch
from transformers import Qwen2Config

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


def case(name, *, hidden, heads, kv_heads, head_dim, intermediate, vocab, dtype, **other):
    """One checkpoint; what is not given has the commonest value."""
    base = {"layers": 2, "tied": False, "shards": 1, "theta": 1e6, "eps": 1e-6, "embed_std": 1.0, "spelling": "classic"}
    shape = {"hidden": hidden, "heads": heads, "kv_heads": kv_heads, "head_dim": head_dim}
    return {**base, "name": name, **shape, "intermediate": intermediate, "vocab": vocab, "dtype": dtype, **other}


# `loud_k_channel` is the K channel of layer 0 whose bias is 200. As in trained models it is one that RoPE turns slowly,
# in either half of a head: a fast one would make the logits depend on the last bit of the f32 angle.
#
# A tied head multiplies logits by the embeddings' std; at 1 they would be ten times those of an untied head, and f32
# rounding (scores reach 100 and more because of the loud channel) would come near 1e-4. So tied ones have 0.25.
CASES = [
    # The head layout of the 0.5B, wider together than the hidden size; a tied head.
    case("tied-gqa7-bf16", hidden=56, heads=14, kv_heads=2, head_dim=16, intermediate=75, vocab=131,
         dtype="bfloat16", tied=True, embed_std=0.25, loud_k_channel=23),
    # The head layout of the 1.5B, half a head odd (3), three shards, what transformers 5 writes.
    case("untied-gqa6-f16-sharded", hidden=72, heads=12, kv_heads=2, head_dim=6, intermediate=77, vocab=137,
         dtype="float16", shards=3, theta=1e4, eps=1e-5, spelling="v5", loud_k_channel=5),
    # As many K heads as Q heads.
    case("untied-mha-f32", hidden=30, heads=3, kv_heads=3, head_dim=10, intermediate=61, vocab=131,
         dtype="float32", theta=1e4, loud_k_channel=24),
    # Heads of 64 as in the 0.5B.
    case("tied-gqa6-head64-bf16", hidden=52, heads=6, kv_heads=1, head_dim=64, intermediate=67, vocab=139,
         dtype="bfloat16", tied=True, spelling="v5", embed_std=0.25, loud_k_channel=63),
    # Heads of 128 as in the 1.5B and 7B.
    case("untied-gqa2-head128-bf16", hidden=38, heads=2, kv_heads=1, head_dim=128, intermediate=53, vocab=131,
         dtype="bfloat16", theta=1e4, loud_k_channel=60),
    # An epsilon that matters in every norm; three layers; GQA 7:1 with three K heads.
    case("untied-gqa7-eps-f16", hidden=84, heads=21, kv_heads=3, head_dim=4, intermediate=41, vocab=133,
         dtype="float16", layers=3, eps=0.05, spelling="v5", theta=1e5, loud_k_channel=9),
    # Embeddings as small as in trained models: epsilon 1e-5 matters in the first norm.
    case("untied-small-embed-bf16-sharded", hidden=58, heads=4, kv_heads=2, head_dim=14, intermediate=63, vocab=157,
         dtype="bfloat16", shards=2, eps=1e-5, embed_std=1 / 256, loud_k_channel=27),
    # f32 and tied, three layers.
    case("tied-mha-f32-v5", hidden=48, heads=3, kv_heads=3, head_dim=16, intermediate=49, vocab=141,
         dtype="float32", tied=True, layers=3, spelling="v5", theta=1e4, embed_std=0.25, loud_k_channel=39),
    # The six with narrow heads once more with heads of 64 or 128, which are the widths that kernels take. A seed is a
    # place in this list: they stand behind the others.
    # The heads of the 0.5B exactly.
    case("tied-gqa7-head64-bf16", hidden=44, heads=14, kv_heads=2, head_dim=64, intermediate=75, vocab=131,
         dtype="bfloat16", tied=True, embed_std=0.25, loud_k_channel=95),
    # The grouping of the 1.5B, three shards.
    case("untied-gqa6-head64-f16-sharded", hidden=50, heads=12, kv_heads=2, head_dim=64, intermediate=77, vocab=137,
         dtype="float16", shards=3, theta=1e4, eps=1e-5, spelling="v5", loud_k_channel=30),
    # As many K heads as Q heads.
    case("untied-mha-head128-f32", hidden=30, heads=3, kv_heads=3, head_dim=128, intermediate=61, vocab=131,
         dtype="float32", theta=1e4, loud_k_channel=319),
    # An epsilon that matters in every norm; three layers; three K heads.
    case("untied-gqa7-head64-eps-f16", hidden=36, heads=21, kv_heads=3, head_dim=64, intermediate=41, vocab=133,
         dtype="float16", layers=3, eps=0.05, spelling="v5", theta=1e5, loud_k_channel=158),
    # Embeddings as small as in trained models.
    case("untied-small-embed-head128-bf16-sharded", hidden=58, heads=4, kv_heads=2, head_dim=128, intermediate=63,
         vocab=157, dtype="bfloat16", shards=2, eps=1e-5, embed_std=1 / 256, loud_k_channel=191),
    # f32 and tied, three layers.
    case("tied-mha-head64-f32-v5", hidden=48, heads=3, kv_heads=3, head_dim=64, intermediate=49, vocab=141,
         dtype="float32", tied=True, layers=3, spelling="v5", theta=1e4, embed_std=0.25, loud_k_channel=126),
]


def config_json(case):
    """config.json in the case's spelling."""
    common = {
        "architectures": ["Qwen2ForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": case["vocab"] - 1,
        "eos_token_id": case["vocab"] - 2,
        "hidden_act": "silu",
        "hidden_size": case["hidden"],
        "initializer_range": 0.02,
        "intermediate_size": case["intermediate"],
        "max_position_embeddings": 512,
        "max_window_layers": case["layers"],
        "model_type": "qwen2",
        "num_attention_heads": case["heads"],
        "num_hidden_layers": case["layers"],
        "num_key_value_heads": case["kv_heads"],
        "rms_norm_eps": case["eps"],
        "tie_word_embeddings": case["tied"],
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": case["vocab"],
    }
    if case["head_dim"] * case["heads"] != case["hidden"]:
        common["head_dim"] = case["head_dim"]
    if case["spelling"] == "classic":
        classic = {"rope_theta": case["theta"], "sliding_window": 4096, "torch_dtype": case["dtype"]}
        return {**common, **classic, "transformers_version": "4.43.1", "use_mrope": False}
    rope = {"rope_theta": case["theta"], "rope_type": "default"}
    config = Qwen2Config(**common, rope_parameters=rope, dtype=case["dtype"], use_mrope=False)
    return json.loads(config.to_json_string())


def generation_config_json(case):
    """generation_config.json: two ends of text, greedy."""
    ends = [case["vocab"] - 2, case["vocab"] - 1]
    return {"bos_token_id": case["vocab"] - 1, "do_sample": False, "eos_token_id": ends, "pad_token_id": ends[1]}

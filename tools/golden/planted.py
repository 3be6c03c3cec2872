"""Planted errors: how far each moves the logits of a tiny checkpoint.

A checkpoint is only worth its bytes if a mistake shows. Each error is made in transformers' model, in f64, so what is
measured is the error and nothing else. A tiny or zero value says that this checkpoint cannot show that error.
"""

import torch
from transformers.models.qwen2 import modeling_qwen2

from golden import hf, metrics


def attentions(model):
    """The attention module of every layer."""
    return [layer.self_attn for layer in model.model.layers]


def norms(model):
    """Every RMSNorm."""
    return [module for module in model.modules() if isinstance(module, modeling_qwen2.Qwen2RMSNorm)]


def rope_frequency(model):
    """RoPE with its base wrong by one part in a hundred."""
    rotary, config = model.model.rotary_emb, model.config
    config.rope_parameters["rope_theta"] *= 1.01
    rotary.inv_freq = rotary.compute_default_rope_parameters(config)[0]


def rope_pairs(model):
    """RoPE over neighbouring channels instead of halves: the channels of each Q and K head in another order."""
    for attention in attentions(model):
        half = attention.head_dim // 2
        order = torch.arange(attention.head_dim).reshape(half, 2).T.reshape(-1)
        for projection in (attention.q_proj, attention.k_proj):
            rows = torch.arange(projection.out_features).reshape(-1, attention.head_dim)[:, order].reshape(-1)
            projection.weight.data = projection.weight.data[rows]
            projection.bias.data = projection.bias.data[rows]


def epsilon(model):
    """1e-6 and 1e-5 swapped, anything else a tenth."""
    for norm in norms(model):
        norm.variance_epsilon *= 10 if norm.variance_epsilon == 1e-6 else 0.1


def bias(projection):
    """One layer without the bias of Q, K or V."""

    def plant(model):
        getattr(attentions(model)[-1], projection).bias.data.zero_()

    return plant


def head_mapping(model):
    """Query head h reads K head h mod kv_heads instead of h div group."""
    config = model.config
    group = config.num_attention_heads // config.num_key_value_heads
    # Query head h is made to sit where the right mapping gives it the wrong K head.
    order = torch.arange(config.num_attention_heads).reshape(group, -1).T.reshape(-1)
    for attention in attentions(model):
        width = attention.head_dim
        rows = (order[:, None] * width + torch.arange(width)).reshape(-1)
        attention.q_proj.weight.data = attention.q_proj.weight.data[rows]
        attention.q_proj.bias.data = attention.q_proj.bias.data[rows]
        attention.o_proj.weight.data = attention.o_proj.weight.data[:, rows]


def scale(model):
    """Scores scaled for a head wider by one."""
    for attention in attentions(model):
        attention.scaling = (attention.head_dim + 1) ** -0.5


def norm_weight(model):
    """The last norm without its weight."""
    model.model.norm.weight.data.fill_(1)


def tie(model):
    """A tied head untied, or an untied one tied."""
    other = model.model.embed_tokens.weight.data
    if model.config.tie_word_embeddings:
        other = other.roll(1, 0)
    model.lm_head.weight = torch.nn.Parameter(other.clone())


def no_mask(model, token_ids):
    """Every position sees the whole prompt."""
    count = len(token_ids)
    mask = torch.zeros(1, 1, count, count, dtype=torch.float64)
    return model(token_ids[None], attention_mask=mask, use_cache=False).logits[0]


WEIGHT_ERRORS = {
    "rope_frequency": rope_frequency,
    "rope_pairs": rope_pairs,
    "epsilon": epsilon,
    "q_bias": bias("q_proj"),
    "k_bias": bias("k_proj"),
    "v_bias": bias("v_proj"),
    "head_mapping": head_mapping,
    "scale": scale,
    "norm_weight": norm_weight,
    "tie": tie,
}


@torch.no_grad()
def measure(folder, token_ids, reference):
    """Error name -> max |logit difference| from the reference, over all positions."""
    found = {}
    for name, plant in WEIGHT_ERRORS.items():
        model = hf.load(folder, torch.float64, "sdpa")
        plant(model)
        found[name] = metrics.max_abs(hf.logits(model, token_ids), reference)
    model = hf.load(folder, torch.float64, "sdpa")
    found["mask"] = metrics.max_abs(no_mask(model, token_ids), reference)
    return found

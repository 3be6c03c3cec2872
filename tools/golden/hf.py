"""Running HF transformers' Qwen2, unmodified."""

import torch
from transformers import Qwen2ForCausalLM


def load(folder, dtype, attention):
    """The checkpoint in `folder`, its stored weights cast to `dtype`."""
    model = Qwen2ForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation=attention, local_files_only=True
    )
    found = {parameter.dtype for parameter in model.parameters()}
    if found != {dtype} or model.config._attn_implementation != attention:
        raise SystemExit(f"{folder}: asked for {dtype} {attention}, got {found} {model.config._attn_implementation}")
    return model.eval()


@torch.no_grad()
def logits(model, token_ids, positions=None):
    """Logits of one prompt run whole, at `positions` or at all of them; (n) -> (p, vocab)."""
    keep = 0 if positions is None else positions
    return model(token_ids[None], use_cache=False, logits_to_keep=keep).logits[0]


@torch.no_grad()
def logits_and_f32_head(model, token_ids, positions=None):
    """As `logits`, and the same hidden states through the head in f32.

    A bf16 run of transformers rounds the logits themselves to bf16. The second result is without that last rounding.
    """
    hidden = model.model(token_ids[None], use_cache=False).last_hidden_state[0]
    if positions is not None:
        hidden = hidden[positions]
    return model.lm_head(hidden), hidden.float() @ model.lm_head.weight.float().T

"""Distances between two runs' logits, in f64."""

import torch


def kl(reference, other):
    """KL(reference || other) of each row, over the full vocabulary; (p, vocab) twice -> (p)."""
    log_p = torch.log_softmax(reference.double(), dim=-1)
    log_q = torch.log_softmax(other.double(), dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def kl_coarse(reference, other, top_ids):
    """KL with everything outside `top_ids` (p, k) pooled into one bucket.

    This is all a test can compute from a committed reference; pooling can only lower the KL.
    """
    log_p = torch.log_softmax(reference.double(), dim=-1).gather(-1, top_ids)
    log_q = torch.log_softmax(other.double(), dim=-1).gather(-1, top_ids)
    rest_p = (1 - log_p.exp().sum(-1)).clamp_min(1e-300)
    rest_q = (1 - log_q.exp().sum(-1)).clamp_min(1e-300)
    return (log_p.exp() * (log_p - log_q)).sum(-1) + rest_p * (rest_p.log() - rest_q.log())


def mean_max(values):
    """Mean and maximum of a vector, as a JSON object."""
    return {"mean": values.mean().item(), "max": values.max().item()}


def max_abs(a, b):
    """Largest absolute difference of two tensors."""
    return (a.double() - b.double()).abs().max().item()


def top2_gap(logits):
    """Best minus second-best logit of each row; (p, vocab) -> (p)."""
    best = logits.topk(2, dim=-1).values
    return best[..., 0] - best[..., 1]


def other_top1(reference, other):
    """Rows whose best logit is another one: how many, and the largest gap of the reference among them."""
    differs = reference.argmax(-1) != other.argmax(-1)
    gaps = top2_gap(reference)[differs]
    return {"rows": len(gaps), "largest_gap": gaps.max().item() if len(gaps) else 0.0}

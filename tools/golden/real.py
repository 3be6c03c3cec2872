"""Logits of the real 0.5B: HF transformers on the GGUF's weights, dequantised and rounded to bf16.

The committed logits are f64 arithmetic. At a few positions (the first words after "You are" in the chat form) f32 is
too coarse to judge f32 by: there transformers' own f32 run is at KL 1.2e-9 from f64, and the same run fed token by
token at 4e-11. Greedy tokens are f32, and the distances of transformers' other runs are those from its f32 run.
"""

import pathlib
import time

import torch
from safetensors.torch import save_file

from golden import gguf_folder, hf, metrics, provenance, real_cases

TOP = 64
GREEDY_TOKENS = 48

# Key in cases.json -> the run of transformers whose distance from its f32 sdpa run is given.
COMPARED = {
    "hf_f64_sdpa": (torch.float64, "sdpa"),
    "hf_bf16_sdpa": (torch.bfloat16, "sdpa"),
    "hf_f32_eager": (torch.float32, "eager"),
    "hf_f16_sdpa": (torch.float16, "sdpa"),
}


@torch.no_grad()
def greedy(model, token_ids):
    """Free-running greedy tokens and the gap from best to second best at each; ends of text do not stop it."""
    cache, step, ids, gaps = None, token_ids[None], [], []
    for _ in range(GREEDY_TOKENS):
        result = model(step, past_key_values=cache, use_cache=True, logits_to_keep=1)
        logits, cache = result.logits[0, -1], result.past_key_values
        ids.append(int(logits.argmax()))
        gaps.append(float(metrics.top2_gap(logits)))
        step = torch.tensor([[ids[-1]]])
    return {"greedy_ids": torch.tensor(ids), "greedy_gap": torch.tensor(gaps)}


def f32_run(checkpoint):
    """Runs every case in f32: token ids, positions, logits, greedy tokens and the entry for cases.json."""
    model, runs = hf.load(checkpoint, torch.float32, "sdpa"), []
    for case in real_cases.cases():
        token_ids, positions = torch.tensor(case["ids"]), torch.tensor(case["positions"])
        sizes = {"tokens": len(token_ids), "positions": len(positions)}
        entry = {"name": case["name"], "prompt": case["prompt"], **sizes}
        tensors = {"token_ids": token_ids, "positions": positions}
        if case["greedy"]:
            tensors |= greedy(model, token_ids)
            entry["greedy_text"] = real_cases.decode(tensors["greedy_ids"].tolist())
            entry["smallest_greedy_gap"] = tensors["greedy_gap"].min().item()
        logits = hf.logits(model, token_ids, positions)
        entry["smallest_top2_gap"] = metrics.top2_gap(logits).min().item()
        runs.append({"tensors": tensors, "logits": logits, "entry": entry})
        print(entry, flush=True)
    return runs


def write_reference(run, logits, out):
    """Writes the file of one case from its f64 logits."""
    top = logits.topk(TOP, dim=-1)
    kept = {
        "top_ids": top.indices.to(torch.int32),
        "top_logits": top.values.float(),
        "logsumexp": logits.logsumexp(-1),
    }
    save_file(run["tensors"] | kept, out / f"{run['entry']['name']}.safetensors")
    mass = torch.exp(top.values - kept["logsumexp"][:, None]).sum(-1)
    run["entry"]["mean_mass_outside_top"] = (1 - mass).mean().item()


def distance(basis, logits):
    """How far one run is from another: over the full vocabulary, and as a test of the committed file sees it."""
    top_ids = basis.topk(TOP, dim=-1).indices
    found = {"kl": metrics.kl(basis, logits), "kl_coarse": metrics.kl_coarse(basis, logits, top_ids)}
    return found, metrics.max_abs(basis.gather(-1, top_ids), logits.gather(-1, top_ids))


def compare(checkpoint, runs, key, out):
    """Adds another run's distance to each case, under `key`; returns the mean and maximum over all positions.

    The f64 run is the reference: its logits are written too.
    """
    dtype, attention = COMPARED[key]
    model, everywhere = hf.load(checkpoint, dtype, attention), {}
    for run in runs:
        started = time.monotonic()
        entry, tensors = run["entry"], run["tensors"]
        logits, f32_head = hf.logits_and_f32_head(model, tensors["token_ids"], tensors["positions"])
        if dtype == torch.float64:
            write_reference(run, logits, out)
        found, top_max_abs = distance(run["logits"], logits)
        if dtype in (torch.bfloat16, torch.float16):
            found["kl_with_f32_head"] = metrics.kl(run["logits"], f32_head)
        entry[key] = {"top_max_abs": top_max_abs}
        for name, values in found.items():
            entry[key][name] = metrics.mean_max(values)
            everywhere.setdefault(name, []).append(values)
        print(f"{key} {entry['name']} {time.monotonic() - started:.0f} s {entry[key]}", flush=True)
    return {name: metrics.mean_max(torch.cat(values)) for name, values in everywhere.items()}


def write_description(gguf, checkpoint, out, command, entries, overall):
    """cases.json and provenance.json, as far as they are known."""
    provenance.write_json(out / "cases.json", {"all_positions": overall, "cases": entries})
    references = [out / f"{entry['name']}.safetensors" for entry in entries]
    about = {
        "reference": "HF Qwen2ForCausalLM, unmodified; bf16 weights cast to f64, logits rounded to f32",
        "weights": f"{pathlib.Path(gguf).name} dequantised by the gguf package, rounded to nearest even bf16",
        "weights_content_sha256": gguf_folder.content_hash(checkpoint),
        "dtype": "float64; transformers itself computes RMSNorm and the RoPE angles in float32",
        "dtype_of_greedy_and_distances": "float32",
        "attention": "sdpa",
        "seed": "none: nothing is drawn but the long prompts, whose seeds cases.json gives",
        **provenance.environment(command, ["gguf", "dashscope", "tiktoken"]),
        "sha256": {
            "gguf": provenance.sha256(gguf),
            **provenance.hashes([checkpoint / "config.json", checkpoint / "model.safetensors", *references]),
        },
    }
    provenance.write_json(out / "provenance.json", about)


def make(gguf, checkpoint, out, command):
    """Makes the checkpoint if it is not there, then the references, then the comparisons.

    The 16-bit runs take far longer than the rest on a CPU without 16-bit arithmetic, so what is known is written early.
    """
    if not (checkpoint / "model.safetensors").exists():
        gguf_folder.write(gguf, checkpoint)
    out.mkdir(parents=True, exist_ok=True)
    runs, overall = f32_run(checkpoint), {}
    for key in COMPARED:
        overall[key] = compare(checkpoint, runs, key, out)
        write_description(gguf, checkpoint, out, command, [run["entry"] for run in runs], overall)

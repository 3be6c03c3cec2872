"""The same weights for both engines: a bf16 GGUF beside our folder, and the proof that they are as much to read."""

import importlib.machinery
import importlib.util
import json

from race import headers
from race.common import CACHE, ROOT, Failure, digest, run_logged, say

MODEL = ROOT / "models" / "qwen2.5-coder-0.5b-instruct"
TARGET = CACHE / "qwen2.5-coder-0.5b-instruct-bf16.gguf"
# Names of the embedding and of the head: in a GGUF, in a folder.
GGUF_NAMES = ("token_embd.weight", "output.weight")
FOLDER_NAMES = ("model.embed_tokens.weight", "lm_head.weight")


def get_model_script():
    """`tools/get-model` as a module: it knows where the GGUF comes from and what it must hash to."""
    loader = importlib.machinery.SourceFileLoader("get_model", str(ROOT / "tools" / "get-model"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def quantised(given, script):
    """The Q4_K_M GGUF that our folder was made from, and whether it was fetched for this only."""
    source = script.QWEN
    if given:
        found = digest(given)
        if found != source.sha256:
            raise Failure(f"--gguf {given}: SHA-256 {found}, expected {source.sha256}, the file of tools/get-model")
        return given, False
    kept = (script.CACHE / source.name).is_file()
    try:
        return script.get_gguf(source, None), not kept
    except script.Failure as failure:
        raise Failure(f"{failure}\nOr give the GGUF with --gguf FILE.") from failure


def bf16_gguf(quantize, given):
    """The GGUF in bf16, made by llama.cpp's own llama-quantize, once."""
    if TARGET.is_file():
        check_types(headers.gguf_tensors(TARGET), TARGET)
        return TARGET
    script = get_model_script()
    origin, fetched = quantised(given, script)
    partial = TARGET.with_suffix(".partial")
    say("making the bf16 GGUF with llama-quantize (1.3 GB)")
    command = [str(quantize), "--allow-requantize", str(origin), str(partial), "BF16"]
    run_logged(command, CACHE / "quantize.log")
    check_types(headers.gguf_tensors(partial), partial)
    partial.replace(TARGET)
    if fetched:
        origin.unlink()
    return TARGET


def check_types(tensors, path):
    """Every matrix bf16, every vector (norms, biases) f32."""
    for tensor in tensors:
        wanted = "BF16" if len(tensor.shape) > 1 else "F32"
        if tensor.dtype != wanted:
            raise Failure(f"{path}: {tensor.name} is {tensor.dtype}, {wanted} expected; delete the file and run again")


def read_for_a_token(tensors, names, path):
    """Bytes of the matrices that one token reads, and whether the head is a matrix of its own.

    A matrix product reads all of its matrix. An embedding with a head beside it is only gathered: one row.
    """
    embedding, head = names
    matrices = {tensor.name: tensor for tensor in tensors if len(tensor.shape) > 1}
    if embedding not in matrices:
        raise Failure(f"{path}: no tensor {embedding}")
    untied = head in matrices
    total = sum(tensor.bytes() for tensor in matrices.values())
    return total - matrices[embedding].bytes() * untied, untied


def compare(gguf, folder):
    """Fails unless both engines have the same bytes to read for a token; what was compared, for the results."""
    ours = headers.folder_tensors(folder)
    for tensor in ours:
        if len(tensor.shape) > 1 and tensor.dtype != "BF16":
            raise Failure(f"{folder}: {tensor.name} is {tensor.dtype}, BF16 expected; run tools/get-model")
    tied = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("tie_word_embeddings", False)
    if tied:
        ours = [tensor for tensor in ours if tensor.name != FOLDER_NAMES[1]]
    our_bytes, our_untied = read_for_a_token(ours, FOLDER_NAMES, folder)
    their_bytes, their_untied = read_for_a_token(headers.gguf_tensors(gguf), GGUF_NAMES, gguf)
    if (our_bytes, our_untied) != (their_bytes, their_untied):
        raise Failure(
            f"not the same work: qwarp reads {our_bytes} bytes of matrices for a token (untied head: {our_untied}), "
            f"llama.cpp {their_bytes} (untied head: {their_untied})"
        )
    head = "untied" if our_untied else "tied to the embedding"
    say(f"both engines read the same {our_bytes} bytes of bf16 matrices for a token; the head is {head} in both")
    return {"name": folder.name, "matrix_bytes_per_token": our_bytes, "dtype": "bf16", "head": f"{head} in both"}

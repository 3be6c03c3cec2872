"""Where a reference comes from: versions, hashes, the command."""

import hashlib
import json
import platform
from importlib import metadata

import torch

PACKAGES = ["torch", "transformers", "safetensors", "numpy"]
THREADS = 2


def sha256(path):
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def hashes(paths):
    """File name -> SHA-256, sorted by name."""
    return {path.name: sha256(path) for path in sorted(paths)}


def environment(command, extra_packages=()):
    """The part of a provenance that is about the machine and its software."""
    return {
        "command": command,
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in [*PACKAGES, *extra_packages]},
        "machine": f"{platform.system()} {platform.machine()}",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch_threads": torch.get_num_threads(),
    }


def write_json(path, value):
    """Writes indented JSON, so that a changed reference reads as a diff."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

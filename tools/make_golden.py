#!/usr/bin/env python3
"""Makes the golden references under tests/golden with HF transformers (tools/golden/requirements.txt).

    tools/make_golden.py tiny               seeded Qwen2 checkpoints with their logits
    tools/make_golden.py real --gguf FILE   logits of Qwen2.5-Coder-0.5B-Instruct, dequantised from FILE
"""

import argparse
import pathlib
import tempfile

import torch
from transformers.utils import logging

from golden import provenance

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
REAL = "qwen2.5-coder-0.5b-instruct"


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    tiny = kinds.add_parser("tiny", help="seeded tiny checkpoints")
    tiny.add_argument("--out", type=pathlib.Path, default=GOLDEN / "tiny")
    real = kinds.add_parser("real", help="the 0.5B; an hour or more on two cores")
    real.add_argument("--gguf", type=pathlib.Path, required=True)
    real.add_argument("--checkpoint", type=pathlib.Path, help="where the dequantised folder is kept, or already is")
    real.add_argument("--out", type=pathlib.Path, default=GOLDEN / REAL)
    return parser.parse_args()


def main():
    """Makes one kind of reference; each kind imports only what it needs."""
    args = arguments()
    logging.disable_progress_bar()
    torch.set_num_threads(provenance.THREADS)
    if args.kind == "tiny":
        from golden import tiny

        tiny.make(args.out, "tools/make_golden.py tiny")
        return
    from golden import real

    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = args.checkpoint or pathlib.Path(scratch)
        real.make(args.gguf, checkpoint, args.out, f"tools/make_golden.py real --gguf {args.gguf.name}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What HF transformers makes of a checkpoint on this machine, for tools/gpu_check to hold qwarp against.

    gpu_check_hf.py logits --model DIR --logits FILE   how far a file of `generate --logits-out` is, and transformers' own run
    gpu_check_hf.py speed --model DIR                  prefill, decode with a compiled static cache, peak of a dense product

Prints one JSON object. Exit codes: 0 success, 2 wrong arguments, 3 no torch, transformers or device to run on, with the
reason on standard error, anything else a failure.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

UNAVAILABLE = 3
DTYPES = {"bf16": "bfloat16", "f16": "float16"}
# A compiled function takes some runs until it is recorded and replayed.
WARM_UPS = 3


def at_least_one(text):
    """A count."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"found {value}, expected at least 1")
    return value


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    logits = kinds.add_parser("logits", help="distances of logits")
    logits.add_argument("--logits", type=pathlib.Path, required=True, help="safetensors: token_ids (n), logits (n, vocab)")
    speed = kinds.add_parser("speed", help="times")
    speed.add_argument("--prompt", type=at_least_one, default=448, help="tokens before those that are decoded")
    speed.add_argument("--tokens", type=at_least_one, default=128, help="tokens decoded")
    speed.add_argument("--prefill", type=at_least_one, default=2048, help="tokens of the timed prompt")
    speed.add_argument("--matmul", type=at_least_one, default=8192, help="rows, columns and depth of the dense product")
    speed.add_argument("--repetitions", type=at_least_one, default=5)
    for kind in (logits, speed):
        kind.add_argument("--model", type=pathlib.Path, required=True)
        kind.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
        kind.add_argument("--dtype", choices=sorted(DTYPES), default="bf16")
    args = parser.parse_args()
    for path in (args.model / "config.json", getattr(args, "logits", args.model)):
        if not path.exists():
            parser.error(f"{path}: there is no such file")
    if args.kind == "speed" and args.tokens < 2:
        parser.error(f"argument --tokens: found {args.tokens}, expected at least 2: the first is no decode step")
    return args


def unavailable(reason):
    """Ends the program where it cannot run."""
    print(f"unavailable: {reason}", file=sys.stderr)
    raise SystemExit(UNAVAILABLE)


def packages(device):
    """torch and transformers, if they are here and can use the device."""
    try:
        import torch
        import transformers
    except Exception as error:  # A package for another machine fails in any way it likes.
        unavailable(f"{type(error).__name__}: {error}")
    if device == "cuda" and not torch.cuda.is_available():
        unavailable(f"torch {torch.__version__} finds no CUDA device")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return torch, transformers


class Machine:
    """A device, and the packages that run on it."""

    def __init__(self, device):
        self.device = device
        self.torch, self.transformers = packages(device)

    def about(self):
        """What runs here."""
        name = self.torch.cuda.get_device_name() if self.device == "cuda" else "cpu"
        versions = {"torch": self.torch.__version__, "transformers": self.transformers.__version__}
        return {"versions": versions, "device": name}

    def load(self, folder, dtype):
        """The checkpoint in `folder`, its stored weights cast to `dtype`."""
        model = self.transformers.AutoModelForCausalLM
        try:
            model = model.from_pretrained(folder, dtype=dtype, local_files_only=True)
        except TypeError:  # Its name before transformers 4.56.
            model = model.from_pretrained(folder, torch_dtype=dtype, local_files_only=True)
        found = {parameter.dtype for parameter in model.parameters()}
        if found != {dtype}:
            raise SystemExit(f"{folder}: asked for {dtype}, got {found}")
        return model.eval().to(self.device)

    def seconds(self, run):
        """How long `run` takes, until the device has done it."""
        self.wait()
        start = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - start

    def wait(self):
        """Until the device has done everything."""
        if self.device == "cuda":
            self.torch.cuda.synchronize()


def distance(torch, reference, other, noise):
    """KL(reference || other) and top tokens over all positions; near-ties are closer than `noise`."""
    log_p = torch.log_softmax(reference.double(), dim=-1)
    log_q = torch.log_softmax(other.double(), dim=-1)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1)
    best = reference.topk(2, dim=-1).values
    near_tie = best[:, 0] - best[:, 1] <= noise
    wrong = reference.argmax(-1) != other.argmax(-1)
    return {
        "kl_mean": kl.mean().item(),
        "kl_max": kl.max().item(),
        "same_top1": (~wrong).sum().item(),
        "wrong_top1": (wrong & ~near_tie).sum().item(),
        "near_ties": near_tie.sum().item(),
        "max_abs": (reference - other).abs().max().item(),
    }


def logits(args, machine):
    """Our logits and those of transformers in the same type, each against transformers in f32."""
    from safetensors.torch import load_file

    torch = machine.torch
    # f32 means f32.
    torch.backends.cuda.matmul.allow_tf32 = False
    ours = load_file(args.logits)
    tokens = ours["token_ids"].to(machine.device)

    def run(dtype):
        with torch.no_grad():
            return machine.load(args.model, dtype)(tokens[None], use_cache=False).logits[0].float()

    reference, theirs = run(torch.float32), run(getattr(torch, DTYPES[args.dtype]))
    ours = ours["logits"].to(machine.device)
    if ours.shape != reference.shape:
        raise SystemExit(f"{args.logits}: logits {tuple(ours.shape)}, transformers has {tuple(reference.shape)}")
    # The largest error of transformers' own logits says which positions nobody can tell apart.
    noise = (reference - theirs).abs().max().item()
    return {
        "positions": len(tokens),
        "ours": distance(torch, reference, ours, noise),
        "transformers": distance(torch, reference, theirs, noise),
        "ours_from_transformers": distance(torch, theirs, ours, noise),
    }


def prompt(machine, model, count):
    """The ids of a prompt; what they say means nothing."""
    ids = machine.torch.arange(count, device=machine.device) * 7919 + 13
    return (ids % model.config.vocab_size)[None]


def clock(transformers, torch):
    """A stopping criterion that never stops, and notes when each token came."""

    class Clock(transformers.StoppingCriteria):
        def __init__(self):
            self.at_s = []

        def __call__(self, input_ids, scores, **kwargs):
            self.at_s.append(time.perf_counter())
            return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)

    return Clock()


def decode(args, machine, model):
    """Milliseconds of a token with a static cache and a compiled model: the median from one token to the next.

    generate waits for the device at every token. An answer has a cache of its own, for which CUDA graphs are recorded again at
    its first tokens: a mean would count that.
    """
    torch, transformers = machine.torch, machine.transformers
    model.generation_config.eos_token_id = None
    ids = prompt(machine, model, args.prompt)
    options = {"do_sample": False, "cache_implementation": "static", "pad_token_id": 0, "max_new_tokens": args.tokens}
    if machine.device == "cpu":
        # It compiles for GPUs alone unless it is made to.
        options["compile_config"] = transformers.CompileConfig()
        options["compile_config"]._compile_all_devices = True

    def answer():
        times = clock(transformers, torch)
        criteria = transformers.StoppingCriteriaList([times])
        found = model.generate(ids, attention_mask=torch.ones_like(ids), stopping_criteria=criteria, **options)
        if found.shape[1] - args.prompt != args.tokens:
            raise SystemExit(f"generate gave {found.shape[1] - args.prompt} tokens instead of {args.tokens}")
        return [1e3 * (b - a) for a, b in zip(times.at_s, times.at_s[1:])]

    torch._dynamo.utils.counters.clear()
    warm_up_s = [machine.seconds(answer) for _ in range(WARM_UPS)]
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    if graphs == 0:
        raise SystemExit(f"transformers {transformers.__version__} compiled nothing")
    steps_ms = sorted(step for _ in range(args.repetitions) for step in answer())
    return {
        "ms_per_token": statistics.median(steps_ms),
        "least_ms": steps_ms[0],
        "mean_ms": statistics.mean(steps_ms),
        "steps": len(steps_ms),
        "compiled_graphs": graphs,
        "cudagraph_skips": torch._dynamo.utils.counters["inductor"]["cudagraph_skips"],
        "warm_up_s": warm_up_s,
    }


def prefill(args, machine, model):
    """Seconds of a prompt of which the last logits are wanted."""
    ids = prompt(machine, model, args.prefill)

    def run():
        with machine.torch.no_grad():
            model(ids, use_cache=True, logits_to_keep=1)

    machine.seconds(run)
    return [machine.seconds(run) for _ in range(args.repetitions)]


def peak(args, machine):
    """TFLOP/s of a dense product, the best of some."""
    torch, n = machine.torch, args.matmul
    a, b = (torch.randn(n, n, device=machine.device, dtype=getattr(torch, DTYPES[args.dtype])) for _ in range(2))
    machine.seconds(lambda: a @ b)
    best_s = min(machine.seconds(lambda: a @ b) for _ in range(4 * args.repetitions))
    return 2 * n**3 / best_s / 1e12


def speed(args, machine):
    """Every time; a model that cannot be compiled is no reason to lose the others."""
    found = {"peak_tflop_per_s": peak(args, machine), "matmul": args.matmul}
    model = machine.load(args.model, getattr(machine.torch, DTYPES[args.dtype]))
    found |= {"prefill_tokens": args.prefill, "prefill_s": prefill(args, machine, model)}
    found |= {"decode_prompt": args.prompt, "decode_tokens": args.tokens, "decode": None, "decode_error": None}
    try:
        found["decode"] = decode(args, machine, model)
    except (Exception, SystemExit) as error:  # A compiler that is missing is said in many ways.
        found["decode_error"] = (str(error).strip().splitlines() or [""])[0] or type(error).__name__
    return found


def main():
    """Runs what is asked for."""
    args = arguments()
    machine = Machine(args.device)
    found = {"logits": logits, "speed": speed}[args.kind](args, machine)
    print(json.dumps(machine.about() | {"dtype": args.dtype} | found, indent=1))


if __name__ == "__main__":
    main()

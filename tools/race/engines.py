"""One timed run of either engine: its command line, and its JSON, checked."""

import dataclasses
import json
import os
import pathlib
import subprocess

from race.common import CACHE, ROOT, Failure

LLAMA, QWARP = "llama.cpp", "qwarp"
PREFILL, DECODE = "prefill", "decode"
# Longer than the deepest sweep on a slow machine; a run that takes more hangs.
LIMIT_S = 3600
# What qwarp's tests must say beside llama-bench's fields: what they reached, and the limit of the same run.
LIMIT_FIELDS = {
    PREFILL: ("tflop_per_s", "limit_tflop_per_s", "percent_of_limit"),
    DECODE: ("gb_per_s", "limit_gb_per_s", "percent_of_limit"),
}


@dataclasses.dataclass(frozen=True)
class Work:
    """What one run measures: tokens of prefill and of decode (0 leaves one out) at a depth, on some threads."""

    depth: int
    threads: int
    n_prompt: int
    n_gen: int
    repetitions: int
    warmup: bool = True

    def only(self, test):
        """The same, one of its two tests alone."""
        return dataclasses.replace(self, n_gen=0) if test == PREFILL else dataclasses.replace(self, n_prompt=0)

    def flags(self):
        """In words that both programs know."""
        numbers = {"-t": self.threads, "-p": self.n_prompt, "-n": self.n_gen, "-d": self.depth, "-r": self.repetitions}
        words = [str(word) for pair in numbers.items() for word in pair]
        return [*words, "-o", "json", *([] if self.warmup else ["--no-warmup"])]

    def tests(self):
        """(n_prompt, n_gen) of each test that must come back."""
        return [pair for pair in ((self.n_prompt, 0), (0, self.n_gen)) if pair != (0, 0)]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What llama.cpp lets its user choose and what matters here: flash attention, and the type of its KV cache."""

    flash_attention: str
    kv: str

    def flags(self):
        return ["-fa", self.flash_attention, "-ctk", self.kv, "-ctv", self.kv]

    def __str__(self):
        return f"-fa {self.flash_attention}, KV {self.kv}"


@dataclasses.dataclass(frozen=True)
class Engines:
    """Both programs and the model of each."""

    llama_bench: pathlib.Path
    gguf: pathlib.Path
    qwarp: pathlib.Path
    folder: pathlib.Path

    def llama(self, work, settings):
        """llama-bench's tests."""
        arguments = ["-m", relative(self.gguf), *work.flags(), *settings.flags()]
        return measure(self.llama_bench, arguments, work, {PREFILL: (), DECODE: ()})

    def ours(self, work):
        """qwarp's tests."""
        arguments = ["bench", "--model", relative(self.folder), "--device", "cpu", "--dtype", "bf16"]
        arguments += work.flags()
        return measure(self.qwarp, arguments, work, LIMIT_FIELDS)


def relative(path):
    """A path without the machine in it, where it lies in this repository; commands run from its root."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def measure(program, arguments, work, fields):
    """Runs one program; its arguments and its tests as the results keep them."""
    # Results are committed: no path of this machine in them.
    words = [os.path.basename(word) if os.path.isabs(word) else word for word in arguments]
    shown = " ".join([program.name, *words])
    try:
        done = subprocess.run(
            [str(program), *arguments], cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=LIMIT_S
        )
    except OSError as error:
        raise Failure(f"cannot run {program}: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise Failure(f"`{shown}` did not end within {LIMIT_S} s") from error
    if done.returncode != 0:
        (CACHE / "failed.log").write_text(done.stdout + done.stderr, encoding="utf-8")
        raise Failure(f"{done.stderr[-2000:]}\n`{shown}` ended with exit code {done.returncode}")
    try:
        tests = json.loads(done.stdout)
        check(tests, work, fields)
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"`{shown}`: {type(error).__name__} in its JSON: {error}") from error
    for test in tests:
        test["model_filename"] = os.path.basename(test.get("model_filename", ""))
    return {"command": shown, "tests": tests}


def test_of(entry):
    """`prefill` or `decode`."""
    return PREFILL if entry["n_prompt"] else DECODE


def check(tests, work, fields):
    """Exactly the tests that were asked for, every one with its samples and with numbers in its `fields`."""
    found = sorted((test["n_prompt"], test["n_gen"]) for test in tests)
    if found != sorted(work.tests()):
        raise ValueError(f"tests (n_prompt, n_gen) {found}, {sorted(work.tests())} asked for")
    for test in tests:
        for field, wanted in (("n_depth", work.depth), ("n_threads", work.threads)):
            if test[field] != wanted:
                raise ValueError(f"{field} is {test[field]}, {wanted} asked for")
        if len(test["samples_ts"]) != work.repetitions or not all(ts > 0 for ts in test["samples_ts"]):
            raise ValueError(f"samples_ts {test['samples_ts']}, {work.repetitions} above 0 asked for")
        for field in fields[test_of(test)]:
            if not isinstance(test[field], (int, float)):
                raise ValueError(f"{field} is {test[field]}, a number wanted")

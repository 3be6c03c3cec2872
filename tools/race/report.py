"""The results file, and the table for the README."""

import datetime
import json

from race import machine
from race.common import RESULTS, ROOT, output
from race.engines import PREFILL

# Keys whose lists are written one element a line: short enough to read, long enough to keep every sample.
LONG = ("settings_trial", "runs")


def text(results):
    """Results as JSON."""
    parts = []
    for key, value in results.items():
        if key in LONG:
            lines = ",\n  ".join(json.dumps(element) for element in value)
            parts.append(f" {json.dumps(key)}: [\n  {lines}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: " + json.dumps(value, indent=1).replace("\n", "\n "))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def write(results, given):
    """Into `given`, or benches/results/ under a name that is free."""
    if given:
        path = given
    else:
        RESULTS.mkdir(parents=True, exist_ok=True)
        cpu = machine.cpu_slug(results["machine"]["cpu"])
        stem = f"{results['date'][:10]}-cpu-{cpu}-{results['kind']}"
        names = [f"{stem}.json", *(f"{stem}-{number}.json" for number in range(2, 100))]
        path = next(RESULTS / name for name in names if not (RESULTS / name).exists())
    path.write_text(text(results), encoding="utf-8")
    return path


def now():
    """The date of the results."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def qwarp(program):
    """What raced for us."""
    return {
        "version": output([str(program), "--version"]),
        "commit": output(["git", "describe", "--always", "--dirty", "--abbrev=12"]) or "unknown",
        "compiler": output(["rustc", "--version"]) or "unknown",
    }


def shown(path):
    """A path for a message."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def table(results):
    """The race as Markdown."""
    first = results["summary"][0]
    lines = [
        f"On {results['machine']['cores']} cores of {results['machine']['cpu']}, {results['date'][:10]}, bf16, "
        f"llama.cpp of {results['llama_cpp']['package']} at the settings that suit it best; "
        f"threads: {first['n_threads']}, interleaved pairs: {first['pairs']}, medians (least to greatest):",
        "",
        "| what | qwarp | llama.cpp | ratio of the pairs | beside its limit |",
        "|---|---|---|---|---|",
    ]
    return "\n".join(lines + [line(row) for row in results["summary"]])


def line(row):
    ratio = row["ratio"]
    return (
        f"| {row['test']}, {row['tokens']} tokens at depth {row['n_depth']:,} "
        f"| {row['qwarp_ts']['median']:.1f} tokens/s | {row['llama_cpp_ts']['median']:.1f} tokens/s "
        f"| **{ratio['median']:.3f}** ({ratio['min']:.3f} to {ratio['max']:.3f}) | {beside_limit(row)} |"
    )


def beside_limit(row):
    """What qwarp reached, and what the same threads could have, in the same runs."""
    percent = f"{row['percent_of_limit']['median']:.0f} %"
    if row["test"] == PREFILL:
        reached, limit = (1000 * row[field]["median"] for field in ("tflop_per_s", "limit_tflop_per_s"))
        return f"{reached:.0f} GFLOP/s: {percent} of the {limit:.0f} GFLOP/s that the same threads can do"
    reached, limit = (row[field]["median"] for field in ("gb_per_s", "limit_gb_per_s"))
    return (
        f"{reached:.1f} GB/s: {percent} of the {limit:.1f} GB/s that the same threads can read; "
        f"llama.cpp's weights {row['llama_cpp_weights_gb_per_s']:.1f} GB/s"
    )

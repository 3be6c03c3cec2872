"""Series for the picture, from a results file of `tools/race-llama-cpp --sweep`."""

import dataclasses
import json
import statistics

from race.common import Failure
from race.engines import LLAMA, QWARP, test_of

ENGINES = (QWARP, LLAMA)


@dataclasses.dataclass(frozen=True)
class Point:
    """Tokens/s at one depth: median, least and greatest of the samples."""

    depth: int
    median: float
    least: float
    greatest: float


@dataclasses.dataclass(frozen=True)
class Sweep:
    """One results file."""

    name: str
    machine: dict
    date: str
    llama: str
    # {(test, engine, threads): [Point]}, by depth.
    series: dict
    # {test: tokens of a sample}
    tokens: dict
    samples: int

    def threads(self):
        return sorted({threads for _, _, threads in self.series})

    def depths(self):
        return sorted({point.depth for points in self.series.values() for point in points})


def load(path):
    """Reads and checks one file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["kind"] != "sweep":
            raise Failure(f"{path}: kind is {found['kind']!r}, 'sweep' wanted; tools/race-llama-cpp --sweep makes one")
        series, tokens, samples = {}, {}, set()
        for run in found["runs"]:
            for entry in run["tests"]:
                test, ts = test_of(entry), entry["samples_ts"]
                point = Point(entry["n_depth"], statistics.median(ts), min(ts), max(ts))
                series.setdefault((test, run["engine"], entry["n_threads"]), []).append(point)
                tokens[test] = entry["n_prompt"] + entry["n_gen"]
                samples.add(len(ts))
        for points in series.values():
            points.sort(key=lambda point: point.depth)
        llama = f"{found['llama_cpp']['package']}"
        sweep = Sweep(path.name, found["machine"], found["date"][:10], llama, series, tokens, min(samples, default=0))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(f"{path}: {type(error).__name__}: {error}") from error
    check(sweep, path)
    return sweep


def check(sweep, path):
    """Every engine, test and thread count at every depth, once."""
    depths = sweep.depths()
    for test in ("prefill", "decode"):
        for engine in ENGINES:
            for threads in sweep.threads():
                found = [point.depth for point in sweep.series.get((test, engine, threads), [])]
                if found != depths:
                    raise Failure(f"{path}: {test}, {engine}, {threads} threads: depths {found}, {depths} expected")
    if len(depths) < 2:
        raise Failure(f"{path}: depths {depths}; a line needs two")

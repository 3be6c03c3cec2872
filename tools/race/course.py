"""The runs themselves: first which settings suit llama.cpp best, then the pairs."""

import time

from race import clock, machine
from race.engines import DECODE, LLAMA, PREFILL, QWARP, Settings, Work, test_of
from race.common import say
from race.summary import speed

CANDIDATES = [Settings("off", "f16"), Settings("on", "f16"), Settings("on", "bf16")]
# Short: it only has to tell the candidates apart.
TRIAL_GEN, TRIAL_REPETITIONS = 32, 2
# Settings this near to the best for both tests serve for both: two commands would prefill up to the depth twice.
NEAR = 0.99


class Course:
    """All runs of one race or sweep, kept as they come."""

    def __init__(self, engines):
        self.engines, self.runs, self.trial = engines, [], []
        # {(depth, test): Settings} of llama.cpp.
        self.settings = {}

    def try_settings(self, depths, threads, n_prompt):
        """Each candidate once at each depth; llama.cpp races with the fastest for each test there."""
        works = [Work(depth, threads, n_prompt, TRIAL_GEN, TRIAL_REPETITIONS) for depth in depths]
        timer = clock.Clock((LLAMA, work) for work in works for _ in CANDIDATES)
        say(f"finding llama.cpp's best settings: about {clock.in_words(timer.left_s())}")
        for work in works:
            tried = {}
            for settings in CANDIDATES:
                started = time.monotonic()
                found = self.engines.llama(work, settings)
                timer.done(LLAMA, work, time.monotonic() - started)
                self.trial.append(found)
                tried[settings] = {test_of(entry): speed(entry) for entry in found["tests"]}
                say(f"  depth {work.depth}, {settings}: {speeds(found['tests'])}; {left(timer)}")
            for test, settings in best_settings(tried).items():
                self.settings[work.depth, test] = settings
        for (depth, test), settings in self.settings.items():
            say(f"llama.cpp races its {test} at depth {depth} with {settings}")

    def settings_for(self, depth, test):
        """Those of the nearest depth that was tried."""
        nearest = min({tried for tried, _ in self.settings}, key=lambda tried: abs(tried - depth))
        return self.settings[nearest, test]

    def works_of(self, engine, work):
        """(work, settings) of each command: two for llama.cpp where its tests want different settings."""
        if engine == QWARP:
            return [(work, None)]
        prefill, decode = (self.settings_for(work.depth, test) for test in (PREFILL, DECODE))
        if prefill == decode:
            return [(work, prefill)]
        return [(work.only(PREFILL), prefill), (work.only(DECODE), decode)]

    def run(self, pairs):
        """`pairs`: (number of the pair, work), in their order. Each is one run of either engine, next to each other."""
        planned = []
        for turn, (pair, work) in enumerate(pairs):
            for engine in clock.engines_in_turn(turn):
                planned += [(engine, pair, part, settings) for part, settings in self.works_of(engine, work)]
        timer = clock.Clock((engine, part) for engine, _, part, _ in planned)
        say(f"{len(planned)} runs: about {clock.in_words(timer.left_s())}")
        for number, (engine, pair, part, settings) in enumerate(planned, 1):
            load, started = machine.load(), time.monotonic()
            found = self.engines.ours(part) if engine == QWARP else self.engines.llama(part, settings)
            seconds = time.monotonic() - started
            timer.done(engine, part, seconds)
            self.runs.append({"pair": pair, "engine": engine, "load_before": load, "run_s": round(seconds, 1), **found})
            where = f"depth {part.depth}, threads {part.threads}, pair {pair + 1}"
            say(f"[{number}/{len(planned)}] {where}: {engine} {speeds(found['tests'])}; {left(timer)}")


def best_settings(tried):
    """{test: Settings} from {Settings: {test: tokens/s}}: the same for all tests where none of them minds."""
    tests = next(iter(tried.values())).keys()
    best = {test: max(tried, key=lambda settings: tried[settings][test]) for test in tests}

    def least_share(settings):
        return min(tried[settings][test] / tried[best[test]][test] for test in tests)

    common = max(tried, key=least_share)
    return dict.fromkeys(tests, common) if least_share(common) >= NEAR else best


def speeds(tests):
    return ", ".join(f"{test_of(entry)} {speed(entry):.1f} tokens/s" for entry in tests)


def left(timer):
    return f"{clock.in_words(timer.left_s())} left"


def race_pairs(depths, threads, pairs, n_prompt, n_gen):
    """All pairs of a depth, then the next depth."""
    return [(pair, Work(depth, threads, n_prompt, n_gen, 1)) for depth in depths for pair in range(pairs)]


def sweep_pairs(depths, thread_counts, n_prompt, n_gen, repetitions):
    """One pair for each depth and thread count. A prefill up to the depth has warmed up whatever there is to warm."""
    return [
        (0, Work(depth, threads, n_prompt, n_gen, repetitions, warmup=depth == 0))
        for depth in depths
        for threads in thread_counts
    ]

"""Time left: a first guess, then what the same kind of run has taken."""

import statistics

from race.engines import LLAMA, QWARP

# For the first guess, on slow cores: tokens/s of one thread, and what a run takes before its first token.
PREFILL_TS, DECODE_TS, START_S = 55, 10, 2


def guess_s(engine, work):
    """Seconds of one run, not yet measured: the tokens that it computes, each token dearer the deeper it stands."""
    prefill_ts = PREFILL_TS * work.threads / (1 + work.depth / 16384)
    prompt = work.n_prompt * (work.repetitions + work.warmup)
    seconds = START_S + (work.depth + prompt) / prefill_ts
    seconds += work.n_gen * work.repetitions / (DECODE_TS * work.threads)
    # qwarp reads all weights between decode steps, for the limit.
    return seconds * (1.1 if engine == QWARP and work.n_gen else 1)


class Clock:
    """Knows what lies ahead."""

    def __init__(self, planned):
        """`planned`: (engine, work) of every run."""
        self.planned, self.taken = list(planned), {}

    def done(self, engine, work, seconds):
        """Notes the run that was next."""
        self.planned.pop(0)
        self.taken.setdefault((engine, work), []).append((seconds, guess_s(engine, work)))

    def left_s(self):
        """Seconds that the rest will take."""
        pairs = [pair for kind in self.taken.values() for pair in kind]
        scale = sum(pair[0] for pair in pairs) / sum(pair[1] for pair in pairs) if pairs else 1.0

        def expected(engine, work):
            known = self.taken.get((engine, work))
            return statistics.mean(pair[0] for pair in known) if known else guess_s(engine, work) * scale

        return sum(expected(engine, work) for engine, work in self.planned)


def in_words(seconds):
    """For a progress line."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def engines_in_turn(turn):
    """The order of a pair: it changes from one to the next, so that neither engine always has the warmer machine."""
    return (LLAMA, QWARP) if turn % 2 == 0 else (QWARP, LLAMA)

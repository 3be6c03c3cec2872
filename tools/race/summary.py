"""Medians of samples and of pair ratios."""

import statistics

from race.engines import DECODE, LIMIT_FIELDS, LLAMA, QWARP, test_of


def speed(entry):
    """The median of a test's samples, in tokens/s."""
    return statistics.median(entry["samples_ts"])


def spread(values):
    """Median, least and greatest."""
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, 4) for name, value in found.items()}


def by_test(runs, engine):
    """{(depth, threads, test): {pair: its JSON}} of one engine."""
    found = {}
    for run in runs:
        for entry in run["tests"] if run["engine"] == engine else []:
            key = (entry["n_depth"], entry["n_threads"], test_of(entry))
            found.setdefault(key, {})[run["pair"]] = entry
    return found


def of_race(runs, matrix_bytes):
    """One row for each depth, thread count and test: both speeds, the ratios of the pairs, and the limit."""
    ours, theirs = by_test(runs, QWARP), by_test(runs, LLAMA)
    rows = []
    for key in sorted(ours, key=lambda key: (key[0], key[1], key[2] == DECODE)):
        pairs = sorted(ours[key].keys() & theirs.get(key, {}).keys())
        if pairs:
            rows.append(row(key, [(ours[key][pair], theirs[key][pair]) for pair in pairs], matrix_bytes))
    return rows


def row(key, pairs, matrix_bytes):
    depth, threads, test = key
    found = {
        "n_depth": depth,
        "n_threads": threads,
        "test": test,
        "tokens": pairs[0][0]["n_prompt"] + pairs[0][0]["n_gen"],
        "pairs": len(pairs),
        "qwarp_ts": spread([speed(our) for our, _ in pairs]),
        "llama_cpp_ts": spread([speed(their) for _, their in pairs]),
        "ratio": spread([speed(our) / speed(their) for our, their in pairs]),
    }
    for field in LIMIT_FIELDS[test]:
        found[field] = spread([our[field] for our, _ in pairs])
    if test == DECODE:
        # Its weights alone: how much of its cache it reads is its own affair.
        found["llama_cpp_weights_gb_per_s"] = round(found["llama_cpp_ts"]["median"] * matrix_bytes / 1e9, 4)
    return found

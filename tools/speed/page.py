"""The page around the picture: the table it is made of, and how to make both again."""

from speed.data import ENGINES


def median_at(sweep, test, engine, threads, depth):
    return next(point.median for point in sweep.series[test, engine, threads] if point.depth == depth)


def table(sweep, test):
    """Medians of one test and their ratio, by depth."""
    ours, theirs = ENGINES
    names = [
        f"{name}, {threads} thread{'s' * (threads > 1)}"
        for threads in sweep.threads()
        for name in (ours, theirs, "ratio")
    ]
    lines = [f"| depth | {' | '.join(names)} |", "|--:|" + "--:|" * len(names)]
    for depth in sweep.depths():
        cells = [f"{depth:,}"]
        for threads in sweep.threads():
            pair = [median_at(sweep, test, engine, threads, depth) for engine in ENGINES]
            cells += [f"{pair[0]:.1f}", f"{pair[1]:.1f}", f"{pair[0] / pair[1]:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def markdown(sweep):
    """docs/speed.md."""
    machine = sweep.machine
    return f"""# Speed against context length

![Tokens per second of qwarp and llama.cpp against context length, at {' and '.join(map(str, sweep.threads()))} \
threads](speed.svg)

Dots are medians of {sweep.samples} samples, bars their least and greatest; Qwen2.5-Coder-0.5B-Instruct in bf16, on \
{machine['cores']} cores of {machine['cpu']}, {machine['system']}, on {sweep.date}. llama.cpp is the one in \
{sweep.llama}, built natively, at the settings that suited it best at the nearest depth that was tried. The depth is what \
stands in the context before the timed tokens.

## Decode, {sweep.tokens['decode']} tokens, tokens/s

{table(sweep, 'decode')}

## Prefill, {sweep.tokens['prefill']} tokens, tokens/s

{table(sweep, 'prefill')}

## Again

Every sample is in [{sweep.name}](../benches/results/{sweep.name}). On a machine with nothing else to do:

```
tools/race-llama-cpp --sweep    # builds llama.cpp the first time; then about 30 minutes on two cores
tools/plot-speed                # writes this page and its picture from the newest sweep
```
"""

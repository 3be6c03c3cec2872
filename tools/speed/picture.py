"""The picture as SVG, by hand: two panels, lines labelled at their ends, readable on light and dark pages."""

import math
from html import escape

from speed.data import ENGINES

WIDTH, HEIGHT = 1110, 440
TOP, BOTTOM, LEFT, PANEL, GAP = 56, 376, 56, 312, 232
# Least distances between labels: from line to line, and along the depths.
LABEL_STEP, TICK_STEP = 17, 44
# Colours that the colour-blind tell apart too; a pair for light pages and one for dark.
STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .axis { stroke: #57606a; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.5 }
  .bar { stroke-width: 1.5 }
  .few { stroke-dasharray: 6 4 }
  .qwarp { stroke: #0969da } .llama { stroke: #bc4c00 }
  .qwarp-ink { fill: #0969da; stroke: none } .llama-ink { fill: #bc4c00; stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .grid { stroke: #30363d }
    .axis { stroke: #8b949e }
    .qwarp { stroke: #58a6ff } .llama { stroke: #f0883e }
    .qwarp-ink { fill: #58a6ff } .llama-ink { fill: #f0883e }
  }
"""
CLASSES = dict(zip(ENGINES, ("qwarp", "llama")))


def step_of(greatest):
    """A round step that gives four to eight ticks up to `greatest`."""
    power = 10 ** math.floor(math.log10(greatest / 4))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if greatest / (power * factor) <= 8)


def number(value):
    """One decimal at most, and none where it is zero."""
    return f"{value:.1f}".removesuffix(".0")


def thousands(value):
    return f"{value:,}"


def spread_labels(wanted):
    """Heights for labels near those wanted, one line apart at least; order kept."""
    order = sorted(range(len(wanted)), key=lambda index: (wanted[index], index))
    placed = [0.0] * len(wanted)
    lowest = -math.inf
    for index in order:
        lowest = placed[index] = max(wanted[index], lowest + LABEL_STEP)
    # What ran out of the panel below pushes the ones above it up.
    highest = BOTTOM
    for index in reversed(order):
        highest = placed[index] = min(placed[index], highest)
        highest -= LABEL_STEP
    return placed


class Panel:
    """One chart: tokens/s of one test against depth."""

    def __init__(self, sweep, test, left):
        self.left, self.test = left, test
        self.lines = {key[1:]: points for key, points in sweep.series.items() if key[0] == test}
        self.threads, self.depths, self.tokens = sweep.threads(), sweep.depths(), sweep.tokens[test]
        greatest = max(point.greatest for points in self.lines.values() for point in points)
        self.step = step_of(greatest)
        self.top = math.ceil(greatest / self.step) * self.step

    def x(self, depth):
        return self.left + PANEL * depth / self.depths[-1]

    def y(self, speed):
        return BOTTOM - (BOTTOM - TOP) * speed / self.top

    def axes(self):
        right = self.left + PANEL
        title = f"{self.test.capitalize()}: {self.tokens} tokens, tokens/s"
        yield f'<text class="title" x="{self.left}" y="28">{title}</text>'
        for tick in range(round(self.top / self.step) + 1):
            y = self.y(tick * self.step)
            kind = "grid" if tick else "axis"
            yield f'<line class="{kind}" x1="{self.left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
            yield f'<text x="{self.left - 8}" y="{y + 4:.1f}" text-anchor="end">{number(tick * self.step)}</text>'
        yield f'<line class="axis" x1="{self.left}" y1="{TOP}" x2="{self.left}" y2="{BOTTOM}"/>'
        drawn = -math.inf
        for depth in self.depths:
            x = self.x(depth)
            yield f'<line class="axis" x1="{x:.1f}" y1="{BOTTOM}" x2="{x:.1f}" y2="{BOTTOM + 5}"/>'
            if x - drawn >= TICK_STEP:
                yield f'<text x="{x:.1f}" y="{BOTTOM + 20}" text-anchor="middle">{thousands(depth)}</text>'
                drawn = x
        middle = self.left + PANEL / 2
        name = "depth: tokens in the context before the timed ones"
        yield f'<text x="{middle:.1f}" y="{BOTTOM + 42}" text-anchor="middle">{name}</text>'

    def curves(self):
        for (engine, threads), points in sorted(self.lines.items()):
            colour = CLASSES[engine]
            dash = " few" if threads != self.threads[-1] else ""
            path = " ".join(f"{self.x(point.depth):.1f},{self.y(point.median):.1f}" for point in points)
            yield f'<polyline class="line {colour}{dash}" points="{path}"/>'
            for point in points:
                x, y = self.x(point.depth), self.y(point.median)
                low, high = self.y(point.least), self.y(point.greatest)
                yield f'<line class="bar {colour}" x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}"/>'
                yield f'<circle class="{colour}-ink" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'

    def labels(self):
        keys = sorted(self.lines)
        heights = spread_labels([self.y(self.lines[key][-1].median) + 4 for key in keys])
        for (engine, threads), y in zip(keys, heights):
            text = f"{engine}, {threads} thread{'s' * (threads > 1)}: {number(self.lines[engine, threads][-1].median)}"
            x = self.left + PANEL + 10
            yield f'<text class="{CLASSES[engine]}-ink" x="{x}" y="{y:.1f}">{escape(text)}</text>'

    def draw(self):
        return [*self.axes(), *self.curves(), *self.labels()]


def svg(sweep):
    """The picture."""
    panels = [Panel(sweep, "decode", LEFT), Panel(sweep, "prefill", LEFT + PANEL + GAP)]
    title = "Tokens per second against context length: qwarp and llama.cpp"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
        *(part for panel in panels for part in panel.draw()),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws what rounds.py measured as SVG: plot.py BENCH_DIR OUT_DIR. Standard library only.

Text and lines have colours that can be read on light and dark pages; there is no background.
"""
import json
import math
import pathlib
import sys
from xml.sax.saxutils import escape

from rounds import rate

COLOURS = {"llama-125m": "#d9822b", "transxssm-125m": "#2b83d9", "pha-dss-125m": "#3a9d5d",
           "attention-180m": "#d9822b", "pha-180m": "#3a9d5d"}
GREY = "#808080"
PANEL_W, PANEL_H = 380, 250
LEFT, TOP, BETWEEN, BOTTOM = 64, 84, 76, 76


def rounded(most):
    """A step of 1, 2 or 5 times a power of ten that makes four to eight lines up to most."""
    step = 10 ** math.floor(math.log10(most)) if most > 0 else 1
    return step * next(part for part in (0.2, 0.25, 0.5, 1, 2) if most / step <= 8 * part)


def number(x):
    return f"{x:,.0f}" if x == int(x) else f"{x:g}"


class Axis:
    """From values to places, by the ticks: even ones from 0, those of a depth in powers of
    two, or, for a batch, the values themselves at places of their logarithm."""

    def __init__(self, values, low, high, kind="even"):
        self.low, self.high, self.log = low, high, kind == "batch"
        most = max(values)
        if self.log:
            self.ticks = sorted(set(values))
        else:
            depth = 2 ** max(0, math.ceil(math.log2(most / 4))) if most > 0 else 1
            step = depth if kind == "depth" else rounded(most)
            self.ticks = [i * step for i in range(math.ceil(most / step) + 1)]
        self.least, self.most = self.place(self.ticks[0]), self.place(self.ticks[-1])

    def place(self, value):
        return math.log2(value) if self.log else value

    def at(self, value):
        span = (self.most - self.least) or 1
        return self.low + (self.high - self.low) * (self.place(value) - self.least) / span


class Drawing:
    def __init__(self, n_panels, title, note):
        self.width = LEFT + n_panels * PANEL_W + (n_panels - 1) * BETWEEN + 24
        self.height = TOP + PANEL_H + BOTTOM
        self.parts = []
        self.text(LEFT, 20, title, size=15, weight="bold")
        self.text(LEFT, self.height - 10, note, size=10)

    def text(self, x, y, words, anchor="start", size=12, weight="normal", turn=None, fill=GREY):
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" '
                          f'font-weight="{weight}" text-anchor="{anchor}" fill="{fill}"'
                          f'{turned}>{escape(words)}</text>')

    def line(self, x1, y1, x2, y2, opacity=1.0):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                          f'stroke="{GREY}" stroke-opacity="{opacity}"/>')

    def curve(self, points, colour):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                          'stroke-width="2"/>')
        self.parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
                       for x, y in points]

    def legend(self, names):
        x = LEFT
        for name in names:
            self.parts.append(f'<circle cx="{x + 4}" cy="38" r="4" fill="{COLOURS[name]}"/>')
            self.text(x + 13, 42, name)
            x += 36 + 7 * len(name)

    def panel(self, n, head, found, names, kind="depth"):
        """found: {name: [(x, y)]}; names: of the axes."""
        left = LEFT + n * (PANEL_W + BETWEEN)
        right, bottom = left + PANEL_W, TOP + PANEL_H
        points = [p for c in found.values() for p in c]
        xs = Axis([p[0] for p in points], left, right, kind)
        ys = Axis([p[1] for p in points], bottom, TOP)
        for tick in ys.ticks:
            self.line(left, ys.at(tick), right, ys.at(tick), 0.25)
            self.text(left - 6, ys.at(tick) + 4, number(tick), "end", 11)
        for tick in xs.ticks:
            self.line(xs.at(tick), bottom, xs.at(tick), bottom + 4)
            self.text(xs.at(tick), bottom + 18, number(tick), "middle", 11)
        self.line(left, bottom, right, bottom)
        self.text((left + right) / 2, bottom + 38, names[0], "middle")
        self.text(left - 50, (TOP + bottom) / 2, names[1], "middle", turn=-90)
        self.text(left, TOP - 12, head, weight="bold")
        for name, curve in found.items():
            self.curve([(xs.at(x), ys.at(y)) for x, y in curve], COLOURS[name])

    def svg(self):
        body = "\n".join(self.parts)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} '
                f'{self.height}" width="{self.width}" height="{self.height}" '
                f'font-family="system-ui, sans-serif">\n{body}\n</svg>\n')


def curves(found, x, y, **wanted):
    """{shape: [(x, y)]} of the results with these values that fitted, in order of x."""
    out = {}
    for r in found["results"]:
        if r["fits"] and all(r[k] == v for k, v in wanted.items()):
            out.setdefault(r["shape"], []).append((r[x], y(r)))
    return {shape: sorted(points) for shape, points in out.items()}


def note(found):
    limits, m = found["limits"], found["machine"]
    first = found["results"][0]
    return (f"weights {first['format']}, keys and values {first['kv']}, {m['threads']} threads "
            f"({m['cpu']}); memory {rate(limits['memory_gb_s'], 1, 'GB/s')}, int8 "
            f"{rate(limits['int8_gop_s'], 0, 'GOP/s')}; medians of {m['runs']} rounds, load "
            f"{m['load_before']:.2f} to {m['load_after']:.2f}, steal {100 * m['steal']:.1f} %")


def tokens_s(r):
    return r["tokens_s"]


def mib(r):
    return r["resident_bytes"] / 2**20


def two_panels(found, title, y, y_name):
    d = Drawing(2, title, note(found))
    for n, seqs in enumerate((1, 16)):
        d.panel(n, f"{seqs} sequence{'s' if seqs > 1 else ''}",
                curves(found, "depth", y, sequences=seqs), ("tokens of context where measuring begins", y_name))
    d.legend(curves(found, "depth", y))
    return d.svg()


def depth_plot(found, title="Decoding against depth"):
    return two_panels(found, title, tokens_s, "tokens/s, all together")


def memory_plot(found):
    return two_panels(found, "Memory against depth", mib, "resident MiB, weights included")


def batch_plot(found):
    rates = curves(found, "sequences", tokens_s)
    gains = {name: [(n, y / curve[0][1]) for n, y in curve] for name, curve in rates.items()}
    d = Drawing(2, "Decoding against batch", note(found))
    d.panel(0, "together", rates, ("sequences", "tokens/s, all together"), "batch")
    d.panel(1, "gain", gains, ("sequences", "times the rate of one"), "batch")
    d.legend(rates)
    return d.svg()


PLOTS = [("depth", "depth.svg", depth_plot),
         ("depth", "memory.svg", memory_plot),
         ("batch", "batch.svg", batch_plot),
         ("180m", "180m.svg", lambda f: depth_plot(f, "PHA and attention, 180M"))]


def main(bench, out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name, file, draw in PLOTS:
        path = pathlib.Path(bench) / f"{name}.json"
        if path.exists():
            (out / file).write_text(draw(json.loads(path.read_text())), encoding="utf-8")
            print(out / file)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])

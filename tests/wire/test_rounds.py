#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `make bench` makes of measurements: medians, ratios by round, pages and plots.

The measurements here are made up; the program is asked only whether it takes the options."""
import json
import pathlib
import sys
import tempfile
import unittest
from xml.etree import ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))
import plot  # noqa: E402
import program  # noqa: E402
import rounds  # noqa: E402


def result(shape, rate, seqs=1, depth=0, fits=True):
    row = {"shape": shape, "case": "decode", "format": "q8", "kv": "f16", "sequences": seqs,
           "depth": depth, "tokens": 9, "fits": fits, "memory_bytes": 2**20, "tokens_s": None}
    if fits:
        row |= {"tokens_s": rate, "of_memory_limit": rate / 1000, "of_compute_limit": 0.1,
                "bytes_per_token": 100, "state_bytes_per_token": 25, "runs": [rate],
                "resident_bytes": 2**20 * (seqs + depth)}
    return row


def measured(results, memory=30.0):
    return {"limits": {"memory_gb_s": memory, "f32_gflop_s": 200.0, "int8_gop_s": 900.0},
            "machine": {"threads": 2, "cpu": "c", "load_before": 0.5, "load_after": 1.5,
                        "steal": 0.01, "peak_resident_bytes": 7, "runs": 1, "order": "x"},
            "results": results}


class MergeTest(unittest.TestCase):
    def setUp(self):
        rates = [(10, 40), (12, 30), (8, 16)]
        self.found = rounds.merge(
            [measured([result("llama-125m", a)], 30 + i) for i, (a, _) in enumerate(rates)] +
            [measured([result("transxssm-125m", b), result("llama-125m", 0, depth=5, fits=False)])
             for _, b in rates])

    def test_medians_and_every_round(self):
        row = rounds.select(self.found, {"shape": "llama-125m", "depth": 0})
        self.assertEqual((row["tokens_s"], row["runs"]), (10, [10, 12, 8]))
        self.assertEqual((row["tokens_s_min"], row["tokens_s_max"]), (8, 12))
        self.assertEqual(row["of_memory_limit"], 0.01)
        self.assertEqual(self.found["limits"]["memory_gb_s"], 30)
        self.assertEqual(self.found["machine"]["runs"], 3)

    def test_ratios_are_of_a_round_each(self):
        self.assertEqual(rounds.ratio(self.found, {"shape": "transxssm-125m"},
                                      {"shape": "llama-125m", "depth": 0}), (2.5, 2, 4))
        self.assertIsNone(rounds.ratio(self.found, {"shape": "llama-125m", "depth": 5},
                                       {"depth": 0}))

    def test_the_page(self):
        page = rounds.page("batch", self.found)
        self.assertIn("| llama-125m | decode | q8 | 1 | 0 | 10.0 (8.0 to 12.0) | 1 % | 10 % | "
                      "25 % | 1 |", page)
        self.assertIn("does not fit: 1 MiB", page)
        self.assertIn("steal 1.0 %", page)

    def test_a_limit_that_was_not_measured(self):
        row = {**result("llama-125m", 10), "of_compute_limit": None}
        objects = [measured([row]) for _ in range(2)]
        for o in objects:
            o["limits"]["int8_gop_s"] = None
        page = rounds.page("batch", rounds.merge(objects))
        self.assertIn("| 1 % | not measured |", page)
        self.assertIn("f32 200 GFLOP/s, int8 not measured. ", page)
        self.assertIn("int8 not measured", plot.note(rounds.merge(objects)))


class SetsTest(unittest.TestCase):
    def test_the_program_takes_the_options_of_every_set(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, entries in rounds.SETS.items():
                for shape, options in entries:
                    path = rounds.shape_file(shape, folder)
                    done = program.run("bench", "--shape", path, *options, "--print-config")
                    self.assertEqual(done.returncode, 0, (name, done.stderr))

    def test_a_variant_has_its_keys_and_the_others_of_its_file(self):
        with tempfile.TemporaryDirectory() as folder:
            found = json.loads(rounds.shape_file(rounds.TWICE, folder).read_text())
            file = json.loads(rounds.shape_file("transxssm-125m", folder).read_text())
        self.assertEqual(found, {**file, "attn_layer_offset": 3})
        period, layers = found["attn_layer_period"], found["num_hidden_layers"]
        counts = [sum(i % period == c["attn_layer_offset"] for i in range(layers))
                  for c in (file, found)]
        self.assertEqual(counts, [1, 2])

    def test_every_comparison_names_cases_of_its_set(self):
        for name, rows in rounds.COMPARISONS.items():
            for what, wanted, divisor in rows:
                for values in [wanted, {**wanted, **divisor}]:
                    self.assertTrue(any(self.has(s, o, values) for s, o in rounds.SETS[name]),
                                    (what, values))

    @staticmethod
    def has(shape, options, values):
        lists = dict(zip(options[::2], options[1::2]))
        flags = {"sequences": "--decode", "depth": "--depth", "format": "--format"}
        return (values.get("shape", shape) == shape and
                all(str(values[k]) in lists[flag].split(",")
                    for k, flag in flags.items() if k in values))


class PlotTest(unittest.TestCase):
    def draw(self, **sets):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for name, found in sets.items():
                (folder / f"{name}.json").write_text(json.dumps(found))
            plot.main(folder, folder / "out")
            return {p.name: p.read_text() for p in (folder / "out").iterdir()}

    def test_curves_lie_inside_and_in_order(self):
        rows = [result(s, rate / (1 + depth), n, depth) for s, rate in
                [("llama-125m", 100), ("transxssm-125m", 900)]
                for n in (1, 16) for depth in (4096, 0, 32768, 1024)]
        rows.append(result("llama-125m", 0, 16, 65536, fits=False))
        drawn = self.draw(depth=measured(rows))
        self.assertEqual(sorted(drawn), ["depth.svg", "memory.svg"])
        for text in drawn.values():
            root = ElementTree.fromstring(text)
            _, _, width, height = map(float, root.get("viewBox").split())
            lines = [x.get("points") for x in root.iter("{http://www.w3.org/2000/svg}polyline")]
            self.assertEqual(len(lines), 4)
            for points in lines:
                xy = [tuple(map(float, p.split(","))) for p in points.split()]
                self.assertEqual(len(xy), 4)
                self.assertEqual(xy, sorted(xy))
                self.assertTrue(all(0 <= x <= width and 0 <= y <= height for x, y in xy))
            self.assertIn("load 0.50 to 1.50", text)

    def test_a_batch_has_its_gain(self):
        drawn = self.draw(batch=measured([result("llama-125m", 10.0 * n, n)
                                          for n in (1, 2, 4, 64)]))
        root = ElementTree.fromstring(drawn["batch.svg"])
        self.assertEqual(len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))), 2)
        self.assertIn("times the rate of one", drawn["batch.svg"])

    def test_axes_have_few_and_even_ticks(self):
        for most in (0.3, 1, 7, 99, 1234, 5e6):
            ticks = plot.Axis([0, most], 0, 1).ticks
            self.assertTrue(3 <= len(ticks) <= 10, (most, ticks))
            self.assertGreaterEqual(ticks[-1], most)
        self.assertEqual(plot.Axis([0, 32768], 0, 1, "depth").ticks,
                         [0, 8192, 16384, 24576, 32768])


if __name__ == "__main__":
    program.main()

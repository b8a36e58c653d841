# SPDX-License-Identifier: Apache-2.0
"""Faults of the model while it is served: weights that are not finite, a file that shrinks."""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import tiny_model
import wire


class ModelFault(unittest.TestCase):
    def folder(self):
        there = tempfile.TemporaryDirectory()
        self.addCleanup(there.cleanup)
        return pathlib.Path(there.name)


class NotFinite(ModelFault):
    """Token "!" has a NaN in its embedding: whoever reads it has no logits."""

    def daemon(self):
        model = tiny_model.golden("transxssm-bias-untied", self.folder())
        path = pathlib.Path(model, "model.safetensors")
        tensors = tiny_model.read_tensors(path)
        name = next(n for n in tensors if n.endswith(("embed.weight", "embed_tokens.weight")))
        dtype, (rows, width), data = tensors[name]
        self.assertEqual(dtype, "F32")
        at = ord("!") * width * 4
        data = data[:at] + struct.pack("<f", float("nan")) + data[at + 4:]
        tensors[name] = dtype, [rows, width], data
        tiny_model.write_tensors(path, tensors)
        return wire.Daemon("--model", model, "--threads", 2)

    def test_one_request_fails_the_others_go_on(self):
        good = {"prompt": "the thing", "max_tokens": 1000, "logit_bias": {"33": -100}}
        with self.daemon() as d:
            alone = d.complete(**good)[2]["choices"]
            answers, enough = [], threading.Event()

            def ask():
                while not enough.is_set():
                    answers.append(d.complete(**good))

            threads = [threading.Thread(target=ask) for _ in range(3)]
            for t in threads:
                t.start()
            d.wait_metric("ssmd_requests_running", lambda v: v > 0)
            for stream in (False, True) * 5:
                if stream:
                    data, ended = wire.dechunk(wire.read_all_from(
                        d.open_stream(prompt="the! thing", max_tokens=5)))
                    self.assertTrue(ended)
                    error = json.loads(wire.sse(data)[-1])["error"]
                else:
                    status, _, answer = d.complete(prompt="the! thing")
                    self.assertEqual(status, 500, answer)
                    error = answer["error"]
                self.assertEqual(error["type"], "server_error")
                self.assertNotIn("nan", json.dumps(error).lower())
            enough.set()
            for t in threads:
                t.join()
            for status, _, answer in answers:
                self.assertEqual((status, answer["choices"]), (200, alone))
            self.assertEqual(d.metric('ssmd_requests_finished_total{reason="error"}'), 10)
            self.assertEqual(d.complete(prompt="the")[0], 200)  # how the failed ones begin
            self.assertEqual(d.call("GET", "/readyz")[0], 200)


class Truncated(ModelFault):
    def test_the_message_names_the_file(self):
        source, out = self.folder(), self.folder() / "q8"
        subprocess.run([wire.ARGS.ssmd, "quantize", tiny_model.golden("transxssm-default", source),
                        str(out), "--weights", "q8"], check=True, stdout=subprocess.DEVNULL)
        d = wire.Daemon("--model", out)
        with d:
            self.assertEqual(d.complete()[0], 200)
            file = out / "model.safetensors"
            os.truncate(file, 100)
            with self.assertRaises((OSError, ValueError)):
                d.complete(prompt="others")
            self.assertEqual(d.proc.wait(wire.LIMIT), 1)
        self.assertIn("ssmd: %s: the file was truncated" % file, d.log())


if __name__ == "__main__":
    wire.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that is full, read-only or forbidden: nothing is stored and the client is told so, an
answer is given all the same, and what can be done is done. FAKE_SLOT_BYTES makes states large."""
import json
import os
import resource
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import answers
import mounts
import objects
import wire

TOKENS = [104, 101, 108, 108, 111] * 7
SLOT = 1 << 20
ENV = {"FAKE_SLOT_BYTES": str(SLOT)}
ERRORS = 'ssmd_state_dir_errors_total{op="%s"}'
NO_MOUNTS = "this user may not mount anything"


class Case(unittest.TestCase):
    def setUp(self):
        self.temp = tempfile.TemporaryDirectory(prefix="ssmd-disk-")
        self.addCleanup(self.temp.cleanup)
        self.dir = os.path.join(self.temp.name, "states")
        os.mkdir(self.dir)
        self.big = objects.make(TOKENS, slot=SLOT)

    def daemon(self, *flags, **more):
        return wire.Daemon("--state-dir", self.dir, *flags, env=ENV, **more)

    def put(self, d, name):
        return d.call("PUT", "/v1/states/" + name, self.big)

    def full(self, error, param=None):
        self.assertEqual((error["code"], error["type"], error["param"]),
                         ("storage_full", "server_error", param))
        self.assertNotIn(self.temp.name, error["message"])

    def refused(self, answer):
        """A PUT that is 507 and leaves the connection and the service as they were."""
        self.assertEqual(answer[0], 507, answer)
        self.full(json.loads(answer[2])["error"])

    def answered(self, d):
        """Completions whose states cannot be saved, plain and streamed, have their whole text."""
        want = d.complete(prompt="hello", max_tokens=4)[2]["choices"][0]
        faults = len(d.events("fault"))
        status, _, answer = d.complete(prompt="hello", state={"save": "s"})
        self.assertEqual((status, answer["choices"][0]["text"]), (200, want["text"]))
        self.assertEqual(answer["choices"][0]["finish_reason"], want["finish_reason"])
        self.full(answer["state"].pop("error"), "state.save")
        self.assertEqual(answer["state"], {})
        s = answers.stream(d, {"prompt": "hello", "max_tokens": 4, "ignore_eos": True,
                               "temperature": 0, "state": {"save": "s"}})
        self.assertEqual(s.events[-1], "[DONE]")
        self.full(json.loads(s.events[-2])["state"]["error"], "state.save")
        d.events("fault", faults + 2)
        self.assertEqual(d.call("GET", "/readyz")[0], 200)


class Full(Case):
    @unittest.skipUnless(mounts.allowed(), NO_MOUNTS)
    def test_a_full_disk(self):
        with self.daemon(preexec=mounts.view(self.dir, SLOT * 5 // 2)) as d:
            self.assertEqual([self.put(d, n)[0] for n in "ab"], [201, 201])
            self.refused(self.put(d, "c"))
            self.refused(self.put(d, "a"))  # the old one stays until the new one is there
            self.assertEqual(d.call("GET", "/v1/states/a")[2], self.big)
            self.answered(d)
            self.assertEqual([d.metric(ERRORS % op) for op in ("read", "write", "delete", "list")],
                             [0, 4, 0, 0])
            self.assertEqual(d.metric('ssmd_state_dir_bytes{kind="client"}'), 2 * len(self.big))
            listed = json.loads(d.call("GET", "/v1/states")[2])["data"]
            self.assertEqual([o["name"] for o in listed], ["a", "b"])
            self.assertEqual(d.call("DELETE", "/v1/states/b")[0], 204)
            status, _, answer = d.complete(prompt="hello", state={"save": "c"})
            self.assertEqual((status, answer["state"]["saved"]["name"]), (200, "c"))

    @unittest.skipUnless(mounts.allowed(), NO_MOUNTS)
    def test_a_read_only_disk(self):
        with self.daemon() as d:
            self.assertEqual(self.put(d, "a")[0], 201)
        with self.daemon(preexec=mounts.view(self.dir)) as d:
            self.assertEqual(d.call("GET", "/v1/states/a")[2], self.big)
            self.refused(self.put(d, "a"))
            self.refused(self.put(d, "b"))
            self.refused(d.call("DELETE", "/v1/states/a"))
            self.answered(d)
            self.assertEqual([d.metric(ERRORS % op) for op in ("read", "write", "delete", "list")],
                             [0, 4, 1, 0])
            status, _, answer = d.complete(prompt="hello" * 7 + "x", state={"load": "a", "save": "a"})
            self.assertEqual((status, answer["state"]["loaded"]["name"]), (200, "a"))
            self.full(answer["state"]["error"], "state.save")

    def test_files_that_may_not_be_larger(self):
        def small_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (SLOT // 2, SLOT // 2))

        with self.daemon(preexec=small_files) as d:
            self.refused(self.put(d, "a"))
            self.answered(d)


if __name__ == "__main__":
    wire.main()

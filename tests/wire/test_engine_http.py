# SPDX-License-Identifier: Apache-2.0
"""The engine behind HTTP: fairness, limits, what a cancelled request leaves behind, text that is
cut where it may be, scores, ends and counts. Small models whose answers are known."""
import array
import json
import math
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import answers
import tiny_model
import wire

HELD = ("ssmd_requests_running", "ssmd_requests_waiting", "ssmd_state_slots_used",
        "ssmd_kv_pages_used")


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def half_close(s):
    s.shutdown(socket.SHUT_WR)


class Model(unittest.TestCase):
    """One daemon over one small model."""
    flags = ()

    @classmethod
    def folder(cls, into):
        return tiny_model.golden("transxssm-default", into)

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory(prefix="ssmd-engine-")
        cls.addClassCleanup(cls.dir.cleanup)
        cls.model = cls.folder(cls.dir.name)
        cls.d = wire.Daemon("--model", cls.model, "--served-name", "m", *cls.flags)
        cls.addClassCleanup(cls.d.stop)

    def complete(self, **fields):
        """The parsed answer, which is a 200."""
        body = {"max_tokens": 16, "temperature": 0, **fields}
        status, _, data = self.d.call("POST", "/v1/completions", body)
        self.assertEqual(status, 200, data)
        return json.loads(data)

    def choice(self, **fields):
        return self.complete(**fields)["choices"][0]

    def refused(self, **fields):
        status, _, data = self.d.call("POST", "/v1/completions", fields)
        self.assertEqual(status, 400, data)
        return json.loads(data)["error"]

    def nothing_held(self):
        for name in HELD:
            self.d.wait_metric(name, lambda v: v == 0)


# ---- sharing -----------------------------------------------------------------------------

class Fairness(Model):
    """Steps of 24 rows: a prompt of 12,000 tokens takes at least 500, however fast they are."""
    flags = ("--step-rows", 24, "--max-seqs", 8, "--context", 16384)

    def test_streams_go_on_while_a_long_prompt_is_read(self):
        body = {"prompt": "the river", "max_tokens": 16000, "temperature": 0, "ignore_eos": True}
        running = {s.sock: s for s in (answers.Stream(self.d, body) for _ in range(4))}
        while sum(s.read_some() for s in self.readable(running, 0)):
            pass
        before, chunks = self.steps(), {s: len(s.events) for s in running.values()}
        late = self.d.open_stream(prompt=[65] * 12000, max_tokens=1)
        seen = b""
        while b"data: " not in seen:
            for s in self.readable({late: late, **running}, 100):
                if s is late:
                    seen += late.recv(65536)
                else:
                    s.read_some()
        enough = self.steps()[0] + 50  # then what is measured holds all of the prompt
        while self.steps()[0] < enough:
            time.sleep(0.01)
        steps, rows = (b - a for a, b in zip(before, self.steps()))
        self.assertGreater((rows - 12000) / steps, 3.8)  # four streams in every step
        for s, n in chunks.items():
            self.assertGreater(len(s.events) - n, 100)
            s.leave()
        late.close()
        self.nothing_held()

    def steps(self):
        m = self.d.metrics()
        return m["ssmd_step_rows_count"], m["ssmd_step_rows_sum"]

    def readable(self, socks, timeout):
        """The values of those sockets that have something to read."""
        ready = select.select(list(socks), [], [], timeout)[0]
        self.assertTrue(ready or not timeout, "no stream moved")
        return [socks[s] for s in ready]

    def test_an_arrival_does_not_wait_for_the_others(self):
        """A short prompt is answered while a long one is still being read."""
        long = self.d.open_stream(prompt=[66] * 15000, max_tokens=1, stream=False)
        self.d.wait_metric("ssmd_requests_running", lambda v: v == 1)
        self.complete(prompt="a", max_tokens=2)
        self.assertEqual(self.d.metric("ssmd_requests_running"), 1)
        self.assertEqual(select.select([long], [], [], 0)[0], [])
        reset(long)
        self.nothing_held()


# ---- limits ------------------------------------------------------------------------------

class Limits(Model):
    flags = ("--context", 512, "--max-seqs", 4, "--memory-bytes", 200_000)

    def test_context(self):
        for prompt, n in (([65] * 500, 500), ("\u4e16" * 180, 3 * 180)):
            counted = json.loads(self.d.call(
                "POST", "/tokenize", {"prompt": prompt})[2])["count"] \
                if isinstance(prompt, str) else len(prompt)
            self.assertLessEqual(counted, n)
            error = self.refused(prompt=prompt, max_tokens=400)
            self.assertEqual(error["code"], "context_length_exceeded")
            self.assertEqual(error["param"], "prompt")
            for number in (counted, 400, 512):
                self.assertRegex(error["message"], r"\b%d\b" % number)

    def test_a_request_beyond_the_whole_budget(self):
        pages = int(self.d.metric("ssmd_kv_pages_limit"))
        self.assertLess(pages * 16, 2 * 512)
        self.assertGreater(pages * 16, 512)
        error = self.refused(prompt=[65] * 300, max_tokens=200, n=4)
        self.assertEqual(error["code"], "budget_exceeded")
        self.assertGreaterEqual(len(set(x for x in error["message"].split() if x.isdigit())), 2)
        error = self.refused(prompt="a", max_tokens=2, n=5)
        self.assertEqual(error["code"], "budget_exceeded")
        self.complete(prompt=[65] * 300, max_tokens=200)
        self.nothing_held()

    def test_more_than_fits_waits(self):
        """Six requests, each of half the pages: all are served, none is refused."""
        socks = [self.d.open_stream(prompt=[65] * 200, max_tokens=200, stream=False)
                 for _ in range(6)]
        for s in socks:
            s.settimeout(200)
            self.assertIn(b" 200 OK", wire.read_until(s, b"\r\n\r\n"))
            s.close()
        self.nothing_held()

    def test_aborts_give_back_what_they_were_promised(self):
        """Pages are set aside at admission; leaving early gives back those not yet taken."""
        for _ in range(20):
            s = answers.Stream(self.d, {"prompt": "a", "max_tokens": 400, "ignore_eos": True})
            s.read_events(1)
            s.leave()
        self.complete(prompt="a", max_tokens=500, ignore_eos=True)
        self.nothing_held()


# ---- leaving -----------------------------------------------------------------------------

class Leaving(Model):
    def test_cancel_frees_everything(self):
        for n, prompt in ((1, "the"), (3, [65] * 2000)):
            self.assertTrue(any(self.left_while_running(n, prompt) for _ in range(20)),
                            "no scrape met a running request")

    def left_while_running(self, n, prompt):
        """Leaves a stream; whether one scrape saw it running, with what it must hold."""
        s = answers.Stream(self.d, {"prompt": prompt, "max_tokens": 1000, "n": n,
                                    "ignore_eos": True, "temperature": 0})
        s.read_events(2)
        held = self.d.metrics()
        s.leave()
        self.nothing_held()
        if held["ssmd_requests_running"] != 1 or held["ssmd_state_slots_used"] != n:
            return False
        return held["ssmd_kv_pages_used"] > 0

    def test_200_opens_and_aborts(self):
        self.complete(prompt="a")
        fds = self.d.metric("process_open_fds")
        for i in range(200):
            s = self.d.open_stream(prompt="the river " * (1 + i % 40), n=1 + i % 3,
                                   stream=i % 4 != 0)
            if i % 5 == 0 and i % 4 != 0:
                wire.read_until(s, b"data: ")
            if i % 7 == 0:
                half_close(s)
            if i % 2:
                reset(s)
            s.close()
        self.nothing_held()
        self.d.wait_metric("ssmd_open_connections", lambda v: v <= 1)
        self.d.wait_metric("process_open_fds", lambda v: v <= fds + 1)
        self.assertEqual(self.d.metric("ssmd_stream_buffer_bytes"), 0)
        self.assertEqual(answers.whole(self.complete(prompt="a"))[0],
                         answers.whole(self.complete(prompt="a"))[0])


class LeavingEmbedded(Leaving):
    """The same with steps that take time."""

    @classmethod
    def folder(cls, into):
        return wire.ARGS.model

    @classmethod
    def setUpClass(cls):
        if os.path.exists(os.path.join(wire.ARGS.model, "config.json")):
            super().setUpClass()

    def setUp(self):
        if not hasattr(self, "d"):
            self.skipTest("no embedded model")


# ---- text --------------------------------------------------------------------------------

class Text(Model):
    """A model that says one ring of tokens again and again."""
    ring_text = tiny_model.RING  # ends with "."

    @classmethod
    def folder(cls, into):
        return tiny_model.cycle(into, list(cls.ring_text.encode()))

    def said(self, n_tokens):
        """What n tokens behind a prompt that ends with '.' say."""
        ring = self.ring_text.encode()
        data = (ring * (n_tokens // len(ring) + 1))[:n_tokens]
        text = data.decode("utf-8", "ignore")
        return text + ("\ufffd" if len(text.encode()) < n_tokens else "")

    def streamed(self, **fields):
        return answers.stream(self.d, {"prompt": ".", "max_tokens": 16, "temperature": 0,
                                       "ignore_eos": True, **fields})

    def test_characters_are_whole(self):
        for n in range(1, 45):
            s = self.streamed(max_tokens=n)
            self.assertEqual(s.told()[0][0]["text"], self.said(n))
            if self.said(n)[-1] != "\ufffd":
                self.assertNotIn("\ufffd", "".join(s.events))
            self.assertEqual(self.choice(prompt=".", max_tokens=n)["text"], self.said(n))

    def test_each_character_at_once(self):
        """A character is in the chunk of the token that completes it."""
        texts = [c["choices"][0]["text"] for c in self.streamed(max_tokens=20).chunks()[:-1]]
        self.assertEqual([t for t in texts if t], list(self.said(20)))

    def test_stop_strings_across_chunks(self):
        whole = self.said(200)
        for stop in ("end", "d.\U0001f600", ".\U0001f600\u4e16", "\u30a2 e", "\ud55c",
                     ".\U0001f600\u4e16\u00e9\ud55c\u30a2 end.\U0001f600"):
            want = whole[:whole.index(stop)]
            for stops in (stop, [stop], ["nowhere", stop, "end of the world"]):
                said = self.choice(prompt=".", max_tokens=200, stop=stops)
                self.assertEqual((said["text"], said["finish_reason"]), (want, "stop"))
                s = self.streamed(max_tokens=200, stop=stops)
                self.assertEqual(s.told()[0][0]["text"], want)
                self.assertEqual(s.told()[0][0]["reason"], "stop")

    def test_stop_of_several(self):
        """The one that ends first wins; a string that never comes changes nothing."""
        self.assertEqual(self.choice(prompt=".", max_tokens=99, stop=["end.", "\u30a2"])["text"],
                         "\U0001f600\u4e16\u00e9\ud55c")
        for stop in ("end of", "\U0001f600\u4e16\U0001f600"):
            said = self.choice(prompt=".", max_tokens=50, stop=stop)
            self.assertEqual((said["text"], said["finish_reason"]), (self.said(50), "length"))

    def test_ends(self):
        for fields, text, reason in (
                ({"stop_token_ids": [0xB8]}, "\U0001f600\ufffd", "stop"),
                ({"stop_token_ids": [0x2E]}, "\U0001f600\u4e16\u00e9\ud55c\u30a2 end", "stop"),
                ({"stop_token_ids": [1]}, self.said(30), "length"),
                ({"logit_bias": {str(tiny_model.END): 100}}, "", "stop"),
                ({"logit_bias": {str(tiny_model.END): 100}, "min_tokens": 7}, None, "stop"),
                ({"logit_bias": {str(tiny_model.END): 100}, "ignore_eos": True}, "", "length"),
                ({"logit_bias": {"240": -100}, "max_tokens": 1}, None, "length")):
            with self.subTest(fields=fields):
                said = self.choice(prompt=".", return_token_ids=True,
                                   **{"max_tokens": 30, **fields})
                self.assertEqual(said["finish_reason"], reason)
                if text is not None:
                    self.assertEqual(said["text"], text)
                self.assertNotIn("<|endoftext|>", said["text"])
                self.assertGreaterEqual(len(said["token_ids"]), fields.get("min_tokens", 0))

    def test_usage(self):
        for fields, prompt, answer in (({}, 1, 16), ({"n": 3}, 1, 48), ({"best_of": 4}, 1, 64),
                                       ({"prompt": [".", "..."], "n": 2}, 4, 64),
                                       ({"prompt": [46] * 9, "max_tokens": 1}, 9, 1),
                                       ({"max_tokens": 0, "echo": True}, 1, 0),
                                       ({"stop_token_ids": [0xB8]}, 1, 6)):
            with self.subTest(fields=fields):
                usage = self.complete(**{"prompt": ".", **fields})["usage"]
                self.assertEqual((usage["prompt_tokens"], usage["completion_tokens"]),
                                 (prompt, answer))
                self.assertEqual(usage["total_tokens"], prompt + answer)
                cached = usage["prompt_tokens_details"].pop("cached_tokens")
                self.assertEqual(usage["prompt_tokens_details"], {})
                self.assertIn(cached, range(prompt + 1))

    def test_names_of_broken_tokens(self):
        """A token that is no whole UTF-8 is named by its bytes; offsets count code points."""
        lp = self.choice(prompt=".", max_tokens=8, logprobs=1)["logprobs"]
        self.assertEqual(lp["tokens"], ["bytes:\\x%02x" % b for b in
                                        self.ring_text.encode()[:8]])
        self.assertEqual(lp["text_offset"][0], 0)
        self.assertEqual(lp["text_offset"], sorted(lp["text_offset"]))
        lp = self.choice(prompt="\u4e16.", max_tokens=0, echo=True, logprobs=0)["logprobs"]
        self.assertEqual(lp["text_offset"][-1], 1)

    def test_seed_comes_back(self):
        self.assertEqual(self.complete(prompt=".", seed=2 ** 53 - 1)["seed"], 2 ** 53 - 1)
        drawn = {self.complete(prompt=".", temperature=1, max_tokens=1)["seed"] for _ in range(4)}
        self.assertEqual(len(drawn), 4)


# ---- scores ------------------------------------------------------------------------------

class Scores(Model):
    def logits(self, ids):
        """[len(ids)][VOCAB], by the other door."""
        path = os.path.join(self.dir.name, "logits.f32")
        subprocess.run([wire.ARGS.ssmd, "logits", "--model", self.model, "--ids",
                        ",".join(map(str, ids)), "--out", path], check=True, timeout=200)
        with open(path, "rb") as f:
            flat = array.array("f", f.read())
        width = tiny_model.VOCAB
        return [flat[i * width:][:width] for i in range(len(ids))]

    def log_probs(self, row):
        top = max(row)
        total = top + math.log(sum(math.exp(x - top) for x in row))
        return [x - total for x in row]

    def test_echo_scores_the_prompt(self):
        ids = [84, 104, 101, 32, 114, 105, 118, 101, 114] * 40 + [259, 0, 255]
        want = [self.log_probs(row) for row in self.logits(ids)]
        said = self.choice(prompt=ids, max_tokens=0, echo=True, logprobs=3)
        lp = said["logprobs"]
        self.assertEqual(said["finish_reason"], "length")
        self.assertIsNone(lp["token_logprobs"][0])
        self.assertIsNone(lp["top_logprobs"][0])
        self.assertEqual(len(lp["token_logprobs"]), len(ids))
        for t in range(1, len(ids)):
            self.assertAlmostEqual(lp["token_logprobs"][t], want[t - 1][ids[t]], delta=1e-5)
            best = sorted(want[t - 1], reverse=True)[:3]
            given = sorted(lp["top_logprobs"][t].values(), reverse=True)[:3]
            for a, b in zip(given, best):
                self.assertAlmostEqual(a, b, delta=1e-5)

    def test_answers_are_scored_alike(self):
        """The scores of an answer are those of the same ids as a prompt."""
        said = self.choice(prompt="The river", max_tokens=40, logprobs=2, return_token_ids=True,
                           temperature=1, seed=4, ignore_eos=True)
        ids = said["prompt_token_ids"] + said["token_ids"]
        scored = self.choice(prompt=ids, max_tokens=0, echo=True, logprobs=2)
        n = len(said["token_ids"])
        self.assertEqual(scored["logprobs"]["token_logprobs"][-n:],
                         said["logprobs"]["token_logprobs"])
        self.assertEqual(scored["logprobs"]["top_logprobs"][-n:],
                         said["logprobs"]["top_logprobs"])

    def test_greedy_is_the_command_s(self):
        out = subprocess.run([wire.ARGS.ssmd, "logits", "--model", self.model, "--ids",
                              "84,104,101", "--greedy", "30", "--out", os.devnull],
                             check=True, timeout=200, stdout=subprocess.PIPE).stdout
        said = self.choice(prompt=[84, 104, 101], max_tokens=30, ignore_eos=True,
                           return_token_ids=True)
        self.assertEqual(said["token_ids"], json.loads(out))


# ---- counters ----------------------------------------------------------------------------

class Counters(Model):
    @classmethod
    def folder(cls, into):
        return tiny_model.cycle(into, list(tiny_model.RING.encode()))

    def test_they_add_up(self):
        series = [{"prompt": "."}, {"prompt": "..", "n": 3}, {"prompt": [".", "....", "."]},
                  {"prompt": ".", "stop": "end"}, {"prompt": ".", "stop_token_ids": [46]},
                  {"prompt": ".", "max_tokens": 0, "echo": True, "surprise": 1},
                  {"prompt": ".", "best_of": 2}]
        begin = time.monotonic()
        usage = [self.complete(**{"max_tokens": 24, **fields})["usage"] for fields in series]
        streamed = answers.stream(self.d, {"prompt": ".", "max_tokens": 5, "temperature": 0})
        usage.append({k: int(v) for k, v in streamed.told()[1].items() if isinstance(v, str)})
        took = time.monotonic() - begin
        self.refused(prompt="")
        self.nothing_held()
        m = self.d.metrics()
        finished = {r: m['ssmd_requests_finished_total{reason="%s"}' % r]
                    for r in ("stop", "length", "abort", "timeout", "error", "drain")}
        self.assertEqual(finished, {"stop": 2, "length": 1 + 3 + 3 + 1 + 2 + 1, "abort": 0,
                                    "timeout": 0, "error": 0, "drain": 0})
        self.assertEqual(m["ssmd_prompt_tokens_total"], sum(u["prompt_tokens"] for u in usage))
        self.assertEqual(m["ssmd_generation_tokens_total"],
                         sum(u["completion_tokens"] for u in usage))
        self.assertEqual(m["ssmd_unknown_fields_total"], 1)
        label = 'ssmd_http_requests_total{route="/v1/completions",code="%d"}'
        self.assertEqual((m[label % 200], m[label % 400]), (8, 1))
        self.assertEqual(m["ssmd_request_seconds_count"], 8)
        self.assertEqual(m["ssmd_time_to_first_token_seconds_count"], 7)
        self.assertEqual(m["ssmd_queue_seconds_count"], 10)
        self.assertEqual(m["ssmd_prefill_seconds_count"], 10)
        self.assertLess(m["ssmd_request_seconds_sum"], took + 1)
        self.assertGreaterEqual(m["ssmd_step_rows_sum"], m["ssmd_prompt_tokens_total"])


if __name__ == "__main__":
    wire.main()

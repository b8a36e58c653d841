# SPDX-License-Identifier: Apache-2.0
"""Known prefixes over HTTP: how much of a prompt is not read again, who shares with whom, what
the answer, its head and /metrics tell of it, and that a hit says what a miss says."""
import os
import random
import re
import signal
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import answers
import wire

FOUND = re.compile(r"hit=(\d+); depth=(\d+); bytes=(\d+)")


def ids(rng, n):
    return [rng.randrange(1, 8000) for _ in range(n)]


def cached(answer):
    return answer["usage"]["prompt_tokens_details"]["cached_tokens"]


class Case(unittest.TestCase):
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.d = wire.Daemon(*cls.flags)
        cls.addClassCleanup(cls.d.stop)

    def setUp(self):
        self.rng = random.Random(self.id())  # its own prompts: nothing of other tests is found
        self.salt = self.id()

    def ask(self, prompt, headers=None, d=None, **fields):
        """(answer, (hit, depth, bytes)) of a 200."""
        fields = {"max_tokens": 4, "cache_salt": self.salt, "return_token_ids": True, **fields}
        status, head, answer = (d or self.d).complete(prompt=prompt, headers=headers, **fields)
        self.assertEqual(status, 200, answer)
        found = FOUND.fullmatch(head["x-ssmd-state"])
        self.assertTrue(found, head["x-ssmd-state"])
        return answer, tuple(int(x) for x in found.groups())

    def read(self, prompt, **fields):
        """Tokens of the prompt that were not read again."""
        answer, found = self.ask(prompt, **fields)
        self.assertEqual(found[0], cached(answer))
        return cached(answer)


class Reuse(Case):
    def test_the_same_prompt_again(self):
        for n in (1, 2, 15, 16, 17, 100, 257):
            prompt = ids(self.rng, n)
            first, found = self.ask(prompt, logprobs=5)
            self.assertLess(cached(first), 2)  # a first token may be another prompt's
            again, found = self.ask(prompt, logprobs=5)
            self.assertEqual(cached(again), n)
            self.assertEqual(found[:2], (n, n))
            self.assertGreater(found[2], 0)
            self.assertEqual(answers.bare(str(first["choices"])),
                             answers.bare(str(again["choices"])))

    def test_a_conversation(self):
        """Only what is new is read: the turn's own tokens and the answer's last one."""
        prompt, known = ids(self.rng, 60), 0
        for turn in range(20):
            answer, _ = self.ask(prompt, max_tokens=20)
            self.assertEqual(cached(answer), known, "turn %d" % turn)
            prompt = prompt + answer["choices"][0]["token_ids"]
            known = len(prompt) - 1
            prompt = prompt + ids(self.rng, 60)

    def test_a_text_goes_on(self):
        text = "Once upon a time there was a river that ran to the sea."
        first, _ = self.ask(text, max_tokens=8)
        text += first["choices"][0]["text"]
        n = first["usage"]["prompt_tokens"]
        answer, _ = self.ask(text + " And then the rain fell on it for a day.")
        self.assertGreaterEqual(cached(answer), n)

    def test_a_text_in_other_tokens(self):
        """What cannot be reused for being cut otherwise is counted as that."""
        def lost():
            return self.d.metric('ssmd_prefix_lost_tokens_total{why="retokenised"}')
        before = lost()
        self.ask("The rain fell on the riv", max_tokens=1)
        self.ask("The rain fell on the river", max_tokens=1)
        self.assertGreater(lost(), before)

    def test_streams_and_lists(self):
        prompt = ids(self.rng, 50)
        self.ask(prompt)
        body = {"prompt": prompt, "max_tokens": 4, "cache_salt": self.salt, "temperature": 0,
                "ignore_eos": True}
        s = answers.stream(self.d, body)
        self.assertIn(b"X-SSMD-State: hit=50; depth=50; bytes=", s.head)
        usage = [c["usage"] for c in s.chunks() if c["usage"]][-1]
        self.assertEqual(usage["prompt_tokens_details"]["cached_tokens"], "50")
        listed, found = self.ask([prompt, prompt + [7], ids(self.rng, 9)])
        self.assertEqual(cached(listed), 100)
        self.assertEqual(found[:2], (100, 100))

    def test_scores_read_the_whole_prompt(self):
        prompt = ids(self.rng, 50)
        scored, _ = self.ask(prompt, echo=True, logprobs=2)
        again, found = self.ask(prompt, echo=True, logprobs=2)
        self.assertEqual(cached(again), 0)
        self.assertEqual(found[:2], (0, 50))  # it is there, though
        self.assertEqual(scored["choices"], again["choices"])
        self.assertEqual(self.read(prompt), 50)

    def test_salts(self):
        prompt = ids(self.rng, 40)
        self.ask(prompt, cache_salt="a")
        self.assertEqual(self.read(prompt, cache_salt="b"), 0)
        self.assertEqual(self.read(prompt, cache_salt="a"), 40)
        self.assertEqual(self.read(prompt, cache_salt="b"), 40)

    def test_metrics(self):
        names = ("ssmd_prompt_tokens_cached_total", "ssmd_prompt_tokens_total",
                 'ssmd_checkpoints_total{op="create"}', 'ssmd_checkpoints_total{op="hit"}',
                 'ssmd_checkpoints_total{op="evict"}',
                 'ssmd_prefix_lost_tokens_total{why="no_checkpoint"}', "ssmd_checkpoint_bytes")
        prompt = ids(self.rng, 40)
        before = self.d.metrics()
        self.ask(prompt, max_tokens=2)
        self.ask(prompt, max_tokens=2)
        self.ask(prompt[:30] + ids(self.rng, 10), max_tokens=2)
        self.d.wait_metric("ssmd_prompt_tokens_total", lambda v: v == before[names[1]] + 120)
        after = self.d.metrics()
        rise = [after[n] - before[n] for n in names]
        # two ends each, and the junction; the third prompt's first 30 tokens were known
        self.assertEqual(rise[:6], [40, 120, 5, 1, 0, 30])
        self.assertGreater(rise[6], 5 * 100000)
        self.assertEqual(after["ssmd_state_slots_used"], 0)
        self.assertEqual(after["ssmd_kv_pages_used"], 0)
        self.assertEqual(after["ssmd_cache_usage_ratio"], 0)


class Branches(Case):
    """A prompt of 1,000 tokens with one question and another, at an interval of 32."""
    flags = ("--checkpoint-interval", 32)
    first, cut = range(960, 1000), range(360, 400)

    def test_branches(self):
        shared = ids(self.rng, 1000)
        asked = [shared + ids(self.rng, 20) for _ in range(3)]
        self.assertEqual(self.read(asked[0]), 0)
        self.assertIn(self.read(asked[1]), self.first)
        self.assertEqual(self.read(asked[2]), 1000)
        self.assertIn(self.read(shared[:400] + ids(self.rng, 20)), self.cut)
        self.assertEqual(self.read(shared[:400] + ids(self.rng, 20)), 400)

    def test_the_next_turn(self):
        prompt = ids(self.rng, 1000)
        answer, _ = self.ask(prompt, max_tokens=28)
        prompt += answer["choices"][0]["token_ids"]
        self.assertEqual(self.read(prompt + ids(self.rng, 20)), 1027)


class BranchesByDefault(Branches):
    """auto: the model decides, and says what."""
    flags = ()

    def setUp(self):
        super().setUp()
        n = self.d.wait_line("memory")["checkpoint_interval"]
        self.assertEqual(self.d.metric("ssmd_checkpoint_interval_tokens"), n)
        self.assertIn(n, range(256, 960, 16))
        last = 1000 // n * n
        self.first, self.cut = range(last, last + 1), range(400 // n * n, 400 // n * n + 1)


class Intervals(unittest.TestCase):
    def in_force(self, *flags, **more):
        with wire.Daemon(*flags, **more) as d:
            n = d.metric("ssmd_checkpoint_interval_tokens")
            self.assertEqual(d.wait_line("memory")["checkpoint_interval"], n)
        return n

    def test_words_and_numbers(self):
        chosen = self.in_force()
        self.assertEqual(self.in_force("--checkpoint-interval", "auto"), chosen)
        self.assertEqual(self.in_force(config={"checkpoint_interval": "auto"}), chosen)
        self.assertEqual(self.in_force(config={"checkpoint_interval": 100}), 100)
        self.assertEqual(self.in_force("--checkpoint-interval", 0), 0)
        self.assertEqual(self.in_force("--prefix-cache", "off"), 0)
        self.assertEqual(self.in_force(env={"SSMD_CHECKPOINT_INTERVAL": "777"}), 777)


class NoCheckpoint(Case):
    """A budget below one checkpoint: said at start, and the rest is as ever."""
    flags = ("--checkpoint-bytes", 1000)

    def test_said_at_start(self):
        line, = self.d.events("no_checkpoints", 1)
        self.assertEqual((line["level"], line["option"], line["given_bytes"]),
                         ("warn", "checkpoint_bytes", 1000))
        self.assertGreater(line["needed_bytes"], 1000)
        self.assertEqual(self.d.metric("ssmd_checkpoints_limit"), 0)
        prompt = ids(self.rng, 40)
        self.assertEqual([self.read(prompt) for _ in range(2)], [0, 0])
        with wire.Daemon("--checkpoint-bytes", line["needed_bytes"]) as d:
            self.assertEqual(d.events("no_checkpoints") + d.events("no_checkpoint_slots"), [])
            self.assertGreaterEqual(d.metric("ssmd_checkpoints_limit"), 1)
            self.ask(prompt, d=d)
            self.assertGreaterEqual(d.metric("ssmd_checkpoints_used"), 1)

    def test_memory_for_sequences_alone(self):
        memory = self.d.wait_line("memory")
        flags = ("--max-seqs", 1, "--memory-bytes",
                 memory["slot_bytes"] + 8 * memory["page_bytes"] + (1 << 20))
        with wire.Daemon(*flags) as d:
            line, = d.events("no_checkpoint_slots", 1)
            self.assertEqual(line["option"], "memory_bytes")
            self.assertEqual(line["given_bytes"], flags[3])
            self.assertEqual(d.metric("ssmd_checkpoints_limit"), 1)
        with wire.Daemon(*flags[:3], line["needed_bytes"]) as d:
            self.assertEqual(d.events("no_checkpoint_slots"), [])
            self.assertEqual(d.metric("ssmd_checkpoints_limit"), 2)

    def test_a_tenant_without(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "keys")

            def write(text):
                with open(path, "w", encoding="utf-8") as f:
                    f.write(text)

            write("a:one\n")
            with wire.Daemon("--api-keys-file", path) as d:
                self.assertEqual(d.events("no_checkpoints"), [])
                write("a:one checkpoint_bytes=1000\nb:two checkpoint_bytes=1GiB\n")
                d.signal(signal.SIGHUP)
                line, = d.events("no_checkpoints", 1)
                self.assertEqual((line["tenant"], line["given_bytes"]), ("a", 1000))


class Tenants(Case):
    @classmethod
    def setUpClass(cls):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as f:
            f.write("a:one\na:two\nb:three\n")
            f.flush()
            cls.d = wire.Daemon("--api-keys-file", f.name)
        cls.addClassCleanup(cls.d.stop)

    def test_tenants(self):
        prompt = ids(self.rng, 40)

        def by(key):
            return cached(self.ask(prompt, {"Authorization": "Bearer " + key})[0])
        self.assertEqual([by(k) for k in ("one", "three", "two", "three", "one")],
                         [0, 0, 40, 40, 40])


class TenantBytes(Case):
    def test_a_tenant_at_its_limit_evicts_its_own(self):
        """checkpoint_bytes of the keys file, anew with SIGHUP."""
        by = {k: {"Authorization": "Bearer " + k} for k in ("one", "three")}
        prompts = [ids(self.rng, 40) for _ in range(9)]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "keys")
            with open(path, "w", encoding="utf-8") as f:
                f.write("a:one\nb:three\n")
            with wire.Daemon("--api-keys-file", path) as d:
                def reused(k, prompt):
                    return cached(self.ask(prompt, by[k], d=d, max_tokens=0, echo=True)[0])

                self.assertEqual([reused("three", p) for p in prompts[:2]], [0, 0])
                size = self.ask(prompts[0], by["three"], d=d, max_tokens=0, echo=True)[1][2]
                with open(path, "w", encoding="utf-8") as f:
                    f.write("a:one checkpoint_bytes=%d\nb:three\n" % (3 * size + size // 2))
                d.signal(signal.SIGHUP)
                d.wait_line("reload")
                self.assertEqual([reused("one", p) for p in prompts], [0] * 9)
                self.assertEqual([reused("one", p) for p in prompts[-3:]], [40] * 3)
                self.assertEqual(d.metric('ssmd_checkpoints_total{op="evict"}'), 6)
                self.assertEqual(reused("one", prompts[0]), 0)
                self.assertEqual([reused("three", p) for p in prompts[:2]], [40, 40])


class TenantRate(Case):
    def test_cached_tokens_are_not_charged(self):
        """rate of the keys file: a thousand tokens are free, of which the same 400 take 400."""
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as f:
            f.write("a:one rate=100\n")
            f.flush()
            by = {"Authorization": "Bearer one"}
            with wire.Daemon("--api-keys-file", f.name) as d:
                prompt = ids(self.rng, 400)
                for i in range(8):
                    self.assertEqual(cached(self.ask(prompt, by, d=d, max_tokens=1)[0]),
                                     400 if i else 0)
                self.ask(ids(self.rng, 3000), by, d=d, max_tokens=1)
                self.assertEqual(d.complete(headers=by)[0], 429)


class Little(Case):
    """Memory for a handful of states: they come and go, answers stay what they are."""
    flags = ("--max-seqs", 4, "--context", 512, "--memory-bytes", "24MiB")

    def test_many_conversations(self):
        system = ids(self.rng, 100)
        talks = [system + ids(self.rng, 30) for _ in range(30)]
        with wire.Daemon(*self.flags, "--prefix-cache", "off") as plain:
            for _ in range(2):
                for i, prompt in enumerate(talks):
                    answer, _ = self.ask(prompt, max_tokens=8)
                    expected, found = self.ask(prompt, d=plain, max_tokens=8)
                    self.assertEqual(answer["choices"], expected["choices"])
                    self.assertEqual(found, (0, 0, 0))
                    talks[i] = prompt + answer["choices"][0]["token_ids"] + ids(self.rng, 5)
            self.assertEqual(plain.metric("ssmd_prompt_tokens_cached_total"), 0)
            self.assertEqual(plain.metric("ssmd_checkpoint_bytes"), 0)
        m = self.d.metrics()
        self.assertGreater(m['ssmd_checkpoints_total{op="evict"}'], 20)
        # the system prompt stays, whatever else goes
        self.assertGreaterEqual(m["ssmd_prompt_tokens_cached_total"], 58 * 100)
        self.assertLess(m["ssmd_checkpoint_bytes"], 24 << 20)


if __name__ == "__main__":
    wire.main()

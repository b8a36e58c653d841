# SPDX-License-Identifier: Apache-2.0
"""The same request gives the same bytes: alone or among 32, streamed or not, in a list or by
itself, after a restart, with any threads, kernels and steps, while other clients hang up.

For every architecture a small model; for models/default a shorter round of the same.
"""
import os
import random
import socket
import struct
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import answers
import tiny_model
import wire

N_JOBS = 32
WORDS = ("the river runs down to the sea and a bird sings in the old tree while rain falls on "
         "na\u00efve stones \u4e16\u754c \U0001f600 caf\u00e9 12 345 , . ? !").split()


# ---- requests ----------------------------------------------------------------------------

def text_of(rng, n_words):
    return " ".join(rng.choice(WORDS) for _ in range(n_words))


def sampling(i):
    """A way to sample, in turn: greedy, and three kinds of seeded drawing."""
    kinds = ({"temperature": 0},
             {"temperature": 0.8, "top_p": 0.9, "seed": 1000 + i},
             {"temperature": 1.3, "top_k": 40, "repetition_penalty": 1.1, "seed": 2000 + i,
              "presence_penalty": 0.4, "frequency_penalty": 0.3},
             {"temperature": 1.1, "min_p": 0.01, "typical_p": 0.95, "seed": 2 ** 53 - 1 - i,
              "logit_bias": {"65": 3.5, "66": -100}})
    return kinds[i % 4]


def jobs(longest):
    """32 requests of different prompts, lengths and wishes; answers of up to longest tokens."""
    rng, out = random.Random(11), []
    for i in range(N_JOBS):
        job = {"prompt": text_of(rng, 1 + (i * i) % 97), "max_tokens": 1 + i * longest // N_JOBS,
               "return_token_ids": True, "ignore_eos": i % 2 == 0, **sampling(i)}
        if i % 3 == 0:
            job.update(logprobs=i % 6, echo=i % 2 == 0)
        if i % 8 == 5:
            job.update(n=3)
        if i % 8 == 2:
            job.update(stop=["e r", "zz", "\u4e16"])
        if i % 5 == 4:
            job.update(prompt=[rng.randrange(256) for _ in range(1 + i * 9)])
        if i % 11 == 7:
            job.update(prompt=[text_of(rng, i), text_of(rng, 5), text_of(rng, 40)])
        out.append(job)
    rng.shuffle(out)
    return out


# ---- running many ------------------------------------------------------------------------

def together(d, bodies, gap, ask):
    """ask(d, body) for all at once, each starting gap seconds after the one before."""
    results = [None] * len(bodies)

    def one(i):
        time.sleep(i * gap)
        try:
            results[i] = ask(d, bodies[i])
        except Exception as problem:  # shown by the comparison
            results[i] = problem

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(bodies))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


class Leavers:
    """Clients that keep opening streams and hanging up, until the end of the with."""

    def __init__(self, d):
        self.d, self.over, self.n = d, threading.Event(), 0
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(3)]

    def _run(self, seed):
        rng = random.Random(seed)
        while not self.over.is_set():
            s = self.d.open_stream(prompt=text_of(rng, rng.randrange(1, 90)), n=rng.choice((1, 2)))
            time.sleep(rng.random() * 0.03)
            if rng.random() < 0.5:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
            self.n += 1

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        for t in self.threads:
            t.join()


def kernels():
    """The kernel sets of this machine."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        flags = next((set(x.split()) for x in f if x.startswith("flags")), set())
    found = ["c"]
    if {"avx2", "fma", "f16c"} <= flags:
        found.append("avx2")
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
        found.append("avx512")
    return found


# ---- the promise -------------------------------------------------------------------------

class Promise:
    """Over one model folder; subclasses say which."""
    fixture = None
    longest = 192
    gap = 0.004
    varied = N_JOBS  # how many jobs a daemon with other flags is given, the cheapest first
    varied_c = N_JOBS  # and one with the C kernels

    @classmethod
    def folder(cls):
        return tiny_model.golden(cls.fixture, cls.dir.name)

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory(prefix="ssmd-equality-")
        cls.addClassCleanup(cls.dir.cleanup)
        cls.model = cls.folder()
        cls.jobs = jobs(cls.longest)
        cls.d = cls.daemon()
        cls.addClassCleanup(cls.d.stop)
        cls.alone = [answers.ask(cls.d, job) for job in cls.jobs]
        cls.alone_streamed = [answers.stream(cls.d, job) for job in cls.jobs]

    @classmethod
    def daemon(cls, *flags):
        return wire.Daemon("--model", cls.model, "--served-name", "m", *flags)

    def same_at_once(self, d, n):
        """n jobs, sent to another daemon all at once, are answered as the first did alone."""
        which = self.cheapest(n)
        got = together(d, [self.jobs[i] for i in which], 0, answers.ask)
        for i, answer in zip(which, got):
            self.assertEqual(self.alone[i][0], 200, self.alone[i])
            self.assertIsInstance(answer, tuple, self.jobs[i])
            self.assertEqual(answer[:2], self.alone[i][:2], self.jobs[i])

    def cheapest(self, n):
        def cost(i):
            return len(self.jobs[i]["prompt"]) + self.jobs[i]["max_tokens"]
        return sorted(range(N_JOBS), key=cost)[:n]

    def same_streams(self, got):
        for job, want, answer in zip(self.jobs, self.alone_streamed, got):
            self.assertIsInstance(answer, answers.Stream, job)
            self.assertEqual(answer.frames(), want.frames(), job)

    def test_alone_again(self):
        for i in self.cheapest(self.varied):
            self.assertEqual(answers.ask(self.d, self.jobs[i])[:2], self.alone[i][:2])

    def test_streamed_is_not_streamed(self):
        for job, want, streamed in zip(self.jobs, self.alone, self.alone_streamed):
            self.assertEqual(streamed.told(), answers.whole(want[2]), job)

    def test_the_jobs_differ(self):
        """Comparing says something: texts differ, and the model does not say one thing only."""
        said = [answers.whole(a[2])[0][0] for a in self.alone]
        self.assertGreater(len({tuple(s["ids"]) for s in said}), N_JOBS * 3 // 4)
        self.assertGreater(len({i for s in said for i in s["ids"]}), 32)
        self.assertEqual({s["reason"] for s in said} - {"stop", "length"}, set())

    def test_32_streams_at_once(self):
        before = self.d.metrics()
        self.same_streams(together(self.d, self.jobs, 0, answers.stream))
        after = self.d.metrics()
        steps, rows = (after["ssmd_step_rows" + x] - before["ssmd_step_rows" + x]
                       for x in ("_count", "_sum"))
        self.assertGreater(rows / steps, 4, "the streams did not run together")

    def test_32_staggered_streams(self):
        self.same_streams(together(self.d, self.jobs, self.gap, answers.stream))

    def test_among_clients_that_leave(self):
        with Leavers(self.d) as leavers:
            got = together(self.d, self.jobs, self.gap, answers.stream)
        self.same_streams(got)
        self.assertGreater(leavers.n, 5)

    def test_other_threads(self):
        for n in (1, 2):
            with self.subTest(threads=n), self.daemon("--threads", n) as d:
                self.same_at_once(d, self.varied)

    def test_other_kernels(self):
        for name in kernels():
            n = self.varied_c if name == "c" else self.varied
            with self.subTest(cpu=name), \
                    self.daemon("--cpu", name, "--queue-timeout", 0) as d:
                self.same_at_once(d, n)

    def test_other_steps(self):
        """Small steps cut prompts often and make requests wait; large ones cut none."""
        for flags in (("--step-rows", 6, "--max-seqs", 6), ("--step-rows", 1024)):
            with self.subTest(flags=flags), self.daemon("--queue-timeout", 0, *flags) as d:
                self.same_at_once(d, self.varied)

    def test_list_is_each_alone(self):
        prompts = ["The river", "Once upon a time there was", "a", "rain " * 30]
        more = {"max_tokens": 20, "temperature": 0.9, "seed": 5, "logprobs": 2,
                "return_token_ids": True, "n": 2}
        listed, usage = answers.whole(answers.ask(self.d, {"prompt": prompts, **more})[2])
        tokens = 0
        for i, prompt in enumerate(prompts):
            alone, one = answers.whole(answers.ask(self.d, {"prompt": prompt, **more})[2])
            self.assertEqual([listed[2 * i], listed[2 * i + 1]], [alone[0], alone[1]])
            tokens += int(one["total_tokens"])
        self.assertEqual(int(usage["total_tokens"]), tokens)

    def test_more_choices_begin_alike(self):
        body = {"prompt": "In the old tree", "max_tokens": 16, "temperature": 1, "seed": 77,
                "return_token_ids": True, "logprobs": 1}
        said = {n: answers.whole(answers.ask(self.d, {**body, "n": n})[2])[0] for n in (1, 3, 8)}
        self.assertEqual(said[1][0], said[8][0])
        self.assertEqual([said[3][i] for i in range(3)], [said[8][i] for i in range(3)])
        self.assertGreater(len({tuple(c["ids"]) for c in said[8].values()}), 4)

    def test_best_of_is_one_of_n(self):
        body = {"prompt": "and a bird", "max_tokens": 12, "temperature": 1, "seed": 3,
                "return_token_ids": True, "logprobs": 0}
        all_of = answers.whole(answers.ask(self.d, {**body, "n": 5})[2])[0].values()
        best = answers.whole(answers.ask(self.d, {**body, "best_of": 5})[2])[0][0]

        def mean(choice):
            values = [float(x) for x in choice["logprobs"]["token_logprobs"]]
            return sum(values) / len(values)

        self.assertEqual(best, max(all_of, key=mean))


class TransXSSM(Promise, unittest.TestCase):
    fixture = "transxssm-default"


class PhaDiagonal(Promise, unittest.TestCase):
    fixture = "pha-dss-cosine"


class PhaGated(Promise, unittest.TestCase):
    fixture = "pha-gated"


class Llama(Promise, unittest.TestCase):
    fixture = "llama-default"


class Embedded(Promise, unittest.TestCase):
    longest = 32
    gap = 0.02
    varied = 12
    varied_c = 4

    @classmethod
    def folder(cls):
        return wire.ARGS.model

    @classmethod
    def setUpClass(cls):
        if os.path.exists(os.path.join(wire.ARGS.model, "config.json")):
            super().setUpClass()

    def setUp(self):
        if not hasattr(self, "d"):
            self.skipTest("no embedded model")


if __name__ == "__main__":
    wire.main()

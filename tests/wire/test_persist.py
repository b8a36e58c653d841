# SPDX-License-Identifier: Apache-2.0
"""Known prefixes that outlive the daemon (state.persist): found again by the next one, for the
same tenant and salt only, with the bits of a prompt that was read; within the quotas; and what is
damaged or foreign is read anew, never an error.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import tiny_model
import wire

SAVED, LOADED = ('ssmd_checkpoints_total{op="%s"}' % op for op in ("save", "load"))
HELD = ("ssmd_state_slots_used", "ssmd_kv_pages_used")


def key(name):
    return {"Authorization": "Bearer " + name}


class Case(unittest.TestCase):
    fixture = "transxssm-default"
    context = tiny_model.CONTEXT

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="ssmd-persist-model-")
        cls.addClassCleanup(folder.cleanup)
        cls.model = tiny_model.golden(cls.fixture, folder.name, cls.context)

    def setUp(self):
        self.temp = tempfile.TemporaryDirectory(prefix="ssmd-persist-")
        self.dir = os.path.join(self.temp.name, "states")
        self.addCleanup(self.temp.cleanup)

    def daemon(self, *flags, persist="on", **more):
        return wire.Daemon("--model", self.model, "--served-name", "m", "--state-dir", self.dir,
                           "--state-persist", persist, *flags, **more)

    def files(self):
        return sorted(os.path.relpath(os.path.join(at, f), self.dir)
                      for at, _, names in os.walk(self.dir) for f in names)

    def ask(self, d, prompt, headers=None, **fields):
        """(what was said, tokens that were not read)"""
        status, head, answer = d.complete(headers=headers, prompt=prompt, **{
            "max_tokens": 8, "return_token_ids": True, "logprobs": 3, "temperature": 1, "seed": 3,
            **fields})
        self.assertEqual(status, 200, answer)
        cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
        self.assertTrue(head["x-ssmd-state"].startswith("hit=%d; depth=" % cached))
        self.assertNotIn("state", answer)
        return json.dumps(answer["choices"]), cached

    def prompt(self, n, seed=0):
        return [(i * 37 + seed * 101 + i * i) % 251 + 1 for i in range(n)]

    def cold(self, prompts):
        with self.daemon("--prefix-cache", "off", persist="off") as d:
            return [self.ask(d, p)[0] for p in prompts]

    def idle(self, d):
        for name in HELD:
            d.wait_metric(name, lambda v: v == 0)

    def bytes_there(self):
        total = 0
        for f in self.files():
            try:
                total += os.path.getsize(os.path.join(self.dir, f))
            except FileNotFoundError:
                pass
        return total

    def wait_files(self, n=1):
        """Waits until so many prefixes have been persisted."""
        end = time.monotonic() + 20
        while sum("/.new-" not in f for f in self.files()) < n:
            self.assertLess(time.monotonic(), end, "nothing was persisted")
            time.sleep(0.02)

    def settled(self):
        """Waits until nothing more is being written."""
        last, since = None, time.monotonic()
        while time.monotonic() - since < 1:
            now = self.files()
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.05)


class Restart(Case):
    def test_what_was_hit_is_there_after_a_crash(self):
        base = self.prompt(100)
        prompts = [base + self.prompt(20, 1 + i) for i in range(4)]
        want = self.cold(prompts)
        d = self.daemon()
        for p, w in zip(prompts[:3], want):  # the second one makes the junction, the third a hit
            self.assertEqual(self.ask(d, p)[0], w)
        self.wait_files()
        self.settled()
        d.proc.kill()
        d.proc.wait()
        d.reader.join(5)
        d.proc.stderr.close()
        d.dir.cleanup()
        with self.daemon() as d:
            said, cached = self.ask(d, prompts[3])
            self.assertEqual((said, cached), (want[3], 100))
            self.assertEqual(d.metric(LOADED), 1)
            said, cached = self.ask(d, prompts[3])  # now from memory
            self.assertEqual((said, cached), (want[3], 120))
            self.assertEqual(d.metric(LOADED), 1)
            self.idle(d)

    def test_a_stop_keeps_conversations(self):
        """What nobody has come back to yet, too; and the answer goes on from checkpoints again."""
        first = self.prompt(50, 5)
        with self.daemon() as d:
            said, _ = self.ask(d, first)
            turn = first + json.loads(said)[0]["token_ids"] + self.prompt(30, 6)
        known = 50 + 8 - 1
        want = self.cold([turn])[0]
        with self.daemon() as d:
            self.assertEqual(self.ask(d, turn), (want, known))
            self.idle(d)
            self.assertEqual(self.ask(d, turn), (want, len(turn)))
            more = turn + json.loads(want)[0]["token_ids"] + [1, 2, 3]
            self.assertEqual(self.ask(d, more)[1], len(turn) + 8 - 1)
        with self.daemon() as d:
            self.assertEqual(self.ask(d, more)[1], len(turn) + 8 - 1)

    def test_many_lives(self):
        prompt, want = self.prompt(20, 9), []
        for life in range(4):
            with self.daemon() as d:
                said, cached = self.ask(d, prompt)
                self.assertEqual(said, self.cold([prompt])[0])
                self.assertEqual(cached, len(want))
                want = prompt + json.loads(said)[0]["token_ids"][:-1]
                prompt = want + json.loads(said)[0]["token_ids"][-1:] + self.prompt(10, life)

    def test_choices_and_streams(self):
        prompt = self.prompt(64, 3)
        with self.daemon() as d:
            self.ask(d, prompt)
        more = prompt + self.prompt(9, 4)
        fields = {"n": 3, "logprobs": None}
        with self.daemon("--prefix-cache", "off", persist="off") as d:
            want, _ = self.ask(d, more, **fields)
        with self.daemon() as d:
            self.ask(d, prompt)
        with self.daemon() as d:
            said, cached = self.ask(d, more, **fields)
            self.assertEqual(said, want)
            self.idle(d)


    def test_clients_that_leave_take_nothing_away(self):
        prompt = self.prompt(80, 7)
        with self.daemon() as d:
            said, _ = self.ask(d, prompt)
        more = prompt + json.loads(said)[0]["token_ids"] + [4]
        want = self.cold([more])[0]
        with self.daemon("--checkpoint-bytes", 1) as d:  # memory keeps nothing
            for i in range(40):
                s = d.open_stream(prompt=more)
                time.sleep(i % 8 * 0.0005)
                s.close()
            self.assertEqual(self.ask(d, more), (want, len(more) - 2))
            self.idle(d)


class Pha(Restart):
    fixture = "pha-gated"


class Apart(Case):
    def test_salts_and_tenants(self):
        keys = os.path.join(self.temp.name, "keys")
        with open(keys, "w") as f:
            f.write("alice:a\nbob:b\n")
        prompt = self.prompt(60, 1)
        flags = ("--api-keys-file", keys)
        with self.daemon(*flags) as d:
            for _ in range(2):
                said, _ = self.ask(d, prompt, headers=key("a"), cache_salt="one/two")
            self.wait_files()
        more = prompt + json.loads(said)[0]["token_ids"] + [5]
        with self.daemon(*flags) as d:
            for who, fields in (("b", {"cache_salt": "one/two"}), ("a", {}),
                                ("a", {"cache_salt": "one=2Ftwo"}), ("a", {"cache_salt": "one"}),
                                ("b", {})):
                self.assertEqual(self.ask(d, more, headers=key(who), **fields)[1], 0)
            self.assertEqual(d.metric(LOADED), 0)
            cached = self.ask(d, more, headers=key("a"), cache_salt="one/two")[1]
            self.assertEqual(cached, len(more) - 2)

    def test_clients_do_not_see_them(self):
        with self.daemon() as d:
            for _ in range(2):
                self.ask(d, self.prompt(40))
            self.wait_files()
            self.settled()
            files = self.files()
            self.assertTrue(files)
            self.assertTrue(all(re.match(r"p-/s-/\d+-[0-9a-f]{16}$", f) for f in files), files)
            self.assertEqual(json.loads(d.call("GET", "/v1/states")[2])["data"], [])
            name = os.path.basename(files[0])
            for path in (name, "p-/s-/" + name, "..%2Fp-%2Fs-%2F" + name):
                for method in ("GET", "DELETE"):
                    self.assertIn(d.call(method, "/v1/states/" + path)[0], (400, 404))
            self.assertEqual(d.complete(prompt="x", state={"load": name})[0], 404)
            self.assertEqual(self.files(), files)

    def test_a_salt_that_is_too_long_is_not_kept(self):
        with self.daemon() as d:
            for _ in range(2):
                self.ask(d, self.prompt(40), cache_salt="/" * 300)
            self.settled()
        self.assertEqual(self.files(), [])

    def test_off_is_off(self):
        with self.daemon(persist="off") as d:
            for _ in range(3):
                self.ask(d, self.prompt(40))
        self.assertEqual(self.files(), [])


class Damaged(Case):
    def test_it_is_read_anew_and_removed(self):
        prompt = self.prompt(90, 2)
        with self.daemon() as d:
            said, _ = self.ask(d, prompt)
        more = prompt + json.loads(said)[0]["token_ids"] + [9, 8, 7]
        want = self.cold([more])[0]
        files = self.files()
        deepest = max(files, key=lambda f: int(os.path.basename(f).split("-")[0]))
        path = os.path.join(self.dir, deepest)
        with open(path, "rb") as f:
            good = f.read()
        bodies = [good[:i] + bytes([good[i] ^ 4]) + good[i + 1:]
                  for i in (0, 9, 30, 100, 140, 260, len(good) - 1, len(good) // 2)]
        bodies += [good[:-1], good[:100], b"", good + b"x"]
        for i, body in enumerate(bodies):
            for f in self.files():
                os.unlink(os.path.join(self.dir, f))
            with open(path, "wb") as f:
                f.write(body)
            with self.subTest(i), self.daemon() as d:
                self.assertEqual(self.ask(d, more), (want, 0))
                self.assertEqual(d.metric(LOADED), 0)
                self.assertFalse(os.path.exists(path) and
                                 open(path, "rb").read() == body)
                d.wait_line("checkpoint_dropped")
                self.assertNotIn(self.temp.name, d.log())
                self.idle(d)
                said, cached = self.ask(d, more)
                self.assertEqual((said, cached), (want, len(more)))
                self.assertEqual(len(d.events("checkpoint_dropped")), 1)

    def test_what_is_no_checkpoint(self):
        """Other names are left alone; another model's is not used; leftovers go."""
        here = os.path.join(self.dir, "p-", "s-")
        os.makedirs(here)
        for name in ("junk", "5-xyz", "-5-0123456789abcdef", "05-0123456789abcdef",
                     "5-0123456789ABCDEF", ".new-0123456789abcdef"):
            with open(os.path.join(here, name), "w") as f:
                f.write("junk")
        os.symlink("/etc/passwd", os.path.join(here, "6-0123456789abcdef"))
        os.mkdir(os.path.join(here, "7-0123456789abcdef"))
        with self.daemon() as d:
            self.ask(d, self.prompt(40))
            self.assertFalse(os.path.exists(os.path.join(here, ".new-0123456789abcdef")))
            self.assertTrue(os.path.exists(os.path.join(here, "junk")))


# libuv's function, which refuses as long as the file NO_WORKER is there.
NO_WORKER = r"""
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
int uv_queue_work(void *loop, void *work, void *run, void *after)
{
    int (*real)(void *, void *, void *, void *);
    *(void **)&real = dlsym((void *)-1L, "uv_queue_work"); /* RTLD_NEXT */
    return access(getenv("NO_WORKER"), F_OK) ? real(loop, work, run, after) : -22;
}
"""


class NoWorker(Case):
    def test_a_look_up_that_cannot_start_is_a_miss(self):
        with open(wire.ARGS.ssmd, "rb") as f:
            if b"libasan" in (body := f.read()) or b"libtsan" in body or not shutil.which("cc"):
                self.skipTest("nothing can be loaded before a sanitizer")
        source, shim, switch = (os.path.join(self.temp.name, n) for n in ("n.c", "n.so", "none"))
        with open(source, "w") as f:
            f.write(NO_WORKER)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
        prompt = self.prompt(50, 1)
        with self.daemon() as d:
            said, _ = self.ask(d, prompt)
        more = prompt + json.loads(said)[0]["token_ids"] + [9]
        want = self.cold([more])[0]
        with self.daemon("--checkpoint-bytes", 1,
                         env={"LD_PRELOAD": shim, "NO_WORKER": switch}) as d:
            open(switch, "w").close()
            self.assertEqual(self.ask(d, more), (want, 0))
            os.unlink(switch)
            self.assertEqual(self.ask(d, more), (want, len(more) - 2))
            self.idle(d)


class Kinds(Case):
    """Daemons that hold one model in other ways share the directory and leave each other's."""
    fixture = "llama-rope-dynamic"
    context = 256

    def test_another_rotary_length_is_skipped(self):
        prompt = self.prompt(90, 2)
        with self.daemon("--context", 512) as d:
            said, _ = self.ask(d, prompt)
        more = prompt + json.loads(said)[0]["token_ids"] + [9]
        files = set(self.files())
        self.assertTrue(files)
        with self.daemon("--context", 768) as d:
            self.assertEqual(self.ask(d, more)[1], 0)
            self.assertEqual(d.metric(LOADED), 0)
            self.assertEqual(d.events("checkpoint_dropped"), [])
        self.assertLessEqual(files, set(self.files()))
        with self.daemon("--context", 512) as d:
            self.assertEqual(self.ask(d, more)[1], len(more) - 2)


class Bounds(Case):
    def setUp(self):
        super().setUp()
        with self.daemon() as d:
            self.ask(d, self.prompt(40))
        self.size = max(os.path.getsize(os.path.join(self.dir, f)) for f in self.files())
        self.empty()

    def empty(self):
        for f in self.files():
            os.unlink(os.path.join(self.dir, f))

    def save(self, d, name, seed):
        status, _, answer = d.complete(prompt=self.prompt(40, seed), max_tokens=8,
                                       state={"save": name})
        return status, answer

    def test_prefixes_stay_within_the_quotas(self):
        quota = 3 * self.size + self.size // 2
        for flag in ("--state-tenant-bytes", "--state-total-bytes"):
            with self.subTest(flag), self.daemon(flag, quota) as d:
                for i in range(8):
                    for _ in range(2):
                        self.ask(d, self.prompt(40, i))
                    self.settled()
                    self.assertLessEqual(self.bytes_there(), quota)
                self.assertGreater(len(self.files()), 0)
                self.idle(d)
            self.empty()

    def test_prefixes_give_way_to_objects(self):
        """The sum never passes a quota, and no prefix is the reason for a refusal."""
        quota = 3 * self.size + self.size // 2
        for flag in ("--state-tenant-bytes", "--state-total-bytes"):
            with self.subTest(flag), self.daemon(flag, quota) as d:
                for i in range(4):
                    for _ in range(2):
                        self.ask(d, self.prompt(40, i))
                self.wait_files(3)
                self.settled()
                for i in range(3):
                    status, answer = self.save(d, "a%d" % i, 10 + i)
                    self.assertEqual(status, 200, answer)
                    self.assertEqual(answer["state"]["saved"]["name"], "a%d" % i)
                    self.assertLessEqual(self.bytes_there(), quota)
                self.assertEqual(len(json.loads(d.call("GET", "/v1/states")[2])["data"]), 3)
                error = self.save(d, "a3", 20)[1]["state"]["error"]
                self.assertEqual(error["code"], "state_quota_exceeded")
                self.settled()
                self.assertLessEqual(self.bytes_there(), quota)
                self.idle(d)
            self.empty()

    def test_only_clients_saves_are_counted(self):
        with self.daemon() as d:
            for i in range(2):
                for _ in range(2):
                    self.ask(d, self.prompt(40, i))
            self.wait_files(2)
            self.settled()
            self.assertEqual(d.metric(SAVED), 0)
            self.assertEqual(self.save(d, "a", 0)[0], 200)
            self.assertEqual(d.metric(SAVED), 1)


if __name__ == "__main__":
    wire.main()

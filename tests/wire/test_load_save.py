# SPDX-License-Identifier: Apache-2.0
"""Completions that load and save states: a conversation that moves says what one says that stays,
and whatever does not fit is refused with the reason.

The conversation that stays is one prompt of ids, asked of a daemon that keeps nothing.
"""
import json
import os
import random
import re
import shutil
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import answers
import tiny_model
import wire

TURNS = ["The river runs down to the sea", " and then a bird said: na\u00efve \u4e16\u754c,",
         "\nOnce upon a time", " 12 345 \U0001f600 !"]
SAMPLING = ({"temperature": 0},
            {"temperature": 0.9, "top_p": 0.9, "seed": 7, "repetition_penalty": 1.2},
            {"temperature": 1.2, "top_k": 50, "seed": 8, "presence_penalty": 0.5})
SLOTS, PAGES = "ssmd_state_slots_used", "ssmd_kv_pages_used"
OPS = 'ssmd_checkpoints_total{op="%s"}'


def key(name):
    return {"Authorization": "Bearer " + name}


class Case(unittest.TestCase):
    model = None

    def setUp(self):
        self.temp = tempfile.TemporaryDirectory(prefix="ssmd-load-save-")
        self.dir = os.path.join(self.temp.name, "states")
        self.addCleanup(self.temp.cleanup)

    def daemon(self, *flags, dir=None, **more):
        model = ("--model", self.model, "--served-name", "m") if self.model else ()
        return wire.Daemon(*model, "--state-dir", dir or self.dir, *flags, **more)

    def plain(self):
        """One that keeps nothing: what it says was computed from the beginning."""
        return self.daemon("--prefix-cache", "off", dir=os.path.join(self.temp.name, "plain"))

    def say(self, d, prompt, load=None, save=None, stream=False, headers=None, **fields):
        state = {k: v for k, v in (("load", load), ("save", save)) if v}
        body = {"prompt": prompt, "max_tokens": 12, "ignore_eos": True, "logprobs": 2,
                "return_token_ids": True, "temperature": 0, **fields}
        if state:
            body["state"] = state
        if stream:
            return self.say_streamed(d, body)
        status, head, answer = d.complete(headers=headers, **body)
        self.assertEqual(status, 200, answer)
        if load:
            depth = answer["state"]["loaded"]["depth"]
            self.assertEqual(answer["state"]["loaded"], {"name": load, "depth": depth})
            self.assertEqual(answer["usage"]["prompt_tokens_details"]["cached_tokens"], depth)
            self.assertEqual(re.match(r"hit=(\d+); depth=(\d+); bytes=\d+$",
                                      head["x-ssmd-state"]).groups(), (str(depth), str(depth)))
        else:
            self.assertNotIn("loaded", answer.get("state", {}))
        self.assertEqual("state" in answer, bool(state))
        if save:
            self.assertEqual(answer["state"]["saved"]["name"], save)
        return answer["choices"][0], answer.get("state")

    def say_streamed(self, d, body):
        s = answers.stream(d, body)
        self.assertEqual(s.events[-1], "[DONE]")
        told = [c for c in s.chunks() if "state" in c]
        self.assertEqual(len(told), 1 if "state" in body else 0)
        for c in told:
            self.assertEqual((c["choices"], c), ([], json.loads(s.events[-2], parse_float=str,
                                                               parse_int=str)))
        by = s.told()[0][0]
        return {"text": by["text"], "token_ids": [int(i) for i in by["ids"]],
                "prompt_token_ids": [int(i) for i in by["prompt_ids"]],
                "logprobs": by["logprobs"]}, told and told[0]["state"]

    def same(self, one, other):
        """Tokens, text and log-probabilities to the last digit. Where an answer is saved, the
        first bytes of a character at its end are not shown as U+FFFD."""
        self.assertEqual(one["token_ids"], other["token_ids"])
        self.assertIn(other["text"], (one["text"], one["text"] + "\ufffd"))
        self.assertEqual(*([float(x) for x in c["logprobs"]["token_logprobs"]]
                           for c in (one, other)))

    def refused(self, answer, status, code, param):
        got, _, body = answer
        self.assertEqual(got, status, body)
        error = body["error"]
        self.assertEqual((error["code"], error["param"]), (code, param), error)
        self.assertNotIn(self.temp.name, error["message"])
        return error["message"]

    def idle(self, d):
        d.wait_metric(SLOTS, lambda v: v == 0)
        d.wait_metric(PAGES, lambda v: v == 0)


# ---- the promise -------------------------------------------------------------------------

class Moves:
    """Over one model; subclasses say which."""
    fixture = None
    streams = (False,)

    @classmethod
    def setUpClass(cls):
        if cls.fixture:
            folder = tempfile.TemporaryDirectory(prefix="ssmd-load-save-model-")
            cls.addClassCleanup(folder.cleanup)
            cls.model = tiny_model.golden(cls.fixture, folder.name)

    def converse(self, go_to, stream=False):
        """Every turn of a conversation is said where go_to(turn) is, for each way to sample, by
        text and by ids; then all of it again by a daemon that was told the whole each time."""
        kinds = [(i, by_ids) for i in range(len(SAMPLING)) for by_ids in (False, True)]
        text, ids = {k: "" for k in kinds}, {k: [] for k in kinds}
        asked = []
        for turn, words in enumerate(TURNS):
            d = go_to(turn)
            for k in kinds:
                name = "s%d-%d" % k
                more = list(words.encode()) if self.fixture else [len(words), 17, 300, 4000 + turn]
                prompt = ids[k] + more if k[1] else text[k] + words
                choice, told = self.say(d, prompt, load=name if turn else None, save=name,
                                        stream=stream, **SAMPLING[k[0]])
                text[k] += words + choice["text"]
                self.assertEqual(choice["prompt_token_ids"][:len(ids[k])], ids[k])
                ids[k] = choice["prompt_token_ids"] + choice["token_ids"]
                self.assertEqual(int(told["saved"]["depth"]), len(ids[k]) - 1)
                asked.append((choice, SAMPLING[k[0]]))
        with self.plain() as d:
            for choice, how in asked:
                stayed, _ = self.say(d, choice["prompt_token_ids"], **how)
                self.same(choice, stayed)

    def test_on_one_daemon(self):
        for stream in (False, True):
            with self.daemon() as d:
                self.converse(lambda turn: d, stream)
                self.idle(d)

    def test_between_daemons_that_share_a_directory(self):
        with self.daemon("--cpu", "c") as one, self.daemon("--threads", 2) as two:
            self.converse(lambda turn: (one, two)[turn % 2])
            self.idle(one)
            self.idle(two)

    def test_killed_after_every_turn(self):
        at = []

        def go_to(turn):
            if at:
                kill(at.pop())
            at.append(self.daemon())
            return at[0]

        self.converse(go_to)
        at[0].stop()

    def test_carried_by_get_and_put(self):
        """Two that share nothing; the first one is gone when the second one goes on."""
        def go_to(turn):
            if at:
                carried = {o["name"]: at[0].call("GET", "/v1/states/" + o["name"])[2]
                           for o in json.loads(at[0].call("GET", "/v1/states")[2])["data"]}
                kill(at.pop())
            at.append(self.daemon(dir=os.path.join(self.temp.name, "d%d" % turn)))
            for name, body in carried.items() if turn else ():
                self.assertEqual(at[0].call("PUT", "/v1/states/" + name, body)[0], 201)
            return at[0]

        at = []
        self.converse(go_to)
        at[0].stop()


def kill(d):
    """As a machine that fails: nothing is said to it, and nothing is heard of it."""
    d.proc.kill()
    d.proc.wait()
    d.reader.join(5)
    d.proc.stderr.close()
    d.dir.cleanup()


class Embedded(Moves, Case):
    pass


class TransXSSM(Moves, Case):
    fixture = "transxssm-default"


class PhaDiagonal(Moves, Case):
    fixture = "pha-dss-cosine"


class PhaGated(Moves, Case):
    fixture = "pha-gated"


class Llama(Moves, Case):
    fixture = "llama-default"


class Equal(Case):
    def test_the_very_text_of_a_state(self):
        """The pending token is all that is run; without one nothing is."""
        with self.daemon() as d, self.plain() as plain:
            first, told = self.say(d, "The old tree", save="a")
            n = len(first["prompt_token_ids"] + first["token_ids"])
            self.assertEqual(told["saved"]["depth"], n - 1)
            text = "The old tree" + first["text"]
            for prompt in (text, first["prompt_token_ids"] + first["token_ids"]):
                more, told = self.say(d, prompt, load="a")
                self.assertEqual(told["loaded"]["depth"], n - 1)
                stayed, _ = self.say(plain, first["prompt_token_ids"] + first["token_ids"])
                self.same(more, stayed)
            status, _, answer = d.complete(prompt=text, max_tokens=0, echo=True,
                                           state={"load": "a", "save": "b"})
            self.assertEqual((status, answer["choices"][0]["text"]), (200, text))
            self.assertEqual(answer["state"]["saved"]["depth"], n)
            more, told = self.say(d, text, load="b")
            self.assertEqual(told["loaded"]["depth"], n)
            self.same(more, stayed)
            self.idle(d)

    def test_choices(self):
        with self.daemon() as d, self.plain() as plain:
            first, _ = self.say(d, "The old tree", save="a")
            prompt = first["prompt_token_ids"] + first["token_ids"] + [5, 6, 7]
            body = dict(prompt=prompt, n=3, best_of=5, temperature=1, seed=4, max_tokens=9,
                        return_token_ids=True, logprobs=1)
            status, _, moved = d.complete(state={"load": "a"}, **body)
            self.assertEqual(status, 200, moved)
            stayed = plain.complete(**body)[2]
            for one, other in zip(moved["choices"], stayed["choices"]):
                self.same(one, other)
            self.idle(d)

    def test_an_end_among_tokens_that_were_run_ahead(self):
        """Speculation proposes what was said before; the state ends where the answer does."""
        prompt = "The cat sat on the mat. " * 6 + "The cat"
        with self.daemon("--speculate", "on") as d, self.plain() as plain:
            for n in range(1, 17):
                first, told = self.say(d, prompt, save="a", max_tokens=n)
                ids = first["prompt_token_ids"] + first["token_ids"]
                self.assertEqual(told["saved"]["depth"], len(ids) - 1)
                more, _ = self.say(d, ids + [40, 50], load="a")
                self.same(more, self.say(plain, ids + [40, 50])[0])
            first, _ = self.say(d, prompt, save="a", max_tokens=40, stop=["mat"])
            stopped, _ = self.say(d, prompt + first["text"] + "mat", load="a")
            self.same(stopped, self.say(plain, stopped["prompt_token_ids"])[0])
            counted = {k: v for k, v in d.metrics().items() if "specul" in k}
            self.assertTrue(any(v > 16 for v in counted.values()), counted)
            self.idle(d)

    def test_many_at_once(self):
        with self.daemon() as one, self.daemon() as two, self.plain() as plain:
            said, problems = [None] * 12, []

            def talk(i):
                prompt = [i + 1, 40, 50 + i]
                try:
                    for turn in range(4):
                        name = "s%d" % i
                        choice, _ = self.say((one, two)[(i + turn) % 2], prompt, save=name,
                                             load=name if turn else None, temperature=1, seed=i)
                        said[i] = (prompt, choice)
                        prompt = prompt + choice["token_ids"] + [turn, i]
                except Exception as problem:
                    problems.append(problem)

            threads = [threading.Thread(target=talk, args=(i,)) for i in range(12)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual(problems, [])
            for i, (prompt, choice) in enumerate(said):
                self.same(choice, self.say(plain, prompt, temperature=1, seed=i)[0])
            self.idle(one)
            self.idle(two)

    def test_a_text_with_special_tokens(self):
        """An end token that was not shown is in the state; the text may hold it or not."""
        with self.daemon() as d, self.plain() as plain:
            first, told = self.say(d, "Hello<|endoftext|>The river", save="a")
            text = "Hello<|endoftext|>The river" + first["text"]
            end, told = self.say(d, text + " and", load="a", save="b", ignore_eos=False,
                                 logit_bias={"0": 100})
            self.assertEqual((end["text"], end["finish_reason"]), ("", "stop"))
            for more in ("<|endoftext|>", ""):
                choice, _ = self.say(d, text + " and" + more + " so", load="b")
                self.assertEqual(choice["prompt_token_ids"].count(0), 2)
                self.same(choice, self.say(plain, choice["prompt_token_ids"])[0])


# ---- refusals ----------------------------------------------------------------------------

class Refused(Case):
    def test_the_byte_at_which_they_part(self):
        with self.daemon() as d:
            first, _ = self.say(d, "The na\u00efve tree", save="a")
            said = "The na\u00efve tree" + first["text"]
            whole = len(said.encode())
            cases = [("the" + said[3:], 0), (said.replace("\u00ef", "\u00ee", 1), 7), ("The", 3),
                     (said[:-1], len(said[:-1].encode())), (said[:20] + "~" + said[21:], None),
                     (said[:-1] + "~", whole - len(said[-1].encode()))]
            for prompt, at in cases:
                at = len(said[:20].encode()) if at is None else at
                why = self.refused(d.complete(prompt=prompt, state={"load": "a"}), 409,
                                   "state_mismatch", "prompt")
                self.assertIn("part at byte %d" % at, why)
            ids = first["prompt_token_ids"] + first["token_ids"]
            for prompt, at in ((ids[:-1], len(ids) - 1), ([ids[0] ^ 1] + ids[1:], 0),
                               (ids[:4] + [ids[4] ^ 1] + ids[5:], 4), (ids[:1], 1)):
                why = self.refused(d.complete(prompt=prompt, state={"load": "a"}), 409,
                                   "state_mismatch", "prompt")
                self.assertIn("part at id %d" % at, why)
            n = len(cases) + 4
            self.assertEqual(d.metric(OPS % "reject"), n)
            self.assertEqual((d.metric(OPS % "save"), d.metric(OPS % "load")), (1, 0))
            self.idle(d)

    def test_what_is_not_there(self):
        with self.daemon() as d:
            for stream in (False, True):
                s = d.open_stream(stream=stream, state={"load": "absent", "save": "b"})
                s.settimeout(20)
                data = wire.read_until(s, b"}}")
                s.close()
                self.assertEqual(wire.statuses(data), [404])
                error = json.loads(data.partition(b"\r\n\r\n")[2])["error"]
                self.assertEqual((error["code"], error["param"]), ("not_found", "state.load"))
            self.assertEqual(json.loads(d.call("GET", "/v1/states")[2])["data"], [])

    def test_what_is_no_name(self):
        with self.daemon() as d:
            for field in ("load", "save"):
                for name in ("http://host/v1/states/a", "https://host/a", "http:", "file:///a", "",
                             "../a", "..", ".a", "a/b", "a b", "x" * 65, "\u00e9", "a\u0000b"):
                    self.refused(d.complete(state={field: name}), 400, None, "state." + field)
                for value in (1, ["a"], {"name": "a"}):
                    self.refused(d.complete(state={field: value}), 400, None, "state." + field)
            for value in ("a", ["a"], 1):
                self.refused(d.complete(state=value), 400, None, "state")

    def test_one_sequence_only(self):
        with self.daemon() as d:
            for fields in ({"n": 2}, {"best_of": 2}):
                self.refused(d.complete(state={"save": "a"}, **fields), 400, None, "state.save")
            for prompt in (["a", "b"], [[1], [2]]):
                for field in ("save", "load"):
                    self.refused(d.complete(prompt=prompt, state={field: "a"}), 400, None,
                                 "state." + field)
            self.refused(d.complete(state={"load": "a"}, echo=True, logprobs=1), 400, None,
                         "state.load")

    def test_without_a_directory(self):
        with wire.Daemon() as d:
            self.refused(d.complete(state={"save": "a"}), 400, "unsupported_parameter", "state")

    def test_the_context_is_the_same(self):
        with self.daemon("--context", 64) as d:
            first, _ = self.say(d, list(range(1, 41)), save="a")
            prompt = first["prompt_token_ids"] + first["token_ids"]
            self.refused(d.complete(prompt=prompt, max_tokens=13, state={"load": "a"}), 400,
                         "context_length_exceeded", "prompt")
            self.assertEqual(d.complete(prompt=prompt, max_tokens=12, state={"load": "a"})[0], 200)

    def test_another_tenants(self):
        keys = os.path.join(self.temp.name, "keys")
        with open(keys, "w") as f:
            f.write("alice:a\nbob:b\n")
        alice, bob = key("a"), key("b")
        with self.daemon("--api-keys-file", keys) as d:
            first, _ = self.say(d, "The river", save="s", headers=alice)
            text = "The river" + first["text"]
            self.refused(d.complete(prompt=text, state={"load": "s"}, headers=bob), 404,
                         "not_found", "state.load")
            self.say(d, "A bird", save="s", headers=bob)
            self.say(d, text, load="s", headers=alice)
            shutil.copy(os.path.join(self.dir, "t-alice", "s"), os.path.join(self.dir, "t-bob"))
            why = self.refused(d.complete(prompt=text, state={"load": "s"}, headers=bob), 409,
                               "state_mismatch", "state.load")
            self.assertNotIn("alice", why)

    def test_another_models(self):
        with tempfile.TemporaryDirectory() as folder:
            self.model = tiny_model.golden("transxssm-default", folder)
            with self.daemon() as d:
                self.say(d, [1, 2, 3], save="a")
            self.model = None
            with self.daemon() as d:
                why = self.refused(d.complete(prompt=[1, 2, 3], state={"load": "a"}), 409,
                                   "state_mismatch", "state.load")
                self.assertIn("model", why)

    def test_quotas(self):
        with self.daemon() as d:
            _, told = self.say(d, "The river", save="a")
            size = told["saved"]["bytes"]
            self.assertEqual(os.path.getsize(os.path.join(self.dir, "t-", "a")), size)
        for flag, n in (("--state-tenant-bytes", size + size // 2),
                        ("--state-total-bytes", size + size // 2),
                        ("--state-max-object-bytes", size - 1)):
            with self.subTest(flag), self.daemon(flag, n) as d:
                want = d.complete(prompt="x", max_tokens=12)[2]["choices"][0]
                status, _, answer = d.complete(prompt="x", max_tokens=12, state={"save": "b"})
                error = answer["state"].pop("error")
                self.assertEqual((status, answer["state"]), (200, {}))
                self.assertEqual(answer["choices"][0]["text"], want["text"])
                self.assertEqual((error["code"], error["param"]),
                                 ("state_quota_exceeded", "state.save"))
                s = answers.stream(d, {"prompt": "x", "max_tokens": 12, "state": {"save": "b"}})
                self.assertIn("state_quota_exceeded", s.events[-2])
                self.assertEqual(s.events[-1], "[DONE]")
                self.assertEqual(os.listdir(os.path.join(self.dir, "t-")), ["a"])
                self.idle(d)
                self.assertEqual(d.metric(OPS % "save"), 0)
        with self.daemon("--state-tenant-bytes", size + size // 2) as d:
            self.say(d, "The river", save="a")  # in its own place


class Damaged(Case):
    def test_bits_of_a_stored_file(self):
        """Every bit of head and tokens, and some of the body: 409, and nothing is left behind."""
        with self.daemon() as d:
            first, told = self.say(d, "The river", save="a")
            text = "The river" + first["text"]
            path = os.path.join(self.dir, "t-", "a")
            with open(path, "rb") as f:
                good = f.read()
            n = len(first["prompt_token_ids"] + first["token_ids"])
            body_at = 256 + (n * 4 + 63) // 64 * 64
            bits = list(range(body_at * 8))
            bits += random.Random(3).sample(range(body_at * 8, len(good) * 8), 400)
            for i, bit in enumerate(bits):
                with open(path, "r+b") as f:
                    f.seek(bit // 8)
                    f.write(bytes([good[bit // 8] ^ 1 << bit % 8]))
                status, _, answer = d.complete(prompt=text, state={"load": "a"},
                                               stream=False)
                self.assertEqual(status, 409, "bit %d: %s" % (bit, answer))
                self.assertEqual(answer["error"]["code"], "state_mismatch")
                with open(path, "r+b") as f:
                    f.seek(bit // 8)
                    f.write(good[bit // 8:bit // 8 + 1])
            self.say(d, text, load="a")
            self.assertEqual(d.metric(OPS % "reject"), len(bits))
            self.assertEqual(d.metric(OPS % "load"), 1)
            self.idle(d)

    def test_a_damaged_body_in_a_stream(self):
        with self.daemon() as d:
            first, _ = self.say(d, "The river", save="a")
            path = os.path.join(self.dir, "t-", "a")
            with open(path, "r+b") as f:
                f.seek(-9, 2)
                f.write(b"?")
            s = d.open_stream(prompt="The river" + first["text"], state={"load": "a", "save": "a"})
            data = wire.read_until(s, b"}}")
            s.close()
            self.assertEqual(wire.statuses(data), [409])
            self.idle(d)

    def test_a_file_cut_short(self):
        with self.daemon() as d:
            first, _ = self.say(d, "The river", save="a")
            path = os.path.join(self.dir, "t-", "a")
            size = os.path.getsize(path)
            for n in (size - 1, size // 2, 300, 256, 255, 0):
                os.truncate(path, n)
                self.refused(d.complete(prompt="The river" + first["text"], state={"load": "a"}),
                             409, "state_mismatch", "state.load")


if __name__ == "__main__":
    wire.main()

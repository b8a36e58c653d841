# SPDX-License-Identifier: Apache-2.0
"""Conversations by text: turns of any length give the tokens of one generation.

A state is saved and loaded by its name at every turn. What clients are not shown of an answer (the
first bytes of a character, an end token, a stop string and what its last token says behind it) the
next prompt may contain or leave out, by text as by ids.
"""
import json
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import answers
import objects
import wire

PROMPTS = ("\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3001",
           "\U0001f600\U0001f603\U0001f604\U0001f601" * 2 + "\U0001f600",
           "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440. \u041a\u0430\u043a \u0434\u0435\u043b\u0430")
TOKENS = 16


class Case(unittest.TestCase):
    def setUp(self):
        self.temp = tempfile.TemporaryDirectory(prefix="ssmd-load-text-")
        self.addCleanup(self.temp.cleanup)

    def daemon(self, *flags, dir="states", model=None):
        model = ("--model", model, "--served-name", "m") if model else ()
        return wire.Daemon(*model, "--state-dir", os.path.join(self.temp.name, dir), *flags)

    def ask(self, d, prompt, load=None, save="a", stream=False, **fields):
        """The choice, its numbers as integers."""
        state = {k: v for k, v in (("load", load), ("save", save)) if v}
        body = {"prompt": prompt, "temperature": 0, "ignore_eos": True, "return_token_ids": True,
                **({"state": state} if state else {}), **fields}
        if not stream:
            status, _, answer = d.complete(**body)
            self.assertEqual(status, 200, answer)
            return answer["choices"][0]
        s = answers.stream(d, body)
        self.assertEqual(s.events[-1], "[DONE]")
        parts = [json.loads(e)["choices"][0] for e in s.events[:-1] if json.loads(e)["choices"]]
        choice = {"text": "".join(p["text"] for p in parts), **parts[-1],
                  "token_ids": [i for p in parts for i in p.get("token_ids", [])],
                  "prompt_token_ids": parts[0].get("prompt_token_ids")}
        choice["text"] = "".join(p["text"] for p in parts)
        for p in parts[:-1]:
            self.assertEqual({"pending", "stop_token_id"} & set(p), set())
        return choice

    def refused(self, d, prompt, load="a"):
        status, _, answer = d.complete(prompt=prompt, state={"load": load})
        self.assertEqual((status, answer["error"]["code"]), (409, "state_mismatch"), answer)
        return answer["error"]["message"]


# ---- characters --------------------------------------------------------------------------

class Turns(Case):
    def generation(self, d, prompt, **fields):
        c = self.ask(d, prompt, save=None, max_tokens=TOKENS, **fields)
        return c["prompt_token_ids"] + c["token_ids"], c["text"]

    def converse(self, go_to, prompt, step, whole, by_ids=False, stream=False, tell_ids=True):
        """Turns of `step` tokens; the last one tells the ids in any case."""
        ids, text = whole
        said, got, turn = "", [], 0
        n_prompt = len(self.ask(go_to(0), prompt, save=None, max_tokens=1)["prompt_token_ids"])
        while n_prompt + turn * step < len(ids):
            last = n_prompt + (turn + 1) * step >= len(ids)
            c = self.ask(go_to(turn), (got if turn else prompt) if by_ids else prompt + said,
                         load="a" if turn else None, max_tokens=step, stream=stream,
                         return_token_ids=tell_ids or last)
            self.assertEqual((c["finish_reason"], c["stop_token_id"]), ("length", None))
            self.assertEqual(c["pending"], {"text": "", "token_ids": []})
            said += c["text"]
            if tell_ids or last:
                got = c["prompt_token_ids"] + c["token_ids"]
                self.assertEqual(got[:len(ids)], ids[:len(got)], "turn %d" % turn)
            self.assertNotIn("\ufffd", said)
            turn += 1
        text = text.rstrip("\ufffd")
        self.assertEqual(said[:len(text)], text)

    def test_of_one_to_five_tokens(self):
        with self.daemon() as d, self.daemon("--prefix-cache", "off", dir="plain") as plain:
            for prompt in PROMPTS:
                whole = self.generation(plain, prompt)
                for step in range(1, 6):
                    with self.subTest(prompt=prompt, step=step):
                        stream = step % 2 == 0
                        self.converse(lambda _: d, prompt, step, whole, stream=stream)
                        self.converse(lambda _: d, prompt, step, whole, stream=not stream,
                                      tell_ids=False)
                self.converse(lambda _: d, prompt, 2, whole, by_ids=True)

    def test_killed_after_every_turn(self):
        at = []

        def go_to(turn):
            if at:
                d = at.pop()
                d.proc.kill()
                d.proc.wait()
                d.reader.join(5)
                d.proc.stderr.close()
                d.dir.cleanup()
            at.append(self.daemon())
            return at[0]

        with self.daemon("--prefix-cache", "off", dir="plain") as plain:
            whole = self.generation(plain, PROMPTS[0])
        self.converse(go_to, PROMPTS[0], 5, whole)
        at[0].stop()

    def test_carried_between_two_that_share_nothing(self):
        with self.daemon(dir="one") as one, self.daemon("--cpu", "c", dir="two") as two:
            whole = self.generation(one, PROMPTS[1])

            def go_to(turn):
                to, other = (one, two) if turn % 2 else (two, one)
                if turn:
                    body = other.call("GET", "/v1/states/a")[2]
                    self.assertIn(to.call("PUT", "/v1/states/a", body)[0], (201, 204))
                return to

            for step in (1, 4):
                self.converse(go_to, PROMPTS[1], step, whole)

    def test_words_behind_half_a_character(self):
        """Its bytes are in the state and stay unseen, as often as that happens."""
        with self.daemon() as d, self.daemon("--prefix-cache", "off", dir="plain") as plain:
            text, ids, halves = PROMPTS[0], [], 0
            for turn in range(6):
                c = self.ask(d, text, load="a" if turn else None, max_tokens=1 + turn % 3)
                self.assertEqual(c["prompt_token_ids"][:len(ids)], ids)
                ids = c["prompt_token_ids"] + c["token_ids"]
                self.assertEqual(c["token_ids"], self.ask(
                    plain, c["prompt_token_ids"], save=None,
                    max_tokens=1 + turn % 3)["token_ids"])
                self.assertNotIn("\ufffd", c["text"])
                whole = d.call("POST", "/detokenize", {"tokens": ids})[2].decode()
                halves += json.loads(whole)["prompt"].endswith("\ufffd")
                text += c["text"] + ("\u30c6" if turn % 2 else " and ")
            self.assertGreater(halves, 1)

    def test_a_replacement_character_that_a_client_made_itself(self):
        with self.daemon() as d:
            first = self.ask(d, PROMPTS[0], max_tokens=1)
            self.assertEqual(first["text"], "")
            c = self.ask(d, PROMPTS[0] + "\ufffd, and", load="a", max_tokens=1)
            ids = first["prompt_token_ids"] + first["token_ids"]
            self.assertEqual(c["prompt_token_ids"][:len(ids)], ids)
            again = self.ask(d, PROMPTS[0] + "\ufffd, and" + c["text"], load="a", max_tokens=1)
            self.assertEqual(again["prompt_token_ids"], c["prompt_token_ids"] + c["token_ids"])

    def test_echo(self):
        with self.daemon() as d:
            self.ask(d, PROMPTS[0], max_tokens=1)
            c = self.ask(d, PROMPTS[0], load="a", save=None, max_tokens=2, echo=True)
            self.assertEqual(c["text"], PROMPTS[0] + "\u30b9")


class OldObjects(Case):
    def test_layout_1_is_read_and_continued(self):
        """There the text of the half character was U+FFFD."""
        with self.daemon() as d:
            first = self.ask(d, PROMPTS[0], max_tokens=1)
            new = d.call("GET", "/v1/states/a")[2]
            self.assertEqual(d.call("PUT", "/v1/states/old", objects.layout_1(new))[0], 201)
            ids = first["prompt_token_ids"] + first["token_ids"]
            c = self.ask(d, PROMPTS[0] + "\ufffd and", load="old", save="old", max_tokens=3)
            self.assertEqual(c["prompt_token_ids"][:len(ids)], ids)
            more = self.ask(d, PROMPTS[0] + "\ufffd and" + c["text"], load="old", max_tokens=1)
            self.assertEqual(more["prompt_token_ids"], c["prompt_token_ids"] + c["token_ids"])

    def test_a_newer_layout_is_refused(self):
        with self.daemon() as d:
            self.ask(d, PROMPTS[0], max_tokens=1)
            body = bytearray(d.call("GET", "/v1/states/a")[2])
            body[8] = 3
            status, _, answer = d.call("PUT", "/v1/states/b", bytes(body))
            error = json.loads(answer)["error"]
            self.assertEqual((status, error["code"]), (409, "state_mismatch"))
            self.assertIn("layout: expected 1 to 2, found 3", error["message"])


# ---- ends --------------------------------------------------------------------------------

class Ends(Case):
    def both_ways(self, d, prompt, c, more, pending):
        """The next turn, with what ended the answer and without, is the same one."""
        self.assertEqual(c["pending"], pending)
        base = c["prompt_token_ids"] + c["token_ids"]
        new = d.call("POST", "/tokenize", {"prompt": more})[2]
        new = json.loads(new)["tokens"]
        want = base + pending["token_ids"]
        said = [prompt + c["text"], prompt + c["text"] + pending["text"]]
        for stream in (False, True):
            got = [self.ask(d, text + more, load="a", save="b", max_tokens=3, stream=stream)
                   for text in said]
            got += [self.ask(d, ids + new, load="a", save="b", max_tokens=3, stream=stream)
                    for ids in (base, want)]
            for one in got:
                self.assertEqual(one["prompt_token_ids"][:len(want)], want)
            for one in got[1:]:
                self.assertEqual((one["text"], one["token_ids"]),
                                 (got[0]["text"], got[0]["token_ids"]))
        # and the turn after it, of a client that never adds it, or always
        for text in said:
            after = self.ask(d, text + more + got[0]["text"] + " so", load="b", save=None,
                             max_tokens=2)
            n = len(want) + len(new) + 3
            self.assertEqual(after["prompt_token_ids"][:n],
                             got[-1]["prompt_token_ids"] + got[-1]["token_ids"])
        for ids in (base, want):
            after = self.ask(d, ids + new + got[-1]["token_ids"], load="b", save=None,
                             max_tokens=2)
            self.assertEqual(after["prompt_token_ids"],
                             got[-1]["prompt_token_ids"] + got[-1]["token_ids"])
        return got[0]

    def test_an_end_token(self):
        with self.daemon() as d:
            for stream in (False, True):
                c = self.ask(d, "The river", max_tokens=9, ignore_eos=False, stream=stream,
                             logit_bias={"0": 100})
                self.assertEqual((c["text"], c["token_ids"], c["stop_token_id"]), ("", [], 0))
                self.both_ways(d, "The river", c, " and then",
                               {"text": "<|endoftext|>", "token_ids": [0]})

    def test_a_stop_id_that_has_text(self):
        with self.daemon() as d:
            free = self.ask(d, "The river", save=None, max_tokens=6)
            stop = free["token_ids"][4]
            text = d.call("POST", "/detokenize", {"tokens": [stop]})[2]
            c = self.ask(d, "The river", max_tokens=9, stop_token_ids=[stop])
            self.assertEqual((c["token_ids"], c["stop_token_id"]), (free["token_ids"][:4], stop))
            self.both_ways(d, "The river", c, " not",
                           {"text": json.loads(text)["prompt"], "token_ids": [stop]})

    def test_stop_strings(self):
        """Whole tokens, and ones that begin or end inside of tokens."""
        with self.daemon() as d:
            free = self.ask(d, "The river", save=None, max_tokens=12)["text"]
            kinds = set()
            for begin in (2, 6, 7, 10):
                for end in range(begin + 1, 14, 2):
                    stop = free[begin:end]
                    if stop in free[:end - 1]:
                        continue
                    c = self.ask(d, "The river", max_tokens=12, stop=stop)
                    self.assertEqual((c["text"], c["stop_token_id"]), (free[:begin], None))
                    pending = c["pending"]
                    self.assertTrue(pending["text"].startswith(stop), (stop, pending))
                    self.both_ways(d, "The river", c, " not", pending)
                    # a client that adds what it asked for, no more
                    more = self.ask(d, "The river" + c["text"] + stop + "!", load="a", save=None,
                                    max_tokens=1)
                    ids = c["prompt_token_ids"] + c["token_ids"] + pending["token_ids"]
                    self.assertEqual(more["prompt_token_ids"][:len(ids)], ids)
                    kinds.add((pending["text"] == stop, bool(pending["token_ids"])))
            self.assertEqual(len(kinds), 4, kinds)

    def test_what_is_neither_is_refused(self):
        with self.daemon() as d:
            c = self.ask(d, "The river", max_tokens=9, ignore_eos=False, logit_bias={"0": 100})
            self.assertIn("part at byte 3", self.refused(d, "The"))
            self.assertIn("part at id 1", self.refused(d, c["prompt_token_ids"][:1]))

    def test_nothing_of_it_without_a_state(self):
        with self.daemon() as d:
            c = self.ask(d, "The river", save=None, max_tokens=2)
            self.assertEqual({"pending", "stop_token_id"} & set(c), set())


# ---- normal forms ------------------------------------------------------------------------

class NormalForms(Case):
    def model(self):
        """The embedded model, with a tokenizer that composes."""
        to = os.path.join(self.temp.name, "nfc")
        os.mkdir(to)
        for name in os.listdir(wire.ARGS.model):
            if name != "tokenizer.json":
                os.symlink(os.path.abspath(os.path.join(wire.ARGS.model, name)),
                           os.path.join(to, name))
        with open(os.path.join(wire.ARGS.model, "tokenizer.json"), encoding="utf-8") as f:
            tokenizer = json.load(f)
        tokenizer["normalizer"] = {"type": "NFC"}
        with open(os.path.join(to, "tokenizer.json"), "w", encoding="utf-8") as f:
            json.dump(tokenizer, f)
        return to

    def test_a_prompt_that_is_not_composed(self):
        text = "Un cafe\u0301 cre\u0300me, A\u030a, \u1100\u1161\u11a8"
        with self.daemon(model=self.model()) as d:
            ids = []
            for turn in range(4):
                c = self.ask(d, text, load="a" if turn else None, max_tokens=3)
                self.assertEqual(c["prompt_token_ids"][:len(ids)], ids)
                ids = c["prompt_token_ids"] + c["token_ids"]
                text += c["text"] + (" e\u0301te\u0301" if turn else "")
            self.assertIn("part at byte 6",
                          self.refused(d, "Un cafe\u0300" + text[8:]))


if __name__ == "__main__":
    wire.main()

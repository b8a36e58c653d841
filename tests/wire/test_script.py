# SPDX-License-Identifier: Apache-2.0
"""The stand-in engine's script, on which tests of clients stand: which answer holds, whole
characters, special tokens without text, the end token; and a file that is no script."""
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

SCRIPT = [
    {"say": "else"},
    {"when": "weather", "say": ["I look. ", {"special": "<|call|>"}, "f(é)",
                                {"special": "<|end_call|>"}]},
    {"when": "sunny", "say": "日本語 😀"},
    {"when": "weather again", "say": [{"special": "<|end_call|>"}, "no"]},
]
CALL, END_CALL = 257, 258


class Script(unittest.TestCase):
    def daemon(self, script):
        file = tempfile.NamedTemporaryFile("w", suffix=".json", delete=False)
        self.addCleanup(os.unlink, file.name)
        with file:
            json.dump(script, file)
        return wire.Daemon(env={"FAKE_SCRIPT": file.name})

    def say(self, d, prompt, max_tokens=100):
        status, _, answer = d.complete(prompt=prompt, max_tokens=max_tokens,
                                       return_token_ids=True)
        self.assertEqual(status, 200, answer)
        return answer["choices"][0]

    def test_the_newest_message_decides(self):
        with self.daemon(SCRIPT) as d:
            for prompt, text in (("hello", "else"),
                                 ("weather?", "I look. f(é)"),
                                 ("weather? it is sunny", "日本語 😀"),
                                 ("sunny; weather?", "I look. f(é)"),
                                 ("sunny; weather again", "no")):
                answer = self.say(d, prompt)
                self.assertEqual(answer["text"], text, prompt)
                self.assertEqual(answer["finish_reason"], "stop")

    def test_special_tokens_have_ids_and_no_text(self):
        with self.daemon(SCRIPT) as d:
            ids = self.say(d, "weather?")["token_ids"]
            self.assertEqual(ids[:9], list(b"I look. ") + [CALL])
            self.assertIn(END_CALL, ids)
            cut = self.say(d, "weather again", max_tokens=1)
            self.assertEqual((cut["text"], cut["finish_reason"]), ("", "length"))

    def test_pieces_of_special_tokens(self):
        with self.daemon(SCRIPT) as d:
            body = {"tokens": [97, CALL, END_CALL]}
            status, _, data = d.call("POST", "/detokenize", body)
            self.assertEqual((status, json.loads(data)["prompt"]), (200, "a<|call|><|end_call|>"))
            status, _, data = d.call("POST", "/detokenize", {"tokens": [259]})
            self.assertEqual(status, 400, data)

    def test_a_stream_has_whole_characters(self):
        with self.daemon(SCRIPT) as d:
            events = wire.sse(wire.dechunk(wire.read_all_from(
                d.open_stream(prompt="sunny", max_tokens=100)))[0])
            self.assertEqual(events[-1], "[DONE]")
            texts = [json.loads(e)["choices"][0]["text"] for e in events[:-1]]
            self.assertEqual("".join(texts), "日本語 😀")
            self.assertLessEqual(max(len(t) for t in texts), 1)

    def test_no_script(self):
        for script in ({}, [], [3], [{"when": "a"}], [{"say": [3]}], [{"when": 3, "say": ""}]):
            with self.subTest(script=script), self.assertRaises(AssertionError):
                with self.daemon(script):
                    pass


if __name__ == "__main__":
    wire.main()

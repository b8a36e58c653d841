# SPDX-License-Identifier: Apache-2.0
"""POST /v1/messages over the embedded model: what the stand-in engine does not do, that is stop
sequences, the prefix cache and its usage, several answers at once."""
import json
import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire
from test_messages import PATH, events, join

LONG = [{"type": "text", "text": "Once upon a time there was a small model. " * 20,
         "cache_control": {"type": "ephemeral"}}]


class Engine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = wire.Daemon("--context", "4096")
        cls.addClassCleanup(cls.d.stop)

    def body(self, content, **fields):
        return {"max_tokens": 40, "temperature": 0, "seed": 7,
                "messages": [{"role": "user", "content": content}], **fields}

    def say(self, content, **fields):
        status, _, data = self.d.call("POST", PATH, self.body(content, **fields))
        self.assertEqual(status, 200, data)
        return json.loads(data)

    def stream(self, content, **fields):
        status, _, data = self.d.call("POST", PATH, self.body(content, stream=True, **fields))
        self.assertEqual(status, 200, data)
        return events(data)

    def test_stop_sequences(self):
        text = self.say("Hello, who are you?")["content"][0]["text"]
        stop = text[len(text) // 2:][:4]
        at = text.index(stop)
        for answer in (self.say("Hello, who are you?", stop_sequences=["\0", stop]),
                       join(self.stream("Hello, who are you?", stop_sequences=[stop, "\0"]))):
            self.assertEqual((answer["stop_reason"], answer["stop_sequence"]),
                             ("stop_sequence", stop))
            self.assertEqual([b["text"] for b in answer["content"]], [text[:at]] if at else [])

    def test_usage_tells_what_was_cached(self):
        first, again = self.say(LONG)["usage"], self.say(LONG)["usage"]
        total = first["input_tokens"] + first["cache_read_input_tokens"]
        self.assertGreater(again["cache_read_input_tokens"], 20)
        self.assertEqual(again["input_tokens"] + again["cache_read_input_tokens"], total)
        start, *_, end, _ = self.stream(LONG)
        for usage in (start["message"]["usage"], end["usage"]):
            self.assertEqual((usage["cache_read_input_tokens"], usage["input_tokens"]),
                             (again["cache_read_input_tokens"], again["input_tokens"]))

    def test_a_prompt_is_cached_without_an_answer(self):
        content = [{**LONG[0], "text": "A prompt to come. " * 30}]
        self.assertEqual(self.say(content, max_tokens=0)["content"], [])
        self.assertGreater(self.say(content)["usage"]["cache_read_input_tokens"], 20)

    def test_alone_and_among_others(self):
        alone = [self.say("Number %d" % i)["content"] for i in range(4)]
        together = [None] * 4

        def run(i):
            together[i] = join(self.stream("Number %d" % i))["content"]
        threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(together, alone)


if __name__ == "__main__":
    wire.main()

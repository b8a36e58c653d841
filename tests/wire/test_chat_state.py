# SPDX-License-Identifier: Apache-2.0
"""What clients may say about the prefix cache. A turn of a conversation reads what is new, also
where the template drops the reasoning of the turns before; `cache_control` and
`cache_breakpoints` keep checkpoints; a hit answers as a miss."""
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

# Reasoning is shown behind the last user's message only, as Qwen 3's template does it.
TEMPLATE = """\
{%- set ns = namespace(last=-1) %}
{%- for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}
{%- for m in messages %}
    {{- '<|endoftext|>' + m.role + '\\n' }}
    {%- if m.role == 'assistant' and m.reasoning_content and loop.index0 > ns.last %}
        {{- '<think>\\n' + m.reasoning_content + '\\n</think>\\n\\n' }}
    {%- endif %}
    {{- m.content }}
    {%- for c in m.tool_calls or [] %}{{ '<tool_call>' + c.function | tojson + '</tool_call>' }}{% endfor %}
    {{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|endoftext|>assistant\\n<think>\\n' }}{% endif %}
"""
TURNS = 20


class Conversations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="ssmd-chat-")
        cls.addClassCleanup(folder.cleanup)
        cls.template = os.path.join(folder.name, "chat_template.jinja")
        with open(cls.template, "w") as f:
            f.write(TEMPLATE)
        cls.warm, cls.cold = cls.start(), cls.start("--prefix-cache", "off")

    @classmethod
    def start(cls, *flags):
        d = wire.Daemon("--chat-template", cls.template, *flags)
        cls.addClassCleanup(d.stop)
        return d

    def chat(self, d, messages, **fields):
        body = {"messages": messages, "max_tokens": 6, "temperature": 0,
                "cache_salt": self.id(), **fields}
        status, _, data = d.call("POST", "/v1/chat/completions", body)
        self.assertEqual(status, 200, data)
        return json.loads(data)

    def count(self, messages, generation_prompt):
        """Tokens of a rendered conversation."""
        status, _, data = self.warm.call("POST", "/apply-template", {
            "messages": messages, "add_generation_prompt": generation_prompt})
        self.assertEqual(status, 200, data)
        return json.loads(data)["count"]

    def tokens(self, text):
        status, _, data = self.warm.call("POST", "/tokenize", {
            "prompt": text, "add_special_tokens": False})
        self.assertEqual(status, 200, data)
        return json.loads(data)["count"]

    def cached(self, answer):
        return answer["usage"]["prompt_tokens_details"]["cached_tokens"]

    def test_a_turn_reads_what_is_new(self):
        """The answer without its reasoning, the new message and the template's own tokens."""
        messages = [{"role": "system", "content": "You tell stories to children."}]
        known, opening = 0, self.tokens("<|endoftext|>assistant\n<think>\n")
        for turn in range(TURNS):
            messages.append({"role": "user", "content": "Tell me story number %d." % turn})
            asked = self.count(messages, True)
            answer = self.chat(self.warm, messages)
            self.assertEqual(answer["usage"]["prompt_tokens"], asked)
            self.assertEqual(self.cached(answer), known, "turn %d" % turn)
            message = answer["choices"][0]["message"]
            self.assertTrue(message["reasoning_content"])
            self.assertEqual(message["content"] or "", "")
            alone = self.chat(self.cold, messages)
            self.assertEqual(alone["choices"], answer["choices"])
            self.assertEqual(self.cached(alone), 0)
            known = self.count(messages, False)
            self.assertGreater(known, 0)
            self.assertEqual(asked - known, opening)
            messages.append({"role": "assistant", "content": "Once there was a dog, %d." % turn,
                             "reasoning_content": message["reasoning_content"]})

    def test_reasoning_that_stays_is_not_read_again(self):
        """Behind a tool's result reasoning is still shown: the end of the prompt serves."""
        messages = [{"role": "user", "content": "Where does the lion live?"}]
        first = self.chat(self.warm, messages)
        call = {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        messages += [{"role": "assistant", "content": "I look.", "tool_calls": [call],
                      "reasoning_content": first["choices"][0]["message"]["reasoning_content"]},
                     {"role": "tool", "content": "In the forest.", "tool_call_id": "a"}]
        second = self.chat(self.warm, messages)
        self.assertGreaterEqual(self.cached(second), first["usage"]["prompt_tokens"])
        self.assertEqual(self.chat(self.cold, messages)["choices"], second["choices"])

    def test_a_conversation_that_is_edited(self):
        """What follows a message is told anew from the first byte of its text."""
        messages = [{"role": "system", "content": "Short answers."},
                    {"role": "user", "content": "Who lives in the forest?"},
                    {"role": "assistant", "content": "A lion."},
                    {"role": "user", "content": "What does it eat?"}]
        self.chat(self.warm, messages)
        for at in (1, 2, 3):
            edited = [dict(m) for m in messages[:at + 1]]
            edited[at]["content"] = "No: " + edited[at]["content"]
            answer = self.chat(self.warm, edited)
            self.assertGreater(self.cached(answer), self.count(messages[:at], False))
            self.assertEqual(self.chat(self.cold, edited)["choices"], answer["choices"])

    def test_cache_control_keeps_a_checkpoint(self):
        """At the end of a message's text, where another conversation goes on otherwise."""
        text = "The rules of this village are old. " * 4
        for marked in (False, True):
            part = {"type": "text", "text": text}
            if marked:
                part["cache_control"] = {"type": "ephemeral"}
            rules = {"role": "system", "content": [part]}
            salt = {"cache_salt": "marked" if marked else "plain"}
            self.chat(self.warm, [rules, {"role": "user", "content": "One"}], **salt)
            other = self.chat(self.warm, [rules, {"role": "assistant", "content": "One"}], **salt)
            end = self.count([rules], False)
            with self.subTest(marked=marked):
                self.assertEqual(self.cached(other) >= end - 2, marked, self.cached(other))


class Breakpoints(unittest.TestCase):
    def ask(self, d, prompt, **fields):
        status, _, answer = d.complete(prompt=prompt, max_tokens=3, **fields)
        self.assertEqual(status, 200, answer)
        return answer["usage"]["prompt_tokens_details"]["cached_tokens"], answer["choices"]

    def test_checkpoints_are_where_they_are_asked_for(self):
        prompt = [100 + 7 * i for i in range(200)]
        points = [1, 30, 31, 150, 200]
        with wire.Daemon() as d, wire.Daemon("--prefix-cache", "off") as cold:
            self.assertEqual(self.ask(d, prompt, cache_breakpoints=points)[0], 0)
            for at in reversed(points):
                other = prompt[:at] + [5000, 5001, 5002]
                found, choices = self.ask(d, other)
                self.assertEqual(found, at)
                self.assertEqual(choices, self.ask(cold, other)[1])
            other = prompt[:100] + [5000]
            self.assertEqual(self.ask(d, other)[0], 31)

    def test_a_text_and_its_tokens(self):
        with wire.Daemon() as d:
            self.ask(d, "Once upon a time there was a lion.", cache_breakpoints=[2, 4],
                     prompt_cache_key="lions")
            self.assertEqual(self.ask(d, "Once upon a time a dog came.")[0], 4)
            status, _, answer = d.complete(prompt="Once upon", cache_breakpoints=[1, 400])
            self.assertEqual((status, answer["error"]["param"]), (400, "cache_breakpoints"))
            self.assertIn("cache_breakpoints[1]", answer["error"]["message"])
            d.events("request", 1, prompt_cache_key="lions")


if __name__ == "__main__":
    wire.main()

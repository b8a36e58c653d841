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


class Loaded(unittest.TestCase):
    """Chats that go on from a state object, with the embedded model's own template."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="ssmd-states-")
        cls.addClassCleanup(folder.cleanup)
        cls.daemon = wire.Daemon("--state-dir", folder.name)
        cls.addClassCleanup(cls.daemon.stop)

    def chat(self, messages, **state):
        body = {"messages": messages, "max_tokens": 12, "temperature": 0, "state": state}
        status, _, data = self.daemon.call("POST", "/v1/chat/completions", body)
        return status, json.loads(data)

    def rest(self, content):
        """Prompt tokens that a second turn with this content adds to the state of the first."""
        messages = [{"role": "user", "content": "Once upon a time"}]
        _, first = self.chat(messages, save="first")
        held = first["usage"]["prompt_tokens"] + first["usage"]["completion_tokens"]
        messages += [first["choices"][0]["message"], {"role": "user", "content": content}]
        status, second = self.chat(messages, load="first")
        self.assertEqual(status, 200, second)
        self.assertGreaterEqual(second["usage"]["prompt_tokens_details"]["cached_tokens"], held - 1)
        return second["usage"]["prompt_tokens"] - held

    def test_what_follows_a_state_is_content(self):
        """A control token's spelling behind the state has the ids of a text."""
        self.assertGreater(self.rest("and <|endoftext|> then"), self.rest("and x then") + 3)

    def test_a_conversation_that_is_another(self):
        self.chat([{"role": "user", "content": "Once upon a time"}], save="first")
        status, told = self.chat([{"role": "user", "content": "Twice upon a time"}], load="first")
        self.assertEqual((status, told["error"]["code"], told["error"]["param"]),
                         (409, "state_mismatch", "messages"))


class Folders(unittest.TestCase):
    """What a model's folder says of chat: the embedded one with other files."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="ssmd-folder-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        for name in os.listdir(wire.ARGS.model):
            os.symlink(os.path.abspath(os.path.join(wire.ARGS.model, name)), self.path(name))

    def path(self, name):
        return os.path.join(self.folder, name)

    def change(self, name, change):
        """Writes the JSON file anew as change leaves it."""
        with open(self.path(name), encoding="utf-8") as f:
            tree = json.load(f)
        change(tree)
        os.unlink(self.path(name))
        with open(self.path(name), "w", encoding="utf-8") as f:
            json.dump(tree, f)

    def test_what_ends_a_turn_ends_an_answer(self):
        """A special token that the template puts behind an assistant's turn, and that no file
        of the model lists as an end. Here it is the full stop."""
        self.change("tokenizer.json", lambda t: t["added_tokens"].append({
            **t["added_tokens"][0], "content": ".", "id": t["model"]["vocab"]["."]}))
        for end, reason in ((".", "stop"), ("", "length")):
            with open(self.path("own.jinja"), "w", encoding="utf-8") as f:
                f.write("{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}"
                        + end + "{% endif %}{% endfor %}")
            self.assertEqual(self.reason(), reason)

    def reason(self):
        with wire.Daemon("--model", self.folder, "--chat-template", self.path("own.jinja")) as d:
            status, _, data = d.call("POST", "/v1/chat/completions", {
                "messages": [{"role": "user", "content": "The rain had stopped. She opened"}],
                "repetition_penalty": 1.1, "max_tokens": 60, "temperature": 0})
            self.assertEqual(status, 200, data)
            return json.loads(data)["choices"][0]["finish_reason"]

    def test_named_templates(self):
        """Of a list tool_use serves requests with tools; a chat_template.jinja beside wins."""
        self.change("tokenizer_config.json", lambda t: t.update(chat_template=[
            {"name": "default", "template": "plain{{ messages[0].content }}"},
            {"name": "rag", "template": "rag"},
            {"name": "tool_use", "template": "tools{{ messages[0].content }}"}]))
        tools = [{"type": "function", "function": {"name": "f"}}]
        self.assertEqual(self.prompt(tools=tools), "<|endoftext|>hi")
        os.unlink(self.path("chat_template.jinja"))
        self.assertEqual(self.prompt(), "plainhi")
        self.assertEqual(self.prompt(tools=tools), "toolshi")
        self.assertEqual(self.prompt(tools=tools, tool_choice="none"), "plainhi")

    def prompt(self, **fields):
        with wire.Daemon("--model", self.folder) as d:
            status, _, data = d.call("POST", "/apply-template", {
                "messages": [{"role": "user", "content": "hi"}], **fields})
            self.assertEqual(status, 200, data)
            return json.loads(data)["prompt"]


if __name__ == "__main__":
    wire.main()

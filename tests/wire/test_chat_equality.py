# SPDX-License-Identifier: Apache-2.0
"""The same chat request gives the same bytes: alone or among 32, streamed or not, its prompt cached
or not, with speculation and without, the date of the template frozen.

Over small models of every kind of state, and over one whose answers are known, so that they have
reasoning and calls (tests/lib/tiny_model.py: a ring of tokens).
"""
import json
import os
import pathlib
import random
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import answers
import chats
import test_equality as equality
import tiny_model
import wire

N_JOBS = 32
TEMPLATE = """{{ '<|im_start|>date\\n' + strftime_now('%d %B %Y %H:%M:%S') + '<|im_end|>\\n' }}
{%- if tools %}
{{- '<|im_start|>tools\\n' + tools | tojson + '<|im_end|>\\n' }}
{%- endif %}
{%- for m in messages %}
{{- '<|im_start|>' + m.role + '\\n' }}
{%- if m.reasoning_content and loop.last %}{{ m.reasoning_content }}{% endif %}
{{- m.content }}
{%- for call in m.tool_calls or [] %}
{{- '<tool_call>' + (call.function | tojson) + '</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}
{%- if thinking %}{{ '<think>\\n' }}{% endif %}{% endif %}"""
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {
    "type": "object", "properties": {"a": {"type": "integer"}}}}}]


# ---- requests ----------------------------------------------------------------------------

def messages_of(rng, i):
    """A conversation of some turns, that ends with a user's or a tool's."""
    text = equality.text_of
    out = [{"role": "system", "content": text(rng, i)}] if i % 3 == 0 else []
    for turn in range(i % 4):
        out += [{"role": "user", "content": text(rng, 3 + turn)},
                {"role": "assistant", "content": text(rng, 9), "reasoning_content": "why"}]
    out.append({"role": "user", "content": [{"type": "text", "text": text(rng, 1 + i)}]})
    if i % 7 == 4:
        call = {"id": "abcdefghi", "type": "function",
                "function": {"name": "f", "arguments": "{\"a\": 1}"}}
        out += [{"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "abcdefghi", "content": text(rng, 4)}]
    return out


def jobs(longest):
    """32 requests of different conversations, tools, lengths and ways to sample."""
    rng, out = random.Random(12), []
    for i in range(N_JOBS):
        job = {"messages": messages_of(rng, i), "max_tokens": 2 + i * longest // N_JOBS,
               "return_token_ids": True, **equality.sampling(i)}
        if i % 2:
            job.update(tools=TOOLS, parallel_tool_calls=i % 4 == 1)
        if i % 3 == 0:
            job.update(logprobs=True, top_logprobs=i % 6)
        if i % 8 == 5:
            job.update(n=3)
        if i % 8 == 2:
            job.update(stop=["e r", "y</", "\u4e16"])
        out.append(job)
    rng.shuffle(out)
    return out


# ---- the promise -------------------------------------------------------------------------

class Promise:
    """Over one model folder; subclasses say which."""
    fixture = None
    longest = 96

    @classmethod
    def folder(cls):
        return tiny_model.golden(cls.fixture, os.path.join(cls.dir.name, "model"))

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory(prefix="ssmd-chat-equality-")
        cls.addClassCleanup(cls.dir.cleanup)
        cls.template = os.path.join(cls.dir.name, "template.jinja")
        pathlib.Path(cls.template).write_text(TEMPLATE, encoding="utf-8")
        cls.model = cls.folder()
        cls.jobs = jobs(cls.longest)
        with cls.daemon("--prefix-cache", "off", "--speculate", "off") as d:
            cls.alone = [chats.ask(d, job) for job in cls.jobs]
            cls.alone_streamed = [chats.stream(d, job) for job in cls.jobs]
        cls.d = cls.daemon()
        cls.addClassCleanup(cls.d.stop)

    @classmethod
    def daemon(cls, *flags):
        return wire.Daemon("--model", cls.model, "--served-name", "m", "--chat-template",
                           cls.template, "--template-time", "2026-12-31T23:59:58Z",
                           "--tool-format", "hermes", "--queue-timeout", 0, *flags)

    def same(self, got):
        for job, want, answer in zip(self.jobs, self.alone, got):
            self.assertEqual(want[0], 200, want)
            self.assertIsInstance(answer, tuple, job)
            self.assertEqual(answer[:2], want[:2], job)

    def same_streams(self, got):
        for job, want, answer in zip(self.jobs, self.alone_streamed, got):
            self.assertIsInstance(answer, chats.Stream, job)
            self.assertEqual(answer.frames(), want.frames(), job)

    def test_streamed_is_not_streamed(self):
        for job, want, streamed in zip(self.jobs, self.alone, self.alone_streamed):
            self.assertEqual(streamed.told(), chats.whole(want[2]), job)

    def test_the_jobs_differ(self):
        said = [chats.whole(a[2])[0][0] for a in self.alone]
        self.assertGreater(len({tuple(s["prompt_ids"]) for s in said}), N_JOBS - 2)
        self.assertGreater(len({tuple(s["ids"]) for s in said}), self.different)

    different = N_JOBS * 3 // 4

    def test_cached(self):
        """The second time the whole prompt is known, but for what a step must read."""
        self.same([chats.ask(self.d, job) for job in self.jobs])
        again = [chats.ask(self.d, job) for job in self.jobs]
        self.same(again)
        cached = sum(int(a[2]["usage"]["prompt_tokens_details"]["cached_tokens"]) for a in again)
        prompts = sum(int(a[2]["usage"]["prompt_tokens"]) for a in again)
        self.assertGreater(cached, prompts // 2)

    def test_32_at_once(self):
        for flags in ((), ("--speculate", "on"), ("--prefix-cache", "off")):
            with self.subTest(flags=flags), self.daemon(*flags) as d:
                self.same(equality.together(d, self.jobs, 0, chats.ask))
                self.same_streams(equality.together(d, self.jobs, 0, chats.stream))

    def test_speculation(self):
        with self.daemon("--speculate", "on") as d:
            self.same([chats.ask(d, job) for job in self.jobs])

    def test_small_steps(self):
        with self.daemon("--step-rows", 6, "--max-seqs", 6) as d:
            self.same_streams(equality.together(d, self.jobs, 0, chats.stream))

    def next_turn(self, cold, messages, content):
        """Adds a message, its answer without the reasoning, and results of the calls; the tokens
        of the prompt, and those of them that were read."""
        messages.append({"role": "user", "content": content})
        body = {"messages": messages, "max_tokens": 24, "temperature": 0, "tools": TOOLS,
                "chat_template_kwargs": {"thinking": True}}
        hot = chats.ask(self.d, body)
        self.assertEqual(hot[:2], chats.ask(cold, body)[:2])
        message = hot[2]["choices"][0]["message"]
        messages.append({k: v for k, v in message.items() if k != "reasoning_content"})
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": "r"}
                     for call in message.get("tool_calls", [])]
        usage = hot[2]["usage"]
        n = int(usage["prompt_tokens"])
        return n, n - int(usage["prompt_tokens_details"]["cached_tokens"])

    def test_20_turns(self):
        """A conversation that goes on says what one says that is read from its beginning, and
        reads what is new: the last answer without its reasoning, the new message, and what the
        template puts around them, although it ends each prompt with a mark of reasoning that is
        not there in the next one."""
        own = len("<|im_start|>assistant\n<think>\n")  # a token a byte at most
        with self.daemon("--prefix-cache", "off", "--speculate", "off") as cold:
            messages, known = [], 0
            for turn in range(20):
                n, read = self.next_turn(cold, messages, equality.WORDS[turn])
                if turn:
                    self.assertLessEqual(read, n - known + own, turn)
                known = n


class TransXSSM(Promise, unittest.TestCase):
    fixture = "transxssm-default"


class PhaDiagonal(Promise, unittest.TestCase):
    fixture = "pha-dss-cosine"


class PhaGated(Promise, unittest.TestCase):
    fixture = "pha-gated"


class Llama(Promise, unittest.TestCase):
    fixture = "llama-default"


class Calls(Promise, unittest.TestCase):
    """Every answer thinks, says something, calls, calls again, and ends."""
    pieces = ["<think>", "wh", "</think>", "<tool_call>", "{\"name\": \"f\", \"arguments\": {\"a\"",
              ": 1", "}}", "</tool_call>", "\n<tool_call>{\"name\": \"f\",", " \"arguments\": ",
              "{\"a\": 2}}</tool_call>"]
    special = ("<tool_call>", "</tool_call>")
    longest, different = 20, 12

    @classmethod
    def folder(cls):
        folder = pathlib.Path(cls.dir.name, "model")
        first = tiny_model.END + 1
        ids = {piece: first + i for i, piece in enumerate(cls.pieces)}
        ring = [ord("\n"), ids["<think>"], ids["wh"], ord("y"), ids["</think>"], ord("s"),
                *"\u00e9".encode(), *[ids[p] for p in cls.pieces[3:]], tiny_model.END]
        tiny_model.cycle(folder, ring)
        path = folder / "tokenizer.json"
        tokenizer = json.loads(path.read_text(encoding="utf-8"))
        for piece, i in ids.items():
            tokenizer["added_tokens"].append({**tokenizer["added_tokens"][0], "id": i,
                                              "content": piece, "special": piece in cls.special})
        path.write_text(json.dumps(tokenizer), encoding="utf-8")
        return str(folder)

    def test_what_it_says(self):
        body = {"messages": chats.user("hi"), "tools": TOOLS, "max_tokens": 100,
                "temperature": 0}
        answer = chats.ask(self.d, body)[2]["choices"][0]
        message = answer["message"]
        self.assertEqual((message["content"], message["reasoning_content"]), ("s\u00e9", "why"))
        self.assertEqual([c["function"]["arguments"] for c in message["tool_calls"]],
                         ["{\"a\": 1}", "{\"a\": 2}"])
        self.assertEqual(answer["finish_reason"], "tool_calls")
        s = chats.stream(self.d, body)
        self.assertEqual(s.told()[0][0]["message"], message)

    def test_reasoning_counts(self):
        answer = chats.ask(self.d, {"messages": chats.user("hi"), "max_tokens": 100,
                                    "temperature": 0})[2]
        self.assertEqual(answer["usage"]["completion_tokens_details"], {"reasoning_tokens": "4"})


if __name__ == "__main__":
    wire.main()

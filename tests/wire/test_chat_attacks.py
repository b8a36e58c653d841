# SPDX-License-Identifier: Apache-2.0
"""Chat under attack: templates that loop, recurse or explode, hostile bodies, answers that a parser
could choke on. Each gets its answer, and while they last a stream, small requests and /livez beside
them are served and memory stays bounded. Over the stand-in engine.
"""
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import beside
import chats
import wire

CALL = '<tool_call>{"name": "f", "arguments": {"a": "'
N = 8000  # tokens; with more, reading them here delays the requests that are timed
SCRIPT = [
    {"say": "plain. " * 20},
    {"when": "o1", "say": CALL + "x" * N},
    {"when": "o2", "say": "<" * N},
    {"when": "o3", "say": "<tool_call>" * (N // 11)},
    {"when": "o4", "say": CALL.replace('"a": "', '"a": ') + "[" * N},
    {"when": "o5", "say": (CALL + '1"}}</tool_call>') * (N // 60)},
    {"when": "o6", "say": "<think>" + "</thin" * (N // 6)},
    {"when": "o7", "say": "\n" * N},
    {"when": "o8", "say": CALL + "\\" * N},
    {"when": "o9", "say": (CALL + "]") * (N // 44)},
]
TOOLS = [{"type": "function", "function": {"name": "f"}}]

# What the last message asks for, as a template does it; the rest are answered as usual.
TEMPLATES = {
    "a loop": "{% for i in range(1000000000) %}{% endfor %}",
    "loops in loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}"
                      "{% endfor %}",
    "a long list": "{{ range(1000000000000) | list | length }}",
    "recursion": "{% macro f(x) %}{{ f(x + 1) }}{% endmacro %}{{ f(0) }}",
    "recursion twice": "{% macro f(x) %}{{ f(x) }}{{ f(x) }}{% endmacro %}{{ f(0) }}",
    "doubling": "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}"
                "{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "a product": "{{ 'a' * 100000000000 }}",
    "a product of lists": "{{ ([0] * 100000000000) | length }}",
    "replacement": "{% set s = 'a' * 100000 %}{{ s.replace('a', s).replace('a', s) | length }}",
    "a wide number": "{{ '%1000000000000d' % 1 }}",
    "indentation": "{{ ('a\\n' * 1000) | indent(1000000000) }}",
    "a long text": "{% for i in range(100000) %}{{ 'aaaaaaaaaaaaaaaa' * 64 }}{% endfor %}",
    "a deep value": "{% set ns = namespace(x=[]) %}{% for i in range(1000000) %}"
                    "{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x | tojson }}",
    "doubling lists": "{% set ns = namespace(x=[1, 2]) %}{% for i in range(99) %}"
                      "{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x | length }}",
    "a power": "{{ 9 ** 99999999 }}",
}


def template():
    source = "{% set last = messages[-1].content %}"
    for i, (name, attack) in enumerate(TEMPLATES.items()):
        source += "{%% %s last == '%s' %%}%s" % ("elif" if i else "if", name, attack)
    return source + "{% else %}{% for m in messages %}{{ m.content }}\n{% endfor %}{% endif %}"


def user(text):
    return {"messages": chats.user(text), "max_tokens": 8}


def deep(n):
    return "[" * n + "]" * n


BODIES = {  # name: (body as bytes or as a value, statuses)
    "1 MB": (user("a" * 1000000), (200,)),
    "1 MB of blanks": (user(" " * 1000000), (200,)),
    "1 MB of marks of the template": (user("<|im_start|>" * 80000), (200,)),
    "300,000 joiners": (user("\u200d" * 300000), (200,)),
    "10,000 messages": ({"messages": [
        {"role": ("user", "assistant")[i % 2], "content": "m%d" % i} for i in range(10001)],
        "max_tokens": 8}, (200,)),
    "10,000 system messages": ({"messages": [
        {"role": "system", "content": "m%d" % i} for i in range(10000)] + chats.user("a"),
        "max_tokens": 8}, (200,)),
    "30,000 parts": ({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "p"}] * 30000}], "max_tokens": 8}, (200, 413)),
    "30,000 tools": ({**user("a"), "tools": [
        {"type": "function", "function": {"name": "f%d" % i}} for i in range(30000)]}, (400, 413)),
    "10,000 calls and results": ({"messages": chats.user("a") + [
        {"role": "assistant", "tool_calls": [
            {"id": "c%d" % i, "type": "function", "function": {"name": "f", "arguments": "{}"}}
            for i in range(10000)]}]
        + [{"role": "tool", "tool_call_id": "c%d" % i, "content": "r"} for i in range(10000)],
        "max_tokens": 8}, (200, 400, 413)),  # 400: more memory than a render may take
    "arguments of 100,000 nested arrays": ({"messages": chats.user("a") + [
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {
            "name": "f", "arguments": deep(100000)}}]},
        {"role": "tool", "tool_call_id": "c", "content": "r"}], "max_tokens": 8}, (200, 400)),
    "parameters of 100,000 nested arrays": (
        json.dumps({**user("a"), "tools": TOOLS}).replace(
            '"name": "f"', '"name": "f", "parameters": {"x": ' + deep(100000) + "}").encode(),
        (400, 413)),
    "variables of 500 nested arrays": (
        json.dumps(user("a"))[:-1].encode() + b', "chat_template_kwargs": {"x": '
        + deep(500).encode() + b"}}", (200, 400)),
    "the same key twice": (b'{"messages": [{"role": "user", "content": "a", "content": "b"}]}',
                           (400,)),
    "a lone surrogate": (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', (400,)),
    "U+0000": (user("a\0b"), (200,)),
}


class Small(threading.Thread):
    """Small requests one after the other; the longest took `longest` seconds."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask, self.longest, self.n, self.over, self.fault = ask, 0, 0, False, None

    def run(self):
        while not self.over:
            began = time.monotonic()
            try:
                if (said := self.ask())[0] != 200:
                    self.fault = said
            except Exception as problem:  # shown at the end
                self.fault = problem
            self.longest = max(self.longest, time.monotonic() - began)
            self.n += 1
            time.sleep(0.01)


class Attacked(unittest.TestCase):
    bound = 2  # seconds that others wait at most; more on a machine that is busy anyway
    memory = 512 << 20

    def daemon(self, *flags, template=None):
        temp = tempfile.TemporaryDirectory(prefix="ssmd-chat-attacks-")
        self.addCleanup(temp.cleanup)
        script = os.path.join(temp.name, "script.json")
        with open(script, "w", encoding="utf-8") as f:
            json.dump(SCRIPT, f)
        if template:
            path = os.path.join(temp.name, "template.jinja")
            with open(path, "w", encoding="utf-8") as f:
                f.write(template)
        return wire.Daemon("--context", 2000000, "--max-seqs", 16,
                           "--chat-template", path if template else "chatml",
                           "--tool-format", "hermes", *flags, env={"FAKE_SCRIPT": script})

    def attack(self, d, rounds, ask=None):
        """Each of the rounds is called while others are served."""
        small = Small(ask or (lambda: chats.chat(d, "hello", max_tokens=2)))
        small.ask()
        before = wire.anonymous(d.proc.pid)
        with beside.Beside(d) as others:
            small.start()
            others.mark()
            time.sleep(0.5)
            quiet = max(others.report()["gap"] / 1000, small.longest)
            bound = max(self.bound, 10 * quiet)
            bound *= 10 if wire.under_sanitizer(d.proc.pid) else 1
            for name, one in rounds:
                small.longest = 0
                with self.subTest(name=name):
                    one()
                    seen = others.report()
                    self.assertLess(seen["gap"] / 1000, bound, "the stream beside")
                    self.assertLess(seen["livez"][1] / 1000, bound)
                    self.assertLess(small.longest, bound, "a small request beside")
                    self.assertLess(seen["peak"] - before, self.memory)
            small.over = True
            small.join()
        self.assertIsNone(small.fault)
        self.assertGreater(small.n, len(rounds))
        chats.idle(d)
        if not wire.under_sanitizer(d.proc.pid):
            self.assertLess(wire.anonymous(d.proc.pid) - before, self.memory // 4)

    def test_templates(self):
        with self.daemon(template=template()) as d:
            def one(name):
                status, error = chats.refused(d, user(name))
                self.assertIn(status, (400, 500), error)
                self.assertIn("line 1", error["message"])
            self.attack(d, [(name, lambda name=name: one(name)) for name in TEMPLATES])

    def test_many_templates_at_once(self):
        with self.daemon(template=template()) as d:
            statuses = []

            def ask(name):
                statuses.append(d.call("POST", chats.PATH, user(name))[0])

            def all_of_them():
                threads = [threading.Thread(target=ask, args=(name,)) for name in TEMPLATES]
                for t in threads:
                    t.start()
                for t in threads:
                    t.join()
            # Two workers render at most: the others encode what must be encoded.
            self.attack(d, [("at once", all_of_them)], lambda: d.complete(max_tokens=2))
            self.assertEqual(len(statuses), len(TEMPLATES))
            self.assertLessEqual(set(statuses), {400, 429, 500, 503})

    def test_bodies(self):
        with self.daemon() as d:
            def one(body, want):
                if not isinstance(body, bytes):
                    body = json.dumps(body, ensure_ascii=False).encode()
                status, _, data = d.call("POST", chats.PATH, body)
                self.assertIn(status, want, data[:300])
            self.attack(d, [(name, lambda row=row: one(*row)) for name, row in BODIES.items()])

    def test_answers(self):
        with self.daemon() as d:
            def one(when):
                body = {"messages": chats.user(when), "tools": TOOLS, "max_tokens": N + 100,
                        "temperature": 0}
                said, _ = chats.stream(d, body).told()
                status, _, answer = chats.ask(d, body)
                self.assertEqual(status, 200)
                self.assertEqual(said, chats.whole(answer)[0])
                self.assertGreater(len(json.dumps(said)), N // 2)
            whens = [entry["when"] for entry in SCRIPT[1:]]
            self.attack(d, [(when, lambda when=when: one(when)) for when in whens])

    BROKEN = ("{% if %}", "{{ a", "{% for x in y %}", "{{ " + "(" * 100000 + "}}", "{% endif %}",
              "{{ a }} {% nostatement %}", "{{ 'a }}", "{% raw %}", "\udcff",
              "{{ 1 " + "+ 1 " * 200000 + "}}", "{% if a %}" * 50000)

    def folder(self, source):
        temp = tempfile.TemporaryDirectory(prefix="ssmd-chat-attacks-")
        self.addCleanup(temp.cleanup)
        with open(os.path.join(temp.name, "chat_template.jinja"), "w", encoding="utf-8",
                  errors="surrogateescape") as f:
            f.write(source)
        return temp.name

    def test_a_broken_template_of_the_model(self):
        """The rest is served."""
        for source in self.BROKEN:
            with self.subTest(source=source[:20]), \
                    wire.Daemon("--model", self.folder(source)) as d:
                for path in (chats.PATH, "/apply-template"):
                    status, _, data = d.call("POST", path, user("a"))
                    self.assertEqual(status, 500, data)
                    self.assertIn("line 1", json.loads(data)["error"]["message"])
                self.assertEqual(d.complete()[0], 200)

    def test_a_broken_template_of_the_configuration(self):
        for source in self.BROKEN:
            path = os.path.join(self.folder(source), "chat_template.jinja")
            with self.subTest(source=source[:20]):
                done = subprocess.run([wire.ARGS.ssmd, "serve", "--model", wire.ARGS.model,
                                       "--port", "0", "--chat-template", path],
                                      capture_output=True, text=True, timeout=wire.LIMIT)
                self.assertEqual(done.returncode, 2)
                self.assertIn(path + ": line 1: ", done.stderr)


if __name__ == "__main__":
    wire.main()

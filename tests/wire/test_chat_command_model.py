# SPDX-License-Identifier: Apache-2.0
"""`ssmd chat` and `ssmd complete` with a model: what a turn reads, conversations that are saved
and loaded by another process, and texts that equal those of the API."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

PLAIN = ["--temperature", "0", "--max-tokens", "12"]
# Reasoning of the turns before is left out, and the last answer alone has an empty one.
TEMPLATE = """\
{%- for m in messages %}
    {{- '<|endoftext|>' + m.role + '\\n' }}
    {%- if m.role == 'assistant' and loop.last %}{{ '<think>\\n\\n</think>\\n' }}{% endif %}
    {{- m.content + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|endoftext|>assistant\\n' }}{% endif %}
"""


def run(command, *words, text="", cwd=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SSMD_")}
    done = subprocess.run([os.path.abspath(wire.ARGS.ssmd), command, *map(str, words)], capture_output=True,
                          input=text.encode(), timeout=wire.LIMIT, check=False, env=clean, cwd=cwd)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Commands(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="ssmd-chat-test-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def daemon(self, *flags):
        d = wire.Daemon("--state-dir", self.dir, *flags)
        self.addCleanup(d.stop)
        return d, ["--url", "http://127.0.0.1:%d" % d.port]

    def chat(self, lines, *words, want=0):
        code, out, err = run("chat", *PLAIN, *words, text="".join(x + "\n" for x in lines),
                             cwd=self.dir)
        self.assertEqual(code, want, err)
        return out, err

    def messages(self, name):
        return json.loads((self.dir / (name + ".chat.json")).read_text())["messages"]


class Turns(Commands):
    def test_a_turn_reads_what_is_new(self):
        d, url = self.daemon()
        text = "Tell me about the lion that lives in the old forest behind the hills."
        self.chat([text], *url)
        first = d.metric("ssmd_prompt_tokens_total")
        self.assertEqual(d.metric("ssmd_prompt_tokens_cached_total"), 0)
        self.chat(["Say: " + text, "And what does it eat?"], *url)
        whole = d.metric("ssmd_prompt_tokens_total") - first
        cached = d.metric("ssmd_prompt_tokens_cached_total")
        self.assertGreater(cached, first - 2)
        self.assertLess(cached, whole)

    def test_a_completion_is_that_of_the_api(self):
        d, url = self.daemon()
        for seed in (1, 2):
            fields = {"prompt": "The river", "max_tokens": 30, "seed": seed, "temperature": 0.8}
            text = d.complete(ignore_eos=False, **fields)[2]["choices"][0]["text"]
            words = ["--seed", seed, "--max-tokens", 30, "--temperature", 0.8]
            self.assertEqual(run("complete", "The river", *words, *url), (0, text, ""))
            self.assertEqual(run("complete", "The river", *words, "--model", os.path.abspath(wire.ARGS.model)),
                             (0, text, ""))

    def test_an_answer_is_that_of_the_api(self):
        d, url = self.daemon()
        body = {"messages": [{"role": "system", "content": "Be kind."},
                             {"role": "user", "content": "日本語 or English?"}],
                "max_tokens": 12, "temperature": 0}
        _, _, data = d.call("POST", "/v1/chat/completions", body)
        text = json.loads(data)["choices"][0]["message"]["content"]
        self.assertEqual(self.chat(["日本語 or English?"], "--system", "Be kind.", *url)[0],
                         text + "\n")


class Saved(Commands):
    STORY = ["Where does the lion live?", "And what does it eat?"]

    def last(self, lines, *flags):
        """The last answer of a conversation that was not interrupted."""
        whole, before = (self.chat(part, *flags)[0] for part in (lines, lines[:-1]))
        self.assertTrue(whole.startswith(before))
        return whole[len(before):]

    def check(self, save, load, *flags):
        """Saved by one process, loaded by another: it goes on as if nothing had happened."""
        _, told = self.chat(self.STORY + ["/save lion"], *save)
        self.assertIn('Saved "lion"', told)
        self.assertEqual([m["role"] for m in self.messages("lion")], ["user", "assistant"] * 2)
        out, told = self.chat(["/load lion", "Who is its friend?"], *load)
        self.assertEqual(told, 'Loaded "lion": 4 messages\n')
        self.assertEqual(out, self.last(self.STORY + ["Who is its friend?"], *flags))

    def test_by_daemons_of_their_own(self):
        own = ["--model", os.path.abspath(wire.ARGS.model)]
        self.check([*own, "--state-dir", self.dir], [*own, "--state-dir", self.dir], *own)

    def test_by_a_running_daemon(self):
        first, save = self.daemon()
        second, load = self.daemon()
        self.check(save, load, *load)
        self.assertEqual(second.metric('ssmd_checkpoints_total{op="load"}'), 1)
        self.assertEqual(first.metric('ssmd_checkpoints_total{op="save"}'), 1)

    def test_where_an_answer_is_rendered_otherwise_later(self):
        template = self.dir / "template.jinja"
        template.write_text(TEMPLATE)
        d, url = self.daemon("--chat-template", template)
        self.check(url, url, *url)
        self.assertEqual(d.metric('ssmd_checkpoints_total{op="load"}'), 1)

    def test_only_what_is_new_is_read(self):
        d, url = self.daemon("--prefix-cache", "off")
        self.chat(self.STORY + ["/save lion"], *url)
        before = d.metric("ssmd_prompt_tokens_cached_total")
        prompts = d.metric("ssmd_prompt_tokens_total")
        self.chat(["/load lion", "More?"], *url)
        read = (d.metric("ssmd_prompt_tokens_total") - prompts
                - (d.metric("ssmd_prompt_tokens_cached_total") - before))
        self.assertLess(read, 10)

    def test_within_one_process(self):
        own = ["--model", os.path.abspath(wire.ARGS.model)]
        out, told = self.chat(["One lion.", "/save a", "/reset", "Two.", "/load a", "More?"], *own)
        self.assertIn('Loaded "a": 2 messages\n', told)
        self.assertEqual(out, self.last(["One lion."], *own) + self.last(["Two."], *own) +
                         self.last(["One lion.", "More?"], *own))
        self.assertFalse((self.dir / "a.chat.json").exists())

    def test_what_does_not_fit(self):
        d, url = self.daemon()
        self.chat(["One lion.", "/save lion"], *url)
        _, err = self.chat(["/load lion", "/system Be kind.", "More?"], *url, want=1)
        self.assertIn("409: ", err)
        self.assertIn("they part at byte", err)
        d.call("DELETE", "/v1/states/lion")
        _, err = self.chat(["/load lion"], *url, want=1)
        self.assertIn('no state "lion"', err)
        self.chat(["One lion.", "/save lion"], *url)
        for text in ("{", "[]", '{"messages": 3}', '{"messages": [{"role": "user"}]}',
                     '{"messages": [{"role": "tool", "content": "x"}]}'):
            (self.dir / "lion.chat.json").write_text(text)
            _, err = self.chat(["/load lion"], *url, want=1)
            self.assertIn("lion.chat.json", err)
        (self.dir / "lion.chat.json").unlink()
        _, err = self.chat(["/load lion"], *url, want=1)
        self.assertIn("lion.chat.json", err)

    def test_a_daemon_without_states(self):
        d = wire.Daemon()
        self.addCleanup(d.stop)
        _, err = self.chat(["One lion.", "/save lion"], "--url", "http://127.0.0.1:%d" % d.port,
                           want=1)
        self.assertIn("state", err)
        self.assertFalse((self.dir / "lion.chat.json").exists())


if __name__ == "__main__":
    wire.main()

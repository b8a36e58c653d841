#!/usr/bin/env python3
"""House style that a program can check: lengths, format, words that do not belong.

Functions are at most 80 lines, files at most 700 (instruction sets excepted), every C file
begins with a comment, and is as clang-format-14 leaves it; without clang-format-14 lint fails.
Every source names its licence. Names and words that were replaced do not come back. Exit status 1
with one line per finding. A self-check plants faults first.
"""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAX_FUNCTION, MAX_FILE = 80, 700
LONG_FILES = re.compile(r"^engine/kernel/(x86|arm)/|^engine/text/.*_table\.[ch]$")

# Unfinished business, somebody's own machine, and addresses that lock files must not hold.
WORDS = re.compile(r"\b(TODO|FIXME|XXX)\b|(?<![\w./])/(home|work|Users)/\w+|"
                   r"\bissue #?\d+\b|\"resolved\"\s*:")
WORDLESS = {"tests/lint.py", "LICENSE"}
LICENCE = "SPDX-License-Identifier: Apache-2.0"
LICENSED = re.compile(r"\.(c|h|py|sh|js|mjs|mk|yaml|yml|cfg|service|supp)$|"
                      r"(^|/)(Makefile|Dockerfile|\.clang-format)$|^\.ci/")

# Names of files and prefixes of their symbols that stand no more, by room.
REPLACED = {
    "api": "completion completions",
    "engine/kernel": "crew limit parts",
    "engine/load": "packed shape",
    "engine/run": "head lend lost move seeded",
    "engine/state": "file plan",
    "engine/tokenizer": "alphabet dialect endings members merge merges piece sequence text",
    "server/bench": "machine",
    "server/config": "listing",
    "server/routes": "answer catalog page tally text transfer travel work",
    "server/serve": "encode head journal keeper",
    "server/storage": "deposit shelf store",
}
# And symbols wherever they stood.
REPLACED_SYMBOLS = re.compile(
    r"\b(bridge_way|bridge_unheard|LOOP_CUTTING|encode_gate|encode_item|states_wish|states_told|"
    r"engine_(state|return|kept|incoming|load|lost|limit|spill)|prefix_(hot|keep|give)|"
    r"spare_(bytes|salt|tenant)\w*|seeded_\w+|seq_world|weights_cool)\b")
# Words of a private vocabulary, in sources of C and in what people read.
PRIVATE = re.compile(r"\b(travel|shelf|shelves|keeper|deposit|lend|lent\b|crew|tally|journal|"
                     r"unheard|retold)", re.I)
READ = re.compile(r"\.[ch]$|^[^/]*\.md$|^docs/")
TEXTUAL = {".c", ".h", ".py", ".sh", ".mjs", ".js", ".json", ".md", ".mk", ".yaml", ".yml",
           ".cfg", ".service", ".supp", ""}


def tracked():
    """Files git knows or would add, that are still there."""
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                         capture_output=True, text=True).stdout.split("\n")
    return sorted(name for name in set(out) if name and (ROOT / name).is_file())


def check_functions(name, lines):
    """A function is what stands between a line that is '{' and the next line that is '}'."""
    begin = None
    for i, line in enumerate(lines):
        if line == "{":
            begin = i
        elif line == "}" and begin is not None:
            if i - begin + 1 > MAX_FUNCTION:
                yield f"{name}:{begin}: function of {i - begin + 1} lines, at most {MAX_FUNCTION}"
            begin = None


def check_c(name, text):
    lines = text.split("\n")
    if not text.startswith("/*"):
        yield f"{name}: does not begin with a comment that says what it owns"
    if len(lines) > MAX_FILE and not LONG_FILES.search(name):
        yield f"{name}: {len(lines)} lines, at most {MAX_FILE}"
    yield from check_functions(name, lines)


def check_words(name, text):
    for i, line in enumerate(text.split("\n")):
        found = WORDS.search(line)
        if found:
            yield f"{name}:{i + 1}: \"{found.group(0)}\" does not belong here"


def check_licence(name, text):
    if LICENSED.search(name) and LICENCE not in text[:4000]:
        yield f"{name}: no \"{LICENCE}\" in its head"


def check_replaced(name, text):
    """A file of a replaced name (or its test), a symbol with its prefix in a header."""
    room, _, file = name.removeprefix("tests/").rpartition("/")
    gone = REPLACED.get(room, "").split()
    stem = file.removeprefix("test_").rpartition(".")[0]
    if stem in gone and file.endswith((".c", ".h")):
        yield f"{name}: \"{stem}\" is a replaced name in {room}"
    prefixes = re.compile(rf"\b(?!{stem}_)(?:{'|'.join(gone)})_\w+(?=\()") if gone else None
    for i, line in enumerate(text.split("\n")):
        found = REPLACED_SYMBOLS.search(line)
        if not found and prefixes and name.endswith(".h"):
            found = prefixes.search(line)
        found = found or PRIVATE.search(line)
        if found:
            yield f"{name}:{i + 1}: \"{found.group(0)}\" is a replaced name"


PLANTED = [
    (check_words, "api/a.c", "/* TO" + "DO */"),
    (check_licence, "api/a.c", "/* A. */"),
    (check_licence, "Makefile", "all:"),
    (check_replaced, "server/storage/shelf.c", ""),
    (check_replaced, "tests/engine/run/test_head.c", ""),
    (check_replaced, "engine/run/output.h", "int head_run(void);"),
    (check_replaced, "engine/engine.c", "struct engine_state *s;"),
    (check_replaced, "docs/STATES.md", "A state is lent to a worker."),
]
GOOD = [
    (check_licence, "api/a.c", "/* A.\n * " + LICENCE + " */"),
    (check_licence, "docs/a.md", "A."),
    (check_replaced, "engine/base/file.h", "int file_open(void);"),
    (check_replaced, "server/serve/request_head.h", "int request_head_read(void);"),
    (check_replaced, "engine/run/seq.h", "int seq_move(void); /* ahead (of) */"),
]


def self_check():
    for check, name, text in PLANTED:
        if not list(check(name, text)):
            sys.exit(f"lint: self-check: not caught: {name}: {text}")
    for check, name, text in GOOD:
        if list(check(name, text)):
            sys.exit(f"lint: self-check: refused: {name}: {text}")


def check_format(names):
    if not shutil.which("clang-format-14"):
        yield "clang-format-14: not installed (make deps)"
        return
    done = subprocess.run(["clang-format-14", "--dry-run", "-Werror", *names], cwd=ROOT,
                          capture_output=True, text=True)
    first = {}  # of each file
    for place, name in re.findall(r"^((\S+?):\d+:\d+): error", done.stderr, re.M):
        first.setdefault(name, place)
    for place in first.values():
        yield f"{place}: not as clang-format-14 leaves it (make format)"
    if done.returncode and not first:
        yield f"clang-format-14: {done.stderr.strip()}"


def main():
    self_check()
    found, c_files = [], []
    for name in tracked():
        path = ROOT / name
        if path.suffix not in TEXTUAL or name.startswith(("tests/golden/", "models/default/")):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if name not in WORDLESS:
            found += check_words(name, text)
            found += check_licence(name, text)
            if READ.search(name):
                found += check_replaced(name, text)
        if path.suffix in (".c", ".h"):
            c_files.append(name)
            found += check_c(name, text)
    found += check_format(c_files)
    print("\n".join(found) if found else f"lint: {len(c_files)} C files, nothing to say")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

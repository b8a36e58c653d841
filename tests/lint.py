#!/usr/bin/env python3
"""House style that a program can check: lengths, format, words that do not belong.

Functions are at most 80 lines, files at most 700 (instruction sets excepted), every C file
begins with a comment, and is as clang-format-14 leaves it; without clang-format-14 lint fails.
Exit status 1 with one line per finding.
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
        if path.suffix in (".c", ".h"):
            c_files.append(name)
            found += check_c(name, text)
    found += check_format(c_files)
    print("\n".join(found) if found else f"lint: {len(c_files)} C files, nothing to say")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""The documents say what is true: their commands work, their links and paths exist.

Each curl and ssmd command of a shell block is run as it stands, but for the ports, the paths of
a checkout and `serve`, which would not end. Commands of other programs are not run.
"""
import glob
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGES = sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md"))
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
CODE = re.compile(r"`([^`\n]+)`")
OURS = re.compile(r"^(api|configs|deploy|docs|engine|models|server|tests)/[\w./*-]+$")
ASSIGNED = re.compile(r"[A-Z]+=")


def commands(block):
    """Lines, those that end in a backslash or inside quotes joined with the next ones."""
    line = ""
    for part in block.replace("\\\n", " ").split("\n"):
        line = f"{line} {part}" if line else part
        if line.count("'") % 2 == 0:
            yield line
            line = ""


def script(page):
    """The lines that are run of the page's shell blocks: what one sets another one uses."""
    return [line for block in BLOCK.findall(page.read_text(encoding="utf-8"))
            for line in commands(block) if wanted(line)]


def wanted(line):
    if ASSIGNED.match(line):
        return "build/ssmd" not in line
    return line.startswith("curl ") or re.match("build/ssmd (check|logits|perplexity|quantize)", line)


class Docs(unittest.TestCase):
    def test_commands(self):
        with tempfile.TemporaryDirectory(prefix="ssmd-docs-") as home:
            ports = {}
            shared, alone = os.path.join(home, "shared"), os.path.join(home, "alone")
            with wire.Daemon("--state-dir", shared) as a, wire.Daemon("--state-dir", shared) as b, \
                    wire.Daemon("--state-dir", alone) as c:
                ports = {"8080": a.port, "8081": a.port, "8082": b.port, "8083": c.port}
                self.prepare(home)
                n = 0
                for page in PAGES:
                    lines = script(page)
                    n += len(lines)
                    with self.subTest(page=page.name):
                        self.run_script(home, "\n".join(lines), ports)
            self.assertGreater(n, 12, "the pages' commands were not found")

    def prepare(self, home):
        os.mkdir(os.path.join(home, "build"))
        os.symlink(os.path.abspath(wire.ARGS.ssmd), os.path.join(home, "build/ssmd"))
        os.symlink(os.path.abspath(wire.ARGS.model), os.path.join(home, "folder"))
        os.mkdir(os.path.join(home, "models"))
        os.symlink(os.path.abspath(wire.ARGS.model), os.path.join(home, "models/default"))
        pathlib.Path(home, "text.txt").write_text("The river runs down to the sea.\n" * 20)

    def run_script(self, home, text, ports):
        for old, new in ports.items():
            text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
        text = text.replace("path/to/folder", "folder")
        text = re.sub(r"\bcurl ", "curl -fsS ", text)
        done = subprocess.run(["bash", "-ex", "-o", "pipefail", "-c", text], cwd=home, text=True,
                              capture_output=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_configuration(self):
        """docs/CONFIG.md is what the option table says (make docs)."""
        page = subprocess.run([wire.ARGS.ssmd, "--print-config-page"], capture_output=True,
                              text=True, timeout=60, check=True).stdout
        self.assertEqual(page, (ROOT / "docs/CONFIG.md").read_text(encoding="utf-8"))

    def test_version(self):
        """The program's version is the newest heading of CHANGELOG.md."""
        told = subprocess.run([wire.ARGS.ssmd, "version"], capture_output=True, text=True,
                              timeout=60, check=True).stdout.split()[1]
        newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
        self.assertEqual(told, newest[1])

    def test_links(self):
        for page in PAGES:
            for target in LINK.findall(page.read_text(encoding="utf-8")):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")

    def test_paths(self):
        n = 0
        for page in PAGES:
            for code in CODE.findall(page.read_text(encoding="utf-8")):
                if OURS.match(code) and "NAME" not in code:
                    n += 1
                    found = glob.glob(str(ROOT / code))
                    self.assertTrue(found, f"{page.name} names {code}, which is not there")
        self.assertGreater(n, 20)


if __name__ == "__main__":
    wire.main()

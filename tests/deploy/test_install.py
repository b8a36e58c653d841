#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make install` into a temporary DESTDIR: the installed daemon runs with the installed
configuration, the manual page and the completion know every option, the unit is sound, and
`make uninstall` leaves nothing but what was edited.

make gets the variables of the make that runs the tests, so that what it built is up to date.
"""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import program  # noqa: E402

BUILT = pathlib.Path(program.args.ssmd)
CONFIG = "etc/ssmd/ssmd.json"
SANITIZED = BUILT.parent.name in ("asan", "ubsan", "tsan")


def environment(**more):
    """Without the flags of a make around, and without SSMD_*."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith("SSMD_") and k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return {**kept, **more}


def make(target, dest, **more):
    given = shlex.split(os.environ.get("MAKEFLAGS", "").partition("-- ")[2])
    subprocess.run(["make", "-s", target, *given, f"VARIANT={BUILT.parent.name}",
                    f"DESTDIR={dest}"],
                   cwd=program.ROOT, env=environment(**more), check=True, capture_output=True)


def output(*words, **more):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True,
                          env=environment(), timeout=program.LIMIT, check=False, **more)
    return done.returncode, done.stdout + done.stderr


def files(dest):
    return sorted(str(p.relative_to(dest)) for p in dest.rglob("*") if not p.is_dir())


def options():
    """Every option as a flag: what --print-config prints."""
    for key, value in json.loads(program.run("--print-config").stdout).items():
        for name in ([f"{key}.{inner}" for inner in value] if isinstance(value, dict) else [key]):
            yield "--" + re.sub("[._]", "-", name)


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory(prefix="ssmd-install-")
        cls.addClassCleanup(cls.temp.cleanup)
        cls.dest = pathlib.Path(cls.temp.name)
        make("install", cls.dest)
        cls.ssmd = cls.dest / "usr/local/bin/ssmd"
        cls.share = cls.dest / "usr/local/share"

    def test_the_daemon_serves_with_the_installed_configuration(self):
        with subprocess.Popen([self.ssmd, "serve", "--config", self.dest / CONFIG, "--port", "0"],
                              env=environment(), stderr=subprocess.PIPE, text=True) as daemon:
            self.addCleanup(daemon.kill)
            page = None
            for line in daemon.stderr:
                event = json.loads(line)
                page = event.get("page")
                if event["event"] == "ready":
                    break
            self.assertIsNotNone(page, "it ended before it was ready")
            body = json.dumps({"prompt": "The river", "max_tokens": 4}).encode()
            ask = urllib.request.Request(page + "v1/completions", body,
                                         {"Content-Type": "application/json"})
            with urllib.request.urlopen(ask, timeout=program.LIMIT) as answer:
                self.assertEqual(json.load(answer)["usage"]["completion_tokens"], 4)
            daemon.terminate()
            daemon.stderr.read()
            self.assertEqual(daemon.wait(program.LIMIT), 0)

    def test_the_model_is_the_installed_one(self):
        status, text = output(self.ssmd, "check")
        self.assertEqual(status, 0, text)
        self.assertIn(str(self.share / "ssmd/models/default"), text)

    def test_licence(self):
        self.assertEqual((self.share / "doc/ssmd/LICENSE").read_bytes(),
                         (program.ROOT / "LICENSE").read_bytes())

    def test_stripped_unless_told_not_to(self):
        self.assertNotIn(".symtab", output("readelf", "-SW", self.ssmd)[1])
        with tempfile.TemporaryDirectory(prefix="ssmd-install-") as dest:
            make("install", dest, DEB_BUILD_OPTIONS="nostrip")
            self.assertIn(".symtab", output("readelf", "-SW", dest + "/usr/local/bin/ssmd")[1])

    @unittest.skipIf(SANITIZED, "sanitizers replace hardening")
    def test_hardened(self):
        text = output("readelf", "-hldW", "--dyn-syms", self.ssmd)[1]
        for want in [r"Type: +DYN \(Position-Independent", r"GNU_RELRO", r"FLAGS_1.* NOW.* PIE",
                     r"GNU_STACK.* RW ", r"__stack_chk_fail", r"__snprintf_chk"]:
            self.assertRegex(text, want)

    def test_the_manual_page_is_sound_and_complete(self):
        page = self.share / "man/man1/ssmd.1"
        status, text = output("mandoc", "-T", "lint", "-W", "warning", page)
        self.assertEqual((status, text), (0, ""))
        text = output("mandoc", "-T", "ascii", page)[1]
        text = re.sub(".\b", "", text)  # overstruck
        for flag in options():
            self.assertRegex(text, rf"(?m)^ +{flag}\b")
        for command in ["serve", "check", "perplexity", "logits", "bench", "quantize"]:
            self.assertIn("ssmd " + command, text)

    def complete(self, *words):
        script = (f"source {self.share}/bash-completion/completions/ssmd\n"
                  'COMP_WORDS=(ssmd "$@"); COMP_CWORD=$#; _ssmd; echo "${COMPREPLY[*]-}"')
        status, text = output("bash", "-uc", script, "-", *words)
        self.assertEqual(status, 0, text)
        return text.split()

    def test_completion(self):
        self.assertEqual(set(options()) - set(self.complete("serve", "--")), set())
        self.assertEqual(self.complete("quant"), ["quantize"])
        self.assertEqual(self.complete("--max-s"), ["--max-seqs"])
        self.assertEqual(self.complete("bench", "--pee"), ["--peer"])
        self.assertEqual(self.complete("check", "--pee"), [])
        self.assertEqual(self.complete("--kv", ""), ["f32", "f16", "q8"])
        self.assertEqual(self.complete("serve", "--weights", "=", "q"), ["q8", "q4"])
        self.assertEqual(self.complete("--model", str(self.share / "man/m")),
                         [str(self.share / "man/man1")])
        self.assertEqual(self.complete("help", "per"), ["perplexity"])
        self.assertEqual(self.complete("--port", ""), [])

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd")
    def test_the_unit_is_sound(self):
        unit = self.dest / "usr/local/lib/systemd/system/ssmd.service"
        text = unit.read_text()
        self.assertIn("ExecStart=/usr/local/bin/ssmd serve --config /etc/ssmd/ssmd.json\n", text)
        copy = self.dest.with_name(self.dest.name + "-unit") / unit.name
        copy.parent.mkdir()
        self.addCleanup(shutil.rmtree, copy.parent)
        copy.write_text(text.replace("/usr/local/bin/", f"{self.dest}/usr/local/bin/"))
        status, said = output("systemd-analyze", "verify", "--man=no", copy)
        self.assertEqual((status, said), (0, ""))


class Uninstalled(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory(prefix="ssmd-install-")
        self.addCleanup(temp.cleanup)
        self.dest = pathlib.Path(temp.name)
        make("install", self.dest)

    def test_nothing_is_left(self):
        make("uninstall", self.dest)
        self.assertEqual(files(self.dest), [])
        self.assertEqual([p for p in self.dest.rglob("*") if "ssmd" in p.name], [])

    def test_an_edited_configuration_stays(self):
        (self.dest / CONFIG).write_text('{"port": 1}')
        make("install", self.dest)
        make("uninstall", self.dest)
        self.assertEqual(files(self.dest), [CONFIG])
        self.assertEqual((self.dest / CONFIG).read_text(), '{"port": 1}')

    def test_the_neighbours_stay(self):
        other = self.dest / "usr/local/share/ssmd/models/own/config.json"
        other.parent.mkdir()
        other.write_text("{}")
        make("uninstall", self.dest)
        self.assertEqual(files(self.dest), [str(other.relative_to(self.dest))])


if __name__ == "__main__":
    program.main()

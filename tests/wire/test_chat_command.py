# SPDX-License-Identifier: Apache-2.0
"""`ssmd chat` and `ssmd complete` over the stand-in engine: conversations through pipes and on
a terminal, Ctrl-C, the daemon of their own and its end, servers that refuse."""
import fcntl
import http.server
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

LONG = "word " * 400
SCRIPT = [
    {"say": "else"},
    {"when": "jp", "say": "日本語 😀"},
    {"when": "think", "say": ["<think>a quiet \x1b[31m thought</think>", "spoken"]},
    {"when": "long", "say": LONG},
    {"when": "after", "say": "went on"},
    {"when": "bell", "say": "a\x07b\x1b[2J"},
]


def environment(**env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SSMD_", "FAKE_"))}
    return {**clean, **env}


def children(pid):
    """Processes whose parent is pid."""
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
        return [int(x) for x in f.read().split()]


def gone(pid):
    """True once no such process runs."""
    end = time.monotonic() + wire.LIMIT
    while time.monotonic() < end:
        try:
            with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
                if f.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


class Program(unittest.TestCase):
    """One run of a command."""

    @classmethod
    def setUpClass(cls):
        file = tempfile.NamedTemporaryFile("w", suffix=".json", delete=False)
        cls.addClassCleanup(os.unlink, file.name)
        with file:
            json.dump(SCRIPT, file)
        cls.script = file.name

    def daemon(self, *flags, **env):
        d = wire.Daemon(*flags, env={"FAKE_SCRIPT": self.script, **env})
        self.addCleanup(d.stop)
        return d

    def start(self, *words, **env):
        p = subprocess.Popen([wire.ARGS.ssmd, *map(str, words)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=environment(FAKE_SCRIPT=self.script, **env))
        self.addCleanup(self.end, p)
        return p

    def end(self, p):
        if p.poll() is None:
            p.kill()
        p.wait()
        for pipe in (p.stdin, p.stdout, p.stderr):
            if pipe:
                pipe.close()

    def run_lines(self, text, *words, **env):
        """(exit code, standard output, standard error)."""
        p = self.start("chat", *words, **env)
        data = text if isinstance(text, bytes) else text.encode()
        out, err = p.communicate(data, timeout=wire.LIMIT)
        return p.returncode, out.decode(), err.decode()


class Pipes(Program):
    def test_a_line_is_a_message(self):
        with self.daemon() as d:
            url = "http://127.0.0.1:%d" % d.port
            for at in (url, url + "/", url + "/v1"):
                self.assertEqual(self.run_lines("hello\n\njp\r\nlast", "--url", at),
                                 (0, "else\n日本語 😀\n日本語 😀\n", ""))
            self.assertEqual(self.run_lines("", "--url", url), (0, "", ""))

    def test_a_conversation_keeps_what_was_said(self):
        """The newest text that the script knows decides: the answers before are in the prompt."""
        with self.daemon() as d:
            code, out, err = self.run_lines("jp\nnothing\n/reset\nnothing\n", "--url",
                                            "http://127.0.0.1:%d" % d.port)
            self.assertEqual((code, out, err), (0, "日本語 😀\n日本語 😀\nelse\n", ""))

    def test_commands(self):
        with self.daemon() as d:
            url = ["--url", "http://127.0.0.1:%d" % d.port]
            code, out, err = self.run_lines("/help\n//x\n/exit\nhello\n", *url)
            self.assertEqual((code, out), (0, "else\n"))
            for name in ("save", "load", "system", "reset", "help", "exit"):
                self.assertIn("/" + name, err)
            lines = "/system jp\nhello\n/system\n/reset\nhello\n"
            self.assertEqual(self.run_lines(lines, *url)[1], "日本語 😀\nelse\n")
            for line in ("/unknown", "/save", "/load", "/save ../x", "/save a/b", "/save .a",
                         "/save " + "a" * 65, "/exit now", "/load none", "/save empty"):
                code, out, err = self.run_lines(line + "\nhello\n", *url)
                self.assertEqual((code, out), (1, ""), line)
                self.assertTrue(err.startswith("ssmd: ") and err.count("\n") == 1, err)

    def test_instructions_and_numbers_of_the_request(self):
        with self.daemon() as d:
            url = ["--url", "http://127.0.0.1:%d" % d.port]
            self.assertEqual(self.run_lines("hello", "--system", "jp", *url)[1], "日本語 😀\n")
            self.assertEqual(self.run_lines("jp", "--max-tokens", 3, *url)[1], "日\n")
            code, _, err = self.run_lines("hello", "--temperature", 9, *url)
            self.assertEqual(code, 1)
            self.assertIn("temperature", err)
            code, _, err = self.run_lines("hello", "--seed", "1,2", *url)
            self.assertEqual(code, 2)
            self.assertIn("--seed: expected a number", err)

    def test_text_that_is_no_utf8_is_refused(self):
        with self.daemon() as d:
            code, out, err = self.run_lines(b"a\xff\nhello\n", "--url",
                                            "http://127.0.0.1:%d" % d.port)
            self.assertEqual((code, out), (1, ""))
            self.assertIn("not UTF-8", err)

    def test_reasoning_is_not_written_and_not_sent_back(self):
        with self.daemon("--reasoning-format", "split") as d:
            url = "http://127.0.0.1:%d" % d.port
            self.assertEqual(self.run_lines("think\nbell\n", "--url", url),
                             (0, "spoken\na\x07b\x1b[2J\n", ""))


class Refusals(Program):
    def test_nobody_is_there(self):
        code, out, err = self.run_lines("hello\n", "--url", "http://127.0.0.1:1")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("127.0.0.1 port 1: Connection refused", err)

    def test_addresses_that_are_none(self):
        for url in ("", "https://x", "http://", "http://h/v2", "localhost:80", "http://a b"):
            for command in ("chat", "complete"):
                p = self.start(command, "--url", url)
                out, err = p.communicate(b"hello", timeout=wire.LIMIT)
                self.assertEqual((p.returncode, out), (2, b""), url)
                self.assertIn(b"--url", err)

    def test_keys(self):
        with self.daemon("--api-key", "secret") as d:
            url = ["--url", "http://127.0.0.1:%d" % d.port]
            code, out, err = self.run_lines("hello\n", *url)
            self.assertEqual((code, out), (1, ""))
            self.assertIn("401: ", err)
            self.assertEqual(self.run_lines("hello\n", *url, SSMD_API_KEY="secret"),
                             (0, "else\n", ""))

    def test_a_daemon_that_is_not_ready(self):
        d = wire.Daemon(env={"FAKE_LOAD_MS": "3000"}, wait=False)
        self.addCleanup(d.stop)
        code, out, err = self.run_lines("hello\n", "--url", "http://127.0.0.1:%d" % d.port)
        self.assertEqual((code, out), (1, ""))
        self.assertIn("503: the model is loading", err)

    def test_answers_that_are_cut(self):
        """By the connection's end, by an error event, and by an end without [DONE]."""
        chunk = b'data: {"choices":[{"index":0,"delta":{"content":"half"}}]}\n\n'
        endings = {b"": "the answer ended in the middle",
                   b'data: {"error":{"message":"the engine failed"}}\n\n': "the engine failed",
                   b"data: {\n\n": "an event of the answer"}

        class Page(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n: comment\n\n" + chunk + self.server.tail)

            def log_message(self, *args):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as s:
            threading.Thread(target=s.serve_forever, daemon=True).start()
            for tail, why in endings.items():
                s.tail = tail
                code, out, err = self.run_lines("hello\nmore\n", "--url",
                                                "http://127.0.0.1:%d" % s.server_port)
                self.assertEqual((code, out), (1, "half\n"))
                self.assertIn(why, err)
            s.shutdown()


class OwnDaemon(Program):
    def talk(self, *words, **env):
        """A chat that has had one answer: the process, and its daemon's pid."""
        p = self.start("chat", *words, **env)
        p.stdin.write(b"hello\n")
        p.stdin.flush()
        self.assertEqual(p.stdout.readline(), b"else\n")
        child, = children(p.pid)
        return p, child

    def folders(self):
        return {x for x in os.listdir("/tmp") if x.startswith("ssmd-chat-")}

    def test_it_is_gone_when_the_chat_ends(self):
        before = self.folders()
        p, child = self.talk()
        self.assertEqual(p.communicate(timeout=wire.LIMIT), (b"", b""))
        self.assertEqual(p.returncode, 0)
        self.assertTrue(gone(child))
        self.assertEqual(self.folders() - before, set())

    def test_it_is_gone_when_the_chat_is_ended(self):
        for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL):
            p, child = self.talk()
            p.send_signal(signum)
            want = -9 if signum == signal.SIGKILL else 128 + signum
            self.assertEqual(p.wait(wire.LIMIT), want)
            self.assertTrue(gone(child), signum)

    def test_its_death_is_told(self):
        p, child = self.talk()
        os.kill(child, signal.SIGKILL)
        out, err = p.communicate(b"hello\n", timeout=wire.LIMIT)
        self.assertEqual((p.returncode, out), (1, b""))
        self.assertEqual(err, b"ssmd: the daemon ended with signal 9\n")

    def test_its_death_in_an_answer_is_told(self):
        p = self.start("chat", FAKE_STEP_US="20000")
        p.stdin.write(b"long\nhello\n")
        p.stdin.flush()
        self.assertEqual(p.stdout.read(4), b"word")
        os.kill(children(p.pid)[0], signal.SIGKILL)
        _, err = p.communicate(timeout=wire.LIMIT)
        self.assertEqual((p.returncode, err), (1, b"ssmd: the daemon ended with signal 9\n"))

    def test_a_model_that_does_not_load(self):
        for command in ("chat", "complete"):
            p = self.start(command, FAKE_LOAD_FAIL="1")
            out, err = p.communicate(b"hello\n", timeout=wire.LIMIT)
            self.assertEqual((p.returncode, out), (1, b""))
            self.assertIn(b"the daemon ended with status 2: ", err)
            self.assertIn(b"this model cannot be read", err)

    def test_a_signal_while_it_loads(self):
        p = self.start("chat", FAKE_LOAD_MS="100000")
        while p.poll() is None and not children(p.pid):
            time.sleep(0.01)
        child, = children(p.pid)
        p.send_signal(signal.SIGTERM)
        self.assertEqual(p.wait(wire.LIMIT), 128 + signal.SIGTERM)
        self.assertTrue(gone(child))

    def test_its_key_is_known(self):
        self.assertEqual(self.run_lines("hello\n", "--api-key", "k3y"), (0, "else\n", ""))


class Terminal(Program):
    """Standard input and output are a terminal of the program's own."""

    def open(self, *words, **env):
        self.master, slave = pty.openpty()
        self.addCleanup(os.close, self.master)
        self.seen = b""

        def control():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        p = subprocess.Popen([wire.ARGS.ssmd, "chat", *map(str, words)], stdin=slave,
                             stdout=slave, stderr=slave, preexec_fn=control,
                             env=environment(FAKE_SCRIPT=self.script, **env))
        os.close(slave)
        self.addCleanup(self.end, p)
        return p

    def write(self, text):
        os.write(self.master, text.encode())

    def until(self, mark):
        """Reads up to a text, and answers what came since the last call."""
        mark = mark.encode()
        while mark not in self.seen:
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                piece = b""
            if not piece:
                raise AssertionError("no %r in %r" % (mark, self.seen[-500:]))
            self.seen += piece
        text, _, self.seen = self.seen.partition(mark)
        return (text + mark).decode()

    def test_control_c_stops_an_answer_and_frees_its_sequence(self):
        d = self.daemon(FAKE_STEP_US="20000")
        p = self.open("--url", "http://127.0.0.1:%d" % d.port)
        self.until("> ")
        self.write("long\n")
        self.until("word word word")
        self.assertEqual(d.metric("ssmd_requests_running"), 1)
        self.write("\x03")
        self.until("> ")
        d.wait_metric("ssmd_requests_running", lambda v: v == 0)
        self.assertEqual(d.metric('ssmd_requests_finished_total{reason="abort"}'), 1)
        self.write("after\n")
        self.until("went on")
        self.until("> ")
        self.assertIsNone(p.poll())
        self.write("\x04")
        self.assertEqual(p.wait(wire.LIMIT), 0)

    def test_a_second_control_c_ends(self):
        d = self.daemon(FAKE_STEP_US="20000")
        p = self.open("--url", "http://127.0.0.1:%d" % d.port)
        self.until("> ")
        self.write("long\n")
        self.until("word")
        self.write("\x03")
        self.until("> ")
        self.write("\x03")
        self.assertEqual(p.wait(wire.LIMIT), 0)

    def test_control_c_at_the_prompt(self):
        p = self.open()
        self.until("> ")
        child, = children(p.pid)
        self.write("half a line\x03")
        self.until("Ctrl-C again")
        self.until("> ")
        self.write("jp\n")
        self.until("日本語 😀")
        self.until("> ")
        self.write("\x03")
        self.until("Ctrl-C again")
        self.write("\x03")
        self.assertEqual(p.wait(wire.LIMIT), 0)
        self.assertTrue(gone(child))

    def test_errors_do_not_end_a_conversation(self):
        d = self.daemon()
        p = self.open("--url", "http://127.0.0.1:%d" % d.port)
        self.until("> ")
        self.write("/load nothing\n")
        self.until("ssmd: ")
        self.until("> ")
        self.write("jp\n")
        self.until("日本語 😀")
        self.write("/exit\n")
        self.assertEqual(p.wait(wire.LIMIT), 0)

    def test_reasoning_is_dim_and_control_characters_are_shown(self):
        d = self.daemon("--reasoning-format", "split")
        self.open("--url", "http://127.0.0.1:%d" % d.port)
        self.until("> ")
        self.write("think\n")
        text = self.until("spoken")
        self.assertIn("\x1b[2ma quiet \ufffd[31m thought\x1b[0m", text.replace("\r", ""))
        self.until("> ")
        self.write("bell\n")
        self.until("a\ufffdb\ufffd[2J")

    def test_the_death_of_its_daemon_ends_it(self):
        p = self.open()
        self.until("> ")
        os.kill(children(p.pid)[0], signal.SIGKILL)
        self.write("hello\n")
        self.until("the daemon ended with signal 9")
        self.assertEqual(p.wait(wire.LIMIT), 1)


class Complete(Program):
    def run_words(self, *words, text=b"", **env):
        p = self.start("complete", *words, **env)
        out, err = p.communicate(text, timeout=wire.LIMIT)
        return p.returncode, out.decode(), err.decode()

    def test_where_the_text_comes_from(self):
        with self.daemon() as d:
            url = ["--url", "http://127.0.0.1:%d" % d.port, "--max-tokens", 100]
            self.assertEqual(self.run_words("jp", *url), (0, "日本語 😀", ""))
            self.assertEqual(self.run_words("-", *url, text=b"jp\n"), (0, "日本語 😀", ""))
            self.assertEqual(self.run_words(*url, text=b"jp"), (0, "日本語 😀", ""))
            self.assertEqual(self.run_words("jp", "--max-tokens", 3, *url[:2]), (0, "日", ""))
            code, out, err = self.run_words(*url, text=b"\xff")
            self.assertEqual((code, out), (2, ""))
            self.assertIn("not UTF-8", err)
            code, out, err = self.run_words(*url)
            self.assertEqual((code, out), (1, ""))
            self.assertIn("400: ", err)

    def test_a_daemon_of_its_own(self):
        self.assertEqual(self.run_words("jp", "--max-tokens", 100), (0, "日本語 😀", ""))

    def test_control_c(self):
        p = self.start("complete", "long", "--max-tokens", 1000, FAKE_STEP_US="20000")
        self.assertEqual(p.stdout.read(4), b"word")
        child, = children(p.pid)
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(wire.LIMIT), 130)
        self.assertTrue(gone(child))

    def test_a_reader_that_left(self):
        p = self.start("complete", "long", "--max-tokens", 1000, FAKE_STEP_US="20000")
        self.assertEqual(p.stdout.read(4), b"word")
        p.stdout.close()
        self.assertEqual(p.wait(wire.LIMIT), 1)
        self.assertIn(b"standard output", p.stderr.read())


if __name__ == "__main__":
    wire.main()

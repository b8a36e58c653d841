# SPDX-License-Identifier: Apache-2.0
"""`ssmd health`: exit 0 when the daemon of the same configuration is ready, else 1 and why."""
import http.server
import json
import os
import signal
import socket
import subprocess
import threading
import unittest

import wire


def health(*words, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SSMD_")}
    return subprocess.run([wire.ARGS.ssmd, "health", *map(str, words)], capture_output=True,
                          text=True, timeout=wire.LIMIT, env={**clean, **env}, check=False)


class Health(unittest.TestCase):
    def healthy(self, *words, **env):
        done = health(*words, **env)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def unhealthy(self, why, *words, code=1, **env):
        done = health(*words, **env)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertTrue(done.stderr.startswith("ssmd: "), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(why, done.stderr)

    def test_where_it_asks(self):
        with wire.Daemon("--api-key", "secret") as d:
            path = os.path.join(d.dir.name, "health.json")
            with open(path, "w", encoding="utf-8") as f:
                json.dump({"host": "0.0.0.0", "port": d.port}, f)
            self.healthy("--port", d.port)
            self.healthy("--config", path)
            self.healthy(SSMD_PORT=str(d.port))
            self.healthy("--host", "localhost", SSMD_PORT=str(d.port))
            for url in ("http://127.0.0.1:%d", "http://127.0.0.1:%d/", "http://localhost:%d/livez"):
                self.healthy("--url", url % d.port)
            self.unhealthy("404", "--url", "http://127.0.0.1:%d/nowhere" % d.port)

    def test_not_ready_says_why(self):
        with wire.Daemon("--drain-grace", 60, env={"FAKE_LOAD_MS": "1500"}, wait=False) as d:
            self.unhealthy("503: the model is loading", "--port", d.port)
            d.wait_line("ready")
            self.healthy("--port", d.port)
            d.signal(signal.SIGTERM)
            d.events("phase", 1, phase="grace")
            self.unhealthy("503: the server is shutting down", "--port", d.port)
            d.signal(signal.SIGTERM)

    def test_nobody_listens(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.unhealthy("Connection refused", "--port", s.getsockname()[1])

    def test_nobody_answers(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            self.unhealthy("no answer within 2.5 seconds", "--port", s.getsockname()[1])

    def test_another_server(self):
        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.wfile.write(b"hello" if self.path == "/odd" else b"HTTP/1.0 302 Found\r\n\r\n")

            def log_message(self, *args):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as s:
            threading.Thread(target=s.serve_forever, daemon=True).start()
            self.unhealthy("no HTTP", "--url", "http://127.0.0.1:%d/odd" % s.server_port)
            self.unhealthy("302", "--url", "http://127.0.0.1:%d/" % s.server_port)
            s.shutdown()

    def test_bad_usage(self):
        for url in ("", "https://x/", "http://", "http://[::1", "http://x:/", "http://a b/"):
            self.unhealthy("--url", "--url", url, code=2)
        self.unhealthy("port", "--port", 0, code=2)
        self.unhealthy("unknown option", "--max-seqs", 1, code=2)


if __name__ == "__main__":
    wire.main()

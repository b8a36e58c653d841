# SPDX-License-Identifier: Apache-2.0
"""The process: loading, signals, drain, keys re-read, ports, file limits, exit codes."""
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

SLOW = {"FAKE_STEP_US": "20000"}


def run(*flags, env=None):
    return subprocess.run([wire.ARGS.ssmd, "serve", "--model", wire.ARGS.model,
                           *[str(f) for f in flags]], capture_output=True, text=True,
                          timeout=wire.LIMIT, env={**os.environ, **(env or {})})


class Start(unittest.TestCase):
    def test_taken_port(self):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        p = run("--port", port)
        self.assertEqual(p.returncode, 2)
        self.assertIn(str(port), p.stderr)
        self.assertIn("in use", p.stderr)
        s.close()

    def test_bad_host(self):
        p = run("--port", 0, "--host", "999.1.1.1")
        self.assertEqual(p.returncode, 2)
        self.assertIn("999.1.1.1", p.stderr)

    def test_bad_model(self):
        p = subprocess.run([wire.ARGS.ssmd, "serve", "--port", "0", "--model", "/nonexistent"],
                           capture_output=True, text=True, timeout=wire.LIMIT,
                           env={**os.environ, "FAKE_LOAD_FAIL": "1"})
        self.assertEqual(p.returncode, 2)
        self.assertIn("/nonexistent", p.stderr)

    def test_live_before_ready(self):
        with wire.Daemon(env={"FAKE_LOAD_MS": "1500"}, wait=False) as d:
            self.assertEqual(d.call("GET", "/livez")[0], 200)
            status, head, _ = d.call("GET", "/readyz")
            if status == 200:
                self.skipTest("the model loads too fast to see")
            self.assertEqual(status, 503)
            self.assertIn("retry-after", head)
            status, head, body = d.call("POST", "/v1/completions", {"prompt": "a"})
            self.assertEqual((status, head["connection"]), (503, "close"))
            self.assertIn("loading", json.loads(body)["error"]["message"])
            self.assertEqual(d.call("GET", "/v1/models")[0], 503)
            self.assertEqual(d.metric("ssmd_ready"), 0)
            self.assertEqual(d.wait_line("ready")["page"], "http://127.0.0.1:%d/" % d.port)
            self.assertEqual(json.loads(d.call("GET", "/v1/models")[2])["data"][0]
                             ["max_model_len"], d.wait_line("memory")["context_tokens"])
            self.assertGreater(d.wait_line("memory")["longest_tokens"], 0)
            self.assertEqual(d.call("GET", "/readyz")[0], 200)
            self.assertEqual(d.call("GET", "/health")[0], 200)
            self.assertEqual(d.complete()[0], 200)

    def test_ended_while_loading(self):
        with wire.Daemon(env={"FAKE_LOAD_MS": "10000"}, wait=False) as d:
            d.signal(signal.SIGTERM)
            self.assertEqual(d.proc.wait(2), 0)

    def test_notify(self):
        import tempfile
        with tempfile.TemporaryDirectory() as t:
            path = os.path.join(t, "s")
            n = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            n.bind(path)
            n.settimeout(wire.LIMIT)
            with wire.Daemon(env={"NOTIFY_SOCKET": path}):
                self.assertEqual(n.recv(100), b"READY=1")
            self.assertEqual(n.recv(100), b"STOPPING=1")
            n.close()


class Watchdog(unittest.TestCase):
    def test_a_loop_that_hangs_ends_the_process(self):
        """Also while it stops: the signal finds nobody who would handle it."""
        for stopping in (False, True):
            with wire.Daemon("--watchdog", 0.5, env={"FAKE_CHECK_MS": "60000"}) as d:
                s = d.open_stream()
                if stopping:
                    with self.assertRaises(OSError):
                        while True:
                            d.call("GET", "/livez", timeout=0.1)
                    d.signal(signal.SIGTERM)
                self.assertEqual(wire.read_all(s), b"")
                self.assertEqual(d.proc.wait(wire.LIMIT), 1)
                self.assertIn("has not turned for 0.5 seconds", d.wait_line("watchdog")["message"])
                s.close()

    def test_a_log_that_nobody_reads_hangs_no_longer_than_the_limit(self):
        p = subprocess.Popen([wire.ARGS.ssmd, "serve", "--model", wire.ARGS.model, "--port", "0",
                              "--watchdog", "0.5"], stderr=subprocess.PIPE)
        lines = iter(p.stderr.readline, b"")
        port = next(json.loads(x)["port"] for x in lines if b'"listening"' in x)
        next(x for x in lines if b'"ready"' in x)
        full = os.open("/proc/%d/fd/2" % p.pid, os.O_WRONLY | os.O_NONBLOCK)
        with self.assertRaises(BlockingIOError):
            while True:
                os.write(full, b"x" * 512)
        os.close(full)
        with socket.create_connection(("127.0.0.1", port), timeout=wire.LIMIT) as s:
            s.sendall(wire.request("GET", "/v1/models"))  # the line about it waits for a reader
            self.assertEqual(p.wait(wire.LIMIT), 1)
        p.stderr.close()

    def test_a_stopped_process_is_not_late(self):
        """Also in the middle of a callback: the time that counts is that of its own ticks."""
        with wire.Daemon("--watchdog", 1, env={"FAKE_CHECK_MS": "400"}) as d:
            for _ in range(2):
                s = d.open_stream(max_tokens=1)
                with self.assertRaises(OSError):
                    while True:
                        d.call("GET", "/livez", timeout=0.1)
                d.signal(signal.SIGSTOP)
                time.sleep(2.2)
                d.signal(signal.SIGCONT)
                self.assertIn(b"[DONE]", wire.read_all_from(s))

    def test_it_can_be_off(self):
        with wire.Daemon("--watchdog", 0, env={"FAKE_CHECK_MS": "300"}) as d:
            self.assertEqual(d.complete()[0], 200)


class Step(unittest.TestCase):
    def test_a_step_that_does_not_end_is_not_ready(self):
        """Nothing is refused for it: it may end, and then what came meanwhile is served."""
        with wire.Daemon("--watchdog", 1, env={"FAKE_STEP_US": "1800000"}) as d:
            running = d.open_stream(max_tokens=1)
            d.wait_metric("ssmd_ready", lambda v: v == 0)
            status, _, body = d.call("GET", "/readyz")
            self.assertEqual((status, b"does not end" in body), (503, True), body)
            self.assertEqual(d.call("GET", "/livez")[0], 200)
            status, _, e = d.complete(max_tokens=1)
            self.assertEqual(status, 200, e)
            d.wait_metric("ssmd_ready", lambda v: v == 1)
            running.close()


class Drain(unittest.TestCase):
    def test_idle_exits_at_once(self):
        for signum in (signal.SIGTERM, signal.SIGINT):
            with wire.Daemon() as d:
                idle = [d.connect() for _ in range(20)]
                kept = d.connect()
                kept.sendall(wire.request("GET", "/livez"))
                wire.read_until(kept, b"live")
                begin = time.monotonic()
                d.signal(signum)
                self.assertEqual(d.proc.wait(wire.LIMIT), 0)
                self.assertLess(time.monotonic() - begin, 15)  # the drain timeout is 30
                for s in idle + [kept]:
                    s.close()

    def test_running_ones_finish(self):
        with wire.Daemon(env=SLOW) as d:
            s = d.open_stream(max_tokens=60)
            whole = d.post({"prompt": "x", "max_tokens": 60, "ignore_eos": True})
            d.wait_metric("ssmd_requests_running", lambda v: v == 2)
            kept = d.connect()
            d.signal(signal.SIGTERM)
            d.wait_line("phase", 3)
            kept.sendall(wire.request("GET", "/readyz")
                         + wire.request("POST", "/v1/completions", '{"prompt":"a"}'))
            data = wire.read_all(kept)
            self.assertEqual(wire.statuses(data)[0], 503)
            self.assertIn(b"Connection: close", data)
            self.assertIn(b"Retry-After:", data)
            status, _, body = d.call("POST", "/v1/completions", {"prompt": "a"})
            self.assertEqual(status, 503)
            data, ended = wire.dechunk(wire.read_all_from(s))
            self.assertTrue(ended)
            self.assertEqual(wire.sse(data)[-1], "[DONE]")
            self.assertEqual(wire.statuses(wire.read_all(whole)), [200])
            self.assertEqual(d.proc.wait(10), 0)
            kept.close()
            whole.close()

    def test_grace(self):
        with wire.Daemon("--drain-grace", 1.5, env=SLOW) as d:
            begin = time.monotonic()
            d.signal(signal.SIGTERM)
            d.wait_line("phase", 2)
            self.assertEqual(d.call("GET", "/readyz")[0], 503)
            self.assertEqual(d.call("GET", "/livez")[0], 200)
            self.assertEqual(d.metric("ssmd_draining"), 1)
            self.assertEqual(d.complete()[0], 200)
            self.assertEqual(d.proc.wait(10), 0)
            self.assertGreater(time.monotonic() - begin, 1.2)

    def test_grace_takes_nothing_from_the_drain(self):
        """A request that ends some time after a grace as long as drain_timeout is not cut."""
        with wire.Daemon("--drain-grace", 3, "--drain-timeout", 3, env=SLOW) as d:
            s = d.open_stream(max_tokens=190)
            d.wait_metric("ssmd_requests_running", lambda v: v == 1)
            d.signal(signal.SIGTERM)
            data, ended = wire.dechunk(wire.read_all_from(s))
            self.assertTrue(ended)
            last = json.loads(wire.sse(data)[-2])
            self.assertEqual(last["choices"][0]["finish_reason"], "length")

    def test_drain_timeout(self):
        with wire.Daemon("--drain-timeout", 1, "--max-seqs", 1, env=SLOW) as d:
            s = d.open_stream(max_tokens=3000)
            d.wait_metric("ssmd_requests_running", lambda v: v == 1)
            queued = d.post({"prompt": "x", "max_tokens": 60})
            d.wait_metric("ssmd_requests_waiting", lambda v: v == 1)
            d.signal(signal.SIGTERM)
            data, ended = wire.dechunk(wire.read_all_from(s))
            self.assertTrue(ended)
            events = wire.sse(data)
            self.assertEqual(events[-1], "[DONE]")
            self.assertEqual(json.loads(events[-2])["choices"][0]["finish_reason"], "abort")
            self.assertEqual(wire.statuses(wire.read_all(queued)), [503])
            self.assertEqual(d.proc.wait(10), 0)
            queued.close()

    def test_second_signal(self):
        with wire.Daemon(env=SLOW) as d:
            s = d.open_stream(max_tokens=3000)
            d.wait_metric("ssmd_requests_running", lambda v: v == 1)
            d.signal(signal.SIGTERM)
            d.wait_line("phase", 3)
            d.signal(signal.SIGTERM)
            self.assertEqual(d.proc.wait(2), 1)
            s.close()


class Keys(unittest.TestCase):
    def test_file_and_sighup(self):
        import tempfile
        with tempfile.TemporaryDirectory() as t:
            path = os.path.join(t, "keys")
            with open(path, "w") as f:
                f.write("# two tenants\nalice:key-a\n\nbob:key-b\n")
            with wire.Daemon("--api-keys-file", path) as d:
                def status(key):
                    return d.complete(headers={"Authorization": "Bearer " + key})[0]
                self.assertEqual([status(k) for k in ("key-a", "key-b", "key-c")],
                                 [200, 200, 401])
                self.assertTrue(d.events("request", 1, tenant="alice"))
                self.assertNotIn("key-a", d.log())
                with open(path, "w") as f:
                    f.write("carol:key-c\n")
                d.signal(signal.SIGHUP)
                d.wait_line("reload")
                self.assertEqual([status(k) for k in ("key-a", "key-b", "key-c")],
                                 [401, 401, 200])
                with open(path, "w") as f:
                    f.write("no colon here\n")
                d.signal(signal.SIGHUP)
                d.wait_line("reload", 2)
                self.assertEqual(status("key-c"), 200)

    def test_log_level(self):
        """SIGHUP takes the level from the file as it is now."""
        with wire.Daemon(config={"log_level": "info"}) as d:
            path = os.path.join(d.dir.name, "config.json")
            with open(path, "w") as f:
                f.write('{"log_level": "debug"}')
            d.signal(signal.SIGHUP)
            d.wait_line("reload")
            d.call("GET", "/livez")
            d.wait_line("request")  # probes are told at debug only
            with open(path, "w") as f:
                f.write('{"log_level": "loud"}')
            d.signal(signal.SIGHUP)
            self.assertIn("log_level", d.wait_line("reload", 2)["message"])

    def test_bad_file(self):
        p = run("--port", 0, "--api-keys-file", "/nonexistent/keys")
        self.assertEqual(p.returncode, 2)
        self.assertIn("/nonexistent/keys", p.stderr)


class Limits(unittest.TestCase):
    def test_idle_connections_make_room(self):
        """At max_connections the longest idle one ends, and the new one is served."""
        with wire.Daemon("--max-connections", 8) as d:
            held = [d.connect() for _ in range(8)]
            d.wait_metric("ssmd_open_connections", lambda v: v == 8)  # the scrape took a place
            self.assertEqual(held[0].recv(1), b"")
            self.assertEqual(d.call("GET", "/livez")[0], 200)
            for s in held:
                s.close()

    def test_a_full_server_answers_probes(self):
        """With a request on every connection: open routes are served, others get 503."""
        with wire.Daemon("--max-connections", 8, env={"FAKE_STEP_US": "20000"}) as d:
            held = [d.open_stream(max_tokens=3000) for _ in range(8)]
            d.wait_metric("ssmd_requests_running", lambda v: v == 8)
            self.assertEqual(d.call("GET", "/livez")[0], 200)
            self.assertEqual(d.call("GET", "/v1/models")[0], 503)
            self.assertEqual(d.metric('ssmd_requests_rejected_total{reason="connections"}'), 1)
            self.assertEqual(d.metric("ssmd_requests_running"), 8)
            for s in held:
                s.close()

    def test_a_silent_probe_opens_no_place(self):
        """Who connects next takes neither the second of the one before nor a place for good."""
        with wire.Daemon("--max-connections", 2, env={"FAKE_STEP_US": "20000"}) as d:
            held = [d.open_stream(max_tokens=3000) for _ in range(2)]
            d.wait_metric("ssmd_requests_running", lambda v: v == 2)
            silent = d.connect()
            self.assertEqual(d.complete()[0], 503)
            silent.sendall(wire.request("GET", "/livez"))
            self.assertEqual(wire.statuses(wire.read_all(silent)), [200])
            for s in held:
                s.close()
            d.wait_metric("ssmd_requests_running", lambda v: v == 0)
            self.assertEqual(d.complete()[0], 200)

    def test_accepting_pauses(self):
        """Past the reserve places nothing spins or breaks; who waits is served later."""
        with wire.Daemon("--max-connections", 8, env={"FAKE_STEP_US": "20000"}) as d:
            held = [d.open_stream(max_tokens=3000) for _ in range(8)]
            d.wait_metric("ssmd_requests_running", lambda v: v == 8)
            silent = [d.connect() for _ in range(16)]  # for a second each
            late = d.connect()
            late.sendall(wire.request("GET", "/livez", extra="Connection: close\r\n"))
            self.idle(d)
            self.assertEqual(wire.statuses(wire.read_all(late)), [200])
            for s in held + silent:
                s.close()

    def test_connections_of_one_address(self):
        with wire.Daemon("--connections-per-address", 4) as d:
            held = [d.connect() for _ in range(3)]
            self.assertEqual(d.call("GET", "/livez")[0], 200)
            held.append(d.connect())
            data = d.raw(wire.request("GET", "/livez"))  # the fifth
            self.assertEqual(wire.statuses(data), [429])
            self.assertIn(b"too many connections from this address", data)
            held.pop().close()
            end = time.monotonic() + 20
            while d.call("GET", "/livez")[0] != 200:  # the daemon hears of it a moment later
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)
            for s in held:
                s.close()
        with wire.Daemon("--connections-per-address", 4, "--trusted-peers", "127.0.0.1") as d:
            held = [d.connect() for _ in range(20)]
            self.assertEqual(d.call("GET", "/livez")[0], 200)
            for s in held:
                s.close()

    def idle(self, d):
        """Half a second of waiting costs nearly no processor time."""
        def ticks():
            with open("/proc/%d/stat" % d.proc.pid) as f:
                fields = f.read().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])
        begin = ticks()
        time.sleep(0.5)
        self.assertLess(ticks() - begin, 20)

    def test_emfile(self):
        """Out of descriptors: accepting pauses, no spin, no crash, then service again."""
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
        with wire.Daemon(preexec=limit) as d:
            held = []
            for _ in range(120):
                held.append(d.connect())
            time.sleep(0.3)
            self.idle(d)
            for s in held:
                s.close()
            self.assertEqual(d.call("GET", "/livez")[0], 200)
            self.assertEqual(d.complete()[0], 200)

    def test_emfile_for_real(self):
        """The limit is lowered behind the daemon's back."""
        with wire.Daemon() as d:
            held = [d.connect() for _ in range(10)]
            time.sleep(0.2)
            n = len(os.listdir("/proc/%d/fd" % d.proc.pid))
            old = resource.prlimit(d.proc.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(d.proc.pid, resource.RLIMIT_NOFILE, (n + 2, old[1]))
            held += [d.connect() for _ in range(10)]
            time.sleep(0.3)
            self.idle(d)
            resource.prlimit(d.proc.pid, resource.RLIMIT_NOFILE, old)
            for s in held:
                s.close()
            self.assertEqual(d.complete()[0], 200)

    def test_too_many_connections_asked_for(self):
        p = run("--port", 0, "--max-connections", 1000000)
        self.assertEqual(p.returncode, 2)
        self.assertIn("max_connections", p.stderr)


if __name__ == "__main__":
    wire.main()

# SPDX-License-Identifier: Apache-2.0
"""Real processes on loopback for the tests of deploy/: three replicas of ssmd with the
containers' configuration, and HAProxy and Prometheus with the shipped files.

Only ports and addresses differ from a deployment. Every process is started on a free port,
waited for, and ended by its own pid through unittest's module cleanups, whatever happens.
Python's standard library only.
"""

import argparse
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
HOST = "127.0.0.1"

options = argparse.Namespace(ssmd=None, model=None)


def free_port():
    with socket.socket() as s:
        s.bind((HOST, 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds):
    """Polls until condition() is true and returns its value; AssertionError with `what`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.05)


class Answer:
    """A whole HTTP answer: status, headers (lower case), body."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


def get(port, path, timeout=10):
    c = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        c.request("GET", path)
        return Answer(c.getresponse())
    finally:
        c.close()


def post(port, body, timeout=60, connection=None, headers=None):
    """A completion in one piece; on `connection` when given, which then stays open."""
    c = connection or http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        c.request("POST", "/v1/completions", json.dumps(body),
                  {"Content-Type": "application/json", **(headers or {})})
        return Answer(c.getresponse())
    finally:
        if connection is None:
            c.close()


class Stream:
    """A streamed completion, read event by event."""

    def __init__(self, port, body, timeout=60, headers=None):
        self.connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
        self.connection.request("POST", "/v1/completions", json.dumps({**body, "stream": True}),
                                {"Content-Type": "application/json", **(headers or {})})
        self.response = self.connection.getresponse()
        if self.response.status != 200:
            text = self.response.read()
            self.close()
            raise AssertionError(f"status {self.response.status}: {text[:300]!r}")

    def events(self):
        """Yields each chunk's object; ends after [DONE], AssertionError without it."""
        for line in self.response:
            if not line.startswith(b"data: "):
                continue
            if line.strip() == b"data: [DONE]":
                return
            chunk = json.loads(line[6:])
            if "error" in chunk:
                raise AssertionError(f"error event: {chunk}")
            yield chunk
        raise AssertionError("the stream ended without [DONE]")

    def rest(self):
        """Reads to the end: (text, last finish_reason)."""
        text, reason = "", None
        for chunk in self.events():
            for choice in chunk["choices"]:
                text += choice["text"]
                reason = choice["finish_reason"] or reason
        return text, reason

    def close(self):
        self.connection.close()


class Process:
    """A child with its output in a file; stop() ends it by pid and is harmless twice."""

    def __init__(self, argv, env=None):
        self.log = tempfile.TemporaryFile()
        self.child = subprocess.Popen([str(a) for a in argv], env={**os.environ, **(env or {})},
                                      stdin=subprocess.DEVNULL, stdout=self.log,
                                      stderr=subprocess.STDOUT)

    def output(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def check_alive(self):
        if self.child.poll() is not None:
            raise AssertionError(f"{self.child.args[0]} ended with {self.child.returncode}:\n"
                                 + self.output()[-2000:])

    def wait_ready(self, port, path, seconds=20):
        def ready():
            self.check_alive()
            try:
                return get(port, path, timeout=2).status == 200
            except OSError:
                return False

        wait_for(f"{self.child.args[0]} on port {port}", ready, seconds)

    def terminate(self):
        self.child.send_signal(signal.SIGTERM)

    def stop(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.log.close()


class Replica:
    """One ssmd as a container runs it, but on loopback. start() again after it ended."""

    def __init__(self, *flags):
        self.port, self.flags = free_port(), flags
        self.process = None
        self.start()

    def start(self):
        if self.process:
            self.process.stop()
        self.process = Process([options.ssmd, "serve", "--config",
                                ROOT / "configs" / "container.json", "--model", options.model,
                                "--host", HOST, "--port", self.port, "--threads", 1,
                                *self.flags])

    def wait_ready(self):
        self.process.wait_ready(self.port, "/readyz")

    def metric(self, name):
        """Sum over a family's samples; a name with braces is one sample."""
        total = 0.0
        for line in get(self.port, "/metrics").body.decode().splitlines():
            sample = line.rsplit(" ", 1)
            if sample[0] == name or sample[0].split("{")[0] == name:
                total += float(sample[1])
        return total

    def stop(self):
        self.process.stop()


def start_replicas(n=3, flags=()):
    replicas = []
    for _ in range(n):
        replicas.append(Replica(*flags))
        unittest.addModuleCleanup(replicas[-1].stop)
    for r in replicas:
        r.wait_ready()
    return replicas


class Balancer:
    """HAProxy with deploy/haproxy/haproxy.cfg before the given three ports."""

    CONFIG = DEPLOY / "haproxy" / "haproxy.cfg"

    def __init__(self, ports, **env):
        self.port, self.admin_port = free_port(), free_port()
        self.env = {"BALANCER_BIND": f"{HOST}:{self.port}",
                    "BALANCER_ADMIN_BIND": f"{HOST}:{self.admin_port}", **env}
        for i, port in enumerate(ports, 1):
            self.env[f"BALANCER_REPLICA_{i}"] = f"{HOST}:{port}"
        self.process = Process(["haproxy", "-db", "-f", self.CONFIG], self.env)
        unittest.addModuleCleanup(self.process.stop)
        self.process.wait_ready(self.admin_port, "/metrics")

    def table(self, backend="ssmd"):
        """{server: {column: value}} of a backend, from the balancer's own page."""
        lines = get(self.admin_port, "/stats;csv").body.decode().splitlines()
        names = lines[0].lstrip("# ").split(",")
        rows = [dict(zip(names, line.split(","))) for line in lines[1:]]
        return {r["svname"]: r for r in rows
                if r["pxname"] == backend and r["svname"] != "BACKEND"}

    def states(self, backend="ssmd"):
        return {name: row["status"].split()[0] for name, row in self.table(backend).items()}

    def wait_state(self, server, state, seconds=10, backend="ssmd"):
        wait_for(f"{server} to be {state}", lambda: self.states(backend)[server] == state,
                 seconds)

    def wait_all_checked(self):
        """A server counts as UP before its first check: wait for a check that passed."""
        wait_for("three checked replicas",
                 lambda: all(r["status"] == "UP" and r["check_status"] == "L7OK"
                             for r in self.table().values()), 10)


def main(module):
    """Runs the calling module's tests; the last line is `N passed, N failed`."""
    parser = argparse.ArgumentParser(description=sys.modules[module].__doc__)
    parser.add_argument("--ssmd", default=ROOT / "build" / "ssmd", type=pathlib.Path)
    parser.add_argument("--model", default=ROOT / "models" / "default", type=pathlib.Path)
    parser.add_argument("tests", nargs="*", help="names of tests, all by default")
    given = parser.parse_args()
    options.ssmd, options.model = given.ssmd.resolve(), given.model.resolve()
    loader = unittest.defaultTestLoader
    suite = (loader.loadTestsFromNames(given.tests, sys.modules[module]) if given.tests
             else loader.loadTestsFromModule(sys.modules[module]))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    # A fixture that fails is in errors without having been counted as run.
    failed = len(result.failures) + len(result.errors)
    print(f"{max(result.testsRun - failed, 0)} passed, {failed} failed")
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)

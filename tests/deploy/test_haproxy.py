# SPDX-License-Identifier: Apache-2.0
"""The real HAProxy with the shipped configuration before three daemons: streams pass
unbuffered, every replica gives the same bytes, overload takes none out, and one is drained without
a failed request.

    python3 tests/deploy/test_haproxy.py --ssmd build/ssmd --model models/default
"""

import collections
import http.client
import os
import subprocess
import threading
import time
import unittest

import replicas as lib

PROMPT = "The river"
GREEDY = {"prompt": PROMPT, "max_tokens": 24, "temperature": 0, "ignore_eos": True}
SEEDED = {"prompt": PROMPT, "max_tokens": 24, "temperature": 0.8, "seed": 7}
LONG = {**GREEDY, "max_tokens": 400}

replicas = []
balancer = None


def setUpModule():
    global balancer
    replicas[:] = lib.start_replicas()
    balancer = lib.Balancer([r.port for r in replicas])
    balancer.wait_all_checked()


def running():
    return sum(r.metric("ssmd_requests_running") for r in replicas)


class Configuration(unittest.TestCase):
    def test_valid_without_a_warning(self):
        done = subprocess.run(["haproxy", "-c", "-f", balancer.CONFIG], text=True, timeout=30,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, **balancer.env})
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotIn("[WARNING]", done.stdout)

    def test_replicas_are_in_rotation(self):
        self.assertEqual(set(balancer.states().values()), {"UP"})
        self.assertEqual(lib.get(balancer.port, "/balancer").status, 200)

    def test_metrics_stay_inside(self):
        answer = lib.get(balancer.port, "/metrics")
        self.assertEqual(answer.status, 404)
        self.assertEqual(set(answer.json()["error"]), {"message", "type", "param", "code"})


class Streams(unittest.TestCase):
    def test_first_event_arrives_while_the_rest_is_computed(self):
        stream = lib.Stream(balancer.port, {**LONG, "max_tokens": 2000})
        try:
            next(stream.events())
            # Held back, the first event would arrive after the request has ended.
            self.assertEqual(running(), 1)
        finally:
            stream.close()
        # The client has left: its slot is freed although the answer was far from its end.
        lib.wait_for("the slot of a client that left", lambda: running() == 0, 5)

    def test_headers_of_a_stream(self):
        stream = lib.Stream(balancer.port, GREEDY)
        self.assertTrue(stream.response.getheader("Content-Type").startswith("text/event-stream"))
        self.assertEqual(stream.response.getheader("Cache-Control"), "no-cache")
        self.assertIsNone(stream.response.getheader("Content-Length"))
        stream.rest()
        stream.close()

    def test_client_that_leaves_before_an_unstreamed_answer_frees_its_slot(self):
        c = http.client.HTTPConnection(lib.HOST, balancer.port, timeout=30)
        c.request("POST", "/v1/completions", lib.json.dumps({**LONG, "max_tokens": 2000}),
                  {"Content-Type": "application/json"})
        lib.wait_for("the request to run", lambda: running() == 1, 10)
        c.close()
        lib.wait_for("the slot of a client that left", lambda: running() == 0, 5)


class Equality(unittest.TestCase):
    def same_everywhere(self, body):
        seen = {}
        for port in [r.port for r in replicas] + [balancer.port] * 6:
            answer = lib.post(port, body)
            self.assertEqual(answer.status, 200, answer.body)
            seen[lib.json.dumps(answer.json()["choices"])] = port
            stream = lib.Stream(port, body)
            self.assertEqual(stream.rest()[0], answer.json()["choices"][0]["text"])
            stream.close()
        self.assertEqual(len(seen), 1, seen)

    def test_greedy(self):
        self.same_everywhere({**GREEDY, "logprobs": 2})

    def test_with_a_seed(self):
        self.same_everywhere(SEEDED)

    def test_balancer_used_every_replica(self):
        before = {name: int(row["stot"]) for name, row in balancer.table().items()}
        for _ in range(6):
            self.assertEqual(lib.post(balancer.port, GREEDY).status, 200)
        after = {name: int(row["stot"]) for name, row in balancer.table().items()}
        for name, n in before.items():
            self.assertGreater(after[name], n, name)


class Load:
    """Clients that ask without a pause until stop(); every wrong answer is kept."""

    def __init__(self, port, text, n_clients=6):
        self.port, self.text = port, text
        self.n_done, self.failures, self.ending = 0, [], threading.Event()
        self.threads = [threading.Thread(target=self.client, args=(i,), daemon=True)
                        for i in range(n_clients)]
        for t in self.threads:
            t.start()

    def client(self, i):
        kept = http.client.HTTPConnection(lib.HOST, self.port, timeout=60) if i % 2 else None
        while not self.ending.is_set():
            try:
                text = self.unstreamed(kept) if i % 2 else self.streamed()
                if text != self.text:
                    raise AssertionError(f"another text: {text!r}")
                self.n_done += 1
            except (AssertionError, OSError, ValueError, http.client.HTTPException) as e:
                self.failures.append(f"client {i}: {e!r}")
                if kept:
                    kept.close()
                time.sleep(0.1)
        if kept:
            kept.close()

    def unstreamed(self, connection):
        answer = lib.post(self.port, GREEDY, connection=connection)
        if answer.status != 200:
            raise AssertionError(f"status {answer.status}: {answer.body[:300]!r}")
        return answer.json()["choices"][0]["text"]

    def streamed(self):
        stream = lib.Stream(self.port, GREEDY)
        try:
            return stream.rest()[0]
        finally:
            stream.close()

    def stop(self):
        self.ending.set()
        for t in self.threads:
            t.join(60)


class Faults(unittest.TestCase):
    def test_refused_connection_is_tried_on_another_replica(self):
        one = lib.Balancer([replicas[0].port, lib.free_port(), lib.free_port()])
        for _ in range(6):
            answer = lib.post(one.port, GREEDY)
            self.assertEqual(answer.status, 200, answer.body)
        one.process.stop()

    def test_no_replica_is_a_503_in_the_apis_form(self):
        none = lib.Balancer([lib.free_port() for _ in range(3)])
        for name in none.states():
            none.wait_state(name, "DOWN")
        answer = lib.post(none.port, GREEDY)
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.json()["error"]["type"], "server_error")
        self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
        self.assertEqual(lib.get(none.port, "/balancer").status, 503)
        none.process.stop()

    def test_error_passes_unchanged(self):
        bad = {**GREEDY, "max_tokens": -1}
        direct, through = lib.post(replicas[0].port, bad), lib.post(balancer.port, bad)
        self.assertEqual((through.status, through.body), (direct.status, direct.body))
        self.assertEqual(through.status, 400)

    def test_killed_replica_fails_only_what_it_ran(self):
        text = lib.post(balancer.port, GREEDY).json()["choices"][0]["text"]
        load = Load(balancer.port, text)
        try:
            lib.wait_for("a steady load", lambda: load.n_done >= 6, 30)
            replicas[1].process.stop()
            before = load.n_done
            balancer.wait_state("ssmd-2", "DOWN")
            lib.wait_for("the load to go on", lambda: load.n_done > before + 12, 30)
        finally:
            load.stop()
            replicas[1].start()
            balancer.wait_state("ssmd-2", "UP", 20)
        # What ran there broke off, once for each client at most; nothing after it failed.
        clients = [failure.split(":")[0] for failure in load.failures]
        self.assertEqual(len(clients), len(set(clients)), load.failures)


class Overload(unittest.TestCase):
    def test_overload_takes_no_replica_out(self):
        """Many times what three replicas hold: 200 or 429, and every check passes all the while."""
        small = lib.start_replicas(flags=("--max-seqs", 1, "--queue-limit", 1))
        full = lib.Balancer([r.port for r in small])
        full.wait_all_checked()
        statuses, ending = collections.Counter(), threading.Event()

        def client():
            while not ending.is_set():
                status = lib.post(full.port, LONG).status
                statuses[status] += 1
                ending.wait(0.05 if status == 429 else 0)

        threads = [threading.Thread(target=client, daemon=True) for _ in range(12)]
        for t in threads:
            t.start()
        ending.wait(4)  # eight checks of each replica; two that fail take it out
        ending.set()
        for t in threads:
            t.join(60)
        self.assertEqual(set(statuses), {200, 429}, statuses)
        for name, row in full.table().items():
            self.assertEqual((row["status"], int(row["chkdown"])), ("UP", 0), name)
        full.process.stop()
        for r in small:
            r.stop()


class Drain(unittest.TestCase):
    def long_streams(self):
        """Streams begun and not read further, at least one of them on the first replica."""
        streams = []
        while len(streams) < 6 or replicas[0].metric("ssmd_requests_running") < 1:
            self.assertLess(len(streams), 12)
            streams.append(lib.Stream(balancer.port, LONG))
            self.addCleanup(streams[-1].close)
        return streams

    def test_drain_under_load_fails_no_request(self):
        text = lib.post(balancer.port, GREEDY).json()["choices"][0]["text"]
        long_text = lib.post(balancer.port, LONG).json()["choices"][0]["text"]
        streams = self.long_streams()
        load = Load(balancer.port, text)
        try:
            lib.wait_for("a steady load", lambda: load.n_done + len(load.failures) >= 12, 30)
            replicas[0].process.terminate()
            # Out of rotation while the process still serves: the order that makes it seamless.
            balancer.wait_state("ssmd-1", "DOWN")
            self.assertIsNone(replicas[0].process.child.poll())
            during = load.n_done
            for stream in streams:
                self.assertEqual(stream.rest(), (long_text, "length"))
            self.assertEqual(replicas[0].process.child.wait(45), 0)
            lib.wait_for("the load to go on", lambda: load.n_done > during + 12, 30)

            # The replica comes back, as after an update, and gets its share again.
            served = int(balancer.table()["ssmd-1"]["stot"])
            replicas[0].start()
            balancer.wait_state("ssmd-1", "UP", 20)
            lib.wait_for("requests to the replica that came back",
                         lambda: int(balancer.table()["ssmd-1"]["stot"]) > served, 20)
        finally:
            load.stop()
        self.assertEqual(load.failures, [], balancer.process.output()[-3000:])
        print(f"{load.n_done} requests, none failed ... ", end="")


if __name__ == "__main__":
    lib.main(__name__)

# SPDX-License-Identifier: Apache-2.0
"""The request log: whose request a line is, how it ended, and which requests have one."""
import subprocess
import unittest

import wire

FORWARDED = "X-Forwarded-For"


def clients(daemon, *headers):
    """The client of one request for each set of headers, as the log has it."""
    for i, head in enumerate(headers):
        daemon.call("GET", "/v1/models", headers={"X-Request-Id": "r%d" % i, **head})
    return [daemon.events("request", 1, id="r%d" % i)[0]["client"] for i in range(len(headers))]


def request_line(daemon, name):
    return daemon.events("request", 1, id=name)[0]


class Reasons(unittest.TestCase):
    def test_how_the_choices_ended(self):
        letters = list(range(97, 123))
        with wire.Daemon("--request-timeout", 1,
                         env={"FAKE_POISON": "33", "FAKE_STEP_US": "2000"}) as d:
            for name, want, body in (
                    ("length", "length", {"n": 2}),
                    ("stop", "stop", {"stop_token_ids": letters}),
                    ("error", "error", {"prompt": "!"}),
                    ("timeout", "timeout", {"max_tokens": 4000}),
                    ("none", None, {"max_tokens": -1})):
                d.complete(headers={"X-Request-Id": name}, **body)
                self.assertEqual(request_line(d, name)["finish_reason"], want)
            d.call("GET", "/v1/models", headers={"X-Request-Id": "models"})
            self.assertIsNone(request_line(d, "models")["finish_reason"])
            s = d.open_stream(max_tokens=4000)
            wire.read_until(s, b"data:")
            s.close()
            self.assertEqual(d.events("request", 1, sent=False)[0]["finish_reason"], "abort")


class Switch(unittest.TestCase):
    def test_off_leaves_what_failed(self):
        with wire.Daemon("--access-log", "off", "--log-level", "debug",
                         env={"FAKE_POISON": "33"}) as d:
            def call(name, method, path, body=None):
                d.call(method, path, body, {"X-Request-Id": name})
            call("good", "GET", "/v1/models")
            call("completion", "POST", "/v1/completions", {"prompt": "a", "max_tokens": 2})
            call("probe", "GET", "/readyz")
            call("lost", "GET", "/nowhere")
            call("fault", "POST", "/v1/completions", {"prompt": "!"})
            s = d.open_stream(prompt="!")
            wire.read_all_from(s)
            d.events("request", 3)
            call("last", "GET", "/nowhere")
            d.events("request", 1, id="last")
            found = d.events("request")
            self.assertEqual([x["status"] for x in found], [404, 500, 200, 404])
            self.assertEqual(found[2]["finish_reason"], "error")

    def test_on_has_a_line_for_each(self):
        with wire.Daemon() as d:
            for name in ("a", "b"):
                d.call("GET", "/v1/models", headers={"X-Request-Id": name})
                self.assertEqual(request_line(d, name)["status"], 200)


class Client(unittest.TestCase):
    def test_a_stranger_names_nobody(self):
        with wire.Daemon() as d:
            self.assertEqual(clients(d, {}, {FORWARDED: "198.51.100.1"}), ["127.0.0.1"] * 2)

    def test_a_trusted_peer_names_the_client(self):
        with wire.Daemon("--trusted-peers", "127.0.0.0/8,10.0.0.1") as d:
            found = clients(d, {}, {FORWARDED: "6.6.6.6, 198.51.100.1, 10.0.0.1"},
                            {FORWARDED: "[2001:db8::1]:80"}, {FORWARDED: "\"; drop"})
            self.assertEqual(found, ["127.0.0.1", "198.51.100.1", "2001:db8::1", "127.0.0.1"])
            s = d.connect()
            s.sendall(wire.request("GET", "/v1/models", extra="X-Request-Id: two\r\n"
                                   "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 198.51.100.1, 10.0.0.1\r\n"
                                   "Connection: close\r\n"))
            wire.read_all(s)
            s.close()
            self.assertEqual(d.events("request", 1, id="two")[0]["client"], "198.51.100.1")

    def test_what_is_no_address_is_refused_by_name(self):
        for bad in ["proxy.example", "10.0.0.0/33", "127.0.0.1,10.0.0.1:80"]:
            r = subprocess.run([wire.ARGS.ssmd, "serve", "--model", wire.ARGS.model, "--port", "0",
                                "--trusted-peers", bad], capture_output=True, text=True,
                               timeout=wire.LIMIT)
            self.assertEqual(r.returncode, 2)
            self.assertIn("trusted_peers", r.stderr)
            self.assertIn('"%s"' % bad.rpartition(",")[2], r.stderr)


if __name__ == "__main__":
    wire.main()

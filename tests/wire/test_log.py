# SPDX-License-Identifier: Apache-2.0
"""The request log: whose request a line is."""
import subprocess
import unittest

import wire

FORWARDED = "X-Forwarded-For"


def clients(daemon, *headers):
    """The client of one request for each set of headers, as the log has it."""
    for i, head in enumerate(headers):
        daemon.call("GET", "/v1/models", headers={"X-Request-Id": "r%d" % i, **head})
    return [daemon.events("request", 1, id="r%d" % i)[0]["client"] for i in range(len(headers))]


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

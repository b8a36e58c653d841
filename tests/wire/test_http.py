# SPDX-License-Identifier: Apache-2.0
"""HTTP on the wire beyond the table of attacks: what clients send while an answer is given, behind
it, or never, and how connections end. tests/server/http/test_http.c has the callbacks and memory.
Needs the stand-in engine: build/<variant>/ssmd-fake."""
import json
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

SLOW = {"FAKE_STEP_US": "30000"}
BODY = json.dumps({"prompt": "a", "max_tokens": 8, "ignore_eos": True})
GET = wire.request("GET", "/livez", extra="Connection: close\r\n")


def read_to_end(s):
    """All that comes until the end; a reset is an error, unlike wire.read_all."""
    data = b""
    while piece := s.recv(1 << 16):
        data += piece
    s.close()
    return data


class Ends(unittest.TestCase):
    def test_bytes_behind_the_last_request_reset_nothing(self):
        """Bytes that nobody reads would turn the end of the answer into a reset."""
        with wire.Daemon(env=SLOW) as d:
            for close, extra in ((b"Connection: close\r\n", b"\r\n"), (b"", GET)):
                with self.subTest(extra=extra):
                    s = d.connect()
                    s.sendall(wire.request("POST", "/v1/completions", BODY, close.decode()))
                    d.wait_metric("ssmd_requests_running", lambda n: n > 0)
                    s.sendall(extra)
                    d.wait_metric("ssmd_requests_running", lambda n: n == 0)
                    time.sleep(0.2)
                    self.assertEqual(wire.statuses(read_to_end(s)), [200] if close else [200, 200])

    def test_excess_connections_have_a_second(self):
        """Though one that may stay has been idle for longer."""
        with wire.Daemon("--connections-per-address", 2) as d:
            kept = [d.connect(), d.connect()]
            time.sleep(0.2)
            excess = d.connect(timeout=30)
            self.assertEqual(wire.read_all(excess), b"")
            for s in kept[1:]:
                s.sendall(GET)
                self.assertEqual(wire.statuses(read_to_end(s)), [200])
            kept[0].close()
            excess.close()


if __name__ == "__main__":
    wire.main()

# SPDX-License-Identifier: Apache-2.0
"""Large bodies are a worker's: the loop answers others meanwhile, and the end waits for it."""
import json
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

MANY = 1 << 20


def hostile():
    """Bodies of megabytes that take long to parse, by route, and the status they get."""
    ids = b"1," * 990000 + b"1"  # a body may hold a million values
    keys = b",".join(b'"k%d":1' % i for i in range(MANY // 4))
    return [("/v1/completions", b'{"prompt":[' + ids + b"]}", 400),
            ("/v1/completions", b"{" + keys + b"}", 400),
            ("/v1/completions", b'{"prompt":"a","max_tokens":2,' + keys + b"}", 200),
            ("/tokenize", b'{"prompt":"' + b"a" * 3 * MANY + b'"}', 200),
            ("/detokenize", b'{"tokens":[' + ids + b"]}", 200)]


class Loop(unittest.TestCase):
    def ask(self, s):
        s.sendall(wire.request("GET", "/livez"))
        wire.read_until(s, b"}\n")

    def test_goes_on_while_a_body_is_parsed(self):
        """What is asked after a large body has come whole is answered before that is."""
        for path, body, status in hostile():
            with self.subTest(path=path, body=body[:30]), wire.Daemon() as d:
                large, small = d.connect(), d.connect()
                head = ("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                        "Content-Length: %d\r\n\r\n" % (path, len(body))).encode()
                large.sendall(head + body[:-1])
                for _ in range(400):  # by then all but the last byte has been taken in
                    self.ask(small)
                large.sendall(body[-1:])
                self.ask(small)
                large.setblocking(False)
                self.assertRaises(BlockingIOError, large.recv, 1)
                large.settimeout(wire.LIMIT)
                answer = wire.read_response(large.makefile("rb"))
                self.assertEqual(answer[0], status, answer[2][:300])
                json.loads(answer[2])
                large.close()
                small.close()

    def test_unknown_fields_are_counted(self):
        with wire.Daemon() as d:
            body = '{"prompt":"a","max_tokens":1,"pad":"%s"}' % (" " * 100000)
            self.assertEqual(d.call("POST", "/v1/completions", body)[0], 200)
            self.assertEqual(d.metric("ssmd_unknown_fields_total"), 1)

    def test_a_client_that_leaves(self):
        _, body, _ = hostile()[1]
        with wire.Daemon() as d:
            for _ in range(8):
                s = d.connect()
                s.sendall(wire.request("POST", "/v1/completions", body.decode()))
                s.close()
            self.assertEqual(d.complete()[0], 200)


class End(unittest.TestCase):
    def test_while_tokenising(self):
        """A worker that is still at it when the server ends: its client hears 503, the engine
        stays until it is done."""
        with wire.Daemon("--drain-timeout", 0.3, env={"FAKE_ENCODE_MS": "4000"}) as d:
            s = d.post({"prompt": "x"})
            others = [d.post({"prompt": "y"}) for _ in range(9)]
            d.wait_metric("ssmd_requests_waiting", lambda v: v == 10)
            d.signal(signal.SIGTERM)
            for x in [s] + others:
                self.assertEqual(wire.statuses(wire.read_all(x)), [503])
                x.close()
            self.assertEqual(d.proc.wait(20), 0)


if __name__ == "__main__":
    wire.main()

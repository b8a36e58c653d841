# SPDX-License-Identifier: Apache-2.0
"""A client that leaves frees what it held within a second: in the queue, in prefill, in decode."""
import os
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

RUNNING, WAITING = "ssmd_requests_running", "ssmd_requests_waiting"
SLOTS, PAGES = "ssmd_state_slots_used", "ssmd_kv_pages_used"


def reset(s):
    """Closes with RST."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def half_close(s):
    s.shutdown(socket.SHUT_WR)


class Hangup(unittest.TestCase):
    SLOW = {"FAKE_STEP_US": "20000"}

    def free_long_before_its_end(self, d, leave, s, what=RUNNING, left=0):
        leave(s)
        took = d.wait_metric(what, lambda v: v == left)
        self.assertLess(took, 30)  # of the minute that it would decode
        s.close()

    def test_decode(self):
        for stream in (True, False):
            for leave in (socket.socket.close, reset, half_close):
                with self.subTest(stream=stream, leave=leave), \
                        wire.Daemon(env=self.SLOW) as d:
                    s = d.open_stream(stream=stream, max_tokens=3000)
                    d.wait_metric("ssmd_generation_tokens_total", lambda v: v > 2)
                    self.free_long_before_its_end(d, leave, s)
                    d.wait_metric(SLOTS, lambda v: v == 0)
                    m = d.metrics()
                    self.assertEqual(m[PAGES], 0)
                    self.assertEqual(m['ssmd_requests_finished_total{reason="abort"}'], 1)
                    self.assertLess(m["ssmd_generation_tokens_total"], 3000)

    def test_prefill(self):
        for leave in (socket.socket.close, reset, half_close):
            with self.subTest(leave=leave), \
                    wire.Daemon("--step-rows", 4, env=self.SLOW) as d:
                s = d.open_stream(prompt=[65] * 3000, max_tokens=8)
                d.wait_metric(RUNNING, lambda v: v == 1)
                self.free_long_before_its_end(d, leave, s)
                d.wait_metric(SLOTS, lambda v: v == 0)
                m = d.metrics()
                self.assertEqual(m[PAGES], 0)
                self.assertEqual(m["ssmd_generation_tokens_total"], 0)

    def test_queue(self):
        with wire.Daemon("--max-seqs", 1, env=self.SLOW) as d:
            first = d.open_stream(max_tokens=3000)
            d.wait_metric(RUNNING, lambda v: v == 1)
            for leave in (socket.socket.close, reset, half_close):
                s = d.open_stream(max_tokens=10)
                d.wait_metric(WAITING, lambda v: v == 1)
                self.free_long_before_its_end(d, leave, s, WAITING)
            self.assertEqual(d.metric(RUNNING), 1)
            first.close()

    def test_others_are_not_touched(self):
        with wire.Daemon(env=self.SLOW) as d:
            want = d.complete(max_tokens=40, prompt="the same")[2]["choices"][0]["text"]
            stay = d.open_stream(max_tokens=40, prompt="the same")
            goers = [d.open_stream(max_tokens=3000, prompt="p%d" % i) for i in range(20)]
            d.wait_metric(RUNNING, lambda v: v == 21)
            for i, s in enumerate(goers):
                reset(s) if i % 2 else s.close()
            import json
            data, ended = wire.dechunk(wire.read_all_from(stay))
            self.assertTrue(ended)
            text = "".join(c["text"] for e in wire.sse(data)[:-1]
                           for c in json.loads(e)["choices"])
            self.assertEqual(text, want)
            d.wait_metric(RUNNING, lambda v: v == 0)

    def test_many_aborts(self):
        with wire.Daemon("--queue-limit", 20000) as d:
            for i in range(10000):
                s = d.open_stream(max_tokens=50, prompt="abort %d" % i)
                reset(s) if i % 3 else s.close()
            d.wait_metric(RUNNING, lambda v: v == 0)
            d.wait_metric(WAITING, lambda v: v == 0)
            d.wait_metric(SLOTS, lambda v: v == 0)
            self.assertEqual(d.metric(PAGES), 0)
            self.assertEqual(d.complete()[0], 200)

    def test_leaves_while_sending(self):
        with wire.Daemon() as d:
            for _ in range(50):
                s = d.connect()
                s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n"
                          b"Content-Type: application/json\r\n\r\n{\"prompt\":")
                reset(s)
            self.assertEqual(d.complete()[0], 200)
            d.wait_metric("ssmd_open_connections", lambda v: v == 1)


class Unread(unittest.TestCase):
    def unread(self, d):
        d.wait_metric("ssmd_stream_buffer_bytes", lambda v: v > 4096)

    def test_the_bound_is_ours(self):
        """Readers with the system's own buffers are paused after some hundred KiB; what they
        have not read counts in the budget, and is given back."""
        with wire.Daemon(env={"FAKE_TOKEN_BYTES": "4000"}) as d:
            idle = d.metric("ssmd_request_bytes_used")
            socks = [d.open_stream(max_tokens=4000) for _ in range(4)]
            d.wait_metric("ssmd_request_bytes_used", lambda v: v > 4 * (256 << 10))
            d.wait_metric("ssmd_stream_buffer_bytes", lambda v: v > 4 * (200 << 10))
            d.wait_metric("ssmd_generation_tokens_total", lambda v: v >= 4 * 60)
            self.assertLess(d.metric("ssmd_generation_tokens_total"), 4 * 2000)
            self.assertEqual(d.complete()[0], 200)
            for s in socks:
                s.close()
            d.wait_metric("ssmd_request_bytes_used", lambda v: v <= idle + 4096)

    def test_paused_then_cancelled(self):
        """A reader that never reads: its sequence pauses, then ends; others go on."""
        with wire.Daemon("--stream-buffer-bytes", 4096, "--stream-stall-timeout", 2,
                         env={"FAKE_TOKEN_BYTES": "4000"}) as d:
            s = d.open_stream(rcvbuf=2048, max_tokens=4000, n=8, logprobs=5)
            self.unread(d)
            time.sleep(0.5)
            before = d.metrics()
            time.sleep(0.5)
            after = d.metrics()
            name = "ssmd_generation_tokens_total"
            self.assertEqual(before[name], after[name])
            self.assertEqual(after[RUNNING], 1)
            self.assertEqual(d.complete()[0], 200)
            d.wait_metric(RUNNING, lambda v: v == 0)
            self.assertEqual(d.metric("ssmd_stream_buffer_bytes"), 0)
            s.close()

    def test_paused_then_resumed(self):
        """A reader that comes back gets every byte."""
        import json
        with wire.Daemon("--stream-buffer-bytes", 4096,
                         env={"FAKE_TOKEN_BYTES": "4000"}) as d:
            s = d.open_stream(rcvbuf=32768, max_tokens=400, n=8, logprobs=5)
            self.unread(d)
            time.sleep(1)
            data, ended = wire.dechunk(wire.read_all_from(s))
            self.assertTrue(ended)
            events = wire.sse(data)
            self.assertEqual(events[-1], "[DONE]")
            tokens = [0] * 8
            for e in events[:-1]:
                for c in json.loads(e)["choices"]:
                    if c["logprobs"]:
                        tokens[c["index"]] += len(c["logprobs"]["tokens"])
            self.assertEqual(tokens, [400] * 8)


if __name__ == "__main__":
    wire.main()

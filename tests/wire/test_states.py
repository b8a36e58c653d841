# SPDX-License-Identifier: Apache-2.0
"""State objects over HTTP: stored and given back as they are, found wrong when a bit is, seen by
their tenant only, within quotas, and never half there. FAKE_SLOT_BYTES makes them large.
"""
import http.client
import json
import os
import random
import resource
import signal
import socket
import stat
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import objects
import wire

TOKENS = [104, 101, 108, 108, 111] * 7
FDS, MEMORY = "process_open_fds", "process_resident_memory_bytes"


def key(name):
    return {"Authorization": "Bearer " + name}


class Case(unittest.TestCase):
    def setUp(self):
        self.temp = tempfile.TemporaryDirectory(prefix="ssmd-states-")
        self.dir = os.path.join(self.temp.name, "states")
        self.addCleanup(self.temp.cleanup)

    def daemon(self, *flags, **more):
        return wire.Daemon("--state-dir", self.dir, *flags, **more)

    def files(self):
        """Every file below the directory, temporaries among them."""
        return sorted(os.path.join(os.path.relpath(at, self.dir), f)
                      for at, _, names in os.walk(self.dir) for f in names)

    def wait_files(self, expected, timeout=wire.LIMIT):
        end = time.monotonic() + timeout
        while self.files() != expected and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(self.files(), expected)

    def wait_temp(self):
        end = time.monotonic() + 5
        while not any(".new-" in f for f in self.files()) and time.monotonic() < end:
            time.sleep(0.01)

    def refused(self, answer, status, code):
        got, head, body = answer
        self.assertEqual(got, status, body)
        error = json.loads(body)["error"]
        self.assertEqual((error["code"], error["type"]),
                         (code, "server_error" if status >= 500 else "invalid_request_error"))
        self.assertNotIn(self.temp.name, error["message"])
        return error


def put(d, name, body, **more):
    return d.call("PUT", "/v1/states/" + name, body, **more)


def get(d, name, **more):
    return d.call("GET", "/v1/states/" + name, **more)


def names(d, **more):
    return [o["name"] for o in json.loads(d.call("GET", "/v1/states", **more)[2])["data"]]


class Routes(Case):
    def test_without_a_directory_there_are_no_routes(self):
        with wire.Daemon() as d:
            for method, path in (("GET", ""), ("GET", "/a"), ("PUT", "/a"), ("DELETE", "/a")):
                answer = d.call(method, "/v1/states" + path, b"x" if method == "PUT" else None)
                self.refused(answer, 404, "not_found")
            status, _, answer = d.complete(state={"save": "a"})
            self.assertEqual((status, answer["error"]["param"]), (400, "state"))

    def test_an_objects_life(self):
        one, two = objects.make(TOKENS), objects.make(TOKENS + [33] * 40)
        with self.daemon() as d:
            self.assertEqual(names(d), [])
            self.refused(get(d, "a"), 404, "not_found")
            self.refused(d.call("DELETE", "/v1/states/a"), 404, "not_found")
            status, head, body = put(d, "a", one)
            self.assertEqual(status, 201)
            said = json.loads(body)
            self.assertLess(abs(said.pop("created") - time.time()), 60)
            self.assertEqual(said, {"name": "a", "object": "state", "bytes": len(one),
                                    "depth": len(TOKENS) - 1})
            status, head, body = get(d, "a")
            self.assertEqual((status, body), (200, one))
            self.assertEqual(head["content-type"], "application/octet-stream")
            self.assertEqual(head["content-length"], str(len(one)))
            status, head, body = d.call("HEAD", "/v1/states/a")
            self.assertEqual((status, head["content-length"], body), (200, str(len(one)), b""))
            status, _, body = put(d, "a", two)
            self.assertEqual((status, body), (204, b""))
            self.assertEqual(get(d, "a")[2], two)
            self.assertEqual(put(d, "B.-_", one)[0], 201)
            status, _, body = d.call("GET", "/v1/states")
            listed = json.loads(body)
            self.assertEqual((status, listed["object"]), (200, "list"))
            self.assertEqual([(o["name"], o["bytes"], o["depth"]) for o in listed["data"]],
                             [("B.-_", len(one), 34), ("a", len(two), 74)])
            status, _, body = d.call("DELETE", "/v1/states/a")
            self.assertEqual((status, body), (204, b""))
            self.refused(get(d, "a"), 404, "not_found")
            self.assertEqual(self.files(), ["t-/B.-_"])
            self.assertEqual(d.call("POST", "/v1/states/a", "{}")[0], 405)
            self.assertEqual(d.call("OPTIONS", "/v1/states/a")[1]["allow"],
                             "GET, HEAD, PUT, DELETE, OPTIONS")

    def test_what_is_no_name_is_400(self):
        good = objects.make(TOKENS)
        outside = os.path.join(self.temp.name, "outside")
        with open(outside, "w") as f:
            f.write("precious")
        with self.daemon() as d:
            self.assertEqual(put(d, "a", good)[0], 201)
            for name in ("..", ".", "%2e%2e", "..%2foutside", "../outside", "../../outside",
                         "../../../../etc/passwd", ".hidden", ".new-0", "a/b", "a%2Fb", "a%20b",
                         "a%5c", "x" * 65, "%c3%a9", "t-/a", "a:", "a%3f"):
                for method in ("GET", "PUT", "DELETE", "HEAD"):
                    answer = d.call(method, "/v1/states/" + name, good if method == "PUT" else None)
                    with self.subTest(name=name, method=method):
                        self.assertEqual(answer[0], 400)
                        if method != "HEAD":
                            self.refused(answer, 400, None)
            self.assertEqual(d.call("GET", "/v1/states/a%00")[0], 400)
            self.assertEqual(d.call("GET", "/v1/states/")[0], 404)
            self.assertEqual(self.files(), ["t-/a"])
        with open(outside) as f:
            self.assertEqual(f.read(), "precious")

    def test_bodies_come_in_any_way(self):
        body = objects.make(TOKENS)
        with self.daemon() as d:
            c = http.client.HTTPConnection("127.0.0.1", d.port, timeout=wire.LIMIT)
            c.request("PUT", "/v1/states/a", iter([body[i:i + 7] for i in range(0, len(body), 7)]),
                      encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
            answer = c.getresponse()
            self.assertEqual((answer.status, answer.read()[:1]), (201, b"{"))
            c.request("GET", "/v1/states/a")
            self.assertEqual(c.getresponse().read(), body)
            c.request("PUT", "/v1/states/a", body)
            self.assertEqual(c.getresponse().status, 204)
            c.close()
            s = d.connect()
            s.sendall(b"PUT /v1/states/b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                      b"Content-Length: %d\r\n\r\n" % len(body))
            wire.read_until(s, b"HTTP/1.1 100 Continue\r\n\r\n")
            s.sendall(body)
            wire.read_until(s, b"HTTP/1.1 201 ")
            s.close()
            pieces = b"".join(b"PUT /v1/states/%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
                              % (i, len(body), body) for i in range(5))
            s = d.connect()
            s.sendall(pieces + b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertEqual(wire.statuses(wire.read_all(s)), [201] * 5 + [200])
            s.close()

    def test_no_key_no_object(self):
        with self.daemon("--api-key", "secret") as d:
            for method, path in (("GET", ""), ("GET", "/a"), ("PUT", "/a"), ("DELETE", "/a")):
                answer = d.call(method, "/v1/states" + path, b"x" if method == "PUT" else None)
                self.refused(answer, 401, "invalid_api_key")
            self.assertEqual(self.files(), [])


    def test_the_body_is_taken_as_it_is_or_not_at_all(self):
        body = objects.make(TOKENS)
        with self.daemon() as d:
            error = self.refused(put(d, "a", body, headers={"Content-Encoding": "gzip"}), 415,
                                 "unsupported_media_type")
            self.assertIn("Content-Encoding", error["message"])
            self.assertEqual(self.files(), [])
            for n, head in enumerate(({"Content-Encoding": "identity"}, {"Content-Type": "x/y"})):
                self.assertEqual(put(d, "n%d" % n, body, headers=head)[0], 201)

    def test_what_is_stored_and_refused_is_counted(self):
        stored = 'ssmd_http_requests_total{route="/v1/states/{id}",code="201"}'
        with self.daemon() as d:
            self.assertEqual(d.metric('ssmd_checkpoints_total{op="reject"}'), 0)
            self.assertEqual(put(d, "a", objects.make(TOKENS))[0], 201)
            self.assertEqual(put(d, "a", objects.make(TOKENS, model=1))[0], 409)
            self.assertEqual(put(d, "a", objects.make(TOKENS)[:-1])[0], 409)
            d.wait_metric(stored, lambda v: v == 1)
            d.wait_metric('ssmd_checkpoints_total{op="reject"}', lambda v: v == 2)


class Wrong(Case):
    def test_every_bit_of_the_head_and_a_thousand_of_the_body(self):
        good = objects.make(TOKENS)
        body_at = objects.HEAD + (len(TOKENS) * 4 + 63) // 64 * 64
        bits = list(range(body_at * 8))
        bits += random.Random(5).sample(range(body_at * 8, len(good) * 8), 1000)
        with self.daemon() as d:
            self.assertEqual(put(d, "a", good)[0], 201)
            c = http.client.HTTPConnection("127.0.0.1", d.port, timeout=wire.LIMIT)
            for bit in bits:
                bad = bytearray(good)
                bad[bit // 8] ^= 1 << bit % 8
                c.request("PUT", "/v1/states/a", bytes(bad))
                answer = c.getresponse()
                text = answer.read()
                if answer.status != 409 or b'"state_mismatch"' not in text:
                    self.fail("bit %d: %d %s" % (bit, answer.status, text))
            c.close()
            self.assertEqual(get(d, "a")[2], good)
            self.assertEqual(self.files(), ["t-/a"])

    def test_what_does_not_fit_says_what(self):
        good = objects.make(TOKENS)
        cases = [("model", objects.make(TOKENS, model=1)),
                 ("tokenizer", objects.make(TOKENS, tokenizer=1)),
                 ("constant part", objects.make(TOKENS, slot=2048)),
                 ("page", objects.make(TOKENS, page=512)), ("types", objects.make(TOKENS, weights=8)),
                 ("K/V", objects.make(TOKENS, kv=2)), ("math", objects.make(TOKENS, math=1)),
                 ("rotary", objects.make(TOKENS, rope=99)),
                 ("tenant", objects.make(TOKENS, tenant="bob")),
                 ("tokens[3]", objects.make([1, 2, 3, 257])),
                 ("tokens[0]", objects.make([-1, 2])),
                 ("tokens", objects.make([1] * 4097)), ("depth", objects.make([1] * 9, depth=7)),
                 ("bytes", b""), ("bytes", good[:255]), ("bytes", good[:256]),
                 ("bytes", good[:-1]), ("bytes", good + b"\0"), ("begin", b"\0" * 300),
                 ("begin", b"{}" * 4000)]
        with self.daemon() as d:
            for words, body in cases:
                with self.subTest(words):
                    error = self.refused(put(d, "a", body), 409, "state_mismatch")
                    self.assertIn(words, error["message"])
            self.assertEqual(self.files(), [])
            self.assertEqual(put(d, "a", objects.make(TOKENS, depth=len(TOKENS)))[0], 201)

    def test_tenants_see_only_their_own(self):
        keys = os.path.join(self.temp.name, "keys")
        with open(keys, "w") as f:
            f.write("alice:a\nbob:b\n../../x:c\n")
        alice, bob, odd = ({"headers": key(x)} for x in "abc")
        mine = objects.make(TOKENS, tenant="alice")
        with self.daemon("--api-keys-file", keys) as d:
            self.assertEqual(put(d, "s", mine, **alice)[0], 201)
            self.refused(get(d, "s", **bob), 404, "not_found")
            self.refused(d.call("DELETE", "/v1/states/s", **bob), 404, "not_found")
            self.assertEqual((names(d, **alice), names(d, **bob)), (["s"], []))
            error = self.refused(put(d, "s", mine, **bob), 409, "state_mismatch")
            self.assertNotIn("alice", error["message"])
            self.assertEqual(put(d, "s", objects.make(TOKENS, tenant="bob"), **bob)[0], 201)
            self.assertEqual(get(d, "s", **alice)[2], mine)
            self.assertEqual(put(d, "s", objects.make(TOKENS, tenant="../../x"), **odd)[0], 201)
            self.assertEqual(self.files(), ["t-=2E=2E=2F=2E=2E=2Fx/s", "t-alice/s", "t-bob/s"])

    def test_links_lead_nowhere(self):
        good = objects.make(TOKENS)
        outside = os.path.join(self.temp.name, "outside")
        with open(outside, "wb") as f:
            f.write(good)
        with self.daemon() as d:
            self.assertEqual(put(d, "real", good)[0], 201)
            os.symlink(outside, os.path.join(self.dir, "t-", "link"))
            os.mkfifo(os.path.join(self.dir, "t-", "pipe"))
            os.mkdir(os.path.join(self.dir, "t-", "folder"))
            for name in ("link", "pipe", "folder"):
                self.refused(get(d, name), 404, "not_found")
                self.refused(d.call("DELETE", "/v1/states/" + name), 404, "not_found")
            self.assertEqual(names(d), ["real"])
            os.unlink(outside)
            self.assertIn(put(d, "link", good)[0], (201, 204))
            self.assertFalse(os.path.exists(outside))
            self.assertEqual(get(d, "link")[2], good)

    def test_files_that_others_put_there(self):
        with self.daemon() as d:
            self.assertEqual(put(d, "a", objects.make(TOKENS))[0], 201)
            with open(os.path.join(self.dir, "t-", "junk"), "w") as f:
                f.write("junk")
            with open(os.path.join(self.dir, "t-", "no name"), "w") as f:
                f.write("junk")
            listed = json.loads(d.call("GET", "/v1/states")[2])["data"]
            self.assertEqual([(o["name"], o["depth"]) for o in listed], [("a", 34), ("junk", None)])
            self.assertEqual(get(d, "junk")[2], b"junk")
            self.refused(get(d, "no%20name"), 400, None)


class Bounds(Case):
    def test_quotas(self):
        keys = os.path.join(self.temp.name, "keys")
        with open(keys, "w") as f:
            f.write("alice:a\nbob:b\n")
        alice, bob = {"headers": key("a")}, {"headers": key("b")}
        one = objects.make(TOKENS, tenant="alice")
        other = objects.make(TOKENS, tenant="bob")
        n = len(one)
        with self.daemon("--api-keys-file", keys, "--state-tenant-bytes", 2 * n,
                         "--state-total-bytes", 3 * n, "--state-max-object-bytes", n) as d:
            for name in "ab":
                self.assertEqual(put(d, name, one, **alice)[0], 201)
            self.refused(put(d, "c", one, **alice), 413, "state_quota_exceeded")
            self.assertEqual(put(d, "a", one, **alice)[0], 204)  # in its own place
            self.assertEqual(put(d, "a", other, **bob)[0], 201)
            self.refused(put(d, "b", other, **bob), 413, "state_quota_exceeded")
            self.assertEqual(d.call("DELETE", "/v1/states/b", **alice)[0], 204)
            self.assertEqual(put(d, "b", other, **bob)[0], 201)
            self.assertEqual(self.files(), ["t-alice/a", "t-bob/a", "t-bob/b"])
            large = objects.make(TOKENS + [33] * 100, tenant="alice")
            self.refused(put(d, "a", large, **alice), 413, "body_too_large")
            c = http.client.HTTPConnection("127.0.0.1", d.port, timeout=wire.LIMIT)
            c.request("PUT", "/v1/states/a", iter([large]), encode_chunked=True,
                      headers={"Transfer-Encoding": "chunked", **key("a")})
            self.assertEqual(c.getresponse().status, 413)
            c.close()
            self.assertEqual(get(d, "a", **alice)[2], one)

    def test_two_daemons_share_the_quotas(self):
        size = 1 << 20
        big, env = objects.make(TOKENS, slot=size), {"FAKE_SLOT_BYTES": str(size)}
        flags = ("--state-tenant-bytes", 2 * len(big) - 1)
        with self.daemon(*flags, env=env) as one, self.daemon(*flags, env=env) as two:
            s = one.connect()
            s.sendall(b"PUT /v1/states/a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                      % len(big) + big[:500000])
            self.wait_temp()
            self.refused(put(two, "b", big), 413, "state_quota_exceeded")
            s.sendall(big[500000:])
            wire.read_until(s, b"HTTP/1.1 201 ")
            s.close()
            self.refused(put(two, "b", big), 413, "state_quota_exceeded")
            self.assertEqual(put(two, "a", big)[0], 204)

    def test_uploads_that_only_begin_cost_others_nothing(self):
        keys = os.path.join(self.temp.name, "keys")
        with open(keys, "w") as f:
            f.write("alice:a\nbob:b\n")
        mine, other = objects.make(TOKENS, tenant="alice"), objects.make(TOKENS, tenant="bob")
        head = (b"PUT /v1/states/%%d HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\n"
                b"Content-Length: %d\r\n\r\n" % len(mine))
        with self.daemon("--api-keys-file", keys, "--max-body-bytes", 65536) as d:
            begun = []
            for i in range(80):
                s = d.connect()
                s.sendall(head % i)
                begun.append(s)
            self.assertEqual(d.complete(headers=key("b"))[0], 200)
            self.assertEqual(put(d, "a", mine, headers=key("a"))[0], 201)
            for s in begun[:64]:
                s.sendall(mine[:1])
            d.wait_metric("ssmd_open_connections", lambda v: v == 81)
            end = time.monotonic() + 10  # until the last of those bytes is read
            while get(d, "a", headers=key("a"))[0] != 429 and time.monotonic() < end:
                time.sleep(0.02)
            status, answer, body = put(d, "c", mine, headers=key("a"))
            self.assertEqual((status, "retry-after" in answer), (429, True), body)
            self.assertEqual(get(d, "a", headers=key("a"))[0], 429)
            begun[64].sendall(mine)
            wire.read_until(begun[64], b"HTTP/1.1 429 ")
            self.assertEqual(put(d, "a", other, headers=key("b"))[0], 201)
            self.assertEqual(get(d, "a", headers=key("b"))[2], other)
            self.assertEqual(d.complete(headers=key("b"))[0], 200)
            for s in begun[:64]:
                s.sendall(mine[1:])
                wire.read_until(s, b"HTTP/1.1 201 ")
            self.assertEqual(get(d, "a", headers=key("a"))[2], mine)
            for s in begun:
                s.close()

    def test_size_costs_no_memory(self):
        size = 96 << 20
        noise = random.Random(3).randbytes(1 << 20)
        big = objects.make(TOKENS, slot=size, fill=lambda n: (noise * (n // len(noise) + 1))[:n])
        with self.daemon(env={"FAKE_SLOT_BYTES": str(size)}) as d:
            d.call("GET", "/v1/states")
            time.sleep(1.1)  # the page is a second old at most
            before = d.metric(MEMORY)
            self.assertEqual(put(d, "big", big)[0], 201)
            status, head, body = get(d, "big")
            self.assertEqual((status, head["content-length"]), (200, str(len(big))))
            self.assertTrue(body == big)
            time.sleep(1.1)
            self.assertLess(d.metric(MEMORY) - before, 48 << 20)

    def test_a_disk_that_is_full(self):
        def small_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000))

        size = 1 << 20
        big = objects.make(TOKENS, slot=size)
        with self.daemon(env={"FAKE_SLOT_BYTES": str(size)}, preexec=small_files) as d:
            self.refused(put(d, "a", big), 507, "storage_full")
            self.assertEqual(self.files(), [])
            self.assertEqual(d.call("GET", "/livez")[0], 200)
            self.assertEqual(len(d.events("fault", 1)), 1)

    @unittest.skipUnless(os.getuid() == 0, "only root may become somebody else")
    def test_a_directory_that_may_not_be_written(self):
        def nobody():
            os.setgid(65534)
            os.setuid(65534)

        good = objects.make(TOKENS)
        with self.daemon() as d:
            self.assertEqual(put(d, "a", good)[0], 201)
        os.chmod(self.temp.name, 0o755)
        for at, folders, files in os.walk(self.dir):
            os.chmod(at, 0o555)
            for f in files:
                os.chmod(os.path.join(at, f), 0o444)
        try:
            with self.daemon(preexec=nobody) as d:
                self.assertEqual(get(d, "a")[2], good)
                self.refused(put(d, "a", good), 500, None)
                self.refused(put(d, "b", good), 500, None)
                self.refused(d.call("DELETE", "/v1/states/a"), 500, None)
                self.assertEqual(get(d, "a")[2], good)
        finally:
            os.chmod(os.path.join(self.dir, "t-"), stat.S_IRWXU)
            os.chmod(self.dir, stat.S_IRWXU)

    def test_an_upload_that_stops_is_408(self):
        big = objects.make(TOKENS, slot=1 << 20)
        with self.daemon("--body-timeout", 1, env={"FAKE_SLOT_BYTES": str(1 << 20)}) as d:
            s = d.connect()
            s.sendall(b"PUT /v1/states/a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                      % len(big) + big[:200000])
            self.assertEqual(wire.statuses(wire.read_all(s)), [408])
            s.close()
            self.wait_files([])


    def test_chunks_larger_and_smaller_than_a_lane(self):
        size = 3 << 20
        big = objects.make(TOKENS, slot=size, fill=random.Random(4).randbytes)
        with self.daemon(env={"FAKE_SLOT_BYTES": str(size)}) as d:
            for n in (1000, 131071, 131073, len(big)):
                c = http.client.HTTPConnection("127.0.0.1", d.port, timeout=wire.LIMIT)
                c.request("PUT", "/v1/states/n%d" % n,
                          iter([big[i:i + n] for i in range(0, len(big), n)]),
                          encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
                self.assertEqual(c.getresponse().status, 201)
                c.close()
                self.assertTrue(get(d, "n%d" % n)[2] == big)


    def test_a_refusal_is_told_though_much_more_comes(self):
        wrong = objects.make(TOKENS, model=1)
        with self.daemon() as d:
            s = d.connect()
            s.sendall(b"PUT /v1/states/a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                      % (120 << 20) + wrong)
            try:
                for _ in range(119):
                    s.sendall(bytes(1 << 20))
            except OSError:
                pass
            self.assertEqual(wire.statuses(wire.read_all(s)), [409])
            s.close()
            self.assertEqual(d.metric('ssmd_checkpoints_total{op="reject"}'), 1)

    def test_a_late_refusal_leaves_time_for_the_rest(self):
        wrong = objects.make(TOKENS, slot=300000, model=1)
        with self.daemon() as d:
            s = d.connect()
            s.sendall(b"PUT /v1/states/a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                      % len(wrong))
            time.sleep(5.2)  # longer than a refused body may take
            s.sendall(wrong[:200000])
            time.sleep(1)
            s.sendall(wrong[200000:] + b"GET /livez HTTP/1.1\r\nHost: x\r\n"
                      b"Connection: close\r\n\r\n")
            self.assertEqual(wire.statuses(wire.read_all(s)), [409, 200])
            s.close()


class Leaving(Case):
    BIG = {"FAKE_SLOT_BYTES": str(8 << 20)}

    def big(self):
        return objects.make(TOKENS, slot=8 << 20)

    def begin(self, d, body, part):
        s = d.connect()
        s.sendall(b"PUT /v1/states/a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
        s.sendall(body[:part])
        return s

    def test_in_the_middle_of_an_upload(self):
        body = self.big()
        with self.daemon(env=self.BIG) as d:
            d.call("GET", "/livez")
            fds = d.metric(FDS)
            for part in (0, 100, 300, 200000, 4 << 20, len(body) - 1):
                s = self.begin(d, body, part)
                if part > 200000:
                    self.wait_temp()
                s.close()
                self.wait_files([])
            self.assertEqual(names(d), [])
            time.sleep(1.2)
            d.wait_metric(FDS, lambda v: v <= fds)

    def test_in_the_middle_of_an_answer(self):
        body = self.big()
        with self.daemon(env=self.BIG) as d:
            self.assertEqual(put(d, "a", body)[0], 201)
            time.sleep(1.1)
            fds = d.metric(FDS)
            for _ in range(8):
                s = d.connect()
                s.sendall(wire.request("GET", "/v1/states/a"))
                s.recv(1000)
                s.close()
            time.sleep(1.2)
            d.wait_metric(FDS, lambda v: v <= fds)
            self.assertEqual(get(d, "a")[2], body)

    def test_who_reads_too_slowly_is_cut(self):
        with self.daemon("--body-timeout", 1, env=self.BIG) as d:
            self.assertEqual(put(d, "a", self.big())[0], 201)
            slow = []
            for _ in range(2):
                s = socket.socket()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)  # small sending buffers
                s.connect(("127.0.0.1", d.port))
                s.sendall(wire.request("GET", "/v1/states/a"))
                slow.append(s)
            end = time.monotonic() + 30
            while d.metric("ssmd_open_connections") > 1 and time.monotonic() < end:
                slow[1].recv(512)  # the other one reads nothing
                time.sleep(0.02)
            d.wait_metric("ssmd_open_connections", lambda v: v == 1)
            cut = d.events("request", 2, route="/v1/states/{id}", status=200)
            self.assertEqual([r["sent"] for r in cut], [False, False])
            for s in slow:
                s.close()

    def test_an_object_is_read_as_it_was_when_it_is_replaced(self):
        old, new = self.big(), objects.make(TOKENS + [1], slot=8 << 20)
        with self.daemon(env=self.BIG) as d:
            self.assertEqual(put(d, "a", old)[0], 201)
            s = d.connect()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            s.sendall(wire.request("GET", "/v1/states/a"))
            first = s.recv(1000)
            self.assertEqual(put(d, "a", new)[0], 204)
            while b"\r\n\r\n" not in first:
                first += s.recv(1000)
            begun = first.partition(b"\r\n\r\n")[2]
            self.assertTrue(begun + s.makefile("rb").read(len(old) - len(begun)) == old)
            self.assertEqual(get(d, "a")[2], new)
            s.close()

    def test_many_at_one_name(self):
        bodies = [objects.make(TOKENS + [i], slot=1 << 20) for i in range(8)]
        with self.daemon(env={"FAKE_SLOT_BYTES": str(1 << 20)}) as d:
            got = [None] * 8

            def one(i):
                got[i] = put(d, "a", bodies[i])[0]

            threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual(sorted(got), [201] + [204] * 7)
            self.assertIn(get(d, "a")[2], bodies)
            self.assertEqual(self.files(), ["t-/a"])

    def test_killed_in_the_middle(self):
        old, new = self.big(), objects.make(TOKENS + [1], slot=8 << 20)
        d = self.daemon(env=self.BIG)
        self.assertEqual(put(d, "a", old)[0], 201)
        s = self.begin(d, new, 4 << 20)
        self.wait_temp()
        self.assertEqual(len(self.files()), 2)
        d.proc.kill()
        d.proc.wait()
        s.close()
        d.reader.join(5)
        d.proc.stderr.close()
        with self.daemon(env=self.BIG) as d:
            self.assertEqual(self.files(), ["t-/a"])
            self.assertEqual(get(d, "a")[2], old)

    def test_an_upload_ends_before_the_daemon_does(self):
        body = self.big()
        with self.daemon(env=self.BIG) as d:
            s = self.begin(d, body, 4 << 20)
            self.wait_temp()
            time.sleep(1.2)
            d.signal(signal.SIGTERM)
            d.wait_line("phase", 3)  # serving, grace, draining
            s.sendall(body[4 << 20:])
            wire.read_until(s, b"HTTP/1.1 201 ")
            s.close()
        self.assertEqual(self.files(), ["t-/a"])


class Shared(Case):
    def test_two_daemons_share_a_directory(self):
        body = objects.make(TOKENS)
        with self.daemon() as one:
            s = one.connect()
            s.sendall(b"PUT /v1/states/b HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n"
                      + objects.make(TOKENS, slot=1024)[:1000])
            self.assertEqual(put(one, "a", body)[0], 201)
            with self.daemon() as two:
                self.assertEqual(get(two, "a")[2], body)
                self.assertEqual(put(two, "a", body)[0], 204)
                self.assertEqual(two.call("DELETE", "/v1/states/a")[0], 204)
                self.refused(get(one, "a"), 404, "not_found")
            s.close()

    def test_a_start_removes_only_what_the_dead_left(self):
        size = 1 << 20
        big, env = objects.make(TOKENS, slot=size), {"FAKE_SLOT_BYTES": str(size)}
        with self.daemon(env=env) as one:
            s = one.connect()
            s.sendall(b"PUT /v1/states/b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                      % len(big) + big[:500000])
            self.wait_temp()
            with open(os.path.join(self.dir, "t-", ".new-0123456789abcdef"), "w") as f:
                f.write("left")
            with self.daemon(env=env) as two:
                self.assertEqual(len(self.files()), 1)
                s.sendall(big[500000:])
                wire.read_until(s, b"HTTP/1.1 201 ")
                self.assertEqual(get(two, "b")[2], big)
            s.close()

    def test_a_directory_that_cannot_be_is_a_start_up_error(self):
        import subprocess
        bad = os.path.join(self.temp.name, "no", "such")
        done = subprocess.run([wire.ARGS.ssmd, "serve", "--model", wire.ARGS.model, "--port", "0",
                               "--state-dir", bad], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn(bad, done.stderr)


if __name__ == "__main__":
    wire.main()

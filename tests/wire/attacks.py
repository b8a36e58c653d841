# SPDX-License-Identifier: Apache-2.0
"""The table of attacks: what hostile or broken clients send, and what must come back.

Each row is an Attack: send(d) plays it against a daemon and returns a list of Reply, one for
each request whose answer matters. `want` are the statuses that may come (empty: none is
expected), `within` the seconds to the slowest of them, `flags` what the daemon is started with.
tests/wire/test_attacks.py asserts the statuses, tests/bench/bench_wire.py prints and judges what
happens beside. Clients hold little memory and use one select loop a connection, no library: a
client that refuses to send bad requests is of no use here.
"""
import collections
import json
import re
import select
import socket
import threading
import time

Attack = collections.namedtuple(
    "Attack", "name send want within flags code fills", defaults=((), None, False))
# name   : of the row
# fills  : fills every slot or the queue by design, so a stream may have to wait for its start

LIMIT = 12  # seconds an answer is waited for


class Reply:
    """All that one connection received: its answers in order, seconds to the first byte, and what
    is wrong with their form."""

    def __init__(self, data, seconds, closed):
        self.seconds, self.closed = seconds, closed
        self.answers, self.faults = [], []
        while data:
            data = self._take(data)

    @property
    def status(self):
        return self.answers[0][0] if self.answers else None

    def _take(self, data):
        head, mark, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        found = re.fullmatch(rb"HTTP/1\.[01] (\d\d\d)(?: .*)?", first)
        if not mark or not found:
            self.faults.append("no answer's head: %r" % data[:60])
            return b""
        status = int(found.group(1))
        if status == 100:
            return rest
        fields = [(k.strip().lower(), v.strip()) for k, _, v in (x.partition(b":") for x in lines)]
        length = [v for k, v in fields if k == b"content-length"]
        chunked = (b"transfer-encoding", b"chunked") in fields
        if len(length) + chunked != 1:
            self.faults.append("%d: %d lengths" % (status, len(length)))
            return b""
        body, rest = unchunk(rest) if chunked else (rest[:int(length[0])], rest[int(length[0]):])
        self.answers.append((status, body, dict(fields)))
        self._check(status, [v for k, v in fields if k == b"x-request-id"], body)
        return rest

    def _check(self, status, ids, body):
        if len(ids) != 1:
            self.faults.append("%d: %d X-Request-Id" % (status, len(ids)))
        if status < 400:
            return
        try:
            error = json.loads(body)["error"]
            if set(error) != {"message", "type", "param", "code"}:
                raise KeyError
        except (ValueError, KeyError, TypeError):
            self.faults.append("%d: not our JSON: %r" % (status, body[:60]))

    def code(self):
        try:
            return json.loads(self.answers[0][1])["error"]["code"]
        except (IndexError, ValueError, KeyError):
            return None


def unchunk(data):
    out = b""
    while True:
        size, mark, data = data.partition(b"\r\n")
        n = int(size, 16) if mark else 0
        if n == 0:
            return out, data[2:]
        out, data = out + data[:n], data[n + 2:]


# ---- clients -----------------------------------------------------------------------------

def connect(d, address=None, rcvbuf=None):
    s = socket.socket()
    s.settimeout(LIMIT)
    if rcvbuf:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    if address:
        s.bind((address, 0))
    s.connect(("127.0.0.1", d.port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def exchange(d, pieces, limit=LIMIT, address=None, silent=3):
    """Sends the pieces (bytes, or seconds to wait) while reading; the Reply once the connection
    ended, stayed silent for `silent` seconds after an answer, or `limit` seconds are over."""
    began = time.monotonic()
    try:
        s = connect(d, address)
    except OSError:
        return Reply(b"", time.monotonic() - began, True)
    s.setblocking(False)
    poll, pieces = select.poll(), iter(pieces)
    out, until, got, first, closed, heard = b"", began, b"", None, False, None
    while not closed and time.monotonic() < began + limit:
        now = time.monotonic()
        if heard and now > heard + silent:
            break
        while not out and pieces and now >= until:
            piece = next(pieces, None)
            if piece is None:
                pieces = None
            elif isinstance(piece, bytes):
                out = memoryview(piece)
            else:
                until = now + piece
        poll.register(s, select.POLLIN | (select.POLLOUT if out else 0))
        if not poll.poll(1000 * (max(until - now, 0.001) if pieces and not out else 0.25)):
            continue
        try:
            got += (piece := s.recv(1 << 16))
            first = first or time.monotonic() - began
            heard = time.monotonic()
            closed = not piece
        except BlockingIOError:
            pass
        except OSError:
            closed = True
        try:
            out = out[s.send(out):] if out and not closed else out
        except BlockingIOError:
            pass
        except OSError:
            out, pieces = b"", None  # what was answered before is still read
    s.close()
    return Reply(got, first if got else time.monotonic() - began, closed)


def once(*pieces, **how):
    return lambda d: [exchange(d, pieces, **how)]


def together(n, one):
    """one(i) in n threads; what they returned, in order."""
    out = [None] * n

    def run(i):
        out[i] = one(i)
    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return [x for x in out if x is not None]


def at_once(n, *pieces, **how):
    return lambda d: together(n, lambda i: exchange(d, pieces, **how))


def gone(*pieces):
    """Sends and closes without reading."""
    def send(d):
        s = connect(d)
        try:
            for p in pieces:
                s.sendall(p)
        except OSError:
            pass
        s.close()
        return []
    return send


def head(*lines, method=b"POST", path=b"/v1/completions", close=True):
    first = b"%s %s HTTP/1.1" % (method, path)
    json_type = (b"Content-Type: application/json",) if method == b"POST" else ()
    end = (b"Connection: close",) if close else ()
    return b"\r\n".join((first, b"Host: x") + json_type + end + lines) + b"\r\n\r\n"


def post(body, *lines):
    return head(b"Content-Length: %d" % len(body), *lines) + body


def get(*lines, path=b"/livez"):
    return head(*lines, method=b"GET", path=path)


def chunked(*rest):
    return head(b"Transfer-Encoding: chunked") + b"".join(rest)


def completion(**fields):
    return post(json.dumps({"prompt": "hello", "max_tokens": 1, "temperature": 0,
                            "ignore_eos": True, **fields}).encode())


# ---- the table: one request --------------------------------------------------------------

SMALL = b'{"prompt":"a","max_tokens":1}'
N = b"%d" % len(SMALL)
CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMALL), SMALL)
LENGTH = b"Content-Length: " + N
BAD = (400,)
EXT, ZEROS = b"2d;" + b"a" * 66000, b"0" * 100000
TREE = b'{"prompt":"a","max_tokens":1,"x":[' + b"{}," * 1390000 + b"{}]}"
INNER = get()


def framing():
    for name, line in (("extension", EXT), ("zeros", ZEROS)):
        yield "chunk-size line without end, " + name, once(chunked(line)), (400, 413, 431), 2
        yield ("the same on an unknown path", once(
            head(b"Transfer-Encoding: chunked", path=b"/nowhere") + line), (400, 404, 413, 431), 2)
        yield "the same, closed at once", gone(chunked(line)), (), 2
    for size in (b"-2", b"FFFFFFFFFFFFFFFF", b"10000000000000000", b"0x10", b"zz", b" 5", b""):
        yield ("chunk size '%s'" % size.decode(), once(chunked(size, b"\r\nhello\r\n0\r\n\r\n")),
               (400, 413), 2)
    yield "chunk without its line end", once(chunked(b"2\r\n{}0\r\n\r\n")), BAD, 2
    yield "a million chunks of one byte", once(chunked(), *[b"1\r\n \r\n" * 10000] * 100,
                                               b"0\r\n\r\n"), (400, 413), 10
    yield ("20,000 trailer fields", once(chunked(
        b"%x\r\n%s\r\n0\r\n" % (len(SMALL), SMALL),
        b"".join(b"T-%d: x\r\n" % i for i in range(20000)), b"\r\n")), (400, 431), 2)
    for value in (b"18446744073709551615", b"18446744073709551616", b"9" * 100):
        yield ("Content-Length %s" % (value.decode() if len(value) < 30 else "of 100 digits"),
               once(head(b"Content-Length: " + value) + b"{}"), (400, 413), 2)
    for value in (b"-1", b"1x", b"0x1d", b"+29", b"29 29", b"", b"29, 29", b"29,30"):
        yield ("Content-Length '%s'" % value.decode(),
               once(head(b"Content-Length: " + value) + SMALL), BAD, 2)
    yield "a blank behind the length", once(head(LENGTH + b" ") + SMALL), (200,), 2
    yield "two equal lengths", once(head(LENGTH, LENGTH) + SMALL), BAD, 2
    yield "two lengths", once(head(LENGTH, b"Content-Length: 3") + SMALL), BAD, 2
    yield "chunked bodies work", once(chunked(CHUNK)), (200,), 2


def smuggling():
    chunked_field = b"Transfer-Encoding: chunked"
    for name, fields in (
            ("length and chunked", (LENGTH, chunked_field)),
            ("chunked and length", (chunked_field, LENGTH)),
            ("gzip, chunked", (b"Transfer-Encoding: gzip, chunked",)),
            ("chunked, identity", (b"Transfer-Encoding: chunked, identity",)),
            ("identity", (b"Transfer-Encoding: identity",)),
            ("xchunked", (b"Transfer-Encoding: xchunked",)),
            ("chunked twice", (chunked_field, chunked_field)),
            ("a blank before the colon", (b"Transfer-Encoding : chunked",)),
            ("a blank before the length's colon", (b"Content-Length : %d" % len(INNER),)),
            ("a vertical tab before chunked", (b"Transfer-Encoding:\x0bchunked",)),
            ("a folded field", (LENGTH, b"A: b\r\n folded: c")),
            ("a folded length", (b"Content-Length:\r\n " + N,)),
            ("a field without a colon", (LENGTH, b"No-Colon")),
            ("a field without a name", (LENGTH, b": empty")),
            ("a bare CR in a field", (LENGTH, b"A: b\rContent-Length: 3")),
            ("NUL in a field", (LENGTH, b"A: a\0b")),
            ("two hosts", (LENGTH, b"Host: y"))):
        body = INNER if b"%d" % len(INNER) in fields[0] else CHUNK
        yield name, once(head(*fields) + body), BAD, 2
    yield ("HTTP/1.0 with chunked", once(head(chunked_field).replace(b"/1.1", b"/1.0") + CHUNK),
           (200, 400), 2)
    for line in (b"GET", b"GET /livez", b"GET /livez HTTP/2.0", b"GET /a b HTTP/1.1",
                 b"GET /a\0b HTTP/1.1", b"\x16\x03\x01\x02\x00", b"G\0T / HTTP/1.1",
                 b"GET /livez HTTP/1.1 x", b"GET  /livez HTTP/1.1", b"GET livez HTTP/1.1"):
        yield ("request line %r" % line.decode("latin-1"), once(
            line + b"\r\nHost: x\r\nConnection: close\r\n\r\n"), (400, 404, 505), 2)
    yield "no Host", once(b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n"), BAD, 2
    yield ("bare LF", once(b"GET /livez HTTP/1.1\nHost: x\nConnection: close\n\n"), (200,), 2)
    for method in (b"TRACE", b"PATCH", b"BREW", b"CONNECT"):
        yield method.decode(), once(get().replace(b"GET", method)), (405,), 2
    yield ("CONNECT to an authority", once(get(path=b"example.com:80").replace(
        b"GET", b"CONNECT")), (400, 404, 405), 2)
    for path, want in ((b"/v1%2Fmodels", (404,)), (b"/livez%00", (400, 404)),
                       (b"/v1/states/a%2F..%2Fb", (400, 404)), (b"/v1/states/%00", (400, 404)),
                       (b"/%zz", (400, 404)), (b"/../livez", (400, 404))):
        yield path.decode(), once(get(path=path)), want, 2


def heads():
    yield "a header of 1 MB", once(get(b"X: " + b"a" * (1 << 20))), (431,), 2
    yield "10,000 headers", once(get(*[b"X-%d: y" % i for i in range(10000)])), (431,), 2
    yield "a URI of 1 MB", once(get(path=b"/" + b"a" * (1 << 20))), (414,), 2
    yield "a method of 100,000 bytes", once(b"A" * 100000 + get()), (400, 414, 431), 2
    yield "a URI with 1,000 parameters", once(get(path=b"/livez?" + b"a=1&" * 1000)), (200,), 2
    yield "a URI with 2,000 empty parameters", once(get(path=b"/livez?" + b"&" * 2000)), (200,), 2
    yield "a cookie of 15 KB", once(get(b"Cookie: " + b"c" * 15000)), (200,), 2
    yield "a cookie of 15 KB and a body", once(post(SMALL, b"Cookie: " + b"c" * 15000)), (200,), 2
    for name, field in (("Content-Type", b"text/plain"), ("Content-Encoding", b"gzip")):
        yield ("a second " + name, once(post(SMALL, *(
            (b"Content-Encoding: identity",) if name.endswith("Encoding") else ()),
            b"%s: %s" % (name.encode(), field))), (400, 415), 2)
    yield "Expect: 100-continue", once(head(LENGTH, b"Expect: 100-continue"), 0.1, SMALL), (200,), 3
    yield "Expect of something else", once(post(SMALL, b"Expect: a-miracle")), (200, 400, 417), 2
    yield ("three pipelined requests", once(
        get().replace(b"Connection: close\r\n", b"")
        + post(SMALL).replace(b"Connection: close\r\n", b"") + get()), (200,), 3)


def bodies():
    deep = b"[" * 100000
    for name, body in (
            ("100,000 nested arrays", deep), ("the same in prompt", b'{"prompt":' + deep + b"}"),
            ("the same in an ignored field", b'{"prompt":"a","x":' + deep + b"}"),
            ("100,000 nested objects", b'{"prompt":"a","x":' + b'{"a":' * 100000),
            ("a duplicate key", b'{"prompt":"a","prompt":"b"}'),
            ("1e999", b'{"prompt":"a","temperature":1e999}'),
            ("2^64", b'{"prompt":"a","max_tokens":18446744073709551616}'),
            ("a lone surrogate", b'{"prompt":"\\ud800"}'),
            ("invalid UTF-8", b'{"prompt":"\xff\xfe"}'), ("NaN", b'{"prompt":"a","top_p":NaN}'),
            ("bytes behind the body", b'{"prompt":"a"} x'), ("null", b"null"),
            ("10,000 prompts", b'{"prompt":[' + b'"a",' * 9999 + b'"a"]}'),
            ("a million blanks", b'{"prompt":"' + b" " * 1000000 + b'"}'),
            ("one letter a million times", b'{"prompt":"' + b"a" * 1000000 + b'"}'),
            ("300,000 joiners", b'{"prompt":"' + "\u200d".encode() * 300000 + b'"}')):
        yield name, once(post(body)), (400, 413), 5
    yield ("2^64 in an ignored field", once(
        post(SMALL[:-1] + b',"x":[18446744073709551616]}')), (200,), 2)
    yield "a JSON tree of 4 MB", once(post(TREE)), (413,), 3, (), "body_too_complex"
    yield ("six JSON trees at once", at_once(6, post(TREE)), (413, 429), 6)
    yield ("a string of 50 MB", once(head(b"Content-Length: 50000013"), b'{"prompt":"',
                                     *[b"a" * 1000000] * 50, b'"}'), (413,), 6)
    yield ("eight uploads of 60 MB", at_once(8, head(b"Content-Length: 60000000"),
                                             *[b"a" * 1000000] * 60), (413,), 10)
    yield ("eight chunked uploads of 60 MB", at_once(
        8, chunked(), *[b"10000\r\n" + b"a" * 65536 + b"\r\n"] * 915), (413,), 10)


def clients():
    trickled = [b"POST /v1/comp"] + [x for c in b"letions" * 10 for x in (0.3, b"%c" % c)]
    slow = ("--body-timeout", 2, "--keepalive-idle", 3)
    for name, pieces in (
            ("a request line that trickles", trickled), ("a request line that stops", [b"GET /li"]),
            ("a head that trickles", [head(b"X: y")[:-2]] + [0.3, b"A: b\r\n"] * 30),
            ("a head that stops", [head(b"X: y")[:-2]]),
            ("a body that trickles", [head(b"Content-Length: 500")] + [0.3, b" "] * 30),
            ("a body that stops", [head(b"Content-Length: 500") + b"{"]),
            ("a chunk size that stops", [chunked(b"1")]),
            ("a chunk that trickles", [chunked(b"ff\r\n")] + [0.3, b" "] * 30)):
        yield name, once(*pieces), (408,), 4, slow
    yield ("line ends and nothing else", ended(*[b"\r\n", 0.3] * 30), (400, 408), 5, slow)
    yield "a head, then half closed", half_closed(b"GET /li"), (), 2
    yield "a body, then half closed", half_closed(head(b"Content-Length: 500") + b"{"), (), 2


def ended(*pieces):
    """The connection is ended, with an answer or without one."""
    def send(d):
        r = exchange(d, pieces)
        return [] if r.closed and not r.answers else [r]
    return send


def half_closed(data):
    """The server ends such a connection; a Reply only says that it did not."""
    def send(d):
        s = connect(d)
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        s.settimeout(2)
        try:
            while s.recv(65536):
                pass
        except socket.timeout:
            return [Reply(b"still open", 2, False)]
        except OSError:
            pass
        finally:
            s.close()
        return []
    return send


def single():
    """Rows of one request, or of the same request at once."""
    for rows in (framing, smuggling, heads, bodies, clients):
        for row in rows():
            yield Attack(*row)


def judge(attack, replies, slack=1):
    """What is wrong with the replies of an attack: a list of texts, empty if nothing."""
    wrong = [f for r in replies for f in r.faults]
    for r in replies:
        if not r.answers:
            wrong.append("no answer in %.1f s%s" % (r.seconds, ", closed" if r.closed else ""))
        elif any(s not in attack.want for s, *_ in r.answers):
            wrong.append("answered %s" % ", ".join(str(s) for s, *_ in r.answers))
        elif attack.code and r.code() != attack.code:
            wrong.append("code %s" % r.code())
        elif r.seconds > slack * attack.within:
            wrong.append("answered after %.1f s" % r.seconds)
    return wrong

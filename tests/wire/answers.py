# SPDX-License-Identifier: Apache-2.0
"""What a completion said, streamed or not, as values that can be compared.

Numbers stay the digits that were sent, so equal values are equal bytes. Bodies and frames keep
their bytes too, but for the id, the time, the seed (drawn when none was given) and how much of
the prompt was known from before, which differ by design.
"""
import json
import re
import socket

import wire

PER_REQUEST = re.compile(r'"id":"(?:chat)?cmpl-[^"]*"|"created":\d+|"seed":\d+|"cached_tokens":\d+')


def parse(text):
    return json.loads(text, parse_float=str, parse_int=str)


def bare(text):
    return PER_REQUEST.sub("", text)


# ---- whole answers -----------------------------------------------------------------------

def ask(d, body, path="/v1/completions"):
    """(status, the answer's bytes as bare() leaves them, the answer)."""
    status, _, data = d.call("POST", path, {**body, "stream": False})
    text = data.decode()
    return status, bare(text), parse(text)


def counted(usage):
    """A usage without what was known from before, which is no more than the prompt."""
    if usage is None:
        return None
    details = usage["prompt_tokens_details"]
    if not 0 <= int(details["cached_tokens"]) <= int(usage["prompt_tokens"]):
        raise AssertionError("cached_tokens of %r" % usage)
    return {**usage, "prompt_tokens_details": {**details, "cached_tokens": None}}


def whole(answer):
    """What an answer that was not streamed says: by index, and the usage."""
    said = {}
    for c in answer["choices"]:
        said[int(c["index"])] = {"text": c["text"], "ids": c.get("token_ids"),
                                 "prompt_ids": c.get("prompt_token_ids"),
                                 "reason": c["finish_reason"],
                                 "logprobs": c["logprobs"]}
    return said, counted(answer["usage"])


# ---- streams -----------------------------------------------------------------------------

class Stream:
    """One streamed completion, read as it comes."""
    path = "/v1/completions"

    def __init__(self, d, body):
        asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
        self.sock = d.post(asked, path=self.path)
        self.sock.settimeout(200)
        self.head = wire.read_until(self.sock, b"\r\n\r\n")
        self.head, _, self.raw = self.head.partition(b"\r\n\r\n")
        self.status = wire.statuses(self.head)[0]
        self.events, self.text, self.done = [], b"", False
        self._take()

    def _take(self):
        """Moves whole HTTP chunks from raw to text, whole events from text to events."""
        while not self.done:
            size, found, rest = self.raw.partition(b"\r\n")
            n = int(size, 16) if found else 0
            if not found or len(rest) < n + 2:
                break
            self.text, self.raw = self.text + rest[:n], rest[n + 2:]
            self.done = n == 0
        *events, self.text = self.text.split(b"\n\n")
        self.events += [e[6:].decode() for e in events if e.startswith(b"data: ")]

    def read_some(self):
        """Reads what is there, at least a byte; False at the end."""
        if self.done:
            return False
        piece = self.sock.recv(65536)
        if not piece:
            raise AssertionError("the stream broke off after %r" % self.events[-1:])
        self.raw += piece
        self._take()
        return not self.done

    def read_events(self, n):
        while len(self.events) < n and self.read_some():
            pass

    def read_all(self):
        while self.read_some():
            pass
        self.sock.close()
        return self

    def leave(self, how=socket.socket.close):
        how(self.sock)

    def chunks(self):
        """Parsed, without the [DONE]."""
        return [parse(e) for e in self.events if e != "[DONE]"]

    def frames(self):
        """By index, the bytes of its chunks in order; at None, what belongs to no choice. How
        the chunks of several choices alternate is not part of the promise."""
        by = {}
        for event in self.events:
            choices = [] if event == "[DONE]" else json.loads(event)["choices"]
            by.setdefault(choices[0]["index"] if choices else None, []).append(bare(event))
        return by

    def told(self):
        """What whole() says of the same answer."""
        said, usage = {}, None
        for chunk in self.chunks():
            usage = chunk["usage"] or usage
            for c in chunk["choices"]:
                join(said.setdefault(int(c["index"]), {
                    "text": "", "ids": None, "prompt_ids": None, "reason": None,
                    "logprobs": None}), c)
        return said, counted(usage)


def join(said, chunk):
    said["text"] += chunk["text"]
    said["reason"] = chunk["finish_reason"] or said["reason"]
    if "prompt_token_ids" in chunk:
        said["prompt_ids"] = chunk["prompt_token_ids"]
    if "token_ids" in chunk:
        said["ids"] = (said["ids"] or []) + chunk["token_ids"]
    if chunk["logprobs"]:
        known = said["logprobs"] or {key: [] for key in chunk["logprobs"]}
        said["logprobs"] = {key: known[key] + new for key, new in chunk["logprobs"].items()}


def stream(d, body):
    """Reads a whole streamed completion."""
    s = Stream(d, body)
    if s.status != 200:
        raise AssertionError("%d: %r" % (s.status, s.raw))
    return s.read_all()

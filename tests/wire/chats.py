# SPDX-License-Identifier: Apache-2.0
"""What an answer of /v1/chat/completions said, streamed or not, as values that can be compared;
as answers.py does it for completions.
"""
import json

import answers

PATH = "/v1/chat/completions"


def user(text):
    return [{"role": "user", "content": text}]


def chat(d, content="hello", headers=None, **fields):
    """(status, answer) of one message by a user, unless `messages` are given."""
    body = {"messages": user(content), "temperature": 0, **fields}
    status, _, data = d.call("POST", PATH, body, headers)
    return status, json.loads(data)


def ask(d, body):
    return answers.ask(d, body, PATH)


def whole(answer):
    """What an answer that was not streamed says: by index, and the usage. A list of no tokens'
    log-probabilities is None, as in a stream."""
    said = {}
    for c in answer["choices"]:
        probs = c["logprobs"]
        said[int(c["index"])] = {"message": c["message"], "ids": c.get("token_ids"),
                                 "prompt_ids": c.get("prompt_token_ids"),
                                 "reason": c["finish_reason"],
                                 "logprobs": probs if probs and probs["content"] else None}
    return said, answers.counted(answer["usage"])


class Stream(answers.Stream):
    """One streamed answer, read as it comes."""
    path = PATH

    def told(self):
        """What whole() says of the same answer; a delta out of order is an assertion."""
        said, usage = {}, None
        for chunk in self.chunks():
            usage = chunk["usage"] or usage
            for c in chunk["choices"]:
                join(said.setdefault(int(c["index"]), {
                    "message": None, "ids": None, "prompt_ids": None, "reason": None,
                    "logprobs": None}), c)
        for one in said.values():
            message = one["message"]
            if message.get("tool_calls") and not message["content"]:
                message["content"] = None
        return said, answers.counted(usage)


def join(said, c):
    delta = c["delta"]
    if said["message"] is None:
        if delta != {"role": "assistant", "content": ""} or c["finish_reason"]:
            raise AssertionError("the first chunk is %r" % c)
        said["message"] = {**delta, "refusal": None}
    elif said["reason"] or "role" in delta or bool(delta) == bool(c["finish_reason"]):
        raise AssertionError("chunk %r behind %r" % (c, said))
    else:
        add(said["message"], delta)
    said["reason"] = c["finish_reason"]
    if "prompt_token_ids" in c:
        said["prompt_ids"] = c["prompt_token_ids"]
    if "token_ids" in c:
        said["ids"] = (said["ids"] or []) + c["token_ids"]
    if c["logprobs"]:
        known = said["logprobs"] or {"content": [], "refusal": None}
        said["logprobs"] = {**known, "content": known["content"] + c["logprobs"]["content"]}


def add(message, delta):
    for name in ("content", "reasoning_content"):
        if name in delta:
            message[name] = message.get(name, "") + delta[name]
    for call in delta.get("tool_calls", []):
        calls = message.setdefault("tool_calls", [])
        if int(call["index"]) != len(calls):
            raise AssertionError("call %r behind %r" % (call, calls))
        calls.append({k: v for k, v in call.items() if k != "index"})


def stream(d, body):
    """Reads a whole streamed answer."""
    s = Stream(d, body)
    if s.status != 200:
        raise AssertionError("%d: %r" % (s.status, s.raw))
    return s.read_all()


def refused(d, body, headers=None):
    """(status, error) of a request that must not be answered."""
    status, _, data = d.call("POST", PATH, body, headers)
    error = json.loads(data).get("error")
    if status == 200 or set(error or ()) != {"message", "type", "param", "code"}:
        raise AssertionError("%d: %r" % (status, data[:300]))
    return status, error


def idle(d):
    """Waits until nothing is held."""
    for name in ("ssmd_requests_running", "ssmd_requests_waiting", "ssmd_state_slots_used",
                 "ssmd_kv_pages_used"):
        d.wait_metric(name, lambda v: v == 0)

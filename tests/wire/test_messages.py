# SPDX-License-Identifier: Apache-2.0
"""POST /v1/messages and count_tokens over the stand-in engine: answers whole and streamed, blocks
of every kind, conversations that come back, usage, errors in Anthropic's form, keys in its
header, a drain."""
import json
import os
import signal
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

PATH = "/v1/messages"
CALL = '<tool_call>\n{"name": "f", "arguments": {"a": %s}}\n</tool_call>'
SCRIPT = [
    {"say": "plain é 日本 😀."},
    {"when": "q1", "say": "<think>\nwhy é?\n</think>\n\nso"},
    {"when": "q2", "say": "I look. " + CALL % 1 + "\n" + CALL % '"😀"'},
    {"when": "sunny", "say": "It is sunny."},
    {"when": "q3", "say": "one two three"},
    {"when": "q4", "say": "x" * 3000},
]
TOOLS = [{"name": "f", "description": "F.", "input_schema": {
    "type": "object", "properties": {"a": {}}}}]
FLAGS = ("--chat-template", "chatml", "--tool-format", "hermes", "--served-name", "m")


def events(data):
    """(type, object) of each event; the frame and the type in both places are checked."""
    found = []
    for block in data.decode().split("\n\n")[:-1]:
        if block == ":":
            continue
        first, second = block.split("\n")
        event = json.loads(second.removeprefix("data: "))
        if first != "event: " + event["type"]:
            raise AssertionError(block)
        found.append(event)
    return found


def join(found):
    """The message that events make; an event out of order is an assertion."""
    start, *rest = found
    message, open_block, partial = start["message"], None, ""
    if start["type"] != "message_start" or message["content"] != []:
        raise AssertionError(start)
    for event in rest[:-2]:
        kind, blocks = event["type"], message["content"]
        if kind == "content_block_start":
            if open_block is not None or event["index"] != len(blocks):
                raise AssertionError(event)
            open_block, partial = event["content_block"], ""
            blocks.append(open_block)
            continue
        if open_block is None or event["index"] != len(blocks) - 1:
            raise AssertionError(event)
        if kind == "content_block_stop":
            if open_block["type"] == "tool_use":
                open_block["input"] = json.loads(partial)
            open_block = None
            continue
        delta = event["delta"]
        name = {"text_delta": "text", "thinking_delta": "thinking",
                "signature_delta": "signature",
                "input_json_delta": "partial_json"}[delta["type"]]
        if name == "partial_json":
            partial += delta[name]
        else:
            open_block[name] += delta[name]
    last, stop = rest[-2:]
    if (last["type"], stop, open_block) != ("message_delta", {"type": "message_stop"}, None):
        raise AssertionError(rest[-2:])
    message.update(last["delta"])
    message["usage"] = last["usage"]
    return message


class Case(unittest.TestCase):
    """One daemon a class, unless a test starts its own."""

    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory(prefix="ssmd-messages-")
        cls.addClassCleanup(cls.temp.cleanup)
        cls.script = os.path.join(cls.temp.name, "script.json")
        with open(cls.script, "w", encoding="utf-8") as f:
            json.dump(SCRIPT, f)
        cls.d = cls.daemon()
        cls.addClassCleanup(cls.d.stop)

    @classmethod
    def daemon(cls, *flags, **env):
        return wire.Daemon(*FLAGS, *flags, env={"FAKE_SCRIPT": cls.script, **env})

    def body(self, content, **fields):
        return {"max_tokens": 200, "temperature": 0, "seed": 7,
                "messages": [{"role": "user", "content": content}], **fields}

    def ask(self, body, headers=None, d=None):
        status, head, data = (d or self.d).call("POST", PATH, body, headers)
        return status, head, json.loads(data)

    def say(self, content, **fields):
        status, _, answer = self.ask(self.body(content, **fields))
        self.assertEqual(status, 200, answer)
        return answer

    def stream(self, content, d=None, **fields):
        status, head, data = (d or self.d).call("POST", PATH, self.body(
            content, stream=True, **fields))
        self.assertEqual(status, 200, data)
        self.assertEqual(head["content-type"], "text/event-stream; charset=utf-8")
        return events(data)

    def refused(self, body, status, kind, headers=None, path=PATH, d=None):
        got, head, data = (d or self.d).call("POST", path, body, headers)
        answer = json.loads(data)
        self.assertEqual((got, answer["type"], answer["error"]["type"]),
                         (status, "error", kind), answer)
        self.assertEqual(answer["request_id"], head["x-request-id"])
        self.assertEqual(answer["request_id"], head["request-id"])
        return answer["error"]["message"]


class Answers(Case):
    def test_the_object(self):
        status, head, answer = self.ask(self.body("hello"))
        self.assertEqual(status, 200)
        self.assertEqual(head["request-id"], head["x-request-id"])
        self.assertRegex(answer.pop("id"), "^msg_[0-9a-f]{24}$")
        usage = answer.pop("usage")
        self.assertEqual(answer, {
            "type": "message", "role": "assistant", "model": "m", "seed": 7,
            "content": [{"type": "text", "text": SCRIPT[0]["say"]}],
            "stop_reason": "end_turn", "stop_sequence": None})
        self.assertEqual(usage["output_tokens"], len(SCRIPT[0]["say"].encode()) + 1)
        self.assertGreater(usage["input_tokens"] + usage["cache_read_input_tokens"], 5)
        self.assertEqual(usage["cache_creation_input_tokens"], 0)
        self.assertEqual(usage["output_tokens_details"], {"thinking_tokens": 0})

    def test_thinking(self):
        answer = self.say("q1")
        self.assertEqual(answer["content"], [
            {"type": "thinking", "thinking": "why é?", "signature": "ssmd:"},
            {"type": "text", "text": "so"}])
        self.assertGreater(answer["usage"]["output_tokens_details"]["thinking_tokens"], 0)

    def test_calls(self):
        answer = self.say("q2", tools=TOOLS)
        self.assertEqual(answer["stop_reason"], "tool_use")
        text, *calls = [b for b in answer["content"] if b.get("text") != "\n"]
        self.assertEqual(text, {"type": "text", "text": "I look. "})
        self.assertEqual([c["input"] for c in calls], [{"a": 1}, {"a": "😀"}])
        self.assertEqual({c["type"] for c in calls}, {"tool_use"})
        self.assertEqual(len({c["id"] for c in calls}), 2)
        one = self.say("q2", tools=TOOLS, tool_choice={"type": "auto",
                                                       "disable_parallel_tool_use": True})
        self.assertEqual(len([b for b in one["content"] if b["type"] == "tool_use"]), 1)
        none = self.say("q2", tools=TOOLS, tool_choice={"type": "none"})
        self.assertEqual(none["content"], [{"type": "text", "text": SCRIPT[2]["say"]}])

    def test_how_it_stops(self):
        answer = self.say("q3", max_tokens=3)
        self.assertEqual((answer["content"][0]["text"], answer["stop_reason"]),
                         ("one", "max_tokens"))
        answer = self.say("q3", max_tokens=0)
        self.assertEqual((answer["content"], answer["stop_reason"]), ([], "max_tokens"))

    def test_streamed_is_whole(self):
        for content in ("hello", "q1", "q2", "q3"):
            for more in ({}, {"tools": TOOLS}, {"max_tokens": 7}, {"thinking": {"type": "adaptive",
                                                          "display": "omitted"}}):
                whole, streamed = self.say(content, **more), join(self.stream(content, **more))
                whole.pop("id"), streamed.pop("id")
                self.assertEqual(streamed, whole)

    def test_a_loop_of_tools(self):
        messages = [{"role": "user", "content": "q2"}]
        answer = self.say("", tools=TOOLS, messages=messages)
        results = [{"type": "tool_result", "tool_use_id": b["id"], "content": "sunny"}
                   for b in answer["content"] if b["type"] == "tool_use"]
        messages += [{"role": "assistant", "content": answer["content"]},
                     {"role": "user", "content": results}]
        last = self.say("", tools=TOOLS, messages=messages, system=[
            {"type": "text", "text": "You are terse.", "cache_control": {"type": "ephemeral"}}])
        self.assertEqual((last["content"], last["stop_reason"]),
                         ([{"type": "text", "text": "It is sunny."}], "end_turn"))

    def test_the_prompt_is_that_of_a_chat(self):
        """Both ways into the same template: the same ids, so the same count."""
        chat = {"tools": [{"type": "function", "function": {
                    "name": "f", "description": "F.", "parameters": TOOLS[0]["input_schema"]}}],
                "messages": [
                    {"role": "system", "content": "s"}, {"role": "user", "content": "q"},
                    {"role": "assistant", "content": "t", "tool_calls": [
                        {"id": "abcdefghi", "type": "function",
                         "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
                    {"role": "tool", "tool_call_id": "abcdefghi", "content": "r"},
                    {"role": "user", "content": "u"}]}
        body = {"system": "s", "tools": TOOLS, "messages": [
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "content": [
                        {"type": "text", "text": "t"},
                        {"type": "tool_use", "id": "abcdefghi", "name": "f",
                         "input": {"a": 1}}]},
                    {"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "abcdefghi", "content": "r"},
                        {"type": "text", "text": "u"}]}]}
        status, _, data = self.d.call("POST", "/apply-template", chat)
        self.assertEqual(status, 200, data)
        ids = json.loads(data)["tokens"]
        status, _, data = self.d.call("POST", PATH + "/count_tokens", body)
        self.assertEqual((status, json.loads(data)), (200, {"input_tokens": len(ids)}))
        usage = self.say("", **body)["usage"]
        self.assertEqual(usage["input_tokens"] + usage["cache_read_input_tokens"], len(ids))


    def test_what_a_coding_agent_sends(self):
        """Everything at once, as a terminal's agent does."""
        mark = {"type": "ephemeral", "ttl": "1h"}
        body = {"model": "m", "max_tokens": 32000, "stream": True, "temperature": 1,
                "system": [{"type": "text", "text": "You are an agent.", "cache_control": mark},
                           {"type": "text", "text": "<env>\n</env>", "cache_control": mark}],
                "metadata": {"user_id": json.dumps({"device": "d" * 64, "session": "s" * 36})},
                "thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"},
                "context_management": {"edits": [{"type": "clear_thinking_20251015",
                                                  "keep": "all"}]},
                "tools": [{"name": "tool%d" % i, "description": "T. " * 100, "input_schema": {
                    "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
                    "properties": {"a": {"type": "string", "enum": ["x", "y"]}},
                    "required": ["a"], "additionalProperties": False}} for i in range(20)] + TOOLS,
                "messages": [{"role": "user", "content": [
                    {"type": "text", "text": "<system-reminder>\nq\n</system-reminder>"},
                    {"type": "text", "text": "q2", "cache_control": mark}]}]}
        with self.daemon("--context", "65536") as d:
            status, _, data = d.call("POST", PATH + "?beta=true", body,
                                     {"anthropic-beta": "a-2026-01-01,b-2026-01-01"})
            self.assertEqual(status, 200, data)
            answer = join(events(data))
            self.assertEqual(answer["stop_reason"], "tool_use")
            body["messages"] += [
                {"role": "assistant", "content": answer["content"]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": b["id"], "content": [
                        {"type": "text", "text": "sunny"}], "is_error": False,
                     "cache_control": mark}
                    for b in answer["content"] if b["type"] == "tool_use"]}]
            status, _, data = d.call("POST", PATH + "?beta=true", body)
            self.assertEqual((status, join(events(data))["stop_reason"]), (200, "end_turn"), data)


class Refusals(Case):
    def test_bodies(self):
        hello = [{"role": "user", "content": "hello"}]
        for body, says in (
                ({"messages": hello}, "max_tokens"),
                ({"max_tokens": 5}, "messages"),
                ({"max_tokens": 5, "messages": [{"role": "user", "content": [
                    {"type": "image", "source": {}}]}]}, "messages[0].content[0].type"),
                ({"max_tokens": 5, "messages": hello + [
                    {"role": "assistant", "content": "I"}]}, "messages[1]"),
                ({"max_tokens": 5, "messages": hello, "tools": TOOLS,
                  "tool_choice": {"type": "any"}}, "tool_choice"),
                ({"max_tokens": 100000, "messages": hello}, "max_tokens"),
                ("{", "JSON")):
            self.assertIn(says, self.refused(body, 400, "invalid_request_error"))
        self.refused({"max_tokens": 5, "messages": hello, "model": "other"}, 404,
                     "not_found_error")
        self.refused({}, 400, "invalid_request_error", path=PATH + "/count_tokens")

    def test_no_thread_is_stored(self):
        """At this code Anthropic's client sends the whole conversation."""
        _, _, data = self.d.call("POST", PATH, self.body("hi", thread={"type": "create"}))
        self.assertEqual(json.loads(data)["error"]["details"],
                         {"error_code": "thread_unsupported_request"})

    def test_faults_before_the_body(self):
        self.refused(self.body("hi"), 415, "invalid_request_error",
                     {"Content-Type": "text/plain"})
        with self.daemon("--max-body-bytes", "4096") as d:
            self.refused(self.body("x" * 5000), 413, "request_too_large", d=d)

    def test_a_prompt_that_is_too_long(self):
        message = self.refused(self.body("x" * 5000), 400, "invalid_request_error")
        self.assertIn("4096", message)

    def test_keys(self):
        with self.daemon("--api-key", "k3y") as d:
            self.refused(self.body("hi"), 401, "authentication_error", d=d)
            self.refused(self.body("hi"), 401, "authentication_error", {"x-api-key": "k3"}, d=d)
            for headers in ({"x-api-key": "k3y"}, {"Authorization": "Bearer k3y"}):
                headers["anthropic-version"] = "2023-06-01"
                headers["anthropic-beta"] = "some-2026-01-01"
                status, _, answer = self.ask(self.body("hi"), headers, d)
                self.assertEqual(status, 200, answer)
            status, _, _ = d.call("GET", "/v1/models", headers={"x-api-key": "k3y"})
            self.assertEqual(status, 200)

    def test_a_drain_cuts_a_stream_by_an_error(self):
        with self.daemon("--drain-timeout", "0", FAKE_STEP_US="2000") as d:
            s = d.connect()
            self.addCleanup(s.close)
            s.sendall(wire.request("POST", PATH, json.dumps(
                self.body("q4", max_tokens=3000, stream=True))))
            wire.read_until(s, b"content_block_delta")
            d.signal(signal.SIGTERM)
            data = wire.read_all(s)
            self.assertIn(b"event: error\n", data)
            self.assertIn(b'"overloaded_error"', data)
            self.assertNotIn(b"message_stop", data)
            self.assertEqual(d.proc.wait(wire.LIMIT), 0)


if __name__ == "__main__":
    wire.main()

# SPDX-License-Identifier: Apache-2.0
"""POST /v1/chat/completions and /apply-template over the stand-in engine: every field accepted or
refused with its place, what is streamed is what is whole, reasoning and calls, usage,
log-probabilities, states, clients that leave, a drain. (test_chat_attacks.py: hostile bodies and
templates; test_chat_equality.py: the promise over real models.)"""
import json
import os
import signal
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import answers
import chats
import wire

CALL = '<tool_call>\n{"name": "f", "arguments": {"a": %s}}\n</tool_call>'
SCRIPT = [
    {"say": "plain é 日本 😀."},
    {"when": "q1", "say": "<think>\nwhy é?\n</think>\n\nso"},
    {"when": "q2", "say": "I look. " + CALL % 1 + "\n" + CALL % '"😀"'},
    {"when": "q3", "say": [{"special": "<tool_call>"}, '{"name": "f", "arguments": {}}',
                           {"special": "</tool_call>"}]},
    {"when": "q4", "say": "<think>a</think>b<tool_call>{]</tool_call>c" + CALL % 2},
    {"when": "q5", "say": "<tool_call>{\"name\": \"f\", \"argu"},
    {"when": "q6", "say": ""},
    {"when": "q7", "say": "x" * 3000},
]
FUNCTION = {"name": "f", "description": "F.",
            "parameters": {"type": "object", "properties": {"a": {}}}}
TOOLS = [{"type": "function", "function": FUNCTION}]
FLAGS = ("--chat-template", "chatml", "--tool-format", "hermes", "--served-name", "m")


class Case(unittest.TestCase):
    """One daemon a class, unless a test starts its own."""
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory(prefix="ssmd-chat-")
        cls.addClassCleanup(cls.temp.cleanup)
        cls.script = os.path.join(cls.temp.name, "script.json")
        with open(cls.script, "w", encoding="utf-8") as f:
            json.dump(SCRIPT, f)
        cls.d = cls.daemon(*cls.flags)
        cls.addClassCleanup(cls.d.stop)

    @classmethod
    def daemon(cls, *flags, **env):
        return wire.Daemon(*FLAGS, *flags, env={"FAKE_SCRIPT": cls.script, **env})

    def say(self, content, d=None, **fields):
        status, answer = chats.chat(d or self.d, content, **fields)
        self.assertEqual(status, 200, answer)
        return answer

    def message(self, content, **fields):
        choice = self.say(content, **fields)["choices"][0]
        return choice["message"], choice["finish_reason"]


class Whole(Case):
    def test_the_object(self):
        answer = self.say("hello", seed=7)
        self.assertRegex(answer.pop("id"), "^chatcmpl-[0-9a-f]{24}$")
        self.assertLess(abs(answer.pop("created") - time.time()), 60)
        n = answer["usage"]["prompt_tokens"]
        text = SCRIPT[0]["say"]
        self.assertEqual(answer, {
            "object": "chat.completion", "model": "m", "seed": 7, "system_fingerprint": None,
            "choices": [{"index": 0, "logprobs": None, "finish_reason": "stop", "message": {
                "role": "assistant", "content": text, "refusal": None}}],
            "usage": {"prompt_tokens": n, "completion_tokens": len(text.encode()) + 1,
                      "total_tokens": n + len(text.encode()) + 1,
                      "prompt_tokens_details": {"cached_tokens": 0},
                      "completion_tokens_details": {"reasoning_tokens": 0}}})

    def test_reasoning(self):
        answer = self.say("q1")
        self.assertEqual(answer["choices"][0]["message"], {
            "role": "assistant", "content": "so", "reasoning_content": "why é?",
            "refusal": None})
        reasoning = answer["usage"]["completion_tokens_details"]["reasoning_tokens"]
        said = len(SCRIPT[1]["say"].encode())
        self.assertGreaterEqual(reasoning, len("\nwhy é?\n".encode()))
        self.assertLess(reasoning, said)

    def test_calls(self):
        message, reason = self.message("q2", tools=TOOLS)
        self.assertEqual((message["content"], reason), ("I look. ", "tool_calls"))
        for call, arguments in zip(message["tool_calls"], ({"a": 1}, {"a": "😀"})):
            self.assertRegex(call["id"], "^[0-9A-Za-z]{9}$")
            self.assertEqual((call["type"], call["function"]["name"]), ("function", "f"))
            self.assertEqual(json.loads(call["function"]["arguments"]), arguments)
        self.assertEqual(len({c["id"] for c in message["tool_calls"]}), 2)
        again, _ = self.message("q2", tools=TOOLS)
        self.assertEqual(again, message)
        other, _ = self.message("q2.", tools=TOOLS)
        self.assertNotEqual(other["tool_calls"][0]["id"], message["tool_calls"][0]["id"])

    def test_calls_by_special_tokens(self):
        message, reason = self.message("q3", tools=TOOLS)
        self.assertEqual((message["content"], reason), (None, "tool_calls"))
        self.assertEqual(message["tool_calls"][0]["function"], {"name": "f", "arguments": "{}"})

    def test_one_call_at_most(self):
        message, _ = self.message("q2", tools=TOOLS, parallel_tool_calls=False)
        self.assertEqual(len(message["tool_calls"]), 1)

    def test_broken_calls_are_content_and_counted(self):
        failures = 'ssmd_tool_parse_failures_total{form="hermes"}'
        before = self.d.metrics()
        message, reason = self.message("q4", tools=TOOLS)
        self.assertEqual((message["content"], message["reasoning_content"], reason),
                         ("b<tool_call>{]</tool_call>c", "a", "tool_calls"))
        self.assertEqual(len(message["tool_calls"]), 1)
        message, reason = self.message("q5", tools=TOOLS)
        self.assertEqual((message["content"], reason), (SCRIPT[5]["say"], "stop"))
        after = self.d.metrics()
        self.assertEqual(after[failures] - before[failures], 2)
        self.assertGreater(after["ssmd_reasoning_tokens_total"],
                           before["ssmd_reasoning_tokens_total"])

    def test_without_tools_calls_are_text(self):
        for fields in ({}, {"tools": TOOLS, "tool_choice": "none"}):
            message, reason = self.message("q2", **fields)
            self.assertEqual((message["content"], reason), (SCRIPT[2]["say"], "stop"))
            self.assertNotIn("tool_calls", message)

    def test_length(self):
        message, reason = self.message("q2", tools=TOOLS, max_tokens=60)
        self.assertEqual(reason, "length")
        self.assertTrue((message["content"] or "").startswith("I look."))
        answer = self.say("q7", max_completion_tokens=10)
        self.assertEqual(answer["choices"][0]["finish_reason"], "length")
        self.assertEqual(answer["usage"]["completion_tokens"], 10)

    def test_empty_answer(self):
        self.assertEqual(self.message("q6"), (
            {"role": "assistant", "content": "", "refusal": None}, "stop"))

    def test_default_max_tokens(self):
        with self.daemon("--default-max-tokens", 50) as d:
            choice = self.say("q7", d=d)["choices"][0]
            self.assertEqual((choice["message"]["content"], choice["finish_reason"]),
                             ("x" * 50, "length"))
            choice = self.say("q7", d=d, max_tokens=60)["choices"][0]
            self.assertEqual(len(choice["message"]["content"]), 60)

    def test_default_max_tokens_fits_the_context(self):
        """The longest answer that has a place; the faults of one that has none."""
        with self.daemon("--context", 128) as d:
            usage = self.say("q7", d=d)["usage"]
            own = usage["prompt_tokens"] - len("q7")  # of the template
            self.assertEqual(usage["total_tokens"], 128)
            last = "q7".ljust(127 - own)
            usage = self.say(last, d=d, n=3)["usage"]
            self.assertEqual((usage["prompt_tokens"], usage["completion_tokens"]), (127, 3))
            for content, least, param in ((last + " ", 0, "messages"), (last, 5, "min_tokens"),
                                          (last + " ", 5, "messages")):
                status, error = chats.refused(d, {"messages": chats.user(content),
                                                  "min_tokens": least})
                self.assertEqual((status, error["param"]), (400, param), error)

    def test_reasoning_stays_in_content_when_told(self):
        with self.daemon("--reasoning-format", "none") as d:
            answer = self.say("q1", d=d)
            self.assertEqual(answer["choices"][0]["message"]["content"], SCRIPT[1]["say"])
            self.assertEqual(answer["usage"]["completion_tokens_details"],
                             {"reasoning_tokens": 0})

    def test_stop_ids_end_it(self):
        choice = self.say("hello", stop_token_ids=[ord("n")], return_token_ids=True)["choices"][0]
        self.assertEqual(choice["finish_reason"], "stop")
        self.assertLess(len(choice["token_ids"]), 7)

    def test_alias_and_served_names(self):
        body = {"messages": chats.user("hello"), "model": "m"}
        self.assertEqual(self.d.call("POST", "/chat/completions", body)[0], 200)
        self.assertEqual(chats.refused(self.d, {**body, "model": "gpt"})[0], 404)


class Streams(Case):
    def same(self, body):
        """The stream and the whole say the same; the stream."""
        status, _, answer = chats.ask(self.d, body)
        self.assertEqual(status, 200, answer)
        s = chats.stream(self.d, body)
        self.assertEqual(s.told(), chats.whole(answer), body)
        return s

    def test_streamed_is_whole(self):
        for script in SCRIPT[:-1]:
            for more in ({}, {"tools": TOOLS}, {"tools": TOOLS, "n": 3}, {"max_tokens": 33},
                         {"tools": TOOLS, "logprobs": True, "top_logprobs": 2},
                         {"return_token_ids": True, "n": 2}):
                with self.subTest(when=script.get("when"), more=list(more)):
                    self.same({"messages": chats.user(script.get("when", "hello")),
                               "temperature": 0, **more})

    def test_the_head_of_all_chunks(self):
        s = self.same({"messages": chats.user("q2"), "tools": TOOLS, "seed": 5, "n": 2})
        heads = set()
        for chunk in s.chunks():
            chunk.pop("choices"), chunk.pop("usage")
            heads.add(json.dumps(chunk, sort_keys=True))
        self.assertEqual(len(heads), 1)
        head = json.loads(heads.pop())
        self.assertEqual((head["object"], head["model"], head["seed"],
                          head["system_fingerprint"]), ("chat.completion.chunk", "m", "5", None))
        self.assertIn(b"text/event-stream; charset=utf-8", s.head.lower())

    def test_usage_only_when_asked_for(self):
        for options, last in (({}, 0), ({"stream_options": {"include_usage": False}}, 0),
                              ({"stream_options": {"include_usage": True}}, 1)):
            body = {"messages": chats.user("hello"), "stream": True, **options}
            data = wire.dechunk(wire.read_all_from(self.d.post(body, path=chats.PATH)))[0]
            events = wire.sse(data)
            self.assertEqual(events[-1], "[DONE]")
            chunks = [json.loads(e) for e in events[:-1]]
            self.assertEqual(sum(c["choices"] == [] for c in chunks), last)
            if last:
                self.assertEqual(chunks[-1]["choices"], [])
                self.assertEqual(chunks[-1]["usage"]["completion_tokens"],
                                 len(SCRIPT[0]["say"].encode()) + 1)
                self.assertEqual({c["usage"] for c in chunks[:-1]}, {None})
            else:
                self.assertNotIn("usage", chunks[0])

    def test_a_call_is_one_delta(self):
        s = self.same({"messages": chats.user("q2"), "tools": TOOLS})
        deltas = [c["choices"][0]["delta"] for c in s.chunks() if c["choices"]]
        calls = [d["tool_calls"] for d in deltas if "tool_calls" in d]
        self.assertEqual([len(c) for c in calls], [1, 1])
        self.assertEqual([c[0]["index"] for c in calls], ["0", "1"])
        self.assertNotIn("tool_call", "".join(d.get("content", "") for d in deltas))

    def test_a_fault_before_admission_is_plain(self):
        status, error = chats.refused(self.d, {"messages": [], "stream": True})
        self.assertEqual((status, error["param"]), (400, "messages"))

    def test_a_fault_in_a_stream_is_its_last_event(self):
        with self.daemon(FAKE_POISON=str(ord("<")), FAKE_STEP_US="1000") as d:
            body = {"messages": chats.user("hello"), "stream": True}
            data = wire.read_all_from(d.post(body, path=chats.PATH))
            events = wire.sse(wire.dechunk(data)[0])
            self.assertEqual(json.loads(events[-1])["error"]["type"], "server_error")
            chats.idle(d)


class Logprobs(Case):
    def test_tokens_with_bytes(self):
        for n in (0, 1, 20):
            choice = self.say("q2", tools=TOOLS, logprobs=True, top_logprobs=n,
                              return_token_ids=True)["choices"][0]
            content = choice["logprobs"]["content"]
            self.assertIsNone(choice["logprobs"]["refusal"])
            self.assertEqual([t["bytes"] for t in content], [[i] for i in choice["token_ids"]])
            self.assertEqual(bytes(b for t in content for b in t["bytes"]).decode(),
                             SCRIPT[2]["say"])
            for t in content:
                self.assertEqual(set(t), {"token", "logprob", "bytes", "top_logprobs"})
                self.assertEqual(t["logprob"], -0.5)
                self.assertEqual([x["token"] for x in t["top_logprobs"]],
                                 [chr(97 + i) for i in range(n)])
            self.assertEqual({t["token"] for t in content if t["bytes"][0] >= 128},
                             {"bytes:\\x%02x" % b for b in "😀".encode()})

    def test_special_tokens_have_their_text(self):
        choice = self.say("q3", tools=TOOLS, logprobs=True)["choices"][0]
        tokens = [t["token"] for t in choice["logprobs"]["content"]]
        self.assertEqual((tokens[0], tokens[-1]), ("<tool_call>", "</tool_call>"))

    def test_held_back_with_what_they_release(self):
        s = chats.stream(self.d, {"messages": chats.user("q2"), "tools": TOOLS,
                                  "logprobs": True, "return_token_ids": True})
        for chunk in s.chunks():
            for c in chunk["choices"]:
                told = len(c["logprobs"]["content"]) if c["logprobs"] else 0
                self.assertEqual(told, len(c["token_ids"]))
                if "tool_calls" in c["delta"]:
                    self.assertGreater(told, 40)

    def test_not_asked_for(self):
        self.assertIsNone(self.say("hello", logprobs=False)["choices"][0]["logprobs"])


MESSAGE = {"role": "user", "content": "a"}
ACCEPTED = [
    ("messages", [[MESSAGE] * 3, [{"role": "system", "content": "s"}, MESSAGE],
                  [{"role": "developer", "content": "s"}, MESSAGE],
                  [{"role": "user", "content": [{"type": "text", "text": "a"},
                                                {"type": "text", "text": "b"}]}],
                  [MESSAGE, {"role": "assistant", "content": None, "reasoning_content": "r"},
                   MESSAGE],
                  [MESSAGE, {"role": "assistant", "content": None, "tool_calls": [
                      {"id": "abcdefghi", "type": "function",
                       "function": {"name": "f", "arguments": "{}"}}]},
                   {"role": "tool", "tool_call_id": "abcdefghi", "content": "r"}],
                  [{**MESSAGE, "name": "n", "cache_control": {"type": "ephemeral"}}]]),
    ("model", ["m", None]),
    ("tools", [TOOLS, [], None]),
    ("tool_choice", ["none", "auto", None]),
    ("parallel_tool_calls", [True, False, None]),
    ("response_format", [{"type": "text"}, None]),
    ("reasoning_effort", ["none", "minimal", "low", "medium", "high"]),
    ("chat_template_kwargs", [{}, {"enable_thinking": False, "x": [1, {"y": None}]}]),
    ("add_generation_prompt", [True, False]),
    ("max_tokens", [1, 100, None]),
    ("max_completion_tokens", [1, 100, None]),
    ("temperature", [0, 2, 0.5, None]),
    ("top_p", [1, 0.1, None]),
    ("n", [1, 4, None]),
    ("stream", [False, None]),
    ("logprobs", [True, False, None]),
    ("stop", ["a", ["a", "b", "c", "d"], None]),
    ("presence_penalty", [-2, 2, None]),
    ("frequency_penalty", [-2, 2, None]),
    ("logit_bias", [{"97": -100, "98": 100}, {}, None]),
    ("seed", [0, -1, 1 << 53, None]),
    ("user", ["u", None]),
    ("top_k", [0, 5, -1]),
    ("min_p", [0, 0.5]),
    ("typical_p", [1, 0.5]),
    ("repetition_penalty", [1, 1.5]),
    ("stop_token_ids", [[1], []]),
    ("min_tokens", [0, 3]),
    ("ignore_eos", [True, False]),
    ("cache_salt", ["s", None]),
    ("priority", [0, 5]),
    ("return_token_ids", [True]),
    ("prompt_cache_key", ["k", None]),
    ("store", [True, None]), ("metadata", [{"a": "b"}]), ("service_tier", ["auto"]),
    ("safety_identifier", ["x"]), ("verbosity", ["low"]), ("modalities", [["text"], None]),
    ("a_field_of_another_server", [1, {"a": []}]),
]


def call(**fields):
    return {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"},
            **fields}


def said(*calls):
    return [MESSAGE, {"role": "assistant", "tool_calls": list(calls)}]


def tool(**fields):
    return [{"type": "function", "function": {**FUNCTION, **fields}}]


IMAGE = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/"}}
REFUSED = [  # field, value, param where it is not the field
    ("messages", None, None), ("messages", [], None), ("messages", "a", None),
    ("messages", [3], "messages[0]"), ("messages", [{}], "messages[0].role"),
    ("messages", [MESSAGE, {"role": "robot", "content": "a"}], "messages[1].role"),
    ("messages", [{"role": "function", "content": "a"}], "messages[0].role"),
    ("messages", [{"role": "user", "content": 3}], "messages[0].content"),
    ("messages", [{"role": "user", "content": [3]}], "messages[0].content[0]"),
    ("messages", [{"role": "user", "content": [{"text": "a"}]}], "messages[0].content[0].type"),
    ("messages", [MESSAGE, {"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]}],
     "messages[1].content[1].type"),
    ("messages", [{"role": "user", "content": [{"type": "text"}]}],
     "messages[0].content[0].text"),
    ("messages", said(3), "messages[1].tool_calls[0]"),
    ("messages", said(call(), call(type="custom")), "messages[1].tool_calls[1].type"),
    ("messages", said(call(function={"arguments": "{}"})),
     "messages[1].tool_calls[0].function.name"),
    ("messages", said(call(function={"name": "f", "arguments": 3})),
     "messages[1].tool_calls[0].function.arguments"),
    ("messages", [MESSAGE, {"role": "tool", "tool_call_id": "x", "content": "a"}],
     "messages[1].tool_call_id"),
    ("messages", [MESSAGE, {"role": "tool", "content": "a"}], "messages[1].tool_call_id"),
    ("tools", 3, None), ("tools", [3], "tools[0]"), ("tools", [{"type": "x"}], "tools[0].type"),
    ("tools", tool(name=""), "tools[0].function.name"),
    ("tools", tool(name="a b"), "tools[0].function.name"),
    ("tools", TOOLS + TOOLS, "tools[1].function.name"),
    ("tools", tool(parameters=3), "tools[0].function.parameters"),
    ("tool_choice", "required", None), ("tool_choice", "always", None), ("tool_choice", 3, None),
    ("tool_choice", {"type": "function", "function": {"name": "f"}}, "tool_choice.function.name"),
    ("parallel_tool_calls", 1, None),
    ("response_format", {"type": "json_object"}, "response_format.type"),
    ("response_format", "json", None),
    ("reasoning_effort", "some", None), ("reasoning_effort", 3, None),
    ("chat_template_kwargs", [], None),
    ("chat_template_kwargs", {"messages": []}, "chat_template_kwargs.messages"),
    ("chat_template_kwargs", {"tools": []}, "chat_template_kwargs.tools"),
    ("chat_template_kwargs", {"bos_token": "x"}, "chat_template_kwargs.bos_token"),
    ("chat_template_kwargs", {"add_generation_prompt": True},
     "chat_template_kwargs.add_generation_prompt"),
    ("add_generation_prompt", 1, None),
    ("max_tokens", 0, None), ("max_tokens", -1, None), ("max_tokens", 1.5, None),
    ("max_tokens", "1", None), ("max_tokens", 1 << 40, None),
    ("max_completion_tokens", 0, None),
    ("temperature", -0.1, None), ("temperature", 2.1, None), ("temperature", "1", None),
    ("top_p", 0, None), ("top_p", 1.1, None),
    ("n", 0, None), ("n", 129, None), ("n", 1.5, None),
    ("stream", 1, None), ("stream_options", {"include_usage": True}, None),
    ("logprobs", 3, None), ("top_logprobs", 21, None), ("top_logprobs", -1, None),
    ("top_logprobs", 3, None),
    ("stop", ["a"] * 5, None), ("stop", [3], None), ("stop", "", None), ("stop", [""], None),
    ("presence_penalty", 2.1, None), ("frequency_penalty", -2.1, None),
    ("logit_bias", {"x": 1}, None), ("logit_bias", {"99999": 1}, None),
    ("logit_bias", {"97": 101}, None),
    ("seed", 1.5, None), ("user", 3, None), ("user", "u" * 600, None),
    ("min_p", 1.1, None), ("repetition_penalty", 0, None),
    ("stop_token_ids", [99999], None), ("min_tokens", -1, None), ("ignore_eos", 1, None),
    ("cache_salt", 3, None), ("prompt_cache_key", "k" * 600, None),
    ("state", {"load": "../x"}, None), ("state", 3, None),
    ("modalities", ["audio"], None), ("functions", [FUNCTION], None),
    ("function_call", "auto", None), ("audio", {"voice": "a"}, None), ("best_of", 2, None),
    ("echo", True, None), ("suffix", "x", None), ("prompt", "x", None),
    ("chat_template", "{{ 1 }}", None), ("continue_final_message", True, None),
    ("cache_breakpoints", [1], None), ("web_search_options", {"x": 1}, None),
]


class Fields(Case):
    def test_accepted(self):
        for name, values in ACCEPTED:
            for value in values:
                with self.subTest(name=name, value=value):
                    body = {"messages": chats.user("hello"), "max_tokens": 8, name: value}
                    if name == "max_completion_tokens":
                        del body["max_tokens"]
                    status, _, data = self.d.call("POST", chats.PATH, body)
                    self.assertEqual(status, 200, data)

    def test_refused(self):
        for name, value, param in REFUSED:
            with self.subTest(name=name, value=value):
                body = {"messages": chats.user("hello"), "tools": TOOLS, name: value}
                status, error = chats.refused(self.d, body)
                self.assertEqual(status, 400, error)
                self.assertIn((error["param"] or "").split(".")[0], ("state", param or name)
                              if name == "state" else ((param or name).split(".")[0],))
                if param:
                    self.assertEqual(error["param"], param)
                self.assertEqual(error["type"], "invalid_request_error")
                self.assertIn((param or name).split(".")[0].split("[")[0], error["message"])

    def test_missing_messages(self):
        status, error = chats.refused(self.d, {})
        self.assertEqual((status, error["param"]), (400, "messages"))

    def test_limits_that_differ(self):
        body = {"messages": chats.user("a"), "max_tokens": 3, "max_completion_tokens": 4}
        self.assertEqual(chats.refused(self.d, body)[0], 400)
        choice = self.say("q7", max_tokens=4, max_completion_tokens=4)["choices"][0]
        self.assertEqual(choice["message"]["content"], "xxxx")

    def test_context(self):
        for body in ({"messages": chats.user("a" * 5000)},
                     {"messages": chats.user("a"), "max_tokens": 4096}):
            status, error = chats.refused(self.d, body)
            self.assertEqual((status, error["code"]), (400, "context_length_exceeded"))

    def test_unknown_fields_are_counted(self):
        name = "ssmd_unknown_fields_total"
        before = self.d.metric(name)
        self.say("hello", frobnicate=1, defrobnicate=2)
        self.assertEqual(self.d.metric(name) - before, 2)

    def test_methods(self):
        for path in ("/v1/chat/completions", "/apply-template"):
            status, head, _ = self.d.call("GET", path)
            self.assertEqual((status, head["allow"]), (405, "POST, OPTIONS"))
            self.assertEqual(self.d.call("POST", path, "{}", {"Content-Type": "text/plain"})[0],
                             415)


class Template(Case):
    def apply(self, messages, d=None, **fields):
        status, _, data = (d or self.d).call("POST", "/apply-template",
                                             {"messages": messages, **fields})
        self.assertEqual(status, 200, data)
        return json.loads(data)

    def test_apply(self):
        messages = [{"role": "system", "content": "Be é."}] + chats.user("hello")
        applied = self.apply(messages)
        self.assertEqual(set(applied), {"prompt", "tokens", "count"})
        self.assertEqual(applied["prompt"],
                         "<|im_start|>system\nBe é.<|im_end|>\n<|im_start|>user\nhello"
                         "<|im_end|>\n<|im_start|>assistant\n")
        self.assertEqual(bytes(applied["tokens"]).decode(), applied["prompt"])
        self.assertEqual(applied["count"], len(applied["tokens"]))
        answer = self.say(None, messages=messages, return_token_ids=True)
        self.assertEqual(answer["choices"][0]["prompt_token_ids"], applied["tokens"])
        self.assertEqual(answer["usage"]["prompt_tokens"], applied["count"])
        without = self.apply(messages, add_generation_prompt=False)["prompt"]
        self.assertEqual(without + "<|im_start|>assistant\n", applied["prompt"])

    def test_apply_refuses_as_chat_does(self):
        status, _, data = self.d.call("POST", "/apply-template", {"messages": [
            {"role": "user", "content": [IMAGE]}]})
        self.assertEqual((status, json.loads(data)["error"]["param"]),
                         (400, "messages[0].content[0].type"))

    def template(self, source, *flags):
        path = os.path.join(self.temp.name, "template.jinja")
        with open(path, "w", encoding="utf-8") as f:
            f.write(source)
        return wire.Daemon("--chat-template", path, *flags, env={"FAKE_SCRIPT": self.script})

    def test_variables(self):
        source = ("{{ x }} {{ reasoning_effort }} {{ strftime_now('%Y-%m-%d') }} "
                  "{{ messages[0].content }}{% if tools %} {{ tools | tojson }}{% endif %}")
        with self.template(source, "--template-time", "2026-12-31") as d:
            prompt = self.apply(chats.user("u"), d, chat_template_kwargs={"x": [1, "a"]},
                                reasoning_effort="low", tools=TOOLS)["prompt"]
            self.assertEqual(prompt, "[1, 'a'] low 2026-12-31 u " + json.dumps(TOOLS))

    def test_the_template_refuses(self):
        source = ("{% for m in messages %}{% if m.role == 'assistant' %}"
                  "{{ raise_exception('no assistants, please') }}{% endif %}{{ m.content }}"
                  "{% endfor %}")
        with self.template(source) as d:
            body = {"messages": [MESSAGE, {"role": "assistant", "content": "b"}, MESSAGE]}
            status, error = chats.refused(d, body)
            self.assertEqual(status, 400)
            self.assertIn("no assistants, please", error["message"])
            self.assertEqual(chats.chat(d)[0], 200)

    def test_the_template_fails(self):
        with self.template("{{ messages[0].content }}\n{{ x.y.z }}") as d:
            status, error = chats.refused(d, {"messages": [MESSAGE]})
            self.assertIn(status, (400, 500))
            self.assertIn("line 2", error["message"])
            self.assertNotIn(self.temp.name, error["message"])
            self.assertEqual(chats.chat(d, chat_template_kwargs={"x": {"y": {}}})[0], 200)

    def test_an_empty_prompt(self):
        with self.template("{{ nothing }}") as d:
            self.assertEqual(chats.refused(d, {"messages": [MESSAGE]})[0], 400)

    def test_no_template(self):
        model = os.path.join(self.temp.name, "bare")
        os.makedirs(model, exist_ok=True)
        with wire.Daemon("--model", model, env={"FAKE_SCRIPT": self.script}) as d:
            for path in (chats.PATH, "/apply-template"):
                status, _, data = d.call("POST", path, {"messages": [MESSAGE]})
                error = json.loads(data)["error"]
                self.assertEqual((status, error["code"]), (400, "no_chat_template"))
                self.assertIn("chat-template", error["message"])
            self.assertEqual(d.complete()[0], 200)


class States(Case):
    def test_saved_and_loaded(self):
        with self.daemon("--state-dir", os.path.join(self.temp.name, "states")) as d:
            for stream in (False, True):
                name = "s%d" % stream
                body = {"messages": chats.user("hello"), "state": {"save": name},
                        "temperature": 0, "return_token_ids": True}
                if stream:
                    s = chats.stream(d, body)
                    chunks = s.chunks()
                    last = [c for c in chunks if c["choices"]
                            and c["choices"][0]["finish_reason"]][0]["choices"][0]
                    told = chunks[-1]["state"]
                else:
                    answer = self.say(None, d=d, **body)
                    last, told = answer["choices"][0], answer["state"]
                self.assertEqual(told["saved"]["name"], name)
                self.assertEqual(int(last["stop_token_id"]), 256)
                self.assertEqual(set(last["pending"]), {"text", "token_ids"})
                self.assertEqual(d.call("GET", "/v1/states/" + name)[0], 200)
                turns = chats.user("hello") + [{"role": "assistant", "content": SCRIPT[0]["say"]}]
                loaded = self.say(None, d=d, messages=turns + chats.user("more"),
                                  state={"load": name})["state"]["loaded"]
                self.assertEqual(loaded["name"], name)
                self.assertGreater(loaded["depth"], len(SCRIPT[0]["say"].encode()))
                status, error = chats.refused(d, {"messages": chats.user("other"),
                                                  "state": {"load": name}})
                self.assertEqual((status, error["code"], error["param"]),
                                 (409, "state_mismatch", "messages"))

    def test_refused(self):
        body = {"messages": [MESSAGE], "state": {"save": "s"}}
        self.assertEqual(chats.refused(self.d, body)[1]["param"], "state")
        with self.daemon("--state-dir", os.path.join(self.temp.name, "states2")) as d:
            self.assertEqual(chats.refused(d, {**body, "n": 2})[1]["param"], "state.save")
            status, error = chats.refused(d, {**body, "state": {"load": "none"}})
            self.assertEqual((status, error["code"]), (404, "not_found"))


class Leaving(Case):
    SLOW = {"FAKE_STEP_US": "20000"}

    def test_a_client_that_leaves_frees_its_sequence(self):
        with self.daemon(**self.SLOW) as d:
            for stream in (True, False):
                body = {"messages": chats.user("q7"), "stream": stream, "n": 2}
                before = d.metric("ssmd_generation_tokens_total")
                s = d.post(body, path=chats.PATH)
                d.wait_metric("ssmd_generation_tokens_total", lambda v: v > before + 2)
                s.close()
                began = time.monotonic()
                chats.idle(d)
                self.assertLess(time.monotonic() - began, 30)  # of the minute it would take
            self.assertEqual(d.metric('ssmd_requests_finished_total{reason="abort"}'), 4)

    def test_a_drain_ends_a_stream(self):
        with self.daemon("--drain-timeout", "0.5", **self.SLOW) as d:
            s = chats.Stream(d, {"messages": chats.user("q7")})
            s.read_events(4)
            d.signal(signal.SIGTERM)
            s.read_all()
            self.assertEqual(s.events[-1], "[DONE]")
            said, _ = s.told()
            self.assertEqual(said[0]["reason"], "abort")
            self.assertGreater(len(said[0]["message"]["content"]), 3)
            self.assertEqual(d.proc.wait(wire.LIMIT), 0)

    def test_a_short_stream_outlives_sigterm(self):
        with self.daemon(**self.SLOW) as d:
            s = chats.Stream(d, {"messages": chats.user("q2"), "tools": TOOLS})
            s.read_events(3)
            d.signal(signal.SIGTERM)
            said, _ = s.read_all().told()
            self.assertEqual(said[0]["reason"], "tool_calls")
            self.assertEqual(d.proc.wait(wire.LIMIT), 0)


class Requests(Case):
    def test_counted_by_endpoint(self):
        name = 'ssmd_http_requests_total{route="/v1/chat/completions",code="%d"}'
        before = self.d.metrics()
        self.say("hello")
        chats.refused(self.d, {"messages": []})
        after = self.d.metrics()
        for code in (200, 400):
            self.assertEqual(after[name % code] - before.get(name % code, 0), 1)
        self.assertGreater(after["ssmd_template_seconds_count"],
                           before["ssmd_template_seconds_count"])


if __name__ == "__main__":
    wire.main()

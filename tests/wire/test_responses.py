# SPDX-License-Identifier: Apache-2.0
"""/v1/responses on the wire: the whole object, every event by the shapes of OpenAI's client, how
answers and streams end, what clients send in their second turn, and what Codex sends. Needs the
stand-in engine: build/<variant>/ssmd-fake."""
import base64
import json
import os
import signal
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import responses_shapes as shapes
import wire

CALL = '<tool_call>\n{"name": "look", "arguments": {"at": "é\\"\\\\"}}\n</tool_call>'
LONG = "and on " * 40
SCRIPT = [
    {"say": "Hello, «you» 😀."},
    {"when": "reason", "say": "<think>Hm, héh.</think>So it is."},
    {"when": "look up", "say": "<think>I look.</think>" + CALL + CALL},
    {"when": "broken", "say": '<tool_call>{"name": "look"'},
    {"when": "no word", "say": ""},
    {"when": "at length", "say": "<think>Hm.</think>" + LONG},
    {"when": "it is sunny", "say": "Sunny."},
]
# A token is a byte here, so that of the mark that opens it the last one only is inside.
THOUGHT = len(">Hm, héh.</think>".encode())
LOOK = {"type": "function", "name": "look", "description": "Looks.", "strict": False,
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
FLAGS = ("--chat-template", "chatml", "--tool-format", "hermes", "--context", "8192")


class Responses(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.script = tempfile.NamedTemporaryFile("w", suffix=".json", delete=False)
        with cls.script as f:
            json.dump(SCRIPT, f)
        cls.d = cls.daemon()

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()
        os.unlink(cls.script.name)

    @classmethod
    def daemon(cls, *flags, **env):
        return wire.Daemon(*FLAGS, *flags, env={"FAKE_SCRIPT": cls.script.name, **env})

    def post(self, body, d=None, path="/v1/responses"):
        return (d or self.d).call("POST", path, body)

    def whole(self, text="hi", **fields):
        status, _, data = self.post({"input": text, **fields})
        self.assertEqual(status, 200, data)
        answer = json.loads(data)
        self.assertIsNone(shapes.fault(shapes.RESPONSE, answer))
        return answer

    def refusal(self, **body):
        status, _, data = self.post(body)
        error = json.loads(data)["error"]
        self.assertEqual(set(error), {"message", "type", "param", "code"})
        return status, error["param"], error["code"], error["message"]

    # ---- streams

    def events(self, data):
        """The events of a stream: each in its frame, of its shape, with its number."""
        events = []
        frames = data.decode().split("\n\n")
        self.assertEqual(frames.pop(), "")
        for i, frame in enumerate(frames):
            self.assertRegex(frame, r"\Aevent: [a-z_.]+\ndata: [^\n]+\Z")
            kind, _, text = frame.partition("\ndata: ")
            e = json.loads(text)
            self.assertEqual(kind, "event: " + e["type"])
            self.assertEqual(e["sequence_number"], i)
            self.assertIsNone(shapes.fault(shapes.EVENTS[e["type"]], e), e)
            events.append(e)
        return events

    def stream(self, text="hi", **fields):
        status, head, data = self.post({"input": text, "stream": True, **fields})
        self.assertEqual((status, head["content-type"]),
                         (200, "text/event-stream; charset=utf-8"), data)
        self.assertNotIn(b"[DONE]", data)
        return self.events(data)

    def follow(self, events):
        """Plays a stream as clients do: items are added in order, one open at a time, their parts
        begin empty and grow by deltas to what .done says. Answers (last type, items)."""
        self.assertEqual([e["type"] for e in events[:2]],
                         ["response.created", "response.in_progress"])
        for e in events[:2]:
            self.assertEqual((e["response"]["status"], e["response"]["output"]),
                             ("in_progress", []))
        items, texts, item = [], {}, None
        for e in events[2:-1]:
            step = e["type"].rpartition(".")[2]
            if "item" in e:
                self.assertEqual(e["output_index"], len(items))
                if step == "added":
                    self.assertIsNone(item)
                    item, texts = e["item"], {}
                    self.assertEqual(item["status"], "in_progress")
                    self.assertFalse(item.get("content") or item.get("summary") or
                                     item.get("arguments"))
                else:
                    for name in ("id", "type"):
                        self.assertEqual(e["item"][name], item[name])
                    self.check_item(e["item"], texts)
                    items.append(e["item"])
                    item = None
                continue
            self.assertEqual((e["item_id"], e["output_index"]), (item["id"], len(items)))
            run = "summary" if "summary_index" in e else "text"
            if "part" in e and step == "added":
                self.assertEqual(e["part"]["text"], "")
                texts[run] = ""
            elif step == "delta":
                texts[run] = texts.get(run, "") + e["delta"]
            else:
                said = e["part"]["text"] if "part" in e else e.get("text", e.get("arguments"))
                self.assertEqual(said, texts[run])
        self.assertIsNone(item)
        self.assertEqual(events[-1]["response"]["output"], items)
        self.assertEqual(events[-1]["response"]["id"], events[0]["response"]["id"])
        return events[-1]["type"], items

    def check_item(self, item, texts):
        if item["type"] == "function_call":
            self.assertEqual(item["arguments"], texts["text"])
            return
        self.assertEqual([x["text"] for x in item["content"]], [texts["text"]])
        if item["type"] == "reasoning":
            said = [x["text"] for x in item["summary"]]
            self.assertEqual(said, [texts["summary"]] if "summary" in texts else [])

    def same_but_ids(self, a, b):
        """Items are equal but for their ids, which have the response's in them."""
        self.assertEqual(*([{**x, "id": x["id"].partition("_")[0]} for x in y] for y in (a, b)))

    # ---- answers

    def test_text(self):
        answer = self.whole(instructions="be brief", metadata={"a": "b"}, temperature=0.7)
        self.assertEqual([x["type"] for x in answer["output"]], ["message"])
        self.assertEqual(answer["output"][0]["content"][0]["text"], "Hello, «you» 😀.")
        self.assertEqual(answer["status"], "completed")
        self.assertEqual((answer["instructions"], answer["metadata"], answer["temperature"]),
                         ("be brief", {"a": "b"}, 0.7))
        usage = answer["usage"]
        self.assertEqual(usage["total_tokens"], usage["input_tokens"] + usage["output_tokens"])
        status, _, data = self.post({"input": "hi"}, path="/responses")
        self.assertEqual((status, json.loads(data)["object"]), (200, "response"))

    def test_reasoning_and_its_tokens(self):
        answer = self.whole("reason", include=["reasoning.encrypted_content"])
        reasoning, message = answer["output"]
        self.assertEqual(reasoning["content"][0]["text"], "Hm, héh.")
        self.assertEqual(base64.b64decode(reasoning["encrypted_content"]).decode(), "Hm, héh.")
        self.assertEqual(reasoning["summary"], [])
        self.assertEqual(message["content"][0]["text"], "So it is.")
        tokens = answer["usage"]["output_tokens_details"]["reasoning_tokens"]
        self.assertEqual(tokens, THOUGHT)

    def test_streams_are_what_is_not_streamed(self):
        for text, fields in (("hi", {}), ("reason", {}),
                             ("reason", {"reasoning": {"summary": "auto"}}),
                             ("reason", {"include": ["reasoning.encrypted_content"]}),
                             ("look up", {"tools": [LOOK]}),
                             ("look up", {"tools": [LOOK], "parallel_tool_calls": False}),
                             ("look up", {"tools": [LOOK], "tool_choice": "none"}),
                             ("broken", {"tools": [LOOK]}), ("no word", {}),
                             ("at length", {"max_output_tokens": 50})):
            with self.subTest(text=text, fields=fields):
                whole = self.whole(text, **fields)
                events = self.stream(text, **fields)
                kind, items = self.follow(events)
                last = events[-1]["response"]
                self.assertEqual(kind, "response." + whole["status"])
                self.same_but_ids(whole["output"], items)
                for name in set(whole) - {"id", "created_at", "output", "seed"}:
                    self.assertEqual(last[name], whole[name], name)

    def test_calls(self):
        answer = self.whole("look up", tools=[LOOK, {"type": "web_search"}])
        reasoning, first, second = answer["output"]
        self.assertEqual(answer["tools"], [LOOK])
        self.assertEqual(reasoning["content"][0]["text"], "I look.")
        self.assertEqual(json.loads(first["arguments"]), {"at": 'é"\\'})
        self.assertRegex(first["call_id"], r"\A[A-Za-z0-9]{9}\Z")
        self.assertNotEqual(first["call_id"], second["call_id"])
        self.assertEqual(len(self.whole("look up", tools=[LOOK],
                                        parallel_tool_calls=False)["output"]), 2)
        # Of tools that must not be called, and of none, calls are text.
        for fields in ({"tools": [LOOK], "tool_choice": "none"}, {}):
            output = self.whole("look up", **fields)["output"]
            self.assertEqual([x["type"] for x in output], ["reasoning", "message"])
            self.assertEqual(output[1]["content"][0]["text"], CALL + CALL)

    def test_a_second_turn_has_the_first_answers_items(self):
        fields = {"tools": [LOOK], "store": False, "include": ["reasoning.encrypted_content"]}
        first = self.whole("look up", **fields)["output"]
        results = [{"type": "function_call_output", "call_id": x["call_id"],
                    "output": "it is sunny"} for x in first if x["type"] == "function_call"]
        items = [{"role": "user", "content": "look up"}, *first, *results]
        second = self.whole(items, **fields)
        self.assertEqual(second["output"][0]["content"][0]["text"], "Sunny.")
        # Whatever of it a client leaves out: content, or all but the encrypted text.
        thin = [{k: v for k, v in x.items() if k not in ("id", "status", "content")}
                if x["type"] == "reasoning" else x for x in first]
        third = self.whole([items[0], *thin, *results], **fields)
        for name in ("output_tokens", "input_tokens"):
            self.assertEqual(third["usage"][name], second["usage"][name])

    def test_no_word_is_an_empty_message(self):
        answer = self.whole("no word")
        self.assertEqual([x["content"][0]["text"] for x in answer["output"]], [""])

    # ---- ends

    def test_the_limit_makes_it_incomplete(self):
        answer = self.whole("at length", max_output_tokens=30)
        self.assertEqual((answer["status"], answer["incomplete_details"]["reason"]),
                         ("incomplete", "max_output_tokens"))
        self.assertEqual([x["status"] for x in answer["output"]], ["completed", "incomplete"])
        self.assertEqual(answer["usage"]["output_tokens"], 30)
        kind, items = self.follow(self.stream("at length", max_output_tokens=12))
        self.assertEqual(kind, "response.incomplete")
        self.assertEqual([(x["type"], x["status"]) for x in items], [("reasoning", "incomplete")])

    def test_a_fault_in_a_stream_fails_the_response(self):
        with self.daemon("--request-timeout", 1, FAKE_STEP_US="50000") as d:
            status, _, data = self.post({"input": "at length", "stream": True}, d)
            self.assertEqual(status, 200)
            events = self.events(data)
            kind, items = self.follow(events)
            self.assertEqual(kind, "response.failed")
            response = events[-1]["response"]
            self.assertEqual((response["status"], response["error"]["code"]),
                             ("failed", "timeout"))
            self.assertIn("within 1 seconds", response["error"]["message"])
            self.assertEqual(items[-1]["status"], "incomplete")
            status, _, data = self.post({"input": "at length"}, d)
            self.assertEqual((status, json.loads(data)["error"]["code"]), (408, "timeout"))

    def test_a_drain_fails_what_it_cuts(self):
        with self.daemon("--drain-timeout", 1, FAKE_STEP_US="50000") as d:
            s = d.connect()
            body = json.dumps({"input": "at length", "stream": True})
            s.sendall(wire.request("POST", "/v1/responses", body, "Connection: close\r\n"))
            d.wait_metric("ssmd_requests_running", lambda n: n > 0)
            d.signal(signal.SIGTERM)
            data, whole = wire.dechunk(wire.read_all(s).partition(b"\r\n\r\n")[2])
            self.assertTrue(whole)
            events = self.events(data)
            self.assertEqual(self.follow(events)[0], "response.failed")
            self.assertEqual(events[-1]["response"]["error"]["code"], "unavailable")

    # ---- refusals

    def test_what_is_stored_elsewhere_is_refused(self):
        reference = [{"role": "user", "content": "a"}, {"type": "item_reference", "id": "msg_1"}]
        status, param, _, message = self.refusal(input=reference)
        self.assertEqual((status, param), (400, "input[1]"))
        self.assertIn("store: false", message)
        for fields in ({"previous_response_id": "resp_1"}, {"background": True},
                       {"conversation": "conv_1"}, {"prompt": {"id": "pmpt_1"}}):
            self.assertEqual(self.refusal(input="a", **fields)[:3],
                             (400, next(iter(fields)), "unsupported_parameter"))

    def test_bad_input_is_a_plain_400(self):
        image = [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]
        late = [{"type": "function_call_output", "call_id": "1", "output": "x"}]
        for body, param in (({}, "input"), ({"input": []}, "input"), ({"input": 1}, "input"),
                            ({"input": image}, "input[0].content[0].type"),
                            ({"input": late}, "input[0].call_id"),
                            ({"input": "a", "tools": [{"type": "function"}]}, "tools[0].name"),
                            ({"input": "a", "tool_choice": "required"}, "tool_choice"),
                            ({"input": "a", "max_output_tokens": 10 ** 6}, "max_output_tokens"),
                            ({"input": "a" * 9000}, None)):
            for stream in (False, True):
                with self.subTest(param=param, stream=stream):
                    status, found, _, message = self.refusal(stream=stream, **body)
                    self.assertEqual(status, 400, message)
                    self.assertTrue(param in (None, found), (found, message))

    def test_unknown_things_are_counted(self):
        before = self.d.metric("ssmd_unknown_fields_total")
        self.whole([{"type": "web_search_call", "id": "ws_1"}, {"role": "user", "content": "a"}],
                   tools=[{"type": "namespace", "name": "n", "tools": []}], another=1)
        self.assertEqual(self.d.metric("ssmd_unknown_fields_total"), before + 3)
        self.whole(store=True, client_metadata={}, truncation="auto", service_tier="auto",
                   include=[], modalities=["text"], stream_options={}, verbosity="low")
        self.assertEqual(self.d.metric("ssmd_unknown_fields_total"), before + 3)

    def test_metrics_of_answers(self):
        names = "ssmd_reasoning_tokens_total", 'ssmd_tool_parse_failures_total{form="hermes"}'
        before = [self.d.metric(x) for x in names]
        self.whole("reason")
        self.whole("broken", tools=[LOOK])
        after = [self.d.metric(x) for x in names]
        self.assertEqual([b - a for a, b in zip(before, after)],
                         [THOUGHT, 1])

    # ---- what clients send

    def test_as_codex_sends_it(self):
        """Codex 0.171: no limit, developer messages, tools of other types, a key of its own."""
        def message(role, text):
            return {"type": "message", "id": "msg_" + role, "role": role,
                    "content": [{"type": "input_text", "text": text}]}
        body = {
            "model": "default", "stream": True, "store": False, "tool_choice": "auto",
            "parallel_tool_calls": True, "reasoning": {"summary": "auto"},
            "include": ["reasoning.encrypted_content"],
            "prompt_cache_key": "01a22fb7-9c05-79c3-affb-82ca59515e0c",
            "client_metadata": {"session_id": "01a22fb7-9c05-79c3-affb-82ca59515e0c"},
            "tools": [LOOK, {"type": "namespace", "name": "agents", "tools": [LOOK]},
                      {"type": "web_search", "external_web_access": False}],
            "input": [message("developer", "You are a coding agent."),
                      message("developer", "## Skills"), message("user", "<environment/>"),
                      message("user", "look up")]}
        kind, items = self.follow(self.stream(body.pop("input"), **body))
        self.assertEqual((kind, [x["type"] for x in items]),
                         ("response.completed", ["reasoning", "function_call", "function_call"]))
        self.assertEqual(items[0]["summary"][0]["text"], "I look.")


if __name__ == "__main__":
    wire.main()

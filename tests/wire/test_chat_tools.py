# SPDX-License-Identifier: Apache-2.0
"""Tool calls of the six forms over the three endpoints of conversations, whole and streamed: text,
reasoning and calls are the same everywhere; broken calls are text, and counted by form."""
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

THINK = "<think>\nI look.\n</think>\n\n"
ARGUMENTS = {"s": "é 😀", "i": 5}
JSON = json.dumps(ARGUMENTS, ensure_ascii=False)


def token(mark):
    return {"special": mark}


def named(key):
    return '{"name": "f", "%s": %s}' % (key, JSON)


# Of each form two calls, the second without arguments, and a broken one.
HERMES = ["<tool_call>\n", named("arguments"), "\n</tool_call>\n",
          '<tool_call>\n{"name": "g"}\n</tool_call>\n']
CODER = ["<tool_call>\n<function=f>\n<parameter=s>\né 😀\n</parameter>\n<parameter=i>\n5\n"
         "</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=g>\n</function>\n"
         "</tool_call>"]
FORMS = {
    "hermes": (HERMES, ['<tool_call>{"name": }</tool_call>']),
    "qwen3_coder": (CODER, ["<tool_call><function=f>?</function></tool_call>"]),
    "lfm2": ([token("<|tool_call_start|>"), "[f(s='é 😀', i=5), g()]",
              token("<|tool_call_end|>")],
             [token("<|tool_call_start|>"), "[f(?)]", token("<|tool_call_end|>")]),
    "llama3_json": ([token("<|python_tag|>"), named("parameters"), '; {"name": "g"}'],
                    [token("<|python_tag|>"), "print(1)"]),
    "json_list": (["<TOOLCALL>[", named("arguments"), ', {"name": "g"}]</TOOLCALL>'],
                  ['<TOOLCALL>[{"nam": "f"}]</TOOLCALL>']),
    "mistral": ([token("[TOOL_CALLS]"), "f", token("[ARGS]"), JSON, token("[TOOL_CALLS]"), "g",
                 token("[ARGS]"), "{}"],
                [token("[TOOL_CALLS]"), "f", token("[ARGS]"), "{?}"]),
}
CALLS = [("f", ARGUMENTS), ("g", {})]
SCHEMA = {"type": "object", "properties": {"s": {"type": "string"}, "i": {"type": "integer"}}}


def texts(pieces):
    return "".join(p for p in pieces if isinstance(p, str))


def script(form):
    good, bad = FORMS[form]
    return [{"say": "no"},
            {"when": "q-calls", "say": [THINK, "Well: ", *good]},
            {"when": "q-broken", "say": ["Well: ", *bad]}]


def read_sse(data):
    blocks = [b for b in data.decode().split("\n\n") if "data: " in b]
    found = [b[b.index("data: ") + 6:] for b in blocks]
    return [json.loads(b) for b in found if b != "[DONE]"]


class Chat:
    path, limit = "/v1/chat/completions", "max_tokens"
    stops = {"tools": "tool_calls", "stop": "stop", "length": "length"}

    @staticmethod
    def body(content):
        return {"messages": [{"role": "user", "content": content}]}

    @staticmethod
    def tool(name):
        return {"type": "function", "function": {"name": name, "parameters": SCHEMA}}

    @staticmethod
    def parts(answer):
        message = answer["choices"][0]["message"]
        calls = [c["function"] for c in message.get("tool_calls") or []]
        return (message.get("reasoning_content") or "", message["content"] or "",
                [(c["name"], json.loads(c["arguments"])) for c in calls],
                answer["choices"][0]["finish_reason"])

    @staticmethod
    def join(events):
        message = {"content": "", "reasoning_content": "", "tool_calls": []}
        finish = None
        for choice in (c for e in events for c in e["choices"]):
            delta = choice["delta"]
            for name in ("content", "reasoning_content"):
                message[name] += delta.get(name) or ""
            for call in delta.get("tool_calls", []):
                if call["index"] == len(message["tool_calls"]):
                    message["tool_calls"].append({"function": {"name": call["function"]["name"],
                                                               "arguments": ""}})
                function = message["tool_calls"][call["index"]]["function"]
                function["arguments"] += call["function"].get("arguments", "")
            finish = choice["finish_reason"] or finish
        return {"choices": [{"message": message, "finish_reason": finish}]}


class Responses:
    path, limit = "/v1/responses", "max_output_tokens"
    stops = {"tools": "completed", "stop": "completed", "length": "incomplete"}

    @staticmethod
    def body(content):
        return {"input": content}

    @staticmethod
    def tool(name):
        return {"type": "function", "name": name, "parameters": SCHEMA}

    @staticmethod
    def parts(answer):
        found = {"reasoning": "", "message": ""}
        calls = []
        for item in answer["output"]:
            if item["type"] == "function_call":
                calls.append((item["name"], json.loads(item["arguments"])))
            else:
                found[item["type"]] += "".join(p["text"] for p in item["content"])
        return found["reasoning"], found["message"], calls, answer["status"]

    @staticmethod
    def join(events):
        """The items as their ends have them; texts and arguments as their deltas do."""
        items, deltas = [], {}
        for event in events:
            if event["type"].endswith(".delta"):
                key = event["item_id"]
                deltas[key] = deltas.get(key, "") + event["delta"]
            elif event["type"] == "response.output_item.done":
                item = event["item"]
                if item["type"] == "function_call":
                    item["arguments"] = deltas[item["id"]]
                else:
                    item["content"] = [{"text": deltas[item["id"]]}]
                items.append(item)
        return {"output": items, "status": events[-1]["response"]["status"]}


class Messages:
    path, limit = "/v1/messages", "max_tokens"
    stops = {"tools": "tool_use", "stop": "end_turn", "length": "max_tokens"}

    @staticmethod
    def body(content):
        return {"messages": [{"role": "user", "content": content}]}

    @staticmethod
    def tool(name):
        return {"name": name, "input_schema": SCHEMA}

    @staticmethod
    def parts(answer):
        blocks = answer["content"]
        return ("".join(b["thinking"] for b in blocks if b["type"] == "thinking"),
                "".join(b["text"] for b in blocks if b["type"] == "text"),
                [(b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"],
                answer["stop_reason"])

    @staticmethod
    def join(events):
        blocks, stop = [], None
        for event in events:
            if event["type"] == "content_block_start":
                blocks.append(dict(event["content_block"], json=""))
            elif event["type"] == "content_block_delta":
                for name in ("text", "thinking", "partial_json"):
                    to = "json" if name == "partial_json" else name
                    if name in event["delta"]:
                        blocks[event["index"]][to] += event["delta"][name]
            stop = event.get("delta", {}).get("stop_reason", stop)
        for block in blocks:
            if block["type"] == "tool_use":
                block["input"] = json.loads(block["json"])
        return {"content": blocks, "stop_reason": stop}


class Tools(unittest.TestCase):
    def daemon(self, form, *flags):
        file = tempfile.NamedTemporaryFile("w", suffix=".json", delete=False)
        self.addCleanup(os.unlink, file.name)
        with file:
            json.dump(script(form), file)
        return wire.Daemon("--chat-template", "chatml", "--tool-format", form, *flags,
                           env={"FAKE_SCRIPT": file.name})

    def ask(self, d, endpoint, content, **fields):
        """The parts of the answer, which are the same whole and streamed."""
        body = {**endpoint.body(content), endpoint.limit: 1000,
                "tools": [endpoint.tool("f"), endpoint.tool("g")], **fields}
        status, _, data = d.call("POST", endpoint.path, body)
        self.assertEqual(status, 200, data)
        whole = endpoint.parts(json.loads(data))
        status, _, data = d.call("POST", endpoint.path, {**body, "stream": True})
        self.assertEqual(status, 200, data)
        self.assertEqual(endpoint.parts(endpoint.join(read_sse(data))), whole)
        return whole

    def failures(self, d, form):
        name = f'ssmd_tool_parse_failures_total{{form="{form}"}}'
        return int(d.metrics()[name])

    def test_every_form_at_every_endpoint(self):
        for form, (good, bad) in FORMS.items():
            with self.daemon(form) as d:
                for n, end in enumerate((Chat, Responses, Messages)):
                    with self.subTest(form=form, path=end.path):
                        self.assertEqual(self.ask(d, end, "q-calls"),
                                         ("I look.", "Well: ", CALLS, end.stops["tools"]))
                        self.assertEqual(self.failures(d, form), 2 * n)
                        self.assertEqual(self.ask(d, end, "q-broken"),
                                         ("", "Well: " + texts(bad), [], end.stops["stop"]))
                        self.assertEqual(self.failures(d, form), 2 * n + 2)

    def test_without_tools_calls_are_text(self):
        with self.daemon("hermes") as d:
            for end in (Chat, Responses, Messages):
                got = self.ask(d, end, "q-calls", tools=[])
                self.assertEqual(got[1:3], ("Well: " + texts(HERMES), []))
            self.assertEqual(self.failures(d, "hermes"), 0)

    def test_a_cut_call_is_text(self):
        with self.daemon("qwen3_coder") as d:
            for end in (Chat, Responses, Messages):
                got = self.ask(d, end, "q-calls", **{end.limit: 60})
                self.assertEqual(got[1:], ("Well: " + CODER[0][:60 - len(THINK) - 6], [],
                                           end.stops["length"]))


if __name__ == "__main__":
    wire.main()

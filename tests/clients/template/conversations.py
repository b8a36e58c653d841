# SPDX-License-Identifier: Apache-2.0
"""Conversations that templates are tried with, and what is asked of them besides."""

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a place, e.g. \"today's\"",
    "parameters": {"type": "object", "required": ["place"], "properties": {
        "place": {"type": "string", "description": "Town, land: <München & Umgebung>"},
        "days": {"type": "integer", "default": 3, "minimum": 1},
        "scale": {"type": ["string", "null"], "enum": ["C", "F", None]},
        "share": {"type": "number", "maximum": 1.5e-7}}}}}
STOP = {"type": "function", "function": {
    "name": "stop", "description": "", "strict": True,
    "parameters": {"type": "object", "properties": {}, "additionalProperties": False}}}
TOOLS = [WEATHER, STOP]


def user(content, **more):
    return {"role": "user", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def call(name, arguments, number=1):
    return {"id": f"call0000{number}", "type": "function",
            "function": {"name": name, "arguments": arguments}}


def tool(content, number=1, **more):
    return {"role": "tool", "tool_call_id": f"call0000{number}", "content": content, **more}


ARGUMENTS = {"place": "Zürich \"HB\"\n", "days": 2, "deep": {"a": [1, 2.0, None, True]}}
CALLS = [
    user("Is it raining?"),
    assistant("", tool_calls=[call("get_weather", ARGUMENTS)]),
    tool('{"rain": false, "degrees": 21.5}', name="get_weather"),
    assistant("It is dry."),
    user("Thanks. Stop."),
]
PARALLEL = [
    system("Be brief."),
    user("Two things."),
    assistant("I look.", tool_calls=[call("get_weather", {"place": "東京"}, 1),
                                     call("stop", {}, 2)]),
    tool("sunny", 1, name="get_weather"),
    tool("stopped", 2, name="stop"),
]
CALLED_TWICE = CALLS[:3] + [
    assistant(None, tool_calls=[call("get_weather", {"place": "Bern"}, 2)]),
    tool("snow", 2, name="get_weather"),
]
REASONED = [
    system("Think first."),
    user("1 + 1?"),
    assistant("2", reasoning_content="One and one.\nThat is two."),
    user("And 2 + 2?"),
    assistant("<think>\nTwo and two.\n</think>\n\n4", reasoning="Two and two."),
    user("And 3 + 3?"),
]
SPELLINGS = [
    system("<|im_start|>system\n<|endoftext|> [INST] <<SYS>> </s> {{ bos_token }} {% raw %}"),
    user("<|im_end|>\n<|im_start|>assistant\n<tool_call> [/INST] <|eot_id|> <think></think>"),
    assistant("<|end|><|tool_call_end|>[TOOL_CALLS]</think><s> <bos><end_of_turn>"),
    user("<|channel|>final<|message|><|return|> /no_think /think"),
]
SCRIPTS = [
    user("你好，世界！ 東京は雨ですか。 한국어 안녕"),
    assistant("👩‍👩‍👧‍👦 🇨🇭 e\u0301 \u200f\u0627\u0644 \ufeff\u0085\u2028 ﬁ ß İ"),
    user("\n\t  blanks \u00a0\u3000 around  \n\n"),
]
PARTS = [
    system([{"type": "text", "text": "Be brief."}]),
    user([{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]),
    assistant([{"type": "text", "text": "Three."}]),
    user([{"type": "text", "text": "Four."}]),
]
DOCUMENTS = [{"title": "A <title>", "text": "The text, \"quoted\".", "doc_id": 7},
             {"title": "B", "text": "ö", "content": "c"}]

CONVERSATIONS = {
    "one turn": [user("Hello!")],
    "system": [system("You are terse.\n"), user("Hello!")],
    "turns": [user("Hi"), assistant("Hello."), user("How are you?"), assistant(" Fine. "),
              user("Good\nto hear")],
    "system and turns": [system("Be kind."), user("Hi"), assistant("Hello."), user("Bye")],
    "late system": [user("Hi"), assistant("Hello."), system("Now in French."), user("Bye")],
    "two systems": [system("One."), system("Two."), user("Hi")],
    "developer": [{"role": "developer", "content": "Be kind."}, user("Hi")],
    "calls": CALLS,
    "parallel calls": PARALLEL,
    "called twice": CALLED_TWICE,
    "null content": [user("Hi"), assistant(None), user(None)],
    "no content": [user("Hi"), {"role": "assistant"}, user("Bye")],
    "empty content": [system(""), user(""), assistant(""), user("")],
    "reasoning": REASONED,
    "spellings": SPELLINGS,
    "scripts": SCRIPTS,
    "parts": PARTS,
    "assistant first": [assistant("Hello."), user("Hi"), user("Again")],
    "ends with assistant": [user("Hi"), assistant("Hel")],
    "unknown role": [user("Hi"), {"role": "observer", "content": "Hm."}, user("Bye")],
    "arguments as text": [user("Hi"), assistant("", tool_calls=[
        call("get_weather", "{\"place\": \"Bern\"}")]), tool("snow")],
    "stray result": [user("Hi"), tool("snow", 3, name="x")],
    "nothing": [],
}

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>",
           "unk_token": "<unk>"}


def variables(messages, prompt=True, **more):
    return {"messages": messages, "tools": None, "documents": None,
            "add_generation_prompt": prompt, **SPECIAL, **more}


def cases():
    """(name, variables), all that a template is rendered with."""
    for name, messages in CONVERSATIONS.items():
        yield name, variables(messages)
        yield f"{name}, no prompt", variables(messages, False)
    for name in ("one turn", "system and turns", "calls", "parallel calls", "called twice",
                 "reasoning", "developer"):
        messages = CONVERSATIONS[name]
        yield f"{name}, tools", variables(messages, tools=TOOLS)
        yield f"{name}, thinking", variables(messages, enable_thinking=True, thinking=True,
                                             reasoning_effort="high")
        yield f"{name}, no thinking", variables(messages, enable_thinking=False,
                                                thinking=False, reasoning_effort="low",
                                                tools=TOOLS)
    messages = CONVERSATIONS["system and turns"]
    yield "documents", variables(messages, documents=DOCUMENTS, available_tools=TOOLS)
    yield "no tools", variables(messages, tools=[], controls={"length": "short"})

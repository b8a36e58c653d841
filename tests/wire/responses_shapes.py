# SPDX-License-Identifier: Apache-2.0
"""The shapes of /v1/responses as the types of the npm package `openai` (7.x, resources/responses)
have them: written from there, and from what Codex and the AI SDK read, not from our code. A shape
says every member: none may be missing and none added."""

STR, INT, NUM, BOOL = (str,), (int,), (int, float), (bool,)
EMPTY_LIST = ("exactly", [])
NULL = ("exactly", None)


def either(*shapes):
    return ("either",) + shapes


def exactly(x):
    return ("exactly", x)


def many(shape):
    return ("many", shape)


OUTPUT_TEXT = {"type": exactly("output_text"), "text": STR, "annotations": EMPTY_LIST,
               "logprobs": EMPTY_LIST}
REASONING_TEXT = {"type": exactly("reasoning_text"), "text": STR}
SUMMARY_TEXT = {"type": exactly("summary_text"), "text": STR}
STATUS = either(exactly("in_progress"), exactly("completed"), exactly("incomplete"))

MESSAGE = {"type": exactly("message"), "id": STR, "status": STATUS, "role": exactly("assistant"),
           "content": many(OUTPUT_TEXT)}
CALL = {"type": exactly("function_call"), "id": STR, "status": STATUS, "call_id": STR,
        "name": STR, "arguments": STR}
REASONING = {"type": exactly("reasoning"), "id": STR, "status": STATUS,
             "summary": many(SUMMARY_TEXT), "content": many(REASONING_TEXT)}
ENCRYPTED = {**REASONING, "encrypted_content": STR}
ITEM = either(MESSAGE, CALL, REASONING, ENCRYPTED)

USAGE = {"input_tokens": INT, "input_tokens_details": {"cached_tokens": INT},
         "output_tokens": INT, "output_tokens_details": {"reasoning_tokens": INT},
         "total_tokens": INT}
FUNCTION = {"type": exactly("function"), "name": STR, "description": STR, "strict": BOOL,
            "parameters": ("any",)}
RESPONSE = {
    "id": STR, "object": exactly("response"), "created_at": INT, "model": STR,
    "status": either(*[exactly(x) for x in ("in_progress", "completed", "incomplete", "failed")]),
    "error": either(NULL, {"code": STR, "message": STR, "type": STR, "param": NULL}),
    "incomplete_details": either(NULL, {"reason": exactly("max_output_tokens")}),
    "output": many(ITEM), "usage": either(NULL, USAGE),
    "instructions": either(NULL, STR), "tools": many(FUNCTION),
    "tool_choice": either(exactly("auto"), exactly("none")), "parallel_tool_calls": BOOL,
    "temperature": NUM, "top_p": NUM, "top_logprobs": exactly(0),
    "max_output_tokens": either(NULL, INT),
    "reasoning": {"effort": either(NULL, STR), "summary": either(NULL, STR)},
    "text": either({"format": {"type": exactly("text")}},
                   {"format": {"type": exactly("text")}, "verbosity": STR}),
    "user": either(NULL, STR), "safety_identifier": either(NULL, STR),
    "prompt_cache_key": either(NULL, STR), "store": exactly(False),
    "background": exactly(False), "truncation": exactly("disabled"),
    "service_tier": exactly("default"), "previous_response_id": NULL, "metadata": ("any",),
    "seed": INT,  # ours: which one was drawn
}

_EVENT = {"type": STR, "sequence_number": INT}
_INSIDE = {**_EVENT, "item_id": STR, "output_index": INT}
_PART = {**_INSIDE, "content_index": INT}
_SUMMARY = {**_INSIDE, "summary_index": INT}
_WHOLE = {**_EVENT, "response": RESPONSE}
EVENTS = {
    "response.created": _WHOLE,
    "response.in_progress": _WHOLE,
    "response.completed": _WHOLE,
    "response.incomplete": _WHOLE,
    "response.failed": _WHOLE,
    "response.output_item.added": {**_EVENT, "output_index": INT, "item": ITEM},
    "response.output_item.done": {**_EVENT, "output_index": INT, "item": ITEM},
    "response.content_part.added": {**_PART, "part": either(OUTPUT_TEXT, REASONING_TEXT)},
    "response.content_part.done": {**_PART, "part": either(OUTPUT_TEXT, REASONING_TEXT)},
    "response.output_text.delta": {**_PART, "delta": STR, "logprobs": EMPTY_LIST},
    "response.output_text.done": {**_PART, "text": STR, "logprobs": EMPTY_LIST},
    "response.reasoning_text.delta": {**_PART, "delta": STR},
    "response.reasoning_text.done": {**_PART, "text": STR},
    "response.reasoning_summary_part.added": {**_SUMMARY, "part": SUMMARY_TEXT},
    "response.reasoning_summary_part.done": {**_SUMMARY, "part": SUMMARY_TEXT},
    "response.reasoning_summary_text.delta": {**_SUMMARY, "delta": STR},
    "response.reasoning_summary_text.done": {**_SUMMARY, "text": STR},
    "response.function_call_arguments.delta": {**_INSIDE, "delta": STR},
    "response.function_call_arguments.done": {**_INSIDE, "name": STR, "arguments": STR},
}


def fault(shape, x, at="$"):
    """Where x differs from the shape, or None."""
    if isinstance(shape, dict):
        if not isinstance(x, dict):
            return "%s: no object: %r" % (at, x)
        if set(x) != set(shape):
            return "%s: members %s" % (at, sorted(set(x) ^ set(shape)))
        return next(filter(None, (fault(shape[k], x[k], at + "." + k) for k in shape)), None)
    if shape[0] == "any":
        return None
    if shape[0] == "exactly":
        same = x == shape[1] and isinstance(x, type(shape[1]))
        return None if same else "%s: %r, not %r" % (at, x, shape[1])
    if shape[0] == "either":
        found = [fault(s, x, at) for s in shape[1:]]
        return None if None in found else "%s: none of: %s" % (at, found)
    if shape[0] == "many":
        if not isinstance(x, list):
            return "%s: no list: %r" % (at, x)
        return next(filter(None, (fault(shape[1], y, "%s[%d]" % (at, i))
                                  for i, y in enumerate(x))), None)
    good = isinstance(x, shape) and (bool in shape or not isinstance(x, bool))
    return None if good else "%s: %r" % (at, x)

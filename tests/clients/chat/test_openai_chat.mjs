// SPDX-License-Identifier: Apache-2.0
// The official client: chat whole and streamed, loops of tools by hand and by the client,
// responses, typed errors.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { args, Daemon, writeScript } from "../daemon.mjs";
import { main, test } from "../program.mjs";
import { ANSWERS, CITY, FLAGS, HELLO, REPORT, THOUGHT, weather } from "./answers.mjs";

let d, client;
const FUNCTION = { name: "get_weather", description: "The weather", parameters: CITY };
const tools = [{ type: "function", function: FUNCTION }];
const user = (content) => [{ role: "user", content }];
const ask = (text, more = {}) =>
  client.chat.completions.create({ model: "m", messages: user(text), ...more });

async function refusal(promise) {
  const e = await promise.catch((error) => error);
  assert(e instanceof OpenAI.APIError, `it was not refused: ${JSON.stringify(e)}`);
  return e;
}

async function chunksOf(stream) {
  const chunks = [];
  for await (const chunk of await stream) chunks.push(chunk);
  return chunks;
}

const contentOf = (chunks) => chunks.map((c) => c.choices[0]?.delta.content ?? "").join("");

// ---- chat --------------------------------------------------------------------------------

test("a chat completion has all that its type says", async () => {
  const a = await ask("Hi");
  assert.equal(a.object, "chat.completion");
  assert.match(a.id, /^chatcmpl-/);
  assert.match(a._request_id, /^req-/);
  assert.deepEqual([a.model, a.choices.length, a.choices[0].index], ["m", 1, 0]);
  assert.deepEqual([a.choices[0].message.role, a.choices[0].message.content], ["assistant", HELLO]);
  assert.equal(a.choices[0].finish_reason, "stop");
  assert.equal(a.choices[0].logprobs, null);
  assert.equal(a.usage.total_tokens, a.usage.prompt_tokens + a.usage.completion_tokens);
});

test("a stream says what the whole answer says", async () => {
  const whole = await ask("Hi");
  const chunks = await chunksOf(ask("Hi", { stream: true, stream_options: { include_usage: true } }));
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.completion_tokens, whole.usage.completion_tokens);
  assert.equal(contentOf(chunks), HELLO);
  assert.equal(chunks[0].choices[0].delta.role, "assistant");
  assert.deepEqual(chunks.map((c) => c.choices[0].finish_reason).filter(Boolean), ["stop"]);
  assert.equal(new Set(chunks.map((c) => `${c.id} ${c.object} ${c.created}`)).size, 1);
});

test("the client's own reader of streams", async () => {
  const stream = client.chat.completions.stream({ model: "m", messages: user("Hi") });
  let seen = "";
  stream.on("content", (piece) => (seen += piece));
  const final = await stream.finalChatCompletion();
  assert.deepEqual([seen, final.choices[0].message.content], [HELLO, HELLO]);
});

test("a stop by length", async () => {
  const a = await ask("Write long", { max_completion_tokens: 9 });
  assert.deepEqual([a.choices[0].finish_reason, a.usage.completion_tokens], ["length", 9]);
});

test("an aborted stream is freed", async () => {
  const stream = await ask("Write long", { stream: true });
  for await (const _ of stream) stream.controller.abort();
  await d.reaches("ssmd_requests_running", 0);
});

test("reasoning is beside the content", async () => {
  const a = await ask("Think");
  assert.equal(a.choices[0].message.reasoning_content, THOUGHT);
  assert.equal(a.choices[0].message.content, HELLO);
  assert(a.usage.completion_tokens_details.reasoning_tokens > 0);
  const chunks = await chunksOf(ask("Think", { stream: true }));
  const thought = chunks.map((c) => c.choices[0].delta.reasoning_content ?? "").join("");
  assert.deepEqual([thought, contentOf(chunks)], [THOUGHT, HELLO]);
});

// ---- tools -------------------------------------------------------------------------------

test("two calls, their results, an answer", async () => {
  const a = await ask("Of two cities?", { tools });
  const { message, finish_reason } = a.choices[0];
  assert.equal(finish_reason, "tool_calls");
  assert.deepEqual(message.tool_calls.map((c) => [c.type, c.function.name, JSON.parse(c.function.arguments)]),
                   ["Paris", "Köln"].map((city) => ["function", "get_weather", { city }]));
  assert.equal(new Set(message.tool_calls.map((c) => c.id)).size, 2);
  const results = message.tool_calls.map((c) => ({
    role: "tool", tool_call_id: c.id, content: weather(JSON.parse(c.function.arguments)),
  }));
  const messages = [...user("Of two cities?"), message, ...results];
  const end = await client.chat.completions.create({ model: "m", messages, tools });
  assert.equal(end.choices[0].message.content, "Both are sunny.");
});

test("streamed calls are the whole ones", async () => {
  const whole = (await ask("Of two cities?", { tools })).choices[0];
  const stream = client.chat.completions.stream({ model: "m", messages: user("Of two cities?"), tools });
  const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0];
  assert.equal(finish_reason, "tool_calls");
  assert.deepEqual(message.tool_calls.map((c) => [c.id, c.function.name, c.function.arguments]),
                   whole.message.tool_calls.map((c) => [c.id, c.function.name, c.function.arguments]));
});

for (const stream of [false, true])
  test(`the client's loop of tools, ${stream ? "streamed" : "whole"}`, async () => {
    const called = [];
    const run = (input) => (called.push(input), weather(input));
    const runner = client.chat.completions.runTools({
      model: "m", stream, messages: user("What step by step?"),
      tools: [{ type: "function", function: { ...FUNCTION, parse: JSON.parse, function: run } }],
    });
    assert.equal(await runner.finalContent(), "Two steps.");
    assert.deepEqual(called, [{ city: "Rome" }, { city: "Oslo" }]);
  });

// ---- responses ---------------------------------------------------------------------------

const respond = (input, more = {}) => client.responses.create({ model: "m", input, ...more });
const functions = [{ type: "function", strict: false, ...FUNCTION }];

test("a response, whole and streamed", async () => {
  const whole = await respond("Hi");
  assert.deepEqual([whole.status, whole.output_text], ["completed", HELLO]);
  const stream = client.responses.stream({ model: "m", input: "Hi" });
  let text = "";
  stream.on("response.output_text.delta", (e) => (text += e.delta));
  const final = await stream.finalResponse();
  assert.deepEqual([text, final.output_text, final.usage.output_tokens],
                   [HELLO, HELLO, whole.usage.output_tokens]);
});

test("functions of a response", async () => {
  const input = [{ role: "user", content: "The weather in Paris?" }];
  const a = await respond(input, { tools: functions });
  assert.deepEqual(a.output.map((o) => o.type), ["reasoning", "message", "function_call"]);
  assert.equal(a.output_text.trim(), "Let me look.");
  const call = a.output.at(-1);
  const stream = client.responses.stream({ model: "m", input, tools: functions });
  const streamed = (await stream.finalResponse()).output.at(-1);
  assert.deepEqual([streamed.call_id, streamed.name, streamed.arguments],
                   [call.call_id, call.name, call.arguments]);
  const output = weather(JSON.parse(call.arguments));
  const back = { type: "function_call_output", call_id: call.call_id, output };
  assert.equal((await respond([...input, ...a.output, back])).output_text, REPORT);
});

// ---- errors ------------------------------------------------------------------------------

test("bad chats are BadRequestErrors that name the field", async () => {
  const rows = [
    [{ messages: [] }, "messages"],
    [{ messages: [{ role: "wizard", content: "x" }] }, "messages[0].role"],
    [{ messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] },
     "messages[0].content[0].type"],
    [{ messages: [{ role: "tool", tool_call_id: "x", content: "x" }] }, "messages[0].tool_call_id"],
    [{ tools: [{ type: "function" }] }, "tools[0].function"],
    [{ tools, tool_choice: "required" }, "tool_choice"],
    [{ response_format: { type: "json_object" } }, "response_format.type"],
    [{ temperature: 3 }, "temperature"],
    [{ messages: user("word ".repeat(3000)) }, "messages"],
  ];
  for (const [more, param] of rows) {
    const e = await refusal(ask("Hi", more));
    assert(e instanceof OpenAI.BadRequestError, String(e));
    assert.deepEqual([e.status, e.type, e.param], [400, "invalid_request_error", param], e.message);
    assert.match(e.requestID, /^req-/);
  }
});

test("an unknown model is a NotFoundError, also of a stream and a response", async () => {
  for (const call of [ask("Hi", { model: "gpt-4" }), ask("Hi", { model: "gpt-4", stream: true }),
                      respond("Hi", { model: "gpt-4" })]) {
    const e = await refusal(call);
    assert(e instanceof OpenAI.NotFoundError);
    assert.equal(e.code, "model_not_found");
  }
});

test("a stored response is refused with its field", async () => {
  const e = await refusal(respond("Hi", { previous_response_id: "resp_1" }));
  assert.deepEqual([e.status, e.param], [400, "previous_response_id"]);
});

await main(async () => {
  d = await Daemon.start(args.model, FLAGS, { FAKE_SCRIPT: writeScript(ANSWERS) });
  client = new OpenAI({ baseURL: `${d.url}/v1`, apiKey: "any", maxRetries: 0 });
  return d;
});

// SPDX-License-Identifier: Apache-2.0
// Anthropic's client over /v1/messages: whole and streamed, thinking, loops of tools by hand and
// by the client, counts of tokens, both headers of keys, typed errors.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { args, Daemon, writeScript } from "../daemon.mjs";
import { main, test } from "../program.mjs";
import { ANSWERS, CITY, FLAGS, HELLO, REPORT, THOUGHT, weather } from "./answers.mjs";

const KEY = "sk-anthropic";
const tools = [{ name: "get_weather", description: "The weather", input_schema: CITY }];
const user = (content) => [{ role: "user", content }];
const body = (text, more = {}) => ({ model: "m", max_tokens: 200, messages: user(text), ...more });
let d, client;

const clientOf = (options) => new Anthropic({ baseURL: d.url, maxRetries: 0, ...options });
const ask = (text, more) => client.messages.create(body(text, more));

test("a message, whole and streamed", async () => {
  const whole = await ask("Hi");
  assert.deepEqual([whole.type, whole.role, whole.model], ["message", "assistant", "m"]);
  assert.deepEqual([whole.content[0].text, whole.stop_reason], [HELLO, "end_turn"]);
  assert.match(whole._request_id, /^req-/);
  const stream = client.messages.stream(body("Hi"));
  let text = "";
  stream.on("text", (piece) => (text += piece));
  const final = await stream.finalMessage();
  assert.equal(text, HELLO);
  assert.deepEqual(final.content, whole.content);
  assert.equal(final.stop_reason, "end_turn");
  assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
});

test("events come in their order", async () => {
  const types = [];
  for await (const e of await ask("Hi", { stream: true }))
    if (e.type !== types.at(-1) && e.type !== "ping") types.push(e.type);
  assert.deepEqual(types, ["message_start", "content_block_start", "content_block_delta",
                           "content_block_stop", "message_delta", "message_stop"]);
});

test("thinking, text and a call; then its result", async () => {
  const more = { tools, thinking: { type: "adaptive" } };
  const whole = await ask("The weather in Paris?", more);
  assert.deepEqual(whole.content.map((b) => b.type), ["thinking", "text", "tool_use"]);
  assert.equal(whole.content[0].thinking, THOUGHT);
  assert.deepEqual([whole.stop_reason, whole.content[2].input], ["tool_use", { city: "Paris" }]);
  const stream = client.messages.stream(body("The weather in Paris?", more));
  assert.deepEqual((await stream.finalMessage()).content, whole.content);
  const results = [{ type: "tool_result", tool_use_id: whole.content[2].id,
                     content: weather(whole.content[2].input) }];
  const messages = [...user("The weather in Paris?"),
                    { role: "assistant", content: whole.content },
                    { role: "user", content: results }];
  assert.equal((await ask("", { ...more, messages })).content[0].text, REPORT);
});

for (const stream of [false, true])
  test(`the client's loop of tools, ${stream ? "streamed" : "whole"}`, async () => {
    const called = [];
    const getWeather = betaTool({
      name: "get_weather", description: "The weather", inputSchema: CITY,
      run: async (input) => (called.push(input.city), weather(input)),
    });
    const more = { stream, tools: [getWeather] };
    const runner = client.beta.messages.toolRunner(body("What step by step?", more));
    const message = await runner.runUntilDone();
    assert.equal(message.content.at(-1).text, "Two steps.");
    assert.deepEqual(called, ["Rome", "Oslo"]);
  });

test("a stop by length", async () => {
  const long = await ask("Write long", { max_tokens: 7 });
  assert.deepEqual([long.stop_reason, long.usage.output_tokens], ["max_tokens", 7]);
});

test("tokens are counted", async () => {
  const { input_tokens } = await client.messages.countTokens({ model: "m", messages: user("Hi") });
  assert.equal(input_tokens, (await ask("Hi")).usage.input_tokens);
});

test("an aborted stream is freed", async () => {
  const stream = client.messages.stream(body("Write long", { max_tokens: 2000 }));
  stream.on("text", () => stream.abort());
  await assert.rejects(stream.done(), Anthropic.APIUserAbortError);
  await d.reaches("ssmd_requests_running", 0);
});

test("keys in both headers, and models", async () => {
  const bearer = clientOf({ apiKey: null, authToken: KEY });
  assert.equal((await bearer.messages.create(body("Hi"))).content[0].text, HELLO);
  const models = await client.models.list();
  assert.deepEqual(models.data.map((m) => m.id), ["m"]);
  const e = await clientOf({ apiKey: "no" }).messages.create(body("Hi")).catch((error) => error);
  assert(e instanceof Anthropic.AuthenticationError);
  assert.equal(e.type, "authentication_error");
});

test("errors have their classes and types", async () => {
  const rows = [
    [{ model: "x" }, Anthropic.NotFoundError, "not_found_error"],
    [{ messages: [] }, Anthropic.BadRequestError, "invalid_request_error"],
    [{ messages: [{ role: "wizard", content: "x" }] }, Anthropic.BadRequestError, "invalid_request_error"],
    [{ stream: true, temperature: 2 }, Anthropic.BadRequestError, "invalid_request_error"],
  ];
  for (const [more, Class, type] of rows) {
    const e = await ask("Hi", more).catch((error) => error);
    assert(e instanceof Class, `${JSON.stringify(more)}: ${e}`);
    assert.equal(e.type, type);
    assert.match(e.requestID, /^req-/);
  }
});

await main(async () => {
  d = await Daemon.start(args.model, [...FLAGS, "--api-key", KEY],
                         { FAKE_SCRIPT: writeScript(ANSWERS) });
  client = clientOf({ apiKey: KEY });
  return d;
});

// SPDX-License-Identifier: Apache-2.0
// The AI SDK over its two providers: chat completions (openai-compatible) and responses (openai).
// Text, streams, tools over steps, reasoning.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";
import { args, Daemon, writeScript } from "../daemon.mjs";
import { main, test } from "../program.mjs";
import { ANSWERS, FLAGS, HELLO, REPORT, THOUGHT, weather } from "./answers.mjs";

// Responses: without store: false a second turn refers to items that no server keeps.
const STATELESS = { openai: { store: false, reasoningSummary: "auto", forceReasoning: true } };
const tools = {
  get_weather: tool({
    description: "The weather",
    inputSchema: z.object({ city: z.string() }),
    execute: async (input) => weather(input),
  }),
};
const providers = {
  "chat completions": (baseURL) => [
    createOpenAICompatible({ name: "ssmd", baseURL, apiKey: "any", includeUsage: true })("m"), {},
  ],
  responses: (baseURL) => [createOpenAI({ baseURL, apiKey: "any" }).responses("m"), STATELESS],
};

let d;

for (const [name, open] of Object.entries(providers)) {
  const options = (prompt, more) => {
    const [model, providerOptions] = open(`${d.url}/v1`);
    return { model, providerOptions, prompt, maxRetries: 0, ...more };
  };
  const whole = (prompt, more = {}) => generateText(options(prompt, more));

  // The parts of a stream's kind, and its promises.
  async function streamed(prompt, more = {}) {
    const stream = streamText({ ...options(prompt, more), onError() {} });
    const parts = [];
    for await (const part of stream.fullStream) parts.push(part);
    const errors = parts.filter((p) => p.type === "error");
    assert.deepEqual(errors, []);
    const deltas = (type) => parts.filter((p) => p.type === type).map((p) => p.text).join("");
    return { text: deltas("text-delta"), reasoning: deltas("reasoning-delta"),
             usage: await stream.totalUsage, finishReason: await stream.finishReason,
             steps: await stream.steps };
  }

  test(`${name}: text, whole and streamed`, async () => {
    const a = await whole("Hi");
    assert.deepEqual([a.text, a.finishReason], [HELLO, "stop"]);
    const s = await streamed("Hi");
    assert.deepEqual([s.text, s.finishReason], [HELLO, "stop"]);
    for (const key of ["inputTokens", "outputTokens", "totalTokens"]) {
      assert(a.usage[key] > 0, key);
      assert.equal(s.usage[key], a.usage[key]);
    }
  });

  test(`${name}: reasoning`, async () => {
    const a = await whole("Think");
    assert.deepEqual([a.reasoningText, a.text], [THOUGHT, HELLO]);
    const s = await streamed("Think");
    assert.deepEqual([s.reasoning, s.text], [THOUGHT, HELLO]);
  });

  test(`${name}: tools over steps`, async () => {
    const more = { tools, stopWhen: isStepCount(5) };
    for (const run of [whole, streamed]) {
      const a = await run("What step by step?", more);
      assert.equal(a.steps.length, 3);
      assert.deepEqual(a.steps.flatMap((s) => s.toolCalls.map((c) => c.input.city)), ["Rome", "Oslo"]);
      assert.deepEqual([a.text, a.finishReason], ["Two steps.", "stop"]);
      assert.equal(a.steps[0].finishReason, "tool-calls");
    }
  });

  test(`${name}: reasoning, text and a call in one step`, async () => {
    const more = { tools, stopWhen: isStepCount(5) };
    for (const run of [whole, streamed]) {
      const a = await run("The weather in Paris?", more);
      assert.equal(a.steps[0].reasoningText, THOUGHT);
      assert.equal(a.steps[0].text.trim(), "Let me look.");
      assert.deepEqual(a.steps[0].toolCalls[0].input, { city: "Paris" });
      assert.equal(a.steps[1].text, REPORT);
    }
  });

  test(`${name}: a stop by length`, async () => {
    const a = await whole("Write long", { maxOutputTokens: 20 });
    assert.equal(a.finishReason, "length");
    assert.equal(a.usage.outputTokens, 20);
  });

  test(`${name}: errors`, async () => {
    const e = await whole("Hi", { temperature: 5, providerOptions: {} }).catch((error) => error);
    assert(APICallError.isInstance(e), String(e));
    assert.equal(e.statusCode, 400);
    assert.match(e.message, /temperature/);
  });
}

test("responses: a second turn with stored items says what to do", async () => {
  const [model] = providers.responses(`${d.url}/v1`);
  const e = await generateText({ model, tools, prompt: "The weather in Paris?", maxRetries: 0,
                                 stopWhen: isStepCount(5) }).catch((error) => error);
  assert(APICallError.isInstance(e), String(e));
  assert.equal(e.statusCode, 400);
  assert.match(e.message, /store/);
});

await main(async () => {
  d = await Daemon.start(args.model, FLAGS, { FAKE_SCRIPT: writeScript(ANSWERS) });
  return d;
});

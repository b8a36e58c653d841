// SPDX-License-Identifier: Apache-2.0
// Every client against the model itself: text comes, a stream says what the whole answer says,
// its tokens are counted. All ask the same greedy question, so all get the same text.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import Anthropic from "@anthropic-ai/sdk";
import { ChatOpenAI } from "@langchain/openai";
import { Agent, OpenAIChatCompletionsModel, run, setTracingDisabled } from "@openai/agents";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import { args, Daemon } from "../daemon.mjs";
import { main, test } from "../program.mjs";

const QUESTION = "The rain had stopped. She opened the window and";
const LIMIT = 24;
const messages = [{ role: "user", content: QUESTION }];
const chat = { model: "m", messages, max_completion_tokens: LIMIT, temperature: 0 };
const response = { model: "m", input: QUESTION, max_output_tokens: LIMIT, temperature: 0 };
const message = { model: "m", messages, max_tokens: LIMIT, temperature: 0 };
let d, openai, anthropic, baseURL;
let expected; // the first answer's

setTracingDisabled(true);

async function collected(stream, textOf) {
  let text = "";
  let n = 0;
  for await (const piece of await stream) {
    text += textOf(piece) ?? "";
    n++;
  }
  assert(n > 3, `${n} pieces`);
  return text;
}

test("openai: chat", async () => {
  const a = await openai.chat.completions.create(chat);
  expected = { text: a.choices[0].message.content, tokens: a.usage.completion_tokens };
  assert(expected.text.length > 10);
  assert(["stop", "length"].includes(a.choices[0].finish_reason));
  assert(a.usage.prompt_tokens > 5 && expected.tokens <= LIMIT);
  const stream = openai.chat.completions.create({ ...chat, stream: true });
  assert.equal(await collected(stream, (c) => c.choices[0].delta.content), expected.text);
});

test("openai: a stop string and log-probabilities", async () => {
  const stop = expected.text.slice(8, 11);
  const a = await openai.chat.completions.create({ ...chat, stop });
  assert.equal(a.choices[0].message.content, expected.text.slice(0, expected.text.indexOf(stop)));
  const b = await openai.chat.completions.create({ ...chat, logprobs: true, top_logprobs: 2 });
  const tokens = b.choices[0].logprobs.content;
  assert.equal(tokens.map((t) => t.token).join("").trim(), expected.text.trim());
  assert(tokens.every((t) => t.logprob <= 0 && t.top_logprobs.length === 2));
});

test("openai: responses", async () => {
  const a = await openai.responses.create(response);
  assert.deepEqual([a.output_text, a.usage.output_tokens], [expected.text, expected.tokens]);
  const stream = openai.responses.create({ ...response, stream: true });
  const delta = (e) => (e.type === "response.output_text.delta" ? e.delta : "");
  assert.equal(await collected(stream, delta), expected.text);
});

for (const [name, open] of Object.entries({
  "openai-compatible": () => createOpenAICompatible({ name: "ssmd", baseURL })("m"),
  openai: () => createOpenAI({ baseURL, apiKey: "any" }).responses("m"),
}))
  test(`ai: ${name}`, async () => {
    const options = { model: open(), prompt: QUESTION, maxOutputTokens: LIMIT, temperature: 0 };
    const a = await generateText(options);
    assert.deepEqual([a.text, a.usage.outputTokens], [expected.text, expected.tokens]);
    const { textStream } = streamText(options);
    assert.equal(await collected(textStream, (piece) => piece), expected.text);
  });

test("langchain", async () => {
  const model = new ChatOpenAI({ model: "m", apiKey: "any", configuration: { baseURL },
                                 maxTokens: LIMIT, temperature: 0 });
  const a = await model.invoke(QUESTION);
  assert.deepEqual([a.text, a.usage_metadata.output_tokens], [expected.text, expected.tokens]);
  assert.equal(await collected(model.stream(QUESTION), (chunk) => chunk.text), expected.text);
});

test("agents", async () => {
  const agent = new Agent({ name: "Writer", model: new OpenAIChatCompletionsModel(openai, "m"),
                            modelSettings: { maxTokens: LIMIT, temperature: 0 } });
  assert.equal((await run(agent, QUESTION)).finalOutput, expected.text);
});

test("anthropic", async () => {
  const a = await anthropic.messages.create(message);
  assert.deepEqual([a.content[0].text, a.usage.output_tokens], [expected.text, expected.tokens]);
  const stream = anthropic.messages.create({ ...message, stream: true });
  assert.equal(await collected(stream, (e) => e.delta?.text), expected.text);
  const stop = expected.text.slice(8, 11);
  const cut = await anthropic.messages.create({ ...message, stop_sequences: [stop] });
  assert.deepEqual([cut.stop_reason, cut.stop_sequence], ["stop_sequence", stop]);
});

await main(async () => {
  d = await Daemon.start(args.model);
  baseURL = `${d.url}/v1`;
  openai = new OpenAI({ baseURL, apiKey: "any", maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: d.url, apiKey: "any", maxRetries: 0 });
  return d;
});

// SPDX-License-Identifier: Apache-2.0
// An agent of @openai/agents calls a function twice and ends, over chat completions and over
// responses, whole and streamed.
import assert from "node:assert/strict";
import { Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, run, setTracingDisabled,
         tool } from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";
import { args, Daemon, writeScript } from "../daemon.mjs";
import { main, test } from "../program.mjs";
import { ANSWERS, FLAGS, HELLO, weather } from "./answers.mjs";

setTracingDisabled(true);
let d;

const forms = { "chat completions": OpenAIChatCompletionsModel, responses: OpenAIResponsesModel };
for (const [name, Model] of Object.entries(forms)) {
  const open = (called) => {
    const client = new OpenAI({ baseURL: `${d.url}/v1`, apiKey: "any", maxRetries: 0 });
    const getWeather = tool({
      name: "get_weather", description: "The weather", parameters: z.object({ city: z.string() }),
      execute: async (input) => (called.push(input.city), weather(input)),
    });
    return new Agent({ name: "Weather", instructions: "Be brief.", model: new Model(client, "m"),
                       tools: [getWeather] });
  };

  test(`${name}: an answer without a call`, async () => {
    const called = [];
    assert.equal((await run(open(called), "Hi")).finalOutput, HELLO);
    assert.deepEqual(called, []);
  });

  test(`${name}: an agent calls a function and ends`, async () => {
    const called = [];
    const result = await run(open(called), "What step by step?");
    assert.equal(result.finalOutput, "Two steps.");
    assert.deepEqual(called, ["Rome", "Oslo"]);
  });

  test(`${name}: the same, streamed`, async () => {
    const called = [];
    const result = await run(open(called), "What step by step?", { stream: true });
    let text = "";
    for await (const piece of result.toTextStream()) text += piece;
    await result.completed;
    assert.equal(result.finalOutput, "Two steps.");
    assert.equal(text, "Two steps.");
    assert.deepEqual(called, ["Rome", "Oslo"]);
  });
}

await main(async () => {
  d = await Daemon.start(args.model, FLAGS, { FAKE_SCRIPT: writeScript(ANSWERS) });
  return d;
});

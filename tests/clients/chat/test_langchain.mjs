// SPDX-License-Identifier: Apache-2.0
// LangChain's ChatOpenAI: invoke, stream, bindTools with a loop; over chat completions and over
// responses.
import assert from "node:assert/strict";
import { AIMessageChunk, HumanMessage, SystemMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";
import { args, Daemon, writeScript } from "../daemon.mjs";
import { main, test } from "../program.mjs";
import { ANSWERS, FLAGS, HELLO, weather } from "./answers.mjs";

const getWeather = tool(async (input) => weather(input), {
  name: "get_weather", description: "The weather", schema: z.object({ city: z.string() }),
});

let d;

for (const useResponsesApi of [false, true]) {
  const name = useResponsesApi ? "responses" : "chat completions";
  const open = (more = {}) =>
    new ChatOpenAI({ model: "m", apiKey: "any", maxRetries: 0, useResponsesApi,
                     configuration: { baseURL: `${d.url}/v1` }, ...more });

  async function joined(stream) {
    let whole;
    let n = 0;
    for await (const chunk of await stream) {
      assert(chunk instanceof AIMessageChunk);
      whole = whole ? whole.concat(chunk) : chunk;
      n++;
    }
    assert(n > 3, `${n} chunks`);
    return whole;
  }

  test(`${name}: invoke and stream`, async () => {
    const messages = [new SystemMessage("Be brief."), new HumanMessage("Hi")];
    const whole = await open().invoke(messages);
    assert.equal(whole.text, HELLO);
    assert(whole.usage_metadata.output_tokens > 0);
    const streamed = await joined(open().stream(messages));
    assert.equal(streamed.text, HELLO);
    assert.deepEqual(streamed.usage_metadata.output_tokens, whole.usage_metadata.output_tokens);
  });

  test(`${name}: a loop of tools`, async () => {
    const model = open().bindTools([getWeather]);
    for (const call of [(m) => model.invoke(m), (m) => joined(model.stream(m))]) {
      const messages = [new HumanMessage("Of two cities?")];
      const answer = await call(messages);
      assert.deepEqual(answer.tool_calls.map((c) => [c.name, c.args.city]),
                       [["get_weather", "Paris"], ["get_weather", "Köln"]]);
      assert.equal(new Set(answer.tool_calls.map((c) => c.id)).size, 2);
      if (!useResponsesApi) assert.equal(answer.response_metadata.finish_reason, "tool_calls");
      messages.push(answer);
      for (const c of answer.tool_calls) messages.push(await getWeather.invoke(c));
      assert.equal((await model.invoke(messages)).text, "Both are sunny.");
    }
  });

  test(`${name}: errors`, async () => {
    const e = await open({ temperature: 5 }).invoke("Hi").catch((error) => error);
    assert.equal(e.status, 400, String(e));
    assert.equal(e.param, "temperature");
  });
}

await main(async () => {
  d = await Daemon.start(args.model, FLAGS, { FAKE_SCRIPT: writeScript(ANSWERS) });
  return d;
});

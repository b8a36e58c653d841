// SPDX-License-Identifier: Apache-2.0
// The official client against the daemon: models, completions of every form of prompt, streams,
// aborts, typed errors. Runs on node 18 and later; ends with "N passed, N failed".
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import OpenAI from "openai";
import { args, Daemon, scratchFolder } from "../daemon.mjs";
import { main, test } from "../program.mjs";

const scratch = scratchFolder();
const tiny = join(scratch, "tiny");
let d, client;

const GREEDY = { model: "m", prompt: "The river", max_tokens: 12, temperature: 0 };
const ENDLESS = { ...GREEDY, max_tokens: 3000, ignore_eos: true, stream: true };

// The client retries by itself; a test sees each answer unless it asks for retries.
const clientOf = (daemon, options = {}) =>
  new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: "any", maxRetries: 0, ...options });
const ask = (more = {}) => client.completions.create({ ...GREEDY, ...more });
const texts = (answer) => answer.choices.map((c) => c.text);

async function chunksOf(more = {}) {
  const chunks = [];
  for await (const chunk of await ask({ stream: true, ...more })) chunks.push(chunk);
  return chunks;
}

function textOf(chunks, index = 0) {
  return chunks
    .flatMap((c) => c.choices)
    .filter((c) => c.index === index)
    .map((c) => c.text)
    .join("");
}

async function refusal(promise) {
  try {
    await promise;
  } catch (e) {
    return e;
  }
  return assert.fail("it was not refused");
}

async function ids(text) {
  const answer = await client.post("/tokenize", {
    path: `${d.url}/tokenize`,
    body: { prompt: text },
  });
  return answer.tokens;
}

// ---- models ------------------------------------------------------------------------------

test("models.list and models.retrieve", async () => {
  const all = [];
  for await (const model of client.models.list()) all.push(model);
  assert.deepEqual(all.map((m) => [m.id, m.object]), [["m", "model"]]);
  const one = await client.models.retrieve("m");
  assert.deepEqual({ ...one }, { ...all[0] });
  assert.equal(typeof one.created, "number");
  assert.equal(typeof one.owned_by, "string");
});

test("an unknown model is a NotFoundError", async () => {
  for (const e of [await refusal(client.models.retrieve("a/b c")),
                   await refusal(ask({ model: "gpt-4" }))]) {
    assert(e instanceof OpenAI.NotFoundError);
    assert.deepEqual([e.status, e.code, e.type], [404, "model_not_found", "invalid_request_error"]);
  }
});

// ---- completions -------------------------------------------------------------------------

test("a completion has all that its type says", async () => {
  const a = await ask();
  assert.equal(a.object, "text_completion");
  assert.match(a.id, /^cmpl-/);
  assert.equal(a.model, "m");
  assert(Math.abs(a.created - Date.now() / 1000) < 100);
  assert.equal(a.choices.length, 1);
  assert.equal(a.choices[0].logprobs, null);
  assert(["stop", "length"].includes(a.choices[0].finish_reason));
  assert.equal(a.usage.total_tokens, a.usage.prompt_tokens + a.usage.completion_tokens);
  const cached = a.usage.prompt_tokens_details.cached_tokens;
  assert(cached >= 0 && cached <= a.usage.prompt_tokens);
});

test("four forms of prompt say the same", async () => {
  const words = ["The river", "Once upon a time", "x"];
  const listed = await ask({ prompt: words });
  assert.deepEqual(listed.choices.map((c) => c.index), [0, 1, 2]);
  const coded = await Promise.all(words.map(ids));
  assert.deepEqual(texts(await ask({ prompt: coded })), texts(listed));
  for (const [i, prompt] of words.entries()) {
    assert.deepEqual(texts(await ask({ prompt })), [listed.choices[i].text]);
    assert.deepEqual(texts(await ask({ prompt: coded[i] })), [listed.choices[i].text]);
  }
  assert.equal(listed.usage.prompt_tokens, coded.flat().length);
});

test("n and best_of", async () => {
  const drawn = { temperature: 1, seed: 5, max_tokens: 8, ignore_eos: true };
  const three = await ask({ ...drawn, n: 3 });
  assert.equal(three.choices.length, 3);
  assert.equal(three.usage.completion_tokens, 24);
  assert(new Set(texts(three)).size > 1);
  const best = await ask({ ...drawn, n: 1, best_of: 3 });
  assert.equal(best.choices.length, 1);
  assert(texts(three).includes(best.choices[0].text));
  assert.equal(best.usage.completion_tokens, 24);
});

test("echo and logprobs", async () => {
  const plain = await ask();
  const a = await ask({ echo: true, logprobs: 3 });
  assert.equal(a.choices[0].text, `The river${plain.choices[0].text}`);
  const { tokens, token_logprobs, top_logprobs, text_offset } = a.choices[0].logprobs;
  const n = a.usage.total_tokens;
  assert.deepEqual([tokens, token_logprobs, top_logprobs, text_offset].map((x) => x.length),
                   [n, n, n, n]);
  assert.equal(token_logprobs[0], null);
  assert(token_logprobs.slice(1).every((x) => x <= 0));
  for (let t = 1; t < n; t++) {
    assert(Object.keys(top_logprobs[t]).length >= 3);
    assert.equal(top_logprobs[t][tokens[t]], token_logprobs[t]);
  }
  assert.equal(text_offset[0], 0);
  const scored = await ask({ echo: true, logprobs: 0, max_tokens: 0 });
  assert.equal(scored.choices[0].text, "The river");
  assert.equal(scored.usage.completion_tokens, 0);
  assert.equal(scored.choices[0].finish_reason, "length");
});

test("stop cuts the text before the string", async () => {
  const whole = texts(await ask({ max_tokens: 40, ignore_eos: true }))[0];
  const stop = whole.slice(4, 7);
  const a = await ask({ max_tokens: 40, ignore_eos: true, stop: [stop, "\u0001never"] });
  assert.equal(a.choices[0].text, whole.slice(0, whole.indexOf(stop)));
  assert.equal(a.choices[0].finish_reason, "stop");
});

test("a seed repeats, a drawn one comes back", async () => {
  const drawn = { temperature: 1, max_tokens: 20 };
  const first = await ask({ ...drawn, seed: 42 });
  assert.deepEqual(texts(await ask({ ...drawn, seed: 42 })), texts(first));
  assert.notDeepEqual(texts(await ask({ ...drawn, seed: 43 })), texts(first));
  const free = await ask(drawn);
  assert(Number.isSafeInteger(free.seed));
  assert.deepEqual(texts(await ask({ ...drawn, seed: free.seed })), texts(free));
});

test("other sampling fields are taken", async () => {
  const a = await ask({ top_p: 0.5, presence_penalty: 1, frequency_penalty: -1, user: "someone",
                        logit_bias: { 65: -100 }, temperature: 0.7, seed: 1, suffix: null });
  assert.equal(a.choices.length, 1);
});

// ---- streams -----------------------------------------------------------------------------

test("a stream without usage", async () => {
  const chunks = await chunksOf();
  assert(chunks.length > 3);
  assert.equal(new Set(chunks.map((c) => `${c.id} ${c.created} ${c.object}`)).size, 1);
  assert(chunks.every((c) => c.choices.length === 1 && c.usage == null));
  assert.deepEqual(chunks.slice(0, -1).map((c) => c.choices[0].finish_reason),
                   chunks.slice(0, -1).map(() => null));
  assert(chunks.at(-1).choices[0].finish_reason);
  assert.equal(textOf(chunks), texts(await ask())[0]);
});

test("a stream with usage", async () => {
  const chunks = await chunksOf({ stream_options: { include_usage: true } });
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.deepEqual(last.usage, (await ask()).usage);
  assert(chunks.every((c) => c.usage === null));
});

test("a stream of several prompts and choices", async () => {
  const more = { prompt: ["The river", "Rain"], n: 2, temperature: 1, seed: 9 };
  const chunks = await chunksOf(more);
  const whole = await ask(more);
  assert.deepEqual([0, 1, 2, 3].map((i) => textOf(chunks, i)), texts(whole));
});

test("32 streams at once say what each says alone", async () => {
  const jobs = Array.from({ length: 32 }, (_, i) => ({
    prompt: "The river runs down to the sea. ".repeat(1 + (i % 9)) + i,
    max_tokens: 4 + i,
    temperature: i % 2,
    seed: i,
  }));
  const together = await Promise.all(jobs.map((job) => chunksOf(job)));
  for (const [i, job] of jobs.entries())
    assert.equal(textOf(together[i]), texts(await ask(job))[0]);
});

test("the headers of a stream", async () => {
  const { data, response, request_id } = await client.completions
    .create({ ...GREEDY, stream: true }, { headers: { "X-Request-Id": "mine-1" } })
    .withResponse();
  for await (const _ of data);
  assert.equal(request_id, "mine-1");
  assert.match(response.headers.get("content-type"), /^text\/event-stream/);
});

// ---- leaving -----------------------------------------------------------------------------

const ended = () => d.metric('ssmd_requests_finished_total{reason="length"}');

// All that was held is free, and no request that was left has come to its end since.
async function freed(before) {
  for (const name of ["requests_running", "state_slots_used", "kv_pages_used"])
    await d.reaches(`ssmd_${name}`, 0);
  assert.equal(await ended(), before);
}

test("an aborted stream frees its slot", async () => {
  const before = await ended();
  const stream = await client.completions.create(ENDLESS);
  let n = 0;
  for await (const _ of stream) if (++n === 5) stream.controller.abort();
  assert(n >= 5);
  await freed(before);
});

test("leaving the loop frees the slot", async () => {
  const before = await ended();
  for await (const _ of await client.completions.create(ENDLESS)) break;
  await freed(before);
});

test("an aborted call frees its slot", async () => {
  const before = await ended();
  const controller = new AbortController();
  const call = client.completions.create({ ...ENDLESS, stream: false },
                                         { signal: controller.signal });
  await d.reaches("ssmd_requests_running", 1);
  controller.abort();
  assert((await refusal(call)) instanceof OpenAI.APIUserAbortError);
  await freed(before);
});

test("a client's own timeout frees the slot", async () => {
  const before = await ended();
  const e = await refusal(
    client.completions.create({ ...ENDLESS, n: 8, stream: false }, { timeout: 150 }));
  assert(e instanceof OpenAI.APIConnectionTimeoutError);
  await freed(before);
});

// ---- errors ------------------------------------------------------------------------------

test("bad requests are BadRequestErrors with their param", async () => {
  const rows = [
    [{ temperature: 3 }, null, "temperature"],
    [{ max_tokens: -1 }, null, "max_tokens"],
    [{ max_tokens: "9" }, null, "max_tokens"],
    [{ prompt: "" }, null, "prompt"],
    [{ prompt: [1e9] }, null, "prompt"],
    [{ n: 3, best_of: 2 }, null, "best_of"],
    [{ logprobs: 6 }, null, "logprobs"],
    [{ stop: ["a", "b", "c", "d", "e"] }, null, "stop"],
    [{ suffix: "behind" }, "unsupported_parameter", "suffix"],
    [{ max_tokens: 10_000_000 }, "context_length_exceeded", "max_tokens"],
    [{ prompt: "word ".repeat(30_000) }, "context_length_exceeded", "prompt"],
    [{ stream_options: { include_usage: true } }, null, "stream_options"],
  ];
  for (const [more, code, param] of rows) {
    const e = await refusal(ask(more));
    assert(e instanceof OpenAI.BadRequestError, `${JSON.stringify(more).slice(0, 80)}: ${e}`);
    assert.deepEqual([e.status, e.type, e.param], [400, "invalid_request_error", param]);
    assert.equal(e.code, code);
    assert.match(e.requestID, /./);
  }
});

test("a refused stream is the same error", async () => {
  const e = await refusal(ask({ stream: true, top_p: 0 }));
  assert(e instanceof OpenAI.BadRequestError);
  assert.equal(e.param, "top_p");
});

test("what is not served is a NotFoundError", async () => {
  const e = await refusal(client.embeddings.create({ model: "m", input: "a" }));
  assert(e instanceof OpenAI.NotFoundError);
  assert.equal(e.type, "invalid_request_error");
});

test("_request_id", async () => {
  const [a, b] = [await ask(), await ask()];
  assert.match(a._request_id, /^req-/);
  assert.notEqual(a._request_id, b._request_id);
  const named = await client.completions.create(GREEDY, { headers: { "X-Request-Id": "abc" } });
  assert.equal(named._request_id, "abc");
});

test("a wrong key is an AuthenticationError", async () => {
  const file = join(scratch, "keys");
  writeFileSync(file, "red:sk-red-key\nblue:sk-blue-key\n");
  const guarded = await Daemon.start(tiny, ["--api-keys-file", file]);
  try {
    for (const apiKey of ["sk-none", "SK-RED-KEY", "sk-red-ke"]) {
      const e = await refusal(clientOf(guarded, { apiKey }).completions.create(GREEDY));
      assert(e instanceof OpenAI.AuthenticationError);
      assert.deepEqual([e.status, e.code], [401, "invalid_api_key"]);
      assert.match(e.headers.get("www-authenticate"), /^Bearer/);
    }
    for (const apiKey of ["sk-red-key", "sk-blue-key"])
      assert.equal((await clientOf(guarded, { apiKey }).completions.create(GREEDY)).model, "m");
  } finally {
    assert.equal(await guarded.stop(), 0);
  }
});

test("a full queue is a RateLimitError; the client retries it by itself", async () => {
  const small = await Daemon.start(args.model, ["--max-seqs", 1, "--queue-limit", 1]);
  try {
    const c = clientOf(small);
    for (let i = 0; i < 15; i++) await c.completions.create({ ...GREEDY, max_tokens: 1 });
    const running = await c.completions.create(ENDLESS);
    const leave = new AbortController();
    const waiting = refusal(c.completions.create(ENDLESS, { signal: leave.signal }));
    await small.reaches("ssmd_requests_waiting", 1);
    const e = await refusal(c.completions.create(GREEDY));
    assert(e instanceof OpenAI.RateLimitError);
    assert.equal(e.status, 429);
    assert.match(e.headers.get("retry-after"), /^([1-9]|[12][0-9]|30)$/);
    const patient = c.completions.create(GREEDY, { maxRetries: 5 });
    await small.reaches('ssmd_requests_rejected_total{reason="queue_full"}', 2);
    running.controller.abort();
    leave.abort();
    assert((await waiting) instanceof OpenAI.APIUserAbortError);
    assert.equal((await patient).choices.length, 1);
  } finally {
    assert.equal(await small.stop(), 0);
  }
});

test("a fault in the middle of a stream is an APIError", async () => {
  const hasty = await Daemon.start(args.model, ["--request-timeout", 1]);
  try {
    let n = 0;
    const e = await refusal((async () => {
      for await (const _ of await clientOf(hasty).completions.create({ ...ENDLESS, n: 16,
                                                                      max_tokens: 4000 })) n++;
    })());
    assert(e instanceof OpenAI.APIError, String(e));
    assert(n > 0);
    assert.equal(typeof e.message, "string");
    await hasty.reaches("ssmd_requests_running", 0);
  } finally {
    assert.equal(await hasty.stop(), 0);
  }
});

// ---- running -----------------------------------------------------------------------------

await main(async () => {
  const maker = new URL("../../lib/tiny_model.py", import.meta.url).pathname;
  execFileSync("python3", [maker, "llama-default", tiny]);
  if (!existsSync(join(args.model, "config.json"))) args.model = tiny;
  d = await Daemon.start(args.model);
  client = clientOf(d);
  return d;
});

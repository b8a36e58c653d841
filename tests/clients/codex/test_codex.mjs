// SPDX-License-Identifier: Apache-2.0
// `codex exec` over /v1/responses ends with 0: once with an answer, once after it called its
// shell tool and read the result. Its configuration is that of docs/CLIENTS.md, its home and its
// folder are scratch. It runs without its sandbox, which a container may not allow; the script
// alone says what it runs.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { args, blocksOf, Daemon, scratchFolder, writeScript } from "../daemon.mjs";
import { main, test } from "../program.mjs";

const LIMIT_MS = 120_000; // generous, for sanitizers
const launcher = new URL("node_modules/@openai/codex/bin/codex.js", import.meta.url).pathname;
const ARGUMENTS = JSON.stringify({ cmd: "echo $((6 * 7)) tokens" });
const ANSWERS = [
  { say: "A plain answer." },
  { when: "run the command",
    say: `<tool_call>\n{"name": "exec_command", "arguments": ${ARGUMENTS}}\n</tool_call>` },
  { when: "42 tokens", say: "It printed forty-two." },
  { when: "Write long", say: "word ".repeat(1000) }, // above default_max_tokens
];
const scratch = scratchFolder();
const home = join(scratch, "home");
let d;

function configure() {
  const work = join(scratch, "work");
  mkdirSync(home);
  mkdirSync(work);
  const [page] = blocksOf("docs/CLIENTS.md", "toml");
  const own = page.replace("http://127.0.0.1:8080", d.url).replace('"default"', '"m"');
  writeFileSync(join(home, "config.toml"),
                `check_for_update_on_startup = false\n${own}\n[analytics]\nenabled = false\n`);
}

// Its exit status and what it printed. It reads standard input to its end.
function codex(prompt) {
  const words = ["exec", "--skip-git-repo-check", "--sandbox", "danger-full-access", "--json",
                 "-C", join(scratch, "work"), prompt];
  const env = { PATH: process.env.PATH, HOME: home, CODEX_HOME: home };
  return new Promise((done) => {
    const child = execFile(process.execPath, [launcher, ...words], { env, timeout: LIMIT_MS },
                           (e, out, err) => done({ status: e ? (e.code ?? e.signal) : 0, out, err }));
    child.stdin.end();
  });
}

function items({ status, out, err }) {
  assert.equal(status, 0, `${out}\n${err}`);
  const events = out.trim().split("\n").map((line) => JSON.parse(line));
  return events.filter((e) => e.type === "item.completed").map((e) => e.item);
}

test("an answer", async () => {
  const said = items(await codex("Say something."));
  assert.deepEqual(said.filter((i) => i.type === "agent_message").map((i) => i.text),
                   ["A plain answer."]);
});

test("a call of its shell tool, whose result it sends back", async () => {
  const all = items(await codex("Please run the command."));
  const ran = all.filter((i) => i.type === "command_execution");
  assert.deepEqual(ran.map((i) => [i.exit_code, i.aggregated_output.trim()]), [[0, "42 tokens"]]);
  assert.equal(all.filter((i) => i.type === "agent_message").at(-1).text, "It printed forty-two.");
});

test("an answer that ends by length is a fault", async () => {
  const { status, out } = await codex("Write long.");
  assert.equal(status, 1);
  assert.match(out, /Incomplete response returned, reason: max_output_tokens/);
});

await main(async () => {
  const flags = ["--chat-template", "chatml", "--tool-format", "hermes", "--context", 65536];
  d = await Daemon.start(args.model, flags, { FAKE_SCRIPT: writeScript(ANSWERS) });
  configure();
  return d;
});

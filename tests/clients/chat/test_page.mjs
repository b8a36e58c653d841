// SPDX-License-Identifier: Apache-2.0
// The JavaScript blocks of docs/CLIENTS.md and of the README, run as they stand against the model,
// but for the port and the model's id. Each prints what it got.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { args, blocksOf, Daemon, scratchFolder } from "../daemon.mjs";
import { main, test } from "../program.mjs";

const PAGES = { "docs/CLIENTS.md": 6, "README.md": 1 }; // and how many blocks they have at least
const scratch = scratchFolder();
const execute = promisify(execFile);
let d;

symlinkSync(new URL("node_modules", import.meta.url).pathname, join(scratch, "node_modules"));
for (const [page, least] of Object.entries(PAGES)) {
  const blocks = blocksOf(page, "js");
  test(`${page} has its blocks`, () => assert(blocks.length >= least));
  for (const [i, block] of blocks.entries())
    test(`${page}: ${/from "(?!openai)(.*)"/.exec(block)?.[1] ?? "openai"}`, async () => {
      const file = join(scratch, `${page.replace("/", "-")}-${i}.mjs`);
      writeFileSync(file, block.replaceAll("http://127.0.0.1:8080", d.url).replaceAll('"default"', '"m"'));
      const { stdout } = await execute(process.execPath, [file]);
      assert.match(stdout, /\w/);
    });
}

await main(async () => (d = await Daemon.start(args.model, ["--default-max-tokens", 32])));

// SPDX-License-Identifier: Apache-2.0
// One ssmd on a free port, ended by its own handle; what its /metrics say; scripts of answers for
// the stand-in engine (tests/fake/script.h), as FAKE_SCRIPT wants them; blocks of a page.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const root = new URL("../../", import.meta.url).pathname;
const READY_MS = 120_000; // generous, for sanitizers

export const { values: args } = parseArgs({
  options: {
    ssmd: { type: "string", default: `${root}build/ssmd` },
    model: { type: "string", default: `${root}models/default` },
  },
});

// A folder that is gone when the program ends.
export function scratchFolder() {
  const path = mkdtempSync(join(tmpdir(), "ssmd-client-"));
  process.on("exit", () => rmSync(path, { recursive: true, force: true }));
  return path;
}

// The path of a file with these answers.
export function writeScript(answers) {
  const path = join(scratchFolder(), "script.json");
  writeFileSync(path, JSON.stringify(answers));
  return path;
}

// The blocks of a language in a page of the tree.
export function blocksOf(page, language) {
  const text = readFileSync(join(root, page), "utf8");
  const block = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms");
  return [...text.matchAll(block)].map((m) => m[1]);
}

export class Daemon {
  static async start(model, flags = [], env = {}) {
    const d = new Daemon();
    const words = ["serve", "--model", model, "--served-name", "m", "--port", "0", ...flags];
    d.child = spawn(args.ssmd, words.map(String), {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, ...env },
    });
    d.ended = new Promise((done) => d.child.on("close", (code, signal) => done(signal ?? code)));
    d.url = `http://127.0.0.1:${await d.port()}`;
    return d;
  }

  // Reads the log to its end; resolves with the port once the model serves.
  port() {
    const lines = [];
    return new Promise((done, failed) => {
      const late = setTimeout(() => failed(new Error(`not ready: ${lines.join("\n")}`)), READY_MS);
      createInterface({ input: this.child.stderr })
        .on("line", (line) => {
          lines.push(line);
          if (!line.includes('"event":"ready"')) return;
          clearTimeout(late);
          done(JSON.parse(line).port);
        })
        .on("close", () => failed(new Error(`ended: ${lines.join("\n")}`)));
    });
  }

  async metric(name) {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const line = text.split("\n").find((l) => l.startsWith(`${name} `));
    if (!line) throw new Error(`no metric ${name}`);
    return Number(line.slice(name.length + 1));
  }

  // Milliseconds until the metric has the value.
  async reaches(name, value, limit_ms = 20_000) {
    const begin = Date.now();
    for (;;) {
      const seen = await this.metric(name);
      const took = Date.now() - begin;
      if (seen === value) return took;
      if (took > limit_ms) throw new Error(`${name} stayed ${seen}, not ${value}`);
      await new Promise((done) => setTimeout(done, 10));
    }
  }

  // Ends it; resolves with its exit status.
  async stop() {
    this.child.kill("SIGTERM");
    return this.ended;
  }
}

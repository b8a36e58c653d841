// SPDX-License-Identifier: Apache-2.0
// The tests of a node script: test() adds one, main() runs them in their order, ends what was
// started and the process, and prints "N passed, N failed" last.
const tests = [];

export const test = (name, run) => tests.push({ name, run });

async function passes({ name, run }) {
  const begin = Date.now();
  try {
    await run();
    console.log(`ok    ${name} (${Date.now() - begin} ms)`);
    return true;
  } catch (e) {
    console.log(`FAIL  ${name}\n${e.stack}`);
    return false;
  }
}

// start resolves with the daemon, whose end is a test if it is not 0.
export async function main(start) {
  const daemon = await start();
  let failed = 0;
  for (const t of tests) failed += !(await passes(t));
  const code = await daemon.stop();
  if (code !== 0) {
    failed++;
    console.log(`FAIL  the daemon ended with ${code}`);
  }
  console.log(`${tests.length - failed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

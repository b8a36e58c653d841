// SPDX-License-Identifier: Apache-2.0
// llama.cpp beside ssmd: `ssmd bench --peer` starts it, sends one line for each run and gets the
// seconds back. The model is the same shape in the same format with random weights.
//
//     node peer.mjs SHAPE FORMAT KV THREADS CONTEXT
//
// Lines: "prefill TOKENS DEPTH" or "decode TOKENS DEPTH"; the answer is "seconds" or "error: why".
// The first line it writes is "ready VERSION", or "refused: why" for a shape that it cannot run. Its
// depth is computed, once for each run of tokens that is not there yet, and not timed; ssmd fills
// it. Greedy sampling on both sides.
import {mkdtempSync, readFileSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {basename, join} from "node:path";
import {createInterface} from "node:readline";
import {writeModel} from "./gguf.mjs";

const [shapePath, format, kv, threads, contextSize] = process.argv.slice(2);
const KV_TYPES = {f32: "F32", f16: "F16", q8: "Q8_0"};
const BATCH = 512;

function answer(line) {
    process.stdout.write(line + "\n");
}

/** The shape cannot be written, or llama.cpp does not take what was written. */
class Refused extends Error {}

function why(error) {
    return (error instanceof Refused ? "refused: " : "error: ") +
           String(error?.message ?? error).replace(/\s+/g, " ").slice(0, 300);
}

async function open(config) {
    const {getLlama} = await import("node-llama-cpp");
    const llama = await getLlama({gpu: false, build: "never", skipDownload: true,
                                  maxThreads: Number(threads), logLevel: "error",
                                  progressLogs: false});
    const folder = mkdtempSync(join(tmpdir(), "ssmd-peer-"));
    try {
        const path = join(folder, "model.gguf");
        writeModel(path, config, format, basename(shapePath, ".json"));
        const model = await llama.loadModel({modelPath: path, gpuLayers: 0, useMmap: false});
        const context = await model.createContext({
            contextSize: Number(contextSize), batchSize: BATCH, sequences: 1,
            flashAttention: true, experimentalKvCacheKeyType: KV_TYPES[kv],
            experimentalKvCacheValueType: KV_TYPES[kv],
            threads: {ideal: Number(threads), min: Number(threads)},
        });
        return [context.getSequence(), llama.llamaCppRelease?.release ?? "unknown"];
    } catch (error) {
        throw new Refused(error?.message ?? error);
    } finally {
        rmSync(folder, {recursive: true});
    }
}

function tokens(from, to, vocab) {
    return Array.from({length: to - from}, (_, i) => (7919 + (from + i) * 104729) % vocab);
}

/** Brings the sequence to exactly `depth` tokens, always the same ones. */
async function place(sequence, depth, vocab, placed) {
    const keep = Math.min(placed.tokens, depth);
    if (sequence.nextTokenIndex > keep)
        await sequence.eraseContextTokenRanges([{start: keep, end: sequence.nextTokenIndex}]);
    if (keep < depth)
        await sequence.evaluateWithoutGeneratingNewTokens(tokens(keep, depth, vocab));
    placed.tokens = depth;
    if (sequence.nextTokenIndex !== depth)
        throw new Error(`at ${sequence.nextTokenIndex} instead of ${depth}`);
}

/** The last of the prompt's tokens is the one that is sampled from: as ssmd reads a prompt. */
async function prefill(sequence, n, depth, vocab) {
    const begin = performance.now();
    for await (const token of sequence.evaluate(tokens(depth, depth + n, vocab),
                                                {temperature: 0}))
        if (token !== undefined)
            break;
    return (performance.now() - begin) / 1000;
}

async function decode(sequence, n, depth, vocab) {
    const next = sequence.evaluate(tokens(depth, depth + 1, vocab),
                                   {temperature: 0, yieldEogToken: true});
    await next.next();
    const begin = performance.now();
    for (let i = 0; i < n; i++)
        if ((await next.next()).done)
            throw new Error("it stopped decoding");
    const seconds = (performance.now() - begin) / 1000;
    await next.return();
    return seconds;
}

async function main() {
    const config = JSON.parse(readFileSync(shapePath, "utf8"));
    const [sequence, release] = await open(config);
    const placed = {tokens: 0}, runs = {prefill, decode};
    answer(`ready llama.cpp ${release}`);
    for await (const line of createInterface({input: process.stdin})) {
        const [kind, n, depth] = line.split(" ");
        try {
            await place(sequence, Number(depth), config.vocab_size, placed);
            answer(String(await runs[kind](sequence, Number(n), Number(depth),
                                           config.vocab_size)));
        } catch (error) {
            answer(why(error));
        }
    }
}

main().catch((error) => {
    answer(why(error));
    process.exit(1);
});

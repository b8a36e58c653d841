// SPDX-License-Identifier: Apache-2.0
// Writes a GGUF file (version 3, the format's public description) of a shape with random weights:
// enough for llama.cpp to run it as it runs any model. Weights are noise of a variance that keeps
// activations bounded; the vocabulary is numbers.
import {closeSync, openSync, writeSync} from "node:fs";
import {describe} from "./architectures.mjs";

const ALIGNMENT = 32;
const GROUP = 32;
const NOISE_GROUPS = 32749; // made once for a tensor, then repeated; a prime, so that rows differ
const VALUE = {U32: 4, I32: 5, F32: 6, BOOL: 7, STRING: 8, ARRAY: 9};
// Number in the file, bytes of 32 weights, and what fills them.
const TYPES = {
    f32: {number: 0, bytes: 128, fill: fillFloats},
    bf16: {number: 30, bytes: 64, fill: fillBrains},
    q8: {number: 8, bytes: 34, fill: (b, spread) => fillGroups(b, 34, spread / 74)},
    q4: {number: 2, bytes: 18, fill: (b, spread) => fillGroups(b, 18, spread / 4.6)},
};

let seed = 1;

function noise() {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed;
}

function fillFloats(buffer, spread) {
    const most = spread * Math.sqrt(3);
    for (let at = 0; at < buffer.length; at += 4)
        buffer.writeFloatLE((noise() / 2 ** 31 - 1) * most, at);
}

function fillBrains(buffer, spread) {
    const most = spread * Math.sqrt(3), one = Buffer.alloc(4);
    for (let at = 0; at < buffer.length; at += 2) {
        one.writeFloatLE((noise() / 2 ** 31 - 1) * most);
        buffer.writeUInt16LE(one.readUInt16LE(2), at);
    }
}

/** A half above zero: sign and exponent, then the ten bits behind the point. */
function half(x) {
    const exponent = Math.floor(Math.log2(x));
    return (exponent + 15 << 10) + Math.round((x / 2 ** exponent - 1) * 1024);
}

/** An f16 scale, then codes: any byte is one. */
function fillGroups(buffer, bytes, scale) {
    for (let at = 0; at < buffer.length; at += 1)
        buffer[at] = noise() >>> 24;
    for (let at = 0; at < buffer.length; at += bytes)
        buffer.writeUInt16LE(half(scale), at);
}

// ---- the header --------------------------------------------------------------------------------

function u32(x) {
    const b = Buffer.alloc(4);
    b.writeUInt32LE(x);
    return b;
}

function u64(x) {
    const b = Buffer.alloc(8);
    b.writeBigUInt64LE(BigInt(x));
    return b;
}

function f32(x) {
    const b = Buffer.alloc(4);
    b.writeFloatLE(x);
    return b;
}

function text(x) {
    return Buffer.concat([u64(Buffer.byteLength(x)), Buffer.from(x)]);
}

function array(type, values, encode) {
    return Buffer.concat([u32(type), u64(values.length), ...values.map(encode)]);
}

/** Unknown, begin, end, a token for each byte (which the tokenizer insists on), numbers. */
function word(i) {
    if (i < 3)
        return ["<unk>", "<s>", "</s>"][i];
    return i < 259 ? `<0x${(i - 3).toString(16).toUpperCase().padStart(2, "0")}>` : `<t${i}>`;
}

/** Unknown 2, control 3, byte 6, normal 1. */
function kind(i) {
    return i < 3 ? [2, 3, 3][i] : i < 259 ? 6 : 1;
}

/** Rows of one type under the architecture's prefix; a list has a value for each layer. */
function rowsOf(prefix, values, type, encode) {
    return Object.entries(values ?? {}).map(([key, x]) => Array.isArray(x)
        ? [`${prefix}.${key}`, VALUE.ARRAY, array(type, x, encode)]
        : [`${prefix}.${key}`, type, encode(x)]);
}

function metadata(c, shape, name) {
    if (c.vocab_size < 259)
        throw new Error(`vocab_size: expected at least 259, found ${c.vocab_size}`);
    const ids = [...Array(c.vocab_size).keys()];
    const words = {"ggml.bos_token_id": 1, "ggml.eos_token_id": 2, "ggml.unknown_token_id": 0};
    const rows = [
        ["general.architecture", VALUE.STRING, text(shape.name)],
        ["general.name", VALUE.STRING, text(name)],
        ["general.alignment", VALUE.U32, u32(ALIGNMENT)],
        ["tokenizer.ggml.model", VALUE.STRING, text("llama")],
        ["tokenizer.ggml.tokens", VALUE.ARRAY, array(VALUE.STRING, ids, (i) => text(word(i)))],
        ["tokenizer.ggml.scores", VALUE.ARRAY, array(VALUE.F32, ids, (i) => f32(-i))],
        ["tokenizer.ggml.token_type", VALUE.ARRAY, array(VALUE.I32, ids, (i) => u32(kind(i)))],
        ...rowsOf("tokenizer", words, VALUE.U32, u32),
        ...rowsOf(shape.name, shape.numbers, VALUE.U32, u32),
        ...rowsOf(shape.name, shape.reals, VALUE.F32, f32),
        ...rowsOf(shape.name, shape.flags, VALUE.BOOL, (x) => Buffer.from([x ? 1 : 0])),
    ];
    return [rows.length, rows.map(([key, type, value]) =>
        Buffer.concat([text(key), u32(type), value]))];
}

// ---- tensors -----------------------------------------------------------------------------------

/** With the types that the format gives them; q4 keeps embedding and head in q8. */
function typed(tensors, format) {
    const outer = format === "q4" ? "q8" : format;
    return tensors.map((t) => ({...t, type: t.type === "outer" ? outer : t.type ?? format}));
}

function content(tensor) {
    const n = tensor.shape.reduce((a, b) => a * b), inputs = tensor.shape.at(-1);
    if (tensor.fill !== undefined) {
        const same = Buffer.alloc(4 * n);
        for (let i = 0; i < n; i++)
            same.writeFloatLE(tensor.fill, 4 * i);
        return same;
    }
    if (inputs % GROUP)
        throw new Error(`${tensor.name}: expected inputs in groups of ${GROUP}, found ${inputs}`);
    const {bytes, fill} = TYPES[tensor.type], buffer = Buffer.alloc(n / GROUP * bytes);
    const first = buffer.subarray(0, NOISE_GROUPS * bytes);
    fill(first, 1 / Math.sqrt(inputs));
    for (let at = first.length; at < buffer.length; at += first.length)
        first.copy(buffer, at);
    return buffer;
}

function padding(length) {
    return Buffer.alloc((ALIGNMENT - length % ALIGNMENT) % ALIGNMENT);
}

function bytesOf(tensor) {
    const n = tensor.shape.reduce((a, b) => a * b);
    return n / GROUP * TYPES[tensor.type].bytes;
}

/** Writes the shape (the keys of config.json) to path; format: f32, bf16, q8 or q4. */
export function writeModel(path, config, format, name) {
    if (!TYPES[format])
        throw new Error(`format: expected ${Object.keys(TYPES).join(", ")}, found ${format}`);
    const shape = describe(config), list = typed(shape.tensors, format);
    const [count, rows] = metadata(config, shape, name);
    const infos = [];
    let offset = 0;
    for (const t of list) {
        const sizes = [...t.shape].reverse();
        infos.push(text(t.name), u32(sizes.length), ...sizes.map(u64),
                   u32(TYPES[t.type].number), u64(offset));
        offset += bytesOf(t);
        offset += padding(offset).length;
    }
    const head = Buffer.concat([Buffer.from("GGUF"), u32(3), u64(list.length), u64(count),
                                ...rows, ...infos]);
    const file = openSync(path, "w");
    for (const piece of [head, padding(head.length)])
        writeSync(file, piece);
    for (const t of list) {
        const data = content(t);
        for (let at = 0; at < data.length;)
            at += writeSync(file, data, at);
        writeSync(file, padding(data.length));
    }
    closeSync(file);
}

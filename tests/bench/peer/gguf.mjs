// SPDX-License-Identifier: Apache-2.0
// Writes a GGUF file (version 3, the format's public description) of a Llama shape with random
// weights: enough for llama.cpp to run it as it runs any model. Weights are noise of a variance
// that keeps activations bounded; the vocabulary is numbers.
import {closeSync, openSync, writeSync} from "node:fs";

const ALIGNMENT = 32;
const GROUP = 32;
const VALUE = {U32: 4, I32: 5, F32: 6, STRING: 8, ARRAY: 9};
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

function metadata(c, name) {
    if (c.vocab_size < 259)
        throw new Error(`vocab_size: expected at least 259, found ${c.vocab_size}`);
    const ids = [...Array(c.vocab_size).keys()];
    const hd = c.head_dim ?? c.hidden_size / c.num_attention_heads;
    const numbers = {
        "general.alignment": ALIGNMENT,
        "llama.context_length": c.max_position_embeddings,
        "llama.embedding_length": c.hidden_size,
        "llama.block_count": c.num_hidden_layers,
        "llama.feed_forward_length": c.intermediate_size,
        "llama.attention.head_count": c.num_attention_heads,
        "llama.attention.head_count_kv": c.num_key_value_heads ?? c.num_attention_heads,
        "llama.rope.dimension_count": hd,
        "llama.vocab_size": c.vocab_size,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    };
    const rows = [
        ["general.architecture", VALUE.STRING, text("llama")],
        ["general.name", VALUE.STRING, text(name)],
        ["llama.attention.layer_norm_rms_epsilon", VALUE.F32, f32(c.rms_norm_eps ?? 1e-6)],
        ["llama.rope.freq_base", VALUE.F32, f32(c.rope_theta ?? 10000)],
        ["tokenizer.ggml.model", VALUE.STRING, text("llama")],
        ["tokenizer.ggml.tokens", VALUE.ARRAY, array(VALUE.STRING, ids, (i) => text(word(i)))],
        ["tokenizer.ggml.scores", VALUE.ARRAY, array(VALUE.F32, ids, (i) => f32(-i))],
        ["tokenizer.ggml.token_type", VALUE.ARRAY, array(VALUE.I32, ids, (i) => u32(kind(i)))],
        ...Object.entries(numbers).map(([key, x]) => [key, VALUE.U32, u32(x)]),
    ];
    return [rows.length, rows.map(([key, type, value]) =>
        Buffer.concat([text(key), u32(type), value]))];
}

// ---- tensors -----------------------------------------------------------------------------------

/** Matrices as [outputs, inputs] in the format asked for; q4 keeps embedding and head in q8. */
function tensors(c, format) {
    const d = c.hidden_size, inner = c.intermediate_size;
    const hd = c.head_dim ?? d / c.num_attention_heads;
    const wide = c.num_attention_heads * hd;
    const narrow = (c.num_key_value_heads ?? c.num_attention_heads) * hd;
    const outer = format === "q4" ? "q8" : format;
    const list = [{name: "token_embd.weight", shape: [c.vocab_size, d], type: outer}];
    for (let i = 0; i < c.num_hidden_layers; i++) {
        const add = (name, ...shape) =>
            list.push({name: `blk.${i}.${name}.weight`, shape, type: shape[1] ? format : "f32"});
        add("attn_norm", d);
        add("attn_q", wide, d);
        add("attn_k", narrow, d);
        add("attn_v", narrow, d);
        add("attn_output", d, wide);
        add("ffn_norm", d);
        add("ffn_gate", inner, d);
        add("ffn_up", inner, d);
        add("ffn_down", d, inner);
    }
    list.push({name: "output_norm.weight", shape: [d], type: "f32"});
    if (!c.tie_word_embeddings)
        list.push({name: "output.weight", shape: [c.vocab_size, d], type: outer});
    return list;
}

function content(tensor) {
    const n = tensor.shape.reduce((a, b) => a * b), inputs = tensor.shape.at(-1);
    if (tensor.shape.length === 1) {
        const ones = Buffer.alloc(4 * n);
        for (let i = 0; i < n; i++)
            ones.writeFloatLE(1, 4 * i);
        return ones;
    }
    if (inputs % GROUP)
        throw new Error(`${tensor.name}: expected inputs in groups of ${GROUP}, found ${inputs}`);
    const buffer = Buffer.alloc(n / GROUP * TYPES[tensor.type].bytes);
    TYPES[tensor.type].fill(buffer, 1 / Math.sqrt(inputs));
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
    if (config.model_type !== "llama")
        throw new Error(`model_type: expected "llama", found "${config.model_type}"`);
    if (!TYPES[format])
        throw new Error(`format: expected ${Object.keys(TYPES).join(", ")}, found ${format}`);
    const list = tensors(config, format), [count, rows] = metadata(config, name);
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

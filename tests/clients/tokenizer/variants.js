// SPDX-License-Identifier: Apache-2.0
'use strict';
/*
 * Families whose files no npm package carries: their pipelines are the published ones, so that
 * every component is compared, over the vocabulary of another family.
 */
const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };

const token = (id, content, flags) => Object.assign({ id, content, single_word: false,
    lstrip: false, rstrip: false, normalized: false, special: false }, flags);

/* GPT-NeoX and Pythia: NFC, and runs of spaces as added tokens that are normalised. */
function neox(json) {
    json.normalizer = { type: 'NFC' };
    json.pre_tokenizer = Object.assign({ use_regex: true }, BYTE_LEVEL);
    for (let n = 24; n >= 2; n--)
        json.added_tokens.push(token(50257 + 24 - n, ' '.repeat(n), { normalized: true }));
}

/* Falcon: steps behind the byte alphabet see its characters. */
function falcon(json) {
    json.pre_tokenizer = { type: 'Sequence', pretokenizers: [
        { type: 'Punctuation', behavior: 'Contiguous' }, BYTE_LEVEL,
        { type: 'Digits', individual_digits: false },
        { type: 'Split', pattern: { Regex: '[0-9][0-9][0-9]' }, behavior: 'Isolated',
            invert: false }] };
}

/* Granite and StarCoder: each digit alone. */
function granite(json) {
    json.pre_tokenizer = { type: 'Sequence', pretokenizers: [
        { type: 'Digits', individual_digits: true },
        Object.assign({ use_regex: true }, BYTE_LEVEL)] };
}

/* What the others leave out: the remaining normal forms, behaviours and flags. */
function rare(json) {
    json.normalizer = { type: 'Sequence', normalizers: [{ type: 'NFKD' },
        { type: 'Lowercase' }, { type: 'Strip', strip_left: true, strip_right: true },
        { type: 'Replace', pattern: { Regex: '[aeiou]{2}' }, content: 'oo' }] };
    json.pre_tokenizer = { type: 'Sequence', pretokenizers: [
        { type: 'Split', pattern: { Regex: ',\\s*' }, behavior: 'MergedWithPrevious' },
        { type: 'Split', pattern: { String: '(' }, behavior: 'MergedWithNext' },
        { type: 'Split', pattern: { Regex: '[\\p{Lu}\\p{P}]' }, behavior: 'Contiguous' },
        { type: 'Split', pattern: { Regex: '\\p{Han}+|[^x]' }, behavior: 'Contiguous',
            invert: true },
        Object.assign({ use_regex: true }, BYTE_LEVEL, { add_prefix_space: true })] };
    json.pre_tokenizer.pretokenizers.forEach((p) => {
        if (p.type === 'Split') p.invert = Boolean(p.invert);
    });
    json.added_tokens.push(token(50257, '<strip>', { lstrip: true, rstrip: true }),
        token(50258, 'bazword', { single_word: true }),
        token(50259, 'Éa', { normalized: true }));
}

const split = (regex) => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated',
    invert: false });
const bytes = Object.assign({ use_regex: false }, BYTE_LEVEL);
const WORDS = {
    llama3: "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|" +
        ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
    qwen3_5: "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}|" +
        ' ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
    tekken: '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|' +
        '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|' +
        '\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
};

/* What puts one token before a text. */
const before = (id, content) => ({ type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: content, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { [content]: { id: content, ids: [id], tokens: [content] } } });

/* Without added tokens: the Rust library numbers those itself, from the vocabulary's size. */
function bare(json) {
    for (const t of json.added_tokens) delete json.model.vocab[t.content];
    json.added_tokens = [];
    const ids = Object.values(json.model.vocab).sort((a, b) => a - b);
    if (ids.some((id, i) => id !== i)) throw new Error('the ids of the vocabulary have gaps');
    return ids.length;
}

/* Adds merges of two tokens within a word until there are n tokens; then added ones to size. */
function extend(json, n, size) {
    const { vocab, merges } = json.model;
    let next = bare(json);
    const holds = (pattern) => Object.keys(vocab).filter((t) => pattern.test(t));
    const heads = holds(/^\u0120?[a-z]{2,6}$/), tails = holds(/^[a-z]{1,4}$/);
    for (let i = 0; next < n; i++) {
        const head = heads[(i * 7919) % heads.length];
        const tail = tails[(i * 104729 + (i >> 4)) % tails.length];
        if (vocab[head + tail] !== undefined) continue;
        vocab[head + tail] = next++;
        merges.push(typeof merges[0] === 'string' ? head + ' ' + tail : [head, tail]);
    }
    for (let id = n; id < size; id++)
        json.added_tokens.push(token(id, `<|added_${id}|>`, { special: id % 3 > 0 }));
}

/* Qwen3.5: marks belong to words, 248,320 tokens. */
function qwen3_5(json) {
    extend(json, 248294, 248320);
    json.normalizer = { type: 'NFC' };
    json.pre_tokenizer = { type: 'Sequence', pretokenizers: [split(WORDS.qwen3_5), bytes] };
}

/* Nemotron-H and Mistral since Nemo: words split where their case changes. */
function tekken(json) {
    json.model.ignore_merges = true;
    const bos = bare(json);
    json.added_tokens.push(token(bos, '<s>', { special: true }));
    json.pre_tokenizer = { type: 'Sequence', pretokenizers: [split(WORDS.tekken), bytes] };
    json.post_processor = before(bos, '<s>');
}

/* Falcon-H1: digits and punctuation each alone. */
function falcon_h1(json) {
    json.pre_tokenizer = { type: 'Sequence', pretokenizers: [split(WORDS.llama3),
        { type: 'Digits', individual_digits: true },
        { type: 'Punctuation', behavior: 'Isolated' }, bytes] };
}

/* OLMo: a normal form before cl100k's words. */
function olmo(json) {
    json.normalizer = { type: 'NFC' };
    json.pre_tokenizer = { type: 'Sequence', pretokenizers: [split(WORDS.llama3), bytes] };
    const next = bare(json);
    json.added_tokens.push(token(next, '<|pad|>', { special: true }),
        token(next + 1, '|||EMAIL_ADDRESS|||', { normalized: true }));
}

/* Mistral's own vocabulary, which its package holds without a tokenizer.json. */
async function mistral(json) {
    const its = (await import('mistral-tokenizer-js')).default;
    json.model.vocab = Object.fromEntries(its.vocabById.map((t, id) => [t, id]));
    json.model.merges = [...its.merges.entries()].sort((a, b) => a[1] - b[1]).map((m) => m[0]);
}

/* Mistral 0.3 and others since: a pre-tokenizer in place of the normalizer. */
async function metaspace(json) {
    await mistral(json);
    json.normalizer = null;
    json.pre_tokenizer = { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'first',
        split: false };
}

/* name → the family whose file is changed, and how. */
module.exports = {
    neox: ['gpt2', neox], falcon: ['gpt2', falcon], granite: ['gpt2', granite],
    rare: ['gpt2', rare], qwen3_5: ['gpt4o', qwen3_5], tekken: ['gpt4o', tekken],
    falcon_h1: ['gpt2', falcon_h1], olmo: ['gpt35turbo', olmo],
    mistral: ['llama2', mistral], metaspace: ['llama2', metaspace],
};

// SPDX-License-Identifier: Apache-2.0
'use strict';
/*
 * Families whose files no npm package carries, built from GPT-2's vocabulary: their pipelines
 * are the published ones, so that every component is compared, only the merges are GPT-2's.
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

module.exports = { neox, falcon, granite, rare };

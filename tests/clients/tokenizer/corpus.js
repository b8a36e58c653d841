// SPDX-License-Identifier: Apache-2.0
'use strict';
/*
 * The text of the comparison: documents that are the same on every run, from a small
 * generator, and this repository's own sources. Only characters that every Unicode version
 * since 12 knows: the implementations carry different versions.
 */
const fs = require('fs');
const path = require('path');

const REPOSITORY = path.join(__dirname, '..', '..', '..');

/* A 32-bit counter-based generator. */
function random(seed) {
    let n = seed >>> 0;
    const next = () => {
        n = (n + 0x9e3779b9) >>> 0;
        let x = n;
        x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
        x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
        return (x ^ (x >>> 16)) >>> 0;
    };
    return {
        below: (k) => next() % k,
        pick: (list) => list[next() % list.length],
    };
}

const range = (first, last) => (r) =>
    String.fromCodePoint(first + r.below(last - first + 1));
const among = (list) => (r) => r.pick(list);
const repeat = (item, most) => (r) => item(r).repeat(1 + r.below(most));
const several = (item, most) => (r) => {
    let s = '';
    for (let n = 1 + r.below(most); n > 0; n--) s += item(r);
    return s;
};
const any = (items) => (r) => r.pick(items)(r);

const WORDS = ('the river runs under an old bridge and Nobody knows its name ' +
    'internationalisation HTTPServer camelCase snake_case naïve façade Straße ' +
    'Ελλάδα Привет мир שלום עולם مرحبا بالعالم नमस्ते สวัสดี 안녕하세요 こんにちは 世界').split(' ');
const CONTRACTIONS = ["it's", "IT'S", "we'll", "WE'LL", "don't", "I'd", "they've", "I'm",
    "'re", "'RE", "o'clock", "'s's", "''s", "’s", "can't've", "'T", "'Ve", "x'S", "'lL"];
const SPACES = [' ', '  ', '   ', '\t', '\n', '\r\n', '\r', '\v', '\f', '\n\n', ' \n', '\n ',
    '\u00a0', '\u2003', '\u2028', '\u2029', '\u202f', '\u205f', '\u3000', '\u1680', '\u200b',
    '\u2009 ', ' \u00a0 ', '\t\t ', '        '];
const EMOJI = ['😀', '👍🏽', '👩‍👩‍👧‍👦', '🏳️‍🌈', '❤️', '☃', '🇫🇷🇩🇪', '1️⃣', '🧑🏿‍🚀', '👁️‍🗨️', '✈︎'];
const MARKS = ['e\u0301', 'a\u0323\u0302', 'a\u0302\u0323', 'o\u0308\u0304', '\u0301', 'ñ',
    'n\u0303', '\u1e9b\u0323', 'q\u0307\u0323', '\u0344', '\u0958', '\u0915\u093c', '각',
    '\u1100\u1161\u11a8', 'Å', '\u212b', '\u03a9', '\u2126', '\ufb01', 'ǆ', '²', '①', '㍿'];
const ODD = ['\ufffd', '\ufffd\ufffd', '\u0000', '\u0001', '\u007f', '\u0080', '\u009f',
    '\ufeff', '\ue000', '\ufffc', '\u{10ffff}', '\u{1f600}\u{fe0f}', '\u200d', '\u200e',
    '\u202e', 'Ã©', 'â\u0080\u0099', 'ï»¿', '\u00ad', '\\xff\\xfe', '%FF%FE', '\u{e0061}'];
const DIGITS = ['0', '7', '42', '123', '1234', '12345678901', '3.14159', '1,000,000', '2024-05-01',
    '٣٤٥', '१२३', '１２３', '½', 'Ⅷ', '𝟙𝟚𝟛', '5e-10', '0x1F', '1st', 'a1b2c3', '²³'];
const PUNCTUATION = ['...', '!?', '—', '«»', '{[(', ')]}', '://', '/*', '*/', '->', '=>', '&&',
    '||', '===', '$', '€', '“quoted”', '`', '~', '#', '@', '%', '^', '|', '\\', ';;', '_', '__',
    '、', '。', '！', '＿', '§', '©', '™', '+-', '×'];
const CODE = ['if (x<=0){return;}\n', '\tfor i in range(10):\n\t\tprint(i)\n', 'a->b.c[0]+=1;',
    '#include <stdio.h>\n', '<div class="x">&amp;</div>', 'SELECT * FROM t WHERE a=\'b\';\n',
    '{"key": [1, 2.5e3, null]}', '// comment\r\n', 'https://example.org/a?b=c&d=%20', '    }\n',
    'x = y if z else -w  # noqa\n', '\\frac{1}{2}', '0b1010', '"\\n\\t"', '$HOME/.config'];

const KINDS = {
    words: several((r) => r.pick(WORDS) + r.pick([' ', ' ', ' ', ', ', '. ']), 200),
    contractions: several((r) => r.pick(CONTRACTIONS) + r.pick([' ', '', '. ']), 100),
    spaces: several((r) => r.pick(SPACES) + r.pick(['', '', 'a', 'B', '1', '.', '世']), 150),
    emoji: several((r) => r.pick(EMOJI) + r.pick(['', ' ', 'x']), 80),
    marks: several((r) => r.pick(MARKS) + r.pick(['', ' ', 'a', '\u0301', '\u0327']), 120),
    odd: several((r) => r.pick(ODD) + r.pick(['', ' ', 'z']), 100),
    digits: several((r) => r.pick(DIGITS) + r.pick(['', ' ', ',', 'x']), 120),
    punctuation: several((r) => r.pick(PUNCTUATION) + r.pick(['', ' ', '\n', 'w']), 120),
    code: several((r) => r.pick(CODE), 60),
    cjk: several(any([range(0x4e00, 0x9fa5), range(0x3041, 0x3096), range(0x30a1, 0x30fa),
        range(0xac00, 0xd7a3), range(0x3400, 0x4db5), range(0x20000, 0x2a6d6)]), 200),
    letters: several(any([range(0x21, 0x7e), range(0xc0, 0x24f), range(0x391, 0x3a1),
        range(0x410, 0x44f), range(0x5d0, 0x5ea), range(0x905, 0x939), range(0xe01, 0xe30),
        range(0x1e00, 0x1eff), range(0x2190, 0x21ff), range(0x1d400, 0x1d454)]), 200),
    runs: several(repeat(any([among(SPACES), among(EMOJI), among(PUNCTUATION), among(MARKS),
        range(0x20, 0x7e), range(0x4e00, 0x4e40)]), 40), 20),
};
KINDS.mixed = several((r) => r.pick(Object.values(KINDS).slice(0, 12))(r).slice(0, 60)
    .replace(/[\ud800-\udbff]$/, '').replace(/^[\udc00-\udfff]/, ''), 30);

/* Added tokens' own texts, whole, cut, and among others. */
function special(added, seed) {
    const r = random(seed);
    let s = '';
    for (let n = 0; n < 120; n++) {
        const t = r.pick(added);
        s += r.pick([t, t, ' ' + t, t + ' ', t.slice(0, -1), t.slice(1), t + t, 'x' + t + 'y',
            '\n' + t + '\n', 'e' + t + '\u0301']) + r.pick(['', ' ', 'word ', '. ']);
    }
    return s.replace(/[\ud800-\udbff](?![\udc00-\udfff])/g, '')
        .replace(/(^|[^\ud800-\udbff])[\udc00-\udfff]/g, '$1');
}

function sources() {
    const found = [];
    const walk = (dir) => {
        for (const e of fs.readdirSync(dir, { withFileTypes: true })) {
            const name = path.join(dir, e.name);
            if (e.isDirectory() && e.name !== 'node_modules') walk(name);
            else if (/\.(c|h|py|js|json|md)$/.test(e.name) && fs.statSync(name).size < 200000)
                found.push(name);
        }
    };
    ['api', 'engine', 'server', 'configs'].forEach((d) => walk(path.join(REPOSITORY, d)));
    return found.sort().map((name) => ({
        name: path.relative(REPOSITORY, name),
        text: fs.readFileSync(name, 'utf8'),
    }));
}

/* Documents [{name, text}] of at least `bytes` bytes in UTF-8; beside them each source whose
 * number `every` divides. */
function corpus(added, bytes, every) {
    const docs = sources().filter((_, i) => i % every === 0);
    let total = 0;
    for (let i = 0; total < bytes; i++) {
        for (const kind of Object.keys(KINDS)) {
            const text = KINDS[kind](random(i * 131 + kind.length * 7 + kind.charCodeAt(0)));
            docs.push({ name: kind + ' ' + i, text });
            total += Buffer.byteLength(text);
        }
        if (added.length) docs.push({ name: 'added tokens ' + i, text: special(added, i) });
    }
    docs.push({ name: 'empty', text: '' }, { name: 'one space', text: ' ' });
    return docs;
}

module.exports = { corpus };

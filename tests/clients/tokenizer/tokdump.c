/*
 * tokdump DIR FLAGS: the tokenizer for the comparison with other implementations.
 *
 * Reads documents from stdin, each a decimal byte count, a newline and the bytes; writes
 * for each one line of ids. FLAGS is engine.h's ENCODE_* as a number. With FLAGS
 * "roundtrip" the line is "same" or "differs": the bytes of the ids against the document.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const struct err *err)
{
    fprintf(stderr, "tokdump: %s\n", err->text);
    return 1;
}

static bool next_document(struct buf *doc)
{
    size_t len;
    if (scanf("%zu", &len) != 1 || getchar() != '\n')
        return false;
    buf_reset(doc);
    if (!buf_reserve(doc, len) || fread(doc->data, 1, len, stdin) != len)
        return false;
    doc->len = len;
    return true;
}

static void print_ids(const struct ids *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        printf("%s%d", i ? " " : "", ids->data[i]);
    putchar('\n');
}

static int print_round_trip(const struct vocab *v, const struct ids *ids,
                            const struct buf *doc, struct err *err)
{
    struct buf text = {0};
    int rc = bpe_decode(v, ids->data, ids->n, false, &text, err);
    bool same = rc == 0 && text.len == doc->len &&
                (doc->len == 0 || memcmp(text.data, doc->data, doc->len) == 0);
    puts(same ? "same" : "differs");
    buf_free(&text);
    return rc;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct vocab *v = NULL;
    struct buf doc = {0};
    struct ids ids = {0};
    if (argc != 3) {
        fputs("usage: tokdump DIR FLAGS|roundtrip <documents\n", stderr);
        return 2;
    }
    bool round_trip = strcmp(argv[2], "roundtrip") == 0;
    unsigned flags = round_trip ? ENCODE_SPECIAL : (unsigned)atoi(argv[2]);
    if (vocab_load(&v, argv[1], &err) != 0)
        return fail(&err);
    int rc = 0;
    while (rc == 0 && next_document(&doc)) {
        ids.n = 0;
        rc = bpe_encode(v, &(struct engine_text){doc.data, doc.len, NULL, 0}, flags, &ids,
                        &err);
        if (rc == 0 && round_trip)
            rc = print_round_trip(v, &ids, &doc, &err);
        else if (rc == 0)
            print_ids(&ids);
    }
    buf_free(&doc);
    ids_free(&ids);
    vocab_free(v);
    return rc == 0 ? 0 : fail(&err);
}

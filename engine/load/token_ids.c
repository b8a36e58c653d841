/* eos_token_id is one id or a list of them. Runs at open, on the opening thread. Ids that
 * only training uses (padding, decoder start) are not read.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/token_ids.h"

static int read_id(int32_t *out, int vocab_size, const char *key, const struct json *v,
                   struct err *err)
{
    char found[JSON_SHOWN];
    if (json_kind(v) != JK_INT || json_as_int(v) < 0 || json_as_int(v) >= vocab_size)
        return err_set(err, ERR_FORMAT,
                       "%s: expected an id inside the vocabulary of %d, found %s", key,
                       vocab_size, json_shown(v, found));
    *out = (int32_t)json_as_int(v);
    return 0;
}

static int read_eos(struct token_ids *t, int vocab_size, const struct json *v,
                    struct err *err)
{
    bool list = json_kind(v) == JK_ARRAY;
    size_t n = list ? json_len(v) : 1;
    if (n > TOKEN_IDS_MAX_EOS)
        return err_set(err, ERR_FORMAT,
                       "eos_token_id: expected at most %d ids, found %zu",
                       TOKEN_IDS_MAX_EOS, n);
    t->n_eos = 0;
    for (size_t i = 0; i < n; i++) {
        int rc = read_id(&t->eos[i], vocab_size, "eos_token_id", list ? json_at(v, i) : v,
                         err);
        if (rc)
            return rc;
        t->n_eos++;
    }
    return 0;
}

int token_ids_read(struct token_ids *t, const struct json *doc, int vocab_size,
                   struct err *err)
{
    const struct json *bos = json_get(doc, "bos_token_id");
    const struct json *eos = json_get(doc, "eos_token_id");
    int rc = json_kind(bos) > JK_NULL
                 ? read_id(&t->bos, vocab_size, "bos_token_id", bos, err)
                 : 0;
    return rc || json_kind(eos) <= JK_NULL ? rc : read_eos(t, vocab_size, eos, err);
}

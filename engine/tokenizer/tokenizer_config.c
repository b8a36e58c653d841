/*
 * add_bos_token and add_eos_token of tokenizer_config.json, the only members that change
 * ids. Runs on the thread that opens the model, after tokenizer.json has been read. Other
 * members are ignored: they name classes of Python libraries, or templates.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/tokenizer_config.h"

#include "engine/tokenizer/json_reader.h"

#include <stdio.h>

/* Sets *id for bos_token or eos_token: a string, or an object with its content. */
static int token_id(const struct vocab *v, const struct json_reader *f, const char *key,
                    int32_t *id, struct err *err)
{
    struct json_text t;
    struct json_reader whole = *f;
    if (json_kind(json_get(f->j, key)) == JK_OBJECT) {
        whole.j = json_get(f->j, key);
        snprintf(whole.path, sizeof whole.path, "%s", key);
        key = "content";
    }
    int rc = json_reader_text(&whole, key, &t, err);
    if (rc != 0)
        return rc;
    *id = t.s ? vocab_find(v, t.s, t.len) : -1;
    return 0;
}

/* add_bos_token and add_eos_token override the post-processor, as in the Python library;
 * absent or null they change nothing. */
static int read_end(struct vocab *v, const struct json_reader *f, bool bos,
                    struct err *err)
{
    const char *flag = bos ? "add_bos_token" : "add_eos_token";
    const char *key = bos ? "bos_token" : "eos_token";
    int32_t *list = bos ? v->pipe.prefix : v->pipe.suffix, id = -1;
    size_t *n = bos ? &v->pipe.n_prefix : &v->pipe.n_suffix;
    bool on;
    if (json_kind(json_get(f->j, flag)) <= JK_NULL)
        return 0;
    int rc = json_reader_bool(f, flag, false, &on, err);
    if (rc == 0)
        rc = token_id(v, f, key, &id, err);
    if (rc != 0)
        return rc;
    if (on && id < 0)
        return json_reader_wrong(f, key, "a token, for it is to be added", err);
    if (on || (*n == 1 && list[0] == id)) {
        list[0] = id;
        *n = on;
    }
    return 0;
}

int tokenizer_config_apply(struct vocab *v, const char *text, size_t len, struct err *err)
{
    struct json *config = NULL;
    struct json_reader f;
    int rc = json_parse_reals(&config, text, len, err);
    if (rc == 0)
        rc = json_reader_open(&f, config, err, "%s", "");
    if (rc == 0)
        rc = read_end(v, &f, true, err);
    if (rc == 0)
        rc = read_end(v, &f, false, err);
    json_free(config);
    return rc;
}

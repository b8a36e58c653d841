/* Each route is two steps around a worker: parse and start, then answer. */
#include "server/text.h"

#include "server/work.h"

static int check_encoded(struct conn *c, struct err *err)
{
    if (!c->encode.rc)
        return 0;
    *err = c->encode.err;
    return c->encode.rc;
}

static int start_text(struct conn *c, struct err *err)
{
    c->l->metrics.unknown_fields += c->text.n_unknown_fields;
    c->encode.e = bridge_engine(c->l->bridge);
    c->encode.done = work_encoded;
    int rc = encode_start(&c->encode, &c->l->uv, err);
    return rc ? rc : CONN_WAIT;
}

static int step_tokenize(struct conn *c, struct err *err)
{
    int rc = tokenize_parse(&c->text, &c->l->limits, c->body.data ? c->body.data : "",
                            c->body.len, err);
    conn_drop_body(c);
    if (!rc)
        rc = encode_alloc(&c->encode, 1, err);
    if (rc)
        return rc;
    c->encode.items[0].text = c->text.prompt.text ? c->text.prompt.text : "";
    c->encode.items[0].len = c->text.prompt.text_len;
    c->encode.flags = ENCODE_SPECIAL | (c->text.add_special_tokens ? ENCODE_BOS : 0);
    return start_text(c, err);
}

static int step_tokenized(struct conn *c, struct err *err)
{
    int rc = check_encoded(c, err);
    if (rc)
        return rc;
    struct buf out = {0};
    const struct ids *ids = &c->encode.items[0].ids;
    tokenize_answer(&c->l->limits, ids->data, ids->n, &out);
    conn_answer(c, &out);
    return CONN_DONE;
}

static int step_detokenize(struct conn *c, struct err *err)
{
    static const int32_t none;
    int rc = tokenize_parse_ids(&c->text, &c->l->limits, c->body.data ? c->body.data : "",
                                c->body.len, err);
    conn_drop_body(c);
    if (rc)
        return rc;
    c->encode.from = c->text.prompt.n_ids ? c->text.prompt.ids : &none;
    c->encode.n_from = c->text.prompt.n_ids;
    return start_text(c, err);
}

static int step_detokenized(struct conn *c, struct err *err)
{
    int rc = check_encoded(c, err);
    if (rc)
        return rc;
    struct buf out = {0};
    tokenize_answer_text(c->encode.decoded.data ? c->encode.decoded.data : "",
                         c->encode.decoded.len, &out);
    conn_answer(c, &out);
    return CONN_DONE;
}

conn_step_fn *const text_tokenize[] = {step_tokenize, step_tokenized, NULL};
conn_step_fn *const text_detokenize[] = {step_detokenize, step_detokenized, NULL};

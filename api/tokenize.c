/* Bodies of /tokenize and /detokenize.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/tokenize.h"

#include "api/fields.h"
#include "api/models.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

/* Where a walk lands before it is checked. */
struct landing {
    struct prompt prompt, content, tokens;
    bool add_special_tokens;
    const char *model;
};

#define AT(member) .at = offsetof(struct landing, member)

static const struct field text_fields[] = {
    {"prompt", FIELD_OTHER, AT(prompt), .read = prompt_read_text},
    {"content", FIELD_OTHER, AT(content), .read = prompt_read_text},
    {"add_special_tokens", FIELD_BOOL, AT(add_special_tokens)},
    {"model", FIELD_STRING, AT(model), .max = 512},
};

static const struct field id_fields[] = {
    {"tokens", FIELD_OTHER, AT(tokens), .read = prompt_read_ids, .max = INT_MAX},
    {"model", FIELD_STRING, AT(model), .max = 512},
};

static int check_text(const struct landing *l, struct prompt *out, struct err *err)
{
    if (l->prompt.text && l->content.text)
        return err_param(err, ERR_ARGUMENT, "content",
                         "`prompt` and `content` mean the same; give one of them");
    *out = l->prompt.text ? l->prompt : l->content;
    return out->text ? 0 : err_param(err, ERR_ARGUMENT, "prompt", "`prompt` is missing");
}

static int check_ids(const struct landing *l, struct prompt *out, struct err *err)
{
    *out = l->tokens;
    return out->ids ? 0 : err_param(err, ERR_ARGUMENT, "tokens", "`tokens` is missing");
}

typedef int check_fn(const struct landing *l, struct prompt *out, struct err *err);

/* What differs between the two endpoints. */
struct shape {
    const struct field *fields;
    size_t n;
    check_fn *check;
};

static int read_body(struct tokenize_request *req, const struct api_limits *limits,
                     const struct shape *shape, const char *body, size_t len,
                     struct err *err)
{
    struct landing l = {.add_special_tokens = true};
    struct field_table table = {shape->fields, shape->n, &l};
    struct fields_ctx ctx = {.arena = &req->arena, .limits = limits};
    int rc = fields_read_body(&ctx, &table, 1, body, len, err);
    if (rc == 0 && l.model)
        rc = models_check(limits, l.model, strlen(l.model), err);
    if (rc == 0 && !limits->has_tokenizer)
        rc = err_set(err, ERR_UNSUPPORTED, "this model has no tokenizer");
    if (rc == 0)
        rc = shape->check(&l, &req->prompt, err);
    req->add_special_tokens = l.add_special_tokens;
    req->n_unknown_fields = ctx.n_unknown;
    return rc;
}

static int parse(struct tokenize_request *req, const struct api_limits *limits,
                 const struct shape *shape, const char *body, size_t len, struct err *err)
{
    *req = (struct tokenize_request){0};
    arena_init(&req->arena);
    int rc = read_body(req, limits, shape, body, len, err);
    if (rc)
        tokenize_free(req);
    return rc;
}

int tokenize_parse(struct tokenize_request *req, const struct api_limits *limits,
                   const char *body, size_t len, struct err *err)
{
    static const struct shape text = {
        text_fields, sizeof text_fields / sizeof *text_fields, check_text};
    return parse(req, limits, &text, body, len, err);
}

int tokenize_parse_ids(struct tokenize_request *req, const struct api_limits *limits,
                       const char *body, size_t len, struct err *err)
{
    static const struct shape ids = {id_fields, sizeof id_fields / sizeof *id_fields,
                                     check_ids};
    return parse(req, limits, &ids, body, len, err);
}

void tokenize_free(struct tokenize_request *req)
{
    arena_free(&req->arena);
    *req = (struct tokenize_request){0};
}

/* "tokens":[…],"count":n */
static void put_tokens(const int32_t *ids, size_t n, struct buf *out)
{
    buf_puts(out, "\"tokens\":[");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, i ? ",%" PRId32 : "%" PRId32, ids[i]);
    buf_printf(out, "],\"count\":%zu", n);
}

void tokenize_answer(const struct api_limits *limits, const int32_t *ids, size_t n,
                     struct buf *out)
{
    buf_putc(out, '{');
    put_tokens(ids, n, out);
    buf_printf(out, ",\"max_model_len\":%d}", limits->context_tokens);
}

void tokenize_answer_prompt(const char *text, size_t len, const int32_t *ids, size_t n,
                            struct buf *out)
{
    buf_puts(out, "{\"prompt\":");
    buf_json_string(out, text, len);
    buf_putc(out, ',');
    put_tokens(ids, n, out);
    buf_putc(out, '}');
}

void tokenize_answer_text(const char *text, size_t len, struct buf *out)
{
    buf_puts(out, "{\"prompt\":");
    buf_json_string(out, text, len);
    buf_puts(out, ",\"content\":");
    buf_json_string(out, text, len);
    buf_puts(out, "}");
}

/* The table of problems. Any thread; nothing is allocated but the body.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/problem.h"

#include <string.h>

#define INVALID  .type = "invalid_request_error"
#define INTERNAL .status = 500, .type = "server_error", .message = hidden

static const char hidden[] = "The server had a fault while processing the request.";

static const struct problem problems[ERR_N_CODES] = {
    [ERR_NONE] = {INTERNAL},
    [ERR_ARGUMENT] = {.status = 400, INVALID},
    [ERR_CONTEXT] = {.status = 400, INVALID, .code = "context_length_exceeded"},
    [ERR_BUDGET] = {.status = 400, INVALID, .code = "budget_exceeded"},
    [ERR_UNSUPPORTED] = {.status = 400, INVALID, .code = "unsupported_parameter"},
    [ERR_THREAD] = {.status = 400, INVALID, .code = "thread_unsupported_request"},
    [ERR_TEMPLATE] = {.status = 400, INVALID, .code = "template_error"},
    [ERR_NO_TEMPLATE] = {.status = 400, INVALID, .code = "no_chat_template"},
    [ERR_AUTH] = {.status = 401, INVALID, .code = "invalid_api_key", .challenge = true},
    [ERR_NOT_FOUND] = {.status = 404, INVALID, .code = "not_found"},
    [ERR_MODEL] = {.status = 404, INVALID, .code = "model_not_found"},
    [ERR_METHOD] = {.status = 405, INVALID, .code = "method_not_allowed", .allow = true},
    [ERR_TIMEOUT] = {.status = 408, INVALID, .code = "timeout", .close = true},
    [ERR_CONFLICT] = {.status = 409, INVALID, .code = "state_mismatch"},
    [ERR_TOO_LARGE] = {.status = 413, INVALID, .code = "body_too_large", .close = true},
    [ERR_COMPLEX] = {.status = 413, INVALID, .code = "body_too_complex"},
    [ERR_QUOTA] = {.status = 413, INVALID, .code = "state_quota_exceeded"},
    [ERR_URI] = {.status = 414, INVALID, .code = "uri_too_long"},
    [ERR_MEDIA] = {.status = 415, INVALID, .code = "unsupported_media_type"},
    [ERR_BUSY] = {.status = 429,
                  .type = "rate_limit_error",
                  .code = "rate_limit_exceeded",
                  .retry_after = true},
    [ERR_HEADERS] = {.status = 431, INVALID, .code = "headers_too_large"},
    [ERR_UNAVAILABLE] = {.status = 503,
                         .type = "server_error",
                         .code = "unavailable",
                         .retry_after = true,
                         .close = true},
    [ERR_STORAGE] = {.status = 507, .type = "server_error", .code = "storage_full"},
    [ERR_IO] = {INTERNAL},
    [ERR_FORMAT] = {INTERNAL},
    [ERR_TEMPLATE_FILE] = {.status = 500,
                           .type = "server_error",
                           .code = "template_error"},
    [ERR_MEMORY] = {INTERNAL},
    [ERR_INTERNAL] = {INTERNAL},
};

const struct problem *problem_of(enum err_code code)
{
    return &problems[(unsigned)code < ERR_N_CODES ? code : ERR_INTERNAL];
}

static void put_or_null(struct buf *out, const char *s)
{
    if (s && s[0])
        buf_json_string(out, s, strlen(s));
    else
        buf_puts(out, "null");
}

void problem_put(const struct err *err, struct buf *out)
{
    const struct problem *p = problem_of(err->code);
    const char *message = p->message ? p->message : err->text;
    buf_puts(out, "{\"message\":");
    buf_json_string(out, message, strlen(message));
    buf_puts(out, ",\"type\":");
    put_or_null(out, p->type);
    buf_puts(out, ",\"param\":");
    put_or_null(out, p->message ? NULL : err->param);
    buf_puts(out, ",\"code\":");
    put_or_null(out, p->code);
    buf_putc(out, '}');
}

void problem_body(const struct err *err, struct buf *out)
{
    buf_puts(out, "{\"error\":");
    problem_put(err, out);
    buf_putc(out, '}');
}

/* ---- Anthropic's form --------------------------------------------------------- */

static const char *anthropic_type(int status)
{
    static const struct {
        int status;
        const char *type;
    } types[] = {
        {401, "authentication_error"}, {404, "not_found_error"},
        {408, "timeout_error"},        {409, "conflict_error"},
        {413, "request_too_large"},    {429, "rate_limit_error"},
        {503, "overloaded_error"},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].status == status)
            return types[i].type;
    return status < 500 ? "invalid_request_error" : "api_error";
}

static void put_anthropic(const struct err *err, const char *request_id, struct buf *out)
{
    const struct problem *p = problem_of(err->code);
    const char *message = p->message ? p->message : err->text;
    buf_printf(out, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":",
               anthropic_type(p->status));
    buf_json_string(out, message, strlen(message));
    if (p->code)
        buf_printf(out, ",\"details\":{\"error_code\":\"%s\"}", p->code);
    buf_putc(out, '}');
    if (request_id) {
        buf_puts(out, ",\"request_id\":");
        buf_json_string(out, request_id, strlen(request_id));
    }
    buf_putc(out, '}');
}

/* ---- forms -------------------------------------------------------------------- */

static void put_openai(const struct err *err, const char *request_id, struct buf *out)
{
    (void)request_id;
    problem_body(err, out);
}

static const struct {
    void (*put)(const struct err *err, const char *request_id, struct buf *out);
    const char *id_field;
} forms[] = {
    [PROBLEM_OPENAI] = {put_openai, NULL},
    [PROBLEM_ANTHROPIC] = {put_anthropic, "Request-Id"},
};

void problem_body_as(enum problem_form form, const struct err *err,
                     const char *request_id, struct buf *out)
{
    forms[form].put(err, request_id, out);
}

const char *problem_id_field(enum problem_form form)
{
    return forms[form].id_field;
}

/* The JSON of items. What differs between their kinds is a table.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/responses_output.h"

#include "api/base64.h"

static const struct {
    const char *type, *prefix; /* of the item and its id */
    const char *part, *events;
} kinds[] = {
    [RESPONSES_REASONING] = {"reasoning", "rs", "reasoning_text",
                             "response.reasoning_text"},
    [RESPONSES_MESSAGE] = {"message", "msg", "output_text", "response.output_text"},
    [RESPONSES_CALL] = {"function_call", "fc", NULL, "response.function_call_arguments"},
};

void responses_output_free(struct responses_output *o)
{
    buf_free(&o->text);
    buf_free(&o->name);
}

const char *responses_output_events(const struct responses_output *o)
{
    return kinds[o->kind].events;
}

const char *responses_output_part(const struct responses_output *o)
{
    return kinds[o->kind].part;
}

bool responses_output_summed(const struct responses_output *o)
{
    return o->kind == RESPONSES_REASONING && o->summary;
}

static void put_buf(struct buf *out, const struct buf *b)
{
    buf_json_string(out, b->data ? b->data : "", b->len);
    out->failed = out->failed || b->failed;
}

/* A prefix, the response's digits, the item's index. */
void responses_output_put_id(const struct responses_output *o, struct buf *out)
{
    buf_printf(out, "\"%s_%s%02zx\"", kinds[o->kind].prefix, o->hex, o->index);
}

void responses_output_put_part(const struct responses_output *o, const char *type,
                               struct buf *out)
{
    bool message = o->kind == RESPONSES_MESSAGE;
    buf_printf(out, "{\"type\":\"%s\",\"text\":", type);
    put_buf(out, &o->text);
    buf_puts(out, message ? ",\"annotations\":[],\"logprobs\":[]}" : "}");
}

static void put_reasoning(const struct responses_output *o, bool done, struct buf *out)
{
    buf_puts(out, ",\"summary\":[");
    if (done && o->summary)
        responses_output_put_part(o, "summary_text", out);
    buf_puts(out, "],\"content\":[");
    if (done)
        responses_output_put_part(o, kinds[o->kind].part, out);
    buf_putc(out, ']');
    if (!done || !o->encrypted)
        return;
    buf_puts(out, ",\"encrypted_content\":\"");
    base64_put(out, o->text.data, o->text.len);
    buf_putc(out, '"');
}

static void put_message(const struct responses_output *o, bool done, struct buf *out)
{
    buf_puts(out, ",\"role\":\"assistant\",\"content\":[");
    if (done)
        responses_output_put_part(o, kinds[o->kind].part, out);
    buf_putc(out, ']');
}

static void put_call(const struct responses_output *o, bool done, struct buf *out)
{
    buf_printf(out, ",\"call_id\":\"%s\",\"name\":", o->call_id);
    put_buf(out, &o->name);
    buf_puts(out, ",\"arguments\":");
    if (done)
        put_buf(out, &o->text);
    else
        buf_puts(out, "\"\"");
}

void responses_output_put(const struct responses_output *o, const char *status, bool done,
                          struct buf *out)
{
    static void (*const put[])(const struct responses_output *, bool, struct buf *) = {
        [RESPONSES_REASONING] = put_reasoning,
        [RESPONSES_MESSAGE] = put_message,
        [RESPONSES_CALL] = put_call,
    };
    buf_printf(out, "{\"type\":\"%s\",\"id\":", kinds[o->kind].type);
    responses_output_put_id(o, out);
    buf_printf(out, ",\"status\":\"%s\"", status);
    put[o->kind](o, done, out);
    buf_putc(out, '}');
}

/* Settings as JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/responses_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_text(struct buf *out, const char *text)
{
    if (text)
        buf_json_string(out, text, strlen(text));
    else
        buf_puts(out, "null");
}

/* The fewest digits that are this float again. */
static void put_float(struct buf *out, float x)
{
    char digits[32];
    int n = 1;
    do
        snprintf(digits, sizeof digits, "%.*g", n, (double)x);
    while (strtof(digits, NULL) != x && ++n <= 9);
    buf_puts(out, digits);
}

static void put_instructions(struct buf *out, const struct chat_text *text)
{
    buf_puts(out, "\"instructions\":");
    if (text->text)
        buf_json_string(out, text->text, text->len);
    else
        buf_puts(out, "null");
}

static void put_sampling(struct buf *out, const struct responses_settings *s,
                         const struct gen_params *gen)
{
    buf_puts(out, ",\"temperature\":");
    put_float(out, gen->temperature);
    buf_puts(out, ",\"top_p\":");
    put_float(out, gen->top_p);
    buf_puts(out, ",\"top_logprobs\":0,\"max_output_tokens\":");
    if (s->max_output_tokens >= 0)
        buf_printf(out, "%d", s->max_output_tokens);
    else
        buf_puts(out, "null");
}

static void put_names(struct buf *out, const struct responses_settings *s,
                      const struct chat_request *req)
{
    buf_puts(out, ",\"user\":");
    put_text(out, req->user);
    buf_puts(out, ",\"safety_identifier\":");
    put_text(out, s->safety_identifier);
    buf_puts(out, ",\"prompt_cache_key\":");
    put_text(out, req->prompt_cache_key);
}

static void put_style(struct buf *out, const struct responses_settings *s,
                      const char *effort)
{
    buf_puts(out, ",\"reasoning\":{\"effort\":");
    put_text(out, effort);
    buf_puts(out, ",\"summary\":");
    put_text(out, s->summary);
    buf_puts(out, "},\"text\":{\"format\":{\"type\":\"text\"}");
    if (s->verbosity)
        buf_printf(out, ",\"verbosity\":\"%s\"", s->verbosity);
    buf_putc(out, '}');
}

static void put_tools(struct buf *out, const struct responses_settings *s,
                      const struct chat *chat)
{
    buf_printf(out, ",\"tools\":%s,\"tool_choice\":\"%s\",\"parallel_tool_calls\":%s",
               s->tools ? s->tools : "[]",
               chat->tool_choice == CHAT_TOOLS_NONE ? "none" : "auto",
               chat->parallel_tool_calls ? "true" : "false");
}

const char *responses_settings_json(const struct responses_settings *s,
                                    struct chat_request *req,
                                    const struct gen_params *gen)
{
    struct buf out = {0};
    put_instructions(&out, &s->instructions);
    put_tools(&out, s, &req->chat);
    put_sampling(&out, s, gen);
    put_style(&out, s, req->effort);
    put_names(&out, s, req);
    buf_puts(&out, ",\"store\":false,\"background\":false,\"truncation\":\"disabled\""
                   ",\"service_tier\":\"default\",\"previous_response_id\":null");
    buf_printf(&out, ",\"metadata\":%s", s->metadata ? s->metadata : "{}");
    const char *text = out.failed ? NULL : arena_strdup(&req->arena, out.data, out.len);
    buf_free(&out);
    return text;
}

/* From a parsed conversation to a prompt and the way its answer is split.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/chat_generation.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static struct chat_generation *chat_of(struct generation *g)
{
    return (struct chat_generation *)(void *)g;
}

int chat_generation_new(struct conn *c, size_t bytes,
                        const struct generation_codec *codec, struct err *err)
{
    int rc = served_template_check(&c->server->model.template, err);
    return rc ? rc : generation_new(c, bytes, codec, err);
}

void chat_generation_begin(struct chat_generation *c, struct chat_request *r,
                           const char *field)
{
    c->request = r;
    c->prompts = (struct prompts){&c->prompt, 1};
    c->g.request = (struct generation_request){.field = field,
                                               .prompts = &c->prompts,
                                               .gen = &r->gen,
                                               .cache_salt = r->cache_salt,
                                               .prompt_cache_key = r->prompt_cache_key,
                                               .state = r->state,
                                               .n_unknown_fields = r->n_unknown_fields,
                                               .bytes = r->arena.used_bytes,
                                               .has_seed = r->has_seed,
                                               .stream = r->stream};
}

/* The token that ends an assistant's turn ends an answer. */
static int add_end(struct chat_request *r, int32_t end_id, struct err *err)
{
    size_t n = r->gen.n_stop_ids;
    if (end_id < 0 || r->gen.ignore_eos)
        return 0;
    int32_t *ids = arena_alloc(&r->arena, (n + 1) * sizeof *ids);
    if (!ids)
        return err_set(err, ERR_MEMORY, "out of memory for stop ids");
    if (n)
        memcpy(ids, r->gen.stop_ids, n * sizeof *ids);
    ids[n] = end_id;
    r->gen.stop_ids = ids;
    r->gen.n_stop_ids = n + 1;
    return 0;
}

int chat_generation_render(struct generation *g, const struct server *server,
                           struct err *err)
{
    struct chat_generation *c = chat_of(g);
    struct chat_request *r = c->request;
    const struct served_template *t = &server->model.template;
    int rc = add_end(r, t->end_id, err);
    if (rc == 0)
        rc = chat_template_render(t->chat, &r->chat, served_template_now(t), &r->arena,
                                  &c->rendered, err);
    if (rc == 0 && c->rendered.len == 0)
        rc = err_param(err, ERR_ARGUMENT, "messages",
                       "`%s`: an empty prompt, by this chat template", g->request.field);
    if (rc && strncmp(err->param, "messages", 8) == 0 &&
        strcmp(g->request.field, "messages") != 0)
        snprintf(err->param, sizeof err->param, "%s", g->request.field);
    g->rendered_bytes = r->arena.used_bytes - g->request.bytes;
    c->prompt = (struct prompt){.text = c->rendered.text,
                                .text_len = c->rendered.len,
                                .marks = c->rendered.marks,
                                .n_marks = c->rendered.n_marks,
                                .turns = c->rendered.turns,
                                .n_turns = c->rendered.n_turns};
    return rc;
}

void chat_generation_answer(const struct chat_generation *c, const struct server *server,
                            struct answer_options *o)
{
    const struct chat *chat = &c->request->chat;
    bool calls = chat->n_specs > 0 && chat->tool_choice != CHAT_TOOLS_NONE;
    o->format =
        calls ? chat_template_tools(server->model.template.chat) : TOOL_FORMAT_NONE;
    o->specs = chat->specs;
    o->n_specs = chat->n_specs;
    o->most_calls = chat->parallel_tool_calls ? 0 : 1;
    o->reasoning = server->cfg->reasoning_format == CONFIG_REASONING_SPLIT;
    o->inside = c->rendered.in_reasoning;
}

int chat_generation_id(const char *prefix, char out[CHAT_GENERATION_ID], struct err *err)
{
    unsigned char x[12];
    if (getrandom(x, sizeof x, 0) != (ssize_t)sizeof x)
        return err_set(err, ERR_INTERNAL, "no random numbers");
    int n = snprintf(out, CHAT_GENERATION_ID, "%.20s", prefix);
    for (size_t i = 0; i < sizeof x; i++, n += 2)
        snprintf(out + n, CHAT_GENERATION_ID - (size_t)n, "%02x", x[i]);
    return 0;
}

const char *chat_generation_piece(void *engine, int32_t id, size_t *len)
{
    return engine_piece(engine, id, len);
}

/* From a parsed conversation to a prompt and the way its answer is split.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/chat_generation.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

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

/* How the answer is split; the sink is the writer's. */
static struct answer_options answer_of(const struct chat_generation *c,
                                       const struct server *server)
{
    const struct chat *chat = &c->request->chat;
    bool calls = chat->n_specs > 0 && chat->tool_choice != CHAT_TOOLS_NONE;
    return (struct answer_options){
        .format =
            calls ? chat_template_tools(server->model.template.chat) : TOOL_FORMAT_NONE,
        .specs = chat->specs,
        .n_specs = chat->n_specs,
        .most_calls = chat->parallel_tool_calls ? 0 : 1,
        .reasoning = server->cfg->reasoning_format == CONFIG_REASONING_SPLIT,
        .inside = c->rendered.in_reasoning};
}

int chat_generation_head(struct chat_generation *c, const struct server *server,
                         const char *prefix, struct chat_answer_head *head,
                         struct err *err)
{
    const char *asked = c->request->model;
    const struct engine *engine = bridge_engine(server->model.bridge);
    *head = (struct chat_answer_head){.id = c->id,
                                      .created = time(NULL),
                                      .model = asked ? asked
                                                     : server->model.limits.served_name,
                                      .piece = answer_head_piece,
                                      .piece_arg = (void *)(uintptr_t)engine,
                                      .answer = answer_of(c, server)};
    c->format = head->answer.format;
    return answer_head_id(prefix, c->id, err);
}

void chat_generation_count(const struct chat_generation *c, struct metrics *m,
                           size_t reasoning, size_t failures)
{
    m->reasoning_tokens += reasoning;
    m->tool_failures[c->format] += failures;
}

/* Encoding the text of a prompt, whole or from where a state ends.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/prompt_ids.h"

#include "engine/base/mem.h"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "out of memory for a prompt's tokens");
}

/* The marks of the text behind byte `at`, counted from there. */
static size_t marks_behind(const struct prompt *prompt, size_t at, struct text_mark *to)
{
    size_t n = 0;
    for (size_t i = 0; i < prompt->n_marks; i++) {
        struct text_mark m = prompt->marks[i];
        if (m.end <= at)
            continue;
        m.begin = m.begin > at ? m.begin - at : 0;
        m.end -= at;
        to[n++] = m;
    }
    return n;
}

/* Depths without zeros and repetitions, which turns of a few bytes have. */
static int find_depths(struct prompt_ids *p, const struct engine *e,
                       const struct prompt *prompt, struct err *err)
{
    struct engine_text text = {prompt->text, prompt->text_len, prompt->marks,
                               prompt->n_marks};
    size_t n = prompt->n_turns, kept = 0;
    if (n == 0)
        return 0;
    p->depths = mem_zalloc(n, sizeof *p->depths);
    if (!p->depths || !engine_depths(e, &text, &p->ids, prompt->turns, n, p->depths))
        return no_memory(err);
    for (size_t i = 0; i < n; i++)
        if (p->depths[i] > (kept ? p->depths[kept - 1] : 0))
            p->depths[kept++] = p->depths[i];
    p->n_depths = kept;
    return 0;
}

int prompt_ids_encode(struct prompt_ids *p, const struct engine *e,
                      const struct prompt *prompt, size_t at, unsigned flags,
                      struct err *err)
{
    struct text_mark *marks = mem_zalloc(prompt->n_marks + 1, sizeof *marks);
    if (!marks)
        return no_memory(err);
    struct engine_text text = {.text = prompt->text + at,
                               .len = prompt->text_len - at,
                               .marks = marks,
                               .n_marks = marks_behind(prompt, at, marks)};
    int rc = engine_encode(e, &text, ENCODE_SPECIAL | flags, &p->ids, err);
    mem_free(marks);
    return rc ? rc : find_depths(p, e, prompt, err);
}

void prompt_ids_free(struct prompt_ids *p)
{
    ids_free(&p->ids);
    mem_free(p->depths);
    *p = (struct prompt_ids){0};
}

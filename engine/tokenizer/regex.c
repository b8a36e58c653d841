/*
 * Compiles and matches the tokenizer's patterns with PCRE2. Compiled code is const and
 * shared; a scan and its match data belong to one call. Match limits bound the time of
 * any pattern on any text. onig_to_pcre.c has translated a pattern before PCRE2 sees it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/regex.h"

#include "engine/base/buf.h"
#include "engine/base/mem.h"
#include "engine/tokenizer/onig_to_pcre.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

enum {
    HEAP_LIMIT_KIB = 64 << 10,
    STEP_LIMIT = 10 << 20, /* match steps allowed for any text */
    STEPS_PER_BYTE = 8,    /* more for each byte of it */
    JIT_STACK_MIN = 32 << 10,
    JIT_STACK_MAX = 4 << 20
};

struct regex {
    pcre2_code *code;              /* owns */
    pcre2_general_context *memory; /* owns */
};

/* What a scan's state points to. */
struct state {
    pcre2_general_context *memory; /* owns */
    pcre2_match_context *limits;   /* owns */
    pcre2_match_data *data;        /* owns */
    pcre2_jit_stack *stack;        /* owns; NULL when there is no JIT */
};

static void *take(PCRE2_SIZE size, void *unused)
{
    (void)unused;
    return mem_alloc(size);
}

static void give(void *p, void *unused)
{
    (void)unused;
    mem_free(p);
}

static int compile(struct regex *re, const struct buf *pattern, struct err *err)
{
    const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
    re->memory = pcre2_general_context_create(take, give, NULL);
    pcre2_compile_context *c =
        re->memory ? pcre2_compile_context_create(re->memory) : NULL;
    if (!c)
        return err_set(err, ERR_MEMORY, "out of memory for a pattern");
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_set_newline(c, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(c, 100);
    re->code =
        pcre2_compile((PCRE2_SPTR)pattern->data, pattern->len, options, &code, &at, c);
    pcre2_compile_context_free(c);
    if (!re->code && code == PCRE2_ERROR_HEAP_FAILED)
        return err_set(err, ERR_MEMORY, "out of memory for a pattern");
    if (!re->code) {
        char text[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        return err_set(err, ERR_FORMAT, "not a pattern: %s", text);
    }
    uint32_t empty = 0;
    pcre2_pattern_info(re->code, PCRE2_INFO_MATCHEMPTY, &empty);
    if (empty)
        return err_set(err, ERR_FORMAT,
                       "a pattern that can match nothing is not honoured");
    pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE); /* without it the interpreter runs */
    return 0;
}

static int make(struct regex **out, const struct buf *pattern, struct err *err)
{
    struct regex *re = pattern->failed ? NULL : mem_zalloc(1, sizeof *re);
    if (!re)
        return err_set(err, ERR_MEMORY, "out of memory for a pattern");
    int rc = compile(re, pattern, err);
    if (rc != 0)
        regex_free(re);
    else
        *out = re;
    return rc;
}

int regex_compile(struct regex **out, const char *pattern, size_t len, struct err *err)
{
    struct buf b = {0};
    int rc = onig_to_pcre_translate(&b, pattern, len, err);
    if (rc == 0)
        rc = make(out, &b, err);
    buf_free(&b);
    return rc;
}

int regex_literal(struct regex **out, const char *s, size_t len, struct err *err)
{
    struct buf b = {0};
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)s[i] < 0x80)
            buf_printf(&b, "\\x{%x}", (unsigned)s[i]);
        else
            buf_putc(&b, s[i]);
    }
    int rc = make(out, &b, err);
    buf_free(&b);
    return rc;
}

void regex_free(struct regex *re)
{
    if (!re)
        return;
    pcre2_code_free(re->code);
    pcre2_general_context_free(re->memory);
    mem_free(re);
}

bool regex_scan_init(struct regex_scan *scan)
{
    struct state *st = mem_zalloc(1, sizeof *st);
    scan->state = st;
    if (!st)
        return false;
    st->memory = pcre2_general_context_create(take, give, NULL);
    if (!st->memory)
        return false;
    st->limits = pcre2_match_context_create(st->memory);
    st->data = pcre2_match_data_create(1, st->memory);
    if (!st->limits || !st->data)
        return false;
    pcre2_set_heap_limit(st->limits, HEAP_LIMIT_KIB);
    st->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, st->memory);
    if (st->stack)
        pcre2_jit_stack_assign(st->limits, NULL, st->stack);
    return true;
}

void regex_scan_free(struct regex_scan *scan)
{
    struct state *st = scan->state;
    if (!st)
        return;
    pcre2_jit_stack_free(st->stack);
    pcre2_match_data_free(st->data);
    pcre2_match_context_free(st->limits);
    pcre2_general_context_free(st->memory);
    mem_free(st);
    scan->state = NULL;
}

int regex_find(const struct regex *re, struct regex_scan *scan, size_t from,
               struct err *err)
{
    struct state *st = scan->state;
    PCRE2_SPTR s = (PCRE2_SPTR)scan->s;
    size_t extra = scan->len < (64u << 20) ? scan->len : (64u << 20);
    pcre2_set_match_limit(st->limits, (uint32_t)(STEP_LIMIT + extra * STEPS_PER_BYTE));
    uint32_t options = PCRE2_NO_UTF_CHECK;
    int n = pcre2_match(re->code, s, scan->len, from, options, st->data, st->limits);
    if (n == PCRE2_ERROR_JIT_STACKLIMIT)
        n = pcre2_match(re->code, s, scan->len, from, options | PCRE2_NO_JIT, st->data,
                        st->limits);
    if (n == PCRE2_ERROR_NOMATCH)
        return 0;
    if (n == PCRE2_ERROR_NOMEMORY)
        return err_set(err, ERR_MEMORY, "out of memory while matching a pattern");
    if (n < 0)
        return err_set(err, ERR_ARGUMENT,
                       "the text exceeds the limits of a tokenizer pattern");
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(st->data);
    scan->begin = place[0];
    scan->end = place[1];
    return 1;
}

/*
 * Splits one answer, as it comes, into reasoning, content and tool calls. One owner.
 *
 * Tolerant: what is not a whole, good call is content, byte for byte as it was written,
 * and is counted; it costs no other call. The result does not depend on how the answer is
 * cut into pieces. Text is passed on as soon as no mark can begin in it; a call is passed
 * on whole. Special tokens are seen as marks only, they never are content.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TOOLS_ANSWER_PARSER_H
#define API_TOOLS_ANSWER_PARSER_H

#include "api/tools/tool_spec.h"
#include "engine/base/err.h"

#include <stdbool.h>

enum tool_format {
    TOOL_FORMAT_NONE, /* calls stay text */
    TOOL_FORMAT_HERMES,
    TOOL_FORMAT_QWEN3_CODER,
    TOOL_FORMAT_LFM2,
    TOOL_FORMAT_LLAMA3_JSON,
    TOOL_FORMAT_JSON_LIST,
    TOOL_FORMAT_MISTRAL,
    TOOL_FORMAT_N
};

const char *tool_format_name(enum tool_format f); /* "none", "hermes", … */

/* The form of a name; false: there is none. */
bool tool_format_find(enum tool_format *out, const char *name);

/* The i-th mark that a call may begin with; NULL: there are no more. A call's own grammar
 * begins behind it. */
const char *tool_format_mark(enum tool_format f, size_t i);

enum answer_part { ANSWER_REASONING, ANSWER_CONTENT };

/* Borrowed until the sink returns. */
struct answer_call {
    const char *name;
    size_t name_len;
    const char *arguments; /* a JSON object */
    size_t arguments_len;
};

struct answer_sink {
    void (*text)(void *arg, enum answer_part part, const char *s, size_t len);
    void (*call)(void *arg, const struct answer_call *call);
    void *arg;
};

struct answer_options {
    enum tool_format format;       /* NONE without tools */
    const struct tool_spec *specs; /* [n_specs], borrowed until answer_parser_free */
    size_t n_specs;
    size_t most_calls; /* calls beyond are not passed on; 0: any number */
    bool reasoning;    /* <think> and [THINK] are told apart */
    bool inside;       /* the prompt ends inside reasoning */
    struct answer_sink sink;
};

struct answer_parser;

int answer_parser_open(struct answer_parser **out, const struct answer_options *o,
                       struct err *err);
void answer_parser_free(struct answer_parser *p); /* accepts NULL */

/* The next piece of text (whole UTF-8), or the text of one special token. */
void answer_parser_push(struct answer_parser *p, const char *s, size_t len, bool special);

/* The answer has ended: passes on what was held back. */
void answer_parser_finish(struct answer_parser *p);

bool answer_parser_reasoning(const struct answer_parser *p);  /* is inside reasoning */
size_t answer_parser_failures(const struct answer_parser *p); /* broken or cut calls */
bool answer_parser_no_memory(const struct answer_parser *p);  /* sticky */

#endif

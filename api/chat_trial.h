/*
 * The instrument of the probes (chat_probe.h, chat_form.h): a small conversation is
 * rendered by trial traits, and one looks for its words in the text. The words are none
 * that a template would contain. One owner.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_TRIAL_H
#define API_CHAT_TRIAL_H

#include "api/chat_variables.h"
#include "api/template/template.h"

/* The words of a call and of a tool. */
#define CHAT_TRIAL_CALL  "zqcall"
#define CHAT_TRIAL_KEY   "zqkey"
#define CHAT_TRIAL_VALUE "zqvalue"
#define CHAT_TRIAL_TOOL  "zqtool"

/* The texts of messages. */
enum chat_word { WORD_ONE, WORD_TWO, WORD_THREE, WORD_FOUR, WORD_FIVE, WORD_SIX, WORD_N };
extern const struct chat_text chat_trial_words[WORD_N];

/* One call of CHAT_TRIAL_CALL. */
extern const struct chat_call chat_trial_calls[1];

struct chat_talk {
    struct chat_message messages[5];
    size_t n;
    bool with_tools;
};

#define TALK_SAYS(r, word)                                                               \
    {                                                                                    \
        .role = (r), .parts = &chat_trial_words[word], .n_parts = 1                      \
    }
#define TALK_CALLS                                                                       \
    {                                                                                    \
        .role = CHAT_ASSISTANT, .calls = chat_trial_calls, .n_calls = 1                  \
    }
#define TALK_ANSWERS(word)                                                               \
    {                                                                                    \
        .role = CHAT_TOOL, .parts = &chat_trial_words[word], .n_parts = 1,               \
        .tool_call_id = {                                                                \
            "zqid12345",                                                                 \
            9                                                                            \
        }                                                                                \
    }

/* A template under trial. */
struct chat_trial {
    const struct template *t;
    const struct chat_tokens *tokens;
    struct arena arena; /* owns the last text */
    bool no_memory;     /* sticky */
};

/* The text of a conversation without generation prompt; empty when the template fails.
 * It stays until the next one. What fails without tools is tried with a tool. */
struct template_text chat_trial_render(struct chat_trial *p, const struct chat_talk *talk,
                                       const struct chat_traits *traits);

bool chat_trial_shows(const struct template_text *t, enum chat_word word);

/* And not in quotes, as a list that is printed instead of walked has its texts. */
bool chat_trial_shows_bare(const struct template_text *t, enum chat_word word);

/* The last place of a text; NULL: it is not there. The byte before it; NUL: none. */
const char *chat_trial_last(const struct template_text *t, const char *text);
char chat_trial_before(const struct template_text *t, const char *text);

#endif

/* Each probe is a conversation, the traits to try it with, and what to look for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_probe.h"

#include "api/chat_form.h"
#include "api/chat_trial.h"

#include <string.h>

/* ---- conversations ------------------------------------------------------------ */

static const struct chat_talk user = {{TALK_SAYS(CHAT_USER, WORD_ONE)}, 1, false};
static const struct chat_talk system_user = {
    {TALK_SAYS(CHAT_SYSTEM, WORD_ONE), TALK_SAYS(CHAT_USER, WORD_TWO)}, 2, false};
static const struct chat_talk turns = {{TALK_SAYS(CHAT_USER, WORD_ONE),
                                        TALK_SAYS(CHAT_ASSISTANT, WORD_TWO),
                                        TALK_SAYS(CHAT_USER, WORD_THREE)},
                                       3,
                                       false};
static const struct chat_talk answered = {
    {TALK_SAYS(CHAT_USER, WORD_ONE), TALK_SAYS(CHAT_ASSISTANT, WORD_TWO)}, 2, false};
static const struct chat_talk late = {
    {TALK_SAYS(CHAT_USER, WORD_ONE), TALK_SAYS(CHAT_ASSISTANT, WORD_TWO),
     TALK_SAYS(CHAT_SYSTEM, WORD_THREE), TALK_SAYS(CHAT_USER, WORD_FOUR)},
    4,
    false};
static const struct chat_talk late_again = {
    {TALK_SAYS(CHAT_SYSTEM, WORD_ONE), TALK_SAYS(CHAT_USER, WORD_TWO),
     TALK_SAYS(CHAT_ASSISTANT, WORD_TWO), TALK_SAYS(CHAT_SYSTEM, WORD_THREE),
     TALK_SAYS(CHAT_USER, WORD_FOUR)},
    5,
    false};
static const struct chat_talk developer = {
    {TALK_SAYS(CHAT_DEVELOPER, WORD_ONE), TALK_SAYS(CHAT_USER, WORD_TWO)}, 2, false};
static const struct chat_talk system_developer = {{TALK_SAYS(CHAT_SYSTEM, WORD_ONE),
                                                   TALK_SAYS(CHAT_DEVELOPER, WORD_THREE),
                                                   TALK_SAYS(CHAT_USER, WORD_FOUR)},
                                                  3,
                                                  false};
static const struct chat_talk late_developer = {
    {TALK_SAYS(CHAT_USER, WORD_ONE), TALK_SAYS(CHAT_ASSISTANT, WORD_TWO),
     TALK_SAYS(CHAT_DEVELOPER, WORD_THREE), TALK_SAYS(CHAT_USER, WORD_FOUR)},
    4,
    false};
static const struct chat_talk called = {
    {TALK_SAYS(CHAT_USER, WORD_ONE), TALK_CALLS, TALK_ANSWERS(WORD_TWO)}, 3, false};
static const struct chat_talk reasoned = {{TALK_SAYS(CHAT_USER, WORD_ONE),
                                           {.role = CHAT_ASSISTANT,
                                            .parts = &chat_trial_words[WORD_TWO],
                                            .n_parts = 1,
                                            .reasoning = {"zqthree", 7}}},
                                          2,
                                          false};
static const struct chat_talk reasoned_called = {{TALK_SAYS(CHAT_USER, WORD_ONE),
                                                  {.role = CHAT_ASSISTANT,
                                                   .calls = chat_trial_calls,
                                                   .n_calls = 1,
                                                   .reasoning = {"zqthree", 7}},
                                                  TALK_ANSWERS(WORD_TWO)},
                                                 3,
                                                 false};

/* ---- content ------------------------------------------------------------------ */

/* Whether a message shows both texts of a list. */
static void probe_parts(struct chat_trial *p, struct chat_traits *traits,
                        enum chat_role role, const struct chat_talk *talk, size_t at)
{
    struct chat_traits trial = *traits;
    struct chat_talk many = *talk;
    many.messages[at].parts = &chat_trial_words[WORD_FIVE];
    many.messages[at].n_parts = 2;
    many.messages[at].is_list = true;
    trial.parts[role] = true;
    struct template_text t = chat_trial_render(p, &many, &trial);
    traits->parts[role] =
        chat_trial_shows_bare(&t, WORD_FIVE) && chat_trial_shows_bare(&t, WORD_SIX);
}

/* Whether a message shows no text, but the one of a list. */
static void probe_one_part(struct chat_trial *p, struct chat_traits *traits,
                           enum chat_role role, const struct chat_talk *talk, size_t at)
{
    struct chat_traits trial = *traits;
    enum chat_word word = (int)(talk->messages[at].parts - chat_trial_words);
    struct template_text t = chat_trial_render(p, talk, &trial);
    if (chat_trial_shows(&t, word))
        return;
    trial.one_part[role] = true;
    t = chat_trial_render(p, talk, &trial);
    traits->one_part[role] = chat_trial_shows_bare(&t, word);
}

/* Whether the third word is shown in both, and the first of the second. */
static bool shows_late(struct chat_trial *p, const struct chat_traits *trial,
                       const struct chat_talk *first, const struct chat_talk *second)
{
    struct template_text t = chat_trial_render(p, first, trial);
    bool shown = chat_trial_shows(&t, WORD_THREE);
    t = chat_trial_render(p, second, trial);
    return shown && chat_trial_shows(&t, WORD_ONE) && chat_trial_shows(&t, WORD_THREE);
}

static void probe_late_system(struct chat_trial *p, struct chat_traits *traits)
{
    struct chat_traits trial = *traits;
    trial.late_system = true;
    traits->late_system = shows_late(p, &trial, &late, &late_again);
}

/* Some have the word, but only look for it in the first message. */
static void probe_developer(struct chat_trial *p, struct chat_traits *traits)
{
    struct chat_traits trial = *traits;
    if (!template_mentions(p->t, "developer"))
        return;
    trial.developer = trial.late_developer = true;
    struct template_text t = chat_trial_render(p, &developer, &trial);
    traits->developer = chat_trial_shows(&t, WORD_ONE);
    traits->late_developer =
        traits->developer && shows_late(p, &trial, &late_developer, &system_developer);
}

/* ---- the rest ----------------------------------------------------------------- */

/* Takes a token off the end of a text, if it is there. */
static bool cut_token(char *text, const struct chat_text *token)
{
    size_t n = strlen(text);
    if (!token->text || token->len == 0 || n < token->len ||
        memcmp(text + n - token->len, token->text, token->len) != 0)
        return false;
    text[n - token->len] = '\0';
    return true;
}

/* What stands behind an answer that is the last message, if it also does behind others,
 * from its first byte that is no blank. Some put eos_token behind all. */
static void probe_end(struct chat_trial *p, struct chat_traits *traits)
{
    static const char blanks[] = " \t\r\n";
    char last[CHAT_END_BYTES];
    struct template_text t = chat_trial_render(p, &answered, traits);
    const char *at = chat_trial_last(&t, chat_trial_words[WORD_TWO].text);
    if (!at || strlen(at + chat_trial_words[WORD_TWO].len) >= sizeof last)
        return;
    strcpy(last, at + chat_trial_words[WORD_TWO].len);
    t = chat_trial_render(p, &turns, traits);
    at = chat_trial_last(&t, chat_trial_words[WORD_TWO].text);
    at = at ? at + chat_trial_words[WORD_TWO].len : "";
    bool same =
        strncmp(at, last, strlen(last)) == 0 ||
        (cut_token(last, &p->tokens->eos) && strncmp(at, last, strlen(last)) == 0);
    size_t skip = strspn(last, blanks), n = strlen(last);
    if (!same || skip == n)
        return;
    memcpy(traits->end, last + skip, n - skip);
    traits->end_len = n - skip;
}

/* The member whose text is shown, beside content or beside a call. */
static void probe_reasoning(struct chat_trial *p, struct chat_traits *traits)
{
    static const char *const names[] = {"reasoning_content", "reasoning", "thinking"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct chat_traits trial = *traits;
        trial.reasoning = names[i];
        if (!template_mentions(p->t, names[i]))
            continue;
        struct template_text t = chat_trial_render(p, &reasoned, &trial);
        if (!chat_trial_shows(&t, WORD_THREE))
            t = chat_trial_render(p, &reasoned_called, &trial);
        if (chat_trial_shows(&t, WORD_THREE)) {
            traits->reasoning = names[i];
            return;
        }
    }
}

static void run(struct chat_trial *p, struct chat_traits *traits)
{
    probe_one_part(p, traits, CHAT_USER, &user, 0);
    probe_one_part(p, traits, CHAT_SYSTEM, &system_user, 0);
    probe_one_part(p, traits, CHAT_ASSISTANT, &turns, 1);
    probe_parts(p, traits, CHAT_USER, &user, 0);
    probe_parts(p, traits, CHAT_ASSISTANT, &turns, 1);
    chat_form_arguments(p, traits);
    probe_one_part(p, traits, CHAT_TOOL, &called, 2);
    probe_late_system(p, traits);
    probe_developer(p, traits);
    probe_reasoning(p, traits);
    chat_form_find(p, traits);
    probe_end(p, traits);
}

int chat_probe_run(struct chat_traits *out, const struct template *t,
                   const struct chat_tokens *tokens, struct err *err)
{
    struct chat_trial p = {.t = t, .tokens = tokens};
    *out = (struct chat_traits){.objects = true, .reasoning = "reasoning_content"};
    arena_init(&p.arena);
    run(&p, out);
    arena_free(&p.arena);
    return p.no_memory ? err_set(err, ERR_MEMORY, "out of memory for a chat template")
                       : 0;
}

/* One walk over the tokens' bytes, character by character. */
#include "engine/tokenizer/match.h"

#include "engine/base/utf8.h"

#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD"

struct walk {
    const char *text;
    size_t len, at;
    char tail[4]; /* beginning of a character */
    size_t tail_len;
};

/* Goes on behind s, or stops at the first byte that differs. */
static bool take(struct walk *w, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++, w->at++)
        if (w->at == w->len || w->text[w->at] != s[i])
            return false;
    return true;
}

static bool put_byte(struct walk *w, char byte)
{
    uint32_t c;
    w->tail[w->tail_len++] = byte;
    int n = utf8_decode(w->tail, w->tail_len, &c);
    if (n == 0)
        return true;
    size_t len = w->tail_len;
    w->tail_len = 0;
    if (n > 0)
        return take(w, w->tail, len);
    if (!take(w, REPLACEMENT, 3))
        return false;
    return len == 1 || put_byte(w, byte); /* it broke the tail and begins anew */
}

/* As it is written, where it is. */
static void put_special(struct walk *w, const char *s, size_t n)
{
    if (w->tail_len == 0 && n <= w->len - w->at && memcmp(w->text + w->at, s, n) == 0)
        w->at += n;
}

bool match_text(const struct vocab *v, const int32_t *ids, size_t n, const char *text,
                size_t len, size_t *at)
{
    struct walk w = {.text = text, .len = len};
    size_t spaces = v->pipe.strip_spaces;
    bool same = true;
    for (size_t i = 0; same && i < n; i++) {
        size_t n_bytes = 0;
        const char *s = vocab_token_bytes(v, ids[i], &n_bytes);
        if (!s)
            continue;
        if (vocab_special(v, ids[i])) {
            put_special(&w, s, n_bytes);
            continue;
        }
        for (; spaces > 0 && n_bytes > 0 && s[0] == ' '; spaces--, n_bytes--)
            s++;
        spaces = n_bytes > 0 ? 0 : spaces;
        for (size_t b = 0; same && b < n_bytes; b++)
            same = put_byte(&w, s[b]);
    }
    if (same && w.tail_len)
        same = take(&w, REPLACEMENT, 3);
    *at = w.at;
    return same;
}

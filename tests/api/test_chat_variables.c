/* Conversations as a template's variables: what each trait does to them, and the marks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_request.h"
#include "api/chat_variables.h"
#include "engine/base/buf.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct api_limits limits = {
    .context_tokens = 64, .max_choices = 9, .max_answer_tokens = 99};

/* What most templates take. */
static const struct chat_traits usual = {
    .late_system = true, .objects = true, .reasoning = "reasoning_content"};

static void put(struct buf *b, struct jinja_value v);

static void put_list(struct buf *b, const struct jinja_list *list)
{
    buf_putc(b, '[');
    for (size_t i = 0; i < jinja_list_len(list); i++) {
        if (i)
            buf_putc(b, ' ');
        put(b, jinja_list_at(list, i));
    }
    buf_putc(b, ']');
}

static void put_dict(struct buf *b, const struct jinja_dict *dict)
{
    buf_putc(b, '{');
    for (size_t i = 0; i < jinja_dict_len(dict); i++) {
        const struct jinja_entry *e = jinja_dict_at(dict, i);
        if (i)
            buf_putc(b, ' ');
        buf_put(b, e->key.string->text, e->key.string->len);
        buf_putc(b, '=');
        put(b, e->value);
    }
    buf_putc(b, '}');
}

/* A string with its marks: 'text'0 or, by bytes, 'ab'12; an assistant's have an A. */
static void put_string(struct buf *b, const struct jinja_string *s)
{
    buf_printf(b, "'%.*s'", (int)s->len, s->text);
    uint16_t last = 0;
    for (size_t i = 0; i < s->len; i++) {
        uint16_t mark = s->marks ? s->marks[i] : s->mark;
        if (mark && mark != last)
            buf_printf(b, "%s%d", mark & JINJA_MARK_ASSISTANT ? "A" : "",
                       mark & JINJA_MARK_OTHER);
        last = mark;
    }
}

static void put(struct buf *b, struct jinja_value v)
{
    switch (v.kind) {
    case JINJA_LIST:
        put_list(b, v.list);
        break;
    case JINJA_DICT:
        put_dict(b, v.dict);
        break;
    case JINJA_STRING:
        put_string(b, v.string);
        break;
    case JINJA_INT:
        buf_printf(b, "%d", (int)v.integer);
        break;
    case JINJA_BOOL:
        buf_puts(b, v.truth ? "true" : "false");
        break;
    default:
        buf_puts(b, v.kind == JINJA_NONE ? "none" : "?");
    }
}

/* The variables of a body, written out; `name` alone unless it is NULL. */
static void written(const char *body, const struct chat_traits *traits, const char *name,
                    struct buf *out)
{
    struct chat_request r;
    struct err err = {0};
    struct arena arena;
    struct jinja_value v;
    static const struct chat_tokens tokens = {.bos = {"<s>", 3}};
    if (chat_request_parse(&r, &limits, body, strlen(body), &err) != 0)
        fail_msg("%s: %s", body, err.text);
    arena_init(&arena);
    assert_int_equal(chat_variables_make(&arena, &r.chat, traits, &tokens, &v, &err), 0);
    put(out, name ? jinja_dict_get(v.dict, name, strlen(name)) : v);
    arena_free(&arena);
    chat_request_free(&r);
}

/* A body of these messages, its single quotes double ones. */
static void expect(const char *messages, const struct chat_traits *traits,
                   const char *expected)
{
    char body[2000];
    struct buf b = {0};
    snprintf(body, sizeof body, "{'messages':[%s]}", messages);
    for (char *s = body; *s; s++)
        *s = *s == '\'' ? '"' : *s;
    written(body, traits, "messages", &b);
    if (strcmp(b.data, expected) != 0)
        fail_msg("%s\ngave     %s\nexpected %s", messages, b.data, expected);
    buf_free(&b);
}

static void all_variables_are_there(void **state)
{
    (void)state;
    struct buf b = {0};
    written("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
            "\"chat_template_kwargs\":{\"a\":1},\"tools\":[{\"function\":{\"name\":"
            "\"f\"}}]}",
            &usual, NULL, &b);
    assert_string_equal(b.data, "{a=1 messages=[{role='user' content='x'1}] "
                                "tools=[{function={name='f'32767}}] documents=none "
                                "bos_token='<s>'}");
    buf_free(&b);
    written("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tool_choice\":"
            "\"none\",\"tools\":[{\"function\":{\"name\":\"f\"}}]}",
            &usual, "tools", &b);
    assert_string_equal(b.data, "none");
    buf_free(&b);
}

#define PARTS "'content':[{'type':'text','text':'a'},{'type':'text','text':'b'}]"
#define ONE   "'content':[{'type':'text','text':'a'}]"

static void content_takes_the_form_of_the_template(void **state)
{
    (void)state;
    struct chat_traits parts = usual, only = usual;
    parts.parts[CHAT_USER] = parts.parts[CHAT_ASSISTANT] = parts.parts[CHAT_SYSTEM] =
        true;
    only.one_part[CHAT_USER] = true;
    expect("{'role':'user'}", &usual, "[{role='user' content=''}]");
    expect("{'role':'assistant','content':null}", &usual,
           "[{role='assistant' content=''}]");
    expect("{'role':'user'," PARTS "}", &usual, "[{role='user' content='a\nb'1}]");
    expect("{'role':'user'," PARTS "}", &parts,
           "[{role='user' content=[{type='text' text='a'1} {type='text' text='b'1}]}]");
    expect("{'role':'assistant'," ONE "}", &parts,
           "[{role='assistant' content=[{type='text' text='a'A1}]}]");
    expect("{'role':'user','content':'a'}", &parts, "[{role='user' content='a'1}]");
    expect("{'role':'system'," PARTS "}", &parts, "[{role='system' content='a\nb'1}]");
    expect("{'role':'user'," PARTS "}", &only,
           "[{role='user' content=[{type='text' text='a\nb'1}]}]");
    expect("{'role':'user','content':'a'}", &only,
           "[{role='user' content=[{type='text' text='a'1}]}]");
}

#define S(text) "{'role':'system','content':'" text "'}"
#define D(text) "{'role':'developer','content':'" text "'}"
#define U(text) "{'role':'user','content':'" text "'}"

static void leading_system_messages_are_one(void **state)
{
    (void)state;
    struct chat_traits dev = usual, first = usual, early = usual;
    first.developer = true;
    dev.developer = dev.late_developer = true;
    early.late_system = false;
    expect(S("a") "," S("") "," D("b") "," U("c"), &usual,
           "[{role='system' content='a\n\nb'13} {role='user' content='c'4}]");
    expect(S("") "," S(""), &usual, "[{role='system' content=''}]");
    expect(S("a") "," D("b"), &dev,
           "[{role='system' content='a'1} {role='developer' content='b'2}]");
    expect(S("a") "," D("b"), &first, "[{role='system' content='a\n\nb'12}]");
    expect(D("a") "," U("b"), &first,
           "[{role='developer' content='a'1} {role='user' content='b'2}]");
    expect(U("a") "," S("b") "," D("c"), &usual,
           "[{role='user' content='a'1} {role='system' content='b'2} "
           "{role='system' content='c'3}]");
    expect(U("a") "," S("b") "," D("c"), &early,
           "[{role='user' content='a'1} {role='user' content='b'2} "
           "{role='user' content='c'3}]");
}

#define CALL(arguments)                                                                  \
    "{'role':'assistant','tool_calls':[{'id':'i','function':{'name':'f',"                \
    "'arguments':" arguments "}}]}"
#define CALLED(arguments)                                                                \
    "[{role='assistant' content='' tool_calls=[{id='i'A1 type='function' "               \
    "function={name='f'A1 arguments=" arguments "}}]}]"

static void arguments_are_an_object_or_a_text(void **state)
{
    (void)state;
    struct chat_traits text = usual;
    text.objects = false;
    expect(CALL("{'b':1,'a':['x']}"), &usual, CALLED("{b=1 a=['x'A1]}"));
    expect(CALL("'{}'"), &usual, CALLED("{}"));
    expect(CALL("' '"), &usual, CALLED("{}"));
    expect(CALL("'{1'"), &usual, CALLED("'{1'A1"));
    expect(CALL("'[1]'"), &usual, CALLED("'[1]'A1"));
    expect(CALL("'{}'"), &text, CALLED("'{}'A1"));
    expect(CALL("''"), &text, CALLED("'{}'A1"));
}

static void a_result_has_the_name_of_its_call(void **state)
{
    (void)state;
    expect(CALL("'{}'") ",{'role':'tool','tool_call_id':'i','content':'r'},"
                        "{'role':'tool','tool_call_id':'i','name':'n'}",
           &usual,
           "[{role='assistant' content='' tool_calls=[{id='i'A1 type='function' "
           "function={name='f'A1 arguments={}}}]} "
           "{role='tool' content='r'2 tool_call_id='i'2 name='f'2} "
           "{role='tool' content='' tool_call_id='i'3 name='n'3}]");
}

static void reasoning_has_the_templates_name(void **state)
{
    (void)state;
    struct chat_traits thinking = usual;
    thinking.reasoning = "thinking";
    expect("{'role':'assistant','content':'a','reasoning':'r'}", &usual,
           "[{role='assistant' content='a'A1 reasoning_content='r'A1}]");
    expect("{'role':'assistant','content':'a','reasoning_content':'r'}", &thinking,
           "[{role='assistant' content='a'A1 thinking='r'A1}]");
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    static const char body[] =
        "{\"messages\":[{\"role\":\"system\",\"content\":\"a\"},{\"role\":\"system\","
        "\"content\":\"b\"},{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"i\","
        "\"function\":{\"name\":\"f\",\"arguments\":{\"a\":[1]}}}]}]}";
    struct chat_request r;
    struct err err;
    static const struct chat_tokens tokens = {0};
    assert_int_equal(chat_request_parse(&r, &limits, body, sizeof body - 1, &err), 0);
    for (long k = 1;; k++) {
        struct arena arena;
        struct jinja_value v;
        arena_init(&arena);
        mem_fail_after(k);
        int rc = chat_variables_make(&arena, &r.chat, &usual, &tokens, &v, &err);
        mem_fail_after(0);
        arena_free(&arena);
        if (rc == 0)
            break;
        assert_int_equal(rc, -ERR_MEMORY);
        assert_true(k < 100);
    }
    chat_request_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_variables_are_there),
        cmocka_unit_test(content_takes_the_form_of_the_template),
        cmocka_unit_test(leading_system_messages_are_one),
        cmocka_unit_test(arguments_are_an_object_or_a_text),
        cmocka_unit_test(a_result_has_the_name_of_its_call),
        cmocka_unit_test(reasoning_has_the_templates_name),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

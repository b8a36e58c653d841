/* Bodies through templates: texts, marks, turns, refusals, and the built-in template.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_request.h"
#include "api/chat_template.h"
#include "engine/base/buf.h"
#include "engine/base/mem.h"
#include "tests/lib/chat_templates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct api_limits limits = {
    .context_tokens = 64, .max_choices = 9, .max_answer_tokens = 99};

/* A request and its prompt; the text is in double quotes where the test has single ones. */
struct rendered {
    struct chat_request req;
    struct chat_prompt prompt;
    struct err err;
    int rc;
};

static struct rendered render(const struct chat_template *t, const char *fields)
{
    struct rendered r = {.rc = 0};
    struct buf body = {0};
    buf_printf(&body, "{%s}", fields);
    for (char *s = body.data; *s; s++)
        *s = *s == '\'' ? '"' : *s;
    if (chat_request_parse(&r.req, &limits, body.data, body.len, &r.err) != 0)
        fail_msg("%s: %s", body.data, r.err.text);
    buf_free(&body);
    r.rc = chat_template_render(t, &r.req.chat, 0, &r.req.arena, &r.prompt, &r.err);
    return r;
}

static void expect_text(const struct chat_template *t, const char *fields,
                        const char *expected)
{
    struct rendered r = render(t, fields);
    if (r.rc)
        fail_msg("%s: %s", fields, r.err.text);
    if (strcmp(r.prompt.text, expected) != 0)
        fail_msg("%s\ngave     %s\nexpected %s", fields, r.prompt.text, expected);
    assert_int_equal(r.prompt.len, strlen(expected));
    chat_request_free(&r.req);
}

static struct chat_template *opened(const char *name)
{
    return chat_templates_open(chat_templates_find(name));
}

static struct chat_template *chatml(void)
{
    struct chat_template *t;
    struct err err = {0};
    struct chat_template_options o = {.source = chat_template_chatml,
                                      .tool_format = TOOL_FORMAT_N};
    if (chat_template_open(&t, &o, &err) != 0)
        fail_msg("%s", err.text);
    return t;
}

#define S(text) "{'role':'system','content':'" text "'}"
#define U(text) "{'role':'user','content':'" text "'}"
#define A(text) "{'role':'assistant','content':'" text "'}"
#define CALLS                                                                            \
    "{'role':'assistant','tool_calls':["                                                 \
    "{'id':'c12345678','function':{'name':'f','arguments':{'b':1,'a':'x'}}},"            \
    "{'id':'d12345678','function':{'name':'g','arguments':''}}]}"
#define RESULT  "{'role':'tool','tool_call_id':'c12345678','content':'r'}"
#define TOOLS   "'tools':[{'type':'function','function':{'name':'f'}}]"
#define M(list) "'messages':[" list "]"

static void the_built_in_template_is_chatml(void **state)
{
    (void)state;
    struct chat_template *t = chatml();
    assert_int_equal(chat_template_tools(t), TOOL_FORMAT_HERMES);
    assert_int_equal(chat_template_end(t).len, 11);
    const struct chat_traits *traits = chat_template_traits(t, true);
    assert_true(traits->objects && traits->tools && traits->calls && traits->late_system);
    expect_text(t, M(U("hi")), "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
    expect_text(t, M(S("be") "," U("hi") "," A("yo") "," S("so")),
                "<|im_start|>system\nbe<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
                "<|im_start|>assistant\nyo<|im_end|>\n<|im_start|>system\nso<|im_end|>\n"
                "<|im_start|>assistant\n");
    expect_text(t, M(U("hi")) ",'add_generation_prompt':false",
                "<|im_start|>user\nhi<|im_end|>\n");
    expect_text(
        t, M(S("be") "," U("hi") "," CALLS "," RESULT) "," TOOLS,
        "<|im_start|>system\nbe\n\nThese functions can be called; each line within "
        "<tools></tools> is one:\n<tools>\n{\"type\": \"function\", \"function\": "
        "{\"name\": \"f\"}}\n</tools>\nTo call one, write its name and arguments as a JSON "
        "object:\n<tool_call>\n{\"name\": \"a name\", \"arguments\": {}}\n</tool_call>"
        "<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<tool_call>\n"
        "{\"name\": \"f\", \"arguments\": {\"b\": 1, \"a\": \"x\"}}\n</tool_call>\n"
        "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call><|im_end|>\n"
        "<|im_start|>tool\n<tool_response>\nr\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n");
    chat_template_free(t);
}

static void a_conversation_takes_the_form_of_the_template(void **state)
{
    (void)state;
    static const struct {
        const char *name, *fields, *text;
    } cases[] = {
        {"llama3", M(S("a") "," U("b") "," S("c")),
         "<s><|start_header_id|>system<|end_header_id|>\n\na<|eot_id|>"
         "<|start_header_id|>user<|end_header_id|>\n\nb<|eot_id|>"
         "<|start_header_id|>user<|end_header_id|>\n\nc<|eot_id|>"
         "<|start_header_id|>assistant<|end_header_id|>\n\n"},
        {"only_parts", M(S("a") "," S("b") "," U("c")),
         "<|im_start|>system\na\n\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n"
         "<|im_start|>assistant\n"},
        {"text_arguments", M(U("a") "," CALLS "," RESULT),
         "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n<tool_call>\n{\"name\": "
         "\"f\", \"arguments\": {\"b\":1,\"a\":\"x\"}}\n</tool_call><tool_call>\n{\"name\": "
         "\"g\", \"arguments\": {}}\n</tool_call><|im_end|>\n<|im_start|>tool\nr<|im_end|>\n"
         "<|im_start|>assistant\n"},
        {"mistral", M(U("a") "," CALLS "," RESULT) "," TOOLS,
         "<s>[INST]a[/INST][TOOL_CALLS]f[ARGS]{\"b\": 1, \"a\": \"x\"}g[ARGS]{}</s>"
         "[TOOL_RESULTS]r[/TOOL_RESULTS]"},
        {"lfm2", M(U("a") "," CALLS "," RESULT),
         "<s><|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n"
         "<|tool_call_start|>[f(b=1, a=\"x\"), g()]<|tool_call_end|><|im_end|>\n"
         "<|im_start|>tool\nr<|im_end|>\n<|im_start|>assistant\n"},
        {"granite3", M(S("s") "," CALLS),
         "<|start_of_role|>system<|end_of_role|>s<|end_of_text|>\n"
         "<|start_of_role|>assistant<|end_of_role|><|tool_call|>[{\"name\": \"f\", "
         "\"arguments\": {\"b\":1,\"a\":\"x\"}}, {\"name\": \"g\", \"arguments\": {}}]"
         "<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>"},
        {"first_developer", M(S("a") ",{'role':'developer','content':'b'}," U("c")),
         "<|start|>developer<|message|>a\n\nb<|end|><|start|>user<|message|>c<|end|>"
         "<|start|>assistant"},
        {"thinks", M(U("a") ",{'role':'assistant','content':'b','reasoning':'c'}"),
         "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n<think>\nc\n</think>\nb"
         "<|im_end|>\n<|im_start|>assistant\n<think>\n"},
        {"plain", M(U("a")) "," TOOLS,
         "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct chat_template *t = opened(cases[i].name);
        expect_text(t, cases[i].fields, cases[i].text);
        chat_template_free(t);
    }
}

/* The kind of byte i's range: '.' none, 'x' marked, 'a' marked of an assistant. */
static char kind_at(const struct chat_prompt *p, size_t i)
{
    for (size_t k = 0; k < p->n_marks; k++)
        if (i >= p->marks[k].begin && i < p->marks[k].end)
            return p->marks[k].added ? 'a' : 'x';
    return '.';
}

/* Clients write Greek (users) and Cyrillic (assistants), which no template does. */
static void marks_cover_exactly_the_content(void **state)
{
    (void)state;
    for (size_t k = 0; k < n_chat_template_cases; k++) {
        const struct chat_template_case *c = &chat_template_cases[k];
        struct chat_template *t = chat_templates_open(c);
        struct rendered r = render(
            t,
            M(U("\u03b1\u03b2") "," A(
                "\u0434\u0436") ","
                                "{'role':'user','content':[{'type':'text','text':"
                                "'\u03b3'},{'type':'text','text':'\u03b4'}]}") "," TOOLS);
        if (r.rc)
            fail_msg("%s: %s", c->name, r.err.text);
        size_t greek = 0, cyrillic = 0;
        for (size_t i = 0; i < r.prompt.len; i++) {
            unsigned char b = (unsigned char)r.prompt.text[i];
            bool second = i > 0 && b >= 0x80 && b < 0xC0;
            unsigned char lead = second ? (unsigned char)r.prompt.text[i - 1] : b;
            char wanted = lead == 0xCE ? 'x' : lead == 0xD0 ? 'a' : '.';
            char found = kind_at(&r.prompt, i);
            /* What joins the parts, and the name of the tool, are clients' too. */
            if (found != wanted && !(found == 'x' && b < 0x80 && strchr("\nf", b)) &&
                !(found == 'x' && b < 0x80 && chat_template_traits(t, true)->tools))
                fail_msg("%s: byte %zu of %s", c->name, i, r.prompt.text);
            greek += lead == 0xCE;
            cyrillic += lead == 0xD0;
        }
        assert_int_equal(greek, 8);
        assert_int_equal(cyrillic, 4);
        chat_request_free(&r.req);
        chat_template_free(t);
    }
}

static void spellings_of_special_tokens_are_marked(void **state)
{
    (void)state;
    struct chat_template *t = chatml();
    struct rendered r = render(t, M(U("<|im_end|>") "," A("<think>")));
    assert_int_equal(r.prompt.n_marks, 2);
    assert_memory_equal(r.prompt.text + r.prompt.marks[0].begin, "<|im_end|>", 10);
    assert_int_equal(r.prompt.marks[0].end - r.prompt.marks[0].begin, 10);
    assert_false(r.prompt.marks[0].added);
    assert_true(r.prompt.marks[1].added);
    chat_request_free(&r.req);
    chat_template_free(t);
}

static void turns_begin_where_messages_do(void **state)
{
    (void)state;
    struct chat_template *t = opened("plain");
    struct rendered r = render(
        t, M(S("sss") ",{'role':'user','content':'uuu','cache_control':{}}," A("aaa")));
    const char *text = r.prompt.text;
    size_t expected[] = {
        (size_t)(strstr(text, "sss") - text), (size_t)(strstr(text, "uuu") - text),
        (size_t)(strstr(text, "uuu") - text) + 3, (size_t)(strstr(text, "aaa") - text),
        r.prompt.len - strlen("<|im_start|>assistant\n")};
    assert_int_equal(r.prompt.n_turns, 5);
    assert_memory_equal(r.prompt.turns, expected, sizeof expected);
    chat_request_free(&r.req);
    chat_template_free(t);
}

/* The last turn of a prompt is where the next one still has the same bytes. */
static void the_next_prompt_begins_with_the_last_turn(void **state)
{
    (void)state;
    for (size_t k = 0; k < n_chat_template_cases; k++) {
        struct chat_template *t = chat_templates_open(&chat_template_cases[k]);
        struct rendered one = render(t, M(U("uno")) "," TOOLS);
        struct rendered two = render(t, M(U("uno") "," A("due") "," U("tre")) "," TOOLS);
        size_t shared = one.prompt.turns[one.prompt.n_turns - 1];
        assert_true(shared <= one.prompt.len);
        /* Mistral's has its tools before the last message. */
        if (strcmp(chat_template_cases[k].name, "mistral") != 0)
            assert_memory_equal(one.prompt.text, two.prompt.text, shared);
        chat_request_free(&one.req);
        chat_request_free(&two.req);
        chat_template_free(t);
    }
}

static void a_prompt_may_end_inside_reasoning(void **state)
{
    (void)state;
    struct chat_template *t = opened("thinks");
    static const struct {
        const char *fields;
        bool inside;
    } cases[] = {
        {M(U("a")), true},
        {M(U("a")) ",'reasoning_effort':'none'", false},
        {M(U("a")) ",'chat_template_kwargs':{'enable_thinking':false}", false},
        {M(U("a")) ",'add_generation_prompt':false", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rendered r = render(t, cases[i].fields);
        assert_int_equal(r.rc, 0);
        assert_int_equal(r.prompt.in_reasoning, cases[i].inside);
        chat_request_free(&r.req);
    }
    chat_template_free(t);
}

static void what_the_template_refuses_is_of_messages(void **state)
{
    (void)state;
    struct chat_template *t = opened("gemma");
    struct rendered r = render(t, M(S("a") "," U("b")));
    assert_int_equal(r.rc, -ERR_ARGUMENT);
    assert_string_equal(r.err.param, "messages");
    assert_string_equal(r.err.text, "No system role here");
    chat_request_free(&r.req);
    chat_template_free(t);
}

static void what_the_template_fails_on_is_said(void **state)
{
    (void)state;
    struct chat_template *t = opened("needs_tools");
    struct rendered r = render(t, M(U("b")));
    assert_int_equal(r.rc, -ERR_TEMPLATE);
    assert_non_null(strstr(r.err.text, "the chat template: line 1"));
    chat_request_free(&r.req);
    chat_template_free(t);
}

static void a_template_of_its_own_serves_tools(void **state)
{
    (void)state;
    struct chat_template *t;
    struct err err;
    struct chat_template_options o = {.source = {"plain", 5},
                                      .tool_use = {"with tools", 10},
                                      .tool_format = TOOL_FORMAT_MISTRAL};
    assert_int_equal(chat_template_open(&t, &o, &err), 0);
    assert_int_equal(chat_template_tools(t), TOOL_FORMAT_MISTRAL);
    expect_text(t, M(U("a")), "plain");
    expect_text(t, M(U("a")) "," TOOLS, "with tools");
    expect_text(t, M(U("a")) ",'tool_choice':'none'," TOOLS, "plain");
    chat_template_free(t);
}

static void broken_sources_are_refused(void **state)
{
    (void)state;
    static const struct chat_template_options bad[] = {
        {.source = {NULL, 0}},
        {.source = {"{% if %}", 8}},
        {.source = {"fine", 4}, .tool_use = {"{{", 2}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct chat_template *t;
        struct err err = {0};
        assert_int_equal(chat_template_open(&t, &bad[i], &err), -ERR_TEMPLATE);
        assert_null(t);
    }
    chat_template_free(NULL);
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    static const char body[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}";
    struct chat_template *t = chatml();
    struct chat_request req;
    struct err err;
    for (long k = 1;; k++) {
        struct chat_prompt prompt;
        assert_int_equal(chat_request_parse(&req, &limits, body, sizeof body - 1, &err),
                         0);
        mem_fail_after(k);
        int rc = chat_template_render(t, &req.chat, 0, &req.arena, &prompt, &err);
        mem_fail_after(0);
        chat_request_free(&req);
        if (rc == 0)
            break;
        assert_int_equal(rc, -ERR_MEMORY);
        assert_true(k < 1000);
    }
    chat_template_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_built_in_template_is_chatml),
        cmocka_unit_test(a_conversation_takes_the_form_of_the_template),
        cmocka_unit_test(marks_cover_exactly_the_content),
        cmocka_unit_test(spellings_of_special_tokens_are_marked),
        cmocka_unit_test(turns_begin_where_messages_do),
        cmocka_unit_test(the_next_prompt_begins_with_the_last_turn),
        cmocka_unit_test(a_prompt_may_end_inside_reasoning),
        cmocka_unit_test(what_the_template_refuses_is_of_messages),
        cmocka_unit_test(what_the_template_fails_on_is_said),
        cmocka_unit_test(a_template_of_its_own_serves_tools),
        cmocka_unit_test(broken_sources_are_refused),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Addresses: text both ways, sockets, prefixes, and whom X-Forwarded-For names.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http/address.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const char *printed(const struct address *a)
{
    static char text[ADDRESS_TEXT];
    address_print(a, text);
    return text;
}

static void every_written_form_reads_back(void **state)
{
    (void)state;
    static const struct {
        const char *text, *printed; /* NULL: refused */
    } cases[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"192.0.2.1:8080", "192.0.2.1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"2001:db8::1", "2001:db8::1"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"[2001:db8::1]", "2001:db8::1"},
        {"[2001:db8::1]:443", "2001:db8::1"},
        {"[192.0.2.1]:443", "192.0.2.1"},
        {"fe80::1%eth0", "fe80::1"},
        {"[fe80::1%eth0]:80", "fe80::1"},
        {"::", "::"},
        {"", NULL},
        {"unknown", NULL},
        {"example.org", NULL},
        {"192.0.2", NULL},
        {"192.0.2.256", NULL},
        {"192.0.2.1:", NULL},
        {"192.0.2.1:123456", NULL},
        {"192.0.2.1:8x", NULL},
        {"192.0.2.1 ", NULL},
        {"[2001:db8::1", NULL},
        {"[2001:db8::1]x", NULL},
        {"[]", NULL},
        {"2001:db8::1::2", NULL},
        {"00000000000000000000000000000000000000000000000001", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address a = {{7}}, untouched = {{7}};
        bool good = address_parse(&a, cases[i].text, strlen(cases[i].text));
        assert_int_equal(good, cases[i].printed != NULL);
        if (good)
            assert_string_equal(printed(&a), cases[i].printed);
        else
            assert_true(address_same(&a, &untouched));
    }
}

/* Not the text before a NUL: the length counts. */
static void a_nul_is_no_end(void **state)
{
    (void)state;
    struct address a;
    assert_false(address_parse(&a, "192.0.2.1\0x", 11));
    assert_true(address_parse(&a, "192.0.2.12", 9));
    assert_string_equal(printed(&a), "192.0.2.1");
}

static void a_socket_knows_its_peer(void **state)
{
    (void)state;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof to;
    struct address a;
    int pair[2], listener = socket(AF_INET, SOCK_STREAM, 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&to, &len), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof to), 0);
    assert_true(address_of_peer(&a, client));
    assert_string_equal(printed(&a), "127.0.0.1");
    assert_false(address_of_peer(&a, listener));
    assert_string_equal(printed(&a), "::");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_false(address_of_peer(&a, pair[0]));
    int fds[] = {pair[0], pair[1], client, listener};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        close(fds[i]);
}

static void a_prefix_holds_what_shares_its_bits(void **state)
{
    (void)state;
    static const struct {
        const char *range, *in, *out;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", "11.0.0.1"},
        {"10.1.2.3/8", "10.0.0.0", "9.255.255.255"},
        {"192.0.2.128/25", "192.0.2.200", "192.0.2.127"},
        {"192.0.2.7", "192.0.2.7", "192.0.2.6"},
        {"192.0.2.7/32", "::ffff:192.0.2.7", "192.0.2.8"},
        {"0.0.0.0/0", "203.0.113.9", "2001:db8::1"},
        {"::/0", "203.0.113.9", NULL},
        {"fd00::/8", "fdff::1", "fe00::1"},
        {"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"},
        {"::1", "::1", "::2"},
        {"::ffff:10.0.0.0/104", "10.3.4.5", "11.3.4.5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address_range range;
        struct address_list list = {&range, 1};
        struct address a;
        assert_int_equal(address_range_parse(&range, cases[i].range, NULL), 0);
        assert_true(address_parse(&a, cases[i].in, strlen(cases[i].in)));
        assert_true(address_list_holds(&list, &a));
        if (!cases[i].out)
            continue;
        assert_true(address_parse(&a, cases[i].out, strlen(cases[i].out)));
        assert_false(address_list_holds(&list, &a));
    }
}

static void what_is_no_range_is_quoted(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",           "proxy",      "10.0.0.0/33", "10.0.0.0/",     "10.0.0.0/-1",
        "10.0.0/8",   "fd00::/129", "10.0.0.0/8x", "10.0.0.0/0008", "[fd00::1]/8",
        "10.0.0.1:80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct address_list list;
        const char *texts[] = {"::1", bad[i]};
        struct err err = {0};
        assert_int_equal(address_list_parse(&list, texts, 2, &err), -ERR_ARGUMENT);
        char quoted[80] = "\"";
        strcat(strcat(quoted, bad[i]), "\"");
        assert_non_null(strstr(err.text, quoted));
        address_list_free(&list);
    }
    struct address_list none;
    struct address a = {{0}};
    assert_int_equal(address_list_parse(&none, NULL, 0, NULL), 0);
    assert_false(address_list_holds(&none, &a));
    address_list_free(&none);
}

/* The field lines of one request, the last one first, as the head's reader walks them. */
static void the_client_is_the_nearest_address_that_is_not_trusted(void **state)
{
    (void)state;
    static const struct {
        const char *peer, *lines[3], *client;
    } cases[] = {
        {"203.0.113.9", {"198.51.100.1"}, "203.0.113.9"},
        {"10.0.0.1", {NULL}, "10.0.0.1"},
        {"10.0.0.1", {""}, "10.0.0.1"},
        {"10.0.0.1", {"198.51.100.1"}, "198.51.100.1"},
        {"10.0.0.1", {"6.6.6.6, 198.51.100.1"}, "198.51.100.1"},
        {"10.0.0.1", {"6.6.6.6,198.51.100.1 ,\t10.0.0.2"}, "198.51.100.1"},
        {"10.0.0.1", {"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
        {"10.0.0.1", {"198.51.100.1, unknown, 10.0.0.2"}, "10.0.0.2"},
        {"10.0.0.1", {"198.51.100.1, unknown"}, "10.0.0.1"},
        {"10.0.0.1", {",,198.51.100.1:4711, ,"}, "198.51.100.1"},
        {"10.0.0.1", {"10.0.0.2", "6.6.6.6, [2001:db8::1]:80"}, "2001:db8::1"},
        {"10.0.0.1", {"x", "198.51.100.1"}, "10.0.0.1"},
    };
    struct address_list trusted;
    const char *texts[] = {"10.0.0.0/8"};
    assert_int_equal(address_list_parse(&trusted, texts, 1, NULL), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address a;
        assert_true(address_parse(&a, cases[i].peer, strlen(cases[i].peer)));
        for (const char *const *line = cases[i].lines; *line; line++)
            if (address_forwarded(&a, &trusted, *line, strlen(*line)))
                break;
        assert_string_equal(printed(&a), cases[i].client);
    }
    address_list_free(&trusted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_written_form_reads_back),
        cmocka_unit_test(a_nul_is_no_end),
        cmocka_unit_test(a_socket_knows_its_peer),
        cmocka_unit_test(a_prefix_holds_what_shares_its_bits),
        cmocka_unit_test(what_is_no_range_is_quoted),
        cmocka_unit_test(the_client_is_the_nearest_address_that_is_not_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

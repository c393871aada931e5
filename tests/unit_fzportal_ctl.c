/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of the control interface, and the socket they travel over. */
#include "tests/fzportal_rig.h"

#include <sys/stat.h>
#include <sys/un.h>

#include "tools/ctl/ctl.h"

/* ---- texts ---- */

static void test_build(void **state)
{
    static const struct {
        const char *words[6];
        const char *json;
    } cases[] = {
        {{"status"}, "{\"command\":\"status\"}"},
        {{"kick", "client=laptop", "code=1012"},
         "{\"command\":\"kick\",\"client\":\"laptop\",\"code\":1012}"},
        {{"a", "b=true", "c=null", "d=-1.5", "e=false"},
         "{\"command\":\"a\",\"b\":true,\"c\":null,\"d\":-1.5,\"e\":false}"},
        {{"a", "b={\"c\":[1, 2]}", "d=[]"}, "{\"command\":\"a\",\"b\":{\"c\":[1,2]},\"d\":[]}"},
        /* No JSON: strings as they are. */
        {{"a", "b=", "c={x", "d=1 2", "e=a=b", "f=\"q\""},
         "{\"command\":\"a\",\"b\":\"\",\"c\":\"{x\",\"d\":\"1 2\",\"e\":\"a=b\","
         "\"f\":\"\\\"q\\\"\"}"},
        {{"a", "b=0123", "c=2001:db8::/32", "d=10.0.0.0/8", "e=*.corp"},
         "{\"command\":\"a\",\"b\":\"0123\",\"c\":\"2001:db8::/32\",\"d\":\"10.0.0.0/8\","
         "\"e\":\"*.corp\"}"},
        {{"a", "b:=\"7\"", "c:=7", "d:={\"e\":1}"},
         "{\"command\":\"a\",\"b\":\"7\",\"c\":7,\"d\":{\"e\":1}}"},
    };
    char why[256], *argv[6];
    json_t *json;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int argc = 0;
        for (; argc < 6 && cases[i].words[argc]; argc++)
            argv[argc] = strdup(cases[i].words[argc]);
        assert_int_equal(ctl_build(&json, argc, argv, NULL, why, sizeof why), ERR_OK);
        char *text = json_dumps(json, JSON_COMPACT);
        assert_string_equal(text, cases[i].json);
        free(text);
        json_decref(json);
        while (argc > 0)
            free(argv[--argc]);
    }
}

static bool is_text(const char *command, const char *key, size_t key_len)
{
    return strcmp(command, "a") == 0 && key_len == 4 && memcmp(key, "text", 4) == 0;
}

/* What a tool says of a key counts more than how its value looks; but for :=. */
static void test_build_texts(void **state)
{
    static const struct {
        const char *value, *json;
    } cases[] = {
        {"text=7", "{\"command\":\"a\",\"text\":\"7\"}"},
        {"text={}", "{\"command\":\"a\",\"text\":\"{}\"}"},
        {"text=null", "{\"command\":\"a\",\"text\":\"null\"}"},
        {"text=\"q\"", "{\"command\":\"a\",\"text\":\"\\\"q\\\"\"}"},
        {"text:=7", "{\"command\":\"a\",\"text\":7}"},
        {"texts=7", "{\"command\":\"a\",\"texts\":7}"},
    };
    char why[256], command[] = "a", value[32];
    char *const argv[] = {command, value};
    json_t *json;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        strcpy(value, cases[i].value);
        assert_int_equal(ctl_build(&json, 2, argv, is_text, why, sizeof why), ERR_OK);
        char *text = json_dumps(json, JSON_COMPACT);
        assert_string_equal(text, cases[i].json);
        free(text);
        json_decref(json);
    }
}

static void test_build_wrong(void **state)
{
    static const struct {
        const char *words[4], *why;
    } cases[] = {
        {{NULL}, "a command is missing"},
        {{""}, "a command is missing"},
        {{"a=b"}, "the first word is the command, not 'a=b'"},
        {{"a", "b"}, "'b' is not KEY=VALUE"},
        {{"a", "=b"}, "'=b' is not KEY=VALUE"},
        {{"a", ":=1"}, "':=1' is not KEY=VALUE"},
        {{"a", "b=1", "b=2"}, "'b' is said twice"},
        {{"a", "command=b"}, "'command' is said twice"},
        {{"a", "b=\xff"}, "'b=\xff' is not UTF-8"},
        {{"\xff"}, "the command is not UTF-8"},
    };
    char why[256], *argv[4];
    json_t *json;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int argc = 0;
        for (; argc < 4 && cases[i].words[argc]; argc++)
            argv[argc] = strdup(cases[i].words[argc]);
        assert_int_equal(ctl_build(&json, argc, argv, NULL, why, sizeof why), ERR_PARSE);
        assert_null(json);
        assert_string_equal(why, cases[i].why);
        while (argc > 0)
            free(argv[--argc]);
    }
    argv[0] = strdup("a");
    argv[1] = strdup("b:={");
    assert_int_equal(ctl_build(&json, 2, argv, NULL, why, sizeof why), ERR_PARSE);
    assert_non_null(strstr(why, "'b:={': "));
    free(argv[0]);
    free(argv[1]);
}

static void test_parse(void **state)
{
    static const char *const good[] = {"{\"command\":\"a\"}", " {\"command\":\"\",\"b\":1}\r"};
    static const char *const bad[] = {"",
                                      "{}",
                                      "[]",
                                      "\"a\"",
                                      "{\"command\":1}",
                                      "{\"command\":\"a\"",
                                      "{\"command\":\"a\"}}",
                                      "{\"command\":\"a\",\"command\":\"b\"}",
                                      "{\"command\":\"\xff\"}"};
    char why[256];
    json_t *json;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(ctl_parse(&json, good[i], strlen(good[i]), why, sizeof why), ERR_OK);
        json_decref(json);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        why[0] = '\0';
        assert_int_equal(ctl_parse(&json, bad[i], strlen(bad[i]), why, sizeof why), ERR_PARSE);
        assert_null(json);
        assert_string_not_equal(why, "");
    }
}

static void test_succeeded(void **state)
{
    json_t *json = json_pack("{s:b}", "ok", 1);
    const char *error;
    (void)state;

    assert_true(ctl_succeeded(json, &error));
    json_decref(json);
    json = ctl_error("no");
    assert_false(ctl_succeeded(json, &error));
    assert_string_equal(error, "no");
    json_decref(json);
    json = ctl_error("\xff");
    assert_false(ctl_succeeded(json, &error));
    assert_string_equal(error, "not UTF-8");
    json_decref(json);
    json = json_array();
    assert_false(ctl_succeeded(json, &error));
    assert_null(error);
    json_decref(json);
}

/* ---- the socket ---- */

static int local(const struct rig *rig)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(addr.sun_path, rig->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

/* A line is next, with this text in it. */
static void expect_line(struct peer *p, const char *wanted)
{
    char line[4096];
    size_t n = 0;

    do {
        assert_true(n + 1 < sizeof line);
        assert_true(peer_read(p, (uint8_t *)line + n, 1));
    } while (line[n++] != '\n');
    line[n] = '\0';
    if (!strstr(line, wanted))
        fail_msg("'%s' is not in %s", wanted, line);
}

static void client_lines(struct rig *rig)
{
    static const char *const pieces[] = {"{\"comm", "and\":\"count\"}", "\n"};
    struct peer p = {.fd = local(rig)}, q = {.fd = local(rig)};
    struct stat st;

    assert_int_equal(stat(rig->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        peer_write(&p, pieces[i], strlen(pieces[i]));
        assert_int_equal(rig_command(rig, "{\"command\":\"count\"}", "sessions"), 0);
    }
    expect_line(&p, "\"ok\":true");
    /* Several in one piece, with nonsense among them. */
    peer_text(&q, ""); /* a WebSocket frame */
    peer_write(&q, "\n\n{\"command\":\"count\"}\n{}\n", 26);
    expect_line(&q, "\"ok\":false");
    expect_line(&q, "\"error\":\"not JSON: ");
    expect_line(&q, "\"ok\":true");
    expect_line(&q, "\"error\":\"a \\\"command\\\" is missing\"");
    close(p.fd);
    close(q.fd);
}

static void test_lines(void **state)
{
    (void)state;
    rig_test(client_lines);
}

/* One that never ends a line, one that never reads, and many that do nothing. */
static void client_greedy(struct rig *rig)
{
    static char piece[65536];
    struct peer p = {.fd = local(rig)}, q = {.fd = local(rig)};
    int many[CTL_CLIENTS_MAX];

    memset(piece, 'x', sizeof piece);
    for (size_t sent = 0; sent < 2 * CTL_LINE_MAX; sent += sizeof piece)
        peer_write(&p, piece, sizeof piece);
    assert_true(peer_end(&p, 10000) != PEER_SILENT);
    assert_int_equal(fcntl(q.fd, F_SETFL, O_NONBLOCK), 0);
    for (size_t i = 0; i + 21 < sizeof piece; i += 20)
        memcpy(piece + i, "{\"command\":\"count\"}\n", 20);
    size_t sent = 0;
    ssize_t n;
    for (unsigned i = 0; i < 200; i++) {
        n = send(q.fd, piece, 65520, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else
            assert_int_equal(rig_command(rig, "{\"command\":\"count\"}", "sessions"), 0);
    }
    assert_true(sent < 200 * 65520); /* it is not read any more */
    close(q.fd);
    close(p.fd);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = local(rig);
    close(many[0]);
    assert_int_equal(rig_command(rig, "{\"command\":\"count\"}", "sessions"), 0);
    for (size_t i = 1; i < ARRAY_LEN(many); i++)
        close(many[i]);
    assert_int_equal(rig_command(rig, "{\"command\":\"count\"}", "sessions"), 0);
}

static void test_greedy(void **state)
{
    (void)state;
    rig_test(client_greedy);
}

/* The client when there is nobody, or nobody who answers. */
static void test_no_answer(void **state)
{
    struct rig rig = {0};
    struct ctl_server *second;
    json_t *command = json_pack("{s:s}", "command", "count"), *answer;
    char why[256], wanted[256];
    (void)state;

    rig_start(&rig);
    assert_int_equal(ctl_call(&answer, rig.path, command, 50 * NS_PER_MS, why, sizeof why),
                     ERR_TIMEOUT);
    snprintf(wanted, sizeof wanted, "%s: no answer in time", rig.path);
    assert_string_equal(why, wanted);
    assert_int_equal(
        ctl_server_new(&second, rig.loop, rig.path, rig_on_command, NULL, why, sizeof why),
        ERR_IN_USE);
    rig_stop(&rig);
    assert_int_equal(ctl_call(&answer, rig.path, command, NS_PER_SEC, why, sizeof why),
                     ERR_UNREACHABLE);
    snprintf(wanted, sizeof wanted, "%s: nobody listens there", rig.path);
    assert_string_equal(why, wanted);
    json_decref(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_build),       cmocka_unit_test(test_build_wrong),
        cmocka_unit_test(test_build_texts), cmocka_unit_test(test_parse),
        cmocka_unit_test(test_succeeded),   cmocka_unit_test(test_lines),
        cmocka_unit_test(test_greedy),      cmocka_unit_test(test_no_answer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

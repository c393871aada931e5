/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's identifier: which way to it counts, and the rights of what is written. What the machine's own id is depends on
 * where this runs, so a file stands in for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *machine_id; /* what machine_read_id finds; NULL: nothing */

#define machine_read_id read_test_id
#include "control/device_id.c"
#undef machine_read_id
#include "platform/paths.h"

#define MACHINE      "0123456789abcdef0123456789abcdef\n"
#define MACHINE_HASH "25746dc26c1cc478780348a72316d3f4c2869a29b2a4836b38bc2ad3c3d69e8c"

static char folder[64];

enum err read_test_id(struct file_content *out, char *why, unsigned why_size)
{
    snprintf(why, why_size, "No such file or directory");
    *out = (struct file_content){.bytes = machine_id ? strdup(machine_id) : NULL,
                                 .len = machine_id ? strlen(machine_id) : 0};
    return machine_id ? ERR_OK : ERR_NOT_FOUND;
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/config%s%s", folder, name[0] ? "/" : "", name);
    return path;
}

static void write_text(const char *text)
{
    FILE *f = fopen(path_of(PATHS_DEVICE_ID_FILE), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path_of(PATHS_DEVICE_ID_FILE), 0644), 0);
}

static unsigned mode(const char *name)
{
    struct stat st;
    return stat(path_of(name), &st) == 0 ? st.st_mode & 07777 : 0;
}

static enum err find(char *id, char *why)
{
    why[0] = '\0';
    const struct device_id_place place = {path_of(""), PATHS_DEVICE_ID_FILE, IDENTITY_KEY_CLIENT};
    return device_id_find(id, &place, why, 1024);
}

static void test_parse(void **state)
{
    static const struct {
        const char *text, *id; /* NULL: refused */
    } cases[] = {
        {"{\"id\":\"7cc8d8a2-6f2b-4f0c-9c0e-3f9a4b2f6a11\"}",
         "7cc8d8a2-6f2b-4f0c-9c0e-3f9a4b2f6a11"},
        {" {\"x\": 1, \"id\": \"a\"}\n", "a"},
        {"{\"id\":\"\"}", NULL},
        {"{\"id\":7}", NULL},
        {"{\"id\":\"a\\u0000b\"}", NULL},
        {"{\"id\":\"caf\\u00e9\"}", NULL},
        {"{}", NULL},
        {"[]", NULL},
        {"\"a\"", NULL},
        {"a", NULL},
        {"{\"id\":\"a\"} x", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char id[IDENTITY_EXTERNAL_ID_MAX + 1];
        enum err err = device_id_parse(id, cases[i].text, strlen(cases[i].text));
        assert_int_equal(err, cases[i].id ? ERR_OK : ERR_PARSE);
        if (cases[i].id)
            assert_string_equal(id, cases[i].id);
    }
}

/* A stored id counts, is kept as it is, and gets its rights back. */
static void test_stored(void **state)
{
    char id[IDENTITY_EXTERNAL_ID_MAX + 1], why[1024];

    (void)state;
    machine_id = MACHINE;
    assert_int_equal(find(id, why), ERR_OK); /* makes the folder */
    assert_int_equal(mode(""), 0770);
    write_text("{\"id\":\"stored\"}");
    assert_int_equal(find(id, why), ERR_OK);
    assert_string_equal(id, "stored");
    assert_int_equal(mode(PATHS_DEVICE_ID_FILE), 0640);
}

/* Nothing is written; a damaged file is left as it is. */
static void test_derived(void **state)
{
    char id[IDENTITY_EXTERNAL_ID_MAX + 1], why[1024];

    (void)state;
    machine_id = MACHINE;
    assert_int_equal(find(id, why), ERR_OK);
    assert_string_equal(id, MACHINE_HASH);
    assert_int_equal(mode(PATHS_DEVICE_ID_FILE), 0);
    write_text("damaged");
    assert_int_equal(find(id, why), ERR_OK);
    assert_string_equal(id, MACHINE_HASH);
    assert_int_equal(mode(PATHS_DEVICE_ID_FILE), 0644);
}

/* The same machine and folder have another id for another program, and another file. */
static void test_another_program(void **state)
{
    char config[128], id[IDENTITY_EXTERNAL_ID_MAX + 1], want[IDENTITY_HEX_LEN + 1], why[1024];
    const struct device_id_place gateway = {config, PATHS_GATEWAY_ID_FILE, IDENTITY_KEY_GATEWAY};

    (void)state;
    snprintf(config, sizeof config, "%s", path_of(""));
    machine_id = MACHINE;
    identity_from_machine_id(want, IDENTITY_KEY_GATEWAY, MACHINE, strlen(MACHINE));
    assert_int_equal(device_id_find(id, &gateway, why, sizeof why), ERR_OK);
    assert_string_equal(id, want);
    assert_string_not_equal(id, MACHINE_HASH);
    machine_id = NULL;
    write_text("{\"id\":\"of the client\"}");
    assert_int_equal(device_id_find(id, &gateway, why, sizeof why), ERR_OK);
    assert_string_not_equal(id, "of the client");
    assert_int_equal(mode(PATHS_GATEWAY_ID_FILE), 0640);
    assert_int_equal(unlink(path_of(PATHS_GATEWAY_ID_FILE)), 0);
}

static void test_generated(void **state)
{
    static const char *const none[] = {NULL, "", "\n", " \t\r\n \n", "uninitialized\n"};

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        char id[IDENTITY_EXTERNAL_ID_MAX + 1], again[IDENTITY_EXTERNAL_ID_MAX + 1], why[1024];
        machine_id = none[i];
        assert_int_equal(find(id, why), ERR_OK);
        assert_int_equal(strlen(id), IDENTITY_HEX_LEN);
        assert_int_equal(strspn(id, "0123456789abcdef"), IDENTITY_HEX_LEN);
        assert_int_equal(mode(PATHS_DEVICE_ID_FILE), 0640);
        assert_int_equal(find(again, why), ERR_OK);
        assert_string_equal(again, id);
        unlink(path_of(PATHS_DEVICE_ID_FILE));
    }
}

static void test_no_way(void **state)
{
    char id[IDENTITY_EXTERNAL_ID_MAX + 1], why[1024];

    (void)state;
    machine_id = MACHINE;
    assert_int_equal(find(id, why), ERR_OK);
    machine_id = NULL;
    write_text("damaged");
    assert_int_equal(find(id, why), ERR_PARSE);
    assert_non_null(strstr(why, "not read: "));
    assert_non_null(strstr(why, "not derived: the machine has no id: No such file or directory"));
    assert_non_null(strstr(why, "not generated: "));
}

/* What another user of the group could put in place of the file or the folder: nothing of it is opened, waited for or changed. */
static void test_not_a_file(void **state)
{
    char id[IDENTITY_EXTERNAL_ID_MAX + 1], why[1024], elsewhere[128];

    (void)state;
    machine_id = MACHINE;
    assert_int_equal(find(id, why), ERR_OK);
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", folder);
    FILE *f = fopen(elsewhere, "w");
    assert_non_null(f);
    assert_true(fputs("{\"id\":\"theirs\"}", f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(elsewhere, 0600), 0);
    assert_int_equal(symlink(elsewhere, path_of(PATHS_DEVICE_ID_FILE)), 0);
    assert_int_equal(find(id, why), ERR_OK);
    assert_string_equal(id, MACHINE_HASH);
    unlink(path_of(PATHS_DEVICE_ID_FILE));
    assert_int_equal(link(elsewhere, path_of(PATHS_DEVICE_ID_FILE)), 0);
    assert_int_equal(find(id, why), ERR_OK);
    assert_int_equal(mode(PATHS_DEVICE_ID_FILE), 0600);
    unlink(path_of(PATHS_DEVICE_ID_FILE));
    assert_int_equal(mkfifo(path_of(PATHS_DEVICE_ID_FILE), 0600), 0);
    alarm(10); /* a reader of a FIFO waits for a writer */
    assert_int_equal(find(id, why), ERR_OK);
    alarm(0);
    assert_string_equal(id, MACHINE_HASH);
    machine_id = NULL;
    assert_int_equal(find(id, why), ERR_INVALID);
    assert_non_null(strstr(why, "it is not a regular file"));
    unlink(path_of(PATHS_DEVICE_ID_FILE));
    unlink(elsewhere);

    assert_int_equal(mkdir(elsewhere, 0700), 0);
    assert_int_equal(rmdir(path_of("")), 0);
    assert_int_equal(symlink(elsewhere, path_of("")), 0);
    machine_id = MACHINE;
    assert_int_equal(find(id, why), ERR_OK);
    assert_int_equal(mode(""), 0700);
    unlink(path_of(""));
    rmdir(elsewhere);
}

static void test_uuid(void **state)
{
    char a[DEVICE_ID_UUID_LEN + 1], b[DEVICE_ID_UUID_LEN + 1];

    (void)state;
    for (int i = 0; i < 100; i++) {
        device_id_random_uuid(a);
        device_id_random_uuid(b);
        assert_true(identity_is_uuid(a));
        assert_int_equal(a[14], '4');
        assert_non_null(strchr("89ab", a[19]));
        assert_string_not_equal(a, b);
    }
}

static int begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/unit_device_id.XXXXXX", P_tmpdir);
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    unlink(path_of(PATHS_DEVICE_ID_FILE));
    rmdir(path_of(""));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test_setup_teardown(test_stored, begin, end),
        cmocka_unit_test_setup_teardown(test_derived, begin, end),
        cmocka_unit_test_setup_teardown(test_another_program, begin, end),
        cmocka_unit_test_setup_teardown(test_generated, begin, end),
        cmocka_unit_test_setup_teardown(test_no_way, begin, end),
        cmocka_unit_test_setup_teardown(test_not_a_file, begin, end),
        cmocka_unit_test(test_uuid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

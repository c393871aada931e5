/* SPDX-License-Identifier: Apache-2.0 */
/* What the control interface breaks on purpose, and TLS. */
#include "tests/fzportal_rig.h"

#include <openssl/ec_key.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* ---- faults ---- */

static void client_freeze(struct rig *rig)
{
    struct peer p, q;

    peer_open(&p, rig);
    assert_int_equal(rig_command(rig, "{\"command\":\"freeze\",\"all\":true}", "sessions"), 1);
    peer_text(&p, "echo late");
    peer_frame(&p, 0x89, "ping", 4);
    rig_command(rig, "{\"command\":\"push\",\"text\":\"pushed\"}", "");
    /* The kernel still connects. */
    memset(&q, 0, sizeof q);
    q.fd = peer_connect(rig);
    assert_true(q.fd >= 0);
    peer_write(&q, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    assert_int_equal(peer_end(&p, 100), PEER_SILENT);
    assert_int_equal(peer_end(&q, 100), PEER_SILENT);
    assert_int_equal(rig_command(rig, "{\"command\":\"thaw\",\"all\":true}", "sessions"), 1);
    peer_expect(&p, 0x81, "pushed");
    peer_expect(&p, 0x8a, "ping");
    peer_expect(&p, 0x81, "late");
    assert_true(peer_fill(&q, 10000) > 0);
    peer_close(&p);
    peer_close(&q);
}

static void test_freeze(void **state)
{
    (void)state;
    rig_test(client_freeze);
}

/* For the portal a frozen session can be over; its device learns of it after the thaw. */
static void client_half_open(struct rig *rig)
{
    struct peer p, q;

    peer_open(&p, rig);
    peer_open(&q, rig);
    rig_command(rig, "{\"command\":\"freeze\",\"all\":true}", "");
    rig_command(rig, "{\"command\":\"end\"}", "");
    assert_int_equal(rig_command(rig, "{\"command\":\"count\"}", "sessions"), 0);
    assert_int_equal(peer_end(&p, 100), PEER_SILENT);
    peer_close(&q);
    rig_command(rig, "{\"command\":\"thaw\",\"all\":true}", "");
    assert_int_equal(peer_end(&p, 10000), PEER_EOF);
    peer_close(&p);
    /* Stopped while frozen. */
    peer_open(&p, rig);
    rig_command(rig, "{\"command\":\"freeze\",\"all\":true}", "");
    rig_command(rig, "{\"command\":\"stop\"}", "");
    assert_int_equal(peer_end(&p, 10000), PEER_EOF);
    assert_int_equal(peer_connect(rig), -1);
    rig_command(rig, "{\"command\":\"start\"}", "");
    q.fd = peer_connect(rig);
    assert_true(q.fd >= 0);
    peer_close(&p);
    close(q.fd);
    rig_command(rig, "{\"command\":\"thaw\",\"all\":true}", "");
    /* Left frozen at the end. */
    peer_open(&p, rig);
    rig_command(rig, "{\"command\":\"freeze\",\"all\":true}", "");
    peer_text(&p, "echo never");
    peer_close(&p);
}

static void test_half_open(void **state)
{
    (void)state;
    rig_test(client_half_open);
}

static void client_broken(struct rig *rig)
{
    struct peer p;
    uint8_t bytes[64];

    peer_open(&p, rig);
    assert_int_equal(
        rig_command(rig, "{\"command\":\"cut\",\"all\":true,\"text\":\"0123456789\"}", "sessions"),
        1);
    assert_true(peer_read(&p, bytes, 7));
    assert_memory_equal(bytes,
                        "\x81\x0a"
                        "01234",
                        7);
    assert_int_equal(peer_end(&p, 10000), PEER_EOF);
    peer_close(&p);

    peer_open(&p, rig);
    rig_command(rig, "{\"command\":\"raw\",\"all\":true,\"hex\":\"8900ff\"}", "");
    assert_true(peer_read(&p, bytes, 3));
    assert_memory_equal(bytes, "\x89\x00\xff", 3);
    peer_text(&p, "echo still here");
    peer_expect(&p, 0x81, "still here");
    rig_command(rig, "{\"command\":\"raw\",\"all\":true,\"hex\":\"88021388\",\"last\":true}", "");
    peer_expect_close(&p, 5000);
    assert_int_equal(peer_end(&p, 10000), PEER_EOF);
    peer_close(&p);

    peer_open(&p, rig);
    rig_command(rig, "{\"command\":\"drop\",\"all\":true}", "");
    assert_int_equal(peer_end(&p, 10000), PEER_EOF);
    peer_close(&p);
    peer_open(&p, rig);
    rig_command(rig, "{\"command\":\"drop\",\"all\":true,\"reset\":true}", "");
    assert_int_equal(peer_end(&p, 10000), PEER_RESET);
    peer_close(&p);
    /* While a long frame is on its way. */
    peer_open(&p, rig);
    peer_text(&p, "big 5000000");
    assert_true(peer_read(&p, bytes, 10));
    rig_command(rig, "{\"command\":\"drop\",\"all\":true}", "");
    while (peer_read(&p, bytes, 1))
        continue;
    peer_close(&p);
    rig_await_sessions(rig, 0);
}

static void test_broken(void **state)
{
    (void)state;
    rig_test(client_broken);
}

static void client_nonsense(struct rig *rig)
{
    static const char *const commands[] = {
        "{\"command\":\"freeze\"}",
        "{\"command\":\"thaw\"}",
        "{\"command\":\"drop\",\"all\":true}",
        "{\"command\":\"cut\",\"all\":true}",
        "{\"command\":\"cut\",\"all\":true,\"text\":7}",
        "{\"command\":\"cut\",\"all\":true,\"text\":\"\"}",
        "{\"command\":\"raw\",\"all\":true}",
        "{\"command\":\"raw\",\"all\":true,\"hex\":\"0\"}",
        "{\"command\":\"raw\",\"all\":true,\"hex\":\"0g\"}",
        "{\"command\":\"raw\",\"all\":true,\"hex\":\"001\"}",
        "{\"command\":\"raw\",\"all\":true,\"hex\":\"00\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        json_t *command = json_loads(commands[i], 0, NULL), *answer;
        const char *error;
        char why[256];
        assert_int_equal(ctl_call(&answer, rig->path, command, 10 * NS_PER_SEC, why, sizeof why),
                         ERR_OK);
        assert_false(ctl_succeeded(answer, &error));
        assert_non_null(error);
        json_decref(command);
        json_decref(answer);
    }
}

static void test_nonsense(void **state)
{
    (void)state;
    rig_test(client_nonsense);
}

/* ---- TLS ---- */

/* A certificate that signs itself, for portal.test. */
static void make_certificate(const char *certificate, const char *key)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *pair = EVP_PKEY_new();
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    FILE *f;

    assert_true(ec && EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(pair, ec));
    assert_true(X509_set_version(x, X509_VERSION_3));
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    assert_true(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"portal.test",
                                           -1, -1, 0));
    assert_true(X509_set_issuer_name(x, name) && X509_set_pubkey(x, pair));
    assert_true(X509_sign(x, pair, EVP_sha256()));
    assert_non_null(f = fopen(certificate, "w"));
    assert_true(PEM_write_X509(f, x));
    fclose(f);
    assert_non_null(f = fopen(key, "w"));
    assert_true(PEM_write_PrivateKey(f, pair, NULL, NULL, 0, NULL, NULL));
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(pair);
}

static void client_tls(struct rig *rig)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    struct peer p = {.fd = peer_connect(rig)}, q = {.fd = peer_connect(rig)};
    char *head, *text;
    size_t len;

    assert_true(SSL_CTX_load_verify_locations(ctx, rig->certificate, NULL));
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    p.tls = SSL_new(ctx);
    assert_true(SSL_set_fd(p.tls, p.fd));
    assert_int_equal(SSL_connect(p.tls), 1);
    assert_int_equal(SSL_version(p.tls), TLS1_3_VERSION);
    head = peer_request(&p, "/client/v2/websocket?a=b", WS_HEADERS "X-Authorization: Bearer t\r\n");
    assert_non_null(head);
    assert_non_null(strstr(head, "HTTP/1.1 101 "));
    free(head);
    peer_text(&p, "request");
    peer_expect(&p, 0x81, "/client/v2/websocket|a=b|t|none|127.0.0.1");
    peer_text(&p, "big 3000000");
    assert_int_equal(peer_take(&p, &text, &len), 0x81);
    assert_int_equal(len, 3000000);
    free(text);
    /* One that speaks plain HTTP gets no answer to it. */
    assert_null(peer_request(&q, "/client/v2/websocket", WS_HEADERS));
    peer_text(&p, "close 1012");
    peer_expect_close(&p, 1012);
    peer_close(&p);
    close(q.fd);
    SSL_CTX_free(ctx);
}

static void test_tls(void **state)
{
    char folder[] = P_tmpdir "/unit_fzportal_tls.XXXXXX", certificate[64], key[64], other[64];
    struct rig rig = {.certificate = certificate, .key = key};
    char why[256];
    (void)state;

    assert_non_null(mkdtemp(folder));
    snprintf(certificate, sizeof certificate, "%s/c", folder);
    snprintf(key, sizeof key, "%s/k", folder);
    snprintf(other, sizeof other, "%s/o", folder);
    make_certificate(certificate, other);
    make_certificate(certificate, key);
    rig_start(&rig);
    rig_run(&rig, client_tls);
    rig_stop(&rig);
    /* What does not fit together. */
    struct server_options o = {.certificate = certificate, .key = other};
    assert_int_equal(server_check(&o, why, sizeof why), ERR_INVALID);
    assert_non_null(strstr(why, "as the certificate's key: "));
    o = (struct server_options){.certificate = key, .key = key};
    assert_int_equal(server_check(&o, why, sizeof why), ERR_INVALID);
    assert_non_null(strstr(why, "as the certificate: "));
    unlink(certificate);
    unlink(key);
    unlink(other);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_freeze), cmocka_unit_test(test_half_open),
        cmocka_unit_test(test_broken), cmocka_unit_test(test_nonsense), cmocka_unit_test(test_tls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

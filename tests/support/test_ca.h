/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of TLS: a CA of one's own, and a certificate it has signed for a server, as PEM files in a new folder. */
#ifndef FZ_TESTS_SUPPORT_TEST_CA_H
#define FZ_TESTS_SUPPORT_TEST_CA_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct test_ca {
    char folder[64];
    char ca[96], certificate[96], key[96]; /* files */
};

static inline void test_ca_need(bool good)
{
    if (!good) {
        fprintf(stderr, "the test's certificates cannot be made\n");
        abort();
    }
}

static inline EVP_PKEY *test_ca_pair(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *pair = EVP_PKEY_new();

    test_ca_need(ec && pair && EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(pair, ec));
    return pair;
}

static inline void test_ca_extend(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;

    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    e = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
    test_ca_need(e && X509_add_ext(x, e, -1));
    X509_EXTENSION_free(e);
}

/* issuer NULL: signs itself. san: "DNS:portal.test,IP:127.0.0.1"; NULL: a CA. */
static inline X509 *test_ca_sign(EVP_PKEY *pair, const char *cn, const char *san, X509 *issuer,
                                 EVP_PKEY *issuer_pair)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);

    test_ca_need(X509_set_version(x, X509_VERSION_3));
    ASN1_INTEGER_set(X509_get_serialNumber(x), san ? 2 : 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 24 * 3600);
    test_ca_need(
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0));
    test_ca_need(X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name));
    test_ca_need(X509_set_pubkey(x, pair));
    if (san)
        test_ca_extend(x, issuer, NID_subject_alt_name, san);
    else
        test_ca_extend(x, x, NID_basic_constraints, "critical,CA:TRUE");
    test_ca_need(X509_sign(x, issuer_pair ? issuer_pair : pair, EVP_sha256()) > 0);
    return x;
}

static inline void test_ca_write(const char *path, X509 *x, EVP_PKEY *pair)
{
    FILE *f = fopen(path, "w");

    test_ca_need(f != NULL);
    test_ca_need(x ? PEM_write_X509(f, x)
                   : PEM_write_PrivateKey(f, pair, NULL, NULL, 0, NULL, NULL));
    test_ca_need(fclose(f) == 0);
}

static inline void test_ca_make(struct test_ca *t, const char *san)
{
    EVP_PKEY *root_pair = test_ca_pair(), *pair = test_ca_pair();
    X509 *root = test_ca_sign(root_pair, "test CA", NULL, NULL, NULL);
    X509 *leaf = test_ca_sign(pair, "test server", san, root, root_pair);

    snprintf(t->folder, sizeof t->folder, "%s/test_ca.XXXXXX", P_tmpdir);
    test_ca_need(mkdtemp(t->folder) != NULL);
    snprintf(t->ca, sizeof t->ca, "%s/ca.pem", t->folder);
    snprintf(t->certificate, sizeof t->certificate, "%s/certificate.pem", t->folder);
    snprintf(t->key, sizeof t->key, "%s/key.pem", t->folder);
    test_ca_write(t->ca, root, NULL);
    test_ca_write(t->certificate, leaf, NULL);
    test_ca_write(t->key, NULL, pair);
    X509_free(root);
    X509_free(leaf);
    EVP_PKEY_free(root_pair);
    EVP_PKEY_free(pair);
}

static inline void test_ca_remove(const struct test_ca *t)
{
    unlink(t->ca);
    unlink(t->certificate);
    unlink(t->key);
    rmdir(t->folder);
}

#endif

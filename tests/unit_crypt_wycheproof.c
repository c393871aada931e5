/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wycheproof's vectors of ChaCha20-Poly1305 on the AVX-512 code. tools/deps.sh installs their file; they are not in git.
 *
 * The batches of crypt.h have no associated data and nonces that begin with 4 zero bytes. No vector is both: those with
 * such a nonce check the ciphertext of whole batches (and would check the tag, were they without associated data). All
 * whose nonce has 12 bytes, valid or not, go through the functions within, see crypt_inner.h. The rest cannot apply. The
 * output says how many there were of each kind.
 */
#include "tests/support/crypt_inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/hex.h"

#ifdef HAVE_AVX512_CODE

enum {
    FIELD_MAX = 512,
    VECTORS_MAX = 1000,
    LINE_MAX_LEN = 2048
};

struct vector {
    unsigned id;
    uint8_t key[CRYPT_KEY_LEN], nonce[64], aad[FIELD_MAX], plain[FIELD_MAX], sealed[FIELD_MAX],
        tag[CRYPT_TAG_LEN];
    uint32_t nonce_len, aad_len, len;
    bool valid;
};

static struct vector vectors[VECTORS_MAX];
static unsigned n_vectors;

/* ---- the file: blocks of "name = value", one vector each, and comments ---- */

static bool field(const char *line, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncmp(line, name, n) != 0 || strncmp(line + n, " =", 2) != 0)
        return false;
    *value = line + n + 2 + (line[n + 2] == ' ');
    return true;
}

/* The tag is the last field of each; it is empty where the nonce is not a valid one. */
static void read_line(const char *line, struct vector *v)
{
    const char *value;
    if (field(line, "# tcId", &value))
        *v = (struct vector){.id = (unsigned)strtoul(value, NULL, 10)};
    else if (field(line, "aad", &value))
        v->aad_len = hex_decode(v->aad, sizeof v->aad, value);
    else if (field(line, "ct", &value))
        v->len = hex_decode(v->sealed, sizeof v->sealed, value);
    else if (field(line, "iv", &value))
        v->nonce_len = hex_decode(v->nonce, sizeof v->nonce, value);
    else if (field(line, "key", &value))
        assert_int_equal(hex_decode(v->key, sizeof v->key, value), sizeof v->key);
    else if (field(line, "msg", &value))
        (void)hex_decode(v->plain, sizeof v->plain, value);
    else if (field(line, "result", &value))
        v->valid = strcmp(value, "valid") == 0;
    else if (field(line, "tag", &value)) {
        uint32_t tag_len = hex_decode(v->tag, sizeof v->tag, value);
        assert_true(tag_len == sizeof v->tag || v->nonce_len != NONCE_LEN);
        assert_true(n_vectors < VECTORS_MAX);
        vectors[n_vectors++] = *v;
    }
}

static int read_vectors(void **state)
{
    const char *deps = getenv("DEPS");
    char path[1024], line[LINE_MAX_LEN];
    struct vector v = {0};
    (void)state;
    snprintf(path, sizeof path, "%s/native/share/wycheproof/chacha20_poly1305_test.txt",
             deps ? deps : "build/deps");
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        print_message("%s is missing; run: tools/deps.sh check\n", path);
        return -1;
    }
    while (fgets(line, sizeof line, f) != NULL) {
        assert_non_null(strchr(line, '\n'));
        line[strcspn(line, "\r\n")] = '\0';
        read_line(line, &v);
    }
    fclose(f);
    return 0;
}

static void skip_where_unusable(void)
{
    if (!crypt_avx512_usable()) {
        print_message(INNER_UNUSABLE);
        skip();
    }
}

/* ---- tests ---- */

static void check_vector(const struct vector *v, const uint8_t tag[CRYPT_TAG_LEN])
{
    uint8_t out[FIELD_MAX];
    bool same_tag = memcmp(tag, v->tag, CRYPT_TAG_LEN) == 0;
    inner_crypt(out, v->plain, v->len, v->key, v->nonce, 1);
    if (same_tag != v->valid || (v->valid && memcmp(out, v->sealed, v->len) != 0))
        fail_msg("vector %u", v->id);
}

/* Eight at a time, the last ones more than once. */
static void test_functions_within(void **state)
{
    const struct vector *fit[VECTORS_MAX];
    unsigned n = 0, valid = 0;
    (void)state;
    skip_where_unusable();
    for (unsigned i = 0; i < n_vectors; i++) {
        if (vectors[i].nonce_len == NONCE_LEN) {
            fit[n++] = &vectors[i];
            valid += vectors[i].valid;
        }
    }
    assert_true(n >= POLY_LANES);
    for (unsigned at = 0; at < n; at += POLY_LANES) {
        struct inner_message m[POLY_LANES];
        uint8_t tag[POLY_LANES][CRYPT_TAG_LEN];
        unsigned first = (unsigned)size_min(at, n - POLY_LANES);
        for (unsigned i = 0; i < POLY_LANES; i++) {
            const struct vector *v = fit[first + i];
            m[i] = (struct inner_message){
                .aad = v->aad, .sealed = v->sealed, .aad_len = v->aad_len, .len = v->len};
            memcpy(m[i].key, v->key, sizeof m[i].key);
            memcpy(m[i].nonce, v->nonce, NONCE_LEN);
        }
        inner_tags(tag, m);
        for (unsigned i = 0; i < POLY_LANES; i++)
            check_vector(fit[first + i], tag[i]);
    }
    print_message(
        "%u vectors: %u through the functions within, %u of them valid, %u not; %u do not "
        "apply, their nonces have not 12 bytes\n",
        n_vectors, n, valid, n - valid, n_vectors - n);
    assert_int_equal(n_vectors, 300);
    assert_int_equal(n, 293);
}

static void check_in_batch(const struct vector *v, unsigned n)
{
    static uint8_t data[CRYPT_BATCH_MAX][2048];
    struct crypt_packet p[CRYPT_BATCH_MAX];
    struct crypt_key key;
    unsigned place = (v->id + n) % n;
    memcpy(key.raw, v->key, sizeof key.raw);
    for (unsigned i = 0; i < n; i++)
        p[i] = (struct crypt_packet){.data = data[i], .len = (i * 59 + n) % 1500, .counter = i};
    p[place].len = v->len;
    p[place].counter = load_le64(v->nonce + 4);
    p[place].from = v->plain;
    crypt_avx512_ops.seal(&key, p, n);
    if (v->valid)
        assert_memory_equal(data[place], v->sealed, v->len);
    if (v->aad_len == 0)
        assert_int_equal(memcmp(data[place] + v->len, v->tag, CRYPT_TAG_LEN) == 0, v->valid);
    p[place].from = NULL;
    assert_int_equal(crypt_avx512_ops.open(&key, p, n), n);
    assert_memory_equal(data[place], v->plain, v->len);
}

static void test_batches(void **state)
{
    unsigned nonces = 0, tags = 0;
    (void)state;
    skip_where_unusable();
    for (unsigned i = 0; i < n_vectors; i++) {
        const struct vector *v = &vectors[i];
        if (v->nonce_len != NONCE_LEN || load_le32(v->nonce) != 0)
            continue;
        nonces++;
        tags += v->aad_len == 0;
        for (unsigned n = 3; n <= CRYPT_BATCH_MAX; n++) {
            if (sets_cover(n) == n) /* or else some would go to BoringSSL, which has no key here */
                check_in_batch(v, n);
        }
    }
    print_message(
        "%u vectors have a nonce of batches: their ciphertext was checked, and the tag of "
        "the %u without associated data\n",
        nonces, tags);
    assert_int_equal(nonces, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions_within),
        cmocka_unit_test(test_batches),
    };
    return cmocka_run_group_tests(tests, read_vectors, NULL);
}

#else

int main(void)
{
    puts(INNER_UNUSABLE);
    return 77;
}

#endif

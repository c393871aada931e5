/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STUN messages as ICE and TURN use them, for both ends of a conversation: a parser that gives a view of borrowed bytes, and
 * a writer into a buffer of the caller.
 *
 *    0               2               4
 *    +---------------+---------------+-------------------------------+
 *    | type          | length        | magic cookie 0x2112a442       |
 *    +---------------+---------------+-------------------------------+
 *    | transaction id, 12 bytes                                      |
 *    +---------------+---------------+-------------------------------+
 *    | attribute type| value length  | value ..., padding to 4 ...   |
 *
 * What the view holds was in the message before its MESSAGE-INTEGRITY, if that is present; what comes after it is ignored but for
 * FINGERPRINT. Of an attribute that comes twice the first counts. Texts are bytes that nobody has checked to be UTF-8.
 * Pure; any thread. Source: RFC 8489 sections 5, 6, 14; RFC 8656 section 18; RFC 8445 section 16.1; spec/p2p.md 4.1.
 */
#ifndef FZ_CONTROL_P2P_STUN_H
#define FZ_CONTROL_P2P_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"

enum {
    STUN_HEADER_LEN = 20,
    STUN_ID_LEN = 12,
    STUN_INTEGRITY_LEN = 20,
    STUN_KEY_LEN = 16, /* of TURN; of ICE it is the password itself */
    STUN_USERNAME_MAX = 512,
    STUN_TEXT_MAX = 763, /* realm, nonce, software, reason: 127 characters of up to 6 bytes */
    STUN_UDP = 17        /* the only requested transport */
};
#define STUN_COOKIE UINT32_C(0x2112a442)

enum stun_class {
    STUN_REQUEST,
    STUN_INDICATION,
    STUN_SUCCESS,
    STUN_ERROR
};

/* A message may have any other method of 12 bits. */
enum stun_method {
    STUN_BINDING = 0x001,
    STUN_ALLOCATE = 0x003,
    STUN_REFRESH = 0x004,
    STUN_SEND = 0x006,
    STUN_DATA = 0x007,
    STUN_CREATE_PERMISSION = 0x008,
    STUN_CHANNEL_BIND = 0x009
};

enum stun_attr {
    STUN_USERNAME = 0x0006,
    STUN_MESSAGE_INTEGRITY = 0x0008,
    STUN_ERROR_CODE = 0x0009,
    STUN_UNKNOWN_ATTRIBUTES = 0x000a,
    STUN_CHANNEL_NUMBER = 0x000c,
    STUN_LIFETIME = 0x000d,
    STUN_XOR_PEER_ADDRESS = 0x0012,
    STUN_REALM = 0x0014,
    STUN_NONCE = 0x0015,
    STUN_XOR_RELAYED_ADDRESS = 0x0016,
    STUN_REQUESTED_ADDRESS_FAMILY = 0x0017,
    STUN_REQUESTED_TRANSPORT = 0x0019,
    STUN_XOR_MAPPED_ADDRESS = 0x0020,
    STUN_PRIORITY = 0x0024,
    STUN_USE_CANDIDATE = 0x0025,
    STUN_ADDITIONAL_ADDRESS_FAMILY = 0x8000,
    STUN_SOFTWARE = 0x8022,
    STUN_FINGERPRINT = 0x8028,
    STUN_ICE_CONTROLLED = 0x8029,
    STUN_ICE_CONTROLLING = 0x802a
};

/* Which fields of a message are set. Addresses and texts say so themselves: ADDR_NONE, bytes NULL. */
enum stun_has {
    STUN_HAS_ERROR = 1 << 0,
    STUN_HAS_CHANNEL = 1 << 1,
    STUN_HAS_LIFETIME = 1 << 2,
    STUN_HAS_TRANSPORT = 1 << 3,
    STUN_HAS_PRIORITY = 1 << 4,
    STUN_HAS_USE_CANDIDATE = 1 << 5,
    STUN_HAS_CONTROLLED = 1 << 6,
    STUN_HAS_CONTROLLING = 1 << 7,
    STUN_HAS_INTEGRITY = 1 << 8,
    STUN_HAS_FINGERPRINT = 1 << 9
};

struct stun_id {
    uint8_t bytes[STUN_ID_LEN];
};

struct stun_text {
    const uint8_t *bytes; /* NULL: not present */
    uint16_t len;
};

/* A parsed message; `bytes` and the texts are borrowed from the datagram. */
struct stun_message {
    const uint8_t *bytes;
    uint16_t len;
    uint16_t method; /* enum stun_method, or another */
    enum stun_class class;
    struct stun_id id;
    uint32_t has; /* set of enum stun_has */
    struct stun_text username, realm, nonce, software;
    struct sock_addr mapped, peer;
    struct sock_addr relayed4, relayed6; /* the first of each family */
    uint16_t error;                      /* 300 to 699 */
    struct stun_text reason;
    uint16_t channel;
    uint32_t lifetime_s;
    uint8_t requested_family, additional_family; /* enum addr_family */
    uint8_t transport;                           /* protocol number */
    uint32_t priority;
    uint64_t controlled, controlling; /* tie-breakers */
    uint16_t integrity_at;            /* offset of the attribute MESSAGE-INTEGRITY */
    uint16_t fingerprint_at;          /* the same of FINGERPRINT */
    uint16_t unknown; /* the first attribute that has to be understood and is not; 0: none */
};

/*
 * A whole datagram. ERR_INVALID: not STUN (length, cookie, the two upper bits of the type). ERR_PARSE: STUN with attributes that
 * are not well-formed, of which nothing but method, class and id is set.
 */
enum err stun_parse(struct stun_message *out, const void *bytes, size_t len) MUST_USE;

/* True if the message has a MESSAGE-INTEGRITY made with this key. Takes the same time for every wrong one. */
bool stun_integrity_ok(const struct stun_message *m, const void *key, size_t key_len);

/* True if the message has a FINGERPRINT that fits. Nobody needs it who looks at MESSAGE-INTEGRITY. */
bool stun_fingerprint_ok(const struct stun_message *m);

/* The key of long-term credentials: MD5 of "username:realm:password". */
void stun_turn_key(uint8_t key[STUN_KEY_LEN], const char *username, const char *realm,
                   const char *password);

/* A Binding request with all that an ICE check needs, or a Binding success that may answer one. */
bool stun_is_ice_request(const struct stun_message *m);
bool stun_is_ice_success(const struct stun_message *m);
/* The two parts of USERNAME: before its first ':' and after it, which is not empty. False: it has no such form. */
bool stun_username_split(const struct stun_message *m, struct stun_text *receiver,
                         struct stun_text *sender);

static inline bool stun_id_equal(const struct stun_id *a, const struct stun_id *b)
{
    return memcmp(a->bytes, b->bytes, STUN_ID_LEN) == 0;
}

/* True if `t` is present and equals the string. */
static inline bool stun_text_is(struct stun_text t, const char *text)
{
    return t.bytes && t.len == strlen(text) && memcmp(t.bytes, text, t.len) == 0;
}

/* ---- writing: begin, then attributes in any order, then integrity, then fingerprint, then finish ---- */

/* What does not fit, or is not a value of its attribute, makes the whole message fail: stun_finish then returns 0. */
struct stun_writer {
    uint8_t *bytes;
    uint16_t size, len;
    bool failed;
};

/* size: of `buf`; more than 64 KiB is not used. */
void stun_begin(struct stun_writer *w, void *buf, size_t size, enum stun_method method,
                enum stun_class class, const struct stun_id *id);
/* USERNAME, REALM, NONCE, SOFTWARE, or any other attribute as bytes; its padding is zero. */
void stun_add_bytes(struct stun_writer *w, enum stun_attr attr, const void *value, size_t len);
void stun_add_text(struct stun_writer *w, enum stun_attr attr, const char *text);
/* LIFETIME, PRIORITY */
void stun_add_u32(struct stun_writer *w, enum stun_attr attr, uint32_t value);
/* ICE-CONTROLLED, ICE-CONTROLLING */
void stun_add_u64(struct stun_writer *w, enum stun_attr attr, uint64_t value);
/* USE-CANDIDATE */
void stun_add_empty(struct stun_writer *w, enum stun_attr attr);
/* XOR-MAPPED-ADDRESS, XOR-PEER-ADDRESS, XOR-RELAYED-ADDRESS */
void stun_add_address(struct stun_writer *w, enum stun_attr attr, const struct sock_addr *addr);
/* REQUESTED-ADDRESS-FAMILY, ADDITIONAL-ADDRESS-FAMILY */
void stun_add_family(struct stun_writer *w, enum stun_attr attr, enum addr_family family);
void stun_add_transport(struct stun_writer *w, uint8_t protocol);
void stun_add_channel(struct stun_writer *w, uint16_t channel);
/* code: 300 to 699. */
void stun_add_error(struct stun_writer *w, unsigned code, const char *reason);
void stun_add_integrity(struct stun_writer *w, const void *key, size_t key_len);
void stun_add_fingerprint(struct stun_writer *w);
/* The length of the message; 0: it failed. */
size_t stun_finish(struct stun_writer *w);

#endif

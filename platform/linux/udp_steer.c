/* SPDX-License-Identifier: Apache-2.0 */
/* The steering program: WireGuard receiver index, plain or behind a TURN channel-data header, to socket number. */
#include "platform/linux/udp_steer.h"

#include <errno.h>
#include <linux/filter.h>
#include <sys/socket.h>

#include "platform/base/bytes.h"
#include "platform/udp.h"

/*
 * The shortest steerable datagram is a WireGuard keepalive of 32 bytes. Checking that once keeps all loads below
 * inside the packet: a load beyond it would end the program with result 0, that is socket 0.
 */
enum {
    WG_LEN_MIN = 32,
    CHANNEL_DATA_LEN = 4
};
#define TO_HASH UINT32_MAX /* no socket has this number */

/*
 * The index is little-endian, so its owner bits are the upper ones of its last byte. Messages 3 (cookie) and 4 (data)
 * carry it at offset 4, message 2 (response) at offset 8. Message 1 has no receiver index yet.
 */
enum {
    INDEX_LAST_BYTE_DATA = 4 + 3,
    INDEX_LAST_BYTE_RESPONSE = 8 + 3,
    OWNER_SHIFT_IN_BYTE = UDP_OWNER_SHIFT - 24
};
_Static_assert(UDP_OWNER_SHIFT >= 24 && UDP_OWNER_SHIFT < 32, "owner bits lie in the last byte");
_Static_assert(UDP_GROUP_MAX <= 1u << (32 - UDP_OWNER_SHIFT), "every socket needs a number");

/* The four bytes of a WireGuard type field as BPF loads them: big-endian, reserved bytes zero. */
#define WG_TYPE(t) ((uint32_t)(t) << 24)

/* clang-format off */
static const struct sock_filter by_owner[] = {
    /* 0: too short: hash */
    BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, WG_LEN_MIN, 0, 14),
    /* 2: X = where the WireGuard message starts: behind a channel number 0x4000..0x4fff, else 0 */
    BPF_STMT(BPF_LDX | BPF_IMM, 0),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x40, 0, 1),
    BPF_STMT(BPF_LDX | BPF_IMM, CHANNEL_DATA_LEN),
    /* 7: which message? */
    BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WG_TYPE(4), 2, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WG_TYPE(3), 1, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WG_TYPE(2), 2, 5),
    /* 11: cookie and data */
    BPF_STMT(BPF_LD | BPF_B | BPF_IND, INDEX_LAST_BYTE_DATA),
    BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
    /* 13: response */
    BPF_STMT(BPF_LD | BPF_B | BPF_IND, INDEX_LAST_BYTE_RESPONSE),
    /* 14: the owner; numbers beyond the group fall to the hash as well */
    BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, OWNER_SHIFT_IN_BYTE),
    BPF_STMT(BPF_RET | BPF_A, 0),
    /* 16: hash */
    BPF_STMT(BPF_RET | BPF_K, TO_HASH),
};

/* The same, with a socket of their own for handshake messages. */
enum { GATE_RETURN = 15 };
static const struct sock_filter with_gate[] = {
    /* 0: too short: hash */
    BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, WG_LEN_MIN, 0, 14),
    /* 2: X = where the WireGuard message starts */
    BPF_STMT(BPF_LDX | BPF_IMM, 0),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x40, 0, 1),
    BPF_STMT(BPF_LDX | BPF_IMM, CHANNEL_DATA_LEN),
    /* 7: which message? */
    BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WG_TYPE(4), 3, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WG_TYPE(1), 5, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WG_TYPE(2), 4, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WG_TYPE(3), 3, 4),
    /* 12: data: the owner */
    BPF_STMT(BPF_LD | BPF_B | BPF_IND, INDEX_LAST_BYTE_DATA),
    BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, OWNER_SHIFT_IN_BYTE),
    BPF_STMT(BPF_RET | BPF_A, 0),
    /* 15: handshake; the number is filled in */
    BPF_STMT(BPF_RET | BPF_K, 0),
    /* 16: hash */
    BPF_STMT(BPF_RET | BPF_K, TO_HASH),
};
/* clang-format on */
_Static_assert(sizeof with_gate == sizeof by_owner, "one buffer fits both");

int udp_steer_attach(int fd, int gate)
{
    struct sock_filter program[ARRAY_LEN(with_gate)];
    struct sock_fprog prog = {.len = ARRAY_LEN(program), .filter = program};

    memcpy(program, gate < 0 ? by_owner : with_gate, sizeof program);
    if (gate >= 0)
        program[GATE_RETURN].k = (uint32_t)gate;
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof prog) == 0 ? 0
                                                                                         : errno;
}

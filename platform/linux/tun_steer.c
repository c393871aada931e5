/* SPDX-License-Identifier: Apache-2.0 */
/* The steering program, assembled by hand, and its maps, by way of the bare bpf(2) system call. */
#include "platform/linux/tun_steer.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/base/bytes.h"

/* A key of BPF_MAP_TYPE_LPM_TRIE: prefix length in bits, then the address in network order. */
struct lpm_key {
    uint32_t len;
    uint8_t addr[16];
};

enum {
    KEY_SIZE_V4 = offsetof(struct lpm_key, addr) + 4,
    KEY_SIZE_V6 = offsetof(struct lpm_key, addr) + 16
};

static int bpf(int command, union bpf_attr *attr)
{
    return (int)syscall(SYS_bpf, command, attr, sizeof *attr);
}

static int make_map(unsigned key_size)
{
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.map_type = BPF_MAP_TYPE_LPM_TRIE;
    attr.key_size = key_size;
    attr.value_size = sizeof(uint32_t);
    attr.max_entries = TUN_STEER_PREFIXES_MAX;
    attr.map_flags = BPF_F_NO_PREALLOC; /* the only kind of trie there is */
    return bpf(BPF_MAP_CREATE, &attr);
}

/* clang-format off */

/* Assembler: one macro per kind of instruction used. Jumps skip a number of instructions. */
#define INSN(c, d, s, o, i)                                                                        \
    (struct bpf_insn)                                                                              \
    {                                                                                              \
        .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)                        \
    }
#define MOV_REG(d, s)         INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV_IMM(d, i)         INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADD_IMM(d, i)         INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define RSH_IMM(d, i)         INSN(BPF_ALU64 | BPF_RSH | BPF_K, d, 0, 0, i)
#define STORE_IMM32(d, o, i)  INSN(BPF_ST | BPF_MEM | BPF_W, d, 0, o, i)
#define LOAD32(d, s, o)       INSN(BPF_LDX | BPF_MEM | BPF_W, d, s, o, 0)
#define LOAD_PACKET8(o)       INSN(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, o) /* context in R6, to R0 */
#define IF_EQ_IMM(d, i, skip) INSN(BPF_JMP | BPF_JEQ | BPF_K, d, 0, skip, i)
#define IF_NE_IMM(d, i, skip) INSN(BPF_JMP | BPF_JNE | BPF_K, d, 0, skip, i)
#define CALL(function)        INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_##function)
#define EXIT()                INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define LOAD_MAP(d, fd) /* two slots */                                                            \
    INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)

/* clang-format on */

enum reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R6 = 6,
    R10 = 10
};

/* Where the destination lies in either IP header. */
enum {
    DST_OFFSET_V4 = 16,
    DST_OFFSET_V6 = 24
};

/* clang-format off */

/*
 * One family: the key on the stack (length, then address up to the end of the frame), the lookup, and the queue as
 * the result. 16 slots. Where the header is cut short or no entry fits, it jumps to the instruction behind the block.
 */
#define LOOKUP(dst_offset, addr_len, map)                                                          \
    /* 0: R0 = skb_load_bytes(context, offset, address on the stack, length) */                    \
    MOV_REG(R1, R6),                                                                               \
    MOV_IMM(R2, dst_offset),                                                                       \
    MOV_REG(R3, R10),                                                                              \
    ADD_IMM(R3, -(addr_len)),                                                                      \
    MOV_IMM(R4, addr_len),                                                                         \
    CALL(skb_load_bytes),                                                                          \
    IF_NE_IMM(R0, 0, 9),                                                                           \
    /* 7: the full length in bits before it; R0 = map_lookup_elem(map, key) */                     \
    STORE_IMM32(R10, -(addr_len) - 4, 8 * (addr_len)),                                             \
    MOV_REG(R2, R10),                                                                              \
    ADD_IMM(R2, -(addr_len) - 4),                                                                  \
    LOAD_MAP(R1, map),                                                                             \
    CALL(map_lookup_elem),                                                                         \
    IF_EQ_IMM(R0, 0, 2),                                                                           \
    /* 14: the queue */                                                                            \
    LOAD32(R0, R0, 0),                                                                             \
    EXIT()

/* clang-format on */

static int load_program(int map_v4, int map_v6)
{
    const struct bpf_insn program[] = {
        /* 0: a TUN's packet starts with the IP header: the version is the upper half of byte 0 */
        MOV_REG(R6, R1),
        LOAD_PACKET8(0),
        RSH_IMM(R0, 4),
        IF_EQ_IMM(R0, 4, 3),
        IF_EQ_IMM(R0, 6, 20),
        /* 5: neither, or nothing found: queue 0 */
        MOV_IMM(R0, 0),
        EXIT(),
        /* 7: IPv4 */
        LOOKUP(DST_OFFSET_V4, 4, map_v4),
        MOV_IMM(R0, 0),
        EXIT(),
        /* 25: IPv6 */
        LOOKUP(DST_OFFSET_V6, 16, map_v6),
        MOV_IMM(R0, 0),
        EXIT(),
    };
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attr.insns = (uint64_t)(uintptr_t)program;
    attr.insn_cnt = ARRAY_LEN(program);
    attr.license = (uint64_t)(uintptr_t) "Apache-2.0"; /* no helper used here asks for GPL */
    return bpf(BPF_PROG_LOAD, &attr);
}

int tun_steer_open(struct tun_steer *s)
{
    *s = (struct tun_steer){.map_v4 = -1, .map_v6 = -1, .program = -1};
    s->map_v4 = make_map(KEY_SIZE_V4);
    if (s->map_v4 >= 0)
        s->map_v6 = make_map(KEY_SIZE_V6);
    if (s->map_v6 >= 0)
        s->program = load_program(s->map_v4, s->map_v6);
    if (s->program >= 0)
        return 0;
    int e = errno;
    tun_steer_close(s);
    return e;
}

void tun_steer_close(struct tun_steer *s)
{
    const int fds[] = {s->program, s->map_v6, s->map_v4};
    for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    *s = (struct tun_steer){.map_v4 = -1, .map_v6 = -1, .program = -1};
}

int tun_steer_attach(const struct tun_steer *s, int fd)
{
    int program = s->program;
    return ioctl(fd, TUNSETSTEERINGEBPF, &program) == 0 ? 0 : errno;
}

static int map_call(const struct tun_steer *s, int command, const struct ip_prefix *prefix,
                    uint32_t queue)
{
    struct ip_prefix masked = *prefix;
    struct lpm_key key = {.len = prefix->len};
    union bpf_attr attr;

    ip_prefix_mask(&masked);
    memcpy(key.addr, masked.ip.bytes, sizeof key.addr);
    memset(&attr, 0, sizeof attr);
    attr.map_fd = (uint32_t)(prefix->ip.family == ADDR_V4 ? s->map_v4 : s->map_v6);
    attr.key = (uint64_t)(uintptr_t)&key;
    if (command == BPF_MAP_UPDATE_ELEM)
        attr.value = (uint64_t)(uintptr_t)&queue;
    return bpf(command, &attr) == 0 ? 0 : errno;
}

int tun_steer_put(const struct tun_steer *s, const struct ip_prefix *prefix, uint32_t queue)
{
    return map_call(s, BPF_MAP_UPDATE_ELEM, prefix, queue);
}

int tun_steer_drop(const struct tun_steer *s, const struct ip_prefix *prefix)
{
    return map_call(s, BPF_MAP_DELETE_ELEM, prefix, 0);
}

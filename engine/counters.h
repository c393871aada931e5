/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verdicts and counters. Every packet that a worker reads ends in exactly one of these: forwarded, handed to control,
 * or one named drop reason; nothing else counts as one. The list is the only place where they are named.
 * One block per worker, written by that worker, read by anyone.
 */
#ifndef FZ_COUNTERS_H
#define FZ_COUNTERS_H

#include <stdint.h>

#include "platform/base/bytes.h"
#include "platform/base/counter.h"

/*
 * out: packets read from the TUN (after segmentation; a frame that cannot be split is one). in: datagrams that the
 * backend delivered (what it discards is in its own statistics, platform/io.h).
 */
#define VERDICT_LIST(X)                                                                            \
    X(OUT_FORWARDED, "out_forwarded")        /* sealed and given to the socket */                  \
    X(OUT_MALFORMED, "out_malformed")        /* no IP packet, or broken offload header */          \
    X(OUT_TOO_BIG, "out_too_big")            /* larger than the tunnel's MTU */                    \
    X(OUT_UNKNOWN_GSO, "out_unknown_gso")    /* an offload type we did not ask for */              \
    X(OUT_TOO_MANY, "out_too_many_segments") /* more segments than one frame may have */           \
    X(OUT_NO_ROUTE, "out_no_route")          /* no AllowedIPs entry covers the destination */      \
    X(OUT_FRAGMENT, "out_fragment")          /* fragments are not supported */                     \
    X(OUT_MULTICAST, "out_multicast")        /* client: to many */                                 \
    X(OUT_BAD_SOURCE, "out_bad_source")      /* client: not from us; gateway: from a client */     \
    X(OUT_TO_SELF, "out_to_self")            /* client: to our own address in the tunnel */        \
    X(OUT_STUB, "out_stub")                  /* client: DNS, given to control */                   \
    X(OUT_STUB_FULL, "out_stub_full")        /* client: control's DNS queue was full */            \
    X(OUT_STUB_OTHER, "out_stub_other")      /* client: to a stub, or what may be one, no DNS */   \
    X(OUT_UNSUPPORTED, "out_unsupported")    /* neither TCP, UDP nor echo */                       \
    X(OUT_PROHIBITED, "out_prohibited")      /* refused by a resource's filters, or not granted */ \
    X(OUT_NAT_EXPIRED, "out_nat_expired")    /* gateway: its flow is over */                       \
    X(OUT_NAME_UNKNOWN, "out_name_unknown")  /* client: the gateway does not know the name */      \
    X(OUT_REPEATED, "out_repeated")          /* client: the same packet waits already */           \
    X(OUT_MOVED, "out_moved")                /* client: waited, is another worker's now */         \
    X(OUT_NO_SESSION, "out_no_session")      /* gateway: the client is not connected */            \
    X(OUT_NO_PEER, "out_no_peer")            /* it has been removed, or has not this address */    \
    X(OUT_NO_ENDPOINT, "out_no_endpoint")    /* the peer's address is not known yet */             \
    X(OUT_STAGE_FULL, "out_stage_full")      /* staged too long: overwritten by later packets */   \
    X(OUT_STAGE_PURGED, "out_stage_purged")  /* staged, but no session came to be */               \
    X(OUT_NO_SOURCE, "out_no_source")        /* no way that avoids our own TUN */                  \
    X(OUT_SOURCE_FULL, "out_source_full")    /* too many datagrams wait for a source address */    \
    X(OUT_HANDOFF_FULL, "out_handoff_full")  /* the owner stands still, its share is used up */    \
    X(OUT_PATH_LOST, "out_path_lost")        /* its source address or interface has vanished */    \
    X(OUT_SEND_TOO_BIG, "out_send_too_big")  /* EMSGSIZE */                                        \
    X(OUT_NO_BUFFER, "out_no_buffer")        /* ENOBUFS */                                         \
    X(OUT_DENIED, "out_denied")              /* EPERM: a local firewall */                         \
    X(OUT_NO_SOCKET, "out_no_socket")        /* no socket of that family, or a roam */             \
    X(OUT_SEND_FAILED, "out_send_failed")    /* other socket errors */                             \
    X(OUT_STOPPED, "out_stopped")            /* still waiting when the engine ended */             \
    X(IN_FORWARDED, "in_forwarded")          /* written to the TUN */                              \
    X(IN_KEEPALIVE, "in_keepalive")          /* authenticated, empty */                            \
    X(IN_PUNTED, "in_punted")                /* STUN and the like, given to control */             \
    X(IN_PUNT_FULL, "in_punt_full")          /* control's packet queue was full */                 \
    X(IN_HANDSHAKE, "in_handshake")          /* handshake message given to control */              \
    X(IN_HANDSHAKE_FULL, "in_handshake_full")   /* control's handshake queue was full */           \
    X(IN_HANDSHAKE_LIMIT, "in_handshake_limit") /* over the source's rate limit */                 \
    X(IN_COOKIE_SENT, "in_cookie_sent")         /* under load: answered with a cookie reply */     \
    X(IN_COOKIE_DEFERRED, "in_cookie_deferred") /* under load: replied to when it comes again */   \
    X(IN_COOKIE_BUDGET, "in_cookie_budget")     /* under load: no buffer for a cookie reply */     \
    X(IN_OWN_TUN, "in_own_tun")                 /* came out of our own tunnel */                   \
    X(IN_BAD_MAC1, "in_bad_mac1")               /* handshake message not meant for us */           \
    X(IN_MALFORMED, "in_malformed")             /* not a message we know */                        \
    X(IN_NO_SESSION, "in_no_session")           /* unknown receiver index */                       \
    X(IN_BAD_CHANNEL, "in_bad_channel")         /* not the channel that leads to the peer */       \
    X(IN_SESSION_EXPIRED, "in_session_expired") /* key older than REJECT_AFTER_TIME */             \
    X(IN_REPLAY_OLD, "replay_old")              /* counter behind the replay window */             \
    X(IN_REPLAY_DUPLICATE, "replay_duplicate")  /* counter seen before */                          \
    X(IN_BAD_TAG, "in_bad_tag")                 /* authentication failed */                        \
    X(IN_BAD_PACKET, "in_bad_packet")           /* authentic, but not an IP packet */              \
    X(IN_TOO_BIG, "in_too_big")                 /* authentic, but larger than the tunnel's MTU */  \
    X(IN_BAD_SOURCE, "in_bad_source") /* authentic, but not from the peer's AllowedIPs */          \
    X(IN_BAD_DESTINATION, "in_bad_destination") /* client: authentic, but not to our address */    \
    X(IN_MULTICAST, "in_multicast")             /* gateway: to many */                             \
    X(IN_ICMP_ERROR, "in_icmp_error")           /* gateway: clients send no ICMP errors */         \
    X(IN_UNSUPPORTED, "in_unsupported")   /* gateway: to a name, but neither TCP, UDP nor echo */  \
    X(IN_PROHIBITED, "in_prohibited")     /* gateway: not granted, or refused by filters */        \
    X(IN_REJECTED, "in_rejected")         /* gateway: nothing that the Internet leads to */        \
    X(IN_NO_ADDRESS, "in_no_address")     /* gateway: the name has no address of this family */    \
    X(IN_NAT_FULL, "in_nat_full")         /* gateway: the worker has all flows that it can have */ \
    X(IN_NAT_SHARE, "in_nat_share")       /* gateway: the client has its share of them */          \
    X(IN_NAT_PORTS, "in_nat_ports")       /* gateway: the address has no free port for it */       \
    X(IN_FRAGMENT, "in_fragment")         /* fragments are not supported */                        \
    X(IN_HANDOFF_FULL, "in_handoff_full") /* the owner stands still, its share is used up */       \
    X(IN_STOPPED, "in_stopped")           /* still waiting when the engine ended */                \
    X(IN_TUN_FAILED, "in_tun_failed")     /* the TUN refused the write */

enum verdict {
#define X(name, text) VERDICT_##name,
    VERDICT_LIST(X)
#undef X
    VERDICT_N
};

/* Work done, beside the fate of packets; what the tunnel itself sends has no verdict. */
#define TALLY_LIST(X)                                                                              \
    X(LOOPS, "loops")                                                                              \
    X(TUN_FRAMES_READ, "tun_frames_read")                                                          \
    X(TUN_FRAMES_WRITTEN, "tun_frames_written")                                                    \
    X(UDP_READS, "udp_reads")                                                                      \
    X(UDP_SENDS, "udp_sends")                                                                      \
    X(SEAL_BATCHES, "seal_batches")                                                                \
    X(OPEN_BATCHES, "open_batches")                                                                \
    X(OUT_BYTES, "out_bytes")                                                                      \
    X(IN_BYTES, "in_bytes")                                                                        \
    X(OUT_STAGED, "out_staged")                                                                    \
    X(KEEPALIVES_SENT, "keepalives_sent")                                                          \
    X(KEEPALIVES_FAILED, "keepalives_failed")                                                      \
    X(CONTROL_SENT, "control_sent")     /* handshake messages, cookie replies and the like */      \
    X(CONTROL_FAILED, "control_failed") /* no buffer, no source address, or a socket error */      \
    X(HANDOFFS_OUT, "handoffs_out")                                                                \
    X(HANDOFFS_IN, "handoffs_in")                                                                  \
    X(HANDOFFS_WAITED, "handoffs_waited") /* the owner had its share of buffers already */         \
    X(HELP_OFFERED, "help_offered")       /* batches put on offer */                               \
    X(HELP_GIVEN, "help_given")           /* batches done for other workers */                     \
    X(HELP_WAKES, "help_wakes")                                                                    \
    X(HELP_LATE, "help_late") /* batches done again: a helper stood still */                       \
    X(COMMANDS, "commands")                                                                        \
    X(SOURCE_MISSES, "source_misses")                                                              \
    X(COALESCE_OFF, "coalesce_off") /* the TUN refused a merged packet: no more merging */         \
    X(FRAMES_FIRST, "frames_first") /* small packets that went before bulk of other flows */       \
    X(RENUMBERED, "renumbered")     /* clients that gave addresses to other names */               \
    X(TRANSLATIONS_FULL, "translations_full") /* names that were refused for want of room */       \
    X(STALLS, "stalls")                       /* all outgoing trains were in flight */

enum tally {
#define X(name, text) TALLY_##name,
    TALLY_LIST(X)
#undef X
    TALLY_N
};

struct counters {
    struct counter verdicts[VERDICT_N];
    struct counter tallies[TALLY_N];
} __attribute__((aligned(CACHE_LINE)));

/* Static names as listed above. */
const char *verdict_name(enum verdict v);
const char *tally_name(enum tally t);

#endif

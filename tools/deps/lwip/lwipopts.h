/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What our lwIP is made of: TCP over IPv4 and IPv6 for DNS messages, no threads, no timers of its own, no links, no names. All
 * memory is fixed. Who uses it gives it a clock-driven tcp_tmr and initial sequence numbers (control/dns/l3_tcp.h).
 */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

#define NO_SYS               1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS          0
#define LWIP_NETCONN         0
#define LWIP_SOCKET          0
#define LWIP_STATS           0

#define LWIP_ARP             0
#define LWIP_ETHERNET        0
#define LWIP_DHCP            0
#define LWIP_ICMP            0
#define LWIP_RAW             0
#define LWIP_UDP             0
#define LWIP_HAVE_LOOPIF     0
#define LWIP_NETIF_LOOPBACK  0

#define LWIP_IPV4            1
#define IP_FORWARD           0
#define IP_REASSEMBLY        0
#define IP_FRAG              0
#define IP_OPTIONS_ALLOWED   0
#define LWIP_IPV6            1
#define LWIP_IPV6_FORWARD    0
#define LWIP_IPV6_FRAG       0
#define LWIP_IPV6_REASS      0
#define LWIP_IPV6_MLD        0
#define LWIP_IPV6_SCOPES     0
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS    0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT    0
#define LWIP_IPV6_ADDRESS_LIFETIMES      0
#define LWIP_IPV6_NUM_ADDRESSES          1
#define LWIP_ND6_QUEUEING                0
#define LWIP_ND6_TCP_REACHABILITY_HINTS  0
#define LWIP_ND6_ALLOW_RA_UPDATES        0
#define LWIP_ICMP6                       1 /* its IPv6 does not compile without */

/* An MTU of 1280, whose IPv6 packets leave this much. */
#define LWIP_TCP             1
#define TCP_MSS              1220
#define TCP_WND              (16 * TCP_MSS)
#define TCP_SND_BUF          (8 * TCP_MSS)
#define TCP_SND_QUEUELEN     32
#define TCP_QUEUE_OOSEQ      1
#define TCP_OOSEQ_MAX_PBUFS  8
#define TCP_LISTEN_BACKLOG   1
#define TCP_MSL              5000UL
#define LWIP_TCP_RTO_TIME    1000
#define TCP_SYNMAXRTX        12 /* each second: its user gives up before */
#define TCP_MAXRTX           12 /* likewise */
#define IP_DEFAULT_TTL       64
#define LWIP_TCP_TIMESTAMPS  0
#define LWIP_WND_SCALE       0
#define LWIP_CHECKSUM_ON_COPY 0

/* Connections: what l3_tcp.h promises, those whose hand-shake goes on, and those that are being closed. */
#define MEMP_NUM_TCP_PCB        448
#define MEMP_NUM_TCP_PCB_LISTEN 2
#define MEMP_NUM_TCP_SEG        4096
#define MEMP_NUM_PBUF           16
/* Of what is sent and not yet acknowledged. */
#define MEM_ALIGNMENT           8
#define MEM_SIZE                (4 * 1024 * 1024)
/* Of what is received out of order. */
#define PBUF_POOL_SIZE          256
#define PBUF_POOL_BUFSIZE       1536

#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS

/* RFC 6528. Defined by who uses the library. */
#define LWIP_HOOK_FILENAME "arch/hooks.h"
#define LWIP_HOOK_TCP_ISN  lwip_hook_isn

#endif

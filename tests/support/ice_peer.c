/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An end of the ICE interoperation test that is ours, with real sockets and the real clock. ice_lines.h has the lines; besides
 *
 *   out:  role ROLE                 our own, whenever it has changed
 *         peer ROLE                 the peer's, as its checks have it, likewise
 *         failed WHY                the connection has ended
 *
 *   ice_peer [-r] [-g] [-t TIE_BREAKER] [-4 RELAY] [-6 RELAY] [-u USERNAME -w PASSWORD] IP:PORT...
 *
 * -r: controls. -g: with the timing of a gateway. -4, -6: addresses of a relay; with any of them it is a node, which learns its candidates
 * from the relay, else an agent alone, whose host candidates are the IP:PORTs. There is a socket for each of these.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/p2p/node.h"
#include "platform/base/bytes.h"
#include "platform/clock.h"
#include "platform/linux/addr_os.h"
#include "platform/random.h"
#include "tests/support/ice_lines.h"

enum {
    SOCKETS_MAX = 4,
    DATAGRAM_MAX = 2048,
    UFRAG_LEN = 4,
    PASSWORD_LEN = 22
};

struct local {
    int fd;
    struct sock_addr addr;
};

struct peer {
    struct local locals[SOCKETS_MAX];
    unsigned count;
    enum ice_role role, told_role;
    enum ice_kind kind;
    bool has_tie_breaker;
    uint64_t tie_breaker;
    struct node_relay_config relay; /* both families ADDR_NONE: an agent alone */
    char ufrag[UFRAG_LEN + 1], password[PASSWORD_LEN + 1];
    bool told, begun, ended, quits;
    enum ice_state told_state;
    uint32_t told_peer; /* of STUN_HAS_CONTROLLING and STUN_HAS_CONTROLLED */
    struct node node;
    struct node_connection connection;
    struct node_path path; /* of the node */
    struct ice ice;        /* alone */
    char in[ICE_LINE_MAX];
    size_t in_len;
};

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fprintf(stderr, "ice_peer: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    exit(1);
}

static bool is_node(const struct peer *p)
{
    return p->relay.v4.ip.family || p->relay.v6.ip.family;
}

static struct ice *agent(struct peer *p)
{
    return is_node(p) ? &p->connection.ice : &p->ice;
}

/* ---- sockets ---- */

static void open_local(struct peer *p, const char *text)
{
    struct local *l = &p->locals[p->count++];
    union addr_os to;
    socklen_t len;

    if (p->count > SOCKETS_MAX || sock_addr_parse(&l->addr, text) != ERR_OK)
        die("bad address '%s'", text);
    len = addr_os_to(&to, &l->addr);
    l->fd = socket(to.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0 || bind(l->fd, &to.sa, len) < 0)
        die("%s: %s", text, strerror(errno));
}

/* from: ADDR_NONE: the first of the family */
static void transmit(struct peer *p, const struct sock_addr *from, const struct sock_addr *to,
                     const void *bytes, size_t len)
{
    for (unsigned i = 0; i < p->count; i++) {
        const struct local *l = &p->locals[i];
        union addr_os os;
        socklen_t os_len;

        if (from->ip.family ? !sock_addr_equal(from, &l->addr) : l->addr.ip.family != to->ip.family)
            continue;
        os_len = addr_os_to(&os, to);
        if (sendto(l->fd, bytes, len, 0, &os.sa, os_len) != (ssize_t)len)
            die("sending: %s", strerror(errno));
        return;
    }
    die("no socket for what is to be sent");
}

/* ---- what comes out ---- */

static void tell_selected(struct peer *p)
{
    char local[SOCK_ADDR_TEXT_MAX], remote[SOCK_ADDR_TEXT_MAX];
    struct ice_path path;

    if (!ice_selected(agent(p), &path))
        return;
    printf("selected %s %s %s %s\n", sock_addr_format(&path.local, local, sizeof local),
           sock_addr_format(&path.remote, remote, sizeof remote),
           candidate_kind_text(path.local_kind), candidate_kind_text(path.remote_kind));
}

static void tell_agent(struct peer *p)
{
    const struct ice *a = agent(p);

    if (!p->begun)
        return;
    if (a->state != p->told_state)
        printf("state %s\n", ice_state_text(a->state));
    if (a->role != p->told_role)
        printf("role %s\n", a->role == ICE_CONTROLLING ? "controlling" : "controlled");
    p->told_state = a->state;
    p->told_role = a->role;
}

static void end(struct peer *p, enum ice_failure failure)
{
    tell_agent(p);
    printf("failed %s\n", ice_failure_text(failure));
    p->begun = false;
    p->ended = true;
}

static void take_node_event(struct peer *p, const struct node_event *e)
{
    switch (e->kind) {
    case NODE_EVENT_CANDIDATE_ADDED:
        printf("%s\n", e->line);
        break;
    case NODE_EVENT_PATH:
        p->path = e->path;
        tell_selected(p);
        break;
    case NODE_EVENT_PATH_LOST:
        p->path = (struct node_path){.kind = NODE_PATH_NONE};
        printf("path lost\n");
        break;
    case NODE_EVENT_UP:
        printf("up %s\n", node_path_text(p->path.kind));
        break;
    case NODE_EVENT_FAILED:
        end(p, e->failure);
        break;
    case NODE_EVENT_CLOSED:
        printf("closed\n");
        p->begun = false;
        break;
    case NODE_EVENT_CANDIDATE_INVALIDATED:
    case NODE_EVENT_RELAY_LOST:
    case NODE_EVENT_NO_RELAYS:
        if (!p->quits)
            die("the relay is lost");
        break;
    }
}

static void take_ice_event(struct peer *p, const struct ice_event *e)
{
    char line[CANDIDATE_LINE_MAX];

    switch (e->kind) {
    case ICE_EVENT_CANDIDATE_ADDED:
        ASSERT(candidate_format(&e->candidate, p->ufrag, line) > 0);
        printf("%s\n", line);
        break;
    case ICE_EVENT_NOMINATED:
        tell_selected(p);
        break;
    case ICE_EVENT_FAILED:
        end(p, e->failure);
        break;
    case ICE_EVENT_PEER_REFLEXIVE:
    case ICE_EVENT_STATE:
        break;
    case ICE_EVENT_CANDIDATE_INVALIDATED:
        die("a candidate is lost");
    }
}

static void drain_node(struct peer *p)
{
    struct node_transmit t;
    struct node_event e;

    while (node_poll_transmit(&p->node, &t))
        transmit(p, &t.from, &t.to, t.bytes, t.len);
    while (node_poll_event(&p->node, &e))
        take_node_event(p, &e);
}

static void drain_ice(struct peer *p)
{
    struct ice_datagram d;
    struct ice_event e;

    while (p->begun && ice_poll_transmit(&p->ice, &d))
        transmit(p, &d.from, &d.to, d.bytes, d.len);
    while (p->begun && ice_poll_event(&p->ice, &e))
        take_ice_event(p, &e);
}

static void drain(struct peer *p)
{
    is_node(p) ? drain_node(p) : drain_ice(p);
    tell_agent(p);
    if (!p->told && (!is_node(p) || node_has_relay(&p->node))) {
        p->told = true;
        printf("ufrag %s password %s\n", p->ufrag, p->password);
    }
}

/* ---- data ---- */

static void note_traffic(struct peer *p, struct node_traffic traffic)
{
    traffic.packets = true;
    if (p->begun)
        node_note_traffic(&p->node, clock_now(), &p->connection, traffic);
}

static void send_text(struct peer *p, const char *text)
{
    uint8_t bytes[CHANNEL_HEADER_LEN + ICE_DATA_LEN], *data = bytes + CHANNEL_HEADER_LEN;
    struct ice_path path;

    if (!ice_data_write(data, text))
        die("'%s' is too long", text);
    if (!is_node(p)) {
        if (!p->begun || !ice_selected(&p->ice, &path))
            printf("not sent %s\n", text);
        else
            transmit(p, &path.local, &path.remote, data, ICE_DATA_LEN);
    } else if (p->path.kind == NODE_PATH_NONE) {
        printf("not sent %s\n", text);
    } else {
        uint8_t *from = p->path.channel ? bytes : data;
        channel_write(bytes, p->path.channel, ICE_DATA_LEN);
        transmit(p, &p->path.from, &p->path.to, from, (size_t)(bytes + sizeof bytes - from));
        note_traffic(p, (struct node_traffic){.sent = true});
    }
}

static void take_data(struct peer *p, const struct sock_addr *local, const struct sock_addr *from,
                      const uint8_t *bytes, size_t len)
{
    char text[ICE_DATA_TEXT_MAX + 1], a[SOCK_ADDR_TEXT_MAX], b[SOCK_ADDR_TEXT_MAX];

    if (!ice_data_read(text, bytes, len)) {
        printf("data of %u bytes is damaged\n", (unsigned)len);
        return;
    }
    printf("data %s %s %s\n", text, sock_addr_format(local, a, sizeof a),
           sock_addr_format(from, b, sizeof b));
    if (is_node(p))
        note_traffic(p, (struct node_traffic){.received = true});
}

static void tell_peer(struct peer *p, uint32_t role)
{
    if (role == p->told_peer)
        return;
    printf("peer %s\n", role == STUN_HAS_CONTROLLING  ? "controlling"
                        : role == STUN_HAS_CONTROLLED ? "controlled"
                                                      : "of no role");
    p->told_peer = role;
}

static void take_datagram(struct peer *p, const struct sock_addr *local,
                          const struct sock_addr *from, const uint8_t *bytes, size_t len)
{
    time_ns now = clock_now();
    struct stun_message m;
    enum err err = stun_parse(&m, bytes, len);

    if (err == ERR_OK && stun_is_ice_request(&m))
        tell_peer(p, m.has & (STUN_HAS_CONTROLLING | STUN_HAS_CONTROLLED));
    if (is_node(p)) {
        struct node_received r;
        if (node_handle_input(&p->node, now, local, from, bytes, len, &r) == NODE_WIREGUARD)
            take_data(p, &r.local, &r.from, bytes + r.offset, r.len);
    } else if (err == ERR_INVALID) {
        take_data(p, local, from, bytes, len);
    } else if (p->begun && err == ERR_OK) {
        (void)ice_handle_input(&p->ice, now, local, from, &m);
    }
}

static void take_datagrams(struct peer *p, const struct local *l)
{
    for (;;) {
        uint8_t bytes[DATAGRAM_MAX];
        union addr_os os;
        socklen_t os_len = sizeof os;
        struct sock_addr from;
        ssize_t len = recvfrom(l->fd, bytes, sizeof bytes, 0, &os.sa, &os_len);

        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (len < 0)
            die("receiving: %s", strerror(errno));
        addr_os_from(&from, &os);
        take_datagram(p, &l->addr, &from, bytes, (size_t)len);
        drain(p);
    }
}

/* ---- lines ---- */

static void begin_node(struct peer *p, const char *ufrag, const char *password)
{
    struct node_peer peer = {.id = {{1}},
                             .role = p->role,
                             .kind = p->kind,
                             .ufrag = p->ufrag,
                             .password = p->password,
                             .remote_ufrag = ufrag,
                             .remote_password = password};

    if (node_connect(&p->node, clock_now(), &peer, &p->connection) != NODE_CREATED)
        die("there is no connection");
}

static void begin_ice(struct peer *p, const char *ufrag, const char *password)
{
    struct ice_config config = {.role = p->role,
                                .kind = p->kind,
                                .ufrag = p->ufrag,
                                .password = p->password,
                                .remote_ufrag = ufrag,
                                .remote_password = password,
                                .tag = 1};
    uint8_t seed[ICE_SEED_LEN];

    random_bytes(seed, sizeof seed);
    if (ice_init(&p->ice, &config, seed, clock_now()) != ERR_OK)
        die("bad credentials");
    for (unsigned i = 0; i < p->count; i++) {
        struct candidate c = candidate_make(CANDIDATE_HOST, &p->locals[i].addr, &p->locals[i].addr);
        if (!ice_add_local(&p->ice, clock_now(), &c))
            die("a candidate of our own is refused");
    }
}

static void begin(struct peer *p, const char *ufrag, const char *password)
{
    if (!p->told || p->begun || p->ended)
        die("credentials at the wrong time");
    is_node(p) ? begin_node(p, ufrag, password) : begin_ice(p, ufrag, password);
    p->begun = true;
    if (p->has_tie_breaker) /* nothing has been sent yet */
        agent(p)->tie_breaker = p->tie_breaker;
}

static void add_candidate(struct peer *p, const char *text)
{
    struct candidate_line line;
    bool good;

    if (p->ended)
        return;
    if (!p->begun)
        die("a candidate before the credentials");
    if (is_node(p))
        good = node_add_candidate(&p->node, clock_now(), &p->connection, text);
    else
        good = candidate_parse(&line, text, strlen(text)) == ERR_OK &&
               ice_add_remote(&p->ice, clock_now(), &line);
    if (!good)
        printf("refused %s\n", text);
}

static void quit(struct peer *p)
{
    p->quits = true;
    if (is_node(p))
        node_shut_down(&p->node, clock_now());
}

static void take_line(struct peer *p, char *line)
{
    char *ufrag, *password;

    if (ice_line_credentials(line, &ufrag, &password))
        begin(p, ufrag, password);
    else if (strncmp(line, "candidate:", strlen("candidate:")) == 0)
        add_candidate(p, line);
    else if (strncmp(line, "send ", strlen("send ")) == 0)
        send_text(p, line + strlen("send "));
    else if (strcmp(line, "quit") == 0)
        quit(p);
    else
        die("unknown command '%s'", line);
    drain(p);
}

static void take_input(struct peer *p)
{
    ssize_t n = read(STDIN_FILENO, p->in + p->in_len, sizeof p->in - p->in_len);
    char *newline;

    if (n <= 0)
        die("the input has ended");
    p->in_len += (size_t)n;
    while (!p->quits && (newline = memchr(p->in, '\n', p->in_len))) {
        size_t len = (size_t)(newline - p->in) + 1;
        *newline = '\0';
        take_line(p, p->in);
        memmove(p->in, p->in + len, p->in_len -= len);
    }
    if (p->in_len == sizeof p->in)
        die("the input has too long a line");
}

/* ---- its life ---- */

static void take_address(struct sock_addr *out, const char *text)
{
    if (sock_addr_parse(out, text) != ERR_OK)
        die("bad address '%s'", text);
}

static void take_options(struct peer *p, int argc, char **argv)
{
    int c;

    while ((c = getopt(argc, argv, "rgt:4:6:u:w:")) != -1) {
        switch (c) {
        case 'r':
            p->role = ICE_CONTROLLING;
            break;
        case 'g':
            p->kind = ICE_GATEWAY;
            break;
        case 't':
            p->has_tie_breaker = true;
            p->tie_breaker = strtoull(optarg, NULL, 0);
            break;
        case '4':
            take_address(&p->relay.v4, optarg);
            break;
        case '6':
            take_address(&p->relay.v6, optarg);
            break;
        case 'u':
            p->relay.username = optarg;
            break;
        case 'w':
            p->relay.password = optarg;
            break;
        default:
            die("wrong usage");
        }
    }
    if (is_node(p) && (!p->relay.username || !p->relay.password))
        die("a relay has a user name and a password");
    for (int i = optind; i < argc; i++)
        open_local(p, argv[i]);
}

/* Of the letters that the portal gives. */
static void draw(char *out, size_t len)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";

    random_bytes(out, len);
    for (size_t i = 0; i < len; i++)
        out[i] = letters[(uint8_t)out[i] % (sizeof letters - 1)];
    out[len] = '\0';
}

static void init(struct peer *p)
{
    uint8_t seed[NODE_SEED_LEN];

    p->told_role = p->role;
    p->told_state = ICE_NEW;
    p->relay.id = (struct uuid){{2}};
    draw(p->ufrag, UFRAG_LEN);
    draw(p->password, PASSWORD_LEN);
    random_bytes(seed, sizeof seed);
    node_init(&p->node, seed, clock_now());
    if (is_node(p) && node_update_relays(&p->node, clock_now(), NULL, 0, &p->relay, 1) != 0)
        die("the relay is refused");
}

static int wait_ms(struct peer *p)
{
    time_ns at = TIME_NEVER, now = clock_now();

    if (is_node(p))
        at = node_poll_timeout(&p->node);
    else if (p->begun)
        at = ice_poll_timeout(&p->ice);
    if (at == TIME_NEVER)
        return -1;
    return at <= now ? 0 : (int)time_min((at - now) / NS_PER_MS + 1, 1000);
}

static void handle_timeout(struct peer *p)
{
    time_ns now = clock_now();

    if (is_node(p) && now >= node_poll_timeout(&p->node))
        node_handle_timeout(&p->node, now);
    else if (!is_node(p) && p->begun && now >= ice_poll_timeout(&p->ice))
        ice_handle_timeout(&p->ice, now);
    drain(p);
}

static void step(struct peer *p)
{
    struct pollfd fds[SOCKETS_MAX + 1];

    for (unsigned i = 0; i < p->count; i++)
        fds[i] = (struct pollfd){.fd = p->locals[i].fd, .events = POLLIN};
    fds[p->count] = (struct pollfd){.fd = p->quits ? -1 : STDIN_FILENO, .events = POLLIN};
    if (poll(fds, p->count + 1, wait_ms(p)) < 0 && errno != EINTR)
        die("poll: %s", strerror(errno));
    for (unsigned i = 0; i < p->count; i++) {
        if (fds[i].revents)
            take_datagrams(p, &p->locals[i]);
    }
    if (fds[p->count].revents)
        take_input(p);
    handle_timeout(p);
}

int main(int argc, char **argv)
{
    static struct peer p = {.kind = ICE_CLIENT};

    setvbuf(stdout, NULL, _IOLBF, 0);
    take_options(&p, argc, argv);
    init(&p);
    drain(&p);
    while (!p.quits || (is_node(&p) && !node_is_down(&p.node)))
        step(&p);
    node_fini(&p.node);
    ice_wipe(&p.ice);
    return 0;
}

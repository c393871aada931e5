/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An end of the ICE interoperation test that is libnice: one stream of one component, trickling. ice_lines.h has the lines.
 *
 *   nice_peer [-r] [-R] [-c] [-k] [-t] [-f] [-s RELAY_IP -p RELAY_PORT -u USERNAME -w PASSWORD] IP...
 *
 * -r: controls. -R: regular nomination, not aggressive. -c: consent freshness. -k: checks as keepalives. -t: TCP candidates, too. -f: relayed ones only. IP: the
 * local addresses, of which it takes candidates. Linked without our archives.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <nice/agent.h>

#include "tests/support/ice_lines.h"

enum {
    COMPONENT = 1
};

struct options {
    gboolean controls, checks_as_keepalives, tcp, relayed_only;
    NiceAgentOption flags;
    const char *relay, *username, *password;
    guint relay_port;
};

struct peer {
    GMainLoop *loop;
    NiceAgent *agent;
    guint stream;
    int status;
};

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fprintf(stderr, "nice_peer: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    exit(1);
}

/* ---- what the agent tells ---- */

static void on_candidate(NiceAgent *agent, NiceCandidate *candidate, gpointer data)
{
    gchar *line = nice_agent_generate_local_candidate_sdp(agent, candidate);

    (void)data;
    printf("%s\n", line + strlen("a="));
    g_free(line);
}

static void on_state(NiceAgent *agent, guint stream, guint component, guint state, gpointer data)
{
    (void)agent, (void)stream, (void)component, (void)data;
    printf("state %s\n", nice_component_state_to_string((NiceComponentState)state));
}

static const char *address_text(const NiceAddress *a, char out[80])
{
    char ip[NICE_ADDRESS_STRING_LEN];

    nice_address_to_string(a, ip);
    g_snprintf(out, 80, nice_address_ip_version(a) == 6 ? "[%s]:%u" : "%s:%u", ip,
               nice_address_get_port(a));
    return out;
}

static const char *type_text(const NiceCandidate *c)
{
    switch (c->type) {
    case NICE_CANDIDATE_TYPE_HOST:
        return "host";
    case NICE_CANDIDATE_TYPE_SERVER_REFLEXIVE:
        return "srflx";
    case NICE_CANDIDATE_TYPE_PEER_REFLEXIVE:
        return "prflx";
    case NICE_CANDIDATE_TYPE_RELAYED:
        return "relay";
    }
    return "?";
}

static void on_selected(NiceAgent *agent, guint stream, guint component, NiceCandidate *local,
                        NiceCandidate *remote, gpointer data)
{
    char a[80], b[80];

    (void)agent, (void)stream, (void)component, (void)data;
    printf("selected %s %s %s %s\n", address_text(&local->addr, a), address_text(&remote->addr, b),
           type_text(local), type_text(remote));
}

static void on_data(NiceAgent *agent, guint stream, guint component, guint len, gchar *bytes,
                    gpointer data)
{
    char text[ICE_DATA_TEXT_MAX + 1];

    (void)agent, (void)stream, (void)component, (void)data;
    if (ice_data_read(text, bytes, len))
        printf("data %s\n", text);
    else
        printf("data of %u bytes is damaged\n", len);
}

/* ---- what it is told ---- */

static void add_candidate(struct peer *p, const char *line)
{
    char *sdp = g_strconcat("a=", line, NULL);
    NiceCandidate *c = nice_agent_parse_remote_candidate_sdp(p->agent, p->stream, sdp);
    GSList list = {.data = c};

    if (!c || nice_agent_set_remote_candidates(p->agent, p->stream, COMPONENT, &list) != 1)
        printf("refused %s\n", line);
    if (c)
        nice_candidate_free(c);
    g_free(sdp);
}

static void send_text(struct peer *p, const char *text)
{
    uint8_t data[ICE_DATA_LEN];
    int sent;

    if (!ice_data_write(data, text))
        die("'%s' is too long", text);
    sent = nice_agent_send(p->agent, p->stream, COMPONENT, sizeof data, (const gchar *)data);
    if (sent != (int)sizeof data)
        printf("not sent %s\n", text);
}

static void take_line(struct peer *p, char *line)
{
    char *ufrag, *password;

    if (ice_line_credentials(line, &ufrag, &password)) {
        if (!nice_agent_set_remote_credentials(p->agent, p->stream, ufrag, password))
            die("credentials are refused");
    } else if (g_str_has_prefix(line, "candidate:")) {
        add_candidate(p, line);
    } else if (g_str_has_prefix(line, "send ")) {
        send_text(p, line + strlen("send "));
    } else if (strcmp(line, "quit") == 0) {
        p->status = 0;
        g_main_loop_quit(p->loop);
    } else {
        die("unknown command '%s'", line);
    }
}

static gboolean on_line(GIOChannel *channel, GIOCondition condition, gpointer data)
{
    struct peer *p = data;
    gchar *line;
    gsize end;

    (void)condition;
    if (g_io_channel_read_line(channel, &line, NULL, &end, NULL) != G_IO_STATUS_NORMAL) {
        g_main_loop_quit(p->loop);
        return G_SOURCE_REMOVE;
    }
    line[end] = '\0';
    take_line(p, line);
    g_free(line);
    return G_SOURCE_CONTINUE;
}

/* ---- its life ---- */

static void take_options(struct options *o, int argc, char **argv)
{
    int c;

    while ((c = getopt(argc, argv, "rRcktfs:p:u:w:")) != -1) {
        switch (c) {
        case 'r':
            o->controls = TRUE;
            break;
        case 'R':
            o->flags |= NICE_AGENT_OPTION_REGULAR_NOMINATION;
            break;
        case 'c':
            o->flags |= NICE_AGENT_OPTION_CONSENT_FRESHNESS;
            break;
        case 'k':
            o->checks_as_keepalives = TRUE;
            break;
        case 't':
            o->tcp = TRUE;
            break;
        case 'f':
            o->relayed_only = TRUE;
            break;
        case 's':
            o->relay = optarg;
            break;
        case 'p':
            o->relay_port = (guint)atoi(optarg);
            break;
        case 'u':
            o->username = optarg;
            break;
        case 'w':
            o->password = optarg;
            break;
        default:
            die("wrong usage");
        }
    }
    if (o->relay && (!o->relay_port || !o->username || !o->password))
        die("a relay has a port, a user name and a password");
}

static void add_addresses(struct peer *p, char **texts)
{
    for (; *texts; texts++) {
        NiceAddress a;

        nice_address_init(&a);
        if (!nice_address_set_from_string(&a, *texts) ||
            !nice_agent_add_local_address(p->agent, &a))
            die("bad address '%s'", *texts);
    }
}

static void begin(struct peer *p, const struct options *o, char **addresses)
{
    gchar *ufrag, *password;

    p->agent =
        nice_agent_new_full(g_main_loop_get_context(p->loop), NICE_COMPATIBILITY_RFC5245, o->flags);
    g_object_set(p->agent, "controlling-mode", o->controls, "upnp", FALSE, "ice-tcp", o->tcp,
                 "keepalive-conncheck", o->checks_as_keepalives, "force-relay", o->relayed_only,
                 NULL);
    g_signal_connect(p->agent, "new-candidate-full", G_CALLBACK(on_candidate), p);
    g_signal_connect(p->agent, "component-state-changed", G_CALLBACK(on_state), p);
    g_signal_connect(p->agent, "new-selected-pair-full", G_CALLBACK(on_selected), p);
    add_addresses(p, addresses);
    p->stream = nice_agent_add_stream(p->agent, 1);
    if (o->relay &&
        !nice_agent_set_relay_info(p->agent, p->stream, COMPONENT, o->relay, o->relay_port,
                                   o->username, o->password, NICE_RELAY_TYPE_TURN_UDP))
        die("the relay is refused");
    if (!nice_agent_attach_recv(p->agent, p->stream, COMPONENT, g_main_loop_get_context(p->loop),
                                on_data, p) ||
        !nice_agent_get_local_credentials(p->agent, p->stream, &ufrag, &password))
        die("no stream");
    printf("ufrag %s password %s\n", ufrag, password);
    g_free(ufrag);
    g_free(password);
    if (!nice_agent_gather_candidates(p->agent, p->stream))
        die("no candidates");
}

static void on_closed(GObject *agent, GAsyncResult *result, gpointer data)
{
    struct peer *p = data;

    (void)agent, (void)result;
    g_main_loop_quit(p->loop);
}

int main(int argc, char **argv)
{
    struct options o = {.flags = NICE_AGENT_OPTION_ICE_TRICKLE};
    struct peer p = {.status = 1};
    GIOChannel *in;

    setvbuf(stdout, NULL, _IOLBF, 0);
    take_options(&o, argc, argv);
    p.loop = g_main_loop_new(NULL, FALSE);
    begin(&p, &o, argv + optind);
    in = g_io_channel_unix_new(STDIN_FILENO);
    g_io_add_watch(in, G_IO_IN | G_IO_HUP, on_line, &p);
    g_main_loop_run(p.loop);
    nice_agent_close_async(p.agent, on_closed, &p);
    g_main_loop_run(p.loop);
    g_io_channel_unref(in);
    g_object_unref(p.agent);
    g_main_loop_unref(p.loop);
    return p.status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What --help prints: lines of at most 80 characters. */
#include "control/options_private.h"

/* Parts of both programs' texts. */
#define OPTIONS_HELP_TUNNEL                                                                        \
    "The tunnel:\n"                                                                                \
    "      --tun NAME             network interface (default: tun-firezone)\n"                     \
    "      --workers N            1 to 64 threads (default: one per usable CPU)\n"                 \
    "      --io KIND              auto, uring or epoll (default: auto)\n"                          \
    "      --crypto KIND          auto, avx512 or boringssl (default: auto)\n"                     \
    "      --helpers KIND         workers help one that cannot keep up: auto, off or\n"            \
    "                             always (default: auto)\n"                                        \
    "      --source-ip KIND       how encrypted packets stay out of the tunnel: mark\n"            \
    "                             (default) or resolve\n"                                          \
    "      --no-steering          no BPF programs that spread packets over workers\n"              \
    "      --no-offload           no segmentation offloads\n"                                      \
    "Its sockets' buffers have as many bytes as FIREZONE_UDP_SEND_BUFFER_SIZE and\n"               \
    "FIREZONE_UDP_RECV_BUFFER_SIZE say (default: 2 and 16 MiB).\n"
#define OPTIONS_HELP_WITHOUT_EFFECT                                                                \
    "Accepted without effect, as this program measures nothing and sends nothing\n"                \
    "about its use: --no-telemetry (FIREZONE_NO_TELEMETRY), --metrics KIND\n"                      \
    "(FIREZONE_METRICS), --otlp-grpc-endpoint HOST:PORT (OTLP_GRPC_ENDPOINT).\n"
#define OPTIONS_HELP_EXIT_CODES                                                                    \
    "Exit code: 0 after SIGTERM or SIGINT, 2 for wrong usage, 77 if the portal\n"                  \
    "rejects the token (1 with FIREZONE_COMPAT_EXIT=true), 1 for any other error.\n"

const char options_help_client[] =
    "Usage: " OPTIONS_PROGRAM " [OPTION]... [COMMAND]\n"
    "       " OPTIONS_PROGRAM " --help | --version\n"
    "\n"
    "Without a command it connects this machine to Firezone and stays in the\n"
    "foreground until SIGTERM or SIGINT. The token comes from the variable\n"
    "FIREZONE_TOKEN, from a systemd credential of that name, or from a file.\n"
    "\n"
    "Commands:\n"
    "  sign-in      get a token with a web browser and store it\n"
    "  sign-out     remove the stored token\n"
    "  wireguard    run a plain WireGuard tunnel from a wg-quick style file\n"
    "\n"
    "'" OPTIONS_PROGRAM " COMMAND --help' lists the options of a command. Those\n"
    "below stand before the command; each may also be given by the variable that\n"
    "follows it, and a flag counts more than a variable.\n"
    "\n"
    "  -i, --firezone-id ID       identifier of this device, FIREZONE_ID\n"
    "                             (default: derived from that of the machine)\n"
    "      --firezone-name NAME   its name for people, FIREZONE_NAME\n"
    "                             (default: the host's name)\n"
    "      --token-path FILE      FIREZONE_TOKEN_PATH; owner and group must be root,\n"
    "                             the mode 0400 or 0600\n"
    "                             (default: /etc/dev.firezone.client/token)\n"
    "      --ca-file FILE         certificates to trust beside those of the system,\n"
    "                             FIREZONE_CA_FILE\n"
    "  -m, --max-partition-time DURATION\n"
    "                             end after so long without the portal, such as 5m,\n"
    "                             1h30m or 30d; MAX_PARTITION_TIME or\n"
    "                             FIREZONE_MAX_PARTITION_TIME (default: never)\n"
    "      --dns-control METHOD   disabled, etc-resolv-conf or systemd-resolved;\n"
    "                             FIREZONE_DNS_CONTROL (default: what the system has)\n"
    "      --activate-internet-resource\n"
    "                             all traffic through the tunnel if that is allowed,\n"
    "                             FIREZONE_ACTIVATE_INTERNET_RESOURCE\n"
    "\n"
    "The log, on the standard output:\n"
    "      --log-level FILTER     error, warn, info, debug, trace or off, or a list\n"
    "                             of TARGET=LEVEL; RUST_LOG or FIREZONE_LOG\n"
    "                             (default: info)\n"
    "      --log-format FORMAT    text or json, FIREZONE_LOG_FORMAT (default: text)\n"
    "  -l, --log-dir DIR          also into files there, LOG_DIR\n"
    "      --flow-logs            record flows even if the portal does not ask for\n"
    "                             it, FIREZONE_FLOW_LOGS\n"
    "\n" OPTIONS_HELP_TUNNEL "\n"
    "For tests and development:\n"
    "  -u, --api-url URL          the portal, FIREZONE_API_URL\n"
    "                             (default: " OPTIONS_API_URL_DEFAULT ")\n"
    "      --check                check options, token and device, then end\n"
    "      --exit                 end with success once the tunnel is up\n"
    "      --inc-buf              raise the system's limits of socket buffers,\n"
    "                             FIREZONE_INC_BUF\n"
    "\n" OPTIONS_HELP_WITHOUT_EFFECT "\n"
    "Signals: SIGHUP takes new sockets after a network change, SIGUSR1 logs the\n"
    "counters.\n" OPTIONS_HELP_EXIT_CODES;

const char options_help_gateway[] =
    "Usage: " OPTIONS_PROGRAM_GATEWAY " [OPTION]...\n"
    "       " OPTIONS_PROGRAM_GATEWAY " --help | --version\n"
    "\n"
    "Connects this machine to Firezone as a gateway and stays in the foreground\n"
    "until SIGTERM or SIGINT. The token comes from the variable FIREZONE_TOKEN or\n"
    "from a systemd credential of that name. Each option may also be given by the\n"
    "variable that follows it, and a flag counts more than a variable.\n"
    "\n"
    "  -i, --firezone-id ID       identifier of this gateway, FIREZONE_ID\n"
    "                             (default: derived from that of the machine)\n"
    "  -n, --firezone-name NAME   its name for people, FIREZONE_NAME\n"
    "                             (default: the host's name)\n"
    "      --ca-file FILE         certificates to trust beside those of the system,\n"
    "                             FIREZONE_CA_FILE\n"
    "  -m, --max-partition-time DURATION\n"
    "                             end after so long without the portal, such as 5m,\n"
    "                             1h30m or 30d; FIREZONE_MAX_PARTITION_TIME\n"
    "                             (default: 24h)\n"
    "      --no-inc-buf           leave the system's limits of socket buffers as they\n"
    "                             are, FIREZONE_NO_INC_BUF\n"
    "      --no-forwarding        leave it to others that this host forwards and\n"
    "                             masquerades what clients send,\n"
    "                             FIREZONE_NO_FORWARDING\n"
    "\n"
    "The log, on the standard output:\n"
    "      --log-level FILTER     error, warn, info, debug, trace or off, or a list\n"
    "                             of TARGET=LEVEL; RUST_LOG or FIREZONE_LOG\n"
    "                             (default: info)\n"
    "      --log-format FORMAT    text or json, FIREZONE_LOG_FORMAT (default: text)\n"
    "  -l, --log-dir DIR          also into files there, LOG_DIR\n"
    "      --flow-logs            record flows even if the portal does not ask for\n"
    "                             it, FIREZONE_FLOW_LOGS\n"
    "\n" OPTIONS_HELP_TUNNEL "\n"
    "For tests and development:\n"
    "  -u, --api-url URL          the portal, FIREZONE_API_URL\n"
    "                             (default: " OPTIONS_API_URL_DEFAULT ")\n"
    "      --check                check options, token and gateway id, then end\n"
    "      --no-check             do not look at the start whether the process may\n"
    "                             configure the network\n"
    "      --exit                 end with success once the tunnel is up\n"
    "\n" OPTIONS_HELP_WITHOUT_EFFECT "\n"
    "Signals: SIGHUP reads the system's resolvers anew, SIGUSR1 logs the counters.\n" OPTIONS_HELP_EXIT_CODES;

const char options_help_sign_in[] =
    "Usage: " OPTIONS_PROGRAM " [--token-path FILE] sign-in [OPTION]...\n"
    "\n"
    "Shows the address of a page to sign in on with a web browser, asks for the\n"
    "token that the page then shows, and stores it for later runs. If the standard\n"
    "input is no terminal, the token is read from there. Needs root.\n"
    "\n"
    "      --auth-base-url URL    where to sign in, FIREZONE_AUTH_BASE_URL\n"
    "                             (default: " OPTIONS_AUTH_URL_DEFAULT ")\n"
    "      --account-slug SLUG    the account, FIREZONE_ACCOUNT_SLUG\n"
    "  -h, --help                 this text\n";

const char options_help_sign_out[] =
    "Usage: " OPTIONS_PROGRAM " [--token-path FILE] sign-out [OPTION]...\n"
    "\n"
    "Removes the stored token. A client that runs goes on until it is stopped.\n"
    "\n"
    "  -f, --force                do not ask\n"
    "  -h, --help                 this text\n";

const char options_help_wireguard[] =
    "Usage: " OPTIONS_PROGRAM " wireguard --config FILE [OPTION]...\n"
    "\n"
    "Runs a WireGuard tunnel in the foreground until SIGTERM or SIGINT.\n"
    "'wg show', 'wg set' and 'wg syncconf' work on it.\n"
    "\n"
    "  -c, --config FILE      configuration in the format of wg-quick (required)\n"
    "      --check            check the configuration and exit\n"
    "      --tun NAME         name of the network interface\n"
    "                         (default: that of FILE without .conf)\n"
    "      --workers N        worker threads, 1 to 64 (default: one per usable CPU)\n"
    "      --io KIND          auto, uring or epoll (default: auto)\n"
    "      --crypto KIND      auto, avx512 or boringssl (default: auto)\n"
    "      --helpers KIND     workers help one that cannot keep up: auto, off or\n"
    "                         always (default: auto)\n"
    "      --source-ip KIND   how encrypted packets stay out of the tunnel:\n"
    "                         mark (firewall mark and rules, default) or\n"
    "                         resolve (explicit source address and interface)\n"
    "      --no-steering      no BPF programs that spread packets over workers\n"
    "      --no-offload       no segmentation offloads\n"
    "      --dns-control METHOD\n"
    "                         how the system is made to ask the DNS servers of FILE:\n"
    "                         disabled, etc-resolv-conf or systemd-resolved\n"
    "                         (default: what the system has)\n"
    "      --log-level LEVEL  error, warn, info, debug or trace (default: info)\n"
    "  -h, --help             this text\n"
    "\n"
    "Signals: SIGHUP takes new sockets after a network change, SIGUSR1 logs the\n"
    "counters. Exit code: 0 after SIGTERM or SIGINT, 2 for wrong usage, 1 for\n"
    "any other error.\n";

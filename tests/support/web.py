#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A web server of files that everybody can work out, and who fetches them.

  web.py serve PORT ADDRESS...             GET /N gives N bytes, which are the same at all servers of the same NAME: /N/NAME
  web.py sum N NAME                        the SHA-256 of these
  web.py fetch URL [LOCAL_PORT]            prints how many bytes came, their SHA-256, from where, and how many milliseconds it
                                           took from the question for the name on; 1 and why if it breaks. Of the addresses
                                           of a name the first that lets it connect
  web.py connect HOST PORT [4|6]           how that goes, and the address: "open", "refused", "silence" (3 s), or, by ICMP, "no-net",
                                           "no-host" (IPv4: also prohibited), "prohibited" (IPv6)

Each request to the server is one line on its standard output: who asked, as it sees them, and for what."""
import errno
import hashlib
import http.client
import http.server
import socket
import sys
import threading
import time
import urllib.parse

CHUNK = 64 << 10
SILENCE = 3
PATIENCE = 30


def chunks(n, name):
    for number in range((n + CHUNK - 1) // CHUNK):
        data = hashlib.shake_128(f"{name} {number}".encode()).digest(CHUNK)
        yield data[:n - number * CHUNK]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        _, n, name = (self.path + "/").split("/")[:3]
        if not n.isdigit():
            return self.send_error(404)
        print(self.client_address[0], self.path, flush=True)
        self.send_response(200)
        self.send_header("Content-Length", n)
        self.end_headers()
        for chunk in chunks(int(n), name):
            self.wfile.write(chunk)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        print(client_address[0], "broken off:", sys.exc_info()[1], flush=True)


class Server6(Server):
    address_family = socket.AF_INET6

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()


def serve(port, *addresses):
    threads = []
    for address in addresses:
        server = (Server6 if ":" in address else Server)((address, int(port)), Handler)
        threads.append(threading.Thread(target=server.serve_forever))
    for thread in threads:
        thread.start()
    print("ready", flush=True)


def addresses_of(host, port, family="any"):
    family = {"4": socket.AF_INET, "6": socket.AF_INET6, "any": socket.AF_UNSPEC}[family]
    return [(it[0], it[4]) for it in socket.getaddrinfo(host, int(port), family, socket.SOCK_STREAM)]


def open_connection(family, address, patience, local_port=0):
    s = socket.socket(family, socket.SOCK_STREAM)
    try:
        s.settimeout(patience)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # several may have the port
        s.bind(("", local_port))
        s.connect(address)
    except BaseException:
        s.close()
        raise
    return s


def open_first(addresses, local_port):
    for left, (family, address) in zip(range(len(addresses) - 1, -1, -1), addresses):
        try:
            s = open_connection(family, address, SILENCE * 3, local_port)
            s.settimeout(PATIENCE)
            return s
        except OSError:
            if left == 0:
                raise
    return None


def fetch(url, local_port="0"):
    where = urllib.parse.urlsplit(url)
    digest, n, begun = hashlib.sha256(), 0, time.monotonic()
    connection = http.client.HTTPConnection(where.hostname)
    connection.sock = open_first(addresses_of(where.hostname, where.port or 80), int(local_port))
    peer = connection.sock.getpeername()[0]
    connection.request("GET", where.path)
    reply = connection.getresponse()
    if reply.status != 200:
        sys.exit(f"{url}: status {reply.status}")
    while data := reply.read(CHUNK):
        digest.update(data)
        n += len(data)
    print(n, digest.hexdigest(), peer, round((time.monotonic() - begun) * 1000))


def connect(host, port, wanted="any"):
    said = {errno.ECONNREFUSED: "refused", errno.ENETUNREACH: "no-net", errno.EHOSTUNREACH: "no-host",
            errno.EACCES: "prohibited", errno.ETIMEDOUT: "silence"}
    family, address = addresses_of(host, port, wanted)[0]
    try:
        open_connection(family, address, SILENCE).close()
        result = "open"
    except TimeoutError:
        result = "silence"
    except OSError as e:
        result = said.get(e.errno, str(e))
    print(result, address[0])


def total(n, name):
    digest = hashlib.sha256()
    for chunk in chunks(int(n), name):
        digest.update(chunk)
    print(digest.hexdigest())


if __name__ == "__main__":
    try:
        {"serve": serve, "sum": total, "fetch": fetch, "connect": connect}[sys.argv[1]](*sys.argv[2:])
    except (OSError, http.client.HTTPException) as e:
        sys.exit(f"{sys.argv[2]}: {e}")

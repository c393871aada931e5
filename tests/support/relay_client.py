#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# A client of the development relay that knows nothing of our own STUN code: one family after the other it allocates, binds channels,
# gets data to an echo server and back, meets faults, refreshes and deletes; then two of it reach each other by relayed addresses.
# Prints a line per step; the first that fails ends it.
#
#   relay_client.py FZRELAY CONTROL SECRET USERNAME PASSWORD ECHO_PORT SERVER4 SERVER6 PUBLIC4 PUBLIC6 PEER4 PEER6
import base64
import hashlib
import hmac
import ipaddress
import json
import os
import socket
import struct
import subprocess
import sys

COOKIE = 0x2112A442
BINDING, ALLOCATE, REFRESH, CHANNEL_BIND = 1, 3, 4, 9
USERNAME, INTEGRITY, ERROR, CHANNEL, LIFETIME = 6, 8, 9, 0xC, 0xD
PEER, REALM, NONCE, RELAYED, TRANSPORT, MAPPED = 0x12, 0x14, 0x15, 0x16, 0x19, 0x20
ADDITIONAL, SOFTWARE = 0x8000, 0x8022


def check(condition, *what):
    if not condition:
        raise SystemExit("relay_client: " + " ".join(str(w) for w in what))


def attribute(kind, value):
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def mask(packed, transaction):
    pad = struct.pack(">I", COOKIE) + transaction
    return bytes(a ^ b for a, b in zip(packed, pad))


def xor_address(host, port, transaction):
    ip = ipaddress.ip_address(host)
    return struct.pack(">BBH", 0, 1 if ip.version == 4 else 2, port ^ COOKIE >> 16) + mask(ip.packed, transaction)


def read_address(value, transaction):
    port = struct.unpack(">H", value[2:4])[0] ^ COOKIE >> 16
    return str(ipaddress.ip_address(mask(value[4:], transaction))), port


class Client:
    def __init__(self, server, username, password):
        self.server = server
        self.socket = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(server)
        self.socket.settimeout(2)
        self.username = username.encode()
        self.key = hashlib.md5(f"{username}:firezone:{password}".encode()).digest()
        self.nonce = b""

    def ask(self, method, body=None, authentic=True, answered=True):
        """The class of the answer (2 or 3) and its attributes, in order."""
        transaction = os.urandom(12)
        data = body(transaction) if body else b""
        data += attribute(SOFTWARE, b"test")
        if authentic:
            data += attribute(USERNAME, self.username) + attribute(REALM, b"firezone")
            if self.nonce:
                data += attribute(NONCE, self.nonce)
            head = struct.pack(">HHI", method, len(data) + 24, COOKIE) + transaction
            data += attribute(INTEGRITY, hmac.new(self.key, head + data, hashlib.sha1).digest())
        self.socket.send(struct.pack(">HHI", method, len(data), COOKIE) + transaction + data)
        if not answered:
            self.silent(0.3)
            return None
        return self.read(method, transaction, authentic)

    def silent(self, seconds):
        self.socket.settimeout(seconds)
        try:
            check(False, "an answer where none should be:", self.socket.recv(2048).hex())
        except TimeoutError:
            self.socket.settimeout(2)

    def read(self, method, transaction, authentic):
        answer = self.socket.recv(2048)
        kind, length, cookie = struct.unpack(">HHI", answer[:8])
        check(cookie == COOKIE and length == len(answer) - 20, "not STUN:", answer.hex())
        check(answer[8:20] == transaction, "another transaction")
        check(kind & ~0x110 == method and kind & 0x100, "another method:", hex(kind))
        attributes, at, signed = [], 20, False
        while at < len(answer):
            code, size = struct.unpack(">HH", answer[at : at + 4])
            value = answer[at + 4 : at + 4 + size]
            if code == INTEGRITY:
                head = answer[:2] + struct.pack(">H", at + 24 - 20) + answer[4:at]
                signed = hmac.new(self.key, head, hashlib.sha1).digest() == value
            attributes.append((code, value))
            at += 4 + size + -size % 4
        check(signed == authentic, "authentic:", signed)
        self.transaction = transaction
        for code, value in attributes:
            if code == NONCE:
                self.nonce = value
        return (3 if kind & 0x10 else 2), attributes

    def error(self, method, body=None):
        kind, attributes = self.ask(method, body)
        check(kind == 3, "a success where an error was expected")
        value = dict(attributes)[ERROR]
        return value[2] * 100 + value[3], [code for code, _ in attributes]

    def succeed(self, method, body=None, authentic=True):
        kind, attributes = self.ask(method, body, authentic)
        check(kind == 2, "an error:", attributes)
        return attributes

    def bind(self, channel, peer, port):
        return self.succeed(CHANNEL_BIND, lambda t: bind_body(channel, peer, port, t))

    def send(self, channel, payload):
        self.socket.send(struct.pack(">HH", channel, len(payload)) + payload)

    def receive(self):
        data = self.socket.recv(65535)
        channel, length = struct.unpack(">HH", data[:4])
        check(length == len(data) - 4, "channel data of another length")
        return channel, data[4:]

    def echo(self, channel, count, size):
        """Bursts there and back: nothing is lost, damaged or reordered."""
        for begin in range(0, count, 20):
            for i in range(begin, begin + 20):
                self.send(channel, struct.pack(">I", i) + bytes([i & 255]) * (size - 4))
            for i in range(begin, begin + 20):
                got = self.receive()
                check(got == (channel, struct.pack(">I", i) + bytes([i & 255]) * (size - 4)), "datagram", i, "is wrong")


def bind_body(channel, peer, port, transaction):
    return attribute(PEER, xor_address(peer, port, transaction)) + attribute(CHANNEL, struct.pack(">HH", channel, 0))


def allocate_body(_):
    return attribute(TRANSPORT, b"\x11\0\0\0") + attribute(ADDITIONAL, b"\x02\0\0\0")


def lifetime_body(seconds):
    return lambda _: attribute(LIFETIME, struct.pack(">I", seconds))


def step(*what):
    print(*what, flush=True)


def run(server, options):
    c = Client((server, 3478), options["username"], options["password"])

    def ctl(*words):
        command = [options["fzrelay"], "ctl", "--control", options["control"], *words]
        return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=10).stdout)

    attributes = c.succeed(BINDING, authentic=False)
    check([code for code, _ in attributes] == [SOFTWARE, MAPPED], "BINDING:", attributes)
    check(read_address(attributes[1][1], c.transaction) == c.socket.getsockname()[:2], "another mapped address")
    step("binding")

    code, order = c.error(ALLOCATE, allocate_body)
    check(code == 401 and order == [SOFTWARE, ERROR, REALM, NONCE, INTEGRITY], "challenge:", code, order)
    attributes = c.succeed(ALLOCATE, allocate_body)
    check([code for code, _ in attributes] == [SOFTWARE, RELAYED, RELAYED, MAPPED, LIFETIME, INTEGRITY], attributes)
    relayed = [read_address(value, c.transaction) for code, value in attributes if code == RELAYED]
    check(relayed[0][0] == options["public4"] and relayed[1][0] == options["public6"], "relayed:", relayed)
    check(relayed[0][1] == relayed[1][1] >= 49152, "ports:", relayed)
    check(c.error(ALLOCATE, allocate_body)[0] == 437, "a second allocation")
    listing = ctl("list")["allocations"]
    check([a["port"] for a in listing] == [relayed[0][1]], "listed:", listing)
    step("allocation")

    for channel, peer in ((0x4000, options["peer4"]), (0x4FFF, options["peer6"])):
        c.bind(channel, peer, options["echo_port"])
        c.bind(channel, peer, options["echo_port"])
        code, _ = c.error(CHANNEL_BIND, lambda t: bind_body(channel ^ 1, peer, options["echo_port"], t))
        check(code == 400, "a second channel to the same peer:", code)
        for size in (4, 100, 1316, 1400):
            c.echo(channel, 100, size)
        step("data by", peer)
    # What the network cuts and joins again.
    c.send(0x4000, b"x" * 8000)
    check(c.receive() == (0x4000, b"x" * 8000), "a datagram in fragments")
    step("a large datagram")

    attributes = dict(c.succeed(REFRESH, lifetime_body(900)))
    check(struct.unpack(">I", attributes[LIFETIME])[0] == 900, "lifetime")
    check(700 < ctl("list")["allocations"][0]["seconds"] <= 900, "lifetime")
    step("refresh")

    ctl("freeze", "what=data")
    c.send(0x4000, b"lost")
    c.silent(0.3)
    ctl("freeze")
    c.ask(REFRESH, answered=False)
    ctl("thaw")
    c.echo(0x4000, 20, 100)
    ctl("expire-nonces")
    check(c.error(REFRESH)[0] == 438, "a stale nonce")
    c.succeed(REFRESH)
    ctl("fail", "code=508", "method=refresh")
    check(c.error(REFRESH)[0] == 508, "a planned error")
    step("faults")

    attributes = dict(c.succeed(REFRESH, lifetime_body(0)))
    check(struct.unpack(">I", attributes[LIFETIME])[0] == 0, "lifetime")
    c.send(0x4000, b"nobody")
    c.silent(0.3)
    check(c.error(REFRESH)[0] == 437, "an allocation that was deleted")
    c.succeed(ALLOCATE, allocate_body)
    check(ctl("drop", "all=true")["dropped"] == 1, "dropped")
    check(c.error(REFRESH)[0] == 437, "an allocation that was dropped")
    stats = ctl("stats")
    check(stats["allocations"] == 0 and stats["channels"] == 0, "left behind:", stats)
    step("deletion")


def credentials(secret, salt):
    expiry = 2145916800
    password = base64.b64encode(hashlib.sha256(f"{expiry}:{secret}:{salt}".encode()).digest()).decode().rstrip("=")
    return f"{expiry}:{salt}", password


def run_pair(options):
    """Relayed address to relayed address, on the same relay; one client by each family."""
    ends = []
    for name, server in (("one", options["server4"]), ("two", options["server6"])):
        c = Client((server, 3478), *credentials(options["secret"], name))
        check(c.error(ALLOCATE, allocate_body)[0] == 401, "challenge")
        attributes = c.succeed(ALLOCATE, allocate_body)
        ends.append((c, [read_address(value, c.transaction) for code, value in attributes if code == RELAYED]))
    (one, one_at), (two, two_at) = ends
    for family, channel in ((0, 0x4000), (1, 0x4001)):
        one.bind(channel, *two_at[family])
        one.send(channel, b"too early")
        two.silent(0.2)
        two.bind(channel + 16, *one_at[family])
        for sender, there, receiver, here in ((one, channel, two, channel + 16), (two, channel + 16, one, channel)):
            for i in range(20):
                sender.send(there, bytes([i]) * 1200)
            for i in range(20):
                check(receiver.receive() == (here, bytes([i]) * 1200), "datagram", i, "between relayed addresses")
    for c in (one, two):
        c.succeed(REFRESH, lifetime_body(0))
    step("relayed to relayed")


def main():
    names = ("fzrelay", "control", "secret", "username", "password", "echo_port", "server4", "server6", "public4", "public6", "peer4", "peer6")
    check(len(sys.argv) == len(names) + 1, "usage: relay_client.py", " ".join(name.upper() for name in names))
    options = dict(zip(names, sys.argv[1:]))
    options["echo_port"] = int(options["echo_port"])
    for server in (options["server4"], options["server6"]):
        step("server", server)
        run(server, options)
    run_pair(options)


main()

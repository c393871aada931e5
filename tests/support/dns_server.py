#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A DNS server for the net tests: dns_server.py ADDRESS[,ADDRESS]... FLAGS_FILE NAME=DATA...

Answers for the given names by UDP and TCP at port 53 of each address; all else has no such name. DATA is an address, txt:TEXT or
srv:PRIORITY/WEIGHT/PORT/NAME. Each query is one line on standard output: udp or tcp, A or other, the name.

Words in FLAGS_FILE, as long as they are there: `truncate`, answers by UDP are cut; `silent-udp`, `silent-tcp`, there are none by
this way; `slow`, each comes after 50 ms."""
import ipaddress
import socket
import struct
import sys
import threading
import time


def answer(query, names, truncate):
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("ascii", "replace").lower())
        at += 1 + query[at]
    name, question = ".".join(labels), query[12:at + 5]
    kind = struct.unpack("!H", query[at + 1:at + 3])[0]
    found = [data for its_kind, data in names.get(name, []) if its_kind == kind]
    flags, code = 0x8180, 0 if name in names else 3
    if truncate:
        flags, found, code = flags | 0x0200, [], 0
    head = query[:2] + struct.pack("!HHHHH", flags | code, 1, len(found), 0, 0)
    body = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data for data in found)
    return {1: "A", 28: "AAAA"}.get(kind, str(kind)) + " " + name, head + question + body


def record(text):
    """The type and the data of a record."""
    if text.startswith("txt:"):
        return 16, bytes([len(text) - 4]) + text[4:].encode("ascii")
    if text.startswith("srv:"):
        *numbers, target = text[4:].split("/")
        labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in target.split("."))
        return 33, struct.pack("!3H", *map(int, numbers)) + labels + b"\0"
    address = ipaddress.ip_address(text)
    return {4: 1, 6: 28}[address.version], address.packed


def wants(word, flags):
    try:
        with open(flags, encoding="ascii") as f:
            return word in f.read().split()
    except FileNotFoundError:
        return False


def serve_udp(sock, names, flags):
    while True:
        query, peer = sock.recvfrom(4096)
        try:
            text, reply = answer(query, names, wants("truncate", flags))
        except (IndexError, struct.error):
            continue
        print("udp", text, flush=True)
        if wants("slow", flags):
            time.sleep(0.05)
        if not wants("silent-udp", flags):
            sock.sendto(reply, peer)


def serve_tcp(listener, names, flags):
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=serve_connection, args=(peer, names, flags), daemon=True).start()


def serve_connection(peer, names, flags):
    with peer, peer.makefile("rwb") as stream:
        while len(head := stream.read(2)) == 2:
            text, reply = answer(stream.read(struct.unpack("!H", head)[0]), names, False)
            print("tcp", text, flush=True)
            if wants("silent-tcp", flags):
                continue
            if wants("slow", flags):
                time.sleep(0.05)
            stream.write(struct.pack("!H", len(reply)) + reply)
            stream.flush()


def main():
    names = {}
    for it in sys.argv[3:]:
        name, data = it.split("=", 1)
        names.setdefault(name, []).append(record(data))
    threads = []
    for address in sys.argv[1].split(","):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        udp, tcp = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.bind((address, 53))
        tcp.bind((address, 53))
        tcp.listen(16)
        threads.append(threading.Thread(target=serve_udp, args=(udp, names, sys.argv[2]), daemon=True))
        threads.append(threading.Thread(target=serve_tcp, args=(tcp, names, sys.argv[2]), daemon=True))
    for t in threads:
        t.start()
    print("ready", flush=True)
    for t in threads:
        t.join()


main()

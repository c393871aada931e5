#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Asks one DNS server: dns_ask.py SERVER udp|tcp NAME TYPE...

For each type one line with the code of the answer, "truncated" if it is, and its records' data, sorted: "NOERROR 192.0.2.1 192.0.2.2".
By TCP all types are asked for by one connection, one after the other before the first answer is read. A server that is silent for
5 s: "silence". An answer has to repeat the question as it was asked, upper and lower case included."""
import ipaddress
import socket
import struct
import sys

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "HTTPS": 65}
CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
SILENCE = 5


def query(number, name, kind):
    labels = [label.encode() for label in name.rstrip(".").split(".")]
    question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + question + struct.pack("!2H", TYPES[kind], 1)


def read_name(message, at):
    labels, after = [], None
    while message[at]:
        if message[at] >= 0xC0:
            after = after or at + 2
            at = struct.unpack_from("!H", message, at)[0] & 0x3FFF
            if len(labels) > 127:
                raise ValueError("a name without an end")
            continue
        labels.append(message[at + 1:at + 1 + message[at]].decode("ascii", "replace"))
        at += 1 + message[at]
    return ".".join(labels), after or at + 1


def read_data(message, at, length, kind):
    data = message[at:at + length]
    if kind in (TYPES["A"], TYPES["AAAA"]):
        return str(ipaddress.ip_address(data))
    if kind in (TYPES["PTR"], TYPES["CNAME"], TYPES["NS"]):
        return read_name(message, at)[0]
    if kind == TYPES["SRV"]:
        return "%d/%d/%d/%s" % (*struct.unpack_from("!3H", data), read_name(message, at + 6)[0])
    if kind == TYPES["TXT"]:
        return repr(data[1:1 + data[0]].decode("ascii", "replace"))
    return data.hex()


def describe(message, asked, kind):
    number, flags, questions, answers = struct.unpack_from("!4H", message)
    at, found = len(asked), []
    if number != struct.unpack_from("!H", asked)[0] or not flags & 0x8000 or questions != 1 or message[12:at] != asked[12:]:
        raise ValueError("not an answer to what was asked")
    for _ in range(answers):
        at = read_name(message, at)[1]
        has, _, _, length = struct.unpack_from("!2HIH", message, at)
        if has == TYPES[kind]:
            found.append(read_data(message, at + 10, length, has))
        at += 10 + length
    return " ".join([CODES.get(flags & 15, str(flags & 15))] + ["truncated"] * bool(flags & 0x0200) + sorted(found))


def receive(stream, n):
    data = b""
    while len(data) < n:
        more = stream.recv(n - len(data))
        if not more:
            raise ValueError("the connection ended")
        data += more
    return data


def main(server, protocol, name, *kinds):
    tcp = protocol == "tcp"
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as s:
        s.settimeout(SILENCE)
        s.connect((server, 53))
        asked = [query(0x4642 + i, name, kind) for i, kind in enumerate(kinds)]
        if tcp:
            s.sendall(b"".join(struct.pack("!H", len(q)) + q for q in asked))
        answers = {}
        for q in asked:
            if tcp:
                answer = receive(s, struct.unpack("!H", receive(s, 2))[0])
            else:
                s.send(q)
                answer = s.recv(4096)
            answers[answer[:2]] = answer
        for q, kind in zip(asked, kinds):
            print(describe(answers[q[:2]], q, kind))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except TimeoutError:
        print("silence")
    except (OSError, ValueError, KeyError, IndexError, struct.error) as e:
        sys.exit(f"{sys.argv[1]}: {e}")

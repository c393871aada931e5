#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packets that nobody would send.

  hostile.py client COUNT WHAT...             each COUNT times, through hostile_client (see there), which is to run on this host
  hostile.py link DEVICE MAC COUNT WHAT...    the same on a link, to the host that has this address there

WHAT, in one argument, is one of

  udp SOURCE DESTINATION PORT PORT      all addresses of one packet are of one family
  tcp SOURCE DESTINATION PORT PORT      a SYN
  dns SOURCE DESTINATION PORT PORT NAME TYPE    a question, the type by its number
  echo SOURCE DESTINATION               an ICMP echo request
  error SOURCE DESTINATION              an ICMP error, port unreachable, about a datagram from there to here
  other PROTOCOL SOURCE DESTINATION [BYTES]    of this IP protocol
  fragment SOURCE DESTINATION           the first one of a datagram
  event NUMBER BODY                     a control packet
  padded NUMBER LENGTH BODY             likewise, with spaces behind the body: so long as a whole
  short NUMBER LENGTH BODY              likewise, cut off after so many bytes; its header speaks of all
  hex BYTES"""
import ipaddress
import socket
import struct
import sys

PROTO_RAW = 253
INTO_THE_TUN = ("100.127.255.254", 0)  # any address that is routed there
UDP, TCP = 17, 6


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip(source, destination, protocol, payload, fragment=0):
    source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    if source.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + source.packed + destination.packed + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 7, fragment, 64, protocol, 0, source.packed, destination.packed)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def transport(source, destination, protocol, payload, at):
    """With its checksum, which stands at `at`."""
    source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    pseudo = source.packed + destination.packed + struct.pack("!IHBB", len(payload), 0, 0, protocol)
    if protocol == 1:
        pseudo = b""
    sum_ = checksum(pseudo + payload)
    return ip(str(source), str(destination), protocol, payload[:at] + struct.pack("!H", sum_) + payload[at + 2:])


def udp(source, destination, port, to, data=b"hostile"):
    return transport(source, destination, UDP, struct.pack("!4H", int(port), int(to), 8 + len(data), 0) + data, 6)


def tcp(source, destination, port, to):
    return transport(source, destination, TCP, struct.pack("!HHIIBBHHH", int(port), int(to), 1, 0, 5 << 4, 2, 1024, 0, 0), 16)


def dns(source, destination, port, to, name, kind):
    labels = b"".join(bytes([len(it)]) + it.encode() for it in name.split("."))
    return udp(source, destination, port, to, struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, int(kind), 1))


def icmp(source, destination, v4, v6, body):
    protocol, (kind, code) = (58, v6) if ":" in source else (1, v4)
    return transport(source, destination, protocol, struct.pack("!BBH", kind, code, 0) + body, 2)


def echo(source, destination):
    return icmp(source, destination, (8, 0), (128, 0), struct.pack("!HH", 77, 1) + b"hostile")


def error(source, destination):
    return icmp(source, destination, (3, 3), (1, 4), bytes(4) + udp(destination, source, 53, 4000))


def other(protocol, source, destination, data="00" * 16):
    return ip(source, destination, int(protocol), bytes.fromhex(data))


def fragment(source, destination):
    data = struct.pack("!4H", 4000, 80, 64, 0) + bytes(24)
    if ":" in source:
        return ip(source, destination, 44, struct.pack("!BBHI", UDP, 0, 1, 9) + data)
    return ip(source, destination, UDP, data, 0x2000)


def event(number, body):
    return ip("::", "::", 255, bytes([int(number)]) + bytes(7) + body.encode())


def padded(number, length, body):
    return event(number, body + " " * (int(length) - 48 - len(body)))


def short(number, length, body):
    return event(number, body)[:int(length)]


def by_client():
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, PROTO_RAW)
    return lambda packet: sock.sendto(packet, INTO_THE_TUN)


def by_link(device, mac):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
    to = bytes.fromhex(mac.replace(":", ""))
    return lambda packet: sock.sendto(packet, (device, 0x86dd if packet[0] >> 4 == 6 else 0x0800, 0, 0, to))


def main():
    ways = {"client": (by_client, 0), "link": (by_link, 2)}
    kinds = {it.__name__: it for it in (udp, tcp, dns, echo, error, other, fragment, event, padded, short)}
    kinds["hex"] = bytes.fromhex
    way, its_arguments = ways[sys.argv[1]]
    send = way(*sys.argv[2:2 + its_arguments])
    count, *packets = sys.argv[2 + its_arguments:]
    for what in packets:
        kind, rest = what.split(" ", 1)
        packet = kinds[kind](*rest.split(" ", {"event": 1, "padded": 2, "short": 2}.get(kind, -1)))
        for _ in range(int(count)):
            send(packet)


main()

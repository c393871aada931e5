#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A TCP transfer at a steady rate, for as long as a test wants: shows that a connection survives, and byte by byte.

  steady.py serve ADDRESS PORT SECONDS    sends 2 MiB/s to the first one who connects; prints the SHA-256 of what was sent
  steady.py fetch ADDRESS PORT            prints the SHA-256 of what came
"""
import hashlib
import socket
import sys
import time

CHUNK = 40 << 10
PERIOD = 0.02


def chunks(seconds):
    for number in range(int(seconds / PERIOD)):
        yield hashlib.shake_128(b"%d" % number).digest(CHUNK)


def serve(address, port, seconds):
    with socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
        listener.settimeout(20)
        connection, _ = listener.accept()
    digest = hashlib.sha256()
    with connection:
        connection.settimeout(30)
        due = time.monotonic()
        for chunk in chunks(seconds):
            connection.sendall(chunk)
            digest.update(chunk)
            due += PERIOD
            time.sleep(max(0, due - time.monotonic()))
    print(digest.hexdigest())


def fetch(address, port):
    digest = hashlib.sha256()
    with socket.create_connection((address, port), timeout=20) as connection:
        connection.settimeout(30)
        while data := connection.recv(1 << 16):
            digest.update(data)
    print(digest.hexdigest())


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    else:
        fetch(sys.argv[2], int(sys.argv[3]))

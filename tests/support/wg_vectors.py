#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints tests/support/wg_vectors.h: known answers for BLAKE2s, HMAC, KDF, the handshake and cookies.

An implementation independent of ours: BLAKE2s and HMAC from Python's standard library, X25519 and
ChaCha20-Poly1305 from the `cryptography` package, the rest from the WireGuard paper, section 5.4, line by line.
HChaCha20 (for XChaCha20) follows draft-irtf-cfrg-xchacha. Run: python3 wg_vectors.py > wg_vectors.h
"""
import hashlib
import hmac as hmac_module
import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305


def hash_(*parts):
    return hashlib.blake2s(b"".join(parts)).digest()


def mac(key, data):
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def hmac(key, data):
    return hmac_module.new(key, data, lambda d=b"": hashlib.blake2s(d)).digest()


def kdf(n, key, data):
    secret = hmac(key, data)
    outs, last = [], b""
    for i in range(1, n + 1):
        last = hmac(secret, last + bytes([i]))
        outs.append(last)
    return outs


def dh(private, public):
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


def public_of(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def seal(key, counter, plain, ad):
    return ChaCha20Poly1305(key).encrypt(b"\0\0\0\0" + struct.pack("<Q", counter), plain, ad)


def hchacha20(key, nonce16):
    words = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce16))

    def quarter(a, b, c, d):
        for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            words[x] = (words[x] + words[y]) & 0xFFFFFFFF
            words[z] ^= words[x]
            words[z] = (words[z] << n | words[z] >> (32 - n)) & 0xFFFFFFFF

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *(words[:4] + words[12:]))


def xseal(key, nonce24, plain, ad):
    sub = hchacha20(key, nonce24[:16])
    return ChaCha20Poly1305(sub).encrypt(b"\0\0\0\0" + nonce24[16:], plain, ad)


def emit(name, data):
    print(f"static const uint8_t {name}[{len(data)}] = {{")
    for i in range(0, len(data), 16):
        print("    " + " ".join(f"0x{b:02x}," for b in data[i:i + 16]))
    print("};")


def seq(start, n):
    return bytes((start + i) & 0xFF for i in range(n))


def blake2s_tables():
    lens = [0, 1, 31, 32, 63, 64, 65, 127, 128, 129, 191, 192, 193, 255]
    print("/* Input 00 01 02 ... of `len` bytes; keyed: with key 00 .. 1f, as the official blake2s-kat.txt. */")
    print("static const struct {\n    unsigned len;\n    uint8_t plain[32], keyed[32];\n} blake2s_kat[] = {")
    for n in lens:
        plain = hashlib.blake2s(seq(0, n)).digest()
        keyed = hashlib.blake2s(seq(0, n), key=seq(0, 32)).digest()
        rows = ["{" + ", ".join(f"0x{b:02x}" for b in d) + "}" for d in (plain, keyed)]
        print(f"    {{{n}, {rows[0]}, {rows[1]}}},")
    print("};")
    every = hashlib.blake2s()
    for n in range(256):
        every.update(hashlib.blake2s(seq(0, n), key=seq(0, 32)).digest())
    print("/* BLAKE2s of the 256 keyed digests of lengths 0..255, concatenated. */")
    emit("blake2s_kat_all", every.digest())
    print("/* HMAC with keys of 32 and 65 bytes (00 ..), data 80 .. of 50 bytes. */")
    emit("hmac_short_key", hmac(seq(0, 32), seq(0x80, 50)))
    emit("hmac_long_key", hmac(seq(0, 65), seq(0x80, 50)))
    print("/* KDF3 with key 00 .. 1f and input 80 .. of 32 bytes; KDF2 with an empty input. */")
    emit("kdf3", b"".join(kdf(3, seq(0, 32), seq(0x80, 32))))
    emit("kdf2_empty", b"".join(kdf(2, seq(0, 32), b"")))


def handshake():
    si, sr, ei, er = seq(0x11, 32), seq(0x47, 32), seq(0x83, 32), seq(0xC5, 32)
    psk = seq(0x21, 32)
    index_i, index_r = 0x11223344, 0xA1B2C3D4
    stamp = struct.pack(">QI", (1 << 62) + 37 + 1700000000, 123456789)
    si_pub, sr_pub, ei_pub, er_pub = (public_of(k) for k in (si, sr, ei, er))

    ck = hash_(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
    h = hash_(ck, b"WireGuard v1 zx2c4 Jason@zx2c4.com")
    h = hash_(h, sr_pub)
    msg = struct.pack("<II", 1, index_i) + ei_pub
    (ck,) = kdf(1, ck, ei_pub)
    h = hash_(h, ei_pub)
    ck, k = kdf(2, ck, dh(ei, sr_pub))
    static = seal(k, 0, si_pub, h)
    h = hash_(h, static)
    ck, k = kdf(2, ck, dh(si, sr_pub))
    sealed_stamp = seal(k, 0, stamp, h)
    h = hash_(h, sealed_stamp)
    msg += static + sealed_stamp
    mac1 = mac(hash_(b"mac1----", sr_pub), msg)
    initiation = msg + mac1 + bytes(16)

    nonce, secret = seq(0xE0, 24), seq(0x31, 32)
    cookie = mac(secret, bytes([192, 0, 2, 7]) + struct.pack(">H", 51820))
    reply = struct.pack("<II", 3, index_i) + nonce + xseal(hash_(b"cookie--", sr_pub), nonce, cookie, mac1)
    with_mac2 = msg + mac1 + mac(cookie, msg + mac1)

    (ck,) = kdf(1, ck, er_pub)
    h = hash_(h, er_pub)
    (ck,) = kdf(1, ck, dh(er, ei_pub))
    (ck,) = kdf(1, ck, dh(er, si_pub))
    ck, temp, k = kdf(3, ck, psk)
    h = hash_(h, temp)
    nothing = seal(k, 0, b"", h)
    msg = struct.pack("<III", 2, index_r, index_i) + er_pub + nothing
    response = msg + mac(hash_(b"mac1----", si_pub), msg) + bytes(16)
    t_i, t_r = kdf(2, ck, b"")

    print("/* A complete handshake. i: initiator, r: responder, s: static, e: ephemeral. */")
    for name, data in (
        ("hs_si", si), ("hs_sr", sr), ("hs_ei", ei), ("hs_er", er), ("hs_psk", psk), ("hs_timestamp", stamp),
        ("hs_si_public", si_pub), ("hs_sr_public", sr_pub),
        ("hs_initiation", initiation), ("hs_response", response), ("hs_initiator_send", t_i),
        ("hs_responder_send", t_r),
    ):
        emit(name, data)
    print(f"#define HS_INDEX_I 0x{index_i:08x}u\n#define HS_INDEX_R 0x{index_r:08x}u")
    print("/* A cookie reply to that initiation from 192.0.2.7:51820, and the initiation with its mac2. */")
    for name, data in (("hs_cookie_secret", secret), ("hs_cookie_nonce", nonce), ("hs_cookie", cookie),
                       ("hs_cookie_reply", reply), ("hs_initiation_mac2", with_mac2)):
        emit(name, data)
    print("/* A first data packet of the initiator: counter 0x0102030405060708, plaintext 00 .. of 40 bytes. */")
    emit("hs_data_sealed", seal(t_i, 0x0102030405060708, seq(0, 40), b""))


print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Known answers, printed by wg_vectors.py: see there for the source. Do not edit. */")
print("/* clang-format off */")
print("#ifndef FZ_TESTS_WG_VECTORS_H\n#define FZ_TESTS_WG_VECTORS_H\n\n#include <stdint.h>\n")
blake2s_tables()
handshake()
print("\n#endif")

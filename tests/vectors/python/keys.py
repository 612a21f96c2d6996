"""Private keys for tests, made from words: the same on every run, and nobody's.

    rsa("wise")           an RSA key of 2,048 bits      .sign(data, "sha256") .pss(data, "sha256") .public_pem .spki_base64 .jwk(kid)
    p256("sendgrid")      an ECDSA key on P-256         .sign(data, "sha256") (DER) .jose(data) (r and s) .public_pem .spki_base64 .jwk(kid)
    p521("truelayer")     likewise, with SHA-512 for .jose
    ed25519("telnyx")     an Ed25519 key                .sign(data) .public_raw .public_pem .spki_base64 .jwk(kid)
"""

from __future__ import annotations

import base64
import functools
import hashlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519 as _ed, padding, rsa as _rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HASHES = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}


def _b64url(number: bytes) -> str:
    return base64.urlsafe_b64encode(number).decode().rstrip("=")


def _stream(words: str, count: int) -> bytes:
    return hashlib.shake_256(words.encode()).digest(count)


def _is_prime(n: int) -> bool:
    if any(n % p == 0 for p in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)):
        return False
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for a in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        x = pow(a, d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def _prime(words: str, bits: int) -> int:
    n = int.from_bytes(_stream(words, bits // 8), "big") | (3 << (bits - 2)) | 1
    while not (_is_prime(n) and (n - 1) % 65537):
        n += 2
    return n


class _Key:
    def __init__(self, private):
        self.private = private
        self.public = private.public_key()

    @property
    def public_pem(self) -> str:
        return self.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def spki_base64(self) -> str:
        der = self.public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(der).decode()


class Rsa(_Key):
    def sign(self, data: bytes, name: str = "sha256") -> bytes:
        return self.private.sign(data, padding.PKCS1v15(), HASHES[name]())

    def pss(self, data: bytes, name: str = "sha256") -> bytes:
        how = padding.PSS(mgf=padding.MGF1(HASHES[name]()), salt_length=padding.PSS.DIGEST_LENGTH)
        return self.private.sign(data, how, HASHES[name]())

    def jwk(self, kid: str | None = None, alg: str = "RS256") -> dict:
        n = self.public.public_numbers().n
        e = self.public.public_numbers().e
        key = {"kty": "RSA", "use": "sig", "alg": alg, "n": _b64url(n.to_bytes((n.bit_length() + 7) // 8, "big")), "e": _b64url(e.to_bytes(3, "big"))}
        return {**key, "kid": kid} if kid else key


class Ecdsa(_Key):
    def sign(self, data: bytes, name: str = "sha256") -> bytes:
        return self.private.sign(data, ec.ECDSA(HASHES[name](), deterministic_signing=True))

    def jose(self, data: bytes) -> bytes:
        size = (self.private.key_size + 7) // 8
        r, s = decode_dss_signature(self.sign(data, "sha256" if size == 32 else "sha512"))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def jwk(self, kid: str | None = None) -> dict:
        numbers, size = self.public.public_numbers(), (self.private.key_size + 7) // 8
        curve, alg = ("P-256", "ES256") if size == 32 else ("P-521", "ES512")
        key = {"kty": "EC", "use": "sig", "alg": alg, "crv": curve, "x": _b64url(numbers.x.to_bytes(size, "big")), "y": _b64url(numbers.y.to_bytes(size, "big"))}
        return {**key, "kid": kid} if kid else key


class Ed25519(_Key):
    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data)

    @property
    def public_raw(self) -> bytes:
        return self.public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    def jwk(self, kid: str | None = None) -> dict:
        key = {"kty": "OKP", "use": "sig", "alg": "EdDSA", "crv": "Ed25519", "x": _b64url(self.public_raw)}
        return {**key, "kid": kid} if kid else key


@functools.cache
def rsa(words: str, bits: int = 2048) -> Rsa:
    p, q = _prime(f"{words} p", bits // 2), _prime(f"{words} q", bits // 2)
    d = pow(65537, -1, (p - 1) * (q - 1))
    numbers = _rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), _rsa.RSAPublicNumbers(65537, p * q))
    return Rsa(numbers.private_key())


@functools.cache
def p256(words: str) -> Ecdsa:
    return Ecdsa(ec.derive_private_key(int.from_bytes(_stream(words, 31), "big"), ec.SECP256R1()))


@functools.cache
def p521(words: str) -> Ecdsa:
    return Ecdsa(ec.derive_private_key(int.from_bytes(_stream(words, 64), "big"), ec.SECP521R1()))


@functools.cache
def ed25519(words: str) -> Ed25519:
    return Ed25519(_ed.Ed25519PrivateKey.from_private_bytes(_stream(words, 32)))

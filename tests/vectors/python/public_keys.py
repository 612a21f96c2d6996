"""Signatures and tokens under every algorithm and in every form of a key, made by `cryptography` and not by our code.

pip install cryptography && python public_keys.py > ../../../listener/rules/src/public/vectors.json

The keys are made for this and thrown away, so that each run writes others.
"""

import base64
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

BODY = b'{"type": "made", "id": "1"}'
CLAIMS = b'{"type":"made"}'


def b64(data):
    return base64.b64encode(data).decode()


def url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, length):
    return url(value.to_bytes(length, "big"))


def public(key, encoding, form):
    return key.public_key().public_bytes(encoding, form)


def pem(key):
    return public(key, Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def spki(key):
    return b64(public(key, Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def token(algorithm, sign):
    header = json.dumps({"alg": algorithm, "kid": "k1"}, separators=(",", ":"))
    signed = url(header.encode()) + "." + url(CLAIMS)
    return signed + "." + url(sign(signed.encode()))


def side_by_side(signature, length):
    r, s = decode_dss_signature(signature)
    return r.to_bytes(length, "big") + s.to_bytes(length, "big")


signatures = []
tokens = []


def signature(algorithm, form, key, made):
    signatures.append({"algorithm": algorithm, "format": form, "key": key, "signature": b64(made)})


large = rsa.generate_private_key(65537, 2048)
small = rsa.generate_private_key(65537, 1024)
numbers = large.public_key().public_numbers()
large_jwk = {"kty": "RSA", "kid": "k1", "use": "sig", "n": number(numbers.n, 256), "e": number(numbers.e, 3)}
pkcs1 = public(large, Encoding.PEM, PublicFormat.PKCS1).decode()
for name, digest in [("sha1", hashes.SHA1()), ("sha256", hashes.SHA256()), ("sha512", hashes.SHA512())]:
    made = large.sign(BODY, padding.PKCS1v15(), digest)
    signature(f"rsa_{name}", "pem", pem(large), made)
    signature(f"rsa_{name}", "pem", pkcs1, made)
    signature(f"rsa_{name}", "pem", pem(large).replace("\n", " "), made)
    signature(f"rsa_{name}", "spki_base64", spki(large), made)
    signature(f"rsa_{name}", "spki_base64", pem(large), made)
    signature(f"rsa_{name}", "jwks", json.dumps({"keys": [large_jwk]}), made)
signature("rsa_sha1", "spki_base64", spki(small), small.sign(BODY, padding.PKCS1v15(), hashes.SHA1()))
for name, digest in [("sha256", hashes.SHA256()), ("sha512", hashes.SHA512())]:
    for salt in [padding.PSS.DIGEST_LENGTH, padding.PSS.MAX_LENGTH]:
        made = large.sign(BODY, padding.PSS(padding.MGF1(digest), salt), digest)
        signature(f"rsa_pss_{name}", "pem", pem(large), made)

curve = ec.generate_private_key(ec.SECP256R1())
point = curve.public_key().public_numbers()
curve_jwk = {"kty": "EC", "crv": "P-256", "kid": "k1", "x": number(point.x, 32), "y": number(point.y, 32)}
for name, digest in [("sha256", hashes.SHA256()), ("sha1", hashes.SHA1())]:
    made = curve.sign(BODY, ec.ECDSA(digest))
    signature(f"ecdsa_p256_{name}", "pem", pem(curve), made)
    signature(f"ecdsa_p256_{name}", "spki_base64", spki(curve), made)
    signature(f"ecdsa_p256_{name}", "jwks", json.dumps(curve_jwk), made)

edwards = ed25519.Ed25519PrivateKey.generate()
raw = public(edwards, Encoding.Raw, PublicFormat.Raw)
edwards_jwk = {"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": url(raw)}
for form, key in [
    ("pem", pem(edwards)),
    ("spki_base64", spki(edwards)),
    ("raw_hex", raw.hex()),
    ("raw_base64", b64(raw)),
    ("raw_base64", url(raw)),
    ("jwks", json.dumps({"keys": [{"kty": "new"}, large_jwk, edwards_jwk]})),
]:
    signature("ed25519", form, key, edwards.sign(BODY))

wide = ec.generate_private_key(ec.SECP521R1())
point = wide.public_key().public_numbers()
wide_jwk = {"kty": "EC", "crv": "P-521", "kid": "k1", "x": number(point.x, 66), "y": number(point.y, 66)}
for algorithm, jwk, sign in [
    ("RS256", large_jwk, lambda data: large.sign(data, padding.PKCS1v15(), hashes.SHA256())),
    ("RS512", large_jwk, lambda data: large.sign(data, padding.PKCS1v15(), hashes.SHA512())),
    ("ES256", curve_jwk, lambda data: side_by_side(curve.sign(data, ec.ECDSA(hashes.SHA256())), 32)),
    ("ES512", wide_jwk, lambda data: side_by_side(wide.sign(data, ec.ECDSA(hashes.SHA512())), 66)),
    ("EdDSA", edwards_jwk, edwards.sign),
]:
    tokens.append({"algorithm": algorithm, "key": json.dumps({"keys": [jwk]}), "token": token(algorithm, sign)})

print(json.dumps({"body": BODY.decode(), "signatures": signatures, "tokens": tokens}, indent=1))

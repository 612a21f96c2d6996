"""More that many providers do alike: a time and a signature in one header, a token or a password sent as it is, a part of the body signed."""

from __future__ import annotations

import datetime

from harness import *
from providers.standard_webhooks import of
from signing import body_base64, body_hex, odd

FORM = "application/x-www-form-urlencoded"
AT = "2026-01-01T00:00:00Z"


def rfc3339(seconds: int, fraction: str = "") -> str:
    at = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def pairs(header: str, unit: int = 1, version: str = "v1", between: str = ","):
    """`t=…,v1=…` over time, a dot and the body, as Stripe began it."""

    def sign(r):
        t = r.now * unit
        return {header: f"t={t}{between}{version}=" + mac("sha256", r.key, f"{t}.", r.body).hex()}

    return sign


def standard_webhooks(connector: str, goods: list, prefix: str = "webhook", **rest):
    """A sender that keeps to Standard Webhooks. Those without an id get one."""
    for one in goods:
        one.headers.setdefault(f"{prefix}-id", "msg_1")
    of(connector, goods, prefix, **rest)


def shared_token(connector: str, sign, signature: str, goods: list, **rest):
    """A provider that sends the secret itself, and signs nothing of the body."""
    provider(connector, sign=sign, signature=signature, token=True, covers_body=False, goods=goods, **rest)


def basic(connector: str, user: str, goods: list, **rest):
    """HTTP basic authentication; the secret is the password."""

    def sign(r):
        return {"Authorization": "Basic " + b64(f"{user}:{r.key}")}

    provider(connector, sign=sign, signature="header:Authorization", covers_body=False, goods=goods, **rest)


class Altered:
    """Bodies that arrive as others than were signed, where only a part of the body is signed."""

    def __init__(self):
        self._signed = {}

    def body(self, arrives, signed) -> bytes:
        self._signed[raw(arrives)] = raw(signed)
        return raw(arrives)

    def signed(self, r) -> bytes:
        return self._signed.get(r.body, r.body)

"""What many providers do alike: sign the raw body; and a body that is easily got wrong."""

from __future__ import annotations

import json

from harness import b64, mac


def odd(value: dict) -> str:
    """The same object as a sender might write it who has a taste of its own: spaces, escapes, a price, a newline at the end."""
    return json.dumps(value)[:-1] + ', "note": "Z\\u00fcrich \u00fc \\/ <b>", "total": 12.50}\n'


def body_hex(header: str, prefix: str = "", hash: str = "sha256"):
    return lambda r: {header: prefix + mac(hash, r.key, r.body).hex()}


def body_base64(header: str, hash: str = "sha256"):
    return lambda r: {header: b64(mac(hash, r.key, r.body))}

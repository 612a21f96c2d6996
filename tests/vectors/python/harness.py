"""Makes vectors from what is known of how a provider signs, in Python, apart from the rules that hookplane runs.

A provider is described by a function that signs a request as its connector's `sources` say it does. From each good request this module makes
the tampered ones. Everything is fixed (keys, times, ids), so that the files come out the same byte for byte; RSA-PSS alone is salted.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac as _hmac
import json
import pathlib
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent

#: 2026-01-01T00:00:00Z, in seconds: the moment at which all requests arrive.
NOW = 1767225600
URL = "https://hooks.example.com/c/Zm9yLXRlc3RzLW9ubHk"
KEY = "synthetic-key-for-tests-only"
#: Another key. Base64 too, so that it is a key for every scheme; so is KEY_BASE64.
OTHER = "c3ludGhldGljLW90aGVyLWtleS1mb3ItdGVzdHM="
KEY_BASE64 = "c3ludGhldGljLWtleS1mb3ItdGVzdHMtb25seS0zMg=="
KEY_HEX = "73796e7468657469632d6b65792d666f722d74657374732d6f6e6c792d333221"
OTHER_HEX = "73796e7468657469632d6f746865722d6b65792d666f722d74657374732d3332"

BY = "a second implementation in Python"
#: Which of them the providers' libraries took, when they were last asked (`npm run judge`).
JUDGED = json.loads((OUT / "judges" / "judged.json").read_text())


# --- Primitives --------------------------------------------------------------------------------------------------------------------


def raw(text) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode()


def mac(name: str, key, *parts) -> bytes:
    """An HMAC over the parts, one after the other."""
    return _hmac.new(raw(key), b"".join(raw(part) for part in parts), name).digest()


def digest(name: str, *parts) -> bytes:
    return hashlib.new(name, b"".join(raw(part) for part in parts)).digest()


def b64(data) -> str:
    return base64.b64encode(raw(data)).decode()


def b64url(data) -> str:
    return base64.urlsafe_b64encode(raw(data)).decode().rstrip("=")


def unb64(text: str) -> bytes:
    return base64.b64decode(text)


def js(value) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def form(fields) -> bytes:
    return urllib.parse.urlencode(fields).encode()


def pct(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def jwt(algorithm: str, key, claims, header=None, payload: bytes | None = None) -> str:
    """A compact JWS. `key` is a secret, or a function from bytes to signature."""
    head = {"alg": algorithm, "typ": "JWT", **(header or {})}
    body = payload if payload is not None else js(claims)
    signed = f"{b64url(js(head))}.{b64url(body)}"
    sign = key if callable(key) else lambda data: mac("sha" + algorithm[2:], key, data)
    return f"{signed}.{b64url(sign(signed.encode()))}"


# --- Requests ----------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Request:
    """What `sign` gets: it adds headers, and may put the signature into body or query instead."""

    method: str
    url: str  # the group's callback URL, without a query
    query: str
    headers: dict
    body: bytes
    key: str  # the secret as pasted, or a private key's holder
    params: dict
    now: int  # seconds; the provider's clock

    @property
    def full_url(self) -> str:
        return f"{self.url}?{self.query}" if self.query else self.url

    @property
    def path(self) -> str:
        return urllib.parse.urlsplit(self.url).path

    @property
    def path_and_query(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


@dataclasses.dataclass
class Good:
    name: str
    body: bytes = b""
    headers: dict = dataclasses.field(default_factory=dict)
    method: str = "POST"
    query: str = ""
    type: str | None = None
    id: str | None = None
    account: str | None = None
    events: int | None = 1
    expect: str = "genuine"
    reply: str | None = None
    reply_json: object = None
    reply_status: int | None = None
    reply_headers: dict | None = None
    signed: bool = True  # False: `sign` is not called (an unsigned handshake)
    secrets: list | None = None  # what the group has instead of the provider's usual secret; none: it learns one


def good(name, body=b"", content_type="application/json", headers=None, **rest) -> Good:
    own = {"Content-Type": content_type} if content_type else {}
    return Good(name, raw(body), {**own, **(headers or {})}, **rest)


# --- Files -------------------------------------------------------------------------------------------------------------------------

_files: dict[str, list] = {}


def _case(connector, function, secrets, params, request: Request, name, expect, by, keys, **rest):
    text = None
    try:
        text = request.body.decode()
    except UnicodeDecodeError:
        pass
    case = {"name": name, "connector": connector}
    if function:
        case["function"] = function
    case["secrets"] = secrets
    if params:
        case["parameters"] = params
    case["callback_url"] = request.url
    case["method"] = request.method
    case["query"] = request.query
    case["headers"] = [[k, v] for k, v in request.headers.items()]
    if text is None:
        case["body_base64"] = b64(request.body)
    else:
        case["body"] = text
    case["now"] = NOW * 1000
    if expect is not None:
        case["expect"] = expect
    if by:
        judge = JUDGED.get(connector, {"cases": []})
        called = f"{function}/{name}" if function else name
        case["by"] = f"{by}; judged by {judge['by']}" if called in judge["cases"] else by
    if keys:
        case["keys"] = keys
    case.update({k: v for k, v in rest.items() if v is not None})
    _files.setdefault(connector, []).append(case)


def provider(
    connector: str,
    *,
    sign,
    goods: list[Good],
    signature: str | None = None,
    function: str = "",
    secret: str = KEY,
    other: str = OTHER,
    configured=None,
    other_configured=None,
    params: dict | None = None,
    covers_body: bool = True,
    covers: tuple = (),
    window: tuple | None = None,
    keys: dict | None = None,
    token: bool = False,
    by: str = BY,
    url: str = URL,
    unsigned_is: str | None = "signature",
    remote: bool = False,
    other_keys: dict | None = None,
):
    """One function of one provider.

    signature     where the signature is: `header:Name`, `query:name`, `form:name`, `json:name` (a top-level member), `body` (all of it, a token); `key`: deeper
                  in the body, so that only requests under other keys are made; None: nothing to tamper with
    secret        what `sign` gets as `request.key`; `configured` is what the group has instead, for public keys (secret: private, configured: public)
    other         another secret for `sign`; `other_configured` as above
    covers_body   False where the signature doesn't cover the body
    covers        names of headers that are signed: each is changed in turn
    window        (tolerance in seconds, kind): `both`, `age` or `past`. The request's `now` is moved; `sign` writes the time from `request.now`
    token         the signature is the secret itself: no key with a newline, no changed digit that could be another encoding of the same
    keys          what is found at URLs, for fetched keys: {url: text}. `remote=True`: the group has no secret then
    other_keys    what is found there when it is another's key
    unsigned_is   the clause that a request without its signature is refused with; None: any
    """
    params = params or {}
    shown = [] if remote else [configured if configured is not None else secret]
    shown_other = other_configured if other_configured is not None else other

    def make(one: Good, key=secret, now=NOW) -> Request:
        request = Request(one.method, url, one.query, dict(one.headers), one.body, key, params, now)
        if one.signed:
            added = sign(request)
            if added:
                request.headers.update(added)
        return request

    def add(request, name, expect, secrets=shown, by_=None, found=keys, **rest):
        _case(connector, function, secrets, params, request, name, expect, by_, found, **rest)

    for one in goods:
        add(
            make(one), one.name, one.expect, by_=by if one.signed else None, secrets=shown if one.secrets is None else one.secrets,
            expect_type=one.type, expect_delivery_id=one.id, expect_external_id=one.account,
            expect_events=one.events if one.expect == "genuine" else None,
            expect_reply=one.reply, expect_reply_json=one.reply_json, expect_status=one.reply_status, expect_headers=one.reply_headers,
        )
    first = next((one for one in goods if one.expect == "genuine" and one.signed), None)
    if first is None or signature is None:
        return
    request = make(first)

    def changed(name, change, expect="signature", **rest):
        bad = dataclasses.replace(request, headers=dict(request.headers))
        change(bad)
        add(bad, name, expect, **rest)

    kind, _, place = signature.partition(":")
    covers_body = covers_body and kind not in ("body", "key")

    def value(of: Request) -> str:
        if kind == "key":
            return secret
        if kind == "body":
            return of.body.decode()
        if kind == "header":
            return of.headers[place]
        if kind in ("query", "form"):
            text = of.query if kind == "query" else of.body.decode()
            return dict(urllib.parse.parse_qsl(text, keep_blank_values=True))[place]
        return json.loads(of.body)[place]

    def put(of: Request, text: str | None):
        if kind == "key":
            of.body = make(first, key=text).body
        elif kind == "body":
            of.body = raw(text or "")
        elif kind == "header":
            if text is None:
                del of.headers[place]
            else:
                of.headers[place] = text
        elif kind in ("query", "form"):
            source = of.query if kind == "query" else of.body.decode()
            pairs = [(k, text if k == place else v) for k, v in urllib.parse.parse_qsl(source, keep_blank_values=True)]
            encoded = urllib.parse.urlencode([(k, v) for k, v in pairs if v is not None])
            if kind == "query":
                of.query = encoded
            else:
                of.body = encoded.encode()
        else:
            tree = json.loads(of.body)
            if text is None:
                del tree[place]
            else:
                tree[place] = text
            of.body = js(tree)

    sent = value(request)
    if kind not in ("body", "key"):
        changed("signature missing", lambda r: put(r, None), unsigned_is)
    if kind != "key" or token:
        changed("signature empty", lambda r: put(r, ""))
        changed("signature cut off", lambda r: put(r, sent[: max(1, len(sent) // 2)]))
        changed("signature with something after it", lambda r: put(r, sent + ("x" if token else "00")))
    at = len(sent) // 2
    if kind == "key" and not token:
        pass
    elif token:
        changed("a letter of the token changed", lambda r: put(r, sent[:at] + ("x" if sent[at] != "x" else "y") + sent[at + 1 :]))
    else:
        digits = [i for i in range(len(sent) // 2, len(sent)) if sent[i].isalnum()]
        flip = digits[len(digits) // 3]
        swap = "0" if sent[flip] not in "0" else "1"
        changed("a digit of the signature changed", lambda r: put(r, sent[:flip] + swap + sent[flip + 1 :]))
    if covers_body and first.body and kind != "json":
        body = first.body
        middle = next(i for i in range(len(body) // 2, len(body)) if chr(body[i]).isalnum() and chr(body[i]) not in "xX")
        if kind == "form":
            changed("a field added", lambda r: setattr(r, "body", r.body + b"&added=1"), None)
        else:
            changed("one byte of the body changed", lambda r: setattr(r, "body", r.body[:middle] + b"x" + r.body[middle + 1 :]), None)
            changed("newline after the body", lambda r: setattr(r, "body", r.body + b"\n"), None)
            changed("empty body under a full one's signature", lambda r: setattr(r, "body", b""), None)
    for header in covers:
        text = request.headers[header]
        swap = ("1" if text[-1] != "1" else "2") if text[-1].isalnum() else "1"
        changed(f"{header} changed", lambda r: r.headers.__setitem__(header, text[:-1] + swap), None)
        changed(f"{header} missing", lambda r: r.headers.pop(header), None)
    add(make(first, key=other), "signed with another key", "signature")
    if remote:
        if other_keys:
            add(request, "another key is found there", "signature", found=other_keys)
    else:
        add(request, "another key configured", "signature", secrets=[shown_other])
        add(request, "no key configured", "signature", secrets=[])
        add(request, "second of two keys", "genuine", secrets=[shown_other, *shown])
    if not token and configured is None and isinstance(secret, str):
        add(make(first, key=secret + "\n") if secret == KEY else make(first, key=other), "key with a newline after it", "signature")
    if window:
        tolerance, which = window
        add(make(first, now=NOW - tolerance + 1), "just young enough", "genuine")
        add(make(first, now=NOW - tolerance - 2), "just too old", "timestamp")
        add(make(first, now=NOW - 86400 * 30), "a month old", "timestamp")
        ahead = "genuine" if which == "age" else "timestamp"
        add(make(first, now=NOW + tolerance + 3600), "an hour ahead", ahead)


def unsigned(connector: str, goods: list[Good], function: str = "", params: dict | None = None):
    """A provider that signs nothing: its requests are taken only by a group that says so. No tampered ones, for nothing is proven."""
    for one in goods:
        request = Request(one.method, URL, one.query, dict(one.headers), one.body, "", params or {}, NOW)
        _case(
            connector, function, [], params or {}, request, one.name, one.expect, None, None, accept_unsigned=True,
            expect_type=one.type, expect_delivery_id=one.id, expect_external_id=one.account,
            expect_events=one.events if one.expect == "genuine" else None, expect_reply=one.reply, expect_reply_json=one.reply_json,
            expect_status=one.reply_status, expect_headers=one.reply_headers,
        )
        if one.expect == "genuine":
            _case(connector, function, [], params or {}, request, f"{one.name}, and the group doesn't take unsigned ones", "signature", None, None)


def write():
    """One file per connector, one case a line."""
    for connector, cases in sorted(_files.items()):
        names = [case["name"] + case.get("function", "") for case in cases]
        doubles = {name for name in names if names.count(name) > 1}
        if doubles:
            raise SystemExit(f"{connector}: two cases are called {sorted(doubles)}")
        lines = ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases)
        (OUT / f"{connector}.json").write_text(f"[\n{lines}\n]\n")
    print(f"{len(_files)} connectors, {sum(map(len, _files.values()))} cases")

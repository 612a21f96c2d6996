"""Twitch to Vonage."""

import json

import keys as private
from habits import *

# --- Twitch ------------------------------------------------------------------------------------------------------------------------------


def twitch(r):
    at = rfc3339(r.now, ".123456789")
    r.headers.setdefault("Twitch-Eventsub-Message-Id", "m1")
    signed = mac("sha256", r.key, r.headers["Twitch-Eventsub-Message-Id"], at, r.body)
    return {"Twitch-Eventsub-Message-Timestamp": at, "Twitch-Eventsub-Message-Signature": "sha256=" + signed.hex()}


def sub(kind, **rest):
    return {"subscription": {"id": "s1", "type": kind, "condition": {"broadcaster_user_id": "1337"}}, **rest}


NOTE = {"Twitch-Eventsub-Message-Type": "notification", "Twitch-Eventsub-Message-Id": "m1"}
CHECK = {**NOTE, "Twitch-Eventsub-Message-Type": "webhook_callback_verification"}
REVOKED = {**NOTE, "Twitch-Eventsub-Message-Type": "revocation", "Twitch-Eventsub-Message-Id": "m3"}
provider(
    "twitch",
    sign=twitch,
    signature="header:Twitch-Eventsub-Message-Signature",
    covers=("Twitch-Eventsub-Message-Id", "Twitch-Eventsub-Message-Timestamp"),
    # The fraction of a second makes the oldest a little younger.
    window=(600, "age"),
    goods=[
        good("a stream", js(sub("stream.online", event={"id": "9001"})), headers=NOTE, type="stream.online", id="m1", account="1337"),
        good("a follower, oddly written", odd(sub("channel.follow", event={})), headers=NOTE, type="channel.follow", id="m1"),
        good("a revocation", js(sub("channel.follow")), headers=REVOKED, type="revocation.channel.follow", id="m3"),
        good("URL check", js(sub("stream.online", challenge="pogchamp-kappa-360noscope")), headers=CHECK, expect="handshake", reply="pogchamp-kappa-360noscope"),
        good("URL check nobody signed", js(sub("stream.online", challenge="x")), headers=CHECK, signed=False, expect="signature"),
        good("URL check with markup", js(sub("stream.online", challenge="<b>x</b>")), headers=CHECK, expect="handshake-refused"),
    ],
)

# --- X: posts, and checks that have a text signed. -----------------------------------------------------------------------------------------


def x(r):
    return {"x-twitter-webhooks-signature": "sha256=" + b64(mac("sha256", r.key, r.body))}


TOKEN = "MWFhMzBlYmItY2Q2NS00ZDVhLWI1YWYtYjI0ODZlMWJkYmI0"
CRC = good(
    "URL check", b"", None, method="GET", query=f"crc_token={TOKEN}&nonce=abc", signed=False, expect="handshake",
    reply_json={"response_token": "sha256=" + b64(mac("sha256", KEY, TOKEN))},
)
ORACLE = good("URL check that wants a body signed", b"", None, method="GET", query="crc_token=%7B%22for_user_id%22%3A%221%22%7D&nonce=abc", signed=False, expect="handshake-refused")
SIGNED = good("a token with its MAC as a callback", TOKEN, expect="signature")
provider(
    "twitter-x",
    sign=x,
    signature="header:x-twitter-webhooks-signature",
    goods=[
        good("a post", js({"for_user_id": "22", "tweet_create_events": [{"id_str": "105"}]}), type="tweet_create_events", id="tweet_create_events:105", account="22"),
        good(
            "two messages, oddly written", odd({"for_user_id": "22", "direct_message_events": [{"id": "95"}, {"id": "96"}], "users": {"1": {"id": "1"}}}),
            type="direct_message_events", id="direct_message_events:95", events=2,
        ),
        good("a permission taken back", js({"user_event": {"revoke": {"date_time": AT, "source": {"user_id": "63"}}}}), type="user_event"),
        CRC, ORACLE, SIGNED,
    ],
)
provider(
    "twitter-x",
    function="filtered-stream",
    sign=x,
    signature="header:x-twitter-webhooks-signature",
    goods=[
        good("a post", js({"data": {"id": "134", "text": "hi"}, "matching_rules": []}), type="post", id="134"),
        good("a post, oddly written", odd({"data": {"id": "135"}}), type="post", id="135"),
        CRC,
    ],
)

# --- Typeform, Uber, Unit ------------------------------------------------------------------------------------------------------------------

provider(
    "typeform",
    sign=lambda r: {"Typeform-Signature": "sha256=" + b64(mac("sha256", r.key, r.body))},
    signature="header:Typeform-Signature",
    goods=[
        good("a form", js({"event_id": "e1", "event_type": "form_response", "form_response": {"form_id": "f1"}}), type="form_response", id="e1", account="f1"),
        good("a part of one", odd({"event_id": "e2", "event_type": "form_response_partial"}), type="form_response_partial", id="e2"),
    ],
)
for function, kind in (("", "orders.notification"), ("stores", "store.provisioned")):
    provider(
        "uber",
        function=function,
        sign=body_hex("X-Uber-Signature"),
        signature="header:X-Uber-Signature",
        goods=[
            good(kind, js({"event_id": "e1", "event_type": kind, "meta": {"user_id": "u1"}}), type=kind, id="e1", account="u1"),
            good(f"{kind}, oddly written", odd({"event_id": "e2", "event_type": kind}), type=kind, id="e2"),
        ],
    )
provider(
    "uber",
    function="direct",
    sign=body_hex("X-Postmates-Signature"),
    signature="header:X-Postmates-Signature",
    goods=[good("a delivery", odd({"kind": "event.delivery_status", "id": "evt_1", "customer_id": "cus_1"}), type="event.delivery_status", id="evt_1", account="cus_1")],
)


def banked(kind, number):
    return {"id": number, "type": kind, "relationships": {"customer": {"data": {"id": "10000"}}}}


provider(
    "unit",
    sign=body_base64("X-Unit-Signature", hash="sha1"),
    signature="header:X-Unit-Signature",
    goods=[
        good("a transaction", js({"data": [banked("transaction.created", "1")]}), type="transaction.created", id="1", account="10000"),
        good("a customer", js({"data": [banked("customer.created", "4")]}), type="customer.created", id="4", account="10000"),
    ],
)
# Unit's library writes the body anew before it hashes: it can't judge this one.
provider(
    "unit",
    sign=body_base64("X-Unit-Signature", hash="sha1"),
    goods=[
        good("two events, oddly written", odd({"data": [banked("customer.created", "2"), banked("account.created", "3")]}), "application/vnd.api+json", type="customer.created", id="2", events=2),
    ],
)

# --- Uploadcare, Upollo ------------------------------------------------------------------------------------------------------------------------

UPLOADED = {"hook": {"event": "file.uploaded", "project_pub_key": "pub1", "project_id": 7}, "data": {"uuid": "f1"}, "initiator": {"detail": {"request_id": "r1"}}}
provider(
    "uploadcare",
    sign=body_hex("X-Uc-Signature", "v1="),
    signature="header:X-Uc-Signature",
    goods=[
        good("a file", js(UPLOADED), type="file.uploaded", id="file.uploaded|f1|r1", account="pub1"),
        good("a file, oddly written", odd({"hook": {"event": "file.deleted", "project_id": 7}}), type="file.deleted", account="7"),
    ],
)
provider(
    "upollo",
    sign=lambda r: {"Upollo-Signature": f"t:{r.now},s0:" + mac("sha512", r.key, r.body).hex()},
    signature="header:Upollo-Signature",
    goods=[
        good("a challenge", js({"action": "CHALLENGE", "flags": []}), type="CHALLENGE"),
        good("a refusal", odd({"action": "DENY"}), type="DENY"),
    ],
)

# --- QStash: a token that names the URL and hashes the body. ------------------------------------------------------------------------------------


def qstash(**other):
    def sign(r):
        claims = {"iss": "Upstash", "sub": r.full_url, "iat": r.now, "nbf": r.now, "exp": r.now + 300, "jti": "jwt_1", "body": b64url(digest("sha256", r.body)) + "=", **other}
        return {"Upstash-Signature": jwt("HS256", r.key, claims)}

    return sign


SENT = {"Upstash-Message-Id": "msg_1"}
for function, kind in (("", "message"), ("callbacks", "callback"), ("failure-callbacks", "failure-callback")):
    provider(
        "upstash-qstash",
        function=function,
        sign=qstash(),
        signature="header:Upstash-Signature",
        goods=[
            good(kind, js({"order": 42}), headers=SENT, type=kind, id="msg_1"),
            good(f"{kind}, oddly written", odd({"order": 43}), headers=SENT, type=kind, id="msg_1"),
        ],
    )
    for name, other in (("for another URL", {"sub": "https://other.example.com/"}), ("of another issuer", {"iss": "Downstash"}), ("that ran out", {"exp": NOW - 60}), ("that isn't good yet", {"nbf": NOW + 3600})):
        provider("upstash-qstash", function=function, sign=qstash(**other), goods=[good(f"a token {name}", js({"order": 42}), headers=SENT, expect=None)])
provider("upstash-qstash", sign=qstash(), goods=[good("a schedule", js({"job": 1}), headers={**SENT, "Upstash-Schedule-Id": "scd_1"}, type="schedule", id="msg_1")])
provider(
    "upstash-qstash",
    sign=lambda r: {"Upstash-Signature": jwt("none", lambda _: b"", {"iss": "Upstash", "sub": r.full_url, "body": b64url(digest("sha256", r.body)) + "="})},
    goods=[good("a token that nobody signed", js({"order": 42}), headers=SENT, expect="signature")],
)

# --- USPS: two members of the body. Utila, Vanta, Vapi. -------------------------------------------------------------------------------------------

usps_altered = Altered()


def usps(r):
    signed = json.loads(usps_altered.signed(r))
    return {"X-HMAC": b64(mac("sha256", r.key, signed["timestamp"], signed["payload"]))}


for function, kind in (("", "tracking"), ("scan-event-extract", "scan-event-extract")):
    parcel = {"subscriptionId": "s1", "timestamp": AT, "payload": '{"trackingNumber":"9400111298370264401222","who":"Z\u00fcrich"}'}
    provider(
        "usps",
        function=function,
        sign=usps,
        signature="header:X-HMAC",
        covers_body=False,
        goods=[
            good(kind, js(parcel), type=kind, account="s1"),
            good(f"{kind}, oddly written", odd(parcel), type=kind, account="s1"),
            good(f"{kind}, with another payload than was signed", usps_altered.body(js({**parcel, "payload": "{}"}), js(parcel)), expect="signature"),
            good(f"{kind}, with another time than was signed", usps_altered.body(js({**parcel, "timestamp": "2026-01-02T00:00:00Z"}), js(parcel)), expect="signature"),
        ],
    )
k, o = private.rsa("utila", 4096), private.rsa("utila other", 4096)
provider(
    "utila",
    sign=lambda r: {"x-utila-signature": b64(r.key.pss(r.body, "sha512"))},
    signature="header:x-utila-signature",
    secret=k, configured=k.public_pem, other=o, other_configured=o.public_pem,
    goods=[
        good("a transaction", js({"id": "e1", "vault": "vaults/v1", "type": "TRANSACTION_CREATED"}), type="TRANSACTION_CREATED", id="e1", account="vaults/v1"),
        good("a wallet", odd({"id": "e2", "type": "WALLET_CREATED"}), type="WALLET_CREATED", id="e2"),
    ],
)
provider(
    "utila",
    sign=lambda r: {"x-utila-signature": b64(r.key.sign(r.body, "sha512"))},
    secret=k, configured=k.public_pem,
    goods=[good("the older padding", js({"id": "e1", "type": "TRANSACTION_CREATED"}), expect="signature")],
)
standard_webhooks(
    "vanta",
    [
        good("a test", js({"type": "test.failed"}), type="test.failed", id="msg_1"),
        good("a vendor", odd({"type": "vendor.created"}), headers={"svix-id": "msg_2"}, type="vendor.created", id="msg_2"),
    ],
    prefix="svix",
)
CALL = {"message": {"type": "end-of-call-report", "timestamp": 1767225600000, "call": {"id": "c1", "orgId": "o1"}}}
CALLED = "end-of-call-report|c1|1767225600000"
provider(
    "vapi",
    sign=body_hex("X-Vapi-Signature"),
    signature="header:X-Vapi-Signature",
    goods=[good("a report", js(CALL), type="end-of-call-report", id=CALLED, account="o1"), good("a report, oddly written", odd(CALL), type="end-of-call-report", id=CALLED)],
)
shared_token("vapi", lambda r: {"X-Vapi-Secret": r.key}, "header:X-Vapi-Secret", [good("a report", odd(CALL), type="end-of-call-report", id=CALLED)], function="shared-secret")

# --- Vercel -------------------------------------------------------------------------------------------------------------------------------------------

for function, kind in (("", "deployment.created"), ("integration-webhooks", "integration-configuration.removed")):
    provider(
        "vercel",
        function=function,
        sign=body_hex("x-vercel-signature", hash="sha1"),
        signature="header:x-vercel-signature",
        goods=[
            good(kind, js({"id": "e1", "type": kind, "payload": {"team": {"id": "t1"}, "user": {"id": "u1"}}}), type=kind, id="e1", account="t1"),
            good(f"{kind}, oddly written", odd({"id": "e2", "type": kind, "payload": {"user": {"id": "u1"}}}), type=kind, id="e2", account="u1"),
        ],
    )
LINE = {"id": "l1", "source": "lambda", "projectId": "p1", "message": "Zürich 12.50"}
provider(
    "vercel-log-drains",
    sign=body_hex("x-vercel-signature", hash="sha1"),
    signature="header:x-vercel-signature",
    params={"verifyToken": "v1"},
    goods=[
        good("a line", js([LINE]), type="lambda", id="l1", account="p1"),
        good("three lines, each JSON", b"\n".join(js({**LINE, "id": f"l{i}"}) for i in (1, 2, 3)) + b"\n", "application/x-ndjson", type="lambda", id="l1", events=3),
        good("URL check by GET", b"", None, method="GET", signed=False, expect="handshake", reply_status=200, reply_headers={"x-vercel-verify": "v1"}),
        good("URL check", b"{}", headers={"x-vercel-verify": "v1"}, signed=False, expect="handshake", reply_status=200, reply_headers={"x-vercel-verify": "v1"}),
    ],
)

# --- Veriff, Viber --------------------------------------------------------------------------------------------------------------------------------------

DECIDED = {"status": "success", "verification": {"id": "v1", "attemptId": "a1", "status": "approved", "decisionTime": AT, "vendorData": "mine"}}
for function, kind, body, number in (
    ("", "approved", DECIDED, f"a1|approved|{AT}"),
    ("events", "submitted", {"id": "v1", "attemptId": "a1", "action": "submitted"}, "a1|submitted"),
    ("watchlist", "possible_match", {"checkType": "initial_result", "attemptId": "a1", "matchStatus": "possible_match", "checkedAt": AT}, f"a1|initial_result|{AT}"),
):
    provider(
        "veriff",
        function=function,
        sign=body_hex("X-HMAC-Signature"),
        signature="header:X-HMAC-Signature",
        goods=[
            good(kind, js(body), headers={"X-Auth-Client": "client1"}, type=kind, id=number, account="client1"),
            good(f"{kind}, oddly written", odd(body), type=kind, id=number),
        ],
    )
provider(
    "viber",
    sign=body_hex("X-Viber-Content-Signature"),
    signature="header:X-Viber-Content-Signature",
    goods=[
        good("a message", js({"event": "message", "message_token": 491266184665523145, "sender": {"id": "s1"}}), type="message", id="message|491266184665523145"),
        good("the same message seen", odd({"event": "seen", "message_token": 491266184665523145, "user_id": "u1"}), type="seen", id="seen|491266184665523145|u1"),
        good("the webhook was set", js({"event": "webhook", "timestamp": NOW, "message_token": 241256543215}), expect="handshake", reply_status=200),
    ],
)

# --- Vonage: a token that hashes the body. ---------------------------------------------------------------------------------------------------------------


def vonage(**other):
    def sign(r):
        claims = {"iss": "Vonage", "iat": r.now, "jti": "j1", "api_key": "key1", "application_id": "app1", "payload_hash": digest("sha256", r.body).hex(), **other}
        return {"Authorization": "Bearer " + jwt("HS256", r.key, claims)}

    return sign


for function, kind, body, number in (
    ("", "delivered", {"message_uuid": "m1", "status": "delivered"}, "m1:delivered"),
    ("voice", "answered", {"uuid": "c1", "status": "answered", "timestamp": AT}, f"c1:answered:{AT}"),
    ("verify", "completed", {"request_id": "q1", "type": "event", "channel": "sms", "status": "completed"}, "q1:event:sms:completed"),
):
    provider(
        "vonage",
        function=function,
        sign=vonage(),
        signature="header:Authorization",
        goods=[
            good(kind, js(body), type=kind, id=number, account="app1"),
            good(f"{kind}, oddly written", odd(body), type=kind, id=number),
        ],
    )
    provider("vonage", function=function, sign=vonage(iss="Nexmo"), goods=[good("of another issuer", js(body), expect="signature")])
    provider("vonage", function=function, sign=vonage(payload_hash=digest("sha256", "other").hex()), goods=[good("the hash of another body", js(body), expect="signature")])
provider("vonage", sign=vonage(), goods=[good("a message", js({"message_uuid": "m2", "message_type": "text", "channel": "sms"}), type="inbound", id="m2", account="app1")])

"""Wix to Zift."""

import json

import keys as private
from habits import *

# --- Wix: the body is a token, with JSON in strings. ------------------------------------------------------------------------------------------------


def wix(algorithm="RS256", change=lambda token: token, **times):
    def sign(r):
        claims = {"data": r.body.decode(), "iat": r.now, "exp": r.now + 300, **times}
        signer = (lambda data: r.key.sign(data)) if algorithm == "RS256" else (lambda data: mac("sha256", k.public_pem, data))
        r.body = raw(change(jwt(algorithm, signer, claims)))

    return sign


def wix_event(kind, **inner):
    return js({"eventType": kind, "instanceId": "i1", "data": js(inner).decode(), "identity": js({"identityType": "APP"}).decode()})


k, o = private.rsa("wix"), private.rsa("wix other")
WIX = dict(secret=k, configured=k.public_pem, other=o, other_configured=o.public_pem)
PLACED = wix_event("wix.ecom.v1.order_created", id="e1", entityId="o1", slug="created")
provider(
    "wix",
    sign=wix(),
    signature="body",
    goods=[
        good("an order", PLACED, "text/plain", type="wix.ecom.v1.order_created", id="e1", account="i1"),
        good("an installation", wix_event("AppInstalled", id="e2", note='Zürich "12.50"\n'), "text/plain", type="AppInstalled", id="e2"),
    ],
    **WIX,
)
provider("wix", sign=wix("HS256"), goods=[good("signed with the public key as a secret", PLACED, "text/plain", expect="signature")], **WIX)
provider("wix", sign=wix(exp=NOW - 3600), goods=[good("a token that ran out", PLACED, "text/plain", expect=None)], **WIX)
for name, change in (
    ("one letter of the claims changed", lambda t: t[: t.index(".") + 20] + ("A" if t[t.index(".") + 20] != "A" else "B") + t[t.index(".") + 21 :]),
    ("no signature", lambda t: t[: t.rindex(".") + 1]),
):
    provider("wix", sign=wix(change=change), goods=[good(name, PLACED, "text/plain", expect="signature")], **WIX)

# --- WooCommerce, WorkOS, Wrike, Wufoo ----------------------------------------------------------------------------------------------------------------

SHOP = {"X-WC-Webhook-Topic": "order.created", "X-WC-Webhook-Source": "https://shop.example.com/", "X-WC-Webhook-Delivery-ID": "d1"}
provider(
    "woocommerce",
    sign=body_base64("X-WC-Webhook-Signature"),
    signature="header:X-WC-Webhook-Signature",
    goods=[
        good("an order", js({"id": 727, "total": "12.50"}), headers=SHOP, type="order.created", id="d1", account="https://shop.example.com/"),
        good("an order, oddly written", odd({"id": 728}), headers=SHOP, type="order.created", id="d1"),
        good("ping", "webhook_id=7", FORM, signed=False, expect="handshake", reply_status=200),
    ],
)
provider(
    "workos",
    sign=pairs("WorkOS-Signature", 1000, between=", "),
    signature="header:WorkOS-Signature",
    window=(180, "age"),
    goods=[
        good("a user", js({"id": "event_1", "event": "user.created", "data": {"organization_id": "org_1"}}), type="user.created", id="event_1", account="org_1"),
        good("a directory's user", js({"id": "event_2", "event": "dsync.user.created", "data": {"directory_id": "dir_1"}}), type="dsync.user.created", id="event_2", account="dir_1"),
    ],
)
# WorkOS' library writes the body anew before it hashes: it can't judge this one.
provider(
    "workos",
    sign=pairs("WorkOS-Signature", 1000, between=", "),
    goods=[good("a session, oddly written", odd({"id": "event_3", "event": "session.created", "data": {}}), type="session.created", id="event_3")],
)
DONE = {"eventType": "TaskStatusChanged", "webhookId": "w1", "eventAuthorId": "u1", "taskId": "t1", "lastUpdatedDate": AT}
SECRET = "6f5902ac237024bdd0c176cb93063dc4"
for function in ("", "folder", "space"):
    provider(
        "wrike",
        function=function,
        sign=body_hex("X-Hook-Signature"),
        signature="header:X-Hook-Signature",
        goods=[
            good("a task", js([DONE]), type="TaskStatusChanged", id=f"w1|TaskStatusChanged|t1|{AT}", account="w1"),
            good("two events, with white space", json.dumps([DONE, {**DONE, "eventType": "CommentAdded"}], indent=1) + "\n", type="TaskStatusChanged", events=2),
            good(
                "check of the secret", js({"requestType": "WebHook secret verification"}), headers={"X-Hook-Secret": SECRET}, signed=False, expect="handshake",
                reply_headers={"X-Hook-Secret": mac("sha256", KEY, SECRET).hex()},
            ),
            good("a text with its MAC as a callback", SECRET, expect="signature"),
            good("check that wants events signed", js({"requestType": "WebHook secret verification"}), headers={"X-Hook-Secret": '[{"eventType":"TaskCreated"}]'}, signed=False, expect="handshake-refused"),
        ],
    )


def wufoo(r):
    r.body += b"&" + form({"HandshakeKey": r.key})


ENTRY = {"Field1": "Zürich", "EntryId": "42", "FormStructure": '{"Name":"Garden","Hash":"z1"}'}
shared_token(
    "wufoo", wufoo, "form:HandshakeKey",
    [good("an entry", form(ENTRY), FORM, type="entry.created", id="42", account="z1"), good("an entry with a space", b"Field1=a+b&EntryId=43", FORM, type="entry.created", id="43")],
)

# --- Xendit, Xero ------------------------------------------------------------------------------------------------------------------------------------------

for function, kind, body, number in (
    ("", "payment.succeeded", {"event": "payment.succeeded", "business_id": "b1", "data": {"id": "py-1"}}, "h1"),
    ("invoices", "PAID", {"id": "inv1", "user_id": "b1", "status": "PAID"}, "h1"),
):
    shared_token(
        "xendit",
        lambda r: {"x-callback-token": r.key},
        "header:x-callback-token",
        [
            good(kind, js(body), headers={"webhook-id": "h1"}, type=kind, id=number, account="b1"),
            good(f"{kind}, oddly written", odd(body), headers={"webhook-id": "h1"}, type=kind, id=number),
        ],
        function=function,
    )
CONTACT = {"resourceId": "r1", "eventDateUtc": AT, "eventType": "UPDATE", "eventCategory": "CONTACT", "tenantId": "t1"}
EMPTY = js({"events": [], "firstEventSequence": 0, "lastEventSequence": 0, "entropy": "x"})
provider(
    "xero",
    sign=body_base64("x-xero-signature"),
    signature="header:x-xero-signature",
    goods=[
        good("a contact", js({"events": [CONTACT]}), type="CONTACT.UPDATE", id=f"r1|UPDATE|{AT}", account="t1"),
        good("two events, oddly written", odd({"events": [CONTACT, {**CONTACT, "eventCategory": "INVOICE"}]}), type="CONTACT.UPDATE", events=2),
        good("intent to receive, rightly signed", EMPTY, events=None),
        good("intent to receive, wrongly signed", EMPTY, headers={"x-xero-signature": b64(b"0" * 32)}, signed=False, expect="signature"),
    ],
)

# --- YouTube ----------------------------------------------------------------------------------------------------------------------------------------------------

ATOM = "application/atom+xml"
FEED = '<feed xmlns:yt="http://www.youtube.com/xml/schemas/2015" xmlns:at="http://purl.org/atompub/tombstones/1.0" xmlns="http://www.w3.org/2005/Atom">'
VIDEO = f"<?xml version='1.0' encoding='UTF-8'?>\n{FEED}<entry>\n <yt:videoId>v1</yt:videoId>\n <yt:channelId>UC1</yt:channelId><title>Zürich &amp; more</title><updated>{AT}</updated></entry></feed>\n"
GONE = f'{FEED}<at:deleted-entry ref="yt:video:v1" when="{AT}"><link href="https://example.com/"/></at:deleted-entry></feed>'


def intent(token, challenge="9163178143170293514"):
    return f"hub.mode=subscribe&hub.topic=https%3A%2F%2Fwww.youtube.com%2F&hub.challenge={challenge}&hub.lease_seconds=432000&hub.verify_token={token}"


provider(
    "youtube-websub",
    sign=body_hex("X-Hub-Signature", "sha1=", hash="sha1"),
    signature="header:X-Hub-Signature",
    params={"verifyToken": "mine"},
    goods=[
        good("a video", VIDEO, ATOM, type="video.published", id=f"v1|{AT}", account="UC1"),
        good("a video that is gone", GONE, ATOM, type="video.deleted", id=f"yt:video:v1|{AT}"),
        good("URL check", b"", None, method="GET", query=intent("mine"), signed=False, expect="handshake", reply="9163178143170293514"),
        good("URL check with another token", b"", None, method="GET", query=intent("other"), signed=False, expect="handshake-refused"),
        good("URL check with markup", b"", None, method="GET", query=intent("mine", "%3Cb%3E"), signed=False, expect="handshake-refused"),
    ],
)

# --- Zapier, Zendesk, Zero Hash, Zift ------------------------------------------------------------------------------------------------------------------------------

shared_token(
    "zapier",
    lambda r: {"X-Webhook-Token": r.key},
    "header:X-Webhook-Token",
    [good("a post", js({"name": "Ada"}), type="zap"), good("a post that says what it is", odd({"event": "order.created"}), type="order.created")],
)
provider("zapier", sign=lambda r: {"X-Own": r.key}, params={"header": "X-Own"}, goods=[good("a token in another header", js({"name": "Ada"}), type="zap")])


def zendesk(r):
    at = rfc3339(r.now)
    return {"X-Zendesk-Webhook-Signature-Timestamp": at, "X-Zendesk-Webhook-Signature": b64(mac("sha256", r.key, at, r.body))}


CALLED = {"X-Zendesk-Webhook-Invocation-Id": "inv1", "X-Zendesk-Account-Id": "221"}
for function, body, kind in (("", {"type": "zen:event-type:ticket.created", "account_id": 221, "id": "e1"}, "zen:event-type:ticket.created"), ("triggers", {"ticket": "5158"}, "trigger")):
    provider(
        "zendesk",
        function=function,
        sign=zendesk,
        signature="header:X-Zendesk-Webhook-Signature",
        covers=("X-Zendesk-Webhook-Signature-Timestamp",),
        goods=[
            good(kind, js(body), headers=CALLED, type=kind, id="inv1", account="221"),
            good(f"{kind}, oddly written", odd(body), headers=CALLED, type=kind, id="inv1"),
        ],
    )
provider("zendesk", function="triggers", sign=zendesk, goods=[good("a trigger that puts a form", "ticket=5158&who=a+b", FORM, method="PUT", headers=CALLED, type="trigger", id="inv1")])


def zero_hash(unit):
    def sign(r):
        t = r.now * unit
        return {"x-zh-hook-timestamp": str(t), "x-zh-hook-signature": mac("sha256", r.key, r.body, t).hex()}

    return sign


for function, kind in (("", "trade_status_changed"), ("balances", "account_balance.changed")):
    given = {"x-zh-hook-payload-type": kind, "x-zh-hook-notification-id": "n1"}
    provider(
        "zero-hash",
        function=function,
        sign=zero_hash(1000),
        signature="header:x-zh-hook-signature",
        covers=("x-zh-hook-timestamp",),
        window=(300, "both"),
        goods=[
            good(kind, js({"trade_id": "t1"}), headers=given, type=kind, id="n1"),
            good(f"{kind}, oddly written", odd({"trade_id": "t2"}), headers=given, type=kind, id="n1"),
        ],
    )
    provider("zero-hash", function=function, sign=zero_hash(1), goods=[good(f"{kind}, with a time in seconds", js({"trade_id": "t1"}), headers=given, type=kind)])
for function, kind in (("", "billing.subscription-created"), ("processing", "processing.chargeback")):
    unsigned("zift", [good(kind, js({"notificationId": 4711, "eventCode": kind}), type=kind, id="4711")], function=function)

"""Keap to Mailchimp."""

import json
from email.utils import formatdate

import keys
from harness import *
from providers.standard_webhooks import of as standard_webhooks
from signing import body_base64, body_hex, odd

FORM = "application/x-www-form-urlencoded"

# --- Keap --------------------------------------------------------------------------------------------------------------------------


def hook(kind, *numbers):
    return {"event_key": kind, "object_type": "contact", "object_keys": [{"id": number, "timestamp": "2026-01-01T00:00:00Z"} for number in numbers]}


unsigned(
    "keap",
    [
        good("two contacts", js(hook("contact.add", 1003, 1004)), events=2, type="contact.add", id="1003:contact.add:2026-01-01T00:00:00Z"),
        good("bytes of another taste", odd(hook("order.add", 7)), type="order.add", id="7:order.add:2026-01-01T00:00:00Z"),
        good("URL check", content_type=None, headers={"X-Hook-Secret": "3f1c2b9a-0001"}, expect="handshake", reply_headers={"X-Hook-Secret": "3f1c2b9a-0001"}),
    ],
)

# --- Keygen ------------------------------------------------------------------------------------------------------------------------

kg, kg_other = keys.ed25519("keygen"), keys.ed25519("keygen other")


def keygen(r):
    """A signature of the request line and three headers, as the draft on HTTP signatures has it. The signature comes last here."""
    date = formatdate(r.now, usegmt=True)
    checksum = "sha-256=" + b64(digest("sha256", r.body))
    text = f"(request-target): {r.method.lower()} {r.path_and_query}\nhost: hooks.example.com\ndate: {date}\ndigest: {checksum}"
    return {
        "Host": "hooks.example.com",
        "Date": date,
        "Digest": checksum,
        "Keygen-Signature": f'keyid="a1", algorithm="ed25519", headers="(request-target) host date digest", signature="{b64(r.key.sign(text.encode()))}"',
    }


def licensing(kind, number):
    account = {"account": {"data": {"type": "accounts", "id": "a1"}}}
    return {"data": {"id": number, "type": "webhook-events", "attributes": {"event": kind, "payload": "{}"}, "relationships": account}}


provider(
    "keygen",
    sign=keygen,
    secret=kg,
    configured=kg.public_raw.hex(),
    other=kg_other,
    other_configured=kg_other.public_raw.hex(),
    signature="header:Keygen-Signature",
    covers=("Host", "Date", "Digest"),
    window=(300, "age"),
    goods=[
        good("a licence", js(licensing("license.created", "e1")), type="license.created", id="e1", account="a1"),
        good("bytes of another taste, and a query", odd(licensing("machine.heartbeat.dead", "e2")), "application/vnd.api+json", query="env=live", type="machine.heartbeat.dead", id="e2", account="a1"),
    ],
)

# --- Kick --------------------------------------------------------------------------------------------------------------------------

kick_key, kick_other = keys.rsa("kick"), keys.rsa("kick other")


def kick(r):
    number, time = r.headers["Kick-Event-Message-Id"], r.headers["Kick-Event-Message-Timestamp"]
    return {"Kick-Event-Signature": b64(r.key.sign(f"{number}.{time}.".encode() + r.body, "sha256"))}


def kick_headers(kind, number):
    return {"Kick-Event-Type": kind, "Kick-Event-Message-Id": number, "Kick-Event-Message-Timestamp": "2026-01-01T00:00:00Z", "Kick-Event-Subscription-Id": "sub1"}


provider(
    "kick",
    sign=kick,
    secret=kick_key,
    configured=kick_key.public_pem,
    other=kick_other,
    other_configured=kick_other.public_pem,
    signature="header:Kick-Event-Signature",
    covers=("Kick-Event-Message-Id", "Kick-Event-Message-Timestamp"),
    goods=[
        good("a chat message", js({"message_id": "m1", "broadcaster": {"user_id": 1003}, "content": "Hello"}), headers=kick_headers("chat.message.sent", "01A"), type="chat.message.sent", id="01A", account="1003"),
        good("bytes of another taste", odd({"follower": {}}), headers=kick_headers("channel.followed", "01B"), type="channel.followed", id="01B"),
    ],
)

# --- Kinde -------------------------------------------------------------------------------------------------------------------------

kinde_key, kinde_other = keys.rsa("kinde"), keys.rsa("kinde other")


def kinde_body(kind, number, key=kinde_key, algorithm="RS256"):
    claims = {"type": kind, "event_id": number, "data": {"user": {"id": "kp_1", "name": "Z\u00fcrich"}, "organization": {"code": "org_1"}}}
    return jwt(algorithm, lambda data: key.sign(data, "sha256"), claims, {"kid": "k1"})


def kinde(r):
    r.body = kinde_body(*r.body.decode().split(), r.key).encode()


def kinde_good(name, body, **rest):
    return good(name, body, "application/jwt", **rest)


KINDE = "https://acme.kinde.com/.well-known/jwks.json"


def kinde_altered():
    """The claims of one event under the signature of another."""
    head, _, signature = kinde_body("user.created", "event_1").split(".")
    return ".".join([head, kinde_body("user.deleted", "event_1").split(".")[1], signature])


provider(
    "kinde",
    sign=kinde,
    secret=kinde_key,
    signature="body",
    other=kinde_other,
    remote=True,
    keys={KINDE: js({"keys": [kinde_key.jwk("k1")]}).decode()},
    other_keys={KINDE: js({"keys": [kinde_other.jwk("k1")]}).decode()},
    params={"tenant": "acme"},
    goods=[
        kinde_good("a user was made", "user.created event_1", type="user.created", id="event_1", account="org_1"),
        kinde_good("a role changed", "role.updated event_2", type="role.updated", id="event_2", account="org_1"),
        kinde_good("claims of another event", kinde_altered(), signed=False, expect="signature"),
        kinde_good("signed with the public key as a secret", jwt("HS256", kinde_key.public_pem, {"type": "user.created", "event_id": "event_1"}, {"kid": "k1"}), signed=False, expect="signature"),
        kinde_good("no signature", kinde_body("user.created", "event_1").rsplit(".", 1)[0] + ".", signed=False, expect="signature"),
        kinde_good("no algorithm", jwt("none", lambda data: b"", {"type": "user.created", "event_id": "event_1"}), signed=False, expect="signature"),
        kinde_good("something after it", kinde_body("user.created", "event_1") + "AA", signed=False, expect="signature"),
        kinde_good("plain JSON", '{"type":"user.created","event_id":"event_1"}', signed=False, expect="signature"),
    ],
)

# --- Klaviyo -----------------------------------------------------------------------------------------------------------------------


def klaviyo(r):
    time = str(r.now)
    return {"Klaviyo-Timestamp": time, "Klaviyo-Signature": mac("sha256", r.key, r.body, time).hex()}


provider(
    "klaviyo",
    sign=klaviyo,
    signature="header:Klaviyo-Signature",
    covers=("Klaviyo-Timestamp",),
    goods=[
        good(
            "two events",
            js({"data": [{"topic": "event:klaviyo.opened_email", "external_id": "e1", "payload": {}}, {"topic": "event:klaviyo.sent_sms", "external_id": "e2", "payload": {}}], "meta": {"klaviyo_account_id": "A1"}}),
            headers={"Klaviyo-Webhook-Id": "w1"}, events=2, type="event:klaviyo.opened_email", id="e1:event:klaviyo.opened_email", account="A1",
        ),
        good("bytes of another taste", odd({"data": [{"topic": "event:klaviyo.bounced_email", "external_id": "e3"}], "meta": {"klaviyo_account_id": "A1"}}), type="event:klaviyo.bounced_email", id="e3:event:klaviyo.bounced_email", account="A1"),
    ],
)

# --- Knock -------------------------------------------------------------------------------------------------------------------------


def knock(r):
    time = r.now * 1000
    return {"x-knock-signature": f"t={time},s=" + b64(mac("sha256", r.key, time, ".", r.body))}


def sent(kind, number):
    return {"type": kind, "created_at": "2026-01-01T00:00:00Z", "data": {"id": number}, "event_data": None}


provider(
    "knock",
    sign=knock,
    signature="header:x-knock-signature",
    goods=[
        good("a message was sent", js(sent("message.sent", "m1")), headers={"x-knock-event": "message.sent", "x-knock-environment-id": "env1"}, type="message.sent", id="m1:message.sent:2026-01-01T00:00:00Z", account="env1"),
        good("bytes of another taste", odd(sent("message.read", "m1")), headers={"x-knock-event": "message.read", "x-knock-environment-id": "env1"}, type="message.read", id="m1:message.read:2026-01-01T00:00:00Z", account="env1"),
    ],
)

# --- Ko-fi -------------------------------------------------------------------------------------------------------------------------


def kofi(r):
    """The token is a member of the JSON that is a field of the form."""
    data = json.loads(dict(urllib.parse.parse_qsl(r.body.decode()))["data"])
    r.body = form({"data": json.dumps({"verification_token": r.key, **data})})


def gift(**more):
    return form({"data": json.dumps({"message_id": "m1", "type": "Donation", "amount": "3.00", **more})})


provider(
    "ko-fi",
    sign=kofi,
    signature="key",
    token=True,
    goods=[
        good("a donation", gift(), FORM, type="Donation", id="m1"),
        good("an order, with odd letters", gift(message_id="m2", type="Shop Order", message='Z\u00fcrich & "more" 100%'), FORM, type="Shop Order", id="m2"),
        good("another token", gift(verification_token=OTHER), FORM, signed=False, expect="signature"),
        good("no token", gift(), FORM, signed=False, expect="signature"),
        good("the token beside the data", gift() + b"&verification_token=" + KEY.encode(), FORM, signed=False, expect="signature"),
    ],
)

# --- Kontent.ai --------------------------------------------------------------------------------------------------------------------


def content(action, number):
    return {"data": {"system": {"id": number, "last_modified": "2026-01-01T00:00:00Z"}}, "message": {"environment_id": "env1", "object_type": "content_item", "action": action}}


provider(
    "kontent-ai",
    sign=body_base64("X-Kontent-ai-Signature"),
    signature="header:X-Kontent-ai-Signature",
    goods=[
        good("two notifications", js({"notifications": [content("published", "i1"), content("deleted", "i2")]}), events=2, type="content_item.published", id="i1:published:2026-01-01T00:00:00Z", account="env1"),
        good("bytes of another taste, with CR and LF", odd({"notifications": [content("created", "i3")]}).replace("\n", "\r\n"), type="content_item.created", id="i3:created:2026-01-01T00:00:00Z", account="env1"),
    ],
)

# --- Langfuse ----------------------------------------------------------------------------------------------------------------------


def langfuse(r):
    return {"X-Langfuse-Signature": f"t={r.now},v1=" + mac("sha256", r.key, r.now, ".", r.body).hex()}


provider(
    "langfuse",
    sign=langfuse,
    secret="lf-whsec_73796e746865746963",
    signature="header:X-Langfuse-Signature",
    goods=[
        good("a version", js({"id": "e1", "type": "prompt-version", "action": "created", "prompt": {"name": "greeting"}}), type="prompt-version.created", id="e1"),
        good("bytes of another taste", odd({"id": "e2", "type": "prompt-version", "action": "deleted"}), type="prompt-version.deleted", id="e2"),
    ],
)

# --- Lark --------------------------------------------------------------------------------------------------------------------------


def lark(r):
    """The token is where the version of the event has it."""
    r.body = r.body.replace(b'"token":""', b'"token":' + js(r.key)).replace(b'"token": ""', b'"token": ' + js(r.key))


def lark_event(token=""):
    return js({"schema": "2.0", "header": {"event_id": "e1", "event_type": "im.message.receive_v1", "token": token, "app_id": "cli_1", "tenant_key": "t1"}, "event": {}})


provider(
    "lark-feishu",
    function="event-subscriptions",
    sign=lark,
    signature="key",
    token=True,
    goods=[
        good("a message", lark_event(), type="im.message.receive_v1", id="e1", account="t1"),
        good("an event of the first version", odd({"uuid": "e2", "token": "", "type": "event_callback", "event": {"type": "approval_instance", "tenant_key": "t1"}}), type="approval_instance", id="e2", account="t1"),
        good("URL check", js({"challenge": "ajls384k-djxaW", "token": "", "type": "url_verification"}), expect="handshake", reply_json={"challenge": "ajls384k-djxaW"}),
        good("URL check with another token", js({"challenge": "ajls384k", "token": OTHER, "type": "url_verification"}), signed=False, expect="signature"),
        good("another token", lark_event(OTHER), signed=False, expect="signature"),
        good("no token", js({"schema": "2.0", "header": {"event_id": "e1", "event_type": "im.message.receive_v1"}}), signed=False, expect="signature"),
        good("encrypted", js({"encrypt": b64("synthetic bytes, not decrypted here")}), signed=False, expect="signature"),
    ],
)

# --- LaunchDarkly, Lemon Squeezy ---------------------------------------------------------------------------------------------------

provider(
    "launchdarkly",
    sign=body_hex("X-LD-Signature"),
    signature="header:X-LD-Signature",
    goods=[
        good("a flag was switched", js({"_id": "e1", "_accountId": "a1", "kind": "flag", "accesses": [{"action": "updateOn"}]}), type="flag.updateOn", id="e1", account="a1"),
        good("bytes of another taste", odd({"_id": "e2", "accountId": "a1", "kind": "project", "accesses": [{"action": "createProject"}]}), type="project.createProject", id="e2", account="a1"),
    ],
)


def order(kind, number):
    return {"meta": {"event_name": kind, "webhook_id": "w1"}, "data": {"type": "orders", "id": number, "attributes": {"store_id": 2002, "updated_at": "2026-01-01T00:00:00Z"}}}


provider(
    "lemon-squeezy",
    sign=body_hex("X-Signature"),
    signature="header:X-Signature",
    goods=[
        good("an order", js(order("order_created", "1003")), headers={"X-Event-Name": "order_created"}, type="order_created", id="1003:order_created:2026-01-01T00:00:00Z", account="2002"),
        # The name inside the signed body counts, not the header.
        good("another name in the header", odd(order("order_refunded", "1003")), headers={"X-Event-Name": "order_created"}, type="order_refunded", id="1003:order_refunded:2026-01-01T00:00:00Z", account="2002"),
    ],
)

# --- Lever -------------------------------------------------------------------------------------------------------------------------


def lever(r):
    event = json.loads(r.body)
    signature = mac("sha256", r.key, event["token"], event["triggeredAt"]).hex()
    r.body = r.body.replace(b'"signature":""', b'"signature":"' + signature.encode() + b'"').replace(b'"signature": ""', b'"signature": "' + signature.encode() + b'"')


def lever_event(kind, **data):
    return {"event": kind, "triggeredAt": 1767225600123, "token": "t1", "signature": "", "data": data}


for function, kind in (("opportunities", "candidateStageChange"), ("interviews", "interviewCreated")):
    provider(
        "lever",
        function=function,
        sign=lever,
        signature="json:signature",
        goods=[
            good("an event", js(lever_event(kind, opportunityId="o1")), type=kind, id=f"t1:{kind}:1767225600123", account="o1"),
            good("bytes of another taste", odd(lever_event(kind, candidateId="c1")), type=kind, id=f"t1:{kind}:1767225600123", account="c1"),
            good("the time is another", js({**lever_event(kind), "triggeredAt": 1767225600124, "signature": mac("sha256", KEY, "t1", 1767225600123).hex()}), signed=False, expect="signature"),
        ],
    )

# --- Lightspeed --------------------------------------------------------------------------------------------------------------------


def lightspeed(r):
    """Two pairs. The signature comes last here; the order isn't stated."""
    return {"X-Signature": "algorithm=HMAC-SHA256,signature=" + mac("sha256", r.key, r.body).hex()}


def retail(kind, payload):
    return form({"domain_prefix": "acme", "retailer_id": "r1", "type": kind, "payload": payload})


provider(
    "lightspeed-x",
    sign=lightspeed,
    signature="header:X-Signature",
    goods=[
        good("a sale", retail("sale.update", '{"id":"s1","status":"CLOSED","version":7}'), FORM, type="sale.update", id="s1:sale.update:7", account="r1"),
        good("odd letters", retail("product.update", '{"id":"p1", "name":"Z\u00fcrich & more 100%", "price":12.50}') + b"&empty=", FORM, type="product.update", id="p1:product.update", account="r1"),
    ],
)

# --- LINE --------------------------------------------------------------------------------------------------------------------------


def line_event(kind, number):
    return {"type": kind, "webhookEventId": number, "deliveryContext": {"isRedelivery": False}, "timestamp": 5}


provider(
    "line",
    sign=body_base64("X-Line-Signature"),
    signature="header:X-Line-Signature",
    goods=[
        good("two events", js({"destination": "U0", "events": [line_event("message", "01A"), line_event("follow", "01B")]}), events=2, type="message", id="01A", account="U0"),
        good("bytes of another taste", odd({"destination": "U0", "events": [line_event("postback", "01C")]}), type="postback", id="01C", account="U0"),
        good("the Verify button", js({"destination": "U0", "events": []}), expect="handshake"),
        good("the Verify button, pressed by nobody", js({"destination": "U0", "events": []}), signed=False, expect="signature"),
    ],
)

# --- Linear ------------------------------------------------------------------------------------------------------------------------


def linear(r):
    """The time is inside the signed body."""
    r.body = r.body.replace(b'"webhookTimestamp":0', b'"webhookTimestamp":%d' % (r.now * 1000)).replace(b'"webhookTimestamp": 0', b'"webhookTimestamp": %d' % (r.now * 1000))
    return {"Linear-Signature": mac("sha256", r.key, r.body).hex()}


def linear_event(kind, action):
    return {"action": action, "type": kind, "organizationId": "o1", "webhookTimestamp": 0, "data": {"id": "i1"}}


for function, kind, action in (("workspace-webhooks", "Issue", "create"), ("oauth-app-webhooks", "AgentSessionEvent", "created")):
    provider(
        "linear",
        function=function,
        sign=linear,
        signature="header:Linear-Signature",
        window=(60, "both"),
        goods=[
            good("an event", js(linear_event(kind, action)), headers={"Linear-Delivery": "d1", "Linear-Event": kind}, type=f"{kind}.{action}", id="d1", account="o1"),
            good("bytes of another taste", odd(linear_event("Comment", "remove")), headers={"Linear-Delivery": "d2", "Linear-Event": "Comment"}, type="Comment.remove", id="d2", account="o1"),
        ],
    )

# --- LinkedIn ----------------------------------------------------------------------------------------------------------------------

CODE = "890e4665-4dfe-4ab1-b689-ed553bceeed0"


def linkedin(r):
    return {"X-LI-Signature": mac("sha256", r.key, "hmacsha256=", r.body).hex()}


def linkedin_check(code, **rest):
    return good(query="challengeCode=" + pct(code), method="GET", content_type=None, signed=False, **rest)


provider(
    "linkedin",
    function="lead-sync",
    sign=linkedin,
    signature="header:X-LI-Signature",
    goods=[
        good("a lead", js({"type": "LEAD_ACTION", "leadGenFormResponse": "urn:li:leadGenFormResponse:1", "owner": {"organization": "urn:li:organization:2"}, "leadAction": "CREATED", "occurredAt": 5}), type="LEAD_ACTION.CREATED", id="urn:li:leadGenFormResponse:1:CREATED:5", account="urn:li:organization:2"),
        good("bytes of another taste", odd({"type": "LEAD_ACTION", "leadAction": "DELETED", "leadGenFormResponse": "l1", "owner": {"sponsoredAccount": "s1"}}), type="LEAD_ACTION.DELETED", id="l1:DELETED", account="s1"),
        good("signed without the prefix", js({"type": "LEAD_ACTION"}), headers={"X-LI-Signature": mac("sha256", KEY, js({"type": "LEAD_ACTION"})).hex()}, signed=False, expect="signature"),
        linkedin_check(CODE, name="URL check", expect="handshake", reply_json={"challengeCode": CODE, "challengeResponse": mac("sha256", KEY, CODE).hex()}),
        # Signed, it would be the signature of a callback.
        linkedin_check('hmacsha256={"type":"LEAD_ACTION"}', name="URL check with a callback as the code", expect="handshake-refused"),
        linkedin_check("", name="URL check without a code", expect="handshake-refused"),
    ],
)
provider(
    "linkedin",
    function="organization-social-actions",
    sign=linkedin,
    goods=[
        good(
            "two notifications",
            js({"type": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS", "notifications": [{"notificationId": 7, "action": "COMMENT", "organizationalEntity": "o1"}, {"notificationId": 8, "action": "LIKE", "organizationalEntity": "o1"}]}),
            events=2, type="COMMENT", id="7:COMMENT", account="o1",
        ),
    ],
)

# --- Lithic, Liveblocks, Loops -----------------------------------------------------------------------------------------------------

standard_webhooks(
    "lithic",
    [
        good("a card", js({"event_type": "card.created", "card_token": "c1", "account_token": "a1"}), headers={"webhook-id": "msg_1"}, type="card.created", id="msg_1", account="a1"),
        good("bytes of another taste", odd({"event_type": "balance.updated"}), headers={"webhook-id": "msg_2"}, type="balance.updated", id="msg_2"),
    ],
)
standard_webhooks(
    "liveblocks",
    [
        good("a comment", js({"type": "commentCreated", "data": {"projectId": "p1", "roomId": "r1"}}), headers={"webhook-id": "msg_1"}, type="commentCreated", id="msg_1", account="p1"),
        good("bytes of another taste", odd({"type": "ydocUpdated", "data": {"projectId": "p1"}}), headers={"webhook-id": "msg_2"}, type="ydocUpdated", id="msg_2", account="p1"),
    ],
)
standard_webhooks(
    "loops",
    [
        good("an e-mail", js({"eventName": "email.delivered", "eventTime": NOW, "email": {"id": "e1"}}), headers={"webhook-id": "msg_1"}, type="email.delivered", id="msg_1"),
        good("bytes of another taste", odd({"eventName": "contact.unsubscribed"}), headers={"webhook-id": "msg_2"}, type="contact.unsubscribed", id="msg_2"),
    ],
)

# --- LiveChat ----------------------------------------------------------------------------------------------------------------------


def livechat(r):
    r.body = r.body.replace(b'"secret_key":""', b'"secret_key":' + js(r.key)).replace(b'"secret_key": ""', b'"secret_key": ' + js(r.key))


def chat(action, **payload):
    return {"webhook_id": "w1", "secret_key": "", "action": action, "organization_id": "o1", "payload": payload}


provider(
    "livechat",
    sign=livechat,
    token=True,
    signature="json:secret_key",
    goods=[
        good("somebody wrote", js(chat("incoming_event", chat_id="c1", event={"id": "t1_1", "type": "message"})), type="incoming_event", id="t1_1:c1", account="o1"),
        good("a chat ended", odd(chat("chat_deactivated", chat_id="c1")), type="chat_deactivated", account="o1"),
    ],
)

# --- LiveKit -----------------------------------------------------------------------------------------------------------------------


def livekit(r):
    claims = {"iss": r.params["apiKey"], "exp": r.now + 300, "nbf": r.now, "sha256": b64(digest("sha256", r.body))}
    return {"Authorization": jwt("HS256", r.key, claims)}


def livekit_bad(name, expect="signature", key=KEY, **claims):
    body = js({"event": "room_started", "id": "EV_9"})
    all_claims = {"iss": "APIsample", "exp": NOW + 300, "sha256": b64(digest("sha256", body)), **claims}
    return good(name, body, KIT, headers={"Authorization": jwt("HS256", key, all_claims)}, signed=False, expect=expect)


KIT = "application/webhook+json"
provider(
    "livekit",
    sign=livekit,
    params={"apiKey": "APIsample"},
    signature="header:Authorization",
    goods=[
        good("a room", js({"event": "room_started", "id": "EV_1", "createdAt": "5", "room": {"sid": "RM_1"}}), KIT, type="room_started", id="EV_1", account="APIsample"),
        good("bytes of another taste", odd({"event": "egress_ended", "id": "EV_2"}), KIT, type="egress_ended", id="EV_2", account="APIsample"),
        livekit_bad("another API key", iss="APIother"),
        livekit_bad("the hash of another body", sha256=b64(digest("sha256", "{}"))),
        livekit_bad("a token that ran out", "timestamp", exp=NOW - 3600),
        livekit_bad("a token that isn't valid yet", "timestamp", nbf=NOW + 3600, exp=NOW + 7200),
    ],
)

# --- Lob ---------------------------------------------------------------------------------------------------------------------------


def lob(r):
    return {"Lob-Signature-Timestamp": str(r.now), "Lob-Signature": mac("sha256", r.key, r.now, ".", r.body).hex()}


provider(
    "lob",
    sign=lob,
    signature="header:Lob-Signature",
    covers=("Lob-Signature-Timestamp",),
    goods=[
        good("a letter", js({"id": "evt_1", "event_type": {"id": "letter.created"}, "body": {"id": "ltr_1"}}), type="letter.created", id="evt_1"),
        good("bytes of another taste", odd({"id": "evt_2", "event_type": {"id": "postcard.delivered"}}), type="postcard.delivered", id="evt_2"),
    ],
)

# --- Mailchimp ---------------------------------------------------------------------------------------------------------------------


def mailchimp(r):
    r.query = (r.query + "&" if r.query else "") + "secret=" + pct(r.key)


def subscriber(kind, **data):
    return form({"type": kind, "fired_at": "2026-01-01 00:00:00", **{f"data[{key}]": value for key, value in data.items()}})


provider(
    "mailchimp",
    sign=mailchimp,
    token=True,
    covers_body=False,
    signature="query:secret",
    goods=[
        good("somebody subscribed", subscriber("subscribe", id="s1", list_id="l1", email="ada@example.com"), FORM, type="subscribe", id="subscribe:2026-01-01 00:00:00:s1:ada@example.com", account="l1"),
        good("odd letters, and more in the URL", subscriber("upemail", list_id="l1", new_email="a+b@example.com", name="Z\u00fcrich & more"), FORM, query="from=mc", type="upemail", id="upemail:2026-01-01 00:00:00", account="l1"),
        good("URL check", method="GET", content_type=None, expect="handshake"),
        good("URL check without the secret", method="GET", content_type=None, signed=False, expect="signature"),
    ],
)
provider(
    "mailchimp",
    sign=lambda r: setattr(r, "query", "k=" + pct(r.key)),
    params={"query": "k"},
    goods=[good("a query parameter of the operator's choice", subscriber("cleaned", list_id="l1", email="a@example.com"), FORM, type="cleaned", id="cleaned:2026-01-01 00:00:00:a@example.com", account="l1")],
)

"""Dub to FusionAuth."""

import json

import keys
from harness import *
from providers.standard_webhooks import of as standard_webhooks
from signing import body_base64, body_hex, odd

FORM = "application/x-www-form-urlencoded"


# --- Dub ---------------------------------------------------------------------------------------------------------------------------

provider(
    "dub",
    sign=body_hex("Dub-Signature"),
    signature="header:Dub-Signature",
    goods=[
        good("a link was made", js({"id": "evt_1", "event": "link.created", "createdAt": "2026-01-01T00:00:00Z", "data": {"id": "link_1"}}), type="link.created", id="evt_1"),
        good("a sale with a price", odd({"id": "evt_2", "event": "sale.created"}), type="sale.created", id="evt_2"),
    ],
)

# --- Dwolla ------------------------------------------------------------------------------------------------------------------------

ACCOUNT = "https://api-sandbox.dwolla.com/accounts/a1"
CUSTOMER = "https://api-sandbox.dwolla.com/customers/c1"
provider(
    "dwolla",
    sign=body_hex("X-Request-Signature-SHA-256"),
    signature="header:X-Request-Signature-SHA-256",
    goods=[
        good(
            "a transfer of the account",
            js({"id": "e1", "resourceId": "t1", "topic": "transfer_created", "_links": {"account": {"href": ACCOUNT}}}),
            headers={"X-Dwolla-Topic": "transfer_created"},
            type="transfer_created", id="e1", account=ACCOUNT,
        ),
        good(
            "a customer",
            odd({"id": "e2", "resourceId": "c1", "topic": "customer_created", "_links": {"account": {"href": ACCOUNT}, "customer": {"href": CUSTOMER}}}),
            type="customer_created", id="e2", account=CUSTOMER,
        ),
    ],
)

# --- EasyPost ----------------------------------------------------------------------------------------------------------------------

provider(
    "easypost",
    sign=body_hex("X-Hmac-Signature", "hmac-sha256-hex="),
    signature="header:X-Hmac-Signature",
    goods=[
        good("a tracker", js({"id": "evt_1", "object": "Event", "description": "tracker.created", "user_id": "user_1"}), type="tracker.created", id="evt_1", account="user_1"),
        # Its Node library has to undo what JSON does to 16.0; the raw bytes need no such care.
        good("a weight of 16.0", '{"id":"evt_2","description":"batch.created","user_id":"user_1","result":{"weight":16.0}}', type="batch.created", id="evt_2", account="user_1"),
    ],
)

# --- eBay --------------------------------------------------------------------------------------------------------------------------

ebay_key, ebay_other = keys.p256("ebay"), keys.p256("ebay other")
TOKEN = "synthetic-verification-token-for-tests-only"


def ebay(r):
    # The order is not eBay's: the signature comes last, so that a change in the text's second half hits it.
    wrapped = {"alg": "ecdsa", "kid": "kid-1", "digest": "SHA1", "signature": b64(r.key.sign(r.body, "sha1"))}
    return {"X-EBAY-SIGNATURE": b64(js(wrapped))}


def deletion(number):
    return {
        "metadata": {"topic": "MARKETPLACE_ACCOUNT_DELETION", "schemaVersion": "1.0"},
        "notification": {"notificationId": number, "data": {"username": "ada", "userId": "u1", "eiasToken": "x"}},
    }


def ebay_answer(code):
    return digest("sha256", code, TOKEN, URL).hex()


provider(
    "ebay",
    sign=ebay,
    secret=ebay_key,
    configured=ebay_key.public_pem,
    other=ebay_other,
    other_configured=ebay_other.public_pem,
    params={"verificationToken": TOKEN},
    signature="header:X-EBAY-SIGNATURE",
    goods=[
        good("an account is to be deleted", js(deletion("n1")), type="MARKETPLACE_ACCOUNT_DELETION", id="n1", account="u1"),
        good("bytes of another taste", odd(deletion("n2")), type="MARKETPLACE_ACCOUNT_DELETION", id="n2", account="u1"),
        good("the order of eBay's own fields", js(deletion("n3")), headers={
            "X-EBAY-SIGNATURE": b64(js({"alg": "ecdsa", "kid": "kid-1", "signature": b64(ebay_key.sign(js(deletion("n3")), "sha1")), "digest": "SHA1"})),
        }, signed=False, type="MARKETPLACE_ACCOUNT_DELETION", id="n3", account="u1"),
        good("URL check", method="GET", content_type=None, query="challenge_code=a1b2c3d4-0001", signed=False, expect="handshake", reply_json={"challengeResponse": ebay_answer("a1b2c3d4-0001")}),
        good("URL check with a text of the caller's own", method="GET", content_type=None, query="challenge_code=https%3A%2F%2Fevil.example", signed=False, expect="handshake-refused"),
    ],
)
provider(
    "ebay",
    function="commerce-notification",
    sign=ebay,
    secret=ebay_key,
    configured=ebay_key.public_pem,
    params={"verificationToken": TOKEN},
    goods=[
        good("a consent was taken back", js({"metadata": {"topic": "AUTHORIZATION_REVOCATION"}, "notification": {"notificationId": "n4", "data": {"userId": "u1"}}}), type="AUTHORIZATION_REVOCATION", id="n4", account="u1"),
        good("URL check of this function", method="GET", content_type=None, query="challenge_code=7f", signed=False, expect="handshake", reply_json={"challengeResponse": ebay_answer("7f")}),
    ],
)

# --- Ecwid -------------------------------------------------------------------------------------------------------------------------


def ecwid(r):
    event = json.loads(r.body)
    return {"X-Ecwid-Webhook-Signature": b64(mac("sha256", r.key, event["eventCreated"], ".", event["eventId"]))}


provider(
    "ecwid",
    sign=ecwid,
    signature="header:X-Ecwid-Webhook-Signature",
    covers_body=False,
    goods=[
        good("an order", js({"eventId": "e1", "eventCreated": 1767225600, "storeId": 1003, "entityId": "XJ1", "eventType": "order.created"}), type="order.created", id="e1", account="1003"),
        good("a product", odd({"eventId": "e2", "eventCreated": 1767225601, "storeId": 1003, "entityId": 7, "eventType": "product.updated"}), type="product.updated", id="e2", account="1003"),
        good("the id is another's", '{"eventId":"e9","eventCreated":1767225600,"storeId":1003,"eventType":"order.created"}', headers={"X-Ecwid-Webhook-Signature": b64(mac("sha256", KEY, "1767225600.e1"))}, signed=False, expect="signature"),
    ],
)

# --- ElevenLabs --------------------------------------------------------------------------------------------------------------------


def elevenlabs(r):
    return {"ElevenLabs-Signature": f"t={r.now},v0=" + mac("sha256", r.key, r.now, ".", r.body).hex()}


provider(
    "elevenlabs",
    sign=elevenlabs,
    signature="header:ElevenLabs-Signature",
    window=(1800, "age"),
    goods=[
        good("a call ended", js({"type": "post_call_transcription", "event_timestamp": NOW, "data": {"agent_id": "agent_1", "conversation_id": "conv_1"}}), type="post_call_transcription", id="conv_1:post_call_transcription", account="agent_1"),
        good("a transcription", odd({"type": "speech_to_text_transcription", "data": {"request_id": "r1"}}), type="speech_to_text_transcription", id="r1:speech_to_text_transcription"),
    ],
)

# --- Enode -------------------------------------------------------------------------------------------------------------------------

provider(
    "enode",
    sign=body_hex("x-enode-signature", "sha1=", "sha1"),
    signature="header:x-enode-signature",
    goods=[
        good(
            "two events",
            js([{"event": "user:vehicle:updated", "user": {"id": "u1"}, "vehicle": {"id": "v1"}}, {"event": "user:charger:updated", "user": {"id": "u2"}}]),
            headers={"x-enode-delivery": "d1"}, events=2, type="user:vehicle:updated", id="d1", account="u1",
        ),
        good("a heartbeat, written with spaces", '[ {"event" : "system:heartbeat", "pendingEvents": 0, "total":12.50} ]\n', headers={"x-enode-delivery": "d2"}, type="system:heartbeat", id="d2"),
    ],
)

# --- Etsy --------------------------------------------------------------------------------------------------------------------------

standard_webhooks(
    "etsy",
    [
        good("an order was paid", js({"event_type": "order.paid", "resource_url": "https://openapi.etsy.com/v3/application/shops/1003/receipts/7", "shop_id": "1003"}), headers={"webhook-id": "msg_1"}, type="order.paid", id="msg_1", account="1003"),
        good("bytes of another taste", odd({"event_type": "order.shipped", "shop_id": "1003"}), headers={"webhook-id": "msg_2"}, type="order.shipped", id="msg_2", account="1003"),
    ],
)

# --- Eventbrite --------------------------------------------------------------------------------------------------------------------

unsigned(
    "eventbrite",
    [
        good("an order", js({"config": {"action": "order.placed", "user_id": "u1", "webhook_id": "w1"}, "api_url": "https://www.eventbriteapi.com/v3/orders/1/"}), type="order.placed", account="u1"),
        good("a test", odd({"config": {"action": "test", "webhook_id": "w1"}, "api_url": "{api-endpoint-to-fetch-object-details}"}), type="test", account="w1"),
    ],
)

# --- Exact Online ------------------------------------------------------------------------------------------------------------------


def exact(r):
    text = r.body.decode()
    content = text[text.index(":") + 1 : text.rindex(',"HashCode"')].strip()
    r.body = text.replace('"HashCode":""', '"HashCode":"' + mac("sha256", r.key, content).hex().upper() + '"').encode()


def change(topic, action, key):
    return {"Topic": topic, "ClientId": "cl1", "Division": 1003, "Action": action, "Key": key, "EventCreatedOn": "2026-01-01T00:00:00.1"}


provider(
    "exact-online",
    sign=exact,
    signature="json:HashCode",
    goods=[
        good("an account was made", js({"Content": change("Accounts", "Create", "k1"), "HashCode": ""}), type="Accounts.Create", id="k1:2026-01-01T00:00:00.1:Create", account="1003"),
        good(
            "content written with spaces",
            '{"Content": {"Topic" : "Items", "Action":"Update","Division":1003,"Key":"k2","EventCreatedOn":"2026-01-01T00:00:00.1", "Note":"Z\\u00fcrich \u00fc","Total":12.50 },"HashCode":""}',
            type="Items.Update", id="k2:2026-01-01T00:00:00.1:Update", account="1003",
        ),
        good("the post without a body after subscribing", content_type=None, signed=False, expect="handshake"),
    ],
)

# --- Expo --------------------------------------------------------------------------------------------------------------------------

for function, kind in (("build", "build"), ("submit", "submission")):
    provider(
        "expo-eas",
        function=function,
        sign=body_hex("expo-signature", "sha1=", "sha1"),
        signature="header:expo-signature",
        goods=[
            good("it ended well", js({"id": "b1", "accountName": "acme", "appId": "a1", "platform": "ios", "status": "finished"}), type=f"{kind}.finished", id="b1:finished", account="a1"),
            good("it failed", odd({"id": "b2", "accountName": "acme", "appId": "a1", "platform": "ios", "status": "errored"}), type=f"{kind}.errored", id="b2:errored", account="a1"),
        ],
    )

# --- Facebook ----------------------------------------------------------------------------------------------------------------------

meta = dict(sign=body_hex("X-Hub-Signature-256", "sha256="), params={"verifyToken": "synthetic-verify-token"})
CHALLENGE = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
provider(
    "facebook",
    **meta,
    signature="header:X-Hub-Signature-256",
    goods=[
        good("a comment", js({"object": "page", "entry": [{"id": "1003", "time": NOW, "changes": [{"field": "feed", "value": {"item": "comment", "verb": "add"}}]}]}), type="page.feed", account="1003"),
        good(
            "three changes of two pages, escaped as Meta does",
            '{"object":"page","entry":[{"id":"1003","time":1,"changes":[{"field":"leadgen","value":{"leadgen_id":"77","note":"\\u00e4\\u00f6\\u00e5 \\/ \\u003C"}},{"field":"feed","value":{}}]},{"id":"1004","time":1,"changes":[{"field":"mention","value":{}}]}]}',
            events=3, type="page.leadgen", account="1003",
        ),
        good("URL check", method="GET", content_type=None, query=CHALLENGE + "synthetic-verify-token", signed=False, expect="handshake", reply="1158201444"),
        good("URL check with another token", method="GET", content_type=None, query=CHALLENGE + "another", signed=False, expect="handshake-refused", reply_status=403),
        good("URL check with markup as the challenge", method="GET", content_type=None, query="hub.mode=subscribe&hub.challenge=%3Cb%3E&hub.verify_token=synthetic-verify-token", signed=False, expect="handshake-refused"),
    ],
)
provider(
    "facebook",
    function="messenger",
    **meta,
    goods=[
        good(
            "a message and a postback",
            js({"object": "page", "entry": [{"id": "1003", "time": 1, "messaging": [
                {"sender": {"id": "2"}, "recipient": {"id": "1003"}, "timestamp": 5, "message": {"mid": "m_1", "text": "\u00fc"}},
                {"sender": {"id": "2"}, "recipient": {"id": "1003"}, "timestamp": 6, "postback": {"mid": "m_2", "payload": "GO"}},
            ]}]}),
            events=2, type="message", id="m_1:5", account="1003",
        ),
        good("a change at the same URL", js({"object": "page", "entry": [{"id": "1003", "time": 1, "changes": [{"field": "feed", "value": {"item": "status"}}]}]}), type="page.feed", account="1003"),
        good("messages read, on standby", js({"object": "page", "entry": [{"id": "1003", "time": 1, "standby": [{"sender": {"id": "2"}, "recipient": {"id": "1003"}, "timestamp": 6, "read": {"watermark": 5}}]}]}), type="read", account="1003"),
    ],
)
provider(
    "facebook",
    function="instagram",
    **meta,
    goods=[good("an Instagram comment", js({"object": "instagram", "entry": [{"id": "178", "time": 1, "changes": [{"field": "comments", "value": {"text": "\u00fc"}}]}]}), type="instagram.comments", account="178")],
)
provider(
    "facebook",
    function="account-changes",
    **meta,
    goods=[good("a consent", js({"object": "permissions", "entry": [{"id": "2", "time": 1, "changes": [{"field": "connected", "value": {"verb": "granted"}}]}]}), type="permissions.connected", account="2")],
)

# --- fal ---------------------------------------------------------------------------------------------------------------------------

fal_key, fal_other = keys.ed25519("fal"), keys.ed25519("fal other")
FAL = "https://rest.alpha.fal.ai/.well-known/jwks.json"


def fal(r):
    request, user = r.headers["X-Fal-Webhook-Request-Id"], r.headers["X-Fal-Webhook-User-Id"]
    message = "\n".join([request, user, str(r.now), digest("sha256", r.body).hex()])
    return {"X-Fal-Webhook-Timestamp": str(r.now), "X-Fal-Webhook-Signature": r.key.sign(message.encode()).hex()}


def fal_headers(number):
    return {"X-Fal-Webhook-Request-Id": number, "X-Fal-Webhook-User-Id": "user-1"}


provider(
    "fal-ai",
    sign=fal,
    secret=fal_key,
    other=fal_other,
    remote=True,
    # Any of the published keys may have signed.
    keys={FAL: js({"keys": [keys.ed25519("fal older").jwk("k0"), fal_key.jwk("k1")]}).decode()},
    other_keys={FAL: js({"keys": [fal_other.jwk("k1")]}).decode()},
    signature="header:X-Fal-Webhook-Signature",
    covers=("X-Fal-Webhook-Request-Id", "X-Fal-Webhook-User-Id", "X-Fal-Webhook-Timestamp"),
    window=(300, "both"),
    goods=[
        good("a result", js({"request_id": "r1", "status": "OK", "payload": {"seed": 7}}), headers=fal_headers("r1"), type="OK", id="r1:OK", account="user-1"),
        good("a failure", odd({"request_id": "r2", "status": "ERROR", "error": "x"}), headers=fal_headers("r2"), type="ERROR", id="r2:ERROR", account="user-1"),
    ],
)

# --- FastSpring --------------------------------------------------------------------------------------------------------------------

provider(
    "fastspring",
    sign=body_base64("X-FS-Signature"),
    signature="header:X-FS-Signature",
    goods=[
        good("two events", js({"events": [{"id": "e1", "type": "order.completed", "data": {"total": 12.5}}, {"id": "e2", "type": "subscription.activated"}]}), events=2, type="order.completed", id="e1"),
        good("one event, written with spaces", '{ "events" : [ {"id":"e3","type":"return.created","data":{"who":"Z\\u00fcrich \u00fc","total":12.50}} ] }\n', type="return.created", id="e3"),
    ],
)

# --- Faundit -----------------------------------------------------------------------------------------------------------------------


def faundit(r):
    return {"X-Faundit-Timestamp": str(r.now), "X-Faundit-Signature-Next": mac("sha256", r.key, f"v1:{r.now}:", r.body).hex()}


provider(
    "faundit",
    sign=faundit,
    signature="header:X-Faundit-Signature-Next",
    covers=("X-Faundit-Timestamp",),
    goods=[
        good("an item", js({"event-type": "item-status", "data": {"id": "i1", "locationID": "l1", "status": "FOUND"}}), type="item-status", id="i1:item-status:FOUND", account="l1"),
        good("a request", odd({"event-type": "request-status", "data": {"id": "q1", "locationID": "l1"}}), type="request-status", id="q1:request-status", account="l1"),
        good("the deprecated header alone", js({"event-type": "item-status", "data": {"id": "i1"}}), headers={"X-Faundit-Timestamp": str(NOW), "X-Faundit-Signature": mac("sha256", KEY, f"v0:{NOW}").hex()}, signed=False, expect="signature"),
    ],
)

# --- Favro -------------------------------------------------------------------------------------------------------------------------


def favro(r):
    return {"X-Favro-Webhook": b64(mac("sha1", r.key, json.loads(r.body)["payloadId"], r.full_url))}


provider(
    "favro",
    sign=favro,
    signature="header:X-Favro-Webhook",
    covers_body=False,
    goods=[
        good("a card", js({"payloadId": "p1", "hookId": "h1", "action": "created", "card": {"cardId": "c1"}}), type="created", id="p1", account="h1"),
        good("a URL with a query", odd({"payloadId": "p2", "hookId": "h1", "action": "moved"}), query="board=a%20b", type="moved", id="p2", account="h1"),
        good("signed for another URL", js({"payloadId": "p3", "action": "moved"}), headers={"X-Favro-Webhook": b64(mac("sha1", KEY, "p3https://hooks.example.com/c/other"))}, signed=False, expect="signature"),
    ],
)

# --- Figma -------------------------------------------------------------------------------------------------------------------------


def figma(r):
    r.body = r.body.replace(b'"passcode":""', b'"passcode":' + js(r.key))


provider(
    "figma",
    sign=figma,
    token=True,
    signature="json:passcode",
    goods=[
        good("a file changed", js({"event_type": "FILE_UPDATE", "file_key": "f1", "webhook_id": "w1", "timestamp": "2026-01-01T00:00:00Z", "passcode": ""}), type="FILE_UPDATE", id="w1:2026-01-01T00:00:00Z:FILE_UPDATE", account="f1"),
        good("a ping", '{"passcode":"", "event_type":"PING","webhook_id":"w1","timestamp":"2026-01-01T00:00:01Z"}\n', type="PING", id="w1:2026-01-01T00:00:01Z:PING", account="w1"),
    ],
)

# --- Fillout -----------------------------------------------------------------------------------------------------------------------


def submission(number):
    return {"formId": "f1", "submission": {"submissionId": number, "lastUpdatedAt": "2026-01-01T00:00:00Z", "questions": []}}


provider(
    "fillout",
    sign=lambda r: {"X-Webhook-Token": r.key},
    token=True,
    covers_body=False,
    signature="header:X-Webhook-Token",
    goods=[
        good("a submission", js(submission("s1")), type="form.submitted", id="s1:2026-01-01T00:00:00Z", account="f1"),
        good("bytes of another taste", odd(submission("s2")), type="form.submitted", id="s2:2026-01-01T00:00:00Z", account="f1"),
    ],
)
provider(
    "fillout",
    sign=lambda r: {"X-Forms": r.key},
    params={"header": "X-Forms"},
    goods=[good("a header of the operator's choice", js(submission("s3")), type="form.submitted", id="s3:2026-01-01T00:00:00Z", account="f1")],
)

# --- Finch -------------------------------------------------------------------------------------------------------------------------


def finch(r):
    signed = mac("sha256", unb64(r.key), r.headers["Finch-Event-Id"], ".", r.now, ".", r.body)
    return {"Finch-Timestamp": str(r.now), "Finch-Signature": "v1," + b64(signed)}


provider(
    "finch",
    sign=finch,
    secret=KEY_BASE64,
    signature="header:Finch-Signature",
    covers=("Finch-Event-Id", "Finch-Timestamp"),
    window=(300, "both"),
    goods=[
        good("a connection", js({"account_id": "a1", "connection_id": "c1", "event_type": "account.updated", "data": {}}), headers={"Finch-Event-Id": "msg_1"}, type="account.updated", id="msg_1", account="c1"),
        good("without a connection", odd({"account_id": "a1", "event_type": "payment.created"}), headers={"Finch-Event-Id": "msg_2"}, type="payment.created", id="msg_2", account="a1"),
    ],
)

# --- Fireblocks --------------------------------------------------------------------------------------------------------------------

fb_key, fb_other = keys.rsa("fireblocks"), keys.rsa("fireblocks other")


def fireblocks_v2(r):
    """A compact JWS without its payload, which is the body."""
    head, _, signature = jwt("RS512", lambda data: r.key.sign(data, "sha512"), None, {"kid": "k1"}, payload=r.body).split(".")
    return {"Fireblocks-Webhook-Signature": f"{head}..{signature}"}


def fireblocks_keys(host, key):
    return {f"https://{host}/.well-known/jwks.json": js({"keys": [key.jwk("k1", "RS512")]}).decode()}


provider(
    "fireblocks",
    function="webhooks-v2",
    sign=fireblocks_v2,
    secret=fb_key,
    other=fb_other,
    remote=True,
    keys=fireblocks_keys("keys.fireblocks.io", fb_key),
    other_keys=fireblocks_keys("keys.fireblocks.io", fb_other),
    signature="header:Fireblocks-Webhook-Signature",
    goods=[
        good("a transaction", js({"id": "e1", "eventType": "transaction.created", "workspaceId": "w1", "data": {"id": "t1"}}), type="transaction.created", id="e1", account="w1"),
        good("bytes of another taste", odd({"id": "e2", "eventType": "vault_account.created", "workspaceId": "w1"}), type="vault_account.created", id="e2", account="w1"),
    ],
)
provider(
    "fireblocks",
    function="webhooks-v2",
    sign=fireblocks_v2,
    secret=fb_key,
    remote=True,
    params={"keysHost": "eu-keys.fireblocks.io"},
    keys=fireblocks_keys("eu-keys.fireblocks.io", fb_key),
    goods=[good("another region", js({"id": "e3", "eventType": "transaction.created", "workspaceId": "w1"}), type="transaction.created", id="e3", account="w1")],
)
provider(
    "fireblocks",
    function="webhooks-v1",
    sign=lambda r: {"Fireblocks-Signature": b64(r.key.sign(r.body, "sha512"))},
    secret=fb_key,
    configured=fb_key.public_pem,
    other=fb_other,
    other_configured=fb_other.public_pem,
    signature="header:Fireblocks-Signature",
    goods=[
        good("a transaction", js({"type": "TRANSACTION_CREATED", "tenantId": "w1", "timestamp": 5, "data": {"id": "t1", "status": "SUBMITTED"}}), type="TRANSACTION_CREATED", id="t1:TRANSACTION_CREATED:SUBMITTED:5", account="w1"),
        good("bytes of another taste", odd({"type": "VAULT_ACCOUNT_ADDED", "tenantId": "w1", "timestamp": 6, "data": {"id": "7"}}), type="VAULT_ACCOUNT_ADDED", id="7:VAULT_ACCOUNT_ADDED:6", account="w1"),
    ],
)

# --- Firecrawl, Fireflies ----------------------------------------------------------------------------------------------------------

provider(
    "firecrawl",
    sign=body_hex("X-Firecrawl-Signature", "sha256="),
    signature="header:X-Firecrawl-Signature",
    goods=[
        good("a crawl began", js({"success": True, "type": "crawl.started", "id": "job1", "webhookId": "w1", "data": []}), type="crawl.started", id="w1", account="job1"),
        good("a page", odd({"success": True, "type": "crawl.page", "id": "job1", "webhookId": "w2"}), type="crawl.page", id="w2", account="job1"),
    ],
)
provider(
    "fireflies",
    sign=body_hex("X-Hub-Signature", "sha256="),
    signature="header:X-Hub-Signature",
    goods=[
        good("a transcript", js({"event": "meeting.transcribed", "timestamp": 5, "meeting_id": "m1"}), headers={"x-webhook-delivery-id": "d1"}, type="meeting.transcribed", id="d1", account="m1"),
        good("without a delivery id", odd({"event": "meeting.summarized", "meeting_id": "m1"}), type="meeting.summarized", id="m1:meeting.summarized", account="m1"),
    ],
)

# --- Fitbit ------------------------------------------------------------------------------------------------------------------------

provider(
    "fitbit",
    sign=lambda r: {"X-Fitbit-Signature": b64(mac("sha1", r.key + "&", r.body))},
    params={"verificationCode": "synthetic-code-1"},
    signature="header:X-Fitbit-Signature",
    goods=[
        good("two collections", js([{"collectionType": "activities", "ownerId": "U1", "subscriptionId": "1"}, {"collectionType": "sleep", "ownerId": "U2", "subscriptionId": "2"}]), events=2, type="activities", account="U1"),
        good("written with spaces", '[ {"collectionType" : "body", "ownerId":"U1"} ]\n', type="body", account="U1"),
        good("the right code", method="GET", content_type=None, query="verify=synthetic-code-1", signed=False, expect="handshake", reply_status=204),
        good("the wrong code", method="GET", content_type=None, query="verify=wrong", signed=False, expect="handshake-refused", reply_status=404),
    ],
)

# --- Flexport, Flutterwave ---------------------------------------------------------------------------------------------------------

provider(
    "flexport",
    sign=body_hex("X-Hub-Signature-256", "sha256="),
    signature="header:X-Hub-Signature-256",
    goods=[
        good("a shipment", js({"_object": "/api/event", "id": 1003, "type": "/shipment#created"}), headers={"X-Hub-Signature": "sha1=00"}, type="/shipment#created", id="1003"),
        good("a departure", odd({"id": 1004, "type": "/shipment_leg#departed"}), type="/shipment_leg#departed", id="1004"),
    ],
)
provider(
    "flutterwave",
    function="v4",
    sign=body_base64("flutterwave-signature"),
    signature="header:flutterwave-signature",
    goods=[
        good("a charge", js({"id": "wbk_1", "type": "charge.completed", "data": {"id": "chg_1", "customer": {"id": "cus_1"}}}), type="charge.completed", id="wbk_1", account="cus_1"),
        good("bytes of another taste", odd({"id": "wbk_2", "type": "transfer.completed", "data": {}}), type="transfer.completed", id="wbk_2"),
    ],
)
provider(
    "flutterwave",
    function="v3",
    sign=lambda r: {"verif-hash": r.key},
    token=True,
    covers_body=False,
    signature="header:verif-hash",
    goods=[
        good("a charge", js({"event": "charge.completed", "data": {"id": 285959875, "status": "successful", "account_id": 17321}}), type="charge.completed", id="285959875:charge.completed:successful", account="17321"),
        good("bytes of another taste", odd({"event": "transfer.completed", "data": {"id": 7, "status": "FAILED"}}), type="transfer.completed", id="7:transfer.completed:FAILED"),
    ],
)

# --- Formstack ---------------------------------------------------------------------------------------------------------------------

provider(
    "formstack",
    sign=body_hex("X-FS-Signature", "sha256="),
    signature="header:X-FS-Signature",
    goods=[
        good("a submission in JSON", js({"FormID": "1003", "UniqueID": "2002", "Name": {"first": "Ada"}}), type="form.submitted", id="2002", account="1003"),
        good("a submission as a form", "FormID=1003&UniqueID=2003&Name=Z%C3%BCrich+%26%20more&total=12.50", FORM, type="form.submitted", id="2003", account="1003"),
    ],
)


def handshake_key(r):
    r.body = r.body + b"&HandshakeKey=" + pct(r.key).encode()


provider(
    "formstack",
    function="shared-key",
    sign=handshake_key,
    token=True,
    covers_body=False,
    signature="form:HandshakeKey",
    goods=[
        good("a submission as a form", "FormID=1003&UniqueID=2004&Name=Z%C3%BCrich", FORM, type="form.submitted", id="2004", account="1003"),
        good("a submission in JSON", js({"FormID": "1003", "UniqueID": "2005", "HandshakeKey": KEY}), signed=False, type="form.submitted", id="2005", account="1003"),
        good("another key in JSON", js({"FormID": "1003", "UniqueID": "2005", "HandshakeKey": OTHER}), signed=False, expect="signature"),
    ],
)

# --- Framer ------------------------------------------------------------------------------------------------------------------------


def framer(r):
    return {"Framer-Signature": "sha256=" + mac("sha256", r.key, r.body, r.headers["Framer-Webhook-Submission-Id"]).hex()}


provider(
    "framer",
    sign=framer,
    signature="header:Framer-Signature",
    covers=("Framer-Webhook-Submission-Id",),
    goods=[
        good("a submission", js({"Name": "Ada", "Email": "ada@example.com"}), headers={"Framer-Webhook-Submission-Id": "s1"}, type="form.submitted", id="s1"),
        good("bytes of another taste", odd({"Name": "Ada"}), headers={"Framer-Webhook-Submission-Id": "s2"}, type="form.submitted", id="s2"),
    ],
)

# --- FreshBooks --------------------------------------------------------------------------------------------------------------------


def freshbooks(r):
    """The fields as JSON, all of them strings, with a space after comma and colon, in the order they came."""
    fields = dict(urllib.parse.parse_qsl(r.body.decode(), keep_blank_values=True))
    return {"X-FreshBooks-Hmac-SHA256": b64(mac("sha256", r.key, json.dumps(fields)))}


provider(
    "freshbooks",
    sign=freshbooks,
    signature="header:X-FreshBooks-Hmac-SHA256",
    goods=[
        good("an invoice", "name=invoice.create&object_id=1003&account_id=a1&business_id=7&identity_id=1&user_id=1", FORM, type="invoice.create", account="a1"),
        good("odd values", "user_id=1&name=client.update&object_id=1003&business_id=7&note=a+%22b%22+%5C+c%26d", FORM, type="client.update", account="7"),
        good("the key is handed over", "name=callback.verify&verifier=synthetic-verifier-1&object_id=1&account_id=a1", FORM, signed=False, secrets=[], expect="handshake"),
        good("another key for a group that has one", "name=callback.verify&verifier=synthetic-verifier-2&object_id=1&account_id=a1", FORM, signed=False, expect="handshake-refused"),
    ],
)

# --- Front -------------------------------------------------------------------------------------------------------------------------


def front(r):
    time = str(r.now * 1000)
    return {"X-Front-Request-Timestamp": time, "X-Front-Signature": b64(mac("sha256", r.key, time, ":", r.body))}


SYNC = js({"type": "sync", "authorization": {"id": "cmp_1"}})
provider(
    "front",
    function="application-webhooks",
    sign=front,
    signature="header:X-Front-Signature",
    covers=("X-Front-Request-Timestamp",),
    goods=[
        good("a message", js({"type": "inbound_received", "authorization": {"id": "cmp_1"}, "payload": {"id": "evt_1"}}), type="inbound_received", id="evt_1:inbound_received", account="cmp_1"),
        good("bytes of another taste", odd({"type": "tag_added", "authorization": {"id": "cmp_1"}, "payload": {"id": "evt_2"}}), type="tag_added", id="evt_2:tag_added", account="cmp_1"),
        good("URL check", SYNC, headers={"X-Front-Challenge": "fc8c1a2b"}, expect="handshake", reply="fc8c1a2b"),
        good("URL check that nobody signed", SYNC, headers={"X-Front-Challenge": "fc8c1a2b"}, signed=False, expect="signature"),
    ],
)
provider(
    "front",
    function="rule-webhooks",
    sign=body_base64("X-Front-Signature", "sha1"),
    signature="header:X-Front-Signature",
    goods=[
        good("a message", js({"type": "inbound", "id": "evt_1", "conversation": {"id": "cnv_1"}}), type="inbound", id="evt_1:inbound", account="cnv_1"),
        good("bytes of another taste", odd({"type": "assign", "id": "evt_2", "conversation": {"id": "cnv_1"}}), type="assign", id="evt_2:assign", account="cnv_1"),
    ],
)

# --- Frontegg ----------------------------------------------------------------------------------------------------------------------

provider(
    "frontegg",
    sign=lambda r: {"x-webhook-secret": jwt("HS256", r.key, {"iat": r.now, "exp": r.now + 300})},
    covers_body=False,
    signature="header:x-webhook-secret",
    goods=[
        good("a user", js({"eventKey": "frontegg.user.created", "eventContext": {"vendorId": "v1", "tenantId": "t1"}}), type="frontegg.user.created", account="t1"),
        good("bytes of another taste", odd({"eventKey": "frontegg.tenant.created", "eventContext": {"vendorId": "v1"}}), type="frontegg.tenant.created", account="v1"),
        good("a token that ran out", js({"eventKey": "frontegg.user.created"}), headers={"x-webhook-secret": jwt("HS256", KEY, {"iat": NOW - 7200, "exp": NOW - 3600})}, signed=False, expect="timestamp"),
        good("a token under no algorithm", js({"eventKey": "frontegg.user.created"}), headers={"x-webhook-secret": jwt("none", lambda data: b"", {"iat": NOW})}, signed=False, expect="signature"),
    ],
)

# --- FusionAuth --------------------------------------------------------------------------------------------------------------------


def fusionauth(algorithm, sign=None):
    def add(r):
        claims = {"request_body_sha256": b64(digest("sha256", r.body)), "iat": r.now}
        return {"X-FusionAuth-Signature-JWT": jwt(algorithm, sign(r.key) if sign else r.key, claims, {"kid": "k1"})}

    return add


def user(kind, number):
    return {"event": {"id": number, "type": kind, "tenantId": "t1", "user": {"id": "u1"}}}


def fusionauth_goods(sort):
    return [
        good(f"a user, {sort}", js(user("user.create", "e1")), type="user.create", id="e1", account="t1"),
        good(f"bytes of another taste, {sort}", odd(user("user.login.failed", "e2")), type="user.login.failed", id="e2", account="t1"),
    ]


provider("fusionauth", sign=fusionauth("HS256"), signature="header:X-FusionAuth-Signature-JWT", goods=fusionauth_goods("HS256"))
provider("fusionauth", sign=fusionauth("HS512"), goods=fusionauth_goods("HS512"))
fa_rsa, fa_rsa_other = keys.rsa("fusionauth"), keys.rsa("fusionauth other")
provider(
    "fusionauth",
    function="rsa-key",
    sign=fusionauth("RS256", lambda key: lambda data: key.sign(data, "sha256")),
    secret=fa_rsa,
    configured=fa_rsa.public_pem,
    other=fa_rsa_other,
    other_configured=fa_rsa_other.public_pem,
    signature="header:X-FusionAuth-Signature-JWT",
    goods=fusionauth_goods("RS256")
    + [
        # The public key as the secret of an HMAC: the oldest trick with these tokens.
        good("HS256 under the public key", js(user("user.create", "e3")), headers={
            "X-FusionAuth-Signature-JWT": jwt("HS256", fa_rsa.public_pem, {"request_body_sha256": b64(digest("sha256", js(user("user.create", "e3"))))}),
        }, signed=False, expect="signature"),
    ],
)
fa_ec, fa_ec_other = keys.p256("fusionauth"), keys.p256("fusionauth other")
provider(
    "fusionauth",
    function="ec-key",
    sign=fusionauth("ES256", lambda key: key.jose),
    secret=fa_ec,
    configured=fa_ec.public_pem,
    other=fa_ec_other,
    other_configured=fa_ec_other.public_pem,
    signature="header:X-FusionAuth-Signature-JWT",
    goods=fusionauth_goods("ES256"),
)
fa_ed, fa_ed_other = keys.ed25519("fusionauth"), keys.ed25519("fusionauth other")
provider(
    "fusionauth",
    function="okp-key",
    sign=fusionauth("EdDSA", lambda key: key.sign),
    secret=fa_ed,
    configured=fa_ed.public_pem,
    other=fa_ed_other,
    other_configured=fa_ed_other.public_pem,
    signature="header:X-FusionAuth-Signature-JWT",
    goods=fusionauth_goods("EdDSA"),
)

"""SendGrid to Sinch."""

import keys as private
from habits import *

# --- SendGrid: ECDSA over time and body. ------------------------------------------------------------------------------------------

SENDGRID = "X-Twilio-Email-Event-Webhook"


def sendgrid(r):
    return {f"{SENDGRID}-Timestamp": str(r.now), f"{SENDGRID}-Signature": b64(r.key.sign(raw(r.now) + r.body))}


k, o = private.p256("sendgrid"), private.p256("sendgrid other")
provider(
    "sendgrid",
    sign=sendgrid,
    signature=f"header:{SENDGRID}-Signature",
    covers=(f"{SENDGRID}-Timestamp",),
    secret=k, configured=k.spki_base64, other=o, other_configured=o.spki_base64,
    goods=[
        good("one event", js([{"email": "ada@example.com", "event": "delivered", "sg_event_id": "ev1", "timestamp": NOW}]), type="delivered", id="ev1"),
        good(
            "two events with CRLF between them and after",
            '[{"email":"ada@example.com","event":"open","sg_event_id":"op1","useragent":"Z\\u00fcrich"},\r\n{"event":"click","sg_event_id":"cl1","url":"https://example.com/a?b=1"}]\r\n',
            type="open", id="op1", events=2,
        ),
    ],
)
MULTIPART = '--b\r\nContent-Disposition: form-data; name="to"\r\n\r\nhelp@in.example.com\r\n--b\r\nContent-Disposition: form-data; name="subject"\r\n\r\nHello\r\n--b--\r\n'
unsigned("sendgrid", [good("a mail", MULTIPART, "multipart/form-data; boundary=b", type="inbound.parse", account="help@in.example.com")], function="inbound-parse")

# --- Sentry ------------------------------------------------------------------------------------------------------------------------

ISSUE = {"action": "created", "installation": {"uuid": "i1"}, "data": {"issue": {"id": "1"}}}
provider(
    "sentry",
    sign=body_hex("Sentry-Hook-Signature"),
    signature="header:Sentry-Hook-Signature",
    goods=[
        good("an issue", js(ISSUE), headers={"Sentry-Hook-Resource": "issue", "Request-ID": "r1", "Sentry-Hook-Timestamp": str(NOW)}, type="issue.created", id="r1", account="i1"),
        good("an alert", odd({**ISSUE, "action": "triggered"}), headers={"Sentry-Hook-Resource": "event_alert", "Request-ID": "r2"}, type="event_alert.triggered", id="r2"),
    ],
)

# --- ShipBob, ShipEngine, ShipHero, Shippo, ShipStation ------------------------------------------------------------------------------

standard_webhooks(
    "shipbob",
    [
        good("an order left", js({"id": 41821, "order_number": "1001"}), headers={"x-webhook-topic": "order.shipped"}, type="order.shipped", id="msg_1"),
        good("a return", odd({"id": 7731}), headers={"x-webhook-topic": "return.created", "webhook-id": "msg_2"}, type="return.created", id="msg_2"),
    ],
)


def shipengine(r):
    t = rfc3339(r.now)
    return {
        "x-shipengine-timestamp": t,
        "x-shipengine-rsa-sha256-key-id": "k1",
        "x-shipengine-rsa-sha256-signature": b64(r.key.sign(raw(f"{t}.") + r.body)),
    }


k, o = private.rsa("shipengine"), private.rsa("shipengine other")
for function, name, kind in (("", "tracking", "API_TRACK"), ("batches", "a batch", "API_BATCH"), ("rates", "rates", "API_RATE")):
    provider(
        "shipengine",
        function=function,
        sign=shipengine,
        signature="header:x-shipengine-rsa-sha256-signature",
        covers=("x-shipengine-timestamp",),
        window=(300, "both"),
        secret=k, other=o, remote=True,
        keys={"https://api.shipengine.com/jwks": js({"keys": [k.jwk("k1")]}).decode()},
        other_keys={"https://api.shipengine.com/jwks": js({"keys": [o.jwk("k1")]}).decode()},
        goods=[
            good(name, js({"resource_type": kind, "resource_url": "https://api.shipengine.com/v1/x"}), type=kind),
            good(f"{name}, oddly written", odd({"resource_type": kind}), type=kind),
        ],
    )

provider(
    "shiphero",
    sign=body_base64("x-shiphero-hmac-sha256"),
    signature="header:x-shiphero-hmac-sha256",
    goods=[
        good("a shipment", js({"webhook_type": "Shipment Update", "account_id": 4212}), headers={"X-Shiphero-Message-ID": "m1"}, type="Shipment Update", id="m1", account="4212"),
        good("stock", odd({"webhook_type": "Inventory Update", "account_id": 4212}), headers={"X-Shiphero-Message-ID": "m2"}, type="Inventory Update", id="m2"),
    ],
)

TRACK = {"event": "track_updated", "test": True, "data": {"tracking_number": "9205590164917312751089"}}
provider(
    "shippo",
    sign=pairs("Shippo-Auth-Signature"),
    signature="header:Shippo-Auth-Signature",
    goods=[good("tracking", js(TRACK), type="track_updated"), good("a label", odd({"event": "transaction_created"}), type="transaction_created")],
)


def query_token(r):
    r.query = f"token={r.key}"


shared_token("shippo", query_token, "query:token", [good("tracking", js(TRACK), type="track_updated")], function="query-token")

ORDERS = "https://ssapi6.shipstation.com/orders?importBatch=1"
for function, kind in (("", "ORDER_NOTIFY"), ("shipments", "SHIP_NOTIFY")):
    unsigned("shipstation", [good(kind, js({"resource_url": ORDERS, "resource_type": kind}), type=kind, id=f"{kind}|{ORDERS}")], function=function)

# --- SHOPLINE, Shortcut ---------------------------------------------------------------------------------------------------------------

SHOPLINE = {"X-Shopline-Webhook-Id": "w1", "X-Shopline-Shop-Id": "s1", "X-Shopline-Shop-Domain": "acme.myshopline.com"}
provider(
    "shopline",
    sign=body_hex("X-Shopline-Hmac-Sha256"),
    signature="header:X-Shopline-Hmac-Sha256",
    goods=[
        good("an order", js({"id": "21"}), headers={"X-Shopline-Topic": "orders/create", **SHOPLINE}, type="orders/create", id="w1", account="s1"),
        good("a product", odd({"id": "22"}), headers={"X-Shopline-Topic": "products/update", **SHOPLINE}, type="products/update", id="w1"),
    ],
)
STORY = {"entity_type": "story", "action": "update", "id": 16927}
provider(
    "shortcut",
    sign=body_hex("Payload-Signature"),
    signature="header:Payload-Signature",
    goods=[
        good("a story", js({"id": "u1", "primary_id": 16927, "actions": [STORY]}), type="story.update", id="u1"),
        good("a story and an epic", odd({"id": "u2", "actions": [STORY, {"entity_type": "epic", "action": "create"}]}), type="story.update", id="u2", events=2),
    ],
)

# --- Sinch: the webhook's secret; SHA-1 for numbers; an application's key for calls and verifications. --------------------------------


def sinch(r):
    signed = mac("sha256", r.key, r.body, ".nonce1.", r.now)
    return {
        "x-sinch-webhook-signature": b64(signed),
        "x-sinch-webhook-signature-algorithm": "HmacSHA256",
        "x-sinch-webhook-signature-nonce": "nonce1",
        "x-sinch-webhook-signature-timestamp": str(r.now),
    }


SINCH = dict(
    sign=sinch,
    signature="header:x-sinch-webhook-signature",
    covers=("x-sinch-webhook-signature-nonce", "x-sinch-webhook-signature-timestamp"),
)
APP = {"app_id": "a1", "project_id": "p1", "accepted_time": AT, "message_metadata": ""}
provider(
    "sinch",
    goods=[
        good("a message", js({**APP, "message": {"id": "m1"}}), type="MESSAGE_INBOUND", id="m1", account="p1"),
        good("a delivery", odd({**APP, "message_delivery_report": {"message_id": "m2", "status": "DELIVERED"}}), type="MESSAGE_DELIVERY", id="m2:DELIVERED"),
    ],
    **SINCH,
)
provider(
    "sinch",
    function="sms",
    goods=[
        good("a text", js({"id": "s1", "type": "mo_text", "to": "15005550001"}), type="mo_text", id="s1", account="15005550001"),
        good("a report", odd({"type": "recipient_delivery_report_sms", "batch_id": "b1", "recipient": "1500", "status": "Delivered"}), type="recipient_delivery_report_sms", id="b1:1500:Delivered"),
    ],
    **SINCH,
)
provider(
    "sinch",
    function="numbers",
    sign=body_hex("X-Sinch-Signature", hash="sha1"),
    signature="header:X-Sinch-Signature",
    goods=[good("a number", odd({"eventId": "e1", "projectId": "p1", "eventType": "PROVISIONING_TO_SMS_PLATFORM"}), type="PROVISIONING_TO_SMS_PLATFORM", id="e1", account="p1")],
)


def sinch_application(scheme):
    def sign(r):
        t = rfc3339(r.now)
        content_md5 = b64(digest("md5", r.body))
        text = f"{r.method}\n{content_md5}\n{r.headers['Content-Type']}\nx-timestamp:{t}\n{r.path}"
        return {"x-timestamp": t, "Authorization": f"{scheme} 669E367E-6BBA:" + b64(mac("sha256", unb64(r.key), text))}

    return sign


for function, scheme, goods in (
    ("voice", "application", [good("a call ended", odd({"event": "dice", "callid": "c1", "timestamp": AT, "applicationKey": "669E367E-6BBA"}), type="dice", id=f"c1:dice:{AT}", account="669E367E-6BBA")]),
    ("verification", "Application", [good("a result", odd({"id": "v1", "event": "VerificationResultEvent"}), type="VerificationResultEvent", id="v1:VerificationResultEvent")]),
):
    provider(
        "sinch", function=function, sign=sinch_application(scheme), signature="header:Authorization", covers=("x-timestamp", "Content-Type"),
        secret=KEY_BASE64, other=OTHER, unsigned_is=None, goods=goods,
    )

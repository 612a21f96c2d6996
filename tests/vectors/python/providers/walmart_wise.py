"""Walmart to Wise."""

import keys as private
from habits import *

# --- Walmart ------------------------------------------------------------------------------------------------------------------------------


def walmart(r):
    lines = [r.method, r.path_and_query, str(r.now), digest("sha256", r.body).hex()]
    return {"WM_SEC.TIMESTAMP": str(r.now), "WM_SEC.SIGNATURE": b64(mac("sha256", r.key, "\n".join(lines)))}


ORDER = {"source": {"eventType": "PO_CREATED", "eventId": "e1", "partnerId": "p1"}, "payload": {}}
provider(
    "walmart-marketplace",
    sign=walmart,
    signature="header:WM_SEC.SIGNATURE",
    covers=("WM_SEC.TIMESTAMP",),
    window=(300, "both"),
    goods=[
        good("an order", js(ORDER), type="PO_CREATED", id="e1", account="p1"),
        good("another shape, and a query", odd({"eventType": "INVENTORY_OOS", "sellerId": "s1"}), query="tenant=1&b=%20", type="INVENTORY_OOS", account="s1"),
    ],
)
basic("walmart-marketplace", "hookplane", [good("an order", odd(ORDER), type="PO_CREATED", id="e1")], function="event-notifications", unsigned_is=None)

# --- Webex, Webflow -------------------------------------------------------------------------------------------------------------------------

for function, resource, event in (("", "messages", "created"), ("rooms", "rooms", "created"), ("memberships", "memberships", "deleted"), ("meetings", "meetings", "started")):
    kind, body = f"{resource}.{event}", {"id": "w1", "orgId": "o1", "appId": "a1", "resource": resource, "event": event, "data": {"id": "d1"}}
    provider(
        "webex",
        function=function,
        sign=body_hex("X-Spark-Signature", hash="sha1"),
        signature="header:X-Spark-Signature",
        goods=[
            good(kind, js(body), type=kind, id=f"{resource}|{event}|d1", account="o1"),
            good(f"{kind}, oddly written", odd(body), type=kind, id=f"{resource}|{event}|d1"),
        ],
    )


def webflow(r):
    t = r.now * 1000
    return {"X-Webflow-Timestamp": str(t), "X-Webflow-Signature": mac("sha256", r.key, f"{t}:", r.body).hex()}


provider(
    "webflow",
    sign=webflow,
    signature="header:X-Webflow-Signature",
    covers=("X-Webflow-Timestamp",),
    window=(300, "age"),
    goods=[
        good("a form", js({"triggerType": "form_submission", "payload": {"id": "f1", "siteId": "s1"}}), type="form_submission", id="f1|form_submission", account="s1"),
        good("an item, oddly written", odd({"triggerType": "collection_item_changed", "payload": {"id": "i1", "lastUpdated": AT}}), type="collection_item_changed", id=f"i1|collection_item_changed|{AT}"),
    ],
)

# --- WeChat: sorted words, hashed; XML; a check that is proven the same way. ----------------------------------------------------------------


def wechat(r):
    words = sorted([r.key, str(r.now), "n1"])
    r.query = "&".join(filter(None, [r.query, f"timestamp={r.now}&nonce=n1&signature=" + digest("sha1", "".join(words)).hex()]))


def wechat_xml(kind, rest=""):
    return f"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName><CreateTime>{NOW}</CreateTime><MsgType><![CDATA[{kind}]]></MsgType>{rest}</xml>"


ECHO = good("URL check", b"", None, method="GET", query="echostr=5927782489442352469", expect="handshake", reply="5927782489442352469")
FORGED = good("URL check nobody signed", b"", None, method="GET", query="echostr=1&timestamp=1&nonce=2&signature=" + "0" * 40, signed=False, expect="signature")
provider(
    "wechat-official",
    sign=wechat,
    signature="query:signature",
    covers_body=False,
    goods=[
        good("a text", wechat_xml("text", "<Content><![CDATA[Zürich]]></Content><MsgId>123</MsgId>"), "text/xml", type="text", id="123", account="gh_1"),
        good("a follower", wechat_xml("event", "\n <Event><![CDATA[subscribe]]></Event>\n") + "\n", "text/xml", type="event.subscribe", id=f"o1|{NOW}|subscribe"),
        ECHO, FORGED,
    ],
    secret="token0123abc", other="token9876xyz",
)

# --- WeChat Pay: its own probes have to be refused. -----------------------------------------------------------------------------------------


def wechat_pay(r):
    signed = r.key.sign(raw(f"{r.now}\nn1\n") + r.body + b"\n")
    return {"Wechatpay-Timestamp": str(r.now), "Wechatpay-Nonce": "n1", "Wechatpay-Serial": "PUB_KEY_ID_1", "Wechatpay-Signature": b64(signed)}


def wechat_probe(r):
    return {**wechat_pay(r), "Wechatpay-Signature": "WECHATPAY/SIGNTEST/" + wechat_pay(r)["Wechatpay-Signature"][19:]}


k, o = private.rsa("wechat-pay"), private.rsa("wechat-pay other")
KEYS = dict(secret=k, configured=k.public_pem)
for function, kind in (("", "TRANSACTION.SUCCESS"), ("refunds", "REFUND.SUCCESS")):
    paid = {"id": "n1", "event_type": kind, "resource": {"ciphertext": "c2VjcmV0", "nonce": "abc"}}
    provider(
        "wechat-pay",
        function=function,
        sign=wechat_pay,
        signature="header:Wechatpay-Signature",
        covers=("Wechatpay-Timestamp", "Wechatpay-Nonce"),
        window=(300, "both"),
        other=o, other_configured=o.public_pem,
        goods=[good(kind, js(paid), type=kind, id="n1"), good(f"{kind}, oddly written", odd({**paid, "id": "n2"}), type=kind, id="n2")],
        **KEYS,
    )
    provider("wechat-pay", function=function, sign=wechat_probe, goods=[good("WeChat's probe with a bad signature", js(paid), expect="signature")], **KEYS)

# --- WhatsApp ----------------------------------------------------------------------------------------------------------------------------------


def whatsapp(field, *values):
    changes = [{"field": field, "value": value} for value in values]
    return {"object": "whatsapp_business_account", "entry": [{"id": "waba1", "changes": changes}]}


def verification(token, challenge="1158201444"):
    return f"hub.mode=subscribe&hub.challenge={challenge}&hub.verify_token={token}"


for function, field, value, number in (
    ("", "messages", {"messages": [{"id": "wamid.1"}]}, "wamid.1"),
    ("templates", "message_template_status_update", {"event": "APPROVED", "message_template_id": 7}, "7:APPROVED"),
    ("account", "account_update", {"event": "VERIFIED_ACCOUNT"}, None),
):
    provider(
        "whatsapp-cloud",
        function=function,
        sign=body_hex("X-Hub-Signature-256", "sha256="),
        signature="header:X-Hub-Signature-256",
        params={"verifyToken": "mine"},
        goods=[
            good(field, js(whatsapp(field, value)), type=field, id=number, account="waba1"),
            good(f"{field}, two of them, oddly written", odd(whatsapp(field, value, value)), type=field, id=number, events=2),
            good("URL check", b"", None, method="GET", query=verification("mine"), signed=False, expect="handshake", reply="1158201444"),
            good("URL check with another token", b"", None, method="GET", query=verification("other"), signed=False, expect="handshake-refused"),
            good("URL check with markup", b"", None, method="GET", query=verification("mine", "%3Cb%3E"), signed=False, expect="handshake-refused"),
        ],
    )
provider(
    "whatsapp-cloud",
    sign=body_hex("X-Hub-Signature-256", "sha256="),
    params={"verifyToken": "mine"},
    goods=[good("a message was read", js(whatsapp("messages", {"statuses": [{"id": "wamid.1", "status": "read"}]})), type="messages", id="wamid.1:read")],
)

# --- WHOOP, Whop, Wise --------------------------------------------------------------------------------------------------------------------------


def whoop(r):
    t = r.now * 1000
    return {"X-WHOOP-Signature-Timestamp": str(t), "X-WHOOP-Signature": b64(mac("sha256", r.key, t, r.body))}


for function, kind in (("", "recovery.updated"), ("sleep", "sleep.updated"), ("workout", "workout.deleted")):
    provider(
        "whoop",
        function=function,
        sign=whoop,
        signature="header:X-WHOOP-Signature",
        covers=("X-WHOOP-Signature-Timestamp",),
        goods=[
            good(kind, js({"user_id": 10129, "id": "w1", "type": kind, "trace_id": "t1"}), type=kind, id="t1", account="10129"),
            good(f"{kind}, oddly written", odd({"user_id": 10129, "type": kind, "trace_id": "t2"}), type=kind, id="t2"),
        ],
    )
for function, kind in (("", "payment.succeeded"), ("app-webhooks", "membership.activated")):
    # The key is the secret's text, although the frame is that of Standard Webhooks.
    standard_webhooks(
        "whop",
        [
            good(kind, js({"type": kind, "company_id": "biz_1"}), type=kind, id="msg_1", account="biz_1"),
            good(f"{kind}, oddly written", odd({"type": kind, "account_id": "biz_2"}), headers={"webhook-id": "msg_2"}, type=kind, id="msg_2", account="biz_2"),
        ],
        raw_key=True,
        function=function,
    )
k, o = private.rsa("wise"), private.rsa("wise other")
for function, kind in (("", "transfers#state-change"), ("balances", "balances#credit"), ("profiles", "profiles#verification-state-change")):
    body = {"event_type": kind, "subscription_id": "s1", "data": {"resource": {"profile_id": 222}}}
    provider(
        "wise",
        function=function,
        sign=lambda r: {"X-Signature-SHA256": b64(r.key.sign(r.body))},
        signature="header:X-Signature-SHA256",
        secret=k, configured=k.public_pem, other=o, other_configured=o.public_pem,
        goods=[
            good(kind, js(body), headers={"X-Delivery-Id": "d1"}, type=kind, id="d1", account="222"),
            good(f"{kind}, oddly written", odd(body), headers={"X-Delivery-Id": "d2"}, type=kind, id="d2"),
            good("test notification", js({}), headers={"X-Test-Notification": "true"}, expect="handshake", reply_status=200),
        ],
    )

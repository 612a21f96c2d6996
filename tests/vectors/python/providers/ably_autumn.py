"""Ably to Autumn."""

import keys
from harness import *
from providers import standard_webhooks


def ably(r):
    # The part of the API key after its colon signs the body.
    return {"X-Ably-Key": "app0.key0", "X-Ably-Signature": b64(mac("sha256", r.key, r.body))}


def ably_item(source, serial):
    return {"webhookId": "rule1", "source": source, "serial": serial, "timestamp": 1767225600000, "name": source, "data": {"channelId": "orders"}}


provider(
    "ably",
    sign=ably,
    signature="header:X-Ably-Signature",
    goods=[
        good("one message", js({"items": [ably_item("channel.message", "a1:0")]}), type="channel.message", id="a1:0", account="rule1"),
        good(
            "two events, white space and an escape",
            '{ "items": [\n {"webhookId":"rule1","source":"channel.presence","serial":"a1:1","name":"channel.presence","data":{"n":12.50,"who":"Z\\u00fcrich"}},\n'
            ' {"webhookId":"rule1","source":"channel.opened","serial":"a1:2","name":"channel.opened"} ] }\n',
            events=2, type="channel.presence", id="a1:1",
        ),
    ],
)


FORM = "application/x-www-form-urlencoded"

unsigned("activecampaign", [
    good("a subscriber", form({"type": "subscribe", "date_time": "2026-01-01T09:00:00-06:00", "list": "1", "contact[email]": "ada@example.com"}), FORM, type="subscribe"),
    good("plus signs and percent escapes", "type=update&contact%5Bfirst_name%5D=Ada+Lovelace&contact%5Bphone%5D=%2B1500", FORM, type="update"),
])
for function, event in (("campaigns", "open"), ("deals", "deal_add")):
    unsigned("activecampaign", [good(f"a form for {function}", form({"type": event, "date_time": "2026-01-01"}), FORM, type=event)], function=function)


def acuity(r):
    return {"X-Acuity-Signature": b64(mac("sha256", r.key, r.body))}


provider(
    "acuity-scheduling",
    sign=acuity,
    signature="header:X-Acuity-Signature",
    goods=[
        good("an appointment", "action=scheduled&id=1401020&calendarID=31&appointmentTypeID=12", FORM, type="scheduled", account="31"),
        good("fields in another order, an empty one and an escape", "calendarID=31&note=&who=Z%C3%BCrich+1%2B1&action=canceled&id=1401020", FORM, type="canceled", account="31"),
    ],
)
provider("acuity-scheduling", function="orders", sign=acuity, signature="header:X-Acuity-Signature",
    goods=[good("an order", "action=order.completed&id=88001", FORM, type="order.completed")])


ADOBE_KEY, ADOBE_OTHER = keys.rsa("adobe io events"), keys.rsa("adobe io events other")
ADOBE_AT = "https://static.adobeioevents.com/prod/keys/pub-key-sample1.pem"


def adobe_io(r):
    return {
        "x-adobe-public-key1-path": "/prod/keys/pub-key-sample1.pem",
        "x-adobe-digital-signature-1": b64(r.key.sign(r.body, "sha256")),
    }


def adobe_io_elsewhere(r):
    return {**adobe_io(r), "x-adobe-public-key1-path": "@keys.example.com/prod/keys/pub-key-sample1.pem"}


ADOBE = dict(secret=ADOBE_KEY, other=ADOBE_OTHER, remote=True, keys={ADOBE_AT: ADOBE_KEY.public_pem}, params={"client_id": "client1"})

provider(
    "adobe-io-events",
    sign=adobe_io,
    signature="header:x-adobe-digital-signature-1",
    other_keys={ADOBE_AT: ADOBE_OTHER.public_pem},
    goods=[
        good(
            "an asset", js({"event_id": "e1", "type": "asset_created", "recipient_client_id": "client1", "event": {"@type": "asset_created"}}),
            type="asset_created", id="e1", account="client1",
        ),
        good(
            "a CloudEvent with white space and escapes",
            '{"specversion":"1.0", "id":"c1","eventid":"e2","recipientclientid":"client1","type":"aem.assets.asset.created","data":{"n":12.50,"t":"\\u00fc/\\/"}}\n',
            "application/cloudevents+json", type="aem.assets.asset.created", id="e2", account="client1",
        ),
        good("an event for another client", js({"event_id": "e3", "type": "asset_created", "recipient_client_id": "client2"}), expect="signature"),
        good("an event for nobody", js({"event_id": "e4", "type": "asset_created"}), expect="signature"),
        good("URL check", content_type=None, method="GET", query="challenge=8ec8d794-e0ab-42df-9017-e3dada8e84f7", signed=False, expect="handshake",
             reply_json={"challenge": "8ec8d794-e0ab-42df-9017-e3dada8e84f7"}),
        good("a URL check with markup", content_type=None, method="GET", query="challenge=%3Cscript%3E", signed=False, expect="handshake-refused"),
    ],
    **ADOBE,
)
provider(
    "adobe-io-events",
    sign=adobe_io_elsewhere,
    goods=[good("the sender names a key elsewhere", js({"event_id": "e1", "type": "asset_created", "recipient_client_id": "client1"}), expect="signature")],
    **{**ADOBE, "keys": {"https://static.adobeioevents.com@keys.example.com/prod/keys/pub-key-sample1.pem": ADOBE_KEY.public_pem}},
)


def adobe_sign(r):
    return {"X-AdobeSign-ClientId": r.key}


provider(
    "adobe-sign",
    sign=adobe_sign,
    signature="header:X-AdobeSign-ClientId",
    token=True,
    covers_body=False,
    goods=[
        good(
            "an agreement", js({"webhookId": "wh1", "webhookNotificationId": "n1", "webhookScope": "ACCOUNT", "event": "AGREEMENT_CREATED"}),
            type="AGREEMENT_CREATED", id="n1", account="wh1",
        ),
        good("white space and an escape", '{ "event": "AGREEMENT_RECALLED",\n "webhookNotificationId": "n2", "webhookId": "wh1", "name": "Z\\u00fcrich" }\n', type="AGREEMENT_RECALLED", id="n2"),
        good("registration", content_type=None, method="GET", expect="handshake", reply_status=200, reply_headers={"X-AdobeSign-ClientId": KEY}),
        good("registration by another application", content_type=None, method="GET", headers={"X-AdobeSign-ClientId": "somebody-else"}, signed=False, expect="signature"),
    ],
)
provider("adobe-sign", function="widgets", sign=adobe_sign, signature="header:X-AdobeSign-ClientId", token=True, covers_body=False,
    goods=[good("a web form", js({"webhookId": "wh1", "webhookNotificationId": "n3", "event": "WIDGET_CREATED"}), type="WIDGET_CREATED", id="n3", account="wh1")])


def adyen_item(**changes):
    item = {
        "additionalData": {}, "amount": {"currency": "EUR", "value": 1250}, "eventCode": "AUTHORISATION", "merchantAccountCode": "AcmeECOM",
        "merchantReference": "1001", "pspReference": "QFQTPCQ8HXSKGK82", "success": "true",
    }
    item.update(changes)
    return item


def adyen_signature(key, item):
    amount = item.get("amount", {})
    fields = [
        item.get("pspReference"), item.get("originalReference"), item.get("merchantAccountCode"), item.get("merchantReference"),
        amount.get("value"), amount.get("currency"), item.get("eventCode"), item.get("success"),
    ]
    return b64(mac("sha256", bytes.fromhex(key), ":".join("" if field is None else str(field) for field in fields)))


def adyen_body(*items, live="false"):
    return js({"live": live, "notificationItems": [{"NotificationRequestItem": item} for item in items]})


def adyen_standard(r):
    # Each item is signed for itself, inside the body.
    tree = json.loads(r.body)
    for one in tree["notificationItems"]:
        item = one["NotificationRequestItem"]
        item["additionalData"]["hmacSignature"] = adyen_signature(r.key, item)
    r.body = js(tree)


def adyen_signed(key=KEY_HEX, tampered=None, signature=None, **changes):
    item = adyen_item(**changes)
    item["additionalData"] = {"hmacSignature": adyen_signature(key, item) if signature is None else signature}
    item.update(tampered or {})
    return adyen_body(item)


provider(
    "adyen",
    sign=adyen_standard,
    secret=KEY_HEX,
    other=OTHER_HEX,
    goods=[
        good("an authorisation", adyen_body(adyen_item()), type="AUTHORISATION", id="QFQTPCQ8HXSKGK82:AUTHORISATION:true", account="AcmeECOM"),
        good(
            "a refund of an earlier payment, with a colon and an umlaut", adyen_body(adyen_item(eventCode="REFUND", originalReference="ABC1", merchantReference="a:b\\Zürich", success="false")),
            type="REFUND", id="QFQTPCQ8HXSKGK82:REFUND:false",
        ),
        good("a report without an amount", adyen_body({"additionalData": {}, "eventCode": "REPORT_AVAILABLE", "merchantAccountCode": "AcmeECOM", "pspReference": "R1", "success": "true"}), type="REPORT_AVAILABLE"),
        good("two items in one", adyen_body(adyen_item(), adyen_item(pspReference="B2")), expect="signature"),
        good("another amount", adyen_signed(tampered={"amount": {"currency": "EUR", "value": 1}}), signed=False, expect="signature"),
        good("another success", adyen_signed(success="false", tampered={"success": "true"}), signed=False, expect="signature"),
        good("another reference", adyen_signed(tampered={"pspReference": "OTHER"}), signed=False, expect="signature"),
        good("another key", adyen_signed(key=OTHER_HEX), signed=False, expect="signature"),
        good("signature empty", adyen_signed(signature=""), signed=False, expect="signature"),
        good("signature missing", adyen_body(adyen_item()), signed=False, expect="signature"),
        good("signature in hex", adyen_signed(signature=unb64(adyen_signature(KEY_HEX, adyen_item())).hex()), signed=False, expect="signature"),
    ],
)


def adyen_platform(r):
    return {"HmacSignature": b64(mac("sha256", bytes.fromhex(r.key), r.body)), "Protocol": "HmacSHA256"}


ADYEN = dict(sign=adyen_platform, signature="header:HmacSignature", secret=KEY_HEX, other=OTHER_HEX)
provider("adyen", function="platforms", **ADYEN, goods=[
    good("an account holder", js({"type": "balancePlatform.accountHolder.created", "data": {"balancePlatform": "Acme", "accountHolder": {"id": "AH1"}}}),
         type="balancePlatform.accountHolder.created", account="Acme"),
    good("white space and a price", '{"type" : "balancePlatform.transfer.updated", "data": {"balancePlatform": "Acme", "n": 12.50, "t": "\\u00fc"}}\n', type="balancePlatform.transfer.updated"),
])
provider("adyen", function="management", **ADYEN, goods=[
    good("a merchant account", js({"type": "merchant.created", "data": {"companyId": "Acme", "merchantId": "AcmeECOM"}}), type="merchant.created", account="AcmeECOM"),
])


def affirm(r):
    return {"X-Affirm-Signature": f"t={r.now},v0={mac('sha512', r.key, f'{r.now}.', r.body).hex()}"}


def affirm_in_sha256(r):
    return {"X-Affirm-Signature": f"t={r.now},v0={mac('sha256', r.key, f'{r.now}.', r.body).hex()}"}


provider(
    "affirm",
    sign=affirm,
    signature="header:X-Affirm-Signature",
    goods=[
        good("a checkout", js({"webhook_session_id": "s1", "event": "opened", "checkout_token": "CHK1"}), type="opened", id="s1:opened", account="CHK1"),
        good("white space and an escape", '{"event": "confirmed", "webhook_session_id": "s1", "checkout_token": "CHK1", "who": "Z\\u00fcrich", "total": 12.50}\n', type="confirmed", id="s1:confirmed"),
    ],
)
provider("affirm", sign=affirm_in_sha256, goods=[good("signed with SHA-256", js({"webhook_session_id": "s1", "event": "opened"}), expect="signature")])
provider("affirm", function="disputes", sign=affirm, signature="header:X-Affirm-Signature", goods=[
    good("a dispute", js({"webhook_session_id": "s2", "event": "dispute.opened", "checkout_token": "CHK1"}), type="dispute.opened", id="s2:dispute.opened"),
])


def aftership(r):
    return {"aftership-hmac-sha256": b64(mac("sha256", r.key, r.body))}


provider("aftership", sign=aftership, signature="header:aftership-hmac-sha256", goods=[
    good("a shipment", js({"event": "tracking_update", "event_id": "e1", "msg": {"id": "trk1"}}), type="tracking_update", id="e1"),
    good("white space and escapes", '{ "event":"edd_revise", "event_id":"e2", "msg":{"place":"Z\\u00fcrich \\/","n":12.50} }\n', type="edd_revise", id="e2"),
])
provider("aftership", function="returns", sign=aftership, signature="header:aftership-hmac-sha256", goods=[
    good("a return", js({"event": "return_submitted", "event_id": "e3"}), type="return_submitted", id="e3"),
])


def airship(r):
    return {"X-UA-Timestamp": str(r.now), "X-UA-Signature": mac("sha256", r.key, f"{r.now}:", r.body).hex()}


provider("airship", sign=airship, signature="header:X-UA-Signature", covers=("X-UA-Timestamp",), goods=[
    good("one event", js([{"id": "e1", "type": "SEND"}]), type="SEND", id="e1"),
    good("two events with white space", '[ {"id":"e2","type":"OPEN","n":12.50},\n  {"id":"e3","type":"CLOSE","t":"\\u00fc"} ]\n', events=2, type="OPEN", id="e2"),
])


def airtable(r):
    return {"X-Airtable-Content-MAC": "hmac-sha256=" + mac("sha256", unb64(r.key), r.body).hex()}


provider(
    "airtable",
    sign=airtable,
    signature="header:X-Airtable-Content-MAC",
    secret=KEY_BASE64,
    goods=[
        good("a ping", js({"base": {"id": "app1"}, "webhook": {"id": "ach1"}, "timestamp": "2026-01-01T00:00:00.000Z"}), type="base.changed", account="app1"),
        good("white space", '{"base": {"id": "app1"},\n "webhook": {"id": "ach2"}, "note": "\\u00fc 12.50"}\n', type="base.changed", account="app1"),
    ],
)


def airwallex(r):
    at = f"{r.now}123"
    return {"x-timestamp": at, "x-signature": mac("sha256", r.key, at, r.body).hex()}


AIRWALLEX = dict(sign=airwallex, signature="header:x-signature", covers=("x-timestamp",))
provider("airwallex", **AIRWALLEX, goods=[
    good("a payment", js({"id": "evt_1", "name": "payment_intent.succeeded", "account_id": "acct_1"}), type="payment_intent.succeeded", id="evt_1", account="acct_1"),
    good("a price with its zero", '{"id":"evt_2","name":"refund.settled","account_id":"acct_1", "data":{"amount":12.50,"t":"Z\\u00fcrich"}}\n', type="refund.settled", id="evt_2"),
])
provider("airwallex", function="transfers", **AIRWALLEX, goods=[good("a transfer", js({"id": "evt_3", "name": "transfer.paid", "account_id": "acct_1"}), type="transfer.paid", id="evt_3")])


def akeneo(r):
    return {"X-Akeneo-Request-Timestamp": str(r.now), "X-Akeneo-Request-Signature": mac("sha256", r.key, f"{r.now}.", r.body).hex()}


def akeneo_event(action, event_id):
    return {"action": action, "event_id": event_id, "author": "julia", "pim_source": "pim.example.com", "data": {"resource": {"identifier": "GATE-1"}}}


provider("akeneo", sign=akeneo, signature="header:X-Akeneo-Request-Signature", covers=("X-Akeneo-Request-Timestamp",), goods=[
    good("a product", js({"events": [akeneo_event("product.created", "e1")]}), type="product.created", id="e1", account="pim.example.com"),
    good("two products, one with an umlaut", js({"events": [akeneo_event("product.updated", "e2"), {**akeneo_event("product.removed", "e3"), "author": "Jürgen 12.50"}]}) + b"\n", events=2, type="product.updated", id="e2"),
])


def alchemy(r):
    return {"X-Alchemy-Signature": mac("sha256", r.key, r.body).hex()}


provider("alchemy", sign=alchemy, signature="header:X-Alchemy-Signature", goods=[
    good("activity at an address", js({"webhookId": "wh1", "id": "whevt_1", "type": "ADDRESS_ACTIVITY", "event": {"network": "ETH_MAINNET"}}), type="ADDRESS_ACTIVITY", id="whevt_1", account="wh1"),
    good("white space and a float", '{"webhookId":"wh1", "id":"whevt_2","type":"GRAPHQL","event":{"value":0.50,"t":"\\u00fc"}}\n', type="GRAPHQL", id="whevt_2"),
])


ALIPAY, ALIPAY_OTHER = keys.rsa("alipay"), keys.rsa("alipay other")


def alipay(r, name="sha256", left_out=("sign", "sign_type")):
    # Every other field, sorted by name, decoded, as k=v with & between them. (Alipay's own libraries disagree on fields without a
    # value, so that none is sent here.)
    fields = dict(urllib.parse.parse_qsl(r.body.decode(), keep_blank_values=True))
    text = "&".join(f"{k}={v}" for k, v in sorted(fields.items()) if k not in left_out)
    r.body = form({**fields, "sign": b64(r.key.sign(text.encode(), name))})


def alipay_fields(**changes):
    return form({
        "notify_time": "2026-01-01 09:00:00", "notify_type": "trade_status_sync", "notify_id": "n1", "charset": "utf-8", "sign_type": "RSA2", "app_id": "app1",
        "trade_status": "TRADE_SUCCESS", "total_amount": "12.50", **changes,
    })


ALIPAY_KEYS = dict(secret=ALIPAY, configured=ALIPAY.spki_base64, other=ALIPAY_OTHER, other_configured=ALIPAY_OTHER.spki_base64)
provider(
    "alipay-cn",
    sign=alipay,
    signature="form:sign",
    goods=[
        good("a trade that was paid", alipay_fields(), FORM, type="TRADE_SUCCESS", id="n1", account="app1"),
        good("Chinese text and characters that are escaped", alipay_fields(notify_id="n2", subject="大门 a&b=c+d %", trade_status="TRADE_CLOSED"), FORM + "; charset=utf-8", type="TRADE_CLOSED", id="n2"),
    ],
    **ALIPAY_KEYS,
)
provider("alipay-cn", sign=lambda r: alipay(r, left_out=("sign",)), goods=[good("sign_type is signed too", alipay_fields(), FORM, type="TRADE_SUCCESS", id="n1")], **ALIPAY_KEYS)
provider("alipay-cn", sign=lambda r: alipay(r, "sha1"), goods=[good("signed with SHA-1", alipay_fields(sign_type="RSA"), FORM, expect="signature")], **ALIPAY_KEYS)


standard_webhooks.of("anthropic", [
    good("a session", js({"type": "event", "id": "e1", "data": {"type": "session.status_idled", "id": "sess_1", "organization_id": "org1"}}), headers={"webhook-id": "msg_1"}, type="session.status_idled", id="msg_1", account="org1"),
    good("white space", '{"type": "event", "data": {"type": "agent.created", "workspace_id": "w1", "t": "\\u00fc 12.50"}}\n', headers={"webhook-id": "msg_2"}, type="agent.created", id="msg_2", account="w1"),
])


ANTOM, ANTOM_OTHER = keys.rsa("antom"), keys.rsa("antom other")


def antom(r, escape=pct):
    signed = f"{r.method} {r.path}\n{r.headers['Client-Id']}.{r.headers['Request-Time']}.".encode() + r.body
    return {"Signature": f"algorithm=RSA256,keyVersion=1,signature={escape(b64(r.key.sign(signed, 'sha256')))}"}


def antom_unescaped(r):
    return antom(r, str)


ANTOM_HEADERS = {"Client-Id": "client1", "Request-Time": "1767225600123"}
ANTOM_KEYS = dict(secret=ANTOM, configured=ANTOM.spki_base64, other=ANTOM_OTHER, other_configured=ANTOM_OTHER.spki_base64)
ANTOM_PAYMENT = js({"notifyType": "PAYMENT_RESULT", "result": {"resultCode": "SUCCESS", "resultStatus": "S"}, "paymentRequestId": "r1"})
provider(
    "antom-alipay-plus",
    sign=antom,
    signature="header:Signature",
    covers=("Client-Id", "Request-Time"),
    goods=[
        good("a payment", ANTOM_PAYMENT, headers=ANTOM_HEADERS, type="PAYMENT_RESULT", id="r1:PAYMENT_RESULT:SUCCESS:1767225600123", account="client1"),
        good("white space and a price", '{"notifyType":"CAPTURE_RESULT", "captureRequestId":"c1","n":12.50,"t":"\\u00fc"}\n', "application/json; charset=UTF-8", headers=ANTOM_HEADERS, type="CAPTURE_RESULT"),
    ],
    **ANTOM_KEYS,
)
provider("antom-alipay-plus", sign=antom_unescaped, goods=[good("a signature that isn't escaped", ANTOM_PAYMENT, headers=ANTOM_HEADERS, type="PAYMENT_RESULT")], **ANTOM_KEYS)
provider("antom-alipay-plus", function="refunds", sign=antom, signature="header:Signature", goods=[
    good("a refund", js({"notifyType": "REFUND_RESULT", "refundRequestId": "f1", "refundStatus": "SUCCESS"}), headers=ANTOM_HEADERS, type="REFUND_RESULT", id="f1:REFUND_RESULT:SUCCESS:1767225600123"),
], **ANTOM_KEYS)


def asana(r):
    return {"X-Hook-Signature": mac("sha256", r.key, r.body).hex()}


def asana_event(action, resource_type="task"):
    return {"action": action, "resource": {"gid": "2001", "resource_type": resource_type}, "parent": None}


provider("asana", sign=asana, signature="header:X-Hook-Signature", goods=[
    good("a task", js({"events": [asana_event("added")]}), type="task.added", account="2001"),
    good("three changes with white space", '{"events": [' + ",\n".join(json.dumps(asana_event(a, t)) for a, t in (("changed", "task"), ("added", "story"), ("deleted", "project"))) + "]}\n", events=3, type="task.changed"),
    good("the secret is handed over", "{}", headers={"X-Hook-Secret": "b537207f20cbfa02357cf448134da559"}, signed=False, secrets=[], expect="handshake", reply_status=200, reply_headers={"X-Hook-Secret": "b537207f20cbfa02357cf448134da559"}),
    good("a secret with other characters", "{}", headers={"X-Hook-Secret": "a b;c"}, signed=False, secrets=[], expect="handshake-refused"),
    good("another secret for a group that has one", "{}", headers={"X-Hook-Secret": "b537207f20cbfa02357cf448134da559"}, signed=False, expect="handshake-refused"),
])


def ashby(r):
    return {"Ashby-Signature": "sha256=" + mac("sha256", r.key, r.body).hex()}


provider("ashby", sign=ashby, signature="header:Ashby-Signature", goods=[
    good("an application", js({"action": "applicationSubmit", "webhookActionId": "w1", "data": {}}), type="applicationSubmit", id="w1"),
    good("white space and an escape", '{"action": "candidateHire", "webhookActionId": "w2", "data": {"name": "Z\\u00fcrich", "n": 12.50}}\n', type="candidateHire", id="w2"),
    good("ping", js({"action": "ping"}), expect="handshake", reply_status=200),
    good("an unsigned ping", js({"action": "ping"}), signed=False, expect="signature"),
])


def attentive(r):
    return {"x-attentive-hmac-sha256": mac("sha256", r.key, r.body).hex()}


provider("attentive", sign=attentive, signature="header:x-attentive-hmac-sha256", goods=[
    good("a subscriber", js({"type": "sms.subscribed", "timestamp": 1767225600000, "company": {"company_id": "c1"}}), type="sms.subscribed", account="c1"),
    good("white space and an escape", '{"type": "email.opened", "company": {"company_id": "c1", "display_name": "Z\\u00fcrich"}, "n": 12.50}\n', type="email.opened", account="c1"),
])


def attio(r):
    return {"Attio-Signature": mac("sha256", r.key, r.body).hex()}


def attio_event(event_type):
    return {"event_type": event_type, "id": {"workspace_id": "ws1", "record_id": "rec1"}}


provider("attio", sign=attio, signature="header:Attio-Signature", goods=[
    good("a record", js({"webhook_id": "wh1", "events": [attio_event("record.created")]}), headers={"Idempotency-Key": "i1"}, type="record.created", id="i1", account="ws1"),
    good("two events with white space", '{"webhook_id": "wh1", "events": [' + json.dumps(attio_event("note.created")) + ",\n" + json.dumps(attio_event("task.created")) + "]}\n", headers={"Idempotency-Key": "i2"}, events=2, type="note.created"),
])


def auth0(r):
    return {"Authorization": r.key}


def auth0_entry(kind, log_id):
    return {"log_id": log_id, "data": {"type": kind, "tenant_name": "acme", "log_id": log_id}}


AUTH0 = dict(sign=auth0, signature="header:Authorization", token=True, covers_body=False)
provider("auth0", function="json-array", **AUTH0, goods=[
    good("one entry in an array", js([auth0_entry("s", "l1")]), type="s", id="l1", account="acme"),
    good("two entries in an array, with white space", "[ " + json.dumps(auth0_entry("f", "l2")) + " ,\n" + json.dumps(auth0_entry("slo", "l3")) + " ]\n", events=2, type="f", id="l2"),
])
provider("auth0", function="json-lines", **AUTH0, goods=[
    good("one line", js(auth0_entry("s", "l1")), type="s", id="l1", account="acme"),
    good("two lines and a line feed at the end", js(auth0_entry("fp", "l2")) + b"\n" + js(auth0_entry("ss", "l3")) + b"\n", events=2, type="fp", id="l2"),
])


def authorize_net(r):
    # The signature key is used as text, although it is hex.
    return {"X-ANET-Signature": "sha512=" + mac("sha512", r.key, r.body).hex().upper()}


AUTHORIZE_NET = dict(sign=authorize_net, signature="header:X-ANET-Signature", secret=KEY_HEX, other=OTHER_HEX)
provider("authorize-net", **AUTHORIZE_NET, goods=[
    good("a payment", js({"notificationId": "n1", "eventType": "net.authorize.payment.authcapture.created", "webhookId": "wh1"}), type="net.authorize.payment.authcapture.created", id="n1", account="wh1"),
    good("white space and a price", '{"notificationId":"n2", "eventType":"net.authorize.payment.refund.created","webhookId":"wh1","payload":{"authAmount":12.50,"t":"\\u00fc"}}\n', type="net.authorize.payment.refund.created", id="n2"),
])
provider("authorize-net", sign=lambda r: {"X-ANET-Signature": "sha512=" + mac("sha512", bytes.fromhex(r.key), r.body).hex()}, secret=KEY_HEX, goods=[
    good("signed with the bytes that the key spells", js({"notificationId": "n1", "eventType": "net.authorize.payment.authcapture.created"}), expect="signature"),
])
provider("authorize-net", function="customers", **AUTHORIZE_NET, goods=[
    good("a customer", js({"notificationId": "n3", "eventType": "net.authorize.customer.created", "webhookId": "wh1"}), type="net.authorize.customer.created", id="n3"),
])


def autodesk(r):
    return {"x-adsk-signature": "sha1hash=" + mac("sha1", r.key, r.body).hex()}


def autodesk_body(event):
    return js({"version": "1.0", "hook": {"hookId": "hk1", "tenant": "urn:folder1", "event": event}, "payload": {"name": "gate.rvt"}})


for function, event in (("", "dm.version.added"), ("model-derivative", "extraction.finished"), ("construction-cloud", "issue.created-1.0")):
    goods = [good(f"{event}", autodesk_body(event), headers={"x-adsk-delivery-id": "d1"}, type=event, id="d1", account="urn:folder1")]
    if not function:
        goods.append(good("white space and an escape", '{"hook": {"event": "dm.folder.added", "hookId": "hk1"}, "payload": {"name": "Z\\u00fcrich", "n": 12.50}}\n', headers={"x-adsk-delivery-id": "d2"}, type="dm.folder.added", id="d2", account="hk1"))
    provider("autodesk-aps", function=function, sign=autodesk, signature="header:x-adsk-signature", goods=goods)


standard_webhooks.of("autumn", [
    good("a product", js({"type": "customer.products.updated", "data": {"scenario": "new"}}), headers={"svix-id": "msg_1"}, type="customer.products.updated", id="msg_1"),
    good("white space", '{"type": "billing.updated", "data": {"t": "\\u00fc", "n": 12.50}}\n', headers={"svix-id": "msg_2"}, type="billing.updated", id="msg_2"),
], prefix="svix")

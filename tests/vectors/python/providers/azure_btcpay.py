"""Azure DevOps to BTCPay Server."""

import keys
from harness import *
from providers import standard_webhooks

FORM = "application/x-www-form-urlencoded"


def basic(r):
    return {"Authorization": "Basic " + b64(f"{r.params['user']}:{r.key}")}


BASIC = dict(sign=basic, signature="header:Authorization", covers_body=False, params={"user": "gate"})


def basic_of_another_user(r):
    return {"Authorization": "Basic " + b64(f"other:{r.key}")}


def azure_devops_body(event, **more):
    return js({"subscriptionId": "sub1", "id": "e1", "eventType": event, "resourceContainers": {"account": {"id": "acc1"}, "project": {"id": "prj1"}}, **more})


provider("azure-devops", **BASIC, goods=[
    good("a push", azure_devops_body("git.push"), type="git.push", id="e1", account="acc1"),
    good("white space and an escape", '{"id": "e2", "eventType": "workitem.updated", "resource": {"t": "Z\\u00fcrich", "n": 12.50}, "subscriptionId": "sub1"}\n', type="workitem.updated", id="e2", account="sub1"),
])
provider("azure-devops", sign=basic_of_another_user, params={"user": "gate"}, goods=[good("another user with the same password", azure_devops_body("git.push"), expect="signature")])


def event_grid(r):
    r.query = f"token={r.key}"


def event_grid_event(kind, event_id):
    return {"topic": "/subscriptions/s1", "subject": "/blobs/a", "eventType": kind, "id": event_id, "data": {"url": "https://example.com/a"}}


EVENT_GRID = dict(sign=event_grid, signature="query:token", token=True, covers_body=False)
provider("azure-event-grid", **EVENT_GRID, goods=[
    good("one event", js([event_grid_event("Microsoft.Storage.BlobCreated", "e1")]), headers={"aeg-event-type": "Notification"}, type="Microsoft.Storage.BlobCreated", id="e1", account="/subscriptions/s1"),
    good("two events with white space", "[ " + json.dumps(event_grid_event("Microsoft.Storage.BlobDeleted", "e2")) + ",\n" + json.dumps(event_grid_event("Microsoft.Storage.BlobCreated", "e3")) + " ]\n", events=2, type="Microsoft.Storage.BlobDeleted", id="e2"),
    good("URL check", js([{"id": "v1", "topic": "/subscriptions/s1", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}}]),
         headers={"aeg-event-type": "SubscriptionValidation"}, expect="handshake", reply_json={"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}),
    good("a URL check with markup", js([{"data": {"validationCode": "<script>"}}]), headers={"aeg-event-type": "SubscriptionValidation"}, expect="handshake-refused"),
    good("a URL check without the token", js([{"data": {"validationCode": "512d38b6"}}]), headers={"aeg-event-type": "SubscriptionValidation"}, signed=False, expect="signature"),
])


def cloud_event(kind, event_id):
    return {"specversion": "1.0", "id": event_id, "type": kind, "source": "/gate", "data": {"n": 1}}


provider("azure-event-grid", function="cloudevents-schema", **EVENT_GRID, goods=[
    good("one CloudEvent", js(cloud_event("Microsoft.Storage.BlobCreated", "e1")), "application/cloudevents+json", type="Microsoft.Storage.BlobCreated", id="/gate:e1", account="/gate"),
    good("two CloudEvents", js([cloud_event("Microsoft.Storage.BlobCreated", "e2"), cloud_event("Microsoft.Storage.BlobDeleted", "e3")]), "application/cloudevents-batch+json", events=2, type="Microsoft.Storage.BlobCreated", id="/gate:e2"),
    good("abuse protection", content_type=None, method="OPTIONS", headers={"WebHook-Request-Origin": "eventgrid.azure.net"}, expect="handshake", reply_status=200,
         reply_headers={"WebHook-Allowed-Origin": "eventgrid.azure.net", "WebHook-Allowed-Rate": "*"}),
    good("abuse protection without the token", content_type=None, method="OPTIONS", headers={"WebHook-Request-Origin": "eventgrid.azure.net"}, signed=False, expect="signature"),
])
provider("azure-event-grid", sign=lambda r: setattr(r, "query", f"code={r.key}&x=1"), params={"query": "code"}, goods=[
    good("a parameter with a name of ours", js([event_grid_event("Microsoft.Storage.BlobCreated", "e1")]), type="Microsoft.Storage.BlobCreated", id="e1"),
])


def bandwidth_message(kind, at="2026-01-01T00:00:00.000Z"):
    return {"type": kind, "time": at, "to": "+15005550001", "message": {"id": "m1", "applicationId": "app1", "text": "Hello"}}


provider("bandwidth", **BASIC, goods=[
    good("a message", js([bandwidth_message("message-received")]), type="message-received", id="m1:message-received:2026-01-01T00:00:00.000Z:+15005550001", account="app1"),
    good("two states of one message", "[" + json.dumps(bandwidth_message("message-sending")) + ",\n " + json.dumps({**bandwidth_message("message-delivered"), "description": "Zürich 12.50"}, ensure_ascii=False) + "]\n", events=2, type="message-sending"),
])
provider("bandwidth", function="voice", **BASIC, goods=[
    good("a call that ended", js({"eventType": "disconnect", "eventTime": "2026-01-01T00:00:00.000Z", "accountId": "920012", "callId": "c-1"}), type="disconnect", id="c-1:disconnect:2026-01-01T00:00:00.000Z", account="920012"),
])


standard_webhooks.of("beehiiv", [
    good("a subscription", js({"type": "subscription.created", "data": {"id": "sub_1", "publication_id": "pub_1"}}), headers={"svix-id": "msg_1"}, type="subscription.created", id="msg_1", account="pub_1"),
    good("white space", '{"type": "post.sent", "data": {"publication_id": "pub_1", "t": "\\u00fc", "n": 12.50}}\n', headers={"svix-id": "msg_2"}, type="post.sent", id="msg_2"),
], prefix="svix")


# BigCommerce: the framing of Standard Webhooks, and the client secret's text as the key.
BIGCOMMERCE = [
    good("an order", js({"scope": "store/order/created", "store_id": "1001", "producer": "stores/a", "hash": "h1", "data": {"type": "order", "id": 1}}), headers={"webhook-id": "w1"}, type="store/order/created", id="w1", account="1001"),
    good("white space", '{"scope": "store/cart/created", "producer": "stores/a", "t": "\\u00fc", "n": 12.50}\n', headers={"webhook-id": "w2"}, type="store/cart/created", id="w2", account="stores/a"),
]
standard_webhooks.of("bigcommerce", BIGCOMMERCE, raw_key=True)
provider("bigcommerce", sign=standard_webhooks.standard_webhooks(), secret=KEY_BASE64, goods=[
    dataclasses.replace(BIGCOMMERCE[0], name="signed with what the secret would be in base64", expect="signature"),
])


def hub_signature(r):
    return {"X-Hub-Signature": "sha256=" + mac("sha256", r.key, r.body).hex()}


BITBUCKET = dict(sign=hub_signature, signature="header:X-Hub-Signature")
provider("bitbucket", **BITBUCKET, goods=[
    good("a push", js({"push": {"changes": []}, "repository": {"uuid": "{r1}", "workspace": {"uuid": "{w1}"}}}), headers={"X-Event-Key": "repo:push", "X-Request-UUID": "u1"}, type="repo:push", id="u1", account="{r1}"),
    good("white space and an escape", '{ "repository": {"uuid": "{r1}"},\n "issue": {"title": "Z\\u00fcrich \\/ 12.50"} }\n', headers={"X-Event-Key": "issue:created", "X-Request-UUID": "u2"}, type="issue:created", id="u2"),
])
provider("bitbucket", function="pull-requests", **BITBUCKET, goods=[
    good("a pull request", js({"pullrequest": {"id": 7}, "repository": {"uuid": "{r1}"}}), headers={"X-Event-Key": "pullrequest:created", "X-Request-UUID": "u3"}, type="pullrequest:created", id="u3", account="{r1}"),
])
provider("bitbucket-data-center", **BITBUCKET, goods=[
    good("a push", js({"eventKey": "repo:refs_changed", "repository": {"slug": "gate", "project": {"key": "ACME"}}}), headers={"X-Event-Key": "repo:refs_changed", "X-Request-Id": "q1"}, type="repo:refs_changed", id="q1", account="ACME"),
    good("white space and an escape", '{"eventKey": "pr:opened", "pullRequest": {"title": "Z\\u00fcrich", "n": 12.50, "toRef": {"repository": {"project": {"key": "ACME"}}}}}\n', headers={"X-Event-Key": "pr:opened", "X-Request-Id": "q2"}, type="pr:opened", id="q2", account="ACME"),
    good("connection test", js({"test": True}), headers={"X-Event-Key": "diagnostics:ping"}, signed=False, expect="handshake", reply_status=200),
    good("an unsigned event that isn't the test", js({"test": True}), headers={"X-Event-Key": "repo:refs_changed"}, signed=False, expect="signature"),
])


def bitpay(r):
    return {"X-Signature": b64(mac("sha256", r.key, r.body))}


provider("bitpay", sign=bitpay, signature="header:X-Signature", goods=[
    good("an invoice", js({"event": {"code": 1003, "name": "invoice_paidInFull"}, "data": {"id": "inv1"}}), type="invoice_paidInFull", id="inv1:invoice_paidInFull", account="inv1"),
    good("white space and a price", '{"event": {"name": "invoice_expired"}, "data": {"id": "inv1", "price": 12.50, "t": "\\u00fc"}}\n', type="invoice_expired", id="inv1:invoice_expired"),
])
provider("bitpay", function="payouts", sign=bitpay, signature="header:X-Signature", goods=[good("a payout", js({"event": {"name": "payout_completed"}, "data": {"id": "p1"}}), type="payout_completed", id="p1:payout_completed")])


def bolt(r):
    return {"X-Bolt-Hmac-Sha256": b64(mac("sha256", r.key, r.body))}


def bolt_while_the_secret_changes(r):
    return {"X-Bolt-Hmac-Sha256": b64(mac("sha256", OTHER, r.body)), "X-Bolt-Hmac-Sha256-Pending": b64(mac("sha256", r.key, r.body))}


BOLT = js({"object": "transaction", "type": "payment", "reference": "R1", "status": "completed", "date": 1767225600000})
provider("bolt", sign=bolt, signature="header:X-Bolt-Hmac-Sha256", goods=[
    good("a payment", BOLT, type="payment", id="R1:payment:completed:1767225600000", account="R1"),
    good("white space and an escape", '{"type": "capture", "reference": "R1", "status": "completed", "n": 12.50, "t": "\\u00fc\\/"}\n', type="capture", id="R1:capture:completed"),
])
provider("bolt", sign=bolt_while_the_secret_changes, goods=[good("signed with the coming secret too", BOLT, type="payment")])


BOT, BOT_OTHER = keys.rsa("bot framework"), keys.rsa("bot framework other")
BOT_KEYS = "https://login.botframework.com/v1/.well-known/keys"


def jwks(*entries):
    return json.dumps({"keys": list(entries)})


def bot_token(key, claims=None, kid="k1"):
    claims = {"iss": "https://api.botframework.com", "aud": "app1", "serviceurl": "https://smba.example.com/emea/", "nbf": NOW - 60, "exp": NOW + 3600, **(claims or {})}
    return "Bearer " + jwt("RS256", lambda data: key.sign(data, "sha256"), {k: v for k, v in claims.items() if v is not None}, {"kid": kid})


def bot(**claims):
    return lambda r: {"Authorization": bot_token(r.key, claims)}


BOT_WITH = dict(secret=BOT, other=BOT_OTHER, remote=True, keys={BOT_KEYS: jwks(BOT_OTHER.jwk("k0"), BOT.jwk("k1"))}, params={"app_id": "app1"})
BOT_MESSAGE = js({"type": "message", "id": "a1", "serviceUrl": "https://smba.example.com/emea/", "conversation": {"id": "c1", "tenantId": "t1"}, "channelData": {"tenant": {"id": "t1"}}})
provider(
    "bot-framework", sign=bot(), signature="header:Authorization", covers_body=False,
    other_keys={BOT_KEYS: jwks(BOT_OTHER.jwk("k1"))},
    goods=[
        good("a message", BOT_MESSAGE, "application/json; charset=utf-8", type="message", id="a1:c1:message", account="t1"),
        good("white space and an escape", '{"type": "conversationUpdate", "id": "a2", "serviceUrl": "https:\\/\\/smba.example.com\\/emea\\/", "recipient": {"id": "28:bot"}, "t": "\\u00fc"}\n', type="conversationUpdate", account="28:bot"),
        good("an activity of another service", js({"type": "message", "id": "a3", "serviceUrl": "https://evil.example.com/"}), expect="signature"),
    ],
    **BOT_WITH,
)
for name, claims in (
    ("a token for another bot", {"aud": "app2"}),
    ("a token of another issuer", {"iss": "https://sts.example.com"}),
    ("a token without an issuer", {"iss": None}),
    ("a token that names no service", {"serviceurl": None}),
    ("a token that expired an hour ago", {"exp": NOW - 3600}),
    ("a token that isn't valid yet", {"nbf": NOW + 3600}),
):
    provider("bot-framework", sign=bot(**claims), goods=[good(name, BOT_MESSAGE, expect=None if claims.keys() & {"exp", "nbf"} else "signature")], **BOT_WITH)
provider("bot-framework", goods=[good("a token under HS256 with the public key as secret", BOT_MESSAGE, expect="signature")], **BOT_WITH,
    sign=lambda r: {"Authorization": "Bearer " + jwt("HS256", r.key.public_pem, {"iss": "https://api.botframework.com", "aud": "app1", "serviceurl": "https://smba.example.com/emea/", "exp": NOW + 3600}, {"kid": "k1"})})
provider("bot-framework", goods=[good("a token without a signature", BOT_MESSAGE, expect="signature")], **BOT_WITH,
    sign=lambda r: {"Authorization": "Bearer " + jwt("none", lambda data: b"", {"iss": "https://api.botframework.com", "aud": "app1", "serviceurl": "https://smba.example.com/emea/", "exp": NOW + 3600})})


def at(seconds, zone="Z"):
    import datetime
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + zone


BOX_HEADERS = {"Box-Delivery-Id": "d1", "Box-Signature-Version": "1", "Box-Signature-Algorithm": "HmacSHA256"}


def box(primary=True, escaped=False, zone="Z"):
    def sign(r):
        body = r.body
        if escaped:
            # As Box may write it: what isn't ASCII as \uXXXX, and slashes with a backslash.
            text = r.body.decode().replace("/", "\\/")
            body = "".join(c if ord(c) < 0x7F else "".join(f"\\u{unit:04x}" for unit in units(c)) for c in text).encode()
        when = at(r.now, zone)
        ours, theirs = (b64(mac("sha256", key, body, when)) for key in (r.key, "some other key"))
        first, second = (ours, theirs) if primary else (theirs, ours)
        return {"Box-Delivery-Timestamp": when, "Box-Signature-Primary": first, "Box-Signature-Secondary": second}
    return sign


def units(character):
    data = character.encode("utf-16-be")
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]


BOX = js({"type": "webhook_event", "id": "e1", "trigger": "FILE.UPLOADED", "webhook": {"id": "53"}, "source": {"owned_by": {"id": "226"}}})
BOX_ODD = '{"type":"webhook_event","id":"e2","trigger":"FOLDER.MOVED","webhook":{"id":"53"},"n":12.50,"name":"Zürich/😀"}\n'
provider("box", sign=box(), signature="header:Box-Signature-Primary", covers=("Box-Delivery-Timestamp",), window=(600, "past"), goods=[
    good("a file", BOX, headers=BOX_HEADERS, type="FILE.UPLOADED", id="e1", account="53"),
    good("an umlaut, a slash and white space at the end", BOX_ODD, headers=BOX_HEADERS, type="FOLDER.MOVED", id="e2"),
    good("another version", BOX, headers={**BOX_HEADERS, "Box-Signature-Version": "2"}, expect="signature"),
    good("another algorithm", BOX, headers={**BOX_HEADERS, "Box-Signature-Algorithm": "HmacMD5"}, expect="signature"),
])
provider("box", sign=box(primary=False), goods=[good("ours is the secondary key", BOX, headers=BOX_HEADERS, type="FILE.UPLOADED", id="e1")])
provider("box", sign=box(escaped=True), goods=[good("the signature is over the escaped body", BOX_ODD, headers=BOX_HEADERS, type="FOLDER.MOVED", id="e2")])
provider("box", sign=box(zone="+00:00"), goods=[good("a time with an offset", BOX, headers=BOX_HEADERS, type="FILE.UPLOADED", id="e1")])


def braintree_key(private):
    return digest("sha1", private)


def braintree(r, more=b"", others=True):
    payload = dict(urllib.parse.parse_qsl(r.body.decode()))["bt_payload"]
    ours = f"public1|{mac('sha1', braintree_key(r.key), payload, more).hex()}"
    r.body = form({"bt_signature": f"otherpublic|{'0' * 40}&{ours}" if others else ours, "bt_payload": payload})


def braintree_payload(kind, tail="\n", **more):
    inside = "".join(f"<{k}>{v}</{k}>" for k, v in more.items())
    xml = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<notification>\n  <kind>{kind}</kind>\n  <timestamp type="datetime">2026-01-01T00:00:00Z</timestamp>\n'
        f'  <subject>\n    <check type="boolean">true</check>\n  </subject>\n  {inside}</notification>\n'
    )
    return form({"bt_payload": b64(xml) + tail})


BRAINTREE = dict(params={"public_key": "public1"})
BRAINTREE_CHECK = "20f9f8ed05f77439fe955c977e4c8a53"
provider("braintree", sign=braintree, signature="form:bt_signature", covers_body=False, goods=[
    good("a check", braintree_payload("check", **{"source-merchant-id": "acme"}), FORM, type="check", account="acme"),
    good("a payload without the line feed, and an umlaut", braintree_payload("subscription_canceled", "", name="Zürich &amp; 12.50"), FORM, type="subscription_canceled"),
    good("URL check", content_type=None, method="GET", query=f"bt_challenge={BRAINTREE_CHECK}", signed=False, expect="handshake",
         reply=f"public1|{mac('sha1', braintree_key(KEY), BRAINTREE_CHECK).hex()}"),
    good("a URL check that would sign a payload", content_type=None, method="GET", query="bt_challenge=" + pct(b64("<notification><kind>check</kind></notification>")), signed=False, expect="handshake-refused"),
    good("a URL check that isn't hex", content_type=None, method="GET", query="bt_challenge=20f9f8ed05f77439fe955c977e4c8a5g", signed=False, expect="handshake-refused"),
    good("a URL check that is too long", content_type=None, method="GET", query="bt_challenge=" + "a" * 33, signed=False, expect="handshake-refused"),
], **BRAINTREE)
provider("braintree", sign=lambda r: braintree(r, b"\n"), goods=[good("signed with one more line feed", braintree_payload("check", ""), FORM, type="check")], **BRAINTREE)
provider("braintree", sign=lambda r: braintree(r, others=False), goods=[good("one signature only", braintree_payload("dispute_won"), FORM, type="dispute_won")], **BRAINTREE)


def braintree_swapped(r):
    braintree(r)
    fields = dict(urllib.parse.parse_qsl(r.body.decode()))
    fields["bt_payload"] = b64("<notification><kind>disbursement</kind></notification>") + "\n"
    r.body = form(fields)


def braintree_as_another(r):
    braintree(r)
    r.body = r.body.replace(b"public1", b"public2")


provider("braintree", sign=braintree_swapped, goods=[good("another payload under the signature", braintree_payload("check"), FORM, expect="signature")], **BRAINTREE)
provider("braintree", sign=braintree_as_another, goods=[good("our signature under another public key", braintree_payload("check"), FORM, expect="signature")], **BRAINTREE)


def bearer(r):
    return {"Authorization": "Bearer " + r.key}


BREVO = dict(sign=bearer, signature="header:Authorization", token=True, covers_body=False)


def brevo_mail(event):
    return {"event": event, "email": "ada@example.com", "id": 26224, "ts_epoch": 1767225600000, "message-id": "<m1@example.com>"}


provider("brevo", **BREVO, goods=[
    good("a mail", js(brevo_mail("delivered")), type="delivered", id="<m1@example.com>:delivered:ada@example.com:1767225600000"),
    good("two mails in one, with white space", "[" + json.dumps(brevo_mail("opened")) + ",\n" + json.dumps(brevo_mail("click")) + "]\n", events=2, type="opened"),
])
provider("brevo", function="marketing", **BREVO, goods=[good("a list", js({"event": "list_addition", "email": ["ada@example.com"], "list_id": [8]}), type="list_addition")])
provider("brevo", function="inbound", **BREVO, goods=[
    good("a mail that came in", js({"items": [{"MessageId": "<m2@example.com>", "Subject": "Hello"}]}), type="inboundEmailProcessed", id="<m2@example.com>"),
])


standard_webhooks.of("brex", [
    good("a transfer", js({"event_type": "TRANSFER_PROCESSED", "transfer_id": "t1", "company_id": "c1"}), headers={"webhook-id": "msg_1"}, type="TRANSFER_PROCESSED", id="msg_1", account="c1"),
    good("white space", '{"event_type": "USER_UPDATED", "company_id": "c1", "t": "\\u00fc", "n": 12.50}\n', headers={"webhook-id": "msg_2"}, type="USER_UPDATED", id="msg_2"),
], secret=KEY_BASE64)


def bridge_api(r):
    return {"BridgeApi-Signature": "v1=" + mac("sha256", r.key, r.body).hex().upper()}


def bridge_api_while_the_secret_changes(r):
    return {"BridgeApi-Signature": f"v1={digest('sha256', 'old').hex().upper()},{bridge_api(r)['BridgeApi-Signature']}"}


BRIDGE_API = js({"type": "item.refreshed", "content": {"item_id": 1, "user_uuid": "u1"}})
provider("bridge-api", sign=bridge_api, signature="header:BridgeApi-Signature", goods=[
    good("an item", BRIDGE_API, type="item.refreshed", account="u1"),
    good("white space and an escape", '{"type": "item.account.updated", "content": {"user_uuid": "u1", "balance": 12.50, "t": "\\u00fc"}}\n', type="item.account.updated"),
])
provider("bridge-api", sign=bridge_api_while_the_secret_changes, goods=[good("two signatures", BRIDGE_API, type="item.refreshed", account="u1")])
provider("bridge-api", function="payments", sign=bridge_api, signature="header:BridgeApi-Signature", goods=[
    good("a payment", js({"type": "payment.transaction.created", "content": {"user_uuid": "u1"}}), type="payment.transaction.created"),
])


BRIDGE, BRIDGE_OTHER = keys.rsa("bridge xyz"), keys.rsa("bridge xyz other")


def bridge_xyz(r):
    when = f"{r.now}000"
    # The digest is what is signed, and RSA with SHA-256 hashes it again.
    return {"X-Webhook-Signature": f"t={when},v0={b64(r.key.sign(digest('sha256', f'{when}.', r.body), 'sha256'))}"}


def bridge_xyz_hashed_once(r):
    when = f"{r.now}000"
    return {"X-Webhook-Signature": f"t={when},v0={b64(r.key.sign(f'{when}.'.encode() + r.body, 'sha256'))}"}


BRIDGE_KEYS = dict(secret=BRIDGE, configured=BRIDGE.public_pem, other=BRIDGE_OTHER, other_configured=BRIDGE_OTHER.public_pem)
BRIDGE_EVENT = js({"event_id": "wh_1", "event_category": "customer", "event_type": "customer.created", "event_object": {"id": "cust1"}})
provider("bridge-xyz", sign=bridge_xyz, signature="header:X-Webhook-Signature", window=(600, "age"), goods=[
    good("a customer", BRIDGE_EVENT, type="customer.created", id="wh_1"),
    good("white space and a price", '{"event_id": "wh_2", "event_type": "transfer.updated", "event_object": {"amount": 12.50, "t": "\\u00fc"}}\n', type="transfer.updated", id="wh_2"),
], **BRIDGE_KEYS)
provider("bridge-xyz", sign=bridge_xyz_hashed_once, goods=[good("hashed once only", BRIDGE_EVENT, expect="signature")], **BRIDGE_KEYS)


def btcpay(r):
    return {"BTCPay-Sig": "sha256=" + mac("sha256", r.key, r.body).hex()}


def btcpay_body(event, **more):
    return js({"deliveryId": "d1", "webhookId": "w1", "originalDeliveryId": "d1", "isRedelivery": False, "type": event, "storeId": "s1", **more})


provider("btcpay", sign=btcpay, signature="header:BTCPay-Sig", goods=[
    good("an invoice", btcpay_body("InvoiceSettled"), type="InvoiceSettled", id="d1", account="s1"),
    good("a redelivery keeps the first one's id", btcpay_body("InvoiceSettled", deliveryId="d2", isRedelivery=True), type="InvoiceSettled", id="d1"),
    good("white space and an escape", '{\n  "deliveryId": "d3",\n  "type": "InvoiceExpired",\n  "storeId": "s1",\n  "t": "\\u00fc 12.50"\n}', type="InvoiceExpired", id="d3"),
])
provider("btcpay", function="payouts", sign=btcpay, signature="header:BTCPay-Sig", goods=[good("a payout", btcpay_body("PayoutCreated"), type="PayoutCreated", id="d1", account="s1")])

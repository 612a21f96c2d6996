"""Providers from paypal to pylon."""

import datetime
import zlib

from harness import *
import keys
from providers import standard_webhooks
from providers.apple_aws import OTHER_ROOT, ROOT, ROOT_PEM, certificate, pem


def body_mac(header, name="sha256", prefix="", encode=bytes.hex):
    """The raw body, under the secret as pasted."""
    return lambda r: {header: prefix + encode(mac(name, r.key, r.body))}


def odd(members):
    """JSON that doesn't survive being read and written again."""
    return json.dumps(members, indent=1)[:-1].rstrip() + ',\n "who": "Z\u00fcrich \\u00e9", "total": 12.50 }\n'


FORM = "application/x-www-form-urlencoded"
CERTIFICATE = "https://api.paypal.com/v1/notifications/certs/CERT-made-up"


def paypal(url=CERTIFICATE, webhook=None):
    def sign(r):
        text = f"t1|2026-01-01T00:00:00Z|{webhook or r.params['webhookId']}|{zlib.crc32(r.body)}"
        return {
            "PAYPAL-TRANSMISSION-ID": "t1",
            "PAYPAL-TRANSMISSION-TIME": "2026-01-01T00:00:00Z",
            "PAYPAL-CERT-URL": url,
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
            "PAYPAL-TRANSMISSION-SIG": b64(r.key.sign(text.encode())),
        }

    return sign


capture = {"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {"payee": {"merchant_id": "m1"}}}
paypal_key, paypal_other = keys.rsa("paypal"), keys.rsa("paypal other")
PAYPAL_NAME = "messageverificationcerts.paypal.com"
vouched = pem(certificate(paypal_key, PAYPAL_NAME, ROOT))
PAYPAL = dict(secret=paypal_key, other=paypal_other, remote=True, params={"webhookId": "5GP028458E2496506"})
provider(
    "paypal",
    sign=paypal(),
    signature="header:PAYPAL-TRANSMISSION-SIG",
    covers=("PAYPAL-TRANSMISSION-ID", "PAYPAL-TRANSMISSION-TIME"),
    keys={CERTIFICATE: vouched, "root": ROOT_PEM},
    other_keys={CERTIFICATE: pem(certificate(paypal_other, PAYPAL_NAME, ROOT)), "root": ROOT_PEM},
    goods=[
        good("a capture", js(capture), type="PAYMENT.CAPTURE.COMPLETED", id="WH-1", account="m1"),
        good("white space and escapes", odd({"id": "WH-2", "event_type": "CUSTOMER.DISPUTE.CREATED", "resource": {"disputed_transactions": [{"seller": {"merchant_id": "m1"}}]}}),
             type="CUSTOMER.DISPUTE.CREATED", id="WH-2", account="m1"),
    ],
    **PAYPAL,
)
for function, kind in (("subscriptions", "BILLING.SUBSCRIPTION.ACTIVATED"), ("disputes", "CUSTOMER.DISPUTE.RESOLVED")):
    provider("paypal", function=function, sign=paypal(), keys={CERTIFICATE: vouched, "root": ROOT_PEM}, goods=[good(kind, js({**capture, "event_type": kind}), type=kind, id="WH-1")], **PAYPAL)
provider("paypal", sign=paypal(webhook="another"), keys={CERTIFICATE: vouched, "root": ROOT_PEM}, goods=[good("signed for another webhook", js(capture), expect="signature")], **PAYPAL)
for url, name in (
    ("https://api.paypal.com.example.com/v1/notifications/certs/CERT-made-up", "a certificate of another host"),
    ("http://api.paypal.com/v1/notifications/certs/CERT-made-up", "a certificate that isn't fetched over TLS"),
    ("https://api.paypal.com/v1/other/CERT-made-up", "a certificate in another place"),
):
    provider("paypal", keys={url: vouched, "root": ROOT_PEM}, sign=paypal(url), goods=[good(name, js(capture), expect="signature")], **PAYPAL)
for found, name in (
    (certificate(paypal_key, PAYPAL_NAME, OTHER_ROOT, "Another root"), "a certificate that nobody vouches for"),
    (certificate(paypal_key, PAYPAL_NAME, paypal_key, PAYPAL_NAME), "a certificate that vouches for itself"),
    (certificate(paypal_key, "paypal.com.example.com", ROOT), "a certificate for another name"),
):
    provider("paypal", keys={CERTIFICATE: pem(found), "root": ROOT_PEM}, sign=paypal(), goods=[good(name, js(capture), expect="signature")], **PAYPAL)


def persona(*first):
    def sign(r):
        pairs = [f"t={r.now},v1={mac('sha256', key, f'{r.now}.', r.body).hex()}" for key in (*first, r.key)]
        return {"Persona-Signature": " ".join(pairs)}

    return sign


inquiry = {"data": {"type": "event", "id": "evt_1", "attributes": {"name": "inquiry.completed", "payload": {"data": {"relationships": {"account": {"data": {"id": "act_1"}}}}}}}}
provider(
    "persona",
    sign=persona(),
    signature="header:Persona-Signature",
    goods=[
        good("an inquiry", js(inquiry), type="inquiry.completed", id="evt_1", account="act_1"),
        good("white space and escapes", odd(inquiry), type="inquiry.completed", id="evt_1", account="act_1"),
    ],
)
provider("persona", sign=persona(OTHER), goods=[good("while the secret is rotated", js(inquiry), type="inquiry.completed", id="evt_1")])
provider("persona", function="reports-and-cases", sign=persona(), goods=[
    good("a report", js({"data": {"id": "evt_2", "attributes": {"name": "report/watchlist.matched"}}}), type="report/watchlist.matched", id="evt_2")])

created = {"idhook": 1842, "event": "orders.created", "event_triggered_at": "2026-01-01 00:00:00", "data": {"idorder": 1}}
provider(
    "picqer",
    sign=body_mac("X-Picqer-Signature", encode=b64),
    signature="header:X-Picqer-Signature",
    goods=[
        good("an order", js(created), type="orders.created", id="orders.created:1842:2026-01-01 00:00:00", account="1842"),
        good("white space and escapes", odd(created), type="orders.created", account="1842"),
    ],
)
provider("picqer", function="stock", sign=body_mac("X-Picqer-Signature", encode=b64), goods=[
    good("a picklist", js({**created, "event": "picklists.closed"}), type="picklists.closed", account="1842")])

deal = {"meta": {"action": "change", "entity": "deal", "entity_id": "42", "company_id": "765", "correlation_id": "c1", "host": "acme.example.com"}, "data": {"id": 42}}
provider(
    "pipedrive",
    sign=lambda r: {"Authorization": "Basic " + b64(f"hookplane:{r.key}")},
    signature="header:Authorization",
    token=True,
    covers_body=False,
    goods=[
        good("a deal", js(deal), type="change.deal", id="c1:deal:42:change", account="765"),
        good("white space and escapes", odd(deal), type="change.deal", id="c1:deal:42:change", account="765"),
    ],
)


def plaid(r, **change):
    claims = {"iat": r.now, "request_body_sha256": digest("sha256", r.body).hex(), **change}
    return {"Plaid-Verification": jwt("ES256", r.key.jose, {k: v for k, v in claims.items() if v is not None}, {"kid": "k1"})}


def plaid_bad(name, now=NOW, key=None, **change):
    request = Request("POST", URL, "", {}, js(update), key or keys.p256("plaid"), {}, now)
    return good(name, js(update), headers=plaid(request, **change), expect=None, signed=False)


update = {"webhook_type": "TRANSACTIONS", "webhook_code": "SYNC_UPDATES_AVAILABLE", "item_id": "i1", "environment": "production"}
provider(
    "plaid",
    secret=keys.p256("plaid"),
    configured=js(keys.p256("plaid").jwk("k1")).decode(),
    other=keys.p256("plaid other"),
    other_configured=js(keys.p256("plaid other").jwk("k1")).decode(),
    sign=plaid,
    signature="header:Plaid-Verification",
    goods=[
        good("transactions", js(update), type="TRANSACTIONS.SYNC_UPDATES_AVAILABLE", account="i1"),
        # Plaid writes its JSON with white space, which is part of the hash.
        good("with white space", json.dumps(update, indent=2) + "\n", type="TRANSACTIONS.SYNC_UPDATES_AVAILABLE", account="i1"),
        plaid_bad("older than five minutes", now=NOW - 400),
        plaid_bad("no time", iat=None),
        plaid_bad("no hash of the body", request_body_sha256=None),
        plaid_bad("another body's hash", request_body_sha256=digest("sha256", b"{}").hex()),
        good("signed with the public key as a secret", js(update), headers={"Plaid-Verification": jwt(
            "HS256", js(keys.p256("plaid").jwk("k1")), {"iat": NOW, "request_body_sha256": digest("sha256", js(update)).hex()}, {"kid": "k1"})}, expect="signature", signed=False),
    ],
)
provider("plaid", function="money-and-identity", secret=keys.p256("plaid"), configured=js(keys.p256("plaid").jwk("k1")).decode(), sign=plaid, goods=[
    good("a transfer", js({"webhook_type": "TRANSFER", "webhook_code": "TRANSFER_EVENTS_UPDATE", "environment": "production"}), type="TRANSFER.TRANSFER_EVENTS_UPDATE", account="production")])


def plain(r):
    tree = json.loads(r.body)
    time = datetime.datetime.fromtimestamp(r.now, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    tree["webhookMetadata"]["webhookDeliveryAttemptTimestamp"] = time
    r.body = json.dumps(tree, indent=1).encode() + b"\n"
    return {"Plain-Request-Signature": mac("sha256", r.key, r.body).hex()}


thread = {"id": "pEv_1", "type": "thread.thread_created", "workspaceId": "w1", "payload": {"who": "Z\u00fcrich"}, "webhookMetadata": {"webhookDeliveryAttemptNumber": 1}}
provider(
    "plain",
    sign=plain,
    signature="header:Plain-Request-Signature",
    covers_body=False,
    window=(300, "both"),
    goods=[
        good("a thread", js(thread), type="thread.thread_created", id="pEv_1", account="w1"),
        good("a chat", js({**thread, "type": "thread.chat_received", "total": 12.5}), type="thread.chat_received", id="pEv_1", account="w1"),
        good("no time in it", js(thread), headers={"Plain-Request-Signature": mac("sha256", KEY, js(thread)).hex()}, expect=None, signed=False),
    ],
)
provider("plain", function="customers", sign=plain, goods=[good("a customer", js({**thread, "type": "customer.customer_created"}), type="customer.customer_created", id="pEv_1", account="w1")])

branch = {"timestamp": 1767225600, "event": "branch.ready", "organization": "acme", "database": "shop", "resource": {"id": "r1"}}
provider(
    "planetscale",
    sign=body_mac("X-PlanetScale-Signature"),
    signature="header:X-PlanetScale-Signature",
    goods=[
        good("a branch", js(branch), type="branch.ready", id="branch.ready:r1:1767225600", account="acme"),
        good("white space and escapes", odd(branch), type="branch.ready", id="branch.ready:r1:1767225600", account="acme"),
    ],
)

SVIX = {"svix-id": "msg_1"}
standard_webhooks.of("pleo", [
    good("an export", js({"type": "v1.export-job.created", "data": {"id": "1"}}), headers=SVIX, type="v1.export-job.created", id="msg_1"),
    good("white space and escapes", odd({"type": "v1.employee.created"}), headers=SVIX, type="v1.employee.created", id="msg_1"),
], prefix="svix")


def plivo_text(r, nonce):
    """Plivo's v3: the URL, a glue that depends on what there is, the query and the fields in order, and the nonce."""
    pairs = urllib.parse.parse_qsl(r.query, keep_blank_values=True)
    fields = urllib.parse.parse_qsl(r.body.decode(), keep_blank_values=True)
    text = r.url
    if pairs or fields:
        text += "?"
    text += "&".join(f"{k}={v}" for k, v in sorted(pairs))
    if pairs and fields:
        text += "."
    text += "".join(k + v for k, v in sorted(fields))
    return f"{text}.{nonce}"


def plivo(header):
    def sign(r):
        return {"X-Plivo-Signature-V3-Nonce": "12345678901234567890", header: b64(mac("sha256", r.key, plivo_text(r, "12345678901234567890")))}

    return sign


report = {"MessageUUID": "m1", "Status": "delivered", "To": "15005550001", "From": "15005550006"}
provider(
    "plivo",
    sign=plivo("X-Plivo-Signature-V3"),
    signature="header:X-Plivo-Signature-V3",
    covers=("X-Plivo-Signature-V3-Nonce",),
    goods=[
        good("a report", form(report), FORM, type="delivered", id="m1:delivered"),
        good("a query and what needs escapes", form({**report, "Text": "a+b & Z\u00fcrich", "Status": "received"}), FORM, query="b=2&a=1", type="received", id="m1:received"),
    ],
)
provider("plivo", sign=plivo("X-Plivo-Signature-Ma-V3"), goods=[good("signed with the main account's token", form(report), FORM, type="delivered")])
provider("plivo", sign=lambda r: {
    "X-Plivo-Signature-V3-Nonce": "12345678901234567890",
    "X-Plivo-Signature-V3": ",".join(b64(mac("sha256", key, plivo_text(r, "12345678901234567890"))) for key in (OTHER, r.key)),
}, goods=[good("two signatures", form(report), FORM, type="delivered")])
provider("plivo", function="voice", sign=plivo("X-Plivo-Signature-V3"), goods=[
    good("a call ended", form({"CallUUID": "c1", "Event": "Hangup", "CallStatus": "completed"}), FORM, type="Hangup", id="c1:Hangup:completed"),
    good("a call, over GET", b"", None, method="GET", query="CallUUID=c1&Event=Ring", type="Ring", id="c1:Ring")])

standard_webhooks.of("polar", [
    good("a paid order", js({"type": "order.paid", "data": {"id": "o1", "organization_id": "org1"}}), headers={"webhook-id": "msg_1"}, type="order.paid", id="msg_1", account="org1"),
    good("white space and escapes", odd({"type": "customer.state_changed", "data": {"organization_id": "org1"}}), headers={"webhook-id": "msg_1"}, type="customer.state_changed", account="org1"),
], raw_key=True)

mailed = {"event": "MessageSent", "timestamp": 1767225600.25, "uuid": "u1", "payload": {"status": "Sent"}}


def postal(header, name):
    return lambda r: {header: b64(r.key.sign(r.body, name))}


POSTAL = dict(secret=keys.rsa("postal"), configured=keys.rsa("postal").spki_base64, other=keys.rsa("postal other"), other_configured=keys.rsa("postal other").spki_base64)
provider(
    "postal",
    **POSTAL,
    sign=postal("X-Postal-Signature-256", "sha256"),
    signature="header:X-Postal-Signature-256",
    goods=[
        good("a mail", js(mailed), type="MessageSent", id="u1"),
        good("white space and escapes", odd(mailed), type="MessageSent", id="u1"),
        good("only the older signature", js(mailed), headers={"X-Postal-Signature": b64(keys.rsa("postal").sign(js(mailed), "sha1"))}, expect="signature", signed=False),
    ],
)
provider(
    "postal",
    function="message-events-sha1",
    **POSTAL,
    sign=postal("X-Postal-Signature", "sha1"),
    signature="header:X-Postal-Signature",
    goods=[
        good("a mail", js(mailed), type="MessageSent", id="u1"),
        good("white space and escapes", odd(mailed), type="MessageSent", id="u1"),
    ],
)

arrived = {"RecordType": "Delivery", "ServerID": 23, "MessageID": "m1", "Recipient": "ada@example.com", "DeliveredAt": "2026-01-01T00:00:00Z"}
provider(
    "postmark",
    sign=lambda r: {"Authorization": "Basic " + b64(f"hookplane:{r.key}")},
    signature="header:Authorization",
    token=True,
    covers_body=False,
    goods=[
        good("a delivery", js(arrived), type="Delivery", id="m1:Delivery:ada@example.com:2026-01-01T00:00:00Z", account="23"),
        good("a bounce", odd({"RecordType": "Bounce", "ID": 42, "ServerID": 23, "MessageID": "m1"}), type="Bounce", id="42:Bounce", account="23"),
        good("another user", js(arrived), headers={"Authorization": "Basic " + b64(f"somebody:{KEY}")}, expect="signature", signed=False),
    ],
)
provider("postmark", function="inbound", sign=lambda r: {"Authorization": "Basic " + b64(f"hookplane:{r.key}")}, goods=[
    good("a mail", js({"MessageID": "m2", "OriginalRecipient": "in@example.com"}), type="Inbound", id="m2", account="in@example.com")])


def praxis(r):
    tree = json.loads(r.body)
    paid = tree["transaction"]
    values = [tree["merchant_id"], tree["application_key"], tree["timestamp"], tree["customer"]["customer_token"], tree["session"]["order_id"], paid["tid"],
              paid["currency"], paid["amount"], paid["conversion_rate"], paid["processed_currency"], paid["processed_amount"]]
    return {"gt-authentication": digest("sha384", *(str(value) for value in values), r.key).hex()}


approved = {
    "merchant_id": "API-Acme", "application_key": "Acme", "timestamp": 1767225600, "version": "1.3",
    "customer": {"customer_token": "c1"}, "session": {"order_id": "o1"},
    "transaction": {"transaction_status": "approved", "tid": 756850, "currency": "USD", "amount": 100, "conversion_rate": "1.000000", "processed_currency": "USD", "processed_amount": 100},
}
provider(
    "praxis",
    sign=praxis,
    signature="header:gt-authentication",
    covers_body=False,
    goods=[
        good("a payment", js(approved), type="approved", id="756850:approved", account="API-Acme"),
        good("white space and escapes", odd(approved), type="approved", id="756850:approved", account="API-Acme"),
    ],
)

status = {"eventType": "PAYMENT.STATUS", "date": "2026-01-01T00:00:00", "notificationConfig": {"id": "n1"}, "signedAt": "1767225600", "payment": {"id": "p1", "status": "SETTLED"}}
provider(
    "primer",
    sign=body_mac("X-Signature-Primary", encode=b64),
    signature="header:X-Signature-Primary",
    goods=[
        good("a payment", js(status), type="PAYMENT.STATUS", id="p1:PAYMENT.STATUS:SETTLED:2026-01-01T00:00:00", account="n1"),
        good("white space and escapes", odd(status), type="PAYMENT.STATUS", account="n1"),
    ],
)
provider("primer", sign=lambda r: {"X-Signature-Primary": b64(mac("sha256", OTHER, r.body)), "X-Signature-Secondary": b64(mac("sha256", r.key, r.body))}, goods=[
    good("while the secret is rotated", js(status), type="PAYMENT.STATUS")])
provider("primer", function="disputes", sign=body_mac("X-Signature-Primary", encode=b64), goods=[
    good("a dispute", js({"eventType": "DISPUTE.OPENED", "processorDisputeId": "d1", "primerAccountId": "a1"}), type="DISPUTE.OPENED", id="d1:DISPUTE.OPENED", account="a1")])

standard_webhooks.of("privy", [
    good("a user", js({"type": "user.created", "user": {"id": "did:privy:1"}}), headers=SVIX, type="user.created", id="msg_1"),
    good("white space and escapes", odd({"type": "mfa.enabled"}), headers=SVIX, type="mfa.enabled", id="msg_1"),
], prefix="svix")
provider("privy", function="wallets", secret=standard_webhooks.WHSEC, sign=standard_webhooks.standard_webhooks("svix"), goods=[
    good("a transaction", js({"type": "transaction.confirmed"}), headers=SVIX, type="transaction.confirmed", id="msg_1")])

occupied = {"time_ms": 1767225600000, "events": [{"channel": "orders", "name": "channel_occupied"}, {"channel": "presence-x", "name": "member_added", "user_id": "u1"}]}
provider(
    "pusher",
    sign=lambda r: {"X-Pusher-Key": "278d425bdf160c739803", "X-Pusher-Signature": mac("sha256", r.key, r.body).hex()},
    signature="header:X-Pusher-Signature",
    goods=[
        good("two events", js(occupied), type="channel_occupied", id="1767225600000:channel_occupied:orders", account="278d425bdf160c739803", events=2),
        good("white space and escapes", odd({**occupied, "events": occupied["events"][1:]}), type="member_added", id="1767225600000:member_added:presence-x:u1"),
    ],
)

asked = {"type": "issue.created", "issue_id": "i1"}
provider(
    "pylon",
    sign=lambda r: {"Pylon-Webhook-Timestamp": str(r.now), "Pylon-Webhook-Signature": "hs256=" + mac("sha256", r.key, f"{r.now}.", r.body).hex()},
    signature="header:Pylon-Webhook-Signature",
    covers=("Pylon-Webhook-Timestamp",),
    goods=[
        good("an issue", js(asked), type="issue.created"),
        good("white space and escapes", odd(asked), type="issue.created"),
    ],
)

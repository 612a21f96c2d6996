"""Providers from quickbooks to sendcloud."""

import gzip

from harness import *
from providers import standard_webhooks


def body_mac(header, name="sha256", prefix="", encode=bytes.hex):
    """The raw body, under the secret as pasted."""
    return lambda r: {header: prefix + encode(mac(name, r.key, r.body))}


def odd(members):
    """JSON that doesn't survive being read and written again."""
    return json.dumps(members, indent=1)[:-1].rstrip() + ',\n "who": "Z\u00fcrich \\u00e9", "total": 12.50 }\n'


cloud = {"specversion": "1.0", "id": "e1", "type": "qbo.invoice.created.v1", "intuitentityid": "1234", "intuitaccountid": "310687"}
entity = {"name": "Invoice", "id": "7", "operation": "Update", "lastUpdated": "2026-01-01T00:00:00Z"}
older = {"eventNotifications": [{"realmId": "1185883450", "dataChangeEvent": {"entities": [entity, {**entity, "name": "Customer"}]}}]}
provider(
    "quickbooks",
    sign=body_mac("intuit-signature", encode=b64),
    signature="header:intuit-signature",
    goods=[
        good("an invoice", js([cloud]), "application/cloudevents+json", type="qbo.invoice.created.v1", id="310687:e1", account="310687"),
        good("two events, white space and escapes", json.dumps([cloud, {**cloud, "id": "e2", "who": "Z\u00fcrich"}], indent=1) + "\n", type="qbo.invoice.created.v1", events=2),
        good("the older form", js(older), type="Invoice.Update", id="1185883450:Invoice:7:Update:2026-01-01T00:00:00Z", account="1185883450", events=2),
    ],
)


def quicknode(packed):
    """Signed is what the body unpacks to."""

    def sign(r):
        added = {"X-QN-Nonce": "n1", "X-QN-Timestamp": str(r.now), "X-QN-Signature": mac("sha256", r.key, f"n1{r.now}", r.body).hex()}
        if packed:
            r.body = gzip.compress(r.body, mtime=0)
            added["Content-Encoding"] = "gzip"
        return added

    return sign


block = {"data": [{"number": "0x14c9a2e"}], "metadata": {"network": "ethereum-mainnet"}}
STREAM = {"stream-id": "s1", "batch-number": "17"}
provider(
    "quicknode",
    sign=quicknode(False),
    signature="header:X-QN-Signature",
    covers=("X-QN-Nonce", "X-QN-Timestamp"),
    goods=[
        good("a batch", js(block), headers=STREAM, type="stream.batch", id="s1:17", account="s1"),
        good("white space and escapes", odd(block), headers=STREAM, type="stream.batch", id="s1:17", account="s1"),
    ],
)
provider("quicknode", sign=quicknode(True), goods=[good("a compressed batch", odd(block), headers=STREAM, type="stream.batch", id="s1:17", account="s1")])

captured = {"entity": "event", "account_id": "acc_1", "event": "payment.captured", "payload": {"payment": {"entity": {"id": "pay_1"}}}}
EVENT_ID = {"x-razorpay-event-id": "ev1"}
provider(
    "razorpay",
    sign=body_mac("X-Razorpay-Signature"),
    signature="header:X-Razorpay-Signature",
    goods=[
        good("a payment", js(captured), headers=EVENT_ID, type="payment.captured", id="ev1", account="acc_1"),
        good("white space and escapes", odd(captured), headers=EVENT_ID, type="payment.captured", id="ev1", account="acc_1"),
    ],
)
provider("razorpay", function="payouts", sign=body_mac("X-Razorpay-Signature"), goods=[
    good("a payout", js({**captured, "event": "payout.processed"}), headers=EVENT_ID, type="payout.processed", id="ev1", account="acc_1")])

subscription = {"subscription": {"id": 89653, "status": "active"}}
provider(
    "recharge",
    sign=lambda r: {"X-Recharge-Webhook-Timestamp": str(r.now), "X-Recharge-Webhook-Signature": f"t={r.now},v1={mac('sha256', r.key, f'{r.now}.', r.body).hex()}"},
    signature="header:X-Recharge-Webhook-Signature",
    goods=[
        good("a subscription", js(subscription), headers={"X-Recharge-Topic": "subscription/created"}, type="subscription/created"),
        good("without its topic, with white space and escapes", ' {"charge": {"id": 1, "total_price": 12.50, "who": "Z\u00fcrich \\u00e9"} }\n', type="charge"),
        good("only the older hash", js(subscription), headers={"X-Recharge-Hmac-Sha256": digest("sha256", KEY, js(subscription)).hex()}, expect="signature", signed=False),
    ],
)


def recurly(*first):
    def sign(r):
        signatures = [mac("sha256", key, f"{r.now * 1000}.", r.body).hex() for key in (*first, r.key)]
        return {"Recurly-Signature": ",".join([str(r.now * 1000), *signatures])}

    return sign


renewed = {"id": "x1", "object_type": "subscription", "site_id": "site1", "event_type": "renewed", "uuid": "u1"}
provider(
    "recurly",
    sign=recurly(),
    signature="header:Recurly-Signature",
    window=(300, "both"),
    goods=[
        good("a subscription", js(renewed), type="renewed", id="u1", account="site1"),
        good("white space and escapes", odd(renewed), type="renewed", id="u1", account="site1"),
    ],
)
provider("recurly", sign=recurly(OTHER), goods=[good("while the secret is rotated", js(renewed), type="renewed", id="u1")])
notification = """<?xml version="1.0" encoding="UTF-8"?>
<new_subscription_notification>
  <account><account_code>acme</account_code><company_name>A &amp; B &#252;</company_name></account>
</new_subscription_notification>
"""
provider(
    "recurly",
    function="xml-webhooks",
    sign=lambda r: {"Authorization": "Basic " + b64(f"hookplane:{r.key}")},
    signature="header:Authorization",
    token=True,
    covers_body=False,
    goods=[
        good("a subscription", notification, "application/xml", headers={"Recurly-Notification-Id": "n1"}, type="new_subscription_notification", id="n1"),
        good("a document type with an entity", '<!DOCTYPE a [<!ENTITY b "c">]>' + "<a>&b;</a>", "application/xml", headers={"Authorization": "Basic " + b64(f"hookplane:{KEY}")},
             signed=False),  # Handed on as it came: nothing is read out of it, and no entity is put in.
    ],
)

WEBHOOK = {"webhook-id": "msg_1"}
SVIX = {"svix-id": "msg_1"}
standard_webhooks.of("render", [
    good("a deploy", js({"type": "deploy_ended", "data": {"id": "e1", "serviceId": "srv-1"}}), headers=WEBHOOK, type="deploy_ended", id="msg_1", account="srv-1"),
    good("white space and escapes", odd({"type": "server_failed", "data": {"serviceId": "srv-1"}}), headers=WEBHOOK, type="server_failed", id="msg_1"),
])
standard_webhooks.of("replicate", [
    good("a prediction", js({"id": "p1", "model": "acme/gate", "status": "succeeded", "output": [1.50]}), headers=WEBHOOK, type="succeeded", id="msg_1", account="acme/gate"),
    good("white space and escapes", odd({"id": "p1", "status": "processing"}), headers=WEBHOOK, type="processing", id="msg_1"),
])
standard_webhooks.of("resend", [
    good("a delivery", js({"type": "email.delivered", "data": {"email_id": "1"}}), headers=SVIX, type="email.delivered", id="msg_1"),
    good("white space and escapes", odd({"type": "contact.created"}), headers=SVIX, type="contact.created", id="msg_1"),
], prefix="svix")
provider("resend", function="inbound", secret=standard_webhooks.WHSEC, sign=standard_webhooks.standard_webhooks("svix"), goods=[
    good("a mail", js({"type": "email.received", "data": {"email_id": "2"}}), headers=SVIX, type="email.received", id="msg_1")])


def retell(r):
    return {"X-Retell-Signature": f"v={r.now * 1000},d={mac('sha256', r.key, r.body, str(r.now * 1000)).hex()}"}


call = {"event": "call_ended", "call": {"call_id": "c1", "agent_id": "a1"}}
provider(
    "retell-ai",
    sign=retell,
    signature="header:X-Retell-Signature",
    window=(300, "both"),
    goods=[
        good("a call", js(call), type="call_ended", id="c1:call_ended", account="a1"),
        good("white space and escapes", odd(call), type="call_ended", id="c1:call_ended", account="a1"),
    ],
)
provider("retell-ai", function="chats", sign=retell, goods=[
    good("a chat", js({"event": "chat_ended", "chat": {"chat_id": "h1", "agent_id": "a1"}}), type="chat_ended", id="h1:chat_ended", account="a1")])

purchase = {"api_version": "1.0", "event": {"type": "INITIAL_PURCHASE", "id": "e1", "app_id": "app1", "app_user_id": "u1"}}
provider(
    "revenuecat",
    sign=lambda r: {"Authorization": r.key},
    signature="header:Authorization",
    token=True,
    covers_body=False,
    goods=[
        good("a purchase", js(purchase), type="INITIAL_PURCHASE", id="e1", account="app1"),
        good("white space and escapes", odd(purchase), type="INITIAL_PURCHASE", id="e1", account="app1"),
    ],
)


def revolut(*first):
    def sign(r):
        signatures = ["v1=" + mac("sha256", key, f"v1.{r.now * 1000}.", r.body).hex() for key in (*first, r.key)]
        return {"Revolut-Request-Timestamp": str(r.now * 1000), "Revolut-Signature": ",".join(signatures)}

    return sign


completed = {"event": "ORDER_COMPLETED", "order_id": "o1"}
provider(
    "revolut",
    sign=revolut(),
    signature="header:Revolut-Signature",
    covers=("Revolut-Request-Timestamp",),
    window=(300, "both"),
    goods=[
        good("an order", js(completed), type="ORDER_COMPLETED", id="o1:ORDER_COMPLETED"),
        good("white space and escapes", odd(completed), type="ORDER_COMPLETED", id="o1:ORDER_COMPLETED"),
    ],
)
provider("revolut", sign=revolut(OTHER), goods=[good("while the secret is rotated", js(completed), type="ORDER_COMPLETED", id="o1:ORDER_COMPLETED")])
provider("revolut", function="business-api", sign=revolut(), goods=[
    good("a transaction", js({"event": "TransactionCreated", "timestamp": "2026-01-01T00:00:00Z", "data": {"id": "t1"}}), type="TransactionCreated", id="t1:TransactionCreated:2026-01-01T00:00:00Z")])

presence = {"uuid": "u1", "event": "/restapi/v1.0/account/1/extension/2/presence", "subscriptionId": "s1", "ownerId": "9"}
provider(
    "ringcentral",
    sign=lambda r: {"Verification-Token": r.key},
    signature="header:Verification-Token",
    token=True,
    covers_body=False,
    goods=[
        good("presence", js(presence), type="/restapi/v1.0/account/1/extension/2/presence", id="u1", account="9"),
        good("white space and escapes", odd(presence), type="/restapi/v1.0/account/1/extension/2/presence", id="u1", account="9"),
        good("the URL is checked", b"", None, headers={"Validation-Token": "6b2f1c-0a"}, expect="handshake", reply_headers={"Validation-Token": "6b2f1c-0a"}, signed=False),
    ],
)


def soap(organisation, *names):
    each = "".join(
        f"<Notification><Id>04l{i}</Id><sObject xsi:type=\"sf:{name}\" xmlns:sf=\"urn:sobject.enterprise.soap.sforce.com\"><sf:Id>001{i}</sf:Id>"
        f"<sf:Name>A &amp; B Z\u00fcrich</sf:Name></sObject></Notification>"
        for i, name in enumerate(names)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
        f"<OrganizationId>{organisation}</OrganizationId><ActionId>04k</ActionId>{each}</notifications></soapenv:Body></soapenv:Envelope>\n"
    )


ORGANISATION = "00D000000000000EAA"


def organisation(r):
    r.body = r.body.replace(ORGANISATION.encode(), r.key.encode())


provider(
    "salesforce-outbound",
    secret=ORGANISATION,
    other="00D000000000000EAB",
    signature="key",
    token=True,
    sign=organisation,
    goods=[
        good("one record", soap(ORGANISATION, "Account"), "text/xml; charset=utf-8", type="Account", id="04l0", account=ORGANISATION),
        good("three records", soap(ORGANISATION, "Contact", "Lead", "Mine__c"), "text/xml; charset=utf-8", type="Contact", id="04l0", account=ORGANISATION, events=3),
        good("a kind of your own", soap(ORGANISATION, "Mine__c"), "text/xml; charset=utf-8", type="sf:Mine__c", id="04l0"),
        good("two organisations", soap(f"{ORGANISATION}</OrganizationId><OrganizationId>x", "Account"), "text/xml; charset=utf-8", expect="signature", signed=False),
        good("the organisation in another place", soap("", "Account").replace("<ActionId>04k", f"<ActionId>{ORGANISATION}"), "text/xml; charset=utf-8", expect="signature", signed=False),
    ],
)


def samsara(r):
    return {"X-Samsara-Timestamp": str(r.now), "X-Samsara-Signature": "v1=" + mac("sha256", unb64(r.key), f"v1:{r.now}:", r.body).hex()}


driver = {"eventId": "e1", "eventType": "DriverCreated", "orgId": 20936, "webhookId": "w1"}
provider(
    "samsara",
    secret=KEY_BASE64,
    sign=samsara,
    signature="header:X-Samsara-Signature",
    covers=("X-Samsara-Timestamp",),
    goods=[
        good("a driver", js(driver), type="DriverCreated", id="e1", account="20936"),
        good("white space and escapes", odd(driver), type="DriverCreated", id="e1", account="20936"),
    ],
)
provider("samsara", function="alerts", secret=KEY_BASE64, sign=samsara, goods=[good("an alert", js({**driver, "eventType": "AlertIncident"}), type="AlertIncident", id="e1", account="20936")])

DOCUMENT = {"sanity-operation": "create", "sanity-project-id": "abcd1234", "sanity-dataset": "production", "idempotency-key": "k1"}
provider(
    "sanity",
    sign=lambda r: {"sanity-webhook-signature": f"t={r.now * 1000},v1={b64url(mac('sha256', r.key, f'{r.now * 1000}.', r.body))}"},
    signature="header:sanity-webhook-signature",
    goods=[
        good("a document", js({"_id": "1", "_type": "post"}), headers=DOCUMENT, type="document.create", id="k1", account="abcd1234/production"),
        good("white space and escapes", odd({"_id": "1"}), headers={**DOCUMENT, "sanity-operation": "delete"}, type="document.delete", id="k1", account="abcd1234/production"),
    ],
)

SCRAPED = {"X-Scrapfly-Webhook-Resource-Type": "scrape", "X-Scrapfly-Webhook-Job-Id": "j1", "X-Scrapfly-Webhook-Project": "default"}


def scrapfly(header="X-Scrapfly-Webhook-Signature", packed=False):
    """Signed before it is compressed."""

    def sign(r):
        added = {header: mac("sha256", r.key, r.body).hex().upper()}
        if packed:
            r.body = gzip.compress(r.body, mtime=0)
            added["Content-Encoding"] = "gzip"
        return added

    return sign


provider(
    "scrapfly",
    sign=scrapfly(),
    signature="header:X-Scrapfly-Webhook-Signature",
    goods=[
        good("a page", js({"result": {"status_code": 200}}), headers={**SCRAPED, "X-Scrapfly-Webhook-Id": "w1"}, type="scrape", id="w1", account="default"),
        good("white space and escapes", odd({"result": {}}), headers=SCRAPED, type="scrape", id="j1", account="default"),
        good("a ping while the webhook is made", js({"ping": "OK"}), headers={"X-Scrapfly-Webhook-Resource-Type": "ping"}, expect="handshake", signed=False),
        good("a ping with a false signature", js({"ping": "OK"}), headers={"X-Scrapfly-Webhook-Resource-Type": "ping", "X-Scrapfly-Webhook-Signature": "0" * 64}, expect="signature", signed=False),
    ],
)
provider("scrapfly", sign=scrapfly(packed=True), goods=[good("a compressed page", odd({"result": {}}), headers=SCRAPED, type="scrape", id="j1")])
provider("scrapfly", sign=lambda r: {"X-Scrapfly-Webhook-Signature-Lowercase": mac("sha256", r.key, r.body).hex()}, goods=[
    good("in the other header", js({"result": {}}), headers=SCRAPED, type="scrape", id="j1")])
provider(
    "scrapfly",
    function="alerts",
    sign=lambda r: {"X-Scrapfly-Webhook-Timestamp": str(r.now), "X-Scrapfly-Webhook-Signature": mac("sha256", r.key, f"{r.now}.", r.body).hex().upper()},
    signature="header:X-Scrapfly-Webhook-Signature",
    covers=("X-Scrapfly-Webhook-Timestamp",),
    window=(300, "both"),
    goods=[good("an alert", js({"event_id": "e1", "alert": {"name": "credit-low"}}), headers={"X-Scrapfly-Webhook-Resource-Type": "alert"}, type="alert", id="e1")],
)

standard_webhooks.of("seam", [
    good("a device", js({"event_id": "e1", "event_type": "device.connected", "workspace_id": "w1"}), headers=SVIX, type="device.connected", id="msg_1", account="w1"),
    good("white space and escapes", odd({"event_type": "lock.locked", "workspace_id": "w1"}), headers=SVIX, type="lock.locked", id="msg_1", account="w1"),
], prefix="svix")

tracked = {"type": "track", "event": "Order Completed", "messageId": "m1", "projectId": "p1"}
provider(
    "segment",
    sign=body_mac("X-Signature", "sha1"),
    signature="header:X-Signature",
    goods=[
        good("something was done", js(tracked), type="track", id="m1", account="p1"),
        good("white space and escapes", odd(tracked), type="track", id="m1", account="p1"),
    ],
)

sent = {"category": "group_channel:message_send", "app_id": "app1", "payload": {"message_id": 6581724, "updated_at": 0}, "channel": {"channel_url": "ch1"}}
provider(
    "sendbird",
    sign=body_mac("X-Sendbird-Signature"),
    signature="header:X-Sendbird-Signature",
    goods=[
        good("a message", js(sent), type="group_channel:message_send", id="6581724:group_channel:message_send:0", account="app1"),
        good("white space and escapes", odd(sent), type="group_channel:message_send", account="app1"),
    ],
)
provider("sendbird", function="calls", sign=body_mac("X-Sendbird-Signature"), goods=[
    good("a call", js({"category": "calls:direct:end", "app_id": "app1", "occurred_at": 5, "direct_call": {"call_id": "c1"}}), type="calls:direct:end", id="c1:calls:direct:end:5", account="app1")])

parcel = {"action": "parcel_status_changed", "timestamp": 1, "carrier_status_change_timestamp": 2, "parcel": {"id": 77, "status": {"id": 11}}}
provider(
    "sendcloud",
    sign=body_mac("Sendcloud-Signature"),
    signature="header:Sendcloud-Signature",
    goods=[
        good("a parcel", js(parcel), type="parcel_status_changed", id="77:parcel_status_changed:11:2"),
        good("white space and escapes", odd(parcel), type="parcel_status_changed", id="77:parcel_status_changed:11:2"),
    ],
)
provider("sendcloud", function="integrations", sign=body_mac("Sendcloud-Signature"), goods=[
    good("a shop", js({"action": "integration_connected", "timestamp": 1, "integration": {"id": 7}}), type="integration_connected", account="7")])
# The example in Sendcloud's documentation.
assert mac("sha256", "secretkey", '{"key": "value"}').hex() == "1eed4b3d41f4653ac64fd56f1bf1cbfd349e4482cbc11dff7134bd93e5da4b0a"

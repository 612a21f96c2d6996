"""Providers from nuvemshop to paystack."""

import datetime

from harness import *
from providers import standard_webhooks


def body_mac(header, name="sha256", prefix="", encode=bytes.hex):
    """The raw body, under the secret as pasted."""
    return lambda r: {header: prefix + encode(mac(name, r.key, r.body))}


def odd(members):
    """JSON that doesn't survive being read and written again."""
    return json.dumps(members, indent=1)[:-1].rstrip() + ',\n "who": "Z\u00fcrich \\u00e9", "total": 12.50 }\n'


FORM = "application/x-www-form-urlencoded"


order = {"store_id": 123456, "event": "order/created", "id": 871254203}
provider(
    "nuvemshop",
    sign=body_mac("x-linkedstore-hmac-sha256"),
    signature="header:x-linkedstore-hmac-sha256",
    goods=[
        good("an order", js(order), type="order/created", account="123456"),
        good("white space and escapes", odd(order), type="order/created", account="123456"),
    ],
)

mail = {"specversion": "1.0", "type": "message.created", "id": "e1", "data": {"application_id": "app1", "object": {"grant_id": "g1"}}}
provider(
    "nylas",
    sign=body_mac("X-Nylas-Signature"),
    signature="header:X-Nylas-Signature",
    goods=[
        good("a mail", js(mail), type="message.created", id="e1", account="g1"),
        good("white space and escapes", odd({**mail, "type": "grant.expired", "data": {"object": {}, "grant_id": "g2"}}), type="grant.expired", id="e1", account="g2"),
        good("the URL is checked", b"", None, method="GET", query="challenge=bc609b38-c81f-47fb-a275-0d9bd61be968", expect="handshake",
             reply="bc609b38-c81f-47fb-a275-0d9bd61be968", signed=False),
        good("the URL is checked with markup", b"", None, method="GET", query="challenge=%3Cscript%3E", expect="handshake-refused", signed=False),
    ],
)


def okta_events(*uuids):
    return {"eventType": "com.okta.event_hook", "eventId": "r1", "source": "https://acme.example.com/hook",
            "data": {"events": [{"uuid": uuid, "eventType": "user.lifecycle.create"} for uuid in uuids]}}


provider(
    "okta",
    sign=lambda r: {"Authorization": r.key},
    signature="header:Authorization",
    token=True,
    covers_body=False,
    goods=[
        good("an event", js(okta_events("u1")), type="user.lifecycle.create", id="u1", account="https://acme.example.com/hook"),
        good("two events", odd(okta_events("u1", "u2")), type="user.lifecycle.create", id="u1", events=2),
        good("Verify is pressed", b"", None, method="GET", headers={"X-Okta-Verification-Challenge": "a1b2-c3"}, expect="handshake",
             reply_json={"verification": "a1b2-c3"}, signed=False),
    ],
)
provider("okta", sign=lambda r: {"X-Acme-Key": r.key}, params={"header": "X-Acme-Key"}, goods=[
    good("in another header", js(okta_events("u1")), id="u1"),
    good("in the usual header instead", js(okta_events("u1")), headers={"Authorization": KEY}, expect="signature", signed=False)])
provider("okta", function="inline-hooks", sign=lambda r: {"Authorization": r.key}, goods=[
    good("a token is about to be made", js({"eventId": "i1", "eventType": "com.okta.oauth2.tokens.transform", "source": "s1", "data": {}}),
         type="com.okta.oauth2.tokens.transform", id="i1", account="s1")])

run = {"payload": {"resource_type": "workflow_run", "action": "workflow_run.completed", "object": {"id": "w1", "completed_at_iso8601": "2026-01-01T00:00:00Z"}}}
check = {"payload": {"resource_type": "check", "action": "check.started", "object": {"id": "c1"}}}
provider(
    "onfido",
    sign=body_mac("X-SHA2-Signature"),
    signature="header:X-SHA2-Signature",
    goods=[
        good("a run", js(run), type="workflow_run.completed", id="w1:workflow_run.completed:2026-01-01T00:00:00Z"),
        good("white space and escapes", odd(run), type="workflow_run.completed"),
    ],
)
provider("onfido", function="checks", sign=body_mac("X-SHA2-Signature"), goods=[good("a check", js(check), type="check.started", id="c1:check.started")])


def onfleet(r):
    return {"X-Onfleet-Signature": mac("sha512", bytes.fromhex(r.key), r.body).hex()}


task = {"triggerId": 3, "taskId": "t1", "workerId": "w1", "time": 1767225600000, "data": {"task": {"organization": "org1"}}}
provider(
    "onfleet",
    secret=KEY_HEX,
    other=OTHER_HEX,
    sign=onfleet,
    signature="header:X-Onfleet-Signature",
    goods=[
        good("a task is done", js(task), type="taskCompleted", id="t1:3:1767225600000", account="org1"),
        good("a trigger of no name", odd({**task, "triggerId": 99}), type="99", account="org1"),
        good("the URL is checked", b"", None, method="GET", query="check=1b7d4e", expect="handshake", reply="1b7d4e", signed=False),
    ],
)
provider("onfleet", function="workers", secret=KEY_HEX, other=OTHER_HEX, sign=onfleet, goods=[
    good("a worker is on duty", js({"triggerId": 5, "workerId": "w1", "time": 5, "data": {"worker": {"organization": "org1"}}}), type="workerDuty", id="w1:5:5", account="org1")])

response = {"object": "event", "id": "evt_1", "type": "response.completed", "data": {"id": "resp_1"}}
standard_webhooks.of("openai", [
    good("a response", js(response), headers={"webhook-id": "wh_1"}, type="response.completed", id="wh_1"),
    good("white space and escapes", odd(response), headers={"webhook-id": "wh_1"}, type="response.completed", id="wh_1"),
])

ask = {"message": "Summarise the inbox", "name": "Mail"}
provider(
    "openclaw",
    sign=lambda r: {"Authorization": "Bearer " + r.key},
    signature="header:Authorization",
    token=True,
    covers_body=False,
    goods=[
        good("an agent", js(ask), type="agent"),
        good("white space and escapes", odd({"text": "A mail", "mode": "now"}), type="wake"),
        good("without Bearer", js(ask), headers={"Authorization": KEY}, expect="signature", signed=False),
    ],
)
provider("openclaw", function="header", sign=lambda r: {"x-openclaw-token": r.key}, goods=[
    good("in its own header", js(ask), type="agent"),
    good("in the other function's header", js(ask), headers={"Authorization": f"Bearer {KEY}"}, expect="signature", signed=False)])


def opennode(r):
    fields = dict(urllib.parse.parse_qsl(r.body.decode()))
    r.body = form({**fields, "hashed_order": mac("sha256", r.key, fields["id"]).hex()})


provider(
    "opennode",
    sign=opennode,
    signature="form:hashed_order",
    covers_body=False,
    goods=[
        good("a charge", form({"id": "c1", "status": "paid", "order_id": "o1"}), FORM, type="paid", id="c1:paid"),
        good("a charge with what needs escapes", form({"id": "c+1 &", "status": "underpaid"}), FORM, type="underpaid", id="c+1 &:underpaid"),
        good("another charge's hash", form({"id": "c2", "status": "paid", "hashed_order": mac("sha256", KEY, "c1").hex()}), FORM, expect="signature", signed=False),
    ],
)
provider("opennode", function="withdrawals", sign=opennode, goods=[good("a withdrawal", form({"id": "w1", "status": "confirmed"}), FORM, type="confirmed", id="w1:confirmed")])


def orb(zone):
    def sign(r):
        time = datetime.datetime.fromtimestamp(r.now, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + zone
        return {"X-Orb-Timestamp": time, "X-Orb-Signature": "v1=" + mac("sha256", r.key, f"v1:{time}:", r.body).hex()}

    return sign


customer = {"id": "e1", "type": "customer.created", "customer": {"id": "c1"}}
provider(
    "orb",
    sign=orb(""),
    signature="header:X-Orb-Signature",
    covers=("X-Orb-Timestamp",),
    window=(300, "both"),
    goods=[
        good("a customer", js(customer), type="customer.created", id="e1", account="c1"),
        good("white space and escapes", odd(customer), type="customer.created", id="e1", account="c1"),
    ],
)
provider("orb", sign=orb("Z"), goods=[good("a time with its zone", js({"id": "e2", "type": "invoice.issued", "invoice": {"customer": {"id": "c2"}}}), type="invoice.issued", account="c2")])

sleep = {"event_type": "update", "data_type": "daily_sleep", "object_id": "o1", "event_time": "2026-01-01T00:00:00Z", "user_id": "u1"}
provider(
    "oura",
    params={"verificationToken": "made-up-token"},
    sign=lambda r: {"x-oura-timestamp": str(r.now), "x-oura-signature": mac("sha256", r.key, str(r.now), r.body).hex().upper()},
    signature="header:x-oura-signature",
    covers=("x-oura-timestamp",),
    goods=[
        good("a sleep", js(sleep), type="daily_sleep.update", id="o1:update:2026-01-01T00:00:00Z", account="u1"),
        good("white space and escapes", odd(sleep), type="daily_sleep.update", account="u1"),
        good("the URL is checked", b"", None, method="GET", query="verification_token=made-up-token&challenge=abc123", expect="handshake",
             reply_json={"challenge": "abc123"}, signed=False),
        good("the URL is checked with another token", b"", None, method="GET", query="verification_token=other&challenge=abc123", expect="handshake-refused", signed=False),
        good("the URL is checked without a token", b"", None, method="GET", query="challenge=abc123", expect="handshake-refused", signed=False),
    ],
)

paid = {"event_id": "evt_1", "event_type": "transaction.completed", "notification_id": "ntf_1", "data": {"id": "txn_1", "customer_id": "ctm_1"}}
provider(
    "paddle",
    sign=lambda r: {"Paddle-Signature": f"ts={r.now};h1={mac('sha256', r.key, f'{r.now}:', r.body).hex()}"},
    signature="header:Paddle-Signature",
    window=(5, "age"),
    goods=[
        good("a transaction", js(paid), type="transaction.completed", id="ntf_1", account="ctm_1"),
        good("white space and escapes", odd(paid), type="transaction.completed", id="ntf_1", account="ctm_1"),
    ],
)


def pagerduty(*first):
    return lambda r: {"X-PagerDuty-Signature": ",".join("v1=" + mac("sha256", key, r.body).hex() for key in (*first, r.key))}


incident = {"event": {"id": "e1", "event_type": "incident.triggered", "data": {"id": "i1", "service": {"id": "s1"}}}}
SUBSCRIPTION = {"X-Webhook-Subscription": "sub1"}
provider(
    "pagerduty",
    sign=pagerduty(),
    signature="header:X-PagerDuty-Signature",
    goods=[
        good("an incident", js(incident), headers=SUBSCRIPTION, type="incident.triggered", id="e1", account="sub1"),
        good("white space and escapes", odd(incident), type="incident.triggered", id="e1", account="s1"),
        good("a test", js({"event": {"id": "e2", "event_type": "pagey.ping"}}), expect="handshake"),
        good("a test of somebody else", js({"event": {"id": "e2", "event_type": "pagey.ping"}}), headers={"X-PagerDuty-Signature": "v1=" + "0" * 64}, expect="signature", signed=False),
    ],
)
provider("pagerduty", sign=pagerduty(OTHER), goods=[good("while the secret is rotated", js(incident), type="incident.triggered", id="e1")])


def pandadoc(r):
    r.query = "signature=" + mac("sha256", r.key, r.body).hex()


state = {"event": "document_state_changed", "data": {"id": "d1", "status": "document.completed", "date_modified": "2026-01-01", "created_by": {"id": "u1"}}}
provider(
    "pandadoc",
    sign=pandadoc,
    signature="query:signature",
    goods=[
        good("a document", js([state]), type="document_state_changed", id="document_state_changed:d1:document.completed:2026-01-01", account="u1"),
        good("two documents, white space and escapes", json.dumps([state, {**state, "who": "Z\u00fcrich"}], indent=1) + "\n", type="document_state_changed", account="u1", events=2),
    ],
)
quote = {"event": "quote_updated", "data": {"id": "q1"}}
provider("pandadoc", function="quotes-and-templates", sign=pandadoc, goods=[good("a quote", js([quote]), type="quote_updated", id="quote_updated:q1")])

member = {"data": {"id": "m1", "type": "member", "relationships": {"campaign": {"data": {"id": "c1", "type": "campaign"}}}}}
provider(
    "patreon",
    sign=body_mac("X-Patreon-Signature", "md5"),
    signature="header:X-Patreon-Signature",
    goods=[
        good("a member", js(member), headers={"X-Patreon-Event": "members:create"}, type="members:create", account="c1"),
        good("white space and escapes", odd(member), headers={"X-Patreon-Event": "members:pledge:update"}, type="members:pledge:update", account="c1"),
    ],
)
provider("patreon", function="posts", sign=body_mac("X-Patreon-Signature", "md5"), goods=[
    good("a post", js(member), headers={"X-Patreon-Event": "posts:publish"}, type="posts:publish", account="c1")])


def written(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


FIELDS = ("amount_cents", "created_at", "currency", "error_occured", "has_parent_transaction", "id", "integration_id", "is_3d_secure", "is_auth", "is_capture",
          "is_refunded", "is_standalone_payment", "is_voided", "order.id", "owner", "pending", "source_data.pan", "source_data.sub_type", "source_data.type", "success")
TOKEN_FIELDS = ("card_subtype", "created_at", "email", "id", "masked_pan", "merchant_id", "order_id", "token")


def paymob_text(tree):
    def at(name):
        value = tree["obj"]
        for part in name.split("."):
            value = value.get(part, "")
        return written(value)

    return "".join(at(name) for name in (TOKEN_FIELDS if tree["type"] == "TOKEN" else FIELDS))


def paymob(r):
    r.query = "hmac=" + mac("sha512", r.key, paymob_text(json.loads(r.body))).hex()


# The sample in Paymob's documentation, whose text is written out there.
transaction = {
    "type": "TRANSACTION",
    "obj": {
        "id": 192036465, "pending": False, "amount_cents": 100000, "success": True, "is_auth": False, "is_capture": False, "is_standalone_payment": True,
        "is_voided": False, "is_refunded": False, "is_3d_secure": True, "integration_id": 4097558, "has_parent_transaction": False, "order": {"id": 217503754},
        "created_at": "2024-06-13T11:33:44.592345", "currency": "EGP", "error_occured": False, "owner": 302852,
        "source_data": {"pan": "2346", "type": "card", "sub_type": "MasterCard"},
    },
}
assert paymob_text(transaction) == ("1000002024-06-13T11:33:44.592345EGPfalsefalse1920364654097558truefalsefalsefalsetruefalse217503754302852false2346MasterCardcardtrue")
card = {"type": "TOKEN", "obj": {"id": 7, "token": "t1", "masked_pan": "xxxx-2346", "merchant_id": 246628, "card_subtype": "MasterCard", "created_at": "2026-01-01", "email": "ada@example.com", "order_id": "266378"}}
SIGNED = "hmac=" + mac("sha512", KEY, paymob_text(transaction)).hex()
provider(
    "paymob",
    sign=paymob,
    signature="query:hmac",
    covers_body=False,
    goods=[
        good("a transaction", js(transaction), type="TRANSACTION", id="TRANSACTION:192036465:false:true:false:false", account="4097558"),
        good("a wallet, without a card", odd({**transaction, "obj": {**transaction["obj"], "source_data": {"type": "wallet", "pan": None, "sub_type": "wallet"}}}), type="TRANSACTION", account="4097558"),
        good("a card was saved", js(card), type="TOKEN", id="TOKEN:7", account="246628"),
        good("another amount", js({**transaction, "obj": {**transaction["obj"], "amount_cents": 1}}), query=SIGNED, expect="signature", signed=False),
        good("not successful", js({**transaction, "obj": {**transaction["obj"], "success": False}}), query=SIGNED, expect="signature", signed=False),
        good("a transaction that is called a token", js({**transaction, "type": "TOKEN"}), query=SIGNED, expect="signature", signed=False),
    ],
)


def paypro(r):
    f = dict(urllib.parse.parse_qsl(r.body.decode(), keep_blank_values=True))
    text = f["ORDER_ID"] + f["ORDER_STATUS"] + f["ORDER_TOTAL_AMOUNT"] + f["CUSTOMER_EMAIL"] + r.key + f["TEST_MODE"] + f["IPN_TYPE_NAME"]
    r.body = form({**f, "SIGNATURE": digest("sha256", text).hex()})


charged = {"ORDER_ID": "123", "ORDER_STATUS": "Processed", "ORDER_TOTAL_AMOUNT": "12.50", "CUSTOMER_EMAIL": "ada+1@example.com", "TEST_MODE": "0", "IPN_TYPE_NAME": "OrderCharged"}
CHARGED = digest("sha256", "123Processed12.50ada+1@example.com", KEY, "0OrderCharged").hex()
provider(
    "paypro-global",
    sign=paypro,
    signature="form:SIGNATURE",
    covers_body=False,
    goods=[
        good("an order", form(charged), FORM, type="OrderCharged", id="OrderCharged:123:Processed"),
        good("a refund with what needs escapes", form({**charged, "IPN_TYPE_NAME": "OrderRefunded", "NAME": "Z\u00fcrich & +"}), FORM, type="OrderRefunded", id="OrderRefunded:123:Processed"),
        good("another total", form({**charged, "ORDER_TOTAL_AMOUNT": "1.00", "SIGNATURE": CHARGED}), FORM, expect="signature", signed=False),
        good("another event", form({**charged, "IPN_TYPE_NAME": "OrderRefunded", "SIGNATURE": CHARGED}), FORM, expect="signature", signed=False),
    ],
)

charge = {"event": "charge.success", "data": {"id": 302961, "domain": "live", "status": "success", "reference": "ref1"}}
provider(
    "paystack",
    sign=body_mac("x-paystack-signature", "sha512"),
    signature="header:x-paystack-signature",
    goods=[
        good("a charge", js(charge), type="charge.success", id="302961:charge.success:success", account="live"),
        good("white space and escapes", odd({"event": "subscription.disable", "data": {"subscription_code": "SUB_1", "status": "complete", "domain": "test"}}),
             type="subscription.disable", id="SUB_1:subscription.disable:complete", account="test"),
    ],
)
provider("paystack", function="transfers", sign=body_mac("x-paystack-signature", "sha512"), goods=[
    good("a transfer", js({"event": "transfer.success", "data": {"id": 1, "status": "success", "integration": 463433, "domain": "live"}}),
         type="transfer.success", id="1:transfer.success:success", account="463433")])

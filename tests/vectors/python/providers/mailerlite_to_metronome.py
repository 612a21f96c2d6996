"""Providers from mailerlite to monday."""

import email.utils

from harness import *


def body_mac(header, name="sha256", prefix="", encode=bytes.hex):
    """The raw body, under the secret as pasted."""
    return lambda r: {header: prefix + encode(mac(name, r.key, r.body))}


def odd(members):
    """JSON that doesn't survive being read and written again."""
    return json.dumps(members, indent=1)[:-1].rstrip() + ',\n "who": "Z\u00fcrich \\u00e9", "total": 12.50 }\n'


def basic(r):
    return {"Authorization": "Basic " + b64(f"hookplane:{r.key}")}


subscriber = {"type": "subscriber.created", "account_id": "90112", "id": "57", "email": "ada@example.com"}
provider(
    "mailerlite",
    sign=body_mac("Signature"),
    signature="header:Signature",
    goods=[
        good("a subscriber", js(subscriber), type="subscriber.created", account="90112"),
        good("a batch of two", odd({"events": [subscriber, {**subscriber, "type": "subscriber.updated"}]}), type="subscriber.created", account="90112", events=2),
    ],
)
provider(
    "mailerlite",
    function="campaigns",
    sign=body_mac("Signature"),
    goods=[good("a campaign", js({"type": "campaign.sent", "account_id": "90112", "id": "81"}), type="campaign.sent", account="90112")],
)

activity = {"type": "activity.delivered", "domain_id": "dom1", "data": {"object": "activity", "id": "act1"}}
provider(
    "mailersend",
    sign=body_mac("Signature"),
    signature="header:Signature",
    goods=[
        good("a delivery", js(activity), type="activity.delivered", id="act1:activity.delivered", account="dom1"),
        good("white space and escapes", odd(activity), type="activity.delivered", id="act1:activity.delivered", account="dom1"),
        # Signed with a secret that MailerSend publishes, when a webhook is saved.
        good("the check of the URL", js({"type": "webhook.test"}), expect="handshake", signed=False),
    ],
)
provider(
    "mailersend",
    function="inbound-routes",
    sign=body_mac("Signature"),
    goods=[good("a mail", js({"type": "inbound.message", "inbound_id": "in1", "data": {"id": "msg1"}}), type="inbound.message", id="msg1:inbound.message", account="in1")],
)


def mailgun(r, key=None):
    token = "a" * 50
    return {"timestamp": str(r.now), "token": token, "signature": mac("sha256", key or r.key, f"{r.now}{token}").hex()}


def mailgun_json(r):
    r.body = js({"signature": mailgun(r), "event-data": json.loads(r.body)})


def mailgun_form(r):
    r.body = form({**mailgun(r), **dict(urllib.parse.parse_qsl(r.body.decode()))})


def mailgun_signed(token, signature):
    return js({"signature": {"timestamp": str(NOW), "token": token, "signature": signature}, "event-data": delivered})


delivered = {"event": "delivered", "id": "ev1", "timestamp": 1767225600.25, "domain": {"name": "mg.example.com"}}
right = mac("sha256", KEY, f"{NOW}{'b' * 50}").hex()
provider(
    "mailgun",
    sign=mailgun_json,
    goods=[
        good("a delivery", js(delivered), type="delivered", id="ev1:1767225600.25", account="mg.example.com"),
        good("a failure, without a domain", js({"event": "failed", "id": "ev2", "timestamp": 1767225601.5, "recipient-domain": "example.com"}), type="failed", account="example.com"),
        good("another token", mailgun_signed("c" * 50, right), expect="signature", signed=False),
        good("another key", mailgun_signed("b" * 50, mac("sha256", OTHER, f"{NOW}{'b' * 50}").hex()), expect="signature", signed=False),
        good("signature cut off", mailgun_signed("b" * 50, right[:32]), expect="signature", signed=False),
        good("signature empty", mailgun_signed("b" * 50, ""), expect="signature", signed=False),
        good("no signature", js({"event-data": delivered}), expect="signature", signed=False),
    ],
)
provider(
    "mailgun",
    function="inbound-routes",
    sign=mailgun_form,
    signature="form:signature",
    covers_body=False,
    goods=[
        good("a mail", form({"recipient": "in@mg.example.com", "Message-Id": "<m1@example.com>", "body-plain": "a+b & c"}), "application/x-www-form-urlencoded",
             type="inbound", id="<m1@example.com>:in@mg.example.com", account="in@mg.example.com"),
    ],
)

sent = {"event": "sent", "time": 1767225600, "Message_GUID": "g1", "email": "ada@example.com"}
provider(
    "mailjet",
    sign=basic,
    signature="header:Authorization",
    token=True,
    covers_body=False,
    goods=[
        good("a batch of two", js([sent, {**sent, "event": "open"}]), type="sent", id="g1:sent:1767225600", events=2),
        good("grouping is off", odd(sent), type="sent", id="g1:sent:1767225600"),
    ],
)
provider(
    "mailjet",
    function="parse-api",
    sign=basic,
    goods=[good("a mail", js({"Recipient": "in@example.com", "Headers": {"Message-ID": "<m1>"}}), type="inbound", id="<m1>:in@example.com", account="in@example.com")],
)

opened = {"event": "open", "event_id": "e1", "sending_domain_name": "example.com", "message_id": "m1"}
provider(
    "mailtrap",
    sign=body_mac("Mailtrap-Signature"),
    signature="header:Mailtrap-Signature",
    goods=[
        good("an event", js({"events": [opened]}), type="open", id="e1", account="example.com"),
        good("two events", odd({"events": [{**opened, "event": "soft bounce", "event_id": "e2"}, opened]}), type="soft bounce", id="e2", account="example.com", events=2),
    ],
)


def mandrill(r):
    pairs = sorted(urllib.parse.parse_qsl(r.body.decode(), keep_blank_values=True))
    return {"X-Mandrill-Signature": b64(mac("sha1", r.key, r.full_url, *(part for pair in pairs for part in pair)))}


def mandrill_form(events):
    return form({"mandrill_events": json.dumps(events)})


FORM = "application/x-www-form-urlencoded"
send = {"event": "send", "ts": 1767225600, "_id": "abc", "msg": {"email": "ada@example.com", "subaccount": "acme"}}
provider(
    "mandrill",
    sign=mandrill,
    signature="header:X-Mandrill-Signature",
    covers_body=False,
    goods=[
        good("a sent mail", mandrill_form([send]), FORM, type="send", id="abc:send:1767225600", account="acme"),
        good("two events, a query and what needs escapes", mandrill_form([{**send, "event": "open", "who": "Z\u00fcrich + & ="}, send]), FORM, query="a=1&b=%2F",
             type="open", id="abc:open:1767225600", events=2),
        good("HEAD", b"", None, method="HEAD", expect="handshake", signed=False),
        good("the empty list under a key that everybody knows", mandrill_form([]), FORM, expect="handshake", signed=False),
        good("a field added", mandrill_form([send]) + b"&added=1", FORM, headers={"X-Mandrill-Signature": b64(mac("sha1", KEY, URL, "mandrill_events", json.dumps([send])))},
             expect="signature", signed=False),
        good("another event under a good one's signature", mandrill_form([{**send, "event": "reject"}]), FORM,
             headers={"X-Mandrill-Signature": b64(mac("sha1", KEY, URL, "mandrill_events", json.dumps([send])))}, expect="signature", signed=False),
        good("a query added", mandrill_form([send]), FORM, query="a=1", headers={"X-Mandrill-Signature": b64(mac("sha1", KEY, URL, "mandrill_events", json.dumps([send])))},
             expect="signature", signed=False),
    ],
)
provider(
    "mandrill",
    function="sync-events",
    sign=mandrill,
    goods=[good("an address is denied", mandrill_form([{"type": "blacklist", "action": "add", "ts": 1}]), FORM, type="blacklist", id="blacklist:add:1")],
)
provider(
    "mandrill",
    function="inbound",
    sign=mandrill,
    goods=[good("a mail", mandrill_form([{"event": "inbound", "ts": 2, "msg": {"email": "in@example.com"}}]), FORM, type="inbound", id="inbound:in@example.com:2", account="in@example.com")],
)

provider(
    "mautic",
    sign=body_mac("Webhook-Signature", encode=b64),
    signature="header:Webhook-Signature",
    goods=[
        good("a contact", js({"mautic.lead_post_save_new": [{"contact": {"id": 25}}]}), headers={"X-Origin-Base-URL": "https://m.example.com"}, type="mautic.lead_post_save_new",
             account="https://m.example.com"),
        good("two kinds in one", ' {"mautic.email_on_open": [{"a": "Z\\u00fcrich"}, {"a": 12.50}], "mautic.page_on_hit": [{}]}\n', type="mautic.email_on_open", events=3),
    ],
)


def meraki(r):
    r.body = js({**json.loads(r.body), "sharedSecret": r.key})


alert = {"networkId": "N_1", "organizationId": "2930", "alertId": "62", "alertTypeId": "settings_changed", "occurredAt": "2026-01-01T00:00:00Z"}
provider(
    "meraki",
    sign=meraki,
    signature="json:sharedSecret",
    token=True,
    covers_body=False,
    goods=[
        good("settings changed", js(alert), type="settings_changed", id="62:settings_changed:2026-01-01T00:00:00Z", account="N_1"),
        good("an alert of the organisation", js({"organizationId": "2930", "alertId": "63", "alertTypeId": "sensor_alert", "alertData": {"who": "Z\u00fcrich"}}), type="sensor_alert", account="2930"),
    ],
)


def mercado_pago(r):
    query = dict(urllib.parse.parse_qsl(r.query))
    text = f"id:{query['data.id'].lower()};" if "data.id" in query else ""
    text += f"request-id:{r.headers['x-request-id']};" if "x-request-id" in r.headers else ""
    return {"x-signature": f"ts={r.now},v1={mac('sha256', r.key, text + f'ts:{r.now};').hex()}"}


payment = {"id": 12345, "type": "payment", "action": "payment.created", "user_id": 44444, "data": {"id": "999"}}
REQUEST = {"x-request-id": "bb56a2f1-6aae-46ac-982e-9dcd3581d08e"}
provider(
    "mercado-pago",
    sign=mercado_pago,
    signature="header:x-signature",
    covers_body=False,
    covers=("x-request-id",),
    goods=[
        good("a payment", js(payment), headers=REQUEST, query="data.id=999&type=payment", type="payment.created", id="12345", account="44444"),
        good("an id in capitals", odd(payment), headers=REQUEST, query="data.id=AB12cd&type=payment", type="payment.created"),
        good("without a request id", js(payment), query="data.id=999", type="payment.created"),
    ],
)
provider(
    "mercado-pago",
    function="subscriptions",
    sign=mercado_pago,
    goods=[good("a subscription", js({"id": 2, "type": "subscription_preapproval", "action": "updated", "user_id": 4}), headers=REQUEST, query="data.id=2c93",
                type="subscription_preapproval.updated", id="2", account="4")],
)
provider(
    "mercado-pago",
    function="other-topics",
    sign=mercado_pago,
    goods=[good("a point of sale", js({"id": 3, "type": "point_integration_wh", "action": "state_FINISHED", "user_id": 4}), headers=REQUEST, query="data.id=7",
                type="point_integration_wh.state_FINISHED")],
)

linked = {"hook": {"id": "h1", "event": "LinkedAccount.linked"}, "linked_account": {"id": "la1", "end_user_origin_id": "o1"}}
provider(
    "merge-dev",
    sign=lambda r: {"X-Merge-Webhook-Signature": base64.urlsafe_b64encode(mac("sha256", r.key, r.body)).decode()},
    signature="header:X-Merge-Webhook-Signature",
    goods=[
        good("an account", js(linked), type="LinkedAccount.linked", account="la1"),
        good("white space and escapes", odd(linked), type="LinkedAccount.linked", account="la1"),
    ],
)
provider(
    "merge-dev",
    function="changed-data",
    sign=lambda r: {"X-Merge-Webhook-Signature": base64.urlsafe_b64encode(mac("sha256", r.key, r.body)).decode()},
    goods=[good("an employee", js({**linked, "hook": {"event": "Employee.changed"}}), type="Employee.changed", account="la1")],
)


def messagebird(r, algorithm="HS256", key=None, **change):
    claims = {"iss": "MessageBird", "nbf": r.now, "exp": r.now + 60, "jti": "j1", "url_hash": digest("sha256", r.full_url).hex()}
    if r.body:
        claims["payload_hash"] = digest("sha256", r.body).hex()
    claims.update(change)
    return {"MessageBird-Signature-JWT": jwt(algorithm, key or r.key, {k: v for k, v in claims.items() if v is not None})}


def messagebird_bad(name, **change):
    body = js(message)
    probe = Request("POST", URL, "", {}, body, KEY, {}, NOW)
    return good(name, body, headers=messagebird(probe, **change), expect="signature", signed=False)


message = {"type": "message.created", "message": {"id": "m1", "status": "received"}}
provider(
    "messagebird",
    sign=messagebird,
    signature="header:MessageBird-Signature-JWT",
    goods=[
        good("a message", js(message), type="message.created", id="m1:message.created:received"),
        good("white space, escapes and a query", odd(message), query="a=1&b=%2F", type="message.created"),
        messagebird_bad("no hash of the body", payload_hash=None),
        messagebird_bad("no hash of the URL", url_hash=None),
        messagebird_bad("another URL's hash", url_hash=digest("sha256", "https://hooks.example.com/other").hex()),
        messagebird_bad("another issuer", iss="Somebody"),
        messagebird_bad("no algorithm and no signature", algorithm="none", key=lambda data: b""),
        good("run out", js(message), headers=messagebird(Request("POST", URL, "", {}, js(message), KEY, {}, NOW - 600)), expect=None, signed=False),
    ],
)
provider(
    "messagebird",
    function="sms",
    sign=messagebird,
    goods=[good("a report", b"", None, method="GET", query="id=s1&status=delivered", type="delivered", id="s1:delivered")],
)


def metronome(r):
    date = email.utils.formatdate(r.now, usegmt=True)
    return {"X-Metronome-Date": date, "Metronome-Webhook-Signature": mac("sha256", r.key, f"{date}\n", r.body).hex()}


invoice = {"id": "i1", "type": "invoice.finalized", "properties": {"customer_id": "c1"}}
provider(
    "metronome",
    sign=metronome,
    signature="header:Metronome-Webhook-Signature",
    window=(300, "both"),
    covers=("X-Metronome-Date",),
    goods=[
        good("an invoice", js(invoice), type="invoice.finalized", id="i1", account="c1"),
        good("white space and escapes", odd(invoice), type="invoice.finalized", id="i1", account="c1"),
    ],
)

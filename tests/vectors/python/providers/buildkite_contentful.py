"""Buildkite to Contentful."""

import keys
from harness import *
from providers import standard_webhooks
from providers.azure_btcpay import BASIC, FORM, basic, bearer


def buildkite(r):
    return {"X-Buildkite-Signature": f"timestamp={r.now},signature={mac('sha256', r.key, f'{r.now}.', r.body).hex()}"}


def buildkite_body(event):
    return js({"event": event, "build": {"id": "b1"}, "pipeline": {"id": "p1"}, "organization": {"id": "o1"}})


provider("buildkite", function="signed", sign=buildkite, signature="header:X-Buildkite-Signature", goods=[
    good("a build, signed", buildkite_body("build.finished"), headers={"X-Buildkite-Event": "build.finished", "X-Buildkite-Request": "q1"}, type="build.finished", id="q1", account="o1"),
    good("white space and an escape", '{"event": "job.started", "job": {"name": "Z\\u00fcrich", "n": 12.50}, "pipeline": {"id": "p1"}}\n', headers={"X-Buildkite-Request": "q2"}, type="job.started", id="q2", account="p1"),
])
provider("buildkite", function="token", sign=lambda r: {"X-Buildkite-Token": r.key}, signature="header:X-Buildkite-Token", token=True, covers_body=False, goods=[
    good("a build, with a token", buildkite_body("build.running"), headers={"X-Buildkite-Request": "q3"}, type="build.running", id="q3", account="o1"),
])
provider("buildkite", function="token", sign=buildkite, goods=[good("a signature where a token is due", buildkite_body("build.running"), expect="signature")])


def bunny(r):
    return {"X-BunnyStream-Signature": mac("sha256", r.key, r.body).hex(), "X-BunnyStream-Signature-Version": "v1", "X-BunnyStream-Signature-Algorithm": "hmac-sha256"}


provider("bunny-stream", sign=bunny, signature="header:X-BunnyStream-Signature", goods=[
    good("a video that is ready", js({"VideoLibraryId": 133, "VideoGuid": "g1", "Status": 3}), type="finished", account="133"),
    good("white space, and a state of two digits", '{\n\t"VideoLibraryId": 133,\n\t"VideoGuid": "g1",\n\t"Status": 10\n}\n', type="title_or_description_generated", account="133"),
    good("a state that isn't known yet", js({"VideoLibraryId": 133, "VideoGuid": "g1", "Status": 99}), type="99"),
])


def coffee(r):
    return {"x-signature-sha256": mac("sha256", r.key, r.body).hex()}


provider("buy-me-a-coffee", sign=coffee, signature="header:x-signature-sha256", goods=[
    good("a coffee", js({"type": "donation.created", "event_id": 1001, "data": {"amount": 5}}), type="donation.created", id="1001:donation.created"),
    good("white space and an escape", '{"type": "membership.started", "event_id": 1002, "data": {"amount": 12.50, "name": "Z\\u00fcrich \\ud83d\\ude00"}}\n', type="membership.started", id="1002:membership.started"),
])


def cal_com(r):
    return {"X-Cal-Signature-256": mac("sha256", r.key, r.body).hex()}


CAL_COM = js({"triggerEvent": "BOOKING_CREATED", "createdAt": "2026-01-01T00:00:00Z", "payload": {"uid": "bk1", "organizer": {"username": "ada", "email": "ada@example.com"}}})
provider("cal-com", sign=cal_com, signature="header:X-Cal-Signature-256", goods=[
    good("a booking", CAL_COM, type="BOOKING_CREATED", id="bk1:BOOKING_CREATED:2026-01-01T00:00:00Z", account="ada"),
    good("white space and an escape", '{"triggerEvent": "MEETING_ENDED", "createdAt": "2026-01-01T00:00:00Z", "payload": {"title": "Z\\u00fcrich", "n": 12.50}}\n', type="MEETING_ENDED"),
    good("no secret is set at Cal.com", CAL_COM, headers={"X-Cal-Signature-256": "no-secret-provided"}, signed=False, expect="signature"),
])
provider("cal-com", function="forms", sign=cal_com, signature="header:X-Cal-Signature-256", goods=[
    good("a form", js({"triggerEvent": "FORM_SUBMITTED", "createdAt": "2026-01-01T00:00:00Z", "payload": {"formId": "f1"}}), type="FORM_SUBMITTED"),
])


def calendly(r):
    return {"Calendly-Webhook-Signature": f"t={r.now},v1={mac('sha256', r.key, f'{r.now}.', r.body).hex()}"}


def calendly_body(event, uri):
    return js({"event": event, "created_at": "2026-01-01T00:00:00.000000Z", "created_by": "https://api.calendly.com/users/U1", "payload": {"uri": uri}})


CALENDLY = dict(sign=calendly, signature="header:Calendly-Webhook-Signature", window=(180, "age"))
provider("calendly", **CALENDLY, goods=[
    good("an invitee", calendly_body("invitee.created", "https://api.calendly.com/i/1"), type="invitee.created", id="https://api.calendly.com/i/1:invitee.created:2026-01-01T00:00:00.000000Z", account="https://api.calendly.com/users/U1"),
    good("white space and an escape", '{"event": "invitee.canceled", "payload": {"uri": "u1", "reason": "Z\\u00fcrich", "n": 12.50}}\n', type="invitee.canceled", id="u1:invitee.canceled"),
])
provider("calendly", function="routing-forms", **CALENDLY, goods=[good("a form", calendly_body("routing_form_submission.created", "f1"), type="routing_form_submission.created")])


def cashfree(r):
    when = f"{r.now}078"
    return {"x-webhook-timestamp": when, "x-webhook-signature": b64(mac("sha256", r.key, when, r.body))}


CASHFREE = dict(sign=cashfree, signature="header:x-webhook-signature", covers=("x-webhook-timestamp",))
provider("cashfree", **CASHFREE, goods=[
    good("a payment", js({"data": {"order": {"order_id": "o1"}}, "type": "PAYMENT_SUCCESS_WEBHOOK"}), headers={"x-idempotency-key": "i1"}, type="PAYMENT_SUCCESS_WEBHOOK", id="i1"),
    good("an amount with zeros and an escape", '{"data":{"order":{"order_amount":170.00,"t":"Z\\u00fcrich"}},"type":"REFUND_STATUS_WEBHOOK"}\n', headers={"x-idempotency-key": "i2"}, type="REFUND_STATUS_WEBHOOK", id="i2"),
])
provider("cashfree", function="subscriptions", **CASHFREE, goods=[good("a subscription", js({"data": {}, "type": "SUBSCRIPTION_STATUS_CHANGED"}), type="SUBSCRIPTION_STATUS_CHANGED")])
provider("cashfree", function="payouts", **CASHFREE, goods=[good("a transfer", js({"data": {"transfer_id": "t1"}, "type": "TRANSFER_SUCCESS"}), type="TRANSFER_SUCCESS")])


provider("chargebee", **BASIC, goods=[
    good("a subscription", js({"id": "ev_1", "event_type": "subscription_created", "site": "acme-test"}), type="subscription_created", id="ev_1", account="acme-test"),
    good("white space and a price", '{"id": "ev_2", "event_type": "payment_failed", "content": {"n": 12.50, "t": "Z\\u00fcrich"}}\n', type="payment_failed", id="ev_2"),
])


def chargify(r):
    return {"X-Chargify-Webhook-Signature-Hmac-Sha-256": mac("sha256", r.key, r.body).hex()}


provider("chargify", sign=chargify, signature="header:X-Chargify-Webhook-Signature-Hmac-Sha-256", goods=[
    good("a signup", form({"id": "1001", "event": "signup_success", "payload[site][id]": "5", "payload[site][subdomain]": "acme"}), FORM, headers={"X-Chargify-Webhook-Id": "1001"}, type="signup_success", id="1001", account="5"),
    good("brackets as they are, plus signs and an escape", "event=renewal_failure&payload[site][id]=5&payload[message]=Z%C3%BCrich+1%2B1&id=1002", FORM, headers={"X-Chargify-Webhook-Id": "1002"}, type="renewal_failure", id="1002", account="5"),
])


def checkout_com(r):
    return {"Cko-Signature": mac("sha256", r.key, r.body).hex()}


provider("checkout-com", sign=checkout_com, signature="header:Cko-Signature", goods=[
    good("a payment", js({"id": "evt_1", "type": "payment_approved", "data": {"id": "pay_1", "processing_channel_id": "pc_1"}}), type="payment_approved", id="evt_1", account="pc_1"),
    good("white space and a price", '{"id": "evt_2", "type": "dispute_won", "data": {"amount": 12.50, "t": "Z\\u00fcrich"}}\n', type="dispute_won", id="evt_2"),
])
provider("checkout-com", function="issuing", sign=checkout_com, signature="header:Cko-Signature", goods=[good("a card", js({"id": "evt_3", "type": "card_activated", "data": {}}), type="card_activated", id="evt_3")])


def checkr(r):
    return {"X-Checkr-Signature": mac("sha256", r.key, r.body).hex()}


provider("checkr", sign=checkr, signature="header:X-Checkr-Signature", goods=[
    good("a report", js({"id": "e1", "object": "event", "type": "report.completed", "account_id": "acc1", "data": {"object": {"id": "rep1"}}}), type="report.completed", id="e1", account="acc1"),
    good("white space and an escape", '{"id": "e2", "type": "candidate.created", "account_id": "acc1", "data": {"object": {"name": "Z\\u00fcrich", "n": 12.50}}}\n', type="candidate.created", id="e2"),
])


CIRCLE, CIRCLE_OTHER = keys.p256("circle"), keys.p256("circle other")


def circle(r):
    return {"X-Circle-Key-Id": "879dc113-5ca4-4ff7-a6b7-54652083fcf8", "X-Circle-Signature": b64(r.key.sign(r.body, "sha256"))}


CIRCLE_KEYS = dict(secret=CIRCLE, configured=CIRCLE.spki_base64, other=CIRCLE_OTHER, other_configured=CIRCLE_OTHER.spki_base64)
CIRCLE_EVENT = js({"subscriptionId": "s1", "notificationId": "n1", "notificationType": "transactions.inbound", "notification": {"id": "t1"}, "version": 2})
provider("circle", sign=circle, signature="header:X-Circle-Signature", goods=[
    good("a transaction", CIRCLE_EVENT, type="transactions.inbound", id="n1", account="s1"),
    good("white space and a price", '{"subscriptionId": "s1", "notificationId": "n2", "notificationType": "payments", "notification": {"amount": "12.50", "n": 12.50, "t": "Z\\u00fcrich"}}\n', type="payments", id="n2"),
    good("URL check", content_type=None, method="HEAD", signed=False, expect="handshake", reply_status=200),
], **CIRCLE_KEYS)
provider("circle", sign=lambda r: {"X-Circle-Signature": b64(r.key.jose(r.body))}, goods=[good("r and s without DER", CIRCLE_EVENT, expect="signature")], **CIRCLE_KEYS)


def circleci(r):
    return {"circleci-signature": "v1=" + mac("sha256", r.key, r.body).hex()}


CIRCLECI = js({"type": "workflow-completed", "id": "e1", "project": {"id": "p1"}, "organization": {"id": "o1"}})
provider("circleci", sign=circleci, signature="header:circleci-signature", goods=[
    good("a workflow", CIRCLECI, headers={"circleci-event-type": "workflow-completed"}, type="workflow-completed", id="e1", account="p1"),
    good("white space and an escape", '{"type": "job-completed", "id": "e2", "organization": {"id": "o1"}, "job": {"name": "Z\\u00fcrich", "n": 12.50}}\n', type="job-completed", id="e2", account="o1"),
])
provider("circleci", sign=lambda r: {"circleci-signature": circleci(r)["circleci-signature"] + ",v2=0123"}, goods=[good("a version that doesn't exist yet beside it", CIRCLECI, type="workflow-completed", id="e1")])
provider("circleci", sign=lambda r: {"circleci-signature": "v2=" + mac("sha256", r.key, r.body).hex()}, goods=[good("only a version that doesn't exist yet", CIRCLECI, expect="signature")])


standard_webhooks.of("clerk", [
    good("a user", js({"type": "user.created", "object": "event", "instance_id": "ins_1", "data": {"id": "user_1"}}), headers={"svix-id": "msg_1"}, type="user.created", id="msg_1", account="ins_1"),
    good("white space", '{"type": "session.ended", "instance_id": "ins_1", "data": {"t": "\\u00fc", "n": 12.50}}\n', headers={"svix-id": "msg_2"}, type="session.ended", id="msg_2"),
], prefix="svix")


def clickup(r):
    return {"X-Signature": mac("sha256", r.key, r.body).hex()}


provider("clickup", sign=clickup, signature="header:X-Signature", goods=[
    good("a task", js({"event": "taskCreated", "history_items": [{"id": "h1"}], "task_id": "t1", "team_id": "108", "webhook_id": "w1"}), type="taskCreated", id="h1:w1", account="108"),
    good("a deletion, which has no history, with white space", '{"event": "taskDeleted", "task_id": "t1", "webhook_id": "w1", "t": "\\u00fc", "n": 12.50}\n', type="taskDeleted", account="w1"),
])


def clio(r):
    return {"X-Hook-Signature": mac("sha256", r.key, r.body).hex()}


CLIO_SECRET = "g8cb5uZ9ruaNRHXb"
provider("clio", sign=clio, signature="header:X-Hook-Signature", goods=[
    good("a matter", js({"data": {"id": 1001}, "meta": {"event": "created", "webhook_id": 123}}), type="created", account="123"),
    good("white space and an escape", '{"data": {"name": "Z\\u00fcrich", "n": 12.50}, "meta": {"event": "matter_opened", "webhook_id": 123}}\n', type="matter_opened", account="123"),
    good("the secret is handed over", "{}", headers={"X-Hook-Secret": CLIO_SECRET}, signed=False, secrets=[], expect="handshake", reply_status=200, reply_headers={"X-Hook-Secret": CLIO_SECRET}),
    good("a secret with other characters", "{}", headers={"X-Hook-Secret": "a<b>"}, signed=False, secrets=[], expect="handshake-refused"),
    good("another secret for a group that has one", "{}", headers={"X-Hook-Secret": CLIO_SECRET}, signed=False, expect="handshake-refused"),
])


def cloud_event(kind, event_id):
    return {"specversion": "1.0", "id": event_id, "type": kind, "source": "/gate/north", "data": {"n": 1}}


CLOUDEVENTS = dict(sign=bearer, signature="header:Authorization", token=True, covers_body=False)
ORIGIN = {"WebHook-Request-Origin": "sender.example.com"}
provider("cloudevents", function="structured", params={"origin": "sender.example.com"}, **CLOUDEVENTS, goods=[
    good("one event", js(cloud_event("com.example.made", "e1")), "application/cloudevents+json", type="com.example.made", id="/gate/north:e1", account="/gate/north"),
    good("two events in a batch, with white space", "[" + json.dumps(cloud_event("com.example.made", "e2")) + ",\n " + json.dumps(cloud_event("com.example.gone", "e3")) + "]\n", "application/cloudevents-batch+json", events=2, type="com.example.made", id="/gate/north:e2"),
    good("abuse protection", content_type=None, method="OPTIONS", headers=ORIGIN, signed=False, expect="handshake", reply_status=200, reply_headers={"WebHook-Allowed-Origin": "sender.example.com"}),
    good("abuse protection for another origin", content_type=None, method="OPTIONS", headers={"WebHook-Request-Origin": "evil.example.com"}, signed=False, expect="handshake-refused"),
    good("abuse protection without an origin", content_type=None, method="OPTIONS", signed=False, expect="handshake-refused"),
])
provider("cloudevents", function="structured", sign=bearer, goods=[
    good("no origin is granted unless the group names it", content_type=None, method="OPTIONS", headers=ORIGIN, signed=False, expect="handshake-refused"),
])
provider("cloudevents", function="structured-query-token", sign=lambda r: setattr(r, "query", f"access_token={r.key}"), signature="query:access_token", token=True, covers_body=False, goods=[
    good("one event, the token in the query", js(cloud_event("com.example.made", "e1")), "application/cloudevents+json", type="com.example.made", id="/gate/north:e1"),
])
provider("cloudevents", function="binary", **CLOUDEVENTS, goods=[
    good("an event in headers", js({"id": "o1"}), headers={"ce-specversion": "1.0", "ce-type": "com.example.made", "ce-source": "/gate/north", "ce-id": "e1"}, type="com.example.made", id="/gate/north:e1", account="/gate/north"),
    good("a body that is an array stays one event", "[1, 2]", headers={"ce-specversion": "1.0", "ce-type": "com.example.made", "ce-source": "/gate/north", "ce-id": "e2"}, type="com.example.made"),
])


provider("cloudflare-notifications", sign=lambda r: {"cf-webhook-auth": r.key}, signature="header:cf-webhook-auth", token=True, covers_body=False, goods=[
    good("an alert", js({"name": "n", "text": "t", "data": {"zone_id": "z1"}, "ts": 1767225600, "account_id": "acc1", "alert_type": "universal_ssl_event_type", "alert_correlation_id": "c1"}),
         type="universal_ssl_event_type", id="c1:universal_ssl_event_type:1767225600", account="acc1"),
    good("white space and an escape", '{"alert_type": "tunnel_health_event", "ts": 1767225600, "text": "Z\\u00fcrich", "n": 12.50}\n', type="tunnel_health_event"),
    good("the test of a new destination", js({"text": "Hello World! This is a test message."}), type="test"),
])


def cloudflare_stream(r):
    return {"Webhook-Signature": f"time={r.now},sig1={mac('sha256', r.key, f'{r.now}.', r.body).hex()}"}


provider("cloudflare-stream", sign=cloudflare_stream, signature="header:Webhook-Signature", goods=[
    good("a video that is ready", js({"uid": "v1", "creator": "u1", "status": {"state": "ready"}, "modified": "2026-01-01T00:00:00Z"}), type="ready", id="v1:ready:2026-01-01T00:00:00Z", account="u1"),
    good("white space and a float", '{"uid": "v2", "status": {"state": "error"}, "duration": 12.50, "t": "\\u00fc"}\n', type="error", id="v2:error"),
])


def cloudinary(name):
    # A plain hash of body, time and secret, one after the other.
    return lambda r: {"X-Cld-Timestamp": str(r.now), "X-Cld-Signature": digest(name, r.body, str(r.now), r.key).hex()}


CLOUDINARY = js({"notification_type": "upload", "notification_id": "n1", "request_id": "q1", "public_id": "gate"})
for function, name in (("notifications", "sha256"), ("notifications-sha1", "sha1")):
    provider("cloudinary", function=function, sign=cloudinary(name), signature="header:X-Cld-Signature", covers=("X-Cld-Timestamp",), window=(7200, "age"), goods=[
        good("an upload", CLOUDINARY, type="upload", id="n1"),
        good("white space and an escape", '{"notification_type": "delete", "request_id": "q2", "n": 12.50, "t": "Z\\u00fcrich"}\n', type="delete", id="q2:delete"),
    ])
provider("cloudinary", function="notifications", sign=cloudinary("sha1"), goods=[good("signed with SHA-1", CLOUDINARY, expect="signature")])


def cloudprinter(r):
    r.body = js({"apikey": r.key, **json.loads(r.body)})


provider("cloudprinter", sign=cloudprinter, signature="json:apikey", token=True, covers_body=False, goods=[
    good("an item", js({"type": "ItemShipped", "order": "o1", "item": "i1", "order_reference": "1001", "datetime": "2026-01-01T09:00:00+00:00"}), type="ItemShipped", id="i1:ItemShipped:2026-01-01T09:00:00+00:00", account="1001"),
    good("an order with an umlaut", js({"type": "CloudprinterOrderValidated", "order": "o1", "order_reference": "Zürich", "datetime": "2026-01-01T09:00:00+00:00"}), type="CloudprinterOrderValidated", id="o1:CloudprinterOrderValidated:2026-01-01T09:00:00+00:00", account="Zürich"),
])


def clover_event(kind, object_id, ts=1767225600000):
    return {"objectId": object_id, "type": kind, "ts": ts}


provider("clover", sign=lambda r: {"X-Clover-Auth": r.key}, signature="header:X-Clover-Auth", token=True, covers_body=False, goods=[
    good("an order", js({"appId": "A1", "merchants": {"M1": [clover_event("CREATE", "O:1")]}}), type="CREATE", id="M1:O:1:CREATE:1767225600000", account="M1"),
    good("three events of two merchants, with white space", json.dumps({"appId": "A1", "merchants": {"M1": [clover_event("UPDATE", "P:1"), clover_event("DELETE", "I:1")], "M2": [clover_event("CREATE", "C:1")]}}, indent=1) + "\n", events=3, type="UPDATE", id="M1:P:1:UPDATE:1767225600000", account="M1"),
    good("verification code", js({"verificationCode": "6f1a1e2c-3b4d-4e5f-8a9b-0c1d2e3f4a5b"}), signed=False, expect="handshake", reply_status=200),
])


def coinbase_commerce(r):
    return {"X-CC-Webhook-Signature": mac("sha256", r.key, r.body).hex()}


def coinbase_body(kind, event_id, attempt=1):
    return js({"id": attempt, "attempt_number": attempt, "event": {"id": event_id, "type": kind, "data": {"code": "C1"}}})


provider("coinbase-commerce", sign=coinbase_commerce, signature="header:X-CC-Webhook-Signature", goods=[
    good("a charge", coinbase_body("charge:confirmed", "e1"), type="charge:confirmed", id="e1"),
    good("the second try of the same", coinbase_body("charge:confirmed", "e1", 2), type="charge:confirmed", id="e1"),
    good("white space and a price", '{"id": 1, "event": {"id": "e2", "type": "charge:failed", "n": 12.50, "t": "Z\\u00fcrich"}}\n', type="charge:failed", id="e2"),
])


def commerce_layer(r):
    return {"X-CommerceLayer-Signature": b64(mac("sha256", r.key, r.body))}


provider("commerce-layer", sign=commerce_layer, signature="header:X-CommerceLayer-Signature", goods=[
    good("an order", js({"data": {"id": "o1", "type": "orders", "attributes": {"updated_at": "2026-01-01T00:00:00Z"}, "meta": {"organization_id": "org1"}}}), "application/vnd.api+json",
         headers={"X-CommerceLayer-Topic": "orders.place"}, type="orders.place", id="o1:orders.place:2026-01-01T00:00:00Z", account="org1"),
    good("white space and a price", '{"data": {"id": "s1", "attributes": {"n": 12.50, "t": "Z\\u00fcrich"}}}\n', headers={"X-CommerceLayer-Topic": "shipments.ship"}, type="shipments.ship", id="s1:shipments.ship"),
])


def configcat(r):
    # Id, time and body with nothing between them; the key is its text, prefix and all.
    signed = mac("sha256", r.key, r.headers["X-ConfigCat-Webhook-ID"], str(r.now), r.body)
    return {"X-ConfigCat-Webhook-Timestamp": str(r.now), "X-ConfigCat-Webhook-Signature-V1": b64(signed)}


def configcat_while_the_key_changes(r):
    added = configcat(r)
    added["X-ConfigCat-Webhook-Signature-V1"] = b64(digest("sha256", "old")) + "," + added["X-ConfigCat-Webhook-Signature-V1"]
    return added


CONFIGCAT = dict(secret="configcat_whsk_" + KEY_BASE64)
CONFIGCAT_GOOD = good("a change", js({"event": "config.changed", "config": "Main"}), headers={"X-ConfigCat-Webhook-ID": "w1"}, type="config.changed")
provider("configcat", sign=configcat, signature="header:X-ConfigCat-Webhook-Signature-V1", covers=("X-ConfigCat-Webhook-ID", "X-ConfigCat-Webhook-Timestamp"), goods=[
    CONFIGCAT_GOOD,
    good("white space and an escape", '{"who": "Z\\u00fcrich",\n "n": 12.50}\n', headers={"X-ConfigCat-Webhook-ID": "w2"}, type="config.changed"),
], **CONFIGCAT)
provider("configcat", sign=configcat_while_the_key_changes, goods=[dataclasses.replace(CONFIGCAT_GOOD, name="two signatures")], **CONFIGCAT)


CTCT, CTCT_OTHER = keys.rsa("constant contact"), keys.rsa("constant contact other")
CTCT_AT = "https://developer.constantcontact.com/.well-known/jwks.json"


def constant_contact(r, header=None):
    # RFC 7797: the body is signed as it is, and left out of the token.
    head = b64url(js({"alg": "RS256", "ts": r.now, "b64": False, "crit": ["b64"]} if header is None else header))
    signature = r.key.sign(head.encode() + b"." + r.body, "sha256")
    return {"X-CTCT-WEBHOOK-SIG": f"{head}..{b64url(signature)}"}


def constant_contact_in_base64(r):
    head = b64url(js({"alg": "RS256", "ts": r.now, "b64": False, "crit": ["b64"]}))
    return {"X-CTCT-WEBHOOK-SIG": f"{head}..{b64url(r.key.sign(f'{head}.{b64url(r.body)}'.encode(), 'sha256'))}"}


def jwks(*entries):
    return json.dumps({"keys": list(entries)})


CTCT_WITH = dict(secret=CTCT, other=keys.rsa("constant contact third"), remote=True, keys={CTCT_AT: jwks(CTCT_OTHER.jwk(), CTCT.jwk())})
CTCT_EVENT = js({"event_type": "billing.tier.increased", "account_id": "acc1"})
provider("constant-contact", sign=constant_contact, signature="header:X-CTCT-WEBHOOK-SIG", other_keys={CTCT_AT: jwks(CTCT_OTHER.jwk())}, goods=[
    good("a tier", CTCT_EVENT, type="billing.tier.increased", account="acc1"),
    good("white space and an escape", '{"event_type": "account.cancelled", "url": "https://api.example.com/a", "t": "\\u00fc", "n": 12.50}\n', type="account.cancelled", account="https://api.example.com/a"),
], **CTCT_WITH)
provider("constant-contact", sign=constant_contact_in_base64, goods=[good("signed over the body in base64", CTCT_EVENT, expect="signature")], **CTCT_WITH)
provider("constant-contact", goods=[good("a header that says none", CTCT_EVENT, expect="signature")], **CTCT_WITH,
    sign=lambda r: {"X-CTCT-WEBHOOK-SIG": b64url(js({"alg": "none", "b64": False, "crit": ["b64"]})) + ".."})


def contentful(r, more=()):
    """Method, path with query, the signed headers and the body, each on a line; the query is escaped twice."""
    path = urllib.parse.quote(r.path, safe=";,/?:@&=+$-_.!~*'()#")
    if r.query:
        path += "?" + urllib.parse.quote(r.query, safe="-_.!~*'()").replace("%", "%25")
    signed = {name.lower(): value.strip() for name, value in r.headers.items() if name.lower() in more}
    signed["x-contentful-timestamp"] = f"{r.now}000"
    names = sorted([*signed, "x-contentful-signed-headers"])
    signed["x-contentful-signed-headers"] = ",".join(names)
    headers = ";".join(f"{name}:{signed[name]}" for name in names)
    text = f"{r.method}\n{path}\n{headers}\n".encode() + r.body
    return {
        "X-Contentful-Signed-Headers": signed["x-contentful-signed-headers"],
        "X-Contentful-Timestamp": signed["x-contentful-timestamp"],
        "X-Contentful-Signature": mac("sha256", r.key, text).hex(),
    }


def contentful_usual(r):
    return contentful(r, ("content-type", "x-contentful-topic", "x-contentful-crn"))


CONTENTFUL_ENTRY = js({"sys": {"type": "Entry", "id": "e1", "space": {"sys": {"id": "space1"}}}})
CONTENTFUL_HEADERS = {"X-Contentful-Topic": "ContentManagement.Entry.publish", "X-Contentful-Idempotency-Key": "i1"}
CONTENTFUL_JSON = "application/vnd.contentful.management.v1+json"
CONTENTFUL_SECRET = dict(secret=KEY_HEX, other=OTHER_HEX)  # 64 characters, used as text
CONTENTFUL = dict(**CONTENTFUL_SECRET, sign=contentful_usual, signature="header:X-Contentful-Signature", covers=("X-Contentful-Topic", "X-Contentful-Timestamp", "X-Contentful-Signed-Headers"), window=(30, "age"))
provider("contentful", function="webhooks", **CONTENTFUL, goods=[
    good("an entry", CONTENTFUL_ENTRY, CONTENTFUL_JSON, headers=CONTENTFUL_HEADERS, type="ContentManagement.Entry.publish", id="i1", account="space1"),
    good("a query, white space and an escape", '{"sys": {"space": {"sys": {"id": "space1"}}}, "t": "Z\\u00fcrich", "n": 12.50}\n', CONTENTFUL_JSON, headers=CONTENTFUL_HEADERS, query="a=1&b=%C3%BC+x", type="ContentManagement.Entry.publish", id="i1"),
])
provider("contentful", function="webhooks", sign=contentful, goods=[good("only the headers that must be signed are", CONTENTFUL_ENTRY, CONTENTFUL_JSON, headers=CONTENTFUL_HEADERS, type="ContentManagement.Entry.publish")], **CONTENTFUL_SECRET)
provider("contentful", function="app-events", **CONTENTFUL, goods=[
    good("an asset for an app", CONTENTFUL_ENTRY, CONTENTFUL_JSON, headers={**CONTENTFUL_HEADERS, "X-Contentful-Topic": "ContentManagement.Asset.publish"}, type="ContentManagement.Asset.publish", id="i1"),
])

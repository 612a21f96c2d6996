"""Copper to Dropbox Sign."""

import keys
from harness import *
from providers import standard_webhooks


def copper(member):
    def sign(r):
        r.body = js({**json.loads(r.body), member: r.key})
    return sign


COPPER = {"ids": [4353], "type": "lead", "event": "new", "subscription_id": 2188}
provider("copper", sign=copper("secret"), signature="json:secret", token=True, covers_body=False, goods=[
    good("a lead", js(COPPER), type="lead.new", account="2188"),
    good("a person with an umlaut", js({**COPPER, "type": "person", "event": "update", "updated_attributes": {"name": ["Zürich", 12.5]}}), type="person.update", account="2188"),
])
provider("copper", sign=copper("my key"), params={"member": "my key"}, goods=[good("a member with a name of ours", js(COPPER), type="lead.new", account="2188")])


def courier(r):
    when = f"{r.now}123"
    return {"courier-signature": f"t={when},signature={mac('sha256', r.key, f'{when}.', r.body).hex()}"}


provider("courier", sign=courier, signature="header:courier-signature", goods=[
    good("a message", js({"type": "message:updated", "data": {"id": "m1", "status": "DELIVERED"}}), type="message:updated"),
    good("white space and an escape", '{"type": "audiences:updated", "data": {"id": "a1", "name": "Z\\u00fcrich", "n": 12.50}}\n', type="audiences:updated"),
])


def crisp(r):
    when = f"{r.now}123"
    return {"X-Crisp-Request-Timestamp": when, "X-Crisp-Signature": mac("sha256", r.key, f"[{when};", r.body, "]").hex()}


CRISP = dict(sign=crisp, signature="header:X-Crisp-Signature", covers=("X-Crisp-Request-Timestamp",))
CRISP_BODY = js({"website_id": "w1", "event": "message:send", "data": {"content": "Hello", "fingerprint": 163239623329114}, "timestamp": 1767225600000})
provider("crisp", **CRISP, goods=[
    good("a message", CRISP_BODY, type="message:send", id="163239623329114:message:send:1767225600000", account="w1"),
    good("white space, an escape and a bracket", '{"website_id": "w1", "event": "session:set_state", "data": {"t": "Z\\u00fcrich;]", "n": 12.50}}\n', type="session:set_state", account="w1"),
])
provider("crisp", function="website-webhooks", **CRISP, goods=[good("a message of a website", CRISP_BODY, type="message:send", account="w1")])


def cronofy(r):
    return {"Cronofy-HMAC-SHA256": b64(mac("sha256", r.key, r.body))}


CRONOFY = js({"notification": {"type": "change", "changes_since": "2026-01-01T00:00:00Z"}, "channel": {"channel_id": "chn_1"}})
provider("cronofy", sign=cronofy, signature="header:Cronofy-HMAC-SHA256", goods=[
    good("a change", CRONOFY, "application/json; charset=utf-8", type="change", account="chn_1"),
    good("white space and an escape", '{"notification": {"type": "profile_disconnected", "t": "\\u00fc", "n": 12.50}, "channel": {"channel_id": "chn_1"}}\n', type="profile_disconnected"),
    good("verification", js({"notification": {"type": "verification"}, "channel": {"channel_id": "chn_1"}}), expect="handshake", reply_status=200),
    good("an unsigned verification", js({"notification": {"type": "verification"}}), signed=False, expect="signature"),
])
provider("cronofy", sign=lambda r: {"Cronofy-HMAC-SHA256": b64(digest("sha256", "old")) + "," + b64(mac("sha256", r.key, r.body))}, goods=[good("two signatures", CRONOFY, type="change")])
provider("cronofy", function="smart-invites", sign=cronofy, signature="header:Cronofy-HMAC-SHA256", goods=[
    good("an answer to an invitation", js({"notification": {"type": "smart_invite"}, "smart_invite": {"smart_invite_id": "i1"}}), type="smart_invite"),
])


def cursor(r):
    return {"X-Webhook-Signature": "sha256=" + mac("sha256", r.key, r.body).hex()}


provider("cursor", sign=cursor, signature="header:X-Webhook-Signature", goods=[
    good("an agent that is done", js({"event": "statusChange", "id": "bc_1", "status": "FINISHED"}), headers={"X-Webhook-ID": "m1", "X-Webhook-Event": "statusChange"}, type="FINISHED", id="m1", account="bc_1"),
    good("white space and an escape", '{"id": "bc_2", "status": "ERROR", "summary": "Z\\u00fcrich", "n": 12.50}\n', headers={"X-Webhook-ID": "m2"}, type="ERROR", id="m2"),
])


def customer_io(r):
    return {"X-CIO-Timestamp": str(r.now), "X-CIO-Signature": mac("sha256", r.key, f"v0:{r.now}:", r.body).hex()}


provider("customer-io", sign=customer_io, signature="header:X-CIO-Signature", covers=("X-CIO-Timestamp",), goods=[
    good("a mail", js({"data": {"delivery_id": "d1"}, "event_id": "e1", "object_type": "email", "metric": "delivered"}), type="email.delivered", id="e1"),
    good("white space and an escape", '{"data": {"t": "Z\\u00fcrich", "n": 12.50}, "event_id": "e2", "object_type": "customer", "metric": "subscribed"}\n', type="customer.subscribed", id="e2"),
])


def daily(r):
    when = f"{r.now}123"
    return {"X-Webhook-Timestamp": when, "X-Webhook-Signature": b64(mac("sha256", unb64(r.key), f"{when}.", r.body))}


provider("daily", sign=daily, signature="header:X-Webhook-Signature", secret=KEY_BASE64, covers=("X-Webhook-Timestamp",), goods=[
    good("a meeting", js({"version": "1.0.0", "type": "meeting.started", "id": "e1", "payload": {"domain_id": "dom1", "room": "gate"}}), type="meeting.started", id="e1", account="dom1"),
    good("white space and a float", '{"type": "meeting.ended", "id": "e2", "payload": {"room": "gate", "t": "Z\\u00fcrich"}, "event_ts": 1767225600.50}\n', type="meeting.ended", id="e2", account="gate"),
    good("the test while the webhook is made", js({"test": "test"}), signed=False, expect="handshake", reply_status=200),
    good("an unsigned event that calls itself a test", js({"test": "test", "type": "meeting.started", "id": "e3"}), signed=False, expect="signature"),
])


DATADOG_BODY = js({"id": "7654321", "transition": "Triggered", "org": "11023", "title": "Gate is slow"})
provider("datadog", sign=lambda r: {"X-Webhook-Token": r.key}, signature="header:X-Webhook-Token", token=True, covers_body=False, goods=[
    good("an alert", DATADOG_BODY, type="alert", id="7654321:Triggered", account="11023"),
    good("white space and a transition with a space", '{\n  "id": "7654322",\n  "transition": "No Data",\n  "org": "11023",\n  "title": "Z\\u00fcrich 12.50"\n}', type="no-data", id="7654322:No Data"),
    good("a recovery", js({"id": "7654323", "transition": "Recovered", "org": "11023"}), type="recovery"),
])
provider("datadog", sign=lambda r: {"X-Gate": r.key}, params={"header": "X-Gate"}, goods=[good("a header with a name of ours", DATADOG_BODY, type="alert")])


def deel(r):
    # The word POST stands before the body.
    return {"x-deel-signature": mac("sha256", r.key, "POST", r.body).hex()}


def deel_body(event):
    return js({"data": {"meta": {"event_type": event, "organization_id": "org1"}, "resource": {"id": "c1"}}})


provider("deel", sign=deel, signature="header:x-deel-signature", goods=[
    good("a contract", deel_body("contract.created"), type="contract.created", account="org1"),
    good("white space and an escape", '{"data": {"meta": {"event_type": "timesheet.submitted", "organization_id": "org1"}, "t": "Z\\u00fcrich", "n": 12.50}}\n', type="timesheet.submitted"),
])
provider("deel", sign=lambda r: {"x-deel-signature": mac("sha256", r.key, r.body).hex()}, goods=[good("signed without the word", deel_body("contract.created"), expect="signature")])


provider("deepgram", sign=lambda r: {"dg-token": r.key}, signature="header:dg-token", token=True, covers_body=False, goods=[
    good("a transcript", js({"metadata": {"request_id": "q1"}, "results": {"channels": []}}), type="transcription.completed", id="q1"),
    good("a transcript by PUT, with white space and an escape", '{"metadata": {"request_id": "q2", "duration": 12.50}, "results": {"t": "Z\\u00fcrich"}}\n', method="PUT", type="transcription.completed", id="q2"),
    good("a failure", js({"err_code": "BAD", "err_msg": "no audio", "request_id": "q3"}), type="transcription.failed", id="q3"),
])


DISCORD, DISCORD_OTHER = keys.ed25519("discord"), keys.ed25519("discord other")


def discord(r):
    return {"X-Signature-Timestamp": str(r.now), "X-Signature-Ed25519": r.key.sign(str(r.now).encode() + r.body).hex()}


DISCORD_WITH = dict(
    sign=discord, signature="header:X-Signature-Ed25519", covers=("X-Signature-Timestamp",), secret=DISCORD, configured=DISCORD.public_raw.hex(),
    other=DISCORD_OTHER, other_configured=DISCORD_OTHER.public_raw.hex(),
)
BAD_PROBE = {"X-Signature-Timestamp": str(NOW), "X-Signature-Ed25519": "ab" * 64}
provider("discord", **DISCORD_WITH, goods=[
    good("a command", js({"application_id": "845", "guild_id": "772", "id": "947", "type": 2, "data": {"name": "gate"}}), type="application_command", id="947", account="845"),
    good("a button, with white space and an escape", '{"type": 3, "id": "948", "application_id": "845", "data": {"custom_id": "Z\\u00fcrich", "n": 12.50}}\n', type="message_component", id="948"),
    good("ping", js({"type": 1, "id": "949", "application_id": "845"}), expect="handshake", reply_status=200, reply_json={"type": 1}),
    good("the probe with a bad signature", js({"type": 1}), headers=BAD_PROBE, signed=False, expect="signature"),
])
provider("discord", function="webhook-events", **DISCORD_WITH, goods=[
    good("an installation", js({"version": 1, "application_id": "123", "type": 1, "event": {"type": "APPLICATION_AUTHORIZED", "data": {"guild": {"id": "g1"}}}}), type="APPLICATION_AUTHORIZED", account="123"),
    good("a ping of webhook events", js({"version": 1, "application_id": "123", "type": 0}), expect="handshake", reply_status=204),
    good("the probe of webhook events with a bad signature", js({"type": 0}), headers=BAD_PROBE, signed=False, expect="signature"),
])


unsigned("docker-hub", [
    good("a tag", js({"callback_url": "https://registry.hub.docker.com/u/acme/gate/hook/x/", "push_data": {"pushed_at": 1767225600, "tag": "latest"}, "repository": {"repo_name": "acme/gate"}}),
         type="push", id="acme/gate:latest:1767225600", account="acme/gate"),
    good("white space and a float", '{"push_data": {"pushed_at": 1.767225600e+09, "tag": "v1"},\n "repository": {"repo_name": "acme/gate"}}\n', type="push", account="acme/gate"),
])


def docusign(r):
    return {"X-DocuSign-Signature-1": b64(mac("sha256", r.key, r.body)), "X-Authorization-Digest": "HMACSHA256"}


def docusign_with(count):
    # A signature for every active key, ours being the last.
    return lambda r: {f"X-DocuSign-Signature-{n}": b64(mac("sha256", r.key if n == count else f"key {n}", r.body)) for n in range(1, count + 1)}


def docusign_body(event, **data):
    return js({"event": event, "generatedDateTime": "2026-01-01T00:00:00.000Z", "data": {"accountId": "acc1", "envelopeId": "env1", **data}})


DOCUSIGN = dict(sign=docusign, signature="header:X-DocuSign-Signature-1")
provider("docusign", **DOCUSIGN, goods=[
    good("an envelope", docusign_body("envelope-completed"), "application/json; charset=utf-8", type="envelope-completed", id="env1:envelope-completed:2026-01-01T00:00:00.000Z", account="acc1"),
    good("a recipient", docusign_body("recipient-completed", recipientId="1"), type="recipient-completed", id="env1:recipient-completed:1:2026-01-01T00:00:00.000Z"),
    good("white space and an escape", '{"event": "envelope-voided",\n "data": {"envelopeId": "env1", "accountId": "acc1", "t": "Z\\u00fcrich", "n": 12.50}}\n', type="envelope-voided", id="env1:envelope-voided"),
])
for count in (2, 5):
    provider("docusign", sign=docusign_with(count), goods=[good(f"ours is the last of {count} keys", docusign_body("envelope-sent"), type="envelope-sent")])
DOCUSIGN_XML = (
    '<?xml version="1.0" encoding="utf-8"?>\n<DocuSignEnvelopeInformation xmlns="http://www.docusign.net/API/3.0"><EnvelopeStatus>'
    "<TimeGenerated>2026-01-01T00:00:00</TimeGenerated><EnvelopeID>env1</EnvelopeID><Subject>Zürich &amp; 12.50</Subject><Status>Completed</Status></EnvelopeStatus></DocuSignEnvelopeInformation>\n"
)
provider("docusign", function="connect-xml", **DOCUSIGN, goods=[
    good("an envelope in XML", DOCUSIGN_XML, "text/xml; charset=utf-8", type="Completed", id="env1:Completed:2026-01-01T00:00:00"),
])


DODO = [
    good("a payment", js({"business_id": "bus_1", "type": "payment.succeeded", "data": {"payment_id": "pay_1"}}), headers={"webhook-id": "msg_1"}, type="payment.succeeded", id="msg_1", account="bus_1"),
    good("white space", '{"business_id": "bus_1", "type": "dispute.lost", "data": {"t": "\\u00fc", "n": 12.50}}\n', headers={"webhook-id": "msg_2"}, type="dispute.lost", id="msg_2"),
]
standard_webhooks.of("dodo-payments", DODO)
standard_webhooks.of("dodo-payments", [good("a subscription", js({"business_id": "bus_1", "type": "subscription.active", "data": {}}), headers={"webhook-id": "msg_3"}, type="subscription.active", id="msg_3")], function="subscriptions")


def doppler(r):
    return {"X-Doppler-Signature": "sha256=" + mac("sha256", r.key, r.body).hex()}


provider("doppler", sign=doppler, signature="header:X-Doppler-Signature", goods=[
    good("secrets", js({"type": "config.secrets.update", "config": {"name": "prd"}, "project": {"id": "gate"}, "workspace": {"id": "ws1"}}), type="config.secrets.update", account="ws1"),
    good("white space and an escape", '{"type": "webhook.test", "project": {"id": "gate"}, "t": "Z\\u00fcrich", "n": 12.50}\n', type="webhook.test", account="gate"),
])


def dropbox(r):
    return {"X-Dropbox-Signature": mac("sha256", r.key, r.body).hex()}


CHALLENGE = "Z5RbvyrcXOaFtJFVZ4Mre8kNaFbm5-2_"
provider("dropbox", sign=dropbox, signature="header:X-Dropbox-Signature", goods=[
    good("an account", js({"list_folder": {"accounts": ["dbid:1"]}, "delta": {"users": [12345678]}}), type="accounts.changed", account="dbid:1"),
    good("white space", '{"list_folder": {"accounts": ["dbid:2", "dbid:3"]}, "t": "\\u00fc", "n": 12.50}\n', type="accounts.changed", account="dbid:2"),
    good("URL check", content_type=None, method="GET", query=f"challenge={CHALLENGE}", signed=False, expect="handshake", reply=CHALLENGE, reply_headers={"X-Content-Type-Options": "nosniff"}),
    good("a URL check with markup", content_type=None, method="GET", query="challenge=%3Cscript%3Ealert(1)%3C/script%3E", signed=False, expect="handshake-refused"),
])
provider("dropbox", function="team", sign=dropbox, signature="header:X-Dropbox-Signature", goods=[
    good("a team", js({"list_folder": {"teams": {"dbtid:1": ["dbmid:1"]}}}), type="accounts.changed"),
])


BOUNDARY = "------------------------d74496d66958873e"


def multipart(value, name="json"):
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + f"\r\n--{BOUNDARY}--\r\n".encode()


def sign_event(kind, key=KEY, when="1767225600", event_hash=None, space="", **more):
    own = mac("sha256", key, when, kind).hex() if event_hash is None else event_hash
    event = {"event_time": when, "event_type": kind, "event_hash": own, "event_metadata": {"reported_for_account_id": "acc1"}}
    return space.encode() + js({"event": event, "signature_request": {"signature_request_id": "req1"}, **more})


def sign_hash(kind, when="1767225600"):
    return mac("sha256", KEY, when, kind).hex()


def dropbox_sign(r):
    """Time and type of the event are signed, and the signature stands inside the JSON."""
    start, end = r.body.index(b"\r\n\r\n") + 4, r.body.rindex(b"\r\n--")
    tree = json.loads(r.body[start:end])
    event = tree["event"]
    event["event_hash"] = mac("sha256", r.key, event["event_time"], event["event_type"]).hex()
    r.body = r.body[:start] + js(tree) + r.body[end:]


FORM_DATA = f"multipart/form-data; boundary={BOUNDARY}"
SENT = "signature_request_sent"
provider("dropbox-sign", sign=dropbox_sign, signature="key", goods=[
    good("a request that was sent", multipart(sign_event(SENT)), FORM_DATA, type=SENT, id=f"{sign_hash(SENT)}:req1", account="acc1"),
    good("an umlaut, and a boundary in quotes", multipart(sign_event("signature_request_viewed", title="Zürich 12.50")), f'multipart/form-data; boundary="{BOUNDARY}"', type="signature_request_viewed"),
    good("another type under the signature", multipart(sign_event("signature_request_all_signed", event_hash=sign_hash(SENT))), FORM_DATA, signed=False, expect="signature"),
    good("another time under the signature", multipart(sign_event(SENT, when="1767225601", event_hash=sign_hash(SENT))), FORM_DATA, signed=False, expect="signature"),
    good("signature empty", multipart(sign_event(SENT, event_hash="")), FORM_DATA, signed=False, expect="signature"),
    good("signature cut off", multipart(sign_event(SENT, event_hash=sign_hash(SENT)[:32])), FORM_DATA, signed=False, expect="signature"),
    good("no event at all", multipart(b"{}"), FORM_DATA, signed=False, expect="signature"),
    good("no part called json", multipart(sign_event(SENT), "other"), FORM_DATA, signed=False, expect="signature"),
    good("not JSON", multipart(b"{"), FORM_DATA, signed=False, expect="undecodable"),
    good("a second part called json", multipart(sign_event(SENT, key=OTHER)).removesuffix(b"--\r\n") + b"\r\n" + multipart(sign_event(SENT)).split(b"\r\n", 1)[1], FORM_DATA, signed=False, expect="undecodable"),
])
provider("dropbox-sign", function="app-callback", sign=dropbox_sign, goods=[good("for an app", multipart(sign_event("template_created")), FORM_DATA, type="template_created")])

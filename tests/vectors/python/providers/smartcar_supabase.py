"""Smartcar to Supabase."""

import json

from habits import *

# --- Smartcar: the check of the URL has a text signed. ----------------------------------------------------------------

CAR = {"user": {"id": "u1"}, "vehicle": {"id": "v1"}}
CHALLENGE = "3a5c8f72-e6d9-4b1a-9f2e-8c7d6a5b4e3f"


def verify(challenge):
    return js({"eventId": "e9", "eventType": "VERIFY", "data": {"challenge": challenge}})


provider(
    "smartcar",
    sign=body_hex("SC-Signature"),
    signature="header:SC-Signature",
    goods=[
        good("a state", js({"eventId": "e1", "eventType": "VEHICLE_STATE", "data": CAR, "meta": {"deliveryId": "d1"}}), type="VEHICLE_STATE", id="e1", account="u1"),
        good("URL check", verify(CHALLENGE), expect="handshake", reply_json={"challenge": mac("sha256", KEY, CHALLENGE).hex()}),
        good("URL check that wants an event signed", verify('{"eventType":"VEHICLE_STATE"}'), signed=False, expect="handshake-refused"),
        good("a challenge with its MAC as a callback", CHALLENGE, expect="signature"),
    ],
)
# Smartcar's library writes the body anew before it hashes: it can't judge this one.
provider(
    "smartcar",
    sign=body_hex("SC-Signature"),
    goods=[good("an error, oddly written", odd({"eventId": "e2", "eventType": "VEHICLE_ERROR", "data": CAR}), type="VEHICLE_ERROR", id="e2")],
)

# --- Smartsheet: an unsigned check, echoed in header and body. ------------------------------------------------------------------------

ROW = {"objectType": "row", "eventType": "updated", "id": 1}
provider(
    "smartsheet",
    sign=body_hex("Smartsheet-Hmac-SHA256"),
    signature="header:Smartsheet-Hmac-SHA256",
    goods=[
        good("a row", js({"nonce": "n1", "webhookId": 7, "scopeObjectId": 9, "events": [ROW]}), type="row.updated", id="n1", account="9"),
        good("a row and a cell", odd({"nonce": "n2", "events": [ROW, {"objectType": "cell", "eventType": "updated"}]}), type="row.updated", id="n2", events=2),
        good("a status", js({"nonce": "n3", "scopeObjectId": 9, "newWebhookStatus": "ENABLED"}), type="webhook.status", id="n3"),
        good(
            "URL check", js({"challenge": "c0ffee-1", "webhookId": 7}), headers={"Smartsheet-Hook-Challenge": "c0ffee-1"}, signed=False, expect="handshake",
            reply_json={"smartsheetHookResponse": "c0ffee-1"}, reply_headers={"Smartsheet-Hook-Response": "c0ffee-1"},
        ),
        good("URL check with markup", js({}), headers={"Smartsheet-Hook-Challenge": "<script>"}, signed=False, expect="handshake-refused"),
    ],
)

# --- Smile, Snyk, Solidgate, SonarQube ---------------------------------------------------------------------------------------------------

provider(
    "smile-api",
    sign=body_hex("Smile-Signature", hash="sha512"),
    signature="header:Smile-Signature",
    goods=[
        good("an account", js({"id": "evt-1", "type": "ACCOUNT_CONNECTED"}), type="ACCOUNT_CONNECTED", id="evt-1"),
        good("incomes", odd({"id": "evt-2", "type": "INCOMES_ADDED"}), type="INCOMES_ADDED", id="evt-2"),
    ],
)
SNAPSHOT = {"X-Snyk-Event": "project_snapshot/v0", "X-Snyk-Transport-ID": "t1"}
provider(
    "snyk",
    sign=body_hex("X-Hub-Signature", "sha256="),
    signature="header:X-Hub-Signature",
    goods=[
        good("a snapshot", js({"org": {"id": "o1"}, "newIssues": []}), headers=SNAPSHOT, type="project_snapshot/v0", id="t1", account="o1"),
        good("a ping", odd({"webhookId": "w1"}), headers={**SNAPSHOT, "X-Snyk-Event": "ping/v0"}, type="ping/v0", id="t1"),
    ],
)


def solidgate(r):
    public = r.params["publicKey"]
    return {"merchant": public, "signature": b64(mac("sha512", r.key, public, r.body, public).hex())}


for function, kind in (("", "card_gate.order.updated"), ("subscriptions", "subscription.updated.v2")):
    given = {"solidgate-event-type": kind, "solidgate-event-id": "e1"}
    provider(
        "solidgate",
        function=function,
        sign=solidgate,
        signature="header:signature",
        params={"publicKey": "wh_pk_sample"},
        goods=[
            good(kind, js({"order": {"order_id": "o1"}}), headers=given, type=kind, id="e1", account="wh_pk_sample"),
            good(f"{kind}, oddly written", odd({"order": {}}), headers=given, type=kind, id="e1"),
        ],
    )

provider(
    "sonarqube",
    sign=body_hex("X-Sonar-Webhook-HMAC-SHA256"),
    signature="header:X-Sonar-Webhook-HMAC-SHA256",
    goods=[
        good("a failed gate", js({"taskId": "t1", "status": "SUCCESS", "project": {"key": "acme_web"}, "qualityGate": {"status": "ERROR"}}), type="SUCCESS.ERROR", id="t1|SUCCESS|ERROR", account="acme_web"),
        good("a failed analysis", odd({"taskId": "t2", "status": "FAILED", "serverUrl": "https://sonar.example.com"}), type="FAILED", id="t2|FAILED", account="https://sonar.example.com"),
    ],
)

# --- SparkPost ---------------------------------------------------------------------------------------------------------------------------

basic(
    "sparkpost",
    "hookplane",
    [
        good("a delivery", js([{"msys": {"message_event": {"type": "delivery", "event_id": "e1", "subaccount_id": "101"}}}]), type="delivery", id="e1", account="101"),
        good(
            "a delivery and an opening",
            '[ {"msys": {"message_event": {"type":"delivery","event_id":"e1"}}},\n{"msys":{"track_event":{"type":"open","event_id":"e2","ip":"Z\\u00fcrich"}}} ]\n',
            type="delivery", id="e1", events=2,
        ),
    ],
    unsigned_is=None,
)
shared_token(
    "sparkpost",
    lambda r: {"X-MessageSystems-Webhook-Token": r.key},
    "header:X-MessageSystems-Webhook-Token",
    [good("a mail", js([{"msys": {"relay_message": {"content": {"subject": "Hello"}}}}]), headers={"X-MessageSystems-Batch-ID": "b1"}, type="relay_message", id="b1")],
    function="inbound-relay",
)

# --- Square: the URL and the body. Squarespace: a key in hex. -----------------------------------------------------------------------------

PAYMENT = {"merchant_id": "M1", "location_id": "L1", "type": "payment.created", "event_id": "e1"}
provider(
    "square",
    sign=lambda r: {"x-square-hmacsha256-signature": b64(mac("sha256", r.key, r.full_url, r.body))},
    signature="header:x-square-hmacsha256-signature",
    goods=[
        good("a payment", js(PAYMENT), type="payment.created", id="e1", account="M1"),
        good("a payment, and a query in the URL", odd({**PAYMENT, "event_id": "e2"}), query="a=1&b=%40", type="payment.created", id="e2"),
    ],
)
for function, topic in (("", "order.create"), ("extensions", "extension.uninstall")):
    provider(
        "squarespace",
        function=function,
        sign=lambda r: {"Squarespace-Signature": mac("sha256", bytes.fromhex(r.key), r.body).hex()},
        signature="header:Squarespace-Signature",
        secret=KEY_HEX, other=OTHER_HEX,
        goods=[
            good(topic, js({"id": "n1", "websiteId": "w1", "topic": topic}), type=topic, id="n1", account="w1"),
            good(f"{topic}, oddly written", odd({"id": "n2", "topic": topic}), type=topic, id="n2"),
        ],
    )

# --- Statsig: like Slack, with a check of the URL that nobody signs. -----------------------------------------------------------------------


def statsig(r):
    t = r.now * 1000
    return {"X-Statsig-Request-Timestamp": str(t), "X-Statsig-Signature": "v0=" + mac("sha256", r.key, f"v0:{t}:", r.body).hex()}


CODE = good("URL check", js({"data": {"event": "url_verification", "verification_code": "abc123"}}), signed=False, expect="handshake", reply_json={"verification_code": "abc123"})
for function, kind, wrap in (("", "statsig::config_change", lambda l: {"data": l}), ("exposures", "statsig::gate_exposure", lambda l: l)):
    provider(
        "statsig",
        function=function,
        sign=statsig,
        signature="header:X-Statsig-Signature",
        covers=("X-Statsig-Request-Timestamp",),
        goods=[
            good("one", js(wrap([{"eventName": kind, "timestamp": 1}])), type=kind),
            good("two, with white space", json.dumps(wrap([{"eventName": kind}, {"eventName": kind, "n": 12.5}]), indent=1) + "\n", type=kind, events=2),
            CODE,
        ],
    )

# --- Statuspage, Storyblok, Strava -----------------------------------------------------------------------------------------------------------

unsigned("statuspage", [good("an incident is over", js({"page": {"id": "p1"}, "incident": {"id": "i1", "status": "resolved", "incident_updates": [{"id": "u1"}]}}), type="incident.resolved", id="u1", account="p1")])
unsigned("statuspage", [good("a component is down", js({"page": {"id": "p1"}, "component_update": {"id": "c1", "new_status": "major_outage"}, "component": {"id": "x"}}), type="component.major_outage", id="c1")], function="components")

for function, action in (("", "published"), ("datasources", "entries_updated"), ("assets", "created"), ("users", "added")):
    provider(
        "storyblok",
        function=function,
        sign=body_hex("webhook-signature", hash="sha1"),
        signature="header:webhook-signature",
        goods=[
            good(action, js({"text": "done", "action": action, "space_id": 12345}), type=action, account="12345"),
            good(f"{action}, oddly written", odd({"action": action, "space_id": 12345}), type=action),
        ],
    )


def subscribe(token):
    return f"hub.mode=subscribe&hub.challenge=15f7d1a91c1f40f8a748fd134752feb3&hub.verify_token={token}"


RIDE = {"object_type": "activity", "aspect_type": "create", "object_id": 1360128428, "owner_id": 134815, "subscription_id": 120475, "event_time": NOW}
unsigned(
    "strava",
    [
        good("an activity", js(RIDE), type="activity.create", id=f"1360128428|create|{NOW}", account="134815"),
        good("URL check", b"", None, method="GET", query=subscribe("mine"), expect="handshake", reply_json={"hub.challenge": "15f7d1a91c1f40f8a748fd134752feb3"}),
        good("URL check with another token", b"", None, method="GET", query=subscribe("other"), expect="handshake-refused"),
    ],
    params={"verifyToken": "mine"},
)

# --- Stytch, Sumsub, Supabase ---------------------------------------------------------------------------------------------------------------

for function, kind in (("", "user"), ("b2b", "member")):
    standard_webhooks(
        "stytch",
        [
            good(f"a {kind}", js({"project_id": "p1", "source": "DIRECT", "object_type": kind, "action": "CREATE"}), type=f"direct.{kind}.create", id="msg_1", account="p1"),
            good(f"a {kind}, oddly written", odd({"source": "DASHBOARD", "object_type": kind, "action": "UPDATE"}), headers={"svix-id": "msg_2"}, type=f"dashboard.{kind}.update", id="msg_2"),
        ],
        prefix="svix",
        function=function,
    )


def sumsub(name):
    return lambda r: {"X-Payload-Digest-Alg": f"HMAC_{name.upper()}_HEX", "X-Payload-Digest": mac(name, r.key, r.body).hex()}


REVIEW = {"applicantId": "a1", "correlationId": "c1", "clientId": "acme"}
for function, name, kind in (
    ("", "sha256", "applicantReviewed"), ("kyt", "sha256", "applicantKytTxnApproved"), ("actions", "sha256", "applicantActionReviewed"), ("all-sha512", "sha512", "applicantReviewed"),
):
    provider(
        "sumsub",
        function=function,
        sign=sumsub(name),
        signature="header:X-Payload-Digest",
        goods=[
            good(kind, js({**REVIEW, "type": kind}), type=kind, id=f"{kind}|a1|c1", account="acme"),
            good(f"{kind}, oddly written", odd({**REVIEW, "type": kind}), type=kind),
        ],
    )
    # The sender names a weaker hash, and is right by it.
    provider("sumsub", function=function, sign=sumsub("sha1"), goods=[good("SHA-1, as the header says", js({**REVIEW, "type": kind}), expect="signature")])


def supabase_hook(r):
    key = unb64(r.key.removeprefix("v1,whsec_"))
    signed = mac("sha256", key, r.headers["webhook-id"], f".{r.now}.", r.body)
    return {"webhook-timestamp": str(r.now), "webhook-signature": "v1," + b64(signed)}


for function, kind in (
    ("", "send_sms"), ("send-email", "send_email"), ("mfa-verification-attempt", "mfa_verification_attempt"),
    ("password-verification-attempt", "password_verification_attempt"), ("before-user-created", "before_user_created"),
):
    provider(
        "supabase-auth-hooks",
        function=function,
        sign=supabase_hook,
        signature="header:webhook-signature",
        covers=("webhook-id", "webhook-timestamp"),
        window=(300, "both"),
        secret="v1,whsec_" + KEY_BASE64, other="v1,whsec_" + OTHER,
        goods=[
            good(kind, js({"user_id": "u1", "claims": {"sub": "u1"}}), headers={"webhook-id": "msg_1"}, type=kind, id="msg_1"),
            good(f"{kind}, oddly written", odd({"user_id": "u1", "claims": {"sub": "u1"}}), headers={"webhook-id": "msg_2"}, type=kind, id="msg_2"),
        ],
    )

ROW_MADE = {"type": "INSERT", "table": "orders", "schema": "public", "record": {"id": 42}}
shared_token(
    "supabase-database-webhooks",
    lambda r: {"Authorization": r.key},
    "header:Authorization",
    [good("a row", js(ROW_MADE), type="orders.INSERT", account="public"), good("a row gone", odd({**ROW_MADE, "type": "DELETE"}), type="orders.DELETE")],
)
provider(
    "supabase-database-webhooks",
    sign=lambda r: {"X-Database-Token": r.key},
    params={"header": "X-Database-Token"},
    goods=[
        good("a token in another header", js(ROW_MADE), type="orders.INSERT"),
        good("a token that isn't there", js(ROW_MADE), signed=False, expect="signature"),
    ],
)

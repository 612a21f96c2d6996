"""Gemini to Jotform."""

import gzip
import json

import keys
from harness import *
from providers.standard_webhooks import of as standard_webhooks
from signing import body_base64, body_hex, odd

FORM = "application/x-www-form-urlencoded"


def jwks(*found) -> str:
    return js({"keys": [key.jwk(f"k{i}") for i, key in enumerate(found, 1)]}).decode()


def bearer(claims, prefix="Bearer ", header="Authorization", kid="k1"):
    """A token under an RSA key that the listener fetches. It covers nothing of the body."""

    def sign(r):
        times = {"iat": r.now, "exp": r.now + 3600}
        return {header: prefix + jwt("RS256", lambda data: r.key.sign(data, "sha256"), {**claims, **times}, {"kid": kid})}

    return sign


def token(claims, key, algorithm="RS256", **times):
    return jwt(algorithm, lambda data: key.sign(data, "sha256"), {"iat": NOW, "exp": NOW + 3600, **claims, **times}, {"kid": "k1"})


google, google_other = keys.rsa("google"), keys.rsa("google other")

# --- Gemini API --------------------------------------------------------------------------------------------------------------------

standard_webhooks(
    "gemini-api",
    [
        good("a batch ended", js({"type": "batch.succeeded", "version": "v1", "data": {"id": "b1"}}), headers={"webhook-id": "msg_1"}, type="batch.succeeded", id="msg_1"),
        good("bytes of another taste", odd({"type": "video.generated", "data": {}}), headers={"webhook-id": "msg_2"}, type="video.generated", id="msg_2"),
    ],
    function="static-webhooks",
)
GEMINI = "https://generativelanguage.googleapis.com/.well-known/jwks.json"
provider(
    "gemini-api",
    function="dynamic-webhooks",
    sign=bearer({"aud": "project-1003"}, "", "webhook-signature"),
    secret=google,
    other=google_other,
    remote=True,
    keys={GEMINI: jwks(google)},
    other_keys={GEMINI: jwks(google_other)},
    params={"audience": "project-1003"},
    covers_body=False,
    signature="header:webhook-signature",
    goods=[
        good("a batch ended", js({"type": "batch.succeeded", "data": {"id": "b1"}}), headers={"webhook-id": "msg_1"}, type="batch.succeeded", id="msg_1"),
        good("bytes of another taste", odd({"type": "video.generated"}), headers={"webhook-id": "msg_2"}, type="video.generated", id="msg_2"),
        good("a token for another project", js({"type": "batch.succeeded"}), headers={"webhook-signature": token({"aud": "project-7"}, google)}, signed=False, expect="signature"),
    ],
)

# --- Stream ------------------------------------------------------------------------------------------------------------------------


def getstream(r):
    """Over the JSON, packed or not."""
    plain = gzip.decompress(r.body) if r.headers.get("Content-Encoding") == "gzip" else r.body
    return {"X-Signature": mac("sha256", r.key, plain).hex()}


def message(number):
    return {"type": "message.new", "cid": "messaging:gate", "message": {"id": number}}


provider(
    "getstream",
    sign=getstream,
    signature="header:X-Signature",
    goods=[
        good("a message", js(message("m1")), headers={"X-Webhook-Id": "w1", "X-Api-Key": "k1"}, type="message.new", id="w1", account="k1"),
        good("bytes of another taste", odd(message("m2")), headers={"X-Webhook-Id": "w2"}, type="message.new", id="w2", account="messaging:gate"),
        good("packed with gzip", gzip.compress(js(message("m3")), mtime=0), headers={"X-Webhook-Id": "w3", "X-Api-Key": "k1", "Content-Encoding": "gzip"}, type="message.new", id="w3", account="k1"),
    ],
)

# --- Ghost -------------------------------------------------------------------------------------------------------------------------


def ghost(r):
    time = str(r.now * 1000)
    return {"X-Ghost-Signature": "sha256=" + mac("sha256", r.key, r.body, time).hex() + ", t=" + time}


provider(
    "ghost",
    sign=ghost,
    signature="header:X-Ghost-Signature",
    goods=[
        good("a post was published", js({"post": {"current": {"id": "1"}, "previous": {"status": "draft"}}}), query="event=post.published", type="post.published"),
        good("the URL doesn't name the event", odd({"member": {"current": {"id": "1"}}}), type="member"),
    ],
)
provider(
    "ghost",
    sign=lambda r: {"X-Ghost-Signature": "sha256=" + mac("sha256", r.key, r.body).hex() + f", t={r.now * 1000}"},
    goods=[good("an older Ghost, which signs the body alone", js({"page": {"current": {"id": "1"}}}), query="event=page.added", type="page.added")],
)

# --- Gitea, Forgejo, Gogs ----------------------------------------------------------------------------------------------------------

PUSH = {"ref": "refs/heads/main", "repository": {"full_name": "acme/gate"}}
for name, tampered in (("Gitea", "header:X-Gitea-Signature"), ("Forgejo", None), ("Gogs", None)):
    provider(
        "gitea",
        sign=body_hex(f"X-{name}-Signature"),
        signature=tampered,
        goods=[
            good(f"a push at {name}", js(PUSH), headers={f"X-{name}-Event": "push", f"X-{name}-Delivery": "d1"}, type="push", id="d1", account="acme/gate"),
            good(f"bytes of another taste at {name}", odd({**PUSH, "action": "opened"}), headers={f"X-{name}-Event": "issues", f"X-{name}-Delivery": "d2"}, type="issues", id="d2", account="acme/gate"),
        ],
    )

# --- GoCardless --------------------------------------------------------------------------------------------------------------------


def cardless(number, kind, action, **links):
    return {"id": number, "resource_type": kind, "action": action, "links": links}


provider(
    "gocardless",
    sign=body_hex("Webhook-Signature"),
    signature="header:Webhook-Signature",
    goods=[
        good("two events", js({"events": [cardless("EV1", "payments", "created", payment="PM1", organisation="OR1"), cardless("EV2", "mandates", "active", mandate="MD1")], "meta": {"webhook_id": "WB1"}}), events=2, type="payments.created", id="EV1", account="OR1"),
        good("written with spaces", odd({"events": [cardless("EV3", "payouts", "paid")]}), type="payouts.paid", id="EV3"),
    ],
)

# --- Google Chat -------------------------------------------------------------------------------------------------------------------

CHAT = "https://www.googleapis.com/service_accounts/v1/jwk/chat@system.gserviceaccount.com"
CERTS = "https://www.googleapis.com/oauth2/v3/certs"
SIGN_IN = "https://accounts.google.com"
BOT = "chat@system.gserviceaccount.com"
CHAT_GOODS = [
    good("a message", js({"type": "MESSAGE", "message": {"name": "spaces/a/messages/b"}, "space": {"name": "spaces/a"}}), type="MESSAGE", id="spaces/a/messages/b:MESSAGE", account="spaces/a"),
    good("bytes of another taste", odd({"type": "ADDED_TO_SPACE", "space": {"name": "spaces/a"}}), type="ADDED_TO_SPACE", account="spaces/a"),
]


def stranger(name, value):
    return good(name, js({"type": "MESSAGE"}), headers={"Authorization": "Bearer " + value}, signed=False, expect="signature")


provider(
    "google-chat",
    function="project-number",
    sign=bearer({"iss": BOT, "aud": "1234567890"}),
    secret=google,
    other=google_other,
    remote=True,
    keys={CHAT: jwks(google)},
    other_keys={CHAT: jwks(google_other)},
    params={"projectNumber": "1234567890"},
    covers_body=False,
    signature="header:Authorization",
    goods=CHAT_GOODS
    + [
        stranger("a token for another project", token({"iss": BOT, "aud": "1"}, google)),
        stranger("a token of another issuer", token({"iss": SIGN_IN, "aud": "1234567890"}, google)),
    ],
)
provider(
    "google-chat",
    function="endpoint-url",
    sign=bearer({"iss": SIGN_IN, "aud": URL, "email": BOT, "email_verified": True}),
    secret=google,
    other=google_other,
    remote=True,
    keys={CERTS: jwks(google)},
    other_keys={CERTS: jwks(google_other)},
    covers_body=False,
    signature="header:Authorization",
    goods=CHAT_GOODS
    + [
        good("an app made as a Workspace add-on", js({"commonEventObject": {}, "chat": {"user": {}, "messagePayload": {"space": {"name": "spaces/a"}}}}), type="messagePayload", account="spaces/a"),
        stranger("somebody else's service account", token({"iss": SIGN_IN, "aud": URL, "email": "x@acme.iam.gserviceaccount.com", "email_verified": True}, google)),
        stranger("a token for another URL", token({"iss": SIGN_IN, "aud": URL + "x", "email": BOT, "email_verified": True}, google)),
    ],
)

# --- Google Play, Pub/Sub ----------------------------------------------------------------------------------------------------------

AUDIENCE, ACCOUNT = "https://hooks.example.com/gate", "push@acme.iam.gserviceaccount.com"
pubsub = dict(
    sign=bearer({"iss": SIGN_IN, "aud": AUDIENCE, "email": ACCOUNT, "email_verified": True}),
    secret=google,
    other=google_other,
    remote=True,
    keys={CERTS: jwks(google)},
    other_keys={CERTS: jwks(google_other)},
    params={"audience": AUDIENCE, "serviceAccount": ACCOUNT},
    covers_body=False,
    signature="header:Authorization",
)


def pushed(data, number, **attributes):
    """What Pub/Sub posts: the publisher's bytes in base64."""
    note = {"data": b64(data), "messageId": number, "publishTime": "2026-01-01T00:00:00Z"}
    return {"message": {**note, "attributes": attributes} if attributes else note, "subscription": "projects/acme/subscriptions/gate"}


def play(**what):
    return js({"version": "1.0", "packageName": "com.example.gate", "eventTimeMillis": "1767225600000", **what})


provider(
    "google-play-rtdn",
    **pubsub,
    goods=[
        good("a subscription was bought", js(pushed(play(subscriptionNotification={"notificationType": 4, "purchaseToken": "t"}), "m1")), type="SUBSCRIPTION_PURCHASED", id="m1", account="com.example.gate"),
        good("a product was cancelled", odd(pushed(play(oneTimeProductNotification={"notificationType": 2, "sku": "x"}), "m2")), type="ONE_TIME_PRODUCT_CANCELED", id="m2", account="com.example.gate"),
        good("a purchase was voided", js(pushed(play(voidedPurchaseNotification={"purchaseToken": "t"}), "m3")), type="voidedPurchaseNotification", id="m3", account="com.example.gate"),
        good("a number nobody knows yet", js(pushed(play(subscriptionNotification={"notificationType": 99}), "m4")), type="99", id="m4", account="com.example.gate"),
        good("a test", js(pushed(play(testNotification={"version": "1.0"}), "m5")), type="testNotification", id="m5", account="com.example.gate"),
        stranger("another service account", token({"iss": SIGN_IN, "aud": AUDIENCE, "email": "x@example.com", "email_verified": True}, google)),
    ],
)
provider(
    "google-pubsub-push",
    **pubsub,
    goods=[
        good("an object was stored", js(pushed('{"name":"a.txt"}', "m1", eventType="OBJECT_FINALIZE")), type="OBJECT_FINALIZE", id="m1", account="projects/acme/subscriptions/gate"),
        good("a message without a name", odd(pushed("\u00fc", "m2")), type="message", id="m2", account="projects/acme/subscriptions/gate"),
        stranger("another audience", token({"iss": SIGN_IN, "aud": AUDIENCE + "/other", "email": ACCOUNT, "email_verified": True}, google)),
        stranger("another issuer", token({"iss": "https://accounts.example.com", "aud": AUDIENCE, "email": ACCOUNT, "email_verified": True}, google)),
        stranger("an address that nobody verified", token({"iss": SIGN_IN, "aud": AUDIENCE, "email": ACCOUNT, "email_verified": False}, google)),
    ],
)
provider(
    "google-pubsub-push",
    function="gmail-watch",
    **pubsub,
    goods=[
        good("a mailbox changed", js(pushed('{"emailAddress":"ada@example.com","historyId":"1003"}', "m1")), type="gmail.history", id="m1", account="ada@example.com"),
        good("bytes of another taste", odd(pushed('{"emailAddress":"b@example.com","historyId":7}', "m2")), type="gmail.history", id="m2", account="b@example.com"),
    ],
)

# --- Google push channels ----------------------------------------------------------------------------------------------------------


def channel(state, number):
    return {"X-Goog-Channel-ID": "c1", "X-Goog-Message-Number": number, "X-Goog-Resource-ID": "r1", "X-Goog-Resource-State": state}


provider(
    "google-push-channels",
    sign=lambda r: {"X-Goog-Channel-Token": r.key},
    token=True,
    covers_body=False,
    signature="header:X-Goog-Channel-Token",
    goods=[
        good("a calendar changed", content_type=None, headers=channel("exists", "2"), type="exists", id="c1:2", account="c1"),
        good("a file changed, with what as JSON", '{"kind":"drive#change"}\n', "application/json; utf-8", headers=channel("update", "3"), type="update", id="c1:3", account="c1"),
        good("the channel began", content_type=None, headers=channel("sync", "1"), expect="handshake"),
        good("a channel without the token began", content_type=None, headers=channel("sync", "1"), signed=False, expect="signature"),
    ],
)

# --- Grafana -----------------------------------------------------------------------------------------------------------------------


def alert(status, print_):
    return {"status": status, "labels": {"alertname": "GateDown"}, "startsAt": "2026-01-01T00:00:00Z", "fingerprint": print_}


def grafana_goods():
    return [
        good("two alerts", js({"status": "firing", "orgId": 1, "alerts": [alert("firing", "f1"), alert("resolved", "f2")]}), events=2, type="firing", id="f1:firing:2026-01-01T00:00:00Z", account="1"),
        good("bytes of another taste", odd({"status": "resolved", "orgId": 1, "alerts": [alert("resolved", "f3")]}), type="resolved", id="f3:resolved:2026-01-01T00:00:00Z", account="1"),
    ]


def grafana_timed(r):
    return {"X-Grafana-Alerting-Timestamp": str(r.now), "X-Grafana-Alerting-Signature": mac("sha256", r.key, r.now, ":", r.body).hex()}


GRAFANA = "header:X-Grafana-Alerting-Signature"
provider("grafana", function="signed", sign=body_hex("X-Grafana-Alerting-Signature"), signature=GRAFANA, goods=grafana_goods())
provider("grafana", function="signed-with-time", sign=grafana_timed, signature=GRAFANA, covers=("X-Grafana-Alerting-Timestamp",), goods=grafana_goods())
provider(
    "grafana",
    function="basic-auth",
    sign=lambda r: {"Authorization": "Basic " + b64("g:" + r.key)},
    token=True,
    covers_body=False,
    signature="header:Authorization",
    goods=grafana_goods(),
)

# --- Granola -----------------------------------------------------------------------------------------------------------------------

standard_webhooks(
    "granola",
    [
        good("a note", js({"event_type": "note.generated", "data": {"note_id": "n1"}}), headers={"webhook-id": "msg_1"}, type="note.generated", id="msg_1"),
        good("bytes of another taste", odd({"event_type": "note.generated"}), headers={"webhook-id": "msg_2"}, type="note.generated", id="msg_2"),
    ],
)

# --- Green Dot ---------------------------------------------------------------------------------------------------------------------

gd, gd_other = keys.rsa("green dot"), keys.rsa("green dot other")
ISSUER = "https://login.example.com/"
provider(
    "green-dot",
    sign=bearer({"iss": ISSUER, "scope": "post:webhook"}),
    secret=gd,
    configured=jwks(gd),
    other=gd_other,
    other_configured=jwks(gd_other),
    params={"issuer": ISSUER},
    covers_body=False,
    signature="header:Authorization",
    goods=[
        good("a transaction", js({"eventId": "e1", "eventType": "transaction"}), headers={"x-GD-RequestId": "r1"}, type="transaction", id="r1"),
        good("bytes of another taste", odd({"eventType": "cardUpdate"}), headers={"x-GD-RequestId": "r2"}, type="cardUpdate", id="r2"),
        stranger("a token for something else", token({"iss": ISSUER, "scope": "read:accounts"}, gd)),
        stranger("a token of another issuer", token({"iss": "https://evil.example/", "scope": "post:webhook"}, gd)),
    ],
)

# --- Greenhouse, Guesty ------------------------------------------------------------------------------------------------------------

for function, field, kind in (("recruiting", "action", "new_candidate_application"), ("onboarding", "event_type", "employee_created")):
    provider(
        "greenhouse",
        function=function,
        sign=body_hex("Signature", "sha256 "),
        signature="header:Signature",
        goods=[
            good("somebody came", js({field: kind, "payload": {"id": 1003}}), headers={"Greenhouse-Event-ID": "e1"}, type=kind, id="e1"),
            good("bytes of another taste", odd({field: kind}), headers={"Greenhouse-Event-ID": "e2"}, type=kind, id="e2"),
        ],
    )
standard_webhooks(
    "guesty",
    [
        good("a reservation", js({"event": "reservation.new", "accountId": "a1", "reservation": {"_id": "r1"}}), headers={"svix-id": "msg_1"}, type="reservation.new", id="msg_1", account="a1"),
        good("bytes of another taste", odd({"event": "listing.updated", "accountId": "a1"}), headers={"svix-id": "msg_2"}, type="listing.updated", id="msg_2", account="a1"),
    ],
    prefix="svix",
)

# --- Gumroad -----------------------------------------------------------------------------------------------------------------------

SALE = "seller_id=s1&product_id=p1&sale_id=x1&email=ada%40example.com&price=1250&refunded=false&disputed=false"
unsigned("gumroad", [good("a sale", SALE, FORM, type="sale", id="x1:false:false", account="s1"), good("a sale that names itself", SALE + "&resource_name=sale&full_name=Z%C3%BCrich+%26+more", FORM, type="sale", id="x1:sale:false:false", account="s1")])
unsigned(
    "gumroad",
    [
        good("a refund", SALE.replace("refunded=false", "refunded=true") + "&resource_name=refund", FORM, type="refund", id="x1:refund:true:false", account="s1"),
        good("a subscription ended", "subscription_id=sub1&seller_id=s1&resource_name=subscription_ended", FORM, type="subscription_ended", id="sub1:subscription_ended", account="s1"),
    ],
    function="resource-subscriptions",
)

# --- Hasura ------------------------------------------------------------------------------------------------------------------------

ROW = {"trigger": {"name": "order_events"}, "table": {"schema": "public", "name": "orders"}, "event": {"op": "INSERT", "data": {"new": {"id": 1}}}}
provider(
    "hasura",
    function="table-events",
    sign=lambda r: {"X-Webhook-Token": r.key},
    token=True,
    covers_body=False,
    signature="header:X-Webhook-Token",
    goods=[
        good("a row", js({"id": "e1", **ROW}), type="order_events.INSERT", id="e1", account="orders"),
        good("bytes of another taste", odd({"id": "e2", **ROW}), type="order_events.INSERT", id="e2", account="orders"),
    ],
)
provider(
    "hasura",
    function="scheduled-events",
    sign=lambda r: {"X-Cron": r.key},
    params={"header": "X-Cron"},
    goods=[
        good("a cron trigger, under a header of the operator's choice", js({"id": "e3", "name": "nightly", "payload": {}}), type="nightly", id="e3"),
        good("a one-off event", odd({"id": "e4", "payload": {}}), type="scheduled", id="e4"),
    ],
)

# --- HCP Terraform -----------------------------------------------------------------------------------------------------------------


def run(trigger, number="run-1"):
    return {"run_id": number, "workspace_id": "ws-1", "organization_name": "acme", "notifications": [{"trigger": trigger, "run_updated_at": "2026-01-01T00:00:00Z"}]}


provider(
    "hcp-terraform",
    function="run-notifications",
    sign=body_hex("X-TFE-Notification-Signature", hash="sha512"),
    signature="header:X-TFE-Notification-Signature",
    goods=[
        good("a run", js(run("run:created")), type="run:created", id="run-1:run:created:2026-01-01T00:00:00Z", account="ws-1"),
        good("bytes of another taste", odd(run("run:errored")), type="run:errored", id="run-1:run:errored:2026-01-01T00:00:00Z", account="ws-1"),
    ],
)
provider(
    "hcp-terraform",
    function="run-tasks",
    sign=body_hex("X-TFC-Task-Signature", hash="sha512"),
    signature="header:X-TFC-Task-Signature",
    goods=[
        good("a plan waits", js({"stage": "post_plan", "task_result_id": "t1", "workspace_id": "ws-1"}), type="run_task.post_plan", id="t1", account="ws-1"),
        good("bytes of another taste", odd({"stage": "pre_apply", "task_result_id": "t2", "organization_name": "acme"}), type="run_task.pre_apply", id="t2", account="acme"),
    ],
)

# --- Helius, Help Scout, Heroku ----------------------------------------------------------------------------------------------------

provider(
    "helius",
    sign=lambda r: {"Authorization": r.key},
    token=True,
    covers_body=False,
    signature="header:Authorization",
    goods=[
        good("two transactions", js([{"type": "TRANSFER", "signature": "s1", "feePayer": "p1"}, {"type": "SWAP", "signature": "s2", "feePayer": "p2"}]), events=2, type="TRANSFER", id="s1", account="p1"),
        good("a raw one", '[ {"transaction":{"signatures":["s3"]},"meta":{"fee":5000}} ]\n', type="RAW", id="s3"),
    ],
)
provider(
    "help-scout",
    sign=body_base64("X-HelpScout-Signature", "sha1"),
    signature="header:X-HelpScout-Signature",
    goods=[
        good("a conversation", js({"id": 1003, "mailboxId": 2}), headers={"X-HelpScout-Event": "convo.created"}, type="convo.created", account="2"),
        good("bytes of another taste", odd({"id": 7}), headers={"X-HelpScout-Event": "customer.created"}, type="customer.created"),
    ],
)


def heroku(include, action, number):
    return {"id": "w", "action": action, "data": {"app": {"id": "a1"}}, "webhook_metadata": {"delivery": {"id": number}, "event": {"id": "e", "include": include}}}


provider(
    "heroku",
    sign=body_base64("Heroku-Webhook-Hmac-SHA256"),
    signature="header:Heroku-Webhook-Hmac-SHA256",
    goods=[
        good("a release", js(heroku("api:release", "create", "d1")), type="api:release.create", id="d1", account="a1"),
        good("bytes of another taste", odd(heroku("dyno", "update", "d2")), type="dyno.update", id="d2", account="a1"),
    ],
)

# --- Hookdeck ----------------------------------------------------------------------------------------------------------------------

hookdeck_headers = {"x-hookdeck-eventid": "evt_1", "x-hookdeck-source-name": "shop"}
provider(
    "hookdeck",
    sign=body_base64("x-hookdeck-signature"),
    signature="header:x-hookdeck-signature",
    goods=[
        good("somebody's event", js({"type": "order.paid"}), headers=hookdeck_headers, type="forwarded", id="evt_1", account="shop"),
        good("no JSON at all", "a=1&b=Z%C3%BCrich\n", "text/plain", headers=hookdeck_headers, type="forwarded", id="evt_1", account="shop"),
    ],
)
provider(
    "hookdeck",
    sign=lambda r: {"x-hookdeck-signature": b64(mac("sha256", OTHER + "new", r.body)), "x-hookdeck-signature-2": b64(mac("sha256", r.key, r.body))},
    goods=[good("while the secret is changed", js({"type": "order.paid"}), headers=hookdeck_headers, type="forwarded", id="evt_1", account="shop")],
)

# --- Hugging Face, Hygraph ---------------------------------------------------------------------------------------------------------


def hub(scope, action):
    return {"event": {"action": action, "scope": scope}, "repo": {"id": "r1"}, "webhook": {"id": "w1"}}


provider(
    "hugging-face",
    sign=lambda r: {"X-Webhook-Secret": r.key},
    token=True,
    covers_body=False,
    signature="header:X-Webhook-Secret",
    goods=[
        good("files changed", js(hub("repo.content", "update")), type="repo.content.update", account="r1"),
        good("bytes of another taste", odd(hub("discussion.comment", "create")), type="discussion.comment.create", account="r1"),
    ],
)


def hygraph(r):
    """A JSON object with the body as a string in it."""
    time = r.now * 1000
    text = '{"Body":' + json.dumps(r.body.decode(), ensure_ascii=False) + f',"EnvironmentName":"master","TimeStamp":{time}}}'
    return {"gcms-signature": f"sign={b64(mac('sha256', r.key, text))}, env=master, t={time}"}


provider(
    "hygraph",
    sign=hygraph,
    signature="header:gcms-signature",
    goods=[
        good("an entry was published", js({"operation": "publish", "data": {"__typename": "Post", "id": "c1"}}), type="Post.publish"),
        good("quotes, escapes and a newline", odd({"operation": "delete", "data": {"__typename": "Post", "id": "c2", "title": 'a "b" \\ c\t\u2028'}}), type="Post.delete"),
    ],
)

# --- ImageKit, incident.io, Increase -----------------------------------------------------------------------------------------------


def imagekit(r):
    time = r.now * 1000
    return {"x-ik-signature": f"t={time},v1=" + mac("sha256", r.key, time, ".", r.body).hex()}


provider(
    "imagekit",
    function="media-webhooks",
    sign=imagekit,
    # The secret is not decoded, though it looks so.
    secret="whsec_" + KEY_BASE64,
    other="whsec_" + OTHER,
    signature="header:x-ik-signature",
    goods=[
        good("a video is ready", js({"type": "video.transformation.ready", "id": "e1", "data": {}}), type="video.transformation.ready", id="e1"),
        good("bytes of another taste", odd({"type": "upload.pre-transform.error", "id": "e2"}), type="upload.pre-transform.error", id="e2"),
    ],
)
standard_webhooks(
    "imagekit",
    [
        good("a video is ready", js({"type": "video.transformation.ready", "id": "e1"}), headers={"webhook-id": "msg_1"}, type="video.transformation.ready", id="msg_1"),
        good("bytes of another taste", odd({"type": "upload.post-transform.success", "id": "e2"}), headers={"webhook-id": "msg_2"}, type="upload.post-transform.success", id="msg_2"),
    ],
    function="standard-webhooks",
    # Its own library encodes the secret's text before it hands it over, so that the text is the key.
    raw_key=True,
)
standard_webhooks(
    "incident-io",
    [
        good("an incident", js({"event_type": "public_incident.incident_created_v2", "public_incident.incident_created_v2": {"id": "i1"}}), headers={"webhook-id": "msg_1"}, type="public_incident.incident_created_v2", id="msg_1"),
        good("bytes of another taste", odd({"event_type": "private_incident.incident_created_v2"}), headers={"webhook-id": "msg_2"}, type="private_incident.incident_created_v2", id="msg_2"),
    ],
)
standard_webhooks(
    "increase",
    [
        good("an account", js({"id": "event_1", "category": "account.created", "associated_object_id": "account_1"}), headers={"webhook-id": "msg_1"}, type="account.created", id="msg_1", account="account_1"),
        good("bytes of another taste", odd({"id": "event_2", "category": "transaction.created"}), headers={"webhook-id": "msg_2"}, type="transaction.created", id="msg_2"),
    ],
    # Its own library hands the secret over as bytes, which are not decoded.
    raw_key=True,
)

# --- Infisical, Intercom -----------------------------------------------------------------------------------------------------------

provider(
    "infisical",
    sign=lambda r: {"X-Infisical-Signature": f"t={r.now * 1000};" + mac("sha256", r.key, r.body).hex()},
    signature="header:X-Infisical-Signature",
    goods=[
        good("secrets changed", js({"event": "secrets.modified", "project": {"workspaceId": "w1", "environment": "prod"}, "timestamp": 5}), type="secrets.modified", account="w1"),
        good("bytes of another taste", odd({"event": "test", "project": {"workspaceId": "w1"}}), type="test", account="w1"),
    ],
)
provider(
    "intercom",
    sign=body_hex("X-Hub-Signature", "sha1=", "sha1"),
    signature="header:X-Hub-Signature",
    goods=[
        good("a conversation", js({"type": "notification_event", "app_id": "a1", "id": "notif_1", "topic": "conversation.user.created"}), type="conversation.user.created", id="notif_1", account="a1"),
        good("bytes of another taste", odd({"app_id": "a1", "id": "notif_2", "topic": "ping"}), type="ping", id="notif_2", account="a1"),
        good("URL check", method="HEAD", content_type=None, signed=False, expect="handshake"),
    ],
)

# --- Jira --------------------------------------------------------------------------------------------------------------------------


def issue(kind):
    return {"timestamp": 5, "webhookEvent": kind, "issue": {"id": "1", "key": "GATE-1", "fields": {"project": {"key": "GATE"}}}}


JIRA = {"X-Atlassian-Webhook-Identifier": "w1"}
provider(
    "jira",
    function="admin-webhooks",
    sign=body_hex("X-Hub-Signature", "sha256="),
    signature="header:X-Hub-Signature",
    goods=[
        good("an issue", js(issue("jira:issue_created")), headers=JIRA, type="jira:issue_created", id="w1", account="GATE"),
        good("bytes of another taste", odd({"webhookEvent": "project_created", "project": {"key": "NEW"}}), headers=JIRA, type="project_created", id="w1", account="NEW"),
    ],
)
provider(
    "jira",
    function="oauth-dynamic-webhooks",
    sign=lambda r: {"Authorization": "Bearer " + jwt("HS256", r.key, {"iss": "app", "iat": r.now, "exp": r.now + 900})},
    covers_body=False,
    signature="header:Authorization",
    goods=[
        good("an issue", js(issue("jira:issue_created")), headers=JIRA, type="jira:issue_created", id="w1", account="GATE"),
        good("bytes of another taste", odd(issue("jira:issue_deleted")), headers=JIRA, type="jira:issue_deleted", id="w1", account="GATE"),
        good("a token that ran out", js(issue("jira:issue_created")), headers={"Authorization": "Bearer " + jwt("HS256", KEY, {"iat": NOW - 7200, "exp": NOW - 3600})}, signed=False, expect="timestamp"),
    ],
)

# --- Connect apps ------------------------------------------------------------------------------------------------------------------

BASE = "https://hooks.example.com"
atlassian = keys.rsa("atlassian")
INSTALL = {"https://connect-install-keys.atlassian.com/kid-1": atlassian.public_pem}


def query_hash(r):
    """Method, path below the base URL, and the query in order, each part encoded; several values of one name with commas."""
    values: dict[str, list] = {}
    for key, value in urllib.parse.parse_qsl(r.query, keep_blank_values=True):
        values.setdefault(pct(key), []).append(pct(value))
    query = "&".join(f"{key}={','.join(sorted(found))}" for key, found in sorted(values.items()) if key != "jwt")
    return digest("sha256", "&".join([r.method, r.path.rstrip("/") or "/", query])).hex()


def site(r):
    return {"Authorization": "JWT " + jwt("HS256", r.key, {"iss": "site-1", "iat": r.now, "exp": r.now + 180, "qsh": query_hash(r)})}


def by_atlassian(audience=BASE):
    def sign(r):
        claims = {"iss": "site-1", "aud": [audience], "iat": r.now, "exp": r.now + 180, "qsh": query_hash(r)}
        return {"Authorization": "JWT " + jwt("RS256", lambda data: atlassian.sign(data, "sha256"), claims, {"kid": "kid-1"})}

    return sign


provider(
    "jira-connect",
    sign=site,
    params={"baseUrl": BASE},
    keys=INSTALL,
    covers_body=False,
    signature="header:Authorization",
    goods=[
        good("an issue", js(issue("jira:issue_created")), query="user_id=ada&user_key=ada", type="jira:issue_created", account="site-1"),
        good("a query out of order, with odd values", odd({"webhookEvent": "page_created", "clientKey": "site-1"}), query="z=1&b=x%20y&a=%C3%BC&b=c*d", type="page_created", account="site-1"),
        good("enabled", js({"eventType": "enabled", "clientKey": "site-1"}), type="enabled", account="site-1"),
        good("signed for another query", js(issue("jira:issue_created")), query="user_id=eve", headers={
            "Authorization": "JWT " + jwt("HS256", KEY, {"iss": "site-1", "iat": NOW, "exp": NOW + 180, "qsh": digest("sha256", "POST&/c/Zm9yLXRlc3RzLW9ubHk&user_id=ada").hex()}),
        }, signed=False, expect="signature"),
    ],
)
provider(
    "jira-connect",
    sign=by_atlassian(),
    secret=atlassian,
    configured=KEY,
    params={"baseUrl": BASE},
    keys=INSTALL,
    goods=[
        good("installed, signed by Atlassian", js({"eventType": "installed", "clientKey": "site-1", "sharedSecret": "synthetic-shared-secret"}), secrets=[], expect="handshake"),
        good("installed again, with another secret", js({"eventType": "installed", "clientKey": "site-1", "sharedSecret": "synthetic-other-secret"}), expect="handshake-refused"),
        good("uninstalled, signed by Atlassian", js({"eventType": "uninstalled", "clientKey": "site-1"}), type="uninstalled", account="site-1"),
    ],
)
provider(
    "jira-connect",
    sign=by_atlassian("https://another-app.example"),
    secret=atlassian,
    configured=KEY,
    params={"baseUrl": BASE},
    keys=INSTALL,
    goods=[good("an install meant for another app", js({"eventType": "installed", "clientKey": "site-1", "sharedSecret": "x"}), secrets=[], expect="signature")],
)
provider(
    "jira-connect",
    sign=site,
    params={"baseUrl": BASE},
    keys=INSTALL,
    goods=[
        good("an install under the site's secret", js({"eventType": "installed", "clientKey": "site-1", "sharedSecret": "x"}), expect="signature"),
        good("an install that nobody signed", js({"eventType": "installed", "clientKey": "site-1", "sharedSecret": "synthetic-shared-secret"}), signed=False, secrets=[], expect="signature"),
    ],
)

# --- Jotform -----------------------------------------------------------------------------------------------------------------------


def multipart(fields):
    parts = [f'--gate\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    return "".join(parts) + "--gate--\r\n"


unsigned(
    "jotform",
    [
        good("a submission", multipart({"formID": "1003", "submissionID": "s1", "username": "acme", "rawRequest": '{"q3_name":{"first":"Ada"}}'}), "multipart/form-data; boundary=gate", type="form.submitted", id="s1", account="1003"),
        good("line ends and other scripts in the answers", multipart({"submissionID": "s2", "username": "acme", "rawRequest": '{"q3":"Z\u00fcrich\\r\\n--gate","total":12.50}'}), 'multipart/form-data; boundary="gate"', type="form.submitted", id="s2", account="acme"),
    ],
)

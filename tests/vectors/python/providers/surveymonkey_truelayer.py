"""SurveyMonkey to TrueLayer."""

import json
import urllib.parse

import keys as private
from habits import *

HEAD = good("URL check", b"", None, method="HEAD", signed=False, expect="handshake", reply_status=200)

# --- SurveyMonkey: the key is made of two. ---------------------------------------------------------------------------------------------

SURVEY = "application/vnd.surveymonkey.webhook+json"
for function, kind in (("", "response_completed"), ("surveys", "survey_created"), ("collectors", "collector_created")):
    provider(
        "survey-monkey",
        function=function,
        sign=lambda r: {"Sm-Signature": b64(mac("sha1", f"{r.params['clientId']}&{r.key}", r.body))},
        signature="header:Sm-Signature",
        params={"clientId": "client0"},
        goods=[
            good(kind, js({"event_type": kind, "event_id": "e1", "resources": {"survey_id": "s1", "user_id": "u1"}}), SURVEY, type=kind, id="e1", account="s1"),
            good(f"{kind}, oddly written", odd({"event_type": kind, "event_id": "e2", "resources": {"user_id": "u1"}}), SURVEY, type=kind, id="e2", account="u1"),
            HEAD,
        ],
    )

# --- Svix, Synctera, Taiga, Tailscale, Tally -------------------------------------------------------------------------------------------

for function, prefix in (("", "svix"), ("unbranded", "webhook")):
    standard_webhooks(
        "svix",
        [
            good("a user", js({"type": "user.created"}), type="user.created", id="msg_1"),
            good("an invoice", odd({"type": "invoice.paid"}), headers={f"{prefix}-id": "msg_2"}, type="invoice.paid", id="msg_2"),
        ],
        prefix=prefix,
        function=function,
    )


def synctera(r):
    ours = mac("sha256", r.key, f"{r.now}.", r.body).hex()
    return {"Request-Timestamp": str(r.now), "Synctera-Signature": ours}


def synctera_rotating(r):
    """While the secret changes: the old one's signature, a dot, the new one's."""
    signed = synctera(r)
    return {**signed, "Synctera-Signature": mac("sha256", "an older key", f"{r.now}.", r.body).hex() + "." + signed["Synctera-Signature"]}


ACCOUNT = {"id": "e1", "type": "ACCOUNT.UPDATED", "tenant": "acme"}
for sign, names in ((synctera, ("an account", "a transaction")), (synctera_rotating, ("an account, under two keys", "a transaction, under two keys"))):
    provider(
        "synctera",
        sign=sign,
        signature="header:Synctera-Signature" if sign is synctera else None,
        covers=("Request-Timestamp",),
        goods=[
            good(names[0], js(ACCOUNT), type="ACCOUNT.UPDATED", id="e1", account="acme"),
            good(names[1], odd({"id": "e2", "type": "TRANSACTIONS.POSTED.CREATED"}), type="TRANSACTIONS.POSTED.CREATED", id="e2"),
        ],
    )

provider(
    "taiga",
    sign=body_hex("X-Taiga-Webhook-Signature", hash="sha1"),
    signature="header:X-Taiga-Webhook-Signature",
    goods=[
        good("a story", js({"type": "userstory", "action": "change", "data": {"project": {"id": 3}}}), type="userstory.change", account="3"),
        good("an issue", odd({"type": "issue", "action": "create"}), type="issue.create"),
    ],
)
provider(
    "tailscale",
    sign=pairs("Tailscale-Webhook-Signature"),
    signature="header:Tailscale-Webhook-Signature",
    secret="tskey-webhook-" + KEY,
    window=(300, "age"),
    goods=[
        good("a device", js([{"type": "nodeCreated", "tailnet": "acme.example.com", "timestamp": AT}]), type="nodeCreated", account="acme.example.com"),
        good("two events", '[ {"type":"userCreated","tailnet":"acme.example.com"},\n{"type":"test","message":"Z\\u00fcrich"} ]\n', type="userCreated", events=2),
    ],
)
provider(
    "tally",
    sign=body_base64("Tally-Signature"),
    signature="header:Tally-Signature",
    goods=[
        good("a form", js({"eventId": "e1", "eventType": "FORM_RESPONSE", "data": {"formId": "f1"}}), type="FORM_RESPONSE", id="e1", account="f1"),
        good("a form, oddly written", odd({"eventId": "e2", "eventType": "FORM_RESPONSE"}), type="FORM_RESPONSE", id="e2"),
    ],
)

# --- Tebex: an HMAC of the body's hash; the check of the URL is signed and its id sent back. ------------------------------------------


def tebex(r):
    return {"X-Signature": mac("sha256", r.key, digest("sha256", r.body).hex()).hex()}


CHECK = js({"id": "4ee9e9b8-1a", "type": "validation.webhook"})
for function, kind in (("", "payment.completed"), ("recurring", "recurring-payment.started")):
    provider(
        "tebex",
        function=function,
        sign=tebex,
        signature="header:X-Signature",
        goods=[
            good(kind, js({"id": "e1", "type": kind, "subject": {"customer": {"id": 42}}}), type=kind, id="e1", account="42"),
            good(f"{kind}, oddly written", odd({"id": "e2", "type": kind}), type=kind, id="e2"),
            good("URL check", CHECK, expect="handshake", reply_json={"id": "4ee9e9b8-1a"}),
            good("URL check nobody signed", CHECK, signed=False, expect="signature"),
        ],
    )

# --- Telegram, Teller, Telnyx, Terra --------------------------------------------------------------------------------------------------------

shared_token(
    "telegram",
    lambda r: {"X-Telegram-Bot-Api-Secret-Token": r.key},
    "header:X-Telegram-Bot-Api-Secret-Token",
    [
        good("a message", js({"update_id": 10000, "message": {"message_id": 1, "text": "hi"}}), type="message", id="10000"),
        good("a button, and the number last", odd({"callback_query": {"id": "1"}, "update_id": 10001}), type="callback_query", id="10001"),
    ],
)
for function, kind in (("", "enrollment.disconnected"), ("transactions", "transactions.processed")):
    provider(
        "teller",
        function=function,
        sign=pairs("Teller-Signature"),
        signature="header:Teller-Signature",
        window=(180, "both"),
        goods=[
            good(kind, js({"id": "wh_1", "type": kind, "payload": {"enrollment_id": "enr_1"}}), type=kind, id="wh_1", account="enr_1"),
            good(f"{kind}, oddly written", odd({"id": "wh_2", "type": kind}), type=kind, id="wh_2"),
        ],
    )


def telnyx(r):
    return {"Telnyx-Timestamp": str(r.now), "Telnyx-Signature-Ed25519": b64(r.key.sign(raw(f"{r.now}|") + r.body))}


k, o = private.ed25519("telnyx"), private.ed25519("telnyx other")
for function, kind in (("", "message.received"), ("voice", "call.initiated"), ("fax", "fax.received"), ("account", "number_order.complete")):
    provider(
        "telnyx",
        function=function,
        sign=telnyx,
        signature="header:Telnyx-Signature-Ed25519",
        covers=("Telnyx-Timestamp",),
        window=(300, "both"),
        secret=k, configured=b64(k.public_raw), other=o, other_configured=b64(o.public_raw),
        goods=[
            good(kind, js({"data": {"event_type": kind, "id": "e1", "payload": {"connection_id": "c1"}}, "meta": {"attempt": 1}}), type=kind, id="e1", account="c1"),
            good(f"{kind}, oddly written", odd({"data": {"event_type": kind, "id": "e2", "payload": {"messaging_profile_id": "m1"}}}), type=kind, id="e2", account="m1"),
        ],
    )

provider(
    "terra",
    sign=pairs("terra-signature"),
    signature="header:terra-signature",
    window=(300, "both"),
    goods=[
        good("an activity", js({"type": "activity", "user": {"user_id": "u1"}}), headers={"terra-reference": "r1"}, type="activity", id="r1", account="u1"),
        good("a night", odd({"type": "sleep", "user": {"reference_id": "mine"}}), headers={"terra-reference": "r2"}, type="sleep", id="r2", account="mine"),
    ],
)

# --- TikTok, TikTok Shop, Toast --------------------------------------------------------------------------------------------------------------

for function, kind in (("", "authorization.removed"), ("content-posting", "video.publish.completed"), ("data-portability", "portability.download.ready")):
    event = {"client_key": "ck1", "event": kind, "create_time": NOW, "user_openid": "act.1", "content": '{"reason": 1}'}
    provider(
        "tiktok",
        function=function,
        sign=pairs("TikTok-Signature", version="s"),
        signature="header:TikTok-Signature",
        goods=[
            good(kind, js(event), type=kind, id=f"{kind}|act.1|{NOW}", account="ck1"),
            good(f"{kind}, oddly written", odd(event), type=kind),
        ],
    )
provider(
    "tiktok-shop",
    sign=lambda r: {"Authorization": mac("sha256", r.key, r.params["appKey"], r.body).hex()},
    signature="header:Authorization",
    params={"appKey": "68xu8ks8abcde"},
    goods=[
        good("an order", js({"type": 1, "tts_notification_id": "n1", "shop_id": "749"}), type="ORDER_STATUS_CHANGE", id="n1", account="749"),
        good("a number that has no name", odd({"type": 4242, "tts_notification_id": "n2", "shop_id": "749"}), type="4242", id="n2"),
    ],
)


def toast(r):
    return {"Toast-Signature": b64(mac("sha256", r.key, r.body, json.loads(r.body)["timestamp"]))}


for function, kind in (("", "order_updated"), ("menus", "menus_updated"), ("stock", "out_of_stock"), ("partners", "partner_added")):
    given = {"Toast-Event-Type": kind, "Toast-Restaurant-External-ID": "r1"}
    provider(
        "toast",
        function=function,
        sign=toast,
        signature="header:Toast-Signature",
        goods=[
            good(kind, js({"timestamp": AT, "eventType": kind, "guid": "g1", "details": {}}), headers=given, type=kind, id="g1", account="r1"),
            good(f"{kind}, oddly written", odd({"timestamp": AT, "guid": "g2"}), headers=given, type=kind, id="g2"),
        ],
    )

# --- Todoist, Token.io ------------------------------------------------------------------------------------------------------------------------

for function, kind in (("", "item:added"), ("projects", "project:added"), ("notes", "note:added")):
    provider(
        "todoist",
        function=function,
        sign=body_base64("X-Todoist-Hmac-SHA256"),
        signature="header:X-Todoist-Hmac-SHA256",
        goods=[
            good(kind, js({"event_name": kind, "user_id": "2671355"}), headers={"X-Todoist-Delivery-ID": "d1"}, type=kind, id="d1", account="2671355"),
            good(f"{kind}, oddly written", odd({"event_name": kind, "user_id": "2671355"}), headers={"X-Todoist-Delivery-ID": "d2"}, type=kind, id="d2"),
        ],
    )
k, o = private.ed25519("token-io"), private.ed25519("token-io other")
provider(
    "token-io",
    sign=lambda r: {"token-signature": b64url(r.key.sign(r.body))},
    signature="header:token-signature",
    secret=k, configured=b64url(k.public_raw), other=o, other_configured=b64url(o.public_raw),
    goods=[
        good("a payment", js({"payment": {"id": "pm:1", "status": "INITIATION_COMPLETED"}}), headers={"token-event": "PAYMENT_STATUS_CHANGED"}, type="PAYMENT_STATUS_CHANGED"),
        good("a refund", odd({"refund": {"id": "rf:1"}}), headers={"token-event": "REFUND_STATUS_CHANGED"}, type="REFUND_STATUS_CHANGED"),
    ],
)

# --- Transloadit, Travis: JSON in a form's field. -----------------------------------------------------------------------------------------------


def transloadit(r):
    if r.headers["Content-Type"] == FORM:
        fields = dict(urllib.parse.parse_qsl(r.body.decode()))
        r.body = form({**fields, "signature": "sha384:" + mac("sha384", r.key, fields["transloadit"]).hex()})
    else:
        text = r.body.split(b'name="transloadit"\r\n\r\n')[1].split(b"\r\n--b")[0]
        signature = b"sha384:" + raw(mac("sha384", r.key, text).hex())
        r.body = r.body.replace(b"--b--", b'--b\r\nContent-Disposition: form-data; name="signature"\r\n\r\n' + signature + b"\r\n--b--")


def transloadit_sha1(r):
    fields = dict(urllib.parse.parse_qsl(r.body.decode()))
    r.body = form({**fields, "signature": mac("sha1", r.key, fields["transloadit"]).hex()})


DONE = {"ok": "ASSEMBLY_COMPLETED", "assembly_id": "a1", "account_id": "acme"}
FAILED = {"error": "INVALID_FORM_DATA", "assembly_id": "a2", "account_id": "acme"}
provider(
    "transloadit",
    sign=transloadit,
    signature="form:signature",
    covers_body=False,
    goods=[
        good("done", form({"transloadit": js(DONE).decode()}), FORM, type="ASSEMBLY_COMPLETED", id="a1|ASSEMBLY_COMPLETED", account="acme"),
        good("failed, oddly written", form({"transloadit": odd(FAILED)}), FORM, type="INVALID_FORM_DATA", account="acme"),
        good(
            "in parts", b'--b\r\nContent-Disposition: form-data; name="transloadit"\r\n\r\n' + raw(odd(DONE).strip()) + b"\r\n--b--\r\n", "multipart/form-data; boundary=b",
            type="ASSEMBLY_COMPLETED",
        ),
    ],
)
provider("transloadit", sign=transloadit_sha1, goods=[good("signed with SHA-1, as once", form({"transloadit": js(DONE).decode()}), FORM, expect="signature")])
altered = Altered()


def transloadit_altered(r):
    signature = "sha384:" + mac("sha384", r.key, altered.signed(r)).hex()
    r.body = form({"transloadit": r.body.decode(), "signature": signature})


provider(
    "transloadit",
    sign=transloadit_altered,
    goods=[good("another assembly than was signed", altered.body(js({**DONE, "assembly_id": "a9"}), js(DONE)), FORM, expect="signature")],
)


def travis(r):
    payload = dict(urllib.parse.parse_qsl(r.body.decode(), keep_blank_values=True))["payload"]
    return {"Signature": b64(r.key.sign(raw(payload), "sha1"))}


k, o = private.rsa("travis-ci"), private.rsa("travis-ci other")
BUILD = {"id": 1, "state": "passed", "repository": {"id": 42}}
provider(
    "travis-ci",
    sign=travis,
    signature="header:Signature",
    secret=k, configured=k.public_pem, other=o, other_configured=o.public_pem,
    goods=[
        good("a build", form({"payload": js(BUILD).decode()}), FORM, type="passed", id="1|passed", account="42"),
        good("a build, oddly written", form({"payload": odd({**BUILD, "state": "failed"})}), FORM, headers={"Travis-Repo-Slug": "acme/gate"}, type="failed", id="1|failed"),
    ],
)

# --- Treezor: PHP's JSON of one member, signed into the body beside it. -----------------------------------------------------------------------


def php(value) -> str:
    """json_encode as PHP does by default: slashes escaped, all but ASCII as \\uXXXX."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/")


treezors = Altered()


def treezor(r):
    signed = json.loads(treezors.signed(r))["object_payload"]
    signature = b64(mac("sha256", r.key, php(signed)))
    # Into the text as it is, so that its white space and escapes stay.
    r.body = r.body.rstrip()[:-1] + b',"object_payload_signature":"' + raw(signature) + b'"}\n'


for function, kind, payload in (
    ("", "payin.create", {"payins": [{"payinId": "3211", "amount": "12.50", "url": "https://example.com/a", "name": "Zürich é"}]}),
    ("cards", "cardtransaction.create", {"cardtransactions": [{"paymentAmount": "15.00"}]}),
    ("kyc", "user.kycreview", {"users": [{"userId": "991", "userLastname": "Ünal", "rank": 1, "empty": [], "none": None}]}),
):
    event = {"webhook": kind, "webhook_id": "w1", "object_payload": payload}
    provider(
        "treezor",
        function=function,
        sign=treezor,
        signature="json:object_payload_signature",
        goods=[
            good(kind, js(event), "text/plain", type=kind, id="w1"),
            good(f"{kind}, with white space and escapes", json.dumps({**event, "webhook_id": "w2"}, indent=1), "text/plain", type=kind, id="w2"),
            good(f"{kind}, with another payload than was signed", treezors.body(js({**event, "object_payload": {"users": []}}), js(event)), "text/plain", expect="signature"),
        ],
    )

# --- Trello: the body, then the URL as registered. ------------------------------------------------------------------------------------------------

CARD = {"action": {"id": "a1", "type": "updateCard"}, "model": {"id": "m1"}, "webhook": {"id": "w1"}}
provider(
    "trello",
    sign=lambda r: {"x-trello-webhook": b64(mac("sha1", r.key, r.body, r.full_url))},
    signature="header:x-trello-webhook",
    goods=[
        good("a card", js(CARD), type="updateCard", id="a1", account="m1"),
        good("a card, and a query in the URL", odd(CARD), query="board=1", type="updateCard", id="a1"),
        HEAD,
    ],
)

# --- TrueLayer: a detached token over method, path, named headers and body. -------------------------------------------------------------------------

HOSTS = {"": "webhooks.truelayer.com", "sandbox": "webhooks.truelayer-sandbox.com"}


def truelayer(host, jku=None):
    def sign(r):
        signed_headers = {"X-Tl-Webhook-Timestamp": rfc3339(r.now)}
        named = "".join(f"{name}: {value}\n" for name, value in signed_headers.items())
        payload = raw(f"{r.method} {r.path}\n{named}") + r.body
        header = {"kid": "k1", "jku": jku or f"https://{host}/.well-known/jwks", "tl_version": "2", "tl_headers": ",".join(signed_headers)}
        head, _, signature = jwt("ES512", r.key.jose, None, header, payload).split(".")
        return {**signed_headers, "Tl-Signature": f"{head}..{signature}"}

    return sign


k, o = private.p521("truelayer"), private.p521("truelayer other")
EXECUTED = {"type": "payment_executed", "event_id": "e1", "event_version": 1, "payment_id": "p1"}
for function, host in HOSTS.items():
    found = {f"https://{host}/.well-known/jwks": js({"keys": [k.jwk("k1")]}).decode()}
    provider(
        "truelayer",
        function=function,
        sign=truelayer(host),
        signature="header:Tl-Signature",
        covers=("X-Tl-Webhook-Timestamp",),
        secret=k, other=o, remote=True, keys=found,
        other_keys={f"https://{host}/.well-known/jwks": js({"keys": [o.jwk("k1")]}).decode()},
        goods=[
            good("a payment", js(EXECUTED), type="payment_executed", id="e1"),
            good("a payout, oddly written", odd({**EXECUTED, "type": "payout_executed", "event_id": "e2"}), type="payout_executed", id="e2"),
        ],
    )
    evil = "https://webhooks.truelayer.com.example.com/.well-known/jwks"
    provider(
        "truelayer", function=function, sign=truelayer(host, evil), secret=o, remote=True,
        keys={**found, evil: js({"keys": [o.jwk("k1")]}).decode()},
        goods=[good("a token that names its own keys", js(EXECUTED), expect="signature")],
    )

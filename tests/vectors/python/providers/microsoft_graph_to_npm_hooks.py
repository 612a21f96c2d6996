"""Providers from microsoft-graph to npm-hooks."""

from harness import *
import keys


def body_mac(header, name="sha256", prefix="", encode=bytes.hex):
    """The raw body, under the secret as pasted."""
    return lambda r: {header: prefix + encode(mac(name, r.key, r.body))}


def odd(members):
    """JSON that doesn't survive being read and written again."""
    return json.dumps(members, indent=1)[:-1].rstrip() + ',\n "who": "Z\u00fcrich \\u00e9", "total": 12.50 }\n'


def basic(r):
    return {"Authorization": "Basic " + b64(f"hookplane:{r.key}")}


def client_state(r):
    tree = json.loads(r.body)
    for item in tree["value"]:
        item.setdefault("clientState", r.key)
    r.body = js(tree)


def states(*values):
    return js({"value": [{**changed_item, "clientState": value} for value in values]})


changed_item = {"subscriptionId": "s1", "changeType": "updated", "tenantId": "t1", "resourceData": {"id": "r1", "@odata.etag": 'W/"1"'}}
probe = "Validation: Testing client application reachability for subscription Request-Id: 522a8e7e-096a-494c-aaf1-ac0dcfca45b7"
provider(
    "microsoft-graph",
    sign=client_state,
    signature="key",
    token=True,
    goods=[
        good("a change", js({"value": [changed_item]}), type="updated", id='s1:updated:r1:W/"1"', account="t1"),
        good("two changes", js({"value": [changed_item, {**changed_item, "changeType": "deleted"}]}), type="updated", account="t1", events=2),
        good("a first one with another state", states(OTHER, KEY), expect="signature", signed=False),
        good("a second one with another state", states(KEY, OTHER), expect="signature", signed=False),
        good("no state", js({"value": [changed_item]}), expect="signature", signed=False),
        good("the URL is checked", b"", "text/plain; charset=utf-8", query="validationToken=" + urllib.parse.quote_plus(probe), expect="handshake", reply=probe, signed=False),
        good("notifications that are called text", states(KEY), "text/plain", expect=None, signed=False),
        good("the URL is checked with markup", b"", None, query="validationToken=%3Cscript%3E", expect="handshake-refused", signed=False),
    ],
)
provider(
    "microsoft-graph",
    function="lifecycle-notifications",
    sign=client_state,
    goods=[good("a subscription was removed", js({"value": [{"subscriptionId": "s1", "lifecycleEvent": "subscriptionRemoved", "tenantId": "t1"}]}),
                type="subscriptionRemoved", id="s1:subscriptionRemoved", account="t1")],
)
listed = {"subscriptionId": "s1", "resource": "list1", "tenantId": "t1", "siteUrl": "/"}
provider(
    "microsoft-sharepoint",
    sign=client_state,
    signature="key",
    token=True,
    goods=[
        good("a list changed", js({"value": [listed]}), type="list.changed", account="t1"),
        good("two lists changed", js({"value": [listed, {**listed, "resource": "list2"}]}), type="list.changed", account="t1", events=2),
        good("a second one with another state", js({"value": [{**listed, "clientState": KEY}, {**listed, "clientState": OTHER}]}), expect="signature", signed=False),
        good("the URL is checked with markup", b"", None, query="validationtoken=%3Cscript%3E", expect="handshake-refused", signed=False),
        good("no state", js({"value": [listed]}), expect="signature", signed=False),
        good("the URL is checked", b"", "text/plain; charset=utf-8", query="validationtoken=5b2e0c3a-4d1f", expect="handshake", reply="5b2e0c3a-4d1f", signed=False),
    ],
)


def midtrans(r):
    tree = json.loads(r.body)
    r.body = js({**tree, "signature_key": digest("sha512", tree["order_id"], tree["status_code"], tree["gross_amount"], r.key).hex()})


settled = {"transaction_id": "tr1", "transaction_status": "settlement", "status_code": "200", "order_id": "o1", "gross_amount": "12.50", "merchant_id": "G1"}
provider(
    "midtrans",
    sign=midtrans,
    signature="json:signature_key",
    goods=[
        good("a settled payment", js(settled), type="settlement", id="tr1:settlement:200", account="G1"),
        good("an order id that needs escapes", js({**settled, "order_id": "Z\u00fcrich/1"}), type="settlement", id="tr1:settlement:200"),
        good("another amount", js({**settled, "gross_amount": "1.00", "signature_key": digest("sha512", "o1", "200", "12.50", KEY).hex()}), expect="signature", signed=False),
        good("another order", js({**settled, "order_id": "o2", "signature_key": digest("sha512", "o1", "200", "12.50", KEY).hex()}), expect="signature", signed=False),
    ],
)
paid_out = {"reference_no": "p1", "amount": "10000.00", "status": "completed"}
provider(
    "midtrans",
    function="payouts",
    sign=lambda r: {"Iris-Signature": digest("sha512", r.body, r.key).hex()},
    signature="header:Iris-Signature",
    goods=[
        good("a payout", js(paid_out), type="completed", id="p1:completed"),
        good("a payout with white space and escapes", odd(paid_out), type="completed", id="p1:completed"),
    ],
)

unsigned("miro", [
    good("an item", js({"type": "board_subscription_changed", "event": {"boardId": "b1", "type": "create", "item": {"id": "1", "type": "sticky_note"}}}), type="sticky_note.create", account="b1"),
    good("the URL is checked", js({"challenge": "abc-123"}), expect="handshake", reply_json={"challenge": "abc-123"}),
    good("the URL is checked with markup", js({"challenge": "<script>"}), expect="handshake-refused"),
])

members = {"action": "add_members", "parameters": {"mixpanel_project_id": "p1", "mixpanel_session_id": "s1", "page_info": {"page_count": 2, "total_pages": 3}}}
provider(
    "mixpanel",
    sign=basic,
    signature="header:Authorization",
    token=True,
    covers_body=False,
    goods=[
        good("members came", js(members), type="add_members", id="s1:add_members:2", account="p1"),
        good("white space and escapes", odd(members), type="add_members", id="s1:add_members:2", account="p1"),
    ],
)

order = {"event": "completed", "data": {"id": "po1", "object": "payment_order"}}
ABOUT = {"X-Webhook-ID": "w1", "X-Organization-ID": "org1"}
provider(
    "modern-treasury",
    sign=body_mac("X-Signature"),
    signature="header:X-Signature",
    goods=[
        good("a payment order", js(order), headers=ABOUT, type="payment_order.completed", id="w1", account="org1"),
        good("white space and escapes", odd(order), headers=ABOUT, type="payment_order.completed", id="w1", account="org1"),
    ],
)
provider(
    "modern-treasury",
    function="ledgers",
    sign=body_mac("X-Signature"),
    goods=[good("a ledger", js({"event": "posted", "data": {"object": "ledger_transaction"}}), headers=ABOUT, type="ledger_transaction.posted", id="w1", account="org1")],
)

link = {"resource": "event", "id": "event_1", "type": "payment-link.paid", "entityId": "pl_1", "_embedded": {"entity": {"profileId": "pfl_1"}}}
provider(
    "mollie",
    sign=body_mac("X-Mollie-Signature", prefix="sha256="),
    signature="header:X-Mollie-Signature",
    goods=[
        good("a paid link", js(link), type="payment-link.paid", id="event_1", account="pfl_1"),
        good("white space and escapes", odd(link), type="payment-link.paid", id="event_1", account="pfl_1"),
    ],
)
unsigned("mollie", [
    good(f"a classic id of a {what}", form({"id": f"{prefix}_5B8cwPMGnU"}), "application/x-www-form-urlencoded", type=what)
    for prefix, what in (("tr", "payment"), ("ord", "order"), ("re", "refund"), ("sub", "subscription"), ("pl", "payment-link"))
], function="classic")


def monday(r, key=None, **change):
    claims = {"accountId": 1825529, "userId": 4012689, "aud": r.full_url, "iat": r.now, "exp": r.now + 300, **change}
    return {"Authorization": jwt("HS256", key or r.key, {k: v for k, v in claims.items() if v is not None})}


def monday_bad(name, expect="signature", now=NOW, **change):
    return good(name, js(pulse), headers=monday(Request("POST", URL, "", {}, js(pulse), KEY, {}, now), **change), expect=expect, signed=False)


pulse = {"event": {"type": "create_pulse", "triggerUuid": "tu1", "boardId": 77, "pulseId": 1}}
provider(
    "monday",
    sign=monday,
    signature="header:Authorization",
    covers_body=False,
    goods=[
        good("an item", js(pulse), type="create_pulse", id="tu1", account="1825529"),
        good("white space and escapes", odd(pulse), type="create_pulse", id="tu1", account="1825529"),
        monday_bad("for another URL", aud="https://hooks.example.com/other"),
        monday_bad("run out", now=NOW - 3600, expect=None),
        good("the URL is checked", js({"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}), expect="handshake",
             reply_json={"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}, signed=False),
        good("a check that is also an event", js({"challenge": "abc", **pulse}), expect="signature", signed=False),
    ],
)
unsigned("monday", [good("by hand", js(pulse), type="create_pulse", id="tu1", account="77")], function="board-webhooks-unsigned")
provider("monday", function="app-lifecycle", sign=monday, goods=[
    good("installed", js({"type": "install", "data": {"account_id": 5, "timestamp": "2026-01-01T00:00:00Z"}}), type="install", id="install:5:2026-01-01T00:00:00Z", account="5")])
provider("monday", function="integration-recipes", sign=monday, goods=[
    good("an action", js({"payload": {"blockKind": "action", "recipeId": 1}, "runtimeMetadata": {"actionUuid": "au1"}}), type="action", id="au1", account="1825529")])

outside = {"id": "a1", "groupId": "g1", "eventTypeName": "HOST_DOWN", "status": "OPEN", "updated": "2026-01-01T00:00:00Z"}
provider(
    "mongodb-atlas",
    sign=body_mac("X-MMS-Signature", "sha1", encode=b64),
    signature="header:X-MMS-Signature",
    goods=[
        good("an alert", js(outside), type="HOST_DOWN", id="a1:OPEN:2026-01-01T00:00:00Z", account="g1"),
        good("white space and escapes", odd(outside), type="HOST_DOWN", account="g1"),
    ],
)


def moralis(r):
    from Crypto.Hash import keccak

    return {"x-signature": "0x" + keccak.new(digest_bits=256, data=r.body + raw(r.key)).hexdigest()}


block = {"confirmed": False, "chainId": "0x1", "streamId": "s1", "tag": "t", "block": {"hash": "0xb"}, "txs": []}
provider(
    "moralis",
    sign=moralis,
    signature="header:x-signature",
    goods=[
        good("a block", js(block), type="stream.unconfirmed", id="s1:0x1:0xb:false", account="s1"),
        good("a final block", js({**block, "confirmed": True}), type="stream.confirmed", id="s1:0x1:0xb:true", account="s1"),
    ],
)

mention = {"type": "message", "id": "m1", "conversation": {"id": "c1"}, "channelData": {"tenant": {"id": "t1"}}, "text": "<at>x</at> &nbsp;hi"}
provider(
    "ms-teams-outgoing",
    secret=KEY_BASE64,
    sign=lambda r: {"Authorization": "HMAC " + b64(mac("sha256", unb64(r.key), r.body))},
    signature="header:Authorization",
    goods=[
        good("a mention", js(mention), type="message", id="c1:m1", account="t1"),
        good("white space and escapes", odd(mention), "application/json; charset=utf-8", type="message", id="c1:m1", account="t1"),
    ],
)

asset = {"type": "video.asset.ready", "id": "e1", "environment": {"id": "env1"}, "data": {"id": "a1"}}
provider(
    "mux",
    sign=lambda r: {"Mux-Signature": f"t={r.now},v1={mac('sha256', r.key, f'{r.now}.', r.body).hex()}"},
    signature="header:Mux-Signature",
    window=(300, "age"),
    goods=[
        good("an asset", js(asset), type="video.asset.ready", id="e1", account="env1"),
        good("white space and escapes", odd(asset), type="video.asset.ready", id="e1", account="env1"),
    ],
)

auth = {"type": "auth", "operation": "creation", "connectionId": "c1", "providerConfigKey": "hubspot"}
provider(
    "nango",
    sign=body_mac("X-Nango-Hmac-Sha256"),
    signature="header:X-Nango-Hmac-Sha256",
    goods=[
        good("a connection", js(auth), type="auth", account="c1"),
        good("white space and escapes", odd(auth), type="auth", account="c1"),
        good("only the older hash", js(auth), headers={"X-Nango-Signature": digest("sha256", KEY, js(auth)).hex()}, expect="signature", signed=False),
    ],
)

AUTH_URL = "https://ep-cool-sound-12345678.neonauth.us-east-1.aws.neon.tech/neondb/auth"


def neon(r):
    header = b64url(js({"alg": "EdDSA", "typ": "JWS", "kid": "k1"}))
    payload = b64url(f"{r.now * 1000}.{b64url(r.body)}")
    return {
        "X-Neon-Signature": f"{header}..{b64url(r.key.sign(f'{header}.{payload}'.encode()))}",
        "X-Neon-Signature-Kid": "k1",
        "X-Neon-Timestamp": str(r.now * 1000),
        "X-Neon-Event-Id": "e1",
        "X-Neon-Event-Type": "user.created",
    }


def jwks(key):
    return {f"{AUTH_URL}/.well-known/jwks.json": js({"keys": [key.jwk("k1")]}).decode()}


user = {"event_id": "e1", "event_type": "user.created", "context": {"endpoint_id": "ep1"}, "user": {"email": "ada@example.com"}}
provider(
    "neon-auth",
    secret=keys.ed25519("neon"),
    other=keys.ed25519("neon other"),
    remote=True,
    keys=jwks(keys.ed25519("neon")),
    other_keys=jwks(keys.ed25519("neon other")),
    params={"authUrl": AUTH_URL},
    sign=neon,
    signature="header:X-Neon-Signature",
    covers=("X-Neon-Timestamp",),
    window=(300, "age"),
    goods=[
        good("a user", js(user), type="user.created", id="e1", account="ep1"),
        good("white space and escapes", odd(user), type="user.created", id="e1", account="ep1"),
    ],
)


def netlify(r, **change):
    claims = {"iss": "netlify", "sha256": digest("sha256", r.body).hex(), **change}
    return {"X-Webhook-Signature": jwt("HS256", r.key, {k: v for k, v in claims.items() if v is not None})}


def netlify_bad(name, **change):
    return good(name, js(deploy), headers=netlify(Request("POST", URL, "", {}, js(deploy), KEY, {}, NOW), **change), expect="signature", signed=False)


deploy = {"id": "d1", "site_id": "s1", "state": "ready", "updated_at": "2026-01-01T00:00:00Z"}
DEPLOYED = {"X-Netlify-Event": "deploy_created"}
provider(
    "netlify",
    sign=netlify,
    signature="header:X-Webhook-Signature",
    goods=[
        good("a deploy", js(deploy), headers=DEPLOYED, type="deploy_created", id="d1:ready:2026-01-01T00:00:00Z", account="s1"),
        good("white space and escapes", odd(deploy), headers=DEPLOYED, type="deploy_created", account="s1"),
        netlify_bad("another issuer", iss="somebody"),
        netlify_bad("no hash of the body", sha256=None),
        netlify_bad("another body's hash", sha256=digest("sha256", b"{}").hex()),
    ],
)
provider("netlify", function="form-notifications", sign=netlify, goods=[
    good("a form", js({"id": "f1", "form_id": "form1"}), headers={"X-Netlify-Event": "submission_created"}, type="submission_created", id="f1", account="form1")])

issue = {"id": "i1", "state": "ACTIVATED", "updatedAt": 5, "accountId": "1"}
provider(
    "new-relic",
    sign=lambda r: {"X-Webhook-Token": r.key},
    signature="header:X-Webhook-Token",
    token=True,
    covers_body=False,
    goods=[
        good("an issue", js(issue), type="ACTIVATED", id="i1:ACTIVATED:5", account="1"),
        good("white space and escapes", odd(issue), type="ACTIVATED", id="i1:ACTIVATED:5", account="1"),
    ],
)
provider("new-relic", sign=lambda r: {"Authorization": r.key}, params={"header": "Authorization"}, goods=[
    good("in another header", js(issue), type="ACTIVATED"), good("in the usual header instead", js(issue), headers={"X-Webhook-Token": KEY}, expect="signature", signed=False)])

sale = {"event_id": "e1", "event_type": "transaction.sale.success", "event_body": {"merchant": {"id": "m1"}, "amount": "12.50"}}
provider(
    "nmi",
    sign=lambda r: {"Webhook-Signature": f"t=nonce-1,s={mac('sha256', r.key, 'nonce-1.', r.body).hex()}"},
    signature="header:Webhook-Signature",
    goods=[
        good("a sale", js(sale), type="transaction.sale.success", id="e1", account="m1"),
        good("white space and escapes", odd(sale), type="transaction.sale.success", id="e1", account="m1"),
        good("another nonce", js(sale), headers={"Webhook-Signature": f"t=nonce-2,s={mac('sha256', KEY, 'nonce-1.', js(sale)).hex()}"}, expect="signature", signed=False),
    ],
)

page = {"id": "e1", "workspace_id": "w1", "type": "page.created", "entity": {"id": "p1", "type": "page"}}
provider(
    "notion",
    sign=body_mac("X-Notion-Signature", prefix="sha256="),
    signature="header:X-Notion-Signature",
    goods=[
        good("a page", js(page), type="page.created", id="e1", account="w1"),
        good("white space and escapes", odd(page), type="page.created", id="e1", account="w1"),
        good("the token is handed over", js({"verification_token": "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"}), expect="handshake", signed=False, secrets=[]),
        good("another token for a group that has one", js({"verification_token": "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"}), expect="handshake-refused", signed=False),
        good("a token beside a false signature", js({"verification_token": "secret_x"}), headers={"X-Notion-Signature": "sha256=00"}, expect="signature", signed=False),
    ],
)

paid = {"payment_status": "finished", "payment_id": 5745459419, "order_id": "o1", "updated_at": "2026-01-01", "fee": {"b": 2, "a": [{"d": 1, "c": 0.5}]}}


def nowpayments(r):
    return {"x-nowpayments-sig": mac("sha512", r.key, json.dumps(json.loads(r.body), separators=(",", ":"), sort_keys=True, ensure_ascii=False)).hex()}


provider(
    "nowpayments",
    sign=nowpayments,
    signature="header:x-nowpayments-sig",
    covers_body=False,
    goods=[
        good("a payment", js(paid), type="finished", id="5745459419:finished:2026-01-01", account="o1"),
        good("with white space and another order", json.dumps({**paid, "note": "Z\u00fcrich / \"x\""}, indent=1, ensure_ascii=False) + "\n", type="finished", account="o1"),
        good("another amount", js({**paid, "fee": {"b": 3, "a": [{"d": 1, "c": 0.5}]}}), headers={"x-nowpayments-sig": mac("sha512", KEY, json.dumps(paid, separators=(",", ":"), sort_keys=True)).hex()},
             expect="signature", signed=False),
    ],
)

published = {"event": "package:publish", "name": "@acme/gate", "type": "package", "version": "1.2.0"}
provider(
    "npm-hooks",
    sign=body_mac("x-npm-signature", prefix="sha256="),
    signature="header:x-npm-signature",
    goods=[
        good("a version", js(published), type="package:publish", account="@acme/gate"),
        good("white space and escapes", odd(published), type="package:publish", account="@acme/gate"),
    ],
)

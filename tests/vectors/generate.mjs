// Makes the vectors: every provider's own library signs or judges, then each part is tampered with.
// Deterministic: fixed keys, fixed times, no randomness.
import crypto from "node:crypto";
import fs from "node:fs";
import zlib from "node:zlib";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const here = new URL("./", import.meta.url);
const NOW = 1767225600000; // 2026-01-01T00:00:00Z
const S = NOW / 1000;
const URL_ = "https://hooks.example.com/c/Zm9yLXRlc3RzLW9ubHk";
const KEY = "synthetic-key-for-tests-only";
const mac = (hash, key, data, enc) => crypto.createHmac(hash, key).update(data).digest(enc);
const bytes = (b) => (Buffer.isBuffer(b) ? b : Buffer.from(b));
// Base64 too, so that it is a key for every scheme.
const OTHER = "c3ludGhldGljLW90aGVyLWtleS1mb3ItdGVzdHM=";
const swap = (hex) => (hex[0] === "0" ? "1" : "0") + hex.slice(1);
const sure = (ok, what) => { if (!ok) throw new Error(`the provider's library disagrees: ${what}`); };

// Who signed a good one, and which library took it when it was last asked (`judges`).
const { dependencies } = JSON.parse(fs.readFileSync(new URL("package.json", here)));
const judged = JSON.parse(fs.readFileSync(new URL("judges/judged.json", here)));
const LIBRARIES = { github: "@octokit/webhooks-methods", hubspot: "@hubspot/api-client", "standard-webhooks": "standardwebhooks", stripe: "stripe", twilio: "twilio" };
const signer = (connector, fn, name) => {
  const library = LIBRARIES[connector];
  if (connector === "twilio" || (library && /^signed by |by the api client$/.test(name))) return `npm ${library} ${dependencies[library]}`;
  const { by, cases = [] } = judged[connector] ?? {};
  return `Node's crypto, from the provider's documentation${cases.includes(fn ? `${fn}/${name}` : name) ? `; judged by ${by}` : ""}`;
};

const files = {};
function add(connector, c) {
  const body = bytes(c.body ?? "");
  const text = body.toString("utf8");
  const exact = Buffer.from(text).equals(body);
  const { name, fn, secrets = [KEY], url = URL_, method = "POST", query = "", headers = {}, now = NOW, expect, ...rest } = c;
  delete rest.body;
  (files[connector] ??= []).push({
    name, connector, function: fn ?? "", secrets, parameters: {}, callback_url: url, method, query,
    headers: Array.isArray(headers) ? headers : Object.entries(headers),
    ...(exact ? { body: text } : { body_base64: body.toString("base64") }), now, expect,
    ...(["genuine", "handshake"].includes(expect) ? { by: signer(connector, fn, name) } : {}), ...rest,
  });
}

// Raw bytes that a reader who decodes first gets wrong. Risk 34.
const raw = (o) => {
  const json = JSON.stringify(o);
  return {
    "crlf and trailing newline": JSON.stringify(o, null, 2).replaceAll("\n", "\r\n") + "\r\n",
    "trailing newline": json + "\n",
    "a price of 12.50": json.slice(0, -1) + ',"price":12.50,"large":12345678901234567890}',
    "escaped unicode": json.slice(0, -1) + ',"who":"Z\\u00fcrich \\ud83d\\ude00 \\/"}',
    "unicode as it is": json.slice(0, -1) + ',"who":"Zürich 😀"}',
    "spaces in odd places": json.replaceAll(":", " :  ").replaceAll(" :  //", "://"),
  };
};
const opaque = (o) => ({ "gzip": zlib.gzipSync(JSON.stringify(o), { level: 9 }).fill(255, 9, 10), "invalid utf-8": Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xfe, 0xc3]), Buffer.from('"}')]) });

// What every scheme over the body must refuse. `sign(body, key)` gives the headers; `sig` is the header that holds the signature.
function tamper(connector, { fn, base, object, sign, sig, prefix = "", secret = KEY, encoding = "hex", form }) {
  const body = form ?? JSON.stringify(object, null, 1);
  const good = sign(body, secret);
  const bad = (name, headers, b = body, secrets = [secret], expect = "signature") => add(connector, { ...base, fn, name, headers, body: b, secrets, expect });
  bad("one byte of the body changed", good, body.replace(/[a-y](?=[^a-z]*$)/, "z"));
  bad("trailing newline added", good, body + "\n");
  bad("trailing byte removed", good, body.slice(0, -1));
  const lines = body.replaceAll("\n", "\r\n") + "\r\n";
  bad("trailing newline removed", sign(body + "\n", secret), body);
  bad("CRLF turned into LF", sign(lines, secret), body + "\n");
  bad("empty body under a full one's signature", good, "");
  if (!form) bad("JSON encoded anew", good, JSON.stringify(object));
  const value = good[sig];
  const set = (v) => ({ ...good, [sig]: v });
  const none = { ...good }; delete none[sig];
  bad("signature missing", none);
  bad("signature empty", set(""));
  bad("signature truncated", set(value.slice(0, -2)));
  bad("signature with something after it", set(value + "00"));
  bad("only the prefix", set(prefix || "="));
  const at = value.indexOf(prefix) + prefix.length;
  bad("first digit of the signature changed", set(value.slice(0, at) + (encoding === "hex" ? swap(value.slice(at)) : (value[at] === "A" ? "B" : "A") + value.slice(at + 1))));
  if (encoding === "base64") bad("signature in lower case", set(value.slice(0, at) + value.slice(at).toLowerCase()));
  if (encoding === "hex") bad("signature in base64", set(value.slice(0, at) + Buffer.from(value.slice(at), "hex").toString("base64")));
  else bad("signature in hex", set(value.slice(0, at) + Buffer.from(value.slice(at), "base64").toString("hex")));
  bad("another scheme's prefix", set("v9=" + value.slice(at)));
  if (prefix) bad("prefix missing", set(value.slice(at)));
  bad("another key", sign(body, OTHER), body);
  bad("key with a newline after it", sign(body, secret + "\n"), body);
  bad("another key configured", good, body, [OTHER]);
  bad("no key configured", good, body, []);
  add(connector, { ...base, fn, name: "second of two keys", headers: good, body, secrets: [OTHER, secret], expect: "genuine" });
}
// Times: signed with the right key, at the wrong time. `sign(body, key, t)`.
function times(connector, { base, body, sign, unit = 1, future, header }) {
  const t = S * unit;
  const at = (name, v, expect) => add(connector, { ...base, name, body, headers: sign(body, KEY, v), expect });
  at("299 s old", (S - 299) * unit, "genuine");
  at("301 s old", (S - 301) * unit, "timestamp");
  at("a day old", (S - 86400) * unit, "timestamp");
  at("an hour ahead", (S + 3600) * unit, future);
  if (future === "timestamp") at("milliseconds for seconds", S * 1000, "timestamp");
  if (unit === 1000) at("seconds for milliseconds", S, "timestamp");
  at("no number for a time", "yesterday", undefined);
  if (header) {
    add(connector, { ...base, name: "time changed after signing", body, headers: { ...sign(body, KEY, t), [header]: String((S + 1) * unit) }, expect: "signature" });
    const h = sign(body, KEY, t); delete h[header];
    add(connector, { ...base, name: "time missing", body, headers: h, expect: undefined });
  }
}

// --- GitHub
{
  const { sign, verify } = await import("@octokit/webhooks-methods");
  const examples = require("@octokit/webhooks-examples").default ?? require("@octokit/webhooks-examples");
  const json = (Array.isArray(examples) ? examples : JSON.parse(fs.readFileSync(require.resolve("@octokit/webhooks-examples/api.github.com/index.json"))));
  const wanted = [["push"], ["pull_request", "opened"], ["pull_request", "closed"], ["issues", "opened"], ["issues", "labeled"], ["issue_comment", "created"], ["release", "published"], ["workflow_run", "completed"], ["workflow_job", "queued"], ["check_run", "completed"], ["installation", "created"], ["marketplace_purchase", "purchased"], ["star", "created"], ["create"], ["ping"], ["deployment_status", "created"]];
  const h = async (body, event, key = KEY) => ({ "X-GitHub-Event": event, "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "Content-Type": "application/json", "X-Hub-Signature-256": "sha256=" + mac("sha256", key, body, "hex"), "X-Hub-Signature": "sha1=" + mac("sha1", key, body, "hex") });
  for (const [event, action] of wanted) {
    const p = json.find((e) => e.name === event).examples.find((x) => !action || x.action === action);
    const body = JSON.stringify(p);
    const type = p.action ? `${event}.${p.action}` : event;
    fs.writeFileSync(new URL(`../fixtures/github/${type}.json`, here), body);
    const headers = await h(body, event);
    sure((await sign(KEY, body)) === headers["X-Hub-Signature-256"], "github sign");
    sure(await verify(KEY, body, headers["X-Hub-Signature-256"]), "github verify");
    if (["push", "ping", "installation", "star", "create"].includes(event)) {
      const fn = event === "installation" ? "app" : "repository";
      const ext = p.installation?.id ?? p.organization?.login ?? p.repository?.full_name;
      add("github", { name: `signed by octokit: ${type}`, fn, headers, body, expect: "genuine", expect_type: type, expect_delivery_id: headers["X-GitHub-Delivery"], ...(ext ? { expect_external_id: String(ext) } : {}), expect_events: 1 });
    }
  }
  const object = { action: "opened", issue: { number: 1 }, repository: { full_name: "acme/widgets" } };
  const sync = (body, key) => ({ "Content-Type": "application/json", "X-GitHub-Event": "issues", "X-GitHub-Delivery": "d-1", "X-Hub-Signature-256": "sha256=" + mac("sha256", key, body, "hex") });
  for (const [name, b] of Object.entries({ ...raw(object), ...opaque(object) })) add("github", { name: `raw body: ${name}`, headers: { ...sync(b, KEY), ...(name === "gzip" ? { "Content-Encoding": "gzip" } : {}) }, body: b, expect: "genuine" });
  tamper("github", { object, sign: sync, sig: "X-Hub-Signature-256", prefix: "sha256=" });
  const form = "payload=" + encodeURIComponent(JSON.stringify(object)).replaceAll("%20", "+");
  add("github", { name: "JSON in a form field", headers: { ...sync(form, KEY), "Content-Type": "application/x-www-form-urlencoded" }, body: form, expect: "genuine", expect_type: "issues.opened", expect_external_id: "acme/widgets" });
  add("github", { name: "form encoded anew", headers: { ...sync(form, KEY), "Content-Type": "application/x-www-form-urlencoded" }, body: form.replaceAll("%7B", "%7b"), expect: "signature" });
  const b = JSON.stringify(object);
  const only1 = await h(b, "issues"); delete only1["X-Hub-Signature-256"];
  // Risk 36: the sender names the weaker hash.
  add("github", { name: "only the SHA-1 signature", headers: only1, body: b, expect: "signature" });
  add("github", { name: "a SHA-1 signature in the SHA-256 header", headers: { ...sync(b, KEY), "X-Hub-Signature-256": "sha1=" + mac("sha1", KEY, b, "hex") }, body: b, expect: "signature" });
  add("github", { name: "upper-case hex", headers: { ...sync(b, KEY), "X-Hub-Signature-256": "sha256=" + mac("sha256", KEY, b, "hex").toUpperCase() }, body: b, expect: "genuine" });
  add("github", { name: "GET", method: "GET", headers: sync("", KEY), expect: "method" });
  add("github", { name: "a media type of its own", headers: { ...sync(b, KEY), "Content-Type": "text/xml" }, body: b, expect: "media-type" });
}
// --- Stripe
{
  const Stripe = require("stripe"); const stripe = new (Stripe.default ?? Stripe)("synthetic");
  const KEY2 = "whsec_c3ludGhldGljLWtleS1mb3ItdGVzdHM=";
  const object = { id: "evt_synthetic1", object: "event", type: "invoice.paid", account: "acct_synthetic", data: { object: { id: "in_1" } } };
  const sign = (body, key, t = S) => ({ "Content-Type": "application/json", "Stripe-Signature": `t=${t},v1=${mac("sha256", key, Buffer.concat([Buffer.from(`${t}.`), bytes(body)]), "hex")}` });
  const body = JSON.stringify(object);
  const lib = stripe.webhooks.generateTestHeaderString({ payload: body, secret: KEY2, timestamp: S });
  sure(lib === sign(body, KEY2)["Stripe-Signature"], "stripe sign");
  const base = { secrets: [KEY2] };
  add("stripe", { ...base, name: "signed by stripe", headers: { "Stripe-Signature": lib, "Content-Type": "application/json" }, body, expect: "genuine", expect_type: "invoice.paid", expect_delivery_id: "evt_synthetic1", expect_external_id: "acct_synthetic", expect_events: 1 });
  for (const [name, b] of Object.entries({ ...raw(object), ...opaque(object) })) add("stripe", { name: `raw body: ${name}`, headers: sign(b, KEY), body: b, expect: "genuine" });
  tamper("stripe", { object, sign, sig: "Stripe-Signature", prefix: "v1=" });
  times("stripe", { base: {}, body, sign, future: "genuine" });
  const v1 = mac("sha256", KEY, `${S}.${body}`, "hex");
  const own = (name, v, expect) => add("stripe", { name, headers: { "Content-Type": "application/json", "Stripe-Signature": v }, body, expect });
  own("the second of two signatures", `t=${S},v1=${"0".repeat(64)},v1=${v1}`, "genuine");
  own("only a v0 signature", `t=${S},v0=${v1}`, "signature");
  own("v0 beside v1", `t=${S},v1=${v1},v0=${"0".repeat(64)}`, "genuine");
  own("time changed after signing", `t=${S + 1},v1=${v1}`, "signature");
  own("no time", `v1=${v1}`, "signature");
  // Risk 37.
  for (const [name, key] of [["prefix taken off the key", KEY2.slice(6)], ["key decoded", Buffer.from(KEY2.slice(6), "base64")]]) add("stripe", { ...base, name, headers: sign(body, key), body, expect: "signature" });
}
// --- Slack
{
  const { isValidSlackRequest } = require("@slack/bolt/dist/receivers/verify-request.js");
  const object = { type: "event_callback", team_id: "T0SYNTH", event_id: "Ev0SYNTH", event: { type: "app_mention", text: "hi" } };
  const sign = (body, key, t = S) => ({ "Content-Type": "application/json", "X-Slack-Request-Timestamp": String(t), "X-Slack-Signature": "v0=" + mac("sha256", key, Buffer.concat([Buffer.from(`v0:${t}:`), bytes(body)]), "hex") });
  const judge = (b) => { const h = sign(b, KEY); sure(isValidSlackRequest({ signingSecret: KEY, body: b, nowMilliseconds: NOW, headers: { "x-slack-request-timestamp": S, "x-slack-signature": h["X-Slack-Signature"] } }), "slack"); return h; };
  const body = JSON.stringify(object);
  add("slack", { name: "judged by bolt", headers: judge(body), body, expect: "genuine", expect_type: "app_mention", expect_delivery_id: "Ev0SYNTH", expect_external_id: "T0SYNTH", expect_events: 1 });
  for (const [name, b] of Object.entries({ ...raw(object), ...opaque(object) })) add("slack", { name: `raw body: ${name}`, headers: sign(b, KEY), body: b, expect: "genuine" });
  const f = { "Content-Type": "application/x-www-form-urlencoded" };
  const cmd = "command=%2Fdeploy&text=web+now&team_id=T0SYNTH&trigger_id=13345224609.8534564800";
  add("slack", { name: "slash command", fn: "slash-commands", headers: { ...judge(cmd), ...f }, body: cmd, expect: "genuine", expect_type: "slash_command./deploy", expect_delivery_id: "13345224609.8534564800", expect_external_id: "T0SYNTH" });
  add("slack", { name: "slash command encoded anew", fn: "slash-commands", headers: { ...sign(cmd, KEY), ...f }, body: cmd.replace("+", "%20"), expect: "signature" });
  const act = "payload=" + encodeURIComponent(JSON.stringify({ type: "block_actions", team: { id: "T0SYNTH" }, trigger_id: "tr.1" }));
  add("slack", { name: "button", fn: "interactivity", headers: { ...judge(act), ...f }, body: act, expect: "genuine", expect_type: "block_actions", expect_delivery_id: "tr.1", expect_external_id: "T0SYNTH" });
  const ch = (c) => JSON.stringify({ type: "url_verification", challenge: c, token: "synthetic" });
  const good = ch("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P");
  add("slack", { name: "URL check", headers: judge(good), body: good, expect: "handshake", expect_reply: JSON.parse(good).challenge });
  add("slack", { name: "URL check, unsigned", headers: { "Content-Type": "application/json" }, body: good, expect: "signature" });
  for (const [name, c] of [["markup", "<script>alert(1)</script>"], ["too long", "a".repeat(2000)], ["a line break", "a\nb"], ["nothing", ""]]) add("slack", { name: `URL check, challenge is ${name}`, headers: sign(ch(c), KEY), body: ch(c), expect: "handshake-refused" });
  tamper("slack", { object, sign, sig: "X-Slack-Signature", prefix: "v0=" });
  times("slack", { base: {}, body, sign, future: "genuine", header: "X-Slack-Request-Timestamp" });
}
// --- Shopify
{
  require("@shopify/shopify-api/adapters/node");
  const { shopifyApi } = require("@shopify/shopify-api");
  const shopify = shopifyApi({ apiKey: "synthetic", apiSecretKey: KEY, hostName: "hooks.example.com", apiVersion: "2026-01", isEmbeddedApp: false, logger: { level: 0 } });
  const object = { id: 820982911946154508n.toString(), total_price: "12.50", test: true };
  const sign = (body, key) => ({ "Content-Type": "application/json", "X-Shopify-Topic": "orders/paid", "X-Shopify-Shop-Domain": "acme.myshopify.com", "X-Shopify-Webhook-Id": "w-1", "X-Shopify-API-Version": "2026-01", "X-Shopify-Hmac-SHA256": mac("sha256", key, body, "base64") });
  const judge = async (b) => { const h = sign(b, KEY); const r = await shopify.webhooks.validate({ rawBody: b, rawRequest: { method: "POST", url: "/", headers: h } }); sure(r.valid, `shopify ${JSON.stringify(r)}`); return h; };
  const body = JSON.stringify(object);
  add("shopify", { name: "judged by shopify-api", headers: await judge(body), body, expect: "genuine", expect_type: "orders/paid", expect_delivery_id: "w-1", expect_external_id: "acme.myshopify.com", expect_events: 1 });
  for (const [name, b] of Object.entries({ ...raw(object), ...opaque(object) })) add("shopify", { name: `raw body: ${name}`, headers: sign(b, KEY), body: b, expect: "genuine" });
  const events = { "Content-Type": "application/json", "shopify-topic": "Order", "shopify-action": "create", "shopify-shop-domain": "acme.myshopify.com", "shopify-webhook-id": "w-2", "shopify-hmac-sha256": mac("sha256", KEY, body, "base64") };
  add("shopify", { name: "newer headers", fn: "events", headers: events, body, expect: "genuine", expect_type: "Order.create" });
  add("shopify", { name: "older headers for the newer function", fn: "events", headers: sign(body, KEY), body, expect: "signature" });
  tamper("shopify", { object, sign, sig: "X-Shopify-Hmac-SHA256", encoding: "base64" });
}
// --- Standard Webhooks
{
  const { Webhook } = require("standardwebhooks");
  const SECRET = "whsec_" + Buffer.from(KEY).toString("base64");
  const wh = new Webhook(SECRET);
  const object = { type: "user.created", data: { id: "usr_1" } };
  const k = (secret) => (secret === SECRET ? Buffer.from(KEY) : Buffer.from(secret));
  const sign = (body, secret, t = S) => ({ "Content-Type": "application/json", "webhook-id": "msg_synthetic1", "webhook-timestamp": String(t), "webhook-signature": "v1," + mac("sha256", k(secret), Buffer.concat([Buffer.from(`msg_synthetic1.${t}.`), bytes(body)]), "base64") });
  const body = JSON.stringify(object);
  const base = { secrets: [SECRET] };
  sure(wh.sign("msg_synthetic1", new Date(NOW), body) === sign(body, SECRET)["webhook-signature"], "standardwebhooks");
  const good = sign(body, SECRET);
  const own = (name, headers, expect, extra = {}) => add("standard-webhooks", { ...base, name, headers: { ...good, ...headers }, body, expect, ...extra });
  own("signed by standardwebhooks", {}, "genuine", { expect_type: "user.created", expect_delivery_id: "msg_synthetic1", expect_events: 1 });
  own("the second of two signatures", { "webhook-signature": `v1,${Buffer.alloc(32).toString("base64")} ${good["webhook-signature"]}` }, "genuine");
  own("only another version", { "webhook-signature": good["webhook-signature"].replace("v1,", "v1a,") }, "signature");
  own("id changed", { "webhook-id": "msg_synthetic2" }, "signature");
  own("key without its prefix", {}, "genuine", { secrets: [SECRET.slice(6)] });
  // Risk 37.
  own("key not decoded", sign(body, SECRET.slice(6)), "signature");
  own("prefix left on the key", { "webhook-signature": "v1," + mac("sha256", SECRET, `msg_synthetic1.${S}.${body}`, "base64") }, "signature");
  for (const [name, b] of Object.entries({ ...raw(object), ...opaque(object) })) add("standard-webhooks", { ...base, name: `raw body: ${name}`, headers: sign(b, SECRET), body: b, expect: "genuine" });
  tamper("standard-webhooks", { base, object, sign, sig: "webhook-signature", prefix: "v1,", secret: SECRET, encoding: "base64" });
  times("standard-webhooks", { base, body, sign: (b, _k, t) => sign(b, SECRET, t), future: "timestamp", header: "webhook-timestamp" });
}
// --- GitLab: a token
{
  const body = JSON.stringify({ object_kind: "merge_request", object_attributes: { action: "open" }, project: { id: 15 } });
  const h = (token) => ({ "Content-Type": "application/json", "X-Gitlab-Event": "Merge Request Hook", "Idempotency-Key": "i-1", "X-Gitlab-Event-UUID": "u-1", ...(token === undefined ? {} : { "X-Gitlab-Token": token }) });
  add("gitlab", { name: "the token", headers: h(KEY), body, expect: "genuine", expect_type: "merge_request.open", expect_delivery_id: "i-1", expect_external_id: "15", expect_events: 1 });
  add("gitlab", { name: "member event", fn: "group", headers: h(KEY), body: '{"event_name":"user_add_to_group","group_id":7}', expect: "genuine", expect_type: "user_add_to_group", expect_external_id: "7" });
  add("gitlab", { name: "second of two tokens", headers: h(KEY), body, secrets: ["synthetic-other", KEY], expect: "genuine" });
  for (const [name, t] of [["missing", undefined], ["empty", ""], ["cut off", KEY.slice(0, -1)], ["longer", KEY + "x"], ["in upper case", KEY.toUpperCase()], ["with a scheme", "Bearer " + KEY], ["hashed", crypto.createHash("sha256").update(KEY).digest("hex")], ["in base64", Buffer.from(KEY).toString("base64")], ["another", OTHER], ["its first letter", KEY[0]]]) add("gitlab", { name: `token ${name}`, headers: h(t), body, expect: "signature" });
  add("gitlab", { name: "no token configured", headers: h(""), body, secrets: [], expect: "signature" });
  add("gitlab", { name: "token in the query", headers: h(undefined), query: `X-Gitlab-Token=${KEY}`, body, expect: "signature" });
  add("gitlab", { name: "a signature instead of the token", headers: { ...h(undefined), "webhook-id": "i-1", "webhook-timestamp": String(S), "webhook-signature": "v1," + mac("sha256", KEY, `i-1.${S}.${body}`, "base64") }, body, expect: "signature" });
}
// --- Zoom: its library re-encodes, so it can judge compact JSON only
{
  const object = { event: "meeting.started", event_ts: 1, payload: { account_id: "acc-1", object: { id: "1" } } };
  const sign = (body, key, t = S) => ({ "Content-Type": "application/json", "x-zm-trackingid": "v=2.0;t=1", "x-zm-request-timestamp": String(t), "x-zm-signature": "v0=" + mac("sha256", key, Buffer.concat([Buffer.from(`v0:${t}:`), bytes(body)]), "hex") });
  const body = JSON.stringify(object);
  add("zoom", { name: "as documented", headers: sign(body, KEY), body, expect: "genuine", expect_type: "meeting.started", expect_delivery_id: "v=2.0;t=1", expect_external_id: "acc-1", expect_events: 1 });
  const ch = (t) => JSON.stringify({ event: "endpoint.url_validation", payload: { plainToken: t }, event_ts: 1 });
  const good = ch("qgg8vlvZRS6UYooatFL8Aw");
  add("zoom", { name: "URL check", headers: sign(good, KEY), body: good, expect: "handshake", expect_reply_json: { plainToken: "qgg8vlvZRS6UYooatFL8Aw", encryptedToken: mac("sha256", KEY, "qgg8vlvZRS6UYooatFL8Aw", "hex") } });
  add("zoom", { name: "URL check, unsigned", headers: { "Content-Type": "application/json" }, body: good, expect: "signature" });
  // Risk 35: a text that is itself what a callback's signature covers.
  for (const [name, c] of [["signed content", `v0:${S}:{"event":"meeting.started"}`], ["a colon", "a:b"], ["too long", "a".repeat(2000)], ["nothing", ""]]) add("zoom", { name: `URL check, token is ${name}`, headers: sign(ch(c), KEY), body: ch(c), expect: "handshake-refused" });
  for (const [name, b] of Object.entries({ ...raw(object), ...opaque(object) })) add("zoom", { name: `raw body: ${name}`, headers: sign(b, KEY), body: b, expect: "genuine" });
  tamper("zoom", { object, sign, sig: "x-zm-signature", prefix: "v0=" });
  times("zoom", { base: {}, body, sign, future: "timestamp", header: "x-zm-request-timestamp" });
}
// --- HubSpot
{
  const { Signature } = require("@hubspot/api-client/lib/src/utils/signature.js");
  const object = [{ eventId: 100, subscriptionId: 1, occurredAt: 5, subscriptionType: "contact.creation", portalId: 62515, appId: 1 }, { eventId: 101, subscriptionId: 1, occurredAt: 6, subscriptionType: "contact.deletion", portalId: 62515, appId: 1 }];
  const lib = (v, o) => Signature.getSignature(o.method ?? "POST", v, { clientSecret: o.key ?? KEY, requestBody: o.body, url: o.url ?? URL_, timestamp: o.t ?? NOW });
  const sign = (body, key = KEY, t = NOW, url = URL_, method = "POST") => ({ "Content-Type": "application/json", "X-HubSpot-Request-Timestamp": String(t), "X-HubSpot-Signature-v3": mac("sha256", key, `${method}${url}${body}${t}`, "base64") });
  const body = JSON.stringify(object);
  sure(lib("v3", { body }) === sign(body)["X-HubSpot-Signature-v3"], "hubspot v3");
  add("hubspot", { name: "v3 by the api client", headers: sign(body), body, expect: "genuine", expect_type: "contact.creation", expect_delivery_id: "100:1:5", expect_external_id: "62515", expect_events: 2 });
  const old = (v, b = body, s = lib(v, { body: b })) => ({ "Content-Type": "application/json", "X-HubSpot-Signature-Version": v, "X-HubSpot-Signature": s });
  for (const v of ["v1", "v2"]) {
    add("hubspot", { name: `${v} by the api client`, headers: old(v), body, expect: "genuine" });
    add("hubspot", { name: `${v}, body changed`, headers: old(v), body: body + " ", expect: "signature" });
    add("hubspot", { name: `${v}, another key`, headers: old(v, body, lib(v, { body, key: "synthetic-other" })), body, expect: "signature" });
    // Risk 36: the weaker scheme doesn't count where the stronger one's header stands.
    add("hubspot", { name: `a good ${v} beside a bad v3`, headers: { ...sign(body, "synthetic-other"), ...old(v) }, body, expect: "signature" });
  }
  add("hubspot", { name: "v1 said to be v2", headers: { ...old("v1"), "X-HubSpot-Signature-Version": "v2" }, body, expect: "signature" });
  add("hubspot", { name: "an unknown version", headers: { ...old("v1"), "X-HubSpot-Signature-Version": "v9" }, body, expect: "signature" });
  add("hubspot", { name: "v2, URL changed", headers: old("v2"), body, url: URL_ + "x", expect: "signature" });
  add("hubspot", { name: "v3 with a query", headers: sign(body, KEY, NOW, URL_ + "?b=2&a=1"), query: "b=2&a=1", body, expect: "genuine" });
  add("hubspot", { name: "v3, query in another order", headers: sign(body, KEY, NOW, URL_ + "?b=2&a=1"), query: "a=1&b=2", body, expect: "signature" });
  add("hubspot", { name: "v3, query added", headers: sign(body), query: "a=1", body, expect: "signature" });
  add("hubspot", { name: "v3, another path", headers: sign(body, KEY, NOW, URL_ + "x"), body, expect: "signature" });
  add("hubspot", { name: "v3, http for https", headers: sign(body, KEY, NOW, URL_.replace("https", "http")), body, expect: "signature" });
  add("hubspot", { name: "v3, a port of its own", url: "https://hooks.example.com:8443/c/t", headers: sign(body, KEY, NOW, "https://hooks.example.com:8443/c/t"), body, expect: "genuine" });
  add("hubspot", { name: "v3, signed for another method", headers: sign(body, KEY, NOW, URL_, "PUT"), body, expect: "signature" });
  tamper("hubspot", { object, sign, sig: "X-HubSpot-Signature-v3", encoding: "base64" });
  times("hubspot", { base: {}, body, sign, unit: 1000, future: "genuine", header: "X-HubSpot-Request-Timestamp" });
}
// --- Twilio
{
  const tw = require("twilio/lib/webhooks/webhooks.js");
  const params = { AccountSid: "AC0synthetic", MessageSid: "SM1", MessageStatus: "delivered", Body: "a+b c & d = ü", Empty: "" };
  const enc = (p) => new URLSearchParams(Object.entries(p).flatMap(([k, v]) => [].concat(v).map((x) => [k, x]))).toString();
  const sign = (p, url = URL_, key = KEY) => ({ "Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": tw.getExpectedTwilioSignature(key, url, p) });
  const fn = "status-callbacks";
  const own = (name, headers, o, expect, extra = {}) => add("twilio", { fn, name, headers, body: enc(params), ...o, expect, ...extra });
  own("signed by twilio", sign(params), {}, "genuine", { expect_type: "delivered", expect_delivery_id: "SM1:delivered", expect_external_id: "AC0synthetic", expect_events: 1 });
  sure(tw.validateRequest(KEY, sign(params)["X-Twilio-Signature"], URL_, params), "twilio");
  const dup = { ...params, MediaUrl: ["b", "a", "b"] };
  own("a name with several values", sign(dup), { body: enc(dup) }, "genuine");
  const q = "foo=1&bar=it's%20two";
  own("with a query", sign(params, `${URL_}?${q}`), { query: q }, "genuine");
  own("query in another order", sign(params, `${URL_}?${q}`), { query: "bar=it's%20two&foo=1" }, "signature");
  own("query encoded anew", sign(params, `${URL_}?${q}`), { query: "foo=1&bar=it%27s%20two" }, "signature");
  own("query taken away", sign(params, `${URL_}?${q}`), {}, "signature");
  own("query added", sign(params), { query: "a=1" }, "signature");
  own("another path", sign(params, URL_ + "x"), {}, "signature");
  own("http for https", sign(params, URL_.replace("https", "http")), {}, "signature");
  own("a port of its own", sign(params, "https://hooks.example.com:8443/c/t"), { url: "https://hooks.example.com:8443/c/t" }, "genuine");
  own("another port", sign(params, "https://hooks.example.com:8443/c/t"), { url: "https://hooks.example.com:9443/c/t" }, "signature");
  for (const [name, p] of [["changed", { ...params, MessageStatus: "failed" }], ["added", { ...params, Zed: "1" }], ["removed", { AccountSid: "AC0synthetic" }]]) own(`a field ${name}`, sign(params), { body: enc(p) }, "signature");
  own("fields in another order", sign(params), { body: enc(Object.fromEntries(Object.entries(params).reverse())) }, "genuine");
  const g = { "X-Twilio-Signature": tw.getExpectedTwilioSignature(KEY, `${URL_}?CallStatus=completed`, {}) };
  own("GET", g, { method: "GET", query: "CallStatus=completed", body: "" }, "genuine");
  own("GET, query changed", g, { method: "GET", query: "CallStatus=failed", body: "" }, "signature");
  const json = JSON.stringify([{ id: "EV1", type: "com.twilio.messaging.message.delivered" }, { id: "EV2", type: "com.twilio.messaging.message.sent" }]);
  const hash = "bodySHA256=" + tw.getExpectedBodyHash(json);
  const j = { "Content-Type": "application/json", "X-Twilio-Signature": tw.getExpectedTwilioSignature(KEY, `${URL_}?${hash}`, {}) };
  sure(tw.validateRequestWithBody(KEY, j["X-Twilio-Signature"], `${URL_}?${hash}`, json), "twilio body hash");
  const es = { fn: "event-streams", query: hash, body: json };
  own("JSON by its hash", j, es, "genuine", { expect_type: "com.twilio.messaging.message.delivered", expect_delivery_id: "EV1", expect_events: 2 });
  own("JSON changed under its hash", j, { ...es, body: json + "\n" }, "signature");
  own("JSON and hash changed", j, { ...es, query: "bodySHA256=" + tw.getExpectedBodyHash("{}"), body: "{}" }, "signature");
  own("JSON with an empty hash", { ...j, "X-Twilio-Signature": tw.getExpectedTwilioSignature(KEY, `${URL_}?bodySHA256=`, {}) }, { ...es, query: "bodySHA256=" }, "signature");
  own("JSON without a hash", { ...j, "X-Twilio-Signature": tw.getExpectedTwilioSignature(KEY, URL_, {}) }, { ...es, query: "" }, "signature");
  const s = sign(params)["X-Twilio-Signature"];
  const h = (v) => ({ "Content-Type": "application/x-www-form-urlencoded", ...(v === undefined ? {} : { "X-Twilio-Signature": v }) });
  const data = URL_ + Object.keys(params).sort().map((k) => k + params[k]).join("");
  for (const [name, v] of [["missing", undefined], ["empty", ""], ["cut off", s.slice(0, -3)], ["in hex", mac("sha1", KEY, data, "hex")], ["in SHA-256", mac("sha256", KEY, data, "base64")], ["with a prefix", "sha1=" + s], ["in lower case", s.toLowerCase()], ["by another key", sign(params, URL_, "synthetic-other")["X-Twilio-Signature"]]]) own(`signature ${name}`, h(v), {}, "signature");
  own("no key configured", sign(params), { secrets: [] }, "signature");
}
// --- generic HMAC
{
  const object = { type: "order.created", account_id: "a-1" };
  const body = JSON.stringify(object);
  const alg = { "sha256-hex": ["sha256", "", "hex"], "sha256-hex-prefixed": ["sha256", "sha256=", "hex"], "sha256-base64": ["sha256", "", "base64"], "sha1-hex": ["sha1", "", "hex"], "sha512-hex": ["sha512", "", "hex"] };
  for (const [fn, [hash, prefix, encoding]] of Object.entries(alg)) {
    const sign = (b, key) => ({ "Content-Type": "application/json", "X-Event-Type": "order.created", "X-Delivery-Id": "d-1", "X-Signature": prefix + mac(hash, key, b, encoding) });
    add("generic-hmac", { name: `${fn}: signed`, fn, headers: sign(body, KEY), body, expect: "genuine", expect_type: "order.created", expect_delivery_id: "d-1", expect_external_id: "a-1", expect_events: 1 });
    tamper("generic-hmac", { base: {}, fn, object, sign, sig: "X-Signature", prefix, encoding });
    for (const [other, [h2, p2, e2]] of Object.entries(alg)) if (other !== fn) add("generic-hmac", { name: `${fn}: signed as ${other}`, fn, headers: { ...sign(body, KEY), "X-Signature": p2 + mac(h2, KEY, body, e2) }, body, expect: "signature" });
  }
  const t = (v) => ({ "Content-Type": "application/json", ...(v === undefined ? {} : { "X-Token": v }) });
  add("generic-hmac", { name: "token: right", fn: "token", headers: t(KEY), body, expect: "genuine" });
  for (const [n, v] of [["missing", undefined], ["empty", ""], ["cut off", KEY.slice(1)], ["another", "synthetic-other"]]) add("generic-hmac", { name: `token: ${n}`, fn: "token", headers: t(v), body, expect: "signature" });
}

for (const [connector, cases] of Object.entries(files)) {
  fs.writeFileSync(new URL(`${connector}.json`, here), "[\n" + cases.map((c) => JSON.stringify(c)).join(",\n") + "\n]\n");
  console.log(connector, cases.length);
}

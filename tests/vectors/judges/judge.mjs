// Providers' own libraries, as judges of the vectors that a second implementation signed: what is genuine there must be so here, and what was
// tampered with must not. `npm install && npm run judge`; ends with 1 when one disagrees. The tests don't need it.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

// The libraries ask the clock: it stands at the moment at which each request arrives.
const Clock = Date;
let now = 0;
globalThis.Date = class extends Clock {
  constructor(...given) {
    given.length ? super(...given) : super(now);
  }
  static now() {
    return now;
  }
};

const body = (c) => (c.body_base64 ? Buffer.from(c.body_base64, "base64").toString() : (c.body ?? ""));
const headers = (c) => Object.fromEntries(c.headers.map(([name, value]) => [name.toLowerCase(), value]));
const key = (c) => c.secrets.at(-1);
const url = (c) => c.callback_url + (c.query ? `?${c.query}` : "");
// Some hash the body as they would write it themselves. Only such bodies can be judged.
const compact = (c) => {
  try {
    return JSON.stringify(JSON.parse(body(c))) === body(c);
  } catch {
    return false;
  }
};

const { Webhook: Svix } = require("svix");
const { Webhook: StandardWebhook } = require("standardwebhooks");
const svix = { judge: (c) => new Svix(key(c)).verify(body(c), headers(c)) };

// `judge` returns false or throws for what it doesn't take; `applies` leaves out what the library can't say anything about.
const judges = {
  sendgrid: {
    applies: (c) => !c.function && c.name !== "signature with something after it", // it reads over what follows the signature
    judge: (c) => {
      const { EventWebhook } = require("@sendgrid/eventwebhook");
      const events = new EventWebhook();
      const h = headers(c);
      const name = "x-twilio-email-event-webhook";
      return events.verifySignature(events.convertPublicKeyToECDSA(key(c)), body(c), h[`${name}-signature`], h[`${name}-timestamp`]);
    },
  },
  shipbob: svix,
  smartcar: {
    applies: (c) => c.expect !== "handshake-refused" && body(c).startsWith("{") && compact(c),
    judge: (c) => {
      const { hashChallenge, verifyPayload } = require("smartcar");
      if (c.expect === "handshake") return hashChallenge(key(c), JSON.parse(body(c)).data.challenge) === c.expect_reply_json.challenge;
      return verifyPayload(key(c), headers(c)["sc-signature"], JSON.parse(body(c)));
    },
  },
  solidgate: {
    judge: (c) => {
      const { Api } = require("@solidgate/node-sdk");
      const ours = new Api(c.parameters.publicKey, key(c))._generateSignature(body(c));
      return ours === headers(c).signature;
    },
  },
  square: {
    judge: (c) =>
      require("square").WebhooksHelper.verifySignature({
        requestBody: body(c),
        signatureHeader: headers(c)["x-square-hmacsha256-signature"] ?? "",
        signatureKey: key(c),
        notificationUrl: url(c),
      }),
  },
  stytch: svix,
  "supabase-auth-hooks": { judge: (c) => new StandardWebhook(key(c).replace("v1,", "")).verify(body(c), headers(c)) },
  svix,
  telnyx: { judge: (c) => new (require("telnyx/lib/webhooks.js").TelnyxWebhook)(key(c)).verify(body(c), headers(c)) },
  terra: {
    // It reads a signature's hex up to the first letter that is none.
    applies: (c) => c.name !== "signature with something after it",
    judge: (c) => require("terra-api").verifyTerraWebhookSignature(body(c), headers(c)["terra-signature"], key(c)),
  },
  truelayer: {
    judge: (c) =>
      require("truelayer-signing").verify({
        jwks: Object.values(c.keys)[0],
        signature: headers(c)["tl-signature"],
        method: c.method,
        path: new URL(c.callback_url).pathname,
        headers: headers(c),
        body: body(c),
      }),
  },
  unit: {
    applies: compact,
    judge: (c) =>
      require("@unit-finance/unit-node-sdk/dist/resources/webhooks.js").Webhooks.prototype.verify(headers(c)["x-unit-signature"], key(c), JSON.parse(body(c))),
  },
  "upstash-qstash": {
    judge: (c) => {
      const { Receiver } = require("@upstash/qstash");
      const receiver = new Receiver({ currentSigningKey: c.secrets[0], nextSigningKey: key(c) });
      return receiver.verify({ signature: headers(c)["upstash-signature"], body: body(c), url: url(c) });
    },
  },
  vanta: svix,
  viber: {
    applies: (c) => c.expect !== "handshake",
    judge: (c) => {
      const Validator = require("viber-bot/lib/message/message-validator.js");
      return new Validator({ debug() {} }, key(c)).validateMessage(headers(c)["x-viber-content-signature"] ?? "", body(c));
    },
  },
  vonage: {
    // The library judges the token; what it has to say of the body is Vonage's documentation.
    judge: (c) => {
      const token = (headers(c).authorization ?? "").replace("Bearer ", "");
      if (!require("@vonage/jwt").verifySignature(token, key(c))) return false;
      const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
      return claims.iss === "Vonage" && claims.payload_hash === createHash("sha256").update(body(c)).digest("hex");
    },
  },
  webflow: {
    // The library checks no age; five minutes are Webflow's documentation.
    applies: (c) => c.expect !== "timestamp",
    judge: (c) => new (require("webflow-api/wrapper/WebhooksClient.js").Client)({}).verifySignature({ headers: headers(c), body: body(c), secret: key(c) }),
  },
  whop: {
    // The library decodes its key; Whop's guide has the pasted secret encoded first.
    judge: (c) => {
      const { Webhooks } = require("@whop/sdk/resources/webhooks.js");
      return new Webhooks({ webhookKey: btoa(key(c)) }).unwrap(body(c), { headers: headers(c) });
    },
  },
  workos: {
    applies: compact,
    judge: (c) =>
      new (require("@workos-inc/node").WorkOS)("sk_none").webhooks.constructEvent({ payload: JSON.parse(body(c)), sigHeader: headers(c)["workos-signature"], secret: key(c) }),
  },
};

let disagreements = 0;
for (const [connector, { judge, applies = () => true }] of Object.entries(judges)) {
  const cases = JSON.parse(readFileSync(new URL(`../${connector}.json`, import.meta.url)));
  const judged = cases.filter((c) => (c.secrets.length || c.keys) && (c.expect !== "handshake" || connector === "smartcar") && applies(c));
  const counts = { genuine: 0, refused: 0 };
  for (const c of judged) {
    now = c.now;
    let taken = false;
    try {
      taken = (await judge(c)) !== false;
    } catch {
      // Refused.
    }
    counts[taken ? "genuine" : "refused"] += 1;
    if (taken !== ["genuine", "handshake"].includes(c.expect)) {
      disagreements += 1;
      console.log(`${connector} ${c.function ?? ""} "${c.name}": the library ${taken ? "takes" : "refuses"} it`);
    }
  }
  console.log(`${connector}: ${counts.genuine} genuine, ${counts.refused} refused`);
}
process.exit(disagreements ? 1 : 0);

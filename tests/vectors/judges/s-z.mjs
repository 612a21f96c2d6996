// Providers from S to Z.
import { createHash } from "node:crypto";
import { body, compact, headers, key, overRead, require, standardWebhooks, svix, url } from "./request.mjs";

export default {
  sendgrid: {
    library: "@sendgrid/eventwebhook",
    applies: (c) => !c.function && !overRead(c),
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
    library: "smartcar",
    applies: (c) => c.expect !== "handshake-refused" && body(c).startsWith("{") && compact(c),
    handshakes: true,
    judge: (c) => {
      const { hashChallenge, verifyPayload } = require("smartcar");
      if (c.expect === "handshake") return hashChallenge(key(c), JSON.parse(body(c)).data.challenge) === c.expect_reply_json.challenge;
      return verifyPayload(key(c), headers(c)["sc-signature"], JSON.parse(body(c)));
    },
  },
  solidgate: {
    library: "@solidgate/node-sdk",
    of: "it signs requests alike",
    judge: (c) => {
      const { Api } = require("@solidgate/node-sdk");
      const ours = new Api(c.parameters.publicKey, key(c))._generateSignature(body(c));
      return ours === headers(c).signature;
    },
  },
  square: {
    library: "square",
    judge: (c) =>
      require("square").WebhooksHelper.verifySignature({
        requestBody: body(c),
        signatureHeader: headers(c)["x-square-hmacsha256-signature"] ?? "",
        signatureKey: key(c),
        notificationUrl: url(c),
      }),
  },
  stytch: svix,
  "supabase-auth-hooks": { library: "standardwebhooks", judge: (c) => standardWebhooks.judge({ ...c, secrets: [key(c).replace("v1,", "")] }) },
  svix: { ...svix, own: true },
  telnyx: { library: "telnyx", judge: (c) => new (require("telnyx/lib/webhooks.js").TelnyxWebhook)(key(c)).verify(body(c), headers(c)) },
  terra: {
    library: "terra-api",
    applies: (c) => !overRead(c),
    judge: (c) => require("terra-api").verifyTerraWebhookSignature(body(c), headers(c)["terra-signature"], key(c)),
  },
  truelayer: {
    library: "truelayer-signing",
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
    library: "@unit-finance/unit-node-sdk",
    applies: compact,
    judge: (c) =>
      require("@unit-finance/unit-node-sdk/dist/resources/webhooks.js").Webhooks.prototype.verify(headers(c)["x-unit-signature"], key(c), JSON.parse(body(c))),
  },
  "upstash-qstash": {
    library: "@upstash/qstash",
    judge: (c) => {
      const { Receiver } = require("@upstash/qstash");
      const receiver = new Receiver({ currentSigningKey: c.secrets[0], nextSigningKey: key(c) });
      return receiver.verify({ signature: headers(c)["upstash-signature"], body: body(c), url: url(c) });
    },
  },
  vanta: svix,
  viber: {
    library: "viber-bot",
    applies: (c) => c.expect !== "handshake",
    judge: (c) => {
      const Validator = require("viber-bot/lib/message/message-validator.js");
      return new Validator({ debug() {} }, key(c)).validateMessage(headers(c)["x-viber-content-signature"] ?? "", body(c));
    },
  },
  vonage: {
    library: "@vonage/jwt",
    of: "the token",
    // The library judges the token; what it has to say of the body is Vonage's documentation.
    judge: (c) => {
      const token = (headers(c).authorization ?? "").replace("Bearer ", "");
      if (!require("@vonage/jwt").verifySignature(token, key(c))) return false;
      const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
      return claims.iss === "Vonage" && claims.payload_hash === createHash("sha256").update(body(c)).digest("hex");
    },
  },
  webflow: {
    library: "webflow-api",
    // The library checks no age; five minutes are Webflow's documentation.
    applies: (c) => c.expect !== "timestamp",
    judge: (c) => new (require("webflow-api/wrapper/WebhooksClient.js").Client)({}).verifySignature({ headers: headers(c), body: body(c), secret: key(c) }),
  },
  whop: {
    library: "@whop/sdk",
    // The library decodes its key; Whop's guide has the pasted secret encoded first.
    judge: (c) => {
      const { Webhooks } = require("@whop/sdk/resources/webhooks.js");
      return new Webhooks({ webhookKey: btoa(key(c)) }).unwrap(body(c), { headers: headers(c) });
    },
  },
  workos: {
    library: "@workos-inc/node",
    applies: compact,
    judge: (c) =>
      new (require("@workos-inc/node").WorkOS)("sk_none").webhooks.constructEvent({ payload: JSON.parse(body(c)), sigHeader: headers(c)["workos-signature"], secret: key(c) }),
  },
};

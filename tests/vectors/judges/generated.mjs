// The connectors whose vectors `generate.mjs` makes with the same libraries: here they judge the tampered ones too.
import { body, compact, header, headers, key, require, standardWebhooks, url } from "./request.mjs";

// Most are handed text: a body that is none can't be judged.
const isText = (c) => !c.body_base64;
const hubspotVersion = (c) => (header(c, "X-HubSpot-Signature-v3") ? "v3" : header(c, "X-HubSpot-Signature-Version"));
// Of a name that comes several times a list.
const fields = (c) => {
  const sent = new URLSearchParams(body(c));
  return Object.fromEntries([...sent.keys()].map((name) => [name, sent.getAll(name).length > 1 ? sent.getAll(name) : sent.get(name)]));
};
const shopify = (apiSecretKey) => {
  require("@shopify/shopify-api/adapters/node");
  const { LogSeverity, shopifyApi } = require("@shopify/shopify-api");
  const logger = { level: LogSeverity.Error, log: () => {} };
  return shopifyApi({ apiKey: "a", apiSecretKey, scopes: [], hostName: "example.com", apiVersion: "2026-01", isEmbeddedApp: false, logger });
};

export default {
  github: {
    library: "@octokit/webhooks-methods",
    // It writes hex in lower case and compares that; it reads no headers but the signature, and leaves the method to its caller.
    applies: (c) => c.name !== "upper-case hex" && !["method", "media-type"].includes(c.expect) && isText(c),
    judge: async (c) => (await import("@octokit/webhooks-methods")).verify(key(c), body(c), header(c, "X-Hub-Signature-256")),
  },
  hubspot: {
    library: "@hubspot/api-client",
    judge: (c) => {
      const { Signature } = require("@hubspot/api-client/lib/src/utils/signature.js");
      const signatureVersion = hubspotVersion(c);
      const signature = header(c, signatureVersion === "v3" ? "X-HubSpot-Signature-v3" : "X-HubSpot-Signature");
      const timestamp = Number(header(c, "X-HubSpot-Request-Timestamp"));
      return Signature.isValid({ clientSecret: key(c), requestBody: body(c), signature, signatureVersion, url: url(c), method: c.method, timestamp });
    },
  },
  shopify: {
    library: "@shopify/shopify-api",
    applies: (c) => isText(c) && c.function !== "events", // it knows the older headers alone
    judge: async (c) => (await shopify(key(c)).webhooks.validate({ rawBody: body(c), rawRequest: { method: c.method, url: "/", headers: headers(c) } })).valid,
  },
  slack: {
    library: "@slack/bolt",
    applies: isText,
    judge: (c) => {
      const { isValidSlackRequest } = require("@slack/bolt/dist/receivers/verify-request.js");
      const signed = { "x-slack-request-timestamp": Number(header(c, "X-Slack-Request-Timestamp")), "x-slack-signature": header(c, "X-Slack-Signature") };
      return isValidSlackRequest({ signingSecret: key(c), body: body(c), nowMilliseconds: c.now, headers: signed });
    },
  },
  "standard-webhooks": { ...standardWebhooks, applies: isText },
  stripe: {
    library: "stripe",
    applies: isText,
    judge: (c) => {
      const Stripe = require("stripe");
      const { webhooks } = new (Stripe.default ?? Stripe)("none");
      return webhooks.signature.verifyHeader(body(c), header(c, "Stripe-Signature"), key(c), 300, undefined, c.now);
    },
  },
  twilio: {
    library: "twilio",
    // It tries other spellings of the query as well.
    applies: (c) => c.name !== "query encoded anew",
    judge: (c) => {
      const { validateRequest, validateRequestWithBody } = require("twilio/lib/webhooks/webhooks.js");
      if (c.query.includes("bodySHA256")) return validateRequestWithBody(key(c), header(c, "X-Twilio-Signature"), url(c), body(c));
      return validateRequest(key(c), header(c, "X-Twilio-Signature"), url(c), fields(c));
    },
  },
  zoom: {
    library: "@zoom/rivet",
    handshakes: true,
    // It writes the body anew before it hashes it, and checks no time. It signs whatever a URL check asks for: we don't.
    applies: (c) => isText(c) && compact(c) && c.expect && c.expect !== "timestamp" && c.expect !== "handshake-refused",
    judge: async (c) => {
      const { AwsLambdaReceiver } = await import("@zoom/rivet/meetings");
      const receiver = new AwsLambdaReceiver({ webhooksSecretToken: key(c) });
      receiver.init({ eventEmitter: { emit: async () => {} } });
      const { statusCode } = await receiver.start()({ body: body(c), headers: headers(c), isBase64Encoded: false }, {});
      return statusCode === 200;
    },
  },
};

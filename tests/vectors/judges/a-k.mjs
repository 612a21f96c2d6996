// Providers from A to K.
import { body, bytes, compact, form, header, headers, isJson, key, overRead, require, standardWebhooks, svix, url } from "./request.mjs";

const braintree = (c) => {
  const { BraintreeGateway, Environment } = require("braintree");
  const keys = { environment: Environment.Sandbox, merchantId: "m", publicKey: c.parameters.public_key, privateKey: key(c) };
  return new BraintreeGateway(keys).webhookNotification;
};
// The validator fetches the certificate with `https.get`: what a vector says is found there is what it gets.
const fetching = async (found, judge) => {
  const https = require("node:https");
  const { Readable } = require("node:stream");
  const get = https.get;
  https.get = (at, done) => {
    const answer = Readable.from([found[typeof at === "string" ? at : at.href] ?? ""]);
    answer.statusCode = 200;
    queueMicrotask(() => done(answer));
    return { on: () => ({}) };
  };
  try {
    return await judge();
  } finally {
    https.get = get;
  }
};
// What it looks at is the certificate's host alone: not its path, who vouches for it and for which name, nor the topic. It takes either
// version of the signature, and leaves the token out where a subscription ended, against Amazon's own documentation.
const NOT_ASKED = [
  "a certificate for another name", "a certificate that nobody vouches for", "a certificate that vouches for itself", "a certificate in another place",
  "a topic that isn't ours", "version 1", "a subscription ended",
];

export default {
  "acuity-scheduling": {
    library: "acuityscheduling",
    judge: (c) => require("acuityscheduling").verifyMessageSignature(key(c), body(c), header(c, "X-Acuity-Signature")),
  },
  adyen: {
    library: "@adyen/api-library",
    // It judges one item, and not how many there are; it wants an amount in each.
    applies: (c) => !overRead(c) && c.name !== "two items in one" && c.name !== "a report without an amount",
    judge: (c) => {
      const validator = new (require("@adyen/api-library").hmacValidator)();
      if (c.function) return validator.validateHMACSignature(key(c), header(c, "HmacSignature"), body(c));
      return validator.validateHMAC(JSON.parse(body(c)).notificationItems[0].NotificationRequestItem, key(c));
    },
  },
  "alipay-cn": {
    library: "alipay-sdk",
    // Which hash there is it takes from the request.
    applies: (c) => !overRead(c) && c.name !== "signed with SHA-1",
    judge: (c) => {
      const { generateKeyPairSync } = require("node:crypto");
      const { AlipaySdk } = require("alipay-sdk");
      const pem = { privateKeyEncoding: { type: "pkcs1", format: "pem" }, publicKeyEncoding: { type: "spki", format: "pem" } };
      const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048, ...pem });
      return new AlipaySdk({ appId: "app1", privateKey, alipayPublicKey: key(c), signType: "RSA2" }).checkNotifySignV2(form(c));
    },
  },
  anthropic: {
    library: "@anthropic-ai/sdk",
    judge: (c) => new (require("@anthropic-ai/sdk"))({ apiKey: "none" }).beta.webhooks.unwrap(body(c), { headers: headers(c), key: key(c) }),
  },
  autumn: svix,
  "aws-sns": {
    library: "sns-validator",
    applies: (c) => body(c).startsWith("{") && !overRead(c) && !NOT_ASKED.includes(c.name),
    handshakes: true,
    judge: (c) =>
      fetching(c.keys, () => new Promise((taken, refused) => {
        delete require.cache[require.resolve("sns-validator")]; // it keeps what it fetched
        new (require("sns-validator"))().validate(body(c), (error) => (error ? refused(error) : taken(true)));
      })),
  },
  beehiiv: svix,
  bigcommerce: { ...standardWebhooks, judge: (c) => standardWebhooks.judge({ ...c, secrets: [btoa(key(c))] }) },
  box: {
    library: "box-node-sdk",
    applies: (c) => !overRead(c),
    judge: (c) => require("box-node-sdk/lib/managers/webhooks").WebhooksManager.validateMessage(body(c), headers(c), key(c), { secondaryKey: key(c) }),
  },
  braintree: {
    library: "braintree",
    handshakes: true,
    judge: async (c) => {
      const challenge = new URLSearchParams(c.query).get("bt_challenge");
      if (challenge) {
        const answer = braintree(c).verify(challenge);
        return c.expect_reply === undefined || answer === c.expect_reply;
      }
      return (await braintree(c).parse(form(c).bt_signature, form(c).bt_payload)).kind !== undefined;
    },
  },
  brex: standardWebhooks,
  cashfree: {
    library: "cashfree-pg",
    judge: (c) => {
      const { Cashfree, CFEnvironment } = require("cashfree-pg");
      const cashfree = new Cashfree(CFEnvironment.SANDBOX, "id", key(c));
      cashfree.XClientSecret = key(c);
      return Boolean(cashfree.PGVerifyWebhookSignature(header(c, "x-webhook-signature"), body(c), header(c, "x-webhook-timestamp")));
    },
  },
  clerk: {
    library: "@clerk/backend",
    judge: async (c) => {
      const { verifyWebhook } = require("@clerk/backend/webhooks");
      await verifyWebhook(new Request(url(c), { method: "POST", headers: headers(c), body: bytes(c) }), { signingSecret: key(c) });
    },
  },
  cloudinary: {
    library: "cloudinary",
    judge: (c) => {
      const { config, utils } = require("cloudinary").v2;
      config({ api_secret: key(c), signature_algorithm: c.function === "notifications-sha1" ? "sha1" : "sha256" });
      return utils.verifyNotificationSignature(body(c), Number(header(c, "x-cld-timestamp")), header(c, "x-cld-signature"), 7200);
    },
  },
  "coinbase-commerce": {
    library: "coinbase-commerce-node",
    judge: (c) => require("coinbase-commerce-node").Webhook.verifySigHeader(body(c), header(c, "X-CC-Webhook-Signature"), key(c)),
  },
  contentful: {
    library: "@contentful/node-apps-toolkit",
    // It takes its window from whoever calls it; none is asked for here.
    applies: (c) => c.expect !== "timestamp",
    judge: (c) => {
      const { verifyRequest } = require("@contentful/node-apps-toolkit");
      const path = new URL(c.callback_url).pathname + (c.query ? `?${c.query}` : "");
      return verifyRequest(key(c), { method: c.method, path, headers: headers(c), body: body(c) }, 0);
    },
  },
  crisp: {
    library: "crisp-api",
    // It is given the parsed body, and writes it out again.
    applies: compact,
    judge: (c) => {
      const { Crisp } = require("crisp-api");
      // The other of its two judges wants a server first; both are the same.
      return new Crisp().verifyWidget(key(c), JSON.parse(body(c)), header(c, "X-Crisp-Request-Timestamp"), header(c, "X-Crisp-Signature"));
    },
  },
  cronofy: {
    library: "cronofy",
    handshakes: true,
    judge: (c) => new (require("cronofy"))({ client_id: "a", client_secret: key(c) }).hmacValid({ hmac: header(c, "Cronofy-HMAC-SHA256"), body: body(c) }),
  },
  discord: {
    library: "discord-interactions",
    handshakes: true,
    judge: (c) => require("discord-interactions").verifyKey(body(c), header(c, "X-Signature-Ed25519"), header(c, "X-Signature-Timestamp"), key(c)),
  },
  "dodo-payments": {
    library: "dodopayments",
    judge: (c) => new (require("dodopayments"))({ bearerToken: "none" }).webhooks.unwrap(body(c), { headers: headers(c), key: key(c) }),
  },
  "dropbox-sign": {
    library: "@dropbox/sign",
    // The library is given the JSON; how a form is taken apart isn't its business.
    applies: (c) => body(c).split('name="json"').length === 2 && c.name !== "not JSON" && c.name !== "no event at all",
    judge: (c) => {
      const { EventCallbackHelper, EventCallbackRequest } = require("@dropbox/sign");
      const text = body(c).slice(body(c).indexOf("\r\n\r\n") + 4, body(c).lastIndexOf("\r\n--"));
      return EventCallbackHelper.isValid(key(c), EventCallbackRequest.init(JSON.parse(text)));
    },
  },
  easypost: {
    library: "@easypost/api",
    judge: (c) => new (require("@easypost/api"))("none").Utils.validateWebhook(bytes(c), headers(c), key(c)),
  },
  elevenlabs: {
    library: "@elevenlabs/elevenlabs-js",
    judge: (c) => new (require("@elevenlabs/elevenlabs-js/wrapper/webhooks.js").WebhooksClient)({}).constructEvent(body(c), header(c, "ElevenLabs-Signature"), key(c)),
  },
  finch: {
    library: "@tryfinch/finch-api",
    judge: (c) => new (require("@tryfinch/finch-api"))({ accessToken: "none" }).webhooks.unwrap(body(c), headers(c), key(c)),
  },
  getstream: {
    library: "stream-chat",
    judge: (c) => require("stream-chat").verifyAndParseWebhook(bytes(c), header(c, "X-Signature"), key(c)),
  },
  gocardless: {
    library: "gocardless-nodejs",
    judge: (c) => require("gocardless-nodejs/webhooks").parse(body(c), key(c), header(c, "Webhook-Signature")),
  },
  hookdeck: {
    library: "@hookdeck/sdk",
    judge: async (c) => {
      const { verifyWebhookSignature } = require("@hookdeck/sdk/webhooks/helpers");
      return (await verifyWebhookSignature({ headers: headers(c), rawBody: body(c), signingSecret: key(c) })).isValidSignature;
    },
  },
  hygraph: {
    library: "@hygraph/utils",
    judge: (c) => require("@hygraph/utils").verifyWebhookSignature({ rawPayload: body(c), signature: header(c, "gcms-signature"), secret: key(c) }),
  },
  imagekit: {
    library: "imagekit",
    applies: (c) => c.function === "media-webhooks" && c.expect !== "timestamp", // the library checks no age
    judge: (c) => new (require("imagekit"))({ publicKey: "a", privateKey: "b", urlEndpoint: "https://ik.example.com" }).verifyWebhookEvent(body(c), header(c, "x-ik-signature"), key(c)),
  },
  "kontent-ai": {
    library: "@kontent-ai/webhook-helper",
    applies: isJson,
    judge: (c) => {
      const { signatureHelper } = require("@kontent-ai/webhook-helper");
      return signatureHelper.isValidSignatureFromString(body(c), key(c), header(c, "X-Kontent-ai-Signature"));
    },
  },
};

// Providers from L to R.
import { body, bytes, form, header, headers, isJson, key, overRead, require, url } from "./request.mjs";

export default {
  line: {
    library: "@line/bot-sdk",
    applies: (c) => !overRead(c),
    judge: (c) => require("@line/bot-sdk").validateSignature(bytes(c), key(c), header(c, "X-Line-Signature")),
  },
  linear: {
    library: "@linear/sdk",
    judge: (c) => {
      const { LinearWebhookClient } = require("@linear/sdk/webhooks");
      return new LinearWebhookClient(key(c)).verify(bytes(c), header(c, "Linear-Signature"));
    },
  },
  lithic: {
    library: "lithic",
    judge: (c) => new (require("lithic"))({ apiKey: "none" }).webhooks.verifySignature(body(c), headers(c), key(c)),
  },
  liveblocks: {
    library: "@liveblocks/node",
    applies: isJson,
    judge: (c) => new (require("@liveblocks/node").WebhookHandler)(key(c)).verifyRequest({ headers: headers(c), rawBody: body(c) }),
  },
  livekit: {
    library: "livekit-server-sdk",
    judge: (c) => new (require("livekit-server-sdk").WebhookReceiver)(c.parameters.apiKey, key(c)).receive(body(c), header(c, "Authorization")),
  },
  mailtrap: {
    library: "mailtrap",
    judge: (c) => require("mailtrap").verifyWebhookSignature(bytes(c), header(c, "Mailtrap-Signature"), key(c)),
  },
  "mercado-pago": {
    library: "mercadopago",
    judge: (c) =>
      require("mercadopago").WebhookSignatureValidator.validate({
        xSignature: header(c, "x-signature"),
        xRequestId: header(c, "x-request-id"),
        dataId: new URLSearchParams(c.query).get("data.id")?.toLowerCase(), // as the documentation asks of whoever calls it
        secret: key(c),
      }),
  },
  messagebird: {
    library: "messagebird",
    judge: (c) => {
      const { createSecretKey } = require("node:crypto");
      const { verify } = require("messagebird/lib/webhook-signature-jwt.js");
      return verify(url(c), bytes(c), header(c, "MessageBird-Signature-JWT"), createSecretKey(Buffer.from(key(c))));
    },
  },
  mux: {
    library: "@mux/mux-node",
    judge: (c) => new (require("@mux/mux-node"))({ tokenId: "a", tokenSecret: "b" }).webhooks.verifySignature(body(c), headers(c), key(c)),
  },
  notion: {
    library: "@notionhq/client",
    judge: (c) => require("@notionhq/client").verifyWebhookSignature({ body: body(c), signature: header(c, "X-Notion-Signature"), verificationToken: key(c) }),
  },
  onfido: {
    library: "@onfido/api",
    judge: (c) => new (require("@onfido/api").WebhookEventVerifier)(key(c)).readPayload(bytes(c), header(c, "X-SHA2-Signature")),
  },
  openai: {
    library: "openai",
    applies: (c) => !overRead(c),
    judge: (c) => new (require("openai"))({ apiKey: "none" }).webhooks.verifySignature(body(c), headers(c), key(c)),
  },
  opennode: {
    library: "opennode",
    judge: (c) => new (require("opennode").OpenNodeClient)(key(c), "dev").verifySignature(form(c)),
  },
  orb: {
    library: "orb-billing",
    judge: (c) => new (require("orb-billing"))({ apiKey: "none" }).webhooks.verifySignature(body(c), headers(c), key(c)),
  },
  paddle: {
    library: "@paddle/paddle-node-sdk",
    judge: (c) => new (require("@paddle/paddle-node-sdk").Paddle)("none").webhooks.isSignatureValid(body(c), key(c), header(c, "Paddle-Signature")),
  },
  plain: {
    library: "@team-plain/typescript-sdk",
    applies: (c) => c.expect !== "timestamp" && c.name !== "no time in it",
    judge: (c) => {
      const { PlainWebhookSignatureVerificationError, verifyPlainWebhook } = require("@team-plain/typescript-sdk");
      const { error } = verifyPlainWebhook(body(c), header(c, "Plain-Request-Signature"), key(c));
      // It reads the event before the time, which a short one of a vector doesn't satisfy: so the time isn't judged.
      return !(error instanceof PlainWebhookSignatureVerificationError);
    },
  },
  plivo: {
    library: "plivo",
    // It is handed one signature; which header that is from is its caller's.
    applies: (c) => c.name !== "signed with the main account's token",
    judge: (c) => {
      const sent = ["X-Plivo-Signature-V3-Nonce", "X-Plivo-Signature-V3"].map((name) => header(c, name));
      return require("plivo").validateV3Signature(c.method, url(c), sent[0], key(c), sent[1], form(c));
    },
  },
  polar: {
    library: "@polar-sh/sdk",
    judge: (c) => {
      const { validateEvent, WebhookVerificationError } = require("@polar-sh/sdk/webhooks");
      try {
        return validateEvent(body(c), headers(c), key(c));
      } catch (error) {
        // It reads the event after that, which a short one of a vector doesn't satisfy.
        return !(error instanceof WebhookVerificationError);
      }
    },
  },
  pusher: {
    library: "pusher",
    judge: (c) => new (require("pusher"))({ appId: "1", key: header(c, "X-Pusher-Key"), secret: key(c), cluster: "eu" }).webhook({ headers: headers(c), rawBody: body(c) }).isValid(),
  },
  razorpay: {
    library: "razorpay",
    judge: (c) => require("razorpay").validateWebhookSignature(body(c), header(c, "X-Razorpay-Signature"), key(c)),
  },
  replicate: {
    library: "replicate",
    // The library checks no age.
    applies: (c) => c.expect !== "timestamp",
    judge: (c) => require("replicate").validateWebhook({ headers: headers(c), body: body(c) }, key(c)),
  },
  resend: {
    library: "resend",
    judge: (c) => {
      const [id, timestamp, signature] = ["svix-id", "svix-timestamp", "svix-signature"].map((name) => header(c, name));
      return new (require("resend").Resend)("none").webhooks.verify({ payload: body(c), headers: { id, timestamp, signature }, webhookSecret: key(c) });
    },
  },
  "retell-ai": {
    library: "retell-sdk",
    judge: (c) => require("retell-sdk").verify(body(c), key(c), header(c, "X-Retell-Signature")),
  },
  sanity: {
    library: "@sanity/webhook",
    judge: (c) => require("@sanity/webhook").isValidSignature(body(c), header(c, "sanity-webhook-signature"), key(c)),
  },
  seam: {
    library: "@seamapi/webhook",
    judge: (c) => new (require("@seamapi/webhook").SeamWebhook)(key(c)).verify(body(c), headers(c)),
  },
};

// A vector's request, as the libraries want it.
import { createRequire } from "node:module";

export const require = createRequire(import.meta.url);

// The libraries ask the clock: it stands at the moment at which each request arrives.
const Clock = Date;
let now = Clock.now();
globalThis.Date = class extends Clock {
  constructor(...given) {
    given.length ? super(...given) : super(now);
  }
  static now() {
    return now;
  }
};
export const arriveAt = (milliseconds) => {
  now = milliseconds;
};

export const bytes = (c) => (c.body_base64 ? Buffer.from(c.body_base64, "base64") : Buffer.from(c.body ?? ""));
export const body = (c) => bytes(c).toString();
export const headers = (c) => Object.fromEntries(c.headers.map(([name, value]) => [name.toLowerCase(), value]));
export const header = (c, name) => headers(c)[name.toLowerCase()] ?? "";
export const key = (c) => c.secrets.at(-1);
export const url = (c) => c.callback_url + (c.query ? `?${c.query}` : "");
export const form = (c) => Object.fromEntries(new URLSearchParams(body(c)));
// Some hash the body as they would write it themselves. Only such bodies can be judged.
export const compact = (c) => {
  try {
    return JSON.stringify(JSON.parse(body(c))) === body(c);
  } catch {
    return false;
  }
};
export const isJson = (c) => {
  try {
    return typeof JSON.parse(body(c)) === "object";
  } catch {
    return false;
  }
};

// Node's own base64 and hex read up to the first character that is none, and so do libraries that decode a signature before they compare it.
export const overRead = (c) => c.name === "signature with something after it";

// Whose libraries hand everything to a library that many share: these say whose, and still are the provider's own words.
const { Webhook: Svix } = require("svix");
const { Webhook: StandardWebhook } = require("standardwebhooks");
export const svix = { library: "svix", judge: (c) => new Svix(key(c)).verify(body(c), headers(c)) };
export const standardWebhooks = { library: "standardwebhooks", judge: (c) => new StandardWebhook(key(c)).verify(body(c), headers(c)) };

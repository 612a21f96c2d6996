// Every page: accessible, as wide as the screen at 360 and at 2,560 pixels, light and dark, and all the same without scripts.

import { accessible, finish, look, shot, start, visitor } from "./console.mjs";

const pages = {
  "sign-in": "/sign-in",
  orgs: "/",
  connectors: "/orgs/demo/connectors",
  "connectors-none": "/orgs/demo/connectors?q=there-is-no-such-connector",
  webhooks: "/orgs/demo/groups/github/webhooks",
  webhook: "/orgs/demo/groups/github/webhooks/everything",
  "webhook-edit": "/orgs/demo/groups/github/webhooks/everything/edit",
  "webhook-clone": "/orgs/demo/groups/github/webhooks/template/clone",
  "webhook-delete": "/orgs/demo/groups/github/webhooks/everything/delete",
  mapping: "/orgs/demo/groups/github/webhooks/everything/mapping",
  destinations: "/orgs/demo/destinations",
  "destination-http": "/orgs/demo/destinations/new?kind=http",
  "destination-salesforce": "/orgs/demo/destinations/new?kind=salesforce",
  "no-page": "/nowhere",
  events: "/orgs/demo/events",
  "events-none": "/orgs/demo/events?text=nobody+has+this",
  "events-wrong": "/orgs/demo/events?since=yesterday",
  deliveries: "/orgs/demo/deliveries",
  "replay-all": "/orgs/demo/deliveries/replay-all?status=dead",
  refusals: "/orgs/demo/refusals",
  "not-kept": "/orgs/demo/refusals?not-kept=on",
  live: "/orgs/demo/live",
  test: "/orgs/demo/groups/github/test",
  overview: "/orgs/demo",
  connector: "/orgs/demo/connectors/github",
  "group-new": "/orgs/demo/groups/new?connector=github&function=repository",
  "group-new-unsigned": "/orgs/demo/groups/new?connector=docker-hub",
  group: "/orgs/demo/groups/github",
  "group-edit": "/orgs/demo/groups/github/edit",
  "group-secrets": "/orgs/demo/groups/github/secrets",
  "group-url": "/orgs/demo/groups/github/url",
  "group-disable": "/orgs/demo/groups/github/disable",
  "group-delete": "/orgs/demo/groups/github/delete",
  tokens: "/orgs/demo/tokens",
  fleet: "/fleet",
};

const problems = [];
const browser = await start();
for (const view of [
  { name: "wide", width: 1280 },
  { name: "dark", width: 1280, dark: true },
  { name: "narrow", width: 360 },
  { name: "huge", width: 2560 },
  { name: "plain", width: 1280, scripts: false },
]) {
  const { page, wrong } = await visitor(browser, view);
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(path);
    if (view.scripts === false) {
      // It can't be asked: what counts is that it is the whole page.
      if ((await page.locator("h1").count()) !== 1) problems.push(`${name}-${view.name}: no page`);
    } else {
      problems.push(...(await look(page, `${name}-${view.name}`)));
      problems.push(...(await accessible(page, `${name}-${view.name}`)));
    }
    await shot(page, `${name}-${view.name}`);
  }
  problems.push(...wrong.map((text) => `${view.name}: ${text}`));
  await page.context().close();
}
await browser.close();
finish(problems);

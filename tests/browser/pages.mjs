// Every page in every state, as narrow as 360 and as wide as 2,560 pixels, light and dark: nothing for axe to find, nothing wider than the screen, and
// no link that leads nowhere. `crowd` has what is long and what there is much of: see `tests/all/console/browser.rs`.

import { accessible, finish, look, shot, stranger, start, visitor } from "./console.mjs";

const { VIEWER, LONG_GROUP, LONG_WEBHOOK, LONG_DESTINATION } = process.env;
const demo = "/orgs/demo";
const group = `${demo}/groups/github`;
const webhook = `${group}/webhooks/everything`;
const long = `/orgs/crowd/groups/${LONG_GROUP}`;
const long_webhook = `${long}/webhooks/${LONG_WEBHOOK}`;

/** What an address shows. */
const pages = {
  orgs: "/",
  fleet: "/fleet",
  overview: demo,
  connectors: `${demo}/connectors`,
  "connectors-found": `${demo}/connectors?q=payments`,
  connector: `${demo}/connectors/github`,
  "connector-unused": `${demo}/connectors/stripe`,
  "group-new": `${demo}/groups/new?connector=github&function=repository`,
  "group-new-unsigned": `${demo}/groups/new?connector=docker-hub`,
  "group-new-shopify": `${demo}/groups/new?connector=shopify`,
  group,
  "group-edit": `${group}/edit`,
  "group-secrets": `${group}/secrets`,
  "group-secret-remove": `${group}/secrets?remove=secret-1`,
  "group-url": `${group}/url`,
  "group-disable": `${group}/disable`,
  "group-delete": `${group}/delete`,
  test: `${group}/test`,
  webhooks: `${group}/webhooks`,
  webhook,
  template: `${group}/webhooks/template`,
  "webhook-edit": `${webhook}/edit`,
  "webhook-clone": `${group}/webhooks/template/clone`,
  "webhook-delete": `${webhook}/delete`,
  mapping: `${webhook}/mapping`,
  "mapping-versions": `${webhook}/mapping/versions`,
  destinations: "/orgs/crowd/destinations",
  "destination-http": `${demo}/destinations/new?kind=http`,
  "destination-salesforce": `${demo}/destinations/new?kind=salesforce`,
  "replay-all": "/orgs/crowd/deliveries/replay-all?status=held",
  feed: `/orgs/crowd/deliveries/replay-all?group=${LONG_GROUP}&webhook=${LONG_WEBHOOK}&feed=on`,
  live: `${demo}/live`,
  tokens: "/orgs/crowd/tokens",
  // Nothing there yet.
  "empty-overview": "/orgs/empty",
  "empty-destinations": "/orgs/empty/destinations",
  "empty-events": "/orgs/empty/events",
  "empty-deliveries": "/orgs/empty/deliveries",
  "empty-refusals": "/orgs/empty/refusals",
  "empty-not-kept": "/orgs/empty/refusals?not-kept=on",
  "empty-live": "/orgs/empty/live",
  "empty-tokens": "/orgs/empty/tokens",
  "none-connectors": `${demo}/connectors?q=there-is-no-such-connector`,
  "none-groups": `/orgs/crowd?q=there-is-no-such-group`,
  "none-events": "/orgs/crowd/events?text=nobody+has+this",
  "none-deliveries": "/orgs/crowd/deliveries?status=dropped",
  // Searches that can't be made.
  "wrong-events": "/orgs/crowd/events?since=yesterday",
  "wrong-deliveries": "/orgs/crowd/deliveries?webhook=all",
  "wrong-refusals": "/orgs/crowd/refusals?group=there-is-no-such-group",
  "wrong-live": "/orgs/crowd/live?group=there-is-no-such-group",
  // Much of it.
  "many-groups": "/orgs/crowd",
  "many-webhooks": "/orgs/crowd/groups/many",
  "many-functions": "/orgs/crowd/connectors/github",
  "many-events": "/orgs/crowd/events",
  "many-deliveries": "/orgs/crowd/deliveries",
  "many-held": "/orgs/crowd/deliveries?status=held",
  refusals: "/orgs/crowd/refusals",
  "refusals-group": `/orgs/crowd/refusals?group=${LONG_GROUP}`,
  // Long names.
  "long-group": long,
  "long-group-edit": `${long}/edit`,
  "long-group-delete": `${long}/delete`,
  "long-webhook": long_webhook,
  "long-webhook-edit": `${long_webhook}/edit`,
  "long-webhook-clone": `${long_webhook}/clone`,
  "long-webhook-delete": `${long_webhook}/delete`,
  "long-mapping": `${long_webhook}/mapping`,
  "long-mapping-versions": `${long_webhook}/mapping/versions`,
  "long-mapping-version": `${long_webhook}/mapping/versions/1`,
  "long-destination": `/orgs/crowd/destinations/${LONG_DESTINATION}`,
  "long-destination-edit": `/orgs/crowd/destinations/${LONG_DESTINATION}/edit`,
  "long-destination-delete": `/orgs/crowd/destinations/${LONG_DESTINATION}/delete`,
  // Nowhere.
  "no-page": "/nowhere",
  "no-group": `${demo}/groups/there-is-none`,
};

/** Forms that are refused: the page, what is typed, the button. */
const refused = {
  org: ["/", { "#name": "No Name At All!" }, "Create org"],
  group: [`${demo}/groups/new?connector=github&function=repository`, { "#display_name": "x".repeat(201), "#name": "Not a name", "#pool": "No Pool!", "#max_body_bytes": "1 MiB", "#capture_days": "400" }, "Save and get the Callback URL"],
  "group-edit": [`${group}/edit`, { "#retention_days": "9999", "[name=redact_path] >> nth=0": "payload..x" }, "Save"],
  secret: [`${group}/secrets`, { "#secret": "new", "#name": "no good!" }, "Add it"],
  "webhook-clone": [`${group}/webhooks/template/clone`, { "#label": "x".repeat(201), "#filter": "payload.(" }, "Clone"],
  "webhook-edit": [`${webhook}/edit`, { "#filter": "payload.action == ", "#order_by": "payload..x" }, "Save"],
  mapping: [`${webhook}/mapping`, { '[name="base.object"]': "Push__c", '[name="base.fields[0].name"]': "Ref__c", '[name="base.fields[0].from"]': "payload..x" }, "Save"],
  "destination-http": [`${demo}/destinations/new?kind=http`, { "#name": "No Name!", "#url": "ftp://example.com", "#concurrency": "1000", "#timeout_seconds": "soon" }, "Save"],
  "destination-salesforce": [`${demo}/destinations/new?kind=salesforce`, { "#name": "crm", "#url": "https://example.com", "#client_id": "id" }, "Save"],
  "destination-delete": [`/orgs/crowd/destinations/${LONG_DESTINATION}/delete`, {}, "Delete the destination"],
  token: [`${demo}/tokens`, { "#webhooks": "no such webhook", "#pools": "No Pool!" }, "Make token"],
  "replay-all": ["/orgs/crowd/deliveries/replay-all?status=held", { "#rate": "often" }, "Replay"],
};

/** As they are in every state: what is typed, what is refused, and where one is led. */
const states = Object.entries(pages).map(([name, path]) => ({ name, go: (page) => page.goto(path) }));
for (const [name, [path, typed, button]] of Object.entries(refused)) {
  states.push({
    name: `refused-${name}`,
    scripted: true,
    go: async (page) => {
      await page.goto(path);
      for (const [field, text] of Object.entries(typed)) {
        const input = page.locator(field);
        await input.evaluate((element) => element.closest("details:not([open])")?.setAttribute("open", ""));
        await input.fill(text);
      }
      await page.getByRole("button", { name: button, exact: true }).click();
      await page.locator(".faults").waitFor();
    },
    then: leads,
  });
}
const first = (list) => async (page) => {
  await page.goto(list);
  const path = await page.locator("td[data-label='Event type'] a").first().getAttribute("href");
  await page.goto(path);
};
states.push(
  { name: "event", go: first("/orgs/crowd/events") },
  { name: "delivery", go: first("/orgs/crowd/deliveries") },
  { name: "delivery-held", go: first("/orgs/crowd/deliveries?status=held") },
  {
    name: "menu",
    go: async (page) => {
      await page.goto(`${demo}/connectors/github`);
      await page.locator("details.menu summary").first().click();
    },
  },
  {
    name: "token-made",
    go: async (page) => {
      await page.goto("/orgs/crowd/tokens");
      await page.getByRole("radio", { name: /^viewer/ }).check();
      await page.getByRole("button", { name: "Make token" }).click();
      await page.locator("#bearer").waitFor();
    },
  },
  {
    name: "token-revoke",
    go: async (page) => {
      await page.goto("/orgs/crowd/tokens");
      await page.getByRole("link", { name: /^Revoke/ }).first().click();
    },
  },
  {
    name: "tested",
    go: async (page) => {
      await page.goto(`${group}/test`);
      await page.getByLabel("Event").selectOption("push");
      await page.getByRole("button", { name: "Send it", exact: true }).click();
      await page.getByText("Look at the event").waitFor();
    },
  },
  {
    name: "preview",
    scripted: true,
    go: async (page) => {
      await page.goto(`${long_webhook}/mapping`);
      await page.getByRole("button", { name: "Preview", exact: true }).click();
      await page.locator("#preview .badge").waitFor();
    },
  },
  {
    name: "compared",
    go: async (page) => {
      await page.goto(`${long_webhook}/mapping`);
      await page.locator("[name='base.fields[0].from']").fill("payload.other");
      await page.getByRole("button", { name: "What would change" }).click();
      await page.getByRole("heading", { name: "What would change" }).waitFor();
    },
  },
);

const problems = [];
/** Colours are the same at any width, and the layout is in any colour, so each is judged once; with EVERY_VIEW set all of it is. */
const every = process.env.EVERY_VIEW !== undefined;
const views = [
  { name: "1280", width: 1280, colours: true, layout: true },
  { name: "1280-dark", width: 1280, dark: true, colours: true },
  { name: "360", width: 360, layout: true },
  { name: "2560", width: 2560 },
];
if (every) views.push({ name: "360-dark", width: 360, dark: true }, { name: "2560-dark", width: 2560, dark: true });
/** One of each kind: rows of a list have the same. */
const links = new Map();
/** What has a few lines, in colours that other pages have as well, is looked at as most and as the narrowest have it. */
const wanted = (state, view) => every || view.layout || !/^(empty|none|wrong|viewer|no)-/.test(state.name);

/** One state, looked at in each way. */
async function see(page, state) {
  await state.go(page);
  const axe = await accessible(page);
  for (const view of views.filter((view) => wanted(state, view))) {
    const name = `${state.name}-${view.name}`;
    await page.setViewportSize({ width: view.width, height: 900 });
    await page.emulateMedia({ colorScheme: view.dark ? "dark" : "light" });
    problems.push(...(await look(page, name)));
    if (every || view.layout || view.colours) {
      problems.push(...(await axe.run(name, { colours: every || view.colours, layout: every || view.layout })));
    }
    await shot(page, name);
  }
  await axe.end();
  for (const href of await page.locator("main a[href^='/'], main a[href^='?']").evaluateAll((all) => all.map((a) => a.href))) {
    links.set(href.replace(/[0-9a-f-]{30,}|[0-9]+/g, "0"), href);
  }
  await state.then?.(page, state.name);
  await page.setViewportSize({ width: 1280, height: 900 });
}

/** The summary of a refused form has the focus, and each of its lines leads to a field that says the same. */
async function leads(page, name) {
  const focused = await page.evaluate(() => document.activeElement?.matches(".faults"));
  if (!focused) problems.push(`${name}: the summary hasn't the focus`);
  for (const line of await page.locator(".faults a").all()) {
    const id = (await line.getAttribute("href")).slice(1);
    const says = await line.textContent();
    await line.click();
    const there = await page.evaluate(({ id, says }) => {
      const target = document.getElementById(id);
      if (target === null) return "isn't there";
      if (target !== document.activeElement) return "hasn't the focus";
      // An object of a mapping is named by its place.
      const label = target.labels?.[0] ?? target.querySelector(":scope:not(.object) > legend");
      return !label || label.textContent.includes(says) ? "" : `is “${label.textContent}”, and the line says “${says}”`;
    }, { id, says });
    if (there) problems.push(`${name}: #${id} of the summary ${there}`);
  }
}

/** All of them, by as many as go at a time. */
async function all(browser, states, view, bearer) {
  const queue = [...states];
  const one = async () => {
    const { page, wrong } = await visitor(browser, view, bearer);
    for (let state = queue.shift(); state; state = queue.shift()) {
      try {
        await see(page, state);
      } catch (error) {
        problems.push(`${state.name}: at ${page.url()}: ${error}`);
      }
    }
    problems.push(...wrong);
    return page;
  };
  const pages = await Promise.all([one(), one()]);
  for (const page of pages.slice(1)) await page.context().close();
  return pages[0];
}

const browser = await start();
const page = await all(browser, states);

// No link leads nowhere.
for (const href of links.values()) {
  const answer = await page.request.get(href);
  if (answer.status() !== 200) problems.push(`a link leads to ${href}, which is ${answer.status()}`);
}
await page.context().close();

// Who may only look is shown nothing that they may not do.
const viewer = [
  { name: "viewer-overview", go: (page) => page.goto("/orgs/crowd") },
  { name: "viewer-group", go: (page) => page.goto(long) },
  { name: "viewer-webhook", go: (page) => page.goto(long_webhook) },
  { name: "viewer-deliveries", go: (page) => page.goto("/orgs/crowd/deliveries") },
  { name: "viewer-refused", go: (page) => page.goto("/orgs/crowd/tokens") },
];
await all(browser, viewer, {}, VIEWER);

// Whom nobody let in yet.
const { page: outside } = await stranger(browser);
await see(outside, { name: "sign-in", go: (page) => page.goto("/sign-in") });
await see(outside, {
  name: "sign-in-refused",
  go: async (page) => {
    await page.goto("/sign-in");
    await page.fill("#token", "made up");
    await page.click("button.main");
    await page.locator(".error").waitFor();
  },
});

// And without scripts: whole, and without what needs one.
const { page: plain } = await visitor(browser, { scripts: false });
for (const state of states.filter((state) => !state.scripted)) {
  await state.go(plain);
  problems.push(...(await look(plain, `${state.name}, without scripts`)));
  const shown = await plain.locator(".scripted-only").filter({ visible: true }).count();
  if (shown > 0) problems.push(`${state.name}: without scripts ${shown} parts are shown that need one`);
}
await browser.close();
finish(problems);

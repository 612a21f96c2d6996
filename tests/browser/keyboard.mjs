// By keyboard alone: each thing that can be done is reached by Tab, shows that it has the focus, and lets it go again; menus open and forms are sent.

import { finish, shot, start, visitor } from "./console.mjs";

const problems = [];
let step = "";
const must = (holds, what) => {
  if (!holds) problems.push(`${step}: ${what}`);
};
const browser = await start();
const { page, wrong } = await visitor(browser);
const press = (key) => page.keyboard.press(key);
const type = (text) => page.keyboard.type(text);

/** What has the focus: its name to a reader, whether it can be seen to have it, and where it is. */
const focused = () =>
  page.evaluate(() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    const { width, height, top, bottom } = element.getBoundingClientRect();
    const all = [...document.querySelectorAll("*")];
    const label = element.labels?.[0]?.textContent ?? "";
    const name = element.getAttribute("aria-label") ?? (label || element.textContent || element.value || element.id);
    return {
      name: name.replace(/\s+/g, " ").trim(),
      tag: element.tagName,
      place: all.indexOf(element),
      outlined: element.matches(":focus-visible") && outlineStyle !== "none" && parseFloat(outlineWidth) >= 2,
      seen: width > 1 && height > 1 && bottom > 0 && top < innerHeight,
    };
  });

/** From where the focus is to what is called so, as many steps as there are. */
async function tab(name, tag) {
  const fits = (text) => (name instanceof RegExp ? name.test(text) : text === name);
  for (let steps = 0; steps < 400; steps += 1) {
    await press("Tab");
    const here = await focused();
    if (here && fits(here.name) && (!tag || here.tag === tag)) {
      must(here.outlined && here.seen, `${here.tag} "${here.name}" doesn't show that it has the focus`);
      return;
    }
  }
  throw new Error(`Tab never comes to ${name}`);
}

/** All the way through a page: every stop is seen, what is inside comes in the page's order, and the end is reached. */
async function through(path) {
  step = path;
  await page.goto(path);
  const stops = [];
  for (;;) {
    await press("Tab");
    const here = await focused();
    // Behind the last one is the browser's own frame, or the first one again.
    if (!here || (stops.length > 1 && here.place === stops[0].place)) break;
    if (stops.some((stop) => stop.place === here.place)) {
      // One group of radio buttons, or a region that scrolls, is one stop; twice the same is a trap.
      must(false, `the focus is caught at ${here.tag} "${here.name}"`);
      break;
    }
    must(here.outlined, `${here.tag} "${here.name}" has no outline`);
    must(here.seen, `${here.tag} "${here.name}" has the focus and can't be seen`);
    const last = stops.at(-1);
    must(!last || here.place > last.place, `"${here.name}" comes before "${last?.name}" on the page, and after it by Tab`);
    stops.push(here);
  }
  must(stops[0]?.name === "Skip to the content", `the first stop is "${stops[0]?.name}"`);
  must(stops.length > 5, `only ${stops.length} stops`);
}

const heading = (name) => page.getByRole("heading", { name, exact: true }).waitFor();
const note = (text) => page.locator("p.note").filter({ hasText: text }).waitFor();

async function work() {
  for (const path of [
    "/orgs/demo",
    "/orgs/demo/connectors?q=git",
    "/orgs/demo/groups/new?connector=github",
    "/orgs/demo/groups/github",
    "/orgs/demo/groups/github/webhooks/everything",
    "/orgs/demo/groups/github/webhooks/everything/edit",
    "/orgs/demo/groups/github/webhooks/everything/mapping",
    "/orgs/demo/destinations/new?kind=salesforce",
    "/orgs/demo/deliveries",
    "/orgs/demo/tokens",
  ]) await through(path);

  step = "skip";
  await page.goto("/orgs/demo/connectors");
  await press("Tab");
  await press("Enter");
  await tab("Search", "INPUT");

  step = "a group";
  await type("github");
  await press("Enter");
  await page.waitForURL(/q=github/);
  await tab(/^GitHub /);
  await press("Enter");
  await heading("GitHub");
  await tab(/^New webhook group of/);
  await press("Enter");
  await page.waitForURL(/groups\/new/);
  await tab("Name");
  await type("Keys");
  await tab(/^All events/);
  await press("Space");
  await tab(/^push /);
  await press("Space");
  // Refused: the summary has the focus, and leads to the field.
  await tab("Save and get the Callback URL");
  await press("Enter");
  await page.locator(".faults").waitFor();
  must(await page.evaluate(() => document.activeElement.matches(".faults")), "the summary hasn't the focus");
  await tab("Signature Secret");
  await press("Enter");
  must(await page.evaluate(() => document.activeElement.id === "secret"), "the summary doesn't lead to the field");
  await type("keys-secret");
  await press("Enter");
  await note("The group is made.");

  step = "its menu";
  await page.goto("/orgs/demo/connectors/github");
  await tab("Actions of keys");
  await press("Enter");
  await tab("View");
  await press("Enter");
  await heading("Keys");

  step = "a webhook";
  await tab("Clone the template");
  await press("Enter");
  await heading("Clone the template");
  await tab("Label");
  await type("By keys");
  await tab(/^push/);
  await press("Space");
  await tab("Clone", "BUTTON");
  await press("Enter");
  await note("The webhook is cloned.");
  await tab("Keys", "A");
  await press("Enter");
  await heading("Keys");
  await tab("Actions of by-keys");
  await press("Space");
  await tab("Activate");
  await press("Enter");
  await note("The webhook is active");

  step = "a mapping";
  await tab("Actions of by-keys");
  await press("Enter");
  await tab("Mapping");
  await press("Enter");
  await page.waitForURL(/mapping$/);
  await tab("Object");
  await type("Push__c");
  await tab("Field");
  await type("Ref__c");
  await tab("From");
  // From the row to the payload and back, by one key each.
  await tab("ref");
  await press("Enter");
  must(await page.evaluate(() => document.activeElement.matches(".from") && document.activeElement.value === "payload.ref"), "what is picked isn't in the row that had the focus");
  await tab(/^Add a field/);
  await press("Enter");
  await page.locator("ol.rows > li").nth(1).waitFor();
  await page.waitForFunction(() => document.activeElement.name === "base.fields[1].name");
  await type("Rest__c");
  await press("Shift+Tab");
  step = "a delete that is left";
  await page.goto("/orgs/demo/groups/keys");
  await tab("Delete");
  await press("Enter");
  await page.waitForURL(/delete$/);
  await tab(/^Keep/);
  await press("Enter");
  await heading("Keys");
}

try {
  await work();
} catch (error) {
  await shot(page, "keyboard-stopped");
  problems.push(`${step}: at ${page.url()}: ${error}`);
}
problems.push(...wrong);
await browser.close();
finish(problems);

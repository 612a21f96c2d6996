// Seven live views in the tabs of one browser. Without TLS it has six connections to a host, for all of them: tabs that nobody looks at give theirs
// back, so that the next page opens; and go on when somebody comes back.

import { finish, start, visitor } from "./console.mjs";

const TABS = 7;

const browser = await start();
const { page, wrong } = await visitor(browser);
const says = (tab, text) =>
  tab.waitForFunction((text) => document.getElementById("live-state").textContent.startsWith(text), text);
// A browser without a screen hides no tab by itself: the page is told as a browser would tell it.
const look = (tab, hidden) =>
  tab.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);

const tabs = [];
for (let n = 0; n < TABS; n += 1) {
  const tab = await page.context().newPage();
  await tab.clock.install();
  await tab.goto("/orgs/demo/live?group=github");
  await says(tab, "Live");
  tabs.push(tab);
  if (n + 1 < TABS) {
    await look(tab, true);
    await tab.clock.fastForward("01:00");
  }
}
// Of the seven one is looked at, and has its connection.
await page.goto("/orgs/demo/events");
await page.waitForSelector("h1");
await look(tabs[0], false);
await says(tabs[0], "Live");
await browser.close();
finish(wrong);

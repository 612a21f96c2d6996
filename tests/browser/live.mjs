// A live view: rows appear by themselves, a pause closes the connection, going on begins with the newest, and a lost connection is told.

import { finish, seen, shot, start, visitor } from "./console.mjs";

const problems = [];
const must = (holds, what) => {
  if (!holds) problems.push(what);
};
const browser = await start();
const { page, wrong } = await visitor(browser);
const rows = () => page.locator("[data-live-rows] tr").count();
const says = (text) => page.waitForFunction((text) => document.getElementById("live-state").textContent.startsWith(text), text);
const more = (than) => page.waitForFunction((than) => document.querySelectorAll("[data-live-rows] tr").length > than, than);

const other = await page.context().newPage();
const send = async () => {
  await other.goto("/orgs/demo/groups/github/test");
  await other.selectOption("#event", "push");
  await other.click("button[value=one]");
  await other.waitForSelector("p.note");
};

await page.goto("/orgs/demo/live?group=github");
await says("Live");
await send();
await more(0);
// Pending, leased, delivered: the last change of what was sent.
await page.waitForSelector("[data-live-rows] .badge.good");
problems.push(...(await seen(page, "live-rows")));

await page.click("[data-live-pause]");
await says("Paused");
const before = await rows();
// Another one, which isn't paused, shows when a row would have come.
const witness = await page.context().newPage();
await witness.goto("/orgs/demo/live?group=github");
await witness.waitForFunction(() => document.getElementById("live-state").textContent.startsWith("Live"));
await send();
await witness.waitForSelector("[data-live-rows] .badge.good");
await witness.close();
must((await rows()) === before, "rows came while it was paused");
await page.click("[data-live-pause]");
await says("Live");
await send();
await more(before);

// At most so many rows stay.
await page.evaluate(() => {
  const body = document.querySelector("[data-live-rows]");
  while (body.rows.length < 300) body.append(body.rows[0].cloneNode(true));
});
await send();
await page.waitForFunction(() => document.querySelectorAll("[data-live-rows] tr").length === 200);

// A replay says how far it is while it goes on, and at the end that it is done.
await page.goto("/orgs/demo/deliveries/replay-all?status=delivered");
await page.fill("#rate", "1");
await page.fill("#max", "3");
await page.click("button.main", { noWaitAfter: true });
const shown = page.locator(".progress p").filter({ visible: true });
await shown.filter({ hasText: "of 3" }).first().waitFor();
must((await shown.count()) === 1, "more than one line of progress is shown");
await page.waitForSelector(".progress .note");
must((await shown.count()) === 1, "more than the last line is shown");
await shot(page, "replayed");

// A time that is typed without a zone is that of who types it.
const { page: elsewhere } = await visitor(browser, { zone: "Asia/Kolkata" });
await elsewhere.goto("/orgs/demo/deliveries?since=30d");
await elsewhere.fill("#since", "2026-11-27 14:00");
await elsewhere.press("#since", "Enter");
await elsewhere.waitForURL((url) => url.searchParams.get("since") === "2026-11-27T14:00:00+05:30");
must((await elsewhere.locator(".faults").count()) === 0, "a time with its zone isn't taken");
problems.push(...wrong);
await browser.close();
finish(problems);

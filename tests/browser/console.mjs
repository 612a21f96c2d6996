// What the scripts share: a browser, somebody signed in, and what is looked at on each page.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const base = process.env.CONSOLE;
const token = process.env.TOKEN;
const screenshots = process.env.SCREENSHOTS;
mkdirSync(screenshots, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** A page may weigh so much, what it loads included but for what is cached for good. */
const MAX_PAGE_BYTES = 200_000;

export const start = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });

/** Longest wait for anything that is bound to come, on a machine that is busy with other tests: as in `tests/src/waiting.rs`. */
const PATIENCE_MILLISECONDS = 60_000;

/** Somebody with a browser of their own, not signed in yet. What the browser complains of is an error at the end. */
export async function stranger(browser, { width = 1280, dark = false, scripts = true, zone } = {}) {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: dark ? "dark" : "light",
    javaScriptEnabled: scripts,
    timezoneId: zone,
    // What fades in hasn't its colours yet.
    reducedMotion: "reduce",
    baseURL: base,
  });
  context.setDefaultTimeout(PATIENCE_MILLISECONDS);
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: base });
  const page = await context.newPage();
  const wrong = [];
  page.on("console", (message) => {
    // A refused form comes back as 422, which the browser mentions; a preview that a newer one takes the place of is given up.
    const meant = /status of 4\d\d|^htmx:(sendAbort|afterRequest)/;
    if (message.type() === "error" && !meant.test(message.text())) wrong.push(message.text());
  });
  page.on("pageerror", (error) => wrong.push(String(error)));
  return { page, wrong };
}

/** Somebody who is signed in, with this token. */
export async function visitor(browser, view = {}, bearer = token) {
  const { page, wrong } = await stranger(browser, view);
  await page.goto("/sign-in");
  await page.fill("#token", bearer);
  await page.click("button.main");
  await page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));
  return { page, wrong };
}

/** With the caret as it is: to hide it would write styles into the page, which a later swap would carry on against its policy. */
export const shot = (page, name) =>
  page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true, caret: "initial" });

/** Where there is room for a table, its columns are as wide as their words: those that go over a line's end though they aren't long. */
function brokenWords() {
  if (innerWidth < 1024) return [];
  const broken = new Set();
  const range = document.createRange();
  for (const cell of [...document.querySelectorAll("th, td")].slice(0, 400)) {
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let text = texts.nextNode(); text; text = texts.nextNode()) {
      for (const { 0: word, index } of text.data.matchAll(/(?<![a-z0-9])[a-z0-9]{2,20}(?![a-z0-9])/gi)) {
        range.setStart(text, index);
        range.setEnd(text, index + word.length);
        if (new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size > 1) broken.add(word);
      }
    }
  }
  return [...broken].slice(0, 5);
}

/** Complains of what a reader with a small screen or a screen reader would. */
export async function look(page, name) {
  const problems = [];
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 0) problems.push(`${name}: ${wide} pixels wider than the screen`);
  const bytes = Buffer.byteLength(await page.content());
  if (bytes > MAX_PAGE_BYTES) problems.push(`${name}: ${bytes} bytes`);
  for (const word of await page.evaluate(brokenWords)) problems.push(`${name}: “${word}” is broken in the middle`);
  const headings = await page.locator("h1").count();
  if (headings !== 1) problems.push(`${name}: ${headings} headings of the first level`);
  return problems;
}

/** Axe, in the page that is shown now: `run` says what it finds. Its script is let in past the page's policy by the browser, for it alone. */
export async function accessible(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Page.enable");
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
  const evaluate = async (expression) => {
    const answer = await session.send("Runtime.evaluate", {
      expression,
      contextId: executionContextId,
      awaitPromise: true,
      returnByValue: true,
    });
    if (answer.exceptionDetails) throw new Error(JSON.stringify(answer.exceptionDetails));
    return answer.result.value;
  };
  await evaluate(axe + "; undefined");
  return {
    run: async (name, { colours = true, layout = true } = {}) => {
      const contrast = "color-contrast";
      const which = layout ? { rules: { [contrast]: { enabled: colours } } } : { runOnly: [contrast] };
      const found = await evaluate(`axe.run({ ...${JSON.stringify(which)}, resultTypes: ["violations"] }).then(({ violations }) =>
        violations.map(({ id, nodes }) => \`\${id}: \${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}\`))`);
      return found.map((text) => `${name}: ${text}`);
    },
    end: () => session.detach(),
  };
}

/** A page that stays as it is. */
export async function seen(page, name) {
  const axe = await accessible(page);
  const problems = [...(await look(page, name)), ...(await axe.run(name))];
  await axe.end();
  await shot(page, name);
  return problems;
}

/** What comes by loading the page again, as a person does. */
export async function reloaded(locator) {
  const end = Date.now() + 30_000;
  while (!(await locator.first().isVisible())) {
    if (Date.now() > end) throw new Error(`${locator} never comes`);
    await locator.page().reload();
  }
}

export function finish(problems) {
  if (problems.length > 0) {
    console.error(problems.join("\n"));
    process.exit(1);
  }
}

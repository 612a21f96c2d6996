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

/** Somebody with a browser of their own, signed in. What the browser complains of is an error at the end. */
export async function visitor(browser, { width = 1280, dark = false, scripts = true } = {}) {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: dark ? "dark" : "light",
    javaScriptEnabled: scripts,
    baseURL: base,
  });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: base });
  const page = await context.newPage();
  const wrong = [];
  page.on("console", (message) => {
    // A refused form comes back as 422, which the browser mentions.
    if (message.type() === "error" && !/status of 4\d\d/.test(message.text())) wrong.push(message.text());
  });
  page.on("pageerror", (error) => wrong.push(String(error)));
  await page.goto("/sign-in");
  await page.fill("#token", token);
  await page.click("button.main");
  await page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));
  return { page, wrong };
}

export const shot = (page, name) =>
  page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });

/** Complains of what a reader with a small screen or a screen reader would. */
export async function look(page, name) {
  const problems = [];
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 0) problems.push(`${name}: ${wide} pixels wider than the screen`);
  const bytes = Buffer.byteLength(await page.content());
  if (bytes > MAX_PAGE_BYTES) problems.push(`${name}: ${bytes} bytes`);
  const headings = await page.locator("h1").count();
  if (headings !== 1) problems.push(`${name}: ${headings} headings of the first level`);
  return problems;
}

/** What axe finds. Its script is let in past the page's policy by the browser, for it alone. */
export async function accessible(page, name) {
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
  const violations = await evaluate("axe.run().then((found) => found.violations)");
  await session.detach();
  return violations.map(
    (found) => `${name}: ${found.id}: ${found.nodes.map((node) => node.html.slice(0, 160)).slice(0, 3).join(" | ")}`,
  );
}

export function finish(problems) {
  if (problems.length > 0) {
    console.error(problems.join("\n"));
    process.exit(1);
  }
}

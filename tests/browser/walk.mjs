// The path of a first user, as a person goes it: from the link that `dev` prints to the first delivered, mapped record, and to why a callback was refused.
// What stands in the org at the end is looked at by who started this: see `tests/all/console/browser.rs`.

import { createHmac } from "node:crypto";
import { finish, reloaded, seen, shot, start, stranger } from "./console.mjs";

const { LINK, ORG_URL, CLIENT_ID, CLIENT_SECRET } = process.env;
const SECRET = "shpss_of-the-shop";
const SHOP = "acme.myshopify.com";

const problems = [];
const must = (holds, what) => {
  if (!holds) problems.push(what);
};
const browser = await start();
const { page, wrong } = await stranger(browser);
let step = "";
/** What is being done, for the message if it can't be. */
const at = (name) => {
  step = name;
};
let shots = 0;
/** What is on the screen now, as accessible as everything, and in a picture. */
const show = async (name) => {
  shots += 1;
  problems.push(...(await seen(page, `walk-${String(shots).padStart(2, "0")}-${name}`)));
};
const link = (name) => page.getByRole("link", { name, exact: true });
const menu = (name) => page.getByRole("navigation", { name: /^Org / }).getByRole("link", { name, exact: true });
const button = (name) => page.getByRole("button", { name, exact: true });
const heading = (name) => page.getByRole("heading", { name, exact: true }).waitFor();
const note = (text) => page.locator("p.note").filter({ hasText: text }).waitFor();
const row = (text) => page.getByRole("row").filter({ hasText: text });

/** As Shopify posts it. */
async function callback(url, delivery, body, secret = SECRET) {
  const answer = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-shopify-topic": "orders/paid",
      "x-shopify-webhook-id": delivery,
      "x-shopify-shop-domain": SHOP,
      "x-shopify-hmac-sha256": createHmac("sha256", secret).update(body).digest("base64"),
    },
    body,
  });
  return answer.status;
}
const order = (id, total) =>
  JSON.stringify({
    id,
    test: false,
    email: "ann@example.com",
    total_price: total,
    note: "by the gate",
    line_items: [
      { id: id * 10 + 1, sku: "TEA", quantity: 2 },
      { id: id * 10 + 2, sku: "CUP", quantity: 1 },
    ],
  });

async function walk() {
  at("signs in by the link");
  await page.goto(LINK);
  await heading("Orgs");
  await show("orgs");
  await page.getByRole("link", { name: /^demo/ }).click();

  at("searches the connectors");
  await menu("Connectors").click();
  await page.getByLabel("Search").fill("shopify");
  await button("Search").click();
  await show("found");
  await page.getByRole("link", { name: /^Shopify / }).first().click();

  at("chooses a function");
  await heading("Shopify");
  await show("functions");
  await link("New webhook group of Admin webhooks").click();

  at("makes the first group");
  await heading("Set it up at Shopify");
  await page.getByText("Settings, Notifications, Webhooks, Create webhook").waitFor();
  await page.getByLabel("Name", { exact: true }).fill("Shop, production");
  must((await page.getByLabel("Name in addresses").getAttribute("placeholder")) === "shop-production", "the name isn't shown as it will be made");
  await page.getByLabel("External Id").fill(SHOP);
  await page.getByLabel("Signature Secret (required)").fill(SECRET);
  const all = page.getByLabel("All events, also those");
  const paid = page.getByRole("checkbox", { name: "orders/paid An order was paid" });
  must((await all.isChecked()) && (await paid.isChecked()), "a new group doesn't take all at first");
  await all.uncheck();
  must(!(await paid.isChecked()), "unticking all leaves some");
  await page.getByLabel("Show those with").fill("order paid");
  must(!(await page.getByText("products/create").isVisible()), "the list isn't narrowed");
  await paid.check();
  await page.getByLabel("Show those with").fill("");
  await show("group-form");
  await button("Save and get the Callback URL").click();

  at("copies the Callback URL once it is live");
  await note("The group is made.");
  // By itself, when every listener has it.
  await page.locator("#callback .badge.good").filter({ hasText: "live" }).waitFor();
  await page.getByText("Every ready listener has it").waitFor();
  await show("callback-url");
  await page.locator("#callback").getByRole("button", { name: "Copy" }).click();
  await page.getByRole("button", { name: "Copied" }).waitFor();
  const url = await page.evaluate(() => navigator.clipboard.readText());
  must(url === (await page.locator("#callback-url").textContent()), `copied is ${url}`);
  await page.locator("dl.facts").getByText("orders/paid").first().waitFor();

  at("opens the menu of the group's row");
  await link("Shopify").click();
  await page.getByRole("group").filter({ hasText: "Actions" }).locator("summary").click();
  for (const name of ["View", "Edit", "Rotate secret", "Disable", "Delete"]) await link(name).waitFor();
  await show("menu");
  await link("View").click();

  at("clones the template");
  await heading("Shop, production");
  await link("Clone the template").click();
  await page.getByLabel("Label", { exact: true }).fill("Order paid");
  await page.getByRole("checkbox", { name: "orders/paid" }).check();
  await page.getByLabel("Filter").fill("payload.test == false");
  await show("clone-form");
  await button("Clone").click();
  await note("The webhook is cloned.");

  at("activates it in its row");
  await link("Shop, production").click();
  await row("Order paid").locator("summary").click();
  for (const name of ["View", "Edit", "Clone"]) await row("Order paid").getByRole("link", { name, exact: true }).waitFor();
  await show("webhook-menu");
  await row("Order paid").getByRole("button", { name: "Activate" }).click();
  await note("The webhook is active");
  await reloaded(row("Order paid").locator(".badge.good").filter({ hasText: "live" }));
  await show("webhook-rows");

  at("has a first event");
  must((await callback(url, "d-1", order(1001, "12.50"))) === 200, "the first callback is refused");
  await menu("Events").click();
  await link("orders/paid").click();
  await heading("What happened");
  await show("event");

  at("makes a destination");
  await menu("Destinations").click();
  await link("New for Salesforce").click();
  await page.getByLabel("Name", { exact: true }).fill("crm");
  await page.getByLabel("URL", { exact: true }).fill(ORG_URL);
  await page.getByLabel("Client id").fill(CLIENT_ID);
  await page.getByLabel("Client secret").fill(CLIENT_SECRET);
  await show("destination-form");
  await button("Save").click();
  await note("The destination is saved.");
  await show("destination");
  must(!(await page.content()).includes(CLIENT_SECRET), "a secret is in the page");

  at("opens the mapping under its connector");
  await menu("Connectors").click();
  await page.getByLabel("Search").fill("shopify");
  await button("Search").click();
  await page.getByRole("link", { name: /^Shopify / }).first().click();
  await show("inbound");
  await row("Inbound").getByRole("link", { name: "Map Order paid" }).click();
  await heading("Mapping of Order paid");
  await page.getByText("Inbound Data Event only").waitFor();
  await map();

  at("sees what would change");
  await button("What would change").click();
  await page.getByRole("heading", { name: "What would change" }).waitFor();
  await page.getByText("1 recorded event looked at").waitFor();
  await row("base.fields.Total__c").first().waitFor();
  await show("changes");

  at("saves the mapping");
  await page.getByLabel("Active: it maps new events").uncheck();
  await button("Save").click();
  await note("The mapping is saved.");
  at("activates the mapping");
  await button("Activate the mapping").click();
  await note("The mapping is active");
  await page.locator(".badge.good").filter({ hasText: "version 1 maps new events" }).waitFor();
  await show("mapping-active");
  at("chooses the destination");
  await link("Order paid").click();
  await link("Edit").click();
  await page.getByRole("group", { name: "Destinations" }).getByRole("checkbox", { name: /^crm/ }).check();
  await page.getByRole("group", { name: "Destinations" }).getByRole("checkbox", { name: /^Subscribers/ }).uncheck();
  await show("webhook-form");
  await button("Save").click();
  await note("The webhook is saved.");
  await reloaded(page.locator("main .badge.good").filter({ hasText: "live" }));
  await link("Mapping").click();
  await button("Ask the destinations whether they would take it").click();
  await page.getByText("crm has all these objects and fields.").waitFor();
  await show("checked");

  at("sees it delivered");
  must((await callback(url, "d-2", order(1002, "1234567890123456.10"))) === 200, "the second callback is refused");
  await menu("Deliveries").click();
  await reloaded(row("crm").locator(".badge").filter({ hasText: "delivered" }));
  await show("deliveries");
  await row("crm").getByRole("link").first().click();
  await page.getByText("attempt", { exact: false }).first().waitFor();
  await show("delivery");

  at("is told why a callback was refused");
  must((await callback(url, "d-3", order(1003, "1.00"), "not-the-secret")) === 401, "a badly signed callback isn't refused");
  await menu("Refusals").click();
  await reloaded(row("shop-production").getByText("401"));
  await row("shop-production").locator("td b").nth(1).waitFor();
  await show("refusals");
}

/** Picks what the order has, sees what is wrong with a field, and mends it. */
async function map() {
  const base = page.getByRole("group", { name: "Base object" });
  // Told by the destination, as soon as they are there.
  await page.locator("#objects option[value=Order__c]").waitFor({ state: "attached" });
  await base.getByLabel("Object", { exact: true }).fill("Order__c");
  await base.getByLabel("Operation").first().selectOption("upsert");
  await base.getByLabel("Key", { exact: true }).first().fill("Shop_Id__c");
  await page.locator("[id='fields-Order__c'] option[value=Total__c]").waitFor({ state: "attached" });
  const field = (index) => base.getByRole("listitem").nth(index);
  const write = async (index, name, pick, kind) => {
    if (index > 0) {
      await base.getByRole("button", { name: /^Add a field/ }).first().click();
      await field(index).waitFor();
    }
    await field(index).getByLabel("Field", { exact: true }).fill(name);
    await field(index).getByLabel("From", { exact: true }).focus();
    await pick();
    if (kind) await field(index).getByLabel(/^As /).selectOption(kind);
  };
  const picked = (path) => () => page.locator(`[data-pick="${path}"]`).click();
  await write(0, "Shop_Id__c", picked("payload.id"), "string");
  must((await field(0).getByLabel("From", { exact: true }).inputValue()) === "payload.id", "what is picked isn't in its row");
  await write(1, "Total__c", picked("payload.total_price"), "decimal");
  // A path that the event doesn't have: said at its row, and nothing else is lost.
  await write(2, "Note__c", () => field(2).getByLabel("From", { exact: true }).fill("payload.remark"));
  await field(2).getByLabel("If missing").selectOption("fail");
  await field(2).getByLabel("If missing").blur();
  await field(2).locator(".error").filter({ hasText: "is missing" }).waitFor();
  await page.locator("#preview").getByText("would be held").waitFor();
  await show("mapping-with-an-error");
  await field(2).getByLabel("From", { exact: true }).focus();
  await picked("payload.note")();
  const mended = async () => {
    await page.locator("#preview").getByText("by the gate").waitFor();
    await page.locator("#preview .badge.good").waitFor();
  };
  await mended();
  // As it is typed, before the field is left.
  await field(2).getByLabel("From", { exact: true }).fill("payload.remark");
  await page.locator("#preview").getByText("would be held").waitFor();
  await field(2).getByLabel("From", { exact: true }).fill("payload.note");
  await mended();
  await base.getByRole("button", { name: /^Add children/ }).first().click();
  const lines = page.getByRole("group", { name: /^Children of/ });
  await lines.getByLabel("Object", { exact: true }).fill("OrderLine__c");
  await lines.getByLabel("Key", { exact: true }).fill("Line_Id__c");
  await lines.getByLabel("Field that refers to the parent").fill("Order__r");
  await lines.getByLabel("For each").focus();
  await picked("payload.line_items")();
  await lines.getByLabel("Field", { exact: true }).fill("Line_Id__c");
  await lines.getByLabel("From", { exact: true }).focus();
  await picked("payload.line_items[0].id")();
  must((await lines.getByLabel("From", { exact: true }).inputValue()) === "item.id", "what is picked of a list isn't its item's");
  await lines.getByLabel(/^As /).selectOption("string");
  await page.locator("#preview").getByText("10012").waitFor();
  await show("mapping");
}

try {
  await walk();
} catch (error) {
  await shot(page, "walk-stopped");
  problems.push(`${step}: at ${page.url()}: ${error}`);
}
problems.push(...wrong);
await browser.close();
finish(problems);

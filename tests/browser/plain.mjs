// The same work with scripts off: links and forms do all of it but live views.

import { createServer } from "node:http";
import { finish, look, reloaded, shot, start, visitor } from "./console.mjs";

const problems = [];
const must = (holds, what) => {
  if (!holds) problems.push(`${step}: ${what}`);
};
let step = "";
const receiver = createServer((request, answer) => {
  request.resume();
  request.on("end", () => answer.writeHead(200).end());
});
await new Promise((listening) => receiver.listen(0, "127.0.0.1", listening));
const browser = await start();
const { page } = await visitor(browser, { scripts: false });
const at = async (name) => {
  if (step) {
    problems.push(...(await look(page, `plain, ${step}`)));
    await shot(page, `plain-${step.replaceAll(" ", "-")}`);
    const shown = await page.locator(".scripted-only").filter({ visible: true }).count();
    if (shown > 0) problems.push(`${step}: ${shown} parts are shown that need a script`);
  }
  step = name;
};
const link = (name) => page.getByRole("link", { name, exact: true });
const menu = (name) => page.getByRole("navigation", { name: /^Org / }).getByRole("link", { name, exact: true });
const button = (name) => page.getByRole("button", { name, exact: true });
const note = (text) => page.locator("p.note").filter({ hasText: text }).waitFor();
const row = (text) => page.getByRole("row").filter({ hasText: text });
async function work() {
  await at("an org");
  await page.goto("/");
  await page.getByLabel("Name", { exact: true }).fill("plain");
  await button("Create org").click();
  await note("The org is created.");

  await at("a group");
  await page.getByLabel("Search").fill("github");
  await button("Search").click();
  await page.getByRole("link", { name: /^GitHub / }).first().click();
  await page.getByRole("link", { name: /^New webhook group of/ }).first().click();
  await page.getByLabel("Name", { exact: true }).fill("Code");
  await page.getByLabel("All events, also those").uncheck();
  await page.getByRole("checkbox", { name: /^push / }).check();
  // Refused first: what was typed is still there, but for the secret.
  await button("Save and get the Callback URL").click();
  await page.locator(".faults").waitFor();
  must((await page.getByLabel("Name", { exact: true }).inputValue()) === "Code", "what was typed is gone");
  must(await page.getByRole("checkbox", { name: /^push / }).isChecked(), "what was ticked is gone");
  await page.locator(".faults a").first().click();
  must(new URL(page.url()).hash === "#secret", "the summary doesn't lead to the field");
  await page.getByLabel("Signature Secret (required)").fill("code-secret");
  await button("Save and get the Callback URL").click();
  await note("The group is made.");
  await reloaded(page.locator("#callback .badge.good"));

  await at("an edit of it");
  await link("GitHub").click();
  await row("Code").locator("summary").click();
  await row("Code").getByRole("link", { name: "Edit", exact: true }).click();
  await page.getByRole("checkbox", { name: /^pull_request / }).check();
  await button("Save").click();
  await note("The group is saved.");

  await at("a rotated secret");
  await link("Rotate secret").click();
  await page.getByLabel("Signature Secret", { exact: true }).fill("newer-secret");
  await button("Add it").click();
  await note("The secret is added");
  await link("Remove secret-1").click();
  await page.getByRole("heading", { name: "Remove the secret secret-1?" }).waitFor();
  await button("Remove it").click();
  await note("The secret is removed.");

  await at("a rotated address");
  await page.getByRole("link", { name: "Back to the group" }).click();
  await link("Rotate URL").click();
  await button("Make a new URL").click();
  await note("The group has a new Callback URL.");

  await at("a group switched off and on");
  await link("Disable").click();
  await button("Disable it").click();
  await note("The group is disabled");
  await link("Enable").click();
  await button("Enable it").click();
  await note("The group is enabled.");
  await reloaded(page.locator("#callback .badge.good"));

  await at("a destination");
  await menu("Destinations").click();
  await link("New for HTTP").click();
  await page.getByLabel("Name", { exact: true }).fill("sink");
  await page.getByLabel("URL", { exact: true }).fill(`http://127.0.0.1:${receiver.address().port}/in`);
  await page.getByLabel("New header").first().fill("x-from");
  await page.getByLabel("Value").first().fill("hookplane");
  await button("Save").click();
  await note("The destination is saved.");

  await at("a clone of the template");
  await page.goto("/orgs/plain/groups/code");
  await link("Clone the template").click();
  await page.getByLabel("Label", { exact: true }).fill("Pushes");
  await page.getByRole("checkbox", { name: /^push/ }).check();
  await button("Clone").click();
  await note("The webhook is cloned.");
  await link("Edit").click();
  await page.getByRole("checkbox", { name: /^sink/ }).check();
  await page.getByRole("checkbox", { name: /^Subscribers/ }).uncheck();
  await button("Save").click();
  await note("The webhook is saved.");
  await button("Activate").click();
  await note("The webhook is active");
  await reloaded(page.locator("main .badge.good").filter({ hasText: "live" }));

  await at("a test");
  await page.goto("/orgs/plain/groups/code/test");
  await page.getByLabel("Event").selectOption("push");
  await button("Send it").click();
  await page.getByRole("link", { name: "Look at the event" }).click();
  await reloaded(page.locator(".badge.good").filter({ hasText: "delivered" }));

  await at("a mapping, row by row");
  await page.goto("/orgs/plain/groups/code/webhooks/pushes/mapping");
  await page.locator("code.unscripted").filter({ hasText: "payload.ref" }).first().waitFor();
  await page.getByLabel("Object", { exact: true }).fill("Push__c");
  await page.getByLabel("Field", { exact: true }).fill("Ref__c");
  await page.getByLabel("From", { exact: true }).fill("payload.ref");
  await page.getByRole("button", { name: "Add a field to Push__c" }).or(page.getByRole("button", { name: "Add a field to" })).first().click();
  await page.getByLabel("Field", { exact: true }).nth(1).fill("Gone__c");
  await page.getByLabel("From", { exact: true }).nth(1).fill("payload.not_there");
  await page.getByLabel("If missing").nth(1).selectOption("fail");
  await button("Preview").click();
  await page.locator("li.bad .error").filter({ hasText: "is missing" }).waitFor();
  await page.getByRole("button", { name: "Remove field Gone__c" }).click();
  await button("What would change").click();
  await page.getByRole("heading", { name: "What would change" }).waitFor();
  await row("base.fields.Ref__c").first().waitFor();
  await button("Save").click();
  await page.locator("p.note, .faults").first().waitFor();
  await note("The mapping is saved.");
  await button("Deactivate the mapping").click();
  await note("The mapping is not active any more");
  await button("Activate the mapping").click();
  await note("The mapping is active");

  await at("a replay of what was chosen");
  await page.goto("/orgs/plain/deliveries?status=delivered");
  await page.getByRole("checkbox", { name: /^Choose push/ }).check();
  await button("Replay those chosen").click();
  await note("Put back to pending: 1 delivery.");
  await page.goto("/orgs/plain/deliveries");
  await reloaded(row("sink").locator(".badge.good"));

  await at("a replay of all");
  await link("Delivered").click();
  await link("Replay all that this search finds…").click();
  await page.getByText("Counted now: 1 delivery goes back to pending.").waitFor();
  await button("Replay").click();
  await page.locator(".progress .note").waitFor();

  await at("a pause");
  await page.goto("/orgs/plain/destinations/sink");
  await button("Pause").click();
  await note("Paused");
  await button("Resume").click();
  await note("Resumed");

  await at("live");
  await page.goto("/orgs/plain/live");
  await page.getByText("This view needs scripts").waitFor();

  await at("a token made and revoked");
  await menu("Tokens").click();
  await page.getByRole("radio", { name: /^viewer/ }).check();
  await button("Make token").click();
  await page.locator("#bearer").waitFor();
  await page.getByRole("link", { name: /^Revoke/ }).first().click();
  await page.locator("button.danger").click();
  await note("The token is revoked.");

  await at("a destination in use isn't deleted");
  await page.goto("/orgs/plain/destinations/sink/delete");
  await button("Delete the destination").click();
  await page.locator(".faults").filter({ hasText: "pushes" }).waitFor();

  await at("a webhook deleted");
  await page.goto("/orgs/plain/groups/code/webhooks/pushes");
  await link("Delete").click();
  await page.getByRole("radio", { name: /^Discard/ }).check();
  await button("Delete the webhook").click();
  await note("The webhook is deleted.");

  await at("a destination deleted");
  await page.goto("/orgs/plain/destinations/sink/delete");
  await button("Delete the destination").click();
  await note("The destination is deleted.");

  await at("a group deleted");
  await page.goto("/orgs/plain/groups/code");
  await link("Delete").click();
  await page.locator("button.danger").click();
  await note("The group is deleted.");

  await at("signed out");
  await button("Sign out").click();
  await page.getByLabel("Token").waitFor();
  await at("");
}

try {
  await work();
} catch (error) {
  await shot(page, "plain-stopped");
  problems.push(`${step}: at ${page.url()}: ${error}`);
}
await browser.close();
receiver.close();
finish(problems);

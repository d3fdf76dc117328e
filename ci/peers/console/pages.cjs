// Words of look.cjs for access rules, DNS and invitations; see there. Gets what the words work with.
const fs = require("node:fs");

const create = (page, name) => page.evaluate((body) => fetch("/v1/users/create", { method: "POST", body, headers: { "X-Ropewalk-Form": document.body.dataset.form } }).then((r) => r.status), JSON.stringify({ name }));

// Somebody makes a user, and the page has asked anew for what it shows, and has had the time to show it.
async function meanwhile(page, name) {
  const asked = page.waitForResponse("**/v1/policy/history").then((r) => r.finished());
  await create(page, name);
  await asked;
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));
}

module.exports = ({ page, button, heading, answer, inspect, say }) => ({
  // add USER NAME FILE: a line for a machine that is called so, which goes to the file
  async add(user, name, file) {
    await page().getByRole("link", { name: "Keys", exact: true }).click();
    await button("Add a machine").click();
    await answer("Make the line", { "Whose it is": user, "Its name": name });
    const line = await page().locator("dialog[open] code").filter({ hasText: "ropewalk join" }).textContent();
    await page().locator("dialog[open] svg.qr").waitFor();
    await inspect("add");
    await answer("Close");
    fs.writeFileSync(file + ".new", line.split(" ").pop());
    fs.renameSync(file + ".new", file);
    await page().getByRole("link", { name: "Machines", exact: true }).click();
    await page().locator(".table").getByRole("link", { name, exact: true }).waitFor();
    say("added", name);
  },
  // rules: wrong rules are told while they are written, what a change does before it is saved, and what was comes back
  async rules() {
    await page().getByRole("link", { name: "Access rules", exact: true }).click();
    const area = page().getByRole("textbox", { name: "Rules, as HuJSON" });
    const verdict = page().locator(".verdict");
    await page().getByText("every machine reaches every other").waitFor();
    await inspect("rules-none");
    await button("Begin with an example").click();
    await page().getByText("Good; its tests hold.").waitFor();
    await area.fill('{\n  "acls": [\n    {"action": "accept", "src": ["alice@"], "dst": ["group:none:22"]}\n  ]\n}\n');
    await button("Line 3").click();
    say("wrong", (await verdict.textContent()).replace("Line 3 ", "").slice(0, 60), await area.evaluate((e) => e.value.slice(0, e.selectionStart).split("\n").length));
    await inspect("rules-wrong");
    await area.fill('{\n  // ssh alone\n  "acls": [\n    {"action": "accept", "src": ["alice@"], "dst": ["alice@:22"]}\n  ]\n}\n');
    await page().getByRole("heading", { name: "What it would change" }).waitFor();
    await inspect("rules");
    // Somebody changes something: what the text would do is asked anew, and it can be saved while that takes its time.
    let go;
    const answers = new Promise((done) => { go = done; });
    await page().route("**/v1/policy/test", (r) => answers.then(() => r.continue()));
    const asked = page().waitForRequest("**/v1/policy/test");
    await create(page(), "bob");
    await asked;
    await area.press("Control+s");
    await page().locator("dialog[open] .loss").first().waitFor();
    go();
    await page().unrouteAll({ behavior: "wait" });
    await inspect("rules-save");
    await answer("Save");
    await page().getByText("In force.").waitFor();
    const asks = page().locator("form.pair");
    await asks.getByLabel("From").fill("alpha");
    await asks.getByLabel("To").fill("pihole");
    await asks.getByLabel("Port").fill("80");
    // Somebody changes something while one writes, and while one presses a button: the caret stays, and the click is a click.
    await meanwhile(page(), "carol");
    if (!(await asks.getByLabel("Port").evaluate((e) => e === document.activeElement))) throw new Error("the caret has left the field");
    await asks.getByRole("button", { name: "Ask" }).click();
    await page().getByText("No.", { exact: false }).first().waitFor();
    say("pair", await page().locator("form.pair ~ div p").first().textContent());
    await button("Look").first().hover();
    await page().mouse.down();
    await meanwhile(page(), "dave");
    await page().mouse.up();
    await page().getByText("It is the same as what is in force.").waitFor();
    await area.fill("{}");
    await page().getByRole("heading", { name: "What it would change" }).waitFor();
    await area.press("Control+s");
    await answer("Save");
    await page().getByRole("cell", { name: "root" }).nth(1).waitFor();
    await button("Look").nth(1).click();
    await page().locator("pre.compared .gain").first().waitFor();
    await inspect("rules-history");
    await button("Put it into the editor").click();
    await page().getByRole("heading", { name: "What it would change" }).waitFor();
    await area.press("Control+s");
    await answer("Save");
    await page().waitForFunction(() => document.querySelectorAll("[aria-label=Versions] .body [role=row]").length === 3);
    say("put back", (await area.inputValue()).includes("ssh alone"));
  },
  // dns MACHINE ADDRESS WHO: a machine of the network becomes everybody's nameserver, of which it says who may ask it; another is asked, then removed
  async dns(machine, address, who) {
    await page().getByRole("link", { name: "DNS", exact: true }).click();
    await heading("DNS").waitFor();
    await inspect("dns-none");
    await button("Set up a pi-hole").click();
    const box = page().locator("dialog[open]");
    say("first", (await box.getByLabel("Which machine it is").locator("option").first().textContent()).split(" ")[0]);
    await box.getByLabel("Which machine it is").selectOption({ label: "another: by its address" });
    await box.getByLabel("Its address").fill(address);
    await button("Ask it something").click();
    await box.getByText(/^Well: |^Not /).waitFor();
    say(await box.locator("[role=status] strong").textContent());
    await inspect("dns-wizard");
    const at = await box.getByLabel("Which machine it is").locator("option").evaluateAll((all, m) => all.find((o) => o.textContent.startsWith(m)).value, machine);
    await box.getByLabel("Which machine it is").selectOption(at);
    await box.getByLabel("One more, for when it does not answer").fill(address);
    await button("Set it for all machines").click();
    await box.waitFor({ state: "detached" });
    const row = page().getByRole("row").filter({ hasText: at });
    await row.getByText(who).waitFor();
    await page().getByRole("row").filter({ hasText: address }).getByRole("button", { name: "Ask it" }).click();
    await page().getByText("it answers, ").waitFor();
    await button("Add a domain").click();
    await answer("Add it", { Domain: "corp.example", Addresses: "10.0.0.53" });
    await page().getByRole("heading", { name: "corp.example" }).waitFor();
    await inspect("dns");
    await page().getByLabel("Machines know each other by name (MagicDNS)").uncheck();
    await page().waitForFunction(() => !document.querySelector(".choice input:not([disabled])")?.disabled);
    await page().getByRole("row").filter({ hasText: address }).getByRole("button", { name: "Remove" }).click();
    await page().getByRole("row").filter({ hasText: address }).waitFor({ state: "detached" });
    say("dns", at);
  },
});

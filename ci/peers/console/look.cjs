#!/usr/bin/env node
// look DIR URL STEP...: Chromium, without a screen, at the console of a server, as an admin. Each step is a word and what belongs to it;
// what was seen stands in one line in DIR/said when it is over. Pages are looked at by axe-core, light and dark, wide and narrow; pictures go to DIR, and to
// the folder `pictures` beside this file if it is there: those of the documentation.
const { chromium } = require("playwright-core");
const axe = require("node:fs").readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const fs = require("node:fs");
const path = require("node:path");

const [dir, url, ...steps] = process.argv.slice(2);
const pictures = path.join(__dirname, "pictures");
fs.mkdirSync(dir, { recursive: true });
const seen = [];
const say = (...words) => seen.push(words.join(" "));
const rules = { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] };
const forms = { wide: { width: 1280, height: 800 }, narrow: { width: 360, height: 740 } };
let page;

const button = (name) => page.getByRole("button", { name, exact: true });
const heading = (name) => page.getByRole("heading", { level: 1, name, exact: true });
// In the dialog that is open: fills what is named, presses, waits until it is gone.
async function answer(press, fields = {}) {
  const box = page.locator("dialog[open]");
  for (const [label, value] of Object.entries(fields)) {
    const e = box.getByLabel(label, { exact: true });
    if (value === true) await e.check();
    else if ((await e.evaluate((x) => x.tagName)) === "SELECT") await e.selectOption({ label: value });
    else await e.fill(value);
  }
  const one = await box.elementHandle(); // another may follow it
  await box.getByRole("button", { name: press, exact: true }).click();
  await page.waitForFunction((e) => !e.isConnected, one);
}

// A page that is drawn anew while it is judged loses the judge elements that it has in hand: then it begins again.
async function judge(more = 3) {
  await page.evaluate(axe);
  try {
    return (await page.evaluate((r) => window.axe.run(document, r), rules)).violations;
  } catch (e) {
    if (!more) throw e;
    return judge(more - 1);
  }
}

async function inspect(name) {
  for (const [form, size] of Object.entries(forms))
    for (const colorScheme of ["light", "dark"]) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      const violations = await judge();
      for (const v of violations) say("axe", name, form, colorScheme, v.id, v.nodes[0].html.slice(0, 120));
      const sideways = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      if (sideways) say("sideways", name, form);
      // What is chosen can be read, and where one is stands in the menu's part that is seen.
      const cut = await page.evaluate(() => {
        const pen = document.createElement("canvas").getContext("2d");
        const short = (e) => {
          pen.font = getComputedStyle(e).font;
          return e.checkVisibility() && e.clientWidth < pen.measureText(e.selectedOptions[0].textContent).width + 40;
        };
        const at = document.querySelector("nav [aria-current]")?.getBoundingClientRect();
        return [...[...document.querySelectorAll("select")].filter(short).map((e) => e.ariaLabel ?? e.name), at && (at.left < 0 || at.right > innerWidth) && "menu"].filter(Boolean);
      });
      if (cut.length) say("cut", name, form, cut.join());
      const file = `${name}-${form}-${colorScheme}.png`;
      await page.evaluate(() => scrollTo(0, 0));
      await page.screenshot({ path: path.join(dir, file), fullPage: true });
      if (fs.existsSync(pictures)) fs.copyFileSync(path.join(dir, file), path.join(pictures, file));
    }
  await page.setViewportSize(forms.wide);
  await page.emulateMedia({ colorScheme: "light" });
}

const words = {
  // login NAME PASSWORD
  async login(name, password) {
    await page.goto(url);
    await page.fill("input[name=name]", name);
    await page.fill("input[name=password]", password);
    await page.click("button.button");
    await page.locator("main h1").waitFor();
  },
  // begin NAME PASSWORD WORD: the first admin, with the word of the server's log; a wrong one and passwords that differ first
  async begin(name, password, word) {
    const fill = async (w, again) => {
      await page.goto(new URL("/login", url).href);
      await page.getByLabel("Word from the log").fill(w);
      await page.getByLabel("Your name").fill(name);
      await page.getByLabel("A password, of 10 characters or more").fill(password);
      await page.getByLabel("The password once more").fill(again);
    };
    await page.goto(new URL("/login", url).href);
    await inspect("admin");
    await fill(word.replace(/./g, "0"), password);
    await button("Make the admin").click();
    await heading("Wrong word").waitFor();
    await fill(word, `${password}.`);
    await button("Make the admin").click();
    await page.getByText("not the same both times").waitFor();
    await fill(word, password);
    await button("Make the admin").click();
    await heading("A new network").waitFor();
    say("begun");
  },
  // ways: the machine says how it reaches the others
  async ways() {
    await button("Ask it").click();
    await page.locator("section").filter({ hasText: "Ways to others" }).getByText(/ms$/).first().waitFor();
    await button("Ask again").waitFor();
    say("ways", (await page.locator("section").filter({ hasText: "Ways to others" }).locator("li").first().textContent()).replace(/[0-9.:]+, [0-9.]+ ms/, "ADDRESS"));
  },
  // first USER FILE: the first run; the line goes to the file, whoever has it comes in, and the page shows it
  async first(user, file) {
    await heading("A new network").waitFor();
    await page.getByLabel("Name").fill(user);
    await button("Go on").click();
    const line = await page.locator(".steps code").filter({ hasText: "ropewalk join" }).textContent();
    await page.locator("svg.qr").waitFor();
    await inspect("first");
    fs.writeFileSync(file + ".new", line.split(" ").pop());
    fs.renameSync(file + ".new", file);
    const state = page.locator(".steps .state.on").last();
    await page.getByRole("link", { name: "Look at it" }).waitFor();
    say("first", await state.textContent());
  },
  // approve MACHINE USER: it appears by itself
  async approve(machine, user) {
    await page.locator("nav .count").filter({ hasText: "1" }).waitFor();
    await page.getByRole("link", { name: /^Approvals/ }).click();
    await page.getByRole("cell", { name: new RegExp(`^${machine}`) }).waitFor();
    await inspect("approvals");
    await button("Let in").click();
    await answer("Let it in", { "Whose machine it is": user });
    await page.getByText("Nobody waits.").waitFor();
    say("approved", machine);
  },
  async reject(machine) {
    await page.getByRole("link", { name: /^Approvals/ }).click();
    await page.getByRole("cell", { name: new RegExp(`^${machine}`) }).waitFor();
    await button("Reject").click();
    await answer("Reject");
    await page.getByText("Nobody waits.").waitFor();
    say("rejected", machine);
  },
  // find WORDS N: so many machines are like that
  async find(text, n) {
    await page.getByRole("link", { name: "Machines", exact: true }).click();
    await page.getByRole("searchbox").fill(text);
    await page.waitForFunction((k) => document.querySelectorAll(".machines .body [role=row]").length === k, Number(n));
    say("found", n);
    await page.getByRole("searchbox").fill("");
  },
  async machines() {
    await page.getByRole("link", { name: "Machines", exact: true }).click();
    await heading("Machines").waitFor();
    await inspect("machines");
    // From one to the next by arrows, and into it by Enter.
    const names = page.locator(".table .name");
    await names.first().focus();
    await page.keyboard.press("ArrowDown");
    const name = await page.evaluate(() => document.activeElement.textContent);
    await page.keyboard.press("Enter");
    await heading(name).waitFor();
    await page.waitForFunction(() => document.activeElement.tagName === "H1"); // who only listens is where they went
    say("keys lead there");
    await page.goBack();
    // Sorted by another column, and the other way.
    await heading("Machines").waitFor();
    await button("Addresses").click();
    await button("Addresses").click();
    say("sorted", await page.locator("[aria-sort=descending]").textContent());
  },
  // open MACHINE: its page, on which the words below are
  async open(machine) {
    await page.getByRole("link", { name: "Machines", exact: true }).click();
    await page.locator(".machines").getByRole("link", { name: machine, exact: true }).click();
    await heading(machine).waitFor();
    await page.getByText("Behind a NAT that is").waitFor();
  },
  async look(name) {
    await inspect(name);
  },
  async rename(to) {
    await button("Rename").click();
    await answer("Rename", { Name: to });
    await heading(to).waitFor();
    say("renamed", to);
  },
  // A dialog says what is wrong and stays; Escape leaves it, and focus is back on its button.
  async refused(to) {
    await button("Rename").click();
    const box = page.locator("dialog[open]");
    await box.getByLabel("Name", { exact: true }).fill(to);
    await box.getByRole("button", { name: "Rename" }).click();
    await box.getByRole("alert").waitFor();
    say("refused", (await box.getByRole("alert").textContent()).slice(0, 60));
    await inspect("dialog");
    await page.keyboard.press("Escape");
    await box.waitFor({ state: "detached" });
    say("focus", await page.evaluate(() => document.activeElement.textContent));
  },
  async route(net) {
    await button("Approve a route").click();
    await answer("Save", { [net]: true });
    await page.getByText("carried").waitFor();
    say("route", net);
  },
  async expire() {
    await button("End the login").click();
    await answer("End it");
    await page.locator(".top .state.bad").waitFor();
    await button("Let the login last").click();
    await page.locator(".top .state.bad").waitFor({ state: "detached" });
    say("expired and back");
  },
  async remove(machine) {
    await button("Delete").click();
    await answer("Delete");
    await heading("Machines").waitFor();
    await page.locator(".machines").getByRole("link", { name: machine, exact: true }).waitFor({ state: "detached" });
    say("deleted", machine);
  },
  async keys() {
    await page.getByRole("link", { name: "Keys", exact: true }).click();
    await button("Make an API key").click();
    await answer("Make it", { "What it is for": "a test" });
    const key = await page.locator("dialog[open] code").textContent();
    await inspect("key");
    await answer("Close");
    const status = await page.request.get(new URL("/api/v1/node", url).href, { headers: { Authorization: `Bearer ${key}` } }).then((r) => r.status());
    await button("Make an OAuth client").click();
    await answer("Make it", { dns: true });
    await answer("Close");
    await page.getByRole("table", { name: "Keys of programs" }).getByText("dns").waitFor();
    await inspect("keys");
    say("key", status);
  },
  async users(name, role) {
    await page.getByRole("link", { name: "Users", exact: true }).click();
    await button("Add a user").click();
    await answer("Make the user", { Name: name });
    await page.getByLabel(`Role of ${name}`).selectOption(role);
    await answer("Change the role");
    await inspect("users");
    say("role", await page.getByLabel(`Role of ${name}`).inputValue());
  },
  async relays() {
    await page.getByRole("link", { name: "Relays", exact: true }).click();
    await page.getByText("Home of").first().waitFor();
    await inspect("relays");
  },
  // paint N: N times with nothing in the cache: until the first machines are painted, ms; a word typed into the search, until its
  // machines are; frames while all of them scroll by, ms: the 95th of 100, and the longest.
  async paint(n) {
    const state = await page.context().storageState();
    const took = { paint: [], search: [], frame: [], longest: [] };
    for (let i = 0; i < Number(n); i++) {
      const context = await page.context().browser().newContext({ storageState: state, viewport: forms.wide });
      const fresh = await context.newPage();
      await fresh.addInitScript(() => {
        const look = () => (document.querySelector(".machines .body [role=row]") ? requestAnimationFrame(() => setTimeout(() => { window.painted = performance.now(); })) : requestAnimationFrame(look));
        look();
      });
      await fresh.goto(url);
      took.paint.push(await fresh.waitForFunction(() => window.painted).then((v) => v.jsonValue()));
      await fresh.waitForFunction(() => document.querySelectorAll(".machines .body [role=row]").length >= 1000);
      took.search.push(await fresh.evaluate(async () => {
        const search = document.querySelector("input[type=search]");
        const began = performance.now();
        search.value = "spare-1";
        search.dispatchEvent(new Event("input"));
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
        const ms = performance.now() - began;
        search.value = "";
        search.dispatchEvent(new Event("input"));
        return ms;
      }));
      const frames = await fresh.evaluate(() => new Promise((done) => {
        const ms = [];
        let last;
        const step = (now) => {
          if (last) ms.push(now - last);
          last = now;
          scrollBy(0, 400);
          if (scrollY + innerHeight < document.documentElement.scrollHeight - 1) requestAnimationFrame(step);
          else done(ms.sort((a, b) => a - b));
        };
        requestAnimationFrame(step);
      }));
      took.frame.push(frames[Math.floor(frames.length * 0.95)]);
      took.longest.push(frames.at(-1));
      await context.close();
    }
    say(JSON.stringify(took));
  },
  // The log says who did what.
  async log(text) {
    await page.getByRole("link", { name: "Log", exact: true }).click();
    await page.getByRole("log").locator("p").filter({ hasText: text }).first().waitFor();
    await inspect("log");
    say("logged");
  },
  // wait SELECTOR-OR-TEXT
  async wait(text) {
    await page.getByText(text).first().waitFor();
    say("saw", text);
  },
  // What no other site can do, though it has the browser send the cookie.
  async forge() {
    say("forged", await page.evaluate(() => fetch("/v1/users/create", { method: "POST", body: '{"name":"eve"}' }).then((r) => r.status)));
  },
  async logout() {
    await button("Log out").click();
    await page.waitForURL(/\/login$/);
    await inspect("login");
    say("out", await page.textContent("h1"));
  },
};

Object.assign(words, require("./pages.cjs")({ page: () => page, button, heading, answer, inspect, say }));

async function main() {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: forms.wide, locale: "en-GB", timezoneId: "UTC" });
  page = await context.newPage();
  page.setDefaultTimeout(Number(process.env.LOOK_MS ?? 60000));
  // A refused status is told by the console too, and is asked for here.
  page.on("console", (m) => m.type() === "error" && !m.text().includes("status of 4") && say("console", m.text()));
  page.on("pageerror", (e) => say("script", String(e)));
  for (let i = 0; i < steps.length; ) {
    const run = words[steps[i]];
    const args = steps.slice(i + 1, i + 1 + run.length);
    try {
      await run(...args);
      console.error(steps[i], "took", Math.round(performance.now()), "ms so far");
    } catch (e) {
      await page.screenshot({ path: path.join(dir, "failed.png") }).catch(() => {});
      throw new Error(`${steps[i]}: ${e.stack}`);
    }
    i += 1 + run.length;
  }
  await browser.close();
}
function end(status, more) {
  const text = [seen.join("; "), more].filter(Boolean).join("; ");
  fs.writeFileSync(path.join(dir, "said.new"), `${text}\n`);
  fs.renameSync(path.join(dir, "said.new"), path.join(dir, "said"));
  console.log(text);
  process.exit(status);
}
main().then(() => end(0), (e) => end(1, String(e)));

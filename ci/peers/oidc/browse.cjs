#!/usr/bin/env node
// browse DIR URL LOGIN [replay|dark|console|admin PASSWORD]: Chromium, without a screen, at the page of a machine that waits: logs in, looks
// at what is asked, lets it in. Pictures of each page go to DIR. Prints in one line what it saw.
const { chromium } = require("playwright-core");
const path = require("node:path");

const [dir, url, login, way = "", password = "any"] = process.argv.slice(2);
const seen = [];
const say = (...words) => seen.push(words.join(" "));

async function logInThere(page) {
  await page.click("a.button");
  await page.fill("input[name=login]", login);
  await page.fill("input[name=password]", password);
  await page.click("button[type=submit]");
  await page.waitForSelector("text=Continue"); // whether the client may know the claims
  await page.click("button[type=submit]");
  await page.waitForURL((u) => u.origin === new URL(url).origin);
}

// At the console, where URL is: what a person finds there, and what they are refused.
async function lookAtConsole(page, picture) {
  await page.locator("main h1").waitFor();
  await page.locator(".machines .name").first().waitFor();
  say("console", await page.textContent("main h1"), (await page.locator(".machines .name").allTextContents()).join());
  say("menu", (await page.locator("nav a").allTextContents()).join());
  const form = await page.getAttribute("body", "data-form");
  const ask = (verb, args) => page.evaluate(([path, body, word]) => fetch(path, { method: "POST", body, headers: { "X-Ropewalk-Form": word } }).then((r) => r.status), [`/v1/${verb}`, JSON.stringify(args), form]);
  say("refused", await ask("users/list", {}), await ask("nodes/rename", { id: 2, name: "mine" }), await ask("nodes/list", {}));
  await picture("4-console");
}

// As an admin of the server, after a wrong password.
async function logInHere(page, picture) {
  const again = new URL("/login?register=" + url.split("/").pop(), url).href;
  await page.click("summary");
  await page.click("text=Log in as an admin");
  await picture("1-password");
  for (const word of ["not " + password, password]) {
    await page.goto(again);
    await page.fill("input[name=name]", login);
    await page.fill("input[name=password]", word);
    await Promise.all([page.waitForNavigation(), page.click("button.button")]);
    say("password", await page.textContent("h1"));
  }
}

async function main() {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  const context = await browser.newContext({
    ignoreHTTPSErrors: true, // the authority is of the scenario
    colorScheme: way === "dark" ? "dark" : "light",
    viewport: way === "dark" ? { width: 360, height: 740 } : { width: 1280, height: 800 },
  });
  const page = await context.newPage();
  page.on("console", (m) => m.text().includes("Content Security Policy") && say("console", m.text()));
  page.on("pageerror", (e) => say("script", String(e)));
  page.setDefaultTimeout(30000);
  const picture = (name) => page.screenshot({ path: path.join(dir, `${way || "plain"}-${name}.png`), fullPage: true });

  await page.goto(url);
  if (way === "console") {
    await logInThere(page);
    await lookAtConsole(page, picture);
    return browser.close();
  }
  say("page", await page.textContent("h1"));
  await picture("1-asks");
  let callback = "";
  page.on("request", (r) => r.url().includes("/oidc/callback?") && (callback = r.url()));
  if (way === "admin") await logInHere(page, picture);
  else await logInThere(page);
  say("back", await page.textContent("h1"));
  await picture("2-confirm");
  if (way === "replay") {
    const again = await page.goto(callback);
    say("replay", again.status(), await page.textContent("h1"));
    const other = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
    await other.goto(url);
    const begin = await other.request.get(await other.getAttribute("a.button", "href").then((h) => new URL(h, url).href), { maxRedirects: 0 });
    const state = new URL(begin.headers().location).searchParams.get("state");
    const stolen = await page.goto(new URL("/oidc/callback?code=x&state=" + state, url).href);
    say("elsewhere", stolen.status(), await page.textContent("h1"));
    const forged = await page.request.post(url, { form: { form: "0".repeat(64) } });
    say("forged", forged.status());
    await page.goto(url);
  }
  const choice = await page.$("select");
  if (choice) await choice.selectOption("bob@example.com");
  if (await page.$("button.button")) {
    say("who", await page.textContent("strong"));
    const cookies = (await context.cookies(url)).map((c) => `${c.name} ${c.httpOnly} ${c.secure} ${c.sameSite}`);
    say("cookies", cookies.join(", "));
    // A second page that only looks follows by itself.
    const looker = await context.newPage();
    looker.setDefaultTimeout(30000);
    await looker.goto(url);
    await page.click("button.button");
    await page.waitForSelector("text=is in");
    await looker.waitForSelector("text=is in");
    say("follows", await looker.textContent("h1"));
    await picture("3-in");
  }
  if (way === "admin") {
    await page.goto(new URL("/admin#/users", url).href);
    const alice = page.getByRole("table", { name: "Users" }).getByRole("row").filter({ hasText: "alice@" });
    await alice.locator(".tag").first().waitFor(); // the page asks for its people after it is there
    say("groups", (await alice.locator(".tag").allTextContents()).join());
    await page.goto(url);
  }
  say("end", await page.textContent("h1"), "|", (await page.textContent("[role=status]").catch(() => "")).trim());
  await browser.close();
}
main().then(
  () => {
    console.log(seen.join("; "));
    process.exit(0);
  },
  (e) => {
    console.log(seen.join("; "), String(e));
    process.exit(1);
  },
);

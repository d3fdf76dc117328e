#!/usr/bin/env node
// resolver DIR URL PASSWORD: Chromium, without a screen and without scripts, at the page of a resolver: logs in, blocks a name and lets it
// through again, pauses, looks at what was asked. Pages are judged by axe-core, light and dark, wide and narrow; pictures go to DIR. Prints in
// one line what it saw.
const { chromium } = require("playwright-core");
const axe = require("node:fs").readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const path = require("node:path");

const [dir, url, password] = process.argv.slice(2);
const seen = [];
const say = (...words) => seen.push(words.join(" "));
const rules = { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] };
const forms = { wide: { width: 1280, height: 800 }, narrow: { width: 360, height: 740 } };

async function logIn(page, word) {
  await page.goto(url + "/login");
  await page.fill("input[name=password]", word);
  await page.click("button.act");
}

// The judge is a script: it comes in past the page's policy, in a browser of its own.
async function inspect(browser) {
  for (const [form, viewport] of Object.entries(forms))
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ viewport, colorScheme, bypassCSP: true });
      const page = await context.newPage();
      for (const where of ["/login", "/", "/log", "/lists", "/why?name=ads.example"]) {
        await page.goto(url + where);
        await page.evaluate(axe);
        const { violations } = await page.evaluate((r) => window.axe.run(document, r), rules);
        for (const v of violations) say("axe", where, form, colorScheme, v.id, v.nodes[0].html.slice(0, 120));
        if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) say("sideways", where, form);
        const name = where === "/" ? "overview" : where.slice(1).split("?")[0];
        await page.screenshot({ path: path.join(dir, `${name}-${form}-${colorScheme}.png`) });
        if (where === "/login") await logIn(page, password);
      }
      await context.close();
    }
}

async function use(browser) {
  const context = await browser.newContext({ javaScriptEnabled: false, viewport: forms.narrow });
  const page = await context.newPage();
  await page.goto(url);
  say("first", await page.textContent("h1"));
  await logIn(page, "not " + password);
  say("wrong", (await page.textContent("[role=alert]")).trim());
  await logIn(page, password);
  say("then", await page.textContent("h1"));
  await page.click("text=Questions");
  await page.getByRole("button", { name: "Block www.example.com" }).first().click();
  say("said", (await page.textContent("[role=status]")).trim());
  await page.click("nav >> text=Names");
  say("denied", await page.locator("section", { hasText: "Blocked by hand" }).locator("td.name").allTextContents());
  await page.getByRole("button", { name: "Remove www.example.com" }).click();
  say("said", (await page.textContent("[role=status]")).trim());
  await page.click("nav >> text=Overview");
  await page.getByRole("button", { name: "Pause for 5 min" }).click();
  say("paused", (await page.textContent(".state strong")).trim());
  await page.click("text=Block again");
  say("again", (await page.textContent(".state strong")).trim());
  await page.click("text=Log out");
  say("out", await page.textContent("h1"));
  await context.close();
}

async function main() {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  try {
    await use(browser);
    await inspect(browser);
    say("end");
  } finally {
    await browser.close();
  }
}

main()
  .catch((e) => say("failed", String(e).split("\n")[0]))
  .finally(() => console.log(seen.join("; ")));

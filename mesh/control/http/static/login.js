// The page of a machine that waits follows what happens to it. Without this script it is loaded again now and then.
"use strict";
const id = document.body.dataset.pending;
async function look() {
  try {
    const answer = await fetch("/pending/" + id, { cache: "no-store" });
    if (answer.ok && (await answer.json()).state !== "waiting") {
      location.reload();
      return;
    }
  } catch {
    // the server is away: it will be back
  }
  setTimeout(look, document.hidden ? 5000 : 1000);
}
if (id) setTimeout(look, 1000);

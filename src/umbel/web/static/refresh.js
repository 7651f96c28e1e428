// Renews the page in place while somebody looks at it. The page is complete without this.
"use strict";

const EVERY_MS = 5000;
const note = document.getElementById("renewal");

async function renew() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(EVERY_MS) });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    if (!fresh) throw new Error("not a status page");
    const scrolled = [...document.querySelectorAll(".wide")].map((table) => table.scrollLeft);
    document.querySelector("main").replaceWith(fresh);
    fresh.querySelectorAll(".wide").forEach((table, place) => { table.scrollLeft = scrolled[place] ?? 0; });
    note.textContent = "Live";
    note.className = "live";
  } catch {
    note.textContent = "Not connected, trying again";
    note.className = "away";
  }
}

async function forever() {
  // One after the other, so that a slow server is not asked twice.
  await renew();
  setTimeout(forever, EVERY_MS);
}

note.textContent = "Live";
note.className = "live";
document.addEventListener("visibilitychange", renew);
setTimeout(forever, EVERY_MS);

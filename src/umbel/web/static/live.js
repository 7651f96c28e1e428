// Keeps an open page up to date. Pages are complete without it: it listens for ticks, fetches the page that it is on
// once more, and puts the regions [data-live] in the place of the old ones, each found by its id. A region in which
// somebody is at work (a field that was changed, an open confirmation) is left alone until they are done.

const LEAST_MS = 1000;
const PATIENCE_MS = 15000;
const state = document.querySelector("[data-live-state]");
const text = state?.querySelector("[data-live-text]");
const button = state?.querySelector("[data-live-pause]");
const regions = () => document.querySelectorAll("[data-live][id]");

let source = null;
let wanted = false;
let busy = false;

function say(word, kind) {
  if (text.textContent !== word) text.textContent = word;
  state.classList.toggle("on", kind === "on");
  state.classList.toggle("away", kind === "away");
}

function isPaused() {
  try {
    return localStorage.getItem("umbel-live") === "paused";
  } catch {
    return false;
  }
}

function keepPaused(paused) {
  try {
    localStorage.setItem("umbel-live", paused ? "paused" : "live");
  } catch { /* Without storage the choice lasts as long as the page. */ }
}

function isAtWork(region) {
  if (region.querySelector("dialog[open], details.confirm[open]")) return true;
  const active = document.activeElement;
  if (region.contains(active) && active.matches("input, select, textarea")) return true;
  return [...region.querySelectorAll("input, textarea")].some((field) =>
    field.type === "checkbox" || field.type === "radio"
      ? field.checked !== field.defaultChecked
      : field.type !== "hidden" && field.value !== field.defaultValue);
}

// What somebody opened, scrolled or stood on is as it was.
function remember(region) {
  return {
    open: [...region.querySelectorAll("details")].map((one) => one.open),
    scrolled: [...region.querySelectorAll(".wide, pre")].map((one) => [one.scrollLeft, one.scrollTop]),
    focus: region.contains(document.activeElement) ? pathTo(region, document.activeElement) : null,
  };
}

function pathTo(region, element) {
  const path = [];
  for (let one = element; one !== region; one = one.parentElement) path.unshift([...one.parentElement.children].indexOf(one));
  return path;
}

function restore(region, before) {
  region.querySelectorAll("details").forEach((one, place) => { if (before.open[place] !== undefined) one.open = before.open[place]; });
  region.querySelectorAll(".wide, pre").forEach((one, place) => {
    [one.scrollLeft, one.scrollTop] = before.scrolled[place] ?? [0, 0];
  });
  const target = before.focus?.reduce((one, place) => one?.children[place], region);
  target?.focus({ preventScroll: true });
}

const who = (page) => page.querySelector(".who")?.textContent;

// Forms that stay keep working after somebody has signed in anew, on another page of this browser.
function renewTokens(fresh) {
  const token = fresh.querySelector('meta[name="csrf-token"]')?.content;
  if (!token) return;
  document.querySelector('meta[name="csrf-token"]').content = token;
  document.querySelectorAll('input[name="csrf_token"]').forEach((field) => { field.value = token; });
}

function swap(fresh) {
  renewTokens(fresh);
  for (const region of regions()) {
    const next = fresh.getElementById(region.id);
    if (!next || region.innerHTML === next.innerHTML || isAtWork(region)) continue;
    const before = remember(region);
    region.replaceChildren(...next.childNodes);
    restore(region, before);
  }
}

async function renew() {
  if (busy) { wanted = true; return; }
  busy = true;
  wanted = false;
  const began = performance.now();
  try {
    const answer = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.redirected && new URL(answer.url).pathname !== location.pathname) {
      stop("Signed out: load this page again", "away");
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (who(fresh) !== who(document)) {
      stop("Somebody else is signed in now: load this page again", "away");
      return;
    }
    swap(fresh);
    say("Live", "on");
    state.classList.remove("beat");
    requestAnimationFrame(() => state.classList.add("beat"));
  } catch {
    if (source) say("Not connected, trying again", "away");
    wanted = true;
  } finally {
    // A slow page is fetched less often: never more than a quarter of the time.
    setTimeout(() => { busy = false; if (wanted && source) renew(); }, Math.max(LEAST_MS, 3 * (performance.now() - began)));
  }
}

function start() {
  if (source || isPaused() || document.hidden) return;
  say("Connecting", "");
  source = new EventSource(state.dataset.stream);
  source.addEventListener("tick", renew);
  source.addEventListener("open", () => say("Live", "on"));
  source.addEventListener("error", () => {
    say("Not connected, trying again", "away");
    if (source?.readyState === EventSource.CLOSED) { stop("Not connected, trying again", "away"); setTimeout(start, 5000); }
  });
}

function stop(word, kind) {
  source?.close();
  source = null;
  say(word, kind);
}

function show() {
  const paused = isPaused();
  button.setAttribute("aria-pressed", String(paused));
  button.textContent = paused ? "Go on" : "Pause";
  if (paused) stop("Paused", "");
  else start();
}

document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

if (state && regions().length) {
  state.hidden = false;
  button.addEventListener("click", () => { keepPaused(!isPaused()); show(); });
  document.addEventListener("visibilitychange", () => { if (document.hidden) stop("Waiting", ""); else show(); });
  show();
}

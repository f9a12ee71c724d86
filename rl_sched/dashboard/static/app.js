// Begins: views, theme, connection, keys.

import * as api from "./api.js";
import * as details from "./details.js";
import * as history from "./history.js";
import * as hybrid from "./hybrid.js";
import * as race from "./race.js";
import { changed, connect, draw, store, watch } from "./store.js";
import { whenSeen } from "./ui.js";

const views = { race, details, history, hybrid, api };
const made = new Set();

function show() {
  const name = location.hash.slice(1).split("/")[0];
  const wanted = views[name] ? name : "race";
  for (const key of Object.keys(views)) {
    document.getElementById(`view-${key}`).hidden = key !== wanted;
    const link = document.querySelector(`nav a[href="#${key}"]`);
    key === wanted ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
  const root = document.getElementById(`view-${wanted}`);
  if (!made.has(wanted)) { made.add(wanted); views[wanted].make(root); }
  if (views[wanted].enter) views[wanted].enter();
  changed();
}

function badge() {
  const box = document.getElementById("connection");
  box.className = `badge ${store.connected ? "good" : "bad"}`;
  const text = store.connected ? `live · ${store.state}` : "no connection, trying again";
  if (box.textContent !== text) box.textContent = text;
}

const THEMES = ["auto", "light", "dark"];
const system = matchMedia("(prefers-color-scheme: dark)");
function theme(next) {
  const chosen = next || localStorage.getItem("theme") || "auto";
  localStorage.setItem("theme", chosen);
  document.documentElement.dataset.theme = chosen === "auto" ? (system.matches ? "dark" : "light") : chosen;
  document.getElementById("theme").textContent = `Theme: ${chosen}`;
  changed();
}

document.getElementById("theme").addEventListener("click", () => {
  theme(THEMES[(THEMES.indexOf(localStorage.getItem("theme") || "auto") + 1) % THEMES.length]);
});
system.addEventListener("change", () => theme());
addEventListener("hashchange", show);
addEventListener("resize", changed);
whenSeen(draw);
addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea, button, a, summary") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " ") { event.preventDefault(); race.toggle(); }
  if (event.key === ".") race.step();
});
watch(() => {
  badge();
  for (const name of made) if (!document.getElementById(`view-${name}`).hidden) views[name].draw();
});
window.rlSched = store; // for the tests and for the curious
theme();
show();
connect();

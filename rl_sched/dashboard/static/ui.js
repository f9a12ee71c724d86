// Small helpers: elements, numbers with units, colours, requests.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "style") node.style.cssText = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

export const fill = (node, ...children) => node.replaceChildren(...children.filter((c) => c !== null && c !== undefined));

const NONE = "–";
export function number(value, digits = 1) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  return value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: Math.abs(value) < 1e5 ? digits : 0 });
}
export const whole = (value) => number(value, 0);
export const seconds = (value) => (value === null || value === undefined ? NONE : `${number(value, Math.abs(value) < 1000 ? 1 : 0)} s`);
export const percent = (value) => (value === null || value === undefined ? NONE : `${number(100 * value)} %`);

export function short(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  return `${+value.toPrecision(4)}`;
}

export const isDark = () => document.documentElement.dataset.theme === "dark";

// The colour of a policy; those that a dark page would swallow (or a light one) keep their hue and change lightness.
const inks = new Map();
export function ink(color, dark = isDark()) {
  const key = color + dark;
  if (!inks.has(key)) {
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
    const light = (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
    const mix = (to, part) => `rgb(${[r, g, b].map((x) => Math.round(x + (to - x) * part)).join(" ")})`;
    let out = color;
    if (dark && light < 0.55) out = mix(255, Math.min(0.85, (0.62 - light) * 1.35));
    if (!dark && light > 0.72) out = mix(0, (light - 0.6) * 0.9);
    inks.set(key, out);
  }
  return inks.get(key);
}

export function swatch(look) {
  const style = look.dashes && look.dashes.length ? (look.dashes[0] < 2 ? "dotted" : "dashed") : "solid";
  return el("span", { class: "swatch", style: `--light:${ink(look.color, false)};--dark:${ink(look.color, true)};border-top-style:${style}` });
}

export async function ask(path, options = {}) {
  const { body, ...rest } = options;
  if (body !== undefined) Object.assign(rest, { body: JSON.stringify(body), headers: { "content-type": "application/json" } });
  let answer;
  try {
    answer = await fetch(path, rest);
  } catch {
    throw new Error("The server does not answer. Start it again with: python -m rl_sched.dashboard");
  }
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(data.detail || `The server answered ${answer.status}.`);
  return data;
}

export function note(text, level = "info") {
  const box = el("div", { class: level === "error" ? "bad" : "" }, text);
  const notes = document.getElementById("notes");
  notes.append(box);
  while (notes.childElementCount > 3) notes.firstElementChild.remove();
  setTimeout(() => box.remove(), level === "error" ? 12000 : 6000);
}

export const card = (size, title, ...children) => el("div", { class: `card ${size}` }, el("h2", {}, title), ...children);
export const canvas = (label, height = 220) => el("canvas", { role: "img", "aria-label": label, style: `height:${height}px` });

// Whether anybody can see it: what is scrolled out of the window need not be drawn 22 times a second. On paper all is seen.
let onPaper = false;
export function inView(node) {
  const box = node.getBoundingClientRect();
  return onPaper || (box.bottom > 0 && box.top < innerHeight);
}
export function whenSeen(draw) {
  addEventListener("scroll", draw, { passive: true });
  document.addEventListener("toggle", draw, { capture: true }); // what a <details> hides and shows moves the rest
  addEventListener("beforeprint", () => { onPaper = true; draw(); });
  addEventListener("afterprint", () => { onPaper = false; });
}

export function table(heads, rows, caption = null) {
  const texts = heads.map((h) => (typeof h === "object" ? h : { name: h }));
  return el("div", { class: "scroll" }, el("table", {},
    caption ? el("caption", { class: "soft" }, caption) : null,
    el("thead", {}, el("tr", {}, ...texts.map((h) => el("th", { scope: "col", class: h.text ? "text" : "", title: h.title || null }, h.name)))),
    el("tbody", {}, ...rows.map((row) => el("tr", { class: row.chosen ? "chosen" : "" },
      ...(row.cells || row).map((cell, i) => el("td", { class: texts[i] && texts[i].text ? "text" : "" }, cell === null || cell === undefined ? NONE : cell)))))));
}

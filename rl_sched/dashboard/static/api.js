// The API, from the server's own OpenAPI document.

import { ask, card, el, fill, table } from "./ui.js";

let root = null;

export async function make(node) {
  root = node;
  fill(root, el("div", { class: "card empty" }, "Reading the OpenAPI document …"));
  let api;
  try { api = await ask("/openapi.json"); } catch (error) { fill(root, el("div", { class: "card error" }, error.message)); return; }
  const rows = Object.entries(api.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, about]) => [
    `${method.toUpperCase()} ${path}`, about.summary || "", (about.parameters || []).map((p) => p.name).join(", "), Object.keys(about.responses).join(", ")]));
  fill(root, el("div", { class: "grid" }, card("", "REST", el("p", { class: "soft" }, "The whole document: ", el("a", { href: "/openapi.json" }, "/openapi.json"), "."),
    table([{ name: "route" }, { name: "what it does", text: true }, { name: "parameters", text: true }, { name: "answers", text: true }], rows)),
    card("", "WebSocket /ws", el("p", {}, "Messages are JSON. ", el("code", {}, "simulation_update"), " tells what is new; the first one (", el("code", {}, "whole: true"), ") holds everything so far, and a client that reads too slowly gets such a one instead of what it has missed. ", el("code", {}, "notification"), " is a sentence for the reader.")),
    card("", "Example", el("pre", { class: "scroll" }, "curl -X POST http://127.0.0.1:8765/api/start -H 'content-type: application/json' \\\n  -d '{\"workload\": \"scenario:default\", \"policies\": [\"rule:sjf_backfill\", \"rule:min_min\"], \"speed\": 0}'"))));
}

export function draw() {}

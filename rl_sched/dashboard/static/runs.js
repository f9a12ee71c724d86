// Runs in MLflow, a part of the view History: a list, and the curves of the one that is chosen.

import { lineChart } from "./charts.js";
import { ask, canvas, card, el, fill, ink, number, seconds, table } from "./ui.js";

const FIRST = ["total_time_s", "mean_latency_s", "retrainings", "val_score", "mean_jct_s"];
const CURVE = { color: "#0072B2", dashes: [] };
let parts = {}, runs = [], chosen = null;

export function makeRuns() {
  parts.experiment = el("select", { "aria-label": "Experiment", onchange: list });
  parts.list = el("div", { class: "tall" });
  parts.metric = el("select", { "aria-label": "Metric of the chosen run", onchange: drawRun });
  parts.curve = canvas("A metric of the chosen run over its steps", 260);
  parts.name = el("p", { class: "soft" });
  parts.detail = card("half", "Chosen run", parts.name, el("div", { class: "row", style: "margin-bottom:6px" }, el("label", {}, "Metric", parts.metric)), parts.curve);
  return el("div", { class: "grid" },
    card("half", "Runs in MLflow, newest first", el("div", { class: "row", style: "margin-bottom:6px" }, el("label", {}, "Experiment", parts.experiment)), parts.list),
    parts.detail);
}

export async function enterRuns() {
  chosen = null;
  let found;
  try { found = await ask("/api/runs"); } catch (error) { found = { runs: [], note: error.message }; }
  runs = found.runs;
  parts.detail.hidden = true;
  const names = [...new Set(runs.map((r) => r.experiment))];
  fill(parts.experiment, ...names.map((name) => el("option", { value: name }, name)));
  parts.experiment.disabled = !names.length;
  if (found.note) fill(parts.list, el("div", { class: "error" }, found.note));
  else if (!names.length) fill(parts.list, el("div", { class: "empty" }, "No run in MLflow's database below the data folder yet. Run: python experiments/heavy_simulation.py, or make ablation."));
  else list();
}

function list() {
  const own = runs.filter((r) => r.experiment === parts.experiment.value);
  fill(parts.list, table([{ name: "run", text: true }, { name: "kind", text: true }, { name: "status", text: true }, "took", { name: "started (UTC)", text: true }, "last values"],
    own.map((r) => ({ chosen: chosen && chosen.id === r.id, cells: [el("button", { type: "button", class: "link", onclick: () => open(r) }, r.name || r.id.slice(0, 8)), r.kind, r.status.toLowerCase(),
      seconds(r.duration_s), new Date(1000 * r.start_s).toISOString().slice(0, 16).replace("T", " "), values(r)] }))));
}

function values(run) {
  const names = FIRST.filter((name) => name in run.metrics).slice(0, 2);
  return names.map((name) => `${name} ${number(run.metrics[name], 2)}`).join(", ") || null;
}

async function open(run) {
  try { chosen = { ...run, ...(await ask(`/api/run?id=${run.id}`)) }; } catch (error) { fill(parts.list, el("div", { class: "error" }, error.message)); return; }
  list();
  const long = (name) => chosen.curves[name].length > 1;
  const names = Object.keys(chosen.curves).sort((a, b) => long(b) - long(a) || FIRST.includes(b) - FIRST.includes(a) || a.localeCompare(b));
  parts.detail.hidden = false;
  parts.name.textContent = `${chosen.name}: ${names.length ? `${names.length} metrics` : "it has recorded no metric; look at the runs that belong to it"}`;
  parts.metric.disabled = !names.length;
  fill(parts.metric, ...names.map((name) => el("option", { value: name }, name)));
  drawRun();
}

export function drawRun() {
  if (!chosen) return;
  const name = parts.metric.value, points = chosen.curves[name] || [];
  lineChart(parts.curve, { x: "step", y: name, empty: "no metric", series: points.length ? [{ color: ink(CURVE.color), dashes: CURVE.dashes, marks: points.length < 30, points }] : [] });
}

// What has been: finished races, sweeps, registered policies.

import { lineChart } from "./charts.js";
import { drawRun, enterRuns, makeRuns } from "./runs.js";
import { ask, canvas, card, el, fill, ink, note, number, percent, seconds, swatch, table, whole } from "./ui.js";

let parts = {}, catalogue = new Map(), races = null, sweep = null;

export function make(root) {
  parts.trend = canvas("Mean job completion time of every race, one line a policy", 230);
  parts.trendKey = el("div", { class: "soft" });
  parts.rows = el("div", { class: "tall" });
  parts.workload = el("select", { "aria-label": "Workload of the trend", onchange: draw });
  parts.clear = el("button", { type: "button", onclick: clear }, "Clear the history");
  parts.sweeps = el("select", { "aria-label": "Sweep", onchange: () => openSweep(parts.sweeps.value) });
  parts.sweepAbout = el("p", { class: "soft" });
  parts.scenario = el("select", { "aria-label": "Scenario of the sweep", onchange: drawSweep });
  parts.arms = el("div");
  parts.front = canvas("Training CPU time against VAL score of every arm", 260);
  parts.curves = canvas("VAL score over training steps, one line a training run", 260);
  parts.models = el("div");
  parts.sweepBody = el("div", { class: "grid" }, card("", "Arms", parts.arms),
    card("half", "Pareto front: training time and VAL score", parts.front, el("p", { class: "soft" }, "Filled: no other arm is better in both. Left and low is better.")),
    card("half", "Learning curves", parts.curves, el("p", { class: "soft" }, "One line a training run, in its arm's colour.")));
  fill(root,
    el("div", { class: "grid" },
      card("half", "Trend of finished races", el("div", { class: "row", style: "margin-bottom:6px" }, el("label", {}, "Workload", parts.workload)), parts.trend, parts.trendKey),
      el("div", { class: "card half" }, el("h2", {}, "Finished races"), parts.rows, el("p", {}, parts.clear))),
    el("div", { class: "grid" }, card("", "Sweeps", el("div", { class: "row" }, el("label", {}, "Sweep", parts.sweeps), el("label", {}, "Scenario", parts.scenario)), parts.sweepAbout)),
    parts.sweepBody,
    makeRuns(),
    el("div", { class: "grid" }, card("", "Registered policies, version by version", parts.models)));
}

export async function enter() {
  const failed = (node) => (error) => { fill(node, el("div", { class: "error" }, error.message)); return null; };
  const [found, history, sweeps, models] = await Promise.all([
    ask("/api/catalogue").catch(() => null), ask("/api/full_history").catch(failed(parts.rows)),
    ask("/api/sweeps").catch(failed(parts.sweepAbout)), ask("/api/models").catch(failed(parts.models))]);
  if (found) catalogue = new Map(found.policies.map((p) => [p.name, p]));
  races = history;
  if (history) {
    const names = [...new Set(history.map((r) => r.about))];
    fill(parts.workload, ...names.map((name) => el("option", { value: name }, name)));
    if (names.length) parts.workload.value = names[names.length - 1];
    listRaces();
  }
  if (sweeps) {
    fill(parts.sweeps, ...sweeps.map((s) => el("option", { value: s.id }, `${s.id} (${s.done} of ${s.trials} trials done${s.running ? ", running" : ""})`)));
    parts.sweepBody.hidden = !sweeps.length;
    if (sweeps.length) await openSweep(sweeps[0].id);
    else fill(parts.sweepAbout, "No sweep below the data folder yet. Run: make ablation, or start the dashboard with --data DIR.");
  }
  if (models) drawModels(models);
  await enterRuns();
  draw();
}

const look = (name) => catalogue.get(name) || { color: "#777777", dashes: [] };

function listRaces() {
  parts.clear.disabled = !races.length;
  if (!races.length) { fill(parts.rows, el("div", { class: "empty" }, "No race has come to its end yet. Start one in the view Race.")); return; }
  fill(parts.rows, table(["policy", { name: "jobs", text: true }, "mean JCT", "p95 JCT", "utilisation", { name: "finished (UTC)", text: true }],
    [...races].reverse().slice(0, 100).map((r) => [el("span", {}, swatch(look(r.policy)), r.policy), r.about, seconds(r.metrics.mean_jct_s), seconds(r.metrics.p95_jct_s), percent(r.metrics.utilisation_frac), r.at.slice(0, 16).replace("T", " ")])));
}

async function clear() {
  if (!confirm("Forget all finished races? This cannot be undone.")) return;
  try { const { deleted } = await ask("/api/history", { method: "DELETE" }); note(`${deleted} runs forgotten.`); await enter(); } catch (error) { note(error.message, "error"); }
}

async function openSweep(id) {
  try { sweep = await ask(`/api/sweep?id=${encodeURIComponent(id)}`); } catch (error) { fill(parts.sweepAbout, el("div", { class: "error" }, error.message)); return; }
  fill(parts.sweepAbout, sweep.question);
  fill(parts.scenario, ...sweep.scenarios.map((s) => el("option", { value: s.scenario }, s.scenario)));
  drawSweep();
}

function drawSweep() {
  const found = sweep && sweep.scenarios.find((s) => s.scenario === parts.scenario.value);
  if (!found) { fill(parts.arms, el("div", { class: "empty" }, "No trial of this sweep has finished yet.")); return; }
  const names = Object.entries(sweep.metrics).filter(([key]) => found.arms.some((a) => a[key] !== null));
  fill(parts.arms, table(["arm", "seeds", "VAL score", "best and worst seed", "training (CPU s)", ...names.map(([, name]) => name)],
    found.arms.map((a) => [el("span", {}, swatch(a), a.arm), whole(a.seeds), number(a.objective, 2), `${number(Math.min(...a.scores), 1)} to ${number(Math.max(...a.scores), 1)}`, number(a.cpu_s, 1), ...names.map(([key]) => number(a[key], 3))]),
    "Means over training seeds; VAL score as a cost, lower is better; the other columns are of the best checkpoints on REPORT workloads."));
  draw();
}

function drawModels({ models, note: text }) {
  if (text) { fill(parts.models, el("div", { class: "error" }, text)); return; }
  if (!models.length) { fill(parts.models, el("div", { class: "empty" }, "No policy is registered. A sweep registers its best, or use: python -m rl_sched.register.")); return; }
  fill(parts.models, table(["model", "version", { name: "alias", text: true }, { name: "scenario", text: true }, "VAL score", { name: "objective", text: true }, "steps"],
    models.map((m) => [m.model, whole(m.version), m.aliases.join(", "), m.scenario, number(m.val_score, 2), m.objective, whole(m.steps)])));
}

export function draw() {
  if (races) {
    const own = races.filter((r) => r.about === parts.workload.value), order = [...new Set(own.map((r) => r.race))];
    const names = [...new Set(own.map((r) => r.policy))];
    lineChart(parts.trend, { x: "race", wholeX: true, y: "mean JCT (s)", empty: "no finished race", series: names.map((name) => ({ color: ink(look(name).color), dashes: look(name).dashes, marks: true,
      points: own.filter((r) => r.policy === name).map((r) => [order.indexOf(r.race) + 1, r.metrics.mean_jct_s]) })) });
    fill(parts.trendKey, ...names.flatMap((name) => [swatch(look(name)), `${name}  `]));
  }
  drawRun();
  const found = sweep && sweep.scenarios.find((s) => s.scenario === parts.scenario.value);
  if (!found) return;
  lineChart(parts.front, { x: "training, mean CPU time of a run (s)", y: "VAL score (cost)", logY: found.arms.every((a) => a.objective > 0), logX: true,
    series: found.arms.map((a) => ({ color: ink(a.color), scatter: true, points: [[a.cpu_s, a.objective, a.front]] })) });
  const colors = new Map(found.arms.map((a) => [a.arm, a]));
  const curves = sweep.curves.filter((c) => c.scenario === found.scenario && colors.has(c.arm));
  lineChart(parts.curves, { x: "environment steps", y: "VAL score", logY: curves.every((c) => c.points.every((p) => p[2] > 0)),
    series: curves.map((c) => ({ color: ink(colors.get(c.arm).color), dashes: colors.get(c.arm).dashes, width: 1.3, marks: c.points.length < 12, points: c.points.map((p) => [p[0], p[2]]) })) });
}

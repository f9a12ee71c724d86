// One scheduler in detail: load, radar, resource split, decisions, and a decision taken apart.

import { heatmap, lineChart, radar } from "./charts.js";
import { store } from "./store.js";
import { ask, canvas, card, el, fill, ink, number, percent, seconds, swatch, table, whole } from "./ui.js";

const AXES = [["jct", "mean JCT"], ["makespan", "makespan"], ["utilisation", "utilisation"], ["fairness", "fairness (Jain)"], ["slowdown", "1 / slowdown"]];
let parts = {}, chosen = null, shownLog = "", shown = null;

export function make(root) {
  parts.lane = el("select", { "aria-label": "Policy", onchange: () => { chosen = parts.lane.value; shownLog = ""; draw(); } });
  parts.starts = el("input", { type: "checkbox", checked: true, style: "width:auto;display:inline;min-height:0", onchange: () => { shownLog = ""; draw(); } });
  parts.load = canvas("Busy GPUs and GPUs that the queue asks for, over time");
  parts.radar = canvas("Radar of this policy and the others against the bound", 260);
  parts.split = el("div");
  parts.log = el("div", { class: "tall", tabindex: 0, role: "region", "aria-label": "Decision log" });
  parts.why = el("div", { "aria-live": "polite" }, el("div", { class: "empty" }, "Choose a decision: its candidates, what the policy made of them, and what the others would have done."));
  parts.empty = el("div", { class: "card empty" }, "No race yet. Start one in the view Race.");
  parts.all = el("div", { class: "grid" },
    el("div", { class: "card" }, el("div", { class: "row" }, el("label", { style: "flex:0 1 320px" }, "Policy", parts.lane), el("span", { class: "soft", style: "flex:1 1 200px" }, "Its numbers come from its own simulation of the same jobs."))),
    card("half", "Cluster load (GPUs)", parts.load, el("p", { class: "soft" }, "Filled: busy GPUs. Dashed: busy and asked for by waiting jobs. Line: all GPUs.")),
    card("half", "Against the bound", parts.radar, el("p", { class: "soft" }, "The dashed outline is what no schedule can beat (for JCT and makespan: as much of it as is still possible, exact at the end).")),
    card("third", "Resource split (GPU-hours)", parts.split),
    el("div", { class: "card two-thirds" }, el("h2", {}, "Decision log"), el("label", { style: "margin-bottom:6px" }, parts.starts, " without waiting"), parts.log),
    el("div", { class: "card" }, el("h2", {}, "One decision"), parts.why));
  fill(root, parts.empty, parts.all);
}

export function draw() {
  const { setup, lanes } = store;
  parts.empty.hidden = !!setup && lanes.length > 0;
  parts.all.hidden = !parts.empty.hidden;
  if (!parts.empty.hidden) return;
  const ids = lanes.map((l) => l.id).join();
  if (parts.ids !== ids) {
    parts.ids = ids;
    if (!lanes.some((l) => l.id === chosen)) chosen = lanes[0].id;
    fill(parts.lane, ...lanes.map((l) => el("option", { value: l.id, selected: l.id === chosen }, l.name)));
  }
  const lane = lanes.find((l) => l.id === chosen), color = ink(lane.color);
  lineChart(parts.load, { x: "simulated time (s)", y: "GPUs", steps: true, lines: [{ y: setup.cluster.gpus, name: "all GPUs" }], series: [
    { color, points: lane.points.map((p) => [p[0], p[4]]), fill: true },
    { color, dashes: [3, 2], points: lane.points.map((p) => [p[0], p[4] + p[3]]) }] });
  const values = (l) => AXES.map(([key]) => (l.radar ? l.radar[key] : null));
  radar(parts.radar, { axes: AXES.map(([, name]) => name), series: [...lanes.filter((l) => l !== lane).map((l) => ({ color: ink(l.color), dashes: [1.2, 1.6], values: values(l) })), { color, values: values(lane) }] });
  drawSplit(setup, lane, color);
  drawLog(setup, lane);
}

function drawSplit(setup, lane, color) {
  const rows = setup.cluster.types.map((type, t) => {
    const busy = lane.busy_gpu_s[t] / 3600, use = lane.utilisation_frac[t];
    return [type.name, el("div", { class: "meter" }, el("i", { style: `background:${color};opacity:.55;width:${100 * use}%` }), el("b", {}, percent(use))), `${number(busy, 2)} h`, use ? `${number(busy / use - busy, 2)} h` : "–"];
  });
  fill(parts.split, table(["type", { name: "busy share", text: true }, "busy", "idle"], rows), lane.down_gpus ? el("p", { class: "soft" }, `${lane.down_gpus} GPUs are out of order now.`) : el("span"));
}

const said = (m, pools) => (m[2] === "start" ? `start job ${m[3]} on ${pools[m[4]]}` : m[2] === "preempt" ? `preempt job ${m[3]}` : "wait");

function drawLog(setup, lane) {
  const rows = (parts.starts.checked ? lane.log.filter((m) => m[2] !== "wait") : lane.log).slice(-80).reverse();
  const key = `${store.race} ${lane.id} ${rows.length ? rows[0][0] : ""} ${parts.starts.checked}`;
  // A list that is being used must not move away under the hand.
  if (key === shownLog || (store.state === "running" && parts.log.contains(document.activeElement)) || parts.log.matches(":hover")) if (shownLog) return;
  shownLog = key;
  if (!rows.length) { fill(parts.log, el("div", { class: "empty" }, "No decision yet. Press Start or Step in the view Race.")); return; }
  fill(parts.log, table(["number", "time", { name: "decision", text: true }, "queue"], rows.map((m) => [whole(m[0]), seconds(m[1]),
    el("button", { type: "button", class: "link", "data-index": m[0], onclick: () => why(lane, m[0]) }, said(m, setup.cluster.pools)), whole(m[5])])));
}

async function why(lane, index) {
  shown = `${lane.id} ${index}`;
  const wanted = shown;
  fill(parts.why, el("div", { class: "empty" }, "Carrying out the decisions before it again …"));
  let data;
  try { data = await ask(`/api/decision?lane=${encodeURIComponent(lane.id)}&index=${index}`); } catch (error) {
    fill(parts.why, el("div", { class: "error" }, error.message));
    return;
  }
  if (shown !== wanted) return;
  const does = (a) => (a.kind === "start" ? `starts job ${a.job} on ${a.pool} (${a.gpus} GPUs)` : a.kind === "preempt" ? `preempts job ${a.job}` : "waits");
  const free = Object.entries(data.free_gpus).map(([pool, n]) => `${n} x ${pool}`).join(", ");
  const others = table([{ name: "policy" }, { name: "at this moment", text: true }, { name: "", text: true }], data.others.map((o) => {
    const look = store.lanes.find((l) => l.id === o.id) || { color: "#888888" };
    return [el("span", {}, swatch(look), o.name), o.error || does(o.does), o.error ? "" : `${o.same ? "the same" : "something else"}${o.note ? ` (${o.note})` : ""}`];
  }));
  const candidates = table(["job", "GPUs", "waited", "priority", ...data.pools.map((p) => `run on ${p}`), { name: "fits on", text: true }, "rank", ...data.score_names],
    data.candidates.map((c) => ({ chosen: c.chosen, cells: [`${c.job}${c.chosen ? "  ◀ taken" : ""}`, number(c.gpus, c.gpus % 1 ? 2 : 0), seconds(c.waited_s), number(c.priority, 0),
      ...c.run_s.map((s) => (s === null || s === Infinity ? "–" : seconds(s))), data.pools.filter((_, t) => c.fits[t]).join(", ") || "nowhere", c.rank === null ? "–" : c.rank + 1, ...c.scores.map((s) => number(s, 3))] })));
  fill(parts.why,
    el("p", {}, el("b", {}, `Decision ${whole(index)} of ${lane.name} at ${seconds(data.time_s)}: ${does(data.taken)}.`), ` ${whole(data.waiting)} jobs wait, ${whole(data.running)} run, idle: ${free}.`),
    data.wait ? el("p", {}, `Waiting has logit ${number(data.wait.logit, 3)}, probability ${percent(data.wait.probability)}${data.value === null ? "" : `; the state's value is ${number(data.value, 3)}`}.`) : null,
    data.others.length ? el("h3", {}, "What the other policies would have done") : null, data.others.length ? others : null,
    el("h3", {}, "Candidates"), el("p", { class: "soft" }, data.score_meaning),
    data.candidates.length ? candidates : el("div", { class: "empty" }, "No job waits: there is nothing to choose."),
    data.not_shown ? el("p", { class: "soft" }, `And ${whole(data.not_shown)} more.`) : null,
    ...attention(data));
}

function attention(data) {
  if (!data.attention || !data.attention.jobs.length) return [];
  const { jobs, weights, gpu_pool: pool } = data.attention;
  const chart = canvas("Attention weights of the jobs on the GPUs", Math.min(420, 40 + 16 * jobs.length));
  const columns = data.pools.map((name, t) => [(pool.indexOf(t) + pool.lastIndexOf(t) + 1) / 2, name]);
  requestAnimationFrame(() => heatmap(chart, { values: weights, rows: jobs.map((j) => `job ${j}`), columns, x: "GPUs" }));
  return [el("h3", {}, "Attention: which GPUs each job looks at"), chart, el("p", { class: "soft" }, "Weights from 0 (empty) to 1 (full colour), mean over heads; a row adds up to 1.")];
}

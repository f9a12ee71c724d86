// The report page: the same charts over data that lie in the page itself.

import { gantt, heatmap, lineChart } from "./charts.js";
import { canvas, card, el, fill, ink, number, percent, seconds, swatch, table, whole } from "./ui.js";

const data = JSON.parse(document.getElementById("data").textContent);
const drawings = [];
function drawn(node, draw) { drawings.push(() => draw(node)); return node; }

const MEASURES = [
  ["mean_jct_s", "mean JCT", seconds], ["mean_jct_gap_frac", "above bound", percent], ["median_jct_s", "median JCT", seconds], ["p95_jct_s", "p95 JCT", seconds],
  ["p99_jct_s", "p99 JCT", seconds], ["mean_wait_s", "mean wait", seconds], ["mean_bounded_slowdown", "slowdown", (v) => number(v, 2)], ["makespan_s", "makespan", seconds],
  ["utilisation_frac", "utilisation", percent], ["fragmentation_frac", "fragmentation", percent], ["num_preemptions", "preempted", whole], ["num_kills", "killed", whole],
  ["num_unfinished", "unfinished", whole], ["num_deadline_misses", "late", whole]];
const FAIRNESS = [
  ["jain_user_frac", "Jain's index over users", (v) => number(v, 3)], ["max_finish_time_fairness", "worst finish-time fairness", (v) => number(v, 2)],
  ["p95_finish_time_fairness", "p95 finish-time fairness", (v) => number(v, 2)]];
const MONEY = [["energy_kwh", "energy", (v) => `${number(v, 3)} kWh`], ["electricity_cost_usd", "electricity", (v) => `$ ${number(v, 2)}`], ["gpu_cost_usd", "GPU time", (v) => `$ ${number(v, 2)}`]];

function measures(list) {
  const there = list.filter(([key]) => data.runs.some((r) => key in r.metrics));
  return table(["policy", ...there.map(([, name]) => name)], data.runs.map((r) => [el("span", {}, swatch(r), r.name), ...there.map(([key, , show]) => show(r.metrics[key]))]));
}

const lines = (pick, column) => data.runs.map((r) => ({ color: ink(r.color), dashes: r.dashes, points: r[pick].map((p) => [p[0], p[column]]) }));
const key = () => el("p", { class: "soft" }, ...data.runs.flatMap((r) => [swatch(r), `${r.name}  `]));
const small = (text) => el("p", { class: "soft" }, text);

function build() {
  drawings.length = 0;
  document.getElementById("title").textContent = data.title;
  const chart = (label, height, draw) => drawn(canvas(label, height), draw);
  fill(document.getElementById("main"),
    el("div", { class: "grid" },
      card("", `${whole(data.jobs)} jobs on ${data.cluster.text}`,
        small(`Source ${data.source || "unknown"}, seed ${data.seed}; jobs ${data.workload_hash}, code ${data.code_hash}. No schedule has a mean JCT below ${seconds(data.bounds.mean_jct_s)} or a makespan below ${seconds(data.bounds.makespan_s)}.`),
        measures(MEASURES), small(data.runs.map((r) => `${r.name}: rules ${r.rules}, result ${r.result_hash}`).join("; "))),
      card("half", "Job completion times", chart("Distribution of completion times", 240, (c) => lineChart(c, { series: lines("jct", 1), logX: true, yMax: 1, percent: true, steps: true, x: "job completion time (s)", y: "jobs" })), key()),
      card("half", "Bounded slowdown", chart("Distribution of slowdowns", 240, (c) => lineChart(c, { series: lines("slowdown", 1), logX: true, yMax: 1, percent: true, steps: true, x: "bounded slowdown", y: "jobs" })), small(data.captions.jct)),
      card("half", "Queue (jobs)", chart("Waiting jobs over time", 220, (c) => lineChart(c, { series: lines("timeline", 1), x: "time since the first submission (s)", y: "jobs", steps: true })), key()),
      card("half", "Busy share of all GPUs", chart("Utilisation over time", 220, (c) => lineChart(c, { series: lines("timeline", 3), yMax: 1, percent: true, x: "time since the first submission (s)", steps: true })), small(data.captions.timeline)),
      ...data.runs.map((r) => card("", `Jobs on GPUs: ${r.name}`, ...(r.gantt.missing ? [small(r.gantt.missing)] : [
        chart(`Gantt chart of ${r.name}`, Math.max(90, Math.min(420, r.gantt.gpus * 9)) + 34, (c) => gantt(c, { bars: r.gantt.bars, from: 0, to: r.gantt.end_s, gpus: r.gantt.gpus, nodeOf: r.gantt.node_of, poolOf: r.gantt.pool_of, pools: r.gantt.pools, color: ink(r.color), label: "time since the first submission (s)" })),
        small(r.gantt.caption)]))),
      ...data.runs.map((r) => card(data.runs.length > 1 ? "half" : "", `Utilisation of nodes: ${r.name}`, chart(`Heat map of ${r.name}`, Math.min(420, 60 + 16 * r.heat.rows.length), (c) => heatmap(c, { values: r.heat.values, rows: r.heat.rows, from: 0, to: r.heat.end_s, x: "time since the first submission (s)" })),
        small("Full colour: all GPUs of the node are busy; empty: none."))),
      ...data.runs.map((r) => card("half", `Completion times by priority: ${r.name}`, table(["priority", "jobs", "unfinished", "mean", "median", "std", "min", "max"],
        r.priorities.map((p) => [number(p.priority, p.priority % 1 ? 2 : 0), whole(p.jobs), whole(p.unfinished), seconds(p.mean_s), seconds(p.median_s), seconds(p.std_s), seconds(p.min_s), seconds(p.max_s)])))),
      card("", "Fairness", measures(FAIRNESS), small("Jain's index: 1 = all users' jobs spend the same share of their time running. Finish-time fairness: completion time over what it would be with an equal share of the cluster; above 1 the job did worse.")),
      card("", "Energy and cost", measures(MONEY)),
      ...data.runs.map((r) => card("half", `By GPU type: ${r.name}`, table(["pool", "GPUs", "busy", "idle", "energy", "GPU cost"],
        r.energy.map((e) => [e.pool, whole(e.gpus), `${number(e.busy_h, 2)} h`, `${number(e.idle_h, 2)} h`, `${number(e.energy_kwh, 3)} kWh`, `$ ${number(e.cost_usd, 2)}`]))))));
  for (const draw of drawings) draw();
}

const THEMES = ["auto", "light", "dark"];
const system = matchMedia("(prefers-color-scheme: dark)");
let chosen = "auto";
function applyTheme() {
  document.documentElement.dataset.theme = chosen === "auto" ? (system.matches ? "dark" : "light") : chosen;
  document.getElementById("theme").textContent = `Theme: ${chosen}`;
  build();
}
document.getElementById("theme").addEventListener("click", () => { chosen = THEMES[(THEMES.indexOf(chosen) + 1) % 3]; applyTheme(); });
system.addEventListener("change", applyTheme);
addEventListener("resize", () => drawings.forEach((draw) => draw()));
applyTheme();

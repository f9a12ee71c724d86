// Six strategies split the same tasks between CPUs and GPUs.

import { lineChart } from "./charts.js";
import { store } from "./store.js";
import { ask, canvas, card, el, fill, ink, note, number, percent, swatch, table, whole } from "./ui.js";

let parts = {};

async function send(method, name, body) {
  try { await ask(`/api/hybrid/${name}`, { method, body }); } catch (error) { note(error.message, "error"); }
}

export function make(root) {
  parts.preset = el("select", {}, el("option", { value: "default" }, "default: queues, memory, a link"), el("option", { value: "compatibility" }, "compatibility: each task alone"));
  parts.seed = el("input", { type: "number", min: 0, value: 0 });
  parts.rate = el("input", { type: "number", min: 0.1, max: 10000, step: 0.1, value: 5, onchange: () => {
    if (["running", "paused"].includes(state())) send("PUT", "rate", { rate: +parts.rate.value });
  } });
  parts.start = el("button", { type: "button", class: "main", onclick: () => send("POST", "start", { preset: parts.preset.value, seed: +parts.seed.value, rate: +parts.rate.value }) }, "Start");
  parts.pause = el("button", { type: "button", onclick: () => send("POST", state() === "paused" ? "resume" : "pause") }, "Pause");
  parts.stop = el("button", { type: "button", onclick: () => send("POST", "stop") }, "Stop");
  parts.about = el("p", { class: "soft", role: "status" });
  parts.totals = el("div");
  parts.latest = el("div");
  parts.curve = canvas("Mean latency so far over tasks, one line a strategy", 240);
  parts.scatter = canvas("Tasks by size and compute intensity; filled: the best is to use the GPU", 240);
  parts.notices = el("ul", { class: "soft" });
  parts.empty = el("div", { class: "card empty" });
  parts.live = el("div", { class: "grid" }, card("", "So far", parts.totals),
    card("half", "Mean latency so far (s)", parts.curve), card("half", "The newest tasks: size and compute intensity", parts.scatter, el("p", { class: "soft" }, "Filled: for the oracle at least half of the task belongs on a GPU.")),
    card("two-thirds", "The newest task", parts.latest), card("third", "Retraining", parts.notices));
  fill(root, el("div", { class: "grid" }, el("div", { class: "card" },
    el("div", { class: "row" }, el("label", {}, "Machine and tasks", parts.preset), el("label", {}, "Seed", parts.seed), el("label", {}, "Tasks per second", parts.rate), parts.start, parts.pause, parts.stop), parts.about)), parts.empty, parts.live);
}

const EMPTY = "No tasks yet. Press Start: six strategies meet the same stream. The first time, hybrid_ml and rl_agent are trained, which takes minutes.";
const PREPARING = "Tasks come as soon as the strategies are ready. The first time, hybrid_ml and rl_agent are trained, which takes minutes.";
const state = () => (store.hybrid ? store.hybrid.state : "idle");

export function draw() {
  const h = store.hybrid, now = state();
  parts.start.disabled = now === "running" || now === "preparing";
  parts.pause.disabled = now !== "running" && now !== "paused";
  parts.pause.textContent = now === "paused" ? "Resume" : "Pause";
  parts.stop.disabled = !["running", "paused", "finished"].includes(now);
  const live = h && h.about && h.totals;
  parts.empty.hidden = !!live;
  parts.empty.textContent = now === "preparing" ? PREPARING : EMPTY;
  parts.live.hidden = !live;
  parts.about.textContent = h ? `${now}${h.message ? `: ${h.message}` : ""}${h.about ? ` · ${h.about.cpus} CPUs, ${h.about.gpus} GPUs with ${whole(h.about.gpu_memory_mb)} MB · ${whole(h.decided || 0)} tasks decided` : ""}` : "";
  if (!live) return;
  const looks = h.about.strategies, name = (s) => el("span", {}, swatch(s), s.name);
  const best = Math.min(...looks.map((s) => (h.totals[s.name] ? h.totals[s.name].mean_latency_s : Infinity)));
  fill(parts.totals, table(["strategy", "tasks", "mean latency", "over the best", "p95", "p99", "tasks/s", "energy", "cost", "GPU share", "CPUs busy", "GPUs busy"],
    looks.filter((s) => h.totals[s.name]).map((s) => { const t = h.totals[s.name]; return [name(s), whole(t.tasks), `${number(t.mean_latency_s, 3)} s`, percent(t.mean_latency_s / best - 1), `${number(t.p95_latency_s, 2)} s`, `${number(t.p99_latency_s, 2)} s`,
      number(t.throughput_per_s, 2), `${number(t.energy_j / 1000, 2)} kJ`, `$ ${number(t.cost_usd, 4)}`, percent(t.gpu_fraction), percent(t.cpu_busy_frac), percent(t.gpu_busy_frac)]; })));
  lineChart(parts.curve, { x: "tasks decided", y: "s", series: looks.map((s, i) => ({ color: ink(s.color), dashes: s.dashes, points: h.curve.map((p) => [p[0], p[i + 1]]) })) });
  const half = (gpu) => h.points.filter((p) => (p[3] >= 0.5) === gpu).map((p) => [p[0], p[1], gpu]);
  lineChart(parts.scatter, { x: "size", y: "compute intensity", yMax: 1, logX: true, series: [{ color: ink("#D55E00"), scatter: true, points: half(true) }, { color: ink("#0072B2"), scatter: true, points: half(false) }] });
  if (h.task) fill(parts.latest, el("p", {}, `Task ${whole(h.task.id)}: size ${whole(h.task.size)}, intensity ${number(h.task.intensity, 2)}, ${number(h.task.memory, 0)} MB.`),
    table(["strategy", "to the GPU", "best in its situation", "latency", "energy", "devices at work"], looks.filter((s) => h.latest_results[s.name]).map((s) => { const r = h.latest_results[s.name], u = h.utilization[s.name]; return [name(s), percent(r.gpu_fraction), percent(r.best_fraction), `${number(r.time, 3)} s`, `${number(r.energy, 1)} J`, u ? percent(u.average_utilization) : null]; })));
  const notices = h.notices.slice(-12).reverse();
  fill(parts.notices, ...(notices.length ? notices.map(([at, , text]) => el("li", {}, `Task ${whole(at)}: ${text}`)) : [el("li", {}, "None yet: hybrid_ml is trained again every 50 tasks.")]));
}

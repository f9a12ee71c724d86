// The live race: choose, start, watch.

import { gantt, lineChart } from "./charts.js";
import { store } from "./store.js";
import { ask, canvas, card, el, fill, ink, inView, note, number, percent, seconds, swatch, whole } from "./ui.js";

const DEFAULTS = ["rule:fifo_backfill", "rule:sjf_backfill", "rule:min_min", "rule:srtf"];
const SPEEDS = [[1, "1 x"], [10, "10 x"], [60, "60 x"], [300, "300 x"], [3600, "3,600 x"], [0, "as fast as possible"]];
const MAX_POLICIES = 6;
let parts = {}, catalogue = null, chosen = new Set(DEFAULTS), workload = null;

export async function toggle() { if (store.state === "running") await send("pause"); else if (store.state === "paused") await send("resume"); }
export async function step() { if (store.state === "paused") await send("step", { decisions: 1 }); }

async function send(name, body) {
  try { await ask(`/api/${name}`, { method: "POST", body }); } catch (error) { note(error.message, "error"); }
}

const button = (text, title, action) => el("button", { type: "button", title, onclick: action }, text);

export function make(root) {
  parts.pause = button("Pause", "Space", toggle);
  parts.step = button("Step", "One decision of every policy (.)", step);
  parts.step100 = button("100 steps", "100 decisions of every policy", () => send("step", { decisions: 100 }));
  parts.reset = button("Reset", "Back to the first decision", () => send("reset"));
  parts.stop = button("Stop", "End the race", () => send("stop"));
  parts.speed = el("select", { "aria-label": "Speed, simulated seconds per second", onchange: () => {
    if (["running", "paused", "finished"].includes(store.state)) send("speed", { speed: +parts.speed.value });
  } }, ...SPEEDS.map(([value, text]) => el("option", { value, selected: value === 60 }, text)));
  parts.report = el("a", { href: "/api/report", hidden: true, download: "race.html" }, "Report (HTML)");
  parts.about = el("span", { class: "soft" });
  parts.setup = el("details", { open: true }, el("summary", {}, "Set up a race"), form());
  parts.lanes = el("div");
  parts.queue = canvas("Jobs in the queue over time, one line a policy");
  parts.jct = canvas("Mean job completion time so far over simulated time, one line a policy");
  parts.use = el("div");
  parts.gantts = el("div");
  parts.empty = el("div", { class: "card empty" }, "No race yet. Choose policies above and press Start: all of them get the same jobs.");
  parts.live = el("div", { class: "grid" },
    card("", "Standing", parts.lanes),
    card("half", "Queue length (jobs)", parts.queue),
    card("half", "Mean job completion time so far (s)", parts.jct),
    card("", "Utilisation by GPU type: so far, and the tick: since the last update", parts.use),
    card("", "Jobs on GPUs", el("p", { class: "soft" }, "One row a GPU, one bar a job, one shade in three; thin lines part nodes."), parts.gantts));
  fill(root,
    el("div", { class: "grid" }, el("div", { class: "card" }, parts.setup,
      el("div", { class: "row", style: "margin-top:10px" }, parts.start, parts.pause, parts.step, parts.step100, parts.reset, parts.stop,
        el("span", {}, "Speed ", parts.speed), parts.report, parts.about), parts.error)),
    parts.empty, parts.live);
  load();
}

function form() {
  parts.workload = el("select", { onchange: pickWorkload });
  parts.seed = el("input", { type: "number", min: 0, value: 0 });
  parts.jobs = el("input", { type: "number", min: 1, max: 20000, value: 1000 });
  parts.load = el("input", { type: "number", min: 0.05, max: 20, step: 0.05, value: 0.85 });
  parts.cluster = el("input", { type: "text", spellcheck: "false", placeholder: "as it is", pattern: "[a-z0-9]+:\\d+x\\d+(,[a-z0-9]+:\\d+x\\d+)*" });
  parts.filter = el("input", { type: "search", placeholder: "search", "aria-label": "Search policies", oninput: listPolicies });
  parts.policies = el("div", { class: "pick" }, "Looking for policies and checkpoints …");
  parts.workloadAbout = el("p", { class: "soft" });
  parts.count = el("legend", {});
  parts.start = el("button", { type: "button", class: "main", disabled: true, onclick: start }, "Start");
  parts.error = el("div", { role: "alert" });
  parts.forGenerators = el("div", { class: "row" }, el("label", {}, "Jobs", parts.jobs), el("label", {}, "Offered load (1 = capacity)", parts.load));
  return el("div", { class: "grid", style: "margin:10px 0 0" },
    el("div", { class: "half" },
      el("div", { class: "row" }, el("label", {}, "Scenario or generator", parts.workload), el("label", { style: "flex:0 1 110px" }, "Number or seed", parts.seed)),
      parts.forGenerators,
      el("label", { style: "margin-top:6px" }, "Cluster: TYPE:NODESxGPUS, several with commas", parts.cluster), parts.workloadAbout),
    el("fieldset", { class: "half" }, parts.count, parts.filter, parts.policies));
}

async function load() {
  try { catalogue = await ask("/api/catalogue"); } catch (error) {
    fill(parts.policies, el("div", { class: "error" }, error.message), button("Try again", "", load));
    return;
  }
  const group = (kind, name) => el("optgroup", { label: name }, ...catalogue.workloads.filter((w) => w.kind === kind).map((w) => el("option", { value: w.id }, w.name)));
  fill(parts.workload, group("scenario", "Scenarios"), group("generator", "Generators"));
  parts.start.disabled = false;
  listPolicies();
  pickWorkload();
}

async function pickWorkload() {
  const id = parts.workload.value, generated = id.startsWith("trace:");
  parts.forGenerators.hidden = !generated;
  parts.workloadAbout.textContent = "…";
  parts.cluster.value = "";
  try { workload = await ask(`/api/workload?id=${encodeURIComponent(id)}`); } catch (error) { parts.workloadAbout.textContent = error.message; return; }
  if (parts.workload.value !== id) return;
  parts.cluster.placeholder = workload.cluster || workload.cluster_about;
  parts.workloadAbout.textContent = workload.missing || `${workload.jobs ? `${whole(workload.jobs)} jobs, ${whole(workload.seeds)} VAL workloads, ` : ""}${workload.cluster_about}`;
  listPolicies();
}

function listPolicies() {
  const words = parts.filter.value.toLowerCase();
  const fitted = new Set(workload ? workload.fitted : []);
  const rows = catalogue.policies.filter((p) => (p.kind !== "fitted rule" || fitted.has(p.name.replace("_tuned", "")))
    && (chosen.has(p.id) || `${p.name} ${p.about}`.toLowerCase().includes(words)));
  const known = new Set(rows.map((p) => p.id));
  for (const id of chosen) if (!known.has(id)) chosen.delete(id);
  rows.sort((a, b) => chosen.has(b.id) - chosen.has(a.id));
  fill(parts.policies, ...rows.map((p) => el("label", {}, el("input", { type: "checkbox", value: p.id, checked: chosen.has(p.id), onchange: (event) => {
    event.target.checked ? chosen.add(p.id) : chosen.delete(p.id);
    count();
  } }), swatch(p), p.name, el("span", { class: "soft" }, p.about))));
  count();
}

function count() {
  parts.count.textContent = `Policies: ${chosen.size} of at most ${MAX_POLICIES}`;
  parts.start.disabled = chosen.size < 1 || chosen.size > MAX_POLICIES;
}

async function start() {
  fill(parts.error);
  const generated = parts.workload.value.startsWith("trace:");
  const body = { workload: parts.workload.value, policies: [...chosen], seed: +parts.seed.value, speed: +parts.speed.value,
    cluster: parts.cluster.value.trim() || null, ...(generated ? { jobs: +parts.jobs.value, load: +parts.load.value } : {}) };
  parts.start.disabled = true;
  parts.start.textContent = "Starting …";
  try {
    await ask("/api/start", { method: "POST", body });
    parts.setup.open = false;
  } catch (error) { fill(parts.error, el("div", { class: "error" }, error.message)); }
  parts.start.disabled = false;
  parts.start.textContent = "Start";
}

export function draw() {
  const { setup, lanes, state } = store, going = ["running", "paused", "finished"].includes(state);
  parts.pause.textContent = state === "paused" ? "Resume" : "Pause";
  parts.pause.disabled = state !== "running" && state !== "paused";
  parts.step.disabled = parts.step100.disabled = state !== "paused";
  parts.reset.disabled = parts.stop.disabled = !going;
  parts.report.hidden = state !== "finished" && state !== "paused";
  parts.empty.hidden = !!setup;
  parts.live.hidden = !setup;
  parts.about.textContent = setup ? `${setup.about} on ${setup.cluster.text} · clock ${seconds(store.clock_s)} · ${state}` : "";
  if (!setup || !lanes.length) return;
  if (document.activeElement !== parts.speed && +parts.speed.value !== store.speed) {
    if (!SPEEDS.some(([v]) => v === store.speed)) {
      SPEEDS.push([store.speed]);
      parts.speed.append(el("option", { value: store.speed }, `${number(store.speed, 0)} x`));
    }
    parts.speed.value = store.speed;
  }
  drawStanding(setup, lanes);
  const line = (pick) => lanes.map((l) => ({ color: ink(l.color), dashes: l.dashes, points: l.points.map((p) => [p[0], p[pick]]) }));
  if (inView(parts.queue)) lineChart(parts.queue, { series: line(1), x: "simulated time (s)", y: "jobs", steps: true });
  if (inView(parts.jct)) lineChart(parts.jct, { series: line(5), x: "simulated time (s)", y: "s", lines: [{ y: setup.bounds.mean_jct_s, name: "no schedule ends below" }] });
  drawUse(setup, lanes);
  drawGantts(setup, lanes);
}

const COLUMNS = ["policy", "done", "waiting", "running", "mean JCT", "p95 JCT", "slowdown", "utilisation", "energy", "GPU cost", "decisions"];
let standing = "";
function drawStanding(setup, lanes) {
  const key = `${store.race} ${document.documentElement.dataset.theme}`;
  if (standing !== key) {
    standing = key;
    parts.cells = new Map(lanes.map((l) => [l.id, COLUMNS.map(() => el("td"))]));
    fill(parts.lanes, el("div", { class: "scroll" }, el("table", {},
      el("thead", {}, el("tr", {}, ...COLUMNS.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, ...lanes.map((l) => el("tr", { "data-lane": l.id }, ...parts.cells.get(l.id)))))));
    for (const l of lanes) fill(parts.cells.get(l.id)[0], swatch(l), l.name);
  }
  for (const l of lanes) {
    const busy = l.busy_gpu_s.reduce((a, b) => a + b, 0), passed = l.now_s * setup.cluster.gpus;
    const texts = [null, `${whole(l.done)} of ${whole(setup.jobs)}`, whole(l.waiting), whole(l.running), seconds(l.mean_jct_s), seconds(l.p95_jct_s),
      number(l.mean_bounded_slowdown, 2), l.radar ? percent(l.radar.utilisation) : passed ? percent(busy / passed) : null,
      `${number(l.energy_kwh, 2)} kWh`, `$ ${number(l.gpu_cost_usd, 2)}`, whole(l.decisions)];
    parts.cells.get(l.id).forEach((cell, i) => {
      if (i && cell.textContent !== texts[i]) cell.textContent = texts[i];
      if (i === 4) cell.dataset.value = l.mean_jct_s;
    });
    parts.cells.get(l.id)[0].title = l.error || "";
    if (l.error && !parts.cells.get(l.id)[0].querySelector(".error")) parts.cells.get(l.id)[0].append(el("div", { class: "error", style: "white-space:normal" }, l.error));
  }
}

let uses = "";
function drawUse(setup, lanes) {
  const key = `${store.race} ${document.documentElement.dataset.theme}`;
  if (uses !== key) {
    uses = key;
    parts.meters = new Map(lanes.map((l) => [l.id, setup.cluster.types.map(() => {
      const meter = { bar: el("i", { style: `background:${ink(l.color)};opacity:.55` }), now: el("i", { style: `background:var(--ink);width:2px` }), text: el("b") };
      return { ...meter, box: el("div", { class: "meter" }, meter.bar, meter.now, meter.text) };
    })]));
    fill(parts.use, el("div", { class: "scroll" }, el("table", {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "policy"), ...setup.cluster.types.map((t) => el("th", { scope: "col", class: "text" }, `${t.name} (${whole(t.gpus)} GPUs)`)))),
      el("tbody", {}, ...lanes.map((l) => el("tr", {}, el("td", {}, swatch(l), l.name), ...parts.meters.get(l.id).map((m) => el("td", {}, m.box))))))));
  }
  for (const l of lanes) l.utilisation_frac.forEach((value, t) => {
    const m = parts.meters.get(l.id)[t];
    m.bar.style.width = `${100 * value}%`;
    m.now.hidden = !l.busy_frac;
    if (l.busy_frac) m.now.style.left = `calc(${100 * l.busy_frac[t]}% - 1px)`;
    m.text.textContent = percent(value);
  });
}

let gantts = "";
function drawGantts(setup, lanes) {
  const drawn = Math.min(setup.cluster.gpus, setup.cluster.gpu_pool.length);
  const key = `${store.race}`;
  if (gantts !== key) {
    gantts = key;
    const height = Math.max(70, Math.min(300, drawn * 9)) + 34;
    parts.canvases = new Map(lanes.map((l) => [l.id, canvas(`Gantt chart of ${l.name}`, height)]));
    fill(parts.gantts, drawn < setup.cluster.gpus ? el("p", { class: "soft" }, `The first ${drawn} of ${whole(setup.cluster.gpus)} GPUs.`) : null,
      ...lanes.flatMap((l) => [el("h3", {}, l.name), parts.canvases.get(l.id)]));
  }
  // One time axis for all: as far back as every lane's bars are still known, at most a tenth more than needed.
  const to = Math.max(...lanes.map((l) => l.now_s)) || 1;
  const oldest = Math.max(0, ...lanes.map((l) => (l.bars.size >= 590 ? l.bars.values().next().value[2] : 0)));
  for (const l of lanes.filter((l) => inView(parts.canvases.get(l.id)))) gantt(parts.canvases.get(l.id), { bars: [...l.bars.values()], from: oldest, to, gpus: drawn, nodeOf: setup.cluster.gpu_node,
    poolOf: setup.cluster.gpu_pool, pools: setup.cluster.pools, color: ink(l.color), label: "simulated time (s)" });
}

// What the server has told so far, and who wants to know. One WebSocket; a broken one is opened again.

import { note } from "./ui.js";

const MAX_POINTS = 1000, MAX_BARS = 600, MAX_LOG = 200;

export const store = {
  connected: false, state: "idle", speed: 0, clock_s: 0, race: "", setup: null, lanes: [], updates: 0, hybrid: null,
};
const listeners = new Set();
let dirty = false;
export function watch(listener) { listeners.add(listener); }
export function changed() {
  if (dirty) return;
  dirty = true;
  requestAnimationFrame(draw);
}
export function draw() { dirty = false; for (const listener of listeners) listener(store); }

function lane(known, told) {
  const out = { ...known, ...told };
  out.points = known ? known.points : [];
  out.points.push(...told.points);
  if (out.points.length > MAX_POINTS) out.points = out.points.filter((_, i) => i % 2 === 0 || i === out.points.length - 1);
  out.bars = known ? known.bars : new Map();
  for (const bar of told.bars) { const key = `${bar[0]} ${bar[2]}`; out.bars.delete(key); out.bars.set(key, bar); }
  for (const key of out.bars.keys()) { if (out.bars.size <= MAX_BARS) break; out.bars.delete(key); }
  out.log = known ? known.log : [];
  out.log.push(...told.log);
  if (out.log.length > MAX_LOG) out.log.splice(0, out.log.length - MAX_LOG);
  return out;
}

export function take(message) {
  if (message.type === "notification") {
    if (message.level !== "retraining" || location.hash.startsWith("#hybrid")) note(message.message, message.level);
    return;
  }
  if (message.type !== "simulation_update") return;
  store.updates += 1;
  if (message.hybrid !== undefined) store.hybrid = message.whole || !message.hybrid || message.hybrid.whole ? message.hybrid : mergeHybrid(store.hybrid, message.hybrid);
  if (message.lanes === undefined) return changed();
  if (message.whole) { store.lanes = []; store.setup = message.setup; }
  store.state = message.state;
  store.race = message.race;
  store.speed = message.speed ?? store.speed;
  store.clock_s = message.clock_s ?? 0;
  const looks = new Map((store.setup ? store.setup.lanes : []).map((l) => [l.id, l]));
  const known = new Map(store.lanes.map((l) => [l.id, l]));
  store.lanes = message.lanes.map((told) => ({ ...lane(known.get(told.id), told), ...looks.get(told.id) }));
  changed();
}

function mergeHybrid(known, told) {
  if (!known) return told;
  return { ...known, ...told, points: [...known.points, ...told.points].slice(-800), notices: [...known.notices, ...told.notices].slice(-40),
    curve: [...known.curve, ...told.curve].slice(-800) };
}

let wait = 500;
export function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket.onopen = () => { wait = 500; store.connected = true; changed(); };
  socket.onmessage = (event) => take(JSON.parse(event.data));
  socket.onclose = () => {
    store.connected = false;
    changed();
    setTimeout(connect, wait);
    wait = Math.min(wait * 1.6, 3000);
  };
}

// Drawing on canvases. Every function draws everything anew; data in, pixels out, nothing kept.

const COLORS = ["--ink", "--soft", "--line", "--grid", "--card", "--accent"];
let cachedFor = null, cached = {};
function theme() {
  const key = document.documentElement.dataset.theme;
  if (cachedFor !== key) {
    const css = getComputedStyle(document.documentElement);
    cached = Object.fromEntries(COLORS.map((name) => [name.slice(2), css.getPropertyValue(name).trim()]));
    cachedFor = key;
  }
  return cached;
}

function prepare(canvas) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width || !height) return null;
  const w = Math.round(width * ratio), h = Math.round(height * ratio);
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = '11px system-ui, "DejaVu Sans", sans-serif';
  g.textBaseline = "middle";
  return { g, width, height, colors: theme() };
}

function ticks(low, high, count) {
  const span = high - low || 1;
  const raw = span / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => span / s <= count) || power * 10;
  const out = [];
  for (let t = Math.ceil(low / step - 1e-9) * step; t <= high + step * 1e-6; t += step) out.push(Math.abs(t) < step * 1e-6 ? 0 : t);
  return out;
}

export function shortNumber(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  return `${+value.toPrecision(4)}`;
}

function empty(p, text) {
  p.g.fillStyle = p.colors.soft;
  p.g.textAlign = "center";
  p.g.fillText(text, p.width / 2, p.height / 2);
}

// options: series [{color, dashes, points [[x, y]], fill, marks}], x, y (titles with units), yMax, wholeX, logX, logY, lines [{y, name}]
export function lineChart(canvas, options) {
  const p = prepare(canvas);
  if (!p) return;
  const { g, width, height, colors } = p;
  let x0 = Infinity, x1 = -Infinity, y0 = options.logY ? Infinity : 0, y1 = -Infinity;
  const usable = (v, log) => v !== null && v !== undefined && (!log || v > 0);
  for (const s of options.series) for (const [x, y] of s.points) {
    if (!usable(y, options.logY) || !usable(x, options.logX)) continue;
    if (x < x0) x0 = x;
    if (x > x1) x1 = x;
    if (y < y0) y0 = y;
    if (y > y1) y1 = y;
  }
  if (y1 === -Infinity) return empty(p, options.empty || "nothing to show yet");
  for (const l of options.lines || []) { y1 = Math.max(y1, l.y); y0 = Math.min(y0, l.y); }
  if (options.yMax !== undefined) y1 = options.yMax;
  if (options.logY) { y0 *= 0.93; y1 *= 1.07; } else if (options.yMax === undefined) y1 = y1 > 0 ? y1 * 1.06 : y0 < 0 ? 0 : 1;
  if (x1 <= x0) { x0 = options.logX ? x0 / 1.5 : x0 - 0.5; x1 = options.logX ? x1 * 1.5 : x1 + 0.5; }
  const left = 50, right = 10, top = 10, bottom = 34, w = width - left - right, h = height - top - bottom;
  const f = (v, log) => (log ? Math.log10(v) : v);
  const [fx0, fx1, fy0, fy1] = [f(x0, options.logX), f(x1, options.logX), f(y0, options.logY), f(y1, options.logY)];
  const X = (x) => left + ((f(x, options.logX) - fx0) / (fx1 - fx0)) * w;
  const Y = (y) => top + h - ((f(y, options.logY) - fy0) / (fy1 - fy0 || 1)) * h;
  const marksOf = (low, high, log, n) => (log ? logTicks(low, high) : ticks(low, high, n));
  g.lineWidth = 1;
  g.textAlign = "right";
  for (const t of marksOf(y0, y1, options.logY, Math.max(2, Math.floor(h / 38)))) {
    g.strokeStyle = colors.grid;
    g.beginPath(); g.moveTo(left, Y(t)); g.lineTo(left + w, Y(t)); g.stroke();
    g.fillStyle = colors.soft;
    g.fillText(options.percent ? `${Math.round(t * 100)} %` : shortNumber(t), left - 6, Y(t));
  }
  g.textAlign = "center";
  for (const t of marksOf(x0, x1, options.logX, Math.max(2, Math.floor(w / 80)))) {
    if (options.wholeX && Math.abs(t - Math.round(t)) > 1e-6) continue;
    g.fillStyle = colors.soft;
    g.fillText(shortNumber(t), X(t), top + h + 10);
  }
  g.strokeStyle = colors.line;
  g.beginPath(); g.moveTo(left, top); g.lineTo(left, top + h); g.lineTo(left + w, top + h); g.stroke();
  g.fillStyle = colors.soft;
  g.fillText(options.x, left + w / 2, height - 8);
  if (options.y) { g.save(); g.translate(9, top + h / 2); g.rotate(-Math.PI / 2); g.fillText(options.y, 0, 0); g.restore(); }
  g.save();
  g.beginPath(); g.rect(left, top - 4, w + 4, h + 8); g.clip();
  for (const l of options.lines || []) {
    g.setLineDash([4, 3]); g.strokeStyle = colors.soft;
    g.beginPath(); g.moveTo(left, Y(l.y)); g.lineTo(left + w, Y(l.y)); g.stroke(); g.setLineDash([]);
    g.textAlign = "right"; g.fillStyle = colors.soft; g.fillText(l.name, left + w - 3, Y(l.y) - 7);
  }
  for (const s of options.series) {
    g.strokeStyle = g.fillStyle = s.color;
    if (s.scatter) {
      for (const [x, y, big] of s.points) if (usable(y, options.logY) && usable(x, options.logX)) {
        g.beginPath(); g.arc(X(x), Y(y), big ? 6 : 3.5, 0, 7); big ? g.fill() : g.stroke();
      }
      continue;
    }
    g.lineWidth = s.width || 1.8;
    g.setLineDash((s.dashes || []).map((d) => d * 1.6));
    g.beginPath();
    let pen = false, last = null;
    for (const [x, y] of s.points) {
      if (!usable(y, options.logY) || !usable(x, options.logX)) { pen = false; continue; }
      if (pen && options.steps) g.lineTo(X(x), Y(last));
      pen ? g.lineTo(X(x), Y(y)) : g.moveTo(X(x), Y(y));
      pen = true; last = y;
    }
    g.stroke();
    g.setLineDash([]);
    if (s.fill && s.points.length) {
      g.lineTo(X(s.points[s.points.length - 1][0]), Y(y0)); g.lineTo(X(s.points[0][0]), Y(y0));
      g.globalAlpha = 0.16; g.fill(); g.globalAlpha = 1;
    }
    if (s.marks || s.points.length === 1) for (const [x, y] of s.points) if (usable(y, options.logY)) { g.beginPath(); g.arc(X(x), Y(y), 2.6, 0, 7); g.fill(); }
  }
  g.restore();
}

function logTicks(low, high) {
  const out = [], decades = Math.log10(high / low);
  const steps = decades > 3 ? [1] : decades > 1 ? [1, 3] : [1, 1.5, 2, 3, 5, 7];
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++) for (const m of steps) {
    const t = m * 10 ** e;
    if (t >= low && t <= high) out.push(t);
  }
  return out.length ? out : [low, high];
}

// bars [[job, pool, start, end or null, first GPU, GPUs, ...]]; colors: three shades that tell neighbours apart
export function gantt(canvas, { bars, from, to, gpus, nodeOf, pools, poolOf, color, label, unit = "s" }) {
  const p = prepare(canvas);
  if (!p) return;
  const { g, width, height, colors } = p;
  const left = 50, right = 10, top = 4, bottom = 30, w = width - left - right, h = height - top - bottom, row = h / gpus;
  const X = (t) => left + ((t - from) / (to - from || 1)) * w;
  g.fillStyle = colors.grid; g.globalAlpha = 0.5; g.fillRect(left, top, w, h); g.globalAlpha = 1;
  const gap = row > 5 ? 1 : row > 2.5 ? 0.5 : 0;
  g.textAlign = "center";
  g.save(); g.beginPath(); g.rect(left, top, w, h); g.clip();
  for (const bar of bars) {
    const end = bar[3] === null ? to : Math.min(bar[3], to);
    if (end < from || bar[2] > to) continue;
    const x = X(Math.max(bar[2], from)), wide = Math.max(X(end) - x, 0.7);
    g.globalAlpha = [0.95, 0.68, 0.42][bar[0] % 3];
    g.fillStyle = color;
    for (let i = 4; i < bar.length; i += 2) {
      g.fillRect(x, top + bar[i] * row, wide, bar[i + 1] * row - gap);
      if (wide > 26 && bar[i + 1] * row > 11) {
        g.globalAlpha = 1; g.fillStyle = colors.card;
        g.fillRect(x + wide / 2 - 13, top + (bar[i] + bar[i + 1] / 2) * row - 6, 26, 12);
        g.fillStyle = colors.ink; g.fillText(bar[0], x + wide / 2, top + (bar[i] + bar[i + 1] / 2) * row);
        g.fillStyle = color; g.globalAlpha = [0.95, 0.68, 0.42][bar[0] % 3];
      }
    }
  }
  g.globalAlpha = 1;
  g.restore();
  g.strokeStyle = colors.soft; g.lineWidth = 0.7;
  let firstOfPool = 0;
  g.textAlign = "right"; g.fillStyle = colors.soft;
  for (let i = 1; i <= gpus; i++) {
    if (i < gpus && nodeOf && nodeOf[i] !== nodeOf[i - 1] && row > 1.5) { g.beginPath(); g.moveTo(left, top + i * row); g.lineTo(left + w, top + i * row); g.stroke(); }
    if (i === gpus || poolOf[i] !== poolOf[i - 1]) {
      if ((i - firstOfPool) * row > 9) g.fillText(pools[poolOf[i - 1]].slice(-8), left - 4, top + ((firstOfPool + i) / 2) * row);
      firstOfPool = i;
    }
  }
  g.textAlign = "center";
  for (const t of ticks(from, to, Math.max(2, Math.floor(w / 90)))) g.fillText(shortNumber(t), X(t), top + h + 9);
  g.fillText(label || `time (${unit})`, left + w / 2, height - 7);
}

// axes [name], series [{color, dashes, values [0..1 or null]}]
export function radar(canvas, { axes, series }) {
  const p = prepare(canvas);
  if (!p) return;
  const { g, width, height, colors } = p;
  const cx = width / 2, cy = height / 2 + 4, r = Math.max(20, Math.min(width / 2 - 78, height / 2 - 26));
  const at = (i, v) => {
    const a = (i / axes.length) * 2 * Math.PI - Math.PI / 2;
    return [cx + Math.cos(a) * r * v, cy + Math.sin(a) * r * v];
  };
  const ring = (v) => { g.beginPath(); axes.forEach((_, i) => (i ? g.lineTo(...at(i, v)) : g.moveTo(...at(i, v)))); g.closePath(); };
  g.strokeStyle = colors.grid;
  for (const v of [0.25, 0.5, 0.75]) { ring(v); g.stroke(); }
  axes.forEach((_, i) => { g.beginPath(); g.moveTo(cx, cy); g.lineTo(...at(i, 1)); g.stroke(); });
  g.strokeStyle = colors.soft; g.setLineDash([4, 3]); ring(1); g.stroke(); g.setLineDash([]);
  for (const s of series) {
    g.strokeStyle = g.fillStyle = s.color; g.lineWidth = 2; g.setLineDash((s.dashes || []).map((d) => d * 1.6));
    g.beginPath();
    s.values.forEach((v, i) => (i ? g.lineTo(...at(i, v || 0)) : g.moveTo(...at(i, v || 0))));
    g.closePath(); g.stroke(); g.globalAlpha = 0.07; g.fill(); g.globalAlpha = 1; g.setLineDash([]); g.lineWidth = 1;
  }
  g.fillStyle = colors.ink;
  axes.forEach((name, i) => {
    const [x, y] = at(i, 1.08);
    g.textAlign = Math.abs(x - cx) < 4 ? "center" : x > cx ? "left" : "right";
    g.fillText(name, x, y + (y < cy - r * 0.9 ? -6 : y > cy + r * 0.9 ? 8 : 0));
  });
}

// values [row][column] in 0..1 (null = nothing); rows and columns have names
export function heatmap(canvas, { values, rows, columns, x, color, from, to }) {
  const p = prepare(canvas);
  if (!p) return;
  const { g, width, height, colors } = p;
  if (!values.length) return empty(p, "nothing to show");
  const left = 62, right = 10, top = 4, bottom = 30, w = width - left - right, h = height - top - bottom;
  const rh = h / values.length, cw = w / values[0].length;
  g.fillStyle = colors.grid; g.fillRect(left, top, w, h);
  values.forEach((line, r) => line.forEach((v, c) => {
    if (v === null) return;
    g.globalAlpha = Math.min(1, Math.max(0, v)); g.fillStyle = color || colors.accent;
    g.fillRect(left + c * cw, top + r * rh, Math.ceil(cw), Math.max(rh - (rh > 6 ? 1 : 0), 0.5));
  }));
  g.globalAlpha = 1;
  g.fillStyle = colors.soft; g.textAlign = "right";
  const every = Math.max(1, Math.ceil(11 / rh));
  rows.forEach((name, r) => { if (r % every === 0) g.fillText(name, left - 5, top + (r + 0.5) * rh); });
  g.textAlign = "center";
  if (columns) columns.forEach(([at, name]) => g.fillText(name, left + at * cw, top + h + 9));
  else for (const t of ticks(from, to, Math.max(2, Math.floor(w / 90)))) g.fillText(shortNumber(t), left + ((t - from) / (to - from)) * w, top + h + 9);
  g.fillText(x, left + w / 2, height - 7);
}

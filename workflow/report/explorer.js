"use strict";
// The state of the view is in `view`; `show` draws it. Keys of curves are "sampler estimator".
let DATA, view;
const FOLDED = 8; // rows of the table at first
const REACH = 40; // pixels around the mouse in which a point is found
const NAME = 24; // pixels of height of a curve's name
const MARGIN = { left: 56, right: 16, top: 18, bottom: 44 };
const MARKERS = { // paths of the figures' markers, about 9 pixels wide
  "o": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "s": "M-3.5-3.5h7v7h-7z", "D": "M0-4.8L4.8 0 0 4.8-4.8 0z",
  "P": "M-1.6-4.6h3.2v3h3v3.2h-3v3h-3.2v-3h-3v-3.2h3z", "^": "M0-4.6L4.4 3.6h-8.8z", "v": "M0 4.6L4.4-3.6h-8.8z",
  "*": "M0-5.4L1.4-1.8 5.2-1.6 2.2.8 3.2 4.5 0 2.4-3.2 4.5-2.2.8-5.2-1.6-1.4-1.8z", "X": "M-4.5-2.5L-2.5-4.5 0-2 2.5-4.5 4.5-2.5 2 0 4.5 2.5 2.5 4.5 0 2-2.5 4.5-4.5 2.5-2 0z",
};
const AXES = ["family", "dimension", "scale", "offset"];

const byId = id => document.getElementById(id);
const make = (tag, attributes = {}, ...inside) => {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...inside);
  return element;
};
const draw = (tag, attributes = {}, ...inside) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...inside);
  return element;
};
const within = (value, low, high) => Math.min(Math.max(value, low), high);
const whole = n => {
  const power = Math.floor(Math.log10(n));
  return n < 1e9 ? n.toLocaleString("en") : `${(n / 10 ** power).toPrecision(3)} × 10${raised(power)}`;
};
const digits = x => Number(x.toPrecision(4)).toString();
const percent = tolerance => `${digits(100 * tolerance)} %`;
const raised = n => String(n).replace(/./g, c => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] || "⁻");
const cases = () => DATA.settings.filter(s => s.case !== null);
const grid = () => DATA.settings.filter(s => s.case === null);
const distinct = (rows, key) => [...new Set(rows.map(r => r[key]))].sort((a, b) => a - b);

// --- What the view shows ---

// The curves of a setting; estimators whose curves are equal over one sampler's points are one.
function curvesOf(setting, backend) {
  const curves = new Map();
  for (const series of DATA.series) {
    if (series.setting !== setting.setting || series.backend !== backend) continue;
    const same = JSON.stringify([series.sampler, series.samples, series.rmse]);
    if (!curves.has(same)) curves.set(same, { ...series, estimators: [] });
    const curve = curves.get(same);
    curve.estimators.push(series.estimator);
    if (curve.theory.every(e => e === null)) curve.theory = series.theory;
  }
  const order = Object.keys(DATA.estimators);
  for (const curve of curves.values()) {
    curve.estimators.sort((a, b) => order.indexOf(a) - order.indexOf(b));
    [curve.estimator] = curve.estimators;
    curve.key = `${curve.sampler} ${curve.estimator}`;
    curve.exact = curve.rmse.includes(0) && !curve.rmse.some(e => e > 0);
  }
  return [...curves.values()].sort((a, b) => order.indexOf(a.estimator) - order.indexOf(b.estimator));
}

const isShown = curve => view.samplers.has(curve.sampler) && curve.estimators.some(e => view.estimators.has(e));
const isDrawn = curve => isShown(curve) && (!view.only || view.only === curve.key);
const title = curve => curve.estimators.join(" = ");

// The samples from which on an error stays at most the limit, on the log-log curve.
function crossing(samples, errors, limit, sampler) {
  const first = errors.findLastIndex(e => !(e !== null && e <= limit)) + 1;
  if (first === errors.length) return null;
  let n = samples[first];
  if (first && errors[first] > 0 && errors[first - 1] !== null) {
    const x = [first - 1, first].map(i => Math.log(samples[i])), y = [first - 1, first].map(i => Math.log(errors[i]));
    n = Math.exp(x[0] + (Math.log(limit) - y[0]) * (x[1] - x[0]) / (y[1] - y[0]));
  }
  return units(n, sampler);
}
// Pairs come whole, and Sobol' points by powers of two.
function units(n, sampler) {
  const { independent, points } = DATA.samplers[sampler], rounded = Math.ceil(n * (1 - 1e-12));
  return independent ? Math.max(1, Math.ceil(rounded / points)) * points : 2 ** Math.ceil(Math.log2(rounded));
}

// What a curve needs for a tolerance: samples by theory, as measured, or why there is no number.
function need(curve, tolerance, kl) {
  const all = DATA.budget.filter(r => r.setting === curve.setting && r.sampler === curve.sampler && curve.estimators.includes(r.estimator));
  // Of equal estimators, one may have a theory that another lacks.
  const named = all.find(r => r.samples !== null)?.estimator ?? curve.estimator;
  const rows = all.filter(r => r.estimator === named), row = rows.find(r => r.tolerance === tolerance);
  if (row) return { samples: row.samples, measured: row.measured, about: row.theory === "asymptotic", reason: row.samples === null ? row.verdict : "" };
  if (!rows.length) return { samples: null, measured: null, reason: "not in the budget" };
  const limit = tolerance * kl, measured = kl > 0 ? crossing(curve.samples, curve.rmse, limit, curve.sampler) : null;
  const none = reason => ({ samples: null, measured, reason });
  const away = r => Math.abs(Math.log(r.tolerance / tolerance)), closest = rows.reduce((a, b) => away(b) < away(a) ? b : a);
  const isExact = rows.some(r => r.theory === "exact"), bias = isExact ? Math.abs(curve.bias || 0) : 0;
  // Errors by theory, at the study's numbers of samples and at those that its own tolerances need.
  const errors = [...curve.samples.map((n, i) => [n, curve.theory[i]]), ...rows.map(r => [r.samples, r.tolerance * kl])];
  const known = errors.filter(([n, error]) => n !== null && error !== null).sort((a, b) => a[0] - b[0]);
  if (kl === 0 || !known.length) return none(closest.verdict);
  if (bias >= limit) return none("biased: never reaches it");
  let samples = null;
  if (DATA.samplers[curve.sampler].independent) {
    const [n, error] = known[0];
    samples = units(Number((n * (error ** 2 - bias ** 2) / (limit ** 2 - bias ** 2)).toPrecision(3)), curve.sampler);
    if (samples > 1e18) return none("out of reach: over 10¹⁸ samples");
  } else {
    samples = crossing(known.map(p => p[0]), known.map(p => p[1]), limit, curve.sampler);
    if (samples === null) return none("beyond the study's samples");
  }
  // Where theory begins later than measurement, fewer samples have none.
  const begins = known[0][0];
  if (begins > curve.samples[0] && (samples < begins || samples === begins && known[0][1] < limit)) return none("no theory: measure it");
  return { samples, measured, about: true, reason: "" };
}

// --- The state, its address and the pickers ---

// The address holds the state, so that a link shows what its sender saw.
function viewOfAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const named = (key, all, usual) => new Set(asked.has(key) ? asked.get(key).split(",").filter(n => all.includes(n)) : usual);
  const samplers = Object.keys(DATA.samplers), estimators = Object.keys(DATA.estimators);
  const setting = DATA.settings.find(s => s.setting === asked.get("setting")) || DATA.settings.find(s => s.setting === DATA.opening);
  const usual = DATA.tolerances.includes(0.01) ? 0.01 : DATA.tolerances[0];
  const axes = (asked.get("axes") || "").split(",").map(Number);
  return {
    setting, only: asked.get("only"),
    samplers: named("samplers", samplers, samplers.slice(0, 1)), estimators: named("estimators", estimators, estimators),
    backend: DATA.backends.includes(asked.get("backend")) ? asked.get("backend") : DATA.backends[0],
    tolerance: Number(asked.get("tolerance")) > 0 ? Number(asked.get("tolerance")) : usual,
    axes: axes.length === 4 && axes.every(a => a > 0) ? axes : null, keep: axes.length === 4,
    sort: "needed", down: false, folded: true,
  };
}

function remember() {
  const asked = { setting: view.setting.setting, samplers: [...view.samplers], estimators: [...view.estimators], tolerance: view.tolerance };
  if (DATA.backends.length > 1) asked.backend = view.backend;
  if (view.only) asked.only = view.only;
  if (view.axes) asked.axes = view.axes.map(a => a.toPrecision(4));
  // Within the report the page has no address of its own to change.
  try { history.replaceState(null, "", "#" + new URLSearchParams(asked)); } catch { /* the view works without */ }
}

function fill(id, values, chosen, name = String) {
  byId(id).replaceChildren(...values.map(v => new Option(name(v), String(v), false, String(v) === String(chosen))));
}

function offer() {
  const { setting } = view, cell = setting.case === null ? setting : grid()[0] || {};
  fill("case", [...(grid().length ? [""] : []), ...cases().map(c => c.setting)], setting.case === null ? "" : setting.setting, v => v || "of the sweep");
  for (const axis of AXES) {
    fill(axis, distinct(grid(), axis), cell[axis]);
    byId(axis).parentElement.hidden = setting.case !== null;
  }
  fill("backend", DATA.backends, view.backend);
  byId("case").parentElement.hidden = !cases().length;
  byId("family").parentElement.hidden ||= distinct(grid(), "family").length < 2;
  byId("backend").parentElement.hidden = DATA.backends.length < 2;
  byId("tolerance").value = Number((100 * view.tolerance).toPrecision(12));
  byId("tolerances").replaceChildren(...DATA.tolerances.map(t => new Option("", digits(100 * t))));
  byId("keep").checked = view.keep;
  offerNames();
}

// The check boxes; samplers and estimators that the pair lacks cannot be chosen.
function offerNames() {
  const curves = curvesOf(view.setting, view.backend);
  const present = { samplers: new Set(curves.map(c => c.sampler)), estimators: new Set(curves.flatMap(c => c.estimators)) };
  for (const kind of ["samplers", "estimators"]) {
    if (present[kind].size && ![...view[kind]].some(name => present[kind].has(name))) view[kind].add([...present[kind]][0]);
    const boxes = Object.keys(DATA[kind]).map(name => {
      const box = make("input", { type: "checkbox", value: name });
      box.checked = view[kind].has(name) && present[kind].has(name);
      box.disabled = !present[kind].has(name);
      return make("label", box.disabled ? { title: "this pair has none" } : {}, box, name);
    });
    const every = present[kind].size > 0 && [...present[kind]].every(name => view[kind].has(name));
    const names = Object.keys(DATA[kind]).filter(name => present[kind].has(name));
    const button = make("button", { type: "button" }, every ? `only ${names[0]}` : `all ${kind}`);
    button.addEventListener("click", () => {
      view[kind] = new Set(every ? names.slice(0, 1) : names);
      view.only = null;
      offerNames(); show();
      byId(kind).querySelector("button").focus();
    });
    byId(kind).replaceChildren(byId(kind).querySelector("legend"), ...boxes, button);
  }
}

function choose(event) {
  const { id, type, value, checked } = event.target;
  if (id === "tolerance") {
    if (!(Number(value) > 0)) { byId("said").textContent = "The tolerance must be a number above 0 %."; return; }
    view.tolerance = Number((Number(value) / 100).toPrecision(12));
  } else if (id === "backend") {
    view.backend = value;
    offerNames();
  } else if (type === "checkbox") {
    view[event.target.closest("fieldset").id][checked ? "add" : "delete"](value);
    view.only = null;
    offerNames();
    document.querySelector(`fieldset input[value="${CSS.escape(value)}"]`).focus();
  } else {
    const setting = byId("case").value
      ? cases().find(c => c.setting === byId("case").value)
      : grid().find(s => AXES.every(axis => String(s[axis]) === byId(axis).value));
    byId("said").textContent = "This combination was left out of the page or the study.";
    if (!setting) { view.setting = null; clear(); return; }
    view.setting = setting;
    if (!view.keep) view.axes = null;
    if (id === "case") offer(); else offerNames();
  }
  show();
}

function clear() {
  byId("plot").replaceChildren(); byId("names").replaceChildren(); byId("budget").replaceChildren();
  byId("fold").hidden = true;
  byId("outside").textContent = "";
}

function isolate(curve) {
  view.only = view.only === curve.key ? null : curve.key;
  if (view.only && !isShown(curve)) {
    view.samplers.add(curve.sampler);
    curve.estimators.forEach(e => view.estimators.add(e));
    offerNames();
  }
  show();
}

function show() {
  if (!view.setting) return;
  const curves = curvesOf(view.setting, view.backend);
  if (!curves.some(c => c.key === view.only && isShown(c))) view.only = null;
  const rows = curves.map(curve => ({ curve, ...need(curve, view.tolerance, view.setting.kl) }));
  say(rows); tabulate(rows); plot(curves); remember();
}

// --- The answer and the table ---

function say(rows) {
  const { setting, tolerance } = view, kl = setting.kl;
  const several = distinct(grid(), "family").length > 1 || setting.family !== "normal";
  const family = several ? `${setting.family}, ` : "";
  const where = setting.case ? `the pair ${setting.case} (${family}dimension ${setting.dimension})` : `${family}dimension ${setting.dimension}, scale ${setting.scale}, offset ${setting.offset}`;
  if (kl === 0) {
    byId("said").textContent = `KL = 0 for ${where}: q and p are the same, every estimate is exact, and no relative error is defined.`;
    return;
  }
  const answered = rows.filter(r => r.samples !== null).sort((a, b) => a.samples - b.samples), best = answered[0];
  const told = r => `${r.about ? "about " : ""}${whole(r.samples)} sample${r.samples === 1 ? "" : "s"} with ${r.curve.estimators[0]} over ${r.curve.sampler} points`;
  const plain = answered.find(r => r.curve.sampler === Object.keys(DATA.samplers)[0]);
  const parts = [`KL = ${digits(kl)} nats for ${where}.`];
  if (!best) parts.push(`No estimator is known to reach ${percent(tolerance)}.`);
  else parts.push(`For an error of ${percent(tolerance)}: ${told(best)}${plain && plain !== best ? `, or ${told(plain)}` : ""}.`);
  if (!setting.finite) parts.push("k3's variance is infinite for this pair.");
  byId("said").textContent = parts.join(" ");
}

const COLUMNS = {
  estimator: r => Object.keys(DATA.estimators).indexOf(r.curve.estimator),
  sampler: r => Object.keys(DATA.samplers).indexOf(r.curve.sampler),
  needed: r => r.samples, measured: r => r.measured,
};

function tabulate(rows) {
  const value = COLUMNS[view.sort], best = Math.min(...rows.map(r => r.samples ?? Infinity));
  // Rows without a number come last in either direction.
  const ordered = rows.map(r => [value(r) ?? null, r]).sort(([a], [b]) => (a === null) - (b === null) || (view.down ? b - a : a - b)).map(pair => pair[1]);
  const table = byId("budget");
  table.replaceChildren(make("caption", {}, `Samples for a relative RMSE of ${percent(view.tolerance)}`));
  const head = table.createTHead().insertRow();
  for (const name of Object.keys(COLUMNS)) {
    const button = make("button", { type: "button" }, name);
    const sorted = view.sort === name;
    head.append(make("th", { scope: "col", "aria-sort": !sorted ? "none" : view.down ? "descending" : "ascending" }, button));
    button.addEventListener("click", () => {
      view.down = sorted && !view.down;
      view.sort = name;
      tabulate(rows);
      [...byId("budget").querySelectorAll("th button")].find(b => b.textContent === name).focus();
    });
  }
  const body = table.createTBody();
  for (const r of view.folded ? ordered.slice(0, FOLDED) : ordered) {
    const row = body.insertRow();
    if (r.samples === best) row.className = "best";
    row.insertCell().append(nameButton(r.curve, title(r.curve), isShown(r.curve)));
    row.insertCell().append(r.curve.sampler);
    const needed = row.insertCell();
    needed.append(r.samples === null ? r.reason : (r.about ? "≈ " : "") + whole(r.samples));
    if (r.samples === null) needed.className = "reason";
    row.insertCell().append(r.measured === null ? "–" : whole(r.measured));
  }
  const fold = byId("fold");
  fold.hidden = rows.length <= FOLDED;
  fold.textContent = view.folded ? `show all ${rows.length} rows` : `show ${FOLDED} rows`;
  fold.onclick = () => { view.folded = !view.folded; tabulate(rows); };
  fold.setAttribute("aria-expanded", !view.folded);
}

// A curve's name beside its look, to click for the curve alone.
function nameButton(curve, text, isColoured = true) {
  const button = make("button", { type: "button", class: "name", "aria-pressed": view.only === curve.key });
  const look = draw("svg", { width: 26, height: 12, viewBox: "-13 -6 26 12", "aria-hidden": "true" });
  if (isColoured) look.append(line(curve, "M-13 0H13"), marker(curve, 0, 0));
  const words = make("span", {}, ...text.split(" = ").flatMap((word, i) => [...(i ? [" = "] : []), make("span", {}, word)]));
  button.append(look, words);
  button.dataset.curve = curve.key;
  button.addEventListener("click", () => {
    const list = button.closest("ul, table").id;
    isolate(curve);
    document.querySelector(`#${list} [data-curve="${CSS.escape(curve.key)}"]`)?.focus();
  });
  for (const [event, on] of [["pointerenter", true], ["pointerleave", false], ["focus", true], ["blur", false]])
    button.addEventListener(event, () => highlight(on ? curve.key : null));
  return button;
}

// --- The chart ---

const colour = curve => `stroke: ${DATA.estimators[curve.estimator].colour}`;
function line(curve, path) {
  const dash = DATA.samplers[curve.sampler].dash;
  return draw("path", { class: "curve", d: path, style: colour(curve), ...(dash && { "stroke-dasharray": dash.map(d => 1.8 * d).join(" ") }) });
}
function marker(curve, x, y) {
  const fill = DATA.estimators[curve.estimator].colour;
  return draw("path", { class: "marker", d: MARKERS[DATA.samplers[curve.sampler].marker], transform: `translate(${x} ${y})`, style: `fill: ${fill}` });
}

// Powers of ten, and more of the numbers between them the fewer powers are in view.
function ticks([low, high], isSamples) {
  const decades = Math.log10(high / low);
  const between = decades > 2.2 ? [1] : decades > 0.9 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
  const step = Math.ceil(decades / 8), marks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    if (power % step) continue;
    for (const m of between) {
      const at = m * 10 ** power;
      if (at < low * 0.999 || at > high * 1.001) continue;
      const plain = isSamples ? whole(Number(at.toPrecision(3))) : Math.abs(power) < 3 ? String(Number(at.toPrecision(3))) : null;
      marks.push([at, between.length > 1 && plain ? plain : (m === 1 ? "" : `${m}·`) + "10" + raised(power)]);
    }
  }
  return marks;
}

// Axes that hold the curves, unless an error is absurdly large or small, and the tolerance if it is near.
function wholeAxes(curves, kl) {
  const drawn = curves.filter(isShown), samples = curves.flatMap(c => c.samples);
  const all = drawn.flatMap(c => [...c.rmse, ...c.theory]).filter(e => e > 0), limit = view.tolerance * kl;
  const usual = all.filter(e => e > 1e-7 * kl && e < 1e2 * kl);
  const errors = usual.length ? usual : all.length ? all : [kl || 1];
  if (limit > Math.min(...errors) / 100 && limit < Math.max(...errors) * 100) errors.push(limit);
  const low = Math.min(...errors), high = Math.max(...errors), room = 1.1 * (high / low) ** 0.04;
  return [Math.min(...samples, 1) / 1.15, Math.max(...samples, 10) * 1.15, low / room, high * room];
}

// The last drawing: its SVG, scales from data to pixels, the plot's edges and the points that the mouse can find.
let scene = null;

function plot(curves) {
  const axes = view.axes || wholeAxes(curves, view.setting.kl);
  if (view.keep) view.axes = axes;
  const named = curves.filter(c => isShown(c) && (c.exact ? view.setting.kl > 0 : [...c.rmse, ...c.theory].some(e => e > 0)));
  listNames(named);
  scene = emptyScene(axes, named);
  drawFrame();
  const inside = draw("g", { "clip-path": "url(#inside)" });
  inside.append(...named.filter(c => !c.exact && isDrawn(c)).map(drawCurve));
  scene.svg.append(inside);
  drawTolerance(view.tolerance * view.setting.kl);
  const { points, left, right, top, bottom } = scene;
  const outside = points.filter(p => p.x < left || p.x > right || p.y < top || p.y > bottom).length;
  byId("outside").textContent = outside ? `${outside} of ${points.length} points lie outside these axes.` : "";
  scene.svg.dataset.points = points.length;
  byId("plot").replaceChildren(scene.svg);
  placeNames(named);
}

function listNames(named) {
  const samplers = new Set(named.map(c => c.sampler)), estimators = new Set(named.map(title));
  const name = c => (samplers.size < 2 ? title(c) : estimators.size < 2 ? c.sampler : `${title(c)}, ${c.sampler}`);
  byId("names").replaceChildren(...named.map(c => make("li", {}, nameButton(c, name(c) + (c.exact ? ": exact" : "")))));
  // On a phone the names are below the chart. Beside it, their width decides the chart's.
  byId("chart").classList.toggle("narrow", byId("chart").clientWidth < 560);
}

function emptyScene(axes, named) {
  const isNarrow = byId("chart").classList.contains("narrow");
  const width = Math.max(byId("plot").clientWidth, 200), height = isNarrow ? 320 : Math.max(420, NAME * named.length + MARGIN.bottom);
  const { left, top } = MARGIN, right = width - MARGIN.right, bottom = height - MARGIN.bottom;
  const [x0, x1, y0, y1] = axes.map(Math.log);
  const about = named.map(c => `${title(c)} over ${c.sampler} points`).join(", ") || "no curve";
  return {
    svg: draw("svg", { width, height, role: "img", "aria-label": `RMSE in nats against samples for ${about}; the table has the numbers.` }),
    axes, width, height, left, right, top, bottom, isNarrow, points: [],
    x: n => left + (Math.log(n) - x0) / (x1 - x0) * (right - left), y: e => bottom - (Math.log(e) - y0) / (y1 - y0) * (bottom - top),
    n: x => Math.exp(x0 + (x - left) / (right - left) * (x1 - x0)), e: y => Math.exp(y0 + (bottom - y) / (bottom - top) * (y1 - y0)),
  };
}

function drawFrame() {
  const { svg, axes, x, y, left, right, top, bottom, height } = scene;
  const area = draw("rect", { x: left, y: top, width: right - left, height: bottom - top });
  svg.append(draw("defs", {}, draw("clipPath", { id: "inside" }, area)));
  for (const [n, text] of ticks(axes.slice(0, 2), true))
    svg.append(draw("path", { class: "grid", d: `M${x(n)} ${top}V${bottom}` }), draw("text", { x: x(n), y: bottom + 16, "text-anchor": "middle" }, text));
  for (const [e, text] of ticks(axes.slice(2), false))
    svg.append(draw("path", { class: "grid", d: `M${left} ${y(e)}H${right}` }), draw("text", { x: left - 6, y: y(e) + 4, "text-anchor": "end" }, text));
  svg.append(draw("text", { x: (left + right) / 2, y: height - 8, "text-anchor": "middle" }, "samples n"), draw("text", { x: 4, y: 11 }, "RMSE / nats"));
}

// Theory as a line below the measured points, whose bars are two standard errors.
function drawCurve(curve) {
  const { x, y, points } = scene, bars = [], marks = [];
  let path = "";
  curve.samples.forEach((n, i) => {
    const theory = curve.theory[i], rmse = curve.rmse[i];
    if (theory > 0) path += `${curve.theory[i - 1] > 0 ? "L" : "M"}${x(n)} ${y(theory)}`;
    if (!(rmse > 0)) return;
    const [low, high] = [1 - curve.spread[i], 1 + curve.spread[i]].map(share => y(rmse * Math.sqrt(share)));
    bars.push(draw("path", { class: "bar", style: colour(curve), d: `M${x(n)} ${low}V${high}` }));
    marks.push(marker(curve, x(n), y(rmse)));
    points.push({ curve, i, x: x(n), y: y(rmse) });
  });
  return draw("g", { "data-curve": curve.key }, ...(path ? [line(curve, path)] : []), ...bars, ...marks);
}

function drawTolerance(limit) {
  const { svg, y, left, right, top, bottom } = scene;
  if (!(y(limit) >= top && y(limit) <= bottom)) return;
  svg.append(draw("path", { class: "tolerance", d: `M${left} ${y(limit)}H${right}` }));
  svg.append(draw("text", { class: "halo", x: left + 4, y: y(limit) - 4 }, `${percent(view.tolerance)} of KL`));
}

// Names stand where their curves end, or as near as the others leave room; exact ones below.
function placeNames(named) {
  const { svg, x, y, left, right, top, bottom, width, height, isNarrow } = scene, names = byId("names");
  const placed = named.map(curve => {
    const i = curve.samples.findLastIndex((_, k) => curve.theory[k] > 0 || curve.rmse[k] > 0);
    if (i < 0) return { curve, y: bottom };
    const error = curve.theory[i] > 0 ? curve.theory[i] : curve.rmse[i];
    return { curve, x: within(x(curve.samples[i]), left, right), y: within(y(error), top, bottom) };
  }).sort((a, b) => a.y - b.y);
  let used = 0;
  placed.forEach((end, i) => {
    const lowest = height - (placed.length - i) * NAME, above = Math.max(used, Math.min(end.y - NAME / 2, lowest));
    const item = names.querySelector(`[data-curve="${CSS.escape(end.curve.key)}"]`).parentElement;
    item.style.marginTop = `${above - used}px`;
    names.append(item);
    if (!isNarrow && isDrawn(end.curve) && !end.curve.exact)
      svg.append(draw("path", { class: "bar", style: `${colour(end.curve)}; fill: none`, d: `M${end.x} ${end.y}L${width} ${above + NAME / 2}` }));
    used = above + NAME;
  });
}

function highlight(key, point = null) {
  for (const group of byId("plot").querySelectorAll("g[data-curve]")) group.classList.toggle("near", group.dataset.curve === key);
  byId("tip")?.remove();
  if (!point) return;
  const { curve, i } = point, rmse = curve.rmse[i], theory = curve.theory[i];
  const tip = make("div", { id: "tip" }, [
    `${title(curve)} over ${curve.sampler} points, ${whole(curve.samples[i])} samples`,
    `RMSE ${rmse} measured${theory > 0 ? `, ${theory} by theory` : ""}`,
    `${percent(rmse / view.setting.kl)} of KL`,
    ...(curve.ci_coverage[i] === null ? [] : [`95 % intervals cover in ${percent(curve.ci_coverage[i])}`]),
  ].join("\n"));
  byId("chart").append(tip);
  tip.style.top = `${Math.max(point.y - tip.offsetHeight - 12, 0)}px`;
  tip.style.left = `${within(point.x - tip.offsetWidth / 2, 0, byId("chart").clientWidth - tip.offsetWidth)}px`;
}

// The point of a curve that is nearest to the mouse, or null.
function nearest(event) {
  const area = scene.svg.getBoundingClientRect(), [px, py] = [event.clientX - area.left, event.clientY - area.top];
  const away = p => Math.hypot(p.x - px, p.y - py);
  const best = scene.points.reduce((a, b) => a && away(a) <= away(b) ? a : b, null);
  return best && away(best) < REACH ? best : null;
}

function setAxes(axes) {
  view.axes = axes;
  show();
}
function zoom(factor) {
  const [x0, x1, y0, y1] = scene.axes.map(Math.log);
  const around = (a, b) => { const half = Math.max((b - a) / 2 * factor, 0.2); return [(a + b) / 2 - half, (a + b) / 2 + half]; };
  setAxes([...around(x0, x1), ...around(y0, y1)].map(Math.exp));
}

function pick(event) {
  const point = nearest(event);
  if (!point) return;
  isolate(point.curve);
  highlight(point.curve.key, point);
}

let drag = null;
function watchMouse() {
  const box = byId("plot");
  const at = event => {
    const area = scene.svg.getBoundingClientRect();
    return [within(event.clientX - area.left, scene.left, scene.right), within(event.clientY - area.top, scene.top, scene.bottom)];
  };
  box.addEventListener("pointerdown", event => { if (event.button === 0 && event.pointerType !== "touch") drag = { from: at(event) }; });
  box.addEventListener("pointermove", event => {
    if (!drag) { const point = nearest(event); highlight(point?.curve.key ?? null, point); return; }
    const [a, b] = [drag.from, at(event)];
    drag.area?.remove();
    drag.area = draw("rect", { class: "area", x: Math.min(a[0], b[0]), y: Math.min(a[1], b[1]), width: Math.abs(a[0] - b[0]), height: Math.abs(a[1] - b[1]) });
    scene.svg.append(drag.area);
  });
  box.addEventListener("pointerleave", () => { if (!drag) highlight(null); });
  window.addEventListener("pointerup", event => {
    if (!drag) return;
    const [a, b] = [drag.from, at(event)];
    drag.area?.remove();
    drag = null;
    if (Math.hypot(a[0] - b[0], a[1] - b[1]) < 5) pick(event);
    if (Math.abs(a[0] - b[0]) < 10 || Math.abs(a[1] - b[1]) < 10) return;
    const { n, e } = scene;
    setAxes([n(Math.min(a[0], b[0])), n(Math.max(a[0], b[0])), e(Math.max(a[1], b[1])), e(Math.min(a[1], b[1]))]);
  });
  box.addEventListener("click", event => { if (event.pointerType === "touch") pick(event); });
  box.addEventListener("dblclick", () => setAxes(null));
}

// --- The view as a file ---

function csv() {
  const columns = ["setting", "backend", "sampler", "estimator", "samples", "kl", "rmse", "relative_rmse", "exact_rmse", "ci_coverage"];
  const { setting, backend } = view, rows = [columns];
  for (const curve of curvesOf(setting, backend).filter(isDrawn))
    for (const estimator of curve.estimators.filter(e => view.estimators.has(e)))
      curve.samples.forEach((n, i) => rows.push([setting.setting, backend, curve.sampler, estimator, n, setting.kl, curve.rmse[i],
        curve.rmse[i] === null || setting.kl === 0 ? null : Number((curve.rmse[i] / setting.kl).toPrecision(4)), curve.theory[i], curve.ci_coverage[i]]));
  return rows.map(row => row.map(cell => cell ?? "").join(",")).join("\n") + "\n";
}
function save() {
  if (!view.setting) return;
  const link = make("a", { href: URL.createObjectURL(new Blob([csv()], { type: "text/csv" })), download: `mckl-${view.setting.setting}.csv` });
  link.click();
  URL.revokeObjectURL(link.href);
}

// --- The start ---

function start() { view = viewOfAddress(); offer(); show(); }

async function unpacked() {
  // Compressed, since within the report Chromium shows no page of more than 1.5 MB.
  const bytes = Uint8Array.from(atob(byId("data").textContent), c => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
}

unpacked().then(data => {
  DATA = data;
  const columns = ["setting", "sampler", "estimator", "tolerance", "samples", "measured", "theory", "verdict"];
  DATA.budget = DATA.budget.map(row => Object.fromEntries(columns.map((name, i) => [name, row[i]])));
  // Within the report, the page has no files beside it.
  byId("files").hidden = location.protocol === "data:";
  if (!DATA.settings.length) { byId("said").textContent = "This results folder has no settings to show."; return; }
  byId("pickers").addEventListener("change", choose);
  byId("pickers").addEventListener("submit", event => event.preventDefault());
  byId("zoom-in").addEventListener("click", () => zoom(0.6));
  byId("zoom-out").addEventListener("click", () => zoom(1 / 0.6));
  byId("whole").addEventListener("click", () => setAxes(null));
  byId("keep").addEventListener("change", () => { view.keep = byId("keep").checked; setAxes(view.keep ? scene.axes : null); });
  byId("csv").addEventListener("click", save);
  document.addEventListener("keydown", event => { if (event.key === "Escape" && view.only) { view.only = null; show(); } });
  window.addEventListener("hashchange", start);
  watchMouse();
  start();
  let width = byId("chart").clientWidth;
  new ResizeObserver(() => {
    if (byId("chart").clientWidth !== width && view.setting) { width = byId("chart").clientWidth; plot(curvesOf(view.setting, view.backend)); }
  }).observe(byId("chart"));
}).catch(error => { byId("said").textContent = `This page needs a browser of 2024 or later (${error.message}).`; });

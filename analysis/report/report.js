"use strict";

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const escaped = (name) => name.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const short = (name, width) =>
  escaped(name.length <= width ? name : name.slice(0, width - 1) + "\u2026");

// Figures: drawn from data, and drawn again when the reader turns from light to dark.

const CONFIG = { responsive: true, displayModeBar: false };
const figures = document.getElementById("figures");
const contents = JSON.parse(figures.textContent);
const study = JSON.parse(document.getElementById("browser").textContent);

function themed(layout) {
  const copy = { ...layout, paper_bgcolor: "transparent", plot_bgcolor: "transparent" };
  copy.font = { family: getComputedStyle(document.body).fontFamily, size: 13, color: css("--ink") };
  copy.hoverlabel = { align: "left", bgcolor: css("--card"), bordercolor: css("--line"),
    font: { color: css("--ink") } };
  for (const axis of ["xaxis", "yaxis", ...Object.keys(layout)].filter((key) => /^[xy]axis/.test(key))) {
    copy[axis] = { ...layout[axis], gridcolor: css("--grid"), linecolor: css("--line") };
    if (innerWidth < 640 && copy[axis].title) {
      copy[axis].title = { ...copy[axis].title, font: { size: 11 } };
    }
  }
  return copy;
}

function draw(id, data, layout) {
  return Plotly.react(id, data, themed(layout), CONFIG);
}

// A figure is drawn when it comes near the window, so that the page is there at once.

const drawnFigures = new Map();
const BROWSED = ["figure-matrix", "figure-curves"];
const near = new IntersectionObserver((entries) => entries
  .filter((entry) => entry.isIntersecting && !drawnFigures.has(entry.target.id))
  .forEach((entry) => drawFigure(entry.target)), { rootMargin: "800px" });

function drawFigure(target) {
  const name = target.id.replace("figure-", "");
  if (BROWSED.includes(target.id)) {
    drawnFigures.set(target.id, target);
    return showRun();
  }
  const inked = JSON.stringify(contents[name]).replaceAll(figures.dataset.ink, css("--ink"));
  const { data, layout } = JSON.parse(inked);
  const pick = document.querySelector(`select[data-traces="${name}"]`);
  const traces = pick ? [{ ...data[pick.value], visible: true }] : data;
  for (const trace of traces.filter(({ meta }) => meta === "runs")) {
    trace.text = trace.customdata.map(named);
    trace.selectedpoints = pointsOf(trace);
    trace.unselected = { marker: { opacity: 0.12 } };
    trace.selected = { marker: { opacity: 1, size: 11 } };
  }
  const drawing = draw(target.id, traces, layout);
  if (!drawnFigures.has(target.id)) {
    target.on("plotly_click", ({ points: [point] }) => {
      if (point.data.meta === "runs") select(point.customdata === selected ? null : point.customdata);
    });
  }
  drawnFigures.set(target.id, target);
  return drawing;
}

function drawFigures() {
  [...drawnFigures.values()].forEach(drawFigure);
}

// One order may be selected: it is then marked in all figures and shown in the matrix browser.

let selected = null;

function named(place) {
  const [replicate, order] = study.runs[place];
  const tasks = order.split(".").map((task) => escaped(study.tasks[task])).join(" > ");
  return `${tasks}<br>replicate ${replicate}`;
}

function pointsOf(trace) {
  if (selected === null) return null;
  return trace.customdata.flatMap((place, i) => (place === selected ? [i] : []));
}

function select(place) {
  selected = place;
  const chip = document.getElementById("selection");
  chip.hidden = place === null;
  if (place !== null) {
    const [replicate, order] = study.runs[place];
    chip.querySelector("span").innerHTML = named(place).replace("<br>", ", ");
    if (study.shown.includes(place)) {
      choose.replicate.value = replicate;
      listOrders();
      choose.order.value = order;
      showRun();
    }
  }
  for (const target of drawnFigures.values()) {
    if (target.data.some(({ meta }) => meta === "runs")) {
      Plotly.restyle(target, { selectedpoints: target.data.map((trace) =>
        (trace.meta === "runs" ? pointsOf(trace) : undefined)) });
    }
  }
}

document.querySelector("#selection button").addEventListener("click", () => select(null));
for (const button of document.querySelectorAll("button.mark")) {
  button.addEventListener("click", () => select(Number(button.dataset.place)));
}

// Accuracy matrices: put together from stages, which are stored once for all orders through them.

const choose = Object.fromEntries(["method", "replicate", "order"]
  .map((name) => [name, document.getElementById(`choose-${name}`)]));

function matrix(order) {
  const stages = study.scores[choose.method.value][choose.replicate.value] ?? {};
  return [...Array(order.length + 1).keys()].map((k) => {
    const row = stages[order.slice(0, k).join(".")];
    return order.map((task) => (row?.[task] == null ? null : row[task] / study.scale));
  });
}

function finalMean(order) {
  const last = matrix(order).at(-1);
  return last.includes(null) ? null : last.reduce((sum, value) => sum + value, 0) / last.length;
}

// What a run reaches is shown as the tables have it; the mean computed here only sorts.

function listOrders() {
  const ends = study.ends[choose.method.value];
  const orders = study.shown
    .filter((place) => String(study.runs[place][0]) === choose.replicate.value)
    .map((place) => ({ end: ends[place], order: study.runs[place][1].split(".").map(Number) }))
    .map(({ end, order }) => ({ end, order, mean: finalMean(order) }))
    .sort((a, b) => (a.end ?? 2) - (b.end ?? 2) || a.mean - b.mean);
  const kept = choose.order.value;
  choose.order.replaceChildren(...orders.map(({ order, end }) => {
    const names = order.map((task) => study.tasks[task]).join(" > ");
    return new Option(`${end ?? "unfinished"}   ${names}`, order.join("."));
  }));
  if (orders.some(({ order }) => order.join(".") === kept)) choose.order.value = kept;
  showRun();
}

function showRun() {
  if (!drawnFigures.has(BROWSED[0])) return undefined;
  const order = choose.order.value.split(".").map(Number);
  const names = order.map((task) => study.tasks[task]);
  const values = matrix(order);
  drawMatrix(names, values);
  return drawCurves(names, values, study.groups[choose.method.value].colour);
}

function drawMatrix(names, values) {
  const narrow = document.getElementById("figure-matrix").clientWidth < 560;
  const room = narrow ? 10 : 18;
  const positions = names.map((_, i) => i);
  const learnt = positions.map((i) => ({ type: "rect", x0: i - 0.5, x1: i + 0.5, y0: i + 0.5,
    y1: i + 1.5, line: { color: css("--ink"), width: 2 } }));
  const hover = values.map((row, k) => row.map((value, i) =>
    `${k ? `after ${escaped(names[k - 1])} (stage ${k})` : "untouched backbone"}<br>` +
    `${study.noun} on ${escaped(names[i])}: ${value === null ? "not measured" : value.toFixed(4)}`));
  draw("figure-matrix", [{ type: "heatmap", z: values, x: positions, y: values.map((_, k) => k),
    zmin: 0, zmax: 1, colorscale: "Viridis", xgap: 2, ygap: 2, hoverongaps: false, text: hover,
    hovertemplate: "%{text}<extra></extra>", texttemplate: names.length <= 12 ? "%{z:.2f}" : "",
    colorbar: { thickness: 12, tickformat: ".1f" } }],
  { height: 130 + 36 * values.length, margin: { l: 16, r: 16, t: 16, b: 16 }, shapes: learnt,
    xaxis: { tickvals: positions, ticktext: names.map((name) => short(name, room)), side: "top",
      tickangle: narrow ? -45 : "auto", automargin: true, showgrid: false, zeroline: false,
      fixedrange: true },
    yaxis: { tickvals: values.map((_, k) => k), autorange: "reversed", automargin: true,
      ticktext: ["0 untouched", ...names.map((name, i) => `${i + 1} ${short(name, room)}`)],
      showgrid: false, zeroline: false, fixedrange: true } });
}

function drawCurves(names, values, colour) {
  const width = document.getElementById("figure-curves").clientWidth;
  const rows = Math.ceil(names.length / (width < 560 ? 2 : 4));
  const columns = Math.ceil(names.length / rows);
  const stages = values.map((_, k) => k);
  const layout = { height: 60 + 150 * rows, showlegend: false, annotations: [],
    grid: { rows, columns, pattern: "independent", xgap: 0.14, ygap: 0.34 },
    margin: { l: 36, r: 12, t: 28, b: 32 } };
  const data = names.map((name, i) => {
    const axis = i ? i + 1 : "";
    layout[`xaxis${axis}`] = { tickvals: stages, range: [-0.3, stages.length - 0.7], zeroline: false };
    layout[`yaxis${axis}`] = { range: [-0.03, 1.03], tickvals: [0, 0.5, 1], zeroline: false };
    layout.annotations.push({ text: short(name, 20), xref: `x${axis} domain`, yref: `y${axis} domain`,
      x: 0, y: 1.03, xanchor: "left", yanchor: "bottom", showarrow: false });
    return { x: stages, y: values.map((row) => row[i]), xaxis: `x${axis}`, yaxis: `y${axis}`,
      mode: "lines+markers", line: { color: colour, width: 2 },
      marker: { size: stages.map((k) => (k === i + 1 ? 11 : 5)), color: colour,
        symbol: stages.map((k) => (k === i + 1 ? "star" : "circle")) },
      hovertemplate: `${escaped(name)}<br>stage %{x}: %{y:.3f}<extra></extra>` };
  });
  return draw("figure-curves", data, layout);
}

// Figures leave the page on white paper, whatever the page looks like.

async function asImage(target, format) {
  document.documentElement.classList.add("on-paper");
  await drawFigure(target);
  const { clientWidth: width, clientHeight: height } = target;
  const scale = format === "png" ? 3 : 1;
  const image = await Plotly.toImage(target, { format, width, height, scale });
  document.documentElement.classList.remove("on-paper");
  await drawFigure(target);
  return image;
}

async function exportFigure(name, format) {
  const target = document.getElementById(`figure-${name}`);
  if (format !== "pdf") return save(await asImage(target, format), `${name}.${format}`);
  const figure = target.closest("figure");
  document.body.classList.add("one-figure");
  figure.classList.add("chosen");
  print();
  document.body.classList.remove("one-figure");
  return figure.classList.remove("chosen");
}

for (const button of document.querySelectorAll("button.export[data-figure]")) {
  button.addEventListener("click", () =>
    exportFigure(button.dataset.figure, button.dataset.format));
}

for (const query of ["(prefers-color-scheme: dark)", "print"]) {
  matchMedia(query).addEventListener("change", drawFigures);
}
for (const pick of document.querySelectorAll("select[data-traces]")) {
  pick.addEventListener("change", () =>
    drawFigure(document.getElementById(`figure-${pick.dataset.traces}`)));
}
if (choose.method !== null) {
  choose.method.addEventListener("change", listOrders);
  choose.replicate.addEventListener("change", listOrders);
  choose.order.addEventListener("change", showRun);
  listOrders();
}

// Plotly is unpacked after the page has been painted, so that the answer does not wait for it.

const plots = [...document.querySelectorAll(".plot")];

async function loadPlotly() {
  const script = document.createElement("script");
  script.textContent = await unpacked(document.getElementById("plotly").textContent);
  document.head.append(script);
  plots.forEach((plot) => near.observe(plot));
  addEventListener("beforeprint", () => plots
    .filter((plot) => plot.checkVisibility()).forEach(drawFigure));
}

requestAnimationFrame(() => setTimeout(loadPlotly));

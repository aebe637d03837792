"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const shown = { hidden: new Set(), across: "steps" };
const views = [];

// Small tools.

const byId = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "click") made.addEventListener("click", value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const escaped = (text) =>
  String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

function short(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e15 || size < 1e-3) return value.toExponential(1);
  for (const [unit, sign] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit * (sign === "k" ? 10 : 1)) return +(value / unit).toFixed(2) + sign;
  }
  return String(+value.toPrecision(size >= 100 ? 5 : 4));
}

function duration(seconds) {
  if (seconds < 120) return `${+seconds.toPrecision(3)} s`;
  if (seconds < 7200) return `${+(seconds / 60).toPrecision(3)} min`;
  return `${+(seconds / 3600).toPrecision(3)} h`;
}

const moment = (across) => shown.across === "steps" ? `step ${Math.round(across)}` : duration(across);

const swatch = (group) =>
  element("span", { class: "swatch", style: `background:${group.colour}` });

function table(header, rows) {
  const cells = (tag, row) => row.map((cell) => element(tag, {}, cell ?? "-"));
  const made = element("table", {},
    element("thead", {}, element("tr", {}, ...cells("th", header))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells("td", row)))));
  return element("div", { class: "table" }, made);
}

function download(name, type, text) {
  const link = element("a", {
    href: URL.createObjectURL(new Blob([text], { type })),
    download: name,
  });
  link.click();
  URL.revokeObjectURL(link.href);
}

// Axes.

class Axis {
  constructor(values, [start, end], logarithmic = false) {
    let low = Infinity, high = -Infinity;
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) [low, high] = [0, 1];
    this.logarithmic = logarithmic && low > 0 && high > low;
    if (low === 0 && high === 0) high = 1;
    if (low === high) [low, high] = [low - (Math.abs(low) / 2 || 1), high + (Math.abs(high) / 2 || 1)];
    Object.assign(this, { low, high, start, end });
  }

  straight(value) {
    return this.logarithmic ? Math.log10(value) : value;
  }

  place(value) {
    const [low, high] = [this.straight(this.low), this.straight(this.high)];
    return this.start + ((this.straight(value) - low) / (high - low)) * (this.end - this.start);
  }

  ticks() {
    const inside = (values) => values.filter((value) => value >= this.low && value <= this.high);
    const decades = this.logarithmic ? inside(this.decades()) : [];
    return decades.length > 1 ? decades : inside(this.round());
  }

  round() {
    const rough = (this.high - this.low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
    const first = Math.ceil(this.low / step);
    const count = Math.floor(this.high / step) - first + 1;
    return Array.from({ length: count }, (_, i) => (first + i) * step);
  }

  decades() {
    const [first, last] = [this.low, this.high].map((value) => Math.floor(Math.log10(value)));
    const decades = Math.max(last - first, 1);
    const factors = decades <= 2 ? [1, 2, 5] : [1];
    const every = Math.floor(decades / 6) + 1;
    const values = [];
    for (let decade = first; decade <= last; decade += every) {
      values.push(...factors.map((factor) => factor * 10 ** decade));
    }
    return values;
  }
}

// Views: what is drawn in a figure, at first and anew when something changes and it is in sight.

const inSight = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      target.view.inSight = isIntersecting;
      target.view.refresh();
    }
  },
  { rootMargin: "500px" },
);

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    target.view.stale = true;
    target.view.refresh();
  }
});

class View {
  constructor(title, label, name, height) {
    Object.assign(this, { label, height, stale: true, inSight: true });
    this.drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.drawing.setAttribute("role", "img");
    this.drawing.setAttribute("aria-label", label);
    this.drawing.style.height = `${height}px`;
    this.caption = element("figcaption", {}, element("span", {}, title));
    this.button("SVG", "Download this chart", () =>
      download(`${name}.svg`, "image/svg+xml", this.svg()));
    this.button("CSV", "Download its data", () =>
      download(`${name}.csv`, "text/csv", this.csv()));
    this.values = element("div", { class: "values", hidden: "" });
    this.figure = element("figure", {}, this.caption, this.drawing, this.values);
    this.drawing.addEventListener("pointermove", (event) => this.point(event));
    this.drawing.addEventListener("pointerleave", () => this.leave());
    this.figure.view = this;
    inSight.observe(this.figure);
    resized.observe(this.figure);
    views.push(this);
  }

  button(text, title, click) {
    const made = element("button", { title, click }, text);
    this.caption.append(made);
    return made;
  }

  refresh() {
    if (!this.stale || !this.inSight || !this.figure.clientWidth) return;
    this.stale = false;
    this.width = Math.max(this.figure.clientWidth - 20, 120);
    this.drawing.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.drawing.innerHTML = this.content();
  }

  // What stands where the pointer is.
  point(event) {
    if (!this.x) return;
    const box = this.drawing.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * this.width;
    const y = ((event.clientY - box.top) / box.height) * this.height;
    const content = this.at(x, y);
    this.leave();
    if (!content) return;
    this.mark?.(content.place);
    this.values.replaceChildren(...content.parts);
    this.values.hidden = false;
    // Beside the pointer, on the side where there is more room.
    const isRight = x > this.width / 2;
    this.values.style.left = isRight ? `${EDGE.left + 12}px` : "auto";
    this.values.style.right = isRight ? "auto" : "12px";
  }

  leave() {
    this.values.hidden = true;
    this.drawing.querySelector(".cursor")?.setAttribute("visibility", "hidden");
  }

  // The drawing as a file of its own, with its label above and the names of its curves below.
  svg() {
    const TITLE = 24, LINE = 16;
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name);
    const names = this.visible().map(({ group }, i) => {
      const y = this.height + LINE * i;
      const { label, colour } = data.groups[group];
      return `<rect x="4" y="${y}" width="10" height="10" fill="${colour}"/>` +
        `<text x="20" y="${y + 9}">${escaped(label)}</text>`;
    });
    const height = TITLE + this.height + LINE * names.length;
    const copy = this.drawing.cloneNode(true);
    copy.removeAttribute("style");
    copy.setAttribute("width", this.width);
    copy.setAttribute("height", height);
    copy.setAttribute("viewBox", `0 ${-TITLE} ${this.width} ${height}`);
    copy.innerHTML =
      `<style>svg{background:${colour("--paper")}}` +
      `text{fill:${colour("--ink")};font:11px sans-serif}` +
      `.grid{stroke:${colour("--line")}}.cursor{display:none}</style>` +
      `<text x="4" y="-8">${escaped(this.label)}</text>${copy.innerHTML}${names.join("")}`;
    return new XMLSerializer().serializeToString(copy);
  }

  // The curves that are to be seen.
  visible() {
    return [];
  }
}

// Draws what is in sight, a little at a time, so that the page can be used meanwhile.
function drawAll(waiting) {
  const LONGEST = 20;
  const start = performance.now();
  while (waiting.length && performance.now() - start < LONGEST) waiting.shift().refresh();
  if (waiting.length) setTimeout(drawAll, 0, waiting);
}

function redraw(isWanted = () => true) {
  for (const view of views.filter(isWanted)) {
    view.stale = true;
    view.refresh();
  }
}

// A chart: curves with the range around them.

const EDGE = { left: 58, right: 20, top: 10, bottom: 34 };

class Chart extends View {
  constructor(chart) {
    const title = chart.interface ?? chart.title;
    const label = [chart.title, chart.interface].filter(Boolean).join(", ");
    const name = [chart.name, chart.interface].filter(Boolean).join("-");
    super(title, label, name, 230);
    this.chart = chart;
    this.logarithmic = chart.logarithmic;
    this.scale = this.button("log", "Logarithmic scale", () => {
      this.logarithmic = !this.logarithmic;
      this.stale = true;
      this.refresh();
    });
  }

  visible() {
    return this.chart.series.filter((series) => !shown.hidden.has(series.group));
  }

  content() {
    const series = this.visible();
    const of = (key) => series.flatMap((one) => one[key]);
    const bottom = this.height - EDGE.bottom;
    this.x = new Axis([0, ...of(shown.across)], [EDGE.left, this.width - EDGE.right]);
    const values = [...of("least"), ...of("most")];
    this.y = new Axis(values, [bottom, EDGE.top], this.logarithmic);
    this.scale.setAttribute("aria-pressed", this.y.logarithmic);
    return this.grid(bottom) + series.map((one) => this.curve(one)).join("") +
      '<line class="cursor" visibility="hidden"/>';
  }

  grid(bottom) {
    const right = this.width - EDGE.right;
    const rows = this.y.ticks().map((value) => {
      const y = this.y.place(value);
      return `<line class="grid" x1="${EDGE.left}" x2="${right}" y1="${y}" y2="${y}"/>` +
        `<text x="${EDGE.left - 6}" y="${y + 4}" text-anchor="end">${short(value)}</text>`;
    });
    const columns = this.x.ticks().map((value) =>
      `<text x="${this.x.place(value)}" y="${bottom + 15}" text-anchor="middle">${short(value)}</text>`);
    const unit = `<text x="${right}" y="${bottom + 30}" text-anchor="end">${shown.across}</text>`;
    return rows.join("") + columns.join("") + unit;
  }

  curve(series) {
    const { colour } = data.groups[series.group];
    const x = series[shown.across].map((value) => this.x.place(value).toFixed(1));
    const line = (key) => series[key].map((value, i) => `${x[i]},${this.y.place(value).toFixed(1)}`);
    const mean = line("mean");
    const range = series.least === series.mean ? "" :
      `<polygon points="${line("most").concat(line("least").reverse()).join(" ")}" fill="${colour}" fill-opacity=".18"/>`;
    const dot = mean.length === 1 ?
      `<circle cx="${mean[0].split(",")[0]}" cy="${mean[0].split(",")[1]}" r="3" fill="${colour}"/>` : "";
    return `${range}<polyline points="${mean.join(" ")}" fill="none" stroke="${colour}" ` +
      `stroke-width="1.6" stroke-linejoin="round"/>${dot}`;
  }

  at(x) {
    const near = this.visible().map((series) => {
      const i = nearest(series[shown.across], (value) => this.x.place(value), x);
      const place = this.x.place(series[shown.across][i]);
      return { series, i, place, distance: Math.abs(place - x) };
    });
    // A curve that has ended, or not begun, has no value here.
    const isHere = ({ series, i, distance }) =>
      distance < 8 || (i > 0 && i < series.steps.length - 1);
    const rows = near.filter(isHere);
    if (!rows.length) return undefined;
    const closest = rows.reduce((a, b) => (a.distance <= b.distance ? a : b));
    const head = moment(closest.series[shown.across][closest.i]);
    return { place: closest.place, parts: [head, this.rows(rows)] };
  }

  rows(rows) {
    const MOST = 12;
    const lines = rows.slice(0, MOST).map(({ series, i }) => {
      const [mean, least, most] = ["mean", "least", "most"].map((key) => series[key][i]);
      const range = least < most ? `${short(least)} to ${short(most)}` : "";
      const group = data.groups[series.group];
      return element("tr", {}, element("td", { class: "words" }, swatch(group), group.label),
        element("td", {}, short(mean)), element("td", { class: "soft" }, range));
    });
    if (rows.length > MOST) lines.push(element("tr", {}, element("td", {}, `and ${rows.length - MOST} more`)));
    return element("table", {}, ...lines);
  }

  mark(place) {
    const cursor = this.drawing.querySelector(".cursor");
    for (const [name, value] of Object.entries({
      x1: place, x2: place, y1: EDGE.top, y2: this.height - EDGE.bottom, visibility: "visible",
    })) cursor.setAttribute(name, value);
  }

  csv() {
    const quoted = (text) => `"${text.replace(/"/g, '""')}"`;
    const rows = this.chart.series.flatMap((series) => series.steps.map((step, i) =>
      [quoted(data.groups[series.group].label), step,
        ...["seconds", "mean", "least", "most"].map((key) => series[key][i])].join(",")));
    return ["runs,step,seconds,mean,least,most", ...rows, ""].join("\n");
  }
}

// The index of the value that lies nearest to a place, of values in ascending order.
function nearest(values, place, at) {
  let [low, high] = [0, values.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (place(values[middle]) < at) low = middle;
    else high = middle;
  }
  return values.length && Math.abs(place(values[low]) - at) < Math.abs(place(values[high]) - at) ? low : high;
}

// A heat map: a row for every interface, the highest on top, a column for every moment.

class HeatMap extends View {
  constructor(group, rows) {
    const { label } = data.groups[group];
    const height = HeatMap.ROW * rows.length + EDGE.bottom;
    super(label, `cosines of ${label}`, `cosines-${group}`, height);
    Object.assign(this, { group, rows: rows.reverse() });
  }

  static ROW = 22;

  content() {
    const left = Math.min(110, this.width / 4);
    const right = this.width - EDGE.right;
    const bottom = HeatMap.ROW * this.rows.length;
    const across = this.rows.flatMap(({ series }) => series[shown.across]);
    this.x = new Axis([0, ...across], [left, right]);
    const names = this.rows.map(({ name }, row) =>
      `<text x="${left - 6}" y="${HeatMap.ROW * row + 15}" text-anchor="end">${escaped(name)}</text>`);
    const ticks = this.x.ticks().map((value) =>
      `<text x="${this.x.place(value)}" y="${bottom + 15}" text-anchor="middle">${short(value)}</text>`);
    const unit = `<text x="${right}" y="${bottom + 30}" text-anchor="end">${shown.across}</text>`;
    return names.join("") + this.cells() + ticks.join("") + unit;
  }

  // One path for all cells of a colour: far fewer elements than one for each.
  cells() {
    const paths = new Map();
    this.rows.forEach(({ series }, row) => {
      const places = series[shown.across].map((value) => this.x.place(value));
      places.forEach((place, i) => {
        const from = i ? Math.round((places[i - 1] + place) / 2) : Math.round(this.x.start);
        const to = Math.round(i + 1 < places.length ? (place + places[i + 1]) / 2 : place);
        const colour = heat(series.mean[i]);
        const cell = `M${from} ${HeatMap.ROW * row + 1}H${to}v${HeatMap.ROW - 2}H${from}z`;
        paths.set(colour, (paths.get(colour) ?? "") + cell);
      });
    });
    const path = ([colour, cells]) =>
      `<path fill="${colour}" shape-rendering="crispEdges" d="${cells}"/>`;
    return [...paths].map(path).join("");
  }

  at(x, y) {
    const row = this.rows[Math.floor(y / HeatMap.ROW)];
    if (!row || x < this.x.start) return undefined;
    const places = row.series[shown.across];
    const i = nearest(places, (value) => this.x.place(value), x);
    return { parts: [`${row.name}, ${moment(places[i])}: ${short(row.series.mean[i])}`] };
  }

  csv() {
    const rows = this.rows.flatMap(({ name, series }) =>
      series.steps.map((step, i) => [name, step, series.seconds[i], series.mean[i]].join(",")));
    return ["interface,step,seconds,cosine", ...rows, ""].join("\n");
  }
}

// A timeline: a row for every worker, the highest on top, and what it did when.

class Timeline extends View {
  constructor(group, timeline) {
    const { label } = data.groups[group];
    const workers = Math.max(...timeline.activities.map((one) => one.worker));
    const height = Timeline.ROW * workers + EDGE.bottom + 6;
    super(label, `workers of ${label}, before step ${timeline.step}`, `timeline-${group}`, height);
    Object.assign(this, { workers, activities: timeline.activities });
  }

  static ROW = 30;
  static KINDS = {
    section: { name: "a layer runs and is updated", brief: "layer", colour: "#2f7fd0" },
    interface: { name: "the interface learns", brief: "interface", colour: "#e0952f" },
    waiting: { name: "waits", brief: "waits", colour: "rgba(150,155,165,.28)" },
  };

  content() {
    const left = 64;
    const right = this.width - EDGE.right;
    const bottom = Timeline.ROW * this.workers;
    const ends = this.activities.map((one) => 1e3 * one.end);
    this.x = new Axis([0, ...ends], [left, right]);
    const names = Array.from({ length: this.workers }, (_, i) =>
      `<text x="${left - 6}" y="${this.top(i + 1) + 19}" text-anchor="end">worker ${i + 1}</text>`);
    const ticks = this.x.ticks().map((value) =>
      `<line class="grid" x1="${this.x.place(value)}" x2="${this.x.place(value)}" y1="0" y2="${bottom + 3}"/>` +
      `<text x="${this.x.place(value)}" y="${bottom + 15}" text-anchor="middle">${short(value)}</text>`);
    const unit = `<text x="${right}" y="${bottom + 34}" text-anchor="end">milliseconds</text>`;
    return ticks.join("") + names.join("") + this.bars() + this.kinds(bottom + 34) + unit;
  }

  top(worker) {
    return Timeline.ROW * (this.workers - worker);
  }

  // One path for all bars of a kind, which a thin gap sets apart where they are wide enough.
  bars() {
    return Object.entries(Timeline.KINDS).map(([kind, { colour }]) => {
      const bars = this.activities.filter((one) => one.doing === kind).map((one) => {
        const [from, to] = [one.start, one.end].map((seconds) => this.x.place(1e3 * seconds));
        const width = Math.max(to - from > 3 ? to - from - 1 : to - from, 0.5);
        return `M${from.toFixed(1)} ${this.top(one.worker) + 4}h${width.toFixed(1)}v${Timeline.ROW - 8}h-${width.toFixed(1)}z`;
      });
      return `<path fill="${colour}" d="${bars.join("")}"/>`;
    }).join("");
  }

  kinds(y) {
    const WIDTH = 72;
    return Object.values(Timeline.KINDS).map(({ brief, colour }, i) =>
      `<rect x="${4 + WIDTH * i}" y="${y - 9}" width="10" height="10" fill="${colour}"/>` +
      `<text x="${18 + WIDTH * i}" y="${y}">${brief}</text>`).join("");
  }

  at(x, y) {
    const worker = this.workers - Math.floor(y / Timeline.ROW);
    const here = this.activities.filter((one) => one.worker === worker);
    const distance = ({ start, end }) =>
      Math.max(this.x.place(1e3 * start) - x, x - this.x.place(1e3 * end), 0);
    const found = here.reduce((a, b) => (a && distance(a) <= distance(b) ? a : b), undefined);
    if (!found || distance(found) > 4) return undefined;
    const { doing, section, step, start, end } = found;
    const what = [Timeline.KINDS[doing].name, section && `(${section})`].filter(Boolean).join(" ");
    return { parts: [`worker ${worker}, step ${step + 1}: ${what}, ${short(1e3 * (end - start))} ms`] };
  }

  csv() {
    const rows = this.activities.map(({ worker, step, doing, section, start, end }) =>
      [worker, step + 1, doing, section ?? "", start, end].join(","));
    return ["worker,step,doing,section,start,end", ...rows, ""].join("\n");
  }
}

// From wrong (-1, red) through useless (0, grey) to right (1, blue), in 41 colours.
function heat(exact) {
  const cosine = Math.round(20 * exact) / 20;
  const [from, to] = [[150, 155, 165], cosine < 0 ? [214, 69, 65] : [24, 110, 220]];
  const share = Math.min(Math.abs(cosine), 1);
  const mixed = from.map((value, i) => Math.round(value + share * (to[i] - value)));
  const opacity = 0.15 + 0.85 * share;
  return `rgba(${mixed.join(",")},${opacity.toFixed(2)})`;
}

// The page.

const charts = (isWanted) => data.charts.filter(isWanted);
const ofGroup = (chart, group) => chart.series.find((series) => series.group === group);
const ofParts = [...new Set(charts((chart) => chart.interface).map((chart) => chart.name))];
const WORKERS = ["staleness", "lateness", "busy"];
const ofWorkers = ofParts.filter((name) => WORKERS.includes(name));
const ofInterfaces = ofParts.filter((name) => !WORKERS.includes(name));

function buildLead() {
  const runs = data.groups.reduce((sum, group) => sum + group.runs.length, 0);
  byId("lead").append(
    `${runs} run${runs > 1 ? "s" : ""} of ${data.groups.length} kind${data.groups.length > 1 ? "s" : ""}. ` +
    "Lines are means, the area around them reaches from the least to the greatest value over " +
    "the seeds and over the steps between two points, so no spike is hidden.");
}

function buildControls() {
  data.groups.forEach((group, i) => {
    const button = element("button", { "aria-pressed": "true" }, swatch(group), group.label);
    button.addEventListener("click", () => {
      if (!shown.hidden.delete(i)) shown.hidden.add(i);
      button.setAttribute("aria-pressed", !shown.hidden.has(i));
      redraw((view) => view instanceof Chart);
    });
    byId("legend").append(button);
  });
  const buttons = [["steps", "over steps"], ["seconds", "over wall time"]].map(([key, text]) => {
    const button = element("button", { "aria-pressed": key === shown.across }, text);
    button.addEventListener("click", () => {
      shown.across = key;
      for (const one of buttons) one.setAttribute("aria-pressed", one === button);
      redraw();
    });
    return button;
  });
  byId("across").append(...buttons);
}

function last(chart, group) {
  const series = ofGroup(chart, group);
  if (!series) return undefined;
  const [mean, least, most] = ["mean", "least", "most"].map((key) => series[key].at(-1));
  const range = least < most ? `${short(least)} to ${short(most)}` : "";
  return element("span", {}, short(mean), element("small", {}, range));
}

function buildRuns() {
  const network = charts((chart) => !chart.interface);
  const cosines = charts((chart) => chart.name === "cosine");
  const header = ["", "seeds", "steps", "time", "steps/s", ...network.map((chart) => chart.title),
    "synthesizers on", "cosines at the end"];
  const rows = data.groups.map((group, i) => {
    const mean = (figure) => group.runs.reduce((sum, run) => sum + figure(run), 0) / group.runs.length;
    const isMine = (chart) => chart.interface && ofInterfaces.includes(chart.name) && ofGroup(chart, i);
    const mine = charts(isMine).map((chart) => chart.interface);
    const names = [...new Set(mine)];
    const unfinished = group.runs.filter((run) => !run.finished).length;
    const ends = cosines.map((chart) => ofGroup(chart, i)?.mean.at(-1)).filter((end) => end !== undefined);
    const notCompared = [...new Set(group.runs.flatMap((run) => run.not_compared)
      .filter((found) => found.at_end).map((found) => `${found.interface} ${found.state}`))];
    return [
      element("span", {}, swatch(group), group.label),
      element("span", {}, String(group.runs.length),
        element("small", {}, unfinished ? `${unfinished} unfinished` : "")),
      short(mean((run) => run.steps)),
      duration(mean((run) => run.seconds)),
      short(mean((run) => run.steps / run.seconds || 0)),
      ...network.map((chart) => last(chart, i)),
      names.length ? abridged(names).join(", ") : "none",
      element("span", {}, ends.length ? abridged(ends.map((end) => end.toFixed(2))).join(", ") : "-",
        element("small", {}, notCompared.join(", "))),
    ];
  });
  byId("runs").append(table(header, rows));
}

const abridged = (list) => list.length <= 4 ? list : [list[0], list[1], "...", list.at(-1)];

function buildLearning() {
  const figures = charts((chart) => !chart.interface).map((chart) => new Chart(chart).figure);
  byId("learning").append(element("div", { class: "charts" }, ...figures));
}

function buildGradients() {
  const section = byId("gradients");
  if (!ofInterfaces.length) {
    section.append(element("p", { class: "soft" }, "These runs recorded no synthetic gradients."));
    return;
  }
  const found = data.groups.flatMap((group) => group.runs.flatMap((run) =>
    run.not_compared.map(({ interface: name, state, times }) => [
      group.label, element("code", {}, run.path), name, state, String(times)])));
  if (found.length) {
    section.append(
      element("h3", {}, "Gradients that could not be compared"),
      element("p", { class: "soft" }, "Dead: the true gradient was zero, so nothing below learned " +
        "by it. Broken: a gradient was NaN or infinite. Neither has a cosine."),
      table(["run", "folder", "interface", "gradient", "comparisons"], found));
  }
  const maps = data.groups.flatMap((_, group) => {
    const rows = charts((chart) => chart.name === "cosine" && ofGroup(chart, group))
      .map((chart) => ({ name: chart.interface, series: ofGroup(chart, group) }));
    return rows.length ? [new HeatMap(group, rows).figure] : [];
  });
  if (maps.length) {
    section.append(
      element("h3", {}, "Quality of the synthesizers, layer by layer"),
      element("p", { class: "soft" }, "The cosine between synthetic and true gradient on top of " +
        "every layer, the highest layer on top: blue is right, grey says nothing, red is wrong."),
      element("div", { class: "charts" }, ...maps));
  }
  buildParts(section, ofInterfaces);
}

function buildWorkers() {
  const section = byId("workers");
  const figures = data.groups.flatMap(({ timeline }, group) =>
    timeline ? [new Timeline(group, timeline).figure] : []);
  if (!figures.length && !ofWorkers.length) {
    section.remove();
    return;
  }
  if (figures.length) {
    section.append(element("h3", {}, "Who did what when"),
      element("p", { class: "soft" }, "A few steps in the middle of those before the last " +
        "evaluation. A layer runs, is updated with its synthetic gradient, and the interface below it " +
        "learns from what comes back; gaps are what is between these."),
      element("div", { class: "charts wide" }, ...figures));
  }
  buildParts(section, ofWorkers);
}

// A chart for every interface or worker, under the name of what it shows.
function buildParts(section, names) {
  for (const name of names) {
    const mine = charts((chart) => chart.interface && chart.name === name);
    const figures = mine.map((chart) => new Chart(chart).figure);
    section.append(element("h3", {}, mine[0].title), element("p", { class: "soft" }, mine[0].meaning),
      element("div", { class: "charts parts" }, ...figures));
  }
}

function buildSettings() {
  const setting = (name) => data.groups.map((group) => group.settings[name] ?? "default");
  const header = ["", ...data.groups.map((group) => element("span", {}, swatch(group), group.label))];
  const rows = (names) => names.map((name) => [element("code", {}, name), ...setting(name)]);
  const all = [...new Set(data.groups.flatMap((group) => Object.keys(group.settings)))].sort();
  const same = all.filter((name) => !data.differences.includes(name));
  const section = byId("settings");
  if (data.differences.length) {
    section.append(element("p", {}, "What differs:"), table(header, rows(data.differences)));
  }
  section.append(element("details", {},
    element("summary", {}, `What all have in common (${same.length})`),
    table(["", ""], same.map((name) => [element("code", {}, name), setting(name)[0]]))));
}

function buildOrigin() {
  const section = byId("origin");
  const commands = new Map();
  for (const group of data.groups) {
    for (const origin of group.origins) {
      const source = [origin.version, origin.commit, origin.date].filter(Boolean).join(", ");
      const machine = `dni ${source}, burn ${origin.burn}, ${origin.system}, ` +
        `${origin.processor ?? "unknown processor"}, ${origin.processors} threads` +
        (origin.instructions ? `, ${origin.instructions}` : "");
      commands.set(`${origin.command}\n${machine}`, [origin.command, machine]);
    }
  }
  for (const [command, machine] of commands.values()) {
    section.append(element("pre", {}, element("code", {}, command)), element("p", { class: "soft" }, machine));
  }
  if (!commands.size) {
    section.append(element("p", { class: "soft" }, "These folders do not say how they were made."));
  }
  const paths = data.groups.flatMap((group) => group.runs.map((run) => [element("code", {}, run.path)]));
  section.append(element("details", {}, element("summary", {}, "Folders"), table(["folder"], paths)));
}

// Numbers that are the same in several columns are sent once.
for (const chart of data.charts) {
  for (const series of chart.series) {
    series.least ??= series.mean;
    series.most ??= series.mean;
  }
}

buildLead();
buildControls();
buildRuns();
buildLearning();
buildGradients();
buildWorkers();
buildSettings();
buildOrigin();
drawAll([...views]);

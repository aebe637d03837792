// A chart: curves with the range around them.

class Chart extends View {
  // `find` gives its lines, whenever it is drawn.
  constructor(task, figure, find, part) {
    const label = [figure.title, part].filter(Boolean).join(", ");
    const name = [figure.name, part].filter(Boolean).join("-");
    super(task, part ?? figure.title, label, name, part ? 170 : 230);
    Object.assign(this, { figureOf: figure, find, logarithmic: figure.logarithmic });
    this.scale = figure.fixed ? undefined : this.button("log", "Logarithmic scale", () => {
      this.logarithmic = !this.logarithmic;
      this.redraw();
    });
  }

  visible() {
    return this.find().filter(isShown);
  }

  content() {
    const all = this.find();
    const parts = unique(all.map(({ part }) => part));
    this.drawn = all.filter(isShown).map((line) => this.prepared(line, parts));
    const bottom = this.height - EDGE.bottom;
    this.x = this.over(this.drawn.flatMap(({ across }) => across), EDGE.left);
    this.y = new Axis(this.ends(), [bottom, EDGE.top], this.logarithmic);
    this.scale?.setAttribute("aria-pressed", this.y.logarithmic);
    const curves = this.drawn.map((line) => this.curve(line)).join("");
    return this.grid(bottom) + this.clipped(curves, 0, bottom + 3);
  }

  // A line with its places, its values as they are drawn, and how strongly: of several layers the
  // highest stands out.
  prepared(line, parts) {
    const { series, part } = line;
    const rank = parts.length > 1 ? (parts.indexOf(part) + 1) / parts.length : 1;
    const values = shown.smoothing ? smoothed(series.mean, shown.smoothing) : series.mean;
    return { ...line, across: series[shown.across], values, strength: 0.3 + 0.7 * rank };
  }

  // Where its axis begins and ends: where values can, or where those in sight do.
  ends() {
    const { ends: [least, most], fixed } = this.figureOf;
    if (fixed) return [least, most];
    const isSeen = (place) => place >= this.x.low && place <= this.x.high;
    const keys = shown.smoothing ? ["mean"] : ["least", "most"];
    const values = this.drawn.flatMap(({ across, series }) =>
      keys.flatMap((key) => series[key].filter((_, i) => isSeen(across[i]))));
    const positive = this.logarithmic ? values.filter((value) => value > 0) : values;
    const [low, high] = extent(positive.length ? positive : values);
    const room = low === high ? Math.abs(low) / 2 || 1 : this.logarithmic ? 0 : 0.05 * (high - low);
    return [Math.max(low - room, least ?? -Infinity), Math.min(high + room, most ?? Infinity)];
  }

  grid(bottom) {
    const right = this.width - EDGE.right;
    const rows = this.y.ticks().map((value) => {
      const y = this.y.place(value);
      return `<line class="grid" x1="${EDGE.left}" x2="${right}" y1="${y}" y2="${y}"/>` +
        `<text x="${EDGE.left - 6}" y="${y + 4}" text-anchor="end">${short(value)}</text>`;
    });
    return rows.join("") + this.below(bottom);
  }

  curve({ group: { colour }, series, across, values, strength }) {
    // Points out of sight are left out, but for the next ones.
    const from = Math.max(across.findIndex((place) => place >= this.x.low) - 1, 0);
    const beyond = across.findIndex((place) => place > this.x.high);
    const to = beyond < 0 ? across.length : beyond + 1;
    const x = across.slice(from, to).map((place) => tenths(this.x.place(place)));
    const line = (all) => all.slice(from, to)
      .map((value, i) => `${x[i]},${tenths(this.heightOf(value))}`);
    const drawn = (points, width, opacity) =>
      `<polyline points="${points.join(" ")}" fill="none" stroke="${colour}" stroke-width="${width}" ` +
      `stroke-opacity="${opacity.toFixed(2)}" stroke-linejoin="round"/>`;
    const points = line(values);
    const behind = shown.smoothing ? drawn(line(series.mean), 1, 0.25 * strength)
      : series.least === series.mean || this.drawn.length > Chart.MOST_RANGES ? ""
      : `<polygon points="${line(series.most).concat(line(series.least).reverse()).join(" ")}" ` +
        `fill="${colour}" fill-opacity="${(0.18 * strength).toFixed(2)}"/>`;
    return behind + drawn(points, 1.6, strength) + this.dots(points, colour, strength);
  }

  // Ranges of more curves than this would hide each other.
  static MOST_RANGES = 12;

  // Few points are shown as such: a line alone would not show where they are.
  dots(points, colour, strength) {
    const FEW = 12;
    if (points.length > FEW) return "";
    return points.map((point) => {
      const [x, y] = point.split(",");
      return `<circle cx="${x}" cy="${y}" r="2.5" fill="${colour}" fill-opacity="${strength}"/>`;
    }).join("");
  }

  // What has no logarithm lies on the bottom.
  heightOf(value) {
    return this.y.logarithmic && value <= 0 ? this.y.start : this.y.place(value);
  }

  // The values of all lines where the pointer is, the greatest on top.
  at(x, y) {
    const MOST = 14;
    const wanted = this.x.value(clamp(x, this.x.start, this.x.end));
    const rows = this.drawn.map((line) => ({ ...line, i: nearest(line.across, wanted) }))
      .filter(({ across, i }) => across[i] >= this.x.low && across[i] <= this.x.high);
    if (!rows.length) return undefined;
    const distance = ({ values, i }) => Math.abs(this.heightOf(values[i]) - y);
    rows.sort((a, b) => distance(a) - distance(b));
    const closest = rows[0];
    const told = rows.slice(0, MOST).sort((a, b) => b.values[b.i] - a.values[a.i]);
    const across = closest.across[closest.i];
    const cells = told.map((row) => this.told(row, row === closest));
    const more = rows.length > MOST ? [element("tr", {}, element("td", {}, `and ${rows.length - MOST} more`))] : [];
    return { across, parts: [element("b", {}, moment(across)), element("table", {}, ...cells, ...more)] };
  }

  told({ group, part, series, values, i }, isClosest) {
    const range = series.least[i] < series.most[i] ? `${short(series.least[i])} to ${short(series.most[i])}` : "";
    const isOne = part === undefined || part === null || this.caption.firstChild.textContent === part;
    return element("tr", isClosest ? { class: "closest" } : {},
      element("td", {}, swatch(group), isOne ? nameOf(group) : `${nameOf(group)}, ${part}`),
      element("td", {}, short(values[i])), element("td", {}, range));
  }

  csv() {
    const quoted = (text) => `"${text.replace(/"/g, '""')}"`;
    const hasParts = this.find().some(({ part }) => part);
    const rows = this.find().flatMap(({ group, part, series }) => series.steps.map((step, i) =>
      [quoted(group.label), ...(hasParts ? [part] : []), step,
        ...["seconds", "mean", "least", "most"].map((key) => series[key][i])].join(",")));
    return [`runs,${hasParts ? "part," : ""}step,seconds,mean,least,most`, ...rows, ""].join("\n");
  }
}

// A place in as few characters as it takes; many are written.
const tenths = (place) => Math.round(10 * place) / 10;

// An exponential mean of the values so far, in which those before the first do not count.
function smoothed(values, weight) {
  let [sum, total] = [0, 0];
  return values.map((value) => {
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return sum / total;
  });
}

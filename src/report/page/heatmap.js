// A heat map: a row for every interface, the highest on top, a column for every moment.

class HeatMap extends View {
  constructor(task, { label }) {
    super(task, nameOf({ label, task }), `cosines of ${label}`, `cosines-${label}`, HeatMap.ROW + EDGE.bottom);
    this.of = label;
  }

  static ROW = 22;

  rows() {
    return lines(this.task, "cosine").filter(({ group }) => group.label === this.of).reverse();
  }

  content() {
    this.drawn = this.rows();
    const bottom = HeatMap.ROW * this.drawn.length;
    this.height = bottom + EDGE.bottom;
    const left = Math.min(110, this.width / 4);
    this.x = this.over(this.drawn.flatMap(({ series }) => series[shown.across]), left);
    const names = this.drawn.map(({ part }, row) =>
      `<text x="${left - 6}" y="${HeatMap.ROW * row + 15}" text-anchor="end">${escaped(part)}</text>`);
    return names.join("") + this.clipped(this.cells(), 0, bottom) + this.below(bottom);
  }

  // One path for all cells of a colour: far fewer elements than one for each.
  cells() {
    const paths = new Map();
    this.drawn.forEach(({ series }, row) => {
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
    const row = this.drawn[Math.floor(y / HeatMap.ROW)];
    if (!row || x < this.x.start) return undefined;
    const places = row.series[shown.across];
    const i = nearest(places, this.x.value(x));
    return { across: places[i], parts: [`${row.part}, ${moment(places[i])}: ${short(row.series.mean[i])}`] };
  }

  csv() {
    const rows = this.rows().reverse().flatMap(({ part, series }) =>
      series.steps.map((step, i) => [part, step, series.seconds[i], series.mean[i]].join(",")));
    return ["interface,step,seconds,cosine", ...rows, ""].join("\n");
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

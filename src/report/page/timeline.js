// A timeline: a row for every worker, the highest on top, and what it did when.

class Timeline extends View {
  constructor(group) {
    const { label, timeline: { activities, step } } = group;
    const workers = Math.max(...activities.map((one) => one.worker));
    const height = Timeline.ROW * workers + EDGE.bottom + 6;
    super(group.task, nameOf(group), `workers of ${label}, before step ${step}`, `timeline-${label}`, height);
    Object.assign(this, { workers, activities, isLinked: false });
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
    this.x = new Axis(extent([0, ...ends]), [left, right]);
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

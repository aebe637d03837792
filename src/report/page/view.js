// Views: what is drawn in a figure, at first and anew when something changes and it is in sight.

const EDGE = { left: 58, right: 20, top: 10, bottom: 34 };

const views = new Set();

const inSight = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      target.view.inSight = isIntersecting;
      target.view.refresh();
    }
  },
  { rootMargin: "500px" },
);

// Drawn a moment later: it may change the height, which is a new size.
const resized = new ResizeObserver((entries) => requestAnimationFrame(() => {
  for (const { target } of entries) {
    if (target.clientWidth !== target.view.drawnFor) target.view.redraw();
  }
}));

class View {
  constructor(task, title, label, name, height) {
    Object.assign(this, { task, label, height, stale: true, inSight: true, isLinked: true });
    this.drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [key, value] of [["role", "img"], ["aria-label", label], ["tabindex", "0"]]) {
      this.drawing.setAttribute(key, value);
    }
    this.drawing.style.height = `${height}px`;
    this.caption = element("figcaption", {}, element("span", {}, title));
    this.button("SVG", "Download this chart", () =>
      download(`${name}.svg`, "image/svg+xml", this.svg()));
    this.button("CSV", "Download its data", () =>
      download(`${name}.csv`, "text/csv", this.csv()));
    this.values = element("div", { class: "values", hidden: "" });
    this.figure = element("figure", {}, this.caption, this.drawing, this.values);
    this.figure.view = this;
    new Gestures(this);
    inSight.observe(this.figure);
    resized.observe(this.figure);
    views.add(this);
  }

  // Clips so far: each has a name of its own.
  static clips = 0;

  button(text, title, click) {
    const made = element("button", { title, click }, text);
    this.caption.append(made);
    return made;
  }

  redraw() {
    this.stale = true;
    this.refresh();
  }

  refresh() {
    if (!this.stale || !this.inSight || !this.figure.clientWidth) return;
    this.stale = false;
    this.drawnFor = this.figure.clientWidth;
    this.width = Math.max(this.drawnFor - 20, 120);
    const content = this.content();
    this.drawing.style.height = `${this.height}px`;
    this.drawing.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.drawing.innerHTML = content +
      '<rect class="selection" visibility="hidden"/><line class="cursor" visibility="hidden"/>';
  }

  // The axis over steps or time, of which the reader may have chosen a part.
  over(all, left) {
    const { logarithmic } = shown;
    const positive = logarithmic ? all.filter((value) => value > 0) : [0, ...all];
    const range = shown.ranges.get(this.task) ?? extent(positive);
    return new Axis(range, [left, this.width - EDGE.right], logarithmic);
  }

  // The values of the axis and its unit, below what is drawn.
  below(bottom) {
    const ticks = this.x.ticks().map((value) =>
      `<text x="${this.x.place(value)}" y="${bottom + 15}" text-anchor="middle">${short(value)}</text>`);
    const right = this.width - EDGE.right;
    return `${ticks.join("")}<text x="${right}" y="${bottom + 30}" text-anchor="end">${shown.across}</text>`;
  }

  // Lets nothing be seen outside of a rectangle.
  clipped(content, top, bottom) {
    this.clip ??= `clip${View.clips++}`;
    const { start, end } = this.x;
    return `<clipPath id="${this.clip}"><rect x="${start - 3}" y="${top}" width="${end - start + 6}" ` +
      `height="${bottom - top}"/></clipPath><g clip-path="url(#${this.clip})">${content}</g>`;
  }

  // Shows what stands at a place of the drawing, and marks it in all views of the task.
  point(x, y) {
    const found = this.x && this.at(x, y);
    leaveAll();
    if (!found) return;
    if (this.isLinked) markAll(this.task, found.across);
    this.values.replaceChildren(...found.parts);
    this.values.hidden = false;
    // Beside the pointer, on the side where there is more room.
    const isRight = x > this.width / 2;
    this.values.style.left = isRight ? "12px" : "auto";
    this.values.style.right = isRight ? "auto" : "12px";
  }

  mark(across) {
    const cursor = this.drawing.querySelector(".cursor");
    const place = this.x?.place(across);
    if (!cursor || !(place >= this.x.start && place <= this.x.end)) return;
    for (const [name, value] of Object.entries({
      x1: place, x2: place, y1: 0, y2: this.height - EDGE.bottom, visibility: "visible",
    })) cursor.setAttribute(name, value);
  }

  // Marks what is being selected, from one place to another; nothing without them.
  select(from, to) {
    const selection = this.drawing.querySelector(".selection");
    selection.setAttribute("visibility", from === undefined ? "hidden" : "visible");
    if (from === undefined) return;
    for (const [name, value] of Object.entries({
      x: Math.min(from, to), width: Math.abs(to - from), y: 0, height: this.height - EDGE.bottom,
    })) selection.setAttribute(name, value);
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
    const names = unique(this.visible().map(({ group }) => group)).map((group, i) => {
      const y = this.height + LINE * i;
      return `<rect x="4" y="${y}" width="10" height="10" fill="${group.colour}"/>` +
        `<text x="20" y="${y + 9}">${escaped(group.label)}</text>`;
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
      `.grid{stroke:${colour("--line")}}.cursor,.selection{display:none}</style>` +
      `<text x="4" y="-8">${escaped(this.label)}</text>${copy.innerHTML}${names.join("")}`;
    return new XMLSerializer().serializeToString(copy);
  }

  // The curves that are to be seen.
  visible() {
    return [];
  }
}

function markAll(task, across) {
  for (const view of views) if (view.isLinked && view.inSight && view.task === task) view.mark(across);
}

function leaveAll() {
  for (const view of views) view.leave();
}

// Views that are to be drawn anew.
const waiting = new Set();

function redraw(isWanted = () => true) {
  for (const view of views) {
    if (!isWanted(view)) continue;
    view.stale = true;
    waiting.add(view);
  }
  drawWaiting();
}

// Draws what is in sight, a little at a time, so that the page can be used meanwhile.
function drawWaiting() {
  const LONGEST = 20;
  const start = performance.now();
  for (const view of waiting) {
    waiting.delete(view);
    view.refresh();
    if (performance.now() - start > LONGEST) return setTimeout(drawWaiting, 0);
  }
}

// Forgets all views, before others take their place.
function clearViews() {
  for (const { figure } of views) {
    inSight.unobserve(figure);
    resized.unobserve(figure);
  }
  views.clear();
  waiting.clear();
}

// On paper everything is in sight.
addEventListener("beforeprint", () => {
  for (const view of views) {
    view.inSight = true;
    view.refresh();
  }
});

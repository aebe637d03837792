// What a pointer does in a view: it points, zooms and pans. All views of a task show the same part of
// their axis.

class Gestures {
  constructor(view) {
    this.view = view;
    // Where fingers are.
    this.fingers = new Map();
    for (const type of ["pointerdown", "pointermove", "pointerup", "pointercancel", "pointerleave",
      "dblclick", "wheel", "keydown"]) {
      view.drawing.addEventListener(type, (event) => this[type]?.(event), { passive: false });
    }
  }

  // Where an event is in the drawing.
  place(event) {
    const box = this.view.drawing.getBoundingClientRect();
    const { width, height } = this.view;
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  }

  pointerdown(event) {
    const [x, y] = this.place(event);
    if (event.pointerType === "touch") {
      this.fingers.set(event.pointerId, x);
      this.pinched = this.view.x && [...this.fingers.values()].map((place) => this.view.x.value(place));
      this.view.point(x, y);
      return;
    }
    if (event.button !== 0 || !this.view.isLinked || !this.view.x) return;
    this.view.drawing.setPointerCapture?.(event.pointerId);
    this.drag = { from: x, isPan: event.shiftKey };
  }

  pointermove(event) {
    const [x, y] = this.place(event);
    if (this.fingers.has(event.pointerId)) this.fingers.set(event.pointerId, x);
    if (this.fingers.size === 2) this.pinch();
    else if (this.drag?.isPan) this.pan(this.drag.from - x), this.drag.from = x;
    else if (this.drag && Math.abs(x - this.drag.from) > 3) this.view.select(this.drag.from, x);
    else this.view.point(x, y);
  }

  pointerup(event) {
    this.fingers.delete(event.pointerId);
    const { drag } = this;
    this.drag = undefined;
    if (!drag || drag.isPan) return;
    this.view.select();
    const [x] = this.place(event);
    if (Math.abs(x - drag.from) > 5) this.zoomTo([drag.from, x].sort((a, b) => a - b));
  }

  pointercancel(event) {
    this.fingers.delete(event.pointerId);
    this.drag = undefined;
    this.view.select();
  }

  // The values that a finger has asked for stay until it asks for others.
  pointerleave(event) {
    if (event.pointerType !== "touch") leaveAll();
  }

  dblclick() {
    if (this.view.isLinked) setRange(this.view.task);
  }

  wheel(event) {
    if (!(event.ctrlKey || event.metaKey) || !this.view.isLinked || !this.view.x) return;
    event.preventDefault();
    const [x] = this.place(event);
    this.scale(Math.exp(event.deltaY / 300), x);
  }

  keydown(event) {
    const { view } = this;
    if (!view.x || !view.isLinked) return;
    const { start, end } = view.x;
    const by = { ArrowLeft: -4, ArrowRight: 4 }[event.key];
    const factor = { "+": 0.5, "-": 2 }[event.key];
    if (event.key === "0") setRange(view.task);
    else if (factor) this.scale(factor, this.at ?? (start + end) / 2);
    else if (by) view.point(this.at = clamp((this.at ?? start) + by, start, end), view.height / 2);
    else return;
    event.preventDefault();
  }

  // Both fingers stay on what they have touched.
  pinch() {
    const { x } = this.view;
    const [a, b] = [...this.fingers.values()];
    const [from, to] = (this.pinched ?? []).map((value) => x.straight(value));
    if (to === undefined || Math.abs(a - b) < 10) return;
    const unit = (to - from) / (b - a);
    const ends = [x.start, x.end].map((place) => from + (place - a) * unit);
    setRange(this.view.task, ends.map((value) => x.logarithmic ? 10 ** value : value));
  }

  pan(places) {
    const { start, end } = this.view.x;
    this.zoomTo([start + places, end + places]);
  }

  scale(factor, around) {
    const { start, end } = this.view.x;
    this.zoomTo([start, end].map((place) => around + (place - around) * factor));
  }

  zoomTo(places) {
    setRange(this.view.task, places.map((place) => this.view.x.value(place)));
  }
}

// Has the views of a task show a part of their axis, or all of it.
function setRange(task, range) {
  if (range && !(range[1] > range[0])) return;
  if (range) shown.ranges.set(task, range);
  else shown.ranges.delete(task);
  byId("whole").hidden = !shown.ranges.size;
  leaveAll();
  redraw((view) => view.isLinked && view.task === task);
}

// A tap beside all charts puts the values away.
document.addEventListener("pointerdown", (event) => {
  if (event.pointerType === "touch" && !event.target.closest?.("figure")) leaveAll();
});

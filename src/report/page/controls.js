// The controls above the charts: which groups are seen, over what, and how.

function controls() {
  const legend = byId("legend");
  legend.replaceChildren(...tasks().flatMap(groupsOf).map((group) => {
    const button = element("button", {
      title: "Click to leave out, double click to see alone",
      click: () => show(group, shown.hidden.has(group.label)),
      dblclick: () => isolate(group),
    }, swatch(group), group.label);
    button.dataset.label = group.label;
    return button;
  }));
  pressed();
  const across = [["steps", "steps"], ["seconds", "time"]].map(([key, text]) =>
    element("button", { title: `Curves over ${text}`, "data-across": key, click: () => goAcross(key) }, text));
  const logarithmic = element("button", {
    title: "Logarithmic axis of steps or time", "aria-pressed": shown.logarithmic,
    click: (event) => {
      shown.logarithmic = !shown.logarithmic;
      event.target.setAttribute("aria-pressed", shown.logarithmic);
      redraw();
    },
  }, "log");
  const smoothing = element("input", {
    type: "range", min: 0, max: 0.98, step: 0.02, value: shown.smoothing, title: "Smoothing",
    "aria-label": "Smoothing", input: (event) => {
      shown.smoothing = +event.target.value;
      redraw((view) => view instanceof Chart);
    },
  });
  const whole = element("button", {
    id: "whole", title: "All of the axis again (double click in a chart)",
    click: () => tasks().forEach((task) => setRange(task)),
  }, "whole axis");
  whole.hidden = !shown.ranges.size;
  byId("across").replaceChildren(whole, ...across, logarithmic,
    element("label", {}, "smooth ", smoothing));
  goAcross(shown.across);
}

function show(group, isShown) {
  if (isShown) shown.hidden.delete(group.label);
  else shown.hidden.add(group.label);
  pressed();
  redraw((view) => view instanceof Chart);
}

// Shows a group alone, or all again if it is alone.
function isolate(group) {
  const others = data.groups.filter((other) => other !== group).map(({ label }) => label);
  const isAlone = others.every((label) => shown.hidden.has(label));
  shown.hidden = new Set(isAlone ? [] : others);
  pressed();
  redraw((view) => view instanceof Chart);
}

function pressed() {
  for (const button of byId("legend").children) {
    button.setAttribute("aria-pressed", !shown.hidden.has(button.dataset.label));
  }
}

function goAcross(key) {
  if (shown.across !== key) {
    shown.across = key;
    shown.ranges.clear();
    byId("whole").hidden = true;
    redraw();
  }
  for (const button of document.querySelectorAll("[data-across]")) {
    button.setAttribute("aria-pressed", button.dataset.across === key);
  }
}

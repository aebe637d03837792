// The sections of the page.

function buildHeader() {
  const methods = unique(data.groups.map(({ method }) => method).filter(Boolean));
  const names = unique(data.groups.flatMap((group) => group.origins.map(({ name }) => name)));
  const title = names.length === 1 && names[0] ? names[0] : `${tasks().filter(Boolean).join(", ") || "Decoupled training"}` +
    (methods.length ? `: ${methods.length > 5 ? counted(methods.length, "method") : listed(methods)}` : "");
  document.title = title;
  byId("title").replaceChildren(title);
  const origins = data.groups.flatMap((group) => group.origins);
  const dates = origins.map(({ date }) => date).filter(Boolean).sort();
  const began = dates.length ? `${dates[0].replace("T", " ").replace("Z", " UTC")}, ` : "";
  const runs = data.groups.reduce((sum, group) => sum + group.runs.length, 0);
  byId("lead").replaceChildren(`${began}${counted(runs, "run")} of ${counted(data.groups.length, "kind")}`);
}

// Fills a section with what is made of each task, under the task's name if there are several.
function fill(id, make) {
  const parts = tasks().flatMap((task) => {
    const made = make(task);
    const heading = tasks().length > 1 && made.length ? [element("h3", { class: "task" }, task)] : [];
    return [...heading, ...made];
  });
  const section = byId(id);
  section.replaceChildren(section.querySelector("h2"), ...parts);
  section.hidden = !parts.length;
}

const grid = (figures, kind = "") => element("div", { class: `charts ${kind}` }, ...figures);

const buildAnswer = () => fill("answer", (task) => [answer(task)]);

function buildRuns() {
  fill("runs", (task) => {
    const own = figures(task, false);
    const groups = groupsOf(task);
    const hasInterfaces = groups.some((group) => interfacesOf(group).length);
    const titles = ["", "seeds", "steps", "time", "steps/s", ...own.map(({ title }) => title),
      ...(hasInterfaces ? ["synthesizers on", "cosines"] : [])];
    const rows = groups.map((group) => [
      { value: group.label, shown: named(group) },
      seeds(group),
      number(mean(group.runs.map((run) => run.steps)), short),
      number(mean(group.runs.map((run) => run.seconds)), duration),
      number(mean(group.runs.map((run) => run.steps / run.seconds || 0)), short),
      ...own.map(({ name }) => last(seriesOf(group, name))),
      ...(hasInterfaces ? [abridged(interfacesOf(group)).join(", ") || "none", cosines(group)] : []),
    ]);
    return [table(titles, rows, (order) => reorder(order.map((i) => groups[i])))];
  });
}

// Shows groups in another order everywhere.
function reorder(groups) {
  const labels = groups.map(({ label }) => label);
  shown.order = [...labels, ...shown.order.filter((label) => !labels.includes(label))];
  controls();
  buildAnswer();
}

const number = (value, inWords) => ({ value, shown: inWords(value) });

function withNote(text, note) {
  return element("span", {}, text, ...(note ? [element("small", {}, note)] : []));
}

function seeds({ runs }) {
  const unfinished = runs.filter((run) => !run.finished).length;
  return { value: runs.length, shown: withNote(String(runs.length), unfinished ? `${unfinished} unfinished` : "") };
}

// The last value of a curve, with its range over the seeds.
function last(series) {
  if (!series) return undefined;
  const [value, least, most] = ["mean", "least", "most"].map((key) => series[key].at(-1));
  const range = least < most ? `${short(least)} to ${short(most)}` : "";
  return { value, shown: withNote(short(value), range) };
}

// What interfaces were worth, from the bottom up.
function cosines({ worth, runs }) {
  const known = worth.map(({ cosine }) => cosine).filter((cosine) => cosine !== undefined);
  const lost = unique(runs.flatMap((run) => run.not_compared)
    .filter((found) => found.at_end).map((found) => `${found.interface} ${found.state}`));
  if (!known.length && !lost.length) return undefined;
  const text = known.length ? abridged(known.map(hundredths)).join(", ") : "-";
  return { value: known.length ? mean(known) : undefined, shown: withNote(text, abridged(lost).join(", ")) };
}

function buildLearning() {
  fill("learning", (task) => [grid(figures(task, false).map((figure) =>
    new Chart(task, figure, () => lines(task, figure.name)).figure))]);
}

function buildGradients() {
  fill("gradients", (task) => {
    const own = figures(task, true).filter(({ name }) => !OF_WORKERS.includes(name));
    return [...notCompared(task), ...heatMaps(task), ...partCharts(task, own)];
  });
  if (byId("gradients").hidden) {
    byId("gradients").hidden = false;
    byId("gradients").append(soft("These runs recorded no synthetic gradients."));
  }
}

function notCompared(task) {
  const found = groupsOf(task).flatMap((group) => group.runs.flatMap((run) =>
    run.not_compared.map(({ interface: name, state, times }) => [
      group.label, element("code", {}, run.path), name, state, String(times)])));
  if (!found.length) return [];
  return [
    element("h3", {}, "Gradients that could not be compared"),
    soft("Dead: the true gradient was zero, so nothing below learned by it. Broken: a gradient was " +
      "NaN or infinite. Neither has a cosine."),
    table(["run", "folder", "interface", "gradient", "comparisons"], found),
  ];
}

function heatMaps(task) {
  const groups = groupsOf(task).filter((group) => lines(task, "cosine").some((line) => line.group === group));
  if (!groups.length) return [];
  return [
    element("h3", {}, "Quality of the synthesizers, layer by layer"),
    soft("The cosine between synthetic and true gradient on top of every layer, the highest layer on " +
      "top: blue is right, grey says nothing, red is wrong."),
    grid(groups.map((group) => new HeatMap(task, group).figure)),
  ];
}

const partCharts = (task, own) =>
  own.length ? [grid(own.flatMap((figure) => parts(task, figure)), "all")] : [];

// One chart for all interfaces or workers, of which the reader may choose one, or a chart for each.
function parts(task, figure) {
  const names = unique(lines(task, figure.name).map(({ part }) => part));
  const wanted = { part: undefined };
  const chart = new Chart(task, figure, () => lines(task, figure.name, wanted.part));
  const each = element("div", { class: "charts parts", hidden: "" });
  const choice = element("select", {
    "aria-label": `Which ${figure.title}`,
    change: () => {
      const isEach = choice.value === "each";
      wanted.part = names[+choice.value];
      if (isEach && !each.children.length) {
        each.append(...names.map((name) =>
          new Chart(task, figure, () => lines(task, figure.name, name), name).figure));
      }
      each.hidden = !isEach;
      chart.redraw();
    },
  }, element("option", { value: "all" }, "all in one"), element("option", { value: "each" }, "and one for each"),
  ...names.map((name, i) => element("option", { value: i }, name)));
  if (names.length > 1) chart.caption.insertBefore(choice, chart.caption.children[1]);
  const fading = names.length > 1 ? ` Of ${names.length} lines of a colour the palest is ${names[0]}, the strongest ${names.at(-1)}.` : "";
  chart.figure.append(element("p", { class: "soft meaning" }, figure.meaning ? `${figure.meaning[0].toUpperCase()}${figure.meaning.slice(1)}.${fading}` : fading));
  return [chart.figure, each];
}

function buildWorkers() {
  fill("workers", (task) => {
    const timed = groupsOf(task).filter((group) => group.timeline);
    const timelines = timed.length ? [
      element("h3", {}, "Who did what when"),
      soft("A few steps in the middle of those before the last evaluation. A layer runs, is updated " +
        "with its synthetic gradient, and the interface below it learns from what comes back; gaps are " +
        "what is between these."),
      grid(timed.map((group) => new Timeline(group).figure), "wide"),
    ] : [];
    const own = figures(task, true).filter(({ name }) => OF_WORKERS.includes(name));
    return [...timelines, ...partCharts(task, own)];
  });
}

// What trained networks write.
function buildSamples() {
  fill("samples", (task) => groupsOf(task).flatMap((group) => (group.results ?? [])
    .filter(({ sample }) => sample).slice(0, 1)
    .map(({ sample }) => element("div", {}, named(group), element("pre", { class: "sample" }, sample)))));
}

function buildSettings() {
  const setting = (name) => data.groups.map((group) => group.settings[name] ?? "default");
  const rows = (names) => names.map((name) => [element("code", {}, name), ...setting(name)]);
  const all = unique(data.groups.flatMap((group) => Object.keys(group.settings))).sort();
  const same = all.filter((name) => !data.differences.includes(name));
  const differing = data.differences.length
    ? [element("p", {}, "What differs:"), table(["", ...data.groups.map((group) => element("span", {}, swatch(group), group.label))], rows(data.differences))] : [];
  const section = byId("settings");
  section.replaceChildren(section.querySelector("h2"), ...differing, element("details", {},
    element("summary", {}, `What all have in common (${same.length})`),
    table(["", ""], same.map((name) => [element("code", {}, name), setting(name)[0]]))));
}

function buildOrigin() {
  const section = byId("origin");
  const commands = new Map();
  for (const origin of data.groups.flatMap((group) => group.origins)) {
    const source = [origin.version, origin.commit, origin.date].filter(Boolean).join(", ");
    const machine = `dni ${source}, burn ${origin.burn}, ${origin.system}, ` +
      `${origin.processor ?? "unknown processor"}, ${origin.processors} threads` +
      (origin.instructions ? `, ${origin.instructions}` : "");
    commands.set(`${origin.command}\n${machine}`, [origin.command, machine]);
  }
  const told = [...commands.values()].flatMap(([command, machine]) =>
    [element("pre", {}, element("code", {}, command)), soft(machine)]);
  const paths = data.groups.flatMap((group) => group.runs.map((run) => [element("code", {}, run.path)]));
  section.replaceChildren(section.querySelector("h2"),
    ...(told.length ? told : [soft("These folders do not say how they were made.")]),
    element("details", {}, element("summary", {}, "Folders"), table(["folder"], paths)));
}

// Everything anew.
function build() {
  clearViews();
  buildHeader();
  controls();
  buildText();
  buildLearning();
  buildGradients();
  buildWorkers();
  buildSettings();
  buildOrigin();
  redraw();
}

// What is no chart.
function buildText() {
  buildAnswer();
  buildRuns();
  buildSamples();
}

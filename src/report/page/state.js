// The data of the runs, and what the reader has chosen to see of them.

let data = JSON.parse(byId("data").textContent);

const shown = {
  // Labels of groups that are left out.
  hidden: new Set(),
  // What curves are drawn over.
  across: "steps",
  logarithmic: false,
  smoothing: 0,
  // Labels of groups in the order in which they are shown; those that are not in it come last.
  order: [],
  // The part of the axis that is seen, of each task that is zoomed into.
  ranges: new Map(),
};

// Numbers that are the same in several columns are sent once.
function unfold(sent) {
  for (const series of sent?.charts.flatMap((chart) => chart.series) ?? []) {
    series.least ??= series.mean;
    series.most ??= series.mean;
  }
  return sent;
}
unfold(data);

const tasks = () => unique(data.groups.map((group) => group.task));
const rank = ({ label }) => (shown.order.indexOf(label) + 1) || Infinity;
const ordered = (groups) => [...groups].sort((a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0));
const groupsOf = (task) => ordered(data.groups.filter((group) => group.task === task));

// The curves of a figure, of one interface or worker or of all, with the group and the part that each
// belongs to. The lowest part comes first.
function lines(task, name, part) {
  const isMine = (chart) => chart.name === name && (part === undefined || chart.interface === part);
  return data.charts.filter(isMine).flatMap((chart) => chart.series
    .map((series) => ({ series, part: chart.interface, group: data.groups[series.group] }))
    .filter(({ group }) => group.task === task));
}

// How figures of a task are shown, each once: those of the network, or those of its parts.
function figures(task, isOfPart) {
  const found = new Map();
  for (const chart of data.charts) {
    const isMine = chart.series.some(({ group }) => data.groups[group].task === task);
    if (isMine && Boolean(chart.interface) === isOfPart && !found.has(chart.name)) {
      found.set(chart.name, chart);
    }
  }
  return [...found.values()];
}

const seriesOf = (group, name, part) =>
  lines(group.task, name, part).find((line) => line.group === group)?.series;

// The names of a group's interfaces, from the bottom up.
function interfacesOf(group) {
  const ofInterface = figures(group.task, true).filter((figure) => !OF_WORKERS.includes(figure.name));
  return unique(ofInterface.flatMap(({ name }) => lines(group.task, name)
    .filter((line) => line.group === group).map((line) => line.part)));
}

const OF_WORKERS = ["staleness", "lateness", "busy"];

const isShown = ({ group }) => !shown.hidden.has(group.label);

const moment = (across) => shown.across === "steps" ? `step ${Math.round(across)}` : duration(across);

const swatch = (group) =>
  element("span", { class: "swatch", style: `background:${group.colour}` });

// What a group is called among those of its task.
const nameOf = ({ label, task }) => label.startsWith(`${task} `) ? label.slice(task.length + 1) : label;

const named = (group) => element("span", { class: "name" }, swatch(group), nameOf(group));

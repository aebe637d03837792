// Whether groups have learned, in words: by what was measured when they were over, against guessing and
// true gradients, or while they are at work by how far their loss has fallen.

const REFERENCES = ["backprop", "bptt", "coupled"];
const referenceOf = (groups) => REFERENCES.map((name) => groups.find(({ method }) => method === name)).find(Boolean);

// The curve that a task is measured by: the first of these that its runs have.
function measureOf(task) {
  const own = figures(task, false);
  const kinds = [(name) => name.endsWith("_error"), (name) => name === "longest",
    (name) => name.includes("bits"), (name) => name === "loss"];
  return kinds.map((isOne) => own.find(({ name }) => isOne(name))).find(Boolean);
}

const isBetterHigh = (figure) => figure.name === "longest";

const inWords = (figure, value) => figure.title.endsWith(" %")
  ? `${brief(value)}${SPACE}% ${figure.title.slice(0, -2)}` : `${figure.title} ${brief(value)}`;

// The mean over the seeds of what was measured in the end; none while a run is at work.
function measured(group) {
  const all = group.results.map(({ measure }) => measure).filter(Boolean);
  if (!all.length || all.length < group.runs.length) return undefined;
  const of = (key) => mean(all.map((one) => one[key]));
  return { ...all[0], value: of("value"), guessing: of("guessing") };
}

const written = (measure, value) => measure.is_share ? `${brief(100 * value)}${SPACE}%` : brief(value);

// What a group came to.
function endOf(group) {
  const measure = measured(group);
  if (measure) return `${written(measure, measure.value)} ${measure.name}`;
  const figure = measureOf(group.task);
  const series = seriesOf(group, figure.name);
  return series ? inWords(figure, series.mean.at(-1)) : "nothing measured";
}

// What guessing comes to, where all groups say the same.
function guessing(groups) {
  const all = groups.map(measured);
  if (!all[0] || all.some((one) => one?.guessing !== all[0].guessing)) return undefined;
  return written(all[0], all[0].guessing);
}

// How far a group's loss has fallen, from its first value to the mean of the last ones.
function fallOf(group) {
  const loss = seriesOf(group, "loss")?.mean;
  if (!loss) return undefined;
  const end = mean(loss.slice(-Math.ceil(loss.length / 20)));
  return { start: loss[0], end, fall: loss[0] - end };
}

// Whether even true gradients have had no time to teach anything.
function isTooShort(reference) {
  const fall = reference && !measured(reference) && fallOf(reference);
  return Boolean(fall) && !isBetterHigh(measureOf(reference.task)) && fall.fall < 0.1 * Math.abs(fall.start);
}

const isShare = (figure) => figure.ends[1] === 100;

// The worst that any of the groups of a task began with; who guesses is wrong in half of all cases at
// least, and the first look may come late.
const worstStart = (task, name) => Math.max(50, ...lines(task, name).map(({ series }) => series.mean[0]));

// How far a group has come from guessing, in the unit of what is measured. Of a share it is what the
// worst group of its task began with; other figures are judged by the loss.
function progressOf(group) {
  const measure = measured(group);
  if (measure) return (measure.guessing - measure.value) * (measure.less_is_better ? 1 : -1);
  const figure = measureOf(group.task);
  const series = seriesOf(group, figure.name)?.mean;
  if (isBetterHigh(figure)) return Math.max(...series ?? [0]);
  if (isShare(figure)) return series ? worstStart(group.task, figure.name) - series.at(-1) : -Infinity;
  return fallOf(group)?.fall ?? -Infinity;
}

// What a group could have learned: what the reference did, or without one all that there is.
function wholeOf(group, reference) {
  if (reference && reference !== group) return progressOf(reference);
  const measure = measured(group);
  if (measure) return measure.best === null ? progressOf(group) : Math.abs(measure.guessing - measure.best);
  const figure = measureOf(group.task);
  if (isBetterHigh(figure)) return progressOf(group);
  return isShare(figure) ? worstStart(group.task, figure.name) : fallOf(group)?.start;
}

const LEARNED = 0.9;

function shareOf(group, reference) {
  const [own, whole] = [progressOf(group), wholeOf(group, reference)];
  return whole > 0 ? own / whole : own > 0 ? 1 : 0;
}

const hasLearned = (group, reference) => shareOf(group, reference) >= (reference || measured(group) ? LEARNED : 0.5);

function verdict(group, reference) {
  const share = shareOf(group, reference);
  if (hasLearned(group, reference)) return "learned";
  return share >= 0.5 ? "learned in part" : share >= 0.1 ? "learned little" : "learned next to nothing";
}

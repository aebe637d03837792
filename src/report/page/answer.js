// What came of the runs, in a few sentences made of their own figures.

// Text with the names of groups in it.
const sentence = (...parts) => element("p", {}, ...parts);
const inline = (items) => items.flatMap((item, i) => [
  ...(i === 0 ? [] : [i + 1 < items.length ? ", " : " and "]), ...[item].flat()]);

const secondsPerStep = ({ runs }) => mean(runs.map((run) => run.seconds / run.steps));

function learning(groups, reference) {
  const MOST = 5;
  if (isTooShort(reference)) {
    const { start, end } = fallOf(reference);
    return sentence("Too short to tell: even the loss of ", named(reference),
      ` went only from ${brief(start)} to ${brief(end)}.`);
  }
  const judged = groups.filter((group) => group !== reference || groups.length === 1);
  if (judged.length > MOST) return inShort(judged, reference);
  const told = judged.map((group) => [named(group), ` ${verdict(group, reference)} (${endOf(group)})`]);
  return sentence(...inline(told), ...beside(groups, reference), ".");
}

// What there is to compare with.
function beside(groups, reference) {
  const others = reference && groups.length > 1 ? ["; ", named(reference), ` came to ${endOf(reference)}`] : [];
  const guess = guessing(groups);
  return guess ? [...others, `${others.length ? ", guessing to " : "; guessing comes to "}${guess}`] : others;
}

// The same of many groups.
function inShort(judged, reference) {
  const learned = judged.filter((group) => hasLearned(group, reference));
  const order = [...judged].sort((a, b) => progressOf(b) - progressOf(a));
  const [best, worst] = [order[0], order.at(-1)];
  return sentence(`${learned.length} of ${counted(judged.length, "kind")} of runs learned: the best was `,
    named(best), ` (${endOf(best)}), the last `, named(worst), ` (${endOf(worst)})`,
    ...beside(judged, reference), ".");
}

// The time to a value that all reach who learned.
function arriving(task, groups, reference) {
  if (isTooShort(reference)) return undefined;
  const measure = measureOf(task);
  const isHigh = isBetterHigh(measure);
  const all = groups.map((group) => ({ group, series: seriesOf(group, measure.name) })).filter(({ series }) => series);
  const learned = all.filter(({ group }) => group === reference || hasLearned(group, reference));
  const best = learned.map(({ series }) => isHigh ? Math.max(...series.mean) : Math.min(...series.mean));
  if (!best.length) return undefined;
  const goal = isHigh ? Math.min(...best) : roundUp(Math.max(...best), measure);
  const times = all.map(({ group, series }) => {
    const at = series.mean.findIndex((value) => isHigh ? value >= goal : value <= goal);
    return { group, at, seconds: series.seconds[at] };
  });
  // What all have from the beginning is no goal.
  if (times.every(({ at }) => at === 0)) return undefined;
  const arrived = times.filter(({ seconds }) => seconds !== undefined).sort((a, b) => a.seconds - b.seconds).slice(0, 5);
  const never = times.filter(({ seconds }) => seconds === undefined);
  if (!arrived.length || goal <= 0) return undefined;
  const told = arrived.map(({ group, seconds }) => [named(group), ` ${duration(seconds)}`]);
  const others = never.length > 4 ? [`; ${never.length} others never came to it`]
    : never.length ? ["; ", ...inline(never.map(({ group }) => [named(group)])), " never came to it"] : [];
  return sentence(`To ${inWords(measure, goal)} it took `, ...inline(told), ...others, ".");
}

// The next round value.
function roundUp(value, { ends: [, most] }) {
  if (value <= 0) return value;
  const power = 10 ** Math.floor(Math.log10(value));
  const round = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10].map((factor) => factor * power).find((one) => one >= value * (1 - 1e-9));
  return Math.min(round, most ?? Infinity);
}

// How much longer a step takes with interfaces.
function cost(groups, reference) {
  const MOST = 4;
  const own = groups.filter((group) => interfacesOf(group).length && secondsPerStep(group) > 0).slice(0, MOST);
  if (!own.length) return undefined;
  const numbered = (group) => counted(interfacesOf(group).length, "interface") + onWorkers(group);
  const per = secondsPerStep(reference ?? own[0]);
  if (!(per > 0)) return undefined;
  if (!reference) {
    return sentence("A step took ", ...inline(own.map((group) =>
      [named(group), ` ${duration(secondsPerStep(group))} (${numbered(group)})`])), ".");
  }
  const told = own.map((group) => [named(group), ` ${brief(secondsPerStep(group) / per)} times (${numbered(group)})`]);
  return sentence("What the interfaces cost: a step took ", ...inline(told), " as long as the ",
    `${duration(per)} of `, named(reference), ".");
}

function onWorkers(group) {
  const busy = lines(group.task, "busy").filter((line) => line.group === group).map(({ series }) => series.mean.at(-1));
  if (!busy.length) return "";
  const [low, high] = extent(busy);
  return `, ${counted(busy.length, "worker")} busy ${brief(low)} to ${brief(high)} %`;
}

// The interface with the worst gradients.
function weakest(groups) {
  const MOST = 4;
  const told = groups.flatMap((group) => {
    const known = group.worth.filter(({ cosine }) => cosine !== undefined);
    if (!known.length) return [];
    const least = known.reduce((a, b) => (b.cosine < a.cosine ? b : a));
    const where = known.length > 1 ? ` above ${least.interface}` : "";
    return [[named(group), ` ${hundredths(least.cosine)}${where}`]];
  }).slice(0, MOST);
  const lost = groups.flatMap((group) => unique(group.runs.flatMap((run) => run.not_compared)
    .filter((found) => found.at_end).map((found) => `${found.interface} of ${group.label} ${found.state}`)));
  if (!told.length && !lost.length) return undefined;
  const dead = lost.length ? [` At the end gradients were not alive: ${listed(abridged(lost))}.`] : [];
  const many = groups.some((group) => group.worth.length > 1);
  const parts = told.length ? [many ? "Where synthetic gradients were weakest, by their cosine with the true ones: "
    : "The cosine of the synthetic gradients with the true ones: ", ...inline(told), "."] : [];
  return sentence(...parts, ...dead);
}

// What a text takes at best, and what the trained networks write.
function texts(groups) {
  const measured = groups.filter(({ results }) => results.some((one) => one.test_bits !== undefined));
  if (!measured.length) return undefined;
  const told = measured.slice(0, 5).map((group) =>
    [named(group), ` ${mean(group.results.map((one) => one.test_bits)).toFixed(3)}`]);
  const optimum = measured[0].results[0].optimum;
  const best = optimum ? `; who knows the language needs ${optimum.toFixed(3)}` : "";
  return sentence("Bits per character of the test text: ", ...inline(told), `${best}.`);
}

function unfinished(groups) {
  const runs = groups.flatMap((group) => group.runs);
  const open = runs.filter((run) => !run.finished).length;
  const which = runs.length === 1 ? "The run" : `${open} of ${runs.length} runs`;
  return open ? sentence(`${which} ${open === 1 ? "is" : "are"} not finished.`) : undefined;
}

function answer(task) {
  const MOST_PICTURES = 6;
  const groups = groupsOf(task);
  const reference = referenceOf(groups);
  const sentences = measureOf(task)
    ? [learning(groups, reference), arriving(task, groups, reference), texts(groups), cost(groups, reference),
      weakest(groups), unfinished(groups)]
    : [sentence("Nothing is recorded yet.")];
  const pictured = groups.slice(0, MOST_PICTURES);
  const more = groups.length > pictured.length ? [soft(`The first ${pictured.length} of ${groups.length}.`)] : [];
  return element("div", { class: "answer" },
    element("div", { class: "words" }, ...sentences.filter(Boolean)),
    element("div", { class: "network" },
      element("div", { class: "pictures" }, ...pictured.map(picture)), ...more,
      ...(task === tasks()[0] ? [pictureKey()] : [])));
}

// What the colours and the locks of the pictures mean.
function pictureKey() {
  const key = (isClosed) => svgElement(`<svg class="key" width="14" height="16" viewBox="-7 -9 14 18">${lock(0, 0, isClosed, "lock")}</svg>`);
  const shades = [-1, -0.5, 0, 0.25, 0.5, 0.75, 1].map((cosine) =>
    element("span", { class: "shade", style: `background:${heat(cosine)}`, title: String(cosine) }));
  const hasLocks = data.groups.some((group) => group.settings["network.unroll"] === undefined);
  const locks = hasLocks
    ? ["Beside it the update lock and the forward lock: ", key(true), " remains, ", key(false), " is gone. "] : [];
  return soft(...locks, "An interface has the colour of its cosine with the true gradient, from -1 ",
    ...shades, " to 1, as a mean weighted by that gradient's norm: a moment counts as much as there was to learn.");
}

// The network of a group as a picture: sections from the bottom up, and between them what gives the
// lower one its gradient.

// What stands between two sections: what gradient comes down, and which locks remain.
const CREDITS = {
  backprop: { words: "true gradient", waits: true },
  bptt: { words: "cut off: no gradient", waits: false, isNothing: true },
  coupled: { words: "true gradient", waits: true },
  delayed: { words: "true, but late", waits: false },
  pipeline: { words: "true gradient", waits: true },
  none: { words: "no gradient", waits: false, isNothing: true },
};

const creditOf = ({ method }) => CREDITS[method.split(/[@:]/)[0]];

const settingOf = (group, ...names) =>
  names.map((name) => group.settings[name]).find((value) => value !== undefined);

const worthOf = (group, name) => group.worth.find((one) => one.interface === name)?.cosine;

// The sections of a chain and what is between them; the interface on top of a section has its name.
function chainOf(group) {
  const layers = settingOf(group, "layers")?.split(",").length + 1 || +settingOf(group, "network.depth");
  const every = Array.from({ length: layers || 1 }, (_, i) => i + 1 < layers ? `hidden${i + 1}` : "output");
  const interfaces = interfacesOf(group);
  const tops = creditOf(group) && !interfaces.length ? every : [...interfaces, "output"];
  let below = 0;
  return tops.map((name, i) => {
    const at = every.indexOf(name) + 1;
    const many = at - below > 1 ? `${every[below]} to ${name}` : name;
    below = at || below;
    return { name: many, worker: workerOf(group, name), above: i + 1 < tops.length ? above(group, name) : undefined };
  });
}

function above(group, name) {
  const credit = creditOf(group);
  const worth = worthOf(group, name);
  const synthesizer = settingOf(group, "synthesizer", "network.synthesizer") ?? "synthesizer";
  const seesLabel = /^(cdni|conditional)/.test(group.method) ? " + label" : "";
  return {
    words: credit?.words ?? synthesizer + seesLabel,
    worth: credit ? undefined : worth,
    isSynthetic: !credit,
    isNothing: credit?.isNothing,
    updateLocked: credit?.waits ?? false,
    forwardLocked: settingOf(group, "network.unlock") !== "true",
  };
}

// The worker that trains a section.
function workerOf(group, section) {
  const found = group.timeline?.activities.find((one) => one.section === section && one.doing === "section");
  return found?.worker;
}

function picture(group) {
  const isRecurrent = group.settings["network.unroll"] !== undefined;
  const drawing = isRecurrent ? windows(group) : tower(group.settings["run.experiment"] === "clocks"
    ? [{ name: "fast network", above: above(group, "message") }, { name: "slow network" }]
    : chainOf(group));
  const [width, height] = drawing.size;
  return element("div", { class: "picture" }, named(group), svgElement(
    `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" ` +
    `aria-label="The network of ${escaped(group.label)}">${drawing.content}</svg>`));
}

function svgElement(text) {
  const made = element("template");
  made.innerHTML = text;
  return made.content.firstChild;
}

// Sections on top of each other.
function tower(sections) {
  const MOST = 12, WIDTH = 122;
  const LEFT = sections.some(({ worker }) => worker) ? 34 : 4;
  const lowest = 5;
  const isLong = sections.length > MOST;
  const rows = isLong ? [...sections.slice(0, lowest), undefined, ...sections.slice(lowest - MOST)] : sections;
  const box = rows.length > 6 ? 22 : 30, gap = rows.length > 6 ? 30 : 40;
  const height = 30 + rows.length * (box + gap) - gap + 26;
  const middle = LEFT + WIDTH / 2;
  const left = sections.length - MOST;
  const parts = rows.map((section, i) => {
    const top = height - 26 - box - i * (box + gap);
    if (!section) return `<text x="${middle}" y="${top + box / 2 + 4}" text-anchor="middle">… ${left} more …</text>`;
    const next = section.above ? between(section.above, middle, top - gap, gap) : "";
    return `<rect class="section" x="${LEFT}" y="${top}" width="${WIDTH}" height="${box}" rx="5"/>` +
      `<text class="strong" x="${middle}" y="${top + box / 2 + 4}" text-anchor="middle">${escaped(section.name)}</text>${next}`;
  });
  const ends = `<text x="${middle}" y="14" text-anchor="middle">loss</text>` +
    arrow(middle, 30, 18) + arrow(middle, height - 14, height - 26) +
    `<text x="${middle}" y="${height - 3}" text-anchor="middle">input</text>`;
  return { size: [LEFT + 160, height], content: parts.join("") + ends + workers(rows, height, box, gap) };
}

// Brackets beside the sections of each worker.
function workers(rows, height, box, gap) {
  const bottomOf = (i) => height - 26 - i * (box + gap);
  return unique(rows.map((row) => row?.worker).filter(Boolean)).map((worker) => {
    const mine = rows.flatMap((row, i) => row?.worker === worker ? [i] : []);
    const [low, high] = [bottomOf(mine[0]), bottomOf(mine.at(-1)) - box];
    const y = (low + high) / 2;
    return `<path class="wire" d="M28 ${low}h-6V${high}h6"/>` +
      `<text transform="translate(15 ${y}) rotate(-90)" text-anchor="middle">${low - high > 60 ? "worker " : "w"}${worker}</text>`;
  }).join("");
}

// The message goes up on the left, a gradient comes down on the right; in the middle stands where it
// comes from.
function between({ words, worth, isSynthetic, isNothing, updateLocked, forwardLocked }, middle, top, gap) {
  const [up, down, y] = [middle - 46, middle + 46, top + gap / 2];
  const gradient = isNothing ? "" : isSynthetic ? arrow(down, y + 8, top + gap) : arrow(down, top, top + gap);
  return arrow(up, top + gap, top) + gradient + source({ words, worth, isSynthetic }, middle, y) +
    lock(middle + 70, y, updateLocked, "update lock") + lock(middle + 86, y, forwardLocked, "forward lock");
}

// A synthesizer with its cosine, or what is in its place.
function source({ words, worth, isSynthetic }, x, y) {
  const WIDTH = 120;
  const text = worth === undefined ? words : `${words}  ${hundredths(worth)}`;
  const squeezed = text.length > 19 ? ` textLength="${WIDTH - 12}" lengthAdjust="spacingAndGlyphs"` : "";
  const tone = worth === undefined ? "" : ` style="fill:${heat(worth)}"`;
  const ink = Math.abs(worth) > 0.7 ? ' class="light"' : ' class="strong"';
  const place = `x="${x - WIDTH / 2}" y="${y - 10}" width="${WIDTH}" height="20" rx="10"`;
  const pill = isSynthetic ? `<rect class="paper" ${place}/><rect class="interface"${tone} ${place}/>` : "";
  const paper = isSynthetic ? "" : `<rect class="paper" x="${x - 42}" y="${y - 8}" width="84" height="16"/>`;
  return `${pill}${paper}<text${isSynthetic ? ink : ""}${squeezed} x="${x}" y="${y + 4}" text-anchor="middle">${escaped(text)}</text>`;
}

function arrow(x, from, to) {
  const back = from > to ? 5 : -5;
  return `<path class="wire" d="M${x} ${from}V${to}m-3.5 ${back}l3.5 ${-back}l3.5 ${back}"/>`;
}

// A lock, closed or open.
function lock(x, y, isClosed, name) {
  const state = isClosed ? "remains" : "is gone";
  const shackle = isClosed ? "M-3.5 -1v-3a3.5 3.5 0 0 1 7 0v3" : "M-3.5 -1v-4a3.5 3.5 0 0 1 7 0v1";
  return `<g class="${isClosed ? "closed" : "open"}" transform="translate(${x} ${y})"><title>${name} ${state}</title>` +
    `<rect x="-5.5" y="-1" width="11" height="8" rx="1.5"/><path d="${shackle}"/></g>`;
}

// A core through time: one window, and what comes back from the steps after it.
function windows(group) {
  const [height, top, box] = [118, 30, 34];
  const steps = +group.settings["network.unroll"];
  const names = steps > 4 ? ["1", "2", "…", String(steps)] : Array.from({ length: steps }, (_, i) => String(i + 1));
  const name = interfacesOf(group)[0] ?? "state";
  const future = above(group, name);
  const pitch = 44;
  const cells = names.map((step, i) => {
    const x = 14 + i * pitch;
    return `<rect class="section" x="${x}" y="${top + 12}" width="${box}" height="${box}" rx="5"/>` +
      `<text class="strong" x="${x + box / 2}" y="${top + 33}" text-anchor="middle">${step}</text>` +
      (i ? `<path class="wire" d="M${x - 10} ${top + 29}h10"/>` : "");
  });
  const end = 14 + names.length * pitch;
  const core = settingOf(group, "network.core") ?? "core";
  const back = future.isNothing ? "" :
    `<path class="wire" d="M${end + 22} ${top + 42}v14h-24m5 -3.5l-5 3.5l5 3.5"/>`;
  const content = `<rect class="window" x="6" y="${top}" width="${end - 10}" height="58" rx="8"/>` +
    `<text x="8" y="${top - 8}">one window of ${steps} steps, ${escaped(core)}</text>${cells.join("")}` +
    `<path class="wire" d="M${end - 4} ${top + 22}h10"/>` +
    source(future, end + 66, top + 30) + back +
    `<text x="${end + 66}" y="${top + 82}" text-anchor="middle">${future.isNothing ? "nothing" : "the future"} comes back</text>`;
  return { size: [end + 130, height], content };
}

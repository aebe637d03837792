"use strict";

// Small tools: elements, numbers in words, files to save.

const byId = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const soft = (...children) => element("p", { class: "soft" }, ...children);

const escaped = (text) =>
  String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

function short(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e15 || size < 1e-3) return value.toExponential(1);
  for (const [unit, sign] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit * (sign === "k" ? 10 : 1)) return +(value / unit).toFixed(2) + sign;
  }
  return String(+value.toPrecision(size >= 100 ? 5 : 4));
}

// The same for a sentence: to three digits.
const brief = (value) => short(+value.toPrecision(3));

function duration(seconds) {
  const digits = (value) => String(+value.toPrecision(3));
  const [unit, sign] = [[1e-3, "µs", 1e-6], [1, "ms", 1e-3], [120, "s", 1], [7200, "min", 60]]
    .map(([end, sign, unit]) => seconds < end && [unit, sign]).find(Boolean) || [3600, "h"];
  return `${digits(seconds / unit)}${SPACE}${sign}`;
}

// To two digits; nothing is no negative number.
const hundredths = (value) => (Math.round(100 * value) / 100 + 0).toFixed(2);

// Between a number and its unit, where no line ends.
const SPACE = "\u00a0";

const counted = (number, thing) => `${number} ${thing}${number === 1 ? "" : "s"}`;

// "a, b and c".
function listed(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

const abridged = (list) => list.length <= 4 ? list : [list[0], list[1], "...", list.at(-1)];

const unique = (list) => [...new Set(list)];

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// The index of the value that lies nearest to another, of values in ascending order.
function nearest(values, wanted) {
  let [low, high] = [0, values.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle;
    else high = middle;
  }
  return wanted - values[low] <= values[high] - wanted ? low : high;
}

function download(name, type, text) {
  const link = element("a", {
    href: URL.createObjectURL(new Blob([text], { type })),
    download: name,
  });
  link.click();
  URL.revokeObjectURL(link.href);
}

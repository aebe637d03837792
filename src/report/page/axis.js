// An axis: where a value lies, which value lies at a place, and which are written beside it.

class Axis {
  constructor([low, high], [start, end], logarithmic = false) {
    this.logarithmic = logarithmic && low > 0 && high > low;
    if (low === high) [low, high] = [low - (Math.abs(low) / 2 || 1), high + (Math.abs(high) / 2 || 1)];
    Object.assign(this, { low, high, start, end });
  }

  straight(value) {
    return this.logarithmic ? Math.log10(value) : value;
  }

  place(value) {
    const [low, high] = [this.straight(this.low), this.straight(this.high)];
    return this.start + ((this.straight(value) - low) / (high - low)) * (this.end - this.start);
  }

  // What lies at a place.
  value(place) {
    const [low, high] = [this.straight(this.low), this.straight(this.high)];
    const straight = low + ((place - this.start) / (this.end - this.start)) * (high - low);
    return this.logarithmic ? 10 ** straight : straight;
  }

  ticks() {
    const inside = (values) => values.filter((value) => value >= this.low && value <= this.high);
    const decades = this.logarithmic ? inside(this.decades()) : [];
    return decades.length > 1 ? decades : inside(this.round());
  }

  round() {
    const rough = (this.high - this.low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
    const first = Math.ceil(this.low / step);
    const count = Math.floor(this.high / step) - first + 1;
    return Array.from({ length: count }, (_, i) => (first + i) * step);
  }

  decades() {
    const [first, last] = [this.low, this.high].map((value) => Math.floor(Math.log10(value)));
    const decades = Math.max(last - first, 1);
    const factors = decades <= 2 ? [1, 2, 5] : [1];
    const every = Math.floor(decades / 6) + 1;
    const values = [];
    for (let decade = first; decade <= last; decade += every) {
      values.push(...factors.map((factor) => factor * 10 ** decade));
    }
    return values;
  }
}

// The least and the greatest of values; those of an empty list are 0 and 1.
function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low > high ? [0, 1] : [low, high];
}

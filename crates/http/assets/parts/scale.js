// Arithmetic of axes, without drawing.

const STEPS = [1, 2, 2.5, 5, 10];

/** Round values from 0 to at least `top`, in about `count` steps. Sizes are round in powers of 1024: pass that as `base`. */
export function ticks(top, { base = 10, count = 4 } = {}) {
  if (!(top > 0)) return [0, 1];
  const unit = base ** Math.floor(Math.log(top) / Math.log(base));
  return steps(top / unit, count).map((value) => value * unit);
}

function steps(top, count) {
  const rough = top / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = STEPS.find((candidate) => candidate * power >= rough * 0.9999) * power;
  const last = Math.ceil((top / step) * 0.9999);
  return Array.from({ length: last + 1 }, (_, index) => index * step);
}

/** A function that maps [from, to] onto [low, high]. Without a length everything lies in the middle. */
export function linear(from, to, low, high) {
  if (to === from) return () => (low + high) / 2;
  return (value) => low + ((value - from) / (to - from)) * (high - low);
}

/** Which point lies nearest. Points are ordered by `x`. */
export function nearest(points, x) {
  let best = 0;
  for (let index = 1; index < points.length; index += 1) {
    if (Math.abs(points[index].x - x) < Math.abs(points[best].x - x)) best = index;
  }
  return best;
}

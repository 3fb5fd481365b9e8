// Counts by whole milliseconds: percentiles, differences, and a picture.

import { shape, ticksOf } from "./smile.js";

const EDGE = { left: 18, right: 10, top: 14, bottom: 20 }, BINS = 48;

export const total = counts => Object.values(counts).reduce((sum, count) => sum + count, 0);

/** What came since `before`; the totals of a node that started again count from its start. */
export function since(counts, before) {
  if (!before || total(counts) < total(before)) return counts;
  return Object.fromEntries(Object.entries(counts).map(([ms, count]) => [ms, count - (before[ms] ?? 0)]).filter(item => item[1] > 0));
}

export function percentile(counts, percent) {
  const sorted = Object.entries(counts).map(([ms, count]) => [Number(ms), count]).sort((a, b) => a[0] - b[0]);
  const wanted = (total(counts) * percent) / 100;
  let seen = 0;
  for (const [ms, count] of sorted) if ((seen += count) >= wanted && count) return ms;
  return null;
}

export function drawHistogram(box, counts) {
  const width = box.clientWidth || 600, height = box.clientHeight || 150, all = total(counts);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": "how long blocks took to become final" });
  if (all) {
    const end = Math.max(20, Math.ceil(percentile(counts, 99.5) * 1.15)), binMs = Math.max(1, Math.ceil(end / BINS));
    const bins = Array(Math.ceil(end / binMs)).fill(0);
    for (const [ms, count] of Object.entries(counts)) bins[Math.min(bins.length - 1, Math.floor(ms / binMs))] += count;
    const highest = Math.max(...bins), span = width - EDGE.left - EDGE.right, rise = height - EDGE.top - EDGE.bottom;
    const x = ms => EDGE.left + (ms / (bins.length * binMs)) * span;
    for (const ms of ticksOf(0, bins.length * binMs, 6)) {
      svg.append(shape("line", { x1: x(ms), x2: x(ms), y1: EDGE.top, y2: height - EDGE.bottom, class: "grid" }));
      svg.append(shape("text", { x: x(ms), y: height - 5, class: "label middle" }, `${Math.round(ms)} ms`));
    }
    bins.forEach((count, index) => {
      const size = (count / highest) * rise;
      if (count) svg.append(shape("rect", { x: x(index * binMs) + 0.5, width: Math.max(1, span / bins.length - 1), y: height - EDGE.bottom - size, height: size, rx: 1 }));
    });
    for (const percent of [50, 99]) {
      const ms = percentile(counts, percent);
      svg.append(shape("line", { x1: x(ms), x2: x(ms), y1: EDGE.top, y2: height - EDGE.bottom, class: "tail" }));
      svg.append(shape("text", { x: x(ms) + 4, y: EDGE.top - 3, class: "label" }, `p${percent} ${ms} ms`));
    }
  }
  box.replaceChildren(svg);
}

// Implied volatility over strikes: the mark's line, with what bids and asks imply as whiskers.

import { toggle } from "./dom.js";

const SPACE = "http://www.w3.org/2000/svg";
const EDGE = { left: 40, right: 12, top: 12, bottom: 22 };

export function shape(tag, attributes, text) {
  const made = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** About `count` round numbers from `low` to `high`. */
export function ticksOf(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map(factor => factor * power).find(size => size >= raw) ?? raw;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) found.push(value);
  return found;
}

const YEAR_MS = 365 * 86_400_000;

/** Volatility in percent of a slice at a strike: w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)) over the time left. */
function volatilityOf(slice, strike, nowMs) {
  const { a, b, rho, m, sigma } = Object.fromEntries(Object.entries(slice.parameters).map(([name, text]) => [name, Number(text)]));
  const x = Math.log(strike / Number(slice.forward)) - m, variance = a + b * (rho * x + Math.sqrt(x * x + sigma * sigma));
  const years = Math.max(60_000, slice.expiration_timestamp - nowMs) / YEAR_MS;
  return Math.sqrt(Math.max(0, variance) / years) * 100;
}

/** Points of the curve of one slice between two strikes. */
function curveOf(slice, from, to, nowMs) {
  return Array.from({ length: 61 }, (_, index) => {
    const strike = from + ((to - from) * index) / 60;
    return [strike, volatilityOf(slice, strike, nowMs)];
  });
}

/** Points {strike, mark, bid, ask} in percent, by strike; `middle` is the forward; `slices` of the surface, `hereMs` the expiry that is shown. */
export function drawSmile(box, points, middle, slices, hereMs, nowMs) {
  const width = box.clientWidth || 600, height = box.clientHeight || 170;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": "implied volatility by strike" });
  toggle(box, "empty", points.length < 2);
  if (points.length < 2) return box.replaceChildren();
  const [from, to] = [points[0].strike, points.at(-1).strike];
  const curves = slices.filter(slice => slice.forward).map(slice => ({ slice, isHere: slice.expiration_timestamp === hereMs, line: curveOf(slice, from, to, nowMs) }));
  const quoted = points.flatMap(point => [point.mark, point.bid, point.ask]).filter(value => value !== null);
  const values = [...quoted, ...curves.flatMap(curve => curve.line.map(item => item[1]))].filter(Number.isFinite);
  const pad = Math.max(1, (Math.max(...values) - Math.min(...values)) * 0.1), low = Math.min(...values) - pad, high = Math.max(...values) + pad;
  const x = strike => EDGE.left + ((strike - from) / (to - from)) * (width - EDGE.left - EDGE.right);
  const y = value => height - EDGE.bottom - ((value - low) / (high - low)) * (height - EDGE.top - EDGE.bottom);
  const path = line => line.filter(item => Number.isFinite(item[1])).map(([strike, value]) => `${x(strike).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  for (const value of ticksOf(low, high, 4)) {
    svg.append(shape("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value), class: "grid" }));
    svg.append(shape("text", { x: EDGE.left - 6, y: y(value) + 4, class: "label end" }, `${+value.toFixed(1)}%`));
  }
  const every = Math.ceil(points.length / Math.max(2, Math.floor(width / 70)));
  points.forEach((point, index) => {
    if (index % every === 0) svg.append(shape("text", { x: x(point.strike), y: height - 6, class: "label middle" }, compactStrike(point.strike)));
  });
  if (middle > from && middle < to) svg.append(shape("line", { x1: x(middle), x2: x(middle), y1: EDGE.top, y2: height - EDGE.bottom, class: "forward" }));
  for (const { slice, isHere, line } of curves) {
    svg.append(shape("polyline", { points: path(line), class: isHere ? "curve" : "curve other" }));
    if (!isHere) svg.append(shape("text", { x: width - EDGE.right - 4, y: y(line.at(-1)[1]) - 4, class: "label end" }, slice.expiration));
  }
  for (const point of points)
    if (point.bid !== null && point.ask !== null) svg.append(shape("line", { x1: x(point.strike), x2: x(point.strike), y1: y(point.bid), y2: y(point.ask), class: "whisker" }));
  if (!curves.some(curve => curve.isHere)) svg.append(shape("polyline", { points: path(points.map(point => [point.strike, point.mark])), class: "curve" }));
  for (const point of points) {
    const mark = shape("circle", { cx: x(point.strike), cy: y(point.mark), r: 2.8, class: "point" });
    mark.append(shape("title", {}, `${point.strike}: mark ${point.mark}%${point.bid ? `, bid ${point.bid}%` : ""}${point.ask ? `, ask ${point.ask}%` : ""}`));
    svg.append(mark);
  }
  return box.replaceChildren(svg);
}

const compactStrike = strike => (strike >= 10_000 ? `${+(strike / 1000).toFixed(1)}k` : String(strike));

// Implied volatility over strikes: the mark's line, with what bids and asks imply as whiskers.

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

/** Points {strike, mark, bid, ask} in percent, by strike; `middle` is the forward. */
export function drawSmile(box, points, middle) {
  const width = box.clientWidth || 600, height = box.clientHeight || 170;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": "implied volatility by strike" });
  box.hidden = points.length < 2;
  if (points.length < 2) return;
  const values = points.flatMap(point => [point.mark, point.bid, point.ask]).filter(value => value !== null);
  const pad = Math.max(1, (Math.max(...values) - Math.min(...values)) * 0.12);
  const [low, high] = [Math.min(...values) - pad, Math.max(...values) + pad], [from, to] = [points[0].strike, points.at(-1).strike];
  const x = strike => EDGE.left + ((strike - from) / (to - from)) * (width - EDGE.left - EDGE.right);
  const y = value => height - EDGE.bottom - ((value - low) / (high - low)) * (height - EDGE.top - EDGE.bottom);
  for (const value of ticksOf(low, high, 4)) {
    svg.append(shape("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value), class: "grid" }));
    svg.append(shape("text", { x: EDGE.left - 6, y: y(value) + 4, class: "label end" }, `${+value.toFixed(1)}%`));
  }
  const every = Math.ceil(points.length / Math.max(2, Math.floor(width / 70)));
  points.forEach((point, index) => {
    if (index % every === 0) svg.append(shape("text", { x: x(point.strike), y: height - 6, class: "label middle" }, compactStrike(point.strike)));
  });
  if (middle > from && middle < to) svg.append(shape("line", { x1: x(middle), x2: x(middle), y1: EDGE.top, y2: height - EDGE.bottom, class: "forward" }));
  for (const point of points) {
    if (point.bid !== null && point.ask !== null)
      svg.append(shape("line", { x1: x(point.strike), x2: x(point.strike), y1: y(point.bid), y2: y(point.ask), class: "whisker" }));
  }
  svg.append(shape("polyline", { points: points.map(point => `${x(point.strike).toFixed(1)},${y(point.mark).toFixed(1)}`).join(" "), class: "curve" }));
  for (const point of points) svg.append(shape("circle", { cx: x(point.strike), cy: y(point.mark), r: 2.5, class: "point" }));
  box.replaceChildren(svg);
}

const compactStrike = strike => (strike >= 10_000 ? `${+(strike / 1000).toFixed(1)}k` : String(strike));

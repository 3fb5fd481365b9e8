// What the explorer's views are made of.

import { el } from "./dom.js";
import { moment } from "./format.js";

export const card = (title, style, ...children) => el("section", { className: "card " + style }, el("h2", {}, title), ...children);

export function words(pairs) {
  return el("dl", { className: "words" }, ...pairs.filter(pair => pair[1] !== undefined && pair[1] !== null).flatMap(([name, value]) =>
    [el("dt", {}, name), el("dd", {}, value instanceof Node ? value : String(value))]));
}

export const mono = text => el("span", { className: "mono" }, text ?? "–");
export const to = (kind, text, shown = text) => el("a", { href: `/explorer#${kind}=${encodeURIComponent(text)}` }, String(shown));

/** A table of texts and nodes. */
export function grid(columns, rows, empty) {
  if (!rows.length) return el("p", { className: "none" }, empty);
  return el("div", { className: "scrolled" }, el("table", {}, el("thead", {}, el("tr", {}, ...columns.map(([title, style]) => el("th", { className: style ?? "" }, title)))),
    el("tbody", {}, ...rows.map(row => el("tr", {}, ...row.map((value, index) => el("td", { className: columns[index][1] ?? "" }, value instanceof Node ? value : String(value ?? "–"))))))));
}

/** Receipt, block, certificate, checkpoint: how far something has come, by its status. */
export function life(status, steps, isRefused = false) {
  const order = ["received", "included", "executed", "certified", "on_chain"], reached = order.indexOf(status);
  const at = { received: 0, included: 1, certified: 3, on_chain: 4 };
  return el("div", { className: "life" }, ...steps.map(([step, title, ...lines]) => el("div", {
    className: reached >= at[step] ? (isRefused && step !== "received" ? "bad" : "done") : "" }, el("b", {}, title), ...lines.filter(Boolean).map(line => el("span", {}, line)))));
}

export const when = ms => (ms ? moment(ms) : null);

// The last commands of this browser, and how far each has come.

import { Rows, at, el, setClass, setText } from "./dom.js";
import { STATUS_STEPS, STATUS_WORDS } from "./words.js";

const SHOWN = 4;

/** One mark for each step, with how long it took; where there is little room, only for finality. */
export function showSteps(marks, entry, isShort = false) {
  const reached = STATUS_STEPS.indexOf(entry.status), isLost = entry.status === "refused" || entry.status === "unknown";
  STATUS_STEPS.forEach((step, index) => {
    const mark = marks[index], tookMs = entry.reachedMs?.[step];
    const isTimed = tookMs !== undefined && (!isShort || step === "certified");
    setText(mark, STATUS_WORDS[step] + (!isTimed ? "" : ` ${tookMs < 1000 ? tookMs + " ms" : (tookMs / 1000).toFixed(1) + " s"}`));
    setClass(mark, "step" + (index <= reached ? " done" : ""));
    mark.hidden = isLost;
  });
}

export function mountRecent(app) {
  const none = el("p", {}, "Your next order appears here: received, final, on chain.");
  const list = el("div");
  at("recent").append(el("h2", {}, "Last sent"), none, list);
  const rows = new Rows(list, () => el("div", { className: "sent" }, el("span"), el("div", {}, ...STATUS_STEPS.map(() => el("span", { className: "step" }))), el("p", { className: "said down" })),
    (row, entry) => {
      setText(row.children[0], entry.text);
      row.title = entry.text;
      showSteps(row.children[1].children, entry, true);
      setText(row.children[2], entry.error ?? entry.note ?? "");
    });
  app.on("commands", entries => {
    none.hidden = entries.length > 0;
    rows.show(entries.slice(0, SHOWN));
  });
}

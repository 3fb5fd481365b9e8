// Margin: equity, what is bound, how near the maintenance margin is.

import { at, el, setClass, setText } from "./dom.js";
import { DASH, percent, signClass, usd } from "./format.js";

const MODELS = { cross_sm: "cross", isolated: "isolated", cross_pm: "portfolio" };

export function mountMargin(app) {
  const facts = {}, bars = {};
  const fact = (name, title) => el("div", {}, el("span", {}, title), facts[name] = el("span", { className: "num" }, DASH));
  const bar = (name, title) => el("div", { className: "meter", title }, el("span", {}, title), el("div", { className: "track" }, bars[name] = el("i")),
    facts[name + "Share"] = el("b", { className: "num" }, DASH));
  const model = el("span", { className: "dim" });
  at("margin").append(el("header", {}, el("h2", {}, "Margin"), model), el("div", { className: "preview" }, fact("equity", "Equity"), fact("balance", "Balance"),
    fact("free", "Free margin"), fact("delta", "Delta"), fact("vega", "Vega")), bar("initial", "Initial"), bar("maintenance", "Maint."));
  app.on("account", ({ summary }) => {
    const shown = (name, value) => setText(facts[name], summary ? usd(value) : DASH);
    setText(model, summary ? MODELS[summary.margin_model] ?? summary.margin_model : "");
    shown("equity", summary?.equity);
    shown("balance", summary?.balance);
    shown("free", summary?.available_funds);
    shown("delta", summary?.delta_total);
    shown("vega", summary?.options_vega);
    setClass(facts.delta, "num " + signClass(summary?.delta_total));
    for (const [name, value] of [["initial", summary?.initial_margin], ["maintenance", summary?.maintenance_margin]]) {
      const equity = Number(summary?.equity ?? 0), share = !summary ? 0 : equity > 0 ? Number(value) / equity : Number(value) > 0 ? 1 : 0;
      bars[name].style.transform = `scaleX(${Math.min(1, share).toFixed(4)})`;
      setClass(bars[name], share > 0.8 ? "bad" : share > 0.5 ? "warn" : "");
      setText(facts[name + "Share"], summary ? percent(share, 1) : DASH);
    }
  });
}

// What the account would gain or lose if spot and volatility moved: the scenarios of the engine's portfolio margin
// (docs/portfolio.md, 7.1), by underlying. Asked for only while the pane is open.

import { at, el, setClass, setText, toggle } from "./dom.js";
import { DASH, compact, group, signClass, usd } from "./format.js";

const ASK_MS = 2000;
const MOVES = [-18, -13.5, -9, -4.5, 0, 4.5, 9, 13.5, 18];
// Scenarios 2 to 22: the moves in this order, three volatilities each.
const NUMBERED = [13.5, -13.5, 9, -9, 4.5, -4.5, 0], VOLS = ["up", "same", "down"];
const OTHERS = [[23, "spot × 0.34"], [24, "spot × 0.67"], [25, "spot × 1.5"], [26, "spot × 2"], [27, "spot × 3"], [28, "spot × 4"], [29, "spot × 5"], [30, "spot × 6"],
  [31, "linear skew"], [32, "absolute skew"], [33, "basis"]];

function numberOf(move, vol) {
  if (Math.abs(move) === 18) return vol === "up" ? (move > 0 ? 0 : 1) : null;
  return 2 + 3 * NUMBERED.indexOf(move) + VOLS.indexOf(vol);
}

export function mountRisk(app) {
  const pane = at("pane-risk"), list = el("div", { className: "risks" }), none = el("p", { className: "none" }, "Connect to see your account.");
  pane.append(list, none);
  const cards = new Map();

  function makeCard(name) {
    const facts = {}, cells = new Map();
    const fact = (key, title) => el("span", {}, title + " ", facts[key] = el("b", { className: "num" }, DASH));
    const cell = number => {
      const made = el("td", { className: "num" });
      if (number !== null) cells.set(number, made);
      return made;
    };
    const rows = VOLS.map(vol => el("tr", {}, el("th", {}, "vol " + vol), ...MOVES.map(move => cell(numberOf(move, vol)))));
    const head = el("tr", {}, el("th", {}, "spot"), ...MOVES.map(move => el("th", { className: "num" }, `${move > 0 ? "+" : ""}${group(move)}%`)));
    const others = el("div", { className: "others" }, ...OTHERS.map(([number, title]) => el("span", {}, title + " ", cells.set(number, el("b", { className: "num" })).get(number))));
    const made = el("section", {}, el("header", {}, el("strong", {}, name), fact("delta", "Delta"), fact("gamma", "Gamma"), fact("vega", "Vega"), fact("theta", "Theta"),
      fact("liquidation_index_below", "Liquidation below"), fact("liquidation_index_above", "above")), el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)), others);
    const note = el("p", { className: "dim" }, "Scenarios are shown of accounts with portfolio margin.");
    made.append(note);
    list.append(made);
    return { made, facts, cells, note };
  }

  function fill({ made, facts, cells, note }, risk) {
    for (const [key, node] of Object.entries(facts)) setText(node, risk[key] === null ? "none" : key.startsWith("liquidation") ? group(risk[key]) : usd(risk[key]));
    // An account without portfolio margin has no scenarios.
    const hasScenarios = risk.scenarios.length > 0;
    toggle(made, "bare", !hasScenarios);
    note.hidden = hasScenarios;
    if (!hasScenarios) return;
    const values = risk.scenarios.map(Number), largest = Math.max(1, ...values.map(Math.abs)), worst = Math.min(...values);
    for (const [number, node] of cells) {
      const value = values[number];
      setText(node, value === undefined ? "" : compact(value));
      setClass(node, `num ${signClass(value)}${value === worst && worst < 0 ? " worst" : ""}`);
      node.style.setProperty("--share", `${Math.round((Math.abs(value || 0) / largest) * 42)}%`);
      node.title = value === undefined ? "" : `scenario ${number}: ${usd(value)} USDC`;
    }
  }

  async function ask() {
    const account = app.session.account;
    if (pane.hidden || document.hidden || app.link.state.name !== "live") return;
    if (!account) return show([], "Connect to see your account.");
    try {
      const whose = { owner: account.owner, subaccount: account.subaccount };
      const found = await app.link.tryCall("private/x_margin_explain", { ...whose, currency: "USDC" });
      show(found?.x_risks ?? [], found ? "Nothing is at risk: there are no positions." : "This node does not explain margins.");
    } catch {
      // The link says what is wrong.
    }
  }

  function show(risks, empty) {
    none.hidden = risks.length > 0;
    setText(none, empty);
    const names = new Set(risks.map(risk => risk.underlying));
    for (const [name, card] of cards) if (!names.has(name)) {
      card.made.remove();
      cards.delete(name);
    }
    for (const risk of risks) {
      if (!cards.has(risk.underlying)) cards.set(risk.underlying, makeCard(risk.underlying));
      fill(cards.get(risk.underlying), risk);
    }
  }

  app.on("pane", key => key === "risk" && ask());
  app.on("session", ask);
  setInterval(ask, ASK_MS);
}

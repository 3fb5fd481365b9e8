// The tape: public trades, newest first.

import { Rows, at, eachFrame, el, setClass, setText } from "./dom.js";
import { amount, clock, price } from "./format.js";

const KEPT = 60;

export function mountTape(app) {
  let trades = [];
  const list = el("div", { className: "ladder tape" });
  const none = el("p", { className: "none" }, "No trades yet.");
  at("tape").append(el("header", {}, el("h2", {}, "Trades")),
    el("div", { className: "row head" }, el("span", {}, "Price"), el("span", {}, "Amount"), el("span", {}, "Time")), list, none);
  const rows = new Rows(list, () => el("div", { className: "row" },
    ...Array.from({ length: 3 }, () => el("span", { className: "num" }))), (row, trade) => {
    const instrument = app.instruments.get(trade.instrument_name) ?? app.instrument();
    setText(row.children[0], price(trade.price, instrument));
    setClass(row.children[0], "num " + (trade.direction === "buy" ? "up" : "down"));
    setText(row.children[1], amount(trade.amount, instrument));
    setText(row.children[2], clock(trade.timestamp));
    row.title = trade.liquidation ? "liquidation" : "";
  });
  const soon = eachFrame(() => {
    rows.show(trades);
    none.hidden = trades.length > 0;
  });
  const take = list => {
    trades = [...[...list].reverse(), ...trades].slice(0, KEPT);
    if (trades.length) app.emit("last trade", trades[0]);
    soon();
  };
  app.on("market", () => {
    trades = [];
    soon();
  });
  app.on("trade history", list => {
    trades = [];
    take(list);
  });
  app.on("trades", take);
}

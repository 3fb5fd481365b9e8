// The lower panel: positions, open orders, what became of others, fills, and the commands of this browser.

import { Table, at, el, setClass, setText, toggle } from "./dom.js";
import { DASH, amount, clock, group, moment, price, shortHex, signClass, signed, usd } from "./format.js";
import { STATUS_STEPS, inWords } from "./words.js";
import { canEdit, cancelAll as sendCancelAll, cancelOrder, closePosition } from "./placing.js";
import { showSteps } from "./recent-view.js";

const TABS = [["positions", "Positions"], ["orders", "Open orders"], ["history", "Order history"], ["fills", "Fills"], ["risk", "Risk"], ["activity", "Activity"]];

export function mountAccount(app) {
  const tabs = new Map(), panes = new Map();
  let here = "positions";
  const cancelAll = el("button", { type: "button", className: "plain", id: "cancel-all", hidden: true, onclick: () =>
    guarded(sendCancelAll(app)) }, "Cancel all");
  const guarded = promise => promise.catch(() => {});
  const bar = el("div", { className: "tabbar" });
  for (const [key, title] of TABS) {
    const count = el("i", { className: "count" });
    const tab = el("button", { type: "button", onclick: () => app.emit("pane", key), data: { tab: key } }, title, count);
    tabs.set(key, { tab, count });
    panes.set(key, el("div", { className: "pane", id: "pane-" + key }));
    bar.append(tab);
  }
  bar.append(el("span", { className: "gap" }), cancelAll);
  at("bottom").append(bar, ...panes.values());
  const instrumentOf = item => app.instruments.get(item.instrument_name);
  const tables = makeTables(app, panes, instrumentOf, guarded);

  function open(key) {
    here = key;
    for (const [name, { tab }] of tabs) {
      toggle(tab, "here", name === key);
      panes.get(name).hidden = name !== key;
    }
  }
  const counted = (key, list) => setText(tabs.get(key).count, list.length || "");

  app.on("account", data => {
    const empty = app.session.account ? (data.error ? inWords(data.error) : null) : "Connect to see your account.";
    tables.positions.show(data.positions, empty ?? "No open positions.");
    tables.orders.show([...data.orders].sort((a, b) => b.creation_timestamp - a.creation_timestamp), empty ?? "No open orders.");
    tables.history.show(data.history, empty ?? "No orders have ended since this page was opened.");
    tables.fills.show(data.fills, empty ?? "No fills yet.");
    counted("positions", data.positions);
    counted("orders", data.orders);
    cancelAll.hidden = !data.orders.length || !app.session.canTrade;
  });
  app.on("commands", entries => {
    tables.activity.show(entries);
    counted("activity", entries.filter(entry => !["on_chain", "refused"].includes(entry.status)));
  });
  app.on("pane", open);
  tables.activity.show([]);
  open(here);
}

function name(app, cell, instrumentName) {
  setText(cell, instrumentName);
  cell.onclick = () => app.choose(instrumentName);
}

function action(cell, text, act) {
  if (!cell.firstChild) cell.append(el("button", { type: "button", className: "plain" }, text));
  setText(cell.firstChild, text);
  cell.firstChild.onclick = act;
}

function makeTables(app, panes, instrumentOf, guarded) {
  const positions = new Table(panes.get("positions"), [["Market", "link"], ["Size", "num"], ["Entry", "num"], ["Mark", "num"], ["Value", "num"], ["Profit", "num"],
    ["Liq. price", "num"], ["Initial", "num"], ["Maint.", "num wide"], ["Delta", "num wide"], ["Vega", "num wide"], ["Theta", "num wide"], ["", "act"]], (row, item) => {
    const [market, size, entry, mark, value, profit, liquidation, initial, maintenance, delta, vega, theta, close] = row.children;
    const instrument = instrumentOf(item), known = value => value !== null && value !== undefined;
    name(app, market, item.instrument_name);
    setText(size, signed(item.size));
    setClass(size, "num " + signClass(item.size));
    setText(entry, known(item.average_price) ? price(item.average_price, instrument) : DASH);
    setText(mark, price(item.mark_price, instrument));
    setText(value, usd(item.x_value));
    setText(profit, known(item.floating_profit_loss) ? signed(item.floating_profit_loss, 2) : DASH);
    setClass(profit, "num " + signClass(item.floating_profit_loss));
    setText(liquidation, item.estimated_liquidation_price ? price(item.estimated_liquidation_price, instrument) : DASH);
    setText(initial, usd(item.initial_margin));
    setText(maintenance, usd(item.maintenance_margin));
    setText(delta, usd(item.x_delta));
    setText(vega, usd(item.vega));
    setText(theta, usd(item.theta));
    action(close, "Close", () => guarded(closePosition(app, item)));
  }, "No open positions.");
  const orders = new Table(panes.get("orders"), [["Placed", "num"], ["Market", "link"], ["Side", ""], ["Type", ""], ["Price", "num"], ["Amount", "num"],
    ["Filled", "num"], ["Trigger", "num"], ["Terms", "wide"], ["Order", "link wide"], ["", "act edit"], ["", "act"]], (row, item) => {
    const [placed, market, side, type, at, size, filled, trigger, terms, order, edit, cancel] = row.children;
    fillOrder(app, instrumentOf(item), item, { time: placed, market, side, type, at, size, filled });
    setText(placed, clock(item.creation_timestamp));
    setText(trigger, item.trigger_price ? price(item.trigger_price, instrumentOf(item)) : DASH);
    setText(terms, termsOf(item));
    setText(order, item.order_id);
    order.onclick = () => (location.href = "/explorer#order=" + item.order_id);
    action(edit, "Change", () => app.emit("edit", item));
    edit.firstChild.hidden = !canEdit(item);
    action(cancel, "Cancel", () => guarded(cancelOrder(app, item)));
  }, "No open orders.");
  const history = new Table(panes.get("history"), [["Ended", "num"], ["Market", "link"], ["Side", ""], ["Type", ""], ["Price", "num"], ["Amount", "num"],
    ["Filled", "num"], ["Average", "num"], ["State", ""], ["Order", "link wide"]], (row, item) => {
    const [time, market, side, type, at, size, filled, average, state, order] = row.children;
    fillOrder(app, instrumentOf(item), item, { market, side, type, at, size, filled });
    setText(time, clock(item.last_update_timestamp));
    setText(average, item.average_price ? price(item.average_price, instrumentOf(item)) : DASH);
    setText(state, item.cancel_reason && item.cancel_reason !== "user_request" ? `${item.order_state}: ${item.cancel_reason}` : item.order_state);
    setText(order, item.order_id);
    order.onclick = () => (location.href = "/explorer#order=" + item.order_id);
  }, "");
  const fills = new Table(panes.get("fills"), [["Time", "num"], ["Market", "link"], ["Side", ""], ["Price", "num"], ["Amount", "num"], ["Fee", "num"],
    ["", ""], ["Block", "num link wide"], ["Order", "link wide"]], (row, item) => {
    const [time, market, side, at, size, fee, liquidity, block, order] = row.children, instrument = instrumentOf(item);
    setText(time, moment(item.timestamp));
    name(app, market, item.instrument_name);
    setText(side, item.direction);
    setClass(side, item.direction === "buy" ? "up" : "down");
    setText(at, price(item.price, instrument));
    setText(size, amount(item.amount, instrument));
    setText(fee, usd(item.fee, 4));
    setText(liquidity, item.liquidity === "M" ? "maker" : "taker");
    setText(block, group(item.x_height));
    block.onclick = () => (location.href = "/explorer#block=" + item.x_height);
    setText(order, item.order_id);
    order.onclick = () => (location.href = "/explorer#order=" + item.order_id);
  }, "");
  return { positions, orders, history, fills, activity: makeActivity(panes.get("activity")) };
}

function fillOrder(app, instrument, item, cells) {
  name(app, cells.market, item.instrument_name);
  setText(cells.side, item.direction);
  setClass(cells.side, item.direction === "buy" ? "up" : "down");
  setText(cells.type, item.order_type.replace("_", " "));
  setText(cells.at, item.price === "market_price" ? "market" : price(item.price, instrument));
  setText(cells.size, amount(item.amount, instrument));
  setText(cells.filled, amount(item.filled_amount, instrument));
}

function termsOf(order) {
  const words = { good_til_cancelled: "GTC", immediate_or_cancel: "IOC", fill_or_kill: "FOK", x_good_til_time: "GTT", good_til_day: "day" };
  return [words[order.time_in_force] ?? order.time_in_force, order.post_only && "post-only", order.reduce_only && "reduce-only",
    order.mmp && "MMP"].filter(Boolean).join(" · ");
}

/** Every command of this browser with how far it has come. */
function makeActivity(root) {
  return new Table(root, [["Sent", "num"], ["Command", "what"], ["", "steps"], ["Block", "num link"], ["Id", "link wide"]], (row, entry) => {
    const [time, what, steps, block, id] = row.children;
    setText(time, clock(entry.atMs));
    setText(what, entry.text);
    if (!steps.firstChild) steps.append(...STATUS_STEPS.map(() => el("span", { className: "step" })), el("span", { className: "said" }));
    showSteps(steps.children, entry);
    setText(steps.lastChild, entry.error ?? entry.note ?? (entry.status === "sending" ? "sending" : ""));
    setClass(steps.lastChild, "said " + (entry.error ? "down" : "dim"));
    setText(block, entry.height ? group(entry.height) : DASH);
    block.onclick = () => entry.height && (location.href = "/explorer#block=" + entry.height);
    setText(id, shortHex(entry.id));
    id.onclick = () => (location.href = "/explorer#command=" + entry.id);
  }, "What you send appears here, with its receipt, its block and its checkpoint.");
}

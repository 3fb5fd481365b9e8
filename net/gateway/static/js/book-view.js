// The order book: grouped levels with depth behind them, the last price between, own orders marked.

import { Book } from "./book.js";
import { Rows, at, eachFrame, el, setClass, setText, toggle } from "./dom.js";
import { fromSteps, inSteps } from "./decimal.js";
import { DASH, amount, group, price } from "./format.js";

const WIDTHS = [1, 5, 10, 50, 100, 500];

export function mountBook(app, quotes) {
  let book = null, width = 1, rowCount = 12, ownTicks = new Set(), lastDirection = "";
  const choice = el("select", { attrs: { "aria-label": "group prices by" }, onchange: () => {
    width = Number(choice.value);
    soon();
  } });
  const side = name => el("div", { className: "levels " + name });
  const asks = side("asks"), bids = side("bids");
  const last = el("b", { className: "num" }), spread = el("span"), mark = el("span", { className: "num mark" });
  const head = el("div", { className: "row head" }, el("span", {}, "Price"), el("span", {}, "Amount"), el("span", {}, "Total"));
  const ladder = el("div", { className: "ladder" }, head, asks, el("div", { className: "middle" }, last, mark, spread), bids);
  const none = el("p", { className: "none" }, "The book is empty.");
  at("book").append(el("header", {}, el("h2", {}, "Book"), choice), ladder, none);
  const makeRow = name => () => el("button", { type: "button", className: "row " + name, tabIndex: -1, onclick: event =>
    app.emit("price", event.currentTarget.dataset.price, name) },
  el("i", { className: "depth" }), el("span", { className: "num" }), el("span", { className: "num" }), el("span", { className: "num" }));
  let total = 1;
  const fillRow = (row, level) => {
    const instrument = book.instrument, [depth, ...shown] = row.children;
    toggle(row, "empty", !level);
    if (!level) {
      row.classList.remove("own");
      return shown.forEach(cell => setText(cell, ""));
    }
    const text = fromSteps(level.ticks, instrument.tick_size);
    row.dataset.price = text;
    setText(shown[0], price(text, instrument));
    setText(shown[1], amount(fromSteps(level.lots, instrument.min_trade_amount), instrument));
    setText(shown[2], amount(fromSteps(level.sum, instrument.min_trade_amount), instrument));
    depth.style.transform = `scaleX(${(level.sum / total).toFixed(4)})`;
    return toggle(row, "own", [...ownTicks].some(ticks => Math.abs(ticks - level.ticks) < width && inLevel(row, ticks, level.ticks)));
  };
  const inLevel = (row, ticks, at) => (row.classList.contains("bid") ? ticks >= at : ticks <= at);
  const askRows = new Rows(asks, makeRow("ask"), fillRow), bidRows = new Rows(bids, makeRow("bid"), fillRow);

  function show() {
    if (!book) return;
    const instrument = book.instrument;
    const above = book.levels("asks", rowCount, width), below = book.levels("bids", rowCount, width);
    total = Math.max(above.at(-1)?.sum ?? 0, below.at(-1)?.sum ?? 0, 1);
    const padded = levels => [...levels, ...Array(rowCount - levels.length).fill(null)];
    askRows.show(padded(above).reverse());
    bidRows.show(padded(below));
    none.hidden = above.length + below.length > 0;
    const bestBid = book.best("bids"), bestAsk = book.best("asks");
    const gap = bestBid === null || bestAsk === null ? null : bestAsk - bestBid;
    setText(spread, gap === null ? "" : `spread ${group(fromSteps(gap, instrument.tick_size))}`);
    const quote = quotes.of(instrument.instrument_name);
    setText(mark, quote?.mark_price ? price(quote.mark_price, instrument) : DASH);
    app.emit("top of book", { bid: bestBid === null ? null : fromSteps(bestBid, instrument.tick_size),
      ask: bestAsk === null ? null : fromSteps(bestAsk, instrument.tick_size), book });
  }
  const soon = eachFrame(show);

  new ResizeObserver(() => {
    rowCount = Math.max(4, Math.floor((ladder.clientHeight - 62) / 2 / (asks.firstChild?.offsetHeight || 19)));
    soon();
  }).observe(ladder);
  app.on("market", instrument => {
    book?.stop();
    setText(last, DASH);
    mark.title = "mark price";
    choice.replaceChildren(...WIDTHS.map(count => new Option(group(fromSteps(count, instrument.tick_size)), count)));
    width = 1;
    book = new Book(app, instrument, soon);
    soon();
  });
  app.on("last trade", trade => {
    if (!book) return;
    lastDirection = trade.direction === "buy" ? "up" : "down";
    setText(last, price(trade.price, book.instrument));
    setClass(last, "num " + lastDirection);
  });
  app.on("account", ({ orders }) => {
    const own = orders.filter(order => order.instrument_name === app.market && order.order_state === "open");
    ownTicks = new Set(own.map(order => Number(inSteps(order.price, book?.instrument.tick_size ?? "1"))));
    soon();
  });
}

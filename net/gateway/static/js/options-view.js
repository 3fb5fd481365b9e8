// The option chain of one expiry: calls, strike, puts; with the smile of its volatilities beside it.

import { Rows, at, atMostEvery, el, setClass, setText, toggle } from "./dom.js";
import { DASH, group, price, span } from "./format.js";
import { drawSmile } from "./smile.js";

const WATCHED_MAX = 44, SURFACE_MS = 3000;
const COLUMNS = [
  ["OI", quote => (Number(quote.open_interest) ? group(quote.open_interest) : DASH), "wide"],
  ["Vega", quote => group(quote.greeks?.vega, 1), "wide"], ["Θ", quote => group(quote.greeks?.theta, 1), "wide"],
  ["Γ", quote => group(Number(quote.greeks?.gamma ?? NaN) * 1e5 || 0, 2), "wide"], ["Δ", quote => group(quote.greeks?.delta, 2), "mid"],
  ["IV", quote => (quote.mark_iv ? group(quote.mark_iv, 1) : DASH)], ["Mark", (quote, item) => price(quote.mark_price, item), "mid"],
  ["Bid", (quote, item) => price(quote.best_bid_price, item), "bid"], ["Ask", (quote, item) => price(quote.best_ask_price, item), "ask"],
];

export function mountOptions(app, quotes) {
  const root = at("options");
  let base = "BTC", expiryMs = null, strikes = [], slices = [], isShown = false;
  const bases = el("div", { className: "seg small" }), expiries = el("div", { className: "seg small scroll" });
  const forward = el("span", { className: "num dim" });
  const smile = el("figure", { className: "smile" });
  const head = (columns, name) => columns.map(([title, , style]) => el("th", { className: `${name} ${style ?? ""}` }, title));
  const body = el("tbody");
  const mirrored = [...COLUMNS].reverse();
  const table = el("table", { className: "chain" }, el("thead", {},
    el("tr", { className: "sides" }, el("th", { colSpan: COLUMNS.length }, "Calls"), el("th"), el("th", { colSpan: COLUMNS.length }, "Puts")),
    el("tr", {}, ...head(COLUMNS, "call"), el("th", { className: "strike" }, "Strike"), ...head(mirrored, "put"))), body);
  const none = el("p", { className: "none" }, "No options are listed here.");
  root.append(el("div", { className: "tools" }, bases, expiries, forward), el("div", { className: "scroller" }, table, none), smile);

  function makeRow() {
    const row = el("tr");
    const cell = (side, style) => el("td", { className: `num ${side} ${style ?? ""}`, onclick: event => pick(row, side, event.currentTarget) });
    row.append(...COLUMNS.map(column => cell("call", column[2])), el("th", { className: "num strike" }), ...mirrored.map(column => cell("put", column[2])));
    return row;
  }

  function pick(row, side, cell) {
    const name = row.dataset[side];
    if (!name) return;
    const isPrice = cell.classList.contains("bid") || cell.classList.contains("ask");
    const quote = quotes.of(name), value = cell.classList.contains("bid") ? quote?.best_bid_price : quote?.best_ask_price;
    app.choose(name);
    if (isPrice && value) app.emit("price", String(value), cell.classList.contains("bid") ? "bid" : "ask");
  }

  const rows = new Rows(body, makeRow, (row, strike) => {
    row.dataset.call = strike.call?.instrument_name ?? "";
    row.dataset.put = strike.put?.instrument_name ?? "";
    setText(row.children[COLUMNS.length], group(strike.strike));
    fillSide(row, strike.call, COLUMNS, 0);
    fillSide(row, strike.put, mirrored, COLUMNS.length + 1);
    toggle(row, "atm", strike.isAtm);
    const at = forwardOf();
    setClass(row, `${strike.isAtm ? "atm " : ""}${at ? (Number(strike.strike) < at ? "low" : "high") : ""}${[row.dataset.call, row.dataset.put].includes(app.market) ? " here" : ""}`);
  });

  function fillSide(row, instrument, columns, from) {
    const quote = instrument ? quotes.of(instrument.instrument_name) : null;
    columns.forEach(([, show], index) => setText(row.children[from + index], quote ? show(quote, instrument) : DASH));
  }

  const options = () => [...app.instruments.values()].filter(item => item.kind === "option" && item.is_active !== false);

  function forwardOf() {
    for (const { call } of strikes) {
      const quote = call && quotes.of(call.instrument_name);
      const value = quote?.underlying_price ?? quote?.index_price;
      if (value) return Number(value);
    }
    return null;
  }

  /** What there is to choose from, and the strikes of what is chosen. */
  function arrange() {
    const all = options(), names = [...new Set(all.map(item => item.base_currency))];
    if (!names.includes(base)) base = names[0] ?? "BTC";
    const times = [...new Set(all.filter(item => item.base_currency === base).map(item => item.expiration_timestamp))].sort((a, b) => a - b);
    if (!times.includes(expiryMs)) expiryMs = times[0] ?? null;
    bases.replaceChildren(...names.map(name => button(name, name === base, () => (base = name))));
    expiries.replaceChildren(...times.map(ms => button(dateOf(all, ms), ms === expiryMs, () => (expiryMs = ms), span(ms - app.nowMs()))));
    const byStrike = new Map();
    for (const item of all.filter(item => item.base_currency === base && item.expiration_timestamp === expiryMs)) {
      const strike = byStrike.get(Number(item.strike)) ?? { strike: item.strike };
      strike[item.option_type] = item;
      byStrike.set(Number(item.strike), strike);
    }
    strikes = [...byStrike].sort((a, b) => a[0] - b[0]).map(item => item[1]);
    none.hidden = strikes.length > 0;
    watch();
    show();
  }

  const button = (text, isHere, act, note) => el("button", { type: "button", className: isHere ? "here" : "", onclick: () => {
    act();
    arrange();
  } }, text, note ? el("small", {}, " " + note) : null);
  const dateOf = (all, ms) => all.find(item => item.expiration_timestamp === ms).instrument_name.split("-")[1];

  function watch() {
    const names = isShown ? strikes.flatMap(strike => [strike.call, strike.put]).filter(Boolean).map(item => item.instrument_name) : [];
    const middle = Math.max(0, Math.floor((names.length - WATCHED_MAX) / 2));
    quotes.hold("chain", names.slice(middle, middle + WATCHED_MAX));
  }

  function show() {
    if (!isShown) return;
    const middle = forwardOf();
    const nearest = middle && strikes.reduce((best, strike) =>
      Math.abs(Number(strike.strike) - middle) < Math.abs(Number(best.strike) - middle) ? strike : best, strikes[0]);
    strikes.forEach(strike => (strike.isAtm = strike === nearest));
    rows.show(strikes);
    setText(forward, middle ? `forward ${group(middle, 1)}` : "");
    drawSmile(smile, strikes.map(strike => pointOf(strike, middle)).filter(Boolean), middle, slices, expiryMs, app.nowMs());
  }

  /** The smile is read where options are cheap: puts below the forward, calls above. */
  function pointOf(strike, middle) {
    const item = (Number(strike.strike) < middle ? strike.put : strike.call) ?? strike.call ?? strike.put;
    const quote = item && quotes.of(item.instrument_name);
    if (!quote?.mark_iv || !Number(quote.mark_iv)) return null;
    const known = value => (Number(value) > 0 ? Number(value) : null);
    return { strike: Number(strike.strike), mark: Number(quote.mark_iv), bid: known(quote.bid_iv), ask: known(quote.ask_iv) };
  }

  /** The whole surface of the base, for the curves. */
  async function readSurface() {
    if (!isShown || document.hidden || app.link.state.name !== "live") return;
    const found = await app.link.tryCall("public/x_get_vol_surface", { index_name: `${base.toLowerCase()}_usdc` }).catch(() => null);
    slices = found?.expiries ?? [];
  }
  setInterval(readSurface, SURFACE_MS);

  const soon = atMostEvery(300, show);
  quotes.on("quote", soon);
  app.on("instruments", arrange);
  app.on("market", instrument => {
    if (instrument.kind === "option") {
      base = instrument.base_currency;
      expiryMs = instrument.expiration_timestamp;
    } else base = instrument.base_currency;
    arrange();
  });
  app.on("view", view => {
    isShown = view === "options";
    arrange();
    readSurface();
  });
}

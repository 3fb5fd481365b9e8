// The list of markets: by kind, by what is typed.

import { Rows, at, atMostEvery, el, setClass, setText, toggle } from "./dom.js";
import { DASH, group, percent, price, signClass } from "./format.js";
import { changeOf } from "./quotes.js";
import { recall, remember } from "./store.js";

const KINDS = [["all", "All"], ["perpetual", "Perps"], ["future", "Futures"], ["option", "Options"]];

export const kindOf = instrument =>
  instrument.kind === "future" && instrument.settlement_period === "perpetual" ? "perpetual" : instrument.kind;

export function mountMarkets(app, quotes) {
  const root = at("markets");
  let kind = recall("kind", "all");
  const search = el("input", { type: "search", placeholder: "Search markets  /", id: "search", autocomplete: "off",
    attrs: { "aria-label": "search markets" }, oninput: () => show() });
  const tabs = KINDS.map(([value, title]) => el("button", { type: "button", textContent: title, onclick: () => {
    kind = value;
    remember("kind", kind);
    show();
  } }));
  const list = el("div", { className: "list", attrs: { role: "listbox", "aria-label": "markets" } });
  root.append(search, el("div", { className: "seg small" }, ...tabs), list);
  const rows = new Rows(list, makeRow, fillRow);

  function makeRow() {
    const row = el("button", { type: "button", className: "market", onclick: () => app.choose(row.dataset.name) },
      el("b"), el("span", { className: "num" }), el("i"), el("em", { className: "num" }));
    row.setAttribute("role", "option");
    return row;
  }

  function fillRow(row, instrument) {
    const quote = quotes.of(instrument.instrument_name), [name, last, note, change] = row.children;
    row.dataset.name = instrument.instrument_name;
    setText(name, instrument.instrument_name);
    const shown = quote?.last_price ?? quote?.mark_price;
    setText(last, shown ? price(shown, instrument) : DASH);
    const isOption = instrument.kind === "option";
    setText(note, isOption ? (quote?.mark_iv ? `IV ${group(quote.mark_iv, 1)}%` : "") : quote?.volume_usd || quote?.stats?.volume_usd
      ? `24h ${group(Number(quote.volume_usd ?? quote.stats.volume_usd) / 1000, 0)}k` : "");
    const moved = changeOf(quote);
    setText(change, moved === null ? "" : percent(Number(moved) / 100));
    setClass(change, "num " + signClass(moved));
    toggle(row, "here", instrument.instrument_name === app.market);
    row.setAttribute("aria-selected", instrument.instrument_name === app.market);
  }

  const order = { perpetual: 0, spot: 1, future: 2, option: 3 };
  function show() {
    tabs.forEach((tab, index) => toggle(tab, "here", KINDS[index][0] === kind));
    const wanted = search.value.trim().toUpperCase().split(/\s+/);
    const all = [...app.instruments.values()].filter(instrument => instrument.is_active !== false
      && (kind === "all" ? kindOf(instrument) !== "option" || search.value : kindOf(instrument) === kind)
      && wanted.every(word => instrument.instrument_name.includes(word)));
    all.sort((a, b) => order[kindOf(a)] - order[kindOf(b)] || a.expiration_timestamp - b.expiration_timestamp
      || Number(a.strike ?? 0) - Number(b.strike ?? 0) || a.instrument_id - b.instrument_id);
    rows.show(all);
    quotes.needsOptions = all.some(instrument => instrument.kind === "option");
  }

  const soon = atMostEvery(250, show);
  quotes.on("quote", soon);
  app.on("instruments", () => {
    const near = [...app.instruments.values()].filter(instrument => instrument.kind !== "option").slice(0, 10);
    quotes.hold("list", near.map(instrument => instrument.instrument_name));
    show();
  });
  app.on("market", show);
  search.addEventListener("keydown", event => {
    if (event.key === "Enter") list.firstElementChild?.click();
    if (event.key === "Enter" || event.key === "Escape") search.blur();
  });
}

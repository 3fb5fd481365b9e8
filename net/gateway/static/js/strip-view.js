// The chosen market in one line.

import { at, el, setClass, setText } from "./dom.js";
import { DASH, compact, group, percent, price, signClass, span } from "./format.js";
import { changeOf, keepMarket, lastMarket } from "./quotes.js";

const PHASES = { auction: "auction", cancel_only: "cancel only", post_only: "post only", settled: "settled" };

export function mountStrip(app, quotes) {
  const name = el("button", { type: "button", className: "name", title: "choose a market", onclick: () => app.emit("pick") });
  const last = el("span", { className: "last num" }), phase = el("span", { className: "phase" });
  const facts = {};
  const fact = (key, title, hint) => el("div", { className: "fact " + key, title: hint ?? "" },
    el("small", {}, title), facts[key] = el("span", { className: "num" }, DASH));
  at("strip").append(el("div", { className: "who" }, name, phase), last,
    fact("mark", "Mark"), fact("index", "Index"), fact("change", "24h"), fact("volume", "24h volume", "USDC"),
    fact("interest", "Open interest"), fact("funding", "Funding 8h", "what longs pay shorts, by this hour so far"),
    fact("iv", "IV"), fact("delta", "Delta"), fact("expiry", "Expires in"));

  function show() {
    const instrument = app.instrument();
    if (!instrument) return;
    const quote = quotes.of(instrument.instrument_name) ?? {};
    const isOption = instrument.kind === "option", isPerpetual = instrument.settlement_period === "perpetual";
    setText(name, instrument.instrument_name);
    setText(last, price(quote.last_price ?? quote.mark_price, instrument));
    setText(facts.mark, price(quote.mark_price, instrument));
    setText(facts.index, group(quote.index_price ?? quote.underlying_price));
    const moved = changeOf(quote);
    setText(facts.change, moved === null ? DASH : percent(Number(moved) / 100));
    setClass(facts.change, "num " + signClass(moved));
    setText(facts.volume, compact(quote.stats?.volume_usd ?? quote.volume_usd));
    setText(facts.interest, quote.open_interest === undefined ? DASH : compact(quote.open_interest) + " " + instrument.base_currency);
    setText(facts.funding, percent(quote.current_funding ?? quote.funding_8h, 4));
    setText(facts.iv, quote.mark_iv ? group(quote.mark_iv, 1) + "%" : DASH);
    setText(facts.delta, group(quote.greeks?.delta, 3));
    setText(facts.expiry, isPerpetual ? DASH : span(instrument.expiration_timestamp - app.nowMs()));
    for (const [key, isShown] of [["funding", isPerpetual], ["iv", isOption], ["delta", isOption], ["expiry", !isPerpetual], ["change", moved !== null]])
      facts[key].parentNode.hidden = !isShown;
    setText(phase, PHASES[quote.x_phase] ?? (quote.x_is_fresh === false ? "no fresh price" : ""));
    const title = `${price(quote.mark_price, instrument)} ${instrument.instrument_name} · Hansa`;
    if (document.title !== title) document.title = title;
  }

  quotes.on("quote", changed => changed === app.market && show());
  app.on("market", instrument => {
    keepMarket(instrument.instrument_name);
    quotes.hold("strip", [instrument.instrument_name]);
    show();
  });
  app.on("instruments", instruments => {
    if (app.market && instruments.has(app.market)) return show();
    const kept = lastMarket();
    return app.choose(instruments.has(kept) ? kept : instruments.keys().next().value);
  });
}

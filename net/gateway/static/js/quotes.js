// Tickers of the markets on the screen: by subscription for those that somebody watches closely, by summary for lists.

import { Emitter, recall, remember } from "./store.js";

const SUMMARY_MS = 3000;

export class Quotes extends Emitter {
  /** Event `quote` (name, ticker). `of(name)`: the last one known. */
  constructor(app) {
    super();
    this._app = app;
    this._known = new Map();
    this._held = new Map();
    this.needsOptions = false;
    app.on("instruments", () => this._summarise());
    setInterval(() => this._summarise(), SUMMARY_MS);
  }

  of(name) {
    return this._known.get(name);
  }

  /** Watches exactly these for one part of the page, which goes by `holder`. */
  hold(holder, names) {
    const before = this._held.get(holder) ?? new Map(), now = new Map();
    for (const name of names)
      now.set(name, before.get(name) ?? this._app.link.subscribe(`ticker.${name}.100ms`, data => this._take(name, data)));
    for (const [name, stop] of before) if (!now.has(name)) stop();
    this._held.set(holder, now);
  }

  _take(name, data) {
    const known = { ...this._known.get(name), ...data };
    this._known.set(name, known);
    this.emit("quote", name, known);
  }

  async _summarise() {
    const { link } = this._app;
    if (link.state.name !== "live" || document.hidden || this._isAsking) return;
    this._isAsking = true;
    try {
      // Options are many: they are asked for only while a list shows them.
      const kind = this.needsOptions ? "any" : "future";
      const rows = await link.tryCall("public/get_book_summary_by_currency", { currency: "USDC", kind });
      for (const row of rows ?? [])
        this._take(row.instrument_name, {
          mark_price: row.mark_price, last_price: row.last, best_bid_price: row.bid_price,
          best_ask_price: row.ask_price, open_interest: row.open_interest, price_change: row.price_change,
          volume: row.volume, volume_usd: row.volume_usd, high: row.high, low: row.low, underlying_price: row.underlying_price, ...(row.mark_iv === undefined ? {} : { mark_iv: row.mark_iv }),
        });
      if (rows === null) await this._askEach();
    } catch {
      // The link says what is wrong; the next round asks again.
    } finally {
      this._isAsking = false;
    }
  }

  /** A node without summaries: a few tickers a round. */
  async _askEach() {
    const names = [...this._app.instruments.keys()];
    for (let count = 0; count < Math.min(12, names.length); count++) {
      const name = names[(this._at = ((this._at ?? -1) + 1) % names.length)];
      this._take(name, await this._app.link.call("public/ticker", { instrument_name: name }));
    }
  }
}

/** The change over 24 hours in percent, where the node tells one. */
export const changeOf = quote => quote?.price_change ?? quote?.stats?.price_change ?? null;

export const lastMarket = () => recall("market");
export const keepMarket = name => remember("market", name);

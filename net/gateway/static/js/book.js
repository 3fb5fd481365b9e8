// A mirror of one market's book: the snapshot and every change after it, in whole ticks.

import { inSteps } from "./decimal.js";

export class Book {
  /** `onChange()` after every message. */
  constructor(app, instrument, onChange) {
    this.instrument = instrument;
    this.bids = new Map();
    this.asks = new Map();
    this._changeId = null;
    this._channel = `book.${instrument.instrument_name}.100ms`;
    this._onChange = onChange;
    this._stop = app.link.subscribe(this._channel, data => this._take(app, data));
  }

  stop() {
    this._stop();
  }

  _take(app, data) {
    if (data.type === "snapshot") {
      this.bids.clear();
      this.asks.clear();
    } else if (this._changeId !== null && data.prev_change_id !== this._changeId) {
      // Something between was lost. The next message is a snapshot.
      this._changeId = null;
      return app.link.resync(this._channel);
    }
    this._changeId = data.change_id;
    for (const side of ["bids", "asks"])
      for (const level of data[side]) {
        const [action, price, amount] = level.length === 3 ? level : ["new", ...level];
        const ticks = Number(inSteps(price, this.instrument.tick_size));
        if (action === "delete" || !Number(amount)) this[side].delete(ticks);
        else this[side].set(ticks, Number(inSteps(amount, this.instrument.min_trade_amount)));
      }
    return this._onChange();
  }

  /** Up to `count` levels of `width` ticks, best first: {ticks, lots, sum}. A grouped bid is the lower end, an ask the upper. */
  levels(side, count, width = 1) {
    const isBid = side === "bids", grouped = new Map();
    for (const [ticks, lots] of this[side]) {
      const at = isBid ? Math.floor(ticks / width) * width : Math.ceil(ticks / width) * width;
      grouped.set(at, (grouped.get(at) ?? 0) + lots);
    }
    const found = [...grouped].sort((a, b) => (isBid ? b[0] - a[0] : a[0] - b[0])).slice(0, count);
    let sum = 0;
    return found.map(([ticks, lots]) => ({ ticks, lots, sum: (sum += lots) }));
  }

  best(side) {
    const all = [...this[side].keys()];
    return all.length ? all.reduce((a, b) => (side === "bids" ? Math.max(a, b) : Math.min(a, b))) : null;
  }
}

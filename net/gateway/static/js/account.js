// The account on the screen: read when it changed, and now and then because marks move.

const MARKS_MS = 2000, HISTORY = 100;

export class Account {
  /** Event `account` of the app: {summary, positions, orders, history, fills, error}. */
  constructor(app) {
    this._app = app;
    this._stops = [];
    this._clear();
    app.on("session", () => this._follow());
    app.on("ready", () => this._read());
    setInterval(() => !document.hidden && this._read(), MARKS_MS);
  }

  _clear() {
    this.data = { owner: null, summary: null, positions: [], orders: [], history: [], fills: [], error: null };
  }

  _follow() {
    this._stops.forEach(stop => stop());
    this._clear();
    const account = this._app.session.account;
    this._stops = [];
    if (account) {
      const soon = () => {
        clearTimeout(this._timer);
        this._timer = setTimeout(() => this._read(), 60);
      };
      for (const topic of ["orders", "trades"])
        this._stops.push(this._app.link.subscribe(`user.${topic}.${account.owner}`, list => this._take(topic, list, soon)));
      this._read(true);
    }
    this._app.emit("account", this.data);
  }

  _take(topic, list, soon) {
    const { subaccount } = this._app.session.account;
    const mine = list.filter(item => (item.x_subaccount ?? 0) === subaccount);
    if (!mine.length) return;
    if (topic === "orders") this._apply(mine);
    else this._addFills(mine);
    this._app.emit("account", this.data);
    soon();
  }

  /** Orders as they are now: the open ones, and the history of those that are gone. */
  _apply(list) {
    const open = new Map(this.data.orders.map(order => [order.order_id, order]));
    const gone = new Map(this.data.history.map(order => [order.order_id, order]));
    for (const order of list) {
      const isOpen = order.order_state === "open" || order.order_state === "untriggered";
      if (isOpen) open.set(order.order_id, order);
      else {
        open.delete(order.order_id);
        gone.set(order.order_id, order);
      }
    }
    this.data.orders = [...open.values()];
    this.data.history = newest([...gone.values()], "last_update_timestamp");
  }

  _addFills(list) {
    const known = new Map(this.data.fills.map(fill => [fill.trade_id + fill.order_id, fill]));
    for (const fill of list) known.set(fill.trade_id + fill.order_id, fill);
    this.data.fills = newest([...known.values()], "timestamp");
  }

  async _read(isFirst = false) {
    const { link, session } = this._app, account = session.account;
    if (!account || link.state.name !== "live" || (this._isReading && !isFirst)) return;
    this._isReading = true;
    const whose = { owner: account.owner, subaccount: account.subaccount };
    try {
      const summary = await link.call("private/get_account_summary", { ...whose, currency: "USDC" });
      const positions = await link.call("private/get_positions", { ...whose, currency: "USDC" });
      const orders = await link.call("private/get_open_orders", whose);
      if (session.account !== account) return;
      Object.assign(this.data, { owner: account.owner, summary, error: null,
        positions: positions.filter(position => Number(position.size)), orders });
      this._app.emit("account", this.data);
      if (isFirst || !this._hasHistory) await this._readHistory(whose, positions);
    } catch (error) {
      if (session.account === account) this.data.error = error;
    } finally {
      this._isReading = false;
    }
    this._app.emit("account", this.data);
  }

  async _readHistory(whose, positions) {
    const { link } = this._app, wanted = { ...whose, currency: "USDC", count: HISTORY };
    this._hasHistory = true;
    const gone = await link.tryCall("private/get_order_history_by_currency", wanted).catch(() => null);
    if (gone) this._apply(gone);
    const trades = await link.tryCall("private/get_user_trades_by_currency", wanted).catch(() => null);
    if (trades) return this._addFills(trades.trades ?? trades);
    for (const { instrument_name } of positions) {
      const more = await link.call("private/get_user_trades_by_instrument", { ...whose, instrument_name, count: HISTORY });
      this._addFills(more.trades);
    }
    return undefined;
  }
}

const newest = (list, time) => list.sort((a, b) => b[time] - a[time]).slice(0, 200);

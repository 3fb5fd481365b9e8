// The public trades of the chosen market: the last ones first, then every new one. Chart and tape read them.

const COUNT = 500;

export function followTrades(app) {
  let stop = () => {}, turn = 0;
  app.on("market", instrument => follow(instrument.instrument_name));
  app.on("ready", () => app.market && follow(app.market));

  async function follow(name) {
    const mine = ++turn, early = [];
    let isLoaded = false;
    stop();
    stop = app.link.subscribe(`trades.${name}.raw`, list => {
      // A block's trades come in the order in which they happened.
      if (isLoaded) app.emit("trades", list);
      else early.push(...list);
    });
    try {
      const { trades } = await app.link.call("public/get_last_trades_by_instrument", { instrument_name: name, count: COUNT });
      if (mine !== turn) return;
      const known = new Set(trades.map(trade => trade.trade_id));
      app.emit("trade history", [...trades.reverse(), ...early.filter(trade => !known.has(trade.trade_id))]);
      isLoaded = true;
    } catch {
      isLoaded = true;
    }
  }
}

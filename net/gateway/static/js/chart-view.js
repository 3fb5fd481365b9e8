// Candles with volume. The past comes from the node's candles or, on a node without them, from its trades; the present
// from the trades as they come.

import {
  CandlestickSeries, CrosshairMode, HistogramSeries, LineStyle, createChart,
} from "../vendor/lightweight-charts/lightweight-charts.mjs";
import { at, el, setText, toggle } from "./dom.js";
import { placesOf } from "./decimal.js";
import { amount, price } from "./format.js";
import { recall, remember } from "./store.js";

// Resolution as the API names it, its minutes, and how much of the past is asked for.
const RESOLUTIONS = [["1", 1, "1m"], ["5", 5, "5m"], ["15", 15, "15m"], ["60", 60, "1h"], ["360", 360, "6h"], ["1D", 1440, "1D"]];
const CANDLES = 600;
const UP = "#3fa583", DOWN = "#d1606f";

export function mountChart(app) {
  let resolution = RESOLUTIONS.find(item => item[0] === recall("resolution", "1")) ?? RESOLUTIONS[0];
  let candles = [], turn = 0, trades = [], lines = [];
  const tabs = RESOLUTIONS.map(item => el("button", { type: "button", textContent: item[2], onclick: () => {
    resolution = item;
    remember("resolution", item[0]);
    load();
  } }));
  const legend = el("span", { className: "legend num" });
  const box = el("div", { className: "canvas" });
  at("chart").append(el("div", { className: "tools" }, el("div", { className: "seg small" }, ...tabs), legend,
    el("a", { className: "credit", href: "https://www.tradingview.com/", target: "_blank", rel: "noopener noreferrer" }, "Charts by TradingView")), box);
  const chart = createChart(box, {
    autoSize: true,
    layout: { background: { color: "transparent" }, textColor: "#8b96a3", fontSize: 11, attributionLogo: false,
      fontFamily: getComputedStyle(document.body).fontFamily },
    grid: { vertLines: { color: "#1a2028" }, horzLines: { color: "#1a2028" } },
    rightPriceScale: { borderColor: "#232a33" }, crosshair: { mode: CrosshairMode.Normal },
    localization: { priceFormatter: value => price(value, app.instrument()) },
    timeScale: { borderColor: "#232a33", timeVisible: true, secondsVisible: false, rightOffset: 6 },
  });
  const series = chart.addSeries(CandlestickSeries, { upColor: UP, downColor: DOWN, wickUpColor: UP, wickDownColor: DOWN, borderVisible: false });
  const volumes = chart.addSeries(HistogramSeries, { priceScaleId: "", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
  volumes.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
  series.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.22 } });

  const stepMs = () => resolution[1] * 60_000;
  const shown = ms => (ms - new Date(ms).getTimezoneOffset() * 60_000) / 1000;
  const volumeOf = bar => ({ time: bar.time, value: bar.volume, color: bar.close >= bar.open ? UP + "55" : DOWN + "55" });

  async function load() {
    const mine = ++turn, name = app.market, instrument = app.instrument();
    if (!instrument) return;
    tabs.forEach((tab, index) => toggle(tab, "here", RESOLUTIONS[index] === resolution));
    const minMove = Number(instrument.tick_size);
    series.applyOptions({ priceFormat: { type: "price", precision: placesOf(instrument.tick_size), minMove } });
    const endMs = app.nowMs();
    let data = null;
    try {
      data = await app.link.tryCall("public/get_tradingview_chart_data", {
        instrument_name: name, resolution: resolution[0], start_timestamp: Math.floor(endMs - CANDLES * stepMs()), end_timestamp: Math.floor(endMs),
      });
    } catch {
      // Without candles the trades make them.
    }
    if (mine !== turn) return;
    candles = (data?.ticks ?? []).map((ms, index) => ({ time: shown(ms), open: Number(data.open[index]), high: Number(data.high[index]),
      low: Number(data.low[index]), close: Number(data.close[index]), volume: Number(data.volume[index]) }));
    if (!candles.length) trades.forEach(trade => add(trade));
    series.setData(candles);
    volumes.setData(candles.map(volumeOf));
    if (candles.length) chart.timeScale().setVisibleLogicalRange({ from: Math.max(candles.length - 110, Math.min(0, candles.length - 45)), to: candles.length + 4 });
    tell(candles.at(-1));
  }

  /** The candle that the trade changes or makes. */
  function add(trade) {
    const time = shown(Math.floor(trade.timestamp / stepMs()) * stepMs()), value = Number(trade.price), volume = Number(trade.amount);
    const last = candles.at(-1);
    if (last && time < last.time) return null;
    if (last && time === last.time) {
      last.high = Math.max(last.high, value);
      last.low = Math.min(last.low, value);
      last.close = value;
      last.volume += volume;
      return last;
    }
    const bar = { time, open: value, high: value, low: value, close: value, volume };
    candles.push(bar);
    return bar;
  }

  function tell(bar) {
    const instrument = app.instrument();
    setText(legend, !bar || !instrument ? "" : `O ${price(bar.open, instrument)}  H ${price(bar.high, instrument)}  L ${price(bar.low, instrument)}  `
      + `C ${price(bar.close, instrument)}  V ${amount(bar.volume, instrument)}`);
  }

  chart.subscribeCrosshairMove(event => {
    const bar = event.time ? candles.find(candle => candle.time === event.time) : candles.at(-1);
    tell(bar);
  });
  app.on("market", () => {
    trades = [];
    candles = [];
    series.setData([]);
    volumes.setData([]);
    load();
  });
  app.on("trade history", list => {
    trades = list;
    if (!candles.length) load();
  });
  app.on("ready", load);
  app.on("trades", list => {
    trades.push(...list);
    for (const trade of list) {
      const bar = add(trade);
      if (bar) {
        series.update(bar);
        volumes.update(volumeOf(bar));
        tell(bar);
      }
    }
  });
  app.on("account", ({ orders }) => {
    lines.forEach(line => series.removePriceLine(line));
    lines = orders.filter(order => order.instrument_name === app.market && Number(order.price) > 0).slice(0, 20).map(order => series.createPriceLine({
      price: Number(order.price), color: order.direction === "buy" ? UP : DOWN, lineWidth: 1, lineStyle: LineStyle.Dotted, axisLabelVisible: false,
      title: `${order.direction} ${order.amount}`,
    }));
  });
}

// The trading terminal: its parts, which of them are shown, and the keys.

import { Account } from "./account.js";
import { mountAccount } from "./account-view.js";
import { App } from "./app.js";
import { mountBook } from "./book-view.js";
import { mountChart } from "./chart-view.js";
import { mountConnect } from "./connect-view.js";
import { at, el, toggle } from "./dom.js";
import { mountForm } from "./form-view.js";
import { mountMargin } from "./margin-view.js";
import { mountMarkets } from "./markets-view.js";
import { mountOptions } from "./options-view.js";
import { Quotes } from "./quotes.js";
import { mountRecent } from "./recent-view.js";
import { mountRisk } from "./risk-view.js";
import { mountStrip } from "./strip-view.js";
import { recall, remember } from "./store.js";
import { mountTape } from "./tape-view.js";
import { mountTop } from "./top.js";
import { followTrades } from "./trades.js";

const app = new App(), quotes = new Quotes(app);
mountTop(app);
mountConnect(app);
mountChart(app);
mountMarkets(app, quotes);
mountBook(app, quotes);
mountTape(app);
mountOptions(app, quotes);
mountForm(app, quotes);
mountMargin(app);
mountRecent(app);
mountAccount(app);
mountRisk(app);
mountStrip(app, quotes);
followTrades(app);
new Account(app);

const views = [["chart", "Chart"], ["options", "Options"]];
const viewTabs = views.map(([view, title]) => el("button", { type: "button", onclick: () => showView(view), data: { view } }, title));
at("views").append(...viewTabs);

function showView(view) {
  document.body.dataset.view = view;
  viewTabs.forEach(tab => toggle(tab, "here", tab.dataset.view === view));
  remember("view", view);
  app.emit("view", view);
}

// On a phone one part is shown at a time.
const parts = [["markets", "Markets"], ["stage", "Chart"], ["book", "Book"], ["form", "Trade"], ["bottom", "Account"]];
const partTabs = parts.map(([part, title]) => el("button", { type: "button", onclick: () => showPart(part), data: { part } }, title));
at("parts").append(...partTabs);

function showPart(part) {
  document.body.dataset.part = part;
  partTabs.forEach(tab => toggle(tab, "here", tab.dataset.part === part));
}

showView(recall("view", "chart"));
showPart("stage");
app.on("pick", () => {
  showPart("markets");
  at("search").focus();
});
app.on("market", () => document.body.dataset.part === "markets" && showPart("stage"));
app.on("price", () => document.body.dataset.part !== "stage" && showPart("form"));
app.on("edit", () => showPart("form"));

const KEYS = {
  "/": () => app.emit("pick"), b: () => app.emit("side", "buy"), s: () => app.emit("side", "sell"), c: () => showView("chart"), o: () => showView("options"),
  1: () => app.emit("pane", "positions"), 2: () => app.emit("pane", "orders"), 3: () => app.emit("pane", "history"), 4: () => app.emit("pane", "fills"), 5: () => app.emit("pane", "risk"), 6: () => app.emit("pane", "activity"),
};
document.addEventListener("keydown", event => {
  if (event.key === "Escape") document.activeElement?.blur();
  const isTyping = /INPUT|SELECT|TEXTAREA/.test(event.target.tagName) || document.querySelector("dialog[open]");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});

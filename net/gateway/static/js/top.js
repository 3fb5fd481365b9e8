// The bar that all pages share: where one is, how the node is, how the connection is.

import { at, el, setClass, setText } from "./dom.js";
import { group } from "./format.js";

const PLACES = [["/", "Trade"], ["/network", "Network"], ["/explorer", "Explorer"]];

export function mountTop(app) {
  const nav = PLACES.map(([path, name]) =>
    el("a", { href: path, className: location.pathname === path ? "here" : "", textContent: name }));
  const finality = el("span", { className: "chip", id: "finality", title: "Time from proposal to finality of the last blocks, median" });
  const testnet = el("span", { className: "chip testnet", hidden: true }, "test network");
  const height = el("a", { className: "chip height", id: "height", title: "The last final block", href: "/explorer" });
  const link = el("span", { className: "chip link", id: "link", attrs: { role: "status" } });
  at("top").prepend(
    el("a", { className: "brand", href: "/" }, el("img", { src: "/static/favicon.svg", alt: "", width: 18, height: 18 }), "Hansa"),
    el("nav", { attrs: { "aria-label": "pages" } }, ...nav), el("span", { className: "gap" }), testnet, height, finality, link);
  app.on("status", status => {
    testnet.hidden = !app.link.isTestnet;
    setText(height, group(status.height));
    setText(finality, status.finality_p50_ms ? `final in ${status.finality_p50_ms} ms` : "final");
    if (status.is_halted) show("bad", "halted");
    else if (status.is_syncing) show("wait", "catching up");
    else if (app.link.state.name === "live") show("good", "live", location.host + (app.link.isTestnet ? ", a test network" : ""));
  });
  function show(style, text, title = "") {
    setClass(link, "chip link " + style);
    setText(link, text);
    link.title = title;
  }
  let timer = null;
  app.link.onState(state => {
    clearInterval(timer);
    document.body.dataset.link = state.name;
    if (state.name === "live") return show("good", "live", location.host);
    if (state.name === "connecting") return show("wait", state.text);
    const count = () => show("bad", `offline · again in ${Math.max(0, Math.ceil((state.retryMs - Date.now()) / 1000))} s`, state.text);
    count();
    timer = setInterval(count, 500);
    return undefined;
  });
}

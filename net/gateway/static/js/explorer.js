// The explorer: blocks, one block, one command, one order's life, one account with its proof. Where one is stands behind
// the # of the address, so every view can be linked to.

import { App } from "./app.js";
import { Blocks } from "./blocks.js";
import { Table, at, el, setText } from "./dom.js";
import { clock, group, shortHex } from "./format.js";
import { mountTop } from "./top.js";
import { showAccount } from "./explorer-account.js";
import { showBlock } from "./explorer-block.js";
import { showCommand, showOrder } from "./explorer-life.js";
import { inWords } from "./words.js";

const LISTED = 40;
const VIEWS = { block: showBlock, command: showCommand, order: showOrder, account: showAccount };

const app = new App();
mountTop(app);
const main = at("main"), view = el("div", { className: "contents" });
const input = el("input", { type: "search", placeholder: "Block height, command id, order id such as BTC-PERPETUAL-17, or an address", id: "find", autocomplete: "off", spellcheck: false });
const find = el("form", { className: "find", onsubmit: event => {
  event.preventDefault();
  const text = input.value.trim(), kind = kindOf(text);
  if (kind) location.hash = `${kind}=${text}`;
  else view.replaceChildren(said(`“${text}” is no height, command id, order id or address.`));
} }, input, el("button", { type: "submit", className: "submit quiet" }, "Find"));
main.append(el("section", { className: "card" }, find), view);

export function kindOf(text) {
  if (/^\d+$/.test(text)) return "block";
  if (/^(0x)?[0-9a-f]{64}$/i.test(text)) return "command";
  if (/^(0x)?[0-9a-f]{40}(\/\d+)?$/i.test(text)) return "account";
  return /^[A-Za-z0-9_]+-[A-Za-z0-9_-]*\d+$/.test(text) ? "order" : null;
}

function said(text) {
  return el("section", { className: "card" }, el("p", { className: "none" }, text));
}
view.append(said("Connecting to the node…"));
const list = el("div", { className: "scrolled" }), blocksCard = el("section", { className: "card" }, el("h2", {}, "Blocks"), list);
const table = new Table(list, [["Height", "num link"], ["Time", "num"], ["Actions", "num"], ["Trades", "num"], ["Hash", "mono"], ["State root", "mono wide"]], (row, block) => {
  [group(block.height), clock(block.timestamp), group(block.commands), group(block.trades), shortHex(block.hash, 18, 6), shortHex(block.state_root, 18, 6)]
    .forEach((text, index) => setText(row.children[index], text));
  row.firstChild.onclick = () => (location.hash = "block=" + block.height);
}, "Waiting for a block.");
new Blocks(app, LISTED, blocks => table.show(blocks));

let turn = 0;
async function route() {
  const mine = ++turn, [kind, ...rest] = location.hash.slice(1).split("=");
  const show = VIEWS[kind], text = decodeURIComponent(rest.join("="));
  if (!show) return view.replaceChildren(blocksCard);
  input.value = text;
  view.replaceChildren(said("Looking…"));
  try {
    const cards = await show(app, text);
    if (mine === turn) view.replaceChildren(...cards);
  } catch (error) {
    if (mine === turn) view.replaceChildren(said(inWords(error)));
  }
  return undefined;
}
window.addEventListener("hashchange", route);
app.on("ready", route);

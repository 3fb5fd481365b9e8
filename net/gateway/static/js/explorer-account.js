// One account: what it has, and the proof of it, checked in this browser.

import { el } from "./dom.js";
import { fromUnits } from "./decimal.js";
import { amount, clock, group, moment, price, shortHex, usd } from "./format.js";
import { card, grid, mono, to, words } from "./explorer-parts.js";
import { checkProof } from "./proof.js";
import { toHex } from "./hex.js";
import { inWords } from "./words.js";

export async function showAccount(app, text) {
  const [address, number = "0"] = text.split("/"), owner = (address.startsWith("0x") ? address : "0x" + address).toLowerCase();
  const whose = { owner, subaccount: Number(number) }, { link, instruments } = app;
  const summary = await link.call("private/get_account_summary", { ...whose, currency: "USDC" });
  const positions = (await link.call("private/get_positions", { ...whose, currency: "USDC" })).filter(item => Number(item.size));
  const orders = await link.call("private/get_open_orders", whose);
  const withdrawals = await link.call("public/x_get_withdrawals", { owner }).catch(() => []);
  const inbox = await link.call("public/x_get_inbox", { owner }).catch(() => []);
  const side = item => el("span", { className: item === "buy" ? "up" : "down" }, item);
  return [
    card("Account", "half", words([["Owner", mono(owner)], ["Subaccount", number], ["Place in the tree", summary.x_account_index], ["Equity", usd(summary.equity) + " USDC"], ["Balance", usd(summary.balance) + " USDC"],
      ["Initial margin", usd(summary.initial_margin)], ["Maintenance margin", usd(summary.maintenance_margin)], ["May withdraw", usd(summary.available_withdrawal_funds)], ["Model", summary.margin_model], ["As of", to("block", summary.x_height, "block " + group(summary.x_height))]])),
    await proofCard(app, whose),
    card(`Positions (${positions.length})`, "half", grid([["Market", ""], ["Size", "num"], ["Mark", "num"], ["Value", "num"], ["Liq. price", "num"]], positions.map(item => {
      const instrument = instruments.get(item.instrument_name);
      return [item.instrument_name, group(item.size), price(item.mark_price, instrument), usd(item.x_value), item.estimated_liquidation_price ? price(item.estimated_liquidation_price, instrument) : "–"];
    }), "No open positions.")),
    card(`Open orders (${orders.length})`, "half", grid([["Placed", "num"], ["Market", ""], ["Side", ""], ["Price", "num"], ["Amount", "num"], ["Order", ""]], orders.slice(0, 60).map(item => {
      const instrument = instruments.get(item.instrument_name);
      return [clock(item.creation_timestamp), item.instrument_name, side(item.direction), price(item.price, instrument), amount(item.amount, instrument), to("order", item.order_id)];
    }), "No open orders.")),
    card("Deposits and forced actions", "half", grid([["Entry", "num"], ["Kind", ""], ["Amount, token units", "num"], ["State", ""], ["Block", "num"]], inbox.map(item =>
      [item.index, item.kind, group(item.amount), item.state, item.x_height ? to("block", item.x_height, group(item.x_height)) : "–"]), "None that this node remembers.")),
    card("Withdrawals", "half", grid([["No.", "num"], ["Amount", "num"], ["Time", "num"], ["State", ""], ["Block", "num"]], withdrawals.map(item =>
      [item.index, usd(item.amount), moment(item.created_timestamp), item.x_status.replace("_", " "), to("block", item.x_height, group(item.x_height))]), "None.")),
  ];
}

async function proofCard(app, whose) {
  let proof;
  try {
    proof = await app.link.call("public/x_get_proof", whose);
  } catch (error) {
    return card("Proof", "half", el("p", { className: "none" }, inWords(error)));
  }
  const { checks, nodes } = checkProof(proof);
  const path = el("div", { className: "path mono", hidden: true }, ...nodes.map((node, level) => el("div", {}, el("span", { className: "dim" }, level), el("span", {}, shortHex(toHex(node.hash), 22, 6)), el("span", { className: "dim" }, usd(fromUnits(node.claims, 6))))));
  const toggle = el("button", { type: "button", className: "toggle", onclick: () => (path.hidden = !path.hidden) }, "Show the path, leaf to root");
  const save = el("a", { href: "data:application/json," + encodeURIComponent(JSON.stringify(proof, null, 1)), download: `proof-${proof.certificate.height}.json` }, "Save the proof");
  return card("Proof, checked in this browser", "half", el("ul", { className: "checks" }, ...checks.map(([isSo, text]) => el("li", { className: isSo ? "good" : "bad" }, text)),
    el("li", {}, `${proof.certificate.signers.length} members signed; their BLS signature is checked by hansa and by the contract, not by this page.`)),
  words([["Claim", usd(proof.claims, 6) + " USDC"], ["Debt", usd(proof.debt, 6) + " USDC"], ["Against", to("block", proof.certificate.height, "block " + group(proof.certificate.height))], ["", save], ["", toggle]]), path);
}

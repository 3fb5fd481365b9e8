// One command, one order: from the node's receipt to the checkpoint on the settlement chain.

import { el } from "./dom.js";
import { amount, group, moment, price, shortHex, usd } from "./format.js";
import { card, grid, life, mono, to, when, words } from "./explorer-parts.js";
import { certificateCard } from "./explorer-block.js";

async function stepsOf(app, height, result, receipt) {
  const certificate = height ? await app.link.call("public/x_get_certificate", { height }).catch(() => null) : null;
  const onChain = app.status?.onchain_height ?? 0, isOnChain = height && onChain >= height;
  const status = !height ? result?.status ?? "received" : isOnChain ? "on_chain" : "certified";
  const isRefused = Boolean(result?.code);
  const steps = life(status, [
    ["received", "Receipt", receipt ? `signed by node ${receipt.node}` : "a node promised to pass it on", when(receipt?.received_ms)],
    ["included", "Block", height ? `block ${group(height)}` : "not in a block yet", when(result?.timestamp ?? (height ? certificate?.timestamp : null))],
    ["certified", "Certificate", certificate ? `${certificate.signers.length} members signed; nothing can undo it` : "not certified yet"],
    ["on_chain", "Checkpoint", isOnChain ? `on the settlement chain up to block ${group(onChain)}` : height ? `the chain has it up to block ${group(onChain)}` : ""],
  ], isRefused);
  return { certificate, status, card: card("Life", "", steps) };
}

export async function showCommand(app, text) {
  const id = text.startsWith("0x") ? text : "0x" + text;
  const more = await app.link.tryCall("public/x_get_command", { command_id: id }).catch(() => null);
  const result = more?.result ?? more ?? (await app.link.call("public/x_get_command_status", { command_id: id }));
  const steps = await stepsOf(app, result.height, result, more?.receipt);
  const cards = [steps.card, card("Command", "half", words([["Id", mono(id)], ["Status", result.status ?? steps.status], ["What", more?.text], ["Account", more?.owner ? to("account", `${more.owner}/${more.subaccount ?? 0}`) : null],
    ["Result", result.code === undefined ? "not executed yet" : el("span", { className: result.code ? "down" : "up" }, result.code ? `${result.code} ${result.reason}` : "accepted")],
    ["Order", result.order_id ? to("order", result.order_id) : result.order_number ? `number ${result.order_number}` : null], ["Order state", result.order_state],
    ["Block", result.height ? to("block", result.height, group(result.height)) : "–"], ["Time", when(result.timestamp)], ["Filled value", result.filled_value ? usd(result.filled_value) + " USDC" : null]]))];
  if (steps.certificate) cards.push(certificateCard(app, steps.certificate, result.height));
  if (result.trades?.length) cards.push(fillsCard(app, result.trades));
  return cards;
}

function fillsCard(app, trades) {
  return card("Trades", "", grid([["Time", "num"], ["Market", ""], ["Side", ""], ["Price", "num"], ["Amount", "num"], ["Fee", "num"], ["", ""], ["Block", "num"], ["Trade", "num"]], trades.map(trade => {
    const instrument = app.instruments.get(trade.instrument_name);
    return [moment(trade.timestamp), trade.instrument_name, el("span", { className: trade.direction === "buy" ? "up" : "down" }, trade.direction), price(trade.price, instrument), amount(trade.amount, instrument),
      usd(trade.fee, 4), trade.liquidity === "M" ? "maker" : "taker", to("block", trade.x_height, group(trade.x_height)), trade.trade_id];
  }), "It has not traded."));
}

export async function showOrder(app, text) {
  const order = await app.link.call("private/get_order_state", { order_id: text });
  const instrument = app.instruments.get(order.instrument_name);
  const owner = order.x_owner, subaccount = order.x_subaccount ?? 0;
  const found = await app.link.call("private/get_user_trades_by_instrument", { owner, subaccount, instrument_name: order.instrument_name, count: 1000 }).catch(() => ({ trades: [] }));
  const fills = found.trades.filter(trade => trade.order_id === order.order_id);
  const height = order.x_placed_height ?? order.x_created_height ?? (await heightAt(app, order.creation_timestamp)) ?? fills.at(-1)?.x_height;
  const steps = await stepsOf(app, height, { timestamp: order.creation_timestamp }, null);
  const cards = [steps.card, card(`Order ${order.order_id}`, "half", words([["Market", order.instrument_name], ["Side", el("span", { className: order.direction === "buy" ? "up" : "down" }, order.direction)], ["Type", order.order_type.replace("_", " ")],
    ["Price", order.price === "market_price" ? "market" : price(order.price, instrument)], ["Amount", amount(order.amount, instrument)], ["Filled", amount(order.filled_amount, instrument)], ["Average", order.average_price ? price(order.average_price, instrument) : "–"],
    ["State", order.order_state + (order.cancel_reason ? ` (${order.cancel_reason})` : "")], ["Terms", [order.time_in_force, order.post_only && "post-only", order.reduce_only && "reduce-only"].filter(Boolean).join(", ")],
    ["Placed", moment(order.creation_timestamp)], ["Changed", moment(order.last_update_timestamp)], ["Label", order.label || null], ["Account", owner ? to("account", `${owner}/${subaccount}`, shortHex(owner, 14, 6)) : null], ["Block", height ? to("block", height, group(height)) : "–"]]))];
  if (steps.certificate) cards.push(certificateCard(app, steps.certificate, height));
  cards.push(fillsCard(app, fills));
  return cards;
}

/** The block of a moment: an order was made in the block whose time it carries. */
async function heightAt(app, ms) {
  let low = 1, high = app.status?.height ?? 0;
  for (let tries = 0; low <= high && tries < 40; tries++) {
    const middle = Math.floor((low + high) / 2);
    const found = await app.link.call("public/x_get_certificate", { height: middle }).catch(() => null);
    if (!found) return null;
    if (found.timestamp === ms) return found.height;
    if (found.timestamp < ms) low = found.height + 1;
    else high = middle - 1;
  }
  return null;
}

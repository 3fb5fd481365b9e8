// One command, one order: from the node's receipt to the checkpoint on the settlement chain.

import { el } from "./dom.js";
import { amount, group, moment, price, shortHex, usd } from "./format.js";
import { card, grid, life, mono, to, when, words } from "./explorer-parts.js";
import { certificateCard, outcomeOf } from "./explorer-block.js";

/** From the receipt to the checkpoint; `known`: what a node tells of a command's life, as far as it tells. */
async function stepsOf(app, height, known) {
  const certificate = known?.certificate ?? (height ? await app.link.call("public/x_get_certificate", { height }).catch(() => null) : null);
  const onChain = known?.checkpoint?.height ?? app.status?.onchain_height ?? 0, isOnChain = Boolean(height) && onChain >= height;
  const status = !height ? known?.status ?? "received" : isOnChain ? "on_chain" : "certified";
  const own = app.commands.entries.find(entry => entry.id === known?.command_id), block = known?.block;
  const steps = life(status, [
    ["received", "Receipt", own?.receipt ? `signed by node ${own.receipt.node}` : "a node's signed promise to pass it on", when(own?.receipt?.received_ms)],
    ["included", "Block", height ? to("block", height, `block ${group(height)}`) : "not in a block yet", when(block?.timestamp ?? known?.timestamp), block ? `proposed by member ${block.proposer}` : null],
    ["certified", "Certificate", certificate ? `${certificate.signers.length} members signed: nothing can undo it` : "not certified yet", certificate && certificate.height !== height ? `with block ${group(certificate.height)}` : null],
    ["on_chain", "Checkpoint", isOnChain ? `on the settlement chain up to block ${group(onChain)}` : height ? `so far the chain has block ${group(onChain)}` : ""],
  ], Boolean(known?.action?.result.code));
  return { certificate, card: card("Life", "", steps) };
}

export async function showCommand(app, text) {
  const id = (text.startsWith("0x") ? text : "0x" + text).toLowerCase();
  const known = (await app.link.tryCall("public/x_get_command", { command_id: id })) ?? { command_id: id, action: null };
  const { action } = known, result = action?.result ?? (await app.link.call("public/x_get_command_status", { command_id: id }));
  const height = action?.height ?? result.height, steps = await stepsOf(app, height, { status: result.status, timestamp: result.timestamp, ...known });
  const market = action && app.instrumentOf(action.fields.market), order = result.order_number && market ? `${market.instrument_name}-${result.order_number}` : null;
  const cards = [steps.card, card("Command", "half", words([["What", action?.text], ["Id", mono(id)], ["Status", (known.status ?? result.status).replace("_", " ")], ["Result", outcomeOf(result)], ["Kind", action?.kind],
    ["Account", action ? to("account", `${action.owner}/${action.subaccount}`, action.owner) : null], ["Nonce", action?.nonce], ["Valid until", action && action.expiry_ms < 8e15 ? moment(action.expiry_ms) : null],
    ["Order", order ? to("order", order) : null], ["Block", height ? to("block", height, group(height)) : "–"], ["Time", when(result.timestamp)], ["Filled value", Number(result.filled_value) ? usd(result.filled_value) + " USDC" : null]]))];
  if (steps.certificate) cards.push(certificateCard(app, steps.certificate, height));
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
  const steps = await stepsOf(app, height, { timestamp: order.creation_timestamp });
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

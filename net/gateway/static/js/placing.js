// From what a form says to the signed action: exact, or refused with a sentence.

import { fromSteps, inSteps, nearestStep, placesOf } from "./decimal.js";
import { group } from "./format.js";
import {
  ALL_MARKETS, AT_MARKET, BUY, FILL_OR_KILL, GOOD_TILL_CANCELLED, IMMEDIATE_OR_CANCEL, POST_ONLY, REDUCE_ONLY, SELL, TRIGGER_BELOW,
} from "./messages.js";

export const TYPES = {
  limit: { title: "Limit", hasPrice: true }, market: { title: "Market" },
  stop_market: { title: "Stop market", isStop: true, hasTrigger: true }, stop_limit: { title: "Stop limit", hasPrice: true, isStop: true, hasTrigger: true },
  take_market: { title: "Take profit market", hasTrigger: true }, take_limit: { title: "Take profit limit", hasPrice: true, hasTrigger: true },
};
const TIMES_IN_FORCE = { gtc: GOOD_TILL_CANCELLED, ioc: IMMEDIATE_OR_CANCEL, fok: FILL_OR_KILL };

function readSteps(value, step, what) {
  if (String(value).trim() === "") throw Error(`${what} is missing.`);
  const count = inSteps(value, step);
  if (count !== null && count > 0n) return count;
  const number = Number(value);
  if (!Number.isFinite(number) || number <= 0) throw Error(`${what} must be a number above zero.`);
  throw Error(`${what} must be a multiple of ${step}; the nearest is ${group(nearestStep(value, step), placesOf(step))}.`);
}

/** Struct and members to sign, the same as a method of the API for a gateway that signs itself, and a text. `order`: side, type, price, trigger, amount, timeInForce, isPostOnly, isReduceOnly. */
export function readOrder(instrument, order) {
  const kind = TYPES[order.type], isBuy = order.side === "buy";
  const sizeLots = readSteps(order.amount, instrument.min_trade_amount, "The amount");
  const members = { market: instrument.instrument_id, side: isBuy ? BUY : SELL, sizeLots, priceTicks: 0n, flags: 0 };
  if (kind.hasPrice) members.priceTicks = readSteps(order.price, instrument.tick_size, "The price");
  members.timeInForce = kind.hasPrice ? TIMES_IN_FORCE[order.timeInForce] : IMMEDIATE_OR_CANCEL;
  if (order.isPostOnly && kind.hasPrice) members.timeInForce = POST_ONLY;
  if (!kind.hasPrice) members.flags |= AT_MARKET;
  if (order.isReduceOnly) members.flags |= REDUCE_ONLY;
  if (kind.hasTrigger) {
    members.triggerTicks = readSteps(order.trigger, instrument.tick_size, "The trigger price");
    // A stop fires when the price moves against the position it protects, a take when it moves with it.
    if (Boolean(kind.isStop) !== isBuy) members.flags |= TRIGGER_BELOW;
  }
  const at = kind.hasPrice ? ` at ${group(fromSteps(members.priceTicks, instrument.tick_size))}` : " at market";
  const when = kind.hasTrigger ? `, ${kind.isStop ? "stop" : "take"} ${group(order.trigger)}` : "";
  const text = `${order.side} ${fromSteps(sizeLots, instrument.min_trade_amount)} ${instrument.instrument_name}${at}${when}`;
  return { name: kind.hasTrigger ? "Trigger" : "Place", members, text, ...asMethod(instrument, order, members) };
}

const FORCES = { [GOOD_TILL_CANCELLED]: "good_til_cancelled", [POST_ONLY]: "good_til_cancelled", [IMMEDIATE_OR_CANCEL]: "immediate_or_cancel", [FILL_OR_KILL]: "fill_or_kill" };

function asMethod(instrument, order, members) {
  const kind = TYPES[order.type], params = { instrument_name: instrument.instrument_name, type: order.type, amount: fromSteps(members.sizeLots, instrument.min_trade_amount) };
  if (kind.hasPrice) Object.assign(params, { price: fromSteps(members.priceTicks, instrument.tick_size), time_in_force: FORCES[members.timeInForce] });
  if (kind.hasTrigger) Object.assign(params, { trigger: "mark_price", trigger_price: fromSteps(members.triggerTicks, instrument.tick_size) });
  if (members.timeInForce === POST_ONLY) params.post_only = true;
  if (order.isReduceOnly) params.reduce_only = true;
  return { method: `private/${order.side}`, params };
}

const numberOf = order => BigInt(/-(\d+)$/.exec(order.order_id)[1]);

/** Whether price and amount of an order can be changed: it rests at a price of its own. */
export const canEdit = order => order.order_state === "open" && order.price !== "market_price";

/** A new price and a new whole amount, what is filled included, of an open order, which keeps its id. `wanted`: price, amount. */
export function readEdit(instrument, order, wanted) {
  const sizeLots = readSteps(wanted.amount, instrument.min_trade_amount, "The amount"), priceTicks = readSteps(wanted.price, instrument.tick_size, "The price");
  const amount = fromSteps(sizeLots, instrument.min_trade_amount), price = fromSteps(priceTicks, instrument.tick_size);
  return { name: "Amend", members: { market: instrument.instrument_id, orderId: numberOf(order), priceTicks, sizeLots },
    text: `change ${order.order_id} to ${amount} at ${group(price)}`, method: "private/edit", params: { order_id: order.order_id, amount, price } };
}

export function cancelOrder(app, order) {
  const market = app.instruments.get(order.instrument_name).instrument_id;
  return app.commands.send({ name: "Cancel", members: { market, orderId: numberOf(order) }, text: `cancel ${order.order_id}`,
    method: "private/cancel", params: { order_id: order.order_id } });
}

export function cancelAll(app) {
  return app.commands.send({ name: "CancelAll", members: { market: ALL_MARKETS }, text: "cancel all orders", method: "private/cancel_all", params: {} });
}

/** A market order that can only reduce. */
export function closePosition(app, position) {
  const instrument = app.instruments.get(position.instrument_name);
  const order = { type: "market", side: Number(position.size) > 0 ? "sell" : "buy", amount: String(position.size).replace("-", ""), isReduceOnly: true };
  const action = readOrder(instrument, order);
  return app.commands.send({ ...action, text: action.text + ", close" });
}

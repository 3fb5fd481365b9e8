// A signed message as the exchange takes it: a header of 112 bytes and actions of 96 (docs/protocol.md, section 5).

import { concat, fromHex, toHex, word } from "./hex.js";
import { digest } from "./signing.js";

export const BUY = 0, SELL = 1;
export const GOOD_TILL_CANCELLED = 0, IMMEDIATE_OR_CANCEL = 1, POST_ONLY = 2, FILL_OR_KILL = 3;
export const REDUCE_ONLY = 1, AT_MARKET = 16, TRIGGER_ON_LAST = 32, TRIGGER_BELOW = 64;
export const SCOPE_TRADE = 1, SCOPE_CANCEL = 2;
export const ALL_MARKETS = 0xffffffff;
const KINDS = { Place: 1, Cancel: 2, CancelAll: 3, Withdraw: 4, Amend: 5, Trigger: 6, SetSession: 10 };

// Where a member lies in the action: [offset, bytes]. Numbers are little-endian, an address is as it is.
const MEMBERS = {
  side: [1, 1], timeInForce: [2, 1], flags: [3, 1], scopes: [3, 1], market: [4, 4], asset: [4, 4], priceTicks: [8, 8],
  sizeLots: [16, 8], amountQuote: [16, 8], orderCapQuote: [16, 8], clientId: [24, 8], orderId: [32, 8],
  triggerTicks: [40, 8], displayLots: [48, 8], goodTillMs: [56, 8], validUntilMs: [56, 8], link: [64, 8],
  builder: [64, 8], key: [72, 20],
};

let lastNonce = 0n;

/** Microseconds, always growing. */
export function nextNonce() {
  const now = BigInt(Date.now()) * 1000n;
  lastNonce = now > lastNonce ? now : lastNonce + 1n;
  return lastNonce;
}

/** The struct of one action with all its members; those that are not given are zero. */
export function makeStruct(types, name, account, expiryMs, members) {
  const values = { owner: account.owner, subaccount: account.subaccount, nonce: nextNonce(), expiryMs };
  for (const member of types[name])
    if (!(member.name in values)) values[member.name] = members[member.name] ?? 0;
  return values;
}

/** The bytes of a message with this one action. */
export function encodeMessage(name, values, signature) {
  const action = new Uint8Array(96);
  action[0] = KINDS[name];
  for (const [member, [offset, length]] of Object.entries(MEMBERS)) {
    if (!(member in values)) continue;
    const bytes = member === "key" ? fromHex(values[member], 20) : word(values[member], length).reverse();
    action.set(bytes, offset);
  }
  return concat(
    fromHex(values.owner, 20), word(values.subaccount, 4).reverse(), word(values.nonce, 8).reverse(),
    word(values.expiryMs, 8).reverse(), signature, Uint8Array.of(1), new Uint8Array(6), action);
}

export function digestOf(domain, name, values) {
  return digest(domain.domain, domain.types, name, values);
}

/** What a wallet shows and signs, as the text that `eth_signTypedData_v4` takes. */
export function typedData(domain, name, values) {
  const types = { EIP712Domain: domain.types.EIP712Domain, [name]: domain.types[name] };
  const message = Object.fromEntries(Object.entries(values).map(([key, value]) =>
    [key, typeof value === "bigint" ? value.toString() : value]));
  return JSON.stringify({ domain: domain.domain, types, primaryType: name, message });
}

/** A wallet's 65 bytes with v as the exchange wants it. */
export function readSignature(text) {
  const bytes = fromHex(text, 65);
  if (bytes[64] >= 27) bytes[64] -= 27;
  return bytes;
}

export const messageId = hash => toHex(hash);

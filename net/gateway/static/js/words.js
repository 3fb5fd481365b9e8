// Errors and states in words.

import { LinkLost, Refused } from "./link.js";

const BY_REASON = {
  unknown_account: "This address has no account here yet. Deposit USDC into the settlement contract first.",
  insufficient_margin: "Not enough free margin for this order.",
  insufficient_balance: "Not enough balance.",
  would_cross: "Post-only: it would have traded at once, so it was not placed.",
  bad_signature: "The exchange does not know this session key. Connect again.",
  expired: "The order reached the exchange too late. Is this computer's clock right?",
  session_cap: "This order is worth more than the session key may sign.",
  unknown_order: "That order is not open any more.",
  price_outside_band: "The price is too far from the mark price.",
  rate_limited: "Too many requests. Wait a moment.",
};

export function inWords(error) {
  if (error instanceof LinkLost) return capital(error.message) + ".";
  if (error instanceof Refused) {
    const known = BY_REASON[error.reason];
    const text = known ?? capital(error.message);
    return `${text.replace(/[.]?$/, ".")} (${error.code})`;
  }
  if (error?.code === 4001) return "The wallet declined.";
  return capital(error?.message ?? String(error));
}

const capital = text => text.charAt(0).toUpperCase() + text.slice(1);

export const STATUS_STEPS = ["received", "certified", "on_chain"];
export const STATUS_WORDS = {
  received: "received", included: "in a block", executed: "executed", certified: "final", on_chain: "on chain",
};

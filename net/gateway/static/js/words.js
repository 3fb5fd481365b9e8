// Errors and states in words.

import { LinkLost, Refused } from "./link.js";

// Where a trader needs another sentence than the API's hint.
const BY_REASON = {
  unknown_account: "This address has no account here yet. Deposit USDC into the settlement contract first.",
  bad_signature: "The exchange does not know this session key, or it has expired. Connect again.",
  expired: "The order reached the exchange too late. Is this computer's clock right?",
  would_cross: "Post-only: it would have traded at once, so it was not placed.",
  not_reducing: "Reduce-only: there is no position that it would make smaller.",
  unknown_order: "That order is not open any more.",
};

export function inWords(error) {
  if (error instanceof LinkLost) return capital(error.message) + ".";
  if (error instanceof Refused) {
    const text = BY_REASON[error.reason] ?? capital(error.message);
    return `${text.replace(/[.]?$/, ".")} (${error.data.code ?? error.code})`;
  }
  if (error?.code === 4001) return "The wallet declined.";
  return capital(error?.message ?? String(error));
}

const capital = text => text.charAt(0).toUpperCase() + text.slice(1);

export const STATUS_STEPS = ["received", "certified", "on_chain"];
export const STATUS_WORDS = {
  received: "received", included: "in a block", executed: "executed", certified: "final", on_chain: "on chain",
};

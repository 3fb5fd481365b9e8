// What a certified header says of one account, checked here: the header's hash, its fields, and the path of the account's
// leaf to the roots in it (docs/protocol.md, sections 2 and 4).

import { toUnits } from "./decimal.js";
import { concat, fromHex, isSame, toHex, toNumber, word } from "./hex.js";
import { keccak } from "./signing.js";

export const HEADER_FIELDS = [
  "version", "epoch", "view", "height", "parent_hash", "parent_view", "proposer", "timestamp_ms", "payload_root", "next_committee_hash", "oracle_root",
  "inbox_cursor", "inbox_hash", "l1_block", "state_root", "account_root", "account_sums", "withdrawals_root", "withdrawals_total", "engine_version",
];
const AS_HASH = new Set(["parent_hash", "payload_root", "next_committee_hash", "oracle_root", "inbox_hash", "state_root", "account_root", "account_sums", "withdrawals_root"]);
const DEPTH = 20;

/** The twenty words of a header: [name, text]. Raises `Error` for what is no header. */
export function readHeader(hex) {
  const bytes = fromHex(hex, 640);
  return HEADER_FIELDS.map((name, index) => {
    const part = bytes.slice(32 * index, 32 * index + 32);
    return [name, AS_HASH.has(name) ? toHex(part) : toNumber(part).toString()];
  });
}

export const headerHash = hex => toHex(keccak(fromHex(hex, 640)));

const sums = (claims, debt) => concat(word(claims, 16), word(debt, 16));

/** The nodes from the leaf to the root: {hash, claims, debt}, as the answer of `public/x_get_proof` gives them. */
export function foldProof(proof) {
  const money = text => {
    const units = toUnits(text, 6);
    if (units === null) throw Error(`${text} is no amount of USDC`);
    return units;
  };
  const digest = keccak(concat(fromHex(proof.holdings), fromHex(proof.aux_hash, 32)));
  let node = { claims: money(proof.claims), debt: money(proof.debt) };
  node.hash = keccak(concat(word(1), word(proof.index), concat(new Uint8Array(12), fromHex(proof.owner, 20)), word(proof.subaccount), sums(node.claims, node.debt), digest));
  if (proof.siblings.length !== DEPTH) throw Error(`a path has ${DEPTH} steps`);
  const nodes = [node];
  proof.siblings.forEach((entry, level) => {
    const other = { hash: fromHex(entry.hash, 32), claims: money(entry.claims), debt: money(entry.debt) };
    const [left, right] = (BigInt(proof.index) >> BigInt(level)) & 1n ? [other, node] : [node, other];
    node = {
      hash: keccak(concat(left.hash, sums(left.claims, left.debt), right.hash, sums(right.claims, right.debt))),
      claims: left.claims + right.claims, debt: left.debt + right.debt,
    };
    nodes.push(node);
  });
  return nodes;
}

/** [is it so, sentence] for everything that can be checked without the committee's keys. */
export function checkProof(proof) {
  const header = Object.fromEntries(readHeader(proof.certificate.header)), nodes = foldProof(proof), root = nodes.at(-1);
  const isRoot = isSame(root.hash, fromHex(header.account_root)), isSums = isSame(sums(root.claims, root.debt), fromHex(header.account_sums));
  return {
    nodes,
    checks: [
      [headerHash(proof.certificate.header) === proof.certificate.header_hash, "The header's 640 bytes have the hash that the committee certified."],
      [isRoot, "The account's leaf leads to the account root in that header."],
      [isSums, "All claims and debts on the way add up to the sums in that header."],
    ],
  };
}

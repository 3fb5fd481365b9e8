// One block: its header word by word, its certificate with who signed, and what was in it.

import { el } from "./dom.js";
import { bytes, group, moment, shortHex } from "./format.js";
import { card, grid, mono, to, words } from "./explorer-parts.js";
import { headerHash, readHeader } from "./proof.js";

const MEANINGS = {
  version: "of the header", parent_hash: "the block before", payload_root: "hash of the payload's bytes", oracle_root: "price reports of this block",
  inbox_cursor: "entries of the contract's inbox consumed so far", l1_block: "final block of the settlement chain that the proposer saw", state_root: "everything after this block",
  account_root: "hash of the account tree", account_sums: "all claims and all debts", withdrawals_root: "all withdrawals since genesis", timestamp_ms: "the proposal's time",
  next_committee_hash: "who agrees next; zero except at the end of an epoch", withdrawals_total: "quote units withdrawn since genesis", view: "the attempt at agreement in which it was proposed",
};

const ACTIONS = 200;

/** The committee's size: a node tells it. */
const sizeOf = app => app.status?.validator_count ?? 4;

export function certificateCard(app, certificate, height) {
  const size = sizeOf(app), signers = new Set(certificate.signers);
  const isOwn = certificate.height === height;
  const squares = Array.from({ length: size }, (_, index) => el("span", { className: signers.has(index) ? "signed" : "", title: `member ${index} ${signers.has(index) ? "signed" : "is not in this certificate"}` }, index));
  const hash = headerHash(certificate.header);
  return card("Certificate", "half", words([["Signed by", `${signers.size} of ${size} members; ${size - Math.floor((size - 1) / 3)} are needed`], ["", el("div", { className: "signers" }, ...squares)],
    ["Certifies", isOwn ? "this block" : to("block", certificate.height, `block ${group(certificate.height)}, which this block is an ancestor of`)], ["View, epoch", `${group(certificate.view)}, ${certificate.epoch}`],
    ["Bitmap", mono(certificate.bitmap)], ["BLS signature", mono(shortHex(certificate.signature, 34, 10))],
    ["Header hash", el("span", { className: hash === certificate.header_hash ? "up" : "down" }, hash === certificate.header_hash ? "✓ computed here from the 640 bytes" : "✗ is not the hash of the header")]]));
}

export async function showBlock(app, text) {
  const height = Number(text), { link } = app;
  const block = await link.tryCall("public/x_get_block", { height, count: ACTIONS });
  const certificate = block?.certificate ?? (await link.call("public/x_get_certificate", { height }));
  const isOwn = certificate.height === height, fields = readHeader(certificate.header), known = Object.fromEntries(fields);
  const time = block?.timestamp ?? (isOwn ? certificate.timestamp : null);
  const cards = [card(`Block ${group(height)}`, "half", words([["Time", time ? moment(time) : null], ["Hash", mono(block?.hash ?? (isOwn ? certificate.header_hash : "–"))],
    ["Proposer", block ? `member ${block.proposer}` : isOwn ? `member ${known.proposer}` : null], ["Parent", height > 1 ? to("block", height - 1, group(height - 1)) : "genesis"], ["Next", to("block", height + 1, group(height + 1))],
    ["Actions", block ? group(block.commands) : null], ["Trades", block ? group(block.trades) : null], ["Batches", block ? group(block.batches) : null], ["Price reports", block ? group(block.price_reports) : null],
    ["Inbox entries", block ? group(block.inbox_entries) : null], ["Size", block ? bytes(block.size_bytes) : null], ["State root", block ? mono(shortHex(block.state_root, 22, 6)) : null],
    ["On chain", onChain(app, height, block)]])), certificateCard(app, certificate, height)];
  if (block) cards.push(actionsCard(block));
  else cards.push(card("Actions", "", el("p", { className: "none" }, "This node does not serve what was in a block.")));
  const note = isOwn ? "" : ` of block ${group(certificate.height)}, which carries the certificate`;
  cards.push(card("Header" + note + ": 20 words", "", grid([["Word", "num"], ["Field", ""], ["Value", "mono"], ["Meaning", "wide dim"]], fields.map(([name, value], index) =>
    [index, name, value, MEANINGS[name] ?? ""]), "")));
  return cards;
}

function onChain(app, height, block) {
  const last = app.status?.onchain_height ?? 0;
  return block?.is_on_chain || last >= height ? `yes, under the checkpoint of block ${group(Math.max(last, height))}` : "not yet";
}

/** What an action became, in one word. */
export function outcomeOf(result) {
  if (result.code === undefined || result.code === null) return el("span", { className: "dim" }, result.status);
  if (result.code) return el("span", { className: "down" }, `${result.code} ${result.reason.replaceAll("_", " ")}`);
  return el("span", { className: "up" }, result.order_number && result.order_state !== "rejected" ? result.order_state : result.cancelled ? `cancelled ${result.cancelled}` : "done");
}

function actionsCard(block) {
  const shown = block.actions.length, all = block.commands;
  return card(`Actions ${shown < all ? `(the first ${group(shown)} of ${group(all)})` : `(${group(all)})`}`, "", grid([["", "num"], ["What", ""], ["Result", ""], ["Trades", "num"], ["Account", "wide"], ["Id", ""]], block.actions.map(item =>
    [item.number, item.text, outcomeOf(item.result), item.result.trades?.length || "", to("account", `${item.owner}/${item.subaccount}`, shortHex(item.owner, 8)), to("command", item.command_id, shortHex(item.command_id))]),
  "None: only prices and time."));
}

// One block: its header word by word, its certificate with who signed, and what was in it.

import { el } from "./dom.js";
import { group, moment, shortHex } from "./format.js";
import { card, grid, mono, to, words } from "./explorer-parts.js";
import { HEADER_FIELDS, headerHash, readHeader } from "./proof.js";

const MEANINGS = {
  version: "of the header", parent_hash: "the block before", payload_root: "hash of the payload's bytes", oracle_root: "price reports of this block",
  inbox_cursor: "entries of the contract's inbox consumed so far", l1_block: "final block of the settlement chain that the proposer saw", state_root: "everything after this block",
  account_root: "hash of the account tree", account_sums: "all claims and all debts", withdrawals_root: "all withdrawals since genesis", timestamp_ms: "the proposal's time",
  next_committee_hash: "who agrees next; zero except at the end of an epoch", withdrawals_total: "quote units withdrawn since genesis", view: "the attempt at agreement in which it was proposed",
};

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
  const block = await link.tryCall("public/x_get_block", { height });
  const certificate = block?.certificate ?? (await link.call("public/x_get_certificate", { height }));
  const header = block?.header_bytes ?? block?.header ?? certificate.header;
  const fields = typeof header === "string" ? readHeader(header) : HEADER_FIELDS.filter(name => name in header).map(name => [name, header[name]]);
  const known = Object.fromEntries(fields), shown = Number(known.height);
  const cards = [card(`Block ${group(shown)}`, "half", words([["Time", moment(Number(known.timestamp_ms))], ["Hash", mono(shown === certificate.height ? certificate.header_hash : block?.hash ?? "–")],
    ["Proposer", `member ${known.proposer}`], ["Parent", height > 1 ? to("block", height - 1, group(height - 1)) : "genesis"], ["Next", to("block", height + 1, group(height + 1))],
    ["Actions", block ? group(block.commands?.length ?? block.command_count ?? 0) : null], ["Trades", block?.trades !== undefined ? group(block.trades?.length ?? block.trades) : null],
    ["On chain", app.status && app.status.onchain_height >= height ? `yes, under the checkpoint of block ${group(app.status.onchain_height)}` : "not yet"]])), certificateCard(app, certificate, height)];
  if (block?.commands) cards.push(commandsCard(block.commands));
  else cards.push(card("Actions", "", el("p", { className: "none" }, "This node does not serve what was in a block.")));
  const note = shown === height ? "" : ` (of block ${group(shown)}: this height has no certificate of its own here)`;
  cards.push(card("Header, 20 words" + note, "", grid([["Word", "num"], ["Field", ""], ["Value", "mono"], ["Meaning", "wide dim"]], fields.map(([name, value], index) =>
    [index, name, value, MEANINGS[name] ?? ""]), "")));
  return cards;
}

function commandsCard(commands) {
  return card(`Actions (${group(commands.length)})`, "", grid([["", "num"], ["What", ""], ["Result", ""], ["Order", ""], ["Account", "wide"], ["Id", ""]], commands.slice(0, 512).map((item, index) => {
    const isGood = item.code === 0 || item.code === undefined;
    const result = el("span", { className: isGood ? "up" : "down" }, isGood ? item.order_state && item.order_state !== "rejected" ? item.order_state : "done" : `${item.code} ${item.reason ?? ""}`);
    const owner = item.owner ?? item.x_owner, id = item.command_id ?? item.x_command_id ?? item.id;
    return [index, item.text ?? item.kind ?? "–", result, item.order_id ? to("order", item.order_id) : "", owner ? to("account", `${owner}/${item.subaccount ?? 0}`, shortHex(owner, 8)) : "", id ? to("command", id, shortHex(id)) : ""];
  }), "No actions: prices and time only."));
}

// The network page: who agrees, how fast, and what of it is on the settlement chain.

import { App } from "./app.js";
import { Blocks, rateOf } from "./blocks.js";
import { Table, at, atMostEvery, el, setClass, setText } from "./dom.js";
import { DASH, bytes, clock, group, percent, shortHex } from "./format.js";
import { drawHistogram, percentile, since, total } from "./histogram.js";
import { mountTop } from "./top.js";

const BARS = 90, COUNTERS_MS = 2000, SLOW_MS = 5000;
const STEP_WORDS = { here: "proposal here", signed: "vote to notarise signed", notarise_said: "vote durable and sent", executed: "executed", notarised: "notarised", finalise_said: "vote to finalise sent", finalised: "final" };

const app = new App();
mountTop(app);
const main = at("main");

function card(title, style, ...children) {
  const note = el("small"), made = el("section", { className: "card " + style }, el("h2", {}, title, note), ...children);
  main.append(made);
  return { made, note };
}
const figures = {};
const figure = (name, title, hint = "") => {
  const value = el("b", {}, DASH), more = el("i");
  figures[name] = (text, below = "", style = "") => {
    setText(value, text);
    setText(more, below);
    setClass(value, style);
  };
  return el("div", { className: "figure", title: hint }, el("small", {}, title), value, more);
};

card("Now", "", el("div", { className: "figures" }, figure("state", "State"), figure("height", "Final height"), figure("rate", "Blocks per second"),
  figure("p50", "Time to finality"), figure("p99", "99 of 100 within"), figure("commands", "Commands per second"), figure("epoch", "Epoch and view"), figure("settled", "On chain up to")));
const bars = el("div", { className: "bars" });
const barsCard = card("Blocks", "two", bars);
const settlement = el("dl", { className: "words" });
card("Settlement", "third", settlement);
const histogram = el("div", { className: "histogram" });
const histogramCard = card("Time from proposal to finality", "two", histogram);
const steps = el("div", { className: "scrolled" });
card("Steps of a block", "third", steps);
const committee = el("div", { className: "scrolled" });
const committeeCard = card("Committee", "two", committee);
const results = el("div", { className: "scrolled" });
card("What became of actions", "third", results);
const prices = el("div", { className: "scrolled" });
const pricesCard = card("Prices that the committee agreed on", "", prices);
const endpoints = el("div", { className: "scrolled" });
card("Settlement endpoints of this node", "half", endpoints);
const safety = el("dl", { className: "words" });
card("If it all stops", "half", safety);

const stepTable = new Table(steps, [["Step", ""], ["p50", "num"], ["p99", "num"], ["Blocks", "num"]], (row, [name, counts]) => {
  [STEP_WORDS[name] ?? name.replaceAll("_", " "), `${percentile(counts, 50)} ms`, `${percentile(counts, 99)} ms`, group(total(counts))].forEach((text, index) => setText(row.children[index], text));
}, "No block was measured yet.");
const committeeTable = new Table(committee, [["Member", ""], ["In certificates", ""], ["Now", ""], ["Frames in", "num wide"], ["Frames out", "num wide"], ["In", "num"], ["Out", "num"], ["BLS key", "wide mono"]], fillMember, "No certificate was seen yet.");
const resultTable = new Table(results, [["Result", ""], ["Actions", "num"], ["Share", "num"]], (row, [code, count, all]) => {
  [code === "0" ? "accepted" : `refused: ${code}`, group(count), percent(count / all)].forEach((text, index) => setText(row.children[index], text));
}, "No action was executed since this node started.");
const priceTable = new Table(prices, [["Index", ""], ["Price", "num"], ["Dispersion", "num"], ["As of", "num"], ["", ""], ["Reports, by member", ""]], (row, item) => {
  [item.name, group(item.price), `${item.dispersion_bps} bps`, clock(item.timestamp), item.is_fresh ? "fresh" : "stale", item.reports.join("   ")].forEach((text, index) => setText(row.children[index], text));
  setClass(row.children[4], item.is_fresh ? "up" : "down");
  setClass(row.children[5], "dim");
}, "This node does not serve price reports.");
const endpointTable = new Table(endpoints, [["Endpoint", ""], ["State", ""], ["Final block", "num"], ["", ""]], (row, item) => {
  [item.name, item.is_well ? "well" : "not well", group(item.final_block), item.fault ?? ""].forEach((text, index) => setText(row.children[index], text));
  setClass(row.children[1], item.is_well ? "up" : "down");
}, "This node follows no endpoint.");

function words(list, pairs) {
  list.replaceChildren(...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value instanceof Node ? value : String(value))]));
}

// ---------------------------------------------------------------- blocks

let blocks = [], before = null, counters = null, uptime = null, validators = null, certificate = null, evidence = [];

const showBlocks = atMostEvery(200, () => {
  const shown = blocks.slice(0, BARS).reverse(), busiest = Math.max(1, ...shown.map(block => block.commands ?? 0));
  const gaps = shown.map((block, index) => (index ? block.timestamp - shown[index - 1].timestamp : 0)), longest = Math.max(1, ...gaps);
  while (bars.children.length > shown.length) bars.lastChild.remove();
  while (bars.children.length < shown.length) bars.append(el("a"));
  shown.forEach((block, index) => {
    const bar = bars.children[index], share = (block.commands ?? 0) / busiest;
    bar.href = "/explorer#block=" + block.height;
    bar.title = `block ${block.height}, ${clock(block.timestamp)}: ${gaps[index]} ms after the one before, ${block.commands} actions, ${block.trades} trades`;
    bar.style.height = `${Math.max(6, (gaps[index] / longest) * 100)}%`;
    bar.style.setProperty("--busy", `${Math.round(share * 100)}%`);
  });
  setText(barsCard.note, shown.length ? `the last ${shown.length}: height is the time since the one before (up to ${longest} ms), the filled part its actions (up to ${busiest})` : "waiting for a block");
  figures.rate(blocks.length > 2 ? group(rateOf(blocks) ?? 0, 2) : DASH, blocks[0] ? `last at ${clock(blocks[0].timestamp)}` : "");
});
new Blocks(app, 240, list => {
  blocks = list;
  showBlocks();
});

// ---------------------------------------------------------------- status

app.on("status", status => {
  const state = status.is_halted ? ["halted", "down"] : status.is_syncing ? ["catching up", "warn"] : ["live", "up"];
  figures.state(state[0], `${group(status.peer_count)} of ${group(Math.max(0, status.validator_count - 1))} peers`, state[1]);
  figures.height(group(status.height), clock(status.time_ms));
  figures.p50(status.finality_p50_ms ? `${group(status.finality_p50_ms)} ms` : DASH, "half of the blocks");
  figures.p99(status.finality_p99_ms ? `${group(status.finality_p99_ms)} ms` : DASH, "over the last 30 s");
  figures.commands(group(status.commands_per_s), "over the last 10 s");
  figures.epoch(`${status.epoch} · ${group(status.view)}`, `${status.validator_count} members`);
  const lag = status.height - status.onchain_height;
  figures.settled(status.onchain_height ? group(status.onchain_height) : DASH, status.onchain_height ? `${group(lag)} blocks behind` : "no checkpoint yet");
  words(settlement, [["Last checkpoint", status.onchain_height ? el("a", { href: "/explorer#block=" + status.onchain_height }, "block " + group(status.onchain_height)) : "none yet"],
    ["Posted, not final", status.onchain_posted_height > status.onchain_height ? "block " + group(status.onchain_posted_height) : DASH],
    ["Seen up to", status.onchain_block ? "chain block " + group(status.onchain_block) : DASH], ["Behind the head", lag ? `${group(lag)} blocks` : "nothing"],
    ["Contract", el("span", { className: "mono" }, app.domain?.domain.verifyingContract ?? DASH)], ["Chain id", app.domain?.domain.chainId ?? DASH],
    ["Account root", el("span", { className: "mono" }, shortHex(status.account_root, 14, 6))], ["Token", el("span", { className: "mono" }, app.domain?.token ?? DASH)]]);
  endpointTable.show(status.endpoints ?? []);
  const faults = evidence.length;
  words(safety, [["State of this node", status.is_halted ? "halted: it takes no orders" : "running"], ["Proven faults", faults ? `${faults} kept for the court` : "none"],
    ["Your money", el("span", {}, "Any saved proof pays out from the settlement contract without a committee: ", el("a", { href: "/escape" }, "the way out"), ".")],
    ["Check it yourself", el("span", {}, "Every account's proof can be checked in the ", el("a", { href: "/explorer" }, "explorer"), ", in this browser.")]]);
});

// ---------------------------------------------------------------- counters, uptime, certificates

async function readCounters() {
  if (app.link.state.name !== "live" || document.hidden) return;
  try {
    counters = await app.link.call("public/x_get_counters");
    const shownBefore = (before ??= counters);
    const recent = since(counters.blocks_by_finality_ms, shownBefore.blocks_by_finality_ms), isEnough = total(recent) > 60;
    const shown = isEnough ? recent : counters.blocks_by_finality_ms;
    drawHistogram(histogram, shown);
    setText(histogramCard.note, `${group(total(shown))} blocks ${isEnough ? "since this page was opened" : "since this node started"}, by this node's clock`);
    stepTable.show(Object.entries(counters.blocks_by_step_ms ?? {}).filter(([, counts]) => total(counts)));
    const all = total(counters.actions_by_code);
    resultTable.show(Object.entries(counters.actions_by_code).sort((a, b) => b[1] - a[1]).slice(0, 9).map(([code, count]) => [code, count, all]));
  } catch {
    // The link says what is wrong.
  }
}

async function readSlowly() {
  if (app.link.state.name !== "live" || document.hidden) return;
  try {
    uptime = await app.link.call("public/x_get_uptime");
    validators ??= await app.link.tryCall("public/x_get_validators").catch(() => null);
    certificate = await app.link.call("public/x_get_certificate").catch(() => null);
    evidence = await app.link.call("public/x_get_evidence");
    const round = await app.link.tryCall("public/x_get_oracle_round").catch(() => null);
    priceTable.show((round?.indexes ?? []).map(index => ({ ...index, reports: round.reports.map(report => `${report.validator}: ${group(report.indexes[index.name])}`) })));
    setText(pricesCard.note, round ? `the reports of block ${group(round.height)}; an index is the median of a quorum` : "");
    committeeTable.show(uptime.validators.map(member => ({ ...member, ...keyOf(member.index) })));
    setText(committeeCard.note, `certificates of blocks ${group(uptime.first_height)} to ${group(uptime.last_height)}; each needs only a quorum, so three of four is normal among four`);
  } catch {
    // The link says what is wrong.
  }
}

/** What the node tells of a member beside its uptime. */
const keyOf = index => ({ more: validators?.validators.find(item => item.index === index) ?? null });

function fillMember(row, member) {
  const [name, share, now, framesIn, framesOut, bytesIn, bytesOut, key] = row.children;
  const link = (counters?.links ?? []).find(item => item.peer === (member.more?.number ?? member.index));
  const isMe = app.domain?.node === member.index;
  setText(name, `${member.index}${isMe ? " · this node" : ""}`);
  if (!share.firstChild) share.append(el("span", { className: "num" }), el("span", { className: "meter" }, el("i")));
  setText(share.firstChild, percent(member.signed_bps / 10_000, 1));
  share.lastChild.firstChild.style.transform = `scaleX(${member.signed_bps / 10_000})`;
  const signed = certificate?.signers?.includes(member.index);
  setText(now, certificate ? (signed ? "signed" : "not in the last") : DASH);
  setClass(now, signed ? "up" : "dim");
  const shown = link ? [group(link.frames_in), group(link.frames_out), bytes(link.bytes_in), bytes(link.bytes_out)] : Array(4).fill(isMe ? "" : DASH);
  [framesIn, framesOut, bytesIn, bytesOut].forEach((cell, index) => setText(cell, shown[index]));
  setText(key, shortHex(member.more?.bls_key, 12, 4));
}

app.on("ready", () => {
  readCounters();
  readSlowly();
});
setInterval(readCounters, COUNTERS_MS);
setInterval(readSlowly, SLOW_MS);
setInterval(() => blocks[0] && setText(document.querySelector("#height"), group(blocks[0].height)), 500);
window.addEventListener("resize", () => counters && readCounters());

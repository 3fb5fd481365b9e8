// The order form. It previews what the order is worth and costs, sends it, and says in words what was wrong.

import { at, atMostEvery, el, setClass, setText, toggle } from "./dom.js";
import { fromSteps, inSteps, nearestStep, placesOf } from "./decimal.js";
import { DASH, group, usd } from "./format.js";
import { TYPES, readEdit, readOrder } from "./placing.js";
import { inWords } from "./words.js";

const SHARES = [10, 25, 50, 100];

export function mountForm(app, quotes) {
  const root = at("form");
  const order = { side: "buy", type: "limit", price: "", trigger: "", amount: "", timeInForce: "gtc", isPostOnly: false, isReduceOnly: false };
  // `edited`: the open order that the form changes, null while it makes new ones.
  let top = { bid: null, ask: null }, summary = null, exact = null, edited = null;
  const keyNow = () => [app.market, order.side, order.type, order.amount, order.price].join();
  const field = (name, label, unit) => {
    const input = el("input", { type: "text", inputMode: "decimal", id: "order-" + name, autocomplete: "off", spellcheck: false, oninput: () => {
      order[name] = input.value.replace(",", ".").trim();
      show();
    }, onkeydown: event => nudge(event, name) });
    const mark = el("span", { className: "unit" }, unit ?? "");
    return { input, mark, box: el("label", { className: "field" }, el("span", {}, label), input, mark) };
  };
  const sideTab = (side, title, key) => el("button", { type: "button", className: "side " + side, title: `${title} (${key})`, onclick: () => setSide(side) }, title);
  const buyTab = sideTab("buy", "Buy", "B"), sellTab = sideTab("sell", "Sell", "S");
  const type = el("select", { id: "order-type", attrs: { "aria-label": "order type" }, onchange: () => {
    order.type = type.value;
    show();
  } }, ...Object.entries(TYPES).map(([value, { title }]) => new Option(title, value)));
  const timeInForce = el("select", { id: "order-tif", attrs: { "aria-label": "time in force" }, onchange: () => {
    order.timeInForce = timeInForce.value;
    show();
  } }, new Option("Good till cancelled", "gtc"), new Option("Immediate or cancel", "ioc"), new Option("Fill or kill", "fok"));
  const trigger = field("trigger", "Trigger (mark)"), price = field("price", "Price"), size = field("amount", "Amount");
  const jump = (title, value) => el("button", { type: "button", className: "mini", onclick: () => value() !== null && setPrice(value()) }, title);
  const jumps = el("div", { className: "minis" }, jump("Bid", () => top.bid), jump("Mid", middle), jump("Ask", () => top.ask), jump("Mark", () => quotes.of(app.market)?.mark_price ?? null));
  const shares = el("div", { className: "minis" }, ...SHARES.map(share => el("button", { type: "button", className: "mini", title: `${share}% of the free margin`,
    onclick: () => setShare(share) }, share + "%")));
  const check = (name, id, title, hint) => {
    const box = el("input", { type: "checkbox", id, onchange: () => {
      order[name] = box.checked;
      show();
    } });
    return { box, label: el("label", { className: "check", title: hint }, box, title) };
  };
  const postOnly = check("isPostOnly", "order-post", "Post-only", "refused if it would trade at once");
  const reduceOnly = check("isReduceOnly", "order-reduce", "Reduce-only", "only ever closes a position");
  const facts = {};
  const fact = (name, title) => el("div", {}, el("span", {}, title), facts[name] = el("span", { className: "num" }, DASH));
  const preview = el("div", { className: "preview" }, fact("value", "Value"), fact("margin", "Initial margin"), fact("fee", "Fee at most"), fact("free", "Free margin"));
  const submit = el("button", { type: "submit", className: "submit", id: "order-submit" });
  const leave = el("button", { type: "button", className: "plain", id: "order-leave", onclick: () => leaveEdit() }, "Leave it as it is");
  const said = el("p", { className: "said", id: "order-said", attrs: { "aria-live": "polite" } });
  const form = el("form", { onsubmit: event => {
    event.preventDefault();
    send();
  } }, el("div", { className: "sides" }, buyTab, sellTab), el("div", { className: "pair" }, type, timeInForce), trigger.box, price.box, jumps, size.box, shares,
  el("div", { className: "checks" }, postOnly.label, reduceOnly.label), preview, submit, leave, said);
  root.append(form);

  function middle() {
    const instrument = app.instrument();
    if (top.bid === null || top.ask === null) return top.bid ?? top.ask;
    const sum = inSteps(top.bid, instrument.tick_size) + inSteps(top.ask, instrument.tick_size);
    return fromSteps(sum / 2n, instrument.tick_size);
  }
  function startEdit(item) {
    app.choose(item.instrument_name);
    edited = item;
    Object.assign(order, { side: item.direction, type: "limit", price: String(item.price), amount: String(item.amount) });
    [type.value, price.input.value, size.input.value] = ["limit", order.price, order.amount];
    say("", false);
    show();
    price.input.focus();
  }
  function leaveEdit() {
    edited = null;
    Object.assign(order, { price: "", amount: "" });
    price.input.value = size.input.value = "";
    show();
  }
  function setSide(side) {
    if (edited) leaveEdit();
    order.side = side;
    show();
  }
  function setPrice(value) {
    if (!TYPES[order.type].hasPrice) order.type = type.value = "limit";
    order.price = price.input.value = String(value);
    show();
  }
  /** Arrow keys move by a step, with shift by ten. */
  function nudge(event, name) {
    const direction = { ArrowUp: 1n, ArrowDown: -1n }[event.key];
    if (!direction) return;
    event.preventDefault();
    const instrument = app.instrument(), step = name === "amount" ? instrument.min_trade_amount : instrument.tick_size;
    const count = inSteps(order[name] || "0", step);
    const next = (count ?? 0n) + direction * (event.shiftKey ? 10n : 1n);
    order[name] = event.target.value = fromSteps(next > 0n ? next : 1n, step);
    show();
  }
  function priceNow() {
    const quote = quotes.of(app.market) ?? {};
    const now = order.side === "buy" ? top.ask : top.bid;
    return Number(TYPES[order.type].hasPrice ? order.price : now ?? quote.mark_price) || 0;
  }
  /** What one unit of the base needs as initial margin, roughly: the engine knows exactly. */
  function marginOf(instrument, value) {
    const leverage = Number(instrument.max_leverage) || 10;
    if (instrument.kind !== "option") return value / leverage;
    return order.side === "buy" ? value : null;
  }
  /** What the engine says that the order adds to the initial margin; until it has answered, the estimate stands. */
  const askMargin = atMostEvery(400, async () => {
    const account = app.session.account, instrument = app.instrument(), at = priceNow(), mine = keyNow();
    if (!account || !instrument || !Number(order.amount) || !at || inSteps(order.amount, instrument.min_trade_amount) === null) return;
    const priceText = nearestStep(at, instrument.tick_size);
    const found = await app.link.tryCall("private/get_margins", { owner: account.owner, subaccount: account.subaccount, instrument_name: app.market, amount: order.amount, price: priceText }).catch(() => null);
    if (found && mine === keyNow()) {
      exact = { key: mine, value: found[order.side] };
      show();
    }
  });

  function setShare(share) {
    const instrument = app.instrument(), free = Number(summary?.available_funds ?? 0), at = priceNow() || Number(quotes.of(app.market)?.mark_price);
    if (!free || !at) return say(summary ? "There is no free margin." : "Connect first: there is no account to measure.", true);
    const unit = marginOf(instrument, at) ?? at / 10;
    const lots = BigInt(Math.max(1, Math.floor((free * share) / 100 / unit / Number(instrument.min_trade_amount) * 0.98)));
    order.amount = size.input.value = fromSteps(lots, instrument.min_trade_amount);
    return show();
  }

  function show() {
    const instrument = app.instrument();
    if (!instrument) return;
    const kind = TYPES[order.type], isBuy = order.side === "buy";
    toggle(buyTab, "here", isBuy);
    toggle(sellTab, "here", !isBuy);
    for (const [node, isShown] of [[price.box, kind.hasPrice], [jumps, kind.hasPrice], [trigger.box, kind.hasTrigger]]) node.hidden = !isShown;
    leave.hidden = !edited;
    for (const node of [type, timeInForce, postOnly.box, reduceOnly.box]) node.disabled = Boolean(edited);
    timeInForce.disabled ||= !kind.hasPrice || order.isPostOnly;
    postOnly.box.disabled ||= !kind.hasPrice || order.timeInForce !== "gtc";
    setText(price.mark, "USDC");
    setText(trigger.mark, "USDC");
    setText(size.mark, instrument.base_currency);
    price.input.placeholder = `step ${instrument.tick_size}`;
    size.input.placeholder = `step ${instrument.min_trade_amount}`;
    const value = priceNow() * (Number(order.amount) || 0);
    setText(facts.value, value ? usd(value) : DASH);
    const margin = marginOf(instrument, value);
    const isExact = exact?.key === keyNow();
    if (value && !isExact) askMargin();
    setText(facts.margin, !value ? DASH : isExact ? usd(exact.value) : order.isReduceOnly ? "none" : margin === null ? "by scenario" : "≈ " + usd(margin));
    const rate = Number(order.isPostOnly ? instrument.maker_commission : instrument.taker_commission);
    setText(facts.fee, value ? `${usd(value * rate, 4)} (${group(rate * 100, 3)}%)` : DASH);
    setText(facts.free, summary ? usd(summary.available_funds) : DASH);
    setClass(submit, "submit " + order.side);
    setText(submit, edited ? `Change ${edited.order_id}` : app.session.canTrade ? `${isBuy ? "Buy" : "Sell"} ${order.amount || ""} ${instrument.instrument_name}` : "Connect to trade");
  }

  function say(text, isBad) {
    setText(said, text);
    setClass(said, "said " + (isBad ? "down" : "up"));
  }

  async function send() {
    if (!app.session.canTrade) return app.emit("connect");
    let action;
    try {
      action = edited ? readEdit(app.instrument(), edited, order) : readOrder(app.instrument(), order);
    } catch (error) {
      return say(error.message, true);
    }
    say("Sending…", false);
    submit.disabled = true;
    try {
      const answer = await app.commands.send(action);
      if (edited) leaveEdit();
      say(outcome(answer), false);
    } catch (error) {
      say(inWords(error), true);
    } finally {
      submit.disabled = false;
    }
  }

  function outcome(answer) {
    const made = answer.order;
    if (!made) return `Gone before it was changed · block ${group(answer.x_height)}`;
    const filled = made.filled_amount && Number(made.filled_amount) ? ` ${made.filled_amount} at ${group(made.average_price, placesOf(app.instrument().tick_size))}` : "";
    const states = { open: "Open", filled: "Filled", cancelled: "Ended", untriggered: "Waiting for its trigger", rejected: "Refused", pending: "On its way" };
    const state = states[made.order_state] ?? made.order_state;
    return `${state}${filled && made.order_state !== "filled" ? ", filled" : ""}${filled} · ${answer.x_is_final ? `final in block ${group(answer.x_height)}` : answer.x_status}`;
  }

  app.on("market", instrument => {
    edited = null;
    Object.assign(order, { price: "", trigger: "", amount: "" });
    for (const { input } of [price, trigger, size]) input.value = "";
    top = { bid: null, ask: null };
    say("", false);
    toggle(root, "is-option", instrument.kind === "option");
    show();
  });
  app.on("top of book", best => {
    top = best;
    if (!TYPES[order.type].hasPrice) show();
  });
  app.on("price", (value, side) => {
    if (side) order.side = side === "ask" ? "buy" : "sell";
    setPrice(value);
  });
  app.on("account", data => {
    summary = data.summary;
    if (edited && !data.orders.some(item => item.order_id === edited.order_id)) leaveEdit();
    show();
  });
  app.on("session", show);
  app.on("edit", startEdit);
  app.on("side", side => {
    setSide(side);
    (TYPES[order.type].hasPrice ? price : size).input.focus();
  });
}

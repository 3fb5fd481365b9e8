// The dialog in which a browser gets its session key, or only an account to look at.

import { at, el, setClass, setText } from "./dom.js";
import { moment, shortHex } from "./format.js";
import { inWords } from "./words.js";

export function mountConnect(app) {
  const parts = app.isByGateway ? gatewayParts : nodeParts;
  const button = el("button", { type: "button", className: "chip account", id: "account", onclick: open });
  at("top").append(button);
  const owner = el("b", { className: "mono" }), until = el("span", { className: "dim" });
  const said = el("p", { className: "said", attrs: { "aria-live": "polite" } });
  const press = (title, id, act, style = "") => el("button", { type: "button", className: "submit " + style, id, onclick: () => run(act) }, title);
  const forget = press("Forget this key", "connect-forget", () => app.session.forget(), "quiet");
  const now = el("div", { className: "part now", hidden: true });
  const { content, refresh, actions } = parts(app, press);
  now.append(el("p", {}, owner, until), el("div", { className: "row-of" }, forget, ...actions));
  const dialog = el("dialog", { id: "connect" }, el("form", { method: "dialog" }, el("button", { className: "close", attrs: { "aria-label": "close" } }, "×")),
    el("h2", {}, "Trade from this browser"), ...content, now, said);
  document.body.append(dialog);

  async function run(act) {
    setClass(said, "said dim");
    setText(said, "Waiting for the signature and for the exchange…");
    try {
      await act();
      setText(said, "");
      dialog.close();
    } catch (error) {
      setClass(said, "said down");
      setText(said, inWords(error));
    }
  }

  function open() {
    refresh();
    setText(said, "");
    if (!dialog.open) dialog.showModal();
  }

  app.on("connect", open);
  app.on("session", account => {
    now.hidden = !account;
    if (account) {
      setText(owner, `${account.owner} / ${account.subaccount} `);
      setText(until, app.isByGateway ? "signed by the gateway on this machine" : account.secret ? `key valid until ${moment(account.validUntilMs)}` : "watching only");
    }
    setText(button, account ? `${shortHex(account.owner, 6)}${account.subaccount ? "/" + account.subaccount : ""}${account.secret || app.isByGateway ? "" : " · watching"}` : "Connect");
    setClass(button, "chip account" + (account ? " on" : ""));
  });
  setText(button, "Connect");
}

const labelled = (title, input) => el("label", { className: "field" }, el("span", {}, title), input);

/** At a node: a session key by a wallet's signature, by a pasted key on a test network, or none. */
function nodeParts(app, press) {
  const subaccount = el("input", { type: "number", min: 0, value: "0", id: "connect-subaccount" });
  const days = el("input", { type: "number", min: 1, max: 90, value: "7", id: "connect-days" });
  const cap = el("input", { type: "text", inputMode: "decimal", placeholder: "no cap", id: "connect-cap" });
  const secret = el("input", { type: "password", placeholder: "0x… private key of a test account", id: "connect-key", autocomplete: "off" });
  const address = el("input", { type: "text", placeholder: "0x… address", id: "connect-owner", autocomplete: "off", spellcheck: false });
  const terms = () => ({ subaccount: Number(subaccount.value), days: Number(days.value), cap: cap.value.trim() });
  const byWallet = press("Sign with the wallet", "connect-wallet", () => app.session.registerByWallet(window.ethereum, terms()));
  const byKey = press("Sign with this key", "connect-with-key", async () => {
    await app.session.registerByKey(secret.value, terms());
    secret.value = "";
  }, "quiet");
  const revoke = press("Revoke it on the exchange", "connect-revoke", () => app.session.revokeByWallet(window.ethereum), "quiet");
  const watch = press("Watch", "connect-watch", () => app.session.watch(address.value, Number(subaccount.value)), "quiet");
  const keyPart = el("div", { className: "part" }, el("p", {}, "No wallet? On this test network a pasted key may sign. It is used once and not kept."), el("div", { className: "row-of" }, secret, byKey));
  return {
    content: [el("p", {}, "Your wallet signs once, to admit a session key that is made here and stays in this browser. That key may place and cancel orders. It can never withdraw."),
      el("div", { className: "terms" }, labelled("Subaccount", subaccount), labelled("Valid, days", days), labelled("Cap per order, USDC", cap)),
      el("div", { className: "part" }, byWallet), keyPart, el("div", { className: "part" }, el("p", {}, "Or only look at an account:"), el("div", { className: "row-of" }, address, watch))],
    actions: [revoke],
    refresh() {
      byWallet.disabled = !window.ethereum;
      setText(byWallet, window.ethereum ? "Sign with the wallet" : "No wallet found in this browser");
      revoke.hidden = !window.ethereum || !app.session.account?.secret;
      keyPart.hidden = !app.link.isTestnet;
    },
  };
}

/** At the trader's own gateway, which holds the key: a key pair that it made. */
function gatewayParts(app, press) {
  const id = el("input", { type: "text", placeholder: "client id", id: "connect-id", autocomplete: "off", spellcheck: false });
  const secret = el("input", { type: "password", placeholder: "client secret", id: "connect-secret", autocomplete: "off" });
  const logIn = press("Log in", "connect-log-in", async () => {
    await app.session.logIn(id.value, secret.value);
    secret.value = "";
  }, "quiet");
  return {
    content: [el("p", {}, "The gateway on this machine holds the key and signs. Log in with a key pair that it made: hansa gateway keys new."), el("div", { className: "row-of" }, id, secret, logIn)],
    actions: [],
    refresh() {},
  };
}

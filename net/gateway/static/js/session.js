// Who trades here: an account and a session key of this browser, which may trade and cancel and nothing else.
//
// A wallet signs one registration; its own key never comes here. On a test network a pasted key may sign it instead, and
// is forgotten at once.

import { fromHex, toHex } from "./hex.js";
import {
  SCOPE_CANCEL, SCOPE_TRADE, digestOf, encodeMessage, makeStruct, readSignature, typedData,
} from "./messages.js";
import { addressOf, newSecret, readSecret, sign } from "./signing.js";
import { recall, recallHere, remember, rememberHere } from "./store.js";
import { toUnits } from "./decimal.js";

const GRANT = "grant";
export const SCOPES = SCOPE_TRADE | SCOPE_CANCEL;

const signerOf = (wallet, owner) => async (domain, name, values) =>
  readSignature(await wallet.request({ method: "eth_signTypedData_v4", params: [owner, typedData(domain, name, values)] }));

export class Session {
  constructor(app) {
    this._app = app;
    this.account = null;
  }

  get _place() {
    return "session." + this._app.domain.network_id;
  }

  get isByGateway() {
    return this._app.isByGateway;
  }

  /** `validUntilMs` 0: only looking. */
  get canTrade() {
    if (this.isByGateway) return Boolean(this.account);
    return Boolean(this.account?.secret) && this.account.validUntilMs > this._app.nowMs();
  }

  /** A key pair that the gateway on this machine made. It is kept until this tab is closed. */
  async logIn(id, secret) {
    await this._app.link.call("public/auth", { grant_type: "client_credentials", client_id: id.trim(), client_secret: secret.trim() });
    const summary = await this._app.link.call("private/get_account_summary", { currency: "USDC" });
    rememberHere(GRANT, { id, secret });
    this.account = { owner: summary.x_owner, subaccount: summary.x_subaccount, secret: null, validUntilMs: 0 };
    this._app.emit("session", this.account);
  }

  /** After a reconnect: the gateway knows connections, not pages. */
  async logInAgain() {
    const kept = recallHere(GRANT);
    if (kept) await this.logIn(kept.id, kept.secret).catch(() => this.forget());
  }

  load() {
    if (this.isByGateway) return this._app.emit("session", null);
    this.account = recall(this._place);
    return this._app.emit("session", this.account);
  }

  /** Only looks at an account, without a key. */
  watch(owner, subaccount) {
    this._keep({ owner: toHex(fromHex(owner, 20)), subaccount, secret: null, validUntilMs: 0 });
  }

  forget() {
    remember(this._place, null);
    rememberHere(GRANT, null);
    this.account = null;
    this._app.emit("session", null);
  }

  /** Registers a new key with the wallet of this browser. Terms: subaccount, days, cap in USDC or "". */
  async registerByWallet(wallet, terms) {
    const [owner] = await wallet.request({ method: "eth_requestAccounts" });
    await this._register(owner.toLowerCase(), terms, signerOf(wallet, owner));
  }

  /** The same with a pasted key, which is not kept. */
  async registerByKey(text, terms) {
    const secret = readSecret(text);
    await this._register(addressOf(secret), terms, (domain, name, values) => sign(digestOf(domain, name, values), secret));
  }

  async _register(owner, { subaccount, days, cap }, signBy) {
    const secret = newSecret(), account = { owner, subaccount };
    const validUntilMs = Math.floor(this._app.nowMs() + days * 86_400_000), orderCapQuote = cap ? toUnits(cap, 6) : 0n;
    if (orderCapQuote === null) throw Error("the cap is an amount of USDC with at most six decimals");
    await this._setSession(account, { key: addressOf(secret), scopes: SCOPES, validUntilMs, orderCapQuote }, signBy);
    this._keep({ ...account, secret: toHex(secret), validUntilMs });
  }

  /** Has the wallet take back this browser's key, and forgets it. */
  async revokeByWallet(wallet) {
    const account = this.account, [owner] = await wallet.request({ method: "eth_requestAccounts" });
    if (owner.toLowerCase() !== account.owner) throw Error(`the wallet must show the account ${account.owner}`);
    const members = { key: addressOf(fromHex(account.secret, 32)), scopes: 0, validUntilMs: 0, orderCapQuote: 0 };
    await this._setSession(account, members, signerOf(wallet, owner));
    this.forget();
  }

  async _setSession(account, members, signBy) {
    const { domain, link } = this._app;
    const values = makeStruct(domain.types, "SetSession", account, Math.floor(this._app.nowMs() + 300_000), members);
    const signature = await signBy(domain, "SetSession", values);
    await link.call("public/x_submit", { command: toHex(encodeMessage("SetSession", values, signature)) });
  }

  _keep(account) {
    this.account = account;
    remember(this._place, account);
    this._app.emit("session", account);
  }

  /** The signed bytes of one action of this account, and its id. */
  sign(name, members) {
    if (!this.canTrade) throw Error("connect first: there is no session key, or it has expired");
    const { domain } = this._app, secret = fromHex(this.account.secret, 32);
    const values = makeStruct(domain.types, name, this.account, Math.floor(this._app.nowMs() + 60_000), members);
    const hash = digestOf(domain, name, values);
    return { id: toHex(hash), command: toHex(encodeMessage(name, values, sign(hash, secret))) };
  }
}

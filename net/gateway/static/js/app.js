// What every page has: the link, the network's domain, its instruments, the node's status, and who trades here.

import { Commands } from "./commands.js";
import { Link, linkHere } from "./link.js";
import { Session } from "./session.js";
import { Emitter } from "./store.js";

const STATUS_MS = 1000, INSTRUMENTS_MS = 15_000;

export class App extends Emitter {
  /** Events: status, instruments, market, session, commands, price (clicked), account, ready. */
  constructor() {
    super();
    /** @type {Link} */
    this.link = linkHere();
    this.domain = null;
    this.status = null;
    this.instruments = new Map();
    this.market = null;
    /** Served by the gateway on the trader's own machine, which holds the key and signs. */
    this.isByGateway = document.documentElement.dataset.servedBy === "gateway";
    this._skewMs = 0;
    this.session = new Session(this);
    this.commands = new Commands(this);
    this.link.onState(state => state.name === "live" && this._onLive());
    setInterval(() => this._readStatus(), STATUS_MS);
    setInterval(() => this._readInstruments().catch(() => {}), INSTRUMENTS_MS);
  }

  /** The node's clock, as near as a question tells it. */
  nowMs() {
    return Date.now() + this._skewMs;
  }

  instrument(name = this.market) {
    return this.instruments.get(name);
  }

  /** By its number, as actions name it. */
  instrumentOf(number) {
    return [...this.instruments.values()].find(instrument => instrument.instrument_id === number);
  }

  choose(name) {
    if (!this.instruments.has(name) || name === this.market) return;
    this.market = name;
    this.emit("market", this.instruments.get(name));
  }

  async _onLive() {
    try {
      const askedMs = Date.now();
      const nodeMs = await this.link.call("public/get_time");
      const skewMs = nodeMs - (askedMs + Date.now()) / 2;
      this._skewMs = Math.abs(skewMs) > 500 ? skewMs : 0;
      const domain = await this.link.call("public/x_get_domain");
      const isNew = domain.network_id !== this.domain?.network_id;
      this.domain = domain;
      await this._readInstruments();
      if (isNew) this.session.load();
      if (this.isByGateway) await this.session.logInAgain();
      await this._readStatus();
      this.emit("ready");
    } catch (error) {
      console.info("the node is not ready:", error.message);
    }
  }

  async _readInstruments() {
    if (this.link.state.name !== "live") return;
    const list = await this.link.call("public/get_instruments");
    const before = [...this.instruments.keys()].join();
    this.instruments = new Map(list.map(instrument => [instrument.instrument_name, instrument]));
    if (before !== [...this.instruments.keys()].join()) this.emit("instruments", this.instruments);
  }

  async _readStatus() {
    if (this.link.state.name !== "live") return;
    try {
      this.status = await this.link.call("public/status");
      this.emit("status", this.status);
    } catch {
      // The link says what is wrong.
    }
  }
}

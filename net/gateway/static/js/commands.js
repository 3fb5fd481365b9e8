// Signed actions on their way: received (with the node's receipt), final (nothing can undo it), on chain.

import { STATUS_STEPS, inWords } from "./words.js";
import { LinkLost, Refused } from "./link.js";
import { recall, remember } from "./store.js";

const KEPT = 60, TRIES = 4;

export class Commands {
  /** `entries`, newest first; every change is told as the event `commands`. */
  constructor(app) {
    this._app = app;
    this.entries = [];
    app.on("ready", () => this._load());
    app.on("status", status => this._onCheckpoint(status.onchain_height));
  }

  get _place() {
    return "commands." + this._app.domain.network_id;
  }

  /** Those of before, so that a page that is opened again still knows their receipts. */
  _load() {
    const known = new Set(this.entries.map(entry => entry.id)), kept = recall(this._place, []);
    for (const entry of kept) if (entry.status === "sending" || entry.status === "received") entry.status = "unknown";
    this.entries = [...this.entries, ...kept.filter(entry => !known.has(entry.id))].slice(0, KEPT);
    this._app.emit("commands", this.entries);
  }

  /** Signs and sends one action (`placing.js` makes them). Returns the final answer; raises what refused it. A trader's own
   * gateway signs itself: it gets the method of the API.
   */
  async send(action) {
    const { session } = this._app, isSigning = !session.isByGateway;
    const { id, command } = isSigning ? session.sign(action.name, action.members) : { id: null, command: null };
    const entry = { id, text: action.text, status: "sending", atMs: Date.now(), height: null, orderId: null };
    this.entries = [entry, ...this.entries].slice(0, KEPT);
    this._tell();
    try {
      if (isSigning) {
        const early = await this._ask(command, "received");
        entry.receipt = early.x_receipt;
        this._reach(entry, early.x_status);
      }
      const answer = isSigning ? await this._ask(command, "final") : await this._app.link.call(action.method, action.params);
      entry.id = answer.x_command_id ?? id;
      entry.orderId = answer.order?.order_id ?? answer.order_id ?? null;
      entry.height = answer.x_height;
      this._reach(entry, answer.x_status);
      if (answer.order?.order_state === "cancelled" && !(Number(answer.order.filled_amount) > 0))
        entry.note = "nothing to trade with at this price";
      return answer;
    } catch (error) {
      entry.status = error instanceof LinkLost ? "unknown" : "refused";
      entry.error = inWords(error);
      entry.height = error.data?.x_height ?? null;
      throw error;
    } finally {
      this._tell();
    }
  }

  /** The same bytes again are the same command: it executes once. */
  async _ask(command, wait) {
    for (let left = TRIES; ; left--) {
      try {
        return await this._app.link.call("public/x_submit", { command, x_wait: wait });
      } catch (error) {
        if (error instanceof Refused || !left) throw error;
        await new Promise(done => setTimeout(done, 700));
      }
    }
  }

  _reach(entry, status) {
    entry.status = status;
    entry.reachedMs = entry.reachedMs ?? {};
    for (const step of STATUS_STEPS.slice(0, STATUS_STEPS.indexOf(status) + 1))
      entry.reachedMs[step] ??= Date.now() - entry.atMs;
    this._tell();
  }

  _onCheckpoint(height) {
    for (const entry of this.entries)
      if (entry.status === "certified" && entry.height && entry.height <= height) this._reach(entry, "on_chain");
  }

  _tell() {
    remember(this._place, this.entries);
    this._app.emit("commands", this.entries);
  }
}

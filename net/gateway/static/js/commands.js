// Signed actions on their way: received (with the node's receipt), final (nothing can undo it), on chain.

import { STATUS_STEPS, inWords } from "./words.js";
import { LinkLost, Refused } from "./link.js";

const KEPT = 60, TRIES = 4;

export class Commands {
  /** `entries`, newest first; every change is told as the event `commands`. */
  constructor(app) {
    this._app = app;
    this.entries = [];
    app.on("status", status => this._onCheckpoint(status.onchain_height));
  }

  /** Signs and sends one action. Returns the final answer; raises what refused it. `text` says what it is. */
  async send(name, members, text) {
    const { id, command } = this._app.session.sign(name, members);
    const entry = { id, text, status: "sending", sentMs: performance.now(), atMs: Date.now(), height: null, orderId: null };
    this.entries = [entry, ...this.entries].slice(0, KEPT);
    this._tell();
    try {
      const early = await this._ask(command, "received");
      entry.receipt = early.x_receipt;
      this._reach(entry, early.x_status);
      const answer = await this._ask(command, "final");
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
      entry.reachedMs[step] ??= Math.round(performance.now() - entry.sentMs);
    this._tell();
  }

  _onCheckpoint(height) {
    for (const entry of this.entries)
      if (entry.status === "certified" && entry.height && entry.height <= height) this._reach(entry, "on_chain");
  }

  _tell() {
    this._app.emit("commands", this.entries);
  }
}

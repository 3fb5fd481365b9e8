// One WebSocket to the node: calls, subscriptions that survive a reconnect, and a state that everybody can see.

const RETRY_MS = [250, 500, 1000, 2000, 4000];
const SILENCE_MS = 8000, ANSWER_MS = 5000, CALL_MS = 60000;

/** What the node refuses: its number, a word and a sentence. */
export class Refused extends Error {
  constructor(error) {
    const data = error.data ?? {};
    super(data.hint || error.message || "refused");
    this.code = error.code;
    this.reason = data.reason ?? error.message;
    this.data = data;
  }

  get isUnknownMethod() {
    return this.code === -32601;
  }
}

/** No answer came: nobody knows what became of the request. */
export class LinkLost extends Error {}

export class Link {
  constructor(url) {
    this.url = url;
    this.state = { name: "connecting", text: "connecting" };
    this.isTestnet = true;
    this._waiting = new Map();
    this._channels = new Map();
    this._listeners = new Set();
    this._lastId = 0;
    this._tries = 0;
    this._heardMs = performance.now();
    this._connect();
    setInterval(() => this._watch(), 1000);
  }

  /** `act(state)` now and at every change: `name` is connecting, live or lost. */
  onState(act) {
    this._listeners.add(act);
    act(this.state);
  }

  async call(method, params = {}) {
    if (this.state.name !== "live") throw new LinkLost("not connected to the node");
    const id = ++this._lastId;
    this._socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    return new Promise((done, fail) => {
      const timer = setTimeout(() => this._settle(id, call => call.fail(new LinkLost("the node did not answer"))), CALL_MS);
      this._waiting.set(id, { done, fail, timer });
    });
  }

  /** The result, or `otherwise` when this node does not serve the method. */
  async tryCall(method, params = {}, otherwise = null) {
    try {
      return await this.call(method, params);
    } catch (error) {
      if (error instanceof Refused && error.isUnknownMethod) return otherwise;
      throw error;
    }
  }

  /** `act(data)` for every message of the channel until the returned function is called. `onRefused(error)`. */
  subscribe(channel, act, onRefused = () => {}) {
    const known = this._channels.get(channel) ?? { acts: new Set(), onRefused };
    const isNew = !this._channels.has(channel);
    known.acts.add(act);
    this._channels.set(channel, known);
    if (this.state.name === "live") isNew ? this._ask([channel]) : this._again(channel);
    return () => {
      known.acts.delete(act);
      if (known.acts.size || this._channels.get(channel) !== known) return;
      this._channels.delete(channel);
      if (this.state.name === "live") this.call("public/unsubscribe", { channels: [channel] }).catch(() => {});
    };
  }

  /** A new snapshot, after a gap. */
  _again(channel) {
    if (channel.startsWith("book.") || channel.startsWith("ticker.")) this._ask([channel]);
  }

  resync(channel) {
    if (this.state.name === "live" && this._channels.has(channel)) this._ask([channel]);
  }

  async _ask(channels) {
    for (let from = 0; from < channels.length; from += 40) {
      const part = channels.slice(from, from + 40);
      try {
        await this.call("public/subscribe", { channels: part });
      } catch (error) {
        if (!(error instanceof Refused)) return;
        if (part.length > 1) for (const channel of part) await this._ask([channel]);
        else this._channels.get(part[0])?.onRefused(error);
      }
    }
  }

  _connect() {
    this._set("connecting", this._tries ? "connecting again" : "connecting");
    this._socket = new WebSocket(this.url);
    this._socket.onopen = () => {
      this._tries = 0;
      this._heardMs = performance.now();
      this._askedMs = null;
      this._set("live", "connected");
      this._ask([...this._channels.keys()]);
    };
    this._socket.onmessage = event => this._on(JSON.parse(event.data));
    this._socket.onclose = event => this._onClose(event.reason);
  }

  _on(message) {
    this._heardMs = performance.now();
    this._askedMs = null;
    if (message.method === "subscription") {
      const { channel, data } = message.params;
      for (const act of this._channels.get(channel)?.acts ?? []) act(data, message.params);
      return;
    }
    if (message.method === "heartbeat") return void this.call("public/test").catch(() => {});
    if (message.testnet !== undefined) this.isTestnet = message.testnet;
    this._settle(message.id, call =>
      message.error ? call.fail(new Refused(message.error)) : call.done(message.result));
  }

  _settle(id, act) {
    const call = this._waiting.get(id);
    if (!call) return;
    this._waiting.delete(id);
    clearTimeout(call.timer);
    act(call);
  }

  _onClose(reason) {
    for (const id of [...this._waiting.keys()])
      this._settle(id, call => call.fail(new LinkLost("the connection broke before the node answered")));
    const waitMs = RETRY_MS[Math.min(this._tries++, RETRY_MS.length - 1)];
    this._set("lost", reason || "connection lost", Date.now() + waitMs);
    setTimeout(() => this._connect(), waitMs);
  }

  /** A line that is dead without knowing it: silence, then a question, then a new line. */
  _watch() {
    if (this.state.name !== "live") return;
    const nowMs = performance.now();
    if (this._askedMs && nowMs - this._askedMs > ANSWER_MS) {
      this._askedMs = null;
      this._socket.onclose = null;
      this._socket.close();
      return this._onClose("the node went silent");
    }
    if (!this._askedMs && nowMs - this._heardMs > SILENCE_MS) {
      this._askedMs = nowMs;
      this.call("public/test").catch(() => {});
    }
  }

  _set(name, text, retryMs = null) {
    this.state = { name, text, retryMs };
    for (const act of this._listeners) act(this.state);
  }
}

export function linkHere() {
  return new Link(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/api/v2`);
}

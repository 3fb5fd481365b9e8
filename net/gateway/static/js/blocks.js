// The last final blocks, as they come. A page that was just opened asks for those before.

export class Blocks {
  /** `onChange(list)`, newest first: {height, timestamp, commands, trades, hash, state_root}. */
  constructor(app, count, onChange) {
    this.list = [];
    this._count = count;
    this._onChange = onChange;
    app.link.subscribe("x.blocks", block => this._add([block]));
    app.on("ready", () => this._load(app));
  }

  async _load(app) {
    const found = await app.link.tryCall("public/x_get_blocks", { count: Math.min(100, this._count) }).catch(() => null);
    this._add(found ?? []);
  }

  _add(blocks) {
    const known = new Map(this.list.map(block => [block.height, block]));
    for (const block of blocks) if (!known.has(block.height)) known.set(block.height, block);
    this.list = [...known.values()].sort((a, b) => b.height - a.height).slice(0, this._count);
    this._onChange(this.list);
  }
}

/** Blocks a second over what is known of the last `windowMs`. */
export function rateOf(list, windowMs = 30_000) {
  const recent = list.filter(block => block.timestamp > (list[0]?.timestamp ?? 0) - windowMs);
  if (recent.length < 3) return null;
  return ((recent.length - 1) * 1000) / (recent[0].timestamp - recent.at(-1).timestamp);
}

// What a page remembers in this browser, and the events by which its parts hear of each other.

export class Emitter {
  constructor() {
    this._acts = new Map();
  }

  on(name, act) {
    const acts = this._acts.get(name) ?? new Set();
    this._acts.set(name, acts.add(act));
    return () => acts.delete(act);
  }

  emit(name, ...values) {
    for (const act of this._acts.get(name) ?? []) act(...values);
  }
}

/** A value of this browser's storage; pages work without one, too. */
export function remember(key, value) {
  try {
    if (value === null) localStorage.removeItem("hansa." + key);
    else localStorage.setItem("hansa." + key, JSON.stringify(value));
  } catch {
    // Private windows may refuse: then nothing is remembered.
  }
}

export function recall(key, otherwise = null) {
  try {
    return JSON.parse(localStorage.getItem("hansa." + key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

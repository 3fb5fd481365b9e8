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

function put(storage, key, value) {
  try {
    if (value === null) storage().removeItem("hansa." + key);
    else storage().setItem("hansa." + key, JSON.stringify(value));
  } catch {
    // Private windows may refuse: then nothing is remembered.
  }
}

function take(storage, key, otherwise) {
  try {
    return JSON.parse(storage().getItem("hansa." + key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** Values of this browser's storage, and of this tab's; pages work without either, too. */
export const remember = (key, value) => put(() => localStorage, key, value);
export const recall = (key, otherwise = null) => take(() => localStorage, key, otherwise);
export const rememberHere = (key, value) => put(() => sessionStorage, key, value);
export const recallHere = (key, otherwise = null) => take(() => sessionStorage, key, otherwise);

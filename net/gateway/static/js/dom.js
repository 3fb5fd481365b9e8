// The few things that are done with elements, and only those that change.

export const at = id => document.getElementById(id);

/** An element: `props` are properties, `on…` handlers, `data` a dataset, `attrs` attributes. */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "data") Object.assign(made.dataset, value);
    else if (name === "attrs") for (const [key, text] of Object.entries(value)) made.setAttribute(key, text);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined) made[name] = value;
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

export function setText(node, text) {
  const next = String(text);
  if (node.textContent !== next) node.textContent = next;
}

export function setClass(node, name) {
  if (node.className !== name) node.className = name;
}

export function toggle(node, name, isOn) {
  if (node.classList.contains(name) !== Boolean(isOn)) node.classList.toggle(name, Boolean(isOn));
}

/** Rows of one container that are reused: `make()` a row, `fill(row, item, index)` it. Nothing else is touched. */
export class Rows {
  constructor(container, make, fill) {
    Object.assign(this, { container, make, fill, rows: [] });
  }

  show(items) {
    while (this.rows.length < items.length) {
      const row = this.make();
      this.rows.push(row);
      this.container.append(row);
    }
    while (this.rows.length > items.length) this.rows.pop().remove();
    items.forEach((item, index) => this.fill(this.rows[index], item, index));
  }
}

/** A table row of `count` cells. */
export function cells(count, classes = []) {
  return el("tr", {}, ...Array.from({ length: count }, (_, index) => el("td", { className: classes[index] ?? "" })));
}

/** A table with a head whose rows are reused; `columns` are [title, class]. Without rows it says `empty`. */
export class Table {
  constructor(root, columns, fill, empty) {
    this.body = el("tbody");
    this.empty = el("p", { className: "none" }, empty);
    const head = el("tr", {}, ...columns.map(([title, style]) => el("th", { className: style ?? "" }, title)));
    root.append(el("table", {}, el("thead", {}, head), this.body), this.empty);
    this.rows = new Rows(this.body, () => cells(columns.length, columns.map(column => column[1] ?? "")), fill);
  }

  show(items, empty) {
    this.rows.show(items);
    this.empty.hidden = items.length > 0;
    if (empty) setText(this.empty, empty);
  }
}

/** Calls `act` at most once a frame, however often it is asked. */
export function eachFrame(act) {
  let isWaiting = false;
  return () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      act();
    });
  };
}

/** Calls `act` at most once every `ms`, the last call included. */
export function atMostEvery(ms, act) {
  let timer = null, last = 0;
  return () => {
    if (timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      last = performance.now();
      act();
    }, Math.max(0, last + ms - performance.now()));
  };
}

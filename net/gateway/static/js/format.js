// Numbers and times as a trader reads them. Nothing here is computed with again.

import { placesOf } from "./decimal.js";

export const DASH = "–";
const MINUS = "\u2212";

/** Thousands separated, the places as they come or cut to `places`. */
export function group(value, places) {
  if (value === null || value === undefined || value === "") return DASH;
  let text = String(value);
  if (/[eE]/.test(text)) text = Number(text).toFixed(places ?? 8);
  const isNegative = text.startsWith("-");
  let [whole, part = ""] = text.replace("-", "").split(".");
  if (places !== undefined && part.length !== places) {
    [whole, part = ""] = Math.abs(Number(text)).toFixed(places).split(".");
  }
  whole = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return (isNegative ? MINUS : "") + whole + (part ? "." + part : "");
}

export const price = (value, instrument) => group(value, placesOf(instrument?.tick_size ?? "0.1"));
export const amount = (value, instrument) => group(value, placesOf(instrument?.min_trade_amount ?? "0.001"));
export const usd = (value, places = 2) => group(value, places);

/** With a plus sign where it is one. */
export function signed(value, places) {
  const text = group(value, places);
  return text !== DASH && Number(value) > 0 ? "+" + text : text;
}

/** A fraction as percent. */
export function percent(value, places = 2) {
  return value === null || value === undefined || value === "" ? DASH : group(Number(value) * 100, places) + "%";
}

/** 1.2M, 35.4K: for what is only looked at. */
export function compact(value) {
  const number = Number(value);
  if (value === null || value === undefined || Number.isNaN(number)) return DASH;
  for (const [size, letter] of [[1e9, "B"], [1e6, "M"], [1e3, "K"]])
    if (Math.abs(number) >= size) return group(number / size, 2) + letter;
  return group(number, Math.abs(number) < 10 ? 2 : 0);
}

export function bytes(value) {
  for (const [size, name] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]])
    if (value >= size) return `${group(value / size, 1)} ${name}`;
  return `${value} B`;
}

const two = number => String(number).padStart(2, "0");

export function clock(ms) {
  if (!ms) return DASH;
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export function moment(ms) {
  if (!ms) return DASH;
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(ms)}`;
}

/** How long, in the two largest units that matter. */
export function span(ms) {
  const total = Math.max(0, Math.round(ms / 1000));
  const parts = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
  const at = parts.findIndex(([size]) => total >= size);
  if (at < 0) return "0s";
  let left = total, text = [];
  for (const [size, name] of parts.slice(at, at + 2)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count || !text.length) text.push(count + name);
  }
  return text.join(" ");
}

export const shortHex = (text, head = 8, tail = 4) =>
  !text ? DASH : text.length <= head + tail + 3 ? text : `${text.slice(0, head)}…${text.slice(-tail)}`;

export const signClass = value => (Number(value) > 0 ? "up" : Number(value) < 0 ? "down" : "");

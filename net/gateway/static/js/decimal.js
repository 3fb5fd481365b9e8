// Exact decimal text. Prices, sizes and money come as text (or, through a trader's own gateway, as numbers); what is
// compared, summed or sent is a whole number of the smallest step, as BigInt. Floats are for pixels only.

const DECIMAL = /^(-?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;

/** Text as a whole number of 10^-places; null for what is no decimal number or has more places. */
export function toUnits(value, places) {
  const found = DECIMAL.exec(String(value ?? "").trim());
  if (!found || (!found[2] && !found[3])) return null;
  const shift = places + Number(found[4] ?? 0) - (found[3]?.length ?? 0);
  let number = BigInt(found[2] + (found[3] ?? ""));
  if (shift >= 0) number *= 10n ** BigInt(shift);
  else {
    const step = 10n ** BigInt(-shift);
    if (number % step) return null;
    number /= step;
  }
  return found[1] ? -number : number;
}

/** The inverse: exactly `places` digits after the point. */
export function fromUnits(number, places) {
  const digits = (number < 0n ? -number : number).toString().padStart(places + 1, "0");
  const at = digits.length - places;
  return (number < 0n ? "-" : "") + digits.slice(0, at) + (places ? "." + digits.slice(at) : "");
}

/** How many places a step such as 0.001 has. */
export function placesOf(step) {
  const text = String(step);
  const exponent = /[eE]-(\d+)$/.exec(text);
  return exponent ? Number(exponent[1]) : (text.split(".")[1] ?? "").length;
}

/** An amount of steps: how many `step` there are in `value`; null unless it is a whole number of them. */
export function inSteps(value, step) {
  const places = Math.max(placesOf(step), placesOf(value ?? ""));
  const size = toUnits(step, places), number = toUnits(value, places);
  return number === null || !size || number % size ? null : number / size;
}

/** The nearest whole number of steps, at least one, as text: for a message that says what would be right. */
export function nearestStep(value, step) {
  const places = placesOf(step), size = toUnits(step, places);
  const count = BigInt(Math.max(1, Math.round((Number(value) * 10 ** places) / Number(size))));
  return fromUnits(count * size, places);
}

export function fromSteps(count, step) {
  const places = placesOf(step);
  return fromUnits(BigInt(count) * toUnits(step, places), places);
}

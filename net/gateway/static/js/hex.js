// Bytes and their text.

export function toHex(bytes) {
  let text = "0x";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

/** Raises `Error` for what is no hex of the length in bytes, if one is given. */
export function fromHex(text, length) {
  const digits = String(text).trim().replace(/^0x/i, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw Error("that is no hex");
  if (length !== undefined && digits.length !== 2 * length) throw Error(`${length} bytes of hex are needed`);
  return Uint8Array.from(digits.match(/../g) ?? [], pair => parseInt(pair, 16));
}

export function concat(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let end = 0;
  for (const part of parts) {
    all.set(part, end);
    end += part.length;
  }
  return all;
}

/** A number as `length` big-endian bytes, negative ones in two's complement. */
export function word(number, length = 32) {
  const bytes = new Uint8Array(length);
  let left = BigInt.asUintN(8 * length, BigInt(number));
  for (let index = length - 1; index >= 0; index--) {
    bytes[index] = Number(left & 255n);
    left >>= 8n;
  }
  return bytes;
}

export function toNumber(bytes) {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

export const isSame = (a, b) => a.length === b.length && a.every((byte, index) => byte === b[index]);

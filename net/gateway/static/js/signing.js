// EIP-712 digests of what the node describes in `public/x_get_domain`, and secp256k1 signatures over them.

import { hmac } from "../vendor/noble-hashes/hmac.js";
import { sha256 } from "../vendor/noble-hashes/sha2.js";
import { keccak_256 } from "../vendor/noble-hashes/sha3.js";
import * as secp from "../vendor/noble-secp256k1/index.js";
import { concat, fromHex, toHex, word } from "./hex.js";

secp.hashes.sha256 = sha256;
secp.hashes.hmacSha256 = (key, message) => hmac(sha256, key, message);

export const keccak = keccak_256;
const utf8 = text => new TextEncoder().encode(text);

/** `types` as `eth_signTypedData_v4` takes them. Flat structs only: the exchange has no others. */
export function structHash(types, name, values) {
  const members = types[name];
  const head = keccak(utf8(`${name}(${members.map(member => `${member.type} ${member.name}`).join(",")})`));
  return keccak(concat(head, ...members.map(member => encodeMember(member.type, values[member.name]))));
}

function encodeMember(type, value) {
  if (type === "string") return keccak(utf8(value));
  if (type === "bytes") return keccak(fromHex(value));
  if (type === "address") return concat(new Uint8Array(12), fromHex(value, 20));
  if (type.startsWith("bytes")) return concat(fromHex(value, Number(type.slice(5))), new Uint8Array(32)).slice(0, 32);
  return word(value);
}

export function digest(domain, types, name, values) {
  return keccak(concat(Uint8Array.of(0x19, 1), structHash(types, "EIP712Domain", domain), structHash(types, name, values)));
}

/** 65 bytes `r ‖ s ‖ v`, v 0 or 1, s low. */
export function sign(hash, secret) {
  const made = secp.sign(hash, secret, { prehash: false, format: "recovered" });
  return concat(made.slice(1), made.slice(0, 1));
}

export function addressOf(secret) {
  return toHex(keccak(secp.getPublicKey(secret, false).slice(1)).slice(12));
}

export function newSecret() {
  return secp.utils.randomSecretKey();
}

/** 32 bytes of a key as it is pasted. Raises `Error` with a sentence. */
export function readSecret(text) {
  const secret = fromHex(text, 32);
  if (!secp.utils.isValidSecretKey(secret)) throw Error("that number is no secp256k1 key");
  return secret;
}

"""Two other ways to check a committee's certificate, for the gas benchmark: an ECDSA multisig, BLS with hashed keys.

Needs vyper, as all development does; nothing of this is deployed anywhere else.
"""

import functools
from pathlib import Path
from typing import Any

from blspy import G1Element, PopSchemeMPL, PrivateKey
from eth_account import Account
from eth_utils import to_canonical_address, to_checksum_address
from web3.providers.base import BaseProvider

from contracts import bls, digests
from contracts.chain_link import ChainLink
from contracts.records import TxResult

_FOLDER = Path(__file__).parent
_SHARED = _FOLDER.parent / "src"


@functools.cache
def _compile(name: str) -> dict[str, Any]:
    from vyper.cli.vyper_compile import compile_files
    from vyper.compiler.settings import Settings

    path = _FOLDER / f"{name}.vy"
    outputs = compile_files(
        [path], ["abi", "bytecode"], paths=[_SHARED], no_bytecode_metadata=True, settings=Settings()
    )
    (output,) = outputs.values()
    artifact: dict[str, Any] = output
    return artifact


class EcdsaMultisig:
    """Every member has a secp256k1 key; a quorum of signatures comes along, with the members that gave them."""

    def __init__(self, endpoint: str | BaseProvider, private_key: bytes, member_count: int) -> None:
        self._link = ChainLink(endpoint, private_key)
        self._keys = [digests.keccak(b"multisig" + number.to_bytes(4, "big")) for number in range(member_count)]
        members = b"".join(to_canonical_address(Account.from_key(key).address) for key in self._keys)
        length = (len(members) + 1).to_bytes(2, "big")
        # Returns all that follows these ten bytes, as the registry writes keys.
        code = b"\x61" + length + b"\x80\x60\x0a\x5f\x39\x5f\xf3\x00" + members
        blob = self._link.deploy(self._link.web3.eth.contract(abi=[], bytecode=code.hex()).constructor())
        artifact = _compile("EcdsaMultisig")
        factory = self._link.web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
        address = self._link.deploy(factory.constructor(blob, member_count))
        self._contract = self._link.web3.eth.contract(to_checksum_address(address), abi=artifact["abi"])
        self._domain = digests.compute_domain(self._link.chain_id, to_canonical_address(address))

    def checkpoint(self, header: bytes) -> TxResult:
        """Signed by the first members that make a quorum."""
        quorum = len(self._keys) - (len(self._keys) - 1) // 3
        digest = digests.finalize_digest(self._domain, header)
        signed = [Account.unsafe_sign_hash(digest, key) for key in self._keys[:quorum]]
        signatures = [[item.r.to_bytes(32, "big"), item.s.to_bytes(32, "big")] for item in signed]
        flags = sum((item.v - 27) << at for at, item in enumerate(signed))
        return self._link.send(
            self._contract.functions.checkpoint(_split(header), bytes(range(quorum)), signatures, flags)
        )


class HashPerKey:
    """BLS where the contract stores a hash of each key, and absent members' keys come along."""

    def __init__(self, endpoint: str | BaseProvider, private_key: bytes, secrets: list[PrivateKey]) -> None:
        self._link = ChainLink(endpoint, private_key)
        self._secrets = secrets
        self._keys = [_split(bls.key_words(bytes(secret.get_g1()))) for secret in secrets]
        total = G1Element()
        for secret in secrets:
            total += secret.get_g1()
        self._aggregate = _split(bls.key_words(bytes(total)))
        artifact = _compile("HashPerKey")
        factory = self._link.web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
        address = self._link.deploy(factory.constructor(self._keys))
        self._contract = self._link.web3.eth.contract(to_checksum_address(address), abi=artifact["abi"])
        self._domain = digests.compute_domain(self._link.chain_id, to_canonical_address(address))

    def checkpoint(self, header: bytes, absent: list[int]) -> TxResult:
        """Signed by all but `absent`."""
        digest = digests.finalize_digest(self._domain, header)
        parts = [PopSchemeMPL.sign(secret, digest) for i, secret in enumerate(self._secrets) if i not in absent]
        signature = bls.signature_words(bytes(PopSchemeMPL.aggregate(parts)))
        return self._link.send(
            self._contract.functions.checkpoint(
                _split(header), self._aggregate, bytes(absent), [self._keys[i] for i in absent], _split(signature)
            )
        )


def _split(data: bytes) -> list[bytes]:
    return [data[at : at + 32] for at in range(0, len(data), 32)]

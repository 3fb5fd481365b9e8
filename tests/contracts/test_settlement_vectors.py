"""Golden vectors of what the contract hashes: the same bytes in this file, in Python and in the contract."""

import json
from pathlib import Path

from settlement_world import HeaderFields, World

from contracts import bls, digests

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "settlement.json").read_text())


def raw(name: str, field: str) -> bytes:
    return bytes.fromhex(VECTORS[name][field])


def test_python_matches_the_vectors() -> None:
    header = raw("header", "bytes")
    domain = digests.compute_domain(VECTORS["domain"]["chain_id"], raw("domain", "contract"))
    assert domain == raw("domain", "hash")
    assert digests.keccak(header) == raw("header", "hash")
    assert digests.finalize_digest(domain, header) == raw("header", "finalize_digest")
    possession = VECTORS["possession"]
    assert digests.possession_digest(
        VECTORS["domain"]["chain_id"], raw("domain", "contract"), raw("possession", "operator"),
        raw("possession", "network_key"), raw("possession", "bls_key"),
    ).hex() == possession["digest"]  # fmt: skip
    assert bls.key_words(raw("possession", "bls_key")).hex() == possession["bls_key_words"]


def test_python_matches_the_chains_and_trees() -> None:
    chain = bytes(32)
    for entry in VECTORS["inbox"]:
        chain = digests.next_inbox_hash(
            chain, entry["index"], entry["kind"], bytes.fromhex(entry["token"]), bytes.fromhex(entry["beneficiary"]),
            entry["subaccount"], bytes.fromhex(entry["sender"]), entry["amount"], bytes.fromhex(entry["data"]),
            entry["time_s"],
        )  # fmt: skip
        assert chain.hex() == entry["hash"]
    leaves = []
    for leaf in VECTORS["account_leaves"]:
        sums = digests.encode_sums(leaf["claim"], leaf["debt"])
        hashed = digests.account_leaf(
            leaf["index"], bytes.fromhex(leaf["owner"]), leaf["subaccount"], sums, bytes.fromhex(leaf["digest"])
        )
        assert hashed.hex() == leaf["hash"]
        leaves.append((hashed, sums))
    node_hash, node_sums = digests.sum_node(*leaves)
    assert (node_hash.hex(), node_sums.hex()) == (VECTORS["account_node"]["hash"], VECTORS["account_node"]["sums"])
    leaf = VECTORS["withdrawal_leaf"]
    hashed = digests.withdrawal_leaf(
        leaf["index"], bytes.fromhex(leaf["owner"]), bytes.fromhex(leaf["token"]), leaf["amount"]
    )
    assert hashed.hex() == leaf["hash"]


def test_contract_matches_python(world: World) -> None:
    """The contract's address is not the vectors', so it is compared with Python, which the vectors bind."""
    contract = world.contract
    assert contract.domain() == digests.compute_domain(contract.chain_id, contract.address_bytes)
    header = HeaderFields(height=7).encode()
    header_words = [header[at : at + 32] for at in range(0, 640, 32)]
    assert contract._read("finalize_digest", header_words) == world.digest(header)
    key48, network_key = raw("possession", "bls_key"), raw("possession", "network_key")
    key = bls.key_words(key48)
    operator = contract._link.web3.to_checksum_address(contract.sender)
    registry = world.as_operator(0)
    digest = registry._read("possession_digest", operator, network_key, [key[at : at + 32] for at in range(0, 128, 32)])
    assert digest == digests.possession_digest(
        registry.chain_id, registry.address_bytes, registry.sender, network_key, key48
    )

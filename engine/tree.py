"""Account tree and withdrawal tree: proofs, and a verifier anyone can read (docs/protocol.md, section 4).

The account tree is a Merkle-sum tree of depth 20 over account indices: every node carries the claims and debts below
it, so that one root commits to what the exchange owes in total. Its kernels are `engine.leaves` and
`engine.sumtree`; here is everything that must be obvious: how a path leads to the root, how the withdrawal tree grows.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.limits import TREE_DEPTH, WITHDRAWAL_DEPTH
from engine.payload import keccak
from engine.sumtree import encode_sums, read_siblings
from engine.tables import ACCOUNT_COUNT, Tables

if TYPE_CHECKING:
    from engine.state import EngineState

ZERO_HASH = bytes(32)


@dataclass(frozen=True, slots=True)
class AccountProof:
    """Everything that links one account to a header's account root. Siblings go from the leaf upwards, 20 of them.

    `digest = keccak(holdings ‖ aux_digest)`; sibling sums are words as `encode_sums` writes them.
    """

    index: int
    owner: bytes
    subaccount: int
    claim_quote: int
    debt_quote: int
    digest: bytes
    holdings: bytes
    aux_digest: bytes
    sibling_hashes: tuple[bytes, ...]
    sibling_sums: tuple[bytes, ...]


def read_key(tables: Tables, index: int) -> tuple[bytes, int]:
    """Owner (20 B) and subaccount of an account."""
    row = tables.accounts[index]
    key = b"".join(int(row[name]).to_bytes(8, "big", signed=True) for name in ("key_a", "key_b", "key_c"))
    return key[:20], int.from_bytes(key[20:], "big")


def list_positions(tables: Tables, account: int) -> list[int]:
    """Rows of an account's positions and of its open interests, ascending by market."""
    rows = []
    row = int(tables.accounts[account]["position_first"])
    while row:
        rows.append(row)
        row = int(tables.positions[row]["next"])
    return sorted(rows, key=lambda position: int(tables.positions[position]["market"]))


def encode_holdings(tables: Tables, account: int) -> bytes:
    """Balance (8 B BE), then market (4 B BE) and lots (8 B BE) of each position that is not flat, ascending."""
    parts = [int(tables.accounts[account]["balance_quote"]).to_bytes(8, "big", signed=True)]
    for row in list_positions(tables, account):
        market, lots = int(tables.positions[row]["market"]), int(tables.positions[row]["lots"])
        if lots:
            parts.append(market.to_bytes(4, "big") + lots.to_bytes(8, "big", signed=True))
    return b"".join(parts)


def account_proof(state: "EngineState", index: int) -> AccountProof:
    """Proof of an existing account against the state's account root. Raises `IndexError` for an absent one."""
    if not state.has_account(index):
        raise IndexError(f"no account {index}")
    tables = state.tables
    capacity = len(tables.node_hashes) // 2
    holdings, aux_digest = encode_holdings(tables, index), tables.aux_digests[index].tobytes()
    hashes, sums = read_siblings(tables.node_hashes, tables.node_sums, index, int(tables.counters[ACCOUNT_COUNT]))
    owner, subaccount = read_key(tables, index)
    claim_quote, debt_quote = (int(part) for part in tables.node_sums[capacity + index])
    digest = keccak(holdings + aux_digest)
    return AccountProof(index, owner, subaccount, claim_quote, debt_quote, digest, holdings, aux_digest, hashes, sums)


def verify_account_proof(proof: AccountProof, account_root: bytes, account_sums: bytes) -> bool:
    """Whether the account with exactly these holdings is under the root, and the sums along the path add up to its
    sums.
    """
    depth_ok = len(proof.sibling_hashes) == TREE_DEPTH == len(proof.sibling_sums)
    if not depth_ok or not 0 <= proof.index < 1 << TREE_DEPTH:
        return False
    if proof.digest != keccak(proof.holdings + proof.aux_digest):
        return False
    claims, debts = proof.claim_quote, proof.debt_quote
    words = (1).to_bytes(32, "big") + proof.index.to_bytes(32, "big") + bytes(12) + proof.owner
    node_hash = keccak(words + proof.subaccount.to_bytes(32, "big") + encode_sums(claims, debts) + proof.digest)
    for height in range(TREE_DEPTH):
        own = node_hash + encode_sums(claims, debts)
        other = proof.sibling_hashes[height] + proof.sibling_sums[height]
        node_hash = keccak(other + own if proof.index >> height & 1 else own + other)
        claims += int.from_bytes(proof.sibling_sums[height][:16], "big")
        debts += int.from_bytes(proof.sibling_sums[height][16:], "big")
        if claims >> 128 or debts >> 128:
            return False
    return node_hash == account_root and encode_sums(claims, debts) == account_sums


def withdrawal_leaf(index: int, owner: bytes, token: bytes, amount_quote: int) -> bytes:
    """Hash of one withdrawal: five words."""
    numbers = (2, index, int.from_bytes(owner, "big"), int.from_bytes(token, "big"), amount_quote)
    return keccak(b"".join(number.to_bytes(32, "big") for number in numbers))


def _fold_zero_hashes() -> tuple[bytes, ...]:
    hashes = [ZERO_HASH]
    for _ in range(WITHDRAWAL_DEPTH):
        hashes.append(keccak(hashes[-1] * 2))
    return tuple(hashes)


ZERO_SUBTREES = _fold_zero_hashes()
EMPTY_FRONTIER = (ZERO_HASH,) * WITHDRAWAL_DEPTH


def append_withdrawal(frontier: tuple[bytes, ...], count: int, leaf: bytes) -> tuple[bytes, ...]:
    """Frontier after appending leaf number `count`: entry h is the last full left subtree of height h."""
    node_hash = leaf
    for height in range(WITHDRAWAL_DEPTH):
        if not count >> height & 1:
            return frontier[:height] + (node_hash,) + frontier[height + 1 :]
        node_hash = keccak(frontier[height] + node_hash)
    raise IndexError("the withdrawal tree is full")


def compute_withdrawals_root(frontier: tuple[bytes, ...], count: int) -> bytes:
    """Root of an append-only tree of depth 32 with `count` leaves."""
    node_hash = ZERO_HASH
    for height in range(WITHDRAWAL_DEPTH):
        if count >> height & 1:
            node_hash = keccak(frontier[height] + node_hash)
        else:
            node_hash = keccak(node_hash + ZERO_SUBTREES[height])
    return node_hash


def withdrawal_proof(leaves: list[bytes], index: int) -> list[bytes]:
    """The 32 siblings of leaf `index`, from the leaf upwards, among all leaves so far."""
    row = list(leaves)
    siblings = []
    for height in range(WITHDRAWAL_DEPTH):
        at = index >> height ^ 1
        siblings.append(row[at] if at < len(row) else ZERO_SUBTREES[height])
        if len(row) % 2:
            row.append(ZERO_SUBTREES[height])
        row = [keccak(row[left] + row[left + 1]) for left in range(0, len(row), 2)]
    return siblings


def verify_withdrawal_proof(leaf: bytes, index: int, siblings: list[bytes], withdrawals_root: bytes) -> bool:
    """Whether a leaf stands at `index` under the root."""
    if len(siblings) != WITHDRAWAL_DEPTH or not 0 <= index < 1 << WITHDRAWAL_DEPTH:
        return False
    node_hash = leaf
    for height, sibling in enumerate(siblings):
        node_hash = keccak(sibling + node_hash if index >> height & 1 else node_hash + sibling)
    return node_hash == withdrawals_root

"""A small exchange on an embedded chain whose committee's keys are all at hand: what a thief of keys has before him.

The contracts are the real ones, with real keys and signatures; the engine is not here, because a corrupt quorum does
not ask it. Money is in quote units.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from consensus import crypto
from consensus.messages import FINALIZE, keccak, vote_digest
from contracts import digests
from contracts.council import Council
from contracts.court import Court, Statement
from contracts.deployment import Deployment, activate, deploy
from contracts.devchain.chain import Chain, funded_key
from contracts.devchain.provider import InProcessProvider
from contracts.devchain.rpc import Rpc
from contracts.registry import Registry
from contracts.settlement import Settlement
from engine.tree import EMPTY_FRONTIER, append_withdrawal, compute_withdrawals_root, withdrawal_proof

MEMBER_COUNT = 4
QUORUM = (0, 1, 2)
USDC = 10**6
STAKE_UNITS = 50_000 * USDC
CLAIM_DELAY_S = 900
FORCE_DEADLINE_S = 3_600
MAX_SILENCE_S = 2 * 3_600
PAUSE_S = COOLDOWN_S = 24 * 3_600
EXIT_WINDOW_S = 7 * 86_400
ENGINE_VERSION = 1
DEBT_MAX_QUOTE = 1_000 * USDC
OUTFLOW_CAP_QUOTE = 100_000 * USDC
FIRST_ACCOUNT = 64
AUX_HASH = bytes(32)


@dataclass(frozen=True, slots=True)
class Account:
    """What one leaf of the account tree says."""

    owner: bytes
    claim_quote: int
    debt_quote: int = 0


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One leaf of the withdrawal tree."""

    owner: bytes
    amount_units: int


@dataclass(frozen=True)
class Books:
    """What a header says about money. The next header is honest if it continues this and consumes the whole inbox."""

    height: int = 1
    accounts: tuple[Account, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()
    # Words of the header that say something else than the above, by position.
    forged_words: dict[int, int | bytes] = field(default_factory=dict)

    def forge(self, word: int, value: int | bytes) -> "Books":
        return replace(self, forged_words=self.forged_words | {word: value})


class Exchange:
    """Contracts, committee and a chain with a clock that can be moved."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.provider = InProcessProvider(Rpc(self.chain))
        self.deployment: Deployment = deploy(
            self.provider, funded_key(0), claim_delay_s=CLAIM_DELAY_S, force_deadline_s=FORCE_DEADLINE_S,
            engine_version=ENGINE_VERSION, debt_max_quote=DEBT_MAX_QUOTE, max_silence_s=MAX_SILENCE_S,
            stake_units=STAKE_UNITS, pause_s=PAUSE_S, cooldown_s=COOLDOWN_S, exit_window_s=EXIT_WINDOW_S,
            outflow_cap_quote=OUTFLOW_CAP_QUOTE,
        )  # fmt: skip
        self.settlement = Settlement(self.provider, self.deployment.settlement, funded_key(0))
        self.secrets = [crypto.derive_secret(keccak(b"corrupt quorum" + bytes([i]))) for i in range(MEMBER_COUNT)]
        for seat in range(MEMBER_COUNT):
            self._register(seat)
        activate(self.provider, funded_key(0), self.deployment.settlement)
        self.domain = self.settlement.domain()
        self.court = Court(self.provider, self.deployment.court, funded_key(0))

    def close(self) -> None:
        self.chain.close()

    def council(self, seat: int) -> Council:
        """The council as the operator of `seat` sees it."""
        return Council(self.provider, self.deployment.council, funded_key(seat))

    def registry(self, account: int) -> Registry:
        """The registry as a funded account sees it."""
        return Registry(self.provider, self.deployment.registry, funded_key(account))

    def deposit(self, beneficiary: bytes, amount_units: int) -> None:
        self.settlement.mint_test_usdc(self.settlement.sender, amount_units)
        self.settlement.deposit(beneficiary, 0, amount_units)

    def pass_time(self, by_s: int) -> None:
        self.chain.shift_clock(by_s)
        self.chain.mine()

    # -------------------------------------------------------- what is signed

    def encode(self, books: Books) -> bytes:
        """A header of 640 bytes."""
        cursor = self.settlement.inbox_length()
        words: list[int | bytes] = [0] * 20
        words[0], words[1], words[2], words[3] = 1, 1, books.height + 5, books.height
        words[7] = self.chain.head.timestamp * 1_000
        words[11], words[12] = cursor, self.settlement.inbox_hash(cursor)
        words[15] = self.account_root(books)
        words[16] = digests.encode_sums(
            sum(account.claim_quote for account in books.accounts), sum(known.debt_quote for known in books.accounts)
        )
        frontier = EMPTY_FRONTIER
        for index, leaf in enumerate(self._withdrawal_leaves(books)):
            frontier = append_withdrawal(frontier, index, leaf)
        words[17] = compute_withdrawals_root(frontier, len(books.withdrawals))
        words[18] = sum(known.amount_units for known in books.withdrawals)
        words[19] = ENGINE_VERSION
        for position, word in books.forged_words.items():
            words[position] = word
        return b"".join(word if isinstance(word, bytes) else word.to_bytes(32, "big") for word in words)

    def post(self, books: Books, signers: tuple[int, ...] = QUORUM) -> bytes:
        """Signed by these members and sent as a checkpoint; the header."""
        header = self.encode(books)
        absent = [member for member in range(MEMBER_COUNT) if member not in signers]
        self.settlement.checkpoint(header, absent, self.sign(header, signers))
        return header

    def sign(self, header: bytes, signers: tuple[int, ...]) -> bytes:
        signature = crypto.aggregate([crypto.sign(self.secrets[i], self._digest(header)) for i in signers])
        assert signature is not None
        return signature

    def state(self, header: bytes, signers: tuple[int, ...]) -> Statement:
        """A finalisation as the court takes it."""
        view = int.from_bytes(header[64:96], "big")
        bitmap = sum(1 << signer for signer in signers)
        return Statement(FINALIZE, view, keccak(header), bitmap, self.sign(header, signers))

    # -------------------------------------------------------- proofs

    def claim(self, books: Books, index: int) -> None:
        """Have a withdrawal paid."""
        leaves = self._withdrawal_leaves(books)
        wanted = books.withdrawals[index]
        proof = withdrawal_proof(leaves, index)
        self.settlement.claim_withdrawal(books.height, index, wanted.owner, wanted.amount_units, proof)

    def escape(self, books: Books, position: int) -> None:
        """Have an account paid its share of a frozen custody."""
        self.settlement.escape(**self._leaf_arguments(books, position))

    def account_root(self, books: Books) -> bytes:
        root, _ = _fold(_nodes(books), FIRST_ACCOUNT)
        return root[0]

    def _leaf_arguments(self, books: Books, position: int) -> dict[str, Any]:
        account, index = books.accounts[position], FIRST_ACCOUNT + position
        _, siblings = _fold(_nodes(books), index)
        return {
            "index": index, "owner": account.owner, "subaccount": 0, "claim": account.claim_quote,
            "debt": account.debt_quote, "digest": _digest_of(account),
            "sibling_hashes": [node[0] for node in siblings], "sibling_sums": [node[1] for node in siblings],
        }  # fmt: skip

    def _withdrawal_leaves(self, books: Books) -> list[bytes]:
        token = self.settlement.token_address
        return [
            digests.withdrawal_leaf(index, known.owner, token, known.amount_units)
            for index, known in enumerate(books.withdrawals)
        ]

    def _digest(self, header: bytes) -> bytes:
        view = int.from_bytes(header[64:96], "big")
        return vote_digest(self.domain, FINALIZE, int.from_bytes(header[32:64], "big"), view, keccak(header))

    def _register(self, seat: int) -> None:
        registry = self.registry(seat)
        self.settlement.mint_test_usdc(registry.sender, STAKE_UNITS)
        key, network_key = crypto.derive_public_key(self.secrets[seat]), bytes([seat + 1]) * 32
        digest = digests.possession_digest(registry.chain_id, registry.address_bytes, registry.sender, network_key, key)
        registry.register(key, crypto.prove_possession(self.secrets[seat], digest), network_key)


def _digest_of(account: Account) -> bytes:
    holdings = (account.claim_quote - account.debt_quote).to_bytes(8, "big", signed=True)
    return keccak(holdings + AUX_HASH)


def _nodes(books: Books) -> dict[int, tuple[bytes, bytes]]:
    nodes = {}
    for index, account in enumerate(books.accounts, FIRST_ACCOUNT):
        sums = digests.encode_sums(account.claim_quote, account.debt_quote)
        nodes[index] = (digests.account_leaf(index, account.owner, 0, sums, _digest_of(account)), sums)
    return nodes


def _fold(level: dict[int, tuple[bytes, bytes]], index: int) -> tuple[tuple[bytes, bytes], list[tuple[bytes, bytes]]]:
    """Root of the account tree, and the siblings of one leaf from the leaf up."""
    empty, siblings = (bytes(32), bytes(32)), []
    for _ in range(digests.ACCOUNT_DEPTH):
        siblings.append(level.get(index ^ 1, empty))
        parents = sorted({at // 2 for at in level})
        level = {at: digests.sum_node(level.get(2 * at, empty), level.get(2 * at + 1, empty)) for at in parents}
        empty = digests.sum_node(empty, empty)
        index //= 2
    return level.get(0, empty), siblings

"""Typed access to the registry (contracts/src/Registry.vy): who may be a validator, in which order, with what stake.

Blocking; from async code call it in worker threads. Every method raises `ChainError` when the chain does not answer
(retry) and `Refused` when the contract says no (do not). Reading methods take the number of a block: who agrees next
is read at a finalised one, so that all nodes read the same.
"""

from eth_utils import to_canonical_address, to_checksum_address
from web3.contract import Contract
from web3.providers.base import BaseProvider

from contracts import bls
from contracts.artifact import load_artifact
from contracts.chain_link import ChainLink
from contracts.contract_client import ContractClient
from contracts.records import Member, Standing, TxResult, ValidatorState

ADVERT_BYTES_MAX = 128


class Registry(ContractClient):
    """The registry at `address`, as seen through one RPC endpoint."""

    def __init__(self, endpoint: str | BaseProvider, address: str | bytes, private_key: bytes | None = None) -> None:
        """Raises `ChainError` if nothing answers or no contract is there."""
        super().__init__(ChainLink(endpoint, private_key), address, "Registry")

    def balance_wei(self, account: bytes) -> int:
        """What an account has for gas."""
        owner = to_checksum_address(account)
        return self._link.ask(lambda: self._link.web3.eth.get_balance(owner))

    def gas_price_wei(self) -> int:
        """The most that a unit of gas costs in the near future."""
        return 2 * self._link.ask(lambda: self._link.web3.eth.gas_price)

    def block_time_s(self) -> int:
        """The time of the chain's youngest block."""
        return self._link.ask(lambda: self._link.web3.eth.get_block("latest")["timestamp"])

    def finalized_block(self) -> int:
        """Number of the last block that the chain will not take back."""
        return self._link.ask(lambda: self._link.web3.eth.get_block("finalized")["number"])

    # -------------------------------------------------------- terms

    def settlement(self) -> bytes:
        """Address of the settlement contract whose validators these are."""
        return to_canonical_address(self._read("SETTLEMENT"))

    def court(self) -> bytes:
        """Address of the court whose verdicts slash."""
        return to_canonical_address(self._read("COURT"))

    def token(self) -> bytes:
        """Address of the token that stakes are paid in."""
        return to_canonical_address(self._read("TOKEN"))

    def stake_amount(self) -> int:
        """What every validator brings, in units of the token."""
        return self._read_number("STAKE")

    def unbonding_s(self) -> int:
        """How long after leaving a stake can still be slashed."""
        return self._read_number("UNBONDING_S")

    def seats_max(self) -> int:
        """Largest committee."""
        return self._read_number("SEATS_MAX")

    def registrations_max(self) -> int:
        """Numbers there are."""
        return self._read_number("REGISTRATIONS_MAX")

    # -------------------------------------------------------- validators

    def registration_count(self, block: int | None = None) -> int:
        """How many numbers are given."""
        return self._read_number("registration_count", block=block)

    def validator(self, number: int, block: int | None = None) -> Member:
        """Who registered as `number`; the record's index is the number."""
        operator, network_key, key = self._read("registration", number, block=block)
        return _member(number, number, operator, network_key, key)

    def number_of(self, operator: bytes, block: int | None = None) -> int | None:
        """The number that this operator registered as; None if it did not."""
        found: int = self._read("numbers", to_checksum_address(operator), block=block)
        return found - 1 if found else None

    def standing(self, number: int, block: int | None = None) -> Standing:
        """Where validator `number` stands."""
        state, serving_epoch, since_s = self._read("standing", number, block=block)
        return Standing(ValidatorState(state), serving_epoch, since_s, self._read("stake_of", number, block=block))

    def advertised_address(self, number: int, block: int | None = None) -> str:
        """Where the node listens for its peers, as its operator says: host:port; empty if it said nothing."""
        text: str = self._read("advertised", number, block=block)
        return text

    def is_taken(self, operator: bytes, bls_key48: bytes, network_key: bytes) -> tuple[bool, bool, bool]:
        """Whether operator, BLS key and network key are registered already."""
        key = _split(bls.key_words(bls_key48))
        is_operator, is_key, is_network_key = self._read("is_taken", to_checksum_address(operator), key, network_key)
        return is_operator, is_key, is_network_key

    def possession_digest(self, operator: bytes, network_key: bytes, bls_key48: bytes) -> bytes:
        """What the key signs to prove that it is this operator's, as the contract computes it."""
        key = _split(bls.key_words(bls_key48))
        digest: bytes = self._read("possession_digest", to_checksum_address(operator), network_key, key)
        return digest

    def stake_allowance(self, operator: bytes) -> int:
        """What the account has approved for its stake."""
        allowance = self._open_token().functions.allowance(to_checksum_address(operator), self.address)
        amount: int = self._link.ask(lambda: allowance.call())
        return amount

    def entry_queue(self, limit: int = 255, block: int | None = None) -> list[int]:
        """Numbers that wait to serve, first come first."""
        return list(self._read("queue", False, limit, block=block))

    def exit_queue(self, limit: int = 255, block: int | None = None) -> list[int]:
        """Members that have asked to leave, first come first."""
        return list(self._read("queue", True, limit, block=block))

    # -------------------------------------------------------- committees

    def epoch(self, block: int | None = None) -> int:
        """The current epoch on chain; 0 before activation."""
        return self._read_number("epoch", block=block)

    def committee_size(self, epoch: int, block: int | None = None) -> int:
        """Members of that epoch's committee; 0 if there was no such epoch."""
        return self._read_number("committee_size", epoch, block=block)

    def member(self, epoch: int, index: int, block: int | None = None) -> Member:
        """Member `index` of the committee of `epoch`."""
        operator, network_key, key, number = self._read("member", epoch, index, block=block)
        return _member(index, number, operator, network_key, key)

    def committee(self, epoch: int, block: int | None = None) -> list[Member]:
        """The committee of `epoch` in index order; empty if there was no such epoch."""
        return [self.member(epoch, index, block) for index in range(self.committee_size(epoch, block))]

    def committee_hash(self, epoch: int, block: int | None = None) -> bytes:
        """What headers call the committee of `epoch`; zero if there was no such epoch."""
        found: bytes = self._read("epoch_committees", epoch, block=block)
        return found

    def is_made(self, committee_hash: bytes, block: int | None = None) -> bool:
        """Whether the keys of this committee are where checkpoints find them."""
        return self._read_number("committees", committee_hash, block=block) != 0

    def numbers_of(self, committee_hash: bytes, block: int | None = None) -> list[int]:
        """The registrations that a committee is made of, in index order; empty if nobody has made it."""
        return list(self._read("numbers_of", committee_hash, block=block))

    def next_numbers(self, block: int | None = None) -> list[int]:
        """Who follows the current committee by what is stored at `block`, as registration numbers in index order."""
        return list(self._read("next_numbers", block=block))

    def next_members(self, block: int | None = None) -> list[Member]:
        """Who follows the current committee by what is stored at `block`, in index order."""
        return self.members(self.next_numbers(block), block)

    def members(self, numbers: list[int], block: int | None = None) -> list[Member]:
        """The committee that these registrations form."""
        found = [self.validator(number, block) for number in numbers]
        return [
            Member(index, known.operator, known.bls_key, known.network_key, known.number)
            for index, known in enumerate(found)
        ]

    # -------------------------------------------------------- transactions

    def register(self, bls_key48: bytes, possession96: bytes, network_key: bytes) -> TxResult:
        """Enter the queue with this account's stake; `possession96` signs `digests.possession_digest`.

        Approves the stake first where needed.
        """
        key, possession = _split(bls.key_words(bls_key48)), _split(bls.signature_words(possession96))
        self._approve_stake()
        return self._send("register", key, possession, network_key)

    def advertise(self, text: str) -> TxResult:
        """Tell the others where this account's node listens for them: host:port."""
        if len(text.encode()) > ADVERT_BYTES_MAX:
            raise ValueError(f"an advertised address has at most {ADVERT_BYTES_MAX} bytes")
        return self._send("advertise", text)

    def leave(self) -> TxResult:
        """Leave the queue, or ask to leave the committee."""
        return self._send("leave")

    def rejoin(self) -> TxResult:
        """Take back a `leave`, or come again under the same number; approves the stake first where it was paid back."""
        number = self.number_of(self.sender)
        if number is not None and self.standing(number).state == ValidatorState.GONE:
            self._approve_stake()
        return self._send("rejoin")

    def withdraw_stake(self) -> TxResult:
        """Have the stake paid back after the unbonding time."""
        return self._send("withdraw_stake")

    def make_committee(self, numbers: list[int]) -> TxResult:
        """Write the keys of a committee where checkpoints find them; anyone may, and a second time changes nothing."""
        return self._send("make_committee", numbers)

    def slash(self, epoch: int, index: int) -> TxResult:
        """Take the stake of a member whom the court has convicted."""
        return self._send("slash", epoch, index)

    def bring_to_insurance(self) -> TxResult:
        """Deposit what was slashed for the exchange's insurance account."""
        return self._send("bring_to_insurance")

    def insurance_owed(self) -> int:
        """What was slashed and not yet brought to the insurance account."""
        return self._read_number("insurance_owed")

    # -------------------------------------------------------- inside

    def _approve_stake(self) -> None:
        amount = self.stake_amount()
        if amount != 0 and self.stake_allowance(self.sender) < amount:
            self._link.send(self._open_token().functions.approve(self.address, amount))

    def _open_token(self) -> Contract:
        abi = load_artifact("TestUSDC")["abi"]
        token: Contract = self._link.web3.eth.contract(to_checksum_address(self.token()), abi=abi)
        return token


def _split(data: bytes) -> list[bytes]:
    return [data[at : at + 32] for at in range(0, len(data), 32)]


def _member(index: int, number: int, operator: str, network_key: bytes, key: list[bytes]) -> Member:
    return Member(index, to_canonical_address(operator), bls.compress_key(b"".join(key)), network_key, number)

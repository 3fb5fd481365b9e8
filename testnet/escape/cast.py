"""Who takes part in an escape drill: the ten traders of every local network, two more who make the bad debt, and one
who comes too late. All have keys of the test mnemonic that no trader and none of four operators uses.
"""

from dataclasses import dataclass
from pathlib import Path

from testnet.cast import DEPOSITS_QUOTE, ROLES
from testnet.funding import USDC_QUOTE, ChainAccount, derive_account

DARING_QUOTE = 10_000 * USDC_QUOTE
VULTURE_QUOTE = 200_000 * USDC_QUOTE
LATE_QUOTE = 777 * USDC_QUOTE + 123
_DARING, _VULTURE, _LATE = 16, 17, 18


@dataclass(frozen=True, slots=True)
class Person:
    """One trader, with a folder of their own. `node_index` is the validator they talk to."""

    name: str
    account: ChainAccount
    deposit_quote: int
    node_index: int
    folder: Path

    @property
    def key_path(self) -> Path:
        return self.folder / "key"

    @property
    def proof_path(self) -> Path:
        """Where the SDK keeps the newest proof of the account (`net.client.keeping`)."""
        return self.folder / f"{self.account.address_text}-0.json"

    def withdrawal_paths(self) -> list[Path]:
        """The proofs of own withdrawals."""
        return sorted(self.folder.glob("withdrawal-*.json"))

    def write_key(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key_path.touch(mode=0o600)
        self.key_path.write_text("0x" + self.account.key.hex() + "\n")


@dataclass(frozen=True, slots=True)
class Cast:
    """`traders` are run by `testnet.bots`; the others act in the drill itself."""

    traders: list[Person]
    daring: Person
    vulture: Person
    late: Person

    @property
    def forcing(self) -> Person:
        """Who asks the contract for a withdrawal when no validator answers any more."""
        return next(person for person in self.traders if person.name.startswith("taker"))

    @property
    def everybody(self) -> list[Person]:
        """All who have an account on the exchange."""
        return [*self.traders, self.daring, self.vulture]


def make_cast(folder: Path, node_count: int) -> Cast:
    def person(name: str, number: int, deposit_quote: int) -> Person:
        made = Person(name, derive_account(number), deposit_quote, number % node_count, folder / name)
        made.write_key()
        return made

    traders = [person(f"{role}{number}", number, DEPOSITS_QUOTE[role]) for number, role in enumerate(ROLES)]
    return Cast(
        traders,
        person("daring", _DARING, DARING_QUOTE),
        person("vulture", _VULTURE, VULTURE_QUOTE),
        person("late", _LATE, LATE_QUOTE),
    )

"""The arithmetic of an escape, computed apart from the contract: who is owed what, and what must be left (ADR 9)."""

from dataclasses import dataclass, field

SYSTEM_ACCOUNTS = 64
_POSITION_BYTES = 12


@dataclass(frozen=True, slots=True)
class Claim:
    """One account of the last checkpoint, as its owner's proof file tells it. `markets`: where it holds a position."""

    name: str
    index: int
    claim_quote: int
    debt_quote: int
    markets: tuple[int, ...] = ()


@dataclass(slots=True)
class Books:
    """The last checkpoint's sums, and the contract's money at the freeze. All in quote units."""

    claims_quote: int
    debt_quote: int
    pool_quote: int
    claims: list[Claim] = field(default_factory=list)

    def share(self, claim_quote: int) -> int:
        """`floor(claim x min(pool, claims) / claims)`."""
        return claim_quote * min(self.pool_quote, self.claims_quote) // self.claims_quote if claim_quote else 0

    @property
    def user_claims_quote(self) -> int:
        return sum(claim.claim_quote for claim in self.claims)

    @property
    def system_claims_quote(self) -> int:
        """What the exchange's own accounts claim, and nobody can take."""
        return self.claims_quote - self.user_claims_quote

    @property
    def paid_quote(self) -> int:
        """What all traders together are due."""
        return sum(self.share(claim.claim_quote) for claim in self.claims)

    @property
    def locked_quote(self) -> int:
        """The part of the pool behind the exchange's own accounts, which stays in the contract."""
        return self.share(self.system_claims_quote)

    @property
    def residue_quote(self) -> int:
        """What rounding down leaves."""
        return min(self.pool_quote, self.claims_quote) - self.paid_quote - self.locked_quote


def read_markets(holdings: bytes) -> tuple[int, ...]:
    """Markets of the positions in a proof's `holdings`: a balance of 8 bytes, then market (4) and lots (8) each."""
    rows = holdings[8:]
    return tuple(int.from_bytes(rows[at : at + 4], "big") for at in range(0, len(rows), _POSITION_BYTES))

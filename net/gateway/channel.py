"""A channel name, understood."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Channel:
    """`owner` for user channels, of all subaccounts or of one; `market` for channels of one market, `only_kind` and
    `currency` for those of several. One name means different things to connections that are about different accounts:
    `key` tells them apart.
    """

    name: str
    kind: str
    market: int = -1
    owner: bytes = b""
    subaccount: int | None = None
    only_kind: str = "any"
    currency: str = "any"
    pace_ms: int = 0  # 0: with every block
    is_single: bool = False  # a message an item instead of a list

    @property
    def key(self) -> tuple[str, bytes, int | None]:
        return self.name, self.owner, self.subaccount

"""What a key has signed, as a file that another signer reads: the interchange format of Ethereum's validators
(EIP-3076) with this network's votes in place of theirs.

```
{"metadata": {"interchange_format": "hansa-votes", "interchange_format_version": "1", "genesis": "0x..."},
 "data": [{"pubkey": "0x...", "epoch": "3", "floor_view": "120", "signed_views": [
   {"view": "121", "notarized": "0x...", "is_nullified": false, "finalized": "0x..."}]}]}
```

Numbers are decimal text, as there. `genesis` is the digest of genesis.toml. In `epoch` the key signs nothing at or
below `floor_view`, and in the views above nothing that contradicts what is listed; `notarized` and `finalized` are left
out where nothing was signed. In earlier epochs it signs nothing. Such a file only ever adds to what a guard knows.
"""

import json
from typing import Any

from consensus.guard import VIEWS_MAX, GuardState, SignedView
from validator.config import ConfigError

FORMAT, FORMAT_VERSION = "hansa-votes", "1"
_U64_MAX = (1 << 64) - 1
_U32_MAX = (1 << 32) - 1


def encode_protection(network_id: bytes, bls_key: bytes, state: GuardState) -> str:
    """The file's text."""
    return json.dumps(
        {
            "metadata": {
                "interchange_format": FORMAT,
                "interchange_format_version": FORMAT_VERSION,
                "genesis": "0x" + network_id.hex(),
            },
            "data": [
                {
                    "pubkey": "0x" + bls_key.hex(),
                    "epoch": str(state.epoch),
                    "floor_view": str(state.floor_view),
                    "signed_views": [_encode_view(entry) for entry in state.views],
                }
            ],
        },
        indent=1,
    )


def _encode_view(entry: SignedView) -> dict[str, Any]:
    shown: dict[str, Any] = {"view": str(entry.view), "is_nullified": entry.is_nullified}
    for name, signed in (("notarized", entry.notarized), ("finalized", entry.finalized)):
        if signed is not None:
            shown[name] = "0x" + signed.hex()
    return shown


def decode_protection(text: str, network_id: bytes, bls_key: bytes) -> GuardState:
    """Of this network and key alone. Raises `ConfigError` for another one's, and for what is no such file."""
    try:
        content = json.loads(text)
        metadata = content["metadata"]
        if metadata["interchange_format"] != FORMAT or metadata["interchange_format_version"] != FORMAT_VERSION:
            raise ConfigError(
                f"no file of the format {FORMAT}, version {FORMAT_VERSION}: `hansa signer export` writes one"
            )
        if _decode_bytes(metadata["genesis"], 32) != network_id:
            raise ConfigError("the file is of another network: its genesis is not the digest of this genesis.toml")
        rows = {_decode_bytes(row["pubkey"], 48): row for row in content["data"]}
        if bls_key not in rows:
            raise ConfigError(f"the file says nothing of this key, {bls_key.hex()}")
        return _decode_state(rows[bls_key])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"no file of the format {FORMAT}: {error!r}") from None


def _decode_state(row: dict[str, Any]) -> GuardState:
    floor_view = _decode_number(row["floor_view"], _U64_MAX)
    entries = [
        SignedView(
            _decode_number(entry["view"], _U64_MAX),
            _decode_bytes(entry["notarized"], 32) if "notarized" in entry else None,
            _decode_flag(entry["is_nullified"]),
            _decode_bytes(entry["finalized"], 32) if "finalized" in entry else None,
        )
        for entry in row["signed_views"]
    ]
    return _shape(_decode_number(row["epoch"], _U32_MAX), floor_view, entries)


def _decode_number(text: str, limit: int) -> int:
    number = int(text)
    if str(number) != text or not 0 <= number <= limit:
        raise ValueError(f"{text!r} is no number")
    return number


def _decode_bytes(text: str, length: int) -> bytes:
    data = bytes.fromhex(text.removeprefix("0x"))
    if len(data) != length:
        raise ValueError(f"{text!r} has not {length} bytes")
    return data


def _decode_flag(value: bool) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def merge(known: GuardState, told: GuardState) -> GuardState:
    """What forbids everything that either of them forbids."""
    if known.epoch != told.epoch:
        return max(known, told, key=lambda state: state.epoch)
    entries: dict[int, SignedView] = {entry.view: entry for entry in known.views}
    floor_view = max(known.floor_view, told.floor_view)
    for other in told.views:
        mine = entries.get(other.view, SignedView(other.view))
        entries[other.view] = SignedView(
            other.view, mine.notarized or other.notarized, mine.is_nullified or other.is_nullified,
            mine.finalized or other.finalized,
        )  # fmt: skip
        if {mine.notarized, other.notarized} - {None, entries[other.view].notarized} or (
            {mine.finalized, other.finalized} - {None, entries[other.view].finalized}
        ):
            floor_view = max(floor_view, other.view)  # two signers have both signed: neither does so there again
    return _shape(known.epoch, floor_view, list(entries.values()))


def _shape(epoch: int, floor_view: int, entries: list[SignedView]) -> GuardState:
    """As many of the newest views as a guard has room for; all below are under its floor."""
    views = sorted((entry for entry in entries if entry.view > floor_view), key=lambda entry: entry.view)
    if len({entry.view for entry in views}) != len(views):
        raise ValueError("a view is listed twice")
    if len(views) > VIEWS_MAX:
        floor_view = views[-VIEWS_MAX - 1].view
    return GuardState(epoch, floor_view, tuple(views[-VIEWS_MAX:]))

"""`hansa rotate-key`: another key in place of one that is old or known to somebody.

What a validator registered stands in the registry for ever: operator, voting key and network key belong to its number,
and the contract has no method that replaces one (contracts/src/Registry.vy). Only the account that pays gas is the
operator's free choice. For the others there is the way of a newcomer, which is told step by step.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from validator.config import Home

EXIT_REFUSED = 1
EXIT_MISTAKE = 2
_WHAT = {
    "voting": "the voting key (keys/bls)", "network": "the network key (keys/network)",
    "operator": "the account that registered",
}  # fmt: skip


def rotate_key(
    key: Annotated[Literal["gas", "voting", "network", "operator"], Parameter(help="Which one")],
    *,
    home: Annotated[Path, Parameter(help="The node's folder")],
    keep: Annotated[Path | None, Parameter(help="With gas: a file to be made, which the present key moves to")] = None,
) -> int:
    """Replace the key of the account that pays gas; of the other keys, tell the way to new ones.

    The present key is kept in a file of your choice, best one that leaves this machine: if its account is the one that
    registered, it alone leaves the committee, has the stake paid back and votes in the council, by `--key FILE`.

    For example:

        hansa rotate-key gas --home ~/.hansa --keep /mnt/stick/operator.json
        hansa rotate-key voting --home ~/.hansa
    """
    from validator.config import ConfigError, Home, load_network, load_node

    place = Home(home)
    try:
        if key == "gas":
            address = replace_gas_key(place, keep)
            print(f"{'account':<8} {address} pays for checkpoints from the next start on: send it ether")
            print(f"{'kept':<8} {keep}: the account before, with what ether it has")
            return 0
        lines = list_steps(key, place, load_node(place.config).index, load_network(place.genesis).epoch_length_ms > 0)
    except (ConfigError, OSError) as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_MISTAKE
    print("\n".join(lines), file=sys.stderr)
    return EXIT_REFUSED


def replace_gas_key(home: "Home", keep: Path | None) -> str:
    """The new account's address. The present key is durable in `keep` before anything is written over it. Raises
    `ConfigError`.
    """
    import secrets

    from validator.candidate import address_of
    from validator.config import ConfigError
    from validator.files import write_whole
    from validator.keystores import lock, unlock
    from validator.passphrase import find_passphrase

    if keep is None:
        raise ConfigError("say where the present key is to be kept: --keep FILE")
    if keep.exists():
        raise ConfigError(f"{keep} exists already; keys are not overwritten")
    locked, plain = home.keys / "operator.json", home.keys / "operator.key"
    path = locked if locked.exists() else plain
    if not path.exists():
        raise ConfigError(f"{path} is missing: there is nothing to replace")
    secret = secrets.token_bytes(32)
    if path == locked:
        phrase = find_passphrase(f"the keystores in {home.keys}")
        unlock(path.read_text(), phrase, str(path))  # the new one must open with what opens the others
        text = lock("operator", secret, phrase)
    else:
        text = secret.hex() + "\n"
    write_whole(keep, path.read_bytes(), mode=0o600)
    write_whole(path, text.encode(), mode=0o600)
    return address_of(secret)


def list_steps(key: str, home: "Home", number: int, may_join: bool) -> list[str]:
    """What to do instead."""
    told = [f"hansa: {_WHAT[key]} cannot be replaced: the registry keeps it for number {number} for ever"]
    if not may_join:
        return [
            *told,
            "this network's committee is fixed (epoch_length_ms = 0): nobody joins, so there is no other way",
        ]
    if key != "operator":
        told.append(
            "if somebody else has it: stop this node now. Its absence costs nothing, a lie in its name the stake"
        )
    return [
        *told,
        "to agree with new keys, take a new number; the stake is needed twice until the first one is paid back:",
        f"  1. hansa init --home NEW --genesis {home.genesis} --rpc URL, with other ports or on another machine",
        "  2. hansa start --home NEW; send ether and the stake to its operator",
        "  3. hansa join --home NEW --advertise HOST:PORT: it waits for its seat",
        f"  4. once `hansa committee status --home NEW` shows that it serves: hansa leave --home {home.path}",
        f"  5. keep {home.path} running until it is out, unless its keys are known to others",
        f"  6. after the unbonding time: hansa committee stake --home {home.path} --withdraw",
    ]

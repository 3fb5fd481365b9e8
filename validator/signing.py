"""Who signs a node's votes, as its operator has it in config.toml: the node, or a process of its own."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from validator.config import Home, NetworkConfig, NodeConfig
from validator.keys import Keys
from validator.observing import find_highest_view, is_observer
from validator.remote_signer import RemoteSigner
from validator.restart import Restart
from validator.rotation import Position
from validator.signer import Signer, SignerError

if TYPE_CHECKING:
    from validator.node import Node

log = logging.getLogger("hansa.signer")


def open_signer(
    home: Home, network: NetworkConfig, config: NodeConfig, keys: Keys, domain: bytes, position: Position
) -> Signer | RemoteSigner:
    """Raises `SignerError` when another process has the key, or its guard cannot be trusted."""
    seat, path = position.seats.find(config.index), home.signer_socket(config)
    if path is None:
        return Signer(home.data / "guard", keys.voting_secret(), seat, domain, position.epoch)
    bls_key = None if seat is None else position.seats.committee.members[seat].bls_key
    return RemoteSigner(path, network.digest(), position.epoch, seat, bls_key)


def must_observe(
    home: Home, config: NodeConfig, signer: Signer | RemoteSigner, position: Position, records: Sequence[bytes]
) -> bool:
    """Whether the key must not vote for now. `records`: the journal's, which has a vote only once the guard has it: a
    signer that knows less is an old copy, and `SignerError` is raised.
    """
    if not signer.is_up:
        _tell_observing("the signer is away")
        return True
    if isinstance(signer, RemoteSigner):
        _check_journal(config, signer, position, records)
    must = is_observer(home.data, signer, position.epoch, config.vote_above_view)
    if must:
        _tell_observing("this key's guard was lost")
    return must


def _tell_observing(reason: str) -> None:
    log.warning("node.observer reason=%s (see vote_above_view and signer in docs/operate.md)", reason)


def _check_journal(config: NodeConfig, signer: RemoteSigner, position: Position, records: Sequence[bytes]) -> None:
    seat = position.seats.find(config.index)
    journal_view = 0 if seat is None else find_highest_view(records, seat, position.epoch)
    if not 0 < signer.highest_view < journal_view:
        return
    if config.vote_above_view < journal_view:
        raise SignerError(
            f"the signer knows of votes up to view {signer.highest_view}, this node of one in view {journal_view}: the "
            "signer's folder is an old copy. Restore the newest, `hansa signer import` what it exported last, or set "
            "vote_above_view as docs/operate.md says for a lost guard"
        )
    signer.raise_floor(config.vote_above_view)


async def keep_signer(node: "Node", signer: Signer | RemoteSigner) -> None:
    """Until cancelled. Raises `Restart` when a signer that was away can be asked."""
    if isinstance(signer, RemoteSigner):
        await signer.run(node.agreement, node.wake)
        raise Restart("the signer answers")

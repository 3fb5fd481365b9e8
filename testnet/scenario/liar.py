"""A member that lies: a whole node whose frames are changed on their way out, and whose choices are not its own.

Which behaviour, and whether any, the controls say at each frame. What a lie needs to be signed is signed with the
member's real keys, past its guard: an honest node's guard would refuse.
"""

import random
import secrets
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consensus import crypto
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    Block,
    Certificate,
    Message,
    Proposal,
    Vote,
    decode_message,
    encode_message,
    vote_digest,
)
from engine.payload import PriceReport
from net.wire import BatchFrame, Consensus, Frame, PriceFrame, RangeResponse, Spoken
from testnet.scenario.controls import Controls
from validator.batches import CheckedBatch
from validator.keys import load_keys

if TYPE_CHECKING:
    from validator.node import Node
    from validator.peering import Peering

FORGERIES_PER_REPORT = 8
FALSE_PARTS = (6, 5)  # a fifth more
KINDS = (NOTARIZE, NULLIFY, FINALIZE)


class Liar:
    """One node's worse self. `take_over` before it has sent anything."""

    def __init__(self, controls: Controls, node: "Node", peering: "Peering", home: Path) -> None:
        self._controls, self._node, self._home = controls, node, home
        self._broadcast: Callable[[Frame], None] = peering.broadcast
        self._send: Callable[[int, Frame], bool] = peering.send
        self._peering = peering
        self._draw = random.Random(node.config.index)
        self._frozen: tuple[int, ...] = ()

    def take_over(self) -> None:
        replacements: list[tuple[Any, str, Any]] = [
            (self._peering, "broadcast", self.broadcast),
            (self._peering, "send", self.send),
            (self._node.pool, "select", self._make_select(self._node.pool.select)),
            (self._node, "_price_feed", _Feed(self, self._node._price_feed)),
        ]
        for owner, name, value in replacements:
            setattr(owner, name, value)

    @cached_property
    def _secret(self) -> bytes:
        """Of the voting key, which must be in the home: a signer of its own would refuse what lies need."""
        secret = load_keys(self._home / "keys").bls
        if secret is None:
            raise RuntimeError(f"{self._home} has its voting key elsewhere: nobody signs lies there")
        return secret

    # -------------------------------------------------------- frames on their way out

    def broadcast(self, frame: Frame) -> None:
        match self._controls.lie:
            case "equivocate" if (proposal := _find_own_proposal(frame, self._node)) is not None:
                self._say_both(frame, proposal)
            case "withhold" if _is_withheld(frame):
                return
            case "forge":
                self._broadcast(frame)
                if isinstance(frame, PriceFrame):
                    self._forge(frame.report)
            case _:
                self._broadcast(frame)

    def send(self, peer: int, frame: Frame) -> bool:
        if self._controls.lie == "withhold" and _is_withheld(frame):
            return False
        return self._send(peer, frame)

    def _say_both(self, frame: Frame, proposal: Proposal) -> None:
        """Two blocks in one place, each signed: half of the others hear the one first, half the other."""
        header = proposal.block.header
        rival_header = header._replace(timestamp_ms=header.timestamp_ms + 1)
        digest = vote_digest(self._node.domain, NOTARIZE, header.epoch, header.view, rival_header.hash())
        signature = crypto.sign(self._secret, digest)
        vote = Vote(NOTARIZE, header.epoch, header.view, rival_header.hash(), proposal.vote.signer, signature)
        block = Block(rival_header, proposal.block.payload)
        rival = Proposal(block, vote, proposal.parent_certificate, proposal.nullifications, proposal.approval)
        both: tuple[Frame, Frame] = frame, Spoken(encode_message(rival))
        for peer in range(len(self._node.network.validators)):
            if peer != self._node.config.index:
                for said in both if peer % 2 else both[::-1]:
                    self._send(peer, said)

    def _forge(self, report: PriceReport) -> None:
        """Votes and a price in another's name, and a certificate of everybody that nobody signed."""
        epoch, view = self._node.agreement.epoch, self._node.agreement.core.view
        members = len(self._node.network.validators)
        others = [member for member in range(members) if member != self._node.config.index]
        genuine = crypto.sign(self._secret, secrets.token_bytes(32))  # a signature, and of nothing that was said
        forged: list[Message] = [
            Vote(
                self._draw.choice(KINDS), epoch, view + self._draw.randrange(3), secrets.token_bytes(32),
                self._draw.choice(others), genuine,
            )
            for _ in range(FORGERIES_PER_REPORT)
        ]  # fmt: skip
        bitmap = ((1 << members) - 1).to_bytes((members + 7) // 8, "little")
        forged.append(Certificate(FINALIZE, epoch, view, secrets.token_bytes(32), bitmap, genuine))
        for message in forged:
            self._broadcast(Spoken(encode_message(message)))
        victim = self._draw.choice(others)
        self._broadcast(PriceFrame(PriceReport(victim, report.time_ms + 1, report.feeds_e8, report.signature)))

    # -------------------------------------------------------- choices

    def _make_select(self, select: Callable[..., tuple[tuple[int, int, bytes], ...]]) -> Callable[..., Any]:
        """A censor's blocks carry its own clients' orders alone."""

        def choose(
            cursors: list[int], is_ripe: Callable[[CheckedBatch], bool] | None = None
        ) -> tuple[tuple[int, int, bytes], ...]:
            chosen = select(cursors, is_ripe)
            if self._controls.lie == "censor":
                return tuple(ref for ref in chosen if ref[0] == self._node.config.index)
            return chosen

        return choose

    def change_feeds(self, feeds_e8: tuple[int, ...]) -> tuple[int, ...]:
        """What is reported instead of what is seen."""
        lie = self._controls.lie
        if lie != "stale_prices":
            self._frozen = feeds_e8
        if self._controls.has_no_prices:
            return tuple(0 for _ in feeds_e8)
        if lie == "false_prices":
            more, parts = FALSE_PARTS
            return tuple(value * more // parts for value in feeds_e8)
        return self._frozen if len(self._frozen) == len(feeds_e8) else feeds_e8


class _Feed:
    """A price feed (`validator.pricefeed`) as its liar reports it."""

    def __init__(self, liar: Liar, feed: Any) -> None:
        self._liar, self._feed = liar, feed

    def feeds(self, time_ms: int, expiries: tuple[tuple[int, int], ...] = ()) -> tuple[int, ...]:
        return self._liar.change_feeds(self._feed.feeds(time_ms, expiries))


def _find_own_proposal(frame: Frame, node: "Node") -> Proposal | None:
    """The proposal in a frame, if it is one and ours."""
    if not isinstance(frame, Spoken):
        return None
    message = decode_message(frame.encoded)
    is_ours = isinstance(message, Proposal) and message.block.header.proposer == node.agreement.core.config.me
    return message if isinstance(message, Proposal) and is_ours else None


def _is_withheld(frame: Frame) -> bool:
    """Whatever others need from this member, but for its proposals."""
    match frame:
        case BatchFrame() | RangeResponse():
            return True
        case Spoken(encoded):
            return not isinstance(decode_message(encoded), Proposal)
        case Consensus(Block()):
            return True
    return False

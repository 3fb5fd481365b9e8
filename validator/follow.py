"""`hansa follow`: a chain followed from its public network, by whoever runs no validator.

Trusted are genesis.toml and more than two thirds of each committee while it is one; no peer is. Every block printed is
covered by a certificate that was checked here, and is the child of the one printed before it. Nothing is executed, so
that the commitments are right is the committee's word. Committees after the first are learned from sealing blocks.

Blocks come by gossip. What is missed is asked for, and when gossip is silent the next block is, too.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import trio

from consensus.messages import Header
from net.public.host import PeerLost, PublicHost, PublicLimits, PublicSetup, parse_address
from net.public.messages import (
    ANSWER_BYTES_MAX,
    BLOCKS_PROTOCOL,
    COMMITTEE_PROTOCOL,
    CheckpointNote,
    PublicError,
    Run,
    Topics,
    decode_committee,
    decode_run,
    encode_request,
)
from validator.gossip import Gossip, Listener
from validator.light import Forged, LightChain, Unknown
from validator.roster import Seats

SILENCE_S = 3.0
RETRY_S = 0.5
RANGE_BLOCKS = 16
WAITING_MAX = 64
REMEMBERED_MAX = 4096


class ChainBroken(Exception):
    """A named peer gave a forged certificate, or two certified blocks contradict each other."""


@dataclass(frozen=True, slots=True)
class CertifiedHeader:
    """A block of the chain, and who signed the certificate that covers it (indices in its epoch's committee)."""

    header: Header
    signers: tuple[int, ...]


class Follower:
    """`on_block` and `on_checkpoint` are told of what was verified, blocks in order of height."""

    def __init__(
        self,
        light: LightChain,
        network_id: bytes,
        bootstrap: Sequence[str],
        on_block: Callable[[CertifiedHeader], None],
        on_checkpoint: Callable[[CheckpointNote], None],
        from_height: int = 0,
        listen: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self._light, self._on_block = light, on_block
        self._named = {parse_address(text)[1].to_bytes() for text in bootstrap}
        self._next_height = from_height
        self._hashes: OrderedDict[int, bytes] = OrderedDict()
        listener = Listener(self._queue_run, on_checkpoint=on_checkpoint, report=self._on_offence)
        listener.on_unknown_epoch = self._on_unknown_epoch
        gossip = Gossip(light, Topics.of(network_id), listener)
        setup = PublicSetup(
            secrets.token_bytes(32), network_id, *listen, bootstrap=tuple(bootstrap), limits=PublicLimits(neighbours=3)
        )
        self.host = PublicHost(setup, gossip.receive, {})
        self._send, self._runs = trio.open_memory_channel[Run](WAITING_MAX)
        self._wanted_epoch = 0
        self._broken: str | None = None

    async def run(self) -> None:
        """Until cancelled. Raises `ChainBroken`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.host.run)
            await self.host.ready.wait()
            while True:
                run = await self._next_run()
                if self._broken is not None:
                    raise ChainBroken(self._broken)
                await self._learn_committees()
                if run is not None:
                    await self._take(run)

    async def _next_run(self) -> Run | None:
        """Of gossip, or asked for when that is silent; None when there is none."""
        is_starting = self._next_height > 0 and not self._hashes
        try:
            with trio.fail_after(0 if is_starting else SILENCE_S):
                return await self._runs.receive()
        except trio.TooSlowError:
            run = await self._ask_run(self._next_height)
        await trio.sleep(RETRY_S if run is None else 0)
        return run

    def _queue_run(self, run: Run, _peer: bytes) -> None:
        with suppress(trio.WouldBlock):  # what is lost here is asked for later
            self._send.send_nowait(run)

    def _on_unknown_epoch(self, epoch: int, _peer: bytes) -> None:
        self._wanted_epoch = max(self._wanted_epoch, epoch)

    def _on_offence(self, peer: bytes, offence: str) -> None:
        self.host.report(peer, offence)
        if peer in self._named:
            self._broken = f"a peer that you named sent what it could have known to be wrong: {offence}"

    # the chain

    async def _take(self, run: Run) -> None:
        """Print what is new of a verified run, after what is missing before it."""
        headers = [item.header for item in run.final_items()]
        for header in headers:
            known = self._hashes.get(header.height)
            if known is not None and known != header.hash():
                raise ChainBroken(f"two certified blocks of height {header.height}: the committee has forked")
        if not self._next_height:
            self._next_height = headers[0].height
        while headers[0].height > self._next_height:
            missing = await self._ask_run(self._next_height)
            if missing is None:
                await trio.sleep(RETRY_S)
            else:
                self._extend(missing)
        self._extend(run)

    def _extend(self, run: Run) -> None:
        signers = tuple(run.certificate.signers())
        for item in run.final_items():
            header = item.header
            if header.height != self._next_height:
                continue
            parent_hash = self._hashes.get(header.height - 1)
            if parent_hash is not None and header.parent_hash != parent_hash:
                raise ChainBroken(f"the certified block {header.height} is no child of the certified block before it")
            self._hashes[header.height] = header.hash()
            if len(self._hashes) > REMEMBERED_MAX:
                self._hashes.popitem(last=False)
            self._next_height = header.height + 1
            self._on_block(CertifiedHeader(header, signers))

    # questions

    def _peers(self) -> list[bytes]:
        """Those that the user named first."""
        return sorted(self.host.peer_ids, key=lambda peer: peer not in self._named)

    async def _ask_run(self, from_height: int) -> Run | None:
        """A verified run from exactly this height (0: the newest), of the first peer that has one. Raises
        `ChainBroken`.
        """
        for peer in self._peers():
            try:
                data = await self.host.ask(peer, BLOCKS_PROTOCOL, encode_request(from_height, RANGE_BLOCKS, 0))
                if not data:
                    continue
                run = decode_run(data, ANSWER_BYTES_MAX)
                if from_height and run.items[0].header.height != from_height:
                    raise PublicError("another range than was asked for")
                if run.certificate.epoch > self._light.newest_epoch:
                    await self._learn_until(run.certificate.epoch)
                self._light.verify(run.certificate)
                return run
            except (PeerLost, Unknown):
                continue
            except (PublicError, Forged) as error:
                self._blame(peer, error)
        return None

    async def _learn_committees(self) -> None:
        if self._wanted_epoch > self._light.newest_epoch:
            await self._learn_until(self._wanted_epoch)

    async def _learn_until(self, epoch: int) -> None:
        """One committee after the other, each proven by the one before."""
        while self._light.newest_epoch < epoch and await self._learn_next():
            pass

    async def _learn_next(self) -> bool:
        for peer in self._peers():
            try:
                request = encode_request(self._light.newest_epoch + 1)
                proof = decode_committee(await self.host.ask(peer, COMMITTEE_PROTOCOL, request))
                if proof is None:
                    continue
                self._light.verify_succession(_decode_seats(proof.seats), proof.headers, proof.certificate)
                return True
            except (PeerLost, Unknown):
                continue
            except (PublicError, Forged) as error:
                self._blame(peer, error)
        return False

    def _blame(self, peer: bytes, error: Exception) -> None:
        self.host.report(peer, str(error))
        if peer in self._named:
            raise ChainBroken(f"a peer that you named answered with what is wrong: {error}") from None


def _decode_seats(data: bytes) -> Seats:
    try:
        seats = Seats.decode(data)
        if seats.encode() == data:
            return seats
    except Exception as error:  # whatever a stranger's bytes make of a list of members
        raise PublicError("no list of seats") from error
    raise PublicError("not the canonical encoding")

"""What every trader's client does while the exchange works: after each checkpoint it keeps a proof on disk.

Only a proof of the contract's last checkpoint pays after a freeze, so it is asked for by that height. `proof.json` in
the trader's folder is the newest; `withdrawal-N.json` proves an own withdrawal against the same checkpoint.
"""

import json
from pathlib import Path
from typing import Any

import trio

from contracts.records import ChainError
from contracts.settlement import Settlement
from net.client import AsyncClient, HansaError
from net.client.proof import ProofError
from testnet.escape.cast import Person
from testnet.launch import in_thread

POLL_S = 0.3
CALL_S = 5


class Keeper:
    """Keeps the proofs of `people`. `heights` are those of the newest proofs on disk."""

    def __init__(self, people: list[Person], urls: list[str], settlement: Settlement) -> None:
        self._people = people
        self._urls = urls
        self._settlement = settlement
        self.heights: dict[str, int] = {}

    async def run(self) -> None:
        """Until cancelled. A node that does not answer is asked again after the next poll."""
        async with trio.open_nursery() as nursery:
            for person in self._people:
                nursery.start_soon(self._follow, person)

    async def catch_up(self, url: str, height: int) -> list[str]:
        """Ask another node for what is still missing of a checkpoint; names of those who have no proof of it."""
        for person in self._people:
            if self.heights.get(person.name) != height:
                async with AsyncClient(url, owner=person.account.address_text, timeout_s=CALL_S) as client:
                    await self._keep(person, client, height)
        return [person.name for person in self._people if self.heights.get(person.name) != height]

    async def _follow(self, person: Person) -> None:
        """The trader's own node first; after a failure the next, for not every node can prove every height."""
        at = person.node_index
        while True:
            async with AsyncClient(self._urls[at], owner=person.account.address_text, timeout_s=CALL_S) as client:
                while await self._keep_newest(person, client):
                    await trio.sleep(POLL_S)
            await trio.sleep(POLL_S)
            at = (at + 1) % len(self._urls)

    async def _keep_newest(self, person: Person, client: AsyncClient) -> bool:
        """False when this node does not have what is asked for."""
        try:
            height = (await in_thread(self._settlement.last)).height
        except ChainError:
            return True
        return height <= self.heights.get(person.name, 0) or await self._keep(person, client, height)

    async def _keep(self, person: Person, client: AsyncClient, height: int) -> bool:
        try:
            proven = await client.proof(height)
            withdrawals = [
                await client.withdrawal_proof(entry["index"])
                for entry in await client.withdrawals()
                if entry["x_height"] <= height
            ]
        except (HansaError, ProofError):
            return False
        # A node that lacks the checkpoint proves withdrawals against another header, which the contract does not know.
        if any(proof["certificate"]["height"] != height for proof in withdrawals):
            return False
        _replace(person.proof_path, proven.raw)
        for proof in withdrawals:
            _replace(person.folder / f"withdrawal-{proof['index']}.json", proof)
        self.heights[person.name] = height
        return True


def _replace(path: Path, content: dict[str, Any]) -> None:
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(content))
    aside.replace(path)

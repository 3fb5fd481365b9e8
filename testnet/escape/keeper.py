"""What every trader's client does while the exchange works: after each checkpoint it keeps proofs on disk.

The account's proof is kept by the SDK (`net.client.keeping`). Beside it `withdrawal-N.json` proves an own withdrawal
against a checkpoint. Only a proof of the contract's last checkpoint pays an account after a freeze.
"""

import json
from pathlib import Path
from typing import Any

import trio

from contracts.records import ChainError
from contracts.settlement import Settlement
from net.client import AsyncClient, HansaError
from net.client.keeping import save_proof
from testnet.escape.cast import Person
from testnet.launch import in_thread

POLL_S = 0.5
CALL_S = 5


class Keeper:
    """Keeps the proofs of `people`, each from their own node."""

    def __init__(self, people: list[Person], urls: list[str], settlement: Settlement) -> None:
        self._people = people
        self._urls = urls
        self._settlement = settlement

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            for person in self._people:
                nursery.start_soon(self._follow, person)

    def find_lacking(self, height: int) -> list[Person]:
        """Those who have a proof that is not of this checkpoint, or no proof at all."""
        return [person for person in self._people if read_heights(person) != {height}]

    async def catch_up(self, url: str, height: int) -> None:
        """Ask another node for what is still missing of a checkpoint. Raises `HansaError` or `ProofError`."""
        for person in self.find_lacking(height):
            async with AsyncClient(url, owner=person.account.address_text, timeout_s=CALL_S) as client:
                proof = await client.proof(height)
                await in_thread(save_proof, person.folder, proof)
                await self._keep_withdrawals(person, client, height)

    async def _follow(self, person: Person) -> None:
        url = self._urls[person.node_index]
        async with (
            AsyncClient(url, owner=person.account.address_text, timeout_s=CALL_S) as client,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(client.keep_proofs, person.folder)
            nursery.start_soon(self._follow_withdrawals, person, client)

    async def _follow_withdrawals(self, person: Person, client: AsyncClient) -> None:
        kept_height = 0
        while True:
            await trio.sleep(POLL_S)
            try:
                height = (await in_thread(self._settlement.last)).height
                if height > kept_height:
                    await self._keep_withdrawals(person, client, height)
                    kept_height = height
            except (ChainError, HansaError):
                continue

    @staticmethod
    async def _keep_withdrawals(person: Person, client: AsyncClient, height: int) -> None:
        """Anew at every checkpoint: the contract keeps the last one, and of those before it not all."""
        for entry in await client.withdrawals():
            if entry["x_height"] <= height:
                proof = await client.withdrawal_proof(entry["index"], height)
                _write(person.folder / f"withdrawal-{entry['index']}.json", proof)


def read_heights(person: Person) -> set[int]:
    """Of all proofs on the trader's disk."""
    paths = [path for path in (person.proof_path, *person.withdrawal_paths()) if path.exists()]
    return {json.loads(path.read_text())["certificate"]["height"] for path in paths}


def _write(path: Path, content: dict[str, Any]) -> None:
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(content))
    aside.replace(path)

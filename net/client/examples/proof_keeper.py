"""Keeps your way out on your own disk: the proof of your equity, checked, anew at every checkpoint.

With it `hansa verify-me` checks the exchange without asking it, and `hansa escape` gets your money out when every
validator is gone. Only reads: it needs no key, just `--account`. Files: ./proofs/ADDRESS-SUBACCOUNT.json.
"""

from pathlib import Path

from net.client import AsyncClient
from net.client.examples.starting import start

FOLDER = Path("proofs")


async def run(client: AsyncClient) -> None:
    """Until cancelled."""
    print(f"keeping the proofs of {client.owner} in {FOLDER.resolve()}")
    await client.keep_proofs(FOLDER)


if __name__ == "__main__":
    start(__doc__, run)

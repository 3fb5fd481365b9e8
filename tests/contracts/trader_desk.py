"""A trader's machine: the chain over HTTP, a folder with the key and the proof that a node once answered."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from account_book import AUX_HASH, Book, BookAccount, owner_of
from settlement_world import HeaderFields, World

from consensus.messages import Certificate, Header
from contracts.devchain.chain import funded_key
from contracts.devchain.rpc import Rpc
from contracts.devchain.server import Server
from net.gateway import present
from net.gateway.backend import AccountProof, FinalisedHeader

OWNER = owner_of(1)
BOOK = Book({1: BookAccount((2).to_bytes(20, "big"), 50), 64: BookAccount(OWNER, 2_500_000, subaccount=3),
             65: BookAccount(owner_of(2), 0, 400)})  # fmt: skip
POOL = BOOK.claims - BOOK.debt
SHARE = 2_500_000 * POOL // BOOK.claims
INDEX = 64


def node_answer(world: World, fields: HeaderFields, index: int, absent: tuple[int, ...] = ()) -> dict:
    """What a node's API says about the account, by the gateway's own code."""
    header = Header.decode(fields.encode())
    bits = sum(1 << i for i in range(len(world.secrets)) if i not in absent)
    signature = world.sign(world.digest(fields.encode()), absent)
    certificate = Certificate(3, header.epoch, header.view, header.hash(), bytes([bits]), signature)
    leaf = BOOK.leaf(index)
    siblings = [
        (node, int.from_bytes(sums[:16], "big"), int.from_bytes(sums[16:], "big"))
        for node, sums in zip(leaf["sibling_hashes"], leaf["sibling_sums"])
    ]
    view = AccountProof(
        index=index, owner=leaf["owner"], subaccount=leaf["subaccount"], claims=leaf["claim"], debt=leaf["debt"],
        holdings=BOOK.holdings(index), aux_hash=AUX_HASH, siblings=tuple(siblings),
        finalised=FinalisedHeader(header, certificate),
    )  # fmt: skip
    return present.account_proof(view)


class Desk:
    """A trader's machine: the chain over HTTP, a folder with the key and the proof."""

    def __init__(self, world: World, folder: Path, url: str) -> None:
        self.world, self.url = world, url
        self.proof_path, self.key_path = folder / "proof.json", folder / "key"
        self.arguments = [
            "--rpc", url, "--contract", world.deployment.settlement, "--proof", str(self.proof_path),
            "--key", str(self.key_path),
        ]  # fmt: skip
        self.key_path.write_text("0x" + funded_key(7).hex() + "\n")
        world.deposit(POOL)
        made_ms = world.chain.head.timestamp * 1_000
        self.fields = world.consumed(BOOK.fields(HeaderFields(height=5, timestamp_ms=made_ms)))
        self.save(self.fields)

    def save(self, fields: HeaderFields, index: int = INDEX, absent: tuple[int, ...] = (2,)) -> None:
        self.proof_path.write_text(json.dumps(node_answer(self.world, fields, index, absent)))


@contextmanager
def served(world: World) -> Iterator[str]:
    """The URL under which the world's chain answers meanwhile."""
    server = Server(Rpc(world.chain), "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()

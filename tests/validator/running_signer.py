"""The signer's service in a thread with a loop of its own, as a node meets it: by its socket alone."""

import threading
from pathlib import Path

import trio

from consensus.messages import compute_domain
from validator.disk import Disk, open_queue
from validator.signer import Signer
from validator.signer_service import SignerService
from validator.voting_key import make_voting_key

CHAIN_ID, CONTRACT = 31337, bytes(20)
DOMAIN = compute_domain(CHAIN_ID, CONTRACT)
NETWORK_ID = b"\5" * 32


class RunningSigner:
    """Use as a context manager. `folder` has the guard and the socket."""

    def __init__(self, folder: Path, secret: bytes, network_id: bytes = NETWORK_ID, domain: bytes = DOMAIN) -> None:
        self.folder, self.path = folder, folder / "signer.sock"
        self.signer = Signer(folder / "guard", secret, None, domain, 0)
        self._network_id = network_id
        self._key = make_voting_key(secret)
        self._is_listening = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,), daemon=True)

    def __enter__(self) -> "RunningSigner":
        self._thread.start()
        assert self._is_listening.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(20)
        self.signer.close()

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        disk = Disk(open_queue(self.folder))
        with trio.CancelScope() as self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(SignerService(self.path, self.signer, self._key, self._network_id, disk).run)
                while not self.path.exists():
                    await trio.sleep(0.001)
                self._is_listening.set()
        disk.close()

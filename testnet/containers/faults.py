"""What can happen to a container of a testnet from outside, without anything in it knowing.

Cut off, its sockets stay open and its peers hear nothing; paused, it stands still; killed, it is gone without warning.
"""

from dataclasses import dataclass
from typing import Any

from testnet.containers.engine import EngineError


@dataclass(frozen=True, slots=True)
class Member:
    """One container, and where it belongs."""

    client: Any
    container: str
    network: str
    address: str = ""  # for coming back

    def isolate(self) -> None:
        """Take it off the network: it reaches nobody, and nobody reaches it, the host included."""
        self._network().disconnect(self.container)

    def rejoin(self) -> None:
        """Back at its own address; without naming it the engine would give the next free one. Raises `EngineError`."""
        self._network().connect(self.container, ipv4_address=self.address)
        container = self._container()
        found = container.attrs["NetworkSettings"]["Networks"][self.network]["IPAddress"]
        if found != self.address:
            raise EngineError(f"{self.container} came back at {found} instead of {self.address}")

    def pause(self) -> None:
        """Its sockets stay open, so peers see silence and not an end."""
        self._container().pause()

    def resume(self) -> None:
        self._container().unpause()

    def kill(self) -> None:
        """kill -9: nothing is flushed, nothing said."""
        self._container().kill()

    def _container(self) -> Any:
        return self.client.containers.get(self.container)

    def _network(self) -> Any:
        return self.client.networks.get(self.network)

"""The development chain's own controls: time that jumps, and a past to return to. Blocking.

The embedded chain and anvil have them under the same names, so a drill founds its network with a real network's
deadlines.
"""

import httpx

CALL_S = 30


class ChainControl:
    """JSON-RPC of a development chain at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def pass_time(self, by_s: int) -> None:
        """The next block is so much later."""
        self._call("evm_increaseTime", hex(by_s))
        self._call("evm_mine")

    def snapshot(self) -> str:
        """A name for the chain as it is."""
        name: str = self._call("evm_snapshot")
        return name

    def restore(self, name: str) -> None:
        self._call("evm_revert", name)

    def _call(self, method: str, *params: str) -> str:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = httpx.post(self._url, json=request, timeout=CALL_S).json()
        if "error" in answer:
            raise RuntimeError(f"the chain at {self._url} cannot {method}: {answer['error']['message']}")
        result: str = answer["result"]
        return result

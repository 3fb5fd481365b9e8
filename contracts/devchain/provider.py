"""The development chain inside this process, for tests and benchmarks: no HTTP between web3 and the chain."""

from typing import Any, cast

from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from contracts.devchain.rpc import Rpc


class InProcessProvider(JSONBaseProvider):
    """A web3 provider over `rpc`; requests pass through JSON as they do on the wire."""

    def __init__(self, rpc: Rpc) -> None:
        super().__init__()
        self._rpc = rpc

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        request = self.decode_rpc_response(self.encode_rpc_request(method, params))
        return cast(RPCResponse, self._rpc.answer(request))

    def is_connected(self, show_traceback: bool = False) -> bool:
        return True

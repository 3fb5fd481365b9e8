"""Blocks of the dictionary exchange of `test_gateway_backend`: one action each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from consensus.messages import ZERO_HASH
from engine.commands import Command, compute_action_ids
from engine.commands import command_id as compute_command_id
from net.gateway.explorer import ActionView, BlockView, MemberView, OracleRoundView, ReportView
from net.succession import Seat, Succession

if TYPE_CHECKING:
    from test_gateway_backend import DictBackend


class DictExplorer:
    """Implements `Explorer`."""

    def __init__(self, backend: "DictBackend") -> None:
        self._backend = backend

    def block(self, height: int) -> BlockView | None:
        if not 0 < height <= self._backend.height:
            return None
        finalised = self._backend.make_finalised(height)
        trades = [trade for trade in self._backend.past_trades if trade.height == height]
        return BlockView(
            finalised, finalised.header.hash(), True, 640, ((0, height, ZERO_HASH),), 1, len(trades), 1, 0, 7
        )

    def blocks(self, before_height: int, count: int) -> Sequence[BlockView]:
        last = min(before_height - 1, self._backend.height)
        views = [self.block(height) for height in range(last, max(last - count, 0), -1)]
        return [view for view in views if view is not None]

    def actions(self, height: int, first: int, count: int) -> Sequence[ActionView]:
        found = [view for view in self._all() if view.height == height]
        return found[first : first + count]

    def _all(self) -> list[ActionView]:
        backend, views = self._backend, []
        for command in backend.submitted:
            for at, action_id in enumerate(self._ids(command)):
                result = backend.known[action_id]
                if result.height:
                    views.append(ActionView(action_id, result.height, 0, command, command.actions[at], result))
        return views

    def _ids(self, command: Command) -> tuple[bytes, ...]:
        name = compute_command_id(command, self._backend.domain.domain_separator)
        return compute_action_ids(name, len(command.actions))

    def find_action(self, action_id: bytes) -> ActionView | None:
        return next((view for view in self._all() if view.action_id == action_id), None)

    def committee(self, epoch: int) -> Sequence[MemberView]:
        return [MemberView(index, index, bytes([index]) * 48, bytes([index]) * 32, 1) for index in range(4)]

    def succession(self, epoch: int) -> Succession | None:
        seats = tuple(Seat(index, bytes([index]) * 48, bytes([index]) * 32, 1) for index in range(4))
        finalised = self._backend.make_finalised(epoch)
        return {
            1: Succession(1, seats, (), None),
            2: Succession(2, seats, (finalised.header,), finalised.certificate),
        }.get(epoch)

    def oracle_round(self, height: int | None) -> OracleRoundView | None:
        shown = self._backend.height if height is None else height
        if not 0 < shown <= self._backend.height:
            return None
        reports = tuple(ReportView(number, self._backend.time_ms, (64_000 * 10**8, 0)) for number in range(3))
        return OracleRoundView(shown, self._backend.time_ms, reports)

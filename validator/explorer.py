"""What the node gives its API about blocks (`net.gateway.explorer.Explorer`), read from its store."""

from collections.abc import Iterator, Sequence

from engine.commands import Command, split_messages
from engine.payload import Batch, Payload
from net.gateway.backend import FinalisedHeader
from net.gateway.explorer import ActionView, BlockView, MemberView, OracleRoundView, ReportView
from net.succession import Succession
from validator.history import RESULT, first_place
from validator.ledger import Ledger
from validator.order_memory import KNOWN_FILL
from validator.payloads import decode_payload
from validator.roster import Roster
from validator.seals import read_succession
from validator.store import FinalBlock, Store
from validator.watcher import OnChain

ID_BYTES = 32
# Validators report once a second, blocks come several times as often.
ROUND_BLOCKS_MAX = 100
# A block's actions have their results beside each other; more bytes than all that a block can name.
_SIZES_SQL = "SELECT COALESCE(SUM(length({column})), 0) FROM {table} WHERE id BETWEEN ? AND ?"


class NodeExplorer:
    """Implements `Explorer`."""

    def __init__(self, ledger: Ledger, store: Store, roster: Roster, on_chain: OnChain) -> None:
        self._ledger = ledger
        self._store = store
        self._roster = roster
        self._on_chain = on_chain

    def block(self, height: int) -> BlockView | None:
        final = self._store.final(height)
        return None if final is None else self._show_block(final, decode_payload(final.block.payload))

    def blocks(self, before_height: int, count: int) -> Sequence[BlockView]:
        """See `Explorer.blocks`."""
        last = min(before_height, self._store.height() + 1) - 1
        found = (self.block(height) for height in range(last, max(last - count, 0), -1))
        return [view for view in found if view is not None]

    def _show_block(self, final: FinalBlock, payload: Payload) -> BlockView:
        header = final.block.header
        return BlockView(
            finalised=FinalisedHeader(header, final.certificate), block_hash=header.hash(), is_direct=final.is_direct,
            size_bytes=len(final.block.payload) + len(header.encode()), batches=payload.batch_refs,
            action_count=self._sum_bytes("results", "ids", header.height) // ID_BYTES,
            trade_count=self._sum_bytes("fills", "rows", header.height) // KNOWN_FILL.itemsize,
            report_count=len(payload.price_reports), inbox_count=len(payload.inbox_entries), l1_block=payload.l1_block,
        )  # fmt: skip

    def _sum_bytes(self, table: str, column: str, height: int) -> int:
        sql = _SIZES_SQL.format(table=table, column=column)
        return int(self._store.rows(sql, (first_place(height), first_place(height + 1) - 1))[0][0])

    def actions(self, height: int, first: int, count: int) -> Sequence[ActionView]:
        """See `Explorer.actions`."""
        final = self._store.final(height)
        if final is None:
            return []
        commands = self._list_commands(decode_payload(final.block.payload), first, first + count)
        found = []
        for (number, command, at), action_id in zip(commands, self._list_ids(height, first, count)):
            result = self._ledger.result_at(first_place(height) + number, action_id, self._on_chain.height)
            if result is not None:
                found.append(ActionView(action_id, height, number, command, command.actions[at], result))
        return found

    def _list_commands(self, payload: Payload, first: int, end: int) -> Iterator[tuple[int, Command, int]]:
        """(number in the block, message, place in the message) of the block's actions from one to before another."""
        number = 0
        for _, _, batch_hash in payload.batch_refs:
            data = self._store.batch(batch_hash)
            for message in split_messages(Batch.decode(data).commands) if data is not None and number < end else ():
                command = Command.decode(message)
                for at in range(len(command.actions)):
                    if first <= number < end:
                        yield number, command, at
                    number += 1

    def _list_ids(self, height: int, first: int, count: int) -> Iterator[bytes]:
        place = first_place(height) + first
        for chunk in self._store.results_from(place, place + count - 1, RESULT):
            for at in range(max(place - chunk.first, 0), len(chunk.ids)):
                yield chunk.ids[at].tobytes()

    def find_action(self, action_id: bytes) -> ActionView | None:
        """See `Explorer.find_action`."""
        place = self._ledger.find_place(action_id)
        if place is None:
            return None
        height = place // first_place(1)
        return next(iter(self.actions(height, place - first_place(height), 1)), None)

    def committee(self, epoch: int) -> Sequence[MemberView]:
        """See `Explorer.committee`."""
        seats = self._roster.seats(epoch)
        members = () if seats is None else zip(seats.numbers, seats.committee.members)
        return [
            MemberView(index, number, member.bls_key, member.network_key, member.weight)
            for index, (number, member) in enumerate(members)
        ]

    def succession(self, epoch: int) -> Succession | None:
        """See `Explorer.succession`."""
        return read_succession(self._store, self._roster, epoch)

    def oracle_round(self, height: int | None) -> OracleRoundView | None:
        """See `Explorer.oracle_round`."""
        newest = self._store.height()
        heights = range(newest, max(newest - ROUND_BLOCKS_MAX, 0), -1) if height is None else (height,)
        for candidate in heights:
            final = self._store.final(candidate)
            reports = () if final is None else decode_payload(final.block.payload).price_reports
            if final is not None and reports:
                views = tuple(ReportView(item.validator, item.time_ms, item.feeds_e8) for item in reports)
                return OracleRoundView(candidate, final.block.header.timestamp_ms, views)
        return None

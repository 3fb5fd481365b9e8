"""A message that several nodes took is in several batches: whoever asks hears of the copy that was executed."""

from pathlib import Path

from engine.commands import PLACE, command_id, recover_signer
from engine.results import Code
from tests.validator.chainlet import MARK_TICKS, OWNERS, SEPARATOR, seal, sign
from tests.validator.executed_exchange import ExecutedExchange


def test_by_hash_by_nonce_and_by_label_it_is_one_result(tmp_path: Path) -> None:
    exchange = ExecutedExchange(tmp_path)
    command = sign(0, PLACE, 9, price_ticks=MARK_TICKS, size_lots=1, client_id=77)
    exchange.sealer.add(command.encode(), recover_signer(command, SEPARATOR))
    exchange.make_block(seal(1, 1, [command.encode()]), seal(2, 1, [command.encode()]))
    exchange.make_block(seal(3, 1, [command.encode()]))
    data, name = exchange.service.account_data, command_id(command, SEPARATOR)
    known = exchange.service.command_status(name)
    assert known is not None and known.code == Code.OK and known.height == 2
    assert list(data.commands_by_nonce(OWNERS[0], 0, 9)) == [known]
    assert list(data.commands_by_label(OWNERS[0], 0, 77)) == [known]
    exchange.make_block(seal(3, 2, [sign(0, PLACE, 9, price_ticks=1, size_lots=1, client_id=78).encode()]))
    (refused,) = data.commands_by_label(OWNERS[0], 0, 78)
    assert refused.code == Code.NONCE_REUSED, "what never passed is told as it is"

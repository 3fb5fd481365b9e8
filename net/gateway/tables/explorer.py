"""Blocks, what is in them, and who makes them: names of our own."""

from net.gateway import explorer_methods as explorer
from net.gateway.api import Method, Param
from net.gateway.params import I64_MAX
from net.gateway.shapes.explorer import (
    BlockAnswer,
    BlockSummary,
    CommandLife,
    CommitteeAnswer,
    OracleRound,
    SuccessionAnswer,
)
from net.gateway.tables.terms import HEIGHT

EXPLORER_ROWS = (
    Method("public/x_get_blocks", explorer.get_blocks, "Final blocks, the newest first.",
           (Param("count", "integer", "1 to 100, default 20", False, low=1, high=explorer.BLOCKS_COUNT_MAX),
            Param("before_height", "integer", "only lower ones", False, low=0, high=I64_MAX)), "count=2",
           result=list[BlockSummary]),
    Method("public/x_get_block", explorer.get_block, "A final block: certificate, batches, and its actions with what "
           "became of them, in the order of execution.",
           (HEIGHT, Param("first_action", "integer", "number of the first action told, default 0", False, low=0,
                          high=I64_MAX),
            Param("count", "integer", "of actions, 1 to 200, default 50", False, low=1,
                  high=explorer.ACTIONS_COUNT_MAX)), "height=1", result=BlockAnswer),
    Method("public/x_get_command", explorer.get_command,
           "The life of a command: what it says, its block, its result, the certificate that made it final, and the "
           "checkpoint on the settlement chain that covers it.",
           (Param("command_id", "hex", "32 bytes: the EIP-712 digest, or the id of one of several actions",
                  size_bytes=32),), "command_id=0x…", result=CommandLife),
    Method("public/x_get_validators", explorer.get_validators,
           "The committee of this epoch, and how many of the last finalisation certificates each member signed.",
           result=CommitteeAnswer),
    Method("public/x_get_committee", explorer.get_committee,
           "The committee of an epoch, and what proves it: the headers from the block that ended the epoch before and "
           "names the committee's hash, to the one that the certificate makes final. The first needs no proof.",
           (Param("epoch", "integer", "default: this one", False, low=0, high=I64_MAX),), "epoch=1",
           result=SuccessionAnswer),
    Method("public/x_get_oracle_round", explorer.get_oracle_round,
           "The price reports of a block, validator by validator; by default of the last block that has some.",
           (HEIGHT,), result=OracleRound),
)  # fmt: skip

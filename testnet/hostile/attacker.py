"""`python -m testnet.hostile.attacker NAME FOLDER --report FILE`: one attack on a running network, until it is ended.

What it did is in the report, written once a second: an attack whose counters stand still has not happened.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from testnet.hostile import by_clients, by_gossip, by_member, by_strangers
from testnet.hostile.scene import Count, Scene, load_scene
from validator.logs import begin_logs

REPORT_INTERVAL_S = 1.0
Attack = Callable[[Scene, Count], Awaitable[None]]
ATTACKS: dict[str, Attack] = {
    "junk": by_strangers.send_junk,
    "slow negotiation": by_strangers.drip,
    "connections": by_strangers.flood_connections,
    "handshakes": by_strangers.flood_handshakes,
    "api flood": by_clients.flood_requests,
    "api junk": by_clients.send_junk,
    "api slow readers": by_clients.read_slowly,
    "gossip spam": by_gossip.spam,
    "member never reads": by_member.never_read,
    "member drips": by_member.drip,
    "member repeats": by_member.repeat_everything,
    "member out of protocol": by_member.say_what_does_not_belong,
    "member breaks frames": by_member.break_frames,
}


async def run(attack: Attack, scene: Scene, report: Path) -> None:
    done: Counter[str] = Counter()

    def count(name: str, times: int) -> None:
        done[name] += times

    async with trio.open_nursery() as nursery:
        while True:
            scratch = report.with_suffix(".new")
            scratch.write_text(json.dumps(done))
            scratch.replace(report)
            if not nursery.child_tasks:
                nursery.start_soon(attack, scene, count)
            await trio.sleep(REPORT_INTERVAL_S)


def read_report(path: Path) -> dict[str, int]:
    """Empty before the attacker's first word."""
    try:
        counts: dict[str, int] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m testnet.hostile.attacker", description=__doc__)
    parser.add_argument("name", choices=ATTACKS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--report", type=Path, required=True)
    options = parser.parse_args()
    # The machine is shared with those who are attacked; a real attacker has its own.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    begin_logs("warning", "console")
    trio.run(run, ATTACKS[options.name], load_scene(options.folder), options.report)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What passes between two containers: rules of the engine's own chain for them, DOCKER-USER, on the host.

Each rule is for one direction of a pair of addresses, so it outlives restarts and reconnections of containers. It also
outlives containers, networks and launchers, and would meet the next testnet with these addresses: every rule carries a
mark, and whatever has the mark is removed before a run and after it. Needs root on the engine's host, and a kernel that
shows the firewall what a bridge passes on (br_netfilter).
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CHAIN = "DOCKER-USER"
MARK = "hansa-testnet"
BRIDGE_SEEN = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


class RulesError(Exception):
    """The firewall refuses; the message has its words."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Of packets from one address to another, this share is dropped."""

    start: str
    end: str
    lost: float = 1.0

    def words(self) -> list[str]:
        words = ["-s", f"{self.start}/32", "-d", f"{self.end}/32", "-m", "comment", "--comment", MARK]
        if self.lost < 1:
            words += ["-m", "statistic", "--mode", "random", "--probability", f"{self.lost:.6f}"]
        return [*words, "-j", "DROP"]


def find_obstacle() -> str:
    """Why nothing can be dropped here; empty: it can."""
    if os.geteuid() != 0:
        return "rules of the firewall need root on the engine's host: run it with sudo"
    if shutil.which("iptables") is None:
        return "there is no `iptables` on the path: install it"
    try:
        list_rules()
    except RulesError as error:
        return f"the engine has made no chain {CHAIN}: {error}"
    if not BRIDGE_SEEN.exists() or BRIDGE_SEEN.read_text().strip() != "1":
        return "packets inside a bridge do not pass the firewall here: modprobe br_netfilter"
    return ""


def add_rule(rule: Rule) -> None:
    """From now on. Raises `RulesError`."""
    iptables("-I", CHAIN, *rule.words())


def remove_rule(rule: Rule) -> None:
    """One that was added. Raises `RulesError`."""
    iptables("-D", CHAIN, *rule.words())


def remove_rules() -> None:
    """All that carry the mark, whoever made them. Raises `RulesError`."""
    for line in list_rules():
        words = line.split()
        if MARK in words:
            iptables("-D", *words[1:])


def list_rules() -> list[str]:
    """As `iptables -S` tells them."""
    return iptables("-S", CHAIN).splitlines()


def iptables(*words: str) -> str:
    """What it said. Waits for others who change the rules. Raises `RulesError`."""
    done = subprocess.run(["iptables", "-w", "10", *words], capture_output=True, text=True)
    if done.returncode:
        raise RulesError(f"`iptables {' '.join(words)}` failed: {done.stderr.strip()}")
    return done.stdout

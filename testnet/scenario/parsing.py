"""`scenario.toml` to a `Scenario`. What cannot be meant is refused here, before anything starts."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from testnet.scenario.conditions import CONDITIONS, Condition, EvidenceNames, HeightsGrow, StandsStill
from testnet.scenario.harms import KINDS, WITHOUT_TARGETS, Byzantine, Crash, Delay, DiskLost, Fault, Partition
from testnet.scenario.probes import TRIALS, Probe
from testnet.scenario.records import LoadPlan, NetworkPlan, Scenario
from testnet.scenario.words import Place, ScenarioError, build, find_lines, refuse_unknown, suggest

TABLES = ("network", "load", "fault", "probe", "assert")
HEAD = ("title", "story", *TABLES)
TIMES = ("kind", "at_s", "for_s", "targets")

T = TypeVar("T")


def load_scenario(path: Path) -> Scenario:
    """Raises `ScenarioError`."""
    try:
        text = path.read_text()
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror}") from None
    return parse_scenario(text, path.stem, str(path))


def parse_scenario(text: str, name: str, where: str) -> Scenario:
    """The scenario of that name. Raises `ScenarioError`."""
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{where} is no TOML: {error}") from None
    place = Place(where, find_lines(text))
    refuse_unknown(plain, HEAD, place)
    for key in ("title", "story"):
        if not isinstance(plain.get(key, ""), str):
            raise place.complain(f"{key} must be text in quotes", key)
    if not isinstance(plain.get("network"), dict):
        raise place.complain("there is no [network]: write at least its duration_s")
    network = build(NetworkPlan, plain["network"], place.at("network"))
    load = build(LoadPlan, _table(plain, "load", place), place.at("load")) if "load" in plain else None
    faults = tuple(
        _read_fault(number, row, network, place.at("fault", number)) for number, row in _rows(plain, "fault", place)
    )
    probes = tuple(
        _read_probe(number, row, network, place.at("probe", number)) for number, row in _rows(plain, "probe", place)
    )
    conditions = tuple(
        _read_condition(row, place.at("assert", number)) for number, row in _rows(plain, "assert", place)
    )
    scenario = Scenario(
        name, plain.get("title", name), plain.get("story", "").strip(), network, load, faults, probes, conditions
    )
    _check_whole(scenario, place)
    return scenario


def _table(plain: Mapping[str, Any], name: str, place: Place) -> dict[str, Any]:
    table = plain[name]
    if not isinstance(table, dict):
        raise place.complain(f"{name} is one table: write [{name}] once", name)
    return table


def _rows(plain: Mapping[str, Any], name: str, place: Place) -> list[tuple[int, dict[str, Any]]]:
    rows = plain.get(name, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise place.at(name).complain(f"write [[{name}]] with two brackets: there may be several")
    return list(enumerate(rows))


def _read_kind(row: Mapping[str, Any], kinds: Mapping[str, type[T]], place: Place) -> type[T]:
    kind = row.get("kind")
    if not isinstance(kind, str):
        raise place.complain(f"kind is missing: one of {', '.join(sorted(kinds))}", "kind")
    if kind not in kinds:
        raise place.complain(f"unknown kind {kind!r}{suggest(kind, list(kinds))}", "kind")
    return kinds[kind]


def _read_s(row: Mapping[str, Any], key: str, default_s: float | None, most_s: float, place: Place) -> float:
    value = row.get(key, default_s)
    if value is None:
        raise place.complain(f"{key} is missing: seconds after the network runs")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most_s:
        raise place.complain(f"{key} is a number from 0 to the run's {most_s:g} s, not {value!r}", key)
    return float(value)


def _read_fault(number: int, row: Mapping[str, Any], network: NetworkPlan, place: Place) -> Fault:
    record = _read_kind(row, KINDS, place)
    own = {key: value for key, value in row.items() if key not in TIMES}
    harm = build(record, own, place, TIMES)
    at_s = _read_s(row, "at_s", None, network.duration_s, place)
    for_s = _read_s(row, "for_s", 0.0, network.duration_s, place)
    if at_s + for_s > network.duration_s:
        raise place.complain(f"it ends at {at_s + for_s:g} s, after the run's {network.duration_s:g} s", "for_s")
    targets = _read_targets(row, record in WITHOUT_TARGETS, network.validators, place)
    if isinstance(harm, Delay) and harm.jitter_ms > harm.delay_ms:
        raise place.complain("jitter_ms is at most delay_ms: no packet arrives before it was sent", "jitter_ms")
    if isinstance(harm, Partition) and len(targets) == network.validators:
        raise place.complain("a partition has two sides: name fewer targets than all", "targets")
    ends_s = at_s + for_s if for_s else network.duration_s
    return Fault(number, harm, at_s, ends_s, targets, bool(for_s))


def _read_targets(row: Mapping[str, Any], has_none: bool, validators: int, place: Place) -> tuple[int, ...]:
    given = row.get("targets")
    if has_none:
        if given is not None:
            raise place.complain("this kind has no targets", "targets")
        return ()
    if given == "all":
        return tuple(range(validators))
    members = given if isinstance(given, list) else []
    is_known = all(type(member) is int and 0 <= member < validators for member in members)
    if not members or not is_known or len(set(members)) != len(members):
        raise place.complain(f'targets is "all" or a list of numbers from 0 to {validators - 1}', "targets")
    return tuple(sorted(members))


def _read_probe(number: int, row: Mapping[str, Any], network: NetworkPlan, place: Place) -> Probe:
    record = _read_kind(row, TRIALS, place)
    trial = build(record, {key: row[key] for key in row if key not in ("kind", "at_s")}, place, ("kind", "at_s"))
    return Probe(number, trial, _read_s(row, "at_s", None, network.duration_s, place))


def _read_condition(row: Mapping[str, Any], place: Place) -> Condition:
    record = _read_kind(row, CONDITIONS, place)
    return build(record, {key: row[key] for key in row if key != "kind"}, place, ("kind",))


def _check_whole(scenario: Scenario, place: Place) -> None:
    """What no table shows alone."""
    network = scenario.network
    if not scenario.conditions and not scenario.probes:
        raise place.complain("nothing is asserted: a run that cannot fail shows nothing; write [[assert]]")
    if network.expiry_s and not network.has_options:
        raise place.at("network").complain("expiry_s needs has_options = true", "expiry_s")
    behaviours: dict[int, str] = {}
    for fault in scenario.faults:
        for member in fault.targets if isinstance(fault.harm, Byzantine) else ():
            if member in behaviours:
                raise place.at("fault", fault.number).complain(f"member {member} lies already: one behaviour each")
            behaviours[member] = fault.kind
        _check_overlap(fault, scenario, place.at("fault", fault.number))
    healed_s = max((fault.ends_s for fault in scenario.faults if fault.is_healed), default=0.0)
    for number, condition in enumerate(scenario.conditions):
        where = place.at("assert", number)
        match condition:
            case HeightsGrow(within_s=within_s) if healed_s + within_s > network.duration_s:
                raise where.complain(
                    f"the last fault ends at {healed_s:g} s: {within_s:g} s later the run is over", "within_s"
                )
            case StandsStill(from_s=from_s, to_s=to_s) if not from_s < to_s <= network.duration_s:
                raise where.complain("from_s comes before to_s, and that not after the run's end", "to_s")
            case EvidenceNames(members=members) if any(member >= network.validators for member in members):
                raise where.complain(f"members are numbers from 0 to {network.validators - 1}", "members")


def _check_overlap(fault: Fault, scenario: Scenario, place: Place) -> None:
    """Whoever is down can neither crash nor lie: two faults that end and start a process must not meet."""
    if not isinstance(fault.harm, Crash | DiskLost | Byzantine):
        return
    for other in scenario.faults[: fault.number]:
        is_meeting = other.at_s < fault.ends_s and fault.at_s < other.ends_s and {*other.targets} & {*fault.targets}
        if is_meeting and isinstance(other.harm, Crash | DiskLost | Byzantine):
            raise place.complain(
                f"fault {other.number + 1} has ended a process of the same member at that time", "at_s"
            )  # fmt: skip

"""A short run of the API fuzzer, and a description that lies."""

from pathlib import Path

from net.gateway.methods import METHODS
from net.gateway.openapi import make_openapi
from tests.validator.fuzz_api import running


def test_no_call_that_the_description_allows_or_forbids_gets_what_it_does_not_describe(tmp_path: Path) -> None:
    with running(tmp_path) as driver:
        driver.run(1, seed=7)
        tallies = driver.tallies
    assert {label: tally.faults for label, tally in tallies.items() if tally.faults} == {}
    assert len(tallies) >= 2 * (len(METHODS) - 10)
    assert sum(tally.statuses[200] for tally in tallies.values()) > len(tallies) / 5


def test_a_description_that_lies_is_found_out(tmp_path: Path) -> None:
    document = make_openapi(METHODS, is_strict=True)
    document["paths"] = {
        path: item for path, item in document["paths"].items() if path.endswith(("/get_time", "/test", "/status"))
    }  # fmt: skip
    schema = document["paths"]["/api/v2/public/get_time"]["get"]["responses"]["200"]["content"]["application/json"]
    schema["schema"]["properties"]["result"] = {"type": "string"}
    state = document["components"]["schemas"]["NodeState"]
    state["properties"].pop("height")
    state["required"].remove("height")
    with running(tmp_path, document) as driver:
        driver.run(6, seed=7)
        found = {label.removeprefix("GET /api/v2/public/") for label, tally in driver.tallies.items() if tally.faults}
    assert {"get_time", "status"} <= found and "test" not in found

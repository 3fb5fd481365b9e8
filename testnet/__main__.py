"""`python -m testnet`, which is also `hansa testnet`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter

app = cyclopts.App(name="hansa testnet", help="Local networks of validators on one machine.")
FOLDER = Path(".hansa-testnet")
UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
EXAMPLES = """Examples:

  hansa testnet up

  hansa testnet up --validators 7 --rate 60

  hansa testnet up --fresh --seed 7 --duration 60 --json

  hansa testnet up --fresh --expiry-in 10m

  hansa testnet up --chain anvil --dir /tmp/net2 --base-port 28600

  hansa testnet up --docker --validators 7
"""
IMAGE = "hansa:local"


@app.command(help_epilogue=EXAMPLES)
def up(
    *,
    validators: Annotated[int, Parameter(help="committee size, 1 to 32; 3f + 1 tolerate f faulty members")] = 4,
    dir: Annotated[Path, Parameter(help="where the network lives; an existing one is continued")] = FOLDER,
    chain: Annotated[str, Parameter(help="embedded, anvil, or the URL of a chain with EIP-2537")] = "embedded",
    seed: Annotated[int, Parameter(help="of prices and traders; a continued network keeps its prices")] = 1,
    duration_s: Annotated[
        int, Parameter(name="--duration", help="seconds to run, then judge the run; 0 runs until Ctrl-C")
    ] = 0,
    json: Annotated[bool, Parameter(help="print the verdict as JSON on stdout", negative="")] = False,
    rate: Annotated[float, Parameter(help="commands per second, all traders together")] = 30.0,
    base_port: Annotated[
        int, Parameter(help="first port to try; from 32768 on, outgoing connections may take one first")
    ] = 26600,
    fresh: Annotated[bool, Parameter(help="forget the network in --dir and make a new one", negative="")] = False,
    public: Annotated[int, Parameter(help="how many validators get a public host, for `hansa follow`")] = 0,
    expiry_in: Annotated[
        str, Parameter(help="when a new network's near expiry comes, such as 10m; left out: on a Friday days ahead")
    ] = "",
    api: Annotated[Literal["own", "inside"], Parameter(help="who serves each API: see docs/operate.md")] = "own",
    docker: Annotated[bool, Parameter(help="validators and chain as containers", negative="")] = False,
    image: Annotated[str, Parameter(help="of the containers; this one is built here when sources changed")] = IMAGE,
    subnet: Annotated[str, Parameter(help="of the containers; left out: a free one of 198.18.0.0/15")] = "",
) -> int:
    """Start a settlement chain, a committee of validators and fourteen traders, and show what they do.

    Without --duration it runs until Ctrl-C and keeps its state. With it the exit code is 0 only if all nodes certified
    the same roots, a checkpoint reached the chain, a deposit was credited, a withdrawal was claimed, traders of
    different nodes traded, options traded and have prices, what has expired is settled, and money was conserved to the
    unit.
    """
    from testnet.launch import Options
    from testnet.listing import Listing
    from testnet.terms import Terms
    from testnet.up import EXIT_USAGE, run_up

    try:
        terms = Terms(listing=Listing(parse_duration_ms(expiry_in) if expiry_in else 0))
    except ValueError as error:
        print(f"hansa testnet: --expiry-in: {error}", file=sys.stderr)
        return EXIT_USAGE
    options = Options(
        validators, dir, chain, seed, duration_s, json, rate, base_port, fresh, terms, public_count=public,
        api_process=api,
    )  # fmt: skip
    if not docker:
        return run_up(options)
    if public or chain != "embedded":
        print("hansa testnet: --docker goes with --chain embedded and without --public", file=sys.stderr)
        return EXIT_USAGE
    from rich.console import Console

    from testnet.containers.place import Containers, Wanted

    return run_up(options, Containers(Wanted(dir, image, subnet), Console(stderr=True)))


@app.command
def down(
    *,
    dir: Annotated[Path, Parameter(help="whose containers are removed; its files stay")] = FOLDER,
    all: Annotated[bool, Parameter(help="those of every folder", negative="")] = False,
) -> int:
    """Remove the containers and networks that a killed `hansa testnet up --docker` has left.

    For example:

        hansa testnet down
        hansa testnet down --all
    """
    from testnet.containers.commands import remove_all

    return remove_all("" if all else str(dir.resolve()))


@app.command
def ps() -> int:
    """List the containers of all testnets: name, state, health, address, folder.

    For example:

        hansa testnet ps
    """
    from testnet.containers.commands import list_all

    return list_all()


@app.command
def image(
    *,
    tag: Annotated[str, Parameter(help="what the image is called")] = IMAGE,
    no_cache: Annotated[bool, Parameter(help="keep nothing of earlier builds", negative="")] = False,
) -> int:
    """Build the image of validators, unless there is one of these very sources.

    For example:

        hansa testnet image
        hansa testnet image --tag registry.example.org/hansa:1
    """
    from testnet.containers.commands import build

    return build(tag, no_cache)


# What a network that is only written has in common, however it is going to be run.
Output = Annotated[Path, Parameter(name=["--output", "-o"], help="a new folder")]
ValidatorCount = Annotated[int, Parameter(help="committee size, 1 to 32")]
Seed = Annotated[int, Parameter(help="of prices and traders")]
FoundingPort = Annotated[int, Parameter(help="first port to try while the network is founded")]


@app.command
def compose(
    *,
    output: Output,
    validators: ValidatorCount = 4,
    seed: Seed = 1,
    image: Annotated[str, Parameter(help="of all but Prometheus and Grafana")] = IMAGE,
    subnet: Annotated[str, Parameter(help="of the containers; nobody else may have it")] = "198.18.100.0/24",
    base_port: FoundingPort = 26600,
) -> int:
    """Found a network and write it as a compose project: validators, settlement chain, traders, Prometheus, Grafana.

    For example:

        hansa testnet compose --validators 7 -o net7
        hansa testnet image
        docker compose -f net7/compose.yaml --profile watch up -d
    """
    from testnet.containers.commands import compose_network
    from testnet.containers.compose import Wanted

    return compose_network(Wanted(output, validators, subnet, seed, image, base_port))


@app.command
def kubernetes(
    *,
    output: Output,
    validators: ValidatorCount = 4,
    seed: Seed = 1,
    image: Annotated[str, Parameter(help="of all pods, where the cluster finds it")] = IMAGE,
    storage: Annotated[str, Parameter(help="of each validator's disk")] = "20Gi",
    base_port: FoundingPort = 26600,
) -> int:
    """Found a network and write it as Kubernetes manifests: a StatefulSet, a disk and a Secret for each validator.

    For example:

        hansa testnet kubernetes -o manifests --image registry.example.org/hansa:1
        kubectl create namespace hansa && kubectl apply -n hansa -f manifests
    """
    from testnet.containers.commands import write_kubernetes
    from testnet.containers.kubernetes import Wanted

    return write_kubernetes(Wanted(output, validators, seed, image, storage, base_port))


RUN_EXAMPLES = """Examples:

  hansa testnet run partition-heal

  hansa testnet run my-scenario.toml --json --page report.html
"""


@app.command(help_epilogue=RUN_EXAMPLES)
def run(
    scenario: Annotated[str, Parameter(help="a file, or the name of one in testnet/scenarios")],
    *,
    backend: Annotated[
        Literal["processes", "docker", "sim"], Parameter(help="what the network is made of")
    ] = "processes",
    dir: Annotated[Path, Parameter(help="where the network lives; made anew")] = Path(".hansa-drills/scenario"),
    base_port: Annotated[int, Parameter(help="first port to try")] = 28600,
    page: Annotated[Path | None, Parameter(help="write the report here, as one HTML file")] = None,
    json: Annotated[bool, Parameter(help="print the verdicts as JSON on stdout", negative="")] = False,
) -> int:
    """Run a scenario: a network, people who trade on it, what goes wrong when, and what must hold in the end.

    Exits 0 if every condition holds, 1 if one does not, 2 if the file or this machine does not allow the run.
    docs/scenarios.md has all words.
    """
    from testnet.scenario.backend import Place
    from testnet.scenario.run_command import run_one

    return run_one(scenario, backend, Place(dir.resolve(), base_port), json, page)


def parse_duration_ms(text: str) -> int:
    """`90s`, `10m`, `2h` or `3d`. Raises `ValueError` with what to write instead."""
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS_MS or not (number.isascii() and number.isdigit()) or int(number) == 0:
        raise ValueError(f"{text!r} is no duration: write a whole number and s, m, h or d, such as 10m")
    return int(number) * UNITS_MS[unit]


def main() -> None:
    sys.exit(app())


if __name__ == "__main__":
    main()

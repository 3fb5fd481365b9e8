"""What `hansa testnet` does about containers beside starting them."""

import sys
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from testnet.containers import compose, kubernetes
from testnet.containers.engine import ENGINE_ERRORS, LABEL, connect
from testnet.containers.image import refresh_image
from testnet.containers.place import sweep
from testnet.failures import EXIT_FAILED, Failed, attempt


def remove_all(label: str) -> int:
    """Of one folder, or of all; prints what is gone."""

    def remove() -> None:
        for name in sweep(connect(), label):
            print(f"removed {name}")

    return _attempt(remove)


def list_all() -> int:
    """A table on stdout."""

    def show() -> None:
        table = Table("name", "state", "health", "address", "folder")
        for container in connect().containers.list(all=True, filters={"label": LABEL}):
            state = container.attrs["State"]
            networks = container.attrs["NetworkSettings"]["Networks"].values()
            addresses = ", ".join(network["IPAddress"] for network in networks)
            health = state.get("Health", {}).get("Status", "")
            table.add_row(container.name, state["Status"], health, addresses, container.labels[LABEL])
        Console().print(table)

    return _attempt(show)


def build(tag: str, is_from_scratch: bool) -> int:
    """Prints the image's id on stdout, and on stderr what building it took."""
    return _attempt(lambda: print(refresh_image(connect(), tag, Console(stderr=True), is_from_scratch)))


def compose_network(wanted: compose.Wanted) -> int:
    """Prints the path of compose.yaml on stdout."""
    return _attempt(lambda: print(compose.write_compose(wanted, Console(stderr=True))))


def write_kubernetes(wanted: kubernetes.Wanted) -> int:
    """Prints the paths of the manifests on stdout."""

    def write() -> None:
        for path in kubernetes.write_manifests(wanted, Console(stderr=True)):
            print(path)

    return _attempt(write)


def _attempt(action: Callable[[], None]) -> int:
    try:
        attempt(Console(stderr=True), "hansa testnet", action)
    except Failed as failed:
        return failed.exit_code
    except ENGINE_ERRORS as error:
        print(f"hansa testnet: the Docker engine refuses: {error}", file=sys.stderr)
        return EXIT_FAILED
    return 0

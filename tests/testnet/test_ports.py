"""Ports: nobody else's, and not another launcher's either."""

import socket

import pytest

from testnet.homes import FolderError
from testnet.ports import PortLease


def test_ports_in_use_are_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        lease = PortLease()
        chosen = lease.choose(port, 3)
        lease.close()
    assert port not in chosen
    assert len(set(chosen)) == 3


def test_two_launchers_never_get_the_same_port() -> None:
    one, other = PortLease(), PortLease()
    first, second = one.choose(21_000, 5), other.choose(21_000, 5)
    one.close()
    other.close()
    assert not set(first) & set(second)


def test_closed_leases_give_their_ports_back() -> None:
    lease = PortLease()
    first = lease.choose(22_000, 3)
    lease.close()
    again = PortLease()
    assert again.choose(22_000, 3) == first
    again.close()


def test_too_few_ports_is_said() -> None:
    with pytest.raises(FolderError, match="--base-port"):
        PortLease().choose(65_530, 20)

"""Accounts of the dictionary exchange of `test_gateway_backend`."""


class DictAccountData:
    """Implements `AccountData`."""

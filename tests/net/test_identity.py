"""One seed: the registry's key, the libp2p identity, and the signatures on batches and price reports."""

from dataclasses import replace

import pytest
from libp2p.peer.id import ID

from net.identity import (
    NetworkSigner,
    derive_network_key,
    verify_batch,
    verify_price_report,
)
from net.peer_identity import derive_key_pair, network_key_of, peer_id_of

SEED = bytes(range(32))
DOMAIN = bytes([7]) * 32


def test_the_seed_gives_one_identity() -> None:
    key = derive_network_key(SEED)
    assert key.hex() == "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
    assert peer_id_of(key) == ID.from_pubkey(derive_key_pair(SEED).public_key)
    assert network_key_of(peer_id_of(key)) == key


def test_what_is_no_key_is_refused() -> None:
    for wrong in (b"", bytes(31), bytes(33)):
        with pytest.raises(ValueError):
            peer_id_of(wrong)
        with pytest.raises(ValueError):
            derive_key_pair(wrong)


def test_a_batch_verifies_under_its_author_and_domain_only() -> None:
    signer = NetworkSigner(SEED, DOMAIN)
    batch = signer.sign_batch(1, 9, bytes(160))
    assert verify_batch(batch, signer.network_key, DOMAIN)
    assert not verify_batch(batch, derive_network_key(bytes(32)), DOMAIN)
    assert not verify_batch(batch, signer.network_key, bytes(32))
    assert not verify_batch(replace(batch, sequence=10), signer.network_key, DOMAIN)
    assert not verify_batch(replace(batch, signature=b"x"), signer.network_key, DOMAIN)
    assert not verify_batch(batch, b"no key", DOMAIN)


def test_a_price_report_verifies_under_its_author_only() -> None:
    signer = NetworkSigner(SEED, DOMAIN)
    report = signer.sign_price_report(1, 1_700_000_000_000, (100, 200))
    assert verify_price_report(report, signer.network_key, DOMAIN)
    assert not verify_price_report(replace(report, feeds_e8=(100, 201)), signer.network_key, DOMAIN)

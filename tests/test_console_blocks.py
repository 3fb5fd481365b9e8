"""No console block of a page is without a test that types it."""

import pytest

from tests.console_blocks import ALONE, NETWORK, TYPISTS, Block, list_pages, read_blocks, split_commands, type_page


def test_every_block_has_somebody_who_types_it():
    blocks = [block for page in list_pages() for block in read_blocks(page)]
    assert len(blocks) > 10
    assert {block.typist for block in blocks} <= set(TYPISTS), [b for b in blocks if b.typist not in TYPISTS]
    assert not [block for block in blocks if not block.commands], "a console block has a line that begins with `$ `"


def test_a_command_ends_where_the_next_begins_or_its_here_document_does():
    text = "$ make testnet\nok chain 1 s\n$ python - <<'END'\nprint(1)\n$ no command\nEND\nout\n$ ls\n"
    assert split_commands(text) == ("make testnet", "python - <<'END'\nprint(1)\n$ no command\nEND", "ls")


def test_a_command_that_fails_is_not_passed_over(tmp_path):
    blocks = [Block("a page", NETWORK, ("export WORD=one", "hansa --version", "echo $WORD"))]
    assert type_page(blocks, tmp_path, {"one": "two"}, {}).splitlines()[-1] == "two"
    failing = [Block("a page", NETWORK, ("true", "hansa no-such-command", "true"))]
    with pytest.raises(AssertionError, match="no-such-command"):
        type_page(failing, tmp_path, {}, {})


def test_blocks_that_need_no_network_run_as_they_stand(tmp_path):
    pages = [[block for block in read_blocks(page) if block.typist == ALONE] for page in list_pages()]
    assert any(pages)
    for blocks in filter(None, pages):
        type_page(blocks, tmp_path, {}, {})

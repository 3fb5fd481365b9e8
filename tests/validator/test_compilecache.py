"""Compiled kernels of other sources are never used."""

from validator.compilecache import compute_key, link_kernels


def test_every_source_decides_the_folder(tmp_path):
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b.py").write_text("2")
    key = compute_key(tmp_path)
    assert compute_key(tmp_path) == key
    (tmp_path / "b.py").write_text("3")
    assert compute_key(tmp_path) != key
    (tmp_path / "b.py").rename(tmp_path / "c.py")
    changed = compute_key(tmp_path)
    (tmp_path / "c.py").write_text("2")
    assert len({key, changed, compute_key(tmp_path)}) == 3


def test_the_processor_and_the_compiler_settings_decide_the_folder(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text("1")
    key = compute_key(tmp_path)
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    generic = compute_key(tmp_path)
    monkeypatch.setenv("NUMBA_BOUNDSCHECK", "1")
    assert len({key, generic, compute_key(tmp_path)}) == 3


def test_shipped_kernels_are_linked_where_they_may_be_replaced(tmp_path):
    shipped, folder = tmp_path / "shipped", tmp_path / "cache"
    (shipped / "engine_1").mkdir(parents=True)
    (shipped / "engine_1" / "root.nbi").write_text("shipped")
    for _ in range(2):
        link_kernels(shipped, folder)
    linked = folder / "engine_1" / "root.nbi"
    assert linked.read_text() == "shipped"
    (folder / "new").write_text("compiled here")
    (folder / "new").replace(linked)
    assert linked.read_text() == "compiled here"
    assert (shipped / "engine_1" / "root.nbi").read_text() == "shipped"


def test_kernels_for_another_processor_are_left_alone(tmp_path):
    link_kernels(tmp_path / "missing", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()

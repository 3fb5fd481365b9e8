"""Compiled kernels of other sources are never used."""

from validator.compilecache import compute_key


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

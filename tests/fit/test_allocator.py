"""Allocator and denormal settings apply within their block only."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest
import torch

from fieldcraft.fit import allocator
from fieldcraft.fit.allocator import find_glibc, seeded_rng, tuned_allocator


def denormal_sum() -> float:
    return float(torch.full((16,), 1e-40).mul(1.0).sum())


def test_denormals_are_flushed_within_the_block_only() -> None:
    with tuned_allocator():
        inside = denormal_sum()
    assert inside == 0
    assert denormal_sum() > 0


def test_denormals_are_restored_if_the_block_fails() -> None:
    with pytest.raises(ValueError, match="no"), tuned_allocator():
        raise ValueError("no")
    assert denormal_sum() > 0


def test_glibc_keeps_memory_within_the_block_and_trims_it_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[str, int, int]] = []
    library = SimpleNamespace(
        mallopt=lambda name, value: calls.append(("set", name, value)),
        malloc_trim=lambda pad: calls.append(("trim", pad, 0)),
    )
    monkeypatch.setattr(allocator, "find_glibc", lambda: library)
    with tuned_allocator():
        assert calls == [("set", -3, 32 * 2**20), ("set", -1, 2**31 - 1)]
    assert calls[2:] == [("set", -1, 64 * 2**20), ("trim", 0, 0)]


def test_other_c_libraries_are_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    assert find_glibc() is None
    with tuned_allocator():
        assert denormal_sum() == 0


def test_a_seeded_block_leaves_the_global_stream_untouched() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    first = torch.rand(1)
    with seeded_rng(5):
        inside = torch.rand(3)
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)
    with seeded_rng(5):
        assert torch.equal(torch.rand(3), inside)

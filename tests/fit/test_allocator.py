"""Settings of the process hold while a training runs, and no longer."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest
import torch

from fieldcraft.fit import allocator
from fieldcraft.fit.allocator import find_glibc, seeded_rng, tuned_allocator


def denormal_sum() -> float:
    return float(torch.full((16,), 1e-40).mul(1.0).sum())


def test_denormals_count_as_zero_inside_only() -> None:
    with tuned_allocator():
        inside = denormal_sum()
    assert inside == 0
    assert denormal_sum() > 0


def test_the_arithmetic_is_turned_back_when_the_block_fails() -> None:
    with pytest.raises(ValueError, match="no"), tuned_allocator():
        raise ValueError("no")
    assert denormal_sum() > 0


def test_memory_is_kept_and_given_back_where_the_c_library_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[tuple[str, int, int]] = []
    library = SimpleNamespace(
        mallopt=lambda name, value: said.append(("set", name, value)),
        malloc_trim=lambda pad: said.append(("trim", pad, 0)),
    )
    monkeypatch.setattr(allocator, "find_glibc", lambda: library)
    with tuned_allocator():
        assert said == [("set", -3, 32 * 2**20), ("set", -1, 2**31 - 1)]
    assert said[2:] == [("set", -1, 64 * 2**20), ("trim", 0, 0)]


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    assert find_glibc() is None
    with tuned_allocator():
        assert denormal_sum() == 0


def test_draws_of_a_block_are_its_own_and_others_go_on_as_if_it_were_not_there() -> None:
    torch.manual_seed(1)
    wanted = torch.rand(2)
    torch.manual_seed(1)
    first = torch.rand(1)
    with seeded_rng(5):
        inside = torch.rand(3)
    assert torch.equal(torch.cat([first, torch.rand(1)]), wanted)
    with seeded_rng(5):
        assert torch.equal(torch.rand(3), inside)

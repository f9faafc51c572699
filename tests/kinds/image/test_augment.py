from __future__ import annotations

import torch

from fieldcraft.kinds.image.augment import augmented, hidden, mirrored, relit, shifted

PHOTOS = torch.arange(16 * 3 * 16 * 16).float().view(16, 3, 16, 16) / 1_000


def test_photos_keep_their_shape_and_change() -> None:
    torch.manual_seed(0)
    for mirror in (True, False):
        found = augmented(PHOTOS, mirror)
        assert found.shape == PHOTOS.shape
        assert not torch.equal(found, PHOTOS)


def test_photos_are_moved_by_an_eighth_at_most() -> None:
    torch.manual_seed(0)
    found = shifted(PHOTOS)
    inner = found[:, :, 4:12, 4:12]
    for number in range(16):
        places = [
            (down, across)
            for down in range(-2, 3)
            for across in range(-2, 3)
            if torch.equal(
                inner[number], PHOTOS[number, :, 4 + down : 12 + down, 4 + across : 12 + across]
            )
        ]
        assert len(places) == 1


def test_about_half_of_the_photos_are_mirrored_whole() -> None:
    torch.manual_seed(0)
    photos = PHOTOS.repeat(20, 1, 1, 1)
    found = mirrored(photos)
    same = (found == photos).flatten(1).all(1)
    swapped = (found == photos.flip(3)).flatten(1).all(1)
    assert bool((same ^ swapped).all())
    assert 0.4 < float(swapped.float().mean()) < 0.6


def test_light_changes_a_photo_as_a_whole() -> None:
    torch.manual_seed(0)
    found = relit(PHOTOS)
    slope = (found[:, 0, 0, 1] - found[:, 0, 0, 0]) / (PHOTOS[:, 0, 0, 1] - PHOTOS[:, 0, 0, 0])
    assert 0.4 < float(slope.min()) < 1 < float(slope.max()) < 1.6


def test_the_same_seed_gives_the_same_photos() -> None:
    torch.manual_seed(3)
    first = augmented(PHOTOS, True)
    torch.manual_seed(3)
    assert torch.equal(augmented(PHOTOS, True), first)


def test_a_square_of_each_photo_is_hidden() -> None:
    torch.manual_seed(0)
    found = hidden(torch.ones(400, 3, 16, 16))
    covered = (found == 0).all(1).flatten(1).sum(1)
    assert int(covered.max()) == 16
    assert int(covered.min()) >= 4  # a quarter of it in a corner
    assert torch.equal((found == 0).any(1), (found == 0).all(1))

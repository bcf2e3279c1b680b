"""The disk that a simulated power cut leaves: what was synced is there, and any part of the rest may be."""

import random

import pytest

from tests.chaos.disk import ROOT, Change, Disk, Link, Sync, Truncate, Write

FOLDER, FILE, OTHER = 1, 2, 3
PAGE = 4096
MADE = (Link(ROOT, "runs", FOLDER, is_folder=True), Link(FOLDER, "a", FILE))
SYNCED = (*MADE, Sync(ROOT), Sync(FOLDER))


def found(*changes: Change) -> set[tuple[tuple[str, bytes], ...]]:
    """Return all that was found after many cuts, each as its files by name."""
    disk = Disk()
    for change in changes:
        disk.apply(change)
    cuts = (
        disk.after_cut(random.Random(seed), leave_out="-shm")  # noqa: S311 - repeatable
        for seed in range(400)
    )
    return {tuple(sorted((str(path), content) for path, content in cut.items())) for cut in cuts}


def contents(*changes: Change) -> set[bytes]:
    """Return what was found in the file, which was always there."""
    return {dict(cut)["runs/a"] for cut in found(*SYNCED, *changes)}


def test_name_is_durable_once_its_folder_and_all_above_are_synced() -> None:
    there, none = (("runs/a", b""),), ()
    assert found(*MADE) == {there, none}
    assert found(*MADE, Sync(FOLDER), Sync(FILE)) == {there, none}
    assert found(*MADE, Sync(ROOT)) == {there, none}
    assert found(*SYNCED) == {there}


def test_name_that_is_taken_away_may_be_there_until_its_folder_is_synced() -> None:
    gone = Link(FOLDER, "a", None)
    assert found(*SYNCED, gone) == {(("runs/a", b""),), ()}
    assert found(*SYNCED, gone, Sync(FOLDER)) == {()}


def test_name_that_is_used_again_may_stand_for_the_former_file() -> None:
    former = (Write(FILE, 0, b"old"), Sync(FILE), Link(FOLDER, "a", None))
    later = (Link(FOLDER, "a", OTHER), Write(OTHER, 0, b"new"), Sync(OTHER))
    assert found(*SYNCED, *former, *later) == {(("runs/a", b"old"),), (("runs/a", b"new"),), ()}


def test_synced_bytes_are_there() -> None:
    assert contents(Write(FILE, 0, b"x" * PAGE), Sync(FILE)) == {b"x" * PAGE}


def test_what_was_not_synced_may_be_there_in_part() -> None:
    old, new = b"o" * PAGE, b"n" * PAGE
    seen = contents(Write(FILE, 0, old), Sync(FILE), Write(FILE, 0, new))
    assert {old, new} < seen
    torn = seen - {old, new}
    assert {len(each) for each in torn} == {PAGE}
    assert all(each[n : n + 512] in (old[:512], new[:512]) for each in torn for n in range(0, PAGE, 512))


def test_later_write_may_be_there_without_an_earlier_one() -> None:
    pages = contents(
        Write(FILE, 0, bytes(2 * PAGE)),
        Sync(FILE),
        Write(FILE, 0, b"1" * PAGE),
        Write(FILE, PAGE, b"2" * PAGE),
    )
    assert bytes(PAGE) + b"2" * PAGE in pages


def test_file_that_has_grown_may_hold_anything_there() -> None:
    seen = contents(Write(FILE, 0, b"a" * 512), Sync(FILE), Write(FILE, 512, b"b" * 512))
    assert {b"a" * 512, b"a" * 512 + b"b" * 512, b"a" * 512 + bytes(512)} < seen
    assert all(each.startswith(b"a" * 512) for each in seen)
    assert any(each[512:] not in (b"", b"b" * 512, bytes(512)) for each in seen)


@pytest.mark.parametrize("length", [0, 100, PAGE])
def test_file_may_have_its_length_from_before_it_was_cut(length: int) -> None:
    whole = b"a" * 2 * PAGE
    assert contents(Write(FILE, 0, whole), Sync(FILE), Truncate(FILE, length), Sync(FILE)) == {whole[:length]}
    seen = contents(Write(FILE, 0, whole), Sync(FILE), Truncate(FILE, length))
    assert {whole, whole[:length]} <= seen
    assert {len(each) for each in seen} == {len(whole), length}


def test_what_is_left_out_is_not_found() -> None:
    assert found(*SYNCED, Link(FOLDER, "b-shm", OTHER), Sync(FOLDER)) == {(("runs/a", b""),)}

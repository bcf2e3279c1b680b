"""Which run a name means."""

from pathlib import Path

import pytest

from downtimer import cli, config
from downtimer.commands.choosing import choose
from downtimer.config import Config
from downtimer.errors import ConfigError, DowntimerError
from tests.unit.test_imported import make


def of(folder: Path) -> Config:
    """Return a configuration whose runs are there."""
    return config.parse(f"[global]\nstate_dir = {folder}\n[static]\nips = 127.0.0.1\n", "/nowhere/conf.ini")


def test_run_is_found_by_its_id_or_by_how_no_other_begins(tmp_path: Path) -> None:
    for name in ("20261122-163705-1234", "20261122-163705-12", "20261123-000000-0000"):
        make(tmp_path, name)
    for name, found in (
        ("20261122-163705-1234", "20261122-163705-1234"),
        ("20261122-163705-12", "20261122-163705-12"),
        ("20261123", "20261123-000000-0000"),
        ("20261122-163705-123", "20261122-163705-1234"),
    ):
        assert choose(of(tmp_path), name).id == found


@pytest.mark.parametrize("name", ["nosuch", "", "../runs/20261122", "*"])
def test_run_that_is_not_there_is_told_with_where_it_was_looked_for(tmp_path: Path, name: str) -> None:
    make(tmp_path, "20261122-163705-1234")
    with pytest.raises(DowntimerError) as caught:
        choose(of(tmp_path), name)
    where = f"in {tmp_path}/runs"
    assert str(caught.value) == f"no run {name!r} {where}; `downtimer runs` lists them, latest is one, too"


def test_name_that_fits_several_runs_is_told_with_some_of_them(tmp_path: Path) -> None:
    for number in range(7):
        make(tmp_path, f"20261122-163705-000{number}")
    with pytest.raises(ConfigError) as caught:
        choose(of(tmp_path), "20261122")
    named = ", ".join(f"20261122-163705-000{number}" for number in range(3))
    assert str(caught.value) == f"7 runs begin with 20261122: {named}, …"


def test_imported_runs_count_as_older_than_all_that_was_measured_here(tmp_path: Path) -> None:
    make(tmp_path, "imported-older", start_s=-2, is_imported=True)
    make(tmp_path, "imported", start_s=9, is_imported=True)
    assert choose(of(tmp_path), None).id == "imported"
    make(tmp_path, "measured", start_s=-9)
    make(tmp_path, "measured-later", start_s=-8)
    found = [choose(of(tmp_path), f"latest~{back}").id for back in range(4)]
    assert found == ["measured-later", "measured", "imported", "imported-older"]


def test_run_that_can_not_be_read_is_told_with_the_reason(tmp_path: Path) -> None:
    make(tmp_path, "r1")
    (tmp_path / "runs" / "r2.sqlite").write_text(
        "no database at all, but long enough to be taken for one " * 9
    )
    with pytest.raises(DowntimerError, match=r"r2\.sqlite: file is not a database"):
        choose(of(tmp_path), "r2")


@pytest.mark.parametrize("given", ["latest", "20261122", "latest~0"])
def test_no_run_is_removed_that_is_not_named_in_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    make(tmp_path, "20261122-163705-1234")
    config_file = tmp_path / "conf.ini"
    config_file.write_text(f"[global]\nstate_dir = {tmp_path}\nruntime_dir = {tmp_path}/run\n")
    words = ["runs", "--config", str(config_file), "--delete"]
    assert cli.main([*words, given]) == 2
    line = f"downtimer: --delete {given}: wants the whole name: 20261122-163705-1234\n"
    assert capsys.readouterr() == ("", line)
    assert cli.main([*words, "2027"]) == 1
    assert capsys.readouterr().err.startswith("downtimer: no run 2027 in ")
    assert cli.main([*words, "20261122-163705-1234"]) == 0

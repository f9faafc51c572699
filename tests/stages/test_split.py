"""Rows are split once: stored per row, with related rows in the same part."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.core import catalog, files
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.errors import DataError
from fieldcraft.data.splitting import MAX_CROSS_FITTED_ROWS
from fieldcraft.ledger.store import Ledger
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _pipeline, _workflows
from fieldcraft.stages import split as stage
from fieldcraft.stages.init import InitRequest, init
from tests.conftest import create_project, mixed_table, set_settings, source_table_path
from tests.kinds.text.sentences import make_texts


def run_split(project: ProjectFolder) -> pl.DataFrame:
    outcome = _pipeline.run_steps(project, _workflows.NullCallbacks(), until="split")
    return pl.read_parquet(outcome.folders["split"] / "split.parquet")


def test_a_small_table_has_folds_and_a_sealed_test_set(
    project: ProjectFolder,
) -> None:
    parts = run_split(project)
    counts = dict(parts["part"].value_counts().iter_rows())
    assert counts == {"cv": 204, "test": 36}
    assert sorted(parts.filter(pl.col("part") == "cv")["fold"].unique()) == list(range(10))
    assert parts.filter(pl.col("part") == "test")["fold"].unique().to_list() == [-1]


def test_a_large_table_has_four_parts_of_the_default_sizes(tmp_path: Path) -> None:
    rows = MAX_CROSS_FITTED_ROWS + 1000
    draw = np.random.default_rng(0)
    frame = pl.DataFrame({"x": draw.normal(size=rows), "y": draw.choice(["a", "b"], rows)})
    frame.write_csv(tmp_path / "large.csv")
    parts = run_split(create_project(tmp_path / "large", tmp_path / "large.csv", "y"))
    shares = {part: n / rows for part, n in parts["part"].value_counts().iter_rows()}
    expected = {"train": 0.7, "validation": 0.075, "evaluation": 0.075, "test": 0.15}
    assert shares == pytest.approx(expected, abs=0.002)


def counts_of(project: ProjectFolder) -> dict[str, int]:
    return dict(run_split(project)["part"].value_counts().iter_rows())


def test_the_size_of_each_part_can_be_configured(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "MAX_CROSS_FITTED_ROWS", 1)
    set_settings(project, {"split.validation": 0.1, "split.evaluation": 0.2, "split.test": 0.3})
    expected = {"train": 96, "validation": 24, "evaluation": 48, "test": 72}
    assert counts_of(project) == pytest.approx(expected, abs=2)


@pytest.mark.parametrize(("small", "first"), [(240, "train"), (241, "cv")])
def test_tables_below_the_size_limit_are_cross_fitted(
    project: ProjectFolder, small: int, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "MAX_CROSS_FITTED_ROWS", small)
    assert MAX_CROSS_FITTED_ROWS == 5_000
    assert first in counts_of(project)


@pytest.mark.parametrize("small", [250, 200])
def test_a_table_that_crosses_the_limit_keeps_its_parts(
    project: ProjectFolder, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "MAX_CROSS_FITTED_ROWS", small)
    before = run_split(project)
    if small == 250:
        added = mixed_table(60, seed=9).with_columns(key=pl.col("key").str.replace("k", "n"))
        rewrite_source(project, pl.concat([mixed_table(), added]))
    else:
        rewrite_source(project, mixed_table().head(150))
    after = run_split(project)
    n_common = min(before.height, after.height)
    assert (
        after.head(n_common)
        .select("part", "fold")
        .equals(before.head(n_common).select("part", "fold"))
    )
    assert set(after["part"]) <= set(before["part"])
    assert set(after["fold"]) == set(before["fold"])


def test_development_and_test_rows_are_in_separate_files_with_digests(
    project: ProjectFolder,
) -> None:
    set_settings(project, {"data.filter": "city <> 'Rome'"})
    outcome = _pipeline.run_steps(project, _workflows.NullCallbacks(), until="split")
    folder = outcome.folders["split"]
    table = pl.read_parquet(folder / "split.parquet")
    metadata = files.read_json(folder / "metadata.json")
    rows = mixed_table().with_columns(table["part"], table["digest"])
    parts = [("development", "cv", "development.parquet"), ("test", "test", "sealed/test.parquet")]
    for name, part, path in parts:
        part_rows = rows.filter(pl.col("part") == part)
        assert pl.read_parquet(folder / path)["key"].to_list() == part_rows["key"].to_list()
        digests = b"".join(sorted(part_rows["digest"].to_list()))
        assert metadata["digests"][name] == hashlib.sha256(digests).hexdigest()
    counts = dict(table["part"].value_counts().iter_rows())
    assert metadata["counts"] == counts
    assert set(counts) == {"cv", "test", "unused"}
    entry = Ledger(project.ledger_path).last("decision", "split")
    assert entry is not None
    assert entry.body == {
        "decision": "split", "counts": counts, "test_digest": metadata["digests"]["test"],
        "strategy": "stratified",
    }  # fmt: skip


def test_the_digest_of_the_test_set_does_not_depend_on_row_order(project: ProjectFolder) -> None:
    def digests() -> Any:
        outcome = _pipeline.run_steps(project, _workflows.NullCallbacks(), until="split")
        return files.read_json(outcome.folders["split"] / "metadata.json")["digests"]

    before = digests()
    rewrite_source(project, mixed_table()[::-1])
    assert digests() == before


@pytest.mark.parametrize(
    ("entries", "same"),
    [
        ({"data.group": "city"}, False), ({"data.time_column": "seen"}, False),
        ({"data.group": "city", "split.strategy": "group"}, False),
        ({"split.seed": 1}, False), ({"split.test": 0.2}, False),
        ({"split.near_duplicates": "ignore"}, False), ({"problem.target": "member"}, False),
        ({"data.filter": "age > 4"}, True), ({"model.epochs": 3}, True),
        ({"data.columns.city.kind": "text"}, True),
    ],
)  # fmt: skip
def test_the_split_digest_changes_only_with_split_settings(
    project: ProjectFolder, entries: Mapping[str, Any], same: bool
) -> None:
    before = stage.digest_split_settings(project.load_settings())
    set_settings(project, entries)
    assert (stage.digest_split_settings(project.load_settings()) == before) is same


def test_rows_are_assigned_when_the_filter_no_longer_excludes_them(project: ProjectFolder) -> None:
    set_settings(project, {"data.filter": "city <> 'Rome'"})
    before = run_split(project)
    project_file.apply_edits(
        project.file_path, [ConfigEdit(("data", "filter"), "city <> 'Nowhere'")]
    )
    after = run_split(project)
    used = before["part"] != "unused"
    assert after.filter(used)["part"].to_list() == before.filter(used)["part"].to_list()
    added = after.filter(~used)["part"]
    assert set(added) == {"cv", "test"}
    assert (added == "test").sum() == pytest.approx(0.15 * len(added), abs=2)


def test_equal_rows_are_in_the_same_part_even_if_identifiers_differ(tmp_path: Path) -> None:
    frame = mixed_table(200)
    twins = frame.with_columns(key=pl.col("key").str.replace("k", "t"))
    pl.concat([frame, twins]).write_csv(tmp_path / "twins.csv")
    parts = run_split(create_project(tmp_path / "twins", tmp_path / "twins.csv"))
    first, second = parts["part"].head(200), parts["part"].tail(200)
    assert (first == second).all()
    assert (parts["fold"].head(200) == parts["fold"].tail(200)).all()


@pytest.mark.parametrize(("near", "is_split"), [("group", False), ("ignore", True)])
def test_near_duplicates_are_in_the_same_part_by_default(
    tmp_path: Path, near: str, is_split: bool
) -> None:
    *texts, last = make_texts(61, 9, seed=4)
    forms = [f"We ask you to send the form {i} back, {last}" for i in range(60)]
    notes = [*texts, *(f"{text} Yours, {i}" for i, text in enumerate(texts)), *forms]
    labels = ["a", "b"] * 90
    pl.DataFrame({"note": notes, "key": range(180), "y": labels}).write_csv(tmp_path / "n.csv")
    project = create_project(tmp_path / "p", tmp_path / "n.csv", "y")
    set_settings(project, {"data.columns.note": {"kind": "text"}, "split.near_duplicates": near})
    parts = run_split(project)
    sides = [parts.select("part", "fold")[start : start + 60] for start in (0, 60, 120)]
    assert (not sides[0].equals(sides[1])) is is_split
    assert sides[2]["part"].n_unique() > 1  # a filled-in form is too frequent to be one group


def test_old_rows_keep_their_part_when_rows_are_added(project: ProjectFolder) -> None:
    before = run_split(project)
    source = source_table_path(project)
    added = mixed_table(60, seed=9).with_columns(key=pl.col("key").str.replace("k", "n"))
    pl.concat([added, pl.read_csv(source, infer_schema=False).cast(added.schema)]).write_csv(source)
    after = run_split(project).tail(before.height)
    assert after["part"].to_list() == before["part"].to_list()
    assert after["fold"].to_list() == before["fold"].to_list()


def test_changing_the_kind_of_a_column_keeps_the_split(project: ProjectFolder) -> None:
    before = run_split(project)
    project_file.apply_edits(
        project.file_path, [ConfigEdit(("data", "columns", "city", "kind"), "identifier")]
    )
    assert run_split(project)["part"].to_list() == before["part"].to_list()


def test_another_seed_gives_another_split(project: ProjectFolder) -> None:
    before = run_split(project)
    project_file.apply_edits(project.file_path, [ConfigEdit(("split", "seed"), 1)])
    assert run_split(project)["part"].to_list() != before["part"].to_list()


def rewrite_source(project: ProjectFolder, frame: pl.DataFrame) -> None:
    frame.write_csv(source_table_path(project))


def test_adding_a_column_gives_another_split_of_the_same_sizes(
    project: ProjectFolder,
) -> None:
    """A new column changes all row digests, so that the table size decides again."""
    run_split(project)
    rewrite_source(project, mixed_table().with_columns(more=pl.int_range(240) % 5))
    set_settings(project, {"data.columns.more": {"kind": "number"}})
    counts = dict(run_split(project)["part"].value_counts().iter_rows())
    assert counts == {"cv": 204, "test": 36}


def create_people_project(tmp_path: Path, gaps: bool = False) -> ProjectFolder:
    frame = mixed_table(300).with_columns(person=pl.Series([f"p{i % 40}" for i in range(300)]))
    frame.write_csv(tmp_path / "people.csv")
    project = create_project(tmp_path / "people", tmp_path / "people.csv")
    return set_settings(project, {"data.group": "person", "split.strategy": "group"})


def test_rows_of_a_group_are_in_the_same_part(tmp_path: Path) -> None:
    project = create_people_project(tmp_path)
    parts = run_split(project).with_columns(
        person=pl.read_csv(source_table_path(project))["person"]
    )
    assert parts.group_by("person").agg(pl.col("part").n_unique())["part"].max() == 1
    assert parts.group_by("person").agg(pl.col("fold").n_unique())["fold"].max() == 1
    shares = dict(parts["part"].value_counts(normalize=True).iter_rows())
    assert shares["test"] == pytest.approx(0.15, abs=0.03)


def test_new_rows_of_a_group_get_its_part(tmp_path: Path) -> None:
    project = create_people_project(tmp_path)
    before = run_split(project)
    old = pl.read_csv(source_table_path(project), infer_schema=False)
    more = mixed_table(80, seed=3).with_columns(person=pl.Series([f"p{i}" for i in range(80)]))
    rewrite_source(project, pl.concat([old, more.cast(old.schema)]))
    after = run_split(project)
    assert after["part"].head(300).to_list() == before["part"].to_list()
    part_of_person = dict(
        zip(old["person"], zip(before["part"], before["fold"], strict=True), strict=True)
    )
    for i in range(40):
        assert after.select("part", "fold").row(300 + i) == part_of_person[f"p{i}"]


def test_changing_the_group_column_regroups_the_rows(tmp_path: Path) -> None:
    project = create_people_project(tmp_path)
    house = pl.Series("house", [f"h{i % 7 + i % 5 * 10}" for i in range(300)])
    rewrite_source(
        project, pl.read_csv(source_table_path(project), infer_schema=False).hstack([house])
    )
    set_settings(project, {"data.columns.house": {"kind": "identifier"}})
    run_split(project)
    parts = run_split(set_settings(project, {"data.group": "house"})).hstack([house])
    for column in ("part", "fold"):
        assert parts.group_by("house").agg(pl.col(column).n_unique())[column].max() == 1


class FakeKind:
    """A kind that finds the given groups of near duplicates."""

    def __init__(self, *groups: list[int]) -> None:
        self.groups = [np.array(group) for group in groups]

    def near_duplicate_groups(self, values: pl.Series) -> list[Any]:
        return self.groups


@pytest.mark.parametrize(
    ("rows", "group_size", "together"),
    [(100, 20, True), (100, 21, False), (2_000, 40, True), (2_000, 41, False)],
)
def test_small_groups_of_near_duplicates_are_kept_together(
    project: ProjectFolder,
    rows: int,
    group_size: int,
    together: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = project.load_settings()
    monkeypatch.setattr(catalog, "load_plugin", lambda *_: FakeKind([*range(group_size)]))
    digests = pl.Series([number.to_bytes(2, "big") for number in range(rows)])
    features = pl.DataFrame({"city": ["x"] * rows})
    groups = stage.group_related_rows(pl.DataFrame({"feature_digest": digests}), features, settings)
    expected = [digests[0] if together else digests[i] for i in range(group_size)]
    assert groups.to_list() == [*expected, *digests[group_size:]]


def test_related_rows_are_grouped_transitively(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows 1 and 4 are equal; 4 resembles 2 in one column, and 2 resembles 6 in another."""
    settings = project.load_settings()
    kinds = iter([FakeKind([2, 4]), FakeKind([2, 6])])
    monkeypatch.setattr(catalog, "load_plugin", lambda *_: next(kinds))
    parts = pl.DataFrame({"feature_digest": [b"a", b"b", b"c", b"d", b"b", b"e", b"f"]})
    features = pl.DataFrame({"city": ["x"] * 7, "member": ["y"] * 7})
    groups = stage.group_related_rows(parts, features, settings)
    assert groups.to_list() == [b"a", b"b", b"b", b"d", b"b", b"e", b"b"]


@pytest.mark.parametrize(
    "entries",
    [{"split.near_duplicates": "ignore"}, {"data.time_column": "seen", "split.strategy": "time"}],
)
def test_only_equal_rows_are_grouped_if_near_duplicates_are_ignored(
    project: ProjectFolder, entries: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = set_settings(project, entries).load_settings()
    monkeypatch.setattr(catalog, "load_plugin", lambda *_: FakeKind([0, 1]))
    parts = pl.DataFrame({"feature_digest": [b"a", b"b", b"a"]})
    groups = stage.group_related_rows(parts, pl.DataFrame({"city": ["x"] * 3}), settings)
    assert groups.to_list() == [b"a", b"b", b"a"]


def create_time_project(
    tmp_path: Path, rule: dict[str, object], rows: int = 300
) -> tuple[ProjectFolder, pl.Series]:
    draw = np.random.default_rng(0)
    hour = pl.Series("hour", draw.permutation(rows).astype(float))
    first_hour = pl.datetime(2024, 1, 1)
    frame = mixed_table(rows).with_columns(hour, pl.lit(0).alias("zero")).with_columns(
        seen=(first_hour + pl.duration(hours=pl.col("hour"))).dt.strftime("%Y-%m-%d %H:%M:%S")
    )  # fmt: skip
    frame.drop("zero").write_csv(tmp_path / "time.csv")
    project = create_project(tmp_path / "time", tmp_path / "time.csv")
    return set_settings(project, {"split.strategy": "time", **rule}), hour


def hour_range_by_part(parts: pl.DataFrame, hour: pl.Series) -> dict[str, tuple[float, float]]:
    low, high = pl.col("hour").min().alias("low"), pl.col("hour").max().alias("high")
    ranges = parts.with_columns(hour).group_by("part").agg(low, high)
    return {part: (low, high) for part, low, high in ranges.iter_rows()}


def test_a_split_by_time_seals_the_newest_rows(tmp_path: Path) -> None:
    project, hour = create_time_project(tmp_path, {"data.time_column": "seen"})
    hour_ranges = hour_range_by_part(run_split(project), hour)
    assert hour_ranges["train"] == pytest.approx((0, 209), abs=1)
    assert hour_ranges["validation"][0] == hour_ranges["train"][1] + 1
    assert hour_ranges["evaluation"][0] == hour_ranges["validation"][1] + 1
    assert hour_ranges["test"] == (255, 299)


def test_a_split_by_time_moves_with_newer_rows(tmp_path: Path) -> None:
    project, hour = create_time_project(tmp_path, {"data.time_column": "hour"})
    run_split(project)
    old = pl.read_csv(source_table_path(project), infer_schema=False)
    new = old.head(100).with_columns(
        key=pl.col("key").str.replace("k", "n"),
        hour=pl.Series([f"{300.0 + i}" for i in range(100)]),
    )
    rewrite_source(project, pl.concat([old, new]))
    hours = hour.append(pl.Series([300.0 + i for i in range(100)]))
    hour_ranges = hour_range_by_part(run_split(project), hours)
    assert hour_ranges == {
        "train": (0, 279),
        "validation": (280, 309),
        "evaluation": (310, 339),
        "test": (340, 399),
    }


@pytest.mark.parametrize(
    "rule",
    [
        {"data.time_column": "seen", "split.gap": "5h"},
        {"data.time_column": "hour", "split.gap": 5},
    ],
)
def test_rows_within_the_gap_are_unused(tmp_path: Path, rule: dict[str, object]) -> None:
    project, hour = create_time_project(tmp_path, rule)
    parts = run_split(project)
    hour_ranges = hour_range_by_part(parts, hour)
    for old, new in (("train", "validation"), ("validation", "evaluation"), ("evaluation", "test")):
        assert hour_ranges[new][0] - hour_ranges[old][1] >= 5
    assert (parts["part"] == "unused").sum() == 12  # four hours before each of three parts
    assert hour_ranges["test"] == (255, 299)


def test_a_gap_is_parsed_as_a_duration_or_a_number() -> None:
    moments = pl.Series("seen", [None], dtype=pl.Datetime("us"))
    assert [stage.parse_gap(gap, moments) for gap in ("0s", "90m", "7d")] == [0, 5_400, 604_800]
    assert stage.parse_gap(2.5, pl.Series("step", [1, 2])) == 2.5


@pytest.mark.parametrize(
    ("rule", "message", "hint"),
    [
        (
            {"data.time_column": "hour", "split.gap": "5h"},
            "hour holds numbers",
            "a number, such as 30",
        ),
        ({"data.time_column": "seen", "split.gap": 5}, "seen holds dates", "a duration such as 7d"),
        (
            {"data.time_column": "seen", "split.gap": "40d"},
            "no rows for the part train",
            "a smaller value",
        ),
        (
            {"data.time_column": "hour", "split.gap": 30},
            "no rows for the part validation",
            "a smaller value",
        ),
        ({"data.time_column": "city"}, "'city' holds neither", "datetime or number"),
    ],
)
def test_invalid_time_columns_and_gaps_are_errors(
    tmp_path: Path, rule: dict[str, object], message: str, hint: str
) -> None:
    project, _ = create_time_project(tmp_path, rule)
    with pytest.raises(DataError, match=f"(?s){message}") as caught:
        run_split(project)
    assert hint in caught.value.hint


def use_named_parts(project: ProjectFolder, words: list[str]) -> ProjectFolder:
    frame = pl.read_csv(source_table_path(project), infer_schema=False)
    rewrite_source(project, frame.with_columns(part=pl.Series((words * 240)[:240])))
    return set_settings(
        project, {"data.columns.part": {"kind": "category"}, "data.split_column": "part"}
    )


def test_a_split_column_assigns_the_parts(project: ProjectFolder) -> None:
    use_named_parts(project, [" Train", "train", "train", "val", "validation", "TEST"])
    parts = run_split(project)["part"].to_list()
    assert set(parts[0::6] + parts[1::6] + parts[2::6]) == {"train"}
    assert set(parts[3::6] + parts[4::6]) == {"validation", "evaluation"}
    assert set(parts[5::6]) == {"test"}


def test_without_validation_rows_in_the_split_column_rows_are_cross_fitted(
    project: ProjectFolder,
) -> None:
    use_named_parts(project, ["0", "0", "2"])
    counts = dict(run_split(project)["part"].value_counts().iter_rows())
    assert counts == {"cv": 160, "test": 80}


def test_an_unknown_part_is_an_error_with_a_suggestion(project: ProjectFolder) -> None:
    use_named_parts(project, ["train", "tset"])
    with pytest.raises(DataError, match=r"(?s)does not hold parts.*tset.*did you mean 'test'"):
        run_split(project)


def test_rows_that_do_not_satisfy_the_filter_are_unused(project: ProjectFolder) -> None:
    set_settings(project, {"data.filter": "age > 40 and city <> 'Rome'"})
    frame = mixed_table()
    parts = run_split(project)
    used = (frame["age"] > 40).fill_null(False) & (frame["city"] != "Rome")
    assert ((parts["part"] != "unused") == used).all()
    assert (parts["storage"] == "unused").sum() == 240 - used.sum()


def test_a_filter_can_use_derived_columns(project: ProjectFolder) -> None:
    set_settings(project, {"data.derived_columns": {"old": "age > 60"}, "data.filter": "not old"})
    ages = mixed_table()["age"].filter(run_split(project)["part"] != "unused")
    assert ages.max() <= 60  # type: ignore[operator]
    assert ages.null_count() == 0


@pytest.mark.parametrize(
    ("condition", "message"),
    [("agee > 3", "did you mean 'age'"), ("age + 3", "not a condition"), ("age >", "SQL")],
)
def test_an_invalid_filter_is_an_error(
    project: ProjectFolder, condition: str, message: str
) -> None:
    set_settings(project, {"data.filter": condition})
    with pytest.raises(DataError, match=f"(?s){message}"):
        run_split(project)


def test_several_targets_are_stratified_by_their_combinations(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    labels = {name: draw.integers(0, 2, 400) for name in ("a", "b")}
    frame = pl.DataFrame({"x": draw.normal(size=400), **labels})
    frame = frame.with_columns(b=pl.when(pl.int_range(400) < 9).then(None).otherwise(pl.col("b")))
    frame.write_csv(tmp_path / "labels.csv")
    project = create_project(tmp_path / "labels", tmp_path / "labels.csv", ("a", "b"))
    parts = run_split(project).hstack(frame.select("a", "b"))
    assert (parts["part"].head(9) == "unused").all()
    rest = parts.tail(391)
    shares = rest.group_by("a", "b").agg((pl.col("part") == "test").mean())["part"]
    assert shares.min() > 0.12  # type: ignore[operator]
    assert shares.max() < 0.18  # type: ignore[operator]
    split = next(project.root.glob("runs/split/*/metadata.json"))
    assert files.read_json(split)["target_spec"] == {"labels": ["a", "b"]}


def test_classes_of_sealed_rows_are_among_the_classes(
    tmp_path: Path,
) -> None:
    labels = [f"rare {i:02d}" for i in range(20)] + ["a", "b"] * 110
    frame = mixed_table(240).with_columns(bought=pl.Series(labels))
    frame.write_csv(tmp_path / "rare.csv")
    project = create_project(tmp_path / "rare", tmp_path / "rare.csv")
    parts = run_split(project)["part"].head(20)
    assert (parts == "test").any()
    split = next(project.root.glob("runs/split/*/metadata.json"))
    assert files.read_json(split)["target_spec"]["classes"] == ["a", "b", *labels[:20]]


def create_ready_split_project(folder: Path, test_labels: list[str] | None = None) -> ProjectFolder:
    frame = mixed_table(300)
    test_rows = frame.tail(60)
    if test_labels:
        test_rows = test_rows.with_columns(bought=pl.Series(test_labels * 60).head(60))
    for name, rows in (
        ("train", frame.head(180)),
        ("val", frame.slice(180, 60)),
        ("test", test_rows),
    ):
        rows.write_csv(folder / f"{name}.csv")
    train, val, test = (str(folder / f"{name}.csv") for name in ("train", "val", "test"))
    init(InitRequest(folder / "given", train, ("bought",), val, test))
    return ProjectFolder(folder / "given")


def test_a_given_split_is_used(tmp_path: Path) -> None:
    parts = run_split(create_ready_split_project(tmp_path))
    assert parts["part"].head(180).unique().to_list() == ["train"]
    assert sorted(parts["part"].slice(180, 60).unique()) == ["evaluation", "validation"]
    assert parts["part"].tail(60).unique().to_list() == ["test"]


def test_given_validation_rows_are_divided_into_validation_and_evaluation(tmp_path: Path) -> None:
    project = create_ready_split_project(tmp_path)
    before = run_split(project)["part"]
    halves = before.slice(180, 60)
    assert (halves == "validation").sum() == 30
    more = mixed_table(20, seed=5).with_columns(key=pl.col("key").str.replace("k", "n"))
    pl.concat([mixed_table(300).slice(180, 60), more]).write_csv(tmp_path / "val.csv")
    after = run_split(project)["part"]
    assert after.slice(180, 60).to_list() == halves.to_list()
    assert set(after.slice(240, 20)) == {"validation", "evaluation"}
    assert after.tail(60).unique().to_list() == ["test"]


def test_a_later_copy_of_a_sealed_row_is_unused(tmp_path: Path) -> None:
    project, rows = create_ready_split_project(tmp_path), mixed_table(300)
    copies = rows.tail(10).with_columns(key=pl.col("key").str.replace("k", "n"))
    before = run_split(project)
    for count in (9, 10):  # a row that was unused once stays unused
        pl.concat([rows.head(180), copies.head(count)]).write_csv(tmp_path / "train.csv")
        after = run_split(project)["part"]
        assert after.slice(180, count).unique().to_list() == ["unused"]
        assert [*after.head(180), *after.slice(180 + count)] == before["part"].to_list()


def test_an_earlier_copy_of_a_test_row_stays_a_training_row(tmp_path: Path) -> None:
    project, rows = create_ready_split_project(tmp_path), mixed_table(300)
    copies = rows.tail(10).with_columns(key=pl.col("key").str.replace("k", "n"))
    pl.concat([rows.head(180), copies]).write_csv(tmp_path / "train.csv")
    assert run_split(project)["part"].head(190).unique().to_list() == ["train"]


def test_rows_beside_a_given_test_file_are_split_by_time(tmp_path: Path) -> None:
    project, _ = create_time_project(
        tmp_path, {"data.time_column": "hour", "split.evaluation": 0.2}
    )
    table = pl.read_csv(source_table_path(project), infer_schema=False)
    table.tail(100).write_csv(tmp_path / "test.csv")
    table.head(200).write_csv(source_table_path(project))
    set_settings(project, {"data.source": {"train": "../time.csv", "test": "../test.csv"}})
    expected = {"train": 145, "validation": 15, "evaluation": 40, "test": 100}
    assert counts_of(project) == pytest.approx(expected, abs=1)


def test_labels_found_only_in_the_test_file_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="label that the model does not know"):
        run_split(create_ready_split_project(tmp_path, ["maybe", "never"]))


def test_labels_of_the_test_file_may_end_in_a_period(tmp_path: Path) -> None:
    parts = run_split(create_ready_split_project(tmp_path, ["yes.", "no."]))
    assert parts["part"].tail(60).unique().to_list() == ["test"]


def test_rows_without_a_target_are_unused(tmp_path: Path) -> None:
    frame = mixed_table(200).with_columns(
        bought=pl.when(pl.int_range(200) < 20).then(None).otherwise(pl.col("bought"))
    )
    frame.write_csv(tmp_path / "gaps.csv")
    parts = run_split(create_project(tmp_path / "gaps", tmp_path / "gaps.csv"))
    assert parts["part"].head(20).unique().to_list() == ["unused"]
    assert "unused" not in parts["part"].tail(180)


def test_conflicting_rows_are_dropped_on_request(tmp_path: Path) -> None:
    frame = mixed_table(200).drop("key")
    conflicting = frame.head(4).with_columns(
        bought=pl.col("bought").replace({"yes": "no", "no": "yes"})
    )
    pl.concat([frame, conflicting]).write_csv(tmp_path / "torn.csv")
    project = create_project(tmp_path / "torn", tmp_path / "torn.csv")
    project_file.apply_edits(project.file_path, [ConfigEdit(("clean", "conflicting_rows"), "drop")])
    parts = run_split(project)["part"]
    assert (parts.head(4) == "unused").all()
    assert (parts.tail(4) == "unused").all()
    assert (parts.slice(4, 196) != "unused").all()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"x": range(100), "y": ["a"] * 99 + [None]}), "no task fits"),
        (pl.DataFrame({"x": [1, 2], "y": ["a", "b"]}), "too few rows"),
        (pl.DataFrame({"x": range(19), "y": ["a"] * 10 + ["b"] * 9}), "too few rows"),
        (pl.DataFrame({"y": ["a", "b"] * 50}), "no feature column"),
        (pl.DataFrame({"x": range(100), "y": [None] * 100}), "no task fits"),
    ],
)
def test_tables_that_cannot_be_learned_from_are_errors(
    tmp_path: Path, frame: pl.DataFrame, message: str
) -> None:
    frame.write_csv(tmp_path / "odd.csv")
    with pytest.raises(DataError, match=message):
        run_split(create_project(tmp_path / "odd", tmp_path / "odd.csv", "y"))


def test_twenty_rows_are_enough(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": [i % 7 / 8 for i in range(20)], "y": ["a", "b"] * 10})
    frame.write_csv(tmp_path / "few.csv")
    project = create_project(tmp_path / "few", tmp_path / "few.csv", "y")
    assert counts_of(project) == {"cv": 17, "test": 3}

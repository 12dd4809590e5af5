"""The figures of whole pictures, with boxes or masks, and the proxies beneath under a heading of their own."""

from __future__ import annotations

import io

import numpy as np
import pytest
import report_samples as samples
from PIL import Image

from benchmarks import ledger, sample_files
from benchmarks.cli import reproduce
from benchmarks.published import load_paper, load_table, select_tables
from benchmarks.reports import cells, costs, crops, write
from benchmarks.reports.sources import ledger_results, runs_of
from benchmarks.training import experiments, toolboxes

COLOURS = {"image": "white", "truth": "gray", "result": "red"}
SIZE = (500, 250)


def raw():
    values = {"error": "-"}
    return samples.table() | {
        "number": "7",
        "columns": [{"id": "error", "label": "Error", "metric": "top1_error", "unit": "%", "better": "lower"}],
        "figure": None,
        "groups": [],
        "crops": [{"column": "error", "picture": "cat"}, {"column": "error", "picture": "dog"}],
        "stand_ins": [{"dataset": "mini", "protocol": "overfit"}],
        "rows": [
            {"label": "Plain", "kind": "baseline", "model": "base", "values": values},
            {"label": "Small", "kind": "method", "model": "small", "baseline": "Plain", "values": values},
        ],
        "notes": [],
    }


@pytest.fixture(autouse=True)
def protocols(monkeypatch):
    monkeypatch.setattr(costs, "protocols", lambda: samples.PROTOCOLS)


@pytest.fixture
def record(tmp_path):
    """Record a run in a ledger, with pictures of these names as JPEG files."""

    def record(model, accuracy, pictures=("cat", "dog"), dataset="cifar10", protocol="paper-400e", seed=0, **more):
        folder, kept = tmp_path / "work", []
        for name in pictures:
            for shows, colour in COLOURS.items():
                stream = io.BytesIO()
                Image.new("RGB", (224, 112), colour).save(stream, "JPEG")
                file = f"{name}_{shows}.jpg"
                digest = sample_files.write(stream.getvalue(), folder / file)
                one = {"file": file, "picture": name, "scale": 1, "shows": shows, "box": (0, 0, *SIZE)}
                kept.append(one | {"sha256": digest})
        proxy = dataset == "mini"
        content = samples.result(model, seed, (("test", accuracy),)).model_dump(mode="json") | {
            "dataset": {"name": dataset, "checksum": "sha256:" + "0" * 64, "splits": {"test": 8}},
            "protocol": {"name": protocol, "proxy": proxy, "epochs": 2, "description": "short"},
            "samples": kept,
        }
        return ledger.write(ledger.RunResult.model_validate(content | more), tmp_path / "ledger", folder)

    return record


@pytest.fixture
def joined(tmp_path):
    def joined():
        root = samples.write_table(tmp_path / "papers", raw(), "sample/figure7")
        found = ledger_results(tmp_path / "ledger", pytest.fail) if (tmp_path / "ledger").is_dir() else []
        report = cells.build(load_table("sample/figure7", root), samples.SampleCounter(), runs_of(found))
        return write.Joined(report, load_paper("sample", root))

    return joined


def colours(tiles):
    """The colour of each tile's picture, None where there is none."""
    found = []
    for tile in tiles:
        if tile.content is None:
            found.append(None)
            continue
        with Image.open(io.BytesIO(tile.content)) as image:
            found.append(image.convert("RGB").getpixel((100, 50)))
    return found


WHITE, GREY, RED = (255, 255, 255), (128, 128, 128), (254, 0, 0)


def test_image_truth_and_networks_stand_beside_each_other(joined, record, tmp_path):
    record("base", 90.0)
    record("base", 92.0, seed=1)
    cat, dog = crops.tiles(joined().report, tmp_path / "ledger")
    assert [tile.column for tile in cat] == [crops.IMAGE, crops.TRUTH, "Plain", "Small"]
    assert colours(cat) == colours(dog) == [WHITE, GREY, RED, None]
    assert "".join(cat[3].missing.split()) == "slimbenchtraincifar10/paper-400e/small"
    # The number is that of all test images: it stands beneath the last picture only.
    assert [tile.words for tile in cat] == [()] * 4
    assert dog[2].words == ("10.00 %", "measured, paper-400e", "seed 0; 9.00 ± 1.41, n = 2")
    assert dog[3].words == ("open",)


def test_a_proxy_fills_no_place_and_stands_beneath_by_its_name(joined, record, tmp_path):
    record("small", 99.0, ("bird",), "mini", "overfit")
    record("base", 98.0, ("bird",), "mini", "smoke")
    record("base", 97.0, ("bird",), "mini", "overfit", status="failed", metrics=[], samples=[])
    report = joined().report
    assert [cell.status for cell in report.cells] == ["open", "open"]
    assert [colours(row) for row in crops.tiles(report, tmp_path / "ledger")] == [[None] * 4] * 2
    (other,) = report.stand_ins
    assert [(cell.row, cell.status, cell.protocol) for cell in other.cells] == [("Small", "proxy", "overfit")]
    ((image, truth, small),) = crops.tiles(other, tmp_path / "ledger")
    assert colours([image, truth, small]) == [WHITE, GREY, RED]
    assert (small.column, small.words) == ("Small", ("1.00 %", "proxy, overfit"))

    written = {path.name for path in write.write(joined(), tmp_path / "out", tmp_path / "ledger")}
    assert {"figure7.png", "figure7.pdf", "figure7-mini-overfit.png", "figure7-mini-overfit.pdf"} <= written
    page = (tmp_path / "out/sample/figure7.md").read_text(encoding="utf-8")
    before, after = page.split("## Proxy, and not the figure: `mini/overfit`")
    assert "2 cells: 2 open." in before
    assert "overfit" not in before
    assert "nothing below stands for a number or a picture of the paper" in after
    assert "| Model | Error (%) |" in after
    assert "| Small | [1.00 (overfit, n=1)](../../results/mini/overfit/small/seed0-" in after
    assert "](figure7-mini-overfit.png)" in after
    assert "`slimbench train cifar10/paper-400e/small`" in before  # what fills the figure
    assert "smoke" not in page


def test_the_command_names_a_proxys_figure_beside_the_papers(tmp_path):
    paths = [tmp_path / name for name in ("figure7.md", "figure7.png", "figure7-mini-overfit.png")]
    assert reproduce._shown(paths).endswith("/figure7.{md,png}, figure7-mini-overfit.png")
    assert reproduce._shown(paths[:2]).endswith("/figure7.{md,png}")


def test_without_proxies_there_is_no_such_heading(joined, record, tmp_path):
    record("base", 90.0)
    assert joined().report.stand_ins == ()
    names = {path.name for path in write.write(joined(), tmp_path / "out", tmp_path / "ledger")}
    assert not any("mini" in name for name in names)
    page = (tmp_path / "out/sample/figure7.md").read_text(encoding="utf-8")
    assert "Proxy" not in page
    assert "beneath the last picture the top-1 error of all test images" in page


def test_pictures_keep_their_proportions(joined, record, tmp_path):
    record("base", 90.0)
    write.write(joined(), tmp_path / "out", tmp_path / "ledger")
    with Image.open(tmp_path / "out/sample/figure7.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    red = (np.abs(pixels - RED) < 12).all(-1)
    rows, columns = red.any(1).nonzero()[0], red.any(0).nonzero()[0]
    width = columns.max() - columns.min() + 1
    first = red[: rows.min() + 150].any(1).sum()
    assert width == pytest.approx(240, abs=2)
    assert first == pytest.approx(120, abs=2)  # as the original: twice as wide as high


@pytest.mark.parametrize("name", ["slimconv/figure7", "versatile/figure6"])
def test_the_runs_of_the_papers_figures_keep_their_pictures(name):
    assert name in select_tables(["all"])
    table, folders = load_table(name), experiments.list_protocols()
    for row in table.rows:
        config = toolboxes.parse(folders[f"{table.dataset}/{table.protocol}"] / f"{row.model}.py")
        assert [one["picture"] for one in config.samples] == [crop.picture for crop in table.crops]
    for other in table.stand_ins:
        config = toolboxes.parse(folders[f"{other.dataset}/{other.protocol}"] / f"{table.rows[0].model}.py")
        assert config.protocol.proxy
        assert 2 <= len(config.samples) <= 3

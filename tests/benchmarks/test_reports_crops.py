"""Table 11 and the figure of enlarged pictures: which number and which picture stand where, out of the ledger alone."""

from __future__ import annotations

import io

import numpy as np
import pytest
import report_samples as samples
from PIL import Image

from benchmarks import ledger, sample_files
from benchmarks.errors import UserError
from benchmarks.published import load_table
from benchmarks.reports import cells, claims, costs, crops, everything, runs, style, text
from benchmarks.reports.sources import ledger_results, runs_of

WEIGHTS = "sha256:" + "a" * 64
BOX = (0, 0, 4, 4)
NAMES = {"printed": "Printed [1]", "plain": "Plain, trained here", "small": "Small", "bicubic": "Bicubic"}


def raw():
    """A baseline that prints another network's quality, and what is trained here."""
    tested = {"model": "tested", "tested": "paper-400e", "checkpoint": WEIGHTS}
    return samples.table() | {
        "columns": [
            {"id": "params", "label": "#Param", "metric": "params", "scale": 1e5, "better": "lower"},
            {"id": "x2", "label": "PSNR", "metric": "psnr_x2", "unit": "dB", "better": "higher"},
            {"id": "one", "label": "Butterfly", "metric": "psnr_x2.butterfly", "unit": "dB", "better": "higher"},
        ],
        "figure": None,
        "crops": [{"column": "one", "picture": "butterfly", "scale": 2}],
        "everything": True,
        "groups": [],
        "rows": [
            {
                "label": NAMES["printed"],
                "kind": "baseline",
                "model": "base",
                "values": {"params": "8.5", "x2": "37.53", "one": "-"},
                "cells": {"x2": tested, "one": tested},
            },
            {
                "label": NAMES["small"],
                "kind": "method",
                "model": "small",
                "baseline": NAMES["plain"],
                "values": {"params": "4.3", "x2": "37.50", "one": "-"},
            },
            {"label": NAMES["bicubic"], "kind": "other", "recorded_as": "bicubic", "ours": True},
            {
                "label": NAMES["plain"],
                "kind": "baseline",
                "model": "base",
                "ours": True,
                "stands_for": NAMES["printed"],
            },
        ],
        "notes": [],
    }


@pytest.fixture(autouse=True)
def protocols(monkeypatch):
    monkeypatch.setattr(costs, "protocols", lambda: samples.PROTOCOLS)


@pytest.fixture
def record(tmp_path):
    """Record a run in a ledger; ``colour`` is that of the pictures beside it, if any, ``box`` their place."""

    def record(model, value, protocol="paper-400e", seed=0, colour=None, box=BOX, **more):
        folder, kept = tmp_path / "work", []
        for shows in ("result", "truth", "bicubic") if colour else ():
            stream = io.BytesIO()
            Image.new("RGB", box[2:], colour if shows == "result" else shows_colour[shows]).save(stream, "PNG")
            digest = sample_files.write(stream.getvalue(), folder / f"{shows}.png")
            kept.append(
                {
                    "file": f"{shows}.png",
                    "picture": "butterfly",
                    "scale": 2,
                    "shows": shows,
                    "box": box,
                    "sha256": digest,
                }
            )
        measured = {
            "psnr_x2": value, "ssim_x2": 0.9, "psnr_x2.butterfly": value - 3, "bicubic_psnr_x2": 33.66,
            "bicubic_ssim_x2": 0.93, "bicubic_psnr_x2.butterfly": 27.43,
        }  # fmt: skip
        content = samples.result(model, seed).model_dump(mode="json") | {
            "protocol": {
                "name": protocol,
                "proxy": protocol.startswith("proxy"),
                "epochs": 2,
                "description": "short",
            },
            "metrics": [
                {"name": name, "value": number, "unit": "1" if "ssim" in name else "dB", "split": "test"}
                for name, number in measured.items()
            ],
            "samples": kept,
        }
        result = ledger.RunResult.model_validate(content | more)
        return ledger.write(result, tmp_path / "ledger", folder)

    shows_colour = {"truth": "white", "bicubic": "grey"}
    return record


@pytest.fixture
def report(tmp_path):
    def report():
        table = load_table("sample/table1", samples.write_table(tmp_path / "papers", raw()))
        found = ledger_results(tmp_path / "ledger", pytest.fail) if (tmp_path / "ledger").is_dir() else []
        return cells.build(table, samples.SampleCounter(), runs_of(found))

    return report


def cell(report, row, column):
    return next(one for one in report.cells if (one.row, one.column) == (NAMES[row], column))


def colour(tile):
    with Image.open(io.BytesIO(tile.content)) as image:
        return image.convert("RGB").getpixel((0, 0))


def test_a_row_may_count_one_network_and_test_the_released_weights_of_another(report, record):
    empty = cell(report(), "printed", "x2")
    assert (empty.status, empty.fill.partition(" (")[0]) == (
        "open",
        "slimbench test cifar10/paper-400e/tested --checkpoint FILE",
    )
    record("base", 37.0)  # the row's own model: not the cell's
    record("tested", 37.2)  # trained here: no released weights
    record("tested", 37.3, origin="test", checkpoint="sha256:" + "b" * 64, run_id="other")  # somebody else's weights
    assert cell(report(), "printed", "x2").status == "open"
    record("tested", 37.527, origin="test", checkpoint=WEIGHTS, run_id="theirs")
    found = cell(report(), "printed", "x2")
    assert (found.status, float(found.ours), found.n, found.agrees) == ("evaluated", 37.527, 1, True)
    assert text.ours(report(), found) == "37.527 (evaluated, n=1)"
    assert float(cell(report(), "printed", "params").ours) == pytest.approx(8.53018)  # of the row's model
    assert cell(report(), "plain", "x2").status == "measured"


def test_what_needs_no_network_is_read_from_any_run(report, record):
    assert cell(report(), "bicubic", "x2").status == "open"
    record("small", 36.0, "proxy-2e")
    found = cell(report(), "bicubic", "x2")
    assert (found.status, float(found.ours), found.protocol) == ("evaluated", 33.66, cells.UNTRAINED)
    assert text.ours(report(), found) == "33.660"
    assert text.shown_runs(report()) == [
        "proxy: proxy-2e, 2 epochs, n = 1; a shortened protocol, not compared with the paper"
    ]
    assert float(cell(report(), "bicubic", "params").ours) == 0
    assert "differ" not in found.note


def test_claims_take_the_printed_values_and_compare_our_own_runs(report, record):
    for seed in range(3):
        record("base", 37.40 + seed / 100, seed=seed)
        record("small", 37.39 + seed / 100, seed=seed)
    record("tested", 37.53, origin="test", checkpoint=WEIGHTS, run_id="theirs")
    (found,) = claims.claims(report())
    assert (found.row, found.versus, str(found.gain)) == (NAMES["small"], NAMES["plain"], "-0.03")
    assert found.least == pytest.approx(-0.08)
    assert found.measured.mean == pytest.approx(-0.01)
    assert (found.outcome, found.n) == ("holds", (3, 3))


def test_all_that_was_measured_stands_beside_each_other(report, record):
    assert everything.table(report()) == ([], [])
    record("base", 37.4)
    record("base", 37.6, seed=1)
    record("base", 36.1, "proxy-2e")
    record("base", 37.7, "paper-400e-longer")
    record("tested", 37.53, origin="test", checkpoint=WEIGHTS, run_id="theirs")
    record("tested", 30.0, origin="test", checkpoint="sha256:" + "b" * 64, run_id="other")
    headings, lines = everything.table(report())
    assert headings == ["PSNR (×2, dB)", "SSIM (×2)"]
    assert [(line.model, line.protocol, line.status, line.n, line.values) for line in lines] == [
        ("Bicubic", "", "evaluated", 0, ("33.66", "0.9300")),
        ("tested", "paper-400e", "evaluated", 1, ("37.53", "0.9000")),
        ("base", "paper-400e", "measured", 2, ("37.50 ± 0.14", "0.9000 ± 0.0000")),
        ("base", "paper-400e-longer", "measured", 1, ("37.70", "0.9000")),
        ("base", "proxy-2e", "proxy", 1, ("36.10", "0.9000")),
    ]


def test_a_line_of_the_runs_names_few_numbers(report, record):
    record("small", 37.0)
    assert [line.result for line in runs.lines(report())] == ["psnr_x2 37.00"]


def test_without_runs_every_place_says_what_fills_it(report, tmp_path):
    ((truth, printed, small, bicubic, plain),) = crops.tiles(report(), tmp_path / "ledger")
    assert [tile.content for tile in (truth, printed, small, bicubic, plain)] == [None] * 5
    assert (truth.column, truth.missing) == (crops.TRUTH, "comes with\nthe first run")
    assert "".join(printed.missing.split()) == "slimbenchtestcifar10/paper-400e/tested--checkpointFILE"
    assert "".join(small.missing.split()) == "slimbenchtraincifar10/paper-400e/small"
    assert bicubic.words == ("open",)
    assert max(map(len, small.missing.split("\n"))) <= 26


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stands_for": "Printed"}, r"row 'Small': cannot be compared with 'Printed'; did you mean"),
        ({"cells": {"x2": {"checkpoint": "abc"}}}, r"row 'Small', cells\.x2\.checkpoint: "),
        ({"cells": {"x2": {"model": "nowhere"}}}, r"row 'Small': no model 'nowhere'"),
    ],
)
def test_a_mistake_in_such_a_row_is_named(tmp_path, change, said):
    table = raw()
    table["rows"][1] |= change
    root = samples.write_table(tmp_path, table)
    with pytest.raises(UserError, match=said):
        cells.build(load_table("sample/table1", root), samples.SampleCounter(), [])


def test_pictures_and_numbers_are_those_of_the_same_run(report, record, tmp_path):
    record("base", 37.4, colour="red", seed=2)
    record("base", 37.2, colour="blue", seed=1)
    record("small", 36.0, "proxy-2e", colour="green")
    ((truth, printed, small, bicubic, plain),) = crops.tiles(report(), tmp_path / "ledger")
    assert (colour(truth), colour(bicubic)) == ((255, 255, 255), (128, 128, 128))
    # Not the better one: the first of the files.
    assert colour(plain) == (0, 0, 255)
    assert plain.words == ("34.20 dB", "measured, paper-400e", "seed 1; 34.30 ± 0.14, n = 2")
    assert colour(small) == (0, 128, 0)
    assert (small.words, small.status) == (("33.00 dB", "proxy, proxy-2e"), "proxy")
    assert bicubic.words == ("27.43 dB", "evaluated, no network")
    assert printed.content is None


def test_a_number_without_its_picture_is_shown_without(report, record, tmp_path):
    record("base", 37.4, colour="red")
    record("small", 36.0)  # kept none
    ((_, _, small, _, plain),) = crops.tiles(report(), tmp_path / "ledger")
    assert (small.words[0], small.content, small.missing) == ("33.00 dB", None, "no picture\nwas kept")
    assert plain.content is not None
    for file in (tmp_path / "ledger").rglob("result.png"):
        file.write_bytes(file.read_bytes() + b"altered")
    ((_, _, _, _, plain),) = crops.tiles(build_again(tmp_path), tmp_path / "ledger")
    assert plain.content is None


def build_again(tmp_path):
    """The report where the ledger is not as listed, which is a warning and no error."""
    table = load_table("sample/table1", tmp_path / "papers")
    said = []
    found = ledger_results(tmp_path / "ledger", said.append)
    assert said
    return cells.build(table, samples.SampleCounter(), runs_of(found))


def test_all_pictures_of_a_row_show_the_same_part(report, record, tmp_path):
    record("base", 37.4, colour="red", box=(0, 0, 6, 6))
    record("base", 37.4, colour="red", box=(0, 0, 6, 6), seed=1)
    record("small", 37.0, colour="blue", box=BOX)
    ((truth, _, small, _, plain),) = crops.tiles(report(), tmp_path / "ledger")
    assert Image.open(io.BytesIO(truth.content)).size == Image.open(io.BytesIO(plain.content)).size == (6, 6)
    assert small.content is None


def test_the_figure_shows_the_pixels_and_equal_figures_are_equal_files(report, record, tmp_path):
    record("small", 37.0, colour="red")
    written = [style.save(crops.draw(report(), "Sample", tmp_path / "ledger"), tmp_path / name) for name in "ab"]
    assert [path.suffix for path in written[0]] == [".png", ".pdf"]
    for first, second in zip(*written, strict=True):
        assert first.read_bytes() == second.read_bytes()
    with Image.open(written[0][0]) as image:
        red = (np.asarray(image.convert("RGB")) == (255, 0, 0)).all(-1)
    assert red.sum() == pytest.approx(288 * 288, rel=0.02)

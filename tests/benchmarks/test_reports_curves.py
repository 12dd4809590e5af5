"""Learning curves: the frame, what is drawn of it, and the files that `reproduce` writes."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
import report_samples as samples
from matplotlib.colors import to_hex

from benchmarks import ledger
from benchmarks.reports import curves
from benchmarks.reports.write import write_curves

DIVERGED = {"status": "diverged", "metrics": [], "curves": {"epoch": [1], "train_loss": [9.0], "top1_accuracy": [11.0]}}


def learned(seed=0, **changes):
    columns = {
        "epoch": [1, 2],
        "train_loss": [2.0, 1.0],
        "top1_accuracy": [None, 80.0],
        "share_of_ones": [0.5, 0.51],
        "masks_changed": [0.001, 0.0],
    }
    return samples.result("learned", seed, curves=columns | changes)


RESULTS = [samples.result("base", 0), samples.result("base", 1), samples.result("base", 2, **DIVERGED), learned()]


def axes_of(figure, label):
    return next(axes for axes in figure.axes if axes.get_visible() and axes.get_ylabel().startswith(label))


def line(axes, colour):
    return next(one for one in axes.lines if to_hex(one.get_color(), keep_alpha=False) == colour.lower())


def test_the_frame_has_a_row_an_epoch_and_gaps_where_nothing_was_measured():
    data = curves.frame(RESULTS)
    assert tuple(data.columns[:7]) == curves.IDENTITY
    assert list(data["epoch"]) == [1, 2, 1, 2, 1, 1, 2]
    assert math.isnan(data["top1_accuracy"].iloc[5])
    assert data["share_of_ones"].isna().sum() == 5
    assert data["path"].iloc[-1] == "cifar10/proxy-2e/learned/seed0-20260101T000000Z-abc123.json"


def test_a_line_is_the_mean_over_seeds_and_a_band_their_reach():
    low, high = (
        samples.result("base", seed, curves={"epoch": [1, 2], "train_loss": [1.0 + seed, 0.5]}) for seed in (0, 1)
    )
    figure = curves.learning_curves([low, high])
    axes = axes_of(figure, "Training loss")
    assert list(line(axes, curves.COLOURS[0]).get_ydata()) == [1.5, 0.5]
    (band,) = axes.collections
    assert set(np.round(band.get_paths()[0].vertices[:, 1], 6)) == {0.5, 1.0, 2.0}


def test_masks_have_panels_of_their_own_in_percent_and_only_where_they_are():
    labels = [axes.get_ylabel() for axes in curves.learning_curves(RESULTS).axes if axes.get_visible()]
    assert [label.partition(" (")[0] for label in labels] == [
        "Top-1 accuracy", "Training loss", "Mask entries that are one", "Changed mask entries",
    ]  # fmt: skip
    figure = curves.learning_curves([learned()])
    assert list(axes_of(figure, "Mask entries").lines[0].get_ydata()) == [50.0, 51.0]
    assert list(axes_of(figure, "Changed").lines[0].get_ydata()) == [pytest.approx(0.1)]  # nothing changed: no point
    assert len(curves.learning_curves([samples.result()]).axes) == 2


def test_a_diverged_run_ends_in_a_cross_and_the_legend_counts_it():
    figure = curves.learning_curves(RESULTS)
    crosses = [one for one in axes_of(figure, "Training loss").lines if one.get_marker() == "x"]
    assert [(one.get_xdata()[0], one.get_ydata()[0]) for one in crosses] == [(1, 9.0)]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["base (n=3, 1 of 3 diverged)", "learned"]


def test_one_run_is_titled_by_what_it_is():
    figure = curves.learning_curves([learned(seed=0)])
    assert figure.get_suptitle() == "cifar10/proxy-2e/learned, seed 0"
    assert curves.learning_curves(RESULTS).get_suptitle() == "cifar10/proxy-2e, seeds 0, 1, 2"


def test_models_are_ordered_by_their_numbers_and_no_two_look_alike():
    models = [f"net_s{size}" for size in range(20)]
    figure = curves.learning_curves([samples.result(model) for model in reversed(models)])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == models
    looks = {(one.get_color(), one.get_linestyle()) for one in legend.get_lines()}
    assert len(looks) == 20


def test_the_top_of_an_accuracy_axis_is_stretched_where_networks_differ_by_tenths():
    axes = axes_of(curves.learning_curves([samples.result()]), "Top-1")
    heights = axes.transData.transform([(1, value) for value in (70.0, 78.0, 80.0, 88.0)])[:, 1]
    assert heights[3] - heights[2] > 1.3 * (heights[1] - heights[0]) > 0
    low, high = axes.get_ylim()
    assert [tick for tick in axes.get_yticks() if not low <= tick <= high] == []
    poor = samples.result(curves={"epoch": [1, 2], "top1_accuracy": [1.0, 40.0]})
    assert axes_of(curves.learning_curves([poor]), "Top-1").get_yscale() == "linear"


def test_without_a_curve_there_is_nothing_to_draw():
    with pytest.raises(ValueError, match="no run has a curve"):
        curves.learning_curves([samples.result(curves={})])


def test_files_are_written_for_each_protocol_and_are_the_same_again(tmp_path):
    more = {"name": "paper-400e-lambda0.01", "proxy": False, "epochs": 2, "description": "penalty 0.01"}
    for result in (*RESULTS, samples.result("base", protocol=more), samples.result("bare", curves={})):
        ledger.write(result, tmp_path / "results")
    found = ledger.runs(tmp_path / "results")
    written = write_curves(found, tmp_path / "a")
    stems = ("cifar10-paper-400e-lambda0.01", "cifar10-proxy-2e")
    assert sorted(file.name for file in written) == sorted(
        f"{stem}.{kind}" for stem in stems for kind in ("csv", "md", "pdf", "png")
    )
    for file in write_curves(reversed(found), tmp_path / "b", only=[("cifar10", "proxy-2e")]):
        assert file.read_bytes() == (tmp_path / "a" / "curves" / file.name).read_bytes()
    assert not write_curves(found, tmp_path / "c", only=[("cifar100", "proxy-2e")])
    page = (tmp_path / "a" / "curves" / "cifar10-proxy-2e.md").read_text()
    assert "](../../results/cifar10/proxy-2e/base/seed2-20260101T000000Z-abc123.json) | 2 | diverged |" in page
    assert "A shortened protocol" in page
    assert "A shortened protocol" not in (tmp_path / "a" / "curves" / f"{stems[0]}.md").read_text()
    rows = list(csv.DictReader((tmp_path / "a" / "curves" / "cifar10-proxy-2e.csv").open()))
    assert (rows[0]["epoch"], rows[0]["train_loss"], rows[0]["share_of_ones"]) == ("1", "1.5", "")

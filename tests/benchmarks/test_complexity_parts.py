"""Whole detectors and segmentors, part by part, and the number of regions in the second stage."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fractions import Fraction
from math import ceil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import backbones
from backbones.nets.counting_standins import WholeNetwork
from benchmarks.cli import main
from benchmarks.complexity import CONVENTIONS, LayerCost, count
from benchmarks.complexity.parts import OTHER, split
from benchmarks.errors import UserError

WHOLE = [*backbones.list_models("deeplabv3plus_*"), *backbones.list_models("faster_rcnn_*")]
NUMBERS = ("params", "macs", "mul", "add", "weight_bytes")
REGION = 2 * 49 * 512 * 512 + 16 * 512 * (3 * 9 * 512 + 5 * 2048 + 2 * 2048)  # stage 4 of ResNet-50 on 7x7, by hand


@pytest.mark.parametrize("name", WHOLE)
def test_parts_sum_to_the_totals_exactly(name: str) -> None:
    for convention in CONVENTIONS:
        cost = count(name, convention=convention)
        assert OTHER not in [part.name for part in cost.parts]
        for number in NUMBERS:
            assert sum(getattr(part, number) for part in cost.parts) == getattr(cost, number), (convention, number)


@pytest.mark.parametrize("name", [name for name in WHOLE if "versatile" not in name and "101" not in name])
def test_parts_hold_the_parameters_of_their_modules(name: str) -> None:
    with torch.device("meta"):
        network = backbones.create_model(name)
    assert isinstance(network, WholeNetwork)
    expected = {
        part: sum(p.numel() for module in modules for p in network.get_submodule(module).parameters())
        for part, modules in network.counted_parts.items()
    }
    assert {part.name: part.params for part in count(name).parts} == expected


def test_the_second_stage_costs_what_its_regions_cost() -> None:
    for proposals, asked in ((300, None), (1000, 1000), (1, 1)):
        cost = count("faster_rcnn_c4_resnet50_coco", proposals=asked)
        parts = {part.name: part.macs for part in cost.parts}
        assert cost.proposals == proposals
        assert f"the second stage runs on {proposals:,} regions of 7x7" in cost.remarks
        assert parts["roi_head.shared_head"] == proposals * REGION
        assert parts["roi_head.bbox_head"] == proposals * 2048 * 5 * 81
    pyramid = {part.name: part.macs for part in count("faster_rcnn_fpn_resnet50_coco").parts}
    assert pyramid["roi_head.bbox_head"] == 1000 * (12544 * 1024 + 1024 * 1024 + 1024 * (81 + 320))


def test_the_first_stage_runs_on_every_position_of_every_level() -> None:
    parts = {part.name: part.macs for part in count("faster_rcnn_fpn_resnet50_coco").parts}
    levels = [(150, 250), (75, 125), (38, 63), (19, 32), (10, 16)]
    assert parts["rpn_head"] == sum(h * w for h, w in levels) * 256 * (9 * 256 + 5 * 3)
    wide = {part.name: part.macs for part in count("faster_rcnn_c4_resnet50_coco").parts}
    assert wide["rpn_head"] == 38 * 63 * (9 * 1024 * 512 + 512 * 6 * 12)


def test_remarks_and_proposals_of_a_segmentor_and_of_a_classifier() -> None:
    segmentor, classifier = count("deeplabv3plus_mobilenet_v2"), count("resnet56_cifar")
    assert [part.name for part in segmentor.parts] == ["backbone", "decode_head.pyramid", "decode_head.decoder"]
    assert (segmentor.proposals, segmentor.remarks) == (None, ())
    assert (classifier.proposals, classifier.parts) == (None, ())
    for name in ("deeplabv3plus_mobilenet_v2", "resnet56_cifar"):
        with pytest.raises(UserError, match=f"{name}' has no second stage that proposals=9 could be for"):
            count(name, proposals=9)
    with pytest.raises(UserError, match="proposals=0 is not a whole number above zero"):
        count("faster_rcnn_c4_resnet50_coco", proposals=0)


class Two(WholeNetwork):
    counted_parts: Mapping[str, tuple[str, ...]] = {
        "backbone": ("layer1",),
        "head.first": ("head.0",),
        "head.rest": ("head",),
    }

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Conv2d(3, 4, 1, bias=False)
        self.layer10 = nn.Conv2d(4, 5, 1, bias=False)
        self.head = nn.Sequential(nn.Conv2d(5, 6, 1, bias=False), nn.Conv2d(6, 7, 1, bias=False), nn.ReLU())
        self.free = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.free(self.head(self.layer10(self.layer1(x))))


def test_the_users_network_may_name_its_parts() -> None:
    cost = count(Two(), (3, 5, 5))
    assert {part.name: part.params for part in cost.parts} == {
        "backbone": 12, "head.first": 30, "head.rest": 42, OTHER: 20,
    }  # fmt: skip
    assert sum(part.macs for part in cost.parts) == cost.macs == 25 * 104


def layer(name: str, value: Fraction) -> LayerCost:
    return LayerCost(name, "Any", None, None, 1, 7, value, 2 * value, int(32 * value))


def test_fractions_are_rounded_so_that_the_parts_still_sum() -> None:
    values = [Fraction(n, 32) for n in (17, 33, 1, 31, 40, 5)]
    parts = split(
        [layer(f"part{i}", value) for i, value in enumerate(values)], {f"p{i}": (f"part{i}",) for i in range(6)}
    )
    for number, factor in (("params", 1), ("mul", 1), ("add", 2), ("weight_bytes", 4)):
        whole = [getattr(part, number) for part in parts]
        assert sum(whole) == ceil(factor * sum(values))
        assert all(abs(w - factor * value) < 1 for w, value in zip(whole, values, strict=True))
    assert [part.macs for part in parts] == [7] * 6


# --- What the documentation says ---------------------------------------------------------------------

DOCUMENT = (Path(__file__).parents[2] / "docs" / "counting.md").read_text(encoding="utf-8")
NUMBER = r"([\d.]+)"
PRINTED = rf"{NUMBER} \| {NUMBER} \(([-+.\d]+) %\)"
ROWS = re.findall(rf"^\| `(\w+)` \| {PRINTED} \| {PRINTED} \| ([\d, ]+) \|$", DOCUMENT, re.MULTILINE)


def test_the_documentation_states_tables_7_to_9_as_they_are_counted() -> None:
    assert len(ROWS) == 10
    for name, macs, printed_macs, macs_off, params, printed_params, params_off, shares in ROWS:
        cost = count(name, convention="ptflops-2018")
        scales = (1e9, 1e6) if name.startswith("deeplab") else (2**30, 2**20)
        for value, scale, said, printed, off in (
            (cost.macs, scales[0], macs, printed_macs, macs_off),
            (cost.params, scales[1], params, printed_params, params_off),
        ):
            assert f"{value / scale:.3f}" == said
            assert (
                f"{100 * (value / scale / float(printed) - 1):+.2f}".replace("-0.00", "+0.00") == f"{float(off):+.2f}"
            )
            assert abs(float(off)) < 0.2
        heads: dict[str, int] = {}
        for part in cost.parts:
            heads[part.name.split(".")[0]] = heads.get(part.name.split(".")[0], 0) + part.macs
        assert shares == ", ".join(f"{100 * macs / cost.macs:.0f}" for macs in heads.values())


def test_the_documentation_states_the_detectors_of_table_10_as_they_are_counted() -> None:
    for label, net in (
        ("ResNet-50", "resnet50"),
        ("S-Versatile", "s_versatile_resnet50"),
        ("separate L-Versatile (s = 4)", "separate_l_versatile_resnet50_s4"),
    ):
        names = (f"backbone_{net}", f"faster_rcnn_c4_{net}_coco", f"faster_rcnn_fpn_{net}_coco")
        said = [f"{count(name).mul / 1e9:.2f}, {count(name).params / 1e6:.2f}" for name in names]
        assert f"| {label} | {' | '.join(said)} |" in DOCUMENT
    detector = "faster_rcnn_c4_resnet101_voc"
    few, usual, many = (count(detector, proposals=number).macs / 1e9 for number in (100, 300, 1000))
    assert f"takes {few:.1f}, {usual:.1f} and {many:.1f} x 10⁹ MACs" in DOCUMENT


# --- The command -----------------------------------------------------------------------------------


def test_json_of_a_detector(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["complexity", "faster_rcnn_c4_resnet50_coco", "--proposals", "1000", "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert list(cost)[-3:] == ["parts", "proposals", "remarks"]
    assert cost["proposals"] == 1000
    assert [part["name"] for part in cost["parts"]] == [
        "backbone", "rpn_head", "roi_head.shared_head", "roi_head.bbox_head",
    ]  # fmt: skip
    for number in NUMBERS:
        assert sum(part[number] for part in cost["parts"]) == cost[number]


def test_table_of_a_detector(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["complexity", "faster_rcnn_c4_resnet50_coco"]) == 0
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if "roi_head.shared_head" in line)
    assert line.split()[1:5] == ["14,964,736", f"{300 * REGION:,}", "60.0", "%"]
    assert "the second stage runs on 300 regions of 7x7" in out
    assert "not counted: choosing the proposals, pooling the regions, non-maximum suppression" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet56_cifar", "--proposals", "9"], "'resnet56_cifar' has no second stage"),
        (["faster_rcnn_c4_resnet50_coco", "--proposals", "0"], "proposals"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["complexity", *arguments]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert message in captured.err

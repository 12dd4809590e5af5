"""Counting from OpenMMLab configs: against detectors that really run, and against the catalogue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cli import main
from benchmarks.complexity import Complexity, configs, count, count_config, parse_input
from benchmarks.errors import UserError

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

import backbones.adapters.openmmlab  # noqa: F401  # before mmdet, which needs mmcv's operators or their stand-in

# isort: split
from mmdet.models.dense_heads import RPNHead
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope

from benchmarks.complexity.openmmlab import whole_network

CONFIGS = Path(__file__).parents[2] / "mmconfigs"
BACKGROUND = 4 * 2049  # MMDetection's C4 detectors have no boxes for it; the counted ones do
Dict = dict[str, Any]


def own(*patterns: str) -> list[str]:
    found = [path for pattern in patterns for path in CONFIGS.glob(pattern) if path.parts[-3] != "_base_"]
    return sorted(str(path.relative_to(CONFIGS)) for path in found)


EVERY = own("det/*/*/*.py", "seg/*/*/*.py")
SOME = own(
    "det/voc07/*/*_c4_resnet101_voc.py", "det/coco/*/*_c4_s_versatile*.py", "det/coco/*/*_fpn_separate*.py",
    "seg/voc12aug/*/*_mobilenet_v2.py", "seg/voc12aug/*/*_sc_resnet50.py",
)  # fmt: skip


def by_part(cost: Complexity) -> dict[str, tuple[int, int, int]]:
    """Parameters, MACs and #MUL of backbone, neck and each head."""
    found: dict[str, tuple[int, int, int]] = {}
    for part in cost.parts:
        before = found.get(part.name.split(".")[0], (0, 0, 0))
        found[part.name.split(".")[0]] = (before[0] + part.params, before[1] + part.macs, before[2] + part.mul)
    return found


def check_against_the_catalogue(name: str) -> None:
    for convention in ("conv-linear", "ptflops-2018"):
        ours = count_config(CONFIGS / name, convention=convention)
        theirs = count(Path(name).stem, parse_input(ours.input), convention, proposals=ours.proposals)
        found, expected = by_part(ours), by_part(theirs)
        if "_c4_" in name:
            params, macs, mul = found["roi_head"]
            extra = 4 * 2048 * ours.proposals  # multiplications for the background's boxes
            pooled = 16 * 2048 * ours.proposals if convention == "ptflops-2018" else 0  # by a module, not by .mean()
            found["roi_head"] = (params + BACKGROUND, macs + extra - pooled, mul + extra)
        assert found == expected


@pytest.mark.parametrize("name", SOME)
def test_what_is_trained_is_what_is_counted(name: str) -> None:
    check_against_the_catalogue(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_every_config_of_ours_is_counted_like_the_named_model(name: str) -> None:
    check_against_the_catalogue(name)


# --- Detectors that really run ----------------------------------------------------------------------

STEM = {"depth": 18, "base_channels": 8, "stem_channels": 8, "norm_eval": False}
ANCHORS = {"type": "AnchorGenerator", "ratios": [0.5, 1.0, 2.0], "scales": [4]}
CODER = {"type": "DeltaXYWHBBoxCoder"}
CROSS, SIGMOID, L1 = (
    {"type": "CrossEntropyLoss"}, {"type": "CrossEntropyLoss", "use_sigmoid": True}, {"type": "L1Loss"},
)  # fmt: skip


def extractor(size: int, channels: int = 16, strides: tuple[int, ...] = (4, 8, 16, 32)) -> Dict:
    align = {"type": "RoIAlign", "output_size": size, "sampling_ratio": 0}
    return {"type": "SingleRoIExtractor", "roi_layer": align, "out_channels": channels, "featmap_strides": [*strides]}


def rpn(channels: int, strides: tuple[int, ...], **kwargs: Any) -> Dict:
    anchors = {**ANCHORS, "strides": [*strides]}
    return {
        "type": "RPNHead", "in_channels": channels, "feat_channels": 8, "anchor_generator": anchors,
        "bbox_coder": CODER, "loss_cls": SIGMOID, "loss_bbox": L1, **kwargs,
    }  # fmt: skip


def bbox_head(**kwargs: Any) -> Dict:
    return {
        "type": "Shared2FCBBoxHead", "in_channels": 16, "fc_out_channels": 12, "roi_feat_size": 7, "num_classes": 3,
        "bbox_coder": CODER, "loss_cls": CROSS, "loss_bbox": L1, **kwargs,
    }  # fmt: skip


def two_stage(**roi_head: Any) -> Dict:
    """A small Faster R-CNN with a feature pyramid; more heads as they are given."""
    nms = {"type": "nms", "iou_threshold": 0.99}
    return {
        "type": "FasterRCNN",
        "train_cfg": None,
        "data_preprocessor": {"type": "DetDataPreprocessor"},
        "backbone": {"type": "ResNet", "out_indices": (0, 1, 2, 3), **STEM},
        "neck": {"type": "FPN", "in_channels": [8, 16, 32, 64], "out_channels": 16, "num_outs": 5},
        "rpn_head": rpn(16, (4, 8, 16, 32, 64)),
        "roi_head": {
            "type": "StandardRoIHead", "bbox_roi_extractor": extractor(7), "bbox_head": bbox_head(), **roi_head,
        },
        "test_cfg": {
            "rpn": {"nms_pre": 50, "max_per_img": 40, "nms": nms, "min_bbox_size": 0},
            "rcnn": {"score_thr": 0.0, "nms": nms, "max_per_img": 9, "mask_thr_binary": 0.5},
        },
    }  # fmt: skip


def c4() -> Dict:
    model = two_stage(
        shared_head={"type": "ResLayer", "depth": 50, "norm_eval": False},
        bbox_roi_extractor=extractor(7, 1024, (16,)),
        bbox_head=bbox_head(type="BBoxHead", with_avg_pool=True, roi_feat_size=4, in_channels=2048)
    )  # fmt: skip
    model["roi_head"]["bbox_head"].pop("fc_out_channels")
    stages = {"num_stages": 3, "strides": (1, 2, 2), "dilations": (1, 1, 1), "out_indices": (2,)}
    model |= {"neck": None, "backbone": {"type": "ResNet", "depth": 50, "norm_eval": False, **stages}}
    return {**model, "rpn_head": rpn(1024, (16,), num_convs=2)}


def mask_head() -> Dict:
    return {
        "type": "FCNMaskHead", "num_convs": 2, "in_channels": 16, "conv_out_channels": 8, "num_classes": 3,
        "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True},
    }  # fmt: skip


def masks() -> Dict:
    return {**two_stage(mask_roi_extractor=extractor(14), mask_head=mask_head()), "type": "MaskRCNN"}


def double_head() -> Dict:
    head = bbox_head(type="DoubleConvFCBBoxHead", num_convs=2, num_fcs=1, conv_out_channels=16)
    return two_stage(type="DoubleHeadRoIHead", reg_roi_scale_factor=1.3, bbox_head=head)


def cascade() -> Dict:
    heads = [bbox_head(reg_class_agnostic=agnostic) for agnostic in (True, True)]
    model = two_stage(type="CascadeRoIHead", num_stages=2, stage_loss_weights=[1, 1], bbox_head=heads)
    return {**model, "type": "CascadeRCNN"}


def one_stage() -> Dict:
    head = {
        "type": "RetinaHead", "num_classes": 3, "in_channels": 16, "stacked_convs": 2, "feat_channels": 8,
        "anchor_generator": {**ANCHORS, "strides": [4, 8, 16, 32, 64]}, "bbox_coder": CODER,
        "loss_cls": {"type": "FocalLoss"},
    }  # fmt: skip
    test = {"nms_pre": 20, "min_bbox_size": 0, "score_thr": 0.0, "nms": {"type": "nms", "iou_threshold": 0.5}}
    model = {key: value for key, value in two_stage().items() if key not in ("rpn_head", "roi_head")}
    return {**model, "type": "RetinaNet", "bbox_head": head, "test_cfg": {**test, "max_per_img": 9}}


def config_file(folder: Path, model: Dict, scope: str = "mmdet", more: str = "") -> str:
    path = folder / "mine.py"
    path.write_text(f"default_scope = {scope!r}\nmodel = {model!r}\n{more}")
    return str(path)


@pytest.mark.parametrize("make", [two_stage, c4, masks, double_head, cascade, one_stage])
def test_macs_are_those_of_a_detector_that_predicts(make: Any, tmp_path: Path) -> None:
    size = (64, 96)
    cost = count_config(config_file(tmp_path, make()), (3, *size))
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(ConfigDict(make())).eval()
    meta = {"img_shape": size, "ori_shape": size, "batch_input_shape": size, "pad_shape": size, "scale_factor": (1, 1)}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        (found,) = model.predict(torch.randn(1, 3, *size), [DetDataSample(metainfo=meta)])
    assert len(found.pred_instances) == 9
    assert 2 * cost.macs == counter.get_total_flops()
    assert cost.params == sum(parameter.numel() for parameter in model.parameters())
    assert cost.proposals == (None if make is one_stage else 40)
    expected = {part.name: part.params for part in cost.parts}
    for name, params in expected.items():
        assert params == sum(p.numel() for p in model.get_submodule(name).parameters()), name


def test_masks_have_regions_of_their_own(tmp_path: Path) -> None:
    cost = count_config(config_file(tmp_path, masks()), (3, 64, 96), proposals=1000)
    assert cost.remarks[:2] == (
        "the second stage runs on 1,000 regions of 7x7",
        "masks are predicted for 9 regions of 14x14",
    )
    assert [part.name for part in cost.parts][-2:] == ["roi_head.bbox_head", "roi_head.mask_head"]


def segmentor(**kwargs: Any) -> Dict:
    head = {
        "type": "FCNHead",
        "concat_input": False,
        "in_channels": 64,
        "channels": 8,
        "num_classes": 3,
        "norm_cfg": {"type": "SyncBN"},
    }
    backbone = {"type": "ResNet", "norm_cfg": {"type": "SyncBN"}, **STEM}
    auxiliary = {**head, "in_channels": 32, "in_index": 2}
    decode = {**head, "in_index": 3, "num_convs": 1}
    model = {"type": "EncoderDecoder", "backbone": backbone, "decode_head": decode, "auxiliary_head": auxiliary}
    return {**model, "test_cfg": {"mode": "slide", "crop_size": (64, 64), "stride": (32, 32)}, **kwargs}


def test_a_segmentor_and_what_is_only_stored(tmp_path: Path) -> None:
    cost = count_config(config_file(tmp_path, segmentor(), "mmseg"), (3, 64, 64), "ptflops-2018")
    parts = {part.name: (part.params, part.mul) for part in cost.parts}
    assert parts["decode_head"] == (64 * 8 * 9 + 2 * 8 + 8 * 3 + 3, (64 * 8 * 9 + 8 * 3) * 2 * 2)
    assert parts["auxiliary_head"][0] > 0 == parts["auxiliary_head"][1]
    assert [remark.split()[0] for remark in cost.remarks] == ["auxiliary_head", "tests"]
    assert cost.macs > cost.mul  # batch norms, however they are synchronised


def test_a_classifier_is_backbone_neck_and_head() -> None:
    """MMPretrain need not be installed: a class of that name, which holds what its classifiers hold."""
    layers = {
        "backbone": torch.nn.Conv2d(3, 4, 1),
        "neck": torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()),
        "head": torch.nn.Linear(4, 5),
    }
    known = {"extract_feat": None, "predict": None, "__module__": "mmpretrain.models.classifiers.image"}
    model = type("ImageClassifier", (torch.nn.Module,), known)()
    for name, layer in layers.items():
        model.add_module(name, layer)
    parts = {part.name: (part.params, part.macs) for part in count(whole_network(model), (3, 6, 7)).parts}
    assert parts == {"backbone": (16, 42 * 12), "neck": (0, 0), "head": (25, 20)}


def test_a_config_of_mmpretrain(tmp_path: Path) -> None:
    pytest.importorskip("mmpretrain")
    model = {
        "type": "ImageClassifier", "backbone": {"type": "ResNet", "depth": 18},
        "neck": {"type": "GlobalAveragePooling"},
        "head": {"type": "LinearClsHead", "num_classes": 5, "in_channels": 512},
    }  # fmt: skip
    cost = count_config(config_file(tmp_path, model, "mmpretrain"), (3, 64, 64))
    expected = count(torchvision.models.resnet18(num_classes=5), (3, 64, 64))
    assert (cost.params, cost.macs) == (expected.params, expected.macs)


# --- What cannot be counted -------------------------------------------------------------------------


class OwnStage(StandardRoIHead):
    """Does something else with its regions."""

    def _bbox_forward(self, x: Any, rois: Any) -> Any:
        return super()._bbox_forward(x, rois)


class OwnLoss(StandardRoIHead):
    """Differs in training only."""

    def bbox_loss(self, *args: Any) -> Any:
        raise NotImplementedError


@MODELS.register_module(name="SilentRPNHead", force=True)
class SilentRPNHead(RPNHead):
    """Predicts nothing when it is called, as MMDetection's CascadeRPNHead does."""

    def forward(self, x: Any) -> None:
        return None


def build(make: Any) -> Any:
    with DefaultScope.overwrite_default_scope("mmdet"), torch.device("meta"):
        return MODELS.build(ConfigDict(make()))


def test_classes_that_do_something_else_are_refused_by_name() -> None:
    detector = build(two_stage)
    detector.roi_head.__class__ = OwnStage
    with pytest.raises(UserError, match=r"OwnStage defines its own _bbox_forward.*those of StandardRoIHead"):
        whole_network(detector)
    detector.roi_head.__class__ = OwnLoss
    whole_network(detector)
    detector.__class__ = type("Own", (type(detector),), {"extract_feat": lambda self, x: x})
    with pytest.raises(UserError, match=r"Own defines its own extract_feat.*the TwoStageDetector that it is"):
        whole_network(detector)
    with pytest.raises(UserError, match=r"Linear cannot be counted from a config: what can are MMDetection's"):
        whole_network(torch.nn.Linear(1, 1))


DCN = {"dcn": {"type": "DCN", "deform_groups": 1}, "stage_with_dcn": (False, False, False, True), "depth": 50}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "NoDetector"}, r"mine\.py: its network cannot be built: KeyError: .*NoDetector is not in the"),
        (
            {"rpn_head": rpn(16, (4, 8, 16, 32, 64), type="SilentRPNHead")},
            r"mine\.py: rpn_head was not run as its kind",
        ),
        ({"test_cfg": {"rpn": {}, "rcnn": {}}}, r"mine\.py has no model\.test_cfg\.rpn\.max_per_img; say --proposals"),
        ({"neck": {"type": "FPN", "in_channels": [9] * 4, "out_channels": 16, "num_outs": 5}}, r"cannot be run on an"),
        (
            {"backbone": {"type": "ResNet", "out_indices": (0, 1, 2, 3), **STEM, **DCN}},
            r"cannot be run on an input of 3x64x64: ",
        ),
    ],
)
def test_networks_that_cannot_be_counted(change: Dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        count_config(config_file(tmp_path, {**two_stage(), **change}), (3, 64, 64))
    assert "\n" not in str(caught.value)


def test_the_size_of_the_image_is_the_configs_or_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no dataset\.input_size; say for what image .* --input 3x800x1333"):
        count_config(config_file(tmp_path, one_stage()))
    said = config_file(tmp_path, one_stage(), more="dataset = dict(input_size=(3, 64, 96))")
    assert count_config(said) == count_config(said, (3, 64, 96))
    assert count_config(said, (3, 64, 64)).macs < count_config(said).macs
    with pytest.raises(UserError, match=r"mine\.py' has no second stage that proposals=7 could be for"):
        count_config(said, proposals=7)


def test_the_command_counts_a_config(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = config_file(tmp_path, two_stage())
    assert main(["complexity", file, "--input", "3x64x96", "--proposals", "7", "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert (cost["model"], cost["input"], cost["proposals"]) == (file, "3x64x96", 7)
    assert [part["name"] for part in cost["parts"]] == ["backbone", "neck", "rpn_head", "roi_head.bbox_head"]
    assert main(["complexity", file, "--input", "3x64x96"]) == 0
    assert "the second stage runs on 40 regions of 7x7" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.py"], "no config nowhere.py"),
        ([str(CONFIGS / "cls/cifar10/smoke.py")], "networks of the catalogue are counted by their names"),
        ([str(CONFIGS / "det/_base_/schedules/paper_7e.py")], "has no model with a type"),
        ([__file__], "cannot be read as a config: "),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["complexity", *arguments]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert message in captured.err


def test_without_the_host_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = config_file(tmp_path, two_stage())
    there = configs.find_spec
    monkeypatch.setattr(configs, "find_spec", lambda name: None if name == "mmdet" else there(name))
    with pytest.raises(UserError, match=r"mmdet, whose config it is, is not installed: pip install 'slimbench\[mm\]'"):
        count_config(file, (3, 64, 64))
    monkeypatch.setattr(configs, "find_spec", lambda name: None if name.startswith("mm") else there(name))
    with pytest.raises(
        UserError, match=r"none of mmdet, mmseg, mmpretrain is installed: pip install 'slimbench\[mm\]'"
    ):
        count_config(file, (3, 64, 64))

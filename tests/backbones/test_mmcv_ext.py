from __future__ import annotations

import importlib
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import nms as torchvision_nms

from backbones.adapters import mmcv_ext

PROGRAM = Path(__file__).with_name("mmcv_operators_program.py")
ROOT = Path(__file__).parents[2]


def slow_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float, offset: int) -> list[int]:
    """Greedy suppression by its definition, in double precision."""

    def overlap(a: np.ndarray, b: np.ndarray) -> float:
        sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) + offset
        common = np.prod(np.maximum(sides, 0))
        return common / (np.prod(a[2:] - a[:2] + offset) + np.prod(b[2:] - b[:2] + offset) - common)

    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if all(overlap(boxes[index], boxes[other]) <= threshold for other in kept):
            kept.append(int(index))
    return kept


def bilinear(image: np.ndarray, y: float, x: float) -> np.ndarray | float:
    """The value of `image` (C, H, W) at a point; zero from one pixel outside on, the border's value before that."""
    height, width = image.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = (1 - (x - left)) * image[:, top, left] + (x - left) * image[:, top, right]
    lower = (1 - (x - left)) * image[:, bottom, left] + (x - left) * image[:, bottom, right]
    return (1 - (y - top)) * upper + (y - top) * lower


def slow_roi_align(
    images: np.ndarray, rois: np.ndarray, size: tuple[int, int], scale: float, ratio: int, aligned: bool
) -> np.ndarray:
    """RoIAlign by its definition (He et al. 2017, section 3), every sample of its own, in double precision."""
    pooled = np.zeros((len(rois), images.shape[1], *size))
    for k, (image, *box) in enumerate(rois):
        x1, y1, x2, y2 = np.array(box) * scale - (0.5 if aligned else 0)
        sides = np.array([y2 - y1, x2 - x1]) if aligned else np.maximum([y2 - y1, x2 - x1], 1)
        steps = sides / size
        rows, columns = (ratio, ratio) if ratio else (math.ceil(steps[0]), math.ceil(steps[1]))
        for i, j in np.ndindex(*size):
            points = [
                (y1 + (i + (row + 0.5) / rows) * steps[0], x1 + (j + (column + 0.5) / columns) * steps[1])
                for row in range(rows)
                for column in range(columns)
            ]
            pooled[k, :, i, j] = sum(bilinear(images[int(image)], *point) for point in points) / len(points)
    return pooled


class RoIAlign(torch.autograd.Function):
    """What mmcv wraps around the two operators, with its zeros and its keywords."""

    @staticmethod
    def forward(ctx, images, rois, size, scale, ratio, aligned):
        ctx.settings = {"aligned_height": size[0], "aligned_width": size[1], "spatial_scale": scale}
        ctx.settings.update(sampling_ratio=ratio, pool_mode=1, aligned=aligned)
        ctx.shape = images.shape
        ctx.save_for_backward(rois)
        output, unused = images.new_zeros(len(rois), images.shape[1], *size), images.new_zeros(0)
        mmcv_ext.StandIn().roi_align_forward(images, rois, output, unused, unused, **ctx.settings)
        return output

    @staticmethod
    def backward(ctx, gradient):
        images, unused = gradient.new_zeros(ctx.shape), gradient.new_zeros(0)
        (rois,) = ctx.saved_tensors
        mmcv_ext.StandIn().roi_align_backward(gradient.contiguous(), rois, unused, unused, images, **ctx.settings)
        return images, None, None, None, None, None


def regions(number: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Regions of two images of 9 x 11 at a scale of 1/4, some of which reach outside."""
    rois = torch.rand(number, 5, dtype=dtype) * 40 - 6
    rois[:, 0] = torch.arange(number) % 2
    rois[:, 3:] = rois[:, 1:3] + torch.rand(number, 2, dtype=dtype) * 25
    return rois


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("scale", [1 / 4, 0.3])
def test_roi_align_is_its_definition(aligned, ratio, scale):
    torch.manual_seed(0)
    images, rois = torch.randn(2, 3, 9, 11, dtype=torch.float64), regions(12)
    pooled = RoIAlign.apply(images, rois, (3, 2), scale, ratio, aligned)
    expected = slow_roi_align(images.numpy(), rois.numpy(), (3, 2), float(np.float32(scale)), ratio, aligned)
    np.testing.assert_allclose(pooled.numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align_sends_gradients_back(aligned, ratio):
    torch.manual_seed(1)
    images = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = regions(4)
    assert torch.autograd.gradcheck(lambda x: RoIAlign.apply(x, rois, (2, 3), 0.25, ratio, aligned), images)


def test_roi_align_adds_to_the_gradient_that_is_there():
    images, rois = torch.ones(1, 1, 4, 4), torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]])
    unused = torch.zeros(0)
    mmcv_ext.roi_align_backward(torch.ones(1, 1, 1, 1), rois, unused, unused, images, 1, 1, 1.0, 4, 1, True)
    torch.testing.assert_close(images, torch.full((1, 1, 4, 4), 1 + 1 / 16))


def test_roi_align_of_no_region():
    images = torch.randn(1, 3, 4, 4, requires_grad=True)
    pooled = RoIAlign.apply(images, torch.zeros(0, 5), (7, 7), 1.0, 0, True)
    pooled.sum().backward()
    assert pooled.shape == (0, 3, 7, 7)
    assert not images.grad.any()


def test_roi_align_of_images_that_are_not_contiguous():
    torch.manual_seed(2)
    images, rois = torch.randn(2, 3, 9, 11), regions(6, torch.float32)
    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(*(RoIAlign.apply(x, rois, (3, 3), 0.25, 0, True) for x in (images, last)))


def test_roi_align_under_autocast_keeps_its_precision():
    torch.manual_seed(3)
    images, rois = torch.randn(2, 3, 9, 11).bfloat16().requires_grad_(), regions(6, torch.float32).bfloat16()
    with torch.autocast("cpu"):
        pooled = RoIAlign.apply(images, rois, (3, 3), 0.25, 0, True)
    pooled.backward(torch.ones_like(pooled))
    single = images.detach().float().requires_grad_()
    expected = RoIAlign.apply(single, rois.float(), (3, 3), 0.25, 0, True)
    expected.backward(torch.ones_like(expected))
    assert torch.equal(pooled, expected.bfloat16())
    assert torch.equal(images.grad, single.grad.bfloat16())


@pytest.mark.parametrize("region", [[0.0, 5.0, 5.0, 4.0, 9.0], [0.0, 5.0, math.nan, 6.0, 9.0]])
def test_roi_align_refuses_what_is_no_region(region):
    with pytest.raises(ValueError, match="negative size or NaN"):
        RoIAlign.apply(torch.zeros(1, 1, 9, 9), torch.tensor([region]), (1, 1), 1.0, 0, True)


def random_boxes(number: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(number, 4, generator=generator) * torch.tensor([10, 10, 30, 30])
    boxes[:, 2:] += boxes[:, :2]
    return boxes, torch.rand(number, generator=generator)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_nms_is_its_definition(offset, threshold):
    for seed in range(2):
        boxes, scores = random_boxes(60, seed)
        kept = mmcv_ext.nms(boxes, scores, iou_threshold=threshold, offset=offset)
        expected = slow_nms(boxes.double().numpy(), scores.double().numpy(), threshold, offset)
        assert kept.tolist() == expected
        assert 5 < len(expected) < 60


def test_inclusive_boxes_are_suppressed_as_torchvision_does_it():
    for seed in range(4):
        boxes, scores = random_boxes(150, seed)
        order = scores.argsort(descending=True)
        kept = order[mmcv_ext._nms_of_inclusive_boxes(boxes[order], 0.5, offset=0)]
        assert torch.equal(kept, torchvision_nms(boxes, scores, 0.5))


@pytest.mark.parametrize("offset", [0, 1])
def test_nms_compares_in_single_precision(offset):
    # IoU 3 / 10, which in single precision lies above 0.3 in double precision.
    boxes = torch.tensor([[0.0, 0.0, 10.0, 1.0], [0.0, 0.0, 3.0, 1.0]]) - torch.tensor([0, 0, offset, offset])
    assert mmcv_ext.nms(boxes, torch.tensor([0.9, 0.8]), 0.3, offset).tolist() == [0, 1]
    assert mmcv_ext.nms(boxes, torch.tensor([0.9, 0.8]), 0.2999, offset).tolist() == [0]


def test_nms_ranks_scores_of_half_precision():
    boxes, scores = random_boxes(80, 0)
    half = scores.half()
    assert torch.equal(mmcv_ext.nms(boxes, half, 0.5, 0), mmcv_ext.nms(boxes, half.float(), 0.5, 0))


def test_nms_ranks_equal_scores_as_a_plain_sort_does():
    scores = torch.randint(0, 3, (400,)) / 3
    boxes = torch.arange(400.0)[:, None] * 10 + torch.tensor([0.0, 0.0, 5.0, 5.0])
    assert torch.equal(mmcv_ext.nms(boxes, scores, 0.5, 0), scores.sort(0, descending=True).indices)


@pytest.mark.parametrize("offset", [0, 1])
def test_nms_of_no_box(offset):
    kept = mmcv_ext.nms(torch.zeros(0, 4), torch.zeros(0), 0.5, offset)
    assert kept.shape == (0,)
    assert kept.dtype == torch.int64


def test_another_operator_exists_and_names_itself_when_called():
    stand_in = mmcv_ext.StandIn()
    assert hasattr(stand_in, "deform_conv_forward")  # mmcv asserts this of every operator when it is imported
    with pytest.raises(NotImplementedError, match=r"'deform_conv_forward'.*MMCV_WITH_OPS=1 pip install"):
        stand_in.deform_conv_forward(torch.zeros(1), offset=torch.zeros(1))
    assert not hasattr(stand_in, "__path__")


def test_pooling_by_maximum_is_refused():
    zeros = torch.zeros(1, 1, 2, 2)
    arguments = (torch.zeros(1, 5), zeros, zeros, zeros, 2, 2, 1.0, 0)
    with pytest.raises(NotImplementedError, match=r"pool_mode 'max'.*MMCV_WITH_OPS=1"):
        mmcv_ext.roi_align_forward(zeros, *arguments, pool_mode=0, aligned=True)


@pytest.fixture
def fake_mmcv(tmp_path, monkeypatch):
    """A package mmcv in the place of the real one, which comes back when the test is over."""
    real = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "mmcv"}
    for name in real:
        del sys.modules[name]
    package = tmp_path / "mmcv"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "mmcv"]:
        del sys.modules[name]
    sys.modules.update(real)


@pytest.mark.parametrize("imported", [False, True])
def test_the_stand_in_is_installed_once(fake_mmcv, imported):
    if imported:
        importlib.import_module("mmcv")
    assert mmcv_ext.in_use() == "stand-in"
    assert "mmcv._ext" not in sys.modules
    assert mmcv_ext.install() == "stand-in"
    installed = importlib.import_module("mmcv._ext")
    assert isinstance(installed, mmcv_ext.StandIn)
    assert importlib.util.find_spec("mmcv._ext") is not None  # how MMEngine asks whether there are operators
    assert mmcv_ext.install() == mmcv_ext.in_use() == "stand-in"
    assert sys.modules["mmcv._ext"] is installed
    assert importlib.import_module("mmcv")._ext is installed


@pytest.mark.parametrize("imported", [False, True])
def test_compiled_operators_are_used(fake_mmcv, imported):
    (fake_mmcv / "_ext.py").write_text("nms = 'compiled'")
    if imported:
        importlib.import_module("mmcv._ext")
    assert mmcv_ext.in_use() == mmcv_ext.install() == mmcv_ext.install() == "compiled"
    assert importlib.import_module("mmcv._ext").nms == "compiled"


def test_compiled_operators_that_do_not_load_are_an_error(fake_mmcv):
    (fake_mmcv / "_ext.py").write_text("raise ImportError('undefined symbol: _ZN3c10')")
    with pytest.raises(ImportError, match=r"_ext\.py, do not load under torch .*undefined symbol.*MMCV_WITH_OPS=1"):
        mmcv_ext.install()
    assert "mmcv._ext" not in sys.modules


def test_an_mmcv_that_does_not_load_gets_no_stand_in(fake_mmcv):
    (fake_mmcv / "__init__.py").write_text("raise ImportError('libGL.so.1')")
    with pytest.raises(ImportError, match=r"libGL"):
        mmcv_ext.install()
    assert "mmcv._ext" not in sys.modules


def test_without_mmcv(fake_mmcv, monkeypatch):
    monkeypatch.setitem(sys.modules, "mmcv", None)
    assert mmcv_ext.in_use() is None
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'slimbench\[mm\]'"):
        mmcv_ext.install()


def test_a_program_is_run_behind_the_stand_in(fake_mmcv, tmp_path, monkeypatch, capsys):
    program = tmp_path / "program.py"
    program.write_text("import sys, mmcv._ext\nprint(__name__, type(mmcv._ext).__name__, sys.argv[1:], sys.path[0])")
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    mmcv_ext.main([str(program), "config.py", "--work-dir", "x"])
    assert capsys.readouterr().out == f"__main__ StandIn ['config.py', '--work-dir', 'x'] {tmp_path}\n"


@pytest.mark.parametrize("arguments", [[], ["no_such_program.py"]])
def test_no_program_to_run(arguments):
    with pytest.raises(SystemExit, match=r"usage: python -m backbones\.adapters\.mmcv_ext PROGRAM\.py"):
        mmcv_ext.main(arguments)


def run_program(which: str, file: Path) -> dict:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(PROGRAM), which, str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(file)


def test_faster_rcnn_trains_and_detects_behind_the_stand_in(tmp_path):
    """In a fresh process, which imports mmdet.models and mmseg.models first; also where mmcv is compiled."""
    pytest.importorskip("mmdet")
    pytest.importorskip("mmseg")
    results = run_program("stand-in", tmp_path / "results.pth")
    assert results["in use"] == "stand-in"
    network = results["faster_rcnn"]
    assert all(torch.isfinite(value).all() for value in network.values())
    assert network["gradient"].abs().sum() > 0
    for image in (0, 1):
        boxes, labels = network[f"bboxes {image}"], network[f"labels {image}"]
        assert 0 < len(boxes) <= 100
        assert network[f"scores {image}"].min() > 0.05
        for label in labels.unique():
            of_one_class = boxes[labels == label]
            overlaps = torch.triu(box_iou(of_one_class), diagonal=1)
            assert overlaps.max() <= 0.5 + 1e-3  # what mmcv adds to separate the classes costs digits


def box_iou(boxes: torch.Tensor) -> torch.Tensor:
    from torchvision.ops import box_iou as torchvision_box_iou

    return torchvision_box_iou(boxes, boxes)


@pytest.mark.skipif(mmcv_ext.in_use() != "compiled", reason="mmcv has no compiled operators (tox -e mmcv-compiled)")
def test_compiled_operators_give_the_same_bits(tmp_path):
    """nms, roi_align and its gradient on random boxes and features; losses and detections of a Faster R-CNN."""
    installed, stand_in = (run_program(which, tmp_path / f"{which}.pth") for which in ("installed", "stand-in"))
    assert (installed["in use"], stand_in["in use"]) == ("compiled", "stand-in")
    for part in ("operators", "faster_rcnn"):
        assert installed[part].keys() == stand_in[part].keys()
        unequal = [name for name, value in installed[part].items() if not torch.equal(value, stand_in[part][name])]
        assert unequal == []

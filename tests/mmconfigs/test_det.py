"""The detectors of mmconfigs/det: they are the counted networks, start from one checkpoint, and learn."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

pytest.importorskip("mmcv")
pytest.importorskip("mmdet")

import backbones.adapters.openmmlab  # before mmdet, which needs mmcv's operators or their stand-in

# isort: split
from mmdet.registry import DATASETS, MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData

import backbones
from backbones.adapters.mmengine import VersatileMaskHook
from backbones.nets.counting_detectors import FasterRCNNC4

DET = Path(__file__).parents[2] / "mmconfigs" / "det"
CONFIGS = sorted(DET.glob("[!_]*/*/*.py"))
PAPERS = [path for path in CONFIGS if path.parent.name in ("paper_7e", "paper_6e", "frcnn_12e")]
MINI = [path for path in CONFIGS if path not in PAPERS]
NAME = re.compile(r"faster_rcnn_(?P<kind>c4|fpn)_(?P<net>.+)_(?P<data>voc|coco)")


def named(paths):
    return [pytest.param(path, id="/".join(path.relative_to(DET).with_suffix("").parts)) for path in paths]


def parts(path):
    return NAME.fullmatch(path.stem).group("kind", "net", "data")


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setenv("SLIMBENCH_DATA", "elsewhere")
    register_all_modules(init_default_scope=True)


def read(path):
    return Config.fromfile(path)


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from strings(part)


def test_every_experiment_of_the_papers_has_a_config():
    found = {"/".join(path.relative_to(DET).with_suffix("").parts) for path in PAPERS}
    assert found >= {
        "voc07/paper_7e/faster_rcnn_c4_resnet101_voc",
        "voc07/paper_7e/faster_rcnn_c4_sc_resnet101_voc",
        "coco2014/paper_6e/faster_rcnn_c4_resnet101_coco",
        "coco2014/paper_6e/faster_rcnn_c4_sc_resnet101_coco",
        "coco/frcnn_12e/faster_rcnn_c4_resnet50_coco",
        "coco/frcnn_12e/faster_rcnn_c4_s_versatile_resnet50_coco",
        "coco/frcnn_12e/faster_rcnn_c4_separate_l_versatile_resnet50_s4_coco",
        "coco/frcnn_12e/faster_rcnn_fpn_resnet50_coco",
    }


@pytest.mark.parametrize("path", named(CONFIGS))
def test_a_config_says_what_it_is(path):
    config, (_, net, data) = read(path), parts(path)
    folder, protocol = path.parent.parent.name, path.parent.name.replace("_", "-")
    assert (config.dataset.name, config.protocol.name) == (folder, protocol)
    assert config.protocol.proxy is folder.endswith("-mini")
    classes = {"voc": 20, "coco": 80}[data]
    assert config.dataset.num_classes == config.model.roi_head.bbox_head.num_classes == classes
    text = path.read_text()
    assert f"slimbench train {folder}/{protocol}/{path.stem}" in text
    assert f"mmconfigs/det/{path.relative_to(DET).as_posix()}" in text
    hooks = [hook["type"] for hook in config.get("custom_hooks", [])]
    assert hooks == (["VersatileMaskHook"] if "_l_versatile" in net else [])


@pytest.mark.parametrize("path", named(CONFIGS))
def test_all_data_lie_below_the_folder_that_is_named(path):
    config = read(path)
    keys = [f"{split}_{part}" for split in ("train", "val", "test") for part in ("dataloader", "evaluator")]
    found = [value for key in keys if key in config for value in strings(config[key].to_dict())]
    roots = [value for value in found if value.startswith("elsewhere/")]
    assert len(roots) >= 3  # train, val, test
    assert not [value for value in found if value.startswith(("/", "data/"))]


@pytest.mark.parametrize("path", named(CONFIGS))
def test_the_schedule_ends_with_the_training(path):
    config = read(path)
    epochs = config.protocol.epochs
    assert config.train_cfg.max_epochs == epochs
    images = 40 if config.protocol.proxy else None
    for scheduler in config.param_scheduler:
        if scheduler.by_epoch:
            assert scheduler.end == epochs > max(scheduler.milestones)
    if images:
        assert config.param_scheduler[-1].end == epochs * images // config.train_dataloader.batch_size
    else:
        assert config.auto_scale_lr.base_batch_size == config.train_dataloader.batch_size


@pytest.mark.parametrize(
    ("folder", "rate", "batch", "steps"),
    [
        ("voc07/paper_7e", 0.001, 1, [5]),
        ("coco2014/paper_6e", 0.01, 24, [4]),
        ("coco/frcnn_12e", 0.01, 8, [8, 11]),
    ],
)
def test_the_recipes_are_those_that_their_descriptions_state(folder, rate, batch, steps):
    for path in (DET / folder).glob("*.py"):
        config = read(path)
        assert config.optim_wrapper.optimizer.lr == rate
        assert config.train_dataloader.batch_size == batch
        assert config.param_scheduler[-1].milestones == steps
        assert str(rate) in config.protocol.description
        resize = [step for step in config.test_dataloader.dataset.pipeline if step.type == "Resize"]
        assert [step.scale for step in resize] == [(1000, 600)]


def build(config):
    """On the meta device: shapes without the time that drawing weights takes."""
    with torch.device("meta"):
        return MODELS.build(config.model)


def shapes(module, rename=lambda key: key):
    return {rename(key): tuple(value.shape) for key, value in module.state_dict().items()}


STEM = {"stem.0.": "conv1.", "stem.1.": "bn1."}


def detector_s_name(key):
    """What the detector calls a layer of the counted network."""
    for counted, own in STEM.items():
        if key.startswith(counted):
            return "backbone." + key.replace(counted, own, 1)
    if key.startswith("layer"):
        return "backbone." + key
    heads = {"rpn_score": "rpn_cls", "rpn_box": "rpn_reg", "rpn_conv": "rpn_conv"}
    layer, _, rest = key.partition(".")
    if layer in heads:
        return f"rpn_head.{heads[layer]}.{rest}"
    boxes = {"score": "fc_cls", "box": "fc_reg"}
    if layer in boxes:
        return f"roi_head.bbox_head.{boxes[layer]}.{rest}"
    assert layer == "shared_head"
    return f"roi_head.shared_head.layer4.{rest}"


one_of_each = {path.stem: path for path in [*MINI, *PAPERS] if "_c4_" in path.stem}


@pytest.mark.parametrize("path", named(one_of_each.values()))
def test_the_network_that_trains_is_the_one_that_is_counted(path):
    _, net, data = parts(path)
    anchors, classes = {"voc": (9, 20), "coco": (12, 80)}[data]
    detector = build(read(path))
    with torch.device("meta"):
        if path.stem in backbones.list_models():
            counted = backbones.create_model(path.stem)
        else:
            counted = FasterRCNNC4(backbones.create_model(net), anchors, classes + 1)
    expected = shapes(counted, detector_s_name)
    # MMDetection has no boxes of the background.
    for name in ("weight", "bias"):
        key = f"roi_head.bbox_head.fc_reg.{name}"
        rows, *rest = expected[key]
        assert rows == 4 * (classes + 1)
        expected[key] = (4 * classes, *rest)
    assert shapes(detector) == expected
    difference = sum(p.numel() for p in counted.parameters()) - sum(p.numel() for p in detector.parameters())
    assert difference == 4 * 2048 + 4
    assert detector.rpn_head.num_base_priors == anchors
    assert detector.rpn_head.cls_out_channels == 2
    assert detector.test_cfg.rpn.max_per_img == (300 if path in PAPERS else 50)


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("voc07/paper_7e/faster_rcnn_c4_resnet101_voc", 45.26),
        ("voc07/paper_7e/faster_rcnn_c4_sc_resnet101_voc", 29.44),
        ("coco2014/paper_6e/faster_rcnn_c4_resnet101_coco", 45.86),
        ("coco2014/paper_6e/faster_rcnn_c4_sc_resnet101_coco", 30.04),
    ],
)
def test_the_parameters_are_the_printed_ones(name, printed):
    detector = build(read(DET / f"{name}.py"))
    counted = sum(p.numel() for p in detector.parameters()) + 8196
    assert counted / 2**20 == pytest.approx(printed, rel=2.5e-4)  # 30.0346 is printed as 30.04


@pytest.mark.parametrize("path", named(path for path in PAPERS if "_fpn_" in path.stem))
def test_below_the_pyramid_stands_the_whole_network(path):
    detector = build(read(path))
    with torch.device("meta"):
        network = backbones.create_model(parts(path)[1])
    expected = {key: shape for key, shape in shapes(network).items() if not key.startswith("fc.")}
    assert shapes(detector.backbone) == expected


def test_the_anchors_are_those_of_the_public_code():
    for path, scales in ((PAPERS[0], [4, 8, 16, 32]), (PAPERS[-1], [8, 16, 32])):
        generator = build(read(path)).rpn_head.prior_generator
        boxes = generator.gen_single_level_base_anchors(16, torch.tensor(scales), torch.tensor([0.5, 1, 2]), (8, 8))
        sides = {round(math.sqrt(float((x2 - x1) * (y2 - y1)))) for x1, y1, x2, y2 in boxes.tolist()}
        assert sides == {16 * scale for scale in scales}
        assert generator.scales.tolist() == scales
        assert generator.strides == [(16, 16)]


@pytest.mark.parametrize("path", named(PAPERS))
def test_papers_freeze_the_first_stage_and_the_statistics(path):
    detector = build(read(path)).train()
    trains = {name for name, parameter in detector.named_parameters() if parameter.requires_grad}
    assert not [name for name in trains if name.startswith(("backbone.conv1", "backbone.bn1", "backbone.layer1."))]
    assert any(name.startswith("backbone.layer2.") for name in trains)
    norms = {name: module for name, module in detector.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert read(path).get("sync_bn") is None  # MMDetection's ResLayer keeps the statistics of BatchNorm2d only
    assert not [name for name, norm in norms.items() if norm.training]
    if "_c4_" in path.stem:
        assert not [name for name, norm in norms.items() if norm.weight.requires_grad or norm.bias.requires_grad]
        assert any(name.startswith("roi_head.shared_head.layer4.0") for name in trains)


@pytest.mark.parametrize("path", named(PAPERS))
def test_backbone_and_head_start_from_one_checkpoint(path):
    config, (kind, net, _) = read(path), parts(path)
    checkpoint = config.model.backbone.init_cfg.checkpoint
    assert checkpoint == (f"torchvision://{net}" if net in ("resnet50", "resnet101") else f"checkpoints/{net}.pth")
    if kind == "c4":
        assert config.model.roi_head.shared_head.init_cfg == config.model.backbone.init_cfg


def materialised(module):
    """Weights of their own for a module that was built on the meta device."""
    module.to_empty(device="cpu")
    for index, tensor in enumerate(module.state_dict().values()):
        tensor.fill_(1 + index % 7) if not tensor.is_floating_point() else tensor.fill_(1.0 + index)
    return module


@pytest.mark.parametrize(
    ("net", "prefix"),
    [
        ("resnet50", ""),
        ("resnet50", "network."),
        ("sc_resnet50", "network."),
        ("s_versatile_resnet50", "network."),
        ("separate_l_versatile_resnet50_s4", ""),
    ],
)
def test_imagenet_weights_reach_backbone_and_head(net, prefix, tmp_path):
    with torch.device("meta"):
        network = backbones.create_model(net)
    state = materialised(network).state_dict()
    torch.save({"state_dict": {f"{prefix}{key}": value for key, value in state.items()}}, tmp_path / "imagenet.pth")
    config = read(DET / "coco" / "frcnn_12e" / f"faster_rcnn_c4_{net}_coco.py")
    init = {"checkpoint": str(tmp_path / "imagenet.pth")}
    if prefix and net == "resnet50":  # MMDetection's own networks have to be told; ours know
        init["prefix"] = prefix
    config.model.backbone.init_cfg.update(init)
    config.model.roi_head.shared_head.init_cfg.update(init)
    with torch.device("meta"):
        backbone, head = MODELS.build(config.model.backbone), MODELS.build(config.model.roi_head.shared_head)
    loaded = {}
    for part in (backbone, head):
        part.to_empty(device="cpu")
        for tensor in part.state_dict().values():
            tensor.zero_()
        part.init_weights()
        loaded |= part.state_dict()
    assert loaded.keys() == {key for key in state if not key.startswith("fc.")}
    assert [key for key, value in loaded.items() if not torch.equal(value, state[key])] == []


def sample(height=64, width=96):
    data = DetDataSample(metainfo={"img_shape": (height, width), "ori_shape": (height, width), "scale_factor": (1, 1)})
    data.gt_instances = InstanceData(
        bboxes=torch.tensor([[8.0, 8.0, 40.0, 40.0], [30.0, 4.0, 90.0, 60.0]]), labels=torch.tensor([0, 3])
    )
    data.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    torch.manual_seed(0)
    return {"inputs": [torch.randint(0, 256, (3, height, width), dtype=torch.uint8)], "data_samples": [data]}


LEARNERS = [
    "coco-mini/overfit/faster_rcnn_c4_resnet50_coco",
    "voc-mini/overfit_boxes/faster_rcnn_c4_sc_resnet50_voc",
    "coco-mini/overfit/faster_rcnn_c4_separate_l_versatile_resnet50_s4_coco",
    "coco-mini/overfit/faster_rcnn_fpn_resnet50_coco",
]


@pytest.mark.parametrize("name", LEARNERS)
def test_everything_learns_from_one_image(name):
    torch.manual_seed(0)
    config = read(DET / f"{name}.py")
    config.model.test_cfg.rcnn.score_thr = 0.0  # what knows nothing yet finds something, too
    detector = MODELS.build(config.model).train()
    assert all(parameter.requires_grad for parameter in detector.parameters())
    norms = [module for module in detector.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(norm.training for norm in norms)
    for norm in norms:
        norm.momentum = 1.0  # the statistics of this image are those to test with
    wrapper = OptimWrapper(torch.optim.SGD(detector.parameters(), lr=1e-4, momentum=0.9))
    hooks = [VersatileMaskHook(**settings_of(hook)) for hook in config.get("custom_hooks", [])]
    runner = SimpleNamespace(model=detector, optim_wrapper=wrapper, param_schedulers=[])
    for hook in hooks:
        hook.before_run(runner)
        hook.before_train(runner)
    agents = {name: layer.agent for name, layer in backbones.learnable_layers(detector)}
    before = {name: agent.detach().clone() for name, agent in agents.items()}

    losses = detector(**detector.data_preprocessor(sample(), training=True), mode="loss")
    loss, logged = detector.parse_losses(losses)
    loss.backward()
    assert loss.isfinite()
    gradients = {name: parameter.grad for name, parameter in detector.named_parameters()}
    assert [name for name, grad in gradients.items() if grad is None or not grad.isfinite().all()] == []
    idle = [name for name, grad in gradients.items() if not grad.any() and ".gate." not in name]  # few units, a ReLU
    assert [name for name in idle if name.startswith(("backbone.layer", "roi_head.shared_head"))] == []
    wrapper.step()
    for hook in hooks:
        hook.after_train(runner)
    assert [name for name, agent in agents.items() if torch.equal(agent, before[name])] == []
    if hooks:  # masks stand in both parts, all of them have learned, and their penalty shows
        assert len([name for name in agents if name.startswith("backbone.")]) == 43
        assert len([name for name in agents if name.startswith("roi_head.shared_head.layer4.")]) == 10
        assert logged["loss_masks"] > 0

    with torch.no_grad():
        (found,) = detector.eval().test_step(sample())
    boxes = found.pred_instances
    assert 0 < len(boxes) <= 100
    assert boxes.bboxes.isfinite().all()
    assert boxes.scores.isfinite().all()


def settings_of(hook):
    assert hook["type"] == "VersatileMaskHook"
    return {key: value for key, value in hook.items() if key != "type"}


@pytest.fixture
def photograph(tmp_path, monkeypatch):
    """A folder of data, and what writes an image of that size to it."""
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setenv("SLIMBENCH_DATA", str(tmp_path))

    def write(place, size=(640, 480)):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((size[1], size[0], 3), 127, np.uint8))

    return write


def coco(path, names, size=(640, 480)):
    """COCO's annotations of images that have one object each."""
    images = [{"id": i, "file_name": name, "width": size[0], "height": size[1]} for i, name in enumerate(names)]
    box = {"bbox": [10, 20, 300, 200], "area": 60000, "iscrowd": 0, "category_id": 1}
    content = {
        "images": images,
        "annotations": [{"id": i, "image_id": image["id"], **box} for i, image in enumerate(images)],
        "categories": [{"id": 1, "name": "person"}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_coco2014_is_read_from_two_folders(tmp_path, photograph):
    annotations = tmp_path / "coco" / "annotations"
    for split, folder, count in (
        ("train2014", "train", 3),
        ("valminusminival2014", "val", 2),
        ("minival2014", "val", 1),
    ):
        names = [f"COCO_{folder}2014_{split}{i}.jpg" for i in range(count)]
        coco(annotations / f"instances_{split}.json", names)
        for name in names:
            photograph(f"coco/{folder}2014/{name}")
    config = read(DET / "coco2014" / "paper_6e" / "faster_rcnn_c4_resnet101_coco.py")
    train, test = DATASETS.build(config.train_dataloader.dataset), DATASETS.build(config.test_dataloader.dataset)
    assert (len(train), len(test)) == (2 * (3 + 2), 1)
    for index in range(5):
        item = train[index]
        assert item["inputs"].shape == (3, 600, 800)
        assert len(item["data_samples"].gt_instances.bboxes) == 1
    assert test[0]["inputs"].shape == (3, 600, 800)
    assert config.test_evaluator.ann_file == str(annotations / "instances_minival2014.json")


VOC = """<annotation><size><width>500</width><height>250</height></size>
<object><name>dog</name><difficult>{}</difficult>
<bndbox><xmin>11</xmin><ymin>21</ymin><xmax>111</xmax><ymax>101</ymax></bndbox></object></annotation>"""


def test_voc07_is_read_and_known_as_voc_2007(tmp_path, photograph):
    root = tmp_path / "VOCdevkit" / "VOC2007"
    for split in ("trainval", "test"):
        (root / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text(f"{split}1\n{split}2\n")
        for number in (1, 2):
            photograph(f"VOCdevkit/VOC2007/JPEGImages/{split}{number}.jpg", (500, 250))
            (root / "Annotations" / f"{split}{number}.xml").write_text(VOC.format(0))
    config = read(DET / "voc07" / "paper_7e" / "faster_rcnn_c4_sc_resnet101_voc.py")
    train, test = DATASETS.build(config.train_dataloader.dataset), DATASETS.build(config.test_dataloader.dataset)
    assert (len(train), len(test)) == (4, 2)
    assert test.metainfo["dataset_type"] == "VOC2007"
    item = test[0]
    assert item["inputs"].shape == (3, 500, 1000)  # the longer side is the limit
    truth = item["data_samples"].gt_instances
    assert truth.bboxes.tensor.tolist() == [[10, 20, 110, 100]]  # of the image's own size
    assert truth.labels.tolist() == [test.metainfo["classes"].index("dog")]


def test_a_mini_set_is_tested_on_what_it_learns(tmp_path, photograph):
    names = [f"{i:012d}.jpg" for i in range(64)]
    coco(tmp_path / "coco-mini" / "annotations" / "instances_train2017.json", names)
    for name in names:
        photograph(f"coco-mini/train2017/{name}")
    config = read(DET / "coco-mini" / "overfit" / "faster_rcnn_c4_resnet50_coco.py")
    train, test = DATASETS.build(config.train_dataloader.dataset), DATASETS.build(config.test_dataloader.dataset)
    learned = [train[i]["data_samples"].img_path for i in range(len(train))]
    tested = [test[i]["data_samples"].img_path for i in range(len(test))]
    assert len(tested) == len(set(tested)) == 8
    assert sorted(learned) == sorted(tested * 5)
    assert test[0]["inputs"].shape == (3, 144, 192)
    assert len(test[0]["data_samples"].instances) == 1  # the truth that the evaluator reads

"""Registration, shared heads of C4 detectors, and learned masks inside a detector."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

pytest.importorskip("mmcv")
pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

from backbones.adapters import openmmlab  # before mmdet, which needs mmcv's operators or what stands in for them

# isort: split
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.roi_heads.shared_heads import ResLayer
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData

import backbones
from backbones.adapters.mmengine import VersatileMaskHook
from backbones.ops import ChannelVersatileConv2d

NETWORKS = ["SlimResNet", "SlimResNeXt", "SlimMobileNetV2", "VersatileResNet"]


def test_the_installed_hosts_are_registered():
    assert {"mmdet", "mmseg"} <= set(openmmlab.REGISTERED)
    for host in openmmlab.REGISTERED:
        models = importlib.import_module(f"{host}.registry").MODELS
        assert all(models.get(name).__module__ == openmmlab.HOSTS[host] for name in NETWORKS)


def test_without_a_host_one_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(openmmlab, "find_spec", lambda _: None)
    with pytest.raises(
        ImportError, match=r"none of mmdet, mmseg, mmpretrain is installed.*pip install 'slimbench\[mm\]'"
    ):
        openmmlab.register()


def test_a_host_that_does_not_import_leaves_its_neighbours_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "backbones.adapters.openmmlab_mmseg", None)
    with pytest.warns(UserWarning, match="mmseg cannot be imported, so it has no backbones of slimbench"):
        assert "mmdet" in openmmlab.register()
    monkeypatch.setattr(openmmlab, "HOSTS", {"mmseg": openmmlab.HOSTS["mmseg"]})
    with pytest.raises(ImportError, match="mmseg cannot be imported"):
        openmmlab.register()


@pytest.mark.parametrize(
    ("config", "part_of"),
    [
        ({"type": "SlimResLayer", "depth": 50}, "sc_resnet50"),
        ({"type": "SlimResLayer", "depth": 101, "stage": 2}, "sc_resnet101"),
        ({"type": "VersatileResLayer", "depth": 50, "s": 4}, "separate_l_versatile_resnet50_s4"),
        ({"type": "VersatileResLayer", "depth": 50, "kind": "spatial"}, "s_versatile_resnet50"),
    ],
)
def test_a_shared_head_is_a_stage_of_the_named_model(config, part_of):
    with torch.device("meta"):
        head, network = MODELS.build(config), backbones.create_model(part_of)
    assert isinstance(head, ResLayer)
    stage = f"layer{config.get('stage', 3) + 1}."
    expected = {key: value.shape for key, value in network.state_dict().items() if key.startswith(stage)}
    assert {key: value.shape for key, value in head.state_dict().items()} == expected


def test_channel_windows_slide_in_all_of_a_shared_head():
    with torch.device("meta"):
        head = MODELS.build({"type": "VersatileResLayer", "depth": 50, "kind": "channel"})
    convolutions = [module for module in head.modules() if hasattr(module, "kernel_size")]
    assert len(convolutions) == 10
    assert all(isinstance(module, ChannelVersatileConv2d) for module in convolutions)


def test_a_shared_head_takes_any_number_of_regions_and_its_stride():
    head = MODELS.build({"type": "SlimResLayer", "depth": 50, "stage": 1, "stride": 1, "norm_eval": False}).train()
    sc = head.layer2[0].conv2
    assert (sc.top[0].stride, sc.bottom[3].stride) == ((1, 1), (1, 1))
    head(torch.randn(1, 256, 4, 4)).sum().backward()  # one region is left
    assert head.eval()(torch.randn(0, 256, 4, 4)).shape == (0, 512, 4, 4)
    frozen = MODELS.build({"type": "SlimResLayer", "depth": 50, "stage": 1}).train()  # norm_eval is mmdet's default
    assert not any(module.training for module in frozen.modules() if isinstance(module, nn.BatchNorm2d))


def rpn(**backbone):
    """The smallest detector: proposals only, from the features of the third stage."""
    small = {"type": "VersatileResNet", "depth": 18, "base_channels": 8, "stem_channels": 8, "out_indices": (2,)}
    small |= {"num_stages": 3, "strides": (1, 2, 2), "dilations": (1, 1, 1)}
    head = {"type": "RPNHead", "in_channels": 32, "feat_channels": 8}
    head["anchor_generator"] = {"type": "AnchorGenerator", "scales": [2], "ratios": [1.0], "strides": [16]}
    head["bbox_coder"] = {
        "type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": [1.0] * 4,
    }  # fmt: skip
    head["loss_cls"] = {"type": "CrossEntropyLoss", "use_sigmoid": True}
    head["loss_bbox"] = {"type": "L1Loss"}
    train = {
        "assigner": {"type": "MaxIoUAssigner", "pos_iou_thr": 0.7, "neg_iou_thr": 0.3, "min_pos_iou": 0.3},
        "sampler": {"type": "RandomSampler", "num": 16, "pos_fraction": 0.5, "add_gt_as_proposals": False},
        "allowed_border": -1, "pos_weight": -1, "debug": False,
    }  # fmt: skip
    return MODELS.build(
        {"type": "RPN", "backbone": {**small, **backbone}, "neck": None,
            "rpn_head": head,
            "test_cfg": {"rpn": {}}, "train_cfg": {"rpn": train},
         "data_preprocessor": DetDataPreprocessor()}
    )  # fmt: skip


def batch():
    sample = DetDataSample(metainfo={"img_shape": (64, 64), "pad_shape": (64, 64), "batch_input_shape": (64, 64)})
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[8.0, 8.0, 40.0, 40.0]]), labels=torch.tensor([0]))
    return {"inputs": [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)], "data_samples": [sample]}


def test_masks_inside_a_detector_s_backbone_are_trained_by_the_hook():
    detector = rpn(s=2, frozen_stages=1)
    optimizer = torch.optim.SGD([p for p in detector.parameters() if p.requires_grad], lr=0.05, momentum=0.9)
    wrapper = OptimWrapper(optimizer)
    runner = SimpleNamespace(model=detector, optim_wrapper=wrapper, param_schedulers=[])
    hook = VersatileMaskHook(weight=0.1)
    hook.before_run(runner)
    hook.before_train(runner)
    agents = {name: layer.agent for name, layer in backbones.learnable_layers(detector)}
    assert all(name.startswith("backbone.") for name in agents)
    learning = {name for name, agent in agents.items() if agent.requires_grad}
    assert agents.keys() - learning == {"backbone.conv1", *(n for n in agents if n.startswith("backbone.layer1."))}
    masks = optimizer.param_groups[-1]
    assert {id(p) for p in masks["params"]} == {id(agents[name]) for name in learning}
    before = {name: agent.detach().clone() for name, agent in agents.items()}
    detector.train()
    logged = [detector.train_step(batch(), wrapper) for _ in range(2)][-1]
    hook.after_train(runner)
    assert logged["loss_masks"] > 0
    moved = {name for name, agent in agents.items() if not torch.equal(agent, before[name])}
    assert moved == learning
    assert all(0 <= agent.min() <= agent.max() <= 1 for agent in agents.values())


def test_a_detector_with_slimconv_learns_from_one_image():
    detector = rpn(type="SlimResNet", norm_eval=False)
    detector.init_weights()
    optimizer = torch.optim.Adam(detector.parameters(), lr=0.005)
    detector.train()
    data, wrapper = batch(), OptimWrapper(optimizer)
    losses = [float(detector.train_step(data, wrapper)["loss"]) for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]

"""The decode head of Table VII: the network that is trained is the network that is counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import backbones

pytest.importorskip("mmseg")

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules

import backbones.adapters.openmmlab

PAPER = Path(__file__).parents[2] / "mmconfigs" / "seg" / "voc12aug" / "paper_30k"


@pytest.fixture(autouse=True)
def _mmseg_scope() -> Iterator[None]:
    """In the scope of a run of MMSegmentation, which no other test is left in."""
    before = DefaultScope._instance_dict.copy()
    register_all_modules(init_default_scope=False)
    DefaultScope.get_instance("test_deeplab_head", scope_name="mmseg")
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)


def config(network: str) -> Config:
    """Table VII's, that starts from random weights."""
    found = Config.fromfile(PAPER / f"{network}.py", import_custom_modules=False)
    found.model.backbone.init_cfg = None
    return found


def head(**kwargs: Any) -> Any:
    small = {"in_channels": 6, "in_index": 1, "channels": 8, "c1_in_channels": 4, "c1_channels": 3, "num_classes": 5}
    return MODELS.build({"type": "DenseDeepLabV3PlusHead", **small, **kwargs})


def features(n: int = 2) -> list[Tensor]:
    return [torch.randn(n, 4, 12, 9), torch.randn(n, 6, 3, 3)]


def samples(n: int, size: tuple[int, int], classes: int) -> list[SegDataSample]:
    """Random truth of which one row is void."""
    found = []
    for _ in range(n):
        truth = torch.randint(0, classes, (1, *size))
        truth[:, 0] = 255
        found.append(SegDataSample(gt_sem_seg=PixelData(data=truth), metainfo={"img_shape": size}))
    return found


@torch.no_grad()
def copy(source: nn.Module, target: nn.Module) -> None:
    """All tensors, in the order in which the modules have them."""
    theirs, ours = source.state_dict(), target.state_dict()
    for (key, value), (name, place) in zip(theirs.items(), ours.items(), strict=True):
        assert value.shape == place.shape, (key, name)
        place.copy_(value)


@torch.no_grad()
def disturb(network: nn.Module) -> None:
    """Norms as after some training."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)


@pytest.mark.parametrize("network", ["deeplabv3plus_sc_resnet50", "deeplabv3plus_mobilenet_v2"])
def test_what_is_trained_computes_what_is_counted(network: str) -> None:
    counted = backbones.create_model(network).eval()
    disturb(counted)
    trained = MODELS.build(config(network).model).eval()
    copy(nn.ModuleList([counted.early, counted.late]), trained.backbone)
    ours = trained.decode_head
    for theirs, part in (
        (counted.project, ours.c1_bottleneck),
        (counted.pyramid, ours.aspp_modules),
        (counted.image, ours.image_pool),
        (counted.merge, ours.bottleneck),
        (counted.classifier[:3], ours.decoder),
        (counted.classifier[3], ours.conv_seg),
    ):
        copy(theirs, part)
    x = torch.randn(2, 3, 65, 97)
    with torch.no_grad():
        logits = F.interpolate(trained(x), size=(65, 97), mode="bilinear", align_corners=False)
        expected = counted(x)
    assert expected.std() > 0.01
    torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("norm", ["BN", "SyncBN"])
def test_one_image_trains_and_leaves_the_image_poolings_statistics(images: int, norm: str) -> None:
    trained = head(norm_cfg={"type": norm}).train()
    disturb(trained)
    before = {name: buffer.clone() for name, buffer in trained.named_buffers() if name.endswith("running_mean")}
    losses = trained.loss(features(images), samples(images, (24, 18), 5), {})
    losses["loss_ce"].backward()
    assert losses["loss_ce"].isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained.parameters())
    same = {name for name, buffer in trained.named_buffers() if name in before and torch.equal(buffer, before[name])}
    assert same == ({"image_pool.1.bn.running_mean"} if images == 1 else set())


@pytest.mark.parametrize("images", [1, 2])
def test_a_whole_network_trains(images: int) -> None:
    trained = MODELS.build(config("deeplabv3plus_sc_mobilenet_v2_k8_3").model).train()
    losses = trained.loss(torch.randn(images, 3, 65, 65), samples(images, (65, 65), 21))
    losses["decode.loss_ce"].backward()
    missing = [name for name, p in trained.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert missing == []


def test_image_pooling_of_one_image_uses_the_running_statistics() -> None:
    trained = head().train()
    disturb(trained)
    one, two = torch.randn(1, 6, 3, 3), torch.randn(2, 6, 3, 3)
    pooled = trained._pooled(one)
    assert pooled.shape == (1, 8, 1, 1)
    torch.testing.assert_close(pooled, trained.eval().image_pool(one))
    torch.testing.assert_close(trained.train()._pooled(two), trained.image_pool(two))


def test_dropout_stands_behind_the_pyramid_and_drops_single_values() -> None:
    trained = head(dropout_ratio=0.5).train()
    assert trained.dropout is None  # the parent's, before the classifier
    seen: list[Tensor] = []
    trained.merged_dropout.register_forward_hook(lambda module, args, output: seen.extend([args[0], output]))
    trained(features())
    before, after = seen
    assert before.shape == (2, 8, 3, 3)
    alive = before > 0
    dropped = alive & (after == 0)
    assert 0.25 < dropped.sum() / alive.sum() < 0.75
    within = [(dropped[n, c].any() and (alive & ~dropped)[n, c].any()).item() for n in range(2) for c in range(8)]
    assert sum(within) > 4


def test_void_pixels_count_for_nothing() -> None:
    trained = head(loss_decode={"type": "CrossEntropyLoss", "avg_non_ignore": True})
    logits = torch.randn(1, 5, 24, 18)
    (sample,) = samples(1, (24, 18), 5)
    expected = F.cross_entropy(logits[:, :, 1:], sample.gt_sem_seg.data[:, 1:])
    torch.testing.assert_close(trained.loss_by_feat(logits, [sample])["loss_ce"], expected)


def test_other_arguments_of_the_parent_are_taken() -> None:
    assert head(norm_cfg={"type": "GN", "num_groups": 1}, dilations=(1, 2))(features()).shape == (2, 5, 12, 9)
    assert head(norm_cfg=None).train()(features(1)).shape == (1, 5, 12, 9)
    with pytest.raises(ValueError, match="c1_in_channels=0: the decoder needs early features"):
        head(c1_in_channels=0)
    with pytest.raises(ValueError, match=r"dilations=\(6, 12\): must begin with 1"):
        head(dilations=(6, 12))

"""The README's section for users of MMDetection and MMSegmentation, followed to the letter."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
import torch

README = Path(__file__).resolve().parents[1] / "README.md"
HOSTS = {"mmdetection": "mmdet", "mmsegmentation": "mmseg"}


def section() -> str:
    text = README.read_text(encoding="utf-8")
    title = "## Use it in your own mmdetection / mmsegmentation project\n"
    assert title in text
    return text.partition(title)[2].partition("\n## ")[0]


def configs() -> dict[str, str]:
    """The config files that the section shows, by the host that their first line names."""
    blocks = re.findall(r"```python\n(.*?)```", section(), re.DOTALL)
    return {HOSTS[re.search(r"# (mm\w+)", block)[1]]: block for block in blocks}


def test_there_is_a_config_a_host():
    assert set(configs()) == {"mmdet", "mmseg"}
    for block in configs().values():
        changed = [line for line in block.splitlines() if line and not line.startswith("_base_")]
        assert len(changed) == (3 if "Hook" in block else 2), "two lines, and a third for learnable masks"


@pytest.fixture(params=["mmdet", "mmseg"])
def built(request, tmp_path):
    """A host, the README's config on top of the host's own one, and the network that comes out of it."""
    host = pytest.importorskip(request.param) if request.param == "mmseg" else import_host()
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    text = configs()[request.param]
    (base,) = re.findall(r'_base_ = \["(.+?)"\]', text)
    (shipped,) = (Path(host.__file__).parent / ".mim" / "configs").rglob(base)
    file = tmp_path / "mine.py"
    file.write_text(text.replace(base, shipped.as_posix()), encoding="utf-8")
    config = Config.fromfile(file)  # imports what custom_imports names, as tools/train.py does
    with DefaultScope.overwrite_default_scope(request.param):
        registry = import_module(f"{request.param}.registry").MODELS
        if request.param == "mmseg":
            config.model.data_preprocessor.size = (65, 65)
            config.norm_cfg.type = "BN"  # SyncBN needs a GPU
            for part in (config.model.backbone, config.model.decode_head, config.model.auxiliary_head):
                part.norm_cfg.type = "BN"
        yield request.param, config, registry.build(config.model)


def import_host():
    pytest.importorskip("mmdet.version")
    import backbones.adapters.openmmlab  # noqa: F401 (without compiled operators, mmdet imports after it only)

    return import_module("mmdet")


def test_the_network_has_the_method(built):
    import backbones

    host, config, model = built
    kinds = {type(module).__name__ for module in model.backbone.modules()}
    if host == "mmdet":
        assert "SlimConv2d" in kinds
        assert sum(type(module).__name__ == "SlimConv2d" for module in model.modules()) == 16, "ResNet-50 has 16 blocks"
    else:
        assert backbones.learnable_layers(model)
        assert [hook.type for hook in config.custom_hooks] == ["VersatileMaskHook"]


def test_the_network_trains(built):
    host, _, model = built
    model.train()
    torch.manual_seed(0)
    if host == "mmdet":
        from mmdet.testing import demo_mm_inputs

        batch = demo_mm_inputs(1, [[3, 64, 64]], num_items=[2], num_classes=80)
    else:
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample

        sample = SegDataSample(metainfo={"img_shape": (65, 65), "ori_shape": (65, 65), "pad_shape": (65, 65)})
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 21, (1, 65, 65)))
        batch = {"inputs": [torch.randint(0, 256, (3, 65, 65), dtype=torch.uint8)] * 2, "data_samples": [sample] * 2}
    data = model.data_preprocessor(batch, True)
    loss, _ = model.parse_losses(model(**data, mode="loss"))
    loss.backward()
    assert torch.isfinite(loss)
    missing = [n for n, p in model.backbone.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing


def test_the_commands_of_the_section_exist():
    assert "python -m backbones.adapters.mmcv_ext tools/test.py CONFIG CHECKPOINT" in " ".join(section().split())
    for document in re.findall(r"\]\((docs/[\w-]+\.md)", section()):
        assert (README.parent / document).is_file(), document

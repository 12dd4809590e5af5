"""SlimConv on CIFAR-100: Tables V, VI and XI, Figure 8. Their digits are those of the convention ``ptflops-2018``."""

from __future__ import annotations

import backbones.catalogue.baselines  # noqa: F401  (ResNet-20 and ResNet-56 must be registered first)
from backbones.catalogue.registry import Builder, ModelSpec, add
from backbones.catalogue.slimconv import sc
from backbones.nets.bottleneck_resnet_cifar import resnet50_cifar, resnext50_cifar
from backbones.nets.mobilenetv2_cifar import mobilenetv2_cifar
from backbones.nets.nasnet_cifar import nasnet_cifar
from backbones.nets.oct_resnet_cifar import oct_resnet50_cifar
from backbones.nets.se_resnet_cifar import se_resnet50_cifar, se_resnet101_cifar
from backbones.nets.shufflenetv2_cifar import shufflenetv2_cifar
from backbones.nets.sk_resnet_cifar import sknet50_cifar

_BASELINES: tuple[Builder, ...] = (
    mobilenetv2_cifar,
    nasnet_cifar,
    oct_resnet50_cifar,
    resnet50_cifar,
    resnext50_cifar,
    se_resnet50_cifar,
    se_resnet101_cifar,
    shufflenetv2_cifar,
    sknet50_cifar,
)
for _build in _BASELINES:
    add(ModelSpec(_build.__name__, "slimconv", "baseline", "slimbench", _build, "", (3, 32, 32), 100))

# Table V. Only the ShuffleNet units that keep the size are slimmed; the three that halve it start the stages.
sc("shufflenetv2_cifar", exclude=("layer?.0",))
sc("mobilenetv2_cifar", "_k8_3", 8 / 3, "k=8/3")  # the table does not name k; only 8/3 gives its digits
sc("resnet56_cifar", se_min=4)  # 10 classes by default; the table has 100
sc("nasnet_cifar")
# In no table: a user of the released code reported 90.55 % with SlimConv and 92.04 % without on CIFAR-10.
sc("resnet20_cifar", se_min=4)
# ... nor these: Table XI's question (does the flip matter?) on a network that several seeds of cost little
sc("resnet20_cifar", "_sf", note="k=4/3, weights shuffled instead of flipped", arrangement="shuffle", se_min=4)
sc("resnet20_cifar", "_noflip", note="k=4/3, no weights flipped", arrangement="none", se_min=4)
# Table VI. Of Oct-ResNet-50 the last two blocks are slimmed: they alone have convolutions of a single frequency.
for _name in ("resnet50_cifar", "oct_resnet50_cifar", "resnext50_cifar", "se_resnet50_cifar", "se_resnet101_cifar"):
    sc(_name)
# Figure 8: k = 2r/3 for r = 2 (above) to 8
for _k, _suffix, _note in (
    (2, "_k2", "k=2"),
    (8 / 3, "_k8_3", "k=8/3"),
    (10 / 3, "_k10_3", "k=10/3"),
    (4, "_k4", "k=4"),
    (14 / 3, "_k14_3", "k=14/3"),
    (16 / 3, "_k16_3", "k=16/3"),
):
    sc("resnet50_cifar", _suffix, _k, _note)
# Table XI
sc("resnet50_cifar", "_sf", note="k=4/3, weights shuffled instead of flipped", arrangement="shuffle")
sc("resnet50_cifar", "_3b_sf", note="k=4/3, third branch with shuffled weights", third_branch=True)

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.nets.resnet_cifar import BasicBlock, CifarResNet, resnet20_cifar, resnet56_cifar


def test_853_018_parameters_and_56_layers() -> None:
    model = resnet56_cifar()
    assert sum(p.numel() for p in model.parameters()) == 853_018
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules()) == 56


def test_resnet20_of_he_et_al_has_0_27_million_parameters_and_20_layers() -> None:
    model = resnet20_cifar()
    assert sum(p.numel() for p in model.parameters()) == 269_722
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules()) == 20


def test_ten_classes_or_others() -> None:
    assert CifarResNet(1)(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    assert CifarResNet(1, num_classes=100)(torch.randn(2, 3, 20, 33)).shape == (2, 100)
    assert resnet56_cifar(num_classes=7).fc.out_features == 7


def test_sizes_and_widths_of_the_stages() -> None:
    model = CifarResNet(2)
    x = torch.relu(model.bn1(model.conv1(torch.randn(1, 3, 32, 32))))
    for stage, shape in (
        (model.layer1, (1, 16, 32, 32)),
        (model.layer2, (1, 32, 16, 16)),
        (model.layer3, (1, 64, 8, 8)),
    ):
        x = stage(x)
        assert x.shape == shape


def test_the_shortcut_is_option_a() -> None:
    # Every second pixel, and new channels that are zero: a quarter of them before, a quarter behind.
    block = BasicBlock(4, 8, stride=2).eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(1, 4, 6, 6)
    y = block(x)
    assert torch.equal(y[:, 2:6], x[:, :, ::2, ::2])
    assert (y[:, :2] == 0).all()
    assert (y[:, 6:] == 0).all()


def test_a_block_is_conv_bn_relu_conv_bn_plus_input_relu() -> None:
    block = BasicBlock(4, 4).eval()
    for norm in (block.bn1, block.bn2):
        nn.init.normal_(norm.running_mean)
        nn.init.normal_(norm.bias)

    def step_by_step(x: Tensor) -> Tensor:
        out = F.relu(block.bn1(F.conv2d(x, block.conv1.weight, padding=1)))
        return F.relu(block.bn2(F.conv2d(out, block.conv2.weight, padding=1)) + x)

    x = torch.randn(2, 4, 5, 7)
    kept = x.clone()
    torch.testing.assert_close(block(x), step_by_step(x))
    assert torch.equal(x, kept)


def test_it_learns_a_batch_by_heart() -> None:
    model = CifarResNet(1, num_classes=3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, labels = torch.randn(6, 3, 16, 16), torch.tensor([0, 1, 2, 0, 1, 2])
    losses = []
    for _ in range(30):
        loss = F.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]

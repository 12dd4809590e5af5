from __future__ import annotations

import re
from itertools import pairwise

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

import benchmarks.training  # noqa: F401  registers what the configs name
from benchmarks.errors import UserError
from benchmarks.training import experiments

PROTOCOLS = ["cifar10/paper-400e", "cifar10/proxy-10e"]


def test_every_cifar_model_has_both_protocols():
    names = experiments.list_experiments("cifar10/*")
    for protocol in PROTOCOLS:
        for model in (
            "resnet56_cifar",
            "s_versatile_resnet56_cifar",
            "c_versatile_resnet56_cifar_8_4",
            "s_c_versatile_resnet56_cifar",
            "shared_l_versatile_resnet56_cifar_s2",
            "separate_l_versatile_resnet56_cifar_s2",
        ):
            assert f"{protocol}/{model}" in names
    assert not [name for name in names if name.endswith("/resnet50")], "an ImageNet network has another input"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_config_carries_its_names(protocol):
    config = experiments.experiment(f"{protocol}/s_versatile_resnet56_cifar")
    assert config.experiment == f"{protocol}/s_versatile_resnet56_cifar"
    assert config.model.name == "s_versatile_resnet56_cifar"
    assert f"{config.dataset.name}/{config.protocol.name}" == protocol
    assert config.protocol.epochs == config.train_cfg.max_epochs
    assert config.model.num_classes == config.dataset.num_classes
    assert experiments.experiment(f"{protocol}/resnet56_cifar").model.name == "resnet56_cifar"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("s", [5, 10, 20])
def test_figure_4b_sweeps_lambda(protocol, s):
    plain = experiments.experiment(f"{protocol}/separate_l_versatile_resnet56_cifar_s{s}").to_dict()
    for weight in (0.001, 0.01, 1, 10):
        name = f"{protocol}-lambda{weight:g}/separate_l_versatile_resnet56_cifar_s{s}"
        config = experiments.experiment(name).to_dict()
        assert config["experiment"] == name
        assert f"cifar10/{config['protocol']['name']}" == f"{protocol}-lambda{weight:g}"
        assert config["protocol"]["description"].endswith(
            f"orthogonality of the masks weighs {weight:g} instead of 0.1"
        )
        hooks = {hook["type"]: hook for hook in config["custom_hooks"]}
        assert hooks["VersatileMaskHook"].pop("weight") == weight
        expected = {hook["type"]: dict(hook) for hook in plain["custom_hooks"]}
        assert expected["VersatileMaskHook"].pop("weight") == 0.1
        assert hooks == expected
        same = set(plain) - {"custom_hooks", "experiment", "protocol"}
        assert {key: config[key] for key in same} == {key: plain[key] for key in same}


def test_variants_of_masks_are_for_networks_whose_masks_learn():
    names = experiments.list_experiments("cifar10/paper-400e-lambda0.01/*")
    assert {"separate_l_versatile_resnet56_cifar_s20", "shared_l_versatile_resnet56_cifar_s2"} <= {
        name.rpartition("/")[2] for name in names
    }
    assert not [name for name in names if name.endswith(("/resnet56_cifar", "_rand", "/s_versatile_resnet56_cifar"))]


def test_faster_masks():
    config = experiments.experiment("cifar10/proxy-10e-maskscale300-lambda0/separate_l_versatile_resnet56_cifar_s2")
    (hook,) = (hook for hook in config.custom_hooks if hook.type == "VersatileMaskHook")
    assert (hook.weight, hook.mask_lr_scale) == (0, 300)


def test_a_protocol_says_what_it_is():
    told = experiments.protocol("cifar10/proxy-10e")
    assert (told["name"], told["proxy"], told["epochs"], told["evaluate_only"]) == ("proxy-10e", True, 10, False)
    with pytest.raises(UserError, match=r"no protocol 'cifar10/proxy-10'; did you mean .*cifar10/proxy-10e"):
        experiments.protocol("cifar10/proxy-10")


def test_networks_of_cifar_fit_any_number_of_classes():
    assert experiments.experiment("cifar100/paper-200e/sc_resnet56_cifar").model.num_classes == 100
    assert experiments.experiment("cifar10/paper-400e/resnet50_cifar").model.num_classes == 10
    assert not [name for name in experiments.list_experiments("cifar1*") if "vdsr" in name]


def test_experiments_do_not_share_state():
    experiments.experiment("cifar10/smoke/resnet56_cifar").optim_wrapper.optimizer.lr = 99
    assert experiments.experiment("cifar10/smoke/resnet56_cifar").optim_wrapper.optimizer.lr != 99


@pytest.mark.parametrize("protocol", experiments.list_protocols())
def test_a_config_says_what_it_costs(protocol):
    path = experiments.list_protocols()[protocol]
    for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
        docstring = file.read_text().split('"""')[1]
        command = re.search(r"Command:\s+slimbench (?:train|test) (\S+)", docstring)
        assert command, f"{file}: {docstring}"
        assert command[1] in experiments.list_experiments()
        assert "Expected time:" in docstring
        assert "Expected metric:" in docstring


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("cifar10/proxy-10e/resnet65_cifar", "cifar10/proxy-10e/resnet56_cifar"),
        ("cifar10/proxy_10e/resnet56_cifar", "cifar10/proxy-10e/resnet56_cifar"),
        ("cifar10/paper-40e/resnet56_cifar", "cifar10/paper-400e/resnet56_cifar"),
    ],
)
def test_a_wrong_name_gets_the_nearest(name, nearest):
    with pytest.raises(UserError, match=re.escape(f"no experiment {name!r}; did you mean ") + f".*{nearest}"):
        experiments.experiment(name)


def learning_rates(config, iterations_per_epoch):
    """The learning rate of each iteration under the config's schedulers."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=config.optim_wrapper.optimizer.lr)
    wrapper = OptimWrapper(optimizer)
    epochs = config.train_cfg.max_epochs
    schedulers = [
        PARAM_SCHEDULERS.build(dict(item), default_args={"optimizer": wrapper, "epoch_length": iterations_per_epoch})
        if not item.get("convert_to_iter_based")
        else PARAM_SCHEDULERS.get(item.type).build_iter_from_epoch(
            optimizer=wrapper,
            epoch_length=iterations_per_epoch,
            **{key: value for key, value in item.items() if key not in ("type", "convert_to_iter_based")},
        )
        for item in config.param_scheduler
    ]
    rates = []
    for iteration in range(epochs * iterations_per_epoch):
        rates.append(optimizer.param_groups[0]["lr"])
        wrapper.step()
        for scheduler in schedulers:
            if not scheduler.by_epoch or (iteration + 1) % iterations_per_epoch == 0:
                scheduler.step()
    return rates


def test_the_papers_schedule():
    config = experiments.experiment("cifar10/paper-400e/resnet56_cifar")
    rates = learning_rates(config, 1)
    for epoch, expected in [(0, 0.1), (199, 0.1), (200, 0.01), (299, 0.01), (300, 1e-3), (374, 1e-3), (375, 1e-4)]:
        assert rates[epoch] == pytest.approx(expected), epoch
    assert len(rates) == 400
    assert config.optim_wrapper.optimizer.weight_decay == 5e-4


def test_the_schedule_of_cifar100_warms_up_for_an_epoch_and_drops_thrice():
    config = experiments.experiment("cifar100/paper-200e/resnet56_cifar")
    rates = learning_rates(config, 391)
    assert rates[:391] == pytest.approx([0.1 * (step + 1) / 391 for step in range(391)])
    for epoch, expected in [(1, 0.1), (59, 0.1), (60, 0.02), (119, 0.02), (120, 4e-3), (159, 4e-3), (160, 8e-4)]:
        assert rates[391 * epoch] == pytest.approx(expected), epoch
    assert len(rates) == 200 * 391
    assert not config.optim_wrapper.optimizer.get("nesterov"), "the public code has none"


def test_the_proxy_is_one_cycle():
    rates = learning_rates(experiments.experiment("cifar10/proxy-10e/resnet56_cifar"), 20)
    peak = max(range(200), key=rates.__getitem__)
    assert rates[peak] == pytest.approx(0.2)
    assert 35 <= peak <= 42
    assert all(before < after for before, after in pairwise(rates[: peak + 1]))
    assert all(before > after for before, after in pairwise(rates[peak + 1 :]))
    assert rates[0] < 0.01
    assert rates[-1] < 0.005


def test_a_config_is_for_users_of_mmengine_too(cifar10, tiny_network, tmp_path):
    from mmengine.runner import Runner

    config = Config.fromfile(experiments.list_protocols()["cifar10/smoke"])
    config.merge_from_dict({"model.name": "s_versatile_resnet56_cifar", "work_dir": str(tmp_path / "work")})
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.root = str(cifar10)
    runner = Runner.from_cfg(config)
    runner.train()
    assert (tmp_path / "work" / "epoch_2.pth").is_file()
    assert 0 <= runner.test()["top1_accuracy"] <= 100

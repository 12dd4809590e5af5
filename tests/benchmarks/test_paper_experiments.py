"""Each accuracy of both papers has an experiment behind it, of the protocol that its row wants."""

from __future__ import annotations

import math

import pytest
import torch
from test_experiments import learning_rates
from torch import nn

import backbones
from benchmarks import published
from benchmarks.errors import UserError
from benchmarks.metrics import METRICS
from benchmarks.published import list_tables, load_table
from benchmarks.reports import costs
from benchmarks.reports.cells import build
from benchmarks.reports.sources import Run
from benchmarks.training import evaluation, experiments

CLASSIFICATION = {"cifar10", "cifar100", "imagenet"}
ACCURACIES = {"top1_accuracy", "top5_accuracy"}


def accuracy_rows():
    """(table, row) of all classification rows with an accuracy that is neither cited nor blocked."""
    found = []
    for name in list_tables():
        table = load_table(name)
        columns = [column for column in table.columns if METRICS[column.metric].run in ACCURACIES]
        for row in table.rows if table.dataset in CLASSIFICATION else ():
            cells = [row.cells.get(column.id) for column in columns]
            if not row.quoted_from and any(not cell or not (cell.quoted_from or cell.blocked) for cell in cells):
                found.append((table, row))
    return found


ROWS = {f"{table.name}: {row.name}": (table, row) for table, row in accuracy_rows()}


def test_there_are_accuracies_in_the_tables_that_the_issue_names():
    tables = {table.name for table, _ in ROWS.values()}
    assert {f"slimconv/table{n}" for n in (1, 2, 3, 5, 6, 10, 11)} | {"slimconv/figure8"} <= tables
    assert {f"versatile/table{n}" for n in (1, 2, 3, 4, 6, 7, 9)} | {
        "versatile/figure4a",
        "versatile/figure4b",
    } <= tables


@pytest.mark.parametrize("where", ROWS)
def test_each_accuracy_has_an_experiment(where):
    table, row = ROWS[where]
    config = experiments.experiment(f"{table.dataset}/{row.protocol or table.protocol}/{row.model}")
    assert not config.protocol.proxy
    assert config.dataset.num_classes == table.classes == config.model.num_classes
    assert "x".join(map(str, config.dataset.input_size)) == (row.input or table.input)
    topk = config.test_evaluator.get("topk", [1])
    for column in table.columns:
        if METRICS[column.metric].run == "top5_accuracy":
            assert 5 in topk
    if row.released:
        protocol = "released" if row.released is True else row.released
        tested = experiments.experiment(f"{table.dataset}/{protocol}/{row.model}")
        assert tested.weights == "official"
        assert tested.dataset.input_size == config.dataset.input_size


class OneOfAll:
    """A counter for which everything costs one."""

    params = macs = mul = add = weight_bytes = 1

    def __call__(self, *asked):
        return self

    def models(self):
        return backbones.list_models()


def test_each_released_file_is_evaluated_in_its_own_row():
    def run(protocol, accuracy):
        return Run(
            "imagenet", protocol, False, False, "sc_resnet50", 0, "top1_accuracy", accuracy, 0, f"{protocol}.json"
        )

    table = load_table("slimconv/table10")
    report = build(table, OneOfAll(), [run("released", 76.0), run("released-cosine", 77.0)])
    cells = {row.name: report.cell(row, "error") for row in table.rows}
    assert (cells["Sc-ResNet-50"].status, float(cells["Sc-ResNet-50"].ours)) == ("evaluated", 24.0)
    assert (cells["Sc-ResNet-50(cosine)"].status, float(cells["Sc-ResNet-50(cosine)"].ours)) == ("evaluated", 23.0)
    assert cells["Sc-ResNet-50@256"].status == "open"
    assert "imagenet/released-cosine-test256/sc_resnet50 --checkpoint" in cells["Sc-ResNet-50@256"].fill


@pytest.mark.parametrize(("weight", "ours"), [("0.1", 87.0), ("0.01", 86.0), ("1", None)])
def test_a_proxy_stands_in_for_the_row_that_varies_the_same(weight, ours):
    def run(protocol, accuracy):
        model = "separate_l_versatile_resnet56_cifar_s5"
        return Run("cifar10", protocol, True, True, model, 0, "top1_accuracy", accuracy, 10, f"{protocol}.json")

    runs = [run("proxy-10e", 87.0), run("proxy-10e-lambda0.01", 86.0), run("proxy-10e-maskscale300-lambda0", 85.0)]
    table = load_table("versatile/figure4b")
    report = build(table, OneOfAll(), runs)
    (row,) = (row for row in table.rows if row.name == f"Separate L-Versatile (s=5, λ={weight})")
    cell = report.cell(row, "accuracy")
    assert cell.status == ("open" if ours is None else "proxy")
    assert (None if cell.ours is None else float(cell.ours)) == ours


def protocols_of(dataset):
    return {name for name in experiments.list_protocols() if name.partition("/")[0] == dataset}


def test_costs_stand_in_one_file_and_what_a_protocol_is_in_its_config():
    written = published._read_yaml(published.PAPERS / "protocols.yaml")
    configured = set(experiments.list_protocols())
    for name, content in written.items():
        assert ({"description", "epochs"} <= set(content)) == (name not in configured), name
    for name, known in costs.protocols().items():
        assert known.configured == (name in configured)
        if known.configured:
            own = experiments.protocol(name)
            assert (known.description, known.epochs, known.weights_of) == (
                own["description"], own["epochs"], own["weights_of"]
            )  # fmt: skip


def test_what_a_reader_is_told_to_type_exists():
    assert costs.training("imagenet", "versatile-100e-8bit", "resnet50", None) == (
        "slimbench train imagenet/versatile-100e/resnet50, then "
        "slimbench test imagenet/versatile-100e-8bit/resnet50 --checkpoint FILE"
    )
    assert "not configured" not in costs.training("imagenet", "paper-90e", "sc_resnet50", 10**9)
    assert "not configured" not in costs.training("voc07", "paper-7e", "faster_rcnn_c4_resnet101_voc", 10**9)
    assert "not configured" not in costs.evaluation("imagenet", "sc_resnet50")


@pytest.mark.parametrize("name", sorted(protocols_of("imagenet") | protocols_of("cifar10")))
def test_epochs_of_protocol_and_schedule_agree(name):
    config = experiments.experiment(experiments.list_experiments(f"{name}/*")[0])
    assert config.protocol.epochs == config.train_cfg.max_epochs
    assert f"{config.dataset.name}/{config.protocol.name}" == name
    description = config.protocol.description
    assert "assum" in description or config.protocol.proxy or config.get("weights") == "official"


def rates(protocol, model="resnet50"):
    return learning_rates(experiments.experiment(f"imagenet/{protocol}/{model}"), 4)[::4]


def settings(protocol, model="resnet50"):
    config = experiments.experiment(f"imagenet/{protocol}/{model}")
    return {**config.optim_wrapper.optimizer, "batch": config.train_dataloader.batch_size}


def test_middle_sized_networks_as_slimconv_prints():
    assert settings("paper-90e") == {"type": "SGD", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "batch": 256}
    found = rates("paper-90e")
    assert [found[0], found[29], found[30], found[60], found[89]] == pytest.approx([0.1, 0.1, 0.01, 1e-3, 1e-3])
    assert len(found) == 90


@pytest.mark.parametrize(
    ("protocol", "top", "epochs"), [("paper-cosine-90e", 0.1, 90), ("paper-light-150e", 0.05, 150)]
)
def test_cosines_fall_from_the_printed_rate_to_zero(protocol, top, epochs):
    expected = [top * (1 + math.cos(math.pi * epoch / epochs)) / 2 for epoch in range(epochs)]
    assert rates(protocol) == pytest.approx(expected, rel=1e-6)


def test_lightweight_networks_as_slimconv_prints():
    assert settings("paper-light-150e")["weight_decay"] == 4e-5


def test_versatile_filters_print_100_epochs():
    found = rates("versatile-100e")
    assert [found[29], found[30], found[60], found[90], found[99]] == pytest.approx([0.1, 0.01, 1e-3, 1e-4, 1e-4])
    assert settings("versatile-100e")["weight_decay"] == 1e-4
    dataset = experiments.experiment("imagenet/versatile-100e/resnet50").train_dataloader.dataset
    assert dataset.augmentation == "scale-jitter"  # of "[20]"
    assert rates("versatile-100e-lr0.01", "alexnet_2g")[0] == 0.01


def test_mobilenetv2_as_versatile_filters_print():
    expected = {"type": "RMSpropTF", "lr": 0.048, "alpha": 0.9, "momentum": 0.9, "eps": 0.001, "weight_decay": 1e-5}
    assert settings("mobilenetv2-rmsprop") == {**expected, "batch": 1024}
    # After e epochs as often times 0.97 as 2.4 epochs have passed.
    expected = [0.048 * 0.97 ** (10 * epoch // 24) for epoch in range(350)]
    assert rates("mobilenetv2-rmsprop") == pytest.approx(expected)


def test_efficientnet_as_versatile_filters_print():
    assert settings("efficientnet-rmsprop-ema")["lr"] == 0.045
    assert rates("efficientnet-rmsprop-ema") == pytest.approx([0.045 * 0.98**epoch for epoch in range(350)])
    plain, averaged = (
        [hook.type for hook in experiments.experiment(f"imagenet/{name}/efficientnet_b0").custom_hooks]
        for name in ("mobilenetv2-rmsprop", "efficientnet-rmsprop-ema")
    )
    assert averaged == [*plain, "WeightAverageHook"]


def test_masks_move_under_rmsprop_as_under_sgd():
    # RMSProp divides the tiny gradients of H by sqrt(epsilon): the step is that of SGD at about 30 times the rate.
    from mmengine.registry import OPTIMIZERS

    config = experiments.experiment("imagenet/mobilenetv2-rmsprop/separate_l_versatile_mobilenet_v2_s4")
    (hook,) = (hook for hook in config.custom_hooks if hook.type == "VersatileMaskHook")
    agent = nn.Parameter(torch.tensor([0.5]))
    arguments = {**config.optim_wrapper.optimizer, "momentum": 0.0, "weight_decay": 0.0}
    optimizer = OPTIMIZERS.build({**arguments, "params": [{"params": [agent], "lr": 0.048 * hook.mask_lr_scale}]})
    for _ in range(100):  # its mean square starts from one
        agent.grad = torch.tensor([3e-4])
        optimizer.step()
    before = agent.item()
    agent.grad = torch.tensor([3e-4])
    optimizer.step()
    assert (before - agent.item()) / (0.048 * 3e-4) == pytest.approx(30, rel=0.1)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("imagenet/released/sc_resnet50", "slimbench test imagenet/released/sc_resnet50 --checkpoint FILE"),
        ("imagenet/paper-90e-test256/resnet50", "slimbench train imagenet/paper-90e/resnet50"),
        ("imagenet/versatile-100e-5bit/resnet50", "slimbench test imagenet/versatile-100e-5bit/resnet50"),
    ],
)
def test_what_only_tests_refuses_to_train_and_says_what_to_type(name, command):
    with pytest.raises(UserError, match=command):
        evaluation.refuse_to_train(experiments.experiment(name))


def test_what_trains_is_not_refused():
    evaluation.refuse_to_train(experiments.experiment("imagenet/paper-90e/resnet50"))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(6, 4)


def ours(net, name, epoch):
    return {"experiment": name, "epoch": epoch, "state_dict": {f"network.{k}": v for k, v in net.state_dict().items()}}


def test_quantized_weights_are_those_of_the_training_rounded(tmp_path):
    config = experiments.experiment("imagenet/versatile-100e-5bit/resnet50")
    net, source = Net(), Net()
    with torch.no_grad():
        source.fc.weight.normal_()
    content = ours(source, "imagenet/versatile-100e/resnet50", 100)
    evaluation.load_weights(config, net, content, tmp_path / "epoch_100.pth")
    expected = backbones.quantize(source, 5)
    assert torch.equal(net.fc.weight, expected.fc.weight)
    assert net.fc.quantized_bits == 5
    assert evaluation.trained_as(config, content) == "imagenet/versatile-100e/resnet50"


def test_weights_of_another_protocol_are_refused(tmp_path):
    config = experiments.experiment("imagenet/paper-cosine-90e-test256/sc_resnet50")
    content = ours(Net(), "imagenet/paper-90e/sc_resnet50", 90)
    with pytest.raises(UserError, match=r"is of imagenet/paper-90e/sc_resnet50; .* one of imagenet/paper-cosine-90e/"):
        evaluation.load_weights(config, Net(), content, tmp_path / "epoch_90.pth")
    assert evaluation.trained_as(config, content) == ""


@pytest.mark.parametrize("content", [{"epoch": 90}, {"experiment": "imagenet/paper-90e/resnet50", "epoch": 89}])
def test_only_a_finished_training_of_ours_counts_as_measured(content):
    config = experiments.experiment("imagenet/paper-90e-test256/resnet50")
    assert evaluation.trained_as(config, content) == ""
    assert evaluation.trained_as(config, ours(Net(), "imagenet/paper-90e/resnet50", 90)) != ""


def test_the_authors_file_is_read_in_their_layout(tmp_path):
    config = experiments.experiment("imagenet/released/sc_resnet50")
    parts = {"top": "conv2_1", "bottom": "conv2_2", "gate": "fc"}
    torch.manual_seed(1)
    source = backbones.create_model("sc_resnet50")
    theirs = {}
    for key, value in source.state_dict().items():
        block, _, rest = key.partition(".conv2.")
        part, _, last = rest.partition(".")
        theirs[f"module.{block}.conv2.{parts[part]}.{last}" if part in parts else f"module.{key}"] = value
    path = tmp_path / "theirs.pth"
    torch.save({"state_dict": theirs}, path)
    net = backbones.create_model("sc_resnet50")
    evaluation.load_weights(config, net, torch.load(path, weights_only=True), path)
    for key, value in source.state_dict().items():
        assert torch.equal(net.state_dict()[key], value), key
    with pytest.raises(UserError, match="is not one of this"):
        evaluation.load_weights(config, backbones.create_model("sc_resnet50_k8_3"), {}, path)

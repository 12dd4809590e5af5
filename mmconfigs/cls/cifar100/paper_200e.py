"""CIFAR-100 by the recipe of the public code base (weiaicunzai/pytorch-cifar100) whose networks SlimConv's tables show.

The paper prints no recipe. That code: SGD with momentum 0.9, learning rate 0.1 times 0.2 at 60, 120 and 160 of 200
epochs, the first epoch a linear warm-up by iteration, weight decay 5e-4, batch 128, random crop with padding 4, flip,
rotation within 15 degrees. Its README speaks of Nesterov momentum, its code has none: this follows the code. Two
differences: the code lowers the rate one epoch earlier than its README says (this follows the README), and its first
iteration has rate 0 (here 0.1/391). bf16 autocast, channels_last; H of learnable masks as in `VersatileMaskHook`.

Command:          slimbench train cifar100/paper-200e/resnet56_cifar --seed 0   (any CIFAR model of `slimbench models`)
Expected time:    about 9 hours on two CPU cores; well under an hour on a recent GPU
Expected metric:  top-1 accuracy on the 10,000 test images; SlimConv, Tables V, VI and XI, Figure 8
"""

_base_ = ["../_base_/cifar100.py", "../_base_/runtime.py"]

protocol = dict(
    name="paper-200e",
    proxy=False,
    epochs=200,
    description="recipe of weiaicunzai/pytorch-cifar100 (SlimConv prints none): SGD 0.1, momentum 0.9 (no Nesterov), "
    "weight decay 5e-4, 200 epochs, times 0.2 at 60, 120, 160, one epoch of linear warm-up, batch 128, crop with "
    "padding 4, flip and rotation within 15 degrees; assumed: bf16",
)

train_dataloader = dict(dataset=dict(rotation=15.0))
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=200, val_interval=5)
optim_wrapper = dict(
    optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=5e-4),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1 / 391, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(type="MultiStepLR", milestones=[60, 120, 160], gamma=0.2),
]

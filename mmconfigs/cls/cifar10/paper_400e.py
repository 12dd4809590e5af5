"""CIFAR-10 as in Versatile Filters, section 5.1: 400 epochs of SGD, 0.1 divided by 10 at 200, 300 and 375.

Printed in the paper: SGD, learning rate 0.1, weight decay 5e-4, 400 epochs, the three steps. Not printed and assumed:
momentum 0.9, batch 128, padding 4 with random crop, horizontal flip, H of learnable masks at 30 times the weights'
learning rate (docs and `VersatileMaskHook` say why). bf16 autocast, channels_last.

Command:          slimbench train cifar10/paper-400e/resnet56_cifar --seed 0   (any CIFAR model of `slimbench models`)
Expected time:    about 12 hours on two CPU cores; well under an hour on a recent GPU
Expected metric:  top-1 accuracy on the 10,000 test images; Versatile Filters, Table 1
"""

_base_ = ["../_base_/cifar10.py", "../_base_/runtime.py", "../_base_/mask_studies.py"]

protocol = dict(
    name="paper-400e",
    proxy=False,
    epochs=400,
    description="Versatile Filters 5.1: SGD 0.1, weight decay 5e-4, 400 epochs, /10 at 200, 300, 375; assumed: "
    "momentum 0.9, batch 128, crop with padding 4 and flip, bf16",
)

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=400, val_interval=10)
optim_wrapper = dict(
    optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=5e-4),
)
param_scheduler = [dict(type="MultiStepLR", milestones=[200, 300, 375], gamma=0.1)]

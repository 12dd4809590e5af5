"""CIFAR-100 in ten epochs of one cycle: a stand-in for the 200 epochs that two CPU cores can finish.

The recipe of cifar10/proxy-10e: SGD with Nesterov momentum 0.9, weight decay 5e-4, batch 128; the learning rate rises
linearly to 0.2 over the first two epochs and falls linearly to 0 at the end. Crop and flip only: the rotation of
cifar100/paper-200e regularises a long training and only slows a short one. bf16 autocast, channels_last. Results say
nothing about the paper's accuracies: they are marked as a proxy wherever they are shown.

Command:          slimbench train cifar100/proxy-10e/resnet56_cifar --seed 0   (any CIFAR model of `slimbench models`)
Expected time:    about 26 minutes on two CPU cores (bf16 instructions); with a GPU one to two minutes
Expected metric:  top-1 accuracy on the 10,000 test images
"""

_base_ = ["../_base_/cifar100.py", "../_base_/one_cycle_10e.py"]

protocol = dict(
    name="proxy-10e",
    proxy=True,
    epochs=10,
    description="10 epochs of one cycle (linear to 0.2 over 2 epochs, linear to 0), SGD Nesterov 0.9, weight decay "
    "5e-4, batch 128, crop with padding 4 and flip (no rotation), bf16",
)

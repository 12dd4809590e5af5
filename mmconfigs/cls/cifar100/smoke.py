"""Two epochs over a few images, with rotation: shows that the whole path works, measures nothing.

The files need not be the official CIFAR-100 (any data of that layout will do), and the result is written to the run's
own folder, not to the ledger, unless --results says where.

Command:          slimbench train cifar100/smoke/resnet56_cifar --seed 0
Expected time:    half a minute on two CPU cores
Expected metric:  none
"""

_base_ = ["../_base_/cifar100.py", "../_base_/runtime.py"]

protocol = dict(
    name="smoke", proxy=True, epochs=2, description="2 epochs over at most 1,024 images, to test the machinery"
)

train_dataloader = dict(dataset=dict(limit=1024, verify=False, rotation=15.0), batch_size=32)
val_dataloader = dict(dataset=dict(limit=256, verify=False))
test_dataloader = val_dataloader
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=2, val_interval=1)
optim_wrapper = dict(
    optimizer=dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True),
)
param_scheduler = [dict(type="LinearLR", start_factor=1.0, end_factor=0.0, end=2, convert_to_iter_based=True)]

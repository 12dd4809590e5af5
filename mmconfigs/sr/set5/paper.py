"""wip"""

_base_ = ["../_base_/set5.py"]

protocol = dict(
    name="paper",
    proxy=False,
    epochs=80,
    description="wip",
)

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=80, val_interval=1)
optim_wrapper = dict(
    type="AdjustableClippingOptimWrapper",
    theta=1e-4,
    optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = [dict(type="MultiStepLR", milestones=[20, 40, 60], gamma=0.1)]

"""Ten epochs of one cycle: the learning rate rises linearly to 0.2 over two epochs and falls linearly to 0 at the end."""

_base_ = ["./runtime.py"]

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=10, val_interval=1)
optim_wrapper = dict(
    optimizer=dict(type="SGD", lr=0.2, momentum=0.9, weight_decay=5e-4, nesterov=True),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, end=2, by_epoch=True, convert_to_iter_based=True),
    dict(type="LinearLR", start_factor=1.0, end_factor=0.0, begin=2, end=10, by_epoch=True, convert_to_iter_based=True),
]

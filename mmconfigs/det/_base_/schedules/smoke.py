"""Two epochs of ten iterations from random weights, to test the machinery."""

protocol = dict(
    name="smoke",
    proxy=True,
    epochs=2,
    description="20 iterations of 4 images from random weights, to test the machinery",
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.005, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [dict(type="LinearLR", start_factor=1.0, end_factor=0.0, by_epoch=False, begin=0, end=20)]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=2, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

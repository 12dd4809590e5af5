"""20 epochs of 40 images from random weights: enough to know eight images by heart.

AdamW, 0.0005 after 30 iterations of warm-up, down to 0 by half a cosine.
"""

protocol = dict(
    name="overfit",
    proxy=True,
    epochs=20,
    description="8 images learned by heart from random weights and tested on: AdamW, 200 iterations of 4 images",
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=5e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=30, end=200, T_max=170),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=20, val_interval=10)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

"""240 iterations from random weights: enough to know eight images by heart.

AdamW, 0.002 after 20 iterations of warm-up, down to 0 by half a cosine; a low rate at the end lets the running
statistics of the batch norms settle, with which the network is tested.
"""

protocol = dict(
    name="overfit",
    proxy=True,
    epochs=240,
    description="8 images learned by heart from random weights and tested on: AdamW, 240 iterations of all 8 images",
)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=2e-3, weight_decay=1e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, begin=0, end=20, by_epoch=False),
    dict(type="CosineAnnealingLR", eta_min=0.0, begin=20, end=240, T_max=220, by_epoch=False),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=240, val_interval=60)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

"""Twenty iterations from random weights, to test the machinery."""

protocol = dict(name="smoke", proxy=True, epochs=2, description="20 iterations of 4 images, to test the machinery")
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=1e-4))
param_scheduler = [dict(type="PolyLR", eta_min=0.0, power=0.9, begin=0, end=20, by_epoch=False)]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=20, val_interval=20)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

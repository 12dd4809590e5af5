"""Two epochs over a few drawn images in ImageNet's layout: shows that the whole path works, measures nothing.

The images come from `slimbench data prepare imagenet-tiny`. They pass through everything that ImageNet's do: decoding,
random crops, workers' order, 1,000 outputs, top 1 and top 5. The result is written to the run's own folder, not to the
ledger, unless --results says where.

Command:          slimbench train imagenet-tiny/smoke/resnet50 --seed 0   (any ImageNet model of `slimbench models`)
Expected time:    two minutes on two CPU cores
Expected metric:  none
"""

_base_ = ["../_base_/imagenet_sgd.py"]

dataset = dict(name="imagenet-tiny")
protocol = dict(
    name="smoke", proxy=True, epochs=2, description="2 epochs over at most 32 images, to test the machinery"
)

_few = dict(name="imagenet-tiny", verify=False)
_loader = dict(batch_size=8, num_workers=0, persistent_workers=False, pin_memory=False)
train_dataloader = dict(dataset=dict(limit=32, **_few), **_loader)
val_dataloader = dict(dataset=dict(limit=16, **_few), **_loader)
test_dataloader = val_dataloader
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=2, val_interval=1)
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = [dict(type="LinearLR", start_factor=1.0, end_factor=0.0, end=2, convert_to_iter_based=True)]

"""Two short epochs on patches of a few pictures: shows that the whole path works, measures nothing.

The result is written to the run's own folder, not to the ledger, unless --results says where.

Command:          slimbench train set5/smoke/vdsr22 --seed 0
Expected time:    ten seconds on two CPU cores
Expected metric:  none
"""

_base_ = ["../_base_/set5.py"]

protocol = dict(name="smoke", proxy=True, epochs=2, description="2 epochs of 64 patches, to test the machinery")

train_dataloader = dict(dataset=dict(limit=8, per_epoch=64), batch_size=16)
val_dataloader = dict(dataset=dict(limit=2, scales=(2,)))
test_dataloader = dict(dataset=dict(limit=2))
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=2, val_interval=1)
optim_wrapper = dict(
    optimizer=dict(type="Adam", lr=1e-3),
)
param_scheduler = []
